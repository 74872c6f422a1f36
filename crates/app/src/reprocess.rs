//! Reprocess plans and jobs: see first, then run; one selection, or everything of one cause.
//!
//! A plan is the exact snapshot of what would be tried again and what would not, with reasons.
//! Running it makes a job whose items each pass the same verb as a single reprocess, one transaction
//! each, so that a restart loses nothing and running twice doubles nothing.

use std::collections::BTreeSet;

use accede_domain::filter::Filter;
use accede_domain::id::{CauseId, JobId, PackageId, PlanId, RequestId, TargetId};
use accede_domain::permission::Action;
use accede_domain::refusal::{Obstacle, Refusal};
use accede_domain::request::{self, Event, Wish};
use accede_domain::retry;
use accede_domain::{SignedDuration, Timestamp};
use accede_store::crash::{Point, point};
use accede_store::plans;
use accede_store::request_list::{self, Candidate, Narrowing, Whose};
use accede_store::{people, requests, separations, targets};
use serde::{Deserialize, Serialize};

use crate::deed::Deed;
use crate::worker::MAX_TARGETS;
use crate::{App, Caller, Error, Principal, Result, audit};

pub use accede_store::plans::{Job, JobItem, JobState, Plan, PlanItem, Progress};

/// Most requests in one plan.
pub const MAX_PLAN: usize = 200_000;
/// Most ids that a selection may name one by one.
pub const MAX_IDS: usize = 10_000;
/// How long after it was made a plan may be run.
pub const PLAN_AGE: SignedDuration = SignedDuration::from_mins(15);
/// Items of a job that take their turn together.
pub const JOB_BATCH: usize = 64;
/// Seconds one call to a target is taken to last, for the estimate.
const SECONDS_A_CALL: f64 = 0.1;

/// What to reprocess.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These requests.
    pub ids: Option<Vec<RequestId>>,
    /// Requests that match, in Graph's property paths.
    pub filter: Option<Filter>,
    /// Requests held up by this cause.
    pub cause: Option<CauseId>,
    /// Requests with something not delivered in this target.
    pub target: Option<TargetId>,
    /// Requests of people with this text in their name, as [`Narrowing`] understands it.
    pub text: Option<String>,
}

/// What a plan comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Undelivered roles by target.
    pub targets: Vec<ByTarget>,
    /// Requests that will not be tried again, by reason.
    pub skipped: Vec<ByReason>,
    /// How long the run is estimated to take, in seconds.
    pub estimated_seconds: u64,
}

/// What a plan comes to in one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ByTarget {
    /// The target's name.
    pub target: String,
    /// The target's name for people.
    pub display_name: String,
    /// Undelivered roles.
    pub deliveries: i64,
}

/// Requests that will not be tried again for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ByReason {
    /// Machine code.
    pub code: String,
    /// The sentence of one of them.
    pub example: String,
    /// How many.
    pub requests: i64,
}

/// A plan as its readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanView {
    /// The plan.
    pub plan: Plan,
    /// What it comes to.
    pub summary: Summary,
    /// Until when it can be run.
    pub expires: Timestamp,
    /// Whether it is so large that another person than who made it runs it.
    pub needs_second_person: bool,
    /// Whether that is somebody else than the reader.
    pub awaits_somebody_else: bool,
}

/// A job as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// The job.
    pub job: Job,
    /// How far it has come.
    pub progress: Progress,
}

impl JobView {
    /// Whether every item had its turn and nothing of it is delivering any more.
    pub const fn is_over(&self) -> bool {
        !matches!(self.job.state, JobState::Running) && self.progress.delivering == 0
    }
}

/// A request of a plan: its id, its version, and why it is skipped if it is.
type Found = (RequestId, i64, Option<(String, String)>);

