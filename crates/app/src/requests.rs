//! Assignment requests: submit, read, list, cancel, reprocess, delete.

use accede_domain::id::{
    AssignmentId, CatalogId, PackageId, PolicyId, RequestId, SubjectId, UserId,
};
use accede_domain::permission::Action;
use accede_domain::policy::{self, Asking, Policy, QuestionKind, Terms};
use accede_domain::refusal::Refusal;
use accede_domain::request::{self, Event, State, Type, Wish, window_end};
use accede_domain::schedule::{self, Schedule};
use accede_domain::{Timestamp, permission::Reach};
use accede_store::crash::{Point, point};
use accede_store::people::{self, Facts};
use accede_store::request_list;
use accede_store::requests;
use accede_store::{approvals as stages, assignments, catalogs, packages, policies};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::creations::{self, Repeat};
use crate::deed::Deed;
use crate::list::{Listing, ask};
use crate::text::check_justification;
use crate::{App, Caller, Error, Page, Result, audit};

pub use accede_store::request_list::{Narrowing, Somebody, Summary, Whose};
pub use accede_store::requests::Request;

/// Longest answer to a question, in characters.
pub const MAX_ANSWER: usize = 4_000;

/// Whom a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForWhom {
    /// The caller.
    Caller,
    /// The person with this object id.
    User(UserId),
    /// The person with this mail address or sign-in name.
    Email(String),
}

/// An answer to a policy's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Which question.
    pub question: Uuid,
    /// What was answered; for choices the chosen `actualValue`s, joined by `;`.
    pub value: String,
    /// How it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// A request to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// What is asked for.
    pub request_type: Type,
    /// For whom (adding).
    pub target: ForWhom,
    /// Which package (adding).
    pub package: Option<PackageId>,
    /// Under which policy (adding).
    pub policy: Option<PolicyId>,
    /// Which assignment (removing).
    pub assignment: Option<AssignmentId>,
    /// For which period.
    pub schedule: Schedule,
    /// Why.
    pub justification: Option<String>,
    /// Answers to the policy's questions.
    pub answers: Vec<Answer>,
}

/// Whether something may be done with a request, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum May {
    /// Yes.
    Yes,
    /// No: a machine code and a sentence for the reader.
    No {
        /// Machine code, such as `RequestNotReprocessable`.
        code: &'static str,
        /// Why not, and what to do instead.
        why: String,
    },
}

impl May {
    /// From what a rule says.
    pub fn of(outcome: Result<(), Refusal>) -> May {
        match outcome {
            Ok(()) => May::Yes,
            Err(refusal) => May::No { code: refusal.code(), why: refusal.to_string() },
        }
    }

    /// Whether it may be done.
    pub const fn is_yes(&self) -> bool {
        matches!(self, May::Yes)
    }
}

/// A request as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestView {
    /// The request with its names.
    pub summary: Summary,
    /// Deliveries that are not as wanted.
    pub undelivered: usize,
    /// Why, in words; the distinct messages, at most three.
    pub causes: Vec<String>,
    /// When the window for reprocessing closes, for requests that can be reprocessed.
    pub window_ends: Option<Timestamp>,
    /// Whether it may be reprocessed now, by somebody who may.
    pub reprocess: May,
    /// Whether a revocation of it is stuck.
    pub is_stuck: bool,
}

/// Most causes shown beside a request in a list.
const CAUSES_SHOWN: usize = 3;

impl App {
    /// Submits a request.
    ///
    /// # Errors
    ///
    /// Not found for what the caller may not see; forbidden; refused by the rules (no policy, open
    /// request, separation of duties, …); invalid, with the property at fault.
    pub async fn submit_request(&self, caller: &Caller, new: NewRequest) -> Result<Request> {
        self.submit_request_once(caller, new, None).await
    }

