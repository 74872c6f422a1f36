//! Reprocess plans and jobs: the exact snapshot of what is to be tried again, and its run.

use accede_domain::Timestamp;
use accede_domain::id::{JobId, PlanId, RequestId, UserId};

use crate::requests::limit_value;
use crate::{Error, Result, Row, Sql, Tx, Value, params};

/// A plan as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// Who made it, by name.
    pub created_by: String,
    /// Who made it, if it was a person.
    pub creator: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
    /// The selection it was made from, as JSON.
    pub filter: String,
    /// The digest of its items.
    pub digest: String,
    /// How many will be tried again.
    pub eligible: i64,
    /// How many will not.
    pub skipped: i64,
    /// What it comes to, as JSON: by target, by reason.
    pub summary: String,
    /// The job that runs it, once it was run.
    pub job: Option<JobId>,
}

/// One request of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanItem {
    /// Its place in the plan.
    pub position: i64,
    /// Which request.
    pub request: RequestId,
    /// The request's version when the plan was made.
    pub version: i64,
    /// Why it will not be tried again: code and sentence.
    pub skip: Option<(String, String)>,
}

/// Adds a plan with its items.
pub async fn insert(tx: &mut Tx<'_>, plan: &Plan, items: &[PlanItem]) -> Result<()> {
    tx.execute(
        "insert into reprocess_plans (id, created_by, creator_id, created_at_ms, filter, digest,
             eligible, skipped, summary, job_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        params![
            plan.id,
            plan.created_by.clone(),
            plan.creator,
            plan.created_at,
            plan.filter.clone(),
            plan.digest.clone(),
            plan.eligible,
            plan.skipped,
            plan.summary.clone(),
            plan.job
        ],
    )
    .await?;
    let rows: Vec<Vec<Value>> = items
        .iter()
        .map(|item| {
            let (code, text) = item.skip.clone().unzip();
            params![plan.id, item.position, item.request, item.version, code, text].to_vec()
        })
        .collect();
    tx.execute_all(
        "insert into reprocess_plan_items (plan_id, position, request_id, version, skip_code,
             skip_text)
         values ($1, $2, $3, $4, $5, $6)",
        &rows,
    )
    .await?;
    Ok(())
}

/// Writes what a plan comes to, once its items are there to be counted.
pub async fn set_summary(tx: &mut Tx<'_>, id: PlanId, summary: &str) -> Result<()> {
    tx.execute("update reprocess_plans set summary = $2 where id = $1", params![id, summary])
        .await?;
    Ok(())
}

fn plan(row: &Row) -> Result<Plan> {
    Ok(Plan {
        id: row.get(0)?,
        created_by: row.get(1)?,
        creator: row.get(2)?,
        created_at: row.get(3)?,
        filter: row.get(4)?,
        digest: row.get(5)?,
        eligible: row.get(6)?,
        skipped: row.get(7)?,
        summary: row.get(8)?,
        job: row.get(9)?,
    })
}

/// Reads a plan; holds it until the transaction ends if that writes.
pub async fn lock(tx: &mut Tx<'_>, id: PlanId) -> Result<Option<Plan>> {
    let sql = Sql {
        lite: "select id, created_by, creator_id, created_at_ms, filter, digest, eligible, skipped,
                 summary, job_id from reprocess_plans where id = $1",
        pg: "select id, created_by, creator_id, created_at_ms, filter, digest, eligible, skipped,
                 summary, job_id from reprocess_plans where id = $1 for update",
    };
    tx.query_opt(sql, params![id]).await?.map(|row| plan(&row)).transpose()
}

/// Reads a plan.
pub async fn get(tx: &mut Tx<'_>, id: PlanId) -> Result<Option<Plan>> {
    tx.query_opt(
        "select id, created_by, creator_id, created_at_ms, filter, digest, eligible, skipped,
             summary, job_id from reprocess_plans where id = $1",
        params![id],
    )
    .await?
    .map(|row| plan(&row))
    .transpose()
}

/// The items of a plan from `after` on, in order.
pub async fn items(
    tx: &mut Tx<'_>,
    plan: PlanId,
    after: i64,
    limit: usize,
) -> Result<Vec<PlanItem>> {
    let rows = tx
        .query(
            "select position, request_id, version, skip_code, skip_text
             from reprocess_plan_items where plan_id = $1 and position > $2
             order by position limit $3",
            params![plan, after, limit_value(limit)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let code: Option<String> = row.get(3)?;
            let text: Option<String> = row.get(4)?;
            Ok(PlanItem {
                position: row.get(0)?,
                request: row.get(1)?,
                version: row.get(2)?,
                skip: code.zip(text),
            })
        })
        .collect()
}

