//! Access packages: what they are, what they give, what excludes them.

use accede_domain::Timestamp;
use accede_domain::id::{CatalogId, GroupId, PackageId, ResourceRoleId, ResourceScopeId};
use accede_domain::permission::{Action, Reach};
use accede_domain::refusal::Refusal;
use accede_store::catalogs::Catalog;
use accede_store::groups::{self, Group};
use accede_store::guards::RoleChange;
use accede_store::packages::{self, Given, Usage};
use accede_store::policies::{self, Stored};
use accede_store::{Tx, catalogs, resources, separations};
use serde_json::json;

use crate::creations::{self, Repeat};
use crate::list::ask;
use crate::resources::distinct;
use crate::{App, Caller, Error, Listing, Page, Result, audit, guards, text};

pub use accede_store::packages::{Given as GivenRole, Package};

/// Most resource roles of one package.
pub const MAX_ROLES: usize = 200;
/// Most packages, and most groups, that one package lists as incompatible.
pub const MAX_INCOMPATIBLE: usize = 500;

/// A package to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPackage {
    /// In which catalog.
    pub catalog: CatalogId,
    /// Its name; unique in its catalog, whatever its case.
    pub display_name: String,
    /// What people read about it.
    pub description: String,
    /// Whether it is left out when people browse.
    pub is_hidden: bool,
}

/// What changes of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageChange {
    /// Its name.
    pub display_name: Option<String>,
    /// What people read about it.
    pub description: Option<String>,
    /// Whether it is left out when people browse.
    pub is_hidden: Option<bool>,
    /// The version it was read in, if nobody else may have changed it since.
    pub expected: Option<i64>,
}

/// What is shown with a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackageWith {
    /// Its catalog.
    pub catalog: bool,
    /// Its policies.
    pub policies: bool,
    /// What it gives.
    pub role_scopes: bool,
    /// The packages it lists as incompatible.
    pub incompatible_packages: bool,
    /// The groups it lists as incompatible.
    pub incompatible_groups: bool,
    /// The packages that list it as incompatible.
    pub incompatible_with: bool,
}

/// A package with what was asked to be shown with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageView {
    /// The package.
    pub package: Package,
    /// Its catalog.
    pub catalog: Option<Catalog>,
    /// Its policies.
    pub policies: Option<Vec<Stored>>,
    /// What it gives.
    pub role_scopes: Option<Vec<Given>>,
    /// The packages it lists as incompatible.
    pub incompatible_packages: Option<Vec<Package>>,
    /// The groups it lists as incompatible.
    pub incompatible_groups: Option<Vec<Group>>,
    /// The packages that list it as incompatible.
    pub incompatible_with: Option<Vec<Package>>,
}

/// How a client names a resource role to add to a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleChoice {
    /// The role's id in the catalog.
    pub role: Option<ResourceRoleId>,
    /// The role's id in its target.
    pub role_origin_id: Option<String>,
    /// The resource of the role.
    pub resource: Option<accede_domain::id::ResourceId>,
    /// The resource's id in its target.
    pub resource_origin_id: Option<String>,
    /// The target's name.
    pub origin_system: Option<String>,
    /// The scope's id in the catalog.
    pub scope: Option<ResourceScopeId>,
    /// The scope's id in its target.
    pub scope_origin_id: Option<String>,
}

impl App {
    /// The packages that the caller may administer or read: all, or of one catalog.
    ///
    /// # Errors
    ///
    /// Not found for a catalog that they may not read; forbidden for those who may read none;
    /// invalid for what the list does not have.
    pub async fn packages(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        listing: &Listing,
        with: PackageWith,
    ) -> Result<Page<PackageView>> {
        let reach = caller.reach_for_list(Action::ReadCatalog, catalog)?;
        self.store()
            .read(async |tx| {
                if let Some(catalog) = catalog {
                    crate::catalogs::visible(tx, caller, catalog).await?;
                }
                let page =
                    packages::page(tx, &reach, catalog, ask(listing)?, listing.count).await?;
                let items = package_views(tx, &reach, page.items, with).await?;
                Ok(Page { items, next: page.next, count: page.count })
            })
            .await
    }

