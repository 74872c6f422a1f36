//! The circuit of a target: whether it is called at all while it is in trouble.
//!
//! A target that does not answer is not asked a thousand times. Its circuit *opens*: deliveries wait
//! without a try being counted, and one check that changes nothing is made now and then. When the
//! check succeeds, a few calls *try* it; when they do too, it is *closed* and what waited goes out,
//! revocations first. The figures are those of Resilience4j and Kubernetes, adapted; a circuit never
//! gives up.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::delivery::Answer;
use crate::fault::{Class, Fault};
use crate::retry::{Retry, after};

/// Target faults in a row that open a circuit.
pub const IN_A_ROW: u32 = 5;
/// Calls that are looked back on.
pub const RECENT: usize = 20;
/// How far they are looked back on.
pub const LOOK_BACK: SignedDuration = SignedDuration::from_secs(60);
/// Calls that must succeed before a circuit closes.
pub const TRIALS: i64 = 3;
/// Open for so long, a target is reported as out of order.
pub const OUT_OF_ORDER: SignedDuration = SignedDuration::from_mins(60);
/// How long a check has before another process makes it.
pub const CHECK_LEASE: SignedDuration = SignedDuration::from_secs(60);

/// What kind of trouble a target is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It does not answer, or not as it should; that may pass by itself.
    Unavailable,
    /// It does not let us in: credentials or certificate. Somebody must change something, and trying
    /// often could lock the account.
    Credentials,
}

impl Reason {
    /// The reason that a fault of the whole target gives, judged by its code.
    pub fn of(fault: &Fault) -> Reason {
        match fault.code.as_str() {
            "http-401" | "oauth-refused" | "tls" | "secrets" | "ldap-48" | "ldap-49"
            | "sql-28000" | "sql-28P01" => Reason::Credentials,
            _ => Reason::Unavailable,
        }
    }

    /// Stable text, used in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Unavailable => "unavailable",
            Reason::Credentials => "credentials",
        }
    }

    /// The reason of that name.
    pub fn parse(name: &str) -> Option<Reason> {
        [Reason::Unavailable, Reason::Credentials].into_iter().find(|reason| reason.name() == name)
    }

    /// First and largest wait between two checks: half a minute and a quarter of an hour, or five
    /// minutes and an hour, unless the back-off of grants was set otherwise.
    pub(crate) fn waits(self, retry: &Retry) -> (SignedDuration, SignedDuration) {
        match self {
            Reason::Unavailable => (retry.base.saturating_mul(6), retry.cap / 4),
            Reason::Credentials => (retry.base.saturating_mul(60), retry.cap),
        }
    }
}

/// Where a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The target is called.
    Closed,
    /// It is not called but for checks.
    Open {
        /// Since when it has been in trouble.
        since: Timestamp,
        /// When it is checked next.
        check_at: Timestamp,
        /// Checks and trials that failed, for the wait before the next one.
        strikes: i64,
        /// What the trouble is.
        reason: Reason,
    },
    /// A check succeeded; a few calls show whether it holds.
    Trial {
        /// Since when it had been in trouble.
        since: Timestamp,
        /// See [`State::Open`].
        strikes: i64,
        /// See [`State::Open`].
        reason: Reason,
        /// Calls that succeeded.
        passed: i64,
    },
}

/// A target's circuit, and the quiet that the target asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Circuit {
    /// Where it stands.
    pub state: State,
    /// The target asked not to be called before.
    pub quiet_until: Option<Timestamp>,
}

impl Default for Circuit {
    fn default() -> Circuit {
        Circuit { state: State::Closed, quiet_until: None }
    }
}

/// How many deliveries may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Admission {
    /// None.
    Nothing,
    /// One, to see how it goes.
    One,
    /// As many as there is room for.
    All,
}

impl Circuit {
    /// What may be called now.
    pub fn admits(&self, now: Timestamp) -> Admission {
        if self.quiet_until.is_some_and(|until| now < until) {
            return Admission::Nothing;
        }
        match self.state {
            State::Closed => Admission::All,
            State::Trial { .. } => Admission::One,
            State::Open { .. } => Admission::Nothing,
        }
    }