    /// Submits a request that may be sent again: the second time answers with what the first made.
    ///
    /// # Errors
    ///
    /// Like [`App::submit_request`]; a duplicate when the key was used for something else.
    pub async fn submit_request_once(
        &self,
        caller: &Caller,
        new: NewRequest,
        repeat: Option<&Repeat>,
    ) -> Result<Request> {
        let now = self.now();
        let id: RequestId = self.mint(now);
        check_justification(new.justification.as_deref())?;
        let request = self
            .store()
            .write(async |tx| {
                if let Some(before) = creations::begin(tx, caller, repeat, id, now).await?
                    && let Some(before) = requests::get(tx, before).await?
                {
                    return Ok(before);
                }
                let mut deed = Deed { app: self, tx, caller, now };
                match new.request_type.wish() {
                    Wish::Add => deed.submit_add(id, &new).await,
                    Wish::Remove => deed.submit_remove(id, &new).await,
                }
            })
            .await?;
        point(Point::RequestSubmitted);
        self.wake();
        Ok(request)
    }

    /// Withdraws a request: its own requestor while nothing was decided or delivery failed, others
    /// by their role on the catalog.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, or refused in states that cannot be canceled.
    pub async fn cancel_request(&self, caller: &Caller, id: RequestId) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let place = visible(tx, caller, id).await?;
                let own = caller
                    .subject()
                    .is_some_and(|subject| subject == place.requestor || subject == place.subject);
                if own {
                    caller.may_act_for_self()?;
                } else {
                    may_on_request(caller, Action::CancelOthers, place.catalog, id)?;
                }
                people::lock(tx, place.subject).await?;
                let mut request = requests::lock(tx, id).await?;
                let mut deed = Deed { app: self, tx, caller, now };
                deed.advance(&mut request, Event::Cancel, None).await
            })
            .await?;
        self.wake();
        Ok(())
    }

    /// Tries a request's undelivered roles again. Asking twice is asking once.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, or refused: wrong state, too late, no longer deliverable.
    pub async fn reprocess_request(&self, caller: &Caller, id: RequestId) -> Result<()> {
        let now = self.now();
        let is_reopened = self
            .store()
            .write(async |tx| {
                let place = visible(tx, caller, id).await?;
                may_on_request(caller, Action::Reprocess, place.catalog, id)?;
                people::lock(tx, place.subject).await?;
                let request = requests::lock(tx, id).await?;
                let is_reopened = request.state.is_reprocessable();
                let mut deed = Deed { app: self, tx, caller, now };
                deed.reprocess(request).await?;
                Ok::<_, Error>(is_reopened)
            })
            .await?;
        if is_reopened {
            // Who asks for it may have mended the target just now.
            self.hurry_circuits(None).await;
        }
        self.wake();
        Ok(())
    }

    /// Whether the caller may give an assignment back now, and if not, why.
    ///
    /// # Errors
    ///
    /// Not found or forbidden for those whose access it is not.
    pub async fn may_give_back(&self, caller: &Caller, id: AssignmentId) -> Result<May> {
        let now = self.now();
        self.store()
            .read(async |tx| {
                let missing = || Error::not_found("assignment", id);
                let found = assignments::get(tx, id).await?.ok_or_else(missing)?;
                let catalog = assignments::catalog_of(tx, id).await?.ok_or_else(missing)?;
                let mut deed = Deed { app: self, tx, caller, now };
                match deed.may_give_back(found.subject, found.policy, catalog, id).await {
                    Ok(()) => {}
                    Err(Error::Refused(refusal)) => return Ok(May::of(Err(refusal))),
                    Err(error) => return Err(error),
                }
                let open = requests::open_of(deed.tx, found.subject, found.package).await?;
                let other = open.filter(|open| !gives(open, id));
                Ok(May::of(other.map_or(Ok(()), |open| Err(Refusal::RequestOpen(open.id)))))
            })
            .await
    }

    /// A page of requests.
    ///
    /// # Errors
    ///
    /// Invalid, for a filter or order this list does not have; forbidden, when nothing is in reach.
    pub async fn list_requests(
        &self,
        caller: &Caller,
        whose: Whose,
        narrowing: &Narrowing,
        listing: &Listing,
    ) -> Result<Page<RequestView>> {
        let now = self.now();
        let whose = readable(caller, whose)?;
        self.store()
            .read(async |tx| {
                let found =
                    request_list::page(tx, &whose, narrowing, ask(listing)?, listing.count).await?;
                let mut items = Vec::with_capacity(found.items.len());
                for summary in found.items {
                    items.push(self.view(tx, summary, now).await?);
                }
                Ok(Page { items, next: found.next, count: found.count })
            })
            .await
    }

    /// One request, for its requestor, its beneficiary, its approvers and those who may read the
    /// catalog's requests.
    ///
    /// # Errors
    ///
    /// Not found for everybody else.
    pub async fn get_request(&self, caller: &Caller, id: RequestId) -> Result<RequestView> {
        let now = self.now();
        self.store()
            .read(async |tx| {
                visible(tx, caller, id).await?;
                let summary = request_list::get(tx, id).await?;
                let summary = summary.ok_or_else(|| Error::not_found("assignment request", id))?;
                self.view(tx, summary, now).await
            })
            .await
    }

    /// Deletes the record of a finished request. Access stays.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, or refused while it is open or its assignment lives.
    pub async fn delete_request(&self, caller: &Caller, id: RequestId) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let place = visible(tx, caller, id).await?;
                may_on_request(caller, Action::DeleteRequest, place.catalog, id)?;
                people::lock(tx, place.subject).await?;
                let request = requests::lock(tx, id).await?;
                let live = match request.assignment {
                    Some(assignment) => assignments::get(tx, assignment)
                        .await?
                        .is_some_and(|row| row.expired().is_none()),
                    None => false,
                };
                if request.state.completed().is_none() || live {
                    return Err(Refusal::InUse {
                        code: "RequestInUse",
                        what: "a request",
                        reason: if live {
                            "its assignment exists".to_owned()
                        } else {
                            format!("it is {}", request.state.name())
                        },
                        advice: "wait until it is over, or cancel it or remove its assignment first",
                    }
                    .into());
                }
                requests::delete(tx, id).await?;
                let record = audit::Event {
                    action: "request record deleted",
                    object_type: "accessPackageAssignmentRequest",
                    object_id: id.to_string(),
                    catalog: Some(place.catalog),
                    detail: serde_json::json!({ "state": request.state.name() }),
                };
                audit::record(self, tx, caller, record, now).await
            })
            .await
    }

    /// Adds what a list or a page shows beside a request.
    pub(crate) async fn view(
        &self,
        tx: &mut accede_store::Tx<'_>,
        summary: Summary,
        now: Timestamp,
    ) -> Result<RequestView> {
        let state = summary.request.state;
        let window = self.settings().reprocess_window;
        let mut view = RequestView {
            undelivered: 0,
            causes: Vec::new(),
            window_ends: None,
            reprocess: May::of(request::step(state, Event::Reprocess { window }, now).map(drop)),
            is_stuck: false,
            summary,
        };
        match state {
            State::Delivering { .. } => {
                view.reprocess = May::No {
                    code: "RequestDelivering",
                    why: "it is being delivered at present; what failed is tried again by itself"
                        .to_owned(),
                };
            }
            State::Canceling { .. } => {
                view.reprocess = May::No {
                    code: "RequestCanceling",
                    why: "it is being canceled; what it gave is taken back".to_owned(),
                };
            }
            _ => {}
        }
        if state.is_reprocessable() {
            view.window_ends = state.first_completed().and_then(|first| window_end(first, window));
        }
        let unsettled = state.is_reprocessable()
            || matches!(state, State::Delivering { .. } | State::Canceling { .. });
        if let (true, Some(assignment)) = (unsettled, view.summary.request.assignment) {
            for edge in accede_store::deliveries::of_assignment(tx, assignment).await? {
                let delivery = &edge.row.delivery;
                if delivery.part() == accede_domain::rollup::Part::Done {
                    continue;
                }
                view.undelivered += 1;
                view.is_stuck |= delivery.is_stuck(now);
                if let Some(fault) = &edge.row.fault
                    && view.causes.len() < CAUSES_SHOWN
                    && !view.causes.contains(&fault.message)
                {
                    view.causes.push(fault.message.clone());
                }
            }
        }
        if let Some((_, text)) = &view.summary.request.block
            && matches!(state, State::DeliveryFailed { .. })
        {
            view.causes.push(text.clone());
        }
        Ok(view)
    }
}

