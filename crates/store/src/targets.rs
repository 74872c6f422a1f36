//! Target systems: where resources live. Their settings are JSON, their secrets sealed bytes; what
//! either means is the connector's and `app`'s business.

use accede_domain::Timestamp;
use accede_domain::fault::Fault;
use accede_domain::filter::Direction;
use accede_domain::id::TargetId;

use crate::filter::{Ask, Entity, Kind, Property};
use crate::pages::{self, Listed, Source};
use crate::request_list::ListError;
use crate::requests::limit_value;
use crate::{Error, Result, Row, Sql, Tx, Value, params};

/// The kind of the built-in directory, of which there is one target.
pub const DIRECTORY: &str = "directory";

/// What a check of a target found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// When.
    pub at: Timestamp,
    /// Whether it could be reached and used.
    pub ok: bool,
    /// What it said, for people.
    pub result: String,
}

impl Checked {
    /// What a check found, in words.
    pub fn new(at: Timestamp, found: &std::result::Result<String, Fault>) -> Checked {
        let result = match found {
            Ok(summary) => summary.chars().take(Fault::MESSAGE_LIMIT).collect(),
            Err(fault) => format!("{fault} ({})", fault.code),
        };
        Checked { at, ok: found.is_ok(), result }
    }
}

/// A target system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRow {
    /// Its id.
    pub id: TargetId,
    /// Its name: a slug, unique; in Graph the `originSystem` of its resources.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which connector speaks to it.
    pub kind: String,
    /// What that connector needs to know, without secrets.
    pub settings: serde_json::Value,
    /// Sealed: a JSON object of secrets by name.
    pub secrets: Option<Vec<u8>>,
    /// Most calls at once.
    pub concurrency: u32,
    /// Whether catalog owners may add its resources to their catalogs.
    pub catalog_owners_may_add: bool,
    /// Whether deliveries rest until somebody resumes it.
    pub is_paused: bool,
    /// The last check.
    pub checked: Option<Checked>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// Counts its changes; checks do not count.
    pub version: i64,
}

macro_rules! columns {
    () => {
        "t.id, t.name, t.display_name, t.description, t.kind, t.settings, t.secrets, t.concurrency,
         t.catalog_owners_may_add, t.is_paused, t.checked_at_ms, t.check_ok, t.check_result,
         t.created_at_ms, t.modified_at_ms, t.version"
    };
}
impl TargetRow {
    pub(crate) fn from_row(row: &Row) -> Result<TargetRow> {
        let at: Option<Timestamp> = row.get(10)?;
        let ok: Option<bool> = row.get(11)?;
        let result: Option<String> = row.get(12)?;
        Ok(TargetRow {
            id: row.get(0)?,
            name: row.get(1)?,
            display_name: row.get(2)?,
            description: row.get(3)?,
            kind: row.get(4)?,
            settings: row.json(5)?,
            secrets: row.get(6)?,
            concurrency: row.get(7)?,
            catalog_owners_may_add: row.get(8)?,
            is_paused: row.get(9)?,
            checked: at.map(|at| Checked {
                at,
                ok: ok.unwrap_or(false),
                result: result.unwrap_or_default(),
            }),
            created_at: row.get(13)?,
            modified_at: row.get(14)?,
            version: row.get(15)?,
        })
    }
}

/// Adds a target; [`Error::Duplicate`] when the name is taken.
pub async fn insert(tx: &mut Tx<'_>, target: &TargetRow) -> Result<()> {
    tx.execute(
        "insert into targets (id, name, display_name, description, kind, settings, secrets,
             concurrency, catalog_owners_may_add, is_paused, checked_at_ms, check_ok, check_result,
             created_at_ms, modified_at_ms, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        params![
            target.id,
            &target.name,
            &target.display_name,
            target.description.clone(),
            &target.kind,
            Value::json(&target.settings)?,
            target.secrets.clone(),
            target.concurrency,
            target.catalog_owners_may_add,
            target.is_paused,
            target.checked.as_ref().map(|checked| checked.at),
            target.checked.as_ref().map(|checked| checked.ok),
            target.checked.as_ref().map(|checked| checked.result.clone()),
            target.created_at,
            target.modified_at,
            target.version
        ],
    )
    .await?;
    Ok(())
}

/// Reads a target.
pub async fn get(tx: &mut Tx<'_>, id: TargetId) -> Result<Option<TargetRow>> {
    tx.query_opt(concat!("select ", columns!(), " from targets t where t.id = $1"), params![id])
        .await?
        .map(|row| TargetRow::from_row(&row))
        .transpose()
}

/// Reads several targets, in no order.
pub async fn get_all(tx: &mut Tx<'_>, ids: &[TargetId]) -> Result<Vec<TargetRow>> {
    let mut values = Vec::new();
    let places = crate::many::places(ids, &mut values);
    let text = format!("select {} from targets t where t.id in ({places})", columns!());
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(TargetRow::from_row).collect()
}

/// Finds a target by its name, whatever its case: the names of built-in ones have capitals.
pub async fn by_name(tx: &mut Tx<'_>, name: &str) -> Result<Option<TargetRow>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from targets t where lower(t.name) = $1 order by t.id limit 1"
        ),
        params![name.to_ascii_lowercase()],
    )
    .await?
    .map(|row| TargetRow::from_row(&row))
    .transpose()
}

