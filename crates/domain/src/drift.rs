//! Drift: what a target holds is no longer what Accede wants there, because somebody else changed it.
//!
//! A difference is either repaired or only told. What is repaired again and again is *contested*:
//! another system manages it, and two systems that undo each other help nobody.

use jiff::{SignedDuration, Timestamp};

use crate::delivery::{Delivery, Observed, Phase};
use crate::retry::after;

/// How a difference came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A role that is wanted was taken away in the target.
    Missing,
    /// A role that we took away is there again.
    CameBack,
    /// Somebody has a role that no assignment gives them.
    Extra,
    /// A role was repaired so often that somebody else must be managing it too.
    Contested,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Missing, Kind::CameBack, Kind::Extra, Kind::Contested];
    /// Their names, in the same order.
    pub const NAMES: [&'static str; 4] = ["missing", "cameBack", "extra", "contested"];

    /// Stable text, used on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::CameBack => "cameBack",
            Kind::Extra => "extra",
            Kind::Contested => "contested",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// The difference is there.
    Open,
    /// A call of ours ended it.
    Repaired,
    /// It ended without us.
    Gone,
    /// Somebody accepted it, with a reason.
    Dismissed,
}

impl State {
    /// Every state.
    pub const ALL: [State; 4] = [State::Open, State::Repaired, State::Gone, State::Dismissed];
    /// Their names, in the same order.
    pub const NAMES: [&'static str; 4] = ["open", "repaired", "gone", "dismissed"];

    /// Stable text, used on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Repaired => "repaired",
            State::Gone => "gone",
            State::Dismissed => "dismissed",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<State> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether the difference may still be there, accepted or not.
    pub const fn is_live(self) -> bool {
        matches!(self, State::Open | State::Dismissed)
    }
}

/// What is done about a role that was taken away in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Missing {
    /// It is given again.
    #[default]
    Repair,
    /// It is told, and a person decides.
    Report,
}

impl Missing {
    /// Their names.
    pub const NAMES: [&'static str; 2] = ["repair", "report"];

    /// The policy of that name.
    pub fn parse(name: &str) -> Option<Missing> {
        match name {
            "repair" => Some(Missing::Repair),
            "report" => Some(Missing::Report),
            _ => None,
        }
    }
}

/// What is done about access that no assignment gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Extra {
    /// It is told.
    #[default]
    Report,
    /// It is taken away from people who are known here.
    Revoke,
}

impl Extra {
    /// Their names.
    pub const NAMES: [&'static str; 2] = ["report", "revoke"];

    /// The policy of that name.
    pub fn parse(name: &str) -> Option<Extra> {
        match name {
            "report" => Some(Extra::Report),
            "revoke" => Some(Extra::Revoke),
            _ => None,
        }
    }
}

/// Whether access that no assignment gives may be taken away, where `delivery` is what is known of
/// that role of that person, if anything, and it was last `seen` in the target then. Never what existed
/// before and is kept (`keep_pre_existing`, as the resource says), what is under way, what rests for
/// people, or what was taken since.
pub fn may_take(delivery: Option<&Delivery>, keep_pre_existing: bool, seen: Timestamp) -> bool {
    !keep_pre_existing
        && delivery.is_none_or(|row| {
            !row.wanted
                && !row.keep_pre_existing
                && row.phase == Phase::Settled
                && row.observed != Observed::Present
                && !was_taken(row, seen)
        })
}

/// Begins to take away what is in the target without being wanted, as it was `seen` there, and was not
/// ours before. If the person is given the role meanwhile, it counts as access that existed
/// before. What is not settled, or wanted, is not touched.
pub fn take(mut row: Delivery, seen: Timestamp, now: Timestamp) -> Delivery {
    if row.wanted || row.phase != Phase::Settled {
        return row;
    }
    row.generation += 1;
    row.observed = Observed::Present;
    row.pre_existing = true;
    row.keep_pre_existing = false;
    row.attempts = 0;
    row.misses = 0;
    row.poison = row.poison.renewed();
    row.since = now;
    row.acknowledged = None;
    row.verified = Some(seen);
    row.verify_at = None;
    row.pending = None;
    row.phase = row.due(now);
    row
}

/// Whether a target acknowledged to have taken a role away after it was last `seen` there.
pub fn was_taken(row: &Delivery, seen: Timestamp) -> bool {
    let is_gone = !row.wanted && row.phase == Phase::Settled && row.observed == Observed::Absent;
    is_gone && row.acknowledged.is_some_and(|at| seen <= at)
}

/// How a difference came to its end, first seen at `first_seen`: by a call of ours, if the target
/// acknowledged one since.
pub fn ended(first_seen: Timestamp, acknowledged: Option<Timestamp>) -> State {
    match acknowledged {
        Some(at) if first_seen <= at => State::Repaired,
        _ => State::Gone,
    }
}

/// How often everything is compared, if nothing is said.
pub const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// So many repairs of one role of one person within [`CONTEST_WINDOW`] are made by themselves.
pub const REPAIRS: i64 = 3;
/// How far back repairs of one role of one person are counted together.
pub const CONTEST_WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// How long findings are kept after they were closed.
pub const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// The shortest time between two turns of comparing one target.
pub const TURN: SignedDuration = SignedDuration::from_mins(1);
/// Longer than a turn waits whose calls were as many as may be.
pub const LONGEST_TURN: SignedDuration = SignedDuration::from_hours(24);
/// The share of a target's calls that comparing may take, in percent.
pub const SHARE_PERCENT: i64 = 5;

/// What follows from a difference of a role that is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What it is.
    pub kind: Kind,
    /// Whether it is repaired by itself.
    pub repairs: bool,
}

