//! Creates that a client may send again: what was made for which key.

use accede_domain::Timestamp;

use crate::{Result, Row, Tx, Value, params};

/// What was made for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The id of the object.
    pub object: String,
    /// The hash of the body it was made from.
    pub body_hash: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

fn made(row: &Row) -> Result<Made> {
    Ok(Made { object: row.get(0)?, body_hash: row.get(1)?, at: row.get(2)? })
}

/// Takes a key for an object that is about to be made; what was made before, if the key is taken.
///
/// Two that take the same key wait for each other: the second sees what the first has made.
pub async fn take(tx: &mut Tx<'_>, key: &str, new: &Made) -> Result<Option<Made>> {
    let changed = tx
        .execute(
            "insert into creations (key, body_hash, object_id, at_ms) values ($1, $2, $3, $4)
             on conflict (key) do nothing",
            params![key, new.body_hash.clone(), &new.object, new.at],
        )
        .await?;
    if changed == 1 {
        return Ok(None);
    }
    let row = tx
        .query_one("select object_id, body_hash, at_ms from creations where key = $1", params![key])
        .await?;
    made(&row).map(Some)
}

/// Gives a key to another object.
pub async fn replace(tx: &mut Tx<'_>, key: &str, new: &Made) -> Result<()> {
    tx.execute(
        "update creations set body_hash = $2, object_id = $3, at_ms = $4 where key = $1",
        params![key, new.body_hash.clone(), &new.object, new.at],
    )
    .await?;
    Ok(())
}

/// Forgets up to `limit` keys taken before `before`.
pub async fn forget(tx: &mut Tx<'_>, before: Timestamp, limit: usize) -> Result<u64> {
    let values = [Value::from(before), Value::Int(crate::requests::limit_value(limit))];
    tx.execute(
        "delete from creations where key in
             (select key from creations where at_ms < $1 order by at_ms limit $2)",
        &values,
    )
    .await
}
