//! Sessions of the portal. Only a digest of the token is kept.

use accede_domain::Timestamp;
use accede_domain::id::UserId;

use crate::{Result, Tx, params};

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Digest of its token.
    pub token_hash: Vec<u8>,
    /// Whose it is.
    pub user: UserId,
    /// What its forms must carry.
    pub csrf_token: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, roughly.
    pub seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// Adds a session.
pub async fn insert(tx: &mut Tx<'_>, session: &Session) -> Result<()> {
    tx.execute(
        "insert into sessions (token_hash, user_id, csrf_token, created_at_ms, seen_at_ms,
                               expires_at_ms)
         values ($1, $2, $3, $4, $5, $6)",
        params![
            &session.token_hash,
            session.user,
            &session.csrf_token,
            session.created_at,
            session.seen_at,
            session.expires_at
        ],
    )
    .await?;
    Ok(())
}

/// A session by the digest of its token.
pub async fn get(tx: &mut Tx<'_>, token_hash: &[u8]) -> Result<Option<Session>> {
    let row = tx
        .query_opt(
            "select token_hash, user_id, csrf_token, created_at_ms, seen_at_ms, expires_at_ms
             from sessions where token_hash = $1",
            params![token_hash],
        )
        .await?;
    row.map(|row| {
        Ok(Session {
            token_hash: row.get(0)?,
            user: row.get(1)?,
            csrf_token: row.get(2)?,
            created_at: row.get(3)?,
            seen_at: row.get(4)?,
            expires_at: row.get(5)?,
        })
    })
    .transpose()
}

/// Notes that a session was used.
pub async fn touch(tx: &mut Tx<'_>, token_hash: &[u8], at: Timestamp) -> Result<()> {
    let sql = "update sessions set seen_at_ms = $2 where token_hash = $1 and seen_at_ms < $2";
    tx.execute(sql, params![token_hash, at]).await?;
    Ok(())
}

/// Ends a session; whether there was one.
pub async fn delete(tx: &mut Tx<'_>, token_hash: &[u8]) -> Result<bool> {
    let sql = "delete from sessions where token_hash = $1";
    Ok(tx.execute(sql, params![token_hash]).await? > 0)
}

/// Ends every session of a user.
pub async fn delete_of_user(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.execute("delete from sessions where user_id = $1", params![user]).await?;
    Ok(())
}

/// Deletes the sessions that ended before an instant; how many there were.
pub async fn delete_expired(tx: &mut Tx<'_>, before: Timestamp) -> Result<u64> {
    tx.execute("delete from sessions where expires_at_ms < $1", params![before]).await
}
