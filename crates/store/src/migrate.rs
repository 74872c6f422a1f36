//! Bringing a database's schema up to what this program needs.

use crate::crash::{Point, point};
use crate::dialect::{Engine, statement};
use crate::error::{Error, Result};
use crate::params;
use crate::store::Store;
use crate::tx::Tx;

/// Keeps two processes from migrating one PostgreSQL database at once; any constant will do.
const ADVISORY_LOCK: i64 = 0x0ACC_EDE0;

/// One step of the schema. Steps are only ever added.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Counts up from 1.
    pub number: i64,
    /// What it is about, in a few words.
    pub name: &'static str,
    /// Statements separated by `;` at the end of a line, with the five column types `uuid`, `bigint`,
    /// `text`, `boolean` and `bytea`; each engine gets its own words for them.
    pub sql: &'static str,
}

impl Store {
    /// Applies the migrations that the database does not have yet, each in its own transaction.
    ///
    /// [`Error::NewerSchema`] when the database has one that this program does not know.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<()> {
        let newest = migrations.iter().map(|migration| migration.number).max().unwrap_or(0);
        if !migrations.is_sorted_by(|a, b| a.number < b.number) {
            return Err(Error::Database("the migrations are not in order".to_owned()));
        }
        // At this first use of a database, whoever starts the program must be told which one it is.
        self.write(async |tx| prepare(tx).await).await.map_err(|error| self.placed(error))?;
        point(Point::MigratePrepared);
        let database = self.schema_version().await.map_err(|error| self.placed(error))?;
        if database > newest {
            return Err(Error::NewerSchema { database, program: newest });
        }
        for migration in migrations.iter().filter(|migration| migration.number > database) {
            let applied = self.write(async |tx| apply(tx, migration).await).await;
            applied.map_err(|error| self.placed(error))?;
            point(Point::MigrateCommitted);
        }
        Ok(())
    }

    /// The number of the newest migration that the database has; 0 before the first.
    pub async fn schema_version(&self) -> Result<i64> {
        self.read(async |tx| {
            let tables = match tx.engine() {
                Engine::Sqlite => {
                    "select count(*) from sqlite_master where name = 'schema_migrations'"
                }
                Engine::Postgres => {
                    "select count(*) from pg_tables \
                     where tablename = 'schema_migrations' and schemaname = current_schema()"
                }
            };
            if tx.query_one(tables, params![]).await?.get::<i64>(0)? == 0 {
                return Ok(0);
            }
            version(tx).await
        })
        .await
    }
}

async fn lock(tx: &mut Tx<'_>) -> Result<()> {
    if tx.engine() == Engine::Postgres {
        let key = params![ADVISORY_LOCK];
        tx.query("select pg_advisory_xact_lock($1)", key).await?;
    }
    Ok(())
}

async fn prepare(tx: &mut Tx<'_>) -> Result<()> {
    lock(tx).await?;
    let table = "create table if not exists schema_migrations (\n\
                     number bigint primary key,\n\
                     name text not null\n\
                 )";
    tx.script(&statement(table, tx.engine())).await
}

async fn version(tx: &mut Tx<'_>) -> Result<i64> {
    let row = tx.query_one("select coalesce(max(number), 0) from schema_migrations", &[]).await?;
    row.get(0)
}

/// Applies one migration, unless another process did so in the meantime.
async fn apply(tx: &mut Tx<'_>, migration: &Migration) -> Result<()> {
    lock(tx).await?;
    if version(tx).await? >= migration.number {
        return Ok(());
    }
    for sql in statements(migration.sql) {
        tx.script(&statement(sql, tx.engine())).await.map_err(|error| {
            Error::Database(format!(
                "migration {} `{}` failed: {error}",
                migration.number, migration.name
            ))
        })?;
    }
    point(Point::MigrateApplied);
    tx.execute(
        "insert into schema_migrations (number, name) values ($1, $2)",
        params![migration.number, migration.name],
    )
    .await?;
    point(Point::MigrateMarked);
    Ok(())
}

fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(";\n").map(|statement| statement.trim().trim_end_matches(';')).filter(|statement| {
        statement.lines().any(|line| !line.trim().is_empty() && !line.trim().starts_with("--"))
    })
}
