//! What an access package gives: its resource roles, adding one, removing one.

use accede_app::packages::{GivenRole, PackageView, PackageWith, RoleChoice};
use accede_app::resources::{ResourceView, ResourceWith};
use accede_app::{App, Listing};
use accede_domain::id::{PackageId, ResourceRoleId, ResourceScopeId};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::confirm::ConfirmPage;
use super::form::{Asked, Fields, Posted, id};
use super::packages::{
    below, gives_nothing, head, holders, may_manage, must_manage, read, with_spread,
};
use super::part::{Frame, Notice, Tone, When, plural};
use super::pick::{Pick, PickPage, listing, next};
use super::problem::{Result, again, sentence};
use super::requests::PackageHead;
use super::session::Session;
use super::{Web, page, see, words};

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/packages/{id}/roles", get(roles))
        .route("/governance/packages/{id}/roles/add", get(choose).post(add))
        .route("/governance/packages/{id}/roles/{role}/{scope}/remove", get(ask).post(remove))
}

/// What a package gives.
#[derive(Debug, Template)]
#[template(path = "package_roles.html")]
pub struct RolesPage {
    frame: Frame,
    package: PackageHead,
    rows: Vec<RoleRow>,
    may_manage: bool,
}

/// A role that a package gives.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RoleRow {
    /// Role and scope, as in an address.
    id: String,
    role: String,
    resource: String,
    scope: Option<String>,
    system: String,
    added: When,
}

impl RoleRow {
    fn of(given: GivenRole) -> RoleRow {
        RoleRow {
            id: format!("{}/{}", given.role.id, given.scope.id),
            role: given.role.display_name,
            resource: given.resource.display_name,
            scope: (!given.scope.is_root).then_some(given.scope.display_name),
            system: given.resource.origin_system,
            added: When::minute(given.created_at),
        }
    }
}

async fn roles(
    State(app): State<App>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let with = PackageWith { role_scopes: true, policies: true, ..PackageWith::default() };
    let mut view = read(&app, &session, &text, with).await?;
    let (frame, package) = head(&session, &view, "roles", "Resource roles");
    let notice = words::done(fields.get("done")).or_else(|| gives_nothing(&session, &view));
    let notice = with_spread(&app, &session, &view.package, notice).await?;
    let names = system_names(&app, &session, &view).await?;
    for given in view.role_scopes.iter_mut().flatten() {
        let system = &mut given.resource.origin_system;
        if let Some((_, name)) = names.iter().find(|(origin, _)| origin == system) {
            system.clone_from(name);
        }
    }
    page(&RolesPage {
        frame: frame.notice(notice),
        package,
        may_manage: may_manage(&session, &view.package),
        rows: view.role_scopes.unwrap_or_default().into_iter().map(RoleRow::of).collect(),
    })
}

/// The target systems of a package's catalog: what resources call them, and what people do.
async fn system_names(
    app: &App,
    session: &Session,
    view: &PackageView,
) -> Result<Vec<(String, String)>> {
    let with = ResourceWith { environment: true, ..ResourceWith::default() };
    let listing = Listing { top: Some(accede_app::list::MAX_TOP), ..Listing::default() };
    let catalog = Some(view.package.catalog);
    let found = app.resources(&session.caller, catalog, None, &listing, with).await?;
    let named = found.items.into_iter().filter_map(|one| {
        one.environment.map(|target| (one.resource.origin_system, target.display_name))
    });
    Ok(named.collect())
}

/// The roles of a resource that a package does not give yet.
fn left(resource: ResourceView, given: &[GivenRole]) -> Vec<Pick> {
    let target = resource.environment.map(|target| target.display_name).unwrap_or_default();
    let name = resource.resource.display_name;
    let scopes = resource.scopes.unwrap_or_default();
    let mut left = Vec::new();
    for role in resource.roles.unwrap_or_default() {
        for scope in &scopes {
            if given.iter().any(|given| given.role.id == role.id && given.scope.id == scope.id) {
                continue;
            }
            left.push(Pick {
                name: name.clone(),
                under: if scope.is_root { String::new() } else { scope.display_name.clone() },
                cells: vec![role.display_name.clone(), target.clone()],
                hidden: vec![("role", role.id.to_string()), ("scope", scope.id.to_string())],
                spoken: format!("{} of {name}", role.display_name),
            });
        }
    }
    left
}

