//! Target systems: what goes in, what comes out, and what never does.

use accede_app::Settings;
use accede_domain::SignedDuration;
use accede_domain::retry::Retry;
use serde_json::{Value, json};

use crate::world::{EM, OURS, World, id, names};

#[tokio::test]
async fn a_target_is_connected_checked_changed_and_deleted() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let path = format!("{OURS}/targets");
    let body = json!({
        "name": "hr", "displayName": "Human Resources", "kind": "chaos",
        "settings": { "name": "connected", "concurrency": 3, "resources": ["staff", "leads"] },
    });

    let answer = ada.post(&path, body).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let made = answer.expect(201);
    assert_eq!(made["settings"]["concurrency"], 3);
    assert_eq!(made["check"], serde_json::Value::Null);
    assert_eq!(made["secrets"], json!({}));
    let one = format!("{path}/{}", id(&made));
    let check = ada.act(&format!("{one}/check")).await.expect(200);
    assert_eq!(check["ok"], true);
    assert_eq!(ada.get(&format!("{path}/hr")).await.expect(200)["check"]["ok"], true);
    let found = ada.get(&format!("{one}/discover?search=sta")).await.expect(200);
    assert_eq!(found["value"][0]["originId"], "staff");
    assert_eq!(found["value"][0]["roles"][0]["originId"], "Member_staff");

    let change =
        json!({ "settings": { "concurrency": "5", "latencyMs": 1 }, "description": "People" });
    let changed = ada.patch(&one, change).await.expect(200);
    assert_eq!(changed["settings"]["concurrency"], 5);
    assert_eq!(changed["settings"]["name"], "connected");
    let change = json!({ "settings": { "latencyMs": null }, "description": null });
    let changed = ada.patch(&one, change).await.expect(200);
    assert!(changed["settings"].get("latencyMs").is_none());
    assert_eq!(changed["description"], serde_json::Value::Null);
    assert_eq!(ada.patch(&one, json!({ "name": "x" })).await.wrong(), "name");
    assert_eq!(
        ada.patch(&one, json!({ "settings": { "colour": 1 } })).await.wrong(),
        "settings.colour"
    );
    ada.delete(&one).await.expect(204);
    assert_eq!(ada.get(&one).await.status, 404);
}

#[tokio::test]
async fn a_target_that_does_not_answer_is_an_answer() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let wiki = world.target(&ada, "wiki").await;
    wiki.break_down("http-503", "the wiki is being mended");

    let check = ada.act(&format!("{OURS}/targets/wiki/check")).await.expect(200);

    assert_eq!(check["ok"], false);
    assert!(check["message"].as_str().unwrap().contains("the wiki is being mended"));
    let answer = ada.get(&format!("{OURS}/targets/wiki/discover")).await;
    assert_eq!(answer.refused(422), "TargetSystemFault");
}

#[tokio::test]
async fn names_are_slugs_unique_and_not_graphs_own() {
    let world = World::new().await;
    let ada = world.administrator().await;
    world.target(&ada, "hr").await;
    let path = format!("{OURS}/targets");
    let named = |name: &str| json!({ "name": name, "kind": "chaos" });

    assert_eq!(ada.post(&path, named("hr")).await.refused(409), "DuplicateKey");
    for name in ["HR", "h r", "aadgroup", "directory", "_"] {
        assert_eq!(ada.post(&path, named(name)).await.wrong(), "name", "{name}");
    }
    let odd = json!({ "name": "x", "kind": "scum" });
    assert_eq!(ada.post(&path, odd).await.wrong(), "kind");
    let directory = json!({ "name": "x", "kind": "directory" });
    assert_eq!(ada.post(&path, directory).await.wrong(), "kind");
    let fast = json!({ "name": "x", "kind": "chaos", "settings": { "concurrency": 0 } });
    assert_eq!(ada.post(&path, fast).await.wrong(), "settings.concurrency");
}

#[tokio::test]
async fn the_waits_of_a_target_go_with_those_of_the_server() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let path = format!("{OURS}/targets");
    let with = |settings: Value| json!({ "name": "x", "kind": "chaos", "settings": settings });

    for (settings, wrong) in [
        (json!({ "retryBase": "5 s" }), "settings.retryBase"),
        (json!({ "retryWindow": "P91D" }), "settings.retryWindow"),
        (json!({ "retryBase": "PT10S", "retryCap": "PT9S" }), "settings.retryCap"),
        // The server's own first wait is longer than that.
        (json!({ "retryCap": "PT2S" }), "settings.retryCap"),
    ] {
        assert_eq!(ada.post(&path, with(settings)).await.wrong(), wrong);
    }
    let made = ada.post(&path, with(json!({ "retryBase": "PT1S", "retryCap": "PT2S" }))).await;
    assert_eq!(made.expect(201)["settings"]["retryCap"], "PT2S");
    let change = json!({ "settings": { "retryBase": null } });
    assert_eq!(ada.patch(&format!("{path}/x"), change).await.wrong(), "settings.retryCap");

    let retry = Retry { base: SignedDuration::from_secs(1), ..Retry::default() };
    let world = World::with(Settings { retry, ..Settings::default() }).await;
    let ada = world.administrator().await;
    ada.post(&path, with(json!({ "retryCap": "PT2S" }))).await.expect(201);
}

