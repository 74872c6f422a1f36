//! Access packages: what they give, what excludes them, who may ask for them.

use serde_json::{Value, json};

use crate::world::{Door, EM, World, id, names};

/// A catalog `Marketing` with the resource `editors` of the target `wiki`.
async fn marketing(ada: &Door<'_>, world: &World) -> (String, accede_connectors::chaos::Chaos) {
    let wiki = world.target(ada, "wiki").await;
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, "wiki", "editors").await;
    (catalog, wiki)
}

#[tokio::test]
async fn a_package_is_made_read_changed_and_deleted() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (catalog, _) = marketing(&ada, &world).await;
    let package = ada.package(&catalog, "Campaign").await;
    let path = format!("{EM}/accessPackages/{package}");

    let read = ada.get(&path).await.expect(200);
    assert_eq!(read["isHidden"], false);
    assert!(read.get("catalog").is_none());
    ada.patch(&path, json!({ "IsHidden": "true", "description": "First week" })).await.expect(204);
    let read = ada.get(&format!("{path}?$expand=catalog")).await.expect(200);
    assert_eq!((&read["isHidden"], &read["description"]), (&json!(true), &json!("First week")));
    assert_eq!(read["catalog"]["displayName"], "Marketing");
    assert_eq!(ada.patch(&path, json!({ "displayName": null })).await.wrong(), "displayName");
    let moved = json!({ "catalog": { "id": ada.catalog("Sales").await } });
    assert_eq!(ada.patch(&path, moved).await.wrong(), "catalog");
    ada.delete(&path).await.expect(204);
    assert_eq!(ada.get(&path).await.status, 404);
    assert_eq!(
        ada.get("/v1.0/identityGovernance/entitlementManagement/accessPackages/x").await.status,
        400
    );
}

#[tokio::test]
async fn names_are_unique_in_their_catalog_only() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (one, two) = (ada.catalog("One").await, ada.catalog("Two").await);
    ada.package(&one, "Campaign").await;
    ada.package(&two, "Campaign").await;

    let again = json!({ "displayName": "CAMPAIGN", "catalog": { "id": one } });
    let answer = ada.post(&format!("{EM}/accessPackages"), again).await;
    assert_eq!(answer.refused(409), "DuplicateKey");
    let nowhere =
        json!({ "displayName": "x", "catalog": { "id": "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004" } });
    assert_eq!(ada.post(&format!("{EM}/accessPackages"), nowhere).await.status, 404);
    let missing = json!({ "displayName": "x" });
    assert_eq!(ada.post(&format!("{EM}/accessPackages"), missing).await.wrong(), "catalog");
}

