//! The rules of trying again, and the document that is written from them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fmt::Write as _;

use super::*;
use crate::delivery::{LOOKED_AT_FOR, ZOMBIE};
use crate::pending::{ACCEPTED_FOR, LONGEST_LOOK};
use crate::poison::{ALONE_AFTER_CRASHES, ALONE_AFTER_STRIKES, REST_AFTER_CRASHES};

#[test]
fn upper_bounds_double_up_to_the_cap() {
    let retry = Retry::default();
    let bounds: Vec<i64> =
        (1..=12).map(|misses| retry.delay(true, misses, 0.999_999_9).as_secs()).collect();

    assert_eq!(bounds, [4, 9, 19, 39, 79, 159, 319, 639, 1279, 2559, 3599, 3599]);
}

#[test]
fn no_wait_is_shorter_than_the_floor() {
    let retry = Retry::default();

    assert_eq!(retry.delay(true, 1, 0.0), FLOOR);
    assert_eq!(retry.delay(false, 9, 0.0), FLOOR);
}

#[test]
fn revocations_wait_less() {
    let retry = Retry::default();

    assert_eq!(retry.delay(false, 30, 0.999_999_9).as_secs(), 15 * 60 - 1);
}

#[test]
fn what_a_target_asks_for_is_clamped() {
    let retry = Retry::default();
    let asks = |seconds| retry.throttle(Some(std::time::Duration::from_secs(seconds)), 0.0);

    assert_eq!(asks(0).as_secs(), 1);
    assert_eq!(asks(120).as_secs(), 120);
    assert_eq!(asks(100_000).as_secs(), 3600);
}

#[test]
fn every_class_has_one_rule() {
    for class in Class::ALL {
        let rules = RULES.into_iter().filter(|rule| rule.class == class).count();
        assert_eq!(rules, 1, "{class:?}");
    }
}

#[test]
fn a_revocation_is_never_given_up() {
    assert_eq!(Retry::default().ladder(false).window, None);
    for rule in RULES {
        assert_ne!(rule.revoke, Course::Never, "{:?}", rule.class);
    }
}

#[test]
fn what_was_taken_back_is_looked_at_twice_more() {
    let since = Timestamp::UNIX_EPOCH;
    let seconds = |at: i64| Timestamp::from_second(at).unwrap();

    assert_eq!(second_look(since, seconds(2)), Some(seconds(120)));
    assert_eq!(second_look(since, seconds(120)), Some(seconds(86_400)));
    assert_eq!(second_look(since, seconds(86_400)), None);
}

/// Chance for the table below: splitmix64, so that the document is the same everywhere.
struct Dice(u64);

impl Dice {
    fn chance(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let chance = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        chance
    }
}

/// When the tries of one delivery to a target that is down come, in seconds from the first, as far as
/// `until`, and the one after.
fn tries(retry: &Retry, wanted: bool, until: i64, dice: &mut Dice) -> Vec<f64> {
    let mut at = 0.0;
    let mut found = vec![at];
    for misses in 1.. {
        at += retry.delay(wanted, misses, dice.chance()).as_secs_f64();
        found.push(at);
        #[expect(clippy::cast_precision_loss, reason = "a day of seconds")]
        if (until as f64) < at {
            break;
        }
    }
    found
}

/// Mean, 1st and 99th percentile.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| values[(values.len() - 1) * percent / 100];
    #[expect(clippy::cast_precision_loss, reason = "a few thousand values")]
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, at(1), at(99))
}

/// How often a delivery is tried within `seconds`, over 2,000 of them.
fn counts(wanted: bool, seconds: i64) -> (f64, f64, f64) {
    let (retry, mut dice) = (Retry::default(), Dice(7));
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let one = |dice: &mut Dice| {
        let within = tries(&retry, wanted, seconds, dice);
        within.iter().filter(|at| **at <= seconds as f64).count() as f64
    };
    spread((0..2_000).map(|_| one(&mut dice)).collect())
}