#[tokio::test]
async fn the_built_in_directory_is_there_and_stays() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let group = world.group("Crew", &[], &[]).await;

    let all = ada.get(&format!("{OURS}/targets")).await.expect(200);
    assert_eq!(all["value"][0]["name"], "AadGroup");
    assert_eq!(all["value"][0]["isBuiltIn"], true);
    let found = ada.get(&format!("{OURS}/targets/aadgroup/discover?search=cre")).await.expect(200);
    assert_eq!(found["value"][0]["originId"], group.to_string());
    let path = format!("{OURS}/targets/AadGroup");
    assert_eq!(ada.delete(&path).await.refused(409), "BuiltInTarget");
    let change = json!({ "settings": { "x": 1 } });
    assert_eq!(ada.patch(&path, change).await.refused(409), "BuiltInTarget");
    assert_eq!(ada.act(&format!("{path}/check")).await.expect(200)["ok"], true);
}

#[tokio::test]
async fn a_target_in_use_stays() {
    let world = World::new().await;
    let ada = world.administrator().await;
    world.target(&ada, "wiki").await;
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, "wiki", "editors").await;

    let answer = ada.delete(&format!("{OURS}/targets/wiki")).await;
    assert_eq!(answer.refused(409), "TargetHasResources");
}

#[tokio::test]
async fn a_paused_target_rests_until_it_is_resumed() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let wiki = world.target(&ada, "wiki").await;
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, "wiki", "editors").await;
    let package = ada.package(&catalog, "Campaign").await;
    ada.role(&catalog, &package, "editors").await;
    let policy = ada.open_policy(&package).await;
    let uma = world.user("uma").await;

    let paused = ada.act(&format!("{OURS}/targets/wiki/pause")).await.expect(200);
    assert_eq!(paused["isPaused"], true);
    let request = json!({
        "requestType": "adminAdd",
        "assignment": { "targetId": uma, "assignmentPolicyId": policy, "accessPackageId": package },
    });
    ada.post(&format!("{EM}/assignmentRequests"), request).await.expect(201);
    world.work().await;
    assert_eq!(wiki.truth().len(), 0);
    let waiting = ada.get(&format!("{OURS}/targets/wiki")).await.expect(200);
    assert_eq!(waiting["backlog"]["due"], 1);
    assert_eq!(waiting["backlog"]["oldestDateTime"], "2026-03-02T08:00:00Z");

    let resumed = ada.act(&format!("{OURS}/targets/wiki/resume")).await.expect(200);
    assert_eq!(resumed["isPaused"], false);
    world.work().await;
    assert_eq!(wiki.truth().len(), 1);
    let rested = ada.get(&format!("{OURS}/targets/wiki")).await.expect(200);
    assert_eq!(rested["backlog"]["due"], 0);
}

#[tokio::test]
async fn only_those_who_may_change_targets_see_their_settings() {
    let world = World::new().await;
    let ada = world.administrator().await;
    world.target(&ada, "wiki").await;
    ada.catalog("Marketing").await;
    world.user("olga").await;
    world.user("sam").await;
    let olga = world.person("olga", &["Catalog owner:Marketing"]).await;
    let sam = world.person("sam", &[]).await;
    let path = format!("{OURS}/targets/wiki");

    let seen = olga.get(&path).await.expect(200);
    assert!(seen.get("settings").is_none() && seen.get("secrets").is_none());
    assert_eq!(olga.patch(&path, json!({ "displayName": "x" })).await.status, 403);
    assert_eq!(olga.act(&format!("{path}/check")).await.status, 403);
    assert_eq!(olga.act(&format!("{path}/pause")).await.status, 403);
    assert_eq!(olga.get(&format!("{path}/discover")).await.status, 403);
    assert_eq!(olga.get(&format!("{OURS}/targets/AadGroup/discover")).await.status, 200);
    ada.patch(&path, json!({ "catalogOwnersMayAdd": true })).await.expect(200);
    olga.get(&format!("{path}/discover")).await.expect(200);
    assert_eq!(sam.get(&path).await.status, 403);
    assert_eq!(sam.get(&format!("{OURS}/targets")).await.status, 403);
    assert_eq!(world.nobody().get(&path).await.status, 401);
}

