//! My Access, Requests: what the reader asked for, how it stands, and taking it back.

use accede_app::approvals::StageView;
use accede_app::deliveries::{Named, RequestDetail};
use accede_app::requests::{May, Narrowing, Request, RequestView, Whose};
use accede_app::{App, Error, Listing};
use accede_domain::approval;
use accede_domain::delivery::Phase;
use accede_domain::filter::Filter;
use accede_domain::id::{RequestId, SubjectId};
use accede_domain::pending;
use accede_domain::request::{self, Denial, State as Standing, Type, Wish};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::confirm::ConfirmPage;
use super::form::{Address, Asked, Posted, id};
use super::input::choice;
use super::part::{Badge, Deed, Frame, Notice, Place, When, minute};
use super::problem::{Result, sentence};
use super::requests::Choosable;
use super::session::Session;
use super::words::{self, REQUEST_STATES};
use super::{Web, frame, page, see, terms};

/// Requests on a page.
const ON_A_PAGE: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/my/requests", get(list))
        .route("/my/requests/{id}", get(show))
        .route("/my/requests/{id}/cancel", get(ask).post(cancel))
}

/// A request in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    package: String,
    /// For whom, if not for the reader.
    person: Option<String>,
    kind: &'static str,
    state: Badge,
    note: Option<String>,
    created: When,
    completed: Option<When>,
}

impl Row {
    fn of(view: &RequestView, reader: SubjectId) -> Row {
        let summary = &view.summary;
        let request = &summary.request;
        let awaited = view.undelivered;
        Row {
            id: request.id.to_string(),
            package: summary.package_name.clone(),
            person: Some(summary.beneficiary.display_name.clone())
                .filter(|_| request.subject != reader),
            kind: words::request_type(request.request_type),
            state: words::request_state(&request.state),
            note: (0 < awaited && !matches!(request.request_type, Type::UserRemove))
                .then(|| format!("{awaited} still awaited")),
            created: When::minute(request.created_at),
            completed: request.state.completed().map(When::minute),
        }
    }
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "my_requests.html")]
pub struct MyRequestsPage {
    frame: Frame,
    states: Vec<Choosable>,
    is_narrowed: bool,
    rows: Vec<Row>,
    next: Option<String>,
    first: Option<String>,
}

/// The states that the list can be narrowed to.
fn states(chosen: &[&str]) -> Vec<Choosable> {
    REQUEST_STATES
        .iter()
        .map(|(name, words)| {
            // To the rules, what nobody decided in time is denied as well.
            let words = if *name == "denied" { "Denied or expired undecided" } else { *words };
            choice(*name, words, chosen.contains(name))
        })
        .collect()
}

async fn list(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let (_, subject) = session.caller.require_user()?;
    let known: Vec<&str> = fields
        .all("state")
        .filter_map(|asked| {
            REQUEST_STATES.iter().map(|(name, _)| *name).find(|name| *name == asked)
        })
        .collect();
    let filter = match known.as_slice() {
        [] => None,
        known => {
            let parts: Vec<String> =
                known.iter().map(|state| format!("state eq '{state}'")).collect();
            Some(Filter::parse(&parts.join(" or ")).map_err(Error::internal)?)
        }
    };
    let after = fields.get("after").map(str::to_owned);
    let listing =
        Listing { filter, top: Some(ON_A_PAGE), after: after.clone(), ..Listing::default() };
    let whose = Whose::TargetOrRequestor(subject);
    let found = app.list_requests(&session.caller, whose, &Narrowing::default(), &listing).await?;
    let mut address = Address::new("/my/requests");
    for state in &known {
        address = address.with("state", state);
    }
    page(&MyRequestsPage {
        frame: frame(Some(&session), "My requests", Place::MyRequests)
            .notice(words::done(fields.get("done"))),
        states: states(&known),
        is_narrowed: !known.is_empty(),
        rows: found.items.iter().map(|view| Row::of(view, subject)).collect(),
        next: found.next.map(|mark| address.clone().with("after", mark).text()),
        first: after.map(|_| address.text()),
    })
}