/// How long a delivery still waits when its target is well again after `seconds`, if nothing wakes it.
fn extra(wanted: bool, seconds: i64) -> (f64, f64, f64) {
    let (retry, mut dice) = (Retry::default(), Dice(11));
    #[expect(clippy::cast_precision_loss, reason = "a day of seconds")]
    let one = |dice: &mut Dice| {
        tries(&retry, wanted, seconds, dice).last().copied().unwrap_or(0.0) - seconds as f64
    };
    spread((0..2_000).map(|_| one(&mut dice)).collect())
}

#[test]
fn tries_come_as_often_as_was_decided() {
    let near = |(mean, _, _): (f64, f64, f64), wanted: f64| (mean - wanted).abs() < wanted * 0.05;

    assert!(near(counts(true, 3_600), 11.0), "{:?}", counts(true, 3_600));
    assert!(near(counts(true, 86_400), 57.0), "{:?}", counts(true, 86_400));
    assert!(near(counts(false, 3_600), 17.0), "{:?}", counts(false, 3_600));
    assert!(near(counts(false, 86_400), 200.0), "{:?}", counts(false, 86_400));
}

const fn words(course: Course) -> &'static str {
    match course {
        Course::Ladder => "tried again after a growing wait",
        Course::LookFirst => "the target is read first, then as after a growing wait",
        Course::AsAsked => "tried again when the target wants to be called again",
        Course::Hold => "held with everything else of that target until a check succeeds",
        Course::FixFirst => "rests until somebody mends it",
        Course::Never => "not tried again by itself",
    }
}

const fn meaning(class: Class) -> &'static str {
    match class {
        Class::Unknown => {
            "the call was sent and its outcome is not known: no answer in time, a broken connection"
        }
        Class::Transient => "may succeed by itself: `500`, `502`, a lock, a conflict",
        Class::Permanent => {
            "will not succeed until something changes: the group is gone, the person is not known there, not allowed"
        }
        Class::Unsupported => "the target cannot do this at all",
        Class::Target => {
            "the whole target is in trouble: its name, certificate, credentials, address"
        }
        Class::Throttled => "the target asked for quiet: `429`, `503` with `Retry-After`",
    }
}

