//! What a clock that ran ahead left behind when it was set back: instants that lie in the future and
//! were the present, and waits that were counted from them.
//!
//! An attempt, the beginning of a wish, an acknowledgement cannot lie in the future. What bears such an
//! instant is moved back as a whole, so that the latest thing that happened to it happened now: its waits
//! count from now, none is shorter than it was, and what a call may still do has as long as before. What
//! bears no such instant waits no longer than the longest wait that there is. Nothing here shortens the
//! lease of somebody who may live: that one is over is for the caller to know.

use jiff::{SignedDuration, Timestamp};

use crate::circuit::{CHECK_LEASE, Circuit, State};
use crate::delivery::{CALL_DEADLINE, Delivery, LEASE, LOOKED_AT_FOR, Phase, ZOMBIE};
use crate::pending::{Awaited, LONGEST_LOOK, Pending};
use crate::retry::{RETRY_AFTER, Retry, SECOND_LOOKS, after, before};

/// Clocks of servers differ a little, and it takes a while to see that one does by much. What lies no
/// farther in the future than this is left as it is.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// For how long it is watched whether a lease is renewed or given back, and whether another server says
/// that it is later: longer than a lease, a call and what may come after it, and than the minute after
/// which a server says what time it has.
pub const WATCHED_FOR: SignedDuration = SignedDuration::from_mins(3);

/// Whether an instant that was the present when it was taken lies too far in the future for that.
pub fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    after(now, TOLERANCE) < at
}

/// An instant that was the present when it was taken.
fn past(at: Timestamp, now: Timestamp) -> Timestamp {
    if is_ahead(at, now) { now } else { at }
}

/// The end of a wait that is never longer than `longest`.
fn within(at: Timestamp, longest: SignedDuration, now: Timestamp) -> Timestamp {
    let last = after(now, longest);
    if is_ahead(at, last) { last } else { at }
}

/// Whether a delivery is claimed for longer than any claim is: by a clock that ran ahead, if whoever
/// holds it does not give it back meanwhile.
pub fn is_held_too_long(row: &Delivery, now: Timestamp) -> bool {
    matches!(row.phase, Phase::InFlight { lease_until, .. } if is_ahead(lease_until, after(now, LEASE)))
}

/// A delivery without what a clock that ran ahead left in it, and when it was last attempted. `is_over`
/// says of one in flight that its lease is over by any clock.
pub fn delivery(
    mut row: Delivery,
    attempted_at: Option<Timestamp>,
    is_over: bool,
    retry: &Retry,
    now: Timestamp,
) -> (Delivery, Option<Timestamp>) {
    if let Phase::InFlight { lease_until, deadline, .. } = &mut row.phase
        && is_over
    {
        // Its call is over too, with all that may come after it.
        *lease_until = now.min(*lease_until);
        *deadline = before(now, ZOMBIE).min(*deadline);
    }
    let rests = match row.phase {
        Phase::Failed { at } => Some(at),
        Phase::Stuck { since, .. } => Some(since),
        Phase::Settled | Phase::Due { .. } | Phase::InFlight { .. } => None,
    };
    let awaited = row.pending.map(|pending| pending.since);
    let happened = [attempted_at, row.acknowledged, row.verified, rests, awaited];
    let latest = happened.into_iter().flatten().fold(row.since, Timestamp::max);
    let mut attempted_at = attempted_at;
    if is_ahead(latest, now) {
        move_back(&mut row, &mut attempted_at, latest, now);
    }
    wait_no_longer(&mut row, retry, now);
    (row, attempted_at)
}

