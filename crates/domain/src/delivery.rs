//! A delivery: the promise that one role, for one person, in one target, is as wanted.
//!
//! There is one row per key (target, subject, role, scope), however many assignments are the reason
//! for it. A changed wish bumps its generation instead of appending a second row, so forty toggles
//! while a target is down become one call. The functions here, and those of [`crate::resolution`]
//! for what people settle by hand, are the only way a row changes: [`want`], [`claim`], [`settle`],
//! [`reopen`], [`verify`], [`doubt`]; where work on it keeps breaking down, [`set_apart`],
//! [`lay_down`], [`strike`]; and where somebody else changes it, [`look_again`], [`leave`],
//! [`crate::drift::take`]. What a worker may do next is *planned* from what is wanted and what was
//! observed; an answer only changes what is observed.

use jiff::{SignedDuration, Timestamp};

use crate::fault::Fault;
use crate::pending::{self, Accepted, Awaited, Pending};
use crate::poison::{self, Poison};
use crate::retry::{self, Course, Retry, Rule};
use crate::rollup::Part;

/// What is known about the truth in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Observed {
    /// We never called the target for this key: nothing of ours is there.
    Never,
    /// A call may or may not have taken effect.
    Unknown,
    /// The person does not have the role.
    Absent,
    /// The person has the role.
    Present,
}

/// What a worker does with a claimed delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Make it so that the person has the role.
    Grant,
    /// Make it so that the person does not have the role.
    Revoke,
    /// Read what is so.
    Observe,
}

/// Where a delivery stands in its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// What is wanted is so; nothing to do.
    Settled,
    /// Work is due.
    Due {
        /// From when on.
        at: Timestamp,
    },
    /// A worker holds it. Committed before the first byte is sent, so after a crash it reads *may
    /// have happened*.
    InFlight {
        /// What the worker set out to do.
        action: Action,
        /// The generation it set out for.
        generation: i64,
        /// What was observed before.
        before: Observed,
        /// When the lease ends and others may take it.
        lease_until: Timestamp,
        /// When the call is over at the latest.
        deadline: Timestamp,
    },
    /// A grant that rests until somebody reprocesses it.
    Failed {
        /// Since when.
        at: Timestamp,
    },
    /// A revocation that the target refuses; never dropped, probed now and then.
    Stuck {
        /// Since when.
        since: Timestamp,
        /// When it is probed again.
        probe_at: Timestamp,
    },
}

/// Everything the rules know of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// Whether some live assignment is a reason for the role to be there.
    pub wanted: bool,
    /// Counts changes of the wish.
    pub generation: i64,
    /// What is known about the truth.
    pub observed: Observed,
    /// Where it stands.
    pub phase: Phase,
    /// Counts claims; an answer under another epoch is discarded.
    pub epoch: i64,
    /// Attempts that count, in the present trial.
    pub attempts: i64,
    /// Tries in a row without success, for the back-off.
    pub misses: i64,
    /// When the present trial began; for a revocation, when it became due.
    pub since: Timestamp,
    /// A call whose outcome is unknown may still take effect until then.
    pub uncertain_until: Option<Timestamp>,
    /// Until then the target may still do what it accepted for a wish that is over. Where it can be
    /// read, it is read once more after that.
    pub late_until: Option<Timestamp>,
    /// The person had the role before we first granted it.
    pub pre_existing: bool,
    /// The resource says that access which existed before is kept when ours ends.
    pub keep_pre_existing: bool,
    /// When the target acknowledged the present truth.
    pub acknowledged: Option<Timestamp>,
    /// When the present truth was read in the target.
    pub verified: Option<Timestamp>,
    /// When it is to be read back.
    pub verify_at: Option<Timestamp>,
    /// What it did to those who worked on it.
    pub poison: Poison,
    /// Who took the work and is not done with it.
    pub pending: Option<Pending>,
}

