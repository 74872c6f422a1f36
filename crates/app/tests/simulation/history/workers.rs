//! What workers do: sweep, claim, call, take answers down, and die of it.

use accede_app::App;
use accede_app::worker::Claimed;
use accede_domain::circuit::Admission;
use accede_domain::delivery::{Answer, Phase};
use accede_domain::id::{DeliveryId, TargetId};
use accede_domain::{SignedDuration, Timestamp};
use accede_store::mishap::Mishap;
use accede_store::{circuits, deliveries, params};

use crate::oracle::{Verdict, must};
use crate::snapshot::Snapshot;

use super::{History, Worker};

impl History {
    /// A few steps of whoever has something to do; if nobody has, time goes on to the next event.
    pub(super) async fn work_a_while(&mut self) -> Result<bool, String> {
        for _ in 0..1 + self.dice.below(4) {
            if self.work().await? {
                self.look().await?;
            }
        }
        let idle = |worker: &Worker| worker.claimed.is_empty() && worker.answered.is_empty();
        if self.workers.iter().all(idle) && self.dice.below(3) != 0 {
            let soon = self.world.now().checked_add(SignedDuration::from_hours(7)).unwrap();
            if let Some(next) = self.world.next_event().await.filter(|next| *next <= soon) {
                self.set_clock(next.max(self.world.now())).await;
                self.note("time goes on to what is due next".to_owned());
            }
        }
        Ok(false)
    }

    pub(super) async fn work(&mut self) -> Result<bool, String> {
        let n = self.dice.below(self.workers.len());
        if !self.workers[n].answered.is_empty() {
            return self.settle(n).await.map(|()| true);
        }
        if !self.workers[n].claimed.is_empty() {
            return self.carry(n).await;
        }
        self.claim(n).await.map(|()| true)
    }

    pub(super) async fn claim(&mut self, n: usize) -> Verdict {
        let app = self.workers[n].app.clone();
        let unswept = self.see_clock(&app).await;
        let behind = self.snapshot.assignments.values().any(|one| self.oracle.is_behind(one));
        // The process may die while it brings people up to the roles of their packages.
        let polls = if behind && self.dice.below(3) == 0 { self.dice.below(9) } else { usize::MAX };
        let Some(swept) = drop_after(polls, app.sweep_once()).await else {
            self.see_leavers().await;
            self.see_put_off().await?;
            self.note(format!("worker {n}: dies in a sweep"));
            self.count("crash during a sweep");
            return self.die(n).await;
        };
        let now = self.world.now();
        self.see_leavers().await;
        self.see_put_off().await?;
        // Whoever could not take back what came to its end gives nothing before that.
        let Some(swept) = self.unless_befallen("sweep", swept)? else { return Ok(()) };
        self.check_swept(&app, &unswept, now).await?;
        let turns = if self.dice.below(3) == 0 {
            let turns = app.work_jobs().await;
            self.unless_befallen("jobs", turns)?.unwrap_or(0)
        } else {
            0
        };
        if self.dice.below(2) == 0 {
            let checks = app.check_circuits().await;
            let checks = self.unless_befallen("checks", checks)?.unwrap_or(0);
            if 0 < checks {
                self.count("circuit checked");
            }
        }
        let before = Snapshot::take(&self.world.store).await;
        let targets = app.callable_targets().await.map_err(|error| format!("{error:?}"))?;
        let mut ids: Vec<TargetId> = targets.iter().map(|target| target.id).collect();
        let ready: Vec<TargetId> = before
            .deliveries
            .values()
            .filter(|row| row.ready_at.is_some_and(|at| at <= now) && ids.contains(&row.target))
            .map(|row| row.target)
            .collect();
        if !ready.is_empty() && self.dice.below(8) != 0 {
            ids = ready;
        }
        let Some(target) = self.dice.pick_any(&ids) else { return Ok(()) };
        must!(!self.paused.contains(&target), "a paused target is worked for");
        let sim = self.sims[&target].clone();
        let limit = 1 + self.dice.below(6);
        let admission = self.admission(target, now).await;
        let batches = match app.claim(target, &*sim, limit).await {
            Ok(batches) => batches,
            Err(error) => {
                self.befell("claim", &error)?;
                return self.claimed_unheard(&before, now).await;
            }
        };
        let claims: Vec<&Claimed> = batches.iter().flatten().collect();
        self.within(admission, target, claims.len())?;
        let mixed = batches.iter().find(|batch| {
            1 < batch.len()
                && batch.iter().any(|claimed| before.deliveries[&claimed.row.id].is_alone)
        });
        must!(mixed.is_none(), "what is tried alone shares a call: {mixed:?}");
        self.oracle.claimed(&claims, &before, now)?;
        let mut line = format!("worker {n}: {swept} swept, {turns} turns, claims");
        for claimed in &claims {
            line.push_str(&format!(
                " {:?}({}, {})",
                claimed.action, claimed.person.display_name, claimed.row.key.resource
            ));
        }
        let counted: Vec<String> =
            claims.iter().map(|claimed| format!("claim {:?}", claimed.action)).collect();
        for name in counted {
            self.count(&name);
        }
        self.note(line);
        self.workers[n].target = Some(target);
        self.workers[n].claimed = batches.into();
        Ok(())
    }

