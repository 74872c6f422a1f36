//! Attempts: the calls that were made for deliveries. They are only ever added.

use accede_domain::Timestamp;
use accede_domain::id::{AttemptId, DeliveryId};

use crate::requests::limit_value;
use crate::{Result, Tx, params};

/// One call to a target on behalf of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// For which delivery.
    pub delivery: DeliveryId,
    /// Under which claim.
    pub epoch: i64,
    /// What was asked: `grant`, `revoke`, `observe`.
    pub action: String,
    /// What came of it: `applied`, `alreadyInState`, `present`, `absent`, `fault`, `discarded`.
    pub outcome: String,
    /// The fault's class.
    pub class: Option<String>,
    /// The fault's code.
    pub code: Option<String>,
    /// The fault's message.
    pub message: Option<String>,
    /// When the call began.
    pub started_at: Timestamp,
    /// When its answer was recorded.
    pub finished_at: Timestamp,
    /// How many deliveries shared the call.
    pub batch: i64,
}

/// Adds an attempt. Attempts are never changed.
pub async fn insert(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<()> {
    tx.post(
        "insert into attempts (id, delivery_id, epoch, action, outcome, class, code, message,
             started_at_ms, finished_at_ms, batch)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        params![
            attempt.id,
            attempt.delivery,
            attempt.epoch,
            attempt.action.clone(),
            attempt.outcome.clone(),
            attempt.class.clone(),
            attempt.code.clone(),
            attempt.message.clone(),
            attempt.started_at,
            attempt.finished_at,
            attempt.batch
        ],
    )
    .await?;
    Ok(())
}

/// The attempts made for a delivery, newest first, at most `limit`.
pub async fn of_delivery(
    tx: &mut Tx<'_>,
    delivery: DeliveryId,
    limit: usize,
) -> Result<Vec<Attempt>> {
    let rows = tx
        .query(
            "select id, delivery_id, epoch, action, outcome, class, code, message, started_at_ms,
                 finished_at_ms, batch
             from attempts where delivery_id = $1
             order by started_at_ms desc, id desc limit $2",
            params![delivery, limit_value(limit)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Attempt {
                id: row.get(0)?,
                delivery: row.get(1)?,
                epoch: row.get(2)?,
                action: row.get(3)?,
                outcome: row.get(4)?,
                class: row.get(5)?,
                code: row.get(6)?,
                message: row.get(7)?,
                started_at: row.get(8)?,
                finished_at: row.get(9)?,
                batch: row.get(10)?,
            })
        })
        .collect()
}
