//! What a deployment keeps about itself, by name: its id, its sealed signing key, the canary that
//! tells whether the key file is the right one.

use crate::{Error, Result, Tx, params};

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

/// Forgets what is kept under a name.
pub async fn forget(tx: &mut Tx<'_>, name: &str) -> Result<()> {
    tx.execute("delete from settings where key = $1", params![name]).await?;
    Ok(())
}

/// Counts a number up that is kept under a name, from 1; the new one. Two who do so at once get
/// different ones.
pub async fn count_up(tx: &mut Tx<'_>, name: &str, by: i64) -> Result<i64> {
    let row = tx
        .query_one(
            "insert into settings (key, value) values ($1, '1')
             on conflict (key) do update
                 set value = cast(cast(settings.value as bigint) + $2 as text)
             returning value",
            params![name, by],
        )
        .await?;
    number(&row.get::<String>(0)?)
}

/// A number that is kept under a name.
pub async fn get_number(tx: &mut Tx<'_>, name: &str) -> Result<Option<i64>> {
    get(tx, name).await?.map(|text| number(&text)).transpose()
}

fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::Corrupt(format!("the setting `{text}` is no number")))
}
