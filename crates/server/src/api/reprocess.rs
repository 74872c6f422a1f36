//! `/accede/v1/reprocessPlans` and `/accede/v1/reprocessJobs`: see first, then run, then watch.

use std::convert::Infallible;
use std::time::Duration;

use accede_app::reprocess::{JobState, JobView, PlanView, Selection};
use accede_app::{App, Caller};
use accede_domain::filter::Filter;
use accede_domain::id::{JobId, PlanId, RequestId};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Map, Value, json};

use super::body::{Body, Key, NoBody};
use super::error::{ApiError, Result};
use super::query::Query;
use super::respond::{Wire, object};
use super::time;
use crate::auth::SignedIn;

/// How often a job's progress is looked at for its watchers.
const WATCH: Duration = Duration::from_millis(500);
/// Jobs listed at once.
const MAX_JOBS: usize = 50;
/// Items on a page.
const MAX_ITEMS: usize = 999;

/// The routes of these nouns.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/accede/v1/reprocessPlans", post(plan))
        .route("/accede/v1/reprocessPlans/{id}", get(read_plan))
        .route("/accede/v1/reprocessPlans/{id}/items", get(plan_items))
        .route("/accede/v1/reprocessPlans/{id}/run", post(run))
        .route("/accede/v1/reprocessJobs", get(jobs))
        .route("/accede/v1/reprocessJobs/{id}", get(job))
        .route("/accede/v1/reprocessJobs/{id}/items", get(job_items))
        .route("/accede/v1/reprocessJobs/{id}/events", get(events))
        .route("/accede/v1/reprocessJobs/{id}/cancel", post(cancel))
}

fn plan_json(view: &PlanView) -> Map<String, Value> {
    let plan = &view.plan;
    object(json!({
        "id": plan.id,
        "createdBy": plan.created_by,
        "createdDateTime": time::text(plan.created_at),
        "expirationDateTime": time::text(view.expires),
        "digest": plan.digest,
        "total": plan.eligible + plan.skipped,
        "eligible": plan.eligible,
        "skipped": plan.skipped,
        "targets": view.summary.targets,
        "skippedByReason": view.summary.skipped,
        "estimatedDurationInSeconds": view.summary.estimated_seconds,
        "jobId": plan.job,
        "needsSecondPerson": view.needs_second_person,
    }))
}

/// A job as its readers see it.
pub fn job_json(view: &JobView) -> Map<String, Value> {
    let (job, progress) = (&view.job, &view.progress);
    // Somebody who polls for the end must not take the last turn for the last delivery.
    let state = match (job.state, view.is_over()) {
        (JobState::Completed, false) => "delivering",
        (state, _) => state.name(),
    };
    object(json!({
        "id": job.id,
        "planId": job.plan,
        "state": state,
        "createdBy": job.created_by,
        "createdDateTime": time::text(job.created_at),
        "finishedDateTime": job.finished_at.filter(|_| view.is_over()).map(time::text),
        "isOver": view.is_over(),
        "total": progress.total,
        "pending": progress.pending,
        "accepted": progress.accepted,
        "refused": progress.refused,
        "canceled": progress.canceled,
        "requests": {
            "delivering": progress.delivering,
            "delivered": progress.delivered,
            "partiallyDelivered": progress.partially_delivered,
            "deliveryFailed": progress.delivery_failed,
            "other": progress.other,
        },
    }))
}

/// `400` about the body's `filter`, which is read as a query's `$filter` is.
fn wrong_filter(sentence: &str) -> ApiError {
    ApiError::invalid_filter(format!("`filter`: {sentence}")).about("filter")
}

/// Reads what to reprocess: `ids`, or a `filter` in Graph's property paths, or a `causeId`, or a
/// `target` by name; several narrow each other.
async fn selection(app: &App, caller: &Caller, mut body: super::body::Object) -> Result<Selection> {
    let ids: Option<Vec<String>> = body.take("ids")?;
    let ids = match ids {
        None => None,
        Some(list) if list.is_empty() => {
            return Err(body.wrong("ids", "is empty; name at least one request"));
        }
        Some(list) => {
            let mut ids: Vec<RequestId> = Vec::with_capacity(list.len());
            for (n, text) in list.iter().enumerate() {
                let id = text.parse().map_err(|error| {
                    let path = format!("ids[{n}]");
                    ApiError::invalid_model(&path, format!("`{path}`: {error}"))
                })?;
                ids.push(id);
            }
            Some(ids)
        }
    };
    let filter: Option<String> = body.take("filter")?;
    let filter = match filter {
        None => None,
        Some(text) => {
            let parsed = Filter::parse(&text);
            Some(parsed.map_err(|error| wrong_filter(&error.to_string()))?)
        }
    };
    if body.has("causeId") && body.has("cause") {
        return Err(body.wrong("cause", "is another name of `causeId`; give one of them"));
    }
    let cause = match body.take_id("causeId")? {
        None => body.take_id("cause")?,
        named => named,
    };
    let target = match body.take::<String>("target")? {
        None => None,
        Some(name) => Some(app.target_id_named(caller, &name).await?),
    };
    body.finish(&[])?;
    Ok(Selection { ids, filter, cause, target, text: None })
}