    /// A package; of one catalog only, if one is named.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn package(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        id: PackageId,
        with: PackageWith,
    ) -> Result<PackageView> {
        self.store()
            .read(async |tx| {
                let package = visible(tx, caller, id).await?;
                if catalog.is_some_and(|catalog| catalog != package.catalog) {
                    return Err(missing(id));
                }
                let reach = caller.reach(Action::ReadCatalog);
                let view = package_views(tx, &reach, vec![package], with).await?.pop();
                view.ok_or_else(|| missing(id))
            })
            .await
    }

    /// Makes a package.
    ///
    /// # Errors
    ///
    /// Not found (the catalog), forbidden, invalid, a duplicate name.
    pub async fn create_package(
        &self,
        caller: &Caller,
        new: &NewPackage,
        repeat: Option<&Repeat>,
    ) -> Result<Package> {
        let now = self.now();
        let package = Package {
            id: self.mint(now),
            catalog: new.catalog,
            display_name: text::name("displayName", &new.display_name)?,
            description: text::description("description", &new.description)?,
            is_hidden: new.is_hidden,
            created_at: now,
            modified_at: now,
            version: 1,
        };
        self.store()
            .write(async |tx| {
                let (read, what) = (Action::ReadCatalog, "catalog");
                caller.may_on(Action::ManagePackages, new.catalog, read, what, new.catalog)?;
                if catalogs::lock(tx, new.catalog).await?.is_none() {
                    return Err(Error::not_found("catalog", new.catalog));
                }
                if let Some(before) = creations::begin(tx, caller, repeat, package.id, now).await?
                    && let Some(before) = packages::get(tx, before).await?
                {
                    return Ok(before);
                }
                packages::insert(tx, &package)
                    .await
                    .map_err(|error| taken(error, &package.display_name))?;
                let detail = json!({
                    "displayName": package.display_name,
                    "isHidden": package.is_hidden,
                });
                self.audit_package(tx, caller, "access package created", &package, detail, now)
                    .await?;
                Ok(package.clone())
            })
            .await
    }

    /// Changes a package; the package after that.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, invalid, a duplicate name, stale.
    pub async fn change_package(
        &self,
        caller: &Caller,
        id: PackageId,
        change: &PackageChange,
    ) -> Result<Package> {
        let now = self.now();
        let name =
            change.display_name.as_deref().map(|new| text::name("displayName", new)).transpose()?;
        let description = change
            .description
            .as_deref()
            .map(|new| text::description("description", new))
            .transpose()?;
        self.store()
            .write(async |tx| {
                let mut package = managed(tx, caller, id).await?;
                if change.expected.is_some_and(|expected| expected != package.version) {
                    return Err(Error::Stale);
                }
                let before = package.clone();
                package.display_name = name.clone().unwrap_or(package.display_name);
                package.description = description.clone().unwrap_or(package.description);
                package.is_hidden = change.is_hidden.unwrap_or(package.is_hidden);
                if package == before {
                    return Ok(package);
                }
                package.modified_at = now;
                packages::save(tx, &mut package)
                    .await
                    .map_err(|error| taken(error, &package.display_name))?;
                let detail = audit::changes(&[
                    ("displayName", json!(before.display_name), json!(package.display_name)),
                    ("description", json!(before.description), json!(package.description)),
                    ("isHidden", json!(before.is_hidden), json!(package.is_hidden)),
                ]);
                self.audit_package(tx, caller, "access package changed", &package, detail, now)
                    .await?;
                Ok(package)
            })
            .await
    }

    /// Deletes a package that nobody has and nobody waits for, with its policies.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, refused while it has assignments or open requests.
    pub async fn delete_package(
        &self,
        caller: &Caller,
        id: PackageId,
        expected: Option<i64>,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let package = managed(tx, caller, id).await?;
                if expected.is_some_and(|expected| expected != package.version) {
                    return Err(Error::Stale);
                }
                let usage = packages::usage(tx, id).await?;
                unused(usage, "the access package", "AccessPackage")?;
                packages::delete(tx, id, now).await?;
                let detail = json!({ "displayName": package.display_name });
                self.audit_package(tx, caller, "access package deleted", &package, detail, now)
                    .await
            })
            .await
    }

    /// Lets a package give a resource role of its catalog. Who has the package already gets the
    /// role too, soon after: see [`App::role_spread`]; very many wait, see [`guards`].
    ///
    /// # Errors
    ///
    /// Not found, forbidden; invalid, if there is no such role in the package's catalog; a
    /// duplicate, if the package gives it already.
    pub async fn add_role_scope(
        &self,
        caller: &Caller,
        id: PackageId,
        choice: &RoleChoice,
        repeat: Option<&Repeat>,
    ) -> Result<Given> {
        let now = self.now();
        let given = self
            .store()
            .write(async |tx| {
                let package = managed(tx, caller, id).await?;
                let (role, scope) = chosen(tx, package.catalog, choice).await?;
                let key = format!("{}_{}", role.id, scope.id);
                let again = creations::begin(tx, caller, repeat, key, now).await?.is_some();
                if again && let Some(given) = packages::given_one(tx, id, role.id, scope.id).await?
                {
                    return Ok(given);
                }
                // No refresh or removal takes the role away from here on; one may have before.
                let resource = resources::lock(tx, role.resource).await?;
                if resource.is_none() || resources::role(tx, role.id).await?.is_none() {
                    return Err(Error::not_found("resource role", role.id));
                }
                if MAX_ROLES <= packages::role_scopes(tx, id).await?.len() {
                    return Err(Error::Limit {
                        what: "the number of resource roles of an access package",
                        limit: MAX_ROLES,
                        advice: "make another access package for the rest",
                    });
                }
                if !packages::add_role_scope(tx, id, role.id, scope.id, now).await? {
                    return Err(Error::Duplicate {
                        code: "DuplicateKey",
                        sentence: format!(
                            "the access package gives the role `{}` already",
                            role.display_name
                        ),
                    });
                }
                let given = packages::given_one(tx, id, role.id, scope.id).await?;
                let given = given.ok_or_else(|| Error::not_found("resource role", role.id))?;
                let detail = role_detail(&given);
                self.audit_package(tx, caller, "resource role added", &package, detail, now)
                    .await?;
                let change = RoleChange { role: role.id, scope: scope.id, is_added: true };
                guards::roles_changed(self, tx, caller, &package, change, now).await?;
                Ok(given)
            })
            .await?;
        self.wake();
        Ok(given)
    }

    /// Lets a package no longer give a resource role. Who has the package loses the role soon after,
    /// unless another package gives it to them: see [`App::role_spread`].
    ///
    /// # Errors
    ///
    /// Not found, forbidden.
    pub async fn remove_role_scope(
        &self,
        caller: &Caller,
        id: PackageId,
        role: ResourceRoleId,
        scope: ResourceScopeId,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let package = managed(tx, caller, id).await?;
                let absent = || Error::not_found("resource role scope", format!("{role}_{scope}"));
                let given = packages::given_one(tx, id, role, scope).await?.ok_or_else(absent)?;
                if !packages::remove_role_scope(tx, id, role, scope).await? {
                    return Err(absent());
                }
                let detail = role_detail(&given);
                self.audit_package(tx, caller, "resource role removed", &package, detail, now)
                    .await?;
                let change = RoleChange { role, scope, is_added: false };
                guards::roles_changed(self, tx, caller, &package, change, now).await
            })
            .await?;
        self.wake();
        Ok(())
    }

    /// One resource role that a package gives.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn role_scope(
        &self,
        caller: &Caller,
        id: PackageId,
        role: ResourceRoleId,
        scope: ResourceScopeId,
    ) -> Result<Given> {
        self.store()
            .read(async |tx| {
                visible(tx, caller, id).await?;
                let given = packages::given_one(tx, id, role, scope).await?;
                given.ok_or_else(|| {
                    Error::not_found("resource role scope", format!("{role}_{scope}"))
                })
            })
            .await
    }

    /// Every resource role that a package gives, as far as the caller may read.
    ///
    /// # Errors
    ///
    /// Forbidden for those who may read none; invalid for what the list does not have.
    pub async fn role_scopes(&self, caller: &Caller, listing: &Listing) -> Result<Page<Given>> {
        let reach = caller.may_somewhere(Action::ReadCatalog)?;
        self.store()
            .read(async |tx| {
                Ok(packages::page_of_given(tx, &reach, ask(listing)?, listing.count).await?.into())
            })
            .await
    }

    /// A resource role that some package gives which the caller may read.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn some_role_scope(
        &self,
        caller: &Caller,
        role: ResourceRoleId,
        scope: ResourceScopeId,
    ) -> Result<Given> {
        let reach = caller.reach(Action::ReadCatalog);
        self.store()
            .read(async |tx| {
                let all = packages::given_pair(tx, role, scope).await?;
                let found = all.into_iter().find(|given| reach.includes(given.resource.catalog));
                found.ok_or_else(|| {
                    Error::not_found("resource role scope", format!("{role}_{scope}"))
                })
            })
            .await
    }

    /// Lists a package as incompatible on another: who has `other` cannot get `id`, and the other
    /// way round.
    ///
    /// # Errors
    ///
    /// Not found, forbidden; invalid for a package and itself; a duplicate.
    pub async fn add_incompatible_package(
        &self,
        caller: &Caller,
        id: PackageId,
        other: PackageId,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let package = managed(tx, caller, id).await?;
                if id == other {
                    return Err(Error::invalid(
                        "@odata.id",
                        "a package cannot be incompatible with itself; name another one",
                    ));
                }
                let listed = visible(tx, caller, other).await?;
                let (count, _) = separations::count(tx, id).await?;
                not_too_many(count)?;
                if !separations::add_package(tx, id, other).await? {
                    return Err(listed_already(&listed.display_name));
                }
                let detail = json!({ "accessPackage": other, "displayName": listed.display_name });
                let action = "incompatible access package added";
                self.audit_package(tx, caller, action, &package, detail, now).await
            })
            .await
    }

    /// Takes a package off another's list of incompatible ones.
    ///
    /// # Errors
    ///
    /// Not found, forbidden.
    pub async fn remove_incompatible_package(
        &self,
        caller: &Caller,
        id: PackageId,
        other: PackageId,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let package = managed(tx, caller, id).await?;
                if !separations::remove_package(tx, id, other).await? {
                    return Err(Error::not_found("incompatible access package", other));
                }
                let detail = json!({ "accessPackage": other });
                let action = "incompatible access package removed";
                self.audit_package(tx, caller, action, &package, detail, now).await
            })
            .await
    }

    /// Lists a group as incompatible on a package: its members cannot get the package.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, a duplicate.
    pub async fn add_incompatible_group(
        &self,
        caller: &Caller,
        id: PackageId,
        group: GroupId,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let package = managed(tx, caller, id).await?;
                let name = accede_store::people::group_name(tx, group).await?;
                let name = name.ok_or_else(|| Error::not_found("group", group))?;
                let (_, count) = separations::count(tx, id).await?;
                not_too_many(count)?;
                if !separations::add_group(tx, id, group).await? {
                    return Err(listed_already(&name));
                }
                let detail = json!({ "group": group, "displayName": name });
                let action = "incompatible group added";
                self.audit_package(tx, caller, action, &package, detail, now).await
            })
            .await
    }

    /// Takes a group off a package's list of incompatible ones.
    ///
    /// # Errors
    ///
    /// Not found, forbidden.
    pub async fn remove_incompatible_group(
        &self,
        caller: &Caller,
        id: PackageId,
        group: GroupId,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let package = managed(tx, caller, id).await?;
                if !separations::remove_group(tx, id, group).await? {
                    return Err(Error::not_found("incompatible group", group));
                }
                let detail = json!({ "group": group });
                let action = "incompatible group removed";
                self.audit_package(tx, caller, action, &package, detail, now).await
            })
            .await
    }

    pub(crate) async fn audit_package(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        action: &str,
        package: &Package,
        detail: serde_json::Value,
        now: Timestamp,
    ) -> Result<()> {
        let event = audit::Event {
            action,
            object_type: "accessPackage",
            object_id: package.id.to_string(),
            catalog: Some(package.catalog),
            detail,
        };
        audit::record(self, tx, caller, event, now).await
    }
}

