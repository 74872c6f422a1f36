//! Drift as people see it and what follows from it: a target holds something else than what is wanted
//! there, because somebody else changed it.
//!
//! What a read-back found is written down in the transaction that records the read-back, and judged
//! there: repaired by itself, or left for a person. A finding is closed when the difference is over,
//! whoever ended it: that is read from the rows, so nothing has to remember it.

use accede_connectors::settings;
use accede_domain::Timestamp;
use accede_domain::delivery::{self, Delivery};
use accede_domain::drift::{CONTEST_WINDOW, KEPT, Kind, State, ended, judge};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{DriftFindingId, TargetId};
use accede_domain::permission::{Action, Reach};
use accede_domain::refusal::Refusal;
use accede_domain::retry::{self, Retry};
use accede_store::deliveries::{self, DeliveryRow};
use accede_store::drift::{self, Finding, Place};
use accede_store::{Tx, drift_sweeps, people, targets};
use serde_json::json;

use crate::deed::Deed;
use crate::list::ask;
use crate::targets::refuse_paused;
use crate::{App, Caller, Error, Listing, Page, Result, audit, text};

pub use accede_domain::drift::{Kind as DriftKind, State as FindingState};
pub use accede_store::drift::{FoundPerson, Holder, NamedFinding};

/// What it is called in errors and in the audit log.
const WHAT: &str = "drift finding";
/// Findings that are closed in one sweep.
const CLOSE_BATCH: usize = 500;

/// How a target and what is wanted there differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetDrift {
    /// When everything was last compared.
    pub compared_at: Option<Timestamp>,
    /// Whether it is being compared, or somebody asked for that.
    pub is_comparing: bool,
    /// Open findings that the reader may see, by kind.
    pub open: Vec<(Kind, i64)>,
    /// Roles whose holders could not be read the last time.
    pub roles_unread: i64,
    /// Why the last of those could not.
    pub problem: Option<String>,
}

impl TargetDrift {
    /// How many open findings there are of all kinds.
    pub fn total(&self) -> i64 {
        self.open.iter().map(|(_, count)| count).sum()
    }

    pub(crate) async fn of(
        tx: &mut Tx<'_>,
        reach: &Reach,
        target: TargetId,
    ) -> Result<TargetDrift> {
        let open = drift::open(tx, reach, Some(target)).await?;
        Ok(match drift_sweeps::get(tx, target).await? {
            None => TargetDrift { open, ..TargetDrift::default() },
            Some(sweep) => TargetDrift {
                compared_at: sweep.finished_at,
                is_comparing: sweep.is_running || sweep.asked_at.is_some(),
                open,
                roles_unread: sweep.roles_unread,
                problem: sweep.problem,
            },
        })
    }
}

impl App {
    /// The findings, newest first if no order is asked.
    ///
    /// # Errors
    ///
    /// Forbidden unless the caller may read requests somewhere; invalid for what the list does not
    /// have.
    pub async fn list_drift(
        &self,
        caller: &Caller,
        listing: &Listing,
    ) -> Result<Page<NamedFinding>> {
        let reach = caller.may_somewhere(Action::ReadRequests)?;
        self.store()
            .read(async |tx| {
                Ok(drift::page(tx, &reach, ask(listing)?, listing.count).await?.into())
            })
            .await
    }

    /// One finding.
    ///
    /// # Errors
    ///
    /// Not found for those who may not read it.
    pub async fn get_drift(&self, caller: &Caller, id: DriftFindingId) -> Result<NamedFinding> {
        let reach = caller.reach(Action::ReadRequests);
        self.store().read(async |tx| finding(tx, &reach, id).await).await
    }

    /// Gives or takes again what a finding is about, though it was left for a person; and counts its
    /// repairs anew. Extra access of somebody who is known here is taken away. Asking for what is under
    /// way already changes nothing.
    ///
    /// # Errors
    ///
    /// Not found, forbidden; refused for extra access that cannot be taken away, and when the difference
    /// is over.
    pub async fn repair_drift(&self, caller: &Caller, id: DriftFindingId) -> Result<NamedFinding> {
        let now = self.now();
        let view = self
            .store()
            .write(async |tx| {
                let named = decidable(tx, caller, id).await?;
                let Some(delivery) = named.finding.delivery else {
                    self.take_by_hand(tx, caller, &named.finding, now).await?;
                    self.nudge_circuit(tx, named.finding.place.target).await?;
                    return self::finding(tx, &Reach::Everywhere, id).await;
                };
                let row = deliveries::get(tx, delivery).await?;
                let row = row.ok_or_else(|| Error::not_found(WHAT, id))?;
                people::lock(tx, row.key.subject).await?;
                let row = deliveries::lock(tx, delivery).await?;
                let row = row.ok_or_else(|| Error::not_found(WHAT, id))?;
                let mut finding = still_live(tx, id).await?;
                let mut deed = Deed { app: self, tx, caller, now };
                let changed = deed.reopen(row, None).await?;
                if changed || finding.state == State::Dismissed {
                    finding.state = State::Open;
                    finding.decided_by = Some(caller.name.clone());
                    finding.reason = None;
                    drift::save(tx, &finding).await?;
                    let detail = json!({ "kind": finding.kind.name(), "changed": changed });
                    self.audit_drift(tx, caller, "drift repaired", &finding, detail, now).await?;
                }
                self.nudge_circuit(tx, finding.place.target).await?;
                self::finding(tx, &Reach::Everywhere, id).await
            })
            .await?;
        self.wake();
        Ok(view)
    }

