//! Extra access: somebody holds a role in a target that no assignment gives them, and a policy or a
//! person says that it is taken away.
//!
//! It is taken like everything that is not wanted: by a delivery, which is tried until it is confirmed.
//! By itself it is only taken when a whole comparison is over, so that it is known how much that is; and
//! then just what was counted, however long a second person takes.

use accede_connectors::settings;
use accede_domain::drift::{Extra, State, may_take, take, was_taken};
use accede_domain::id::TargetId;
use accede_domain::permission::Reach;
use accede_domain::refusal::Refusal;
use accede_domain::{Timestamp, delivery};
use accede_store::deliveries::{self, DeliveryRow, Key};
use accede_store::drift::{self, Finding};
use accede_store::targets::TargetRow;
use accede_store::{Tx, drift_sweeps, extra_plans, findings, people, targets};
use serde_json::json;

use crate::deed::Deed;
use crate::deployment::is_paused;
use crate::drift::still_live;
use crate::guards::{extra_found, extra_no_more, object_of};
use crate::{App, Caller, Error, Result};

/// How many are taken away in one go; the next one follows soon.
const BATCH: usize = 500;

/// Why extra access is not taken away.
fn not_taken(why: &str) -> Error {
    Refusal::Rule { code: "ExtraAccess", sentence: why.to_owned() }.into()
}

/// Whether a target says for itself what is done with extra access.
fn has_own(settings: &serde_json::Value) -> bool {
    settings.get("driftExtra").is_some_and(|own| !own.is_null())
}

impl App {
    /// Plans what is taken away of the extra access that a comparison found which began then, where that
    /// is the target's policy. What is too much at once is planned too, and waits for a second person. The
    /// target's comparison is held, so that there is one plan.
    pub(crate) async fn plan_extras(
        &self,
        tx: &mut Tx<'_>,
        target: TargetId,
        begun: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        if is_paused(tx).await? {
            return Ok(());
        }
        match self.extra_policy(tx, target).await? {
            None => Ok(()),
            Some(Extra::Report) => self.plan_no_extras(tx, target, now).await,
            Some(Extra::Revoke) => {
                let found = drift::takeable(tx, target, begun).await?;
                let guard = extra_found(self, tx, target, &found, now).await?;
                Ok(extra_plans::replace(tx, target, guard, &found).await?)
            }
        }
    }

    /// Nothing of a target's extra access is to be taken away any more.
    pub(crate) async fn plan_no_extras(
        &self,
        tx: &mut Tx<'_>,
        target: TargetId,
        now: Timestamp,
    ) -> Result<()> {
        extra_no_more(self, tx, target, now).await?;
        Ok(extra_plans::replace(tx, target, None, &[]).await?)
    }

    /// What is done with extra access of a target; `None` while it is paused, or gone.
    async fn extra_policy(&self, tx: &mut Tx<'_>, target: TargetId) -> Result<Option<Extra>> {
        let target = targets::get(tx, target).await?.filter(|target| !target.is_paused);
        Ok(target.map(|target| self.extra_policy_of(&target.settings)))
    }

    /// What a target's settings say of extra access.
    pub(crate) fn extra_policy_of(&self, of_target: &serde_json::Value) -> Extra {
        // They were checked before they were stored.
        settings::drift_extra(of_target, self.settings().drift_extra).unwrap_or_default()
    }

    /// A target's settings are as `row` says, and were as `before`: who has extra access taken away is not
    /// the second person for that; and what is only told is not planned any more.
    pub(crate) async fn extra_policy_set(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        row: &TargetRow,
        before: Option<&serde_json::Value>,
        now: Timestamp,
    ) -> Result<()> {
        let policy = self.extra_policy_of(&row.settings);
        if before.is_some_and(|before| self.extra_policy_of(before) == policy) {
            return Ok(());
        }
        match (policy, object_of(caller)) {
            // There is nothing planned for a target that was connected just now.
            (Extra::Report, _) if before.is_none() => Ok(()),
            (Extra::Report, _) => self.plan_no_extras(tx, row.id, now).await,
            // Without a setting of its own the target follows the server, as nobody's decision.
            (Extra::Revoke, Some(who)) if before.is_some() || has_own(&row.settings) => {
                Ok(extra_plans::decided_by(tx, row.id, who, &caller.name).await?)
            }
            (Extra::Revoke, _) => Ok(()),
        }
    }

    /// Takes away what was planned and may be taken away now; says of how many.
    pub(crate) async fn take_planned_extras(&self) -> Result<usize> {
        let (now, caller) = (self.now(), Caller::system());
        let planned = self
            .store()
            .read(async |tx| Ok::<_, Error>(extra_plans::ready(tx, BATCH).await?))
            .await?;
        let mut taken = 0;
        for (id, target) in planned {
            taken += self
                .store()
                .write(async |tx| {
                    let seen = drift::get(tx, &Reach::Everywhere, id).await?;
                    let subject = seen.and_then(|seen| seen.finding.subject);
                    if let Some(subject) = subject {
                        people::lock(tx, subject).await?;
                    }
                    let policy = self.extra_policy(tx, target).await?;
                    if is_paused(tx).await? || policy.is_none() {
                        // It waits until they go on.
                        return Ok(0);
                    }
                    let is_planned = extra_plans::done(tx, id).await?;
                    let found = drift::lock(tx, id).await?;
                    let (Some(subject), Some(found), Some(Extra::Revoke), true) =
                        (subject, found, policy, is_planned)
                    else {
                        return Ok(0);
                    };
                    // Somebody decided about it, or it is another person's by now.
                    if found.state != State::Open || found.subject != Some(subject) {
                        return Ok(0);
                    }
                    let row = drift_sweeps::lock_delivery(tx, &found.place, subject).await?;
                    if let Some(row) = &row
                        && findings::is_left(tx, row.id).await?
                    {
                        // It may have been planned before the database was restored.
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
        let taken = take(row.delivery, found.last_seen, now);
        let row = DeliveryRow { fault: None, ..row };
        Deed { app: self, tx, caller, now }.change(row, taken, None).await?;
        let action = "extra access is taken away";
        self.audit_drift(tx, caller, action, found, detail, now).await?;
        Ok(true)
    }
}
