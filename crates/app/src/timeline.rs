//! The words of a request's timeline.

use accede_domain::request::{Event, State};
use accede_domain::rollup::{Outcome, Part};
use accede_store::deliveries::Edge;

/// How a set of deliveries came to rest, in words.
pub(crate) fn summary(edges: &[Edge]) -> String {
    let done = edges.iter().filter(|edge| edge.row.delivery.part() == Part::Done).count();
    let failed: Vec<&str> = edges
        .iter()
        .filter(|edge| edge.row.delivery.part() == Part::Failed)
        .filter_map(|edge| edge.row.fault.as_ref().map(|fault| fault.message.as_str()))
        .collect();
    let mut text = format!("{done} of {} roles are as wanted", edges.len());
    if let Some(first) = failed.first() {
        text.push_str("; ");
        text.push_str(first);
    }
    text
}

/// The word of the timeline for what happened.
pub(crate) fn kind(event: &Event, after: &State) -> &'static str {
    match (event, after) {
        (Event::AskApprovers, _) => "approvalStarted",
        (Event::Accept { .. }, State::Scheduled { .. }) => "scheduled",
        (Event::Accept { .. } | Event::Tick, _) => "deliveryStarted",
        (Event::Deny, _) => "denied",
        (Event::TimeOut, _) => "expired",
        (Event::Block, _) => "blocked",
        (Event::Settle(Outcome::All), _) => "delivered",
        (Event::Settle(Outcome::Some), _) => "partiallyDelivered",
        (Event::Settle(Outcome::None), _) => "deliveryFailed",
        (Event::Reprocess { .. }, _) => "reprocessed",
        (Event::Cancel, State::Canceling { .. }) => "cancelStarted",
        (Event::Cancel | Event::Withdrawn, _) => "canceled",
        (Event::Overtake, _) => "overtaken",
        (Event::Resolve, _) => "resolved",
    }
}
