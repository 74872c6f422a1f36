//! One seed, one history: an organization, its people, its targets, up to three workers that may die at
//! any step, and the clock.

mod clock;
mod drift;
mod guards;
mod heal;
mod lists;
mod mishaps;
mod outside;
mod people;
mod rest;
mod workers;

use accede_app::worker::{Batch, Claimed};
use accede_app::{App, Settings};
use accede_domain::delivery::Answer;
use accede_domain::id::{JobId, PackageId, SubjectId, TargetId};
use accede_store::Store;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::clock::Clocks;
use crate::dice::Dice;
use crate::oracle::{Oracle, Verdict};
use crate::snapshot::Snapshot;
use crate::target::{Poison, Rates, Sim};
use crate::world::{Given, Somebody, World};

/// A process, or a lane of one, at work.
struct Worker {
    app: App,
    target: Option<TargetId>,
    claimed: VecDeque<Batch>,
    answered: VecDeque<(Claimed, Answer, usize)>,
}

/// Chance of its own for each family of faults that came later; `None` in histories without it, which
/// are what they were before there was such a family.
#[derive(Default)]
struct Families {
    /// What befalls the transactions of the store.
    store: Option<Dice>,
    /// What targets say when they are read, and when they are compared.
    readings: Option<Dice>,
    /// What waits for a second person.
    guards: Option<Dice>,
    /// What the machine's clock does.
    clock: Option<Dice>,
    /// Who edits policies.
    policies: Option<Dice>,
    /// Whether the machine's clock runs ahead, where it does anything.
    ahead: Option<Dice>,
}

impl Families {
    fn draw(seed: u64) -> Families {
        let mut which = Dice::new(seed.rotate_left(41));
        let mut next = |turn| (which.below(3) == 0).then(|| Dice::new(seed.rotate_left(turn)));
        Families {
            store: next(47),
            readings: next(53),
            guards: next(59),
            clock: next(61),
            policies: next(37),
            ahead: next(31),
        }
    }
}

/// Which history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    pub number: u64,
    /// Without the families of faults that came later: what was pinned before there were any.
    pub plain: bool,
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
    families: Families,
    /// After how many other transactions the mishap comes that waits for one.
    mishap_after: usize,
    /// One process alone with its data directory, which takes leases over when it starts.
    alone: bool,
    paused: BTreeSet<TargetId>,
    /// Memberships that somebody else took away since we last looked.
    drifted: BTreeSet<(TargetId, SubjectId, String)>,
    jobs: Vec<JobId>,
    /// People whom an import disables, perhaps when a second person lets it.
    leavers: Vec<Somebody>,
    clocks: Clocks,
    trace: Vec<String>,
    hash: u64,
    steps: u64,
    counters: BTreeMap<String, u64>,
}

impl History {
    /// Runs a history.
    pub async fn run(seed: Seed) -> Result<Report, Failure> {
        // Boxed here and below: the stack of a test is small.
        let mut history = Box::pin(History::new(seed)).await;
        let outcome = Box::pin(history.live()).await;
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

    async fn new(seed: Seed) -> History {
        let mut families =
            if seed.plain { Families::default() } else { Families::draw(seed.number) };
        let seed = seed.number;
        let mut dice = Dice::new(seed);
        let (settings, most) = match &mut families.guards {
            Some(dice) => guards::settings(dice),
            None => (Settings::default(), None),
        };
        let world = World::with(Store::open_in_memory().unwrap(), seed, settings).await;
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
            if let Some(dice) = families.readings.as_mut().filter(|_| sees) {
                rates = rates.with_readings(dice);
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
        oracle.guard.most = most;
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
            let terms = people::terms(&approver, dice.below(4));
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
            families,
            mishap_after: 0,
            alone,
            paused: BTreeSet::new(),
            drifted: BTreeSet::new(),
            jobs: Vec::new(),
            leavers: Vec::new(),
            clocks: Clocks::default(),
            trace: Vec::new(),
            hash: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            counters: BTreeMap::new(),
        };
        history.begin_clock().await;
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
            self.arm_mishap();
            let checks = Box::pin(self.step()).await?;
            self.end_mishap()?;
            if checks {
                self.look().await?;
            }
            if self.dice.below(16) == 0 {
                self.read().await?;
            }
            if let Some(mut dice) = self.families.readings.take() {
                if dice.below(8) == 0 {
                    Box::pin(self.compare(&mut dice)).await?;
                    self.look().await?;
                }
                self.families.readings = Some(dice);
            }
            if let Some(mut dice) = self.families.policies.take() {
                if dice.below(6) == 0 {
                    self.edit_policy(&mut dice).await;
                }
                self.families.policies = Some(dice);
            }
            if let Some(mut dice) = self.families.clock.take() {
                Box::pin(self.tell_time(&mut dice)).await?;
                self.families.clock = Some(dice);
            }
            if let Some(mut dice) = self.families.guards.take() {
                Box::pin(self.be_second(&mut dice)).await?;
                self.families.guards = Some(dice);
            }
            if let Some(mut dice) = self.by_hand.take() {
                if dice.below(12) == 0 {
                    self.arm_mishap();
                    Box::pin(self.settle_by_hand(&mut dice)).await?;
                    self.end_mishap()?;
                    self.look().await?;
                }
                self.by_hand = Some(dice);
            }
        }
        Box::pin(self.heal()).await
    }

    /// Reads everything and checks it.
    async fn look(&mut self) -> Verdict {
        self.snapshot = Snapshot::take(&self.world.store).await;
        self.see_leavers().await;
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
            50..60 => self.pass_time().await.map(|()| false),
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
}
