//! `/v1.0/identityGovernance/entitlementManagement/assignments`.

use accede_app::assignments::{Both, Summary};
use accede_app::related::{Related, Wanted};
use accede_app::requests::Whose;
use accede_app::{App, Caller};
use accede_domain::id::{AssignmentId, PackageId};
use accede_domain::permission::Action;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Map, Value, json};

use super::assignment_requests::{must_name_package, whose};
use super::body::{Key, NoBody};
use super::error::{ApiError, Result};
use super::names::Parameters;
use super::query::{Query, Shape};
use super::respond::{Wire, object};
use super::{access_packages, assignment_policies, schedules, subjects, time};
use crate::auth::SignedIn;

/// The collection's path in contexts.
pub const SET: &str = "identityGovernance/entitlementManagement/assignments";

static SHAPE: Shape = Shape {
    name: "accessPackageAssignment",
    properties: &[
        "id",
        "state",
        "status",
        "schedule",
        "expiredDateTime",
        "customExtensionCalloutInstances",
    ],
    navigations: &["accessPackage", "assignmentPolicy", "target"],
};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    const BASE: &str = "/v1.0/identityGovernance/entitlementManagement/assignments";
    let at = |tail: &str| format!("{BASE}{tail}");
    Router::new()
        .route(BASE, get(list))
        .route(&at("/$count"), get(count))
        .route(&at("/filterByCurrentUser"), get(mine))
        .route(&at("/additionalAccess"), get(additional))
        .route(&at("/{id}"), get(read))
        .route(&at("/{id}/reprocess"), post(reprocess))
        .route(&at("/{id}/target"), get(target))
        .route(&at("/{id}/accessPackage"), get(package))
        .route(&at("/{id}/assignmentPolicy"), get(policy))
}

/// An assignment as Graph shows it, with what was expanded.
pub fn json(summary: &Summary, query: &Query, related: &Related) -> Map<String, Value> {
    let assignment = &summary.assignment;
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(assignment.id));
    object.insert("state".to_owned(), json!(assignment.state.name()));
    object.insert("status".to_owned(), json!(assignment.state.status()));
    object.insert("expiredDateTime".to_owned(), json!(assignment.expired().map(time::text)));
    object.insert("schedule".to_owned(), schedules::period(assignment.start, assignment.end));
    object.insert("customExtensionCalloutInstances".to_owned(), json!([]));
    if query.expands("target").is_some() {
        object.insert("target".to_owned(), subjects::subject(&summary.beneficiary));
    }
    if let Some(inner) = query.expands("accessPackage") {
        let package = related.package(assignment.package);
        let value = package.map(|package| access_packages::expanded(package, inner, related));
        object.insert("accessPackage".to_owned(), json!(value));
    }
    if query.expands("assignmentPolicy").is_some() {
        let found = assignment.policy.and_then(|id| related.policy(id));
        let value = found.map(assignment_policies::json);
        object.insert("assignmentPolicy".to_owned(), json!(value));
    }
    object
}

/// What expanding these assignments needs beside them.
pub async fn related(app: &App, items: &[Summary], query: &Query) -> Result<Related> {
    let mut wanted = Wanted::default();
    for summary in items {
        if query.expands("accessPackage").is_some() {
            wanted.packages.push(summary.assignment.package);
        }
        if query.expands("assignmentPolicy").is_some() {
            wanted.policies.extend(summary.assignment.policy);
        }
    }
    Ok(app.related(wanted).await?)
}

async fn listed(
    app: &App,
    caller: &Caller,
    wire: &Wire,
    query: &Query,
    whose: Whose,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let page = app.list_assignments(caller, whose, &query.listing()).await?;
    let related = related(app, &page.items, query).await?;
    Ok(wire.collection(SET, query, page.map(|summary| json(&summary, query, &related))))
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    must_name_package(&caller, &query)?;
    let whose = Whose::Reach(caller.reach(Action::ReadRequests));
    listed(&app, &caller, &wire, &query, whose).await
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    must_name_package(&caller, &query)?;
    let whose = Whose::Reach(caller.reach(Action::ReadRequests));
    let listing = accede_app::Listing { top: Some(1), count: true, ..query.listing() };
    let page = app.list_assignments(&caller, whose, &listing).await?;
    Ok(wire.count(page.count.unwrap_or(0)))
}

async fn mine(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Extension(parameters): Extension<Parameters>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let whose = match whose(&caller, &parameters)? {
        found @ (Whose::Target(_) | Whose::CreatedBy(_) | Whose::TargetManager(_)) => found,
        _ => {
            let message = "`on` is one of target, createdBy, targetManager here";
            return Err(ApiError::bad_request("on", message));
        }
    };
    listed(&app, &caller, &wire, &query, whose).await
}

/// Who has one package and another one as well. With roles on catalogs only it needs no filter: it
/// names its packages.
async fn additional(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Extension(parameters): Extension<Parameters>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let package = |name: &str| -> Result<PackageId> {
        let text = parameters.require(name)?;
        text.parse().map_err(|error| ApiError::bad_request(name, format!("`{name}`: {error}")))
    };
    let both = Both {
        package: package("accessPackageId")?,
        other: package("incompatibleAccessPackageId")?,
    };
    let page = app.list_additional_access(&caller, both, &query.listing()).await?;
    let related = related(&app, &page.items, &query).await?;
    Ok(wire.collection(SET, &query, page.map(|summary| json(&summary, &query, &related))))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<AssignmentId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let summary = app.get_assignment(&caller, id).await?;
    let related = related(&app, std::slice::from_ref(&summary), &query).await?;
    Ok(wire.entity(SET, &query, json(&summary, &query, &related)))
}

/// Observes and re-applies every role. `202`: accepted, the worker does the rest.
async fn reprocess(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<AssignmentId>,
    _: NoBody,
) -> Result<StatusCode> {
    app.reprocess_assignment(&caller, id).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn target(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<AssignmentId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let summary = app.get_assignment(&caller, id).await?;
    let object = object(subjects::subject(&summary.beneficiary));
    Ok(wire.entity("identityGovernance/entitlementManagement/subjects", &query, object))
}

async fn package(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<AssignmentId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let summary = app.get_assignment(&caller, id).await?;
    let package = summary.assignment.package;
    let related = app.related(Wanted { packages: vec![package], ..Wanted::default() }).await?;
    let found = related.package(package).ok_or_else(|| absent(id))?;
    let object = access_packages::expanded(found, &query, &related);
    Ok(wire.entity("identityGovernance/entitlementManagement/accessPackages", &query, object))
}

async fn policy(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<AssignmentId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let summary = app.get_assignment(&caller, id).await?;
    let policy = summary.assignment.policy.ok_or_else(|| absent(id))?;
    let related = app.related(Wanted { policies: vec![policy], ..Wanted::default() }).await?;
    let found = related.policy(policy).ok_or_else(|| absent(id))?;
    let object = assignment_policies::json(found);
    Ok(wire.entity("identityGovernance/entitlementManagement/assignmentPolicies", &query, object))
}

fn absent(id: AssignmentId) -> ApiError {
    ApiError::not_found(format!("assignment `{id}` has none"))
}
