//! A simulated target system: its own truth, its own faults, its own time of taking effect.
//!
//! Whoever changes it behind our back leaves a *foreign* membership; what our calls make is *ours*.
//! A call may take effect late, but never later than the deadline of its claim and the time a dropped
//! connection may still be worked on ([`WORKED_ON`]): that is what a real target must keep for our
//! promises to hold. A *ghost* breaks even that, where the target can be read: an old grant that comes up to
//! [`GHOST`] later, so that the second look has something to find; and a *stubborn* target works off what it
//! accepted, within the time that it asked for, whatever it was told since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use accede_connectors::{
    Connector, Done, FoundResource, Health, Holder, Holders, Item, Person, Presence, Role, Wanted,
};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use accede_domain::pending::Accepted;
use accede_domain::{SignedDuration, Timestamp};
use async_trait::async_trait;

use crate::dice::Dice;

/// How long after its deadline a target may still work on a call whose connection was dropped. Said here
/// again, not taken from the rules: a rule that forgets it must be noticed.
pub const WORKED_ON: SignedDuration = SignedDuration::from_secs(10);

/// How long a call may take at most, whatever its deadline.
const LONGEST_CALL: SignedDuration = SignedDuration::from_secs(60);

/// How much later a grant may still take effect that a paused worker, or a network, held back: nothing can
/// keep a target from that, so what was taken back is looked at once more when it is over.
pub const GHOST: SignedDuration = SignedDuration::from_secs(90);

/// Within what time a target works off what it accepted, if it does. Shorter than the second look: an order
/// that was taken back meanwhile, and whose taking back got lost, is found by that look.
pub const WORKED_OFF: SignedDuration = SignedDuration::from_secs(80);

/// How long a target asks to be believed that it works off what it accepted.
pub const PROMISED: SignedDuration = SignedDuration::from_mins(20);

/// Who put somebody into a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Ours,
    Foreign,
}

/// How one membership is trouble while the others are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// It breaks the connector down.
    Breaks,
    /// The target fails for it.
    Fails,
}

impl Poison {
    pub fn draw(dice: &mut Dice) -> Poison {
        if dice.below(2) == 0 { Poison::Breaks } else { Poison::Fails }
    }
}

/// A person and a resource.
pub type Member = (SubjectId, String);

/// How often each fault happens, in a thousand calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    pub permanent: usize,
    pub transient: usize,
    pub transient_applied: usize,
    pub throttled: usize,
    pub target: usize,
    pub timeout_before: usize,
    pub timeout_after: usize,
    pub late: usize,
    pub lie: usize,
    pub ghost: usize,
    pub accepted: usize,
    pub never: usize,
    pub stubborn: usize,
    pub stale: usize,
    pub partial: usize,
    pub short: usize,
}

impl Rates {
    /// Swarm testing: each fault is on in half of the histories, at a rate drawn for it.
    pub fn draw(dice: &mut Dice) -> Rates {
        let mut rate = || match dice.below(8) {
            0 => 30,
            1 => 120,
            2 => 250,
            3 => 450,
            _ => 0,
        };
        Rates {
            permanent: rate() / 2,
            transient: rate(),
            transient_applied: rate() / 2,
            throttled: rate() / 2,
            target: rate() / 2,
            timeout_before: rate(),
            timeout_after: rate(),
            late: rate(),
            lie: rate() / 4,
            ghost: rate() / 4,
            accepted: 0,
            never: 0,
            stubborn: 0,
            stale: 0,
            partial: 0,
            short: 0,
        }
    }

    /// The same for work that is accepted and not done at once, from dice of its own: the rest of a
    /// history stays what it was before there was such work.
    pub fn with_accepted(self, dice: &mut Dice) -> Rates {
        let mut rate = || [0, 80, 200, 400][dice.below(4)];
        let (accepted, never) = (rate(), rate() / 3);
        // Rare, and then often: the other faults come first, and the wish must change meanwhile.
        Rates { accepted, never, stubborn: [0, 0, 150, 700][dice.below(4)], ..self }
    }

