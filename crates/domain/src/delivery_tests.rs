//! Facts about single deliveries, and properties over random histories of them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use super::*;
use crate::drift::take;
use crate::fault::Class;
use proptest::prelude::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + seconds).unwrap()
}

fn wanted() -> Delivery {
    want(Delivery::new(false, at(0)), true, at(0))
}

fn claimed(row: Delivery, now: Timestamp) -> (Delivery, Action) {
    claim(row, true, now).unwrap()
}

fn answered(row: Delivery, answer: &Answer, now: Timestamp) -> Delivery {
    settle(row, row.epoch, answer, true, &Retry::default(), 0.5, now).unwrap()
}

fn fault(class: Class) -> Answer {
    Answer::Fault(Fault::new(class, "x", "x"))
}

fn delivered() -> Delivery {
    let (row, _) = claimed(wanted(), at(0));
    answered(row, &Answer::Applied, at(1))
}

#[test]
fn a_new_wish_is_due_at_once_and_granted() {
    let (row, action) = claimed(wanted(), at(0));

    let row = answered(row, &Answer::Applied, at(1));

    assert_eq!(action, Action::Grant);
    assert_eq!(row.phase, Phase::Settled);
    assert_eq!(row.part(), Part::Done);
    assert_eq!(row.acknowledged, Some(at(1)));
}

/// Delivered, read back, and found otherwise a day later.
fn taken_away() -> (Delivery, Delivery) {
    let (row, _) = claimed(delivered(), at(3));
    let row = answered(row, &Answer::Present, at(3));
    let (before, action) = claimed(look_again(row, at(90_000)), at(90_000));
    assert_eq!(action, Action::Observe);
    (before, answered(before, &Answer::Absent, at(90_001)))
}

#[test]
fn what_somebody_took_away_is_found_by_looking_again_and_given_again() {
    let (before, row) = taken_away();

    assert!(drifted(&before, &row));
    assert_eq!(claimed(row, at(90_001)).1, Action::Grant);
}

#[test]
fn what_is_left_as_it_was_found_waits_for_a_person() {
    let (_, row) = taken_away();

    let row = leave(row, &Retry::default(), at(90_001));

    assert_eq!((row.phase, row.part()), (Phase::Failed { at: at(90_001) }, Part::Failed));
    assert_eq!(claim(row, true, at(1_000_000)), None);
    let (row, changed) = reopen(row, at(1_000_000));
    assert!(changed);
    assert_eq!(claimed(row, at(1_000_000)).1, Action::Grant);
}

#[test]
fn a_removal_that_is_left_is_still_tried_now_and_then() {
    let (row, _) = claimed(want(delivered(), false, at(5)), at(5));
    let row = answered(row, &Answer::Applied, at(5));
    let (row, _) = claimed(row, at(7));
    let row = answered(row, &Answer::Absent, at(7));
    let (before, _) = claimed(look_again(row, at(90_000)), at(90_000));
    let row = answered(before, &Answer::Present, at(90_000));
    assert!(drifted(&before, &row));

    let row = leave(row, &Retry::default(), at(90_000));

    assert!(matches!(row.phase, Phase::Stuck { .. }));
    let probe = row.ready_at().unwrap();
    assert_eq!(claimed(row, probe).1, Action::Revoke);
}

#[test]
fn a_look_that_failed_says_nothing_of_what_is_there() {
    for class in [Class::Target, Class::Transient, Class::Unknown, Class::Permanent] {
        let (row, _) = claimed(delivered(), at(3));
        let row = answered(row, &Answer::Present, at(3));
        let (before, _) = claimed(look_again(row, at(90_000)), at(90_000));
        let row = answered(before, &fault(class), at(90_001));
        assert_eq!((row.phase, row.observed), (Phase::Settled, Observed::Present), "{class:?}");
        assert!(!drifted(&before, &row));
    }
}

