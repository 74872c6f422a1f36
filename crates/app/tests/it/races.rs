//! Things that are asked at once, by real threads, on both databases: one wins, and who loses is told.

use std::sync::Arc;

use accede_app::reprocess::Selection;
use accede_app::{App, Result};
use accede_domain::approval::Decision;
use accede_domain::id::{RequestId, StageId};
use accede_store::testing;
use tokio::sync::Barrier;

use crate::world::{
    Fake, Given, Somebody, Trouble, World, approved_terms, ask, code, minutes, stage, until, user,
};

/// How often each race is run on each database.
const ROUNDS: usize = 12;

/// A world on each database.
async fn worlds() -> Vec<(&'static str, World)> {
    let sqlite = World::over(testing::sqlite().await, 1).await;
    let postgres = World::over(testing::postgres().await, 2).await;
    vec![("sqlite", sqlite), ("postgres", postgres)]
}

/// Runs everything at once; the outcomes' codes, in the order asked.
async fn at_once(asks: Vec<futures_util::future::BoxFuture<'static, Result<()>>>) -> Vec<String> {
    let barrier = Arc::new(Barrier::new(asks.len()));
    let running: Vec<_> = asks
        .into_iter()
        .map(|ask| {
            let barrier = barrier.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                code(&ask.await)
            })
        })
        .collect();
    let mut codes = Vec::new();
    for one in running {
        codes.push(one.await.unwrap());
    }
    codes
}

/// Puts a verb where it can be run with others.
macro_rules! verb {
    ($world:expr, $app:ident => $body:expr) => {{
        let $app: App = $world.another_app();
        let asked: futures_util::future::BoxFuture<'static, Result<()>> =
            Box::pin(async move { $body.await.map(drop) });
        asked
    }};
}

fn count(codes: &[String], code: &str) -> usize {
    codes.iter().filter(|found| *found == code).count()
}

/// A person, a target with a role, and how they are called.
async fn cast(world: &World, round: usize) -> (Somebody, Arc<Fake>, Given) {
    let person = world.person(&format!("p{round}")).await;
    let target = world.target(&format!("t{round}")).await;
    let role = world.role(target.id(), "staff").await;
    (person, target, role)
}

async fn open_stage(world: &World, request: RequestId) -> StageId {
    world.approval(request).await.stages[0].row.id
}

fn approval(world: &World, who: &Somebody, request: RequestId, stage: StageId) -> Asked {
    let who = who.caller();
    verb!(world, app => app.decide(&who, request, stage, Decision::Approve, None))
}

