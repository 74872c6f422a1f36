//! What the delivery queue looks like from outside: how much is undone, where, since when.

use accede_domain::Timestamp;
use accede_domain::id::TargetId;

use crate::{Result, Tx, params};

/// Deliveries of one target that are not done, in one phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The target's name.
    pub target: String,
    /// The phase: `due`, `inFlight`, `failed`, `stuck`.
    pub phase: String,
    /// Whether access is to be given; else it is to be taken.
    pub wanted: bool,
    /// How many.
    pub count: i64,
    /// When the first of them became so.
    pub since: Timestamp,
}

/// Everything that is not done, by target and phase.
pub async fn undone(tx: &mut Tx<'_>) -> Result<Vec<Undone>> {
    let rows = tx
        .query(
            "select t.name, d.phase, d.wanted, count(*), min(d.since_at_ms)
             from deliveries d join targets t on t.id = d.target_id
             where d.phase <> 'settled'
             group by t.name, d.phase, d.wanted
             order by t.name, d.phase, d.wanted",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Undone {
                target: row.get(0)?,
                phase: row.get(1)?,
                wanted: row.get(2)?,
                count: row.get(3)?,
                since: row.get(4)?,
            })
        })
        .collect()
}

/// The targets that may be called and at which something is ready: where a claim is worth its
/// transaction. One whose circuit is open is not called, also while its check is due. What a claim may
/// take is for the claim to say.
pub async fn ready_targets(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<TargetId>> {
    let rows = tx
        .query(
            "select t.id from targets t left join circuits c on c.target_id = t.id
             where not t.is_paused and (c.state is null or c.state <> 'open')
                 and (c.held_until_ms is null or c.held_until_ms <= $1)
                 and (exists (select 1 from deliveries d
                      where d.target_id = t.id and d.wanted = false and d.ready_at_ms <= $1)
                  or exists (select 1 from deliveries d
                      where d.target_id = t.id and d.wanted = true and d.ready_at_ms <= $1))",
            params![now],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Whether the database answers.
pub async fn ping(tx: &mut Tx<'_>) -> Result<()> {
    tx.query_one("select 1", &[]).await.map(drop)
}
