//! From an accepted request to roles in targets, through every kind of fault.

use accede_domain::delivery::{Observed, Phase};

use crate::world::{Fake, Trouble, World, at, code, days, from, hours, minutes, until};

#[tokio::test]
async fn a_request_without_approval_is_delivered_to_every_target() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let package = world.package("Finance", &[&staff, &ledger]).await;
    let uma = world.person("uma").await;

    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;

    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(world.assignment_state(request).await, "delivered");
    assert!(hr.has(&uma, "staff") && erp.has(&uma, "ledger"));
    assert_eq!(hr.calls(), ["grant uma staff", "observe uma staff"]);
    assert_eq!(world.history(request).await, ["submitted", "deliveryStarted", "delivered"]);
    assert!(world.delivery(&uma, &staff).await.delivery.verified.is_some());
}

#[tokio::test]
async fn a_package_without_roles_is_delivered_at_once() {
    let world = World::new().await;
    let package = world.package("Nothing", &[]).await;
    let uma = world.person("uma").await;

    let request = world.submit(&uma, package).await;

    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn one_refused_role_of_two_is_partially_delivered_and_both_are_failed() {
    let world = World::new().await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let (staff, ledger) =
        (world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await);
    let package = world.package("Finance", &[&staff, &ledger]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    erp.trouble("*", Trouble::permanent("http-403"));

    let partial = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let failed = world.submit(&max, package).await;
    world.pass(minutes(1)).await;

    assert_eq!(world.state(partial).await, "partiallyDelivered");
    assert_eq!(world.assignment_state(partial).await, "partiallyDelivered");
    assert_eq!(world.state(failed).await, "deliveryFailed");
    assert_eq!(world.assignment_state(failed).await, "deliveryFailed");
    let detail = world.detail(partial).await;
    assert_eq!(detail.view.undelivered, 1);
    assert_eq!(detail.view.causes, ["refused: http-403"]);
    assert!(detail.view.reprocess.is_yes());
    let failures = world.app.list_failures(&world.admin()).await.unwrap();
    let counted: Vec<(String, i64, i64)> = failures
        .iter()
        .map(|failure| {
            (failure.cause.target_name.clone(), failure.cause.failed, failure.cause.requests)
        })
        .collect();
    assert_eq!(counted, [("erp".to_owned(), 2, 2), ("hr".to_owned(), 1, 1)]);
}

#[tokio::test]
async fn a_transient_fault_is_tried_again_by_itself() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble_times("staff", Trouble::transient("http-500"), 3);

    let request = world.submit(&uma, package).await;
    world.pass(hours(1)).await;

    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(
        world.attempts(&uma, &staff).await,
        ["grant http-500", "grant http-500", "grant http-500", "grant applied", "observe present"]
    );
}

#[tokio::test]
async fn a_grant_that_stays_transient_fails_after_a_day_and_is_never_called_again() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("staff", Trouble::transient("http-500"));

    let request = world.submit(&uma, package).await;
    world.pass(hours(23)).await;
    let before = world.state(request).await;
    world.pass(hours(2)).await;
    hr.calls();
    world.pass(days(3)).await;

    assert_eq!(before, "delivering");
    assert_eq!(world.state(request).await, "deliveryFailed");
    assert_eq!(hr.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn an_outage_costs_no_attempt_and_delivery_resumes_when_it_ends() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::outage());

    let request = world.submit(&uma, package).await;
    world.pass(hours(4)).await;
    let attempts = world.delivery(&uma, &staff).await.delivery.attempts;
    hr.heal();
    world.pass(hours(1)).await;

    assert_eq!(attempts, 0);
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn a_target_that_says_slow_down_is_left_alone_for_as_long() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble_times("staff", Trouble::throttled(120), 1);

    let request = world.submit(&uma, package).await;
    world.pass(SECONDS_119).await;
    let early = hr.calls();
    world.pass(minutes(1)).await;

    assert_eq!(early, ["grant uma staff"]);
    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(world.delivery(&uma, &staff).await.delivery.attempts, 0);
}

const SECONDS_119: accede_domain::SignedDuration = accede_domain::SignedDuration::from_secs(119);

