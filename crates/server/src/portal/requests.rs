//! The Requests page: of one access package, or of everything the reader may read. From here a
//! selection goes to a reprocess plan.

use accede_app::failures::Failure;
use accede_app::packages::PackageWith;
use accede_app::reprocess::Selection;
use accede_app::requests::{May, Narrowing, RequestView, Whose};
use accede_app::{App, Caller, Listing};
use accede_domain::Timestamp;
use accede_domain::filter::Filter;
use accede_domain::id::{CauseId, PackageId, PolicyId, TargetId};
use accede_domain::permission::{Action, Reach};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::form::{Address, Asked, Fields, id};
use super::part::{Badge, Frame, Place, SignInName, When, grouped, how_long};
use super::problem::Result;
use super::session::Session;
use super::words::{self, REQUEST_STATES};
use super::{Web, frame, page};

/// Requests on a page.
const ON_A_PAGE: usize = 50;
/// Longest text to search for, in characters.
const MAX_TEXT: usize = 100;

/// The routes of this page.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/requests", get(everything))
        .route("/governance/packages/{id}/requests", get(of_package))
}

/// What the reader narrowed the list to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    package: Option<PackageId>,
    states: Vec<&'static str>,
    policy: Option<PolicyId>,
    cause: Option<CauseId>,
    target: Option<TargetId>,
    text: String,
}

impl Choice {
    /// From options or form fields; what is not known is left out.
    pub fn read(fields: &Fields) -> Choice {
        let known =
            |asked: &str| REQUEST_STATES.iter().map(|(name, _)| *name).find(|name| *name == asked);
        Choice {
            package: fields.parsed("package"),
            states: fields.all("state").filter_map(known).collect(),
            policy: fields.parsed("policy"),
            cause: fields.parsed("cause"),
            target: fields.parsed("target"),
            text: fields.get("text").unwrap_or_default().chars().take(MAX_TEXT).collect(),
        }
    }

    /// The same as a filter in Graph's property paths.
    fn filter(&self) -> Result<Option<Filter>> {
        let mut parts = Vec::new();
        if let Some(package) = self.package {
            parts.push(format!("accessPackage/id eq '{package}'"));
        }
        if let Some(policy) = self.policy {
            parts.push(format!("assignmentPolicy/id eq '{policy}'"));
        }
        let states: Vec<String> =
            self.states.iter().map(|state| format!("state eq '{state}'")).collect();
        if !states.is_empty() {
            parts.push(format!("({})", states.join(" or ")));
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let parsed = Filter::parse(&parts.join(" and "));
        parsed.map(Some).map_err(|error| accede_app::Error::internal(error).into())
    }

    /// What the filter does not say.
    fn narrowing(&self) -> Narrowing {
        let text = Some(self.text.clone()).filter(|text| !text.is_empty());
        Narrowing { cause: self.cause, target: self.target, text }
    }

    /// Everything that matches, to be planned.
    ///
    /// # Errors
    ///
    /// Never for what [`Choice::read`] made.
    pub fn selection(&self) -> Result<Selection> {
        let Narrowing { cause, target, text } = self.narrowing();
        Ok(Selection { ids: None, filter: self.filter()?, cause, target, text })
    }

    /// Where the list so narrowed is.
    pub fn address(&self) -> Address {
        let path = match self.package {
            Some(package) => format!("/governance/packages/{package}/requests"),
            None => "/governance/requests".to_owned(),
        };
        let text = |id: Option<String>| id.unwrap_or_default();
        let mut address = Address::new(path);
        for state in &self.states {
            address = address.with("state", state);
        }
        address
            .with("cause", text(self.cause.map(|id| id.to_string())))
            .with("target", text(self.target.map(|id| id.to_string())))
            .with("policy", text(self.policy.map(|id| id.to_string())))
            .with("text", &self.text)
    }

    /// The same as hidden fields of a form: name and value.
    fn hidden(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        let ids = [
            ("package", self.package.map(|id| id.to_string())),
            ("policy", self.policy.map(|id| id.to_string())),
            ("cause", self.cause.map(|id| id.to_string())),
            ("target", self.target.map(|id| id.to_string())),
        ];
        fields.extend(ids.into_iter().filter_map(|(name, id)| id.map(|id| (name, id))));
        fields.extend(self.states.iter().map(|state| ("state", (*state).to_owned())));
        if !self.text.is_empty() {
            fields.push(("text", self.text.clone()));
        }
        fields
    }
}

/// A choice in a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choosable {
    /// What is sent.
    pub value: String,
    /// What is shown.
    pub label: String,
    /// Whether it is chosen.
    pub is_chosen: bool,
}

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    id: String,
    person: String,
    person_upn: SignInName,
    by: Option<String>,
    kind: &'static str,
    package: String,
    policy: Option<String>,
    state: Badge,
    is_stuck: bool,
    created: When,
    completed: Option<When>,
    undelivered: usize,
    causes: Vec<String>,
    left: String,
    /// Why it cannot be reprocessed.
    not: Option<String>,
}