#[test]
fn only_what_is_settled_and_was_called_for_is_looked_at_again() {
    let failed = answered(claimed(wanted(), at(0)).0, &fault(Class::Permanent), at(1));
    for row in [Delivery::new(false, at(0)), wanted(), failed, claimed(wanted(), at(0)).0] {
        assert_eq!(look_again(row, at(9)), row);
    }
    assert_eq!(leave(delivered(), &Retry::default(), at(9)), delivered());
}

#[test]
fn wanting_what_is_wanted_changes_nothing() {
    let row = delivered();

    assert_eq!(want(row, true, at(9)), row);
}

#[test]
fn a_wish_taken_back_before_the_first_call_needs_no_call() {
    let row = want(wanted(), false, at(1));

    assert_eq!(row.phase, Phase::Settled);
    assert_eq!(claim(row, true, at(2)), None);
}

#[test]
fn a_wish_taken_back_in_flight_is_revoked_after_the_answer() {
    let (row, _) = claimed(wanted(), at(0));
    let row = want(row, false, at(1));

    let row = answered(row, &Answer::Applied, at(2));

    assert_eq!(claimed(row, at(2)).1, Action::Revoke);
}

#[test]
fn an_unknown_outcome_is_observed_before_anything_else() {
    let (row, _) = claimed(wanted(), at(0));
    let row = answered(row, &fault(Class::Unknown), at(20));

    assert_eq!(claim(row, true, at(29)), None);
    assert_eq!(claimed(row, at(30)).1, Action::Observe);
}

#[test]
fn a_dead_workers_claim_is_observed_before_anything_else() {
    let (row, _) = claimed(wanted(), at(0));

    let (again, action) = claimed(row, at(60));

    assert_eq!(action, Action::Observe);
    assert_eq!(again.epoch, row.epoch + 1);
}

#[test]
fn an_answer_of_an_earlier_epoch_is_stale() {
    let (first, _) = claimed(wanted(), at(0));
    let (second, _) = claimed(first, at(60));

    let stale = settle(second, 1, &Answer::Applied, true, &Retry::default(), 0.0, at(61));

    assert_eq!(stale, Err(StaleClaim { epoch: 1, current: 2 }));
}

#[test]
fn a_grant_refused_for_good_rests_after_one_attempt() {
    let (row, _) = claimed(wanted(), at(0));

    let row = answered(row, &fault(Class::Permanent), at(1));

    assert_eq!(row.phase, Phase::Failed { at: at(1) });
    assert_eq!(row.attempts, 1);
    assert_eq!(row.part(), Part::Failed);
}

#[test]
fn a_revocation_refused_for_good_is_stuck_and_probed_and_never_failed() {
    let row = want(delivered(), false, at(10));
    let (row, _) = claimed(row, at(10));

    let row = answered(row, &fault(Class::Permanent), at(11));

    assert!(row.is_stuck(at(11)));
    assert_eq!(row.part(), Part::Open);
    assert_eq!(row.ready_at(), Some(at(11 + 6 * 3600)));
}

#[test]
fn a_refusal_after_an_unknown_outcome_is_looked_at_before_it_counts() {
    let (row, _) = claimed(wanted(), at(0));
    let row = want(answered(row, &fault(Class::Transient), at(1)), false, at(1));
    let (row, first) = claimed(row, at(1));
    let row = answered(row, &fault(Class::Permanent), at(2));
    let (row, second) = claimed(row, at(2));

    let gone = answered(row, &Answer::Absent, at(3));
    let there = answered(row, &Answer::Present, at(3));

    assert_eq!((first, second), (Action::Revoke, Action::Observe));
    assert_eq!(gone.phase, Phase::Settled);
    let (there, third) = claimed(there, at(3));
    assert_eq!(third, Action::Revoke);
    assert!(answered(there, &fault(Class::Permanent), at(4)).is_stuck(at(4)));
}

