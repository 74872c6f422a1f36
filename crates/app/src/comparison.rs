//! Comparing a paused deployment's database with its targets, and going on from there: what is
//! wanted and not seen in a target is held, not given again.

use std::collections::BTreeMap;

use accede_connectors::{Connector, Person, Presence, Role};
use accede_domain::Timestamp;
use accede_domain::delivery::{self, Observed};
use accede_domain::deployment::{self as rules, Found, Regrant};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{DeliveryId, TargetId};
use accede_domain::permission::Action;
use accede_store::crash::{Point, point};
use accede_store::deliveries::{self, DeliveryRow, Named};
use accede_store::findings::{self, Finding};
use accede_store::{Tx, deployment, people, targets};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::deed::Deed;
use crate::deployment::{Choice, may_see_all, not_paused, note, refusal};
use crate::resources::within_deadline;
use crate::worker::{person, role};
use crate::{App, Caller, Error, Page, Result};

/// The name under which a deployment keeps how far a comparison is.
const COMPARISON: &str = "comparison";
/// Deliveries that are read in one step.
const STEP: usize = 500;
/// Most reads in flight.
const AT_ONCE: usize = 8;
/// After so many failed reads in a row a target is not asked any more.
const PATIENCE: usize = 3;
/// Most differences on a page.
pub const MAX_DIFFERENCES: usize = 500;
/// The code of the fault that stands at what is held.
pub const HELD: &str = "held-after-restore";

/// How far a comparison is, and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it was complete, if it is.
    pub completed_at: Option<Timestamp>,
    /// How many deliveries were compared so far.
    pub compared: i64,
    /// Wanted, and not in the target.
    pub lacking: i64,
    /// In the target, and not wanted.
    pub extra: i64,
    /// Could not be read.
    pub unread: i64,
    /// Can never be read.
    pub blind: i64,
}

impl Comparison {
    /// Whether every delivery was looked at.
    pub const fn is_complete(&self) -> bool {
        self.completed_at.is_some()
    }
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    requested: i64,
    completed: Option<i64>,
    after: Option<uuid::Uuid>,
}

/// A kind of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Wanted, and not in the target.
    Lacking,
    /// In the target, and not wanted.
    Extra,
    /// Wanted, and could not be read.
    Unread,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 3] = [Kind::Lacking, Kind::Extra, Kind::Unread];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Lacking => "lacking",
            Kind::Extra => "extra",
            Kind::Unread => "unread",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    const fn found(self) -> (Found, bool) {
        match self {
            Kind::Lacking => (Found::Absent, true),
            Kind::Extra => (Found::Present, false),
            Kind::Unread => (Found::Unread, true),
        }
    }
}

/// Something that differs between the database and a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The delivery as it stands now.
    pub named: Named,
    /// Whose access it is about.
    pub person: Option<people::Facts>,
    /// Why it could not be read, if so.
    pub detail: Option<String>,
    /// When it was read.
    pub at: Timestamp,
}

impl Difference {
    /// Whether it is held: wanted, and not given before somebody says so.
    pub fn is_held(&self) -> bool {
        is_held(&self.named.row)
    }
}

/// Whether a delivery is held, so that only a person may have it tried again.
pub(crate) fn is_held(row: &DeliveryRow) -> bool {
    let is_ours = row.fault.as_ref().is_some_and(|fault| fault.code == HELD);
    is_ours && matches!(row.delivery.phase, delivery::Phase::Failed { .. })
}

async fn kept(tx: &mut Tx<'_>) -> Result<Option<Kept>> {
    let text = deployment::get(tx, COMPARISON).await?;
    text.map(|text| serde_json::from_str(&text).map_err(Error::internal)).transpose()
}

async fn keep(tx: &mut Tx<'_>, kept: &Kept) -> Result<()> {
    let text = serde_json::to_string(kept).map_err(Error::internal)?;
    Ok(deployment::replace(tx, COMPARISON, &text).await?)
}

