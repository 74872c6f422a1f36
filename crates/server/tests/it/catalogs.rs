//! Catalogs and the resources in them.

use accede_domain::permission::DirectoryRole;
use accede_store::directory_roles;
use serde_json::json;

use crate::world::{EM, World, id, names};

#[tokio::test]
async fn a_catalog_is_made_read_changed_and_deleted() {
    let world = World::new().await;
    let ada = world.administrator().await;

    let body = json!({
        "displayName": "Vessel Operations", "description": "Access for crews",
        "state": "published", "isExternallyVisible": false,
    });
    let answer = ada.post(&format!("{EM}/catalogs"), body).await;
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    let made = answer.expect(201);
    assert_eq!(made["catalogType"], "userManaged");
    assert_eq!(made["createdDateTime"], "2026-03-02T08:00:00Z");
    assert_eq!(location, format!("http://accede.test{EM}/catalogs/{}", id(&made)));

    let path = format!("{EM}/catalogs/{}", id(&made));
    world.later(1);
    ada.patch(&path, json!({ "state": "unpublished", "description": null })).await.expect(204);
    let read = ada.get(&path).await.expect(200);
    assert_eq!(read["state"], "unpublished");
    assert_eq!(read["description"], "");
    assert_eq!(read["displayName"], "Vessel Operations");
    assert_eq!(read["modifiedDateTime"], "2026-03-02T09:00:00Z");

    ada.delete(&path).await.expect(204);
    assert_eq!(ada.get(&path).await.refused(404), "Request_ResourceNotFound");
    assert_eq!(ada.delete(&path).await.refused(404), "Request_ResourceNotFound");
}

#[tokio::test]
async fn names_of_catalogs_are_unique_whatever_their_case_and_free_again_after() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let first = ada.catalog("Marketing").await;

    let again = json!({ "displayName": " marketing " });
    assert_eq!(ada.post(&format!("{EM}/catalogs"), again).await.refused(409), "DuplicateKey");
    let other = ada.catalog("Sales").await;
    let renamed = json!({ "displayName": "MARKETING" });
    let answer = ada.patch(&format!("{EM}/catalogs/{other}"), renamed).await;
    assert_eq!(answer.refused(409), "DuplicateKey");

    ada.delete(&format!("{EM}/catalogs/{first}")).await.expect(204);
    ada.catalog("Marketing").await;
}

#[tokio::test]
async fn who_makes_a_catalog_owns_it_and_sees_no_other() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let hidden = ada.catalog("Finance").await;
    world.user("olga").await;
    let olga = world.person("olga", &["Catalog creator"]).await;
    assert_eq!(names(&olga.get(&format!("{EM}/catalogs")).await.expect(200)), [""; 0]);

    let own = olga.catalog("Marketing").await;

    let seen = olga.get(&format!("{EM}/catalogs?$count=true")).await.expect(200);
    assert_eq!(names(&seen), ["Marketing"]);
    assert_eq!(seen["@odata.count"], 1);
    olga.patch(&format!("{EM}/catalogs/{own}"), json!({ "description": "x" })).await.expect(204);
    let path = format!("{EM}/catalogs/{hidden}");
    assert_eq!(olga.get(&path).await.status, 404);
    assert_eq!(olga.patch(&path, json!({ "description": "x" })).await.status, 404);
    assert_eq!(olga.delete(&path).await.status, 404);
}

#[tokio::test]
async fn readers_read_and_strangers_see_nothing() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    world.user("cora").await;
    world.user("sam").await;
    let cora = world.person("cora", &["Catalog reader:Marketing"]).await;
    let sam = world.person("sam", &[]).await;
    let path = format!("{EM}/catalogs/{catalog}");

    assert_eq!(cora.get(&path).await.expect(200)["displayName"], "Marketing");
    let change = json!({ "description": "x" });
    assert_eq!(cora.patch(&path, change).await.refused(403), "Authorization_RequestDenied");
    assert_eq!(cora.delete(&path).await.status, 403);
    let new = json!({ "displayName": "Mine" });
    assert_eq!(cora.post(&format!("{EM}/catalogs"), new).await.status, 403);
    assert_eq!(sam.get(&path).await.status, 404);
    assert_eq!(sam.get(&format!("{EM}/catalogs")).await.status, 403);
    assert_eq!(world.nobody().get(&path).await.refused(401), "InvalidAuthenticationToken");
}

