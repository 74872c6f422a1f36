//! The circuits of targets at work: what calls say opens them, checks try them, and what waited goes
//! out when they close. What a circuit does next is decided in `accede_domain::circuit`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use accede_domain::circuit::{self, Circuit, Heard, Reason, Recent, State};
use accede_domain::delivery::{self, Answer};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{DeliveryId, SubjectId, TargetId};
use accede_domain::permission::Reach;
use accede_domain::retry::{Retry, after};
use accede_domain::{SignedDuration, Timestamp};
use accede_store::circuits::{self, CircuitRow};
use accede_store::crash::{Point, point};
use accede_store::targets::{self, Checked, TargetRow};
use accede_store::{causes, deliveries, people};
use serde_json::json;

use crate::deed::Deed;
use crate::reprocess::Selection;
use crate::resources::within_deadline;
use crate::sweeper::{Batch, each};
use crate::worker::{MAX_TARGETS, report};
use crate::{App, Caller, Error, Result, audit};

/// Grants that are given up in one sweep because their window ended while nothing could be called.
const GIVE_UP_BATCH: usize = 200;
/// How long after a call that went well a target counts as serving others.
const SERVED_LATELY: SignedDuration = SignedDuration::from_mins(10);

/// What this process knows of a target beside what is stored.
#[derive(Debug, Default)]
struct Watch {
    recent: Recent,
    /// When a call last went well enough.
    served_at: Option<Timestamp>,
    /// What is tried alone had its turn, and the others have not had theirs since.
    alone_had_turn: bool,
    /// The last claim was let through as a trial.
    is_trial: bool,
    /// The last claim left somebody's grant where it was, since another one of theirs is on its way.
    has_passed_over: bool,
}

/// What this process has heard lately, by target.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<BTreeMap<TargetId, Watch>>);

impl Watches {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TargetId, Watch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_trial(&self, target: TargetId, is_trial: bool) {
        self.lock().entry(target).or_default().is_trial = is_trial;
    }

    /// Whether what is tried alone may go before the others.
    pub(crate) fn may_go_alone(&self, target: TargetId) -> bool {
        !self.lock().entry(target).or_default().alone_had_turn
    }

    pub(crate) fn set_turn(&self, target: TargetId, alone: bool) {
        self.lock().entry(target).or_default().alone_had_turn = alone;
    }

    pub(crate) fn set_passed_over(&self, target: TargetId, has: bool) {
        self.lock().entry(target).or_default().has_passed_over = has;
    }

    /// Whether the last claim left something that may be free once a call has come to its end.
    pub(crate) fn has_passed_over(&self, target: TargetId) -> bool {
        self.lock().get(&target).is_some_and(|watch| watch.has_passed_over)
    }

    /// Whether a target served somebody lately.
    pub(crate) fn serves(&self, target: TargetId, now: Timestamp) -> bool {
        let served_at = self.lock().entry(target).or_default().served_at;
        served_at.is_some_and(|at| now.duration_since(at) <= SERVED_LATELY)
    }
}

