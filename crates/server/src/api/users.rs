//! `/v1.0/users` and `/v1.0/me`.

use accede_app::App;
use accede_app::fields::{MAX_ADDRESS, MAX_EMPLOYEE_ID, MAX_NAME, MAX_SHORT};
use accede_app::users::{NewUser, User, UserChange};
use accede_app::{Caller, Listing, Page};
use accede_domain::filter::Filter;
use accede_domain::id::UserId;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::body::{Body, Change, Object};
use super::catalogs::counting;
use super::error::{ApiError, Result};
use super::query::{Query, Shape};
use super::repeat::Create;
use super::respond::Wire;
use super::{directory_objects, groups, time};
use crate::auth::SignedIn;

/// Where users are.
pub const SET: &str = "users";

/// The names that users have.
pub static SHAPE: Shape = Shape {
    name: "user",
    properties: &[
        "id",
        "displayName",
        "givenName",
        "surname",
        "userPrincipalName",
        "mail",
        "userType",
        "accountEnabled",
        "department",
        "jobTitle",
        "companyName",
        "employeeId",
        "createdDateTime",
        "businessPhones",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "otherMails",
        "externalUserState",
        "onPremisesSyncEnabled",
        "usageLocation",
    ],
    navigations: &["manager", "directReports", "memberOf", "transitiveMemberOf", "ownedObjects"],
};

/// Longest password that is looked at; the verb says how long one may be.
const MAX_PASSWORD: usize = 4_000;
/// Most groups or reports that are shown inside one user.
const MAX_INSIDE: usize = 100;
/// Most users on a page when something is expanded in each.
const MAX_EXPANDED: usize = 100;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1.0/users", get(list).post(create))
        .route("/v1.0/users/$count", get(count))
        .route("/v1.0/users/{user}", get(read).patch(change).delete(remove))
        .route("/v1.0/users/{user}/manager", get(manager))
        .route(
            "/v1.0/users/{user}/manager/$ref",
            get(manager_link).put(set_manager).delete(clear_manager),
        )
        .route("/v1.0/users/{user}/directReports", get(reports))
        .route("/v1.0/users/{user}/memberOf", get(member_of))
        .route("/v1.0/users/{user}/memberOf/$count", get(count_groups))
        .route("/v1.0/users/{user}/memberOf/microsoft.graph.group", get(member_of))
        .route("/v1.0/users/{user}/transitiveMemberOf", get(member_of))
        .route("/v1.0/users/{user}/ownedObjects", get(owned))
        .route("/v1.0/me", get(me))
        .route("/v1.0/me/manager", get(my_manager))
        .route("/v1.0/me/directReports", get(my_reports))
        .route("/v1.0/me/memberOf", get(my_groups))
        .route("/v1.0/me/memberOf/microsoft.graph.group", get(my_groups))
        .route("/v1.0/me/transitiveMemberOf", get(my_groups))
        .route("/v1.0/me/ownedObjects", get(my_owned))
}

/// A user as Graph shows them.
pub fn json(user: &User) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(user.id));
    object.insert("displayName".to_owned(), json!(user.display_name));
    object.insert("givenName".to_owned(), json!(user.given_name));
    object.insert("surname".to_owned(), json!(user.surname));
    object.insert("userPrincipalName".to_owned(), json!(user.user_principal_name));
    object.insert("mail".to_owned(), json!(user.mail));
    object.insert("userType".to_owned(), json!(user.user_type.name()));
    object.insert("accountEnabled".to_owned(), json!(user.account_enabled));
    object.insert("department".to_owned(), json!(user.department));
    object.insert("jobTitle".to_owned(), json!(user.job_title));
    object.insert("companyName".to_owned(), json!(user.company_name));
    object.insert("employeeId".to_owned(), json!(user.employee_id));
    object.insert("createdDateTime".to_owned(), json!(time::text(user.created_at)));
    for nothing in ["businessPhones", "otherMails"] {
        object.insert(nothing.to_owned(), json!([]));
    }
    for nothing in [
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "externalUserState",
        "onPremisesSyncEnabled",
        "usageLocation",
    ] {
        object.insert(nothing.to_owned(), Value::Null);
    }
    object
}

