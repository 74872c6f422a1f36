//! SQLite: one connection that writes in turns, a few that read, all on the caller's task.
//!
//! The actors:
//!
//! - A **turn** is one write closure. It owns the write connection while it runs, inside a savepoint,
//!   so that it can fail, be dropped or panic without disturbing anybody.
//! - A **group** is the turns that share one transaction and therefore one `fsync`. Whoever finished
//!   a turn queues up once more, now to commit; by the time it is served, everybody who had been
//!   waiting meanwhile has had a turn in the same transaction. The queue is fair, so nobody waits for
//!   more than one round, and an idle store commits at once.
//! - A **seat** is a reader's connection from a small pool.
//!
//! INVARIANT: nobody is answered before the commit that carries what the answer rests on. That holds
//! for refusals too: a turn that failed may have failed because of a neighbour's uncommitted row.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::{Null, ToSqlOutput, ValueRef as LiteRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, ToSql, ffi};
use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

use crate::crash::{Point, point};
use crate::dialect::numbered;
use crate::error::{Error, Result, chain};
use crate::store::ended;
use crate::value::{Cells, Row, Value};
use crate::wake::Bells;

/// The database's name inside a data directory.
pub const FILE: &str = "accede.db";
/// Held by the one process that serves a data directory.
const LOCK_FILE: &str = "accede.lock";
/// Connections that read.
const READERS: usize = 4;
/// Most turns in one group: bounds the wait of the first and the size of one commit.
const GROUP_TURNS: u32 = 256;
/// Longest time that a group takes new turns.
const GROUP_TIME: Duration = Duration::from_millis(5);
/// How long another process (`accede token` beside the server) may hold the write lock.
const BUSY: Duration = Duration::from_secs(10);
/// How often to ask for the write lock meanwhile.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// For how long it counts that the lock was held when it was last asked for.
const BUSY_MEMORY: Duration = Duration::from_secs(30);
/// Prepared statements kept by each connection.
const STATEMENTS: usize = 256;
/// Pages of log between two checkpoints; 2,000 pages (8 MB) keep the p99 of a commit near 30 ms.
const CHECKPOINT_PAGES: u32 = 2_000;
/// Page cache of the writer, in KiB.
const WRITER_CACHE_KIB: u32 = 65_536;
/// Page cache of each reader, in KiB.
const READER_CACHE_KIB: u32 = 16_384;

/// A database file, or one in memory.
pub(crate) struct Lite {
    writer: Arc<tokio::sync::Mutex<Writer>>,
    /// `None` in memory, where readers take the write connection.
    readers: Option<Arc<Readers>>,
    bells: Arc<Bells>,
}

