//! Catalogs: containers of resources and access packages, and the unit of delegation.
//!
//! A deleted catalog keeps its row, because finished requests of its packages still point at it;
//! nothing here finds it any more.

use accede_domain::Timestamp;
use accede_domain::filter::Direction;
use accede_domain::id::{CatalogId, PackageId, RoleAssignmentId};
use accede_domain::permission::Reach;

use crate::filter::{Ask, Entity, Kind, Property};
use crate::pages::{self, Listed, Source};
use crate::request_list::ListError;
use crate::requests::{limit_value, named};
use crate::{Error, Result, Row, Sql, Tx, params};

/// Who made a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CatalogType {
    /// Somebody.
    UserManaged,
    /// The server: the catalog `General`, which takes packages for which none is chosen.
    ServiceDefault,
}

impl CatalogType {
    const ALL: [CatalogType; 2] = [CatalogType::UserManaged, CatalogType::ServiceDefault];

    /// The name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            CatalogType::UserManaged => "userManaged",
            CatalogType::ServiceDefault => "serviceDefault",
        }
    }

    fn parse(name: &str) -> Option<CatalogType> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Whether people can request from a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// People see its packages and request them.
    Published,
    /// Only administrators assign its packages.
    Unpublished,
}

impl State {
    /// Every state.
    pub const ALL: [State; 2] = [State::Published, State::Unpublished];

    /// The name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            State::Published => "published",
            State::Unpublished => "unpublished",
        }
    }

    /// The state of that name, matched without case.
    pub fn parse(name: &str) -> Option<State> {
        Self::ALL.into_iter().find(|state| state.name().eq_ignore_ascii_case(name))
    }
}

/// A catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// Its id.
    pub id: CatalogId,
    /// Its name; unique in the organization, whatever its case.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Who made it.
    pub catalog_type: CatalogType,
    /// Whether people can request from it.
    pub state: State,
    /// Whether people from outside may be admitted.
    pub is_externally_visible: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
}

/// What makes two display names the same.
pub fn name_key(display_name: &str) -> String {
    display_name.trim().to_lowercase()
}

macro_rules! columns {
    () => {
        "c.id, c.display_name, c.description, c.catalog_type, c.state, c.is_externally_visible,
         c.created_at_ms, c.modified_at_ms, c.version"
    };
}
impl Catalog {
    pub(crate) fn from_row(row: &Row) -> Result<Catalog> {
        Ok(Catalog {
            id: row.get(0)?,
            display_name: row.get(1)?,
            description: row.get(2)?,
            catalog_type: named(CatalogType::parse, &row.get::<String>(3)?)?,
            state: named(State::parse, &row.get::<String>(4)?)?,
            is_externally_visible: row.get(5)?,
            created_at: row.get(6)?,
            modified_at: row.get(7)?,
            version: row.get(8)?,
        })
    }
}

/// Adds a catalog; [`Error::Duplicate`] when the name is taken.
pub async fn insert(tx: &mut Tx<'_>, catalog: &Catalog) -> Result<()> {
    tx.execute(
        "insert into catalogs (id, display_name, name_key, description, catalog_type, state,
             is_externally_visible, created_at_ms, modified_at_ms, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        params![
            catalog.id,
            &catalog.display_name,
            name_key(&catalog.display_name),
            &catalog.description,
            catalog.catalog_type.name(),
            catalog.state.name(),
            catalog.is_externally_visible,
            catalog.created_at,
            catalog.modified_at,
            catalog.version
        ],
    )
    .await?;
    Ok(())
}

/// Reads a catalog.
pub async fn get(tx: &mut Tx<'_>, id: CatalogId) -> Result<Option<Catalog>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from catalogs c where c.id = $1 and c.deleted_at_ms is null"
        ),
        params![id],
    )
    .await?
    .map(|row| Catalog::from_row(&row))
    .transpose()
}

/// Reads several catalogs, in no order.
pub async fn get_all(tx: &mut Tx<'_>, ids: &[CatalogId]) -> Result<Vec<Catalog>> {
    let mut values = Vec::new();
    let places = crate::many::places(ids, &mut values);
    let text = format!("select {} from catalogs c where c.id in ({places})", columns!());
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(Catalog::from_row).collect()
}

/// The catalog that takes packages for which none is chosen, if it was made already.
pub async fn general(tx: &mut Tx<'_>) -> Result<Option<Catalog>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from catalogs c
             where c.catalog_type = 'serviceDefault' and c.deleted_at_ms is null
             order by c.created_at_ms, c.id limit 1"
        ),
        params![],
    )
    .await?
    .map(|row| Catalog::from_row(&row))
    .transpose()
}

/// Reads a catalog and holds its row until the transaction ends.
pub async fn lock(tx: &mut Tx<'_>, id: CatalogId) -> Result<Option<Catalog>> {
    const LITE: &str = concat!(
        "select ",
        columns!(),
        " from catalogs c where c.id = $1 and c.deleted_at_ms is null"
    );
    const PG: &str = concat!(
        "select ",
        columns!(),
        " from catalogs c where c.id = $1 and c.deleted_at_ms is null for update"
    );
    tx.query_opt(Sql::new(LITE, PG), params![id])
        .await?
        .map(|row| Catalog::from_row(&row))
        .transpose()
}

