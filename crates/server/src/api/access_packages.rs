//! `/v1.0/identityGovernance/entitlementManagement/accessPackages`, and `availableAccessPackages`:
//! the same packages as somebody who may ask for them sees them; `resourceRoleScopes`: what all
//! packages give.

use accede_app::App;
use accede_app::catalogs::CatalogWith;
use accede_app::packages::{
    GivenRole, NewPackage, Package, PackageChange, PackageView, PackageWith, RoleChoice,
};
use accede_app::policies::RequestablePackage;
use accede_app::related::Related;
use accede_app::text::{MAX_DESCRIPTION, MAX_NAME};
use accede_domain::id::{
    CatalogId, GroupId, MalformedId, PackageId, PolicyId, ResourceRoleId, ResourceScopeId,
};
use accede_domain::policy::Policy;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde_json::{Map, Value, json};

use super::body::{Body, Key, Keys, NoBody, Object};
use super::catalogs::{cleared, counted, counting, unsearched};
use super::error::{ApiError, Result};
use super::names::Parameters;
use super::query::{Query, Shape};
use super::repeat::{Create, IfMatch, etag};
use super::respond::Wire;
use super::users::searched;
use super::{assignment_policies, catalogs, groups, resources, schedules, short, time};
use crate::auth::SignedIn;

/// Where packages are.
pub const SET: &str = "identityGovernance/entitlementManagement/accessPackages";
const AVAILABLE: &str = "identityGovernance/entitlementManagement/availableAccessPackages";

/// What `$search` looks into.
pub const SEARCHED: &[&str] = &["displayName", "description"];

/// The names that packages have.
pub static SHAPE: Shape = Shape {
    name: "accessPackage",
    properties: &[
        "id",
        "displayName",
        "description",
        "isHidden",
        "createdDateTime",
        "modifiedDateTime",
    ],
    navigations: &[
        "catalog",
        "assignmentPolicies",
        "resourceRoleScopes",
        "incompatibleAccessPackages",
        "incompatibleGroups",
        "accessPackagesIncompatibleWith",
    ],
};

static AVAILABLE_SHAPE: Shape = Shape {
    name: "availableAccessPackage",
    properties: &["id", "displayName", "description"],
    navigations: &["resourceRoleScopes"],
};

