//! Requests of people: asking, deciding, giving back, and what is refused.

use serde_json::{Value, json};

use crate::world::{Door, EM, World, id};

/// A package with one role that every member may ask for; Max approves if `approval`.
async fn offered(world: &World, ada: &Door<'_>, approval: bool) -> (String, String) {
    world.target(ada, "wiki").await;
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, "wiki", "news").await;
    let package = ada.package(&catalog, "Campaign").await;
    ada.role(&catalog, &package, "news").await;
    if !approval {
        let policy = ada.open_policy(&package).await;
        return (package, policy);
    }
    let max = world.user("max").await;
    let body = json!({
        "displayName": "Asked", "description": "Max decides",
        "allowedTargetScope": "allMemberUsers",
        "requestorSettings": { "enableTargetsToSelfAddAccess": true },
        "requestApprovalSettings": {
            "isApprovalRequiredForAdd": true,
            "stages": [{
                "durationBeforeAutomaticDenial": "P5D",
                "isApproverJustificationRequired": true,
                "primaryApprovers": [
                    { "@odata.type": "#microsoft.graph.singleUser", "userId": max },
                ],
            }],
        },
        "accessPackage": { "id": package },
    });
    let policy = id(&ada.post(&format!("{EM}/assignmentPolicies"), body).await.expect(201));
    (package, policy)
}

async fn ask(door: &Door<'_>, package: &str) -> String {
    let body = json!({ "requestType": "userAdd", "assignment": { "accessPackageId": package } });
    id(&door.post(&format!("{EM}/assignmentRequests"), body).await.expect(201))
}

async fn state(door: &Door<'_>, request: &str) -> Value {
    door.get(&format!("{EM}/assignmentRequests/{request}")).await.expect(200)["state"].clone()
}

#[tokio::test]
async fn the_answer_to_a_new_request_is_what_was_accepted() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (package, _) = offered(&world, &ada, false).await;
    world.user("uma").await;
    let uma = world.person("uma", &[]).await;
    let body = json!({ "RequestType": "UserAdd", "Assignment": { "AccessPackageId": package } });

    let made = uma.post(&format!("{EM}/assignmentRequests"), body).await.expect(201);

    assert_eq!((&made["state"], &made["status"]), (&json!("submitted"), &json!("Accepted")));
    assert_eq!(made["createdDateTime"], Value::Null);
    let read = uma.get(&format!("{EM}/assignmentRequests/{}", id(&made))).await.expect(200);
    assert_eq!(read["state"], "delivering");
    assert_eq!(read["createdDateTime"], "2026-03-02T08:00:00Z");
}

#[tokio::test]
async fn an_approver_decides_once_with_a_reason_and_nobody_else_does() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (package, _) = offered(&world, &ada, true).await;
    world.user("uma").await;
    let (uma, max) = (world.person("uma", &[]).await, world.person("max", &[]).await);
    let request = ask(&uma, &package).await;
    let approvals = format!("{EM}/accessPackageAssignmentApprovals");

    let waiting =
        max.get(&format!("{approvals}/filterByCurrentUser(on='approver')")).await.expect(200);
    assert_eq!(waiting["value"][0]["id"], json!(request));
    let stage = &waiting["value"][0]["stages"][0];
    assert_eq!((&stage["status"], &stage["assignedToMe"]), (&json!("InProgress"), &json!(true)));
    let path = format!("{approvals}/{request}/stages/{}", id(stage));
    let approve = json!({ "reviewResult": "Approve", "justification": "welcome" });
    assert_eq!(uma.patch(&path, approve.clone()).await.status, 403, "nobody decides for herself");
    assert_eq!(ada.patch(&path, approve.clone()).await.status, 403, "not even an administrator");
    let without = json!({ "reviewResult": "Approve" });
    assert_eq!(max.patch(&path, without).await.refused(400), "JustificationRequired");
    max.patch(&path, approve.clone()).await.expect(204);
    assert_eq!(max.patch(&path, approve).await.refused(409), "StageAlreadyDecided");
    world.work().await;

    assert_eq!(state(&uma, &request).await, "delivered");
    let stage = max.get(&path).await.expect(200);
    assert_eq!(
        (&stage["reviewResult"], &stage["status"]),
        (&json!("Approved"), &json!("Completed"))
    );
    assert_eq!(stage["reviewedBy"]["displayName"], "max");
}

