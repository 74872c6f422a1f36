//! Resources: bringing them from their targets into catalogs, with their roles and scopes.
//!
//! Adding takes two rights (CAT-09): one on the catalog, and one on the resource itself, or whoever
//! may make a catalog could put any group of any system into it and assign it to themself. The right
//! on the resource is
//!
//! - for a group of the built-in directory: being its owner, or User or Global Administrator, or an
//!   application with the permission to change the directory; for a group that holds a directory
//!   role: being Global Administrator;
//! - for anything in another target: being one who may change targets; or the target says that
//!   catalog owners may add its resources (`catalogOwnersMayAdd`).
//!
//! Changing, reading again and removing a resource take the same two.

use std::time::Duration;

use accede_connectors::{CALL_DEADLINE, FoundResource};
use accede_domain::Timestamp;
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{
    CatalogId, GroupId, ResourceId, ResourceRequestId, ResourceRoleId, ResourceScopeId, TargetId,
};
use accede_domain::permission::{Action, Reach};
use accede_domain::refusal::Refusal;
use accede_store::resources::{self, Named, Part};
use accede_store::targets::{self, DIRECTORY, TargetRow};
use accede_store::{Tx, catalogs, directory_roles};
use futures_util::FutureExt;
use serde_json::json;

use crate::creations::{self, Repeat};
use crate::list::ask;
use crate::{App, Caller, Error, Listing, Page, Principal, Result, audit, text};

pub use accede_store::resources::{RequestType, Resource, ResourceRequest, Role, Scope};

/// Longest id of a resource in its target, in characters.
pub const MAX_ORIGIN_ID: usize = 1_024;

/// What is shown with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceWith {
    /// Its roles.
    pub roles: bool,
    /// Its scopes.
    pub scopes: bool,
    /// Its target.
    pub environment: bool,
}

/// A target as Graph shows it: a resource environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its id.
    pub id: TargetId,
    /// Its name: the `originSystem` of its resources.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

impl From<TargetRow> for Environment {
    fn from(target: TargetRow) -> Environment {
        Environment {
            id: target.id,
            name: target.name,
            display_name: target.display_name,
            description: target.description,
            created_at: target.created_at,
            modified_at: target.modified_at,
        }
    }
}

/// A resource with what was asked to be shown with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceView {
    /// The resource.
    pub resource: Resource,
    /// Its roles.
    pub roles: Option<Vec<Role>>,
    /// Its scopes.
    pub scopes: Option<Vec<Scope>>,
    /// Its target.
    pub environment: Option<Environment>,
}

/// A role with its resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleView {
    /// The role.
    pub role: Role,
    /// Its resource.
    pub resource: Resource,
}

/// A scope with its resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeView {
    /// The scope.
    pub scope: Scope,
    /// Its resource.
    pub resource: Resource,
}

/// A resource request with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestView {
    /// The request.
    pub request: ResourceRequest,
    /// Its catalog, unless that was deleted.
    pub catalog: Option<catalogs::Catalog>,
    /// Its resource, unless that was removed.
    pub resource: Option<Resource>,
}

/// Which resource a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one with this id.
    Id(ResourceId),
    /// The catalog's one that is this in its target.
    Origin {
        /// Its target's name.
        system: String,
        /// Its id there.
        id: String,
    },
}

/// A resource to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResource {
    /// To which catalog.
    pub catalog: CatalogId,
    /// Its target's name.
    pub origin_system: String,
    /// Its id there.
    pub origin_id: String,
    /// Its name for people; the target's if nothing is said.
    pub display_name: Option<String>,
    /// What it is; what the target says if nothing is said.
    pub description: Option<String>,
    /// Whether access that somebody had before is left alone when an assignment ends.
    pub keep_pre_existing: bool,
}

/// What changes of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceChange {
    /// Its name for people.
    pub display_name: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Whether access that somebody had before is left alone when an assignment ends.
    pub keep_pre_existing: Option<bool>,
}

