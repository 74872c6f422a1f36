//! How fast small writes are saved when many callers come at once, beside a bare SQLite loop on the
//! same disk: `cargo run --release -p accede-store --features testing --example group_commit`.
//!
//! Give a PostgreSQL address as the first argument to measure that too.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement stops at the first error"
)]

use std::time::{Duration, Instant};

use accede_store::{Error, Migration, Store, params};
use rusqlite::Connection;
use uuid::Uuid;

const TIME: Duration = Duration::from_secs(3);
const TABLE: Migration = Migration {
    number: 1,
    name: "rows",
    sql: "create table rows_ (
    id uuid primary key,
    state text not null,
    due_at_ms bigint not null
);
create index rows_by_state on rows_ (state, due_at_ms);
",
};
const INSERT: &str = "insert into rows_ (id, state, due_at_ms) values ($1, $2, $3)";

/// Time-ordered ids, as the server mints them.
fn id(caller: u64, n: u64) -> Uuid {
    Uuid::from_u128((u128::from(n) << 80) | u128::from(caller))
}

#[tokio::main]
async fn main() {
    for size in [1, 64] {
        bare(size);
    }
    for callers in [1, 16, 64, 256] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_sqlite(dir.path()).await.unwrap();
        measure("SQLite", store, callers).await;
    }
    if let Some(url) = std::env::args().nth(1) {
        for callers in [1, 16, 64] {
            let store = Store::open_postgres(&url, 16).await.unwrap();
            store
                .write::<_, Error, _>(async |tx| {
                    tx.execute("drop table if exists rows_, schema_migrations", &[]).await
                })
                .await
                .unwrap();
            measure("PostgreSQL", store, callers).await;
        }
    }
}

async fn measure(engine: &str, store: Store, callers: u64) {
    store.migrate(&[TABLE]).await.unwrap();
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut waits = Vec::new();
                while start.elapsed() < TIME {
                    let id = id(caller, waits.len() as u64);
                    let asked = Instant::now();
                    store
                        .write(async |tx| tx.execute(INSERT, params![id, "open", 1]).await)
                        .await
                        .unwrap();
                    waits.push(asked.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    let rate = waits.len() as f64 / start.elapsed().as_secs_f64();
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!(
        "{engine}, {callers:>3} callers: {rate:>8.0} writes/s, p50 {:?}, p99 {:?}",
        at(0.5),
        at(0.99)
    );
}

/// The baseline: one thread, nothing but SQLite, so many rows in each transaction.
fn bare(size: u64) {
    let dir = tempfile::tempdir().unwrap();
    let db = Connection::open(dir.path().join("bare.db")).unwrap();
    db.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full; pragma cache_size = -65536;
         pragma wal_autocheckpoint = 2000;
         create table rows_ (id blob primary key, state text not null, due_at_ms integer not null)
             strict, without rowid;
         create index rows_by_state on rows_ (state, due_at_ms);",
    )
    .unwrap();
    let (start, mut rows) = (Instant::now(), 0);
    while start.elapsed() < TIME {
        db.prepare_cached("begin immediate").unwrap().execute([]).unwrap();
        for _ in 0..size {
            rows += 1;
            db.prepare_cached("insert into rows_ (id, state, due_at_ms) values (?1, ?2, ?3)")
                .unwrap()
                .execute((id(0, rows).as_bytes(), "open", 1))
                .unwrap();
        }
        db.prepare_cached("commit").unwrap().execute([]).unwrap();
    }
    let rate = rows as f64 / start.elapsed().as_secs_f64();
    println!("bare SQLite, {size:>3} rows a commit: {rate:>8.0} rows/s");
}