#[test]
fn a_grant_is_given_up_after_its_window_and_a_revocation_never() {
    let day = 24 * 3600;
    let (grant, _) = claimed(wanted(), at(0));
    let revoke = want(delivered(), false, at(10));
    let (revoke, _) = claimed(revoke, at(10));
    let late = |row: Delivery| {
        settle(row, row.epoch, &fault(Class::Transient), true, &Retry::default(), 0.5, at(day + 10))
    };

    assert_eq!(late(grant).unwrap().phase, Phase::Failed { at: at(day + 10) });
    assert!(matches!(late(revoke).unwrap().phase, Phase::Due { .. }));
}

#[test]
fn a_target_in_trouble_costs_no_attempt() {
    let (row, _) = claimed(wanted(), at(0));

    let row = answered(row, &fault(Class::Target), at(1));

    assert_eq!(row.attempts, 0);
    assert!(matches!(row.phase, Phase::Due { .. }));
}

#[test]
fn a_throttled_call_that_is_not_wanted_any_more_is_over() {
    let (row, _) = claimed(wanted(), at(0));

    let row = answered(want(row, false, at(1)), &fault(Class::Throttled), at(2));

    assert_eq!((row.phase, row.ready_at()), (Phase::Settled, None));
}

#[test]
fn a_wish_that_changes_to_and_fro_does_not_lose_the_read_back() {
    let row = Delivery { verify_at: None, ..delivered() };

    let row = want(want(row, false, at(10)), true, at(11));

    assert_eq!((row.phase, row.ready_at()), (Phase::Settled, Some(at(11))));
}

#[test]
fn throttling_waits_as_long_as_the_target_asks() {
    let (row, _) = claimed(wanted(), at(0));
    let fault = Fault::new(Class::Throttled, "http-429", "slow down")
        .after(Some(std::time::Duration::from_secs(120)));

    let row = answered(row, &Answer::Fault(fault), at(0));

    let Phase::Due { at: next } = row.phase else { panic!("not due") };
    assert!(at(120) <= next && next <= at(132));
    assert_eq!(row.attempts, 0);
}

#[test]
fn access_that_existed_before_is_kept_only_if_the_resource_says_so() {
    let grant = |keep| {
        let row = want(Delivery::new(keep, at(0)), true, at(0));
        let (row, _) = claimed(row, at(0));
        want(answered(row, &Answer::AlreadyInState, at(1)), false, at(2))
    };

    assert_eq!(grant(true).phase, Phase::Settled);
    assert_eq!(grant(false).phase, Phase::Due { at: at(2) });
}

#[test]
fn a_target_that_says_yes_and_does_nothing_is_found_out_by_reading_back() {
    let row = delivered();
    let (row, action) = claimed(row, at(3));
    assert_eq!(action, Action::Observe);
    assert_eq!(row.part(), Part::Done);

    let row = answered(row, &Answer::Absent, at(4));

    assert!(matches!(row.phase, Phase::Due { .. }));
    assert_eq!(row.part(), Part::Open);
}

#[test]
fn reopening_touches_what_failed_and_nothing_else() {
    let (row, _) = claimed(wanted(), at(0));
    let failed = answered(row, &fault(Class::Permanent), at(1));

    assert_eq!(reopen(failed, at(5)).0.phase, Phase::Due { at: at(5) });
    assert_eq!(reopen(delivered(), at(5)), (delivered(), false));
}

#[test]
fn verifying_reads_what_is_so_and_repairs_it() {
    let row = verify(delivered(), at(100));
    let (row, action) = claimed(row, at(100));
    assert_eq!(action, Action::Observe);

    let row = answered(row, &Answer::Absent, at(101));

    assert_eq!(claimed(row, at(101)).1, Action::Grant);
}

#[test]
fn a_failed_read_back_is_tried_later_and_opens_nothing() {
    let (row, _) = claimed(delivered(), at(3));

    let row = answered(row, &fault(Class::Target), at(4));

    assert_eq!(row.part(), Part::Done);
    assert!(at(4) < row.verify_at.unwrap());
}

