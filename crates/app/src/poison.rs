//! Deliveries that break down whoever works on them: told, set apart, laid down. What counts as one
//! is decided in `accede_domain::poison`.

use accede_domain::Timestamp;
use accede_domain::delivery;
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{DeliveryId, SubjectId, TargetId};
use accede_domain::poison::ALONE_AFTER_CRASHES;
use accede_store::crash::{Point, point};
use accede_store::deliveries::{self, DeliveryRow};
use accede_store::{Tx, circuits, people, poison, targets};
use serde_json::json;

use crate::deed::Deed;
use crate::sweeper::{Batch, each};
use crate::{App, Caller, Error, Result, audit};

/// Deliveries that are set apart or laid down in one sweep.
const BATCH: usize = 100;

/// Why a delivery is tried alone since work on it broke down.
fn set_apart(row: &DeliveryRow) -> Fault {
    let crashes = row.delivery.poison.crashes;
    let text = format!(
        "the server broke down {crashes} times in a row while it worked on this; it is tried alone now"
    );
    Fault::new(Class::Unknown, "crash", text)
}

/// Why a delivery rests.
fn laid_down(row: &DeliveryRow) -> Fault {
    let crashes = row.delivery.poison.crashes;
    let next = if row.delivery.wanted {
        "it is not tried again until somebody asks for it"
    } else {
        "it is tried now and then, and at once when somebody asks for it"
    };
    let text =
        format!("the server broke down {crashes} times in a row while it worked on this; {next}");
    Fault::new(Class::Permanent, "poison", text)
}

impl App {
    /// Sets apart what workers break down on, and lays down what they break down on even alone, but for the
    /// first `skip`.
    pub(crate) async fn sort_out_poison(&self, skip: usize) -> Result<Batch> {
        let now = self.now();
        let found = self
            .store()
            .read(async |tx| {
                let crashes = ALONE_AFTER_CRASHES - 1;
                Ok::<_, Error>(poison::broken_down(tx, crashes, now, (skip, BATCH)).await?)
            })
            .await?;
        let turns = found.iter().map(|(id, subject)| self.sort_out(*id, *subject, now));
        Ok(each(turns.collect(), BATCH).await)
    }

    /// Sets a delivery apart or lays it down; whether it was to be.
    async fn sort_out(&self, id: DeliveryId, subject: SubjectId, now: Timestamp) -> Result<bool> {
        let caller = Caller::system();
        let changed = self
            .store()
            .write(async |tx| {
                people::lock(tx, subject).await?;
                let Some(mut row) = deliveries::lock(tx, id).await? else { return Ok(false) };
                let Some(target) = targets::get(tx, row.key.target).await? else {
                    return Ok(false);
                };
                let retry = self.retry_of(&target);
                let before = row.delivery;
                if let Some(down) = delivery::lay_down(before, &retry, now) {
                    row.delivery = down;
                    self.tell_poison(tx, &mut row).await?;
                } else if let Some(apart) = delivery::set_apart(before, now) {
                    row.delivery = apart;
                    let why = set_apart(&row);
                    row.fault = Some(self.remember(tx, row.key.target, &why, now).await?);
                } else {
                    return Ok(false);
                }
                let changed = std::mem::replace(&mut row.delivery, before);
                let mut deed = Deed { app: self, tx, caller: &caller, now };
                deed.change(row, changed, None).await?;
                Ok::<_, Error>(true)
            })
            .await?;
        point(Point::PoisonSorted);
        Ok(changed)
    }

    /// Gives a delivery that was laid down its cause, and raises the alarm.
    pub(crate) async fn tell_poison(&self, tx: &mut Tx<'_>, row: &mut DeliveryRow) -> Result<()> {
        let now = self.now();
        let fault = laid_down(row);
        row.fault = Some(self.remember(tx, row.key.target, &fault, now).await?);
        tracing::error!(
            delivery = %row.id,
            target = %row.key.target,
            wanted = row.delivery.wanted,
            crashes = row.delivery.poison.crashes,
            "a delivery breaks down whoever works on it and is laid down"
        );
        let event = audit::Event {
            action: "delivery laid down",
            object_type: "delivery",
            object_id: row.id.to_string(),
            catalog: None,
            detail: json!({
                "target": row.key.target,
                "subject": row.key.subject,
                "resource": row.key.resource,
                "role": row.key.role,
                "crashes": row.delivery.poison.crashes,
            }),
        };
        audit::record(self, tx, &Caller::system(), event, now).await?;
        self.tell_laid_down(tx, row, now).await
    }

    /// What is ready at a target and whose turn it is. What is tried alone takes one call at most,
    /// and not before the others had a turn since.
    pub(crate) async fn take_turns(
        &self,
        tx: &mut Tx<'_>,
        target: TargetId,
        (limit, batch): (usize, usize),
        alone_first: bool,
        now: Timestamp,
    ) -> Result<Vec<DeliveryRow>> {
        if !poison::has_alone(tx, target, now).await? {
            return Ok(deliveries::ready(tx, target, now, limit).await?);
        }
        circuits::lock(tx, target).await?;
        let mut found = Vec::new();
        if alone_first {
            found.extend(poison::ready_alone(tx, target, now).await?);
        }
        // Its call takes the place of a whole one.
        let left = if found.is_empty() { limit } else { limit.saturating_sub(batch) };
        if 0 < left {
            found.extend(deliveries::ready(tx, target, now, left).await?);
        }
        if found.is_empty() {
            found.extend(poison::ready_alone(tx, target, now).await?);
        }
        Ok(found)
    }
}
