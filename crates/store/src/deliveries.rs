//! Deliveries: the rows behind `accede_domain::delivery`, and the attempts made for them.

use accede_domain::Timestamp;
use accede_domain::circuit::Reason;
use accede_domain::delivery::{Action, Delivery, Observed, Phase};
use accede_domain::fault::Class;
use accede_domain::id::{AssignmentId, CauseId, DeliveryId, ResourceRoleId, SubjectId, TargetId};

use accede_domain::pending::{Awaited, Pending};
use accede_domain::permission::Reach;
use accede_domain::poison::Poison;

use crate::many::within;
use crate::requests::{limit_value, named};
use crate::{Error, Result, Row, Sql, Tx, Value, params};

/// What a delivery is about. There is one row per key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// In which target.
    pub target: TargetId,
    /// For whom.
    pub subject: SubjectId,
    /// The resource's id in the target.
    pub resource: String,
    /// The role's id in the target.
    pub role: String,
    /// The scope's id in the target.
    pub scope: String,
}

/// Why the last attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFault {
    /// Its cause, shared with everything that fails alike.
    pub cause: CauseId,
    /// What it says about trying again.
    pub class: Class,
    /// Its code.
    pub code: String,
    /// What the target answered.
    pub message: String,
}

/// A delivery as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its id.
    pub id: DeliveryId,
    /// What it is about.
    pub key: Key,
    /// The resource role it was last wanted as.
    pub role: ResourceRoleId,
    /// What the rules know of it.
    pub delivery: Delivery,
    /// Why it is not settled, if an attempt failed.
    pub fault: Option<LastFault>,
    /// When it was last attempted.
    pub attempted_at: Option<Timestamp>,
}

macro_rules! columns {
    () => {
        "d.id, d.target_id, d.subject_id, d.resource_origin_id, d.role_origin_id,
         d.scope_origin_id, d.role_id, d.wanted, d.generation, d.observed, d.phase, d.ready_at_ms,
         d.phase_at_ms, d.action, d.flight_generation, d.observed_before, d.deadline_at_ms,
         d.epoch, d.attempts, d.misses, d.since_at_ms, d.uncertain_until_at_ms, d.pre_existing,
         d.keep_pre_existing, d.acknowledged_at_ms, d.verified_at_ms, d.cause_id, d.fault_class,
         d.fault_code, d.fault_message, d.attempted_at_ms, d.crashes, d.strikes,
         d.awaited, d.awaited_since_at_ms, d.awaited_until_at_ms, d.late_until_at_ms"
    };
}
/// What is not as wanted. Reading back what is so does not make it undone.
macro_rules! undone {
    () => {
        // The first half is the condition of the index.
        "(d.phase <> 'settled' and (d.phase <> 'inFlight'
             or not (d.wanted and d.observed = 'present')
             and (d.wanted or d.observed not in ('absent', 'never'))
             and (d.wanted or d.observed <> 'present'
                 or not (d.pre_existing and d.keep_pre_existing))))"
    };
}
pub(crate) use {columns, undone};

/// How many columns [`columns`] lists; joined columns follow.
pub(crate) const WIDTH: usize = 37;

const fn observed_name(observed: Observed) -> &'static str {
    match observed {
        Observed::Never => "never",
        Observed::Unknown => "unknown",
        Observed::Absent => "absent",
        Observed::Present => "present",
    }
}

fn observed(name: &str) -> Option<Observed> {
    [Observed::Never, Observed::Unknown, Observed::Absent, Observed::Present]
        .into_iter()
        .find(|observed| observed_name(*observed) == name)
}

/// The stable name of an action.
pub const fn action_name(action: Action) -> &'static str {
    match action {
        Action::Grant => "grant",
        Action::Revoke => "revoke",
        Action::Observe => "observe",
    }
}

fn action(name: &str) -> Option<Action> {
    [Action::Grant, Action::Revoke, Action::Observe]
        .into_iter()
        .find(|action| action_name(*action) == name)
}