impl App {
    /// The resources that the caller may read: all, of one catalog, or in one target.
    ///
    /// # Errors
    ///
    /// Not found for a catalog that they may not read; forbidden for those who may read none;
    /// invalid for what the list does not have.
    pub async fn resources(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        target: Option<TargetId>,
        listing: &Listing,
        with: ResourceWith,
    ) -> Result<Page<ResourceView>> {
        let reach = match target {
            Some(_) => caller.reach(Action::ReadCatalog),
            None => caller.reach_for_list(Action::ReadCatalog, catalog)?,
        };
        self.store()
            .read(async |tx| {
                seen(tx, caller, catalog, target).await?;
                let part = Part { reach: &reach, catalog, target };
                let page = resources::page(tx, part, ask(listing)?, listing.count).await?;
                let items = resource_views(tx, page.items, with).await?;
                Ok(Page { items, next: page.next, count: page.count })
            })
            .await
    }

    /// A resource; of one catalog only, if one is named.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn resource(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        id: ResourceId,
        with: ResourceWith,
    ) -> Result<ResourceView> {
        self.store()
            .read(async |tx| {
                let resource = visible(tx, caller, catalog, id).await?;
                let view = resource_views(tx, vec![resource], with).await?.pop();
                view.ok_or_else(|| Error::not_found("resource", id))
            })
            .await
    }

    /// The roles of the resources that the caller may read.
    ///
    /// # Errors
    ///
    /// Like [`App::resources`].
    pub async fn resource_roles(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        listing: &Listing,
    ) -> Result<Page<RoleView>> {
        let reach = caller.reach_for_list(Action::ReadCatalog, catalog)?;
        self.store()
            .read(async |tx| {
                seen(tx, caller, catalog, None).await?;
                let part = Part { reach: &reach, catalog, target: None };
                let page = resources::page_of_roles(tx, part, ask(listing)?, listing.count).await?;
                let ids: Vec<ResourceId> = page.items.iter().map(|role| role.resource).collect();
                let found = resources::get_all(tx, &distinct(ids)).await?;
                let items = page
                    .items
                    .into_iter()
                    .filter_map(|role| {
                        let resource = found.iter().find(|found| found.id == role.resource)?;
                        Some(RoleView { resource: resource.clone(), role })
                    })
                    .collect();
                Ok(Page { items, next: page.next, count: page.count })
            })
            .await
    }

    /// The scopes of the resources that the caller may read.
    ///
    /// # Errors
    ///
    /// Like [`App::resources`].
    pub async fn resource_scopes(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        listing: &Listing,
    ) -> Result<Page<ScopeView>> {
        let reach = caller.reach_for_list(Action::ReadCatalog, catalog)?;
        self.store()
            .read(async |tx| {
                seen(tx, caller, catalog, None).await?;
                let part = Part { reach: &reach, catalog, target: None };
                let page =
                    resources::page_of_scopes(tx, part, ask(listing)?, listing.count).await?;
                let ids: Vec<ResourceId> = page.items.iter().map(|scope| scope.resource).collect();
                let found = resources::get_all(tx, &distinct(ids)).await?;
                let items = page
                    .items
                    .into_iter()
                    .filter_map(|scope| {
                        let resource = found.iter().find(|found| found.id == scope.resource)?;
                        Some(ScopeView { resource: resource.clone(), scope })
                    })
                    .collect();
                Ok(Page { items, next: page.next, count: page.count })
            })
            .await
    }

    /// A role of a resource.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn resource_role(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        id: ResourceRoleId,
    ) -> Result<RoleView> {
        self.store()
            .read(async |tx| {
                let missing = || Error::not_found("resource role", id);
                let role = resources::role(tx, id).await?.ok_or_else(missing)?;
                let resource =
                    visible(tx, caller, catalog, role.resource).await.map_err(|_| missing())?;
                Ok(RoleView { role, resource })
            })
            .await
    }

    /// A scope of a resource.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn resource_scope(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        id: ResourceScopeId,
    ) -> Result<ScopeView> {
        self.store()
            .read(async |tx| {
                let missing = || Error::not_found("resource scope", id);
                let scope = resources::scope(tx, id).await?.ok_or_else(missing)?;
                let resource =
                    visible(tx, caller, catalog, scope.resource).await.map_err(|_| missing())?;
                Ok(ScopeView { scope, resource })
            })
            .await
    }

    /// The record of resources added, changed and removed, as far as the caller may read.
    ///
    /// # Errors
    ///
    /// Forbidden for those who may read nothing; invalid for what the list does not have.
    pub async fn resource_requests(
        &self,
        caller: &Caller,
        listing: &Listing,
    ) -> Result<Page<RequestView>> {
        let reach = caller.may_somewhere(Action::ReadCatalog)?;
        self.store()
            .read(async |tx| {
                let asked = ask(listing)?;
                let page = resources::page_of_requests(tx, &reach, asked, listing.count).await?;
                let items = request_views(tx, page.items).await?;
                Ok(Page { items, next: page.next, count: page.count })
            })
            .await
    }

    /// One resource request.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn resource_request(
        &self,
        caller: &Caller,
        id: ResourceRequestId,
    ) -> Result<RequestView> {
        let reach = caller.reach(Action::ReadCatalog);
        self.store()
            .read(async |tx| {
                let missing = || Error::not_found("resource request", id);
                let request = resources::request(tx, id).await?.ok_or_else(missing)?;
                let readable = match request.catalog {
                    Some(catalog) => reach.includes(catalog),
                    None => reach == Reach::Everywhere,
                };
                if !readable {
                    return Err(missing());
                }
                request_views(tx, vec![request]).await?.pop().ok_or_else(missing)
            })
            .await
    }

    /// Adds a resource to a catalog: asks its target whether it exists, and brings its roles and
    /// its root scope.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, invalid; refused as `ResourceAlreadyOnboarded` or
    /// `ResourceNotFoundInOriginSystem`; a target fault, if the target does not answer.
    pub async fn add_resource(
        &self,
        caller: &Caller,
        new: &NewResource,
        repeat: Option<&Repeat>,
    ) -> Result<RequestView> {
        let display_name = new
            .display_name
            .as_deref()
            .map(|given| text::name("resource.displayName", given))
            .transpose()?;
        let description = new
            .description
            .as_deref()
            .map(|given| text::description("resource.description", given))
            .transpose()?;
        origin_id(&new.origin_id)?;
        let target = self
            .store()
            .read(async |tx| {
                let target = self.addable(tx, caller, new).await?;
                Ok::<_, Error>(target)
            })
            .await?;
        let found = self.find_in_target(&target, &new.origin_id).await?;
        let now = self.now();
        let resource = Resource {
            id: self.mint(now),
            catalog: new.catalog,
            target: target.id,
            origin_system: target.name.clone(),
            origin_id: found.origin_id.clone(),
            display_name: display_name.unwrap_or_else(|| shown(&found)),
            description: description.or_else(|| found.description.clone()),
            keep_pre_existing: new.keep_pre_existing,
            created_at: now,
            modified_at: now,
        };
        let request = self.request(RequestType::AdminAdd, &resource, now);
        self.store()
            .write(async |tx| {
                // What was true before the target was asked is asked again.
                self.addable_again(tx, caller, new).await?;
                if let Some(before) = creations::begin(tx, caller, repeat, request.id, now).await?
                    && let Some(before) = resources::request(tx, before).await?
                    && let Some(view) = request_views(tx, vec![before]).await?.pop()
                {
                    return Ok(view);
                }
                if resources::find(tx, new.catalog, target.id, &resource.origin_id).await?.is_some()
                {
                    return Err(onboarded(&resource));
                }
                resources::insert(tx, &resource).await.map_err(|error| match error {
                    accede_store::Error::Duplicate { .. } => onboarded(&resource),
                    other => other.into(),
                })?;
                for role in &found.roles {
                    resources::insert_role(tx, &self.role(&resource, role, now)).await?;
                }
                resources::insert_scope(
                    tx,
                    &Scope {
                        id: self.mint(now),
                        resource: resource.id,
                        origin_id: resource.origin_id.clone(),
                        display_name: "Root".to_owned(),
                        description: Some("Root Scope".to_owned()),
                        is_root: true,
                    },
                )
                .await?;
                resources::insert_request(tx, &request).await?;
                let detail = json!({
                    "originSystem": resource.origin_system,
                    "originId": resource.origin_id,
                    "displayName": resource.display_name,
                    "roles": found.roles.len(),
                });
                self.audit_resource(tx, caller, "resource added", &resource, detail, now).await?;
                request_views(tx, vec![request.clone()])
                    .await?
                    .pop()
                    .ok_or_else(|| Error::not_found("resource request", request.id))
            })
            .await
    }

    /// Changes a resource of a catalog.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, invalid.
    pub async fn update_resource(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        which: &Which,
        change: &ResourceChange,
    ) -> Result<RequestView> {
        let now = self.now();
        let display_name = change
            .display_name
            .as_deref()
            .map(|given| text::name("resource.displayName", given))
            .transpose()?;
        let description = change
            .description
            .as_deref()
            .map(|given| text::description("resource.description", given))
            .transpose()?;
        self.store()
            .write(async |tx| {
                let (mut resource, _) = self.managed(tx, caller, catalog, which).await?;
                let before = resource.clone();
                resource.display_name = display_name.clone().unwrap_or(resource.display_name);
                resource.description = description.clone().or(resource.description);
                resource.keep_pre_existing =
                    change.keep_pre_existing.unwrap_or(resource.keep_pre_existing);
                resource.modified_at = now;
                resources::save(tx, &resource).await?;
                if resource.keep_pre_existing != before.keep_pre_existing {
                    let keep = resource.keep_pre_existing;
                    resources::spread_keep_pre_existing(tx, resource.id, keep).await?;
                }
                let detail = audit::changes(&[
                    ("displayName", json!(before.display_name), json!(resource.display_name)),
                    ("description", json!(before.description), json!(resource.description)),
                    (
                        "keepPreExisting",
                        json!(before.keep_pre_existing),
                        json!(resource.keep_pre_existing),
                    ),
                ]);
                self.record(tx, caller, RequestType::AdminUpdate, &resource, detail, now).await
            })
            .await
    }

    /// Removes a resource that no package uses from its catalog. Nobody loses access by that.
    ///
    /// # Errors
    ///
    /// Not found, forbidden; refused as `InvalidDeleteResourceHasEntitlements` while a package uses
    /// it.
    pub async fn remove_resource(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        which: &Which,
    ) -> Result<RequestView> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let (resource, _) = self.managed(tx, caller, catalog, which).await?;
                let users =
                    resources::packages_using(tx, resource.id, crate::catalogs::MAX_INSIDE).await?;
                if !users.is_empty() {
                    let names = users.iter().map(|(_, name)| name.as_str());
                    return Err(Error::Refused(Refusal::InUse {
                        code: HAS_ENTITLEMENTS,
                        what: "the resource",
                        reason: format!(
                            "access packages use it: {}",
                            text::some_names(names, users.len())
                        ),
                        advice: "remove its roles from them first",
                    }));
                }
                resources::delete(tx, resource.id).await?;
                let detail = json!({
                    "originSystem": resource.origin_system,
                    "originId": resource.origin_id,
                    "displayName": resource.display_name,
                });
                self.record(tx, caller, RequestType::AdminRemove, &resource, detail, now).await
            })
            .await
    }

    /// Reads a resource's name and roles from its target again. Roles that are gone there stay as
    /// long as a package uses them.
    ///
    /// # Errors
    ///
    /// Not found, forbidden; refused as `ResourceNotFoundInOriginSystem`; a target fault, if the
    /// target does not answer.
    pub async fn refresh_resource(
        &self,
        caller: &Caller,
        catalog: Option<CatalogId>,
        id: ResourceId,
    ) -> Result<()> {
        let which = Which::Id(id);
        let (resource, target) = self
            .store()
            .read(async |tx| self.manageable(tx, caller, catalog, &which).await)
            .await?;
        let found = self.find_in_target(&target, &resource.origin_id).await?;
        let now = self.now();
        self.store()
            .write(async |tx| {
                let (mut resource, _) = self.managed(tx, caller, catalog, &which).await?;
                let before = resource.clone();
                resource.display_name = shown(&found);
                resource.description = found.description.clone();
                resource.modified_at = now;
                resources::save(tx, &resource).await?;
                let known = resources::roles(tx, &[id]).await?;
                let (mut added, mut gone) = (0, 0);
                for role in &found.roles {
                    match known.iter().find(|known| known.origin_id == role.origin_id) {
                        Some(old) if old.display_name == role.display_name => {}
                        Some(old) => {
                            let display_name = role.display_name.clone();
                            let new = Role { display_name, ..old.clone() };
                            resources::save_role(tx, &new).await?;
                        }
                        None => {
                            added += 1;
                            resources::insert_role(tx, &self.role(&resource, role, now)).await?;
                        }
                    }
                }
                for old in &known {
                    let is_there = found.roles.iter().any(|role| role.origin_id == old.origin_id);
                    if !is_there && resources::delete_unused_role(tx, old.id).await? {
                        gone += 1;
                    }
                }
                let detail = json!({
                    "displayName": { "from": before.display_name, "to": resource.display_name },
                    "rolesAdded": added,
                    "rolesRemoved": gone,
                });
                self.audit_resource(tx, caller, "resource refreshed", &resource, detail, now).await
            })
            .await
    }

    /// The target of a resource that is to be added, if the caller may add it.
    async fn addable(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        new: &NewResource,
    ) -> Result<TargetRow> {
        crate::catalogs::visible(tx, caller, new.catalog).await?;
        let (read, what) = (Action::ReadCatalog, "catalog");
        caller.may_on(Action::ManageResources, new.catalog, read, what, new.catalog)?;
        let Some(target) = targets::by_name(tx, &new.origin_system).await? else {
            let all = targets::list(tx, 20).await?;
            let names = all.iter().map(|target| target.name.as_str());
            return Err(Error::invalid(
                "resource.originSystem",
                format!(
                    "there is no target system `{}`; there are {}",
                    excerpt(&new.origin_system),
                    text::some_names(names, all.len())
                ),
            ));
        };
        may_use(tx, caller, &target, &new.origin_id).await?;
        Ok(target)
    }

    /// The same in the transaction that adds it, with the catalog's row held.
    async fn addable_again(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        new: &NewResource,
    ) -> Result<TargetRow> {
        if catalogs::lock(tx, new.catalog).await?.is_none() {
            return Err(Error::not_found("catalog", new.catalog));
        }
        let target = self.addable(tx, caller, new).await?;
        // Nobody deletes the target until this is committed.
        targets::lock(tx, target.id).await?.ok_or_else(|| Error::not_found("target", target.id))
    }

    /// A resource that the caller may change, with its row held, and its target.
    async fn managed(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        catalog: Option<CatalogId>,
        which: &Which,
    ) -> Result<(Resource, TargetRow)> {
        let (resource, target) = self.manageable(tx, caller, catalog, which).await?;
        let locked = resources::lock(tx, resource.id).await?;
        Ok((locked.ok_or_else(|| Error::not_found("resource", resource.id))?, target))
    }

    /// A resource that the caller may change, and its target.
    async fn manageable(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        catalog: Option<CatalogId>,
        which: &Which,
    ) -> Result<(Resource, TargetRow)> {
        let resource = match which {
            Which::Id(id) => visible(tx, caller, catalog, *id).await?,
            Which::Origin { system, id } => {
                let catalog = catalog.ok_or_else(|| {
                    Error::invalid("catalog.id", "name the catalog, or the resource by its `id`")
                })?;
                crate::catalogs::visible(tx, caller, catalog).await?;
                let missing = || Error::not_found("resource", id);
                let target = targets::by_name(tx, system).await?.ok_or_else(missing)?;
                resources::find(tx, catalog, target.id, id).await?.ok_or_else(missing)?
            }
        };
        let (read, what) = (Action::ReadCatalog, "resource");
        caller.may_on(Action::ManageResources, resource.catalog, read, what, resource.id)?;
        let target = targets::get(tx, resource.target).await?;
        let target = target.ok_or_else(|| Error::not_found("target", resource.target))?;
        may_use(tx, caller, &target, &resource.origin_id).await?;
        Ok((resource, target))
    }

    /// Asks a target for a resource.
    async fn find_in_target(&self, target: &TargetRow, origin_id: &str) -> Result<FoundResource> {
        let connector = self.hands().get(target).map_err(|fault| of_target(target, fault))?;
        let found = within_deadline(connector.find(origin_id)).await;
        let found = found.map_err(|fault| of_target(target, fault))?;
        found.ok_or_else(|| {
            Error::Refused(Refusal::Rule {
                code: NOT_IN_ORIGIN_SYSTEM,
                sentence: format!(
                    "there is no resource `{}` in the target system `{}`; look it up with its \
                     `discover`, or create it there first",
                    excerpt(origin_id),
                    target.name
                ),
            })
        })
    }

    fn role(
        &self,
        resource: &Resource,
        found: &accede_connectors::FoundRole,
        now: Timestamp,
    ) -> Role {
        Role {
            id: self.mint(now),
            resource: resource.id,
            origin_id: found.origin_id.clone(),
            display_name: found.display_name.clone(),
            description: None,
        }
    }

    fn request(&self, kind: RequestType, resource: &Resource, now: Timestamp) -> ResourceRequest {
        ResourceRequest {
            id: self.mint(now),
            request_type: kind,
            catalog: Some(resource.catalog),
            resource: Some(resource.id),
            named: Named {
                origin_id: resource.origin_id.clone(),
                origin_system: resource.origin_system.clone(),
                display_name: resource.display_name.clone(),
                description: resource.description.clone(),
            },
            created_at: now,
        }
    }

    /// Records a resource request that was carried out.
    async fn record(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        kind: RequestType,
        resource: &Resource,
        detail: serde_json::Value,
        now: Timestamp,
    ) -> Result<RequestView> {
        let request = self.request(kind, resource, now);
        resources::insert_request(tx, &request).await?;
        let action = match kind {
            RequestType::AdminAdd => "resource added",
            RequestType::AdminUpdate => "resource changed",
            RequestType::AdminRemove => "resource removed",
        };
        self.audit_resource(tx, caller, action, resource, detail, now).await?;
        let id = request.id;
        let view = request_views(tx, vec![request]).await?.pop();
        view.ok_or_else(|| Error::not_found("resource request", id))
    }

    async fn audit_resource(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        action: &str,
        resource: &Resource,
        detail: serde_json::Value,
        now: Timestamp,
    ) -> Result<()> {
        let event = audit::Event {
            action,
            object_type: "accessPackageResource",
            object_id: resource.id.to_string(),
            catalog: Some(resource.catalog),
            detail,
        };
        audit::record(self, tx, caller, event, now).await
    }
}

