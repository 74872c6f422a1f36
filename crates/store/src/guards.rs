//! Held changes: derived changes that wait for a second person, what they would do, and who may not
//! be that person.

use accede_domain::Timestamp;
use accede_domain::guard::Changes;
use accede_domain::id::{
    CatalogId, GuardId, PackageId, ResourceRoleId, ResourceScopeId, TargetId, UserId,
};
use uuid::Uuid;

use crate::many::places;
use crate::requests::{limit_value, named};
use crate::{Result, Row, Sql, Tx, Value, params};

/// From what derived changes follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A package's roles changed.
    PackageRoles,
    /// An import disables people.
    UserImport,
    /// A comparison found access in a target that no assignment gives.
    ExtraAccess,
}

impl Cause {
    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::PackageRoles => "packageRoles",
            Cause::UserImport => "userImport",
            Cause::ExtraAccess => "extraAccess",
        }
    }

    fn parse(name: &str) -> Option<Cause> {
        [Cause::PackageRoles, Cause::UserImport, Cause::ExtraAccess]
            .into_iter()
            .find(|cause| cause.name() == name)
    }
}

/// Where a held change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits.
    Held,
    /// A second person let it go on.
    Released,
    /// A second person took it back.
    Rejected,
    /// It became small enough, because what caused it was taken back.
    Withdrawn,
}

impl State {
    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Held => "held",
            State::Released => "released",
            State::Rejected => "rejected",
            State::Withdrawn => "withdrawn",
        }
    }

    fn parse(name: &str) -> Option<State> {
        [State::Held, State::Released, State::Rejected, State::Withdrawn]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// A held change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Its id.
    pub id: GuardId,
    /// From what it follows.
    pub cause: Cause,
    /// Whose roles changed, if it is a package's.
    pub package: Option<PackageId>,
    /// The package's catalog and name.
    pub package_named: Option<(CatalogId, String)>,
    /// Where it stands.
    pub state: State,
    /// Since when it waits.
    pub created_at: Timestamp,
    /// Who decided, by name.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// Why, in their words.
    pub justification: Option<String>,
    /// Counts its changes.
    pub version: i64,
}

macro_rules! columns {
    () => {
        "g.id, g.cause, g.package_id, g.state, g.created_at_ms, g.decided_by, g.decided_at_ms,
         g.justification, g.version, p.catalog_id, p.display_name"
    };
}

impl Guard {
    fn from_row(row: &Row) -> Result<Guard> {
        let catalog: Option<CatalogId> = row.get(9)?;
        let name: Option<String> = row.get(10)?;
        Ok(Guard {
            id: row.get(0)?,
            cause: named(Cause::parse, &row.get::<String>(1)?)?,
            package: row.get(2)?,
            package_named: catalog.zip(name),
            state: named(State::parse, &row.get::<String>(3)?)?,
            created_at: row.get(4)?,
            decided_by: row.get(5)?,
            decided_at: row.get(6)?,
            justification: row.get(7)?,
            version: row.get(8)?,
        })
    }
}

/// What would happen at one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtTarget {
    /// Which.
    pub target: TargetId,
    /// What would be given and taken.
    pub changes: Changes,
    /// How much of ours the target holds.
    pub live: i64,
}

/// A role that was added to a package or removed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleChange {
    /// The role.
    pub role: ResourceRoleId,
    /// In which scope.
    pub scope: ResourceScopeId,
    /// Added; removed otherwise.
    pub is_added: bool,
}

/// Adds a held change.
pub async fn insert(tx: &mut Tx<'_>, guard: &Guard) -> Result<()> {
    tx.execute(
        "insert into guards (id, cause, package_id, state, created_at_ms, version)
         values ($1, $2, $3, $4, $5, $6)",
        params![
            guard.id,
            guard.cause.name(),
            guard.package,
            guard.state.name(),
            guard.created_at,
            guard.version
        ],
    )
    .await?;
    Ok(())
}

/// Saves where a held change stands, and counts the change.
pub async fn save(tx: &mut Tx<'_>, guard: &mut Guard) -> Result<()> {
    let changed = tx
        .execute(
            "update guards set state = $3, decided_by = $4, decided_at_ms = $5,
                 justification = $6, version = version + 1
             where id = $1 and version = $2",
            params![
                guard.id,
                guard.version,
                guard.state.name(),
                guard.decided_by.clone(),
                guard.decided_at,
                guard.justification.clone()
            ],
        )
        .await?;
    if changed == 0 {
        return Err(crate::Error::Stale);
    }
    guard.version += 1;
    Ok(())
}

/// Reads a held change.
pub async fn get(tx: &mut Tx<'_>, id: GuardId) -> Result<Option<Guard>> {
    let sql = concat!(
        "select ",
        columns!(),
        " from guards g left join packages p on p.id = g.package_id where g.id = $1"
    );
    tx.query_opt(sql, params![id]).await?.map(|row| Guard::from_row(&row)).transpose()
}

