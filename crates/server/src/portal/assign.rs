//! Direct assignment: an administrator gives an access package to people, and takes it away.
//!
//! Nothing is doubled by sending the form twice: a person with an open request or an assignment is
//! refused a second one.

use accede_app::assignments::Summary;
use accede_app::packages::{PackageView, PackageWith};
use accede_app::requests::{ForWhom, NewRequest};
use accede_app::text::MAX_JUSTIFICATION;
use accede_app::{App, Error};
use accede_domain::id::{AssignmentId, PackageId, PolicyId};
use accede_domain::permission::Action;
use accede_domain::refusal::Refusal;
use accede_domain::request::Type;
use accede_domain::schedule::{Expiration, Schedule};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::confirm::ConfirmPage;
use super::form::{Asked, Fields, Posted, id};
use super::form_page::{FormPage, Wrong, again, again_with, also};
use super::input::{Input, choice};
use super::packages::below;
use super::part::{Badge, Frame, Notice, Tone, plural};
use super::problem::{Result, sentence};
use super::session::Session;
use super::{Web, page, see, terms};

/// Most people who are assigned by one form.
const MAX_PEOPLE: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new().route("/governance/packages/{id}/assignments/new", get(ask).post(assign)).route(
        "/governance/packages/{id}/assignments/{assignment}/remove",
        get(ask_remove).post(remove),
    )
}

fn address(package: PackageId) -> String {
    format!("/governance/packages/{package}/assignments")
}

/// A frame under the assignments of a package.
fn under(session: &Session, view: &PackageView, title: &str) -> Frame {
    below(session, title, &view.package).crumb("Assignments", address(view.package.id))
}

/// The package in an address with its policies, for those who may assign it.
async fn assignable(app: &App, session: &Session, text: &str) -> Result<PackageView> {
    let package: PackageId = id("access package", text)?;
    let with = PackageWith { policies: true, ..PackageWith::default() };
    let view = app.package(&session.caller, None, package, with).await?;
    let (what, read) = ("access package", Action::ReadCatalog);
    session.caller.may_on(Action::Assign, view.package.catalog, read, what, package)?;
    Ok(view)
}

fn form(session: &Session, view: &PackageView, typed: &Fields, wrong: &Wrong) -> FormPage {
    let policies = view.policies.as_deref().unwrap_or_default();
    let chosen = typed.get("policy");
    let choices = policies.iter().map(|stored| {
        let value = stored.policy.id.to_string();
        let is_chosen = chosen == Some(value.as_str()) || policies.len() == 1;
        choice(value, &stored.policy.display_name, is_chosen)
    });
    let ending = typed.get("ending").unwrap_or("policy");
    let end = |value: &str, label: &str| choice(value, label, ending == value);
    let mut frame = under(session, view, "New assignment");
    if policies.is_empty() {
        let text = "This access package has no policy, so it cannot be assigned; make one first.";
        frame = frame.notice(Some(Notice::new(Tone::Warn, text)));
    }
    FormPage {
        frame,
        lead: format!(
            "Gives {} to people at once, without approval. Each gets a request that you can follow.",
            view.package.display_name
        ),
        action: format!("{}/new", address(view.package.id)),
        hidden: Vec::new(),
        fields: vec![
            Input::text("who", "Who", typed.typed("who"), 0)
                .required()
                .hint(format!("Sign-in names, one per line; at most {MAX_PEOPLE}."))
                .wrong(wrong.with("who")),
            Input::one_of("policy", "Under which policy", choices.collect())
                .hint("It says how long the access lasts, and whether it can be given back.")
                .wrong(wrong.with("policy")),
            Input::text("justification", "Why", typed.typed("justification"), MAX_JUSTIFICATION)
                .hint("It stands in the request and in the history.")
                .wrong(wrong.with("justification")),
            Input::typed("begins", "From (UTC)", "datetime-local", typed.typed("begins"), 0)
                .hint("At once if you leave it empty.")
                .wrong(wrong.with("begins")),
            Input::one_of(
                "ending",
                "Until",
                vec![
                    end("policy", "As the policy says"),
                    end("never", "Without end"),
                    end("at", "Until a time of your own"),
                ],
            )
            .wrong(wrong.with("ending")),
            Input::typed("ends", "Until (UTC)", "datetime-local", typed.typed("ends"), 0)
                .when("ending", &["at"])
                .wrong(wrong.with("ends")),
        ],
        button: "Assign",
        back: address(view.package.id),
    }
}

