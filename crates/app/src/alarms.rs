//! Alarms and digests: what somebody must be told, found by looking at the rows, written as notices in
//! one transaction, by one server at a time.

use std::collections::BTreeMap;

use accede_domain::circuit::State as CircuitState;
use accede_domain::delivery::STUCK_AFTER;
use accede_domain::id::{CatalogId, Id};
use accede_domain::notice::{self, Topic};
use accede_domain::permission::{Action, Reach};
use accede_domain::{SignedDuration, Timestamp};
use accede_store::alarms::{self, Alarm, Manager, Stuck};
use accede_store::deliveries::DeliveryRow;
use accede_store::deployment::{Turn, take_turn};
use accede_store::{Tx, causes, circuits, deliveries, people};

use crate::failures::Failure;
use crate::letters::{self, Troubled, Undelivered};
use crate::notices::Audience;
use crate::worker::MAX_TARGETS;
use crate::{App, Caller, Error, Result, guards};

/// How often it is looked whether something is to be told.
pub(crate) const LOOK: SignedDuration = SignedDuration::from_secs(60);
/// How often late removals are told at most: what becomes late meanwhile is told together.
const TOGETHER: SignedDuration = SignedDuration::from_mins(15);
/// What is younger is left to the next digest: a transaction of a moment ago may still commit.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Late removals that are told together; the next look finds the others.
const STUCK_LIMIT: usize = 1_000;
/// Held changes that are told in one look.
const HELD_LIMIT: usize = 50;
/// Causes that a digest looks at.
const CAUSES: usize = 100;
/// Managers who get a digest of their own.
const MANAGERS: usize = 500;

