//! Extra access: somebody holds a role in a target that no assignment gives them, and a policy or a
//! person says that it is taken away.
//!
//! It is taken like everything that is not wanted: by a delivery, which is tried until it is confirmed.
//! By itself it is only taken when a whole comparison is over, so that it is known how much that is.

use accede_connectors::settings;
use accede_domain::drift::{Extra, State, may_take, was_taken};
use accede_domain::id::{DriftFindingId, TargetId};
use accede_domain::permission::Reach;
use accede_domain::refusal::Refusal;
use accede_domain::{SignedDuration, Timestamp, delivery, retry};
use accede_store::deliveries::{self, DeliveryRow, Key};
use accede_store::drift::{self, Finding};
use accede_store::{Tx, drift_sweeps, findings, guards, people, targets};
use serde_json::json;

use crate::deed::Deed;
use crate::deployment::is_paused;
use crate::drift::still_live;
use crate::guards::{extra_found, extra_no_more};
use crate::{App, Caller, Error, Result};

/// How long what a second person let go on is looked for.
const RELEASE: SignedDuration = SignedDuration::from_hours(24);

/// Why extra access is not taken away.
fn not_taken(why: &str) -> Error {
    Refusal::Rule { code: "ExtraAccess", sentence: why.to_owned() }.into()
}

impl App {
    /// Takes away the extra access that a comparison found which began then, where that is the
    /// target's policy and it is not too much at once; says of how many.
    pub(crate) async fn take_extras(&self, id: TargetId, begun: Timestamp) -> Result<usize> {
        let now = self.now();
        let planned = self
            .store()
            .write(async |tx| {
                if is_paused(tx).await? {
                    return Ok(Vec::new());
                }
                if !self.revokes_extra(tx, id).await? {
                    extra_no_more(self, tx, id, now).await?;
                    return Ok(Vec::new());
                }
                let found = drift::takeable(tx, id, begun, now).await?;
                let people = i64::try_from(found.len()).unwrap_or(i64::MAX);
                match extra_found(self, tx, id, people, now).await? {
                    true => Ok(found),
                    false => Ok::<_, Error>(Vec::new()),
                }
            })
            .await?;
        self.take_all(&planned).await
    }

    /// Takes away the extra access that a second person let go on; says of how many.
    pub(crate) async fn take_released_extras(&self) -> Result<usize> {
        let since = retry::before(self.now(), RELEASE);
        let planned = self
            .store()
            .read(async |tx| {
                let mut planned = Vec::new();
                if is_paused(tx).await? {
                    return Ok(planned);
                }
                for (target, at) in guards::released_extras(tx, since).await? {
                    if self.revokes_extra(tx, target).await? {
                        let all = Timestamp::UNIX_EPOCH;
                        planned.extend(drift::takeable(tx, target, all, at).await?);
                    }
                }
                Ok::<_, Error>(planned)
            })
            .await?;
        self.take_all(&planned).await
    }

    /// Whether a target is called, and its policy is to take extra access away.
    async fn revokes_extra(&self, tx: &mut Tx<'_>, target: TargetId) -> Result<bool> {
        let default = self.settings().drift_extra;
        let target = targets::get(tx, target).await?.filter(|target| !target.is_paused);
        // They were checked before they were stored.
        Ok(target.is_some_and(|target| {
            settings::drift_extra(&target.settings, default).unwrap_or_default() == Extra::Revoke
        }))
    }