#[tokio::test]
async fn a_catalog_with_packages_and_the_built_in_one_stay() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    let package = ada.package(&catalog, "Campaign").await;

    let path = format!("{EM}/catalogs/{catalog}");
    assert_eq!(ada.delete(&path).await.refused(409), "CatalogNotEmpty");
    ada.delete(&format!("{EM}/accessPackages/{package}")).await.expect(204);
    ada.delete(&path).await.expect(204);

    let found = ada.get(&format!("{EM}/catalogs?$filter=catalogType eq 'serviceDefault'")).await;
    let general = id(&found.expect(200)["value"][0]);
    let answer = ada.delete(&format!("{EM}/catalogs/{general}")).await;
    assert_eq!(answer.refused(409), "DefaultCatalogCannotBeDeleted");
}

#[tokio::test]
async fn wrong_bodies_name_the_property() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let path = format!("{EM}/catalogs");

    assert_eq!(ada.post(&path, json!({})).await.wrong(), "displayName");
    assert_eq!(ada.post(&path, json!({ "displayName": "  " })).await.wrong(), "displayName");
    assert_eq!(ada.post(&path, json!({ "displayName": "a\nb" })).await.wrong(), "displayName");
    let long = "x".repeat(257);
    assert_eq!(ada.post(&path, json!({ "displayName": long })).await.wrong(), "displayName");
    let odd = json!({ "displayName": "a", "state": "open" });
    assert_eq!(ada.post(&path, odd).await.wrong(), "state");
    let unknown = json!({ "displayName": "a", "displayNam": "b" });
    assert_eq!(ada.post(&path, unknown).await.wrong(), "displayNam");
    let id = ada.catalog("b").await;
    let kind = json!({ "catalogType": "serviceDefault" });
    assert_eq!(ada.patch(&format!("{path}/{id}"), kind).await.wrong(), "catalogType");
    let same = json!({ "catalogType": "userManaged", "createdDateTime": "2020-01-01T00:00:00Z" });
    ada.patch(&format!("{path}/{id}"), same).await.expect(204);
}

#[tokio::test]
async fn a_stale_tag_is_refused() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let path = format!("{EM}/catalogs/{}", ada.catalog("a").await);
    let tag = ada.get(&path).await.expect(200)["@odata.etag"].as_str().unwrap().to_owned();
    ada.with("if-match", &tag).patch(&path, json!({ "description": "1" })).await.expect(204);

    let stale = ada.with("if-match", &tag).patch(&path, json!({ "description": "2" })).await;
    assert_eq!(stale.refused(412), "resourceModified");
    assert_eq!(ada.with("if-match", &tag).delete(&path).await.status, 412);
    ada.with("if-match", "*").patch(&path, json!({ "description": "3" })).await.expect(204);
}

#[tokio::test]
async fn a_create_that_comes_twice_makes_one() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let path = format!("{EM}/catalogs");
    let body = || json!({ "displayName": "Marketing" });

    let keyed = ada.with("idempotency-key", "k1");
    let first = keyed.post(&path, body()).await.expect(201);
    let again = keyed.post(&path, body()).await.expect(201);
    assert_eq!(id(&first), id(&again));
    let other = keyed.post(&path, json!({ "displayName": "Sales" })).await;
    assert_eq!(other.refused(422), "IdempotencyKeyReused");
    assert_eq!(ada.with("idempotency-key", "k2").post(&path, body()).await.status, 409);
    let long = "k".repeat(256);
    let answer = ada.with("idempotency-key", &long).post(&path, body()).await;
    assert_eq!(answer.wrong(), "Idempotency-Key");

    let sales = || json!({ "displayName": "Sales" });
    let first = ada.post(&path, sales()).await.expect(201);
    let retried = ada.with("retry-attempt", "1").post(&path, sales()).await.expect(201);
    assert_eq!(id(&first), id(&retried));
    assert_eq!(ada.post(&path, sales()).await.status, 409);

    let named = ada.with("client-request-id", "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004");
    let ops = || json!({ "displayName": "Ops" });
    let first = named.post(&path, ops()).await.expect(201);
    let retried = named.with("retry-attempt", "1").post(&path, ops()).await.expect(201);
    assert_eq!(id(&first), id(&retried));
    // The same id with another body is another request of one session.
    named.with("retry-attempt", "1").post(&path, json!({ "displayName": "R" })).await.expect(201);
}

