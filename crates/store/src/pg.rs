//! PostgreSQL: each write is one READ COMMITTED transaction on a pooled connection.
//!
//! A transaction begins together with its first statement, in one round trip; what is posted goes out
//! with the next statement, likewise. A transaction that is dropped half-way takes its connection with
//! it, so the pool never sees an open transaction.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use futures_util::future::{BoxFuture, join, join_all, join3, try_join_all};
use postgres_types::private::BytesMut;
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Statement;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::dialect::{Sql, placeholders};
use crate::error::{Error, Result, chain};
use crate::lite::parameters;
use crate::pg_error::{competed, cut_off, error, place, unreachable_server};
use crate::pg_listener::Listener;
use crate::store::ended;
use crate::value::{Cells, Row, Value, ValueRef};

/// What every session is set to, whatever the cluster's defaults are.
///
/// A cluster that waits for its standbys to apply (`remote_apply`) keeps doing so.
const SESSION: &str = "\
    select set_config('synchronous_commit', case current_setting('synchronous_commit') \
        when 'remote_apply' then 'remote_apply' else 'on' end, false), \
        set_config('default_transaction_isolation', 'read committed', false), \
        set_config('idle_in_transaction_session_timeout', '60s', false)";
/// How long to wait for a connection to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long to wait for a pooled connection to become free.
const WAIT: Duration = Duration::from_secs(30);
/// A dead peer is noticed after about this time.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Prepared statements kept by each connection; over it all are prepared again.
const STATEMENTS: usize = 1_024;
/// Statements under way at once in [`Trip::execute_all`].
const PIPELINE: usize = 512;
/// Most statements that are posted before they are sent: as many as one waits for in their order.
const POSTED: usize = 16;
/// The oldest major version that is tested.
const OLDEST_VERSION: i64 = 130_000;

/// A pool of connections to one database.
pub(crate) struct Pg {
    pool: Pool,
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    /// Where it is, for people.
    place: String,
}

