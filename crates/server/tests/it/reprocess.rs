//! The main job: what failed is seen, planned, tried again, and nothing else is touched.

use accede_connectors::chaos::{Chaos, Verb};
use serde_json::{Value, json};

use crate::world::{Door, EM, OURS, World, id};

/// A package with one role in each of two targets, and people.
struct Story<'w> {
    ada: Door<'w>,
    catalog: String,
    package: String,
    policy: String,
    wiki: Chaos,
    crm: Chaos,
}

async fn story(world: &World) -> Story<'_> {
    let ada = world.administrator().await;
    let (wiki, crm) = (world.target(&ada, "wiki").await, world.target(&ada, "crm").await);
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, "wiki", "news").await;
    ada.resource(&catalog, "crm", "seats").await;
    let package = ada.package(&catalog, "Campaign").await;
    ada.role(&catalog, &package, "news").await;
    ada.role(&catalog, &package, "seats").await;
    let policy = ada.open_policy(&package).await;
    Story { ada, catalog, package, policy, wiki, crm }
}

impl Story<'_> {
    async fn assign(&self, world: &World, name: &str) -> String {
        let user = world.user(name).await;
        let body = json!({
            "requestType": "adminAdd",
            "assignment": {
                "targetId": user, "assignmentPolicyId": self.policy, "accessPackageId": self.package,
            },
        });
        id(&self.ada.post(&format!("{EM}/assignmentRequests"), body).await.expect(201))
    }

    async fn state(&self, request: &str) -> String {
        let read = self.ada.get(&format!("{EM}/assignmentRequests/{request}")).await.expect(200);
        read["state"].as_str().unwrap().to_owned()
    }

    async fn reprocess(&self, request: &str) -> u16 {
        self.ada.act(&format!("{EM}/assignmentRequests/{request}/reprocess")).await.status
    }

    fn grants(&self, chaos: &Chaos) -> usize {
        chaos.log().iter().filter(|logged| logged.verb == Verb::Grant).count()
    }
}

#[tokio::test]
async fn reprocess_retries_only_what_failed() {
    let world = World::new().await;
    let story = story(&world).await;
    story.crm.refuse("http-402", "no seat is left");
    let request = story.assign(&world, "uma").await;
    world.work().await;
    assert_eq!(story.state(&request).await, "partiallyDelivered");
    let (wiki, crm) = (story.grants(&story.wiki), story.grants(&story.crm));

    story.crm.heal();
    let status = story.reprocess(&request).await;
    assert_eq!(story.state(&request).await, "delivering");
    world.work().await;

    assert_eq!(status, 202);
    assert_eq!(story.state(&request).await, "delivered");
    assert_eq!(story.grants(&story.wiki), wiki);
    assert_eq!(story.grants(&story.crm), crm + 1);
    assert_eq!(story.crm.truth().len(), 1);
}

#[tokio::test]
async fn reprocess_answers_202_without_a_body_and_twice_is_once() {
    let world = World::new().await;
    let story = story(&world).await;
    story.crm.refuse("http-402", "no seat is left");
    let request = story.assign(&world, "uma").await;
    world.work().await;
    story.crm.heal();
    let path = format!("{EM}/assignmentRequests/{request}/reprocess");

    let first = story.ada.act(&path).await;
    let second = story.ada.post(&path, json!({})).await;
    world.work().await;

    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.body, Value::String(String::new()));
    assert_eq!(story.crm.truth().len(), 1);
    assert_eq!(story.grants(&story.crm), 2, "the refused one and one more");
}