impl App {
    /// Makes a plan of what would be tried again. Nothing happens yet.
    ///
    /// # Errors
    ///
    /// Invalid selections; forbidden unless the caller may reprocess somewhere; a limit.
    pub async fn plan_reprocess(&self, caller: &Caller, selection: &Selection) -> Result<PlanView> {
        let now = self.now();
        let reach = caller.may_somewhere(Action::Reprocess)?;
        if selection.ids.as_ref().is_some_and(|ids| MAX_IDS < ids.len()) {
            let advice = "select by a filter instead";
            return Err(Error::Limit { what: "a list of ids", limit: MAX_IDS, advice });
        }
        let nothing = selection.ids.is_none()
            && selection.filter.is_none()
            && selection.cause.is_none()
            && selection.target.is_none()
            && selection.text.is_none();
        if nothing {
            let sentence = "say what to reprocess: `ids`, `filter`, `causeId` or `target`";
            return Err(Error::invalid("ids", sentence));
        }
        if let Some(cause) = selection.cause {
            // An empty plan would say that all is well where the id is only wrong.
            self.get_failure(caller, cause).await?;
        }
        let id: PlanId = self.mint(now);
        self.store()
            .write(async |tx| {
                let narrowing = Narrowing {
                    cause: selection.cause,
                    target: selection.target,
                    text: selection.text.clone(),
                };
                let whose = Whose::Reach(caller.reach(Action::ReadRequests));
                let filter = selection.filter.as_ref();
                let ids = selection.ids.as_deref();
                let found =
                    request_list::candidates(tx, &whose, &narrowing, filter, ids, MAX_PLAN + 1)
                        .await?;
                if MAX_PLAN < found.len() {
                    let advice = "narrow the filter and plan in parts";
                    return Err(Error::Limit { what: "a plan", limit: MAX_PLAN, advice });
                }
                let mut items = Vec::with_capacity(found.len());
                let mut deed = Deed { app: self, tx, caller, now };
                let suspects = deed.suspects(&found).await?;
                for candidate in &found {
                    let skip = if reach.includes(candidate.catalog) {
                        deed.skip(candidate, &suspects).await?
                    } else {
                        Some(("Forbidden".to_owned(), caller.lacks(Action::Reprocess).to_string()))
                    };
                    items.push((candidate.request.id, candidate.request.version, skip));
                }
                unknown_ids(ids, &found, &mut items);
                self.keep_plan(&mut deed, id, selection, items).await
            })
            .await
    }

    /// The id of the target with this name, for those who may read failures.
    ///
    /// # Errors
    ///
    /// Not found, or forbidden unless the caller may read requests somewhere.
    pub async fn target_id_named(&self, caller: &Caller, name: &str) -> Result<TargetId> {
        caller.may_somewhere(Action::ReadRequests)?;
        let found =
            self.store().read(async |tx| Ok::<_, Error>(targets::by_name(tx, name).await?)).await?;
        found.map(|target| target.id).ok_or_else(|| Error::not_found("target", name))
    }

