//! A target that is down for four days with thousands waiting: seen at once, left alone, caught up with by itself.

use std::collections::BTreeSet;

use accede_domain::circuit::State;
use accede_domain::id::RequestId;

use crate::world::{Somebody, Trouble, World, hours, minutes};

const GRANTS: usize = 3_000;
const REVOKES: usize = 200;
/// Most checks of a target in an hour of an outage: one in 30 s.
const CHECKS_AN_HOUR: usize = 120;

async fn people(world: &World, prefix: &str, count: usize) -> Vec<Somebody> {
    let mut people = Vec::with_capacity(count);
    for number in 0..count {
        people.push(world.person(&format!("{prefix}{number}")).await);
    }
    people
}

async fn all_delivered(world: &World, requests: &[RequestId]) -> bool {
    for request in requests {
        if world.state(*request).await != "delivered" {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn four_days_of_outage_with_thousands_waiting_are_caught_up_with_by_themselves() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let at_hr = world.package("Staff", &[&staff]).await;
    let at_erp = world.package("Ledger", &[&ledger]).await;
    let leavers = people(&world, "leaver", REVOKES).await;
    let mut held = Vec::new();
    for leaver in &leavers {
        held.push(world.submit(leaver, at_hr).await);
    }
    world.pass(minutes(1)).await;

    hr.trouble("*", Trouble::outage());
    let joiners = people(&world, "joiner", GRANTS).await;
    let (mut grants, mut removals) = (Vec::new(), Vec::new());
    for joiner in &joiners {
        grants.push(world.submit(joiner, at_hr).await);
    }
    for request in held {
        removals.push(world.remove(world.assignment(request).await.id).await.unwrap());
    }
    world.pass(minutes(5)).await;
    let causes = world.app.list_failures(&world.admin()).await.unwrap();
    hr.calls();
    hr.checks();

    let mut checks = Vec::new();
    for hour in 0..4 * 24 {
        if hour % 24 == 0 {
            let another = world.person(&format!("other{hour}")).await;
            let request = world.submit(&another, at_erp).await;
            world.work().await;
            assert_eq!(world.state(request).await, "delivered", "the healthy target, hour {hour}");
        }
        world.pass(hours(1)).await;
        checks.push(hr.checks());
    }
    let meanwhile = hr.calls();
    let waiting = world.app.list_failures(&world.admin()).await.unwrap();
    hr.heal();
    world.pass(hours(1)).await;

    let [cause] = causes.as_slice() else { panic!("{} causes after five minutes", causes.len()) };
    assert_eq!(cause.cause.deliveries, (GRANTS + REVOKES) as i64);
    let [cause] = waiting.as_slice() else { panic!("{} causes after four days", waiting.len()) };
    assert_eq!(cause.cause.deliveries, (GRANTS + REVOKES) as i64);
    assert_eq!(meanwhile, Vec::<String>::new(), "nothing is called but checks");
    assert!(checks.iter().all(|checks| (1..=CHECKS_AN_HOUR).contains(checks)), "{checks:?}");

    let calls = hr.calls();
    let changes: Vec<&String> = calls.iter().filter(|call| !call.starts_with("observe")).collect();
    let once: BTreeSet<&&String> = changes.iter().collect();
    assert_eq!((changes.len(), once.len()), (GRANTS + REVOKES, GRANTS + REVOKES), "each once");
    let first = changes.iter().take(REVOKES);
    assert!(first.into_iter().all(|call| call.starts_with("revoke")), "removals go first");
    assert!(all_delivered(&world, &grants).await && all_delivered(&world, &removals).await);
    assert!(joiners.iter().all(|joiner| hr.has(joiner, "staff")));
    assert!(!leavers.iter().any(|leaver| hr.has(leaver, "staff")));
    assert_eq!(world.circuit(hr.id()).await.circuit.state, State::Closed);
}
