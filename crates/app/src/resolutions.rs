//! Settling a delivery by hand: somebody did it in the target itself, or it is not worth trying.
//!
//! Where the target can be read, it is read at once and only what was read counts.

use accede_connectors::Presence;
use accede_domain::Timestamp;
use accede_domain::delivery::{Action as Deeds, Delivery, Observed};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{DeliveryId, SubjectId};
use accede_domain::permission::Action;
use accede_domain::refusal::Refusal;
use accede_domain::resolution::{self, Resolution};
use accede_store::attempts::{self, Attempt};
use accede_store::deliveries::{self, DeliveryRow};
use accede_store::{people, targets};

use crate::deed::Deed;
use crate::deliveries::Named;
use crate::resources::{of_target, within_deadline};
use crate::targets::refuse_paused;
use crate::tasks::{presence, role_of};
use crate::worker::{person, role};
use crate::{App, Caller, Error, Result, audit, text};

/// What was read in a target, and when that began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) observed: Observed,
    pub(crate) asked_at: Timestamp,
}

/// What came of settling a delivery by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Whether it changed anything: what is so already is left alone.
    pub changed: bool,
    /// The delivery as it stands now.
    pub named: Named,
}

/// Nobody says of their own access what became of it: who keeps what should be gone could say that it
/// is gone.
pub(crate) fn refuse_own(caller: &Caller, subject: SubjectId) -> Result<()> {
    match caller.subject() {
        Some(own) if own == subject => Err(Error::Forbidden {
            need: "somebody else: nobody settles or hands on their own access".to_owned(),
        }),
        _ => Ok(()),
    }
}

impl App {
    /// Settles a delivery by hand, and says what came of it. Doing it twice is doing it once.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, invalid without a justification; refused when the target contradicts,
    /// a call may still take effect or a removal is given up; the target's fault when it cannot be
    /// read at present.
    pub async fn resolve_delivery(
        &self,
        caller: &Caller,
        id: DeliveryId,
        resolution: Resolution,
        justification: &str,
    ) -> Result<Resolved> {
        let named = self.may_with_delivery(caller, id, Action::Reprocess).await?;
        refuse_own(caller, named.row.key.subject)?;
        let justification = justified(justification)?;
        let before = named.row.delivery;
        let seen = match resolution {
            Resolution::DoneOutside if resolution::is_open(&before, self.now())? => {
                self.look(&named.row).await?
            }
            Resolution::DoneOutside | Resolution::GiveUp => None,
        };
        let changed = self.settle_by_hand(caller, &named, resolution, seen, &justification).await?;
        let named = self.may_with_delivery(caller, id, Action::Reprocess).await?;
        if seen.is_some() && !named.row.delivery.is_so() {
            return Err(contradicted(&named.row.delivery, Way::Hand));
        }
        self.wake();
        Ok(Resolved { changed, named })
    }

    /// Reads in the target what is so; `None` where it cannot be read at all.
    pub(crate) async fn look(&self, row: &DeliveryRow) -> Result<Option<Seen>> {
        let asked_at = self.now();
        let (target, facts) = self
            .store()
            .read(async |tx| {
                let target = targets::get(tx, row.key.target).await?;
                Ok::<_, Error>((target, people::by_subject(tx, row.key.subject).await?))
            })
            .await?;
        let target = target.ok_or_else(|| Error::not_found("delivery", row.id))?;
        let connector = self.hands().get(&target).map_err(|fault| of_target(&target, fault))?;
        if !connector.can_observe() {
            return Ok(None);
        }
        let facts = facts.ok_or_else(|| Error::not_found("delivery", row.id))?;
        refuse_paused(&target, "it cannot be read")?;
        let asked = [(person(facts), role(&row.key))];
        let answer = within_deadline(async {
            let missing = Fault::new(Class::Unknown, "no-answer", "the connector gave no answer");
            connector.observe(&asked).await.into_iter().next().unwrap_or(Err(missing))
        });
        let observed = match answer.await.map_err(|fault| of_target(&target, fault))? {
            Presence::Present => Observed::Present,
            Presence::Absent => Observed::Absent,
        };
        Ok(Some(Seen { observed, asked_at }))
    }

