//! Assignment policies. What they say is one JSON text, [`Terms`]; the rules read it, SQL does not.
//!
//! A deleted policy keeps its row, because finished requests still point at it; nothing here finds
//! it any more.

use accede_domain::Timestamp;
use accede_domain::filter::Direction;
use accede_domain::id::{CatalogId, PackageId, PolicyId};
use accede_domain::permission::Reach;
use accede_domain::policy::{Policy, Terms};

use crate::filter::{Ask, Entity, Kind, Property};
use crate::many::{places, within};
use crate::packages::Usage;
use crate::pages::{self, Listed, Source};
use crate::request_list::ListError;
use crate::{Error, Result, Row, Sql, Tx, Value, params};

/// A policy as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The policy.
    pub policy: Policy,
    /// Its package's catalog.
    pub catalog: CatalogId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
}

macro_rules! columns {
    () => {
        "o.id, o.package_id, o.display_name, o.description, o.terms, o.created_at_ms,
         o.modified_at_ms, o.version, p.catalog_id"
    };
}
impl Stored {
    pub(crate) fn from_row(row: &Row) -> Result<Stored> {
        Ok(Stored {
            policy: policy(row)?,
            created_at: row.get(5)?,
            modified_at: row.get(6)?,
            version: row.get(7)?,
            catalog: row.get(8)?,
        })
    }
}

fn policy(row: &Row) -> Result<Policy> {
    Ok(Policy {
        id: row.get(0)?,
        package: row.get(1)?,
        display_name: row.get(2)?,
        description: row.get(3)?,
        terms: row.json::<Terms>(4)?,
    })
}

/// Adds a policy.
pub async fn insert(tx: &mut Tx<'_>, policy: &Policy, now: Timestamp) -> Result<()> {
    tx.execute(
        "insert into policies (id, package_id, display_name, description, terms, created_at_ms,
             modified_at_ms, version)
         values ($1, $2, $3, $4, $5, $6, $6, 1)",
        params![
            policy.id,
            policy.package,
            &policy.display_name,
            &policy.description,
            Value::json(&policy.terms)?,
            now
        ],
    )
    .await?;
    Ok(())
}

/// Reads a policy.
pub async fn get(tx: &mut Tx<'_>, id: PolicyId) -> Result<Option<Policy>> {
    Ok(stored(tx, id).await?.map(|stored| stored.policy))
}

/// Reads a policy with its catalog and dates.
pub async fn stored(tx: &mut Tx<'_>, id: PolicyId) -> Result<Option<Stored>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from policies o join packages p on p.id = o.package_id
             where o.id = $1 and o.deleted_at_ms is null"
        ),
        params![id],
    )
    .await?
    .map(|row| Stored::from_row(&row))
    .transpose()
}

/// Reads a policy and holds its row until the transaction ends.
pub async fn lock(tx: &mut Tx<'_>, id: PolicyId) -> Result<Option<Stored>> {
    const LITE: &str = concat!(
        "select ",
        columns!(),
        " from policies o join packages p on p.id = o.package_id
         where o.id = $1 and o.deleted_at_ms is null"
    );
    const PG: &str = concat!(
        "select ",
        columns!(),
        " from policies o join packages p on p.id = o.package_id
         where o.id = $1 and o.deleted_at_ms is null for update of o"
    );
    tx.query_opt(Sql::new(LITE, PG), params![id])
        .await?
        .map(|row| Stored::from_row(&row))
        .transpose()
}

/// The policies of a package, by name.
pub async fn of_package(tx: &mut Tx<'_>, package: PackageId) -> Result<Vec<Policy>> {
    let rows = tx
        .query(
            "select o.id, o.package_id, o.display_name, o.description, o.terms
             from policies o where o.package_id = $1 and o.deleted_at_ms is null
             order by o.display_name, o.id",
            params![package],
        )
        .await?;
    rows.iter().map(policy).collect()
}

