//! Tasks: what a person is to give or take by hand, for targets that need people and for deliveries
//! that were handed to one.
//!
//! A task is a layer over a delivery. It is made in the transaction in which its delivery begins to
//! wait for a person, and closed in the one in which it stops to: by what the person says, by what is
//! seen in the target, or because something else is wanted by then.

use accede_domain::Timestamp;
use accede_domain::delivery::{Answer, Delivery, Observed};
use accede_domain::duration::Duration;
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{DeliveryId, GroupId, Id, TaskId, UserId};
use accede_domain::pending::{self, Accepted, Report};
use accede_domain::permission::Action;
use accede_domain::resolution;
use accede_domain::task::{self, Assignee, Order, Outcome, State};
use accede_store::deliveries::{self, DeliveryRow};
use accede_store::targets::TargetRow;
use accede_store::tasks::{self, Task};
use accede_store::{Tx, assignments, attempts, people, requests, targets, users};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::deed::Deed;
use crate::deliveries::Named;
use crate::list::{Listing, Page, ask};
use crate::resolutions::{Way, contradicted, refuse_own};
use crate::{App, Caller, Error, Principal, Result, audit, text};

pub use accede_store::tasks::{Named as NamedTask, Task as TaskRow, Waiting};

/// What it is called in errors and in the audit log.
const WHAT: &str = "task";
/// How long somebody has to whom a delivery is handed, if nobody says.
pub const DEFAULT_DUE_DAYS: u16 = 3;
/// Most tasks shown of one delivery.
pub const MAX_OF_DELIVERY: usize = 20;
/// Longest answer of a person that a fault repeats, in characters.
const MAX_REASON: usize = 300;

/// A task as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// The task and what it is about.
    pub named: NamedTask,
    /// Open, and past its due date.
    pub is_overdue: bool,
    /// Whether the reader may complete it.
    pub may_complete: bool,
    /// Whether the reader may give it to somebody else.
    pub may_reassign: bool,
}

/// Whose tasks a reader asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhoseTasks {
    /// Their own, and those of their groups.
    Mine,
    /// Those of all packages that they may read requests of.
    All,
}

/// What a person says who closes a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What came of it.
    pub outcome: Outcome,
    /// In words; must be given when it could not be done.
    pub note: Option<String>,
    /// The version of the task that they have seen, if nobody may have changed it since.
    pub expected: Option<i64>,
}

/// To whom something is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// Who: an object id of a user or a group, or a sign-in name.
    pub assignee: String,
    /// By when it is to be done.
    pub due: Option<Timestamp>,
    /// Why, or what is to be known.
    pub note: Option<String>,
}

/// Somebody in the directory who can have tasks.
struct Somebody {
    id: Uuid,
    is_group: bool,
    name: String,
}

impl App {
    /// A page of tasks, those due first come first. One's own need no role; the others are those of
    /// packages whose requests the caller may read.
    ///
    /// # Errors
    ///
    /// Forbidden; a filter, order or page that this list does not have.
    pub async fn list_tasks(
        &self,
        caller: &Caller,
        whose: WhoseTasks,
        listing: &Listing,
    ) -> Result<Page<TaskView>> {
        let now = self.now();
        let whose = match whose {
            WhoseTasks::Mine => {
                caller.may_act_for_self()?;
                tasks::Whose::Of(caller.require_user()?.0)
            }
            WhoseTasks::All => tasks::Whose::Reach(caller.may_somewhere(Action::ReadRequests)?),
        };
        self.store()
            .read(async |tx| {
                let found = tasks::page(tx, &whose, ask(listing)?, listing.count).await?;
                let mut items = Vec::with_capacity(found.items.len());
                for named in found.items {
                    items.push(view(tx, caller, named, now).await?);
                }
                Ok(Page { items, next: found.next, count: found.count })
            })
            .await
    }

    /// One task, for its assignee and for those who may read requests of its packages.
    ///
    /// # Errors
    ///
    /// Not found for everybody else.
    pub async fn get_task(&self, caller: &Caller, id: TaskId) -> Result<TaskView> {
        let now = self.now();
        self.store().read(async |tx| task_for(tx, caller, id, now).await).await
    }

