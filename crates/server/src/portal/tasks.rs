//! Tasks: what the reader is to give or take by hand, saying what came of it, and who has which.

use accede_app::tasks::{Completion, Handover, TaskView, WhoseTasks};
use accede_app::text::MAX_JUSTIFICATION;
use accede_app::{App, Error, Listing};
use accede_domain::Timestamp;
use accede_domain::filter::{Filter, parse_order};
use accede_domain::id::TaskId;
use accede_domain::task::{Outcome, State as TaskState};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::form::{Address, Asked, Fields, Posted, id};
use super::form_page::{FormPage, Wrong, again as form_again};
use super::input::Input;
use super::part::{Badge, Frame, Notice, Place, Tone, When, how_long, minute};
use super::problem::{Result, again, sentence};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// Rows on a page.
const ON_A_PAGE: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/my/tasks", get(mine))
        .route("/my/tasks/{id}", get(show).post(complete))
        .route("/governance/tasks", get(all))
        .route("/governance/tasks/{id}/reassign", get(ask).post(reassign))
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    what: String,
    person: String,
    target: String,
    state: Badge,
    due: When,
    late: Option<String>,
    assignee: String,
}

/// What a task is to do, in a few words.
fn what(view: &TaskView) -> String {
    let named = &view.named;
    let role = named.role_name.as_deref().unwrap_or(&named.role);
    let resource = named.resource_name.as_deref().unwrap_or(&named.resource);
    let verb = if named.task.is_grant { "Give" } else { "Take away" };
    format!("{verb} {role} of {resource}")
}

fn person(view: &TaskView) -> String {
    let named = view.named.person.as_ref();
    named.map_or_else(|| "–".to_owned(), |(_, name, principal)| format!("{name} ({principal})"))
}

fn assignee(view: &TaskView) -> String {
    let name = view.named.assignee_name.clone();
    match (name, view.named.task.is_group) {
        (Some(name), true) => format!("members of {name}"),
        (Some(name), false) => name,
        (None, _) => "nobody who is still there".to_owned(),
    }
}

impl Row {
    fn of(view: &TaskView, now: Timestamp) -> Row {
        let task = &view.named.task;
        let left = || how_long(task.due_at.duration_since(now));
        let is_open = task.state == TaskState::Open;
        Row {
            id: task.id.to_string(),
            what: what(view),
            person: person(view),
            target: view.named.target_display_name.clone(),
            state: words::task_state(task.state, view.is_overdue),
            due: When::minute(task.due_at),
            late: match (is_open, view.is_overdue) {
                (true, true) => Some(format!("{} late", how_long(now.duration_since(task.due_at)))),
                (true, false) => Some(format!("in {}", left())),
                _ => None,
            },
            assignee: assignee(view),
        }
    }
}

/// A list of tasks.
#[derive(Debug, Template)]
#[template(path = "tasks.html")]
pub struct TasksPage {
    frame: Frame,
    lead: &'static str,
    empty: &'static str,
    rows: Vec<Row>,
    other: Option<(&'static str, &'static str)>,
    next: Option<String>,
}

async fn mine(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    list(&app, &session, &fields, WhoseTasks::Mine).await
}

async fn all(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    list(&app, &session, &fields, WhoseTasks::All).await
}

