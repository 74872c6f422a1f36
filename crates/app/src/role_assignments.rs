//! Who holds which role of entitlement management, and where (Graph 3.12); roles that operators give
//! on the machine.

use accede_domain::Timestamp;
use accede_domain::id::{AppId, CatalogId, GroupId, RoleAssignmentId, RoleDefinitionId, UserId};
use accede_domain::nearest;
use accede_domain::permission::{Action, DirectoryRole, Reach, Role};
use accede_domain::refusal::Refusal;
use accede_store::catalogs::{self, Catalog};
use accede_store::{Tx, apps, groups, role_assignments, users};
use serde_json::json;
use uuid::Uuid;

pub use accede_store::role_assignments::{RoleAssignment, scope};

use crate::apps::Application;
use crate::audit::{self, Event};
use crate::creations::{self, Repeat};
use crate::groups::Group;
use crate::list::ask;
use crate::users::User;
use crate::{App, Caller, Error, Listing, Page, Result};

/// What a role assignment's principal is, and any object of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryObject {
    /// A person.
    User(Box<User>),
    /// A group.
    Group(Box<Group>),
    /// An application.
    Application(Box<Application>),
}

/// A role that an operator wants somebody to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleWish {
    /// A role of the directory.
    Directory(DirectoryRole),
    /// A role of entitlement management; on the catalog of that id or name if it needs one.
    Catalog(Role, Option<String>),
}

impl RoleWish {
    /// Reads a role as the command line takes it: `Global Administrator`, `Catalog creator`,
    /// `Access package assignment manager:General`, the catalog by name or id.
    ///
    /// # Errors
    ///
    /// No such role, or no catalog where one is needed; the sentence names the nearest roles.
    pub fn parse(text: &str) -> Result<RoleWish> {
        let (name, catalog) = match text.split_once(':') {
            Some((name, catalog)) => (name.trim(), Some(catalog.trim().to_owned())),
            None => (text.trim(), None),
        };
        if let Some(role) = DirectoryRole::parse(name) {
            return match catalog {
                None => Ok(RoleWish::Directory(role)),
                Some(_) => {
                    let sentence = format!(
                        "`{}` is held for the whole organization; leave the catalog out",
                        role.name()
                    );
                    Err(Error::invalid("role", sentence))
                }
            };
        }
        let role = Role::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(name));
        match (role, catalog) {
            (Some(role), None) if role.is_organization_wide() => Ok(RoleWish::Catalog(role, None)),
            (Some(role), Some(_)) if role.is_organization_wide() => {
                let sentence = format!(
                    "`{}` is held for the whole organization; leave the catalog out",
                    role.name()
                );
                Err(Error::invalid("role", sentence))
            }
            (Some(role), None) => {
                let sentence = format!(
                    "`{0}` is held on a catalog; write `{0}:CATALOG` with its name or id",
                    role.name()
                );
                Err(Error::invalid("role", sentence))
            }
            (Some(role), catalog) => Ok(RoleWish::Catalog(role, catalog)),
            (None, _) => {
                let known = DirectoryRole::ALL
                    .iter()
                    .map(|role| role.name())
                    .chain(Role::ALL.iter().map(|role| role.name()));
                let near: Vec<String> = nearest::sorted(name, known)
                    .into_iter()
                    .map(|name| format!("`{name}`"))
                    .collect();
                let shown: String = name.chars().take(60).collect();
                let sentence = format!("there is no role `{shown}`; there are {}", near.join(", "));
                Err(Error::invalid("role", sentence))
            }
        }
    }
}

impl App {
    /// A page of the role assignments that the caller may see: all, or those on their catalogs.
    ///
    /// # Errors
    ///
    /// Forbidden; what the list does not have.
    pub async fn list_role_assignments(
        &self,
        caller: &Caller,
        listing: &Listing,
    ) -> Result<Page<RoleAssignment>> {
        let reach = caller.may_somewhere(Action::ReadCatalog)?;
        let plan = role_assignments::plan(ask(listing)?, &reach)?;
        self.store()
            .read(async |tx| {
                let (items, next) = role_assignments::list(tx, &reach, &plan).await?;
                let count = if listing.count {
                    Some(role_assignments::count(tx, &reach, &plan).await?)
                } else {
                    None
                };
                Ok::<_, Error>(Page { items, next, count })
            })
            .await
    }

    /// One role assignment.
    ///
    /// # Errors
    ///
    /// Not found, also when the caller may not see it.
    pub async fn role_assignment(
        &self,
        caller: &Caller,
        id: RoleAssignmentId,
    ) -> Result<RoleAssignment> {
        let found = self.store().read(async |tx| role_assignments::get(tx, id).await).await;
        found?
            .filter(|found| sees(&caller.reach(Action::ReadCatalog), found.catalog))
            .ok_or_else(|| Error::not_found("role assignment", id))
    }

