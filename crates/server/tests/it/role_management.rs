//! Roles of entitlement management: who gives and takes them, and where.

use accede_domain::permission::Role;
use serde_json::json;

use crate::world::{EM, World, id, names};

const RM: &str = "/v1.0/roleManagement/entitlementManagement";

fn assignment(principal: impl std::fmt::Display, role: Role, catalog: &str) -> serde_json::Value {
    json!({
        "principalId": principal.to_string(), "roleDefinitionId": role.definition(),
        "appScopeId": format!("/AccessPackageCatalog/{catalog}"),
    })
}

#[tokio::test]
async fn the_five_roles_are_listed_and_filtered() {
    let world = World::new().await;
    let ada = world.administrator().await;

    let all = ada.get(&format!("{RM}/roleDefinitions")).await.expect(200);
    assert_eq!(all["value"].as_array().unwrap().len(), 5);
    let owner = Role::CatalogOwner.definition();
    let found =
        ada.get(&format!("{RM}/roleDefinitions?$filter=displayName eq 'Catalog owner'")).await;
    assert_eq!(found.expect(200)["value"][0]["id"], json!(owner));
    let found = ada.get(&format!("{RM}/roleDefinitions/{owner}")).await.expect(200);
    assert_eq!(found["isBuiltIn"], true);
    let missing = ada.get(&format!("{RM}/roleDefinitions/{}", uuid::Uuid::nil())).await;
    assert_eq!(missing.refused(404), "Request_ResourceNotFound");
}

#[tokio::test]
async fn a_role_is_given_once_read_and_taken() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let mira = world.user("mira").await;
    let catalog = ada.catalog("Docks").await;
    let base = format!("{RM}/roleAssignments");
    let body = assignment(mira, Role::AssignmentManager, &catalog);

    let made = ada.post(&base, body.clone()).await.expect(201);
    assert_eq!(made["appScopeId"], format!("/AccessPackageCatalog/{catalog}"));
    assert_eq!(made["directoryScopeId"], json!(null));
    assert_eq!(ada.post(&base, body).await.refused(409), "DuplicateKey");
    let path = format!("{base}/{}", id(&made));
    let query = "$expand=principal,roleDefinition,appScope";
    let read = ada.get(&format!("{path}?{query}")).await.expect(200);
    assert_eq!(read["principal"]["displayName"], "mira");
    assert_eq!(read["roleDefinition"]["displayName"], "Access package assignment manager");
    assert_eq!(read["appScope"]["displayName"], "Docks");
    let filter =
        format!("principalId eq '{mira}' and appScopeId eq '/AccessPackageCatalog/{catalog}'");
    let found = ada.get(&format!("{base}?$filter={filter}")).await.expect(200);
    assert_eq!(found["value"].as_array().unwrap().len(), 1);

    let mira = world.person("mira", &[]).await;
    mira.get(&format!("{EM}/catalogs/{catalog}")).await.expect(200);
    ada.delete(&path).await.expect(204);
    assert_eq!(ada.delete(&path).await.refused(404), "Request_ResourceNotFound");
    let hidden = mira.get(&format!("{EM}/catalogs/{catalog}")).await.refused(404);
    assert_eq!(hidden, "Request_ResourceNotFound");
}

#[tokio::test]
async fn a_role_counts_for_the_members_of_a_group() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let mira = world.user("mira").await;
    let crew = world.group("Crew", &[mira], &[]).await;
    let catalog = ada.catalog("Docks").await;
    let door = world.person("mira", &[]).await;
    let path = format!("{EM}/catalogs/{catalog}");
    assert_eq!(door.get(&path).await.refused(404), "Request_ResourceNotFound");

    let body = assignment(crew, Role::CatalogReader, &catalog);
    ada.post(&format!("{RM}/roleAssignments"), body).await.expect(201);
    door.get(&path).await.expect(200);
    ada.delete(&format!("/v1.0/groups/{crew}/members/{mira}/$ref")).await.expect(204);
    assert_eq!(door.get(&path).await.refused(404), "Request_ResourceNotFound");
}

