//! `POST /accede/v1/users/import`: users from a CSV file.

use accede_app::App;
use accede_app::user_import::{MAX_BYTES, OnBadLine, Report};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::post;
use serde_json::{Map, Value, json};

use super::body;
use super::error::{ApiError, Result};
use super::query::Query;
use super::respond::Wire;
use crate::auth::SignedIn;

/// The route of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/accede/v1/users/import", post(import))
}

async fn import(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
    request: Request,
) -> Result<Response> {
    let on_bad_line = match query.other("skipBadLines").map(str::to_ascii_lowercase).as_deref() {
        None | Some("false") => OnBadLine::Refuse,
        Some("true") => OnBadLine::LeaveOut,
        Some(_) => {
            let message = "`skipBadLines` is true or false";
            return Err(ApiError::bad_request("skipBadLines", message));
        }
    };
    let (parts, stream) = request.into_parts();
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("text/csv") {
        let message = "send the file as text/csv";
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        ));
    }
    // Before the file is read: it may be large.
    caller.may_everywhere(accede_domain::permission::Action::ManageDirectory)?;
    let file = body::read(&parts.headers, stream, MAX_BYTES).await?;
    let report = app.import_users(&caller, &file, on_bad_line).await?;
    Ok(wire.plain(StatusCode::OK, json(&report)))
}

fn json(report: &Report) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("created".to_owned(), json!(report.created));
    object.insert("changed".to_owned(), json!(report.changed));
    object.insert("unchanged".to_owned(), json!(report.unchanged));
    object.insert("bad".to_owned(), json!(report.bad));
    object.insert("isRefused".to_owned(), json!(report.refused));
    object.insert("badLines".to_owned(), json!(report.bad_lines));
    object.insert("held".to_owned(), json!(report.held));
    object.insert("guardId".to_owned(), json!(report.guard));
    object
}
