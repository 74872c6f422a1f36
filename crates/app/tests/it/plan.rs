//! Plans and jobs: see first, run once, survive a restart.

use accede_app::reprocess::Selection;
use accede_domain::id::{Id, RequestId};
use accede_store::plans::JobState;

use crate::world::{Somebody, Trouble, World, code, minutes};

fn of(ids: &[RequestId]) -> Selection {
    Selection { ids: Some(ids.to_vec()), ..Selection::default() }
}

/// Requests of so many people for a package in a target that refuses them.
async fn failed(
    world: &World,
    people: usize,
) -> (std::sync::Arc<crate::world::Fake>, Vec<(Somebody, RequestId)>) {
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    hr.trouble("*", Trouble::permanent("http-403"));
    let mut found = Vec::new();
    for n in 0..people {
        let person = world.person(&format!("p{n}")).await;
        let request = world.submit(&person, package).await;
        found.push((person, request));
    }
    world.work().await;
    hr.heal();
    hr.calls();
    (hr, found)
}

#[tokio::test]
async fn a_large_plan_is_run_by_a_second_person() {
    let settings = accede_app::Settings { four_eyes_above: Some(2), ..Default::default() };
    let store = accede_store::Store::open_in_memory().unwrap();
    let world = World::with(store, 1, settings).await;
    let (_, requests) = failed(&world, 3).await;
    let ids: Vec<RequestId> = requests.iter().map(|(_, id)| *id).collect();
    let (rita, bo) = (world.admin(), world.person("bo").await);
    let bo = accede_app::Caller { grants: rita.grants.clone(), ..bo.caller() };

    let small = world.app.plan_reprocess(&rita, &of(&ids[..2])).await.unwrap();
    let large = world.app.plan_reprocess(&rita, &of(&ids)).await.unwrap();
    assert!(!small.needs_second_person && large.awaits_somebody_else);
    let digest = &large.plan.digest;
    let alone = world.app.run_plan(&rita, large.plan.id, digest).await;
    assert_eq!(code(&alone), "SecondPersonNeeded");
    let seen = world.app.get_plan(&bo, large.plan.id).await.unwrap();
    assert!(seen.needs_second_person && !seen.awaits_somebody_else);
    let stranger = world.rita.caller();
    let stranger = accede_app::Caller { principal: requests[0].0.caller().principal, ..stranger };
    assert!(world.app.run_plan(&stranger, large.plan.id, digest).await.is_err());
    world.app.run_plan(&bo, large.plan.id, digest).await.unwrap();
    world.app.run_plan(&rita, small.plan.id, &small.plan.digest).await.unwrap();
    world.pass(minutes(1)).await;
    for (_, request) in &requests {
        assert_eq!(world.state(*request).await, "delivered");
    }
}

#[tokio::test]
async fn a_plan_tells_what_would_happen_and_nothing_happens() {
    let world = World::new().await;
    let (hr, requests) = failed(&world, 3).await;
    let other = world.package("Other", &[]).await;
    let done = world.submit(&requests[0].0, other).await;
    world.set_active(&requests[2].0, false).await;
    world.pass(minutes(1)).await;
    hr.calls();
    let unknown = RequestId::from_uuid(uuid::Uuid::from_u128(7));
    let ids = [requests[0].1, requests[1].1, requests[2].1, done, unknown];

    let view = world.app.plan_reprocess(&world.admin(), &of(&ids)).await.unwrap();

    assert_eq!((view.plan.eligible, view.plan.skipped), (2, 3));
    let mut skipped: Vec<&str> =
        view.summary.skipped.iter().map(|reason| reason.code.as_str()).collect();
    skipped.sort_unstable();
    assert_eq!(skipped, ["NotFound", "RequestNotReprocessable", "SubjectInactive"]);
    assert_eq!(view.summary.targets.len(), 1);
    assert_eq!(view.summary.targets[0].deliveries, 2);
    assert_eq!(hr.calls(), Vec::<String>::new());
    assert_eq!(world.state(requests[0].1).await, "deliveryFailed");
    let items = world.app.plan_items(&world.admin(), view.plan.id, 0, 100).await.unwrap();
    assert_eq!(items.len(), 5);
}

