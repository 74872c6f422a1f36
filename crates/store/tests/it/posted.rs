//! Statements that are posted, and several that are asked at once, on every engine.

use accede_store::testing::empty_stores;
use accede_store::{Error, Migration, Result, Sql, Store, Tx, params};

const TABLES: &[Migration] = &[Migration {
    number: 1,
    name: "steps",
    sql: "create table steps (id bigint primary key, n bigint not null)",
}];

const UPDATE: &str = "update steps set n = n * 10 + $2 where id = $1";

async fn worlds() -> Vec<(&'static str, Store)> {
    let worlds = empty_stores().await;
    for (_, store) in &worlds {
        store.migrate(TABLES).await.unwrap();
    }
    worlds
}

async fn post(tx: &mut Tx<'_>, id: i64, n: i64) -> Result<()> {
    tx.post("insert into steps (id, n) values ($1, $2)", params![id, n]).await
}

async fn step(tx: &mut Tx<'_>, id: i64, n: i64) -> Result<()> {
    tx.post_one(UPDATE, params![id, n], Error::Stale).await
}

async fn value(tx: &mut Tx<'_>, id: i64) -> Result<Option<i64>> {
    let row = tx.query_opt("select n from steps where id = $1", params![id]).await?;
    row.map(|row| row.get(0)).transpose()
}

async fn stored(store: &Store, id: i64) -> Option<i64> {
    store.read(async |tx| value(tx, id).await).await.unwrap()
}

#[tokio::test]
async fn what_is_posted_runs_in_its_order_and_before_the_next_statement() {
    for (engine, store) in worlds().await {
        // Twice, since what was prepared before is sent another way.
        for id in [1, 2] {
            let seen = store
                .write(async |tx| {
                    post(tx, id, 0).await?;
                    for n in [1, 2, 3] {
                        step(tx, id, n).await?;
                    }
                    let seen = value(tx, id).await?;
                    step(tx, id, 4).await?;
                    tx.execute(UPDATE, params![id, 5_i64]).await?;
                    step(tx, id, 6).await?;
                    Ok::<_, Error>(seen)
                })
                .await;
            assert_eq!(seen, Ok(Some(123)), "{engine}");
            assert_eq!(stored(&store, id).await, Some(123_456), "{engine}");
        }
    }
}

#[tokio::test]
async fn more_is_posted_than_waits_at_once_and_what_comes_last_is_committed() {
    for (engine, store) in worlds().await {
        let posted: Result<()> = store
            .write(async |tx| {
                for id in 0..40 {
                    post(tx, id, id).await?;
                }
                Ok(())
            })
            .await;
        posted.unwrap();
        for id in 0..40 {
            assert_eq!(stored(&store, id).await, Some(id), "{engine}");
        }
    }
}

#[tokio::test]
async fn a_posted_statement_that_finds_no_row_ends_the_transaction() {
    for (engine, store) in worlds().await {
        let at_commit = store
            .write(async |tx| {
                post(tx, 1, 0).await?;
                step(tx, 404, 1).await
            })
            .await;
        assert_eq!(at_commit, Err(Error::Stale), "{engine}");
        let at_the_next = store
            .write(async |tx| {
                let _told_later = step(tx, 404, 1).await;
                let _told_now = value(tx, 1).await;
                post(tx, 1, 0).await
            })
            .await;
        assert_eq!(at_the_next, Err(Error::Stale), "{engine}");
        assert_eq!(stored(&store, 1).await, None, "{engine}");
    }
}

#[tokio::test]
async fn a_posted_statement_that_fails_ends_the_transaction() {
    for (engine, store) in worlds().await {
        let twice = store
            .write(async |tx| {
                post(tx, 1, 0).await?;
                post(tx, 1, 1).await?;
                post(tx, 2, 0).await
            })
            .await;
        assert!(matches!(twice, Err(Error::Duplicate { .. })), "{engine}: {twice:?}");
        assert_eq!((stored(&store, 1).await, stored(&store, 2).await), (None, None), "{engine}");
        // The connection is as good as before.
        let once = store.write(async |tx| post(tx, 1, 7).await).await;
        assert_eq!((once, stored(&store, 1).await), (Ok(()), Some(7)), "{engine}");
    }
}

#[tokio::test]
async fn what_is_posted_is_not_kept_where_the_work_fails() {
    for (engine, store) in worlds().await {
        let refused: Result<()> = store
            .write(async |tx| {
                post(tx, 1, 0).await?;
                Err(Error::Uncertain)
            })
            .await;
        assert_eq!(refused, Err(Error::Uncertain), "{engine}");
        assert_eq!(stored(&store, 1).await, None, "{engine}");
        let reading = store.read(async |tx| post(tx, 1, 0).await).await;
        assert!(matches!(reading, Err(Error::Database(_))), "{engine}: {reading:?}");
        assert_eq!(stored(&store, 1).await, None, "{engine}");
    }
}

#[tokio::test]
async fn several_questions_are_answered_in_their_order_after_what_was_posted() {
    for (engine, store) in worlds().await {
        let ask = |id: i64| {
            let sql: Sql = "select n from steps where id = $1".into();
            (sql, params![id].to_vec())
        };
        let answers = store
            .write(async |tx| {
                post(tx, 1, 10).await?;
                let found = tx.query_each([
                    ask(1),
                    ask(404),
                    (UPDATE.into(), params![1_i64, 1_i64].to_vec()),
                    ask(1),
                ]);
                let found = found.await?;
                found
                    .iter()
                    .map(|rows| rows.first().map(|row| row.get::<i64>(0)).transpose())
                    .collect::<Result<Vec<_>>>()
            })
            .await;
        assert_eq!(answers, Ok(vec![Some(10), None, None, Some(101)]), "{engine}");
    }
}
