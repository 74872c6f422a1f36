//! `/v1.0/identityGovernance/entitlementManagement/resourceRequests`: adding resources to catalogs,
//! changing and removing them. Graph answers at once; so do we.

use accede_app::App;
use accede_app::catalogs::CatalogWith;
use accede_app::resources::{
    ALREADY_ONBOARDED, HAS_ENTITLEMENTS, MAX_ORIGIN_ID, NOT_IN_ORIGIN_SYSTEM, NewResource,
    RequestType, RequestView, ResourceChange, Which,
};
use accede_app::text::{MAX_DESCRIPTION, MAX_NAME};
use accede_domain::id::{CatalogId, ResourceId, ResourceRequestId};
use accede_domain::refusal::Refusal;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::body::{Key, Object};
use super::catalogs::{counted, unsearched};
use super::error::{ApiError, Result};
use super::query::{Query, Shape};
use super::repeat::Create;
use super::respond::Wire;
use super::{catalogs, resource_environments, resources, short, time};
use crate::auth::SignedIn;

const SET: &str = "identityGovernance/entitlementManagement/resourceRequests";

static SHAPE: Shape = Shape {
    name: "accessPackageResourceRequest",
    properties: &["id", "requestType", "state", "createdDateTime"],
    navigations: &["catalog", "resource"],
};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    const BASE: &str = "/v1.0/identityGovernance/entitlementManagement/resourceRequests";
    let at = |tail: &str| format!("{BASE}{tail}");
    Router::new()
        .route(BASE, get(list).post(create))
        .route(&at("/$count"), get(count))
        .route(&at("/{id}"), get(read))
        .route(&at("/{id}/catalog"), get(catalog))
        .route(&at("/{id}/resource"), get(resource))
        .route(&at("/{id}/resource/roles"), get(roles))
        .route(&at("/{id}/resource/scopes"), get(scopes))
        .route(&at("/{id}/resource/environment"), get(environment))
}

/// A resource request as Graph shows it, with what was expanded.
fn json(view: &RequestView, query: &Query) -> Map<String, Value> {
    let request = &view.request;
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(request.id));
    object.insert("requestType".to_owned(), json!(request.request_type.name()));
    object.insert("state".to_owned(), json!("delivered"));
    object.insert("createdDateTime".to_owned(), json!(time::text(request.created_at)));
    if query.expands("catalog").is_some() {
        object.insert("catalog".to_owned(), json!(view.catalog.as_ref().map(catalogs::json)));
    }
    if query.expands("resource").is_some() {
        let value = match &view.resource {
            Some(resource) => json!(resources::json(resource)),
            // It was removed; what is known of it is what it was then.
            None => json!({
                "id": request.resource,
                "originId": request.named.origin_id,
                "originSystem": request.named.origin_system,
                "displayName": request.named.display_name,
                "description": request.named.description,
                "attributes": [],
                "createdDateTime": null,
                "modifiedDateTime": null,
            }),
        };
        object.insert("resource".to_owned(), value);
    }
    object
}

/// Three refusals are `400` in Graph, and scripts look for that.
pub(super) fn told(error: accede_app::Error) -> ApiError {
    let code = match &error {
        accede_app::Error::Refused(Refusal::Rule { code, .. } | Refusal::InUse { code, .. }) => {
            Some(*code)
        }
        _ => None,
    };
    match code {
        Some(code @ (ALREADY_ONBOARDED | NOT_IN_ORIGIN_SYSTEM | HAS_ENTITLEMENTS)) => {
            ApiError::new(StatusCode::BAD_REQUEST, code, error.to_string())
        }
        _ => error.into(),
    }
}