impl Lite {
    /// Its file, unless it is in memory.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.readers.as_ref().map(|readers| readers.path.as_path())
    }

    /// Opens the database of a data directory; `exclusive` for the process that serves it.
    pub(crate) fn open(dir: &Path, exclusive: bool) -> Result<Lite> {
        let path = dir.join(FILE);
        let lock = if exclusive {
            create_directory(dir)?;
            Some(lock(dir)?)
        } else if path.exists() {
            None
        } else {
            return Err(Error::Database(format!(
                "`{}` holds no database; start `accede serve --data {0}` once, or name its data \
                 directory",
                dir.display()
            )));
        };
        let conn = Conn::open(&path, false)?;
        // Waiting for the lock is ours, see `Lite::turn`: SQLite would sleep on a thread of others.
        conn.db.busy_timeout(Duration::ZERO).map_err(error)?;
        let readers = Arc::new(Readers {
            path,
            free: Mutex::default(),
            seats: Arc::new(Semaphore::new(READERS)),
        });
        Ok(Lite::new(conn, Some(readers), lock, GROUP_TURNS))
    }

    /// Whether a data directory holds a database.
    pub(crate) fn exists(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// An empty database that lives as long as the store.
    pub(crate) fn open_in_memory() -> Result<Lite> {
        let db = Connection::open_in_memory().map_err(error)?;
        steady(&db).map_err(error)?;
        db.pragma_update(None, "foreign_keys", true).map_err(error)?;
        // One turn per group: everything is decided and done on the caller's task.
        Ok(Lite::new(Conn::new(db), None, None, 1))
    }

    fn new(
        conn: Conn,
        readers: Option<Arc<Readers>>,
        lock: Option<File>,
        group_turns: u32,
    ) -> Lite {
        let bells = Arc::new(Bells::default());
        let bells_of_writer = bells.clone();
        let writer = Writer {
            conn,
            group: None,
            group_turns,
            bells: bells_of_writer,
            held: None,
            _lock: lock,
        };
        Lite { writer: Arc::new(tokio::sync::Mutex::new(writer)), readers, bells }
    }

    pub(crate) fn listen(&self, channel: &str) -> watch::Receiver<u64> {
        self.bells.listen(channel)
    }

    /// Waits for the write connection and opens a savepoint on it.
    pub(crate) async fn turn(&self) -> Result<Turn> {
        let mut writer = self.lock().await;
        loop {
            match writer.join() {
                Err(Error::Locked(_)) if writer.is_patient() => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                joined => {
                    joined?;
                    return Ok(Turn { writer: Some(writer) });
                }
            }
        }
    }

    /// Ends a turn and waits until everything that it has seen is committed.
    ///
    /// `cause` is what made the turn fail in the database, if that is why it is not kept.
    pub(crate) async fn end(
        &self,
        turn: Turn,
        kept: bool,
        wakes: Vec<String>,
        cause: Option<&Error>,
    ) -> Result<()> {
        let Some((writer, outcome)) = turn.end(kept, wakes, cause)? else { return Ok(()) };
        let mut member = Member { outcome, _orphans: Orphans(&self.writer) };
        if writer.full() {
            commit(writer).await;
        } else {
            drop(writer);
        }
        member.wait(self).await
    }

    /// A seat with an open read transaction.
    pub(crate) async fn seat(&self) -> Result<Seat> {
        let Some(readers) = &self.readers else {
            let mut writer = self.lock().await;
            writer.commit();
            writer.conn.run("begin")?;
            return Ok(Seat { place: Place::Shared(writer) });
        };
        let permit = readers
            .seats
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Database("the store is closed".to_owned()))?;
        let free = readers.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut conn = match free {
            Some(conn) => conn,
            None => Conn::open(&readers.path, true)?,
        };
        conn.run("begin")?;
        let home = readers.clone();
        Ok(Seat { place: Place::Own { conn: Some(conn), home, _permit: permit } })
    }

    /// Waits for the write connection, in order of asking.
    async fn lock(&self) -> OwnedMutexGuard<Writer> {
        let _orphans = Orphans(&self.writer);
        self.writer.clone().lock_owned().await
    }
}

/// Commits a group that is left without anybody waiting for it, when somebody stops waiting.
///
/// Its turns were done and only their callers went away, so the group must not stay open.
struct Orphans<'a>(&'a Arc<tokio::sync::Mutex<Writer>>);

impl Drop for Orphans<'_> {
    fn drop(&mut self) {
        // When somebody else holds the connection, that one sees to the group.
        if let Ok(mut writer) = self.0.clone().try_lock_owned()
            && writer.orphaned()
        {
            writer.commit();
        }
    }
}

/// Somebody who had a turn and waits for the group's commit.
struct Member<'a> {
    // The order matters when a waiter goes away: first it leaves the group, then it looks for orphans.
    outcome: watch::Receiver<Option<Result<()>>>,
    _orphans: Orphans<'a>,
}

impl Member<'_> {
    async fn wait(&mut self, lite: &Lite) -> Result<()> {
        tokio::select! {
            biased;
            () = settled(&mut self.outcome) => {}
            // An outcome is told before the connection is let go: without one, this is our group.
            writer = lite.lock() => if self.outcome.borrow().is_none() {
                commit(writer).await;
            }
        }
        self.outcome.borrow().clone().unwrap_or_else(|| {
            Err(Error::Database("the database was closed before the commit".to_owned()))
        })
    }
}

async fn settled(outcome: &mut watch::Receiver<Option<Result<()>>>) {
    // An error means that the writer is gone, which is an outcome too.
    let _gone = outcome.wait_for(Option::is_some).await.is_err();
}

