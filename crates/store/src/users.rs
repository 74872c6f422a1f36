//! Users of the built-in directory.
//!
//! Deleting one keeps the row, because requests and the audit log refer to it, but frees its
//! sign-in name. Every function but [`get_deleted`] passes over deleted ones.

use accede_domain::Timestamp;
use accede_domain::filter::Direction;
use accede_domain::id::{GroupId, SubjectId, UserId};

use crate::filter::{Ask, Entity, FilterError, Kind, Plan, Property};
use crate::{Error, Result, Row, Sql, Tx, Value, params};

/// A user as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Object id.
    pub id: UserId,
    /// Subject id.
    pub subject: SubjectId,
    /// Sign-in name, spelled as it was given; compared without case.
    pub user_principal_name: String,
    /// Full name.
    pub display_name: String,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub surname: Option<String>,
    /// Mail address.
    pub mail: Option<String>,
    /// Department.
    pub department: Option<String>,
    /// Job title.
    pub job_title: Option<String>,
    /// Company.
    pub company_name: Option<String>,
    /// Number in the personnel system.
    pub employee_id: Option<String>,
    /// Member or guest.
    pub user_type: UserType,
    /// Whether they may sign in and hold access.
    pub account_enabled: bool,
    /// Their manager.
    pub manager: Option<UserId>,
    /// When they came to be.
    pub created_at: Timestamp,
    /// When they were deleted.
    pub deleted_at: Option<Timestamp>,
    /// Counts the changes of the row.
    pub version: i64,
}

/// Member or guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserType {
    /// Belongs to the organization.
    #[default]
    Member,
    /// Comes from outside.
    Guest,
}

impl UserType {
    /// The name on the wire and in the table.
    pub const fn name(self) -> &'static str {
        match self {
            UserType::Member => "Member",
            UserType::Guest => "Guest",
        }
    }

    /// The type of that name, matched without case.
    pub fn parse(name: &str) -> Option<UserType> {
        [UserType::Member, UserType::Guest]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// How a sign-in name is compared.
pub fn key(user_principal_name: &str) -> String {
    user_principal_name.to_lowercase()
}

macro_rules! columns {
    () => {
        "u.id, u.subject_id, u.user_principal_name, u.display_name, u.given_name, u.surname,
         u.mail, u.department, u.job_title, u.company_name, u.employee_id, u.user_type,
         u.account_enabled, u.manager_id, u.created_at_ms, u.deleted_at_ms, u.version"
    };
}

/// What a list of users can be asked.
static USERS: Entity = Entity {
    name: "users",
    properties: &[
        Property::new("id", "u.id", Kind::Id),
        Property::new(
            "userPrincipalName",
            "u.user_principal_name",
            Kind::Folded("u.user_principal_name_key"),
        ),
        Property::new("displayName", "u.display_name", Kind::TextNoCase).sortable(),
        Property::new("givenName", "u.given_name", Kind::TextNoCase).nullable(),
        Property::new("surname", "u.surname", Kind::TextNoCase).nullable(),
        Property::new("mail", "u.mail", Kind::TextNoCase).nullable(),
        Property::new("department", "u.department", Kind::TextNoCase).nullable(),
        Property::new("jobTitle", "u.job_title", Kind::TextNoCase).nullable(),
        Property::new("companyName", "u.company_name", Kind::TextNoCase).nullable(),
        Property::new("employeeId", "u.employee_id", Kind::TextNoCase).nullable(),
        Property::new("userType", "u.user_type", Kind::Enum(&["Member", "Guest"])),
        Property::new("accountEnabled", "u.account_enabled", Kind::Bool),
        Property::new("createdDateTime", "u.created_at_ms", Kind::Instant),
        Property::new("manager/id", "u.manager_id", Kind::Id).nullable(),
    ],
    unique: &["u.id"],
    order: &[("displayName", Direction::Ascending)],
};

/// Which users a list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// All of them.
    Everybody,
    /// Those whose manager this is.
    Manager(UserId),
    /// The members of a group.
    Group(GroupId),
    /// The owners of a group.
    OwnedGroup(GroupId),
}

