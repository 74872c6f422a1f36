//! One open transaction, the same to its user on both engines.

use crate::dialect::{Engine, Sql};
use crate::error::{Error, Result};
use crate::lite::{Conn, Seat, Turn};
use crate::pg::Trip;
use crate::value::{Row, Value};

/// An open transaction: the only way to a row.
///
/// After a statement has failed, nothing more can be done in the transaction and it will not be
/// kept, even if its closure answers `Ok`: PostgreSQL wants it so, and SQLite follows. Where a
/// conflict is expected, say `on conflict do nothing` and look at the count.
pub struct Tx<'t>(pub(crate) &'t mut Session);

/// What a transaction holds; outlives the [`Tx`] that is lent to the closure.
pub(crate) struct Session {
    pub(crate) link: Link,
    pub(crate) failed: Option<Error>,
    pub(crate) wakes: Vec<String>,
    /// The statements that ran, while a test listens.
    #[cfg(feature = "testing")]
    pub(crate) heard: Option<Vec<(String, Vec<Value>)>>,
}

pub(crate) enum Link {
    Turn(Turn),
    Seat(Seat),
    Trip(Trip),
}

impl Session {
    pub(crate) fn new(link: Link) -> Session {
        Session {
            link,
            failed: None,
            wakes: Vec::new(),
            #[cfg(feature = "testing")]
            heard: None,
        }
    }

    /// Remembers a statement, while a test listens.
    fn hear(&mut self, sql: Sql, params: &[Value]) {
        #[cfg(feature = "testing")]
        if let Some(heard) = &mut self.heard {
            let lite = matches!(self.link, Link::Turn(_) | Link::Seat(_));
            heard.push((if lite { sql.lite } else { sql.pg }.to_owned(), params.to_vec()));
        }
        let _unless_listening = (sql, params);
    }

    /// Like [`Session::hear`] for a text that was put together.
    fn hear_text(&mut self, sql: &str, params: &[Value]) {
        #[cfg(feature = "testing")]
        if let Some(heard) = &mut self.heard {
            heard.push((sql.to_owned(), params.to_vec()));
        }
        let _unless_listening = (sql, params);
    }

    fn check(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    fn keep<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome {
            self.failed = Some(error.clone());
        }
        outcome
    }
}