impl App {
    /// Looks whether something is to be told, at most once a minute over all servers; says how many
    /// notices were written.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn raise_alarms(&self) -> Result<usize> {
        let now = self.now();
        let told = self
            .store()
            .write(async |tx| {
                if take_turn(tx, "turn.alarms", LOOK, now).await? == Turn::NotYet {
                    return Ok(0);
                }
                let mut told = self.tell_stuck(tx, now).await?;
                told += self.tell_targets(tx, now).await?;
                told += self.tell_held(tx, now).await?;
                told += self.tell_failures(tx, now).await?;
                Ok::<_, Error>(told)
            })
            .await?;
        if 0 < told {
            self.wake();
        }
        Ok(told)
    }

    /// Removals that are late.
    async fn tell_stuck(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<usize> {
        alarms::drop_done(tx).await?;
        let before = now.checked_sub(STUCK_AFTER).unwrap_or(Timestamp::MIN);
        let due = alarms::stuck(tx, before, now, STUCK_LIMIT).await?;
        if due.is_empty() || take_turn(tx, "turn.stuck", TOGETHER, now).await? == Turn::NotYet {
            return Ok(0);
        }
        let total = alarms::count_stuck(tx, before).await?;
        for one in &due {
            let next = notice::STUCK.next(one.since, now);
            let (topic, object) = (Topic::RevocationsStuck, one.about.delivery.uuid());
            alarms::keep(tx, topic, object, one.since, "", next).await?;
        }
        let letter = letters::stuck(&due, total, self.links());
        tracing::error!(told = due.len(), total, "access is not taken back in time");
        let event = format!("revocationsStuck/{}", now.as_millisecond());
        self.tell(tx, &event, &letter, Audience::Operators, now).await
    }

    /// Targets that went out of order, and those that are back.
    async fn tell_targets(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<usize> {
        let topic = Topic::TargetsOutOfOrder;
        let mut standing: BTreeMap<_, Alarm> = alarms::standing(tx, topic, MAX_TARGETS)
            .await?
            .into_iter()
            .map(|alarm| (alarm.object, alarm))
            .collect();
        let mut out = Vec::new();
        for (target, name, revocations) in alarms::troubled(tx, MAX_TARGETS).await? {
            let known = standing.remove(&target.uuid());
            let row = circuits::get(tx, target).await?;
            let (since, reason) = match row.circuit.state {
                CircuitState::Open { since, reason, .. }
                | CircuitState::Trial { since, reason, .. } => (since, reason),
                CircuitState::Closed => continue,
            };
            if !row.circuit.is_out_of_order(now) {
                continue;
            }
            // Once for each reason, and once a day while removals wait there.
            let is_told = known.is_some_and(|alarm| {
                let same = alarm.since == since && alarm.detail == reason.name();
                same && (now < alarm.next || revocations == 0)
            });
            if is_told {
                continue;
            }
            let next = notice::OUT_OF_ORDER.next(since, now);
            alarms::keep(tx, topic, target.uuid(), since, reason.name(), next).await?;
            out.push(Troubled {
                id: target.to_string(),
                name,
                reason: reason.name(),
                message: row.fault.map(|fault| fault.message),
                since,
                revocations,
            });
        }
        let mut back = Vec::new();
        for object in standing.into_keys() {
            let target = accede_domain::id::TargetId::from_uuid(object);
            alarms::drop(tx, topic, object).await?;
            let row = accede_store::targets::get(tx, target).await?;
            // One that was paused or deleted is not back; nobody needs to be told what they did.
            if let Some(row) = row.filter(|row| !row.is_paused) {
                back.push((target.to_string(), row.display_name));
            }
        }
        let mut told = 0;
        if !out.is_empty() {
            let letter = letters::out_of_order(&out, self.links());
            tracing::error!(
                targets = out.len(),
                title = letter.title,
                "target systems are out of order"
            );
            let event = format!("targetsOutOfOrder/{}", now.as_millisecond());
            told += self.tell(tx, &event, &letter, Audience::Operators, now).await?;
        }
        if !back.is_empty() {
            let letter = letters::back(&back, self.links());
            tracing::info!(targets = back.len(), title = letter.title, "target systems are back");
            let event = format!("targetsBack/{}", now.as_millisecond());
            told += self.tell(tx, &event, &letter, Audience::Operators, now).await?;
        }
        Ok(told)
    }

    /// Changes that wait for a second person.
    async fn tell_held(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<usize> {
        alarms::drop_decided(tx).await?;
        let mut told = 0;
        for due in alarms::held(tx, now, HELD_LIMIT).await? {
            let next = notice::HELD.next(due.since, now);
            let topic = Topic::ChangeHeld;
            alarms::keep(tx, topic, due.about.uuid(), due.since, "", next).await?;
            let Some(guard) = accede_store::guards::get(tx, due.about).await? else { continue };
            let view = guards::view(tx, &Caller::system(), guard).await?;
            let letter = letters::held(&view, self.links());
            tracing::warn!(held = %due.about, title = letter.title, "a change waits for a second person");
            let event = format!("changeHeld/{}/{}", due.about, now.as_millisecond());
            told += self.tell(tx, &event, &letter, Audience::Operators, now).await?;
        }
        Ok(told)
    }

    /// What is newly not delivered, by cause.
    async fn tell_failures(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<usize> {
        let Some(every) = self.settings().notices.digest else { return Ok(0) };
        let since = match take_turn(tx, "turn.digest", every, now).await? {
            Turn::Since(since) => since,
            // The first digest tells what is new from now on.
            Turn::First | Turn::NotYet => return Ok(0),
        };
        let settled = |at: Timestamp| at.checked_sub(SETTLED_AFTER).unwrap_or(Timestamp::MIN);
        let rested = alarms::came_to_rest(tx, settled(since), settled(now)).await?;
        let everything = Reach::Everywhere;
        let found = self.undelivered(tx, &everything, &rested, since, now).await?;
        let newly = |found: &Undelivered| {
            0 < found.requests || found.failures.iter().any(|f| since < f.cause.first_seen)
        };
        if !newly(&found) {
            return Ok(0);
        }
        let event = format!("failures/{}", now.as_millisecond());
        let letter = letters::failures(&found, self.links());
        tracing::warn!(requests = found.requests, title = letter.title, "deliveries fail");
        let mut told = self.tell(tx, &event, &letter, Audience::Operators, now).await?;
        let notices = &self.settings().notices;
        if notices.mail.is_none() || !notices.tells_managers {
            return Ok(told);
        }
        let catalogs: Vec<CatalogId> = rested.iter().map(|(catalog, _)| *catalog).collect();
        for Manager { user, mail } in alarms::managers(tx, &catalogs, MANAGERS).await? {
            if notices.to.iter().any(|address| address.eq_ignore_ascii_case(&mail)) {
                continue;
            }
            // They are told what they may read, and nothing else.
            let reach = crate::callers::grants(tx, user.uuid()).await?.reach(Action::ReadRequests);
            let found = self.undelivered(tx, &reach, &rested, since, now).await?;
            if 0 < found.requests {
                let letter = letters::failures(&found, self.links());
                told += self.tell(tx, &event, &letter, Audience::Person(&mail), now).await?;
            }
        }
        Ok(told)
    }

    async fn undelivered(
        &self,
        tx: &mut Tx<'_>,
        reach: &Reach,
        rested: &[(CatalogId, i64)],
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Undelivered> {
        let mut failures = Vec::new();
        for cause in causes::list(tx, reach).await?.into_iter().take(CAUSES) {
            failures.push(Failure::of(tx, cause, reach, now).await?);
        }
        let reaches = |catalog: &CatalogId| match reach {
            Reach::Everywhere => true,
            Reach::Catalogs(list) => list.contains(catalog),
        };
        let requests =
            rested.iter().filter(|(catalog, _)| reaches(catalog)).map(|(_, count)| count).sum();
        let stuck = match reach {
            Reach::Everywhere => {
                let before = now.checked_sub(STUCK_AFTER).unwrap_or(Timestamp::MIN);
                Some(alarms::count_stuck(tx, before).await?)
            }
            Reach::Catalogs(_) => None,
        };
        Ok(Undelivered { since, requests, failures, stuck })
    }

    /// A delivery was laid down.
    pub(crate) async fn tell_laid_down(
        &self,
        tx: &mut Tx<'_>,
        row: &DeliveryRow,
        now: Timestamp,
    ) -> Result<()> {
        let Some(named) = deliveries::get_named(tx, row.id).await? else { return Ok(()) };
        let facts = people::by_subject(tx, row.key.subject).await?;
        let about = Stuck {
            delivery: row.id,
            target: named.target_display_name,
            person: facts.map(|facts| facts.display_name),
            resource: named.resource_name.unwrap_or_else(|| row.key.resource.clone()),
            role: named.role_name.unwrap_or_else(|| row.key.role.clone()),
            fault: None,
        };
        let crashes = row.delivery.poison.crashes;
        let letter = letters::laid_down(&about, row.delivery.wanted, crashes, self.links());
        let event = format!("deliveryLaidDown/{}/{}", row.id, now.as_millisecond());
        self.tell(tx, &event, &letter, Audience::Operators, now).await?;
        Ok(())
    }
}
