//! People, requests, assignments and deliveries for the tests of their files.

use accede_domain::approval::Stage;
use accede_domain::delivery::Delivery;
use accede_domain::duration::Duration;
use accede_domain::id::{AssignmentId, DeliveryId, Id, PackageId, RequestId, SubjectId};
use accede_domain::policy::{ApprovalStage, Terms};
use accede_domain::request::{State, Type};
use accede_domain::schedule::Schedule;
use accede_domain::{Timestamp, assignment};
use accede_store::approvals::StageRow;
use accede_store::assignments::{self, Assignment};
use accede_store::deliveries::{self, DeliveryRow, Key};
use accede_store::requests::{self, Request};
use accede_store::testing::{plans, scans};
use accede_store::users::User;
use accede_store::{Error, Result, Store, Tx};

use crate::shelf::{Shelf, at, nth, package, stock};
use crate::users::{add, person};

/// What [`set`] puts there.
pub struct Desk {
    pub shelf: Shelf,
    pub uma: User,
    pub max: User,
    pub boss: User,
    /// A second package of the same catalog.
    pub other: PackageId,
}

/// The shelf, three people (`boss` manages the others) and a second package.
pub async fn set(store: &Store) -> Desk {
    let shelf = stock(store).await;
    let boss = person(103);
    let uma = User { manager: Some(boss.id), ..person(101) };
    let max = User { manager: Some(boss.id), ..person(102) };
    let other = package(60, shelf.catalog, "Other");
    store
        .write(async |tx| {
            add(tx, &[boss.clone(), uma.clone(), max.clone()]).await?;
            accede_store::packages::insert(tx, &other).await
        })
        .await
        .unwrap();
    Desk { shelf, uma, max, boss, other: other.id }
}

impl Desk {
    /// A request of Uma's for the package.
    pub fn request(&self, n: u128, state: State) -> Request {
        Request {
            id: nth(n),
            request_type: Type::UserAdd,
            subject: self.uma.subject,
            requestor: self.uma.subject,
            package: self.shelf.package,
            policy: Some(self.shelf.policy),
            assignment: None,
            state,
            begins: None,
            end: None,
            schedule: Schedule::default(),
            terms: Terms::default(),
            justification: None,
            answers: "[]".to_owned(),
            block: None,
            created_at: at(i64::try_from(n).unwrap()),
            version: 1,
        }
    }

    /// An assignment of the package to Uma.
    pub fn assignment(&self, n: u128, state: assignment::State) -> Assignment {
        Assignment {
            id: nth(n),
            subject: self.uma.subject,
            package: self.shelf.package,
            policy: Some(self.shelf.policy),
            state,
            start: at(1),
            end: None,
            roles_version: 0,
            created_at: at(i64::try_from(n).unwrap()),
            version: 1,
        }
    }

    /// A delivery of a role of this name to somebody, untouched.
    pub fn delivery(&self, n: u128, subject: SubjectId, role: &str) -> DeliveryRow {
        DeliveryRow {
            id: nth(n),
            key: Key {
                target: self.shelf.target,
                subject,
                resource: role.to_owned(),
                role: format!("Member_{role}"),
                scope: role.to_owned(),
            },
            role: self.shelf.role,
            delivery: Delivery::new(false, at(0)),
            fault: None,
            attempted_at: None,
        }
    }

    /// Adds a request.
    pub async fn ask(&self, tx: &mut Tx<'_>, n: u128, state: State) -> Result<Request> {
        let request = self.request(n, state);
        requests::insert(tx, &request).await?;
        Ok(request)
    }

    /// Adds a delivering assignment of the package to somebody, and a request that made it.
    pub async fn assign(
        &self,
        tx: &mut Tx<'_>,
        n: u128,
        subject: SubjectId,
        state: State,
    ) -> Result<(RequestId, AssignmentId)> {
        let given = assignment::State::Delivering;
        let assignment = Assignment { subject, ..self.assignment(n, given) };
        assignments::insert(tx, &assignment).await?;
        let request = Request {
            subject,
            requestor: subject,
            assignment: Some(assignment.id),
            ..self.request(n + 1, state)
        };
        requests::insert(tx, &request).await?;
        Ok((request.id, assignment.id))
    }

    /// Adds a delivery, with an assignment as its live reason.
    pub async fn deliver(
        &self,
        tx: &mut Tx<'_>,
        row: &DeliveryRow,
        reason: Option<AssignmentId>,
    ) -> Result<DeliveryId> {
        let kept = deliveries::lock_or_insert(tx, row).await?;
        if let Some(reason) = reason {
            assignments::add_reason(tx, kept.id, reason).await?;
        }
        Ok(kept.id)
    }
}

/// A stage of a request.
pub fn stage(n: u128, request: RequestId, position: i64, stage: Stage) -> StageRow {
    StageRow {
        id: nth(n),
        request,
        position,
        stage,
        terms: ApprovalStage {
            duration_before_automatic_denial: Duration::days(14),
            is_approver_justification_required: false,
            primary_approvers: Vec::new(),
            fallback_primary_approvers: Vec::new(),
        },
        resolution: None,
        justification: None,
        reviewed_by: None,
        reviewed_at: None,
    }
}

/// Runs the test's body in a transaction that is kept.
pub async fn within<T: Send>(
    store: &Store,
    work: impl for<'t> AsyncFnMut(&'t mut Tx<'t>) -> Result<T>
    + for<'t> accede_store::Work<'t, T, Error>,
) -> T {
    store.write(work).await.unwrap()
}

/// Fails if any statement of the work reads a whole table.
pub async fn no_scan<T>(
    tx: &mut Tx<'_>,
    what: &str,
    work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T>,
) -> Result<()> {
    let engine = tx.engine().name();
    for plan in plans(tx, work).await? {
        let scanned = scans(&plan);
        assert!(scanned.is_empty(), "{engine}: {what} scans {scanned:?}:\n{plan}");
    }
    Ok(())
}

/// The first `limit` of a list.
pub fn first(limit: usize) -> accede_store::filter::Ask<'static> {
    accede_store::filter::Ask { top: limit, ..accede_store::filter::Ask::default() }
}

/// An id that nothing has.
pub fn nobody<I: Id>() -> I {
    nth(0xdead)
}

/// When things are noticed, long after all of them.
pub fn later() -> Timestamp {
    at(1_000_000)
}
