//! What the clock brings about: starts, ends, deadlines. Rows say what is due; an event that was
//! missed is found here.

use accede_domain::request::Event;
use accede_store::crash::{Point, point};
use accede_store::{approvals, assignments, people, requests};

use crate::deed::Deed;
use crate::{App, Caller, Error, Result};

/// Rows of one kind that are taken in one sweep.
pub const SWEEP_BATCH: usize = 200;

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

    /// Moves everything whose time has come, at most `SWEEP_BATCH` of each kind; says how much.
    pub(crate) async fn sweep_due(&self) -> Result<usize> {
        // Leases run out by any clock, so what breaks workers down is set apart by any clock too.
        let mut done = self.sort_out_poison().await?;
        if self.clock_is_suspect() {
            // A clock that jumped must neither end nor begin anybody's access by itself.
            return Ok(done);
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
        let caller = Caller::system();
        done += self.give_up_held().await?;
        for (id, subject) in ends {
            self.store()
                .write(async |tx| {
                    people::lock(tx, subject).await?;
                    let assignment = assignments::lock(tx, id).await?;
                    let over = assignment.end.is_some_and(|end| end <= now);
                    if assignment.state.is_live() && over {
                        let mut deed = Deed { app: self, tx, caller: &caller, now };
                        deed.remove_by_system(&assignment, "its end was reached").await?;
                    }
                    Ok::<_, Error>(())
                })
                .await?;
            point(Point::SweepEnded);
            done += 1;
        }
        for (id, subject) in begins {
            self.store()
                .write(async |tx| {
                    people::lock(tx, subject).await?;
                    let mut request = requests::lock(tx, id).await?;
                    let mut deed = Deed { app: self, tx, caller: &caller, now };
                    match deed.advance(&mut request, Event::Tick, None).await {
                        // Somebody else moved it since it was listed.
                        Err(Error::Refused(_)) => Ok(()),
                        outcome => outcome,
                    }
                })
                .await?;
            point(Point::SweepBegan);
            done += 1;
        }
        for (id, subject) in overdue {
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
            done += usize::from(moved);
        }
        if 0 < done {
            self.wake();
        }
        Ok(done)
    }
}
