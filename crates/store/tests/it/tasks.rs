//! Tasks and what is awaited, on every engine.

use accede_domain::delivery::Phase;
use accede_domain::id::{GroupId, TaskId};
use accede_domain::pending::{Awaited, Pending};
use accede_domain::permission::Reach;
use accede_domain::request::State as Standing;
use accede_domain::task::State;
use accede_store::deliveries::{self, DeliveryRow};
use accede_store::groups::{self, Group, Tie};
use accede_store::tasks::{self, Task, Waiting, Whose};
use accede_store::testing::stores;
use accede_store::{Error, circuits};

use crate::desk::{Desk, first, no_scan, nobody, set, within};
use crate::shelf::{at, nth};

fn task(n: u128, row: &DeliveryRow, assignee: uuid::Uuid) -> Task {
    Task {
        id: nth(n),
        delivery: row.id,
        generation: 4,
        is_grant: true,
        assignee,
        is_group: false,
        instructions: Some("open the cabinet".to_owned()),
        state: State::Open,
        created_by: "accede".to_owned(),
        created_at: at(5),
        due_at: at(50),
        closed_by: None,
        closed_at: None,
        note: None,
        version: 1,
    }
}

fn waiting(desk: &Desk, n: u128, role: &str, pending: Pending) -> DeliveryRow {
    let mut row = desk.delivery(n, desk.uma.subject, role);
    row.delivery.wanted = true;
    row.delivery.phase = Phase::Due { at: pending.until.unwrap_or(pending.since) };
    row.delivery.pending = Some(pending);
    row
}

const BY_HAND: Pending =
    Pending { on: Awaited::Person, since: accede_domain::Timestamp::UNIX_EPOCH, until: None };

#[tokio::test]
async fn what_is_awaited_comes_back_as_it_was_written_and_a_person_is_never_ready() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let by_hand = waiting(&desk, 700, "key", BY_HAND);
            let later = Pending { on: Awaited::Target, since: at(1), until: Some(at(9)) };
            let later = waiting(&desk, 701, "staff", later);
            for row in [&by_hand, &later] {
                deliveries::lock_or_insert(tx, row).await?;
                assert_eq!(deliveries::get(tx, row.id).await?.as_ref(), Some(row), "{engine}");
                deliveries::save(tx, row, 0).await?;
                assert_eq!(deliveries::lock(tx, row.id).await?.as_ref(), Some(row), "{engine}");
            }
            let target = desk.shelf.target;
            let ready = deliveries::ready(tx, target, at(100), 9).await?;
            assert_eq!(ready, std::slice::from_ref(&later), "{engine}");
            circuits::release(tx, target, at(2)).await?;
            assert_eq!(
                deliveries::get(tx, later.id).await?,
                Some(later),
                "not made ready: {engine}"
            );
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_task_is_kept_with_its_names_and_a_delivery_has_one_open_task() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        let id: TaskId = nth(900);
        let row = waiting(&desk, 700, "key", BY_HAND);
        within(&store, async |tx| {
            deliveries::lock_or_insert(tx, &row).await?;
            let mut kept = task(900, &row, desk.max.id.0);
            tasks::insert(tx, &kept).await?;
            assert_eq!(tasks::open_of(tx, row.id).await?.as_ref(), Some(&kept), "{engine}");
            assert_eq!(tasks::lock(tx, id).await?.as_ref(), Some(&kept), "{engine}");
            assert_eq!(tasks::lock(tx, nobody()).await?, None, "{engine}");
            let named = tasks::get(tx, id).await?.unwrap();
            assert_eq!(named.task, kept, "{engine}");
            assert_eq!(named.assignee_name.as_deref(), Some(&*desk.max.display_name), "{engine}");
            assert_eq!(named.person.as_ref().unwrap().0, desk.uma.id, "{engine}");
            assert_eq!(tasks::of_delivery(tx, row.id, 9).await?, [named], "{engine}");
            assert_eq!(tasks::get(tx, nobody()).await?, None, "{engine}");

            kept.state = State::CouldNot;
            kept.closed_by = Some("max".to_owned());
            kept.closed_at = Some(at(60));
            kept.note = Some("no key left".to_owned());
            tasks::save(tx, &mut kept).await?;
            assert_eq!(tasks::lock(tx, id).await?, Some(kept), "{engine}");
            assert_eq!(tasks::open_of(tx, row.id).await?, None, "{engine}");
            let mut stale = task(900, &row, desk.max.id.0);
            assert_eq!(tasks::save(tx, &mut stale).await, Err(Error::Stale), "{engine}");
            tasks::insert(tx, &task(901, &row, desk.max.id.0)).await
        })
        .await;
        let second =
            store.write(async |tx| tasks::insert(tx, &task(902, &row, desk.max.id.0)).await);
        assert!(second.await.is_err(), "a second open task: {engine}");
    }
}

