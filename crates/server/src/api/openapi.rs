//! `/accede/v1/openapi.json`: our own API, described for programs.
//!
//! One table of operations and one of schemas; a test holds the table against the routes, so that a
//! new endpoint without a description does not pass.

mod schemas;

use accede_app::App;
use accede_app::comparison::MAX_DIFFERENCES;
use accede_app::list::MAX_TOP;
use accede_app::targets::MAX_DISCOVERED;
use axum::Router;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use schemas::{reference, schemas};

use super::query::MAX_SKIP;

/// The route of this document. It says nothing about anybody, so it needs no token.
pub fn routes() -> Router<App> {
    Router::new().route("/accede/v1/openapi.json", get(document))
}

/// One operation of our own API.
pub struct Operation {
    /// The verb, in lower case.
    pub method: &'static str,
    /// The path, parameters in braces.
    pub path: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The schema of its body, if it takes one.
    pub takes: Option<&'static str>,
    /// The status when it succeeds, and the schema of what it answers.
    pub answers: (&'static str, Option<&'static str>),
    /// Query parameters.
    pub query: &'static [&'static str],
    /// Further statuses it may answer beyond those every operation may.
    pub refuses: &'static [&'static str],
}

impl Operation {
    /// The largest `$top` that it takes.
    pub fn most(&self) -> usize {
        match self.answers.1 {
            Some("foundPage") => MAX_DISCOVERED,
            Some("differencePage") => MAX_DIFFERENCES,
            _ => MAX_TOP,
        }
    }
}

/// The operation that a request to a route asks for. `HEAD` asks for what `GET` answers.
pub fn operation(method: &Method, route: &str) -> Option<&'static Operation> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let same =
        |one: &&Operation| one.path == route && one.method.eq_ignore_ascii_case(method.as_str());
    OPERATIONS.iter().find(same)
}

const fn read(
    path: &'static str,
    summary: &'static str,
    schema: &'static str,
    query: &'static [&'static str],
) -> Operation {
    Operation {
        method: "get",
        path,
        summary,
        takes: None,
        answers: ("200", Some(schema)),
        query,
        refuses: &[],
    }
}

const fn act(
    path: &'static str,
    summary: &'static str,
    takes: Option<&'static str>,
    answers: (&'static str, Option<&'static str>),
    refuses: &'static [&'static str],
) -> Operation {
    Operation { method: "post", path, summary, takes, answers, query: &[], refuses }
}

/// Statuses that every operation may answer; `docs/operations.md` says when those from 408 on do.
const COMMON: [&str; 12] =
    ["400", "401", "403", "404", "408", "413", "415", "429", "431", "500", "503", "507"];
const PAGE: &[&str] = &["$top", "$skiptoken"];
/// A list that comes whole.
const WHOLE: &[&str] = &["$count"];
/// A long list, which the database filters and cuts into pages.
const LONG: &[&str] = &["$filter", "$orderby", "$top", "$skip", "$skiptoken", "$count"];