/// Saves a changed catalog and counts the change; [`Error::Stale`] when somebody else changed it
/// since it was read, [`Error::Duplicate`] when the name is taken.
pub async fn save(tx: &mut Tx<'_>, catalog: &mut Catalog) -> Result<()> {
    let changed = tx
        .execute(
            "update catalogs
             set display_name = $3, name_key = $4, description = $5, state = $6,
                 is_externally_visible = $7, modified_at_ms = $8, version = version + 1
             where id = $1 and version = $2 and deleted_at_ms is null",
            params![
                catalog.id,
                catalog.version,
                &catalog.display_name,
                name_key(&catalog.display_name),
                &catalog.description,
                catalog.state.name(),
                catalog.is_externally_visible,
                catalog.modified_at
            ],
        )
        .await?;
    if changed == 0 {
        return Err(Error::Stale);
    }
    catalog.version += 1;
    Ok(())
}

/// The packages of a catalog, by name, at most `limit`.
pub async fn packages_in(
    tx: &mut Tx<'_>,
    id: CatalogId,
    limit: usize,
) -> Result<Vec<(PackageId, String)>> {
    let rows = tx
        .query(
            "select id, display_name from packages
             where catalog_id = $1 and deleted_at_ms is null
             order by display_name, id limit $2",
            params![id, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Deletes a catalog that holds no package, with its resources and the roles held on it.
pub async fn delete(tx: &mut Tx<'_>, id: CatalogId, now: Timestamp) -> Result<()> {
    for sql in [
        "delete from role_assignments where catalog_id = $1",
        "update resource_requests set catalog_id = null where catalog_id = $1",
        "delete from resource_roles
         where resource_id in (select id from resources where catalog_id = $1)",
        "delete from resource_scopes
         where resource_id in (select id from resources where catalog_id = $1)",
        "delete from resources where catalog_id = $1",
    ] {
        tx.execute(sql, params![id]).await?;
    }
    tx.execute(
        "update catalogs set deleted_at_ms = $2, version = version + 1
         where id = $1 and deleted_at_ms is null",
        params![id, now],
    )
    .await?;
    Ok(())
}

/// Makes a principal the owner of a catalog.
pub async fn add_owner(
    tx: &mut Tx<'_>,
    id: RoleAssignmentId,
    principal: uuid::Uuid,
    catalog: CatalogId,
    now: Timestamp,
) -> Result<()> {
    let owner = accede_domain::permission::Role::CatalogOwner.definition();
    tx.execute(
        "insert into role_assignments (id, principal_id, role_definition_id, catalog_id,
             scope_key, created_at_ms)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (principal_id, role_definition_id, scope_key) do nothing",
        params![id, principal, owner, catalog, crate::role_assignments::scope(Some(catalog)), now],
    )
    .await?;
    Ok(())
}

/// What catalogs can be filtered and ordered by, in Graph's property paths.
pub static CATALOGS: Entity = Entity {
    name: "catalogs",
    properties: &[
        Property::new("id", "c.id", Kind::Id),
        Property::new("displayName", "c.display_name", Kind::Folded("c.name_key")).sortable(),
        Property::new("description", "c.description", Kind::TextNoCase),
        Property::new(
            "catalogType",
            "c.catalog_type",
            Kind::Enum(&["userManaged", "serviceDefault"]),
        ),
        Property::new("state", "c.state", Kind::Enum(&["published", "unpublished"])),
        Property::new("isExternallyVisible", "c.is_externally_visible", Kind::Bool),
        Property::new("createdDateTime", "c.created_at_ms", Kind::Instant).sortable(),
        Property::new("modifiedDateTime", "c.modified_at_ms", Kind::Instant).sortable(),
    ],
    unique: &["c.id"],
    order: &[("displayName", Direction::Ascending)],
};

/// A page of the catalogs in reach.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page(
    tx: &mut Tx<'_>,
    reach: &Reach,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Catalog>, ListError> {
    let mut values = Vec::new();
    let mut conditions = vec!["c.deleted_at_ms is null".to_owned()];
    conditions.extend(crate::many::within(reach, "c.id", &mut values));
    let source = Source {
        entity: &CATALOGS,
        columns: columns!(),
        from: "catalogs c",
        conditions: &conditions,
        values: &values,
        read: Catalog::from_row,
    };
    pages::page(tx, &source, ask, count).await
}

/// Reads a catalog by name, whatever its case.
pub async fn by_name(tx: &mut Tx<'_>, display_name: &str) -> Result<Option<Catalog>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from catalogs c where c.name_key = $1 and c.deleted_at_ms is null"
        ),
        params![name_key(display_name)],
    )
    .await?
    .map(|row| Catalog::from_row(&row))
    .transpose()
}
