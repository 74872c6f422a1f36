//! A clock that ran ahead and is set back: what it put off is taken up.

use accede_domain::circuit::State;

use accede_domain::{SignedDuration, Timestamp};
use accede_store::deployment;
use std::time::Duration;

use crate::world::Trouble;
use crate::world::{World, days, hours, minutes};

/// By how much the clock runs ahead.
fn far() -> SignedDuration {
    days(400)
}

/// So much time passes by every clock, a second at a time for the worker's sweep.
async fn pass(world: &World, span: SignedDuration) {
    tokio::time::advance(span.unsigned_abs()).await;
    world.sleep(span);
}

/// The clock steps, and the worker sees it.
fn step(world: &World, to: Timestamp) {
    world.app.look_at_clock();
    world.clock.set(to);
    world.app.look_at_clock();
    assert!(world.app.clock_is_suspect());
}

/// The clock runs ahead for long enough that nobody suspects it any more.
async fn run_ahead(world: &World) {
    step(world, world.now().checked_add(far()).unwrap());
    pass(world, minutes(11)).await;
    assert!(!world.app.clock_is_suspect());
}

/// Somebody sets it right; a sweep sees what is held.
async fn set_back(world: &World) {
    step(world, world.now().checked_sub(far()).unwrap());
    world.app.sweep_once().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_that_ran_ahead_put_off_is_taken_up_when_it_was_set_back() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    let request = world.submit(&uma, package).await;
    world.work().await;
    run_ahead(&world).await;
    hr.trouble("staff", Trouble::transient("http-500"));
    world.remove(world.assignment(request).await.id).await.unwrap();
    let late = world.submit(&max, package).await;
    world.work().await;
    hr.heal();
    hr.calls();
    set_back(&world).await;
    let put_off = world.delivery(&uma, &staff).await;
    assert!(world.now() + hours(24) < put_off.delivery.ready_at().unwrap());

    world.work().await;
    pass(&world, minutes(9)).await;
    world.work().await;
    assert_eq!(hr.calls(), Vec::<String>::new(), "a clock that is suspect moves nothing");
    pass(&world, minutes(2)).await;
    world.work().await;
    pass(&world, minutes(1)).await;
    world.work().await;

    assert!(!hr.has(&uma, "staff"), "the removal is not a year late");
    assert!(hr.has(&max, "staff"));
    assert_eq!(world.state(late).await, "delivered");
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_up_keeps_the_pace_of_the_ladder_and_of_the_circuit() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let erp = world.target("erp").await;
    let (staff, buyer) = (world.role(hr.id(), "staff").await, world.role(erp.id(), "buyer").await);
    let package = world.package("Both", &[&staff, &buyer]).await;
    let uma = world.person("uma").await;
    hr.trouble("staff", Trouble::transient("http-500"));
    erp.trouble("*", Trouble::target("http-401"));
    run_ahead(&world).await;
    world.submit(&uma, package).await;
    world.work().await;
    for _ in 0..20 {
        pass(&world, minutes(10)).await;
        world.work().await;
    }
    let before = world.delivery(&uma, &staff).await.delivery;
    hr.calls();
    set_back(&world).await;
    pass(&world, minutes(11)).await;
    world.work().await;

    let after = world.delivery(&uma, &staff).await.delivery;
    assert_eq!((after.misses, after.attempts), (before.misses, before.attempts));
    assert_eq!(hr.calls(), Vec::<String>::new(), "its wait counts from now");
    assert!(after.ready_at().unwrap() <= world.now() + hours(1));
    let State::Open { since, check_at, .. } = world.circuit(erp.id()).await.circuit.state else {
        panic!("the target still does not let us in");
    };
    assert!(since <= world.now() && check_at <= world.now() + hours(1));
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_worker_that_died_while_the_clock_ran_ahead_is_over() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    run_ahead(&world).await;
    world.submit(&uma, package).await;
    let claimed = world.app.claim(hr.id(), &*hr, 1).await.unwrap();
    set_back(&world).await;
    pass(&world, minutes(11)).await;
    world.work().await;
    assert!(hr.has(&uma, "staff"));
    hr.calls();

    // Whoever held it was only late, and finds that its time is over by another clock.
    let answers = world.app.carry(&*hr, &claimed[0]).await;

    assert_eq!(hr.calls(), Vec::<String>::new());
    assert!(format!("{answers:?}").contains("too late"), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_took_meanwhile_is_left_to_them() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let lags = world.another_app();
    let right = world.now();
    lags.look_at_clock();
    // This one's clock is two hours behind that of the server that works.
    world.clock.set(right.checked_sub(hours(2)).unwrap());
    lags.look_at_clock();
    lags.sweep_once().await.unwrap();
    tokio::time::advance(Duration::from_secs(660)).await;
    world.clock.set(right);
    world.submit(&uma, package).await;
    let claimed = world.app.claim(hr.id(), &*hr, 1).await.unwrap();
    world.clock.set(right.checked_sub(hours(2)).unwrap());

    lags.sweep_once().await.unwrap();

    let row = world.delivery(&uma, &staff).await;
    assert_eq!(row.delivery.phase, claimed[0][0].row.delivery.phase);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_moved_while_another_server_goes_on_to_say_that_it_is_later() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let dir = tempfile::tempdir().unwrap();
    world.app.take_up(dir.path()).await.unwrap();
    hr.trouble("staff", Trouble::transient("http-500"));
    world.submit(&uma, package).await;
    world.work().await;
    let right = world.now();
    let before = world.delivery(&uma, &staff).await;
    let lags = world.another_app();
    lags.look_at_clock();
    let behind = right.checked_sub(hours(2)).unwrap();
    world.clock.set(behind);
    lags.look_at_clock();
    lags.sweep_once().await.unwrap();
    tokio::time::advance(Duration::from_secs(660)).await;
    world.clock.set(right.checked_add(minutes(11)).unwrap());
    world.app.advance().await.unwrap();
    world.clock.set(behind.checked_add(minutes(11)).unwrap());

    lags.sweep_once().await.unwrap();
    assert_eq!(world.delivery(&uma, &staff).await, before);

    // It fell silent: its clock is the one that was wrong.
    lags.sweep_once().await.unwrap();
    tokio::time::advance(Duration::from_secs(181)).await;
    lags.sweep_once().await.unwrap();
    assert_ne!(world.delivery(&uma, &staff).await, before);
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_done_by_the_process_that_comes_next() {
    let mut world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    world.app.take_up(dir.path()).await.unwrap();
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    run_ahead(&world).await;
    hr.trouble("staff", Trouble::transient("http-500"));
    world.submit(&uma, package).await;
    world.work().await;
    world.app.advance().await.unwrap();
    hr.heal();
    set_back(&world).await;
    world.restart();
    world.app.take_up(dir.path()).await.unwrap();
    assert!(world.app.clock_is_suspect(), "it stands behind the latest time that was seen");

    for _ in 0..4 {
        world.work().await;
        pass(&world, minutes(11)).await;
    }
    world.work().await;

    assert!(hr.has(&uma, "staff"));
    let owed = async |name| world.store.read(async |tx| deployment::get(tx, name).await).await;
    assert_eq!(owed("clock_suspected").await.unwrap(), None);
    world.restart();
    world.app.take_up(dir.path()).await.unwrap();
    assert!(!world.app.clock_is_suspect(), "nothing says any more that it is later");
}
