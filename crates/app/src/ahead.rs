//! What a clock that ran ahead put off is taken up when it was set back. What becomes of each row is
//! decided in `accede_domain::ahead`; here is when, and by which clock.
//!
//! Whose clock is right, a server cannot know. So nothing is moved while its own is suspect, nor while
//! another server goes on to say that it is later; and a lease counts as over when nobody renewed it or
//! gave it back for longer than any lease lasts, by a clock that nobody sets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use accede_domain::delivery::LEASE;
use accede_domain::deployment::is_behind;
use accede_domain::id::{DeliveryId, TargetId};
use accede_domain::retry::{Retry, after};
use accede_domain::{Timestamp, ahead as rules, drift, notice};
use accede_store::deliveries::DeliveryRow;
use accede_store::{Tx, ahead, circuits, deliveries, deployment, people, targets};
use tokio::time::Instant;

use crate::deployment::LATEST;
use crate::sweeper::each;
use crate::worker::MAX_TARGETS;
use crate::{App, Error, Result};

/// Under which name it is kept that a clock was suspected, until it was looked for what it put off.
const SUSPECTED: &str = "clock_suspected";
/// Deliveries that are read at once.
const BATCH: usize = 200;

/// Whether it is to be looked for what a clock that ran ahead left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Ahead {
    /// A process that went before this one may have owed it.
    #[default]
    Unknown,
    /// No.
    Nothing,
    /// The clock was suspected since it was last looked.
    Owed,
    /// It is watched what is held for too long.
    Watched(Watched),
}

/// What is watched, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    since: Instant,
    /// Claims that last longer than any does. There are as many as calls at once, at most.
    leases: BTreeSet<(DeliveryId, i64)>,
    /// The latest time that any server said it had.
    latest: Option<i64>,
}

impl App {
    /// Takes up what a clock that ran ahead put off; says how much. Nothing, unless the clock was
    /// suspected, and then not before it is not any more.
    ///
    /// # Errors
    ///
    /// The database's; it is looked anew then.
    pub(crate) async fn take_up_put_off(&self) -> Result<usize> {
        match self.ahead(|ahead| ahead.clone()) {
            Ahead::Nothing => Ok(0),
            Ahead::Unknown => {
                let read = self.store().read(async |tx| deployment::get(tx, SUSPECTED).await);
                let is_owed = read.await?.is_some();
                self.change_ahead(
                    &Ahead::Unknown,
                    if is_owed { Ahead::Owed } else { Ahead::Nothing },
                );
                Ok(0)
            }
            Ahead::Owed => self.watch_held().await.map(|()| 0),
            Ahead::Watched(watched) => {
                if self.clock_is_suspect() || watched.since.elapsed() < watched_for() {
                    return Ok(0);
                }
                let outcome = self.move_back(&watched).await;
                let next = match outcome {
                    Ok(Some(_)) => Ahead::Nothing,
                    // What failed is tried again when it was watched anew.
                    Ok(None) | Err(_) => Ahead::Owed,
                };
                self.change_ahead(&Ahead::Watched(watched), next);
                outcome.map(Option::unwrap_or_default)
            }
        }
    }

    /// Goes on, unless the clock was suspected meanwhile.
    fn change_ahead(&self, from: &Ahead, to: Ahead) {
        self.ahead(|ahead| {
            if ahead == from {
                *ahead = to;
            }
        });
    }

    /// Remembers that this is owed, also for the process that comes after this one, and what is held
    /// for too long at present.
    async fn watch_held(&self) -> Result<()> {
        let (now, since) = (self.now(), Instant::now());
        let (leases, latest) = self
            .store()
            .write(async |tx| {
                deployment::replace(tx, SUSPECTED, &now.as_millisecond().to_string()).await?;
                let leases = ahead::leases(tx, longest_lease(now)).await?;
                Ok::<_, Error>((leases, deployment::get_number(tx, LATEST).await?))
            })
            .await?;
        let leases = leases.into_iter().collect();
        self.change_ahead(&Ahead::Owed, Ahead::Watched(Watched { since, leases, latest }));
        Ok(())
    }

