//! `/v1.0/roleManagement/entitlementManagement`: who holds which role of entitlement management.

use accede_app::role_assignments::{DirectoryObject, RoleAssignment, scope};
use accede_app::{App, Caller};
use accede_domain::id::{CatalogId, RoleAssignmentId, RoleDefinitionId};
use accede_domain::permission::{Action, Role};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::Key;
use super::catalogs::counting;
use super::error::{ApiError, Result};
use super::query::{Query, Shape};
use super::repeat::Create;
use super::respond::Wire;
use super::{directory_objects, short};
use crate::auth::SignedIn;

const DEFINITIONS: &str = "roleManagement/entitlementManagement/roleDefinitions";
const ASSIGNMENTS: &str = "roleManagement/entitlementManagement/roleAssignments";
/// What `appScopeId` begins with for a catalog.
const CATALOG: &str = "/AccessPackageCatalog/";
/// Longest scope that is looked at.
const MAX_SCOPE: usize = 256;
/// Most role assignments on a page when something is expanded in each.
const MAX_EXPANDED: usize = 100;

static DEFINITION: Shape = Shape {
    name: "unifiedRoleDefinition",
    properties: &[
        "id",
        "displayName",
        "description",
        "templateId",
        "version",
        "isBuiltIn",
        "isEnabled",
        "resourceScopes",
        "rolePermissions",
    ],
    navigations: &["inheritsPermissionsFrom"],
};

static ASSIGNMENT: Shape = Shape {
    name: "unifiedRoleAssignment",
    properties: &[
        "id",
        "principalId",
        "roleDefinitionId",
        "appScopeId",
        "directoryScopeId",
        "principalOrganizationId",
        "condition",
    ],
    navigations: &["principal", "roleDefinition", "appScope", "directoryScope"],
};

/// The routes of these nouns.
pub fn routes() -> Router<App> {
    const BASE: &str = "/v1.0/roleManagement/entitlementManagement";
    let at = |tail: &str| format!("{BASE}/{tail}");
    Router::new()
        .route(&at("roleDefinitions"), get(definitions))
        .route(&at("roleDefinitions/$count"), get(count_definitions))
        .route(&at("roleDefinitions/{id}"), get(definition))
        .route(&at("roleAssignments"), get(list).post(create))
        .route(&at("roleAssignments/$count"), get(count))
        .route(&at("roleAssignments/{id}"), get(read).delete(remove))
        .route(&at("roleAssignments/{id}/principal"), get(principal))
        .route(&at("roleAssignments/{id}/roleDefinition"), get(role_definition))
        .route(&at("roleAssignments/{id}/appScope"), get(app_scope))
        .route(&at("roleAssignments/{id}/directoryScope"), get(directory_scope))
}

/// What a role allows, in Graph's words (1.4), and what it is for.
const fn about(role: Role) -> (&'static str, &'static [&'static str]) {
    match role {
        Role::CatalogCreator => (
            "Catalog creators can create catalogs, whose owners they become",
            &["microsoft.entitlementManagement/AccessPackageCatalog/Create"],
        ),
        Role::CatalogOwner => (
            "Catalog owners can do everything in their catalogs",
            &["microsoft.entitlementManagement/allEntities/allTasks"],
        ),
        Role::CatalogReader => (
            "Catalog readers can read everything in a catalog",
            &["microsoft.entitlementManagement/allEntities/Read"],
        ),
        Role::AccessPackageManager => (
            "Access package managers can manage the access packages of a catalog",
            &[
                "microsoft.entitlementManagement/AccessPackageCatalog/AccessPackage/allTasks",
                "microsoft.entitlementManagement/AccessPackageCatalog/allEntities/Read",
            ],
        ),
        Role::AssignmentManager => (
            "Access package assignment managers can manage the assignments of a catalog",
            &[
                "microsoft.entitlementManagement/AccessPackage/GrantRequests/allTasks",
                "microsoft.entitlementManagement/AccessPackage/Grants/allTasks",
                "microsoft.entitlementManagement/AccessPackageCatalog/allEntities/Read",
            ],
        ),
    }
}

fn role(role: Role) -> Map<String, Value> {
    let (description, actions) = about(role);
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(role.definition()));
    object.insert("displayName".to_owned(), json!(role.name()));
    object.insert("description".to_owned(), json!(description));
    object.insert("templateId".to_owned(), json!(role.definition()));
    object.insert("version".to_owned(), json!("1.0"));
    object.insert("isBuiltIn".to_owned(), json!(true));
    object.insert("isEnabled".to_owned(), json!(true));
    object.insert("resourceScopes".to_owned(), json!(["/"]));
    object.insert(
        "rolePermissions".to_owned(),
        json!([{
            "allowedResourceActions": actions, "excludedResourceActions": [], "condition": null,
        }]),
    );
    object
}