/// Where a request belongs, if the caller may know that it exists.
pub(crate) async fn visible(
    tx: &mut accede_store::Tx<'_>,
    caller: &Caller,
    id: RequestId,
) -> Result<requests::Place> {
    let missing = || Error::not_found("assignment request", id);
    let place = requests::place(tx, id).await?.ok_or_else(missing)?;
    let own = caller
        .subject()
        .is_some_and(|subject| subject == place.subject || subject == place.requestor);
    let approver = match caller.user() {
        Some(user) if !own => stages::involves(tx, id, user).await?,
        _ => false,
    };
    if own || approver || caller.reach(Action::ReadRequests).includes(place.catalog) {
        Ok(place)
    } else {
        Err(missing())
    }
}

/// Refuses unless the caller may do this to a request that they see.
pub(crate) fn may_on_request(
    caller: &Caller,
    action: Action,
    catalog: CatalogId,
    _id: RequestId,
) -> Result<()> {
    if caller.reach(action).includes(catalog) { Ok(()) } else { Err(caller.lacks(action)) }
}

/// Whose requests the caller may read at all.
pub(crate) fn readable(caller: &Caller, whose: Whose) -> Result<Whose> {
    match whose {
        Whose::Reach(_) => {
            let reach: Reach = caller.may_somewhere(Action::ReadRequests)?;
            Ok(Whose::Reach(reach))
        }
        own => {
            caller.require_user()?;
            caller.may_act_for_self()?;
            Ok(own)
        }
    }
}