#[tokio::test]
async fn a_job_reprocesses_the_eligible_ones_and_reports_the_others() {
    let world = World::new().await;
    let (hr, requests) = failed(&world, 150).await;
    let ids: Vec<RequestId> = requests.iter().map(|(_, id)| *id).collect();
    let view = world.app.plan_reprocess(&world.admin(), &of(&ids)).await.unwrap();
    world.cancel(ids[0]).await.unwrap();

    let job = world.app.run_plan(&world.admin(), view.plan.id, &view.plan.digest).await.unwrap();
    world.pass(minutes(1)).await;

    let over = world.app.get_job(&world.admin(), job.job.id).await.unwrap();
    assert_eq!(over.job.state, JobState::Completed);
    assert!(over.is_over());
    let progress = over.progress;
    assert_eq!((progress.total, progress.accepted, progress.refused), (150, 149, 1));
    assert_eq!(progress.delivered, 149);
    assert_eq!(hr.calls().iter().filter(|call| call.starts_with("grant")).count(), 149);
    let items = world.app.job_items(&world.admin(), job.job.id, 0, 2).await.unwrap();
    let canceled = items.iter().find(|item| item.request == ids[0]).unwrap();
    assert_eq!(canceled.refusal.as_ref().unwrap().0, "RequestNotReprocessable");
}

#[tokio::test]
async fn running_a_plan_twice_gives_the_same_job_and_one_attempt_each() {
    let world = World::new().await;
    let (hr, requests) = failed(&world, 2).await;
    let ids: Vec<RequestId> = requests.iter().map(|(_, id)| *id).collect();
    let view = world.app.plan_reprocess(&world.admin(), &of(&ids)).await.unwrap();

    let admin = world.admin();
    let first = world.app.run_plan(&admin, view.plan.id, &view.plan.digest).await.unwrap();
    let again = world.app.run_plan(&admin, view.plan.id, &view.plan.digest).await.unwrap();
    world.pass(minutes(20)).await;
    let later = world.app.run_plan(&admin, view.plan.id, &view.plan.digest).await.unwrap();

    assert_eq!(first.job.id, again.job.id);
    assert_eq!(first.job.id, later.job.id);
    assert_eq!(hr.calls().iter().filter(|call| call.starts_with("grant")).count(), 2);
}

#[tokio::test]
async fn an_old_plan_or_a_wrong_digest_is_refused() {
    let world = World::new().await;
    let (_, requests) = failed(&world, 1).await;
    let admin = world.admin();
    let view = world.app.plan_reprocess(&admin, &of(&[requests[0].1])).await.unwrap();

    let wrong = world.app.run_plan(&admin, view.plan.id, "sha256:00").await;
    world.sleep(minutes(15));
    world.sleep(accede_domain::SignedDuration::from_millis(1));
    let old = world.app.run_plan(&admin, view.plan.id, &view.plan.digest).await;

    assert_eq!(code(&wrong), "PlanDigestMismatch");
    assert_eq!(code(&old), "PlanExpired");
    assert_eq!(world.state(requests[0].1).await, "deliveryFailed");
}

#[tokio::test]
async fn a_job_goes_on_after_a_restart() {
    let mut world = World::new().await;
    let (hr, requests) = failed(&world, 100).await;
    let ids: Vec<RequestId> = requests.iter().map(|(_, id)| *id).collect();
    let admin = world.admin();
    let view = world.app.plan_reprocess(&admin, &of(&ids)).await.unwrap();
    let job = world.app.run_plan(&admin, view.plan.id, &view.plan.digest).await.unwrap().job.id;

    let first = world.app.work_jobs().await.unwrap();
    world.restart();
    world.pass(minutes(1)).await;

    assert_eq!(first, 64);
    let over = world.app.get_job(&admin, job).await.unwrap();
    assert_eq!((over.job.state, over.progress.delivered), (JobState::Completed, 100));
    assert_eq!(hr.calls().iter().filter(|call| call.starts_with("grant")).count(), 100);
}

