//! Comparing targets with what is wanted there: whose turn it is, how far it has come, what is next.

use accede_domain::Timestamp;
use accede_domain::id::{ResourceRoleId, TargetId};

use crate::deliveries::{self, DeliveryRow};
use crate::drift::Place;
use crate::findings::left;
use crate::people::{self, Facts};
use crate::requests::limit_value;
use crate::{Result, Row, Sql, Tx, params};

/// How far comparing a target has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Which target.
    pub target: TargetId,
    /// Not before then is its next turn. While a server has a turn, this is its lease.
    pub turn_at: Timestamp,
    /// When the present or last comparison began.
    pub begun_at: Option<Timestamp>,
    /// When the last one came to its end.
    pub finished_at: Option<Timestamp>,
    /// When somebody asked for one, if it has not begun.
    pub asked_at: Option<Timestamp>,
    /// While one is under way: what was last looked at before then is read.
    pub cutoff: Option<Timestamp>,
    /// Whether one is under way.
    pub is_running: bool,
    /// The role that was last compared: resource, role and scope.
    pub after: (String, String, String),
    /// Roles whose holders were read, of the present or last one.
    pub roles_read: i64,
    /// Roles whose holders could not be read.
    pub roles_unread: i64,
    /// Why the last of those could not.
    pub problem: Option<String>,
}

macro_rules! columns {
    () => {
        "target_id, turn_at_ms, begun_at_ms, finished_at_ms, asked_at_ms, cutoff_at_ms, is_running,
         after_resource, after_role, after_scope, roles_read, roles_unread, problem"
    };
}

impl Sweep {
    /// A target that was never looked at.
    pub const fn new(target: TargetId) -> Sweep {
        Sweep {
            target,
            turn_at: Timestamp::UNIX_EPOCH,
            begun_at: None,
            finished_at: None,
            asked_at: None,
            cutoff: None,
            is_running: false,
            after: (String::new(), String::new(), String::new()),
            roles_read: 0,
            roles_unread: 0,
            problem: None,
        }
    }

    fn from_row(row: &Row) -> Result<Sweep> {
        Ok(Sweep {
            target: row.get(0)?,
            turn_at: row.get(1)?,
            begun_at: row.get(2)?,
            finished_at: row.get(3)?,
            asked_at: row.get(4)?,
            cutoff: row.get(5)?,
            is_running: row.get(6)?,
            after: (row.get(7)?, row.get(8)?, row.get(9)?),
            roles_read: row.get(10)?,
            roles_unread: row.get(11)?,
            problem: row.get(12)?,
        })
    }
}

/// How far comparing a target has come; `None` if it was never looked at.
pub async fn get(tx: &mut Tx<'_>, target: TargetId) -> Result<Option<Sweep>> {
    let sql = concat!("select ", columns!(), " from drift_sweeps where target_id = $1");
    tx.query_opt(sql, params![target]).await?.map(|row| Sweep::from_row(&row)).transpose()
}

/// The same, held until the transaction ends, and made if there is none.
pub async fn lock(tx: &mut Tx<'_>, target: TargetId) -> Result<Sweep> {
    tx.execute(
        "insert into drift_sweeps (target_id, turn_at_ms, is_running, after_resource, after_role,
             after_scope, roles_read, roles_unread)
         values ($1, 0, false, '', '', '', 0, 0)
         on conflict (target_id) do nothing",
        params![target],
    )
    .await?;
    let sql = Sql {
        lite: concat!("select ", columns!(), " from drift_sweeps where target_id = $1"),
        pg: concat!("select ", columns!(), " from drift_sweeps where target_id = $1 for update"),
    };
    Sweep::from_row(&tx.query_one(sql, params![target]).await?)
}

