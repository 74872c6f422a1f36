//! People: the list, the page of one, the roles they hold for the whole organization. Forms that
//! make, change and delete them have a file of their own.

use accede_app::directory_roles::HeldRole;
use accede_app::requests::{Narrowing, Whose};
use accede_app::users::User;
use accede_app::{App, Error, Listing};
use accede_domain::filter::{Filter, parse_order};
use accede_domain::id::RoleAssignmentId;
use accede_domain::permission::{Action, DirectoryRole, Reach, Role};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};

use super::form::{Address, Asked, Posted, id};
use super::part::{Badge, Frame, Notice, Place, Tone, When, grouped};
use super::pick::{matching, search};
use super::problem::{Result, again, sentence};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// Rows on a page.
const ON_A_PAGE: usize = 50;
/// Most rows of one kind on the page of a person.
const SHOWN: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/people", get(list))
        .route("/governance/people/{id}", get(show))
        .route("/governance/people/{id}/roles/add", post(give))
        .route("/governance/people/{id}/roles/remove", post(take))
}

/// A person of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    name: String,
    upn: String,
    department: String,
    job: String,
    kind: &'static str,
    state: Badge,
}

impl Row {
    fn of(user: &User) -> Row {
        Row {
            id: user.id.to_string(),
            name: user.display_name.clone(),
            upn: user.user_principal_name.clone(),
            department: user.department.clone().unwrap_or_default(),
            job: user.job_title.clone().unwrap_or_default(),
            kind: user.user_type.name(),
            state: state(user.account_enabled),
        }
    }
}

fn state(is_enabled: bool) -> Badge {
    if is_enabled {
        Badge::new(Tone::Ok, "ok", "Enabled")
    } else {
        Badge::new(Tone::Idle, "off", "Blocked")
    }
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "people.html")]
pub struct PeoplePage {
    frame: Frame,
    text: String,
    rows: Vec<Row>,
    total: String,
    may_create: bool,
    next: Option<String>,
}

async fn list(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let text = search(&fields, "text");
    let listing = Listing {
        filter: matching(&text, &["displayName", "userPrincipalName"])?,
        order: parse_order("displayName").unwrap_or_default(),
        top: Some(ON_A_PAGE),
        after: fields.get("after").map(str::to_owned),
        count: true,
        ..Listing::default()
    };
    let found = app.list_users(&session.caller, &listing).await?;
    let address = Address::new("/governance/people").with("text", &text);
    page(&PeoplePage {
        frame: frame(Some(&session), "People", Place::People)
            .notice(words::done(fields.get("done"))),
        text,
        rows: found.items.iter().map(Row::of).collect(),
        total: grouped(found.count.unwrap_or(0)),
        may_create: session.caller.may_everywhere(Action::ManageDirectory).is_ok(),
        next: found.next.map(|mark| address.with("after", mark).text()),
    })
}

/// The person of a sign-in name that was typed into this field.
///
/// # Errors
///
/// Invalid, at the field, when there is nobody of that name.
pub async fn named(
    app: &App,
    session: &Session,
    field: &str,
    name: Option<&str>,
) -> Result<User, Error> {
    let Some(name) = name else {
        return Err(Error::invalid(field, "type a sign-in name such as mira@harbourline.example"));
    };
    match app.user(&session.caller, name).await {
        Err(Error::NotFound { .. }) => {
            let shown: String = name.chars().take(60).collect();
            let text =
                format!("there is nobody with the sign-in name `{shown}`; look it up under People");
            Err(Error::invalid(field, text))
        }
        found => found,
    }
}

/// The page of one person.
#[derive(Debug, Template)]
#[template(path = "person.html")]
pub struct PersonPage {
    frame: Frame,
    id: String,
    state: Badge,
    is_enabled: bool,
    facts: Vec<(&'static str, String)>,
    since: When,
    manager: Option<(String, String)>,
    groups: Vec<(String, String, &'static str)>,
    /// What they have of access, for readers who may read any.
    access: Option<Access>,
    roles: Vec<HeldTold>,
    /// Roles that the reader may give: their value and name.
    to_give: Vec<(String, &'static str)>,
    may_change: bool,
}

/// What somebody has and asked for, as far as the reader may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Access {
    assignments: Vec<AssignmentRow>,
    more_assignments: bool,
    requests: Vec<RequestRow>,
    more_requests: bool,
}

/// An assignment of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AssignmentRow {
    package_id: String,
    package: String,
    policy: String,
    state: Badge,
    since: When,
    until: Option<When>,
}

/// A request for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RequestRow {
    id: String,
    package: String,
    kind: &'static str,
    state: Badge,
    created: When,
}

