//! The verbs of Accede: one function per thing a person, a client or a timer can ask.
//!
//! A verb authorises, reads the clock once, opens one transaction, lets the rules decide, saves,
//! records effects and history, commits. Nothing that is necessary happens after the commit.

pub mod approvals;
pub mod assignments;
mod audit;
pub mod caller;
pub mod catalogs;
pub mod clock;
pub mod creations;
mod deed;
pub mod deliveries;
pub mod delivering;
mod error;
pub mod failures;
pub mod hands;
pub mod list;
pub mod packages;
pub mod policies;
pub mod related;
pub mod reprocess;
pub mod requests;
pub mod resources;
pub mod settings;
mod sweeper;
pub mod text;
pub mod worker;

use std::sync::Arc;

use accede_domain::Timestamp;
use accede_domain::id::Id;
use accede_store::Store;
use tokio::sync::Notify;

use crate::hands::Hands;

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
    hands: Hands,
    wake: Notify,
}

impl App {
    /// An application over an open, migrated store.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> App {
        let hands = Hands::default();
        let wake = Notify::new();
        App { inner: Arc::new(Inner { store, clock, entropy, settings, hands, wake }) }
    }

    /// The present instant. Verbs read it once, at their top.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The settings of this deployment.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The connectors of the targets.
    pub fn hands(&self) -> &Hands {
        &self.inner.hands
    }

    /// Tells the worker of this process that there may be something to do. Helpful, never
    /// necessary: what is due is found without it.
    pub(crate) fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// Resolves when somebody calls [`App::wake`].
    pub(crate) async fn woken(&self) {
        self.inner.wake.notified().await;
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