/// Commits the group; its `fsync` may take milliseconds, so not on a thread that serves others.
async fn commit(mut writer: OwnedMutexGuard<Writer>) {
    match Handle::try_current() {
        Ok(runtime) if writer.group_turns > 1 => {
            // The commit goes on if we are dropped, and tells its outcome to the group itself.
            let _outcome_is_told = runtime.spawn_blocking(move || writer.commit()).await;
        }
        _ => writer.commit(),
    }
}

/// The one connection that writes.
struct Writer {
    conn: Conn,
    group: Option<Group>,
    group_turns: u32,
    bells: Arc<Bells>,
    /// Since when another process has held the lock, and when that was last found.
    held: Option<(Instant, Instant)>,
    /// Kept for as long as anybody can write.
    _lock: Option<File>,
}

/// Turns that share one transaction.
struct Group {
    turns: u32,
    since: Instant,
    wakes: Vec<String>,
    outcome: watch::Sender<Option<Result<()>>>,
}

impl Writer {
    /// Opens a savepoint in the group's transaction, beginning it if there is none.
    fn join(&mut self) -> Result<()> {
        if self.group.is_none() {
            self.conn.run("begin immediate")?;
            self.held = None;
            self.group = Some(Group {
                turns: 0,
                since: Instant::now(),
                wakes: Vec::new(),
                outcome: watch::Sender::new(None),
            });
        }
        self.conn.run("savepoint turn")
    }

    /// Whether to wait on for a lock that another process was found to hold.
    ///
    /// All who write wait together: once the time is up everybody in the queue is told so at once,
    /// and whoever comes later asks once, until the lock is free again.
    fn is_patient(&mut self) -> bool {
        let now = Instant::now();
        let since = match self.held {
            Some((since, seen)) if now.duration_since(seen) < BUSY_MEMORY => since,
            _ => now,
        };
        self.held = Some((since, now));
        now.duration_since(since) < BUSY
    }

    fn undo_turn(&mut self) -> Result<()> {
        self.conn.run("rollback to turn")?;
        self.conn.run("release turn")
    }

    fn full(&self) -> bool {
        self.group.as_ref().is_none_or(|group| {
            group.turns >= self.group_turns || group.since.elapsed() > GROUP_TIME
        })
    }

    fn orphaned(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.outcome.receiver_count() == 0)
    }

    /// Commits the group, if there is one, and tells everybody in it how that went.
    fn commit(&mut self) {
        let Some(group) = self.group.take() else { return };
        point(Point::LiteCommit);
        let outcome = self.conn.run("commit");
        if outcome.is_err() {
            self.roll_back();
        } else {
            point(Point::LiteCommitted);
            self.bells.ring(&group.wakes);
        }
        group.outcome.send_replace(Some(outcome));
    }

    /// Gives the whole group up.
    fn abort(&mut self, why: &Error) {
        self.roll_back();
        if let Some(group) = self.group.take() {
            group.outcome.send_replace(Some(Err(why.clone())));
        }
    }

    fn roll_back(&mut self) {
        if !self.conn.db.is_autocommit()
            && let Err(error) = self.conn.run("rollback")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.commit();
    }
}

/// One write closure's hold on the connection; dropped without [`Turn::end`] it rolls back alone.
pub(crate) struct Turn {
    writer: Option<OwnedMutexGuard<Writer>>,
}

type Ended = Option<(OwnedMutexGuard<Writer>, watch::Receiver<Option<Result<()>>>)>;

impl Turn {
    pub(crate) fn conn(&mut self) -> Result<&mut Conn> {
        match &mut self.writer {
            Some(writer) => Ok(&mut writer.conn),
            None => Err(ended()),
        }
    }

