//! Access that nothing gives, where the policy or a person says that it is taken away.

use std::sync::Arc;

use accede_app::drift::{DriftKind, FindingState, NamedFinding};
use accede_app::guards::{GuardCause, GuardState, GuardView, Ruling};
use accede_app::instance;
use accede_app::targets::TargetChange;
use accede_app::{Caller, Listing, Settings};
use accede_domain::deployment::Mark;
use accede_domain::drift::Extra;
use accede_domain::id::PackageId;
use accede_domain::permission::{DirectoryRole, Grants};
use accede_store::testing::empty_stores;
use serde_json::{Map, json};

use crate::world::{Fake, Given, Somebody, Trouble, World, code, hours, minutes};

/// A target whose role `staff` a package gives to Uma.
struct Scene {
    engine: &'static str,
    world: World,
    hr: Arc<Fake>,
    staff: Given,
    package: PackageId,
    uma: Somebody,
}

async fn scenes(extra: Extra, keep: bool) -> Vec<Scene> {
    let settings = Settings { drift_extra: extra, ..Settings::default() };
    let mut scenes = Vec::new();
    for (engine, store) in empty_stores().await {
        let world = World::with(store, 7, settings.clone()).await;
        let hr = world.target("hr").await;
        let staff = world.role_kept(hr.id(), "staff", keep).await;
        let package = world.package("Staff", &[&staff]).await;
        let uma = world.person("uma").await;
        world.submit(&uma, package).await;
        world.pass(minutes(10)).await;
        hr.calls();
        scenes.push(Scene { engine, world, hr, staff, package, uma });
    }
    scenes
}

impl Scene {
    /// Somebody asks for a comparison, and it is made.
    async fn compare(&self) {
        let admin = self.world.admin();
        self.world.app.compare_target(&admin, self.hr.id()).await.unwrap();
        self.world.sleep(minutes(2));
        self.world.pass(minutes(2)).await;
    }

    async fn findings(&self) -> Vec<NamedFinding> {
        let admin = self.world.admin();
        self.world.app.list_drift(&admin, &Listing::default()).await.unwrap().items
    }

    async fn told(&self) -> Vec<(DriftKind, FindingState)> {
        let mut told: Vec<_> =
            self.findings().await.iter().map(|one| (one.finding.kind, one.finding.state)).collect();
        told.sort();
        told
    }

    async fn set(&self, policy: &str) {
        let settings = Map::from_iter([("driftExtra".to_owned(), json!(policy))]);
        let change = TargetChange { settings, ..TargetChange::default() };
        self.world.app.change_target(&self.world.admin(), self.hr.id(), &change).await.unwrap();
    }

    /// So many people whom nobody gave the role.
    async fn crowd(&self, many: usize) -> Vec<Somebody> {
        let mut people = Vec::new();
        for n in 0..many {
            let person = self.world.person(&format!("p{n}")).await;
            self.hr.put(&person, "staff", true);
            people.push(person);
        }
        people
    }

    fn having(&self, people: &[Somebody]) -> usize {
        people.iter().filter(|person| self.hr.has(person, "staff")).count()
    }

    /// Somebody else who may decide.
    async fn another_admin(&self) -> Caller {
        let grants =
            Grants { directory: vec![DirectoryRole::GlobalAdministrator], ..Grants::default() };
        Caller { grants, ..self.world.person("bo").await.caller() }
    }

    async fn guard(&self) -> GuardView {
        self.world.app.list_guards(&self.world.admin()).await.unwrap().remove(0)
    }
}

const OPEN: (DriftKind, FindingState) = (DriftKind::Extra, FindingState::Open);
const REPAIRED: (DriftKind, FindingState) = (DriftKind::Extra, FindingState::Repaired);

