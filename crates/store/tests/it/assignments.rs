//! Assignments and the reasons they are, on every engine.

use accede_domain::assignment::State;
use accede_store::assignments::{self, Assignment};
use accede_store::deliveries;
use accede_store::testing::stores;
use accede_store::{Error, people, spreads};

use crate::desk::{later, no_scan, nobody, set, within};
use crate::shelf::{at, nth};

#[tokio::test]
async fn an_assignment_keeps_when_it_ended_and_when_that_was_confirmed() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let new = Assignment { end: Some(at(90)), ..desk.assignment(300, State::Delivering) };
            assignments::insert(tx, &new).await?;
            for state in [
                State::PartiallyDelivered,
                State::Delivered,
                State::DeliveryFailed,
                State::Ending { since: at(5) },
                State::Expired { at: at(9) },
            ] {
                let mut assignment = assignments::lock(tx, new.id).await?;
                assignment.state = state;
                assignments::save(tx, &mut assignment).await?;
                assert_eq!(assignments::get(tx, new.id).await?, Some(assignment), "{engine}");
            }
            let row = tx
                .query_one(
                    "select ended_at_ms, expired_at_ms from assignments where id = $1",
                    accede_store::params![new.id],
                )
                .await?;
            assert_eq!((row.get(0)?, row.get(1)?), (at(5), at(9)), "{engine}");
            assert_eq!(assignments::get(tx, nobody()).await?, None, "{engine}");
            Ok(())
        })
        .await;
        let stale = store
            .write(async |tx| {
                assignments::save(tx, &mut desk.assignment(300, State::Delivered)).await
            })
            .await;
        assert_eq!(stale, Err(Error::Stale), "{engine}");
    }
}

#[tokio::test]
async fn a_person_has_a_package_once_at_a_time() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            assignments::insert(tx, &desk.assignment(300, State::Ending { since: at(3) })).await?;
            assignments::insert(tx, &desk.assignment(301, State::Delivered)).await
        })
        .await;

        let second = store
            .write(async |tx| {
                assignments::insert(tx, &desk.assignment(302, State::Delivering)).await
            })
            .await;
        assert!(matches!(second, Err(Error::Duplicate { .. })), "{engine}: {second:?}");

        within(&store, async |tx| {
            let (uma, package) = (desk.uma.subject, desk.shelf.package);
            let live = desk.assignment(301, State::Delivered);
            assert_eq!(assignments::live_of(tx, uma, package).await?, Some(live), "{engine}");
            assert_eq!(assignments::live_of(tx, desk.max.subject, package).await?, None);
            assert_eq!(assignments::live_of_subject(tx, uma).await?, [live], "{engine}");
            let held = people::packages_of(tx, uma).await?;
            let ids: Vec<_> = held.iter().map(|held| held.id).collect();
            assert_eq!(ids, [package], "{engine}");
            let catalog = assignments::catalog_of(tx, live.id).await?;
            assert_eq!(catalog, Some(desk.shelf.catalog), "{engine}");
            assert_eq!(assignments::catalog_of(tx, nobody()).await?, None, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn live_assignments_end_at_their_instant_oldest_end_first() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let (uma, max) = (desk.uma.subject, desk.max.subject);
            let ends = |n, subject, package, end| Assignment {
                subject,
                package,
                end,
                ..desk.assignment(n, State::Delivered)
            };
            let package = desk.shelf.package;
            for assignment in [
                ends(300, uma, package, Some(at(60))),
                ends(301, max, package, Some(at(50))),
                ends(302, uma, desk.other, None),
                Assignment {
                    state: State::Ending { since: at(2) },
                    ..ends(303, max, desk.other, Some(at(10)))
                },
            ] {
                assignments::insert(tx, &assignment).await?;
            }

            let due = assignments::due_to_end(tx, at(60), (0, 10)).await?;
            assert_eq!(due, [(nth(301), max), (nth(300), uma)], "{engine}");
            assert_eq!(assignments::due_to_end(tx, at(60), (0, 1)).await?, due[..1], "{engine}");
            assert_eq!(assignments::due_to_end(tx, at(60), (1, 9)).await?, due[1..], "{engine}");
            assert!(assignments::due_to_end(tx, at(49), (0, 10)).await?.is_empty(), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_delivery_is_wanted_while_some_assignment_is_a_reason_for_it() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let uma = desk.uma.subject;
            let one = desk.assignment(300, State::Delivering);
            let two = Assignment { package: desk.other, ..desk.assignment(301, State::Delivering) };
            assignments::insert(tx, &one).await?;
            assignments::insert(tx, &two).await?;
            let staff = desk.deliver(tx, &desk.delivery(700, uma, "staff"), Some(one.id)).await?;
            let wiki = desk.deliver(tx, &desk.delivery(701, uma, "wiki"), Some(one.id)).await?;
            assignments::add_reason(tx, staff, two.id).await?;
            assignments::add_reason(tx, staff, two.id).await?;
            assert_eq!(assignments::concerned(tx, staff).await?, [one.id, two.id], "{engine}");

            assignments::drop_reasons(tx, one.id).await?;
            assert!(deliveries::has_reason(tx, staff).await?, "{engine}");
            assert!(!deliveries::has_reason(tx, wiki).await?, "{engine}");
            let edges = deliveries::of_assignment(tx, one.id).await?;
            assert!(edges.iter().all(|edge| !edge.is_live), "{engine}");
            assert_eq!(edges.len(), 2, "{engine}");
            assignments::drop_reason(tx, staff, two.id).await?;
            assert!(!deliveries::has_reason(tx, staff).await?, "{engine}");
            assignments::add_reason(tx, staff, two.id).await?;
            assert!(deliveries::has_reason(tx, staff).await?, "{engine}");

            let mut over = assignments::lock(tx, one.id).await?;
            over.state = State::Ending { since: at(5) };
            assignments::save(tx, &mut over).await?;
            assert_eq!(assignments::concerned(tx, staff).await?, [one.id, two.id], "{engine}");
            over.state = State::Expired { at: at(6) };
            assignments::save(tx, &mut over).await?;
            assert_eq!(assignments::concerned(tx, staff).await?, [two.id], "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_reads_all_assignments() {
    for (_, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let (uma, package) = (desk.uma.subject, desk.shelf.package);
            no_scan(tx, "spreads::open", async |tx| spreads::open(tx, 20).await).await?;
            no_scan(tx, "spreads::over", async |tx| spreads::over(tx, later(), 20).await).await?;
            no_scan(tx, "spreads::behind", async |tx| spreads::behind(tx, package, 20).await)
                .await?;
            no_scan(tx, "spreads::get", async |tx| spreads::get(tx, package).await).await?;
            no_scan(tx, "live_of", async |tx| assignments::live_of(tx, uma, package).await).await?;
            no_scan(tx, "live_of_subject", async |tx| assignments::live_of_subject(tx, uma).await)
                .await?;
            no_scan(tx, "due_to_end", async |tx| {
                assignments::due_to_end(tx, later(), (0, 200)).await
            })
            .await?;
            no_scan(tx, "concerned", async |tx| assignments::concerned(tx, nth(1)).await).await?;
            no_scan(tx, "drop_reasons", async |tx| assignments::drop_reasons(tx, nth(1)).await)
                .await?;
            no_scan(tx, "catalog_of", async |tx| assignments::catalog_of(tx, nth(1)).await).await
        })
        .await;
    }
}
