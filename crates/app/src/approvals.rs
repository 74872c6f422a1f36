//! Approvals: who is asked, and what their decision does. There is no other path to an approval.

use std::collections::{BTreeSet, HashMap};

use accede_domain::Timestamp;
use accede_domain::approval::{self, Decision, MAX_STAGES, Stage, Status, Verdict};
use accede_domain::filter::parse_order;
use accede_domain::id::{CatalogId, RequestId, StageId, UserId};
use accede_domain::policy::SubjectSet;
use accede_domain::request::{Event, State};
use accede_domain::schedule;
use accede_store::approval_list::{self, Involved};
use accede_store::approvals::{self as rows, Approver, StageRow};
use accede_store::crash::{Point, point};
use accede_store::people;
use accede_store::requests::{self, Request};

use crate::deed::Deed;
use crate::list::ask;
use crate::{App, Caller, Error, Listing, Page, Result, audit, text};

/// Most approvers that are asked in one stage.
pub const MAX_APPROVERS: usize = 500;

/// An approval as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalView {
    /// The request's id is the approval's.
    pub request: RequestId,
    /// Its stages, in order.
    pub stages: Vec<StageView>,
}

/// A stage as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageView {
    /// The stage.
    pub row: StageRow,
    /// Whether the reader may decide it, now or when its turn comes.
    pub assigned_to_me: bool,
    /// Who may decide it.
    pub approvers: Vec<Approver>,
    /// The decider's name.
    pub reviewer: Option<String>,
}

/// What the caller has to do with the approvals of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// They are awaited now.
    Awaited,
    /// They are or were asked to decide a stage.
    Asked,
    /// The request is for them.
    About,
    /// The request is by them.
    By,
}

/// Makes the stages of a request and starts the first.
pub(crate) async fn start(deed: &mut Deed<'_, '_>, request: &Request) -> Result<()> {
    let stages = &request.terms.request_approval_settings.stages;
    let mut first = None;
    for (position, terms) in stages.iter().take(MAX_STAGES).enumerate() {
        let row = StageRow {
            id: deed.app.mint(deed.now),
            request: request.id,
            position: i64::try_from(position).unwrap_or(0),
            stage: Stage::waiting(),
            terms: terms.clone(),
            resolution: None,
            justification: None,
            reviewed_by: None,
            reviewed_at: None,
        };
        if position == 0 {
            first = Some(row);
        } else {
            rows::insert(deed.tx, &row).await?;
        }
    }
    let Some(mut row) = first else { return Ok(()) };
    let asked = ask_for(deed, request, &mut row).await?;
    rows::insert(deed.tx, &row).await?;
    tell_asked(deed, request, &row, asked).await
}

/// Starts the first of a request's stages that waits; says whether there was one.
async fn start_next(
    deed: &mut Deed<'_, '_>,
    request: &Request,
    stages: Vec<StageRow>,
) -> Result<bool> {
    let Some(mut row) = stages.into_iter().find(|row| row.stage.status == Status::Initializing)
    else {
        return Ok(false);
    };
    let asked = ask_for(deed, request, &mut row).await?;
    rows::save(deed.tx, &row).await?;
    tell_asked(deed, request, &row, asked).await?;
    Ok(true)
}

/// Who is asked in a stage that starts, how they were found, and by when they are to decide.
struct Asked {
    approvers: Vec<UserId>,
    resolution: String,
    due: Timestamp,
}

/// Starts a stage without writing anything.
async fn ask_for(deed: &mut Deed<'_, '_>, request: &Request, row: &mut StageRow) -> Result<Asked> {
    let due = row.terms.duration_before_automatic_denial.after(deed.now);
    let (stage, _) = approval::step(row.stage, approval::Event::Start { due }, deed.now)?;
    row.stage = stage;
    let (approvers, resolution) = resolve(deed, request, row).await?;
    row.resolution = Some(resolution.clone());
    Ok(Asked { approvers, resolution, due })
}