static ROLE_SCOPE: Shape = Shape {
    name: "accessPackageResourceRoleScope",
    properties: &["id", "createdDateTime"],
    navigations: &["role", "scope"],
};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    const EM: &str = "/v1.0/identityGovernance/entitlementManagement";
    let at = |tail: &str| format!("{EM}/accessPackages{tail}");
    let one = |tail: &str| format!("{EM}/accessPackages/{{id}}{tail}");
    let given = |tail: &str| format!("{EM}/accessPackages/{{id}}/resourceRoleScopes{tail}");
    let root = |tail: &str| format!("{EM}/resourceRoleScopes{tail}");
    let available = |tail: &str| format!("{EM}/availableAccessPackages{tail}");
    Router::new()
        .route(&at(""), get(list).post(create))
        .route(&at("/$count"), get(count))
        .route(&at("/filterByCurrentUser"), get(mine))
        .route(&at("/filterByCurrentUser/$count"), get(count_mine))
        .route(&one(""), get(read).patch(change).delete(remove))
        .route(&one("/getApplicablePolicyRequirements"), post(requirements))
        .route(&one("/catalog"), get(catalog))
        .route(&one("/assignmentPolicies"), get(policies))
        .route(&one("/assignmentPolicies/$count"), get(count_policies))
        .route(&one("/assignmentPolicies/{policy}"), get(policy))
        .route(&given(""), get(role_scopes).post(add_role_scope))
        .route(&given("/$count"), get(count_role_scopes))
        .route(&given("/{pair}"), get(role_scope).delete(remove_role_scope))
        .route(&given("/{pair}/role"), get(role))
        .route(&given("/{pair}/role/resource"), get(resource))
        .route(&given("/{pair}/scope"), get(scope))
        .route(&given("/{pair}/scope/resource"), get(resource))
        .route(&one("/incompatibleAccessPackages"), get(incompatible_packages))
        .route(&one("/incompatibleAccessPackages/$count"), get(count_incompatible_packages))
        .route(
            &one("/incompatibleAccessPackages/$ref"),
            get(incompatible_package_links)
                .post(add_incompatible_package)
                .delete(remove_incompatible_package_by_link),
        )
        .route(
            &one("/incompatibleAccessPackages/{other}/$ref"),
            delete(remove_incompatible_package),
        )
        .route(&one("/incompatibleGroups"), get(incompatible_groups))
        .route(&one("/incompatibleGroups/$count"), get(count_incompatible_groups))
        .route(
            &one("/incompatibleGroups/$ref"),
            get(incompatible_group_links)
                .post(add_incompatible_group)
                .delete(remove_incompatible_group_by_link),
        )
        .route(&one("/incompatibleGroups/{group}/$ref"), delete(remove_incompatible_group))
        .route(&one("/accessPackagesIncompatibleWith"), get(incompatible_with))
        .route(&one("/accessPackagesIncompatibleWith/$count"), get(count_incompatible_with))
        .route(&one("/accessPackagesIncompatibleWith/{other}"), get(one_incompatible_with))
        .route(&root(""), get(all_role_scopes))
        .route(&root("/$count"), get(count_all_role_scopes))
        .route(&root("/{pair}"), get(some_role_scope))
        .route(&root("/{pair}/role"), get(some_role))
        .route(&root("/{pair}/scope"), get(some_scope))
        .route(&available(""), get(available_list))
        .route(&available("/$count"), get(count_available))
        .route(&available("/{id}"), get(available_one))
        .route(&available("/{id}/resourceRoleScopes"), get(available_role_scopes))
        .route(&available("/{id}/resourceRoleScopes/{pair}"), get(available_role_scope))
}

/// A package as Graph shows it.
pub fn json(package: &Package) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("@odata.etag".to_owned(), json!(etag(package.version)));
    object.insert("id".to_owned(), json!(package.id));
    object.insert("displayName".to_owned(), json!(package.display_name));
    object.insert("description".to_owned(), json!(package.description));
    object.insert("isHidden".to_owned(), json!(package.is_hidden));
    object.insert("createdDateTime".to_owned(), json!(time::text(package.created_at)));
    object.insert("modifiedDateTime".to_owned(), json!(time::text(package.modified_at)));
    object
}

/// A package beside a request or assignment. Its own parts are not read there: those who may see
/// the request may not see all of them.
pub fn expanded(package: &Package, _: &Query, _: &Related) -> Map<String, Value> {
    json(package)
}

/// A package with what was expanded.
pub fn shown(view: &PackageView, query: &Query) -> Map<String, Value> {
    let mut object = json(&view.package);
    if let Some(catalog) = &view.catalog {
        object.insert("catalog".to_owned(), json!(catalogs::json(catalog)));
    }
    if let Some(policies) = &view.policies {
        let policies: Vec<_> = policies.iter().map(assignment_policies::json).collect();
        object.insert("assignmentPolicies".to_owned(), json!(policies));
    }
    if let (Some(given), Some(inner)) = (&view.role_scopes, query.expands("resourceRoleScopes")) {
        let given: Vec<_> = given.iter().map(|given| role_scope_json(given, inner)).collect();
        object.insert("resourceRoleScopes".to_owned(), json!(given));
    }
    if let Some(packages) = &view.incompatible_packages {
        let packages: Vec<_> = packages.iter().map(json).collect();
        object.insert("incompatibleAccessPackages".to_owned(), json!(packages));
    }
    if let Some(all) = &view.incompatible_groups {
        let all: Vec<_> = all.iter().map(groups::typed).collect();
        object.insert("incompatibleGroups".to_owned(), json!(all));
    }
    if let Some(packages) = &view.incompatible_with {
        let packages: Vec<_> = packages.iter().map(json).collect();
        object.insert("accessPackagesIncompatibleWith".to_owned(), json!(packages));
    }
    object
}