/// An approval stage, told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageTold {
    pub(super) name: String,
    pub(super) state: Badge,
    pub(super) lines: Vec<String>,
}

impl StageTold {
    /// A stage of so many.
    pub fn of(view: &StageView, count: usize) -> StageTold {
        let row = &view.row;
        let mut lines = Vec::new();
        let names: Vec<&str> =
            view.approvers.iter().take(10).map(|one| one.display_name.as_str()).collect();
        if !names.is_empty() {
            let more = view.approvers.len().saturating_sub(names.len());
            let more = if 0 < more { format!(" and {more} more") } else { String::new() };
            lines.push(format!("Asked: {}{more}", names.join(", ")));
        } else if let Some(resolution) = &row.resolution {
            lines.push(sentence(resolution));
        }
        if let (Some(due), true) = (row.stage.due, row.reviewed_at.is_none()) {
            lines.push(format!("To be decided by {}", minute(due)));
        }
        if let (Some(who), Some(at)) = (&view.reviewer, row.reviewed_at) {
            lines.push(format!("By {who}, {}", minute(at)));
        }
        if let Some(why) = &row.justification {
            lines.push(format!("“{why}”"));
        }
        StageTold {
            name: format!("Stage {} of {count}", row.position + 1),
            state: words::stage_state(&row.stage),
            lines,
        }
    }

    /// Every stage of an approval.
    pub fn all(stages: &[StageView]) -> Vec<StageTold> {
        stages.iter().map(|stage| StageTold::of(stage, stages.len())).collect()
    }
}

/// A role of a request or assignment, told to who is to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleTold {
    pub(super) resource: String,
    pub(super) role: String,
    pub(super) target: String,
    pub(super) state: Badge,
    pub(super) meaning: &'static str,
    pub(super) cause: Option<String>,
    pub(super) next: Option<When>,
}

impl RoleTold {
    /// A delivery in words.
    pub fn of(named: &Named) -> RoleTold {
        let delivery = &named.row.delivery;
        let is_open = !matches!(delivery.phase, Phase::Settled);
        let meaning = match (delivery.wanted, &delivery.phase) {
            (true, Phase::Settled) => "It works.",
            (true, Phase::Failed { .. }) => {
                "It could not be delivered. The manager of the access package sees it and can try \
                 it again."
            }
            (true, _) if named.target_is_paused => {
                "The target system is paused; it is delivered as soon as it is resumed."
            }
            (_, Phase::Due { .. }) if pending::waits_for_person(delivery) => {
                "A person has the task to do it by hand."
            }
            (true, _) if delivery.pending.is_some() => {
                "The target system accepted it and is not done yet."
            }
            (true, _) if 0 < delivery.misses => "It did not work yet and is tried again by itself.",
            (true, _) => "It is on its way.",
            (false, Phase::Settled) => "You do not have it any more by this access package.",
            (false, _) => "It is being taken back.",
        };
        RoleTold {
            resource: named.resource_name.clone().unwrap_or_else(|| named.row.key.resource.clone()),
            role: named.role_name.clone().unwrap_or_else(|| named.row.key.role.clone()),
            target: named.target_display_name.clone(),
            state: words::delivery_state(delivery),
            meaning,
            cause: named
                .row
                .fault
                .as_ref()
                .filter(|_| is_open)
                .map(|fault| sentence(&fault.message)),
            next: match delivery.phase {
                Phase::Due { at } if 0 < delivery.misses => Some(When::minute(at)),
                _ => None,
            },
        }
    }
}

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    what: String,
    at: When,
    who: String,
    detail: String,
}

/// One request, as its requestor sees it.
#[derive(Debug, Template)]
#[template(path = "my_request.html")]
pub struct MyRequestPage {
    frame: Frame,
    id: String,
    state: Badge,
    meaning: &'static str,
    cancel: Deed,
    anew: Option<String>,
    access: Option<String>,
    facts: Vec<(String, String)>,
    stages: Vec<StageTold>,
    roles: Vec<RoleTold>,
    history: Vec<Line>,
}