    /// Until when nothing is called, as far as that is known now.
    pub fn held_until(&self) -> Option<Timestamp> {
        let check = match self.state {
            State::Open { check_at, .. } => Some(check_at),
            State::Closed | State::Trial { .. } => None,
        };
        check.max(self.quiet_until)
    }

    /// Whether the target has been in trouble for so long, or in such, that somebody must look.
    pub fn is_out_of_order(&self, now: Timestamp) -> bool {
        match self.state {
            State::Closed => false,
            State::Open { since, reason, .. } | State::Trial { since, reason, .. } => {
                reason == Reason::Credentials || OUT_OF_ORDER <= now.duration_since(since)
            }
        }
    }
}

/// What the calls of this process said lately; kept in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent {
    calls: VecDeque<(Timestamp, bool)>,
    in_a_row: u32,
}

/// What one call says of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It answers.
    Fine,
    /// It asks for quiet, perhaps for how long.
    Throttled(Option<std::time::Duration>),
    /// It was in trouble with this call.
    Strained,
    /// It is in trouble as a whole.
    Trouble(Reason),
}

impl Heard {
    /// What the answers of one call say, taken together.
    pub fn of(answers: &[Answer]) -> Heard {
        let mut strained = 0;
        let mut trouble = None;
        let mut throttled = None;
        for answer in answers {
            let Answer::Fault(fault) = answer else { continue };
            match fault.class {
                Class::Target => {
                    let reason = Reason::of(fault);
                    // Who is not let in is told so even if other items only find nobody at home.
                    trouble = match trouble {
                        Some(Reason::Credentials) => trouble,
                        _ => Some(reason),
                    };
                }
                Class::Throttled => throttled = throttled.max(Some(fault.retry_after)),
                Class::Unknown | Class::Transient => strained += 1,
                Class::Permanent | Class::Unsupported => {}
            }
        }
        match (trouble, throttled) {
            (Some(reason), _) => Heard::Trouble(reason),
            (None, Some(wait)) => Heard::Throttled(wait),
            (None, None) if answers.len() < 2 * strained => Heard::Strained,
            (None, None) => Heard::Fine,
        }
    }
}

impl Recent {
    /// Takes in what a call said; the reason to open the circuit if that is enough.
    pub fn note(&mut self, heard: Heard, now: Timestamp) -> Option<Reason> {
        let is_bad = match heard {
            Heard::Fine => false,
            // Half the weight of trouble, as for the pace, would be none at all here.
            Heard::Throttled(_) => return None,
            Heard::Strained | Heard::Trouble(_) => true,
        };
        self.calls.push_back((now, is_bad));
        if RECENT < self.calls.len() {
            self.calls.pop_front();
        }
        self.in_a_row = match heard {
            Heard::Trouble(_) => self.in_a_row + 1,
            _ => 0,
        };
        let reason = match heard {
            Heard::Trouble(Reason::Credentials) => Some(Reason::Credentials),
            Heard::Trouble(reason) if IN_A_ROW <= self.in_a_row => Some(reason),
            _ if is_bad && self.mostly_bad(now) => Some(Reason::Unavailable),
            _ => None,
        };
        if reason.is_some() {
            *self = Recent::default();
        }
        reason
    }

    fn mostly_bad(&self, now: Timestamp) -> bool {
        let recent = self.calls.iter().filter(|(at, _)| now.duration_since(*at) <= LOOK_BACK);
        let (all, bad) =
            recent.fold((0, 0), |(all, bad), (_, is_bad)| (all + 1, bad + usize::from(*is_bad)));
        RECENT <= all && all <= 2 * bad
    }
}

/// The wait before the next check: between half of a bound and the bound, which doubles.
fn wait(reason: Reason, strikes: i64, retry: &Retry, chance: f64) -> SignedDuration {
    let (base, cap) = reason.waits(retry);
    let doublings = u32::try_from(strikes.saturating_sub(1).clamp(0, 20)).unwrap_or(20);
    let bound = base.saturating_mul(2_i32.saturating_pow(doublings)).min(cap);
    #[expect(clippy::cast_possible_truncation, reason = "at most half an hour of milliseconds")]
    let spread = (bound.as_millis() as f64 / 2.0 * chance.clamp(0.0, 1.0)) as i64;
    bound / 2 + SignedDuration::from_millis(spread)
}