/// How long a claimed delivery belongs to its worker.
pub const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How long one call may take. Leaves more than 10 s of the lease.
pub const CALL_DEADLINE: SignedDuration = SignedDuration::from_secs(20);
/// How long after its deadline a call of unknown outcome may still take effect.
pub const ZOMBIE: SignedDuration = SignedDuration::from_secs(10);
/// How long the target is asked whether a role is gone, while it refuses to say so.
pub const LOOKED_AT_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Unresolved for longer than this, a revocation is listed as stuck.
pub const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(60);

/// What came back from a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Our call made it so.
    Applied,
    /// It was so before our call.
    AlreadyInState,
    /// The role was read: there.
    Present,
    /// The role was read: not there.
    Absent,
    /// The work was taken and is not done yet.
    Pending(Accepted),
    /// It did not succeed.
    Fault(Fault),
}

/// The answer belongs to a claim that is over; it must not be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the claim of epoch {epoch} is over; the row is at epoch {current}")]
pub struct StaleClaim {
    /// The epoch of the answer.
    pub epoch: i64,
    /// The row's epoch.
    pub current: i64,
}

impl Delivery {
    /// A key that was never wanted and never called.
    pub const fn new(keep_pre_existing: bool, now: Timestamp) -> Delivery {
        Delivery {
            wanted: false,
            generation: 0,
            observed: Observed::Never,
            phase: Phase::Settled,
            epoch: 0,
            attempts: 0,
            misses: 0,
            since: now,
            uncertain_until: None,
            late_until: None,
            pre_existing: false,
            keep_pre_existing,
            acknowledged: None,
            verified: None,
            verify_at: None,
            poison: Poison { crashes: 0, strikes: 0 },
            pending: None,
        }
    }

    /// Whether what is known is what is wanted.
    pub const fn is_so(&self) -> bool {
        match (self.wanted, self.observed) {
            (true, Observed::Present) | (false, Observed::Never | Observed::Absent) => true,
            (false, Observed::Present) => self.pre_existing && self.keep_pre_existing,
            (true, Observed::Never | Observed::Absent | Observed::Unknown)
            | (false, Observed::Unknown) => false,
        }
    }

    /// Whether what is wanted was read in the target.
    const fn is_seen_so(&self) -> bool {
        self.is_so() && self.verified.is_some()
    }

    /// Whether the first thing to do is to see whether the person has the role already.
    const fn looks_first(&self) -> bool {
        self.wanted && self.keep_pre_existing && matches!(self.observed, Observed::Never)
    }

    /// How its request and assignment see it. A revocation never counts as failed: it stays open
    /// until it is confirmed.
    pub const fn part(&self) -> Part {
        match self.phase {
            Phase::Settled => Part::Done,
            // Reading back what is so does not open it again.
            Phase::InFlight { .. } if self.is_so() => Part::Done,
            Phase::Failed { .. } if self.wanted => Part::Failed,
            Phase::Due { .. }
            | Phase::InFlight { .. }
            | Phase::Failed { .. }
            | Phase::Stuck { .. } => Part::Open,
        }
    }

    /// Whether a revocation has been unresolved for longer than [`STUCK_AFTER`], or is refused.
    pub fn is_stuck(&self, now: Timestamp) -> bool {
        match self.phase {
            Phase::Stuck { .. } => true,
            // Reading back what is gone does not make it stuck.
            Phase::Due { .. } | Phase::InFlight { .. } => {
                !self.wanted && !self.is_so() && STUCK_AFTER < now.duration_since(self.since)
            }
            Phase::Settled | Phase::Failed { .. } => false,
        }
    }

