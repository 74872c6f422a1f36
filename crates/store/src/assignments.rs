//! Assignments: the rows behind `accede_domain::assignment`, and the reasons they are for deliveries.

use accede_domain::Timestamp;
use accede_domain::assignment::State;
use accede_domain::id::{AssignmentId, CatalogId, DeliveryId, PackageId, PolicyId, SubjectId};

use crate::deliveries::{self, Edge};
use crate::requests::limit_value;
use crate::{Error, Result, Row, Sql, Tx, params};

/// An assignment as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Its id.
    pub id: AssignmentId,
    /// Who has it.
    pub subject: SubjectId,
    /// Which package.
    pub package: PackageId,
    /// Under which policy.
    pub policy: Option<PolicyId>,
    /// Where it stands.
    pub state: State,
    /// First instant of its period.
    pub start: Timestamp,
    /// First instant after its period, if it ends.
    pub end: Option<Timestamp>,
    /// Which roles of its package it has: see [`crate::spreads`].
    pub roles_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
}

macro_rules! columns {
    () => {
        "a.id, a.subject_id, a.package_id, a.policy_id, a.state, a.start_at_ms, a.end_at_ms,
         a.ended_at_ms, a.expired_at_ms, a.created_at_ms, a.version, a.roles_version"
    };
}
/// How many columns [`columns`] lists; joined columns follow.
pub(crate) const WIDTH: usize = 12;
pub(crate) use columns;

const fn column(state: &State) -> &'static str {
    match state {
        State::Ending { .. } => "ending",
        other => other.name(),
    }
}

impl Assignment {
    pub(crate) fn from_row(row: &Row) -> Result<Assignment> {
        Assignment::at(row, 0)
    }

    pub(crate) fn at(row: &Row, first: usize) -> Result<Assignment> {
        let name: String = row.get(first + 4)?;
        let ended: Option<Timestamp> = row.get(first + 7)?;
        let expired: Option<Timestamp> = row.get(first + 8)?;
        let state = match (name.as_str(), ended, expired) {
            ("delivering", _, _) => State::Delivering,
            ("partiallyDelivered", _, _) => State::PartiallyDelivered,
            ("delivered", _, _) => State::Delivered,
            ("deliveryFailed", _, _) => State::DeliveryFailed,
            ("ending", Some(since), _) => State::Ending { since },
            ("expired", _, Some(at)) => State::Expired { at },
            _ => {
                return Err(Error::Corrupt(format!("an assignment in state `{name}` lacks times")));
            }
        };
        Ok(Assignment {
            id: row.get(first)?,
            subject: row.get(first + 1)?,
            package: row.get(first + 2)?,
            policy: row.get(first + 3)?,
            state,
            start: row.get(first + 5)?,
            end: row.get(first + 6)?,
            created_at: row.get(first + 9)?,
            version: row.get(first + 10)?,
            roles_version: row.get(first + 11)?,
        })
    }

    /// When every revocation was confirmed, if it was.
    pub const fn expired(&self) -> Option<Timestamp> {
        match self.state {
            State::Expired { at } => Some(at),
            _ => None,
        }
    }

    /// When it ended, if it did.
    pub const fn ended(&self) -> Option<Timestamp> {
        match self.state {
            State::Ending { since } => Some(since),
            State::Expired { at } => Some(at),
            _ => None,
        }
    }
}

/// Adds an assignment.
pub async fn insert(tx: &mut Tx<'_>, assignment: &Assignment) -> Result<()> {
    tx.execute(
        "insert into assignments (id, subject_id, package_id, policy_id, state, start_at_ms,
             end_at_ms, ended_at_ms, expired_at_ms, created_at_ms, version, roles_version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        params![
            assignment.id,
            assignment.subject,
            assignment.package,
            assignment.policy,
            column(&assignment.state),
            assignment.start,
            assignment.end,
            assignment.ended(),
            None::<Timestamp>,
            assignment.created_at,
            assignment.version,
            assignment.roles_version
        ],
    )
    .await?;
    Ok(())
}

/// Saves what a step changed, if nobody else changed it since; [`Error::Stale`] ends the transaction if
/// somebody did. Counts the version up.
pub async fn save(tx: &mut Tx<'_>, assignment: &mut Assignment) -> Result<()> {
    tx.post_one(
        "update assignments
         set state = $3, end_at_ms = $4, ended_at_ms = coalesce(ended_at_ms, $5),
             expired_at_ms = $6, roles_version = $7, version = version + 1
         where id = $1 and version = $2",
        params![
            assignment.id,
            assignment.version,
            column(&assignment.state),
            assignment.end,
            assignment.ended(),
            assignment.expired(),
            assignment.roles_version
        ],
        Error::Stale,
    )
    .await?;
    assignment.version += 1;
    Ok(())
}

