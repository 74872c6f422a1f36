//! Held changes and what they are measured by, on every engine.

use accede_domain::assignment::State as Standing;
use accede_domain::guard::Changes;
use accede_domain::id::GuardId;
use accede_store::assignments::{self, Assignment};
use accede_store::guards::{self, AtTarget, Cause, Guard, RoleChange, State};
use accede_store::schema::MIGRATIONS;
use accede_store::testing::{empty_stores, stores};
use accede_store::{Error, guard_plans, packages, spreads};

use crate::desk::{Desk, no_scan, nobody, set, within};
use crate::shelf::{at, nth};

const UNTIL_NOW: i64 = 100;

pub(crate) fn held(n: u128, desk: &Desk) -> Guard {
    Guard {
        id: nth(n),
        cause: Cause::PackageRoles,
        package: Some(desk.shelf.package),
        package_named: None,
        state: State::Held,
        created_at: at(5),
        decided_by: None,
        decided_at: None,
        justification: None,
        version: 1,
    }
}

#[tokio::test]
async fn a_held_change_is_kept_with_what_it_would_do_and_who_caused_it() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        let id: GuardId = nth(900);
        within(&store, async |tx| {
            let package = desk.shelf.package;
            assert!(!guards::any_held(tx).await?, "{engine}");
            guards::insert(tx, &held(900, &desk)).await?;
            let found = guards::held_of(tx, package).await?.unwrap();
            assert_eq!(found.package_named.as_ref().unwrap().0, desk.shelf.catalog, "{engine}");
            assert_eq!(guards::get(tx, id).await?.as_ref(), Some(&found), "{engine}");
            assert_eq!(guards::lock(tx, id).await?.as_ref(), Some(&found), "{engine}");
            assert_eq!(guards::held_of(tx, desk.other).await?, None, "{engine}");
            assert!(guards::is_held(tx, package).await?, "{engine}");
            assert!(!guards::is_held(tx, desk.other).await?, "{engine}");
            assert_eq!(guards::waiting(tx).await?, (1, Some(at(5))), "{engine}");

            for _ in 0..2 {
                guards::add_causer(tx, id, desk.boss.id.0, "ada").await?;
            }
            let causers = guards::causers(tx, id).await?;
            assert_eq!(causers, [(desk.boss.id.0, "ada".to_owned())], "{engine}");
            let changes = Changes { grants: 2, revocations: 30 };
            let count = AtTarget { target: desk.shelf.target, changes, live: 40 };
            for _ in 0..2 {
                guards::set_counts(tx, id, std::slice::from_ref(&count)).await?;
            }
            assert_eq!(guards::counts(tx, id).await?, [(count, "WIKI".to_owned())], "{engine}");
            assert_eq!(guards::waiting_at(tx, desk.shelf.target).await?, changes, "{engine}");

            let added = RoleChange { role: nth(1), scope: nth(2), is_added: true };
            let removed = RoleChange { role: nth(3), is_added: false, ..added };
            for change in [added, added, removed] {
                guards::add_change(tx, id, change).await?;
            }
            assert_eq!(guards::changes(tx, id).await?, [removed, added], "{engine}");
            guards::add_change(tx, id, RoleChange { is_added: false, ..added }).await?;
            assert_eq!(guards::changes(tx, id).await?, [removed], "taken back: {engine}");

            let mut guard = found;
            guard.state = State::Released;
            guard.decided_by = Some("bo".to_owned());
            guard.decided_at = Some(at(9));
            guard.justification = Some("it is so".to_owned());
            guards::save(tx, &mut guard).await?;
            assert_eq!(guards::get(tx, id).await?, Some(guard), "{engine}");
            assert_eq!(guards::waiting(tx).await?, (0, None), "{engine}");
            let none = Changes::default();
            assert_eq!(guards::waiting_at(tx, desk.shelf.target).await?, none, "{engine}");
            guards::insert(tx, &held(901, &desk)).await?;
            let listed = guards::list(tx, 9).await?;
            let ids: Vec<GuardId> = listed.iter().map(|guard| guard.id).collect();
            assert_eq!(ids, [nth(901), id], "what waits comes first: {engine}");
            assert_eq!(guards::get(tx, nobody()).await?, None, "{engine}");
            Ok(())
        })
        .await;
        let stale = store.write(async |tx| guards::save(tx, &mut held(900, &desk)).await).await;
        assert_eq!(stale, Err(Error::Stale), "{engine}");
        let second = store.write(async |tx| guards::insert(tx, &held(902, &desk)).await).await;
        assert!(matches!(second, Err(Error::Duplicate { .. })), "one a package: {engine}");
    }
}