    /// When a worker may take it, if ever.
    pub fn ready_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Due { at } => match self.pending {
                // Nothing happens until the person says something.
                Some(Pending { on: Awaited::Person, until: None, .. }) => None,
                _ => Some(at),
            },
            Phase::InFlight { lease_until, .. } => Some(lease_until),
            Phase::Stuck { probe_at, .. } => Some(probe_at),
            Phase::Settled => self.verify_at,
            Phase::Failed { .. } => None,
        }
    }

    /// Settled if so, else due now (not before an earlier call is certainly over).
    fn rest(mut self, now: Timestamp) -> Delivery {
        self.phase = if self.is_so() { Phase::Settled } else { self.due(now) };
        self
    }

    pub(crate) fn due(&self, at: Timestamp) -> Phase {
        Phase::Due { at: self.uncertain_until.map_or(at, |until| until.max(at)) }
    }

    /// When to look whether an old call gave after all what is not wanted any more, if one could.
    fn late_look(&self, now: Timestamp) -> Option<Timestamp> {
        let could = !self.wanted && self.observed == Observed::Absent;
        retry::second_look(now, now).filter(|_| could)
    }

    /// Has what is settled read when nothing accepted before can come true any more. What was read now
    /// was so at `read_at`: a worker that was held up comes with an old answer.
    pub(crate) fn with_late_end(mut self, read_at: Timestamp, now: Timestamp) -> Delivery {
        let Some(until) = self.late_until else { return self };
        let over = retry::after(until, ZOMBIE);
        if self.phase != Phase::Settled {
            return self;
        }
        if over <= read_at && self.verified == Some(now) {
            self.late_until = None;
        } else {
            let at = over.max(now);
            self.verify_at = Some(self.verify_at.map_or(at, |other| other.min(at)));
        }
        self
    }

    /// Since when the present wish is so; an older acknowledgement is of the wish before.
    fn settled_since(&self) -> Timestamp {
        self.acknowledged.map_or(self.since, |at| at.max(self.since))
    }

    /// What a lease leaves that ended without a result: a worker died or lost its way, and whether its
    /// call took effect is not known. Nothing changes while the lease holds.
    fn abandoned(mut self, now: Timestamp) -> Delivery {
        let Phase::InFlight { action, deadline, lease_until, before, .. } = self.phase else {
            return self;
        };
        if now < lease_until {
            return self;
        }
        self.observed = before;
        if action != Action::Observe {
            self.observed = Observed::Unknown;
            let over = retry::after(deadline, ZOMBIE);
            self.uncertain_until = Some(self.uncertain_until.map_or(over, |until| until.max(over)));
        }
        self.poison = self.poison.crashed();
        self
    }
}

/// Changes what is wanted. Asking for what is already wanted changes nothing.
pub fn want(mut row: Delivery, wanted: bool, now: Timestamp) -> Delivery {
    if row.wanted == wanted {
        return row;
    }
    row.wanted = wanted;
    row.generation += 1;
    row.attempts = 0;
    row.misses = 0;
    row.poison = row.poison.renewed();
    row.since = now;
    // What is awaited was asked for the wish before, and may still be done.
    pending::set_aside(&mut row);
    match row.phase {
        // The worker's answer will find the new generation.
        Phase::InFlight { .. } => row,
        Phase::Settled | Phase::Due { .. } | Phase::Failed { .. } | Phase::Stuck { .. } => {
            let mut row = row.rest(now);
            // A read-back that was due went under when the wish changed to and fro.
            let is_owed = row.acknowledged.is_some() && row.verified.is_none();
            if row.phase == Phase::Settled && is_owed && row.verify_at.is_none() {
                row.verify_at = Some(now);
            }
            // There is nothing to take, but a call that went wrong before may still give it.
            if row.phase == Phase::Settled && row.verify_at.is_none() {
                row.verify_at = row.late_look(now);
            }
            row.with_late_end(now, now)
        }
    }
}