/// What a query wants with packages.
///
/// # Errors
///
/// `400` for names that packages do not have.
pub fn with(query: &Query) -> Result<PackageWith> {
    query.fits(&SHAPE)?;
    if let Some(inner) = query.expands("resourceRoleScopes") {
        role_scope_fits(inner)?;
    }
    if let Some(inner) = query.expands("catalog") {
        leaf(inner, &catalogs::SHAPE)?;
    }
    if let Some(inner) = query.expands("assignmentPolicies") {
        leaf(inner, &assignment_policies::SHAPE)?;
    }
    for name in ["incompatibleAccessPackages", "accessPackagesIncompatibleWith"] {
        if let Some(inner) = query.expands(name) {
            leaf(inner, &SHAPE)?;
        }
    }
    if let Some(inner) = query.expands("incompatibleGroups") {
        leaf(inner, &groups::SHAPE)?;
    }
    Ok(PackageWith {
        catalog: query.expands("catalog").is_some(),
        policies: query.expands("assignmentPolicies").is_some(),
        role_scopes: query.expands("resourceRoleScopes").is_some(),
        incompatible_packages: query.expands("incompatibleAccessPackages").is_some(),
        incompatible_groups: query.expands("incompatibleGroups").is_some(),
        incompatible_with: query.expands("accessPackagesIncompatibleWith").is_some(),
    })
}

/// Refuses what the type does not have, and anything expanded inside it.
fn leaf(query: &Query, shape: &Shape) -> Result<()> {
    query.fits(shape)?;
    if let Some(inner) = query.expand.iter().find(|expand| expand.name != "*") {
        let message = format!(
            "`$expand`: `{}` cannot be expanded inside {}; read that by itself",
            inner.name, shape.name
        );
        return Err(ApiError::bad_request("$expand", message));
    }
    Ok(())
}

fn role_scope_fits(query: &Query) -> Result<()> {
    query.fits(&ROLE_SCOPE)?;
    if let Some(inner) = query.expands("role") {
        resources::role_fits(inner)?;
    }
    if let Some(inner) = query.expands("scope") {
        resources::scope_fits(inner)?;
    }
    Ok(())
}

/// The id of a role and a scope together.
fn pair_id(given: &GivenRole) -> String {
    format!("{}_{}", given.role.id, given.scope.id)
}

fn role_scope_json(given: &GivenRole, query: &Query) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(pair_id(given)));
    object.insert("createdDateTime".to_owned(), json!(time::text(given.created_at)));
    if let Some(inner) = query.expands("role") {
        let role = resources::role_json(&given.role, &given.resource, inner);
        object.insert("role".to_owned(), json!(role));
    }
    if let Some(inner) = query.expands("scope") {
        let scope = resources::scope_json(&given.scope, &given.resource, inner);
        object.insert("scope".to_owned(), json!(scope));
    }
    object
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.packages(&caller, None, &searched(&query, SEARCHED)?, with(&query)?).await?;
    Ok(wire.collection(SET, &query, page.map(|view| shown(&view, &query))))
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app
        .packages(&caller, None, &counted(searched(&query, SEARCHED)?), PackageWith::default())
        .await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    create: Create,
) -> Result<Response> {
    let mut body = create.body;
    body.take_type(&["accessPackage"])?;
    let new = NewPackage {
        display_name: body.require_text("displayName", MAX_NAME)?,
        description: body.take_text("description", MAX_DESCRIPTION)?.unwrap_or_default(),
        is_hidden: body.take("isHidden")?.unwrap_or(false),
        catalog: {
            let mut catalog: Object = body.require("catalog")?;
            catalog.require_id::<CatalogId>("id")?
        },
    };
    body.finish(&[])?;
    let package = app.create_package(&caller, &new, Some(&create.repeat)).await?;
    Ok(wire.created(SET, &package.id.to_string(), json(&package)))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.package(&caller, None, id, with(&query)?).await?;
    Ok(wire.entity(SET, &query, shown(&view, &query)))
}

