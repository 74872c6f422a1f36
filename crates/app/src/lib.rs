//! The verbs of Accede: one function per thing a person, a client or a timer can ask.
//!
//! A verb authorises, reads the clock once, opens one transaction, lets the rules decide, saves,
//! records effects and history, commits. Nothing that is necessary happens after the commit.

mod audit;
pub mod caller;
pub mod clock;
mod error;
pub mod list;
pub mod settings;

use std::sync::Arc;

use accede_domain::Timestamp;
use accede_domain::id::Id;
use accede_store::Store;

pub use caller::{Caller, Principal};
pub use clock::{Clock, Entropy};
pub use error::{Error, Result};
pub use list::{Listing, Page};
pub use settings::Settings;

/// The application: everything the doors may ask for. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    settings: Settings,
}

impl App {
    /// An application over an open, migrated store.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> App {
        App { inner: Arc::new(Inner { store, clock, entropy, settings }) }
    }

    /// The present instant. Verbs read it once, at their top.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The settings of this deployment.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.inner.entropy
    }

    pub(crate) fn mint<I: Id>(&self, now: Timestamp) -> I {
        I::from_uuid(self.inner.entropy.uuid(now))
    }
}