/// What can happen to a delivery in the property below.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Want(bool),
    Claim,
    Answer(u8),
    Reopen,
    Verify,
    Doubt,
    Wait(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        any::<bool>().prop_map(Happening::Want),
        Just(Happening::Claim),
        (0_u8..9).prop_map(Happening::Answer),
        Just(Happening::Reopen),
        Just(Happening::Verify),
        Just(Happening::Doubt),
        any::<u16>().prop_map(Happening::Wait),
    ]
}

fn answer(n: u8, action: Action) -> Answer {
    match (n, action) {
        (0 | 1, Action::Observe) => {
            if n == 0 {
                Answer::Present
            } else {
                Answer::Absent
            }
        }
        (0 | 2, _) => Answer::Applied,
        (1, _) => Answer::AlreadyInState,
        (3, _) => fault(Class::Permanent),
        (4, _) => fault(Class::Transient),
        (5, _) => fault(Class::Target),
        (6, _) => fault(Class::Throttled),
        _ => fault(Class::Unknown),
    }
}

proptest! {
    /// Whatever happens: what is unwanted and may be there always has work, work is always
    /// findable, and only what is so counts as done.
    #[test]
    fn nothing_is_ever_forgotten(history in prop::collection::vec(happening(), 1..60)) {
        let mut row = Delivery::new(false, at(0));
        let mut now = 0_i64;
        for step in history {
            let before = row;
            row = match step {
                Happening::Want(wish) => want(row, wish, at(now)),
                Happening::Claim => claim(row, true, at(now)).map_or(row, |(row, _)| row),
                Happening::Answer(n) => match row.phase {
                    Phase::InFlight { action, .. } => answered(row, &answer(n, action), at(now)),
                    _ => row,
                },
                Happening::Reopen => reopen(row, at(now)).0,
                Happening::Verify => verify(row, at(now)),
                Happening::Doubt => doubt(row, &Answer::Applied, true, at(now)),
                Happening::Wait(seconds) => {
                    now += i64::from(seconds);
                    row
                }
            };
            prop_assert!(before.epoch <= row.epoch && before.generation <= row.generation);
            if !row.wanted && matches!(row.observed, Observed::Present | Observed::Unknown) {
                prop_assert!(row.ready_at().is_some(), "a revocation was lost: {row:?}");
            }
            if row.part() == Part::Done {
                prop_assert!(row.is_so(), "{row:?}");
            }
            if row.phase == Phase::Settled {
                prop_assert!(row.is_so(), "{row:?}");
            }
            if !row.wanted {
                prop_assert!(row.part() != Part::Failed, "{row:?}");
            }
        }
    }
}

/// A role that was given, read back, taken back and read back again.
fn removed() -> Delivery {
    let row = want(delivered(), false, at(10));
    let (row, action) = claimed(row, at(10));
    assert_eq!(action, Action::Revoke);
    let (row, action) = claimed(answered(row, &Answer::Applied, at(11)), at(13));
    assert_eq!(action, Action::Observe);
    answered(row, &Answer::Absent, at(13))
}

#[test]
fn what_was_taken_back_is_read_again_after_two_minutes_and_after_a_day() {
    let row = removed();
    assert_eq!((row.part(), row.verify_at), (Part::Done, Some(at(11 + 120))));

    let (row, _) = claimed(row, at(131));
    let row = answered(row, &Answer::Absent, at(132));
    assert_eq!(row.verify_at, Some(at(11 + 86_400)));

    let (row, _) = claimed(row, at(11 + 86_400));
    let row = answered(row, &Answer::Absent, at(12 + 86_400));
    assert_eq!((row.phase, row.verify_at), (Phase::Settled, None));
}

#[test]
fn access_that_comes_back_is_taken_again_as_a_trial_of_its_own() {
    let (looking, _) = claimed(removed(), at(131));

    let row = answered(looking, &Answer::Present, at(132));

    assert!(drifted(&looking, &row));
    assert_eq!(row.phase, Phase::Due { at: at(132) });
    assert_eq!((row.since, row.misses), (at(132), 0), "it is not stuck for two minutes already");
    assert_eq!(claimed(row, at(132)).1, Action::Revoke);
}

