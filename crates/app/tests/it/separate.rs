//! Separation of duties: checked both ways, at request, at approval, at delivery, at reprocess.

use crate::world::{Trouble, World, approved_terms, code, days, from, minutes, stage, user};

#[tokio::test]
async fn a_pair_listed_on_either_side_is_refused_at_request() {
    let world = World::new().await;
    let (pay, audit) = (world.package("Pay", &[]).await, world.package("Audit", &[]).await);
    world.incompatible(pay, audit).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    world.submit(&uma, pay).await;
    world.submit(&max, audit).await;

    assert_eq!(code(&world.try_submit(&uma, audit).await), "IncompatibleAccess");
    assert_eq!(code(&world.try_submit(&max, pay).await), "IncompatibleAccess");
    assert_eq!(code(&world.assign(&uma, audit).await), "IncompatibleAccess");
}

#[tokio::test]
async fn members_of_an_incompatible_group_are_refused() {
    let world = World::new().await;
    let pay = world.package("Pay", &[]).await;
    let uma = world.person("uma").await;
    let auditors = world.group("auditors", &[&uma]).await;
    world.incompatible_group(pay, auditors).await;

    let refused = world.try_submit(&uma, pay).await;

    assert_eq!(code(&refused), "IncompatibleAccess");
    assert!(refused.unwrap_err().to_string().contains("auditors"));
}

#[tokio::test]
async fn of_two_incompatible_packages_approved_after_each_other_one_is_delivered() {
    let world = World::new().await;
    let max = world.person("max").await;
    let terms = approved_terms(vec![stage(&[user(&max)], &[])]);
    let hr = world.target("hr").await;
    let (a, b) = (world.role(hr.id(), "pay").await, world.role(hr.id(), "audit").await);
    let pay = world.package_under("Pay", &[&a], terms.clone()).await;
    let audit = world.package_under("Audit", &[&b], terms).await;
    world.incompatible(audit, pay).await;
    let uma = world.person("uma").await;
    let (first, second) = (world.submit(&uma, pay).await, world.submit(&uma, audit).await);

    world.approve(&max, first).await.unwrap();
    world.approve(&max, second).await.unwrap();
    world.pass(minutes(1)).await;

    assert_eq!(world.state(first).await, "delivered");
    assert_eq!(world.state(second).await, "deliveryFailed");
    assert_eq!(world.request(second).await.block.unwrap().0, "IncompatibleAccess");
    assert!(hr.has(&uma, "pay") && !hr.has(&uma, "audit"));
    assert_eq!(world.detail(second).await.view.causes.len(), 1);
}

#[tokio::test]
async fn a_conflict_that_arose_before_the_start_blocks_delivery_and_clears_when_it_is_gone() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let role = world.role(hr.id(), "pay").await;
    let (pay, audit) = (world.package("Pay", &[&role]).await, world.package("Audit", &[]).await);
    world.incompatible(pay, audit).await;
    let uma = world.person("uma").await;
    let start = world.now().checked_add(days(2)).unwrap();
    let scheduled = world.try_submit_for(&uma, pay, from(start)).await.unwrap();
    let other = world.submit(&uma, audit).await;

    world.pass(days(3)).await;
    let blocked = world.state(scheduled).await;
    let still = code(&world.reprocess(scheduled).await);
    world.remove(world.assignment(other).await.id).await.unwrap();
    world.pass(minutes(1)).await;
    world.reprocess(scheduled).await.unwrap();
    world.pass(minutes(1)).await;

    assert_eq!(blocked, "deliveryFailed");
    assert_eq!(still, "NoLongerDeliverable");
    assert_eq!(world.state(scheduled).await, "delivered");
    assert!(hr.has(&uma, "pay"));
    assert_eq!(world.request(scheduled).await.block, None);
}

#[tokio::test]
async fn a_pair_that_became_incompatible_is_refused_at_reprocess() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let role = world.role(hr.id(), "pay").await;
    let (pay, audit) = (world.package("Pay", &[&role]).await, world.package("Audit", &[]).await);
    let uma = world.person("uma").await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let failed = world.submit(&uma, pay).await;
    world.submit(&uma, audit).await;
    world.work().await;
    hr.heal();
    hr.calls();

    world.incompatible(audit, pay).await;

    assert_eq!(code(&world.reprocess(failed).await), "NoLongerDeliverable");
    assert_eq!(hr.calls(), Vec::<String>::new());
    let plan = world
        .app
        .plan_reprocess(
            &world.admin(),
            &accede_app::reprocess::Selection { ids: Some(vec![failed]), ..Default::default() },
        )
        .await
        .unwrap();
    assert_eq!(plan.summary.skipped[0].code, "IncompatibleAccess");
}

#[tokio::test]
async fn somebody_who_joined_an_incompatible_group_meanwhile_is_refused_at_reprocess() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let role = world.role(hr.id(), "pay").await;
    let pay = world.package("Pay", &[&role]).await;
    let uma = world.person("uma").await;
    let auditors = world.group("auditors", &[]).await;
    world.incompatible_group(pay, auditors).await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let failed = world.submit(&uma, pay).await;
    world.work().await;

    world.join(auditors, &uma).await;

    assert_eq!(code(&world.reprocess(failed).await), "NoLongerDeliverable");
}
