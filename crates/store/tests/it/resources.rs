//! Resources, their roles and scopes, on every engine.

use accede_domain::filter::Filter;
use accede_domain::id::{ResourceId, ResourceRequestId};
use accede_domain::permission::Reach;
use accede_store::filter::Ask;
use accede_store::resources::{self, Named, Part, RequestType, ResourceRequest};
use accede_store::testing::{plan, stores};
use accede_store::{Error, catalogs, packages, params};

use crate::shelf::{at, catalog, deliver, nth, resource, role, scope, stock};

#[tokio::test]
async fn resources_are_kept_with_their_roles_and_scopes() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let editors = resource(3, shelf.catalog, shelf.target, "editors");
                assert_eq!(resources::get(tx, shelf.resource).await?, Some(editors.clone()));
                assert_eq!(
                    resources::get_all(tx, &[shelf.resource]).await?,
                    std::slice::from_ref(&editors)
                );
                assert_eq!(
                    resources::of_catalogs(tx, &[shelf.catalog], 9).await?,
                    std::slice::from_ref(&editors),
                    "{engine}"
                );
                let found = resources::find(tx, shelf.catalog, shelf.target, "editors").await?;
                assert_eq!(found, Some(editors.clone()), "{engine}");
                let none = resources::find(tx, shelf.catalog, shelf.target, "Editors").await?;
                assert_eq!(none, None, "{engine}");
                assert_eq!(resources::lock(tx, shelf.resource).await?, Some(editors.clone()));
                let member = role(4, shelf.resource, "Member_editors");
                assert_eq!(
                    resources::roles(tx, &[shelf.resource]).await?,
                    std::slice::from_ref(&member)
                );
                assert_eq!(resources::role(tx, shelf.role).await?, Some(member.clone()));
                let root = scope(5, shelf.resource, "editors");
                assert_eq!(
                    resources::scopes(tx, &[shelf.resource]).await?,
                    std::slice::from_ref(&root)
                );
                assert_eq!(resources::scope(tx, shelf.scope).await?, Some(root), "{engine}");

                let mut changed = editors;
                changed.display_name = "Writers".to_owned();
                changed.description = Some("x".to_owned());
                changed.keep_pre_existing = true;
                changed.modified_at = at(3);
                resources::save(tx, &changed).await?;
                assert_eq!(resources::get(tx, shelf.resource).await?, Some(changed), "{engine}");
                let mut renamed = member;
                renamed.display_name = "Reader".to_owned();
                resources::save_role(tx, &renamed).await?;
                assert_eq!(resources::role(tx, shelf.role).await?, Some(renamed), "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let again = store
            .write(async |tx| {
                let twin = resource(60, shelf.catalog, shelf.target, "editors");
                resources::insert(tx, &twin).await
            })
            .await;
        assert!(matches!(again, Err(Error::Duplicate { .. })), "{engine}");
    }
}

