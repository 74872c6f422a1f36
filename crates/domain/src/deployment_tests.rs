#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::delivery::{self, Action};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn mark(instance: u128, epoch: i64) -> Mark {
    Mark { instance: Uuid::from_u128(instance), epoch }
}

fn home(system: &str, timeline: &str, database: &str) -> Home {
    let part = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Home { system: part(system), timeline: part(timeline), database: part(database) }
}

#[test]
fn a_home_is_read_as_it_was_written() {
    for one in [Home::default(), home("7", "00000001", "16384"), home("", "", "12-9")] {
        assert_eq!(Home::parse(&one.text()), one);
    }
}

#[test]
fn what_a_home_cannot_tell_now_is_as_it_was() {
    assert_eq!(home("7", "", "6").or(home("8", "1", "5")), home("7", "1", "6"));
}

#[test]
fn an_older_database_is_doubted_on_either_engine() {
    let here = home("7", "00000001", "5");
    for shared in [false, true] {
        let ask =
            |database, file| doubt(mark(1, database), &here, &here, Some(mark(1, file)), shared);
        assert_eq!(ask(9, 10), Some(Doubt::Older));
        assert_eq!(ask(10, 10), None);
        assert_eq!(ask(11, 10), None, "the file is written after the commit");
    }
}

#[test]
fn a_database_elsewhere_is_doubted_whatever_the_directory_says() {
    let kept = home("7", "00000001", "5");
    let ask = |here: &Home| doubt(mark(1, 4), &kept, here, Some(mark(1, 4)), true);
    assert_eq!(ask(&home("8", "00000001", "5")), Some(Doubt::Moved));
    assert_eq!(ask(&home("7", "00000001", "6")), Some(Doubt::Moved));
    assert_eq!(ask(&home("7", "00000002", "5")), Some(Doubt::Promoted));
    assert_eq!(ask(&home("", "", "5")), None, "what cannot be read says nothing");
}

#[test]
fn a_new_replica_joins_a_shared_database_and_a_lone_one_must_be_known() {
    let here = home("7", "00000001", "5");
    let ask = |file, shared| doubt(mark(1, 4), &here, &here, file, shared);
    assert_eq!(ask(None, true), None);
    assert_eq!(ask(Some(mark(2, 9)), true), None);
    assert_eq!(ask(None, false), Some(Doubt::Unknown));
    assert_eq!(ask(Some(mark(2, 1)), false), Some(Doubt::OtherInstance));
}

fn wanted() -> Delivery {
    delivery::want(Delivery::new(false, at(0)), true, at(0))
}

fn had() -> Delivery {
    let retry = crate::retry::Retry::default();
    let (row, action) = delivery::claim(wanted(), true, at(1)).unwrap();
    assert_eq!(action, Action::Grant);
    delivery::settle(row, 1, &delivery::Answer::Applied, true, &retry, 0.5, at(2)).unwrap()
}

fn claimed() -> Delivery {
    delivery::claim(wanted(), true, at(1)).unwrap().0
}

const UNSEEN: [Option<Found>; 4] =
    [None, Some(Found::Absent), Some(Found::Unread), Some(Found::Blind)];

#[test]
fn nothing_wanted_is_given_that_was_not_seen() {
    for (name, row) in [("waiting", wanted()), ("in flight", claimed()), ("had", had())] {
        for found in UNSEEN {
            let (after, held) = resume(row, found, Regrant::Nothing, at(500));
            if found == Some(Found::Blind) && name == "had" {
                assert_eq!((after, held), (row, false), "nobody ever looks there");
                continue;
            }
            assert!(held, "{name} {found:?}");
            assert_eq!(after.phase, Phase::Failed { at: at(500) }, "{name} {found:?}");
            for later in [at(501), at(900_000)] {
                assert_eq!(delivery::claim(after, true, later), None, "{name} {found:?}");
            }
            let again = resume(after, found, Regrant::Nothing, at(600));
            assert_eq!(again, (after, true), "once is enough, and it stays held");
        }
    }
}

#[test]
fn only_what_was_not_delivered_yet_is_given_if_that_is_chosen() {
    let queued = resume(wanted(), Some(Found::Absent), Regrant::Queued, at(500));
    assert_eq!((queued.0.phase, queued.1), (Phase::Due { at: at(500) }, false));
    assert!(resume(had(), Some(Found::Absent), Regrant::Queued, at(500)).1);
    let all = resume(had(), Some(Found::Absent), Regrant::Everything, at(500));
    assert_eq!((all.0.phase, all.1), (Phase::Due { at: at(500) }, false));
}

#[test]
fn what_was_seen_is_settled_and_a_late_answer_is_discarded() {
    let (row, held) = resume(claimed(), Some(Found::Present), Regrant::Nothing, at(500));
    assert_eq!((row.phase, row.observed, held), (Phase::Settled, Observed::Present, false));
    let retry = crate::retry::Retry::default();
    let late = delivery::settle(row, 1, &delivery::Answer::Absent, true, &retry, 0.5, at(501));
    assert!(late.is_err());
}

#[test]
fn a_revocation_goes_on_and_what_is_there_unwanted_stays_there() {
    let revoked = delivery::want(had(), false, at(3));
    for found in UNSEEN.into_iter().chain([Some(Found::Present)]) {
        assert_eq!(resume(revoked, found, Regrant::Nothing, at(500)), (revoked, false));
    }
    let retry = crate::retry::Retry::default();
    let (row, _) = delivery::claim(revoked, true, at(4)).unwrap();
    let answer = delivery::Answer::Applied;
    let gone = delivery::settle(row, row.epoch, &answer, true, &retry, 0.5, at(5)).unwrap();
    assert!(gone.verify_at.is_some(), "it was to be read back");
    let (left, held) = resume(gone, Some(Found::Present), Regrant::Everything, at(500));
    assert_eq!((left.phase, left.verify_at, held), (Phase::Settled, None, false));
}

#[test]
fn what_was_held_looks_first_when_somebody_gives_it_after_all() {
    let (held, _) = resume(had(), Some(Found::Unread), Regrant::Nothing, at(500));
    let (again, changed) = delivery::reopen(held, at(600));
    assert!(changed);
    let (_, action) = delivery::claim(again, true, at(600)).unwrap();
    assert_eq!(action, Action::Observe);
}

#[test]
fn a_clock_is_suspected_when_it_jumps_or_stands_behind() {
    let minutes = SignedDuration::from_mins;
    assert!(!has_jumped(minutes(6), minutes(1)));
    assert!(has_jumped(minutes(7), minutes(1)));
    assert!(has_jumped(minutes(-7), minutes(1)), "backwards too");
    assert!(has_jumped(SignedDuration::from_hours(400 * 24), minutes(1)));
    assert!(!is_behind(at(0), at(299)));
    assert!(is_behind(at(0), at(301)));
    assert!(!is_behind(at(0), Timestamp::MIN));
}

#[test]
fn names_are_read_as_they_are_written() {
    assert!(Doubt::ALL.iter().all(|doubt| Doubt::parse(doubt.name()) == Some(*doubt)));
    assert!(Found::ALL.iter().all(|found| Found::parse(found.name()) == Some(*found)));
    assert!(Regrant::ALL.iter().all(|one| Regrant::parse(one.name()) == Some(*one)));
}