/// Reads an assignment.
pub async fn get(tx: &mut Tx<'_>, id: AssignmentId) -> Result<Option<Assignment>> {
    tx.query_opt(concat!("select ", columns!(), " from assignments a where a.id = $1"), params![id])
        .await?
        .map(|row| Assignment::from_row(&row))
        .transpose()
}

const LOCK: Sql = Sql {
    lite: concat!("select ", columns!(), " from assignments a where a.id = $1"),
    pg: concat!("select ", columns!(), " from assignments a where a.id = $1 for update"),
};

/// Reads an assignment and holds its row until the transaction ends. Lock its subject first.
pub async fn lock(tx: &mut Tx<'_>, id: AssignmentId) -> Result<Assignment> {
    Assignment::from_row(&tx.query_one(LOCK, params![id]).await?)
}

/// Reads an assignment, holds its row until the transaction ends, and then reads the deliveries that
/// it is or was a reason for. Lock its subject first.
pub async fn lock_with_edges(tx: &mut Tx<'_>, id: AssignmentId) -> Result<(Assignment, Vec<Edge>)> {
    let asked =
        [(LOCK, params![id].to_vec()), (deliveries::OF_ASSIGNMENT.into(), params![id].to_vec())];
    let [rows, edges] = tx.query_each(asked).await?;
    let row = rows.first().ok_or(Error::NotFound)?;
    Ok((Assignment::from_row(row)?, edges.iter().map(Edge::from_row).collect::<Result<_>>()?))
}

/// The live assignment of a person to a package, if there is one.
pub async fn live_of(
    tx: &mut Tx<'_>,
    subject: SubjectId,
    package: PackageId,
) -> Result<Option<Assignment>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from assignments a
             where a.subject_id = $1 and a.package_id = $2
                 and a.state not in ('ending', 'expired')"
        ),
        params![subject, package],
    )
    .await?
    .map(|row| Assignment::from_row(&row))
    .transpose()
}

/// The live assignments of a person.
pub async fn live_of_subject(tx: &mut Tx<'_>, subject: SubjectId) -> Result<Vec<Assignment>> {
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                " from assignments a
                 where a.subject_id = $1 and a.state not in ('ending', 'expired')
                 order by a.created_at_ms, a.id"
            ),
            params![subject],
        )
        .await?;
    rows.iter().map(Assignment::from_row).collect()
}

/// Live assignments whose end has come: id and subject, oldest end first, but for the first `skip`.
pub async fn due_to_end(
    tx: &mut Tx<'_>,
    now: Timestamp,
    (skip, limit): (usize, usize),
) -> Result<Vec<(AssignmentId, SubjectId)>> {
    let rows = tx
        .query(
            "select id, subject_id from assignments
             where state not in ('ending', 'expired') and end_at_ms is not null
                 and end_at_ms <= $1
             order by end_at_ms, id limit $2 offset $3",
            params![now, limit_value(limit), limit_value(skip)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Makes an assignment a live reason for a delivery.
pub async fn add_reason(
    tx: &mut Tx<'_>,
    delivery: DeliveryId,
    assignment: AssignmentId,
) -> Result<()> {
    tx.post(
        "insert into reasons (delivery_id, assignment_id, is_live) values ($1, $2, true)
         on conflict (delivery_id, assignment_id) do update set is_live = true",
        params![delivery, assignment],
    )
    .await?;
    Ok(())
}

/// An assignment is no longer a reason for a delivery.
pub async fn drop_reason(
    tx: &mut Tx<'_>,
    delivery: DeliveryId,
    assignment: AssignmentId,
) -> Result<()> {
    tx.post(
        "update reasons set is_live = false where delivery_id = $1 and assignment_id = $2",
        params![delivery, assignment],
    )
    .await?;
    Ok(())
}

/// An assignment is no longer a reason for anything.
pub async fn drop_reasons(tx: &mut Tx<'_>, assignment: AssignmentId) -> Result<()> {
    tx.post(
        "update reasons set is_live = false where assignment_id = $1 and is_live",
        params![assignment],
    )
    .await?;
    Ok(())
}

/// The assignments that are or were a reason for a delivery and are not over, by id.
pub async fn concerned(tx: &mut Tx<'_>, delivery: DeliveryId) -> Result<Vec<AssignmentId>> {
    // Not joined: PostgreSQL, before it has counted its rows, takes a delivery to have many reasons and
    // reads all assignments for one.
    let rows = tx
        .query(
            "select x.assignment_id from reasons x
             where x.delivery_id = $1
               and (select a.state from assignments a where a.id = x.assignment_id) <> 'expired'
             order by x.assignment_id",
            params![delivery],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The catalog of an assignment's package.
pub async fn catalog_of(tx: &mut Tx<'_>, id: AssignmentId) -> Result<Option<CatalogId>> {
    tx.query_opt(
        "select p.catalog_id from assignments a join packages p on p.id = a.package_id
         where a.id = $1",
        params![id],
    )
    .await?
    .map(|row| row.get(0))
    .transpose()
}
