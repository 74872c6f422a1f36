//! `/v1.0/directoryObjects`, `/v1.0/servicePrincipals`, `/v1.0/organization`, and entitlement
//! management's `subjects`: what scripts look up beside users and groups.

use accede_app::App;
use accede_app::apps::Application;
use accede_app::role_assignments::DirectoryObject;
use accede_domain::id::AppId;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::Body;
use super::catalogs::counting;
use super::error::{ApiError, Result};
use super::query::{Query, Shape};
use super::respond::Wire;
use super::{groups, short, time, users};
use crate::auth::SignedIn;

/// Where objects of any type are.
pub const SET: &str = "directoryObjects";
/// Where applications are.
const APPLICATIONS: &str = "servicePrincipals";
/// Most ids in one lookup, as in Graph.
const MAX_IDS: usize = 1_000;

/// The names that applications have.
pub static APPLICATION: Shape = Shape {
    name: "servicePrincipal",
    properties: &[
        "id",
        "appId",
        "displayName",
        "appDisplayName",
        "accountEnabled",
        "servicePrincipalType",
        "appRoles",
        "createdDateTime",
    ],
    navigations: &[],
};

static ORGANIZATION: Shape = Shape {
    name: "organization",
    properties: &["id", "displayName", "verifiedDomains", "tenantType"],
    navigations: &[],
};

static SUBJECT: Shape = Shape {
    name: "accessPackageSubject",
    properties: &[
        "id",
        "objectId",
        "displayName",
        "email",
        "principalName",
        "onPremisesSecurityIdentifier",
        "subjectType",
        "subjectLifecycle",
    ],
    navigations: &[],
};

/// The routes of these nouns.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1.0/directoryObjects/{id}", get(read))
        .route("/v1.0/directoryObjects/getByIds", post(by_ids))
        .route("/v1.0/servicePrincipals", get(applications))
        .route("/v1.0/servicePrincipals/$count", get(count))
        .route("/v1.0/servicePrincipals/{id}", get(application))
        .route("/v1.0/organization", get(organization))
        .route("/v1.0/organization/{id}", get(one_organization))
        .route("/v1.0/identityGovernance/entitlementManagement/subjects/{id}", get(subject))
}

/// Any object of the directory, with its type.
pub fn json(object: &DirectoryObject) -> Map<String, Value> {
    match object {
        DirectoryObject::User(user) => users::typed(user),
        DirectoryObject::Group(group) => groups::typed(group),
        DirectoryObject::Application(app) => {
            let mut object = Map::new();
            object.insert("@odata.type".to_owned(), json!("#microsoft.graph.servicePrincipal"));
            object.extend(shown(app));
            object
        }
    }
}

/// An application as Graph shows it. Its permissions are not among its `appRoles`, which are what an
/// application offers to others.
fn shown(app: &Application) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(app.id));
    object.insert("appId".to_owned(), json!(app.id));
    object.insert("displayName".to_owned(), json!(app.display_name));
    object.insert("appDisplayName".to_owned(), json!(app.display_name));
    object.insert("accountEnabled".to_owned(), json!(app.is_active));
    object.insert("servicePrincipalType".to_owned(), json!("Application"));
    object.insert("appRoles".to_owned(), json!([]));
    object.insert("createdDateTime".to_owned(), json!(time::text(app.created_at)));
    object
}

fn id_of(text: &str) -> Result<Uuid> {
    Ok(text.parse::<AppId>()?.0)
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let object = app.directory_object(&caller, id_of(&id)?).await?;
    Ok(wire.entity(SET, &query, json(&object)))
}

async fn by_ids(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    let Some(Value::Array(sent)) = body.take_value("ids") else {
        return Err(body.wrong("ids", "must be a list of ids"));
    };
    if MAX_IDS < sent.len() {
        let message = format!("has {} ids; the limit is {MAX_IDS}", sent.len());
        return Err(body.wrong("ids", message));
    }
    let mut ids = Vec::with_capacity(sent.len());
    for value in sent {
        let Some(text) = value.as_str() else {
            return Err(body.wrong("ids", "must be a list of ids"));
        };
        ids.push(id_of(text).map_err(|error| body.wrong("ids", error.message().to_owned()))?);
    }
    let types = match body.take_value("types") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(types)) => types
            .iter()
            .map(|kind| kind.as_str().map(str::to_lowercase))
            .collect::<Option<Vec<String>>>()
            .ok_or_else(|| body.wrong("types", "must be a list of names such as user"))?,
        Some(_) => return Err(body.wrong("types", "must be a list of names such as user")),
    };
    body.finish(&[])?;
    let found = app.directory_objects(&caller, &ids).await?;
    let wanted = |object: &DirectoryObject| {
        let name = match object {
            DirectoryObject::User(_) => "user",
            DirectoryObject::Group(_) => "group",
            DirectoryObject::Application(_) => "serviceprincipal",
        };
        types.is_empty() || types.iter().any(|kind| kind == name || kind == "directoryobject")
    };
    let items = found.iter().filter(|object| wanted(object)).map(json).collect();
    let page = accede_app::Page { items, next: None, count: None };
    Ok(wire.collection(SET, &Query::default(), page))
}

async fn applications(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&APPLICATION)?;
    let listing = users::searched(&query, &["displayName"])?;
    let page = app.list_applications(&caller, &listing).await?;
    Ok(wire.collection(APPLICATIONS, &query, page.map(|app| shown(&app))))
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.list_applications(&caller, &counting(&query)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn application(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&APPLICATION)?;
    // `servicePrincipals(appId='…')`: the two ids are one here.
    let named = id.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("appId"));
    let key = named.map_or(id.as_str(), |(_, key)| key);
    let found = app.application(&caller, key.parse()?).await?;
    Ok(wire.entity(APPLICATIONS, &query, shown(&found)))
}

fn me(app: &App) -> Result<Map<String, Value>> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(app.organization()?));
    object.insert("displayName".to_owned(), json!("Accede"));
    object.insert("verifiedDomains".to_owned(), json!([]));
    object.insert("tenantType".to_owned(), json!("AAD"));
    Ok(object)
}

async fn organization(
    State(app): State<App>,
    SignedIn(_): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&ORGANIZATION)?;
    let page = short::page(&query, vec![me(&app)?])?;
    Ok(wire.collection("organization", &query, page))
}

async fn one_organization(
    State(app): State<App>,
    SignedIn(_): SignedIn,
    Path(id): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&ORGANIZATION)?;
    if id_of(&id)? != app.organization()? {
        return Err(ApiError::not_found(format!("there is no organization `{id}`")));
    }
    Ok(wire.entity("organization", &query, me(&app)?))
}

/// A subject by its id, or as `subjects(objectId='…')` by the id of its user or application.
async fn subject(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SUBJECT)?;
    let named = id.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("objectId"));
    let found = match named {
        Some((_, object)) => app.subject_by_object(&caller, id_of(object)?).await?,
        None => app.subject(&caller, id.parse()?).await?,
    };
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(found.id));
    object.insert("objectId".to_owned(), json!(found.object));
    object.insert("displayName".to_owned(), json!(found.display_name));
    object.insert("email".to_owned(), json!(found.email));
    object.insert("principalName".to_owned(), json!(found.principal_name));
    object.insert("onPremisesSecurityIdentifier".to_owned(), Value::Null);
    object.insert("subjectType".to_owned(), json!(found.kind.name()));
    object.insert("subjectLifecycle".to_owned(), json!("notDefined"));
    Ok(wire.entity("identityGovernance/entitlementManagement/subjects", &query, object))
}