impl Of {
    const fn from(self) -> &'static str {
        match self {
            Of::Everybody | Of::Manager(_) => "users u",
            Of::Group(_) => "group_members m join users u on u.id = m.member_id",
            Of::OwnedGroup(_) => "group_owners o join users u on u.id = o.owner_id",
        }
    }

    const fn own(self) -> &'static str {
        match self {
            Of::Everybody => "u.deleted_at_ms is null",
            Of::Manager(_) => "u.deleted_at_ms is null and u.manager_id = $1",
            Of::Group(_) => "u.deleted_at_ms is null and m.group_id = $1",
            Of::OwnedGroup(_) => "u.deleted_at_ms is null and o.group_id = $1",
        }
    }

    fn parameters(self) -> Vec<Value> {
        match self {
            Of::Everybody => Vec::new(),
            Of::Manager(user) => vec![user.into()],
            Of::Group(group) | Of::OwnedGroup(group) => vec![group.into()],
        }
    }
}

impl User {
    /// A member whose account is enabled, of whom nothing is known but the sign-in name. It is the
    /// full name too until another is set.
    pub fn new(
        id: UserId,
        subject: SubjectId,
        user_principal_name: impl Into<String>,
        created_at: Timestamp,
    ) -> User {
        let user_principal_name = user_principal_name.into();
        User {
            id,
            subject,
            display_name: user_principal_name.clone(),
            user_principal_name,
            given_name: None,
            surname: None,
            mail: None,
            department: None,
            job_title: None,
            company_name: None,
            employee_id: None,
            user_type: UserType::Member,
            account_enabled: true,
            manager: None,
            created_at,
            deleted_at: None,
            version: 1,
        }
    }

    fn from_row(row: &Row) -> Result<User> {
        let kind: String = row.get(11)?;
        Ok(User {
            id: row.get(0)?,
            subject: row.get(1)?,
            user_principal_name: row.get(2)?,
            display_name: row.get(3)?,
            given_name: row.get(4)?,
            surname: row.get(5)?,
            mail: row.get(6)?,
            department: row.get(7)?,
            job_title: row.get(8)?,
            company_name: row.get(9)?,
            employee_id: row.get(10)?,
            user_type: UserType::parse(&kind)
                .ok_or_else(|| Error::Corrupt(format!("there is no user type `{kind}`")))?,
            account_enabled: row.get(12)?,
            manager: row.get(13)?,
            created_at: row.get(14)?,
            deleted_at: row.get(15)?,
            version: row.get(16)?,
        })
    }

    fn values(&self) -> Vec<Value> {
        params![
            self.id,
            self.subject,
            &self.user_principal_name,
            key(&self.user_principal_name),
            &self.display_name,
            &self.given_name,
            &self.surname,
            &self.mail,
            &self.department,
            &self.job_title,
            &self.company_name,
            &self.employee_id,
            self.user_type.name(),
            self.account_enabled,
            self.manager
        ]
        .to_vec()
    }
}

/// Adds users; their subjects must be there. A sign-in name that is taken is
/// [`Error::Duplicate`].
pub async fn insert_all(tx: &mut Tx<'_>, users: &[User]) -> Result<()> {
    let rows: Vec<Vec<Value>> = users
        .iter()
        .map(|user| {
            let mut row = user.values();
            row.push(user.created_at.into());
            row
        })
        .collect();
    tx.execute_all(
        "insert into users (id, subject_id, user_principal_name, user_principal_name_key,
                            display_name, given_name, surname, mail, department, job_title,
                            company_name, employee_id, user_type, account_enabled, manager_id,
                            created_at_ms, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1)",
        &rows,
    )
    .await?;
    Ok(())
}

/// Writes changed users back; [`Error::Stale`] if any was changed meanwhile.
pub async fn save_all(tx: &mut Tx<'_>, users: &[User]) -> Result<()> {
    let rows: Vec<Vec<Value>> = users
        .iter()
        .map(|user| {
            let mut row = user.values();
            row.push(user.version.into());
            row
        })
        .collect();
    let saved = tx
        .execute_all(
            "update users
             set subject_id = $2, user_principal_name = $3, user_principal_name_key = $4,
                 display_name = $5, given_name = $6, surname = $7, mail = $8, department = $9,
                 job_title = $10, company_name = $11, employee_id = $12, user_type = $13,
                 account_enabled = $14, manager_id = $15, version = version + 1
             where id = $1 and version = $16 and deleted_at_ms is null",
            &rows,
        )
        .await?;
    if usize::try_from(saved) == Ok(users.len()) { Ok(()) } else { Err(Error::Stale) }
}

