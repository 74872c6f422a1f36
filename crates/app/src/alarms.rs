//! Alarms and digests: what somebody must be told, found by looking at the rows, written as notices in
//! one transaction, by one server at a time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use accede_domain::circuit::State as CircuitState;
use accede_domain::delivery::STUCK_AFTER;
use accede_domain::id::{CatalogId, GroupId, Id, TargetId, UserId};
use accede_domain::notice::{self, Topic};
use accede_domain::permission::{Action, Reach};
use accede_domain::retry;
use accede_domain::{SignedDuration, Timestamp};
use accede_store::alarms::{self, Alarm, Due, Manager, Stuck, TaskDue};
use accede_store::crash::{Point, point};
use accede_store::deliveries::DeliveryRow;
use accede_store::deployment::{Turn, peek_turn, take_turn};
use accede_store::{Tx, causes, circuits, deliveries, people, targets};
use uuid::Uuid;

use crate::failures::Failure;
use crate::letters::{self, Letter, Troubled, Undelivered};
use crate::notices::Audience;
use crate::worker::MAX_TARGETS;
use crate::{App, Caller, Error, Result, guards};

/// How often it is looked whether something is to be told.
pub(crate) const LOOK: SignedDuration = SignedDuration::from_secs(20);
/// How often late removals are told at most: what becomes late meanwhile is told together.
const TOGETHER: SignedDuration = SignedDuration::from_mins(15);
/// What is younger is left to the next digest: a transaction of a moment ago may still commit.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Late removals that are told together; the next look finds the others.
const STUCK_LIMIT: usize = 1_000;
/// Held changes that are told in one look.
const HELD_LIMIT: usize = 50;
/// Tasks that are told in one look.
const TASKS: usize = 500;
/// Members of a group who are told of its tasks.
const MEMBERS: usize = 100;
/// Causes that a digest looks at.
const CAUSES: usize = 100;
/// Managers who get a digest of their own.
const MANAGERS: usize = 500;
/// The turns of looking, of telling late removals, and of the digest.
const LOOKED: &str = "turn.alarms";
const STUCK_TOLD: &str = "turn.stuck";
const DIGESTED: &str = "turn.digest";

