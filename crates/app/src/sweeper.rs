//! What the clock brings about: starts, ends, deadlines. Rows say what is due; an event that was
//! missed is found here.

use std::sync::atomic::{AtomicBool, Ordering};

use accede_domain::Timestamp;
use accede_domain::id::{AssignmentId, RequestId, SubjectId};
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
        while !stop.load(Ordering::Relaxed) && !self.is_held() {
            let sweep = self.sweep().await?;
            // More may wait behind what was taken; a sweep that moved nothing would only meet the same.
            if !sweep.is_full || sweep.moved == 0 {
                return sweep.end().map(drop);
            }
        }
        Ok(())
    }

    /// Moves everything whose time has come, at most `SWEEP_BATCH` of each kind; says how much.
    pub(crate) async fn sweep_due(&self) -> Result<usize> {
        self.sweep().await?.end()
    }

    async fn sweep(&self) -> Result<Sweep> {
        let mut sweep = Sweep::default();
        // Leases run out by any clock, so what breaks workers down is set apart by any clock too.
        sweep.note(self.sort_out_poison().await.map_err(|error| (0, error)));
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
                    requests::due_to_begin(tx, now, SWEEP_BATCH).await?,
                    assignments::due_to_end(tx, now, SWEEP_BATCH).await?,
                    approvals::overdue(tx, now, SWEEP_BATCH).await?,
                ))
            })
            .await?;
        sweep.is_full =
            [begins.len(), ends.len(), overdue.len()].iter().any(|found| SWEEP_BATCH <= *found);
        let turns = ends.iter().map(|(id, subject)| self.end_due(*id, *subject, now));
        sweep.note(each(turns.collect()).await);
        let turns = begins.iter().map(|(id, subject)| self.begin_due(*id, *subject, now));
        sweep.note(each(turns.collect()).await);
        let turns = overdue.iter().map(|(id, subject)| self.time_out(*id, *subject, now));
        sweep.note(each(turns.collect()).await);
        sweep.note(self.give_up_held().await.map_err(|error| (0, error)));
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

/// Gives each thing its turn, some beside each other since they share commits; how many moved, and the
/// first fault. What cannot be moved does not hold up the others.
pub(crate) async fn each(
    turns: Vec<impl Future<Output = Result<bool>>>,
) -> Result<usize, (usize, Error)> {
    let mut turns = stream::iter(turns).buffer_unordered(BESIDE);
    let (mut moved, mut fault) = (0, None);
    while let Some(turn) = turns.next().await {
        match turn {
            Ok(is_moved) => moved += usize::from(is_moved),
            // The others would meet the same.
            Err(error) if error.is_outage() => return Err((moved, error)),
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    fault.map_or(Ok(moved), |error| Err((moved, error)))
}
