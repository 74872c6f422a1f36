//! Tasks through the API and the portal, and webhook targets that call back.

use std::sync::{Arc, Mutex};

use accede_connectors::signature::Secret;
use accede_domain::id::UserId;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};

use crate::portal::Reader;
use crate::world::{Answer, Door, EM, OURS, World, id};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Somebody is given the one role of a package in this target; the request.
async fn assigned(world: &World, ada: &Door<'_>, target: &str, user: UserId) -> String {
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, target, "keys").await;
    let package = ada.package(&catalog, "Campaign").await;
    ada.role(&catalog, &package, "keys").await;
    let policy = ada.open_policy(&package).await;
    let body = json!({
        "requestType": "adminAdd",
        "assignment": {
            "targetId": user, "assignmentPolicyId": policy, "accessPackageId": package,
        },
    });
    let request = id(&ada.post(&format!("{EM}/assignmentRequests"), body).await.expect(201));
    world.work().await;
    request
}

async fn state(ada: &Door<'_>, request: &str) -> Value {
    ada.get(&format!("{EM}/assignmentRequests/{request}")).await.expect(200)["state"].clone()
}

async fn delivery(ada: &Door<'_>, request: &str) -> Value {
    let path = format!("{OURS}/requests/{request}/deliveries");
    ada.get(&path).await.expect(200)["value"][0].clone()
}

async fn manual(ada: &Door<'_>, assignee: &str, due: &str) -> Answer {
    let body = json!({
        "name": "cabinet", "displayName": "Key cabinet", "kind": "manual",
        "settings": {
            "assignee": assignee, "due": due, "instructions": "Ask for the key.",
            "resources": [{ "id": "keys", "name": "Keys" }],
        },
    });
    ada.post(&format!("{OURS}/targets"), body).await
}

#[tokio::test]
async fn a_manual_target_makes_tasks_that_their_assignee_completes() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let max = world.user("max").await;
    let uma = world.user("uma").await;
    assert_eq!(manual(&ada, "ghost@harbourline.example", "P2D").await.wrong(), "settings.assignee");
    manual(&ada, "max@harbourline.example", "P2D").await.expect(201);
    let check = ada.act(&format!("{OURS}/targets/cabinet/check")).await.expect(200);
    assert_eq!(check["ok"], true);
    let request = assigned(&world, &ada, "cabinet", uma).await;
    let as_max = world.person("max", &[]).await;

    let tasks = format!("{OURS}/tasks");
    let mine =
        as_max.get(&format!("{tasks}?$filter=state eq 'open'&$count=true")).await.expect(200);
    let task = &mine["value"][0];
    let one = format!("{tasks}/{}", id(task));
    assert_eq!(mine["@odata.count"], 1);
    assert_eq!((&task["action"], &task["mayComplete"]), (&json!("grant"), &json!(true)));
    assert_eq!(task["instructions"], "Ask for the key.");
    assert_eq!(task["resource"]["displayName"], "Keys");
    assert_eq!(delivery(&ada, &request).await["awaits"]["kind"], "person");
    assert_eq!(ada.get(&tasks).await.expect(200)["value"], json!([]), "her own");
    let all =
        format!("{tasks}?whose=all&$filter=target/name eq 'cabinet' and assignee/id eq {max}");
    assert_eq!(ada.get(&all).await.expect(200)["value"][0]["mayReassign"], true);
    assert_eq!(
        as_max.get(&format!("{tasks}?whose=all")).await.refused(403),
        "Authorization_RequestDenied"
    );
    assert_eq!(as_max.get(&format!("{tasks}?whose=x")).await.wrong(), "whose");

    let wrong = as_max.post(&format!("{one}/complete"), json!({ "outcome": "perhaps" })).await;
    assert_eq!(wrong.wrong(), "outcome");
    let body = json!({ "outcome": "couldNot" });
    assert_eq!(as_max.post(&format!("{one}/complete"), body).await.wrong(), "note");
    let stale = as_max.with("if-match", "W/\"9\"");
    let body = json!({ "outcome": "done", "note": "No. 7" });
    assert_eq!(stale.post(&format!("{one}/complete"), body.clone()).await.status, 412);
    let done = as_max.post(&format!("{one}/complete"), body.clone()).await.expect(200);
    assert_eq!((&done["state"], &done["note"]), (&json!("done"), &json!("No. 7")));
    assert_eq!(state(&ada, &request).await, "delivered");
    let late = as_max.post(&format!("{one}/complete"), body).await;
    assert_eq!(late.refused(409), "TaskClosed");
    let history = ada.get(&format!("{OURS}/requests/{request}/history")).await.expect(200);
    let told = history["value"].to_string();
    assert!(told.contains("taskCreated") && told.contains("No. 7"), "{told}");
}