/// Takes a delivery that is ready, and plans what to do with it. `None`: not ready, or nothing to
/// do.
///
/// The result is committed before the target hears anything.
pub fn claim(mut row: Delivery, can_observe: bool, now: Timestamp) -> Option<(Delivery, Action)> {
    if row.ready_at().is_none_or(|at| now < at) {
        return None;
    }
    let abandoned = row.abandoned(now);
    if is_once_too_often(&row, &abandoned) {
        // [`set_apart`] and [`lay_down`] are for it.
        return None;
    }
    row = abandoned;
    let before = row.observed;
    if row.uncertain_until.is_some_and(|until| now < until) {
        // Too early for anything: put it back, so that no opposite call can be overtaken.
        return None;
    }
    let reads_back = row.is_so();
    let action = match (can_observe, reads_back, row.uncertain_until) {
        (true, true, _) | (true, false, Some(_)) => Action::Observe,
        // Whether it was done meanwhile is seen before it is asked for again.
        (true, false, None) if row.pending.is_some() => Action::Observe,
        (false, false, _) if pending::waits_for_person(&row) => return None,
        (false, true, _) => return None,
        // What was there before is to be kept, so look before the first call blurs it.
        (true, false, None) if row.looks_first() => Action::Observe,
        (_, false, _) if row.wanted => Action::Grant,
        (_, false, _) => Action::Revoke,
    };
    row.epoch += 1;
    row.phase = Phase::InFlight {
        action,
        generation: row.generation,
        before,
        lease_until: retry::after(now, LEASE),
        deadline: retry::after(now, CALL_DEADLINE),
    };
    if action != Action::Observe {
        row.observed = Observed::Unknown;
    }
    Some((row, action))
}

/// Whether work on a delivery broke down once more than it may, to go on as before.
fn is_once_too_often(row: &Delivery, abandoned: &Delivery) -> bool {
    let crashed = row.poison != abandoned.poison;
    let set_apart = abandoned.poison.is_alone() && !row.poison.is_alone();
    crashed && (set_apart || abandoned.poison.is_at_rest())
}

/// Sets a delivery apart on which workers broke down once more: from now on it is tried alone, not
/// together with those that were in the same call. `None`: it is not one, or was set apart before.
pub fn set_apart(row: Delivery, now: Timestamp) -> Option<Delivery> {
    let abandoned = row.abandoned(now);
    if !is_once_too_often(&row, &abandoned) || abandoned.poison.is_at_rest() {
        return None;
    }
    let mut abandoned = abandoned.rest(now);
    if abandoned.phase == Phase::Settled {
        abandoned.verify_at = Some(now);
    }
    Some(abandoned)
}

/// Lays a delivery down on which workers keep breaking down, even alone. `None`: it is not one.
pub fn lay_down(row: Delivery, retry: &Retry, now: Timestamp) -> Option<Delivery> {
    let mut abandoned = row.abandoned(now);
    if !is_once_too_often(&row, &abandoned) || !abandoned.poison.is_at_rest() {
        return None;
    }
    abandoned.phase = laid_down(&mut abandoned, retry, now);
    Some(abandoned)
}

/// A grant waits for a person; a revocation is tried again now and then.
fn laid_down(row: &mut Delivery, retry: &Retry, now: Timestamp) -> Phase {
    pending::set_aside(row);
    let again = retry::after(now, retry.stuck_probe);
    if row.is_so() {
        row.verify_at = Some(again).filter(|_| !row.wanted);
        Phase::Settled
    } else if row.wanted {
        Phase::Failed { at: now }
    } else {
        Phase::Stuck { since: now, probe_at: again }
    }
}

/// Whether a delivery rests because workers kept breaking down on it.
pub const fn lies_down(row: &Delivery) -> bool {
    row.poison.is_at_rest() && matches!(row.phase, Phase::Failed { .. } | Phase::Stuck { .. })
}

/// Counts a failure against the delivery itself: its target served others meanwhile.
pub fn strike(mut row: Delivery, fault: &Fault) -> Delivery {
    if poison::is_strike(fault) {
        row.poison = row.poison.struck();
    }
    row
}

/// Records an answer under the claim it belongs to.
///
/// `chance` in `[0, 1)` spreads the next try.
pub fn settle(
    row: Delivery,
    epoch: i64,
    answer: &Answer,
    can_observe: bool,
    retry: &Retry,
    chance: f64,
    now: Timestamp,
) -> Result<Delivery, StaleClaim> {
    let read_at = match row.phase {
        Phase::InFlight { deadline, .. } => deadline.min(now),
        _ => now,
    };
    let row = answered(row, epoch, answer, can_observe, retry, chance, now)?;
    Ok(if can_observe { row.with_late_end(read_at, now) } else { row })
}

