//! Access packages and what they give, on every engine.

use accede_domain::permission::Reach;
use accede_store::filter::Ask;
use accede_store::packages::{self, RoleScope, Usage};
use accede_store::testing::{plan, stores};
use accede_store::{Error, catalogs, params, policies, separations};

use crate::shelf::{ask, assign, at, catalog, nth, package, policy, stock};

#[tokio::test]
async fn packages_are_kept_found_and_changed() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let campaign = package(6, shelf.catalog, "Campaign");
                assert_eq!(packages::get(tx, shelf.package).await?, Some(campaign.clone()));
                assert_eq!(
                    packages::get_all(tx, &[shelf.package]).await?,
                    std::slice::from_ref(&campaign)
                );
                let inside = packages::of_catalogs(tx, &[shelf.catalog], 9).await?;
                assert_eq!(inside, [campaign], "{engine}");
                let above = packages::catalog_of(tx, shelf.package).await?;
                assert_eq!(above, Some(shelf.catalog), "{engine}");
                let mut changed = packages::lock(tx, shelf.package).await?.unwrap();
                changed.display_name = "Fair".to_owned();
                changed.description = "x".to_owned();
                changed.is_hidden = true;
                changed.modified_at = at(1);
                packages::save(tx, &mut changed).await?;
                assert_eq!(packages::get(tx, shelf.package).await?, Some(changed), "{engine}");
                catalogs::insert(tx, &catalog(50, "Other")).await?;
                packages::insert(tx, &package(51, nth(50), "Fair")).await?;
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let taken = store
            .write(async |tx| packages::insert(tx, &package(52, shelf.catalog, "FAIR")).await)
            .await;
        assert!(matches!(taken, Err(Error::Duplicate { .. })), "{engine}");
        let stale = store
            .write(async |tx| packages::save(tx, &mut package(6, shelf.catalog, "Stale")).await)
            .await;
        assert_eq!(stale, Err(Error::Stale), "{engine}");
    }
}