fn open(
    since: Timestamp,
    strikes: i64,
    reason: Reason,
    (retry, chance): (&Retry, f64),
    now: Timestamp,
) -> State {
    let check_at = after(now, wait(reason, strikes, retry, chance));
    State::Open { since, check_at, strikes, reason }
}

/// Opens a circuit because calls said so.
pub fn trip(
    mut circuit: Circuit,
    reason: Reason,
    retry: &Retry,
    chance: f64,
    now: Timestamp,
) -> Circuit {
    circuit.state = match circuit.state {
        State::Closed => open(now, 1, reason, (retry, chance), now),
        State::Trial { since, strikes, .. } => {
            open(since, strikes + 1, reason, (retry, chance), now)
        }
        // Calls that were under way when it opened say nothing new, but for why.
        State::Open { since, check_at, strikes, reason: known } => {
            let worse = known == Reason::Unavailable && reason == Reason::Credentials;
            if worse {
                open(since, strikes, reason, (retry, chance), now)
            } else {
                State::Open { since, check_at, strikes, reason: known }
            }
        }
    };
    circuit
}

/// Takes the check that is due, so that nobody else makes it meanwhile. `None`: none is due.
pub fn take_check(mut circuit: Circuit, now: Timestamp) -> Option<Circuit> {
    match circuit.state {
        State::Open { since, check_at, strikes, reason } if check_at <= now => {
            circuit.state =
                State::Open { since, check_at: after(now, CHECK_LEASE), strikes, reason };
            Some(circuit)
        }
        _ => None,
    }
}

/// What a check found: the trouble, or nothing.
pub fn checked(
    mut circuit: Circuit,
    trouble: Option<Reason>,
    retry: &Retry,
    chance: f64,
    now: Timestamp,
) -> Circuit {
    circuit.state = match (circuit.state, trouble) {
        (State::Open { since, strikes, reason, .. }, None) => {
            State::Trial { since, strikes, reason, passed: 0 }
        }
        (State::Open { since, strikes, .. }, Some(reason)) => {
            open(since, strikes + 1, reason, (retry, chance), now)
        }
        (state, _) => state,
    };
    circuit
}

/// A call succeeded. Whether that closed the circuit is for the caller to see.
pub fn passed(mut circuit: Circuit) -> Circuit {
    if let State::Trial { since, strikes, reason, passed } = circuit.state {
        circuit.state = if passed + 1 < TRIALS {
            State::Trial { since, strikes, reason, passed: passed + 1 }
        } else {
            State::Closed
        };
    }
    circuit
}

/// The target asked for quiet. The longest wish counts.
pub fn throttled(mut circuit: Circuit, until: Timestamp) -> Circuit {
    circuit.quiet_until = circuit.quiet_until.max(Some(until));
    circuit
}

