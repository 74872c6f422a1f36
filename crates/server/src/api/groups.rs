//! `/v1.0/groups`: groups of the built-in directory, their members and owners.

use accede_app::App;
use accede_app::fields::{MAX_NAME, MAX_NICKNAME};
use accede_app::groups::{Group, GroupChange, MAX_DESCRIPTION, NewGroup, Tie};
use accede_app::{Caller, Listing};
use accede_domain::id::{GroupId, UserId};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use serde_json::{Map, Value, json};

use super::body::{Body, Change, Key, Keys, Object};
use super::catalogs::counting;
use super::error::{ApiError, Result};
use super::query::{Query, Shape};
use super::repeat::Create;
use super::respond::Wire;
use super::{body, directory_objects, time, users};
use crate::auth::SignedIn;

/// Where groups are.
pub const SET: &str = "groups";

/// The names that groups have.
pub static SHAPE: Shape = Shape {
    name: "group",
    properties: &[
        "id",
        "displayName",
        "description",
        "mail",
        "mailNickname",
        "mailEnabled",
        "securityEnabled",
        "groupTypes",
        "membershipRule",
        "isAssignableToRole",
        "onPremisesSyncEnabled",
        "visibility",
        "createdDateTime",
    ],
    navigations: &["members", "owners"],
};

/// Most people that are shown inside one group.
const MAX_INSIDE: usize = 100;
/// Most groups on a page when something is expanded in each.
const MAX_EXPANDED: usize = 100;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1.0/groups", get(list).post(create))
        .route("/v1.0/groups/$count", get(count))
        .route("/v1.0/groups/{id}", get(read).patch(change).delete(remove))
        .route("/v1.0/groups/{id}/members", get(members))
        .route("/v1.0/groups/{id}/members/microsoft.graph.user", get(members))
        .route("/v1.0/groups/{id}/members/$count", get(count_members))
        .route(
            "/v1.0/groups/{id}/members/$ref",
            get(member_links).post(add_member).delete(remove_member_by_link),
        )
        .route("/v1.0/groups/{id}/members/{user}/$ref", delete(remove_member))
        .route("/v1.0/groups/{id}/transitiveMembers", get(members))
        .route("/v1.0/groups/{id}/owners", get(owners))
        .route("/v1.0/groups/{id}/owners/microsoft.graph.user", get(owners))
        .route("/v1.0/groups/{id}/owners/$count", get(count_owners))
        .route(
            "/v1.0/groups/{id}/owners/$ref",
            get(owner_links).post(add_owner).delete(remove_owner_by_link),
        )
        .route("/v1.0/groups/{id}/owners/{user}/$ref", delete(remove_owner))
        .route("/v1.0/groups/{id}/memberOf", get(member_of))
}

/// A group as Graph shows it.
pub fn json(group: &Group) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(group.id));
    object.insert("displayName".to_owned(), json!(group.display_name));
    object.insert("description".to_owned(), json!(group.description));
    object.insert("mail".to_owned(), json!(group.mail));
    object.insert("mailNickname".to_owned(), json!(group.mail_nickname));
    object.insert("mailEnabled".to_owned(), json!(false));
    object.insert("securityEnabled".to_owned(), json!(true));
    object.insert("groupTypes".to_owned(), json!([]));
    object.insert("membershipRule".to_owned(), Value::Null);
    object.insert("isAssignableToRole".to_owned(), Value::Null);
    object.insert("onPremisesSyncEnabled".to_owned(), Value::Null);
    object.insert("visibility".to_owned(), json!(group.visibility));
    object.insert("createdDateTime".to_owned(), json!(time::text(group.created_at)));
    object
}

/// A group where any object of the directory may stand.
pub fn typed(group: &Group) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("@odata.type".to_owned(), json!("#microsoft.graph.group"));
    object.extend(json(group));
    object
}