#[tokio::test]
async fn silence_is_denial_and_reads_expired() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (package, _) = offered(&world, &ada, true).await;
    world.user("uma").await;
    let uma = world.person("uma", &[]).await;
    let request = ask(&uma, &package).await;

    world.later(5 * 24);
    world.work().await;

    let read = uma.get(&format!("{EM}/assignmentRequests/{request}")).await.expect(200);
    assert_eq!((&read["state"], &read["status"]), (&json!("denied"), &json!("Expired")));
}

#[tokio::test]
async fn a_second_open_request_is_refused_with_the_first_ones_id() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (package, _) = offered(&world, &ada, true).await;
    world.user("uma").await;
    let uma = world.person("uma", &[]).await;
    let request = ask(&uma, &package).await;

    let body = json!({ "requestType": "userAdd", "assignment": { "accessPackageId": package } });
    let again = uma.post(&format!("{EM}/assignmentRequests"), body).await.expect(409);

    assert_eq!(again["error"]["code"], "OpenRequestExists");
    assert!(again["error"]["message"].as_str().unwrap().contains(&request));
}

#[tokio::test]
async fn access_is_given_back_and_taken_from_the_target() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (package, _) = offered(&world, &ada, false).await;
    world.user("uma").await;
    let uma = world.person("uma", &[]).await;
    ask(&uma, &package).await;
    world.work().await;
    let mine = uma.get(&format!("{EM}/assignments/filterByCurrentUser(on='target')")).await;
    let assignment = id(&mine.expect(200)["value"][0]);

    let body = json!({ "requestType": "userRemove", "assignment": { "id": assignment } });
    let removal = id(&uma.post(&format!("{EM}/assignmentRequests"), body).await.expect(201));
    world.work().await;

    assert_eq!(state(&uma, &removal).await, "delivered");
    let read = ada.get(&format!("{EM}/assignments/{assignment}")).await.expect(200);
    assert_eq!(read["state"], "expired");
}

#[tokio::test]
async fn catalog_managers_name_one_package_and_others_expand_and_page() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (package, policy) = offered(&world, &ada, false).await;
    for n in 0..5 {
        let user = world.user(&format!("p{n}")).await;
        let body = json!({ "requestType": "adminAdd", "assignment": {
            "target": { "objectId": user },
            "assignmentPolicy": { "id": policy },
            "accessPackage": { "id": package },
        } });
        ada.post(&format!("{EM}/assignmentRequests"), body).await.expect(201);
    }
    world.work().await;
    world.user("rita").await;
    let rita = world.person("rita", &["Access package assignment manager:Marketing"]).await;

    let list = format!("{EM}/assignmentRequests");
    assert_eq!(rita.get(&list).await.status, 403);
    let filter = format!("$filter=accessPackage/Id eq '{package}'");
    let page = rita.get(&format!("{list}?{filter}&$expand=accessPackage,requestor&$top=2")).await;
    let page = page.expect(200);
    assert_eq!(page["value"][0]["accessPackage"]["displayName"], "Campaign");
    assert_eq!(page["value"][0]["requestor"]["subjectType"], "user");
    let mut seen = page["value"].as_array().unwrap().len();
    let mut next = page["@odata.nextLink"].as_str().map(str::to_owned);
    while let Some(link) = next {
        let path = link.strip_prefix("http://accede.test").unwrap().to_owned();
        let page = rita.get(&path).await.expect(200);
        seen += page["value"].as_array().unwrap().len();
        next = page["@odata.nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, 5);
    assert_eq!(ada.get(&format!("{list}/$count")).await.body, json!(5));
}

#[tokio::test]
async fn incompatible_packages_bind_administrators_too_and_both_ways() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (package, policy) = offered(&world, &ada, false).await;
    let found =
        ada.get(&format!("{EM}/accessPackages/{package}?$expand=catalog")).await.expect(200);
    let catalog = id(&found["catalog"]);
    let other = ada.package(&catalog, "Audit").await;
    let other_policy = ada.open_policy(&other).await;
    let link = json!({ "@odata.id": format!("https://graph.microsoft.com/v1.0/x/{other}") });
    let path = format!("{EM}/accessPackages/{package}/incompatibleAccessPackages/$ref");
    ada.post(&path, link).await.expect(204);
    let user = world.user("uma").await;
    let add = |package: &str, policy: &str| {
        json!({ "requestType": "adminAdd", "assignment": {
            "targetId": user, "assignmentPolicyId": policy, "accessPackageId": package,
        } })
    };

    let requests = format!("{EM}/assignmentRequests");
    ada.post(&requests, add(&package, &policy)).await.expect(201);
    world.work().await;
    let refused = ada.post(&requests, add(&other, &other_policy)).await;

    assert_eq!(refused.refused(409), "IncompatibleAccess");
}

