//! How what is not delivered develops, and how long a target takes for what waits.

use serde_json::{Value, json};

use crate::portal::Reader;
use crate::world::{Door, EM, OURS, World, id};

/// A package of two targets, of which `crm` refuses everybody.
async fn set(world: &World) -> (Door<'_>, String) {
    let ada = world.administrator().await;
    world.target(&ada, "wiki").await;
    let crm = world.target(&ada, "crm").await;
    crm.refuse("http-402", "no seat is left");
    let catalog = ada.catalog("Marketing").await;
    let package = ada.package(&catalog, "Seats").await;
    for name in ["wiki", "crm"] {
        ada.resource(&catalog, name, name).await;
        ada.role(&catalog, &package, name).await;
    }
    ada.open_policy(&package).await;
    (ada, package)
}

async fn ask(world: &World, name: &str, package: &str) {
    world.user(name).await;
    let asked = json!({ "requestType": "userAdd", "assignment": { "accessPackageId": package } });
    let person = world.person(name, &[]).await;
    person.post(&format!("{EM}/assignmentRequests"), asked).await.expect(201);
}

async fn cause(ada: &Door<'_>) -> Value {
    ada.get(&format!("{OURS}/failures")).await.expect(200)["value"][0].clone()
}

#[tokio::test]
async fn a_cause_is_new_until_it_held_something_up_the_day_before() {
    let world = World::new().await;
    let (ada, package) = set(&world).await;
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let page = "/governance/failures";
    world.app.note_causes().await.unwrap();
    ask(&world, "kim", &package).await;
    world.work().await;

    let new = cause(&ada).await;
    assert_eq!((&new["isNew"], &new["trend"]["direction"]), (&json!(true), &json!("rising")));
    let shown = rita.get(page).await;
    shown.answers(200, &["New since yesterday"]);
    shown.hides(&["class=\"trend\""]);

    world.later(1);
    world.app.note_causes().await.unwrap();
    rita.get(page)
        .await
        .answers(200, &["class=\"trend\"", "at most 1 role, now 1: more than a day"]);
    world.later(30);
    world.app.note_causes().await.unwrap();
    let old = cause(&ada).await;
    assert_eq!((&old["isNew"], &old["trend"]["direction"]), (&json!(false), &json!("steady")));
    let hours = old["trend"]["hours"].as_array().unwrap();
    let counts: Vec<_> = hours.iter().map(|hour| hour["deliveries"].as_i64().unwrap()).collect();
    assert_eq!(counts, [0, 1, 1]);
    assert_eq!(hours[1]["startDateTime"], "2026-03-02T09:00:00Z");
    rita.get(page).await.hides(&["New since yesterday"]);

    ask(&world, "lee", &package).await;
    world.work().await;
    assert_eq!(cause(&ada).await["trend"]["direction"], "rising");

    // Two weeks later nobody knows any more.
    world.later(24 * 15);
    world.app.note_causes().await.unwrap();
    let later = cause(&ada).await;
    assert_eq!(later["trend"]["hours"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_target_tells_how_long_it_takes_for_what_waits() {
    let world = World::new().await;
    let (ada, package) = set(&world).await;
    let listed = ada.get(&format!("{OURS}/targets?$filter=name eq 'wiki'")).await.expect(200);
    let wiki = id(&listed["value"][0]);
    let path = format!("{OURS}/targets/{wiki}");
    for name in ["kim", "lee", "mo"] {
        ask(&world, name, &package).await;
    }
    world.work().await;
    world.app.note_paces().await.unwrap();
    assert_eq!(ada.get(&path).await.expect(200)["drain"], json!(null), "nothing waits");

    ask(&world, "nia", &package).await;
    let drain = ada.get(&path).await.expect(200)["drain"].clone();
    assert_eq!(drain, json!({ "deliveriesPerHour": 180, "estimatedSeconds": 20 }));
    let gil = Reader::new(&world, "gil", &["Global Administrator"]).await;
    let page = format!("/governance/targets/{wiki}");
    gil.get(&page).await.answers(200, &["done in about 20 seconds, at 180 roles an hour"]);

    ada.act(&format!("{path}/pause")).await;
    assert_eq!(ada.get(&path).await.expect(200)["drain"], json!(null), "nothing is sent");
    ada.act(&format!("{path}/resume")).await;
    world.later(1);
    assert_eq!(ada.get(&path).await.expect(200)["drain"], json!(null), "nothing was done lately");
    world.work().await;
}