async fn plan(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    Body(body): Body,
) -> Result<Response> {
    caller.may_somewhere(accede_domain::permission::Action::Reprocess)?;
    let selection = selection(&app, &caller, body).await?;
    let view = app.plan_reprocess(&caller, &selection).await.map_err(|error| match error {
        accede_app::Error::Invalid { path, sentence } if path == "$filter" => {
            wrong_filter(&sentence)
        }
        other => other.into(),
    })?;
    let path = format!("accede/v1/reprocessPlans/{}", view.plan.id);
    Ok(wire.created_at(&path, plan_json(&view)))
}

async fn read_plan(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PlanId>,
    wire: Wire,
) -> Result<Response> {
    let view = app.get_plan(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, plan_json(&view)))
}

/// Where a page of items begins, and how many are on it.
fn place(query: &Query) -> Result<(i64, usize)> {
    let after = match &query.skiptoken {
        None => 0,
        Some(mark) => mark.parse().map_err(|_| {
            ApiError::bad_request("$skiptoken", "the page mark is damaged; start again")
        })?,
    };
    Ok((after, query.top.unwrap_or(100).clamp(1, MAX_ITEMS)))
}

/// A page cut from one item more than was asked for.
fn cut(
    mut items: Vec<Map<String, Value>>,
    top: usize,
    position: impl Fn(&Map<String, Value>) -> Option<i64>,
) -> accede_app::Page<Map<String, Value>> {
    let more = top < items.len();
    items.truncate(top);
    let next = items.last().filter(|_| more).and_then(position);
    accede_app::Page { items, next: next.map(|at| at.to_string()), count: None }
}

fn position(item: &Map<String, Value>) -> Option<i64> {
    item.get("position").and_then(Value::as_i64)
}

async fn plan_items(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PlanId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (after, top) = place(&query)?;
    let found = app.plan_items(&caller, id, after, top + 1).await?;
    let items = found.iter().map(|item| {
        object(json!({
            "position": item.position,
            "requestId": item.request,
            "isEligible": item.skip.is_none(),
            "code": item.skip.as_ref().map(|(code, _)| code),
            "reason": item.skip.as_ref().map(|(_, text)| text),
        }))
    });
    Ok(wire.list(&query, cut(items.collect(), top, position)))
}

async fn run(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PlanId>,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    // Whose plan it is not is told that first, whatever they send.
    app.get_plan(&caller, id).await?;
    let digest: String = body.require("digest")?;
    body.finish(&[])?;
    let view = app.run_plan(&caller, id, &digest).await?;
    let mut response = wire.plain(StatusCode::ACCEPTED, job_json(&view));
    let address = wire.address(&format!("accede/v1/reprocessJobs/{}", view.job.id));
    if let Ok(address) = address.parse() {
        response.headers_mut().insert(axum::http::header::LOCATION, address);
    }
    Ok(response)
}

async fn jobs(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let found = app.list_jobs(&caller, MAX_JOBS).await?;
    let items = found.iter().map(job_json).collect();
    Ok(wire.list(&query, accede_app::Page { items, next: None, count: None }))
}

async fn job(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<JobId>,
    wire: Wire,
) -> Result<Response> {
    let view = app.get_job(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, job_json(&view)))
}

async fn job_items(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<JobId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let (after, top) = place(&query)?;
    let found = app.job_items(&caller, id, after, top + 1).await?;
    let items = found.iter().map(|item| {
        object(json!({
            "position": item.position,
            "requestId": item.request,
            "displayName": item.beneficiary,
            "state": item.state,
            "code": item.refusal.as_ref().map(|(code, _)| code),
            "reason": item.refusal.as_ref().map(|(_, text)| text),
            "doneDateTime": item.done_at.map(time::text),
            "requestState": item.request_state,
        }))
    });
    Ok(wire.list(&query, cut(items.collect(), top, position)))
}

async fn cancel(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<JobId>,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let view = app.cancel_job(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, job_json(&view)))
}

/// What a watcher has seen so far.
struct Watch {
    app: App,
    caller: Caller,
    id: JobId,
    last: Option<JobView>,
    over: bool,
}

/// A job's progress as server-sent events: `progress` whenever it changes, `done` at its end.
async fn events(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<JobId>,
) -> Result<Response> {
    app.get_job(&caller, id).await?;
    let watch = Watch { app, caller, id, last: None, over: false };
    Ok(Sse::new(stream::unfold(watch, next)).keep_alive(KeepAlive::default()).into_response())
}

async fn next(mut watch: Watch) -> Option<(std::result::Result<Event, Infallible>, Watch)> {
    if watch.over {
        return None;
    }
    loop {
        let view = watch.app.get_job(&watch.caller, watch.id).await.ok()?;
        let over = view.is_over();
        if over || watch.last.as_ref() != Some(&view) {
            let name = if over { "done" } else { "progress" };
            let data = Value::Object(job_json(&view)).to_string();
            watch.over = over;
            watch.last = Some(view);
            return Some((Ok(Event::default().event(name).data(data)), watch));
        }
        tokio::time::sleep(WATCH).await;
    }
}
