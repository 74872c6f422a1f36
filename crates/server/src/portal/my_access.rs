//! My Access, Access: what the reader has, and giving it back.

use accede_app::assignments::Summary;
use accede_app::requests::{ForWhom, May, Narrowing, NewRequest, Whose};
use accede_app::{App, Caller, Error, Listing};
use accede_domain::Timestamp;
use accede_domain::assignment::State as Standing;
use accede_domain::filter::Filter;
use accede_domain::id::{AssignmentId, RequestId};
use accede_domain::request::Type;
use accede_domain::schedule::Schedule;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::confirm::ConfirmPage;
use super::form::{Address, Asked, Posted, id};
use super::my_requests::RoleTold;
use super::part::{Badge, Deed, Frame, Place, When, how_long};
use super::problem::{Result, sentence};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// Assignments on a page.
const ON_A_PAGE: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/my/access", get(list))
        .route("/my/access/{id}", get(show))
        .route("/my/access/{id}/return", get(ask).post(give_back))
}

/// An access package the reader has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    package: String,
    description: String,
    state: Badge,
    since: When,
    ends: Option<When>,
    left: Option<String>,
    policy: Option<String>,
}

impl Row {
    fn of(summary: &Summary, now: Timestamp) -> Row {
        let assignment = &summary.assignment;
        let ends = match assignment.state {
            Standing::Ending { since } => Some(since),
            Standing::Expired { at } => Some(at),
            _ => assignment.end,
        };
        Row {
            id: assignment.id.to_string(),
            package: summary.package_name.clone(),
            description: summary.package_description.clone(),
            state: words::assignment_state(&assignment.state),
            since: When::minute(assignment.start),
            left: ends.filter(|end| now < *end).map(|end| how_long(end.duration_since(now))),
            ends: ends.map(When::minute),
            policy: summary.policy_name.clone(),
        }
    }
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "my_access.html")]
pub struct MyAccessPage {
    frame: Frame,
    ended: bool,
    rows: Vec<Row>,
    next: Option<String>,
    first: Option<String>,
}

async fn list(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let (_, subject) = session.caller.require_user()?;
    let ended = fields.has("ended");
    let filter = if ended { "state eq 'expired'" } else { "state ne 'expired'" };
    let filter = Some(Filter::parse(filter).map_err(Error::internal)?);
    let after = fields.get("after").map(str::to_owned);
    let listing =
        Listing { filter, top: Some(ON_A_PAGE), after: after.clone(), ..Listing::default() };
    let found = app.list_assignments(&session.caller, Whose::Target(subject), &listing).await?;
    let address = Address::new("/my/access").with("ended", if ended { "1" } else { "" });
    let now = app.now();
    page(&MyAccessPage {
        frame: frame(Some(&session), "My access", Place::MyAccess)
            .notice(words::done(fields.get("done"))),
        ended,
        rows: found.items.iter().map(|summary| Row::of(summary, now)).collect(),
        next: found.next.map(|mark| address.clone().with("after", mark).text()),
        first: after.map(|_| address.text()),
    })
}

/// One access package that the reader has.
#[derive(Debug, Template)]
#[template(path = "my_assignment.html")]
pub struct MyAssignmentPage {
    frame: Frame,
    row: Row,
    give_back: Deed,
    request: Option<String>,
    roles: Vec<RoleTold>,
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(assignment): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let assignment: AssignmentId = id("access", &assignment)?;
    let caller = &session.caller;
    let summary = app.get_assignment(caller, assignment).await?;
    let request = last_request(&app, caller, assignment).await?;
    let roles = match request {
        Some(request) => app.request_deliveries(caller, request).await?,
        None => Vec::new(),
    };
    let give_back = match summary.assignment.state {
        Standing::Ending { .. } => Deed::not("It is being taken back at present."),
        Standing::Expired { .. } => Deed::Hidden,
        _ => match app.may_give_back(caller, assignment).await? {
            May::Yes => Deed::Ready,
            May::No { code: "RemovalNotAllowed", .. } => Deed::not(
                "The policy does not let you give it back yourself. Ask the manager of the access \
                 package to remove it.",
            ),
            May::No { why, .. } => Deed::not(sentence(&why)),
        },
    };
    // The address says what was done; how it stands says whether it is still so.
    let is_ending = matches!(summary.assignment.state, Standing::Ending { .. });
    let notice = words::done(fields.get("done")).filter(|_| is_ending);
    page(&MyAssignmentPage {
        frame: frame(Some(&session), &summary.package_name, Place::MyAccess)
            .crumb("My access", "/my/access")
            .notice(notice),
        row: Row::of(&summary, app.now()),
        give_back,
        request: request.map(|request| request.to_string()),
        roles: roles.iter().map(RoleTold::of).collect(),
    })
}