#[tokio::test]
async fn in_the_portal_a_task_is_found_closed_and_given_to_somebody_else() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let max = Reader::new(&world, "max", &[]).await;
    let uma = world.user("uma").await;
    manual(&ada, "max@harbourline.example", "PT2H").await.expect(201);
    max.get("/my/access").await.answers(200, &["My access"]);
    assert!(!max.get("/my/access").await.html.contains("/my/tasks"), "no task, no entry");
    let request = assigned(&world, &ada, "cabinet", uma).await;
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let lee = Reader::new(&world, "lee", &[]).await;

    max.get("/my/access").await.answers(200, &["My tasks (1)"]);
    let list = max.get("/my/tasks").await;
    list.answers(200, &["Give Member of Keys", "Key cabinet", "in 2 hours"]);
    let task = list.html.split("/my/tasks/").nth(1).unwrap().split('"').next().unwrap();
    let (one, other) = (format!("/my/tasks/{task}"), format!("/governance/tasks/{task}/reassign"));
    world.later(4);
    rita.get("/governance/tasks").await.answers(200, &["Overdue", "2 hours late", "max"]);
    rita.get(&one).await.answers(200, &["Give it to somebody else", "Only whom it is assigned to"]);
    assert_eq!(lee.get(&one).await.status, 404);
    rita.get(&other).await.answers(200, &["It is with max now"]);
    let own = [("assignee", "uma@harbourline.example")];
    rita.post(&other, &own).await.answers(400, &["somebody else must do it"]);
    let to_lee = [("assignee", "lee@harbourline.example"), ("dueDateTime", "2026-04-01")];
    assert_eq!(rita.post(&other, &to_lee).await.status, 303);
    assert_eq!(max.get(&one).await.status, 404);

    let form = lee.get(&one).await;
    form.answers(200, &["Ask for the key.", "Could not do it"]);
    let said = |outcome: &'static str, note: &'static str| {
        [("outcome", outcome), ("note", note), ("version", "2")]
    };
    lee.post(&one, &said("couldNot", "")).await.answers(400, &["say why it could not be done"]);
    assert_eq!(lee.post(&one, &said("couldNot", "The cabinet is gone")).await.status, 303);
    assert_eq!(state(&ada, &request).await, "deliveryFailed");
    let page = format!("/governance/requests/{request}");
    rita.get(&page).await.answers(200, &["The cabinet is gone", "Task could not be done"]);

    let delivery = id(&delivery(&ada, &request).await);
    let settle = format!("/governance/deliveries/{delivery}/resolve");
    rita.get(&settle).await.answers(200, &["Hand it to a person"]);
    let hand = [("resolution", "handToPerson"), ("justification", "Try the spare cabinet")];
    rita.post(&settle, &hand).await.answers(400, &["Is no user or group of the directory"]);
    let hand = [hand[0], hand[1], ("assignee", "max@harbourline.example"), ("request", &request)];
    assert_eq!(rita.post(&settle, &hand).await.to, format!("{page}?done=handed"));
    rita.get(&page).await.answers(200, &["With a person", "when the person has done it"]);
    max.get("/my/tasks").await.answers(200, &["Give Member of Keys"]);
}

