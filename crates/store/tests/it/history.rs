//! Timelines, on every engine.

use accede_domain::request::State;
use accede_store::history::{self, Line};
use accede_store::testing::stores;

use crate::desk::{no_scan, nobody, set, within};
use crate::shelf::{at, nth};

#[tokio::test]
async fn a_timeline_is_read_oldest_first() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let request = desk.ask(tx, 200, State::PendingApproval).await?.id;
            let line = |n: u128, when, kind: &str| Line {
                id: nth(n),
                request,
                at: when,
                kind: kind.to_owned(),
                actor: "uma".to_owned(),
                detail: format!("`{kind}`"),
            };
            let (first, second) = (line(601, at(1), "submitted"), line(602, at(1), "approved"));
            let third = line(600, at(2), "delivered");
            for line in [&third, &second, &first] {
                history::insert(tx, line).await?;
            }

            let lines = history::of_request(tx, request).await?;
            assert_eq!(lines, [first, second, third], "{engine}");
            assert!(history::of_request(tx, nobody()).await?.is_empty(), "{engine}");
            no_scan(tx, "of_request", async |tx| history::of_request(tx, request).await).await
        })
        .await;
    }
}
