//! What is tried alone, on every engine.

use accede_domain::delivery::{Action, Observed, Phase};
use accede_domain::poison::Poison;
use accede_store::testing::stores;
use accede_store::{deliveries, poison};

use crate::desk::{set, within};
use crate::shelf::at;

#[tokio::test]
async fn what_is_tried_alone_has_its_turn_alone_and_what_broke_down_is_found() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let target = desk.shelf.target;
            let apart = Poison { crashes: 3, strikes: 0 };
            let mut ids = Vec::new();
            for (n, role, wanted) in [(1, "a", true), (2, "b", false), (3, "c", true)] {
                let mut row = desk.delivery(n, desk.uma.subject, role);
                row.delivery.wanted = wanted;
                row.delivery.phase = Phase::Due { at: at(10) };
                row.delivery.poison = if n == 3 { Poison::default() } else { apart };
                deliveries::lock_or_insert(tx, &row).await?;
                ids.push(row);
            }
            let [one, two, three] = ids.as_slice() else { unreachable!() };
            let ready = deliveries::ready(tx, target, at(10), 9).await?;
            assert_eq!(
                ready,
                std::slice::from_ref(three),
                "{engine}: what is tried alone stays out"
            );
            assert!(!poison::has_alone(tx, target, at(9)).await?, "{engine}");
            assert!(poison::has_alone(tx, target, at(10)).await?, "{engine}");

            let first = poison::ready_alone(tx, target, at(10)).await?;
            assert_eq!(first.as_ref(), Some(two), "{engine}: revocations first");
            let mut flying = two.clone();
            flying.delivery.phase = Phase::InFlight {
                action: Action::Revoke,
                generation: 1,
                before: Observed::Present,
                lease_until: at(70),
                deadline: at(30),
            };
            deliveries::save(tx, &flying, flying.delivery.epoch).await?;
            assert_eq!(poison::ready_alone(tx, target, at(69)).await?, None, "{engine}: one call");
            let next = poison::ready_alone(tx, target, at(70)).await?;
            assert_eq!(
                next.as_ref().map(|row| row.id),
                Some(two.id),
                "{engine}: its lease is over"
            );

            let found = poison::broken_down(tx, 3, at(69), (0, 9)).await?;
            assert_eq!(found, [], "{engine}: its lease holds");
            let found = poison::broken_down(tx, 3, at(70), (0, 9)).await?;
            assert_eq!(found, [(two.id, two.key.subject)], "{engine}");
            let behind = poison::broken_down(tx, 3, at(70), (1, 9)).await?;
            assert_eq!(behind, [], "{engine}: behind the first is nothing");
            assert_eq!(poison::broken_down(tx, 4, at(70), (0, 9)).await?, [], "{engine}");
            assert_ne!(one.id, two.id);
            Ok(())
        })
        .await;
    }
}
