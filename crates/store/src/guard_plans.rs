//! What a change would do: how many roles at which target, counted from the rows before anything is
//! done; and what went out lately of the same cause.

use std::collections::BTreeMap;

use accede_domain::Timestamp;
use accede_domain::guard::Changes;
use accede_domain::id::{PackageId, TargetId, UserId};
use uuid::Uuid;

use crate::guards::Cause;
use crate::many::places;
use crate::{Result, Tx, params};

/// What spreading a package's present roles to those who hold it would do.
pub async fn of_package(
    tx: &mut Tx<'_>,
    package: PackageId,
) -> Result<BTreeMap<TargetId, Changes>> {
    let grants = tx
        .query(
            "select r.target_id, count(*)
             from packages p
                 join assignments a on a.package_id = p.id and a.roles_version < p.roles_version
                     and a.state not in ('ending', 'expired')
                 join resource_role_scopes x on x.package_id = p.id
                 join resource_roles o on o.id = x.role_id
                 join resource_scopes s on s.id = x.scope_id
                 join resources r on r.id = o.resource_id
             where p.id = $1 and not exists (select 1 from deliveries d
                 where d.subject_id = a.subject_id and d.target_id = r.target_id
                     and d.resource_origin_id = r.origin_id and d.role_origin_id = o.origin_id
                     and d.scope_origin_id = s.origin_id and d.wanted)
             group by r.target_id",
            params![package],
        )
        .await?;
    let revocations = tx
        .query(
            "select d.target_id, count(*)
             from packages p
                 join assignments a on a.package_id = p.id and a.roles_version < p.roles_version
                     and a.state not in ('ending', 'expired')
                 join reasons y on y.assignment_id = a.id and y.is_live
                 join deliveries d on d.id = y.delivery_id
             where p.id = $1
                 and not exists (select 1 from reasons z
                     where z.delivery_id = d.id and z.assignment_id <> a.id and z.is_live)
                 and not exists (select 1 from resource_role_scopes x
                         join resource_roles o on o.id = x.role_id
                         join resource_scopes s on s.id = x.scope_id
                         join resources r on r.id = o.resource_id
                     where x.package_id = p.id and r.target_id = d.target_id
                         and r.origin_id = d.resource_origin_id
                         and o.origin_id = d.role_origin_id
                         and s.origin_id = d.scope_origin_id)
             group by d.target_id",
            params![package],
        )
        .await?;
    let mut plan: BTreeMap<TargetId, Changes> = BTreeMap::new();
    for row in &grants {
        plan.entry(row.get(0)?).or_default().grants = row.get(1)?;
    }
    for row in &revocations {
        plan.entry(row.get(0)?).or_default().revocations = row.get(1)?;
    }
    Ok(plan)
}

/// How many people a query names at once.
const BATCH: usize = 500;

/// What disabling these people would take.
pub async fn of_people(tx: &mut Tx<'_>, people: &[UserId]) -> Result<BTreeMap<TargetId, Changes>> {
    let mut plan: BTreeMap<TargetId, Changes> = BTreeMap::new();
    for several in people.chunks(BATCH) {
        let mut values = Vec::new();
        let list = places(several, &mut values);
        let text = format!(
            "select d.target_id, count(*) from users u join deliveries d on d.subject_id = u.subject_id
             where u.id in ({list}) and d.wanted group by d.target_id"
        );
        for row in tx.query_text(&text, &values).await? {
            plan.entry(row.get(0)?).or_default().revocations += row.get::<i64>(1)?;
        }
    }
    Ok(plan)
}

/// How many roles of ours a target holds.
pub async fn live(tx: &mut Tx<'_>, target: TargetId) -> Result<i64> {
    let row = tx
        .query_one(
            "select count(*) from deliveries where target_id = $1 and wanted",
            params![target],
        )
        .await?;
    row.get(0)
}

/// Notes what goes out without having been held.
pub async fn note(
    tx: &mut Tx<'_>,
    id: Uuid,
    cause: Cause,
    target: TargetId,
    changes: Changes,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "insert into derived_changes (id, cause, target_id, grants, revocations, at_ms)
         values ($1, $2, $3, $4, $5, $6)",
        params![id, cause.name(), target, changes.grants, changes.revocations, at],
    )
    .await?;
    Ok(())
}

/// What went out at a target since `since` of this cause without having been held.
pub async fn lately(
    tx: &mut Tx<'_>,
    cause: Cause,
    target: TargetId,
    since: Timestamp,
) -> Result<Changes> {
    let row = tx
        .query_one(
            "select cast(coalesce(sum(grants), 0) as bigint),
                 cast(coalesce(sum(revocations), 0) as bigint)
             from derived_changes
             where target_id = $1 and cause = $2 and at_ms > $3",
            params![target, cause.name(), since],
        )
        .await?;
    Ok(Changes { grants: row.get(0)?, revocations: row.get(1)? })
}

/// Forgets what went out before `before`.
pub async fn forget(tx: &mut Tx<'_>, before: Timestamp) -> Result<()> {
    tx.execute("delete from derived_changes where at_ms <= $1", params![before]).await?;
    Ok(())
}