async fn ask(
    State(app): State<App>,
    session: Session,
    Path(package): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let view = assignable(&app, &session, &package).await?;
    page(&form(&session, &view, &fields, &Wrong::default()))
}

/// What is asked for everybody on the form.
struct Wanted {
    who: Vec<String>,
    policy: PolicyId,
    justification: Option<String>,
    schedule: Schedule,
}

impl Wanted {
    fn of(fields: &Fields) -> Result<Wanted, Error> {
        let who = names(fields);
        if who.is_empty() {
            return Err(Error::invalid("who", "type at least one sign-in name"));
        }
        if MAX_PEOPLE < who.len() {
            let text = format!(
                "these are {} names; the limit is {MAX_PEOPLE}, send the others afterwards",
                who.len()
            );
            return Err(Error::invalid("who", text));
        }
        let Some(policy) = fields.parsed("policy") else {
            return Err(Error::invalid("policy", NO_POLICY));
        };
        Ok(Wanted {
            who,
            policy,
            justification: fields.get("justification").map(str::to_owned),
            schedule: schedule(fields)?,
        })
    }

    fn request(&self, package: PackageId, who: &str) -> NewRequest {
        NewRequest {
            request_type: Type::AdminAdd,
            target: ForWhom::Email(who.to_owned()),
            package: Some(package),
            policy: Some(self.policy),
            assignment: None,
            schedule: self.schedule.clone(),
            justification: self.justification.clone(),
            answers: Vec::new(),
        }
    }
}

fn schedule(fields: &Fields) -> Result<Schedule, Error> {
    let moment = |name: &str| match terms::moment(&fields.typed(name)) {
        Some(Ok(at)) => Ok(Some(at)),
        Some(Err(())) => {
            Err(Error::invalid(name, "this is not a date and time, such as 2026-06-01T09:00"))
        }
        None => Ok(None),
    };
    let expiration = match (fields.get("ending"), moment("ends")?) {
        (Some("never"), _) => Expiration::NoExpiration,
        (Some("at"), Some(end)) => Expiration::AfterDateTime { end },
        (Some("at"), None) => return Err(Error::invalid("ends", "say until when")),
        _ => Expiration::NotSpecified,
    };
    Ok(Schedule { start_date_time: moment("begins")?, expiration })
}

const NO_POLICY: &str = "choose the policy";

fn names(fields: &Fields) -> Vec<String> {
    let mut who: Vec<String> = Vec::new();
    for line in fields.typed("who").lines().map(str::trim).filter(|line| !line.is_empty()) {
        let key = line.to_lowercase();
        if !who.iter().any(|other| other.to_lowercase() == key) {
            who.push(line.to_owned());
        }
    }
    who
}

/// The names on the form that are nobody's, as what is wrong with its field; who may not read the
/// directory learns it from the outcome.
async fn strangers(app: &App, session: &Session, fields: &Fields) -> Option<(String, String)> {
    let mut unknown = Vec::new();
    for who in names(fields).iter().take(MAX_PEOPLE) {
        if matches!(app.user(&session.caller, who).await, Err(Error::NotFound { .. })) {
            unknown.push(who.clone());
        }
    }
    if unknown.is_empty() {
        return None;
    }
    let text = format!("There is nobody with these sign-in names: {}.", unknown.join(", "));
    Some(("who".to_owned(), text))
}

/// What is wrong with the form itself, whoever it is for, at its field.
fn about_form(error: Error) -> Result<Error, Error> {
    match error {
        Error::Invalid { path, sentence } if path == "justification" => {
            Ok(Error::Invalid { path, sentence })
        }
        Error::Invalid { path, sentence } if path == "schedule.startDateTime" => {
            Ok(Error::Invalid { path: "begins".to_owned(), sentence })
        }
        Error::Refused(Refusal::Rule { code: "InvalidSchedule", .. }) => {
            Ok(Error::invalid("ends", "choose an end that lies in the future, after the start"))
        }
        error => Err(error),
    }
}

/// What came of a form, name by name.
#[derive(Debug, Template)]
#[template(path = "assigned.html")]
pub struct AssignedPage {
    frame: Frame,
    rows: Vec<Row>,
    back: String,
    /// The fields of the form with the names that were refused.
    again: Vec<(&'static str, String)>,
}

/// What came of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    who: String,
    state: Badge,
    why: Option<String>,
    request: Option<String>,
}