const NOBODY_DECIDES: &str = "Somebody would have to approve it, but nobody could be found who may. \
                              Ask whoever looks after the access package to assign it to you, or \
                              to name another approver: then cancel this request and send a new one.";

/// Whether an approval is awaited that nobody can give.
fn nobody_decides(detail: &RequestDetail) -> bool {
    let open = |stage: &&StageView| stage.row.stage.status == approval::Status::InProgress;
    detail.view.summary.request.state == Standing::PendingApproval
        && detail.stages.iter().find(open).is_some_and(|stage| stage.approvers.is_empty())
}

/// What a state means to who asked.
const fn meaning(state: &Standing, kind: Type) -> &'static str {
    let is_removal = matches!(kind, Type::UserRemove | Type::AdminRemove | Type::SystemRemove);
    match state {
        Standing::Submitted => "Your request was received.",
        Standing::PendingApproval => "Somebody has to approve it. You need to do nothing.",
        Standing::Scheduled { .. } => "It is approved and begins later.",
        Standing::Delivering { .. } if is_removal => "The access is being taken back.",
        Standing::Delivering { .. } => "The access is being given in the target systems.",
        Standing::Delivered { .. } if is_removal => "The access was taken back.",
        Standing::Delivered { .. } => "You have everything you asked for.",
        Standing::PartiallyDelivered { .. } => {
            "Some of it works, some of it does not yet. See below which."
        }
        Standing::DeliveryFailed { .. } => {
            "It was approved, but could not be delivered. See below why."
        }
        Standing::Denied { why: Denial::TimedOut, .. } => {
            "Nobody decided in time. You can request it again."
        }
        Standing::Denied { .. } => "It was denied. See below by whom and why.",
        Standing::Canceling { .. } => {
            "It was canceled; what had been delivered is being taken back."
        }
        Standing::Canceled { .. } => "It was canceled.",
    }
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(request): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let request: RequestId = id("request", &request)?;
    let detail = app.request_detail(&session.caller, request).await?;
    let frame = frame(Some(&session), &detail.view.summary.package_name, Place::MyRequests)
        .crumb("My requests", "/my/requests")
        .notice(told(fields.get("done"), &detail));
    page(&build(frame, &detail, may_cancel(&detail, &app)))
}

/// What was done just now, unless the page says it by itself.
fn told(code: Option<&str>, detail: &RequestDetail) -> Option<Notice> {
    words::done_to(code.filter(|code| *code != "canceled"), &detail.view.summary.request.state)
}

/// Whether the reader may cancel it, and what else to do.
fn may_cancel(detail: &RequestDetail, app: &App) -> Deed {
    let request = &detail.view.summary.request;
    if !detail.permissions.may_cancel {
        return Deed::Hidden;
    }
    match May::of(request::step(request.state, request::Event::Cancel, app.now()).map(drop)) {
        May::Yes => Deed::Ready,
        May::No { .. } => match (request.state, request.assignment) {
            (Standing::Delivered { .. }, Some(assignment))
                if matches!(request.request_type, Type::UserAdd | Type::AdminAdd) =>
            {
                Deed::Not {
                    why: "It is delivered and cannot be canceled any more.".to_owned(),
                    link: Some((
                        "Give the access back instead".to_owned(),
                        format!("/my/access/{assignment}"),
                    )),
                }
            }
            (Standing::Delivering { .. }, Some(assignment))
                if request.request_type.wish() == Wish::Add =>
            {
                Deed::Not {
                    why:
                        "It is being delivered and cannot be canceled any more. What it gives can \
                          be taken back."
                            .to_owned(),
                    link: Some((
                        "Give the access back instead".to_owned(),
                        format!("/my/access/{assignment}"),
                    )),
                }
            }
            _ => Deed::Hidden,
        },
    }
}