#[tokio::test]
async fn an_unknown_outcome_is_observed_before_anything_else() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);

    hr.trouble_times("staff", Trouble::Lose, 1);
    let lost = world.submit(&uma, package).await;
    world.pass(hours(1)).await;
    let calls_lost = hr.calls();
    hr.trouble_times("staff", Trouble::timeout(), 1);
    let never = world.submit(&max, package).await;
    world.pass(hours(1)).await;

    assert_eq!(calls_lost, ["grant uma staff", "observe uma staff"]);
    assert_eq!(world.state(lost).await, "delivered");
    assert_eq!(
        hr.calls(),
        ["grant max staff", "observe max staff", "grant max staff", "observe max staff"]
    );
    assert_eq!(world.state(never).await, "delivered");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_given_up_after_its_deadline_as_unknown() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble_times("staff", Trouble::Hang, 1);

    let request = world.submit(&uma, package).await;
    world.pass(hours(1)).await;

    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(
        world.attempts(&uma, &staff).await,
        ["grant deadline", "observe absent", "grant applied", "observe present"]
    );
}

#[tokio::test]
async fn a_lie_is_found_by_reading_back() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble_times("staff", Trouble::Lie, 1);

    let request = world.submit(&uma, package).await;
    world.pass(hours(1)).await;

    assert!(hr.has(&uma, "staff"));
    assert_eq!(world.assignment_state(request).await, "delivered");
    assert!(world.delivery(&uma, &staff).await.delivery.verified.is_some());
}

#[tokio::test]
async fn a_target_that_cannot_be_read_is_told_again_after_an_unknown_outcome() {
    let world = World::new().await;
    let hr = std::sync::Arc::new(Fake::blind("hr"));
    hr.set_id(world.target_with("hr", hr.clone()).await);
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble_times("staff", Trouble::Lose, 1);

    let request = world.submit(&uma, package).await;
    world.pass(hours(1)).await;

    assert_eq!(hr.calls(), ["grant uma staff", "grant uma staff"]);
    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(world.delivery(&uma, &staff).await.delivery.verified, None);
}

#[tokio::test]
async fn a_worker_that_died_after_the_call_is_found_by_its_lease() {
    let mut world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;

    let request = world.submit(&uma, package).await;
    let batches = world.app.claim(hr.id(), &*hr, 10).await.unwrap();
    world.app.carry(&*hr, &batches[0]).await;
    world.restart();
    world.work().await;
    let before = hr.calls();
    world.pass(minutes(2)).await;

    assert_eq!(before, ["grant uma staff"]);
    assert_eq!(hr.calls(), ["observe uma staff"]);
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn an_answer_that_comes_after_its_lease_is_discarded_and_makes_us_look_again() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;

    let request = world.submit(&uma, package).await;
    let late = world.app.claim(hr.id(), &*hr, 10).await.unwrap();
    let answers = world.app.carry(&*hr, &late[0]).await;
    world.pass(minutes(2)).await;
    let removal = world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(minutes(2)).await;
    hr.put(&uma, "staff", true);
    hr.calls();
    world.app.settle(&late[0][0], &answers[0], true, 1).await.unwrap();
    world.pass(minutes(10)).await;

    assert!(world.attempts(&uma, &staff).await.contains(&"grant discarded".to_owned()));
    assert!(!hr.has(&uma, "staff"));
    assert_eq!(hr.calls()[..2], ["observe uma staff", "revoke uma staff"]);
    assert_eq!(world.state(removal).await, "delivered");
}

#[tokio::test]
async fn what_one_process_claimed_no_other_takes() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let other = world.another_app();

    let request = world.submit(&uma, package).await;
    let mine = world.app.claim(hr.id(), &*hr, 10).await.unwrap();
    let theirs = other.claim(hr.id(), &*hr, 10).await.unwrap();
    let answers = world.app.carry(&*hr, &mine[0]).await;
    world.app.settle(&mine[0][0], &answers[0], true, 1).await.unwrap();
    world.pass(minutes(1)).await;

    assert!(theirs.is_empty());
    assert_eq!(hr.calls(), ["grant uma staff", "observe uma staff"]);
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn a_worker_that_wakes_up_after_its_deadline_does_not_call() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;

    let request = world.submit(&uma, package).await;
    let slept = world.app.claim(hr.id(), &*hr, 10).await.unwrap();
    world.pass(minutes(2)).await;
    let removal = world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(minutes(2)).await;
    hr.calls();
    world.app.carry(&*hr, &slept[0]).await;

    assert_eq!(hr.calls(), Vec::<String>::new());
    assert!(!hr.has(&uma, "staff"));
    assert_eq!(world.state(removal).await, "delivered");
}

#[tokio::test]
async fn a_removal_while_the_grant_is_in_flight_takes_back_what_the_grant_gave() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;

    let request = world.submit(&uma, package).await;
    let batches = world.app.claim(hr.id(), &*hr, 10).await.unwrap();
    world.set_active(&uma, false).await;
    let answers = world.app.carry(&*hr, &batches[0]).await;
    world.app.settle(&batches[0][0], &answers[0], true, 1).await.unwrap();
    world.pass(minutes(1)).await;

    assert!(!hr.has(&uma, "staff"));
    assert_eq!(world.state(request).await, "canceled");
    assert_eq!(world.assignment_state(request).await, "expired");
}

