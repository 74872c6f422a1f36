//! Rows that a clock that ran ahead left in the future when it was set back. What becomes of a delivery
//! or a circuit is decided in `accede_domain::ahead`; the others are few and simple, and moved here.

use accede_domain::ahead::TOLERANCE;
use accede_domain::id::{DeliveryId, TargetId};
use accede_domain::retry::after;
use accede_domain::{SignedDuration, Timestamp};

use crate::deliveries::{DeliveryRow, columns};
use crate::requests::limit_value;
use crate::{Result, Tx, params};

/// Deliveries in flight whose lease ends after `until`, each with the epoch of its claim.
pub async fn leases(tx: &mut Tx<'_>, until: Timestamp) -> Result<Vec<(DeliveryId, i64)>> {
    let rows = tx
        .query(
            "select id, epoch from deliveries
             where phase = 'inFlight' and phase <> 'settled' and ready_at_ms > $1",
            params![until],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Deliveries of which something lies farther in the future than clocks differ, after `from`, in order,
/// at most `limit`. What of that is as it should be is for `accede_domain::ahead` to say.
pub async fn deliveries(
    tx: &mut Tx<'_>,
    from: Option<DeliveryId>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<DeliveryRow>> {
    // No delivery has the nil id: what follows it is everything.
    let from = from.unwrap_or(DeliveryId(uuid::Uuid::nil()));
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                " from deliveries d
                 where d.id > $1 and (d.ready_at_ms > $2 or d.since_at_ms > $2
                     or d.attempted_at_ms > $2 or d.acknowledged_at_ms > $2
                     or d.verified_at_ms > $2 or d.phase_at_ms > $2 or d.awaited_since_at_ms > $2
                     or d.uncertain_until_at_ms > $2)
                 order by d.id limit $3"
            ),
            params![from, after(now, TOLERANCE), limit_value(limit)],
        )
        .await?;
    rows.iter().map(DeliveryRow::from_row).collect()
}

/// The targets of whose circuit something lies farther in the future than clocks differ.
pub async fn circuits(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<TargetId>> {
    let rows = tx
        .query(
            "select target_id from circuits
             where since_at_ms > $1 or check_at_ms > $1 or quiet_until_ms > $1",
            params![after(now, TOLERANCE)],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Has notices sent that wait for longer than `longest`, the longest wait between two tries, or were
/// written later than now; and alarms told that wait for longer than `again`, the longest time after
/// which something is told once more. Says how many there were.
pub async fn tell(
    tx: &mut Tx<'_>,
    longest: SignedDuration,
    again: SignedDuration,
    now: Timestamp,
) -> Result<u64> {
    let (written, next) = (after(now, TOLERANCE), after(after(now, longest), TOLERANCE));
    let notices = tx
        .execute(
            "update notices
             set next_at_ms = $1,
                 created_at_ms = case when created_at_ms > $2 then $1 else created_at_ms end
             where state = 'pending' and (created_at_ms > $2 or next_at_ms > $3)",
            params![now, written, next],
        )
        .await?;
    let alarms = tx
        .execute(
            "update alarms set next_at_ms = $1 where next_at_ms > $2",
            params![now, after(after(now, again), TOLERANCE)],
        )
        .await?;
    Ok(notices + alarms)
}

/// Gives targets their turn to be compared that wait for longer than `longest` for it, or were compared
/// later than now; says how many.
pub async fn compare(tx: &mut Tx<'_>, longest: SignedDuration, now: Timestamp) -> Result<u64> {
    let (happened, turn) = (after(now, TOLERANCE), after(after(now, longest), TOLERANCE));
    tx.execute(
        "update drift_sweeps
         set turn_at_ms = case when turn_at_ms > $2 then $1 else turn_at_ms end,
             begun_at_ms = case when begun_at_ms > $2 then $1 else begun_at_ms end,
             finished_at_ms = case when finished_at_ms > $2 then $1 else finished_at_ms end,
             asked_at_ms = case when asked_at_ms > $2 then $1 else asked_at_ms end,
             cutoff_at_ms = case when cutoff_at_ms > $2 then $1 else cutoff_at_ms end
         where turn_at_ms > $3 or begun_at_ms > $2 or finished_at_ms > $2 or asked_at_ms > $2
             or cutoff_at_ms > $2",
        params![now, happened, turn],
    )
    .await
}

/// Counts what happened later than now as having happened now, where that holds something up: failed
/// signs-in, and changes that went out without a second person. Says how much that was.
pub async fn count_as_now(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64> {
    let happened = after(now, TOLERANCE);
    let failures = tx
        .execute("update sign_in_failures set at_ms = $1 where at_ms > $2", params![now, happened])
        .await?;
    let changes = tx
        .execute("update derived_changes set at_ms = $1 where at_ms > $2", params![now, happened])
        .await?;
    Ok(failures + changes)
}