/// How many undelivered deliveries of a plan's eligible requests lie in each target: name, name for
/// people, how many, most calls at once.
pub async fn by_target(tx: &mut Tx<'_>, plan: PlanId) -> Result<Vec<(String, String, i64, i64)>> {
    let rows = tx
        .query(
            concat!(
                "select t.name, t.display_name, t.concurrency, count(distinct d.id) as n
             from reprocess_plan_items i join requests r on r.id = i.request_id
                 join reasons x on x.assignment_id = r.assignment_id and x.is_live
                 join deliveries d on d.id = x.delivery_id
                 join targets t on t.id = d.target_id
             where i.plan_id = $1 and i.skip_code is null and ",
                crate::deliveries::undone!(),
                " group by t.name, t.display_name, t.concurrency order by n desc, t.name"
            ),
            params![plan],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?, row.get(3)?, row.get(2)?))).collect()
}

/// How many of a plan's requests will not be tried again, by code, with one sentence as example.
pub async fn by_reason(tx: &mut Tx<'_>, plan: PlanId) -> Result<Vec<(String, String, i64)>> {
    let rows = tx
        .query(
            "select skip_code, min(skip_text), count(*) as n from reprocess_plan_items
             where plan_id = $1 and skip_code is not null
             group by skip_code order by n desc, skip_code",
            params![plan],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).collect()
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Items wait for their turn.
    Running,
    /// Every item had its turn.
    Completed,
    /// Stopped by somebody; items that had their turn stand.
    Canceled,
}

impl JobState {
    /// The name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Completed => "completed",
            JobState::Canceled => "canceled",
        }
    }

    fn parse(name: &str) -> Option<JobState> {
        [JobState::Running, JobState::Completed, JobState::Canceled]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The plan it runs.
    pub plan: PlanId,
    /// Where it stands.
    pub state: JobState,
    /// Who ran it, by name.
    pub created_by: String,
    /// Who ran it, if it was a person.
    pub creator: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
    /// When its last item had its turn, or it was canceled.
    pub finished_at: Option<Timestamp>,
}

fn job(row: &Row) -> Result<Job> {
    Ok(Job {
        id: row.get(0)?,
        plan: row.get(1)?,
        state: crate::requests::named(JobState::parse, &row.get::<String>(2)?)?,
        created_by: row.get(3)?,
        creator: row.get(4)?,
        created_at: row.get(5)?,
        finished_at: row.get(6)?,
    })
}

/// Starts a job: the eligible items of its plan wait for their turn.
pub async fn insert_job(tx: &mut Tx<'_>, job: &Job) -> Result<()> {
    tx.execute(
        "insert into reprocess_jobs (id, plan_id, state, created_by, creator_id, created_at_ms,
             finished_at_ms, version)
         values ($1, $2, $3, $4, $5, $6, $7, 1)",
        params![
            job.id,
            job.plan,
            job.state.name(),
            job.created_by.clone(),
            job.creator,
            job.created_at,
            job.finished_at
        ],
    )
    .await?;
    tx.execute(
        "insert into reprocess_job_items (job_id, position, request_id, state)
         select $1, position, request_id, 'pending' from reprocess_plan_items
         where plan_id = $2 and skip_code is null",
        params![job.id, job.plan],
    )
    .await?;
    tx.execute("update reprocess_plans set job_id = $2 where id = $1", params![job.plan, job.id])
        .await?;
    Ok(())
}

/// Reads a job.
pub async fn get_job(tx: &mut Tx<'_>, id: JobId) -> Result<Option<Job>> {
    tx.query_opt(
        "select id, plan_id, state, created_by, creator_id, created_at_ms, finished_at_ms
         from reprocess_jobs where id = $1",
        params![id],
    )
    .await?
    .map(|row| job(&row))
    .transpose()
}