/// A user by object id.
pub async fn get(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>> {
    let row = tx
        .query_opt(
            concat!(
                "select ",
                columns!(),
                " from users u where u.id = $1 and u.deleted_at_ms is null"
            ),
            params![id],
        )
        .await?;
    row.map(|row| User::from_row(&row)).transpose()
}

/// A user by object id, held until the transaction ends.
pub async fn lock(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>> {
    let sql = Sql {
        lite: concat!(
            "select ",
            columns!(),
            " from users u where u.id = $1 and u.deleted_at_ms is null"
        ),
        pg: concat!(
            "select ",
            columns!(),
            " from users u where u.id = $1 and u.deleted_at_ms is null for update"
        ),
    };
    tx.query_opt(sql, params![id]).await?.map(|row| User::from_row(&row)).transpose()
}

/// A user who was deleted.
pub async fn get_deleted(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>> {
    let row = tx
        .query_opt(
            concat!(
                "select ",
                columns!(),
                " from users u where u.id = $1 and u.deleted_at_ms is not null"
            ),
            params![id],
        )
        .await?;
    row.map(|row| User::from_row(&row)).transpose()
}

/// A user by sign-in name, compared without case.
pub async fn by_name(tx: &mut Tx<'_>, user_principal_name: &str) -> Result<Option<User>> {
    let row = tx
        .query_opt(
            concat!("select ", columns!(), " from users u where u.user_principal_name_key = $1"),
            params![key(user_principal_name)],
        )
        .await?;
    row.map(|row| User::from_row(&row)).transpose()
}

/// The users with these sign-in names, as [`key`] spells them; who is missing is missing.
pub async fn by_keys(tx: &mut Tx<'_>, keys: &[String]) -> Result<Vec<User>> {
    let sql = Sql {
        lite: concat!(
            "select ",
            columns!(),
            " from json_each($1) k join users u on u.user_principal_name_key = k.value"
        ),
        pg: concat!(
            "select ",
            columns!(),
            " from json_array_elements_text(cast(cast($1 as text) as json)) k (value)
              join users u on u.user_principal_name_key = k.value"
        ),
    };
    let rows = tx.query(sql, &[Value::json(keys)?]).await?;
    rows.iter().map(User::from_row).collect()
}

/// The users with these ids; who is missing is missing.
pub async fn by_ids(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<Vec<User>> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(get(tx, *id).await?);
    }
    Ok(found)
}

/// Compiles what is asked of a list of users.
///
/// # Errors
///
/// What the list does not have.
pub fn plan(of: Of, ask: Ask<'_>) -> Result<Plan, FilterError> {
    Plan::new(&USERS, ask, of.parameters().len() + 1)
}

/// A page of a list, and where the next begins.
pub async fn list(tx: &mut Tx<'_>, of: Of, plan: &Plan) -> Result<(Vec<User>, Option<String>)> {
    let (sql, values) = plan.select(columns!(), of.from(), Some(of.own()), &of.parameters());
    let mut rows = tx.query_text(&sql, &values).await?;
    let next = plan.cut(&mut rows)?;
    Ok((rows.iter().map(User::from_row).collect::<Result<_>>()?, next))
}

/// How many users a list has in all.
pub async fn count(tx: &mut Tx<'_>, of: Of, plan: &Plan) -> Result<i64> {
    let (sql, values) = plan.count(of.from(), Some(of.own()), &of.parameters());
    tx.query_one_text(&sql, &values).await?.get(0)
}

/// Sets the manager of many users at once.
pub async fn set_managers(tx: &mut Tx<'_>, links: &[(UserId, Option<UserId>)]) -> Result<()> {
    let rows: Vec<Vec<Value>> =
        links.iter().map(|(user, manager)| params![*user, *manager].to_vec()).collect();
    tx.execute_all(
        "update users set manager_id = $2, version = version + 1
         where id = $1 and deleted_at_ms is null",
        &rows,
    )
    .await?;
    Ok(())
}

/// Who reports to whom, for everybody who has a manager.
pub async fn manager_links(tx: &mut Tx<'_>) -> Result<Vec<(UserId, UserId)>> {
    let rows = tx
        .query(
            "select id, manager_id from users
             where manager_id is not null and deleted_at_ms is null",
            &[],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Marks a user deleted: disabled, without manager and reports, the sign-in name free again.
pub async fn delete(tx: &mut Tx<'_>, id: UserId, now: Timestamp) -> Result<()> {
    tx.execute(
        "update users set manager_id = null, version = version + 1 where manager_id = $1",
        params![id],
    )
    .await?;
    let deleted = tx
        .execute(
            "update users
             set deleted_at_ms = $2, account_enabled = $4, manager_id = null,
                 user_principal_name_key = $3, version = version + 1
             where id = $1 and deleted_at_ms is null",
            params![id, now, format!("deleted {id}"), false],
        )
        .await?;
    if deleted == 1 { Ok(()) } else { Err(Error::NotFound) }
}
