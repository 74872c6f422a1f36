//! Approval: who is asked, in which order, and what their silence means.

use accede_domain::approval::Decision;
use accede_domain::id::PackageId;
use accede_domain::policy::Terms;
use accede_domain::schedule::Expiration;

use crate::world::{
    Somebody, World, approved_terms, code, days, manager, members, minutes, stage, until, user,
};

#[tokio::test]
async fn three_stages_are_decided_one_after_another_and_then_it_is_delivered() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let (boss, olga, max) =
        (world.person("boss").await, world.person("olga").await, world.person("max").await);
    let uma = world.person_under("uma", Some(&boss)).await;
    let owners = world.group("owners", &[&olga, &uma]).await;
    let stages =
        vec![stage(&[manager()], &[]), stage(&[members(owners)], &[]), stage(&[user(&max)], &[])];
    let package = world.package_under("Staff", &[&staff], approved_terms(stages)).await;

    let request = world.submit(&uma, package).await;
    let too_early = code(&world.decide_stage(&max, request, 2).await);
    let not_asked = code(&world.approve(&olga, request).await);
    world.approve(&boss, request).await.unwrap();
    let self_approval = code(&world.approve(&uma, request).await);
    world.approve(&olga, request).await.unwrap();
    let before = (world.state(request).await, hr.calls());
    world.approve(&max, request).await.unwrap();
    world.pass(minutes(1)).await;

    assert_eq!(too_early, "NotFound");
    assert_eq!(not_asked, "NotFound");
    assert_eq!(self_approval, "Forbidden");
    assert_eq!(before, ("pendingApproval", Vec::new()));
    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(
        world.history(request).await,
        [
            "submitted",
            "approvalStarted",
            "approversAsked",
            "stageApproved",
            "approversAsked",
            "stageApproved",
            "approversAsked",
            "stageApproved",
            "deliveryStarted",
            "delivered"
        ]
    );
}

#[tokio::test]
async fn without_a_manager_the_fallback_is_asked() {
    let world = World::new().await;
    let olga = world.person("olga").await;
    let uma = world.person("uma").await;
    let stages = vec![stage(&[manager()], &[user(&olga)])];
    let package = world.package_under("Staff", &[], approved_terms(stages)).await;

    let request = world.submit(&uma, package).await;
    world.approve(&olga, request).await.unwrap();

    assert_eq!(world.state(request).await, "delivered");
    let approval = world.approval(request).await;
    assert!(approval.stages[0].row.resolution.as_ref().unwrap().contains("fallback"));
}

#[tokio::test]
async fn a_disabled_manager_is_not_asked() {
    let world = World::new().await;
    let (boss, olga) = (world.person("boss").await, world.person("olga").await);
    let uma = world.person_under("uma", Some(&boss)).await;
    world.set_active(&boss, false).await;
    let stages = vec![stage(&[manager()], &[user(&olga)])];
    let package = world.package_under("Staff", &[], approved_terms(stages)).await;

    let request = world.submit(&uma, package).await;

    assert_eq!(code(&world.approve(&boss, request).await), "NotFound");
    assert_eq!(code(&world.approve(&olga, request).await), "ok");
}

#[tokio::test]
async fn an_approver_who_was_disabled_meanwhile_may_not_decide() {
    let world = World::new().await;
    let (max, uma) = (world.person("max").await, world.person("uma").await);
    let stages = vec![stage(&[user(&max)], &[])];
    let package = world.package_under("Staff", &[], approved_terms(stages)).await;
    let request = world.submit(&uma, package).await;

    world.set_active(&max, false).await;

    assert_eq!(code(&world.approve(&max, request).await), "Forbidden");
    assert_eq!(world.state(request).await, "pendingApproval");
}