#[tokio::test]
async fn nothing_is_delivered_to_a_paused_target_until_it_is_resumed() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    world.pause(hr.id(), true).await;

    let request = world.submit(&uma, package).await;
    world.pass(hours(2)).await;
    let paused = (world.state(request).await, hr.calls());
    world.pause(hr.id(), false).await;
    world.pass(minutes(1)).await;

    assert_eq!(paused, ("delivering", Vec::new()));
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn a_request_for_later_begins_to_the_minute() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let start = at("2026-03-09T08:00:00Z");

    let request = world.try_submit_for(&uma, package, from(start)).await.unwrap();
    world.clock.set(start.checked_sub(minutes(1)).unwrap());
    world.work().await;
    let early = world.state(request).await;
    world.clock.set(start);
    world.work().await;
    world.pass(minutes(1)).await;

    assert_eq!(early, "scheduled");
    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(world.assignment(request).await.start, start);
}

#[tokio::test]
async fn a_request_whose_end_passed_before_it_could_begin_is_blocked_with_the_reason() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let schedule = accede_domain::schedule::Schedule {
        start_date_time: Some(at("2026-03-09T08:00:00Z")),
        ..until(at("2026-03-10T08:00:00Z"))
    };

    let request = world.try_submit_for(&uma, package, schedule).await.unwrap();
    world.sleep(days(30));
    world.pass(minutes(1)).await;

    assert_eq!(world.state(request).await, "deliveryFailed");
    assert_eq!(world.request(request).await.block.unwrap().0, "EndPassed");
    assert_eq!(hr.calls(), Vec::<String>::new());
    assert_eq!(code(&world.reprocess(request).await), "NoLongerDeliverable");
}

#[tokio::test]
async fn a_role_added_to_a_package_reaches_its_holders() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (staff, wiki) = (world.role(hr.id(), "staff").await, world.role(hr.id(), "wiki").await);
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;

    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    world.add_role(package, &wiki).await;
    let meanwhile = world.assignment_state(request).await;
    world.pass(minutes(1)).await;

    assert_eq!(meanwhile, "delivered", "nobody waits for everybody");
    assert!(hr.has(&uma, "wiki") && hr.has(&uma, "staff"));
    assert_eq!(world.assignment_state(request).await, "delivered");
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn a_role_removed_from_a_package_is_taken_from_its_holders() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (staff, wiki) = (world.role(hr.id(), "staff").await, world.role(hr.id(), "wiki").await);
    let package = world.package("Staff", &[&staff, &wiki]).await;
    let uma = world.person("uma").await;

    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    world.remove_role(package, &wiki).await;
    world.pass(minutes(1)).await;

    assert!(hr.has(&uma, "staff") && !hr.has(&uma, "wiki"));
    assert_eq!(world.assignment_state(request).await, "delivered");
}

#[tokio::test]
async fn a_change_of_roles_reaches_every_holder_though_the_server_dies_on_the_way() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (staff, wiki) = (world.role(hr.id(), "staff").await, world.role(hr.id(), "wiki").await);
    let package = world.package("Staff", &[&staff]).await;
    let other = world.package("Writers", &[&staff]).await;
    let mut people = Vec::new();
    for n in 0..20 {
        let person = world.person(&format!("p{n}")).await;
        world.submit(&person, package).await;
        people.push(person);
    }
    let spared = world.submit(&people[0], other).await;
    world.pass(minutes(1)).await;

    world.add_role(package, &wiki).await;
    world.remove_role(package, &staff).await;
    let asked = async || world.app.role_spread(&world.admin(), package).await.unwrap();
    let at_first = asked().await;
    // Sweeps are cut off, each a little later, until one has changed something.
    let mut polls = 0;
    let reached = loop {
        polls += 1;
        let mut sweep = Box::pin(world.app.sweep_once());
        for _ in 0..polls {
            assert!(futures_util::poll!(&mut sweep).is_pending(), "the sweep was not cut off");
        }
        drop(sweep);
        let spread = asked().await;
        if spread.behind < 20 {
            break spread;
        }
    };
    world.pass(minutes(1)).await;
    let at_last = asked().await;

    assert_eq!((at_first.holders, at_first.behind), (20, 20));
    assert!(0 < reached.behind, "{reached:?}");
    assert_eq!((at_last.holders, at_last.behind), (20, 0));
    assert!(people.iter().all(|person| hr.has(person, "wiki")));
    // Another package gives one of them the role that was taken.
    assert!(hr.has(&people[0], "staff"));
    assert!(people[1..].iter().all(|person| !hr.has(person, "staff")));
    assert_eq!(world.state(spared).await, "delivered");
    world.pass(minutes(5)).await;
    hr.calls();
    world.pass(minutes(90)).await;
    // What was taken is looked at once more; nothing is given or taken again.
    let calls = hr.calls();
    assert!(calls.iter().all(|call| call.starts_with("observe")), "{calls:?}");
}

