//! What every engine must do alike, and what each must do by itself.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use accede_domain::Timestamp;
use accede_domain::id::{PackageId, RequestId};
use accede_store::testing::{
    empty_stores, forgetful_postgres_url, plan, postgres, postgres_url, sqlite, stores,
    tls_postgres_url,
};
use accede_store::{Engine, Error, Migration, Result, Sql, Store, Tx, Value, params};
use tokio::sync::{Barrier, Notify};
use tokio::time::timeout;
use uuid::Uuid;

const TABLES: &[Migration] = &[
    Migration {
        number: 1,
        name: "counters",
        sql: "
-- One row a counter.
create table counters (
    id bigint primary key,
    n bigint not null
);
insert into counters (id, n) values (1, 0);
insert into counters (id, n) values (2, 0);
",
    },
    Migration {
        number: 2,
        name: "things",
        sql: "
create table things (
    id uuid primary key,
    package_id uuid,
    at_ms bigint,
    name text,
    is_open boolean,
    seal bytea,
    unique (package_id, seal)
);
create unique index things_by_folded_name on things (lower(name));
create unique index things_open_at on things (at_ms) where is_open;
create table pairs (a uuid, b uuid, primary key (a, b));
",
    },
];

const INCREMENT: &str = "update counters set n = n + $1 where id = $2";

/// Stores of each kind with the tables of this file.
async fn worlds() -> Vec<(&'static str, Store)> {
    let worlds = empty_stores().await;
    for (_, store) in &worlds {
        store.migrate(TABLES).await.unwrap();
    }
    worlds
}

async fn counter(store: &Store, id: i64) -> i64 {
    store
        .read::<i64, Error, _>(async |tx| {
            tx.query_one("select n from counters where id = $1", params![id]).await?.get(0)
        })
        .await
        .unwrap()
}

async fn add(tx: &mut Tx<'_>, by: i64, id: i64) -> Result<u64> {
    tx.execute(INCREMENT, params![by, id]).await
}

/// A caller as in `app`: borrowed captures, an error type of its own, spawned by somebody.
#[derive(Debug, PartialEq)]
enum Refusal {
    Store(Error),
    Odd(i64),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Store(error)
    }
}