impl DeliveryRow {
    pub(crate) fn from_row(row: &Row) -> Result<DeliveryRow> {
        let name: String = row.get(10)?;
        let ready: Option<Timestamp> = row.get(11)?;
        let at: Option<Timestamp> = row.get(12)?;
        let pending = pending(row)?;
        // What only a person can end is never ready.
        let due = ready.or(pending.map(|pending| pending.since));
        let phase = match (name.as_str(), ready, at) {
            ("settled", _, _) => Phase::Settled,
            ("due", _, _) if due.is_some() => Phase::Due { at: due.unwrap_or_default() },
            ("inFlight", Some(lease_until), _) => Phase::InFlight {
                action: named(action, &row.get::<String>(13)?)?,
                generation: row.get(14)?,
                before: named(observed, &row.get::<String>(15)?)?,
                lease_until,
                deadline: row.get(16)?,
            },
            ("failed", _, Some(at)) => Phase::Failed { at },
            ("stuck", Some(probe_at), Some(since)) => Phase::Stuck { since, probe_at },
            _ => return Err(Error::Corrupt(format!("a delivery in phase `{name}` lacks times"))),
        };
        let cause: Option<CauseId> = row.get(26)?;
        let fault = match cause {
            None => None,
            Some(cause) => Some(LastFault {
                cause,
                class: named(Class::parse, &row.get::<String>(27)?)?,
                code: row.get(28)?,
                message: row.get(29)?,
            }),
        };
        Ok(DeliveryRow {
            id: row.get(0)?,
            key: Key {
                target: row.get(1)?,
                subject: row.get(2)?,
                resource: row.get(3)?,
                role: row.get(4)?,
                scope: row.get(5)?,
            },
            role: row.get(6)?,
            delivery: Delivery {
                wanted: row.get(7)?,
                generation: row.get(8)?,
                observed: named(observed, &row.get::<String>(9)?)?,
                phase,
                epoch: row.get(17)?,
                attempts: row.get(18)?,
                misses: row.get(19)?,
                since: row.get(20)?,
                uncertain_until: row.get(21)?,
                late_until: row.get(36)?,
                pre_existing: row.get(22)?,
                keep_pre_existing: row.get(23)?,
                acknowledged: row.get(24)?,
                verified: row.get(25)?,
                verify_at: if phase == Phase::Settled { ready } else { None },
                poison: Poison { crashes: row.get(31)?, strikes: row.get(32)? },
                pending,
            },
            fault,
            attempted_at: row.get(30)?,
        })
    }
}

fn pending(row: &Row) -> Result<Option<Pending>> {
    let on: Option<String> = row.get(33)?;
    let since: Option<Timestamp> = row.get(34)?;
    on.zip(since)
        .map(|(on, since)| {
            Ok(Pending { on: named(Awaited::parse, &on)?, since, until: row.get(35)? })
        })
        .transpose()
}

/// The columns that a rule may change, in the order of [`save`]'s statement, after id and epoch.
fn changing(row: &DeliveryRow) -> Vec<Value> {
    let d = &row.delivery;
    let (name, at, flight) = match d.phase {
        Phase::Settled => ("settled", None, None),
        Phase::Due { .. } => ("due", None, None),
        Phase::InFlight { action, generation, before, deadline, .. } => {
            ("inFlight", None, Some((action, generation, before, deadline)))
        }
        Phase::Failed { at } => ("failed", Some(at), None),
        Phase::Stuck { since, .. } => ("stuck", Some(since), None),
    };
    // A settled row waits for nobody to explain it.
    let fault = row.fault.as_ref().filter(|_| d.phase != Phase::Settled);
    params![
        d.wanted,
        d.generation,
        observed_name(d.observed),
        name,
        d.ready_at(),
        at,
        flight.map(|(action, ..)| action_name(action)),
        flight.map(|(_, generation, ..)| generation),
        flight.map(|(_, _, before, _)| observed_name(before)),
        flight.map(|(.., deadline)| deadline),
        d.epoch,
        d.attempts,
        d.misses,
        d.since,
        d.uncertain_until,
        d.pre_existing,
        d.keep_pre_existing,
        d.acknowledged,
        d.verified,
        fault.map(|fault| fault.cause),
        fault.map(|fault| fault.class.name()),
        fault.map(|fault| fault.code.clone()),
        fault.map(|fault| fault.message.clone()),
        row.attempted_at,
        d.poison.crashes,
        d.poison.strikes,
        d.poison.is_alone(),
        d.pending.map(|pending| pending.on.name()),
        d.pending.map(|pending| pending.since),
        d.pending.and_then(|pending| pending.until),
        d.late_until
    ]
    .to_vec()
}

