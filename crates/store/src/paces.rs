//! How much is brought about in a target, minute by minute. Every process adds what it did.

use accede_domain::Timestamp;
use accede_domain::drain::Pace;
use accede_domain::id::TargetId;

use crate::{Result, Tx, params};

/// Adds what was done in a minute; nothing for a target that is gone.
pub async fn add(tx: &mut Tx<'_>, target: TargetId, minute: Timestamp, done: i64) -> Result<()> {
    tx.execute(
        "insert into target_paces (target_id, minute_at_ms, done)
         select t.id, $2, $3 from targets t where t.id = $1
         on conflict (target_id, minute_at_ms)
             do update set done = target_paces.done + excluded.done",
        params![target, minute, done],
    )
    .await?;
    Ok(())
}

/// What was done in a target since an instant.
pub async fn since(tx: &mut Tx<'_>, target: TargetId, from: Timestamp) -> Result<Pace> {
    let row = tx
        .query_one(
            "select cast(coalesce(sum(done), 0) as bigint), min(minute_at_ms) from target_paces
             where target_id = $1 and $2 <= minute_at_ms",
            params![target, from],
        )
        .await?;
    Ok(Pace { done: row.get(0)?, since: row.get(1)? })
}

/// Forgets what lies before an instant.
pub async fn forget_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<()> {
    tx.execute("delete from target_paces where minute_at_ms < $1", params![before]).await?;
    Ok(())
}