fn build(frame: Frame, detail: &RequestDetail, cancel: Deed) -> MyRequestPage {
    let summary = &detail.view.summary;
    let request = &summary.request;
    let is_over = matches!(
        request.state,
        Standing::Denied { .. } | Standing::Canceled { .. } | Standing::DeliveryFailed { .. }
    );
    let may_again = is_over && request.request_type == Type::UserAdd;
    MyRequestPage {
        frame,
        id: request.id.to_string(),
        state: words::request_state(&request.state),
        meaning: if nobody_decides(detail) {
            NOBODY_DECIDES
        } else {
            meaning(&request.state, request.request_type)
        },
        cancel,
        anew: may_again.then(|| {
            let like = request.id.to_string();
            Address::new(format!("/my/packages/{}", request.package)).with("like", like).text()
        }),
        access: match request.state {
            Standing::Delivered { .. } | Standing::PartiallyDelivered { .. } => {
                request.assignment.map(|assignment| format!("/my/access/{assignment}"))
            }
            _ => None,
        },
        facts: facts(detail, request),
        stages: StageTold::all(&detail.stages),
        roles: detail.deliveries.iter().map(RoleTold::of).collect(),
        history: detail
            .history
            .iter()
            .map(|line| Line {
                what: words::happened(&line.kind),
                at: When::minute(line.at),
                who: line.actor.clone(),
                detail: match line.detail.as_str() {
                    "" => String::new(),
                    detail => sentence(detail),
                },
            })
            .collect(),
    }
}