async fn list(app: &App, session: &Session, fields: &Fields, whose: WhoseTasks) -> Result {
    let is_closed = fields.get("state") == Some("closed");
    let (filter, order) = match is_closed {
        true => ("state ne 'open'", "dueDateTime desc"),
        false => ("state eq 'open'", "dueDateTime asc"),
    };
    let listing = Listing {
        filter: Some(Filter::parse(filter).map_err(Error::internal)?),
        order: parse_order(order).map_err(Error::internal)?,
        top: Some(ON_A_PAGE),
        after: fields.get("after").map(str::to_owned),
        ..Listing::default()
    };
    let found = app.list_tasks(&session.caller, whose, &listing).await?;
    let now = app.now();
    let (path, title, place, lead) = match whose {
        WhoseTasks::Mine => (
            "/my/tasks",
            "My tasks",
            Place::MyTasks,
            "Access that you, or a group you are in, give or take away by hand.",
        ),
        WhoseTasks::All => (
            "/governance/tasks",
            "Tasks",
            Place::Tasks,
            "Access that people give or take away by hand, those due first.",
        ),
    };
    let other = match (whose, is_closed) {
        (WhoseTasks::Mine, false) => ("See the tasks that are over", "/my/tasks?state=closed"),
        (WhoseTasks::Mine, true) => ("See the open tasks", "/my/tasks"),
        (WhoseTasks::All, false) => {
            ("See the tasks that are over", "/governance/tasks?state=closed")
        }
        (WhoseTasks::All, true) => ("See the open tasks", "/governance/tasks"),
    };
    let next = found.next.map(|mark| {
        let address = Address::new(path).with("after", mark);
        if is_closed { address.with("state", "closed").text() } else { address.text() }
    });
    page(&TasksPage {
        frame: frame(Some(session), title, place).notice(words::done(fields.get("done"))),
        lead,
        empty: if is_closed { "No task is over yet." } else { "No task is open." },
        rows: found.items.iter().map(|view| Row::of(view, now)).collect(),
        other: Some(other),
        next,
    })
}

