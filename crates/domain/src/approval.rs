//! An approval: up to three stages, one after another, each decided once.

use jiff::Timestamp;

use crate::refusal::Refusal;

/// Most stages a policy may have (Graph: 0–3).
pub const MAX_STAGES: usize = 3;

/// What an approver decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Let it go on.
    Approve,
    /// End it.
    Deny,
}

impl Decision {
    /// The decision of that name, imperative or participle, matched without case.
    pub fn parse(name: &str) -> Option<Decision> {
        match name.to_ascii_lowercase().as_str() {
            "approve" | "approved" => Some(Decision::Approve),
            "deny" | "denied" => Some(Decision::Deny),
            _ => None,
        }
    }

    /// The result this decision leaves.
    pub const fn result(self) -> Result {
        match self {
            Decision::Approve => Result::Approved,
            Decision::Deny => Result::Denied,
        }
    }
}

/// How a stage was decided; Graph's `reviewResult`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Result {
    /// Nobody decided (yet).
    NotReviewed,
    /// Approved.
    Approved,
    /// Denied.
    Denied,
}

impl Result {
    /// The participle on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Result::NotReviewed => "NotReviewed",
            Result::Approved => "Approved",
            Result::Denied => "Denied",
        }
    }

    /// The result of that name.
    pub fn parse(name: &str) -> Option<Result> {
        [Result::NotReviewed, Result::Approved, Result::Denied]
            .into_iter()
            .find(|result| result.name() == name)
    }
}

/// Where a stage stands; Graph's `status` of an approval stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// An earlier stage is not decided yet.
    Initializing,
    /// Awaits a decision.
    InProgress,
    /// Decided, or closed because the request ended.
    Completed,
    /// Nobody decided in time.
    Expired,
}

impl Status {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Initializing => "Initializing",
            Status::InProgress => "InProgress",
            Status::Completed => "Completed",
            Status::Expired => "Expired",
        }
    }

    /// The status of that name.
    pub fn parse(name: &str) -> Option<Status> {
        [Status::Initializing, Status::InProgress, Status::Completed, Status::Expired]
            .into_iter()
            .find(|status| status.name() == name)
    }
}

/// One stage's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stage {
    /// Where it stands.
    pub status: Status,
    /// How it was decided.
    pub result: Result,
    /// Until when it must be decided, once it is in progress.
    pub due: Option<Timestamp>,
}

/// What can happen to a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// It is this stage's turn.
    Start {
        /// Until when it must be decided.
        due: Timestamp,
    },
    /// An approver decided.
    Decide(Decision),
    /// The time to decide is over.
    TimeOut,
    /// The request ended another way.
    Close,
}

/// What a decided stage means for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nothing yet.
    Waiting,
    /// This stage is passed; the next one starts, or the request is approved.
    Passed,
    /// The request is denied.
    Denied,
    /// Nobody decided in time; the request is denied as expired.
    TimedOut,
}

impl Stage {
    /// A stage that has not started.
    pub const fn waiting() -> Stage {
        Stage { status: Status::Initializing, result: Result::NotReviewed, due: None }
    }
}

/// Every stage answers every event: it moves, or it refuses.
pub fn step(
    stage: Stage,
    event: Event,
    now: Timestamp,
) -> std::result::Result<(Stage, Verdict), Refusal> {
    let with = |status, result| Stage { status, result, due: stage.due };
    match (stage.status, event) {
        (Status::Initializing, Event::Start { due }) => {
            Ok((Stage { status: Status::InProgress, due: Some(due), ..stage }, Verdict::Waiting))
        }
        // A decision that comes after the deadline is too late even if the sweep has not been by.
        (Status::InProgress, Event::Decide(_)) if stage.due.is_some_and(|due| due <= now) => {
            Err(Refusal::StageNotOpen { status: Status::Expired })
        }
        (Status::InProgress, Event::Decide(decision)) => {
            let verdict = match decision {
                Decision::Approve => Verdict::Passed,
                Decision::Deny => Verdict::Denied,
            };
            Ok((with(Status::Completed, decision.result()), verdict))
        }
        (Status::InProgress, Event::TimeOut) if stage.due.is_some_and(|due| due <= now) => {
            Ok((with(Status::Expired, Result::NotReviewed), Verdict::TimedOut))
        }
        (Status::Initializing | Status::InProgress, Event::Close) => {
            Ok((with(Status::Completed, Result::NotReviewed), Verdict::Waiting))
        }
        (Status::Completed | Status::Expired, Event::Close) => Ok((stage, Verdict::Waiting)),
        (Status::Completed, Event::Decide(_)) if stage.result != Result::NotReviewed => {
            Err(Refusal::StageAlreadyDecided { result: stage.result })
        }
        (status, _) => Err(Refusal::StageNotOpen { status }),
    }
}
