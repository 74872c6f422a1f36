//! Comparing targets with what is wanted there, at a pace that nobody else feels.
//!
//! A target has a *turn* now and then: some of what is settled is marked to be read back, which the
//! worker does like any other call; then the holders of some roles are listed and held against what
//! is wanted. How long the next turn waits follows from how many calls this one took. A turn is a
//! lease on the target's row, so that one of several servers has it; what it leaves undone, the next
//! one finds in the rows. What cannot be read proves nothing and changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use accede_connectors::{Connector, Holder as Held, Holders, MAX_HOLDERS, Person, Presence};
use accede_domain::circuit::Admission;
use accede_domain::delivery::{self, Answer, Observed, Phase};
use accede_domain::drift::{Kind, State, calls_of_turn, next_turn};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{DriftFindingId, ResourceRoleId, SubjectId, TargetId};
use accede_domain::resolution;
use accede_domain::retry::after;
use accede_domain::{SignedDuration, Timestamp};
use accede_store::crash::{Point, point};
use accede_store::deliveries::{self, DeliveryRow};
use accede_store::drift::{self, Finding, Holder, Place};
use accede_store::drift_sweeps::{self, Sweep};
use accede_store::targets::{self, TargetRow};
use accede_store::{attempts, circuits, findings, people};
use serde_json::json;

use crate::deed::Deed;
use crate::drift::close;
use crate::resolutions::Seen;
use crate::resources::within_deadline;
use crate::worker::{MAX_TARGETS, person, report, role};
use crate::{App, Caller, Error, Result};

/// How long a turn belongs to the server that has it.
const LEASE: SignedDuration = SignedDuration::from_mins(15);
/// Most deliveries that one turn marks to be read back.
const READ_LIMIT: usize = 512;
/// Most roles whose holders one turn lists.
const ROLES_LIMIT: usize = 20;
/// Most given-up grants that one turn looks at.
const WAITING_LIMIT: usize = 20;
/// Findings that are written in one transaction.
const FINDINGS_BATCH: usize = 200;
/// People who are read at once, to recognize a holder.
const PEOPLE_BATCH: usize = 1_000;
/// Longest name of a holder that is kept, in characters.
const MAX_NAME: usize = 512;

/// What a turn set out to do.
struct Turn {
    target: TargetRow,
    /// The lease; whoever finds another one in the row has lost it.
    lease: Timestamp,
    /// Calls that it may still make.
    left: usize,
    /// Calls that it made, or that the worker makes for it; a long list may take more than it may.
    spent: usize,
    /// Deliveries that were marked to be read back.
    marked: usize,
    roles: Vec<(Place, ResourceRoleId)>,
    waiting: Vec<(DriftFindingId, DeliveryRow)>,
}

impl Turn {
    fn spend(&mut self, calls: usize) {
        self.left = self.left.saturating_sub(calls);
        self.spent = self.spent.saturating_add(calls);
    }
}

/// A role whose holders were listed.
struct Listed {
    place: Place,
    role: ResourceRoleId,
    /// Who is not among the people for whom it is wanted, recognized or not.
    others: Vec<(Held, Option<SubjectId>)>,
}

