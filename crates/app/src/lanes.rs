//! How many calls each target has in flight, and how many it may have: additive increase, halving.
//! One target's trouble takes no more than its own lane.

use std::collections::BTreeMap;

use accede_domain::delivery::Answer;
use accede_domain::fault::Class;
use accede_domain::id::TargetId;
use accede_store::targets::TargetRow;

/// Fewest calls in flight per target to begin with.
const FIRST_WINDOW: f64 = 4.0;
/// A lane takes at most one in this many of all calls.
const LANE_SHARE: usize = 4;

/// Whether a call says that its target keeps up.
pub(crate) fn is_strained(answers: &[Answer]) -> bool {
    answers.iter().any(|answer| match answer {
        Answer::Fault(fault) => match fault.class {
            Class::Throttled | Class::Unknown | Class::Transient | Class::Target => true,
            Class::Permanent | Class::Unsupported => false,
        },
        _ => false,
    })
}

/// One target's calls: how many are in flight, how many may be.
pub(crate) struct Lane {
    pub(crate) target: TargetRow,
    pub(crate) in_flight: usize,
    /// Additive increase, halving; see DESIGN D7.
    window: f64,
    /// The target is paused or gone: only what is in flight is waited for.
    is_closing: bool,
}

impl Lane {
    fn most(&self) -> usize {
        usize::try_from(self.target.concurrency).unwrap_or(1).max(1)
    }

    /// How many more calls may be made, of `calls` to all targets together.
    pub(crate) fn free(&self, calls: usize) -> usize {
        if self.is_closing {
            return 0;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at least 1, at most the concurrency"
        )]
        let window = self.window.max(1.0) as usize;
        let share = (calls / LANE_SHARE).max(1);
        window.min(self.most()).min(share).saturating_sub(self.in_flight)
    }
}

/// The lanes of all targets that may be called, or still are.
#[derive(Default)]
pub(crate) struct Lanes(BTreeMap<TargetId, Lane>);

impl Lanes {
    /// Opens a lane for each target, and closes those of the others.
    pub(crate) fn keep(&mut self, targets: Vec<TargetRow>) {
        let lanes = &mut self.0;
        let mut gone: Vec<TargetId> = lanes.keys().copied().collect();
        for target in targets {
            gone.retain(|id| *id != target.id);
            match lanes.get_mut(&target.id) {
                Some(lane) => lane.target = target,
                None => {
                    let lane =
                        Lane { target, in_flight: 0, window: FIRST_WINDOW, is_closing: false };
                    lanes.insert(lane.target.id, lane);
                }
            }
        }
        lanes.retain(|id, lane| !gone.contains(id) || 0 < lane.in_flight);
        for (id, lane) in lanes.iter_mut() {
            lane.is_closing = gone.contains(id);
        }
    }

    /// A call came to its end.
    pub(crate) fn note(&mut self, target: TargetId, strained: bool) {
        let Some(lane) = self.0.get_mut(&target) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        if strained {
            lane.window = (lane.window / 2.0).max(1.0);
        } else {
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let most = lane.most() as f64;
            lane.window = (lane.window + 1.0 / lane.window.max(1.0)).min(most);
        }
    }

    /// Every lane.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.0.values_mut()
    }

    /// How many calls are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.values().map(|lane| lane.in_flight).sum()
    }
}