/// Adds a delivery, unless there is one of the same key; says whether it did.
pub async fn insert(tx: &mut Tx<'_>, new: &DeliveryRow) -> Result<bool> {
    let mut values: Vec<Value> = params![
        new.id,
        new.key.target,
        new.key.subject,
        new.key.resource.clone(),
        new.key.role.clone(),
        new.key.scope.clone()
    ]
    .to_vec();
    values.push(new.role.into());
    values.extend(changing(new));
    let added = tx
        .execute(
            "insert into deliveries (id, target_id, subject_id, resource_origin_id, role_origin_id,
                 scope_origin_id, role_id, wanted, generation, observed, phase, ready_at_ms,
                 phase_at_ms, action, flight_generation, observed_before, deadline_at_ms, epoch,
                 attempts, misses, since_at_ms, uncertain_until_at_ms, pre_existing,
                 keep_pre_existing, acknowledged_at_ms, verified_at_ms, cause_id, fault_class,
                 fault_code, fault_message, attempted_at_ms, crashes, strikes, is_alone, awaited,
                 awaited_since_at_ms, awaited_until_at_ms, late_until_at_ms)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                 $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33,
                 $34, $35, $36, $37, $38)
             on conflict (subject_id, target_id, resource_origin_id, role_origin_id,
                 scope_origin_id) do nothing",
            &values,
        )
        .await?;
    Ok(added == 1)
}

/// Reads the delivery of a key and holds its row until the transaction ends. Lock its subject first.
pub async fn lock_of_key(tx: &mut Tx<'_>, key: &Key) -> Result<DeliveryRow> {
    let sql = Sql {
        lite: concat!(
            "select ",
            columns!(),
            " from deliveries d
             where d.subject_id = $1 and d.target_id = $2 and d.resource_origin_id = $3
                 and d.role_origin_id = $4 and d.scope_origin_id = $5"
        ),
        pg: concat!(
            "select ",
            columns!(),
            " from deliveries d
             where d.subject_id = $1 and d.target_id = $2 and d.resource_origin_id = $3
                 and d.role_origin_id = $4 and d.scope_origin_id = $5
             for update"
        ),
    };
    let row = tx
        .query_one(
            sql,
            params![
                key.subject,
                key.target,
                key.resource.clone(),
                key.role.clone(),
                key.scope.clone()
            ],
        )
        .await?;
    DeliveryRow::from_row(&row)
}

/// Adds a delivery, or reads the one of the same key; holds it until the transaction ends.
pub async fn lock_or_insert(tx: &mut Tx<'_>, new: &DeliveryRow) -> Result<DeliveryRow> {
    insert(tx, new).await?;
    lock_of_key(tx, &new.key).await
}

/// What an update names, an engine may have to write anew in every index that holds it: the role, which
/// never changes, is not named.
const SAVE: &str = "update deliveries
     set wanted = $3, generation = $4, observed = $5, phase = $6, ready_at_ms = $7,
         phase_at_ms = $8, action = $9, flight_generation = $10, observed_before = $11,
         deadline_at_ms = $12, epoch = $13, attempts = $14, misses = $15, since_at_ms = $16,
         uncertain_until_at_ms = $17, pre_existing = $18, keep_pre_existing = $19,
         acknowledged_at_ms = $20, verified_at_ms = $21, cause_id = $22, fault_class = $23,
         fault_code = $24, fault_message = $25, attempted_at_ms = $26, crashes = $27,
         strikes = $28, is_alone = $29, awaited = $30, awaited_since_at_ms = $31,
         awaited_until_at_ms = $32, late_until_at_ms = $33
     where id = $1 and epoch = $2";

fn save_values(row: &DeliveryRow, epoch: i64) -> Vec<Value> {
    let mut values: Vec<Value> = params![row.id, epoch].to_vec();
    values.extend(changing(row));
    values
}

/// Saves what a rule changed, if the row is still at `epoch`; [`Error::Stale`] ends the transaction if
/// it is not.
pub async fn save(tx: &mut Tx<'_>, row: &DeliveryRow, epoch: i64) -> Result<()> {
    tx.post_one(SAVE, &save_values(row, epoch), Error::Stale).await
}