#[tokio::test]
async fn people_have_their_turn_once_a_change_is_released() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        let id: GuardId = nth(900);
        let (uma, max, boss) = (desk.uma.id, desk.max.id, desk.boss.id);
        within(&store, async |tx| {
            let import = Guard { cause: Cause::UserImport, package: None, ..held(900, &desk) };
            guards::insert(tx, &import).await?;
            for _ in 0..2 {
                guards::add_people(tx, id, &[uma, max, boss]).await?;
            }
            assert_eq!(guards::people(tx, id).await?, (3, 0), "{engine}");
            guards::spare(tx, &[boss]).await?;
            guards::spare(tx, &[]).await?;
            let names = guards::people_named(tx, id, 1).await?;
            assert_eq!(names, std::slice::from_ref(&desk.uma.user_principal_name), "{engine}");
            assert_eq!(guards::people_left(tx, 9).await?, [], "it waits: {engine}");

            let mut guard = guards::lock(tx, id).await?.unwrap();
            guard.state = State::Released;
            guard.decided_by = Some("bo".to_owned());
            guard.decided_at = Some(at(9));
            guards::save(tx, &mut guard).await?;
            let bo = "bo".to_owned();
            let left = guards::people_left(tx, 9).await?;
            assert_eq!(left, [(id, uma, bo.clone()), (id, max, bo.clone())], "{engine}");
            guards::spare(tx, &[max]).await?;
            guards::person_done(tx, id, uma).await?;
            let left = guards::people_left(tx, 9).await?;
            assert_eq!(left, [(id, max, bo)], "it is decided, nobody is spared: {engine}");
            assert_eq!(guards::people(tx, id).await?, (2, 1), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_plan_counts_what_nobody_else_gives_and_what_is_not_given_yet() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let shelf = &desk.shelf;
            let package = shelf.package;
            // Uma and Max have the package and its role; Max has the role by the other package too.
            for (n, user, others) in [(300, &desk.uma, false), (310, &desk.max, true)] {
                let given =
                    Assignment { subject: user.subject, ..desk.assignment(n, Standing::Delivered) };
                assignments::insert(tx, &given).await?;
                let mut row = desk.delivery(n + 1, user.subject, "editors");
                row.delivery.wanted = true;
                let delivery = desk.deliver(tx, &row, Some(given.id)).await?;
                if others {
                    let id = nth(n + 2);
                    assignments::insert(tx, &Assignment { id, package: desk.other, ..given })
                        .await?;
                    assignments::add_reason(tx, delivery, id).await?;
                }
            }
            assert!(guard_plans::of_package(tx, package).await?.is_empty(), "{engine}");
            spreads::begin(tx, package, at(9)).await?;
            assert!(guard_plans::of_package(tx, package).await?.is_empty(), "{engine}");

            packages::remove_role_scope(tx, package, shelf.role, shelf.scope).await?;
            let plan = guard_plans::of_package(tx, package).await?;
            let one = Changes { grants: 0, revocations: 1 };
            assert_eq!(plan.into_iter().collect::<Vec<_>>(), [(shelf.target, one)], "{engine}");
            assert_eq!(guard_plans::live(tx, shelf.target).await?, 2, "{engine}");

            // Boss gets the other package, which now gives the role: Max has it already.
            let boss = Assignment {
                package: desk.other,
                subject: desk.boss.subject,
                ..desk.assignment(320, Standing::Delivered)
            };
            assignments::insert(tx, &boss).await?;
            packages::add_role_scope(tx, desk.other, shelf.role, shelf.scope, at(9)).await?;
            spreads::begin(tx, desk.other, at(9)).await?;
            let plan = guard_plans::of_package(tx, desk.other).await?;
            let one = Changes { grants: 1, revocations: 0 };
            assert_eq!(plan.into_iter().collect::<Vec<_>>(), [(shelf.target, one)], "{engine}");

            let people = [desk.uma.id, desk.max.id, desk.boss.id];
            let plan = guard_plans::of_people(tx, &people).await?;
            let both = Changes { grants: 0, revocations: 2 };
            assert_eq!(plan.into_iter().collect::<Vec<_>>(), [(shelf.target, both)], "{engine}");
            assert!(guard_plans::of_people(tx, &[]).await?.is_empty(), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_went_out_is_counted_by_cause_and_target_while_it_is_recent() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let target = desk.shelf.target;
            let (roles, import) = (Cause::PackageRoles, Cause::UserImport);
            for (n, cause, seconds) in [(1, roles, 10), (2, roles, 20), (3, import, 20)] {
                let changes = Changes { grants: 1, revocations: seconds };
                let id = uuid::Uuid::from_u128(n);
                guard_plans::note(tx, id, cause, target, changes, at(seconds)).await?;
            }
            let lately = guard_plans::lately(tx, roles, target, at(0)).await?;
            assert_eq!(lately, Changes { grants: 2, revocations: 30 }, "{engine}");
            let lately = guard_plans::lately(tx, roles, target, at(10)).await?;
            assert_eq!(lately, Changes { grants: 1, revocations: 20 }, "{engine}");
            let lately = guard_plans::lately(tx, roles, nobody(), at(0)).await?;
            assert_eq!(lately, Changes::default(), "{engine}");
            guard_plans::forget(tx, at(10)).await?;
            let lately = guard_plans::lately(tx, roles, target, at(0)).await?;
            assert_eq!(lately.revocations, 20, "{engine}");

            no_scan(tx, "lately", async |tx| guard_plans::lately(tx, roles, target, at(0)).await)
                .await?;
            no_scan(tx, "forget", async |tx| guard_plans::forget(tx, at(UNTIL_NOW)).await).await?;
            let package = desk.shelf.package;
            no_scan(tx, "held_of", async |tx| guards::held_of(tx, package).await).await?;
            no_scan(tx, "is_held", async |tx| guards::is_held(tx, package).await).await?;
            no_scan(tx, "waiting", async |tx| guards::waiting(tx).await).await?;
            no_scan(tx, "people_left", async |tx| guards::people_left(tx, 9).await).await
        })
        .await;
    }
}