    /// Releases or undoes the savepoint. `None` when nothing is left that anybody must wait for.
    fn end(mut self, kept: bool, wakes: Vec<String>, cause: Option<&Error>) -> Result<Ended> {
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        let done = if kept { writer.conn.run("release turn") } else { writer.undo_turn() };
        // A full disk or a failing one rolls the whole transaction back, with all the neighbours.
        if writer.conn.db.is_autocommit() {
            let lost = cause.cloned().or(done.err()).unwrap_or_else(|| {
                Error::Database("SQLite gave the transaction up; try again".to_owned())
            });
            writer.abort(&lost);
            return Err(lost);
        }
        if let Err(error) = done {
            writer.abort(&error);
            return Err(error);
        }
        let Some(group) = &mut writer.group else { return Ok(None) };
        if kept {
            group.turns += 1;
            point(Point::LiteJoined);
            for wake in wakes {
                if !group.wakes.contains(&wake) {
                    group.wakes.push(wake);
                }
            }
        } else if group.turns == 0 {
            writer.group = None;
            writer.roll_back();
            return Ok(None);
        }
        let outcome = group.outcome.subscribe();
        Ok(Some((writer, outcome)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        let undone = writer.undo_turn();
        if writer.conn.db.is_autocommit() || undone.is_err() {
            writer.abort(&undone.err().unwrap_or_else(|| {
                Error::Database("SQLite gave the transaction up; try again".to_owned())
            }));
        } else if writer.group.as_ref().is_some_and(|group| group.turns == 0) {
            writer.group = None;
            writer.roll_back();
        } else if writer.orphaned() {
            writer.commit();
        }
    }
}

/// Connections that read, opened when first needed.
struct Readers {
    path: PathBuf,
    free: Mutex<Vec<Conn>>,
    seats: Arc<Semaphore>,
}

/// A connection with an open read transaction, which ends when this is dropped.
pub(crate) struct Seat {
    place: Place,
}

enum Place {
    Shared(OwnedMutexGuard<Writer>),
    Own { conn: Option<Conn>, home: Arc<Readers>, _permit: OwnedSemaphorePermit },
}

impl Seat {
    pub(crate) fn conn(&mut self) -> Result<&mut Conn> {
        match &mut self.place {
            Place::Shared(writer) => Ok(&mut writer.conn),
            Place::Own { conn: Some(conn), .. } => Ok(conn),
            Place::Own { .. } => Err(ended()),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        match &mut self.place {
            Place::Shared(writer) => writer.roll_back(),
            Place::Own { conn, home, .. } => {
                // A connection whose transaction does not end is closed, and another one opened later.
                if let Some(mut conn) = conn.take()
                    && conn.run("rollback").is_ok()
                {
                    home.free.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
                }
            }
        }
    }
}

/// One SQLite connection with the rewritten texts of the statements that it has seen.
pub(crate) struct Conn {
    db: Connection,
    /// By address and length, since the texts are literals: no hashing of long texts.
    texts: HashMap<(usize, usize), Box<str>>,
}

impl Conn {
    fn new(db: Connection) -> Conn {
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        Conn { db, texts: HashMap::new() }
    }

    fn open(path: &Path, reader: bool) -> Result<Conn> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let place = format!("`{}` cannot be opened", path.display());
        let unopened = |cause: rusqlite::Error| error(cause).at(&place);
        let db = Connection::open_with_flags(path, flags).map_err(unopened)?;
        steady(&db).map_err(unopened)?;
        db.busy_timeout(BUSY).map_err(unopened)?;
        let journal: String = db
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
            .map_err(unopened)?;
        let settings = [
            ("synchronous", "full".to_owned()),
            ("fullfsync", "on".to_owned()),
            ("checkpoint_fullfsync", "on".to_owned()),
            ("foreign_keys", "on".to_owned()),
            ("temp_store", "memory".to_owned()),
            ("wal_autocheckpoint", CHECKPOINT_PAGES.to_string()),
            (
                "cache_size",
                format!("-{}", if reader { READER_CACHE_KIB } else { WRITER_CACHE_KIB }),
            ),
            ("query_only", if reader { "on" } else { "off" }.to_owned()),
        ];
        let settings = settings.map(|(name, value)| format!("pragma {name} = {value};")).concat();
        db.execute_batch(&settings).map_err(unopened)?;
        let number = |name: &str| -> Result<i64> {
            db.pragma_query_value(None, name, |row| row.get(0)).map_err(unopened)
        };
        let wrong = if journal != "wal" {
            Some(format!("its journal is `{journal}` and not `wal`"))
        } else if number("synchronous")? != 2 {
            Some("it does not wait for the disk at every commit".to_owned())
        } else if number("foreign_keys")? != 1 {
            Some("it does not check foreign keys".to_owned())
        } else {
            None
        };
        if let Some(wrong) = wrong {
            return Err(Error::NotDurable(format!(
                "`{}` cannot be trusted with data, because {wrong}; put the data directory on a \
                 local disk",
                path.display()
            )));
        }
        Ok(Conn::new(db))
    }

    /// Runs a statement of our own that takes and gives nothing.
    fn run(&mut self, sql: &str) -> Result<()> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| statement.raw_execute())
            .map(drop)
            .map_err(error)
    }

