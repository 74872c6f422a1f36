//! Everything that the rows say at one instant, read without the code that is under test.

use std::collections::BTreeMap;

use accede_domain::Timestamp;
use accede_domain::id::{
    AssignmentId, DeliveryId, GuardId, PackageId, RequestId, SubjectId, TargetId,
};
use accede_store::{Result, Store, params};

/// A delivery's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub target: TargetId,
    pub subject: SubjectId,
    pub resource: String,
    pub wanted: bool,
    pub generation: i64,
    pub observed: String,
    pub phase: String,
    pub ready_at: Option<Timestamp>,
    pub action: Option<String>,
    pub epoch: i64,
    pub since: Timestamp,
    pub pre_existing: bool,
    pub keep: bool,
    pub acknowledged: Option<Timestamp>,
    pub verified: Option<Timestamp>,
    pub has_cause: bool,
    pub crashes: i64,
    pub strikes: i64,
    pub is_alone: bool,
}

/// How its request sees a delivery; said again here, independently of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Done,
    Open,
    Failed,
}

impl Delivery {
    pub fn is_so(&self) -> bool {
        match (self.wanted, self.observed.as_str()) {
            (true, "present") | (false, "absent" | "never") => true,
            (false, "present") => self.pre_existing && self.keep,
            _ => false,
        }
    }

    pub fn part(&self) -> Part {
        match self.phase.as_str() {
            "settled" => Part::Done,
            "inFlight" if self.is_so() => Part::Done,
            "failed" => Part::Failed,
            _ => Part::Open,
        }
    }

    pub fn member(&self) -> (SubjectId, String) {
        (self.subject, self.resource.clone())
    }
}

/// An assignment's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub id: AssignmentId,
    pub subject: SubjectId,
    pub package: PackageId,
    pub state: String,
    pub start: Timestamp,
    pub end: Option<Timestamp>,
    /// How many changes of its package's roles it has.
    pub roles: usize,
}

impl Assignment {
    pub fn is_live(&self) -> bool {
        !matches!(self.state.as_str(), "ending" | "expired")
    }
}

/// A request's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub id: RequestId,
    pub kind: String,
    pub subject: SubjectId,
    pub package: PackageId,
    pub assignment: Option<AssignmentId>,
    pub state: String,
    pub begins: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub first_completed: Option<Timestamp>,
    pub blocked: bool,
}

impl Request {
    pub fn adds(&self) -> bool {
        matches!(self.kind.as_str(), "userAdd" | "adminAdd")
    }
}

/// A stage's row: request, position, status, result.
pub type Stage = (RequestId, i64, String, String);

/// A change that waits or waited for a second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    pub cause: String,
    pub package: Option<PackageId>,
    pub state: String,
}

/// Everything at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub deliveries: BTreeMap<DeliveryId, Delivery>,
    pub assignments: BTreeMap<AssignmentId, Assignment>,
    pub requests: BTreeMap<RequestId, Request>,
    pub stages: Vec<Stage>,
    /// Which assignments are or were a reason for which deliveries, and whether they are.
    pub reasons: Vec<(AssignmentId, DeliveryId, bool)>,
    pub running_jobs: i64,
    /// Changes that wait or waited for a second person.
    pub guards: BTreeMap<GuardId, Guard>,
}

impl Snapshot {
    pub async fn take(store: &Store) -> Snapshot {
        store.read(async |tx| read(tx).await).await.unwrap()
    }

    /// The deliveries of an assignment, with whether it is a live reason.
    pub fn edges(&self, id: AssignmentId) -> impl Iterator<Item = (&Delivery, bool)> {
        self.reasons
            .iter()
            .filter(move |(assignment, ..)| *assignment == id)
            .map(|(_, delivery, live)| (&self.deliveries[delivery], *live))
    }

