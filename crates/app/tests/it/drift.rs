//! Somebody changes a target behind our back: found by comparing, repaired or told, closed when over.

use std::sync::Arc;

use accede_app::drift::{DriftKind, FindingState, NamedFinding};
use accede_app::targets::TargetChange;
use accede_app::{Listing, Settings};
use accede_domain::drift::Missing;
use accede_domain::id::PackageId;
use accede_store::testing::empty_stores;
use serde_json::{Map, json};

use crate::world::{Fake, Given, Somebody, Trouble, World, code, days, hours, minutes};

/// A world with a target, a role of it in a package, and somebody who has that.
struct Scene {
    engine: &'static str,
    world: World,
    hr: Arc<Fake>,
    staff: Given,
    package: PackageId,
    uma: Somebody,
}

async fn scenes() -> Vec<Scene> {
    scenes_with(Settings::default()).await
}

async fn scenes_with(settings: Settings) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for (engine, store) in empty_stores().await {
        let world = World::with(store, 7, settings.clone()).await;
        let hr = world.target("hr").await;
        let staff = world.role(hr.id(), "staff").await;
        let package = world.package("Staff", &[&staff]).await;
        let uma = world.person("uma").await;
        world.submit(&uma, package).await;
        world.pass(minutes(10)).await;
        assert!(hr.has(&uma, "staff"), "{engine}");
        hr.calls();
        scenes.push(Scene { engine, world, hr, staff, package, uma });
    }
    scenes
}

impl Scene {
    /// So much later, without anything happening in between, everything is compared.
    async fn later(&self, span: accede_domain::SignedDuration) {
        self.world.sleep(span);
        self.world.work().await;
        self.world.pass(minutes(2)).await;
    }

    /// Somebody asks for a comparison, and it is made.
    async fn compare(&self) {
        let admin = self.world.admin();
        self.world.app.compare_target(&admin, self.hr.id()).await.unwrap();
        self.world.sleep(minutes(2));
        self.world.pass(minutes(2)).await;
    }

    async fn findings(&self) -> Vec<NamedFinding> {
        let admin = self.world.admin();
        let page = self.world.app.list_drift(&admin, &Listing::default()).await.unwrap();
        page.items
    }

    async fn told(&self) -> Vec<(DriftKind, FindingState)> {
        let mut told: Vec<_> =
            self.findings().await.iter().map(|one| (one.finding.kind, one.finding.state)).collect();
        told.sort();
        told
    }
}

