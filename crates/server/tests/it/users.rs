//! Users, `me`, and what stands around them.

use serde_json::json;

use crate::world::{World, id, names};

const LONG: &str = "correct horse battery staple";

#[tokio::test]
async fn a_user_is_made_read_changed_and_deleted() {
    let world = World::new().await;
    let ada = world.administrator().await;

    let body = json!({
        "accountEnabled": true, "displayName": "Mira Okafor", "mailNickname": "mira",
        "userPrincipalName": "mira@harbourline.example", "jobTitle": "Planner",
        "passwordProfile": { "forceChangePasswordNextSignIn": true, "password": LONG },
    });
    let made = ada.post("/v1.0/users", body).await.expect(201);
    assert_eq!(made["userType"], "Member");
    assert_eq!(made["createdDateTime"], "2026-03-02T08:00:00Z");
    assert!(!made.to_string().contains("battery"));

    let by_name = ada.get("/v1.0/users/MIRA@harbourline.example").await.expect(200);
    assert_eq!(by_name["id"], made["id"]);
    let path = format!("/v1.0/users/{}", id(&made));
    let change = json!({ "jobTitle": null, "department": "Docks", "accountEnabled": "false" });
    ada.patch(&path, change).await.expect(204);
    let read = ada.get(&format!("{path}?$select=jobTitle,department,accountEnabled")).await;
    let read = read.expect(200);
    assert_eq!(read["jobTitle"], json!(null));
    assert_eq!(read["department"], "Docks");
    assert_eq!(read["accountEnabled"], false);
    assert!(read.get("mail").is_none());

    ada.delete(&path).await.expect(204);
    assert_eq!(ada.get(&path).await.refused(404), "Request_ResourceNotFound");
    let again = json!({
        "displayName": "Mira Two", "userPrincipalName": "mira@harbourline.example",
    });
    ada.post("/v1.0/users", again).await.expect(201);
}

#[tokio::test]
async fn what_is_wrong_with_a_user_is_named() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let with = |name: &str, value: serde_json::Value| {
        let mut body = json!({
            "displayName": "Mira", "userPrincipalName": "mira@harbourline.example",
        });
        body[name] = value;
        body
    };

    for (name, value, target) in [
        ("displayName", json!(""), "displayName"),
        ("displayName", json!("a\u{7}b"), "displayName"),
        ("displayName", json!("x".repeat(257)), "displayName"),
        ("userPrincipalName", json!("mira"), "userPrincipalName"),
        ("userPrincipalName", json!("mi ra@harbourline.example"), "userPrincipalName"),
        ("mail", json!("nowhere"), "mail"),
        ("userType", json!("Robot"), "userType"),
        ("accountEnabled", json!("perhaps"), "accountEnabled"),
        ("passwordProfile", json!({ "password": "short" }), "passwordProfile.password"),
        ("shoeSize", json!(43), "shoeSize"),
        (
            "manager@odata.bind",
            json!("https://graph.microsoft.com/v1.0/users/x"),
            "manager@odata.bind",
        ),
    ] {
        let answer = ada.post("/v1.0/users", with(name, value.clone())).await;
        assert_eq!(answer.wrong(), target, "{name} = {value}");
    }
    let nobody = "https://graph.microsoft.com/v1.0/users/5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004";
    let answer = ada.post("/v1.0/users", with("manager@odata.bind", json!(nobody))).await;
    assert_eq!(answer.refused(404), "Request_ResourceNotFound");
    ada.post("/v1.0/users", with("mail", json!(null))).await.expect(201);
    let twice =
        ada.post("/v1.0/users", with("userPrincipalName", json!("Mira@HARBOURLINE.example")));
    assert_eq!(twice.await.refused(409), "DuplicateKey");
}

#[tokio::test]
async fn a_create_that_is_sent_again_makes_one_user() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let once = ada.with("idempotency-key", "k-1");
    let body = json!({ "displayName": "Mira", "userPrincipalName": "mira@harbourline.example" });

    let first = once.post("/v1.0/users", body.clone()).await.expect(201);
    let second = once.post("/v1.0/users", body).await.expect(201);

    assert_eq!(first["id"], second["id"]);
}

