//! `/accede/v1/failures`, `/accede/v1/revocations/stuck`, `/accede/v1/deliveries`: what is not
//! delivered, why, and trying it now.

use accede_app::App;
use accede_app::deliveries::{Attempt, Named};
use accede_app::failures::Failure;
use accede_domain::delivery::{Observed, Phase};
use accede_domain::id::{CauseId, DeliveryId, RequestId};
use accede_domain::pending::Awaited;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::body::{Key, NoBody};
use super::error::Result;
use super::query::Query;
use super::respond::{Wire, object};
use super::time;
use crate::auth::SignedIn;

/// The routes of these nouns.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/accede/v1/failures", get(failures))
        .route("/accede/v1/failures/{id}", get(failure))
        .route("/accede/v1/failures/{id}/retry", post(retry_cause))
        .route("/accede/v1/requests/{id}/deliveries", get(of_request))
        .route("/accede/v1/requests/{id}/history", get(history))
        .route("/accede/v1/deliveries/{id}", get(delivery))
        .route("/accede/v1/deliveries/{id}/attempts", get(attempts))
        .route("/accede/v1/deliveries/{id}/retry", post(retry))
        .route("/accede/v1/revocations/stuck", get(stuck))
}

/// A list that is short enough to come whole.
fn whole(query: &Query, items: Vec<Map<String, Value>>) -> accede_app::Page<Map<String, Value>> {
    let count = i64::try_from(items.len()).ok().filter(|_| query.count);
    accede_app::Page { items, next: None, count }
}

fn failure_json(failure: &Failure) -> Map<String, Value> {
    let cause = &failure.cause;
    let retrying = cause.deliveries - cause.failed;
    object(json!({
        "id": cause.id,
        "target": {
            "id": cause.target,
            "name": cause.target_name,
            "displayName": cause.target_display_name,
        },
        "connector": cause.connector,
        "class": cause.class.name(),
        "code": cause.code,
        "text": cause.text,
        "example": cause.example,
        "firstSeenDateTime": time::text(cause.first_seen),
        "lastSeenDateTime": time::text(cause.last_seen),
        "isNew": failure.trend.is_new,
        "trend": {
            "direction": failure.trend.direction.name(),
            "hours": failure.trend.hours.iter().map(|hour| json!({
                "startDateTime": time::text(hour.at),
                "deliveries": hour.deliveries,
            })).collect::<Vec<_>>(),
        },
        "deliveries": cause.deliveries,
        "failed": cause.failed,
        "retrying": retrying,
        "isFinal": retrying == 0,
        "revocations": cause.revocations,
        "people": cause.people,
        "reprocessableRequests": cause.requests,
        "accessPackages": failure.packages.iter().map(|package| json!({
            "id": package.package,
            "displayName": package.display_name,
            "people": package.people,
        })).collect::<Vec<_>>(),
    }))
}

async fn failures(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let found = app.list_failures(&caller).await?;
    Ok(wire.list(&query, whole(&query, found.iter().map(failure_json).collect())))
}

async fn failure(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<CauseId>,
    wire: Wire,
) -> Result<Response> {
    let found = app.get_failure(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, failure_json(&found)))
}

async fn retry_cause(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<CauseId>,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let retried = app.retry_cause(&caller, id).await?;
    Ok(wire.plain(StatusCode::ACCEPTED, object(json!({ "retried": retried }))))
}

