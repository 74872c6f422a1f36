//! Tasks: what people are to do by hand for a delivery, by when, and what came of it.

use accede_domain::Timestamp;
use accede_domain::filter::Direction;
use accede_domain::id::{DeliveryId, SubjectId, TargetId, TaskId, UserId};
use accede_domain::permission::Reach;
use accede_domain::task::State;
use uuid::Uuid;

use crate::filter::{Ask, Entity, Kind, Property};
use crate::many::within;
use crate::pages::{self, Listed, Source};
use crate::request_list::ListError;
use crate::requests::{limit_value, named};
use crate::{Error, Result, Row, Sql, Tx, params};

/// A task as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// For which delivery.
    pub delivery: DeliveryId,
    /// For which of its wishes.
    pub generation: i64,
    /// Whether the role is to be given; taken away otherwise.
    pub is_grant: bool,
    /// Who is to do it: the object id of a user or a group.
    pub assignee: Uuid,
    /// Whether that is a group.
    pub is_group: bool,
    /// How it is done, if somebody wrote that down.
    pub instructions: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Who made it, by name; the server itself for targets that need people.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// By when it is to be done.
    pub due_at: Timestamp,
    /// Who closed it, by name.
    pub closed_by: Option<String>,
    /// When.
    pub closed_at: Option<Timestamp>,
    /// What they said of it.
    pub note: Option<String>,
    /// Counts its changes.
    pub version: i64,
}

/// A task with the names its readers know things by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The task.
    pub task: Task,
    /// In which target.
    pub target: TargetId,
    /// The target's name.
    pub target_name: String,
    /// The target's name for people.
    pub target_display_name: String,
    /// Whose access it is about.
    pub subject: SubjectId,
    /// Their object id, name and sign-in name.
    pub person: Option<(UserId, String, String)>,
    /// The role's id in the target.
    pub role: String,
    /// The resource's id in the target.
    pub resource: String,
    /// The role's name, if it still exists.
    pub role_name: Option<String>,
    /// The resource's name, if it still exists.
    pub resource_name: Option<String>,
    /// The assignee's name, if they still exist.
    pub assignee_name: Option<String>,
}

/// What tasks can be filtered and ordered by.
pub static TASKS: Entity = Entity {
    name: "tasks",
    properties: &[
        Property::new("id", "k.id", Kind::Id),
        Property::new("state", "k.state", Kind::Enum(&["open", "done", "couldNot", "withdrawn"])),
        Property::new("dueDateTime", "k.due_at_ms", Kind::Instant).sortable(),
        Property::new("createdDateTime", "k.created_at_ms", Kind::Instant).sortable(),
        Property::new("assignee/id", "k.assignee_id", Kind::Id),
        Property::new("target/id", "d.target_id", Kind::Id),
        Property::new("target/name", "t.name", Kind::Text),
        Property::new("deliveryId", "k.delivery_id", Kind::Id),
        Property::new("person/id", "u.id", Kind::Id).nullable(),
    ],
    unique: &["k.id"],
    order: &[("dueDateTime", Direction::Ascending)],
};

macro_rules! columns {
    () => {
        "k.id, k.delivery_id, k.generation, k.is_grant, k.assignee_id, k.is_group, k.instructions,
         k.state, k.created_by, k.created_at_ms, k.due_at_ms, k.closed_by, k.closed_at_ms, k.note,
         k.version"
    };
}

const WIDTH: usize = 15;

macro_rules! names {
    () => {
        "d.target_id, t.name, t.display_name, d.subject_id, u.id, u.display_name,
         u.user_principal_name, d.role_origin_id, d.resource_origin_id, o.display_name,
         e.display_name, coalesce(w.display_name, g.display_name)"
    };
}

macro_rules! from {
    () => {
        "tasks k join deliveries d on d.id = k.delivery_id join targets t on t.id = d.target_id
         left join users u on u.subject_id = d.subject_id
         left join resource_roles o on o.id = d.role_id
         left join resources e on e.id = o.resource_id
         left join users w on w.id = k.assignee_id and w.deleted_at_ms is null
         left join groups g on g.id = k.assignee_id"
    };
}