/// Forgets what an earlier comparison found.
pub(crate) async fn forget(tx: &mut Tx<'_>) -> Result<()> {
    findings::clear(tx).await?;
    Ok(deployment::forget(tx, COMPARISON).await?)
}

/// Forgets a comparison that was asked for before an instant.
pub(crate) async fn outdate(app: &App, before: Timestamp) -> Result<()> {
    app.store()
        .write(async |tx| match kept(tx).await? {
            Some(kept) if kept.requested < before.as_millisecond() => forget(tx).await,
            _ => Ok(()),
        })
        .await
}

/// How far the comparison is, if one was asked for.
pub(crate) async fn get(tx: &mut Tx<'_>) -> Result<Option<Comparison>> {
    let Some(kept) = kept(tx).await? else { return Ok(None) };
    let instant = |at: i64| Timestamp::from_millisecond(at).unwrap_or(Timestamp::MIN);
    let counts = findings::counts(tx).await?;
    let sum = |of: fn(Found, bool) -> bool| {
        counts.iter().filter(|(found, wanted, _)| of(*found, *wanted)).map(|(.., n)| n).sum()
    };
    Ok(Some(Comparison {
        requested_at: instant(kept.requested),
        completed_at: kept.completed.map(instant),
        compared: sum(|_, _| true),
        lacking: sum(|found, wanted| found == Found::Absent && wanted),
        extra: sum(|found, wanted| found == Found::Present && !wanted),
        unread: sum(|found, wanted| found == Found::Unread && wanted),
        blind: sum(|found, wanted| found == Found::Blind && wanted),
    }))
}

/// Deliveries that are read in one call.
struct Ask {
    target: TargetId,
    connector: std::sync::Arc<dyn Connector>,
    rows: Vec<DeliveryRow>,
    people: Vec<(Person, Role)>,
}

impl App {
    /// Has the database compared with its targets: they are read, and nothing in them is changed.
    /// The worker does it.
    ///
    /// # Errors
    ///
    /// Forbidden unless a Global Administrator; refused when the deployment is not paused, or goes on
    /// already.
    pub async fn compare_deployment(
        &self,
        caller: &Caller,
    ) -> Result<crate::deployment::Deployment> {
        caller.may_everywhere(Action::ManageRoles)?;
        self.refresh_pause().await?;
        let pause = self.paused().ok_or_else(not_paused)?;
        if pause.choice.is_some() {
            return Err(under_way());
        }
        let now = self.now();
        self.store()
            .write(async |tx| {
                crate::deployment::refuse_confirmed(tx).await?;
                if kept(tx).await?.is_some_and(|kept| kept.completed.is_none()) {
                    // Asking twice is asking once.
                    return Ok(());
                }
                findings::clear(tx).await?;
                let requested = now.as_millisecond();
                keep(tx, &Kept { requested, completed: None, after: None }).await?;
                let detail = serde_json::json!({});
                note(self, tx, caller, "deployment comparison requested", detail, now).await
            })
            .await?;
        self.wake();
        self.get_deployment(caller).await
    }

    /// What differs between the database and its targets, a page of one kind.
    ///
    /// # Errors
    ///
    /// Forbidden without a directory role; invalid for too many.
    pub async fn list_differences(
        &self,
        caller: &Caller,
        kind: Kind,
        after: Option<DeliveryId>,
        top: usize,
    ) -> Result<Page<Difference>> {
        may_see_all(caller, Action::ReadTargets)?;
        may_see_all(caller, Action::ReadRequests)?;
        if !(1..=MAX_DIFFERENCES).contains(&top) {
            let sentence = format!("ask for 1 to {MAX_DIFFERENCES} items on a page");
            return Err(Error::invalid("$top", sentence));
        }
        let (found, wanted) = kind.found();
        self.store()
            .read(async |tx| {
                let mut list = findings::list(tx, found, wanted, after, top + 1).await?;
                let more = top < list.len();
                list.truncate(top);
                let last = list.last().map(|finding| finding.delivery.to_string());
                let mut items = Vec::with_capacity(list.len());
                for finding in list {
                    let Some(named) = deliveries::get_named(tx, finding.delivery).await? else {
                        continue;
                    };
                    let person = people::by_subject(tx, named.row.key.subject).await?;
                    let Finding { detail, at, .. } = finding;
                    items.push(Difference { named, person, detail, at });
                }
                Ok::<_, Error>(Page { items, next: last.filter(|_| more), count: None })
            })
            .await
    }

