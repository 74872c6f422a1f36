//! States, types, kinds and codes in the words of people.

use accede_app::drift::{DriftKind, FindingState};
use accede_app::guards::GuardState;
use accede_app::notices::NoticeState;
use accede_app::waiting::{Owner, Then, Wait};
use accede_domain::approval;
use accede_domain::delivery::{Delivery, Phase};
use accede_domain::fault::Class;
use accede_domain::request::{Denial, State, Type};
use accede_domain::{assignment, pending, policy::SubjectSet, task};

use super::part::{Badge, Notice, Tone, minute};

/// A request's state.
pub fn request_state(state: &State) -> Badge {
    match state {
        State::Denied { why: Denial::TimedOut, .. } => {
            Badge::new(Tone::Idle, "no", "Expired undecided")
        }
        State::Canceling { .. } => Badge::new(Tone::Info, "go", "Canceling"),
        other => request_state_named(other.name()),
    }
}

/// A request's state by its name on the wire.
pub fn request_state_named(name: &str) -> Badge {
    match name {
        "submitted" => Badge::new(Tone::Info, "wait", "Submitted"),
        "pendingApproval" => Badge::new(Tone::Info, "wait", "Pending approval"),
        "scheduled" => Badge::new(Tone::Info, "wait", "Scheduled"),
        "delivering" => Badge::new(Tone::Info, "go", "Delivering"),
        "delivered" => Badge::new(Tone::Ok, "ok", "Delivered"),
        "partiallyDelivered" => Badge::new(Tone::Warn, "part", "Partially delivered"),
        "deliveryFailed" => Badge::new(Tone::Bad, "bad", "Delivery failed"),
        "denied" => Badge::new(Tone::Idle, "no", "Denied"),
        "canceled" => Badge::new(Tone::Idle, "off", "Canceled"),
        other => Badge::new(Tone::Idle, "info", other),
    }
}

/// The states that lists filter by, in the order of a request's life: name and words.
pub const REQUEST_STATES: [(&str, &str); 8] = [
    ("partiallyDelivered", "Partially delivered"),
    ("deliveryFailed", "Delivery failed"),
    ("delivering", "Delivering"),
    ("delivered", "Delivered"),
    ("pendingApproval", "Pending approval"),
    ("scheduled", "Scheduled"),
    ("denied", "Denied"),
    ("canceled", "Canceled"),
];

/// The states an assignment can be filtered by.
pub const ASSIGNMENT_STATES: [(&str, &str); 5] = [
    ("delivered", "Delivered"),
    ("delivering", "Delivering"),
    ("partiallyDelivered", "Partially delivered"),
    ("deliveryFailed", "Delivery failed"),
    ("expired", "Ended"),
];

/// A sentence of the rules with the names of states in words: `delivered` as “Delivered”, and
/// partiallyDelivered without ticks as `partially delivered`.
pub fn states_told(text: &str) -> String {
    let mut told = text.to_owned();
    for (name, words) in REQUEST_STATES {
        told = told.replace(&format!("`{name}`"), &format!("“{words}”"));
        if name.chars().any(char::is_uppercase) {
            told = told.replace(name, &words.to_lowercase());
        }
    }
    told
}

/// What a request asks for.
pub const fn request_type(kind: Type) -> &'static str {
    match kind {
        Type::UserAdd => "Request for access",
        Type::UserRemove => "Access given back",
        Type::AdminAdd => "Assigned by an administrator",
        Type::AdminRemove => "Removed by an administrator",
        Type::SystemRemove => "Access ended",
    }
}

/// An assignment's state.
pub fn assignment_state(state: &assignment::State) -> Badge {
    match state {
        assignment::State::Ending { .. } => Badge::new(Tone::Info, "go", "Ending"),
        assignment::State::Expired { .. } => Badge::new(Tone::Idle, "off", "Ended"),
        other => request_state_named(other.name()),
    }
}

/// How a delivery stands.
pub fn delivery_state(delivery: &Delivery) -> Badge {
    let settled = delivery.is_so() && !matches!(delivery.phase, Phase::Due { .. });
    match delivery.phase {
        Phase::Settled if delivery.wanted => Badge::new(Tone::Ok, "ok", "Delivered"),
        Phase::Settled => Badge::new(Tone::Idle, "off", "Removed"),
        Phase::InFlight { .. } if settled && delivery.wanted => {
            Badge::new(Tone::Ok, "ok", "Delivered")
        }
        Phase::InFlight { .. } if settled => Badge::new(Tone::Idle, "off", "Removed"),
        Phase::Due { .. } | Phase::InFlight { .. } if delivery.pending.is_some() => {
            let words = match (pending::waits_for_person(delivery), delivery.wanted) {
                (true, true) => "With a person",
                (true, false) => "Removal with a person",
                (false, true) => "Accepted by the target",
                (false, false) => "Removal accepted by the target",
            };
            Badge::new(Tone::Info, "wait", words)
        }
        Phase::Due { .. } | Phase::InFlight { .. } if delivery.wanted => {
            if 0 < delivery.misses {
                Badge::new(Tone::Warn, "go", "Retrying")
            } else {
                Badge::new(Tone::Info, "go", "Delivering")
            }
        }
        Phase::Due { .. } | Phase::InFlight { .. } => Badge::new(Tone::Info, "go", "Removing"),
        Phase::Failed { .. } => Badge::new(Tone::Bad, "bad", "Failed"),
        Phase::Stuck { .. } => Badge::new(Tone::Bad, "warn", "Removal stuck"),
    }
}