/// Somebody changed something about the target: it is checked at once, and the waits begin anew.
pub fn nudged(mut circuit: Circuit, now: Timestamp) -> Circuit {
    circuit.quiet_until = None;
    if let State::Open { since, reason, .. } = circuit.state {
        circuit.state = State::Open { since, check_at: now, strikes: 0, reason };
    }
    circuit
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn fault(class: Class, code: &str) -> Answer {
        Answer::Fault(Fault::new(class, code, "trouble"))
    }

    fn opened() -> Circuit {
        trip(Circuit::default(), Reason::Unavailable, &Retry::default(), 1.0, at(0))
    }

    #[test]
    fn five_target_faults_in_a_row_open_it_and_a_success_between_does_not() {
        let mut recent = Recent::default();
        let trouble = Heard::of(&[fault(Class::Target, "dns")]);
        let mut heard = vec![trouble; 4];
        heard.push(Heard::Fine);
        heard.extend([trouble; 5]);

        let reasons: Vec<_> = heard.into_iter().map(|heard| recent.note(heard, at(0))).collect();

        assert!(reasons.iter().take(9).all(Option::is_none));
        assert_eq!(reasons.last().unwrap(), &Some(Reason::Unavailable));
    }

    #[test]
    fn credentials_that_are_not_accepted_open_it_at_once() {
        for code in ["http-401", "oauth-refused", "tls", "ldap-49", "sql-28P01", "secrets"] {
            let heard = Heard::of(&[fault(Class::Target, "dns"), fault(Class::Target, code)]);

            assert_eq!(Recent::default().note(heard, at(0)), Some(Reason::Credentials), "{code}");
        }
    }

    #[test]
    fn half_of_the_last_twenty_calls_in_a_minute_open_it() {
        let heard = |n: i64| if n % 2 == 0 { Heard::Fine } else { Heard::Strained };
        let trips = |seconds: i64| {
            let mut recent = Recent::default();
            (0..20).filter_map(|n| recent.note(heard(n), at(n * seconds))).count()
        };

        assert_eq!(trips(1), 1);
        assert_eq!(trips(10), 0);
    }

    #[test]
    fn one_refused_person_among_many_is_no_trouble_of_the_target() {
        let heard = Heard::of(&[
            Answer::Applied,
            fault(Class::Permanent, "http-403"),
            fault(Class::Transient, "http-500"),
        ]);

        assert_eq!(heard, Heard::Fine);
    }

    #[test]
    fn an_open_circuit_admits_nothing_until_a_check_and_three_calls_succeed() {
        let open = opened();
        assert_eq!(open.admits(at(1_000)), Admission::Nothing);
        assert_eq!(take_check(open, at(29)), None);

        let taken = take_check(open, at(30)).unwrap();
        assert_eq!(take_check(taken, at(31)), None);
        let trial = checked(taken, None, &Retry::default(), 0.0, at(31));
        assert_eq!(trial.admits(at(31)), Admission::One);
        let nearly = passed(passed(trial));
        assert_eq!(nearly.admits(at(31)), Admission::One);

        assert_eq!(passed(nearly), Circuit::default());
    }

    #[test]
    fn checks_that_fail_come_ever_more_seldom() {
        let waits = |reason: Reason| -> Vec<i64> {
            (1..=8).map(|strikes| wait(reason, strikes, &Retry::default(), 1.0).as_secs()).collect()
        };

        assert_eq!(waits(Reason::Unavailable), [30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(waits(Reason::Credentials), [300, 600, 1200, 2400, 3600, 3600, 3600, 3600]);
        assert_eq!(wait(Reason::Unavailable, 1, &Retry::default(), 0.0).as_secs(), 15);
    }

    #[test]
    fn a_trial_that_fails_opens_it_again_for_longer() {
        let trial =
            checked(take_check(opened(), at(30)).unwrap(), None, &Retry::default(), 0.0, at(30));

        let again = trip(trial, Reason::Unavailable, &Retry::default(), 1.0, at(31));

        let State::Open { since, check_at, strikes, .. } = again.state else { unreachable!() };
        assert_eq!((since, check_at, strikes), (at(0), at(91), 2));
    }

    #[test]
    fn a_change_of_its_settings_has_it_checked_at_once() {
        let open = trip(Circuit::default(), Reason::Credentials, &Retry::default(), 1.0, at(0));

        assert_eq!(take_check(open, at(10)), None);
        assert!(take_check(nudged(open, at(10)), at(10)).is_some());
    }

    #[test]
    fn a_target_that_asks_for_quiet_gets_it_whatever_else_is_so() {
        let quiet = throttled(Circuit::default(), at(60));

        assert_eq!(quiet.admits(at(59)), Admission::Nothing);
        assert_eq!(quiet.admits(at(60)), Admission::All);
        assert_eq!(throttled(quiet, at(30)).held_until(), Some(at(60)));
    }

    #[test]
    fn it_is_out_of_order_after_an_hour_or_when_it_does_not_let_us_in() {
        let closed_out =
            trip(Circuit::default(), Reason::Credentials, &Retry::default(), 0.0, at(0));

        assert!(!opened().is_out_of_order(at(3_599)));
        assert!(opened().is_out_of_order(at(3_600)));
        assert!(closed_out.is_out_of_order(at(0)));
    }
}
