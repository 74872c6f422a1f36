//! Raw loops to stand beside: SQLite without this house around it, on the same disk in the same run.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;

use crate::Result;

/// Rows a second into a table like `requests` plus one like `deliveries`, `batch` pairs a commit,
/// WAL and `synchronous=FULL` as the server has.
pub fn pairs_a_second(folder: &Path, pairs: usize, batch: usize) -> Result<f64> {
    let path = folder.join(format!("baseline-{batch}.db"));
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(
        "create table r (id blob primary key, a blob, b blob, state text, at integer, body text) \
             strict, without rowid;
         create index r1 on r (a, at); create index r2 on r (b, state, at); \
         create index r3 on r (at);
         create table d (id blob primary key, a blob, b blob, phase text, at integer) \
             strict, without rowid;
         create index d1 on d (a, at); create index d2 on d (b, phase);",
    )?;
    let started = Instant::now();
    let mut done = 0;
    while done < pairs {
        let transaction = connection.transaction()?;
        {
            let mut r = transaction
                .prepare_cached("insert into r values (?1, ?2, ?3, 'delivering', ?4, '{}')")?;
            let mut d =
                transaction.prepare_cached("insert into d values (?1, ?2, ?3, 'due', ?4)")?;
            for _ in 0..batch.min(pairs - done) {
                let at = i64::try_from(done).unwrap_or(0);
                let key = crate::world::id::<accede_domain::id::RequestId>().0;
                let (key, other) = (key.as_bytes().as_slice(), [7_u8; 16]);
                r.execute(rusqlite::params![key, other, other, at])?;
                d.execute(rusqlite::params![key, other, other, at])?;
                done += 1;
            }
        }
        transaction.commit()?;
    }
    Ok(per_second(pairs, started))
}

/// How many a second since `started`.
pub fn per_second(count: usize, started: Instant) -> f64 {
    count as f64 / started.elapsed().as_secs_f64()
}
