//! How fast targets are worked off: counted as answers come, written down now and then, so that
//! what waits can be told in minutes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use accede_domain::id::TargetId;
use accede_domain::retry;
use accede_domain::{SignedDuration, Timestamp};
use accede_store::paces;

use crate::{App, Error, Result};

/// How long a pace is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Roles that this process was done with since it was last written down, by target.
#[derive(Debug, Default)]
pub(crate) struct Done(Mutex<BTreeMap<TargetId, i64>>);

impl Done {
    /// Counts a role that no longer waits.
    pub(crate) fn count(&self, target: TargetId) {
        let mut done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *done.entry(target).or_default() += 1;
    }

    fn take(&self) -> BTreeMap<TargetId, i64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl App {
    /// Writes down how much was done since the last time. What is lost with a process makes an
    /// estimate worse, nothing else.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn note_paces(&self) -> Result<()> {
        let done = self.done().take();
        if done.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let minute = minute_of(now);
        let old = retry::before(now, KEPT);
        self.store()
            .write(async |tx| {
                for (target, many) in &done {
                    paces::add(tx, *target, minute, *many).await?;
                }
                paces::forget_before(tx, old).await?;
                Ok::<_, Error>(())
            })
            .await
    }
}

fn minute_of(at: Timestamp) -> Timestamp {
    let seconds = at.as_second();
    Timestamp::from_second(seconds - seconds.rem_euclid(60)).unwrap_or(at)
}