async fn add_even(store: &Store, names: &[String], by: i64) -> Result<usize, Refusal> {
    let prefix = String::from("counter ");
    store
        .write(async |tx| {
            add(tx, by, 1).await?;
            if by % 2 == 1 {
                return Err(Refusal::Odd(by));
            }
            Ok(names.iter().filter(|name| name.starts_with(&prefix)).count())
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_are_all_counted() {
    for (name, store) in worlds().await {
        let writers: Vec<_> = (0..64)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    for _ in 0..50 {
                        store.write(async |tx| add(tx, 1, 1).await).await.unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(counter(&store, 1).await, 64 * 50, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_turn_rolls_back_alone() {
    for (name, store) in worlds().await {
        let callers: Vec<_> = (1..=40)
            .map(|by| {
                let store = store.clone();
                tokio::spawn(async move { add_even(&store, &["counter 1".to_owned()], by).await })
            })
            .collect();
        for (by, caller) in (1..=40).zip(callers) {
            let expected = if by % 2 == 1 { Err(Refusal::Odd(by)) } else { Ok(1) };
            assert_eq!(caller.await.unwrap(), expected, "{name}");
        }
        assert_eq!(counter(&store, 1).await, (1..=20).map(|n| 2 * n).sum::<i64>(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_write_is_visible_to_others() {
    for (name, store) in worlds().await {
        let callers: Vec<_> = (100..164)
            .map(|id: i64| {
                let store = store.clone();
                tokio::spawn(async move {
                    store
                        .write(async |tx| {
                            tx.execute("insert into counters values ($1, 7)", params![id]).await
                        })
                        .await
                        .unwrap();
                    counter(&store, id).await
                })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), 7, "{name}");
        }
    }
}

#[tokio::test]
async fn parameters_are_bound_by_number() {
    for (name, store) in worlds().await {
        let row = store
            .read::<_, Error, _>(async |tx| {
                tx.query_one("select $2, $1, $2, '$1'", params![10, "x"]).await
            })
            .await
            .unwrap();
        let text = store
            .read::<_, Error, _>(async |tx| {
                tx.query_one_text("select $3, $1, $2", params![1, 2, 3]).await
            })
            .await
            .unwrap();

        assert_eq!(row.get::<String>(0).unwrap(), "x", "{name}");
        assert_eq!(row.get::<i64>(1).unwrap(), 10, "{name}");
        assert_eq!(row.get::<String>(2).unwrap(), "x", "{name}");
        assert_eq!(row.get::<String>(3).unwrap(), "$1", "{name}");
        assert_eq!((text.get(0), text.get(1), text.get(2)), (Ok(3), Ok(1), Ok(2)), "{name}");
    }
}

#[tokio::test]
async fn a_wrong_number_of_parameters_is_refused() {
    for (name, store) in worlds().await {
        for given in [params![], params![1, 2]] {
            let refused = store
                .read::<_, Error, _>(async |tx| {
                    tx.query("select n from counters where id = $1", given).await
                })
                .await;
            assert!(matches!(refused, Err(Error::Database(_))), "{name}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let id = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);
    let package = PackageId(Uuid::from_u128(77));
    let at: Timestamp = "2026-11-24T10:11:12.345Z".parse().unwrap();
    let seal = vec![0_u8, 255, 10];
    for (name, store) in worlds().await {
        store
            .write::<_, Error, _>(async |tx| {
                let sql = "insert into things (id, package_id, at_ms, name, is_open, seal) \
                           values ($1, $2, $3, $4, $5, $6)";
                tx.execute(sql, params![id, package, at, "Grüße", true, &seal]).await?;
                let nothing = RequestId(Uuid::from_u128(2));
                tx.execute(
                    sql,
                    params![
                        nothing,
                        None::<PackageId>,
                        None::<Timestamp>,
                        None::<String>,
                        None::<bool>,
                        Value::Null
                    ],
                )
                .await
            })
            .await
            .unwrap();
        let rows = store
            .read::<_, Error, _>(async |tx| {
                let sql = "select id, package_id, at_ms, name, is_open, seal from things \
                           where id in ($1, $2) order by is_open is null";
                tx.query(sql, params![id, Uuid::from_u128(2)]).await
            })
            .await
            .unwrap();

        let [full, empty] = rows.as_slice() else { unreachable!("{name}: {rows:?}") };
        assert_eq!(full.get::<RequestId>(0), Ok(RequestId(id)), "{name}");
        assert_eq!(full.get::<Option<PackageId>>(1), Ok(Some(package)), "{name}");
        assert_eq!(full.get::<Timestamp>(2), Ok(at), "{name}");
        assert_eq!(full.get::<String>(3), Ok("Grüße".to_owned()), "{name}");
        assert_eq!(full.get::<bool>(4), Ok(true), "{name}");
        assert_eq!(full.get::<Vec<u8>>(5), Ok(seal.clone()), "{name}");
        assert_eq!(empty.get::<Option<PackageId>>(1), Ok(None), "{name}");
        assert_eq!(empty.get::<Option<Timestamp>>(2), Ok(None), "{name}");
        assert_eq!(empty.get::<Option<String>>(3), Ok(None), "{name}");
        assert_eq!(empty.get::<Option<bool>>(4), Ok(None), "{name}");
        assert_eq!(empty.get::<Option<Vec<u8>>>(5), Ok(None), "{name}");
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_a_corrupt_row() {
    for (name, store) in worlds().await {
        let row = store
            .read::<_, Error, _>(async |tx| {
                tx.query_one("select -1, 'x', cast(null as bigint), '[1]'", &[]).await
            })
            .await
            .unwrap();
        let corrupt =
            |error: Error| matches!(error, Error::Corrupt(text) if text.contains("column"));

        assert!(corrupt(row.get::<String>(0).unwrap_err()), "{name}");
        assert!(corrupt(row.get::<u32>(0).unwrap_err()), "{name}");
        assert!(corrupt(row.get::<bool>(0).unwrap_err()), "{name}");
        assert!(corrupt(row.get::<Uuid>(1).unwrap_err()), "{name}");
        assert!(corrupt(row.get::<i64>(2).unwrap_err()), "{name}");
        assert!(corrupt(row.get::<i64>(4).unwrap_err()), "{name}");
        assert!(corrupt(row.json::<Vec<i64>>(1).unwrap_err()), "{name}");
        assert_eq!(row.json::<Vec<i64>>(3), Ok(vec![1]), "{name}");
    }
}

#[tokio::test]
async fn sums_and_counts_are_integers() {
    for (name, store) in worlds().await {
        let row = store
            .read::<_, Error, _>(async |tx| {
                let sql = "select sum(n), count(*), sum(n + $1) from counters";
                tx.query_one(sql, params![100_000_i64]).await
            })
            .await
            .unwrap();
        let sums: [Result<i64>; 3] = [row.get(0), row.get(1), row.get(2)];
        assert_eq!(sums, [Ok(0), Ok(2), Ok(200_000)], "{name}");
    }
}

#[tokio::test]
async fn a_duplicate_names_its_columns() {
    let id = |n: u128| Uuid::from_u128(n);
    for (name, store) in worlds().await {
        let insert = async |n: u128, seal: u8, name: &str, at: i64| {
            store
                .write::<_, Error, _>(async |tx| {
                    let sql = "insert into things (id, package_id, seal, name, at_ms, is_open) \
                               values ($1, $2, $3, $4, $5, $6)";
                    tx.execute(sql, params![id(n), id(9), vec![seal], name, at, true]).await
                })
                .await
        };
        let pair = async || {
            store
                .write::<_, Error, _>(async |tx| {
                    tx.execute("insert into pairs values ($1, $2)", params![id(1), id(2)]).await
                })
                .await
        };
        let duplicate =
            |constraint: &str| Err(Error::Duplicate { constraint: constraint.to_owned() });

        assert_eq!(insert(1, 1, "a", 1).await, Ok(1), "{name}");
        assert_eq!(insert(1, 2, "b", 2).await, duplicate("things.id"), "{name}");
        assert_eq!(insert(2, 1, "b", 2).await, duplicate("things.package_id,seal"), "{name}");
        assert_eq!(insert(2, 2, "A", 2).await, duplicate("things_by_folded_name"), "{name}");
        assert_eq!(insert(2, 2, "b", 1).await, duplicate("things.at_ms"), "{name}");
        assert_eq!(pair().await, Ok(1), "{name}");
        assert_eq!(pair().await, duplicate("pairs.a,b"), "{name}");
    }
}

#[tokio::test]
async fn counts_tell_what_a_statement_changed() {
    for (name, store) in worlds().await {
        let counts = store
            .write::<_, Error, _>(async |tx| {
                Ok([
                    tx.execute("update counters set n = 5", &[]).await?,
                    tx.execute("update counters set n = 5 where id = 9 returning id", &[]).await?,
                    tx.execute("update counters set n = 6 where id = 1 returning id", &[]).await?,
                    tx.execute("insert into counters values (1, 1) on conflict do nothing", &[])
                        .await?,
                    tx.execute_all(
                        "insert into counters values ($1, $2)",
                        &(10..1_210).map(|id: i64| params![id, 1].to_vec()).collect::<Vec<_>>(),
                    )
                    .await?,
                    tx.execute("delete from counters where id > 100", &[]).await?,
                ])
            })
            .await;
        assert_eq!(counts, Ok([2, 0, 1, 0, 1_200, 1_109]), "{name}");
    }
}

#[tokio::test]
async fn one_row_is_one_row() {
    for (name, store) in worlds().await {
        let one = async |id: i64| {
            store
                .read::<i64, Error, _>(async |tx| {
                    tx.query_one("select id from counters where id >= $1", params![id])
                        .await?
                        .get(0)
                })
                .await
        };
        assert_eq!(one(2).await, Ok(2), "{name}");
        assert_eq!(one(3).await, Err(Error::NotFound), "{name}");
        assert!(matches!(one(1).await, Err(Error::Corrupt(_))), "{name}");
    }
}

#[tokio::test]
async fn nothing_is_kept_after_a_failed_statement() {
    for (name, store) in worlds().await {
        let answer = store
            .write::<_, Error, _>(async |tx| {
                add(tx, 1, 1).await?;
                let failed = tx.execute("insert into counters values (1, 1)", &[]).await;
                assert!(matches!(failed, Err(Error::Duplicate { .. })));
                let after = add(tx, 1, 2).await;
                assert!(
                    matches!(after, Err(Error::Duplicate { .. })),
                    "the transaction has failed"
                );
                Ok("done")
            })
            .await;
        assert!(matches!(answer, Err(Error::Duplicate { .. })), "{name}: {answer:?}");
        assert_eq!(counter(&store, 1).await, 0, "{name}");
    }
}

#[tokio::test]
async fn a_read_cannot_write() {
    for (name, store) in worlds().await {
        let refused = store.read(async |tx| add(tx, 1, 1).await).await;
        assert!(
            matches!(&refused, Err(Error::Database(text)) if text.contains("Store::write")),
            "{name}: {refused:?}"
        );
        assert_eq!(counter(&store, 1).await, 0, "{name}");
        assert_eq!(store.write(async |tx| add(tx, 1, 1).await).await, Ok(1), "{name}");
    }
}

#[tokio::test]
async fn a_read_sees_one_committed_state() {
    for (name, store) in [("file", sqlite().await), ("postgres", postgres().await)] {
        store.migrate(TABLES).await.unwrap();
        let (written, seen) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let writer = {
            let (store, written, seen) = (store.clone(), written.clone(), seen.clone());
            tokio::spawn(async move {
                store
                    .write(async |tx| {
                        let count = add(tx, 1, 1).await?;
                        written.notify_one();
                        seen.notified().await;
                        Ok::<_, Error>(count)
                    })
                    .await
            })
        };
        written.notified().await;
        assert_eq!(counter(&store, 1).await, 0, "{name}: not committed yet");
        let before_and_after = store
            .read::<_, Error, _>(async |tx| {
                let sql = "select n from counters where id = 1";
                let before: i64 = tx.query_one(sql, &[]).await?.get(0)?;
                seen.notify_one();
                while counter_outside(&store).await == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok((before, tx.query_one(sql, &[]).await?.get::<i64>(0)?))
            })
            .await;
        writer.await.unwrap().unwrap();
        assert_eq!(before_and_after, Ok((0, 0)), "{name}: a snapshot");
        assert_eq!(counter(&store, 1).await, 1, "{name}");
    }
}

/// Reads on another task, since a task has one transaction at a time.
async fn counter_outside(store: &Store) -> i64 {
    let store = store.clone();
    tokio::spawn(async move { counter(&store, 1).await }).await.unwrap()
}

#[tokio::test]
async fn a_dropped_write_leaves_nothing() {
    for (name, store) in worlds().await {
        let started = Notify::new();
        let hang = store.write::<(), Error, _>(async |tx| {
            add(tx, 1, 1).await?;
            started.notify_one();
            pending().await
        });
        tokio::select! {
            _ = hang => unreachable!("it hangs"),
            () = started.notified() => {}
        }
        let hang = store.read::<(), Error, _>(async |tx| {
            tx.query("select n from counters", &[]).await?;
            started.notify_one();
            pending().await
        });
        tokio::select! {
            _ = hang => unreachable!("it hangs"),
            () = started.notified() => {}
        }

        let next = timeout(Duration::from_secs(20), store.write(async |tx| add(tx, 5, 1).await));
        assert_eq!(next.await.unwrap(), Ok(1), "{name}");
        assert_eq!(counter(&store, 1).await, 5, "{name}");
    }
}

#[tokio::test]
async fn a_panic_leaves_nothing() {
    for (name, store) in worlds().await {
        for _ in 0..10 {
            let store = store.clone();
            let broken = tokio::spawn(async move {
                store
                    .write::<(), Error, _>(async |tx| {
                        add(tx, 1, 1).await?;
                        unreachable!("a bug in a closure")
                    })
                    .await
            });
            assert!(broken.await.unwrap_err().is_panic(), "{name}");
        }
        assert_eq!(store.write(async |tx| add(tx, 5, 1).await).await, Ok(1), "{name}");
        assert_eq!(counter(&store, 1).await, 5, "{name}");
    }
}

#[tokio::test]
async fn a_transaction_inside_another_is_refused() {
    for (name, store) in worlds().await {
        let inner = store
            .write::<_, Error, _>(async |_| {
                Ok((
                    store.write(async |tx| add(tx, 1, 1).await).await,
                    store.read(async |tx| tx.query("select 1", &[]).await).await.map(|_| ()),
                ))
            })
            .await
            .unwrap();
        assert!(matches!(inner, (Err(Error::Database(_)), Err(Error::Database(_)))), "{name}");
    }
}

#[tokio::test]
async fn a_commit_wakes_who_listens() {
    for (name, store) in worlds().await {
        let mut work = store.listen("engine-work").await.unwrap();
        let mut other = store.listen("engine-other").await.unwrap();
        let failed = store
            .write::<(), Error, _>(async |tx| {
                tx.notify("engine-other").await?;
                Err(Error::Stale)
            })
            .await;
        assert_eq!(failed, Err(Error::Stale));
        for _ in 0..2 {
            store.write::<_, Error, _>(async |tx| tx.notify("engine-work").await).await.unwrap();
        }

        timeout(Duration::from_secs(20), work.next()).await.unwrap().unwrap();
        assert!(
            timeout(Duration::from_millis(50), other.next()).await.is_err(),
            "{name}: what is rolled back wakes nobody"
        );
    }
}

#[tokio::test]
async fn a_second_server_on_a_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open_sqlite(dir.path()).await.unwrap();
    first.migrate(TABLES).await.unwrap();

    let Err(Error::Locked(reason)) = Store::open_sqlite(dir.path()).await else {
        unreachable!("it must be refused")
    };
    assert!(reason.contains(&dir.path().display().to_string()), "{reason}");

    let beside = Store::attach_sqlite(dir.path()).await.unwrap();
    beside.write(async |tx| add(tx, 3, 1).await).await.unwrap();
    first.write(async |tx| add(tx, 4, 1).await).await.unwrap();
    assert_eq!(counter(&beside, 1).await, 7);

    drop(first);
    assert_eq!(counter(&Store::open_sqlite(dir.path()).await.unwrap(), 1).await, 7);
}

#[tokio::test]
async fn attaching_to_an_empty_directory_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let Err(Error::Database(reason)) = Store::attach_sqlite(dir.path()).await else {
        unreachable!("there is nothing to attach to")
    };
    assert!(reason.contains("accede serve --data"), "{reason}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    for (name, store) in worlds().await {
        assert_eq!(store.schema_version().await, Ok(2), "{name}");
        assert_eq!(store.migrate(TABLES).await, Ok(()), "{name}");
        let older = store.migrate(TABLES.get(..1).unwrap()).await;
        assert_eq!(older, Err(Error::NewerSchema { database: 2, program: 1 }), "{name}");
    }
}

#[tokio::test]
async fn a_failed_migration_leaves_the_schema_as_it_was() {
    let broken = Migration {
        number: 3,
        name: "broken",
        sql: "create table half (id uuid primary key);\ncreate table half (id uuid primary key);\n",
    };
    for (name, store) in worlds().await {
        let steps = [TABLES, &[broken]].concat();
        let failed = store.migrate(&steps).await;
        assert!(
            matches!(&failed, Err(Error::Database(text)) if text.contains("3 `broken`")),
            "{name}: {failed:?}"
        );
        assert_eq!(store.schema_version().await, Ok(2), "{name}");
        let half = store.read(async |tx| tx.query("select id from half", &[]).await).await;
        assert!(half.is_err(), "{name}");
    }
}

#[tokio::test]
async fn two_processes_may_migrate_at_once() {
    let url = postgres_url().await;
    let stores = [
        Store::open_postgres(&url, 2).await.unwrap(),
        Store::open_postgres(&url, 2).await.unwrap(),
    ];
    let [a, b] = &stores;
    let (first, second) = tokio::join!(a.migrate(TABLES), b.migrate(TABLES));
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert_eq!(a.schema_version().await, Ok(2));
}

#[tokio::test]
async fn the_schema_applies() {
    for (name, store) in stores().await {
        let newest = accede_store::schema::MIGRATIONS.last().unwrap().number;
        assert_eq!(store.schema_version().await, Ok(newest), "{name}");
    }
}

#[tokio::test]
async fn texts_are_ordered_by_their_bytes() {
    let names = ["b", "Z", "a", "ä", "_", "B_", "10", "9"];
    for (name, store) in worlds().await {
        let ordered = store
            .write::<_, Error, _>(async |tx| {
                for (id, name) in (1_u128..).zip(names) {
                    let sql = "insert into things (id, name) values ($1, $2)";
                    tx.execute(sql, params![Uuid::from_u128(id), name]).await?;
                }
                let rows = tx.query("select name from things order by name", &[]).await?;
                rows.iter().map(|row| row.get::<String>(0)).collect::<Result<Vec<_>>>()
            })
            .await
            .unwrap();
        assert_eq!(ordered, ["10", "9", "B_", "Z", "_", "a", "b", "ä"], "{name}");
    }
}

#[tokio::test]
async fn hot_lookups_have_a_plan_without_scans() {
    for (name, store) in worlds().await {
        let plans = store
            .read::<_, Error, _>(async |tx| {
                Ok((
                    plan(tx, "select n from counters where id = $1", params![1]).await?,
                    plan(tx, "select n from counters where n = $1", params![1]).await?,
                ))
            })
            .await
            .unwrap();
        let scans =
            |plan: &str| plan.to_lowercase().contains("scan counters") || plan.contains("Seq Scan");
        assert!(!scans(&plans.0), "{name}: {}", plans.0);
        assert!(scans(&plans.1), "{name}: {}", plans.1);
    }
}

#[tokio::test]
async fn the_engine_chooses_between_two_texts() {
    let sql = Sql::new("select 'lite'", "select 'pg'");
    for (name, store) in worlds().await {
        let row = store.read::<_, Error, _>(async |tx| tx.query_one(sql, &[]).await).await.unwrap();
        let expected = if store.engine() == Engine::Sqlite { "lite" } else { "pg" };
        assert_eq!(row.get::<String>(0).unwrap(), expected, "{name}");
    }
}

#[tokio::test]
async fn put_together_texts_do_not_pile_up() {
    for (name, store) in worlds().await {
        for n in 0..1_500 {
            let text = format!("select {n} where $1 = $1");
            let row = store
                .read::<_, Error, _>(async |tx| tx.query_one_text(&text, params![n]).await)
                .await
                .unwrap();
            assert_eq!(row.get::<i32>(0), Ok(n), "{name}");
        }
        if store.engine() == Engine::Postgres {
            let row = store
                .read::<_, Error, _>(async |tx| {
                    tx.query_one("select count(*) from pg_prepared_statements", &[]).await
                })
                .await
                .unwrap();
            assert!(row.get::<i64>(0).unwrap() < 1_100);
        }
    }
}

#[tokio::test]
async fn a_full_database_says_so_and_recovers() {
    let store = sqlite().await;
    store.migrate(TABLES).await.unwrap();
    let pages = async |count: i64| {
        let pragma = format!("pragma max_page_count = {count}");
        store.write(async |tx| tx.query_text(&pragma, &[]).await).await.unwrap();
    };
    pages(1).await;
    let big = store
        .write::<_, Error, _>(async |tx| {
            let sql = "insert into things (id, seal) values ($1, $2)";
            tx.execute(sql, params![Uuid::from_u128(1), vec![7_u8; 1_000_000]]).await
        })
        .await;
    assert!(matches!(big, Err(Error::Full(_))), "{big:?}");

    pages(1_000_000).await;
    assert_eq!(store.write(async |tx| add(tx, 1, 1).await).await, Ok(1));
    assert_eq!(counter(&store, 1).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again() {
    let store = postgres().await;
    store.migrate(TABLES).await.unwrap();
    let (barrier, tries) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    let crossing = |first: i64, second: i64| {
        let (store, barrier, tries) = (store.clone(), barrier.clone(), tries.clone());
        tokio::spawn(async move {
            store
                .write(async |tx| {
                    add(tx, 1, first).await?;
                    if tries.fetch_add(1, Ordering::SeqCst) < 2 {
                        barrier.wait().await;
                    }
                    add(tx, 1, second).await
                })
                .await
        })
    };
    let (a, b) = (crossing(1, 2), crossing(2, 1));
    assert_eq!((a.await.unwrap(), b.await.unwrap()), (Ok(1), Ok(1)));
    assert_eq!((counter(&store, 1).await, counter(&store, 2).await), (2, 2));
    assert!(tries.load(Ordering::SeqCst) > 2, "one of them must have been tried again");
}

#[tokio::test]
async fn a_lost_race_is_tried_again_but_not_for_ever() {
    let store = postgres().await;
    store.migrate(TABLES).await.unwrap();
    let raise = "do $$ begin raise exception 'lost' using errcode = '40001'; end $$";
    let tries = AtomicU32::new(0);
    let won = store
        .write(async |tx| {
            add(tx, 1, 1).await?;
            if tries.fetch_add(1, Ordering::SeqCst) < 3 {
                // The closure's own error hides the database's; it is tried again all the same.
                tx.execute(raise, &[]).await.map_err(|_| Error::Stale)?;
            }
            Ok::<_, Error>(())
        })
        .await;
    assert_eq!((won, tries.load(Ordering::SeqCst)), (Ok(()), 4));
    assert_eq!(counter(&store, 1).await, 1);

    let tries = AtomicU32::new(0);
    let lost = store
        .write(async |tx| {
            tries.fetch_add(1, Ordering::SeqCst);
            tx.execute(raise, &[]).await
        })
        .await;
    assert!(matches!(&lost, Err(Error::Database(text)) if text.contains("40001")), "{lost:?}");
    assert_eq!(tries.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let store = postgres().await;
    store.migrate(TABLES).await.unwrap();
    let mut wakes = store.listen("engine-lost").await.unwrap();
    let tries = AtomicU32::new(0);
    let kill_listener = "select pg_terminate_backend(pid) from pg_stat_activity \
                         where query = 'listen \"engine-lost\"'";
    let kill_self = "select pg_terminate_backend(pg_backend_pid())";
    let saved = store
        .write(async |tx| {
            add(tx, 1, 1).await?;
            if tries.fetch_add(1, Ordering::SeqCst) == 0 {
                assert_eq!(tx.query(kill_listener, &[]).await?.len(), 1);
                tx.query(kill_self, &[]).await?;
            }
            Ok::<_, Error>(())
        })
        .await;
    assert_eq!((saved, tries.load(Ordering::SeqCst)), (Ok(()), 2));
    assert_eq!(counter(&store, 1).await, 1);

    timeout(Duration::from_secs(20), wakes.next()).await.unwrap().unwrap();
    store.write::<_, Error, _>(async |tx| tx.notify("engine-lost").await).await.unwrap();
    timeout(Duration::from_secs(20), wakes.next()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_dropped_transaction_never_returns_to_the_pool() {
    let url = postgres_url().await;
    let store = Store::open_postgres(&url, 1).await.unwrap();
    store.migrate(TABLES).await.unwrap();
    let mut backends = BTreeSet::new();
    for _ in 0..3 {
        let started = Notify::new();
        let hang = store.write::<(), Error, _>(async |tx| {
            add(tx, 1, 1).await?;
            started.notify_one();
            pending().await
        });
        tokio::select! {
            _ = hang => unreachable!("it hangs"),
            () = started.notified() => {}
        }
        let backend = store
            .read::<i32, Error, _>(async |tx| {
                tx.query_one("select pg_backend_pid()", &[]).await?.get(0)
            })
            .await;
        backends.insert(backend.unwrap());
    }
    assert_eq!(backends.len(), 3, "each was closed and replaced");
    assert_eq!(counter(&store, 1).await, 0);
}

#[tokio::test]
async fn every_session_waits_for_the_disk() {
    let url = postgres_url().await;
    let careless = format!(
        "{url}%20-c%20synchronous_commit%3Doff%20-c%20default_transaction_isolation%3Dserializable"
    );
    let store = Store::open_postgres(&careless, 2).await.unwrap();
    let settings = store
        .write::<_, Error, _>(async |tx| {
            let row = tx
                .query_one(
                    "select current_setting('synchronous_commit'), \
                     current_setting('transaction_isolation')",
                    &[],
                )
                .await?;
            Ok((row.get::<String>(0)?, row.get::<String>(1)?))
        })
        .await;
    assert_eq!(settings, Ok(("on".to_owned(), "read committed".to_owned())));
}

#[tokio::test]
async fn a_forgetful_server_is_refused() {
    let refused = Store::open_postgres(&forgetful_postgres_url().await, 2).await;
    let Err(Error::NotDurable(reason)) = refused else { unreachable!("{refused:?}") };
    assert!(reason.contains("fsync = on"), "{reason}");
}

#[tokio::test]
async fn an_unreachable_server_says_what_to_check() {
    let refused = Store::open_postgres("postgresql://a@127.0.0.1:1/b", 1).await;
    let Err(Error::Unavailable(reason)) = refused else { unreachable!("{refused:?}") };
    assert!(reason.contains("cannot be reached"), "{reason}");

    let refused = Store::open_postgres("mysql://a@127.0.0.1/b", 1).await;
    let Err(Error::Database(reason)) = refused else { unreachable!("{refused:?}") };
    assert!(reason.contains("postgresql://"), "{reason}");
}

/// The list of trusted certificates is read from the environment, so a child process has its own.
const TRUSTING: &str = "ACCEDE_TEST_TRUSTING";

#[tokio::test]
async fn certificates_are_verified() {
    let (url, certificate) = tls_postgres_url().await;
    let url = format!("{url}?sslmode=verify-full");
    if std::env::var_os(TRUSTING).is_some() {
        let store = Store::open_postgres(&url, 1).await.unwrap();
        let row = store
            .read::<_, Error, _>(async |tx| {
                let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
                tx.query_one(sql, &[]).await
            })
            .await
            .unwrap();
        assert_eq!(row.get::<bool>(0), Ok(true));
        timeout(Duration::from_secs(20), store.listen("engine-tls")).await.unwrap().unwrap();
        return;
    }

    let refused = Store::open_postgres(&url, 1).await;
    let Err(Error::Unavailable(reason)) = refused else { unreachable!("{refused:?}") };
    assert!(reason.contains("its certificate must be one that this system trusts"), "{reason}");

    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "engine::certificates_are_verified"])
        .env(TRUSTING, "yes")
        .env("SSL_CERT_FILE", certificate)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{output}");
}

#[tokio::test]
async fn many_questions_are_answered_in_order() {
    for (name, store) in worlds().await {
        let found = store
            .read::<_, Error, _>(async |tx| {
                let questions: Vec<_> =
                    (0..1_300).map(|n: i64| params![n, n * 2].to_vec()).collect();
                tx.query_all("select $2 - $1 where $1 <> 7", &questions).await
            })
            .await
            .unwrap();
        let answers: Vec<Option<i64>> =
            found.iter().map(|rows| rows.first().map(|row| row.get(0).unwrap())).collect();
        let expected: Vec<_> = (0..1_300).map(|n| (n != 7).then_some(n)).collect();
        assert_eq!(answers, expected, "{name}");
    }
}
