//! An assignment request: the states it moves through and what moves it.
//!
//! `step` is the only way a request changes state. It is total: every state answers every event, by
//! moving or by refusing with both names. The reviewed table is `crates/domain/transitions.txt`.

use jiff::{SignedDuration, Timestamp};

use crate::refusal::Refusal;
use crate::rollup::Outcome;

/// What a request asks for and who asks; Graph's `accessPackageRequestType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// A person asks for themself, or their manager for them.
    UserAdd,
    /// A person gives access back.
    UserRemove,
    /// An administrator assigns.
    AdminAdd,
    /// An administrator takes away.
    AdminRemove,
    /// The service takes away: an assignment reached its end or its subject left.
    SystemRemove,
}

/// Whether access is to be given or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wish {
    /// Give access.
    Add,
    /// Take access away.
    Remove,
}

impl Type {
    /// Every type.
    pub const ALL: [Type; 5] =
        [Type::UserAdd, Type::UserRemove, Type::AdminAdd, Type::AdminRemove, Type::SystemRemove];

    /// The name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Type::UserAdd => "userAdd",
            Type::UserRemove => "userRemove",
            Type::AdminAdd => "adminAdd",
            Type::AdminRemove => "adminRemove",
            Type::SystemRemove => "systemRemove",
        }
    }

    /// The type of that name, matched without case.
    pub fn parse(name: &str) -> Option<Type> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Whether it gives or takes.
    pub const fn wish(self) -> Wish {
        match self {
            Type::UserAdd | Type::AdminAdd => Wish::Add,
            Type::UserRemove | Type::AdminRemove | Type::SystemRemove => Wish::Remove,
        }
    }
}

/// Why a request was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denial {
    /// An approver said no.
    Decided,
    /// Nobody decided in time; the status reads `Expired`.
    TimedOut,
}

/// Where a request stands. Carries only what that state knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Recorded, not yet looked at.
    Submitted,
    /// Waits for an approval stage.
    PendingApproval,
    /// Accepted; its period begins later.
    Scheduled {
        /// When delivery begins.
        start: Timestamp,
    },
    /// Roles are being given or taken in target systems.
    Delivering {
        /// When the request first completed, if it is being reprocessed.
        first_completed: Option<Timestamp>,
    },
    /// Everything is there (or gone, for a removal).
    Delivered {
        /// When it first completed.
        first_completed: Timestamp,
        /// When it last completed.
        completed: Timestamp,
    },
    /// Something is there, something is not.
    PartiallyDelivered {
        /// When it first completed; the reprocess window counts from here.
        first_completed: Timestamp,
        /// When it last completed.
        completed: Timestamp,
    },
    /// Nothing could be delivered.
    DeliveryFailed {
        /// When it first completed; the reprocess window counts from here.
        first_completed: Timestamp,
        /// When it last completed.
        completed: Timestamp,
    },
    /// Refused by an approver or by silence.
    Denied {
        /// When.
        at: Timestamp,
        /// By whom or what.
        why: Denial,
    },
    /// Withdrawn, and what was delivered is being taken back.
    Canceling {
        /// When it first completed.
        first_completed: Timestamp,
    },
    /// Withdrawn.
    Canceled {
        /// When.
        at: Timestamp,
    },
}

/// What can happen to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The policy wants approvers asked.
    AskApprovers,
    /// Approved, or no approval needed; `start` is when the period begins.
    Accept {
        /// Start of the wanted period, if it lies in the future.
        start: Option<Timestamp>,
    },
    /// An approver said no.
    Deny,
    /// Nobody decided in time.
    TimeOut,
    /// The clock reached something the request waits for.
    Tick,
    /// Delivery cannot begin; the reason stands beside the state.
    Block,
    /// Its deliveries came to rest with this outcome.
    Settle(Outcome),
    /// Somebody asks to try the undelivered again.
    Reprocess {
        /// How long after the first completion that is allowed; `None`: for ever.
        window: Option<SignedDuration>,
    },
    /// Somebody withdraws it.
    Cancel,
    /// What a withdrawn request had delivered is confirmed gone.
    Withdrawn,
    /// While it was delivering, its end came or its subject left: what was delivered is taken back.
    Overtake,
    /// Something that it could not deliver was settled by hand.
    Resolve,
}

