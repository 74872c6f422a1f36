//! What the rules need to know of people: lock them, read their facts, find managers and members.

use accede_domain::id::{GroupId, PackageId, SubjectId, UserId};
use accede_domain::policy::Person;
use accede_domain::separation::Held;

use crate::many::places;
use crate::{Error, Result, Row, Sql, Tx, Value, params};

/// A person, as requests and deliveries know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Subject id.
    pub subject: SubjectId,
    /// Object id in the directory.
    pub user: UserId,
    /// Whether they may hold access: not disabled, not deleted.
    pub is_active: bool,
    /// Member or guest.
    pub is_guest: bool,
    /// Sign-in name.
    pub user_principal_name: String,
    /// Full name.
    pub display_name: String,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub surname: Option<String>,
    /// Mail address.
    pub mail: Option<String>,
}

macro_rules! columns {
    () => {
        "s.id, u.id, s.is_active, u.user_type, u.user_principal_name, u.display_name,
         u.given_name, u.surname, u.mail"
    };
}
pub(crate) use columns;

impl Facts {
    pub(crate) fn from_row(row: &Row) -> Result<Facts> {
        Ok(Facts {
            subject: row.get(0)?,
            user: row.get(1)?,
            is_active: row.get(2)?,
            is_guest: row.get::<String>(3)? == "Guest",
            user_principal_name: row.get(4)?,
            display_name: row.get(5)?,
            given_name: row.get(6)?,
            surname: row.get(7)?,
            mail: row.get(8)?,
        })
    }
}

/// Holds a subject's row until the transaction ends: whatever decides about a person's access does
/// this first, so that no two decide at once.
pub async fn lock(tx: &mut Tx<'_>, subject: SubjectId) -> Result<()> {
    let sql = Sql {
        lite: "select id from subjects where id = $1",
        pg: "select id from subjects where id = $1 for update",
    };
    tx.post_one(sql, params![subject], Error::NotFound).await
}

/// A person by subject id.
pub async fn by_subject(tx: &mut Tx<'_>, subject: SubjectId) -> Result<Option<Facts>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from subjects s join users u on u.id = s.object_id where s.id = $1"
        ),
        params![subject],
    )
    .await?
    .map(|row| Facts::from_row(&row))
    .transpose()
}

/// People by subject id, each in the place of its id: for a call that has many, without waiting for one
/// answer before the next.
pub async fn by_subjects(tx: &mut Tx<'_>, ids: &[SubjectId]) -> Result<Vec<Option<Facts>>> {
    let sql = concat!(
        "select ",
        columns!(),
        " from subjects s join users u on u.id = s.object_id where s.id = $1"
    );
    let asked: Vec<Vec<Value>> = ids.iter().map(|id| params![*id].to_vec()).collect();
    let answers = tx.query_all(sql, &asked).await?;
    answers.iter().map(|rows| rows.first().map(Facts::from_row).transpose()).collect()
}

/// A person by object id.
pub async fn by_user(tx: &mut Tx<'_>, user: UserId) -> Result<Option<Facts>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from users u join subjects s on s.object_id = u.id where u.id = $1"
        ),
        params![user],
    )
    .await?
    .map(|row| Facts::from_row(&row))
    .transpose()
}

/// The full names of these people, also of those who are deleted; who is missing is missing.
pub async fn names(tx: &mut Tx<'_>, users: &[UserId]) -> Result<Vec<(UserId, String)>> {
    let mut values = Vec::new();
    let places = places(users, &mut values);
    let sql = format!("select id, display_name from users where id in ({places})");
    let rows = tx.query_text(&sql, &values).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// A person by mail address or sign-in name, whatever its case; nobody if several match.
pub async fn by_email(tx: &mut Tx<'_>, email: &str) -> Result<Option<Facts>> {
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                " from users u join subjects s on s.object_id = u.id
                 where u.deleted_at_ms is null
                     and (u.user_principal_name_key = $1 or u.mail = $2)
                 order by u.id limit 2"
            ),
            params![email.to_lowercase(), email],
        )
        .await?;
    match rows.as_slice() {
        [row] => Facts::from_row(row).map(Some),
        _ => Ok(None),
    }
}

/// The groups a person is a member of.
pub async fn groups_of(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<Held<GroupId>>> {
    let rows = tx
        .query(
            "select g.id, g.display_name
             from group_members m join groups g on g.id = m.group_id
             where m.member_id = $1 order by g.id",
            params![user],
        )
        .await?;
    rows.iter().map(|row| Ok(Held { id: row.get(0)?, name: row.get(1)? })).collect()
}

/// What policies look at.
pub async fn policy_person(tx: &mut Tx<'_>, facts: &Facts) -> Result<Person> {
    let groups = groups_of(tx, facts.user).await?;
    Ok(Person {
        user: facts.user,
        is_guest: facts.is_guest,
        groups: groups.into_iter().map(|held| held.id).collect(),
    })
}

/// The packages a person has by a live assignment.
pub async fn packages_of(tx: &mut Tx<'_>, subject: SubjectId) -> Result<Vec<Held<PackageId>>> {
    let rows = tx
        .query(
            "select p.id, p.display_name
             from assignments a join packages p on p.id = a.package_id
             where a.subject_id = $1 and a.state not in ('ending', 'expired') order by p.id",
            params![subject],
        )
        .await?;
    rows.iter().map(|row| Ok(Held { id: row.get(0)?, name: row.get(1)? })).collect()
}

/// A person's active manager, `level` steps up, if there is one.
pub async fn manager(tx: &mut Tx<'_>, user: UserId, level: u8) -> Result<Option<UserId>> {
    let mut at = user;
    for _ in 0..level {
        let row = tx.query_opt("select manager_id from users where id = $1", params![at]).await?;
        match row.map(|row| row.get::<Option<UserId>>(0)).transpose()?.flatten() {
            Some(manager) => at = manager,
            None => return Ok(None),
        }
    }
    Ok(by_user(tx, at).await?.filter(|facts| facts.is_active).map(|facts| facts.user))
}

/// The active members of a group, at most `limit`.
pub async fn active_members(tx: &mut Tx<'_>, group: GroupId, limit: usize) -> Result<Vec<UserId>> {
    let rows = tx
        .query(
            "select m.member_id
             from group_members m join subjects s on s.object_id = m.member_id
             where m.group_id = $1 and s.is_active order by m.member_id limit $2",
            params![group, crate::requests::limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Whether somebody owns a group.
pub async fn owns_group(tx: &mut Tx<'_>, user: UserId, group: GroupId) -> Result<bool> {
    let found = tx
        .query_opt(
            "select 1 from group_owners where group_id = $1 and owner_id = $2",
            params![group, user],
        )
        .await?;
    Ok(found.is_some())
}

/// The name of a group, if it exists.
pub async fn group_name(tx: &mut Tx<'_>, group: GroupId) -> Result<Option<String>> {
    tx.query_opt("select display_name from groups where id = $1", params![group])
        .await?
        .map(|row| row.get(0))
        .transpose()
}
