#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::circuit::Reason;
use crate::delivery::{self, Action, Answer, Observed};
use crate::fault::{Class, Fault};

/// The right time, in seconds.
const NOW: i64 = 1_000_000;
/// By how much the clock ran ahead.
const AHEAD: i64 = 400 * 86_400;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn now() -> Timestamp {
    at(NOW)
}

/// An instant of the clock that ran ahead, so long before it was set back.
fn then(ago: i64) -> Timestamp {
    at(NOW + AHEAD - ago)
}

fn set_back(row: Delivery, attempted_at: Option<Timestamp>) -> (Delivery, Option<Timestamp>) {
    super::delivery(row, attempted_at, false, &Retry::default(), now())
}

/// A role that is wanted since, or not wanted any more since.
fn wish(wanted: bool, since: Timestamp) -> Delivery {
    let mut row = Delivery::new(false, at(0));
    if !wanted {
        row = Delivery { wanted: true, observed: Observed::Present, ..row };
    }
    delivery::want(row, wanted, since)
}

/// A delivery whose call, begun then, was answered at once.
fn called(row: Delivery, begun: Timestamp, answer: &Answer) -> Delivery {
    let (row, _) = delivery::claim(row, true, begun).unwrap();
    delivery::settle(row, row.epoch, answer, true, &Retry::default(), 1.0, begun).unwrap()
}

fn failing(class: Class) -> Answer {
    Answer::Fault(Fault::new(class, "http-500", "no"))
}

#[test]
fn a_wish_of_the_time_ahead_is_taken_up_now() {
    let (row, _) = set_back(wish(true, then(300)), None);

    assert_eq!((row.since, row.phase), (now(), Phase::Due { at: now() }));
}

#[test]
fn the_wait_of_the_ladder_counts_from_now_and_is_not_shortened() {
    for wanted in [true, false] {
        let due = called(wish(wanted, then(600)), then(300), &failing(Class::Transient));
        let Phase::Due { at: before } = due.phase else { unreachable!() };
        let wait = before.duration_since(then(300));

        let (row, attempted) = set_back(due, Some(then(300)));

        assert_eq!((row.phase, attempted), (Phase::Due { at: now() + wait }, Some(now())));
        assert_eq!(row.since, at(NOW - 300), "the trial is as old as it was");
        assert_eq!((row.misses, row.attempts), (due.misses, due.attempts));
    }
}

#[test]
fn a_call_of_unknown_outcome_has_as_long_as_it_had() {
    let due = called(wish(true, then(600)), then(5), &failing(Class::Unknown));

    let (row, _) = set_back(due, Some(then(5)));

    let over = row.uncertain_until.unwrap();
    assert!(now() + CALL_DEADLINE + ZOMBIE <= over && over <= now() + SignedDuration::from_mins(1));
    assert_eq!(delivery::claim(row, true, now()), None);
}

#[test]
fn what_bears_no_sign_waits_no_longer_than_the_ladder() {
    let due = Delivery { phase: Phase::Due { at: then(0) }, ..wish(false, at(NOW - 900)) };

    let (row, _) = set_back(due, Some(at(NOW - 800)));

    let Phase::Due { at: ready } = row.phase else { unreachable!() };
    assert!(now() < ready && ready <= now() + SignedDuration::from_mins(66));
}

#[test]
fn what_the_present_clock_wrote_is_left_as_it_is() {
    let retry = Retry::default();
    for class in [Class::Transient, Class::Permanent, Class::Unknown, Class::Throttled] {
        for wanted in [true, false] {
            let begun = at(NOW - 30);
            let row = called(wish(wanted, at(NOW - 60)), begun, &failing(class));
            assert_eq!(set_back(row, Some(begun)), (row, Some(begun)), "{class:?} {wanted}");
        }
    }
    let removed = called(wish(false, at(NOW - 60)), at(NOW - 30), &Answer::Applied);
    let seen = called(removed, at(NOW - 20), &Answer::Absent);
    let (flying, _) = delivery::claim(wish(true, now()), true, now()).unwrap();
    for row in [removed, seen, flying] {
        assert_eq!(set_back(row, Some(now())), (row, Some(now())));
    }
    // And so is what another server wrote whose clock is a little ahead.
    let near = wish(true, now() + SignedDuration::from_mins(4));
    assert_eq!(set_back(near, None), (near, None));
    let open = crate::circuit::trip(Circuit::default(), Reason::Credentials, &retry, 1.0, now());
    assert_eq!(circuit(open, &retry, now()), open);
}

