//! One request: its roles one by one with the cause in words, attempts, stages, timeline, and what
//! can be done with it, or why not.

use accede_app::App;
use accede_app::deliveries::{Attempt, Named, RequestDetail};
use accede_app::requests::{Answer, May};
use accede_domain::Timestamp;
use accede_domain::delivery::Phase;
use accede_domain::id::{DeliveryId, RequestId};
use accede_domain::pending;
use accede_domain::permission::Action;
use accede_domain::request::{State as RequestState, Wish};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::form::{Asked, Posted, id};
use super::part::{Badge, Deed, Frame, Place, When, how_long, minute};
use super::problem::{Result, sentence};
use super::session::Session;
use super::{Web, frame, page, see, terms, words};

/// The routes of this page.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/requests/{id}", get(show))
        .route("/governance/requests/{id}/reprocess", post(reprocess))
        .route("/governance/requests/{id}/cancel", post(cancel))
        .route("/governance/requests/{id}/deliveries/{delivery}/retry", post(retry))
}

/// A role of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Role {
    id: String,
    target: String,
    role: String,
    resource: String,
    state: Badge,
    cause: Option<String>,
    meaning: Option<&'static str>,
    attempts: i64,
    last: Option<When>,
    next: Option<String>,
    evidence: String,
    retry: Deed,
    settle: Option<String>,
    log: Vec<Line>,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    at: When,
    what: String,
    outcome: Badge,
    said: String,
    took: String,
}

impl Line {
    fn of(attempt: &Attempt) -> Line {
        let took = attempt.finished_at.duration_since(attempt.started_at).as_millis();
        let said = match (&attempt.code, &attempt.message) {
            (Some(code), Some(message)) => format!("{} ({code})", sentence(message)),
            _ => String::new(),
        };
        Line {
            at: When::second(attempt.started_at),
            what: words::attempted(&attempt.action).to_owned(),
            outcome: words::outcome(&attempt.outcome),
            said,
            took: format!("{took} ms"),
        }
    }
}

impl Role {
    fn of(named: &Named, request: &str, log: Vec<Line>, may: bool, now: Timestamp) -> Role {
        let row = &named.row;
        let delivery = &row.delivery;
        // A target at rest is not called when the row alone would be due.
        let phase = match delivery.phase {
            Phase::Due { at } => Phase::Due { at: named.ready_at(at) },
            phase => phase,
        };
        let next = match phase {
            Phase::Due { .. } if pending::waits_for_person(delivery) => {
                Some("when the person has done it".to_owned())
            }
            Phase::Due { at } if now < at => {
                Some(format!("in {}", how_long(at.duration_since(now))))
            }
            Phase::Due { .. } if named.target_is_paused => {
                Some("when the target system is resumed".to_owned())
            }
            Phase::Due { .. } => Some("at once".to_owned()),
            Phase::Stuck { probe_at, .. } => {
                Some(format!("in {}", how_long(probe_at.duration_since(now))))
            }
            Phase::InFlight { .. } if !delivery.is_so() => Some("under way".to_owned()),
            _ => None,
        };
        let next = match next {
            Some(next) if delivery.poison.is_alone() => Some(format!("{next}, alone")),
            next => next,
        };
        let evidence = match (delivery.verified, delivery.acknowledged) {
            (Some(at), _) => format!("verified {}", minute(at)),
            (None, Some(at)) => format!("acknowledged {}", minute(at)),
            (None, None) => "none yet".to_owned(),
        };
        let retry = match phase {
            _ if !may => Deed::Hidden,
            Phase::Due { .. } if pending::waits_for_person(delivery) => Deed::Ready,
            Phase::Due { at } if now < at => Deed::Ready,
            Phase::Stuck { .. } => Deed::Ready,
            Phase::Failed { .. } => Deed::not("Given up; reprocess the request to try it again."),
            _ => Deed::Hidden,
        };
        let is_undone =
            matches!(phase, Phase::Due { .. } | Phase::Failed { .. } | Phase::Stuck { .. });
        Role {
            id: row.id.to_string(),
            target: named.target_display_name.clone(),
            role: named.role_name.clone().unwrap_or_else(|| row.key.role.clone()),
            resource: named.resource_name.clone().unwrap_or_else(|| row.key.resource.clone()),
            state: words::delivery_state(delivery),
            cause: row.fault.as_ref().map(|fault| sentence(&fault.message)),
            meaning: row.fault.as_ref().map(|fault| words::fault_class(fault.class)),
            attempts: named.calls,
            last: row.attempted_at.map(When::second),
            next,
            evidence,
            retry,
            settle: Some(super::resolutions::address(&row.id.to_string(), request))
                .filter(|_| may && is_undone),
            log,
        }
    }
}

