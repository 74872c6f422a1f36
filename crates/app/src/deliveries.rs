//! Deliveries as people see them: the per-role truth of a request, its attempts, try now.

use accede_domain::delivery::STUCK_AFTER;
use accede_domain::id::{CauseId, DeliveryId, RequestId, SubjectId, TargetId};
use accede_domain::pending;
use accede_domain::permission::{Action, Reach};
use accede_domain::refusal::Refusal;
use accede_domain::retry;
use accede_store::{Tx, attempts, deliveries, history, people, targets};

use crate::approvals::StageView;
use crate::deed::Deed;
use crate::requests::{RequestView, visible};
use crate::targets::refuse_paused;
use crate::{App, Caller, Error, Result, audit};

pub use accede_store::attempts::Attempt;
pub use accede_store::deliveries::{Hold, Named};

/// Most attempts shown of one delivery.
pub const MAX_ATTEMPTS: usize = 200;
/// Most stuck revocations listed at once.
pub const MAX_STUCK: usize = 1_000;
/// Deliveries of a cause that are reopened in one transaction.
const CAUSE_BATCH: usize = 100;

/// Everything about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestDetail {
    /// The request.
    pub view: RequestView,
    /// Its roles, one by one.
    pub deliveries: Vec<Named>,
    /// Its approval.
    pub stages: Vec<StageView>,
    /// What happened, oldest first.
    pub history: Vec<history::Line>,
    /// What the caller may do with it.
    pub permissions: Permissions,
}

/// What the caller may do with a request, the request's state aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// Reprocess it, retry its deliveries.
    pub may_reprocess: bool,
    /// Cancel it.
    pub may_cancel: bool,
    /// See who did what in the target systems.
    pub may_read_attempts: bool,
}

/// A delivery's person and packages, for lists that span requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StuckRevocation {
    /// The delivery.
    pub named: Named,
    /// Whose access should be gone.
    pub person: Option<people::Facts>,
}

impl App {
    /// Everything about one request: roles, attempts, stages, timeline.
    ///
    /// # Errors
    ///
    /// Not found for people who have nothing to do with it.
    pub async fn request_detail(&self, caller: &Caller, id: RequestId) -> Result<RequestDetail> {
        let view = self.get_request(caller, id).await?;
        let catalog = view.summary.catalog;
        let own = caller.subject().is_some_and(|subject| {
            subject == view.summary.request.subject || subject == view.summary.request.requestor
        });
        let permissions = Permissions {
            may_reprocess: caller.reach(Action::Reprocess).includes(catalog),
            may_cancel: own || caller.reach(Action::CancelOthers).includes(catalog),
            may_read_attempts: caller.reach(Action::ReadRequests).includes(catalog),
        };
        self.store()
            .read(async |tx| {
                let deliveries = match view.summary.request.assignment {
                    Some(assignment) => deliveries::named_of_assignment(tx, assignment).await?,
                    None => Vec::new(),
                };
                Ok(RequestDetail {
                    deliveries,
                    stages: crate::approvals::view(tx, id, caller.user()).await?.stages,
                    history: history::of_request(tx, id).await?,
                    permissions,
                    view: view.clone(),
                })
            })
            .await
    }

    /// One delivery, for those who may read requests of a catalog that is a reason for it, and for
    /// its own person.
    ///
    /// # Errors
    ///
    /// Not found for everybody else.
    pub async fn get_delivery(&self, caller: &Caller, id: DeliveryId) -> Result<Named> {
        self.may_with_delivery(caller, id, Action::ReadRequests).await
    }

    /// One delivery, for those who may do this with it.
    ///
    /// # Errors
    ///
    /// Not found for those who may not read it, forbidden for those who may only read it.
    pub async fn may_with_delivery(
        &self,
        caller: &Caller,
        id: DeliveryId,
        action: Action,
    ) -> Result<Named> {
        self.store().read(async |tx| delivery_for(tx, caller, id, action).await).await
    }

