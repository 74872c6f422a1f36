//! Assignment requests: the rows behind `accede_domain::request`.

use accede_domain::Timestamp;
use accede_domain::id::{AssignmentId, CatalogId, PackageId, PolicyId, RequestId, SubjectId};
use accede_domain::policy::Terms;
use accede_domain::request::{Denial, State, Type};
use accede_domain::schedule::Schedule;

use crate::{Error, Result, Row, Sql, Tx, Value, params};

/// A request as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id; its approval has the same.
    pub id: RequestId,
    /// What it asks for and who asks.
    pub request_type: Type,
    /// Who receives or loses access.
    pub subject: SubjectId,
    /// Who asked.
    pub requestor: SubjectId,
    /// Which package.
    pub package: PackageId,
    /// Under which policy.
    pub policy: Option<PolicyId>,
    /// The assignment it made or ends.
    pub assignment: Option<AssignmentId>,
    /// Where it stands.
    pub state: State,
    /// Start of its period.
    pub begins: Option<Timestamp>,
    /// End of its period.
    pub end: Option<Timestamp>,
    /// The period as it was asked for.
    pub schedule: Schedule,
    /// The policy's terms, pinned when it was submitted.
    pub terms: Terms,
    /// The requestor's reason.
    pub justification: Option<String>,
    /// The requestor's answers, as JSON.
    pub answers: String,
    /// What stands in the way of its delivery: code and sentence.
    pub block: Option<(String, String)>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
}

macro_rules! columns {
    () => {
        "r.id, r.request_type, r.subject_id, r.requestor_id, r.package_id, r.policy_id,
         r.assignment_id, r.state, r.is_timed_out, r.begins_at_ms, r.first_completed_at_ms,
         r.completed_at_ms, r.end_at_ms, r.schedule, r.terms, r.justification, r.answers,
         r.block_code, r.block_text, r.created_at_ms, r.version"
    };
}
/// How many columns [`columns`] lists; joined columns follow.
pub(crate) const WIDTH: usize = 21;
pub(crate) use columns;

impl Request {
    pub(crate) fn from_row(row: &Row) -> Result<Request> {
        let begins: Option<Timestamp> = row.get(9)?;
        let first: Option<Timestamp> = row.get(10)?;
        let completed: Option<Timestamp> = row.get(11)?;
        let block_code: Option<String> = row.get(17)?;
        let block_text: Option<String> = row.get(18)?;
        Ok(Request {
            id: row.get(0)?,
            request_type: named(Type::parse, &row.get::<String>(1)?)?,
            subject: row.get(2)?,
            requestor: row.get(3)?,
            package: row.get(4)?,
            policy: row.get(5)?,
            assignment: row.get(6)?,
            state: state(&row.get::<String>(7)?, row.get(8)?, begins, first, completed)?,
            begins,
            end: row.get(12)?,
            schedule: json(&row.get::<String>(13)?)?,
            terms: json(&row.get::<String>(14)?)?,
            justification: row.get(15)?,
            answers: row.get(16)?,
            block: block_code.zip(block_text),
            created_at: row.get(19)?,
            version: row.get(20)?,
        })
    }
}

pub(crate) fn named<T>(parse: impl Fn(&str) -> Option<T>, name: &str) -> Result<T> {
    parse(name).ok_or_else(|| Error::Corrupt(format!("`{name}` is not a known value")))
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::Corrupt(format!("a JSON column cannot be read: {error}")))
}

/// The name of a state in the database; finer than on the wire.
const fn column(state: &State) -> &'static str {
    match state {
        State::Canceling { .. } => "canceling",
        other => other.name(),
    }
}