    /// The same for readings that come from an old replica, or lack something and say so.
    pub fn with_readings(self, dice: &mut Dice) -> Rates {
        let mut rate = || [0, 100, 250, 500][dice.below(4)];
        Rates { stale: rate(), partial: rate(), short: rate() / 3, ..self }
    }
}

struct Late {
    at: Timestamp,
    member: Member,
    wanted: Wanted,
}

struct State {
    can_observe: bool,
    dice: Dice,
    now: Timestamp,
    deadline: Timestamp,
    rates: Rates,
    outage: bool,
    refusing: BTreeSet<String>,
    /// Memberships that break down whoever works on them.
    poisonous: BTreeMap<Member, Poison>,
    truth: BTreeMap<Member, Owner>,
    /// What was so of each membership, and since when.
    past: BTreeMap<Member, Vec<(Timestamp, bool)>>,
    /// Memberships of which an old replica said what is not so any more, since the target was last asked.
    misread: BTreeSet<Member>,
    /// Resources whose holders were listed, all of them, since the last look; perhaps by an old replica.
    listed: BTreeSet<String>,
    late: Vec<Late>,
    /// Grants that come later than anything may.
    ghosts: Vec<Late>,
    /// Those that came, and when, while nothing changed them since.
    haunted: BTreeMap<Member, Timestamp>,
    /// What the target accepted and works off: for one membership only the newest.
    accepted: Vec<Late>,
    /// What the target accepted and does whatever is asked of it meanwhile.
    stubborn: Vec<Late>,
    /// What came true late, and when, while nothing changed it since.
    came_late: BTreeMap<Member, (Wanted, Timestamp)>,
    /// Memberships about which the target lied since it was last asked.
    lied: BTreeSet<Member>,
    /// Memberships that somebody else had made before our first call took effect.
    before_us: BTreeSet<Member>,
    granted: BTreeSet<Member>,
    calls: Vec<String>,
    faults: BTreeMap<String, u64>,
}

/// A simulated target.
pub struct Sim {
    can_observe: bool,
    batch: usize,
    state: Mutex<State>,
}

impl Sim {
    pub fn new(seed: u64, can_observe: bool, batch: usize, rates: Rates, now: Timestamp) -> Sim {
        Sim {
            can_observe,
            batch,
            state: Mutex::new(State {
                can_observe,
                dice: Dice::new(seed),
                now,
                deadline: now,
                rates,
                outage: false,
                refusing: BTreeSet::new(),
                poisonous: BTreeMap::new(),
                truth: BTreeMap::new(),
                past: BTreeMap::new(),
                misread: BTreeSet::new(),
                listed: BTreeSet::new(),
                late: Vec::new(),
                ghosts: Vec::new(),
                haunted: BTreeMap::new(),
                accepted: Vec::new(),
                stubborn: Vec::new(),
                came_late: BTreeMap::new(),
                lied: BTreeSet::new(),
                before_us: BTreeSet::new(),
                granted: BTreeSet::new(),
                calls: Vec::new(),
                faults: BTreeMap::new(),
            }),
        }
    }

    /// Time passed; what was to take effect late does so.
    pub fn tick(&self, now: Timestamp) {
        let mut state = self.state.lock().unwrap();
        state.now = now;
        state.late.sort_by_key(|late| late.at);
        while state.late.first().is_some_and(|late| late.at <= now) {
            let late = state.late.remove(0);
            state.apply(&late.member, late.wanted);
            state.count("late effect");
        }
        state.ghosts.sort_by_key(|ghost| ghost.at);
        while state.ghosts.first().is_some_and(|ghost| ghost.at <= now) {
            let ghost = state.ghosts.remove(0);
            state.apply(&ghost.member, ghost.wanted);
            state.haunted.insert(ghost.member, ghost.at);
            state.count("ghost came");
        }
        state.accepted.sort_by_key(|one| one.at);
        while state.accepted.first().is_some_and(|one| one.at <= now) {
            let one = state.accepted.remove(0);
            state.apply(&one.member, one.wanted);
            state.count("accepted and done");
        }
        state.stubborn.sort_by_key(|one| one.at);
        while state.stubborn.first().is_some_and(|one| one.at <= now) {
            let one = state.stubborn.remove(0);
            state.apply(&one.member, one.wanted);
            state.came_late.insert(one.member, (one.wanted, one.at));
            state.count("accepted and done in spite of all");
        }
    }

