//! Work that somebody took and has not done yet: a target system that answered *accepted*, or a
//! person who has a task.
//!
//! What is awaited is neither delivered nor failed, and whether it happened is unknown until it is
//! said or seen. A target's word is good for a while only; a person's task has no such end, but it
//! belongs to one wish: when that changes, nothing is awaited any more. What a target accepted may
//! come true all the same, so until when is remembered, and it is looked at once more then.

use jiff::{SignedDuration, Timestamp};

use crate::delivery::{Action, Answer, Delivery, Observed, Phase};
use crate::fault::{Class, Fault};
use crate::refusal::Refusal;
use crate::resolution;
use crate::retry::{self, FLOOR, Retry};
use crate::task::Order;

/// Longest wait between two looks at what a target accepted.
pub const LONGEST_LOOK: SignedDuration = SignedDuration::from_mins(15);
/// How long a target's *accepted* is good for, where the connector says nothing else.
pub const ACCEPTED_FOR: SignedDuration = SignedDuration::from_hours(1);

/// Who has the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// The target system itself.
    Target,
    /// A person, who has a task.
    Person,
}

impl Awaited {
    /// Stable text, used in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Awaited::Target => "target",
            Awaited::Person => "person",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Awaited> {
        [Awaited::Target, Awaited::Person].into_iter().find(|awaited| awaited.name() == name)
    }
}

/// What is awaited of a delivery's present wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pending {
    /// Who has the work.
    pub on: Awaited,
    /// Since when.
    pub since: Timestamp,
    /// Of a target: when its word is not believed any longer. Of a person: when the target is looked
    /// at next, if it is looked at at all meanwhile.
    pub until: Option<Timestamp>,
}

/// What a connector says that took the work and is not done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The target does it later.
    Target {
        /// How long that is believed.
        at_most: SignedDuration,
    },
    /// A person is to do it.
    Person(Order),
}

/// What is said of work that was awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It is done.
    Done,
    /// It cannot be done.
    CouldNot,
}

impl Pending {
    /// Whether it is still awaited. A person's task ends only when something happens.
    pub fn is_good(&self, now: Timestamp) -> bool {
        match (self.on, self.until) {
            (Awaited::Person, _) | (Awaited::Target, None) => true,
            (Awaited::Target, Some(until)) => now < until,
        }
    }

    /// When the target is looked at next after a look that did not find what is wanted: about as long
    /// from now as it has been awaited, at most [`LONGEST_LOOK`], and no later than its end.
    fn next_look(&self, retry: &Retry, chance: f64, now: Timestamp) -> Timestamp {
        match self.on {
            Awaited::Person => retry::after(now, retry.stuck_probe),
            Awaited::Target => {
                let waited = now.duration_since(self.since).max(retry.base).max(FLOOR);
                let at = retry::after(now, retry::spread(waited.min(LONGEST_LOOK), chance));
                self.until.map_or(at, |until| at.min(until))
            }
        }
    }
}

/// Whether a delivery waits for a person who has a task.
pub fn waits_for_person(row: &Delivery) -> bool {
    row.pending.is_some_and(|pending| pending.on == Awaited::Person)
}

/// The same delivery, not to be looked at any more while a person has it, because its target cannot be
/// read by now; `None`: it was not to be looked at.
pub fn blinded(mut row: Delivery, can_observe: bool) -> Option<Delivery> {
    let pending = row.pending.as_mut().filter(|pending| pending.on == Awaited::Person)?;
    if can_observe || pending.until.is_none() || !matches!(row.phase, Phase::Due { .. }) {
        return None;
    }
    pending.until = None;
    row.phase = Phase::Due { at: pending.since };
    Some(row)
}

/// Nothing is awaited any more; what a target accepted may still be done until its word is over.
pub(crate) fn set_aside(row: &mut Delivery) {
    if let Some(Pending { on: Awaited::Target, until: Some(until), .. }) = row.pending.take() {
        remember(row, until);
    }
}

/// Remembers until when a target may do what it accepted, though it is not awaited.
pub(crate) fn keep_end(row: &mut Delivery, answer: &Answer, now: Timestamp) {
    if let Answer::Pending(Accepted::Target { at_most }) = answer {
        remember(row, retry::after(now, *at_most));
    }
}

fn remember(row: &mut Delivery, until: Timestamp) {
    row.late_until = Some(row.late_until.map_or(until, |other| other.max(until)));
}

/// Whoever was called took the work. The answer was to the present wish.
pub(crate) fn begin(
    row: &mut Delivery,
    accepted: &Accepted,
    can_observe: bool,
    retry: &Retry,
    chance: f64,
    now: Timestamp,
) -> Phase {
    row.observed = Observed::Unknown;
    row.uncertain_until = None;
    row.acknowledged = None;
    row.verified = None;
    row.verify_at = None;
    row.misses = 0;
    match accepted {
        Accepted::Person(_) => wait_for_person(row, can_observe, retry, now),
        Accepted::Target { at_most } => {
            let again = row.pending.is_some();
            let window = retry.ladder(row.wanted).window;
            let is_over = window.is_some_and(|window| retry::after(row.since, window) <= now);
            if again && is_over {
                // It said so before, nothing came of it, and the time for trying is over.
                row.pending = None;
                remember(row, retry::after(now, *at_most));
                return Phase::Failed { at: now };
            }
            let until = retry::after(now, *at_most);
            let pending = Pending { on: Awaited::Target, since: now, until: Some(until) };
            row.pending = Some(pending);
            let at = if can_observe { pending.next_look(retry, chance, now) } else { until };
            Phase::Due { at }
        }
    }
}