#[tokio::test]
async fn catalogs_are_filtered_ordered_paged_and_counted() {
    let world = World::new().await;
    let ada = world.administrator().await;
    for name in ["Alpha", "beta", "Gamma"] {
        world.later(1);
        ada.catalog(name).await;
    }
    let path = format!("{EM}/catalogs");

    let found = ada.get(&format!("{path}?$filter=displayName eq 'BETA'")).await.expect(200);
    assert_eq!(names(&found), ["beta"]);
    let filter = "contains(tolower(displayName), 'AM')";
    let found = ada.get(&format!("{path}?$filter={filter}")).await.expect(200);
    assert_eq!(names(&found), ["Gamma"]);
    let newest = format!("{path}?$orderby=createdDateTime desc&$top=2&$count=true");
    let first = ada.get(&newest).await.expect(200);
    assert_eq!(names(&first), ["Gamma", "beta"]);
    assert_eq!(first["@odata.count"], 4);
    let next = first["@odata.nextLink"].as_str().unwrap();
    let second = ada.get(next.strip_prefix("http://accede.test").unwrap()).await.expect(200);
    assert_eq!(names(&second), ["Alpha", "General"]);
    assert!(second.get("@odata.nextLink").is_none());
    assert_eq!(ada.get(&format!("{path}/$count")).await.expect(200), 4);
    let found = ada.get(&format!("{path}?$search=\"alph\"")).await.expect(200);
    assert_eq!(names(&found), ["Alpha"]);
    let unsearched = ada.get(&format!("{EM}/resourceRequests?$search=\"x\"")).await;
    assert_eq!(unsearched.wrong(), "$search");
    let odd = ada.get(&format!("{path}?$filter=colour eq 'red'")).await;
    assert_eq!(odd.refused(400), "InvalidFilter");
    assert_eq!(ada.get(&format!("{path}?$select=colour")).await.wrong(), "$select");
    assert_eq!(ada.get(&format!("{path}?$expand=colours")).await.wrong(), "$expand");
}

#[tokio::test]
async fn a_group_becomes_a_resource_with_its_roles_and_root_scope() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let group = world.group("Bridge crew", &[], &[]).await;
    let catalog = ada.catalog("Vessels").await;

    let body = json!({
        "requestType": "AdminAdd",
        "catalog": { "id": catalog },
        "resource": { "originId": group, "originSystem": "AadGroup" },
    });
    let made = ada.post(&format!("{EM}/resourceRequests"), body.clone()).await.expect(201);
    assert_eq!(made["state"], "delivered");
    assert_eq!(made["requestType"], "adminAdd");

    let path = format!("{EM}/catalogs/{catalog}/resources?$expand=roles,scopes,environment");
    let found = ada.get(&path).await.expect(200);
    let resource = &found["value"][0];
    assert_eq!(resource["displayName"], "Bridge crew");
    assert_eq!(resource["originId"], group.to_string());
    assert_eq!(resource["environment"]["originSystem"], "AadGroup");
    let scope = &resource["scopes"][0];
    assert_eq!(
        (scope["displayName"].as_str(), scope["isRootScope"].as_bool()),
        (Some("Root"), Some(true))
    );
    assert_eq!(scope["originId"], group.to_string());
    let roles: Vec<&str> = resource["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["originId"].as_str().unwrap())
        .collect();
    assert_eq!(roles, [format!("Member_{group}"), format!("Owner_{group}")]);

    let filter = format!("(originSystem eq 'AadGroup' and resource/id eq '{}')", id(resource));
    let path = format!("{EM}/catalogs/{catalog}/resourceRoles?$filter={filter}&$expand=resource");
    let roles = ada.get(&path).await.expect(200);
    assert_eq!(names(&roles), ["Member", "Owner"]);
    assert_eq!(roles["value"][0]["resource"]["id"], resource["id"]);

    let again = ada.post(&format!("{EM}/resourceRequests"), body).await;
    assert_eq!(again.refused(400), "ResourceAlreadyOnboarded");
    let listed = ada.get(&format!("{EM}/resourceRequests?$expand=catalog,resource")).await;
    let listed = listed.expect(200);
    assert_eq!(listed["value"].as_array().unwrap().len(), 1);
    assert_eq!(listed["value"][0]["catalog"]["displayName"], "Vessels");
    assert_eq!(listed["value"][0]["resource"]["displayName"], "Bridge crew");
}