/// A user where any object of the directory may stand.
pub fn typed(user: &User) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("@odata.type".to_owned(), json!("#microsoft.graph.user"));
    object.extend(json(user));
    object
}

/// `$search` as a filter beside `$filter`: `"displayName:mira"`, or a text looked for in names.
pub(super) fn searched(query: &Query, properties: &[&str]) -> Result<Listing> {
    let mut listing = query.listing();
    let Some(search) = &query.search else { return Ok(listing) };
    let (property, text) = match search.split_once(':') {
        Some((property, text)) => {
            let known = properties.iter().find(|known| known.eq_ignore_ascii_case(property.trim()));
            let known = known.ok_or_else(|| {
                let message = format!("`$search` looks into {}", properties.join(", "));
                ApiError::bad_request("$search", message)
            })?;
            (vec![*known], text)
        }
        None => (properties.to_vec(), search.as_str()),
    };
    let text = text.trim().replace('\'', "''");
    let conditions: Vec<String> =
        property.iter().map(|name| format!("contains(tolower({name}),'{text}')")).collect();
    let filter = Filter::parse(&conditions.join(" or "))
        .map_err(|error| ApiError::bad_request("$search", error.to_string()))?;
    listing.filter = Some(match listing.filter {
        Some(asked) => Filter::And(Box::new(asked), Box::new(filter)),
        None => filter,
    });
    Ok(listing)
}