/// A role for the whole organization.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HeldTold {
    name: &'static str,
    /// How the form names it; nothing if the reader cannot take it here.
    value: Option<String>,
    is_given: bool,
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(person): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let user = read(&app, &session, &person).await?;
    page(&person_page(&app, &session, user, words::done(fields.get("done"))).await?)
}

/// The person in an address; only for readers of the directory, also when it is themself.
pub async fn read(app: &App, session: &Session, text: &str) -> Result<User> {
    let user: accede_domain::id::UserId = id("user", text)?;
    session.caller.may_somewhere(Action::ReadDirectory)?;
    Ok(app.user(&session.caller, &user.to_string()).await?)
}

async fn person_page(
    app: &App,
    session: &Session,
    user: User,
    notice: Option<Notice>,
) -> Result<PersonPage> {
    let caller = &session.caller;
    let name = user.id.to_string();
    let manager = match user.manager {
        Some(manager) => app
            .users_by_ids(caller, &[manager])
            .await?
            .into_iter()
            .next()
            .map(|above| (above.id.to_string(), above.display_name)),
        None => None,
    };
    let all = Listing { top: Some(accede_app::list::MAX_TOP), ..Listing::default() };
    let mut groups = Vec::new();
    for (found, tie) in [
        (app.list_groups_of(caller, &name, &all).await?, "Member"),
        (app.list_owned_groups(caller, &name, &all).await?, "Owner"),
    ] {
        let told = found.items.into_iter();
        groups.extend(told.map(|group| (group.id.to_string(), group.display_name, tie)));
    }
    let (roles, to_give) = roles(app, session, &user).await?;
    let optional = [
        ("First name", &user.given_name),
        ("Last name", &user.surname),
        ("Mail", &user.mail),
        ("Job title", &user.job_title),
        ("Department", &user.department),
        ("Company", &user.company_name),
        ("Personnel number", &user.employee_id),
    ];
    let known =
        optional.into_iter().filter_map(|(label, value)| value.clone().map(|value| (label, value)));
    let mut facts = vec![("Sign-in name", user.user_principal_name.clone())];
    facts.extend(known);
    facts.push(("Kind", user.user_type.name().to_owned()));
    Ok(PersonPage {
        frame: frame(Some(session), &user.display_name, Place::People)
            .crumb("People", "/governance/people")
            .notice(notice),
        state: state(user.account_enabled),
        is_enabled: user.account_enabled,
        facts,
        since: When::minute(user.created_at),
        manager,
        groups,
        access: access(app, session, &name).await?,
        roles,
        to_give,
        may_change: caller.may_everywhere(Action::ManageDirectory).is_ok(),
        id: name,
    })
}

async fn access(app: &App, session: &Session, user: &str) -> Result<Option<Access>> {
    let caller = &session.caller;
    if caller.reach(Action::ReadRequests).is_empty() {
        return Ok(None);
    }
    let listing = |path: &str| -> Result<Listing> {
        let filter = Filter::parse(&format!("{path} eq '{user}'")).map_err(Error::internal)?;
        Ok(Listing { filter: Some(filter), top: Some(SHOWN), ..Listing::default() })
    };
    // The verb puts in the reader's own reach.
    let whose = || Whose::Reach(Reach::Catalogs(Vec::new()));
    let held = app.list_assignments(caller, whose(), &listing("target/objectId")?).await?;
    let narrowing = Narrowing::default();
    let asked = listing("assignment/target/objectId")?;
    let asked = app.list_requests(caller, whose(), &narrowing, &asked).await?;
    Ok(Some(Access {
        more_assignments: held.next.is_some(),
        assignments: held
            .items
            .iter()
            .map(|one| AssignmentRow {
                package_id: one.assignment.package.to_string(),
                package: one.package_name.clone(),
                policy: one.policy_name.clone().unwrap_or_else(|| "–".to_owned()),
                state: words::assignment_state(&one.assignment.state),
                since: When::minute(one.assignment.start),
                until: one.assignment.expired().or(one.assignment.end).map(When::minute),
            })
            .collect(),
        more_requests: asked.next.is_some(),
        requests: asked
            .items
            .iter()
            .map(|view| RequestRow {
                id: view.summary.request.id.to_string(),
                package: view.summary.package_name.clone(),
                kind: words::request_type(view.summary.request.request_type),
                state: words::request_state(&view.summary.request.state),
                created: When::minute(view.summary.request.created_at),
            })
            .collect(),
    }))
}