/// What an answer says, whatever else may still come.
fn answered(
    mut row: Delivery,
    epoch: i64,
    answer: &Answer,
    can_observe: bool,
    retry: &Retry,
    chance: f64,
    now: Timestamp,
) -> Result<Delivery, StaleClaim> {
    let Phase::InFlight { action, before, deadline, generation, .. } = row.phase else {
        return Err(StaleClaim { epoch, current: row.epoch });
    };
    if row.epoch != epoch {
        return Err(StaleClaim { epoch, current: row.epoch });
    }
    match answer {
        Answer::Applied | Answer::AlreadyInState => {
            let granted = action == Action::Grant;
            row.observed = if granted { Observed::Present } else { Observed::Absent };
            row.pending = None;
            // Only the very first grant can tell: later ones may find what we ourselves left there.
            if before == Observed::Never {
                row.pre_existing = granted && *answer == Answer::AlreadyInState;
            } else if !granted {
                row.pre_existing = false;
            }
            row.uncertain_until = None;
            row.acknowledged = Some(now);
            row.poison = Poison::default();
            row.verified = None;
            row.verify_at = match (can_observe, retry.read_back_after) {
                (true, Some(wait)) => Some(retry::after(now, wait)),
                _ => None,
            };
            if !can_observe {
                row.misses = 0;
            }
            Ok(row.rest(now))
        }
        Answer::Pending(accepted) => {
            row.attempts += 1;
            row.poison = Poison::default();
            row.observed = Observed::Unknown;
            row.phase = if generation == row.generation {
                pending::begin(&mut row, accepted, can_observe, retry, chance, now)
            } else {
                // It was asked for a wish that is over, and may still happen.
                pending::keep_end(&mut row, answer, now);
                row.due(now)
            };
            Ok(row)
        }
        Answer::Present | Answer::Absent => {
            let present = *answer == Answer::Present;
            let was_seen_so = row.is_seen_so();
            if before == Observed::Never {
                row.pre_existing = present;
            } else if !present {
                // What comes after this was not there before.
                row.pre_existing = false;
            }
            row.observed = if present { Observed::Present } else { Observed::Absent };
            row.uncertain_until = None;
            row.verified = Some(now);
            row.verify_at = None;
            row.phase = if row.is_so() {
                row.misses = 0;
                // Somebody else may have made it so.
                pending::set_aside(&mut row);
                row.poison = Poison::default();
                if !row.wanted && retry.read_back_after.is_some() && before != Observed::Never {
                    // A worker that was held up comes with an old answer, which is no second look.
                    row.verify_at = retry::second_look(row.settled_since(), deadline.min(now));
                }
                Phase::Settled
            } else if let Some(phase) = pending::go_on(&mut row, action, retry, chance, now) {
                phase
            } else if row.pending.take().is_some() {
                // It was promised and did not come.
                miss(&mut row, action, retry, chance, now)
            } else if row.wanted && row.poison.is_at_rest() {
                // It was laid down while it was read back, and now it was read.
                row.poison = row.poison.renewed();
                Phase::Due { at: now }
            } else if was_seen_so {
                // It was so, was seen to be so, and somebody else changed it: a trial of its own.
                row.since = now;
                row.attempts = 0;
                row.misses = 0;
                row.acknowledged = None;
                Phase::Due { at: now }
            } else if row.misses == 0 && row.acknowledged.is_none() {
                // Nothing was promised yet; the read only said what to do next.
                Phase::Due { at: now }
            } else {
                miss(&mut row, action, retry, chance, now)
            };
            Ok(row)
        }
        Answer::Fault(fault) => {
            let rule = Rule::of(fault.class);
            row.attempts += i64::from(rule.counts);
            match rule.course(row.wanted) {
                Course::LookFirst => {
                    if action != Action::Observe {
                        row.observed = Observed::Unknown;
                        row.uncertain_until = Some(retry::after(deadline.max(now), ZOMBIE));
                    }
                    row.phase = miss(&mut row, action, retry, chance, now);
                }
                Course::Ladder => row.phase = miss(&mut row, action, retry, chance, now),
                Course::Hold => {
                    row.observed = before;
                    row.phase = miss(&mut row, action, retry, chance, now);
                }
                Course::AsAsked => {
                    row.observed = before;
                    let next = retry::after(now, retry.throttle(fault.retry_after, chance));
                    row.phase = next_or_failed(&mut row, action, next, retry, now);
                }
                Course::FixFirst | Course::Never => {
                    row.observed = before;
                    row.phase = refused(&mut row, action, retry, now);
                    let blind = before == Observed::Unknown && action != Action::Observe;
                    if blind && can_observe && !row.is_so() {
                        // What an earlier call did is not known, so there may be nothing to refuse:
                        // look before it rests as failed or stuck.
                        row.uncertain_until = Some(now);
                        row.phase = row.due(now);
                    }
                }
            }
            match pending::go_on(&mut row, action, retry, chance, now) {
                // That it could not be seen says nothing of what is awaited.
                Some(phase) => row.phase = phase,
                None => row.pending = None,
            }
            if fault.code == Fault::PANIC {
                row.poison = row.poison.crashed();
                if row.poison.is_at_rest() {
                    row.phase = laid_down(&mut row, retry, now);
                }
            } else if action != Action::Observe && fault.code != Fault::LATE {
                // Reading before each call says nothing of the calls that break down.
                row.poison.crashes = 0;
            }
            Ok(row)
        }
    }
}