/// A stage of the approval.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stage {
    number: i64,
    state: Badge,
    by: Option<String>,
    why: Option<String>,
    approvers: String,
    due: Option<When>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Happened {
    at: When,
    what: String,
    by: String,
    detail: Option<String>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "details.html")]
pub struct DetailsPage {
    frame: Frame,
    id: String,
    person: String,
    person_upn: String,
    requestor: Option<String>,
    package: String,
    package_id: String,
    policy: Option<String>,
    kind: &'static str,
    state: Badge,
    waits: Option<String>,
    created: When,
    completed: Option<When>,
    period: String,
    justification: Option<String>,
    answers: Vec<(String, String)>,
    block: Option<String>,
    reprocess: Deed,
    cancel: Deed,
    roles: Vec<Role>,
    stages: Vec<Stage>,
    history: Vec<Happened>,
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(request): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let request: RequestId = id("assignment request", &request)?;
    let detail = app.request_detail(&session.caller, request).await?;
    let mut roles = Vec::new();
    for named in &detail.deliveries {
        let log = if detail.permissions.may_read_attempts {
            app.list_attempts(&session.caller, named.row.id).await?
        } else {
            Vec::new()
        };
        let log = log.iter().map(Line::of).collect();
        let may = detail.permissions.may_reprocess;
        roles.push(Role::of(named, &request.to_string(), log, may, app.now()));
    }
    let package = detail.view.summary.package_name.clone();
    let package_id = detail.view.summary.request.package;
    let title = format!("Request of {}", detail.view.summary.beneficiary.display_name);
    let frame = frame(Some(&session), title, Place::Packages)
        .notice(words::done_to(fields.get("done"), &detail.view.summary.request.state))
        .crumb("Access packages", "/governance/packages")
        .crumb(package, format!("/governance/packages/{package_id}"))
        .crumb("Requests", format!("/governance/packages/{package_id}/requests"));
    let may_assign = session.caller.reach(Action::Assign).includes(detail.view.summary.catalog);
    let waiting = app.waiting_of(&detail).await?;
    let waits = waiting.request.map(|wait| words::waits_for(&wait));
    page(&DetailsPage { waits, ..whole(frame, &detail, roles, may_assign) })
}

fn whole(frame: Frame, detail: &RequestDetail, roles: Vec<Role>, may_assign: bool) -> DetailsPage {
    let summary = &detail.view.summary;
    let request = &summary.request;
    let given: Vec<Answer> = serde_json::from_str(&request.answers).unwrap_or_default();
    let answers = given.into_iter().map(|answer| {
        let question = request.terms.questions.iter().find(|asked| asked.id == answer.question);
        let text = question.map_or_else(|| "Question".to_owned(), |asked| asked.text.clone());
        (text, answer.display.unwrap_or(answer.value))
    });
    DetailsPage {
        id: request.id.to_string(),
        person: summary.beneficiary.display_name.clone(),
        person_upn: summary.beneficiary.user_principal_name.clone(),
        requestor: Some(summary.requestor.display_name.clone())
            .filter(|_| request.requestor != request.subject),
        package: summary.package_name.clone(),
        package_id: request.package.to_string(),
        policy: summary.policy_name.clone(),
        kind: words::request_type(request.request_type),
        state: words::request_state(&request.state),
        waits: None,
        created: When::minute(request.created_at),
        completed: request.state.completed().map(When::minute),
        period: terms::period(request).unwrap_or_else(|| "–".to_owned()),
        justification: request.justification.clone(),
        answers: answers.collect(),
        block: request
            .block
            .as_ref()
            .filter(|_| matches!(request.state, RequestState::DeliveryFailed { .. }))
            .map(|(_, text)| sentence(text)),
        reprocess: may(detail, may_assign),
        cancel: may_cancel(detail, may_assign),
        roles,
        stages: detail.stages.iter().map(stage).collect(),
        history: detail
            .history
            .iter()
            .map(|line| Happened {
                at: When::second(line.at),
                what: words::happened(&line.kind),
                by: line.actor.clone(),
                detail: Some(sentence(&line.detail)).filter(|_| !line.detail.is_empty()),
            })
            .collect(),
        frame,
    }
}