fn missing(id: PackageId) -> Error {
    Error::not_found("access package", id)
}

/// A package that the caller may read as one of its administrators.
pub(crate) async fn visible(tx: &mut Tx<'_>, caller: &Caller, id: PackageId) -> Result<Package> {
    let package = packages::get(tx, id).await?.ok_or_else(|| missing(id))?;
    let read = Action::ReadCatalog;
    caller.may_on(read, package.catalog, read, "access package", id)?;
    Ok(package)
}

/// A package that the caller may change, with its row held.
pub(crate) async fn managed(tx: &mut Tx<'_>, caller: &Caller, id: PackageId) -> Result<Package> {
    let package = packages::lock(tx, id).await?.ok_or_else(|| missing(id))?;
    let (read, what) = (Action::ReadCatalog, "access package");
    caller.may_on(Action::ManagePackages, package.catalog, read, what, id)?;
    Ok(package)
}

/// Refuses while somebody has it or waits for it. `what` is `the access package` or `the policy`,
/// `code` the first part of the machine code.
pub(crate) fn unused(usage: Usage, what: &'static str, code: &'static str) -> Result<()> {
    let (has_assignments, has_requests) = match code {
        "AccessPackage" => ("AccessPackageHasAssignments", "AccessPackageHasOpenRequests"),
        _ => ("PolicyHasAssignments", "PolicyHasOpenRequests"),
    };
    if 0 < usage.assignments {
        return Err(Error::Refused(Refusal::InUse {
            code: has_assignments,
            what,
            reason: format!("assignments have not expired: {}", usage.assignments),
            advice: "remove them first, and wait until their access is taken back",
        }));
    }
    if 0 < usage.open_requests {
        return Err(Error::Refused(Refusal::InUse {
            code: has_requests,
            what,
            reason: format!("requests are open: {}", usage.open_requests),
            advice: "decide or cancel them first",
        }));
    }
    Ok(())
}