#[tokio::test]
async fn a_canceled_job_leaves_the_rest_alone() {
    let world = World::new().await;
    let (_, requests) = failed(&world, 100).await;
    let ids: Vec<RequestId> = requests.iter().map(|(_, id)| *id).collect();
    let admin = world.admin();
    let view = world.app.plan_reprocess(&admin, &of(&ids)).await.unwrap();
    let job = world.app.run_plan(&admin, view.plan.id, &view.plan.digest).await.unwrap().job.id;

    world.app.work_jobs().await.unwrap();
    world.app.cancel_job(&admin, job).await.unwrap();
    let again = world.app.cancel_job(&admin, job).await;
    world.pass(minutes(1)).await;

    let over = world.app.get_job(&admin, job).await.unwrap();
    assert_eq!(over.job.state, JobState::Canceled);
    assert_eq!((over.progress.accepted, over.progress.canceled), (64, 36));
    assert_eq!(over.progress.delivered, 64);
    assert_eq!(code(&again), "JobNotRunning");
}

#[tokio::test]
async fn an_empty_selection_of_ids_is_an_empty_plan_whose_job_is_over_at_once() {
    let world = World::new().await;
    let admin = world.admin();

    let view = world.app.plan_reprocess(&admin, &of(&[])).await.unwrap();
    let job = world.app.run_plan(&admin, view.plan.id, &view.plan.digest).await.unwrap();

    assert_eq!((view.plan.eligible, view.plan.skipped), (0, 0));
    assert_eq!(job.job.state, JobState::Completed);
    let nothing = world.app.plan_reprocess(&admin, &Selection::default()).await;
    assert_eq!(code(&nothing), "Invalid ids");
}

#[tokio::test]
async fn a_plan_of_a_cause_or_a_target_takes_everything_that_it_holds_up() {
    let world = World::new().await;
    let (hr, requests) = failed(&world, 3).await;
    let admin = world.admin();
    let cause = world.app.list_failures(&admin).await.unwrap()[0].cause.clone();

    let by_cause = Selection { cause: Some(cause.id), ..Selection::default() };
    let by_target = Selection { target: Some(hr.id()), ..Selection::default() };
    let by_cause = world.app.plan_reprocess(&admin, &by_cause).await.unwrap();
    let by_target = world.app.plan_reprocess(&admin, &by_target).await.unwrap();

    assert_eq!(cause.requests, 3);
    assert_eq!(by_cause.plan.eligible, 3);
    assert_eq!(by_target.plan.digest, by_cause.plan.digest);
    assert_eq!(requests.len(), 3);
}

#[tokio::test]
async fn a_person_without_the_role_can_neither_plan_nor_see_a_plan() {
    let world = World::new().await;
    let (_, requests) = failed(&world, 1).await;
    let admin = world.admin();
    let view = world.app.plan_reprocess(&admin, &of(&[requests[0].1])).await.unwrap();
    let stranger = requests[0].0.caller();

    let planned = world.app.plan_reprocess(&stranger, &of(&[requests[0].1])).await;
    let seen = world.app.get_plan(&stranger, view.plan.id).await;
    let run = world.app.run_plan(&stranger, view.plan.id, &view.plan.digest).await;

    assert_eq!(code(&planned), "Forbidden");
    assert_eq!(code(&seen), "NotFound");
    assert_eq!(code(&run), "NotFound");
    assert_eq!(code(&world.app.reprocess_request(&stranger, requests[0].1).await), "Forbidden");
}