/// A role that is held for the whole organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wide {
    Directory(DirectoryRole),
    Governance(Role),
}

impl Wide {
    fn all() -> impl Iterator<Item = Wide> {
        let governance = Role::ALL.into_iter().filter(|role| role.is_organization_wide());
        DirectoryRole::ALL.into_iter().map(Wide::Directory).chain(governance.map(Wide::Governance))
    }

    const fn name(self) -> &'static str {
        match self {
            Wide::Directory(role) => role.name(),
            Wide::Governance(role) => role.name(),
        }
    }

    /// What one needs to give and take it.
    const fn action(self) -> Action {
        match self {
            Wide::Directory(_) => Action::ManageRoles,
            Wide::Governance(_) => Action::Delegate,
        }
    }

    fn parse(text: &str) -> Result<Wide> {
        let found = Wide::all().find(|role| role.name() == text);
        found.ok_or_else(|| {
            Error::not_found("role", text.chars().take(80).collect::<String>()).into()
        })
    }
}

/// The assignments of roles of entitlement management that a person has for the organization.
async fn wide_assignments(
    app: &App,
    session: &Session,
    user: &User,
) -> Result<Vec<(RoleAssignmentId, Role)>> {
    if session.caller.reach(Action::ReadCatalog).is_empty() {
        return Ok(Vec::new());
    }
    let scope = accede_app::role_assignments::scope(None);
    let filter = format!("principalId eq '{}' and appScopeId eq '{scope}'", user.id);
    let filter = Filter::parse(&filter).map_err(Error::internal)?;
    let listing = Listing { filter: Some(filter), ..Listing::default() };
    let found = app.list_role_assignments(&session.caller, &listing).await?.items;
    Ok(found.iter().filter_map(|one| Some((one.id, Role::of(one.role)?))).collect())
}