fn taken(error: accede_store::Error, name: &str) -> Error {
    match error {
        accede_store::Error::Duplicate { .. } => Error::Duplicate {
            code: "DuplicateKey",
            sentence: format!(
                "the catalog has an access package named `{name}` already; choose another name"
            ),
        },
        other => other.into(),
    }
}

fn listed_already(name: &str) -> Error {
    Error::Duplicate { code: "DuplicateKey", sentence: format!("`{name}` is listed already") }
}

fn not_too_many(count: i64) -> Result<()> {
    if usize::try_from(count).is_ok_and(|count| count < MAX_INCOMPATIBLE) {
        return Ok(());
    }
    Err(Error::Limit {
        what: "the number of incompatibilities of an access package",
        limit: MAX_INCOMPATIBLE,
        advice: "list a group of people instead",
    })
}

pub(crate) fn role_detail(given: &Given) -> serde_json::Value {
    json!({
        "originSystem": given.resource.origin_system,
        "resource": given.resource.display_name,
        "role": given.role.display_name,
        "roleOriginId": given.role.origin_id,
        "scopeOriginId": given.scope.origin_id,
    })
}

/// The role and scope that a client means, in this catalog.
async fn chosen(
    tx: &mut Tx<'_>,
    catalog: CatalogId,
    choice: &RoleChoice,
) -> Result<(resources::Role, resources::Scope)> {
    let unknown = |path: &str, what: &str| {
        Error::invalid(
            path,
            format!(
                "there is no such {what} in the access package's catalog; list them with \
                 catalogs/{catalog}/resources?$expand=roles,scopes, or add the resource first"
            ),
        )
    };
    let role = match (choice.role, &choice.role_origin_id) {
        (Some(id), _) => {
            let role = resources::role(tx, id).await?;
            role.ok_or_else(|| unknown("role.id", "role"))?
        }
        (None, Some(origin_id)) => {
            let resource = chosen_resource(tx, catalog, choice)
                .await?
                .ok_or_else(|| unknown("role.resource", "resource"))?;
            let roles = resources::roles(tx, &[resource]).await?;
            let role = roles.into_iter().find(|role| role.origin_id == *origin_id);
            role.ok_or_else(|| unknown("role.originId", "role"))?
        }
        (None, None) => {
            return Err(Error::invalid(
                "role",
                "name the role by `id`, or by `originId` and its `resource`",
            ));
        }
    };
    let resource = resources::get(tx, role.resource).await?;
    let resource = resource
        .filter(|resource| resource.catalog == catalog)
        .ok_or_else(|| unknown("role.id", "role"))?;
    let scopes = resources::scopes(tx, &[resource.id]).await?;
    let scope = match (choice.scope, &choice.scope_origin_id) {
        (Some(id), _) => scopes.into_iter().find(|scope| scope.id == id),
        (None, Some(origin_id)) => scopes.into_iter().find(|scope| scope.origin_id == *origin_id),
        (None, None) => scopes.into_iter().find(|scope| scope.is_root),
    };
    let scope = scope.ok_or_else(|| {
        Error::invalid(
            "scope",
            "there is no such scope of the role's resource; take its root scope",
        )
    })?;
    Ok((role, scope))
}