impl Pg {
    pub(crate) async fn open(url: &str, pool_size: usize) -> Result<Pg> {
        let config = config(url)?;
        let tls = tls(config.get_ssl_mode() != SslMode::Disable)?;
        let manager = Manager::from_config(
            config.clone(),
            tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(pool_size.max(1))
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(CONNECT))
            .wait_timeout(Some(WAIT))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    client.simple_query(SESSION).await.map(drop).map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| Error::Database(format!("the pool cannot be built: {error}")))?;
        let place = place(&config);
        let pg = Pg { pool, config, tls, place };
        pg.check().await?;
        Ok(pg)
    }

    /// Refuses a server that could lose or garble what it confirms.
    async fn check(&self) -> Result<()> {
        let client = self.client().await?;
        let row = client
            .query_one(
                "select current_setting('fsync'), current_setting('full_page_writes'), \
                 current_setting('synchronous_commit'), current_setting('transaction_isolation'), \
                 current_setting('server_encoding'), pg_is_in_recovery(), \
                 current_setting('server_version_num')::bigint",
                &[],
            )
            .await
            .map_err(|cause| error(&cause))?;
        let text = |index| row.try_get::<_, String>(index).map_err(|cause| error(&cause));
        for (index, setting) in [(0, "fsync"), (1, "full_page_writes")] {
            if text(index)? != "on" {
                return Err(Error::NotDurable(format!(
                    "PostgreSQL runs with `{setting} = {}` and would lose confirmed changes when \
                     the machine stops; set `{setting} = on` in postgresql.conf and reload it",
                    text(index)?
                )));
            }
        }
        let durable = text(2)?;
        if durable != "on" && durable != "remote_apply" {
            return Err(Error::NotDurable(format!(
                "PostgreSQL insists on `synchronous_commit = {durable}` and would lose confirmed \
                 changes; allow `synchronous_commit = on` for this role and database"
            )));
        }
        let isolation = text(3)?;
        if isolation != "read committed" {
            return Err(Error::Database(format!(
                "PostgreSQL insists on `{isolation}` transactions; allow `read committed`"
            )));
        }
        let encoding = text(4)?;
        if encoding != "UTF8" {
            return Err(Error::Database(format!(
                "the PostgreSQL database is encoded in `{encoding}`; create one with encoding UTF8"
            )));
        }
        if row.try_get::<_, bool>(5).map_err(|cause| error(&cause))? {
            return Err(Error::Database(
                "this PostgreSQL server is a standby and cannot write; name the primary, or list \
                 all hosts with `target_session_attrs=read-write`"
                    .to_owned(),
            ));
        }
        let version = row.try_get::<_, i64>(6).map_err(|cause| error(&cause))?;
        if version < OLDEST_VERSION {
            return Err(Error::Database(format!(
                "PostgreSQL {} is too old; use {} or newer",
                version / 10_000,
                OLDEST_VERSION / 10_000
            )));
        }
        Ok(())
    }

    async fn client(&self) -> Result<Object> {
        self.try_client().await.map_err(|(error, _)| error)
    }

    /// A connection, or why there is none and whether that may pass soon.
    async fn try_client(&self) -> Result<Object, (Error, bool)> {
        self.pool.get().await.map_err(|cause| match cause {
            PoolError::Backend(cause) | PoolError::PostCreateHook(HookError::Backend(cause)) => {
                (unreachable_server(&self.place, &cause), cut_off(&cause))
            }
            other => (self.unavailable(&other), false),
        })
    }

    fn unavailable(&self, cause: &PoolError) -> Error {
        match cause {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => {
                Error::Unavailable(format!(
                    "all {} connections to PostgreSQL were busy for {} s; raise `database.pool_size`",
                    self.pool.status().max_size,
                    WAIT.as_secs()
                ))
            }
            PoolError::Timeout(_) => Error::Unavailable(format!(
                "PostgreSQL at {} did not answer for {} s; check the address in `database.url`, and \
                 that it runs",
                self.place,
                CONNECT.as_secs()
            )),
            other => Error::Unavailable(format!("PostgreSQL: {}", chain(other))),
        }
    }

    /// A transaction that begins with its first statement; or why there is none, and whether it is
    /// worth trying again.
    pub(crate) async fn trip(&self, writable: bool) -> Result<Trip, (Error, bool)> {
        let client = self.try_client().await?;
        if client.statement_cache.size() > STATEMENTS {
            client.statement_cache.clear();
        }
        let posted = Vec::new();
        Ok(Trip { client: Some(client), begun: false, writable, retry: false, posted })
    }

    pub(crate) async fn listen(&self, channel: &str) -> Result<Listener> {
        let (config, tls) = (self.config.clone(), self.tls.clone());
        Listener::open(config, tls, self.place.clone(), channel).await
    }
}

/// One transaction on one connection.
pub(crate) struct Trip {
    client: Option<Object>,
    begun: bool,
    writable: bool,
    retry: bool,
    posted: Vec<Posted>,
}

/// A statement that goes out with the next one.
struct Posted {
    sql: &'static str,
    params: Vec<Value>,
    /// What it means that it finds no row, where it must find one.
    missing: Option<Error>,
}

impl Trip {
    /// Whether the failure came from competition or a lost connection, so that the whole transaction
    /// may be tried again: nothing of it was committed.
    pub(crate) fn may_retry(&self) -> bool {
        self.retry
    }

    fn client(&self) -> Result<&Object, Failure> {
        self.client.as_ref().ok_or_else(|| Failure::Ours(ended()))
    }

    /// The client and, before the first statement, the statement that begins the transaction.
    fn start(&mut self) -> Result<(&Object, Option<&'static str>), Failure> {
        let begin = (!self.begun).then_some(if self.writable {
            "begin isolation level read committed read write"
        } else {
            // One snapshot for all statements, as on SQLite; a reader cannot fail to serialize.
            "begin isolation level repeatable read read only"
        });
        self.begun = true;
        Ok((self.client()?, begin))
    }

