//! `/v1.0/identityGovernance/entitlementManagement/resourceEnvironments`: the target systems as
//! Graph knows them. Everything else about targets is under `/accede/v1/targets`.

use accede_app::App;
use accede_app::resources::Environment;
use accede_domain::id::TargetId;
use accede_domain::permission::Action;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::body::Key;
use super::catalogs::counted;
use super::error::{ApiError, Result};
use super::query::{Query, Shape};
use super::respond::Wire;
use super::users::searched;
use super::{resources, time};
use crate::auth::SignedIn;

const SET: &str = "identityGovernance/entitlementManagement/resourceEnvironments";

/// What `$search` looks into.
const SEARCHED: &[&str] = &["displayName", "originSystem"];

static SHAPE: Shape = Shape {
    name: "accessPackageResourceEnvironment",
    properties: &[
        "id",
        "displayName",
        "description",
        "originId",
        "originSystem",
        "isDefaultEnvironment",
        "connectionInfo",
        "createdDateTime",
        "modifiedDateTime",
    ],
    navigations: &["resources"],
};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    const BASE: &str = "/v1.0/identityGovernance/entitlementManagement/resourceEnvironments";
    let at = |tail: &str| format!("{BASE}{tail}");
    Router::new()
        .route(BASE, get(list))
        .route(&at("/$count"), get(count))
        .route(&at("/{id}"), get(read))
        .route(&at("/{id}/resources"), get(inside))
}

/// A target as Graph shows it.
pub fn json(environment: &Environment) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(environment.id));
    object.insert("displayName".to_owned(), json!(environment.display_name));
    object.insert("description".to_owned(), json!(environment.description));
    object.insert("originId".to_owned(), json!(environment.name));
    object.insert("originSystem".to_owned(), json!(environment.name));
    object.insert("isDefaultEnvironment".to_owned(), json!(true));
    object.insert("connectionInfo".to_owned(), Value::Null);
    object.insert("createdDateTime".to_owned(), json!(time::text(environment.created_at)));
    object.insert("modifiedDateTime".to_owned(), json!(time::text(environment.modified_at)));
    object
}

/// A target as an answer of its own.
///
/// # Errors
///
/// `400` for names that environments do not have.
pub fn entity(wire: &Wire, query: &Query, environment: &Environment) -> Result<Response> {
    fits(query)?;
    Ok(wire.entity(SET, query, json(environment)))
}

fn fits(query: &Query) -> Result<()> {
    query.fits(&SHAPE)?;
    if query.expand.iter().any(|expand| expand.name != "*") {
        let message =
            "`$expand`: ask for the resources under `resourceEnvironments/{id}/resources`";
        return Err(ApiError::bad_request("$expand", message));
    }
    Ok(())
}

/// Graph wants the list filtered, and so do its clients.
fn must_filter(query: &Query) -> Result<()> {
    if query.filter.is_some() {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "$filter",
        "this list must be filtered, as in $filter=originSystem eq 'AadGroup'; all target systems \
         are listed under /accede/v1/targets",
    ))
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    caller.may_somewhere(Action::ReadTargets)?;
    fits(&query)?;
    must_filter(&query)?;
    let page = app.environments(&caller, &searched(&query, SEARCHED)?).await?;
    Ok(wire.collection(SET, &query, page.map(|environment| json(&environment))))
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    caller.may_somewhere(Action::ReadTargets)?;
    must_filter(&query)?;
    let page = app.environments(&caller, &counted(searched(&query, SEARCHED)?)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<TargetId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let environment = app.environment(&caller, id).await?;
    entity(&wire, &query, &environment)
}

async fn inside(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<TargetId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let with = resources::with(&query)?;
    let page = app
        .resources(&caller, None, Some(id), &searched(&query, resources::SEARCHED)?, with)
        .await?;
    let set = format!("{SET}('{id}')/resources");
    Ok(wire.collection(&set, &query, page.map(|view| resources::shown(&view, &query))))
}
