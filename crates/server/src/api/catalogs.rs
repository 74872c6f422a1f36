//! `/v1.0/identityGovernance/entitlementManagement/catalogs`.

use accede_app::catalogs::{Catalog, CatalogChange, CatalogView, CatalogWith, NewCatalog, State};
use accede_app::text::{MAX_DESCRIPTION, MAX_NAME};
use accede_app::{App, Listing};
use accede_domain::id::{CatalogId, PackageId};
use axum::Router;
use axum::extract::State as Held;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::body::{Body, Change, Key, Keys, Object};
use super::error::{ApiError, Result};
use super::query::{Query, Shape};
use super::repeat::{Create, IfMatch, etag};
use super::respond::Wire;
use super::users::searched;
use super::{access_packages, resources, time};
use crate::auth::SignedIn;

/// Where catalogs are.
pub const SET: &str = "identityGovernance/entitlementManagement/catalogs";

/// What `$search` looks into.
const SEARCHED: &[&str] = &["displayName", "description"];

/// The names that catalogs have.
pub static SHAPE: Shape = Shape {
    name: "accessPackageCatalog",
    properties: &[
        "id",
        "displayName",
        "description",
        "catalogType",
        "state",
        "isExternallyVisible",
        "createdDateTime",
        "modifiedDateTime",
    ],
    navigations: &["accessPackages", "resources"],
};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    const BASE: &str = "/v1.0/identityGovernance/entitlementManagement/catalogs";
    let at = |tail: &str| format!("{BASE}{tail}");
    Router::new()
        .route(BASE, get(list).post(create))
        .route(&at("/$count"), get(count))
        .route(&at("/{id}"), get(read).patch(change).delete(remove))
        .route(&at("/{id}/accessPackages"), get(packages))
        .route(&at("/{id}/accessPackages/$count"), get(count_packages))
        .route(&at("/{id}/accessPackages/{package}"), get(package))
        .merge(resources::routes_in_catalogs())
}

/// A catalog as Graph shows it.
pub fn json(catalog: &Catalog) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("@odata.etag".to_owned(), json!(etag(catalog.version)));
    object.insert("id".to_owned(), json!(catalog.id));
    object.insert("displayName".to_owned(), json!(catalog.display_name));
    object.insert("description".to_owned(), json!(catalog.description));
    object.insert("catalogType".to_owned(), json!(catalog.catalog_type.name()));
    object.insert("state".to_owned(), json!(catalog.state.name()));
    object.insert("isExternallyVisible".to_owned(), json!(catalog.is_externally_visible));
    object.insert("createdDateTime".to_owned(), json!(time::text(catalog.created_at)));
    object.insert("modifiedDateTime".to_owned(), json!(time::text(catalog.modified_at)));
    object
}

fn shown(view: &CatalogView, query: &Query) -> Map<String, Value> {
    let mut object = json(&view.catalog);
    if let Some(packages) = &view.packages {
        let packages: Vec<_> = packages.iter().map(access_packages::json).collect();
        object.insert("accessPackages".to_owned(), json!(packages));
    }
    if let (Some(all), Some(inner)) = (&view.resources, query.expands("resources")) {
        let all: Vec<_> = all.iter().map(|view| resources::shown(view, inner)).collect();
        object.insert("resources".to_owned(), json!(all));
    }
    object
}

fn with(query: &Query) -> Result<CatalogWith> {
    query.fits(&SHAPE)?;
    if let Some(inner) = query.expands("accessPackages") {
        inner.fits(&access_packages::SHAPE)?;
        if !inner.expand.is_empty() {
            let message = "`$expand`: ask for a catalog's packages under \
                           `catalogs/{id}/accessPackages` to expand what is in them";
            return Err(ApiError::bad_request("$expand", message));
        }
    }
    Ok(CatalogWith {
        packages: query.expands("accessPackages").is_some(),
        resources: query.expands("resources").map(resources::with).transpose()?,
    })
}

async fn list(
    Held(app): Held<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.catalogs(&caller, &searched(&query, SEARCHED)?, with(&query)?).await?;
    Ok(wire.collection(SET, &query, page.map(|view| shown(&view, &query))))
}