    /// Gives a role to a user, a group or an application.
    ///
    /// # Errors
    ///
    /// Forbidden; an unknown principal, role or catalog; a role in the wrong place; a duplicate.
    pub async fn create_role_assignment(
        &self,
        caller: &Caller,
        principal: Uuid,
        role: RoleDefinitionId,
        catalog: Option<CatalogId>,
    ) -> Result<RoleAssignment> {
        self.create_role_assignment_once(caller, principal, role, catalog, None).await
    }

    /// Gives a role, once however often the same create is sent.
    ///
    /// # Errors
    ///
    /// Like [`App::create_role_assignment`].
    pub async fn create_role_assignment_once(
        &self,
        caller: &Caller,
        principal: Uuid,
        role: RoleDefinitionId,
        catalog: Option<CatalogId>,
        repeat: Option<&Repeat>,
    ) -> Result<RoleAssignment> {
        let now = self.now();
        let Some(known) = Role::of(role) else {
            let sentence = format!("there is no role definition `{role}`");
            return Err(Error::invalid("roleDefinitionId", sentence));
        };
        match catalog {
            None => caller.may_everywhere(Action::Delegate)?,
            Some(catalog) => {
                caller.may_on(
                    Action::Delegate,
                    catalog,
                    Action::ReadCatalog,
                    "catalog",
                    catalog,
                )?;
            }
        }
        let new = RoleAssignment { id: self.mint(now), principal, role, catalog, created_at: now };
        self.store()
            .write(async |tx| {
                if let Some(before) = creations::begin(tx, caller, repeat, new.id, now).await?
                    && let Some(before) = role_assignments::get(tx, before).await?
                {
                    return Ok(before);
                }
                fits(known, catalog)?;
                if let Some(catalog) = catalog
                    && catalogs::get(tx, catalog).await?.is_none()
                {
                    return Err(Error::not_found("catalog", catalog));
                }
                if directory_object(tx, principal).await?.is_none() {
                    let sentence =
                        format!("there is no user, group or service principal `{principal}`");
                    return Err(Error::invalid("principalId", sentence));
                }
                if !self.insert_role_assignment(tx, caller, &new, now).await? {
                    return Err(Error::Duplicate {
                        code: "DuplicateKey",
                        sentence: format!(
                            "`{principal}` is already {} there",
                            known.name().to_lowercase()
                        ),
                    });
                }
                Ok(new.clone())
            })
            .await
    }

    /// Takes a role away.
    ///
    /// # Errors
    ///
    /// Not found, forbidden; refused for the last owner of a catalog.
    pub async fn delete_role_assignment(
        &self,
        caller: &Caller,
        id: RoleAssignmentId,
    ) -> Result<()> {
        let now = self.now();
        let missing = || Error::not_found("role assignment", id);
        self.store()
            .write(async |tx| {
                let found = role_assignments::get(tx, id).await?.ok_or_else(missing)?;
                if !sees(&caller.reach(Action::ReadCatalog), found.catalog) {
                    return Err(missing());
                }
                if !sees(&caller.reach(Action::Delegate), found.catalog) {
                    return Err(caller.lacks(Action::Delegate));
                }
                if let (Some(catalog), Some(Role::CatalogOwner)) =
                    (found.catalog, Role::of(found.role))
                {
                    let owners = role_assignments::lock_owners(tx, catalog).await?;
                    if owners.iter().all(|owner| owner.id == id) {
                        return Err(Error::Refused(Refusal::Rule {
                            code: "LastCatalogOwner",
                            sentence:
                                "a catalog cannot be without an owner; give it another owner \
                                       first"
                                    .to_owned(),
                        }));
                    }
                    if !owners.iter().any(|owner| owner.id == id) {
                        return Err(missing());
                    }
                }
                role_assignments::delete(tx, id).await?;
                self.note_role(tx, caller, "role taken", &found, now).await
            })
            .await
    }