impl Task {
    fn from_row(row: &Row) -> Result<Task> {
        Ok(Task {
            id: row.get(0)?,
            delivery: row.get(1)?,
            generation: row.get(2)?,
            is_grant: row.get(3)?,
            assignee: row.get(4)?,
            is_group: row.get(5)?,
            instructions: row.get(6)?,
            state: named(State::parse, &row.get::<String>(7)?)?,
            created_by: row.get(8)?,
            created_at: row.get(9)?,
            due_at: row.get(10)?,
            closed_by: row.get(11)?,
            closed_at: row.get(12)?,
            note: row.get(13)?,
            version: row.get(14)?,
        })
    }
}

fn with_names(row: &Row) -> Result<Named> {
    let user: Option<UserId> = row.get(WIDTH + 4)?;
    let name: Option<String> = row.get(WIDTH + 5)?;
    let principal: Option<String> = row.get(WIDTH + 6)?;
    Ok(Named {
        task: Task::from_row(row)?,
        target: row.get(WIDTH)?,
        target_name: row.get(WIDTH + 1)?,
        target_display_name: row.get(WIDTH + 2)?,
        subject: row.get(WIDTH + 3)?,
        person: user.zip(name).zip(principal).map(|((id, name), upn)| (id, name, upn)),
        role: row.get(WIDTH + 7)?,
        resource: row.get(WIDTH + 8)?,
        role_name: row.get(WIDTH + 9)?,
        resource_name: row.get(WIDTH + 10)?,
        assignee_name: row.get(WIDTH + 11)?,
    })
}

/// Adds a task. Its delivery has no open one, or [`Error::Duplicate`].
pub async fn insert(tx: &mut Tx<'_>, task: &Task) -> Result<()> {
    tx.execute(
        "insert into tasks (id, delivery_id, generation, is_grant, assignee_id, is_group,
             instructions, state, created_by, created_at_ms, due_at_ms, closed_by, closed_at_ms,
             note, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        params![
            task.id,
            task.delivery,
            task.generation,
            task.is_grant,
            task.assignee,
            task.is_group,
            task.instructions.clone(),
            task.state.name(),
            task.created_by.clone(),
            task.created_at,
            task.due_at,
            task.closed_by.clone(),
            task.closed_at,
            task.note.clone(),
            task.version
        ],
    )
    .await?;
    Ok(())
}

/// Saves who is to do a task by when, and where it stands; counts the change.
pub async fn save(tx: &mut Tx<'_>, task: &mut Task) -> Result<()> {
    let changed = tx
        .execute(
            "update tasks set assignee_id = $3, is_group = $4, due_at_ms = $5, state = $6,
                 closed_by = $7, closed_at_ms = $8, note = $9, version = version + 1
             where id = $1 and version = $2",
            params![
                task.id,
                task.version,
                task.assignee,
                task.is_group,
                task.due_at,
                task.state.name(),
                task.closed_by.clone(),
                task.closed_at,
                task.note.clone()
            ],
        )
        .await?;
    if changed == 0 {
        return Err(Error::Stale);
    }
    task.version += 1;
    Ok(())
}

/// Reads a task and holds its row until the transaction ends. Lock its delivery first.
pub async fn lock(tx: &mut Tx<'_>, id: TaskId) -> Result<Option<Task>> {
    let sql = Sql {
        lite: concat!("select ", columns!(), " from tasks k where k.id = $1"),
        pg: concat!("select ", columns!(), " from tasks k where k.id = $1 for update"),
    };
    tx.query_opt(sql, params![id]).await?.map(|row| Task::from_row(&row)).transpose()
}

