//! Access packages and the resource roles that they give.
//!
//! A deleted package keeps its row, because finished requests still point at it; nothing here finds
//! it any more.

use accede_domain::Timestamp;
use accede_domain::filter::Direction;
use accede_domain::id::{CatalogId, PackageId, ResourceRoleId, ResourceScopeId, TargetId};
use accede_domain::permission::Reach;

use crate::catalogs::name_key;
use crate::filter::{Ask, Entity, Kind, Property};
use crate::many::{places, within};
use crate::pages::{self, Listed, Source};
use crate::request_list::ListError;
use crate::resources::{Resource, Role, Scope, columns as resource_columns};
use crate::{Error, Result, Row, Sql, Tx, Value, params};

/// An access package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its id.
    pub id: PackageId,
    /// Its catalog.
    pub catalog: CatalogId,
    /// Its name; unique in its catalog, whatever its case.
    pub display_name: String,
    /// What people read about it.
    pub description: String,
    /// Whether it is left out when people browse; whoever has its link may still ask.
    pub is_hidden: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
}

macro_rules! columns {
    () => {
        "p.id, p.catalog_id, p.display_name, p.description, p.is_hidden, p.created_at_ms,
         p.modified_at_ms, p.version"
    };
}
pub(crate) use columns;

impl Package {
    pub(crate) fn from_row(row: &Row) -> Result<Package> {
        Ok(Package {
            id: row.get(0)?,
            catalog: row.get(1)?,
            display_name: row.get(2)?,
            description: row.get(3)?,
            is_hidden: row.get(4)?,
            created_at: row.get(5)?,
            modified_at: row.get(6)?,
            version: row.get(7)?,
        })
    }
}

/// Adds a package; [`Error::Duplicate`] when the catalog has one of that name.
pub async fn insert(tx: &mut Tx<'_>, package: &Package) -> Result<()> {
    tx.execute(
        "insert into packages (id, catalog_id, display_name, name_key, description, is_hidden,
             created_at_ms, modified_at_ms, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        params![
            package.id,
            package.catalog,
            &package.display_name,
            name_key(&package.display_name),
            &package.description,
            package.is_hidden,
            package.created_at,
            package.modified_at,
            package.version
        ],
    )
    .await?;
    Ok(())
}

/// Reads a package.
pub async fn get(tx: &mut Tx<'_>, id: PackageId) -> Result<Option<Package>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from packages p where p.id = $1 and p.deleted_at_ms is null"
        ),
        params![id],
    )
    .await?
    .map(|row| Package::from_row(&row))
    .transpose()
}

/// Reads several packages, deleted ones included, in no order.
pub async fn get_all(tx: &mut Tx<'_>, ids: &[PackageId]) -> Result<Vec<Package>> {
    let mut values = Vec::new();
    let list = places(ids, &mut values);
    let text = format!("select {} from packages p where p.id in ({list})", columns!());
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(Package::from_row).collect()
}

/// The packages of several catalogs, by name, at most `limit`.
pub async fn of_catalogs(
    tx: &mut Tx<'_>,
    catalogs: &[CatalogId],
    limit: usize,
) -> Result<Vec<Package>> {
    let mut values = Vec::new();
    let list = places(catalogs, &mut values);
    values.push(crate::requests::limit_value(limit).into());
    let text = format!(
        "select {} from packages p where p.catalog_id in ({list}) and p.deleted_at_ms is null
         order by p.display_name, p.id limit ${}",
        columns!(),
        values.len()
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(Package::from_row).collect()
}

/// Reads a package and holds its row until the transaction ends.
pub async fn lock(tx: &mut Tx<'_>, id: PackageId) -> Result<Option<Package>> {
    const LITE: &str = concat!(
        "select ",
        columns!(),
        " from packages p where p.id = $1 and p.deleted_at_ms is null"
    );
    const PG: &str = concat!(
        "select ",
        columns!(),
        " from packages p where p.id = $1 and p.deleted_at_ms is null for update"
    );
    tx.query_opt(Sql::new(LITE, PG), params![id])
        .await?
        .map(|row| Package::from_row(&row))
        .transpose()
}

/// The catalog of a package that was not deleted.
pub async fn catalog_of(tx: &mut Tx<'_>, id: PackageId) -> Result<Option<CatalogId>> {
    tx.query_opt(
        "select catalog_id from packages where id = $1 and deleted_at_ms is null",
        params![id],
    )
    .await?
    .map(|row| row.get(0))
    .transpose()
}

/// Saves a changed package and counts the change; [`Error::Stale`] when somebody else changed it
/// since it was read, [`Error::Duplicate`] when the name is taken.
pub async fn save(tx: &mut Tx<'_>, package: &mut Package) -> Result<()> {
    let changed = tx
        .execute(
            "update packages
             set display_name = $3, name_key = $4, description = $5, is_hidden = $6,
                 modified_at_ms = $7, version = version + 1
             where id = $1 and version = $2 and deleted_at_ms is null",
            params![
                package.id,
                package.version,
                &package.display_name,
                name_key(&package.display_name),
                &package.description,
                package.is_hidden,
                package.modified_at
            ],
        )
        .await?;
    if changed == 0 {
        return Err(Error::Stale);
    }
    package.version += 1;
    Ok(())
}

/// What keeps a package or a policy from being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Assignments that have not expired.
    pub assignments: i64,
    /// Requests that are not at rest.
    pub open_requests: i64,
}