#[tokio::test]
async fn the_window_counts_from_the_first_completion_also_after_failing_again() {
    let world = World::new().await;
    let story = story(&world).await;
    story.crm.refuse("http-402", "no seat is left");
    let request = story.assign(&world, "uma").await;
    world.work().await;
    world.later(10 * 24);
    assert_eq!(story.reprocess(&request).await, 202);
    world.work().await;
    assert_eq!(story.state(&request).await, "partiallyDelivered");

    world.later(3 * 24 + 23);
    assert_eq!(story.reprocess(&request).await, 202);
    world.work().await;
    world.later(2);
    let late = story.ada.act(&format!("{EM}/assignmentRequests/{request}/reprocess")).await;

    let body = late.expect(409);
    assert_eq!(body["error"]["code"], "ReprocessWindowExpired");
    let text = body["error"]["message"].as_str().unwrap();
    assert!(text.contains("2026-03-02T08:00:00Z"), "the first completion: {text}");
    assert!(text.contains("2026-03-16T08:00:00Z"), "the window's end: {text}");
    assert!(text.contains("request the access package anew"), "what to do: {text}");
}

#[tokio::test]
async fn what_is_delivered_denied_or_unknown_is_not_reprocessed() {
    let world = World::new().await;
    let story = story(&world).await;
    let request = story.assign(&world, "uma").await;
    world.work().await;
    let ada = &story.ada;
    let reprocess =
        async |id: &str| ada.act(&format!("{EM}/assignmentRequests/{id}/reprocess")).await;

    assert_eq!(reprocess(&request).await.refused(409), "RequestNotReprocessable");
    assert_eq!(reprocess("not-an-id").await.status, 400);
    let unknown = "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004";
    assert_eq!(reprocess(unknown).await.status, 404);
}

#[tokio::test]
async fn only_managers_of_the_catalog_reprocess() {
    let world = World::new().await;
    let story = story(&world).await;
    story.crm.refuse("http-402", "no seat is left");
    let request = story.assign(&world, "uma").await;
    world.work().await;
    for name in ["rita", "cora", "sam", "otto"] {
        world.user(name).await;
    }
    story.ada.catalog("Finance").await;
    let path = format!("{EM}/assignmentRequests/{request}/reprocess");
    let as_person =
        async |name: &str, role: &[&str]| world.person(name, role).await.act(&path).await.status;

    assert_eq!(world.nobody().act(&path).await.status, 401);
    assert_eq!(as_person("sam", &[]).await, 404, "a stranger");
    let otto = as_person("otto", &["Access package assignment manager:Finance"]).await;
    assert_eq!(otto, 404, "another catalog's manager");
    assert_eq!(as_person("uma", &[]).await, 403, "the requestor");
    assert_eq!(as_person("cora", &["Catalog reader:Marketing"]).await, 403, "a reader");
    let rita = as_person("rita", &["Access package assignment manager:Marketing"]).await;
    assert_eq!(rita, 202, "the assignment manager");
}

