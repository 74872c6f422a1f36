//! Incompatible packages and groups on every engine.

use accede_domain::id::PackageId;
use accede_store::testing::{plan, stores};
use accede_store::{Error, groups, packages, params, separations};

use crate::shelf::{nth, package, stock};

#[tokio::test]
async fn pairs_are_seen_from_both_sides() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                let (one, two): (PackageId, PackageId) = (shelf.package, nth(50));
                packages::insert(tx, &package(50, shelf.catalog, "Other")).await?;
                assert!(!separations::concerns(tx, one).await?, "{engine}");
                assert!(separations::add_package(tx, one, two).await?, "{engine}");
                assert!(!separations::add_package(tx, one, two).await?, "{engine}");
                assert_eq!(separations::pairs_touching(tx, one).await?, [(one, two)], "{engine}");
                assert_eq!(separations::pairs_touching(tx, two).await?, [(one, two)], "{engine}");
                let names = |all: Vec<packages::Package>| {
                    all.into_iter().map(|package| package.display_name).collect::<Vec<_>>()
                };
                assert_eq!(names(separations::listed_on(tx, one).await?), ["Other"], "{engine}");
                assert_eq!(names(separations::listing(tx, two).await?), ["Campaign"], "{engine}");
                assert_eq!(separations::listed_on(tx, two).await?, [], "{engine}");
                assert!(separations::concerns(tx, two).await?, "{engine}");
                assert_eq!(separations::count(tx, one).await?, (1, 0), "{engine}");
                assert!(separations::remove_package(tx, one, two).await?, "{engine}");
                assert!(!separations::remove_package(tx, one, two).await?, "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn groups_are_listed_on_a_package() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .write(async |tx| {
                assert!(separations::add_group(tx, shelf.package, shelf.group).await?, "{engine}");
                assert!(!separations::add_group(tx, shelf.package, shelf.group).await?);
                assert_eq!(separations::groups_of(tx, shelf.package).await?, [shelf.group]);
                let whole = groups::excluded_from(tx, shelf.package).await?;
                assert_eq!(whole.len(), 1, "{engine}");
                assert_eq!(whole.first().map(|g| g.display_name.as_str()), Some("Auditors"));
                assert!(separations::concerns(tx, shelf.package).await?, "{engine}");
                assert_eq!(separations::count(tx, shelf.package).await?, (0, 1), "{engine}");
                assert!(separations::remove_group(tx, shelf.package, shelf.group).await?);
                assert!(!separations::remove_group(tx, shelf.package, shelf.group).await?);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn both_sides_are_found_by_index() {
    for (engine, store) in stores().await {
        let shelf = stock(&store).await;
        store
            .read(async |tx| {
                let sql = "select package_id, other_id from incompatible_packages
                         where package_id = $1
                     union
                     select package_id, other_id from incompatible_packages where other_id = $1";
                let plan = plan(tx, sql, params![shelf.package]).await?;
                assert!(!plan.contains("SCAN incompatible"), "{engine}: {plan}");
                assert!(!plan.contains("Seq Scan"), "{engine}: {plan}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}
