//! What targets said of deliveries while the deployment was paused: the comparison of a restored or
//! copied database with the truth.

use accede_domain::Timestamp;
use accede_domain::deployment::Found;
use accede_domain::id::DeliveryId;
use uuid::Uuid;

use crate::deliveries::{DeliveryRow, WIDTH, columns};
use crate::requests::{limit_value, named};
use crate::{Result, Tx, params};

/// What a target said of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The delivery.
    pub delivery: DeliveryId,
    /// What was found.
    pub found: Found,
    /// Whether the database wanted the role to be there then.
    pub wanted: bool,
    /// Why it could not be read, if so.
    pub detail: Option<String>,
    /// When it was read.
    pub at: Timestamp,
}

/// Forgets every finding: another comparison begins.
pub async fn clear(tx: &mut Tx<'_>) -> Result<()> {
    tx.execute("delete from findings", &[]).await?;
    Ok(())
}

/// Calls off every look at what is in its target and not wanted: it is left there until a person
/// decides.
pub async fn leave_extras(tx: &mut Tx<'_>) -> Result<()> {
    tx.execute(
        "update deliveries set ready_at_ms = null
         where phase = 'settled' and not wanted and id in
             (select delivery_id from findings where found = 'present' and not wanted)",
        &[],
    )
    .await?;
    Ok(())
}

/// A delivery `d` was found in its target without being wanted when a restored database was compared,
/// and was not called for since: a person says what becomes of it.
macro_rules! left {
    () => {
        "exists (select 1 from findings q where q.delivery_id = d.id and q.found = 'present'
             and not q.wanted and (d.attempted_at_ms is null or d.attempted_at_ms <= q.at_ms))"
    };
}
pub(crate) use left;

/// Whether a restored database left a delivery in its target, for a person to say what becomes of it.
pub async fn is_left(tx: &mut Tx<'_>, id: DeliveryId) -> Result<bool> {
    let sql = concat!("select 1 from deliveries d where d.id = $1 and ", left!());
    Ok(tx.query_opt(sql, params![id]).await?.is_some())
}

/// Records findings; of two about one delivery the later counts.
pub async fn save_all(tx: &mut Tx<'_>, findings: &[Finding]) -> Result<()> {
    let values: Vec<_> = findings
        .iter()
        .map(|finding| {
            params![
                finding.delivery,
                finding.found.name(),
                finding.wanted,
                finding.detail.clone(),
                finding.at
            ]
            .to_vec()
        })
        .collect();
    tx.execute_all(
        "insert into findings (delivery_id, found, wanted, detail, at_ms)
         values ($1, $2, $3, $4, $5)
         on conflict (delivery_id) do update
             set found = excluded.found, wanted = excluded.wanted, detail = excluded.detail,
                 at_ms = excluded.at_ms",
        &values,
    )
    .await?;
    Ok(())
}

/// How many findings there are, by what was found and whether it was wanted.
pub async fn counts(tx: &mut Tx<'_>) -> Result<Vec<(Found, bool, i64)>> {
    let sql = "select found, wanted, count(*) from findings group by found, wanted";
    let rows = tx.query(sql, &[]).await?;
    rows.iter()
        .map(|row| Ok((named(Found::parse, &row.get::<String>(0)?)?, row.get(1)?, row.get(2)?)))
        .collect()
}

/// Findings of one kind, in the order of their deliveries, from the one after `after` on.
pub async fn list(
    tx: &mut Tx<'_>,
    found: Found,
    wanted: bool,
    after: Option<DeliveryId>,
    limit: usize,
) -> Result<Vec<Finding>> {
    let after = after.unwrap_or(DeliveryId(Uuid::nil()));
    let rows = tx
        .query(
            "select delivery_id, detail, at_ms from findings
             where found = $1 and wanted = $2 and delivery_id > $3
             order by delivery_id limit $4",
            params![found.name(), wanted, after, limit_value(limit)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Finding {
                delivery: row.get(0)?,
                found,
                wanted,
                detail: row.get(1)?,
                at: row.get(2)?,
            })
        })
        .collect()
}

/// What was found of one delivery.
pub async fn get(tx: &mut Tx<'_>, delivery: DeliveryId) -> Result<Option<Finding>> {
    let row = tx
        .query_opt(
            "select found, wanted, detail, at_ms from findings where delivery_id = $1",
            params![delivery],
        )
        .await?;
    row.map(|row| {
        Ok(Finding {
            delivery,
            found: named(Found::parse, &row.get::<String>(0)?)?,
            wanted: row.get(1)?,
            detail: row.get(2)?,
            at: row.get(3)?,
        })
    })
    .transpose()
}

/// Every delivery with what was found of it, in the order of their ids, from the one after `after` on.
pub async fn deliveries(
    tx: &mut Tx<'_>,
    after: Option<DeliveryId>,
    limit: usize,
) -> Result<Vec<(DeliveryRow, Option<Found>)>> {
    let after = after.unwrap_or(DeliveryId(Uuid::nil()));
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                ", f.found
                 from deliveries d left join findings f on f.delivery_id = d.id
                 where d.id > $1 order by d.id limit $2"
            ),
            params![after, limit_value(limit)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let found: Option<String> = row.get(WIDTH)?;
            let found = found.map(|found| named(Found::parse, &found)).transpose()?;
            Ok((DeliveryRow::from_row(row)?, found))
        })
        .collect()
}
