//! `/v1.0/identityGovernance/entitlementManagement/resources`, and the same inside catalogs:
//! `catalogs/{id}/resources`, `/resourceRoles`, `/resourceScopes`.
//!
//! A resource carries one property of ours as an annotation, `@accede.keepPreExisting`: whether
//! access that somebody had before is left alone when an assignment ends.

use accede_app::App;
use accede_app::resources::{
    Resource, ResourceView, ResourceWith, Role, RoleView, Scope, ScopeView,
};
use accede_domain::id::{CatalogId, ResourceId, ResourceRoleId, ResourceScopeId};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::body::{Key, Keys, NoBody};
use super::catalogs::counted;
use super::error::{ApiError, Result};
use super::query::{Query, Shape};
use super::respond::Wire;
use super::users::searched;
use super::{resource_environments, short, time};
use crate::auth::SignedIn;

/// Where resources are.
pub const SET: &str = "identityGovernance/entitlementManagement/resources";
const CATALOGS: &str = "identityGovernance/entitlementManagement/catalogs";

/// Our own property of a resource.
pub const KEEP: &str = "@accede.keepPreExisting";

/// What `$search` looks into.
pub const SEARCHED: &[&str] = &["displayName", "description"];
const NAME: &[&str] = &["displayName"];

/// The names that resources have.
pub static SHAPE: Shape = Shape {
    name: "accessPackageResource",
    properties: &[
        "id",
        "displayName",
        "description",
        "originId",
        "originSystem",
        "attributes",
        "createdDateTime",
        "modifiedDateTime",
    ],
    navigations: &["roles", "scopes", "environment"],
};

/// The names that roles have.
pub static ROLE: Shape = Shape {
    name: "accessPackageResourceRole",
    properties: &["id", "displayName", "description", "originId", "originSystem", "type"],
    navigations: &["resource"],
};

/// The names that scopes have.
pub static SCOPE: Shape = Shape {
    name: "accessPackageResourceScope",
    properties: &["id", "displayName", "description", "originId", "originSystem", "isRootScope"],
    navigations: &["resource"],
};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    const BASE: &str = "/v1.0/identityGovernance/entitlementManagement/resources";
    let at = |tail: &str| format!("{BASE}{tail}");
    Router::new()
        .route(BASE, get(list))
        .route(&at("/$count"), get(count))
        .route(&at("/{id}"), get(read))
        .route(&at("/{id}/roles"), get(roles))
        .route(&at("/{id}/roles/$count"), get(count_roles))
        .route(&at("/{id}/roles/{role}"), get(role))
        .route(&at("/{id}/roles/{role}/resource"), get(resource_of_role))
        .route(&at("/{id}/scopes"), get(scopes))
        .route(&at("/{id}/scopes/$count"), get(count_scopes))
        .route(&at("/{id}/scopes/{scope}"), get(scope))
        .route(&at("/{id}/scopes/{scope}/resource"), get(resource_of_scope))
        .route(&at("/{id}/environment"), get(environment))
        .route(&at("/{id}/refresh"), post(refresh))
}

/// The routes of this noun inside catalogs.
pub fn routes_in_catalogs() -> Router<App> {
    const BASE: &str = "/v1.0/identityGovernance/entitlementManagement/catalogs/{catalog}";
    let at = |tail: &str| format!("{BASE}{tail}");
    Router::new()
        .route(&at("/resources"), get(list_in))
        .route(&at("/resources/$count"), get(count_in))
        .route(&at("/resources/{id}"), get(read_in))
        .route(&at("/resources/{id}/roles"), get(roles_in))
        .route(&at("/resources/{id}/roles/$count"), get(count_roles_in))
        .route(&at("/resources/{id}/roles/{role}"), get(role_in))
        .route(&at("/resources/{id}/roles/{role}/resource"), get(resource_of_role_in))
        .route(&at("/resources/{id}/scopes"), get(scopes_in))
        .route(&at("/resources/{id}/scopes/$count"), get(count_scopes_in))
        .route(&at("/resources/{id}/scopes/{scope}"), get(scope_in))
        .route(&at("/resources/{id}/scopes/{scope}/resource"), get(resource_of_scope_in))
        .route(&at("/resources/{id}/environment"), get(environment_in))
        .route(&at("/resources/{id}/refresh"), post(refresh_in))
        .route(&at("/resourceRoles"), get(catalog_roles))
        .route(&at("/resourceRoles/$count"), get(count_catalog_roles))
        .route(&at("/resourceRoles/{role}"), get(catalog_role))
        .route(&at("/resourceRoles/{role}/resource"), get(resource_of_catalog_role))
        .route(&at("/resourceScopes"), get(catalog_scopes))
        .route(&at("/resourceScopes/$count"), get(count_catalog_scopes))
        .route(&at("/resourceScopes/{scope}"), get(catalog_scope))
        .route(&at("/resourceScopes/{scope}/resource"), get(resource_of_catalog_scope))
}