/// What a step wants done, as rows in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Start the first approval stage.
    StartApproval,
    /// Close the approval: no stage awaits a decision any more.
    CloseApproval,
    /// Create or end the assignment and its deliveries.
    BeginDelivery,
    /// Open again what is not delivered.
    RetryUndelivered,
    /// Take back what was delivered.
    Withdraw,
}

impl State {
    /// The name on the wire; what Graph has no word for shows as the nearest state.
    pub const fn name(&self) -> &'static str {
        match self {
            State::Submitted => "submitted",
            State::PendingApproval => "pendingApproval",
            State::Scheduled { .. } => "scheduled",
            State::Delivering { .. } | State::Canceling { .. } => "delivering",
            State::Delivered { .. } => "delivered",
            State::PartiallyDelivered { .. } => "partiallyDelivered",
            State::DeliveryFailed { .. } => "deliveryFailed",
            State::Denied { .. } => "denied",
            State::Canceled { .. } => "canceled",
        }
    }

    /// Graph's free-text `status`: finer than the state, for display.
    pub const fn status(&self) -> &'static str {
        match self {
            State::Submitted => "Accepted",
            State::PendingApproval => "PendingApproval",
            State::Scheduled { .. } => "PendingNotBefore",
            State::Delivering { .. } => "Delivering",
            State::Delivered { .. } => "Delivered",
            State::PartiallyDelivered { .. } => "PartiallyDelivered",
            State::DeliveryFailed { .. } => "DeliveryFailed",
            State::Denied { why: Denial::Decided, .. } => "Denied",
            State::Denied { why: Denial::TimedOut, .. } => "Expired",
            State::Canceling { .. } => "Canceling",
            State::Canceled { .. } => "Canceled",
        }
    }

    /// When it last completed; nothing while it is under way again.
    pub const fn completed(&self) -> Option<Timestamp> {
        match self {
            State::Delivered { completed, .. }
            | State::PartiallyDelivered { completed, .. }
            | State::DeliveryFailed { completed, .. } => Some(*completed),
            State::Denied { at, .. } | State::Canceled { at } => Some(*at),
            State::Submitted
            | State::PendingApproval
            | State::Scheduled { .. }
            | State::Delivering { .. }
            | State::Canceling { .. } => None,
        }
    }

    /// When it first completed.
    pub const fn first_completed(&self) -> Option<Timestamp> {
        match self {
            State::Delivered { first_completed, .. }
            | State::PartiallyDelivered { first_completed, .. }
            | State::DeliveryFailed { first_completed, .. }
            | State::Canceling { first_completed } => Some(*first_completed),
            State::Delivering { first_completed } => *first_completed,
            State::Denied { at, .. } | State::Canceled { at } => Some(*at),
            State::Submitted | State::PendingApproval | State::Scheduled { .. } => None,
        }
    }

    /// Whether it still holds the place of its person and package: no second one may be opened.
    pub const fn is_open(&self) -> bool {
        matches!(
            self,
            State::Submitted
                | State::PendingApproval
                | State::Scheduled { .. }
                | State::Delivering { .. }
                | State::Canceling { .. }
        )
    }

    /// Whether reprocess has something to do here, the window aside.
    pub const fn is_reprocessable(&self) -> bool {
        matches!(self, State::PartiallyDelivered { .. } | State::DeliveryFailed { .. })
    }
}

impl Event {
    /// The event as a verb, for sentences.
    pub const fn verb(&self) -> &'static str {
        match self {
            Event::AskApprovers => "ask approvers",
            Event::Accept { .. } => "be approved",
            Event::Deny => "be denied",
            Event::TimeOut => "time out",
            Event::Tick => "begin",
            Event::Block => "be blocked",
            Event::Settle(_) => "settle",
            Event::Reprocess { .. } => "be reprocessed",
            Event::Cancel => "be canceled",
            Event::Withdrawn => "end as withdrawn",
            Event::Overtake => "be overtaken by its end",
            Event::Resolve => "be settled by hand",
        }
    }

    /// What the reader can do instead.
    pub const fn advice(&self, state: &State) -> &'static str {
        match (self, state) {
            (Event::Reprocess { .. }, State::Delivered { .. }) => {
                "to repair access that was changed outside, reprocess the assignment"
            }
            (Event::Reprocess { .. }, State::Denied { .. } | State::Canceled { .. }) => {
                "request the access package anew"
            }
            (Event::Reprocess { .. }, _) => {
                "only partiallyDelivered and deliveryFailed requests can be reprocessed"
            }
            (Event::Cancel, State::Delivered { .. }) => {
                "to give the access up, remove the assignment"
            }
            (Event::Cancel, State::Delivering { .. }) => {
                "to stop it and take back what it gave, remove its assignment"
            }
            (Event::Cancel, _) => "it is over already",
            _ => "read it again to see where it stands",
        }
    }
}

