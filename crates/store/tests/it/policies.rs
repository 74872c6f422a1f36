//! Assignment policies on every engine.

use accede_domain::permission::Reach;
use accede_domain::policy::AllowedTargetScope;
use accede_store::filter::Ask;
use accede_store::testing::stores;
use accede_store::{Error, policies};

use crate::shelf::{at, nth, policy, stock};

#[tokio::test]
async fn policies_are_kept_found_and_changed() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let everybody = policy(7, shelf.package, "Everybody");
                assert_eq!(policies::get(tx, shelf.policy).await?, Some(everybody.clone()));
                assert_eq!(policies::get(tx, nth(99)).await?, None, "{engine}");
                assert_eq!(
                    policies::of_package(tx, shelf.package).await?,
                    std::slice::from_ref(&everybody)
                );
                let all = policies::of_packages(tx, &[shelf.package]).await?;
                assert_eq!(all.len(), 1, "{engine}");
                let mut stored = policies::lock(tx, shelf.policy).await?.unwrap();
                assert_eq!((stored.catalog, stored.version), (shelf.catalog, 1), "{engine}");
                assert_eq!(Some(&stored), all.first(), "{engine}");
                stored.policy.display_name = "Direct".to_owned();
                stored.policy.terms.allowed_target_scope = AllowedTargetScope::NotSpecified;
                stored.modified_at = at(5);
                policies::save(tx, &mut stored).await?;
                let read = policies::stored(tx, shelf.policy).await?;
                assert_eq!(read.as_ref(), Some(&stored), "{engine}");
                assert_eq!(stored.version, 2, "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let stale = store
            .write(async |tx| {
                let mut stored = policies::stored(tx, shelf.policy).await?.unwrap();
                stored.version = 1;
                policies::save(tx, &mut stored).await
            })
            .await;
        assert_eq!(stale, Err(Error::Stale), "{engine}");
    }
}

#[tokio::test]
async fn a_deleted_policy_is_not_found_any_more() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                policies::delete(tx, shelf.policy, at(5)).await?;
                assert_eq!(policies::get(tx, shelf.policy).await?, None, "{engine}");
                assert_eq!(policies::lock(tx, shelf.policy).await?, None, "{engine}");
                assert_eq!(policies::of_package(tx, shelf.package).await?, [], "{engine}");
                let ask = Ask { top: 9, ..Ask::default() };
                let page = policies::page(tx, &Reach::Everywhere, None, ask, true).await.unwrap();
                assert_eq!(page.count, Some(0), "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn policies_are_paged_within_reach() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                policies::insert(tx, &policy(60, shelf.package, "Another"), at(1)).await?;
                let ask = Ask { top: 1, ..Ask::default() };
                let own = Reach::Catalogs(vec![shelf.catalog]);
                let page = policies::page(tx, &own, Some(shelf.package), ask, true).await.unwrap();
                let names: Vec<&str> =
                    page.items.iter().map(|found| found.policy.display_name.as_str()).collect();
                assert_eq!((names, page.count), (vec!["Another"], Some(2)), "{engine}");
                let foreign = Reach::Catalogs(vec![nth(99)]);
                let page = policies::page(tx, &foreign, None, ask, false).await.unwrap();
                assert_eq!(page.items, [], "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}