/// Stores how far it has come. [`lock`] it first.
pub async fn save(tx: &mut Tx<'_>, sweep: &Sweep) -> Result<()> {
    let (resource, role, scope) = sweep.after.clone();
    tx.execute(
        "update drift_sweeps
         set turn_at_ms = $2, begun_at_ms = $3, finished_at_ms = $4, asked_at_ms = $5,
             cutoff_at_ms = $6, is_running = $7, after_resource = $8, after_role = $9,
             after_scope = $10, roles_read = $11, roles_unread = $12, problem = $13
         where target_id = $1",
        params![
            sweep.target,
            sweep.turn_at,
            sweep.begun_at,
            sweep.finished_at,
            sweep.asked_at,
            sweep.cutoff,
            sweep.is_running,
            resource,
            role,
            scope,
            sweep.roles_read,
            sweep.roles_unread,
            sweep.problem.clone()
        ],
    )
    .await?;
    Ok(())
}

/// A settled delivery that may be read: not one that nothing was ever done for, which is not looked at
/// (`accede_domain::delivery::look_again`); not one that a restored database left in its target, which
/// waits for a person until it is called for again; and not one on which workers broke down so often
/// that it rests (`accede_domain::poison::REST_AFTER_CRASHES`).
macro_rules! readable {
    () => {
        concat!(
            "d.phase = 'settled' and d.ready_at_ms is null and d.observed <> 'never'
                 and d.crashes < 5 and not ",
            left!()
        )
    };
}

/// Settled deliveries of a target that were last called for before `cutoff`, longest ago first; held
/// until the transaction ends, leaving out what others hold.
pub async fn to_read(
    tx: &mut Tx<'_>,
    target: TargetId,
    cutoff: Timestamp,
    limit: usize,
) -> Result<Vec<DeliveryRow>> {
    let sql = Sql {
        lite: concat!(
            "select ",
            deliveries::columns!(),
            " from deliveries d
             where d.target_id = $1 and ",
            readable!(),
            " and d.attempted_at_ms < $2
             order by d.attempted_at_ms limit $3"
        ),
        pg: concat!(
            "select ",
            deliveries::columns!(),
            " from deliveries d
             where d.target_id = $1 and ",
            readable!(),
            " and d.attempted_at_ms < $2
             order by d.attempted_at_ms limit $3
             for update skip locked"
        ),
    };
    let rows = tx.query(sql, params![target, cutoff, limit_value(limit)]).await?;
    rows.iter().map(DeliveryRow::from_row).collect()
}

/// Whether there is such a delivery.
pub async fn has_to_read(tx: &mut Tx<'_>, target: TargetId, cutoff: Timestamp) -> Result<bool> {
    let found = tx
        .query_opt(
            concat!(
                "select 1 from deliveries d where d.target_id = $1 and ",
                readable!(),
                " and d.attempted_at_ms < $2 limit 1"
            ),
            params![target, cutoff],
        )
        .await?;
    Ok(found.is_some())
}