async fn change(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    IfMatch(expected): IfMatch,
    wire: Wire,
    Body(mut body): Body,
) -> Result<Response> {
    body.take_type(&["accessPackage"])?;
    let change = PackageChange {
        display_name: body.set("displayName")?,
        description: cleared(body.change_text("description", MAX_DESCRIPTION)?),
        is_hidden: body.set("isHidden")?,
        expected,
    };
    if let Some(mut catalog) = body.take::<Object>("catalog")? {
        let named: Option<CatalogId> = catalog.take_id("id")?;
        let view = app.package(&caller, None, id, PackageWith::default()).await?;
        if named.is_some_and(|named| named != view.package.catalog) {
            return Err(body.wrong("catalog", "cannot be changed; make the package anew there"));
        }
    }
    body.finish(&[])?;
    let package = app.change_package(&caller, id, &change).await?;
    Ok(wire.updated(SET, || json(&package)))
}

async fn remove(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    IfMatch(expected): IfMatch,
) -> Result<Response> {
    app.delete_package(&caller, id, expected).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A package as somebody who may ask for it sees it.
fn open(view: &RequestablePackage, query: &Query) -> Map<String, Value> {
    let mut object = json(&view.package);
    if query.expands("catalog").is_some() {
        object.insert("catalog".to_owned(), json!(catalogs::json(&view.catalog)));
    }
    if let Some(inner) = query.expands("resourceRoleScopes") {
        let given: Vec<_> = view.gives.iter().map(|given| role_scope_json(given, inner)).collect();
        object.insert("resourceRoleScopes".to_owned(), json!(given));
    }
    object
}

fn allowed_requestor(parameters: &Parameters) -> Result<()> {
    let on = parameters.require("on")?;
    if on.eq_ignore_ascii_case("allowedRequestor") {
        return Ok(());
    }
    let shown: String = on.chars().take(40).collect();
    let message = format!("`on` is 'allowedRequestor' here, not '{shown}'");
    Err(ApiError::bad_request("on", message))
}

fn open_fits(query: &Query) -> Result<()> {
    with(query)?;
    let closed = [
        "assignmentPolicies",
        "incompatibleAccessPackages",
        "incompatibleGroups",
        "accessPackagesIncompatibleWith",
    ];
    let asked = |name: &&&str| query.expand.iter().any(|e| e.name.eq_ignore_ascii_case(name));
    if let Some(name) = closed.iter().find(asked) {
        let message = format!(
            "`$expand`: `{name}` is for administrators; ask for the policies open to you with \
             getApplicablePolicyRequirements"
        );
        return Err(ApiError::bad_request("$expand", message));
    }
    Ok(())
}

async fn mine(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    parameters: Parameters,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    allowed_requestor(&parameters)?;
    open_fits(&query)?;
    let search = query.search.as_deref();
    let page = app.requestable_packages(&caller, &query.listing(), search).await?;
    Ok(wire.collection(SET, &query, page.map(|view| open(&view, &query))))
}

async fn count_mine(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    parameters: Parameters,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    allowed_requestor(&parameters)?;
    let search = query.search.as_deref();
    let page = app.requestable_packages(&caller, &counting(&query), search).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

fn requirement_json(policy: &Policy) -> Value {
    let terms = &policy.terms;
    let approval = &terms.request_approval_settings;
    let questions: Vec<_> =
        terms.questions.iter().map(assignment_policies::question_json).collect();
    json!({
        "policyId": policy.id,
        "policyDisplayName": policy.display_name,
        "policyDescription": policy.description,
        "isApprovalRequiredForAdd": approval.is_approval_required_for_add,
        "isApprovalRequiredForUpdate": approval.is_approval_required_for_update,
        "isRequestorJustificationRequired": approval.is_requestor_justification_required,
        "allowCustomAssignmentSchedule": terms.requestor_settings.allow_custom_assignment_schedule,
        "schedule": schedules::schedule(None, &terms.expiration),
        "questions": questions,
    })
}

async fn requirements(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    _: NoBody,
) -> Result<Response> {
    let open = app.applicable_policies(&caller, id, None).await?;
    let value: Vec<Value> = open.iter().map(requirement_json).collect();
    let mut object = Map::new();
    let context = "v1.0/$metadata#Collection(microsoft.graph.\
                   accessPackageAssignmentRequestRequirements)";
    object.insert("@odata.context".to_owned(), json!(wire.address(context)));
    object.insert("value".to_owned(), json!(value));
    Ok(wire.plain(StatusCode::OK, object))
}

async fn catalog(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    leaf(&query, &catalogs::SHAPE)?;
    let view = app.package(&caller, None, id, PackageWith::default()).await?;
    let catalog = app.catalog(&caller, view.package.catalog, CatalogWith::default()).await?;
    Ok(wire.entity(catalogs::SET, &query, catalogs::json(&catalog.catalog)))
}

async fn policies(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    assignment_policies::fits(&query)?;
    let page = app.policies(&caller, Some(id), &searched(&query, SEARCHED)?).await?;
    let set = format!("{SET}('{id}')/assignmentPolicies");
    Ok(wire.collection(&set, &query, page.map(|view| assignment_policies::shown(&view, &query))))
}

async fn count_policies(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.policies(&caller, Some(id), &counted(searched(&query, SEARCHED)?)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn policy(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, policy): Keys<PackageId, PolicyId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    assignment_policies::fits(&query)?;
    let view = app.policy(&caller, Some(id), policy).await?;
    let set = format!("{SET}('{id}')/assignmentPolicies");
    Ok(wire.entity(&set, &query, assignment_policies::shown(&view, &query)))
}

/// What a package gives, as a short list.
async fn given(
    app: &App,
    caller: &accede_app::Caller,
    id: PackageId,
    query: &Query,
) -> Result<Vec<Map<String, Value>>> {
    role_scope_fits(query)?;
    let with = PackageWith { role_scopes: true, ..PackageWith::default() };
    let view = app.package(caller, None, id, with).await?;
    let all = view.role_scopes.unwrap_or_default();
    Ok(all.iter().map(|given| role_scope_json(given, query)).collect())
}

async fn role_scopes(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = given(&app, &caller, id, &query).await?;
    let set = format!("{SET}('{id}')/resourceRoleScopes");
    Ok(wire.collection(&set, &query, short::page(&query, items)?))
}

async fn count_role_scopes(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = given(&app, &caller, id, &query).await?;
    Ok(wire.count(short::count(&query, items)?))
}

async fn add_role_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    create: Create,
) -> Result<Response> {
    let mut body = create.body;
    body.take_type(&["accessPackageResourceRoleScope"])?;
    let mut role: Object = body.require("role")?;
    let scope: Option<Object> = body.take("scope")?;
    body.finish(&[])?;
    let mut choice = RoleChoice {
        role: role.take_id("id")?,
        role_origin_id: role.take("originId")?,
        origin_system: role.take("originSystem")?,
        ..RoleChoice::default()
    };
    let resource: Option<Object> = role.take("resource")?;
    // What else stands in a role or scope is what the client has read of it.
    let ignored = ["displayName", "description", "type", "resourceType", "isRootScope", "url"];
    role.finish(&ignored)?;
    if let Some(mut resource) = resource {
        choice.resource = resource.take_id("id")?;
        choice.resource_origin_id = resource.take("originId")?;
        let system: Option<String> = resource.take("originSystem")?;
        choice.origin_system = system.or(choice.origin_system);
    }
    if let Some(mut scope) = scope {
        choice.scope = scope.take_id("id")?;
        choice.scope_origin_id = scope.take("originId")?;
        let system: Option<String> = scope.take("originSystem")?;
        choice.origin_system = choice.origin_system.or(system);
        let resource: Option<Object> = scope.take("resource")?;
        scope.finish(&ignored)?;
        if let (Some(mut resource), None) = (resource, choice.resource) {
            choice.resource = resource.take_id("id")?;
            choice.resource_origin_id = choice.resource_origin_id.or(resource.take("originId")?);
        }
    }
    let given = app.add_role_scope(&caller, id, &choice, Some(&create.repeat)).await?;
    let mut object = role_scope_json(&given, &Query::default());
    let kind = "#microsoft.graph.accessPackageResourceRoleScope";
    object.insert("@odata.type".to_owned(), json!(kind));
    Ok(wire.created(&format!("{SET}/{id}/resourceRoleScopes"), &pair_id(&given), object))
}

/// `{role}_{scope}` in the path.
fn pair(text: &str) -> Result<(ResourceRoleId, ResourceScopeId)> {
    let malformed = || MalformedId(text.chars().take(80).collect());
    let (role, scope) = text.split_once('_').ok_or_else(malformed)?;
    Ok((role.parse()?, scope.parse()?))
}

async fn one_given(
    app: &App,
    caller: &accede_app::Caller,
    path: &(String, String),
) -> Result<GivenRole> {
    let (role, scope) = pair(&path.1)?;
    Ok(app.role_scope(caller, path.0.parse()?, role, scope).await?)
}

async fn role_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(path): Path<(String, String)>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    role_scope_fits(&query)?;
    let given = one_given(&app, &caller, &path).await?;
    let set = format!("{SET}('{}')/resourceRoleScopes", given.package);
    Ok(wire.entity(&set, &query, role_scope_json(&given, &query)))
}

async fn remove_role_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path((id, both)): Path<(String, String)>,
) -> Result<Response> {
    let (role, scope) = pair(&both)?;
    app.remove_role_scope(&caller, id.parse()?, role, scope).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn role(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(path): Path<(String, String)>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    resources::role_fits(&query)?;
    let given = one_given(&app, &caller, &path).await?;
    let set = format!("{}('{}')/roles", resources::SET, given.resource.id);
    Ok(wire.entity(&set, &query, resources::role_json(&given.role, &given.resource, &query)))
}

async fn scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(path): Path<(String, String)>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    resources::scope_fits(&query)?;
    let given = one_given(&app, &caller, &path).await?;
    let set = format!("{}('{}')/scopes", resources::SET, given.resource.id);
    Ok(wire.entity(&set, &query, resources::scope_json(&given.scope, &given.resource, &query)))
}