fn facts(detail: &RequestDetail, request: &Request) -> Vec<(String, String)> {
    let summary = &detail.view.summary;
    let mut facts = vec![("Kind".to_owned(), words::request_type(request.request_type).to_owned())];
    let mut add = |name: &str, value: Option<String>| {
        facts.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("For", Some(summary.beneficiary.display_name.clone()));
    let by = Some(summary.requestor.display_name.clone());
    add("Requested by", by.filter(|_| request.requestor != request.subject));
    add("Policy", summary.policy_name.clone());
    add("Period", terms::period(request));
    add("Why", request.justification.clone());
    for (question, answer) in terms::answers(&request.terms.questions, &request.answers) {
        add(&question, Some(answer));
    }
    if let Some((_, why)) = &request.block {
        add("In the way", Some(sentence(why)));
    }
    facts
}

async fn ask(State(app): State<App>, session: Session, Path(request): Path<String>) -> Result {
    let request: RequestId = id("request", &request)?;
    let view = app.get_request(&session.caller, request).await?;
    let name = &view.summary.package_name;
    let back = format!("/my/requests/{request}");
    let mut sentences = vec!["Whoever was asked to decide sees that you withdrew it.".to_owned()];
    if view.summary.request.state.is_reprocessable() {
        sentences = vec![
            "Everything that was delivered by this request is taken back.".to_owned(),
            "If you only wait for something that failed, keep the request: it can be tried again."
                .to_owned(),
        ];
    }
    sentences.push("You can request the access package again afterwards.".to_owned());
    page(&ConfirmPage {
        frame: frame(Some(&session), format!("Cancel your request for {name}?"), Place::MyRequests)
            .crumb("My requests", "/my/requests")
            .crumb(name, &back),
        sentences,
        action: format!("{back}/cancel"),
        hidden: Vec::new(),
        button: "Cancel the request".to_owned(),
        back,
    })
}

async fn cancel(
    State(app): State<App>,
    Path(request): Path<String>,
    Posted { session, .. }: Posted,
) -> Result<Response> {
    let request: RequestId = id("request", &request)?;
    app.cancel_request(&session.caller, request).await?;
    Ok(see(format!("/my/requests/{request}?done=canceled")))
}

#[cfg(test)]
impl RoleTold {
    /// One that works, one that is awaited, one that failed.
    pub fn samples() -> Vec<RoleTold> {
        use super::part::Tone;
        use super::samples::{NASTY, at};
        let of = |resource: &str, state: Badge, meaning, cause: Option<&str>, next| RoleTold {
            resource: resource.to_owned(),
            role: "Member".to_owned(),
            target: "HR SCIM".to_owned(),
            state,
            meaning,
            cause: cause.map(str::to_owned),
            next,
        };
        vec![
            of("Campaign site", Badge::new(Tone::Ok, "ok", "Delivered"), "It works.", None, None),
            of(
                NASTY,
                Badge::new(Tone::Warn, "go", "Retrying"),
                "It did not work yet and is tried again by itself.",
                Some("The server answered 503 Service Unavailable."),
                Some(When::minute(at(20))),
            ),
            of(
                "Figures",
                Badge::new(Tone::Bad, "bad", "Failed"),
                "It could not be delivered.",
                Some("The role does not exist in the target system."),
                None,
            ),
        ]
    }
}

#[cfg(test)]
impl StageTold {
    /// One decided, one open.
    pub fn samples() -> Vec<StageTold> {
        use super::part::Tone;
        use super::samples::NASTY;
        let of = |n: usize, state: Badge, lines: &[&str]| StageTold {
            name: format!("Stage {n} of 2"),
            state,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        };
        vec![
            of(1, Badge::new(Tone::Ok, "ok", "Approved"), &["By Max Weber", NASTY]),
            of(2, Badge::new(Tone::Info, "wait", "Awaiting a decision"), &["Asked: Olga"]),
        ]
    }
}

#[cfg(test)]
impl MyRequestsPage {
    /// Several, none, none that match.
    pub fn samples() -> Vec<MyRequestsPage> {
        use super::samples::{NASTY, at, frame};
        let row = |n: usize, name: &str, state: &str| Row {
            id: n.to_string(),
            package: name.to_owned(),
            person: (n == 2).then(|| NASTY.to_owned()),
            kind: "Request for access",
            state: words::request_state_named(state),
            note: (state == "partiallyDelivered").then(|| "1 still awaited".to_owned()),
            created: When::minute(at(0)),
            completed: (n < 3).then(|| When::minute(at(9))),
        };
        let of = |rows: Vec<Row>, chosen: &[&str]| MyRequestsPage {
            frame: frame("My requests", Place::MyRequests),
            states: states(chosen),
            is_narrowed: !chosen.is_empty(),
            next: (!rows.is_empty()).then(|| "/my/requests?after=x".to_owned()),
            first: None,
            rows,
        };
        let rows = vec![
            row(1, "Campaign", "partiallyDelivered"),
            row(2, NASTY, "delivered"),
            row(3, "Intranet", "pendingApproval"),
        ];
        vec![of(rows, &[]), of(vec![], &[]), of(vec![], &["denied"])]
    }
}

#[cfg(test)]
impl MyRequestPage {
    /// Pending, partly delivered, delivered.
    pub fn samples() -> Vec<MyRequestPage> {
        use super::samples::{NASTY, at, frame};
        let of = |state: &str, cancel: Deed, roles: Vec<RoleTold>, meaning| MyRequestPage {
            frame: frame("Campaign", Place::MyRequests).crumb("My requests", "/my/requests"),
            id: "1".to_owned(),
            state: words::request_state_named(state),
            meaning,
            anew: (state == "deliveryFailed").then(|| "/my/packages/1?like=1".to_owned()),
            access: (state == "delivered").then(|| "/my/access/1".to_owned()),
            cancel,
            facts: vec![
                ("For".to_owned(), "Uma Jensen".to_owned()),
                ("Why".to_owned(), NASTY.to_owned()),
            ],
            stages: StageTold::samples(),
            roles,
            history: vec![Line {
                what: "Submitted".to_owned(),
                at: When::minute(at(0)),
                who: "uma@contoso.example".to_owned(),
                detail: NASTY.to_owned(),
            }],
        };
        let instead = Deed::Not {
            why: "It is delivered and cannot be canceled any more.".to_owned(),
            link: Some(("Give the access back instead".to_owned(), "/my/access/1".to_owned())),
        };
        vec![
            of("pendingApproval", Deed::Ready, vec![], "Somebody has to approve it."),
            of("deliveryFailed", Deed::Ready, RoleTold::samples(), "It could not be delivered."),
            of("delivered", instead, RoleTold::samples(), "You have everything you asked for."),
        ]
    }
}