/// Names who may decide a stage that started, and writes that on the timeline.
async fn tell_asked(
    deed: &mut Deed<'_, '_>,
    request: &Request,
    row: &StageRow,
    asked: Asked,
) -> Result<()> {
    let Asked { approvers, resolution, due } = asked;
    rows::set_approvers(deed.tx, row.id, &approvers).await?;
    let detail = format!("stage {}: {resolution}; to be decided by {due}", row.position + 1);
    deed.note(request, "approversAsked", detail).await
}

/// Who is asked in a stage, and how they were found.
///
/// Nobody decides about their own access: the requestor and the beneficiary are left out, whatever
/// group or reporting line names them. Nobody left means waiting for the deadline, never approval.
async fn resolve(
    deed: &mut Deed<'_, '_>,
    request: &Request,
    row: &StageRow,
) -> Result<(Vec<UserId>, String)> {
    let mut own: Vec<UserId> = Vec::new();
    let mut subjects = vec![request.requestor, request.subject];
    subjects.dedup();
    for subject in subjects {
        if let Some(facts) = people::by_subject(deed.tx, subject).await? {
            own.push(facts.user);
        }
    }
    let primary = gather(deed, request, &row.terms.primary_approvers, &own).await?;
    if !primary.is_empty() {
        let text = asked(primary.len(), "approver");
        return Ok((primary, text));
    }
    let fallback = gather(deed, request, &row.terms.fallback_primary_approvers, &own).await?;
    if fallback.is_empty() {
        return Ok((
            fallback,
            "no approver could be found, so nobody can decide it; the request expires undecided"
                .to_owned(),
        ));
    }
    let text = format!(
        "no primary approver could be found (no manager, an empty group, or the person themself); \
         {}",
        asked(fallback.len(), "fallback approver")
    );
    Ok((fallback, text))
}

fn asked(count: usize, whom: &str) -> String {
    match count {
        1 => format!("1 {whom} is asked"),
        _ => format!("{count} {whom}s are asked"),
    }
}

