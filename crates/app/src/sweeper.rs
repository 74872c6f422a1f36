//! What the clock brings about: starts, ends, deadlines. Rows say what is due; an event that was
//! missed is found here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use accede_domain::Timestamp;
use accede_domain::id::{AssignmentId, RequestId, SubjectId, TargetId};
use accede_domain::request::Event;
use accede_store::crash::{Point, point};
use accede_store::{approvals, assignments, people, requests};
use futures_util::{StreamExt, stream};

use crate::deed::Deed;
use crate::{App, Caller, Error, Result};

/// Rows of one kind that are taken in one sweep.
pub const SWEEP_BATCH: usize = 200;
/// Turns beside each other: on PostgreSQL each takes a connection.
const BESIDE: usize = 4;

impl App {
    /// Everything that a sweep does; says how much. For tests, the demo's story and simulations; a
    /// serving process does both parts beside each other.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn sweep_once(&self) -> Result<usize> {
        Ok(self.sweep_due().await? + self.sweep_holders().await?)
    }

    /// Brings people up to what was changed for many of them at once; says how many had their turn.
    pub(crate) async fn sweep_holders(&self) -> Result<usize> {
        let done = self.disable_released().await? + self.spread_roles().await?;
        if 0 < done {
            self.wake();
        }
        Ok(done)
    }

    /// Moves everything whose time has come until nothing is left, or `stop`; nothing while the
    /// deployment is paused.
    pub(crate) async fn sweep_all_due(&self, stop: &AtomicBool) -> Result<()> {
        let (mut behind, mut all) = (Behind::default(), Sweep::default());
        while !stop.load(Ordering::Relaxed) && !self.is_held() {
            let sweep = self.sweep(&mut behind).await?;
            let goes_on = sweep.is_full && !sweep.fault.as_ref().is_some_and(Error::is_outage);
            all.note(sweep.end().map_err(|error| (0, error)));
            if !goes_on {
                break;
            }
        }
        all.end().map(drop)
    }

    /// Moves everything whose time has come, at most `SWEEP_BATCH` of each kind; says how much.
    pub(crate) async fn sweep_due(&self) -> Result<usize> {
        self.sweep(&mut Behind::default()).await?.end()
    }

    /// Moves what is due behind what could not be moved.
    async fn sweep(&self, behind: &mut Behind) -> Result<Sweep> {
        let mut sweep = Sweep::default();
        // Leases run out by any clock, so what breaks workers down is set apart by any clock too.
        match self.sort_out_poison(behind.poison).await {
            Ok(batch) => sweep.take(batch, &mut behind.poison),
            Err(error) => sweep.note(Err((0, error))),
        }
        sweep.note(self.take_up_put_off().await.map_err(|error| (0, error)));
        if self.clock_is_suspect() {
            // A clock that jumped must neither end nor begin anybody's access by itself.
            return Ok(sweep);
        }
        let now = self.now();
        let (begins, ends, overdue) = self
            .store()
            .read(async |tx| {
                Ok::<_, Error>((
                    requests::due_to_begin(tx, now, (behind.begins, SWEEP_BATCH)).await?,
                    assignments::due_to_end(tx, now, (behind.ends, SWEEP_BATCH)).await?,
                    approvals::overdue(tx, now, (behind.overdue, SWEEP_BATCH)).await?,
                ))
            })
            .await?;
        let turns = ends.iter().map(|(id, subject)| self.end_due(*id, *subject, now));
        sweep.take(each(turns.collect(), SWEEP_BATCH).await, &mut behind.ends);
        let turns = begins.iter().map(|(id, subject)| self.begin_due(*id, *subject, now));
        sweep.take(each(turns.collect(), SWEEP_BATCH).await, &mut behind.begins);
        let turns = overdue.iter().map(|(id, subject)| self.time_out(*id, *subject, now));
        sweep.take(each(turns.collect(), SWEEP_BATCH).await, &mut behind.overdue);
        match self.give_up_held(&behind.held).await {
            Ok(batches) => batches.into_iter().for_each(|(target, batch)| {
                sweep.take(batch, behind.held.entry(target).or_default());
            }),
            Err(error) => sweep.note(Err((0, error))),
        }
        if 0 < sweep.moved {
            self.wake();
        }
        Ok(sweep)
    }

    /// Takes back what has come to its end; whether it had not been moved since.
    async fn end_due(&self, id: AssignmentId, subject: SubjectId, now: Timestamp) -> Result<bool> {
        let caller = Caller::system();
        let moved = self
            .store()
            .write(async |tx| {
                people::lock(tx, subject).await?;
                let assignment = assignments::lock(tx, id).await?;
                let over = assignment.end.is_some_and(|end| end <= now);
                if !assignment.state.is_live() || !over {
                    return Ok(false);
                }
                let mut deed = Deed { app: self, tx, caller: &caller, now };
                deed.remove_by_system(&assignment, "its end was reached").await?;
                Ok::<_, Error>(true)
            })
            .await?;
        point(Point::SweepEnded);
        Ok(moved)
    }

    /// Begins what has come to its start; whether it had not been moved since.
    async fn begin_due(&self, id: RequestId, subject: SubjectId, now: Timestamp) -> Result<bool> {
        let caller = Caller::system();
        let moved = self
            .store()
            .write(async |tx| {
                people::lock(tx, subject).await?;
                let mut request = requests::lock(tx, id).await?;
                let mut deed = Deed { app: self, tx, caller: &caller, now };
                match deed.advance(&mut request, Event::Tick, None).await {
                    // Somebody else moved it since it was listed.
                    Err(Error::Refused(_)) => Ok(false),
                    outcome => outcome.map(|()| true),
                }
            })
            .await?;
        point(Point::SweepBegan);
        Ok(moved)
    }

    /// Ends the wait for a decision that is overdue; whether it had not been made since.
    async fn time_out(&self, id: RequestId, subject: SubjectId, now: Timestamp) -> Result<bool> {
        let caller = Caller::system();
        let moved = self
            .store()
            .write(async |tx| {
                people::lock(tx, subject).await?;
                let request = requests::lock(tx, id).await?;
                let mut deed = Deed { app: self, tx, caller: &caller, now };
                deed.time_out(request).await
            })
            .await?;
        point(Point::SweepTimedOut);
        Ok(moved)
    }
}

