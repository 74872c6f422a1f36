//! Targets in trouble: left alone, checked, tried, and served again by themselves.

use accede_app::targets::TargetChange;
use accede_domain::circuit::State;
use accede_domain::id::RequestId;
use accede_store::{Tx, params};
use serde_json::{Map, json};

use crate::world::{Somebody, Trouble, World, days, hours, minutes};

async fn people(world: &World, names: &[&str]) -> Vec<Somebody> {
    let mut people = Vec::new();
    for name in names {
        people.push(world.person(name).await);
    }
    people
}

async fn delivered(world: &World, requests: &[RequestId]) -> usize {
    let mut count = 0;
    for request in requests {
        count += usize::from(world.state(*request).await == "delivered");
    }
    count
}

const TWELVE: [&str; 12] =
    ["ann", "bob", "cem", "dan", "eva", "flo", "gus", "ida", "jan", "kim", "lea", "mia"];

#[tokio::test]
async fn a_target_that_is_down_for_days_is_left_alone_and_then_everything_goes_out_by_itself() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let leaver = world.person("zoe").await;
    let had = world.submit(&leaver, package).await;
    world.pass(minutes(1)).await;
    let held = world.assignment(had).await.id;
    let people = people(&world, &TWELVE).await;
    hr.trouble("*", Trouble::outage());
    let mut requests = Vec::new();
    for person in &people {
        requests.push(world.submit(person, package).await);
    }
    let removal = world.remove(held).await.unwrap();
    world.pass(minutes(5)).await;
    hr.calls();

    world.pass(days(4)).await;
    let meanwhile = hr.calls();
    let circuit = world.circuit(hr.id()).await;
    let causes = world.app.list_failures(&world.admin()).await.unwrap();
    let mut failed = 0;
    for request in &requests {
        failed += usize::from(world.state(*request).await == "deliveryFailed");
    }
    hr.heal();
    world.pass(hours(1)).await;

    assert_eq!(meanwhile, Vec::<String>::new(), "nothing is called but checks");
    assert_eq!((causes.len(), causes[0].cause.deliveries), (1, 13), "who was not tried is counted");
    assert!(circuit.circuit.is_out_of_order(world.now()));
    assert_eq!(circuit.fault.unwrap().code, "dns");
    assert_eq!(failed, 12, "after the window of grants nobody waits without knowing");
    assert_eq!(delivered(&world, &requests).await, 12);
    assert_eq!(world.state(removal).await, "delivered");
    assert!(!hr.has(&leaver, "staff"));
    assert_eq!(world.circuit(hr.id()).await.circuit.state, State::Closed);
    let calls = hr.calls();
    assert_eq!(calls[0], "revoke zoe staff", "revocations go first");
}

#[tokio::test]
async fn one_targets_trouble_does_not_hold_up_another() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let package = world.package("Finance", &[&staff, &ledger]).await;
    hr.trouble("*", Trouble::outage());
    for person in people(&world, &TWELVE).await {
        world.submit(&person, package).await;
        world.pass(minutes(1)).await;

        assert!(erp.has(&person, "ledger"));
    }

    assert!(matches!(world.circuit(hr.id()).await.circuit.state, State::Open { .. }));
    assert_eq!(world.circuit(erp.id()).await.circuit.state, State::Closed);
}

#[tokio::test]
async fn new_credentials_are_tried_at_once() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::target("http-401"));
    let request = world.submit(&uma, package).await;
    world.pass(hours(2)).await;
    let open = world.circuit(hr.id()).await.circuit;
    hr.heal();

    let change = TargetChange {
        settings: Map::from_iter([("concurrency".to_owned(), json!(3))]),
        ..TargetChange::default()
    };
    world.app.change_target(&world.admin(), hr.id(), &change).await.unwrap();
    world.work().await;

    assert!(open.is_out_of_order(world.now()), "one refusal of the credentials is enough");
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn a_process_that_starts_anew_does_not_call_what_another_found_in_trouble() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    hr.trouble("*", Trouble::target("tls"));
    world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    world.submit(&max, package).await;
    hr.calls();

    let other = world.another_app();
    other.work_once().await.unwrap();

    assert_eq!(hr.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_given_up_hides_nothing_behind_it() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    hr.trouble("*", Trouble::target("http-401"));
    world.submit(&uma, package).await;
    let behind = world.submit(&max, package).await;
    world.work().await;
    let first = world.delivery(&uma, &staff).await.id;
    let set = async |tx: &mut Tx<'_>, class: &str| {
        let sql = "update deliveries set fault_class = $2 where id = $1 and cause_id is not null";
        assert_eq!(tx.execute(sql, params![first, class]).await?, 1);
        Ok::<_, accede_store::Error>(())
    };
    world.store.write(async |tx| set(tx, "nonsense").await).await.unwrap();
    world.sleep(hours(25));

    let swept = world.another_app().sweep_once().await;

    assert!(swept.is_err(), "it is told");
    assert_eq!(world.state(behind).await, "deliveryFailed");
    world.store.write(async |tx| set(tx, "target").await).await.unwrap();
    hr.heal();
    world.pass(hours(2)).await;
    assert!(hr.has(&uma, "staff") && hr.has(&max, "staff"));
}