    /// Runs a script of several statements.
    pub(crate) fn script(&mut self, sql: &str) -> Result<()> {
        self.db.execute_batch(sql).map_err(error)
    }

    /// Calls `f` with the prepared statement of a literal text.
    fn literal<T>(
        &mut self,
        sql: &'static str,
        f: impl FnOnce(&Connection, CachedStatement<'_>) -> Result<T>,
    ) -> Result<T> {
        let text = self
            .texts
            .entry((sql.as_ptr().addr(), sql.len()))
            .or_insert_with(|| numbered(sql).into());
        f(&self.db, self.db.prepare_cached(text).map_err(error)?)
    }

    pub(crate) fn execute(
        &mut self,
        sql: &'static str,
        params: &[Value],
        writable: bool,
    ) -> Result<u64> {
        self.literal(sql, |db, statement| execute(db, statement, params, writable))
    }

    pub(crate) fn execute_all(
        &mut self,
        sql: &'static str,
        rows: &[Vec<Value>],
        writable: bool,
    ) -> Result<u64> {
        rows.iter().try_fold(0, |sum, row| Ok(sum + self.execute(sql, row, writable)?))
    }

    pub(crate) fn query(
        &mut self,
        sql: &'static str,
        params: &[Value],
        writable: bool,
    ) -> Result<Vec<Row>> {
        self.literal(sql, |_, statement| query(statement, params, writable))
    }

    pub(crate) fn execute_text(
        &mut self,
        sql: &str,
        params: &[Value],
        writable: bool,
    ) -> Result<u64> {
        let statement = self.db.prepare_cached(&numbered(sql)).map_err(error)?;
        execute(&self.db, statement, params, writable)
    }

    pub(crate) fn query_text(
        &mut self,
        sql: &str,
        params: &[Value],
        writable: bool,
    ) -> Result<Vec<Row>> {
        query(self.db.prepare_cached(&numbered(sql)).map_err(error)?, params, writable)
    }
}

/// Keeps the plan of a prepared statement whatever is bound to it.
///
/// This library is built with `SQLITE_ENABLE_STAT4`, and then a statement whose plan could depend on
/// a bound value is parsed and planned anew at every other binding: a quarter of the time of a
/// reprocess job. <https://www.sqlite.org/queryplanner-ng.html#qpstab>
fn steady(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::from(Null),
            Value::Uuid(uuid) => ToSqlOutput::Borrowed(LiteRef::Blob(uuid.as_bytes())),
            Value::Int(int) => ToSqlOutput::from(*int),
            Value::Bool(bool) => ToSqlOutput::from(i64::from(*bool)),
            Value::Text(text) => ToSqlOutput::Borrowed(LiteRef::Text(text.as_bytes())),
            Value::Bytes(bytes) => ToSqlOutput::Borrowed(LiteRef::Blob(bytes)),
        })
    }
}

fn bind(statement: &mut CachedStatement<'_>, params: &[Value], writable: bool) -> Result<()> {
    if !writable && !statement.readonly() {
        return Err(read_only());
    }
    if statement.parameter_count() != params.len() {
        return Err(parameters(statement.parameter_count(), params.len()));
    }
    for (index, value) in params.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value).map_err(error)?;
    }
    Ok(())
}

