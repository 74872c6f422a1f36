//! Groups of the built-in directory, their members and owners. Both are users, never groups.

use accede_domain::Timestamp;
use accede_domain::filter::Direction;
use accede_domain::id::{GroupId, PackageId, UserId};

use crate::filter::{Ask, Entity, FilterError, Kind, Plan, Property};
use crate::{Error, Result, Row, Tx, Value, params};

/// A group as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Object id.
    pub id: GroupId,
    /// Name for people; several groups may share one.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Short name.
    pub mail_nickname: String,
    /// Mail address.
    pub mail: Option<String>,
    /// Who may see it: `Public`, `Private`, `HiddenMembership`.
    pub visibility: Option<String>,
    /// When it came to be.
    pub created_at: Timestamp,
    /// Counts the changes of the row.
    pub version: i64,
}

macro_rules! columns {
    () => {
        "g.id, g.display_name, g.description, g.mail_nickname, g.mail, g.visibility,
         g.created_at_ms, g.version"
    };
}

/// What a list of groups can be asked.
static GROUPS: Entity = Entity {
    name: "groups",
    properties: &[
        Property::new("id", "g.id", Kind::Id),
        Property::new("displayName", "g.display_name", Kind::TextNoCase).sortable(),
        Property::new("description", "g.description", Kind::TextNoCase).nullable(),
        Property::new("mailNickname", "g.mail_nickname", Kind::TextNoCase),
        Property::new("mail", "g.mail", Kind::TextNoCase).nullable(),
        Property::new(
            "visibility",
            "g.visibility",
            Kind::Enum(&["Public", "Private", "HiddenMembership"]),
        )
        .nullable(),
        Property::new("createdDateTime", "g.created_at_ms", Kind::Instant),
    ],
    unique: &["g.id"],
    order: &[("displayName", Direction::Ascending)],
};

/// Which groups a list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// All of them.
    All,
    /// Those that have this member.
    Member(UserId),
    /// Those that have this owner.
    Owner(UserId),
}

impl Of {
    const fn from(self) -> &'static str {
        match self {
            Of::All => "groups g",
            Of::Member(_) => "group_members m join groups g on g.id = m.group_id",
            Of::Owner(_) => "group_owners o join groups g on g.id = o.group_id",
        }
    }

    const fn own(self) -> Option<&'static str> {
        match self {
            Of::All => None,
            Of::Member(_) => Some("m.member_id = $1"),
            Of::Owner(_) => Some("o.owner_id = $1"),
        }
    }

    fn parameters(self) -> Vec<Value> {
        match self {
            Of::All => Vec::new(),
            Of::Member(user) | Of::Owner(user) => vec![user.into()],
        }
    }
}

/// How a user belongs to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// As a member.
    Member,
    /// As an owner.
    Owner,
}

impl Group {
    fn from_row(row: &Row) -> Result<Group> {
        Ok(Group {
            id: row.get(0)?,
            display_name: row.get(1)?,
            description: row.get(2)?,
            mail_nickname: row.get(3)?,
            mail: row.get(4)?,
            visibility: row.get(5)?,
            created_at: row.get(6)?,
            version: row.get(7)?,
        })
    }
}

/// Adds a group.
pub async fn insert(tx: &mut Tx<'_>, group: &Group) -> Result<()> {
    tx.execute(
        "insert into groups (id, display_name, description, mail_nickname, mail, visibility,
                             created_at_ms, version)
         values ($1, $2, $3, $4, $5, $6, $7, 1)",
        params![
            group.id,
            &group.display_name,
            &group.description,
            &group.mail_nickname,
            &group.mail,
            &group.visibility,
            group.created_at
        ],
    )
    .await?;
    Ok(())
}

/// Writes a changed group back; [`Error::Stale`] if it was changed meanwhile.
pub async fn save(tx: &mut Tx<'_>, group: &Group) -> Result<()> {
    let saved = tx
        .execute(
            "update groups
             set display_name = $2, description = $3, mail_nickname = $4, mail = $5,
                 visibility = $6, version = version + 1
             where id = $1 and version = $7",
            params![
                group.id,
                &group.display_name,
                &group.description,
                &group.mail_nickname,
                &group.mail,
                &group.visibility,
                group.version
            ],
        )
        .await?;
    if saved == 1 { Ok(()) } else { Err(Error::Stale) }
}

/// A group by its id.
pub async fn get(tx: &mut Tx<'_>, id: GroupId) -> Result<Option<Group>> {
    let row = tx
        .query_opt(concat!("select ", columns!(), " from groups g where g.id = $1"), params![id])
        .await?;
    row.map(|row| Group::from_row(&row)).transpose()
}

/// The groups whose name or id contains `search` (all if `None`), by name, at most `limit`.
pub async fn search(tx: &mut Tx<'_>, search: Option<&str>, limit: usize) -> Result<Vec<Group>> {
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                " from groups g
                  where $1 = '' or replace(lower(g.display_name), $1, '') <> lower(g.display_name)
                     or replace(lower(g.mail_nickname), $1, '') <> lower(g.mail_nickname)
                  order by g.display_name, g.id limit $2"
            ),
            params![
                search.unwrap_or_default().to_ascii_lowercase(),
                crate::requests::limit_value(limit)
            ],
        )
        .await?;
    rows.iter().map(Group::from_row).collect()
}