    /// The clock by which all this is told stepped: what is under way takes as long as before.
    pub fn shift(&self, step: SignedDuration) {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let moved = |at: Timestamp| at.checked_add(step).unwrap();
        state.now = moved(state.now);
        let pending =
            [&mut state.late, &mut state.ghosts, &mut state.accepted, &mut state.stubborn];
        for one in pending.into_iter().flatten() {
            one.at = moved(one.at);
        }
        for (since, _) in state.past.values_mut().flatten() {
            *since = moved(*since);
        }
        // By a clock that stepped nobody can say when a look at it is due.
        state.haunted.clear();
        state.came_late.clear();
    }

    /// Whether nothing is under way here.
    pub fn is_quiet(&self) -> bool {
        let state = self.state.lock().unwrap();
        let pending = [&state.late, &state.ghosts, &state.accepted, &state.stubborn];
        pending.into_iter().all(Vec::is_empty)
    }

    /// Calls from here on belong to a claim with this deadline.
    pub fn expect_calls_until(&self, deadline: Timestamp) {
        self.state.lock().unwrap().deadline = deadline;
    }

    pub fn set_outage(&self, outage: bool) {
        self.state.lock().unwrap().outage = outage;
    }

    pub fn is_out(&self) -> bool {
        self.state.lock().unwrap().outage
    }

    pub fn toggle_refusing(&self, resource: &str) {
        let refusing = &mut self.state.lock().unwrap().refusing;
        if !refusing.remove(resource) {
            refusing.insert(resource.to_owned());
        }
    }

    pub fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.rates = Rates::default();
        state.outage = false;
        state.refusing.clear();
        state.poisonous.clear();
    }

    /// A membership begins or ceases to be trouble by itself.
    pub fn toggle_poison(&self, member: &Member, poison: Poison) {
        let poisonous = &mut self.state.lock().unwrap().poisonous;
        if poisonous.remove(member).is_none() {
            poisonous.insert(member.clone(), poison);
        }
    }

    /// Somebody changes a membership behind our back; says whether that changed anything.
    pub fn meddle(&self, member: &Member, present: bool) -> bool {
        let mut state = self.state.lock().unwrap();
        state.came_late.remove(member);
        state.haunted.remove(member);
        if present {
            if state.truth.contains_key(member) {
                return false;
            }
            state.set(member, Some(Owner::Foreign));
            if !state.granted.contains(member) {
                state.before_us.insert(member.clone());
            }
            true
        } else {
            state.set(member, None).is_some()
        }
    }

    pub fn truth(&self, member: &Member) -> Option<Owner> {
        self.state.lock().unwrap().truth.get(member).copied()
    }

    /// What an old order made of a membership, and when, if nothing changed it since.
    pub fn came_late(&self, member: &Member) -> Option<(Wanted, Timestamp)> {
        self.state.lock().unwrap().came_late.get(member).copied()
    }

    /// When a grant came that was sent long before, if nothing changed it since.
    pub fn haunted(&self, member: &Member) -> Option<Timestamp> {
        self.state.lock().unwrap().haunted.get(member).copied()
    }

    /// Whether something untrue was said of a membership since the target was last asked.
    pub fn lied_about(&self, member: &Member) -> bool {
        let state = self.state.lock().unwrap();
        state.lied.contains(member) || state.misread.contains(member)
    }

    /// Whether an old replica said something of a membership that was not so any more.
    pub fn misread(&self, member: &Member) -> bool {
        self.state.lock().unwrap().misread.contains(member)
    }

    /// Whose holders were listed since the last look, all of them; perhaps by an old replica.
    pub fn take_listed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.state.lock().unwrap().listed)
    }

    /// Whether somebody else had made the membership before our first call took effect.
    pub fn was_before_us(&self, member: &Member) -> bool {
        self.state.lock().unwrap().before_us.contains(member)
    }

    /// The calls since the last look.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    pub fn faults(&self) -> BTreeMap<String, u64> {
        self.state.lock().unwrap().faults.clone()
    }

    pub fn can_observe(&self) -> bool {
        self.can_observe
    }
}