/// A duration as people read it in a table.
fn told(duration: SignedDuration) -> String {
    match duration.as_secs() {
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

fn document() -> String {
    let retry = Retry::default();
    let (grant, revoke) = (retry.ladder(true), retry.ladder(false));
    let mut text = String::from(HEADER);
    for rule in RULES {
        let (grant, revoke) = (words(rule.grant), words(rule.revoke));
        let both = if rule.grant == rule.revoke {
            format!("{grant} | the same")
        } else {
            format!("{grant} | {revoke}")
        };
        let counts = if rule.counts { "yes" } else { "no" };
        let (class, meaning) = (rule.class.name(), meaning(rule.class));
        writeln!(text, "| `{class}` | {meaning} | {both} | {counts} |").unwrap();
    }
    text.push_str(LADDER);
    let window = |ladder: Ladder| ladder.window.map_or("never".to_owned(), told);
    writeln!(text, "| first wait at most | {} | {} |", told(grant.base), told(revoke.base))
        .unwrap();
    writeln!(text, "| longest wait | {} | {} |", told(grant.cap), told(revoke.cap)).unwrap();
    writeln!(text, "| given up after | {} | {} |", window(grant), window(revoke)).unwrap();
    for (what, seconds) in [("tries in the first hour", 3_600), ("tries in a day", 86_400)] {
        let row: Vec<String> = [true, false]
            .map(|wanted| counts(wanted, seconds))
            .map(|(mean, low, high)| format!("{mean:.0} ({low:.0}–{high:.0})"))
            .to_vec();
        writeln!(text, "| {what}, mean (1st–99th percentile) | {} |", row.join(" | ")).unwrap();
    }
    let row: Vec<String> = [true, false]
        .map(|wanted| extra(wanted, 4 * 3_600))
        .map(|(mean, _, high)| format!("{mean:.0} s ({high:.0} s)"))
        .to_vec();
    let what = "wait left when the target is well again after 4 h, if nothing woke it, mean (99th percentile)";
    writeln!(text, "| {what} | {} |", row.join(" | ")).unwrap();
    let (cap, at_most) = (told(LONGEST_LOOK), told(ACCEPTED_FOR));
    let margin = told(ZOMBIE);
    writeln!(
        text,
        "\n## Accepted, not done yet\n\nA target may answer that it took the work and is not done with it (`202`). That is no success and no fault: the\n\
         role stays open. Where the target can be read it is looked at, first soon and then at most {cap} apart; where it\n\
         cannot, it is waited for. A target's word is good for {at_most}, unless its settings say otherwise. Then the work is\n\
         asked for again, which counts as a try: a role that is wanted rests as failed (`not-finished`) when its window is\n\
         over by then, and one that is to go is asked for again for ever. What a person has a [task](api/tasks.md) for waits\n\
         for them, however long that takes; tasks that are late are flagged.\n\n\
         What a target accepted for a wish that is over may be done all the same. Where the target can be read, it is looked at\n\
         {margin} after the time that it had for that, and what it did late is undone; that is told as nobody's drift."
    )
    .unwrap();
    text.push_str(FOOTER);
    let looks: Vec<String> = SECOND_LOOKS.map(told).to_vec();
    writeln!(
        text,
        "What was taken back is read again {} after it was acknowledged, where the target can be read: a call \
         that was sent before and hung\nsomewhere may give it once more. If it came back it is taken again, and \
         the audit log says so. `delivery.read_back` = `none` turns both off.",
        looks.join(" and ")
    )
    .unwrap();
    let (days, probe) = (LOOKED_AT_FOR.as_hours() / 24, told(retry.stuck_probe));
    writeln!(
        text,
        "A target that refuses to be read is then asked every {probe}, for {days} days.\n\n## Poison\n\n\
         A delivery on which the server or its connector breaks down {ALONE_AFTER_CRASHES} times in a row, or for which its target \
         fails\n{ALONE_AFTER_STRIKES} times in a row while it serves others, is tried alone: one such call at a time per target, and \
         between them the others have\ntheir turn. After {REST_AFTER_CRASHES} break-downs a role that is wanted rests as failed, and \
         one that is to go is stuck and tried every {probe}.\nTrying it again by hand begins anew ([operations](operations.md))."
    )
    .unwrap();
    text
}

const HEADER: &str = "\
# Trying again

What happens after a call that did not succeed. This page is written from the rules that the engine itself asks
(`crates/domain/src/retry.rs`); a test fails when they differ.

| Class of fault | What it says | A role that is wanted | A role that is to go | Counts as a try |
|---|---|---|---|---|
";

const LADDER: &str = "
A role that is to go is never given up: one that rests because the target refuses it is listed as stuck, probed every
six hours, and tried at once when somebody asks for it or changes the target.

## The growing wait

Each wait is drawn between one second and an upper bound that doubles with each try, so that what failed together does
not come back together. The settings are `delivery.backoff_base`, `delivery.backoff_cap` and `delivery.grant_window`
([settings](settings.md)); a target's own `retryBase`, `retryCap` and `retryWindow` win over them.

| | A role that is wanted | A role that is to go |
|---|---|---|
";

const FOOTER: &str = "
The counts are simulated with the rules themselves, for a target that answers every call with a fault that may pass. A
target whose circuit is open is not called at all meanwhile, and everything that waited goes out as soon as it is well
([targets](api/targets.md)).

## After a success

";

#[test]
fn the_document_is_the_rule() {
    let wanted = document();
    if std::env::var_os("ACCEDE_BLESS").is_some() {
        std::fs::write("../../docs/retry.md", &wanted).unwrap();
    }
    let file = std::fs::read_to_string("../../docs/retry.md").unwrap_or_default();
    assert_eq!(file, wanted, "set ACCEDE_BLESS=1 and run this test to write docs/retry.md anew");
}
