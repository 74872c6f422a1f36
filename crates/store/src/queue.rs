//! What the delivery queue looks like from outside: how much is undone, where, since when.

use accede_domain::Timestamp;

use crate::{Result, Tx};

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

/// Whether the database answers.
pub async fn ping(tx: &mut Tx<'_>) -> Result<()> {
    tx.query_one("select 1", &[]).await.map(drop)
}
