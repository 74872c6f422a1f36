//! Groups: the list, the page of one, making, changing and deleting them, who belongs to them.

use accede_app::fields::{MAX_ADDRESS, MAX_NAME, MAX_NICKNAME};
use accede_app::groups::{Group, GroupChange, MAX_DESCRIPTION, NewGroup, Tie};
use accede_app::users::User;
use accede_app::{App, Error, Listing};
use accede_domain::filter::parse_order;
use accede_domain::id::{GroupId, UserId};
use accede_domain::permission::Action;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::confirm::ConfirmPage;
use super::form::{Address, Asked, Fields, Posted, id};
use super::form_page::{FormPage, Wrong, again};
use super::input::{Input, choice};
use super::part::{Frame, Place, When, grouped};
use super::people::named;
use super::pick::{matching, search};
use super::problem::{Problem, Result};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// Rows on a page.
const ON_A_PAGE: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/groups", get(list))
        .route("/governance/groups/new", get(new).post(create))
        .route("/governance/groups/{id}", get(show))
        .route("/governance/groups/{id}/edit", get(edit).post(change))
        .route("/governance/groups/{id}/delete", get(ask_delete).post(delete))
        .route("/governance/groups/{id}/{tie}/add", get(choose).post(add))
        .route("/governance/groups/{id}/{tie}/{user}/remove", post(remove))
}

/// A group of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    name: String,
    description: String,
    nickname: String,
    created: When,
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "groups.html")]
pub struct GroupsPage {
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
        filter: matching(&text, &["displayName", "mailNickname"])?,
        order: parse_order("displayName").unwrap_or_default(),
        top: Some(ON_A_PAGE),
        after: fields.get("after").map(str::to_owned),
        count: true,
        ..Listing::default()
    };
    let found = app.list_groups(&session.caller, &listing).await?;
    let address = Address::new("/governance/groups").with("text", &text);
    page(&GroupsPage {
        frame: frame(Some(&session), "Groups", Place::Groups)
            .notice(words::done(fields.get("done"))),
        text,
        rows: found
            .items
            .into_iter()
            .map(|group| Row {
                id: group.id.to_string(),
                name: group.display_name,
                description: group.description.unwrap_or_default(),
                nickname: group.mail_nickname,
                created: When::minute(group.created_at),
            })
            .collect(),
        total: grouped(found.count.unwrap_or(0)),
        may_create: session.caller.may_everywhere(Action::ManageDirectory).is_ok(),
        next: found.next.map(|mark| address.with("after", mark).text()),
    })
}

/// Somebody who belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Person {
    id: String,
    name: String,
    upn: String,
    is_enabled: bool,
}

impl Person {
    fn of(user: User) -> Person {
        Person {
            id: user.id.to_string(),
            name: user.display_name,
            upn: user.user_principal_name,
            is_enabled: user.account_enabled,
        }
    }
}

/// Members or owners of a group, a page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct People {
    /// How the address names them: `members`.
    path: &'static str,
    title: &'static str,
    one: &'static str,
    rows: Vec<Person>,
    total: String,
    next: Option<String>,
}

/// The page of one group.
#[derive(Debug, Template)]
#[template(path = "group.html")]
pub struct GroupPage {
    frame: Frame,
    id: String,
    description: Option<String>,
    nickname: String,
    visibility: Option<String>,
    created: When,
    ties: Vec<People>,
    may_change: bool,
}

/// How addresses and pages name a tie: `members`, `Members`, `member`.
const fn names(tie: Tie) -> (&'static str, &'static str, &'static str) {
    match tie {
        Tie::Member => ("members", "Members", "member"),
        Tie::Owner => ("owners", "Owners", "owner"),
    }
}

fn tie(text: &str) -> Result<Tie> {
    let found = [Tie::Owner, Tie::Member].into_iter().find(|tie| names(*tie).0 == text);
    found.ok_or_else(|| Problem::from(Error::not_found("page", text)))
}