/// Every target, by name, at most `limit`.
pub async fn list(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<TargetRow>> {
    let rows = tx
        .query(
            concat!("select ", columns!(), " from targets t order by t.name limit $1"),
            params![limit_value(limit)],
        )
        .await?;
    rows.iter().map(TargetRow::from_row).collect()
}

/// Reads a target and holds its row until the transaction ends.
pub async fn lock(tx: &mut Tx<'_>, id: TargetId) -> Result<Option<TargetRow>> {
    const LITE: &str = concat!("select ", columns!(), " from targets t where t.id = $1");
    const PG: &str = concat!("select ", columns!(), " from targets t where t.id = $1 for update");
    tx.query_opt(Sql::new(LITE, PG), params![id])
        .await?
        .map(|row| TargetRow::from_row(&row))
        .transpose()
}

/// Saves a changed target and counts the change; [`Error::Stale`] when somebody else changed it
/// since it was read. Name, kind and the last check stay as they are.
pub async fn save(tx: &mut Tx<'_>, target: &mut TargetRow) -> Result<()> {
    let changed = tx
        .execute(
            "update targets
             set display_name = $3, description = $4, settings = $5, secrets = $6,
                 concurrency = $7, catalog_owners_may_add = $8, is_paused = $9,
                 modified_at_ms = $10, version = version + 1
             where id = $1 and version = $2",
            params![
                target.id,
                target.version,
                &target.display_name,
                target.description.clone(),
                Value::json(&target.settings)?,
                target.secrets.clone(),
                target.concurrency,
                target.catalog_owners_may_add,
                target.is_paused,
                target.modified_at
            ],
        )
        .await?;
    if changed == 0 {
        return Err(Error::Stale);
    }
    target.version += 1;
    Ok(())
}

/// Records what a check found.
pub async fn set_checked(tx: &mut Tx<'_>, id: TargetId, checked: &Checked) -> Result<()> {
    tx.execute(
        "update targets set checked_at_ms = $2, check_ok = $3, check_result = $4 where id = $1",
        params![id, checked.at, checked.ok, &checked.result],
    )
    .await?;
    Ok(())
}

/// What a target is used by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Resources in catalogs.
    pub resources: i64,
    /// Whether there are deliveries, finished ones included: the record of what was done there.
    pub has_deliveries: bool,
}

/// What a target is used by.
pub async fn usage(tx: &mut Tx<'_>, id: TargetId) -> Result<Usage> {
    let row = tx
        .query_one(
            "select (select count(*) from resources where target_id = $1),
                 exists (select 1 from deliveries where target_id = $1)",
            params![id],
        )
        .await?;
    Ok(Usage { resources: row.get(0)?, has_deliveries: row.get(1)? })
}

/// Deletes a target that nothing uses.
pub async fn delete(tx: &mut Tx<'_>, id: TargetId) -> Result<()> {
    tx.execute("delete from causes where target_id = $1", params![id]).await?;
    tx.execute("delete from targets where id = $1", params![id]).await?;
    Ok(())
}

/// How much is left to do in a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Grants and revocations that wait for their turn or their next try.
    pub due: i64,
    /// Calls in flight.
    pub in_flight: i64,
    /// Grants that rest until somebody reprocesses them.
    pub failed: i64,
    /// Revocations that have been due for too long.
    pub stuck: i64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Timestamp>,
}

impl Backlog {
    /// Whether anything waits to be called for.
    pub const fn is_waiting(&self) -> bool {
        0 < self.due + self.in_flight
    }
}

/// How much is left to do in a target.
pub async fn backlog(tx: &mut Tx<'_>, id: TargetId) -> Result<Backlog> {
    let rows = tx
        .query(
            "select phase, count(*), min(since_at_ms) from deliveries
             where target_id = $1 and phase <> 'settled' group by phase",
            params![id],
        )
        .await?;
    let mut backlog = Backlog::default();
    for row in &rows {
        let (phase, count): (String, i64) = (row.get(0)?, row.get(1)?);
        let since: Option<Timestamp> = row.get(2)?;
        match phase.as_str() {
            "due" => backlog.due = count,
            "inFlight" => backlog.in_flight = count,
            "failed" => backlog.failed = count,
            "stuck" => backlog.stuck = count,
            other => return Err(Error::Corrupt(format!("a delivery in phase `{other}`"))),
        }
        backlog.oldest = match (backlog.oldest, since) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    Ok(backlog)
}

/// What targets can be filtered and ordered by.
pub static TARGETS: Entity = Entity {
    name: "targets",
    properties: &[
        Property::new("id", "t.id", Kind::Id),
        Property::new("name", "t.name", Kind::TextNoCase).sortable(),
        Property::new("displayName", "t.display_name", Kind::TextNoCase).sortable(),
        Property::new("kind", "t.kind", Kind::TextNoCase),
        Property::new("isPaused", "t.is_paused", Kind::Bool),
        Property::new("createdDateTime", "t.created_at_ms", Kind::Instant).sortable(),
        // Graph's names for the same, in `resourceEnvironments`.
        Property::new("originSystem", "t.name", Kind::TextNoCase),
        Property::new("originId", "t.name", Kind::TextNoCase),
    ],
    unique: &["t.id"],
    order: &[("name", Direction::Ascending)],
};

/// A page of the targets.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page(
    tx: &mut Tx<'_>,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<TargetRow>, ListError> {
    let source = Source {
        entity: &TARGETS,
        columns: columns!(),
        from: "targets t",
        conditions: &[],
        values: &[],
        read: TargetRow::from_row,
    };
    pages::page(tx, &source, ask, count).await
}
