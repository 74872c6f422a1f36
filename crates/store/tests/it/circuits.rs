//! Circuits of targets, on every engine.

use accede_domain::circuit::{self, Circuit, Reason, State};
use accede_domain::delivery::{Delivery, Phase};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::DeliveryId;
use accede_domain::retry::Retry;
use accede_store::causes::{self, NewCause};
use accede_store::circuits::{self, CircuitRow};
use accede_store::deliveries::{self, DeliveryRow, Key, LastFault};
use accede_store::targets;
use accede_store::testing::{plans, stores};
use accede_store::{Engine, Error, Result, Tx, params, queue};

use crate::shelf::{Shelf, at, nth, stock};

fn open() -> CircuitRow {
    let circuit =
        circuit::trip(Circuit::default(), Reason::Credentials, &Retry::default(), 1.0, at(0));
    let fault = Fault::new(Class::Target, "http-401", "the token is not accepted");
    CircuitRow { circuit, fault: Some(fault) }
}

async fn deliver(
    tx: &mut Tx<'_>,
    shelf: &Shelf,
    n: u128,
    delivery: Delivery,
) -> Result<DeliveryId> {
    let resource = format!("r{n}");
    let row = DeliveryRow {
        id: nth(n),
        key: Key {
            target: shelf.target,
            subject: shelf.subject,
            role: format!("Member_{resource}"),
            scope: resource.clone(),
            resource,
        },
        role: shelf.role,
        delivery,
        fault: None,
        attempted_at: None,
    };
    Ok(deliveries::lock_or_insert(tx, &row).await?.id)
}

