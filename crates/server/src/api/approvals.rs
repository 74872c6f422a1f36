//! `/v1.0/identityGovernance/entitlementManagement/accessPackageAssignmentApprovals`.
//!
//! An approval's id is its request's. The caller is judged as approver, not by role.

use accede_app::approvals::{ApprovalView, Part, StageView};
use accede_app::{App, Caller};
use accede_domain::approval::Decision;
use accede_domain::id::{RequestId, StageId};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::{Body, Key, Keys};
use super::error::{ApiError, Result};
use super::names::Parameters;
use super::query::{Query, Shape};
use super::respond::Wire;
use super::time;
use crate::auth::SignedIn;

const SET: &str = "identityGovernance/entitlementManagement/accessPackageAssignmentApprovals";

static SHAPE: Shape =
    Shape { name: "approval", properties: &["id", "stages"], navigations: &["stages"] };

/// The routes of this noun.
pub fn routes() -> Router<App> {
    const BASE: &str =
        "/v1.0/identityGovernance/entitlementManagement/accessPackageAssignmentApprovals";
    let at = |tail: &str| format!("{BASE}{tail}");
    Router::new()
        .route(BASE, get(list))
        .route(&at("/filterByCurrentUser"), get(mine))
        .route(&at("/{id}"), get(read))
        .route(&at("/{id}/stages"), get(stages))
        .route(&at("/{id}/stages/{stage}"), get(read_stage).patch(decide))
}

fn json(view: &ApprovalView) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(view.request));
    object.insert("stages".to_owned(), view.stages.iter().map(stage).map(Value::Object).collect());
    object
}

fn stage(view: &StageView) -> Map<String, Value> {
    let row = &view.row;
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(row.id));
    object.insert("displayName".to_owned(), Value::Null);
    object.insert("assignedToMe".to_owned(), json!(view.assigned_to_me));
    object.insert("status".to_owned(), json!(row.stage.status.name()));
    object.insert("reviewResult".to_owned(), json!(row.stage.result.name()));
    object.insert("justification".to_owned(), json!(row.justification.as_deref().unwrap_or("")));
    let reviewer = row.reviewed_by.map_or(Uuid::nil(), |user| user.0);
    let name = view.reviewer.as_deref().unwrap_or("");
    object.insert("reviewedBy".to_owned(), json!({ "id": reviewer, "displayName": name }));
    object.insert("reviewedDateTime".to_owned(), json!(row.reviewed_at.map(time::text)));
    object
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    listed(&app, &caller, &wire, &query, Part::Asked).await
}

async fn listed(
    app: &App,
    caller: &Caller,
    wire: &Wire,
    query: &Query,
    part: Part,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let page = app.list_approvals(caller, part, &query.listing()).await?;
    Ok(wire.collection(SET, query, page.map(|view| json(&view))))
}

async fn mine(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Extension(parameters): Extension<Parameters>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let on = parameters.require("on")?.to_ascii_lowercase();
    let part = match on.as_str() {
        "approver" => Part::Awaited,
        "target" => Part::About,
        "createdby" => Part::By,
        _ => {
            let message = format!("`on` is never `{on}`; it is approver, target or createdBy");
            return Err(ApiError::bad_request("on", message));
        }
    };
    listed(&app, &caller, &wire, &query, part).await
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    caller.require_user()?;
    let view = app.get_approval(&caller, id).await?;
    Ok(wire.entity(SET, &query, json(&view)))
}

async fn stages(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    caller.require_user()?;
    let view = app.get_approval(&caller, id).await?;
    let items = view.stages.iter().map(stage).collect::<Vec<_>>();
    let count = i64::try_from(items.len()).ok().filter(|_| query.count);
    let set = format!("{SET}('{id}')/stages");
    Ok(wire.collection(&set, &query, accede_app::Page { items, next: None, count }))
}

async fn read_stage(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, stage_id): Keys<RequestId, StageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    caller.require_user()?;
    let view = app.get_approval(&caller, id).await?;
    let found = view.stages.iter().find(|stage| stage.row.id == stage_id);
    let found = found
        .ok_or_else(|| ApiError::not_found(format!("there is no approval stage `{stage_id}`")))?;
    let set = format!("{SET}('{id}')/stages");
    Ok(wire.entity(&set, &query, stage(found)))
}

/// Decides a stage: `Approve` or `Deny` in, `Approved` or `Denied` out.
async fn decide(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, stage): Keys<RequestId, StageId>,
    Body(mut body): Body,
) -> Result<StatusCode> {
    // To whom the approval is nothing is told that first, whatever they send.
    app.get_approval(&caller, id).await?;
    body.take_type(&["approvalStage"])?;
    let result: String = body.require("reviewResult")?;
    let decision = Decision::parse(&result)
        .ok_or_else(|| body.wrong("reviewResult", "is `Approve` or `Deny`"))?;
    let justification: Option<String> = body.take("justification")?;
    body.finish(&["displayName", "assignedToMe", "status", "reviewedBy", "reviewedDateTime"])?;
    app.decide(&caller, id, stage, decision, justification.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}