/// A resource as Graph shows it.
pub fn json(resource: &Resource) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(resource.id));
    object.insert("displayName".to_owned(), json!(resource.display_name));
    object.insert("description".to_owned(), json!(resource.description));
    object.insert("originId".to_owned(), json!(resource.origin_id));
    object.insert("originSystem".to_owned(), json!(resource.origin_system));
    object.insert("attributes".to_owned(), json!([]));
    object.insert("createdDateTime".to_owned(), json!(time::text(resource.created_at)));
    object.insert("modifiedDateTime".to_owned(), json!(time::text(resource.modified_at)));
    object.insert(KEEP.to_owned(), json!(resource.keep_pre_existing));
    object
}

/// A role as Graph shows it; with its resource, if that was expanded.
pub fn role_json(role: &Role, resource: &Resource, query: &Query) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(role.id));
    object.insert("displayName".to_owned(), json!(role.display_name));
    object.insert("description".to_owned(), json!(role.description));
    object.insert("originId".to_owned(), json!(role.origin_id));
    object.insert("originSystem".to_owned(), json!(resource.origin_system));
    if query.expands("resource").is_some() {
        object.insert("resource".to_owned(), json!(json(resource)));
    }
    object
}

/// A scope as Graph shows it; with its resource, if that was expanded.
pub fn scope_json(scope: &Scope, resource: &Resource, query: &Query) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(scope.id));
    object.insert("displayName".to_owned(), json!(scope.display_name));
    object.insert("description".to_owned(), json!(scope.description));
    object.insert("originId".to_owned(), json!(scope.origin_id));
    object.insert("originSystem".to_owned(), json!(resource.origin_system));
    object.insert("isRootScope".to_owned(), json!(scope.is_root));
    if query.expands("resource").is_some() {
        object.insert("resource".to_owned(), json!(json(resource)));
    }
    object
}

/// A resource with what was expanded.
pub fn shown(view: &ResourceView, query: &Query) -> Map<String, Value> {
    let mut object = json(&view.resource);
    if let (Some(roles), Some(inner)) = (&view.roles, query.expands("roles")) {
        let roles: Vec<_> =
            roles.iter().map(|role| role_json(role, &view.resource, inner)).collect();
        object.insert("roles".to_owned(), json!(roles));
    }
    if let (Some(scopes), Some(inner)) = (&view.scopes, query.expands("scopes")) {
        let scopes: Vec<_> =
            scopes.iter().map(|scope| scope_json(scope, &view.resource, inner)).collect();
        object.insert("scopes".to_owned(), json!(scopes));
    }
    if let Some(environment) = &view.environment {
        object.insert("environment".to_owned(), json!(resource_environments::json(environment)));
    }
    object
}

/// What a query wants with resources.
///
/// # Errors
///
/// `400` for names that resources do not have.
pub fn with(query: &Query) -> Result<ResourceWith> {
    query.fits(&SHAPE)?;
    if let Some(inner) = query.expands("roles") {
        role_fits(inner)?;
    }
    if let Some(inner) = query.expands("scopes") {
        scope_fits(inner)?;
    }
    Ok(ResourceWith {
        roles: query.expands("roles").is_some(),
        scopes: query.expands("scopes").is_some(),
        environment: query.expands("environment").is_some(),
    })
}