#[test]
fn a_target_that_says_yes_and_does_nothing_has_not_drifted() {
    let (looking, _) = claimed(delivered(), at(3));

    let row = answered(looking, &Answer::Absent, at(3));

    assert!(!drifted(&looking, &row));
    assert_eq!(row.misses, 1, "tries wait longer each time");
}

#[test]
fn what_cannot_be_done_at_all_rests_and_a_revocation_is_kept() {
    let (row, _) = claimed(wanted(), at(0));
    let row = answered(row, &fault(Class::Unsupported), at(1));
    assert!(matches!(row.phase, Phase::Failed { .. }));

    let (row, _) = claimed(want(delivered(), false, at(10)), at(10));
    let row = answered(row, &fault(Class::Unsupported), at(11));
    assert!(matches!(row.phase, Phase::Stuck { .. }));
}

/// Claims so often without an answer, an hour apart; what a worker would do about it is done.
fn crashes(mut row: Delivery, times: usize) -> Delivery {
    for n in 1..=i64::try_from(times).unwrap() {
        let now = at(n * 3_600);
        if let Some((next, _)) = claim(row, false, now) {
            row = next;
        }
        let over = at(n * 3_600 + 60);
        let retry = Retry::default();
        row = lay_down(row, &retry, over).or(set_apart(row, over)).unwrap_or(row);
    }
    row
}

#[test]
fn what_breaks_workers_down_is_set_apart_and_then_laid_down() {
    let apart = crashes(wanted(), 3);
    assert!(apart.poison.is_alone());
    assert!(matches!(apart.phase, Phase::Due { .. }));
    assert_eq!(apart.part(), Part::Open);

    let down = crashes(wanted(), 5);
    assert!(lies_down(&down));
    assert_eq!((down.part(), down.ready_at()), (Part::Failed, None));

    let (again, changed) = reopen(down, at(90_000));
    assert!(changed);
    assert_eq!(again.poison, Poison::default());
}

#[test]
fn nobody_claims_what_is_to_be_set_apart_or_laid_down_before_it_is() {
    let (row, _) = claimed(wanted(), at(0));
    let row = Delivery { poison: Poison { crashes: 2, strikes: 0 }, ..row };
    assert_eq!(claim(row, false, at(60)), None);
    assert!(set_apart(row, at(59)).is_none(), "its lease holds");
    assert!(set_apart(row, at(60)).is_some());

    let row = Delivery { poison: Poison { crashes: 4, strikes: 0 }, ..row };
    assert_eq!(claim(row, false, at(60)), None);
    assert!(lay_down(row, &Retry::default(), at(60)).is_some());
}

#[test]
fn a_revocation_that_breaks_workers_down_is_stuck_and_probed() {
    let down = crashes(want(delivered(), false, at(10)), 5);

    let Phase::Stuck { since, probe_at } = down.phase else { panic!("{down:?}") };
    assert_eq!(probe_at.duration_since(since), Retry::default().stuck_probe);
    assert_eq!(down.part(), Part::Open);
    let (probe, action) = claim(down, false, probe_at).unwrap();
    assert_eq!(action, Action::Revoke);
    let later = retry::after(probe_at, LEASE);
    assert!(lies_down(&lay_down(probe, &Retry::default(), later).unwrap()));
}

#[test]
fn a_connector_that_breaks_down_counts_like_a_process_that_does() {
    let panic = Answer::Fault(Fault::new(Class::Unknown, Fault::PANIC, "it broke down"));
    let mut row = wanted();
    for n in 0..5 {
        let now = at(n * 3_600);
        let (next, _) = claim(row, false, now).unwrap();
        row = settle(next, next.epoch, &panic, false, &Retry::default(), 0.0, now).unwrap();
        assert_eq!(row.poison.crashes, n + 1);
    }

    assert!(lies_down(&row));
    assert_eq!(row.part(), Part::Failed);
}