/// Adds to each user what is to be expanded.
async fn expanded(
    app: &App,
    caller: &Caller,
    query: &Query,
    people: Vec<User>,
) -> Result<Vec<Map<String, Value>>> {
    let expands = |name: &str| query.expands(name);
    let managers = match expands("manager") {
        Some(inner) => {
            inner.fits(&SHAPE)?;
            let mut ids: Vec<UserId> = people.iter().filter_map(|user| user.manager).collect();
            ids.sort_unstable();
            ids.dedup();
            app.users_by_ids(caller, &ids).await?
        }
        None => Vec::new(),
    };
    let mut shown = Vec::with_capacity(people.len());
    for user in people {
        let mut object = json(&user);
        if let Some(inner) = expands("manager") {
            let manager = managers.iter().find(|manager| Some(manager.id) == user.manager);
            let manager = manager.map(|manager| Value::Object(inner.project(typed(manager))));
            object.insert("manager".to_owned(), manager.unwrap_or(Value::Null));
        }
        let inside = Listing { top: Some(MAX_INSIDE), ..Listing::default() };
        let id = user.id.to_string();
        if let Some(inner) = expands("directReports") {
            inner.fits(&SHAPE)?;
            let page = app.list_reports(caller, &id, &inside).await?;
            let reports: Vec<_> =
                page.items.iter().map(|user| inner.project(typed(user))).collect();
            object.insert("directReports".to_owned(), json!(reports));
        }
        for name in ["memberOf", "transitiveMemberOf"] {
            if let Some(inner) = expands(name) {
                inner.fits(&groups::SHAPE)?;
                let page = app.list_groups_of(caller, &id, &inside).await?;
                let all: Vec<_> =
                    page.items.iter().map(|group| inner.project(groups::typed(group))).collect();
                object.insert(name.to_owned(), json!(all));
            }
        }
        if let Some(inner) = expands("ownedObjects") {
            inner.fits(&groups::SHAPE)?;
            let page = app.list_owned_groups(caller, &id, &inside).await?;
            let all: Vec<_> =
                page.items.iter().map(|group| inner.project(groups::typed(group))).collect();
            object.insert("ownedObjects".to_owned(), json!(all));
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
    let mut listing = searched(&query, &["displayName", "userPrincipalName", "mail"])?;
    if !query.expand.is_empty() {
        listing.top = Some(listing.top.unwrap_or(MAX_EXPANDED).min(MAX_EXPANDED));
    }
    let Page { items, next, count } = app.list_users(&caller, &listing).await?;
    let items = expanded(&app, &caller, &query, items).await?;
    Ok(wire.collection(SET, &query, Page { items, next, count }))
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let listing = searched(&query, &["displayName", "userPrincipalName", "mail"])?;
    let listing = Listing { filter: listing.filter, ..counting(&query) };
    let page = app.list_users(&caller, &listing).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    create: Create,
) -> Result<Response> {
    let mut body = create.body;
    body.take_type(&["user"])?;
    let manager = body.take_link("manager@odata.bind")?;
    let manager = match manager {
        Some(id) => Some(id.parse::<UserId>().map_err(|error| {
            body.wrong("manager@odata.bind", format!("does not end with an id: {error}"))
        })?),
        None => None,
    };
    // Graph wants one; nothing here needs it.
    body.take_text("mailNickname", MAX_SHORT)?;
    let new = NewUser {
        user_principal_name: body.require_text("userPrincipalName", MAX_ADDRESS)?,
        display_name: body.require_text("displayName", MAX_NAME)?,
        given_name: body.take_text("givenName", MAX_SHORT)?,
        surname: body.take_text("surname", MAX_SHORT)?,
        mail: body.take_text("mail", MAX_ADDRESS)?,
        department: body.take_text("department", MAX_SHORT)?,
        job_title: body.take_text("jobTitle", MAX_SHORT)?,
        company_name: body.take_text("companyName", MAX_SHORT)?,
        employee_id: body.take_text("employeeId", MAX_EMPLOYEE_ID)?,
        user_type: body.take_text("userType", MAX_SHORT)?,
        account_enabled: body.take("accountEnabled")?,
        manager,
        password: password(&mut body)?,
    };
    body.finish(&[])?;
    let user = app.create_user_once(&caller, new, Some(&create.repeat)).await?;
    Ok(wire.created(SET, &user.id.to_string(), json(&user)))
}

/// The password of a `passwordProfile`. Whether it is to be changed at the next sign-in is read and
/// makes no difference: passwords here do not expire.
fn password(body: &mut Object) -> Result<Option<String>> {
    let Some(mut profile) = body.take::<Object>("passwordProfile")? else { return Ok(None) };
    let password = profile.take_text("password", MAX_PASSWORD)?;
    profile.take::<bool>("forceChangePasswordNextSignIn")?;
    profile.take::<bool>("forceChangePasswordNextSignInWithMfa")?;
    profile.finish(&[])?;
    Ok(password)
}

async fn read_as(
    app: App,
    caller: Caller,
    name: String,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let user = app.user(&caller, &name).await?;
    let object = expanded(&app, &caller, &query, vec![user]).await?.pop().unwrap_or_default();
    Ok(wire.entity(SET, &query, object))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    read_as(app, caller, name, wire, query).await
}

async fn me(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (user, _) = caller.require_user()?;
    read_as(app, caller, user.to_string(), wire, query).await
}

async fn change(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    body.take_type(&["user"])?;
    let short = |body: &mut Object, name: &str, most: usize| -> Result<Option<Option<String>>> {
        Ok(match body.change_text(name, most)? {
            Change::Keep => None,
            Change::Clear => Some(None),
            Change::Set(text) => Some(Some(text)),
        })
    };
    body.take_text("mailNickname", MAX_SHORT)?;
    let change = UserChange {
        user_principal_name: body.set("userPrincipalName")?,
        display_name: body.set("displayName")?,
        given_name: short(&mut body, "givenName", MAX_SHORT)?,
        surname: short(&mut body, "surname", MAX_SHORT)?,
        mail: short(&mut body, "mail", MAX_ADDRESS)?,
        department: short(&mut body, "department", MAX_SHORT)?,
        job_title: short(&mut body, "jobTitle", MAX_SHORT)?,
        company_name: short(&mut body, "companyName", MAX_SHORT)?,
        employee_id: short(&mut body, "employeeId", MAX_EMPLOYEE_ID)?,
        user_type: body.set("userType")?,
        account_enabled: body.set("accountEnabled")?,
        password: password(&mut body)?,
    };
    // What clients send back as they read it.
    body.finish(&[
        "businessPhones",
        "otherMails",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "externalUserState",
        "onPremisesSyncEnabled",
        "usageLocation",
        "manager",
    ])?;
    let user = app.change_user(&caller, &name, change).await?;
    Ok(wire.updated(SET, || json(&user)))
}

async fn remove(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    app.delete_user(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn manager_as(
    app: App,
    caller: Caller,
    name: String,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let manager = app.manager_of(&caller, &name).await?;
    Ok(wire.entity(directory_objects::SET, &query, typed(&manager)))
}

async fn manager(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    manager_as(app, caller, name, wire, query).await
}

async fn my_manager(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (user, _) = caller.require_user()?;
    manager_as(app, caller, user.to_string(), wire, query).await
}

async fn manager_link(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
    wire: Wire,
) -> Result<Response> {
    let manager = app.manager_of(&caller, &name).await?;
    let mut object = Map::new();
    let link = wire.address(&format!("v1.0/users/{}", manager.id));
    object.insert("@odata.id".to_owned(), json!(link));
    Ok(wire.singleton("$ref", &Query::default(), object))
}

async fn set_manager(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
    Body(mut body): Body,
) -> Result<Response> {
    let manager = link(&mut body)?;
    body.finish(&[])?;
    app.set_manager(&caller, &name, Some(manager)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The user that `@odata.id` points to.
pub(super) fn link(body: &mut Object) -> Result<UserId> {
    let Some(id) = body.take_link("@odata.id")? else {
        return Err(body.wrong("@odata.id", "is missing; send a link to a user"));
    };
    id.parse().map_err(|error: accede_domain::id::MalformedId| {
        body.wrong("@odata.id", format!("does not end with an id: {error}"))
    })
}

async fn clear_manager(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    app.set_manager(&caller, &name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reports_as(
    app: App,
    caller: Caller,
    name: String,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let page = app.list_reports(&caller, &name, &query.listing()).await?;
    Ok(wire.collection(directory_objects::SET, &query, page.map(|user| typed(&user))))
}

async fn reports(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    reports_as(app, caller, name, wire, query).await
}

async fn my_reports(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (user, _) = caller.require_user()?;
    reports_as(app, caller, user.to_string(), wire, query).await
}

async fn groups_as(
    app: App,
    caller: Caller,
    name: String,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&groups::SHAPE)?;
    let listing = searched(&query, &["displayName"])?;
    let page = app.list_groups_of(&caller, &name, &listing).await?;
    Ok(wire.collection(directory_objects::SET, &query, page.map(|group| groups::typed(&group))))
}

async fn member_of(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    groups_as(app, caller, name, wire, query).await
}

async fn my_groups(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (user, _) = caller.require_user()?;
    groups_as(app, caller, user.to_string(), wire, query).await
}

async fn count_groups(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.list_groups_of(&caller, &name, &counting(&query)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn owned_as(
    app: App,
    caller: Caller,
    name: String,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&groups::SHAPE)?;
    let page = app.list_owned_groups(&caller, &name, &query.listing()).await?;
    Ok(wire.collection(directory_objects::SET, &query, page.map(|group| groups::typed(&group))))
}

async fn owned(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(name): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    owned_as(app, caller, name, wire, query).await
}

async fn my_owned(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (user, _) = caller.require_user()?;
    owned_as(app, caller, user.to_string(), wire, query).await
}