    /// Gives what was held after all: it was not revoked since. Says whether that changed anything.
    ///
    /// # Errors
    ///
    /// Forbidden unless a Global Administrator; not found; refused while paused.
    pub async fn regrant_held(&self, caller: &Caller, id: DeliveryId) -> Result<bool> {
        caller.may_everywhere(Action::ManageRoles)?;
        self.refresh_pause().await?;
        self.refuse_paused()?;
        let now = self.now();
        let changed = self
            .store()
            .write(async |tx| {
                let missing = || Error::not_found("difference", id);
                findings::get(tx, id).await?.ok_or_else(missing)?;
                let seen = deliveries::get(tx, id).await?.ok_or_else(missing)?;
                people::lock(tx, seen.key.subject).await?;
                let row = deliveries::lock(tx, id).await?.ok_or_else(missing)?;
                if !is_held(&row) || !row.delivery.wanted {
                    return Ok(false);
                }
                let detail = serde_json::json!({ "delivery": id });
                note(self, tx, caller, "held access given again", detail, now).await?;
                let (again, _) = delivery::reopen(row.delivery, now);
                let mut deed = Deed { app: self, tx, caller, now };
                let why = "what was held after a restore is given again";
                deed.resolve(row, again, "resolved", why).await?;
                Ok::<_, Error>(true)
            })
            .await?;
        self.wake();
        Ok(changed)
    }