/// Whether a look at what was seen to be as wanted found that somebody else changed it. What may be the
/// late end of an order of ours is not taken for that.
pub fn drifted(before: &Delivery, after: &Delivery) -> bool {
    let looked = matches!(before.phase, Phase::InFlight { action: Action::Observe, .. });
    looked && before.late_until.is_none() && before.is_seen_so() && !after.is_so()
}

/// Lets a delivery rest that somebody else keeps changing, or whose difference is only to be told: a
/// grant waits for a person; a removal is never dropped, but only tried now and then.
pub fn leave(mut row: Delivery, retry: &Retry, now: Timestamp) -> Delivery {
    if row.is_so() || !matches!(row.phase, Phase::Due { .. }) {
        return row;
    }
    row.phase = match row.wanted {
        true => Phase::Failed { at: now },
        false => Phase::Stuck { since: now, probe_at: retry::after(now, retry.stuck_probe) },
    };
    row
}

/// Has what is settled read once more. What is due, in flight or given up is not touched, and neither
/// is what we never called the target for.
pub fn look_again(mut row: Delivery, now: Timestamp) -> Delivery {
    if row.phase == Phase::Settled && row.observed != Observed::Never {
        row.verify_at = Some(row.verify_at.map_or(now, |at| at.min(now)));
    }
    row
}

/// One more try in a row without success: when is the next one, or is this the end?
fn miss(row: &mut Delivery, action: Action, retry: &Retry, chance: f64, now: Timestamp) -> Phase {
    row.misses += 1;
    let wait = retry.delay(row.wanted, row.misses, chance);
    next_or_failed(row, action, retry::after(now, wait), retry, now)
}

/// Grants end at their window, with one last try at its end; revocations never end.
fn next_or_failed(
    row: &mut Delivery,
    action: Action,
    next: Timestamp,
    retry: &Retry,
    now: Timestamp,
) -> Phase {
    if row.is_so() {
        // A call that is not wanted any more is over; a read-back that failed, or went under when that
        // call began, is made anew.
        let is_owed = action == Action::Observe || owes_a_look(row, retry);
        row.verify_at = if is_owed { Some(next) } else { row.late_look(now) };
        return Phase::Settled;
    }
    let Some(window) = retry.ladder(row.wanted).window else { return row.due(next) };
    let end = retry::after(row.since, window);
    if end <= now { Phase::Failed { at: now } } else { row.due(next.min(end)) }
}

