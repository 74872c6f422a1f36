//! Approval stages: the rows behind `accede_domain::approval`, and who may decide them.

use accede_domain::Timestamp;
use accede_domain::approval::{Result as Review, Stage, Status};
use accede_domain::id::{RequestId, StageId, SubjectId, UserId};
use accede_domain::policy::ApprovalStage;

use crate::requests::{json, limit_value, named};
use crate::{Result, Row, Sql, Tx, Value, params};

/// A stage as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRow {
    /// Its id.
    pub id: StageId,
    /// Of which request.
    pub request: RequestId,
    /// 0 is the first.
    pub position: i64,
    /// Where it stands.
    pub stage: Stage,
    /// What the policy says about it, pinned when the request was submitted.
    pub terms: ApprovalStage,
    /// How its approvers were found, for people.
    pub resolution: Option<String>,
    /// The decider's reason.
    pub justification: Option<String>,
    /// Who decided.
    pub reviewed_by: Option<UserId>,
    /// When.
    pub reviewed_at: Option<Timestamp>,
}

macro_rules! columns {
    () => {
        "t.id, t.request_id, t.position, t.status, t.result, t.due_at_ms, t.terms, t.resolution,
         t.justification, t.reviewed_by, t.reviewed_at_ms"
    };
}

impl StageRow {
    fn from_row(row: &Row) -> Result<StageRow> {
        Ok(StageRow {
            id: row.get(0)?,
            request: row.get(1)?,
            position: row.get(2)?,
            stage: Stage {
                status: named(Status::parse, &row.get::<String>(3)?)?,
                result: named(Review::parse, &row.get::<String>(4)?)?,
                due: row.get(5)?,
            },
            terms: json(&row.get::<String>(6)?)?,
            resolution: row.get(7)?,
            justification: row.get(8)?,
            reviewed_by: row.get(9)?,
            reviewed_at: row.get(10)?,
        })
    }
}

/// Adds a stage.
pub async fn insert(tx: &mut Tx<'_>, row: &StageRow) -> Result<()> {
    tx.execute(
        "insert into approval_stages (id, request_id, position, status, result, due_at_ms, terms,
             resolution)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            row.id,
            row.request,
            row.position,
            row.stage.status.name(),
            row.stage.result.name(),
            row.stage.due,
            Value::json(&row.terms)?,
            row.resolution.clone()
        ],
    )
    .await?;
    Ok(())
}

/// Saves what a step changed.
pub async fn save(tx: &mut Tx<'_>, row: &StageRow) -> Result<()> {
    tx.execute(
        "update approval_stages
         set status = $2, result = $3, due_at_ms = $4, resolution = $5, justification = $6,
             reviewed_by = $7, reviewed_at_ms = $8
         where id = $1",
        params![
            row.id,
            row.stage.status.name(),
            row.stage.result.name(),
            row.stage.due,
            row.resolution.clone(),
            row.justification.clone(),
            row.reviewed_by,
            row.reviewed_at
        ],
    )
    .await?;
    Ok(())
}

/// The stages of a request, in order. Lock the request first if they are to change.
pub async fn of_request(tx: &mut Tx<'_>, request: RequestId) -> Result<Vec<StageRow>> {
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                " from approval_stages t where t.request_id = $1 order by t.position"
            ),
            params![request],
        )
        .await?;
    rows.iter().map(StageRow::from_row).collect()
}

/// Names who may decide a stage.
pub async fn set_approvers(tx: &mut Tx<'_>, stage: StageId, approvers: &[UserId]) -> Result<()> {
    let rows: Vec<Vec<Value>> =
        approvers.iter().map(|approver| params![stage, *approver].to_vec()).collect();
    tx.execute_all(
        "insert into stage_approvers (stage_id, approver_id) values ($1, $2)
         on conflict (stage_id, approver_id) do nothing",
        &rows,
    )
    .await?;
    Ok(())
}

/// An approver of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// Who.
    pub user: UserId,
    /// Their name.
    pub display_name: String,
}

/// Who may decide a stage.
pub async fn approvers(tx: &mut Tx<'_>, stage: StageId) -> Result<Vec<Approver>> {
    let rows = tx
        .query(
            "select u.id, u.display_name
             from stage_approvers x join users u on u.id = x.approver_id
             where x.stage_id = $1 order by u.display_name, u.id",
            params![stage],
        )
        .await?;
    rows.iter().map(|row| Ok(Approver { user: row.get(0)?, display_name: row.get(1)? })).collect()
}

/// Whether a person is or was an approver of any stage of a request.
pub async fn involves(tx: &mut Tx<'_>, request: RequestId, user: UserId) -> Result<bool> {
    let found = tx
        .query_opt(
            "select 1 from approval_stages t join stage_approvers x on x.stage_id = t.id
             where t.request_id = $1 and x.approver_id = $2 limit 1",
            params![request, user],
        )
        .await?;
    Ok(found.is_some())
}

/// Stages nobody decided in time: request and its subject, oldest first.
pub async fn overdue(
    tx: &mut Tx<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<(RequestId, SubjectId)>> {
    let rows = tx
        .query(
            "select r.id, r.subject_id
             from approval_stages t join requests r on r.id = t.request_id
             where t.status = 'InProgress' and t.due_at_ms <= $1
             order by t.due_at_ms limit $2",
            params![now, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// The requests with a stage that awaits this person, oldest first; or all they were ever asked
/// about, newest first.
pub async fn awaiting(
    tx: &mut Tx<'_>,
    user: UserId,
    only_open: bool,
    limit: usize,
) -> Result<Vec<RequestId>> {
    let sql = if only_open {
        Sql::from(
            "select t.request_id
             from stage_approvers x join approval_stages t on t.id = x.stage_id
                 join requests r on r.id = t.request_id
             where x.approver_id = $1 and t.status = 'InProgress' and r.state = 'pendingApproval'
             order by r.created_at_ms, r.id limit $2",
        )
    } else {
        Sql::from(
            "select r.id from requests r
             where exists (select 1 from approval_stages t join stage_approvers x
                     on x.stage_id = t.id
                 where t.request_id = r.id and x.approver_id = $1)
             order by r.created_at_ms desc, r.id limit $2",
        )
    };
    let rows = tx.query(sql, params![user, limit_value(limit)]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The requests for a subject, or by it, that have an approval, newest first.
pub async fn of_subject(
    tx: &mut Tx<'_>,
    subject: SubjectId,
    as_target: bool,
    limit: usize,
) -> Result<Vec<RequestId>> {
    let rows = tx
        .query(
            "select r.id from requests r
             where ((r.subject_id = $1 and $2) or (r.requestor_id = $1 and not $2))
                 and exists (select 1 from approval_stages t where t.request_id = r.id)
             order by r.created_at_ms desc, r.id limit $3",
            params![subject, as_target, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}
