//! Opening a database and running work in it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::crash::{Point, point};
use crate::dialect::Engine;
use crate::error::{Error, Result};
use crate::lite::Lite;
use crate::pg::{Pg, Trip};
use crate::tx::{Link, Session, Tx};
use crate::wake::{Source, Wakes};

/// How often a PostgreSQL transaction is tried that loses against others or loses its connection.
const TRIES: u32 = 10;
/// The first pause between two tries; it doubles.
const PAUSE: Duration = Duration::from_millis(2);
/// For how long a transaction is tried that finds no server.
const AWAY: Duration = Duration::from_secs(10);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// A database. Cheap to clone; the clones share everything.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Driver,
    /// Spreads the pauses of transactions that lost against each other.
    pauses: AtomicU64,
    /// Whether an outage met a write since the last [`Store::relieve`].
    troubled: AtomicBool,
    #[cfg(feature = "testing")]
    keep: std::sync::Mutex<Vec<Box<dyn std::any::Any + Send>>>,
    #[cfg(feature = "testing")]
    mishaps: crate::mishap::Mishaps,
}

enum Driver {
    Lite(Lite),
    Pg(Box<Pg>),
}

tokio::task_local! {
    /// The stores in which this task has a transaction open.
    static OPEN: usize;
}

/// Work to be done in a transaction: any `async |tx| { … }` that can run more than once.
///
/// It exists only to say that the closure's future can move between threads, which `AsyncFnMut`
/// cannot say. Two things follow for the closure: it may borrow whatever it likes, but not change
/// what it captured (answer with the value instead: a transaction may run twice), and it is not
/// `move`.
pub trait Work<'t, T, E>: Send {
    /// What the closure returns.
    type Running: Future<Output = Result<T, E>> + Send;

    /// Calls the closure.
    fn start(&mut self, tx: &'t mut Tx<'t>) -> Self::Running;
}

impl<'t, T, E, F, R> Work<'t, T, E> for F
where
    F: FnMut(&'t mut Tx<'t>) -> R + Send,
    R: Future<Output = Result<T, E>> + Send,
{
    type Running = R;

    fn start(&mut self, tx: &'t mut Tx<'t>) -> R {
        self(tx)
    }
}

impl Store {
    /// Opens the SQLite database of a data directory for the process that serves it, creating what is
    /// missing; [`Error::Locked`] when another process does that already.
    pub async fn open_sqlite(dir: &Path) -> Result<Store> {
        Ok(Store::new(Driver::Lite(Lite::open(dir, true)?)))
    }

    /// Opens the SQLite database of a data directory beside the process that serves it.
    pub async fn attach_sqlite(dir: &Path) -> Result<Store> {
        Ok(Store::new(Driver::Lite(Lite::open(dir, false)?)))
    }

    /// Whether a data directory holds a SQLite database.
    pub fn sqlite_exists(dir: &Path) -> bool {
        Lite::exists(dir)
    }

    /// An empty SQLite database in memory. Everything happens on the caller's task, in the order of
    /// asking: the same calls give the same history.
    pub fn open_in_memory() -> Result<Store> {
        Ok(Store::new(Driver::Lite(Lite::open_in_memory()?)))
    }

    /// Connects to PostgreSQL, with at most `pool_size` connections for transactions.
    ///
    /// TLS is used when `sslmode` says so, and preferred for hosts other than this machine; the
    /// certificate is always verified against the system's. A server that could lose confirmed
    /// changes is refused with [`Error::NotDurable`].
    pub async fn open_postgres(url: &str, pool_size: usize) -> Result<Store> {
        Ok(Store::new(Driver::Pg(Box::new(Pg::open(url, pool_size).await?))))
    }

    fn new(engine: Driver) -> Store {
        Store(Arc::new(Inner {
            engine,
            pauses: AtomicU64::new(1),
            troubled: AtomicBool::new(false),
            #[cfg(feature = "testing")]
            keep: std::sync::Mutex::default(),
            #[cfg(feature = "testing")]
            mishaps: crate::mishap::Mishaps::default(),
        }))
    }

    /// What is to befall a write transaction, because a test wants it so.
    #[cfg(feature = "testing")]
    pub fn mishaps(&self) -> &crate::mishap::Mishaps {
        &self.0.mishaps
    }