async fn resource(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(path): Path<(String, String)>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let given = one_given(&app, &caller, &path).await?;
    let with = resources::with(&query)?;
    let view = app.resource(&caller, None, given.resource.id, with).await?;
    Ok(wire.entity(resources::SET, &query, resources::shown(&view, &query)))
}

const ROLE_SCOPES: &str = "identityGovernance/entitlementManagement/resourceRoleScopes";

async fn all_role_scopes(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    role_scope_fits(&query)?;
    let page = app.role_scopes(&caller, &unsearched(&query)?).await?;
    Ok(wire.collection(ROLE_SCOPES, &query, page.map(|given| role_scope_json(&given, &query))))
}

async fn count_all_role_scopes(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page = app.role_scopes(&caller, &counted(unsearched(&query)?)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn some(app: &App, caller: &accede_app::Caller, both: &str) -> Result<GivenRole> {
    let (role, scope) = pair(both)?;
    Ok(app.some_role_scope(caller, role, scope).await?)
}

async fn some_role_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(both): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    role_scope_fits(&query)?;
    let given = some(&app, &caller, &both).await?;
    Ok(wire.entity(ROLE_SCOPES, &query, role_scope_json(&given, &query)))
}

async fn some_role(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(both): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    resources::role_fits(&query)?;
    let given = some(&app, &caller, &both).await?;
    let set = format!("{}('{}')/roles", resources::SET, given.resource.id);
    Ok(wire.entity(&set, &query, resources::role_json(&given.role, &given.resource, &query)))
}

async fn some_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(both): Path<String>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    resources::scope_fits(&query)?;
    let given = some(&app, &caller, &both).await?;
    let set = format!("{}('{}')/scopes", resources::SET, given.resource.id);
    Ok(wire.entity(&set, &query, resources::scope_json(&given.scope, &given.resource, &query)))
}