fn fits(query: &Query) -> Result<()> {
    query.fits(&SHAPE)?;
    if query.expand.iter().any(|expand| !expand.query.expand.is_empty()) {
        let message = "`$expand`: a resource request shows its catalog and resource without their \
                       own parts";
        return Err(ApiError::bad_request("$expand", message));
    }
    Ok(())
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    fits(&query)?;
    let page = app.resource_requests(&caller, &unsearched(&query)?).await?;
    Ok(wire.collection(SET, &query, page.map(|view| json(&view, &query))))
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.resource_requests(&caller, &counted(unsearched(&query)?)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    create: Create,
) -> Result<Response> {
    let mut body = create.body;
    body.take_type(&["accessPackageResourceRequest"])?;
    let names = RequestType::ALL.map(RequestType::name);
    let kind = RequestType::parse(body.require_member("requestType", &names)?);
    let catalog: Option<CatalogId> = match body.take::<Object>("catalog")? {
        Some(mut catalog) => {
            let id = catalog.take_id("id")?;
            // Clients send back a whole catalog; only its id counts.
            id
        }
        None => None,
    };
    let mut resource: Object = body.require("resource")?;
    body.finish(&["state"])?;
    resource.take_type(&["accessPackageResource"])?;
    let origin_id = resource.take_text("originId", MAX_ORIGIN_ID)?;
    let origin_system = resource.take_text("originSystem", MAX_NAME)?;
    let display_name = resource.take_text("displayName", MAX_NAME)?;
    let description = resource.take_text("description", MAX_DESCRIPTION)?;
    let keep_pre_existing: Option<bool> = resource.take(resources::KEEP)?;
    let id: Option<ResourceId> = resource.take_id("id")?;
    let environment = environment_of(&mut resource)?;
    if resource.take::<Vec<Object>>("attributes")?.is_some_and(|all| !all.is_empty()) {
        return Err(
            resource.wrong("attributes", "are not available in this version; leave them out")
        );
    }
    resource.finish(&["roles", "scopes", "uploadSessions", "url"])?;
    let view = match kind {
        Some(RequestType::AdminAdd) => {
            let missing =
                |path: &str| ApiError::invalid_model(path, format!("`{path}` is required"));
            let new = NewResource {
                catalog: catalog.ok_or_else(|| missing("catalog.id"))?,
                origin_system: origin_system.ok_or_else(|| missing("resource.originSystem"))?,
                origin_id: origin_id.ok_or_else(|| missing("resource.originId"))?,
                display_name,
                description,
                keep_pre_existing: keep_pre_existing.unwrap_or(false),
            };
            if let Some(named) = environment {
                let listing = accede_app::Listing::default();
                let all = app.environments(&caller, &listing).await?;
                let same = all.items.iter().any(|known| {
                    let is_named =
                        named == known.id.to_string() || named.eq_ignore_ascii_case(&known.name);
                    is_named && known.name.eq_ignore_ascii_case(&new.origin_system)
                });
                if !same {
                    let path = "resource.environment";
                    let message = format!(
                        "`{path}` is not the environment of `{}`; leave it out",
                        new.origin_system
                    );
                    return Err(ApiError::invalid_model(path, message));
                }
            }
            app.add_resource(&caller, &new, Some(&create.repeat)).await
        }
        Some(RequestType::AdminUpdate) => {
            let change = ResourceChange { display_name, description, keep_pre_existing };
            let which = which(id, origin_system, origin_id)?;
            app.update_resource(&caller, catalog, &which, &change).await
        }
        Some(RequestType::AdminRemove) | None => {
            let which = which(id, origin_system, origin_id)?;
            app.remove_resource(&caller, catalog, &which).await
        }
    };
    let view = view.map_err(told)?;
    let id = view.request.id.to_string();
    Ok(wire.created(SET, &id, json(&view, &Query::default())))
}

fn which(
    id: Option<ResourceId>,
    system: Option<String>,
    origin_id: Option<String>,
) -> Result<Which> {
    match (id, system, origin_id) {
        (Some(id), ..) => Ok(Which::Id(id)),
        (None, Some(system), Some(id)) => Ok(Which::Origin { system, id }),
        _ => Err(ApiError::invalid_model(
            "resource.id",
            "`resource` must have its `id`, or `originSystem` and `originId`",
        )),
    }
}

/// The environment that the client names, by id or name, in any of the ways it may.
fn environment_of(resource: &mut Object) -> Result<Option<String>> {
    if let Some(id) = resource.take_link("environment@odata.bind")? {
        return Ok(Some(id));
    }
    let Some(mut environment) = resource.take::<Object>("environment")? else { return Ok(None) };
    let id = environment.take_text("id", MAX_NAME)?;
    Ok(id.or(environment.take_text("originId", MAX_NAME)?))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceRequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    fits(&query)?;
    let view = app.resource_request(&caller, id).await?;
    Ok(wire.entity(SET, &query, json(&view, &query)))
}

async fn catalog(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceRequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&catalogs::SHAPE)?;
    let view = app.resource_request(&caller, id).await?;
    let missing = || accede_app::Error::not_found("catalog of the resource request", id);
    let catalog = view.request.catalog.ok_or_else(missing)?;
    let view = app.catalog(&caller, catalog, CatalogWith::default()).await?;
    Ok(wire.entity(catalogs::SET, &query, catalogs::json(&view.catalog)))
}

/// The resource of a request, if it is still there.
async fn still_there(
    app: &App,
    caller: &accede_app::Caller,
    id: ResourceRequestId,
) -> Result<ResourceId> {
    let view = app.resource_request(caller, id).await?;
    let found = view.resource.map(|resource| resource.id);
    found.ok_or_else(|| accede_app::Error::not_found("resource of the resource request", id).into())
}

async fn resource(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceRequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let resource = still_there(&app, &caller, id).await?;
    let view = app.resource(&caller, None, resource, resources::with(&query)?).await?;
    Ok(wire.entity(resources::SET, &query, resources::shown(&view, &query)))
}

async fn roles(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceRequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    resources::role_fits(&query)?;
    let resource = still_there(&app, &caller, id).await?;
    let with = accede_app::resources::ResourceWith { roles: true, ..Default::default() };
    let view = app.resource(&caller, None, resource, with).await?;
    let roles = view.roles.unwrap_or_default();
    let items =
        roles.iter().map(|role| resources::role_json(role, &view.resource, &query)).collect();
    let set = format!("{SET}('{id}')/resource/roles");
    Ok(wire.collection(&set, &query, short::page(&query, items)?))
}

async fn scopes(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceRequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    resources::scope_fits(&query)?;
    let resource = still_there(&app, &caller, id).await?;
    let with = accede_app::resources::ResourceWith { scopes: true, ..Default::default() };
    let view = app.resource(&caller, None, resource, with).await?;
    let scopes = view.scopes.unwrap_or_default();
    let items =
        scopes.iter().map(|scope| resources::scope_json(scope, &view.resource, &query)).collect();
    let set = format!("{SET}('{id}')/resource/scopes");
    Ok(wire.collection(&set, &query, short::page(&query, items)?))
}

async fn environment(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<ResourceRequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let resource = still_there(&app, &caller, id).await?;
    let with = accede_app::resources::ResourceWith { environment: true, ..Default::default() };
    let view = app.resource(&caller, None, resource, with).await?;
    let missing = || accede_app::Error::not_found("resource environment of", resource);
    resource_environments::entity(&wire, &query, &view.environment.ok_or_else(missing)?)
}