    /// Records what a person settled, if the delivery is still as it was when they were asked.
    async fn settle_by_hand(
        &self,
        caller: &Caller,
        named: &Named,
        resolution: Resolution,
        seen: Option<Seen>,
        justification: &str,
    ) -> Result<bool> {
        let (asked, now) = (&named.row, self.now());
        self.store()
            .write(async |tx| {
                people::lock(tx, asked.key.subject).await?;
                let row = deliveries::lock(tx, asked.id).await?;
                let mut row = row.ok_or_else(|| Error::not_found("delivery", asked.id))?;
                if row.delivery != asked.delivery {
                    return Err(Error::Stale);
                }
                let resolved = match resolution {
                    Resolution::DoneOutside => {
                        let seen = seen.map(|seen| seen.observed);
                        resolution::may_be_believed(&row.delivery, seen, now)?;
                        resolution::done_outside(row.delivery, seen, now)?
                    }
                    Resolution::GiveUp => resolution::abandon(row.delivery, now)?,
                };
                if let Some(seen) = seen {
                    row.attempted_at = Some(now);
                    attempts::insert(tx, &self.read_outside(&row, seen, now)).await?;
                }
                if resolved == row.delivery {
                    return Ok(false);
                }
                if resolution == Resolution::GiveUp && row.fault.is_none() {
                    let text = "given up by hand; the request's timeline says by whom and why";
                    let fault = Fault::new(Class::Permanent, "given-up", text);
                    row.fault = Some(self.remember(tx, row.key.target, &fault, now).await?);
                }
                let record = audit::Event {
                    action: "delivery resolved",
                    object_type: "delivery",
                    object_id: row.id.to_string(),
                    catalog: None,
                    detail: serde_json::json!({
                        "resolution": resolution.name(),
                        "justification": justification,
                        "wanted": row.delivery.wanted,
                        "read": seen.map(|seen| seen.observed == Observed::Present),
                        "isSettled": resolved.is_so(),
                    }),
                };
                audit::record(self, tx, caller, record, now).await?;
                let why = told(named, resolution, seen, justification);
                let mut deed = Deed { app: self, tx, caller, now };
                let agrees = resolution == Resolution::GiveUp || resolved.is_so();
                let kind = if agrees { "resolved" } else { "contradicted" };
                deed.resolve(row, resolved, kind, &why).await?;
                Ok(true)
            })
            .await
    }

    /// The attempt that stands for a read which no worker made.
    pub(crate) fn read_outside(&self, row: &DeliveryRow, seen: Seen, now: Timestamp) -> Attempt {
        let outcome = presence(seen.observed);
        Attempt {
            id: self.mint(now),
            delivery: row.id,
            epoch: row.delivery.epoch,
            action: deliveries::action_name(Deeds::Observe).to_owned(),
            outcome: outcome.to_owned(),
            class: None,
            code: None,
            message: None,
            started_at: seen.asked_at,
            finished_at: now,
            batch: 1,
        }
    }
}

/// A justification without blanks around it.
fn justified(typed: &str) -> Result<String> {
    let path = "justification";
    let typed = text::description(path, typed)?;
    text::justification(Some(&typed))?.ok_or_else(|| {
        Error::invalid(path, "cannot be blank; say who did what, or why it is given up")
    })
}

/// How somebody said that a role was given or taken in the target system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// They settled a delivery.
    Hand,
    /// They completed their task.
    Task,
}

pub(crate) fn contradicted(row: &Delivery, way: Way) -> Error {
    let read = match row.wanted {
        true => "the person does not have the role; give it there first",
        false => "the person still has the role; take it away there first",
    };
    let other = match (way, row.wanted) {
        (Way::Task, _) => "or complete the task with `couldNot`",
        (Way::Hand, true) => "or reprocess the request",
        (Way::Hand, false) => "or try the removal again",
    };
    let sentence = format!("the target system was read just now and {read}, {other}");
    Error::from(Refusal::Rule { code: "TargetSaysOtherwise", sentence })
}

/// What stands on the timelines of the requests.
fn told(named: &Named, resolution: Resolution, seen: Option<Seen>, why: &str) -> String {
    let row = &named.row;
    let role = role_of(named);
    let said = match (resolution, seen.map(|seen| seen.observed)) {
        (Resolution::GiveUp, _) => "given up by hand",
        (Resolution::DoneOutside, None) => {
            "done in the target system as the person says; it cannot be read"
        }
        (Resolution::DoneOutside, Some(Observed::Present)) if row.delivery.wanted => {
            "given in the target system; read there"
        }
        (Resolution::DoneOutside, Some(Observed::Absent)) if !row.delivery.wanted => {
            "taken away in the target system; read there"
        }
        (Resolution::DoneOutside, Some(_)) => {
            "said to be done, but it is not so in the target system"
        }
    };
    format!("{role}: {said}: {why}")
}