impl Row {
    fn of(view: &RequestView, now: Timestamp) -> Row {
        let summary = &view.summary;
        let request = &summary.request;
        let left = match view.window_ends {
            Some(ends) if now < ends => how_long(ends.duration_since(now)),
            Some(_) => "ended".to_owned(),
            None if request.state.is_reprocessable() => "no limit".to_owned(),
            None => "–".to_owned(),
        };
        Row {
            id: request.id.to_string(),
            person: summary.beneficiary.display_name.clone(),
            person_upn: SignInName::new(&summary.beneficiary.user_principal_name),
            by: Some(summary.requestor.display_name.clone())
                .filter(|_| request.requestor != request.subject),
            kind: words::request_type(request.request_type),
            package: summary.package_name.clone(),
            policy: summary.policy_name.clone(),
            state: words::request_state(&request.state),
            is_stuck: view.is_stuck,
            created: When::minute(request.created_at),
            completed: request.state.completed().map(When::minute),
            undelivered: view.undelivered,
            causes: view.causes.clone(),
            left,
            not: match &view.reprocess {
                May::Yes => None,
                May::No { why, .. } => Some(super::problem::sentence(why)),
            },
        }
    }
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "requests.html")]
pub struct RequestsPage {
    frame: Frame,
    package: Option<PackageHead>,
    action: String,
    states: Vec<Choosable>,
    causes: Vec<Choosable>,
    targets: Vec<Choosable>,
    policies: Vec<Choosable>,
    text: String,
    is_narrowed: bool,
    clear: String,
    hidden: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    total: i64,
    may_reprocess: bool,
    next: Option<String>,
    first: Option<String>,
}

impl RequestsPage {
    fn whole(&self) -> String {
        format!("All {} that match are selected", grouped(self.total))
    }

    fn total(&self) -> String {
        grouped(self.total)
    }
}

/// The package that pages of Manage belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageHead {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Which of its pages this is: `overview`, `roles`, `policies`, `requests`, `assignments`.
    pub tab: &'static str,
}

async fn everything(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let choice = Choice { package: None, ..Choice::read(&fields) };
    show(&app, &session, choice, &fields, None).await
}

async fn of_package(
    State(app): State<App>,
    session: Session,
    Path(package): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let package: PackageId = id("access package", &package)?;
    let with = PackageWith { policies: true, ..PackageWith::default() };
    let view = app.package(&session.caller, None, package, with).await?;
    let choice = Choice { package: Some(package), ..Choice::read(&fields) };
    let policies = view.policies.unwrap_or_default();
    let policies = policies.into_iter().map(|stored| Choosable {
        value: stored.policy.id.to_string(),
        is_chosen: choice.policy == Some(stored.policy.id),
        label: stored.policy.display_name,
    });
    let of = (view.package.display_name, policies.collect());
    show(&app, &session, choice, &fields, Some(of)).await
}

