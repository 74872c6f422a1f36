//! One seed, one history: an organization, its people, its targets, up to three workers that may die at
//! any step, and the clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use accede_app::list::Listing;
use accede_app::packages::RoleChoice;
use accede_app::reprocess::Selection;
use accede_app::requests::{ForWhom, NewRequest};
use accede_app::users::UserChange;
use accede_app::worker::{Batch, Claimed};
use accede_app::{App, Error};
use accede_domain::approval::Decision;
use accede_domain::circuit::Admission;
use accede_domain::delivery::{Answer, Phase};
use accede_domain::filter::Filter;
use accede_domain::id::{
    AssignmentId, DeliveryId, JobId, PackageId, RequestId, SubjectId, TargetId,
};
use accede_domain::notice::Topic;
use accede_domain::permission::Reach;
use accede_domain::request::Type;
use accede_domain::resolution::Resolution;
use accede_domain::schedule::Schedule;
use accede_domain::{SignedDuration, Timestamp};
use accede_store::request_list::{Narrowing, Whose};
use accede_store::{Store, params};
use accede_store::{alarms, circuits, deployment};

use crate::dice::Dice;
use crate::oracle::{Oracle, Verdict, must};
use crate::snapshot::{Part, Snapshot};
use crate::target::{Poison, Rates, Sim};
use crate::world::{self, Given, Somebody, World};

/// A process, or a lane of one, at work.
struct Worker {
    app: App,
    target: Option<TargetId>,
    claimed: VecDeque<Batch>,
    answered: VecDeque<(Claimed, Answer, usize)>,
}

/// What a history came to.
#[derive(Debug, Default)]
pub struct Report {
    pub steps: u64,
    pub hash: u64,
    pub counters: BTreeMap<String, u64>,
}

/// What went wrong, and what led there.
pub struct Failure {
    pub what: String,
    pub trace: Vec<String>,
}

pub struct History {
    world: World,
    dice: Dice,
    oracle: Oracle,
    snapshot: Snapshot,
    people: Vec<Somebody>,
    approver: Somebody,
    roles: Vec<Given>,
    packages: Vec<PackageId>,
    sims: BTreeMap<TargetId, Arc<Sim>>,
    workers: Vec<Worker>,
    /// Chance of its own for what people settle by hand; `None` in histories without that.
    by_hand: Option<Dice>,
    /// One process alone with its data directory, which takes leases over when it starts.
    alone: bool,
    paused: BTreeSet<TargetId>,
    /// Memberships that somebody else took away since we last looked.
    drifted: BTreeSet<(TargetId, SubjectId, String)>,
    jobs: Vec<JobId>,
    trace: Vec<String>,
    hash: u64,
    steps: u64,
    counters: BTreeMap<String, u64>,
}

impl History {
    /// Runs the history of a seed.
    pub async fn run(seed: u64) -> Result<Report, Failure> {
        let mut history = History::new(seed).await;
        let outcome = history.live().await;
        for sim in history.sims.values() {
            for (name, count) in sim.faults() {
                *history.counters.entry(name).or_default() += count;
            }
        }
        for (name, count) in &history.oracle.seen {
            *history.counters.entry(name.clone()).or_default() += count;
        }
        match outcome {
            Ok(()) => {
                Ok(Report { steps: history.steps, hash: history.hash, counters: history.counters })
            }
            Err(what) => Err(Failure { what, trace: history.trace }),
        }
    }

    async fn new(seed: u64) -> History {
        let mut dice = Dice::new(seed);
        let world = World::over(Store::open_in_memory().unwrap(), seed).await;
        let mut sims = BTreeMap::new();
        let mut roles = Vec::new();
        for name in ["hr", "erp", "wiki"].iter().take(2 + dice.below(2)) {
            let sees = dice.below(4) != 0;
            let mut own = Dice::new(seed.rotate_left(17) ^ u64::try_from(sims.len()).unwrap());
            let mut rates = Rates::draw(&mut dice).with_accepted(&mut own);
            if !sees {
                // What a target lies about and does not show can never be known.
                rates.lie = 0;
                rates.ghost = 0;
            }
            let batch = 1 + dice.below(3);
            let sim = Arc::new(Sim::new(dice.next(), sees, batch, rates, world.now()));
            let id = world.target_with(name, sim.clone()).await;
            for n in 0..2 {
                let keep = dice.below(3) == 0;
                roles.push(world.role_kept(id, &format!("{name}{n}"), keep).await);
            }
            sims.insert(id, sim);
        }
        let mut oracle = Oracle::new(sims.clone());
        let approver = world.person("approver").await;
        let boss = world.person("boss").await;
        let mut people = vec![boss.clone()];
        for n in 0..2 + dice.below(3) {
            people.push(world.person_under(&format!("p{n}"), Some(&boss)).await);
        }
        let mut packages = Vec::new();
        for n in 0..3 {
            let count = 1 + dice.below(3);
            let mut given: Vec<&Given> = Vec::new();
            for _ in 0..count {
                let role = &roles[dice.below(roles.len())];
                if given.iter().all(|other| other.role != role.role) {
                    given.push(role);
                }
            }
            let asked = world::stage(&[world::user(&approver)], &[]);
            let boss = world::stage(&[world::manager()], &[world::user(&approver)]);
            let terms = match dice.below(4) {
                0 => world::approved_terms(vec![asked]),
                1 => world::approved_terms(vec![boss, asked]),
                _ => world::open_terms(),
            };
            let package = world.package_under(&format!("package {n}"), &given, terms).await;
            let keys = given.iter().map(|role| (role.target, role.origin.clone())).collect();
            oracle.roles.insert(package, vec![keys]);
            packages.push(package);
        }
        if dice.below(2) == 0 {
            world.incompatible(packages[0], packages[1]).await;
            oracle.incompatible.push((packages[0], packages[1]));
        }
        if dice.below(2) == 0 {
            let (person, role) = (dice.pick(&people), dice.pick(&roles));
            let member = (person.subject, role.origin.clone());
            sims[&role.target].toggle_poison(&member, Poison::draw(&mut dice));
        }
        for _ in 0..dice.below(4) {
            let (person, role) = (dice.pick(&people), dice.pick(&roles));
            sims[&role.target].meddle(&(person.subject, role.origin.clone()), true);
        }
        let alone = dice.below(2) == 0;
        let mut history = History {
            world,
            dice,
            oracle,
            snapshot: Snapshot::default(),
            people,
            approver,
            roles,
            packages,
            sims,
            workers: Vec::new(),
            by_hand: Some(Dice::new(seed.rotate_left(29))).filter(|_| seed % 3 == 1),
            alone,
            paused: BTreeSet::new(),
            drifted: BTreeSet::new(),
            jobs: Vec::new(),
            trace: Vec::new(),
            hash: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            counters: BTreeMap::new(),
        };
        for _ in 0..1 + history.dice.below(3) {
            let worker = history.new_worker();
            history.workers.push(worker);
        }
        history
    }

