//! How the server is: whether it can answer, what is undone, how attempts went.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use accede_domain::Timestamp;
use accede_store::queue;

pub use accede_store::queue::Undone;

use crate::{App, Result};

/// Attempts of this process, by outcome.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<String, u64>>);

/// What a scraper is told.
#[derive(Debug, Clone)]
pub struct Health {
    /// Deliveries that are not done, by target and phase.
    pub undone: Vec<Undone>,
    /// Attempts of this process since it started, by outcome.
    pub attempts: BTreeMap<String, u64>,
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
    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// It does not.
    pub async fn ready(&self) -> Result<()> {
        self.store().read(async |tx| queue::ping(tx).await).await?;
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

    /// What a scraper is told.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn health(&self) -> Result<Health> {
        let at = self.now();
        let undone = self.store().read(async |tx| queue::undone(tx).await).await?;
        let attempts = self.tally().0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Health { undone, attempts, at })
    }
}