impl App {
    /// Takes in what one call said about its target; opens or closes the circuit if that follows.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn note_call(&self, target: TargetId, answers: &[Answer]) -> Result<()> {
        let now = self.now();
        let heard = Heard::of(answers);
        let trip = {
            let mut watches = self.watches().lock();
            let watch = watches.entry(target).or_default();
            if heard == Heard::Fine
                && answers.iter().any(|answer| !matches!(answer, Answer::Fault(_)))
            {
                watch.served_at = Some(now);
            }
            match (heard, watch.is_trial) {
                (Heard::Strained, true) => Some(Reason::Unavailable),
                (Heard::Trouble(reason), true) => Some(reason),
                (Heard::Fine, true) => None,
                _ => match watch.recent.note(heard, now) {
                    None if !matches!(heard, Heard::Throttled(_)) => return Ok(()),
                    reason => reason,
                },
            }
        };
        let (retry, chance) = (&self.settings().retry, self.entropy().chance());
        let quiet = match heard {
            Heard::Throttled(asked) => Some(after(now, retry.throttle(asked, 0.0))),
            _ => None,
        };
        let (before, after) = self
            .store()
            .write(async |tx| {
                let mut row = circuits::lock(tx, target).await?;
                let before = row.circuit;
                row.circuit = match (trip, quiet) {
                    (Some(reason), _) => circuit::trip(before, reason, retry, chance, now),
                    (None, Some(until)) => circuit::throttled(before, until),
                    (None, None) => circuit::passed(before),
                };
                if trip.is_some() && row.circuit != before {
                    row.fault = worst(answers);
                }
                self.store_circuit(tx, target, before, row).await
            })
            .await?;
        point(Point::CircuitNoted);
        self.announce(target, before, after).await
    }

    /// Makes the checks of open circuits that are due, one after another; says how many.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn check_circuits(&self) -> Result<usize> {
        let due = self.circuits_to_check().await?;
        for target in &due {
            self.check_circuit(*target).await?;
        }
        Ok(due.len())
    }

    /// The targets whose open circuit is to be checked now.
    ///
    /// # Errors
    ///
    /// The database's.
    pub(crate) async fn circuits_to_check(&self) -> Result<Vec<TargetId>> {
        let now = self.now();
        self.store().read(async |tx| Ok(circuits::to_check(tx, now, MAX_TARGETS).await?)).await
    }

    /// Checks a target whose circuit is open, if nobody else does: changes nothing in it.
    ///
    /// # Errors
    ///
    /// The database's.
    pub(crate) async fn check_circuit(&self, target: TargetId) -> Result<()> {
        enum Turn {
            Nothing,
            Closed(Circuit, Circuit),
            Check(Box<TargetRow>),
        }
        let now = self.now();
        let turn = self
            .store()
            .write(async |tx| {
                let Some(target_row) = targets::get(tx, target).await? else {
                    return Ok(Turn::Nothing);
                };
                let mut row = circuits::lock(tx, target).await?;
                let before = row.circuit;
                if let State::Trial { .. } = before.state
                    && !targets::backlog(tx, target).await?.is_waiting()
                {
                    // It answers, and there is nothing more to try it with.
                    row.circuit.state = State::Closed;
                    let (before, after) = self.store_circuit(tx, target, before, row).await?;
                    return Ok(Turn::Closed(before, after));
                }
                let Some(taken) = circuit::take_check(before, now) else {
                    return Ok(Turn::Nothing);
                };
                row.circuit = taken;
                circuits::save(tx, target, &row).await?;
                Ok::<_, Error>(Turn::Check(Box::new(target_row)))
            })
            .await?;
        let row = match turn {
            Turn::Nothing => return Ok(()),
            Turn::Closed(before, after) => return self.announce(target, before, after).await,
            Turn::Check(row) => row,
        };
        self.check(&row).await
    }

    /// Asks a target whether it can be reached and used, and takes in what it says.
    ///
    /// # Errors
    ///
    /// The database's. A target that does not answer is an answer.
    pub(crate) async fn check(&self, row: &TargetRow) -> Result<()> {
        let found = match self.hands().get(row) {
            Ok(connector) => within_deadline(connector.check()).await.map(|health| health.summary),
            Err(fault) => Err(fault),
        };
        point(Point::CircuitAsked);
        let (target, now) = (row.id, self.now());
        let (retry, chance) = (&self.settings().retry, self.entropy().chance());
        let checked = Checked::new(now, &found);
        let (before, after) = self
            .store()
            .write(async |tx| {
                targets::set_checked(tx, target, &checked).await?;
                let mut row = circuits::lock(tx, target).await?;
                let before = row.circuit;
                let trouble = found.as_ref().err().map(Reason::of);
                row.circuit = circuit::checked(before, trouble, retry, chance, now);
                match &found {
                    _ if row.circuit == before => {}
                    Err(fault) => row.fault = Some(fault.clone()),
                    Ok(_) => {
                        // What waits becomes ready, so that there is something to try it with.
                        circuits::release(tx, target, now).await?;
                        if !targets::backlog(tx, target).await?.is_waiting() {
                            row.circuit.state = State::Closed;
                        }
                    }
                }
                self.store_circuit(tx, target, before, row).await
            })
            .await?;
        self.announce(target, before, after).await
    }

    /// Has an open circuit checked at once, because somebody changed something about its target.
    pub(crate) async fn nudge_circuit(
        &self,
        tx: &mut accede_store::Tx<'_>,
        target: TargetId,
    ) -> Result<()> {
        let mut row = circuits::lock(tx, target).await?;
        let nudged = circuit::nudged(row.circuit, self.now());
        if nudged != row.circuit {
            row.circuit = nudged;
            circuits::save(tx, target, &row).await?;
        }
        Ok(())
    }

    /// Has circuits that are open checked at once, a target's or all, because somebody wants something
    /// tried again. What they wanted is committed by now: if this fails, they are not told that it did,
    /// and the circuits are checked in their own time.
    pub(crate) async fn hurry_circuits(&self, target: Option<TargetId>) {
        let hurried = async {
            let open = match target {
                Some(target) => vec![target],
                None => self.store().read(async |tx| circuits::open(tx, MAX_TARGETS).await).await?,
            };
            for target in open {
                self.store().write(async |tx| self.nudge_circuit(tx, target).await).await?;
            }
            Ok::<_, Error>(())
        };
        report("nudge", hurried.await);
    }

    /// Stores a circuit, if it moved, with what follows from that in the same transaction.
    async fn store_circuit(
        &self,
        tx: &mut accede_store::Tx<'_>,
        target: TargetId,
        before: Circuit,
        mut row: CircuitRow,
    ) -> Result<(Circuit, Circuit)> {
        let after = row.circuit;
        if after == before {
            return Ok((before, after));
        }
        if after.state == State::Closed {
            row.fault = None;
        }
        circuits::save(tx, target, &row).await?;
        if let (State::Open { .. }, Some(fault)) = (after.state, &row.fault) {
            // What waits without having been tried is held up by the same.
            let last = self.remember(tx, target, fault, self.now()).await?;
            circuits::blame(tx, target, &last).await?;
        }
        let action = match (before.state, after.state) {
            (State::Closed, State::Open { .. }) => "target circuit opened",
            (State::Open { .. } | State::Trial { .. }, State::Closed) => "target circuit closed",
            _ => return Ok((before, after)),
        };
        let event = audit::Event {
            action,
            object_type: "target",
            object_id: target.to_string(),
            catalog: None,
            detail: json!({ "fault": row.fault.map(|fault| json!({
                "code": fault.code, "message": fault.message,
            })) }),
        };
        audit::record(self, tx, &Caller::system(), event, self.now()).await?;
        Ok((before, after))
    }

    /// What follows from a circuit that moved, outside its transaction.
    async fn announce(&self, target: TargetId, before: Circuit, after: Circuit) -> Result<()> {
        match (before.state, after.state) {
            (State::Closed | State::Trial { .. }, State::Open { check_at, reason, .. }) => {
                let reason = reason.name();
                tracing::warn!(%target, reason, %check_at, "target rests: its circuit is open");
            }
            (State::Open { .. }, State::Trial { .. }) => {
                tracing::info!(%target, "target answers a check: a few calls try it");
                self.wake();
            }
            (State::Open { since, .. } | State::Trial { since, .. }, State::Closed) => {
                tracing::info!(%target, "target is called again: its circuit is closed");
                self.try_once_more(target, since).await?;
                self.wake();
            }
            _ => {}
        }
        Ok(())
    }

    /// What was given up because the target was in trouble since then gets one more try now that it is
    /// not: a reprocess job of the server's own.
    async fn try_once_more(&self, target: TargetId, since: Timestamp) -> Result<()> {
        let caller = Caller::system();
        let causes = self
            .store()
            .read(async |tx| Ok::<_, Error>(causes::list(tx, &Reach::Everywhere).await?))
            .await?;
        let given_up = causes.iter().filter(|cause| {
            let may_pass = matches!(cause.class, Class::Target | Class::Transient | Class::Unknown);
            cause.target == target && may_pass && since <= cause.last_seen && 0 < cause.requests
        });
        for cause in given_up {
            let selection = Selection { cause: Some(cause.id), ..Selection::default() };
            let plan = match self.plan_reprocess(&caller, &selection).await {
                Ok(view) => view.plan,
                Err(error) if error.is_outage() => return Err(error),
                Err(error) => {
                    tracing::warn!(%target, %error, "what was given up is not tried again");
                    continue;
                }
            };
            if 0 < plan.eligible {
                self.run_plan(&caller, plan.id, &plan.digest).await?;
            }
        }
        Ok(())
    }

    /// Gives grants up whose window ended while their target could not be called, at each target but for
    /// the first that are to be skipped there.
    pub(crate) async fn give_up_held(
        &self,
        skip: &BTreeMap<TargetId, usize>,
    ) -> Result<Vec<(TargetId, Batch)>> {
        let now = self.now();
        let held = self
            .store()
            .read(async |tx| {
                let mut held = Vec::new();
                for target in circuits::open(tx, MAX_TARGETS).await? {
                    let Some(row) = targets::get(tx, target).await? else { continue };
                    let retry = self.retry_of(&row);
                    let Ok(since) = now.checked_sub(retry.grant_window) else { continue };
                    let part = (skip.get(&target).copied().unwrap_or_default(), GIVE_UP_BATCH);
                    let found = circuits::held_since(tx, target, since, now, part).await?;
                    held.push((target, retry, found));
                }
                Ok::<_, Error>(held)
            })
            .await?;
        let mut batches = Vec::with_capacity(held.len());
        for (target, retry, found) in held {
            let turns = found
                .iter()
                .map(|(id, subject)| self.give_up(*id, *subject, (target, &retry), now));
            batches.push((target, each(turns.collect(), GIVE_UP_BATCH).await));
        }
        Ok(batches)
    }

    /// Gives a grant up that its target's circuit held for too long; whether it was to be.
    async fn give_up(
        &self,
        id: DeliveryId,
        subject: SubjectId,
        (target, retry): (TargetId, &Retry),
        now: Timestamp,
    ) -> Result<bool> {
        let caller = Caller::system();
        let is_given_up = self
            .store()
            .write(async |tx| {
                people::lock(tx, subject).await?;
                let Some(mut row) = deliveries::lock(tx, id).await? else { return Ok(false) };
                let circuit = circuits::get(tx, target).await?;
                let given_up = delivery::give_up(row.delivery, retry, now);
                if row.delivery == given_up || circuit.circuit.state == State::Closed {
                    return Ok(false);
                }
                if let Some(fault) = circuit.fault {
                    row.fault = Some(self.remember(tx, target, &fault, now).await?);
                }
                let mut deed = Deed { app: self, tx, caller: &caller, now };
                deed.change(row, given_up, None).await.map(|()| true)
            })
            .await?;
        point(Point::CircuitGaveUp);
        Ok(is_given_up)
    }
}

/// The fault that says most about the target.
fn worst(answers: &[Answer]) -> Option<Fault> {
    let faults = || {
        answers.iter().filter_map(|answer| match answer {
            Answer::Fault(fault) => Some(fault),
            _ => None,
        })
    };
    let of_target = || faults().filter(|fault| fault.class == Class::Target);
    of_target()
        .find(|fault| Reason::of(fault) == Reason::Credentials)
        .or_else(|| of_target().next())
        .or_else(|| faults().next())
        .cloned()
}
