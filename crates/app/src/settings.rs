//! The settings of one deployment that verbs and the worker need. Read by `server/src/config.rs`.

use accede_domain::retry::Retry;
use jiff::SignedDuration;

/// The settings of one deployment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long after its first completion a request can be reprocessed; `None`: for ever.
    pub reprocess_window: Option<SignedDuration>,
    /// A reprocess plan with more requests than this is run by another person than who made it;
    /// `None`: who made it runs it.
    pub four_eyes_above: Option<i64>,
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
    /// What is done about access that nothing gives, where the target says nothing else.
    pub drift_extra: accede_domain::drift::Extra,
    /// Networks that connectors may reach beyond the default, and those they may not.
    pub egress: std::sync::Arc<accede_connectors::egress::Policy>,
    /// Most calls in flight over all targets.
    pub worker_calls: usize,
    /// Whom notices go to.
    pub notices: Notices,
}

/// Whom notices go to, and how.
#[derive(Debug, Clone)]
pub struct Notices {
    /// The mail server and the address that mail comes from; `None`: no mail is sent.
    pub mail: Option<(accede_connectors::mail::Server, String)>,
    /// The addresses of those who run the server.
    pub to: Vec<String>,
    /// The webhook; `None`: none is called.
    pub webhook: Option<accede_connectors::hook::Hook>,
    /// How often it is told what is newly not delivered; `None`: never.
    pub digest: Option<SignedDuration>,
    /// Whether those who manage assignments are told what concerns their catalogs.
    pub tells_managers: bool,
    /// Where people reach the portal, without a slash at the end; `None`: notices have no links.
    pub portal: Option<String>,
}

/// The default of [`Notices::digest`].
pub const DIGEST: SignedDuration = SignedDuration::from_hours(1);

impl Default for Notices {
    fn default() -> Notices {
        Notices {
            mail: None,
            to: Vec::new(),
            webhook: None,
            digest: Some(DIGEST),
            tells_managers: true,
            portal: None,
        }
    }
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
            four_eyes_above: None,
            retry: Retry::default(),
            guards: accede_domain::guard::Limits::default(),
            guard_window: GUARD_WINDOW,
            drift_every: Some(accede_domain::drift::EVERY),
            drift_missing: accede_domain::drift::Missing::default(),
            drift_extra: accede_domain::drift::Extra::default(),
            egress: std::sync::Arc::default(),
            worker_calls: WORKER_CALLS,
            notices: Notices::default(),
        }
    }
}