impl Row {
    fn made(who: &str, request: String) -> Row {
        let state = Badge::new(Tone::Ok, "ok", "Assigned");
        Row { who: who.to_owned(), state, why: None, request: Some(request) }
    }

    /// A refusal; what stays in the way for a reader is told, and linked to where it has a page.
    fn refused(who: &str, error: &Error) -> Row {
        let (why, request) = match error {
            Error::Refused(Refusal::RequestOpen(open)) => (
                "A request for this person and access package is open.".to_owned(),
                Some(open.to_string()),
            ),
            Error::Refused(Refusal::AlreadyAssigned(_)) => {
                ("They have this access package already.".to_owned(), None)
            }
            Error::NotFound { what: "user", .. } => (
                "There is nobody with this sign-in name. Look it up under People.".to_owned(),
                None,
            ),
            Error::Invalid { sentence: text, .. } => (sentence(text), None),
            error => (sentence(&error.to_string()), None),
        };
        let state = Badge::new(Tone::Bad, "bad", "Refused");
        Row { who: who.to_owned(), state, why: Some(why), request }
    }

    const fn is_refused(&self) -> bool {
        self.why.is_some()
    }
}

async fn assign(
    State(app): State<App>,
    Path(package): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let view = assignable(&app, &session, &package).await?;
    if fields.has("correct") {
        return page(&form(&session, &view, &fields, &Wrong::default()));
    }
    let wanted = match Wanted::of(&fields) {
        Ok(wanted) => wanted,
        Err(error) => {
            let policy = match fields.parsed::<PolicyId>("policy") {
                Some(_) => Ok(()),
                None => Err(Error::invalid("policy", NO_POLICY)),
            };
            let mut also = also([policy, schedule(&fields).map(drop)]);
            also.extend(strangers(&app, &session, &fields).await);
            return again_with(error, also, |wrong| form(&session, &view, &fields, wrong));
        }
    };
    let mut rows = Vec::with_capacity(wanted.who.len());
    for who in &wanted.who {
        let new = wanted.request(view.package.id, who);
        let error = match app.submit_request(&session.caller, new).await {
            Ok(request) => {
                rows.push(Row::made(who, request.id.to_string()));
                continue;
            }
            Err(error) => error,
        };
        match about_form(error) {
            // Nobody was assigned with it, so all of it can be sent again.
            Ok(error) if !rows.iter().any(|row| !row.is_refused()) => {
                return again(error, |wrong| form(&session, &view, &fields, wrong));
            }
            Err(
                error @ (Error::Forbidden { .. } | Error::Unauthenticated(_) | Error::Internal(_)),
            ) => return Err(error.into()),
            Ok(error) | Err(error) => rows.push(Row::refused(who, &error)),
        }
    }
    page(&AssignedPage {
        frame: under(&session, &view, "What came of it").notice(Some(told(&rows))),
        back: address(view.package.id),
        again: corrections(&rows, &fields),
        rows,
    })
}

fn told(rows: &[Row]) -> Notice {
    let refused = rows.iter().filter(|row| row.is_refused()).count();
    let count = |n: usize| plural(i64::try_from(n).unwrap_or(i64::MAX), "person");
    match (rows.len() - refused, refused) {
        (made, 0) => Notice::new(
            Tone::Ok,
            format!("Assigned to {}. Delivery begins at the start of the period.", count(made)),
        ),
        (0, _) => Notice::new(Tone::Bad, "Nobody was assigned; see why below."),
        (made, refused) => {
            let text = format!("Assigned to {}, refused for {}.", count(made), count(refused));
            Notice::new(Tone::Warn, text)
        }
    }
}

fn corrections(rows: &[Row], fields: &Fields) -> Vec<(&'static str, String)> {
    let refused: Vec<&str> =
        rows.iter().filter(|row| row.is_refused()).map(|row| row.who.as_str()).collect();
    if refused.is_empty() {
        return Vec::new();
    }
    let kept = ["policy", "justification", "begins", "ending", "ends"];
    let mut again: Vec<_> = kept.into_iter().map(|name| (name, fields.typed(name))).collect();
    again.push(("who", refused.join("\n")));
    again.push(("correct", "1".to_owned()));
    again
}