#[tokio::test]
async fn a_circuit_is_closed_until_it_is_stored_and_kept_as_it_is() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let target = shelf.target;
                assert_eq!(circuits::get(tx, target).await?, CircuitRow::default(), "{engine}");
                assert_eq!(circuits::lock(tx, target).await?, CircuitRow::default(), "{engine}");
                let trial = circuit::checked(open().circuit, None, &Retry::default(), 0.0, at(9));
                let quiet = circuit::throttled(trial, at(30));
                for circuit in [open().circuit, trial, quiet, Circuit::default()] {
                    let fault = open().fault.filter(|_| circuit.state != State::Closed);
                    let row = CircuitRow { circuit, fault };
                    circuits::save(tx, target, &row).await?;
                    assert_eq!(circuits::lock(tx, target).await?, row, "{engine}");
                    assert_eq!(circuits::get(tx, target).await?, row, "{engine}");
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn open_circuits_are_checked_when_that_is_due_and_trials_when_nothing_waits() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let target = shelf.target;
                circuits::lock(tx, target).await?;
                circuits::save(tx, target, &open()).await?;
                let due = open().circuit.held_until().unwrap();
                assert_eq!(circuits::to_check(tx, at(1), 9).await?, Vec::new(), "{engine}");
                assert_eq!(circuits::to_check(tx, due, 9).await?, vec![target], "{engine}");
                assert_eq!(circuits::open(tx, 9).await?, vec![target], "{engine}");

                let mut row = targets::lock(tx, target).await?.unwrap();
                row.is_paused = true;
                targets::save(tx, &mut row).await?;
                assert_eq!(circuits::to_check(tx, due, 9).await?, Vec::new(), "{engine}");
                row.is_paused = false;
                targets::save(tx, &mut row).await?;

                let circuit = circuit::checked(open().circuit, None, &Retry::default(), 0.0, due);
                circuits::save(tx, target, &CircuitRow { circuit, ..open() }).await?;
                assert_eq!(circuits::open(tx, 9).await?, Vec::new(), "{engine}");
                assert_eq!(circuits::to_check(tx, at(1), 9).await?, vec![target], "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_waits_is_blamed_held_and_released() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let target = shelf.target;
                let waiting = Delivery {
                    wanted: true,
                    generation: 1,
                    phase: Phase::Due { at: at(500) },
                    ..Delivery::new(false, at(0))
                };
                let uncertain = Delivery { uncertain_until: Some(at(400)), ..waiting };
                let one = deliver(tx, &shelf, 1, waiting).await?;
                let two = deliver(tx, &shelf, 2, uncertain).await?;
                circuits::lock(tx, target).await?;
                circuits::save(tx, target, &open()).await?;

                let fault = open().fault.unwrap();
                let new = NewCause {
                    id: nth(900),
                    target,
                    class: fault.class,
                    code: &fault.code,
                    fingerprint: "token",
                    example: &fault.message,
                    at: at(1),
                };
                let cause = causes::seen(tx, new).await?;
                let last = LastFault {
                    cause,
                    class: fault.class,
                    code: fault.code,
                    message: fault.message,
                };
                assert_eq!(circuits::blame(tx, target, &last).await?, 2, "{engine}");
                assert_eq!(circuits::blame(tx, target, &last).await?, 0, "{engine}");
                let named = deliveries::get_named(tx, one).await?.unwrap();
                assert_eq!(named.row.fault.as_ref(), Some(&last), "{engine}");
                let hold = named.hold.unwrap();
                assert_eq!(hold.reason, Some(Reason::Credentials), "{engine}");
                assert_eq!(hold.until, open().circuit.held_until(), "{engine}");

                let held = circuits::held_since(tx, target, at(0), at(300), (0, 9)).await?;
                let ids: Vec<_> = held.iter().map(|(id, _)| *id).collect();
                assert_eq!(ids, vec![one], "{engine}: what may still happen is not given up");
                let behind = circuits::held_since(tx, target, at(0), at(300), (1, 9)).await?;
                assert_eq!(behind, [], "{engine}: behind the first is nothing");

                assert_eq!(circuits::release(tx, target, at(300)).await?, 1, "{engine}");
                let ready = async |tx: &mut Tx<'_>, id: DeliveryId| {
                    let row = tx
                        .query_one("select ready_at_ms from deliveries where id = $1", params![id])
                        .await?;
                    row.get::<accede_domain::Timestamp>(0)
                };
                assert_eq!(ready(tx, one).await?, at(300), "{engine}");
                assert_eq!(ready(tx, two).await?, at(500), "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_target_is_worth_a_claim_while_something_is_ready_and_it_is_called() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let target = shelf.target;
                let ready = async |tx: &mut Tx<'_>, now| queue::ready_targets(tx, at(now)).await;
                for (n, wanted) in [(1, true), (2, false)] {
                    let phase = Phase::Due { at: at(500) };
                    let due = Delivery { wanted, phase, ..Delivery::new(wanted, at(0)) };
                    let id = deliver(tx, &shelf, n, due).await?;
                    assert_eq!(ready(tx, 499).await?, Vec::new(), "{engine}");
                    assert_eq!(ready(tx, 500).await?, vec![target], "{engine}");
                    tx.execute(
                        "update deliveries set ready_at_ms = null where id = $1",
                        params![id],
                    )
                    .await?;
                    assert_eq!(ready(tx, 500).await?, Vec::new(), "{engine}");
                }
                let due = Delivery {
                    wanted: true,
                    phase: Phase::Due { at: at(500) },
                    ..Delivery::new(true, at(0))
                };
                deliver(tx, &shelf, 3, due).await?;
                circuits::lock(tx, target).await?;
                let quiet = circuit::throttled(Circuit::default(), at(600));
                circuits::save(tx, target, &CircuitRow { circuit: quiet, fault: None }).await?;
                assert_eq!(ready(tx, 599).await?, Vec::new(), "{engine}: it asked for quiet");
                assert_eq!(ready(tx, 600).await?, vec![target], "{engine}");
                circuits::save(tx, target, &open()).await?;
                assert_eq!(circuits::to_check(tx, at(600), 9).await?, vec![target], "{engine}");
                assert_eq!(ready(tx, 600).await?, Vec::new(), "{engine}: it is to be checked");
                let answers =
                    circuit::checked(open().circuit, None, &Retry::default(), 0.0, at(600));
                circuits::save(tx, target, &CircuitRow { circuit: answers, fault: None }).await?;
                assert_eq!(ready(tx, 600).await?, vec![target], "{engine}: it is tried");
                let mut row = targets::lock(tx, target).await?.unwrap();
                row.is_paused = true;
                targets::save(tx, &mut row).await?;
                assert_eq!(ready(tx, 600).await?, Vec::new(), "{engine}: it is paused");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_is_asked_every_second_reads_what_waits_and_not_what_is_settled() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let target = shelf.target;
                let due = if store.engine() == Engine::Sqlite {
                    "deliveries_ready (target_id=? AND wanted=? AND ready_at_ms<?)"
                } else {
                    "deliveries_ready"
                };
                for plan in plans(tx, async |tx| queue::ready_targets(tx, at(1)).await).await? {
                    assert_eq!(plan.matches(due).count(), 2, "{engine}: {plan}");
                }
                let undone = if store.engine() == Engine::Sqlite {
                    "deliveries_undone (target_id=? AND phase=?"
                } else {
                    "deliveries_undone"
                };
                let fault = open().fault.unwrap();
                let last = LastFault {
                    cause: nth(900),
                    class: fault.class,
                    code: fault.code,
                    message: fault.message,
                };
                let work = async |tx: &mut Tx<'_>| {
                    circuits::held_since(tx, target, at(0), at(300), (0, 9)).await?;
                    circuits::blame(tx, target, &last).await
                };
                for plan in plans(tx, work).await? {
                    assert!(plan.contains(undone), "{engine}: {plan}");
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}
