//! Waking somebody who waits for work, in this process or on another machine.
//!
//! A wake is only ever a hint that it may be worth looking now: it can be lost (a connection breaks)
//! and it can be needless. Whoever waits must also look by themselves from time to time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::Result;
use crate::pg_listener::Listener;

/// Waits for wakes on one channel; several wakes that come while nobody waits count as one.
#[derive(Debug)]
pub struct Wakes(pub(crate) Source);

#[derive(Debug)]
pub(crate) enum Source {
    Here(watch::Receiver<u64>),
    Postgres(Box<Listener>),
}

impl Wakes {
    /// Returns when somebody committed a [`Tx::notify`](crate::Tx::notify) on the channel since the
    /// last return, or when a lost connection was replaced (something may have been missed).
    ///
    /// Dropping the future loses nothing. An error means that PostgreSQL cannot be reached just now;
    /// the next call tries again, after a pause that grows to 5 s.
    pub async fn next(&mut self) -> Result<()> {
        match &mut self.0 {
            Source::Here(bell) => {
                // The sender lives as long as the store; without it nobody will ever wake us.
                if bell.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
            Source::Postgres(listener) => listener.next().await,
        }
    }
}

/// The bells of one process, by channel.
#[derive(Debug, Default)]
pub(crate) struct Bells(Mutex<HashMap<String, watch::Sender<u64>>>);

impl Bells {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn listen(&self, channel: &str) -> watch::Receiver<u64> {
        self.lock().entry(channel.to_owned()).or_default().subscribe()
    }

    pub(crate) fn ring(&self, channels: &[String]) {
        if channels.is_empty() {
            return;
        }
        let bells = self.lock();
        for bell in channels.iter().filter_map(|channel| bells.get(channel)) {
            bell.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}