fn address(group: GroupId) -> String {
    format!("/governance/groups/{group}")
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(group): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let group: GroupId = id("group", &group)?;
    let caller = &session.caller;
    let known = app.group(caller, group).await?;
    let mut ties = Vec::new();
    for tie in [Tie::Owner, Tie::Member] {
        let (path, title, one) = names(tie);
        let listing = Listing {
            order: parse_order("displayName").unwrap_or_default(),
            top: Some(ON_A_PAGE),
            after: fields.get(path).map(str::to_owned),
            count: true,
            ..Listing::default()
        };
        let found = app.list_group_people(caller, group, tie, &listing).await?;
        let next =
            |mark| format!("{}#{path}", Address::new(address(group)).with(path, mark).text());
        ties.push(People {
            path,
            title,
            one,
            rows: found.items.into_iter().map(Person::of).collect(),
            total: grouped(found.count.unwrap_or(0)),
            next: found.next.map(next),
        });
    }
    page(&GroupPage {
        frame: frame(Some(&session), &known.display_name, Place::Groups)
            .crumb("Groups", "/governance/groups")
            .notice(words::done(fields.get("done"))),
        id: group.to_string(),
        description: known.description,
        nickname: known.mail_nickname,
        visibility: known.visibility.map(|name| words::spaced(&name)),
        created: When::minute(known.created_at),
        ties,
        may_change: app.may_change_group(caller, group).await?,
    })
}

/// A form's frame under the page of a group.
fn under(session: &Session, group: &Group, title: &str) -> Frame {
    frame(Some(session), title, Place::Groups)
        .crumb("Groups", "/governance/groups")
        .crumb(&group.display_name, address(group.id))
}

fn inputs(typed: &Fields, wrong: &Wrong) -> Vec<Input> {
    let chosen = typed.get("visibility").unwrap_or_default();
    let seen = |value: &str, label: &str| choice(value, label, chosen == value);
    vec![
        Input::line("displayName", "Name", typed.typed("displayName"), MAX_NAME)
            .required()
            .wrong(wrong.with("displayName")),
        Input::text("description", "Description", typed.typed("description"), MAX_DESCRIPTION)
            .hint("What it is for.")
            .wrong(wrong.with("description")),
        Input::line("mailNickname", "Short name", typed.typed("mailNickname"), MAX_NICKNAME)
            .hint("Letters, digits and -._ only. Made from the name if you leave it empty.")
            .wrong(wrong.with("mailNickname")),
        Input::one_of(
            "visibility",
            "Visibility, for clients of the directory",
            vec![
                seen("", "Not said"),
                seen("Public", "Public"),
                seen("Private", "Private"),
                seen("HiddenMembership", "Hidden membership"),
            ],
        )
        .wrong(wrong.with("visibility")),
    ]
}

async fn new(session: Session, Asked(fields): Asked) -> Result {
    session.caller.may_everywhere(Action::ManageDirectory)?;
    page(&new_form(&session, &fields, &Wrong::default()))
}

fn new_form(session: &Session, typed: &Fields, wrong: &Wrong) -> FormPage {
    FormPage {
        frame: frame(Some(session), "New group", Place::Groups)
            .crumb("Groups", "/governance/groups"),
        lead:
            "A group holds people. It can approve, be allowed by a policy, and be a resource that \
               access packages put people into."
                .to_owned(),
        action: "/governance/groups/new".to_owned(),
        hidden: Vec::new(),
        fields: inputs(typed, wrong),
        button: "Create the group",
        back: "/governance/groups".to_owned(),
    }
}

async fn create(State(app): State<App>, Posted { session, fields }: Posted) -> Result {
    let new = NewGroup {
        display_name: fields.owned("displayName").unwrap_or_default(),
        description: fields.owned("description"),
        mail_nickname: fields.owned("mailNickname"),
        visibility: fields.owned("visibility"),
        ..NewGroup::default()
    };
    match app.create_group(&session.caller, new).await {
        Ok(group) => Ok(see(format!("{}?done=created", address(group.id)))),
        Err(error) => again(error, |wrong| new_form(&session, &fields, wrong)),
    }
}