    fn judge<T>(&mut self, outcome: Result<T, Failure>) -> Result<T> {
        outcome.map_err(|failure| match failure {
            Failure::Ours(error) => error,
            Failure::Theirs(cause) => {
                let lost = self.client.as_ref().is_none_or(|client| client.is_closed());
                self.retry |= lost || cut_off(&cause) || competed(&cause);
                error(&cause)
            }
        })
    }

    // These are on the heap, so that a future that runs on SQLite too has no room for them.

    /// Runs a statement and gives its rows.
    pub(crate) fn query<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<Vec<Row>>> {
        Box::pin(self.ask(sql, params))
    }

    /// Runs a statement; the number of rows that it changed, or that it found.
    pub(crate) fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.change(sql, params))
    }

    /// Runs several statements without waiting for one answer before the next.
    pub(crate) fn query_each<'a>(
        &'a mut self,
        asked: &'a [(Sql, Vec<Value>)],
    ) -> BoxFuture<'a, Result<Vec<Vec<Row>>>> {
        Box::pin(self.ask_each(asked))
    }

    /// Sends what was posted, if it is as much as waits at once.
    pub(crate) fn flush_full(&mut self) -> BoxFuture<'_, Result<()>> {
        if self.posted.len() < POSTED {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(self.flush())
    }

    /// Runs a statement with the next one, or with the commit; `missing` is the failure to find a row.
    ///
    /// PostgreSQL runs them in this order, and none after one that failed. One that found no row is
    /// told before the commit.
    pub(crate) fn post(
        &mut self,
        sql: &'static str,
        params: &[Value],
        missing: Option<Error>,
    ) -> Result<()> {
        if !self.writable {
            return Err(crate::lite::read_only());
        }
        self.posted.push(Posted { sql, params: params.to_vec(), missing });
        Ok(())
    }

    /// Sends what was posted, and waits for its answers.
    async fn flush(&mut self) -> Result<()> {
        if self.posted.is_empty() {
            return Ok(());
        }
        let posted = std::mem::take(&mut self.posted);
        let outcome = async {
            let (client, begin) = self.start()?;
            send(client, begin, &posted, async { Ok(()) }).await
        }
        .await;
        self.judge(outcome)
    }

    async fn ask(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        let posted = std::mem::take(&mut self.posted);
        let outcome = async {
            let (client, begin) = self.start()?;
            // Prepared beforehand, or it could go out before what was posted.
            let ready =
                if posted.is_empty() { None } else { Some(prepare(client, sql, params).await?) };
            send(client, begin, &posted, query(client, sql, ready, params)).await
        }
        .await;
        let rows = self.judge(outcome)?;
        Ok(rows.into_iter().map(|row| Row(Cells::Pg(row))).collect())
    }

    async fn change(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        let posted = std::mem::take(&mut self.posted);
        let outcome = async {
            let (client, begin) = self.start()?;
            let ready =
                if posted.is_empty() { None } else { Some(prepare(client, sql, params).await?) };
            send(client, begin, &posted, execute(client, sql, ready, params)).await
        }
        .await;
        self.judge(outcome)
    }

    /// Runs one statement for many rows without waiting for one answer before the next.
    pub(crate) async fn execute_all(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<u64> {
        self.flush().await?;
        let outcome = async {
            let (client, begin) = self.start()?;
            run(client, begin).await?;
            let mut sum = 0;
            for rows in rows.chunks(PIPELINE) {
                // The first row prepares; the others find the statement, unless their nulls differ.
                let Some((first, rest)) = rows.split_first() else { break };
                sum += execute(client, sql, None, first).await?;
                let rest = rest.iter().map(|row| execute(client, sql, None, row));
                let counts = try_join_all(rest).await?;
                sum += counts.iter().sum::<u64>();
            }
            Ok(sum)
        }
        .await;
        self.judge(outcome)
    }

    /// Like [`Trip::execute_all`] for statements that give rows.
    pub(crate) async fn query_all(
        &mut self,
        sql: &str,
        params: &[Vec<Value>],
    ) -> Result<Vec<Vec<Row>>> {
        self.flush().await?;
        let outcome = async {
            let (client, begin) = self.start()?;
            run(client, begin).await?;
            let mut found = Vec::with_capacity(params.len());
            for params in params.chunks(PIPELINE) {
                let Some((first, rest)) = params.split_first() else { break };
                found.push(query(client, sql, None, first).await?);
                let rest = rest.iter().map(|params| query(client, sql, None, params));
                found.extend(try_join_all(rest).await?);
            }
            Ok(found)
        }
        .await;
        let found = self.judge(outcome)?;
        let rows = |rows: Vec<_>| rows.into_iter().map(|row| Row(Cells::Pg(row))).collect();
        Ok(found.into_iter().map(rows).collect())
    }

    async fn ask_each(&mut self, asked: &[(Sql, Vec<Value>)]) -> Result<Vec<Vec<Row>>> {
        let posted = std::mem::take(&mut self.posted);
        let outcome = async {
            let (client, begin) = self.start()?;
            let mut ready = Vec::with_capacity(asked.len());
            for (sql, params) in asked {
                ready.push(prepare(client, sql.pg, params).await?);
            }
            let queries = asked
                .iter()
                .zip(ready)
                .map(|((sql, params), ready)| query(client, sql.pg, Some(ready), params));
            // Few, like what was posted, and so in their order.
            let all = async { join_all(queries).await.into_iter().collect() };
            send::<Vec<_>>(client, begin, &posted, all).await
        }
        .await;
        let found = self.judge(outcome)?;
        let rows = |rows: Vec<_>| rows.into_iter().map(|row| Row(Cells::Pg(row))).collect();
        Ok(found.into_iter().map(rows).collect())
    }

    /// Runs a script of several statements.
    pub(crate) async fn script(&mut self, sql: &str) -> Result<()> {
        self.flush().await?;
        let outcome = async {
            let (client, begin) = self.start()?;
            run(client, begin).await?;
            run(client, Some(sql)).await
        }
        .await;
        self.judge(outcome)
    }

    pub(crate) async fn commit(mut self) -> (Result<()>, bool) {
        // Whether a row was found must be known before the commit, and whether a statement failed is
        // easier told before it.
        if let Err(error) = self.flush().await {
            let again = self.may_retry();
            self.roll_back().await;
            return (Err(error), again);
        }
        if !self.begun {
            return (Ok(()), false);
        }
        let outcome = match self.client() {
            Ok(client) => run(client, Some("commit")).await,
            Err(failure) => Err(failure),
        };
        let competed = match &outcome {
            Ok(()) => {
                self.begun = false;
                false
            }
            Err(Failure::Theirs(cause)) => competed(cause),
            Err(Failure::Ours(_)) => false,
        };
        let outcome = outcome.map_err(|failure| match failure {
            Failure::Ours(error) => error,
            Failure::Theirs(cause) if !cut_off(&cause) => error(&cause),
            Failure::Theirs(_) => Error::Uncertain,
        });
        (outcome, competed)
    }

    pub(crate) async fn roll_back(mut self) {
        if self.begun
            && let Ok(client) = self.client()
            && run(client, Some("rollback")).await.is_ok()
        {
            self.begun = false;
        }
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        if self.begun
            && let Some(client) = self.client.take()
        {
            // Out of the pool and closed: the server rolls back.
            drop(Object::take(client));
        }
    }
}