/// What keeps a package from being deleted.
pub async fn usage(tx: &mut Tx<'_>, id: PackageId) -> Result<Usage> {
    let row = tx
        .query_one(
            "select
                 (select count(*) from assignments
                  where package_id = $1 and state in ('delivering', 'partiallyDelivered',
                      'delivered', 'deliveryFailed', 'ending')),
                 (select count(*) from requests
                  where package_id = $1 and state in ('submitted', 'pendingApproval',
                      'scheduled', 'delivering', 'canceling'))",
            params![id],
        )
        .await?;
    Ok(Usage { assignments: row.get(0)?, open_requests: row.get(1)? })
}

/// Deletes a package that nobody has and nobody waits for, with its policies, its resource roles and
/// its incompatibilities.
pub async fn delete(tx: &mut Tx<'_>, id: PackageId, now: Timestamp) -> Result<()> {
    for sql in [
        "delete from resource_role_scopes where package_id = $1",
        "delete from incompatible_groups where package_id = $1",
        "delete from incompatible_packages where package_id = $1",
        "delete from incompatible_packages where other_id = $1",
    ] {
        tx.execute(sql, params![id]).await?;
    }
    for sql in [
        "update policies set deleted_at_ms = $2, version = version + 1
         where package_id = $1 and deleted_at_ms is null",
        "update packages set deleted_at_ms = $2, version = version + 1
         where id = $1 and deleted_at_ms is null",
    ] {
        tx.execute(sql, params![id, now]).await?;
    }
    Ok(())
}

/// One resource role that a package gives, as delivery needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleScope {
    /// The role.
    pub role_id: ResourceRoleId,
    /// In which scope.
    pub scope_id: ResourceScopeId,
    /// In which target.
    pub target_id: TargetId,
    /// The resource's id in the target.
    pub resource_origin_id: String,
    /// The role's id in the target.
    pub role_origin_id: String,
    /// The scope's id in the target.
    pub scope_origin_id: String,
    /// Whether access that somebody had before is left alone when the assignment ends.
    pub keep_pre_existing: bool,
    /// The role's name.
    pub role_name: String,
    /// The resource's name.
    pub resource_name: String,
    /// The target's name.
    pub target_name: String,
    /// The target's name for people.
    pub target_display_name: String,
}

/// What a package gives, oldest first.
pub async fn role_scopes(tx: &mut Tx<'_>, package: PackageId) -> Result<Vec<RoleScope>> {
    Ok(versioned_role_scopes(tx, package).await?.1)
}

/// What a package gives, oldest first, and which version of its roles that is: both of one instant.
pub async fn versioned_role_scopes(
    tx: &mut Tx<'_>,
    package: PackageId,
) -> Result<(i64, Vec<RoleScope>)> {
    let rows = tx
        .query(
            "select x.role_id, x.scope_id, r.target_id, r.origin_id, o.origin_id, s.origin_id,
                 r.keep_pre_existing, o.display_name, r.display_name, t.name, t.display_name,
                 p.roles_version
             from packages p
                 left join resource_role_scopes x on x.package_id = p.id
                 left join resource_roles o on o.id = x.role_id
                 left join resource_scopes s on s.id = x.scope_id
                 left join resources r on r.id = o.resource_id
                 left join targets t on t.id = r.target_id
             where p.id = $1 order by x.created_at_ms, x.role_id, x.scope_id",
            params![package],
        )
        .await?;
    let version = rows.first().map(|row| row.get(11)).transpose()?.unwrap_or_default();
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        // A package that gives nothing has a version all the same.
        if row.get::<Option<ResourceRoleId>>(0)?.is_some() {
            found.push(RoleScope {
                role_id: row.get(0)?,
                scope_id: row.get(1)?,
                target_id: row.get(2)?,
                resource_origin_id: row.get(3)?,
                role_origin_id: row.get(4)?,
                scope_origin_id: row.get(5)?,
                keep_pre_existing: row.get(6)?,
                role_name: row.get(7)?,
                resource_name: row.get(8)?,
                target_name: row.get(9)?,
                target_display_name: row.get(10)?,
            });
        }
    }
    Ok((version, found))
}