/// When the window for reprocessing closes, if it does.
pub fn window_end(first_completed: Timestamp, window: Option<SignedDuration>) -> Option<Timestamp> {
    window.and_then(|window| first_completed.checked_add(window).ok())
}

/// Every state answers every event: it moves, or it refuses. It never panics.
pub fn step(state: State, event: Event, now: Timestamp) -> Result<(State, Vec<Effect>), Refusal> {
    use {Effect as Fx, Event as Ev, State as St};
    let go = |next: State, effects: &[Effect]| Ok((next, effects.to_vec()));
    match (state, event) {
        (St::Submitted, Ev::AskApprovers) => go(St::PendingApproval, &[Fx::StartApproval]),
        (St::Submitted | St::PendingApproval, Ev::Accept { start: Some(start) }) if now < start => {
            go(St::Scheduled { start }, &[])
        }
        (St::Submitted | St::PendingApproval, Ev::Accept { .. }) => {
            go(St::Delivering { first_completed: None }, &[Fx::BeginDelivery])
        }
        (St::PendingApproval, Ev::Deny) => {
            go(St::Denied { at: now, why: Denial::Decided }, &[Fx::CloseApproval])
        }
        (St::PendingApproval, Ev::TimeOut) => {
            go(St::Denied { at: now, why: Denial::TimedOut }, &[Fx::CloseApproval])
        }
        (St::Scheduled { start }, Ev::Tick) if start <= now => {
            go(St::Delivering { first_completed: None }, &[Fx::BeginDelivery])
        }
        (St::Delivering { first_completed }, Ev::Block) => {
            let first_completed = first_completed.unwrap_or(now);
            go(St::DeliveryFailed { first_completed, completed: now }, &[])
        }
        (St::Delivering { first_completed }, Ev::Settle(outcome)) => {
            go(settled(outcome, first_completed.unwrap_or(now), now), &[])
        }
        // Asking twice is asking once.
        (St::Delivering { .. }, Ev::Reprocess { .. }) => go(state, &[]),
        (
            St::PartiallyDelivered { first_completed, .. }
            | St::DeliveryFailed { first_completed, .. },
            Ev::Reprocess { window },
        ) => match window_end(first_completed, window) {
            Some(ended) if ended < now => {
                Err(Refusal::ReprocessWindowExpired { completed: first_completed, ended })
            }
            _ => go(
                St::Delivering { first_completed: Some(first_completed) },
                &[Fx::RetryUndelivered],
            ),
        },
        (St::Submitted | St::Scheduled { .. }, Ev::Cancel) => go(St::Canceled { at: now }, &[]),
        (St::PendingApproval, Ev::Cancel) => go(St::Canceled { at: now }, &[Fx::CloseApproval]),
        (
            St::PartiallyDelivered { first_completed, .. }
            | St::DeliveryFailed { first_completed, .. },
            Ev::Cancel,
        ) => go(St::Canceling { first_completed }, &[Fx::Withdraw]),
        (St::Delivering { first_completed }, Ev::Overtake) => {
            let first_completed = first_completed.unwrap_or(now);
            go(St::Canceling { first_completed }, &[Fx::Withdraw])
        }
        // Where its deliveries stand now is told by the roll-up that follows.
        (
            St::PartiallyDelivered { first_completed, .. }
            | St::DeliveryFailed { first_completed, .. },
            Ev::Resolve,
        ) => go(St::Delivering { first_completed: Some(first_completed) }, &[]),
        (St::Canceling { .. }, Ev::Withdrawn) => go(St::Canceled { at: now }, &[]),
        // Asking twice is asking once.
        (St::Canceling { .. }, Ev::Cancel) => go(state, &[]),
        (state, event) => Err(Refusal::RequestNotNow { state, event }),
    }
}

fn settled(outcome: Outcome, first_completed: Timestamp, completed: Timestamp) -> State {
    match outcome {
        Outcome::All => State::Delivered { first_completed, completed },
        Outcome::Some => State::PartiallyDelivered { first_completed, completed },
        Outcome::None => State::DeliveryFailed { first_completed, completed },
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