fn state(
    name: &str,
    is_timed_out: bool,
    begins: Option<Timestamp>,
    first: Option<Timestamp>,
    completed: Option<Timestamp>,
) -> Result<State> {
    let why = if is_timed_out { Denial::TimedOut } else { Denial::Decided };
    let found = match (name, first, completed) {
        ("submitted", _, _) => Some(State::Submitted),
        ("pendingApproval", _, _) => Some(State::PendingApproval),
        ("scheduled", _, _) => begins.map(|start| State::Scheduled { start }),
        ("delivering", first_completed, _) => Some(State::Delivering { first_completed }),
        ("delivered", Some(first_completed), Some(completed)) => {
            Some(State::Delivered { first_completed, completed })
        }
        ("partiallyDelivered", Some(first_completed), Some(completed)) => {
            Some(State::PartiallyDelivered { first_completed, completed })
        }
        ("deliveryFailed", Some(first_completed), Some(completed)) => {
            Some(State::DeliveryFailed { first_completed, completed })
        }
        ("denied", _, Some(at)) => Some(State::Denied { at, why }),
        ("canceling", Some(first_completed), _) => Some(State::Canceling { first_completed }),
        ("canceled", _, Some(at)) => Some(State::Canceled { at }),
        _ => None,
    };
    found.ok_or_else(|| Error::Corrupt(format!("a request in state `{name}` lacks its times")))
}

/// Adds a request.
pub async fn insert(tx: &mut Tx<'_>, request: &Request) -> Result<()> {
    tx.execute(
        "insert into requests (id, request_type, subject_id, requestor_id, package_id, policy_id,
             assignment_id, state, is_timed_out, begins_at_ms, first_completed_at_ms,
             completed_at_ms, end_at_ms, schedule, terms, justification, answers, block_code,
             block_text, created_at_ms, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
             $19, $20, $21)",
        &values(request)?,
    )
    .await?;
    Ok(())
}

fn values(request: &Request) -> Result<Vec<Value>> {
    let timed_out = matches!(request.state, State::Denied { why: Denial::TimedOut, .. });
    let (code, text) = request.block.clone().unzip();
    Ok(params![
        request.id,
        request.request_type.name(),
        request.subject,
        request.requestor,
        request.package,
        request.policy,
        request.assignment,
        column(&request.state),
        timed_out,
        request.begins,
        request.state.first_completed(),
        request.state.completed(),
        request.end,
        Value::json(&request.schedule)?,
        Value::json(&request.terms)?,
        request.justification.clone(),
        request.answers.clone(),
        code,
        text,
        request.created_at,
        request.version
    ]
    .to_vec())
}

/// Saves what a step changed, if nobody else changed it since; [`Error::Stale`] ends the transaction if
/// somebody did. Counts the version up. Not its assignment: that is for [`save_assigned`].
pub async fn save(tx: &mut Tx<'_>, request: &mut Request) -> Result<()> {
    tx.post_one(
        "update requests
         set state = $3, is_timed_out = $4, begins_at_ms = $5, first_completed_at_ms = $6,
             completed_at_ms = $7, end_at_ms = $8, block_code = $9, block_text = $10,
             version = version + 1
         where id = $1 and version = $2",
        &changing(request),
        Error::Stale,
    )
    .await?;
    request.version += 1;
    Ok(())
}

/// Like [`save`], with the assignment that the request has made. An index holds it, so it is named
/// only here.
pub async fn save_assigned(tx: &mut Tx<'_>, request: &mut Request) -> Result<()> {
    let mut values = changing(request);
    values.push(request.assignment.into());
    tx.post_one(
        "update requests
         set state = $3, is_timed_out = $4, begins_at_ms = $5, first_completed_at_ms = $6,
             completed_at_ms = $7, end_at_ms = $8, block_code = $9, block_text = $10,
             assignment_id = $11, version = version + 1
         where id = $1 and version = $2",
        &values,
        Error::Stale,
    )
    .await?;
    request.version += 1;
    Ok(())
}

/// Id, version, and what a step may change.
fn changing(request: &Request) -> Vec<Value> {
    let timed_out = matches!(request.state, State::Denied { why: Denial::TimedOut, .. });
    let (code, text) = request.block.clone().unzip();
    params![
        request.id,
        request.version,
        column(&request.state),
        timed_out,
        request.begins,
        request.state.first_completed(),
        request.state.completed(),
        request.end,
        code,
        text
    ]
    .to_vec()
}

/// Reads a request.
pub async fn get(tx: &mut Tx<'_>, id: RequestId) -> Result<Option<Request>> {
    tx.query_opt(concat!("select ", columns!(), " from requests r where r.id = $1"), params![id])
        .await?
        .map(|row| Request::from_row(&row))
        .transpose()
}