    /// The newest tasks of a delivery that the caller may read.
    ///
    /// # Errors
    ///
    /// Not found for those who may not read it.
    pub async fn tasks_of_delivery(
        &self,
        caller: &Caller,
        id: DeliveryId,
    ) -> Result<Vec<TaskView>> {
        let now = self.now();
        self.get_delivery(caller, id).await?;
        self.store()
            .read(async |tx| {
                let mut found = Vec::new();
                for named in tasks::of_delivery(tx, id, MAX_OF_DELIVERY).await? {
                    found.push(view(tx, caller, named, now).await?);
                }
                Ok(found)
            })
            .await
    }

    /// How many tasks the caller is to do.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn my_waiting_tasks(&self, caller: &Caller) -> Result<Waiting> {
        let (Some(user), now) = (caller.user(), self.now()) else { return Ok(Waiting::default()) };
        self.store().read(async |tx| Ok(tasks::waiting_for(tx, user, now).await?)).await
    }

    /// Closes a task with what its assignee says of it, and settles its delivery by that. Where the
    /// target can be read, *done* is believed only if it is seen there.
    ///
    /// # Errors
    ///
    /// Not found; forbidden unless the caller is the assignee, and not the person whose access it is;
    /// invalid without a reason why it could not be done; refused when the task is over or the target
    /// contradicts; stale.
    pub async fn complete_task(
        &self,
        caller: &Caller,
        id: TaskId,
        completion: &Completion,
    ) -> Result<TaskView> {
        let before = self.get_task(caller, id).await?;
        let (user, _) = may_complete(caller, &before)?;
        let note = text::justification(completion.note.as_deref())?;
        if let Some(note) = &note {
            text::description("note", note)?;
        }
        if completion.outcome == Outcome::CouldNot && note.is_none() {
            return Err(Error::invalid("note", "cannot be blank; say why it could not be done"));
        }
        task::must_be_open(before.named.task.state)?;
        if completion.expected.is_some_and(|version| version != before.named.task.version) {
            return Err(Error::Stale);
        }
        let delivery = before.named.task.delivery;
        let row =
            self.store().read(async |tx| Ok::<_, Error>(deliveries::get(tx, delivery).await?));
        let row = row.await?.ok_or_else(|| Error::not_found(WHAT, id))?;
        let seen = match completion.outcome {
            Outcome::Done => self.look(&row).await?,
            Outcome::CouldNot => None,
        };
        let (outcome, now) = (completion.outcome, self.now());
        let is_contradicted = self
            .store()
            .write(async |tx| {
                people::lock(tx, row.key.subject).await?;
                let locked = deliveries::lock(tx, delivery).await?;
                let mut row = locked.ok_or_else(|| Error::not_found(WHAT, id))?;
                let mut task =
                    tasks::lock(tx, id).await?.ok_or_else(|| Error::not_found(WHAT, id))?;
                task::must_be_open(task.state)?;
                if completion.expected.is_some_and(|version| version != task.version) {
                    return Err(Error::Stale);
                }
                if !tasks::is_assigned(tx, id, user).await? {
                    return Err(not_yours());
                }
                let report = match outcome {
                    Outcome::Done => Report::Done,
                    Outcome::CouldNot => Report::CouldNot,
                };
                let retry = match targets::get(tx, row.key.target).await? {
                    Some(target) => self.retry_of(&target),
                    None => self.settings().retry,
                };
                let read = seen.map(|seen| seen.observed);
                if outcome == Outcome::Done {
                    resolution::may_be_believed(&row.delivery, read, now)?;
                }
                let settled =
                    pending::finish(row.delivery, task.generation, &report, read, &retry, now)?;
                if let Some(seen) = seen {
                    row.attempted_at = Some(now);
                    attempts::insert(tx, &self.read_outside(&row, seen, now)).await?;
                }
                if read.is_some() && settled == row.delivery {
                    // Who said so stands in the audit log, though nothing came of it.
                    let mut deed = Deed { app: self, tx, caller, now };
                    deed.audit_task("taskContradicted", &task, note.as_deref()).await?;
                    return Ok(true);
                }
                task.state = outcome.state();
                task.closed_by = Some(caller.name.clone());
                task.closed_at = Some(now);
                task.note = note.clone();
                tasks::save(tx, &mut task).await?;
                if outcome == Outcome::CouldNot {
                    let fault = could_not(note.as_deref().unwrap_or_default());
                    row.fault = Some(self.remember(tx, row.key.target, &fault, now).await?);
                }
                let kind = match outcome {
                    Outcome::Done => "taskDone",
                    Outcome::CouldNot => "taskFailed",
                };
                let why = told(&before.named, kind, note.as_deref());
                let mut deed = Deed { app: self, tx, caller, now };
                deed.audit_task(kind, &task, note.as_deref()).await?;
                deed.resolve(row, settled, kind, &why).await?;
                Ok(false)
            })
            .await?;
        if is_contradicted {
            return Err(contradicted(&row.delivery, Way::Task));
        }
        self.wake();
        self.get_task(caller, id).await
    }

    /// Gives a task to somebody else, by another date if one is given.
    ///
    /// # Errors
    ///
    /// Not found; forbidden unless the caller may reprocess in its packages; invalid when there is no
    /// such person or group, or it is their own access; refused when the task is over.
    pub async fn reassign_task(
        &self,
        caller: &Caller,
        id: TaskId,
        to: &Handover,
    ) -> Result<TaskView> {
        let before = self.get_task(caller, id).await?;
        task::must_be_open(before.named.task.state)?;
        if !before.may_reassign {
            return Err(caller.lacks(Action::Reprocess));
        }
        refuse_own(caller, before.named.subject)?;
        let note = text::justification(to.note.as_deref())?;
        let now = self.now();
        let asked = to.due.map(|at| due(Some(at), at, now)).transpose()?;
        self.store()
            .write(async |tx| {
                people::lock(tx, before.named.subject).await?;
                let mut task =
                    tasks::lock(tx, id).await?.ok_or_else(|| Error::not_found(WHAT, id))?;
                task::must_be_open(task.state)?;
                let due = asked.unwrap_or(task.due_at);
                let somebody = somebody(tx, &to.assignee, before.named.person.as_ref()).await?;
                if (task.assignee, task.due_at) == (somebody.id, due) {
                    return Ok(());
                }
                (task.assignee, task.is_group, task.due_at) = (somebody.id, somebody.is_group, due);
                tasks::save(tx, &mut task).await?;
                let mut deed = Deed { app: self, tx, caller, now };
                deed.audit_task("taskReassigned", &task, note.as_deref()).await?;
                let to = format!("now for {} until {due}", somebody.name);
                let why = told(&before.named, "taskReassigned", Some(&to));
                deed.note_concerned(task.delivery, "taskReassigned", &why).await
            })
            .await?;
        self.get_task(caller, id).await
    }

    /// Hands a delivery to a person: the target is not called for it until they say what came of it,
    /// somebody takes it back ([`App::retry_delivery`]), or something else is wanted.
    ///
    /// # Errors
    ///
    /// Not found, forbidden; invalid when there is no such person or group, or it is their own access;
    /// refused when there is nothing to do, a call may still take effect, or somebody has it already.
    pub async fn hand_to_person(
        &self,
        caller: &Caller,
        id: DeliveryId,
        to: &Handover,
    ) -> Result<TaskView> {
        let named = self.may_with_delivery(caller, id, Action::Reprocess).await?;
        refuse_own(caller, named.row.key.subject)?;
        let note = text::justification(to.note.as_deref())?.ok_or_else(|| {
            Error::invalid("justification", "cannot be blank; say what is to be done")
        })?;
        text::description("justification", &note)?;
        let now = self.now();
        let due = due(to.due, Duration::days(DEFAULT_DUE_DAYS).after(now), now)?;
        let task = self
            .store()
            .write(async |tx| {
                people::lock(tx, named.row.key.subject).await?;
                let locked = deliveries::lock(tx, id).await?;
                let row = locked.ok_or_else(|| Error::not_found("delivery", id))?;
                let target = targets::get(tx, row.key.target).await?;
                let target = target.ok_or_else(|| Error::not_found("delivery", id))?;
                // A target that cannot be opened cannot be looked at either.
                let can_observe =
                    self.hands().get(&target).is_ok_and(|connector| connector.can_observe());
                let handed =
                    pending::hand_over(row.delivery, can_observe, &self.retry_of(&target), now)?;
                let facts = people::by_subject(tx, row.key.subject).await?;
                let person =
                    facts.map(|facts| (facts.user, facts.display_name, facts.user_principal_name));
                let somebody = somebody(tx, &to.assignee, person.as_ref()).await?;
                let new = self.new_task(&row, handed, &somebody, Some(note.clone()), due, now);
                let new = Task { created_by: caller.name.clone(), ..new };
                let why =
                    format!("{}: handed to {} until {due}: {note}", role_of(&named), somebody.name);
                let mut deed = Deed { app: self, tx, caller, now };
                deed.audit_task("taskCreated", &new, Some(&note)).await?;
                deed.resolve(row, handed, "taskCreated", &why).await?;
                tasks::insert(deed.tx, &new).await?;
                Ok::<_, Error>(new.id)
            })
            .await?;
        self.get_task(caller, task).await
    }

    fn new_task(
        &self,
        row: &DeliveryRow,
        delivery: Delivery,
        somebody: &Somebody,
        instructions: Option<String>,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Task {
        Task {
            id: self.mint(now),
            delivery: row.id,
            generation: delivery.generation,
            is_grant: delivery.wanted,
            assignee: somebody.id,
            is_group: somebody.is_group,
            instructions,
            state: State::Open,
            created_by: Caller::system().name,
            created_at: now,
            due_at,
            closed_by: None,
            closed_at: None,
            note: None,
            version: 1,
        }
    }

    /// The fault that stands for an answer which asks for somebody who is not there; none otherwise.
    pub(crate) async fn lacks_assignee(
        &self,
        tx: &mut Tx<'_>,
        answer: &Answer,
    ) -> Result<Option<Answer>> {
        let Answer::Pending(Accepted::Person(order)) = answer else { return Ok(None) };
        let found = find(tx, &order.assignee).await?;
        Ok(found.is_none().then(|| {
            let text = "the `assignee` of this target is not in the directory; name another one";
            Answer::Fault(Fault::new(Class::Target, "no-assignee", text))
        }))
    }

    /// Checks that somebody whom settings name for tasks is in the directory.
    pub(crate) async fn check_assignee(&self, tx: &mut Tx<'_>, target: &TargetRow) -> Result<()> {
        let name = target.settings.get("assignee").and_then(Value::as_str);
        let (MANUAL, Some(name)) = (target.kind.as_str(), name) else { return Ok(()) };
        let found = match Assignee::parse(name) {
            Some(assignee) => find(tx, &assignee).await?,
            None => None,
        };
        match found {
            Some(_) => Ok(()),
            None => Err(Error::invalid("settings.assignee", NOBODY)),
        }
    }
}