fn may(detail: &RequestDetail, may_assign: bool) -> Deed {
    let request = &detail.view.summary.request;
    match &detail.view.reprocess {
        _ if !detail.permissions.may_reprocess => Deed::not(
            "To reprocess it you need to be assignment manager, package manager or owner of the \
             catalog.",
        ),
        May::Yes => Deed::Ready,
        May::No { code: "ReprocessWindowExpired", why } => {
            let until = detail.view.window_ends.map_or_else(
                || sentence(why),
                |ends| format!("It could be reprocessed until {}.", minute(ends)),
            );
            let gives = request.request_type.wish() == Wish::Add;
            let first = if may_cancel(detail, may_assign).is_ready() {
                "Cancel it below; then"
            } else {
                "Once it is canceled,"
            };
            match (gives, may_assign) {
                (false, _) => Deed::not(until),
                (true, false) => Deed::not(format!(
                    "{until} {first} the person can request the access package again."
                )),
                (true, true) => Deed::Not {
                    why: format!(
                        "{until} {first} the person can request the access package again, or you can \
                         give it to them:"
                    ),
                    link: Some((
                        "New assignment".to_owned(),
                        format!("/governance/packages/{}/assignments/new", request.package),
                    )),
                },
            }
        }
        May::No { why, .. } => Deed::not(sentence(why)),
    }
}

fn may_cancel(detail: &RequestDetail, may_assign: bool) -> Deed {
    let request = &detail.view.summary.request;
    let state = request.state;
    let event = accede_domain::request::Event::Cancel;
    match state {
        // Beside Reprocess it is said already that it is being canceled.
        _ if !detail.permissions.may_cancel => Deed::Hidden,
        RequestState::Canceling { .. } => Deed::Hidden,
        RequestState::Delivering { .. } if request.request_type.wish() == Wish::Remove => {
            Deed::not("Access is being taken back; that cannot be canceled.")
        }
        RequestState::Delivering { .. } => Deed::Not {
            why: "It is being delivered at present. To stop it and take back what it gave, remove \
                  its assignment."
                .to_owned(),
            link: request.assignment.filter(|_| may_assign).map(|assignment| {
                let package = request.package;
                (
                    "Remove the access…".to_owned(),
                    format!("/governance/packages/{package}/assignments/{assignment}/remove"),
                )
            }),
        },
        RequestState::Submitted
        | RequestState::PendingApproval
        | RequestState::Scheduled { .. }
        | RequestState::PartiallyDelivered { .. }
        | RequestState::DeliveryFailed { .. } => Deed::Ready,
        RequestState::Delivered { .. }
        | RequestState::Denied { .. }
        | RequestState::Canceled { .. } => Deed::not(sentence(event.advice(&state))),
    }
}

fn stage(view: &accede_app::approvals::StageView) -> Stage {
    let names: Vec<&str> =
        view.approvers.iter().take(5).map(|approver| approver.display_name.as_str()).collect();
    let more = view.approvers.len().saturating_sub(names.len());
    let mut approvers = names.join(", ");
    if 0 < more {
        approvers.push_str(&format!(" and {more} more"));
    }
    Stage {
        number: view.row.position + 1,
        state: words::stage_state(&view.row.stage),
        by: view.reviewer.clone(),
        why: view.row.justification.clone(),
        approvers,
        due: view.row.stage.due.filter(|_| view.reviewer.is_none()).map(When::minute),
    }
}

