//! Role assignments of entitlement management: who is owner of which catalog, and so on.

use accede_domain::Timestamp;
use accede_domain::filter::Direction;
use accede_domain::id::{CatalogId, Id, RoleAssignmentId, RoleDefinitionId};
use accede_domain::permission::{Reach, Role};
use uuid::Uuid;

use crate::filter::{Ask, Entity, FilterError, Kind, Plan, Property};
use crate::many::within;
use crate::{Error, Result, Row, Sql, Tx, params};

/// A role assignment as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleAssignment {
    /// Its id.
    pub id: RoleAssignmentId,
    /// Who: the object id of a user, a group or an application.
    pub principal: Uuid,
    /// Which role.
    pub role: RoleDefinitionId,
    /// On which catalog; `None` for the organization.
    pub catalog: Option<CatalogId>,
    /// Since when.
    pub created_at: Timestamp,
}

/// Where a role is held, as `appScopeId` says it.
pub fn scope(catalog: Option<CatalogId>) -> String {
    catalog.map_or_else(|| "/".to_owned(), |catalog| format!("/AccessPackageCatalog/{catalog}"))
}

const COLUMNS: &str = "a.id, a.principal_id, a.role_definition_id, a.catalog_id, a.created_at_ms";

/// What the list of role assignments can be asked.
static ROLE_ASSIGNMENTS: Entity = Entity {
    name: "roleAssignments",
    properties: &[
        Property::new("id", "a.id", Kind::Id),
        Property::new("principalId", "a.principal_id", Kind::Id),
        Property::new("roleDefinitionId", "a.role_definition_id", Kind::Id),
        Property::new("appScopeId", "a.scope_key", Kind::Text),
        Property::new("createdDateTime", "a.created_at_ms", Kind::Instant).sortable(),
    ],
    unique: &["a.id"],
    order: &[("createdDateTime", Direction::Ascending)],
};

impl RoleAssignment {
    fn from_row(row: &Row) -> Result<RoleAssignment> {
        Ok(RoleAssignment {
            id: row.get(0)?,
            principal: row.get(1)?,
            role: row.get(2)?,
            catalog: row.get(3)?,
            created_at: row.get(4)?,
        })
    }
}

/// Adds a role assignment; whether the principal did not have the role there before.
pub async fn insert(tx: &mut Tx<'_>, new: &RoleAssignment) -> Result<bool> {
    let added = tx
        .execute(
            "insert into role_assignments (id, principal_id, role_definition_id, catalog_id,
                                           scope_key, created_at_ms)
             values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            params![
                new.id,
                new.principal,
                new.role,
                new.catalog,
                scope(new.catalog),
                new.created_at
            ],
        )
        .await?;
    Ok(added > 0)
}

/// A role assignment by its id.
pub async fn get(tx: &mut Tx<'_>, id: RoleAssignmentId) -> Result<Option<RoleAssignment>> {
    let row = tx
        .query_opt(
            "select id, principal_id, role_definition_id, catalog_id, created_at_ms
             from role_assignments where id = $1",
            params![id],
        )
        .await?;
    row.map(|row| RoleAssignment::from_row(&row)).transpose()
}

/// The owners of a catalog, their rows held until the transaction ends, so that no two go at once.
pub async fn lock_owners(tx: &mut Tx<'_>, catalog: CatalogId) -> Result<Vec<RoleAssignment>> {
    let sql = Sql {
        lite: "select id, principal_id, role_definition_id, catalog_id, created_at_ms
               from role_assignments where catalog_id = $1 and role_definition_id = $2
               order by id",
        pg: "select id, principal_id, role_definition_id, catalog_id, created_at_ms
             from role_assignments where catalog_id = $1 and role_definition_id = $2
             order by id for update",
    };
    let rows = tx.query(sql, params![catalog, Role::CatalogOwner.definition()]).await?;
    rows.iter().map(RoleAssignment::from_row).collect()
}

/// Takes a role away.
pub async fn delete(tx: &mut Tx<'_>, id: RoleAssignmentId) -> Result<()> {
    match tx.execute("delete from role_assignments where id = $1", params![id]).await? {
        1 => Ok(()),
        _ => Err(Error::NotFound),
    }
}

/// Takes every role from a principal.
pub async fn delete_of_principal(tx: &mut Tx<'_>, principal: Uuid) -> Result<()> {
    tx.execute("delete from role_assignments where principal_id = $1", params![principal]).await?;
    Ok(())
}

/// Takes everybody's roles on a catalog.
pub async fn delete_of_catalog(tx: &mut Tx<'_>, catalog: CatalogId) -> Result<()> {
    tx.execute("delete from role_assignments where catalog_id = $1", params![catalog]).await?;
    Ok(())
}

/// The catalogs that would have no owner if this principal was none.
pub async fn sole_ownerships(tx: &mut Tx<'_>, principal: Uuid) -> Result<Vec<String>> {
    let rows = tx
        .query(
            "select c.display_name
             from role_assignments a join catalogs c on c.id = a.catalog_id
             where a.principal_id = $1 and a.role_definition_id = $2 and c.deleted_at_ms is null
               and not exists (
                   select 1 from role_assignments o
                   where o.catalog_id = a.catalog_id and o.role_definition_id = $2
                     and o.principal_id <> $1)
             order by c.display_name limit 5",
            params![principal, Role::CatalogOwner.definition()],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The roles that a user or an application has, directly or as a member of a group.
pub async fn held(tx: &mut Tx<'_>, principal: Uuid) -> Result<Vec<(Role, Option<CatalogId>)>> {
    let rows = tx
        .query(
            "select role_definition_id, catalog_id from role_assignments
             where principal_id = $1
                or principal_id in (select group_id from group_members where member_id = $1)
             order by role_definition_id, scope_key",
            params![principal],
        )
        .await?;
    let mut held = Vec::with_capacity(rows.len());
    for row in &rows {
        let definition: RoleDefinitionId = row.get(0)?;
        let role = Role::of(definition).ok_or_else(|| {
            Error::Corrupt(format!("there is no role definition `{}`", definition.uuid()))
        })?;
        held.push((role, row.get(1)?));
    }
    held.dedup();
    Ok(held)
}

/// Compiles what is asked of the list of role assignments on the catalogs in reach.
///
/// # Errors
///
/// What the list does not have.
pub fn plan(ask: Ask<'_>, reach: &Reach) -> Result<Plan, FilterError> {
    let mut parameters = Vec::new();
    within(reach, "a.catalog_id", &mut parameters);
    Plan::new(&ROLE_ASSIGNMENTS, ask, parameters.len() + 1)
}

/// A page of the list, and where the next begins.
pub async fn list(
    tx: &mut Tx<'_>,
    reach: &Reach,
    plan: &Plan,
) -> Result<(Vec<RoleAssignment>, Option<String>)> {
    let mut parameters = Vec::new();
    let own = within(reach, "a.catalog_id", &mut parameters);
    let (sql, values) = plan.select(COLUMNS, "role_assignments a", own.as_deref(), &parameters);
    let mut rows = tx.query_text(&sql, &values).await?;
    let next = plan.cut(&mut rows)?;
    Ok((rows.iter().map(RoleAssignment::from_row).collect::<Result<_>>()?, next))
}

/// How many role assignments match in all.
pub async fn count(tx: &mut Tx<'_>, reach: &Reach, plan: &Plan) -> Result<i64> {
    let mut parameters = Vec::new();
    let own = within(reach, "a.catalog_id", &mut parameters);
    let (sql, values) = plan.count("role_assignments a", own.as_deref(), &parameters);
    tx.query_one_text(&sql, &values).await?.get(0)
}