#[test]
fn a_second_look_and_a_probe_come_when_they_would_have() {
    let removed = called(wish(false, then(90)), then(60), &Answer::Applied);
    let seen = called(removed, then(50), &Answer::Absent);
    let refused = called(wish(false, then(90)), then(60), &failing(Class::Permanent));

    let (looks, _) = set_back(seen, Some(then(50)));
    let (probed, _) = set_back(refused, Some(then(60)));

    assert_eq!(looks.verify_at, Some(at(NOW - 10 + 120)));
    assert_eq!((looks.acknowledged, looks.verified), (Some(at(NOW - 10)), Some(now())));
    let probe_at = now() + Retry::default().stuck_probe;
    assert_eq!(probed.phase, Phase::Stuck { since: now(), probe_at });
}

#[test]
fn a_lease_is_left_alone_unless_it_is_known_to_be_over() {
    let wish = wish(true, at(NOW - 60));
    let (row, _) = delivery::claim(wish, true, then(0) - SignedDuration::from_hours(1)).unwrap();
    let retry = Retry::default();
    assert!(is_held_too_long(&row, now()));

    let (held, _) = super::delivery(row, Some(then(0)), false, &retry, now());
    let (over, _) = super::delivery(row, Some(then(0)), true, &retry, now());

    assert_eq!(held.phase, row.phase);
    assert_eq!(delivery::claim(held, true, now()), None);
    let (again, action) = delivery::claim(over, true, now()).unwrap();
    assert_eq!((again.epoch, action), (row.epoch + 1, Action::Observe), "it is looked at first");
    assert_eq!(again.poison.crashes, 1);
    assert!(!is_held_too_long(&again, now()));
}

#[test]
fn a_target_that_accepted_work_has_as_long_for_it_as_it_asked_for() {
    let promised = SignedDuration::from_hours(7 * 24);
    let accepted = Answer::Pending(crate::pending::Accepted::Target { at_most: promised });
    let row = called(wish(true, then(90)), then(60), &accepted);

    let (moved, _) = set_back(row, Some(then(60)));
    let (aside, _) = set_back(delivery::want(row, false, then(30)), Some(then(60)));

    assert_eq!(moved.pending.unwrap().until, Some(now() + promised));
    assert!(moved.ready_at().unwrap() <= now() + LONGEST_LOOK);
    let left = promised - SignedDuration::from_secs(30);
    assert_eq!(aside.late_until, Some(now() + left));
}

#[test]
fn what_was_accepted_before_the_clock_ran_ahead_is_looked_at_when_its_time_is_over() {
    let promised = SignedDuration::from_hours(48);
    let accepted = Answer::Pending(crate::pending::Accepted::Target { at_most: promised });
    let row = called(wish(true, at(NOW - 90)), at(NOW - 60), &accepted);
    let row = called(delivery::want(row, false, at(NOW - 50)), then(60), &Answer::Absent);

    let (moved, _) = set_back(row, Some(then(60)));

    assert_eq!(moved.late_until, row.late_until, "the target may still do it");
}

#[test]
fn what_was_accepted_by_the_clock_ahead_and_read_since_is_looked_at_within_a_week() {
    let row = Delivery {
        observed: Observed::Absent,
        verified: Some(at(NOW - 40)),
        late_until: Some(then(60)),
        verify_at: Some(then(50)),
        ..Delivery::new(false, at(NOW - 50))
    };

    let (moved, _) = set_back(row, Some(at(NOW - 40)));

    assert_eq!(row.ready_at(), Some(then(50)));
    assert_eq!(moved.ready_at(), Some(now() + LOOKED_AT_FOR));
}

#[test]
fn a_circuit_is_checked_now_and_quiet_lasts_an_hour_at_most() {
    let retry = Retry::default();
    let open = crate::circuit::trip(Circuit::default(), Reason::Unavailable, &retry, 1.0, then(0));
    let open = crate::circuit::throttled(open, then(-1_800));

    let moved = circuit(open, &retry, now());

    let State::Open { since, check_at, strikes, .. } = moved.state else { unreachable!() };
    assert_eq!((since, check_at, strikes), (now(), now(), 1));
    assert_eq!(moved.quiet_until, Some(now() + SignedDuration::from_hours(1)));
}