    /// What there is to do while the deployment is paused: comparing, if that was asked for, and
    /// going on, if that was confirmed. Says how much was done.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn work_pause(&self) -> Result<usize> {
        self.refresh_pause().await?;
        let mut done = 0;
        let mut failures = BTreeMap::new();
        while let Some(compared) = self.compare_step(&mut failures).await? {
            done += compared.max(1);
        }
        let Some(choice) = self.paused().and_then(|pause| pause.choice) else { return Ok(done) };
        if self.clock_is_suspect() {
            // What the clock brings about cannot be held before it has come about.
            return Ok(done);
        }
        let held = match choice {
            Choice::Resume { regrant } => match self.hold_unseen(choice, regrant).await? {
                Some(held) => held,
                // Another server ended the pause meanwhile.
                None => {
                    self.refresh_pause().await?;
                    return Ok(done + 1);
                }
            },
            Choice::NewInstance => 0,
        };
        point(Point::ConfirmHeld);
        self.end_pause(choice, held).await?;
        self.wake();
        Ok(done + 1)
    }

    /// Compares the next deliveries; `None` when there is no comparison to be made.
    async fn compare_step(
        &self,
        failures: &mut BTreeMap<TargetId, (usize, String)>,
    ) -> Result<Option<usize>> {
        let step = self
            .store()
            .read(async |tx| {
                let Some(kept) = kept(tx).await?.filter(|kept| kept.completed.is_none()) else {
                    return Ok(None);
                };
                let rows = findings::deliveries(tx, kept.after.map(DeliveryId), STEP).await?;
                let mut targets = BTreeMap::new();
                let mut persons = BTreeMap::new();
                for (row, _) in &rows {
                    let key = &row.key;
                    if !targets.contains_key(&key.target)
                        && let Some(target) = targets::get(tx, key.target).await?
                    {
                        targets.insert(key.target, target);
                    }
                    if !persons.contains_key(&key.subject)
                        && let Some(facts) = people::by_subject(tx, key.subject).await?
                    {
                        persons.insert(key.subject, person(facts));
                    }
                }
                Ok::<_, Error>(Some((kept, rows, targets, persons)))
            })
            .await?;
        let Some((kept, rows, targets, persons)) = step else { return Ok(None) };
        let now = self.now();
        let last = rows.last().map(|(row, _)| row.id);
        let mut found: Vec<Finding> = Vec::new();
        let mut asks: Vec<Ask> = Vec::new();
        let unread = |row: &DeliveryRow, why: &str| Finding {
            delivery: row.id,
            found: Found::Unread,
            wanted: row.delivery.wanted,
            detail: Some(why.to_owned()),
            at: now,
        };
        for (row, _) in rows {
            if !row.delivery.wanted && row.delivery.observed == Observed::Never {
                continue;
            }
            let Some(target) = targets.get(&row.key.target) else { continue };
            let connector = match self.hands().get_while_paused(target) {
                _ if target.is_paused => {
                    found.push(unread(&row, "the target system is paused"));
                    continue;
                }
                Ok(connector) if !connector.can_observe() => {
                    found.push(Finding { found: Found::Blind, detail: None, ..unread(&row, "") });
                    continue;
                }
                Ok(connector) => connector,
                Err(fault) => {
                    found.push(unread(&row, &fault.message));
                    continue;
                }
            };
            let Some(somebody) = persons.get(&row.key.subject) else {
                found.push(unread(&row, "the person is gone"));
                continue;
            };
            let asked = (somebody.clone(), role(&row.key));
            let size = connector.batch_size().max(1);
            let fits = |ask: &&mut Ask| {
                ask.target == row.key.target
                    && ask.rows.len() < size
                    && ask.people.first().is_some_and(|(_, role)| *role == asked.1)
            };
            match asks.iter_mut().find(fits) {
                Some(ask) => {
                    ask.rows.push(row);
                    ask.people.push(asked);
                }
                None => asks.push(Ask {
                    target: row.key.target,
                    connector,
                    rows: vec![row],
                    people: vec![asked],
                }),
            }
        }
        let mut asks = asks.into_iter();
        loop {
            let next: Vec<Ask> = asks.by_ref().take(AT_ONCE).collect();
            if next.is_empty() {
                break;
            }
            let answered = stream::iter(next).map(|ask| {
                let tired = failures.get(&ask.target).filter(|(count, _)| PATIENCE <= *count);
                let tired = tired.map(|(_, why)| why.clone());
                async move {
                    let answers = match tired {
                        Some(why) => vec![Err(why); ask.rows.len()],
                        None => read(&ask).await,
                    };
                    (ask, answers)
                }
            });
            let answered: Vec<_> = answered.buffered(AT_ONCE).collect().await;
            for (ask, answers) in answered {
                let failed = answers.iter().all(Result::is_err);
                let entry = failures.entry(ask.target).or_default();
                entry.0 = if failed { entry.0 + 1 } else { 0 };
                for (row, answer) in ask.rows.iter().zip(answers) {
                    found.push(match answer {
                        Ok(presence) => Finding {
                            found: match presence {
                                Presence::Present => Found::Present,
                                Presence::Absent => Found::Absent,
                            },
                            detail: None,
                            ..unread(row, "")
                        },
                        Err(why) => {
                            entry.1.clone_from(&why);
                            unread(row, &why)
                        }
                    });
                }
            }
        }
        let count = found.len();
        point(Point::CompareRead);
        let is_ours = self
            .store()
            .write(async |tx| {
                // Another server may have come further meanwhile, or another comparison have begun.
                let present = deployment::hold(tx, COMPARISON).await?;
                if present != Some(serde_json::to_string(&kept).map_err(Error::internal)?) {
                    return Ok(false);
                }
                findings::save_all(tx, &found).await?;
                let after = last.map(|id| id.0).or(kept.after);
                let completed = last.is_none().then(|| now.as_millisecond());
                keep(tx, &Kept { requested: kept.requested, completed, after }).await?;
                Ok::<_, Error>(true)
            })
            .await?;
        point(Point::CompareStep);
        Ok(Some(if is_ours { count } else { 0 }))
    }

    /// Brings every delivery to where it stands when the deployment goes on; says how many are held.
    /// `None`: another server ended the pause meanwhile, and what is done since is not touched.
    async fn hold_unseen(&self, choice: Choice, regrant: Regrant) -> Result<Option<i64>> {
        // What the clock, changed packages and running jobs bring about is wanted too, and as little
        // seen: it comes about first, so that it is held with the rest.
        while 0 < self.sweep_due().await? + self.sweep_holders().await? + self.work_jobs().await? {}
        let (mut after, mut held) = (None, 0);
        loop {
            let rows = self
                .store()
                .read(async |tx| Ok::<_, Error>(findings::deliveries(tx, after, STEP).await?))
                .await?;
            let Some((last, _)) = rows.last() else { return Ok(Some(held)) };
            after = Some(last.id);
            let now = self.now();
            for (row, found) in &rows {
                let (next, held_now) = rules::resume(row.delivery, *found, regrant, now);
                // An earlier try that did not come to its end may have held it.
                let is_marked = is_held(row) || !held_now;
                let is_held = match next == row.delivery && is_marked {
                    true => is_held(row),
                    false => match self.resume_one(row.id, *found, choice, regrant).await? {
                        Some(is_held) => {
                            point(Point::ConfirmOne);
                            is_held
                        }
                        None => return Ok(None),
                    },
                };
                held += i64::from(is_held);
            }
        }
    }

    async fn resume_one(
        &self,
        id: DeliveryId,
        found: Option<Found>,
        choice: Choice,
        regrant: Regrant,
    ) -> Result<Option<bool>> {
        let now = self.now();
        let caller = Caller::system();
        self.store()
            .write(async |tx| {
                if !crate::deployment::hold_choice(tx, choice).await? {
                    return Ok(None);
                }
                let Some(seen) = deliveries::get(tx, id).await? else { return Ok(Some(false)) };
                people::lock(tx, seen.key.subject).await?;
                let Some(mut row) = deliveries::lock(tx, id).await? else {
                    return Ok(Some(false));
                };
                let (next, held_now) = rules::resume(row.delivery, found, regrant, now);
                if next == row.delivery && (is_held(&row) || !held_now) {
                    return Ok(Some(is_held(&row)));
                }
                let why = if held_now {
                    let fault = Fault::new(Class::Permanent, HELD, held_sentence(found));
                    row.fault = Some(self.remember(tx, row.key.target, &fault, now).await?);
                    held_sentence(found)
                } else {
                    "settled as its target system was read after a restore"
                };
                let mut deed = Deed { app: self, tx, caller: &caller, now };
                deed.resolve(row, next, "resolved", why).await?;
                Ok::<_, Error>(Some(held_now))
            })
            .await
    }
}

pub(crate) fn under_way() -> Error {
    refusal(
        "ConfirmUnderWay",
        "what this database is was confirmed already, so it is not compared again",
    )
}

const fn held_sentence(found: Option<Found>) -> &'static str {
    match found {
        Some(Found::Absent) => {
            "held after a restore: the restored database wants it, but the target system does not \
             have it, so it may have been revoked since"
        }
        _ => {
            "held after a restore: the restored database wants it, but it was not seen in the \
             target system, so it may have been revoked since"
        }
    }
}

/// Reads in a target what is asked; an answer for each, or why there is none.
async fn read(ask: &Ask) -> Vec<std::result::Result<Presence, String>> {
    let call = async { Ok(ask.connector.observe(&ask.people).await) };
    let mut answers = match within_deadline(call).await {
        Ok(answers) => {
            answers.into_iter().map(|answer| answer.map_err(|fault| fault.message)).collect()
        }
        Err(fault) => vec![Err(fault.message); ask.rows.len()],
    };
    answers.resize(ask.rows.len(), Err("the connector gave no answer".to_owned()));
    answers
}