async fn roles(
    app: &App,
    session: &Session,
    user: &User,
) -> Result<(Vec<HeldTold>, Vec<(String, &'static str)>)> {
    let may = |role: Wide| session.caller.may_everywhere(role.action()).is_ok();
    let directory = app.directory_roles(&session.caller, user.id.0).await?;
    let mut held: Vec<(Wide, bool)> = directory
        .into_iter()
        .map(|HeldRole { role, is_given }| (Wide::Directory(role), is_given))
        .collect();
    let governance = wide_assignments(app, session, user).await?;
    held.extend(governance.into_iter().map(|(_, role)| (Wide::Governance(role), true)));
    let told = held
        .iter()
        .map(|(role, is_given)| HeldTold {
            name: role.name(),
            value: (*is_given && may(*role)).then(|| role.name().to_owned()),
            is_given: *is_given,
        })
        .collect();
    let to_give = Wide::all()
        .filter(|role| may(*role) && !held.contains(&(*role, true)))
        .map(|role| (role.name().to_owned(), role.name()))
        .collect();
    Ok((told, to_give))
}

async fn give(
    State(app): State<App>,
    Path(person): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let user = read(&app, &session, &person).await?;
    let given = match Wide::parse(fields.get("role").unwrap_or_default())? {
        Wide::Directory(role) => app.give_directory_role(&session.caller, user.id.0, role).await,
        Wide::Governance(role) => {
            let definition = role.definition();
            let made = app.create_role_assignment(&session.caller, user.id.0, definition, None);
            made.await.map(drop)
        }
    };
    told(&app, &session, user, given, "added").await
}

async fn take(
    State(app): State<App>,
    Path(person): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let user = read(&app, &session, &person).await?;
    let taken = match Wide::parse(fields.get("role").unwrap_or_default())? {
        Wide::Directory(role) => app.take_directory_role(&session.caller, user.id.0, role).await,
        Wide::Governance(role) => {
            let held = wide_assignments(&app, &session, &user).await?;
            match held.iter().find(|(_, other)| *other == role) {
                Some((assignment, _)) => {
                    app.delete_role_assignment(&session.caller, *assignment).await
                }
                None => Err(Error::not_found("role of this person", role.name())),
            }
        }
    };
    told(&app, &session, user, taken, "removed").await
}

/// To the page of the person, or the page with why not.
async fn told(
    app: &App,
    session: &Session,
    user: User,
    outcome: Result<(), Error>,
    done: &str,
) -> Result<Response> {
    match outcome {
        Ok(()) => Ok(see(format!("/governance/people/{}?done={done}", user.id))),
        Err(error) => {
            let notice = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let shown = person_page(app, session, user, Some(notice)).await?;
            again(error, |_| page(&shown))
        }
    }
}

#[cfg(test)]
pub mod samples_of {
    //! Samples of these pages.

    use super::super::samples::{NASTY, at, frame};
    use super::*;

    /// Some, and none.
    pub fn lists() -> Vec<PeoplePage> {
        let row = |name: &str, is_enabled| Row {
            id: "1".to_owned(),
            name: name.to_owned(),
            upn: "uma@contoso.example".to_owned(),
            department: NASTY.to_owned(),
            job: "Editor".to_owned(),
            kind: "Member",
            state: state(is_enabled),
        };
        let of = |rows: Vec<Row>, may_create| PeoplePage {
            frame: frame("People", Place::People),
            text: if may_create { String::new() } else { NASTY.to_owned() },
            total: grouped(2),
            next: may_create.then(|| "/governance/people?after=x".to_owned()),
            rows,
            may_create,
        };
        vec![of(vec![row("Uma Patel", true), row(NASTY, false)], true), of(vec![], false)]
    }

    /// For an administrator, for a reader, and of somebody with nothing.
    pub fn pages() -> Vec<PersonPage> {
        let access = || Access {
            assignments: vec![AssignmentRow {
                package_id: "1".to_owned(),
                package: NASTY.to_owned(),
                policy: NASTY.to_owned(),
                state: Badge::new(Tone::Ok, "ok", "Delivered"),
                since: When::minute(at(0)),
                until: Some(When::minute(at(9))),
            }],
            more_assignments: true,
            requests: vec![RequestRow {
                id: "1".to_owned(),
                package: NASTY.to_owned(),
                kind: "Request for access",
                state: Badge::new(Tone::Bad, "bad", "Delivery failed"),
                created: When::minute(at(0)),
            }],
            more_requests: true,
        };
        let role = |name, value: Option<&str>, is_given| HeldTold {
            name,
            value: value.map(str::to_owned),
            is_given,
        };
        let of = |may: bool| PersonPage {
            frame: frame(NASTY, Place::People).crumb("People", "/governance/people"),
            id: "1".to_owned(),
            state: state(may),
            is_enabled: may,
            facts: vec![("Sign-in name", NASTY.to_owned()), ("Kind", "Member".to_owned())],
            since: When::minute(at(0)),
            manager: Some(("2".to_owned(), NASTY.to_owned())),
            groups: vec![("1".to_owned(), NASTY.to_owned(), "Member")],
            access: may.then(access),
            roles: vec![
                role("Global Administrator", may.then_some("Global Administrator"), true),
                role("Global Reader", None, false),
            ],
            to_give: if may {
                vec![("Security Reader".to_owned(), "Security Reader")]
            } else {
                vec![]
            },
            may_change: may,
        };
        let nothing = PersonPage {
            manager: None,
            groups: vec![],
            access: Some(Access {
                assignments: vec![],
                more_assignments: false,
                requests: vec![],
                more_requests: false,
            }),
            roles: vec![],
            ..of(true)
        };
        vec![of(true), of(false), nothing]
    }
}