async fn reprocess(
    State(app): State<App>,
    Path(request): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    let request: RequestId = id("assignment request", &request)?;
    app.reprocess_request(&session.caller, request).await?;
    Ok(see(format!("/governance/requests/{request}?done=reprocessed")))
}

async fn cancel(
    State(app): State<App>,
    Path(request): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    let request: RequestId = id("assignment request", &request)?;
    app.cancel_request(&session.caller, request).await?;
    Ok(see(format!("/governance/requests/{request}?done=canceled")))
}

async fn retry(
    State(app): State<App>,
    Path((request, delivery)): Path<(String, String)>,
    Posted { session, .. }: Posted,
) -> Result {
    let request: RequestId = id("assignment request", &request)?;
    let delivery: DeliveryId = id("delivery", &delivery)?;
    let changed = app.retry_delivery(&session.caller, delivery).await?;
    let done = if changed { "tried" } else { "waiting" };
    Ok(see(format!("/governance/requests/{request}?done={done}#roles")))
}

#[cfg(test)]
impl DetailsPage {
    /// Partly delivered and reprocessable; too old; awaiting approval.
    pub fn samples() -> Vec<DetailsPage> {
        use super::part::Tone;
        use super::samples::{NASTY, at, frame};
        let log = vec![Line {
            at: When::second(at(1)),
            what: "Grant".to_owned(),
            outcome: words::outcome("fault"),
            said: "The server answered 403. (http-403)".to_owned(),
            took: "12 ms".to_owned(),
        }];
        let role = |name: &str, state: Badge, cause: Option<&str>| Role {
            id: format!("role-{name}"),
            target: "Team wiki".to_owned(),
            role: "Member".to_owned(),
            resource: name.to_owned(),
            state,
            cause: cause.map(str::to_owned),
            meaning: cause.map(|_| words::fault_class(accede_domain::fault::Class::Transient)),
            attempts: 3,
            last: Some(When::second(at(1))),
            next: cause.map(|_| "in 4 minutes".to_owned()),
            evidence: "none yet".to_owned(),
            retry: if cause.is_some() { Deed::Ready } else { Deed::Hidden },
            settle: cause.map(|_| super::resolutions::address(name, "1")),
            log: log.clone(),
        };
        let page = |state: &str, reprocess: Deed| DetailsPage {
            frame: frame("Request of Uma", Place::Packages),
            id: "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004".to_owned(),
            person: NASTY.to_owned(),
            person_upn: "uma@contoso.example".to_owned(),
            requestor: Some("Max Weber".to_owned()),
            package: "Campaign".to_owned(),
            package_id: "a7c07f66-80a4-4f9e-8f0b-3b1b2c600002".to_owned(),
            policy: Some("Employees ask".to_owned()),
            kind: "Request for access",
            state: words::request_state_named(state),
            waits: Some(NASTY.to_owned()),
            created: When::minute(at(0)),
            completed: Some(When::minute(at(5))),
            period: "from 2026-05-02 09:00 UTC, without end".to_owned(),
            justification: Some(NASTY.to_owned()),
            answers: vec![("Region".to_owned(), NASTY.to_owned())],
            block: None,
            reprocess,
            cancel: Deed::Ready,
            roles: vec![
                role("Newsroom", Badge::new(Tone::Ok, "ok", "Delivered"), None),
                role("Campaigns", Badge::new(Tone::Warn, "go", "Retrying"), Some(NASTY)),
            ],
            stages: vec![Stage {
                number: 1,
                state: Badge::new(Tone::Ok, "ok", "Approved"),
                by: Some("Max Weber".to_owned()),
                why: Some("Welcome".to_owned()),
                approvers: "Max Weber".to_owned(),
                due: None,
            }],
            history: vec![Happened {
                at: When::second(at(0)),
                what: "Submitted".to_owned(),
                by: "uma@contoso.example".to_owned(),
                detail: Some(NASTY.to_owned()),
            }],
        };
        let late = Deed::not("It could be reprocessed until 2026-06-03; request it anew.");
        vec![page("partiallyDelivered", Deed::Ready), page("deliveryFailed", late)]
    }
}