impl Deed<'_, '_> {
    /// Reprocesses a locked request; the rules are asked anew, approval is not.
    pub(crate) async fn reprocess(&mut self, mut request: Request) -> Result<()> {
        let window = self.app.settings().reprocess_window;
        let event = Event::Reprocess { window };
        // The state and the window speak first: they are what the reader can see.
        request::step(request.state, event, self.now)?;
        if request.state.is_reprocessable() {
            self.check_alone(&request).await?;
        }
        if request.state.is_reprocessable() && request.request_type.wish() == Wish::Add {
            if let Some(obstacle) = self.obstacle(&request).await? {
                return Err(Refusal::NoLongerDeliverable(obstacle).into());
            }
            if let Some(target) = self.paused_target(&request).await? {
                let obstacle = accede_domain::refusal::Obstacle::TargetPaused(target);
                return Err(Refusal::NoLongerDeliverable(obstacle).into());
            }
        }
        self.advance_alone(&mut request, event).await
    }

    /// A paused target in which something of the request is not delivered.
    async fn paused_target(&mut self, request: &Request) -> Result<Option<String>> {
        let Some(assignment) = request.assignment else { return Ok(None) };
        Ok(accede_store::deliveries::paused_target(self.tx, assignment).await?)
    }

    async fn submit_add(&mut self, id: RequestId, new: &NewRequest) -> Result<Request> {
        let package = new.package.ok_or_else(|| {
            Error::invalid("assignment.accessPackageId", "name the access package")
        })?;
        let administrator = new.request_type == Type::AdminAdd;
        let missing = || Error::not_found("access package", package);
        let catalog = packages::catalog_of(self.tx, package).await?.ok_or_else(missing)?;
        if administrator {
            let what = "access package";
            self.caller.may_on(Action::Assign, catalog, Action::ReadCatalog, what, package)?;
        } else {
            self.caller.require_user()?;
            self.caller.may_act_for_self()?;
        }
        let person = self.beneficiary(new, administrator).await?;
        people::lock(self.tx, person.subject).await?;
        // Whoever disables somebody holds the same lock: what was read before it may be over.
        let person = people::by_subject(self.tx, person.subject).await?.unwrap_or(person);
        if !person.is_active {
            return Err(Error::invalid(
                "assignment.targetId",
                "this person is disabled; enable them first",
            ));
        }
        let policies = policies::of_package(self.tx, package).await?;
        let policy = if administrator {
            named_policy(&policies, new.policy)?
        } else {
            let published = catalogs::get(self.tx, catalog)
                .await?
                .is_some_and(|catalog| catalog.state == catalogs::State::Published);
            if !published {
                return Err(if self.caller.reach(Action::ReadCatalog).includes(catalog) {
                    Refusal::CatalogUnpublished.into()
                } else {
                    missing()
                });
            }
            let asking = if Some(person.subject) == self.caller.subject() {
                Asking::ForSelf
            } else {
                Asking::OnBehalf
            };
            let facts = people::policy_person(self.tx, &person).await?;
            policy::choose(&policies, new.policy, &facts, asking)?
        };
        self.check_open(&person, package).await?;
        if let Some(conflict) = self.conflict(person.subject, package).await? {
            return Err(Refusal::Incompatible(conflict).into());
        }
        let answers = check_answers(&policy.terms, &new.answers, administrator)?;
        let settings = &policy.terms.request_approval_settings;
        let justification =
            new.justification.as_deref().map(str::trim).filter(|text| !text.is_empty());
        if !administrator && settings.is_requestor_justification_required && justification.is_none()
        {
            return Err(Refusal::RequestorJustificationRequired.into());
        }
        let custom = policy.terms.requestor_settings.allow_custom_assignment_schedule;
        if new.schedule.is_custom() && !administrator && !custom {
            return Err(Error::invalid(
                "schedule",
                "this policy does not let requestors choose their own period; leave it out",
            ));
        }
        if let Some(start) = new.schedule.past_start(self.now) {
            return Err(Error::invalid(
                "schedule.startDateTime",
                format!("`{start}` is over; leave it out to begin at once, or name a later start"),
            ));
        }
        let period =
            schedule::resolve(&policy.terms.expiration, &new.schedule, administrator, self.now)?;
        let needs_approval = !administrator && settings.is_approval_required_for_add;
        let mut request = Request {
            id,
            request_type: new.request_type,
            subject: person.subject,
            // Graph describes the requestor of a direct assignment as the assigned person.
            requestor: match self.caller.subject() {
                Some(caller) if !administrator => caller,
                _ => person.subject,
            },
            package,
            policy: Some(policy.id),
            assignment: None,
            state: State::Submitted,
            // Who waits for an approval gets the whole period from then on.
            begins: Some(period.start).filter(|start| !needs_approval || self.now < *start),
            end: period.end.filter(|_| !needs_approval),
            schedule: new.schedule.clone(),
            // What was in force when it was asked for stays in force for it.
            terms: if needs_approval || !policy.terms.questions.is_empty() {
                Terms {
                    expiration: policy.terms.expiration.clone(),
                    request_approval_settings: settings.clone(),
                    questions: policy.terms.questions.clone(),
                    ..Terms::default()
                }
            } else {
                Terms::default()
            },
            justification: justification.map(str::to_owned),
            answers,
            block: None,
            created_at: self.now,
            version: 1,
        };
        let event = if needs_approval {
            Event::AskApprovers
        } else {
            Event::Accept { start: request.begins }
        };
        let moved = self.admit(&mut request, event).await?;
        self.note_submitted(&request).await?;
        self.go_on(&mut request, moved).await?;
        Ok(request)
    }