/// A person has it. A removal is looked at now and then, since access that should be gone is more
/// urgent than a task that somebody forgot to close.
fn wait_for_person(row: &mut Delivery, can_observe: bool, retry: &Retry, now: Timestamp) -> Phase {
    let look = (can_observe && !row.wanted).then(|| retry::after(now, retry.stuck_probe));
    set_aside(row);
    row.pending = Some(Pending { on: Awaited::Person, since: now, until: look });
    // The store reads back what is never ready as due since then.
    Phase::Due { at: look.unwrap_or(now) }
}

/// Where a delivery stands after a look at what is still awaited; `None`: it is not awaited any more.
pub(crate) fn go_on(
    row: &mut Delivery,
    action: Action,
    retry: &Retry,
    chance: f64,
    now: Timestamp,
) -> Option<Phase> {
    let mut pending =
        row.pending.filter(|pending| action == Action::Observe && pending.is_good(now))?;
    // What was seen may change at any moment, and counts for nothing until it is as wanted.
    row.observed = Observed::Unknown;
    row.verified = None;
    let at = pending.next_look(retry, chance, now);
    if pending.on == Awaited::Person {
        pending.until = Some(at);
        row.pending = Some(pending);
    }
    Some(Phase::Due { at })
}

/// Why a delivery is tried again, or rests, that its target had accepted and did not do; `None`
/// unless that is what happened between these two.
pub fn unfinished(before: &Delivery, after: &Delivery) -> Option<Fault> {
    let was = before.pending.filter(|pending| pending.on == Awaited::Target)?;
    let is_over = before.generation == after.generation
        && !after.is_so()
        && after.pending.is_none_or(|pending| pending.since != was.since);
    is_over.then(|| {
        let text = "the target accepted the work and did not do it in the time it has for that";
        Fault::new(Class::Unknown, "not-finished", text)
    })
}

/// Records what is said of work that was awaited. `seen` is what was read in the target just now;
/// `None` where it cannot be read, and then a word is an acknowledgement.
///
/// A *done* that the target contradicts settles nothing; what is awaited is still awaited.
///
/// # Errors
///
/// When nothing is awaited of this wish, or the target is being read at this moment.
pub fn finish(
    mut row: Delivery,
    generation: i64,
    report: &Report,
    seen: Option<Observed>,
    retry: &Retry,
    now: Timestamp,
) -> Result<Delivery, Refusal> {
    if row.generation != generation || row.pending.is_none() {
        return Err(over());
    }
    if !resolution::is_open(&row, now)? {
        return Err(over());
    }
    match report {
        Report::Done => {
            let done = resolution::done_outside(row, seen, now)?;
            Ok(if done.is_so() { done } else { row })
        }
        Report::CouldNot => {
            row.pending = None;
            row.phase = if row.wanted {
                Phase::Failed { at: now }
            } else {
                Phase::Stuck { since: now, probe_at: retry::after(now, retry.stuck_probe) }
            };
            Ok(row)
        }
    }
}

fn over() -> Refusal {
    Refusal::Rule {
        code: "NotAwaited",
        sentence:
            "nothing is awaited here any more: it was settled, or something else is wanted by \
                   now"
            .to_owned(),
    }
}

/// Gives a delivery to a person. While they have it, the target is not called for it; a removal is
/// still looked at now and then where that is possible.
///
/// # Errors
///
/// Those of [`resolution::is_open`]; when a person has it already; when it is as wanted.
pub fn hand_over(
    mut row: Delivery,
    can_observe: bool,
    retry: &Retry,
    now: Timestamp,
) -> Result<Delivery, Refusal> {
    if waits_for_person(&row) {
        return Err(Refusal::Rule {
            code: "TaskOpen",
            sentence: "somebody has a task for it already; reassign that one".to_owned(),
        });
    }
    if !resolution::is_open(&row, now)? {
        return Err(Refusal::Rule {
            code: "NothingToHandOver",
            sentence: "it is as wanted, so there is nothing for a person to do".to_owned(),
        });
    }
    row.observed = Observed::Unknown;
    row.verified = None;
    row.misses = 0;
    row.poison = row.poison.renewed();
    row.phase = wait_for_person(&mut row, can_observe, retry, now);
    Ok(row)
}

/// Takes a delivery back from the person who has it: the target is called again. What is not with a
/// person stays as it is.
pub fn take_back(mut row: Delivery, now: Timestamp) -> Delivery {
    if waits_for_person(&row) && matches!(row.phase, Phase::Due { .. }) {
        row.pending = None;
        row.attempts = 0;
        if row.wanted {
            row.since = now;
        }
        row.phase = Phase::Due { at: now };
    }
    row
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
