//! `/accede/v1/accessPackages/{id}/roleSpread`: how far a change of a package's roles has come.

use accede_app::App;
use accede_domain::id::PackageId;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, json};

use super::body::Key;
use super::error::Result;
use super::respond::Wire;
use crate::auth::SignedIn;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/accede/v1/accessPackages/{id}/roleSpread", get(read))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
) -> Result<Response> {
    let spread = app.role_spread(&caller, id).await?;
    let guard = app.held_change_of(&caller, id).await?;
    let state = match guard {
        Some(_) => "held",
        None if 0 < spread.behind => "spreading",
        None => "complete",
    };
    let mut shown = Map::new();
    shown.insert("accessPackageId".to_owned(), json!(id));
    shown.insert("state".to_owned(), json!(state));
    shown.insert("holders".to_owned(), json!(spread.holders));
    shown.insert("reached".to_owned(), json!(spread.reached()));
    shown.insert("guardId".to_owned(), json!(guard));
    Ok(wire.plain(StatusCode::OK, shown))
}
