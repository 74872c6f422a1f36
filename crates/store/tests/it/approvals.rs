//! Approval stages and who may decide them, on every engine.

use accede_domain::approval::{Result as Review, Stage, Status};
use accede_domain::request::State;
use accede_store::approval_list::{self, Involved};
use accede_store::approvals::{self, Approver};
use accede_store::filter::Ask;
use accede_store::testing::stores;
use accede_store::{Error, requests};

use crate::desk::{first, later, no_scan, nobody, set, stage, within};
use crate::shelf::{at, nth};

#[tokio::test]
async fn stages_come_in_order_and_keep_what_was_decided() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let request = desk.ask(tx, 200, State::PendingApproval).await?.id;
            let second = stage(501, request, 1, Stage::waiting());
            let mut first = stage(500, request, 0, Stage::waiting());
            approvals::insert(tx, &second).await?;
            approvals::insert(tx, &first).await?;
            first.stage =
                Stage { status: Status::Completed, result: Review::Approved, due: Some(at(50)) };
            first.resolution = Some("1 primary approver(s) asked".to_owned());
            first.justification = Some("fine".to_owned());
            first.reviewed_by = Some(desk.max.id);
            first.reviewed_at = Some(at(7));
            approvals::save(tx, &first).await?;

            let read = approvals::of_request(tx, request).await?;
            assert_eq!(read, [first, second], "{engine}");
            assert!(approvals::of_request(tx, nobody()).await?.is_empty(), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn approvers_are_named_once_and_are_involved() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let request = desk.ask(tx, 200, State::PendingApproval).await?.id;
            approvals::insert(tx, &stage(500, request, 0, Stage::waiting())).await?;
            approvals::set_approvers(tx, nth(500), &[desk.max.id, desk.boss.id]).await?;
            approvals::set_approvers(tx, nth(500), &[desk.max.id]).await?;

            let approvers = approvals::approvers(tx, nth(500)).await?;
            let named = |user: &accede_store::users::User| Approver {
                user: user.id,
                display_name: user.display_name.clone(),
            };
            assert_eq!(approvers, [named(&desk.max), named(&desk.boss)], "{engine}");
            assert!(approvals::involves(tx, request, desk.max.id).await?, "{engine}");
            assert!(!approvals::involves(tx, request, desk.uma.id).await?, "{engine}");
            assert!(!approvals::involves(tx, nobody(), desk.max.id).await?, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_person_finds_what_awaits_them_and_what_they_were_ever_asked() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let open = Stage { status: Status::InProgress, due: Some(at(90)), ..Stage::waiting() };
            let waiting = desk.ask(tx, 200, State::PendingApproval).await?.id;
            approvals::insert(tx, &stage(500, waiting, 0, open)).await?;
            approvals::insert(tx, &stage(501, waiting, 1, Stage::waiting())).await?;
            let done = State::Delivered { first_completed: at(1), completed: at(1) };
            let over = desk.ask(tx, 201, done).await?.id;
            let passed =
                Stage { status: Status::Completed, result: Review::Approved, due: Some(at(90)) };
            approvals::insert(tx, &stage(502, over, 0, passed)).await?;
            for stage in [nth(500), nth(502)] {
                approvals::set_approvers(tx, stage, &[desk.max.id]).await?;
            }
            approvals::set_approvers(tx, nth(501), &[desk.boss.id]).await?;

            // Somebody who is asked twice is told of it once.
            approvals::set_approvers(tx, nth(501), &[desk.max.id]).await?;

            let (max, boss) = (desk.max.id, desk.boss.id);
            for (involved, expected) in [
                (Involved::Awaited(max), vec![waiting]),
                (Involved::Asked(max), vec![over, waiting]),
                (Involved::Awaited(boss), vec![]),
                (Involved::Asked(boss), vec![waiting]),
                (Involved::About(desk.uma.subject), vec![over, waiting]),
                (Involved::By(desk.max.subject), vec![]),
            ] {
                let found = approval_list::page(tx, involved, first(10), true).await;
                let found = found.map_err(|error| Error::Database(error.to_string()))?;
                assert_eq!(found.items, expected, "{engine} {involved:?}");
                assert_eq!(found.count, i64::try_from(expected.len()).ok(), "{engine}");
            }
            let begin = approval_list::page(tx, Involved::Asked(max), first(1), false).await;
            let begin = begin.map_err(|error| Error::Database(error.to_string()))?;
            let ask = Ask { after: begin.next.as_deref(), ..first(1) };
            let rest = approval_list::page(tx, Involved::Asked(max), ask, false).await;
            let rest = rest.map_err(|error| Error::Database(error.to_string()))?;
            assert_eq!((begin.items, rest.items), (vec![over], vec![waiting]), "{engine}");
            assert_eq!(rest.next, None, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_nobody_decided_in_time_is_overdue() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let mut late = desk.request(200, State::PendingApproval);
            requests::insert(tx, &late).await?;
            late.id = nth(201);
            late.subject = desk.max.subject;
            requests::insert(tx, &late).await?;
            let due = |at| Stage { status: Status::InProgress, due: Some(at), ..Stage::waiting() };
            approvals::insert(tx, &stage(500, nth(200), 0, due(at(60)))).await?;
            approvals::insert(tx, &stage(501, nth(201), 0, due(at(50)))).await?;

            let overdue = approvals::overdue(tx, at(60), (0, 10)).await?;
            let expected = [(nth(201), desk.max.subject), (nth(200), desk.uma.subject)];
            assert_eq!(overdue, expected, "{engine}");
            assert_eq!(approvals::overdue(tx, at(60), (0, 1)).await?, expected[..1], "{engine}");
            assert_eq!(approvals::overdue(tx, at(60), (1, 9)).await?, expected[1..], "{engine}");
            assert!(approvals::overdue(tx, at(49), (0, 10)).await?.is_empty(), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_reads_all_stages() {
    for (_, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let max = desk.max.id;
            no_scan(tx, "of_request", async |tx| approvals::of_request(tx, nth(1)).await).await?;
            no_scan(tx, "approvers", async |tx| approvals::approvers(tx, nth(1)).await).await?;
            no_scan(tx, "involves", async |tx| approvals::involves(tx, nth(1), max).await).await?;
            no_scan(tx, "overdue", async |tx| approvals::overdue(tx, later(), (0, 200)).await)
                .await?;
            let own = desk.uma.subject;
            for involved in [
                Involved::Awaited(max),
                Involved::Asked(max),
                Involved::About(own),
                Involved::By(own),
            ] {
                no_scan(tx, "approvals", async |tx| {
                    let found = approval_list::page(tx, involved, first(9), false).await;
                    found.map_err(|error| Error::Database(error.to_string()))
                })
                .await?;
            }
            Ok(())
        })
        .await;
    }
}