    /// Keeps something for as long as the store lives.
    #[cfg(feature = "testing")]
    pub(crate) fn keep(&self, thing: impl std::any::Any + Send) {
        let mut keep = self.0.keep.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        keep.push(Box::new(thing));
    }

    /// Which database this is.
    pub fn engine(&self) -> Engine {
        match self.0.engine {
            Driver::Lite(_) => Engine::Sqlite,
            Driver::Pg(_) => Engine::Postgres,
        }
    }

    /// Runs work in a transaction of its own and commits it if the work answers `Ok`.
    ///
    /// Returns after the commit has reached the disk. On SQLite, writes that come together are
    /// committed together, but fail apart. On PostgreSQL the work is run again when it loses against
    /// another transaction, so it must not matter how often it runs; it should await nothing but its
    /// transaction, since others wait for what it holds. If the future is dropped, either all or
    /// nothing is done.
    pub async fn write<T, E, F>(&self, mut work: F) -> Result<T, E>
    where
        F: for<'t> AsyncFnMut(&'t mut Tx<'t>) -> Result<T, E> + for<'t> Work<'t, T, E>,
        T: Send,
        E: From<Error> + Send,
    {
        self.refuse_nested()?;
        match &self.0.engine {
            Driver::Lite(lite) => {
                #[cfg(feature = "testing")]
                Box::pin(self.befall(lite, &mut work)).await?;
                let turn = lite.turn().await.inspect_err(|error| self.heed(error))?;
                let mut session = Session::new(Link::Turn(turn));
                let answer = OPEN.scope(self.address(), work.start(&mut Tx(&mut session))).await;
                let Session { link: Link::Turn(turn), failed, wakes, .. } = session else {
                    return Err(ended().into());
                };
                let kept = answer.is_ok() && failed.is_none();
                if kept {
                    point(Point::LiteWorked);
                }
                failed.iter().for_each(|error| self.heed(error));
                #[cfg(feature = "testing")]
                if kept && let Some((is_committed, told)) = self.0.mishaps.at_commit() {
                    lite.end(turn, is_committed, wakes, None).await?;
                    return Err(told.into());
                }
                let ended = lite.end(turn, kept, wakes, failed.as_ref()).await;
                ended.inspect_err(|error| self.heed(error))?;
                settle(answer, failed)
            }
            Driver::Pg(pg) => self.on_postgres(pg, true, work).await,
        }
    }

    /// What befalls a write before it begins, because a test wants it so.
    #[cfg(feature = "testing")]
    async fn befall<T, E, F>(&self, lite: &Lite, work: &mut F) -> Result<(), E>
    where
        F: for<'t> Work<'t, T, E>,
        T: Send,
        E: From<Error> + Send,
    {
        if let Some(told) = self.0.mishaps.refuses() {
            return Err(told.into());
        }
        if self.0.mishaps.loses() {
            let mut session = Session::new(Link::Turn(lite.turn().await?));
            let _lost = OPEN.scope(self.address(), work.start(&mut Tx(&mut session))).await;
        }
        Ok(())
    }

    /// Whether an outage met a write, and nobody has shown since that writing goes well again.
    ///
    /// A write that happens to change nothing proves nothing: a full disk lets it pass.
    pub fn is_troubled(&self) -> bool {
        self.0.troubled.load(Ordering::Relaxed)
    }

    /// Says that a write that changes something went well.
    pub fn relieve(&self) {
        if self.0.troubled.swap(false, Ordering::Relaxed) {
            tracing::info!("the database takes changes again");
        }
    }

