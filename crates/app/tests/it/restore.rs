//! A database that is older than the truth: it starts paused, is compared, and gives nothing again
//! that may have been revoked since.

use std::path::Path;

use accede_app::comparison::{Difference, Kind};
use accede_app::deployment::{Choice, PauseReason, WhatIsGiven};
use accede_app::instance;
use accede_domain::deployment::{Home, Mark};
use accede_store::testing;
use accede_store::{Tx, deployment, params};

use crate::world::{Somebody, Trouble, World, at, code, days, minutes, until};

async fn worlds() -> Vec<(&'static str, World)> {
    let sqlite = World::over(testing::sqlite().await, 1).await;
    let postgres = World::over(testing::postgres().await, 2).await;
    vec![("sqlite", sqlite), ("postgres", postgres)]
}

/// Serves the database again from a directory that has seen a later epoch of it: what is in the
/// database now is a backup.
async fn restore(world: &World, data: &Path) {
    let seen = instance::read(data).unwrap().unwrap();
    instance::write(data, Mark { epoch: seen.epoch + 5, ..seen }).unwrap();
    world.app.take_up(data).await.unwrap();
}

async fn differences(world: &World, kind: Kind) -> Vec<Difference> {
    world.app.list_differences(&world.admin(), kind, None, 100).await.unwrap().items
}

