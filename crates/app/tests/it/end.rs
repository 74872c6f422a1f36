//! Taking access back: at the end, by hand, when somebody leaves, and never too much or too little.

use accede_app::targets::TargetChange;
use accede_domain::delivery::Phase;
use accede_domain::id::{PackageId, RequestId};
use accede_store::{Tx, params};
use serde_json::{Map, json};

use crate::world::{Trouble, World, at, code, days, from, hours, minutes, until};

#[tokio::test]
async fn an_assignment_that_reaches_its_end_is_removed_by_the_system() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let end = at("2026-03-04T17:00:00Z");
    let request = world.try_submit_for(&uma, package, until(end)).await.unwrap();
    world.pass(minutes(1)).await;

    world.clock.set(end.checked_sub(minutes(1)).unwrap());
    world.work().await;
    let before = hr.has(&uma, "staff");
    world.clock.set(end);
    world.work().await;
    world.pass(minutes(1)).await;

    assert!(before && !hr.has(&uma, "staff"));
    let requests = world.requests_of(&uma).await;
    let kinds: Vec<&str> = requests.iter().map(|request| request.request_type.name()).collect();
    assert_eq!(kinds, ["userAdd", "systemRemove"]);
    assert_eq!(requests[1].state.name(), "delivered");
    assert_eq!(world.assignment_state(request).await, "expired");
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn an_end_that_was_slept_through_is_found_afterwards() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let end = at("2026-03-04T17:00:00Z");
    let request = world.try_submit_for(&uma, package, until(end)).await.unwrap();
    world.pass(minutes(1)).await;

    world.sleep(days(60));
    world.work().await;
    world.pass(minutes(1)).await;

    assert!(!hr.has(&uma, "staff"));
    assert_eq!(world.assignment_state(request).await, "expired");
}

#[tokio::test]
async fn a_server_that_starts_takes_back_everything_that_ended_meanwhile_before_it_gives() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let end = at("2026-03-04T17:00:00Z");
    let mut ended = Vec::new();
    // A sweep takes 200 at once.
    for n in 0..201 {
        let person = world.person(&format!("p{n}")).await;
        ended.push(world.try_submit_for(&person, package, until(end)).await.unwrap());
    }
    world.work().await;
    let begins = end.checked_add(minutes(1)).unwrap();
    let uma = world.person("uma").await;
    let later = world.try_submit_for(&uma, package, from(begins)).await.unwrap();
    hr.calls();
    world.clock.set(begins);
    let mut calls = Vec::new();
    let first_call = async {
        while calls.is_empty() {
            tokio::task::yield_now().await;
            calls = hr.calls();
        }
    };
    world.app.clone().run_worker(first_call).await;

    for request in ended {
        assert_ne!(world.assignment_state(request).await, "delivered");
    }
    assert_eq!(world.state(later).await, "delivering");
    calls.extend(hr.calls());
    assert!(calls.iter().all(|call| call.starts_with("revoke")), "{calls:?}");
    world.pass(minutes(1)).await;
    assert_eq!(world.state(later).await, "delivered");
}

/// Has every request begin with a fault that is in `package`, or be sound again.
async fn damage(world: &World, package: PackageId, is_damaged: bool) {
    let now = if is_damaged { "nonsense" } else { "userAdd" };
    let sql = "update requests set request_type = $2 where package_id = $1";
    let set = async |tx: &mut Tx<'_>| tx.execute(sql, params![package, now]).await;
    assert_eq!(world.store.write(async |tx| set(tx).await).await.unwrap(), 201);
}