    async fn keep_plan(
        &self,
        deed: &mut Deed<'_, '_>,
        id: PlanId,
        selection: &Selection,
        found: Vec<Found>,
    ) -> Result<PlanView> {
        let items: Vec<PlanItem> = found
            .into_iter()
            .zip(1_i64..)
            .map(|((request, version, skip), position)| PlanItem {
                position,
                request,
                version,
                skip,
            })
            .collect();
        let skipped = items.iter().filter(|item| item.skip.is_some()).count();
        let eligible = items.len() - skipped;
        let mut plan = Plan {
            id,
            created_by: deed.caller.name.clone(),
            creator: deed.caller.user(),
            created_at: deed.now,
            filter: describe(selection),
            digest: digest(&items),
            eligible: count(eligible),
            skipped: count(skipped),
            summary: "{}".to_owned(),
            job: None,
        };
        plans::insert(deed.tx, &plan, &items).await?;
        let mut summary = Summary::default();
        let mut slowest = 0.0_f64;
        for (target, display_name, deliveries, concurrency) in plans::by_target(deed.tx, id).await?
        {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let seconds = deliveries as f64 * SECONDS_A_CALL / concurrency.max(1) as f64;
            slowest = slowest.max(seconds);
            summary.targets.push(ByTarget { target, display_name, deliveries });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, never negative"
        )]
        let estimate = slowest.ceil() as u64;
        summary.estimated_seconds = estimate;
        for (code, example, requests) in plans::by_reason(deed.tx, id).await? {
            summary.skipped.push(ByReason { code, example, requests });
        }
        plan.summary = serde_json::to_string(&summary).map_err(Error::internal)?;
        plans::set_summary(deed.tx, id, &plan.summary).await?;
        point(Point::JobPlanned);
        Ok(self.view_of_plan(deed.caller, plan, summary))
    }

    fn view_of_plan(&self, caller: &Caller, plan: Plan, summary: Summary) -> PlanView {
        let needs = self.settings().four_eyes_above.is_some_and(|most| most < plan.eligible);
        PlanView {
            summary,
            expires: retry::after(plan.created_at, PLAN_AGE),
            needs_second_person: needs,
            awaits_somebody_else: needs && made_by(caller, &plan),
            plan,
        }
    }

    /// A plan, for who made it and for administrators.
    ///
    /// # Errors
    ///
    /// Not found for everybody else.
    pub async fn get_plan(&self, caller: &Caller, id: PlanId) -> Result<PlanView> {
        self.store()
            .read(async |tx| {
                let missing = || Error::not_found("reprocess plan", id);
                let plan = plans::get(tx, id).await?.ok_or_else(missing)?;
                if !is_own(caller, &plan.created_by, plan.creator) {
                    return Err(missing());
                }
                let summary = serde_json::from_str(&plan.summary).map_err(Error::internal)?;
                Ok(self.view_of_plan(caller, plan, summary))
            })
            .await
    }

    /// The items of a plan after a position, in order.
    ///
    /// # Errors
    ///
    /// Not found for those who may not see the plan.
    pub async fn plan_items(
        &self,
        caller: &Caller,
        id: PlanId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<PlanItem>> {
        self.get_plan(caller, id).await?;
        self.store().read(async |tx| Ok(plans::items(tx, id, after, limit).await?)).await
    }

    /// Runs a plan. Running it twice is running it once: the same job comes back.
    ///
    /// # Errors
    ///
    /// Not found; refused when the plan is older than [`PLAN_AGE`] or the digest is not its own.
    pub async fn run_plan(&self, caller: &Caller, id: PlanId, digest: &str) -> Result<JobView> {
        let now = self.now();
        let new: JobId = self.mint(now);
        let job = self
            .store()
            .write(async |tx| {
                let missing = || Error::not_found("reprocess plan", id);
                let plan = plans::lock(tx, id).await?.ok_or_else(missing)?;
                if !is_own(caller, &plan.created_by, plan.creator) {
                    return Err(missing());
                }
                caller.may_somewhere(Action::Reprocess)?;
                if plan.digest != digest {
                    return Err(rule(
                        "PlanDigestMismatch",
                        "the digest is not this plan's; read the plan again and run what you saw",
                    ));
                }
                if let Some(job) = plan.job {
                    return Ok(job);
                }
                let most = self.settings().four_eyes_above;
                if let Some(most) = most.filter(|most| *most < plan.eligible)
                    && made_by(caller, &plan)
                {
                    return Err(rule(
                        "SecondPersonNeeded",
                        format!(
                            "a plan with more than {most} requests is run by another person than who \
                             made it: by one who may reprocess in every catalog"
                        ),
                    ));
                }
                let expires = retry::after(plan.created_at, PLAN_AGE);
                if expires < now {
                    return Err(rule(
                        "PlanExpired",
                        format!("this plan could be run until {expires}; make a new one"),
                    ));
                }
                let job = Job {
                    id: new,
                    plan: id,
                    state: JobState::Running,
                    created_by: caller.name.clone(),
                    creator: caller.user(),
                    created_at: now,
                    finished_at: None,
                };
                plans::insert_job(tx, &job).await?;
                if plan.eligible == 0 {
                    plans::complete_job(tx, new, now).await?;
                }
                let record = audit::Event {
                    action: "reprocess job started",
                    object_type: "reprocessJob",
                    object_id: new.to_string(),
                    catalog: None,
                    detail: serde_json::json!({ "plan": id, "requests": plan.eligible }),
                };
                audit::record(self, tx, caller, record, now).await?;
                Ok(new)
            })
            .await?;
        point(Point::JobStarted);
        if caller.principal != Principal::System {
            // Who asks for it may have mended the target just now.
            self.hurry_circuits(None).await;
        }
        self.wake();
        self.get_job(caller, job).await
    }

    /// A job, for who ran it and for administrators.
    ///
    /// # Errors
    ///
    /// Not found for everybody else.
    pub async fn get_job(&self, caller: &Caller, id: JobId) -> Result<JobView> {
        self.store()
            .read(async |tx| {
                let missing = || Error::not_found("reprocess job", id);
                let job = plans::get_job(tx, id).await?.ok_or_else(missing)?;
                if !is_own(caller, &job.created_by, job.creator) {
                    return Err(missing());
                }
                let progress = plans::progress(tx, id).await?;
                Ok(JobView { job, progress })
            })
            .await
    }

    /// The newest jobs that the caller may see, at most `limit`.
    ///
    /// # Errors
    ///
    /// Forbidden unless the caller may reprocess somewhere.
    pub async fn list_jobs(&self, caller: &Caller, limit: usize) -> Result<Vec<JobView>> {
        caller.may_somewhere(Action::Reprocess)?;
        self.store()
            .read(async |tx| {
                let mut found = Vec::new();
                for job in plans::recent_jobs(tx, limit).await? {
                    if is_own(caller, &job.created_by, job.creator) {
                        let progress = plans::progress(tx, job.id).await?;
                        found.push(JobView { job, progress });
                    }
                }
                Ok(found)
            })
            .await
    }

    /// The items of a job after a position, in order.
    ///
    /// # Errors
    ///
    /// Not found for those who may not see the job.
    pub async fn job_items(
        &self,
        caller: &Caller,
        id: JobId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<JobItem>> {
        self.get_job(caller, id).await?;
        self.store().read(async |tx| Ok(plans::job_items(tx, id, after, limit).await?)).await
    }

    /// Stops a job: items that had their turn stand, the others do not get one.
    ///
    /// # Errors
    ///
    /// Not found, or refused when it is over.
    pub async fn cancel_job(&self, caller: &Caller, id: JobId) -> Result<JobView> {
        let now = self.now();
        self.get_job(caller, id).await?;
        self.store()
            .write(async |tx| {
                if !plans::cancel_job(tx, id, now).await? {
                    return Err(rule("JobNotRunning", "this job is over; nothing is left to stop"));
                }
                let record = audit::Event {
                    action: "reprocess job canceled",
                    object_type: "reprocessJob",
                    object_id: id.to_string(),
                    catalog: None,
                    detail: serde_json::json!({}),
                };
                audit::record(self, tx, caller, record, now).await
            })
            .await?;
        self.get_job(caller, id).await
    }

    /// Gives waiting items of running jobs their turn, up to [`JOB_BATCH`] of each; says how many
    /// had it. Called by the worker.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn work_jobs(&self) -> Result<usize> {
        let jobs: Vec<(Job, Vec<(i64, RequestId)>)> = self
            .store()
            .read(async |tx| {
                let mut found = Vec::new();
                for job in plans::running_jobs(tx, JOB_BATCH).await? {
                    let items = plans::pending(tx, job.id, JOB_BATCH).await?;
                    found.push((job, items));
                }
                Ok::<_, Error>(found)
            })
            .await?;
        let mut done = 0;
        for (job, items) in jobs {
            let turns =
                items.iter().map(|(position, request)| self.turn(&job, *position, *request));
            for turn in futures_util::future::join_all(turns).await {
                turn?;
                done += 1;
            }
            point(Point::JobItems);
            let now = self.now();
            self.store()
                .write(async |tx| Ok::<_, Error>(plans::complete_job(tx, job.id, now).await?))
                .await?;
        }
        if 0 < done {
            self.wake();
        }
        Ok(done)
    }

    /// One item's turn: the verb of a single reprocess, and its outcome beside it.
    async fn turn(&self, of: &Job, position: i64, id: RequestId) -> Result<()> {
        let now = self.now();
        let job = of.id;
        // The job acts as who ran it; whether they still may was their plan's question.
        let caller = Caller { name: of.created_by.clone(), ..Caller::system() };
        let outcome = self
            .store()
            .write(async |tx| {
                let Some(place) = requests::place(tx, id).await? else {
                    let gone = Some(("NotFound", "the request's record was deleted"));
                    plans::finish_item(tx, job, position, gone, now).await?;
                    return Ok(());
                };
                people::lock(tx, place.subject).await?;
                if !plans::finish_item(tx, job, position, None, now).await? {
                    return Ok(());
                }
                point(Point::JobMarked);
                let request = requests::lock(tx, id).await?;
                let mut deed = Deed { app: self, tx, caller: &caller, now };
                deed.reprocess(request).await
            })
            .await;
        point(Point::JobItem);
        let (code, text) = match outcome {
            Ok(()) => return Ok(()),
            Err(Error::Refused(refusal)) => (refusal.code().to_owned(), refusal.to_string()),
            Err(Error::Stale) => return Ok(()),
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => ("Failed".to_owned(), error.to_string()),
        };
        self.store()
            .write(async |tx| {
                let refused = Some((code.as_str(), text.as_str()));
                plans::finish_item(tx, job, position, refused, now).await?;
                Ok(())
            })
            .await
    }
}

