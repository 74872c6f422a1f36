//! Deliveries that are tried alone, because they break down whoever works on them.

use accede_domain::Timestamp;
use accede_domain::id::{DeliveryId, SubjectId, TargetId};

use crate::deliveries::{DeliveryRow, columns};
use crate::requests::limit_value;
use crate::{Result, Sql, Tx, params};

/// Whether a delivery of a target that is tried alone is ready.
pub async fn has_alone(tx: &mut Tx<'_>, target: TargetId, now: Timestamp) -> Result<bool> {
    let found = tx
        .query_opt(
            "select 1 from deliveries d
             where d.target_id = $1 and d.is_alone and d.ready_at_ms <= $2 limit 1",
            params![target, now],
        )
        .await?;
    Ok(found.is_some())
}

/// The delivery of a target whose turn it is to be tried alone, revocations first; held until the
/// transaction ends. None while another one is in flight. Lock the target's circuit first, so that no
/// two look at once.
pub async fn ready_alone(
    tx: &mut Tx<'_>,
    target: TargetId,
    now: Timestamp,
) -> Result<Option<DeliveryRow>> {
    let sql = Sql {
        lite: concat!(
            "select ",
            columns!(),
            " from deliveries d
             where d.target_id = $1 and d.is_alone and d.ready_at_ms <= $2 and not exists
                 (select 1 from deliveries o where o.target_id = $1 and o.is_alone
                      and o.phase = 'inFlight' and $2 < o.ready_at_ms)
             order by d.wanted, d.ready_at_ms limit 1"
        ),
        pg: concat!(
            "select ",
            columns!(),
            " from deliveries d
             where d.target_id = $1 and d.is_alone and d.ready_at_ms <= $2 and not exists
                 (select 1 from deliveries o where o.target_id = $1 and o.is_alone
                      and o.phase = 'inFlight' and $2 < o.ready_at_ms)
             order by d.wanted, d.ready_at_ms limit 1
             for update of d skip locked"
        ),
    };
    let row = tx.query_opt(sql, params![target, now]).await?;
    row.map(|row| DeliveryRow::from_row(&row)).transpose()
}

/// Deliveries that had `crashes` crashes in a row or more, and whose lease has run out once more: those
/// whose lease ran out first, but for the first `skip`.
pub async fn broken_down(
    tx: &mut Tx<'_>,
    crashes: i64,
    now: Timestamp,
    (skip, limit): (usize, usize),
) -> Result<Vec<(DeliveryId, SubjectId)>> {
    let rows = tx
        .query(
            "select d.id, d.subject_id from deliveries d
             where d.crashes > 0 and d.phase = 'inFlight' and d.ready_at_ms <= $1
                 and d.crashes >= $2
             order by d.ready_at_ms, d.id limit $3 offset $4",
            params![now, crashes, limit_value(limit), limit_value(skip)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}
