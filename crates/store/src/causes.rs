//! Causes: what undelivered deliveries have in common.

use accede_domain::Timestamp;
use accede_domain::fault::Class;
use accede_domain::id::{CatalogId, CauseId, PackageId, TargetId};
use accede_domain::permission::Reach;

use crate::requests::named;
use crate::{Result, Row, Tx, Value, params};

/// How old `last_seen` may be before it is written again: a storm of the same cause writes it once
/// a second, not once a delivery.
const SEEN_RESOLUTION_MS: i64 = 1_000;

/// A cause to find or add.
#[derive(Debug)]
pub struct NewCause<'a> {
    /// The id it gets if it is new.
    pub id: CauseId,
    /// In which target.
    pub target: TargetId,
    /// The fault's class.
    pub class: Class,
    /// The fault's code.
    pub code: &'a str,
    /// The message without what differs from row to row.
    pub fingerprint: &'a str,
    /// The message as it came.
    pub example: &'a str,
    /// When.
    pub at: Timestamp,
}

/// Finds the cause, or adds it, and notes that it was seen.
pub async fn seen(tx: &mut Tx<'_>, new: NewCause<'_>) -> Result<CauseId> {
    let found = tx
        .query_opt(
            "select id, last_seen_at_ms from causes
             where target_id = $1 and class = $2 and code = $3 and fingerprint = $4",
            params![new.target, new.class.name(), new.code, new.fingerprint],
        )
        .await?;
    if let Some(row) = found {
        let last: i64 = row.get(1)?;
        if new.at.as_millisecond() < last.saturating_add(SEEN_RESOLUTION_MS) {
            return row.get(0);
        }
    }
    let row = tx
        .query_one(
            "insert into causes (id, target_id, class, code, fingerprint, example,
                 first_seen_at_ms, last_seen_at_ms)
             values ($1, $2, $3, $4, $5, $6, $7, $7)
             on conflict (target_id, class, code, fingerprint)
                 do update set last_seen_at_ms = excluded.last_seen_at_ms,
                     example = excluded.example
             returning id",
            params![
                new.id,
                new.target,
                new.class.name(),
                new.code,
                new.fingerprint,
                new.example,
                new.at
            ],
        )
        .await?;
    row.get(0)
}

/// A cause with what it holds up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Its id.
    pub id: CauseId,
    /// In which target.
    pub target: TargetId,
    /// The target's name.
    pub target_name: String,
    /// The target's name for people.
    pub target_display_name: String,
    /// The target's kind.
    pub connector: String,
    /// What it says about trying again.
    pub class: Class,
    /// Its code.
    pub code: String,
    /// The message without what differs from row to row.
    pub text: String,
    /// The message as it last came.
    pub example: String,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// Undelivered deliveries.
    pub deliveries: i64,
    /// Of those, how many rest until somebody reprocesses them.
    pub failed: i64,
    /// Of those, how many are revocations.
    pub revocations: i64,
    /// People concerned.
    pub people: i64,
    /// Requests that rest partially delivered or failed because of it.
    pub requests: i64,
}

/// Most causes that are listed.
pub const MAX_CAUSES: i64 = 500;

/// The causes of what is not delivered, the largest first, as far as the reader's catalogs reach.
pub async fn list(tx: &mut Tx<'_>, reach: &Reach) -> Result<Vec<Cause>> {
    select(tx, reach, None).await
}

/// One cause, if it holds something up as far as the reader's catalogs reach.
pub async fn get(tx: &mut Tx<'_>, id: CauseId, reach: &Reach) -> Result<Option<Cause>> {
    Ok(select(tx, reach, Some(id)).await?.pop())
}