    /// Changes that wait for a second person.
    pub fn held(&self) -> impl Iterator<Item = (GuardId, &Guard)> {
        let all = self.guards.iter().map(|(id, guard)| (*id, guard));
        all.filter(|(_, guard)| guard.state == "held")
    }

    /// Whether a change of a package's roles waits for a second person.
    pub fn is_held(&self, package: PackageId) -> bool {
        self.held().any(|(_, guard)| guard.package == Some(package))
    }

    /// The stages of a request.
    pub fn stages_of(&self, id: RequestId) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(move |(request, ..)| *request == id)
    }
}

async fn read(tx: &mut accede_store::Tx<'_>) -> Result<Snapshot> {
    let mut found = Snapshot::default();
    let rows = tx
        .query(
            "select id, target_id, subject_id, resource_origin_id, wanted, generation, observed,
                 phase, ready_at_ms, action, epoch, since_at_ms, pre_existing, keep_pre_existing,
                 acknowledged_at_ms, verified_at_ms, cause_id is not null, crashes, strikes,
                 is_alone
             from deliveries",
            params![],
        )
        .await?;
    for row in &rows {
        let delivery = Delivery {
            id: row.get(0)?,
            target: row.get(1)?,
            subject: row.get(2)?,
            resource: row.get(3)?,
            wanted: row.get(4)?,
            generation: row.get(5)?,
            observed: row.get(6)?,
            phase: row.get(7)?,
            ready_at: row.get(8)?,
            action: row.get(9)?,
            epoch: row.get(10)?,
            since: row.get(11)?,
            pre_existing: row.get(12)?,
            keep: row.get(13)?,
            acknowledged: row.get(14)?,
            verified: row.get(15)?,
            has_cause: row.get(16)?,
            crashes: row.get(17)?,
            strikes: row.get(18)?,
            is_alone: row.get(19)?,
        };
        found.deliveries.insert(delivery.id, delivery);
    }
    let rows = tx
        .query(
            "select id, subject_id, package_id, state, start_at_ms, end_at_ms, roles_version
             from assignments",
            params![],
        )
        .await?;
    for row in &rows {
        let assignment = Assignment {
            id: row.get(0)?,
            subject: row.get(1)?,
            package: row.get(2)?,
            state: row.get(3)?,
            start: row.get(4)?,
            end: row.get(5)?,
            roles: usize::try_from(row.get::<i64>(6)?).unwrap(),
        };
        found.assignments.insert(assignment.id, assignment);
    }
    let rows = tx
        .query(
            "select id, request_type, subject_id, package_id, assignment_id, state, begins_at_ms,
                 end_at_ms, first_completed_at_ms, block_code is not null
             from requests",
            params![],
        )
        .await?;
    for row in &rows {
        let request = Request {
            id: row.get(0)?,
            kind: row.get(1)?,
            subject: row.get(2)?,
            package: row.get(3)?,
            assignment: row.get(4)?,
            state: row.get(5)?,
            begins: row.get(6)?,
            end: row.get(7)?,
            first_completed: row.get(8)?,
            blocked: row.get(9)?,
        };
        found.requests.insert(request.id, request);
    }
    let rows = tx
        .query(
            "select request_id, position, status, result from approval_stages
             order by request_id, position",
            params![],
        )
        .await?;
    for row in &rows {
        found.stages.push((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    }
    let rows =
        tx.query("select assignment_id, delivery_id, is_live from reasons", params![]).await?;
    for row in &rows {
        found.reasons.push((row.get(0)?, row.get(1)?, row.get(2)?));
    }
    let row = tx
        .query_one("select count(*) from reprocess_jobs where state = 'running'", params![])
        .await?;
    found.running_jobs = row.get(0)?;
    for row in &tx.query("select id, cause, package_id, state from guards", params![]).await? {
        let guard = Guard { cause: row.get(1)?, package: row.get(2)?, state: row.get(3)? };
        found.guards.insert(row.get(0)?, guard);
    }
    Ok(found)
}
