//! Approvals: what awaits the reader's decision, deciding it, and what was decided.

use accede_app::approvals::{ApprovalView, Part, StageView};
use accede_app::requests::RequestView;
use accede_app::text::MAX_JUSTIFICATION;
use accede_app::{App, Error, Listing};
use accede_domain::Timestamp;
use accede_domain::approval::{Decision, Result as Decided, Status};
use accede_domain::id::{RequestId, StageId, UserId};
use accede_domain::refusal::Refusal;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::form::{Address, Asked, Fields, Posted, id};
use super::input::Input;
use super::my_requests::StageTold;
use super::part::{Badge, Frame, Notice, Place, Tone, When, how_long, minute};
use super::problem::{Result, again, sentence};
use super::session::Session;
use super::{Web, frame, page, see, terms, words};

/// Rows on a page.
const ON_A_PAGE: usize = 50;
/// Longest reason shown in a list, in characters.
const MAX_WHY: usize = 160;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/approvals", get(pending))
        .route("/approvals/history", get(history))
        .route("/approvals/{id}", get(show).post(decide))
}

/// An approval in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    person: String,
    by: Option<String>,
    package: String,
    stage: String,
    why: String,
    due: Option<When>,
    left: Option<String>,
    created: When,
    decision: Badge,
    reviewer: Option<String>,
    decided: Option<When>,
    state: Badge,
}

impl Row {
    fn of(request: &RequestView, approval: &ApprovalView, now: Timestamp) -> Option<Row> {
        let stage = mine(approval)?;
        let summary = &request.summary;
        let due = stage.row.stage.due;
        let why = summary.request.justification.clone().unwrap_or_default();
        let is_long = MAX_WHY < why.chars().count();
        let mut short: String = why.chars().take(MAX_WHY).collect();
        if is_long {
            short.push('…');
        }
        Some(Row {
            id: approval.request.to_string(),
            person: summary.beneficiary.display_name.clone(),
            by: Some(summary.requestor.display_name.clone())
                .filter(|_| summary.request.requestor != summary.request.subject),
            package: summary.package_name.clone(),
            stage: format!("Stage {} of {}", stage.row.position + 1, approval.stages.len()),
            why: if short.is_empty() { "–".to_owned() } else { short },
            left: due.filter(|due| now < *due).map(|due| how_long(due.duration_since(now))),
            due: due.map(When::minute),
            created: When::minute(summary.request.created_at),
            decision: words::stage_state(&stage.row.stage),
            reviewer: stage.reviewer.clone(),
            decided: stage.row.reviewed_at.map(When::minute),
            state: words::request_state(&summary.request.state),
        })
    }
}

/// The stage that the reader is asked about: the open one, or the last that was theirs.
fn mine(approval: &ApprovalView) -> Option<&StageView> {
    let of_mine = || approval.stages.iter().filter(|stage| stage.assigned_to_me);
    of_mine().find(|stage| is_open(stage)).or_else(|| of_mine().next_back())
}

fn is_open(stage: &StageView) -> bool {
    stage.row.stage.status == Status::InProgress
}

/// A list of approvals.
#[derive(Debug, Template)]
#[template(path = "approvals.html")]
pub struct ApprovalsPage {
    frame: Frame,
    is_history: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

async fn pending(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let notice = words::done(fields.get("done"));
    let frame = frame(Some(&session), "Pending approvals", Place::Approvals).notice(notice);
    list(&app, &session, &fields, frame, false).await
}

async fn history(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let frame = frame(Some(&session), "Approval history", Place::Decided);
    list(&app, &session, &fields, frame, true).await
}

async fn list(
    app: &App,
    session: &Session,
    fields: &Fields,
    frame: Frame,
    is_history: bool,
) -> Result {
    let caller = &session.caller;
    let now = app.now();
    let (part, path) = match is_history {
        true => (Part::Asked, "/approvals/history"),
        false => (Part::Awaited, "/approvals"),
    };
    let after = fields.get("after").map(str::to_owned);
    let listing = Listing { top: Some(ON_A_PAGE), after, ..Listing::default() };
    let found = app.list_approvals(caller, part, &listing).await?;
    let mut rows = Vec::with_capacity(found.items.len());
    for approval in found.items {
        let wanted = mine(&approval).is_some_and(|stage| is_open(stage) != is_history);
        if wanted {
            let request = app.get_request(caller, approval.request).await?;
            rows.extend(Row::of(&request, &approval, now));
        }
    }
    let next = found.next.map(|mark| Address::new(path).with("after", mark).text());
    page(&ApprovalsPage { frame, is_history, rows, next })
}

/// The form of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Form {
    stage: String,
    due: Option<When>,
    justification: Input,
}