    /// Moves back what lies in the future; says how much that was. `None`: it is to be watched anew, since
    /// another server says that it is later, and it is not known which one is right, or since a claim was
    /// made meanwhile that lasts too long.
    async fn move_back(&self, watched: &Watched) -> Result<Option<usize>> {
        let now = self.now();
        let (latest, retries, found) = self
            .store()
            .read(async |tx| {
                let latest = deployment::get_number(tx, LATEST).await?;
                let all = targets::list(tx, MAX_TARGETS).await?;
                let retries: BTreeMap<TargetId, Retry> =
                    all.iter().map(|target| (target.id, self.retry_of(target))).collect();
                Ok::<_, Error>((latest, retries, ahead::circuits(tx, now).await?))
            })
            .await?;
        if watched.latest < latest && lies_behind(now, latest) {
            tracing::error!(
                clock = %now,
                "the clock of another server is ahead of this one's; what lies in the future is not \
                 moved back; look after the time synchronization of both"
            );
            return Ok(None);
        }
        let retry = |target| retries.get(&target).unwrap_or(&self.settings().retry);
        let mut moved = 0;
        for target in found {
            moved += usize::from(self.move_circuit_back(target, retry(target), now).await?);
        }
        let (mut from, mut fault) = (None, None);
        loop {
            let page =
                self.store().read(async |tx| ahead::deliveries(tx, from, now, BATCH).await).await?;
            from = page.last().map(|row| row.id);
            let concerned: Vec<&DeliveryRow> = page
                .iter()
                .filter(|row| moved_back(row, watched, retry(row.key.target), now) != **row)
                .collect();
            let turns = concerned
                .iter()
                .map(|row| self.move_delivery_back(row, watched, retry(row.key.target), now));
            match each(turns.collect(), BATCH).await.end() {
                Ok(count) => moved += count,
                Err(error) if error.is_outage() => return Err(error),
                // What cannot be moved does not hold up the others.
                Err(error) => fault = fault.or(Some(error)),
            }
            if page.len() < BATCH {
                break;
            }
        }
        let is_whole = fault.is_none();
        let (others, are_held) = self
            .store()
            .write(async |tx| {
                let told = ahead::tell(tx, notice::LONGEST_WAIT, notice::TOLD_AGAIN, now).await?;
                let compared = ahead::compare(tx, drift::LONGEST_TURN, now).await?;
                let counted = ahead::count_as_now(tx, now).await?;
                if lies_behind(now, deployment::get_number(tx, LATEST).await?) {
                    let present = now.as_millisecond().to_string();
                    deployment::replace(tx, LATEST, &present).await?;
                }
                // A lease that was taken since the watch began, by a clock that ran ahead, is watched anew.
                let are_held = !ahead::leases(tx, longest_lease(now)).await?.is_empty();
                if is_whole && !are_held {
                    deployment::forget(tx, SUSPECTED).await?;
                }
                Ok::<_, Error>((told + compared + counted, are_held))
            })
            .await?;
        moved += usize::try_from(others).unwrap_or(usize::MAX);
        if 0 < moved {
            tracing::info!(moved, "what a clock that ran ahead put off is taken up");
        }
        match fault {
            Some(fault) => Err(fault),
            None => Ok(Some(moved).filter(|_| !are_held)),
        }
    }

    async fn move_delivery_back(
        &self,
        found: &DeliveryRow,
        watched: &Watched,
        retry: &Retry,
        now: Timestamp,
    ) -> Result<bool> {
        self.store()
            .write(async |tx| {
                people::lock(tx, found.key.subject).await?;
                let Some(row) = deliveries::lock(tx, found.id).await? else { return Ok(false) };
                let moved = moved_back(&row, watched, retry, now);
                if moved == row {
                    return Ok(false);
                }
                deliveries::save(tx, &moved, row.delivery.epoch).await?;
                Ok::<_, Error>(true)
            })
            .await
    }

    async fn move_circuit_back(
        &self,
        target: TargetId,
        retry: &Retry,
        now: Timestamp,
    ) -> Result<bool> {
        let move_back = async |tx: &mut Tx<'_>| {
            let mut row = circuits::lock(tx, target).await?;
            let moved = rules::circuit(row.circuit, retry, now);
            if moved == row.circuit {
                return Ok(false);
            }
            row.circuit = moved;
            circuits::save(tx, target, &row).await?;
            Ok::<_, Error>(true)
        };
        self.store().write(async |tx| move_back(tx).await).await
    }
}

/// No lease that a right clock gave ends later.
fn longest_lease(now: Timestamp) -> Timestamp {
    after(after(now, LEASE), rules::TOLERANCE)
}

fn watched_for() -> Duration {
    rules::WATCHED_FOR.unsigned_abs()
}

fn lies_behind(now: Timestamp, latest: Option<i64>) -> bool {
    let latest = latest.and_then(|at| Timestamp::from_millisecond(at).ok());
    latest.is_some_and(|latest| is_behind(now, latest))
}

fn moved_back(row: &DeliveryRow, watched: &Watched, retry: &Retry, now: Timestamp) -> DeliveryRow {
    let is_over = rules::is_held_too_long(&row.delivery, now)
        && watched.leases.contains(&(row.id, row.delivery.epoch));
    let (delivery, attempted_at) =
        rules::delivery(row.delivery, row.attempted_at, is_over, retry, now);
    DeliveryRow { delivery, attempted_at, ..row.clone() }
}