/// The newest jobs, at most `limit`.
pub async fn recent_jobs(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<Job>> {
    let rows = tx
        .query(
            "select id, plan_id, state, created_by, creator_id, created_at_ms, finished_at_ms
             from reprocess_jobs order by created_at_ms desc, id desc limit $1",
            params![limit_value(limit)],
        )
        .await?;
    rows.iter().map(job).collect()
}

/// Jobs with items that wait, oldest first.
pub async fn running_jobs(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<Job>> {
    let rows = tx
        .query(
            "select id, plan_id, state, created_by, creator_id, created_at_ms, finished_at_ms
             from reprocess_jobs where state = 'running'
             order by created_at_ms limit $1",
            params![limit_value(limit)],
        )
        .await?;
    rows.iter().map(job).collect()
}

/// Items of a job that wait for their turn: position and request.
pub async fn pending(tx: &mut Tx<'_>, job: JobId, limit: usize) -> Result<Vec<(i64, RequestId)>> {
    let rows = tx
        .query(
            "select position, request_id from reprocess_job_items
             where job_id = $1 and state = 'pending' order by position limit $2",
            params![job, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Records an item's turn, unless somebody else did; says whether it was ours.
pub async fn finish_item(
    tx: &mut Tx<'_>,
    job: JobId,
    position: i64,
    outcome: Option<(&str, &str)>,
    now: Timestamp,
) -> Result<bool> {
    let state = if outcome.is_none() { "accepted" } else { "refused" };
    let changed = tx
        .execute(
            "update reprocess_job_items
             set state = $3, code = $4, detail = $5, done_at_ms = $6
             where job_id = $1 and position = $2 and state = 'pending'",
            params![
                job,
                position,
                state,
                outcome.map(|(code, _)| code.to_owned()),
                outcome.map(|(_, detail)| detail.to_owned()),
                now
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Ends a job that has no item waiting; says whether it did.
pub async fn complete_job(tx: &mut Tx<'_>, job: JobId, now: Timestamp) -> Result<bool> {
    let changed = tx
        .execute(
            "update reprocess_jobs set state = 'completed', finished_at_ms = $2,
                 version = version + 1
             where id = $1 and state = 'running'
                 and not exists (select 1 from reprocess_job_items
                     where job_id = $1 and state = 'pending')",
            params![job, now],
        )
        .await?;
    Ok(changed == 1)
}

/// Stops a job; items that had their turn stand. Says whether it was running.
pub async fn cancel_job(tx: &mut Tx<'_>, job: JobId, now: Timestamp) -> Result<bool> {
    let changed = tx
        .execute(
            "update reprocess_jobs set state = 'canceled', finished_at_ms = $2,
                 version = version + 1
             where id = $1 and state = 'running'",
            params![job, now],
        )
        .await?;
    if changed == 1 {
        tx.execute(
            "update reprocess_job_items set state = 'canceled', done_at_ms = $2
             where job_id = $1 and state = 'pending'",
            params![job, now],
        )
        .await?;
    }
    Ok(changed == 1)
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Items in all.
    pub total: i64,
    /// Items that wait for their turn.
    pub pending: i64,
    /// Items that were accepted.
    pub accepted: i64,
    /// Items that were refused.
    pub refused: i64,
    /// Items that were stopped before their turn.
    pub canceled: i64,
    /// Accepted requests that are delivering at present.
    pub delivering: i64,
    /// Accepted requests that are delivered.
    pub delivered: i64,
    /// Accepted requests that are partially delivered.
    pub partially_delivered: i64,
    /// Accepted requests whose delivery failed again.
    pub delivery_failed: i64,
    /// Accepted requests that ended otherwise.
    pub other: i64,
}

/// How far a job has come.
pub async fn progress(tx: &mut Tx<'_>, job: JobId) -> Result<Progress> {
    let rows = tx
        .query(
            "select i.state, r.state, count(*)
             from reprocess_job_items i left join requests r on r.id = i.request_id
             where i.job_id = $1 group by i.state, r.state",
            params![job],
        )
        .await?;
    let mut progress = Progress::default();
    for row in &rows {
        let (item, request): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        let n: i64 = row.get(2)?;
        progress.total += n;
        match item.as_str() {
            "pending" => progress.pending += n,
            "refused" => progress.refused += n,
            "canceled" => progress.canceled += n,
            "accepted" => {
                progress.accepted += n;
                match request.as_deref() {
                    Some("delivering") => progress.delivering += n,
                    Some("delivered") => progress.delivered += n,
                    Some("partiallyDelivered") => progress.partially_delivered += n,
                    Some("deliveryFailed") => progress.delivery_failed += n,
                    _ => progress.other += n,
                }
            }
            other => return Err(Error::Corrupt(format!("a job item in state `{other}`"))),
        }
    }
    Ok(progress)
}

/// One item of a job, with what became of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobItem {
    /// Its place in the job.
    pub position: i64,
    /// Which request.
    pub request: RequestId,
    /// `pending`, `accepted`, `refused`, `canceled`.
    pub state: String,
    /// Why it was refused: code and sentence.
    pub refusal: Option<(String, String)>,
    /// When it had its turn.
    pub done_at: Option<Timestamp>,
    /// The request's state at present.
    pub request_state: Option<String>,
    /// Who receives access.
    pub beneficiary: Option<String>,
}

/// The items of a job after a position, in order.
pub async fn job_items(
    tx: &mut Tx<'_>,
    job: JobId,
    after: i64,
    limit: usize,
) -> Result<Vec<JobItem>> {
    let rows = tx
        .query(
            "select i.position, i.request_id, i.state, i.code, i.detail, i.done_at_ms, r.state,
                 u.display_name
             from reprocess_job_items i left join requests r on r.id = i.request_id
                 left join subjects s on s.id = r.subject_id
                 left join users u on u.id = s.object_id
             where i.job_id = $1 and i.position > $2
             order by i.position limit $3",
            params![job, after, limit_value(limit)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let code: Option<String> = row.get(3)?;
            let detail: Option<String> = row.get(4)?;
            Ok(JobItem {
                position: row.get(0)?,
                request: row.get(1)?,
                state: row.get(2)?,
                refusal: code.zip(detail),
                done_at: row.get(5)?,
                request_state: row.get(6)?,
                beneficiary: row.get(7)?,
            })
        })
        .collect()
}
