//! What causes held up hour by hour, on every engine.

use accede_domain::permission::Reach;
use accede_domain::trend::Hour;
use accede_store::cause_hours;
use accede_store::testing::stores;

use crate::causes::{fail, seen};
use crate::desk::{set, within};
use crate::shelf::at;

#[tokio::test]
async fn what_a_cause_holds_up_is_kept_by_the_hour_and_catalog() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let cause = seen(tx, &desk, 800, "http-403", 1).await?;
            let other = seen(tx, &desk, 801, "http-404", 1).await?;
            let none = Reach::Catalogs(Vec::new());
            let here = Reach::Catalogs(vec![desk.shelf.catalog]);
            assert!(cause_hours::now(tx).await?.is_empty(), "{engine}");
            cause_hours::note(tx, at(0), &[]).await?;

            fail(tx, &desk, 700, cause, true).await?;
            let one = cause_hours::now(tx).await?;
            cause_hours::note(tx, at(3_600), &one).await?;
            fail(tx, &desk, 701, cause, true).await?;
            let two = cause_hours::now(tx).await?;
            cause_hours::note(tx, at(7_200), &two).await?;
            // The largest of an hour stays.
            cause_hours::note(tx, at(7_200), &one).await?;
            cause_hours::note(tx, at(10_800), &[]).await?;

            let hour = |second, deliveries| Hour { at: at(second), deliveries };
            let all = [hour(0, 0), hour(3_600, 1), hour(7_200, 2), hour(10_800, 0)];
            for reach in [&Reach::Everywhere, &here] {
                let found = cause_hours::since(tx, cause, reach, at(0)).await?;
                assert_eq!(found, all, "{engine}");
            }
            let found = cause_hours::since(tx, cause, &none, at(3_600)).await?;
            let nothing = [hour(3_600, 0), hour(7_200, 0), hour(10_800, 0)];
            assert_eq!(found, nothing, "{engine}: out of reach");
            let found = cause_hours::since(tx, other, &Reach::Everywhere, at(10_800)).await?;
            assert_eq!(found, [hour(10_800, 0)], "{engine}: another cause");

            cause_hours::forget_before(tx, at(7_200)).await?;
            let found = cause_hours::since(tx, cause, &Reach::Everywhere, at(0)).await?;
            assert_eq!(found, all[2..], "{engine}");
            Ok(())
        })
        .await;
    }
}
