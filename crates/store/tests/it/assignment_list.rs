//! Lists of assignments, on every engine.

use accede_domain::assignment::State;
use accede_domain::filter::Filter;
use accede_domain::id::AssignmentId;
use accede_domain::permission::Reach;
use accede_store::assignment_list::Both;
use accede_store::assignments::{self, Assignment};
use accede_store::filter::Ask;
use accede_store::request_list::{ListError, Whose};
use accede_store::testing::stores;
use accede_store::{Error, Result, Tx, approvals, assignment_list, requests};

use crate::desk::{Desk, first, no_scan, nobody, set, stage, within};
use crate::shelf::{at, nth};

const ALL: Whose = Whose::Reach(Reach::Everywhere);

async fn ids(tx: &mut Tx<'_>, whose: &Whose, filter: Option<&str>) -> Result<Vec<AssignmentId>> {
    let filter = filter.map(|text| Filter::parse(text).unwrap());
    let ask = Ask { filter: filter.as_ref(), ..first(50) };
    let found = assignment_list::page(tx, whose, None, ask, true).await.map_err(broke)?;
    assert_eq!((found.next, found.count), (None, i64::try_from(found.items.len()).ok()));
    Ok(found.items.iter().map(|summary| summary.assignment.id).collect())
}

fn broke(error: ListError) -> Error {
    Error::Database(error.to_string())
}

/// Uma's delivered assignment (300), asked for by the boss and decided by Max; her ending one of the
/// other package (301); Max's expired one (302).
async fn three(tx: &mut Tx<'_>, desk: &Desk) -> Result<()> {
    assignments::insert(tx, &desk.assignment(300, State::Delivered)).await?;
    let ending = Assignment {
        package: desk.other,
        policy: None,
        ..desk.assignment(301, State::Ending { since: at(5) })
    };
    assignments::insert(tx, &ending).await?;
    let mut expired = Assignment {
        subject: desk.max.subject,
        ..desk.assignment(302, State::Ending { since: at(5) })
    };
    assignments::insert(tx, &expired).await?;
    expired.state = State::Expired { at: at(9) };
    assignments::save(tx, &mut expired).await?;
    let done =
        accede_domain::request::State::Delivered { first_completed: at(1), completed: at(1) };
    let request = requests::Request {
        requestor: desk.boss.subject,
        assignment: Some(nth(300)),
        ..desk.request(400, done)
    };
    requests::insert(tx, &request).await?;
    let mut decided = stage(510, request.id, 0, accede_domain::approval::Stage::waiting());
    approvals::insert(tx, &decided).await?;
    decided.stage.status = accede_domain::approval::Status::Completed;
    decided.stage.result = accede_domain::approval::Result::Approved;
    decided.reviewed_by = Some(desk.max.id);
    approvals::save(tx, &decided).await
}

#[tokio::test]
async fn everybody_is_shown_the_assignments_that_concern_them() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            three(tx, &desk).await?;
            let reach = |catalogs| Whose::Reach(Reach::Catalogs(catalogs));
            let all = vec![nth(302), nth(301), nth(300)];
            for (whose, expected) in [
                (ALL, all.clone()),
                (reach(vec![desk.shelf.catalog]), all.clone()),
                (reach(Vec::new()), Vec::new()),
                (Whose::Target(desk.uma.subject), vec![nth(301), nth(300)]),
                (Whose::TargetOrRequestor(desk.max.subject), vec![nth(302)]),
                (Whose::CreatedBy(desk.boss.subject), vec![nth(300)]),
                (Whose::CreatedBy(desk.uma.subject), Vec::new()),
                (Whose::TargetManager(desk.boss.id), all),
                (Whose::Approver(desk.max.id), vec![nth(300)]),
            ] {
                assert_eq!(ids(tx, &whose, None).await?, expected, "{engine}: {whose:?}");
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn assignments_are_filtered_and_shown_with_their_names() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            three(tx, &desk).await?;
            let uma = format!("target/objectId eq '{}'", desk.uma.id);
            for (text, expected) in [
                ("state eq 'delivered'", vec![nth(300)]),
                ("state eq 'delivering'", vec![nth(301)]),
                ("state eq 'expired'", vec![nth(302)]),
                ("expiredDateTime ne null", vec![nth(302)]),
                ("accessPackage/displayName eq 'other'", vec![nth(301)]),
                ("assignmentPolicy/id eq null", vec![nth(301)]),
                (uma.as_str(), vec![nth(301), nth(300)]),
            ] {
                assert_eq!(ids(tx, &ALL, Some(text)).await?, expected, "{engine}: {text}");
            }

            let one = assignment_list::get(tx, nth(300)).await?.unwrap();
            assert_eq!(one.assignment, desk.assignment(300, State::Delivered), "{engine}");
            assert_eq!((one.package_name.as_str(), one.catalog), ("Campaign", desk.shelf.catalog));
            assert_eq!(one.beneficiary.user, desk.uma.id, "{engine}");
            assert_eq!(one.policy_name.as_deref(), Some("Everybody"), "{engine}");
            assert_eq!(assignment_list::get(tx, nobody()).await?, None, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn who_has_one_package_and_another_is_found_while_both_are_theirs() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let both = Both { package: desk.shelf.package, other: desk.other };
            let page = async |tx: &mut Tx<'_>| {
                let found = assignment_list::page(tx, &ALL, Some(both), first(50), false).await;
                let found = found.map_err(broke)?.items;
                Ok::<Vec<AssignmentId>, Error>(found.iter().map(|one| one.assignment.id).collect())
            };
            assignments::insert(tx, &desk.assignment(300, State::Delivered)).await?;
            let max =
                Assignment { subject: desk.max.subject, ..desk.assignment(301, State::Delivered) };
            assignments::insert(tx, &max).await?;
            assert_eq!(page(tx).await?, Vec::new(), "{engine}");

            let other = Assignment {
                package: desk.other,
                policy: None,
                ..desk.assignment(302, State::DeliveryFailed)
            };
            let mut other = other;
            assignments::insert(tx, &other).await?;
            assert_eq!(page(tx).await?, vec![nth(300)], "{engine}");

            other.state = State::Ending { since: at(5) };
            assignments::save(tx, &mut other).await?;
            assert_eq!(page(tx).await?, Vec::new(), "{engine}");
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
            let package = desk.shelf.package;
            let delivered = format!("accessPackage/id eq '{package}' and state eq 'delivered'");
            let uma = Whose::Target(desk.uma.subject);
            for (what, whose, text) in [
                ("by age", &ALL, None),
                ("by package and state", &ALL, Some(delivered.as_str())),
                ("of a person", &uma, None),
            ] {
                let filter = text.map(|text| Filter::parse(text).unwrap());
                let ask = Ask { filter: filter.as_ref(), ..first(50) };
                no_scan(tx, what, async |tx| {
                    assignment_list::page(tx, whose, None, ask, false).await.map_err(broke)
                })
                .await?;
            }
            Ok(())
        })
        .await;
    }
}