async fn show(
    app: &App,
    session: &Session,
    choice: Choice,
    fields: &Fields,
    of: Option<(String, Vec<Choosable>)>,
) -> Result {
    let caller = &session.caller;
    let now = app.now();
    let after = fields.get("after").map(str::to_owned);
    let listing = Listing {
        filter: choice.filter()?,
        top: Some(ON_A_PAGE),
        after: after.clone(),
        count: true,
        ..Listing::default()
    };
    let whose = Whose::Reach(Reach::Catalogs(Vec::new()));
    let found = app.list_requests(caller, whose, &choice.narrowing(), &listing).await?;
    let failures = app.list_failures(caller).await?;
    let (package, policies) = of.unzip();
    let title = "Requests";
    let mut frame = frame(Some(session), title, Place::Packages)
        .notice(words::done(fields.get("done")))
        .crumb("Access packages", "/governance/packages");
    let package = choice.package.zip(package).map(|(id, name)| PackageHead {
        id: id.to_string(),
        name,
        tab: "requests",
    });
    if let Some(package) = &package {
        frame = frame.crumb(&package.name, format!("/governance/packages/{}", package.id));
    }
    let address = choice.address();
    page(&RequestsPage {
        package,
        action: Choice { package: choice.package, ..Choice::default() }.address().text(),
        states: states(&choice),
        causes: causes(&choice, &failures),
        targets: targets(&choice, &failures),
        policies: policies.unwrap_or_default(),
        text: choice.text.clone(),
        is_narrowed: choice != Choice { package: choice.package, ..Choice::default() },
        clear: Choice { package: choice.package, ..Choice::default() }.address().text(),
        hidden: choice.hidden(),
        rows: found.items.iter().map(|view| Row::of(view, now)).collect(),
        total: found.count.unwrap_or(0),
        may_reprocess: may_reprocess(caller),
        next: found.next.map(|mark| address.clone().with("after", mark).text()),
        first: after.map(|_| address.text()),
        frame,
    })
}

fn may_reprocess(caller: &Caller) -> bool {
    !caller.reach(Action::Reprocess).is_empty()
}

fn states(choice: &Choice) -> Vec<Choosable> {
    let one = |(name, words): &(&'static str, &str)| Choosable {
        value: (*name).to_owned(),
        label: (*words).to_owned(),
        is_chosen: choice.states.contains(name),
    };
    REQUEST_STATES.iter().map(one).collect()
}

fn causes(choice: &Choice, failures: &[Failure]) -> Vec<Choosable> {
    let one = |failure: &Failure| Choosable {
        value: failure.cause.id.to_string(),
        label: format!("{}: {}", failure.cause.target_display_name, failure.cause.text),
        is_chosen: choice.cause == Some(failure.cause.id),
    };
    failures.iter().map(one).collect()
}

fn targets(choice: &Choice, failures: &[Failure]) -> Vec<Choosable> {
    let mut found: Vec<Choosable> = Vec::new();
    for failure in failures {
        let value = failure.cause.target.to_string();
        if found.iter().all(|known| known.value != value) {
            let label = failure.cause.target_display_name.clone();
            found.push(Choosable {
                value,
                label,
                is_chosen: choice.target == Some(failure.cause.target),
            });
        }
    }
    found
}