/// Saves many rows, each if it is still at the epoch given with it; says how many were.
pub async fn save_all(tx: &mut Tx<'_>, rows: &[(DeliveryRow, i64)]) -> Result<u64> {
    let values: Vec<Vec<Value>> =
        rows.iter().map(|(row, epoch)| save_values(row, *epoch)).collect();
    tx.execute_all(SAVE, &values).await
}

/// Reads a delivery.
pub async fn get(tx: &mut Tx<'_>, id: DeliveryId) -> Result<Option<DeliveryRow>> {
    tx.query_opt(concat!("select ", columns!(), " from deliveries d where d.id = $1"), params![id])
        .await?
        .map(|row| DeliveryRow::from_row(&row))
        .transpose()
}

/// Reads a delivery and holds its row until the transaction ends. Lock its subject first.
pub async fn lock(tx: &mut Tx<'_>, id: DeliveryId) -> Result<Option<DeliveryRow>> {
    let sql = Sql {
        lite: concat!("select ", columns!(), " from deliveries d where d.id = $1"),
        pg: concat!("select ", columns!(), " from deliveries d where d.id = $1 for update"),
    };
    tx.query_opt(sql, params![id]).await?.map(|row| DeliveryRow::from_row(&row)).transpose()
}

/// Takes the leases from workers that cannot live any more: their rows are ready as soon as the
/// calls they may have sent are certainly over. Says how many there were.
pub async fn release_leases(tx: &mut Tx<'_>, zombie_ms: i64) -> Result<u64> {
    tx.execute(
        "update deliveries set ready_at_ms = deadline_at_ms + $1
         where phase = 'inFlight' and ready_at_ms > deadline_at_ms + $1",
        params![zombie_ms],
    )
    .await
}

/// Has the revocations that a target refused tried again at that time, unless they are tried before;
/// says how many. Those that somebody holds are left: something is done about them at this moment.
pub async fn try_stuck_at(tx: &mut Tx<'_>, target: TargetId, at: Timestamp) -> Result<u64> {
    let sql = Sql {
        lite: "update deliveries set ready_at_ms = $2
               where target_id = $1 and wanted = false and phase = 'stuck' and ready_at_ms > $2",
        pg: "update deliveries set ready_at_ms = $2
             where id in (select id from deliveries
                 where target_id = $1 and wanted = false and phase = 'stuck' and ready_at_ms > $2
                 for update skip locked)",
    };
    tx.execute(sql, params![target, at]).await
}

/// Deliveries of a target that are ready, revocations first, oldest first, but for those
/// that are tried alone; held until the
/// transaction ends, leaving out what others hold.
///
/// Whether each may really be taken is for `delivery::claim` to say, under the lock.
pub async fn ready(
    tx: &mut Tx<'_>,
    target: TargetId,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<DeliveryRow>> {
    let mut found = Vec::new();
    for wanted in [false, true] {
        let left = limit.saturating_sub(found.len());
        if left == 0 {
            break;
        }
        let sql = Sql {
            lite: concat!(
                "select ",
                columns!(),
                " from deliveries d
                 where d.target_id = $1 and d.wanted = $2 and d.ready_at_ms <= $3
                     and not d.is_alone
                 order by d.ready_at_ms limit $4"
            ),
            pg: concat!(
                "select ",
                columns!(),
                " from deliveries d
                 where d.target_id = $1 and d.wanted = $2 and d.ready_at_ms <= $3
                     and not d.is_alone
                 order by d.ready_at_ms limit $4
                 for update skip locked"
            ),
        };
        for row in tx.query(sql, params![target, wanted, now, limit_value(left)]).await? {
            found.push(DeliveryRow::from_row(&row)?);
        }
    }
    Ok(found)
}

/// When the next delivery of a target is ready, if any ever is.
pub async fn next_ready(tx: &mut Tx<'_>, target: TargetId) -> Result<Option<Timestamp>> {
    let row = tx
        .query_one(
            "select min(at) from (
                 select min(ready_at_ms) as at from deliveries
                 where target_id = $1 and wanted = false and ready_at_ms is not null
                 union all
                 select min(ready_at_ms) as at from deliveries
                 where target_id = $1 and wanted = true and ready_at_ms is not null) x",
            params![target],
        )
        .await?;
    row.get(0)
}

/// A delivery and whether the assignment it was read for is a live reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The delivery.
    pub row: DeliveryRow,
    /// Whether the assignment still wants it.
    pub is_live: bool,
}

