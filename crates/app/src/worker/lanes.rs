//! How many calls each target has in flight, and how many it may have: additive increase, halving; and
//! what fills them. One target's trouble takes no more than its own lane, and no other one's time.

use std::collections::BTreeMap;
use std::sync::Arc;

use accede_connectors::Connector;
use accede_domain::delivery::Answer;
use accede_domain::fault::Class;
use accede_domain::id::TargetId;
use accede_store::crash::{Point, point};
use accede_store::queue;
use accede_store::targets::TargetRow;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::App;
use crate::worker::{Batch, CLAIM_LIMIT, report};

/// Fewest calls in flight per target to begin with.
const FIRST_WINDOW: f64 = 4.0;
/// A lane takes at most one in this many of all calls.
const LANE_SHARE: usize = 4;
/// Most claims beside each other: on PostgreSQL each takes a connection.
const CLAIMS: usize = 4;

/// Whether a call says that its target keeps up.
fn is_strained(answers: &[Answer]) -> bool {
    answers.iter().any(|answer| match answer {
        Answer::Fault(fault) => match fault.class {
            Class::Throttled | Class::Unknown | Class::Transient | Class::Target => true,
            Class::Permanent | Class::Unsupported => false,
        },
        _ => false,
    })
}

/// One target's calls: how many are in flight, how many may be.
struct Lane {
    target: TargetRow,
    in_flight: usize,
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
    fn free(&self, calls: usize) -> usize {
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

    /// Every lane that may take more calls, and how many, of `calls` to all targets together.
    fn with_room(&self, calls: usize) -> impl Iterator<Item = (&Lane, usize)> {
        self.0.values().map(move |lane| (lane, lane.free(calls))).filter(|(_, free)| 0 < *free)
    }

    /// Another call is made.
    fn enter(&mut self, target: TargetId) {
        if let Some(lane) = self.0.get_mut(&target) {
            lane.in_flight += 1;
        }
    }

    /// How many calls are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.values().map(|lane| lane.in_flight).sum()
    }
}

impl App {
    /// Claims for every lane with room in which something is ready; says whether a target changed
    /// since it was read.
    ///
    /// Lanes claim beside each other, so that no target waits for another one's commit.
    pub(crate) async fn fill_lanes(
        &self,
        lanes: &mut Lanes,
        sender: &mpsc::UnboundedSender<(TargetId, bool)>,
    ) -> bool {
        let calls = self.settings().worker_calls;
        if lanes.with_room(calls).next().is_none() {
            return false;
        }
        let now = self.now();
        let ready = match self.store().read(async |tx| queue::ready_targets(tx, now).await).await {
            Ok(ready) => ready,
            Err(error) => {
                report("claim", Err::<(), accede_store::Error>(error));
                return false;
            }
        };
        let claims: Vec<_> = lanes
            .with_room(calls)
            .filter(|(lane, _)| ready.contains(&lane.target.id))
            .map(|(lane, free)| {
                let (target, version) = (lane.target.id, lane.target.version);
                let connector = self.hand(&lane.target);
                let limit = free.saturating_mul(connector.batch_size()).clamp(1, CLAIM_LIMIT);
                async move {
                    let claimed = self.claim_as(target, Some(version), &*connector, limit).await;
                    (target, connector, claimed)
                }
            })
            .collect();
        let mut changed = false;
        let mut claims = stream::iter(claims).buffer_unordered(CLAIMS);
        while let Some((target, connector, claimed)) = claims.next().await {
            match claimed {
                Ok(Some(batches)) => {
                    for batch in batches {
                        lanes.enter(target);
                        self.call(target, Arc::clone(&connector), batch, sender.clone());
                    }
                }
                Ok(None) => changed = true,
                Err(error) => report::<(), _>("claim", Err(error)),
            }
        }
        changed
    }

    /// Begins one call; its end is told to `sender`.
    fn call(
        &self,
        target: TargetId,
        connector: Arc<dyn Connector>,
        batch: Batch,
        sender: mpsc::UnboundedSender<(TargetId, bool)>,
    ) {
        let app = self.clone();
        tokio::spawn(async move {
            let answers = app.carry(&*connector, &batch).await;
            report("circuit", app.note_call(target, &answers).await);
            point(Point::DeliveryNoted);
            // The slot is free as soon as the target has answered.
            let _ = sender.send((target, is_strained(&answers)));
            app.settle_all(&batch, &answers, connector.can_observe()).await;
            if app.watches().has_passed_over(target) {
                app.wake();
            }
        });
    }

    async fn settle_all(&self, batch: &Batch, answers: &[Answer], can_observe: bool) {
        let settling = batch
            .iter()
            .zip(answers)
            .map(|(claimed, answer)| self.settle(claimed, answer, can_observe, batch.len()));
        for outcome in futures_util::future::join_all(settling).await {
            report("settle", outcome);
        }
    }
}
