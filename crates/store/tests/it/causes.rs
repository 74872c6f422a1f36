//! Causes and what they hold up, on every engine.

use accede_domain::delivery::{Observed, Phase};
use accede_domain::fault::Class;
use accede_domain::id::CauseId;
use accede_domain::permission::Reach;
use accede_domain::request::State;
use accede_store::causes::{self, HeldUp, NewCause};
use accede_store::deliveries::{self, LastFault};
use accede_store::testing::stores;
use accede_store::{Result, Tx, assignments};

use crate::desk::{Desk, no_scan, set, within};
use crate::shelf::{at, nth};

pub async fn seen(tx: &mut Tx<'_>, desk: &Desk, n: u128, code: &str, when: i64) -> Result<CauseId> {
    let example = format!("refused at {when}");
    let new = NewCause {
        id: nth(n),
        target: desk.shelf.target,
        class: Class::Permanent,
        code,
        fingerprint: "refused",
        example: &example,
        at: at(when),
    };
    causes::seen(tx, new).await
}

/// A failed delivery of a cause, wanted by a new assignment whose request failed.
pub async fn fail(
    tx: &mut Tx<'_>,
    desk: &Desk,
    n: u128,
    cause: CauseId,
    wanted: bool,
) -> Result<()> {
    let subject = if n.is_multiple_of(2) { desk.uma.subject } else { desk.max.subject };
    let failed = State::DeliveryFailed { first_completed: at(1), completed: at(1) };
    let (_, assignment) = desk.assign(tx, n * 10, subject, failed).await?;
    let mut row = desk.delivery(n, subject, &format!("role{n}"));
    row.delivery.wanted = wanted;
    row.delivery.observed = Observed::Unknown;
    row.delivery.phase = match wanted {
        true => Phase::Failed { at: at(5) },
        false => Phase::Stuck { since: at(5), probe_at: at(6) },
    };
    let id = desk.deliver(tx, &row, Some(assignment)).await?;
    row.fault = Some(LastFault {
        cause,
        class: Class::Permanent,
        code: "http-403".to_owned(),
        message: "refused".to_owned(),
    });
    deliveries::save(tx, &row, 0).await?;
    if !wanted {
        assignments::drop_reason(tx, id, assignment).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_fails_alike_is_one_cause_that_is_seen_again() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let first = seen(tx, &desk, 800, "http-403", 1).await?;
            assert_eq!(seen(tx, &desk, 801, "http-403", 1).await?, first, "{engine}");
            assert_eq!(seen(tx, &desk, 802, "http-403", 9).await?, first, "{engine}");
            let other = seen(tx, &desk, 803, "http-404", 9).await?;
            assert_ne!(other, first, "{engine}");
            fail(tx, &desk, 700, first, true).await?;

            let causes = causes::list(tx, &Reach::Everywhere).await?;
            assert_eq!(causes.len(), 1, "{engine}: a cause of nothing is none");
            let cause = causes.first().unwrap();
            assert_eq!((cause.first_seen, cause.last_seen), (at(1), at(9)), "{engine}");
            assert_eq!(cause.example, "refused at 9", "{engine}");
            assert_eq!((cause.class, cause.code.as_str()), (Class::Permanent, "http-403"));
            assert_eq!((cause.target_name.as_str(), cause.text.as_str()), ("wiki", "refused"));
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn causes_count_what_they_hold_up_the_largest_first() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let small = seen(tx, &desk, 800, "http-404", 1).await?;
            let large = seen(tx, &desk, 801, "http-403", 1).await?;
            fail(tx, &desk, 700, large, true).await?;
            fail(tx, &desk, 701, large, true).await?;
            // Of somebody who has another package.
            let failed = State::DeliveryFailed { first_completed: at(1), completed: at(1) };
            let other = accede_store::assignments::Assignment {
                package: desk.other,
                ..desk.assignment(9_000, accede_domain::assignment::State::DeliveryFailed)
            };
            assignments::insert(tx, &other).await?;
            let request = accede_store::requests::Request {
                package: desk.other,
                assignment: Some(other.id),
                ..desk.request(9_001, failed)
            };
            accede_store::requests::insert(tx, &request).await?;
            let mut revoke = desk.delivery(702, desk.uma.subject, "gone");
            revoke.delivery.observed = Observed::Unknown;
            revoke.delivery.phase = Phase::Stuck { since: at(5), probe_at: at(6) };
            let id = desk.deliver(tx, &revoke, Some(other.id)).await?;
            assignments::drop_reason(tx, id, other.id).await?;
            for cause in [small, large] {
                revoke.fault = Some(LastFault {
                    cause,
                    class: Class::Permanent,
                    code: "x".to_owned(),
                    message: "x".to_owned(),
                });
                deliveries::save(tx, &revoke, 0).await?;
            }
            let mut one = desk.delivery(703, desk.uma.subject, "one");
            one.delivery.wanted = true;
            one.delivery.phase = Phase::Due { at: at(9) };
            desk.deliver(tx, &one, Some(other.id)).await?;
            one.fault = Some(LastFault { cause: small, ..revoke.fault.clone().unwrap() });
            deliveries::save(tx, &one, 0).await?;

            let causes = causes::list(tx, &Reach::Everywhere).await?;
            let counted: Vec<_> = causes
                .iter()
                .map(|cause| {
                    (
                        cause.id,
                        cause.deliveries,
                        cause.failed,
                        cause.revocations,
                        cause.people,
                        cause.requests,
                    )
                })
                .collect();
            assert_eq!(counted, [(large, 3, 2, 1, 2, 2), (small, 1, 0, 0, 1, 1)], "{engine}");
            let packages = causes::packages(tx, large, &Reach::Everywhere).await?;
            let held = |package, display_name: &str, people| HeldUp {
                package,
                display_name: display_name.to_owned(),
                people,
            };
            let expected = [held(desk.shelf.package, "Campaign", 2), held(desk.other, "Other", 1)];
            assert_eq!(packages, expected, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_reader_sees_the_causes_of_their_catalogs_only() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let cause = seen(tx, &desk, 800, "http-403", 1).await?;
            fail(tx, &desk, 700, cause, true).await?;
            let mine = Reach::Catalogs(vec![desk.shelf.catalog]);
            let foreign = Reach::Catalogs(vec![nth(99)]);
            let nothing = Reach::Catalogs(Vec::new());

            assert_eq!(causes::list(tx, &mine).await?.len(), 1, "{engine}");
            assert_eq!(causes::list(tx, &foreign).await?, [], "{engine}");
            assert_eq!(causes::list(tx, &nothing).await?, [], "{engine}");
            let listed = causes::list(tx, &mine).await?.pop();
            assert_eq!(causes::get(tx, cause, &mine).await?, listed, "{engine}");
            assert_eq!(causes::get(tx, cause, &foreign).await?, None, "{engine}");
            assert_eq!(causes::get(tx, nth(801), &mine).await?, None, "{engine}");
            assert_eq!(causes::packages(tx, cause, &mine).await?.len(), 1, "{engine}");
            assert_eq!(causes::packages(tx, cause, &foreign).await?, [], "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_list_of_causes_reads_what_failed_only() {
    for (_, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let cause = seen(tx, &desk, 800, "http-403", 1).await?;
            fail(tx, &desk, 700, cause, true).await?;
            no_scan(tx, "seen", async |tx| seen(tx, &desk, 801, "http-403", 1).await).await?;
            let everywhere = Reach::Everywhere;
            no_scan(tx, "list", async |tx| causes::list(tx, &everywhere).await).await?;
            let mine = Reach::Catalogs(vec![desk.shelf.catalog]);
            no_scan(tx, "mine", async |tx| causes::list(tx, &mine).await).await?;
            no_scan(tx, "one", async |tx| causes::get(tx, cause, &mine).await).await?;
            no_scan(tx, "packages", async |tx| causes::packages(tx, cause, &mine).await).await
        })
        .await;
    }
}