impl App {
    /// Gives every target its turn whose time has come, and closes findings whose difference is
    /// over; says how much was done.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn sweep_drift(&self) -> Result<usize> {
        let mut done = self.close_drift().await?;
        let now = self.now();
        let due =
            self.store().read(async |tx| drift_sweeps::due(tx, now, MAX_TARGETS).await).await?;
        for target in due {
            match self.compare_turn(target).await {
                Ok(compared) => done += compared,
                // One target's rows keep no other from being compared.
                Err(error) if !error.is_outage() => report::<(), _>("drift", Err(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(done + self.take_planned_extras().await?)
    }

    async fn compare_turn(&self, id: TargetId) -> Result<usize> {
        let Some(target) = self.to_compare(id).await? else { return Ok(0) };
        // A target that does not open is told by its check, and by what is to be delivered there.
        let Ok(connector) = self.hands().get(&target) else { return Ok(0) };
        if !connector.can_observe() {
            return Ok(0);
        }
        let Some(mut turn) = self.take_turn_to_compare(target, &*connector).await? else {
            return Ok(0);
        };
        point(Point::DriftTurn);
        let mut done = turn.marked;
        for (finding, row) in std::mem::take(&mut turn.waiting) {
            if turn.left == 0 {
                break;
            }
            turn.spend(1);
            self.look_at_waiting(&*connector, finding, &row).await?;
            done += 1;
        }
        done += self.compare_roles(&mut turn, &*connector).await?;
        self.end_turn(&turn).await?;
        point(Point::DriftOver);
        if 0 < done {
            self.wake();
        }
        Ok(done)
    }

    /// A target that has something to compare. Nothing is written to find that out.
    async fn to_compare(&self, id: TargetId) -> Result<Option<TargetRow>> {
        let (now, every) = (self.now(), self.settings().drift_every);
        self.store()
            .read(async |tx| {
                let Some(target) = targets::get(tx, id).await? else { return Ok(None) };
                let mut sweep = drift_sweeps::get(tx, id).await?.unwrap_or_else(|| Sweep::new(id));
                if circuits::get(tx, id).await?.circuit.admits(now) != Admission::All
                    || drift_sweeps::is_busy(tx, id, now).await?
                {
                    return Ok(None);
                }
                begin(&mut sweep, every, target.created_at, now);
                let is_due = match cutoff(&sweep, every, now) {
                    _ if sweep.is_running => true,
                    None => false,
                    Some(cutoff) => {
                        drift_sweeps::has_to_read(tx, id, cutoff).await?
                            || !drift::waiting(tx, id, cutoff, 1).await?.is_empty()
                    }
                };
                Ok::<_, Error>(Some(target).filter(|_| is_due))
            })
            .await
    }

    /// Takes a target's turn, if there is something to compare, and marks what is to be read back.
    async fn take_turn_to_compare(
        &self,
        target: TargetRow,
        connector: &dyn Connector,
    ) -> Result<Option<Turn>> {
        let (now, every) = (self.now(), self.settings().drift_every);
        let (id, concurrency) = (target.id, target.concurrency);
        let batch = connector.batch_size().max(1);
        let planned = self
            .store()
            .write(async |tx| {
                let mut sweep = drift_sweeps::lock(tx, id).await?;
                let idle = circuits::get(tx, id).await?.circuit.admits(now) == Admission::All
                    && !drift_sweeps::is_busy(tx, id, now).await?;
                if now < sweep.turn_at || !idle {
                    return Ok(None);
                }
                begin(&mut sweep, every, target.created_at, now);
                let Some(cutoff) = cutoff(&sweep, every, now) else { return Ok(None) };
                let mut left = calls_of_turn(concurrency);
                let limit = left.saturating_mul(batch).min(READ_LIMIT);
                let rows = drift_sweeps::to_read(tx, id, cutoff, limit).await?;
                let mut saves = Vec::with_capacity(rows.len());
                let mut sizes: HashMap<_, usize> = HashMap::new();
                for mut row in rows {
                    let size = sizes.entry(role(&row.key)).or_default();
                    if *size % batch == 0 {
                        if left == 0 {
                            break;
                        }
                        left -= 1;
                    }
                    *size += 1;
                    let epoch = row.delivery.epoch;
                    row.delivery = delivery::look_again(row.delivery, now);
                    saves.push((row, epoch));
                }
                deliveries::save_all(tx, &saves).await?;
                let waiting = drift::waiting(tx, id, cutoff, left.min(WAITING_LIMIT)).await?;
                let roles = match sweep.is_running && connector.can_list_holders() {
                    true => {
                        let most = left.min(ROLES_LIMIT);
                        drift_sweeps::roles_after(tx, id, &sweep.after, most).await?
                    }
                    false => Vec::new(),
                };
                if saves.is_empty() && waiting.is_empty() && !sweep.is_running {
                    // Nothing is due: no lease, and nothing to write down.
                    return Ok(None);
                }
                sweep.turn_at = after(now, LEASE);
                drift_sweeps::save(tx, &sweep).await?;
                Ok::<_, Error>(Some((sweep.turn_at, left, saves.len(), roles, waiting)))
            })
            .await?;
        Ok(planned.map(|(lease, left, marked, roles, waiting)| Turn {
            target,
            lease,
            left,
            spent: calls_of_turn(concurrency).saturating_sub(left),
            marked,
            roles,
            waiting,
        }))
    }

    /// Gives the turn back: the next one waits as long as this one's calls are worth. If there is
    /// nothing left, the comparison is over, and it is planned what is taken away of what it found.
    async fn end_turn(&self, turn: &Turn) -> Result<()> {
        let (now, id) = (self.now(), turn.target.id);
        let concurrency = turn.target.concurrency;
        self.store()
            .write(async |tx| {
                let mut sweep = drift_sweeps::lock(tx, id).await?;
                if sweep.turn_at != turn.lease {
                    return Ok(());
                }
                sweep.turn_at = next_turn(turn.spent, concurrency, now);
                let connector = self.hands().get(&turn.target);
                let lists = connector.is_ok_and(|connector| connector.can_list_holders());
                if sweep.is_running {
                    let roles_left = lists
                        && !drift_sweeps::roles_after(tx, id, &sweep.after, 1).await?.is_empty();
                    let unread = match sweep.cutoff {
                        Some(cutoff) => drift_sweeps::has_to_read(tx, id, cutoff).await?,
                        None => false,
                    };
                    if !roles_left && !unread {
                        drift::close_forgotten(tx, id, now).await?;
                        sweep.is_running = false;
                        sweep.finished_at = Some(now);
                        if let Some(begun) = sweep.begun_at {
                            self.plan_extras(tx, id, begun, now).await?;
                        }
                    }
                }
                drift_sweeps::save(tx, &sweep).await?;
                Ok(())
            })
            .await
    }

    /// Reads a grant that waits for a person: somebody may have given the role back in the target.
    async fn look_at_waiting(
        &self,
        connector: &dyn Connector,
        id: DriftFindingId,
        row: &DeliveryRow,
    ) -> Result<()> {
        let subject = row.key.subject;
        let facts = self.store().read(async |tx| people::by_subject(tx, subject).await).await?;
        let Some(facts) = facts else { return Ok(()) };
        let asked = [(person(facts), role(&row.key))];
        let missing = || Fault::new(Class::Unknown, "no-answer", "the connector gave no answer");
        let seen = within_deadline(async {
            connector.observe(&asked).await.into_iter().next().unwrap_or_else(|| Err(missing()))
        });
        let asked_at = self.now();
        let presence = seen.await;
        let (now, caller) = (self.now(), Caller::system());
        self.store()
            .write(async |tx| {
                people::lock(tx, subject).await?;
                let Some(mut now_row) = deliveries::lock(tx, row.id).await? else {
                    return Ok(());
                };
                let observed = Observed::Present;
                if let Ok(Presence::Present) = presence
                    && now_row.delivery == row.delivery
                    && let Ok(resolved) =
                        resolution::done_outside(now_row.delivery, Some(observed), now)
                {
                    let seen = Seen { observed, asked_at };
                    attempts::insert(tx, &self.read_outside(&now_row, seen, now)).await?;
                    now_row.attempted_at = Some(now);
                    let why = "somebody gave the role back in the target system; it was read there";
                    let mut deed = Deed { app: self, tx, caller: &caller, now };
                    deed.resolve(now_row, resolved, "resolved", why).await?;
                }
                if presence.is_ok() {
                    drift::touch(tx, id, now).await?;
                }
                Ok(())
            })
            .await
    }

    /// Lists the holders of the turn's roles and holds them against what is wanted; says of how many.
    async fn compare_roles(&self, turn: &mut Turn, connector: &dyn Connector) -> Result<usize> {
        let mut looks = Vec::new();
        for (place, role) in std::mem::take(&mut turn.roles) {
            if turn.left == 0 {
                break;
            }
            let outcome = self.list_holders(connector, &place).await?;
            let calls = outcome.as_ref().map_or(1, |(_, calls)| (*calls).max(1));
            turn.spend(calls);
            let stops = outcome.as_ref().err().is_some_and(keeps_all_from_being_read);
            looks.push((place, role, outcome.map(|(others, _)| others)));
            if stops {
                break;
            }
        }
        // Everybody we know is gone through once a turn, not once a role.
        let mut marks: HashSet<String> = HashSet::new();
        for (.., outcome) in &looks {
            for held in outcome.iter().flatten() {
                marks.extend(held.marks.iter().cloned());
            }
        }
        let found = self.recognize(connector, &marks).await?;
        if !looks.is_empty() {
            point(Point::DriftListed);
        }
        let count = looks.len();
        for (place, role, outcome) in looks {
            match outcome {
                Ok(others) => {
                    let mut recognized = Vec::with_capacity(others.len());
                    for held in others {
                        let subject = held.marks.iter().find_map(|mark| found.get(mark)).copied();
                        recognized.push((held, subject));
                    }
                    let listed = Listed { place, role, others: recognized };
                    self.hold_against(turn, listed).await?;
                }
                Err(fault) => self.leave_unread(turn, &place, fault).await?,
            }
        }
        Ok(count)
    }

    /// Notes that the holders of a role could not be read.
    async fn leave_unread(&self, turn: &Turn, place: &Place, fault: Fault) -> Result<()> {
        let stops = keeps_all_from_being_read(&fault);
        let problem = format!("{}: {fault}", place.resource);
        let problem: String = problem.chars().take(MAX_NAME).collect();
        let lease = turn.lease;
        self.store()
            .write(async |tx| {
                let mut sweep = drift_sweeps::lock(tx, place.target).await?;
                if sweep.turn_at != lease {
                    return Ok(());
                }
                // What keeps all from being read passes; met twice, it is this role's own.
                if !stops || sweep.problem.as_ref() == Some(&problem) {
                    let place = place.clone();
                    sweep.after = (place.resource, place.role, place.scope);
                    sweep.roles_unread += 1;
                }
                sweep.problem = Some(problem.clone());
                drift_sweeps::save(tx, &sweep).await?;
                Ok::<_, Error>(())
            })
            .await?;
        if stops {
            self.note_call(place.target, &[Answer::Fault(fault)]).await?;
        }
        Ok(())
    }

    /// Who holds a role beside the people for whom it is wanted, and how many calls that took.
    async fn list_holders(
        &self,
        connector: &dyn Connector,
        place: &Place,
    ) -> Result<std::result::Result<(Vec<Held>, usize), Fault>> {
        let wanted = self
            .store()
            .read(async |tx| drift_sweeps::wanted_by(tx, place, MAX_HOLDERS + 1).await)
            .await?;
        if MAX_HOLDERS < wanted.len() {
            let text = format!("more than {MAX_HOLDERS} people have it, which is too many");
            return Ok(Err(Fault::new(Class::Unsupported, "too-many-holders", text)));
        }
        let known: Vec<Person> = wanted.into_iter().map(person).collect();
        let asked = accede_connectors::Role {
            resource: place.resource.clone(),
            role: place.role.clone(),
            scope: place.scope.clone(),
        };
        let Holders { list, calls } = match within_deadline(connector.holders(&asked, &known)).await
        {
            Ok(holders) => holders,
            Err(fault) => return Ok(Err(fault)),
        };
        let others = list.into_iter().filter(|held| held.subject.is_none()).collect();
        Ok(Ok((others, calls)))
    }

    /// Whom of the people we know these holders are, by their marks. A mark that several people have
    /// names nobody.
    async fn recognize(
        &self,
        connector: &dyn Connector,
        wanted: &HashSet<String>,
    ) -> Result<HashMap<String, SubjectId>> {
        let mut found: HashMap<String, SubjectId> = HashMap::new();
        let mut several: HashSet<String> = HashSet::new();
        let mut last = None;
        while !wanted.is_empty() {
            let page = self
                .store()
                .read(async |tx| drift_sweeps::people_after(tx, last, PEOPLE_BATCH).await)
                .await?;
            let is_last = page.len() < PEOPLE_BATCH;
            for facts in page {
                let subject = facts.subject;
                last = Some(subject);
                for mark in connector.marks(&person(facts)) {
                    if wanted.contains(&mark) && found.insert(mark.clone(), subject).is_some() {
                        several.insert(mark);
                    }
                }
            }
            if is_last {
                break;
            }
        }
        found.retain(|mark, _| !several.contains(mark));
        Ok(found)
    }

    /// Writes down who holds a role that nothing gives them, and closes what is over.
    async fn hold_against(&self, turn: &Turn, listed: Listed) -> Result<()> {
        let Listed { place, role, others } = listed;
        let mut seen: HashSet<String> = HashSet::new();
        let mut unique = others.clone();
        unique.retain(|(held, _)| seen.insert(held.id.clone()));
        let mut extra: HashSet<String> = HashSet::new();
        for several in unique.chunks(FINDINGS_BATCH) {
            let kept = self
                .store()
                .write(async |tx| {
                    let now = self.now();
                    let live: BTreeMap<String, Finding> = drift::lock_live_at(tx, &place)
                        .await?
                        .into_iter()
                        .filter_map(|one| Some((one.holder.as_ref()?.id.clone(), one)))
                        .collect();
                    let mut kept = Vec::new();
                    for (held, subject) in several {
                        if !self.is_extra(tx, &place, *subject, now).await? {
                            continue;
                        }
                        kept.push(held.id.clone());
                        if let Some(finding) = live.get(&held.id) {
                            // An account may become somebody's, or somebody else's.
                            drift::see_holder(tx, finding.id, *subject, now).await?;
                            continue;
                        }
                        let finding = extra_access(self, &place, role, held, *subject, now);
                        drift::insert(tx, &finding).await?;
                        let detail = json!({
                            "target": place.target,
                            "resource": place.resource,
                            "role": place.role,
                            "holder": held.id,
                            "subject": subject,
                        });
                        let action = "extra access found in the target";
                        let system = Caller::system();
                        self.audit_drift(tx, &system, action, &finding, detail, now).await?;
                    }
                    Ok::<_, Error>(kept)
                })
                .await?;
            extra.extend(kept);
            point(Point::DriftRecorded);
        }
        let lease = turn.lease;
        self.store()
            .write(async |tx| {
                let now = self.now();
                for mut finding in drift::lock_live_at(tx, &place).await? {
                    let is_there =
                        finding.holder.as_ref().is_some_and(|holder| extra.contains(&holder.id));
                    if is_there {
                        continue;
                    }
                    let row = match finding.subject {
                        Some(subject) => drift_sweeps::lock_delivery(tx, &place, subject).await?,
                        None => None,
                    };
                    let row = row.filter(|row| !row.delivery.wanted);
                    if row.as_ref().is_some_and(|row| row.delivery.phase != Phase::Settled) {
                        // We are taking it away; that it is gone is still to be confirmed.
                        continue;
                    }
                    let gone = row.filter(|row| row.delivery.observed == Observed::Absent);
                    close(&mut finding, gone.and_then(|row| row.delivery.acknowledged), now);
                    drift::save(tx, &finding).await?;
                }
                let mut sweep = drift_sweeps::lock(tx, place.target).await?;
                if sweep.turn_at == lease {
                    let place = place.clone();
                    sweep.after = (place.resource, place.role, place.scope);
                    sweep.roles_read += 1;
                    drift_sweeps::save(tx, &sweep).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        point(Point::DriftClosed);
        Ok(())
    }

    /// Whether somebody holds a role that nothing gives them. What we took away and is there again
    /// is ours: it is read back at once, and taken away again.
    async fn is_extra(
        &self,
        tx: &mut accede_store::Tx<'_>,
        place: &Place,
        subject: Option<SubjectId>,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(subject) = subject else { return Ok(true) };
        let Some(mut row) = drift_sweeps::lock_delivery(tx, place, subject).await? else {
            return Ok(true);
        };
        let delivery = row.delivery;
        if delivery.wanted || delivery.phase != Phase::Settled {
            return Ok(false);
        }
        match delivery.observed {
            Observed::Never => Ok(true),
            // It was there before us, and is kept.
            Observed::Present => Ok(false),
            // A restored database found it there: whether it is ours is for a person to say.
            Observed::Absent | Observed::Unknown if findings::is_left(tx, row.id).await? => {
                Ok(true)
            }
            Observed::Absent | Observed::Unknown => {
                row.delivery = delivery::look_again(delivery, now);
                deliveries::save(tx, &row, delivery.epoch).await?;
                Ok(false)
            }
        }
    }
}

/// Whether a fault is the whole target's, so that no other role needs to be asked for now.
const fn keeps_all_from_being_read(fault: &Fault) -> bool {
    matches!(fault.class, Class::Target | Class::Throttled)
}

/// Begins a comparison whose time has come, or that somebody asked for.
fn begin(sweep: &mut Sweep, every: Option<SignedDuration>, created_at: Timestamp, now: Timestamp) {
    if sweep.is_running && sweep.asked_at.is_some() {
        // It comes to its end first, or who asks again and again would never see one.
        return;
    }
    let last = sweep.begun_at.unwrap_or(created_at);
    let is_time = every.is_some_and(|every| after(last, every) <= now);
    let asked = sweep.asked_at.take();
    if asked.is_none() && (sweep.is_running || !is_time) {
        return;
    }
    sweep.is_running = true;
    sweep.begun_at = Some(now);
    sweep.cutoff = match (asked, every) {
        (None, Some(every)) => now.checked_sub(every).ok(),
        _ => None,
    }
    .or(Some(now));
    sweep.after = Default::default();
    sweep.roles_read = 0;
    sweep.roles_unread = 0;
    sweep.problem = None;
}

/// What was last called for before then is read; nothing is, if nobody asked and it is turned off.
fn cutoff(sweep: &Sweep, every: Option<SignedDuration>, now: Timestamp) -> Option<Timestamp> {
    let by_age = every.and_then(|every| now.checked_sub(every).ok());
    by_age.max(sweep.cutoff.filter(|_| sweep.is_running))
}

fn extra_access(
    app: &App,
    place: &Place,
    role: ResourceRoleId,
    held: &Held,
    subject: Option<SubjectId>,
    now: Timestamp,
) -> Finding {
    let name = held.name.as_ref().map(|name| name.chars().take(MAX_NAME).collect());
    Finding {
        id: app.mint(now),
        kind: Kind::Extra,
        state: State::Open,
        place: place.clone(),
        role,
        delivery: None,
        subject,
        holder: Some(Holder { id: held.id.clone(), name }),
        first_seen: now,
        last_seen: now,
        closed_at: None,
        decided_by: None,
        reason: None,
    }
}