async fn add_page(
    app: &App,
    session: &Session,
    text: &str,
    fields: &Fields,
    notice: Option<Notice>,
) -> Result<PickPage> {
    let with = PackageWith { role_scopes: true, catalog: true, ..PackageWith::default() };
    let view = read(app, session, text, with).await?;
    must_manage(session, &view.package)?;
    let (search, listing) = listing(fields)?;
    let with = ResourceWith { roles: true, scopes: true, environment: true };
    let catalog = Some(view.package.catalog);
    let found = app.resources(&session.caller, catalog, None, &listing, with).await?;
    let given = view.role_scopes.unwrap_or_default();
    let above = view.catalog.map(|catalog| catalog.display_name).unwrap_or_default();
    let back = format!("/governance/packages/{}/roles", view.package.id);
    let action = format!("{back}/add");
    let mut lead = vec![format!("Choose among the resources of the catalog {above}.")];
    lead.push(match holders(app, session, &view.package).await? {
        Some(0) => "Nobody has the access package yet.".to_owned(),
        Some(many) => format!(
            "Who has the access package gets the role soon after: {}.",
            plural(many, "assignment")
        ),
        None => "Who has the access package gets the role soon after.".to_owned(),
    });
    Ok(PickPage {
        frame: below(session, "Add a resource role", &view.package)
            .crumb("Resource roles", &back)
            .notice(notice),
        lead,
        noun: "Resource",
        columns: vec!["Role", "Target system"],
        rows: found.items.into_iter().flat_map(|resource| left(resource, &given)).collect(),
        empty: match search.is_empty() {
            true => format!(
                "There is nothing left to add. Add a resource to the catalog {above} first."
            ),
            false => "The catalog has no resource of such a name with a role left to add.".into(),
        },
        next: next(&action, &search, found.next),
        search,
        action,
        back,
    })
}

async fn choose(
    State(app): State<App>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
) -> Result {
    page(&add_page(&app, &session, &text, &fields, None).await?)
}

async fn add(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let package: PackageId = id("access package", &text)?;
    let choice = RoleChoice {
        role: Some(id("resource role", fields.get("role").unwrap_or_default())?),
        scope: Some(id("resource scope", fields.get("scope").unwrap_or_default())?),
        ..RoleChoice::default()
    };
    match app.add_role_scope(&session.caller, package, &choice, None).await {
        Ok(_) => Ok(see(format!("/governance/packages/{package}/roles?done=added"))),
        Err(error) => {
            let notice = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let again_page = add_page(&app, &session, &text, &fields, Some(notice)).await?;
            again(error, |_| page(&again_page))
        }
    }
}

/// Which resource role of which package an address names.
struct Named {
    package: PackageId,
    role: ResourceRoleId,
    scope: ResourceScopeId,
}

impl Named {
    fn read((package, role, scope): &(String, String, String)) -> Result<Named> {
        Ok(Named {
            package: id("access package", package)?,
            role: id("resource role", role)?,
            scope: id("resource scope", scope)?,
        })
    }
}

async fn ask(
    State(app): State<App>,
    session: Session,
    Path(names): Path<(String, String, String)>,
) -> Result {
    let Named { package, role, scope } = Named::read(&names)?;
    let view = app.package(&session.caller, None, package, PackageWith::default()).await?;
    must_manage(&session, &view.package)?;
    let given = app.role_scope(&session.caller, package, role, scope).await?;
    let (role, resource) = (given.role.display_name, given.resource.display_name);
    let name = &view.package.display_name;
    let back = format!("/governance/packages/{package}/roles");
    let loses = match holders(&app, &session, &view.package).await? {
        Some(0) => "Nobody has the access package, so nobody loses the role.".to_owned(),
        Some(many) => format!(
            "Who has the access package loses the role soon after, unless another access \
             package gives it to them: {}.",
            plural(many, "assignment")
        ),
        None => "Who has the access package loses the role soon after, unless another access \
                 package gives it to them."
            .to_owned(),
    };
    page(&ConfirmPage {
        frame: below(&session, format!("Remove {role} of {resource}?"), &view.package)
            .crumb("Resource roles", &back),
        sentences: vec![format!("{name} no longer gives the role {role} of {resource}."), loses],
        action: format!("{back}/{}/{}/remove", given.role.id, given.scope.id),
        hidden: Vec::new(),
        button: "Remove the role".to_owned(),
        back,
    })
}

async fn remove(
    State(app): State<App>,
    Path(names): Path<(String, String, String)>,
    Posted { session, .. }: Posted,
) -> Result {
    let Named { package, role, scope } = Named::read(&names)?;
    app.remove_role_scope(&session.caller, package, role, scope).await?;
    Ok(see(format!("/governance/packages/{package}/roles?done=removed")))
}

#[cfg(test)]
impl RolesPage {
    /// One role and none, for who may change them; one for who may not.
    pub fn samples() -> Vec<RolesPage> {
        use super::part::Place;
        use super::samples::{NASTY, at, frame};
        let row = RoleRow {
            id: "1/2".to_owned(),
            role: "Member".to_owned(),
            resource: NASTY.to_owned(),
            scope: Some(NASTY.to_owned()),
            system: "wiki".to_owned(),
            added: When::minute(at(0)),
        };
        let page = |rows, may_manage| RolesPage {
            frame: frame("Resource roles", Place::Packages),
            package: PackageHead { id: "a7c0".to_owned(), name: NASTY.to_owned(), tab: "roles" },
            rows,
            may_manage,
        };
        vec![page(vec![row.clone()], true), page(vec![], true), page(vec![row], false)]
    }
}