async fn gather(
    deed: &mut Deed<'_, '_>,
    request: &Request,
    sets: &[SubjectSet],
    own: &[UserId],
) -> Result<Vec<UserId>> {
    let mut found: Vec<UserId> = Vec::new();
    for set in sets {
        match set {
            SubjectSet::SingleUser { user, .. } => {
                let active = people::by_user(deed.tx, *user).await?;
                found.extend(active.filter(|facts| facts.is_active).map(|facts| facts.user));
            }
            SubjectSet::GroupMembers { group, .. } => {
                found.extend(people::active_members(deed.tx, *group, MAX_APPROVERS).await?);
            }
            SubjectSet::RequestorManager { level } => {
                if let Some(requestor) = people::by_subject(deed.tx, request.requestor).await? {
                    found.extend(people::manager(deed.tx, requestor.user, *level).await?);
                }
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found.retain(|user| !own.contains(user));
    found.truncate(MAX_APPROVERS);
    Ok(found)
}

/// Closes the stages of a request that ended.
pub(crate) async fn close(deed: &mut Deed<'_, '_>, request: &Request) -> Result<()> {
    for mut row in rows::of_request(deed.tx, request.id).await? {
        let (stage, _) = approval::step(row.stage, approval::Event::Close, deed.now)?;
        if stage != row.stage {
            row.stage = stage;
            rows::save(deed.tx, &row).await?;
        }
    }
    Ok(())
}

impl App {
    /// Records an approver's decision on a stage.
    ///
    /// # Errors
    ///
    /// Not found for people who have nothing to do with the request; forbidden for those who see it
    /// but are not approvers of the stage, whatever their roles; refused when the stage was decided,
    /// is not open, or wants a justification.
    pub async fn decide(
        &self,
        caller: &Caller,
        id: RequestId,
        stage: StageId,
        decision: Decision,
        justification: Option<&str>,
    ) -> Result<()> {
        let now = self.now();
        caller.require_user()?;
        caller.may_act_for_self()?;
        self.store()
            .write(async |tx| {
                let place = seen(tx, caller, id).await?;
                let justification = text::justification(justification)?;
                people::lock(tx, place.subject).await?;
                let request = requests::lock(tx, id).await?;
                let mut deed = Deed { app: self, tx, caller, now };
                deed.decide(request, place.catalog, stage, decision, justification.as_deref()).await
            })
            .await?;
        point(Point::ApprovalDecided);
        self.wake();
        Ok(())
    }

    /// The approval of a request, for those involved in it and those who may read it.
    ///
    /// # Errors
    ///
    /// Not found for everybody else.
    pub async fn get_approval(&self, caller: &Caller, id: RequestId) -> Result<ApprovalView> {
        self.store()
            .read(async |tx| {
                seen(tx, caller, id).await?;
                view(tx, id, caller.user()).await
            })
            .await
    }

    /// Approvals that the caller has to do with, newest first; those that await them, oldest first.
    ///
    /// # Errors
    ///
    /// Forbidden for applications; invalid, for a filter or order this list does not have.
    pub async fn list_approvals(
        &self,
        caller: &Caller,
        part: Part,
        listing: &Listing,
    ) -> Result<Page<ApprovalView>> {
        let (user, subject) = caller.require_user()?;
        caller.may_act_for_self()?;
        let involved = match part {
            Part::Awaited => Involved::Awaited(user),
            Part::Asked => Involved::Asked(user),
            Part::About => Involved::About(subject),
            Part::By => Involved::By(subject),
        };
        let mut listing = listing.clone();
        if part == Part::Awaited && listing.order.is_empty() {
            listing.order = parse_order("createdDateTime asc").map_err(Error::internal)?;
        }
        self.store()
            .read(async |tx| {
                let ask = ask(&listing)?;
                let found = approval_list::page(tx, involved, ask, listing.count).await?;
                let items = views(tx, &found.items, Some(user)).await?;
                Ok(Page { items, next: found.next, count: found.count })
            })
            .await
    }
}

/// Where a request belongs whose approval the caller may see; to whom it is nothing, it is not there.
async fn seen(
    tx: &mut accede_store::Tx<'_>,
    caller: &Caller,
    id: RequestId,
) -> Result<requests::Place> {
    let missing = || Error::not_found("approval", id);
    let place = requests::place(tx, id).await?.ok_or_else(missing)?;
    let mine = [place.subject, place.requestor];
    let involved = match caller.user() {
        Some(user) => {
            caller.subject().is_some_and(|subject| mine.contains(&subject))
                || rows::involves(tx, id, user).await?
        }
        None => false,
    };
    let action = accede_domain::permission::Action::ReadRequests;
    if involved || caller.reach(action).includes(place.catalog) {
        Ok(place)
    } else {
        Err(missing())
    }
}

pub(crate) async fn view(
    tx: &mut accede_store::Tx<'_>,
    id: RequestId,
    reader: Option<UserId>,
) -> Result<ApprovalView> {
    let found = views(tx, &[id], reader).await?;
    Ok(found.into_iter().next().unwrap_or(ApprovalView { request: id, stages: Vec::new() }))
}

async fn views(
    tx: &mut accede_store::Tx<'_>,
    ids: &[RequestId],
    reader: Option<UserId>,
) -> Result<Vec<ApprovalView>> {
    let rows = rows::of_requests(tx, ids).await?;
    let stages: Vec<StageId> = rows.iter().map(|row| row.id).collect();
    let mut approvers: HashMap<StageId, Vec<Approver>> = HashMap::new();
    for (stage, approver) in rows::approvers_of(tx, &stages).await? {
        approvers.entry(stage).or_default().push(approver);
    }
    let reviewers: BTreeSet<UserId> = rows.iter().filter_map(|row| row.reviewed_by).collect();
    let names = people::names(tx, &Vec::from_iter(reviewers)).await?;
    let names: HashMap<UserId, String> = names.into_iter().collect();
    let mut of: HashMap<RequestId, Vec<StageView>> = HashMap::new();
    for row in rows {
        let approvers = approvers.remove(&row.id).unwrap_or_default();
        of.entry(row.request).or_default().push(StageView {
            assigned_to_me: reader
                .is_some_and(|user| approvers.iter().any(|approver| approver.user == user)),
            approvers,
            reviewer: row.reviewed_by.and_then(|user| names.get(&user).cloned()),
            row,
        });
    }
    let view =
        |id: &RequestId| ApprovalView { request: *id, stages: of.remove(id).unwrap_or_default() };
    Ok(ids.iter().map(view).collect())
}

impl Deed<'_, '_> {
    async fn decide(
        &mut self,
        mut request: Request,
        catalog: CatalogId,
        stage: StageId,
        decision: Decision,
        justification: Option<&str>,
    ) -> Result<()> {
        let (user, _) = self.caller.require_user()?;
        let own = self.caller.subject();
        let mine = own == Some(request.subject) || own == Some(request.requestor);
        let mut stages = rows::of_request(self.tx, request.id).await?;
        let row = stages.iter_mut().find(|row| row.id == stage);
        let row = row.ok_or_else(|| Error::not_found("approval stage", stage))?;
        let approvers = rows::approvers(self.tx, stage).await?;
        // The set was pinned when the stage started; whether its member may still decide is asked
        // now.
        let listed = approvers.iter().any(|approver| approver.user == user);
        let active = people::by_user(self.tx, user).await?.is_some_and(|facts| facts.is_active);
        if !listed || mine || !active {
            return Err(Error::Forbidden {
                need: "to be an approver of this stage; nobody decides about their own access"
                    .to_owned(),
            });
        }
        if row.terms.is_approver_justification_required
            && justification.is_none()
            && row.stage.status == Status::InProgress
        {
            return Err(accede_domain::refusal::Refusal::JustificationRequired.into());
        }
        let event = approval::Event::Decide(decision);
        let (next, verdict) = approval::step(row.stage, event, self.now)?;
        row.stage = next;
        row.justification = justification.map(str::to_owned);
        row.reviewed_by = Some(user);
        row.reviewed_at = Some(self.now);
        rows::save(self.tx, row).await?;
        let record = audit::Event {
            action: "approval decided",
            object_type: "approvalStage",
            object_id: stage.to_string(),
            catalog: Some(catalog),
            detail: serde_json::json!({
                "request": request.id,
                "result": next.result.name(),
                "justification": justification,
            }),
        };
        audit::record(self.app, self.tx, self.caller, record, self.now).await?;
        let mut why = format!("stage {}", row.position + 1);
        if let Some(justification) = justification {
            why.push_str(": ");
            why.push_str(justification);
        }
        match verdict {
            Verdict::Passed => {
                self.note(&request, "stageApproved", why).await?;
                if !start_next(self, &request, stages).await? {
                    self.accept(&mut request).await?;
                }
                Ok(())
            }
            Verdict::Denied => self.advance(&mut request, Event::Deny, Some(why)).await,
            Verdict::Waiting | Verdict::TimedOut => Ok(()),
        }
    }

    /// Accepts a request that its last stage approved: its period counts from now.
    async fn accept(&mut self, request: &mut Request) -> Result<()> {
        let (allowed, asked) = (&request.terms.expiration, &request.schedule);
        let period = schedule::period(allowed, asked, false, self.now);
        (request.begins, request.end) = (Some(period.start), period.end);
        self.advance(request, Event::Accept { start: request.begins }, None).await
    }

    /// Denies a request whose open stage nobody decided in time; says whether it did.
    pub(crate) async fn time_out(&mut self, mut request: Request) -> Result<bool> {
        if request.state != State::PendingApproval {
            return Ok(false);
        }
        for mut row in rows::of_request(self.tx, request.id).await? {
            let Ok((stage, Verdict::TimedOut)) =
                approval::step(row.stage, approval::Event::TimeOut, self.now)
            else {
                continue;
            };
            row.stage = stage;
            rows::save(self.tx, &row).await?;
            let why = format!("nobody decided stage {} in time", row.position + 1);
            self.advance(&mut request, Event::TimeOut, Some(why)).await?;
            return Ok(true);
        }
        Ok(false)
    }
}
