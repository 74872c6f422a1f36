//! Subjects: whoever can be given access, people and applications alike.

use accede_domain::Timestamp;
use accede_domain::id::SubjectId;
use uuid::Uuid;

use crate::{Error, Result, Row, Tx, params};

/// What a subject is in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    User,
    /// An application.
    ServicePrincipal,
}

impl Kind {
    /// The name on the wire and in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::ServicePrincipal => "servicePrincipal",
        }
    }
}

/// A subject to add.
#[derive(Debug, Clone, Copy)]
pub struct NewSubject {
    /// Its id.
    pub id: SubjectId,
    /// The id of its user or application.
    pub object: Uuid,
    /// Which of the two it is.
    pub kind: Kind,
    /// Whether it may hold access.
    pub is_active: bool,
    /// When it came to be.
    pub created_at: Timestamp,
}

/// A subject with what the directory says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its id.
    pub id: SubjectId,
    /// The id of its user or application.
    pub object: Uuid,
    /// Which of the two it is.
    pub kind: Kind,
    /// Whether it may hold access.
    pub is_active: bool,
    /// Full name.
    pub display_name: String,
    /// Sign-in name; people only.
    pub principal_name: Option<String>,
    /// Mail address, if known.
    pub email: Option<String>,
    /// Member or guest; people only.
    pub user_type: Option<String>,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "select s.id, s.object_id, s.subject_type, s.is_active,
                    coalesce(u.display_name, a.display_name, ''), u.user_principal_name, u.mail,
                    u.user_type
             from subjects s
             left join users u on u.id = s.object_id
             left join apps a on a.id = s.object_id
             where ",
            $tail
        )
    };
}

impl Subject {
    fn from_row(row: &Row) -> Result<Subject> {
        let kind: String = row.get(2)?;
        let kind = match kind.as_str() {
            "user" => Kind::User,
            "servicePrincipal" => Kind::ServicePrincipal,
            _ => return Err(Error::Corrupt(format!("there is no subject type `{kind}`"))),
        };
        Ok(Subject {
            id: row.get(0)?,
            object: row.get(1)?,
            kind,
            is_active: row.get(3)?,
            display_name: row.get(4)?,
            principal_name: row.get(5)?,
            email: row.get(6)?,
            user_type: row.get(7)?,
        })
    }
}

/// Adds subjects.
pub async fn insert_all(tx: &mut Tx<'_>, subjects: &[NewSubject]) -> Result<()> {
    let rows: Vec<_> = subjects
        .iter()
        .map(|new| {
            params![new.id, new.object, new.kind.name(), new.is_active, new.created_at].to_vec()
        })
        .collect();
    tx.execute_all(
        "insert into subjects (id, object_id, subject_type, is_active, created_at_ms)
         values ($1, $2, $3, $4, $5)",
        &rows,
    )
    .await?;
    Ok(())
}

/// A subject by its id.
pub async fn get(tx: &mut Tx<'_>, id: SubjectId) -> Result<Option<Subject>> {
    let row = tx.query_opt(select!("s.id = $1"), params![id]).await?;
    row.map(|row| Subject::from_row(&row)).transpose()
}

/// A subject by the id of its user or application.
pub async fn by_object(tx: &mut Tx<'_>, object: Uuid) -> Result<Option<Subject>> {
    let row = tx.query_opt(select!("s.object_id = $1"), params![object]).await?;
    row.map(|row| Subject::from_row(&row)).transpose()
}

/// Says whether a subject may hold access.
pub async fn set_active(tx: &mut Tx<'_>, id: SubjectId, is_active: bool) -> Result<()> {
    let sql = "update subjects set is_active = $2 where id = $1";
    match tx.execute(sql, params![id, is_active]).await? {
        1 => Ok(()),
        _ => Err(Error::NotFound),
    }
}