#[tokio::test]
async fn a_delivery_is_handed_to_a_person_through_the_api() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let crm = world.target(&ada, "crm").await;
    crm.refuse("http-402", "no seat is left");
    let uma = world.user("uma").await;
    world.user("max").await;
    let request = assigned(&world, &ada, "crm", uma).await;
    let path = format!("{OURS}/deliveries/{}", id(&delivery(&ada, &request).await));
    let resolve = format!("{path}/resolve");

    let mut body = json!({ "resolution": "handToPerson", "justification": "Do it by hand" });
    assert_eq!(ada.post(&resolve, body.clone()).await.wrong(), "assignee");
    body["assignee"] = json!("max@harbourline.example");
    body["dueDateTime"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(ada.post(&resolve, body.clone()).await.wrong(), "dueDateTime");
    body["dueDateTime"] = json!("2026-03-09T00:00:00Z");
    let handed = ada.post(&resolve, body.clone()).await.expect(200);
    assert_eq!(
        (&handed["state"], &handed["awaits"]["kind"]),
        (&json!("delivering"), &json!("person"))
    );
    assert_eq!(handed["task"]["dueDateTime"], "2026-03-09T00:00:00Z");
    assert_eq!(ada.post(&resolve, body).await.refused(409), "TaskOpen");
    let tasks = ada.get(&format!("{path}/tasks")).await.expect(200);
    assert_eq!(tasks["value"][0]["id"], handed["task"]["id"]);
}

