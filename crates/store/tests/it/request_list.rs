//! Lists of requests, on every engine.

use accede_domain::filter::{Filter, parse_order};
use accede_domain::id::RequestId;
use accede_domain::permission::Reach;
use accede_domain::request::{State, Type};
use accede_store::filter::Ask;
use accede_store::request_list::{self, Narrowing, Whose};
use accede_store::testing::stores;
use accede_store::{Error, Result, Tx, approvals, assignments, deliveries, requests};

use crate::desk::{Desk, first, no_scan, nobody, set, stage, within};
use crate::shelf::{at, nth};

const ALL: Whose = Whose::Reach(Reach::Everywhere);

async fn ids(tx: &mut Tx<'_>, whose: &Whose, narrowing: &Narrowing) -> Result<Vec<RequestId>> {
    filtered(tx, whose, narrowing, None).await
}

async fn filtered(
    tx: &mut Tx<'_>,
    whose: &Whose,
    narrowing: &Narrowing,
    filter: Option<&Filter>,
) -> Result<Vec<RequestId>> {
    let ask = Ask { filter, ..first(50) };
    let page = request_list::page(tx, whose, narrowing, ask, true).await;
    let found = page.map_err(|error| Error::Database(error.to_string()))?;
    assert_eq!((found.next, found.count), (None, i64::try_from(found.items.len()).ok()));
    Ok(found.items.iter().map(|summary| summary.request.id).collect())
}

/// Uma's failed request (301), Max's delivered one (401), Uma's pending one for the other package
/// (500) that the boss asked for, who decides it too.
async fn three(tx: &mut Tx<'_>, desk: &Desk) -> Result<()> {
    let (first_completed, completed) = (at(1), at(2));
    let failed = State::DeliveryFailed { first_completed, completed };
    desk.assign(tx, 300, desk.uma.subject, failed).await?;
    let delivered = State::Delivered { first_completed, completed };
    desk.assign(tx, 400, desk.max.subject, delivered).await?;
    let pending = requests::Request {
        package: desk.other,
        requestor: desk.boss.subject,
        policy: None,
        ..desk.request(500, State::PendingApproval)
    };
    requests::insert(tx, &pending).await?;
    let open = accede_domain::approval::Stage {
        status: accede_domain::approval::Status::InProgress,
        due: Some(at(900)),
        ..accede_domain::approval::Stage::waiting()
    };
    approvals::insert(tx, &stage(510, pending.id, 0, open)).await?;
    approvals::set_approvers(tx, nth(510), &[desk.boss.id]).await
}