/// Reads a held change and holds its row until the transaction ends.
pub async fn lock(tx: &mut Tx<'_>, id: GuardId) -> Result<Option<Guard>> {
    let sql = Sql {
        lite: concat!(
            "select ",
            columns!(),
            " from guards g left join packages p on p.id = g.package_id where g.id = $1"
        ),
        pg: concat!(
            "select ",
            columns!(),
            " from guards g left join packages p on p.id = g.package_id where g.id = $1
             for update of g"
        ),
    };
    tx.query_opt(sql, params![id]).await?.map(|row| Guard::from_row(&row)).transpose()
}

/// The change of a package's roles that waits, if one does. Hold the package's row first.
pub async fn held_of(tx: &mut Tx<'_>, package: PackageId) -> Result<Option<Guard>> {
    let sql = concat!(
        "select ",
        columns!(),
        " from guards g left join packages p on p.id = g.package_id
         where g.package_id = $1 and g.state = 'held'"
    );
    tx.query_opt(sql, params![package]).await?.map(|row| Guard::from_row(&row)).transpose()
}

/// The removal of extra access that waits at a target, if one does.
pub async fn held_extra(tx: &mut Tx<'_>, target: TargetId) -> Result<Option<Guard>> {
    let sql = concat!(
        "select ",
        columns!(),
        " from guards g join guard_counts c on c.guard_id = g.id
             left join packages p on p.id = g.package_id
         where g.cause = 'extraAccess' and g.state = 'held' and c.target_id = $1"
    );
    tx.query_opt(sql, params![target]).await?.map(|row| Guard::from_row(&row)).transpose()
}

/// The import whose people wait, if one does; the oldest of several.
pub async fn held_import(tx: &mut Tx<'_>) -> Result<Option<Guard>> {
    let sql = concat!(
        "select ",
        columns!(),
        " from guards g left join packages p on p.id = g.package_id
         where g.cause = 'userImport' and g.state = 'held'
         order by g.created_at_ms, g.id limit 1"
    );
    tx.query_opt(sql, &[]).await?.map(|row| Guard::from_row(&row)).transpose()
}