/// One task.
#[derive(Debug, Template)]
#[template(path = "task.html")]
pub struct TaskPage {
    frame: Frame,
    id: String,
    version: String,
    state: Badge,
    facts: Vec<(&'static str, String)>,
    reassign: Option<String>,
    note: Option<Input>,
    advice: String,
}

fn build(frame: Frame, view: &TaskView, typed: &str, wrong: Option<String>) -> TaskPage {
    let (named, task) = (&view.named, &view.named.task);
    let mut facts = vec![
        ("For", person(view)),
        ("Role", named.role_name.clone().unwrap_or_else(|| named.role.clone())),
        ("Resource", named.resource_name.clone().unwrap_or_else(|| named.resource.clone())),
        ("Target system", named.target_display_name.clone()),
        ("Assigned to", assignee(view)),
        ("Due", minute(task.due_at)),
    ];
    facts.extend(task.instructions.clone().map(|text| ("How", text)));
    facts.push(("Since", minute(task.created_at)));
    if !task.is_grant && task.state == TaskState::Open {
        let text = "Take it away if it was given. If it was never given, it is done.";
        facts.push(("Note", text.to_owned()));
    }
    let id = task.id.to_string();
    let by = task.closed_by.as_deref().unwrap_or("somebody");
    let when = task.closed_at.map_or_else(String::new, |at| format!(" at {}", minute(at)));
    let said = task.note.as_deref().map_or_else(String::new, |note| format!(": {note}"));
    let advice = match task.state {
        TaskState::Open if view.may_complete => {
            "Say it when it is done in the target system. Where it can be read there, it is looked up \
             at once."
                .to_owned()
        }
        TaskState::Open => {
            "Only whom it is assigned to can close it, and nobody for their own access.".to_owned()
        }
        TaskState::Done => format!("Done by {by}{when}{said}"),
        TaskState::CouldNot => format!("{by} could not do it{when}{said}"),
        TaskState::Withdrawn => format!("Withdrawn{when}{said}"),
    };
    TaskPage {
        frame,
        version: task.version.to_string(),
        state: words::task_state(task.state, view.is_overdue),
        facts,
        reassign: view.may_reassign.then(|| format!("/governance/tasks/{id}/reassign")),
        note: view.may_complete.then(|| {
            Input::text("note", "What is to be known of it", typed, MAX_JUSTIFICATION)
                .hint("Needed when it could not be done. It stands on the timeline of the request.")
                .wrong(wrong)
        }),
        advice,
        id,
    }
}

fn frame_of(session: &Session, view: &TaskView) -> Frame {
    frame(Some(session), what(view), Place::MyTasks).crumb("My tasks", "/my/tasks")
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(task): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let task: TaskId = id("task", &task)?;
    let view = app.get_task(&session.caller, task).await?;
    let frame = frame_of(&session, &view).notice(words::done(fields.get("done")));
    page(&build(frame, &view, "", None))
}

async fn complete(
    State(app): State<App>,
    Path(task): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let task: TaskId = id("task", &task)?;
    let typed = fields.typed("note");
    let done = match fields.get("outcome").and_then(Outcome::parse) {
        Some(outcome) => {
            let expected = fields.get("version").and_then(|text| text.parse().ok());
            let completion = Completion { outcome, note: Some(typed.clone()), expected };
            app.complete_task(&session.caller, task, &completion).await.map(|_| outcome)
        }
        None => Err(Error::invalid("note", "press Done, or Could not do it")),
    };
    match done {
        Ok(Outcome::Done) => Ok(see("/my/tasks?done=taskdone")),
        Ok(Outcome::CouldNot) => Ok(see("/my/tasks?done=taskfailed")),
        Err(error) => {
            let view = app.get_task(&session.caller, task).await?;
            again(error, |error| {
                let (notice, wrong) = match error {
                    Error::Invalid { path, sentence: why } if path == "note" => {
                        (None, Some(sentence(why)))
                    }
                    other => (Some(Notice::new(Tone::Bad, sentence(&other.to_string()))), None),
                };
                page(&build(frame_of(&session, &view).notice(notice), &view, &typed, wrong))
            })
        }
    }
}

/// To whom something goes, as it was typed; the date is a day, of which the whole is meant.
pub fn handover(fields: &Fields, note: &str) -> accede_app::Result<Handover> {
    let typed = fields.typed("dueDateTime");
    let due = match typed.trim() {
        "" => None,
        day => {
            let end: std::result::Result<Timestamp, _> = format!("{day}T23:59:00Z").parse();
            let advice = "write a day, such as 2026-06-01";
            Some(end.map_err(|_| Error::invalid("dueDateTime", advice))?)
        }
    };
    let note = Some(fields.typed(note)).filter(|note| !note.trim().is_empty());
    Ok(Handover { assignee: fields.typed("assignee"), due, note })
}

/// The fields that say to whom something goes.
pub fn handover_fields(typed: &Fields, wrong: &Wrong) -> [Input; 2] {
    [
        Input::line("assignee", "Who does it", typed.typed("assignee"), 0)
            .hint("A sign-in name, or the object id of a user or a group.")
            .wrong(wrong.with("assignee")),
        Input::typed("dueDateTime", "Due", "date", typed.typed("dueDateTime"), 0)
            .hint("Left empty, it stays as it is, or is in three days.")
            .wrong(wrong.with("dueDateTime")),
    ]
}

fn form(session: &Session, view: &TaskView, typed: &Fields, wrong: &Wrong) -> FormPage {
    let id = view.named.task.id;
    let [who, due] = handover_fields(typed, wrong);
    FormPage {
        frame: frame(Some(session), "Give a task to somebody else", Place::Tasks)
            .crumb("Tasks", "/governance/tasks")
            .crumb(what(view), format!("/my/tasks/{id}")),
        lead: format!("{} for {}. It is with {} now.", what(view), person(view), assignee(view)),
        action: format!("/governance/tasks/{id}/reassign"),
        hidden: Vec::new(),
        fields: vec![
            who.required(),
            due,
            Input::text("note", "Why", typed.typed("note"), MAX_JUSTIFICATION)
                .wrong(wrong.with("note")),
        ],
        button: "Give it to them",
        back: format!("/my/tasks/{id}"),
    }
}

/// A task that the reader may give to somebody else.
async fn reassignable(app: &App, session: &Session, task: &str) -> Result<TaskView> {
    let view = app.get_task(&session.caller, id("task", task)?).await?;
    if !view.may_reassign {
        accede_domain::task::must_be_open(view.named.task.state).map_err(Error::from)?;
        return Err(session.caller.lacks(accede_domain::permission::Action::Reprocess).into());
    }
    Ok(view)
}

async fn ask(
    State(app): State<App>,
    session: Session,
    Path(task): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let view = reassignable(&app, &session, &task).await?;
    page(&form(&session, &view, &fields, &Wrong::default()))
}

async fn reassign(
    State(app): State<App>,
    Path(task): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let view = reassignable(&app, &session, &task).await?;
    let id = view.named.task.id;
    let done = match handover(&fields, "note") {
        Ok(to) => app.reassign_task(&session.caller, id, &to).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => Ok(see(format!("/my/tasks/{id}?done=saved"))),
        Err(error) => form_again(error, |wrong| form(&session, &view, &fields, wrong)),
    }
}

#[cfg(test)]
mod samples {
    use accede_app::tasks::{NamedTask, TaskRow};
    use accede_domain::id::Id;