#[tokio::test]
async fn an_upgrade_keeps_held_changes_with_all_that_belongs_to_them() {
    for (engine, store) in empty_stores().await {
        let older: Vec<_> = MIGRATIONS.iter().filter(|one| one.number <= 10).copied().collect();
        store.migrate(&older).await.unwrap();
        let desk = set(&store).await;
        let (id, import): (GuardId, GuardId) = (nth(900), nth(901));
        let changes = Changes { grants: 2, revocations: 30 };
        let count = AtTarget { target: desk.shelf.target, changes, live: 40 };
        let added = RoleChange { role: nth(1), scope: nth(2), is_added: true };
        within(&store, async |tx| {
            guards::insert(tx, &held(900, &desk)).await?;
            let second = Guard { cause: Cause::UserImport, package: None, ..held(901, &desk) };
            guards::insert(tx, &second).await?;
            guards::add_causer(tx, id, desk.boss.id.0, "ada").await?;
            guards::set_counts(tx, id, std::slice::from_ref(&count)).await?;
            guards::add_change(tx, id, added).await?;
            guards::add_people(tx, import, &[desk.uma.id]).await
        })
        .await;

        store.migrate(MIGRATIONS).await.unwrap();

        within(&store, async |tx| {
            assert_eq!(guards::list(tx, 9).await?.len(), 2, "{engine}");
            assert_eq!(guards::causers(tx, id).await?.len(), 1, "{engine}");
            assert_eq!(
                guards::counts(tx, id).await?,
                [(count.clone(), "WIKI".to_owned())],
                "{engine}"
            );
            assert_eq!(guards::changes(tx, id).await?, [added], "{engine}");
            assert_eq!(guards::people(tx, import).await?, (1, 0), "{engine}");
            let mut extra = Guard { cause: Cause::ExtraAccess, package: None, ..held(902, &desk) };
            guards::insert(tx, &extra).await?;
            guards::set_counts(tx, extra.id, std::slice::from_ref(&count)).await?;
            let found = guards::held_extra(tx, desk.shelf.target).await?;
            assert_eq!(found.map(|guard| guard.id), Some(extra.id), "{engine}");
            extra.state = State::Released;
            extra.decided_at = Some(at(9));
            guards::save(tx, &mut extra).await?;
            assert_eq!(guards::held_extra(tx, desk.shelf.target).await?, None, "{engine}");
            Ok(())
        })
        .await;
        let orphan = store.write(async |tx| guards::add_people(tx, nth(999), &[desk.uma.id]).await);
        assert!(orphan.await.is_err(), "{engine}: what belongs to them still refers to them");
    }
}