async fn expanded(
    app: &App,
    caller: &Caller,
    query: &Query,
    groups: Vec<Group>,
) -> Result<Vec<Map<String, Value>>> {
    let mut shown = Vec::with_capacity(groups.len());
    for group in groups {
        let mut object = json(&group);
        for (name, tie) in [("members", Tie::Member), ("owners", Tie::Owner)] {
            let Some(inner) = query.expands(name) else { continue };
            inner.fits(&users::SHAPE)?;
            let inside = Listing { top: Some(MAX_INSIDE), ..Listing::default() };
            let page = app.list_group_people(caller, group.id, tie, &inside).await?;
            let people: Vec<_> =
                page.items.iter().map(|user| inner.project(users::typed(user))).collect();
            object.insert(name.to_owned(), json!(people));
        }
        shown.push(object);
    }
    Ok(shown)
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let mut listing = users::searched(&query, &["displayName", "description", "mailNickname"])?;
    if !query.expand.is_empty() {
        listing.top = Some(listing.top.unwrap_or(MAX_EXPANDED).min(MAX_EXPANDED));
    }
    let page = app.list_groups(&caller, &listing).await?;
    let items = expanded(&app, &caller, &query, page.items).await?;
    let page = accede_app::Page { items, next: page.next, count: page.count };
    Ok(wire.collection(SET, &query, page))
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let listing = users::searched(&query, &["displayName", "description", "mailNickname"])?;
    let listing = Listing { filter: listing.filter, ..counting(&query) };
    let page = app.list_groups(&caller, &listing).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    create: Create,
) -> Result<Response> {
    let mut body = create.body;
    body.take_type(&["group"])?;
    plain(&mut body)?;
    let new = NewGroup {
        display_name: body.require_text("displayName", MAX_NAME)?,
        description: body.take_text("description", MAX_DESCRIPTION)?,
        mail_nickname: body.take_text("mailNickname", MAX_NICKNAME)?,
        visibility: body.take_text("visibility", MAX_NICKNAME)?,
        members: people(&mut body, "members@odata.bind")?,
        owners: people(&mut body, "owners@odata.bind")?,
    };
    body.finish(&READ_ONLY)?;
    let group = app.create_group_once(&caller, new, Some(&create.repeat)).await?;
    Ok(wire.created(SET, &group.id.to_string(), json(&group)))
}

const READ_ONLY: [&str; 5] =
    ["mail", "onPremisesSyncEnabled", "members", "owners", "isAssignableToRole"];

/// Groups here are security groups with members by name; a client that asks for another kind is
/// told so.
fn plain(body: &mut Object) -> Result<()> {
    if body.take::<bool>("mailEnabled")? == Some(true) {
        return Err(body.wrong("mailEnabled", "cannot be true; groups here have no mailbox"));
    }
    if body.take::<bool>("securityEnabled")? == Some(false) {
        return Err(body.wrong("securityEnabled", "cannot be false; groups here are for access"));
    }
    match body.take_value("groupTypes") {
        None | Some(Value::Null) => {}
        Some(Value::Array(kinds)) if kinds.is_empty() => {}
        Some(_) => {
            return Err(body.wrong("groupTypes", "must be empty; groups here are security groups"));
        }
    }
    match body.take_value("membershipRule") {
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err(body.wrong("membershipRule", "is not possible; name the members")),
    }
}

/// The people that a list of links points to.
fn people(body: &mut Object, name: &str) -> Result<Vec<UserId>> {
    let links = match body.take_value(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(links)) => links,
        Some(_) => return Err(body.wrong(name, "must be a list of links to users")),
    };
    let mut people = Vec::with_capacity(links.len());
    for value in links {
        let id = value.as_str().and_then(body::link).and_then(|id| id.parse::<UserId>().ok());
        let id = id.ok_or_else(|| {
            body.wrong(
                name,
                "must be a list of links that end with a user's id, such as \
                 https://graph.microsoft.com/v1.0/users/{id}",
            )
        })?;
        if !people.contains(&id) {
            people.push(id);
        }
    }
    Ok(people)
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let group = app.group(&caller, id).await?;
    let object = expanded(&app, &caller, &query, vec![group]).await?.pop().unwrap_or_default();
    Ok(wire.entity(SET, &query, object))
}

