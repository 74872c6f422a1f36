//! `/accede/v1/deliveries/{id}/resolve`: a delivery that a person settles by hand.

use accede_app::App;
use accede_domain::id::DeliveryId;
use accede_domain::permission::Action;
use accede_domain::resolution::Resolution;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;

use super::body::{Body, Key};
use super::error::Result;
use super::failures::delivery_json;
use super::respond::Wire;
use super::tasks::{handover, task_json};
use crate::auth::SignedIn;

/// Besides what `resolution` knows: a person gets a task for it.
const HAND_TO_PERSON: &str = "handToPerson";

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/accede/v1/deliveries/{id}/resolve", post(resolve))
}

/// Settles it, or says why it is not settled. `200` with the delivery as it stands now.
async fn resolve(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<DeliveryId>,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    // To whom the delivery is nothing is told that first, whatever they send.
    app.may_with_delivery(&caller, id, Action::Reprocess).await?;
    let name: String = body.require("resolution")?;
    if name == HAND_TO_PERSON {
        let to = handover(&mut body, "justification")?;
        body.finish(&[])?;
        let task = app.hand_to_person(&caller, id, &to).await?;
        let named = app.may_with_delivery(&caller, id, Action::Reprocess).await?;
        let mut answer = delivery_json(&named);
        answer.insert("changed".to_owned(), json!(true));
        answer.insert("task".to_owned(), task_json(&task).into());
        return Ok(wire.plain(StatusCode::OK, answer));
    }
    let resolution = Resolution::parse(&name)
        .ok_or_else(|| body.wrong("resolution", "is `doneOutside`, `giveUp` or `handToPerson`"))?;
    let justification: String = body.require("justification")?;
    body.finish(&[])?;
    let resolved = app.resolve_delivery(&caller, id, resolution, &justification).await?;
    let mut answer = delivery_json(&resolved.named);
    answer.insert("changed".to_owned(), json!(resolved.changed));
    Ok(wire.plain(StatusCode::OK, answer))
}
