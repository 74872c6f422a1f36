//! What every engine must do alike.

use accede_store::{Error, Migration, Store, params};

const COUNTERS: Migration = Migration {
    number: 1,
    name: "counters",
    sql: "create table counters (id bigint primary key, n bigint not null);\n",
};

async fn increment(store: &Store, by: &[i64]) -> Result<i64, Error> {
    store
        .write(async |tx| {
            for by in by {
                tx.execute("update counters set n = n + $1 where id = 1", params![*by]).await?;
            }
            tx.query_one("select n from counters where id = $1", params![1]).await?.get(0)
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_are_all_counted() {
    let dir = tempfile::tempdir().unwrap();
    for store in [Store::open_in_memory().unwrap(), Store::open_sqlite(dir.path()).await.unwrap()] {
        store.migrate(&[COUNTERS]).await.unwrap();
        store
            .write(async |tx| {
                tx.execute("insert into counters values ($2, $1)", params![0, 1]).await
            })
            .await
            .unwrap();
        let writers: Vec<_> = (0..64)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let by = vec![1, 2];
                    for _ in 0..50 {
                        increment(&store, &by).await.unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let sum: i64 = store
            .read(async |tx| tx.query_one("select n from counters", &[]).await?.get(0))
            .await
            .map_err(|error: Error| error)
            .unwrap();
        assert_eq!(sum, 64 * 50 * 3);
    }
}

#[tokio::test]
async fn the_schema_applies() {
    let store = Store::open_in_memory().unwrap();
    store.migrate(accede_store::schema::MIGRATIONS).await.unwrap();
    let newest = accede_store::schema::MIGRATIONS.last().unwrap().number;
    assert_eq!(store.schema_version().await, Ok(newest));
}