enum Failure {
    Ours(Error),
    Theirs(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(cause: tokio_postgres::Error) -> Failure {
        Failure::Theirs(cause)
    }
}

async fn run(client: &Object, sql: Option<&str>) -> Result<(), Failure> {
    match sql {
        Some(sql) => Ok(client.batch_execute(sql).await?),
        None => Ok(()),
    }
}

async fn prepare(client: &Object, sql: &str, params: &[Value]) -> Result<Statement, Failure> {
    // Types come from the values, so that `select $1` or `coalesce($1, …)` needs no cast; a null has
    // none and PostgreSQL works it out.
    let types: Vec<Type> = params.iter().map(type_of).collect();
    // PostgreSQL itself would accept types for parameters that the text does not have.
    let wanted = placeholders(sql);
    if wanted != params.len() {
        return Err(Failure::Ours(parameters(wanted, params.len())));
    }
    Ok(client.prepare_typed_cached(sql, &types).await?)
}

/// Sends what begins the transaction, what was posted, and one statement more, without waiting for an
/// answer before the next; the answer of the last one if the others went well.
async fn send<T>(
    client: &Object,
    begin: Option<&str>,
    posted: &[Posted],
    last: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    if posted.is_empty() {
        let (begun, answer) = join(run(client, begin), last).await;
        begun?;
        return answer;
    }
    let mut ready = Vec::with_capacity(posted.len());
    for one in posted {
        ready.push(prepare(client, one.sql, &one.params).await?);
    }
    let counts = posted
        .iter()
        .zip(ready)
        .map(|(one, ready)| execute(client, one.sql, Some(ready), &one.params));
    // So few are polled in their order, and what is prepared is sent when it is first polled.
    let (begun, counts, answer) = join3(run(client, begin), join_all(counts), last).await;
    begun?;
    for (one, count) in posted.iter().zip(counts) {
        if let (0, Some(missing)) = (count?, &one.missing) {
            return Err(Failure::Ours(missing.clone()));
        }
    }
    answer
}

async fn query(
    client: &Object,
    sql: &str,
    ready: Option<Statement>,
    params: &[Value],
) -> Result<Vec<tokio_postgres::Row>, Failure> {
    let statement = match ready {
        Some(ready) => ready,
        None => prepare(client, sql, params).await?,
    };
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|value| value as _).collect();
    Ok(client.query(&statement, &params).await?)
}

