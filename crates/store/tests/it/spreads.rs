//! Changes of packages' roles on their way to the holders, on every engine.

use accede_domain::assignment::State;
use accede_store::assignments::{self, Assignment};
use accede_store::packages;
use accede_store::spreads::{self, Spread};
use accede_store::testing::stores;

use crate::desk::{nobody, set, within};
use crate::shelf::{at, nth};

#[tokio::test]
async fn whoever_holds_a_package_is_behind_until_they_have_its_last_change() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let package = desk.shelf.package;
            let uma = desk.assignment(300, State::Delivered);
            let max = Assignment { subject: desk.max.subject, ..desk.assignment(301, uma.state) };
            let over = State::Ending { since: at(3) };
            let boss = Assignment { subject: desk.boss.subject, ..desk.assignment(302, over) };
            for assignment in [uma, max, boss] {
                assignments::insert(tx, &assignment).await?;
            }
            assert_eq!(spreads::open(tx, 9).await?, [], "{engine}");
            let (first, _) = packages::versioned_role_scopes(tx, package).await?;

            spreads::begin(tx, package, at(10)).await?;
            let (second, roles) = packages::versioned_role_scopes(tx, package).await?;
            assert_eq!(second, first + 1, "{engine}");
            assert_eq!(roles, packages::role_scopes(tx, package).await?, "{engine}");
            assert_eq!(spreads::open(tx, 9).await?, [package], "{engine}");
            assert_eq!(spreads::over(tx, at(99), 9).await?, [], "{engine}");
            let found = spreads::get(tx, package).await?;
            assert_eq!(found, Spread { holders: 2, behind: 2 }, "{engine}");
            assert_eq!(spreads::behind(tx, package, 1).await?.len(), 1, "{engine}");

            // Another change, while the first is on its way: who has the first is behind again.
            for (n, left) in [(300, vec![nth(301)]), (301, vec![])] {
                let mut assignment = assignments::lock(tx, nth(n)).await?;
                assignment.roles_version = second;
                assignments::save(tx, &mut assignment).await?;
                assert_eq!(assignments::get(tx, nth(n)).await?, Some(assignment), "{engine}");
                let behind = spreads::behind(tx, package, 9).await?;
                let ids: Vec<_> = behind.iter().map(|(id, _)| *id).collect();
                assert_eq!(ids, left, "{engine}");
            }
            spreads::begin(tx, package, at(20)).await?;
            let found = spreads::get(tx, package).await?;
            assert_eq!(found, Spread { holders: 2, behind: 2 }, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_spread_that_reached_everybody_is_closed_unless_the_roles_changed_again() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let package = desk.shelf.package;
            spreads::begin(tx, package, at(10)).await?;
            assert_eq!(spreads::open(tx, 9).await?, [], "nobody holds it: {engine}");
            assert_eq!(spreads::over(tx, at(9), 9).await?, [], "{engine}");
            assert_eq!(spreads::over(tx, at(10), 9).await?, [package], "{engine}");

            // What began with the former roles is committed late, and is found.
            assignments::insert(tx, &desk.assignment(300, State::Delivering)).await?;
            assert_eq!(spreads::open(tx, 9).await?, [package], "{engine}");
            assert_eq!(spreads::over(tx, at(99), 9).await?, [], "{engine}");
            let mut late = assignments::lock(tx, nth(300)).await?;
            late.roles_version = packages::versioned_role_scopes(tx, package).await?.0;
            assignments::save(tx, &mut late).await?;

            spreads::begin(tx, desk.other, at(30)).await?;
            spreads::close(tx, package, at(9)).await?;
            assert_eq!(spreads::over(tx, at(99), 9).await?, [package, desk.other], "{engine}");
            spreads::close(tx, package, at(10)).await?;
            assert_eq!(spreads::over(tx, at(99), 9).await?, [desk.other], "{engine}");

            // A package that gives nothing has a version as well.
            let (version, roles) = packages::versioned_role_scopes(tx, desk.other).await?;
            assert_eq!((version, roles.len()), (1, 0), "{engine}");
            assert_eq!(packages::versioned_role_scopes(tx, nobody()).await?, (0, vec![]));
            assert_eq!(spreads::get(tx, nobody()).await?, Spread::default(), "{engine}");
            Ok(())
        })
        .await;
    }
}
