//! Deliveries, their claims and their attempts, on every engine.

use accede_domain::delivery::{Action, Delivery, Observed, Phase};
use accede_domain::fault::Class;
use accede_domain::id::ResourceRoleId;
use accede_domain::permission::Reach;
use accede_domain::poison::Poison;
use accede_domain::request::State;
use accede_store::attempts::{self, Attempt};
use accede_store::causes::{self, NewCause};
use accede_store::deliveries::{self, Backlog, DeliveryRow, LastFault};
use accede_store::testing::stores;
use accede_store::{Error, Tx, assignments, params, targets};

use crate::desk::{Desk, later, no_scan, nobody, set, within};
use crate::shelf::{at, nth};

/// Every phase, with every time of its own.
fn phases() -> Vec<(bool, Phase)> {
    let in_flight = |action, before| Phase::InFlight {
        action,
        generation: 3,
        before,
        lease_until: at(60),
        deadline: at(20),
    };
    vec![
        (true, Phase::Settled),
        (true, Phase::Due { at: at(7) }),
        (true, in_flight(Action::Grant, Observed::Never)),
        (false, in_flight(Action::Revoke, Observed::Present)),
        (true, in_flight(Action::Observe, Observed::Unknown)),
        (true, Phase::Failed { at: at(8) }),
        (false, Phase::Stuck { since: at(8), probe_at: at(9) }),
    ]
}

/// A delivery with something in every column.
fn full(desk: &Desk, wanted: bool, phase: Phase) -> DeliveryRow {
    DeliveryRow {
        delivery: Delivery {
            wanted,
            generation: 4,
            observed: Observed::Absent,
            phase,
            epoch: 5,
            attempts: 6,
            misses: 7,
            since: at(1),
            uncertain_until: Some(at(2)),
            late_until: Some(at(7)),
            pre_existing: true,
            keep_pre_existing: true,
            acknowledged: Some(at(3)),
            verified: Some(at(4)),
            verify_at: None,
            poison: Poison { crashes: 2, strikes: 1 },
            pending: None,
        },
        attempted_at: Some(at(5)),
        ..desk.delivery(700, desk.uma.subject, "staff")
    }
}

async fn cause(tx: &mut Tx<'_>, desk: &Desk) -> accede_store::Result<LastFault> {
    let new = NewCause {
        id: nth(800),
        target: desk.shelf.target,
        class: Class::Permanent,
        code: "http-403",
        fingerprint: "refused",
        example: "refused",
        at: at(1),
    };
    Ok(LastFault {
        cause: causes::seen(tx, new).await?,
        class: Class::Permanent,
        code: "http-403".to_owned(),
        message: "refused".to_owned(),
    })
}

#[tokio::test]
async fn every_phase_comes_back_as_it_was_written() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        for (wanted, phase) in phases() {
            let read = store
                .write(async |tx| {
                    let mut row = full(&desk, wanted, phase);
                    row.fault = Some(cause(tx, &desk).await?);
                    deliveries::lock_or_insert(tx, &row).await?;
                    deliveries::save(tx, &row, 5).await?;
                    let read = deliveries::get(tx, row.id).await?;
                    tx.execute("delete from deliveries", &[]).await?;
                    Ok::<_, Error>((row, read))
                })
                .await
                .unwrap();
            let (mut written, read) = read;
            if phase == Phase::Settled {
                // A settled row waits for nobody to explain it.
                written.fault = None;
            }
            assert_eq!(read, Some(written), "{engine}");
        }
    }
}

