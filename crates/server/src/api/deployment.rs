//! `/accede/v1/deployment`: whether it is paused because its database is in doubt, the comparison
//! with the targets, and the word that lets it go on.

use accede_app::App;
use accede_app::comparison::{Comparison, Difference, Kind};
use accede_app::deployment::{Choice, Deployment, WhatIsGiven};
use accede_domain::id::DeliveryId;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::body::{Body, Key, NoBody};
use super::error::{ApiError, Result};
use super::query::Query;
use super::respond::{Wire, object};
use super::time;
use crate::auth::SignedIn;

/// Differences on a page when nothing is asked.
const PAGE: usize = 100;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/accede/v1/deployment", get(read))
        .route("/accede/v1/deployment/compare", post(compare))
        .route("/accede/v1/deployment/confirm", post(confirm))
        .route("/accede/v1/deployment/differences", get(differences))
        .route("/accede/v1/deployment/differences/{id}/regrant", post(regrant))
}

fn comparison_json(comparison: &Comparison) -> Value {
    json!({
        "requestedDateTime": time::text(comparison.requested_at),
        "completedDateTime": comparison.completed_at.map(time::text),
        "compared": comparison.compared,
        "lacking": comparison.lacking,
        "extra": comparison.extra,
        "unread": comparison.unread,
        "unreadable": comparison.blind,
    })
}

fn choice_json(choice: &Choice) -> Value {
    match choice {
        Choice::Resume { regrant } => json!({ "choice": "resume", "regrant": regrant.name() }),
        Choice::NewInstance => json!({ "choice": "newInstance" }),
    }
}

fn deployment_json(deployment: &Deployment) -> Map<String, Value> {
    let pause = deployment.pause.as_ref();
    object(json!({
        "instanceId": deployment.instance,
        "epoch": deployment.epoch,
        "database": deployment.engine.name(),
        "state": match pause.map(|pause| pause.choice.is_some()) {
            None => "running",
            Some(false) => "paused",
            Some(true) => "resuming",
        },
        "pause": pause.map(|pause| json!({
            "reason": pause.reason.name(),
            "message": pause.reason.sentence(),
            "sinceDateTime": time::text(pause.since),
            "confirmed": pause.choice.as_ref().map(choice_json),
        })),
        "comparison": deployment.comparison.as_ref().map(comparison_json),
        "isClockSuspect": deployment.clock_is_suspect,
        "mayConfirm": deployment.may_confirm,
    }))
}

fn difference_json(one: &Difference) -> Map<String, Value> {
    let row = &one.named.row;
    object(json!({
        "id": row.id,
        "target": { "id": row.key.target, "displayName": one.named.target_display_name },
        "userPrincipalName": one.person.as_ref().map(|person| &person.user_principal_name),
        "resource": one.named.resource_name.as_ref().unwrap_or(&row.key.resource),
        "role": one.named.role_name.as_ref().unwrap_or(&row.key.role),
        "wanted": row.delivery.wanted,
        "isHeld": one.is_held(),
        "isAsWanted": row.delivery.is_so(),
        "message": one.detail,
        "readDateTime": time::text(one.at),
    }))
}

async fn read(State(app): State<App>, SignedIn(caller): SignedIn, wire: Wire) -> Result<Response> {
    let deployment = app.get_deployment(&caller).await?;
    Ok(wire.plain(StatusCode::OK, deployment_json(&deployment)))
}

async fn compare(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let deployment = app.compare_deployment(&caller).await?;
    Ok(wire.plain(StatusCode::ACCEPTED, deployment_json(&deployment)))
}

async fn confirm(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    let choice = body.take_member("choice", &["resume", "newInstance"])?;
    let regrant = body.take_member("regrant", &WhatIsGiven::ALL.map(WhatIsGiven::name))?;
    body.finish(&[])?;
    let choice = match (choice, regrant) {
        (Some("newInstance"), None) => Choice::NewInstance,
        (Some("newInstance"), Some(_)) => {
            let sentence = "is only for `resume`: the targets of a new instance all rest";
            return Err(accede_app::Error::invalid("regrant", sentence).into());
        }
        (Some(_), regrant) => {
            Choice::Resume { regrant: regrant.and_then(WhatIsGiven::parse).unwrap_or_default() }
        }
        (None, _) => {
            let sentence = "is missing; send `resume`, or `newInstance` for a copy of another \
                            deployment";
            return Err(accede_app::Error::invalid("choice", sentence).into());
        }
    };
    let deployment = app.confirm_deployment(&caller, choice).await?;
    Ok(wire.plain(StatusCode::ACCEPTED, deployment_json(&deployment)))
}

async fn differences(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let kind = match query.other("kind") {
        None => Kind::Lacking,
        Some(name) => Kind::parse(name).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name).join(", ");
            ApiError::from(accede_app::Error::invalid("kind", format!("is one of {names}")))
        })?,
    };
    let after = match &query.skiptoken {
        None => None,
        Some(token) => Some(token.parse::<DeliveryId>().map_err(|_| {
            let sentence = "take it from an @odata.nextLink of this list";
            ApiError::from(accede_app::Error::invalid("$skiptoken", sentence))
        })?),
    };
    let top = query.top.unwrap_or(PAGE);
    let page = app.list_differences(&caller, kind, after, top).await?;
    Ok(wire.list(&query, page.map(|one| difference_json(&one))))
}

async fn regrant(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<DeliveryId>,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let changed = app.regrant_held(&caller, id).await?;
    Ok(wire.plain(StatusCode::ACCEPTED, object(json!({ "retried": changed }))))
}