/// Twelve partially delivered, five failed, ten delivered: two of the twelve are too old.
#[tokio::test]
async fn a_selection_is_planned_run_and_watched() {
    let world = World::new().await;
    let story = story(&world).await;
    story.crm.refuse("http-402", "no seat is left for `x`");
    let old = [story.assign(&world, "old1").await, story.assign(&world, "old2").await];
    world.work().await;
    world.later(15 * 24);
    for n in 0..10 {
        story.assign(&world, &format!("partial{n}")).await;
    }
    world.work().await;
    story.wiki.refuse("http-503", "closed");
    for n in 0..5 {
        story.assign(&world, &format!("failed{n}")).await;
    }
    world.work().await;
    story.wiki.heal();
    story.crm.heal();
    for n in 0..10 {
        story.assign(&world, &format!("fine{n}")).await;
    }
    world.work().await;
    let (wiki, crm) = (story.grants(&story.wiki), story.grants(&story.crm));

    let filter = format!(
        "accessPackage/id eq '{}' and (state eq 'deliveryFailed' or state eq 'partiallyDelivered')",
        story.package
    );
    let list = format!("{EM}/assignmentRequests?$filter={filter}&$count=true");
    assert_eq!(story.ada.get(&list).await.expect(200)["@odata.count"], 17);
    let plans = format!("{OURS}/reprocessPlans");
    let plan = story.ada.post(&plans, json!({ "filter": filter })).await.expect(201);
    assert_eq!((&plan["eligible"], &plan["skipped"]), (&json!(15), &json!(2)));
    assert_eq!(plan["skippedByReason"][0]["code"], "ReprocessWindowExpired");
    assert_eq!(story.grants(&story.crm), crm, "a plan does nothing");

    let run = format!("{plans}/{}/run", id(&plan));
    let wrong = story.ada.post(&run, json!({ "digest": "sha256:0" })).await;
    assert_eq!(wrong.refused(409), "PlanDigestMismatch");
    let job = story.ada.post(&run, json!({ "digest": plan["digest"] })).await.expect(202);
    let again = story.ada.post(&run, json!({ "digest": plan["digest"] })).await.expect(202);
    assert_eq!(job["id"], again["id"], "running twice is running once");
    world.work().await;

    let jobs = format!("{OURS}/reprocessJobs/{}", id(&job));
    let done = story.ada.get(&jobs).await.expect(200);
    assert_eq!((&done["state"], &done["isOver"]), (&json!("completed"), &json!(true)));
    assert_eq!(done["requests"]["delivered"], 15);
    assert_eq!(story.grants(&story.crm), crm + 15, "each missing seat once");
    assert_eq!(story.grants(&story.wiki), wiki + 5, "only those that failed there");
    for request in &old {
        assert_eq!(story.state(request).await, "partiallyDelivered");
    }
    let items = story.ada.get(&format!("{jobs}/items?$top=999")).await.expect(200);
    assert_eq!(items["value"].as_array().unwrap().len(), 15);
    let over = story.ada.act(&format!("{jobs}/cancel")).await;
    assert_eq!(over.refused(409), "JobNotRunning");
}

#[tokio::test]
async fn an_old_plan_is_not_run() {
    let world = World::new().await;
    let story = story(&world).await;
    story.crm.refuse("http-402", "no seat is left");
    story.assign(&world, "uma").await;
    world.work().await;
    let plans = format!("{OURS}/reprocessPlans");
    let body = json!({ "filter": "state eq 'partiallyDelivered'" });
    let plan = story.ada.post(&plans, body).await.expect(201);
    world.later(1);

    let run = format!("{plans}/{}/run", id(&plan));
    let late = story.ada.post(&run, json!({ "digest": plan["digest"] })).await;

    assert_eq!(late.refused(409), "PlanExpired");
}

#[tokio::test]
async fn failures_are_told_by_cause_and_lead_to_a_plan() {
    let world = World::new().await;
    let story = story(&world).await;
    story.crm.refuse("http-402", "no seat is left for `uma`");
    story.assign(&world, "uma").await;
    world.work().await;
    story.crm.refuse("http-402", "no seat is left for `ida`");
    story.assign(&world, "ida").await;
    world.work().await;

    let failures = story.ada.get(&format!("{OURS}/failures")).await.expect(200);
    let causes = failures["value"].as_array().unwrap();
    assert_eq!(causes.len(), 1, "one cause, whatever the names: {failures:#}");
    let cause = &causes[0];
    assert_eq!((&cause["deliveries"], &cause["people"]), (&json!(2), &json!(2)));
    assert_eq!(cause["reprocessableRequests"], 2);
    assert_eq!(cause["isFinal"], true);
    assert_eq!(cause["accessPackages"][0]["displayName"], "Campaign");
    story.crm.heal();
    let body = json!({ "causeId": cause["id"] });
    let plan = story.ada.post(&format!("{OURS}/reprocessPlans"), body).await.expect(201);
    assert_eq!(plan["eligible"], 2);
    let run = format!("{OURS}/reprocessPlans/{}/run", id(&plan));
    story.ada.post(&run, json!({ "digest": plan["digest"] })).await.expect(202);
    world.work().await;

    let left = story.ada.get(&format!("{OURS}/failures")).await.expect(200);
    assert_eq!(left["value"], json!([]));
}