#[tokio::test]
async fn everybody_is_shown_the_requests_that_concern_them() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            three(tx, &desk).await?;
            let (failed, done, pending) = (nth(301), nth(401), nth(500));
            let (uma, max, boss) = (desk.uma.subject, desk.max.subject, desk.boss.subject);
            let none: Vec<RequestId> = Vec::new();
            let reach = |catalogs| Whose::Reach(Reach::Catalogs(catalogs));
            for (whose, expected) in [
                (ALL, vec![pending, done, failed]),
                (reach(vec![desk.shelf.catalog]), vec![pending, done, failed]),
                (reach(vec![nth(99)]), none.clone()),
                (reach(Vec::new()), none.clone()),
                (Whose::Target(uma), vec![pending, failed]),
                (Whose::CreatedBy(boss), vec![pending]),
                (Whose::CreatedBy(uma), vec![failed]),
                (Whose::TargetOrRequestor(boss), vec![pending]),
                (Whose::TargetOrRequestor(max), vec![done]),
                (Whose::Approver(desk.boss.id), vec![pending]),
                (Whose::Approver(desk.max.id), none),
                (Whose::TargetManager(desk.boss.id), vec![pending, done, failed]),
            ] {
                let found = ids(tx, &whose, &Narrowing::default()).await?;
                assert_eq!(found, expected, "{engine}: {whose:?}");
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_request_is_shown_with_the_names_of_everything_in_it() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            three(tx, &desk).await?;
            let found = request_list::get(tx, nth(500)).await?.unwrap();
            assert_eq!(found.package_name, "Other", "{engine}");
            assert_eq!(found.catalog, desk.shelf.catalog, "{engine}");
            assert_eq!(found.requestor.user, desk.boss.id, "{engine}");
            assert_eq!(found.requestor.subject, desk.boss.subject, "{engine}");
            assert_eq!(found.beneficiary.user, desk.uma.id, "{engine}");
            assert_eq!(found.beneficiary.display_name, desk.uma.display_name, "{engine}");
            assert_eq!(found.policy_name, None, "{engine}");
            let found = request_list::get(tx, nth(301)).await?.unwrap();
            assert_eq!(found.policy_name.as_deref(), Some("Everybody"), "{engine}");
            assert_eq!(Some(found.request), requests::get(tx, nth(301)).await?, "{engine}");
            assert_eq!(request_list::get(tx, nobody()).await?, None, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn requests_are_filtered_by_what_graph_calls_things() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            three(tx, &desk).await?;
            let mut canceling = desk.request(600, State::Canceling { first_completed: at(1) });
            canceling.request_type = Type::AdminAdd;
            canceling.subject = desk.boss.subject;
            requests::insert(tx, &canceling).await?;
            let (failed, done, pending) = (nth(301), nth(401), nth(500));
            let package = desk.shelf.package;
            for (text, expected) in [
                ("state eq 'deliveryFailed'".to_owned(), vec![failed]),
                ("state eq 'delivering'".to_owned(), vec![canceling.id]),
                ("requestType eq 'adminAdd'".to_owned(), vec![canceling.id]),
                (format!("accessPackage/id eq '{package}'"), vec![canceling.id, done, failed]),
                ("accessPackage/displayName eq 'OTHER'".to_owned(), vec![pending]),
                (format!("assignment/target/objectId eq '{}'", desk.uma.id), vec![pending, failed]),
                (format!("requestor/objectId eq '{}'", desk.boss.id), vec![pending]),
                ("assignmentPolicy/id eq null".to_owned(), vec![pending]),
                ("completedDateTime ne null".to_owned(), vec![done, failed]),
                (format!("id eq '{failed}'"), vec![failed]),
            ] {
                let filter = Filter::parse(&text).unwrap();
                let found = filtered(tx, &ALL, &Narrowing::default(), Some(&filter)).await?;
                assert_eq!(found, expected, "{engine}: {text}");
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn pages_follow_each_other_and_leave_nothing_out() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            for n in 0..7_u128 {
                let done = State::Delivered { first_completed: at(1), completed: at(1) };
                let mut request = desk.request(200 + n, done);
                // Some at the same instant.
                request.created_at = at(i64::try_from(n / 3).unwrap());
                requests::insert(tx, &request).await?;
            }
            let mut found = Vec::new();
            let mut after: Option<String> = None;
            let order = parse_order("createdDateTime asc").unwrap();
            for expected in [3, 3, 1] {
                let ask = Ask { order: &order, after: after.as_deref(), ..first(3) };
                let page = request_list::page(tx, &ALL, &Narrowing::default(), ask, true).await;
                let page = page.unwrap();
                assert_eq!((page.items.len(), page.count), (expected, Some(7)), "{engine}");
                found.extend(page.items.iter().map(|summary| summary.request.id));
                after = page.next;
            }
            assert_eq!(after, None, "{engine}");
            let all: Vec<RequestId> = (200..207).map(nth).collect();
            assert_eq!(found, all, "{engine}");
            let unknown = Filter::parse("colour eq 'red'").unwrap();
            let ask = Ask { filter: Some(&unknown), ..first(3) };
            let refused = request_list::page(tx, &ALL, &Narrowing::default(), ask, false).await;
            assert!(matches!(refused, Err(request_list::ListError::Ask(_))), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn requests_are_narrowed_to_what_holds_them_up_and_to_whom_they_name() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            use accede_domain::delivery::{Observed, Phase};
            three(tx, &desk).await?;
            let new = accede_store::causes::NewCause {
                id: nth(800),
                target: desk.shelf.target,
                class: accede_domain::fault::Class::Permanent,
                code: "http-403",
                fingerprint: "refused",
                example: "refused",
                at: at(1),
            };
            let cause = accede_store::causes::seen(tx, new).await?;
            let mut row = desk.delivery(700, desk.uma.subject, "staff");
            row.delivery.wanted = true;
            row.delivery.observed = Observed::Unknown;
            row.delivery.phase = Phase::Failed { at: at(2) };
            desk.deliver(tx, &row, Some(nth(300))).await?;
            row.fault = Some(deliveries::LastFault {
                cause,
                class: accede_domain::fault::Class::Permanent,
                code: "http-403".to_owned(),
                message: "refused".to_owned(),
            });
            deliveries::save(tx, &row, 0).await?;
            let by_cause = Narrowing { cause: Some(cause), ..Narrowing::default() };
            let by_target = Narrowing { target: Some(desk.shelf.target), ..Narrowing::default() };
            assert_eq!(ids(tx, &ALL, &by_cause).await?, [nth(301)], "{engine}");
            assert_eq!(ids(tx, &ALL, &by_target).await?, [nth(301)], "{engine}");

            // What it does not want any more does not hold it up.
            assignments::drop_reason(tx, row.id, nth(300)).await?;
            assert_eq!(ids(tx, &ALL, &by_cause).await?, [], "{engine}");
            assert_eq!(ids(tx, &ALL, &by_target).await?, [], "{engine}");
            assignments::add_reason(tx, row.id, nth(300)).await?;
            row.delivery.phase = Phase::Settled;
            row.delivery.observed = Observed::Present;
            deliveries::save(tx, &row, 0).await?;
            assert_eq!(ids(tx, &ALL, &by_target).await?, [], "{engine}");

            let named =
                |text: &str| Narrowing { text: Some(text.to_owned()), ..Narrowing::default() };
            assert_eq!(ids(tx, &ALL, &named("SON 102")).await?, [nth(401)], "{engine}");
            let boss = named(&desk.boss.user_principal_name);
            assert_eq!(ids(tx, &ALL, &boss).await?, [nth(500)], "{engine}");
            assert_eq!(ids(tx, &ALL, &named("%")).await?, [], "{engine}");
            assert_eq!(ids(tx, &ALL, &named("_erson")).await?, [], "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn candidates_tell_what_a_plan_must_know_oldest_first() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            three(tx, &desk).await?;
            let mut ended = assignments::lock(tx, nth(400)).await?;
            ended.state = accede_domain::assignment::State::Ending { since: at(5) };
            ended.end = Some(at(50));
            assignments::save(tx, &mut ended).await?;
            accede_store::subjects::set_active(tx, desk.uma.subject, false).await?;
            let all = Narrowing::default();
            let broke = |error: request_list::ListError| Error::Database(error.to_string());

            let found = request_list::candidates(tx, &ALL, &all, None, None, 10).await;
            let found = found.map_err(broke)?;
            let facts: Vec<_> = found
                .iter()
                .map(|one| (one.request.id, one.is_active, one.is_ended, one.end))
                .collect();
            let expected = [
                (nth(301), false, false, None),
                (nth(401), true, true, Some(at(50))),
                (nth(500), false, false, None),
            ];
            assert_eq!(facts, expected, "{engine}");
            let ids = [nth(401), nobody()];
            let named = request_list::candidates(tx, &ALL, &all, None, Some(&ids), 10).await;
            assert_eq!(named.map_err(broke)?.len(), 1, "{engine}");
            let none = request_list::candidates(tx, &ALL, &all, None, Some(&[]), 10).await;
            assert!(none.map_err(broke)?.is_empty(), "{engine}");
            let filter = Filter::parse("state eq 'deliveryFailed'").unwrap();
            let some = request_list::candidates(tx, &ALL, &all, Some(&filter), None, 10).await;
            assert_eq!(some.map_err(broke)?.len(), 1, "{engine}");
            let one = request_list::candidates(tx, &ALL, &all, None, None, 1).await;
            assert_eq!(one.map_err(broke)?.len(), 1, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_pages_that_people_open_read_no_whole_table() {
    for (_, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let broke = |error: request_list::ListError| Error::Database(error.to_string());
            let package = desk.shelf.package;
            let held = Narrowing { cause: Some(nth(1)), ..Narrowing::default() };
            let there = Narrowing { target: Some(nth(1)), ..Narrowing::default() };
            let uma = Whose::Target(desk.uma.subject);
            let mine = Whose::Approver(desk.boss.id);
            let failed = format!("accessPackage/id eq '{package}' and state eq 'deliveryFailed'");
            for (what, whose, narrowing, filter) in [
                ("by age", &ALL, Narrowing::default(), None),
                ("by state", &ALL, Narrowing::default(), Some("state eq 'deliveryFailed'")),
                ("by package and state", &ALL, Narrowing::default(), Some(failed.as_str())),
                ("of a person", &uma, Narrowing::default(), None),
                ("of an approver", &mine, Narrowing::default(), None),
                ("of a cause", &ALL, held, None),
                ("of a target", &ALL, there, None),
            ] {
                let filter = filter.map(|text| Filter::parse(text).unwrap());
                let ask = Ask { filter: filter.as_ref(), ..first(50) };
                no_scan(tx, what, async |tx| {
                    request_list::page(tx, whose, &narrowing, ask, false).await.map_err(broke)
                })
                .await?;
            }
            Ok(())
        })
        .await;
    }
}