/// The kind whose targets need people.
const MANUAL: &str = "manual";
const NOBODY: &str = "is no user or group of the directory; give an object id or a sign-in name";

impl Deed<'_, '_> {
    /// Makes and closes tasks as a delivery goes on: one is open exactly while it waits for a person.
    /// `answer` is what brought the change, if an answer did.
    pub(crate) async fn follow_tasks(
        &mut self,
        row: &DeliveryRow,
        before: &Delivery,
        answer: Option<&Answer>,
    ) -> Result<()> {
        let (waited, waits) =
            (pending::waits_for_person(before), pending::waits_for_person(&row.delivery));
        if waited && !waits {
            self.close_task(row, before).await?;
        }
        if let (Some(Answer::Pending(Accepted::Person(order))), true) = (answer, waits) {
            self.open_task(row, order).await?;
        }
        Ok(())
    }

    async fn open_task(&mut self, row: &DeliveryRow, order: &Order) -> Result<()> {
        if tasks::open_of(self.tx, row.id).await?.is_some() {
            return Ok(());
        }
        let Some(somebody) = find(self.tx, &order.assignee).await? else { return Ok(()) };
        let (due, words) = (order.due.after(self.now), order.instructions.clone());
        let new = self.app.new_task(row, row.delivery, &somebody, words, due, self.now);
        tasks::insert(self.tx, &new).await?;
        self.audit_task("taskCreated", &new, None).await?;
        if let Some(named) = tasks::get(self.tx, new.id).await? {
            let to = format!("for {} until {due}", somebody.name);
            let why = told(&named, "taskCreated", Some(&to));
            self.note_concerned(row.id, "taskCreated", &why).await?;
        }
        Ok(())
    }

