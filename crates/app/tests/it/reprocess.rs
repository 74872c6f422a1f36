//! Trying again what was not delivered: only that, as often as asked, and not for ever.

use accede_domain::SignedDuration;

use crate::world::{Trouble, World, code, days, hours, minutes, until};

#[tokio::test]
async fn reprocess_retries_only_what_failed() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let package = world.package("Finance", &[&staff, &ledger]).await;
    let uma = world.person("uma").await;
    erp.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    erp.heal();
    hr.calls();
    erp.calls();

    world.reprocess(request).await.unwrap();
    let meanwhile = world.state(request).await;
    world.pass(minutes(1)).await;

    assert_eq!(meanwhile, "delivering");
    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(hr.calls(), Vec::<String>::new());
    assert_eq!(erp.calls(), ["grant uma ledger", "observe uma ledger"]);
}

#[tokio::test]
async fn reprocessing_twice_is_reprocessing_once() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.calls();

    world.reprocess(request).await.unwrap();
    world.reprocess(request).await.unwrap();
    world.work().await;

    assert_eq!(hr.calls(), ["grant uma staff"]);
    let history = world.history(request).await;
    assert_eq!(history.iter().filter(|kind| *kind == "reprocessed").count(), 1);
    assert_eq!(world.state(request).await, "deliveryFailed");
}

#[tokio::test]
async fn the_window_counts_from_the_first_completion_to_the_minute_even_after_another_failure() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.work().await;
    let first = world.now();

    world.pass(days(13)).await;
    world.reprocess(request).await.unwrap();
    world.work().await;
    let failed_again = world.state(request).await;
    world.clock.set(first.checked_add(days(14)).unwrap());
    let at_the_end = code(&world.reprocess(request).await);
    world.work().await;
    world.sleep(minutes(1));
    let after_the_end = code(&world.reprocess(request).await);

    assert_eq!(failed_again, "deliveryFailed");
    assert_eq!(at_the_end, "ok");
    assert_eq!(after_the_end, "ReprocessWindowExpired");
    assert_eq!(world.request(request).await.state.first_completed(), Some(first));
    let view = world.detail(request).await.view;
    assert!(!view.reprocess.is_yes());
    assert_eq!(view.window_ends, Some(first.checked_add(days(14)).unwrap()));
}

#[tokio::test]
async fn what_is_delivered_denied_or_canceled_is_not_reprocessed() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    let delivered = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let canceled = world.submit(&max, package).await;
    world.work().await;
    world.cancel(canceled).await.unwrap();
    hr.calls();

    assert_eq!(code(&world.reprocess(delivered).await), "RequestNotReprocessable");
    assert_eq!(code(&world.reprocess(canceled).await), "RequestNotReprocessable");
    assert_eq!(hr.calls(), Vec::<String>::new());
    assert_eq!(world.state(canceled).await, "canceled");
}

#[tokio::test]
async fn while_automatic_retries_run_reprocess_changes_nothing() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::outage());
    let request = world.submit(&uma, package).await;
    world.pass(hours(3)).await;
    let before = world.delivery(&uma, &staff).await;

    world.reprocess(request).await.unwrap();

    assert_eq!(world.delivery(&uma, &staff).await, before);
    assert_eq!(world.state(request).await, "delivering");
}

#[tokio::test]
async fn a_disabled_person_is_not_reprocessed() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.work().await;

    world.set_active(&uma, false).await;
    world.pass(minutes(1)).await;
    hr.calls();

    assert_eq!(code(&world.reprocess(request).await), "NoLongerDeliverable");
    assert_eq!(hr.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_whose_assignment_was_removed_is_not_reprocessed() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let package = world.package("Finance", &[&staff, &ledger]).await;
    let uma = world.person("uma").await;
    erp.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(minutes(1)).await;
    erp.heal();
    hr.calls();
    erp.calls();

    let outcome = code(&world.reprocess(request).await);
    world.pass(hours(1)).await;

    assert_eq!(outcome, "NoLongerDeliverable");
    assert_eq!(world.state(request).await, "partiallyDelivered");
    assert_eq!(erp.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_whose_end_passed_is_not_reprocessed() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let end = world.now().checked_add(hours(6)).unwrap();
    hr.trouble("*", Trouble::permanent("http-403"));
    let request = world.try_submit_for(&uma, package, until(end)).await.unwrap();
    world.work().await;

    world.sleep(hours(6));
    let before_the_sweep = code(&world.reprocess(request).await);
    world.pass(minutes(1)).await;
    let after_the_sweep = code(&world.reprocess(request).await);

    assert_eq!(before_the_sweep, "NoLongerDeliverable");
    assert_eq!(after_the_sweep, "NoLongerDeliverable");
    assert!(!hr.has(&uma, "staff"));
}

#[tokio::test]
async fn a_paused_target_is_named_instead_of_trying_again() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.work().await;
    world.pause(hr.id(), true).await;

    let refused = world.reprocess(request).await;

    assert_eq!(code(&refused), "NoLongerDeliverable");
    assert!(refused.unwrap_err().to_string().contains("`hr` is paused"));
}

