//! Findings of drift and the comparing of targets, on every engine.

use accede_domain::delivery::{Observed, Phase};
use accede_domain::drift::{Kind, State};
use accede_domain::id::{DeliveryId, DriftFindingId, SubjectId};
use accede_domain::permission::Reach;
use accede_domain::request;
use accede_store::deliveries::{self, DeliveryRow};
use accede_store::drift::{self, Finding, Holder, Place};
use accede_store::drift_sweeps::{self, Sweep};
use accede_store::guards::{self, Cause, Guard};
use accede_store::testing::stores;
use accede_store::{Error, Tx, extra_plans, packages};

use crate::desk::{Desk, first, no_scan, nobody, set, within};
use crate::guards::held;
use crate::shelf::{at, nth};

fn place(desk: &Desk, role: &str) -> Place {
    Place {
        target: desk.shelf.target,
        resource: role.to_owned(),
        role: format!("Member_{role}"),
        scope: role.to_owned(),
    }
}

/// Open, of a delivery or of a holder.
fn finding(desk: &Desk, n: u128, kind: Kind, delivery: Option<DeliveryId>) -> Finding {
    Finding {
        id: nth(n),
        kind,
        state: State::Open,
        place: place(desk, "editors"),
        role: desk.shelf.role,
        delivery,
        subject: Some(desk.uma.subject),
        holder: (kind == Kind::Extra)
            .then(|| Holder { id: format!("account {n}"), name: Some("Uma".to_owned()) }),
        first_seen: at(10),
        last_seen: at(10),
        closed_at: None,
        decided_by: None,
        reason: None,
    }
}

/// Settled and last called for `n` seconds after the beginning.
fn settled(desk: &Desk, n: u128, subject: SubjectId, wanted: bool) -> DeliveryRow {
    let mut row = desk.delivery(n, subject, "editors");
    row.delivery.wanted = wanted;
    row.delivery.observed = if wanted { Observed::Present } else { Observed::Absent };
    row.delivery.acknowledged = Some(at(5));
    row.attempted_at = Some(at(i64::try_from(n).unwrap()));
    row
}