fn within(reach: &Reach, packages: Vec<Package>) -> Vec<Package> {
    packages.into_iter().filter(|package| reach.includes(package.catalog)).collect()
}

async fn chosen_resource(
    tx: &mut Tx<'_>,
    catalog: CatalogId,
    choice: &RoleChoice,
) -> Result<Option<accede_domain::id::ResourceId>> {
    if let Some(id) = choice.resource {
        return Ok(Some(id));
    }
    let (Some(system), Some(origin_id)) = (&choice.origin_system, &choice.resource_origin_id)
    else {
        return Ok(None);
    };
    let Some(target) = accede_store::targets::by_name(tx, system).await? else {
        return Ok(None);
    };
    let found = resources::find(tx, catalog, target.id, origin_id).await?;
    Ok(found.map(|resource| resource.id))
}

/// Packages with what was asked to be shown with them. Packages of other catalogs appear only if
/// they are in reach.
pub(crate) async fn package_views(
    tx: &mut Tx<'_>,
    reach: &Reach,
    items: Vec<Package>,
    with: PackageWith,
) -> Result<Vec<PackageView>> {
    let ids: Vec<PackageId> = items.iter().map(|package| package.id).collect();
    let catalogs = if with.catalog {
        let ids = distinct(items.iter().map(|package| package.catalog).collect());
        Some(catalogs::get_all(tx, &ids).await?)
    } else {
        None
    };
    let policies = if with.policies { Some(policies::of_packages(tx, &ids).await?) } else { None };
    let given = if with.role_scopes { Some(packages::given(tx, &ids).await?) } else { None };
    let mut views = Vec::with_capacity(items.len());
    for package in items {
        let id = package.id;
        views.push(PackageView {
            catalog: catalogs
                .as_ref()
                .and_then(|all| all.iter().find(|catalog| catalog.id == package.catalog).cloned()),
            policies: policies.as_ref().map(|all| {
                all.iter().filter(|stored| stored.policy.package == id).cloned().collect()
            }),
            role_scopes: given
                .as_ref()
                .map(|all| all.iter().filter(|given| given.package == id).cloned().collect()),
            incompatible_packages: if with.incompatible_packages {
                Some(within(reach, separations::listed_on(tx, id).await?))
            } else {
                None
            },
            incompatible_groups: if with.incompatible_groups {
                Some(groups::excluded_from(tx, id).await?)
            } else {
                None
            },
            incompatible_with: if with.incompatible_with {
                Some(within(reach, separations::listing(tx, id).await?))
            } else {
                None
            },
            package,
        });
    }
    Ok(views)
}