    async fn close_task(&mut self, row: &DeliveryRow, before: &Delivery) -> Result<()> {
        let Some(mut task) = tasks::open_of(self.tx, row.id).await? else { return Ok(()) };
        let why = if before.generation != row.delivery.generation {
            "something else is wanted by now"
        } else if row.delivery.is_so() {
            "the target was seen to be as wanted"
        } else {
            "it is not to be done by hand any more"
        };
        task.state = State::Withdrawn;
        task.closed_by = Some(self.caller.name.clone());
        task.closed_at = Some(self.now);
        task.note = Some(why.to_owned());
        tasks::save(self.tx, &mut task).await?;
        self.audit_task("taskWithdrawn", &task, Some(why)).await?;
        if let Some(named) = tasks::get(self.tx, task.id).await? {
            let why = told(&named, "taskWithdrawn", Some(why));
            self.note_concerned(row.id, "taskWithdrawn", &why).await?;
        }
        Ok(())
    }

    /// Writes a line on the timeline of every request under way that a delivery is part of.
    async fn note_concerned(&mut self, id: DeliveryId, kind: &str, why: &str) -> Result<()> {
        for assignment in assignments::concerned(self.tx, id).await? {
            for request in requests::under_way(self.tx, assignment).await? {
                self.note(&request, kind, why.to_owned()).await?;
            }
        }
        Ok(())
    }