#[tokio::test]
async fn a_settled_delivery_keeps_when_it_is_to_be_read_back() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let mut row = full(&desk, true, Phase::Settled);
            row.delivery.verify_at = Some(at(33));
            deliveries::lock_or_insert(tx, &row).await?;
            assert_eq!(deliveries::lock(tx, row.id).await?, Some(row), "{engine}");
            assert_eq!(deliveries::lock(tx, nobody()).await?, None, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn there_is_one_row_for_a_key() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let first = full(&desk, true, Phase::Due { at: at(7) });
            let second = DeliveryRow { id: nth(701), ..full(&desk, false, Phase::Settled) };

            assert_eq!(deliveries::lock_or_insert(tx, &first).await?, first, "{engine}");
            assert_eq!(deliveries::lock_or_insert(tx, &second).await?, first, "{engine}");

            let mut elsewhere = second.clone();
            elsewhere.key.scope = "other".to_owned();
            let kept = deliveries::lock_or_insert(tx, &elsewhere).await?;
            assert_eq!(kept.id, elsewhere.id, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_row_is_saved_under_its_epoch_only() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        let row = full(&desk, true, Phase::Due { at: at(7) });
        within(&store, async |tx| deliveries::lock_or_insert(tx, &row).await).await;

        let stale = store.write(async |tx| deliveries::save(tx, &row, 4).await).await;
        assert_eq!(stale, Err(Error::Stale), "{engine}");
        within(&store, async |tx| {
            let saved = deliveries::save_all(tx, &[(row.clone(), 4), (row.clone(), 5)]).await?;
            assert_eq!(saved, 1, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn revocations_are_ready_first_then_the_oldest() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let due = |n: u128, role: &str, wanted, when| {
                let mut row = desk.delivery(n, desk.uma.subject, role);
                row.delivery.wanted = wanted;
                row.delivery.phase = Phase::Due { at: when };
                row
            };
            let mut settled = due(704, "e", true, at(1));
            settled.delivery.observed = Observed::Present;
            settled.delivery.phase = Phase::Settled;
            settled.delivery.verify_at = Some(at(15));
            for row in [
                due(700, "a", true, at(10)),
                due(701, "b", true, at(5)),
                due(702, "c", false, at(20)),
                due(703, "d", true, at(21)),
                settled,
            ] {
                deliveries::lock_or_insert(tx, &row).await?;
            }

            let target = desk.shelf.target;
            let ids = |rows: Vec<DeliveryRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
            let ready = ids(deliveries::ready(tx, target, at(20), 10).await?);
            assert_eq!(ready, [nth(702), nth(701), nth(700), nth(704)], "{engine}");
            let two = ids(deliveries::ready(tx, target, at(20), 2).await?);
            assert_eq!(two, [nth(702), nth(701)], "{engine}");
            let one = ids(deliveries::ready(tx, target, at(20), 1).await?);
            assert_eq!(one, [nth(702)], "{engine}");
            assert!(deliveries::ready(tx, target, at(4), 10).await?.is_empty(), "{engine}");
            assert!(deliveries::ready(tx, nobody(), at(20), 10).await?.is_empty(), "{engine}");
            assert_eq!(deliveries::next_ready(tx, target).await?, Some(at(5)), "{engine}");
            assert_eq!(deliveries::next_ready(tx, nobody()).await?, None, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn leases_of_the_dead_end_when_their_calls_are_over() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let (_, in_flight) = phases()[2];
            let row = full(&desk, true, in_flight);
            deliveries::lock_or_insert(tx, &row).await?;

            assert_eq!(deliveries::release_leases(tx, 5_000).await?, 1, "{engine}");
            assert_eq!(deliveries::release_leases(tx, 5_000).await?, 0, "{engine}");

            let read = deliveries::get(tx, row.id).await?.unwrap();
            let over = at(20).checked_add(accede_domain::SignedDuration::from_secs(5)).unwrap();
            assert_eq!(read.delivery.ready_at(), Some(over), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn deliveries_are_shown_with_their_names() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let delivering = State::Delivering { first_completed: None };
            let (_, assignment) = desk.assign(tx, 300, desk.uma.subject, delivering).await?;
            let row = full(&desk, true, Phase::Due { at: at(7) });
            desk.deliver(tx, &row, Some(assignment)).await?;

            let named = deliveries::named_of_assignment(tx, assignment).await?;
            assert_eq!(named.len(), 1, "{engine}");
            let first = named.first().unwrap();
            assert_eq!(first.row, row, "{engine}");
            assert!(first.is_live, "{engine}");
            let names = (first.target_name.as_str(), first.target_display_name.as_str());
            assert_eq!(names, ("wiki", "WIKI"), "{engine}");
            assert_eq!(first.role_name.as_deref(), Some("Member_editors"), "{engine}");
            assert_eq!(first.resource_name.as_deref(), Some("the editors"), "{engine}");
            assignments::drop_reason(tx, row.id, assignment).await?;
            let named = deliveries::named_of_assignment(tx, assignment).await?;
            assert!(!named.first().unwrap().is_live, "{engine}");
            assert_eq!(deliveries::get_named(tx, nobody()).await?, None, "{engine}");
            // As if the role was deleted since.
            let gone = "update deliveries set role_id = $2 where id = $1";
            tx.execute(gone, params![row.id, nobody::<ResourceRoleId>()]).await?;
            let named = deliveries::get_named(tx, row.id).await?.unwrap();
            assert_eq!((named.role_name, named.resource_name), (None, None), "{engine}");
            let catalogs = deliveries::catalogs_of(tx, row.id).await?;
            assert_eq!(catalogs, [desk.shelf.catalog], "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_paused_target_is_named_while_something_in_it_is_undone() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let delivering = State::Delivering { first_completed: None };
            let (_, assignment) = desk.assign(tx, 300, desk.uma.subject, delivering).await?;
            let mut row = full(&desk, true, Phase::Failed { at: at(7) });
            desk.deliver(tx, &row, Some(assignment)).await?;
            assert_eq!(deliveries::paused_target(tx, assignment).await?, None, "{engine}");

            let mut target = targets::lock(tx, desk.shelf.target).await?.unwrap();
            target.is_paused = true;
            targets::save(tx, &mut target).await?;
            let paused = deliveries::paused_target(tx, assignment).await?;
            assert_eq!(paused.as_deref(), Some("wiki"), "{engine}");
            row.delivery.phase = Phase::Settled;
            deliveries::save(tx, &row, 5).await?;
            assert_eq!(deliveries::paused_target(tx, assignment).await?, None, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn stuck_is_what_is_refused_or_due_for_too_long() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let undone = |n: u128, role: &str, wanted, since, observed, phase| {
                let mut row = full(&desk, wanted, phase);
                row.id = nth(n);
                row.key = desk.delivery(n, desk.uma.subject, role).key;
                row.delivery.since = since;
                row.delivery.observed = observed;
                row.delivery.pre_existing = false;
                row
            };
            let due = Phase::Due { at: at(7) };
            let stuck = Phase::Stuck { since: at(90), probe_at: at(95) };
            let reading = phases()[4].1;
            for row in [
                undone(700, "refused", false, at(90), Observed::Present, stuck),
                undone(701, "old", false, at(10), Observed::Unknown, due),
                undone(702, "young", false, at(80), Observed::Unknown, due),
                undone(703, "wanted", true, at(10), Observed::Unknown, due),
                undone(704, "gone", false, at(10), Observed::Absent, reading),
                undone(705, "older", false, at(5), Observed::Unknown, reading),
                undone(706, "settled", false, at(5), Observed::Absent, Phase::Settled),
            ] {
                deliveries::lock_or_insert(tx, &row).await?;
            }

            let stuck = deliveries::stuck_revocations(tx, &Reach::Everywhere, at(50), 10).await?;
            let ids: Vec<_> = stuck.iter().map(|named| named.row.id).collect();
            assert_eq!(ids, [nth(705), nth(701), nth(700)], "{engine}");
            let one = deliveries::stuck_revocations(tx, &Reach::Everywhere, at(50), 1).await?;
            assert_eq!(one.len(), 1, "{engine}");

            // The limit counts what the reader may see, however old the rest is.
            let delivering = State::Delivering { first_completed: None };
            let (_, assignment) = desk.assign(tx, 300, desk.uma.subject, delivering).await?;
            assignments::add_reason(tx, nth(700), assignment).await?;
            let own = Reach::Catalogs(vec![desk.shelf.catalog]);
            let seen = deliveries::stuck_revocations(tx, &own, at(50), 1).await?;
            let ids: Vec<_> = seen.iter().map(|named| named.row.id).collect();
            assert_eq!(ids, [nth(700)], "{engine}");
            let none = Reach::Catalogs(vec![nobody()]);
            assert!(deliveries::stuck_revocations(tx, &none, at(50), 9).await?.is_empty());
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_undone_is_counted_by_phase_by_target_and_by_cause() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let fault = cause(tx, &desk).await?;
            for (n, (wanted, phase)) in (700_u128..).zip(phases()) {
                let mut row = full(&desk, wanted, phase);
                row.id = nth(n);
                row.key = desk.delivery(n, desk.uma.subject, &format!("role{n}")).key;
                row.delivery.observed = Observed::Unknown;
                row.fault = Some(fault.clone());
                deliveries::lock_or_insert(tx, &row).await?;
                deliveries::save(tx, &row, 5).await?;
            }

            let counts = deliveries::counts(tx).await?;
            let expected = [
                ("due".to_owned(), true, 1),
                ("failed".to_owned(), true, 1),
                ("inFlight".to_owned(), false, 1),
                ("inFlight".to_owned(), true, 2),
                ("stuck".to_owned(), false, 1),
            ];
            assert_eq!(counts, expected, "{engine}");
            let backlog = deliveries::backlog(tx, desk.shelf.target).await?;
            let expected = Backlog { grants: 3, revocations: 2, failed: 1 };
            assert_eq!(backlog, expected, "{engine}");
            assert_eq!(deliveries::backlog(tx, nobody()).await?, Backlog::default(), "{engine}");

            let first = deliveries::of_cause(tx, fault.cause, None, 4).await?;
            let last = first.last().unwrap().0;
            let rest = deliveries::of_cause(tx, fault.cause, Some(last), 4).await?;
            let ids: Vec<_> = first.iter().chain(&rest).map(|(id, _)| *id).collect();
            let all: Vec<_> = (701..707).map(nth).collect();
            assert_eq!(ids, all, "{engine}");
            assert_eq!(first.first().unwrap().1, desk.uma.subject, "{engine}");
            assert!(deliveries::of_cause(tx, nobody(), None, 4).await?.is_empty(), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn attempts_are_kept_newest_first() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let row = full(&desk, true, Phase::Due { at: at(7) });
            deliveries::lock_or_insert(tx, &row).await?;
            let attempt = |n: u128, when, fault: Option<&str>| Attempt {
                id: nth(n),
                delivery: row.id,
                epoch: 3,
                action: deliveries::action_name(Action::Grant).to_owned(),
                outcome: if fault.is_some() { "fault" } else { "applied" }.to_owned(),
                class: fault.map(|_| "permanent".to_owned()),
                code: fault.map(str::to_owned),
                message: fault.map(|fault| format!("it said {fault}")),
                started_at: when,
                finished_at: at(50),
                batch: 2,
            };
            let (old, new) = (attempt(900, at(10), Some("http-403")), attempt(901, at(20), None));
            attempts::insert(tx, &new).await?;
            attempts::insert(tx, &old).await?;

            let attempts = attempts::of_delivery(tx, row.id, 10).await?;
            assert_eq!(attempts, [new.clone(), old], "{engine}");
            assert_eq!(attempts::of_delivery(tx, row.id, 1).await?, [new], "{engine}");
            assert!(attempts::of_delivery(tx, nobody(), 10).await?.is_empty(), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_that_delivery_does_reads_all_deliveries() {
    for (_, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let target = desk.shelf.target;
            let row = desk.delivery(700, desk.uma.subject, "staff");
            no_scan(tx, "ready", async |tx| deliveries::ready(tx, target, later(), 512).await)
                .await?;
            no_scan(tx, "next_ready", async |tx| deliveries::next_ready(tx, target).await).await?;
            no_scan(tx, "lock_or_insert", async |tx| deliveries::lock_or_insert(tx, &row).await)
                .await?;
            no_scan(tx, "save", async |tx| deliveries::save(tx, &row, 0).await).await?;
            no_scan(tx, "of_assignment", async |tx| deliveries::of_assignment(tx, nth(1)).await)
                .await?;
            no_scan(tx, "paused_target", async |tx| deliveries::paused_target(tx, nth(1)).await)
                .await?;
            no_scan(tx, "has_reason", async |tx| deliveries::has_reason(tx, nth(1)).await).await?;
            no_scan(tx, "of_cause", async |tx| {
                deliveries::of_cause(tx, nth(1), Some(nth(2)), 100).await
            })
            .await?;
            no_scan(tx, "stuck", async |tx| {
                deliveries::stuck_revocations(tx, &Reach::Everywhere, later(), 1_000).await
            })
            .await?;
            no_scan(tx, "catalogs_of", async |tx| deliveries::catalogs_of(tx, nth(1)).await)
                .await?;
            no_scan(tx, "backlog", async |tx| deliveries::backlog(tx, target).await).await?;
            no_scan(tx, "counts", async |tx| deliveries::counts(tx).await).await?;
            no_scan(tx, "attempts", async |tx| attempts::of_delivery(tx, nth(1), 200).await).await
        })
        .await;
    }
}