    fn new_worker(&self) -> Worker {
        Worker {
            app: self.world.another_app(),
            target: None,
            claimed: VecDeque::new(),
            answered: VecDeque::new(),
        }
    }

    fn note(&mut self, line: String) {
        let line = format!("{:>3} {} {line}", self.steps, self.world.now());
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.trace.push(line);
    }

    fn count(&mut self, name: &str) {
        *self.counters.entry(name.to_owned()).or_default() += 1;
    }

    async fn live(&mut self) -> Verdict {
        for _ in 0..2 + self.dice.below(4) {
            self.submit().await?;
            self.look().await?;
        }
        let steps = 60 + self.dice.below(50);
        for _ in 0..steps {
            self.steps += 1;
            let checks = self.step().await?;
            if checks {
                self.look().await?;
            }
            if self.dice.below(16) == 0 {
                self.read().await?;
            }
            if let Some(mut dice) = self.by_hand.take() {
                if dice.below(12) == 0 {
                    // Boxed: the stack of a test is small.
                    Box::pin(self.settle_by_hand(&mut dice)).await?;
                    self.look().await?;
                }
                self.by_hand = Some(dice);
            }
        }
        self.heal().await
    }

    /// Reads everything and checks it.
    async fn look(&mut self) -> Verdict {
        self.snapshot = Snapshot::take(&self.world.store).await;
        for request in self.snapshot.requests.values() {
            let name = format!("state {}", request.state);
            *self.counters.entry(name).or_default() += 1;
        }
        for row in self.snapshot.deliveries.values() {
            let name = match (row.crashes, row.strikes, row.wanted) {
                (5.., _, true) => "laid down grant",
                (5.., _, false) => "laid down revoke",
                (3.., ..) => "alone after crashes",
                (_, 5.., _) => "alone after strikes",
                (_, 1.., _) => "struck",
                _ => continue,
            };
            *self.counters.entry(name.to_owned()).or_default() += 1;
        }
        self.oracle.check(&self.snapshot, self.world.now())
    }

    /// One step; says whether anything may have changed in the store.
    async fn step(&mut self) -> Result<bool, String> {
        match self.dice.below(100) {
            0..50 => self.work_a_while().await,
            50..60 => self.pass_time().map(|()| false),
            60..69 => self.submit().await.map(|()| true),
            69..75 => self.decide().await.map(|()| true),
            75..77 => self.cancel().await.map(|()| true),
            77..80 => self.remove().await.map(|()| true),
            80..84 => self.reprocess().await.map(|()| true),
            84..86 => self.reprocess_assignment().await.map(|()| true),
            86..88 => self.retry().await.map(|()| true),
            88..91 => self.plan().await.map(|()| true),
            91..93 => self.change_package().await.map(|()| true),
            93 => self.change_person().await.map(|()| true),
            94 => self.pause().await.map(|()| true),
            95 => self.meddle().map(|()| false),
            96 => self.trouble().map(|()| false),
            _ => self.crash().await.map(|()| true),
        }
    }

    // ---- workers -------------------------------------------------------------------------------

    /// A few steps of whoever has something to do; if nobody has, time goes on to the next event.
    async fn work_a_while(&mut self) -> Result<bool, String> {
        for _ in 0..1 + self.dice.below(4) {
            if self.work().await? {
                self.look().await?;
            }
        }
        let idle = |worker: &Worker| worker.claimed.is_empty() && worker.answered.is_empty();
        if self.workers.iter().all(idle) && self.dice.below(3) != 0 {
            let soon = self.world.now().checked_add(SignedDuration::from_hours(7)).unwrap();
            if let Some(next) = self.world.next_event().await.filter(|next| *next <= soon) {
                self.set_clock(next.max(self.world.now()));
                self.note("time goes on to what is due next".to_owned());
            }
        }
        Ok(false)
    }

    async fn work(&mut self) -> Result<bool, String> {
        let n = self.dice.below(self.workers.len());
        if !self.workers[n].answered.is_empty() {
            return self.settle(n).await.map(|()| true);
        }
        if !self.workers[n].claimed.is_empty() {
            return self.carry(n).await;
        }
        self.claim(n).await.map(|()| true)
    }

