//! Target systems on every engine.

use accede_domain::id::TargetId;
use accede_store::filter::Ask;
use accede_store::targets::{self, Backlog, Checked, Usage};
use accede_store::testing::{plan, stores};
use accede_store::{Error, params};

use crate::shelf::{at, deliver, nth, stock, target};

#[tokio::test]
async fn targets_are_kept_found_and_changed() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                targets::insert(tx, &target(1, "wiki")).await?;
                targets::insert(tx, &target(2, "AadGroup")).await?;
                assert_eq!(targets::get(tx, nth(1)).await?, Some(target(1, "wiki")), "{engine}");
                assert_eq!(targets::get(tx, nth(3)).await?, None);
                let found = targets::by_name(tx, "aadGROUP").await?.map(|target| target.id);
                assert_eq!(found, Some(nth(2)), "{engine}");
                assert_eq!(targets::by_name(tx, "wikis").await?, None);
                let names: Vec<String> =
                    targets::list(tx, 9).await?.into_iter().map(|target| target.name).collect();
                assert_eq!(names, ["AadGroup", "wiki"], "{engine}");
                assert_eq!(targets::list(tx, 1).await?.len(), 1);
                assert_eq!(targets::get_all(tx, &[nth(2), nth(9)]).await?.len(), 1);

                let mut changed = targets::lock(tx, nth(1)).await?.unwrap();
                changed.display_name = "The wiki".to_owned();
                changed.description = Some("x".to_owned());
                changed.settings = serde_json::json!({ "baseUrl": "https://other.example" });
                changed.secrets = None;
                changed.concurrency = 3;
                changed.catalog_owners_may_add = true;
                changed.is_paused = true;
                changed.modified_at = at(1);
                targets::save(tx, &mut changed).await?;
                assert_eq!(targets::get(tx, nth(1)).await?, Some(changed.clone()), "{engine}");
                let checked = Checked { at: at(2), ok: false, result: "refused".to_owned() };
                targets::set_checked(tx, nth(1), &checked).await?;
                let read = targets::get(tx, nth(1)).await?.unwrap();
                assert_eq!((read.checked, read.version), (Some(checked), 2), "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let taken = store.write(async |tx| targets::insert(tx, &target(3, "wiki")).await).await;
        assert!(matches!(taken, Err(Error::Duplicate { .. })), "{engine}");
        let stale = store.write(async |tx| targets::save(tx, &mut target(1, "wiki")).await).await;
        assert_eq!(stale, Err(Error::Stale), "{engine}");
    }
}

#[tokio::test]
async fn a_target_knows_what_uses_it_and_what_is_left_to_do() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let usage = targets::usage(tx, shelf.target).await?;
                assert_eq!(usage, Usage { resources: 1, has_deliveries: false }, "{engine}");
                assert_eq!(targets::backlog(tx, shelf.target).await?, Backlog::default());
                deliver(tx, &shelf, "failed").await?;
                assert!(targets::usage(tx, shelf.target).await?.has_deliveries, "{engine}");
                let backlog = targets::backlog(tx, shelf.target).await?;
                let wanted = Backlog { failed: 1, oldest: Some(at(4)), ..Backlog::default() };
                assert_eq!(backlog, wanted, "{engine}");
                targets::insert(tx, &target(50, "spare")).await?;
                targets::delete(tx, nth(50)).await?;
                assert_eq!(targets::get(tx, nth(50)).await?, None);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn targets_are_paged_by_name() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                for (n, name) in [(1, "c"), (2, "a"), (3, "b")] {
                    targets::insert(tx, &target(n, name)).await?;
                }
                let page = targets::page(tx, Ask { top: 2, ..Ask::default() }, true).await.unwrap();
                let ids: Vec<TargetId> = page.items.iter().map(|target| target.id).collect();
                assert_eq!((ids, page.count), (vec![nth(2), nth(3)], Some(3)), "{engine}");
                assert!(page.next.is_some(), "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_backlog_is_found_by_index() {
    for (engine, store) in stores().await {
        store
            .read(async |tx| {
                let id: TargetId = nth(1);
                let sql = "select phase, count(*), min(since_at_ms) from deliveries
                     where target_id = $1 and phase <> 'settled' group by phase";
                let plan = plan(tx, sql, params![id]).await?;
                assert!(plan.contains("deliveries_undone"), "{engine}: {plan}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}
