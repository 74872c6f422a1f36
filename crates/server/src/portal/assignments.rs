//! Who has an access package: the list, narrowed by person and state, and the reprocess of one
//! assignment or of those that are ticked.

use accede_app::assignments::Summary;
use accede_app::packages::PackageWith;
use accede_app::requests::Whose;
use accede_app::{App, Error, Listing};
use accede_domain::assignment::State as Standing;
use accede_domain::filter::Filter;
use accede_domain::id::{AssignmentId, PackageId};
use accede_domain::permission::{Action, Reach};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::form::{Address, Asked, Fields, Posted, id};
use super::input::choice;
use super::packages::{head, read};
use super::part::{Badge, Frame, Notice, SignInName, Tone, When, grouped, plural};
use super::pick::search;
use super::problem::{Problem, Result};
use super::requests::{Choosable, PackageHead};
use super::session::Session;
use super::{Web, page, see, words};

/// Rows on a page.
const ON_A_PAGE: usize = 50;
/// Most assignments that are reprocessed by one form; a page has fewer.
const MAX_TICKED: usize = 200;

/// The routes of this page.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/packages/{id}/assignments", get(show))
        .route("/governance/packages/{id}/assignments/reprocess", post(reprocess_ticked))
        .route("/governance/packages/{id}/assignments/{assignment}/reprocess", post(reprocess))
}

/// What the list is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Narrowed {
    text: String,
    states: Vec<&'static str>,
}

impl Narrowed {
    /// From options; what is not known is left out.
    fn read(fields: &Fields) -> Narrowed {
        let known = |asked: &str| {
            words::ASSIGNMENT_STATES.iter().map(|(name, _)| *name).find(|name| *name == asked)
        };
        Narrowed {
            text: search(fields, "text"),
            states: fields.all("state").filter_map(known).collect(),
        }
    }

    fn filter(&self, package: PackageId) -> Result<Filter> {
        let mut parts = vec![format!("accessPackage/id eq '{package}'")];
        if !self.states.is_empty() {
            let states: Vec<String> =
                self.states.iter().map(|state| format!("state eq '{state}'")).collect();
            parts.push(format!("({})", states.join(" or ")));
        }
        if !self.text.is_empty() {
            let quoted = self.text.to_lowercase().replace('\'', "''");
            parts.push(format!(
                "(contains(tolower(target/displayName),'{quoted}') or \
                 contains(tolower(target/principalName),'{quoted}'))"
            ));
        }
        let filter = Filter::parse(&parts.join(" and "));
        filter.map_err(|error| Error::invalid("text", error.to_string()).into())
    }

    /// Where the list so narrowed is.
    fn address(&self, package: PackageId) -> Address {
        let mut address = Address::new(format!("/governance/packages/{package}/assignments"));
        for state in &self.states {
            address = address.with("state", *state);
        }
        address.with("text", &self.text)
    }
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "assignments.html")]
pub struct AssignmentsPage {
    frame: Frame,
    package: PackageHead,
    states: Vec<Choosable>,
    text: String,
    is_narrowed: bool,
    rows: Vec<Row>,
    total: i64,
    may_reprocess: bool,
    may_assign: bool,
    next: Option<String>,
}

impl AssignmentsPage {
    fn total(&self) -> String {
        grouped(self.total)
    }

    fn has_delivered(&self) -> bool {
        self.rows.iter().any(|row| row.is_delivered)
    }
}

/// An assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    person: String,
    person_upn: SignInName,
    policy: String,
    state: Badge,
    since: When,
    until: Option<When>,
    is_delivered: bool,
    is_live: bool,
}

impl Row {
    fn of(summary: &Summary) -> Row {
        let assignment = &summary.assignment;
        Row {
            id: assignment.id.to_string(),
            person: summary.beneficiary.display_name.clone(),
            person_upn: SignInName::new(&summary.beneficiary.user_principal_name),
            policy: summary.policy_name.clone().unwrap_or_else(|| "–".to_owned()),
            state: words::assignment_state(&assignment.state),
            since: When::minute(assignment.start),
            until: assignment.expired().or(assignment.end).map(When::minute),
            is_delivered: assignment.state == Standing::Delivered,
            is_live: assignment.state.is_live(),
        }
    }
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let view = read(&app, &session, &text, PackageWith::default()).await?;
    let id = view.package.id;
    let narrowed = Narrowed::read(&fields);
    let listing = Listing {
        filter: Some(narrowed.filter(id)?),
        top: Some(ON_A_PAGE),
        after: fields.owned("after"),
        count: true,
        ..Listing::default()
    };
    let whose = Whose::Reach(Reach::Catalogs(Vec::new()));
    let found = app.list_assignments(&session.caller, whose, &listing).await?;
    let may = |action| session.caller.reach(action).includes(view.package.catalog);
    let (frame, package) = head(&session, &view, "assignments", "Assignments");
    let states = words::ASSIGNMENT_STATES.iter();
    page(&AssignmentsPage {
        frame: frame.notice(told(&fields)),
        package,
        states: states
            .map(|(name, words)| choice(*name, *words, narrowed.states.contains(name)))
            .collect(),
        is_narrowed: narrowed != Narrowed::default(),
        rows: found.items.iter().map(Row::of).collect(),
        total: found.count.unwrap_or(0),
        may_reprocess: may(Action::Reprocess),
        may_assign: may(Action::Assign),
        next: found.next.map(|mark| narrowed.address(id).with("after", mark).text()),
        text: narrowed.text,
    })
}