/// What is to be told, gathered by reading alone: nobody who writes waits for it.
#[derive(Default)]
struct Gathered {
    letters: Vec<(String, Letter, Option<String>)>,
    keep: Vec<(Topic, Alarm)>,
    forget: Vec<(Topic, Uuid)>,
    /// Turns that are taken with it.
    turns: Vec<(&'static str, SignedDuration)>,
}

impl App {
    /// Looks whether something is to be told, now and then over all servers; says how many notices
    /// were written.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn raise_alarms(&self) -> Result<usize> {
        let now = self.now();
        let read = async |tx: &mut Tx<'_>| {
            let turn = peek_turn(tx, LOOKED, LOOK, now).await?;
            if turn == Turn::NotYet {
                return Ok(None);
            }
            let mut gathered = Gathered::default();
            self.gather_stuck(tx, &mut gathered, now).await?;
            self.gather_targets(tx, &mut gathered, now).await?;
            self.gather_held(tx, &mut gathered, now).await?;
            self.gather_tasks(tx, &mut gathered, now).await?;
            self.gather_failures(tx, &mut gathered, now).await?;
            Ok::<_, Error>(Some((turn, gathered)))
        };
        let Some((turn, gathered)) = self.store().read(read).await? else { return Ok(0) };
        let told = self
            .store()
            .write(async |tx| {
                // What another server gathered and wrote meanwhile was the same.
                if take_turn(tx, LOOKED, LOOK, now).await? != turn {
                    return Ok(0);
                }
                self.write_down(tx, &gathered, now).await
            })
            .await?;
        point(Point::NoticeAlarms);
        if 0 < told {
            self.wake();
        }
        Ok(told)
    }

    async fn write_down(
        &self,
        tx: &mut Tx<'_>,
        gathered: &Gathered,
        now: Timestamp,
    ) -> Result<usize> {
        alarms::drop_done(tx).await?;
        alarms::drop_decided(tx).await?;
        alarms::drop_closed(tx).await?;
        for (name, every) in &gathered.turns {
            take_turn(tx, name, *every, now).await?;
        }
        for (topic, object) in &gathered.forget {
            alarms::drop(tx, *topic, *object).await?;
        }
        for (topic, alarm) in &gathered.keep {
            alarms::keep(tx, *topic, alarm).await?;
        }
        let mut told = 0;
        for (event, letter, person) in &gathered.letters {
            if person.is_none() {
                let topic = letter.topic.name();
                tracing::warn!(topic, title = letter.title, "somebody must look");
            }
            let audience = person.as_deref().map_or(Audience::Operators, Audience::Person);
            told += self.tell(tx, event, letter, audience, now).await?;
        }
        Ok(told)
    }

    /// Removals that are late.
    async fn gather_stuck(
        &self,
        tx: &mut Tx<'_>,
        gathered: &mut Gathered,
        now: Timestamp,
    ) -> Result<()> {
        if peek_turn(tx, STUCK_TOLD, TOGETHER, now).await? == Turn::NotYet {
            return Ok(());
        }
        let before = retry::before(now, STUCK_AFTER);
        let due = alarms::stuck(tx, before, now, STUCK_LIMIT).await?;
        if due.is_empty() {
            return Ok(());
        }
        let total = alarms::count_stuck(tx, before).await?;
        gathered.turns.push((STUCK_TOLD, TOGETHER));
        gathered.keep.extend(due.iter().map(|one| {
            let alarm = Alarm {
                object: one.about.delivery.uuid(),
                since: one.since,
                detail: String::new(),
                next: notice::STUCK.next(one.since, now),
            };
            (Topic::RevocationsStuck, alarm)
        }));
        let letter = letters::stuck(&due, total, self.links());
        gathered.letters.push((event(&letter, now), letter, None));
        Ok(())
    }

    /// Targets that went out of order, and those that are back.
    async fn gather_targets(
        &self,
        tx: &mut Tx<'_>,
        gathered: &mut Gathered,
        now: Timestamp,
    ) -> Result<()> {
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
            let alarm = Alarm {
                object: target.uuid(),
                since,
                detail: reason.name().to_owned(),
                next: notice::OUT_OF_ORDER.next(since, now),
            };
            gathered.keep.push((topic, alarm));
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
            gathered.forget.push((topic, object));
            let row = targets::get(tx, TargetId::from_uuid(object)).await?;
            // One that was paused or deleted is not back; nobody needs to be told what they did.
            if let Some(row) = row.filter(|row| !row.is_paused) {
                back.push((row.id.to_string(), row.display_name));
            }
        }
        if !out.is_empty() {
            let letter = letters::out_of_order(&out, self.links());
            gathered.letters.push((event(&letter, now), letter, None));
        }
        if !back.is_empty() {
            let letter = letters::back(&back, self.links());
            gathered.letters.push((event(&letter, now), letter, None));
        }
        Ok(())
    }

    /// Changes that wait for a second person.
    async fn gather_held(
        &self,
        tx: &mut Tx<'_>,
        gathered: &mut Gathered,
        now: Timestamp,
    ) -> Result<()> {
        for due in alarms::held(tx, now, HELD_LIMIT).await? {
            let Some(guard) = accede_store::guards::get(tx, due.about).await? else { continue };
            let alarm = Alarm {
                object: due.about.uuid(),
                since: due.since,
                detail: String::new(),
                next: notice::HELD.next(due.since, now),
            };
            gathered.keep.push((Topic::ChangeHeld, alarm));
            let view = guards::view(tx, &Caller::system(), guard).await?;
            let letter = letters::held(&view, self.links());
            let event = format!("{}/{}", event(&letter, now), due.about);
            gathered.letters.push((event, letter, None));
        }
        Ok(())
    }

    /// Tasks that somebody got, or that are late: each of those who may do them is told by mail, of all
    /// together.
    async fn gather_tasks(
        &self,
        tx: &mut Tx<'_>,
        gathered: &mut Gathered,
        now: Timestamp,
    ) -> Result<()> {
        if self.settings().notices.mail.is_none() {
            // Who is told by mail from some day on is told then of what is open.
            return Ok(());
        }
        let due = alarms::tasks(tx, now, TASKS).await?;
        let mut mails: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
        let mut told: BTreeMap<String, Vec<&Due<TaskDue>>> = BTreeMap::new();
        for one in &due {
            gathered.keep.push((
                Topic::Tasks,
                Alarm {
                    object: one.about.task.uuid(),
                    since: one.since,
                    detail: one.about.version.to_string(),
                    next: notice::TASK.next(one.since, now),
                },
            ));
            let known = match mails.entry(one.about.assignee) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    new.insert(mails_of(tx, one.about.assignee, one.about.is_group).await?)
                }
            };
            for mail in known.iter() {
                told.entry(mail.clone()).or_default().push(one);
            }
        }
        for (mail, tasks) in told {
            let letter = letters::tasks(&tasks, now, self.links());
            let event = format!("{}/{mail}", event(&letter, now));
            gathered.letters.push((event, letter, Some(mail)));
        }
        Ok(())
    }

    /// What is newly not delivered, by cause.
    async fn gather_failures(
        &self,
        tx: &mut Tx<'_>,
        gathered: &mut Gathered,
        now: Timestamp,
    ) -> Result<()> {
        let Some(every) = self.settings().notices.digest else { return Ok(()) };
        let turn = peek_turn(tx, DIGESTED, every, now).await?;
        if turn == Turn::NotYet {
            return Ok(());
        }
        gathered.turns.push((DIGESTED, every));
        // The first digest tells what is new from now on.
        let Turn::Since(since) = turn else { return Ok(()) };
        let settled = |at: Timestamp| retry::before(at, SETTLED_AFTER);
        let rested = alarms::came_to_rest(tx, settled(since), settled(now)).await?;
        let found = self.undelivered(tx, &Reach::Everywhere, &rested, since, now).await?;
        if found.requests == 0 && found.new == 0 {
            return Ok(());
        }
        let letter = letters::failures(&found, true, self.links());
        let event = event(&letter, now);
        gathered.letters.push((event.clone(), letter, None));
        let notices = &self.settings().notices;
        if notices.mail.is_none() || !notices.tells_managers {
            return Ok(());
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
                // A target's own words may name what is in other catalogs.
                let letter = letters::failures(&found, false, self.links());
                gathered.letters.push((format!("{event}/{user}"), letter, Some(mail)));
            }
        }
        Ok(())
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
                let before = retry::before(now, STUCK_AFTER);
                Some(alarms::count_stuck(tx, before).await?)
            }
            Reach::Catalogs(_) => None,
        };
        // What is known since the last digest is new in this one; requests are counted once they have
        // rested a while, so theirs is an earlier time.
        let new = failures.iter().filter(|failure| since < failure.cause.first_seen).count();
        let since = retry::before(since, SETTLED_AFTER);
        Ok(Undelivered { since, requests, new, failures, stuck })
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
        // A connector that breaks down may take thousands along: one letter in ten minutes a target.
        let minutes = now.as_second().div_euclid(600);
        let event = format!("deliveryLaidDown/{}/{minutes}", row.key.target);
        self.tell(tx, &event, &letter, Audience::Operators, now).await?;
        Ok(())
    }
}

/// The mail addresses of an active person, or of the active members of a group.
async fn mails_of(tx: &mut Tx<'_>, assignee: Uuid, is_group: bool) -> Result<Vec<String>> {
    let users = match is_group {
        true => people::active_members(tx, GroupId::from_uuid(assignee), MEMBERS).await?,
        false => vec![UserId::from_uuid(assignee)],
    };
    let mut mails = Vec::new();
    for user in users {
        let facts = people::by_user(tx, user).await?.filter(|facts| facts.is_active);
        mails.extend(facts.and_then(|facts| facts.mail));
    }
    Ok(mails)
}

/// What happened, so that nobody is told of it twice.
fn event(letter: &Letter, now: Timestamp) -> String {
    format!("{}/{}", letter.topic.name(), now.as_millisecond())
}
