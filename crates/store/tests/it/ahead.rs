//! Rows that a clock that ran ahead left in the future, on every engine.

use accede_domain::circuit::{self, Circuit, Reason};
use accede_domain::delivery::{Action, Observed, Phase};
use accede_domain::notice::{Channel, Topic};
use accede_domain::retry::{Retry, after};
use accede_domain::{SignedDuration, Timestamp};
use accede_store::alarms::{self, Alarm};
use accede_store::circuits::{self, CircuitRow};
use accede_store::notices::Notice;
use accede_store::testing::stores;
use accede_store::{accounts, ahead, deliveries, drift_sweeps, notices};

use uuid::Uuid;

use crate::desk::{set, within};
use crate::notices::notice;
use crate::shelf::at;

const DAY: i64 = 86_400;

fn hour() -> SignedDuration {
    SignedDuration::from_hours(1)
}

fn written(n: u128, created_at: Timestamp) -> Notice {
    Notice { created_at, ..notice(n, &format!("event {n}"), "rita@x.example") }
}

fn far() -> Timestamp {
    at(400 * DAY)
}

#[tokio::test]
async fn deliveries_and_circuits_are_found_of_which_something_lies_in_the_future() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let target = desk.shelf.target;
            let mut put = Vec::new();
            for n in 1..=9 {
                let mut row = desk.delivery(n, desk.uma.subject, &format!("r{n}"));
                row.delivery.since = at(0);
                row.delivery.phase = Phase::Settled;
                match n {
                    1 => row.delivery.verify_at = Some(far()),
                    2 => row.delivery.since = far(),
                    3 => row.attempted_at = Some(far()),
                    4 => row.delivery.acknowledged = Some(far()),
                    5 => row.delivery.verified = Some(far()),
                    6 => {
                        row.delivery.wanted = true;
                        row.delivery.phase = Phase::Failed { at: far() };
                    }
                    7 => {
                        row.delivery.phase = Phase::InFlight {
                            action: Action::Grant,
                            generation: 1,
                            before: Observed::Never,
                            lease_until: far(),
                            deadline: far(),
                        };
                    }
                    8 => row.delivery.uncertain_until = Some(far()),
                    // What is due soon is as it should be.
                    _ => row.delivery.phase = Phase::Due { at: at(DAY + 300) },
                }
                put.push(deliveries::lock_or_insert(tx, &row).await?.id);
            }

            let found = ahead::deliveries(tx, None, at(DAY), 99).await?;
            let ids: Vec<_> = found.iter().map(|row| row.id).collect();
            assert_eq!(ids, put[..8], "{engine}");
            let rest = ahead::deliveries(tx, Some(ids[5]), at(DAY), 1).await?;
            assert_eq!(rest.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[6]], "{engine}");
            assert_eq!(ahead::deliveries(tx, None, far(), 99).await?, [], "{engine}");

            let epoch = found[6].delivery.epoch;
            assert_eq!(ahead::leases(tx, at(DAY)).await?, [(ids[6], epoch)], "{engine}");
            assert_eq!(ahead::leases(tx, far()).await?, [], "{engine}");

            circuits::lock(tx, target).await?;
            assert_eq!(ahead::circuits(tx, at(DAY)).await?, [], "{engine}");
            for circuit in [
                circuit::trip(
                    Circuit::default(),
                    Reason::Unavailable,
                    &Retry::default(),
                    1.0,
                    far(),
                ),
                circuit::throttled(Circuit::default(), far()),
            ] {
                circuits::save(tx, target, &CircuitRow { circuit, fault: None }).await?;
                assert_eq!(ahead::circuits(tx, at(DAY)).await?, [target], "{engine}");
                assert_eq!(ahead::circuits(tx, far()).await?, [], "{engine}");
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_told_compared_or_counted_in_the_future_is_now() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let (now, target) = (at(DAY), desk.shelf.target);
            let soon = after(now, hour());
            notices::insert(tx, &written(1, far())).await?;
            notices::insert(tx, &written(2, at(0))).await?;
            let put_off = notices::claim(tx, Channel::Mail, at(0), far(), 9).await?;
            notices::insert(tx, &written(3, now)).await?;
            let tried = notices::claim(tx, Channel::Mail, now, soon, 9).await?;
            assert_eq!((put_off.len(), tried.len()), (1, 1), "{engine}");
            for (n, next) in [(11, far()), (12, after(now, SignedDuration::from_hours(24)))] {
                let alarm =
                    Alarm { object: Uuid::from_u128(n), since: at(0), detail: String::new(), next };
                alarms::keep(tx, Topic::ChangeHeld, &alarm).await?;
            }
            let mut sweep = drift_sweeps::lock(tx, target).await?;
            sweep.turn_at = far();
            sweep.begun_at = Some(far());
            sweep.finished_at = Some(at(5));
            drift_sweeps::save(tx, &sweep).await?;
            accounts::insert_failure(tx, Uuid::from_u128(21), "uma", far()).await?;
            accounts::insert_failure(tx, Uuid::from_u128(22), "uma", at(0)).await?;

            let day = SignedDuration::from_hours(24);
            assert_eq!(ahead::tell(tx, hour(), day, now).await?, 3, "{engine}");
            assert_eq!(ahead::compare(tx, day, now).await?, 1, "{engine}");
            assert_eq!(ahead::count_as_now(tx, now).await?, 1, "{engine}");

            let due = notices::claim(tx, Channel::Mail, now, soon, 9).await?;
            assert_eq!(due.len(), 2, "{engine}: what was tried keeps its wait");
            assert!(due.iter().all(|notice| notice.created_at <= now), "{engine}");
            let standing = alarms::standing(tx, Topic::ChangeHeld, 9).await?;
            let next: Vec<_> = standing.iter().map(|alarm| alarm.next).collect();
            assert_eq!(next, [now, after(now, day)], "{engine}");
            let moved = drift_sweeps::lock(tx, target).await?;
            assert_eq!((moved.turn_at, moved.begun_at), (now, Some(now)), "{engine}");
            assert_eq!(moved.finished_at, Some(at(5)), "{engine}");
            let failures = accounts::failures(tx, "uma", at(1)).await?;
            assert_eq!(failures, (1, Some(now)), "{engine}");

            assert_eq!(ahead::tell(tx, hour(), day, now).await?, 0, "{engine}: once");
            assert_eq!(ahead::compare(tx, day, now).await?, 0, "{engine}");
            assert_eq!(ahead::count_as_now(tx, now).await?, 0, "{engine}");
            Ok(())
        })
        .await;
    }
}
