//! Groups, their members and owners, and lookups of any object.

use serde_json::json;

use crate::world::{EM, World, id, names};

fn link(id: impl std::fmt::Display) -> serde_json::Value {
    json!({ "@odata.id": format!("https://graph.microsoft.com/v1.0/directoryObjects/{id}") })
}

#[tokio::test]
async fn a_group_is_made_read_changed_and_deleted() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (mira, max) = (world.user("mira").await, world.user("max").await);

    let body = json!({
        "displayName": "Crane Crew", "mailNickname": "crane-crew", "mailEnabled": false,
        "securityEnabled": true, "groupTypes": [], "description": "Who moves cranes",
        "members@odata.bind": [format!("https://graph.microsoft.com/v1.0/users/{mira}")],
        "owners@odata.bind": [format!("https://graph.microsoft.com/v1.0/users/{max}")],
    });
    let made = ada.post("/v1.0/groups", body).await.expect(201);
    assert_eq!(made["securityEnabled"], true);
    let path = format!("/v1.0/groups/{}", id(&made));
    assert_eq!(names(&ada.get(&format!("{path}/members")).await.expect(200)), ["mira"]);
    assert_eq!(names(&ada.get(&format!("{path}/owners")).await.expect(200)), ["max"]);

    ada.patch(&path, json!({ "description": null, "visibility": "private" })).await.expect(204);
    let read = ada.get(&format!("{path}?$expand=members($select=id)")).await.expect(200);
    assert_eq!(read["description"], json!(null));
    assert_eq!(read["visibility"], "Private");
    assert_eq!(read["members"][0]["id"], json!(mira));
    let found = ada.get("/v1.0/groups?$filter=displayName eq 'crane crew'").await.expect(200);
    assert_eq!(names(&found), ["Crane Crew"]);

    ada.delete(&path).await.expect(204);
    assert_eq!(ada.get(&path).await.refused(404), "Request_ResourceNotFound");
    assert_eq!(ada.delete(&path).await.refused(404), "Request_ResourceNotFound");
}

#[tokio::test]
async fn members_come_and_go_by_reference() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (mira, max) = (world.user("mira").await, world.user("max").await);
    let crew = world.group("Crew", &[], &[]).await;
    let other = world.group("Other", &[], &[]).await;
    let members = format!("/v1.0/groups/{crew}/members");
    let refs = format!("{members}/$ref");

    ada.post(&refs, link(mira)).await.expect(204);
    ada.post(&refs, link(max)).await.expect(204);
    assert_eq!(ada.post(&refs, link(mira)).await.refused(409), "DuplicateKey");
    assert_eq!(ada.post(&refs, link(other)).await.wrong(), "members");
    assert_eq!(
        ada.post(&refs, link(uuid::Uuid::nil())).await.refused(404),
        "Request_ResourceNotFound"
    );
    assert_eq!(ada.post(&refs, json!({})).await.wrong(), "@odata.id");
    assert_eq!(names(&ada.get(&members).await.expect(200)), ["max", "mira"]);
    assert_eq!(ada.get(&format!("{members}/$count")).await.expect(200), json!(2));
    let listed = ada.get(&refs).await.expect(200);
    assert!(listed["value"][0]["@odata.id"].as_str().unwrap().contains(&max.to_string()));

    ada.delete(&format!("{members}/{mira}/$ref")).await.expect(204);
    let gone = ada.delete(&format!("{members}/{mira}/$ref")).await.refused(404);
    assert_eq!(gone, "Request_ResourceNotFound");
    let by_link = format!("{refs}?@id=https://graph.microsoft.com/v1.0/users/{max}");
    ada.delete(&by_link).await.expect(204);
    assert_eq!(ada.delete(&refs).await.refused(400), "BadRequest");
    assert!(names(&ada.get(&members).await.expect(200)).is_empty());
}

#[tokio::test]
async fn an_owner_manages_the_members_of_their_group_only() {
    let world = World::new().await;
    let (olga, mira) = (world.user("olga").await, world.user("mira").await);
    let own = world.group("Own", &[], &[olga]).await;
    let other = world.group("Other", &[], &[]).await;
    let door = world.person("olga", &[]).await;

    door.post(&format!("/v1.0/groups/{own}/members/$ref"), link(mira)).await.expect(204);
    door.delete(&format!("/v1.0/groups/{own}/members/{mira}/$ref")).await.expect(204);
    let refused = door.post(&format!("/v1.0/groups/{other}/members/$ref"), link(mira)).await;
    assert_eq!(refused.refused(403), "Authorization_RequestDenied");
}

#[tokio::test]
async fn a_group_that_a_catalog_holds_stays() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let crew = world.group("Crew", &[], &[]).await;
    let catalog = ada.catalog("Docks").await;
    ada.resource(&catalog, "AadGroup", &crew.to_string()).await;

    let path = format!("/v1.0/groups/{crew}");
    assert_eq!(ada.delete(&path).await.refused(409), "GroupInUse");

    let resources = ada.get(&format!("{EM}/catalogs/{catalog}/resources")).await.expect(200);
    let body = json!({
        "requestType": "adminRemove", "catalog": { "id": catalog },
        "resource": { "id": resources["value"][0]["id"] },
    });
    ada.post(&format!("{EM}/resourceRequests"), body).await.expect(201);
    ada.delete(&path).await.expect(204);
}

#[tokio::test]
async fn other_kinds_of_groups_are_refused_by_name() {
    let world = World::new().await;
    let ada = world.administrator().await;
    for (name, value) in [
        ("mailEnabled", json!(true)),
        ("securityEnabled", json!(false)),
        ("groupTypes", json!(["Unified"])),
        ("membershipRule", json!("user.department -eq \"Docks\"")),
        ("visibility", json!("Secret")),
        ("mailNickname", json!("crane crew")),
        ("members@odata.bind", json!("x")),
        ("colour", json!("red")),
    ] {
        let mut body = json!({ "displayName": "Crew" });
        body[name] = value;
        assert_eq!(ada.post("/v1.0/groups", body).await.wrong(), name);
    }
}

#[tokio::test]
async fn objects_of_any_type_are_looked_up_by_id() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let mira = world.user("mira").await;
    let crew = world.group("Crew", &[], &[]).await;

    let ids = json!({ "ids": [mira, crew, uuid::Uuid::nil()] });
    let found = ada.post("/v1.0/directoryObjects/getByIds", ids).await.expect(200);
    assert_eq!(found["value"][0]["@odata.type"], "#microsoft.graph.user");
    assert_eq!(found["value"][1]["@odata.type"], "#microsoft.graph.group");
    assert_eq!(names(&found), ["mira", "Crew"]);
    let ids = json!({ "ids": [mira, crew], "types": ["group"] });
    let found = ada.post("/v1.0/directoryObjects/getByIds", ids).await.expect(200);
    assert_eq!(names(&found), ["Crew"]);
    let many = json!({ "ids": vec![mira.to_string(); 1_001] });
    assert_eq!(ada.post("/v1.0/directoryObjects/getByIds", many).await.wrong(), "ids");

    let subject = ada.get(&format!("{EM}/subjects(objectId='{mira}')")).await.expect(200);
    assert_eq!(subject["principalName"], "mira@harbourline.example");
    let again = ada.get(&format!("{EM}/subjects/{}", id(&subject))).await.expect(200);
    assert_eq!(again["objectId"], json!(mira));
}