impl Edge {
    pub(crate) fn from_row(row: &Row) -> Result<Edge> {
        Ok(Edge { row: DeliveryRow::from_row(row)?, is_live: row.get(WIDTH)? })
    }
}

pub(crate) const OF_ASSIGNMENT: &str = concat!(
    "select ",
    columns!(),
    ", x.is_live
     from reasons x join deliveries d on d.id = x.delivery_id
     where x.assignment_id = $1
     order by d.id"
);

/// The deliveries that an assignment is or was a reason for.
pub async fn of_assignment(tx: &mut Tx<'_>, assignment: AssignmentId) -> Result<Vec<Edge>> {
    let rows = tx.query(OF_ASSIGNMENT, params![assignment]).await?;
    rows.iter().map(Edge::from_row).collect()
}

/// The name of a paused target in which an assignment has something that is not as wanted.
pub async fn paused_target(tx: &mut Tx<'_>, assignment: AssignmentId) -> Result<Option<String>> {
    tx.query_opt(
        concat!(
            "select t.name
             from reasons x join deliveries d on d.id = x.delivery_id
                 join targets t on t.id = d.target_id
             where x.assignment_id = $1 and x.is_live and t.is_paused and ",
            undone!(),
            " order by t.name limit 1"
        ),
        params![assignment],
    )
    .await?
    .map(|row| row.get(0))
    .transpose()
}

/// A delivery with the names its readers know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The delivery.
    pub row: DeliveryRow,
    /// Whether the assignment it was read for still wants it.
    pub is_live: bool,
    /// The target's name.
    pub target_name: String,
    /// The target's name for people.
    pub target_display_name: String,
    /// Whether the target is paused.
    pub target_is_paused: bool,
    /// The role's name, if it still exists.
    pub role_name: Option<String>,
    /// The resource's name, if it still exists.
    pub resource_name: Option<String>,
    /// How often its target was called for it, whatever it answered.
    pub calls: i64,
    /// Why its target is not called at present, if so.
    pub hold: Option<Hold>,
}

/// Why a target is not called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What trouble it is in; `None`: it only asked for quiet.
    pub reason: Option<Reason>,
    /// The fault that opened its circuit, in words.
    pub message: Option<String>,
    /// When it is checked, or called again; `None` while it is tried.
    pub until: Option<Timestamp>,
}

impl Named {
    /// Why a try that is due at `at` is put off, if so.
    pub fn put_off(&self, at: Timestamp) -> Option<&Hold> {
        self.hold
            .as_ref()
            .filter(|hold| hold.reason.is_some() || hold.until.is_some_and(|until| at < until))
    }

    /// When a try that is due at `at` can be made at the earliest.
    pub fn ready_at(&self, at: Timestamp) -> Timestamp {
        self.put_off(at).and_then(|hold| hold.until).map_or(at, |until| until.max(at))
    }
}

macro_rules! names {
    () => {
        "t.name, t.display_name, t.is_paused, o.display_name, e.display_name,
             (select count(*) from attempts x where x.delivery_id = d.id),
             c.reason, c.message, c.held_until_ms
         from deliveries d join targets t on t.id = d.target_id
             left join circuits c on c.target_id = d.target_id
             left join resource_roles o on o.id = d.role_id
             left join resources e on e.id = o.resource_id"
    };
}

fn hold(row: &Row) -> Result<Option<Hold>> {
    let reason: Option<String> = row.get(WIDTH + 6)?;
    let reason = reason.and_then(|name| Reason::parse(&name));
    let until: Option<Timestamp> = row.get(WIDTH + 8)?;
    Ok(match (reason, until) {
        (None, None) => None,
        _ => Some(Hold { reason, message: row.get(WIDTH + 7)?, until }),
    })
}

fn with_names(row: &Row, is_live: bool) -> Result<Named> {
    Ok(Named {
        row: DeliveryRow::from_row(row)?,
        is_live,
        target_name: row.get(WIDTH)?,
        target_display_name: row.get(WIDTH + 1)?,
        target_is_paused: row.get(WIDTH + 2)?,
        role_name: row.get(WIDTH + 3)?,
        resource_name: row.get(WIDTH + 4)?,
        calls: row.get(WIDTH + 5)?,
        hold: hold(row)?,
    })
}