async fn names(world: &World, kind: Kind) -> Vec<String> {
    let listed = differences(world, kind).await;
    let mut names: Vec<String> = listed
        .into_iter()
        .map(|one| one.person.unwrap().user_principal_name)
        .map(|name| name.split('@').next().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

async fn resume(world: &World, regrant: WhatIsGiven) {
    let admin = world.admin();
    world.app.compare_deployment(&admin).await.unwrap();
    world.work().await;
    world.app.confirm_deployment(&admin, Choice::Resume { regrant }).await.unwrap();
    world.work().await;
}

#[tokio::test]
async fn what_was_revoked_after_the_backup_is_held_and_what_was_given_is_left() {
    for (engine, world) in worlds().await {
        let dir = tempfile::tempdir().unwrap();
        let hr = world.target("hr").await;
        let staff = world.role(hr.id(), "staff").await;
        let package = world.package("Staff", &[&staff]).await;
        let mut people: Vec<Somebody> = Vec::new();
        for name in ["ann", "ben", "eve", "zoe"] {
            people.push(world.person(name).await);
        }
        let [ann, ben, eve, zoe] = &people[..] else { panic!("four were made") };
        world.app.take_up(dir.path()).await.unwrap();
        assert_eq!(world.app.paused(), None, "{engine}: a new one is not in doubt");
        let of_ann = world.submit(ann, package).await;
        world.submit(ben, package).await;
        let of_eve = world.submit(eve, package).await;
        world.pass(minutes(5)).await;
        let held = world.assignment(of_eve).await.id;
        world.remove(held).await.unwrap();
        world.pass(days(1)).await;
        // The backup is of now: zoe's grant waits. Later ann's was revoked and eve's given.
        let of_zoe = world.submit(zoe, package).await;
        hr.put(ann, "staff", false);
        hr.put(eve, "staff", true);
        hr.calls();

        restore(&world, dir.path()).await;
        assert_eq!(world.app.paused().unwrap().reason, PauseReason::Older, "{engine}");
        world.sleep(days(3));
        world.work().await;
        assert_eq!(hr.calls(), Vec::<String>::new(), "{engine}: nothing is called");
        let admin = world.admin();
        let choice = Choice::Resume { regrant: WhatIsGiven::Nothing };
        let blind = world.app.confirm_deployment(&admin, choice).await.map(drop);
        assert_eq!(code(&blind), "ComparisonMissing", "{engine}");
        let stranger = ann.caller();
        assert_eq!(code(&world.app.confirm_deployment(&stranger, choice).await), "Forbidden");
        assert_eq!(code(&world.app.compare_deployment(&stranger).await), "Forbidden");
        assert_eq!(code(&world.app.refuse_paused()), "DeploymentPaused");

        world.app.compare_deployment(&admin).await.unwrap();
        world.work().await;
        let calls = hr.calls();
        assert!(calls.iter().all(|call| call.starts_with("observe ")), "{engine}: {calls:?}");
        assert_eq!(names(&world, Kind::Lacking).await, ["ann", "zoe"], "{engine}");
        assert_eq!(names(&world, Kind::Extra).await, ["eve"], "{engine}");
        world.app.confirm_deployment(&admin, choice).await.unwrap();
        world.work().await;
        assert_eq!(world.app.paused(), None, "{engine}");
        world.pass(days(20)).await;

        assert!(!hr.has(ann, "staff") && !hr.has(zoe, "staff"), "{engine}: nothing is given again");
        assert!(hr.has(ben, "staff") && hr.has(eve, "staff"), "{engine}: nothing is taken");
        assert_eq!(world.assignment_state(of_ann).await, "deliveryFailed", "{engine}");
        assert_eq!(world.state(of_zoe).await, "deliveryFailed", "{engine}");
        let listed = differences(&world, Kind::Lacking).await;
        assert!(listed.iter().all(Difference::is_held), "{engine}");
        let causes = world.app.list_failures(&admin).await.unwrap();
        assert_eq!(causes[0].cause.deliveries, 2, "{engine}: they are among the failures");

        let which = world.delivery(ann, &staff).await.id;
        assert!(world.app.regrant_held(&admin, which).await.unwrap());
        assert!(!world.app.regrant_held(&admin, which).await.unwrap(), "twice is once");
        world.pass(minutes(5)).await;
        assert!(hr.has(ann, "staff") && !hr.has(zoe, "staff"), "{engine}: only who was named");
        assert_eq!(world.assignment_state(of_ann).await, "delivered", "{engine}");
        // The directory that remembers the older database is not in doubt again.
        world.app.take_up(dir.path()).await.unwrap();
        assert_eq!(world.app.paused(), None, "{engine}");
        assert_eq!(world.audits("deployment paused").await, 1, "{engine}");
        assert_eq!(world.audits("deployment resumed").await, 1, "{engine}");
    }
}

#[tokio::test]
async fn after_a_failover_the_queue_drains_and_what_was_lost_is_held() {
    for (engine, world) in worlds().await {
        let dir = tempfile::tempdir().unwrap();
        let hr = world.target("hr").await;
        let staff = world.role(hr.id(), "staff").await;
        let package = world.package("Staff", &[&staff]).await;
        let (ann, zoe) = (world.person("ann").await, world.person("zoe").await);
        world.app.take_up(dir.path()).await.unwrap();
        world.submit(&ann, package).await;
        world.pass(minutes(5)).await;
        let of_zoe = world.submit(&zoe, package).await;
        hr.put(&ann, "staff", false);

        restore(&world, dir.path()).await;
        resume(&world, WhatIsGiven::Queued).await;
        world.pass(days(2)).await;

        assert!(!hr.has(&ann, "staff"), "{engine}: its revocation was lost");
        assert!(hr.has(&zoe, "staff"), "{engine}");
        assert_eq!(world.state(of_zoe).await, "delivered", "{engine}");
    }
}

#[tokio::test]
async fn ends_wait_for_the_pause_to_end_and_are_found_then() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    world.app.take_up(dir.path()).await.unwrap();
    let end = at("2026-03-04T17:00:00Z");
    let request = world.try_submit_for(&uma, package, until(end)).await.unwrap();
    world.pass(minutes(5)).await;
    restore(&world, dir.path()).await;
    world.sleep(days(9));
    let a_while = async {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    };
    world.app.clone().run_worker(a_while).await;
    world.work().await;
    assert!(hr.has(&uma, "staff"));
    assert_eq!(world.assignment_state(request).await, "delivered");

    resume(&world, WhatIsGiven::Nothing).await;
    world.pass(minutes(5)).await;

    assert!(!hr.has(&uma, "staff"));
    assert_eq!(world.assignment_state(request).await, "expired");
}

#[tokio::test]
async fn a_target_that_cannot_be_read_has_what_is_wanted_there_held() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    world.app.take_up(dir.path()).await.unwrap();
    world.submit(&uma, package).await;
    world.pass(minutes(5)).await;
    restore(&world, dir.path()).await;
    world.pause_in_store(hr.id()).await;
    let admin = world.admin();
    world.app.compare_deployment(&admin).await.unwrap();
    world.work().await;
    assert_eq!(names(&world, Kind::Unread).await, ["uma"]);

    let choice = Choice::Resume { regrant: WhatIsGiven::Nothing };
    world.app.confirm_deployment(&admin, choice).await.unwrap();
    world.work().await;

    assert!(differences(&world, Kind::Unread).await[0].is_held());
    assert!(hr.has(&uma, "staff"), "held is not taken");
}

#[tokio::test]
async fn a_connector_that_breaks_down_is_told_and_keeps_nobody_from_going_on() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    world.app.take_up(dir.path()).await.unwrap();
    world.submit(&uma, package).await;
    world.pass(minutes(5)).await;
    restore(&world, dir.path()).await;
    hr.trouble("*", Trouble::BreakReading);
    world.app.compare_deployment(&world.admin()).await.unwrap();
    world.work().await;

    let unread = differences(&world, Kind::Unread).await;
    assert_eq!(unread[0].detail.as_deref(), Some("the connector broke down"));
    hr.heal();
    resume(&world, WhatIsGiven::Nothing).await;
    assert_eq!(world.app.paused(), None);
}