/// One approval.
#[derive(Debug, Template)]
#[template(path = "approval.html")]
pub struct ApprovalPage {
    frame: Frame,
    id: String,
    state: Badge,
    facts: Vec<(String, String)>,
    form: Option<Form>,
    closed: String,
    stages: Vec<StageTold>,
}

async fn show(State(app): State<App>, session: Session, Path(request): Path<String>) -> Result {
    let request: RequestId = id("approval", &request)?;
    let approval = app.get_approval(&session.caller, request).await?;
    let view = app.get_request(&session.caller, request).await?;
    page(&build(frame_of(&session, &view), &view, &approval, "", None, session.caller.user()))
}

fn frame_of(session: &Session, view: &RequestView) -> Frame {
    let title =
        format!("{} for {}", view.summary.package_name, view.summary.beneficiary.display_name);
    frame(Some(session), title, Place::Approvals).crumb("Pending approvals", "/approvals")
}

fn build(
    frame: Frame,
    view: &RequestView,
    approval: &ApprovalView,
    typed: &str,
    error: Option<String>,
    reader: Option<UserId>,
) -> ApprovalPage {
    let summary = &view.summary;
    let request = &summary.request;
    let mut facts = vec![
        ("Access package".to_owned(), summary.package_name.clone()),
        (
            "For".to_owned(),
            format!(
                "{} ({})",
                summary.beneficiary.display_name, summary.beneficiary.user_principal_name
            ),
        ),
    ];
    let mut add = |name: &str, value: Option<String>| {
        facts.extend(value.map(|value| (name.to_owned(), value)));
    };
    let by = Some(summary.requestor.display_name.clone());
    add("Asked by", by.filter(|_| request.requestor != request.subject));
    add("Why", Some(request.justification.clone().unwrap_or_else(|| "No reason given".to_owned())));
    for (question, answer) in terms::answers(&request.terms.questions, &request.answers) {
        add(&question, Some(answer));
    }
    add("Period", terms::period(request));
    add("Policy", summary.policy_name.clone());
    add("Requested", Some(minute(request.created_at)));
    let open = approval.stages.iter().find(|stage| is_open(stage));
    let to_decide = open.filter(|stage| stage.assigned_to_me);
    let closed = match (open, mine(approval)) {
        (Some(_), None) => {
            "You see this approval, but other people are asked to decide.".to_owned()
        }
        (Some(_), Some(_)) => {
            "Another stage is being decided at present; yours is over or later.".to_owned()
        }
        (None, stage) => over(stage, reader),
    };
    ApprovalPage {
        frame,
        id: request.id.to_string(),
        state: words::request_state(&request.state),
        facts,
        form: to_decide.map(|stage| {
            let field =
                Input::text("justification", "Reason for your decision", typed, MAX_JUSTIFICATION)
                    .hint("The requestor and other approvers can read it.")
                    .wrong(error);
            Form {
                stage: stage.row.id.to_string(),
                due: stage.row.stage.due.map(When::minute),
                justification: if stage.row.terms.is_approver_justification_required {
                    field.required()
                } else {
                    field
                },
            }
        }),
        closed,
        stages: StageTold::all(&approval.stages),
    }
}

/// How an approval that is over ended, as far as the reader's stage says.
fn over(stage: Option<&StageView>, reader: Option<UserId>) -> String {
    let Some(stage) = stage else {
        return "This approval is over. Below is how it was decided.".to_owned();
    };
    let row = &stage.row;
    let verb = match row.stage.result {
        Decided::Approved => "approved",
        Decided::Denied => "denied",
        Decided::NotReviewed if row.stage.status == Status::Expired => {
            return "Nobody decided in time, so the request expired.".to_owned();
        }
        Decided::NotReviewed => {
            return "This approval ended without a decision of this stage.".to_owned();
        }
    };
    let who = match &stage.reviewer {
        _ if row.reviewed_by.is_some() && row.reviewed_by == reader => "You",
        Some(name) => name,
        None => "Somebody",
    };
    let when = row.reviewed_at.map_or_else(String::new, |at| format!(" at {}", minute(at)));
    format!("{who} {verb} it{when}.")
}