#[test]
fn looking_between_crashes_does_not_excuse_them() {
    let (row, _) = claimed(wanted(), at(0));
    let (row, action) = claimed(row, at(60));
    assert_eq!((action, row.poison.crashes), (Action::Observe, 1));

    let row = answered(row, &Answer::Absent, at(61));
    assert_eq!(row.poison.crashes, 1);

    let (row, _) = claimed(row, at(90));
    assert_eq!(answered(row, &fault(Class::Transient), at(91)).poison.crashes, 0);
}

#[test]
fn a_new_wish_for_what_was_laid_down_is_tried_alone() {
    let row = want(crashes(wanted(), 5), false, at(90_000));

    assert!(row.poison.is_alone() && !row.poison.is_at_rest());
    assert!(matches!(row.phase, Phase::Due { .. }));
}

#[test]
fn strikes_are_forgotten_once_it_succeeds() {
    let failure = Fault::new(Class::Transient, "http-500", "no");
    let struck = (0..5).fold(wanted(), |row, _| strike(row, &failure));
    assert!(struck.poison.is_alone());

    let (row, _) = claimed(struck, at(0));
    assert_eq!(answered(row, &Answer::Applied, at(1)).poison, Poison::default());
}

#[test]
fn a_target_that_refuses_to_say_whether_a_role_is_gone_is_asked_for_a_week() {
    let row = want(delivered(), false, at(10));
    let (row, _) = claimed(row, at(10));
    let mut row = answered(row, &Answer::Applied, at(11));
    let mut looks = Vec::new();
    while let Some(next) = row.verify_at {
        looks.push(next.duration_since(at(11)).as_secs());
        row = answered(claimed(row, next).0, &fault(Class::Permanent), next);
        assert_eq!(row.phase, Phase::Settled);
    }

    assert_eq!(looks[..4], [2, 120, 86_400, 86_400 + 6 * 3_600]);
    assert_eq!(looks.last(), Some(&(7 * 86_400)));
}

#[test]
fn what_an_old_call_may_still_give_is_looked_for_when_nobody_wants_it_any_more() {
    let (row, _) = claimed(wanted(), at(0));
    let row = answered(row, &fault(Class::Unknown), at(20));
    let (row, _) = claimed(row, at(30));
    let row = answered(row, &Answer::Absent, at(30));

    let row = want(row, false, at(40));

    assert_eq!((row.phase, row.verify_at), (Phase::Settled, Some(at(160))));
}

#[test]
fn a_read_back_that_goes_under_while_the_opposite_call_fails_is_made_later() {
    for class in [Class::Target, Class::Transient, Class::Permanent] {
        let (row, action) = claimed(want(delivered(), false, at(2)), at(2));
        assert_eq!((action, row.verified), (Action::Revoke, None));

        let row = answered(want(row, true, at(3)), &fault(class), at(4));

        let is_seen_to = row.phase != Phase::Settled || row.verify_at.is_some();
        assert!(is_seen_to, "{class:?}: it is acknowledged and would never be read back");
    }
}

#[test]
fn what_nothing_gives_is_taken_like_every_removal_and_stays_if_it_is_given_meanwhile() {
    let row = take(Delivery::new(false, at(0)), at(3), at(5));
    let (flight, action) = claim(row, true, at(5)).unwrap();
    let given = want(row, true, at(6));
    let late = want(flight, true, at(6));

    assert_eq!((row.part(), row.is_so(), action), (Part::Open, false, Action::Revoke));
    assert_eq!((given.part(), given.pre_existing, given.verified), (Part::Done, true, Some(at(3))));
    assert_eq!(late.part(), Part::Open, "what was sent may take effect");
    assert_eq!(take(delivered(), at(3), at(5)), delivered(), "what is wanted is not taken");
    assert_eq!(take(row, at(4), at(9)), row, "neither is what is under way");
}