/// What came of the form before.
fn told(fields: &Fields) -> Option<Notice> {
    let (many, left) = (fields.parsed::<i64>("many"), fields.parsed::<i64>("left"));
    match (fields.get("done"), many, left.unwrap_or(0)) {
        (Some("verifying"), Some(many), 0) => Some(Notice::new(
            Tone::Ok,
            format!(
                "Every role of {} is being looked up and applied again.",
                plural(many, "assignment")
            ),
        )),
        (Some("verifying"), Some(many), left) => Some(Notice::new(
            Tone::Warn,
            format!(
                "{} of {} are being looked up and applied again; the others are not delivered any \
                 more, so there was nothing to look up.",
                grouped(many),
                plural(many.saturating_add(left), "assignment")
            ),
        )),
        (Some("unticked"), ..) => Some(Notice::new(
            Tone::Warn,
            "Nothing was selected. Tick the assignments to reprocess, then press Reprocess again.",
        )),
        (code, ..) => words::done(code),
    }
}

async fn reprocess(
    State(app): State<App>,
    Path((package, assignment)): Path<(String, String)>,
    Posted { session, .. }: Posted,
) -> Result {
    let package: PackageId = id("access package", &package)?;
    let assignment: AssignmentId = id("assignment", &assignment)?;
    app.reprocess_assignment(&session.caller, assignment).await?;
    Ok(see(format!("/governance/packages/{package}/assignments?done=verifying")))
}

/// Reprocesses the assignments that were ticked, each by itself; one that stands otherwise by now is
/// left out and counted.
async fn reprocess_ticked(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let view = read(&app, &session, &text, PackageWith::default()).await?;
    let (reprocess, see_it) = (Action::Reprocess, Action::ReadCatalog);
    let (catalog, package) = (view.package.catalog, view.package.id);
    session.caller.may_on(reprocess, catalog, see_it, "access package", package)?;
    let address = Narrowed::read(&fields).address(package);
    let ticked: Vec<AssignmentId> = fields.all("id").filter_map(|id| id.parse().ok()).collect();
    if ticked.is_empty() {
        return Ok(see(address.with("done", "unticked").text()));
    }
    if MAX_TICKED < ticked.len() {
        return Err(Problem::from(Error::Limit {
            what: "the number of assignments that are reprocessed at once",
            limit: MAX_TICKED,
            advice: "tick fewer",
        }));
    }
    let (mut many, mut left) = (0, 0);
    for assignment in ticked {
        match app.reprocess_assignment(&session.caller, assignment).await {
            Ok(()) => many += 1,
            Err(Error::Refused(_) | Error::NotFound { .. }) => left += 1,
            Err(error) => return Err(error.into()),
        }
    }
    let address = address.with("done", "verifying").with("many", many.to_string());
    Ok(see(address.with("left", left.to_string()).text()))
}

#[cfg(test)]
impl AssignmentsPage {
    /// Some, none, and nothing that matches.
    pub fn samples() -> Vec<AssignmentsPage> {
        use super::samples::{NASTY, at, frame};
        let row = |id: &str, is_delivered| Row {
            id: id.to_owned(),
            person: NASTY.to_owned(),
            person_upn: SignInName::new("uma.j@contoso.example"),
            policy: "Marketing staff".to_owned(),
            state: words::request_state_named(if is_delivered {
                "delivered"
            } else {
                "delivering"
            }),
            since: When::minute(at(0)),
            until: is_delivered.then(|| When::minute(at(60 * 24 * 90))),
            is_delivered,
            is_live: true,
        };
        let page = |rows: Vec<Row>, is_narrowed| AssignmentsPage {
            frame: frame("Assignments", super::part::Place::Packages)
                .crumb("Access packages", "/governance/packages")
                .crumb("Campaign", "/governance/packages/1"),
            package: PackageHead {
                id: "1".to_owned(),
                name: "Campaign".to_owned(),
                tab: "assignments",
            },
            states: words::ASSIGNMENT_STATES
                .iter()
                .map(|(name, words)| choice(*name, *words, is_narrowed && *name == "delivered"))
                .collect(),
            text: String::new(),
            is_narrowed,
            total: 2,
            rows,
            may_reprocess: true,
            may_assign: true,
            next: None,
        };
        vec![
            page(vec![row("a", true), row("b", false)], true),
            page(vec![], false),
            page(vec![], true),
        ]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn a_narrowed_list_says_the_same_as_filter_and_address() {
        let package: PackageId = "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004".parse().unwrap();
        let asked = "state=delivered&state=nonsense&text=O%27Neil";
        let narrowed = Narrowed::read(&Fields::parse(asked.as_bytes()));

        let filter = narrowed.filter(package).unwrap().to_string();
        assert!(filter.contains("state eq 'delivered'"), "{filter}");
        assert!(filter.contains("'o''neil'"), "{filter}");
        let address = narrowed.address(package).text();
        let query = address.split_once('?').unwrap().1;
        assert_eq!(Narrowed::read(&Fields::parse(query.as_bytes())), narrowed);
    }

    #[test]
    fn who_reprocessed_a_selection_is_told_what_came_of_it() {
        let said = |query: &str| told(&Fields::parse(query.as_bytes())).unwrap();
        assert_eq!(said("done=verifying&many=2&left=0").tone, Tone::Ok);
        let some = said("done=verifying&many=2&left=1");
        assert!(some.text.starts_with("2 of 3 assignments are"), "{}", some.text);
        assert_eq!(said("done=unticked").tone, Tone::Warn);
    }
}