/// The deliveries of an assignment with their names.
pub async fn named_of_assignment(tx: &mut Tx<'_>, assignment: AssignmentId) -> Result<Vec<Named>> {
    let edges = of_assignment(tx, assignment).await?;
    let mut found = Vec::with_capacity(edges.len());
    for edge in edges {
        if let Some(mut named) = get_named(tx, edge.row.id).await? {
            named.is_live = edge.is_live;
            found.push(named);
        }
    }
    Ok(found)
}

/// A delivery with its names.
pub async fn get_named(tx: &mut Tx<'_>, id: DeliveryId) -> Result<Option<Named>> {
    tx.query_opt(concat!("select ", columns!(), ", ", names!(), " where d.id = $1"), params![id])
        .await?
        .map(|row| with_names(&row, true))
        .transpose()
}

/// Revocations that should be done and are not, with their names: refused by the target, or due
/// since before `before`, for packages of catalogs in reach; oldest first, as far as `limit`.
pub async fn stuck_revocations(
    tx: &mut Tx<'_>,
    reach: &Reach,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<Named>> {
    let mut values = params![before, limit_value(limit)].to_vec();
    let seen = within(reach, "p.catalog_id", &mut values).map(|seen| {
        format!(
            "and exists (select 1 from reasons x join assignments a on a.id = x.assignment_id
                 join packages p on p.id = a.package_id where x.delivery_id = d.id and {seen})"
        )
    });
    let sql = format!(
        "select {}, {} where not d.wanted and {} and (d.phase = 'stuck' or d.since_at_ms < $1) {}
         order by d.since_at_ms, d.id limit $2",
        columns!(),
        names!(),
        undone!(),
        seen.unwrap_or_default()
    );
    let rows = tx.query_text(&sql, &values).await?;
    rows.iter().map(|row| with_names(row, false)).collect()
}

/// The catalogs whose packages are or were a reason for a delivery.
pub async fn catalogs_of(
    tx: &mut Tx<'_>,
    id: DeliveryId,
) -> Result<Vec<accede_domain::id::CatalogId>> {
    let rows = tx
        .query(
            "select distinct p.catalog_id
             from reasons x join assignments a on a.id = x.assignment_id
                 join packages p on p.id = a.package_id
             where x.delivery_id = $1",
            params![id],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The ids of deliveries that are not settled and failed of a cause, after `after`, in order.
pub async fn of_cause(
    tx: &mut Tx<'_>,
    cause: CauseId,
    after: Option<DeliveryId>,
    limit: usize,
) -> Result<Vec<(DeliveryId, SubjectId)>> {
    // No delivery has the nil id: what follows it is everything.
    let after = after.unwrap_or(DeliveryId(uuid::Uuid::nil()));
    let rows = tx
        .query(
            "select id, subject_id from deliveries
             where cause_id = $1 and phase <> 'settled' and id > $2
             order by id limit $3",
            params![cause, after, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// How many deliveries stand in each phase, for metrics: phase, wanted, how many.
pub async fn counts(tx: &mut Tx<'_>) -> Result<Vec<(String, bool, i64)>> {
    let rows = tx
        .query(
            "select phase, wanted, count(*) from deliveries where phase <> 'settled'
             group by phase, wanted order by phase, wanted",
            params![],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).collect()
}

/// What waits for a target: open grants, open revocations, failed grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Grants that will be tried by themselves.
    pub grants: i64,
    /// Revocations that are not confirmed.
    pub revocations: i64,
    /// Grants that rest until somebody reprocesses them.
    pub failed: i64,
}

/// What waits for a target.
pub async fn backlog(tx: &mut Tx<'_>, target: TargetId) -> Result<Backlog> {
    let row = tx
        .query_one(
            concat!(
                "select count(case when d.wanted and d.phase <> 'failed' then 1 end),
                     count(case when not d.wanted then 1 end),
                     count(case when d.phase = 'failed' then 1 end)
                 from deliveries d where d.target_id = $1 and ",
                undone!()
            ),
            params![target],
        )
        .await?;
    Ok(Backlog { grants: row.get(0)?, revocations: row.get(1)?, failed: row.get(2)? })
}

/// Whether some live assignment is a reason for the delivery.
pub async fn has_reason(tx: &mut Tx<'_>, id: DeliveryId) -> Result<bool> {
    let found = tx
        .query_opt("select 1 from reasons where delivery_id = $1 and is_live limit 1", params![id])
        .await?;
    Ok(found.is_some())
}