#[tokio::test]
async fn targets_are_listed_by_name() {
    let world = World::new().await;
    let ada = world.administrator().await;
    for name in ["wiki", "hr"] {
        world.target(&ada, name).await;
    }

    let all =
        ada.get(&format!("{OURS}/targets?$filter=kind eq 'chaos'&$count=true")).await.expect(200);
    assert_eq!(names(&all), ["hr", "wiki"]);
    assert_eq!(all["@odata.count"], 2);
    assert!(all.get("@odata.context").is_none());
}

/// Settings and secrets of a directory that is never called.
fn ldap(password: &str) -> serde_json::Value {
    json!({
        "name": "ldap", "kind": "ldap",
        "settings": {
            "url": "ldaps://ldap.example", "bindDn": "cn=accede,dc=example",
            "peopleBase": "ou=people,dc=example", "groupsBase": "ou=groups,dc=example", "groupKind": "groupOfNames",
        },
        "secrets": { "bindPassword": password },
    })
}

/// Everything that the database holds in text or bytes about targets.
async fn kept(world: &World) -> Vec<u8> {
    world
        .store
        .read(async |tx| {
            let mut all = Vec::new();
            for row in
                tx.query("select secrets from targets where secrets is not null", &[]).await?
            {
                all.extend(row.get::<Vec<u8>>(0)?);
            }
            for row in tx.query("select detail from audit", &[]).await? {
                all.extend(row.get::<String>(0)?.into_bytes());
            }
            Ok::<_, accede_store::Error>(all)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn secrets_go_in_and_never_come_out() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let path = format!("{OURS}/targets");
    const CANARY: &str = "hunter2-canary";

    let made = ada.post(&path, ldap(CANARY)).await.expect(201);

    assert_eq!(made["secrets"], json!({ "bindPassword": { "isSet": true } }));
    assert!(!made.to_string().contains(CANARY));
    let before = kept(&world).await;
    assert!(!before.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    let one = format!("{path}/ldap");
    let read = ada.get(&one).await.expect(200);
    assert!(!read.to_string().contains(CANARY));
    // What a read answers can be sent back: nothing changes.
    let back = json!({ "secrets": read["secrets"], "settings": read["settings"] });
    let same = ada.patch(&one, back).await.expect(200);
    assert_eq!(same["secrets"], read["secrets"]);
    let odd = json!({ "secrets": { "password": "x" } });
    assert_eq!(ada.patch(&one, odd).await.wrong(), "secrets.password");
    let odd = json!({ "secrets": { "bindPassword": 7 } });
    assert_eq!(ada.patch(&one, odd).await.wrong(), "secrets.bindPassword");
    // That one is not set is not said in this way: it would be believed to be taken away.
    for odd in [json!({ "isSet": false }), json!({}), json!({ "isSet": true, "x": 1 })] {
        let odd = json!({ "secrets": { "bindPassword": odd } });
        assert_eq!(ada.patch(&one, odd).await.wrong(), "secrets.bindPassword");
    }
    let changed = json!({ "secrets": { "bindPassword": "another-canary" } });
    let answer = ada.patch(&one, changed).await.expect(200).to_string();
    assert!(!answer.contains("another-canary"));
    let after = kept(&world).await;
    assert!(!after.windows(14).any(|window| window == b"another-canary"));
    assert_ne!(before, after);
}

#[tokio::test]
async fn addresses_that_nobody_may_reach_are_refused_when_they_are_written() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let mut body = ldap("x");
    body["settings"]["url"] = json!("ldaps://169.254.169.254");

    let answer = ada.post(&format!("{OURS}/targets"), body).await;

    assert_eq!(answer.wrong(), "settings.url");
}

#[tokio::test]
async fn who_may_not_see_the_deployment_is_told_what_they_lack_and_not_what_they_have() {
    let world = World::new().await;
    world.user("lee").await;
    let lee = world.person("lee", &["Catalog reader:General"]).await;

    lee.get(&format!("{OURS}/targets")).await.expect(200);
    for path in ["deployment", "deployment/differences"] {
        let body = lee.get(&format!("{OURS}/{path}")).await.expect(403);
        let said = body["error"]["message"].as_str().unwrap();
        assert!(said.contains("a directory role that reads every catalog"), "{said}");
    }
}