fn execute(
    db: &Connection,
    mut statement: CachedStatement<'_>,
    params: &[Value],
    writable: bool,
) -> Result<u64> {
    bind(&mut statement, params, writable)?;
    let readonly = statement.readonly();
    // Stepping through all rows lets a statement with `returning` count like one without.
    let mut rows = statement.raw_query();
    let mut count = 0;
    while rows.next().map_err(error)?.is_some() {
        count += 1;
    }
    Ok(if readonly { count } else { db.changes() })
}

fn query(mut statement: CachedStatement<'_>, params: &[Value], writable: bool) -> Result<Vec<Row>> {
    bind(&mut statement, params, writable)?;
    let width = statement.column_count();
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(error)? {
        let values: Result<Box<[Value]>> = (0..width)
            .map(|column| match row.get_ref(column).map_err(error)? {
                LiteRef::Null => Ok(Value::Null),
                LiteRef::Integer(int) => Ok(Value::Int(int)),
                LiteRef::Text(text) => std::str::from_utf8(text)
                    .map(|text| Value::Text(text.to_owned()))
                    .map_err(|_| Error::Corrupt(format!("column {column} is not UTF-8"))),
                LiteRef::Blob(bytes) => Ok(Uuid::from_slice(bytes)
                    .map_or_else(|_| Value::Bytes(bytes.to_vec()), Value::Uuid)),
                LiteRef::Real(_) => Err(Error::Corrupt(format!(
                    "column {column} is a fraction, which no column of ours is"
                ))),
            })
            .collect();
        found.push(Row(Cells::Lite(values?)));
    }
    Ok(found)
}

/// The refusal of a write in a read transaction.
pub(crate) fn read_only() -> Error {
    Error::Database("this is a read transaction; write in `Store::write`".to_owned())
}

/// The refusal of a wrong number of parameters.
pub(crate) fn parameters(wanted: usize, given: usize) -> Error {
    Error::Database(format!("the statement wants {wanted} parameters but got {given}"))
}

/// What SQLite says, in our words.
fn error(cause: rusqlite::Error) -> Error {
    let rusqlite::Error::SqliteFailure(failure, message) = &cause else {
        return Error::Database(format!("SQLite: {}", chain(&cause)));
    };
    let message = message.as_deref().unwrap_or("no further detail");
    match (failure.code, failure.extended_code) {
        (_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
            Error::Duplicate { constraint: constraint(message) }
        }
        (ErrorCode::DiskFull, _) => Error::Full(message.to_owned()),
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Error::Locked(format!(
            "another process held the database for more than {} s; stop it, or try again",
            BUSY.as_secs()
        )),
        (ErrorCode::ReadOnly | ErrorCode::PermissionDenied, _) => Error::Unavailable(format!(
            "the database cannot be written ({message}); check the owner and permissions of the \
             data directory, and that its disk is not mounted read-only"
        )),
        (ErrorCode::CannotOpen, _) => Error::Unavailable(format!(
            "a file of the database cannot be opened ({message}); check that the data directory is \
             there, its owner and permissions, and the limit of open files"
        )),
        // SQLite tells a quota and a limit of file size so.
        (ErrorCode::SystemIoFailure, ffi::SQLITE_IOERR_WRITE) => Error::Full(format!(
            "the disk refused a write ({message}), so a quota or a limit of file size is reached, \
             or the disk fails"
        )),
        (ErrorCode::SystemIoFailure, code) => Error::Unavailable(format!(
            "the disk failed while SQLite worked on it ({message}, code {code}); check its health \
             and its free space"
        )),
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => {
            Error::Corrupt(message.to_owned())
        }
        (_, code) => Error::Database(format!("SQLite: {message} (code {code})")),
    }
}

/// `UNIQUE constraint failed: t.a, t.b` as `t.a,b`; an index over expressions is named by SQLite.
fn constraint(message: &str) -> String {
    let columns = message.rsplit("failed: ").next().unwrap_or(message);
    if let Some(index) = columns.strip_prefix("index '") {
        return index.trim_end_matches('\'').to_owned();
    }
    let mut parts = columns.split(", ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push(',');
        text.push_str(part.rsplit('.').next().unwrap_or(part));
    }
    text
}