    /// The attempts made for a delivery, newest first, at most [`MAX_ATTEMPTS`].
    ///
    /// # Errors
    ///
    /// Not found for those who may not read it.
    pub async fn list_attempts(&self, caller: &Caller, id: DeliveryId) -> Result<Vec<Attempt>> {
        self.store()
            .read(async |tx| {
                delivery_for(tx, caller, id, Action::ReadRequests).await?;
                Ok(attempts::of_delivery(tx, id, MAX_ATTEMPTS).await?)
            })
            .await
    }

    /// Tries a delivery now that waits for its next try. What rests as failed is tried again by
    /// reprocessing its request; a stuck revocation is tried now. Says whether anything changed.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, or refused when there is nothing to try or its target is paused.
    pub async fn retry_delivery(&self, caller: &Caller, id: DeliveryId) -> Result<bool> {
        let now = self.now();
        let (target, changed) = self
            .store()
            .write(async |tx| {
                let named = delivery_for(tx, caller, id, Action::Reprocess).await?;
                people::lock(tx, named.row.key.subject).await?;
                let row = deliveries::lock(tx, id).await?;
                let row = row.ok_or_else(|| Error::not_found("delivery", id))?;
                if let accede_domain::delivery::Phase::Failed { .. } = row.delivery.phase {
                    return Err(Error::from(Refusal::Rule {
                        code: "DeliveryFailed",
                        sentence: "this delivery was given up; reprocess its request, so that its \
                                   rules are checked again"
                            .to_owned(),
                    }));
                }
                refuse_try_while_paused(tx, row.key.target).await?;
                let mut deed = Deed { app: self, tx, caller, now };
                let changed = match pending::waits_for_person(&row.delivery) {
                    // Who tries it now takes it back from the person who has it.
                    true => {
                        let back = pending::take_back(row.delivery, now);
                        let changed = back != row.delivery;
                        deed.change(row, back, None).await?;
                        changed
                    }
                    false => deed.reopen(row, None).await?,
                };
                let record = audit::Event {
                    action: "delivery retried",
                    object_type: "delivery",
                    object_id: id.to_string(),
                    catalog: None,
                    detail: serde_json::json!({ "changed": changed }),
                };
                audit::record(self, deed.tx, caller, record, now).await?;
                Ok((named.row.key.target, changed))
            })
            .await?;
        self.hurry_circuits(Some(target)).await;
        self.wake();
        Ok(changed)
    }

    /// Tries everything now that waits because of one cause, in the catalogs where the caller may
    /// reprocess; says how much that was.
    ///
    /// # Errors
    ///
    /// Not found unless it holds something up that the caller may read; forbidden unless they may
    /// reprocess in one of the catalogs whose packages it holds up; refused while its target is paused.
    pub async fn retry_cause(&self, caller: &Caller, cause: CauseId) -> Result<usize> {
        let target = self.get_failure(caller, cause).await?.cause.target;
        let reach = caller.may_somewhere(Action::Reprocess)?;
        if !self.holds_up(cause, &reach).await? {
            return Err(caller.lacks(Action::Reprocess));
        }
        let now = self.now();
        self.store().read(async |tx| refuse_try_while_paused(tx, target).await).await?;
        let (mut after, mut total) = (None, 0);
        loop {
            let (last, changed) = self
                .store()
                .write(async |tx| {
                    let rows = deliveries::of_cause(tx, cause, after, CAUSE_BATCH).await?;
                    let mut within = Vec::with_capacity(rows.len());
                    for row in &rows {
                        if reaches(tx, &reach, row.0).await? {
                            within.push(*row);
                        }
                    }
                    let mut deed = Deed { app: self, tx, caller, now };
                    let changed = deed.reopen_all(&within).await?;
                    Ok::<_, Error>((rows.last().map(|(id, _)| *id), changed))
                })
                .await?;
            total += changed;
            if last.is_none() {
                break;
            }
            after = last;
        }
        self.hurry_circuits(Some(target)).await;
        self.wake();
        Ok(total)
    }