/// The code of the refusal of a resource that the catalog has already.
pub const ALREADY_ONBOARDED: &str = "ResourceAlreadyOnboarded";
/// The code of the refusal of a resource that does not exist in its target.
pub const NOT_IN_ORIGIN_SYSTEM: &str = "ResourceNotFoundInOriginSystem";
/// The code of the refusal to remove a resource that packages use.
pub const HAS_ENTITLEMENTS: &str = "InvalidDeleteResourceHasEntitlements";

fn onboarded(resource: &Resource) -> Error {
    Error::Refused(Refusal::Rule {
        code: ALREADY_ONBOARDED,
        sentence: format!(
            "the catalog has the resource `{}` of `{}` already",
            excerpt(&resource.origin_id),
            resource.origin_system
        ),
    })
}

/// Refuses unless the caller has a right over the resource itself; see the head of this file.
async fn may_use(
    tx: &mut Tx<'_>,
    caller: &Caller,
    target: &TargetRow,
    origin_id: &str,
) -> Result<()> {
    if target.kind != DIRECTORY {
        if target.catalog_owners_may_add || caller.reach(Action::ManageTargets) == Reach::Everywhere
        {
            return Ok(());
        }
        return Err(Error::Forbidden {
            need: format!(
                "Identity Governance Administrator, or that the target system `{}` lets catalog \
                 owners add its resources (`catalogOwnersMayAdd`)",
                target.name
            ),
        });
    }
    // A person's token narrows what they may do in entitlement management, not what they own.
    if caller.principal == Principal::System
        || caller.grants.reach(Action::ManageRoles) == Reach::Everywhere
    {
        return Ok(());
    }
    let group = origin_id.parse::<GroupId>().ok();
    // As `groups::may_manage`: a package that gives the group would give its directory role.
    if let Some(group) = group
        && !directory_roles::held(tx, group.0).await?.is_empty()
    {
        let need = "Global Administrator, because the group holds a directory role".to_owned();
        return Err(Error::Forbidden { need });
    }
    if caller.grants.reach(Action::ManageDirectory) == Reach::Everywhere {
        return Ok(());
    }
    if let (Some(user), Some(group)) = (caller.user(), group)
        && accede_store::people::owns_group(tx, user, group).await?
    {
        return Ok(());
    }
    Err(Error::Forbidden {
        need: "to be an owner of this group, or User Administrator or Global Administrator"
            .to_owned(),
    })
}