#[tokio::test]
async fn a_batch_of_reprocess_calls_answers_each() {
    let world = World::new().await;
    let story = story(&world).await;
    story.crm.refuse("http-402", "no seat is left");
    let request = story.assign(&world, "uma").await;
    world.work().await;
    let path = |id: &str| {
        format!("/identityGovernance/entitlementManagement/assignmentRequests/{id}/reprocess")
    };
    let body = json!({ "requests": [
        { "id": "1", "method": "POST", "url": path(&request) },
        { "id": "2", "method": "POST", "url": path("5d2b7f66-80a4-4f9e-8f0b-3b1b2c600099") },
    ] });

    let answer = story.ada.post("/v1.0/$batch", body).await.expect(200);

    let status = |id: &str| {
        let responses = answer["responses"].as_array().unwrap();
        responses.iter().find(|response| response["id"] == id).unwrap()["status"].clone()
    };
    assert_eq!((status("1"), status("2")), (json!(202), json!(404)));
}

#[tokio::test]
async fn reprocessing_an_assignment_repairs_what_was_taken_outside() {
    let world = World::new().await;
    let story = story(&world).await;
    story.assign(&world, "uma").await;
    world.work().await;
    world.later(1);
    world.work().await;
    let (subject, role) = story.wiki.truth().into_iter().next().unwrap();
    story.wiki.revoke_outside(subject, &role);
    let list = format!("{EM}/assignments?$filter=accessPackage/id eq '{}'", story.package);
    let assignment = id(&story.ada.get(&list).await.expect(200)["value"][0]);
    let crm = story.grants(&story.crm);

    let answer = story.ada.act(&format!("{EM}/assignments/{assignment}/reprocess")).await;
    world.work().await;

    assert_eq!(answer.status, 202);
    assert!(story.wiki.has(subject, &role), "it is there again");
    assert_eq!(story.grants(&story.crm), crm, "what is so is only read");
    let read = story.ada.get(&format!("{EM}/assignments/{assignment}")).await.expect(200);
    assert_eq!(read["state"], "delivered");
}

#[tokio::test]
async fn canceling_a_failed_request_withdraws_what_was_delivered_and_frees_the_place() {
    let world = World::new().await;
    let story = story(&world).await;
    story.crm.refuse("http-402", "no seat is left");
    let request = story.assign(&world, "uma").await;
    world.work().await;
    assert_eq!(story.wiki.truth().len(), 1);

    story.ada.act(&format!("{EM}/assignmentRequests/{request}/cancel")).await.expect(200);
    world.work().await;

    assert_eq!(story.state(&request).await, "canceled");
    assert_eq!(story.wiki.truth().len(), 0);
    let gone = story.reprocess(&request).await;
    assert_eq!(gone, 409);
    assert!(!story.catalog.is_empty());
}

#[tokio::test]
async fn what_a_plan_selects_by_is_named_as_the_body_names_it() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let plans = format!("{OURS}/reprocessPlans");
    let cause = "0197a000-0000-7000-8000-000000000001";

    for filter in ["foo eq 1", "foo eq"] {
        let body = ada.post(&plans, json!({ "filter": filter })).await.expect(400);
        let error = &body["error"];
        assert_eq!((&error["code"], &error["target"]), (&json!("InvalidFilter"), &json!("filter")));
        let said = error["message"].as_str().unwrap();
        assert!(said.starts_with("`filter`: ") && !said.contains("$filter"), "{said}");
    }
    let body = ada.post(&plans, json!({})).await.expect(400);
    let said = body["error"]["message"].as_str().unwrap();
    assert!(said.contains("`causeId` or `target`"), "{said}");
    let body = ada.post(&plans, json!({ "causeId": cause, "cause": cause })).await.expect(400);
    let error = &body["error"];
    assert_eq!(error["target"], "cause");
    assert!(error["message"].as_str().unwrap().contains("another name of `causeId`"), "{error}");
    assert_eq!(ada.post(&plans, json!({ "ids": [] })).await.wrong(), "ids");
}
