//! Assignment requests, on every engine.

use accede_domain::request::{Denial, State};
use accede_domain::{Timestamp, assignment, duration::Duration, schedule};
use accede_store::requests::{self, Place, Request};
use accede_store::testing::stores;
use accede_store::{Error, approvals, assignments, history, params};

use crate::desk::{Desk, later, no_scan, nobody, set, stage, within};
use crate::shelf::{at, nth};

/// Every state, with every time of its own.
fn states() -> Vec<State> {
    let (first_completed, completed) = (at(10), at(20));
    vec![
        State::Submitted,
        State::PendingApproval,
        State::Scheduled { start: at(5) },
        State::Delivering { first_completed: None },
        State::Delivering { first_completed: Some(first_completed) },
        State::Delivered { first_completed, completed },
        State::PartiallyDelivered { first_completed, completed },
        State::DeliveryFailed { first_completed, completed },
        State::Denied { at: completed, why: Denial::Decided },
        State::Denied { at: completed, why: Denial::TimedOut },
        State::Canceling { first_completed },
        State::Canceled { at: completed },
    ]
}

/// A request with something in every column.
fn full(desk: &Desk, state: State) -> Request {
    Request {
        begins: Some(at(5)),
        end: Some(at(500)),
        schedule: schedule::Schedule {
            start_date_time: Some(at(5)),
            expiration: schedule::Expiration::AfterDuration { duration: Duration::days(3) },
        },
        justification: Some("for the fair".to_owned()),
        answers: "[{\"question\":1}]".to_owned(),
        block: Some(("EndPassed".to_owned(), "its end has passed".to_owned())),
        ..desk.request(200, state)
    }
}

#[tokio::test]
async fn every_state_comes_back_as_it_was_written() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        for state in states() {
            let written = full(&desk, state);
            let read = store
                .write(async |tx| {
                    requests::insert(tx, &written).await?;
                    let read = requests::get(tx, written.id).await?;
                    requests::delete(tx, written.id).await?;
                    Ok::<_, Error>(read)
                })
                .await
                .unwrap();
            assert_eq!(read, Some(written), "{engine}");
        }
    }
}

#[tokio::test]
async fn saving_counts_the_version_and_refuses_what_was_changed_meanwhile() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| desk.ask(tx, 200, State::Submitted).await).await;
        for state in states() {
            let (saved, read) = store
                .write(async |tx| {
                    let mut request = requests::lock(tx, nth(200)).await?;
                    request.state = state;
                    request.begins = Some(at(5));
                    request.end = Some(at(77));
                    request.block = Some(("a".to_owned(), "b".to_owned()));
                    requests::save(tx, &mut request).await?;
                    Ok::<_, Error>((request, requests::lock(tx, nth(200)).await?))
                })
                .await
                .unwrap();
            assert_eq!(read, saved, "{engine}");
        }
        within(&store, async |tx| {
            assignments::insert(tx, &desk.assignment(300, assignment::State::Delivering)).await?;
            let mut request = requests::lock(tx, nth(200)).await?;
            request.assignment = Some(nth(300));
            requests::save(tx, &mut request).await?;
            assert_eq!(requests::lock(tx, nth(200)).await?.assignment, None, "{engine}");
            requests::save_assigned(tx, &mut request).await?;
            assert_eq!(requests::lock(tx, nth(200)).await?, request, "{engine}");
            Ok(())
        })
        .await;
        let stale = store
            .write(async |tx| {
                requests::save_assigned(tx, &mut desk.request(200, State::Submitted)).await
            })
            .await;
        assert_eq!(stale, Err(Error::Stale), "{engine}");
        let stale = store
            .write(async |tx| requests::save(tx, &mut desk.request(200, State::Submitted)).await)
            .await;
        assert_eq!(stale, Err(Error::Stale), "{engine}");
        let gone = store.read(async |tx| requests::get(tx, nobody()).await).await;
        assert_eq!(gone, Ok(None), "{engine}");
        let gone = store.write(async |tx| requests::lock(tx, nobody()).await).await;
        assert_eq!(gone, Err(Error::NotFound), "{engine}");
    }
}

