//! The circuits of targets: whether they are called at all. A target without a row has a closed one.

use accede_domain::Timestamp;
use accede_domain::circuit::{Circuit, Reason, State};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{DeliveryId, SubjectId, TargetId};

use crate::deliveries::LastFault;
use crate::requests::limit_value;
use crate::{Error, Result, Row, Sql, Tx, params};

/// A target's circuit with the words of what opened it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CircuitRow {
    /// Where it stands.
    pub circuit: Circuit,
    /// The fault that opened it, or that a check met since; kept until it is closed.
    pub fault: Option<Fault>,
}

macro_rules! columns {
    () => {
        "c.state, c.reason, c.code, c.message, c.since_at_ms, c.check_at_ms, c.strikes, c.passed,
         c.quiet_until_ms, c.class"
    };
}

impl CircuitRow {
    fn from_row(row: &Row) -> Result<CircuitRow> {
        let damaged =
            || Error::Database("a circuit has no reason, no start or no state".to_owned());
        let name: String = row.get(0)?;
        let reason: Option<String> = row.get(1)?;
        let reason = reason.and_then(|name| Reason::parse(&name));
        let since: Option<Timestamp> = row.get(4)?;
        let check_at: Option<Timestamp> = row.get(5)?;
        let (strikes, passed) = (row.get(6)?, row.get(7)?);
        let state = match (name.as_str(), reason, since, check_at) {
            ("closed", ..) => State::Closed,
            ("open", Some(reason), Some(since), Some(check_at)) => {
                State::Open { since, check_at, strikes, reason }
            }
            ("trial", Some(reason), Some(since), _) => {
                State::Trial { since, strikes, reason, passed }
            }
            _ => return Err(damaged()),
        };
        let code: Option<String> = row.get(2)?;
        let message: Option<String> = row.get(3)?;
        let class: Option<String> = row.get(9)?;
        let class = class.and_then(|name| Class::parse(&name));
        let fault = class.zip(code.zip(message));
        Ok(CircuitRow {
            circuit: Circuit { state, quiet_until: row.get(8)? },
            fault: fault.map(|(class, (code, message))| Fault::new(class, code, message)),
        })
    }
}

/// A target's circuit.
pub async fn get(tx: &mut Tx<'_>, target: TargetId) -> Result<CircuitRow> {
    let sql = concat!("select ", columns!(), " from circuits c where c.target_id = $1");
    let row = tx.query_opt(sql, params![target]).await?;
    Ok(row.map(|row| CircuitRow::from_row(&row)).transpose()?.unwrap_or_default())
}

/// A target's circuit, held until the transaction ends.
pub async fn lock(tx: &mut Tx<'_>, target: TargetId) -> Result<CircuitRow> {
    tx.execute(
        "insert into circuits (target_id, state, strikes, passed) values ($1, 'closed', 0, 0)
         on conflict (target_id) do nothing",
        params![target],
    )
    .await?;
    let sql = Sql {
        lite: concat!("select ", columns!(), " from circuits c where c.target_id = $1"),
        pg: concat!("select ", columns!(), " from circuits c where c.target_id = $1 for update"),
    };
    CircuitRow::from_row(&tx.query_one(sql, params![target]).await?)
}

/// Stores a circuit. [`lock`] it first.
pub async fn save(tx: &mut Tx<'_>, target: TargetId, row: &CircuitRow) -> Result<()> {
    let circuit = &row.circuit;
    let (name, reason, since, check_at, strikes, passed) = match circuit.state {
        State::Closed => ("closed", None, None, None, 0, 0),
        State::Open { since, check_at, strikes, reason } => {
            ("open", Some(reason), Some(since), Some(check_at), strikes, 0)
        }
        State::Trial { since, strikes, reason, passed } => {
            ("trial", Some(reason), Some(since), None, strikes, passed)
        }
    };
    let fault = row.fault.as_ref();
    tx.execute(
        "update circuits
         set state = $2, reason = $3, code = $4, message = $5, since_at_ms = $6, check_at_ms = $7,
             strikes = $8, passed = $9, quiet_until_ms = $10, held_until_ms = $11, class = $12
         where target_id = $1",
        params![
            target,
            name,
            reason.map(|reason| reason.name().to_owned()),
            fault.map(|fault| fault.code.clone()),
            fault.map(|fault| fault.message.clone()),
            since,
            check_at,
            strikes,
            passed,
            circuit.quiet_until,
            circuit.held_until(),
            fault.map(|fault| fault.class.name().to_owned())
        ],
    )
    .await?;
    Ok(())
}

/// The targets whose check is due, those longest due first, and those on trial that nothing waits to
/// try; paused ones are left alone.
pub async fn to_check(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<TargetId>> {
    let rows = tx
        .query(
            "select c.target_id from circuits c join targets t on t.id = c.target_id
             where not t.is_paused and (c.check_at_ms <= $1 or (c.state = 'trial' and not exists
                 (select 1 from deliveries d
                  where d.target_id = c.target_id and d.phase in ('due', 'inFlight')
                      and d.ready_at_ms is not null)))
             order by c.check_at_ms limit $2",
            params![now, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Gives what waits at a target, and was never tried, the cause for which it waits.
pub async fn blame(tx: &mut Tx<'_>, target: TargetId, fault: &LastFault) -> Result<u64> {
    tx.execute(
        "update deliveries
         set cause_id = $2, fault_class = $3, fault_code = $4, fault_message = $5
         where target_id = $1 and phase = 'due' and phase <> 'settled' and cause_id is null
             and awaited is null",
        params![
            target,
            fault.cause,
            fault.class.name().to_owned(),
            fault.code.clone(),
            fault.message.clone()
        ],
    )
    .await
}

/// Grants that are wanted since before `since` and wait at a target whose circuit is open: the oldest, but
/// for the first `skip`.
//
// SQLite takes an index over a part of a table only where the part's condition stands in the question:
// so `phase <> 'settled'` beside `phase = 'due'`, here and elsewhere.
pub async fn held_since(
    tx: &mut Tx<'_>,
    target: TargetId,
    since: Timestamp,
    now: Timestamp,
    (skip, limit): (usize, usize),
) -> Result<Vec<(DeliveryId, SubjectId)>> {
    let rows = tx
        .query(
            "select d.id, d.subject_id
             from circuits c join deliveries d on d.target_id = c.target_id
             where c.target_id = $1 and c.state = 'open' and d.phase = 'due'
                 and d.phase <> 'settled' and d.wanted
                 and d.since_at_ms <= $2
                 and (d.awaited is null
                     or d.awaited = 'target' and d.awaited_until_at_ms <= $3)
                 and (d.uncertain_until_at_ms is null or d.uncertain_until_at_ms <= $3)
             order by d.since_at_ms, d.id limit $4 offset $5",
            params![target, since, now, limit_value(limit), limit_value(skip)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// The targets whose circuit is open.
pub async fn open(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<TargetId>> {
    let rows = tx
        .query(
            "select target_id from circuits where check_at_ms is not null
             order by check_at_ms limit $1",
            params![limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Makes everything ready that waits for its next try at a target, but for what an earlier call may
/// still change and what the target refuses; says how much that was.
pub async fn release(tx: &mut Tx<'_>, target: TargetId, now: Timestamp) -> Result<u64> {
    tx.execute(
        "update deliveries set ready_at_ms = $2
         where target_id = $1 and phase = 'due' and awaited is null and ready_at_ms > $2
             and (uncertain_until_at_ms is null or uncertain_until_at_ms <= $2)",
        params![target, now],
    )
    .await
}