/// Until it is so, or a serving process had time enough for it.
async fn until_is(world: &World, request: RequestId, state: &str) {
    for _ in 0..1_000 {
        if world.state(request).await == state {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_moved_hides_nothing_behind_it_and_is_tried_again() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (staff, vip) = (world.role(hr.id(), "staff").await, world.role(hr.id(), "vip").await);
    let package = world.package("Staff", &[&staff]).await;
    let other = world.package("VIP", &[&vip]).await;
    let begins = at("2026-03-04T17:00:00Z");
    // A sweep takes 200 at once.
    let mut stays = None;
    for n in 0..201 {
        let person = world.person(&format!("p{n}")).await;
        stays = Some(world.try_submit_for(&person, package, from(begins)).await.unwrap());
    }
    let stays = stays.unwrap();
    let after = begins.checked_add(minutes(1)).unwrap();
    let uma = world.person("uma").await;
    let behind = world.try_submit_for(&uma, other, from(after)).await.unwrap();
    damage(&world, package, true).await;
    world.clock.set(after);

    world.app.clone().run_worker(until_is(&world, behind, "delivered")).await;
    assert_eq!(world.state(behind).await, "delivered");

    damage(&world, package, false).await;
    assert_eq!(world.state(stays).await, "scheduled");
    world.app.clone().run_worker(until_is(&world, stays, "delivered")).await;
    assert_eq!(world.state(stays).await, "delivered");
}

#[tokio::test]
async fn an_end_while_the_grant_is_still_tried_cancels_the_request_and_takes_back_what_was_given() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let package = world.package("Finance", &[&staff, &ledger]).await;
    let uma = world.person("uma").await;
    erp.trouble("*", Trouble::outage());
    let end = world.now().checked_add(hours(3)).unwrap();
    let request = world.try_submit_for(&uma, package, until(end)).await.unwrap();
    world.pass(minutes(1)).await;
    let before = hr.has(&uma, "staff");

    world.pass(hours(4)).await;
    erp.heal();
    world.pass(hours(1)).await;

    assert!(before && !hr.has(&uma, "staff") && !erp.has(&uma, "ledger"));
    assert_eq!(world.state(request).await, "canceled");
    assert_eq!(world.requests_of(&uma).await.len(), 1);
}

#[tokio::test]
async fn the_end_of_one_package_keeps_what_another_still_needs() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (staff, wiki) = (world.role(hr.id(), "staff").await, world.role(hr.id(), "wiki").await);
    let (one, two) =
        (world.package("One", &[&staff, &wiki]).await, world.package("Two", &[&staff]).await);
    let uma = world.person("uma").await;
    let first = world.submit(&uma, one).await;
    let second = world.submit(&uma, two).await;
    world.pass(minutes(1)).await;
    hr.calls();

    let removal = world.remove(world.assignment(first).await.id).await.unwrap();
    world.pass(minutes(1)).await;
    let after_one = (hr.has(&uma, "staff"), hr.has(&uma, "wiki"), hr.calls());
    world.remove(world.assignment(second).await.id).await.unwrap();
    world.pass(minutes(1)).await;

    assert_eq!(
        after_one,
        (true, false, vec!["revoke uma wiki".to_owned(), "observe uma wiki".to_owned()])
    );
    assert_eq!(world.state(removal).await, "delivered");
    assert!(!hr.has(&uma, "staff"));
    let of_staff: Vec<String> =
        hr.calls().into_iter().filter(|call| call.ends_with("staff")).collect();
    assert_eq!(of_staff, ["revoke uma staff", "observe uma staff"]);
}

#[tokio::test]
async fn two_packages_that_end_in_the_same_second_remove_their_role_exactly_once() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let (one, two) = (world.package("One", &[&staff]).await, world.package("Two", &[&staff]).await);
    let uma = world.person("uma").await;
    let end = at("2026-03-04T17:00:00Z");
    let first = world.try_submit_for(&uma, one, until(end)).await.unwrap();
    let second = world.try_submit_for(&uma, two, until(end)).await.unwrap();
    world.pass(minutes(1)).await;
    hr.calls();

    world.clock.set(end);
    world.work().await;
    world.pass(minutes(1)).await;

    assert_eq!(hr.calls(), ["revoke uma staff", "observe uma staff"]);
    assert_eq!(world.assignment_state(first).await, "expired");
    assert_eq!(world.assignment_state(second).await, "expired");
}

#[tokio::test]
async fn an_ending_is_over_when_another_package_wants_the_role_before_it_was_taken() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let (one, two) = (world.package("One", &[&staff]).await, world.package("Two", &[&staff]).await);
    let uma = world.person("uma").await;
    let first = world.submit(&uma, one).await;
    world.pass(minutes(1)).await;
    hr.trouble("staff", Trouble::permanent("http-403"));
    let removal = world.remove(world.assignment(first).await.id).await.unwrap();
    world.pass(minutes(1)).await;
    let stuck = world.state(removal).await;

    let second = world.submit(&uma, two).await;
    world.pass(minutes(1)).await;

    assert_eq!(stuck, "delivering");
    assert_eq!(world.state(second).await, "delivered");
    assert_eq!(world.assignment_state(first).await, "expired");
    assert_eq!(world.state(removal).await, "delivered");
    assert!(hr.has(&uma, "staff"));
}

