//! What causes held up hour by hour, so that a trend survives a restart: the most undelivered roles
//! seen in an hour, in all and per catalog.

use accede_domain::Timestamp;
use accede_domain::id::CauseId;
use accede_domain::permission::Reach;
use accede_domain::trend::Hour;
use uuid::Uuid;

use crate::causes::MAX_CAUSES;
use crate::many::within;
use crate::{Result, Tx, params};

/// Stands for every catalog together.
const ALL: Uuid = Uuid::nil();

/// What one cause holds up now, in all or as far as one catalog is the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    cause: CauseId,
    catalog: Uuid,
    deliveries: i64,
}

/// What every cause holds up now, the largest of them.
pub async fn now(tx: &mut Tx<'_>) -> Result<Vec<Held>> {
    let mut found = Vec::new();
    let all = tx
        .query(
            "select d.cause_id, count(*) as n from deliveries d
             where d.cause_id is not null and d.phase <> 'settled'
             group by d.cause_id order by n desc, d.cause_id limit $1",
            params![MAX_CAUSES],
        )
        .await?;
    for row in &all {
        let cause: CauseId = row.get(0)?;
        found.push(Held { cause, catalog: ALL, deliveries: row.get(1)? });
        let parts = tx
            .query(
                "select p.catalog_id, count(distinct d.id)
                 from deliveries d join reasons x on x.delivery_id = d.id
                     join assignments a on a.id = x.assignment_id
                     join packages p on p.id = a.package_id
                 where d.cause_id = $1 and d.phase <> 'settled' group by p.catalog_id",
                params![cause],
            )
            .await?;
        for part in &parts {
            found.push(Held { cause, catalog: part.get(0)?, deliveries: part.get(1)? });
        }
    }
    Ok(found)
}

/// Notes what is held up in an hour; of several looks in the same hour the largest stays.
pub async fn note(tx: &mut Tx<'_>, hour: Timestamp, held: &[Held]) -> Result<()> {
    tx.execute(
        "insert into cause_looks (hour_at_ms) values ($1) on conflict (hour_at_ms) do nothing",
        params![hour],
    )
    .await?;
    for one in held {
        // A cause that went with its target since it was read is left out.
        tx.execute(
            "insert into cause_hours (cause_id, hour_at_ms, catalog_id, deliveries)
             select c.id, $2, $3, $4 from causes c where c.id = $1
             on conflict (cause_id, hour_at_ms, catalog_id)
                 do update set deliveries = excluded.deliveries
                 where cause_hours.deliveries < excluded.deliveries",
            params![one.cause, hour, one.catalog, one.deliveries],
        )
        .await?;
    }
    Ok(())
}

/// Forgets what lies before an instant.
pub async fn forget_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<()> {
    tx.execute("delete from cause_hours where hour_at_ms < $1", params![before]).await?;
    tx.execute("delete from cause_looks where hour_at_ms < $1", params![before]).await?;
    Ok(())
}

/// What a cause held up since an instant, the oldest hour first, as far as the reader's catalogs
/// reach: a role for which packages of several of them are the reason counts in each. An hour in which
/// nobody looked is missing.
pub async fn since(
    tx: &mut Tx<'_>,
    cause: CauseId,
    reach: &Reach,
    from: Timestamp,
) -> Result<Vec<Hour>> {
    let mut values = params![cause, from].to_vec();
    let catalogs = match within(reach, "h.catalog_id", &mut values) {
        Some(condition) => condition,
        None => {
            values.push(ALL.into());
            format!("h.catalog_id = ${}", values.len())
        }
    };
    let text = format!(
        "select l.hour_at_ms, cast(coalesce(sum(h.deliveries), 0) as bigint)
         from cause_looks l left join cause_hours h
             on h.hour_at_ms = l.hour_at_ms and h.cause_id = $1 and {catalogs}
         where $2 <= l.hour_at_ms group by l.hour_at_ms order by l.hour_at_ms"
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(|row| Ok(Hour { at: row.get(0)?, deliveries: row.get(1)? })).collect()
}