    /// Accepts a difference, with a reason: it is not counted as open any more. It is closed when it
    /// is over.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, invalid without a reason; refused when the difference is over.
    pub async fn dismiss_drift(
        &self,
        caller: &Caller,
        id: DriftFindingId,
        reason: &str,
    ) -> Result<NamedFinding> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                decidable(tx, caller, id).await?;
                let reason = text::description("reason", reason)?;
                let reason = text::justification(Some(&reason))?.ok_or_else(|| {
                    Error::invalid("reason", "cannot be blank; say why the difference is accepted")
                })?;
                let mut finding = still_live(tx, id).await?;
                if finding.state != State::Dismissed {
                    finding.state = State::Dismissed;
                    finding.decided_by = Some(caller.name.clone());
                    finding.reason = Some(reason.clone());
                    drift::save(tx, &finding).await?;
                    let detail = json!({ "kind": finding.kind.name(), "reason": reason });
                    self.audit_drift(tx, caller, "drift dismissed", &finding, detail, now).await?;
                }
                self::finding(tx, &Reach::Everywhere, id).await
            })
            .await
    }

    /// Has a target compared with what is wanted there from now on, at the pace that comparing may
    /// take.
    ///
    /// # Errors
    ///
    /// Not found, forbidden; refused for a target that cannot be read, or is paused.
    pub async fn compare_target(&self, caller: &Caller, id: TargetId) -> Result<()> {
        caller.may_on_shared(Action::ManageTargets, Action::ReadTargets, "target", id)?;
        let now = self.now();
        let found = self.store().read(async |tx| targets::get(tx, id).await).await?;
        let target = found.ok_or_else(|| Error::not_found("target", id))?;
        refuse_paused(&target, "it cannot be read")?;
        // A target whose settings do not open is asked all the same, and says why.
        if self.hands().get(&target).is_ok_and(|connector| !connector.can_observe()) {
            let name = &target.name;
            let sentence =
                format!("target system `{name}` cannot be read, so there is nothing to compare");
            return Err(Error::from(Refusal::Rule { code: "TargetUnreadable", sentence }));
        }
        self.store()
            .write(async |tx| {
                let mut sweep = drift_sweeps::lock(tx, id).await?;
                sweep.asked_at = Some(now);
                if !sweep.is_running {
                    sweep.turn_at = sweep.turn_at.min(now);
                }
                drift_sweeps::save(tx, &sweep).await?;
                let event = audit::Event {
                    action: "target comparison asked for",
                    object_type: "target",
                    object_id: id.to_string(),
                    catalog: None,
                    detail: json!({ "name": target.name }),
                };
                audit::record(self, tx, caller, event, now).await
            })
            .await?;
        self.wake();
        Ok(())
    }

    /// Somebody else changed in a target what was seen to be as wanted there: writes it down, and
    /// says whether it is repaired by itself or rests. `before` is the delivery as it was claimed.
    pub(crate) async fn meet_drift(
        &self,
        tx: &mut Tx<'_>,
        before: &Delivery,
        row: &mut DeliveryRow,
        retry: &Retry,
        now: Timestamp,
    ) -> Result<()> {
        if let Some(mut last) = drift::lock_live_of(tx, row.id).await? {
            // It was seen to be as wanted since.
            close(&mut last, before.acknowledged, now);
            drift::save(tx, &last).await?;
        }
        let since = now.checked_sub(CONTEST_WINDOW).unwrap_or(now);
        let repairs = drift::repairs(tx, row.id, since).await?;
        let default = self.settings().drift_missing;
        // They were checked before they were stored.
        let missing = match targets::get(tx, row.key.target).await? {
            Some(target) => settings::drift(&target.settings, default).unwrap_or(default),
            None => default,
        };
        let verdict = judge(row.delivery.wanted, missing, repairs);
        if !verdict.repairs {
            row.delivery = delivery::leave(row.delivery, retry, now);
            let fault = left(verdict.kind, row.delivery.wanted);
            row.fault = Some(self.remember(tx, row.key.target, &fault, now).await?);
        }
        let finding = Finding {
            id: self.mint(now),
            kind: verdict.kind,
            state: State::Open,
            place: place(row),
            role: row.role,
            delivery: Some(row.id),
            subject: Some(row.key.subject),
            holder: None,
            first_seen: now,
            last_seen: now,
            closed_at: None,
            decided_by: None,
            reason: None,
        };
        drift::insert(tx, &finding).await?;
        let action = match row.delivery.wanted {
            true => "access was removed in the target",
            false => "access came back in the target",
        };
        tracing::warn!(delivery = %row.id, target = %row.key.target, action,
            repairs = verdict.repairs, "somebody else changes access");
        let event = audit::Event {
            action,
            object_type: "delivery",
            object_id: row.id.to_string(),
            catalog: None,
            detail: json!({
                "target": row.key.target,
                "subject": row.key.subject,
                "resource": row.key.resource,
                "role": row.key.role,
                "finding": finding.id,
                "kind": verdict.kind.name(),
                "isRepaired": verdict.repairs,
            }),
        };
        audit::record(self, tx, &Caller::system(), event, now).await
    }

    /// Closes findings whose difference is over; says how many.
    pub(crate) async fn close_drift(&self) -> Result<usize> {
        let over = self.store().read(async |tx| drift::over(tx, CLOSE_BATCH).await).await?;
        let now = self.now();
        let mut closed = 0;
        for (id, acknowledged) in over {
            closed += self
                .store()
                .write(async |tx| {
                    let finding = drift::lock(tx, id).await?;
                    let Some(mut finding) = finding.filter(|one| one.state.is_live()) else {
                        return Ok(0);
                    };
                    close(&mut finding, acknowledged, now);
                    drift::save(tx, &finding).await?;
                    Ok::<_, Error>(1)
                })
                .await?;
        }
        Ok(closed)
    }

    /// Forgets findings that were closed long ago.
    pub(crate) async fn forget_drift(&self) -> Result<u64> {
        let before = retry::before(self.now(), KEPT);
        Ok(self.store().write(async |tx| drift::forget_before(tx, before).await).await?)
    }

    pub(crate) async fn audit_drift(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        action: &str,
        finding: &Finding,
        detail: serde_json::Value,
        now: Timestamp,
    ) -> Result<()> {
        let event = audit::Event {
            action,
            object_type: "driftFinding",
            object_id: finding.id.to_string(),
            catalog: None,
            detail,
        };
        audit::record(self, tx, caller, event, now).await
    }
}

