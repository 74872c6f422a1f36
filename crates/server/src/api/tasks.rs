//! `/accede/v1/tasks`: what people are to give and take by hand.

use accede_app::App;
use accede_app::tasks::{Completion, Handover, TaskView, WhoseTasks};
use accede_domain::id::{DeliveryId, TaskId};
use accede_domain::task::Outcome;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::body::{Body, Key, Object};
use super::error::{ApiError, Result};
use super::query::Query;
use super::repeat::{IfMatch, etag};
use super::respond::{Wire, object};
use super::time;
use crate::auth::SignedIn;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/accede/v1/tasks", get(list))
        .route("/accede/v1/tasks/{id}", get(read))
        .route("/accede/v1/tasks/{id}/complete", post(complete))
        .route("/accede/v1/tasks/{id}/reassign", post(reassign))
        .route("/accede/v1/deliveries/{id}/tasks", get(of_delivery))
}

/// A task as its readers see it.
pub fn task_json(view: &TaskView) -> Map<String, Value> {
    let (named, task) = (&view.named, &view.named.task);
    object(json!({
        "@odata.etag": etag(task.version),
        "id": task.id,
        "deliveryId": task.delivery,
        "generation": task.generation,
        "action": if task.is_grant { "grant" } else { "revoke" },
        "state": task.state.name(),
        "isOverdue": view.is_overdue,
        "assignee": {
            "id": task.assignee,
            "kind": if task.is_group { "group" } else { "user" },
            "displayName": named.assignee_name,
        },
        "person": named.person.as_ref().map(|(id, name, principal)| json!({
            "id": id, "displayName": name, "userPrincipalName": principal,
        })),
        "target": {
            "id": named.target,
            "name": named.target_name,
            "displayName": named.target_display_name,
        },
        "resource": { "originId": named.resource, "displayName": named.resource_name },
        "role": { "originId": named.role, "displayName": named.role_name },
        "instructions": task.instructions,
        "createdBy": task.created_by,
        "createdDateTime": time::text(task.created_at),
        "dueDateTime": time::text(task.due_at),
        "closedBy": task.closed_by,
        "closedDateTime": task.closed_at.map(time::text),
        "note": task.note,
        "mayComplete": view.may_complete,
        "mayReassign": view.may_reassign,
    }))
}

/// The caller's own tasks, or with `whose=all` those that they may see.
async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let whose = match query.other("whose") {
        None | Some("mine") => WhoseTasks::Mine,
        Some("all") => WhoseTasks::All,
        Some(_) => return Err(ApiError::bad_request("whose", "`whose` is `mine` or `all`")),
    };
    let found = app.list_tasks(&caller, whose, &query.listing()).await?;
    Ok(wire.list(&query, found.map(|view| task_json(&view))))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<TaskId>,
    wire: Wire,
) -> Result<Response> {
    Ok(wire.plain(StatusCode::OK, task_json(&app.get_task(&caller, id).await?)))
}

async fn of_delivery(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<DeliveryId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let found = app.tasks_of_delivery(&caller, id).await?;
    let items: Vec<_> = found.iter().map(task_json).collect();
    let count = i64::try_from(items.len()).ok().filter(|_| query.count);
    Ok(wire.list(&query, accede_app::Page { items, next: None, count }))
}

/// Closes a task with what its assignee says of it. `200` with the task as it stands now.
async fn complete(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<TaskId>,
    IfMatch(expected): IfMatch,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    // To whom the task is nothing is told that first, whatever they send.
    app.get_task(&caller, id).await?;
    let name: String = body.require("outcome")?;
    let outcome =
        Outcome::parse(&name).ok_or_else(|| body.wrong("outcome", "is `done` or `couldNot`"))?;
    let note = body.take("note")?;
    body.finish(&[])?;
    let completion = Completion { outcome, note, expected };
    let view = app.complete_task(&caller, id, &completion).await?;
    Ok(wire.plain(StatusCode::OK, task_json(&view)))
}

/// To whom something goes, as a body says it. `note` is where the body says why.
pub fn handover(body: &mut Object, note: &str) -> Result<Handover> {
    let assignee: String = body.require("assignee")?;
    let due: Option<String> = body.take("dueDateTime")?;
    let due = due.map(|text| time::instant("dueDateTime", &text)).transpose()?;
    Ok(Handover { assignee, due, note: body.take(note)? })
}

async fn reassign(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<TaskId>,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    app.get_task(&caller, id).await?;
    let to = handover(&mut body, "note")?;
    body.finish(&[])?;
    let view = app.reassign_task(&caller, id, &to).await?;
    Ok(wire.plain(StatusCode::OK, task_json(&view)))
}
