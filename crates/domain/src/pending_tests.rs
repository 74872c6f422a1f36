//! What is awaited, from the *accepted* to its end.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::delivery::{self, Answer, claim, give_up, reopen, settle, want};
use crate::rollup::Part;
use crate::task::Assignee;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + seconds).unwrap()
}

fn wanted() -> Delivery {
    want(Delivery::new(false, at(0)), true, at(0))
}

fn answered(row: Delivery, answer: &Answer, sees: bool, now: Timestamp) -> Delivery {
    let (row, _) = claim(row, sees, now).unwrap();
    settle(row, row.epoch, answer, sees, &Retry::default(), 0.5, now).unwrap()
}

fn later() -> Answer {
    Answer::Pending(Accepted::Target { at_most: ACCEPTED_FOR })
}

fn by_hand() -> Answer {
    Answer::Pending(Accepted::Person(Order {
        assignee: Assignee::Name("ada@harbourline.example".to_owned()),
        due: crate::duration::Duration::days(3),
        instructions: None,
    }))
}

fn given() -> Delivery {
    answered(wanted(), &Answer::Applied, false, at(1))
}

#[test]
fn what_was_accepted_is_neither_delivered_nor_failed() {
    for sees in [true, false] {
        let row = answered(wanted(), &later(), sees, at(1));

        assert_eq!(row.part(), Part::Open);
        assert_eq!((row.observed, row.acknowledged), (Observed::Unknown, None));
        assert_eq!(row.pending.unwrap().until, Some(at(3_601)));
    }
}

#[test]
fn it_is_looked_at_ever_more_rarely_and_settles_when_it_is_seen() {
    let mut row = answered(wanted(), &later(), true, at(1));
    let mut waits = Vec::new();
    while let Some(next) = row.ready_at().filter(|next| *next < at(3_601)) {
        let (claimed, action) = claim(row, true, next).unwrap();
        assert_eq!(action, Action::Observe);
        row = settle(claimed, claimed.epoch, &Answer::Absent, true, &Retry::default(), 1.0, next)
            .unwrap();
        waits.push(row.ready_at().unwrap().duration_since(next).as_secs());
    }
    let seen = answered(row, &Answer::Present, true, at(3_601));

    assert!(waits.is_sorted_by(|a, b| a <= b || *b < 900), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= LONGEST_LOOK.as_secs()), "{waits:?}");
    assert_eq!((seen.phase, seen.part(), seen.pending), (Phase::Settled, Part::Done, None));
}

#[test]
fn what_does_not_come_in_time_is_tried_again() {
    let row = answered(wanted(), &later(), true, at(1));
    let seen = answered(row, &Answer::Absent, true, at(3_602));

    assert_eq!((seen.pending, seen.misses), (None, 1));
    assert_eq!(unfinished(&row, &seen).unwrap().code, "not-finished");
    let (_, action) = claim(seen, true, seen.ready_at().unwrap()).unwrap();
    assert_eq!(action, Action::Grant);

    let blind = answered(wanted(), &later(), false, at(1));
    assert!(claim(blind, false, at(3_600)).is_none());
    let (_, action) = claim(blind, false, at(3_601)).unwrap();
    assert_eq!(action, Action::Grant);
}

#[test]
fn a_grant_that_is_accepted_and_never_done_rests_as_failed_at_the_end_of_its_window() {
    let day = 86_400;
    let first = answered(wanted(), &later(), false, at(1));
    let again = answered(first, &later(), false, at(3_700));
    let last = answered(again, &later(), false, at(day + 1));

    assert_eq!(again.part(), Part::Open);
    assert_eq!((last.phase, last.pending), (Phase::Failed { at: at(day + 1) }, None));
    assert_eq!(unfinished(&again, &last).unwrap().class, Class::Unknown);
}

#[test]
fn a_removal_that_is_accepted_and_never_done_is_tried_for_ever_and_listed_as_stuck() {
    let mut row = want(given(), false, at(10));
    for day in 0..40 {
        row = answered(row, &later(), false, at(10 + day * 86_400));
        assert_eq!(row.part(), Part::Open);
    }

    assert!(row.is_stuck(at(40 * 86_400)));
}

#[test]
fn a_fault_of_a_look_leaves_it_awaited() {
    let fault = Answer::Fault(Fault::new(Class::Permanent, "http-403", "no"));
    let row = answered(wanted(), &later(), true, at(1));
    let looked = answered(row, &fault, true, at(60));

    assert_eq!(looked.pending, row.pending);
    assert_eq!(looked.part(), Part::Open);
}

#[test]
fn nothing_is_awaited_any_more_when_the_wish_changes() {
    for answer in [later(), by_hand()] {
        let row = want(answered(wanted(), &answer, false, at(1)), false, at(5));

        assert_eq!((row.pending, row.observed), (None, Observed::Unknown));
        let (_, action) = claim(row, false, at(5)).unwrap();
        assert_eq!(action, Action::Revoke, "it may have been given");
    }
}

#[test]
fn an_acceptance_of_the_wish_before_is_not_awaited() {
    let (flying, _) = claim(wanted(), false, at(0)).unwrap();
    let turned = want(flying, false, at(1));
    let row =
        settle(turned, turned.epoch, &by_hand(), false, &Retry::default(), 0.5, at(2)).unwrap();

    assert_eq!((row.pending, row.phase), (None, Phase::Due { at: at(2) }));
}

