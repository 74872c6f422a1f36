//! Local accounts: passwords of people who sign in without a provider, and the tries that failed.

use accede_domain::Timestamp;
use accede_domain::id::UserId;
use uuid::Uuid;

use crate::{Result, Sql, Tx, params};

/// Sets a password's hash.
pub async fn put(tx: &mut Tx<'_>, user: UserId, hash: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        "insert into local_accounts (user_id, password_hash, changed_at_ms) values ($1, $2, $3)
         on conflict (user_id) do update
         set password_hash = excluded.password_hash, changed_at_ms = excluded.changed_at_ms",
        params![user, hash, now],
    )
    .await?;
    Ok(())
}

/// A user's password hash, if they have a local account, and the row held until the transaction
/// ends.
pub async fn lock(tx: &mut Tx<'_>, user: UserId) -> Result<Option<String>> {
    let sql = Sql {
        lite: "select password_hash from local_accounts where user_id = $1",
        pg: "select password_hash from local_accounts where user_id = $1 for update",
    };
    tx.query_opt(sql, params![user]).await?.map(|row| row.get(0)).transpose()
}

/// Ends a local account.
pub async fn delete(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.execute("delete from local_accounts where user_id = $1", params![user]).await?;
    Ok(())
}

/// How many tries of a key failed since an instant, and when the first of them did.
pub async fn failures(
    tx: &mut Tx<'_>,
    key: &str,
    since: Timestamp,
) -> Result<(i64, Option<Timestamp>)> {
    let row = tx
        .query_one(
            "select count(*), min(at_ms) from sign_in_failures where key = $1 and at_ms > $2",
            params![key, since],
        )
        .await?;
    Ok((row.get(0)?, row.get(1)?))
}

/// Records a failed try.
pub async fn insert_failure(tx: &mut Tx<'_>, id: Uuid, key: &str, at: Timestamp) -> Result<()> {
    tx.execute(
        "insert into sign_in_failures (id, key, at_ms) values ($1, $2, $3)",
        params![id, key, at],
    )
    .await?;
    Ok(())
}

/// Takes one recorded try back.
pub async fn delete_failure(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    tx.execute("delete from sign_in_failures where id = $1", params![id]).await?;
    Ok(())
}

/// Forgets the failed tries of a key.
pub async fn forget_failures(tx: &mut Tx<'_>, key: &str) -> Result<()> {
    tx.execute("delete from sign_in_failures where key = $1", params![key]).await?;
    Ok(())
}

/// Forgets the failed tries before an instant; how many there were.
pub async fn forget_failures_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<u64> {
    tx.execute("delete from sign_in_failures where at_ms < $1", params![before]).await
}