/// Every operation of our own API.
pub static OPERATIONS: &[Operation] = &[
    read(
        "/accede/v1/failures",
        "What is not delivered, by cause, the largest first",
        "failurePage",
        WHOLE,
    ),
    read("/accede/v1/failures/{id}", "One cause of undelivered roles", "failure", &[]),
    act(
        "/accede/v1/failures/{id}/retry",
        "Try everything now that waits for its next try because of one cause",
        None,
        ("202", Some("retried")),
        &[],
    ),
    read(
        "/accede/v1/requests/{id}/deliveries",
        "The roles of a request, one by one: state, cause in words, attempts, next attempt",
        "deliveryPage",
        WHOLE,
    ),
    read("/accede/v1/requests/{id}/history", "The timeline of a request", "historyPage", WHOLE),
    read(
        "/accede/v1/requests/{id}/waiting",
        "Who a request and its roles wait for, until when, and what happens then",
        "waiting",
        &[],
    ),
    read("/accede/v1/deliveries/{id}", "One role for one person in one target", "delivery", &[]),
    read(
        "/accede/v1/deliveries/{id}/attempts",
        "The calls made to the target for a delivery, newest first",
        "attemptPage",
        WHOLE,
    ),
    act(
        "/accede/v1/deliveries/{id}/retry",
        "Try a delivery now that waits for its next try",
        None,
        ("202", Some("retried")),
        &["409"],
    ),
    act(
        "/accede/v1/deliveries/{id}/resolve",
        "Settle a delivery by hand: done in the target, where it is looked up, given up, or handed \
         to a person",
        Some("resolution"),
        ("200", Some("resolved")),
        &["409", "412", "422"],
    ),
    read(
        "/accede/v1/deliveries/{id}/tasks",
        "The tasks that people have or had for a delivery, the newest first",
        "taskPage",
        WHOLE,
    ),
    read(
        "/accede/v1/tasks",
        "Tasks by due date: one's own, or with `whose=all` those of the packages in reach",
        "taskPage",
        &["whose", "$filter", "$orderby", "$top", "$skip", "$skiptoken", "$count"],
    ),
    read("/accede/v1/tasks/{id}", "A task", "task", &[]),
    act(
        "/accede/v1/tasks/{id}/complete",
        "Close a task with what its assignee says of it; settles its delivery by that",
        Some("completion"),
        ("200", Some("task")),
        &["409", "412", "422"],
    ),
    act(
        "/accede/v1/tasks/{id}/reassign",
        "Give an open task to somebody else, by another date if one is given",
        Some("reassignment"),
        ("200", Some("task")),
        &["409", "412"],
    ),
    act(
        "/accede/v1/callbacks/{event}",
        "What a webhook target says later of an event; the bearer token is the event's own",
        Some("callback"),
        ("200", Some("calledBack")),
        &["409", "412"],
    ),
    read(
        "/accede/v1/revocations/stuck",
        "Access that should be gone and is not, oldest first",
        "stuckPage",
        WHOLE,
    ),
    read(
        "/accede/v1/accessPackages/{id}/roleSpread",
        "How many of a package's holders have the last change of its roles",
        "roleSpread",
        &[],
    ),
    read(
        "/accede/v1/deployment",
        "The deployment: whether it is paused because its database is in doubt, and why",
        "deployment",
        &[],
    ),
    act(
        "/accede/v1/deployment/compare",
        "Compare the database of a paused deployment with its targets; they are only read",
        None,
        ("202", Some("deployment")),
        &["409"],
    ),
    act(
        "/accede/v1/deployment/confirm",
        "Say what the database of a paused deployment is, so that it goes on",
        Some("deploymentChoice"),
        ("202", Some("deployment")),
        &["409"],
    ),
    read(
        "/accede/v1/deployment/differences",
        "What the last comparison found to differ, a kind at a time",
        "differencePage",
        &["kind", "$top", "$skiptoken"],
    ),
    act(
        "/accede/v1/deployment/differences/{id}/regrant",
        "Give after all what was held when the deployment went on",
        None,
        ("202", Some("retried")),
        &["409"],
    ),
    read(
        "/accede/v1/guards",
        "Changes that wait for a second person, then those that were decided, the newest first",
        "guardPage",
        WHOLE,
    ),
    read(
        "/accede/v1/guards/{id}",
        "A change that waits or waited for a second person",
        "guard",
        &[],
    ),
    act(
        "/accede/v1/guards/{id}/release",
        "Let a held change go on, as a second person; what is done is planned anew",
        Some("ruling"),
        ("200", Some("guard")),
        &["409", "412"],
    ),
    act(
        "/accede/v1/guards/{id}/reject",
        "Take back what caused a held change, as a second person",
        Some("ruling"),
        ("200", Some("guard")),
        &["409", "412"],
    ),
    read(
        "/accede/v1/notices",
        "What people were told by mail and by webhook, the newest first",
        "noticePage",
        LONG,
    ),
    read("/accede/v1/notices/{id}", "A notice and whether it was taken", "notice", &[]),
    act(
        "/accede/v1/notices/{id}/send",
        "Send a notice again that was given up",
        None,
        ("202", Some("notice")),
        &["409"],
    ),
    act(
        "/accede/v1/notices/test",
        "Send a notice that says nothing to those who run the server, to see whether it arrives",
        None,
        ("202", Some("noticeTest")),
        &["409"],
    ),
    read(
        "/accede/v1/drift",
        "Where targets hold something else than what is wanted there, the newest first",
        "driftFindingPage",
        LONG,
    ),
    read("/accede/v1/drift/{id}", "A finding of drift", "driftFinding", &[]),
    act(
        "/accede/v1/drift/{id}/repair",
        "Give or take again what was left for a person, or take extra access away",
        None,
        ("202", Some("driftFinding")),
        &["409"],
    ),
    act(
        "/accede/v1/drift/{id}/dismiss",
        "Accept a difference, with a reason",
        Some("dismissal"),
        ("200", Some("driftFinding")),
        &["409"],
    ),
    act(
        "/accede/v1/reprocessPlans",
        "Plan what would be tried again; nothing happens yet",
        Some("selection"),
        ("201", Some("plan")),
        &[],
    ),
    read("/accede/v1/reprocessPlans/{id}", "A plan", "plan", &[]),
    read("/accede/v1/reprocessPlans/{id}/items", "The requests of a plan", "planItemPage", PAGE),
    act(
        "/accede/v1/reprocessPlans/{id}/run",
        "Run a plan that was seen; running it twice is running it once",
        Some("run"),
        ("202", Some("job")),
        &["409"],
    ),
    read("/accede/v1/reprocessJobs", "The newest jobs", "jobPage", &[]),
    read("/accede/v1/reprocessJobs/{id}", "A job and how far it has come", "job", &[]),
    read(
        "/accede/v1/reprocessJobs/{id}/items",
        "Each request of a job and its outcome",
        "jobItemPage",
        PAGE,
    ),
    read(
        "/accede/v1/reprocessJobs/{id}/events",
        "A job's progress as server-sent events: `progress` when it changes, `done` at the end",
        "job",
        &[],
    ),
    act(
        "/accede/v1/reprocessJobs/{id}/cancel",
        "Stop a job; what had its turn stands",
        None,
        ("200", Some("job")),
        &["409"],
    ),
    read(
        "/accede/v1/targets",
        "The target systems",
        "targetPage",
        &["$search", "$filter", "$orderby", "$top", "$skip", "$skiptoken", "$count"],
    ),
    act(
        "/accede/v1/targets",
        "Connect a target system",
        Some("newTarget"),
        ("201", Some("target")),
        &["409", "422"],
    ),
    read("/accede/v1/targets/{id}", "A target system", "target", &[]),
    Operation {
        method: "patch",
        path: "/accede/v1/targets/{id}",
        summary: "Change a target system; settings are merged, secrets go in and never come out",
        takes: Some("changedTarget"),
        answers: ("200", Some("target")),
        query: &[],
        refuses: &["409", "412"],
    },
    Operation {
        method: "delete",
        path: "/accede/v1/targets/{id}",
        summary: "Delete a target system that nothing uses",
        takes: None,
        answers: ("204", None),
        query: &[],
        refuses: &["409"],
    },
    act(
        "/accede/v1/targets/{id}/check",
        "Call the target system and say whether it can be reached",
        None,
        ("200", Some("check")),
        &[],
    ),
    act(
        "/accede/v1/targets/{id}/compare",
        "Compare the target system with what is wanted there, from now on at its pace",
        None,
        ("202", Some("target")),
        &["409"],
    ),
    Operation {
        method: "get",
        path: "/accede/v1/targets/{id}/discover",
        summary: "Resources of the target system whose name or id contains `search`",
        takes: None,
        answers: ("200", Some("foundPage")),
        query: &["search", "$top", "$count"],
        refuses: &["422"],
    },
    act(
        "/accede/v1/targets/{id}/pause",
        "Stop calling a target system",
        None,
        ("200", Some("target")),
        &[],
    ),
    act(
        "/accede/v1/targets/{id}/resume",
        "Call a target system again",
        None,
        ("200", Some("target")),
        &[],
    ),
    Operation {
        method: "post",
        path: "/accede/v1/users/import",
        summary: "Add and change the users of a CSV file; nothing is written if a line is wrong, \
                  unless `skipBadLines` is true",
        takes: Some("csv"),
        answers: ("200", Some("importReport")),
        query: &["skipBadLines"],
        refuses: &[],
    },
    Operation {
        method: "get",
        path: "/accede/v1/openapi.json",
        summary: "This document",
        takes: None,
        answers: ("200", None),
        query: &[],
        refuses: &[],
    },
];