const LISTED: PackageWith = PackageWith {
    catalog: false,
    policies: false,
    role_scopes: false,
    incompatible_packages: true,
    incompatible_groups: true,
    incompatible_with: true,
};

/// The packages that a package lists, or that list it, as a short list.
async fn excluded(
    app: &App,
    caller: &accede_app::Caller,
    id: PackageId,
    query: &Query,
    reverse: bool,
) -> Result<Vec<Map<String, Value>>> {
    leaf(query, &SHAPE)?;
    let view = app.package(caller, None, id, LISTED).await?;
    let all = if reverse { view.incompatible_with } else { view.incompatible_packages };
    Ok(all.unwrap_or_default().iter().map(json).collect())
}

async fn incompatible_packages(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = excluded(&app, &caller, id, &query, false).await?;
    Ok(wire.collection(SET, &query, short::page(&query, items)?))
}

async fn count_incompatible_packages(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = excluded(&app, &caller, id, &query, false).await?;
    Ok(wire.count(short::count(&query, items)?))
}

async fn incompatible_with(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = excluded(&app, &caller, id, &query, true).await?;
    Ok(wire.collection(SET, &query, short::page(&query, items)?))
}

async fn count_incompatible_with(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = excluded(&app, &caller, id, &query, true).await?;
    Ok(wire.count(short::count(&query, items)?))
}