#[tokio::test]
async fn a_role_is_added_shown_and_removed() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (catalog, _) = marketing(&ada, &world).await;
    let package = ada.package(&catalog, "Campaign").await;
    let path = format!("{EM}/accessPackages/{package}/resourceRoleScopes");

    let made = ada.role(&catalog, &package, "editors").await;
    assert_eq!(made["@odata.type"], "#microsoft.graph.accessPackageResourceRoleScope");
    assert_eq!(made["createdDateTime"], "2026-03-02T08:00:00Z");
    let (role, scope) = made["id"].as_str().unwrap().split_once('_').unwrap();
    let expand = "$expand=resourceRoleScopes($expand=role($expand=resource),scope)";
    let read = ada.get(&format!("{EM}/accessPackages/{package}?{expand}")).await.expect(200);
    let given = &read["resourceRoleScopes"][0];
    assert_eq!(given["id"], made["id"]);
    assert_eq!(given["role"]["originId"], "Member_editors");
    assert_eq!(given["role"]["originSystem"], "wiki");
    assert_eq!(given["role"]["resource"]["originId"], "editors");
    assert_eq!(given["scope"]["isRootScope"], true);
    let one = ada.get(&format!("{path}/{}?$expand=role", id(&made))).await.expect(200);
    assert_eq!(one["role"]["id"], role);
    let tail = ada.get(&format!("{path}/{}/scope", id(&made))).await.expect(200);
    assert_eq!(tail["id"], scope);
    let tail = ada.get(&format!("{path}/{}/role/resource", id(&made))).await.expect(200);
    assert_eq!(tail["originId"], "editors");
    assert_eq!(ada.get(&format!("{path}/$count")).await.expect(200), 1);
    let root = format!("{EM}/resourceRoleScopes");
    let all = ada.get(&format!("{root}?$expand=role&$filter=role/id eq '{role}'")).await;
    assert_eq!(all.expect(200)["value"][0]["role"]["originId"], "Member_editors");
    let one = ada.get(&format!("{root}/{}", id(&made))).await.expect(200);
    assert_eq!(one["id"], made["id"]);

    let again = json!({ "role": { "id": role }, "scope": { "id": scope } });
    assert_eq!(ada.post(&path, again).await.refused(409), "DuplicateKey");
    let named = json!({
        "role": { "originId": "Owner_editors", "originSystem": "wiki",
            "resource": { "originId": "editors", "originSystem": "wiki" } },
        "scope": { "originId": "editors", "originSystem": "wiki", "isRootScope": true },
    });
    assert_eq!(ada.post(&path, named).await.wrong(), "role.originId");
    let elsewhere = ada.catalog("Sales").await;
    let other = ada.package(&elsewhere, "Other").await;
    let foreign = json!({ "role": { "id": role }, "scope": { "id": scope } });
    let answer =
        ada.post(&format!("{EM}/accessPackages/{other}/resourceRoleScopes"), foreign).await;
    assert_eq!(answer.wrong(), "role.id");

    ada.delete(&format!("{path}/{}", id(&made))).await.expect(204);
    assert_eq!(ada.delete(&format!("{path}/{}", id(&made))).await.status, 404);
    assert_eq!(ada.delete(&format!("{path}/nonsense")).await.status, 400);
}

#[tokio::test]
async fn changing_the_roles_of_a_package_reaches_who_has_it() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (catalog, wiki) = marketing(&ada, &world).await;
    let package = ada.package(&catalog, "Campaign").await;
    ada.role(&catalog, &package, "editors").await;
    let policy = ada.open_policy(&package).await;
    let uma = world.user("uma").await;
    let request = json!({
        "requestType": "adminAdd",
        "assignment": { "targetId": uma, "assignmentPolicyId": policy, "accessPackageId": package },
    });
    ada.post(&format!("{EM}/assignmentRequests"), request).await.expect(201);
    world.work().await;
    assert_eq!(wiki.truth().len(), 1);

    ada.resource(&catalog, "wiki", "authors").await;
    let added = id(&ada.role(&catalog, &package, "authors").await);
    let spread = format!("/accede/v1/accessPackages/{package}/roleSpread");
    let found = ada.get(&spread).await.expect(200);
    assert_eq!((&found["state"], &found["holders"]), (&json!("spreading"), &json!(1)));
    assert_eq!(found["reached"], 0);
    assert_eq!(wiki.truth().len(), 1);
    world.work().await;
    let found = ada.get(&spread).await.expect(200);
    assert_eq!((&found["state"], &found["reached"]), (&json!("complete"), &json!(1)));
    assert_eq!(wiki.truth().len(), 2);
    let path = format!("{EM}/accessPackages/{package}/resourceRoleScopes/{added}");
    ada.delete(&path).await.expect(204);
    world.work().await;
    assert_eq!(wiki.truth().len(), 1);

    let path = format!("{EM}/accessPackages/{package}");
    assert_eq!(ada.delete(&path).await.refused(409), "AccessPackageHasAssignments");
    let path = format!("{EM}/assignmentPolicies/{policy}");
    assert_eq!(ada.delete(&path).await.refused(409), "PolicyHasAssignments");
}