/// The group in an address, for those who may change it.
async fn changeable(app: &App, session: &Session, text: &str) -> Result<Group> {
    let group: GroupId = id("group", text)?;
    let known = app.group(&session.caller, group).await?;
    if !app.may_change_group(&session.caller, group).await? {
        return Err(session.caller.lacks(Action::ManageDirectory).into());
    }
    Ok(known)
}

fn edit_form(session: &Session, group: &Group, typed: &Fields, wrong: &Wrong) -> FormPage {
    FormPage {
        frame: under(session, group, "Edit the group"),
        lead: "Its members and owners are changed on its page.".to_owned(),
        action: format!("{}/edit", address(group.id)),
        hidden: Vec::new(),
        fields: inputs(typed, wrong),
        button: "Save",
        back: address(group.id),
    }
}

async fn edit(State(app): State<App>, session: Session, Path(group): Path<String>) -> Result {
    let group = changeable(&app, &session, &group).await?;
    let fields = Fields::of([
        ("displayName", group.display_name.clone()),
        ("description", group.description.clone().unwrap_or_default()),
        ("mailNickname", group.mail_nickname.clone()),
        ("visibility", group.visibility.clone().unwrap_or_default()),
    ]);
    page(&edit_form(&session, &group, &fields, &Wrong::default()))
}

async fn change(
    State(app): State<App>,
    Path(group): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let group = changeable(&app, &session, &group).await?;
    let change = GroupChange {
        display_name: Some(fields.owned("displayName").unwrap_or_default()),
        description: Some(fields.owned("description")),
        mail_nickname: fields.owned("mailNickname"),
        visibility: Some(fields.owned("visibility")),
        members: Vec::new(),
    };
    match app.change_group(&session.caller, group.id, change).await {
        Ok(_) => Ok(see(format!("{}?done=saved", address(group.id)))),
        Err(error) => again(error, |wrong| edit_form(&session, &group, &fields, wrong)),
    }
}

async fn ask_delete(State(app): State<App>, session: Session, Path(group): Path<String>) -> Result {
    let group = changeable(&app, &session, &group).await?;
    page(&ConfirmPage {
        frame: under(&session, &group, &format!("Delete {}?", group.display_name)),
        sentences: vec![
            "Nobody is a member any more, and roles that the group held are gone. Its members stay."
                .to_owned(),
            "Policies and approvals that name it find nobody there. This cannot be undone."
                .to_owned(),
            "It is refused while a catalog holds the group as a resource, while an access package \
             is incompatible with it, or while it is the only owner of a catalog."
                .to_owned(),
        ],
        action: format!("{}/delete", address(group.id)),
        hidden: Vec::new(),
        button: "Delete this group".to_owned(),
        back: address(group.id),
    })
}

async fn delete(
    State(app): State<App>,
    Path(group): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    let group: GroupId = id("group", &group)?;
    app.delete_group(&session.caller, group).await?;
    Ok(see("/governance/groups?done=deleted"))
}

fn add_form(session: &Session, group: &Group, tie: Tie, typed: &Fields, wrong: &Wrong) -> FormPage {
    let (path, _, one) = names(tie);
    let (title, lead) = match tie {
        Tie::Member => (
            "Add a member",
            "Members have what the group opens to them: policies that allow the group, approvals \
             that ask it, target systems that read it.",
        ),
        Tie::Owner => {
            ("Add an owner", "Owners change the group and who belongs to it, without another role.")
        }
    };
    FormPage {
        frame: under(session, group, title),
        lead: lead.to_owned(),
        action: format!("{}/{path}/add", address(group.id)),
        hidden: Vec::new(),
        fields: vec![
            Input::line(
                "who",
                format!("Sign-in name of the {one}"),
                typed.typed("who"),
                MAX_ADDRESS,
            )
            .required()
            .wrong(wrong.with("who")),
        ],
        button: title,
        back: address(group.id),
    }
}