    /// The user, group or application of that object id.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn directory_object(&self, caller: &Caller, id: Uuid) -> Result<DirectoryObject> {
        if caller.user().map(|user| user.0) != Some(id) {
            self.may_read_directory(caller)?;
        }
        let found = self.store().read(async |tx| directory_object(tx, id).await).await;
        found?.ok_or_else(|| Error::not_found("directory object", id))
    }

    /// The users, groups and applications of these object ids; what is missing is missing.
    ///
    /// # Errors
    ///
    /// Forbidden.
    pub async fn directory_objects(
        &self,
        caller: &Caller,
        ids: &[Uuid],
    ) -> Result<Vec<DirectoryObject>> {
        self.may_read_directory(caller)?;
        let found = self
            .store()
            .read(async |tx| {
                let mut found = Vec::with_capacity(ids.len());
                for id in ids {
                    found.extend(directory_object(tx, *id).await?);
                }
                Ok::<_, accede_store::Error>(found)
            })
            .await?;
        Ok(found)
    }

    /// Adds a role assignment and its audit record, unless the principal has the role there; whether
    /// it did not. For verbs that have authorised, such as creating a catalog, whose creator becomes
    /// its owner.
    pub(crate) async fn insert_role_assignment(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        new: &RoleAssignment,
        now: Timestamp,
    ) -> Result<bool> {
        let added = role_assignments::insert(tx, new).await?;
        if added {
            self.note_role(tx, caller, "role given", new, now).await?;
        }
        Ok(added)
    }

    /// Gives somebody the role that an operator wishes; nothing happens if they have it.
    pub(crate) async fn give_role(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        principal: Uuid,
        wish: &RoleWish,
        now: Timestamp,
    ) -> Result<()> {
        match wish {
            RoleWish::Directory(role) => {
                self.insert_directory_role(tx, caller, principal, *role, now).await?;
            }
            RoleWish::Catalog(role, name) => {
                let catalog = match name {
                    Some(name) => Some(catalog_named(tx, name).await?.id),
                    None => None,
                };
                let new = RoleAssignment {
                    id: self.mint(now),
                    principal,
                    role: role.definition(),
                    catalog,
                    created_at: now,
                };
                self.insert_role_assignment(tx, caller, &new, now).await?;
            }
        }
        Ok(())
    }

    async fn note_role(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        action: &str,
        assignment: &RoleAssignment,
        now: Timestamp,
    ) -> Result<()> {
        let event = Event {
            action,
            object_type: "unifiedRoleAssignment",
            object_id: assignment.id.to_string(),
            catalog: assignment.catalog,
            detail: json!({
                "principalId": assignment.principal.to_string(),
                "role": Role::of(assignment.role).map(Role::name),
                "appScopeId": scope(assignment.catalog),
            }),
        };
        audit::record(self, tx, caller, event, now).await
    }
}

/// The catalog of that id or, whatever its case, that name.
async fn catalog_named(tx: &mut Tx<'_>, name: &str) -> Result<Catalog> {
    let found = match name.parse::<CatalogId>() {
        Ok(id) => catalogs::get(tx, id).await?,
        Err(_) => catalogs::by_name(tx, name).await?,
    };
    found.ok_or_else(|| Error::not_found("catalog", name))
}

fn sees(reach: &Reach, catalog: Option<CatalogId>) -> bool {
    match catalog {
        Some(catalog) => reach.includes(catalog),
        None => *reach == Reach::Everywhere,
    }
}

/// Whether a role is held in such a place.
fn fits(role: Role, catalog: Option<CatalogId>) -> Result<()> {
    let name = role.name();
    match (role.is_organization_wide(), catalog) {
        (true, Some(_)) => {
            let sentence = format!("`{name}` is held for the whole organization; send `/`");
            Err(Error::invalid("appScopeId", sentence))
        }
        (false, None) => {
            let sentence =
                format!("`{name}` is held on a catalog; send `/AccessPackageCatalog/` and its id");
            Err(Error::invalid("appScopeId", sentence))
        }
        (true, None) | (false, Some(_)) => Ok(()),
    }
}

/// The object of that id, whatever it is.
pub(crate) async fn directory_object(
    tx: &mut Tx<'_>,
    id: Uuid,
) -> Result<Option<DirectoryObject>, accede_store::Error> {
    if let Some(user) = users::get(tx, UserId(id)).await? {
        return Ok(Some(DirectoryObject::User(Box::new(user))));
    }
    if let Some(group) = groups::get(tx, GroupId(id)).await? {
        return Ok(Some(DirectoryObject::Group(Box::new(group))));
    }
    let app = apps::get(tx, AppId(id)).await?;
    Ok(app.map(|app| DirectoryObject::Application(Box::new(app))))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn roles_are_read_as_operators_write_them() {
        assert_eq!(
            RoleWish::parse("global administrator").unwrap(),
            RoleWish::Directory(DirectoryRole::GlobalAdministrator)
        );
        assert_eq!(
            RoleWish::parse("Catalog creator").unwrap(),
            RoleWish::Catalog(Role::CatalogCreator, None)
        );
        assert_eq!(
            RoleWish::parse("Access package assignment manager: General").unwrap(),
            RoleWish::Catalog(Role::AssignmentManager, Some("General".to_owned()))
        );
    }

    #[test]
    fn a_wrong_role_is_told_with_the_nearest() {
        let told = |text: &str| RoleWish::parse(text).unwrap_err().to_string();

        assert!(told("Global Administrater").contains("there are `Global Administrator`"));
        assert!(told("Catalog owner").contains("`Catalog owner:CATALOG`"));
        assert!(told("Catalog creator:General").contains("leave the catalog out"));
        assert!(told("Global Reader:General").contains("leave the catalog out"));
    }
}