async fn count(
    Held(app): Held<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app
        .catalogs(&caller, &counted(searched(&query, SEARCHED)?), CatalogWith::default())
        .await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

/// What a `/$count` asks of a list: the number and as little else as possible.
pub(super) fn counting(query: &Query) -> Listing {
    counted(query.listing())
}

/// The same for a listing.
pub(super) fn counted(listing: Listing) -> Listing {
    Listing { top: Some(1), skip: 0, after: None, count: true, ..listing }
}

/// Refuses `$search` on a list that has no names to look into.
pub(super) fn unsearched(query: &Query) -> Result<Listing> {
    if query.search.is_some() {
        let message = "this list cannot be searched; use `$filter`";
        return Err(ApiError::bad_request("$search", message));
    }
    Ok(query.listing())
}

async fn create(
    Held(app): Held<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    create: Create,
) -> Result<Response> {
    let mut body = create.body;
    body.take_type(&["accessPackageCatalog"])?;
    let new = NewCatalog {
        display_name: body.require_text("displayName", MAX_NAME)?,
        description: body.take_text("description", MAX_DESCRIPTION)?.unwrap_or_default(),
        state: state(&mut body)?.unwrap_or(State::Published),
        is_externally_visible: body.take("isExternallyVisible")?.unwrap_or(true),
    };
    body.finish(&["catalogType"])?;
    let catalog = app.create_catalog(&caller, &new, Some(&create.repeat)).await?;
    Ok(wire.created(SET, &catalog.id.to_string(), json(&catalog)))
}

fn state(body: &mut Object) -> Result<Option<State>> {
    let names = State::ALL.map(State::name);
    Ok(body.take_member("state", &names)?.and_then(State::parse))
}

async fn read(
    Held(app): Held<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<CatalogId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.catalog(&caller, id, with(&query)?).await?;
    Ok(wire.entity(SET, &query, shown(&view, &query)))
}

async fn change(
    Held(app): Held<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<CatalogId>,
    IfMatch(expected): IfMatch,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    body.take_type(&["accessPackageCatalog"])?;
    if body.has("catalogType") {
        // Round-tripping clients send it back; it cannot be changed.
        let known = app.catalog(&caller, id, CatalogWith::default()).await?.catalog.catalog_type;
        let sent = body.take_member("catalogType", &["userManaged", "serviceDefault"])?;
        if sent.is_some_and(|sent| sent != known.name()) {
            let message = format!("cannot be changed; it is `{}`", known.name());
            return Err(body.wrong("catalogType", message));
        }
    }
    let change = CatalogChange {
        display_name: body.set("displayName")?,
        description: cleared(body.change_text("description", MAX_DESCRIPTION)?),
        state: state(&mut body)?,
        is_externally_visible: body.set("isExternallyVisible")?,
        expected,
    };
    body.finish(&[])?;
    let catalog = app.change_catalog(&caller, id, &change).await?;
    Ok(wire.updated(SET, || json(&catalog)))
}

/// A text that null makes empty.
pub(super) fn cleared(change: Change<String>) -> Option<String> {
    match change {
        Change::Keep => None,
        Change::Clear => Some(String::new()),
        Change::Set(text) => Some(text),
    }
}

async fn remove(
    Held(app): Held<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<CatalogId>,
    IfMatch(expected): IfMatch,
) -> Result<Response> {
    app.delete_catalog(&caller, id, expected).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn packages(
    Held(app): Held<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<CatalogId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let with = access_packages::with(&query)?;
    let page = app
        .packages(&caller, Some(id), &searched(&query, access_packages::SEARCHED)?, with)
        .await?;
    let set = format!("{SET}('{id}')/accessPackages");
    Ok(wire.collection(&set, &query, page.map(|view| access_packages::shown(&view, &query))))
}

async fn count_packages(
    Held(app): Held<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<CatalogId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let with = access_packages::with(&Query::default())?;
    let page = app
        .packages(&caller, Some(id), &counted(searched(&query, access_packages::SEARCHED)?), with)
        .await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn package(
    Held(app): Held<App>,
    SignedIn(caller): SignedIn,
    Keys(id, package): Keys<CatalogId, PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let with = access_packages::with(&query)?;
    let view = app.package(&caller, Some(id), package, with).await?;
    let set = format!("{SET}('{id}')/accessPackages");
    Ok(wire.entity(&set, &query, access_packages::shown(&view, &query)))
}