async fn one_incompatible_with(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, other): Keys<PackageId, PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    leaf(&query, &SHAPE)?;
    let view = app.package(&caller, None, id, LISTED).await?;
    let all = view.incompatible_with.unwrap_or_default();
    let found = all.iter().find(|package| package.id == other);
    let missing = || accede_app::Error::not_found("access package", other);
    Ok(wire.entity(SET, &query, json(found.ok_or_else(missing)?)))
}

/// `{"value":[{"@odata.id": …}]}`
fn links(wire: &Wire, query: &Query, addresses: Vec<String>) -> Result<Response> {
    let items = addresses
        .into_iter()
        .map(|address| {
            let mut item = Map::new();
            item.insert("@odata.id".to_owned(), json!(wire.address(&address)));
            item
        })
        .collect();
    let mut plain = query.clone();
    plain.filter = None;
    plain.order.clear();
    Ok(wire.collection("Collection($ref)", &Query::default(), short::page(&plain, items)?))
}

async fn incompatible_package_links(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.package(&caller, None, id, LISTED).await?;
    let all = view.incompatible_packages.unwrap_or_default();
    let addresses = all.iter().map(|package| format!("v1.0/{SET}/{}", package.id)).collect();
    links(&wire, &query, addresses)
}

async fn incompatible_group_links(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.package(&caller, None, id, LISTED).await?;
    let all = view.incompatible_groups.unwrap_or_default();
    let addresses = all.iter().map(|group| format!("v1.0/groups/{}", group.id)).collect();
    links(&wire, &query, addresses)
}

/// The id that the body's `@odata.id` points to.
fn linked<I>(body: &mut Object) -> Result<I>
where
    I: std::str::FromStr<Err = MalformedId>,
{
    let id = body.take_link("@odata.id")?.ok_or_else(|| body.wrong("@odata.id", "is required"))?;
    id.parse().map_err(|error| body.wrong("@odata.id", format!("ends with {error}")))
}

/// The id that `?@id=` of the query points to.
fn named<I>(query: &Query) -> Result<I>
where
    I: std::str::FromStr<Err = MalformedId>,
{
    let missing = || {
        let message = "name what to take off: `…/{id}/$ref`, or `…/$ref?@id={address}`";
        ApiError::bad_request("@id", message)
    };
    let text = query.id.as_deref().ok_or_else(missing)?;
    Ok(super::body::link(text).ok_or_else(missing)?.parse()?)
}