/// What a class of faults means for who reads it.
pub const fn fault_class(class: Class) -> &'static str {
    match class {
        Class::Unknown => {
            "The outcome of the call is not known; it is looked up before anything else."
        }
        Class::Permanent => {
            "It will not succeed until something is changed in the target system or the package."
        }
        Class::Transient => "It may succeed by itself later.",
        Class::Target => {
            "The whole target system is in trouble: address, certificate or credentials."
        }
        Class::Throttled => "The target system asked us to slow down.",
        Class::Unsupported => "The target system cannot do this at all.",
    }
}

/// How a reprocess job stands.
pub fn job_state(name: &str, is_over: bool) -> Badge {
    match (name, is_over) {
        ("canceled", _) => Badge::new(Tone::Idle, "off", "Stopped"),
        ("completed", true) => Badge::new(Tone::Ok, "ok", "Finished"),
        ("completed", false) => Badge::new(Tone::Info, "go", "Delivering"),
        _ => Badge::new(Tone::Info, "go", "Running"),
    }
}

/// How a task stands.
pub fn task_state(state: task::State, is_overdue: bool) -> Badge {
    match state {
        task::State::Open if is_overdue => Badge::new(Tone::Warn, "warn", "Overdue"),
        task::State::Open => Badge::new(Tone::Info, "wait", "Open"),
        task::State::Done => Badge::new(Tone::Ok, "ok", "Done"),
        task::State::CouldNot => Badge::new(Tone::Bad, "no", "Could not be done"),
        task::State::Withdrawn => Badge::new(Tone::Idle, "off", "Withdrawn"),
    }
}

/// How a held change stands.
pub fn held_state(state: GuardState) -> Badge {
    match state {
        GuardState::Held => Badge::new(Tone::Warn, "wait", "Held"),
        GuardState::Released => Badge::new(Tone::Ok, "ok", "Released"),
        GuardState::Rejected => Badge::new(Tone::Bad, "no", "Rejected"),
        GuardState::Withdrawn => Badge::new(Tone::Idle, "off", "Taken back"),
    }
}

/// Who something waits for, until when, and what happens then.
pub fn waits_for(wait: &Wait) -> String {
    let who = match wait.owner {
        Owner::Approvers => "The approvers",
        Owner::Assignee => "Who has the task for it",
        Owner::Target => "The target system, which accepted the work",
        Owner::TargetAdministrators => "Those who run the target system",
        Owner::AssignmentManagers => "Those who manage assignments, to reprocess it",
        Owner::Server => "Nobody: the server does it by itself",
    };
    let then = match wait.then {
        Then::Expires => "it expires",
        Then::Begins => "it begins",
        Then::RestsAsFailed => "it rests as failed",
        Then::IsOverdue => "the task is overdue",
        Then::AskedAgain => "the target system is asked again",
        Then::IsTold => "the operators are told",
        Then::BecomesFinal => "it cannot be reprocessed any more",
    };
    match wait.until {
        Some(until) => format!("{who}. Until {}; then {then}.", minute(until)),
        None => format!("{who}. No time limit is set."),
    }
}

/// How a notice stands.
pub fn notice_state(state: NoticeState, was_refused: bool) -> Badge {
    match (state, was_refused) {
        (NoticeState::Pending, false) => Badge::new(Tone::Info, "wait", "On its way"),
        (NoticeState::Pending, true) => Badge::new(Tone::Warn, "wait", "Not taken yet"),
        (NoticeState::Sent, _) => Badge::new(Tone::Ok, "ok", "Taken"),
        (NoticeState::Failed, _) => Badge::new(Tone::Bad, "no", "Given up"),
    }
}

/// What a difference is.
pub fn drift_kind(kind: DriftKind) -> Badge {
    match kind {
        DriftKind::Missing => Badge::new(Tone::Warn, "warn", "Taken away there"),
        DriftKind::CameBack => Badge::new(Tone::Warn, "warn", "Came back there"),
        DriftKind::Extra => Badge::new(Tone::Warn, "warn", "Extra access"),
        DriftKind::Contested => Badge::new(Tone::Bad, "bad", "Contested"),
    }
}

