//! Why an attempt did not succeed: the closed list every connector must choose from.
//!
//! Connectors classify by code and structure, never by the wording of a message. What follows from
//! a class (try again, hold, give up) is decided in `delivery` and `retry`, not here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a fault says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Class {
    /// The call was sent and its outcome is not known. Observe before anything else.
    Unknown,
    /// This row will not succeed until somebody changes something (role gone, person unknown).
    Permanent,
    /// This row may succeed later by itself.
    Transient,
    /// The whole target is in trouble (address, name, certificate, credentials); costs the row no
    /// attempt.
    Target,
    /// The target asked us to slow down; costs the row no attempt.
    Throttled,
    /// The target cannot do this at all (no PATCH, no such role kind).
    Unsupported,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 6] = [
        Class::Unknown,
        Class::Permanent,
        Class::Transient,
        Class::Target,
        Class::Throttled,
        Class::Unsupported,
    ];

    /// Stable text, used in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Unknown => "unknown",
            Class::Permanent => "permanent",
            Class::Transient => "transient",
            Class::Target => "target",
            Class::Throttled => "throttled",
            Class::Unsupported => "unsupported",
        }
    }

    /// The class of that name.
    pub fn parse(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// Why an attempt did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What it says about trying again.
    pub class: Class,
    /// Short, stable, without ids: `http-503`, `ldap-50`, `timeout`, `dns`, `resource-gone`.
    pub code: String,
    /// What the target answered, for people; at most 500 characters, no secrets.
    pub message: String,
    /// How long the target asked us to wait, if it said so.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// The code of a connector that broke down under a call.
    pub const PANIC: &str = "panic";
    /// The code of a call that was not sent, because its claim was too old.
    pub const LATE: &str = "late";
    /// Longest message kept; the rest is cut.
    pub const MESSAGE_LIMIT: usize = 500;

    /// A fault of this class, with its message cut to [`Fault::MESSAGE_LIMIT`].
    pub fn new(class: Class, code: impl Into<String>, message: impl Into<String>) -> Fault {
        let message: String = message.into().chars().take(Self::MESSAGE_LIMIT).collect();
        Fault { class, code: code.into(), message, retry_after: None }
    }

    /// The same fault with the wait that the target asked for.
    pub fn after(mut self, wait: Option<Duration>) -> Fault {
        self.retry_after = wait;
        self
    }
}