impl Deed<'_, '_> {
    /// Why a candidate would not be tried again, if so. The same rules are asked again when its turn
    /// comes; this tells the reader beforehand.
    async fn skip(
        &mut self,
        candidate: &Candidate,
        suspects: &Suspects,
    ) -> Result<Option<(String, String)>> {
        let request = &candidate.request;
        let no = |refusal: Refusal| Some((refusal.code().to_owned(), refusal.to_string()));
        let window = self.app.settings().reprocess_window;
        match request::step(request.state, Event::Reprocess { window }, self.now) {
            Err(refusal) => return Ok(no(refusal)),
            Ok((_, effects)) if effects.is_empty() => {
                return Ok(Some((
                    "RequestDelivering".to_owned(),
                    "it is being delivered at present".to_owned(),
                )));
            }
            Ok(_) => {}
        }
        if request.request_type.wish() == Wish::Remove {
            return Ok(None);
        }
        let ended = candidate.end.filter(|end| *end <= self.now);
        let obstacle = match (candidate.is_active, ended) {
            (false, _) => Some(Obstacle::SubjectInactive),
            (true, Some(end)) => Some(Obstacle::EndPassed(end)),
            (true, None) if candidate.is_ended => Some(Obstacle::AssignmentEnded),
            // Only beside a request that has nothing can another one have been opened.
            (true, None) if request.assignment.is_none() => {
                if let Err(Error::Refused(refusal)) = self.check_alone(request).await {
                    return Ok(no(refusal));
                }
                self.obstacle(request).await?
            }
            (true, None) => self.slow_obstacle(candidate, suspects).await?,
        };
        Ok(obstacle.map(|obstacle| {
            let code = obstacle.code().to_owned();
            (code, Refusal::NoLongerDeliverable(obstacle).to_string())
        }))
    }

