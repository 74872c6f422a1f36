//! Who has an access package, in the portal, as a browser without scripts meets the page.

use serde_json::json;

use crate::portal::Reader;
use crate::world::{Door, EM, World};

/// A package of the catalog Marketing that kim, lee and O'Neil have.
async fn held(world: &World) -> (Door<'_>, String) {
    let ada = world.administrator().await;
    world.target(&ada, "wiki").await;
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, "wiki", "news").await;
    let package = ada.package(&catalog, "Campaign").await;
    ada.role(&catalog, &package, "news").await;
    ada.open_policy(&package).await;
    for name in ["kim", "lee", "o'neil"] {
        world.user(name).await;
        let asked =
            json!({ "requestType": "userAdd", "assignment": { "accessPackageId": package } });
        let person = world.person(name, &[]).await;
        person.post(&format!("{EM}/assignmentRequests"), asked).await.expect(201);
    }
    world.work().await;
    (ada, package)
}

fn ids(html: &str) -> Vec<String> {
    let parts = html.split("name=\"id\" value=\"").skip(1);
    parts.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_list_is_narrowed_by_person_and_state() {
    let world = World::new().await;
    let (_, package) = held(&world).await;
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let tab = format!("/governance/packages/{package}/assignments");

    rita.get(&tab).await.answers(200, &["kim", "lee", "3 of 3 shown"]);
    let narrowed = rita.get(&format!("{tab}?text=KIM")).await;
    narrowed.answers(200, &[">kim<span", "1 of 1 shown", "value=\"KIM\""]);
    narrowed.hides(&[">lee<span"]);
    let quote = rita.get(&format!("{tab}?text=O%27Nei")).await;
    quote.answers(200, &["1 of 1 shown"]);
    rita.get(&format!("{tab}?state=delivered")).await.answers(200, &["3 of 3 shown"]);
    let none = rita.get(&format!("{tab}?state=expired")).await;
    none.answers(200, &["No assignment matches these filters.", "Show all assignments"]);
    rita.get(&format!("{tab}?state=nonsense")).await.answers(200, &["3 of 3 shown"]);
}

#[tokio::test]
async fn what_is_ticked_is_reprocessed_and_what_is_not_delivered_is_told() {
    let world = World::new().await;
    let (_, package) = held(&world).await;
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let tab = format!("/governance/packages/{package}/assignments");
    let form = format!("{tab}/reprocess");

    let listed = ids(&rita.get(&tab).await.html);
    assert_eq!(listed.len(), 3);
    let to = rita.post(&form, &[("state", "delivered")]).await.leads();
    assert!(to.contains("state=delivered"), "the list stays narrowed: {to}");
    rita.get(&to).await.answers(200, &["Nothing was selected"]);

    let ticked = [("id", listed[0].as_str()), ("id", listed[1].as_str())];
    let to = rita.post(&form, &ticked).await.leads();
    rita.get(&to).await.answers(200, &["Every role of 2 assignments is being looked up"]);
    world.work().await;

    let remove = format!("{tab}/{}/remove", listed[2]);
    rita.post(&remove, &[]).await.leads();
    world.work().await;
    let ticked = [("id", listed[0].as_str()), ("id", listed[2].as_str())];
    let to = rita.post(&form, &ticked).await.leads();
    rita.get(&to).await.answers(200, &["1 of 2 assignments are being looked up"]);

    let many: Vec<_> = (0..201).map(|_| ("id", listed[0].as_str())).collect();
    rita.post(&form, &many).await.answers(400, &["200"]);
    let reader = Reader::new(&world, "rea", &["Catalog reader:Marketing"]).await;
    let refused = reader.post(&form, &ticked).await;
    refused.answers(403, &["It is in the catalog Marketing", "ask an owner of Marketing"]);
    reader.get(&tab).await.hides(&["name=\"id\""]);
}