/// Refuses what roles do not have; a resource inside a role is shown without its own parts.
///
/// # Errors
///
/// `400` naming the name.
pub fn role_fits(query: &Query) -> Result<()> {
    query.fits(&ROLE)?;
    query.expands("resource").map_or(Ok(()), leaf)
}

/// Refuses what scopes do not have; a resource inside a scope is shown without its own parts.
///
/// # Errors
///
/// `400` naming the name.
pub fn scope_fits(query: &Query) -> Result<()> {
    query.fits(&SCOPE)?;
    query.expands("resource").map_or(Ok(()), leaf)
}

fn leaf(query: &Query) -> Result<()> {
    query.fits(&SHAPE)?;
    if query.expand.iter().any(|expand| expand.name != "*") {
        let message = "`$expand`: read the resource itself to expand what is in it";
        return Err(ApiError::bad_request("$expand", message));
    }
    Ok(())
}

async fn listed(
    app: &App,
    caller: &accede_app::Caller,
    catalog: Option<CatalogId>,
    wire: &Wire,
    query: &Query,
) -> Result<Response> {
    let page =
        app.resources(caller, catalog, None, &searched(query, SEARCHED)?, with(query)?).await?;
    let set = match catalog {
        Some(catalog) => format!("{CATALOGS}('{catalog}')/resources"),
        None => SET.to_owned(),
    };
    Ok(wire.collection(&set, query, page.map(|view| shown(&view, query))))
}

async fn number_of(
    app: &App,
    caller: &accede_app::Caller,
    catalog: Option<CatalogId>,
    wire: &Wire,
    query: &Query,
) -> Result<Response> {
    let nothing = ResourceWith::default();
    let page =
        app.resources(caller, catalog, None, &counted(searched(query, SEARCHED)?), nothing).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn one(
    app: &App,
    caller: &accede_app::Caller,
    catalog: Option<CatalogId>,
    id: ResourceId,
    wire: &Wire,
    query: &Query,
) -> Result<Response> {
    let view = app.resource(caller, catalog, id, with(query)?).await?;
    let set = match catalog {
        Some(catalog) => format!("{CATALOGS}('{catalog}')/resources"),
        None => SET.to_owned(),
    };
    Ok(wire.entity(&set, query, shown(&view, query)))
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    listed(&app, &caller, None, &wire, &query).await
}

async fn list_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(catalog): Key<CatalogId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    listed(&app, &caller, Some(catalog), &wire, &query).await
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    number_of(&app, &caller, None, &wire, &query).await
}

async fn count_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(catalog): Key<CatalogId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    number_of(&app, &caller, Some(catalog), &wire, &query).await
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    one(&app, &caller, None, id, &wire, &query).await
}

async fn read_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, id): Keys<CatalogId, ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    one(&app, &caller, Some(catalog), id, &wire, &query).await
}

const ROLES_ONLY: ResourceWith = ResourceWith { roles: true, scopes: false, environment: false };
const SCOPES_ONLY: ResourceWith = ResourceWith { roles: false, scopes: true, environment: false };
const ENVIRONMENT_ONLY: ResourceWith =
    ResourceWith { roles: false, scopes: false, environment: true };

/// The roles of a resource as a short list.
async fn roles_of(
    app: &App,
    caller: &accede_app::Caller,
    catalog: Option<CatalogId>,
    id: ResourceId,
    query: &Query,
) -> Result<Vec<Map<String, Value>>> {
    role_fits(query)?;
    let view = app.resource(caller, catalog, id, ROLES_ONLY).await?;
    let roles = view.roles.unwrap_or_default();
    Ok(roles.iter().map(|role| role_json(role, &view.resource, query)).collect())
}

/// The scopes of a resource as a short list.
async fn scopes_of(
    app: &App,
    caller: &accede_app::Caller,
    catalog: Option<CatalogId>,
    id: ResourceId,
    query: &Query,
) -> Result<Vec<Map<String, Value>>> {
    scope_fits(query)?;
    let view = app.resource(caller, catalog, id, SCOPES_ONLY).await?;
    let scopes = view.scopes.unwrap_or_default();
    Ok(scopes.iter().map(|scope| scope_json(scope, &view.resource, query)).collect())
}