#[tokio::test]
async fn incompatibilities_are_listed_from_both_sides() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    let (pay, approve) =
        (ada.package(&catalog, "Pay").await, ada.package(&catalog, "Approve").await);
    let group = world.group("Auditors", &[], &[]).await;
    let path = format!("{EM}/accessPackages/{pay}");
    let link = |id: &str| json!({ "@odata.id": format!("https://graph.microsoft.com{EM}/accessPackages/{id}") });

    ada.post(&format!("{path}/incompatibleAccessPackages/$ref"), link(&approve)).await.expect(204);
    let again = ada.post(&format!("{path}/incompatibleAccessPackages/$ref"), link(&approve)).await;
    assert_eq!(again.refused(409), "DuplicateKey");
    let own = ada.post(&format!("{path}/incompatibleAccessPackages/$ref"), link(&pay)).await;
    assert_eq!(own.wrong(), "@odata.id");
    let odd = json!({ "@odata.id": "nothing" });
    let odd = ada.post(&format!("{path}/incompatibleAccessPackages/$ref"), odd).await;
    assert_eq!(odd.wrong(), "@odata.id");
    let group_link = json!({ "@odata.id": format!("http://accede.test/v1.0/groups/{group}") });
    ada.post(&format!("{path}/incompatibleGroups/$ref"), group_link).await.expect(204);

    let listed = ada.get(&format!("{path}/incompatibleAccessPackages")).await.expect(200);
    assert_eq!(names(&listed), ["Approve"]);
    let reverse = format!("{EM}/accessPackages/{approve}/accessPackagesIncompatibleWith");
    assert_eq!(names(&ada.get(&reverse).await.expect(200)), ["Pay"]);
    ada.get(&format!("{reverse}/{pay}")).await.expect(200);
    let groups = ada.get(&format!("{path}/incompatibleGroups")).await.expect(200);
    assert_eq!(groups["value"][0]["id"], group.to_string());
    let links = ada.get(&format!("{path}/incompatibleGroups/$ref")).await.expect(200);
    assert_eq!(links["value"][0]["@odata.id"], format!("http://accede.test/v1.0/groups/{group}"));
    let expand = "$expand=incompatibleAccessPackages,incompatibleGroups";
    let both = ada.get(&format!("{path}?{expand}")).await.expect(200);
    assert_eq!(both["incompatibleAccessPackages"][0]["displayName"], "Approve");
    assert_eq!(both["incompatibleGroups"][0]["displayName"], "Auditors");

    ada.delete(&format!("{path}/incompatibleAccessPackages/{approve}/$ref")).await.expect(204);
    let gone = ada.delete(&format!("{path}/incompatibleAccessPackages/{approve}/$ref")).await;
    assert_eq!(gone.status, 404);
    let by_link = format!("{path}/incompatibleGroups/$ref?@id=http://x/v1.0/groups/{group}");
    ada.delete(&by_link).await.expect(204);
    assert_eq!(ada.get(&format!("{path}/incompatibleGroups/$count")).await.expect(200), 0);
}

#[tokio::test]
async fn people_see_what_they_may_ask_for_and_nothing_else() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    let open = ada.package(&catalog, "Open").await;
    let policy = ada.open_policy(&open).await;
    let hidden = ada.package(&catalog, "Hidden").await;
    ada.open_policy(&hidden).await;
    ada.patch(&format!("{EM}/accessPackages/{hidden}"), json!({ "isHidden": true }))
        .await
        .expect(204);
    let closed = ada.package(&catalog, "Closed").await;
    world.user("uma").await;
    let uma = world.person("uma", &[]).await;
    let path = format!("{EM}/accessPackages/filterByCurrentUser(on='allowedRequestor')");

    assert_eq!(names(&uma.get(&path).await.expect(200)), ["Open"]);
    assert_eq!(
        names(&uma.get(&format!("{EM}/availableAccessPackages")).await.expect(200)),
        ["Open"]
    );
    assert_eq!(uma.get(&format!("{EM}/availableAccessPackages/$count")).await.expect(200), 1);
    let odd = format!("{EM}/accessPackages/filterByCurrentUser(on='everything')");
    assert_eq!(uma.get(&odd).await.wrong(), "on");
    let script = world.application("script", &[]).await;
    assert_eq!(script.get(&path).await.status, 403);
    let requirements =
        |id: &str| format!("{EM}/accessPackages/{id}/getApplicablePolicyRequirements");
    let found = uma.act(&requirements(&open)).await.expect(200);
    assert_eq!(found["value"][0]["policyId"], policy);
    assert_eq!(found["value"][0]["isApprovalRequiredForAdd"], false);
    // Whoever has the link of a hidden package may still ask.
    assert_eq!(
        uma.act(&requirements(&hidden)).await.expect(200)["value"].as_array().unwrap().len(),
        1
    );
    assert_eq!(uma.act(&requirements(&closed)).await.status, 404);
    assert_eq!(ada.act(&requirements(&closed)).await.expect(200)["value"], json!([]));
    assert_eq!(uma.get(&format!("{EM}/accessPackages/{open}")).await.status, 404);

    ada.patch(&format!("{EM}/catalogs/{catalog}"), json!({ "state": "unpublished" }))
        .await
        .expect(204);
    assert_eq!(uma.get(&path).await.expect(200)["value"], json!([]));
    assert_eq!(uma.act(&requirements(&open)).await.status, 404);
}

