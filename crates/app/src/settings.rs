//! The settings of one deployment that verbs and the worker need. Read by `server/src/config.rs`.

use accede_domain::retry::Retry;
use jiff::SignedDuration;

/// The settings of one deployment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long after its first completion a request can be reprocessed; `None`: for ever.
    pub reprocess_window: Option<SignedDuration>,
    /// Waits and windows of delivery.
    pub retry: Retry,
    /// How many derived changes wait for a second person.
    pub guards: accede_domain::guard::Limits,
    /// How far back derived changes are counted together.
    pub guard_window: SignedDuration,
    /// How often targets are compared with what is wanted there; `None`: only when somebody asks.
    pub drift_every: Option<SignedDuration>,
    /// What is done about a role that somebody takes away, where the target says nothing else.
    pub drift_missing: accede_domain::drift::Missing,
    /// Networks that connectors may reach beyond the default, and those they may not.
    pub egress: std::sync::Arc<accede_connectors::egress::Policy>,
    /// Most calls in flight over all targets.
    pub worker_calls: usize,
}

/// The default reprocess window (DESIGN section 5).
pub const REPROCESS_WINDOW: SignedDuration = SignedDuration::from_hours(14 * 24);
/// The default of [`Settings::guard_window`].
pub const GUARD_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// The default of [`Settings::worker_calls`].
pub const WORKER_CALLS: usize = 64;

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            reprocess_window: Some(REPROCESS_WINDOW),
            retry: Retry::default(),
            guards: accede_domain::guard::Limits::default(),
            guard_window: GUARD_WINDOW,
            drift_every: Some(accede_domain::drift::EVERY),
            drift_missing: accede_domain::drift::Missing::default(),
            egress: std::sync::Arc::default(),
            worker_calls: WORKER_CALLS,
        }
    }
}