async fn roles(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = roles_of(&app, &caller, None, id, &query).await?;
    Ok(wire.collection(&format!("{SET}('{id}')/roles"), &query, short::page(&query, items)?))
}

async fn roles_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, id): Keys<CatalogId, ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = roles_of(&app, &caller, Some(catalog), id, &query).await?;
    let set = format!("{CATALOGS}('{catalog}')/resources('{id}')/roles");
    Ok(wire.collection(&set, &query, short::page(&query, items)?))
}

async fn count_roles(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = roles_of(&app, &caller, None, id, &query).await?;
    Ok(wire.count(short::count(&query, items)?))
}

async fn count_roles_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, id): Keys<CatalogId, ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = roles_of(&app, &caller, Some(catalog), id, &query).await?;
    Ok(wire.count(short::count(&query, items)?))
}

async fn scopes(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = scopes_of(&app, &caller, None, id, &query).await?;
    Ok(wire.collection(&format!("{SET}('{id}')/scopes"), &query, short::page(&query, items)?))
}

async fn scopes_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, id): Keys<CatalogId, ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = scopes_of(&app, &caller, Some(catalog), id, &query).await?;
    let set = format!("{CATALOGS}('{catalog}')/resources('{id}')/scopes");
    Ok(wire.collection(&set, &query, short::page(&query, items)?))
}

async fn count_scopes(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = scopes_of(&app, &caller, None, id, &query).await?;
    Ok(wire.count(short::count(&query, items)?))
}

async fn count_scopes_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, id): Keys<CatalogId, ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = scopes_of(&app, &caller, Some(catalog), id, &query).await?;
    Ok(wire.count(short::count(&query, items)?))
}

/// A role that must be this resource's.
async fn role_of(
    app: &App,
    caller: &accede_app::Caller,
    catalog: Option<CatalogId>,
    resource: ResourceId,
    role: ResourceRoleId,
) -> Result<RoleView> {
    let view = app.resource_role(caller, catalog, role).await?;
    if view.resource.id != resource {
        return Err(accede_app::Error::not_found("resource role", role).into());
    }
    Ok(view)
}

/// A scope that must be this resource's.
async fn scope_of(
    app: &App,
    caller: &accede_app::Caller,
    catalog: Option<CatalogId>,
    resource: ResourceId,
    scope: ResourceScopeId,
) -> Result<ScopeView> {
    let view = app.resource_scope(caller, catalog, scope).await?;
    if view.resource.id != resource {
        return Err(accede_app::Error::not_found("resource scope", scope).into());
    }
    Ok(view)
}

fn entity_of_role(wire: &Wire, query: &Query, view: &RoleView) -> Result<Response> {
    role_fits(query)?;
    let set = format!("{SET}('{}')/roles", view.resource.id);
    Ok(wire.entity(&set, query, role_json(&view.role, &view.resource, query)))
}

fn entity_of_scope(wire: &Wire, query: &Query, view: &ScopeView) -> Result<Response> {
    scope_fits(query)?;
    let set = format!("{SET}('{}')/scopes", view.resource.id);
    Ok(wire.entity(&set, query, scope_json(&view.scope, &view.resource, query)))
}

async fn role(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, role): Keys<ResourceId, ResourceRoleId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = role_of(&app, &caller, None, id, role).await?;
    entity_of_role(&wire, &query, &view)
}

async fn resource_of_role(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, role): Keys<ResourceId, ResourceRoleId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    role_of(&app, &caller, None, id, role).await?;
    one(&app, &caller, None, id, &wire, &query).await
}

async fn scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, scope): Keys<ResourceId, ResourceScopeId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = scope_of(&app, &caller, None, id, scope).await?;
    entity_of_scope(&wire, &query, &view)
}

async fn resource_of_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, scope): Keys<ResourceId, ResourceScopeId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    scope_of(&app, &caller, None, id, scope).await?;
    one(&app, &caller, None, id, &wire, &query).await
}

/// The three ids of `catalogs/{catalog}/resources/{id}/roles/{role}`.
fn three<C>(path: (String, String, String)) -> Result<(CatalogId, ResourceId, C)>
where
    C: std::str::FromStr<Err = accede_domain::id::MalformedId>,
{
    Ok((path.0.parse()?, path.1.parse()?, path.2.parse()?))
}