#[test]
fn a_task_waits_for_its_person_and_for_nothing_else() {
    let row = answered(wanted(), &by_hand(), false, at(1));

    assert_eq!(row.ready_at(), None);
    assert_eq!(reopen(row, at(9)), (row, false));
    assert_eq!(give_up(row, &Retry::default(), at(90_000)), row);
}

#[test]
fn what_a_person_says_settles_the_wish_that_they_were_asked_for() {
    let (retry, row) = (Retry::default(), answered(wanted(), &by_hand(), false, at(1)));
    let done = finish(row, row.generation, &Report::Done, None, &retry, at(9)).unwrap();
    let failed = finish(row, row.generation, &Report::CouldNot, None, &retry, at(9)).unwrap();

    assert_eq!((done.phase, done.acknowledged, done.verified), (Phase::Settled, Some(at(9)), None));
    assert_eq!((failed.phase, failed.pending), (Phase::Failed { at: at(9) }, None));
    for over in [done, failed, want(row, false, at(8))] {
        let refused = finish(over, row.generation, &Report::Done, None, &retry, at(10));
        assert_eq!(refused.unwrap_err().code(), "NotAwaited");
    }
}

#[test]
fn a_removal_that_could_not_be_done_is_stuck_and_asked_for_again() {
    let retry = Retry::default();
    let row = answered(want(given(), false, at(10)), &by_hand(), false, at(11));
    let stuck = finish(row, row.generation, &Report::CouldNot, None, &retry, at(12)).unwrap();

    assert!(stuck.is_stuck(at(12)));
    let (_, action) = claim(stuck, false, stuck.ready_at().unwrap()).unwrap();
    assert_eq!(action, Action::Revoke);
}

#[test]
fn a_done_that_the_target_contradicts_is_still_awaited() {
    let retry = Retry::default();
    let failed =
        answered(wanted(), &Answer::Fault(Fault::new(Class::Permanent, "x", "x")), true, at(1));
    let row = hand_over(failed, true, &retry, at(2)).unwrap();
    let still = finish(row, row.generation, &Report::Done, Some(Observed::Absent), &retry, at(3));
    let done = finish(row, row.generation, &Report::Done, Some(Observed::Present), &retry, at(3));

    assert_eq!(still.unwrap(), row);
    assert_eq!(done.unwrap().verified, Some(at(3)));
}

#[test]
fn the_target_of_a_removal_that_a_person_has_is_looked_at_and_not_called() {
    let retry = Retry::default();
    let row = hand_over(want(given(), false, at(10)), true, &retry, at(11)).unwrap();
    let probe = row.ready_at().unwrap();
    let (_, action) = claim(row, true, probe).unwrap();
    let there = answered(row, &Answer::Present, true, probe);
    let gone = answered(row, &Answer::Absent, true, probe);

    assert_eq!(action, Action::Observe);
    assert!(waits_for_person(&there) && probe < there.ready_at().unwrap());
    assert_eq!((gone.phase, gone.pending), (Phase::Settled, None));
}

#[test]
fn it_is_handed_over_once_and_can_be_taken_back() {
    let retry = Retry::default();
    let row = hand_over(wanted(), true, &retry, at(2)).unwrap();

    assert_eq!(row.ready_at(), None, "the target of a grant is not called");
    assert_eq!(hand_over(row, true, &retry, at(3)).unwrap_err().code(), "TaskOpen");
    assert_eq!(hand_over(given(), true, &retry, at(3)).unwrap_err().code(), "NothingToHandOver");
    let back = take_back(row, at(4));
    let (_, action) = claim(back, true, at(4)).unwrap();
    assert_eq!((back.pending, action), (None, Action::Grant));
    assert_eq!(take_back(given(), at(4)), given());
    assert_eq!(delivery::want(row, true, at(5)), row);
}

#[test]
fn what_was_accepted_for_another_wish_is_looked_at_when_its_time_is_over() {
    // A grant is accepted until 3,601 and taken back before; a removal, and then it is given again.
    let revoked = want(answered(wanted(), &later(), true, at(1)), false, at(10));
    let removing = answered(want(given(), false, at(10)), &later(), true, at(11));
    let granted = want(removing, true, at(20));
    for (row, wish, late) in
        [(revoked, Answer::Absent, Answer::Present), (granted, Answer::Present, Answer::Absent)]
    {
        let over = retry::after(row.late_until.unwrap(), delivery::ZOMBIE);
        let mut row = answered(row, &Answer::Applied, false, at(30));
        row = delivery::look_again(row, at(40));
        while let Some(next) = row.ready_at().filter(|next| *next < over) {
            row = answered(row, &wish, true, next);
            assert_eq!(row.phase, Phase::Settled);
        }
        assert_eq!(row.ready_at(), Some(over));
        let (looking, action) = claim(row, true, over).unwrap();
        assert_eq!(action, Action::Observe);
        let settle_with = |answer| {
            settle(looking, looking.epoch, answer, true, &Retry::default(), 0.5, over).unwrap()
        };
        let found = settle_with(&late);
        assert_eq!(found.ready_at(), Some(over), "it is taken away, or given, at once");
        assert!(!delivery::drifted(&looking, &found), "our own order is nobody's drift");
        assert_eq!(settle_with(&wish).late_until, None, "it cannot happen any more");
    }
}

#[test]
fn an_answer_that_comes_too_late_tells_until_when_its_order_may_be_done() {
    let row = delivery::doubt(given(), &later(), true, at(50));
    let row = answered(row, &Answer::Present, true, at(50));

    assert_eq!((row.phase, row.ready_at()), (Phase::Settled, Some(at(3_660))));
}