async fn ask_remove(
    State(app): State<App>,
    session: Session,
    Path((package, assignment)): Path<(String, String)>,
) -> Result {
    let view = assignable(&app, &session, &package).await?;
    let assignment: AssignmentId = id("assignment", &assignment)?;
    let summary = app.get_assignment(&session.caller, assignment).await?;
    if summary.assignment.package != view.package.id {
        return Err(Error::not_found("assignment", assignment).into());
    }
    page(&removal(&session, &view, &summary))
}

/// The page that asks before an assignment is removed.
fn removal(session: &Session, view: &PackageView, summary: &Summary) -> ConfirmPage {
    let (who, name) = (&summary.beneficiary.display_name, &view.package.display_name);
    let back = address(view.package.id);
    ConfirmPage {
        frame: under(session, view, &format!("Remove the access of {who}?")),
        sentences: vec![
            format!(
                "{who} ({}) loses {name}: every role it gives is removed from the target systems, \
                 unless another access package gives the same.",
                summary.beneficiary.user_principal_name
            ),
            "To have it again they need a new request or a new assignment.".to_owned(),
        ],
        action: format!("{back}/{}/remove", summary.assignment.id),
        hidden: Vec::new(),
        button: "Remove this access".to_owned(),
        back,
    }
}

async fn remove(
    State(app): State<App>,
    Path((package, assignment)): Path<(String, String)>,
    Posted { session, .. }: Posted,
) -> Result {
    let view = assignable(&app, &session, &package).await?;
    let assignment: AssignmentId = id("assignment", &assignment)?;
    let new = NewRequest {
        request_type: Type::AdminRemove,
        target: ForWhom::Caller,
        package: None,
        policy: None,
        assignment: Some(assignment),
        schedule: Schedule::default(),
        justification: None,
        answers: Vec::new(),
    };
    match app.submit_request(&session.caller, new).await {
        Ok(_) => Ok(see(format!("{}?done=removing", address(view.package.id)))),
        Err(error) => {
            let summary = app.get_assignment(&session.caller, assignment).await?;
            removal(&session, &view, &summary).refused(error)
        }
    }
}

#[cfg(test)]
impl AssignedPage {
    /// All made, some refused.
    pub fn samples() -> Vec<AssignedPage> {
        use super::part::Place;
        use super::samples::{NASTY, frame};
        let of = |rows: Vec<Row>| AssignedPage {
            frame: frame("What came of it", Place::Packages).notice(Some(told(&rows))),
            back: "/governance/packages/1/assignments".to_owned(),
            again: corrections(&rows, &Fields::default()),
            rows,
        };
        let made = || Row::made(NASTY, "1".to_owned());
        let refused = Row::refused(NASTY, &Error::invalid("who", NASTY));
        vec![of(vec![made()]), of(vec![made(), refused])]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn wanted(form: &str) -> Result<Wanted, String> {
        let policy = "policy=00000000-0000-0000-0000-000000000001";
        let fields = Fields::parse(format!("{policy}&{form}").as_bytes());
        Wanted::of(&fields).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_that_comes_twice_is_assigned_once() {
        let read =
            wanted("who=a%40x.example%0D%0A%0D%0A+A%40X.example+%0D%0Ab%40x.example").unwrap();

        assert_eq!(read.who, ["a@x.example", "b@x.example"]);
    }

    #[test]
    fn what_is_wrong_with_the_form_is_said_at_its_field() {
        let many: String = (0..=MAX_PEOPLE).map(|n| format!("p{n}%0A")).collect();
        for (form, said) in [
            ("who=+%0A".to_owned(), "`who`: type at least one"),
            (format!("who={many}"), "`who`: these are 51 names"),
            ("who=a&ending=at".to_owned(), "`ends`: say until when"),
            ("who=a&ending=at&ends=tomorrow".to_owned(), "`ends`: this is not a date"),
            ("who=a&begins=2026-13-01T09:00".to_owned(), "`begins`: this is not a date"),
        ] {
            let told = wanted(&form).err().unwrap();
            assert!(told.starts_with(said), "{told}");
        }
    }

    #[test]
    fn an_end_is_the_policys_or_none_or_a_time() {
        let end = |form: &str| wanted(&format!("who=a&{form}")).unwrap().schedule.expiration;

        assert_eq!(end(""), Expiration::NotSpecified);
        assert_eq!(end("ending=never&ends=2026-06-01T09:00"), Expiration::NoExpiration);
        let at = "2026-06-01T09:00:00Z".parse().unwrap();
        assert_eq!(end("ending=at&ends=2026-06-01T09:00"), Expiration::AfterDateTime { end: at });
    }
}