/// Whether anything of a target waits for its turn, so that nothing else should be asked of it.
pub async fn is_busy(tx: &mut Tx<'_>, target: TargetId, now: Timestamp) -> Result<bool> {
    for wanted in [false, true] {
        let found = tx
            .query_opt(
                "select 1 from deliveries
                 where target_id = $1 and wanted = $2 and ready_at_ms <= $3 limit 1",
                params![target, wanted, now],
            )
            .await?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Roles of a target that some access package gives, each once, after the one given, in order.
pub async fn roles_after(
    tx: &mut Tx<'_>,
    target: TargetId,
    after: &(String, String, String),
    limit: usize,
) -> Result<Vec<(Place, ResourceRoleId)>> {
    let (resource, role, scope) = after.clone();
    let rows = tx
        .query(
            "select e.origin_id, o.origin_id, c.origin_id, o.id
             from resources e join resource_roles o on o.resource_id = e.id
                 join resource_role_scopes x on x.role_id = o.id
                 join resource_scopes c on c.id = x.scope_id
                 join packages p on p.id = x.package_id
             where e.target_id = $1 and p.deleted_at_ms is null
                 and (e.origin_id, o.origin_id, c.origin_id) > ($2, $3, $4)
             order by e.origin_id, o.origin_id, c.origin_id, o.id limit $5",
            params![target, resource, role, scope, limit_value(limit)],
        )
        .await?;
    let mut found: Vec<(Place, ResourceRoleId)> = Vec::new();
    for row in &rows {
        let place = Place { target, resource: row.get(0)?, role: row.get(1)?, scope: row.get(2)? };
        if found.last().is_none_or(|(last, _)| *last != place) {
            found.push((place, row.get(3)?));
        }
    }
    Ok(found)
}

/// The people for whom a role is wanted, at most `limit`.
pub async fn wanted_by(tx: &mut Tx<'_>, place: &Place, limit: usize) -> Result<Vec<Facts>> {
    let (resource, role) = (place.resource.clone(), place.role.clone());
    let values =
        params![place.target, resource, role, place.scope.clone(), limit_value(limit)].to_vec();
    let rows = tx
        .query(
            concat!(
                "select ",
                people::columns!(),
                " from resources e join resource_roles o on o.resource_id = e.id
                     join deliveries d on d.role_id = o.id
                     join subjects s on s.id = d.subject_id
                     join users u on u.id = s.object_id
                 where e.target_id = $1 and e.origin_id = $2 and o.origin_id = $3
                     and d.target_id = $1 and d.resource_origin_id = $2
                     and d.role_origin_id = $3 and d.scope_origin_id = $4 and d.wanted
                 order by s.id limit $5"
            ),
            &values,
        )
        .await?;
    rows.iter().map(Facts::from_row).collect()
}

/// The delivery of a role to somebody, held until the transaction ends.
pub async fn lock_delivery(
    tx: &mut Tx<'_>,
    place: &Place,
    subject: accede_domain::id::SubjectId,
) -> Result<Option<DeliveryRow>> {
    let sql = Sql {
        lite: concat!(
            "select ",
            deliveries::columns!(),
            " from deliveries d
             where d.subject_id = $1 and d.target_id = $2 and d.resource_origin_id = $3
                 and d.role_origin_id = $4 and d.scope_origin_id = $5"
        ),
        pg: concat!(
            "select ",
            deliveries::columns!(),
            " from deliveries d
             where d.subject_id = $1 and d.target_id = $2 and d.resource_origin_id = $3
                 and d.role_origin_id = $4 and d.scope_origin_id = $5
             for update"
        ),
    };
    let (resource, role) = (place.resource.clone(), place.role.clone());
    let values = params![subject, place.target, resource, role, place.scope.clone()].to_vec();
    tx.query_opt(sql, &values).await?.map(|row| DeliveryRow::from_row(&row)).transpose()
}

/// People after one, in the order of their subjects' ids, at most `limit`, the deleted ones included.
pub async fn people_after(
    tx: &mut Tx<'_>,
    after: Option<accede_domain::id::SubjectId>,
    limit: usize,
) -> Result<Vec<Facts>> {
    // No subject has the nil id: what follows it is everybody.
    let after = after.unwrap_or(accede_domain::id::SubjectId(uuid::Uuid::nil()));
    let rows = tx
        .query(
            concat!(
                "select ",
                people::columns!(),
                " from subjects s join users u on u.id = s.object_id
                 where s.id > $1 order by s.id limit $2"
            ),
            params![after, limit_value(limit)],
        )
        .await?;
    rows.iter().map(Facts::from_row).collect()
}

/// The targets whose turn may have come: not paused, and nobody has it.
pub async fn due(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<TargetId>> {
    let rows = tx
        .query(
            "select t.id from targets t left join drift_sweeps s on s.target_id = t.id
             where not t.is_paused and (s.turn_at_ms is null or s.turn_at_ms <= $1)
             order by s.turn_at_ms, t.id limit $2",
            params![now, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}