    async fn audit_task(&mut self, kind: &str, task: &Task, note: Option<&str>) -> Result<()> {
        let action = match kind {
            "taskCreated" => "task created",
            "taskReassigned" => "task reassigned",
            "taskWithdrawn" => "task withdrawn",
            "taskDone" => "task done",
            "taskContradicted" => "task said to be done",
            _ => "task could not be done",
        };
        let event = audit::Event {
            action,
            object_type: WHAT,
            object_id: task.id.to_string(),
            catalog: None,
            detail: json!({
                "delivery": task.delivery,
                "generation": task.generation,
                "wanted": task.is_grant,
                "assignee": task.assignee,
                "due": task.due_at.to_string(),
                "note": note,
            }),
        };
        audit::record(self.app, self.tx, self.caller, event, self.now).await
    }
}

async fn view(
    tx: &mut Tx<'_>,
    caller: &Caller,
    named: NamedTask,
    now: Timestamp,
) -> Result<TaskView> {
    let task = &named.task;
    let is_open = task.state == State::Open;
    let is_own = caller.subject() == Some(named.subject);
    let is_assignee = match caller.user() {
        Some(user) => is_open && tasks::is_assigned(tx, task.id, user).await?,
        None => false,
    };
    let catalogs = deliveries::catalogs_of(tx, task.delivery).await?;
    let reach = caller.reach(Action::Reprocess);
    Ok(TaskView {
        is_overdue: task::is_overdue(task.state, task.due_at, now),
        may_complete: is_assignee && !is_own && caller.may_act_for_self().is_ok(),
        may_reassign: is_open && catalogs.iter().any(|catalog| reach.includes(*catalog)),
        named,
    })
}

async fn task_for(
    tx: &mut Tx<'_>,
    caller: &Caller,
    id: TaskId,
    now: Timestamp,
) -> Result<TaskView> {
    let missing = || Error::not_found(WHAT, id);
    let named = tasks::get(tx, id).await?.ok_or_else(missing)?;
    let catalogs = deliveries::catalogs_of(tx, named.task.delivery).await?;
    let reach = caller.reach(Action::ReadRequests);
    let is_theirs = match caller.user() {
        Some(user) if caller.may_act_for_self().is_ok() => tasks::is_assigned(tx, id, user).await?,
        _ => false,
    };
    if is_theirs || catalogs.iter().any(|catalog| reach.includes(*catalog)) {
        view(tx, caller, named, now).await
    } else {
        Err(missing())
    }
}

fn not_yours() -> Error {
    Error::Forbidden {
        need:
            "the person to whom the task is assigned, or a member of the group; reassign it first"
                .to_owned(),
    }
}

