//! How the server is: whether it can answer, what is undone, how attempts went.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use accede_domain::Timestamp;
use accede_domain::drift::Kind;
use accede_domain::permission::Reach;
use accede_store::tasks::{self, Waiting};
use accede_store::{deployment, drift, guards, notices, queue};

pub use accede_store::queue::Undone;

use crate::{App, Result};

/// The name under which a deployment keeps when it was last tried whether it takes changes.
const WRITTEN: &str = "written";

/// Attempts of this process, by outcome.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<String, u64>>);

/// What a scraper is told of the database.
#[derive(Debug, Clone)]
pub struct Health {
    /// Deliveries that are not done, by target and phase.
    pub undone: Vec<Undone>,
    /// How many changes wait for a second person, and since when the first.
    pub held: (i64, Option<Timestamp>),
    /// How many notices stand in each state.
    pub notices: Vec<(accede_domain::notice::State, i64)>,
    /// Open findings of drift, by kind; every kind.
    pub drift: Vec<(Kind, i64)>,
    /// How many tasks of people are open, and how many of them are late.
    pub tasks: Waiting,
    /// When this was read.
    pub at: Timestamp,
}

impl Tally {
    /// Counts an attempt.
    pub(crate) fn count(&self, outcome: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(outcome) {
            Some(count) => *count += 1,
            None => {
                counts.insert(outcome.to_owned(), 1);
            }
        }
    }
}

impl App {
    /// Whether the database answers, and takes changes.
    ///
    /// That it takes them is tried only after somebody could not make one: a probe of a healthy
    /// server costs no write.
    ///
    /// # Errors
    ///
    /// It does not.
    pub async fn ready(&self) -> Result<()> {
        self.store().read(async |tx| queue::ping(tx).await).await?;
        if self.store().is_troubled() {
            let now = self.now().to_string();
            self.store().write(async |tx| deployment::replace(tx, WRITTEN, &now).await).await?;
            self.store().relieve();
        }
        Ok(())
    }

    /// The schema that the database has.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn schema_version(&self) -> Result<i64> {
        Ok(self.store().schema_version().await?)
    }

    /// Attempts of this process since it started, by outcome.
    pub fn attempts(&self) -> BTreeMap<String, u64> {
        self.tally().0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a scraper is told of the database.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn health(&self) -> Result<Health> {
        let at = self.now();
        let (undone, held, open, notices, tasks) = self
            .store()
            .read(async |tx| {
                let (undone, held) = (queue::undone(tx).await?, guards::waiting(tx).await?);
                let open = drift::open(tx, &Reach::Everywhere, None).await?;
                let notices = notices::counts(tx).await?;
                let tasks = tasks::waiting(tx, at).await?;
                Ok::<_, accede_store::Error>((undone, held, open, notices, tasks))
            })
            .await?;
        let of = |kind| open.iter().find(|(one, _)| *one == kind).map_or(0, |(_, count)| *count);
        let drift = Kind::ALL.into_iter().map(|kind| (kind, of(kind))).collect();
        Ok(Health { undone, held, notices, drift, tasks, at })
    }
}