#[tokio::test]
async fn another_open_request_for_the_same_access_is_named_instead_of_trying_again() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let (package, other) =
        (world.package("Staff", &[&staff]).await, world.package("Other", &[]).await);
    let uma = world.person("uma").await;
    let later = world.now().checked_add(days(2)).unwrap();
    let blocked = world.try_submit_for(&uma, package, crate::world::from(later)).await.unwrap();
    world.incompatible(package, other).await;
    let conflict = world.submit(&uma, other).await;
    world.pass(days(3)).await;
    world.remove(world.assignment(conflict).await.id).await.unwrap();
    world.pass(minutes(1)).await;
    let later = world.now().checked_add(days(2)).unwrap();
    let open = world.try_submit_for(&uma, package, crate::world::from(later)).await.unwrap();

    let reprocessed = code(&world.reprocess(blocked).await);
    let canceled = code(&world.cancel(blocked).await);

    assert_eq!(reprocessed, "OpenRequestExists");
    assert_eq!(canceled, "ok");
    assert_eq!(world.state(blocked).await, "canceled");
    assert_eq!(world.state(open).await, "scheduled");
    world.cancel(open).await.unwrap();
}

#[tokio::test]
async fn a_request_for_a_package_that_was_deleted_is_not_reprocessed() {
    let world = World::new().await;
    let (package, other) = (world.package("Staff", &[]).await, world.package("Other", &[]).await);
    let uma = world.person("uma").await;
    let later = world.now().checked_add(days(2)).unwrap();
    let blocked = world.try_submit_for(&uma, package, crate::world::from(later)).await.unwrap();
    world.incompatible(package, other).await;
    world.submit(&uma, other).await;
    world.pass(days(3)).await;
    let now = world.now();
    world
        .store
        .write(async |tx| accede_store::packages::delete(tx, package, now).await)
        .await
        .unwrap();

    let refused = world.reprocess(blocked).await;

    assert_eq!(code(&refused), "NoLongerDeliverable");
    assert!(refused.unwrap_err().to_string().contains("does not exist any more"));
}

#[tokio::test]
async fn reprocessing_an_assignment_repairs_what_was_changed_outside() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (staff, wiki) = (world.role(hr.id(), "staff").await, world.role(hr.id(), "wiki").await);
    let package = world.package("Staff", &[&staff, &wiki]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(days(2)).await;
    hr.put(&uma, "staff", false);
    hr.calls();

    let assignment = world.assignment(request).await.id;
    world.app.reprocess_assignment(&world.admin(), assignment).await.unwrap();
    let meanwhile = world.assignment_state(request).await;
    world.pass(minutes(1)).await;

    assert_eq!(meanwhile, "delivering");
    assert!(hr.has(&uma, "staff") && hr.has(&uma, "wiki"));
    let mut calls = hr.calls();
    calls.sort();
    assert_eq!(
        calls,
        ["grant uma staff", "observe uma staff", "observe uma staff", "observe uma wiki"]
    );
    assert_eq!(world.assignment_state(request).await, "delivered");
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn an_assignment_whose_request_can_be_reprocessed_is_left_to_that() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.work().await;

    let assignment = world.assignment(request).await.id;
    let refused = world.app.reprocess_assignment(&world.admin(), assignment).await;

    assert_eq!(code(&refused), "AssignmentNotDelivered");
}

#[tokio::test]
async fn two_packages_with_one_failed_role_are_both_delivered_when_either_is_reprocessed() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let (one, two) = (world.package("One", &[&staff]).await, world.package("Two", &[&staff]).await);
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let first = world.submit(&uma, one).await;
    let second = world.submit(&uma, two).await;
    world.work().await;
    hr.heal();

    world.reprocess(first).await.unwrap();
    let shared = world.assignment_state(second).await;
    world.pass(minutes(1)).await;

    assert_eq!(shared, "delivering");
    assert_eq!(world.state(first).await, "delivered");
    assert_eq!(world.assignment_state(second).await, "delivered");
    world.reprocess(second).await.unwrap();
    assert_eq!(world.state(second).await, "delivered");
}

#[tokio::test]
async fn a_new_request_tries_a_role_that_was_given_up_for_another_package() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let (one, two) = (world.package("One", &[&staff]).await, world.package("Two", &[&staff]).await);
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::permanent("http-403"));
    world.submit(&uma, one).await;
    world.work().await;
    hr.heal();

    let second = world.submit(&uma, two).await;
    world.pass(minutes(1)).await;

    assert_eq!(world.state(second).await, "delivered");
    assert!(hr.has(&uma, "staff"));
}

#[tokio::test]
async fn without_a_window_nothing_is_too_old() {
    let store = accede_store::Store::open_in_memory().unwrap();
    let settings = accede_app::Settings { reprocess_window: None, ..Default::default() };
    let world = World::with(store, 1, settings).await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let request = world.submit(&uma, package).await;
    world.work().await;
    hr.heal();

    world.sleep(SignedDuration::from_hours(24 * 900));
    world.reprocess(request).await.unwrap();
    world.pass(minutes(1)).await;

    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn whatever_is_not_final_waits_for_somebody_until_some_time() {
    use accede_app::waiting::{Owner, Then};
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::target("http-401"));
    let request = world.submit(&uma, package).await;
    let begun = world.now();
    world.pass(minutes(1)).await;
    let waits = async || world.app.request_waiting(&world.admin(), request).await.unwrap();

    let troubled = waits().await;
    assert_eq!(troubled.deliveries.len(), 1);
    let wait = troubled.request.unwrap();
    assert_eq!((wait.owner, wait.then), (Owner::TargetAdministrators, Then::RestsAsFailed));
    assert_eq!(wait.until, Some(begun.checked_add(days(1)).unwrap()));

    world.pass(days(2)).await;
    assert_eq!(world.state(request).await, "deliveryFailed");
    let wait = waits().await.request.unwrap();
    assert_eq!((wait.owner, wait.then), (Owner::AssignmentManagers, Then::BecomesFinal));

    world.pass(days(20)).await;
    assert_eq!(waits().await.request, None, "its window is over");
    hr.heal();
    world.pass(days(1)).await;
}
