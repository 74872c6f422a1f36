//! Held changes over the API and in the portal.

use serde_json::{Value, json};

use crate::portal::Reader;
use crate::world::{Door, EM, OURS, World, id};

const MANY: usize = 30;

/// A package that `MANY` people have, and its only role.
async fn held_by_many(world: &World, ada: &Door<'_>) -> (String, String, String) {
    world.target(ada, "wiki").await;
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, "wiki", "news").await;
    let package = ada.package(&catalog, "Campaign").await;
    let role = id(&ada.role(&catalog, &package, "news").await);
    let policy = ada.open_policy(&package).await;
    for n in 0..MANY {
        let person = world.user(&format!("p{n}")).await;
        let body = json!({
            "requestType": "adminAdd",
            "assignment": {
                "targetId": person, "assignmentPolicyId": policy, "accessPackageId": package,
            },
        });
        ada.post(&format!("{EM}/assignmentRequests"), body).await.expect(201);
    }
    world.work().await;
    (catalog, package, role)
}

async fn remove_role(ada: &Door<'_>, package: &str, role: &str) -> Value {
    let path = format!("{EM}/accessPackages/{package}/resourceRoleScopes/{role}");
    ada.delete(&path).await.expect(204);
    ada.get(&format!("{OURS}/guards")).await.expect(200)["value"][0].clone()
}

#[tokio::test]
async fn a_held_change_is_shown_and_decided_by_a_second_person_only() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (catalog, package, role) = held_by_many(&world, &ada).await;
    world.user("bo").await;
    let bo = world.person("bo", &["Access package manager:Marketing"]).await;

    let guard = remove_role(&ada, &package, &role).await;
    assert_eq!((&guard["state"], &guard["cause"]), (&json!("held"), &json!("packageRoles")));
    assert_eq!(guard["accessPackage"]["displayName"], "Campaign");
    assert_eq!(guard["accessPackage"]["catalogId"], catalog.as_str());
    assert_eq!(guard["roles"][0]["change"], "removed");
    assert_eq!(guard["targets"][0]["revocations"], MANY);
    assert_eq!(guard["mayDecide"], false);
    let spread = format!("{OURS}/accessPackages/{package}/roleSpread");
    let spread = ada.get(&spread).await.expect(200);
    assert_eq!((&spread["state"], &spread["guardId"]), (&json!("held"), &guard["id"]));
    assert_eq!(spread["reached"], 0);

    let path = format!("{OURS}/guards/{}", id(&guard));
    assert_eq!(bo.get(&path).await.expect(200)["mayDecide"], true);
    let own = ada.post(&format!("{path}/release"), Value::Null).await;
    let why = own.expect(403)["error"]["message"].to_string();
    assert!(why.contains("a second person"), "{why}");
    let robot = world.application("robot", &["EntitlementManagement.ReadWrite.All"]).await;
    let why = robot.post(&format!("{path}/release"), Value::Null).await.expect(403);
    assert!(why["error"]["message"].to_string().contains("a signed-in person"), "{why}");
    let wrong = json!({ "justification": "x".repeat(4_001) });
    assert_eq!(bo.post(&format!("{path}/release"), wrong).await.wrong(), "justification");
    assert_eq!(bo.post(&format!("{path}/release"), json!({ "why": "x" })).await.status, 400);

    let done = bo.post(&format!("{path}/reject"), json!({ "justification": "no" })).await;
    let done = done.expect(200);
    assert_eq!((&done["state"], &done["justification"]), (&json!("rejected"), &json!("no")));
    let again = bo.post(&format!("{path}/release"), Value::Null).await;
    assert_eq!(again.refused(409), "HeldChangeDecided");
    let given = ada.get(&format!("{EM}/accessPackages/{package}/resourceRoleScopes")).await;
    assert_eq!(given.expect(200)["value"][0]["id"], role.as_str());
    world.work().await;
    let metrics = world.app.health().await.unwrap();
    assert_eq!(metrics.held, (0, None));
}

#[tokio::test]
async fn the_portal_says_what_is_held_where_it_concerns_somebody() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (_, package, role) = held_by_many(&world, &ada).await;
    let guard = id(&remove_role(&ada, &package, &role).await);
    let bo = Reader::new(&world, "bo", &["Global Administrator"]).await;
    let olga = Reader::new(&world, "olga", &["Catalog reader:Marketing"]).await;
    let page = format!("/governance/held/{guard}");

    let roles = format!("/governance/packages/{package}/roles");
    bo.get(&roles).await.answers(200, &["waits for a second person", &page]);
    let targets = ada.get(&format!("{OURS}/targets?$filter=name eq 'wiki'")).await.expect(200);
    let target = format!("/governance/targets/{}", id(&targets["value"][0]));
    bo.get(&target).await.answers(200, &["30 roles taken, 0 roles given", "/governance/held"]);
    bo.get("/governance/held").await.answers(200, &["Changed resource roles of Campaign", "Held"]);
    olga.get(&page).await.answers(200, &["Removed: Member of", "did not cause it"]);
    olga.post(&format!("{page}/release"), &[("version", "1")]).await.answers(403, &["needs"]);

    bo.get(&page).await.answers(200, &["Release the change", "Reject the change"]);
    let stale = bo.post(&format!("{page}/release"), &[("version", "7")]).await;
    stale.answers(412, &["changed by somebody else"]);
    let fields = [("version", "1"), ("justification", "It is <meant>.")];
    let released = bo.post(&format!("{page}/release"), &fields).await;
    assert_eq!(released.leads(), format!("{page}?done=released"));
    bo.get(&released.leads()).await.answers(200, &["Released", "It is &#60;meant&#62;."]);
    let again = bo.post(&format!("{page}/reject"), &fields).await;
    again.answers(409, &["no longer held"]);
    world.work().await;
    bo.get(&roles).await.answers(200, &["gives nothing yet"]);
}