#[tokio::test]
async fn a_person_loses_what_nothing_gives_them_and_a_stranger_is_only_told() {
    for scene in scenes(Extra::Revoke, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        let max = world.person("max").await;
        scene.hr.put(&max, "staff", true);
        scene.hr.put_stranger("ghost@elsewhere.example", "staff", true);

        scene.compare().await;

        assert!(!scene.hr.has(&max, "staff"), "{engine}");
        assert!(scene.hr.has(&scene.uma, "staff"), "{engine}: hers is given");
        assert_eq!(scene.told().await, [OPEN, REPAIRED], "{engine}");
        assert_eq!(world.audits("extra access is taken away").await, 1, "{engine}");
        let row = world.delivery(&max, &scene.staff).await.delivery;
        assert!(row.is_so() && !row.wanted && row.verified.is_some(), "{engine}: {row:?}");
        assert_eq!(world.attempts(&max, &scene.staff).await[0], "revoke applied", "{engine}");
    }
}

#[tokio::test]
async fn an_account_that_becomes_somebodys_is_theirs() {
    for scene in scenes(Extra::Revoke, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        scene.hr.put_stranger("zoe@x.example", "staff", true);
        scene.compare().await;
        assert_eq!(scene.told().await, [OPEN], "{engine}: nobody knows whose it is");

        let zoe = world.person("zoe").await;
        scene.compare().await;

        assert!(!scene.hr.has(&zoe, "staff"), "{engine}");
        assert_eq!(scene.told().await, [REPAIRED], "{engine}");
    }
}

#[tokio::test]
async fn it_is_told_unless_somebody_says_otherwise_for_the_target_or_for_one_finding() {
    for scene in scenes(Extra::Report, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        let (max, ann) = (world.person("max").await, world.person("ann").await);
        scene.hr.put(&max, "staff", true);
        scene.compare().await;
        assert_eq!(scene.told().await, [OPEN], "{engine}");
        assert!(scene.hr.has(&max, "staff"), "{engine}");

        let id = scene.findings().await.remove(0).finding.id;
        scene.hr.trouble_times("staff", Trouble::transient("http-500"), 1);
        world.app.repair_drift(&world.admin(), id).await.unwrap();
        world.work().await;
        assert!(scene.hr.has(&max, "staff"), "{engine}: the target has trouble");
        world.app.repair_drift(&world.admin(), id).await.unwrap();
        world.pass(minutes(5)).await;
        assert!(!scene.hr.has(&max, "staff"), "{engine}: tried like every removal");
        let found = scene.findings().await.remove(0).finding;
        assert_eq!(found.state, FindingState::Repaired, "{engine}");
        assert_eq!(found.decided_by.as_deref(), Some("rita@x.example"), "{engine}");

        scene.hr.put(&ann, "staff", true);
        scene.set("revoke").await;
        scene.compare().await;
        assert!(!scene.hr.has(&ann, "staff"), "{engine}");
        assert_eq!(scene.told().await, [REPAIRED; 2], "{engine}");
    }
}

#[tokio::test]
async fn so_many_at_once_wait_for_a_second_person() {
    for scene in scenes(Extra::Revoke, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        let people = scene.crowd(30).await;
        scene.compare().await;
        scene.compare().await;

        assert_eq!(scene.having(&people), 30, "{engine}: not one of them");
        let held = scene.guard().await;
        assert_eq!(held.guard.cause, GuardCause::ExtraAccess, "{engine}");
        assert_eq!(held.targets[0].0.changes.revocations, 30, "{engine}");
        assert_eq!(world.audits("change held").await, 1, "{engine}: once, not at each comparison");
        let (id, rule) = (held.guard.id, Ruling::default());
        let nobody = scene.uma.caller();
        assert_eq!(code(&world.app.release_guard(&nobody, id, &rule).await), "NotFound");

        world.app.release_guard(&world.admin(), id, &rule).await.unwrap();
        world.pass(minutes(5)).await;

        assert_eq!(scene.having(&people), 0, "{engine}");
        assert!(scene.hr.has(&scene.uma, "staff"), "{engine}");
        assert_eq!(scene.told().await, [REPAIRED; 30], "{engine}");
    }
}