/// How many of each kind could not be moved and stand before the others, in one sweep of everything; the
/// next one tries them again.
#[derive(Default)]
struct Behind {
    begins: usize,
    ends: usize,
    overdue: usize,
    poison: usize,
    held: BTreeMap<TargetId, usize>,
}

/// What one sweep came to.
#[derive(Default)]
struct Sweep {
    moved: usize,
    /// As much of a kind was found as one sweep takes.
    is_full: bool,
    /// The first fault that was met.
    fault: Option<Error>,
}

impl Sweep {
    /// Takes in what became of a batch; what was not moved counts to what is to be skipped.
    fn take(&mut self, batch: Batch, skip: &mut usize) {
        // What somebody else moved meanwhile is counted too: what is skipped for that, the next sweep finds.
        *skip += batch.found.saturating_sub(batch.moved);
        self.is_full |= batch.is_full;
        self.note(match batch.fault {
            None => Ok(batch.moved),
            Some(error) => Err((batch.moved, error)),
        });
    }

    /// Takes in how much of a kind moved, and what that met.
    fn note(&mut self, outcome: Result<usize, (usize, Error)>) {
        match outcome {
            Ok(moved) => self.moved += moved,
            Err((moved, error)) => {
                self.moved += moved;
                self.fault.get_or_insert(error);
            }
        }
    }

    fn end(self) -> Result<usize> {
        self.fault.map_or(Ok(self.moved), Err)
    }
}

/// What became of the first rows of a kind.
pub(crate) struct Batch {
    found: usize,
    moved: usize,
    /// There may be more behind them.
    is_full: bool,
    fault: Option<Error>,
}

impl Batch {
    /// How many moved.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub(crate) fn end(self) -> Result<usize> {
        self.fault.map_or(Ok(self.moved), Err)
    }
}

/// Gives each thing its turn, some beside each other since they share commits. What cannot be moved does
/// not hold up the others.
pub(crate) async fn each(turns: Vec<impl Future<Output = Result<bool>>>, limit: usize) -> Batch {
    let found = turns.len();
    let mut batch = Batch { found, moved: 0, is_full: limit <= found, fault: None };
    let mut turns = stream::iter(turns).buffer_unordered(BESIDE);
    while let Some(turn) = turns.next().await {
        match turn {
            Ok(is_moved) => batch.moved += usize::from(is_moved),
            // The others would meet the same.
            Err(error) if error.is_outage() => {
                batch.fault = Some(error);
                break;
            }
            Err(error) => batch.fault = batch.fault.or(Some(error)),
        }
    }
    batch
}
