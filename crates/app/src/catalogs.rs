//! Catalogs: who may see, make, change and delete them.

use accede_domain::id::{CatalogId, Id};
use accede_domain::permission::Action;
use accede_domain::refusal::Refusal;
use accede_store::catalogs::{self, CatalogType};
use accede_store::{Tx, packages, resources};
use serde_json::json;

use crate::creations::{self, Repeat};
use crate::list::ask;
use crate::resources::{ResourceView, ResourceWith, resource_views};
use crate::{App, Caller, Error, Listing, Page, Principal, Result, audit, text};

pub use accede_store::catalogs::{Catalog, State};
pub use accede_store::packages::Package;

/// How many packages or resources of one catalog are shown inside it.
pub const MAX_INSIDE: usize = 1_000;

/// A catalog to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCatalog {
    /// Its name; unique in the organization, whatever its case.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Whether people can request from it.
    pub state: State,
    /// Whether people from outside may be admitted.
    pub is_externally_visible: bool,
}

/// What changes of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogChange {
    /// Its name.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether people can request from it.
    pub state: Option<State>,
    /// Whether people from outside may be admitted.
    pub is_externally_visible: Option<bool>,
    /// The version it was read in, if nobody else may have changed it since.
    pub expected: Option<i64>,
}

/// What is shown with a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CatalogWith {
    /// Its packages.
    pub packages: bool,
    /// Its resources, with these parts.
    pub resources: Option<ResourceWith>,
}

/// A catalog with what was asked to be shown with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogView {
    /// The catalog.
    pub catalog: Catalog,
    /// Its packages, at most [`MAX_INSIDE`] of a page of catalogs.
    pub packages: Option<Vec<Package>>,
    /// Its resources, at most [`MAX_INSIDE`] of a page of catalogs.
    pub resources: Option<Vec<ResourceView>>,
}

impl App {
    /// The catalogs that the caller may read.
    ///
    /// # Errors
    ///
    /// Forbidden for those who may read none; invalid for what the list does not have.
    pub async fn catalogs(
        &self,
        caller: &Caller,
        listing: &Listing,
        with: CatalogWith,
    ) -> Result<Page<CatalogView>> {
        let reach = caller.reach(Action::ReadCatalog);
        if reach.is_empty() {
            // Who may make catalogs has a list, if an empty one.
            caller
                .may_somewhere(Action::CreateCatalog)
                .map_err(|_| caller.lacks(Action::ReadCatalog))?;
        }
        self.store()
            .read(async |tx| {
                let page = catalogs::page(tx, &reach, ask(listing)?, listing.count).await?;
                let items = views(tx, page.items, with).await?;
                Ok(Page { items, next: page.next, count: page.count })
            })
            .await
    }