/// A delivery as its readers see it.
pub fn delivery_json(named: &Named) -> Map<String, Value> {
    let row = &named.row;
    let delivery = &row.delivery;
    let (state, next) = match delivery.phase {
        Phase::Settled if delivery.wanted => ("delivered", None),
        Phase::Settled => ("removed", None),
        Phase::Due { at } if delivery.wanted => ("delivering", Some(at)),
        Phase::Due { at } => ("removing", Some(at)),
        Phase::InFlight { .. } if delivery.is_so() && delivery.wanted => ("delivered", None),
        Phase::InFlight { .. } if delivery.is_so() => ("removed", None),
        Phase::InFlight { .. } if delivery.wanted => ("delivering", None),
        Phase::InFlight { .. } => ("removing", None),
        Phase::Failed { .. } => ("failed", None),
        Phase::Stuck { probe_at, .. } => ("stuck", Some(probe_at)),
    };
    // What only a person ends has no next try.
    let next = next.filter(|_| delivery.ready_at().is_some());
    let hold = next.and_then(|at| named.put_off(at));
    let next = next.map(|at| named.ready_at(at));
    let observed = match delivery.observed {
        Observed::Never => "never",
        Observed::Unknown => "unknown",
        Observed::Absent => "absent",
        Observed::Present => "present",
    };
    let evidence = match (delivery.verified, delivery.acknowledged) {
        (Some(at), _) => json!({ "kind": "verified", "dateTime": time::text(at) }),
        (None, Some(at)) => json!({ "kind": "acknowledged", "dateTime": time::text(at) }),
        (None, None) => Value::Null,
    };
    let cause = row.fault.as_ref().map(|fault| {
        json!({
            "id": fault.cause,
            "class": fault.class.name(),
            "code": fault.code,
            "message": fault.message,
        })
    });
    object(json!({
        "id": row.id,
        "target": {
            "id": row.key.target,
            "name": named.target_name,
            "displayName": named.target_display_name,
            "isPaused": named.target_is_paused,
        },
        "subjectId": row.key.subject,
        "resource": { "originId": row.key.resource, "displayName": named.resource_name },
        "role": { "originId": row.key.role, "displayName": named.role_name },
        "wanted": delivery.wanted,
        "state": state,
        "observed": observed,
        "evidence": evidence,
        "cause": cause,
        "attempts": named.calls,
        "lastAttemptDateTime": row.attempted_at.map(time::text),
        "nextAttemptDateTime": next.map(time::text),
        "hold": hold.map(|hold| json!({
            "reason": hold.reason.map_or("throttled", |reason| reason.name()),
            "message": hold.message,
            "untilDateTime": hold.until.map(time::text),
        })),
        "awaits": delivery.pending.map(|pending| json!({
            "kind": pending.on.name(),
            "sinceDateTime": time::text(pending.since),
            "untilDateTime": match pending.on {
                Awaited::Target => pending.until.map(time::text),
                Awaited::Person => None,
            },
        })),
        "preExisting": delivery.pre_existing,
        "lane": if delivery.poison.is_alone() { "poison" } else { "ordinary" },
    }))
}

fn attempt_json(attempt: &Attempt) -> Map<String, Value> {
    let took = attempt.finished_at.duration_since(attempt.started_at).as_millis();
    object(json!({
        "id": attempt.id,
        "action": attempt.action,
        "outcome": attempt.outcome,
        "class": attempt.class,
        "code": attempt.code,
        "message": attempt.message,
        "startedDateTime": time::text(attempt.started_at),
        "finishedDateTime": time::text(attempt.finished_at),
        "durationInMilliseconds": i64::try_from(took).unwrap_or(i64::MAX),
        "batchSize": attempt.batch,
    }))
}

async fn of_request(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let found = app.request_deliveries(&caller, id).await?;
    Ok(wire.list(&query, whole(&query, found.iter().map(delivery_json).collect())))
}

async fn history(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let lines = app.request_history(&caller, id).await?;
    let items = lines.iter().map(|line| {
        object(json!({
            "id": line.id,
            "dateTime": time::text(line.at),
            "kind": line.kind,
            "actor": line.actor,
            "detail": line.detail,
        }))
    });
    Ok(wire.list(&query, whole(&query, items.collect())))
}

async fn delivery(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<DeliveryId>,
    wire: Wire,
) -> Result<Response> {
    let named = app.get_delivery(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, delivery_json(&named)))
}

async fn attempts(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<DeliveryId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let found = app.list_attempts(&caller, id).await?;
    Ok(wire.list(&query, whole(&query, found.iter().map(attempt_json).collect())))
}

/// Tries it now. `202` whether or not there was anything to try; the body says which.
async fn retry(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<DeliveryId>,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let changed = app.retry_delivery(&caller, id).await?;
    Ok(wire.plain(StatusCode::ACCEPTED, object(json!({ "retried": changed }))))
}

async fn stuck(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let found = app.stuck_revocations(&caller).await?;
    let items = found.iter().map(|stuck| {
        let mut item = delivery_json(&stuck.named);
        let since = stuck.named.row.delivery.since;
        item.insert("sinceDateTime".to_owned(), json!(time::text(since)));
        let person = stuck.person.as_ref();
        item.insert("displayName".to_owned(), json!(person.map(|p| &p.display_name)));
        let name = person.map(|p| &p.user_principal_name);
        item.insert("userPrincipalName".to_owned(), json!(name));
        item
    });
    Ok(wire.list(&query, whole(&query, items.collect())))
}