/// What that means.
pub const fn drift_meaning(kind: DriftKind) -> &'static str {
    match kind {
        DriftKind::Missing => {
            "An access package gives this role, and somebody took it away in the target system."
        }
        DriftKind::CameBack => {
            "This role was taken away when the access ended, and it is there again in the target \
             system."
        }
        DriftKind::Extra => {
            "This role is held in the target system, and no access package gives it. Take it away \
             if its holder is known here, assign an access package that gives it, or accept it. Where \
             `drift.extra` is `revoke`, Accede takes it away by itself."
        }
        DriftKind::Contested => {
            "This role was repaired again and again within a day, so another system seems to manage \
             it too. Settle who does before you repair it."
        }
    }
}

/// How a finding stands.
pub fn drift_state(state: FindingState) -> Badge {
    match state {
        FindingState::Open => Badge::new(Tone::Warn, "wait", "Open"),
        FindingState::Repaired => Badge::new(Tone::Ok, "ok", "Repaired"),
        FindingState::Gone => Badge::new(Tone::Idle, "off", "Gone"),
        FindingState::Dismissed => Badge::new(Tone::Idle, "no", "Dismissed"),
    }
}

/// How an approval stage stands.
pub fn stage_state(stage: &approval::Stage) -> Badge {
    use approval::{Result, Status};
    match (stage.status, stage.result) {
        (_, Result::Approved) => Badge::new(Tone::Ok, "ok", "Approved"),
        (_, Result::Denied) => Badge::new(Tone::Bad, "no", "Denied"),
        (Status::Initializing, Result::NotReviewed) => {
            Badge::new(Tone::Idle, "wait", "Not started")
        }
        (Status::InProgress, Result::NotReviewed) => {
            Badge::new(Tone::Info, "wait", "Awaiting a decision")
        }
        (Status::Expired, Result::NotReviewed) => Badge::new(Tone::Idle, "no", "Expired undecided"),
        (Status::Completed, Result::NotReviewed) => Badge::new(Tone::Idle, "off", "Closed"),
    }
}

/// What happened, by the kind of a timeline's line.
pub fn happened(kind: &str) -> String {
    let words = match kind {
        "submitted" => "Submitted",
        "approvalStarted" => "Approval started",
        "approversAsked" => "Approvers asked",
        "stageApproved" => "Stage approved",
        "denied" => "Denied",
        "expired" => "Expired undecided",
        "scheduled" => "Scheduled",
        "deliveryStarted" => "Delivery started",
        "blocked" => "Delivery blocked",
        "delivered" => "Delivered",
        "partiallyDelivered" => "Partially delivered",
        "deliveryFailed" => "Delivery failed",
        "reprocessed" => "Reprocessed",
        "cancelStarted" => "Canceled; access is being withdrawn",
        "canceled" => "Canceled",
        "resolved" => "Settled by hand",
        "contradicted" => "Said to be done, but it is not",
        "overtaken" => "Ended while it was delivering",
        "taskCreated" => "Task for a person",
        "taskReassigned" => "Task reassigned",
        "taskWithdrawn" => "Task withdrawn",
        "taskDone" => "Task done",
        "taskFailed" => "Task could not be done",
        "calledBack" => "The target system called back",
        other => return spaced(other),
    };
    words.to_owned()
}

/// What an attempt asked of a target.
pub fn attempted(action: &str) -> &str {
    match action {
        "grant" => "Grant",
        "revoke" => "Remove",
        "observe" => "Look up",
        other => other,
    }
}

/// What came of an attempt.
pub fn outcome(name: &str) -> Badge {
    match name {
        "applied" => Badge::new(Tone::Ok, "ok", "Done"),
        "alreadyInState" => Badge::new(Tone::Ok, "ok", "Was so already"),
        "present" => Badge::new(Tone::Info, "info", "Seen: there"),
        "absent" => Badge::new(Tone::Info, "info", "Seen: not there"),
        "pending" => Badge::new(Tone::Info, "wait", "Accepted, not done yet"),
        "fault" => Badge::new(Tone::Bad, "bad", "Failed"),
        "discarded" => Badge::new(Tone::Idle, "off", "Answer came too late"),
        other => Badge::new(Tone::Idle, "info", other),
    }
}