/// One resource role that a package gives, with everything that Graph shows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Which package.
    pub package: PackageId,
    /// The role.
    pub role: Role,
    /// The scope.
    pub scope: Scope,
    /// The resource of both.
    pub resource: Resource,
    /// When it was added to the package.
    pub created_at: Timestamp,
}

const GIVEN: &str = concat!(
    "x.package_id, x.created_at_ms, o.id, o.origin_id, o.display_name, o.description,
     s.id, s.origin_id, s.display_name, s.description, s.is_root_scope, ",
    resource_columns!()
);

const GIVEN_FROM: &str = "resource_role_scopes x
     join resource_roles o on o.id = x.role_id
     join resource_scopes s on s.id = x.scope_id
     join resources r on r.id = o.resource_id
     join targets t on t.id = r.target_id";

impl Given {
    fn from_row(row: &Row) -> Result<Given> {
        let resource = Resource::from_row_at(row, 11)?;
        Ok(Given {
            package: row.get(0)?,
            created_at: row.get(1)?,
            role: Role {
                id: row.get(2)?,
                resource: resource.id,
                origin_id: row.get(3)?,
                display_name: row.get(4)?,
                description: row.get(5)?,
            },
            scope: Scope {
                id: row.get(6)?,
                resource: resource.id,
                origin_id: row.get(7)?,
                display_name: row.get(8)?,
                description: row.get(9)?,
                is_root: row.get(10)?,
            },
            resource,
        })
    }
}