#[tokio::test]
async fn what_somebody_took_away_is_found_within_a_day_and_given_again() {
    for scene in scenes().await {
        let engine = scene.engine;
        scene.later(hours(20)).await;
        assert_eq!(scene.hr.calls(), Vec::<String>::new(), "{engine}: it is not time yet");
        scene.hr.put(&scene.uma, "staff", false);

        scene.later(hours(5)).await;

        assert!(scene.hr.has(&scene.uma, "staff"), "{engine}");
        let calls = scene.hr.calls();
        assert_eq!(calls[0], "observe uma staff", "{engine}: {calls:?}");
        assert_eq!(scene.hr.lists(), ["staff"], "{engine}");
        assert_eq!(calls.iter().filter(|call| *call == "grant uma staff").count(), 1, "{engine}");
        assert_eq!(
            scene.told().await,
            [(DriftKind::Missing, FindingState::Repaired)],
            "{engine}: closed by itself"
        );
        let found = scene.findings().await.remove(0);
        assert_eq!(found.person.unwrap().display_name, "uma", "{engine}");
        assert_eq!(
            (found.target_name, found.resource_name.unwrap()),
            ("hr".into(), "staff".into())
        );
        assert_eq!(scene.world.audits("access was removed in the target").await, 1, "{engine}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_taken_for_gone() {
    for scene in scenes().await {
        scene.hr.put(&scene.uma, "staff", true);
        let stranger = "ghost@elsewhere.example";
        scene.hr.put_stranger(stranger, "staff", true);
        scene.compare().await;
        assert_eq!(scene.told().await, [(DriftKind::Extra, FindingState::Open)]);
        scene.hr.calls();
        for trouble in
            [Trouble::timeout(), Trouble::transient("http-500"), Trouble::permanent("unreadable")]
        {
            scene.hr.trouble_times("staff", trouble.clone(), 3);
            scene.later(days(1)).await;
            scene.hr.heal();
            let calls = scene.hr.calls();
            assert!(calls.contains(&"observe uma staff".to_owned()), "{trouble:?}: {calls:?}");
            assert!(calls.iter().all(|call| !call.starts_with("grant")), "{trouble:?}: {calls:?}");
        }
        let engine = scene.engine;
        assert_eq!(scene.told().await, [(DriftKind::Extra, FindingState::Open)], "{engine}");
        let delivery = scene.world.delivery(&scene.uma, &scene.staff).await.delivery;
        assert!(delivery.is_so(), "{engine}: {delivery:?}");
    }
}

#[tokio::test]
async fn a_target_that_only_reports_waits_for_a_person() {
    let settings = Settings { drift_missing: Missing::Report, ..Settings::default() };
    for scene in scenes_with(settings).await {
        let (engine, world) = (scene.engine, &scene.world);
        let request = world.requests_of(&scene.uma).await.remove(0).id;
        scene.hr.put(&scene.uma, "staff", false);
        scene.later(days(1)).await;
        scene.later(days(1)).await;

        assert!(!scene.hr.has(&scene.uma, "staff"), "{engine}: nobody gave it again");
        assert_eq!(scene.told().await, [(DriftKind::Missing, FindingState::Open)], "{engine}");
        assert_eq!(world.assignment_state(request).await, "deliveryFailed", "{engine}");
        assert_eq!(world.state(request).await, "delivered", "{engine}");
        let causes = world.app.list_failures(&world.admin()).await.unwrap();
        assert_eq!(causes[0].cause.code, "drift", "{engine}");
        let found = scene.findings().await.remove(0).finding;
        assert!(found.first_seen < found.last_seen, "{engine}: it is looked at again");

        let id = found.id;
        world.app.repair_drift(&world.admin(), id).await.unwrap();
        world.app.repair_drift(&world.admin(), id).await.unwrap();
        world.pass(minutes(5)).await;

        assert!(scene.hr.has(&scene.uma, "staff"), "{engine}");
        assert_eq!(world.assignment_state(request).await, "delivered", "{engine}");
        let found = scene.findings().await.remove(0).finding;
        assert_eq!(found.state, FindingState::Repaired, "{engine}");
        assert_eq!(found.decided_by.as_deref(), Some("rita@x.example"), "{engine}");
        assert_eq!(code(&world.app.repair_drift(&world.admin(), id).await), "FindingClosed");
        assert_eq!(
            code(&world.app.dismiss_drift(&world.admin(), id, "late").await),
            "FindingClosed"
        );
    }
}

#[tokio::test]
async fn what_somebody_gives_back_in_the_target_is_seen_and_settled() {
    let settings = Settings { drift_missing: Missing::Report, ..Settings::default() };
    for scene in scenes_with(settings).await {
        let (engine, world) = (scene.engine, &scene.world);
        let request = world.requests_of(&scene.uma).await.remove(0).id;
        scene.hr.put(&scene.uma, "staff", false);
        scene.later(days(1)).await;
        let id = scene.findings().await.remove(0).finding.id;
        let dismissed =
            world.app.dismiss_drift(&world.admin(), id, "she is on leave").await.unwrap();
        assert_eq!(dismissed.finding.state, FindingState::Dismissed, "{engine}");
        assert!(world.app.dismiss_drift(&world.admin(), id, "  ").await.is_err(), "{engine}");
        scene.hr.put(&scene.uma, "staff", true);

        scene.later(days(1)).await;

        let found = scene.findings().await.remove(0).finding;
        assert_eq!(found.state, FindingState::Gone, "{engine}: nobody here repaired it");
        assert_eq!(found.reason.as_deref(), Some("she is on leave"), "{engine}");
        assert_eq!(world.assignment_state(request).await, "delivered", "{engine}");
        let calls = scene.hr.calls();
        assert!(calls.iter().all(|call| !call.starts_with("grant")), "{engine}: {calls:?}");
    }
}

#[tokio::test]
async fn a_target_may_report_where_the_server_repairs() {
    for scene in scenes().await {
        let world = &scene.world;
        let settings = Map::from_iter([("drift".to_owned(), json!("report"))]);
        let change = TargetChange { settings, ..TargetChange::default() };
        world.app.change_target(&world.admin(), scene.hr.id(), &change).await.unwrap();
        scene.hr.put(&scene.uma, "staff", false);

        scene.later(days(1)).await;

        assert!(!scene.hr.has(&scene.uma, "staff"), "{}", scene.engine);
        assert_eq!(scene.told().await, [(DriftKind::Missing, FindingState::Open)]);
    }
}

#[tokio::test]
async fn what_we_took_away_and_came_back_is_taken_away_again() {
    for scene in scenes().await {
        let (engine, world) = (scene.engine, &scene.world);
        let request = world.requests_of(&scene.uma).await.remove(0).id;
        world.remove(world.assignment(request).await.id).await.unwrap();
        world.pass(days(2)).await;
        assert!(!scene.hr.has(&scene.uma, "staff"), "{engine}");
        scene.hr.put(&scene.uma, "staff", true);
        scene.hr.calls();

        scene.compare().await;

        assert!(!scene.hr.has(&scene.uma, "staff"), "{engine}");
        assert_eq!(scene.told().await, [(DriftKind::CameBack, FindingState::Repaired)], "{engine}");
        assert_eq!(world.audits("access came back in the target").await, 1, "{engine}");
    }
}

#[tokio::test]
async fn a_role_that_is_repaired_again_and_again_is_contested_until_a_person_settles_it() {
    for scene in scenes().await {
        let (engine, world) = (scene.engine, &scene.world);
        let request = world.requests_of(&scene.uma).await.remove(0).id;
        for turn in 1..=3 {
            scene.hr.put(&scene.uma, "staff", false);
            scene.compare().await;
            assert!(scene.hr.has(&scene.uma, "staff"), "{engine}: repair {turn}");
        }
        scene.hr.put(&scene.uma, "staff", false);
        scene.compare().await;
        scene.compare().await;

        assert!(!scene.hr.has(&scene.uma, "staff"), "{engine}: no more by itself");
        let told = scene.told().await;
        let repaired = (DriftKind::Missing, FindingState::Repaired);
        assert_eq!(told[..3], [repaired; 3], "{engine}");
        assert_eq!(told[3..], [(DriftKind::Contested, FindingState::Open)], "{engine}");
        let causes = world.app.list_failures(&world.admin()).await.unwrap();
        assert_eq!(causes[0].cause.code, "contested", "{engine}");

        let assignment = world.assignment(request).await.id;
        world.app.reprocess_assignment(&world.admin(), assignment).await.unwrap();
        world.pass(minutes(5)).await;
        assert!(scene.hr.has(&scene.uma, "staff"), "{engine}: reprocessing gives it again");
        assert_eq!(scene.told().await[3].1, FindingState::Repaired, "{engine}");

        scene.hr.put(&scene.uma, "staff", false);
        scene.compare().await;
        assert!(scene.hr.has(&scene.uma, "staff"), "{engine}: repairs are counted anew");
    }
}

#[tokio::test]
async fn access_that_nothing_gives_is_told_by_name_and_not_touched() {
    for scene in scenes().await {
        let (engine, world) = (scene.engine, &scene.world);
        let max = world.person("max").await;
        scene.hr.put(&max, "staff", true);
        scene.hr.put_stranger("ghost@elsewhere.example", "staff", true);

        scene.compare().await;
        scene.compare().await;

        let extra = (DriftKind::Extra, FindingState::Open);
        assert_eq!(scene.told().await, [extra, extra], "{engine}");
        let found = scene.findings().await;
        let known = found.iter().find(|one| one.person.is_some()).unwrap();
        assert_eq!(known.finding.subject, Some(max.subject), "{engine}");
        let ghost = found.iter().find(|one| one.person.is_none()).unwrap();
        let holder = ghost.finding.holder.clone().unwrap();
        assert_eq!(holder.id, "account of ghost@elsewhere.example", "{engine}");
        assert_eq!(holder.name.as_deref(), Some("GHOST@ELSEWHERE.EXAMPLE"), "{engine}");
        assert!(scene.hr.has(&max, "staff"), "{engine}: it is not ours to take");
        let id = ghost.finding.id;
        assert_eq!(code(&world.app.repair_drift(&world.admin(), id).await), "ExtraAccess");
        world.app.dismiss_drift(&world.admin(), id, "the robot").await.unwrap();

        // Max gets it by an assignment, so it is extra no more; the robot stays accepted.
        world.submit(&max, scene.package).await;
        world.pass(minutes(5)).await;
        scene.compare().await;
        let told = scene.told().await;
        let (gone, dismissed) = (FindingState::Gone, FindingState::Dismissed);
        assert_eq!(told, [(DriftKind::Extra, gone), (DriftKind::Extra, dismissed)], "{engine}");

        scene.hr.put_stranger("ghost@elsewhere.example", "staff", false);
        scene.compare().await;
        assert_eq!(scene.told().await, [(DriftKind::Extra, gone); 2], "{engine}");
        let view = world.app.target(&world.admin(), scene.hr.id()).await.unwrap();
        assert_eq!((view.drift.total(), view.drift.is_comparing), (0, false), "{engine}");
        assert!(view.drift.compared_at.is_some(), "{engine}");
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_told_and_breaks_nothing() {
    for scene in scenes().await {
        let (engine, world) = (scene.engine, &scene.world);
        let payroll = world.role(scene.hr.id(), "payroll").await;
        world.package("Payroll", &[&payroll]).await;
        scene.hr.put_stranger("ghost@elsewhere.example", "staff", true);
        scene.hr.trouble("payroll", Trouble::Break);

        scene.compare().await;

        let view = world.app.target(&world.admin(), scene.hr.id()).await.unwrap().drift;
        assert_eq!((view.roles_unread, view.is_comparing), (1, false), "{engine}: {view:?}");
        assert!(view.problem.unwrap().contains("payroll"), "{engine}");
        assert_eq!(scene.told().await, [(DriftKind::Extra, FindingState::Open)], "{engine}");
    }
}

#[tokio::test]
async fn nothing_is_compared_while_work_is_due_or_the_circuit_is_open_or_it_is_turned_off() {
    let settings = Settings { drift_every: None, ..Settings::default() };
    for scene in scenes_with(settings).await {
        let (engine, world) = (scene.engine, &scene.world);
        scene.later(days(3)).await;
        assert_eq!(scene.hr.calls(), Vec::<String>::new(), "{engine}: turned off");

        scene.hr.trouble("*", Trouble::target("http-401"));
        let max = world.person("max").await;
        world.submit(&max, scene.package).await;
        world.pass(minutes(1)).await;
        scene.hr.calls();
        world.app.compare_target(&world.admin(), scene.hr.id()).await.unwrap();
        world.work().await;
        assert_eq!(scene.hr.calls(), Vec::<String>::new(), "{engine}: its circuit is open");

        scene.hr.heal();
        world.pass(hours(2)).await;
        world.pass(minutes(3)).await;
        let view = world.app.target(&world.admin(), scene.hr.id()).await.unwrap().drift;
        assert!(view.compared_at.is_some() && !view.is_comparing, "{engine}: {view:?}");
    }
}

#[tokio::test]
async fn one_of_several_servers_has_the_turn_and_another_goes_on_when_it_dies() {
    for scene in scenes().await {
        let (engine, world) = (scene.engine, &scene.world);
        let other = world.another_app();
        world.sleep(days(1));
        let (one, two) = tokio::join!(world.app.sweep_drift(), other.sweep_drift());
        assert_eq!(one.unwrap() + two.unwrap(), 2, "{engine}: one role listed, one read back");
        assert_eq!(scene.hr.lists(), ["staff"], "{engine}");
        world.pass(minutes(5)).await;

        // One died in its turn: its lease runs out.
        let target = scene.hr.id();
        world
            .store
            .write(async |tx| {
                let mut sweep = accede_store::drift_sweeps::lock(tx, target).await?;
                sweep.is_running = true;
                sweep.after = Default::default();
                sweep.turn_at = world.now().checked_add(minutes(15)).unwrap();
                accede_store::drift_sweeps::save(tx, &sweep).await
            })
            .await
            .unwrap();
        assert_eq!(other.sweep_drift().await.unwrap(), 0, "{engine}");
        world.sleep(minutes(15));
        other.sweep_drift().await.unwrap();
        assert_eq!(scene.hr.lists(), ["staff"], "{engine}");
    }
}

#[tokio::test]
async fn comparing_takes_its_share_of_a_target_and_no_more() {
    for (engine, store) in empty_stores().await {
        let world = World::over(store, 9).await;
        let hr = world.target("hr").await;
        let mut people = Vec::new();
        for n in 0..40 {
            let role = world.role(hr.id(), &format!("role{n}")).await;
            let package = world.package(&format!("Package {n}"), &[&role]).await;
            let person = world.person(&format!("p{n}")).await;
            world.submit(&person, package).await;
            people.push(person);
        }
        world.pass(minutes(10)).await;
        hr.calls();
        world.sleep(days(1));

        world.work().await;
        let made = || hr.calls().len() + hr.lists().len();
        assert_eq!(made(), 24, "{engine}: a twentieth of 8 calls at once in a minute");
        world.work().await;
        assert_eq!(made(), 0, "{engine}: not again in this minute");
        let mut turns = 1;
        while turns < 9
            && world.app.target(&world.admin(), hr.id()).await.unwrap().drift.compared_at.is_none()
        {
            world.sleep(minutes(1));
            world.work().await;
            assert!(made() <= 24, "{engine}");
            turns += 1;
        }

        assert_eq!(turns, 4, "{engine}: 40 roles read back and 40 lists are 80 calls");
    }
}

#[tokio::test]
async fn who_asks_again_and_again_sees_a_comparison_end_and_the_next_one_begin() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    for n in 0..40 {
        let role = world.role(hr.id(), &format!("role{n}")).await;
        let package = world.package(&format!("Package {n}"), &[&role]).await;
        let person = world.person(&format!("p{n}")).await;
        world.submit(&person, package).await;
    }
    world.pass(minutes(10)).await;
    let admin = world.admin();
    let mut ends = std::collections::BTreeSet::new();
    for _ in 0..12 {
        world.app.compare_target(&admin, hr.id()).await.unwrap();
        world.work().await;
        ends.extend(world.app.target(&admin, hr.id()).await.unwrap().drift.compared_at);
        world.sleep(minutes(1));
    }

    assert!(1 < ends.len(), "{ends:?}");
    world.pass(minutes(30)).await;
}

#[tokio::test]
async fn what_was_refused_and_is_not_wanted_any_more_keeps_no_comparison_from_its_end() {
    for scene in scenes().await {
        let Scene { engine, world, hr, package, .. } = &scene;
        let max = world.person("max").await;
        hr.trouble("staff", Trouble::permanent("http-403"));
        let refused = world.submit(&max, *package).await;
        world.pass(minutes(1)).await;
        assert_eq!(world.state(refused).await, "deliveryFailed", "{engine}");
        world.remove(world.assignment(refused).await.id).await.unwrap();
        hr.heal();
        world.pass(minutes(1)).await;
        scene.compare().await;

        // Asked for once more while the last one still ran, it would wait for its end.
        scene.compare().await;
        hr.put(&max, "staff", true);
        scene.compare().await;

        let told = scene.told().await;
        assert_eq!(told, [(DriftKind::Extra, FindingState::Open)], "{engine}");
    }
}

#[tokio::test]
async fn a_long_list_is_paid_for_before_the_next_turn() {
    for scene in scenes().await {
        let (engine, world) = (scene.engine, &scene.world);
        let payroll = world.role(scene.hr.id(), "payroll").await;
        world.package("Payroll", &[&payroll]).await;
        scene.hr.set_pages(240);
        world.sleep(days(1));

        world.work().await;
        assert_eq!(scene.hr.lists(), ["payroll"], "{engine}");
        world.sleep(minutes(9));
        world.work().await;
        assert_eq!(scene.hr.lists(), Vec::<String>::new(), "{engine}: 240 calls are ten minutes");
        world.sleep(minutes(2));
        world.work().await;
        assert_eq!(scene.hr.lists(), ["staff"], "{engine}");
    }
}

#[tokio::test]
async fn who_may_not_see_a_finding_does_not_find_it() {
    for scene in scenes().await {
        let (engine, world) = (scene.engine, &scene.world);
        scene.hr.put_stranger("ghost@elsewhere.example", "staff", true);
        scene.compare().await;
        let id = scene.findings().await.remove(0).finding.id;
        let uma = scene.uma.caller();

        assert_eq!(code(&world.app.get_drift(&uma, id).await), "NotFound", "{engine}");
        assert_eq!(code(&world.app.dismiss_drift(&uma, id, "why").await), "NotFound", "{engine}");
        assert_eq!(code(&world.app.repair_drift(&uma, id).await), "NotFound", "{engine}");
        assert_eq!(code(&world.app.list_drift(&uma, &Listing::default()).await), "Forbidden");
        assert_eq!(code(&world.app.compare_target(&uma, scene.hr.id()).await), "NotFound");
    }
}
