//! The verbs of Accede: one function per thing a person, a client or a timer can ask.
//!
//! A verb authorises, reads the clock once, opens one transaction, lets the rules decide, saves,
//! records effects and history, commits. Nothing that is necessary happens after the commit.

mod ahead;
mod alarms;
pub mod approvals;
pub mod apps;
pub mod assignments;
mod audit;
pub mod callbacks;
pub mod caller;
mod callers;
pub mod catalogs;
pub mod circuits;
pub mod clock;
pub mod comparison;
pub mod creations;
mod deed;
pub mod deliveries;
pub mod delivering;
pub mod deployment;
pub mod directory_groups;
pub mod directory_roles;
pub mod drift;
mod drift_extra;
mod drift_sweep;
mod error;
pub mod failures;
pub mod fields;
pub mod groups;
pub mod guards;
pub mod hands;
pub mod health;
pub mod instance;
pub mod keys;
mod letters;
pub mod list;
pub mod notices;
pub mod open;
pub mod paces;
pub mod packages;
mod poison;
pub mod policies;
pub mod related;
pub mod reprocess;
pub mod requests;
pub mod resolutions;
pub mod resources;
pub mod role_assignments;
mod seal;
pub mod settings;
pub mod sign_in;
pub mod spreads;
mod sweeper;
pub mod targets;
pub mod tasks;
pub mod text;
mod throttle;
mod timeline;
pub mod tokens;
pub mod user_import;
pub mod users;
pub mod waiting;
pub mod worker;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use accede_domain::Timestamp;
use accede_domain::id::Id;
use accede_store::Store;
use tokio::sync::{Notify, Semaphore};

use crate::hands::Hands;
use crate::keys::Keys;
use crate::tokens::Signer;

pub use accede_connectors::{chaos, egress};
pub use accede_store::crash;
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
    keys: Keys,
    signer: OnceLock<Signer>,
    hashings: Semaphore,
    hash_queue: AtomicUsize,
    tally: health::Tally,
    done: paces::Done,
    watches: circuits::Watches,
    watch: deployment::Watch,
}

impl App {
    /// An application over an open, migrated store, with keys that live as long as the process:
    /// what it seals into the database does not open after it. For tests and simulations; see
    /// [`App::open`].
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> App {
        let keys = Keys::ephemeral(&*entropy).unwrap_or_else(|_| {
            // Only a broken cryptographic library refuses; nothing may go on without it.
            std::process::abort()
        });
        App::with_keys(store, clock, entropy, settings, keys)
    }

    /// An application over an open, migrated store, with the deployment's keys.
    pub fn with_keys(
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
        keys: Keys,
    ) -> App {
        let inner = Arc::new(Inner {
            store,
            clock,
            entropy,
            settings,
            hands: Hands::default(),
            wake: Notify::new(),
            keys,
            signer: OnceLock::new(),
            hashings: Semaphore::new(sign_in::HASHINGS),
            hash_queue: AtomicUsize::new(0),
            tally: health::Tally::default(),
            done: paces::Done::default(),
            watches: circuits::Watches::default(),
            watch: deployment::Watch::default(),
        });
        inner.hands.belong_to(&inner);
        App { inner }
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

    pub(crate) fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    pub(crate) fn signer(&self) -> Result<&Signer> {
        let missing = || Error::internal("the application was not prepared: it has no signing key");
        self.inner.signer.get().ok_or_else(missing)
    }

    /// The first one stays: all are the same.
    pub(crate) fn set_signer(&self, signer: Signer) {
        self.inner.signer.get_or_init(|| signer);
    }

    pub(crate) fn hashings(&self) -> &Semaphore {
        &self.inner.hashings
    }

    pub(crate) fn watches(&self) -> &circuits::Watches {
        &self.inner.watches
    }

    pub(crate) fn watch(&self) -> &deployment::Watch {
        &self.inner.watch
    }

    pub(crate) fn tally(&self) -> &health::Tally {
        &self.inner.tally
    }

    /// What was done and not written down yet.
    pub(crate) fn done(&self) -> &paces::Done {
        &self.inner.done
    }

    pub(crate) fn hash_queue(&self) -> &AtomicUsize {
        &self.inner.hash_queue
    }

    pub(crate) fn mint<I: Id>(&self, now: Timestamp) -> I {
        I::from_uuid(self.inner.entropy.uuid(now))
    }
}