#[tokio::test]
async fn a_resource_takes_a_right_on_the_catalog_and_one_on_itself() {
    let world = World::new().await;
    let ada = world.administrator().await;
    world.target(&ada, "wiki").await;
    let (olga, iris) = (world.user("olga").await, world.user("iris").await);
    let own = world.group("Own", &[], &[olga]).await;
    let other = world.group("Other", &[], &[]).await;
    let catalog = ada.catalog("Marketing").await;
    let olga = world.person("olga", &["Catalog owner:Marketing"]).await;
    let paul = {
        world.user("paul").await;
        world.person("paul", &["Access package manager:Marketing"]).await
    };
    let add = |origin: String, system: &str| {
        json!({
            "requestType": "adminAdd",
            "catalog": { "id": catalog },
            "resource": { "originId": origin, "originSystem": system },
        })
    };
    let path = format!("{EM}/resourceRequests");

    let refused = olga.post(&path, add(other.to_string(), "AadGroup")).await;
    assert_eq!(refused.refused(403), "Authorization_RequestDenied");
    olga.post(&path, add(own.to_string(), "AadGroup")).await.expect(201);
    assert_eq!(paul.post(&path, add(own.to_string(), "AadGroup")).await.status, 403);
    let iga = world.person("iris", &["Identity Governance Administrator"]).await;
    assert_eq!(iga.post(&path, add(other.to_string(), "AadGroup")).await.status, 403);
    iga.post(&path, add("admins".to_owned(), "wiki")).await.expect(201);
    assert_eq!(olga.post(&path, add("editors".to_owned(), "wiki")).await.status, 403);
    iga.patch("/accede/v1/targets/wiki", json!({ "catalogOwnersMayAdd": true })).await.expect(200);
    olga.post(&path, add("editors".to_owned(), "wiki")).await.expect(201);
    let script = world.application("script", &["EntitlementManagement.ReadWrite.All"]).await;
    assert_eq!(script.post(&path, add(other.to_string(), "AadGroup")).await.status, 403);
    let script = world
        .application("wide", &["EntitlementManagement.ReadWrite.All", "Directory.ReadWrite.All"])
        .await;
    script.post(&path, add(other.to_string(), "AadGroup")).await.expect(201);
    let _ = iris;
}

#[tokio::test]
async fn a_resource_that_its_target_does_not_have_or_cannot_tell_is_refused() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let wiki = world.target(&ada, "wiki").await;
    wiki.add_resource("editors", "Editors");
    let catalog = ada.catalog("Marketing").await;
    let path = format!("{EM}/resourceRequests");
    let add = |system: &str, origin: &str| {
        json!({
            "requestType": "adminAdd",
            "catalog": { "id": catalog },
            "resource": { "originId": origin, "originSystem": system },
        })
    };

    let missing = ada.post(&path, add("wiki", "nothing")).await;
    assert_eq!(missing.refused(400), "ResourceNotFoundInOriginSystem");
    let no_group = ada.post(&path, add("AadGroup", "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004")).await;
    assert_eq!(no_group.refused(400), "ResourceNotFoundInOriginSystem");
    assert_eq!(ada.post(&path, add("wikipedia", "x")).await.wrong(), "resource.originSystem");
    wiki.break_down("http-503", "the wiki is down");
    let down = ada.post(&path, add("wiki", "editors")).await;
    assert_eq!(down.refused(422), "TargetSystemFault");
    wiki.heal();
    ada.post(&path, add("wiki", "editors")).await.expect(201);
    assert_eq!(names(&ada.get(&format!("{EM}/resources")).await.expect(200)), ["Editors"]);
}

#[tokio::test]
async fn a_resource_is_changed_refreshed_and_removed_when_nothing_uses_it() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let wiki = world.target(&ada, "wiki").await;
    wiki.add_resource("editors", "Editors");
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, "wiki", "editors").await;
    let package = ada.package(&catalog, "Campaign").await;
    let given = id(&ada.role(&catalog, &package, "editors").await);
    let found = ada.get(&format!("{EM}/catalogs/{catalog}/resources")).await.expect(200);
    let resource = id(&found["value"][0]);
    let requests = format!("{EM}/resourceRequests");

    let change = json!({
        "requestType": "adminUpdate", "catalog": { "id": catalog },
        "resource": { "id": resource, "displayName": "Writers", "@accede.keepPreExisting": true },
    });
    ada.post(&requests, change).await.expect(201);
    let path = format!("{EM}/catalogs/{catalog}/resources/{resource}");
    let read = ada.get(&path).await.expect(200);
    assert_eq!(read["displayName"], "Writers");
    assert_eq!(read["@accede.keepPreExisting"], true);
    ada.act(&format!("{path}/refresh")).await.expect(204);
    assert_eq!(ada.get(&path).await.expect(200)["displayName"], "Editors");

    let remove = || {
        json!({ "requestType": "adminRemove", "catalog": { "id": catalog },
            "resource": { "id": resource } })
    };
    let used = ada.post(&requests, remove()).await;
    assert_eq!(used.refused(400), "InvalidDeleteResourceHasEntitlements");
    ada.delete(&format!("{EM}/accessPackages/{package}/resourceRoleScopes/{given}"))
        .await
        .expect(204);
    let removed = ada.post(&requests, remove()).await.expect(201);
    assert_eq!(ada.get(&path).await.status, 404);
    let record =
        ada.get(&format!("{requests}/{}?$expand=resource", id(&removed))).await.expect(200);
    assert_eq!(record["resource"]["originId"], "editors");
}