#[tokio::test]
async fn people_see_their_own_tasks_and_those_of_their_groups() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        let group: GroupId = nth(500);
        within(&store, async |tx| {
            let (_, assignment) = desk
                .assign(tx, 300, desk.uma.subject, Standing::Delivering { first_completed: None })
                .await?;
            let desk_group = Group {
                id: group,
                display_name: "Desk".to_owned(),
                description: None,
                mail_nickname: "desk".to_owned(),
                mail: None,
                visibility: None,
                created_at: at(1),
                version: 1,
            };
            groups::insert(tx, &desk_group).await?;
            groups::add(tx, group, Tie::Member, &[desk.max.id]).await?;
            for (n, role, assignee) in [(0, "key", desk.max.id.0), (1, "door", group.0)] {
                let row = waiting(&desk, 700 + n, role, BY_HAND);
                desk.deliver(tx, &row, Some(assignment)).await?;
                let is_group = n == 1;
                let due_at = at(50 - i64::try_from(n).unwrap());
                let new = Task { is_group, due_at, ..task(900 + n, &row, assignee) };
                tasks::insert(tx, &new).await?;
            }

            let mine = Whose::Of(desk.max.id);
            let page = tasks::page(tx, &mine, first(9), true).await.unwrap();
            let ids: Vec<TaskId> = page.items.iter().map(|named| named.task.id).collect();
            assert_eq!(ids, [nth(901), nth(900)], "due first: {engine}");
            assert_eq!(page.count, Some(2), "{engine}");
            assert_eq!(page.items[0].assignee_name.as_deref(), Some("Desk"), "{engine}");
            let none = tasks::page(tx, &Whose::Of(desk.boss.id), first(9), false).await.unwrap();
            assert_eq!(none.items, [], "{engine}");
            let reach = Reach::Catalogs(vec![desk.shelf.catalog]);
            let seen = tasks::page(tx, &Whose::Reach(reach), first(9), false).await.unwrap();
            assert_eq!(seen.items.len(), 2, "{engine}");
            let elsewhere = Reach::Catalogs(vec![nobody()]);
            let none = tasks::page(tx, &Whose::Reach(elsewhere), first(9), false).await.unwrap();
            assert_eq!(none.items, [], "{engine}");

            for (n, user, is_theirs) in
                [(900, desk.max.id, true), (901, desk.max.id, true), (901, desk.boss.id, false)]
            {
                assert_eq!(tasks::is_assigned(tx, nth(n), user).await?, is_theirs, "{engine}");
            }
            let late = Waiting { open: 2, overdue: 1 };
            assert_eq!(tasks::waiting_for(tx, desk.max.id, at(50)).await?, late, "{engine}");
            assert_eq!(tasks::waiting(tx, at(50)).await?, late, "{engine}");
            let none = Waiting::default();
            assert_eq!(tasks::waiting_for(tx, desk.boss.id, at(50)).await?, none, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn tasks_are_found_by_index() {
    for (_, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            no_scan(tx, "open_of", async |tx| tasks::open_of(tx, nobody()).await).await?;
            no_scan(tx, "of_delivery", async |tx| tasks::of_delivery(tx, nobody(), 9).await)
                .await?;
            no_scan(tx, "waiting_for", async |tx| tasks::waiting_for(tx, desk.max.id, at(1)).await)
                .await?;
            no_scan(tx, "waiting", async |tx| tasks::waiting(tx, at(1)).await).await
        })
        .await;
    }
}