async fn select(tx: &mut Tx<'_>, reach: &Reach, only: Option<CauseId>) -> Result<Vec<Cause>> {
    let mut values = params![MAX_CAUSES].to_vec();
    let mut scope = catalogs(reach, &mut values);
    if let Some(id) = only {
        values.push(id.into());
        scope.push_str(&format!(" and d.cause_id = ${}", values.len()));
    }
    let text = format!(
        "select c.id, c.target_id, t.name, t.display_name, t.kind, c.class, c.code, c.fingerprint,
             c.example, c.first_seen_at_ms, c.last_seen_at_ms, count(*) as n,
             count(case when d.phase = 'failed' then 1 end),
             count(case when not d.wanted then 1 end), count(distinct d.subject_id)
         from deliveries d join causes c on c.id = d.cause_id join targets t on t.id = c.target_id
         where d.cause_id is not null and d.phase <> 'settled' {scope}
         group by c.id, c.target_id, t.name, t.display_name, t.kind, c.class, c.code,
             c.fingerprint, c.example, c.first_seen_at_ms, c.last_seen_at_ms
         order by n desc, c.id limit $1"
    );
    let rows = tx.query_text(&text, &values).await?;
    let mut causes = Vec::with_capacity(rows.len());
    for row in &rows {
        causes.push(from_row(row)?);
    }
    for cause in &mut causes {
        cause.requests = resting_requests(tx, cause.id, reach).await?;
    }
    Ok(causes)
}

fn from_row(row: &Row) -> Result<Cause> {
    Ok(Cause {
        id: row.get(0)?,
        target: row.get(1)?,
        target_name: row.get(2)?,
        target_display_name: row.get(3)?,
        connector: row.get(4)?,
        class: named(Class::parse, &row.get::<String>(5)?)?,
        code: row.get(6)?,
        text: row.get(7)?,
        example: row.get(8)?,
        first_seen: row.get(9)?,
        last_seen: row.get(10)?,
        deliveries: row.get(11)?,
        failed: row.get(12)?,
        revocations: row.get(13)?,
        people: row.get(14)?,
        requests: 0,
    })
}

/// Restricts deliveries to those that some package of the reader's catalogs is the reason for.
fn catalogs(reach: &Reach, values: &mut Vec<Value>) -> String {
    let Reach::Catalogs(list) = reach else { return String::new() };
    let places = placeholders(list, values);
    format!(
        "and exists (select 1 from reasons x join assignments a on a.id = x.assignment_id
             join packages p on p.id = a.package_id
         where x.delivery_id = d.id and p.catalog_id in ({places}))"
    )
}

/// `$2, $3, …` for the catalogs, which are added to the values; a list that holds nothing for none.
pub(crate) fn placeholders(list: &[CatalogId], values: &mut Vec<Value>) -> String {
    if list.is_empty() {
        return "null".to_owned();
    }
    let mut places = Vec::with_capacity(list.len());
    for catalog in list {
        values.push(Value::from(*catalog));
        places.push(format!("${}", values.len()));
    }
    places.join(", ")
}

async fn resting_requests(tx: &mut Tx<'_>, cause: CauseId, reach: &Reach) -> Result<i64> {
    let mut values = params![cause].to_vec();
    let scope = match reach {
        Reach::Everywhere => String::new(),
        Reach::Catalogs(list) => {
            format!("and p.catalog_id in ({})", placeholders(list, &mut values))
        }
    };
    let text = format!(
        "select count(distinct r.id)
         from deliveries d join reasons x on x.delivery_id = d.id
             join requests r on r.assignment_id = x.assignment_id
             join packages p on p.id = r.package_id
         where d.cause_id = $1 and x.is_live
             and r.state in ('partiallyDelivered', 'deliveryFailed') {scope}"
    );
    tx.query_one_text(&text, &values).await?.get(0)
}

/// A package that a cause holds up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldUp {
    /// Which package.
    pub package: PackageId,
    /// Its name.
    pub display_name: String,
    /// How many people wait for it.
    pub people: i64,
}

/// The packages that a cause holds up, most people first, as far as the reader's catalogs reach.
pub async fn packages(tx: &mut Tx<'_>, cause: CauseId, reach: &Reach) -> Result<Vec<HeldUp>> {
    let mut values = params![cause].to_vec();
    let scope = match reach {
        Reach::Everywhere => String::new(),
        Reach::Catalogs(list) => {
            format!("and p.catalog_id in ({})", placeholders(list, &mut values))
        }
    };
    let text = format!(
        "select p.id, p.display_name, count(distinct a.subject_id) as people
         from deliveries d join reasons x on x.delivery_id = d.id
             join assignments a on a.id = x.assignment_id join packages p on p.id = a.package_id
         where d.cause_id = $1 and d.phase <> 'settled' {scope}
         group by p.id, p.display_name order by people desc, p.display_name limit 50"
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter()
        .map(|row| {
            Ok(HeldUp { package: row.get(0)?, display_name: row.get(1)?, people: row.get(2)? })
        })
        .collect()
}