async fn execute(
    client: &Object,
    sql: &str,
    ready: Option<Statement>,
    params: &[Value],
) -> Result<u64, Failure> {
    let statement = match ready {
        Some(ready) => ready,
        None => prepare(client, sql, params).await?,
    };
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|value| value as _).collect();
    Ok(client.execute(&statement, &params).await?)
}

const fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::UNKNOWN,
        Value::Uuid(_) => Type::UUID,
        Value::Int(_) => Type::INT8,
        Value::Bool(_) => Type::BOOL,
        Value::Text(_) => Type::TEXT,
        Value::Bytes(_) => Type::BYTEA,
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        if !matches!(self, Value::Null) && *ty != type_of(self) {
            return Err(
                format!("a value of {} was bound where {ty} is wanted", type_of(self)).into()
            );
        }
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Uuid(uuid) => uuid.to_sql(ty, out),
            Value::Int(int) => int.to_sql(ty, out),
            Value::Bool(bool) => bool.to_sql(ty, out),
            Value::Text(text) => text.to_sql(ty, out),
            Value::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// One column of a row, read without copying.
struct Cell<'a>(ValueRef<'a>);

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Cell(match *ty {
            Type::UUID => ValueRef::Uuid(FromSql::from_sql(ty, raw)?),
            Type::INT8 => ValueRef::Int(FromSql::from_sql(ty, raw)?),
            Type::INT4 => ValueRef::Int(<i32 as FromSql>::from_sql(ty, raw)?.into()),
            Type::INT2 => ValueRef::Int(<i16 as FromSql>::from_sql(ty, raw)?.into()),
            // `sum` of a `bigint` is a `numeric`.
            Type::NUMERIC => ValueRef::Int(integer(raw).ok_or("it is no integer of 64 bits")?),
            Type::BOOL => ValueRef::Bool(FromSql::from_sql(ty, raw)?),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::BPCHAR | Type::UNKNOWN => {
                ValueRef::Text(FromSql::from_sql(ty, raw)?)
            }
            Type::BYTEA => ValueRef::Bytes(raw),
            _ => return Err(format!("type {ty} is none of the five that we use").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Cell(ValueRef::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

pub(crate) fn value(row: &tokio_postgres::Row, index: usize) -> Result<ValueRef<'_>> {
    if index >= row.len() {
        return Err(Error::Corrupt(format!("there is no column {index}, only {}", row.len())));
    }
    row.try_get::<_, Cell<'_>>(index)
        .map(|cell| cell.0)
        .map_err(|cause| Error::Corrupt(format!("column {index}: {}", chain(&cause))))
}

/// A binary `numeric` without fraction: four 16-bit fields, then digits to the base 10,000.
fn integer(raw: &[u8]) -> Option<i64> {
    let mut fields = raw.chunks_exact(2).map(|pair| match pair {
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    });
    let (digits, weight, sign, _scale) =
        (fields.next()?, fields.next()? as i16, fields.next()?, fields.next()?);
    let mut sum: i128 = 0;
    for place in 0..digits {
        let digit = i128::from(fields.next()?);
        let power = i32::from(weight) - i32::from(place);
        match u32::try_from(power) {
            Ok(power) => {
                sum = sum.checked_add(digit.checked_mul(10_000_i128.checked_pow(power)?)?)?;
            }
            Err(_) if digit == 0 => {}
            Err(_) => return None,
        }
    }
    match sign {
        0 => i64::try_from(sum).ok(),
        0x4000 => i64::try_from(-sum).ok(),
        _ => None,
    }
}

/// Reads the address; what it does not say is set for a server that must notice dead peers.
fn config(url: &str) -> Result<tokio_postgres::Config> {
    // Certificates are always verified, so the verifying modes of libpq mean `require` here.
    let text = url
        .replace("sslmode=verify-full", "sslmode=require")
        .replace("sslmode=verify-ca", "sslmode=require");
    let mut config: tokio_postgres::Config =
        text.parse().map_err(|cause: tokio_postgres::Error| {
            Error::Database(format!(
                "the database address is not valid ({}); it looks like \
             postgresql://user:password@host:5432/accede?sslmode=require",
                chain(&cause)
            ))
        })?;
    if !url.contains("sslmode=") && config.get_hosts().iter().all(local) {
        config.ssl_mode(SslMode::Disable);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    config.keepalives_idle(config.get_keepalives_idle().min(KEEPALIVE));
    if config.get_application_name().is_none() {
        config.application_name("accede");
    }
    Ok(config)
}

fn local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn tls(wanted: bool) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    if wanted {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a certificate of the system could not be read");
        }
        roots.add_parsable_certificates(found.certs);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| Error::Database(format!("TLS cannot be set up: {cause}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(fields: &[u16]) -> Option<i64> {
        integer(&fields.iter().flat_map(|field| field.to_be_bytes()).collect::<Vec<u8>>())
    }

    #[test]
    fn a_numeric_without_fraction_is_an_integer() {
        assert_eq!(numeric(&[0, 0, 0, 0]), Some(0));
        assert_eq!(numeric(&[1, 0, 0x4000, 0, 7]), Some(-7));
        assert_eq!(numeric(&[1, 2, 0, 0, 3]), Some(300_000_000));
        assert_eq!(numeric(&[2, 1, 0, 0, 12, 34]), Some(120_034));
        assert_eq!(numeric(&[2, 0, 0, 2, 12, 5_000]), None, "a fraction");
        assert_eq!(numeric(&[0, 0, 0xC000, 0]), None, "not a number");
        assert_eq!(numeric(&[1, 9, 0, 0, 1]), None, "too large");
    }

    #[test]
    fn tls_is_left_out_only_on_this_machine() {
        let mode = |url| config(url).map(|config| config.get_ssl_mode());
        assert_eq!(mode("postgresql://a@127.0.0.1/b"), Ok(SslMode::Disable));
        assert_eq!(mode("postgresql://a@db.example/b"), Ok(SslMode::Prefer));
        assert_eq!(mode("postgresql://a@127.0.0.1/b?sslmode=require"), Ok(SslMode::Require));
        assert_eq!(mode("postgresql://a@db.example/b?sslmode=verify-full"), Ok(SslMode::Require));
        assert_eq!(mode("postgresql://a@db.example/b?sslmode=disable"), Ok(SslMode::Disable));
        assert!(mode("postgresql://a@db.example/b?sslmode=maybe").is_err());
    }
}
