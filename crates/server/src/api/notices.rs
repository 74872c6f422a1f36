//! `/accede/v1/notices`: what people were told by mail and by webhook, and whether it arrived.

use accede_app::App;
use accede_app::notices::SentNotice;
use accede_domain::id::NoticeId;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::body::Key;
use super::error::Result;
use super::query::Query;
use super::respond::{Wire, object};
use super::time;
use crate::auth::SignedIn;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/accede/v1/notices", get(list))
        .route("/accede/v1/notices/test", post(test))
        .route("/accede/v1/notices/{id}", get(read))
        .route("/accede/v1/notices/{id}/send", post(send))
}

fn notice_json(notice: SentNotice) -> Map<String, Value> {
    let data: Value = serde_json::from_str(&notice.data).unwrap_or(Value::Null);
    object(json!({
        "id": notice.id,
        "topic": notice.topic.name(),
        "channel": notice.channel.name(),
        "recipient": Some(notice.recipient).filter(|to| !to.is_empty()),
        "title": notice.title,
        "body": notice.body,
        "data": data,
        "state": notice.state.name(),
        "attempts": notice.attempts,
        "createdDateTime": time::text(notice.created_at),
        "nextAttemptDateTime": notice.next_at.map(time::text),
        "sentDateTime": notice.sent_at.map(time::text),
        "error": notice.error,
    }))
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.list_notices(&caller, &query.listing()).await?;
    Ok(wire.list(&query, page.map(notice_json)))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<NoticeId>,
    wire: Wire,
) -> Result<Response> {
    let notice = app.get_notice(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, notice_json(notice)))
}

async fn send(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<NoticeId>,
    wire: Wire,
) -> Result<Response> {
    let notice = app.send_notice_again(&caller, id).await?;
    Ok(wire.plain(StatusCode::ACCEPTED, notice_json(notice)))
}

async fn test(State(app): State<App>, SignedIn(caller): SignedIn, wire: Wire) -> Result<Response> {
    let count = app.test_notices(&caller).await?;
    Ok(wire.plain(StatusCode::ACCEPTED, object(json!({ "recipients": count }))))
}
