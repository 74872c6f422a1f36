//! Alarms: what stays so until somebody acts, and when it is told again. What newly began or is due
//! again is found by comparing the alarms with the rows that they are about.

use accede_domain::Timestamp;
use accede_domain::id::{CatalogId, DeliveryId, GuardId, Id, TargetId, TaskId, UserId};
use accede_domain::notice::Topic;
use accede_domain::permission::Role;
use uuid::Uuid;

use crate::deliveries::undone;
use crate::many::places;
use crate::requests::limit_value;
use crate::{Result, Tx, Value, params};

/// Something that is to be told, for the first time or again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due<T> {
    /// What it is.
    pub about: T,
    /// Since when it is so.
    pub since: Timestamp,
    /// Whether it was told before.
    pub is_known: bool,
}

/// A revocation that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The target's name for people.
    pub target: String,
    /// Whose access it is; `None` for an application.
    pub person: Option<String>,
    /// The resource's name, or its id in the target if it is none of ours any more.
    pub resource: String,
    /// The role's name, or its id in the target.
    pub role: String,
    /// What the target said last.
    pub fault: Option<String>,
}

/// Keeps when something is told again.
pub async fn keep(tx: &mut Tx<'_>, topic: Topic, alarm: &Alarm) -> Result<()> {
    tx.execute(
        "insert into alarms (topic, object_id, since_at_ms, detail, next_at_ms)
         values ($1, $2, $3, $4, $5)
         on conflict (topic, object_id) do update
             set since_at_ms = excluded.since_at_ms, detail = excluded.detail,
                 next_at_ms = excluded.next_at_ms",
        params![topic.name(), alarm.object, alarm.since, alarm.detail.clone(), alarm.next],
    )
    .await?;
    Ok(())
}

/// Forgets an alarm; whether there was one.
pub async fn drop(tx: &mut Tx<'_>, topic: Topic, object: Uuid) -> Result<bool> {
    let gone = tx
        .execute(
            "delete from alarms where topic = $1 and object_id = $2",
            params![topic.name(), object],
        )
        .await?;
    Ok(0 < gone)
}

/// An alarm that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What it is about.
    pub object: Uuid,
    /// Since when, which tells one time from another.
    pub since: Timestamp,
    /// What was told of it, so that a change can be told at once.
    pub detail: String,
    /// When it is told again.
    pub next: Timestamp,
}

/// The alarms of a topic that stand, at most `limit`.
pub async fn standing(tx: &mut Tx<'_>, topic: Topic, limit: usize) -> Result<Vec<Alarm>> {
    let rows = tx
        .query(
            "select object_id, since_at_ms, detail, next_at_ms from alarms
             where topic = $1 order by object_id limit $2",
            params![topic.name(), limit_value(limit)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Alarm {
                object: row.get(0)?,
                since: row.get(1)?,
                detail: row.get(2)?,
                next: row.get(3)?,
            })
        })
        .collect()
}