#[tokio::test]
async fn a_failing_role_removed_from_its_package_leaves_the_rest_delivered() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (staff, wiki) = (world.role(hr.id(), "staff").await, world.role(hr.id(), "wiki").await);
    let package = world.package("Staff", &[&staff, &wiki]).await;
    let uma = world.person("uma").await;
    hr.trouble("wiki", Trouble::permanent("gone"));

    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    let before = world.assignment_state(request).await;
    world.remove_role(package, &wiki).await;
    world.pass(minutes(1)).await;

    assert_eq!(before, "partiallyDelivered");
    assert_eq!(world.assignment_state(request).await, "delivered");
    world.reprocess(request).await.unwrap();
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn a_role_added_later_that_fails_can_be_tried_again_by_reprocessing_the_assignment() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (staff, wiki) = (world.role(hr.id(), "staff").await, world.role(hr.id(), "wiki").await);
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;

    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.trouble("wiki", Trouble::permanent("not-yet"));
    world.add_role(package, &wiki).await;
    world.pass(minutes(1)).await;
    let failed = world.assignment(request).await;
    hr.heal();
    world.app.reprocess_assignment(&world.admin(), failed.id).await.unwrap();
    world.pass(minutes(1)).await;

    assert_eq!(failed.state.name(), "partiallyDelivered");
    assert_eq!(world.assignment_state(request).await, "delivered");
    assert!(hr.has(&uma, "wiki"));
}

#[tokio::test]
async fn access_that_existed_before_is_removed_at_the_end_unless_the_resource_keeps_it() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let taken = world.role(hr.id(), "taken").await;
    let kept = world.role_kept(hr.id(), "kept", true).await;
    let fresh = world.role_kept(hr.id(), "fresh", true).await;
    let package = world.package("Staff", &[&taken, &kept, &fresh]).await;
    let uma = world.person("uma").await;
    hr.put(&uma, "taken", true);
    hr.put(&uma, "kept", true);

    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(minutes(1)).await;

    assert_eq!(
        [hr.has(&uma, "taken"), hr.has(&uma, "kept"), hr.has(&uma, "fresh")],
        [false, true, false]
    );
    assert_eq!(world.delivery(&uma, &kept).await.delivery.observed, Observed::Present);
    assert_eq!(world.assignment_state(request).await, "expired");
}

#[tokio::test]
async fn retrying_a_delivery_tries_now_what_waits_and_refuses_what_was_given_up() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);

    hr.trouble("staff", Trouble::outage());
    let request = world.submit(&uma, package).await;
    world.pass(hours(3)).await;
    hr.heal();
    hr.calls();
    let waiting = world.delivery(&uma, &staff).await.id;
    let changed = world.app.retry_delivery(&world.admin(), waiting).await.unwrap();
    world.work().await;
    let calls = hr.calls();
    hr.trouble("staff", Trouble::permanent("http-403"));
    world.submit(&max, package).await;
    world.pass(minutes(1)).await;
    let failed = world.delivery(&max, &staff).await;

    assert!(changed);
    assert_eq!(calls, ["grant uma staff"]);
    assert_eq!(world.state(request).await, "delivered");
    assert!(matches!(failed.delivery.phase, Phase::Failed { .. }));
    let refused = world.app.retry_delivery(&world.admin(), failed.id).await;
    assert_eq!(code(&refused), "DeliveryFailed");
}

#[tokio::test]
async fn a_cause_is_retried_as_a_whole() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    hr.trouble("staff", Trouble::outage());
    let requests = [world.submit(&uma, package).await, world.submit(&max, package).await];
    world.pass(hours(3)).await;

    hr.heal();
    let causes = world.app.list_failures(&world.admin()).await.unwrap();
    let retried = world.app.retry_cause(&world.admin(), causes[0].cause.id).await.unwrap();
    world.work().await;
    world.pass(minutes(1)).await;

    assert_eq!((causes.len(), causes[0].cause.deliveries, causes[0].cause.people), (1, 2, 2));
    assert_eq!(retried, 2);
    assert_eq!(world.state(requests[0]).await, "delivered");
    assert_eq!(world.state(requests[1]).await, "delivered");
    assert!(world.app.list_failures(&world.admin()).await.unwrap().is_empty());
}
