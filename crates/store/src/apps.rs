//! Applications (service principals) that may call the API.

use accede_domain::Timestamp;
use accede_domain::filter::Direction;
use accede_domain::id::{AppId, SubjectId};
use accede_domain::permission::Scope;

use crate::filter::{Ask, Entity, FilterError, Kind, Plan, Property};
use crate::{Error, Result, Row, Tx, params};

/// An application as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its id; also its client id.
    pub id: AppId,
    /// Its subject id.
    pub subject: SubjectId,
    /// Name for people, unique without regard to case.
    pub display_name: String,
    /// Digest of its client secret, if it has one.
    pub secret_hash: Option<String>,
    /// The application permissions it was granted.
    pub permissions: Vec<Scope>,
    /// Whether it may call at all.
    pub is_active: bool,
    /// When it came to be.
    pub created_at: Timestamp,
}

/// How a name is compared.
pub fn key(display_name: &str) -> String {
    display_name.to_lowercase()
}

macro_rules! columns {
    () => {
        "a.id, a.subject_id, a.display_name, a.secret_hash, a.scopes, s.is_active, a.created_at_ms"
    };
}

const FROM: &str = "apps a join subjects s on s.id = a.subject_id";

/// What a list of applications can be asked.
static APPS: Entity = Entity {
    name: "servicePrincipals",
    properties: &[
        Property::new("id", "a.id", Kind::Id),
        Property::new("appId", "a.id", Kind::Id),
        Property::new("displayName", "a.display_name", Kind::Folded("a.name_key")).sortable(),
        Property::new("appDisplayName", "a.display_name", Kind::Folded("a.name_key")),
        Property::new("accountEnabled", "s.is_active", Kind::Bool),
        Property::new("createdDateTime", "a.created_at_ms", Kind::Instant),
    ],
    unique: &["a.id"],
    order: &[("displayName", Direction::Ascending)],
};

impl Application {
    fn from_row(row: &Row) -> Result<Application> {
        let scopes: String = row.get(4)?;
        let permissions = scopes
            .split_whitespace()
            .map(|name| {
                Scope::parse(name)
                    .ok_or_else(|| Error::Corrupt(format!("there is no permission `{name}`")))
            })
            .collect::<Result<_>>()?;
        Ok(Application {
            id: row.get(0)?,
            subject: row.get(1)?,
            display_name: row.get(2)?,
            secret_hash: row.get(3)?,
            permissions,
            is_active: row.get(5)?,
            created_at: row.get(6)?,
        })
    }

    fn scopes(&self) -> String {
        let names: Vec<&str> = self.permissions.iter().map(|scope| scope.name()).collect();
        names.join(" ")
    }
}

/// Adds an application, unless one of that name exists; its subject must be there.
pub async fn insert(tx: &mut Tx<'_>, app: &Application) -> Result<()> {
    tx.execute(
        "insert into apps (id, subject_id, display_name, name_key, secret_hash, scopes,
                           created_at_ms)
         values ($1, $2, $3, $4, $5, $6, $7)",
        params![
            app.id,
            app.subject,
            &app.display_name,
            key(&app.display_name),
            &app.secret_hash,
            app.scopes(),
            app.created_at
        ],
    )
    .await?;
    Ok(())
}

/// Writes an application's secret and permissions back.
pub async fn save(tx: &mut Tx<'_>, app: &Application) -> Result<()> {
    let saved = tx
        .execute(
            "update apps set secret_hash = $2, scopes = $3 where id = $1",
            params![app.id, &app.secret_hash, app.scopes()],
        )
        .await?;
    if saved == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// An application by its id.
pub async fn get(tx: &mut Tx<'_>, id: AppId) -> Result<Option<Application>> {
    let row = tx
        .query_opt(
            concat!(
                "select ",
                columns!(),
                " from apps a join subjects s on s.id = a.subject_id where a.id = $1"
            ),
            params![id],
        )
        .await?;
    row.map(|row| Application::from_row(&row)).transpose()
}

/// An application by name, compared without case.
pub async fn by_name(tx: &mut Tx<'_>, display_name: &str) -> Result<Option<Application>> {
    let row = tx
        .query_opt(
            concat!(
                "select ",
                columns!(),
                " from apps a join subjects s on s.id = a.subject_id where a.name_key = $1"
            ),
            params![key(display_name)],
        )
        .await?;
    row.map(|row| Application::from_row(&row)).transpose()
}

/// Compiles what is asked of the list of applications.
///
/// # Errors
///
/// What the list does not have.
pub fn plan(ask: Ask<'_>) -> Result<Plan, FilterError> {
    Plan::new(&APPS, ask, 1)
}

/// A page of the list, and where the next begins.
pub async fn list(tx: &mut Tx<'_>, plan: &Plan) -> Result<(Vec<Application>, Option<String>)> {
    let (sql, values) = plan.select(columns!(), FROM, None, &[]);
    let mut rows = tx.query_text(&sql, &values).await?;
    let next = plan.cut(&mut rows)?;
    Ok((rows.iter().map(Application::from_row).collect::<Result<_>>()?, next))
}

/// How many applications match in all.
pub async fn count(tx: &mut Tx<'_>, plan: &Plan) -> Result<i64> {
    let (sql, values) = plan.count(FROM, None, &[]);
    tx.query_one_text(&sql, &values).await?.get(0)
}