#[tokio::test]
async fn a_copy_becomes_a_deployment_of_its_own_whose_targets_rest() {
    for (engine, world) in worlds().await {
        let dir = tempfile::tempdir().unwrap();
        let hr = world.target("hr").await;
        let staff = world.role(hr.id(), "staff").await;
        let package = world.package("Staff", &[&staff]).await;
        let uma = world.person("uma").await;
        world.app.take_up(dir.path()).await.unwrap();
        let before = world.app.get_deployment(&world.admin()).await.unwrap().instance;
        world.submit(&uma, package).await;
        // It says that it lives elsewhere.
        let elsewhere = "1/00000001/1";
        let home =
            async |tx: &mut accede_store::Tx<'_>| deployment::replace(tx, "home", elsewhere).await;
        world.store.write(async |tx| home(tx).await).await.unwrap();
        world.app.take_up(dir.path()).await.unwrap();
        assert_eq!(world.app.paused().unwrap().reason, PauseReason::Moved, "{engine}");

        let admin = world.admin();
        let made = world.app.confirm_deployment(&admin, Choice::NewInstance).await.unwrap();
        assert!(made.pause.unwrap().choice.is_some(), "{engine}");
        world.work().await;
        world.sleep(days(2));
        world.work().await;

        assert_eq!(world.app.paused(), None, "{engine}");
        let after = world.app.get_deployment(&admin).await.unwrap().instance;
        assert_ne!(after, before, "{engine}");
        assert_eq!(hr.calls(), Vec::<String>::new(), "{engine}: its original is left alone");
        let resting = world
            .store
            .read(async |tx| {
                let sql = "select count(*) from targets where is_paused and id = $1";
                tx.query_one(sql, params![hr.id()]).await?.get::<i64>(0)
            })
            .await
            .unwrap();
        assert_eq!(resting, 1, "{engine}");
    }
}

#[tokio::test]
async fn a_new_replica_joins_without_pausing_the_others() {
    let world = World::over(testing::postgres().await, 3).await;
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    world.app.take_up(old.path()).await.unwrap();

    let replica = world.another_app();
    replica.take_up(new.path()).await.unwrap();

    assert_eq!((replica.paused(), world.app.paused()), (None, None));
    let marks = [old, new].map(|dir| instance::read(dir.path()).unwrap().unwrap());
    assert_eq!(marks[0].instance, marks[1].instance);
    assert!(marks[0].epoch < marks[1].epoch);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_stands_behind_ends_nothing_for_ten_minutes() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    let end = at("2026-03-04T17:00:00Z");
    world.try_submit_for(&uma, package, until(end)).await.unwrap();
    world.pass(minutes(5)).await;
    world.app.take_up(dir.path()).await.unwrap();
    let now = world.now();
    world.clock.set(now.checked_sub(minutes(120)).unwrap());
    world.app.take_up(dir.path()).await.unwrap();
    assert!(world.app.clock_is_suspect());

    // And now it jumps the other way.
    world.clock.set(end.checked_add(days(400)).unwrap());
    let of_max = world.submit(&max, package).await;
    world.work().await;
    assert!(hr.has(&uma, "staff"), "nobody's access ends by the clock alone");
    assert_eq!(world.state(of_max).await, "delivered", "what people decide goes on");
    tokio::time::advance(std::time::Duration::from_secs(601)).await;
    world.work().await;
    world.pass(minutes(5)).await;

    assert!(!world.app.clock_is_suspect());
    assert!(!hr.has(&uma, "staff"), "it waits, and is not forgotten");
}

#[tokio::test]
async fn what_a_database_can_tell_of_its_home_by_now_is_learned_and_holds_from_then_on() {
    for (engine, world) in worlds().await {
        let dir = tempfile::tempdir().unwrap();
        world.app.take_up(dir.path()).await.unwrap();
        let here = world.store.home().await.unwrap();
        let write = async |text: String| {
            let set = async |tx: &mut Tx<'_>| deployment::replace(tx, "home", &text).await;
            world.store.write(async |tx| set(tx).await).await.unwrap();
        };
        write(Home { system: None, ..here.clone() }.text()).await;

        world.app.take_up(dir.path()).await.unwrap();

        let read = async |tx: &mut Tx<'_>| deployment::get(tx, "home").await;
        let kept = world.store.read(async |tx| read(tx).await).await.unwrap().unwrap();
        assert_eq!(Home::parse(&kept), here, "{engine}");
        assert!(world.app.paused().is_none(), "{engine}");
        if here.system.is_none() {
            continue; // SQLite on a machine without an identity
        }
        write(Home { system: Some("another".to_owned()), ..here }.text()).await;
        world.app.take_up(dir.path()).await.unwrap();
        assert!(world.app.paused().is_some(), "{engine}: it lives elsewhere");
    }
}