    async fn submit_remove(&mut self, request: RequestId, new: &NewRequest) -> Result<Request> {
        let id = new
            .assignment
            .ok_or_else(|| Error::invalid("assignment.id", "name the assignment to be removed"))?;
        let missing = || Error::not_found("assignment", id);
        let found = assignments::get(self.tx, id).await?.ok_or_else(missing)?;
        let catalog = assignments::catalog_of(self.tx, id).await?.ok_or_else(missing)?;
        if new.request_type == Type::AdminRemove {
            let read = Action::ReadRequests;
            self.caller.may_on(Action::Assign, catalog, read, "assignment", id)?;
        } else {
            self.may_give_back(found.subject, found.policy, catalog, id).await?;
        }
        people::lock(self.tx, found.subject).await?;
        let assignment = assignments::lock(self.tx, id).await?;
        let open = requests::open_of(self.tx, assignment.subject, assignment.package).await?;
        let mine = open.as_ref().is_some_and(|open| open.assignment == Some(id));
        if !assignment.state.is_live() && !mine {
            return Err(Refusal::AssignmentNotNow {
                state: assignment.state,
                event: accede_domain::assignment::Event::End,
            }
            .into());
        }
        if let Some(mut open) = open {
            if !gives(&open, id) {
                return Err(Refusal::RequestOpen(open.id).into());
            }
            // It is still being given: the removal takes over what that request has done so far.
            self.hand_over(&mut open, request).await?;
        }
        let mut request = Request {
            id: request,
            request_type: new.request_type,
            subject: assignment.subject,
            requestor: match self.caller.subject() {
                Some(caller) if new.request_type == Type::UserRemove => caller,
                _ => assignment.subject,
            },
            package: assignment.package,
            policy: assignment.policy,
            assignment: Some(id),
            state: State::Submitted,
            begins: None,
            end: None,
            schedule: Schedule::default(),
            terms: Terms::default(),
            justification: new.justification.clone(),
            answers: "[]".to_owned(),
            block: None,
            created_at: self.now,
            version: 1,
        };
        let moved = self.admit(&mut request, Event::Accept { start: None }).await?;
        self.note_submitted(&request).await?;
        self.go_on(&mut request, moved).await?;
        Ok(request)
    }