async fn document() -> Response {
    axum::Json(description()).into_response()
}

/// The OpenAPI document.
pub fn description() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let item = paths.entry(operation.path.to_owned()).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(operation.method.to_owned(), describe(operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Accede",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What Microsoft Graph has no word for: causes, reprocess plans and jobs, \
                            deliveries, target systems. Everything else is Graph, under /v1.0.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    if operation.path.contains("{id}") {
        parameters.push(json!({
            "name": "id", "in": "path", "required": true,
            "schema": { "type": "string", "format": "uuid" },
        }));
    }
    if operation.path.contains("{event}") {
        parameters.push(json!({
            "name": "event", "in": "path", "required": true, "schema": { "type": "string" },
        }));
    }
    for name in operation.query {
        let schema = match *name {
            "$top" => json!({ "type": "integer", "minimum": 1, "maximum": operation.most() }),
            "$skip" => json!({ "type": "integer", "minimum": 0, "maximum": MAX_SKIP }),
            "$count" => json!({ "type": "boolean" }),
            _ => json!({ "type": "string" }),
        };
        parameters
            .push(json!({ "name": name, "in": "query", "required": false, "schema": schema }));
    }
    let (status, schema) = operation.answers;
    let mut responses = Map::new();
    let kind =
        if operation.path.ends_with("/events") { "text/event-stream" } else { "application/json" };
    let success = match schema {
        Some(schema) => json!({
            "description": "done",
            "content": { kind: { "schema": reference(schema) } },
        }),
        None if status == "204" => json!({ "description": "done" }),
        None => json!({ "description": "done", "content": { kind: { "schema": {} } } }),
    };
    responses.insert(status.to_owned(), success);
    // Whatever changes something is refused while the deployment is paused.
    let paused = if operation.method == "get" { &[][..] } else { &["409"] };
    for status in COMMON.iter().chain(paused).chain(operation.refuses) {
        responses.insert(
            (*status).to_owned(),
            json!({
                "description": "refused; the message says why and what to do",
                "content": { "application/json": { "schema": reference("error") } },
            }),
        );
    }
    let id = format!("{} {}", operation.method, operation.path);
    let mut described = json!({
        "operationId": id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    let media = if operation.takes == Some("csv") { "text/csv" } else { "application/json" };
    if let (Some(takes), Some(described)) = (operation.takes, described.as_object_mut()) {
        described.insert(
            "requestBody".to_owned(),
            json!({
                "required": true,
                "content": { media: { "schema": reference(takes) } },
            }),
        );
    }
    if let (true, Some(described)) =
        (operation.path.ends_with("openapi.json"), described.as_object_mut())
    {
        described.insert("security".to_owned(), json!([]));
    }
    described
}