fn shown_role(which: Role, query: &Query) -> Map<String, Value> {
    let mut object = role(which);
    if query.expands("inheritsPermissionsFrom").is_some() {
        object.insert("inheritsPermissionsFrom".to_owned(), json!([]));
    }
    object
}

/// Whoever reads or gives roles somewhere may know what the roles are.
fn may_read(caller: &Caller) -> Result<()> {
    let reads = caller.may_somewhere(Action::ReadCatalog);
    if reads.is_err() && caller.may_somewhere(Action::CreateCatalog).is_err() {
        reads?;
    }
    Ok(())
}

async fn definitions(SignedIn(caller): SignedIn, wire: Wire, query: Query) -> Result<Response> {
    query.fits(&DEFINITION)?;
    may_read(&caller)?;
    let all = Role::ALL.into_iter().map(|role| shown_role(role, &query)).collect();
    Ok(wire.collection(DEFINITIONS, &query, short::page(&query, all)?))
}

async fn count_definitions(
    SignedIn(caller): SignedIn,
    wire: Wire,
    mut query: Query,
) -> Result<Response> {
    may_read(&caller)?;
    (query.count, query.top, query.skip) = (true, None, 0);
    let page = short::page(&query, Role::ALL.into_iter().map(role).collect())?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn definition(
    SignedIn(caller): SignedIn,
    Key(id): Key<RoleDefinitionId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let missing = || ApiError::not_found(format!("there is no role definition `{id}`"));
    may_read(&caller).map_err(|_| missing())?;
    query.fits(&DEFINITION)?;
    let found = Role::of(id).ok_or_else(missing)?;
    Ok(wire.entity(DEFINITIONS, &query, shown_role(found, &query)))
}

fn json(assignment: &RoleAssignment) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(assignment.id));
    object.insert("principalId".to_owned(), json!(assignment.principal));
    object.insert("roleDefinitionId".to_owned(), json!(assignment.role));
    object.insert("appScopeId".to_owned(), json!(scope(assignment.catalog)));
    object.insert("directoryScopeId".to_owned(), Value::Null);
    object.insert("principalOrganizationId".to_owned(), Value::Null);
    object.insert("condition".to_owned(), Value::Null);
    object
}

/// Where a role is held, with the catalog's name.
async fn app_scope_of(
    app: &App,
    caller: &Caller,
    assignment: &RoleAssignment,
) -> Result<Map<String, Value>> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(scope(assignment.catalog)));
    let (name, kind) = match assignment.catalog {
        None => ("Organization".to_owned(), "Directory"),
        Some(catalog) => {
            let view = app.catalog(caller, catalog, accede_app::catalogs::CatalogWith::default());
            (view.await?.catalog.display_name, "AccessPackageCatalog")
        }
    };
    object.insert("displayName".to_owned(), json!(name));
    object.insert("type".to_owned(), json!(kind));
    Ok(object)
}

async fn expanded(
    app: &App,
    caller: &Caller,
    query: &Query,
    assignments: Vec<RoleAssignment>,
) -> Result<Vec<Map<String, Value>>> {
    let principals = if query.expands("principal").is_some() {
        let mut ids: Vec<Uuid> =
            assignments.iter().map(|assignment| assignment.principal).collect();
        ids.sort_unstable();
        ids.dedup();
        app.directory_objects(caller, &ids).await?
    } else {
        Vec::new()
    };
    let mut shown = Vec::with_capacity(assignments.len());
    for assignment in assignments {
        let mut object = json(&assignment);
        if let Some(inner) = query.expands("principal") {
            let found = principals.iter().find(|object| id_of(object) == assignment.principal);
            let found = found.map(|object| inner.project(directory_objects::json(object)));
            object.insert("principal".to_owned(), json!(found));
        }
        if let Some(inner) = query.expands("roleDefinition") {
            let found = Role::of(assignment.role).map(|which| inner.project(role(which)));
            object.insert("roleDefinition".to_owned(), json!(found));
        }
        if let Some(inner) = query.expands("appScope") {
            let found = app_scope_of(app, caller, &assignment).await?;
            object.insert("appScope".to_owned(), json!(inner.project(found)));
        }
        if query.expands("directoryScope").is_some() {
            object.insert("directoryScope".to_owned(), Value::Null);
        }
        shown.push(object);
    }
    Ok(shown)
}

