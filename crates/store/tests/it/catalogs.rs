//! Catalogs on every engine.

use accede_domain::id::{CatalogId, RoleAssignmentId};
use accede_domain::permission::Reach;
use accede_store::catalogs::{self, CatalogType, State};
use accede_store::filter::Ask;
use accede_store::testing::{plan, stores};
use accede_store::{Error, packages, params, resources};

use crate::shelf::{at, catalog, nth, stock};

#[tokio::test]
async fn catalogs_are_kept_found_and_changed() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                catalogs::insert(tx, &catalog(1, "Marketing")).await?;
                assert_eq!(catalogs::get(tx, nth(1)).await?, Some(catalog(1, "Marketing")));
                assert_eq!(catalogs::get(tx, nth(2)).await?, None);
                let mut changed = catalogs::lock(tx, nth(1)).await?.unwrap();
                changed.display_name = "Sales".to_owned();
                changed.state = State::Unpublished;
                changed.is_externally_visible = true;
                changed.modified_at = at(1);
                catalogs::save(tx, &mut changed).await?;
                assert_eq!(changed.version, 2, "{engine}");
                assert_eq!(catalogs::get(tx, nth(1)).await?, Some(changed.clone()));
                assert_eq!(catalogs::get_all(tx, &[nth(1), nth(2)]).await?, [changed]);
                assert_eq!(catalogs::get_all(tx, &[]).await?, []);
                assert_eq!(catalogs::general(tx).await?, None);
                let mut general = catalog(2, "General");
                general.catalog_type = CatalogType::ServiceDefault;
                catalogs::insert(tx, &general).await?;
                assert_eq!(catalogs::general(tx).await?, Some(general));
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_name_is_taken_whatever_its_case_until_the_catalog_is_deleted() {
    for (engine, store) in stores().await {
        store.write(async |tx| catalogs::insert(tx, &catalog(1, "Äpfel")).await).await.unwrap();
        let taken =
            store.write(async |tx| catalogs::insert(tx, &catalog(2, " äPFEL ")).await).await;
        assert!(matches!(taken, Err(Error::Duplicate { .. })), "{engine}: {taken:?}");
        store
            .write(async |tx| {
                catalogs::delete(tx, nth(1), at(1)).await?;
                assert_eq!(catalogs::get(tx, nth(1)).await?, None);
                assert_eq!(catalogs::lock(tx, nth(1)).await?, None);
                catalogs::insert(tx, &catalog(2, "äpfel")).await
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_catalog_that_changed_meanwhile_is_stale() {
    for (engine, store) in stores().await {
        store.write(async |tx| catalogs::insert(tx, &catalog(1, "a")).await).await.unwrap();
        let stale = store
            .write(async |tx| {
                let (mut one, mut two) = (catalog(1, "b"), catalog(1, "c"));
                catalogs::save(tx, &mut one).await?;
                catalogs::save(tx, &mut two).await
            })
            .await;
        assert_eq!(stale, Err(Error::Stale), "{engine}");
    }
}

#[tokio::test]
async fn deleting_takes_resources_and_roles_along() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let owner: RoleAssignmentId = nth(40);
                let ada = uuid::Uuid::from_u128(41);
                catalogs::add_owner(tx, owner, ada, shelf.catalog, at(1)).await?;
                catalogs::add_owner(tx, nth(42), ada, shelf.catalog, at(1)).await?;
                let inside = catalogs::packages_in(tx, shelf.catalog, 10).await?;
                assert_eq!(inside, [(shelf.package, "Campaign".to_owned())], "{engine}");
                packages::delete(tx, shelf.package, at(2)).await?;
                assert_eq!(catalogs::packages_in(tx, shelf.catalog, 10).await?, []);
                catalogs::delete(tx, shelf.catalog, at(3)).await?;
                assert_eq!(resources::get(tx, shelf.resource).await?, None);
                let roles = tx.query("select id from role_assignments", params![]).await?;
                assert!(roles.is_empty(), "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_page_shows_what_is_in_reach() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                for (n, name) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
                    catalogs::insert(tx, &catalog(n, name)).await?;
                }
                catalogs::delete(tx, nth(4), at(1)).await?;
                let ask = Ask { top: 2, ..Ask::default() };
                let page = catalogs::page(tx, &Reach::Everywhere, ask, true).await.unwrap();
                assert_eq!((page.items.len(), page.count), (2, Some(3)), "{engine}");
                let after = page.next.unwrap();
                let ask = Ask { top: 2, after: Some(&after), ..Ask::default() };
                let page = catalogs::page(tx, &Reach::Everywhere, ask, false).await.unwrap();
                let ids: Vec<CatalogId> = page.items.iter().map(|catalog| catalog.id).collect();
                assert_eq!((ids, page.next), (vec![nth(3)], None), "{engine}");
                let own = Reach::Catalogs(vec![nth(2)]);
                let ask = Ask { top: 9, ..Ask::default() };
                let page = catalogs::page(tx, &own, ask, true).await.unwrap();
                assert_eq!((page.items.len(), page.count), (1, Some(1)), "{engine}");
                let none = catalogs::page(tx, &Reach::Catalogs(vec![]), ask, true).await.unwrap();
                assert_eq!((none.items.len(), none.count), (0, Some(0)), "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_list_and_the_packages_inside_are_found_by_index() {
    for (engine, store) in stores().await {
        store
            .read(async |tx| {
                for sql in [
                    "select c.id from catalogs c order by c.display_name, c.id limit 2",
                    "select id, display_name from packages
                     where catalog_id = $1 and deleted_at_ms is null
                     order by display_name, id limit 2",
                ] {
                    let id: CatalogId = nth(1);
                    let values: &[_] = if sql.contains("$1") { params![id] } else { params![] };
                    let plan = plan(tx, sql, values).await?;
                    let scans = plan.contains("SCAN") && !plan.contains("USING");
                    assert!(!scans && !plan.contains("Seq Scan"), "{engine}: {plan}");
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}
