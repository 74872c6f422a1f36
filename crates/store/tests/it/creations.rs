//! Keys of creates that may be sent again, on every engine.

use accede_store::creations::{self, Made};
use accede_store::testing::stores;
use accede_store::{Error, Store};

use crate::shelf::at;

fn made(object: &str, n: i64) -> Made {
    Made { object: object.to_owned(), body_hash: vec![7; 32], at: at(n) }
}

#[tokio::test]
async fn the_first_takes_the_key_and_the_second_sees_what_was_made() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                assert_eq!(creations::take(tx, "k", &made("a", 1)).await?, None, "{engine}");
                let before = creations::take(tx, "k", &made("b", 2)).await?;
                assert_eq!(before, Some(made("a", 1)), "{engine}");
                creations::replace(tx, "k", &made("c", 3)).await?;
                let before = creations::take(tx, "k", &made("d", 4)).await?;
                assert_eq!(before, Some(made("c", 3)), "{engine}");
                assert_eq!(creations::take(tx, "l", &made("e", 5)).await?, None, "{engine}");
                assert_eq!(creations::forget(tx, at(4), 9).await?, 1, "{engine}");
                assert_eq!(creations::take(tx, "k", &made("f", 6)).await?, None, "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

async fn race(store: &Store, n: i64) -> Option<Made> {
    let new = made(&n.to_string(), n);
    store.write(async |tx| creations::take(tx, "k", &new).await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_makes_and_all_others_see_it() {
    for (engine, store) in stores().await {
        let tries: Vec<_> = (0..8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { race(&store, n).await })
            })
            .collect();
        let mut seen = Vec::new();
        for one in tries {
            seen.push(one.await.unwrap());
        }
        let first: Vec<_> = seen.iter().filter(|before| before.is_none()).collect();
        assert_eq!(first.len(), 1, "{engine}");
        let mut others: Vec<_> = seen.into_iter().flatten().map(|made| made.object).collect();
        others.dedup();
        assert_eq!(others.len(), 1, "{engine}");
    }
}