/// The latest request of an assignment that the reader asked for or benefits from.
async fn last_request(
    app: &App,
    caller: &Caller,
    assignment: AssignmentId,
) -> Result<Option<RequestId>> {
    let (_, subject) = caller.require_user()?;
    let filter = format!("assignment/id eq '{assignment}'");
    let filter = Some(Filter::parse(&filter).map_err(Error::internal)?);
    let listing = Listing { filter, top: Some(1), ..Listing::default() };
    let whose = Whose::TargetOrRequestor(subject);
    let found = app.list_requests(caller, whose, &Narrowing::default(), &listing).await?;
    Ok(found.items.first().map(|view| view.summary.request.id))
}

async fn ask(State(app): State<App>, session: Session, Path(assignment): Path<String>) -> Result {
    let assignment: AssignmentId = id("access", &assignment)?;
    let summary = app.get_assignment(&session.caller, assignment).await?;
    let name = &summary.package_name;
    let back = format!("/my/access/{assignment}");
    page(&ConfirmPage {
        frame: frame(Some(&session), format!("Give back {name}?"), Place::MyAccess)
            .crumb("My access", "/my/access")
            .crumb(name, &back),
        sentences: vec![
            "You lose every role it gives you, unless another access package gives you the same."
                .to_owned(),
            "To have it again you need to request it again, and it may have to be approved."
                .to_owned(),
        ],
        action: format!("{back}/return"),
        hidden: Vec::new(),
        button: "Give it back".to_owned(),
        back,
    })
}

async fn give_back(
    State(app): State<App>,
    Path(assignment): Path<String>,
    Posted { session, .. }: Posted,
) -> Result<Response> {
    let assignment: AssignmentId = id("access", &assignment)?;
    let new = NewRequest {
        request_type: Type::UserRemove,
        target: ForWhom::Caller,
        package: None,
        policy: None,
        assignment: Some(assignment),
        schedule: Schedule::default(),
        justification: None,
        answers: Vec::new(),
    };
    app.submit_request(&session.caller, new).await?;
    Ok(see(format!("/my/access/{assignment}?done=givenback")))
}

#[cfg(test)]
fn sample_row(n: usize, name: &str, state: &str) -> Row {
    use super::samples::at;
    Row {
        id: n.to_string(),
        package: name.to_owned(),
        description: "What a campaign needs.".to_owned(),
        state: words::request_state_named(state),
        since: When::minute(at(0)),
        ends: (n != 2).then(|| When::minute(at(40_000))),
        left: (n != 2).then(|| "27 days".to_owned()),
        policy: Some("Marketing staff".to_owned()),
    }
}

#[cfg(test)]
impl MyAccessPage {
    /// Several, none, none that ended.
    pub fn samples() -> Vec<MyAccessPage> {
        use super::samples::{NASTY, frame};
        let of = |rows: Vec<Row>, ended| MyAccessPage {
            frame: frame("My access", Place::MyAccess),
            ended,
            next: (!rows.is_empty()).then(|| "/my/access?after=x".to_owned()),
            first: None,
            rows,
        };
        let rows = vec![
            sample_row(1, "Campaign", "partiallyDelivered"),
            sample_row(2, NASTY, "delivered"),
        ];
        vec![of(rows, false), of(vec![], false), of(vec![], true)]
    }
}

#[cfg(test)]
impl MyAssignmentPage {
    /// One that can be given back, one that cannot.
    pub fn samples() -> Vec<MyAssignmentPage> {
        use super::samples::{NASTY, frame};
        let of = |name: &str, give_back| MyAssignmentPage {
            frame: frame(name, Place::MyAccess).crumb("My access", "/my/access"),
            row: sample_row(1, name, "delivered"),
            give_back,
            request: Some("1".to_owned()),
            roles: RoleTold::samples(),
        };
        vec![of("Campaign", Deed::Ready), of(NASTY, Deed::not("The policy does not let you."))]
    }
}