    /// Revocations that should be done and are not: refused, or due for longer than
    /// [`STUCK_AFTER`]. Complete up to [`MAX_STUCK`], oldest first.
    ///
    /// # Errors
    ///
    /// Forbidden unless the caller may read requests somewhere.
    pub async fn stuck_revocations(&self, caller: &Caller) -> Result<Vec<StuckRevocation>> {
        let now = self.now();
        let reach = caller.may_somewhere(Action::ReadRequests)?;
        let before = retry::before(now, STUCK_AFTER);
        self.store()
            .read(async |tx| {
                let mut found = Vec::new();
                for named in deliveries::stuck_revocations(tx, &reach, before, MAX_STUCK).await? {
                    let person = people::by_subject(tx, named.row.key.subject).await?;
                    found.push(StuckRevocation { named, person });
                }
                Ok(found)
            })
            .await
    }
}

/// Nothing is tried at a target that is paused, so nobody is told that it is.
async fn refuse_try_while_paused(tx: &mut Tx<'_>, target: TargetId) -> Result<()> {
    match targets::get(tx, target).await? {
        Some(target) => refuse_paused(&target, "nothing is tried there"),
        None => Ok(()),
    }
}

/// Whether a catalog that is a reason for a delivery is within reach.
async fn reaches(tx: &mut Tx<'_>, reach: &Reach, id: DeliveryId) -> Result<bool> {
    if *reach == Reach::Everywhere {
        return Ok(true);
    }
    let catalogs = deliveries::catalogs_of(tx, id).await?;
    Ok(catalogs.iter().any(|catalog| reach.includes(*catalog)))
}

async fn delivery_for(
    tx: &mut Tx<'_>,
    caller: &Caller,
    id: DeliveryId,
    action: Action,
) -> Result<Named> {
    let missing = || Error::not_found("delivery", id);
    let named = deliveries::get_named(tx, id).await?.ok_or_else(missing)?;
    let catalogs = deliveries::catalogs_of(tx, id).await?;
    let within = |action: Action| {
        let reach = caller.reach(action);
        catalogs.iter().any(|catalog| reach.includes(*catalog))
    };
    if within(action) {
        Ok(named)
    } else if within(Action::ReadRequests) {
        Err(caller.lacks(action))
    } else {
        Err(missing())
    }
}

impl Deed<'_, '_> {
    async fn reopen_all(&mut self, rows: &[(DeliveryId, SubjectId)]) -> Result<usize> {
        let mut subjects: Vec<SubjectId> = rows.iter().map(|(_, subject)| *subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        for subject in subjects {
            people::lock(self.tx, subject).await?;
        }
        let mut changed = 0;
        for (id, _) in rows {
            let Some(row) = deliveries::lock(self.tx, *id).await? else { continue };
            let given_up =
                matches!(row.delivery.phase, accede_domain::delivery::Phase::Failed { .. });
            if !given_up && self.reopen(row, None).await? {
                changed += 1;
            }
        }
        Ok(changed)
    }
}

impl App {
    /// The roles of a request, one by one.
    ///
    /// # Errors
    ///
    /// Not found for people who have nothing to do with it.
    pub async fn request_deliveries(&self, caller: &Caller, id: RequestId) -> Result<Vec<Named>> {
        self.store()
            .read(async |tx| {
                visible(tx, caller, id).await?;
                let request = accede_store::requests::get(tx, id).await?;
                match request.and_then(|request| request.assignment) {
                    Some(assignment) => Ok(deliveries::named_of_assignment(tx, assignment).await?),
                    None => Ok(Vec::new()),
                }
            })
            .await
    }

    /// The timeline of a request, oldest first.
    ///
    /// # Errors
    ///
    /// Not found for people who have nothing to do with it.
    pub async fn request_history(
        &self,
        caller: &Caller,
        id: RequestId,
    ) -> Result<Vec<history::Line>> {
        self.store()
            .read(async |tx| {
                visible(tx, caller, id).await?;
                Ok(history::of_request(tx, id).await?)
            })
            .await
    }
}