async fn choose(
    State(app): State<App>,
    session: Session,
    Path((group, kind)): Path<(String, String)>,
) -> Result {
    let tie = tie(&kind)?;
    let group = changeable(&app, &session, &group).await?;
    page(&add_form(&session, &group, tie, &Fields::default(), &Wrong::default()))
}

async fn add(
    State(app): State<App>,
    Path((group, kind)): Path<(String, String)>,
    Posted { session, fields }: Posted,
) -> Result {
    let tie = tie(&kind)?;
    let group = changeable(&app, &session, &group).await?;
    match tie_named(&app, &session, group.id, tie, fields.get("who")).await {
        Ok(()) => Ok(see(format!("{}?done=added", address(group.id)))),
        Err(error) => again(error, |wrong| add_form(&session, &group, tie, &fields, wrong)),
    }
}

async fn tie_named(
    app: &App,
    session: &Session,
    group: GroupId,
    tie: Tie,
    who: Option<&str>,
) -> Result<(), Error> {
    let user = named(app, session, "who", who).await?;
    let added = app.add_to_group(&session.caller, group, tie, user.id).await;
    added.map_err(|error| match error {
        Error::Duplicate { .. } => {
            let text = format!(
                "{} is already {} of the group",
                user.display_name,
                match tie {
                    Tie::Member => "a member",
                    Tie::Owner => "an owner",
                }
            );
            Error::invalid("who", text)
        }
        error => error,
    })
}

async fn remove(
    State(app): State<App>,
    Path((group, kind, user)): Path<(String, String, String)>,
    Posted { session, .. }: Posted,
) -> Result {
    let tie = tie(&kind)?;
    let group: GroupId = id("group", &group)?;
    let user: UserId = id("user", &user)?;
    app.remove_from_group(&session.caller, group, tie, user).await?;
    Ok(see(format!("{}?done=removed", address(group))))
}

#[cfg(test)]
pub mod samples_of {
    //! Samples of these pages.

    use super::super::samples::{NASTY, at, frame};
    use super::*;

    /// Some, and none.
    pub fn lists() -> Vec<GroupsPage> {
        let row = Row {
            id: "1".to_owned(),
            name: NASTY.to_owned(),
            description: NASTY.to_owned(),
            nickname: "crane-crew".to_owned(),
            created: When::minute(at(0)),
        };
        let of = |rows: Vec<Row>, may_create| GroupsPage {
            frame: frame("Groups", Place::Groups),
            text: if may_create { String::new() } else { NASTY.to_owned() },
            total: grouped(1),
            next: may_create.then(|| "/governance/groups?after=x".to_owned()),
            rows,
            may_create,
        };
        vec![of(vec![row], true), of(vec![], false)]
    }

    /// For who may change it, and for a reader of an empty one.
    pub fn pages() -> Vec<GroupPage> {
        let person = || Person {
            id: "1".to_owned(),
            name: NASTY.to_owned(),
            upn: "uma@contoso.example".to_owned(),
            is_enabled: false,
        };
        let people = |tie, is_there: bool| {
            let (path, title, one) = names(tie);
            People {
                path,
                title,
                one,
                rows: if is_there { vec![person()] } else { vec![] },
                total: grouped(1),
                next: is_there.then(|| "/governance/groups/1?members=x#members".to_owned()),
            }
        };
        let of = |may: bool| GroupPage {
            frame: frame(NASTY, Place::Groups).crumb("Groups", "/governance/groups"),
            id: "1".to_owned(),
            description: may.then(|| NASTY.to_owned()),
            nickname: "crane-crew".to_owned(),
            visibility: may.then(|| "Private".to_owned()),
            created: When::minute(at(0)),
            ties: vec![people(Tie::Owner, may), people(Tie::Member, may)],
            may_change: may,
        };
        vec![of(true), of(false)]
    }
}
