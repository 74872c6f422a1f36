//! A serving process: its lanes claim beside each other, and it hears a stop whatever it does.

use accede_connectors::{
    Connector, Done, FoundResource, Health, Item, Person, Presence, Role, Wanted,
};
use accede_domain::fault::Fault;
use accede_domain::id::{DeliveryId, TargetId};
use accede_store::{Tx, params, testing};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

use crate::world::{World, at, from, minutes};

/// A target that answers nobody until it is opened, and counts who waits there.
struct Gate {
    open: watch::Receiver<bool>,
    waiting: AtomicUsize,
    /// Most that ever waited at once.
    most: AtomicUsize,
    calls: Mutex<Vec<DeliveryId>>,
}

impl Gate {
    fn new(open: &watch::Sender<bool>) -> Arc<Gate> {
        let (waiting, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Gate { open: open.subscribe(), waiting, most, calls: Mutex::default() })
    }

    fn calls(&self) -> Vec<DeliveryId> {
        self.calls.lock().unwrap().clone()
    }
}

#[async_trait]
impl Connector for Gate {
    fn batch_size(&self) -> usize {
        1
    }

    fn can_observe(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<Health, Fault> {
        Ok(Health { summary: String::new(), took: Duration::ZERO })
    }

    async fn discover(&self, _: Option<&str>, _: usize) -> Result<Vec<FoundResource>, Fault> {
        Ok(Vec::new())
    }

    async fn find(&self, _: &str) -> Result<Option<FoundResource>, Fault> {
        Ok(None)
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        assert!(batch.iter().all(|item| item.wanted == Wanted::Granted));
        self.calls.lock().unwrap().extend(batch.iter().map(|item| item.order.delivery));
        let waiting = 1 + self.waiting.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(waiting, Ordering::SeqCst);
        self.open.clone().wait_for(|open| *open).await.unwrap();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        batch.iter().map(|_| Ok(Done::Applied)).collect()
    }

    async fn observe(&self, _: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        Vec::new()
    }
}

/// Until it is so, or a serving process had time enough for it.
async fn until_is(is_so: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A process serves until `work` is done.
async fn serve(world: &World, work: impl Future<Output = ()>) {
    let (stop, told) = oneshot::channel::<()>();
    let serving = world.app.clone().run_worker(async {
        told.await.unwrap();
    });
    let working = async {
        work.await;
        stop.send(()).unwrap();
    };
    tokio::join!(serving, working);
}

async fn count(world: &World, sql: &'static str) -> i64 {
    let read = world.store.read(async |tx| tx.query_one(sql, &[]).await?.get(0));
    read.await.unwrap_or_else(|error: accede_store::Error| panic!("{error}"))
}

async fn set_concurrency(world: &World, target: TargetId, most: i64) {
    let sql = "update targets set concurrency = $2 where id = $1";
    let set = async |tx: &mut Tx<'_>| tx.execute(sql, params![target, most]).await;
    world.store.write(async |tx| set(tx).await).await.unwrap();
}

#[tokio::test]
async fn lanes_that_claim_beside_each_other_keep_to_their_targets_and_give_everything_once() {
    let sqlite = World::over(testing::sqlite().await, 1).await;
    let postgres = World::over(testing::postgres().await, 2).await;
    for (engine, world) in [("sqlite", sqlite), ("postgres", postgres)] {
        let open = watch::Sender::new(false);
        let gates = ["hr", "erp", "wiki"].map(|name| (name, Gate::new(&open)));
        let mut packages = Vec::new();
        for (name, gate) in &gates {
            let target = world.target_with(name, gate.clone()).await;
            set_concurrency(&world, target, 2).await;
            let role = world.role(target, name).await;
            packages.push(world.package(name, &[&role]).await);
        }
        for n in 0..5 {
            let person = world.person(&format!("p{n}")).await;
            for package in &packages {
                world.submit(&person, *package).await;
            }
        }
        let late = world.person("late").await;
        let undone = "select count(*) from deliveries where phase <> 'settled'";
        let a_while = async {
            let waiting = || gates.iter().map(|(_, gate)| gate.calls().len()).sum::<usize>();
            until_is(async || 6 <= waiting()).await;
            // It looks for work once more, and twice, while all of it waits.
            world.submit(&late, packages[0]).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            assert_eq!(waiting(), 6, "{engine}: two at each target");
            open.send_replace(true);
            until_is(async || count(&world, undone).await == 0).await;
        };

        serve(&world, a_while).await;

        assert_eq!(count(&world, undone).await, 0, "{engine}");
        let mut all = Vec::new();
        for (name, gate) in &gates {
            assert_eq!(gate.most.load(Ordering::SeqCst), 2, "{engine} {name}");
            all.extend(gate.calls());
        }
        let once: BTreeSet<DeliveryId> = all.iter().copied().collect();
        assert_eq!((all.len(), once.len()), (16, 16), "{engine}: each once");
    }
}

#[tokio::test]
async fn a_claim_that_fails_takes_nothing_from_the_other_targets() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let (first, other) =
        (world.package("Staff", &[&staff]).await, world.package("Ledger", &[&ledger]).await);
    let uma = world.person("uma").await;
    world.submit(&uma, first).await;
    world.another_app().claim(hr.id(), &*hr, 1).await.unwrap();
    world.sleep(minutes(2));
    let broken = world.delivery(&uma, &staff).await.id;
    let set = async |tx: &mut Tx<'_>, before: &str| {
        let sql = "update deliveries set observed_before = $2 where id = $1";
        tx.execute(sql, params![broken, before]).await
    };
    world.store.write(async |tx| set(tx, "nonsense").await).await.unwrap();
    let request = world.submit(&uma, other).await;
    assert!(world.app.claim(hr.id(), &*hr, 1).await.is_err());
    let is_delivered = async || world.state(request).await == "delivered";

    serve(&world, until_is(is_delivered)).await;

    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(erp.calls().iter().filter(|call| call.starts_with("grant")).count(), 1);
    world.store.write(async |tx| set(tx, "never").await).await.unwrap();
    world.pass(minutes(10)).await;
    assert!(hr.has(&uma, "staff") && erp.has(&uma, "ledger"));
}

#[tokio::test]
async fn a_stop_is_heard_during_the_first_sweep() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let begins = at("2026-03-04T17:00:00Z");
    // A sweep takes 200 at once, and looks up before it takes more.
    for n in 0..450 {
        let person = world.person(&format!("p{n}")).await;
        world.try_submit_for(&person, package, from(begins)).await.unwrap();
    }
    world.clock.set(begins);

    world.app.clone().run_worker(async {}).await;

    let scheduled = "select count(*) from requests where state = 'scheduled'";
    let left = count(&world, scheduled).await;
    assert!(0 < left, "it went on to the end");
    assert_eq!(hr.calls(), Vec::<String>::new(), "nothing is given before the first sweep is over");
    world.pass(minutes(1)).await;
    assert_eq!(count(&world, scheduled).await, 0);
}