/// What a receiver was sent: headers and body.
type Sent = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A receiver that answers with this status; its address.
async fn receiver(status: u16) -> (String, Sent) {
    let sent = Sent::default();
    let seen = sent.clone();
    let answer = move |headers: HeaderMap, body: Bytes| {
        seen.lock().unwrap().push((headers, body));
        async move { StatusCode::from_u16(status).unwrap() }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = Router::new().route("/hook", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, sent)
}

async fn webhook(ada: &Door<'_>, url: &str) {
    let body = json!({
        "name": "desk", "displayName": "Ticket desk", "kind": "webhook",
        "settings": { "url": url, "callbackBase": "http://accede.test", "pendingFor": "P3D" },
        "secrets": { "signingSecret": SECRET },
    });
    ada.post(&format!("{OURS}/targets"), body).await.expect(201);
}

/// The newest event, whose signature is checked as a receiver does.
fn newest(sent: &Sent) -> Value {
    let (headers, body) = sent.lock().unwrap().last().cloned().unwrap();
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let at: i64 = text("webhook-timestamp").parse().unwrap();
    let key = Secret::parse(SECRET).unwrap();
    assert_eq!(text("webhook-signature"), key.sign(&text("webhook-id"), at, &body));
    let event: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(event["data"]["id"], json!(text("webhook-id")));
    event
}

/// Calls back for an event with the token that it carried.
async fn call_back(world: &World, event: &Value, body: Value) -> Answer {
    let callback = &event["data"]["callback"];
    let token = format!("Bearer {}", callback["token"].as_str().unwrap());
    let nobody = world.nobody();
    let door = nobody.with("authorization", &token);
    door.send(Method::POST, callback["path"].as_str().unwrap(), Some(body)).await
}

#[tokio::test]
async fn an_event_that_was_accepted_is_finished_by_its_callback() {
    let world = World::near().await;
    let ada = world.administrator().await;
    let (url, sent) = receiver(202).await;
    webhook(&ada, &url).await;
    let check = ada.act(&format!("{OURS}/targets/desk/check")).await.expect(200);
    assert_eq!((&check["ok"], newest(&sent)["type"].as_str()), (&json!(true), Some("ping")));
    let uma = world.user("uma").await;
    let request = assigned(&world, &ada, "desk", uma).await;

    let event = newest(&sent);
    assert_eq!(event["type"], "access.grant");
    assert_eq!(event["data"]["person"]["userPrincipalName"], "uma@harbourline.example");
    assert_eq!(state(&ada, &request).await, "delivering");
    let awaits = delivery(&ada, &request).await["awaits"].clone();
    assert_eq!(
        (&awaits["kind"], &awaits["untilDateTime"]),
        (&json!("target"), &json!("2026-03-05T08:00:00Z"))
    );
    let path = event["data"]["callback"]["path"].as_str().unwrap();
    let url = event["data"]["callback"]["url"].as_str().unwrap();
    assert_eq!(url, format!("http://accede.test{path}"));

    let forged = world.nobody();
    assert_eq!(forged.post(path, json!({ "state": "done" })).await.status, 401);
    let forged = forged.with("authorization", "Bearer AAAA");
    assert_eq!(forged.post(path, json!({ "state": "done" })).await.status, 401);
    let mine = ada.post(path, json!({ "state": "done" })).await;
    assert_eq!(mine.status, 401, "a person's token is not the event's");
    assert_eq!(call_back(&world, &event, json!({ "state": "well" })).await.wrong(), "state");
    assert_eq!(call_back(&world, &event, json!({ "state": "failed" })).await.wrong(), "reason");

    let done = json!({ "state": "done" });
    assert_eq!(call_back(&world, &event, done.clone()).await.expect(200)["changed"], true);
    assert_eq!(call_back(&world, &event, done).await.expect(200)["changed"], false, "again");
    assert_eq!(state(&ada, &request).await, "delivered");
    assert_eq!(delivery(&ada, &request).await["evidence"]["kind"], "acknowledged");
    let late = call_back(&world, &event, json!({ "state": "failed", "reason": "x" })).await;
    assert_eq!(late.refused(409), "CallbackLate");
}

#[tokio::test]
async fn a_failure_that_is_called_back_is_the_cause_and_an_older_wish_is_over() {
    let world = World::near().await;
    let ada = world.administrator().await;
    let (url, sent) = receiver(202).await;
    webhook(&ada, &url).await;
    let uma = world.user("uma").await;
    let request = assigned(&world, &ada, "desk", uma).await;
    let event = newest(&sent);

    let failed = json!({ "state": "failed", "reason": "ticket 7 was rejected" });
    assert_eq!(call_back(&world, &event, failed.clone()).await.expect(200)["changed"], true);
    assert_eq!(call_back(&world, &event, failed).await.expect(200)["changed"], false);
    assert_eq!(state(&ada, &request).await, "deliveryFailed");
    let cause = delivery(&ada, &request).await["cause"].clone();
    assert_eq!(cause["code"], "callback-failed");
    assert!(cause["message"].as_str().unwrap().contains("ticket 7 was rejected"));

    ada.act(&format!("{EM}/assignmentRequests/{request}/reprocess")).await.expect(202);
    world.work().await;
    assert_eq!(newest(&sent)["data"]["id"], event["data"]["id"], "the same wish, the same id");
    ada.act(&format!("{EM}/assignmentRequests/{request}/cancel")).await;
    let path = format!("{EM}/assignmentRequests/{request}?$expand=assignment");
    let given = ada.get(&path).await.expect(200);
    let body = json!({
        "requestType": "adminRemove", "assignment": { "id": given["assignment"]["id"] },
    });
    ada.post(&format!("{EM}/assignmentRequests"), body).await;
    world.work().await;
    let revoke = newest(&sent);
    assert_eq!(revoke["type"], "access.revoke");
    let old = call_back(&world, &event, json!({ "state": "done" })).await;
    assert_eq!(old.refused(409), "CallbackOutdated");
    call_back(&world, &revoke, json!({ "state": "done" })).await.expect(200);
    assert_eq!(delivery(&ada, &request).await["state"], "removed");
}

#[tokio::test]
async fn a_receiver_that_does_it_at_once_needs_no_callback_and_one_that_moved_is_in_trouble() {
    let world = World::near().await;
    let ada = world.administrator().await;
    let (url, _) = receiver(204).await;
    webhook(&ada, &url).await;
    let uma = world.user("uma").await;
    let request = assigned(&world, &ada, "desk", uma).await;
    assert_eq!(state(&ada, &request).await, "delivered");

    let (url, sent) = receiver(301).await;
    let change = json!({ "settings": { "url": url } });
    ada.patch(&format!("{OURS}/targets/desk"), change).await.expect(200);
    let check = ada.act(&format!("{OURS}/targets/desk/check")).await.expect(200);
    assert_eq!(check["ok"], false);
    assert_eq!(sent.lock().unwrap().len(), 1, "redirects are not followed");
}