#[tokio::test]
async fn a_finding_is_kept_as_it_is_and_closed_once() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx: &mut Tx<'_>| {
            let row = settled(&desk, 30, desk.uma.subject, true);
            desk.deliver(tx, &row, None).await?;
            let mut ours = finding(&desk, 1, Kind::Missing, Some(row.id));
            let theirs = finding(&desk, 2, Kind::Extra, None);
            drift::insert(tx, &ours).await?;
            drift::insert(tx, &theirs).await?;
            assert_eq!(drift::lock(tx, ours.id).await?, Some(ours.clone()), "{engine}");
            assert_eq!(drift::lock_live_of(tx, row.id).await?, Some(ours.clone()), "{engine}");
            let there = drift::lock_live_at(tx, &theirs.place).await?;
            assert_eq!(there, std::slice::from_ref(&theirs), "{engine}");
            assert_eq!(drift::lock(tx, nobody::<DriftFindingId>()).await?, None, "{engine}");

            drift::touch(tx, theirs.id, at(40)).await?;
            assert_eq!(drift::lock(tx, theirs.id).await?.unwrap().last_seen, at(40), "{engine}");
            let over = drift::over(tx, 10).await?;
            assert_eq!(over, [(ours.id, Some(at(5)))], "{engine}: its delivery is settled");

            ours.state = State::Repaired;
            ours.closed_at = Some(at(50));
            drift::save(tx, &ours).await?;
            assert_eq!(drift::over(tx, 10).await?, [], "{engine}");
            assert_eq!(drift::lock_live_of(tx, row.id).await?, None, "{engine}");
            let again = finding(&desk, 3, Kind::Missing, Some(row.id));
            drift::insert(tx, &again).await?;
            assert_eq!(drift::forget_before(tx, at(50)).await?, 0, "{engine}");
            assert_eq!(drift::forget_before(tx, at(51)).await?, 1, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_delivery_and_a_holder_have_one_live_finding() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        let row = settled(&desk, 30, desk.uma.subject, true);
        within(&store, async |tx: &mut Tx<'_>| {
            desk.deliver(tx, &row, None).await?;
            drift::insert(tx, &finding(&desk, 1, Kind::Missing, Some(row.id))).await?;
            drift::insert(tx, &finding(&desk, 2, Kind::Extra, None)).await
        })
        .await;
        let same = Finding { id: nth(3), ..finding(&desk, 2, Kind::Extra, None) };
        for second in [finding(&desk, 4, Kind::CameBack, Some(row.id)), same] {
            let refused = store.write(async |tx| drift::insert(tx, &second).await).await;
            assert!(matches!(refused, Err(Error::Duplicate { .. })), "{engine}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn repairs_are_counted_since_the_last_contest() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx: &mut Tx<'_>| {
            let row = settled(&desk, 30, desk.uma.subject, true);
            desk.deliver(tx, &row, None).await?;
            let closed = |n, kind, state, seen: i64| Finding {
                state,
                first_seen: at(seen),
                closed_at: Some(at(seen + 1)),
                ..finding(&desk, n, kind, Some(row.id))
            };
            drift::insert(tx, &closed(1, Kind::Missing, State::Repaired, 10)).await?;
            drift::insert(tx, &closed(2, Kind::CameBack, State::Repaired, 20)).await?;
            drift::insert(tx, &closed(3, Kind::Missing, State::Gone, 30)).await?;
            assert_eq!(drift::repairs(tx, row.id, at(0)).await?, 2, "{engine}");
            assert_eq!(drift::repairs(tx, row.id, at(10)).await?, 1, "{engine}");
            assert_eq!(drift::repairs(tx, nobody::<DeliveryId>(), at(0)).await?, 0, "{engine}");
            let taken = Finding { delivery: None, ..closed(6, Kind::Extra, State::Repaired, 15) };
            drift::insert(tx, &taken).await?;
            let elsewhere = place(&desk, "readers");
            drift::insert(tx, &Finding { id: nth(7), place: elsewhere, ..taken }).await?;
            assert_eq!(drift::repairs(tx, row.id, at(0)).await?, 3, "{engine}: taken by us too");
            drift::insert(tx, &closed(4, Kind::Contested, State::Repaired, 40)).await?;
            assert_eq!(drift::repairs(tx, row.id, at(0)).await?, 0, "{engine}");
            drift::insert(tx, &closed(5, Kind::Missing, State::Repaired, 50)).await?;
            assert_eq!(drift::repairs(tx, row.id, at(0)).await?, 1, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn findings_are_listed_and_counted_for_who_may_see_them() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx: &mut Tx<'_>| {
            let delivering = request::State::Delivering { first_completed: None };
            let (_, assignment) = desk.assign(tx, 40, desk.uma.subject, delivering).await?;
            let row = settled(&desk, 30, desk.uma.subject, true);
            desk.deliver(tx, &row, Some(assignment)).await?;
            drift::insert(tx, &finding(&desk, 1, Kind::Missing, Some(row.id))).await?;
            drift::insert(tx, &finding(&desk, 2, Kind::Extra, None)).await?;
            let dismissed = Finding {
                state: State::Dismissed,
                decided_by: Some("rita".to_owned()),
                ..finding(&desk, 3, Kind::Extra, None)
            };
            drift::insert(tx, &dismissed).await?;
            let mine = Reach::Catalogs(vec![desk.shelf.catalog]);
            let others = Reach::Catalogs(vec![nobody()]);

            for (reach, many, open) in [(Reach::Everywhere, 3, 2), (mine, 3, 2), (others, 0, 0)] {
                let page = drift::page(tx, &reach, first(10), true).await.unwrap();
                assert_eq!((page.items.len(), page.count), (many, Some(many as i64)), "{engine}");
                let counted = drift::open(tx, &reach, Some(desk.shelf.target)).await?;
                let total: i64 = counted.iter().map(|(_, count)| count).sum();
                assert_eq!(total, open, "{engine}");
                assert_eq!(drift::open(tx, &reach, None).await?, counted, "{engine}");
                let seen = drift::get(tx, &reach, nth(1)).await?;
                assert_eq!(seen.is_some(), 0 < many, "{engine}");
                if let Some(seen) = seen {
                    let person = seen.person.unwrap();
                    assert_eq!(person.display_name, desk.uma.display_name, "{engine}");
                    assert_eq!(seen.target_name, "wiki", "{engine}");
                    assert!(seen.role_name.is_some() && seen.resource_name.is_some(), "{engine}");
                }
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_called_for_longest_ago_is_read_first() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx: &mut Tx<'_>| {
            let target = desk.shelf.target;
            for (n, subject, wanted) in
                [(32, desk.uma.subject, true), (31, desk.max.subject, false)]
            {
                desk.deliver(tx, &settled(&desk, n, subject, wanted), None).await?;
            }
            let mut due = settled(&desk, 20, desk.boss.subject, true);
            due.delivery.phase = Phase::Due { at: at(100) };
            desk.deliver(tx, &due, None).await?;
            let ids = |rows: Vec<DeliveryRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();

            assert_eq!(
                ids(drift_sweeps::to_read(tx, target, at(99), 9).await?),
                [nth(31), nth(32)]
            );
            assert_eq!(ids(drift_sweeps::to_read(tx, target, at(99), 1).await?), [nth(31)]);
            assert_eq!(ids(drift_sweeps::to_read(tx, target, at(32), 9).await?), [nth(31)]);
            assert!(drift_sweeps::has_to_read(tx, target, at(32)).await?, "{engine}");
            assert!(!drift_sweeps::has_to_read(tx, target, at(31)).await?, "{engine}");
            assert!(!drift_sweeps::is_busy(tx, target, at(99)).await?, "{engine}");
            assert!(drift_sweeps::is_busy(tx, target, at(100)).await?, "{engine}");

            // What was given up and only told is looked at as well.
            let mut failed = due.clone();
            failed.delivery.phase = Phase::Failed { at: at(100) };
            deliveries::save(tx, &failed, due.delivery.epoch).await?;
            drift::insert(tx, &finding(&desk, 1, Kind::Missing, Some(due.id))).await?;
            let waiting = drift::waiting(tx, target, at(11), 9).await?;
            assert_eq!(waiting.len(), 1, "{engine}");
            assert_eq!((waiting[0].0, waiting[0].1.id), (nth(1), due.id), "{engine}");
            assert_eq!(drift::waiting(tx, target, at(10), 9).await?, [], "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_turn_is_stored_and_roles_follow_each_other() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx: &mut Tx<'_>| {
            let (target, shelf) = (desk.shelf.target, &desk.shelf);
            assert_eq!(drift_sweeps::get(tx, target).await?, None, "{engine}");
            assert_eq!(drift_sweeps::due(tx, at(0), 9).await?, [target], "{engine}");
            let fresh = drift_sweeps::lock(tx, target).await?;
            assert_eq!(fresh, Sweep::new(target), "{engine}");
            let none = (String::new(), String::new(), String::new());

            packages::add_role_scope(tx, desk.other, shelf.role, shelf.scope, at(1)).await?;
            let roles = drift_sweeps::roles_after(tx, target, &none, 9).await?;
            assert_eq!(roles.len(), 1, "{engine}: once, however many packages give it");
            let (place, role) = roles[0].clone();
            assert_eq!(role, shelf.role, "{engine}");
            let after = (place.resource.clone(), place.role.clone(), place.scope.clone());
            assert_eq!(drift_sweeps::roles_after(tx, target, &after, 9).await?, [], "{engine}");

            let mut row = settled(&desk, 30, desk.uma.subject, true);
            row.key.resource.clone_from(&place.resource);
            row.key.role.clone_from(&place.role);
            row.key.scope.clone_from(&place.scope);
            desk.deliver(tx, &row, None).await?;
            let wanted = drift_sweeps::wanted_by(tx, &place, 9).await?;
            assert_eq!(wanted.len(), 1, "{engine}");
            assert_eq!(wanted[0].subject, desk.uma.subject, "{engine}");
            let found = drift_sweeps::lock_delivery(tx, &place, desk.uma.subject).await?;
            assert_eq!(found.map(|row| row.id), Some(row.id), "{engine}");
            let found = drift_sweeps::lock_delivery(tx, &place, desk.max.subject).await?;
            assert_eq!(found, None, "{engine}");

            let turn = Sweep {
                turn_at: at(60),
                begun_at: Some(at(1)),
                finished_at: Some(at(2)),
                asked_at: Some(at(3)),
                cutoff: Some(at(4)),
                is_running: true,
                after,
                roles_read: 5,
                roles_unread: 6,
                problem: Some("it is slow".to_owned()),
                ..fresh
            };
            drift_sweeps::save(tx, &turn).await?;
            assert_eq!(drift_sweeps::get(tx, target).await?, Some(turn), "{engine}");
            assert_eq!(drift_sweeps::due(tx, at(59), 9).await?, [], "{engine}");
            assert_eq!(drift_sweeps::due(tx, at(60), 9).await?, [target], "{engine}");

            // A role that no package gives any more is not compared any more.
            let extra = Finding { place, ..finding(&desk, 1, Kind::Extra, None) };
            drift::insert(tx, &extra).await?;
            assert_eq!(drift::close_forgotten(tx, target, at(70)).await?, 0, "{engine}");
            packages::remove_role_scope(tx, shelf.package, shelf.role, shelf.scope).await?;
            packages::remove_role_scope(tx, desk.other, shelf.role, shelf.scope).await?;
            assert_eq!(drift::close_forgotten(tx, target, at(70)).await?, 1, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn people_are_read_in_pages() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx: &mut Tx<'_>| {
            let mut seen = Vec::new();
            let mut last = None;
            loop {
                let page = drift_sweeps::people_after(tx, last, 2).await?;
                let Some(end) = page.last() else { break };
                last = Some(end.subject);
                seen.extend(page.iter().map(|facts| facts.subject));
            }
            for one in [&desk.uma, &desk.max, &desk.boss] {
                assert_eq!(seen.iter().filter(|id| **id == one.subject).count(), 1, "{engine}");
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_of_comparing_reads_a_whole_table() {
    for (_, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx: &mut Tx<'_>| {
            let (target, here) = (desk.shelf.target, place(&desk, "editors"));
            no_scan(tx, "what is to be read", async |tx| {
                drift_sweeps::to_read(tx, target, at(9), 9).await?;
                drift_sweeps::has_to_read(tx, target, at(9)).await?;
                drift_sweeps::is_busy(tx, target, at(9)).await?;
                drift_sweeps::lock_delivery(tx, &here, desk.uma.subject).await?;
                drift_sweeps::people_after(tx, None, 9).await
            })
            .await?;
            no_scan(tx, "who is to have a role", async |tx| {
                drift_sweeps::wanted_by(tx, &here, 9).await
            })
            .await?;
            no_scan(tx, "live findings", async |tx| {
                drift::lock_live_of(tx, nobody()).await?;
                drift::lock_live_at(tx, &here).await?;
                drift::repairs(tx, nobody(), at(0)).await?;
                drift::waiting(tx, target, at(9), 9).await
            })
            .await
        })
        .await;
    }
}

#[tokio::test]
async fn extra_access_is_over_when_its_removal_is_confirmed() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx: &mut Tx<'_>| {
            let extra = finding(&desk, 1, Kind::Extra, None);
            drift::insert(tx, &extra).await?;
            let takeable = drift::takeable(tx, desk.shelf.target, at(10)).await?;
            let row = settled(&desk, 30, desk.uma.subject, false);
            desk.deliver(tx, &row, None).await?;
            assert_eq!(drift::over(tx, 10).await?, [], "{engine}: it was there afterwards");

            let mut row = deliveries::get(tx, row.id).await?.unwrap();
            row.delivery.acknowledged = Some(at(20));
            row.delivery.verify_at = Some(at(30));
            deliveries::save(tx, &row, row.delivery.epoch).await?;
            assert_eq!(drift::over(tx, 10).await?, [], "{engine}: it is read back first");
            row.delivery.verified = Some(at(30));
            deliveries::save(tx, &row, row.delivery.epoch).await?;
            assert_eq!(drift::over(tx, 10).await?, [(extra.id, Some(at(20)))], "{engine}");

            assert_eq!(takeable, [extra.id], "{engine}");
            let target = desk.shelf.target;
            let taken = drift::takeable(tx, target, at(10)).await?;
            assert_eq!(taken, [], "{engine}: it was taken since it was seen");
            let unseen = drift::takeable(tx, target, at(11)).await?;
            assert_eq!(unseen, [], "{engine}: not seen");

            let held = Guard { cause: Cause::ExtraAccess, package: None, ..held(900, &desk) };
            guards::insert(tx, &held).await?;
            extra_plans::replace(tx, target, Some(held.id), &[extra.id]).await?;
            assert_eq!(extra_plans::ready(tx, 9).await?, [], "{engine}: it waits");
            assert_eq!(extra_plans::of_guard(tx, held.id).await?, [extra.id], "{engine}");
            extra_plans::replace(tx, target, None, &[extra.id]).await?;
            assert_eq!(extra_plans::ready(tx, 9).await?, [(extra.id, target)], "{engine}");
            extra_plans::replace(tx, target, Some(held.id), &[extra.id]).await?;
            assert_eq!(extra_plans::dismiss(tx, held.id, "bo", "why").await?, 1, "{engine}");
            assert!(!extra_plans::done(tx, extra.id).await?, "{engine}: it is not planned");
            drift::see_holder(tx, extra.id, None, at(40)).await?;
            let seen = drift::lock(tx, extra.id).await?.unwrap();
            assert_eq!((seen.subject, seen.last_seen), (None, at(40)), "{engine}");
            let kept = drift::lock(tx, extra.id).await?.unwrap();
            assert_eq!((kept.state, kept.reason.as_deref()), (State::Dismissed, Some("why")));
            assert!(!drift::is_kept(tx, &extra.place).await?, "{engine}");
            Ok(())
        })
        .await;
    }
}