/// Refuses a catalog or target that the caller may not see.
async fn seen(
    tx: &mut Tx<'_>,
    caller: &Caller,
    catalog: Option<CatalogId>,
    target: Option<TargetId>,
) -> Result<()> {
    if let Some(catalog) = catalog {
        crate::catalogs::visible(tx, caller, catalog).await?;
    }
    if let Some(target) = target
        && (caller.reach(Action::ReadTargets).is_empty()
            || targets::get(tx, target).await?.is_none())
    {
        return Err(Error::not_found("resource environment", target));
    }
    Ok(())
}

/// A resource that the caller may read.
async fn visible(
    tx: &mut Tx<'_>,
    caller: &Caller,
    catalog: Option<CatalogId>,
    id: ResourceId,
) -> Result<Resource> {
    let missing = || Error::not_found("resource", id);
    let resource = resources::get(tx, id).await?.ok_or_else(missing)?;
    let read = Action::ReadCatalog;
    caller.may_on(read, resource.catalog, read, "resource", id)?;
    if catalog.is_some_and(|catalog| catalog != resource.catalog) {
        return Err(missing());
    }
    Ok(resource)
}

/// Resources with what was asked to be shown with them.
pub(crate) async fn resource_views(
    tx: &mut Tx<'_>,
    items: Vec<Resource>,
    with: ResourceWith,
) -> Result<Vec<ResourceView>> {
    let ids: Vec<ResourceId> = items.iter().map(|resource| resource.id).collect();
    let roles = if with.roles { Some(resources::roles(tx, &ids).await?) } else { None };
    let scopes = if with.scopes { Some(resources::scopes(tx, &ids).await?) } else { None };
    let environments = if with.environment {
        let ids = distinct(items.iter().map(|resource| resource.target).collect());
        Some(targets::get_all(tx, &ids).await?)
    } else {
        None
    };
    Ok(items
        .into_iter()
        .map(|resource| {
            let id = resource.id;
            ResourceView {
                roles: roles
                    .as_ref()
                    .map(|all| all.iter().filter(|role| role.resource == id).cloned().collect()),
                scopes: scopes
                    .as_ref()
                    .map(|all| all.iter().filter(|scope| scope.resource == id).cloned().collect()),
                environment: environments.as_ref().and_then(|all| {
                    let target = all.iter().find(|target| target.id == resource.target)?;
                    Some(target.clone().into())
                }),
                resource,
            }
        })
        .collect())
}