#[tokio::test]
async fn with_nobody_to_ask_it_waits_and_expires_and_is_never_approved() {
    let world = World::new().await;
    let uma = world.person("uma").await;
    let empty = world.group("empty", &[&uma]).await;
    let stages = vec![stage(&[manager(), members(empty)], &[user(&uma)])];
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package_under("Staff", &[&staff], approved_terms(stages)).await;

    let request = world.submit(&uma, package).await;
    world.pass(days(13)).await;
    let waiting = world.state(request).await;
    world.pass(days(2)).await;

    assert_eq!(waiting, "pendingApproval");
    assert_eq!(world.state(request).await, "denied");
    assert_eq!(world.request(request).await.state.status(), "Expired");
    assert_eq!(hr.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_denial_ends_it_whatever_stages_follow() {
    let world = World::new().await;
    let (max, olga, uma) =
        (world.person("max").await, world.person("olga").await, world.person("uma").await);
    let stages = vec![stage(&[user(&max)], &[]), stage(&[user(&olga)], &[])];
    let package = world.package_under("Staff", &[], approved_terms(stages)).await;
    let request = world.submit(&uma, package).await;

    world.decide(&max, request, Decision::Deny).await.unwrap();

    assert_eq!(world.state(request).await, "denied");
    assert_eq!(world.request(request).await.state.status(), "Denied");
    assert_eq!(code(&world.decide_stage(&olga, request, 1).await), "NotFound");
    assert_eq!(code(&world.decide_stage(&max, request, 0).await), "StageAlreadyDecided");
    assert_eq!(code(&world.reprocess(request).await), "RequestNotReprocessable");
}

#[tokio::test]
async fn a_stage_is_decided_once() {
    let world = World::new().await;
    let (max, olga, uma) =
        (world.person("max").await, world.person("olga").await, world.person("uma").await);
    let stages = vec![stage(&[user(&max), user(&olga)], &[])];
    let package = world.package_under("Staff", &[], approved_terms(stages)).await;
    let request = world.submit(&uma, package).await;

    world.approve(&max, request).await.unwrap();

    assert_eq!(code(&world.approve(&olga, request).await), "StageAlreadyDecided");
    assert_eq!(code(&world.decide(&olga, request, Decision::Deny).await), "StageAlreadyDecided");
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn a_decision_one_millisecond_after_the_deadline_is_refused() {
    let world = World::new().await;
    let (max, uma) = (world.person("max").await, world.person("uma").await);
    let stages = vec![stage(&[user(&max)], &[])];
    let package = world.package_under("Staff", &[], approved_terms(stages)).await;
    let request = world.submit(&uma, package).await;

    world.sleep(days(14));
    let late = code(&world.approve(&max, request).await);
    world.work().await;

    assert_eq!(late, "StageNotOpen");
    assert_eq!(world.request(request).await.state.status(), "Expired");
    assert_eq!(code(&world.approve(&max, request).await), "StageNotOpen");
}

#[tokio::test]
async fn a_request_that_was_canceled_cannot_be_approved() {
    let world = World::new().await;
    let (max, uma) = (world.person("max").await, world.person("uma").await);
    let stages = vec![stage(&[user(&max)], &[])];
    let package = world.package_under("Staff", &[], approved_terms(stages)).await;
    let request = world.submit(&uma, package).await;

    world.app.cancel_request(&uma.caller(), request).await.unwrap();

    assert_eq!(code(&world.approve(&max, request).await), "StageNotOpen");
    assert_eq!(world.state(request).await, "canceled");
    world.pass(days(20)).await;
    assert_eq!(world.state(request).await, "canceled");
}

#[tokio::test]
async fn the_stages_of_a_pending_request_are_those_of_its_submission() {
    let world = World::new().await;
    let (max, olga, uma) =
        (world.person("max").await, world.person("olga").await, world.person("uma").await);
    let stages = vec![stage(&[user(&max)], &[])];
    let package = world.package_under("Staff", &[], approved_terms(stages)).await;
    let request = world.submit(&uma, package).await;

    world.replace_terms(package, approved_terms(vec![stage(&[user(&olga)], &[])])).await;
    let other = code(&world.approve(&olga, request).await);
    world.approve(&max, request).await.unwrap();

    assert_eq!(other, "NotFound");
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn a_manager_who_asks_for_a_report_does_not_decide_it() {
    let world = World::new().await;
    let (boss, olga) = (world.person("boss").await, world.person("olga").await);
    let uma = world.person_under("uma", Some(&boss)).await;
    let mut terms = approved_terms(vec![stage(&[user(&boss), user(&uma)], &[user(&olga)])]);
    terms.requestor_settings.enable_on_behalf_requestors_to_add_access = true;
    let package = world.package_under("Staff", &[], terms).await;
    let new = accede_app::requests::NewRequest {
        target: accede_app::requests::ForWhom::User(uma.user),
        ..crate::world::ask(package)
    };

    let request = world.app.submit_request(&boss.caller(), new).await.unwrap().id;

    assert_eq!(code(&world.approve(&boss, request).await), "Forbidden");
    assert_eq!(code(&world.approve(&uma, request).await), "Forbidden");
    assert_eq!(code(&world.approve(&olga, request).await), "ok");
    assert_eq!(world.assignment(request).await.subject, uma.subject);
}

/// A package of one role that Olga approves; its access lasts 30 days.
async fn thirty_days() -> (World, Somebody, Somebody, PackageId) {
    let world = World::new().await;
    let olga = world.person("olga").await;
    let uma = world.person("uma").await;
    let terms = Terms {
        expiration: Expiration::AfterDuration { duration: "P30D".parse().unwrap() },
        ..approved_terms(vec![stage(&[user(&olga)], &[])])
    };
    let package = world.package_under("Staff", &[], terms).await;
    (world, olga, uma, package)
}

#[tokio::test]
async fn the_days_that_approval_took_are_not_taken_from_the_access() {
    let (world, olga, uma, package) = thirty_days().await;

    let request = world.submit(&uma, package).await;
    let waiting = world.request(request).await;
    world.sleep(days(10));
    let approved = world.now();
    world.approve(&olga, request).await.unwrap();

    assert_eq!((waiting.begins, waiting.end), (None, None));
    let assignment = world.assignment(request).await;
    assert_eq!(assignment.start, approved);
    assert_eq!(assignment.end, Some(approved.checked_add(days(30)).unwrap()));
}

#[tokio::test]
async fn an_asked_end_is_capped_by_the_policy_when_it_is_approved() {
    let (world, olga, uma, package) = thirty_days().await;
    let far = world.now().checked_add(days(300)).unwrap();
    let near = world.now().checked_add(days(20)).unwrap();
    let max = world.person("max").await;

    let for_long = world.try_submit_for(&uma, package, until(far)).await.unwrap();
    let for_short = world.try_submit_for(&max, package, until(near)).await.unwrap();
    world.sleep(days(10));
    let approved = world.now();
    world.approve(&olga, for_long).await.unwrap();
    world.approve(&olga, for_short).await.unwrap();

    let most = approved.checked_add(days(30)).unwrap();
    assert_eq!(world.assignment(for_long).await.end, Some(most));
    assert_eq!(world.assignment(for_short).await.end, Some(near));
}

#[tokio::test]
async fn approval_after_the_asked_end_gives_nothing_and_says_why() {
    let (world, olga, uma, package) = thirty_days().await;
    let near = world.now().checked_add(days(5)).unwrap();

    let request = world.try_submit_for(&uma, package, until(near)).await.unwrap();
    world.sleep(days(10));
    world.approve(&olga, request).await.unwrap();

    assert_eq!(world.state(request).await, "deliveryFailed");
    assert_eq!(world.request(request).await.block.unwrap().0, "EndPassed");
}
