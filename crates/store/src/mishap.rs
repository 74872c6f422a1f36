//! What befalls a write transaction in tests: an engine that does not answer, a commit that fails, a
//! commit whose answer is lost.
//!
//! A test arms one mishap; it befalls one transaction on SQLite and is over. Without the feature
//! `testing` nothing of this is there.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// Something that befalls one write transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// Another process holds the database: nothing of it begins.
    Busy,
    /// It loses against another transaction and is run again, as PostgreSQL has it.
    Again,
    /// Its commit fails: nothing of it is there.
    Fails,
    /// It is committed, and whoever waits for that is not told.
    Unheard,
}

impl Mishap {
    /// Every mishap.
    pub const ALL: [Mishap; 4] = [Mishap::Busy, Mishap::Again, Mishap::Fails, Mishap::Unheard];

    /// What the caller is told.
    fn error(self) -> Option<Error> {
        match self {
            Mishap::Busy => Some(Error::Locked("another process holds it".to_owned())),
            Mishap::Again => None,
            Mishap::Fails => Some(Error::Unavailable("the commit failed".to_owned())),
            Mishap::Unheard => Some(Error::Uncertain),
        }
    }
}

#[derive(Default)]
struct State {
    /// How many transactions pass before it befalls one.
    armed: Option<(usize, Mishap)>,
    befell: Option<Mishap>,
}

/// The mishap that is to befall a store.
#[derive(Default)]
pub struct Mishaps(Mutex<State>);

impl Mishaps {
    /// Has a mishap befall a write transaction, after so many others that could have met it.
    pub fn arm(&self, after: usize, mishap: Mishap) {
        *self.lock() = State { armed: Some((after, mishap)), befell: None };
    }

    /// Ends the wait for a mishap; the one that has befallen a transaction since it was armed.
    pub fn disarm(&self) -> Option<Mishap> {
        std::mem::take(&mut *self.lock()).befell
    }

    /// Whether a transaction that begins is refused.
    pub(crate) fn refuses(&self) -> Option<Error> {
        self.meet(|mishap| mishap == Mishap::Busy).and_then(Mishap::error)
    }

    /// Whether a transaction that begins will lose against another one first.
    pub(crate) fn loses(&self) -> bool {
        self.meet(|mishap| mishap == Mishap::Again).is_some()
    }

    /// What befalls a transaction that is about to be committed: whether it is, and what its caller is
    /// told instead.
    pub(crate) fn at_commit(&self) -> Option<(bool, Error)> {
        let mishap = self.meet(|mishap| matches!(mishap, Mishap::Fails | Mishap::Unheard))?;
        Some((mishap == Mishap::Unheard, mishap.error()?))
    }

    fn meet(&self, is_here: impl Fn(Mishap) -> bool) -> Option<Mishap> {
        let mut state = self.lock();
        let (after, mishap) = state.armed.filter(|(_, mishap)| is_here(*mishap))?;
        if let Some(after) = after.checked_sub(1) {
            state.armed = Some((after, mishap));
            return None;
        }
        *state = State { armed: None, befell: Some(mishap) };
        Some(mishap)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::{Result, Store, params};

    async fn insert(store: &Store, id: i64) -> Result<()> {
        store
            .write(async |tx| {
                tx.execute("insert into rows (id) values ($1)", params![id]).await.map(drop)
            })
            .await
    }

    async fn ids(store: &Store) -> Vec<i64> {
        store
            .read(async |tx| {
                let rows = tx.query("select id from rows order by id", params![]).await?;
                rows.iter().map(|row| row.get(0)).collect::<Result<_>>()
            })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_mishap_befalls_one_transaction_and_says_what_became_of_it() {
        let store = Store::open_in_memory().unwrap();
        let table = "create table rows (id integer primary key) strict";
        store.write(async |tx| tx.execute(table, params![]).await.map(drop)).await.unwrap();
        for (id, mishap, is_there) in [
            (1, Mishap::Busy, false),
            (2, Mishap::Again, true),
            (3, Mishap::Fails, false),
            (4, Mishap::Unheard, true),
        ] {
            store.mishaps().arm(1, mishap);
            insert(&store, id * 10).await.unwrap();
            assert_eq!(insert(&store, id).await.err(), mishap.error(), "{mishap:?}");
            assert_eq!(ids(&store).await.contains(&id), is_there, "{mishap:?}");
            assert_eq!(store.mishaps().disarm(), Some(mishap));
            assert_eq!(insert(&store, id + 100).await, Ok(()), "{mishap:?} is over");
        }
        store.mishaps().arm(1, Mishap::Fails);
        insert(&store, 7).await.unwrap();
        assert_eq!(store.mishaps().disarm(), None);
    }
}
