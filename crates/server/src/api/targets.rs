//! `/accede/v1/targets`: the target systems, their health and their backlog. Described for people in
//! `docs/api/targets.md`.

use std::collections::BTreeMap;

use accede_app::targets::{MAX_DISCOVERED, NewTarget, TargetChange, TargetView};
use accede_app::text::{MAX_DESCRIPTION, MAX_NAME};
use accede_app::{App, Caller, Page};
use accede_domain::circuit::State as Circuit;
use accede_domain::id::TargetId;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::body::{Body, Change, NoBody, Object};
use super::error::Result;
use super::query::Query;
use super::repeat::{Create, IfMatch, etag};
use super::respond::Wire;
use super::users::searched;
use super::{short, time};
use crate::auth::SignedIn;

const BASE: &str = "/accede/v1/targets";
/// What `$search` looks into.
const SEARCHED: &[&str] = &["displayName", "name"];
/// Resources that a look into a target answers, if nothing is said.
const DEFAULT_DISCOVERED: usize = 50;

/// The routes of this noun. `{id}` is a target's id or its name.
pub fn routes() -> Router<App> {
    let at = |tail: &str| format!("{BASE}{tail}");
    Router::new()
        .route(BASE, get(list).post(create))
        .route(&at("/{id}"), get(read).patch(change).delete(remove))
        .route(&at("/{id}/check"), post(check))
        .route(&at("/{id}/compare"), post(compare))
        .route(&at("/{id}/discover"), get(discover))
        .route(&at("/{id}/pause"), post(pause))
        .route(&at("/{id}/resume"), post(resume))
}

fn check_json(view: &TargetView) -> Option<Map<String, Value>> {
    let checked = view.checked.as_ref()?;
    let mut object = Map::new();
    object.insert("ok".to_owned(), json!(checked.ok));
    object.insert("message".to_owned(), json!(checked.result));
    object.insert("checkedDateTime".to_owned(), json!(time::text(checked.at)));
    Some(object)
}

fn json(view: &TargetView) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("@odata.etag".to_owned(), json!(etag(view.version)));
    object.insert("id".to_owned(), json!(view.id));
    object.insert("name".to_owned(), json!(view.name));
    object.insert("displayName".to_owned(), json!(view.display_name));
    object.insert("description".to_owned(), json!(view.description));
    object.insert("kind".to_owned(), json!(view.kind));
    if let Some(settings) = &view.settings {
        object.insert("settings".to_owned(), settings.clone());
    }
    if let Some(secrets) = &view.secrets {
        let secrets: Map<String, Value> =
            secrets.iter().map(|name| (name.clone(), json!({ "isSet": true }))).collect();
        object.insert("secrets".to_owned(), json!(secrets));
    }
    object.insert("catalogOwnersMayAdd".to_owned(), json!(view.catalog_owners_may_add));
    object.insert("isBuiltIn".to_owned(), json!(view.is_built_in));
    object.insert("isPaused".to_owned(), json!(view.is_paused));
    object.insert("check".to_owned(), json!(check_json(view)));
    object.insert("health".to_owned(), health_json(view));
    object.insert(
        "backlog".to_owned(),
        json!({
            "due": view.backlog.due,
            "inFlight": view.backlog.in_flight,
            "failed": view.backlog.failed,
            "stuck": view.backlog.stuck,
            "oldestDateTime": view.backlog.oldest.map(time::text),
        }),
    );
    object.insert(
        "drain".to_owned(),
        json!(view.drain.map(|drain| json!({
            "deliveriesPerHour": drain.per_hour,
            "estimatedSeconds": drain.lasts.as_secs(),
        }))),
    );
    object.insert("drift".to_owned(), drift_json(view));
    object.insert("createdDateTime".to_owned(), json!(time::text(view.created_at)));
    object.insert("modifiedDateTime".to_owned(), json!(time::text(view.modified_at)));
    object
}

/// How it and what is wanted there differ.
fn drift_json(view: &TargetView) -> Value {
    let drift = &view.drift;
    let open: Map<String, Value> =
        drift.open.iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
    json!({
        "comparedDateTime": drift.compared_at.map(time::text),
        "isComparing": drift.is_comparing,
        "openFindings": open,
        "rolesUnread": drift.roles_unread,
        "problem": drift.problem,
    })
}

/// Whether it is called, and why not.
fn health_json(view: &TargetView) -> Value {
    let circuit = &view.circuit.circuit;
    let (state, since, check_at, reason) = match circuit.state {
        Circuit::Closed => ("healthy", None, None, None),
        Circuit::Open { since, check_at, reason, .. } => {
            ("resting", Some(since), Some(check_at), Some(reason))
        }
        Circuit::Trial { since, reason, .. } => ("onTrial", Some(since), None, Some(reason)),
    };
    let fault = view.circuit.fault.as_ref();
    json!({
        "state": state,
        "isOutOfOrder": view.is_out_of_order,
        "reason": reason.map(|reason| reason.name()),
        "code": fault.map(|fault| &fault.code),
        "message": fault.map(|fault| &fault.message),
        "sinceDateTime": since.map(time::text),
        "nextCheckDateTime": check_at.map(time::text),
        "quietUntilDateTime": circuit.quiet_until.map(time::text),
    })
}

