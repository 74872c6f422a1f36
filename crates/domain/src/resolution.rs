//! What people settle by hand: a role that somebody gave or took in the target system itself, and a
//! grant that is not worth trying any longer. What a person is to do there is in `pending`.
//!
//! A person's word is never believed where the target can be read; and a removal is never given up,
//! because nothing else would ever take the access away.

use jiff::Timestamp;

use crate::delivery::{Delivery, Observed, Phase, ZOMBIE};
use crate::pending;
use crate::poison::Poison;
use crate::refusal::Refusal;
use crate::retry;

/// How a person settles a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// Somebody did in the target what was to be done.
    DoneOutside,
    /// It is not to be tried any longer.
    GiveUp,
}

impl Resolution {
    /// Every resolution.
    pub const ALL: [Resolution; 2] = [Resolution::DoneOutside, Resolution::GiveUp];

    /// Stable text, used on the wire and in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Resolution::DoneOutside => "doneOutside",
            Resolution::GiveUp => "giveUp",
        }
    }

    /// The resolution of that name.
    pub fn parse(name: &str) -> Option<Resolution> {
        Self::ALL.into_iter().find(|resolution| resolution.name() == name)
    }
}

/// Whether there is something to settle by hand. Asking for what is so already is no mistake, only
/// nothing to do.
///
/// # Errors
///
/// While a call is under way, or one may still take effect: its answer would contradict the person.
pub fn is_open(row: &Delivery, now: Timestamp) -> Result<bool, Refusal> {
    match row.phase {
        Phase::Settled => Ok(false),
        // Reading back what is so.
        Phase::InFlight { .. } if row.is_so() => Ok(false),
        Phase::InFlight { lease_until, .. } => Err(under_way(lease_until)),
        Phase::Due { .. } | Phase::Failed { .. } | Phase::Stuck { .. } => {
            match row.uncertain_until.filter(|until| now < *until) {
                Some(until) => Err(under_way(until)),
                None => Ok(true),
            }
        }
    }
}

/// Whether the word of a person about a delivery can be taken, after `seen` was read in its target.
///
/// # Errors
///
/// That a role is gone, where nothing can be read, while the target may still give it, because it
/// accepted that before: nobody would find it. A target's own word is of all that it accepted.
pub fn may_be_believed(
    row: &Delivery,
    seen: Option<Observed>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let late = row.late_until.map(|until| retry::after(until, ZOMBIE));
    match late.filter(|until| !row.wanted && seen.is_none() && now < *until) {
        Some(until) => Err(under_way(until)),
        None => Ok(()),
    }
}

fn under_way(until: Timestamp) -> Refusal {
    Refusal::Rule {
        code: "DeliveryUnderWay",
        sentence: format!(
            "a call to the target system may still take effect until {until}; look again then"
        ),
    }
}

/// Somebody says that it was done in the target. `seen` is what was read there just now; `None`
/// where it cannot be read, and then the word of the person is its acknowledgement.
///
/// Settles only what is as wanted; anything else stays as it was, with what was seen.
///
/// # Errors
///
/// Those of [`is_open`].
pub fn done_outside(
    mut row: Delivery,
    seen: Option<Observed>,
    now: Timestamp,
) -> Result<Delivery, Refusal> {
    if !is_open(&row, now)? {
        return Ok(row);
    }
    let word = if row.wanted { Observed::Present } else { Observed::Absent };
    row.observed = seen.unwrap_or(word);
    row.uncertain_until = None;
    match seen {
        Some(_) => row.verified = Some(now),
        None => {
            row.acknowledged = Some(now);
            row.verified = None;
        }
    }
    if row.is_so() {
        row.misses = 0;
        pending::set_aside(&mut row);
        row.poison = Poison::default();
        // As after a call of ours: a worker that was held up may have sent an old grant late.
        row.verify_at = seen.filter(|_| !row.wanted).and_then(|_| retry::second_look(now, now));
        row.phase = Phase::Settled;
        if seen.is_some() {
            row = row.with_late_end(now, now);
        }
    }
    Ok(row)
}