/// Judges a difference of a role that is ours, which was repaired so often lately.
pub const fn judge(wanted: bool, missing: Missing, repairs: i64) -> Verdict {
    match (wanted, missing) {
        _ if REPAIRS <= repairs => Verdict { kind: Kind::Contested, repairs: false },
        (true, Missing::Repair) => Verdict { kind: Kind::Missing, repairs: true },
        (true, Missing::Report) => Verdict { kind: Kind::Missing, repairs: false },
        // It is ours to take away, whatever is done about what is missing.
        (false, _) => Verdict { kind: Kind::CameBack, repairs: true },
    }
}

/// How many calls one turn may make to a target that takes `concurrency` calls at once. A call is
/// taken to last a second: a target that answers faster is burdened less than its share.
pub fn calls_of_turn(concurrency: u32) -> usize {
    let turn = TURN.as_secs().saturating_mul(i64::from(concurrency));
    usize::try_from(turn.saturating_mul(SHARE_PERCENT) / 100).unwrap_or(1).max(1)
}

/// When the next turn may begin, after one that made so many calls.
pub fn next_turn(calls: usize, concurrency: u32, now: Timestamp) -> Timestamp {
    let calls = i64::try_from(calls).unwrap_or(i64::MAX);
    let rate = i64::from(concurrency.max(1)).saturating_mul(SHARE_PERCENT);
    let wait = SignedDuration::from_secs(calls.saturating_mul(100) / rate);
    after(now, wait.max(TURN))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (kind, name) in Kind::ALL.into_iter().zip(Kind::NAMES) {
            assert_eq!((kind.name(), Kind::parse(name)), (name, Some(kind)));
        }
        for (state, name) in State::ALL.into_iter().zip(State::NAMES) {
            assert_eq!((state.name(), State::parse(name)), (name, Some(state)));
        }
        assert_eq!(
            Missing::NAMES.map(Missing::parse),
            [Missing::Repair, Missing::Report].map(Some)
        );
    }

    #[test]
    fn extra_access_is_taken_only_where_nothing_else_is_known_or_decided() {
        let now = Timestamp::from_second(9).unwrap();
        let new = Delivery::new(false, now);
        let phase = |phase| Delivery { phase, ..new };
        let may_take = |row: Option<&Delivery>, keep| super::may_take(row, keep, now);

        assert!(may_take(None, false));
        assert!(may_take(Some(&new), false));
        assert!(may_take(Some(&Delivery { observed: Observed::Absent, ..new }), false));
        let gone = |acknowledged| Delivery { observed: Observed::Absent, acknowledged, ..new };
        assert!(may_take(Some(&gone(Timestamp::from_second(8).ok())), false), "seen since");
        assert!(!may_take(Some(&gone(Some(now))), false), "taken since");
        assert!(!may_take(None, true), "what existed before is kept there");
        assert!(!may_take(Some(&Delivery::new(true, now)), false), "and was when it was given");
        assert!(!may_take(Some(&Delivery { observed: Observed::Present, ..new }), false), "kept");
        assert!(!may_take(Some(&Delivery { wanted: true, ..new }), false), "given by now");
        assert!(!may_take(Some(&phase(Phase::Due { at: now })), false), "under way");
        let stuck = Phase::Stuck { since: now, probe_at: now };
        assert!(!may_take(Some(&phase(stuck)), false), "it rests for people");
        assert_eq!(Extra::NAMES.map(Extra::parse), [Extra::Report, Extra::Revoke].map(Some));
    }

    #[test]
    fn what_was_repaired_three_times_in_a_day_is_contested() {
        let judged = |wanted, missing, repairs| {
            let verdict = judge(wanted, missing, repairs);
            (verdict.kind, verdict.repairs)
        };

        assert_eq!(judged(true, Missing::Repair, 0), (Kind::Missing, true));
        assert_eq!(judged(true, Missing::Repair, 2), (Kind::Missing, true));
        assert_eq!(judged(true, Missing::Repair, 3), (Kind::Contested, false));
        assert_eq!(judged(true, Missing::Report, 0), (Kind::Missing, false));
        assert_eq!(judged(false, Missing::Report, 2), (Kind::CameBack, true));
        assert_eq!(judged(false, Missing::Repair, 3), (Kind::Contested, false));
    }

    #[test]
    fn a_difference_that_ended_without_a_call_of_ours_is_gone() {
        let at = |second| Timestamp::from_second(second).unwrap();

        assert_eq!(ended(at(5), Some(at(7))), State::Repaired);
        assert_eq!(ended(at(5), Some(at(3))), State::Gone);
        assert_eq!(ended(at(5), None), State::Gone);
    }

    #[test]
    fn comparing_takes_a_twentieth_of_what_a_target_takes() {
        let now = Timestamp::from_second(0).unwrap();
        let waits = |calls, at_once| next_turn(calls, at_once, now).as_second();

        assert_eq!((calls_of_turn(1), calls_of_turn(8), calls_of_turn(32)), (3, 24, 96));
        assert_eq!((waits(0, 8), waits(24, 8), waits(240, 8)), (60, 60, 600));
        assert_eq!(waits(100, 1), 2_000);
    }
}