    /// I15, PKG-06: what a sweep leaves.
    async fn check_swept(&mut self, app: &App, unswept: &Snapshot, now: Timestamp) -> Verdict {
        let swept = Snapshot::take(&self.world.store).await;
        self.oracle.spread(&swept)?;
        if app.clock_is_suspect() {
            return self.check_suspended(unswept, &swept);
        }
        for assignment in swept.assignments.values() {
            must!(
                !assignment.is_live() || assignment.end.is_none_or(|end| now < end),
                "I15: {} outlived its end and a sweep",
                assignment.id
            );
        }
        for request in swept.requests.values() {
            must!(
                request.state != "scheduled" || request.begins.is_some_and(|at| now < at),
                "request {} was not begun by a sweep",
                request.id
            );
        }
        Ok(())
    }

    /// Nobody was told of a claim: either nothing was claimed, or what was is claimed by nobody who
    /// lives, as if whoever claimed it had died.
    async fn claimed_unheard(&mut self, before: &Snapshot, now: Timestamp) -> Verdict {
        let after = Snapshot::take(&self.world.store).await;
        let mut rows = Vec::new();
        for (id, row) in &after.deliveries {
            if row.phase == "inFlight" && before.deliveries[id].epoch < row.epoch {
                let row = self.world.store.read(async |tx| deliveries::get(tx, *id).await).await;
                rows.extend(row.map_err(|error: accede_store::Error| error.to_string())?);
                self.count("claim unheard");
            }
        }
        self.oracle.in_flight(&rows.iter().collect::<Vec<_>>(), before, now)
    }

    pub(super) async fn admission(&self, target: TargetId, now: Timestamp) -> Admission {
        self.world
            .store
            .read(async |tx| Ok(circuits::get(tx, target).await?.circuit.admits(now)))
            .await
            .unwrap_or_else(|error: accede_store::Error| panic!("{error}"))
    }

    /// A target that is in trouble is left alone, whoever works.
    pub(super) fn within(
        &mut self,
        admission: Admission,
        target: TargetId,
        claims: usize,
    ) -> Verdict {
        let most = match admission {
            Admission::Nothing => {
                self.count("target at rest");
                0
            }
            Admission::One => {
                self.count("target on trial");
                1
            }
            Admission::All => usize::MAX,
        };
        must!(claims <= most, "I21: {claims} calls to {target}, which admits {admission:?}");
        Ok(())
    }

    /// Calls the target; says whether the process died of it.
    pub(super) async fn carry(&mut self, n: usize) -> Result<bool, String> {
        let Some(batch) = self.workers[n].claimed.pop_front() else { return Ok(false) };
        let target = self.workers[n].target.unwrap();
        let sim = self.sims[&target].clone();
        let app = self.workers[n].app.clone();
        let deadline = match batch[0].row.delivery.phase {
            Phase::InFlight { deadline, .. } => deadline,
            _ => return Err("a claim is not in flight".to_owned()),
        };
        sim.expect_calls_until(deadline);
        sim.take_calls();
        // The process may die in the middle of a call.
        let polls = if self.dice.below(14) == 0 { self.dice.below(4) } else { usize::MAX };
        let answers = drop_after(polls, app.carry(&*sim, &batch)).await;
        let calls = sim.take_calls();
        must!(
            calls.is_empty() || self.world.now() < deadline,
            "a call is sent at {} after its deadline {deadline}",
            self.world.now()
        );
        must!(calls.len() <= batch.len(), "more calls than claims: {calls:?}");
        match answers {
            Some(answers) => {
                self.note(format!("worker {n}: calls {calls:?}"));
                must!(answers.len() == batch.len(), "an answer is missing");
                // The process may die before it takes in what the call says of its target.
                if self.dice.below(20) != 0 {
                    let noted = app.note_call(target, &answers).await;
                    self.unless_befallen("circuit", noted)?;
                    // A circuit that opens gives what waits its cause.
                    self.look().await?;
                }
                if calls.is_empty() {
                    self.count("call not sent after its deadline");
                }
                let size = batch.len();
                let pairs = batch.into_iter().zip(answers);
                self.workers[n].answered =
                    pairs.map(|(claimed, answer)| (claimed, answer, size)).collect();
                Ok(false)
            }
            None => {
                self.note(format!("worker {n}: dies while it calls {calls:?}"));
                self.count("crash during a call");
                self.die(n).await.map(|()| true)
            }
        }
    }