fn id_of(object: &DirectoryObject) -> Uuid {
    match object {
        DirectoryObject::User(user) => user.id.0,
        DirectoryObject::Group(group) => group.id.0,
        DirectoryObject::Application(app) => app.id.0,
    }
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&ASSIGNMENT)?;
    let mut listing = query.listing();
    if !query.expand.is_empty() {
        listing.top = Some(listing.top.unwrap_or(MAX_EXPANDED).min(MAX_EXPANDED));
    }
    let page = app.list_role_assignments(&caller, &listing).await?;
    let items = expanded(&app, &caller, &query, page.items).await?;
    let page = accede_app::Page { items, next: page.next, count: page.count };
    Ok(wire.collection(ASSIGNMENTS, &query, page))
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.list_role_assignments(&caller, &counting(&query)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    create: Create,
) -> Result<Response> {
    let mut body = create.body;
    body.take_type(&["unifiedRoleAssignment"])?;
    let principal: Uuid = body.require("principalId")?;
    let definition: RoleDefinitionId = body.require_id("roleDefinitionId")?;
    let app_scope = body.take_text("appScopeId", MAX_SCOPE)?;
    let directory_scope = body.take_text("directoryScopeId", MAX_SCOPE)?;
    if directory_scope.as_deref().is_some_and(|scope| scope != "/") {
        return Err(body.wrong("directoryScopeId", "can only be `/`"));
    }
    let catalog = match app_scope.or(directory_scope) {
        None => {
            let message = "is missing; send `/` or `/AccessPackageCatalog/` and a catalog's id";
            return Err(body.wrong("appScopeId", message));
        }
        Some(scope) if scope == "/" => None,
        Some(scope) => Some(catalog_of(&scope).ok_or_else(|| {
            let shown: String = scope.chars().take(80).collect();
            let message =
                format!("is `{shown}`; send `/` or `/AccessPackageCatalog/` and a catalog's id");
            body.wrong("appScopeId", message)
        })?),
    };
    body.finish(&["condition", "principalOrganizationId"])?;
    let made = app
        .create_role_assignment_once(&caller, principal, definition, catalog, Some(&create.repeat))
        .await?;
    Ok(wire.created(ASSIGNMENTS, &made.id.to_string(), json(&made)))
}

fn catalog_of(scope: &str) -> Option<CatalogId> {
    let (prefix, id) = scope.split_at_checked(CATALOG.len())?;
    prefix.eq_ignore_ascii_case(CATALOG).then(|| id.parse().ok()).flatten()
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RoleAssignmentId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&ASSIGNMENT)?;
    let found = app.role_assignment(&caller, id).await?;
    let object = expanded(&app, &caller, &query, vec![found]).await?.pop().unwrap_or_default();
    Ok(wire.entity(ASSIGNMENTS, &query, object))
}

async fn remove(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RoleAssignmentId>,
) -> Result<StatusCode> {
    app.delete_role_assignment(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn principal(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RoleAssignmentId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let found = app.role_assignment(&caller, id).await?;
    let object = app.directory_object(&caller, found.principal).await?;
    Ok(wire.entity(directory_objects::SET, &query, directory_objects::json(&object)))
}

async fn role_definition(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RoleAssignmentId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&DEFINITION)?;
    let found = app.role_assignment(&caller, id).await?;
    let missing = || ApiError::not_found(format!("there is no role definition `{}`", found.role));
    let which = Role::of(found.role).ok_or_else(missing)?;
    Ok(wire.entity(DEFINITIONS, &query, shown_role(which, &query)))
}

async fn app_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RoleAssignmentId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let found = app.role_assignment(&caller, id).await?;
    let object = app_scope_of(&app, &caller, &found).await?;
    Ok(wire.singleton(&format!("{ASSIGNMENTS}('{id}')/appScope"), &query, object))
}

/// Roles of entitlement management are never held on an object of the directory.
async fn directory_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RoleAssignmentId>,
) -> Result<Response> {
    app.role_assignment(&caller, id).await?;
    Err(ApiError::not_found("the role assignment has no directory scope; see `appScope`"))
}