#[tokio::test]
async fn a_long_list_of_open_packages_is_paged_without_a_gap() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    for n in 0..7 {
        let package = ada.package(&catalog, &format!("Open {n}")).await;
        ada.open_policy(&package).await;
        ada.package(&catalog, &format!("Closed {n}")).await;
    }
    world.user("uma").await;
    let uma = world.person("uma", &[]).await;
    let path = format!(
        "{EM}/accessPackages/filterByCurrentUser(on='allowedRequestor')?$top=3&$count=true"
    );

    let first = uma.get(&path).await.expect(200);
    assert_eq!(names(&first), ["Open 0", "Open 1", "Open 2"]);
    assert_eq!(first["@odata.count"], 7);
    let follow = |page: &Value| {
        page["@odata.nextLink"]
            .as_str()
            .unwrap()
            .strip_prefix("http://accede.test")
            .unwrap()
            .to_owned()
    };
    let second = uma.get(&follow(&first)).await.expect(200);
    assert_eq!(names(&second), ["Open 3", "Open 4", "Open 5"]);
    let third = uma.get(&follow(&second)).await.expect(200);
    assert_eq!(names(&third), ["Open 6"]);
    assert!(third.get("@odata.nextLink").is_none());
    let found =
        uma.get(&format!("{EM}/availableAccessPackages?$search=\"open 4\"")).await.expect(200);
    assert_eq!(names(&found), ["Open 4"]);
}

#[tokio::test]
async fn managers_of_packages_manage_packages_only() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    let other = ada.catalog("Sales").await;
    let foreign = ada.package(&other, "Foreign").await;
    world.user("paul").await;
    let paul = world.person("paul", &["Access package manager:Marketing"]).await;

    let package = paul.package(&catalog, "Campaign").await;
    paul.open_policy(&package).await;
    assert_eq!(names(&paul.get(&format!("{EM}/accessPackages")).await.expect(200)), ["Campaign"]);
    assert_eq!(paul.get(&format!("{EM}/accessPackages/{foreign}")).await.status, 404);
    assert_eq!(paul.delete(&format!("{EM}/accessPackages/{foreign}")).await.status, 404);
    let change = json!({ "displayName": "x" });
    assert_eq!(paul.patch(&format!("{EM}/catalogs/{catalog}"), change).await.status, 403);
    let new = json!({ "displayName": "x", "catalog": { "id": other } });
    assert_eq!(paul.post(&format!("{EM}/accessPackages"), new).await.status, 404);
    let link = json!({ "@odata.id": format!("{EM}/accessPackages/{foreign}") });
    let path = format!("{EM}/accessPackages/{package}/incompatibleAccessPackages/$ref");
    assert_eq!(paul.post(&path, link).await.status, 404);
    world.user("rita").await;
    let rita = world.person("rita", &["Access package assignment manager:Marketing"]).await;
    rita.get(&format!("{EM}/accessPackages/{package}")).await.expect(200);
    assert_eq!(rita.delete(&format!("{EM}/accessPackages/{package}")).await.status, 403);
}
