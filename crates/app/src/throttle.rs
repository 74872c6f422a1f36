//! How often somebody may try to prove who they are, and fail.
//!
//! A try is counted *before* it is checked and taken back when it succeeds, so that many tries at
//! once are not more than many tries one after the other.

use accede_domain::Timestamp;
use accede_store::accounts;
use jiff::SignedDuration;
use uuid::Uuid;

use crate::{App, Error, Result};

/// So many failures in so long a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    failures: i64,
    window: SignedDuration,
}

/// Per account or client: 10 in 15 minutes.
pub(crate) const ACCOUNT: Limit = Limit { failures: 10, window: SignedDuration::from_mins(15) };
/// Per network address: 100 in an hour.
pub(crate) const ADDRESS: Limit = Limit { failures: 100, window: SignedDuration::from_hours(1) };
/// Longest part of a name that is told apart.
const MAX_KEY: usize = 320;

/// Whose tries are counted.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    text: String,
    limit: Limit,
}

impl Key {
    /// Tries of this kind on this name.
    pub(crate) fn of(kind: &str, name: &str, limit: Limit) -> Key {
        let name: String = name.to_lowercase().chars().take(MAX_KEY).collect();
        Key { text: format!("{kind}:{name}"), limit }
    }
}

impl App {
    /// Counts a try for each key; the marks take it back.
    ///
    /// # Errors
    ///
    /// Throttled, with the time to wait.
    pub(crate) async fn admit(&self, keys: &[Key], now: Timestamp) -> Result<Vec<Uuid>> {
        let marks: Vec<Uuid> = keys.iter().map(|_| self.entropy().uuid(now)).collect();
        self.store()
            .write(async |tx| {
                for key in keys {
                    let since = now.checked_sub(key.limit.window).unwrap_or(Timestamp::MIN);
                    let (failures, first) = accounts::failures(tx, &key.text, since).await?;
                    if key.limit.failures <= failures {
                        let free = first.unwrap_or(now).checked_add(key.limit.window);
                        let wait = free.unwrap_or(Timestamp::MAX).duration_since(now);
                        return Err(throttled(wait));
                    }
                }
                for (key, mark) in keys.iter().zip(&marks) {
                    accounts::insert_failure(tx, *mark, &key.text, now).await?;
                }
                Ok(())
            })
            .await?;
        Ok(marks)
    }

    /// Takes a try back that succeeded, and forgets the failures of the first key.
    pub(crate) async fn pardon(&self, keys: &[Key], marks: &[Uuid]) -> Result<()> {
        self.store()
            .write(async |tx| {
                for mark in marks {
                    accounts::delete_failure(tx, *mark).await?;
                }
                if let Some(key) = keys.first() {
                    accounts::forget_failures(tx, &key.text).await?;
                }
                Ok::<_, Error>(())
            })
            .await
    }

    /// Forgets failures and sessions that no longer matter. For the sweeper.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn sweep_sign_in(&self) -> Result<()> {
        let now = self.now();
        let before = now.checked_sub(ADDRESS.window).unwrap_or(Timestamp::MIN);
        self.store()
            .write(async |tx| {
                accounts::forget_failures_before(tx, before).await?;
                accede_store::sessions::delete_expired(tx, now).await?;
                Ok::<_, Error>(())
            })
            .await
    }
}

fn throttled(wait: SignedDuration) -> Error {
    let seconds = u64::try_from(wait.as_secs()).unwrap_or(0).max(1);
    let minutes = seconds.div_ceil(60);
    let plural = if minutes == 1 { "" } else { "s" };
    Error::Throttled {
        sentence: format!("too many failed tries; wait {minutes} minute{plural} and try again"),
        retry_after: seconds,
    }
}