async fn role_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(path): Path<(String, String, String)>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (catalog, id, role) = three(path)?;
    let view = role_of(&app, &caller, Some(catalog), id, role).await?;
    entity_of_role(&wire, &query, &view)
}

async fn resource_of_role_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(path): Path<(String, String, String)>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (catalog, id, role) = three(path)?;
    role_of(&app, &caller, Some(catalog), id, role).await?;
    one(&app, &caller, Some(catalog), id, &wire, &query).await
}

async fn scope_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(path): Path<(String, String, String)>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (catalog, id, scope) = three(path)?;
    let view = scope_of(&app, &caller, Some(catalog), id, scope).await?;
    entity_of_scope(&wire, &query, &view)
}

async fn resource_of_scope_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(path): Path<(String, String, String)>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (catalog, id, scope) = three(path)?;
    scope_of(&app, &caller, Some(catalog), id, scope).await?;
    one(&app, &caller, Some(catalog), id, &wire, &query).await
}

async fn environment_of(
    app: &App,
    caller: &accede_app::Caller,
    catalog: Option<CatalogId>,
    id: ResourceId,
    wire: &Wire,
    query: &Query,
) -> Result<Response> {
    let view = app.resource(caller, catalog, id, ENVIRONMENT_ONLY).await?;
    let environment = view
        .environment
        .ok_or_else(|| accede_app::Error::not_found("resource environment of", id))?;
    resource_environments::entity(wire, query, &environment)
}

async fn environment(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    environment_of(&app, &caller, None, id, &wire, &query).await
}

async fn environment_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, id): Keys<CatalogId, ResourceId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    environment_of(&app, &caller, Some(catalog), id, &wire, &query).await
}

async fn refresh(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceId>,
    _: NoBody,
) -> Result<Response> {
    app.refresh_resource(&caller, None, id).await.map_err(super::resource_requests::told)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn refresh_in(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, id): Keys<CatalogId, ResourceId>,
    _: NoBody,
) -> Result<Response> {
    app.refresh_resource(&caller, Some(catalog), id)
        .await
        .map_err(super::resource_requests::told)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn catalog_roles(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(catalog): Key<CatalogId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    role_fits(&query)?;
    let page = app.resource_roles(&caller, Some(catalog), &searched(&query, NAME)?).await?;
    let set = format!("{CATALOGS}('{catalog}')/resourceRoles");
    let page = page.map(|view| role_json(&view.role, &view.resource, &query));
    Ok(wire.collection(&set, &query, page))
}

async fn count_catalog_roles(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(catalog): Key<CatalogId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page =
        app.resource_roles(&caller, Some(catalog), &counted(searched(&query, NAME)?)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn catalog_role(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, role): Keys<CatalogId, ResourceRoleId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.resource_role(&caller, Some(catalog), role).await?;
    entity_of_role(&wire, &query, &view)
}

async fn resource_of_catalog_role(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, role): Keys<CatalogId, ResourceRoleId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.resource_role(&caller, Some(catalog), role).await?;
    one(&app, &caller, Some(catalog), view.resource.id, &wire, &query).await
}

async fn catalog_scopes(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(catalog): Key<CatalogId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    scope_fits(&query)?;
    let page = app.resource_scopes(&caller, Some(catalog), &searched(&query, NAME)?).await?;
    let set = format!("{CATALOGS}('{catalog}')/resourceScopes");
    let page = page.map(|view| scope_json(&view.scope, &view.resource, &query));
    Ok(wire.collection(&set, &query, page))
}

async fn count_catalog_scopes(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(catalog): Key<CatalogId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page =
        app.resource_scopes(&caller, Some(catalog), &counted(searched(&query, NAME)?)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn catalog_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, scope): Keys<CatalogId, ResourceScopeId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.resource_scope(&caller, Some(catalog), scope).await?;
    entity_of_scope(&wire, &query, &view)
}

async fn resource_of_catalog_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(catalog, scope): Keys<CatalogId, ResourceScopeId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.resource_scope(&caller, Some(catalog), scope).await?;
    one(&app, &caller, Some(catalog), view.resource.id, &wire, &query).await
}