/// The groups whose members cannot get a package, by name.
pub async fn excluded_from(tx: &mut Tx<'_>, package: PackageId) -> Result<Vec<Group>> {
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                " from incompatible_groups x join groups g on g.id = x.group_id
                  where x.package_id = $1 order by g.display_name, g.id"
            ),
            params![package],
        )
        .await?;
    rows.iter().map(Group::from_row).collect()
}

/// Compiles what is asked of a list of groups.
///
/// # Errors
///
/// What the list does not have.
pub fn plan(of: Of, ask: Ask<'_>) -> Result<Plan, FilterError> {
    Plan::new(&GROUPS, ask, of.parameters().len() + 1)
}

/// A page of a list, and where the next begins.
pub async fn list(tx: &mut Tx<'_>, of: Of, plan: &Plan) -> Result<(Vec<Group>, Option<String>)> {
    let (sql, values) = plan.select(columns!(), of.from(), of.own(), &of.parameters());
    let mut rows = tx.query_text(&sql, &values).await?;
    let next = plan.cut(&mut rows)?;
    Ok((rows.iter().map(Group::from_row).collect::<Result<_>>()?, next))
}

/// How many groups a list has in all.
pub async fn count(tx: &mut Tx<'_>, of: Of, plan: &Plan) -> Result<i64> {
    let (sql, values) = plan.count(of.from(), of.own(), &of.parameters());
    tx.query_one_text(&sql, &values).await?.get(0)
}

/// Makes users members or owners; how many were not so before.
pub async fn add(tx: &mut Tx<'_>, group: GroupId, tie: Tie, users: &[UserId]) -> Result<u64> {
    let rows: Vec<Vec<Value>> = users.iter().map(|user| params![group, *user].to_vec()).collect();
    let sql = match tie {
        Tie::Member => {
            "insert into group_members (group_id, member_id) values ($1, $2)
             on conflict do nothing"
        }
        Tie::Owner => {
            "insert into group_owners (group_id, owner_id) values ($1, $2) on conflict do nothing"
        }
    };
    tx.execute_all(sql, &rows).await
}

/// Ends a user's membership or ownership; whether there was one.
pub async fn remove(tx: &mut Tx<'_>, group: GroupId, tie: Tie, user: UserId) -> Result<bool> {
    let sql = match tie {
        Tie::Member => "delete from group_members where group_id = $1 and member_id = $2",
        Tie::Owner => "delete from group_owners where group_id = $1 and owner_id = $2",
    };
    Ok(tx.execute(sql, params![group, user]).await? > 0)
}

/// Whether a user is a member or an owner.
pub async fn has(tx: &mut Tx<'_>, group: GroupId, tie: Tie, user: UserId) -> Result<bool> {
    let sql = match tie {
        Tie::Member => "select 1 from group_members where group_id = $1 and member_id = $2",
        Tie::Owner => "select 1 from group_owners where group_id = $1 and owner_id = $2",
    };
    Ok(tx.query_opt(sql, params![group, user]).await?.is_some())
}

/// The members or owners of a group with their full names, at most `limit`.
pub async fn everybody(
    tx: &mut Tx<'_>,
    group: GroupId,
    tie: Tie,
    limit: usize,
) -> Result<Vec<(UserId, String)>> {
    let sql = match tie {
        Tie::Member => {
            "select u.id, u.display_name from group_members m join users u on u.id = m.member_id
             where m.group_id = $1 order by m.member_id limit $2"
        }
        Tie::Owner => {
            "select u.id, u.display_name from group_owners m join users u on u.id = m.owner_id
             where m.group_id = $1 order by m.owner_id limit $2"
        }
    };
    let rows = tx.query(sql, params![group, crate::requests::limit_value(limit)]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Ends every membership and ownership of a user.
pub async fn remove_everywhere(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.execute("delete from group_members where member_id = $1", params![user]).await?;
    tx.execute("delete from group_owners where owner_id = $1", params![user]).await?;
    Ok(())
}

/// What still needs a group: names of packages that are incompatible with it, and of catalogs
/// whose resource it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// Packages that its members must not have.
    pub packages: Vec<String>,
    /// Catalogs that hold it as a resource.
    pub catalogs: Vec<String>,
}

/// What still needs a group; a few names of each.
pub async fn uses(tx: &mut Tx<'_>, group: GroupId) -> Result<Uses> {
    let packages = tx
        .query(
            "select p.display_name
             from incompatible_groups i join packages p on p.id = i.package_id
             where i.group_id = $1 and p.deleted_at_ms is null
             order by p.display_name limit 5",
            params![group],
        )
        .await?;
    let catalogs = tx
        .query(
            "select distinct c.display_name
             from resources r
             join targets t on t.id = r.target_id
             join catalogs c on c.id = r.catalog_id
             where r.origin_id = $1 and t.kind = 'directory' and c.deleted_at_ms is null
             order by c.display_name limit 5",
            params![group.to_string()],
        )
        .await?;
    let names = |rows: Vec<Row>| rows.iter().map(|row| row.get(0)).collect::<Result<_>>();
    Ok(Uses { packages: names(packages)?, catalogs: names(catalogs)? })
}

/// Deletes a group with its memberships and ownerships.
pub async fn delete(tx: &mut Tx<'_>, id: GroupId) -> Result<()> {
    tx.execute("delete from group_members where group_id = $1", params![id]).await?;
    tx.execute("delete from group_owners where group_id = $1", params![id]).await?;
    match tx.execute("delete from groups where id = $1", params![id]).await? {
        1 => Ok(()),
        _ => Err(Error::NotFound),
    }
}