/// The person who closes a task: its assignee, and never for their own access.
fn may_complete(
    caller: &Caller,
    task: &TaskView,
) -> Result<(UserId, accede_domain::id::SubjectId)> {
    caller.may_act_for_self()?;
    let who = caller.require_user()?;
    if who.1 == task.named.subject {
        let need = "somebody else: nobody completes a task about their own access".to_owned();
        return Err(Error::Forbidden { need });
    }
    match task.named.task.state {
        State::Open if !task.may_complete => Err(not_yours()),
        _ => Ok(who),
    }
}

/// A due date that lies ahead and within a year.
fn due(given: Option<Timestamp>, default: Timestamp, now: Timestamp) -> Result<Timestamp> {
    let Some(due) = given else { return Ok(default) };
    let latest = Duration::days(365).after(now);
    if due <= now || latest < due {
        return Err(Error::invalid("dueDateTime", "must lie ahead, at most a year"));
    }
    Ok(due)
}

/// Who a settings' or a caller's word names, if they are there and may do something.
async fn find(tx: &mut Tx<'_>, assignee: &Assignee) -> Result<Option<Somebody>> {
    let user = match assignee {
        Assignee::Object(id) => users::get(tx, UserId::from_uuid(*id)).await?,
        Assignee::Name(name) => users::by_name(tx, name).await?,
    };
    if let Some(user) = user {
        let name = user.display_name;
        return Ok(user.account_enabled.then_some(Somebody {
            id: user.id.0,
            is_group: false,
            name,
        }));
    }
    let Assignee::Object(id) = assignee else { return Ok(None) };
    let name = people::group_name(tx, GroupId::from_uuid(*id)).await?;
    Ok(name.map(|name| Somebody { id: *id, is_group: true, name }))
}

/// Who is to do something for a person, who cannot be that person.
async fn somebody(
    tx: &mut Tx<'_>,
    typed: &str,
    person: Option<&(UserId, String, String)>,
) -> Result<Somebody> {
    let found = match Assignee::parse(typed) {
        Some(assignee) => find(tx, &assignee).await?,
        None => None,
    };
    let found = found.ok_or_else(|| Error::invalid("assignee", NOBODY))?;
    if person.is_some_and(|(user, ..)| user.0 == found.id) {
        let sentence = "is the person whose access this is; somebody else must do it";
        return Err(Error::invalid("assignee", sentence));
    }
    Ok(found)
}

fn could_not(note: &str) -> Fault {
    let reason: String = note.chars().take(MAX_REASON).collect();
    Fault::new(Class::Permanent, "could-not", format!("it could not be done by hand: {reason}"))
}

/// A role as people know it.
pub(crate) fn role_of(named: &Named) -> String {
    match (&named.role_name, &named.resource_name) {
        (Some(role), Some(resource)) => format!("{role} of {resource}"),
        _ => named.row.key.role.clone(),
    }
}

/// What stands on the timelines of the requests.
fn told(named: &NamedTask, kind: &str, more: Option<&str>) -> String {
    let role = match (&named.role_name, &named.resource_name) {
        (Some(role), Some(resource)) => format!("{role} of {resource}"),
        _ => named.role.clone(),
    };
    let verb = if named.task.is_grant { "give" } else { "take away" };
    let said = match (kind, named.task.is_grant) {
        ("taskCreated", _) => format!("a task to {verb} it by hand"),
        ("taskReassigned", _) => format!("the task to {verb} it was reassigned"),
        ("taskWithdrawn", _) => format!("the task to {verb} it was withdrawn"),
        ("taskDone", true) => "given by hand".to_owned(),
        ("taskDone", false) => "taken away by hand".to_owned(),
        _ => format!("could not {verb} it by hand"),
    };
    match more {
        Some(more) => format!("{role}: {said}: {more}"),
        None => format!("{role}: {said}"),
    }
}

/// What a person says of a delivery, in the words of the read that followed.
pub(crate) const fn presence(observed: Observed) -> &'static str {
    if matches!(observed, Observed::Present) { "present" } else { "absent" }
}

/// A caller that is a target: what its callbacks did.
pub(crate) fn target_caller(name: &str) -> Caller {
    Caller { principal: Principal::System, name: format!("target {name}"), ..Caller::system() }
}