/// Why requests are left out of a plan, by code.
pub fn skipped(code: &str) -> String {
    let words = match code {
        "ReprocessWindowExpired" => "Too old: the window for reprocessing is over",
        "RequestNotReprocessable" => "Nothing to reprocess in this state",
        "RequestDelivering" => "Being delivered at present",
        "RequestCanceling" => "Being canceled",
        "SubjectInactive" => "The person is disabled or deleted",
        "EndPassed" => "The access would have ended by now",
        "IncompatibleAccess" => "Separation of duties",
        "AccessPackageGone" => "The access package does not exist any more",
        "AlreadyAssigned" => "The person has the access package by another request",
        "TargetPaused" => "A target system is paused",
        "Forbidden" => "You may not reprocess in this catalog",
        "NotFound" => "The request does not exist",
        other => return spaced(other),
    };
    words.to_owned()
}

/// Whom a subject set stands for.
pub fn subject_set(set: &SubjectSet) -> String {
    match set {
        SubjectSet::SingleUser { user, description } => {
            description.clone().unwrap_or_else(|| format!("person {user}"))
        }
        SubjectSet::GroupMembers { group, description } => match description {
            Some(name) => format!("members of {name}"),
            None => format!("members of group {group}"),
        },
        SubjectSet::RequestorManager { level: 1 } => "the requestor's manager".to_owned(),
        SubjectSet::RequestorManager { level } => {
            format!("the requestor's manager, {level} levels up")
        }
    }
}

/// `someThing` as `Some thing`.
pub fn spaced(name: &str) -> String {
    let mut text = String::new();
    for (place, letter) in name.chars().enumerate() {
        if place == 0 {
            text.extend(letter.to_uppercase());
        } else if letter.is_uppercase() {
            text.push(' ');
            text.extend(letter.to_lowercase());
        } else {
            text.push(letter);
        }
    }
    text
}

/// What was done just now with a request, as long as it is true: addresses are read again later.
pub fn done_to(code: Option<&str>, state: &State) -> Option<Notice> {
    let is_under_way = state.is_open() && !matches!(state, State::Canceling { .. });
    let code = match (code?, state) {
        ("submitted", _) if is_under_way => "submitted",
        ("reprocessed", State::Delivering { .. }) => "reprocessed",
        ("canceled", State::Canceling { .. }) => "canceling",
        ("canceled", State::Canceled { .. }) => "canceled",
        ("tried", State::Delivering { .. } | State::Canceling { .. }) => "tried",
        ("waiting", _) => "waiting",
        ("resolved", _) => "resolved",
        ("handed", _) => "handed",
        _ => return None,
    };
    done(Some(code))
}

/// What was done just now, by the code in the address.
pub fn done(code: Option<&str>) -> Option<Notice> {
    let text = match code? {
        "unticked" => {
            let text = "Nothing was selected, so nothing was planned. Tick the requests to \
                        reprocess, then press Reprocess again.";
            return Some(Notice::new(Tone::Warn, text));
        }
        "reprocessed" => "Reprocess started. Only what is not delivered is tried again.",
        "canceled" => "The request was canceled.",
        "canceling" => "The request is being canceled; what it gave is taken back.",
        "tried" => "It is being tried now.",
        "resolved" => "Settled by hand. The timeline says by whom and why.",
        "waiting" => "Nothing was waiting; nothing was changed.",
        "stopped" => "The job was stopped. What had its turn stands.",
        "submitted" => "Your request was submitted.",
        "givenback" => "Your access is being removed.",
        "comparing" => "The target systems are being read. Reload the page to see how far it is.",
        "confirmed" => "Confirmed. It goes on as soon as every role has found its place.",
        "regranted" => "It is being given again.",
        "taskdone" => "Thank you. The task is done.",
        "taskfailed" => "The task is closed. Who manages the access package sees why.",
        "handed" => "It is with a person now. The target system is not called for it meanwhile.",
        "released" => "The change goes on. What follows from it is planned anew.",
        "rejected" => "The change was taken back.",
        "approved" => "You approved the request.",
        "denied" => "You denied the request.",
        "saved" => "Saved.",
        "created" => "Created.",
        "packaged" => {
            "Created. Next: add the resource roles that it gives, and a policy that says who may \
             request it."
        }
        "deleted" => "Deleted.",
        "added" => "Added.",
        "removed" => "Removed.",
        "assigned" => "Assigned. Delivery begins at once.",
        "removing" => "The assignment is being removed.",
        "verifying" => "Every role of the assignment is being looked up and applied again.",
        "paused" => "The target system is paused: nothing is sent to it until it is resumed.",
        "resumed" => "The target system is resumed.",
        "checked" => "The target system was checked.",
        "notified" => "It is on its way. Look again in a moment to see whether it was taken.",
        "looking" => {
            "It is being compared with what is wanted there, at a pace that nobody feels. This page \
             says when that is done."
        }
        "repairing" => "It is being repaired; the finding is closed when it is so.",
        "dismissed" => "The difference is accepted and not counted as open any more.",
        _ => return None,
    };
    Some(Notice::new(Tone::Ok, text))
}
