//! Deliveries that break down whoever works on them cost the others nothing.

use accede_connectors::Connector;
use accede_domain::delivery::Phase;
use accede_store::{Tx, params};

use crate::world::{Fake, Somebody, Trouble, World, hours, minutes};

/// A worker claims what is ready and dies.
async fn die(world: &World, fake: &Fake) {
    let app = world.another_app();
    app.sweep_once().await.unwrap();
    app.claim(fake.id(), fake, 1).await.unwrap();
    world.sleep(minutes(2));
}

#[tokio::test]
async fn what_cannot_be_set_apart_hides_nothing_behind_it() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    for person in [&uma, &max] {
        world.submit(person, package).await;
    }
    for _ in 0..3 {
        world.another_app().claim(hr.id(), &*hr, 2).await.unwrap();
        world.sleep(minutes(2));
    }
    let first = world.delivery(&uma, &staff).await.id;
    let set = async |tx: &mut Tx<'_>, before: &str| {
        let sql = "update deliveries set observed_before = $2 where id = $1";
        tx.execute(sql, params![first, before]).await
    };
    world.store.write(async |tx| set(tx, "nonsense").await).await.unwrap();

    let swept = world.another_app().sweep_once().await;

    assert!(swept.is_err(), "it is told");
    assert!(world.delivery(&max, &staff).await.delivery.poison.is_alone());
    world.store.write(async |tx| set(tx, "never").await).await.unwrap();
    world.pass(minutes(10)).await;
    assert!(hr.has(&uma, "staff") && hr.has(&max, "staff"));
}

#[tokio::test]
async fn a_grant_that_kills_its_worker_five_times_rests_and_says_why_until_it_is_reprocessed() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;

    for _ in 0..3 {
        die(&world, &hr).await;
    }
    world.another_app().sweep_once().await.unwrap();
    let alone = world.delivery(&uma, &staff).await;
    for _ in 0..2 {
        die(&world, &hr).await;
    }
    world.work().await;

    assert!(alone.delivery.poison.is_alone() && !alone.delivery.poison.is_at_rest());
    assert!(alone.fault.unwrap().message.contains("tried alone now"));
    assert_eq!(world.state(request).await, "deliveryFailed");
    assert_eq!(hr.calls(), Vec::<String>::new());
    assert_eq!(
        world.detail(request).await.view.causes,
        ["the server broke down 5 times in a row while it worked on this; it is not tried again \
          until somebody asks for it"]
    );

    world.pass(hours(30)).await;
    assert_eq!(hr.calls(), Vec::<String>::new(), "nothing tries it by itself");
    world.reprocess(request).await.unwrap();
    world.pass(minutes(1)).await;
    assert_eq!(world.state(request).await, "delivered");
    assert!(hr.has(&uma, "staff"));
}

#[tokio::test(start_paused = true)]
async fn what_breaks_workers_down_rests_by_a_clock_that_is_suspect_too() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    let app = world.another_app();
    app.look_at_clock();
    world.sleep(hours(3));
    app.look_at_clock();
    assert!(app.clock_is_suspect());

    for _ in 0..5 {
        app.sweep_once().await.unwrap();
        assert_eq!(app.claim(hr.id(), &*hr, 1).await.unwrap().len(), 1);
        world.sleep(minutes(2));
    }
    app.sweep_once().await.unwrap();

    assert_eq!(app.claim(hr.id(), &*hr, 1).await.unwrap().len(), 0);
    assert_eq!(world.state(request).await, "deliveryFailed");
}

#[tokio::test]
async fn a_revocation_that_breaks_the_connector_down_is_stuck_probed_and_never_dropped() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.trouble("staff", Trouble::Break);
    world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(hours(2)).await;

    let row = world.delivery(&uma, &staff).await;
    let stuck = world.app.stuck_revocations(&world.admin()).await.unwrap();
    let audit = world.audits("delivery laid down").await;

    assert!(matches!(row.delivery.phase, Phase::Stuck { .. }), "{row:?}");
    assert_eq!(row.fault.unwrap().code, "poison");
    assert_eq!(stuck.len(), 1);
    assert!(0 < audit);
    hr.calls();
    world.pass(hours(3)).await;
    assert_eq!(hr.calls(), Vec::<String>::new(), "one try in six hours");
    hr.heal();
    world.pass(hours(3)).await;
    assert!(!hr.has(&uma, "staff"));
}

async fn many(world: &World, names: &[&str]) -> Vec<Somebody> {
    let mut people = Vec::new();
    for name in names {
        people.push(world.person(name).await);
    }
    people
}

#[tokio::test]
async fn what_is_tried_alone_is_one_call_wide_and_lets_the_others_go_between() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (bad, good) = (world.role(hr.id(), "bad").await, world.role(hr.id(), "good").await);
    let (odd, even) = (world.package("Odd", &[&bad]).await, world.package("Even", &[&good]).await);
    let people = many(&world, &["ann", "bob", "cem"]).await;
    for person in &people {
        world.submit(person, odd).await;
    }
    for _ in 0..3 {
        // All three are in the same call.
        let app = world.another_app();
        app.sweep_once().await.unwrap();
        app.claim(hr.id(), &*hr, 64).await.unwrap();
        world.sleep(minutes(2));
    }
    world.another_app().sweep_once().await.unwrap();
    for person in &people {
        world.submit(person, even).await;
    }

    let app = world.another_app();
    let claim = async |limit: usize| {
        let batches = app.claim(hr.id(), &*hr, limit).await.unwrap();
        batches
            .iter()
            .map(|batch| (batch.len(), batch[0].row.key.resource.clone()))
            .collect::<Vec<_>>()
    };
    let size = hr.batch_size();
    let first = claim(size).await;
    let second = claim(size).await;
    let third = claim(size).await;

    assert_eq!(first, [(1, "bad".to_owned())], "one of them, in a call of its own");
    assert_eq!(second, [(3, "good".to_owned())], "then the others");
    assert_eq!(third, [], "and no second one while the first is in flight");
    world.sleep(minutes(2));
    world.work().await;
    assert!(people.iter().all(|person| hr.has(person, "bad") && hr.has(person, "good")));
}

#[tokio::test]
async fn what_fails_five_times_while_others_are_served_is_tried_alone() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (bad, good) = (world.role(hr.id(), "bad").await, world.role(hr.id(), "good").await);
    let (odd, even) = (world.package("Odd", &[&bad]).await, world.package("Even", &[&good]).await);
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    hr.trouble("bad", Trouble::transient("http-500"));
    world.submit(&uma, odd).await;
    world.pass(hours(1)).await;
    let nobody_served = world.delivery(&uma, &bad).await.delivery;
    let zoe = world.person("zoe").await;
    world.submit(&max, even).await;
    world.submit(&zoe, odd).await;
    world.pass(minutes(9)).await;

    let row = world.delivery(&zoe, &bad).await.delivery;
    hr.heal();
    world.pass(hours(2)).await;

    assert_eq!(nobody_served.poison.strikes, 0, "nothing says that it is its own fault");
    assert!(row.poison.is_alone() && row.poison.crashes == 0, "{row:?}");
    assert!(hr.has(&uma, "bad") && hr.has(&zoe, "bad"));
    assert!(!world.delivery(&zoe, &bad).await.delivery.poison.is_alone());
}