type Asked = futures_util::future::BoxFuture<'static, Result<()>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_approvals_one_counts() {
    for (engine, world) in worlds().await {
        let (max, olga) = (world.person("max").await, world.person("olga").await);
        let terms = approved_terms(vec![stage(&[user(&max), user(&olga)], &[])]);
        let package = world.package_under("Staff", &[], terms).await;
        for round in 0..ROUNDS {
            let person = world.person(&format!("p{round}")).await;
            let request = world.submit(&person, package).await;
            let stage = open_stage(&world, request).await;

            let codes = at_once(vec![
                approval(&world, &max, request, stage),
                approval(&world, &olga, request, stage),
            ])
            .await;

            assert_eq!(count(&codes, "ok"), 1, "{engine}: {codes:?}");
            assert_eq!(count(&codes, "StageAlreadyDecided"), 1, "{engine}: {codes:?}");
            assert_eq!(world.state(request).await, "delivered", "{engine}");
            let history = world.history(request).await;
            assert_eq!(count(&history, "stageApproved"), 1, "{engine}: {history:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_an_approval_and_a_cancel_one_wins_and_the_other_is_refused() {
    for (engine, world) in worlds().await {
        let max = world.person("max").await;
        let hr = world.target("hr").await;
        let staff = world.role(hr.id(), "staff").await;
        let terms = approved_terms(vec![stage(&[user(&max)], &[])]);
        let package = world.package_under("Staff", &[&staff], terms).await;
        for round in 0..ROUNDS {
            let person = world.person(&format!("p{round}")).await;
            let request = world.submit(&person, package).await;
            let stage = open_stage(&world, request).await;
            let own = person.caller();

            let codes = at_once(vec![
                approval(&world, &max, request, stage),
                verb!(world, app => app.cancel_request(&own, request)),
            ])
            .await;

            let state = world.state(request).await;
            match (codes[0].as_str(), codes[1].as_str()) {
                ("ok", "RequestNotCancelable") => assert_eq!(state, "delivering", "{engine}"),
                ("StageNotOpen", "ok") => assert_eq!(state, "canceled", "{engine}"),
                _ => panic!("{engine}: {codes:?} in {state}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_reprocesses_are_one() {
    for (engine, world) in worlds().await {
        for round in 0..ROUNDS {
            let (person, target, role) = cast(&world, round).await;
            let package = world.package(&format!("Staff {round}"), &[&role]).await;
            target.trouble("*", Trouble::permanent("http-403"));
            let request = world.submit(&person, package).await;
            world.work().await;
            target.heal();
            target.calls();
            let admin = world.admin();

            let asks = (0..10)
                .map(|_| {
                    let admin = admin.clone();
                    verb!(world, app => app.reprocess_request(&admin, request))
                })
                .collect();
            let codes = at_once(asks).await;
            world.work().await;

            assert_eq!(count(&codes, "ok"), 10, "{engine}: {codes:?}");
            let history = world.history(request).await;
            assert_eq!(count(&history, "reprocessed"), 1, "{engine}: {history:?}");
            assert_eq!(target.calls(), [format!("grant p{round} staff")], "{engine}");
            assert_eq!(world.state(request).await, "delivered", "{engine}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_reprocess_and_a_cancel_one_wins_and_the_other_is_refused() {
    for (engine, world) in worlds().await {
        for round in 0..ROUNDS {
            let (person, target, role) = cast(&world, round).await;
            let package = world.package(&format!("Staff {round}"), &[&role]).await;
            target.trouble("*", Trouble::permanent("http-403"));
            let request = world.submit(&person, package).await;
            world.work().await;
            let (admin, own) = (world.admin(), person.caller());

            let codes = at_once(vec![
                verb!(world, app => app.reprocess_request(&admin, request)),
                verb!(world, app => app.cancel_request(&own, request)),
            ])
            .await;

            let state = world.state(request).await;
            match (codes[0].as_str(), codes[1].as_str()) {
                ("ok", "RequestNotCancelable") => assert_eq!(state, "delivering", "{engine}"),
                ("RequestNotReprocessable", "ok") => assert_eq!(state, "canceled", "{engine}"),
                _ => panic!("{engine}: {codes:?} in {state}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_incompatible_packages_approved_at_once_one_is_held() {
    for (engine, world) in worlds().await {
        let max = world.person("max").await;
        let terms = approved_terms(vec![stage(&[user(&max)], &[])]);
        let pay = world.package_under("Pay", &[], terms.clone()).await;
        let audit = world.package_under("Audit", &[], terms).await;
        world.incompatible(audit, pay).await;
        for round in 0..ROUNDS {
            let person = world.person(&format!("p{round}")).await;
            let first = world.submit(&person, pay).await;
            let second = world.submit(&person, audit).await;
            let stages = (open_stage(&world, first).await, open_stage(&world, second).await);

            let codes = at_once(vec![
                approval(&world, &max, first, stages.0),
                approval(&world, &max, second, stages.1),
            ])
            .await;

            assert_eq!(count(&codes, "ok"), 2, "{engine}: {codes:?}");
            let mut states = [world.state(first).await, world.state(second).await];
            states.sort_unstable();
            assert_eq!(states, ["delivered", "deliveryFailed"], "{engine}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_incompatible_packages_asked_for_at_once_one_is_refused() {
    for (engine, world) in worlds().await {
        let pay = world.package("Pay", &[]).await;
        let audit = world.package("Audit", &[]).await;
        world.incompatible(pay, audit).await;
        for round in 0..ROUNDS {
            let person = world.person(&format!("p{round}")).await;
            let (own, same) = (person.caller(), person.caller());

            let codes = at_once(vec![
                verb!(world, app => app.submit_request(&own, ask(pay))),
                verb!(world, app => app.submit_request(&same, ask(audit))),
            ])
            .await;

            assert_eq!(count(&codes, "ok"), 1, "{engine}: {codes:?}");
            assert_eq!(count(&codes, "IncompatibleAccess"), 1, "{engine}: {codes:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_requests_for_the_same_access_one_is_refused() {
    for (engine, world) in worlds().await {
        let max = world.person("max").await;
        let terms = approved_terms(vec![stage(&[user(&max)], &[])]);
        let package = world.package_under("Staff", &[], terms).await;
        for round in 0..ROUNDS {
            let person = world.person(&format!("p{round}")).await;
            let asks = (0..4)
                .map(|_| {
                    let own = person.caller();
                    verb!(world, app => app.submit_request(&own, ask(package)))
                })
                .collect();

            let codes = at_once(asks).await;

            assert_eq!(count(&codes, "ok"), 1, "{engine}: {codes:?}");
            assert_eq!(count(&codes, "OpenRequestExists"), 3, "{engine}: {codes:?}");
            assert_eq!(world.requests_of(&person).await.len(), 1, "{engine}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_packages_that_are_removed_at_once_take_their_role_exactly_once() {
    for (engine, world) in worlds().await {
        for round in 0..ROUNDS {
            let (person, target, role) = cast(&world, round).await;
            let one = world.package(&format!("One {round}"), &[&role]).await;
            let two = world.package(&format!("Two {round}"), &[&role]).await;
            let first = world.submit(&person, one).await;
            let second = world.submit(&person, two).await;
            world.pass(minutes(1)).await;
            target.calls();
            let admin = world.admin();
            let remove = |id| accede_app::requests::NewRequest {
                request_type: accede_domain::request::Type::AdminRemove,
                package: None,
                assignment: Some(id),
                ..ask(one)
            };
            let ids = [world.assignment(first).await.id, world.assignment(second).await.id];
            let asks = ids
                .iter()
                .map(|id| {
                    let (admin, new) = (admin.clone(), remove(*id));
                    verb!(world, app => app.submit_request(&admin, new))
                })
                .collect();

            let codes = at_once(asks).await;
            world.pass(minutes(1)).await;

            assert_eq!(count(&codes, "ok"), 2, "{engine}: {codes:?}");
            assert!(!target.has(&person, "staff"), "{engine}: nobody took it away");
            let revokes = [format!("revoke p{round} staff"), format!("observe p{round} staff")];
            assert_eq!(target.calls(), revokes, "{engine}");
            assert_eq!(world.assignment_state(first).await, "expired", "{engine}");
            assert_eq!(world.assignment_state(second).await, "expired", "{engine}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_end_that_two_processes_sweep_and_a_person_forestalls_is_one_removal() {
    for (engine, world) in worlds().await {
        for round in 0..ROUNDS {
            let (person, target, role) = cast(&world, round).await;
            let package = world.package(&format!("Staff {round}"), &[&role]).await;
            let end = world.now().checked_add(minutes(30)).unwrap();
            let request = world.try_submit_for(&person, package, until(end)).await.unwrap();
            world.pass(minutes(1)).await;
            target.calls();
            let assignment = world.assignment(request).await.id;
            world.clock.set(end);
            let admin = world.admin();
            let remove = accede_app::requests::NewRequest {
                request_type: accede_domain::request::Type::AdminRemove,
                package: None,
                assignment: Some(assignment),
                ..ask(package)
            };

            let codes = at_once(vec![
                verb!(world, app => app.sweep_once()),
                verb!(world, app => app.submit_request(&admin, remove)),
                verb!(world, app => app.sweep_once()),
            ])
            .await;
            world.pass(minutes(1)).await;

            assert_eq!((codes[0].as_str(), codes[2].as_str()), ("ok", "ok"), "{engine}: {codes:?}");
            assert!(
                matches!(codes[1].as_str(), "ok" | "AssignmentStateConflict" | "OpenRequestExists"),
                "{engine}: {codes:?}"
            );
            assert_eq!(world.requests_of(&person).await.len(), 2, "{engine}");
            let revokes = [format!("revoke p{round} staff"), format!("observe p{round} staff")];
            assert_eq!(target.calls(), revokes, "{engine}");
            assert_eq!(world.assignment_state(request).await, "expired", "{engine}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_two_answers_of_a_request_that_come_at_once_finish_it() {
    for (engine, world) in worlds().await {
        for round in 0..ROUNDS {
            let (person, target, role) = cast(&world, round).await;
            let wiki = world.role(target.id(), "wiki").await;
            let package = world.package(&format!("Staff {round}"), &[&role, &wiki]).await;
            let request = world.submit(&person, package).await;
            let batches = world.app.claim(target.id(), &*target, 10).await.unwrap();
            let mut asks = Vec::new();
            for batch in batches {
                let answers = world.app.carry(&*target, &batch).await;
                for (claimed, answer) in batch.into_iter().zip(answers) {
                    asks.push(verb!(world, app => app.settle(&claimed, &answer, true, 1)));
                }
            }

            assert_eq!(asks.len(), 2, "{engine}");
            let codes = at_once(asks).await;

            assert_eq!(count(&codes, "ok"), 2, "{engine}: {codes:?}");
            assert_eq!(world.state(request).await, "delivered", "{engine}");
            assert_eq!(world.assignment_state(request).await, "delivered", "{engine}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_that_is_settled_twice_at_once_counts_once() {
    for (engine, world) in worlds().await {
        for round in 0..ROUNDS {
            let (person, target, role) = cast(&world, round).await;
            let package = world.package(&format!("Staff {round}"), &[&role]).await;
            let request = world.submit(&person, package).await;
            let batches = world.app.claim(target.id(), &*target, 10).await.unwrap();
            let answers = world.app.carry(&*target, &batches[0]).await;
            let asks = (0..2)
                .map(|_| {
                    let (claimed, answer) = (batches[0][0].clone(), answers[0].clone());
                    verb!(world, app => app.settle(&claimed, &answer, true, 1))
                })
                .collect();

            at_once(asks).await;

            let mut attempts = world.attempts(&person, &role).await;
            attempts.sort();
            assert_eq!(attempts, ["grant applied", "grant discarded"], "{engine}");
            let history = world.history(request).await;
            assert_eq!(count(&history, "delivered"), 1, "{engine}: {history:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plan_that_is_run_twice_at_once_is_one_job_with_one_attempt_each() {
    for (engine, world) in worlds().await {
        for round in 0..ROUNDS {
            let (person, target, role) = cast(&world, round).await;
            let package = world.package(&format!("Staff {round}"), &[&role]).await;
            target.trouble("*", Trouble::permanent("http-403"));
            let request = world.submit(&person, package).await;
            world.work().await;
            target.heal();
            target.calls();
            let admin = world.admin();
            let selection = Selection { ids: Some(vec![request]), ..Selection::default() };
            let plan = world.app.plan_reprocess(&admin, &selection).await.unwrap().plan;
            let asks = (0..4)
                .map(|_| {
                    let (admin, plan) = (admin.clone(), plan.clone());
                    verb!(world, app => app.run_plan(&admin, plan.id, &plan.digest))
                })
                .collect();

            let codes = at_once(asks).await;
            let turns = (0..3).map(|_| verb!(world, app => app.work_jobs())).collect();
            let turned = at_once(turns).await;
            world.work().await;

            assert_eq!(count(&codes, "ok"), 4, "{engine}: {codes:?}");
            assert_eq!(count(&turned, "ok"), 3, "{engine}: {turned:?}");
            assert_eq!(target.calls(), [format!("grant p{round} staff")], "{engine}");
            let jobs = world.app.list_jobs(&admin, 100).await.unwrap();
            assert_eq!(jobs.len(), round + 1, "{engine}");
            assert_eq!(jobs[0].progress.delivered, 1, "{engine}: {:?}", jobs[0].progress);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_workers_deliver_everything_exactly_once() {
    for (engine, world) in worlds().await {
        let hr = world.target("hr").await;
        let staff = world.role(hr.id(), "staff").await;
        let package = world.package("Staff", &[&staff]).await;
        let mut requests = Vec::new();
        for n in 0..40 {
            let person = world.person(&format!("p{n}")).await;
            requests.push(world.submit(&person, package).await);
        }

        let workers = (0..4).map(|_| verb!(world, app => app.work_until_idle())).collect();
        let codes = at_once(workers).await;

        assert_eq!(count(&codes, "ok"), 4, "{engine}: {codes:?}");
        let mut calls = hr.calls();
        calls.sort();
        calls.dedup();
        assert_eq!(calls.len(), 40, "{engine}: {calls:?}");
        for request in requests {
            assert_eq!(world.state(request).await, "delivered", "{engine}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_role_that_is_added_while_somebody_gets_the_package_reaches_them() {
    for (engine, world) in worlds().await {
        for round in 0..ROUNDS {
            let (person, target, role) = cast(&world, round).await;
            let wiki = world.role(target.id(), "wiki").await;
            let package = world.package(&format!("Staff {round}"), &[&role]).await;
            let (own, admin) = (person.caller(), world.admin());
            let choice = accede_app::packages::RoleChoice {
                role: Some(wiki.role),
                scope: Some(wiki.scope),
                ..Default::default()
            };

            let codes = at_once(vec![
                verb!(world, app => app.submit_request(&own, ask(package))),
                verb!(world, app => app.add_role_scope(&admin, package, &choice, None)),
            ])
            .await;
            world.pass(minutes(1)).await;

            assert_eq!(count(&codes, "ok"), 2, "{engine}: {codes:?}");
            assert!(target.has(&person, "staff"), "{engine}");
            assert!(target.has(&person, "wiki"), "{engine}: the role was lost in the race");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn somebody_who_is_disabled_while_they_get_a_package_does_not_have_it() {
    for (engine, world) in worlds().await {
        for round in 0..ROUNDS {
            let (person, target, role) = cast(&world, round).await;
            let package = world.package(&format!("Staff {round}"), &[&role]).await;
            let (own, admin, name) = (person.caller(), world.admin(), person.name.clone());
            let change = accede_app::users::UserChange {
                account_enabled: Some(false),
                ..Default::default()
            };

            let codes = at_once(vec![
                verb!(world, app => app.submit_request(&own, ask(package))),
                verb!(world, app => app.change_user(&admin, &name, change)),
            ])
            .await;
            world.pass(minutes(2)).await;

            assert_eq!(codes[1], "ok", "{engine}: {codes:?}");
            assert!(
                matches!(codes[0].as_str(), "ok" | "Invalid assignment.targetId"),
                "{engine}: {codes:?}"
            );
            assert!(!target.has(&person, "staff"), "{engine}: {codes:?}");
            for request in world.requests_of(&person).await {
                assert_eq!(request.state.name(), "canceled", "{engine}");
            }
        }
    }
}

/// A person who is to get two roles at a target in which a grant may first make their account.
async fn newcomer(world: &World, round: usize) -> (Somebody, Arc<Fake>, [Given; 2]) {
    let person = world.person(&format!("p{round}")).await;
    let target = Arc::new(Fake::with_accounts(&format!("t{round}")));
    target.set_id(world.target_with(&format!("t{round}"), target.clone()).await);
    let roles = [world.role(target.id(), "staff").await, world.role(target.id(), "desk").await];
    (person, target, roles)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_never_reach_a_newcomer_at_once() {
    for (engine, world) in worlds().await {
        for round in 0..ROUNDS {
            let (person, target, [staff, desk]) = newcomer(&world, round).await;
            let package = world.package(&format!("P{round}"), &[&staff, &desk]).await;
            let request = world.submit(&person, package).await;
            let barrier = Arc::new(Barrier::new(2));
            let claims: Vec<_> = [world.another_app(), world.another_app()]
                .into_iter()
                .map(|app| {
                    let (barrier, target) = (barrier.clone(), target.clone());
                    tokio::spawn(async move {
                        barrier.wait().await;
                        app.claim(target.id(), &*target, 1).await.unwrap()
                    })
                })
                .collect();

            let mut claimed = Vec::new();
            for claim in claims {
                claimed.extend(claim.await.unwrap());
            }

            assert_eq!(claimed.len(), 1, "{engine}");
            let answers = world.app.carry(&*target, &claimed[0]).await;
            world.app.settle(&claimed[0][0], &answers[0], true, 1).await.unwrap();
            world.pass(minutes(2)).await;
            assert_eq!(world.state(request).await, "delivered", "{engine}: none is left behind");
        }
    }
}

#[tokio::test]
async fn a_newcomer_waits_for_their_first_grant_only_where_accounts_are_made() {
    for (engine, world) in worlds().await {
        let (person, target, [staff, desk]) = newcomer(&world, 0).await;
        let other = world.target("other").await;
        let others = [world.role(other.id(), "a").await, world.role(other.id(), "b").await];
        let first = world.package("First", &[&staff, &others[0]]).await;
        let second = world.package("Second", &[&desk, &others[1]]).await;
        let (one, two) = (world.another_app(), world.another_app());

        world.submit(&person, first).await;
        let mine = one.claim(target.id(), &*target, 9).await.unwrap();
        let elsewhere = one.claim(other.id(), &*other, 9).await.unwrap();
        world.submit(&person, second).await;
        let theirs = two.claim(target.id(), &*target, 9).await.unwrap();
        let also_elsewhere = two.claim(other.id(), &*other, 9).await.unwrap();
        let answers = one.carry(&*target, &mine[0]).await;
        one.settle(&mine[0][0], &answers[0], true, 1).await.unwrap();
        let then = two.claim(target.id(), &*target, 9).await.unwrap();

        assert_eq!((mine.len(), theirs.len(), then.len()), (1, 0, 1), "{engine}");
        assert_eq!((elsewhere.len(), also_elsewhere.len()), (1, 1), "{engine}");
        assert_eq!(then[0][0].row.key.resource, "desk", "{engine}");
    }
}