    async fn note_submitted(&mut self, request: &Request) -> Result<()> {
        let record = audit::Event {
            action: "request submitted",
            object_type: "accessPackageAssignmentRequest",
            object_id: request.id.to_string(),
            catalog: None,
            detail: serde_json::json!({
                "requestType": request.request_type.name(),
                "subject": request.subject,
                "accessPackage": request.package,
                "policy": request.policy,
            }),
        };
        audit::record(self.app, self.tx, self.caller, record, self.now).await?;
        let why = request.justification.clone().unwrap_or_default();
        self.note(request, "submitted", why).await
    }

    /// Whom an adding request is for.
    async fn beneficiary(&mut self, new: &NewRequest, administrator: bool) -> Result<Facts> {
        let found = match &new.target {
            ForWhom::Caller if administrator => {
                return Err(Error::invalid(
                    "assignment.targetId",
                    "name the person: `assignment.targetId`, `assignment.target.objectId` or \
                     `assignment.target.email`",
                ));
            }
            ForWhom::Caller => {
                let (user, _) = self.caller.require_user()?;
                people::by_user(self.tx, user).await?
            }
            ForWhom::User(user) => people::by_user(self.tx, *user).await?,
            ForWhom::Email(email) => people::by_email(self.tx, email).await?,
        };
        let named = match &new.target {
            ForWhom::Caller => "you".to_owned(),
            ForWhom::User(user) => user.to_string(),
            ForWhom::Email(email) => email.clone(),
        };
        let person = found.ok_or_else(|| Error::not_found("user", named))?;
        if !administrator && Some(person.subject) != self.caller.subject() {
            let (caller, _) = self.caller.require_user()?;
            if people::manager(self.tx, person.user, 1).await? != Some(caller) {
                return Err(Error::Forbidden {
                    need: "to be the person's manager; others cannot request for them".to_owned(),
                });
            }
        }
        Ok(person)
    }

    /// Refuses a second open request or a second assignment, naming the first.
    async fn check_open(&mut self, person: &Facts, package: PackageId) -> Result<()> {
        if let Some(open) = requests::open_of(self.tx, person.subject, package).await? {
            return Err(Refusal::RequestOpen(open.id).into());
        }
        if let Some(live) = assignments::live_of(self.tx, person.subject, package).await? {
            return Err(Refusal::AlreadyAssigned(live.id).into());
        }
        Ok(())
    }

    /// Whether the caller may give this assignment back.
    async fn may_give_back(
        &mut self,
        subject: SubjectId,
        policy: Option<PolicyId>,
        catalog: CatalogId,
        id: AssignmentId,
    ) -> Result<()> {
        let (user, own) = self.caller.require_user()?;
        self.caller.may_act_for_self()?;
        let beneficiary = people::by_subject(self.tx, subject).await?;
        let manages = match &beneficiary {
            Some(facts) if own != subject => {
                people::manager(self.tx, facts.user, 1).await? == Some(user)
            }
            _ => false,
        };
        if own != subject && !manages {
            return Err(if self.caller.reach(Action::ReadRequests).includes(catalog) {
                Error::Forbidden {
                    need: "to be the person who has it; administrators use `adminRemove`"
                        .to_owned(),
                }
            } else {
                Error::not_found("assignment", id)
            });
        }
        let settings = match policy {
            Some(policy) => policies::get(self.tx, policy).await?.map(|policy| policy.terms),
            None => None,
        };
        let settings = settings.unwrap_or_default().requestor_settings;
        let allowed = if manages {
            settings.enable_on_behalf_requestors_to_remove_access
        } else {
            settings.enable_targets_to_self_remove_access
        };
        if allowed {
            return Ok(());
        }
        let package = assignments::get(self.tx, id).await?.map(|assignment| assignment.package);
        Err(package.map_or_else(
            || Error::not_found("assignment", id),
            |package| Refusal::RemovalNotAllowed(package).into(),
        ))
    }
}