impl State {
    fn count(&mut self, name: &str) {
        *self.faults.entry(name.to_owned()).or_default() += 1;
    }

    /// Makes something true; what was so before.
    fn set(&mut self, member: &Member, owner: Option<Owner>) -> Option<Owner> {
        let past = self.past.entry(member.clone()).or_default();
        past.push((self.now, owner.is_some()));
        match owner {
            Some(owner) => self.truth.insert(member.clone(), owner),
            None => self.truth.remove(member),
        }
    }

    /// When an old replica saw the target last, if it is one that answers.
    fn replica(&mut self) -> Option<Timestamp> {
        if !self.hits(self.rates.stale) {
            return None;
        }
        let behind = [30, 150, 900, 7_200][self.dice.below(4)];
        self.now.checked_sub(SignedDuration::from_secs(behind)).ok()
    }

    fn was_there(&self, member: &Member, at: Timestamp) -> bool {
        let past = self.past.get(member).map_or(&[][..], Vec::as_slice);
        past.iter().rfind(|(since, _)| *since <= at).is_some_and(|(_, is_there)| *is_there)
    }

    fn hits(&mut self, rate: usize) -> bool {
        // No dice for faults that are off: a rate of 0 leaves the rest of the history alone.
        rate != 0 && self.dice.in_thousand(rate)
    }

    fn apply(&mut self, member: &Member, wanted: Wanted) -> Done {
        if wanted == Wanted::Granted {
            self.granted.insert(member.clone());
        }
        self.forget_accepted(member);
        self.came_late.remove(member);
        self.haunted.remove(member);
        let changed = match wanted {
            Wanted::Granted => self.set(member, Some(Owner::Ours)).is_none(),
            Wanted::Revoked => self.set(member, None).is_some(),
        };
        if changed { Done::Applied } else { Done::AlreadyInState }
    }

    /// A newer order for a membership takes the place of one that is not worked off yet.
    fn forget_accepted(&mut self, member: &Member) {
        self.accepted.retain(|one| one.member != *member);
    }