    use super::super::samples::{NASTY, at, frame};
    use super::*;

    fn view(state: TaskState, may: bool) -> TaskView {
        let nil = uuid::Uuid::nil();
        let is_open = state == TaskState::Open;
        TaskView {
            named: NamedTask {
                task: TaskRow {
                    id: TaskId::from_uuid(nil),
                    delivery: Id::from_uuid(nil),
                    generation: 1,
                    is_grant: may,
                    assignee: nil,
                    is_group: may,
                    instructions: Some(NASTY.to_owned()),
                    state,
                    created_by: "accede".to_owned(),
                    created_at: at(0),
                    due_at: at(60),
                    closed_by: (!is_open).then(|| NASTY.to_owned()),
                    closed_at: (!is_open).then(|| at(30)),
                    note: (!is_open).then(|| NASTY.to_owned()),
                    version: 1,
                },
                target: Id::from_uuid(nil),
                target_name: "keys".to_owned(),
                target_display_name: NASTY.to_owned(),
                subject: Id::from_uuid(nil),
                person: Some((Id::from_uuid(nil), NASTY.to_owned(), "uma@x.example".to_owned())),
                role: "Member_key".to_owned(),
                resource: "key".to_owned(),
                role_name: Some("Member".to_owned()),
                resource_name: Some(NASTY.to_owned()),
                assignee_name: may.then(|| NASTY.to_owned()),
            },
            is_overdue: is_open && !may,
            may_complete: is_open && may,
            may_reassign: is_open,
        }
    }

    impl TasksPage {
        /// Some, late ones among them, and none.
        pub fn samples() -> Vec<TasksPage> {
            let page = |rows| TasksPage {
                frame: frame("My tasks", Place::MyTasks),
                lead: "Access that you give or take away by hand.",
                empty: "No task is open.",
                rows,
                other: Some(("See the tasks that are over", "/my/tasks?state=closed")),
                next: None,
            };
            let row = |state, may, now| Row::of(&view(state, may), at(now));
            vec![
                page(vec![
                    row(TaskState::Open, false, 100),
                    row(TaskState::Open, true, 10),
                    row(TaskState::CouldNot, true, 10),
                ]),
                page(Vec::new()),
            ]
        }
    }

    impl TaskPage {
        /// To be closed, of somebody else, and over.
        pub fn samples() -> Vec<TaskPage> {
            let page = |state, may| {
                let frame = frame(NASTY, Place::MyTasks).crumb("My tasks", "/my/tasks");
                build(frame, &view(state, may), NASTY, None)
            };
            vec![
                page(TaskState::Open, true),
                page(TaskState::Open, false),
                page(TaskState::Done, true),
                page(TaskState::CouldNot, false),
                page(TaskState::Withdrawn, true),
            ]
        }
    }
}