async fn decide(
    State(app): State<App>,
    Path(request): Path<String>,
    Posted { session, fields }: Posted,
) -> Result<Response> {
    let request: RequestId = id("approval", &request)?;
    let stage: StageId = id("approval stage", fields.get("stage").unwrap_or_default())?;
    let decision = fields.get("decision").and_then(Decision::parse);
    let typed = fields.typed("justification");
    let decided = match decision {
        Some(decision) => {
            let why = Some(typed.as_str());
            app.decide(&session.caller, request, stage, decision, why).await.map(|()| decision)
        }
        None => Err(Error::invalid("decision", "press Approve or Deny")),
    };
    match decided {
        Ok(Decision::Approve) => Ok(see("/approvals?done=approved")),
        Ok(Decision::Deny) => Ok(see("/approvals?done=denied")),
        Err(error) => {
            let approval = app.get_approval(&session.caller, request).await?;
            let view = app.get_request(&session.caller, request).await?;
            again(error, |error| {
                let frame = frame_of(&session, &view);
                let (notice, at_field) = told(error);
                let reader = session.caller.user();
                page(&build(frame.notice(notice), &view, &approval, &typed, at_field, reader))
            })
        }
    }
}

/// What to say at the top, and what beside the field.
fn told(error: &Error) -> (Option<Notice>, Option<String>) {
    match error {
        Error::Refused(Refusal::JustificationRequired) => {
            (None, Some("This stage wants a reason with every decision.".to_owned()))
        }
        Error::Invalid { path, sentence: why } if path == "justification" => {
            (None, Some(sentence(why)))
        }
        Error::Refused(Refusal::StageAlreadyDecided { .. }) => {
            let text = "Somebody else decided this stage before you. Nothing was changed by you.";
            (Some(Notice::new(Tone::Info, text)), None)
        }
        other => (Some(Notice::new(Tone::Bad, sentence(&other.to_string()))), None),
    }
}

#[cfg(test)]
impl ApprovalsPage {
    /// Some to decide, none, some decided.
    pub fn samples() -> Vec<ApprovalsPage> {
        use super::samples::{NASTY, at, frame};
        let row = |n: usize, person: &str| Row {
            id: n.to_string(),
            person: person.to_owned(),
            by: (n == 2).then(|| "Max Weber".to_owned()),
            package: "Campaign".to_owned(),
            stage: "Stage 1 of 2".to_owned(),
            why: NASTY.to_owned(),
            due: Some(When::minute(at(9_000))),
            left: Some("6 days".to_owned()),
            created: When::minute(at(0)),
            decision: Badge::new(Tone::Ok, "ok", "Approved"),
            reviewer: Some("Max Weber".to_owned()),
            decided: Some(When::minute(at(30))),
            state: words::request_state_named("delivered"),
        };
        let of = |title: &str, rows, is_history, next: Option<&str>| ApprovalsPage {
            frame: frame(title, if is_history { Place::Decided } else { Place::Approvals }),
            is_history,
            rows,
            next: next.map(str::to_owned),
        };
        let rows = vec![row(1, "Uma Jensen"), row(2, NASTY)];
        vec![
            of("Pending approvals", rows.clone(), false, Some("/approvals?after=mark")),
            of("Pending approvals", vec![], false, None),
            of("Approval history", rows, true, None),
            of("Approval history", vec![], true, None),
        ]
    }
}

#[cfg(test)]
impl ApprovalPage {
    /// To decide, with a reason missing, and over.
    pub fn samples() -> Vec<ApprovalPage> {
        use super::samples::{NASTY, at, frame};
        let form = |error: Option<&str>| {
            Some(Form {
                stage: "1".to_owned(),
                due: Some(When::minute(at(9_000))),
                justification: Input::text("justification", "Reason", NASTY, MAX_JUSTIFICATION)
                    .required()
                    .wrong(error.map(str::to_owned)),
            })
        };
        let of = |form, closed| ApprovalPage {
            frame: frame("Campaign for Uma Jensen", Place::Approvals)
                .crumb("Pending approvals", "/approvals"),
            id: "1".to_owned(),
            state: words::request_state_named("pendingApproval"),
            facts: vec![
                ("For".to_owned(), "Uma Jensen (uma@contoso.example)".to_owned()),
                ("Why".to_owned(), NASTY.to_owned()),
            ],
            form,
            closed: String::from(closed),
            stages: StageTold::samples(),
        };
        vec![
            of(form(None), ""),
            of(form(Some("This stage wants a reason with every decision.")), ""),
            of(None, "This approval is over. Below is how it was decided."),
        ]
    }
}