#[tokio::test]
async fn who_has_it_taken_away_is_not_the_second_person_and_just_what_was_counted_is_taken() {
    for scene in scenes(Extra::Report, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        let people = scene.crowd(30).await;
        scene.compare().await;
        scene.set("revoke").await;
        scene.compare().await;
        let held = scene.guard().await;
        assert_eq!(held.causers, ["rita@x.example"], "{engine}");
        let (id, rule) = (held.guard.id, Ruling::default());
        let own = world.app.release_guard(&world.admin(), id, &rule).await;
        assert_eq!(code(&own), "Forbidden", "{engine}: she said so");
        let late = world.person("late").await;
        scene.hr.put(&late, "staff", true);

        let bo = scene.another_admin().await;
        world.app.release_guard(&bo, id, &rule).await.unwrap();
        world.pass(minutes(5)).await;

        assert_eq!(scene.having(&people), 0, "{engine}");
        assert!(scene.hr.has(&late, "staff"), "{engine}: nobody saw that");
    }
}

#[tokio::test]
async fn a_change_of_the_one_of_thirty_is_another_change() {
    for scene in scenes(Extra::Revoke, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        let people = scene.crowd(30).await;
        scene.compare().await;
        let first = scene.guard().await.guard;
        let new = world.person("new").await;
        scene.hr.put(&people[0], "staff", false);
        scene.hr.put(&new, "staff", true);
        scene.compare().await;

        let second = scene.guard().await.guard;
        assert_eq!(second.id, first.id, "{engine}");
        let seen = Ruling { expected: Some(first.version), justification: None };
        let refused = world.app.release_guard(&world.admin(), first.id, &seen).await;
        assert_eq!(code(&refused), "Stale", "{engine}: as many, but not the same");
    }
}

#[tokio::test]
async fn who_rejects_the_removal_accepts_what_is_there() {
    for scene in scenes(Extra::Revoke, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        let people = scene.crowd(26).await;
        scene.compare().await;
        let id = scene.guard().await.guard.id;
        let bo = scene.another_admin().await;
        let why = Ruling { justification: Some("they are temps".to_owned()), expected: None };
        world.app.reject_guard(&bo, id, &why).await.unwrap();

        scene.compare().await;

        assert_eq!(scene.having(&people), 26, "{engine}");
        let found = scene.findings().await;
        assert!(found.iter().all(|one| one.finding.state == FindingState::Dismissed), "{engine}");
        assert_eq!(found[0].finding.reason.as_deref(), Some("they are temps"), "{engine}");
    }
}

#[tokio::test]
async fn what_is_held_is_withdrawn_when_it_is_only_to_be_told() {
    for scene in scenes(Extra::Revoke, false).await {
        let people = scene.crowd(26).await;
        scene.compare().await;
        scene.set("report").await;
        scene.compare().await;

        assert_eq!(scene.guard().await.guard.state, GuardState::Withdrawn, "{}", scene.engine);
        assert_eq!(scene.having(&people), 26, "{}", scene.engine);
    }
}

#[tokio::test]
async fn an_assignment_that_comes_meanwhile_gives_it() {
    for scene in scenes(Extra::Revoke, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        let max = world.person("max").await;
        scene.hr.put(&max, "staff", true);
        scene.compare().await;
        assert!(!scene.hr.has(&max, "staff"), "{engine}");

        // Taken away, and given afterwards: it is ours.
        let request = world.submit(&max, scene.package).await;
        world.pass(minutes(5)).await;
        assert!(scene.hr.has(&max, "staff"), "{engine}");
        assert!(!world.delivery(&max, &scene.staff).await.delivery.pre_existing, "{engine}");
        assert_eq!(world.state(request).await, "delivered", "{engine}");

        // Given while the removal waits: it stays, as access that was there before.
        let ann = world.person("ann").await;
        scene.hr.put(&ann, "staff", true);
        scene.set("report").await;
        scene.compare().await;
        let found = scene.findings().await;
        let id = found.iter().find(|one| one.finding.subject == Some(ann.subject)).unwrap();
        world.app.repair_drift(&world.admin(), id.finding.id).await.unwrap();
        let request = world.submit(&ann, scene.package).await;
        scene.hr.calls();
        world.pass(minutes(5)).await;
        scene.compare().await;
        assert!(scene.hr.has(&ann, "staff"), "{engine}");
        let calls = scene.hr.calls();
        assert!(!calls.contains(&"revoke ann staff".to_owned()), "{engine}: {calls:?}");
        assert!(world.delivery(&ann, &scene.staff).await.delivery.pre_existing, "{engine}");
        assert_eq!(world.state(request).await, "delivered", "{engine}");
        assert_eq!(scene.told().await.last().unwrap().1, FindingState::Gone, "{engine}");
    }
}