#[tokio::test]
async fn targets_are_resource_environments_and_the_list_wants_a_filter() {
    let world = World::new().await;
    let ada = world.administrator().await;
    world.target(&ada, "wiki").await;
    let path = format!("{EM}/resourceEnvironments");

    assert_eq!(ada.get(&path).await.wrong(), "$filter");
    let found = ada.get(&format!("{path}?$filter=originSystem eq 'wiki'")).await.expect(200);
    assert_eq!(found["value"][0]["originId"], "wiki");
    let none = ada.get(&format!("{path}?$filter=originSystem eq 'SharePointOnline'")).await;
    assert_eq!(none.expect(200)["value"], json!([]));
    let one = id(&found["value"][0]);
    assert_eq!(ada.get(&format!("{path}/{one}")).await.expect(200)["displayName"], "wiki");
    assert_eq!(ada.get(&format!("{path}/{one}/resources")).await.expect(200)["value"], json!([]));
}

#[tokio::test]
async fn of_creates_that_come_at_once_one_makes_and_all_others_see_it() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let keyed = ada.with("idempotency-key", "storm");
    let path = format!("{EM}/catalogs");

    let storm = (0..8).map(|_| keyed.post(&path, json!({ "displayName": "Marketing" })));
    let answers = futures_util::future::join_all(storm).await;

    let mut ids: Vec<String> = answers.into_iter().map(|answer| id(&answer.expect(201))).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let all = ada.get(&format!("{path}/$count?$filter=displayName eq 'Marketing'")).await;
    assert_eq!(all.expect(200), 1);
}

#[tokio::test]
async fn a_resource_that_is_added_twice_at_once_is_there_once() {
    let world = World::new().await;
    let ada = world.administrator().await;
    world.target(&ada, "wiki").await;
    let catalog = ada.catalog("Marketing").await;
    let path = format!("{EM}/resourceRequests");
    let body = json!({
        "requestType": "adminAdd",
        "catalog": { "id": catalog },
        "resource": { "originId": "editors", "originSystem": "wiki" },
    });

    let storm = (0..6).map(|n| {
        let own = ada.with("idempotency-key", &format!("key {n}"));
        let (path, body) = (path.clone(), body.clone());
        async move { own.post(&path, body).await }
    });
    let answers = futures_util::future::join_all(storm).await;

    let (made, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), refused.len()), (1, 5));
    for answer in refused {
        assert_eq!(answer.refused(400), "ResourceAlreadyOnboarded");
    }
}

#[tokio::test]
async fn a_group_with_a_directory_role_is_for_global_administrators_alone() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Docks").await;
    let olga = world.user("olga").await;
    let crew = world.group("Crew", &[], &[olga]).await;
    let owner = world.person("olga", &["Catalog owner:Docks"]).await;
    world.user("uma").await;
    let uma = world.person("uma", &["User Administrator", "Catalog owner:Docks"]).await;
    let path = format!("{EM}/resourceRequests");
    let ask = |kind: &str| {
        json!({
            "requestType": kind,
            "catalog": { "id": catalog },
            "resource": { "originSystem": "AadGroup", "originId": crew },
        })
    };

    let role = DirectoryRole::GlobalAdministrator;
    let given =
        world.store.write(async |tx| directory_roles::grant(tx, crew.0, role).await).await.unwrap();
    assert!(given);
    for door in [&owner, &uma] {
        let refused = door.post(&path, ask("adminAdd")).await;
        assert!(refused.body["error"]["message"].as_str().unwrap().contains("directory role"));
        assert_eq!(refused.refused(403), "Authorization_RequestDenied");
    }
    ada.post(&path, ask("adminAdd")).await.expect(201);

    world.store.write(async |tx| directory_roles::revoke(tx, crew.0, role).await).await.unwrap();
    let other = ada.catalog("Yard").await;
    let second = world.person("olga", &["Catalog owner:Yard"]).await;
    second.resource(&other, "AadGroup", &crew.to_string()).await;
}
