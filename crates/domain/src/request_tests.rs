//! The transition tables of requests, stages and assignments as reviewed text, and properties.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use super::*;
use crate::{approval, assignment};
use proptest::prelude::*;
use std::fmt::Write as _;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

const NOW: i64 = 1_000;
const WINDOW: Option<SignedDuration> = Some(SignedDuration::from_hours(14 * 24));

fn states() -> Vec<(&'static str, State)> {
    let (first_completed, completed) = (at(10), at(20));
    vec![
        ("submitted", State::Submitted),
        ("pendingApproval", State::PendingApproval),
        ("scheduled", State::Scheduled { start: at(NOW + 60) }),
        ("scheduled, started", State::Scheduled { start: at(NOW - 60) }),
        ("delivering", State::Delivering { first_completed: None }),
        ("delivering again", State::Delivering { first_completed: Some(first_completed) }),
        ("delivered", State::Delivered { first_completed, completed }),
        ("partiallyDelivered", State::PartiallyDelivered { first_completed, completed }),
        ("deliveryFailed", State::DeliveryFailed { first_completed, completed }),
        ("denied", State::Denied { at: completed, why: Denial::Decided }),
        ("expired", State::Denied { at: completed, why: Denial::TimedOut }),
        ("canceling", State::Canceling { first_completed }),
        ("canceled", State::Canceled { at: completed }),
    ]
}

fn events() -> Vec<Event> {
    let mut events = vec![
        Event::AskApprovers,
        Event::Accept { start: None },
        Event::Accept { start: Some(at(NOW + 60)) },
        Event::Deny,
        Event::TimeOut,
        Event::Tick,
        Event::Block,
        Event::Reprocess { window: WINDOW },
        Event::Cancel,
        Event::Withdrawn,
        Event::Overtake,
        Event::Resolve,
    ];
    events.extend(Outcome::ALL.map(Event::Settle));
    events
}

fn word(event: &Event) -> String {
    match event {
        Event::Accept { start: Some(_) } => "accept later".to_owned(),
        Event::Accept { start: None } => "accept".to_owned(),
        Event::Settle(outcome) => format!("settle {outcome:?}").to_lowercase(),
        Event::Reprocess { .. } => "reprocess".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn table() -> String {
    let mut text = String::from("# request: state | event -> state, effects\n");
    for (name, state) in states() {
        for event in events() {
            let line = match step(state, event, at(NOW)) {
                Ok((next, effects)) => format!("{} {effects:?}", next.status()),
                Err(refusal) => format!("refused {}", refusal.code()),
            };
            let _ = writeln!(text, "{name:20} | {:16} -> {line}", word(&event));
        }
    }
    text.push_str("\n# approval stage\n");
    stage_table(&mut text);
    text.push_str("\n# assignment\n");
    assignment_table(&mut text);
    text
}

fn stage_table(text: &mut String) {
    use approval::{Decision, Event, Result, Stage, Status};
    let open =
        Stage { status: Status::InProgress, result: Result::NotReviewed, due: Some(at(NOW + 9)) };
    let late = Stage { due: Some(at(NOW)), ..open };
    let decided = Stage { status: Status::Completed, result: Result::Approved, ..open };
    let closed = Stage { status: Status::Completed, ..open };
    let expired = Stage { status: Status::Expired, ..open };
    let stages = [
        ("initializing", Stage::waiting()),
        ("in progress", open),
        ("in progress, late", late),
        ("approved", decided),
        ("closed", closed),
        ("expired", expired),
    ];
    let events = [
        ("start", Event::Start { due: at(NOW + 9) }),
        ("approve", Event::Decide(Decision::Approve)),
        ("deny", Event::Decide(Decision::Deny)),
        ("timeout", Event::TimeOut),
        ("close", Event::Close),
    ];
    for (name, stage) in stages {
        for (word, event) in events {
            let line = match approval::step(stage, event, at(NOW)) {
                Ok((next, verdict)) => {
                    format!("{} {} {verdict:?}", next.status.name(), next.result.name())
                }
                Err(refusal) => format!("refused {}", refusal.code()),
            };
            let _ = writeln!(text, "{name:20} | {word:16} -> {line}");
        }
    }
}

fn assignment_table(text: &mut String) {
    use assignment::{Event, State};
    let states = [
        State::Delivering,
        State::PartiallyDelivered,
        State::Delivered,
        State::DeliveryFailed,
        State::Ending { since: at(5) },
        State::Expired { at: at(6) },
    ];
    let mut events = vec![Event::Open, Event::End, Event::Ended, Event::Reprocess];
    events.extend(Outcome::ALL.map(Event::Settle));
    for state in states {
        for event in &events {
            let line = match assignment::step(state, *event, at(NOW)) {
                Ok(next) => next.status().to_owned(),
                Err(refusal) => format!("refused {}", refusal.code()),
            };
            let word = format!("{event:?}").to_lowercase();
            let _ = writeln!(text, "{:20} | {word:16} -> {line}", state.status());
        }
    }
}

#[test]
fn the_transition_tables_are_the_reviewed_ones() {
    let reviewed = include_str!("../transitions.txt");

    if std::env::var_os("ACCEDE_BLESS").is_some() {
        std::fs::write("transitions.txt", table()).unwrap();
    }
    assert_eq!(table(), reviewed, "review, then run again with ACCEDE_BLESS=1 to accept");
}

#[test]
fn the_window_counts_from_the_first_completion_to_the_minute() {
    let days = |days: i64, seconds: i64| at(days * 24 * 3600 + seconds);
    let failed = State::DeliveryFailed { first_completed: at(0), completed: days(13, 0) };
    let reprocess = Event::Reprocess { window: WINDOW };

    assert!(step(failed, reprocess, days(13, 23 * 3600)).is_ok());
    let refused = step(failed, reprocess, days(14, 60)).unwrap_err();
    assert_eq!(refused.code(), "ReprocessWindowExpired");
    assert!(refused.to_string().contains(&at(0).to_string()));
}

#[test]
fn failing_again_does_not_restart_the_window() {
    let failed = State::DeliveryFailed { first_completed: at(0), completed: at(0) };
    let (again, _) = step(failed, Event::Reprocess { window: WINDOW }, at(100)).unwrap();

    let (failed, _) = step(again, Event::Settle(Outcome::None), at(200)).unwrap();

    assert_eq!(failed, State::DeliveryFailed { first_completed: at(0), completed: at(200) });
}

#[test]
fn without_a_window_nothing_is_too_late() {
    let failed = State::DeliveryFailed { first_completed: at(0), completed: at(0) };
    let years = at(10 * 365 * 24 * 3600);

    assert!(step(failed, Event::Reprocess { window: None }, years).is_ok());
}

proptest! {
    /// Finals stay final, reprocessing twice equals once, and refusals change nothing.
    #[test]
    fn histories_end_in_one_final_state(picks in prop::collection::vec(0_usize..14, 1..40)) {
        let mut state = State::Submitted;
        for (n, pick) in picks.into_iter().enumerate() {
            let event = events()[pick];
            let now = at(i64::try_from(n).unwrap());
            let finals = matches!(
                state,
                State::Delivered { .. } | State::Denied { .. } | State::Canceled { .. }
            );
            match step(state, event, now) {
                Ok((next, _)) => {
                    prop_assert!(!finals, "{state:?} moved by {event:?}");
                    if let Event::Reprocess { .. } = event {
                        prop_assert_eq!(step(next, event, now).unwrap(), (next, vec![]));
                    }
                    state = next;
                }
                Err(refusal) => prop_assert!(!refusal.to_string().is_empty()),
            }
        }
    }
}