/// Revocations that became due at `before` or earlier, are not done, and are to be told now; the
/// longest due first.
pub async fn stuck(
    tx: &mut Tx<'_>,
    before: Timestamp,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Due<Stuck>>> {
    let rows = tx
        .query(
            concat!(
                "select d.id, d.since_at_ms, t.display_name, u.display_name,
                     coalesce(e.display_name, d.resource_origin_id),
                     coalesce(o.display_name, d.role_origin_id), d.fault_message,
                     a.object_id is not null
                 from deliveries d join targets t on t.id = d.target_id
                     left join users u on u.subject_id = d.subject_id
                     left join resource_roles o on o.id = d.role_id
                     left join resources e on e.id = o.resource_id
                     left join alarms a on a.topic = $1 and a.object_id = d.id
                         and a.since_at_ms = d.since_at_ms
                 where not d.wanted and ",
                undone!(),
                " and d.since_at_ms <= $2 and (a.next_at_ms is null or a.next_at_ms <= $3)
                 order by d.since_at_ms, d.id limit $4"
            ),
            params![Topic::RevocationsStuck.name(), before, now, limit_value(limit)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let about = Stuck {
                delivery: row.get(0)?,
                target: row.get(2)?,
                person: row.get(3)?,
                resource: row.get(4)?,
                role: row.get(5)?,
                fault: row.get(6)?,
            };
            Ok(Due { about, since: row.get(1)?, is_known: row.get(7)? })
        })
        .collect()
}

/// How many revocations that became due at `before` or earlier are not done.
pub async fn count_stuck(tx: &mut Tx<'_>, before: Timestamp) -> Result<i64> {
    tx.query_one(
        concat!(
            "select count(*) from deliveries d where not d.wanted and ",
            undone!(),
            " and d.since_at_ms <= $1"
        ),
        params![before],
    )
    .await?
    .get(0)
}

/// Forgets alarms of revocations that are done since; says how many.
pub async fn drop_done(tx: &mut Tx<'_>) -> Result<u64> {
    tx.execute(
        concat!(
            "delete from alarms where topic = $1 and not exists
                 (select 1 from deliveries d where d.id = alarms.object_id
                      and d.since_at_ms = alarms.since_at_ms and not d.wanted and ",
            undone!(),
            ")"
        ),
        params![Topic::RevocationsStuck.name()],
    )
    .await
}

/// A task that somebody is to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskDue {
    /// The task.
    pub task: TaskId,
    /// Counts its changes: one that was reassigned is told anew.
    pub version: i64,
    /// Who is to do it: the object id of a user or a group.
    pub assignee: Uuid,
    /// Whether that is a group.
    pub is_group: bool,
    /// Whether the role is to be given; taken away otherwise.
    pub is_grant: bool,
    /// The target's name for people.
    pub target: String,
    /// Whose access it is; `None` for an application.
    pub person: Option<String>,
    /// The resource's name, or its id in the target.
    pub resource: String,
    /// The role's name, or its id in the target.
    pub role: String,
}

/// Open tasks that are to be told now, that which is due first before the others; `since` is when
/// each is due.
pub async fn tasks(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<Due<TaskDue>>> {
    let rows = tx
        .query(
            "select k.id, k.assignee_id, k.is_group, k.is_grant, k.due_at_ms, t.display_name,
                 u.display_name, coalesce(e.display_name, d.resource_origin_id),
                 coalesce(o.display_name, d.role_origin_id), a.object_id is not null, k.version
             from tasks k join deliveries d on d.id = k.delivery_id
                 join targets t on t.id = d.target_id
                 left join users u on u.subject_id = d.subject_id
                 left join resource_roles o on o.id = d.role_id
                 left join resources e on e.id = o.resource_id
                 left join alarms a on a.topic = $1 and a.object_id = k.id
                     and a.detail = cast(k.version as text)
             where k.state = 'open' and (a.next_at_ms is null or a.next_at_ms <= $2)
             order by k.due_at_ms, k.id limit $3",
            params![Topic::Tasks.name(), now, limit_value(limit)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let about = TaskDue {
                task: row.get(0)?,
                version: row.get(10)?,
                assignee: row.get(1)?,
                is_group: row.get(2)?,
                is_grant: row.get(3)?,
                target: row.get(5)?,
                person: row.get(6)?,
                resource: row.get(7)?,
                role: row.get(8)?,
            };
            Ok(Due { about, since: row.get(4)?, is_known: row.get(9)? })
        })
        .collect()
}

/// Forgets alarms of tasks that are closed; says how many.
pub async fn drop_closed(tx: &mut Tx<'_>) -> Result<u64> {
    tx.execute(
        "delete from alarms where topic = $1 and not exists
             (select 1 from tasks k where k.id = alarms.object_id and k.state = 'open')",
        params![Topic::Tasks.name()],
    )
    .await
}

/// Forgets alarms of held changes that somebody decided since; says how many.
pub async fn drop_decided(tx: &mut Tx<'_>) -> Result<u64> {
    tx.execute(
        "delete from alarms where topic = $1 and not exists
             (select 1 from guards g where g.id = alarms.object_id and g.state = 'held')",
        params![Topic::ChangeHeld.name()],
    )
    .await
}

/// Held changes that are to be told now, the oldest first.
pub async fn held(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<Due<GuardId>>> {
    let rows = tx
        .query(
            "select g.id, g.created_at_ms, a.object_id is not null
             from guards g left join alarms a on a.topic = $1 and a.object_id = g.id
             where g.state = 'held' and (a.next_at_ms is null or a.next_at_ms <= $2)
             order by g.created_at_ms, g.id limit $3",
            params![Topic::ChangeHeld.name(), now, limit_value(limit)],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(Due { about: row.get(0)?, since: row.get(1)?, is_known: row.get(2)? }))
        .collect()
}

/// Targets whose circuit is not closed and that nobody paused, with their names for people and how
/// many revocations wait there.
pub async fn troubled(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<(TargetId, String, i64)>> {
    let rows = tx
        .query(
            "select t.id, t.display_name,
                 (select count(*) from deliveries d
                  where d.target_id = t.id and not d.wanted and d.phase <> 'settled'
                      and d.phase <> 'failed')
             from circuits c join targets t on t.id = c.target_id
             where c.state <> 'closed' and not t.is_paused
             order by t.display_name, t.id limit $1",
            params![limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).collect()
}

/// How many requests came to rest undelivered after `since` until `until`, in each catalog.
pub async fn came_to_rest(
    tx: &mut Tx<'_>,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<(CatalogId, i64)>> {
    let rows = tx
        .query(
            "select p.catalog_id, count(*) from requests r join packages p on p.id = r.package_id
             where r.state in ('partiallyDelivered', 'deliveryFailed')
                 and r.completed_at_ms > $1 and r.completed_at_ms <= $2
             group by p.catalog_id order by p.catalog_id",
            params![since, until],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Somebody who manages assignments somewhere, and where they can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Who.
    pub user: UserId,
    /// Their mail address.
    pub mail: String,
}

/// The owners and assignment managers of these catalogs, directly or as members of a group, who are
/// active and have a mail address.
pub async fn managers(
    tx: &mut Tx<'_>,
    catalogs: &[CatalogId],
    limit: usize,
) -> Result<Vec<Manager>> {
    let mut values: Vec<Value> = Vec::new();
    let roles = [Role::CatalogOwner, Role::AssignmentManager].map(|role| role.definition().uuid());
    let within = places(catalogs, &mut values);
    let roles = places(&roles, &mut values);
    values.push(Value::Int(limit_value(limit)));
    let last = values.len();
    let text = format!(
        "select u.id, u.mail from users u
         where u.mail is not null and u.account_enabled and u.deleted_at_ms is null and exists
             (select 1 from role_assignments a
              where a.catalog_id in ({within}) and a.role_definition_id in ({roles})
                  and (a.principal_id = u.id or a.principal_id in
                      (select m.group_id from group_members m where m.member_id = u.id)))
         order by u.id limit ${last}"
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(|row| Ok(Manager { user: row.get(0)?, mail: row.get(1)? })).collect()
}