async fn change(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    body.take_type(&["group"])?;
    plain(&mut body)?;
    let cleared = |change: Change<String>| match change {
        Change::Keep => None,
        Change::Clear => Some(None),
        Change::Set(text) => Some(Some(text)),
    };
    let change = GroupChange {
        display_name: body.set("displayName")?,
        description: cleared(body.change_text("description", MAX_DESCRIPTION)?),
        mail_nickname: body.set("mailNickname")?,
        visibility: cleared(body.change_text("visibility", MAX_NICKNAME)?),
        members: people(&mut body, "members@odata.bind")?,
    };
    body.finish(&READ_ONLY)?;
    let group = app.change_group(&caller, id, change).await?;
    Ok(wire.updated(SET, || json(&group)))
}

async fn remove(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
) -> Result<StatusCode> {
    app.delete_group(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn people_of(
    app: App,
    caller: Caller,
    id: GroupId,
    tie: Tie,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&users::SHAPE)?;
    let listing = users::searched(&query, &["displayName", "userPrincipalName", "mail"])?;
    let page = app.list_group_people(&caller, id, tie, &listing).await?;
    Ok(wire.collection(directory_objects::SET, &query, page.map(|user| users::typed(&user))))
}

async fn members(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    people_of(app, caller, id, Tie::Member, wire, query).await
}

async fn owners(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    people_of(app, caller, id, Tie::Owner, wire, query).await
}

async fn count_people(
    app: App,
    caller: Caller,
    id: GroupId,
    tie: Tie,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.list_group_people(&caller, id, tie, &counting(&query)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn count_members(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    count_people(app, caller, id, Tie::Member, wire, query).await
}

async fn count_owners(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    count_people(app, caller, id, Tie::Owner, wire, query).await
}

async fn links(
    app: App,
    caller: Caller,
    id: GroupId,
    tie: Tie,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.list_group_people(&caller, id, tie, &query.listing()).await?;
    let page = page.map(|user| {
        let mut object = Map::new();
        let link = wire.address(&format!(
            "v1.0/directoryObjects/{}/Microsoft.DirectoryServices.User",
            user.id
        ));
        object.insert("@odata.id".to_owned(), json!(link));
        object
    });
    Ok(wire.collection("Collection($ref)", &query, page))
}

async fn member_links(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    links(app, caller, id, Tie::Member, wire, query).await
}

async fn owner_links(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    links(app, caller, id, Tie::Owner, wire, query).await
}

async fn add(
    app: App,
    caller: Caller,
    id: GroupId,
    tie: Tie,
    mut body: Object,
) -> Result<Response> {
    let user = users::link(&mut body)?;
    body.finish(&[])?;
    app.add_to_group(&caller, id, tie, user).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn add_member(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    Body(body): Body,
) -> Result<Response> {
    add(app, caller, id, Tie::Member, body).await
}

async fn add_owner(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    Body(body): Body,
) -> Result<Response> {
    add(app, caller, id, Tie::Owner, body).await
}

async fn remove_member(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, user): Keys<GroupId, UserId>,
) -> Result<StatusCode> {
    app.remove_from_group(&caller, id, Tie::Member, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_owner(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, user): Keys<GroupId, UserId>,
) -> Result<StatusCode> {
    app.remove_from_group(&caller, id, Tie::Owner, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The user of `?@id={url}`.
fn linked(query: &Query) -> Result<UserId> {
    let id = query.id.as_deref().and_then(body::link).and_then(|id| id.parse().ok());
    id.ok_or_else(|| {
        ApiError::bad_request("@id", "name the user to remove: `…/$ref?@id=` and a link to them")
    })
}

async fn remove_member_by_link(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    query: Query,
) -> Result<StatusCode> {
    app.remove_from_group(&caller, id, Tie::Member, linked(&query)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_owner_by_link(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    query: Query,
) -> Result<StatusCode> {
    app.remove_from_group(&caller, id, Tie::Owner, linked(&query)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// No group is a member of another.
async fn member_of(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GroupId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    app.group(&caller, id).await?;
    let page = accede_app::Page { items: Vec::new(), next: None, count: query.count.then_some(0) };
    Ok(wire.collection(directory_objects::SET, &query, page))
}