#[tokio::test]
async fn what_a_package_uses_is_not_deleted() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let users = resources::packages_using(tx, shelf.resource, 9).await?;
                assert_eq!(users, [(shelf.package, "Campaign".to_owned())], "{engine}");
                assert!(!resources::delete_unused_role(tx, shelf.role).await?, "{engine}");
                resources::insert_role(tx, &role(61, shelf.resource, "Owner_editors")).await?;
                assert!(resources::delete_unused_role(tx, nth(61)).await?, "{engine}");
                packages::remove_role_scope(tx, shelf.package, shelf.role, shelf.scope).await?;
                assert_eq!(resources::packages_using(tx, shelf.resource, 9).await?, []);
                resources::delete(tx, shelf.resource).await?;
                assert_eq!(resources::get(tx, shelf.resource).await?, None);
                assert_eq!(resources::roles(tx, &[shelf.resource]).await?, []);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn keeping_pre_existing_access_reaches_what_was_delivered() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                deliver(tx, &shelf, "settled").await?;
                let changed = resources::spread_keep_pre_existing(tx, shelf.resource, true).await?;
                assert_eq!(changed, 1, "{engine}");
                let row =
                    tx.query_one("select keep_pre_existing from deliveries", params![]).await?;
                assert_eq!(row.get::<bool>(0), Ok(true), "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn pages_are_of_one_catalog_one_target_or_what_is_in_reach() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                catalogs::insert(tx, &catalog(70, "Sales")).await?;
                let other = resource(71, nth(70), shelf.target, "sellers");
                resources::insert(tx, &other).await?;
                resources::insert_role(tx, &role(72, nth(71), "Member_sellers")).await?;
                resources::insert_scope(tx, &scope(73, nth(71), "sellers")).await?;
                let ask = Ask { top: 9, ..Ask::default() };
                let own = Reach::Catalogs(vec![nth(70)]);
                let all = Reach::Everywhere;
                let part = Part { reach: &all, catalog: None, target: None };
                assert_eq!(resources::page(tx, part, ask, true).await.unwrap().count, Some(2));
                let narrow = Part { reach: &own, ..part };
                let page = resources::page(tx, narrow, ask, true).await.unwrap();
                let ids: Vec<ResourceId> = page.items.iter().map(|found| found.id).collect();
                assert_eq!((ids, page.count), (vec![nth(71)], Some(1)), "{engine}");
                let foreign = Part { catalog: Some(shelf.catalog), ..narrow };
                assert_eq!(resources::page(tx, foreign, ask, false).await.unwrap().items, []);
                let nowhere = Part { target: Some(nth(99)), ..part };
                assert_eq!(resources::page(tx, nowhere, ask, false).await.unwrap().items, []);

                let text =
                    format!("(originSystem eq 'WIKI' and resource/id eq '{}')", shelf.resource);
                let filter = Filter::parse(&text).unwrap();
                let ask = Ask { filter: Some(&filter), ..ask };
                let roles = resources::page_of_roles(tx, part, ask, false).await.unwrap();
                assert_eq!(roles.items, [role(4, shelf.resource, "Member_editors")], "{engine}");
                let scopes = resources::page_of_scopes(tx, part, ask, false).await.unwrap();
                assert_eq!(scopes.items, [scope(5, shelf.resource, "editors")], "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn resource_requests_outlive_what_they_are_about() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        let request = ResourceRequest {
            id: nth(80),
            request_type: RequestType::AdminRemove,
            catalog: Some(shelf.catalog),
            resource: Some(shelf.resource),
            named: Named {
                origin_id: "editors".to_owned(),
                origin_system: "wiki".to_owned(),
                display_name: "Editors".to_owned(),
                description: None,
            },
            created_at: at(3),
        };
        store
            .write(async |tx| {
                resources::insert_request(tx, &request).await?;
                let id: ResourceRequestId = nth(80);
                assert_eq!(resources::request(tx, id).await?, Some(request.clone()), "{engine}");
                let ask = Ask { top: 9, ..Ask::default() };
                let own = Reach::Catalogs(vec![shelf.catalog]);
                let page = resources::page_of_requests(tx, &own, ask, true).await.unwrap();
                assert_eq!((page.items.len(), page.count), (1, Some(1)), "{engine}");
                packages::delete(tx, shelf.package, at(4)).await?;
                catalogs::delete(tx, shelf.catalog, at(5)).await?;
                let left = resources::request(tx, id).await?.unwrap();
                assert_eq!((left.catalog, left.named), (None, request.named.clone()), "{engine}");
                let none = resources::page_of_requests(tx, &own, ask, false).await.unwrap();
                assert_eq!(none.items, [], "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn resources_are_found_by_index() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .read(async |tx| {
                let origin = "select r.id from resources r
                     where r.catalog_id = $1 and r.target_id = $2 and r.origin_id = $3";
                let found =
                    plan(tx, origin, params![shelf.catalog, shelf.target, "editors"]).await?;
                // Either index will do; PostgreSQL prefers the one by origin.
                let index =
                    found.contains("resources_once") || found.contains("resources_by_origin");
                assert!(index, "{engine}: {found}");
                let using = "select distinct x.package_id
                     from resource_roles o join resource_role_scopes x on x.role_id = o.id
                     where o.resource_id = $1";
                let found = plan(tx, using, params![shelf.resource]).await?;
                assert!(found.contains("resource_roles_once"), "{engine}: {found}");
                assert!(found.contains("resource_role_scopes_by_role"), "{engine}: {found}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}
