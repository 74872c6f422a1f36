//! What a deployment keeps about itself, by name: its id, its sealed signing key, the canary that
//! tells whether the key file is the right one.

use accede_domain::{SignedDuration, Timestamp};

use crate::{Error, Result, Sql, Tx, params};

/// What is kept under a name.
pub async fn get(tx: &mut Tx<'_>, name: &str) -> Result<Option<String>> {
    let row = tx.query_opt("select value from settings where key = $1", params![name]).await?;
    row.map(|row| row.get(0)).transpose()
}

/// What is kept under a name, which nobody changes until the transaction ends.
pub async fn hold(tx: &mut Tx<'_>, name: &str) -> Result<Option<String>> {
    let sql = Sql {
        lite: "select value from settings where key = $1",
        pg: "select value from settings where key = $1 for share",
    };
    let row = tx.query_opt(sql, params![name]).await?;
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

/// Whether the time of something has come that is done once in a while, by one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It was done a short while ago, or another server does it.
    NotYet,
    /// It was never done.
    First,
    /// It was done last at this time.
    Since(Timestamp),
}

/// When the turn of `name` was taken last, if ever.
pub async fn last_turn(tx: &mut Tx<'_>, name: &str) -> Result<Option<Timestamp>> {
    let Some(last) = get(tx, name).await? else { return Ok(None) };
    let at = last.parse().ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.map(Some).ok_or_else(|| Error::Corrupt(format!("the turn `{name}` is `{last}`")))
}

/// Whether the turn of `name` is due, which was not taken within `every`. One that was taken in the
/// future was taken under a clock that ran ahead, and says nothing.
pub async fn peek_turn(
    tx: &mut Tx<'_>,
    name: &str,
    every: SignedDuration,
    now: Timestamp,
) -> Result<Turn> {
    Ok(match last_turn(tx, name).await? {
        None => Turn::First,
        Some(at) if now.duration_since(at).abs() < every => Turn::NotYet,
        Some(at) => Turn::Since(at),
    })
}

/// Takes the turn of `name`, if it is due. It is ours when the transaction commits; another server
/// that asks meanwhile waits and is told that it is not its turn.
pub async fn take_turn(
    tx: &mut Tx<'_>,
    name: &str,
    every: SignedDuration,
    now: Timestamp,
) -> Result<Turn> {
    let turn = peek_turn(tx, name, every, now).await?;
    let mine = now.as_millisecond().to_string();
    let taken = match turn {
        Turn::NotYet => return Ok(turn),
        Turn::First => {
            tx.execute(
                "insert into settings (key, value) values ($1, $2) on conflict do nothing",
                params![name, mine],
            )
            .await?
        }
        Turn::Since(at) => {
            tx.execute(
                "update settings set value = $3 where key = $1 and value = $2",
                params![name, at.as_millisecond().to_string(), mine],
            )
            .await?
        }
    };
    Ok(if taken == 0 { Turn::NotYet } else { turn })
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