pub(crate) fn create_directory(dir: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|error| {
        Error::Database(format!(
            "the directory `{}` cannot be created: {error}; name one on a disk that this user may \
             write",
            dir.display()
        ))
    })
}

/// Takes the lock that keeps a second server away from the directory.
pub(crate) fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK_FILE);
    let failed = |error: std::io::Error| {
        Error::Database(format!(
            "`{}` cannot be locked: {error}; the data directory must be on a local disk that this \
             user may write",
            path.display()
        ))
    };
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Locked(format!(
            "another process already serves `{}`; stop it first, choose another --data directory, \
             or use PostgreSQL to run several",
            dir.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use futures_util::future::join_all;

    use super::*;
    use crate::params;

    struct World {
        lite: Lite,
        commits: watch::Receiver<u64>,
        _dir: tempfile::TempDir,
    }

    impl World {
        async fn new() -> World {
            let dir = tempfile::tempdir().unwrap();
            let lite = Lite::open(dir.path(), true).unwrap();
            let mut turn = lite.turn().await.unwrap();
            let tables = "create table parents (id integer primary key) strict;
                create table rows (id integer primary key, parent integer
                    references parents (id) deferrable initially deferred) strict;";
            turn.conn().unwrap().script(tables).unwrap();
            lite.end(turn, true, Vec::new(), None).await.unwrap();
            let commits = lite.listen("commit");
            World { lite, commits, _dir: dir }
        }

        /// A turn that inserts a row; a parent that does not exist lets the commit fail.
        async fn insert(&self, id: i64, parent: Option<i64>) -> Result<()> {
            self.turn("insert into rows values ($1, $2)", params![id, parent], true).await
        }

        /// A turn that is not kept.
        async fn refuse(&self, id: i64) -> Result<()> {
            let params = params![id, None::<i64>];
            self.turn("insert into rows values ($1, $2)", params, false).await
        }

        async fn turn(&self, sql: &'static str, params: &[Value], kept: bool) -> Result<()> {
            let mut turn = self.lite.turn().await?;
            let done = turn.conn()?.execute(sql, params, true);
            let kept = kept && done.is_ok();
            let wakes = vec!["commit".to_owned()];
            self.lite.end(turn, kept, wakes, done.err().as_ref()).await
        }

        /// Lets the turns queue up behind one that does nothing.
        async fn together<'a>(
            &'a self,
            turns: Vec<Pin<Box<dyn Future<Output = Result<()>> + 'a>>>,
        ) -> Vec<Result<()>> {
            let hold = self.lite.turn().await.unwrap();
            let release = self.lite.end(hold, false, Vec::new(), None);
            let (answers, released) = tokio::join!(join_all(turns), release);
            released.unwrap();
            answers
        }

        async fn ids(&self) -> Vec<i64> {
            let mut seat = self.lite.seat().await.unwrap();
            let rows = seat.conn().unwrap().query("select id from rows order by id", &[], false);
            rows.unwrap().iter().map(|row| row.get(0).unwrap()).collect()
        }

        fn commits(&self) -> u64 {
            *self.commits.borrow()
        }
    }

    fn poll(future: Pin<&mut impl Future>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn turns_that_queue_up_share_a_commit() {
        let world = World::new().await;
        let turns = (0..20).map(|id| Box::pin(world.insert(id, None)) as _).collect();
        assert_eq!(world.together(turns).await, vec![Ok(()); 20]);
        assert_eq!(world.ids().await, (0..20).collect::<Vec<_>>());
        assert_eq!(world.commits(), 1);
    }

    #[tokio::test]
    async fn a_full_group_commits_without_waiting() {
        let world = World::new().await;
        world.lite.writer.lock().await.group_turns = 3;
        let turns = (0..10).map(|id| Box::pin(world.insert(id, None)) as _).collect();
        assert_eq!(world.together(turns).await, vec![Ok(()); 10]);
        assert!(world.commits() >= 4, "{}", world.commits());
    }

    #[tokio::test]
    async fn a_failed_commit_fails_everybody_in_it_also_the_refused() {
        let world = World::new().await;
        let answers = world
            .together(vec![
                Box::pin(world.insert(1, None)),
                Box::pin(world.insert(2, Some(404))),
                Box::pin(world.refuse(3)),
                Box::pin(world.insert(4, None)),
            ])
            .await;
        assert_eq!(answers.len(), 4);
        for answer in answers {
            assert!(
                matches!(&answer, Err(Error::Database(text)) if text.contains("FOREIGN KEY")),
                "{answer:?}"
            );
        }
        assert_eq!(world.ids().await, Vec::<i64>::new());
        assert_eq!(world.insert(5, None).await, Ok(()));
        assert_eq!(world.ids().await, [5]);
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_gives_up_fails_everybody_in_it() {
        let world = World::new().await;
        world.insert(1, None).await.unwrap();
        let answers = world
            .together(vec![
                Box::pin(world.insert(2, None)),
                Box::pin(world.turn("insert or rollback into rows values (1, null)", &[], true)),
                Box::pin(world.insert(3, None)),
            ])
            .await;
        let duplicate = Err(Error::Duplicate { constraint: "rows.id".to_owned() });
        assert_eq!(answers, [duplicate.clone(), duplicate, Ok(())]);
        assert_eq!(world.ids().await, [1, 3]);
    }

    #[tokio::test]
    async fn a_group_is_committed_though_all_its_callers_went_away() {
        let world = World::new().await;
        let hold = world.lite.turn().await.unwrap();
        let mut first = Box::pin(world.insert(1, None));
        let mut second = Box::pin(world.insert(2, None));
        let mut third = Box::pin(async {
            let mut turn = world.lite.turn().await.unwrap();
            turn.conn().unwrap().execute("insert into rows values (3, null)", &[], true).unwrap();
            std::future::pending::<()>().await
        });
        assert!(!poll(first.as_mut()) && !poll(second.as_mut()) && !poll(third.as_mut()));
        drop(hold);
        assert!(!poll(first.as_mut()) && !poll(second.as_mut()), "both had their turn and wait");
        assert!(!poll(third.as_mut()), "in the middle of its turn");
        assert_eq!(world.ids().await, Vec::<i64>::new());

        drop((first, second));
        assert_eq!(world.commits(), 0, "the third still holds the connection");
        drop(third);

        assert_eq!(world.commits(), 1);
        assert_eq!(world.ids().await, [1, 2]);
        assert_eq!(world.insert(4, None).await, Ok(()));
    }

    #[tokio::test]
    async fn a_caller_that_leaves_the_queue_holds_nobody_up() {
        let world = World::new().await;
        let hold = world.lite.turn().await.unwrap();
        let mut first = Box::pin(world.insert(1, None));
        let mut second = Box::pin(world.insert(2, None));
        assert!(!poll(first.as_mut()) && !poll(second.as_mut()));
        drop(hold);
        assert!(!poll(first.as_mut()), "it had its turn and queues behind the second");
        // The connection is promised to the second, which never takes it.
        drop(first);
        assert_eq!(world.commits(), 0);
        drop(second);
        assert_eq!(world.commits(), 1);
        assert_eq!(world.ids().await, [1]);
    }

    #[tokio::test]
    async fn what_is_open_when_the_store_closes_is_committed() {
        let mut world = World::new().await;
        let mut writer = world.lite.writer.clone().lock_owned().await;
        writer.join().unwrap();
        writer.conn.execute("insert into rows values (1, null)", &[], true).unwrap();
        writer.conn.run("release turn").unwrap();
        drop(writer);
        let dir = world._dir.path().to_owned();
        world.lite = Lite::open_in_memory().unwrap();
        world.lite = Lite::open(&dir, true).unwrap();
        assert_eq!(world.ids().await, [1]);
    }

    #[test]
    fn a_file_that_is_no_database_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), vec![b'x'; 8_192]).unwrap();
        let Err(Error::Corrupt(reason)) = Lite::open(dir.path(), true) else {
            unreachable!("it must be refused")
        };
        assert!(reason.contains("not a database"), "{reason}");
    }
}
