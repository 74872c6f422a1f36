//! Which extra access is taken away by policy: the very findings that a whole comparison counted, each kept
//! until it had its turn, and waiting for a second person where that is needed.

use accede_domain::id::{DriftFindingId, GuardId, TargetId};
use uuid::Uuid;

use crate::requests::limit_value;
use crate::{Result, Tx, params};

/// Puts what a comparison of a target found in the place of what was planned there before and not
/// released by a second person; it waits for the held change, if there is one.
pub async fn replace(
    tx: &mut Tx<'_>,
    target: TargetId,
    guard: Option<GuardId>,
    findings: &[DriftFindingId],
) -> Result<()> {
    tx.execute(
        "delete from extra_plans where target_id = $1 and (guard_id is null
             or guard_id in (select id from guards where state <> 'released'))",
        params![target],
    )
    .await?;
    let rows: Vec<_> = findings.iter().map(|id| params![*id, target, guard].to_vec()).collect();
    tx.execute_all(
        "insert into extra_plans (finding_id, target_id, guard_id) values ($1, $2, $3)
         on conflict (finding_id) do nothing",
        &rows,
    )
    .await
    .map(drop)
}

/// What a held change would take away, by id.
pub async fn of_guard(tx: &mut Tx<'_>, guard: GuardId) -> Result<Vec<DriftFindingId>> {
    let rows = tx
        .query(
            "select finding_id from extra_plans where guard_id = $1 order by finding_id",
            params![guard],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// What may be taken away now: it was let through, or a second person released it, and its target is
/// not paused.
pub async fn ready(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<(DriftFindingId, TargetId)>> {
    let rows = tx
        .query(
            "select x.finding_id, x.target_id
             from extra_plans x join targets t on t.id = x.target_id
                 left join guards g on g.id = x.guard_id
             where not t.is_paused and (x.guard_id is null or g.state = 'released')
             order by x.finding_id limit $1",
            params![limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// A finding had its turn; whether it was still planned.
pub async fn done(tx: &mut Tx<'_>, finding: DriftFindingId) -> Result<bool> {
    let gone =
        tx.execute("delete from extra_plans where finding_id = $1", params![finding]).await?;
    Ok(0 < gone)
}

/// Dismisses the open findings that a held change would have taken away; says how many.
pub async fn dismiss(tx: &mut Tx<'_>, guard: GuardId, by: &str, reason: &str) -> Result<u64> {
    let count = tx
        .execute(
            "update drift_findings set state = 'dismissed', decided_by = $2, reason = $3
             where state = 'open' and id in
                 (select x.finding_id from extra_plans x where x.guard_id = $1)",
            params![guard, by, reason],
        )
        .await?;
    tx.execute("delete from extra_plans where guard_id = $1", params![guard]).await?;
    Ok(count)
}

/// Somebody decided that extra access of a target is taken away.
pub async fn decided_by(tx: &mut Tx<'_>, target: TargetId, who: Uuid, name: &str) -> Result<()> {
    tx.execute(
        "insert into extra_policies (target_id, principal_id, name) values ($1, $2, $3)
         on conflict (target_id) do update
             set principal_id = excluded.principal_id, name = excluded.name",
        params![target, who, name],
    )
    .await
    .map(drop)
}

/// Who decided last that extra access of a target is taken away, if not the server's settings.
pub async fn decider(tx: &mut Tx<'_>, target: TargetId) -> Result<Option<(Uuid, String)>> {
    let row = tx
        .query_opt(
            "select principal_id, name from extra_policies where target_id = $1",
            params![target],
        )
        .await?;
    row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}