/// A SQLite connection and whether its transaction may write; or the PostgreSQL transaction.
enum Way<'a> {
    Lite(&'a mut Conn, bool),
    Pg(&'a mut Trip),
}

impl Tx<'_> {
    /// Which database this is, for the few texts that differ.
    pub fn engine(&self) -> Engine {
        match self.0.link {
            Link::Turn(_) | Link::Seat(_) => Engine::Sqlite,
            Link::Trip(_) => Engine::Postgres,
        }
    }

    /// Runs a statement; the number of rows that it changed, or that it found.
    pub async fn execute(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<u64> {
        let sql = sql.into();
        self.0.hear(sql, params);
        let outcome = match self.way()? {
            Way::Lite(conn, writable) => conn.execute(sql.lite, params, writable),
            Way::Pg(trip) => trip.execute(sql.pg, params).await,
        };
        self.0.keep(outcome)
    }

    /// Runs a statement whose answer nobody waits for. If it fails, the transaction does, at its next
    /// statement or its commit.
    ///
    /// On PostgreSQL it goes out with the next statement, in one round trip.
    pub async fn post(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<()> {
        self.post_found(sql.into(), params, None).await
    }

    /// Like [`Tx::post`] for a statement that must change a row, or find one; `missing` is the failure
    /// of the transaction if it does not.
    pub async fn post_one(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Value],
        missing: Error,
    ) -> Result<()> {
        self.post_found(sql.into(), params, Some(missing)).await
    }

    async fn post_found(
        &mut self,
        sql: Sql,
        params: &[Value],
        missing: Option<Error>,
    ) -> Result<()> {
        self.0.hear(sql, params);
        let outcome = match self.way()? {
            Way::Lite(conn, writable) => {
                conn.execute(sql.lite, params, writable).and_then(|count| match missing {
                    Some(missing) if count == 0 => Err(missing),
                    _ => Ok(()),
                })
            }
            Way::Pg(trip) => match trip.post(sql.pg, params, missing) {
                Ok(()) => trip.flush_full().await,
                refused => refused,
            },
        };
        self.0.keep(outcome)
    }

    /// Runs a statement once for each row of parameters; the sum of the rows that it changed.
    ///
    /// On PostgreSQL the statements are sent without waiting for each other's answers.
    pub async fn execute_all(&mut self, sql: impl Into<Sql>, rows: &[Vec<Value>]) -> Result<u64> {
        let sql = sql.into();
        let outcome = match self.way()? {
            Way::Lite(conn, writable) => conn.execute_all(sql.lite, rows, writable),
            Way::Pg(trip) => trip.execute_all(sql.pg, rows).await,
        };
        self.0.keep(outcome)
    }

    /// Runs a statement and gives its rows.
    pub async fn query(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<Vec<Row>> {
        let sql = sql.into();
        self.0.hear(sql, params);
        let outcome = match self.way()? {
            Way::Lite(conn, writable) => conn.query(sql.lite, params, writable),
            Way::Pg(trip) => trip.query(sql.pg, params).await,
        };
        self.0.keep(outcome)
    }

    /// Runs a statement once for each row of parameters and gives the rows of each.
    ///
    /// On PostgreSQL the statements are sent without waiting for each other's answers.
    pub async fn query_all(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Vec<Value>],
    ) -> Result<Vec<Vec<Row>>> {
        let sql = sql.into();
        let outcome = match self.way()? {
            Way::Lite(conn, writable) => {
                params.iter().map(|params| conn.query(sql.lite, params, writable)).collect()
            }
            Way::Pg(trip) => trip.query_all(sql.pg, params).await,
        };
        self.0.keep(outcome)
    }

    /// Runs several statements, one after the other, and gives the rows of each.
    ///
    /// On PostgreSQL they are sent without waiting for each other's answers.
    pub async fn query_each<const N: usize>(
        &mut self,
        asked: [(Sql, Vec<Value>); N],
    ) -> Result<[Vec<Row>; N]> {
        let outcome = match self.way()? {
            Way::Lite(conn, writable) => {
                let rows = asked.iter().map(|(sql, params)| conn.query(sql.lite, params, writable));
                rows.collect()
            }
            Way::Pg(trip) => trip.query_each(&asked).await,
        };
        for (sql, params) in &asked {
            self.0.hear(*sql, params);
        }
        let found: Vec<Vec<Row>> = self.0.keep(outcome)?;
        <[Vec<Row>; N]>::try_from(found)
            .map_err(|_| Error::Database("a statement was left without an answer".to_owned()))
    }

    /// Runs a statement that gives exactly one row; [`Error::NotFound`] when it gives none.
    pub async fn query_one(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<Row> {
        self.query_opt(sql, params).await?.ok_or(Error::NotFound)
    }

    /// Runs a statement that gives one row or none.
    pub async fn query_opt(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Value],
    ) -> Result<Option<Row>> {
        at_most_one(self.query(sql, params).await?)
    }

    /// Like [`Tx::execute`] for a text that was put together, which only the filter compiler does.
    pub async fn execute_text(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        let outcome = match self.way()? {
            Way::Lite(conn, writable) => conn.execute_text(sql, params, writable),
            Way::Pg(trip) => trip.execute(sql, params).await,
        };
        self.0.keep(outcome)
    }

    /// Like [`Tx::query`] for a text that was put together, which only the filter compiler does.
    pub async fn query_text(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        self.0.hear_text(sql, params);
        let outcome = match self.way()? {
            Way::Lite(conn, writable) => conn.query_text(sql, params, writable),
            Way::Pg(trip) => trip.query(sql, params).await,
        };
        self.0.keep(outcome)
    }

    /// Like [`Tx::query_one`] for a text that was put together.
    pub async fn query_one_text(&mut self, sql: &str, params: &[Value]) -> Result<Row> {
        self.query_opt_text(sql, params).await?.ok_or(Error::NotFound)
    }

    /// Like [`Tx::query_opt`] for a text that was put together.
    pub async fn query_opt_text(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        at_most_one(self.query_text(sql, params).await?)
    }

    /// Wakes whoever [listens](crate::Store::listen) on the channel, once this is committed.
    pub async fn notify(&mut self, channel: &str) -> Result<()> {
        match self.engine() {
            Engine::Sqlite => self.0.wakes.push(channel.to_owned()),
            Engine::Postgres => {
                self.query("select pg_notify($1, '')", crate::params![channel]).await?;
            }
        }
        Ok(())
    }

    /// Runs several statements without parameters: a migration.
    pub(crate) async fn script(&mut self, sql: &str) -> Result<()> {
        let outcome = match self.way()? {
            Way::Lite(conn, _) => conn.script(sql),
            Way::Pg(trip) => trip.script(sql).await,
        };
        self.0.keep(outcome)
    }

    fn way(&mut self) -> Result<Way<'_>> {
        self.0.check()?;
        Ok(match &mut self.0.link {
            Link::Turn(turn) => Way::Lite(turn.conn()?, true),
            Link::Seat(seat) => Way::Lite(seat.conn()?, false),
            Link::Trip(trip) => Way::Pg(trip),
        })
    }
}

fn at_most_one(rows: Vec<Row>) -> Result<Option<Row>> {
    let count = rows.len();
    let mut rows = rows.into_iter();
    match (rows.next(), count) {
        (row, 0 | 1) => Ok(row),
        _ => Err(Error::Corrupt(format!("a statement for one row found {count}"))),
    }
}
