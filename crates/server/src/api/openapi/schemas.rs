//! The schemas of our own API: what bodies and answers look like.

use accede_domain::notice::{Channel, State, Topic};
use accede_domain::waiting::{Owner, Then};
use serde_json::{Map, Value, json};

/// What refers to a schema of that name.
pub(super) fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn maybe(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn instant() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn maybe_instant() -> Value {
    json!({ "type": ["string", "null"], "format": "date-time" })
}

fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn truth() -> Value {
    json!({ "type": "boolean" })
}

fn page(item: &str) -> Value {
    json!({
        "type": "object",
        "required": ["value"],
        "properties": {
            "value": { "type": "array", "items": reference(item) },
            "@odata.count": number(),
            "@odata.nextLink": { "type": "string", "format": "uri" },
        },
    })
}

fn thing(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

fn closed(properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object", "required": required, "properties": properties,
        "additionalProperties": false,
    })
}

/// Every schema, by its name.
pub(super) fn schemas() -> Value {
    let named = thing(json!({ "id": id(), "name": text(), "displayName": text() }), &["id"]);
    let origin =
        thing(json!({ "originId": text(), "displayName": maybe("string") }), &["originId"]);
    let cause = json!({
        "type": ["object", "null"],
        "properties": { "id": id(), "class": text(), "code": text(), "message": text() },
    });
    let delivered_to = thing(
        json!({ "id": id(), "name": text(), "displayName": text(), "isPaused": truth() }),
        &["id"],
    );
    let delivery = json!({
        "id": id(), "target": delivered_to, "subjectId": id(), "resource": origin, "role": origin,
        "wanted": truth(),
        "state": { "enum": ["delivered", "delivering", "removed", "removing", "failed", "stuck"] },
        "observed": { "enum": ["never", "unknown", "absent", "present"] },
        "evidence": { "type": ["object", "null"] },
        "cause": cause,
        "attempts": number(),
        "hold": { "type": ["object", "null"] },
        "lastAttemptDateTime": maybe_instant(),
        "nextAttemptDateTime": maybe_instant(),
        "awaits": { "type": ["object", "null"] },
        "preExisting": truth(),
        "lane": { "enum": ["ordinary", "poison"] },
    });
    let counts = thing(
        json!({
            "delivering": number(), "delivered": number(), "partiallyDelivered": number(),
            "deliveryFailed": number(), "other": number(),
        }),
        &[],
    );
    let settings = json!({ "type": "object" });
    let secrets =
        json!({ "type": "object", "additionalProperties": { "type": ["string", "null"] } });
    let mut all = Map::new();
    let mut add = |name: &str, schema: Value| {
        all.insert(name.to_owned(), schema);
    };
    add(
        "error",
        thing(
            json!({ "error": thing(json!({
                "code": text(), "message": text(), "target": text(),
                "details": { "type": "array" }, "innerError": { "type": "object" },
            }), &["code", "message"]) }),
            &["error"],
        ),
    );
    add("csv", text());
    add("ruling", closed(json!({ "justification": maybe("string") }), &[]));
    add(
        "guard",
        thing(
            json!({
                "id": id(), "cause": { "enum": ["packageRoles", "userImport", "extraAccess"] },
                "state": { "enum": ["held", "released", "rejected", "withdrawn"] },
                "createdDateTime": instant(), "causedBy": { "type": "array", "items": text() },
                "accessPackage": { "type": ["object", "null"] },
                "roles": { "type": "array", "items": { "type": "object" } },
                "people": { "type": ["object", "null"] },
                "targets": { "type": "array", "items": thing(json!({
                    "id": id(), "displayName": text(), "grants": number(),
                    "revocations": number(), "held": number(),
                }), &["id", "grants", "revocations"]) },
                "decidedBy": maybe("string"), "decidedDateTime": maybe_instant(),
                "justification": maybe("string"), "mayDecide": truth(),
            }),
            &["id", "cause", "state", "createdDateTime", "targets"],
        ),
    );
    add("guardPage", page("guard"));
    add("dismissal", closed(json!({ "reason": text() }), &["reason"]));
    add(
        "driftFinding",
        thing(
            json!({
                "id": id(), "kind": { "enum": ["missing", "cameBack", "extra", "contested"] },
                "state": { "enum": ["open", "repaired", "gone", "dismissed"] },
                "target": named, "resource": origin, "role": origin,
                "scope": thing(json!({ "originId": text() }), &["originId"]),
                "deliveryId": { "type": ["string", "null"], "format": "uuid" },
                "person": { "type": ["object", "null"] }, "holder": { "type": ["object", "null"] },
                "firstSeenDateTime": instant(), "lastSeenDateTime": instant(),
                "closedDateTime": maybe_instant(), "decidedBy": maybe("string"),
                "reason": maybe("string"),
            }),
            &["id", "kind", "state", "target", "resource", "role", "firstSeenDateTime"],
        ),
    );
    add("driftFindingPage", page("driftFinding"));
    add(
        "notice",
        thing(
            json!({
                "id": id(),
                "topic": { "enum": Topic::ALL.map(Topic::name) },
                "channel": { "enum": Channel::ALL.map(Channel::name) },
                "recipient": maybe("string"), "title": text(), "body": text(),
                "data": { "type": ["object", "null"] },
                "state": { "enum": State::ALL.map(State::name) },
                "attempts": number(), "createdDateTime": instant(),
                "nextAttemptDateTime": maybe_instant(), "sentDateTime": maybe_instant(),
                "error": maybe("string"),
            }),
            &["id", "topic", "state"],
        ),
    );
    add("noticePage", page("notice"));
    let wait = json!({
        "type": ["object", "null"],
        "properties": {
            "owner": { "enum": Owner::ALL.map(Owner::name) }, "untilDateTime": maybe_instant(),
            "then": { "enum": Then::ALL.map(Then::name) },
        },
    });
    add(
        "waiting",
        thing(
            json!({
                "requestId": id(), "waitsFor": wait,
                "deliveries": { "type": "array", "items": { "type": "object", "properties": {
                    "deliveryId": id(), "waitsFor": wait,
                } } },
            }),
            &["requestId", "waitsFor", "deliveries"],
        ),
    );
    add("noticeTest", thing(json!({ "recipients": number() }), &["recipients"]));
    add(
        "deployment",
        thing(
            json!({
                "instanceId": maybe("string"), "epoch": number(), "database": text(),
                "state": { "enum": ["running", "paused", "resuming"] },
                "pause": { "type": ["object", "null"] },
                "comparison": { "type": ["object", "null"] },
                "isClockSuspect": truth(), "mayConfirm": truth(),
            }),
            &["state", "epoch", "isClockSuspect", "mayConfirm"],
        ),
    );
    add(
        "deploymentChoice",
        closed(
            json!({
                "choice": { "enum": ["resume", "newInstance"] },
                "regrant": { "enum": ["none", "queued", "all"] },
            }),
            &["choice"],
        ),
    );
    add(
        "difference",
        thing(
            json!({
                "id": id(), "target": { "type": "object" }, "userPrincipalName": maybe("string"),
                "resource": text(), "role": text(), "wanted": truth(), "isHeld": truth(),
                "isAsWanted": truth(), "message": maybe("string"), "readDateTime": instant(),
            }),
            &["id", "wanted", "isHeld", "isAsWanted"],
        ),
    );
    add("differencePage", page("difference"));
    add(
        "roleSpread",
        thing(
            json!({
                "accessPackageId": id(), "state": { "enum": ["complete", "spreading", "held"] },
                "holders": number(), "reached": number(), "guardId": maybe("string"),
            }),
            &["accessPackageId", "state", "holders", "reached"],
        ),
    );
    add(
        "importReport",
        thing(
            json!({
                "created": number(), "changed": number(), "unchanged": number(), "bad": number(),
                "isRefused": truth(), "held": number(), "guardId": maybe("string"),
                "badLines": {
                    "type": "array",
                    "items": thing(json!({ "line": number(), "reason": text() }), &["line"]),
                },
            }),
            &["created", "changed", "unchanged", "bad", "isRefused"],
        ),
    );
    add(
        "failure",
        thing(
            json!({
                "id": id(), "target": named, "connector": text(), "class": text(), "code": text(),
                "text": text(), "example": text(), "firstSeenDateTime": instant(),
                "lastSeenDateTime": instant(), "deliveries": number(), "failed": number(),
                "retrying": number(), "isFinal": truth(), "revocations": number(),
                "people": number(), "reprocessableRequests": number(),
                "accessPackages": { "type": "array" }, "isNew": truth(),
                "trend": thing(
                    json!({
                        "direction": { "type": "string", "enum": ["rising", "falling", "steady"] },
                        "hours": {
                            "type": "array",
                            "items": thing(
                                json!({ "startDateTime": instant(), "deliveries": number() }),
                                &["startDateTime", "deliveries"],
                            ),
                        },
                    }),
                    &["direction", "hours"],
                ),
            }),
            &["id", "deliveries", "people"],
        ),
    );
    add("retried", thing(json!({ "retried": { "type": ["integer", "boolean"] } }), &["retried"]));
    add("delivery", thing(delivery.clone(), &["id", "state", "wanted"]));
    let mut resolved = delivery.clone();
    if let Some(resolved) = resolved.as_object_mut() {
        resolved.insert("changed".to_owned(), truth());
        resolved.insert("task".to_owned(), reference("task"));
    }
    add("resolved", thing(resolved, &["id", "state", "changed"]));
    add(
        "resolution",
        closed(
            json!({
                "resolution": { "enum": ["doneOutside", "giveUp", "handToPerson"] },
                "justification": { "type": "string", "minLength": 1, "maxLength": 4000 },
                "assignee": maybe("string"), "dueDateTime": maybe_instant(),
            }),
            &["resolution", "justification"],
        ),
    );
    add(
        "task",
        thing(
            json!({
                "id": id(), "deliveryId": id(), "generation": number(),
                "action": { "enum": ["grant", "revoke"] },
                "state": { "enum": ["open", "done", "couldNot", "withdrawn"] },
                "isOverdue": truth(),
                "assignee": thing(json!({
                    "id": id(), "kind": { "enum": ["user", "group"] },
                    "displayName": maybe("string"),
                }), &["id", "kind"]),
                "person": { "type": ["object", "null"] },
                "target": named, "resource": origin, "role": origin,
                "instructions": maybe("string"), "createdBy": text(),
                "createdDateTime": instant(), "dueDateTime": instant(),
                "closedBy": maybe("string"), "closedDateTime": maybe_instant(),
                "note": maybe("string"), "mayComplete": truth(), "mayReassign": truth(),
            }),
            &["id", "deliveryId", "action", "state", "dueDateTime"],
        ),
    );
    add(
        "completion",
        closed(
            json!({
                "outcome": { "enum": ["done", "couldNot"] },
                "note": { "type": ["string", "null"], "maxLength": 4000 },
            }),
            &["outcome"],
        ),
    );
    add(
        "reassignment",
        closed(
            json!({
                "assignee": text(), "dueDateTime": maybe_instant(),
                "note": { "type": ["string", "null"], "maxLength": 4000 },
            }),
            &["assignee"],
        ),
    );
    add(
        "callback",
        closed(
            json!({
                "state": { "enum": ["done", "failed"] },
                "reason": { "type": ["string", "null"], "maxLength": 4000 },
            }),
            &["state"],
        ),
    );
    add("calledBack", thing(json!({ "state": text(), "changed": truth() }), &["changed"]));
    let mut stuck = delivery;
    if let Some(stuck) = stuck.as_object_mut() {
        stuck.insert("sinceDateTime".to_owned(), instant());
        stuck.insert("displayName".to_owned(), maybe("string"));
        stuck.insert("userPrincipalName".to_owned(), maybe("string"));
    }
    add("stuck", thing(stuck, &["id", "sinceDateTime"]));
    add(
        "history",
        thing(
            json!({ "id": id(), "dateTime": instant(), "kind": text(), "actor": text(), "detail": text() }),
            &["id", "dateTime", "kind"],
        ),
    );
    add(
        "attempt",
        thing(
            json!({
                "id": id(), "action": { "enum": ["grant", "revoke", "observe"] },
                "outcome": { "enum": ["applied", "alreadyInState", "present", "absent", "pending", "fault", "discarded"] },
                "class": maybe("string"), "code": maybe("string"), "message": maybe("string"),
                "startedDateTime": instant(), "finishedDateTime": instant(),
                "durationInMilliseconds": number(), "batchSize": number(),
            }),
            &["id", "action", "outcome"],
        ),
    );
    add(
        "selection",
        closed(
            json!({
                "ids": { "type": ["array", "null"], "items": id(), "minItems": 1, "maxItems": 10_000 },
                "filter": maybe("string"), "causeId": { "type": ["string", "null"], "format": "uuid" },
                "cause": { "type": ["string", "null"], "format": "uuid" },
                "target": maybe("string"),
            }),
            &[],
        ),
    );
    add(
        "plan",
        thing(
            json!({
                "id": id(), "createdBy": text(), "createdDateTime": instant(),
                "expirationDateTime": instant(), "digest": text(), "total": number(),
                "eligible": number(), "skipped": number(), "targets": { "type": "array" },
                "skippedByReason": { "type": "array" }, "estimatedDurationInSeconds": number(),
                "jobId": { "type": ["string", "null"], "format": "uuid" },
                "needsSecondPerson": truth(),
            }),
            &["id", "digest", "eligible", "skipped"],
        ),
    );
    add(
        "planItem",
        thing(
            json!({
                "position": number(), "requestId": id(), "isEligible": truth(),
                "code": maybe("string"), "reason": maybe("string"),
            }),
            &["position", "requestId", "isEligible"],
        ),
    );
    add("run", closed(json!({ "digest": text() }), &["digest"]));
    add(
        "job",
        thing(
            json!({
                "id": id(), "planId": id(), "state": { "enum": ["running", "delivering", "completed", "canceled"] },
                "createdBy": text(), "createdDateTime": instant(), "finishedDateTime": maybe_instant(),
                "isOver": truth(), "total": number(), "pending": number(), "accepted": number(),
                "refused": number(), "canceled": number(), "requests": counts,
            }),
            &["id", "state", "total"],
        ),
    );
    add(
        "jobItem",
        thing(
            json!({
                "position": number(), "requestId": id(), "displayName": maybe("string"),
                "state": { "enum": ["pending", "accepted", "refused", "canceled"] },
                "code": maybe("string"), "reason": maybe("string"), "doneDateTime": maybe_instant(),
                "requestState": maybe("string"),
            }),
            &["position", "requestId", "state"],
        ),
    );
    add(
        "target",
        thing(
            json!({
                "@odata.etag": text(), "id": id(), "name": text(), "displayName": text(),
                "description": maybe("string"), "kind": text(), "settings": settings,
                "secrets": { "type": "object", "additionalProperties": thing(
                    json!({ "isSet": { "const": true } }), &["isSet"],
                ) },
                "catalogOwnersMayAdd": truth(), "isBuiltIn": truth(), "isPaused": truth(),
                "check": { "oneOf": [reference("check"), { "type": "null" }] },
                "health": thing(
                    json!({
                        "state": { "enum": ["healthy", "resting", "onTrial"] },
                        "isOutOfOrder": truth(), "reason": maybe("string"),
                        "code": maybe("string"), "message": maybe("string"),
                        "sinceDateTime": maybe_instant(), "nextCheckDateTime": maybe_instant(),
                        "quietUntilDateTime": maybe_instant(),
                    }),
                    &["state", "isOutOfOrder"],
                ),
                "backlog": thing(
                    json!({
                        "due": number(), "inFlight": number(), "failed": number(),
                        "stuck": number(), "oldestDateTime": maybe_instant(),
                    }),
                    &["due", "inFlight", "failed", "stuck"],
                ),
                "drain": {
                    "type": ["object", "null"],
                    "properties": {
                        "deliveriesPerHour": number(), "estimatedSeconds": number(),
                    },
                },
                "drift": thing(
                    json!({
                        "comparedDateTime": maybe_instant(), "isComparing": truth(),
                        "openFindings": { "type": "object", "additionalProperties": number() },
                        "rolesUnread": number(), "problem": maybe("string"),
                    }),
                    &["isComparing", "openFindings"],
                ),
                "createdDateTime": instant(), "modifiedDateTime": instant(),
            }),
            &["id", "name", "kind", "isPaused", "health", "backlog"],
        ),
    );
    add(
        "newTarget",
        thing(
            json!({
                "name": { "type": "string", "pattern": "^[a-z0-9-]{1,64}$" },
                "displayName": maybe("string"), "description": maybe("string"), "kind": text(),
                "settings": settings, "secrets": secrets, "catalogOwnersMayAdd": truth(),
            }),
            &["name", "kind"],
        ),
    );
    add(
        "changedTarget",
        thing(
            json!({
                "displayName": text(), "description": maybe("string"), "settings": settings,
                "secrets": { "type": "object", "additionalProperties": {
                    "type": ["string", "object", "null"],
                } },
                "catalogOwnersMayAdd": truth(),
            }),
            &[],
        ),
    );
    add(
        "check",
        thing(
            json!({ "ok": truth(), "message": maybe("string"), "checkedDateTime": instant() }),
            &[],
        ),
    );
    add(
        "found",
        thing(
            json!({ "originId": text(), "displayName": text(), "description": maybe("string"), "roles": { "type": "array" } }),
            &["originId", "displayName"],
        ),
    );
    for item in [
        "failure", "delivery", "history", "attempt", "stuck", "planItem", "job", "jobItem",
        "target", "task", "found",
    ] {
        add(&format!("{item}Page"), page(item));
    }
    Value::Object(all)
}
