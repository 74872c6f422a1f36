//! The end: faults stop, and a healthy worker goes on until everything is at rest.

use accede_app::worker::Claimed;
use accede_app::{App, Error};
use accede_domain::SignedDuration;
use accede_domain::id::{AssignmentId, TargetId};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::oracle::{Verdict, must};
use crate::snapshot::Snapshot;
use crate::target::Sim;
use crate::world;

use super::History;

impl History {
    /// Faults stop; everything must come to rest as it should be, within two days.
    pub(super) async fn heal(&mut self) -> Verdict {
        self.note("everything heals".to_owned());
        for sim in self.sims.values() {
            sim.heal();
        }
        for target in std::mem::take(&mut self.paused) {
            self.world.pause(target, false).await;
        }
        for n in 0..self.workers.len() {
            if self.dice.below(2) == 0 {
                self.die(n).await?;
            }
            while !(self.workers[n].claimed.is_empty() && self.workers[n].answered.is_empty()) {
                if self.workers[n].answered.is_empty() {
                    self.carry(n).await?;
                } else {
                    self.settle(n).await?;
                }
            }
        }
        self.look().await?;
        Box::pin(self.mend_clock()).await?;
        self.run_for(SignedDuration::from_hours(48)).await?;
        self.at_rest()?;
        // Comparing takes its small share of a target's calls, so it may not be through yet.
        for _ in 0..30 {
            if !self.is_comparing().await {
                break;
            }
            self.run_for(SignedDuration::from_mins(10)).await?;
        }
        must!(!self.is_comparing().await, "a comparison never ends");
        self.check_drift().await?;
        self.read().await?;
        let excused = self.repair().await?;
        self.run_for(SignedDuration::from_hours(2)).await?;
        self.at_rest()?;
        let now = self.world.now();
        self.oracle.converged(&self.snapshot, &self.drifted, &excused, now)?;
        self.check_timelines().await?;
        self.check_jobs().await
    }

    /// Lets a healthy worker run for so long, hour by hour or event by event.
    pub(super) async fn run_for(&mut self, span: SignedDuration) -> Verdict {
        let until = self.world.now().checked_add(span).unwrap();
        let app = self.world.another_app();
        loop {
            let mut rounds = 0;
            loop {
                let done = Box::pin(self.round(&app)).await?;
                if done == 0 {
                    break;
                }
                rounds += 1;
                must!(rounds < 50, "the work of one instant never ends");
            }
            self.look().await?;
            if self.decide_all().await? {
                // What was let go on is work of this instant.
                continue;
            }
            let now = self.world.now();
            if until <= now {
                return Ok(());
            }
            let step = now.checked_add(SignedDuration::from_mins(10)).unwrap();
            // What a clock that ran ahead put off is looked for while nothing is due.
            let next = match self.is_put_off().await {
                true => now,
                false => self.world.next_event().await.unwrap_or(until),
            };
            self.set_clock(next.max(step).min(until)).await;
        }
    }

    /// What [`App::work_once`] does, under the oracle's eyes.
    pub(super) async fn round(&mut self, app: &App) -> Result<usize, String> {
        let broke = |error: Error| format!("work broke: {error:?}");
        self.see_clock(app).await;
        let mut done = app.sweep_once().await.map_err(broke)?;
        self.see_leavers().await;
        self.see_put_off().await?;
        done += app.work_jobs().await.map_err(broke)?;
        done += app.check_circuits().await.map_err(broke)?;
        let sims: Vec<(TargetId, Arc<Sim>)> =
            self.sims.iter().map(|(id, sim)| (*id, sim.clone())).collect();
        for (target, sim) in sims {
            let before = Snapshot::take(&self.world.store).await;
            let admission = self.admission(target, self.world.now()).await;
            let batches = app.claim(target, &*sim, 64).await.map_err(broke)?;
            let claims: Vec<&Claimed> = batches.iter().flatten().collect();
            self.within(admission, target, claims.len())?;
            self.oracle.claimed(&claims, &before, self.world.now())?;
            let mut worker = self.new_worker();
            worker.target = Some(target);
            done += claims.len();
            worker.claimed = batches.into();
            self.workers.push(worker);
            let n = self.workers.len() - 1;
            while !(self.workers[n].claimed.is_empty() && self.workers[n].answered.is_empty()) {
                if self.workers[n].answered.is_empty() {
                    self.carry_whole(n).await?;
                } else {
                    self.settle(n).await?;
                }
            }
            self.workers.pop();
        }
        let before = Snapshot::take(&self.world.store).await;
        done += Box::pin(app.sweep_drift()).await.map_err(broke)?;
        let after = Snapshot::take(&self.world.store).await;
        self.oracle.compared(&before, &after, self.world.now())?;
        Ok(done)
    }

    pub(super) async fn carry_whole(&mut self, n: usize) -> Verdict {
        let Some(batch) = self.workers[n].claimed.pop_front() else { return Ok(()) };
        let sim = self.sims[&self.workers[n].target.unwrap()].clone();
        let app = self.workers[n].app.clone();
        let answers = app.carry(&*sim, &batch).await;
        let target = self.workers[n].target.unwrap();
        app.note_call(target, &answers).await.map_err(|error| format!("{error:?}"))?;
        let calls = sim.take_calls();
        self.note(format!("healthy: calls {calls:?}"));
        let size = batch.len();
        let pairs = batch.into_iter().zip(answers);
        self.workers[n].answered = pairs.map(|(claimed, answer)| (claimed, answer, size)).collect();
        Ok(())
    }

    /// Somebody reprocesses whatever can be; the assignments that nothing can be done for come back.
    pub(super) async fn repair(&mut self) -> Result<BTreeSet<AssignmentId>, String> {
        let mut excused = BTreeSet::new();
        for request in self.snapshot.requests.clone().into_values() {
            if !matches!(request.state.as_str(), "partiallyDelivered" | "deliveryFailed") {
                continue;
            }
            let outcome = self.world.reprocess(request.id).await;
            self.note(format!("at last, reprocess {}: {}", request.id, world::code(&outcome)));
            match world::code(&outcome).as_str() {
                "ok" => self.count("repaired at last"),
                "ReprocessWindowExpired" | "NoLongerDeliverable" | "OpenRequestExists" => {
                    excused.extend(request.assignment);
                }
                code => return Err(format!("reprocess of {} ends in {code}", request.id)),
            }
        }
        self.run_for(SignedDuration::from_hours(1)).await?;
        for assignment in self.snapshot.assignments.clone().into_values() {
            if !assignment.is_live() {
                continue;
            }
            let admin = self.world.admin();
            let outcome = self.world.app.reprocess_assignment(&admin, assignment.id).await;
            let code = world::code(&outcome);
            self.note(format!("at last, verify {} {}: {code}", assignment.state, assignment.id));
            if excused.contains(&assignment.id) {
                continue;
            }
            must!(
                outcome.is_ok(),
                "assignment {} is {} and nothing can be done: {}",
                assignment.id,
                assignment.state,
                world::code(&outcome)
            );
            // What was looked at is repaired, whatever was done outside.
            for (delivery, live) in self.snapshot.edges(assignment.id) {
                if live && self.sims[&delivery.target].can_observe() {
                    let key = (delivery.target, delivery.subject, delivery.resource.clone());
                    self.drifted.remove(&key);
                }
            }
            // While a role that two assignments share is looked at, both are under way, and asking for the
            // second to be verified would change nothing.
            self.run_for(SignedDuration::from_mins(1)).await?;
        }
        Ok(excused)
    }
}