/// The policies of several packages, by name.
pub async fn of_packages(tx: &mut Tx<'_>, packages: &[PackageId]) -> Result<Vec<Stored>> {
    let mut values = Vec::new();
    let list = places(packages, &mut values);
    let text = format!(
        "select {} from policies o join packages p on p.id = o.package_id
         where o.package_id in ({list}) and o.deleted_at_ms is null
         order by o.display_name, o.id",
        columns!()
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(Stored::from_row).collect()
}

/// Saves a changed policy and counts the change; [`Error::Stale`] when somebody else changed it
/// since it was read.
pub async fn save(tx: &mut Tx<'_>, stored: &mut Stored) -> Result<()> {
    let changed = tx
        .execute(
            "update policies
             set display_name = $3, description = $4, terms = $5, modified_at_ms = $6,
                 version = version + 1
             where id = $1 and version = $2 and deleted_at_ms is null",
            params![
                stored.policy.id,
                stored.version,
                &stored.policy.display_name,
                &stored.policy.description,
                Value::json(&stored.policy.terms)?,
                stored.modified_at
            ],
        )
        .await?;
    if changed == 0 {
        return Err(Error::Stale);
    }
    stored.version += 1;
    Ok(())
}

/// What keeps a policy from being deleted.
pub async fn usage(tx: &mut Tx<'_>, id: PolicyId) -> Result<Usage> {
    let row = tx
        .query_one(
            "select
                 (select count(*) from assignments
                  where policy_id = $1 and state in ('delivering', 'partiallyDelivered',
                      'delivered', 'deliveryFailed', 'ending')),
                 (select count(*) from requests
                  where policy_id = $1 and state in ('submitted', 'pendingApproval',
                      'scheduled', 'delivering', 'canceling'))",
            params![id],
        )
        .await?;
    Ok(Usage { assignments: row.get(0)?, open_requests: row.get(1)? })
}

/// Deletes a policy that no assignment and no open request runs under.
pub async fn delete(tx: &mut Tx<'_>, id: PolicyId, now: Timestamp) -> Result<()> {
    tx.execute(
        "update policies set deleted_at_ms = $2, version = version + 1
         where id = $1 and deleted_at_ms is null",
        params![id, now],
    )
    .await?;
    Ok(())
}

/// What policies can be filtered and ordered by, in Graph's property paths.
pub static POLICIES: Entity = Entity {
    name: "assignmentPolicies",
    properties: &[
        Property::new("id", "o.id", Kind::Id),
        Property::new("displayName", "o.display_name", Kind::TextNoCase).sortable(),
        Property::new("description", "o.description", Kind::TextNoCase),
        Property::new("createdDateTime", "o.created_at_ms", Kind::Instant).sortable(),
        Property::new("modifiedDateTime", "o.modified_at_ms", Kind::Instant).sortable(),
        Property::new("accessPackage/id", "o.package_id", Kind::Id),
        Property::new("accessPackage/displayName", "p.display_name", Kind::Folded("p.name_key")),
        Property::new("accessPackage/catalog/id", "p.catalog_id", Kind::Id),
        Property::new("catalog/id", "p.catalog_id", Kind::Id),
    ],
    unique: &["o.id"],
    order: &[("displayName", Direction::Ascending)],
};

/// A page of the policies in reach, or of one package.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page(
    tx: &mut Tx<'_>,
    reach: &Reach,
    package: Option<PackageId>,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Stored>, ListError> {
    let mut values = Vec::new();
    let mut conditions = vec!["o.deleted_at_ms is null".to_owned()];
    conditions.extend(within(reach, "p.catalog_id", &mut values));
    if let Some(package) = package {
        values.push(package.into());
        conditions.push(format!("o.package_id = ${}", values.len()));
    }
    let source = Source {
        entity: &POLICIES,
        columns: columns!(),
        from: "policies o join packages p on p.id = o.package_id",
        conditions: &conditions,
        values: &values,
        read: Stored::from_row,
    };
    pages::page(tx, &source, ask, count).await
}