/// The open task of a delivery, if there is one. Lock the delivery first.
pub async fn open_of(tx: &mut Tx<'_>, delivery: DeliveryId) -> Result<Option<Task>> {
    let sql = concat!(
        "select ",
        columns!(),
        " from tasks k where k.delivery_id = $1 and k.state = 'open'"
    );
    tx.query_opt(sql, params![delivery]).await?.map(|row| Task::from_row(&row)).transpose()
}

/// A task with its names.
pub async fn get(tx: &mut Tx<'_>, id: TaskId) -> Result<Option<Named>> {
    let sql = concat!("select ", columns!(), ", ", names!(), " from ", from!(), " where k.id = $1");
    tx.query_opt(sql, params![id]).await?.map(|row| with_names(&row)).transpose()
}

/// The newest tasks of a delivery with their names.
pub async fn of_delivery(
    tx: &mut Tx<'_>,
    delivery: DeliveryId,
    limit: usize,
) -> Result<Vec<Named>> {
    let sql = concat!(
        "select ",
        columns!(),
        ", ",
        names!(),
        " from ",
        from!(),
        " where k.delivery_id = $1 order by k.created_at_ms desc, k.id desc limit $2"
    );
    let rows = tx.query(sql, params![delivery, limit_value(limit)]).await?;
    rows.iter().map(with_names).collect()
}

/// Whose tasks a reader is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Those of a person and of the groups they are in.
    Of(UserId),
    /// Those of packages of the catalogs in reach.
    Reach(Reach),
}

const OF_USER: &str = "(k.assignee_id = $1
     or k.assignee_id in (select m.group_id from group_members m where m.member_id = $1))";

/// A page of tasks; those due first come first if no order is asked.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page(
    tx: &mut Tx<'_>,
    whose: &Whose,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Named>, ListError> {
    let mut values = Vec::new();
    let condition = match whose {
        Whose::Of(user) => {
            values.push((*user).into());
            Some(OF_USER.to_owned())
        }
        Whose::Reach(reach) => within(reach, "p.catalog_id", &mut values).map(|seen| {
            format!(
                "exists (select 1 from reasons x join assignments a on a.id = x.assignment_id
                     join packages p on p.id = a.package_id
                     where x.delivery_id = k.delivery_id and {seen})"
            )
        }),
    };
    let source = Source {
        entity: &TASKS,
        columns: concat!(columns!(), ", ", names!()),
        from: from!(),
        conditions: condition.as_slice(),
        values: &values,
        read: with_names,
    };
    pages::page(tx, &source, ask, count).await
}

/// Whether somebody is the assignee of a task, directly or through a group.
pub async fn is_assigned(tx: &mut Tx<'_>, id: TaskId, user: UserId) -> Result<bool> {
    let found = tx
        .query_opt(
            "select 1 from tasks k where k.id = $1 and (k.assignee_id = $2
                 or k.assignee_id in (select m.group_id from group_members m where m.member_id = $2))",
            params![id, user],
        )
        .await?;
    Ok(found.is_some())
}

/// How many tasks are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Open.
    pub open: i64,
    /// Of those, past their due date.
    pub overdue: i64,
}

/// How many tasks somebody, directly or through a group, is to do.
pub async fn waiting_for(tx: &mut Tx<'_>, user: UserId, now: Timestamp) -> Result<Waiting> {
    let row = tx
        .query_one(
            "select count(*), count(case when k.due_at_ms < $2 then 1 end) from tasks k
             where k.state = 'open' and (k.assignee_id = $1
                 or k.assignee_id in (select m.group_id from group_members m where m.member_id = $1))",
            params![user, now],
        )
        .await?;
    Ok(Waiting { open: row.get(0)?, overdue: row.get(1)? })
}

/// How many tasks are open, and how many of them are past their due date.
pub async fn waiting(tx: &mut Tx<'_>, now: Timestamp) -> Result<Waiting> {
    let row = tx
        .query_one(
            "select count(*), count(case when due_at_ms < $1 then 1 end) from tasks
             where state = 'open'",
            params![now],
        )
        .await?;
    Ok(Waiting { open: row.get(0)?, overdue: row.get(1)? })
}