/// Moves a delivery back so that what happened `latest` happened now, but for its claim.
fn move_back(
    row: &mut Delivery,
    attempted_at: &mut Option<Timestamp>,
    latest: Timestamp,
    now: Timestamp,
) {
    let by = latest.duration_since(now);
    let happened = |at: &mut Timestamp| {
        if is_ahead(*at, now) {
            *at = before(*at, by);
        }
    };
    let comes = |at: &mut Timestamp| {
        if now < *at {
            *at = before(*at, by).max(now);
        }
    };
    happened(&mut row.since);
    let others = [attempted_at, &mut row.acknowledged, &mut row.verified];
    others.into_iter().flatten().for_each(happened);
    match &mut row.phase {
        Phase::Settled | Phase::InFlight { .. } => {}
        Phase::Due { at } => comes(at),
        Phase::Failed { at } => happened(at),
        Phase::Stuck { since, probe_at } => {
            happened(since);
            comes(probe_at);
        }
    }
    if let Some(pending) = &mut row.pending {
        happened(&mut pending.since);
        pending.until.iter_mut().for_each(comes);
    }
    let looks = [&mut row.verify_at, &mut row.uncertain_until];
    looks.into_iter().flatten().for_each(comes);
    if let Some(until) = &mut row.late_until {
        if latest < *until {
            comes(until);
        } else {
            // Over by the clock that ran ahead, which says nothing: it may be of the time before.
            *until = within(*until, LOOKED_AT_FOR, now);
        }
    }
}

/// Nothing waits longer than the rules have anything wait.
fn wait_no_longer(row: &mut Delivery, retry: &Retry, now: Timestamp) {
    let call = CALL_DEADLINE.saturating_add(ZOMBIE);
    row.uncertain_until = row.uncertain_until.map(|until| within(until, call, now));
    if let Some(Pending { on: Awaited::Person, until, .. }) = &mut row.pending {
        *until = until.map(|until| within(until, retry.stuck_probe, now));
    }
    // How long a target may take for what it accepted is for its connector to say.
    let end = row.pending.and_then(|pending| pending.until);
    let asked = RETRY_AFTER.end().saturating_mul(11) / 10;
    match &mut row.phase {
        Phase::Due { at } => {
            let longest = match (row.pending.map(|pending| pending.on), end) {
                (Some(Awaited::Person), Some(_)) => retry.stuck_probe,
                // What only a person ends is never ready.
                (Some(Awaited::Person), None) => SignedDuration::MAX,
                (Some(Awaited::Target), Some(end)) => end.duration_since(now).max(LONGEST_LOOK),
                _ => retry.ladder(row.wanted).cap.max(asked).max(call),
            };
            *at = within(*at, longest, now);
        }
        Phase::Stuck { probe_at, .. } => *probe_at = within(*probe_at, retry.stuck_probe, now),
        Phase::Settled => {
            // The end of what was accepted may be of the time ahead, and bear no sign of it once the row was
            // read since: one look before it changes nothing.
            let late = row.late_until.map(|until| after(until, ZOMBIE).duration_since(now));
            let late = late.map(|late| late.min(LOOKED_AT_FOR));
            let looks = [retry.stuck_probe, retry.cap.max(asked)].into_iter();
            let longest = looks.chain(SECOND_LOOKS).chain(retry.read_back_after).chain(late).max();
            let longest = longest.unwrap_or(SignedDuration::MAX);
            row.verify_at = row.verify_at.map(|at| within(at, longest, now));
        }
        Phase::InFlight { .. } | Phase::Failed { .. } => {}
    }
}

/// A circuit without what a clock that ran ahead left in it: it is checked now, which changes nothing at
/// its target, and a target that asked for quiet gets as much as one may ask for.
pub fn circuit(mut circuit: Circuit, retry: &Retry, now: Timestamp) -> Circuit {
    let quiet = *RETRY_AFTER.end();
    circuit.quiet_until = circuit.quiet_until.map(|until| within(until, quiet, now));
    match &mut circuit.state {
        State::Closed => {}
        State::Trial { since, .. } => *since = past(*since, now),
        State::Open { since, check_at, reason, .. } => {
            *since = past(*since, now);
            let (_, longest) = reason.waits(retry);
            if is_ahead(*check_at, after(now, longest.max(CHECK_LEASE))) {
                *check_at = now;
            }
        }
    }
    circuit
}

#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
