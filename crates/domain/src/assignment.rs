//! An assignment: one person has one access package for a period `[start, end)`.

use jiff::Timestamp;

use crate::refusal::Refusal;
use crate::rollup::Outcome;

/// Where an assignment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Roles are being given.
    Delivering,
    /// Some roles are there, some are not.
    PartiallyDelivered,
    /// Every role is there.
    Delivered,
    /// No role could be given.
    DeliveryFailed,
    /// It is over, and its roles are being taken.
    Ending {
        /// Since when it is over.
        since: Timestamp,
    },
    /// It is over, and every revocation is confirmed.
    Expired {
        /// When the last revocation was confirmed.
        at: Timestamp,
    },
}

/// What can happen to an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Its deliveries opened again (retry, drift, a role added to the package).
    Open,
    /// Its deliveries came to rest with this outcome.
    Settle(Outcome),
    /// It is over: removed, its end reached, its subject gone, its request canceled.
    End,
    /// Every revocation is confirmed.
    Ended,
    /// Somebody asks to observe and re-apply every role.
    Reprocess,
}

impl State {
    /// The name on the wire. An ending assignment shows as delivering: its removal is under way.
    pub const fn name(&self) -> &'static str {
        match self {
            State::Delivering | State::Ending { .. } => "delivering",
            State::PartiallyDelivered => "partiallyDelivered",
            State::Delivered => "delivered",
            State::DeliveryFailed => "deliveryFailed",
            State::Expired { .. } => "expired",
        }
    }

    /// Graph's free-text `status`.
    pub const fn status(&self) -> &'static str {
        match self {
            State::Delivering => "Delivering",
            State::PartiallyDelivered => "PartiallyDelivered",
            State::Delivered => "Delivered",
            State::DeliveryFailed => "DeliveryFailed",
            State::Ending { .. } => "Ending",
            State::Expired { .. } => "Expired",
        }
    }

    /// Whether it lives and came to rest without some of its roles.
    pub const fn is_settled_short(&self) -> bool {
        matches!(self, State::PartiallyDelivered | State::DeliveryFailed)
    }

    /// Whether it is a reason for its roles to be there (its period aside).
    pub const fn is_live(&self) -> bool {
        !matches!(self, State::Ending { .. } | State::Expired { .. })
    }
}

impl Event {
    /// The event as a verb, for sentences.
    pub const fn verb(&self) -> &'static str {
        match self {
            Event::Open => "be opened again",
            Event::Settle(_) => "settle",
            Event::End => "end",
            Event::Ended => "be closed",
            Event::Reprocess => {
                "be reprocessed; only a delivered assignment can, and a partly delivered one is \
                 repaired by reprocessing its request"
            }
        }
    }
}

/// Every state answers every event: it moves, or it refuses.
pub fn step(state: State, event: Event, now: Timestamp) -> Result<State, Refusal> {
    use {Event as Ev, State as St};
    match (state, event) {
        (
            St::Delivering | St::PartiallyDelivered | St::Delivered | St::DeliveryFailed,
            Ev::Open,
        ) => Ok(St::Delivering),
        (St::Delivering, Ev::Settle(outcome)) => Ok(match outcome {
            Outcome::All => St::Delivered,
            Outcome::Some => St::PartiallyDelivered,
            Outcome::None => St::DeliveryFailed,
        }),
        (St::Delivering | St::PartiallyDelivered | St::Delivered | St::DeliveryFailed, Ev::End) => {
            Ok(St::Ending { since: now })
        }
        (St::Ending { .. }, Ev::Ended) => Ok(St::Expired { at: now }),
        (St::Delivered, Ev::Reprocess) => Ok(St::Delivering),
        // Asking twice is asking once.
        (St::Ending { .. } | St::Expired { .. }, Ev::End) => Ok(state),
        (St::Delivering, Ev::Reprocess) => Ok(state),
        (state, event) => Err(Refusal::AssignmentNotNow { state, event }),
    }
}
