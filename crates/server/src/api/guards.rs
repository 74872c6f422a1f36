//! `/accede/v1/guards`: changes so large that a second person must see them first.

use accede_app::App;
use accede_app::guards::{GuardView, Ruling};
use accede_domain::id::GuardId;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::body::{Key, MaybeBody};
use super::error::Result;
use super::query::Query;
use super::repeat::{IfMatch, etag};
use super::respond::{Wire, object};
use super::time;
use crate::auth::SignedIn;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/accede/v1/guards", get(list))
        .route("/accede/v1/guards/{id}", get(read))
        .route("/accede/v1/guards/{id}/release", post(release))
        .route("/accede/v1/guards/{id}/reject", post(reject))
}

fn guard_json(view: &GuardView) -> Map<String, Value> {
    let guard = &view.guard;
    let package = guard.package.zip(guard.package_named.as_ref());
    object(json!({
        "@odata.etag": etag(guard.version),
        "id": guard.id,
        "cause": guard.cause.name(),
        "state": guard.state.name(),
        "createdDateTime": time::text(guard.created_at),
        "causedBy": view.causers,
        "accessPackage": package.map(|(id, (catalog, name))| json!({
            "id": id, "displayName": name, "catalogId": catalog,
        })),
        "roles": view.roles.iter().map(|role| json!({
            "change": if role.is_added { "added" } else { "removed" },
            "displayName": role.role,
            "resource": role.resource,
        })).collect::<Vec<_>>(),
        "people": view.leaving.as_ref().map(|leaving| json!({
            "total": leaving.total,
            "disabled": leaving.done,
            "userPrincipalNames": leaving.names,
        })),
        "targets": view.targets.iter().map(|(one, name)| json!({
            "id": one.target,
            "displayName": name,
            "grants": one.changes.grants,
            "revocations": one.changes.revocations,
            "held": one.live,
        })).collect::<Vec<_>>(),
        "decidedBy": guard.decided_by,
        "decidedDateTime": guard.decided_at.map(time::text),
        "justification": guard.justification,
        "mayDecide": view.may_decide,
    }))
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items: Vec<_> = app.list_guards(&caller).await?.iter().map(guard_json).collect();
    let count = i64::try_from(items.len()).ok().filter(|_| query.count);
    Ok(wire.list(&query, accede_app::Page { items, next: None, count }))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GuardId>,
    wire: Wire,
) -> Result<Response> {
    let view = app.get_guard(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, guard_json(&view)))
}

/// What a second person says in a body, which may be missing.
fn ruling(expected: Option<i64>, MaybeBody(body): MaybeBody) -> Result<Ruling> {
    let Some(mut body) = body else { return Ok(Ruling { expected, justification: None }) };
    let justification = body.take("justification")?;
    body.finish(&[])?;
    Ok(Ruling { expected, justification })
}

async fn release(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GuardId>,
    IfMatch(expected): IfMatch,
    wire: Wire,
    body: MaybeBody,
) -> Result<Response> {
    let view = app.release_guard(&caller, id, &ruling(expected, body)?).await?;
    Ok(wire.plain(StatusCode::OK, guard_json(&view)))
}

async fn reject(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<GuardId>,
    IfMatch(expected): IfMatch,
    wire: Wire,
    body: MaybeBody,
) -> Result<Response> {
    let view = app.reject_guard(&caller, id, &ruling(expected, body)?).await?;
    Ok(wire.plain(StatusCode::OK, guard_json(&view)))
}