/// Whether what a target acknowledged was never read back though it is to be.
fn owes_a_look(row: &Delivery, retry: &Retry) -> bool {
    row.acknowledged.is_some() && row.verified.is_none() && retry.read_back_after.is_some()
}

/// The target refused for good.
fn refused(row: &mut Delivery, action: Action, retry: &Retry, now: Timestamp) -> Phase {
    let asked_for_present_wish = match action {
        Action::Grant => row.wanted,
        Action::Revoke => !row.wanted,
        Action::Observe => true,
    };
    if row.is_so() {
        // What was given stays acknowledged; that something is gone is looked at for a week.
        let since = row.settled_since();
        let again = retry::after(now, retry.stuck_probe);
        let last = retry::after(since, LOOKED_AT_FOR);
        let next = retry::second_look(since, now).or(Some(again).filter(|at| *at <= last));
        let is_gone = !row.wanted && row.observed == Observed::Absent;
        row.verify_at = if action != Action::Observe && owes_a_look(row, retry) {
            Some(now)
        } else {
            next.filter(|_| is_gone && retry.read_back_after.is_some())
        };
        Phase::Settled
    } else if !asked_for_present_wish {
        row.due(now)
    } else if row.wanted {
        Phase::Failed { at: now }
    } else {
        Phase::Stuck { since: now, probe_at: retry::after(now, retry.stuck_probe) }
    }
}

/// Ends a grant whose window is over while its target cannot be called: nothing is tried, so nothing
/// else would end it. What is not due, not wanted or still in its window stays as it is.
pub fn give_up(mut row: Delivery, retry: &Retry, now: Timestamp) -> Delivery {
    let is_over = retry::after(row.since, retry.grant_window) <= now;
    let may_still_happen = row.uncertain_until.is_some_and(|until| now < until);
    if row.wanted
        && is_over
        && !may_still_happen
        && row.pending.is_none_or(|pending| !pending.is_good(now))
        && !row.is_so()
        && matches!(row.phase, Phase::Due { .. })
    {
        row.pending = None;
        row.phase = Phase::Failed { at: now };
    }
    row
}

/// Tries again what is not so: a fresh trial, starting now. What is so is not touched, and what is
/// in flight is left to its worker. Says whether anything changed.
///
/// What a person has a task for is left to them: [`pending::take_back`] is for that.
pub fn reopen(mut row: Delivery, now: Timestamp) -> (Delivery, bool) {
    match row.phase {
        Phase::Due { .. } if pending::waits_for_person(&row) => (row, false),
        Phase::Failed { .. } | Phase::Due { .. } => {
            row.attempts = 0;
            row.misses = 0;
            row.poison = Poison::default();
            if row.wanted {
                row.since = now;
            }
            (row.rest(now), true)
        }
        Phase::Stuck { .. } => {
            row.misses = 0;
            row.poison = Poison::default();
            (row.rest(now), true)
        }
        Phase::Settled | Phase::InFlight { .. } => (row, false),
    }
}

/// Asks for what is so to be read, or re-applied where the target cannot be read.
pub fn verify(mut row: Delivery, now: Timestamp) -> Delivery {
    if row.phase == Phase::Settled && row.wanted {
        row.observed = Observed::Unknown;
        row.uncertain_until = Some(now);
        row.acknowledged = None;
        row.attempts = 0;
        row.misses = 0;
        row.poison = Poison::default();
        row.since = now;
        row.phase = Phase::Due { at: now };
        row
    } else {
        reopen(row, now).0
    }
}

/// A late answer of another claim came in: whatever it did may have changed what we believe.
pub fn doubt(mut row: Delivery, answer: &Answer, can_observe: bool, now: Timestamp) -> Delivery {
    pending::keep_end(&mut row, answer, now);
    if row.phase != Phase::Settled || row.observed == Observed::Never {
        return row;
    }
    if can_observe {
        row.verify_at = Some(now);
    } else {
        row.observed = Observed::Unknown;
        row.phase = Phase::Due { at: now };
    }
    row
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