#[tokio::test]
async fn lists_are_filtered_searched_counted_paged_and_expanded() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let boss = world.user("boss").await;
    for name in ["mira", "max", "olga"] {
        world.user(name).await;
        let path = format!("/v1.0/users/{name}@harbourline.example/manager/$ref");
        let link = json!({ "@odata.id": format!("https://graph.microsoft.com/v1.0/users/{boss}") });
        ada.put(&path, link).await.expect(204);
    }

    let list = |query: &'static str| ada.get(query);
    let page =
        list("/v1.0/users?$filter=startswith(displayName,'M')&$count=true").await.expect(200);
    assert_eq!(names(&page), ["max", "mira"]);
    assert_eq!(page["@odata.count"], 2);
    let page = list("/v1.0/users?$search=\"displayName:olg\"").await.expect(200);
    assert_eq!(names(&page), ["olga"]);
    let page = list("/v1.0/users?$filter=userPrincipalName eq 'OLGA@harbourline.example'")
        .await
        .expect(200);
    assert_eq!(names(&page), ["olga"]);
    assert_eq!(list("/v1.0/users/$count").await.expect(200), json!(5));

    let page = list("/v1.0/users?$top=2&$expand=manager($select=displayName)").await.expect(200);
    assert_eq!(names(&page), ["ada", "boss"]);
    let next = page["@odata.nextLink"].as_str().unwrap().replace("http://accede.test", "");
    let page = ada.get(&next).await.expect(200);
    assert_eq!(names(&page), ["max", "mira"]);
    assert_eq!(page["value"][0]["manager"]["displayName"], "boss");

    assert_eq!(list("/v1.0/users?$filter=shoeSize eq 43").await.refused(400), "InvalidFilter");
    assert_eq!(list("/v1.0/users?$select=shoeSize").await.refused(400), "BadRequest");
}

#[tokio::test]
async fn managers_form_no_circle() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let link = |id: accede_domain::id::UserId| json!({ "@odata.id": format!("http://accede.test/v1.0/users/{id}") });
    let (a, b, c) = (world.user("a").await, world.user("b").await, world.user("c").await);
    let manager = |of: accede_domain::id::UserId| format!("/v1.0/users/{of}/manager/$ref");

    ada.put(&manager(a), link(b)).await.expect(204);
    ada.put(&manager(b), link(c)).await.expect(204);
    assert_eq!(ada.put(&manager(c), link(a)).await.refused(409), "ManagerCycle");
    assert_eq!(ada.put(&manager(c), link(c)).await.refused(409), "ManagerCycle");

    let path = format!("/v1.0/users/{a}/manager");
    assert_eq!(ada.get(&path).await.expect(200)["displayName"], "b");
    assert_eq!(ada.get(&path).await.expect(200)["@odata.type"], "#microsoft.graph.user");
    let reports = ada.get(&format!("/v1.0/users/{c}/directReports")).await.expect(200);
    assert_eq!(names(&reports), ["b"]);
    ada.delete(&manager(a)).await.expect(204);
    ada.delete(&manager(a)).await.expect(204);
    assert_eq!(ada.get(&path).await.refused(404), "Request_ResourceNotFound");
}

#[tokio::test]
async fn everybody_is_themself_and_a_stranger_changes_nobody() {
    let world = World::new().await;
    let uma = world.user("uma").await;
    let max = world.user("max").await;
    let crew = world.group("Crew", &[uma], &[]).await;
    let door = world.person("uma", &[]).await;

    let me = door.get("/v1.0/me").await.expect(200);
    assert_eq!(me["id"], json!(uma));
    assert_eq!(names(&door.get("/v1.0/me/memberOf").await.expect(200)), ["Crew"]);
    assert_eq!(door.get("/v1.0/me/manager").await.refused(404), "Request_ResourceNotFound");

    for path in [format!("/v1.0/users/{max}"), format!("/v1.0/groups/{crew}")] {
        let code = door.patch(&path, json!({ "displayName": "Mine" })).await.refused(403);
        assert_eq!(code, "Authorization_RequestDenied", "{path}");
        assert_eq!(door.delete(&path).await.refused(403), "Authorization_RequestDenied");
    }
    let new = json!({ "displayName": "X", "userPrincipalName": "x@harbourline.example" });
    assert_eq!(door.post("/v1.0/users", new).await.refused(403), "Authorization_RequestDenied");
    for path in ["/v1.0/me", "/v1.0/users", "/v1.0/groups"] {
        let code = world.nobody().get(path).await.refused(401);
        assert_eq!(code, "InvalidAuthenticationToken", "{path}");
    }
    let robot = world.application("robot", &["Directory.Read.All"]).await;
    assert_eq!(robot.get("/v1.0/me").await.refused(403), "Authorization_RequestDenied");
    robot.get("/v1.0/users").await.expect(200);
}