#[tokio::test]
async fn a_person_has_one_open_request_for_a_package() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| desk.ask(tx, 200, State::PendingApproval).await).await;

        let second = store
            .write(async |tx| {
                let start = at(5);
                let state = State::Scheduled { start };
                let request = Request { begins: Some(start), ..desk.request(201, state) };
                requests::insert(tx, &request).await
            })
            .await;
        assert!(matches!(second, Err(Error::Duplicate { .. })), "{engine}: {second:?}");

        within(&store, async |tx| {
            let done = State::Delivered { first_completed: at(1), completed: at(1) };
            desk.ask(tx, 202, done).await?;
            let elsewhere =
                Request { package: desk.other, ..desk.request(203, State::PendingApproval) };
            requests::insert(tx, &elsewhere).await?;
            let open = requests::open_of(tx, desk.uma.subject, desk.shelf.package).await?;
            assert_eq!(open, Some(desk.request(200, State::PendingApproval)), "{engine}");
            let none = requests::open_of(tx, desk.max.subject, desk.shelf.package).await?;
            assert_eq!(none, None, "{engine}");
            let all = requests::open_of_subject(tx, desk.uma.subject).await?;
            let ids: Vec<_> = all.iter().map(|request| request.id).collect();
            assert_eq!(ids, [nth(200), nth(203)], "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn requests_are_found_by_their_assignment() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let failed = State::DeliveryFailed { first_completed: at(1), completed: at(1) };
            let (made, assignment) = desk.assign(tx, 300, desk.uma.subject, failed).await?;
            let removal = Request {
                request_type: accede_domain::request::Type::SystemRemove,
                assignment: Some(assignment),
                ..desk.request(400, State::Delivering { first_completed: None })
            };
            requests::insert(tx, &removal).await?;

            let under_way = requests::under_way(tx, assignment).await?;
            assert_eq!(under_way, std::slice::from_ref(&removal), "{engine}");
            let all = requests::of_assignment(tx, assignment).await?;
            let ids: Vec<_> = all.iter().map(|request| request.id).collect();
            assert_eq!(ids, [removal.id, made], "{engine}");
            let place = requests::place(tx, made).await?;
            let expected = Place {
                subject: desk.uma.subject,
                requestor: desk.uma.subject,
                catalog: desk.shelf.catalog,
            };
            assert_eq!(place, Some(expected), "{engine}");
            assert_eq!(requests::place(tx, nobody()).await?, None, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn scheduled_requests_begin_at_their_instant_oldest_first() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let scheduled = |n: u128, start: Timestamp, subject, package| Request {
                subject,
                package,
                begins: Some(start),
                ..desk.request(n, State::Scheduled { start })
            };
            let (uma, max) = (desk.uma.subject, desk.max.subject);
            let package = desk.shelf.package;
            for request in [
                scheduled(200, at(30), uma, package),
                scheduled(201, at(20), max, package),
                scheduled(202, at(40), max, desk.other),
            ] {
                requests::insert(tx, &request).await?;
            }

            let due = requests::due_to_begin(tx, at(30), (0, 10)).await?;
            assert_eq!(due, [(nth(201), max), (nth(200), uma)], "{engine}");
            let one = requests::due_to_begin(tx, at(30), (0, 1)).await?;
            assert_eq!(one, [(nth(201), max)], "{engine}");
            assert_eq!(requests::due_to_begin(tx, at(30), (1, 9)).await?, due[1..], "{engine}");
            assert!(requests::due_to_begin(tx, at(19), (0, 10)).await?.is_empty(), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn deleting_the_record_takes_its_stages_and_its_timeline_and_leaves_the_access() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let done = State::Delivered { first_completed: at(1), completed: at(1) };
            let (request, assignment) = desk.assign(tx, 300, desk.uma.subject, done).await?;
            let open = accede_domain::approval::Stage::waiting();
            approvals::insert(tx, &stage(500, request, 0, open)).await?;
            approvals::set_approvers(tx, nth(500), &[desk.max.id]).await?;
            let line = history::Line {
                id: nth(600),
                request,
                at: at(1),
                kind: "submitted".to_owned(),
                actor: "uma".to_owned(),
                detail: String::new(),
            };
            history::insert(tx, &line).await?;

            requests::delete(tx, request).await?;

            assert_eq!(requests::get(tx, request).await?, None, "{engine}");
            assert!(approvals::of_request(tx, request).await?.is_empty(), "{engine}");
            assert!(history::of_request(tx, request).await?.is_empty(), "{engine}");
            let left = assignments::get(tx, assignment).await?.map(|left| left.state);
            assert_eq!(left, Some(assignment::State::Delivering), "{engine}");
            let left = tx.query_one("select count(*) from stage_approvers", params![]).await?;
            assert_eq!(left.get::<i64>(0)?, 0, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_reads_all_requests() {
    for (_, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let (subject, package) = (desk.uma.subject, desk.shelf.package);
            no_scan(tx, "get", async |tx| requests::get(tx, nth(1)).await).await?;
            no_scan(tx, "open_of", async |tx| requests::open_of(tx, subject, package).await)
                .await?;
            no_scan(tx, "open_of_subject", async |tx| requests::open_of_subject(tx, subject).await)
                .await?;
            no_scan(tx, "under_way", async |tx| requests::under_way(tx, nth(1)).await).await?;
            no_scan(tx, "of_assignment", async |tx| requests::of_assignment(tx, nth(1)).await)
                .await?;
            no_scan(tx, "due_to_begin", async |tx| {
                requests::due_to_begin(tx, later(), (0, 200)).await
            })
            .await?;
            no_scan(tx, "place", async |tx| requests::place(tx, nth(1)).await).await?;
            no_scan(tx, "delete", async |tx| requests::delete(tx, nth(1)).await).await
        })
        .await;
    }
}