    async fn take_all(&self, planned: &[DriftFindingId]) -> Result<usize> {
        let (now, caller) = (self.now(), Caller::system());
        let mut taken = 0;
        for id in planned {
            taken += self
                .store()
                .write(async |tx| {
                    let seen = drift::get(tx, &Reach::Everywhere, *id).await?;
                    let Some(subject) = seen.and_then(|seen| seen.finding.subject) else {
                        return Ok(0);
                    };
                    people::lock(tx, subject).await?;
                    let Some(found) = drift::lock(tx, *id).await? else { return Ok(0) };
                    let row = drift_sweeps::lock_delivery(tx, &found.place, subject).await?;
                    if let Some(row) = &row
                        && findings::is_left(tx, row).await?
                    {
                        // A restored database found it there: that is for a person to say.
                        return Ok(0);
                    }
                    if found.state != State::Open || is_paused(tx).await? {
                        return Ok(0);
                    }
                    let is_taken = self.take(tx, &caller, &found, row, now).await?;
                    Ok::<_, Error>(usize::from(is_taken))
                })
                .await?;
        }
        if 0 < taken {
            self.wake();
        }
        Ok(taken)
    }

    /// Takes away extra access because a person says so; nothing changes if that is under way.
    pub(crate) async fn take_by_hand(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        seen: &Finding,
        now: Timestamp,
    ) -> Result<()> {
        let Some(subject) = seen.subject else {
            return Err(not_taken(
                "who holds this access is not known here, so it is not Accede's to take: take it \
                 away in the target system, or dismiss the finding with a reason",
            ));
        };
        if is_paused(tx).await? {
            return Err(crate::deployment::refusal(
                "DeploymentPaused",
                "the deployment is paused, so nothing is taken away; confirm it first",
            ));
        }
        people::lock(tx, subject).await?;
        let mut found = still_live(tx, seen.id).await?;
        let row = drift_sweeps::lock_delivery(tx, &found.place, subject).await?;
        let under_way = row.as_ref().filter(|row| {
            let is_settled = row.delivery.phase == delivery::Phase::Settled;
            !row.delivery.wanted && (!is_settled || was_taken(&row.delivery, found.last_seen))
        });
        let changed = if let Some(row) = under_way {
            Deed { app: self, tx, caller, now }.reopen(row.clone(), None).await?
        } else if self.take(tx, caller, &found, row, now).await? {
            true
        } else {
            return Err(not_taken(
                "this access is not taken away: an assignment gives it by now, or the resource says \
                 that access which existed before is kept (`keepPreExisting`)",
            ));
        };
        if changed || found.state == State::Dismissed {
            found.state = State::Open;
            found.decided_by = Some(caller.name.clone());
            found.reason = None;
            drift::save(tx, &found).await?;
            let detail = json!({ "kind": found.kind.name(), "changed": changed });
            self.audit_drift(tx, caller, "drift repaired", &found, detail, now).await?;
        }
        Ok(())
    }

    /// Begins to take extra access away, if that may be; says whether it does. The person and the
    /// finding are held.
    async fn take(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        found: &Finding,
        row: Option<DeliveryRow>,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(subject) = found.subject else { return Ok(false) };
        let is_kept = drift::is_kept(tx, &found.place).await?;
        if !may_take(row.as_ref().map(|row| &row.delivery), is_kept, found.last_seen) {
            return Ok(false);
        }
        let row = match row {
            Some(row) => row,
            None => {
                let place = found.place.clone();
                let new = DeliveryRow {
                    id: self.mint(now),
                    key: Key {
                        target: place.target,
                        subject,
                        resource: place.resource,
                        role: place.role,
                        scope: place.scope,
                    },
                    role: found.role,
                    delivery: delivery::Delivery::new(false, now),
                    fault: None,
                    attempted_at: None,
                };
                deliveries::lock_or_insert(tx, &new).await?
            }
        };
        let detail = json!({
            "delivery": row.id,
            "target": row.key.target,
            "subject": subject,
            "resource": row.key.resource,
            "role": row.key.role,
        });
        let taken = delivery::take(row.delivery, found.last_seen, now);
        let row = DeliveryRow { fault: None, ..row };
        Deed { app: self, tx, caller, now }.change(row, taken, None).await?;
        let action = "extra access is taken away";
        self.audit_drift(tx, caller, action, found, detail, now).await?;
        Ok(true)
    }
}