    /// Remembers that a write met an outage, and tells the operator of the first.
    fn heed(&self, error: &Error) {
        if error.is_outage() && !self.0.troubled.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the database takes no changes");
        }
    }

    /// The same error, with the file that it is about: for whoever starts the program, and not for
    /// those who ask something of it.
    pub fn placed(&self, error: Error) -> Error {
        match &self.0.engine {
            Driver::Lite(lite) => match lite.path() {
                Some(path) => error.at(&format!("`{}`", path.display())),
                None => error,
            },
            Driver::Pg(_) => error,
        }
    }

    /// The file of a SQLite database that is not in memory.
    pub fn path(&self) -> Option<&Path> {
        match &self.0.engine {
            Driver::Lite(lite) => lite.path(),
            Driver::Pg(_) => None,
        }
    }

    /// Runs work that only reads, on one consistent state of the database.
    pub async fn read<T, E, F>(&self, mut work: F) -> Result<T, E>
    where
        F: for<'t> AsyncFnMut(&'t mut Tx<'t>) -> Result<T, E> + for<'t> Work<'t, T, E>,
        T: Send,
        E: From<Error> + Send,
    {
        self.refuse_nested()?;
        match &self.0.engine {
            Driver::Lite(lite) => {
                let mut session = Session::new(Link::Seat(lite.seat().await?));
                let answer = OPEN.scope(self.address(), work.start(&mut Tx(&mut session))).await;
                settle(answer, session.failed.take())
            }
            Driver::Pg(pg) => self.on_postgres(pg, false, work).await,
        }
    }

    /// Runs work on PostgreSQL, again when it loses against another transaction or its connection.
    async fn on_postgres<T, E, F>(&self, pg: &Pg, writes: bool, mut work: F) -> Result<T, E>
    where
        F: for<'t> Work<'t, T, E>,
        T: Send,
        E: From<Error> + Send,
    {
        let mut tries = 1;
        let begin = Instant::now();
        loop {
            let (outcome, again) = match pg.trip(writes).await {
                Ok(trip) => self.attempt(trip, writes, &mut work).await,
                Err((error, again)) => {
                    if writes {
                        self.heed(&error);
                    }
                    (Err(error.into()), again && begin.elapsed() < AWAY)
                }
            };
            if !again || tries >= TRIES {
                return outcome;
            }
            tokio::time::sleep(self.pause(tries)).await;
            tries += 1;
        }
    }

    /// Runs work once; its outcome and whether it is worth trying again.
    async fn attempt<T, E, F>(&self, trip: Trip, writes: bool, work: &mut F) -> (Result<T, E>, bool)
    where
        F: for<'t> Work<'t, T, E>,
        T: Send,
        E: From<Error> + Send,
    {
        let mut session = Session::new(Link::Trip(trip));
        let answer = OPEN.scope(self.address(), work.start(&mut Tx(&mut session))).await;
        let Session { link: Link::Trip(trip), failed, .. } = session else {
            return (Err(ended().into()), false);
        };
        if writes && answer.is_ok() && failed.is_none() {
            point(Point::PgCommit);
            return match trip.commit().await {
                (Ok(()), _) => {
                    point(Point::PgCommitted);
                    (answer, false)
                }
                (Err(error), again) => {
                    self.heed(&error);
                    (Err(error.into()), again)
                }
            };
        }
        if writes {
            failed.iter().for_each(|error| self.heed(error));
        }
        let again = trip.may_retry();
        trip.roll_back().await;
        (settle(answer, failed), again)
    }

    /// Listens for [`Tx::notify`] on a channel, from this process or, on PostgreSQL, from any.
    ///
    /// On PostgreSQL each listener has a connection of its own, beyond the pool; it reconnects by
    /// itself.
    pub async fn listen(&self, channel: &str) -> Result<Wakes> {
        Ok(Wakes(match &self.0.engine {
            Driver::Lite(lite) => Source::Here(lite.listen(channel)),
            Driver::Pg(pg) => Source::Postgres(Box::new(pg.listen(channel).await?)),
        }))
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// A transaction inside another one would wait for it for ever.
    fn refuse_nested(&self) -> Result<()> {
        match OPEN.try_with(|open| *open == self.address()) {
            Ok(true) => Err(Error::Database(
                "a transaction is open already in this task; use its `tx`".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Half of the doubled pause is fixed; the rest differs from caller to caller.
    fn pause(&self, tries: u32) -> Duration {
        let longest = (PAUSE * 2_u32.saturating_pow(tries)).min(LONGEST_PAUSE);
        let turn = self.0.pauses.fetch_add(1, Ordering::Relaxed);
        // Multiplying by the golden ratio of 64 bits spreads consecutive numbers evenly.
        let share = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        longest / 2 + longest.mul_f64(f64::from(share) / f64::from(u32::MAX) / 2.0)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.engine()).finish()
    }
}

/// A transaction was used after its end, which cannot happen while `Tx` borrows it.
pub(crate) fn ended() -> Error {
    Error::Database("the transaction has ended".to_owned())
}

/// An answer stands only if no statement failed on the way.
fn settle<T, E: From<Error>>(answer: Result<T, E>, failed: Option<Error>) -> Result<T, E> {
    match (answer, failed) {
        (Ok(_), Some(error)) => Err(error.into()),
        (answer, _) => answer,
    }
}
