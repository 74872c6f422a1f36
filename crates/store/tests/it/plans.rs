//! Reprocess plans and jobs, on every engine.

use accede_domain::delivery::{Observed, Phase};
use accede_domain::request::State;
use accede_store::plans::{self, Job, JobItem, JobState, Plan, PlanItem, Progress};
use accede_store::testing::stores;
use accede_store::{Result, Tx, requests};

use crate::desk::{Desk, no_scan, nobody, set, within};
use crate::shelf::{at, nth};

fn plan(desk: &Desk) -> Plan {
    Plan {
        id: nth(900),
        created_by: "rita".to_owned(),
        creator: Some(desk.boss.id),
        created_at: at(1),
        filter: "{}".to_owned(),
        digest: "sha256:00".to_owned(),
        eligible: 2,
        skipped: 2,
        summary: "{}".to_owned(),
        job: None,
    }
}

fn job(n: u128) -> Job {
    Job {
        id: nth(n),
        plan: nth(900),
        state: JobState::Running,
        created_by: "rita".to_owned(),
        creator: None,
        created_at: at(2),
        finished_at: None,
    }
}

/// Two requests that failed, and a plan of them and of two that are skipped.
async fn planned(tx: &mut Tx<'_>, desk: &Desk) -> Result<Vec<PlanItem>> {
    let failed = State::DeliveryFailed { first_completed: at(1), completed: at(1) };
    let (one, reason) = desk.assign(tx, 300, desk.uma.subject, failed).await?;
    let (two, other) = desk.assign(tx, 400, desk.max.subject, failed).await?;
    for (n, subject, reason) in [(700, desk.uma.subject, reason), (701, desk.max.subject, other)] {
        let mut row = desk.delivery(n, subject, "staff");
        row.delivery.wanted = true;
        row.delivery.observed = Observed::Unknown;
        row.delivery.phase = Phase::Failed { at: at(3) };
        desk.deliver(tx, &row, Some(reason)).await?;
    }
    let skip = |why: &str| Some(("NotFound".to_owned(), why.to_owned()));
    let item = |position, request, skip| PlanItem { position, request, version: 1, skip };
    let items = vec![
        item(1, one, None),
        item(2, nobody(), skip("b")),
        item(3, two, None),
        item(4, nth(0xbeef), skip("a")),
    ];
    plans::insert(tx, &plan(desk), &items).await?;
    Ok(items)
}