/// The role that a delivery is about.
pub(crate) fn place(row: &DeliveryRow) -> Place {
    Place {
        target: row.key.target,
        resource: row.key.resource.clone(),
        role: row.key.role.clone(),
        scope: row.key.scope.clone(),
    }
}

pub(crate) fn close(finding: &mut Finding, acknowledged: Option<Timestamp>, now: Timestamp) {
    finding.state = ended(finding.first_seen, acknowledged);
    finding.closed_at = Some(now);
}

async fn finding(tx: &mut Tx<'_>, reach: &Reach, id: DriftFindingId) -> Result<NamedFinding> {
    drift::get(tx, reach, id).await?.ok_or_else(|| Error::not_found(WHAT, id))
}

/// A finding that the caller may decide about.
async fn decidable(tx: &mut Tx<'_>, caller: &Caller, id: DriftFindingId) -> Result<NamedFinding> {
    let seen = finding(tx, &caller.reach(Action::ReadRequests), id).await?;
    match drift::get(tx, &caller.reach(Action::Reprocess), id).await? {
        Some(_) => Ok(seen),
        None => Err(caller.lacks(Action::Reprocess)),
    }
}

/// A finding whose difference may still be there, held until the transaction ends.
pub(crate) async fn still_live(tx: &mut Tx<'_>, id: DriftFindingId) -> Result<Finding> {
    let finding = drift::lock(tx, id).await?.ok_or_else(|| Error::not_found(WHAT, id))?;
    match finding.state.is_live() {
        true => Ok(finding),
        false => Err(Error::from(Refusal::Rule {
            code: "FindingClosed",
            sentence: format!(
                "the difference is over: the finding is `{}`; if it is there again, comparing the \
                 target finds it anew",
                finding.state.name()
            ),
        })),
    }
}

/// Why a delivery rests whose difference is not repaired by itself.
fn left(kind: Kind, wanted: bool) -> Fault {
    let (code, text) = match (kind, wanted) {
        (Kind::Contested, true) => (
            "contested",
            "the role was taken away in the target again and again, so another system seems to \
             manage it; settle who does, then repair the finding or reprocess the assignment",
        ),
        (Kind::Contested, false) => (
            "contested",
            "the role came back in the target again and again, so another system seems to manage \
             it; settle who does; it is taken away again now and then meanwhile",
        ),
        _ => (
            "drift",
            "somebody took the role away in the target, and this target is set to report that; \
             repair the finding, or reprocess the assignment",
        ),
    };
    Fault::new(Class::Permanent, code, text)
}