#[tokio::test]
async fn an_owner_delegates_their_own_catalog_and_sees_no_other() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (olga, mira) = (world.user("olga").await, world.user("mira").await);
    let (own, other) = (ada.catalog("Own").await, ada.catalog("Other").await);
    let base = format!("{RM}/roleAssignments");
    ada.post(&base, assignment(olga, Role::CatalogOwner, &own)).await.expect(201);
    let foreign = ada.post(&base, assignment(mira, Role::CatalogReader, &other)).await.expect(201);
    let door = world.person("olga", &[]).await;

    door.post(&base, assignment(mira, Role::AccessPackageManager, &own)).await.expect(201);
    let hidden = door.post(&base, assignment(mira, Role::AccessPackageManager, &other)).await;
    assert_eq!(hidden.refused(404), "Request_ResourceNotFound");
    let creator = json!({
        "principalId": mira, "roleDefinitionId": Role::CatalogCreator.definition(),
        "appScopeId": "/",
    });
    let refused = door.post(&base, creator.clone()).await.refused(403);
    assert_eq!(refused, "Authorization_RequestDenied");
    let seen = door.get(&base).await.expect(200);
    let scope = format!("/AccessPackageCatalog/{own}");
    assert!(seen["value"].as_array().unwrap().iter().all(|item| item["appScopeId"] == scope));
    let path = format!("{base}/{}", id(&foreign));
    assert_eq!(door.get(&path).await.refused(404), "Request_ResourceNotFound");
    assert_eq!(door.delete(&path).await.refused(404), "Request_ResourceNotFound");

    let door = world.person("mira", &[]).await;
    let body = assignment(mira, Role::CatalogOwner, &own);
    assert_eq!(door.post(&base, body).await.refused(403), "Authorization_RequestDenied");
    let made = ada.post(&base, creator).await.expect(201);
    assert_eq!(made["appScopeId"], "/");
}

#[tokio::test]
async fn a_catalog_is_never_without_an_owner() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let (olga, crew) = (world.user("olga").await, world.group("Crew", &[], &[]).await);
    let catalog = ada.catalog("Docks").await;
    let base = format!("{RM}/roleAssignments");
    let filter = format!("$filter=appScopeId eq '/AccessPackageCatalog/{catalog}'");
    let owners = ada.get(&format!("{base}?{filter}")).await.expect(200);
    let first = format!("{base}/{}", id(&owners["value"][0]));
    assert_eq!(ada.delete(&first).await.refused(409), "LastCatalogOwner");

    ada.post(&base, assignment(crew, Role::CatalogOwner, &catalog)).await.expect(201);
    ada.delete(&first).await.expect(204);
    assert_eq!(ada.delete(&format!("/v1.0/groups/{crew}")).await.refused(409), "GroupInUse");
    ada.post(&base, assignment(olga, Role::CatalogOwner, &catalog)).await.expect(201);
    ada.delete(&format!("/v1.0/groups/{crew}")).await.expect(204);
}

#[tokio::test]
async fn a_wrong_role_assignment_is_told_what_is_wrong() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let mira = world.user("mira").await;
    let catalog = ada.catalog("Docks").await;
    let base = format!("{RM}/roleAssignments");
    let wrong = async |name: &str, value: serde_json::Value| {
        let mut body = assignment(mira, Role::CatalogReader, &catalog);
        body[name] = value;
        ada.post(&base, body).await
    };

    let nobody = uuid::Uuid::nil();
    assert_eq!(wrong("principalId", json!(nobody)).await.wrong(), "principalId");
    assert_eq!(wrong("principalId", json!("x")).await.wrong(), "principalId");
    assert_eq!(wrong("roleDefinitionId", json!(nobody)).await.wrong(), "roleDefinitionId");
    assert_eq!(wrong("appScopeId", json!("/")).await.wrong(), "appScopeId");
    assert_eq!(wrong("appScopeId", json!("/Catalog/x")).await.wrong(), "appScopeId");
    assert_eq!(wrong("appScopeId", json!(null)).await.wrong(), "appScopeId");
    let gone = json!(format!("/AccessPackageCatalog/{nobody}"));
    assert_eq!(wrong("appScopeId", gone).await.refused(404), "Request_ResourceNotFound");
    let creator = json!(Role::CatalogCreator.definition());
    assert_eq!(wrong("roleDefinitionId", creator).await.wrong(), "appScopeId");
    let all = ada.get(&format!("{base}?$filter=principalId eq '{mira}'")).await.expect(200);
    assert_eq!(names(&json!({ "value": [] })).len(), all["value"].as_array().unwrap().len());
}
