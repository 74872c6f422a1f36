//! What a target of kind `webhook` says later of an event that it had taken.
//!
//! Whoever shows the event's token speaks for the target. A callback is heard as often as it comes,
//! and counts for the wish that its event was about and for no later one.

use accede_connectors::signature::Secret;
use accede_connectors::webhook::EventId;
use accede_domain::delivery::Phase;
use accede_domain::fault::{Class, Fault};
use accede_domain::id::DeliveryId;
use accede_domain::pending::{self, Awaited, Report};
use accede_domain::refusal::Refusal;
use accede_domain::resolution;
use accede_store::deliveries::{self, DeliveryRow};
use accede_store::people;
use accede_store::targets::{self, TargetRow};
use serde_json::json;

use crate::deed::Deed;
use crate::hands::open_secrets;
use crate::tasks::target_caller;
use crate::{App, Error, Result, audit, text};

/// The kind whose targets call back.
const KIND: &str = "webhook";
/// The secret that tokens are made with.
const SECRET: &str = "signingSecret";
/// The code of a failure that a target reports.
const FAILED: &str = "callback-failed";

impl App {
    /// Records what a target says of an event. Says whether that changed anything: saying it again
    /// does not.
    ///
    /// # Errors
    ///
    /// Unauthenticated, without the event's token; refused when something else is wanted by now, when
    /// nothing is awaited, or while the answer to the event itself is not recorded yet.
    pub async fn call_back(
        &self,
        event: &str,
        token: &str,
        report: &Report,
        reason: Option<&str>,
    ) -> Result<bool> {
        let (event, row, target) = self.admit_callback(event, token).await?;
        let reason = text::justification(reason)?;
        if let Some(reason) = &reason {
            text::description("reason", reason)?;
        }
        if *report == Report::CouldNot && reason.is_none() {
            return Err(Error::invalid("reason", "cannot be blank; say why it failed"));
        }
        let now = self.now();
        let caller = target_caller(&target.name);
        let retry = self.retry_of(&target);
        let changed = self
            .store()
            .write(async |tx| {
                people::lock(tx, row.key.subject).await?;
                let locked = deliveries::lock(tx, row.id).await?;
                let mut row = locked.ok_or_else(not_admitted)?;
                let delivery = row.delivery;
                if delivery.generation != event.generation || delivery.wanted != event.is_grant {
                    return Err(Error::from(outdated()));
                }
                if is_said_already(&row, report) {
                    return Ok(false);
                }
                let awaits = delivery.pending.is_some_and(|pending| pending.on == Awaited::Target);
                let settled = match report {
                    // What came late came true all the same.
                    Report::Done if !awaits && resolution::is_open(&delivery, now)? => {
                        resolution::done_outside(delivery, None, now)?
                    }
                    _ if !awaits => {
                        resolution::is_open(&delivery, now)?;
                        return Err(Error::from(late(&row)));
                    }
                    _ => pending::finish(delivery, event.generation, report, None, &retry, now)?,
                };
                let said = reason.as_deref().unwrap_or("done");
                if *report == Report::CouldNot {
                    let text = format!("the target reported that it failed: {said}");
                    let fault = Fault::new(Class::Permanent, FAILED, text);
                    row.fault = Some(self.remember(tx, row.key.target, &fault, now).await?);
                }
                let outcome = if *report == Report::Done { "done" } else { "failed" };
                let record = audit::Event {
                    action: "delivery called back",
                    object_type: "delivery",
                    object_id: row.id.to_string(),
                    catalog: None,
                    detail: json!({
                        "event": event.to_string(),
                        "state": outcome,
                        "reason": reason,
                    }),
                };
                audit::record(self, tx, &caller, record, now).await?;
                let why = format!("{} reported {outcome}: {said}", target.display_name);
                let mut deed = Deed { app: self, tx, caller: &caller, now };
                deed.resolve(row, settled, "calledBack", &why).await?;
                Ok(true)
            })
            .await?;
        self.wake();
        Ok(changed)
    }

    /// Whether somebody who shows this token may speak of an event.
    ///
    /// # Errors
    ///
    /// Unauthenticated, if not.
    pub async fn may_call_back(&self, event: &str, token: &str) -> Result<()> {
        self.admit_callback(event, token).await.map(drop)
    }

    /// Finds what a callback is about, if it shows the token of its event. Nobody else learns whether
    /// there is such an event.
    async fn admit_callback(
        &self,
        event: &str,
        token: &str,
    ) -> Result<(EventId, DeliveryRow, TargetRow)> {
        let event = EventId::parse(event).ok_or_else(not_admitted)?;
        let found = self.find_called(event.delivery).await?;
        let (row, target) = found.ok_or_else(not_admitted)?;
        let Ok(secrets) = open_secrets(self, &target) else {
            tracing::error!(target = %target.id, "the secrets of a target do not open");
            return Err(not_admitted());
        };
        let key = secrets.get(SECRET).and_then(|secret| Secret::parse(secret));
        match key {
            Some(key) if key.admits(&event.to_string(), token) => Ok((event, row, target)),
            _ => Err(not_admitted()),
        }
    }

    async fn find_called(&self, id: DeliveryId) -> Result<Option<(DeliveryRow, TargetRow)>> {
        self.store()
            .read(async |tx| {
                let Some(row) = deliveries::get(tx, id).await? else { return Ok(None) };
                let target = targets::get(tx, row.key.target).await?;
                let target = target.filter(|target| target.kind == KIND);
                Ok(target.map(|target| (row, target)))
            })
            .await
    }
}

/// Whether the delivery stands where this report would bring it.
fn is_said_already(row: &DeliveryRow, report: &Report) -> bool {
    match (report, row.delivery.phase) {
        (Report::Done, Phase::Settled) => true,
        (Report::CouldNot, Phase::Failed { .. } | Phase::Stuck { .. }) => {
            row.fault.as_ref().is_some_and(|fault| fault.code == FAILED)
        }
        _ => false,
    }
}

fn not_admitted() -> Error {
    let text = "the callback does not show the token of its event; send the `callback.token` of the \
                event as a bearer token";
    Error::Unauthenticated(text.to_owned())
}

fn outdated() -> Refusal {
    let sentence = "something else is wanted by now; another event says what";
    Refusal::Rule { code: "CallbackOutdated", sentence: sentence.to_owned() }
}

fn late(row: &DeliveryRow) -> Refusal {
    let state = match row.delivery.phase {
        Phase::Settled => "it is settled",
        Phase::Failed { .. } => "it was given up",
        Phase::Stuck { .. } => "it is stuck",
        Phase::Due { .. } | Phase::InFlight { .. } => "the event is sent again",
    };
    let sentence = format!("nothing is awaited of this event any more: {state}");
    Refusal::Rule { code: "CallbackLate", sentence }
}
