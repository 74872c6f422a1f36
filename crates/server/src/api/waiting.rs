//! `/accede/v1/requests/{id}/waiting`: who a request waits for, until when, and what happens then.

use accede_app::App;
use accede_app::waiting::Wait;
use accede_domain::id::RequestId;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::body::Key;
use super::error::Result;
use super::respond::{Wire, object};
use super::time;
use crate::auth::SignedIn;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/accede/v1/requests/{id}/waiting", get(read))
}

fn wait_json(wait: &Wait) -> Value {
    json!({
        "owner": wait.owner.name(),
        "untilDateTime": wait.until.map(time::text),
        "then": wait.then.name(),
    })
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    wire: Wire,
) -> Result<Response> {
    let found = app.request_waiting(&caller, id).await?;
    let deliveries: Vec<Value> = found
        .deliveries
        .iter()
        .map(|(id, wait)| json!({ "deliveryId": id, "waitsFor": wait_json(wait) }))
        .collect();
    let shown = json!({
        "requestId": id,
        "waitsFor": found.request.as_ref().map(wait_json),
        "deliveries": deliveries,
    });
    Ok(wire.plain(StatusCode::OK, object(shown)))
}
