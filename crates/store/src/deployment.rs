//! What a deployment keeps about itself, by name: its id, its sealed signing key, the canary that
//! tells whether the key file is the right one.

use crate::{Result, Tx, params};

/// What is kept under a name.
pub async fn get(tx: &mut Tx<'_>, name: &str) -> Result<Option<String>> {
    let row = tx.query_opt("select value from settings where key = $1", params![name]).await?;
    row.map(|row| row.get(0)).transpose()
}

/// Keeps a value unless there is one already; the value that stands.
pub async fn keep(tx: &mut Tx<'_>, name: &str, value: &str) -> Result<String> {
    tx.execute(
        "insert into settings (key, value) values ($1, $2) on conflict do nothing",
        params![name, value],
    )
    .await?;
    tx.query_one("select value from settings where key = $1", params![name]).await?.get(0)
}

/// Keeps a value in place of the one before.
pub async fn replace(tx: &mut Tx<'_>, name: &str, value: &str) -> Result<()> {
    tx.execute(
        "insert into settings (key, value) values ($1, $2)
         on conflict (key) do update set value = excluded.value",
        params![name, value],
    )
    .await?;
    Ok(())
}