/// Somebody says that a grant is not to be tried any longer: it rests as failed.
///
/// # Errors
///
/// Those of [`is_open`]; a removal is never given up.
pub fn abandon(mut row: Delivery, now: Timestamp) -> Result<Delivery, Refusal> {
    if !is_open(&row, now)? {
        return Ok(row);
    }
    if !row.wanted {
        return Err(Refusal::Rule {
            code: "RemovalNotGivenUp",
            sentence: "a removal is never given up; take the role away in the target system and \
                       resolve it as `doneOutside`, or mend the cause and try it again"
                .to_owned(),
        });
    }
    if !matches!(row.phase, Phase::Failed { .. }) {
        pending::set_aside(&mut row);
        row.phase = Phase::Failed { at: now };
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use jiff::SignedDuration;

    use super::*;
    use crate::delivery::{Action, Answer, claim, settle, want};
    use crate::fault::{Class, Fault};
    use crate::pending::Accepted;
    use crate::retry::Retry;
    use crate::rollup::Part;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + seconds).unwrap()
    }

    fn wanted() -> Delivery {
        want(Delivery::new(false, at(0)), true, at(0))
    }

    fn answered(row: Delivery, answer: &Answer, now: Timestamp) -> Delivery {
        let (row, _) = claim(row, true, now).unwrap();
        settle(row, row.epoch, answer, true, &Retry::default(), 0.5, now).unwrap()
    }

    fn fault(class: Class) -> Answer {
        Answer::Fault(Fault::new(class, "x", "x"))
    }

    fn failed() -> Delivery {
        answered(wanted(), &fault(Class::Permanent), at(1))
    }

    fn stuck() -> Delivery {
        let row = answered(wanted(), &Answer::Applied, at(1));
        answered(want(row, false, at(2)), &fault(Class::Permanent), at(3))
    }

    #[test]
    fn a_failed_grant_that_was_done_outside_is_settled_and_verified() {
        let row = done_outside(failed(), Some(Observed::Present), at(9)).unwrap();

        assert_eq!(row.phase, Phase::Settled);
        assert_eq!(row.part(), Part::Done);
        assert_eq!(row.verified, Some(at(9)));
        assert!(!row.pre_existing, "what was done for us is ours to take back");
    }

    #[test]
    fn a_word_that_the_target_contradicts_settles_nothing() {
        let grant = done_outside(failed(), Some(Observed::Absent), at(9)).unwrap();
        let removal = done_outside(stuck(), Some(Observed::Present), at(9)).unwrap();

        assert_eq!(grant.phase, failed().phase);
        assert_eq!(removal.phase, stuck().phase);
        assert_eq!(removal.observed, Observed::Present);
    }

    #[test]
    fn what_was_taken_away_by_hand_is_looked_at_once_more() {
        let row = done_outside(stuck(), Some(Observed::Absent), at(9)).unwrap();

        assert_eq!((row.phase, row.part()), (Phase::Settled, Part::Done));
        let (_, action) = claim(row, true, at(9 + 120)).unwrap();
        assert_eq!(action, Action::Observe);
    }

    #[test]
    fn where_nothing_can_be_read_the_word_is_an_acknowledgement() {
        let row = done_outside(stuck(), None, at(9)).unwrap();

        assert_eq!((row.phase, row.observed), (Phase::Settled, Observed::Absent));
        assert_eq!((row.acknowledged, row.verified), (Some(at(9)), None));
    }

    #[test]
    fn nobody_is_believed_unread_that_a_role_is_gone_while_the_target_may_still_give_it() {
        let accepted = Answer::Pending(Accepted::Target { at_most: SignedDuration::from_mins(20) });
        let (row, _) = claim(wanted(), false, at(0)).unwrap();
        let row = settle(row, row.epoch, &accepted, false, &Retry::default(), 0.5, at(0)).unwrap();
        let row = want(row, false, at(1));

        let refused = may_be_believed(&row, None, at(1_200)).unwrap_err();
        assert_eq!(refused.code(), "DeliveryUnderWay");
        assert_eq!(may_be_believed(&row, Some(Observed::Absent), at(1_200)), Ok(()));
        assert_eq!(may_be_believed(&row, None, at(1_300)), Ok(()));
        assert_eq!(may_be_believed(&want(row, true, at(2)), None, at(1_200)), Ok(()));
    }

    #[test]
    fn nothing_is_settled_by_hand_while_a_call_may_take_effect() {
        let (flying, action) = claim(wanted(), true, at(0)).unwrap();
        let unknown = answered(wanted(), &fault(Class::Unknown), at(0));

        assert_eq!(action, Action::Grant);
        for row in [flying, unknown] {
            let refused = done_outside(row, Some(Observed::Present), at(5)).unwrap_err();
            assert_eq!(refused.code(), "DeliveryUnderWay");
            assert_eq!(abandon(row, at(5)).unwrap_err().code(), "DeliveryUnderWay");
        }
        let later = done_outside(unknown, Some(Observed::Present), at(60)).unwrap();
        assert_eq!(later.phase, Phase::Settled);
    }

    #[test]
    fn what_is_so_is_not_touched() {
        let row = answered(wanted(), &Answer::Applied, at(1));

        assert_eq!(done_outside(row, Some(Observed::Absent), at(9)).unwrap(), row);
        assert_eq!(abandon(row, at(9)).unwrap(), row);
    }

    #[test]
    fn a_grant_that_is_given_up_rests_as_failed_and_can_be_wanted_again() {
        let row = abandon(wanted(), at(9)).unwrap();

        assert_eq!(row.phase, Phase::Failed { at: at(9) });
        assert_eq!(row.part(), Part::Failed);
        assert_eq!(abandon(row, at(10)).unwrap(), row);
        let (again, changed) = crate::delivery::reopen(row, at(20));
        assert!(changed);
        assert_eq!(again.phase, Phase::Due { at: at(20) });
    }

    #[test]
    fn a_removal_is_never_given_up() {
        assert_eq!(abandon(stuck(), at(9)).unwrap_err().code(), "RemovalNotGivenUp");
    }
}
