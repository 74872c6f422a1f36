//! Where a database lives: what differs when it was copied, restored elsewhere, or its server was
//! promoted from a standby.

use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

use accede_domain::deployment::Home;
use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

use crate::{Engine, Error, Result, Store};

/// Each is asked by itself, because a server may refuse or lack one of them.
const SYSTEM: &str = "select cast(system_identifier as text) from pg_control_system()";
const TIMELINE: &str = "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
const DATABASE: &str = "select cast(d.oid as text) || '.' || cast(n.oid as text)
     from pg_database d, pg_namespace n
     where d.datname = current_database() and n.nspname = current_schema()";

impl Store {
    /// Where the database lives. What cannot be learned is left out.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached.
    pub async fn home(&self) -> Result<Home> {
        match self.engine() {
            Engine::Sqlite => Ok(Home {
                system: self.path().and_then(|_| machine()),
                database: self.file_identity(),
                ..Home::default()
            }),
            Engine::Postgres => Ok(Home {
                system: self.fact(SYSTEM).await?,
                timeline: self.fact(TIMELINE).await?,
                database: self.fact(DATABASE).await?,
            }),
        }
    }

    /// Inode and time of birth of the file: a copy has others, a moved file keeps both.
    fn file_identity(&self) -> Option<String> {
        let facts = std::fs::metadata(self.path()?).ok()?;
        let born = facts.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Some(format!("{}-{}", facts.ino(), born.map_or(0, |born| born.as_nanos())))
    }

    async fn fact(&self, sql: &'static str) -> Result<Option<String>> {
        match self.read(async |tx| tx.query_one(sql, &[]).await?.get(0)).await {
            Ok(fact) => Ok(fact),
            Err(error) if error.is_outage() => Err(error),
            Err(error) => {
                tracing::debug!(%error, "PostgreSQL does not tell all of where the database lives");
                Ok::<_, Error>(None)
            }
        }
    }
}

/// The machine, by a word derived from its identity, which is not to leave it (`man 5 machine-id`).
///
/// A disk that is restored or cloned with its data directory keeps the inode and `instance.json`; the
/// machine that it is attached to is another one. Containers mostly have no such identity.
fn machine() -> Option<String> {
    let identity = std::fs::read_to_string("/etc/machine-id").ok()?;
    let identity = Uuid::try_parse(identity.trim()).ok()?;
    let mut context = Context::new(&SHA256);
    context.update(b"accede deployment");
    context.update(identity.as_bytes());
    let word = context.finish().as_ref().first_chunk::<16>().copied()?;
    Some(Uuid::from_bytes(word).simple().to_string())
}