#[tokio::test]
async fn canceling_a_partial_delivery_withdraws_what_was_given() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let package = world.package("Finance", &[&staff, &ledger]).await;
    let uma = world.person("uma").await;
    erp.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;

    world.cancel(request).await.unwrap();
    let meanwhile = world.state(request).await;
    world.cancel(request).await.unwrap();
    world.pass(minutes(1)).await;

    assert_eq!(meanwhile, "canceling");
    assert_eq!(world.state(request).await, "canceled");
    assert!(!hr.has(&uma, "staff"));
    assert_eq!(world.assignment_state(request).await, "expired");
}

#[tokio::test]
async fn canceling_what_was_never_given_is_over_at_once() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.work().await;
    hr.calls();

    world.cancel(request).await.unwrap();
    world.pass(hours(1)).await;

    assert_eq!(world.state(request).await, "canceled");
    assert_eq!(hr.calls(), Vec::<String>::new());
    assert_eq!(code(&world.cancel(request).await), "RequestNotCancelable");
}

#[tokio::test]
async fn a_partial_request_whose_assignment_is_being_removed_can_be_canceled_when_that_is_over() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let package = world.package("Finance", &[&staff, &ledger]).await;
    let uma = world.person("uma").await;
    erp.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.trouble("*", Trouble::outage());
    let removal = world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(minutes(1)).await;

    let during = code(&world.cancel(request).await);
    hr.heal();
    world.pass(hours(1)).await;
    let after = code(&world.cancel(request).await);

    assert_eq!(during, "OpenRequestExists");
    assert_eq!(after, "ok");
    assert_eq!(world.state(request).await, "canceled");
    assert_eq!(world.state(removal).await, "delivered");
}

#[tokio::test]
async fn a_person_who_is_disabled_during_delivery_gets_nothing_more_and_loses_what_was_given() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let package = world.package("Finance", &[&staff, &ledger]).await;
    let other = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let whole = world.submit(&uma, other).await;
    world.pass(minutes(1)).await;
    erp.trouble("*", Trouble::outage());
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    let later = world.now().checked_add(days(2)).unwrap();
    let third = world.package("Later", &[]).await;
    let scheduled = world.try_submit_for(&uma, third, crate::world::from(later)).await.unwrap();

    world.set_active(&uma, false).await;
    world.work().await;
    erp.heal();
    hr.calls();
    erp.calls();
    world.pass(days(3)).await;

    assert!(!hr.has(&uma, "staff") && !erp.has(&uma, "ledger"));
    assert!(erp.calls().iter().all(|call| !call.starts_with("grant")));
    assert_eq!(world.state(request).await, "canceled");
    assert_eq!(world.state(scheduled).await, "canceled");
    assert_eq!(world.assignment_state(whole).await, "expired");
    assert_eq!(code(&world.try_submit(&uma, package).await), "Invalid assignment.targetId");
}

#[tokio::test]
async fn a_refused_revocation_is_stuck_listed_and_probed_until_it_is_done() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.trouble("staff", Trouble::permanent("last-member"));

    let removal = world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(minutes(1)).await;
    let stuck = world.app.stuck_revocations(&world.admin()).await.unwrap();
    let phase = world.delivery(&uma, &staff).await.delivery.phase;
    hr.calls();
    world.pass(days(10)).await;
    let probes = hr.calls().len();
    let still = world.state(removal).await;
    hr.heal();
    world.pass(hours(7)).await;

    assert_eq!(stuck.len(), 1);
    assert_eq!(stuck[0].person.as_ref().unwrap().subject, uma.subject);
    assert!(matches!(phase, Phase::Stuck { .. }));
    assert_eq!(probes, 40);
    assert_eq!(still, "delivering");
    assert!(!hr.has(&uma, "staff"));
    assert_eq!(world.state(removal).await, "delivered");
    assert!(world.app.stuck_revocations(&world.admin()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_revocation_that_is_due_for_an_hour_is_listed_and_never_given_up() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.trouble("*", Trouble::transient("http-500"));

    let removal = world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(minutes(60)).await;
    let before = world.app.stuck_revocations(&world.admin()).await.unwrap().len();
    world.pass(minutes(1)).await;
    let after = world.app.stuck_revocations(&world.admin()).await.unwrap().len();
    let shown = world.detail(removal).await.view.is_stuck;
    world.pass(days(10)).await;
    let still = world.app.stuck_revocations(&world.admin()).await.unwrap().len();
    hr.heal();
    world.pass(hours(1)).await;

    assert_eq!((before, after, still), (0, 1, 1));
    assert!(shown);
    assert!(!hr.has(&uma, "staff"));
    assert_eq!(world.state(removal).await, "delivered");
}

#[tokio::test]
async fn a_revocation_whose_answer_was_lost_is_observed_and_done() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.trouble_times("staff", Trouble::Lose, 1);
    hr.calls();

    let removal = world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(minutes(1)).await;

    assert_eq!(hr.calls(), ["revoke uma staff", "observe uma staff"]);
    assert_eq!(world.state(removal).await, "delivered");
}