/// The target that the path names, by id or by name.
async fn named(app: &App, caller: &Caller, text: &str) -> Result<TargetId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    Ok(app.target_named(caller, text).await?.id)
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.targets(&caller, &searched(&query, SEARCHED)?).await?;
    Ok(wire.list(&query, page.map(|view| json(&view))))
}

async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    create: Create,
) -> Result<Response> {
    let mut body = create.body;
    let new = NewTarget {
        name: body.require_text("name", MAX_NAME)?,
        display_name: body.take_text("displayName", MAX_NAME)?,
        description: body.take_text("description", MAX_DESCRIPTION)?,
        kind: body.require_text("kind", MAX_NAME)?,
        settings: members(&mut body, "settings")?,
        secrets: secrets(&mut body)?
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect(),
        catalog_owners_may_add: body.take("catalogOwnersMayAdd")?.unwrap_or(false),
    };
    body.finish(&[])?;
    let view = app.create_target(&caller, &new, Some(&create.repeat)).await?;
    Ok(wire.created_at(&format!("{BASE}/{}", view.id), json(&view)))
}

/// A JSON object as it is; its members are the connector's.
fn members(body: &mut Object, name: &str) -> Result<Map<String, Value>> {
    match body.take_value(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => Err(body.wrong(name, "must be a JSON object")),
    }
}

/// Secrets by name; null takes one away. What a read answers, `{"isSet": true}`, changes nothing.
fn secrets(body: &mut Object) -> Result<BTreeMap<String, Option<String>>> {
    let mut secrets = BTreeMap::new();
    for (name, value) in members(body, "secrets")? {
        match value {
            Value::Null => {
                secrets.insert(name, None);
            }
            Value::String(text) => {
                secrets.insert(name, Some(text));
            }
            Value::Object(answered)
                if answered.len() == 1 && answered.get("isSet") == Some(&Value::Bool(true)) => {}
            _ => {
                let what = "must be text, null to take it away, or {\"isSet\": true} to leave it";
                return Err(body.wrong(&format!("secrets.{name}"), what));
            }
        }
    }
    Ok(secrets)
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    wire: Wire,
) -> Result<Response> {
    let id = named(&app, &caller, &id).await?;
    let view = app.target(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, json(&view)))
}

async fn change(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    let id = named(&app, &caller, &id).await?;
    if body.has("name") || body.has("kind") {
        let known = app.target(&caller, id).await?;
        for (name, known) in [("name", &known.name), ("kind", &known.kind)] {
            let sent: Option<String> = body.take(name)?;
            if sent.is_some_and(|sent| sent != *known) {
                let what = format!("cannot be changed; it is `{known}`. Connect a new target");
                return Err(body.wrong(name, what));
            }
        }
    }
    let change = TargetChange {
        display_name: body.set("displayName")?,
        description: match body.change_text("description", MAX_DESCRIPTION)? {
            Change::Keep => None,
            Change::Clear => Some(None),
            Change::Set(text) => Some(Some(text)),
        },
        settings: members(&mut body, "settings")?,
        secrets: secrets(&mut body)?,
        catalog_owners_may_add: body.set("catalogOwnersMayAdd")?,
        expected,
    };
    body.finish(&["isBuiltIn", "isPaused", "check", "health", "backlog", "drain", "drift"])?;
    let view = app.change_target(&caller, id, &change).await?;
    Ok(wire.plain(StatusCode::OK, json(&view)))
}

async fn remove(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<Response> {
    let id = named(&app, &caller, &id).await?;
    app.delete_target(&caller, id, expected).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Asks the target whether it can be reached. That it cannot is an answer, not an error.
async fn check(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let id = named(&app, &caller, &id).await?;
    let view = app.check_target(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, check_json(&view).unwrap_or_default()))
}

/// Has the target compared with what is wanted there. `202`: the worker does that at its pace; the
/// target says when it was last compared.
async fn compare(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let id = named(&app, &caller, &id).await?;
    app.compare_target(&caller, id).await?;
    let view = app.target(&caller, id).await?;
    Ok(wire.plain(StatusCode::ACCEPTED, json(&view)))
}

async fn discover(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let id = named(&app, &caller, &id).await?;
    let search = query.search.as_deref().or_else(|| query.other("search"));
    let limit = query.top.unwrap_or(DEFAULT_DISCOVERED);
    let found = app.discover(&caller, id, search, limit).await?;
    let items: Vec<Map<String, Value>> = found
        .iter()
        .map(|resource| {
            let roles: Vec<Value> = resource
                .roles
                .iter()
                .map(|role| json!({ "originId": role.origin_id, "displayName": role.display_name }))
                .collect();
            let mut object = Map::new();
            object.insert("originId".to_owned(), json!(resource.origin_id));
            object.insert("displayName".to_owned(), json!(resource.display_name));
            object.insert("description".to_owned(), json!(resource.description));
            object.insert("roles".to_owned(), json!(roles));
            object
        })
        .collect();
    let mut whole = query;
    (whole.top, whole.skip, whole.skiptoken) = (Some(MAX_DISCOVERED), 0, None);
    let Page { items, count, .. } = short::page(&whole, items)?;
    Ok(wire.list(&whole, Page { items, next: None, count }))
}

async fn pause(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let id = named(&app, &caller, &id).await?;
    let view = app.pause_target(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, json(&view)))
}

async fn resume(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let id = named(&app, &caller, &id).await?;
    let view = app.resume_target(&caller, id).await?;
    Ok(wire.plain(StatusCode::OK, json(&view)))
}
