//! `/accede/v1/callbacks/{event}`: what a webhook target says later of an event it had taken.
//!
//! The bearer token is the event's own, not one of a person or an application.

use accede_app::App;
use accede_domain::pending::Report;
use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;

use super::body::Body;
use super::error::{ApiError, Result};
use super::respond::{Wire, object};
use crate::auth::bearer;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/accede/v1/callbacks/{event}", post(call_back))
}

/// An event that the caller may speak of. Who may not is told that before their body is read.
struct Admitted {
    event: String,
    token: String,
}

impl FromRequestParts<App> for Admitted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Admitted> {
        let token = bearer(&parts.headers)?.to_owned();
        // An address that is no text names no event.
        let event = Path::<String>::from_request_parts(parts, app).await;
        let event = event.map(|Path(event)| event).unwrap_or_default();
        app.may_call_back(&event, &token).await?;
        Ok(Admitted { event, token })
    }
}

/// `200` whether or not it was said before; the body says which.
async fn call_back(
    State(app): State<App>,
    Admitted { event, token }: Admitted,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    let state: String = body.require("state")?;
    let report = match state.as_str() {
        "done" => Report::Done,
        "failed" => Report::CouldNot,
        _ => return Err(body.wrong("state", "is `done` or `failed`")),
    };
    let reason: Option<String> = body.take("reason")?;
    body.finish(&[])?;
    let changed = app.call_back(&event, &token, &report, reason.as_deref()).await?;
    Ok(wire.plain(StatusCode::OK, object(json!({ "state": state, "changed": changed }))))
}