    /// Obstacles that take a query of their own, asked only where there can be one.
    async fn slow_obstacle(
        &mut self,
        candidate: &Candidate,
        suspects: &Suspects,
    ) -> Result<Option<Obstacle>> {
        let request = &candidate.request;
        let Some(assignment) = request.assignment.filter(|_| request.block.is_none()) else {
            return self.obstacle(request).await;
        };
        if suspects.incompatible.contains(&request.package)
            && let Some(conflict) = self.conflict(request.subject, request.package).await?
        {
            return Ok(Some(Obstacle::Incompatible(conflict)));
        }
        if !suspects.any_paused {
            return Ok(None);
        }
        let paused = accede_store::deliveries::paused_target(self.tx, assignment).await?;
        Ok(paused.map(Obstacle::TargetPaused))
    }

    /// Which obstacles are possible at all among these candidates, so that a plan over many requests
    /// of few packages asks each question once.
    async fn suspects(&mut self, found: &[Candidate]) -> Result<Suspects> {
        let packages: BTreeSet<PackageId> =
            found.iter().map(|candidate| candidate.request.package).collect();
        let mut incompatible = BTreeSet::new();
        for package in packages {
            let pairs = separations::pairs_touching(self.tx, package).await?;
            let groups = separations::groups_of(self.tx, package).await?;
            if !pairs.is_empty() || !groups.is_empty() {
                incompatible.insert(package);
            }
        }
        let targets = targets::list(self.tx, MAX_TARGETS).await?;
        Ok(Suspects { incompatible, any_paused: targets.iter().any(|target| target.is_paused) })
    }
}