#[tokio::test]
async fn whoever_is_disabled_or_deleted_is_nobody_at_once() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let uma = world.user("uma").await;
    let door = world.person("uma", &[]).await;
    door.get("/v1.0/me").await.expect(200);
    let path = format!("/v1.0/users/{uma}");

    ada.patch(&path, json!({ "accountEnabled": false })).await.expect(204);
    assert_eq!(door.get("/v1.0/me").await.refused(401), "InvalidAuthenticationToken");
    ada.patch(&path, json!({ "accountEnabled": true })).await.expect(204);
    door.get("/v1.0/me").await.expect(200);
    ada.delete(&path).await.expect(204);
    assert_eq!(door.get("/v1.0/me").await.refused(401), "InvalidAuthenticationToken");
}

#[tokio::test]
async fn who_manages_users_cannot_take_over_an_administrator() {
    let world = World::new().await;
    let ada = world.administrator().await;
    world.user("uri").await;
    let uri = world.person("uri", &["User Administrator"]).await;
    let mira = world.user("mira").await;
    let change = json!({ "passwordProfile": { "password": LONG } });

    uri.patch(&format!("/v1.0/users/{mira}"), change.clone()).await.expect(204);
    let path = "/v1.0/users/ada@harbourline.example";
    for body in [
        change,
        json!({ "accountEnabled": false }),
        json!({ "userPrincipalName": "eve@harbourline.example" }),
    ] {
        let code = uri.patch(path, body).await.refused(403);
        assert_eq!(code, "Authorization_RequestDenied");
    }
    assert_eq!(uri.delete(path).await.refused(403), "Authorization_RequestDenied");
    uri.patch(path, json!({ "jobTitle": "Boss" })).await.expect(204);
    assert_eq!(ada.delete(path).await.refused(409), "OwnAccount");
}

#[tokio::test]
async fn tokens_have_their_time() {
    let world = World::new().await;
    world.user("uma").await;
    let door = world.person("uma", &[]).await;

    world.later(30 * 24 - 1);
    door.get("/v1.0/me").await.expect(200);
    world.later(1);
    assert_eq!(door.get("/v1.0/me").await.refused(401), "InvalidAuthenticationToken");
}

#[tokio::test]
async fn an_application_does_what_its_permissions_say() {
    let world = World::new().await;
    let reader = world.application("reader", &["Directory.Read.All"]).await;
    let writer = world.application("writer", &["Directory.ReadWrite.All"]).await;
    let new = |name: &str| json!({ "displayName": name, "userPrincipalName": format!("{name}@harbourline.example") });

    assert_eq!(
        reader.post("/v1.0/users", new("a")).await.refused(403),
        "Authorization_RequestDenied"
    );
    writer.post("/v1.0/users", new("a")).await.expect(201);
    let found = writer.get("/v1.0/servicePrincipals?$filter=displayName eq 'READER'").await;
    let found = found.expect(200);
    assert_eq!(names(&found), ["reader"]);
    let id = id(&found["value"][0]);
    for path in [
        format!("/v1.0/servicePrincipals/{id}"),
        format!("/v1.0/servicePrincipals(appId='{id}')"),
        format!("/v1.0/directoryObjects/{id}"),
    ] {
        assert_eq!(reader.get(&path).await.expect(200)["displayName"], "reader", "{path}");
    }
    let home = reader.get("/v1.0/organization").await.expect(200);
    assert_eq!(home["value"][0]["id"], json!(world.app.organization().unwrap()));
}

#[tokio::test]
async fn a_scope_narrows_what_an_application_could_do_by_its_roles() {
    use accede_app::tokens::Wish;
    let world = World::new().await;
    let wish = |scopes: &[&str]| Wish {
        roles: vec!["Global Administrator".to_owned()],
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..Wish::default()
    };
    let caller = async |scopes: &[&str]| {
        let issued = world.app.issue_app_token("bot", &wish(scopes)).await.unwrap();
        world.app.authenticate(&issued.token).await.unwrap()
    };
    use accede_domain::permission::Action;

    let whole = caller(&[]).await;
    whole.may_everywhere(Action::ManageDirectory).unwrap();
    whole.may_everywhere(Action::Reprocess).unwrap();
    let narrow = caller(&["Directory.Read.All"]).await;
    narrow.may_everywhere(Action::ReadDirectory).unwrap();
    assert!(narrow.may_everywhere(Action::ManageDirectory).is_err());
    assert!(narrow.may_everywhere(Action::Reprocess).is_err());
}