#[tokio::test]
async fn wrong_requests_name_the_property_and_the_remedy() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (package, policy) = offered(&world, &ada, false).await;
    let user = world.user("uma").await;
    let requests = format!("{EM}/assignmentRequests");
    let add = |more: Value| {
        let mut body = json!({ "requestType": "adminAdd", "assignment": {
            "targetId": user, "assignmentPolicyId": policy, "accessPackageId": package,
        } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };

    assert_eq!(ada.post(&requests, json!({})).await.wrong(), "requestType");
    assert_eq!(ada.post(&requests, json!({ "requestType": "want" })).await.wrong(), "requestType");
    let update = json!({ "requestType": "adminUpdate", "assignment": { "id": policy } });
    assert_eq!(ada.post(&requests, update).await.wrong(), "requestType");
    let unknown = add(json!({ "justificatoin": "x" }));
    assert_eq!(ada.post(&requests, unknown).await.wrong(), "justificatoin");
    let past = add(json!({ "schedule": { "expiration": {
        "type": "afterDateTime", "endDateTime": "2020-01-01T00:00:00Z" } } }));
    assert_eq!(ada.post(&requests, past).await.refused(400), "InvalidSchedule");
    let odd = add(json!({ "schedule": { "expiration": {
        "type": "afterDateTime", "endDateTime": "yesterday" } } }));
    assert_eq!(ada.post(&requests, odd).await.wrong(), "schedule.expiration.endDateTime");
    let filter = ada.get(&format!("{requests}?$filter=stat eq 'x'")).await;
    assert_eq!(filter.refused(400), "InvalidFilter");
    let malformed = ada.get(&format!("{requests}?$filter=id eq 'x'")).await;
    assert_eq!(malformed.refused(400), "InvalidFilter");
    assert_eq!(ada.get(&format!("{requests}?$top=100000")).await.status, 400);
    assert_eq!(ada.get(&format!("{requests}?$skiptoken=x")).await.status, 400);
}

#[tokio::test]
async fn a_request_sent_again_is_the_same_request() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (package, _) = offered(&world, &ada, false).await;
    world.user("uma").await;
    let uma = world.person("uma", &[]).await;
    let body = json!({ "requestType": "userAdd", "assignment": { "accessPackageId": package } });
    let requests = format!("{EM}/assignmentRequests");
    let named = uma.with("idempotency-key", "once");

    let first = id(&named.post(&requests, body.clone()).await.expect(201));
    let again = id(&named.post(&requests, body.clone()).await.expect(201));
    let other = json!({ "requestType": "userAdd", "assignment": { "accessPackageId": package },
        "justification": "else" });

    assert_eq!(first, again);
    assert_eq!(named.post(&requests, other).await.refused(422), "IdempotencyKeyReused");
    assert_eq!(uma.post(&requests, body).await.refused(409), "OpenRequestExists");
}