    fn ensure(&mut self, member: &Member, wanted: Wanted) -> Result<Done, Fault> {
        let rates = self.rates;
        // Where the clock stepped back since the claim, a call still ends when its own time is over.
        let deadline = self.deadline.min(self.now.checked_add(LONGEST_CALL).unwrap());
        let verb = if wanted == Wanted::Granted { "grant" } else { "revoke" };
        let fault = |class, code: &str| Err(Fault::new(class, code, format!("it said {code}")));
        if self.outage {
            self.count(&format!("outage {verb}"));
            return fault(Class::Target, "dns");
        }
        if self.refusing.contains(&member.1) || self.hits(rates.permanent) {
            self.count(&format!("permanent {verb}"));
            return fault(Class::Permanent, "http-403");
        }
        if self.poisonous.get(member) == Some(&Poison::Fails) {
            self.count(&format!("failing {verb}"));
            return fault(Class::Transient, "http-500");
        }
        if self.hits(rates.target) {
            self.count(&format!("target {verb}"));
            return fault(Class::Target, "http-401");
        }
        if self.hits(rates.throttled) {
            self.count(&format!("throttled {verb}"));
            let wait = [None, Some(1), Some(120)][self.dice.below(3)].map(Duration::from_secs);
            return Err(Fault::new(Class::Throttled, "http-429", "slow down").after(wait));
        }
        if self.hits(rates.transient) {
            self.count(&format!("transient {verb}"));
            return fault(Class::Transient, "http-503");
        }
        if self.hits(rates.transient_applied) {
            self.count(&format!("transient after effect {verb}"));
            self.apply(member, wanted);
            return fault(Class::Transient, "http-500");
        }
        if self.hits(rates.timeout_before) {
            self.count(&format!("timeout before effect {verb}"));
            return fault(Class::Unknown, "timeout");
        }
        if self.hits(rates.timeout_after) {
            self.count(&format!("timeout after effect {verb}"));
            self.apply(member, wanted);
            return fault(Class::Unknown, "reset");
        }
        if self.hits(rates.late) {
            self.count(&format!("late {verb}"));
            let last = deadline.checked_add(WORKED_ON).unwrap().as_millisecond();
            let span = usize::try_from(last - self.now.as_millisecond()).unwrap_or(1).max(1);
            // Half of them as late as can be.
            let wait = if self.dice.in_thousand(500) { span } else { 1 + self.dice.below(span) };
            let at = self.now.as_millisecond() + i64::try_from(wait).unwrap();
            let at = Timestamp::from_millisecond(at).unwrap();
            self.late.push(Late { at, member: member.clone(), wanted });
            return fault(Class::Unknown, "timeout");
        }
        if wanted == Wanted::Granted && self.hits(rates.ghost) {
            self.count("ghost grant");
            let over = deadline.checked_add(WORKED_ON).unwrap().as_millisecond();
            let span = usize::try_from(GHOST.as_millis()).unwrap();
            let at = over + i64::try_from(self.dice.below(span)).unwrap();
            let at = Timestamp::from_millisecond(at).unwrap();
            self.ghosts.push(Late { at, member: member.clone(), wanted });
            return fault(Class::Unknown, "timeout");
        }
        if self.hits(rates.accepted) {
            self.count(&format!("accepted {verb}"));
            self.forget_accepted(member);
            let span = usize::try_from(WORKED_OFF.as_millis()).unwrap();
            let at = self.now.as_millisecond() + i64::try_from(1 + self.dice.below(span)).unwrap();
            let at = Timestamp::from_millisecond(at).unwrap();
            self.accepted.push(Late { at, member: member.clone(), wanted });
            return Ok(Done::Pending(Accepted::Target { at_most: PROMISED }));
        }
        if self.can_observe && self.hits(rates.stubborn) {
            self.count(&format!("accepted for good {verb}"));
            let span = usize::try_from(PROMISED.as_millis()).unwrap();
            let at = self.now.as_millisecond() + i64::try_from(1 + self.dice.below(span)).unwrap();
            let at = Timestamp::from_millisecond(at).unwrap();
            self.stubborn.push(Late { at, member: member.clone(), wanted });
            return Ok(Done::Pending(Accepted::Target { at_most: PROMISED }));
        }
        if self.hits(rates.never) {
            self.count(&format!("accepted and never done {verb}"));
            self.forget_accepted(member);
            return Ok(Done::Pending(Accepted::Target { at_most: PROMISED }));
        }
        if self.hits(rates.lie) {
            self.count(&format!("lie {verb}"));
            self.lied.insert(member.clone());
            return Ok(Done::Applied);
        }
        self.lied.remove(member);
        self.misread.remove(member);
        Ok(self.apply(member, wanted))
    }

    fn observe(&mut self, member: &Member) -> Result<Presence, Fault> {
        let rates = self.rates;
        let fault = |class, code: &str| Err(Fault::new(class, code, format!("it said {code}")));
        if self.outage {
            self.count("outage observe");
            return fault(Class::Target, "dns");
        }
        if self.hits(rates.permanent / 4) {
            self.count("permanent observe");
            return fault(Class::Permanent, "http-403");
        }
        if self.hits(rates.target / 2) {
            self.count("target observe");
            return fault(Class::Target, "http-401");
        }
        if self.hits(rates.transient / 2) {
            self.count("transient observe");
            return fault(Class::Transient, "http-503");
        }
        if self.hits(rates.timeout_before / 2) {
            self.count("timeout observe");
            return fault(Class::Unknown, "timeout");
        }
        let present = self.truth.contains_key(member);
        if let Some(at) = self.replica() {
            self.count("stale observe");
            let then = self.was_there(member, at);
            if then != present {
                self.count(if then { "stale presence" } else { "stale absence" });
                self.misread.insert(member.clone());
                return Ok(if then { Presence::Present } else { Presence::Absent });
            }
        }
        // A part of the group was read: who is not in it may be in the rest.
        if self.hits(rates.partial) && !(present && self.dice.below(2) == 0) {
            self.count("partial observe");
            return fault(Class::Transient, "partial-answer");
        }
        self.lied.remove(member);
        self.misread.remove(member);
        Ok(if present { Presence::Present } else { Presence::Absent })
    }
}

