//! Approval stages: the rows behind `accede_domain::approval`, and who may decide them.

use accede_domain::Timestamp;
use accede_domain::approval::{Result as Review, Stage, Status};
use accede_domain::id::{RequestId, StageId, SubjectId, UserId};
use accede_domain::policy::ApprovalStage;

use crate::many::places;
use crate::requests::{json, limit_value, named};
use crate::{Result, Row, Tx, Value, params};

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
    tx.post(
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
    tx.post(
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
    of_requests(tx, &[request]).await
}

/// The stages of these requests, of each in order.
pub async fn of_requests(tx: &mut Tx<'_>, requests: &[RequestId]) -> Result<Vec<StageRow>> {
    let mut values = Vec::new();
    let sql = format!(
        "select {} from approval_stages t where t.request_id in ({})
         order by t.request_id, t.position",
        columns!(),
        places(requests, &mut values)
    );
    let rows = tx.query_text(&sql, &values).await?;
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

/// Who may decide a stage, by name.
pub async fn approvers(tx: &mut Tx<'_>, stage: StageId) -> Result<Vec<Approver>> {
    let found = approvers_of(tx, &[stage]).await?;
    Ok(found.into_iter().map(|(_, approver)| approver).collect())
}

/// Who may decide these stages, of each by name.
pub async fn approvers_of(tx: &mut Tx<'_>, stages: &[StageId]) -> Result<Vec<(StageId, Approver)>> {
    let mut values = Vec::new();
    let sql = format!(
        "select x.stage_id, u.id, u.display_name
         from stage_approvers x join users u on u.id = x.approver_id
         where x.stage_id in ({}) order by u.display_name, u.id",
        places(stages, &mut values)
    );
    let rows = tx.query_text(&sql, &values).await?;
    rows.iter()
        .map(|row| Ok((row.get(0)?, Approver { user: row.get(1)?, display_name: row.get(2)? })))
        .collect()
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

/// Stages nobody decided in time: request and its subject, oldest first, but for the first `skip`.
pub async fn overdue(
    tx: &mut Tx<'_>,
    now: Timestamp,
    (skip, limit): (usize, usize),
) -> Result<Vec<(RequestId, SubjectId)>> {
    let rows = tx
        .query(
            "select r.id, r.subject_id
             from approval_stages t join requests r on r.id = t.request_id
             where t.status = 'InProgress' and t.due_at_ms <= $1
             order by t.due_at_ms, r.id limit $2 offset $3",
            params![now, limit_value(limit), limit_value(skip)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}