/// The newest changes that were held, those that wait first.
pub async fn list(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<Guard>> {
    let mut found = Vec::new();
    let waiting = concat!(
        "select ",
        columns!(),
        " from guards g left join packages p on p.id = g.package_id
         where g.state = 'held' order by g.created_at_ms desc, g.id limit $1"
    );
    let over = concat!(
        "select ",
        columns!(),
        " from guards g left join packages p on p.id = g.package_id
         where g.state <> 'held' order by g.created_at_ms desc, g.id limit $1"
    );
    for sql in [waiting, over] {
        let left = limit.saturating_sub(found.len());
        for row in tx.query(sql, params![limit_value(left)]).await? {
            found.push(Guard::from_row(&row)?);
        }
    }
    Ok(found)
}

/// How many changes wait, and since when the first.
pub async fn waiting(tx: &mut Tx<'_>) -> Result<(i64, Option<Timestamp>)> {
    let row = tx
        .query_one(
            "select count(*), min(created_at_ms) from guards where state = 'held'",
            params![],
        )
        .await?;
    Ok((row.get(0)?, row.get(1)?))
}

/// Notes who caused it: none of them can be the second person.
pub async fn add_causer(tx: &mut Tx<'_>, id: GuardId, who: Uuid, name: &str) -> Result<()> {
    tx.execute(
        "insert into guard_causers (guard_id, principal_id, name) values ($1, $2, $3)
         on conflict (guard_id, principal_id) do nothing",
        params![id, who, name],
    )
    .await?;
    Ok(())
}

/// Who caused it: object id and name.
pub async fn causers(tx: &mut Tx<'_>, id: GuardId) -> Result<Vec<(Uuid, String)>> {
    let rows = tx
        .query(
            "select principal_id, name from guard_causers where guard_id = $1
             order by name, principal_id",
            params![id],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Replaces what would happen.
pub async fn set_counts(tx: &mut Tx<'_>, id: GuardId, counts: &[AtTarget]) -> Result<()> {
    tx.execute("delete from guard_counts where guard_id = $1", params![id]).await?;
    for count in counts {
        tx.execute(
            "insert into guard_counts (guard_id, target_id, grants, revocations, live)
             values ($1, $2, $3, $4, $5)",
            params![id, count.target, count.changes.grants, count.changes.revocations, count.live],
        )
        .await?;
    }
    Ok(())
}

/// What would happen at each target, with the target's name for people.
pub async fn counts(tx: &mut Tx<'_>, id: GuardId) -> Result<Vec<(AtTarget, String)>> {
    let rows = tx
        .query(
            "select c.target_id, c.grants, c.revocations, c.live, t.display_name
             from guard_counts c join targets t on t.id = c.target_id
             where c.guard_id = $1 order by t.display_name, c.target_id",
            params![id],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let changes = Changes { grants: row.get(1)?, revocations: row.get(2)? };
            Ok((AtTarget { target: row.get(0)?, changes, live: row.get(3)? }, row.get(4)?))
        })
        .collect()
}

/// Notes a role's change; one that undoes an earlier one leaves neither.
pub async fn add_change(tx: &mut Tx<'_>, id: GuardId, change: RoleChange) -> Result<()> {
    let undone = tx
        .execute(
            "delete from guard_changes
             where guard_id = $1 and role_id = $2 and scope_id = $3 and is_added <> $4",
            params![id, change.role, change.scope, change.is_added],
        )
        .await?;
    if undone == 0 {
        tx.execute(
            "insert into guard_changes (guard_id, role_id, scope_id, is_added)
             values ($1, $2, $3, $4) on conflict (guard_id, role_id, scope_id) do nothing",
            params![id, change.role, change.scope, change.is_added],
        )
        .await?;
    }
    Ok(())
}

/// The roles whose changes wait.
pub async fn changes(tx: &mut Tx<'_>, id: GuardId) -> Result<Vec<RoleChange>> {
    let rows = tx
        .query(
            "select role_id, scope_id, is_added from guard_changes where guard_id = $1
             order by is_added, role_id, scope_id",
            params![id],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(RoleChange { role: row.get(0)?, scope: row.get(1)?, is_added: row.get(2)? }))
        .collect()
}

/// Adds people who are to be disabled.
pub async fn add_people(tx: &mut Tx<'_>, id: GuardId, people: &[UserId]) -> Result<()> {
    let rows: Vec<Vec<Value>> = people.iter().map(|user| params![id, *user].to_vec()).collect();
    tx.execute_all(
        "insert into guard_people (guard_id, user_id, is_done) values ($1, $2, false)
         on conflict (guard_id, user_id) do nothing",
        &rows,
    )
    .await?;
    Ok(())
}

/// Everybody who is to be disabled.
pub async fn leaving(tx: &mut Tx<'_>, id: GuardId) -> Result<Vec<UserId>> {
    let rows = tx
        .query("select user_id from guard_people where guard_id = $1 order by user_id", params![id])
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// How many people are to be disabled, and how many of them had their turn.
pub async fn people(tx: &mut Tx<'_>, id: GuardId) -> Result<(i64, i64)> {
    let row = tx
        .query_one(
            "select count(*), coalesce(sum(case when is_done then 1 else 0 end), 0)
             from guard_people where guard_id = $1",
            params![id],
        )
        .await?;
    Ok((row.get(0)?, row.get(1)?))
}

/// The first of the people who are to be disabled, by name.
pub async fn people_named(tx: &mut Tx<'_>, id: GuardId, limit: usize) -> Result<Vec<String>> {
    let rows = tx
        .query(
            "select u.user_principal_name from guard_people x join users u on u.id = x.user_id
             where x.guard_id = $1 order by u.user_principal_name limit $2",
            params![id, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// People of released changes who have not had their turn, with who released it.
pub async fn people_left(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<(GuardId, UserId, String)>> {
    let rows = tx
        .query(
            "select x.guard_id, x.user_id, coalesce(g.decided_by, '')
             from guards g join guard_people x on x.guard_id = g.id
             where g.state = 'released' and not x.is_done
             order by x.guard_id, x.user_id limit $1",
            params![limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).collect()
}

/// Somebody had their turn.
pub async fn person_done(tx: &mut Tx<'_>, id: GuardId, user: UserId) -> Result<()> {
    tx.execute(
        "update guard_people set is_done = true where guard_id = $1 and user_id = $2",
        params![id, user],
    )
    .await?;
    Ok(())
}

/// Whether the change of a package's roles waits.
pub async fn is_held(tx: &mut Tx<'_>, package: PackageId) -> Result<bool> {
    let row = tx
        .query_one(
            "select count(*) from guards where package_id = $1 and state = 'held'",
            params![package],
        )
        .await?;
    Ok(row.get::<i64>(0)? != 0)
}

/// How many roles a target would be given and have taken by changes that wait.
pub async fn waiting_at(tx: &mut Tx<'_>, target: TargetId) -> Result<Changes> {
    let row = tx
        .query_one(
            "select cast(coalesce(sum(c.grants), 0) as bigint),
                 cast(coalesce(sum(c.revocations), 0) as bigint)
             from guard_counts c join guards g on g.id = c.guard_id
             where c.target_id = $1 and g.state = 'held'",
            params![target],
        )
        .await?;
    Ok(Changes { grants: row.get(0)?, revocations: row.get(1)? })
}

/// Whether any change waits.
pub async fn any_held(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(waiting(tx).await?.0 != 0)
}

/// People are said to be active again: no change that waits disables them any more.
pub async fn spare(tx: &mut Tx<'_>, people: &[UserId]) -> Result<()> {
    let mut values = Vec::new();
    let list = places(people, &mut values);
    let text = format!(
        "delete from guard_people where guard_id in (select id from guards where state = 'held')
             and user_id in ({list})"
    );
    tx.execute_text(&text, &values).await?;
    Ok(())
}