#[tokio::test]
async fn access_that_comes_back_after_it_was_taken_is_taken_again() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    let removal = world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(minutes(1)).await;
    assert!(!hr.has(&uma, "staff"));

    // A call that hung somewhere, or a person in the target.
    hr.put(&uma, "staff", true);
    hr.calls();
    world.pass(minutes(2)).await;
    let after_two_minutes = hr.calls();
    hr.put(&uma, "staff", true);
    world.pass(hours(25)).await;

    assert_eq!(after_two_minutes, ["observe uma staff", "revoke uma staff", "observe uma staff"]);
    assert!(!hr.has(&uma, "staff"));
    assert_eq!(world.state(removal).await, "delivered", "what was asked for was done");
    assert!(world.app.stuck_revocations(&world.admin()).await.unwrap().is_empty());
}

#[tokio::test]
async fn access_can_be_had_again_after_it_ended() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let first = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    world.remove(world.assignment(first).await.id).await.unwrap();
    let during = code(&world.try_submit(&uma, package).await);
    world.pass(minutes(1)).await;

    let second = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;

    assert_eq!(during, "OpenRequestExists");
    assert_eq!(world.state(second).await, "delivered");
    assert!(hr.has(&uma, "staff"));
    assert_eq!(code(&world.try_submit(&uma, package).await), "AlreadyAssigned");
}

#[tokio::test]
async fn removing_twice_is_refused_the_second_time() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    let assignment = world.assignment(request).await.id;

    world.remove(assignment).await.unwrap();
    let again = code(&world.remove(assignment).await);
    world.pass(minutes(1)).await;

    assert_eq!(again, "OpenRequestExists");
    assert_eq!(code(&world.remove(assignment).await), "AssignmentStateConflict");
}

#[tokio::test]
async fn access_that_is_still_being_given_can_be_removed() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let package = world.package("Finance", &[&staff, &ledger]).await;
    let uma = world.person("uma").await;
    erp.trouble("*", Trouble::outage());
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    let given = hr.has(&uma, "staff");

    let removal = world.remove(world.assignment(request).await.id).await.unwrap();

    assert!(given);
    assert_eq!(world.state(request).await, "canceled");
    assert_eq!(world.state(removal).await, "delivering");
    erp.heal();
    world.pass(hours(1)).await;
    assert_eq!(world.state(removal).await, "delivered");
    assert_eq!(world.assignment_state(request).await, "expired");
    assert!(!hr.has(&uma, "staff") && !erp.has(&uma, "ledger"));
}

#[tokio::test]
async fn what_a_target_refuses_to_take_back_is_over_when_it_was_never_there() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::transient("http-503"));
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.trouble("*", Trouble::read_only("http-403"));
    world.pass(hours(2)).await;
    let refused = world.state(request).await;

    world.cancel(request).await.unwrap();
    world.pass(hours(1)).await;

    assert_eq!(refused, "deliveryFailed");
    assert_eq!(world.state(request).await, "canceled");
}

#[tokio::test]
async fn a_refused_revocation_is_tried_at_once_when_its_target_is_changed_or_resumed() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(5)).await;
    hr.trouble("staff", Trouble::permanent("last-member"));
    world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(minutes(5)).await;
    let id = world.delivery(&uma, &staff).await.id;
    hr.calls();

    let change = TargetChange {
        settings: Map::from_iter([("concurrency".to_owned(), json!(3))]),
        ..TargetChange::default()
    };
    world.app.change_target(&world.admin(), hr.id(), &change).await.unwrap();
    world.work().await;
    let after_change = hr.calls();
    let renamed = TargetChange { display_name: Some("HR".to_owned()), ..TargetChange::default() };
    world.app.change_target(&world.admin(), hr.id(), &renamed).await.unwrap();
    world.work().await;
    let after_new_name = hr.calls();
    world.pause(hr.id(), true).await;
    let tried = world.app.retry_delivery(&world.admin(), id).await;
    hr.heal();
    world.pause(hr.id(), false).await;
    world.work().await;

    assert_eq!(after_change.first().map(String::as_str), Some("revoke uma staff"));
    assert!(after_new_name.is_empty(), "that changes nothing about its calls");
    assert_eq!(code(&tried), "TargetPaused", "nothing is tried there, so nobody is told it is");
    assert!(!hr.has(&uma, "staff"));
}