async fn add_incompatible_package(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    Body(mut body): Body,
) -> Result<Response> {
    let other = linked(&mut body)?;
    body.finish(&[])?;
    app.add_incompatible_package(&caller, id, other).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn remove_incompatible_package(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, other): Keys<PackageId, PackageId>,
) -> Result<Response> {
    app.remove_incompatible_package(&caller, id, other).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn remove_incompatible_package_by_link(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    query: Query,
) -> Result<Response> {
    app.remove_incompatible_package(&caller, id, named(&query)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn excluded_groups(
    app: &App,
    caller: &accede_app::Caller,
    id: PackageId,
    query: &Query,
) -> Result<Vec<Map<String, Value>>> {
    leaf(query, &groups::SHAPE)?;
    let view = app.package(caller, None, id, LISTED).await?;
    Ok(view.incompatible_groups.unwrap_or_default().iter().map(groups::typed).collect())
}

async fn incompatible_groups(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = excluded_groups(&app, &caller, id, &query).await?;
    Ok(wire.collection("groups", &query, short::page(&query, items)?))
}

async fn count_incompatible_groups(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = excluded_groups(&app, &caller, id, &query).await?;
    Ok(wire.count(short::count(&query, items)?))
}

async fn add_incompatible_group(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    Body(mut body): Body,
) -> Result<Response> {
    let group = linked(&mut body)?;
    body.finish(&[])?;
    app.add_incompatible_group(&caller, id, group).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn remove_incompatible_group(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, group): Keys<PackageId, GroupId>,
) -> Result<Response> {
    app.remove_incompatible_group(&caller, id, group).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn remove_incompatible_group_by_link(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    query: Query,
) -> Result<Response> {
    app.remove_incompatible_group(&caller, id, named(&query)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A package of `availableAccessPackages`.
fn available(view: &RequestablePackage, query: &Query) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(view.package.id));
    object.insert("displayName".to_owned(), json!(view.package.display_name));
    object.insert("description".to_owned(), json!(view.package.description));
    if let Some(inner) = query.expands("resourceRoleScopes") {
        let given: Vec<_> = view.gives.iter().map(|given| role_scope_json(given, inner)).collect();
        object.insert("resourceRoleScopes".to_owned(), json!(given));
    }
    object
}

fn available_fits(query: &Query) -> Result<()> {
    query.fits(&AVAILABLE_SHAPE)?;
    query.expands("resourceRoleScopes").map_or(Ok(()), role_scope_fits)
}

async fn available_list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    available_fits(&query)?;
    let search = query.search.as_deref();
    let page = app.requestable_packages(&caller, &query.listing(), search).await?;
    Ok(wire.collection(AVAILABLE, &query, page.map(|view| available(&view, &query))))
}

async fn count_available(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let search = query.search.as_deref();
    let page = app.requestable_packages(&caller, &counting(&query), search).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn available_one(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    available_fits(&query)?;
    let view = app.requestable_package(&caller, id).await?;
    Ok(wire.entity(AVAILABLE, &query, available(&view, &query)))
}

async fn available_role_scopes(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PackageId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    role_scope_fits(&query)?;
    let view = app.requestable_package(&caller, id).await?;
    let items = view.gives.iter().map(|given| role_scope_json(given, &query)).collect();
    let set = format!("{AVAILABLE}('{id}')/resourceRoleScopes");
    Ok(wire.collection(&set, &query, short::page(&query, items)?))
}

async fn available_role_scope(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path((id, both)): Path<(String, String)>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    role_scope_fits(&query)?;
    let (id, (role, scope)): (PackageId, _) = (id.parse()?, pair(&both)?);
    let view = app.requestable_package(&caller, id).await?;
    let found = view.gives.iter().find(|given| given.role.id == role && given.scope.id == scope);
    let missing = || accede_app::Error::not_found("resource role scope", &both);
    let set = format!("{AVAILABLE}('{id}')/resourceRoleScopes");
    Ok(wire.entity(&set, &query, role_scope_json(found.ok_or_else(missing)?, &query)))
}