#[async_trait]
impl Connector for Sim {
    fn batch_size(&self) -> usize {
        self.batch
    }

    fn can_observe(&self) -> bool {
        self.can_observe
    }

    async fn check(&self) -> Result<Health, Fault> {
        if self.state.lock().unwrap().outage {
            return Err(Fault::new(Class::Target, "unreachable", "nobody answers"));
        }
        Ok(Health { summary: "simulated".to_owned(), took: Duration::ZERO })
    }

    async fn discover(
        &self,
        _search: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        Ok(Vec::new())
    }

    async fn find(&self, _origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        Ok(None)
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        let mut answers = Vec::with_capacity(batch.len());
        for item in batch {
            let member = (item.person.subject, item.role.resource.clone());
            {
                let mut state = self.state.lock().unwrap();
                if state.poisonous.get(&member) == Some(&Poison::Breaks) {
                    state.count(&format!("break-down {:?}", item.wanted).to_lowercase());
                    drop(state);
                    // Without the message of a panic, which would only be in the way.
                    std::panic::resume_unwind(Box::new("it broke down"));
                }
                let answer = state.ensure(&member, item.wanted);
                let name = item.person.display_name.clone();
                state.calls.push(format!("{:?} {name} {} {answer:?}", item.wanted, member.1));
                answers.push(answer);
            }
            // Here the caller may go away.
            tokio::task::yield_now().await;
        }
        answers
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        let mut answers = Vec::with_capacity(batch.len());
        for (person, role) in batch {
            let member = (person.subject, role.resource.clone());
            {
                let mut state = self.state.lock().unwrap();
                let rates = state.rates;
                if state.hits(rates.short) {
                    // The reading ends early: of the others nothing is said.
                    state.count("short observe");
                    return answers;
                }
                let answer = state.observe(&member);
                let name = person.display_name.clone();
                state.calls.push(format!("observe {name} {} {answer:?}", member.1));
                answers.push(answer);
            }
            tokio::task::yield_now().await;
        }
        answers
    }

    fn can_list_holders(&self) -> bool {
        self.can_observe
    }

    async fn holders(&self, role: &Role, known: &[Person]) -> Result<Holders, Fault> {
        let mut state = self.state.lock().unwrap();
        if state.outage {
            return Err(Fault::new(Class::Target, "dns", "it said dns"));
        }
        let rates = state.rates;
        if state.hits(rates.partial) {
            state.count("partial list");
            return Err(Fault::new(Class::Transient, "partial-answer", "it may lack somebody"));
        }
        let replica = state.replica();
        let mut members: Vec<Member> = match replica {
            None => state.truth.keys().cloned().collect(),
            Some(at) => {
                let all = state.past.keys();
                all.filter(|member| state.was_there(member, at)).cloned().collect()
            }
        };
        members.retain(|(_, resource)| *resource == role.resource);
        if replica.is_some() {
            state.count("stale list");
        }
        state.listed.insert(role.resource.clone());
        let list = members.iter().map(|(subject, _)| Holder {
            id: subject.to_string(),
            name: None,
            subject: known.iter().map(|person| person.subject).find(|one| one == subject),
            marks: vec![subject.to_string()],
        });
        Ok(Holders { list: list.collect(), calls: 1 })
    }

    fn marks(&self, person: &Person) -> Vec<String> {
        vec![person.subject.to_string()]
    }
}
