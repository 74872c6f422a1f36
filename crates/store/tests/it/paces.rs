//! How fast targets are worked off, on every engine.

use accede_domain::drain::Pace;
use accede_store::paces;
use accede_store::testing::stores;

use crate::desk::{set, within};
use crate::shelf::{at, nth};

#[tokio::test]
async fn a_pace_adds_up_what_every_process_did() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let target = desk.shelf.target;
            assert_eq!(paces::since(tx, target, at(0)).await?, Pace::default(), "{engine}");
            paces::add(tx, target, at(60), 5).await?;
            paces::add(tx, target, at(60), 2).await?;
            paces::add(tx, target, at(120), 1).await?;
            paces::add(tx, nth(999_999), at(120), 1).await?;

            let whole = Pace { done: 8, since: Some(at(60)) };
            assert_eq!(paces::since(tx, target, at(0)).await?, whole, "{engine}");
            let last = Pace { done: 1, since: Some(at(120)) };
            assert_eq!(paces::since(tx, target, at(61)).await?, last, "{engine}");
            paces::forget_before(tx, at(120)).await?;
            assert_eq!(paces::since(tx, target, at(0)).await?, last, "{engine}");
            Ok(())
        })
        .await;
    }
}
