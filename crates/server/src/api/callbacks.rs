//! `/accede/v1/callbacks/{event}`: what a webhook target says later of an event it had taken.
//!
//! The bearer token is the event's own, not one of a person or an application.

use accede_app::App;
use accede_domain::pending::Report;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use serde_json::{Map, json};

use super::body::Body;
use super::error::Result;
use super::respond::Wire;
use crate::auth::bearer;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/accede/v1/callbacks/{event}", post(call_back))
}

/// `200` whether or not it was said before; the body says which.
async fn call_back(
    State(app): State<App>,
    Path(event): Path<String>,
    headers: HeaderMap,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    let token = bearer(&headers)?;
    // Who may not speak of the event is told that first, whatever they send.
    app.may_call_back(&event, token).await?;
    let state: String = body.require("state")?;
    let report = match state.as_str() {
        "done" => Report::Done,
        "failed" => Report::CouldNot,
        _ => return Err(body.wrong("state", "is `done` or `failed`")),
    };
    let reason: Option<String> = body.take("reason")?;
    body.finish(&[])?;
    let changed = app.call_back(&event, token, &report, reason.as_deref()).await?;
    let mut answer = Map::new();
    answer.insert("state".to_owned(), json!(state));
    answer.insert("changed".to_owned(), json!(changed));
    Ok(wire.plain(StatusCode::OK, answer))
}