#[tokio::test]
async fn a_package_gives_roles() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let (package, role, scope) = (shelf.package, shelf.role, shelf.scope);
                let gives = packages::role_scopes(tx, package).await?;
                let wanted = RoleScope {
                    role_id: role,
                    scope_id: scope,
                    target_id: shelf.target,
                    resource_origin_id: "editors".to_owned(),
                    role_origin_id: "Member_editors".to_owned(),
                    scope_origin_id: "editors".to_owned(),
                    keep_pre_existing: false,
                    role_name: "Member_editors".to_owned(),
                    resource_name: "the editors".to_owned(),
                    target_name: "wiki".to_owned(),
                    target_display_name: "WIKI".to_owned(),
                };
                assert_eq!(gives, [wanted], "{engine}");
                let given = packages::given(tx, &[package]).await?;
                let one = packages::given_one(tx, package, role, scope).await?;
                assert_eq!(one.as_ref(), given.first(), "{engine}");
                let one = one.unwrap();
                assert_eq!((one.role.id, one.scope.id), (role, scope), "{engine}");
                assert_eq!((one.resource.id, one.created_at), (shelf.resource, at(1)));
                assert_eq!(packages::given_pair(tx, role, scope).await?, given, "{engine}");
                let asked = Ask { top: 9, ..Ask::default() };
                let all = Reach::Everywhere;
                let page = packages::page_of_given(tx, &all, asked, true).await.unwrap();
                assert_eq!((&page.items, page.count), (&given, Some(1)), "{engine}");
                let foreign = Reach::Catalogs(vec![nth(99)]);
                let none = packages::page_of_given(tx, &foreign, asked, false).await.unwrap();
                assert_eq!(none.items, [], "{engine}");
                assert!(!packages::add_role_scope(tx, package, role, scope, at(2)).await?);
                assert!(packages::remove_role_scope(tx, package, role, scope).await?);
                assert!(!packages::remove_role_scope(tx, package, role, scope).await?);
                assert_eq!(packages::role_scopes(tx, package).await?, [], "{engine}");
                assert!(packages::add_role_scope(tx, package, role, scope, at(2)).await?);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn usage_counts_what_has_not_ended() {
    for state in ["delivering", "partiallyDelivered", "delivered", "deliveryFailed", "ending"] {
        for (engine, store) in stores().await {
            let shelf = stock(&store).await;
            store
                .write(async |tx| {
                    assign(tx, &shelf, state).await?;
                    let wanted = Usage { assignments: 1, open_requests: 0 };
                    assert_eq!(packages::usage(tx, shelf.package).await?, wanted, "{engine}");
                    assert_eq!(policies::usage(tx, shelf.policy).await?, wanted, "{engine}");
                    Ok::<_, Error>(())
                })
                .await
                .unwrap();
        }
    }
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                assign(tx, &shelf, "expired").await?;
                assert_eq!(packages::usage(tx, shelf.package).await?, Usage::default());
                ask(tx, &shelf, "pendingApproval").await?;
                let wanted = Usage { assignments: 0, open_requests: 1 };
                assert_eq!(packages::usage(tx, shelf.package).await?, wanted, "{engine}");
                assert_eq!(policies::usage(tx, shelf.policy).await?, wanted, "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_deleted_package_leaves_its_history_and_frees_its_name() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                ask(tx, &shelf, "denied").await?;
                assign(tx, &shelf, "expired").await?;
                packages::insert(tx, &package(51, shelf.catalog, "Other")).await?;
                separations::add_package(tx, shelf.package, nth(51)).await?;
                separations::add_package(tx, nth(51), shelf.package).await?;
                separations::add_group(tx, shelf.package, shelf.group).await?;
                packages::delete(tx, shelf.package, at(9)).await?;
                assert_eq!(packages::get(tx, shelf.package).await?, None, "{engine}");
                assert_eq!(packages::lock(tx, shelf.package).await?, None, "{engine}");
                assert_eq!(packages::catalog_of(tx, shelf.package).await?, None, "{engine}");
                assert_eq!(packages::get_all(tx, &[shelf.package]).await?.len(), 1, "{engine}");
                assert_eq!(packages::role_scopes(tx, shelf.package).await?, [], "{engine}");
                assert_eq!(policies::of_package(tx, shelf.package).await?, [], "{engine}");
                assert_eq!(separations::pairs_touching(tx, nth(51)).await?, [], "{engine}");
                packages::insert(tx, &package(52, shelf.catalog, "Campaign")).await
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn open_pages_show_what_people_may_look_through() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let mut hidden = package(51, shelf.catalog, "Hidden");
                hidden.is_hidden = true;
                packages::insert(tx, &hidden).await?;
                policies::insert(tx, &policy(52, nth(51), "p"), at(0)).await?;
                packages::insert(tx, &package(53, shelf.catalog, "Without policy")).await?;
                let mut closed = catalog(54, "Closed");
                closed.state = catalogs::State::Unpublished;
                catalogs::insert(tx, &closed).await?;
                packages::insert(tx, &package(55, nth(54), "Closed")).await?;
                policies::insert(tx, &policy(56, nth(55), "p"), at(0)).await?;
                let mut percent = package(57, shelf.catalog, "100% cotton");
                percent.description = "Under_score".to_owned();
                packages::insert(tx, &percent).await?;
                policies::insert(tx, &policy(58, nth(57), "p"), at(0)).await?;

                let asked = Ask { top: 9, ..Ask::default() };
                for (browsing, search, wanted) in [
                    (true, vec![], vec!["100% cotton", "Campaign"]),
                    (false, vec![], vec!["100% cotton", "Campaign", "Hidden"]),
                    (true, vec!["CAMP"], vec!["Campaign"]),
                    (true, vec!["the EDIT"], vec!["Campaign"]),
                    (true, vec!["camp", "editors"], vec!["Campaign"]),
                    (true, vec!["camp", "cotton"], vec![]),
                    (true, vec!["100%"], vec!["100% cotton"]),
                    (true, vec!["er_s"], vec!["100% cotton"]),
                    (true, vec!["%"], vec!["100% cotton"]),
                    (true, vec!["ÜBER"], vec![]),
                ] {
                    let words: Vec<String> = search.iter().map(|word| (*word).to_owned()).collect();
                    let page = packages::open_page(tx, browsing, &words, asked).await.unwrap();
                    let names: Vec<&str> =
                        page.items.iter().map(|found| found.display_name.as_str()).collect();
                    assert_eq!(names, wanted, "{engine}: {search:?}");
                }
                let own = Reach::Catalogs(vec![nth(54)]);
                let page = packages::page(tx, &own, None, asked, true).await.unwrap();
                assert_eq!((page.items.len(), page.count), (1, Some(1)), "{engine}");
                let all = Reach::Everywhere;
                let page =
                    packages::page(tx, &all, Some(shelf.catalog), asked, true).await.unwrap();
                assert_eq!(page.count, Some(4), "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_a_package_gives_and_who_has_it_is_found_by_index() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .read(async |tx| {
                for sql in [
                    "select x.role_id, r.target_id from resource_role_scopes x
                         join resource_roles o on o.id = x.role_id
                         join resource_scopes s on s.id = x.scope_id
                         join resources r on r.id = o.resource_id
                         join targets t on t.id = r.target_id
                     where x.package_id = $1",
                    "select count(*) from assignments where package_id = $1 and state in
                         ('delivering', 'partiallyDelivered', 'delivered', 'deliveryFailed',
                          'ending')",
                    "select count(*) from requests where package_id = $1 and state in
                         ('submitted', 'pendingApproval', 'scheduled', 'delivering', 'canceling')",
                    "select id from policies where package_id = $1 and deleted_at_ms is null",
                ] {
                    let plan = plan(tx, sql, params![shelf.package]).await?;
                    assert!(
                        !plan.contains("SCAN") && !plan.contains("Seq Scan"),
                        "{engine}: {plan}"
                    );
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}