/// See [`Deed::suspects`].
struct Suspects {
    incompatible: BTreeSet<PackageId>,
    any_paused: bool,
}

/// Named ids that were not found, or that the caller may not see, are skipped like any other.
fn unknown_ids(ids: Option<&[RequestId]>, found: &[Candidate], items: &mut Vec<Found>) {
    let known: BTreeSet<RequestId> = found.iter().map(|candidate| candidate.request.id).collect();
    let mut missing: Vec<RequestId> =
        ids.unwrap_or_default().iter().filter(|id| !known.contains(id)).copied().collect();
    missing.sort_unstable();
    missing.dedup();
    for id in missing {
        let text = format!("there is no assignment request `{id}`");
        items.push((id, 0, Some(("NotFound".to_owned(), text))));
    }
}

/// Whether the caller made the plan.
fn made_by(caller: &Caller, plan: &Plan) -> bool {
    match plan.creator {
        Some(creator) => caller.user() == Some(creator),
        None => caller.user().is_none() && caller.name == plan.created_by,
    }
}

fn is_own(caller: &Caller, name: &str, creator: Option<accede_domain::id::UserId>) -> bool {
    caller.principal == Principal::System
        || (creator.is_some() && creator == caller.user())
        || (creator.is_none() && caller.user().is_none() && caller.name == name)
        || caller.may_everywhere(Action::Reprocess).is_ok()
}

fn rule(code: &'static str, sentence: impl Into<String>) -> Error {
    Refusal::Rule { code, sentence: sentence.into() }.into()
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// SHA-256 over the items, in order: what was seen is what is run.
fn digest(items: &[PlanItem]) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for item in items {
        context.update(item.request.0.as_bytes());
        context.update(&item.version.to_le_bytes());
        context.update(&[u8::from(item.skip.is_some())]);
    }
    let mut text = String::from("sha256:");
    for byte in context.finish().as_ref() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn describe(selection: &Selection) -> String {
    serde_json::json!({
        "ids": selection.ids.as_ref().map(Vec::len),
        "filter": selection.filter.as_ref().map(ToString::to_string),
        "cause": selection.cause,
        "target": selection.target,
        "text": selection.text,
    })
    .to_string()
}