#[cfg(test)]
impl RequestsPage {
    /// Many failed, none, and a reader without the right to reprocess.
    pub fn samples() -> Vec<RequestsPage> {
        use super::samples::{NASTY, at, frame};
        let row = |n: usize, name: &str, state: Badge, not: Option<&str>| Row {
            id: format!("5d2b7f66-80a4-4f9e-8f0b-3b1b2c60000{n}"),
            person: name.to_owned(),
            person_upn: SignInName::new(&format!("person{n}@contoso.example")),
            by: (n == 2).then(|| "Max Weber".to_owned()),
            kind: "Request for access",
            package: "Campaign".to_owned(),
            policy: Some("Marketing staff".to_owned()),
            state,
            is_stuck: n == 3,
            created: When::minute(at(0)),
            completed: (n != 4).then(|| When::minute(at(90))),
            undelivered: usize::from(not.is_none()),
            causes: match not {
                None => vec!["the server answered 503 Service Unavailable".to_owned()],
                Some(_) => vec![],
            },
            left: if not.is_none() { "11 days" } else { "ended" }.to_owned(),
            not: not.map(str::to_owned),
        };
        let too_late = "The request was first completed at 2026-05-20T09:00:00Z and could be \
                        reprocessed until 2026-06-03T09:00:00Z; cancel it where possible and request \
                        the access package anew.";
        let rows = vec![
            row(0, "Uma Jensen", words::request_state_named("partiallyDelivered"), None),
            row(1, NASTY, words::request_state_named("deliveryFailed"), None),
            row(2, "Ben Okafor", words::request_state_named("partiallyDelivered"), Some(too_late)),
            row(
                3,
                "Chiara Rossi",
                words::request_state_named("delivering"),
                Some("It is being delivered at present; what failed is tried again by itself."),
            ),
            row(
                4,
                "Dai Nguyen",
                words::request_state_named("pendingApproval"),
                Some("Only partially delivered and failed requests can be reprocessed."),
            ),
            row(
                5,
                "Eva Lund",
                words::request_state_named("delivered"),
                Some("To repair access that was changed outside, reprocess the assignment."),
            ),
        ];
        let choose = |value: &str, label: &str, is_chosen| Choosable {
            value: value.to_owned(),
            label: label.to_owned(),
            is_chosen,
        };
        let choice = Choice { states: vec!["partiallyDelivered"], ..Choice::default() };
        let full = |rows: Vec<Row>, may_reprocess| RequestsPage {
            frame: frame("Requests", Place::Packages)
                .crumb("Access packages", "/governance/packages")
                .crumb("Campaign", "/governance/packages/1"),
            package: Some(PackageHead {
                id: "1".to_owned(),
                name: "Campaign".to_owned(),
                tab: "requests",
            }),
            action: "/governance/packages/1/requests".to_owned(),
            states: states(&choice),
            causes: vec![choose(
                "c",
                "HR SCIM: the server answered 503 Service Unavailable",
                false,
            )],
            targets: vec![choose("t", "HR SCIM", false)],
            policies: vec![choose("p", "Marketing staff", false)],
            text: String::new(),
            is_narrowed: true,
            clear: "/governance/packages/1/requests".to_owned(),
            hidden: choice.hidden(),
            total: if rows.is_empty() { 0 } else { 3_000 },
            next: (!rows.is_empty()).then(|| "/governance/packages/1/requests?after=x".to_owned()),
            first: None,
            rows,
            may_reprocess,
        };
        let mut all = full(rows.clone(), true);
        all.package = None;
        vec![full(rows.clone(), true), full(Vec::new(), true), full(rows, false), all]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    const ID: &str = "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004";

    #[test]
    fn a_choice_says_the_same_as_address_form_and_filter() {
        let asked = format!(
            "package={ID}&state=deliveryFailed&state=denied&state=nonsense&policy={ID}&text=Uma+J"
        );
        let choice = Choice::read(&Fields::parse(asked.as_bytes()));

        assert_eq!(
            choice.filter().unwrap().unwrap().to_string(),
            format!(
                "accessPackage/id eq '{ID}' and assignmentPolicy/id eq '{ID}' and \
                 (state eq 'deliveryFailed' or state eq 'denied')"
            )
        );
        let address = choice.address().text();
        let (path, query) = address.split_once('?').unwrap();
        assert_eq!(path, format!("/governance/packages/{ID}/requests"));
        let again = Choice::read(&Fields::parse(format!("package={ID}&{query}").as_bytes()));
        assert_eq!(again, choice);
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(choice.hidden());
        assert_eq!(Choice::read(&Fields::parse(form.finish().as_bytes())), choice);
        assert_eq!(choice.selection().unwrap().text.as_deref(), Some("Uma J"));
    }
}
