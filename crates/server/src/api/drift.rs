//! `/accede/v1/drift`: where targets hold something else than what is wanted there. Described for
//! people in `docs/api/drift.md`.

use accede_app::App;
use accede_app::drift::NamedFinding;
use accede_domain::id::DriftFindingId;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::body::{Body, Key, NoBody};
use super::error::Result;
use super::query::Query;
use super::respond::{Wire, object};
use super::time;
use crate::auth::SignedIn;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/accede/v1/drift", get(list))
        .route("/accede/v1/drift/{id}", get(read))
        .route("/accede/v1/drift/{id}/repair", post(repair))
        .route("/accede/v1/drift/{id}/dismiss", post(dismiss))
}

fn finding_json(named: &NamedFinding) -> Map<String, Value> {
    let finding = &named.finding;
    object(json!({
        "id": finding.id,
        "kind": finding.kind.name(),
        "state": finding.state.name(),
        "target": {
            "id": finding.place.target,
            "name": named.target_name,
            "displayName": named.target_display_name,
        },
        "resource": {
            "originId": finding.place.resource,
            "displayName": named.resource_name,
        },
        "role": {
            "originId": finding.place.role,
            "displayName": named.role_name,
        },
        "scope": { "originId": finding.place.scope },
        "deliveryId": finding.delivery,
        "person": named.person.as_ref().map(|person| json!({
            "id": person.user,
            "userPrincipalName": person.user_principal_name,
            "displayName": person.display_name,
        })),
        "holder": finding.holder.as_ref().map(|holder| json!({
            "id": holder.id,
            "displayName": holder.name,
        })),
        "firstSeenDateTime": time::text(finding.first_seen),
        "lastSeenDateTime": time::text(finding.last_seen),
        "closedDateTime": finding.closed_at.map(time::text),
        "decidedBy": finding.decided_by,
        "reason": finding.reason,
    }))
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.list_drift(&caller, &query.listing()).await?;
    Ok(wire.list(&query, page.map(|named| finding_json(&named))))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<DriftFindingId>,
    wire: Wire,
) -> Result<Response> {
    let named = app.get_drift(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, finding_json(&named)))
}

/// `202`: the worker does the rest.
async fn repair(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<DriftFindingId>,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let named = app.repair_drift(&caller, id).await?;
    Ok(wire.plain(StatusCode::ACCEPTED, finding_json(&named)))
}

async fn dismiss(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<DriftFindingId>,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    let reason: Option<String> = body.take("reason")?;
    body.finish(&[])?;
    let named = app.dismiss_drift(&caller, id, &reason.unwrap_or_default()).await?;
    Ok(wire.plain(StatusCode::OK, finding_json(&named)))
}