    /// A catalog.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn catalog(
        &self,
        caller: &Caller,
        id: CatalogId,
        with: CatalogWith,
    ) -> Result<CatalogView> {
        self.store()
            .read(async |tx| {
                let catalog = visible(tx, caller, id).await?;
                let view = views(tx, vec![catalog], with).await?.pop();
                view.ok_or_else(|| Error::not_found("catalog", id))
            })
            .await
    }

    /// Makes a catalog; the caller becomes its owner.
    ///
    /// # Errors
    ///
    /// Forbidden, invalid, or a duplicate name.
    pub async fn create_catalog(
        &self,
        caller: &Caller,
        new: &NewCatalog,
        repeat: Option<&Repeat>,
    ) -> Result<Catalog> {
        let now = self.now();
        caller.may_everywhere(Action::CreateCatalog)?;
        let catalog = Catalog {
            id: self.mint(now),
            display_name: text::name("displayName", &new.display_name)?,
            description: text::description("description", &new.description)?,
            catalog_type: CatalogType::UserManaged,
            state: new.state,
            is_externally_visible: new.is_externally_visible,
            created_at: now,
            modified_at: now,
            version: 1,
        };
        self.store()
            .write(async |tx| {
                if let Some(before) = creations::begin(tx, caller, repeat, catalog.id, now).await?
                    && let Some(before) = catalogs::get(tx, before).await?
                {
                    return Ok(before);
                }
                catalogs::insert(tx, &catalog)
                    .await
                    .map_err(|error| taken(error, &catalog.display_name))?;
                if let Some(owner) = object_id(caller) {
                    catalogs::add_owner(tx, self.mint(now), owner, catalog.id, now).await?;
                }
                let detail = json!({
                    "displayName": catalog.display_name,
                    "state": catalog.state.name(),
                    "isExternallyVisible": catalog.is_externally_visible,
                });
                self.audit_catalog(tx, caller, "catalog created", catalog.id, detail).await?;
                Ok(catalog.clone())
            })
            .await
    }

    /// Changes a catalog; the catalog after that.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, invalid, a duplicate name, or stale.
    pub async fn change_catalog(
        &self,
        caller: &Caller,
        id: CatalogId,
        change: &CatalogChange,
    ) -> Result<Catalog> {
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
                caller.may_on(Action::EditCatalog, id, Action::ReadCatalog, "catalog", id)?;
                let mut catalog = locked(tx, id).await?;
                if change.expected.is_some_and(|expected| expected != catalog.version) {
                    return Err(Error::Stale);
                }
                let before = catalog.clone();
                catalog.display_name = name.clone().unwrap_or(catalog.display_name);
                catalog.description = description.clone().unwrap_or(catalog.description);
                catalog.state = change.state.unwrap_or(catalog.state);
                catalog.is_externally_visible =
                    change.is_externally_visible.unwrap_or(catalog.is_externally_visible);
                if catalog == before {
                    return Ok(catalog);
                }
                catalog.modified_at = now;
                catalogs::save(tx, &mut catalog)
                    .await
                    .map_err(|error| taken(error, &catalog.display_name))?;
                let detail = audit::changes(&[
                    ("displayName", json!(before.display_name), json!(catalog.display_name)),
                    ("description", json!(before.description), json!(catalog.description)),
                    ("state", json!(before.state.name()), json!(catalog.state.name())),
                    (
                        "isExternallyVisible",
                        json!(before.is_externally_visible),
                        json!(catalog.is_externally_visible),
                    ),
                ]);
                self.audit_catalog(tx, caller, "catalog changed", id, detail).await?;
                Ok(catalog)
            })
            .await
    }

    /// Deletes a catalog that holds no package, with its resources and the roles held on it.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, or refused while it holds packages.
    pub async fn delete_catalog(
        &self,
        caller: &Caller,
        id: CatalogId,
        expected: Option<i64>,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                caller.may_on(Action::EditCatalog, id, Action::ReadCatalog, "catalog", id)?;
                let catalog = locked(tx, id).await?;
                if expected.is_some_and(|expected| expected != catalog.version) {
                    return Err(Error::Stale);
                }
                if catalog.catalog_type == CatalogType::ServiceDefault {
                    return Err(Error::Refused(Refusal::Rule {
                        code: "DefaultCatalogCannotBeDeleted",
                        sentence: "the built-in catalog cannot be deleted; set its `state` to \
                                   `unpublished` instead"
                            .to_owned(),
                    }));
                }
                let inside = catalogs::packages_in(tx, id, MAX_INSIDE).await?;
                if !inside.is_empty() {
                    let names = inside.iter().map(|(_, name)| name.as_str());
                    return Err(Error::Refused(Refusal::InUse {
                        code: "CatalogNotEmpty",
                        what: "the catalog",
                        reason: format!(
                            "it holds access packages: {}",
                            text::some_names(names, inside.len())
                        ),
                        advice: "delete them first",
                    }));
                }
                catalogs::delete(tx, id, now).await?;
                let detail = json!({ "displayName": catalog.display_name });
                self.audit_catalog(tx, caller, "catalog deleted", id, detail).await
            })
            .await
    }

    async fn audit_catalog(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        action: &str,
        id: CatalogId,
        detail: serde_json::Value,
    ) -> Result<()> {
        let event = audit::Event {
            action,
            object_type: "accessPackageCatalog",
            object_id: id.to_string(),
            catalog: Some(id),
            detail,
        };
        audit::record(self, tx, caller, event, self.now()).await
    }
}

/// A catalog that the caller may read.
pub(crate) async fn visible(tx: &mut Tx<'_>, caller: &Caller, id: CatalogId) -> Result<Catalog> {
    caller.may_on(Action::ReadCatalog, id, Action::ReadCatalog, "catalog", id)?;
    catalogs::get(tx, id).await?.ok_or_else(|| Error::not_found("catalog", id))
}

async fn locked(tx: &mut Tx<'_>, id: CatalogId) -> Result<Catalog> {
    catalogs::lock(tx, id).await?.ok_or_else(|| Error::not_found("catalog", id))
}

/// The object id of who asks, if it is not the server itself.
fn object_id(caller: &Caller) -> Option<uuid::Uuid> {
    match caller.principal {
        Principal::User { user, .. } => Some(user.uuid()),
        Principal::App { app, .. } => Some(app.uuid()),
        Principal::System => None,
    }
}

fn taken(error: accede_store::Error, name: &str) -> Error {
    match error {
        accede_store::Error::Duplicate { .. } => Error::Duplicate {
            code: "DuplicateKey",
            sentence: format!("there is already a catalog named `{name}`; choose another name"),
        },
        other => other.into(),
    }
}

/// Catalogs with what was asked to be shown with them.
async fn views(
    tx: &mut Tx<'_>,
    items: Vec<Catalog>,
    with: CatalogWith,
) -> Result<Vec<CatalogView>> {
    let ids: Vec<CatalogId> = items.iter().map(|catalog| catalog.id).collect();
    let packages =
        if with.packages { Some(packages::of_catalogs(tx, &ids, MAX_INSIDE).await?) } else { None };
    let resources = match with.resources {
        Some(parts) => {
            let found = resources::of_catalogs(tx, &ids, MAX_INSIDE).await?;
            Some(resource_views(tx, found, parts).await?)
        }
        None => None,
    };
    Ok(items
        .into_iter()
        .map(|catalog| {
            let id = catalog.id;
            let packages = packages
                .as_ref()
                .map(|all| all.iter().filter(|package| package.catalog == id).cloned().collect());
            let resources = resources.as_ref().map(|all| {
                all.iter().filter(|view| view.resource.catalog == id).cloned().collect()
            });
            CatalogView { catalog, packages, resources }
        })
        .collect())
}