#[tokio::test]
async fn what_is_kept_and_what_somebody_accepted_is_not_taken() {
    for scene in scenes(Extra::Revoke, true).await {
        let (engine, world) = (scene.engine, &scene.world);
        let max = world.person("max").await;
        scene.hr.put(&max, "staff", true);
        scene.compare().await;
        let id = scene.findings().await.remove(0).finding.id;
        let refused = world.app.repair_drift(&world.admin(), id).await;
        assert_eq!(code(&refused), "ExtraAccess", "{engine}: the resource keeps it");
        assert!(scene.hr.has(&max, "staff"), "{engine}");
    }
    for scene in scenes(Extra::Report, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        let max = world.person("max").await;
        scene.hr.put(&max, "staff", true);
        scene.compare().await;
        let id = scene.findings().await.remove(0).finding.id;
        world.app.dismiss_drift(&world.admin(), id, "a temp").await.unwrap();
        scene.set("revoke").await;
        scene.compare().await;
        assert!(scene.hr.has(&max, "staff"), "{engine}");
    }
}

#[tokio::test]
async fn what_comes_back_again_and_again_is_contested() {
    for scene in scenes(Extra::Revoke, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        let max = world.person("max").await;
        for turn in 1..=3 {
            scene.hr.put(&max, "staff", true);
            scene.compare().await;
            assert!(!scene.hr.has(&max, "staff"), "{engine}: removal {turn}");
        }
        scene.hr.put(&max, "staff", true);
        scene.compare().await;
        scene.compare().await;

        assert!(scene.hr.has(&max, "staff"), "{engine}: no more by itself");
        let back = (DriftKind::CameBack, FindingState::Repaired);
        let contested = (DriftKind::Contested, FindingState::Open);
        assert_eq!(scene.told().await, [back, back, REPAIRED, contested], "{engine}");
    }
}

#[tokio::test]
async fn nothing_is_taken_from_a_list_that_was_not_read_or_while_the_deployment_is_in_doubt() {
    for scene in scenes(Extra::Report, false).await {
        let (engine, world) = (scene.engine, &scene.world);
        let max = world.person("max").await;
        scene.hr.put(&max, "staff", true);
        scene.compare().await;
        let id = scene.findings().await.remove(0).finding.id;
        scene.set("revoke").await;
        scene.hr.trouble("staff", Trouble::Break);
        scene.compare().await;
        scene.hr.heal();
        assert!(scene.hr.has(&max, "staff"), "{engine}: it was not seen this time");

        let dir = tempfile::tempdir().unwrap();
        world.app.take_up(dir.path()).await.unwrap();
        let seen = instance::read(dir.path()).unwrap().unwrap();
        instance::write(dir.path(), Mark { epoch: seen.epoch + 5, ..seen }).unwrap();
        world.app.take_up(dir.path()).await.unwrap();
        let refused = world.app.repair_drift(&world.admin(), id).await;
        assert_eq!(code(&refused), "DeploymentPaused", "{engine}");
        world.sleep(hours(25));
        world.work().await;
        assert!(scene.hr.has(&max, "staff"), "{engine}");
    }
}