/// What several packages give, oldest first in each.
pub async fn given(tx: &mut Tx<'_>, packages: &[PackageId]) -> Result<Vec<Given>> {
    let mut values = Vec::new();
    let list = places(packages, &mut values);
    let text = format!(
        "select {GIVEN} from {GIVEN_FROM} where x.package_id in ({list})
         order by x.package_id, x.created_at_ms, x.role_id, x.scope_id"
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(Given::from_row).collect()
}

/// One resource role that a package gives.
pub async fn given_one(
    tx: &mut Tx<'_>,
    package: PackageId,
    role: ResourceRoleId,
    scope: ResourceScopeId,
) -> Result<Option<Given>> {
    let text = format!(
        "select {GIVEN} from {GIVEN_FROM}
         where x.package_id = $1 and x.role_id = $2 and x.scope_id = $3"
    );
    tx.query_opt_text(&text, params![package, role, scope])
        .await?
        .map(|row| Given::from_row(&row))
        .transpose()
}

/// The packages' uses of one role in one scope, oldest first, at most 100.
pub async fn given_pair(
    tx: &mut Tx<'_>,
    role: ResourceRoleId,
    scope: ResourceScopeId,
) -> Result<Vec<Given>> {
    let text = format!(
        "select {GIVEN} from {GIVEN_FROM} where x.role_id = $1 and x.scope_id = $2
         order by x.created_at_ms, x.package_id limit 100"
    );
    let rows = tx.query_text(&text, params![role, scope]).await?;
    rows.iter().map(Given::from_row).collect()
}

/// What resource roles of packages can be filtered and ordered by.
pub static ROLE_SCOPES: Entity = Entity {
    name: "resourceRoleScopes",
    properties: &[
        Property::new("createdDateTime", "x.created_at_ms", Kind::Instant).sortable(),
        Property::new("role/id", "o.id", Kind::Id),
        Property::new("role/originId", "o.origin_id", Kind::Text),
        Property::new("role/originSystem", "t.name", Kind::TextNoCase),
        Property::new("role/displayName", "o.display_name", Kind::TextNoCase),
        Property::new("role/resource/id", "r.id", Kind::Id),
        Property::new("scope/id", "s.id", Kind::Id),
        Property::new("scope/originId", "s.origin_id", Kind::Text),
        Property::new("scope/originSystem", "t.name", Kind::TextNoCase),
    ],
    unique: &["x.package_id", "x.role_id", "x.scope_id"],
    order: &[("createdDateTime", Direction::Ascending)],
};

/// A page of what the packages in reach give.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page_of_given(
    tx: &mut Tx<'_>,
    reach: &Reach,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Given>, ListError> {
    let mut values = Vec::new();
    let conditions: Vec<String> = within(reach, "r.catalog_id", &mut values).into_iter().collect();
    let source = Source {
        entity: &ROLE_SCOPES,
        columns: GIVEN,
        from: GIVEN_FROM,
        conditions: &conditions,
        values: &values,
        read: Given::from_row,
    };
    pages::page(tx, &source, ask, count).await
}

/// Lets a package give a role; says whether that is new.
pub async fn add_role_scope(
    tx: &mut Tx<'_>,
    package: PackageId,
    role: ResourceRoleId,
    scope: ResourceScopeId,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx
        .execute(
            "insert into resource_role_scopes (package_id, role_id, scope_id, created_at_ms)
             values ($1, $2, $3, $4)
             on conflict (package_id, role_id, scope_id) do nothing",
            params![package, role, scope, now],
        )
        .await?;
    Ok(changed == 1)
}

/// Lets a package no longer give a role; says whether it did.
pub async fn remove_role_scope(
    tx: &mut Tx<'_>,
    package: PackageId,
    role: ResourceRoleId,
    scope: ResourceScopeId,
) -> Result<bool> {
    let changed = tx
        .execute(
            "delete from resource_role_scopes
             where package_id = $1 and role_id = $2 and scope_id = $3",
            params![package, role, scope],
        )
        .await?;
    Ok(changed == 1)
}

/// What packages can be filtered and ordered by, in Graph's property paths.
pub static PACKAGES: Entity = Entity {
    name: "accessPackages",
    properties: &[
        Property::new("id", "p.id", Kind::Id),
        Property::new("displayName", "p.display_name", Kind::Folded("p.name_key")).sortable(),
        Property::new("description", "p.description", Kind::TextNoCase),
        Property::new("isHidden", "p.is_hidden", Kind::Bool),
        Property::new("createdDateTime", "p.created_at_ms", Kind::Instant).sortable(),
        Property::new("modifiedDateTime", "p.modified_at_ms", Kind::Instant).sortable(),
        Property::new("catalog/id", "p.catalog_id", Kind::Id),
        Property::new("catalog/displayName", "c.display_name", Kind::Folded("c.name_key")),
    ],
    unique: &["p.id"],
    order: &[("displayName", Direction::Ascending)],
};

const LIST_FROM: &str = "packages p join catalogs c on c.id = p.catalog_id";

/// A page of the packages in reach, or of one catalog.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page(
    tx: &mut Tx<'_>,
    reach: &Reach,
    catalog: Option<CatalogId>,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Package>, ListError> {
    let mut values = Vec::new();
    let mut conditions = vec!["p.deleted_at_ms is null".to_owned()];
    conditions.extend(within(reach, "p.catalog_id", &mut values));
    if let Some(catalog) = catalog {
        values.push(catalog.into());
        conditions.push(format!("p.catalog_id = ${}", values.len()));
    }
    listed(tx, &conditions, &values, ask, count).await
}

/// A page of the packages that somebody may look through: in published catalogs, not hidden (if
/// `browsing`), with some policy, and with every word of `search` in the name, the description or
/// the name of a resource, whatever its case. Whether a policy admits the reader is not decided
/// here.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn open_page(
    tx: &mut Tx<'_>,
    browsing: bool,
    search: &[String],
    ask: Ask<'_>,
) -> Result<Listed<Package>, ListError> {
    let mut values: Vec<Value> = Vec::new();
    let mut conditions = vec![
        "p.deleted_at_ms is null and c.deleted_at_ms is null and c.state = 'published'
         and exists (select 1 from policies o
             where o.package_id = p.id and o.deleted_at_ms is null)"
            .to_owned(),
    ];
    if browsing {
        values.push(false.into());
        conditions.push(format!("p.is_hidden = ${}", values.len()));
    }
    for word in search {
        // `lower` folds A to Z only; the key of the name was folded by us.
        values.push(Value::Text(containing(&word.to_lowercase())));
        let name = values.len();
        values.push(Value::Text(containing(&word.to_ascii_lowercase())));
        let rest = values.len();
        conditions.push(format!(
            "(p.name_key like ${name} escape '\\' or lower(p.description) like ${rest} escape '\\'
              or exists (select 1 from resource_role_scopes x
                  join resource_roles o on o.id = x.role_id
                  join resources r on r.id = o.resource_id
                  where x.package_id = p.id and lower(r.display_name) like ${rest} escape '\\'))"
        ));
    }
    listed(tx, &conditions, &values, ask, false).await
}

/// A `like` pattern for a text anywhere.
fn containing(text: &str) -> String {
    let escaped: String = text
        .chars()
        .flat_map(|c| match c {
            '%' | '_' | '\\' => vec!['\\', c],
            c => vec![c],
        })
        .collect();
    format!("%{escaped}%")
}

async fn listed(
    tx: &mut Tx<'_>,
    conditions: &[String],
    values: &[Value],
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Package>, ListError> {
    let source = Source {
        entity: &PACKAGES,
        columns: columns!(),
        from: LIST_FROM,
        conditions,
        values,
        read: Package::from_row,
    };
    pages::page(tx, &source, ask, count).await
}