    async fn claim(&mut self, n: usize) -> Verdict {
        let app = self.workers[n].app.clone();
        let behind = self.snapshot.assignments.values().any(|one| self.oracle.is_behind(one));
        // The process may die while it brings people up to the roles of their packages.
        let polls = if behind && self.dice.below(3) == 0 { self.dice.below(9) } else { usize::MAX };
        let Some(swept) = drop_after(polls, app.sweep_once()).await else {
            self.note(format!("worker {n}: dies in a sweep"));
            self.count("crash during a sweep");
            return self.die(n).await;
        };
        let swept = swept.map_err(|error| format!("sweep: {error:?}"))?;
        let now = self.world.now();
        let swept_state = Snapshot::take(&self.world.store).await;
        self.oracle.spread(&swept_state)?;
        for assignment in swept_state.assignments.values() {
            must!(
                !assignment.is_live() || assignment.end.is_none_or(|end| now < end),
                "I15: {} outlived its end and a sweep",
                assignment.id
            );
        }
        for request in swept_state.requests.values() {
            must!(
                request.state != "scheduled" || request.begins.is_some_and(|at| now < at),
                "request {} was not begun by a sweep",
                request.id
            );
        }
        let turns = if self.dice.below(3) == 0 {
            app.work_jobs().await.map_err(|error| format!("jobs: {error:?}"))?
        } else {
            0
        };
        if self.dice.below(2) == 0 {
            let checks =
                app.check_circuits().await.map_err(|error| format!("checks: {error:?}"))?;
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
        let batches =
            app.claim(target, &*sim, limit).await.map_err(|error| format!("claim: {error:?}"))?;
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

    async fn admission(&self, target: TargetId, now: Timestamp) -> Admission {
        self.world
            .store
            .read(async |tx| Ok(circuits::get(tx, target).await?.circuit.admits(now)))
            .await
            .unwrap_or_else(|error: accede_store::Error| panic!("{error}"))
    }

    /// A target that is in trouble is left alone, whoever works.
    fn within(&mut self, admission: Admission, target: TargetId, claims: usize) -> Verdict {
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
    async fn carry(&mut self, n: usize) -> Result<bool, String> {
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
                    app.note_call(target, &answers).await.map_err(|error| format!("{error:?}"))?;
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

    async fn settle(&mut self, n: usize) -> Verdict {
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
            app.settle(&claimed, &answer, sees, size)
                .await
                .map_err(|error| format!("settle: {error:?}"))?;
            let after = Snapshot::take(&self.world.store).await;
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

    async fn discarded(&self, id: DeliveryId) -> i64 {
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

    async fn crash(&mut self) -> Verdict {
        let n = self.dice.below(self.workers.len());
        self.note(format!("worker {n}: dies"));
        self.count("crash");
        self.die(n).await
    }

    /// A process dies and another one starts. Alone, all its lanes die with it.
    async fn die(&mut self, n: usize) -> Verdict {
        if self.alone {
            for n in 0..self.workers.len() {
                self.workers[n] = self.new_worker();
            }
            self.world.restart();
            let app = self.world.app.clone();
            app.recover().await.map_err(|error| format!("recover: {error:?}"))?;
            self.oracle.recovered();
        } else {
            self.workers[n] = self.new_worker();
        }
        Ok(())
    }

    // ---- time ----------------------------------------------------------------------------------

    fn pass_time(&mut self) -> Verdict {
        let seconds = *self.dice.pick(&[1, 3, 12, 31, 61, 300, 900, 3_700, 7 * 3_600, 26 * 3_600]);
        self.set_clock(self.world.now().checked_add(SignedDuration::from_secs(seconds)).unwrap());
        self.note(format!("{seconds} s pass"));
        Ok(())
    }

    fn set_clock(&self, now: Timestamp) {
        self.world.clock.set(now);
        for sim in self.sims.values() {
            sim.tick(now);
        }
    }

    // ---- people --------------------------------------------------------------------------------

    /// Records an outcome; a refusal must have changed nothing.
    async fn outcome<T>(
        &mut self,
        what: &str,
        outcome: &accede_app::Result<T>,
        before: &Snapshot,
    ) -> Result<bool, String> {
        let code = world::code(outcome);
        self.note(format!("{what}: {code}"));
        match outcome {
            Ok(_) => {
                self.count(&format!("{} done", what.split(' ').next().unwrap_or_default()));
                Ok(true)
            }
            Err(
                Error::Refused(_)
                | Error::Invalid { .. }
                | Error::Forbidden { .. }
                | Error::NotFound { .. }
                | Error::Duplicate { .. },
            ) => {
                self.count(&format!("{} refused", what.split(' ').next().unwrap_or_default()));
                let after = Snapshot::take(&self.world.store).await;
                must!(*before == after, "{what} was refused ({code}) and changed something");
                Ok(false)
            }
            Err(error) => Err(format!("{what} broke: {error:?}")),
        }
    }

    fn somebody(&mut self) -> Somebody {
        let n = self.dice.below(self.people.len());
        self.people[n].clone()
    }

    async fn submit(&mut self) -> Verdict {
        let person = self.somebody();
        let package = *self.dice.pick(&self.packages);
        let now = self.world.now();
        let after = |seconds: i64| now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let schedule = match self.dice.below(8) {
            0 => world::until(after(600)),
            1 => world::until(after(3 * 3_600)),
            2 => world::until(after(50 * 3_600)),
            3 => world::from(after(1_200)),
            4 => Schedule { start_date_time: Some(after(900)), ..world::until(after(8 * 3_600)) },
            _ => Schedule::default(),
        };
        let before = self.snapshot.clone();
        let assigns = self.dice.below(4) == 0;
        let new = NewRequest { schedule, ..world::ask(package) };
        let outcome = if assigns {
            let new = NewRequest {
                request_type: Type::AdminAdd,
                target: ForWhom::User(person.user),
                ..new
            };
            self.world.app.submit_request(&self.world.admin(), new).await
        } else {
            self.world.app.submit_request(&person.caller(), new).await
        };
        let what = if assigns { "assign" } else { "submit" };
        let done = self.outcome(&format!("{what} {}", person.name), &outcome, &before).await?;
        let twice = before.requests.values().any(|request| {
            request.subject == person.subject
                && request.package == package
                && matches!(
                    request.state.as_str(),
                    "pendingApproval" | "scheduled" | "delivering" | "canceling"
                )
        });
        must!(!(done && twice), "a second open request for the same person and package");
        Ok(())
    }

    fn requests_in(&self, states: &[&str]) -> Vec<RequestId> {
        let open = self.snapshot.requests.values();
        open.filter(|request| states.contains(&request.state.as_str()))
            .map(|request| request.id)
            .collect()
    }

    async fn decide(&mut self) -> Verdict {
        let pending = self.requests_in(&["pendingApproval"]);
        let Some(id) = self.dice.pick_any(&pending) else { return Ok(()) };
        let who = match self.dice.below(6) {
            0 => self.somebody(),
            1..3 => self.people[0].clone(),
            _ => self.approver.clone(),
        };
        let deny = self.dice.below(12) == 0;
        let decision = if deny { Decision::Deny } else { Decision::Approve };
        let before = self.snapshot.clone();
        let outcome = self.world.decide(&who, id, decision).await;
        let what = format!("decide {} {decision:?}", who.name);
        if self.outcome(&what, &outcome, &before).await? {
            let request = &before.requests[&id];
            must!(request.subject != who.subject, "I11: somebody decided about themself");
            must!(!self.oracle.inactive.contains(&who.subject), "I11: a disabled person decided");
        }
        Ok(())
    }

    async fn cancel(&mut self) -> Verdict {
        let ids: Vec<RequestId> = self.snapshot.requests.keys().copied().collect();
        let Some(id) = self.dice.pick_any(&ids) else { return Ok(()) };
        let before = self.snapshot.clone();
        let outcome = self.world.cancel(id).await;
        let state = before.requests[&id].state.clone();
        let done = self.outcome(&format!("cancel {state}"), &outcome, &before).await?;
        let may = !matches!(state.as_str(), "delivering" | "delivered" | "denied" | "canceled");
        must!(!done || may, "a request that was {state} was canceled");
        Ok(())
    }

    async fn remove(&mut self) -> Verdict {
        let live: Vec<AssignmentId> = self
            .snapshot
            .assignments
            .values()
            .filter(|assignment| assignment.state != "expired")
            .map(|assignment| assignment.id)
            .collect();
        let Some(id) = self.dice.pick_any(&live) else { return Ok(()) };
        let before = self.snapshot.clone();
        let outcome = self.world.remove(id).await;
        self.outcome("remove", &outcome, &before).await.map(drop)
    }

    /// I10: reprocess^n is reprocess; what is delivered is not touched; nobody is asked again.
    async fn reprocess(&mut self) -> Verdict {
        let mut ids = self.requests_in(&["partiallyDelivered", "deliveryFailed"]);
        if ids.is_empty() || self.dice.below(4) == 0 {
            ids = self.snapshot.requests.keys().copied().collect();
        }
        let Some(id) = self.dice.pick_any(&ids) else { return Ok(()) };
        let before = self.snapshot.clone();
        let now = self.world.now();
        let outcome = self.world.reprocess(id).await;
        let request = before.requests[&id].clone();
        let what = format!("reprocess {}", request.state);
        let done = self.outcome(&what, &outcome, &before).await?;
        let once = Snapshot::take(&self.world.store).await;
        if done {
            self.check_reprocessed(&before, &once, id, now)?;
        }
        let again = self.world.reprocess(id).await;
        let twice = Snapshot::take(&self.world.store).await;
        must!(once == twice, "I10: reprocessing a second time changed something");
        let delivering = once.requests[&id].state == "delivering";
        must!(again.is_ok() == delivering, "I10: {} after {}", world::code(&again), what);
        Ok(())
    }

    fn check_reprocessed(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        id: RequestId,
        now: Timestamp,
    ) -> Verdict {
        let request = &before.requests[&id];
        let state = request.state.as_str();
        must!(
            matches!(state, "partiallyDelivered" | "deliveryFailed" | "delivering"),
            "a request that was {state} was reprocessed"
        );
        must!(before.stages == after.stages, "I10: reprocess asked approvers again");
        if state == "delivering" {
            must!(before == after, "I10: reprocess changed a request that was delivering");
            return Ok(());
        }
        let first = request.first_completed.unwrap();
        must!(
            now.duration_since(first) <= SignedDuration::from_hours(14 * 24),
            "a request first completed at {first} was reprocessed"
        );
        must!(
            !self.oracle.inactive.contains(&request.subject),
            "a request of a disabled person was reprocessed"
        );
        must!(request.end.is_none_or(|end| now < end), "a request was reprocessed after its end");
        // What brings it up to its package's changed roles takes what is not of the package any more.
        let is_behind = request
            .assignment
            .and_then(|id| before.assignments.get(&id))
            .is_some_and(|assignment| self.oracle.is_behind(assignment));
        for (delivery, _) in request.assignment.iter().flat_map(|id| before.edges(*id)) {
            if delivery.part() == Part::Done && !is_behind {
                must!(
                    after.deliveries[&delivery.id] == *delivery,
                    "I10: reprocess touched {}, which was as wanted",
                    delivery.id
                );
            }
        }
        Ok(())
    }

    async fn reprocess_assignment(&mut self) -> Verdict {
        let ids: Vec<AssignmentId> = self.snapshot.assignments.keys().copied().collect();
        let Some(id) = self.dice.pick_any(&ids) else { return Ok(()) };
        let before = self.snapshot.clone();
        let outcome = self.world.app.reprocess_assignment(&self.world.admin(), id).await;
        let what = format!("verify {}", before.assignments[&id].state);
        self.outcome(&what, &outcome, &before).await.map(drop)
    }

    async fn retry(&mut self) -> Verdict {
        let undone: Vec<DeliveryId> = self
            .snapshot
            .deliveries
            .values()
            .filter(|delivery| delivery.phase != "settled")
            .map(|delivery| delivery.id)
            .collect();
        let Some(id) = self.dice.pick_any(&undone) else { return Ok(()) };
        let before = self.snapshot.clone();
        let outcome = self.world.app.retry_delivery(&self.world.admin(), id).await;
        let what = format!("retry {}", before.deliveries[&id].phase);
        self.outcome(&what, &outcome, &before).await.map(drop)
    }

    /// Somebody settles a delivery by hand. Where the target cannot be read they are as good as their
    /// word; where it can, they may be wrong about it, and it has the last word.
    async fn settle_by_hand(&mut self, dice: &mut Dice) -> Verdict {
        let undone: Vec<DeliveryId> = self
            .snapshot
            .deliveries
            .values()
            .filter(|delivery| delivery.phase != "settled")
            .map(|delivery| delivery.id)
            .collect();
        let Some(id) = dice.pick_any(&undone) else { return Ok(()) };
        let before = self.snapshot.deliveries[&id].clone();
        let sim = self.sims[&before.target].clone();
        let how = if dice.below(4) == 0 { Resolution::GiveUp } else { Resolution::DoneOutside };
        if how == Resolution::DoneOutside && (!sim.can_observe() || dice.below(2) == 0) {
            sim.meddle(&before.member(), before.wanted);
            self.drifted.remove(&(before.target, before.subject, before.resource.clone()));
        }
        let (app, admin) = (self.world.app.clone(), self.world.admin());
        let outcome = app.resolve_delivery(&admin, id, how, "seen to by hand").await;
        let code = world::code(&outcome);
        self.note(format!("by hand {} {}: {code}", how.name(), before.phase));
        let state = Snapshot::take(&self.world.store).await;
        let after = &state.deliveries[&id];
        self.oracle.settled_by_hand(&before, after, self.world.now())?;
        match &outcome {
            Ok(_) if before.is_so() => must!(*after == before, "{id} was so and was settled"),
            Ok(_) if how == Resolution::GiveUp => {
                must!(before.wanted, "I4: the removal {id} was given up");
                must!(after.phase == "failed", "{id} was given up and is {}", after.phase);
                self.count("given up by hand");
            }
            Ok(_) => {
                must!(after.is_so(), "{id} is settled by hand and not so");
                self.count("settled by hand");
            }
            Err(Error::Refused(_)) if code == "TargetSaysOtherwise" => {
                must!(!after.is_so(), "the target was said to contradict, and {id} is so");
                self.count("contradicted by the target");
            }
            Err(Error::Refused(_) | Error::Target { .. }) => {
                must!(state == self.snapshot, "settling {id} by hand failed and changed something");
                self.count("settling by hand refused");
            }
            Err(error) => return Err(format!("settling by hand broke: {error:?}")),
        }
        Ok(())
    }

    async fn plan(&mut self) -> Verdict {
        let admin = self.world.admin();
        let app = self.world.app.clone();
        let before = self.snapshot.clone();
        if let Some(job) = self.jobs.last().copied().filter(|_| self.dice.below(3) == 0) {
            let outcome = app.cancel_job(&admin, job).await;
            return self.outcome("stop job", &outcome, &before).await.map(drop);
        }
        let mut selection = Selection::default();
        match self.dice.below(3) {
            0 => {
                let ids = before.requests.keys().copied().filter(|_| self.dice.below(2) == 0);
                selection.ids = Some(ids.collect());
            }
            1 => {
                let text = "state eq 'partiallyDelivered' or state eq 'deliveryFailed'";
                selection.filter = Some(Filter::parse(text).map_err(|error| error.to_string())?);
            }
            _ => {
                let targets: Vec<TargetId> = self.sims.keys().copied().collect();
                selection.target = self.dice.pick_any(&targets);
            }
        }
        let view = app.plan_reprocess(&admin, &selection).await;
        let planned = self.outcome("plan", &view, &before).await?;
        let after = Snapshot::take(&self.world.store).await;
        must!(before == after, "a plan changed something");
        let Ok(view) = view else { return Ok(()) };
        must!(planned, "a plan that is not one");
        let eligible = app
            .plan_items(&admin, view.plan.id, 0, 1_000)
            .await
            .map_err(|error| format!("{error:?}"))?;
        for item in eligible.iter().filter(|item| item.skip.is_none()) {
            let state = before.requests[&item.request].state.as_str();
            must!(
                matches!(state, "partiallyDelivered" | "deliveryFailed"),
                "a plan means to reprocess a request that is {state}"
            );
        }
        if self.dice.below(6) == 0 {
            return Ok(());
        }
        let first = app.run_plan(&admin, view.plan.id, &view.plan.digest).await;
        let again = app.run_plan(&admin, view.plan.id, &view.plan.digest).await;
        match (&first, &again) {
            (Ok(first), Ok(again)) => {
                must!(first.job.id == again.job.id, "I10: a plan was run twice");
                self.jobs.push(first.job.id);
                self.count("job");
            }
            _ => return Err(format!("a fresh plan does not run: {}", world::code(&first))),
        }
        Ok(())
    }

    async fn change_package(&mut self) -> Verdict {
        let package = *self.dice.pick(&self.packages);
        let role = self.dice.pick(&self.roles).clone();
        let key = (role.target, role.origin.clone());
        let before = self.snapshot.clone();
        let admin = self.world.admin();
        let app = self.world.app.clone();
        let done = if self.oracle.present_roles(package).contains(&key) {
            let outcome = app.remove_role_scope(&admin, package, role.role, role.scope).await;
            self.outcome("take-role", &outcome, &before).await?
        } else {
            let choice = RoleChoice {
                role: Some(role.role),
                scope: Some(role.scope),
                ..RoleChoice::default()
            };
            let outcome = app.add_role_scope(&admin, package, &choice, None).await;
            self.outcome("add-role", &outcome, &before).await?
        };
        must!(done, "a package could not be changed");
        let mut roles = self.oracle.present_roles(package).clone();
        if !roles.remove(&key) {
            roles.insert(key);
        }
        self.oracle.roles.get_mut(&package).unwrap().push(roles);
        Ok(())
    }

    async fn change_person(&mut self) -> Verdict {
        let person = self.somebody();
        let enabled = self.oracle.inactive.contains(&person.subject);
        let before = self.snapshot.clone();
        let change = UserChange { account_enabled: Some(enabled), ..UserChange::default() };
        let outcome = self.world.app.change_user(&self.world.admin(), &person.name, change).await;
        let what = format!("{} {}", if enabled { "enable" } else { "disable" }, person.name);
        must!(self.outcome(&what, &outcome, &before).await?, "{what} failed");
        if enabled {
            self.oracle.inactive.remove(&person.subject);
        } else {
            self.oracle.inactive.insert(person.subject);
        }
        Ok(())
    }

    async fn pause(&mut self) -> Verdict {
        let targets: Vec<TargetId> = self.sims.keys().copied().collect();
        let target = *self.dice.pick(&targets);
        let is_paused = !self.paused.contains(&target);
        self.world.pause(target, is_paused).await;
        self.note(format!("a target is {}", if is_paused { "paused" } else { "resumed" }));
        if is_paused {
            self.paused.insert(target);
            // Who holds claims of it may still carry them out: they are committed.
            self.count("pause");
        } else {
            self.paused.remove(&target);
        }
        Ok(())
    }

    // ---- the world outside ---------------------------------------------------------------------

    fn meddle(&mut self) -> Verdict {
        let person = self.somebody();
        let role = self.dice.pick(&self.roles).clone();
        let present = self.dice.below(2) == 0;
        let member = (person.subject, role.origin.clone());
        if self.sims[&role.target].meddle(&member, present) {
            let key = (role.target, person.subject, role.origin.clone());
            if present {
                self.drifted.remove(&key);
            } else {
                self.drifted.insert(key);
            }
            self.count(if present { "added outside" } else { "removed outside" });
        }
        self.note(format!("outside: {} {} {present}", person.name, role.origin));
        Ok(())
    }

    fn trouble(&mut self) -> Verdict {
        let targets: Vec<TargetId> = self.sims.keys().copied().collect();
        let target = *self.dice.pick(&targets);
        let sim = self.sims[&target].clone();
        let role = self.dice.pick(&self.roles).clone();
        match self.dice.below(3) {
            0 => {
                let outage = !sim.is_out();
                sim.set_outage(outage);
                self.note(format!("outage: {outage}"));
            }
            1 => {
                self.sims[&role.target].toggle_refusing(&role.origin);
                self.note(format!("refusing changes: {}", role.origin));
            }
            _ => {
                let person = self.dice.pick(&self.people).clone();
                let poison = Poison::draw(&mut self.dice);
                let member = (person.subject, role.origin.clone());
                self.sims[&role.target].toggle_poison(&member, poison);
                self.note(format!("{poison:?} or not: {} {}", person.name, role.origin));
            }
        }
        Ok(())
    }

    // ---- what people read ----------------------------------------------------------------------

    /// I5: whoever runs the server is told of every removal that is late, unless others were told of
    /// a moment ago.
    async fn hear(&mut self, stuck: &BTreeSet<DeliveryId>) -> Verdict {
        let now = self.world.now();
        let store = self.world.store.clone();
        let rested = async |name: &'static str, seconds: i64| {
            let last = store.read(async |tx| deployment::last_turn(tx, name).await).await.unwrap();
            last.is_none_or(|last| seconds <= now.duration_since(last).as_secs())
        };
        let is_due = rested("turn.alarms", 20).await && rested("turn.stuck", 15 * 60).await;
        let app = self.world.app.clone();
        app.raise_alarms().await.map_err(|error| format!("alarms: {error:?}"))?;
        let topic = Topic::RevocationsStuck;
        let told = store.read(async |tx| alarms::standing(tx, topic, 10_000).await).await.unwrap();
        for id in stuck.iter().filter(|_| is_due) {
            let row = &self.snapshot.deliveries[id];
            if now.duration_since(row.since) < SignedDuration::from_hours(1) {
                continue;
            }
            must!(
                told.iter().any(|alarm| alarm.object == id.0 && alarm.since == row.since),
                "I5: {id} is late since {} and nobody is told",
                row.since
            );
            self.count("late removal told");
        }
        Ok(())
    }

    /// Lists, counts, failures and stuck revocations agree with the rows.
    async fn read(&mut self) -> Verdict {
        let broke = |error: Error| format!("a read broke: {error:?}");
        let admin = self.world.admin();
        let app = self.world.app.clone();
        self.look().await?;
        let now = self.world.now();
        let listed: BTreeSet<DeliveryId> = app
            .stuck_revocations(&admin)
            .await
            .map_err(broke)?
            .iter()
            .map(|stuck| stuck.named.row.id)
            .collect();
        let (by_truth, by_rows) = self.oracle.stuck(&self.snapshot, now);
        must!(by_truth.is_subset(&listed), "I5: due for an hour and not listed: {by_truth:?}");
        let rows: Vec<_> =
            listed.symmetric_difference(&by_rows).map(|id| &self.snapshot.deliveries[id]).collect();
        must!(by_rows == listed, "the stuck list and the rows differ in {rows:?}");
        if !listed.is_empty() {
            self.count("stuck revocation listed");
        }
        self.hear(&listed).await?;
        let failures = app.list_failures(&admin).await.map_err(broke)?;
        let deliveries: i64 = failures.iter().map(|failure| failure.cause.deliveries).sum();
        let undone = self
            .snapshot
            .deliveries
            .values()
            .filter(|row| row.has_cause && row.phase != "settled" && row.part() != Part::Done)
            .count();
        must!(
            deliveries == i64::try_from(undone).unwrap(),
            "the failures count {deliveries} deliveries, the rows {undone}"
        );
        for failure in failures.iter().take(2) {
            let narrowing = Narrowing { cause: Some(failure.cause.id), ..Narrowing::default() };
            let text = "state eq 'partiallyDelivered' or state eq 'deliveryFailed'";
            let ids = self.list(&app, &narrowing, text).await?;
            must!(
                ids.len() == usize::try_from(failure.cause.requests).unwrap(),
                "cause {} says {} requests, its list {}",
                failure.cause.id,
                failure.cause.requests,
                ids.len()
            );
        }
        let state = *self.dice.pick(&["delivering", "delivered", "deliveryFailed", "canceled"]);
        let ids = self.list(&app, &Narrowing::default(), &format!("state eq '{state}'")).await?;
        let rows = self.requests_in(match state {
            "delivering" => &["delivering", "canceling"],
            "delivered" => &["delivered"],
            "canceled" => &["canceled"],
            _ => &["deliveryFailed"],
        });
        must!(ids == rows.into_iter().collect(), "the list of {state} requests is wrong");
        let all: Vec<RequestId> = self.snapshot.requests.keys().copied().collect();
        let Some(id) = self.dice.pick_any(&all) else { return Ok(()) };
        let detail = app.request_detail(&admin, id).await.map_err(broke)?;
        let request = &self.snapshot.requests[&id];
        let settled = matches!(
            request.state.as_str(),
            "delivering" | "canceling" | "partiallyDelivered" | "deliveryFailed"
        );
        let undone = request.assignment.iter().flat_map(|id| self.snapshot.edges(*id));
        let undone = undone.filter(|(row, _)| settled && row.part() != Part::Done).count();
        must!(
            detail.view.undelivered == undone,
            "request {id} shows {} undelivered roles of {undone}",
            detail.view.undelivered
        );
        Ok(())
    }

    /// A list, page by page, against its own count.
    async fn list(
        &self,
        app: &App,
        narrowing: &Narrowing,
        filter: &str,
    ) -> Result<BTreeSet<RequestId>, String> {
        let mut found = BTreeSet::new();
        let mut listing = Listing {
            filter: Some(Filter::parse(filter).map_err(|error| error.to_string())?),
            top: Some(3),
            count: true,
            ..Listing::default()
        };
        loop {
            let whose = Whose::Reach(Reach::Everywhere);
            let page = app
                .list_requests(&self.world.admin(), whose, narrowing, &listing)
                .await
                .map_err(|error| format!("a list broke: {error:?}"))?;
            for item in &page.items {
                must!(found.insert(item.summary.request.id), "a request is on two pages");
            }
            if page.next.is_none() {
                let count = page.count.unwrap_or(-1);
                must!(
                    count == i64::try_from(found.len()).unwrap(),
                    "a list of {} says it has {count}",
                    found.len()
                );
                return Ok(found);
            }
            listing.after = page.next;
        }
    }

    // ---- the end -------------------------------------------------------------------------------

    /// Faults stop; everything must come to rest as it should be, within two days.
    async fn heal(&mut self) -> Verdict {
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
        self.run_for(SignedDuration::from_hours(48)).await?;
        self.at_rest()?;
        // Comparing takes its small share of a target's calls, so it may not be through yet.
        for _ in 0..30 {
            if !self.is_comparing().await {
                break;
            }
            self.run_for(SignedDuration::from_mins(10)).await?;
        }
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
    async fn run_for(&mut self, span: SignedDuration) -> Verdict {
        let until = self.world.now().checked_add(span).unwrap();
        let app = self.world.another_app();
        loop {
            let mut rounds = 0;
            loop {
                let done = self.round(&app).await?;
                if done == 0 {
                    break;
                }
                rounds += 1;
                must!(rounds < 50, "the work of one instant never ends");
            }
            self.look().await?;
            let now = self.world.now();
            if until <= now {
                return Ok(());
            }
            let step = now.checked_add(SignedDuration::from_mins(10)).unwrap();
            let next = self.world.next_event().await.unwrap_or(until);
            self.set_clock(next.max(step).min(until));
        }
    }

    /// What [`App::work_once`] does, under the oracle's eyes.
    async fn round(&mut self, app: &App) -> Result<usize, String> {
        let broke = |error: Error| format!("work broke: {error:?}");
        let mut done = app.sweep_once().await.map_err(broke)?;
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
        Ok(done + app.sweep_drift().await.map_err(broke)?)
    }

    async fn carry_whole(&mut self, n: usize) -> Verdict {
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

    fn at_rest(&self) -> Verdict {
        for row in self.snapshot.deliveries.values() {
            must!(
                matches!(row.phase.as_str(), "settled" | "failed"),
                "P8: two days after everything healed, {} is {} ({row:?}); before it stand {:?}",
                row.id,
                row.phase,
                self.snapshot
                    .deliveries
                    .values()
                    .filter(|other| other.target == row.target && other.ready_at.is_some())
                    .collect::<Vec<_>>()
            );
        }
        let open = Oracle::open_requests(&self.snapshot);
        must!(open.is_empty(), "I2: requests are still on their way: {open:?}");
        must!(self.snapshot.running_jobs == 0, "a job still runs");
        Ok(())
    }

    /// Somebody reprocesses whatever can be; the assignments that nothing can be done for come back.
    async fn repair(&mut self) -> Result<BTreeSet<AssignmentId>, String> {
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

    /// Whether a target is being compared.
    async fn is_comparing(&self) -> bool {
        let running = "select count(*) from drift_sweeps where is_running";
        let count: i64 = self
            .world
            .store
            .read(async |tx| tx.query_one(running, params![]).await?.get(0))
            .await
            .unwrap();
        0 < count
    }

    /// Everything was compared since all healed: what was taken away outside is found and given again,
    /// as far as a target can be read, and nothing that is told as there is not.
    async fn check_drift(&mut self) -> Verdict {
        let sims = &self.sims;
        self.drifted.retain(|(target, ..)| !sims[target].can_observe());
        let found: Vec<(String, String, TargetId, Option<SubjectId>, String)> = self
            .world
            .store
            .read(async |tx| {
                let rows = tx
                    .query(
                        "select kind, state, target_id, subject_id, resource_origin_id
                         from drift_findings",
                        params![],
                    )
                    .await?;
                rows.iter()
                    .map(|row| {
                        let (kind, state) = (row.get(0)?, row.get(1)?);
                        Ok((kind, state, row.get(2)?, row.get(3)?, row.get(4)?))
                    })
                    .collect::<accede_store::Result<_>>()
            })
            .await
            .unwrap();
        for row in self.snapshot.deliveries.values() {
            let sim = &self.sims[&row.target];
            let is_there = sim.truth(&row.member()).is_some();
            must!(
                !sim.can_observe()
                    || row.phase != "settled"
                    || !matches!(row.observed.as_str(), "present" | "absent")
                    || is_there == (row.observed == "present"),
                "I8: {:?} is believed to be {} for days, and is not",
                row.member(),
                row.observed
            );
        }
        let mut told = BTreeSet::new();
        for (kind, state, target, subject, resource) in found {
            self.count(&format!("drift {kind} {state}"));
            let member = (subject.unwrap(), resource);
            if kind == "extra" && state == "open" {
                must!(
                    self.sims[&target].truth(&member).is_some(),
                    "{member:?} is told to have what they have not"
                );
                told.insert((target, member.clone()));
            }
            must!(kind != "missing" || state != "open", "{member:?} was not given it again");
        }
        for role in &self.roles {
            let given = self.oracle.in_some_package(role.target, &role.origin);
            for person in self.people.iter().filter(|_| self.sims[&role.target].can_observe()) {
                let member = (person.subject, role.origin.clone());
                let row = self.snapshot.deliveries.values().find(|row| {
                    // What waits to be given is nothing extra when somebody gave it there.
                    let is_ours = row.wanted || row.observed != "never";
                    row.target == role.target && row.member() == member && is_ours
                });
                let is_there = self.sims[&role.target].truth(&member).is_some();
                must!(
                    row.is_some()
                        || !is_there
                        || !given
                        || told.contains(&(role.target, member.clone())),
                    "{member:?} have what nothing gives them, and it is not told"
                );
            }
        }
        Ok(())
    }

    /// I1, I18: a timeline is a path, and every step of it stands in the audit log once.
    async fn check_timelines(&mut self) -> Verdict {
        let lines: Vec<(RequestId, String)> = self
            .world
            .store
            .read(async |tx| {
                let rows = tx
                    .query(
                        "select request_id, kind from history order by request_id, at_ms, id",
                        params![],
                    )
                    .await?;
                rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
            })
            .await
            .map_err(|error: accede_store::Error| error.to_string())?;
        let audits: Vec<(String, i64)> = self
            .world
            .store
            .read(async |tx| {
                let rows = tx
                    .query(
                        "select object_id, count(*) from audit
                         where object_type = 'accessPackageAssignmentRequest'
                             and action not in ('request submitted', 'resolved')
                         group by object_id",
                        params![],
                    )
                    .await?;
                rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
            })
            .await
            .map_err(|error: accede_store::Error| error.to_string())?;
        let audits: BTreeMap<String, i64> = audits.into_iter().collect();
        for id in self.snapshot.requests.keys() {
            // What moved it, and whether somebody settled a role of it by hand before that.
            let mut kinds: Vec<(&str, bool)> = Vec::new();
            let mut by_hand = false;
            for (_, kind) in lines.iter().filter(|(request, _)| request == id) {
                match kind.as_str() {
                    "approversAsked" | "stageApproved" => {}
                    "resolved" | "contradicted" => by_hand = true,
                    kind => kinds.push((kind, std::mem::take(&mut by_hand))),
                }
            }
            must!(kinds.first() == Some(&("submitted", false)), "{id} began with {kinds:?}");
            for pair in kinds.windows(2) {
                let ((before, _), (after, by_hand)) = (pair[0], pair[1]);
                let rested = ["partiallyDelivered", "deliveryFailed"].contains(&before);
                let settles =
                    ["delivered", "partiallyDelivered", "deliveryFailed"].contains(&after);
                must!(
                    follows(before, after) || (by_hand && rested && settles),
                    "I1: {after} after {before} in {kinds:?}"
                );
            }
            let audited = audits.get(&id.to_string()).copied().unwrap_or(0);
            must!(
                usize::try_from(audited).unwrap() == kinds.len() - 1,
                "I18: {audited} audit records for {kinds:?}"
            );
        }
        Ok(())
    }

    async fn check_jobs(&mut self) -> Verdict {
        for id in self.jobs.clone() {
            let view = self
                .world
                .app
                .get_job(&self.world.admin(), id)
                .await
                .map_err(|error| format!("{error:?}"))?;
            let p = view.progress;
            must!(
                p.pending == 0 && p.accepted + p.refused + p.canceled == p.total,
                "job {id} is over with {p:?}"
            );
            must!(view.is_over(), "job {id} does not end");
        }
        Ok(())
    }
}

/// Whether a line of a timeline may follow another one.
fn follows(before: &str, after: &str) -> bool {
    let next: &[&str] = match before {
        "submitted" => &["approvalStarted", "scheduled", "deliveryStarted"],
        "approvalStarted" => &["scheduled", "deliveryStarted", "denied", "expired", "canceled"],
        "scheduled" => &["deliveryStarted", "canceled"],
        "deliveryStarted" => {
            &["blocked", "delivered", "partiallyDelivered", "deliveryFailed", "overtaken"]
        }
        "reprocessed" => {
            &["blocked", "delivered", "partiallyDelivered", "deliveryFailed", "overtaken"]
        }
        "blocked" | "partiallyDelivered" | "deliveryFailed" => {
            &["reprocessed", "cancelStarted", "canceled"]
        }
        "cancelStarted" | "overtaken" => &["canceled"],
        _ => &[],
    };
    next.contains(&after)
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