/// Reads a request and holds its row until the transaction ends. Lock its subject first.
pub async fn lock(tx: &mut Tx<'_>, id: RequestId) -> Result<Request> {
    let sql = Sql {
        lite: concat!("select ", columns!(), " from requests r where r.id = $1"),
        pg: concat!("select ", columns!(), " from requests r where r.id = $1 for update"),
    };
    Request::from_row(&tx.query_one(sql, params![id]).await?)
}

/// The open request of a person for a package, if there is one.
pub async fn open_of(
    tx: &mut Tx<'_>,
    subject: SubjectId,
    package: PackageId,
) -> Result<Option<Request>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from requests r
             where r.subject_id = $1 and r.package_id = $2
                 and r.state in ('submitted', 'pendingApproval', 'scheduled', 'delivering',
                     'canceling')"
        ),
        params![subject, package],
    )
    .await?
    .map(|row| Request::from_row(&row))
    .transpose()
}

/// The open requests of a person.
pub async fn open_of_subject(tx: &mut Tx<'_>, subject: SubjectId) -> Result<Vec<Request>> {
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                " from requests r
                 where r.subject_id = $1
                     and r.state in ('submitted', 'pendingApproval', 'scheduled', 'delivering',
                         'canceling')
                 order by r.created_at_ms, r.id"
            ),
            params![subject],
        )
        .await?;
    rows.iter().map(Request::from_row).collect()
}

/// The request under way for an assignment: delivering, or being withdrawn.
pub async fn under_way(tx: &mut Tx<'_>, assignment: AssignmentId) -> Result<Vec<Request>> {
    let sql = Sql {
        lite: concat!(
            "select ",
            columns!(),
            " from requests r
             where r.assignment_id = $1 and r.state in ('delivering', 'canceling')"
        ),
        // An expression, or PostgreSQL reads the index of states too, which is short at other times and
        // in a drain has everything that is delivering.
        pg: concat!(
            "select ",
            columns!(),
            " from requests r
             where r.assignment_id = $1 and r.state || '' in ('delivering', 'canceling')
             for update"
        ),
    };
    tx.query(sql, params![assignment]).await?.iter().map(Request::from_row).collect()
}

/// The request that made an assignment, newest first.
pub async fn of_assignment(tx: &mut Tx<'_>, assignment: AssignmentId) -> Result<Vec<Request>> {
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                " from requests r where r.assignment_id = $1 order by r.created_at_ms desc, r.id"
            ),
            params![assignment],
        )
        .await?;
    rows.iter().map(Request::from_row).collect()
}

/// Scheduled requests whose time has come: id and subject, oldest first, but for the first `skip`.
pub async fn due_to_begin(
    tx: &mut Tx<'_>,
    now: Timestamp,
    (skip, limit): (usize, usize),
) -> Result<Vec<(RequestId, SubjectId)>> {
    let rows = tx
        .query(
            "select id, subject_id from requests
             where state = 'scheduled' and begins_at_ms <= $1
             order by begins_at_ms, id limit $2 offset $3",
            params![now, limit_value(limit), limit_value(skip)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

pub(crate) fn limit_value(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The person, package and catalog of a request, for deciding who may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Who receives or loses access.
    pub subject: SubjectId,
    /// Who asked.
    pub requestor: SubjectId,
    /// The package's catalog.
    pub catalog: CatalogId,
}

/// Where a request belongs.
pub async fn place(tx: &mut Tx<'_>, id: RequestId) -> Result<Option<Place>> {
    tx.query_opt(
        "select r.subject_id, r.requestor_id, p.catalog_id
         from requests r join packages p on p.id = r.package_id
         where r.id = $1",
        params![id],
    )
    .await?
    .map(|row| Ok(Place { subject: row.get(0)?, requestor: row.get(1)?, catalog: row.get(2)? }))
    .transpose()
}

/// Deletes the record of a request with its stages and timeline. Access stays.
pub async fn delete(tx: &mut Tx<'_>, id: RequestId) -> Result<()> {
    for sql in [
        "delete from stage_approvers
         where stage_id in (select id from approval_stages where request_id = $1)",
        "delete from approval_stages where request_id = $1",
        "delete from history where request_id = $1",
        "delete from requests where id = $1",
    ] {
        tx.execute(sql, params![id]).await?;
    }
    Ok(())
}