/// Whether a request is still giving what this assignment stands for: a removal takes over from it.
fn gives(open: &Request, assignment: AssignmentId) -> bool {
    open.request_type.wish() == Wish::Add
        && open.assignment == Some(assignment)
        && matches!(open.state, State::Delivering { .. })
}

/// The policy an administrator assigns under: the named one, or the only one there is.
fn named_policy(policies: &[Policy], named: Option<PolicyId>) -> Result<&Policy> {
    match (named, policies) {
        (Some(named), _) => policies
            .iter()
            .find(|policy| policy.id == named)
            .ok_or_else(|| Error::not_found("assignment policy of this access package", named)),
        (None, [only]) => Ok(only),
        (None, []) => Err(Error::invalid(
            "assignment.assignmentPolicyId",
            "this access package has no policy; create one first",
        )),
        (None, _) => Err(Error::invalid(
            "assignment.assignmentPolicyId",
            "this access package has several policies; name one",
        )),
    }
}

/// Checks the answers against the policy's questions; the JSON that is stored.
fn check_answers(terms: &Terms, answers: &[Answer], administrator: bool) -> Result<String> {
    for (n, answer) in answers.iter().enumerate() {
        let path = |part: &str| format!("answers[{n}].{part}");
        let question = terms.questions.iter().find(|question| question.id == answer.question);
        let question = question.ok_or_else(|| {
            Error::invalid(path("answeredQuestion.id"), "the policy asks no such question")
        })?;
        if MAX_ANSWER < answer.value.chars().count() {
            return Err(Error::invalid(path("value"), format!("at most {MAX_ANSWER} characters")));
        }
        if answer.value.is_empty() && !question.is_required {
            continue;
        }
        match &question.kind {
            QuestionKind::TextInput { regex_pattern: Some(pattern), .. } => {
                let whole = regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
                    .size_limit(1 << 20)
                    .build()
                    .map_err(|_| {
                        Error::invalid(
                            path("value"),
                            "the question's pattern is broken; tell the \
                            owner of the access package",
                        )
                    })?;
                if !whole.is_match(&answer.value) {
                    let sentence =
                        format!("the answer to `{}` must match `{pattern}`", question.text);
                    return Err(Error::invalid(path("value"), sentence));
                }
            }
            QuestionKind::TextInput { .. } => {}
            QuestionKind::MultipleChoice { choices, is_multiple_selection_allowed } => {
                let chosen: Vec<&str> = if *is_multiple_selection_allowed {
                    answer.value.split(';').map(str::trim).collect()
                } else {
                    vec![answer.value.as_str()]
                };
                let known =
                    |value: &&str| choices.iter().any(|choice| choice.actual_value == **value);
                if !chosen.iter().all(known) {
                    let list: Vec<&str> =
                        choices.iter().map(|choice| choice.actual_value.as_str()).collect();
                    let sentence = format!(
                        "the answer to `{}` must be one of {}",
                        question.text,
                        list.join(", ")
                    );
                    return Err(Error::invalid(path("value"), sentence));
                }
            }
        }
    }
    if !administrator {
        for question in terms.questions.iter().filter(|question| question.is_required) {
            let answered = answers
                .iter()
                .any(|answer| answer.question == question.id && !answer.value.trim().is_empty());
            if !answered {
                let sentence = format!("answer the required question `{}`", question.text);
                return Err(Error::invalid("answers", sentence));
            }
        }
    }
    serde_json::to_string(answers).map_err(Error::internal)
}