/// Resource requests with what they are about.
async fn request_views(tx: &mut Tx<'_>, items: Vec<ResourceRequest>) -> Result<Vec<RequestView>> {
    let catalogs = distinct(items.iter().filter_map(|request| request.catalog).collect());
    let catalogs = catalogs::get_all(tx, &catalogs).await?;
    let found = distinct(items.iter().filter_map(|request| request.resource).collect());
    let found = resources::get_all(tx, &found).await?;
    Ok(items
        .into_iter()
        .map(|request| RequestView {
            catalog: catalogs.iter().find(|catalog| Some(catalog.id) == request.catalog).cloned(),
            resource: found.iter().find(|resource| Some(resource.id) == request.resource).cloned(),
            request,
        })
        .collect())
}

/// The name that a target gives a resource, which may be empty there.
fn shown(found: &FoundResource) -> String {
    let name: String = found
        .display_name
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(text::MAX_NAME)
        .collect();
    if name.is_empty() { found.origin_id.chars().take(text::MAX_NAME).collect() } else { name }
}

fn origin_id(id: &str) -> Result<()> {
    let length = id.chars().count();
    if length == 0 || MAX_ORIGIN_ID < length || id.chars().any(char::is_control) {
        return Err(Error::invalid(
            "resource.originId",
            format!("must have 1 to {MAX_ORIGIN_ID} characters, none of them a control character"),
        ));
    }
    Ok(())
}

/// Waits for a target no longer than a call may take. A connector that breaks down is a fault like
/// any other.
pub(crate) async fn within_deadline<T>(
    call: impl Future<Output = std::result::Result<T, Fault>>,
) -> std::result::Result<T, Fault> {
    let limit: Duration = CALL_DEADLINE;
    let guarded = std::panic::AssertUnwindSafe(call).catch_unwind();
    match tokio::time::timeout(limit, guarded).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Fault::new(Class::Unknown, Fault::PANIC, "the connector broke down")),
        Err(_) => {
            let text = format!("did not answer within {} seconds", limit.as_secs());
            Err(Fault::new(Class::Unknown, "timeout", text))
        }
    }
}

/// What a target answered instead of what was needed.
pub(crate) fn of_target(target: &TargetRow, fault: Fault) -> Error {
    Error::Target { target: target.name.clone(), fault }
}

/// A piece of somebody's input, short enough for a sentence.
pub(crate) fn excerpt(text: &str) -> String {
    const MOST: usize = 80;
    let mut piece: String = text.chars().take(MOST).collect();
    if piece.len() < text.len() {
        piece.push('…');
    }
    piece
}

/// Each item once.
pub(crate) fn distinct<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}