    pub(super) async fn settle(&mut self, n: usize) -> Verdict {
        let Some((claimed, answer, size)) = self.workers[n].answered.pop_front() else {
            return Ok(());
        };
        let sees = self.sims[&claimed.row.key.target].can_observe();
        let app = self.workers[n].app.clone();
        let twice = self.dice.below(40) == 0;
        for _ in 0..if twice { 2 } else { 1 } {
            let now = self.world.now();
            let before = Snapshot::take(&self.world.store).await;
            let discarded = self.discarded(claimed.row.id).await;
            let outcome = app.settle(&claimed, &answer, sees, size).await;
            let after = Snapshot::take(&self.world.store).await;
            if let Err(error) = outcome
                && self.befell("settle", &error)? != Mishap::Unheard
            {
                must!(before == after, "an answer was not taken down and changed something");
                return Ok(());
            }
            let discarded = discarded < self.discarded(claimed.row.id).await;
            if discarded {
                self.count("late answer discarded");
            }
            let id = claimed.row.id;
            self.note(format!(
                "worker {n}: settles {:?}({}, {}) with {answer:?}{}",
                claimed.action,
                claimed.person.display_name,
                claimed.row.key.resource,
                if discarded { ", discarded" } else { "" }
            ));
            let (old, new) = (&before.deliveries[&id], &after.deliveries[&id]);
            if !new.wanted && old.is_so() && !new.is_so() {
                self.count("came back");
            }
            self.oracle.settled(&claimed, &answer, old, new, discarded, now)?;
            let key = &claimed.row.key;
            let member = (key.subject, key.resource.clone());
            // What somebody took away after it was read is not known by that.
            let is_known = match answer {
                Answer::Absent => true,
                Answer::Present => self.sims[&key.target].truth(&member).is_some(),
                _ => false,
            };
            if is_known && !discarded {
                self.drifted.remove(&(key.target, key.subject, key.resource.clone()));
            }
        }
        Ok(())
    }

    pub(super) async fn discarded(&self, id: DeliveryId) -> i64 {
        self.world
            .store
            .read(async |tx| {
                tx.query_one(
                    "select count(*) from attempts where delivery_id = $1 and outcome = 'discarded'",
                    params![id],
                )
                .await?
                .get(0)
            })
            .await
            .unwrap_or_else(|error: accede_store::Error| panic!("{error}"))
    }

    pub(super) async fn crash(&mut self) -> Verdict {
        let n = self.dice.below(self.workers.len());
        self.note(format!("worker {n}: dies"));
        self.count("crash");
        self.die(n).await
    }

    /// A process dies and another one starts. Alone, all its lanes die with it.
    pub(super) async fn die(&mut self, n: usize) -> Verdict {
        if self.alone {
            for n in 0..self.workers.len() {
                self.workers[n] = self.new_worker();
            }
            self.world.restart();
            let app = self.world.app.clone();
            let recovered = app.recover().await;
            if self.unless_befallen("recover", recovered)?.is_none() {
                // Whoever runs the server starts it once more.
                app.recover().await.map_err(|error| format!("recover: {error:?}"))?;
            }
            self.end_mishap()?;
            Box::pin(self.start_all()).await?;
            self.oracle.recovered();
        } else {
            self.workers[n] = self.new_worker();
        }
        Ok(())
    }
}

/// Polls a future so often at most; `None` if that was not enough and it was dropped.
async fn drop_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}