#[tokio::test]
async fn a_plan_keeps_its_items_in_order() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let items = planned(tx, &desk).await?;

            plans::set_summary(tx, nth(900), "{\"x\":1}").await?;
            let kept = Plan { summary: "{\"x\":1}".to_owned(), ..plan(&desk) };
            assert_eq!(plans::get(tx, nth(900)).await?, Some(kept.clone()), "{engine}");
            assert_eq!(plans::lock(tx, nth(900)).await?, Some(kept), "{engine}");
            assert_eq!(plans::get(tx, nobody()).await?, None, "{engine}");
            assert_eq!(plans::items(tx, nth(900), 0, 10).await?, items, "{engine}");
            assert_eq!(plans::items(tx, nth(900), 1, 2).await?, items[1..3], "{engine}");
            let targets = plans::by_target(tx, nth(900)).await?;
            let concurrency = 8;
            let expected = [("wiki".to_owned(), "WIKI".to_owned(), 2, concurrency)];
            assert_eq!(targets, expected, "{engine}");
            let reasons = plans::by_reason(tx, nth(900)).await?;
            let expected = [("NotFound".to_owned(), "a".to_owned(), 2)];
            assert_eq!(reasons, expected, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn each_item_has_one_turn_and_the_last_one_completes_the_job() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let items = planned(tx, &desk).await?;
            plans::insert_job(tx, &job(910)).await?;
            assert_eq!(plans::get(tx, nth(900)).await?.unwrap().job, Some(nth(910)), "{engine}");
            let running = plans::running_jobs(tx, 10).await?;
            assert_eq!(
                running.iter().map(|job| job.id).collect::<Vec<_>>(),
                [nth(910)],
                "{engine}"
            );
            let pending = plans::pending(tx, nth(910), 10).await?;
            let (one, two) = (items[0].request, items[2].request);
            assert_eq!(pending, [(1, one), (3, two)], "{engine}");

            assert!(plans::finish_item(tx, nth(910), 1, None, at(5)).await?, "{engine}");
            assert!(!plans::finish_item(tx, nth(910), 1, None, at(6)).await?, "{engine}");
            assert!(!plans::complete_job(tx, nth(910), at(6)).await?, "{engine}");
            assert_eq!(plans::pending(tx, nth(910), 10).await?, [(3, two)], "{engine}");
            let refused = Some(("RequestNotReprocessable", "it is canceled"));
            assert!(plans::finish_item(tx, nth(910), 3, refused, at(7)).await?, "{engine}");
            assert!(plans::complete_job(tx, nth(910), at(8)).await?, "{engine}");
            assert!(!plans::complete_job(tx, nth(910), at(9)).await?, "{engine}");
            assert!(!plans::cancel_job(tx, nth(910), at(9)).await?, "{engine}");
            assert!(plans::running_jobs(tx, 10).await?.is_empty(), "{engine}");

            let over = Job { state: JobState::Completed, finished_at: Some(at(8)), ..job(910) };
            assert_eq!(plans::get_job(tx, nth(910)).await?, Some(over.clone()), "{engine}");
            assert_eq!(plans::get_job(tx, nobody()).await?, None, "{engine}");
            assert_eq!(plans::recent_jobs(tx, 10).await?, [over], "{engine}");
            let listed = plans::job_items(tx, nth(910), 0, 10).await?;
            let expected = [
                JobItem {
                    position: 1,
                    request: one,
                    state: "accepted".to_owned(),
                    refusal: None,
                    done_at: Some(at(5)),
                    request_state: Some("deliveryFailed".to_owned()),
                    beneficiary: Some(desk.uma.display_name.clone()),
                },
                JobItem {
                    position: 3,
                    request: two,
                    state: "refused".to_owned(),
                    refusal: Some((
                        "RequestNotReprocessable".to_owned(),
                        "it is canceled".to_owned(),
                    )),
                    done_at: Some(at(7)),
                    request_state: Some("deliveryFailed".to_owned()),
                    beneficiary: Some(desk.max.display_name.clone()),
                },
            ];
            assert_eq!(listed, expected, "{engine}");
            assert_eq!(plans::job_items(tx, nth(910), 1, 10).await?, expected[1..], "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn progress_follows_the_requests_of_accepted_items() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let items = planned(tx, &desk).await?;
            plans::insert_job(tx, &job(910)).await?;
            let waiting = Progress { total: 2, pending: 2, ..Progress::default() };
            assert_eq!(plans::progress(tx, nth(910)).await?, waiting, "{engine}");

            plans::finish_item(tx, nth(910), 1, None, at(5)).await?;
            plans::finish_item(tx, nth(910), 3, None, at(5)).await?;
            let mut first = requests::lock(tx, items[0].request).await?;
            let (first_completed, completed) = (at(1), at(2));
            let states = [
                (State::Delivering { first_completed: None }, [1, 0, 0, 1, 0]),
                (State::Delivered { first_completed, completed }, [0, 1, 0, 1, 0]),
                (State::PartiallyDelivered { first_completed, completed }, [0, 0, 1, 1, 0]),
                (State::Canceled { at: completed }, [0, 0, 0, 1, 1]),
            ];
            for (state, [delivering, delivered, partially, failed, other]) in states {
                first.state = state;
                requests::save(tx, &mut first).await?;
                let expected = Progress {
                    total: 2,
                    accepted: 2,
                    delivering,
                    delivered,
                    partially_delivered: partially,
                    delivery_failed: failed,
                    other,
                    ..Progress::default()
                };
                assert_eq!(plans::progress(tx, nth(910)).await?, expected, "{engine}");
            }
            assert_eq!(plans::progress(tx, nobody()).await?, Progress::default(), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_canceled_job_gives_no_more_turns() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            planned(tx, &desk).await?;
            plans::insert_job(tx, &job(910)).await?;
            plans::finish_item(tx, nth(910), 1, None, at(5)).await?;

            assert!(plans::cancel_job(tx, nth(910), at(6)).await?, "{engine}");
            assert!(!plans::cancel_job(tx, nth(910), at(7)).await?, "{engine}");

            assert!(plans::pending(tx, nth(910), 10).await?.is_empty(), "{engine}");
            assert!(!plans::finish_item(tx, nth(910), 3, None, at(8)).await?, "{engine}");
            let progress = plans::progress(tx, nth(910)).await?;
            assert_eq!((progress.accepted, progress.canceled), (1, 1), "{engine}");
            let job = plans::get_job(tx, nth(910)).await?.unwrap();
            assert_eq!((job.state, job.finished_at), (JobState::Canceled, Some(at(6))));
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_job_finds_its_items_by_index() {
    for (_, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            planned(tx, &desk).await?;
            let id = nth(910);
            no_scan(tx, "items", async |tx| plans::items(tx, nth(900), 0, 9).await).await?;
            no_scan(tx, "insert_job", async |tx| plans::insert_job(tx, &job(910)).await).await?;
            no_scan(tx, "running", async |tx| plans::running_jobs(tx, 64).await).await?;
            no_scan(tx, "pending", async |tx| plans::pending(tx, id, 64).await).await?;
            no_scan(tx, "finish_item", async |tx| plans::finish_item(tx, id, 1, None, at(1)).await)
                .await?;
            no_scan(tx, "complete_job", async |tx| plans::complete_job(tx, id, at(1)).await)
                .await?;
            no_scan(tx, "progress", async |tx| plans::progress(tx, id).await).await?;
            no_scan(tx, "job_items", async |tx| plans::job_items(tx, id, 0, 9).await).await
        })
        .await;
    }
}
