//! What must be so after every step, whatever happened (the invariants of the design's delivery
//! part: I1–I10, and those of approvals, separation and reads that can be seen here).
//!
//! The oracle remembers what it saw: leases, unknown outcomes, acknowledgements, first completions. It
//! never asks the rules under test what is right.

use std::collections::{BTreeMap, BTreeSet};

use accede_app::worker::Claimed;
use accede_connectors::Wanted;
use accede_domain::delivery::{Action, Answer, Phase};
use accede_domain::fault::Class;
use accede_domain::id::{AssignmentId, DeliveryId, PackageId, RequestId, SubjectId, TargetId};
use accede_domain::pending::Accepted;
use accede_domain::{SignedDuration, Timestamp};

use crate::snapshot::{Assignment, Delivery, Part, Snapshot};
use crate::target::{Owner, Sim, WORKED_ON};

/// How long a claim holds; said here again, not taken from the rules.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// Within what time a look is made anew that failed, at most; said here again as well.
const LOOKS_AGAIN: SignedDuration = SignedDuration::from_mins(62);

/// Who holds a delivery, and until when.
#[derive(Debug, Clone, Copy)]
struct Lease {
    epoch: i64,
    until: Timestamp,
    deadline: Timestamp,
    mutates: bool,
}

/// What is known apart from the rows.
pub struct Oracle {
    /// What each package gives: at first, and after each change.
    pub roles: BTreeMap<PackageId, Vec<BTreeSet<(TargetId, String)>>>,
    pub inactive: BTreeSet<SubjectId>,
    pub incompatible: Vec<(PackageId, PackageId)>,
    pub sims: BTreeMap<TargetId, std::sync::Arc<Sim>>,
    leases: BTreeMap<DeliveryId, Lease>,
    epochs: BTreeMap<DeliveryId, i64>,
    /// Calls whose outcome is not known, and when they are over.
    doubtful: BTreeMap<DeliveryId, Timestamp>,
    acknowledged: BTreeMap<DeliveryId, Timestamp>,
    verified: BTreeMap<DeliveryId, Timestamp>,
    due_since: BTreeMap<DeliveryId, Timestamp>,
    /// What a target refused to say since it acknowledged it.
    unreadable: BTreeSet<DeliveryId>,
    /// How often in a row work on a delivery ended without a result, in the trial that began then.
    crashes: BTreeMap<DeliveryId, (i64, Timestamp, i64)>,
    last: Snapshot,
    /// Until when what a target accepted may be done, as its answers said.
    promised: BTreeMap<DeliveryId, Timestamp>,
    /// What was seen that a run must have seen.
    pub seen: BTreeMap<String, u64>,
}

pub type Verdict = Result<(), String>;

macro_rules! must {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(format!($($text)*));
        }
    };
}
pub(crate) use must;

impl Oracle {
    pub fn new(sims: BTreeMap<TargetId, std::sync::Arc<Sim>>) -> Oracle {
        Oracle {
            roles: BTreeMap::new(),
            inactive: BTreeSet::new(),
            incompatible: Vec::new(),
            sims,
            leases: BTreeMap::new(),
            epochs: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            verified: BTreeMap::new(),
            due_since: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            crashes: BTreeMap::new(),
            last: Snapshot::default(),
            promised: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// What a package gives now.
    pub fn present_roles(&self, package: PackageId) -> &BTreeSet<(TargetId, String)> {
        self.roles[&package].last().unwrap()
    }

    /// Whether some package gives a role at present.
    pub fn in_some_package(&self, target: TargetId, origin: &str) -> bool {
        let key = (target, origin.to_owned());
        self.roles.values().any(|versions| versions.last().is_some_and(|now| now.contains(&key)))
    }

    /// Whether a change of its package's roles has not reached an assignment.
    pub fn is_behind(&self, assignment: &Assignment) -> bool {
        assignment.is_live() && assignment.roles + 1 < self.roles[&assignment.package].len()
    }

    /// PKG-06: what a sweep leaves has every change of its package's roles.
    pub fn spread(&self, snapshot: &Snapshot) -> Verdict {
        for assignment in snapshot.assignments.values() {
            must!(
                !self.is_behind(assignment),
                "PKG-06: a sweep left {} at change {} of its package's roles",
                assignment.id,
                assignment.roles
            );
        }
        Ok(())
    }

    /// Whether some assignment that lives now gives this role; from the assignments alone, each with
    /// the changes of its package's roles that have reached it.
    pub fn wants(
        &self,
        snapshot: &Snapshot,
        subject: SubjectId,
        target: TargetId,
        resource: &str,
        now: Timestamp,
    ) -> bool {
        !self.inactive.contains(&subject)
            && snapshot.assignments.values().any(|assignment| {
                assignment.subject == subject
                    && assignment.is_live()
                    && assignment.start <= now
                    && assignment.end.is_none_or(|end| now < end)
                    && self.roles[&assignment.package][assignment.roles]
                        .contains(&(target, resource.to_owned()))
            })
    }

    /// I3, I7, I9: a claim is alone, knows the present wish, and looks before it leaps.
    pub fn claimed(&mut self, claims: &[&Claimed], snapshot: &Snapshot, now: Timestamp) -> Verdict {
        for claimed in claims {
            let id = claimed.row.id;
            let key = &claimed.row.key;
            let epoch = claimed.row.delivery.epoch;
            let sees = self.sims[&key.target].can_observe();
            let Phase::InFlight { action, deadline, lease_until, .. } = claimed.row.delivery.phase
            else {
                return Err(format!("I7: {id} was claimed but is not in flight"));
            };
            must!(action == claimed.action, "the claim of {id} says {:?}", claimed.action);
            let wanted = self.wants(snapshot, key.subject, key.target, &key.resource, now);
            match action {
                Action::Grant => must!(wanted, "I3: {id} is granted, but nobody wants it"),
                Action::Revoke => must!(!wanted, "I9: {id} is revoked, but somebody wants it"),
                Action::Observe => {}
            }
            if let Some(lease) = self.leases.remove(&id) {
                must!(
                    lease.until <= now,
                    "I7: {id} is claimed at epoch {epoch} while epoch {} holds it until {}",
                    lease.epoch,
                    lease.until
                );
                self.crash(id, &claimed.row.delivery);
                if lease.mutates {
                    self.doubtful.insert(id, lease.deadline.checked_add(WORKED_ON).unwrap());
                }
            }
            let broken = self.crashed(id, &claimed.row.delivery);
            must!(
                broken < 5 || !claimed.row.delivery.wanted,
                "poison: {id} is tried by itself after {broken} break-downs"
            );
            let last = self.epochs.insert(id, epoch).unwrap_or(0);
            must!(last < epoch, "I7: {id} is claimed at epoch {epoch} after {last}");
            if let Some(over) = self.doubtful.get(&id) {
                must!(
                    *over <= now,
                    "{id} is touched while an earlier call may still take effect until {over}"
                );
                must!(
                    action == Action::Observe || !sees,
                    "{id}: an unknown outcome is not observed before {action:?}"
                );
            }
            must!(
                lease_until.duration_since(now) == LEASE && deadline < lease_until,
                "I7: {id} is claimed without a lease"
            );
            let mutates = action != Action::Observe;
            self.leases.insert(id, Lease { epoch, until: lease_until, deadline, mutates });
        }
        Ok(())
    }

    /// Work on a delivery ended without a result once more.
    fn crash(&mut self, id: DeliveryId, row: &accede_domain::delivery::Delivery) {
        let before = self.crashed(id, row);
        self.crashes.insert(id, (row.generation, row.since, before + 1));
    }

    fn crashed(&self, id: DeliveryId, row: &accede_domain::delivery::Delivery) -> i64 {
        match self.crashes.get(&id) {
            Some((generation, since, times))
                if (*generation, *since) == (row.generation, row.since) =>
            {
                *times
            }
            _ => 0,
        }
    }

    /// Every worker of the only process died and its leases were taken over.
    pub fn recovered(&mut self) {
        for lease in self.leases.values_mut() {
            lease.until = lease.until.min(lease.deadline.checked_add(WORKED_ON).unwrap());
        }
    }

    /// I7: an answer counts under its own claim only, and only what was answered is recorded.
    pub fn settled(
        &mut self,
        claimed: &Claimed,
        answer: &Answer,
        before: &Delivery,
        after: &Delivery,
        discarded: bool,
        now: Timestamp,
    ) -> Verdict {
        let id = claimed.row.id;
        let epoch = claimed.row.delivery.epoch;
        if let Answer::Pending(Accepted::Target { at_most }) = answer {
            let until = now.checked_add(*at_most).unwrap();
            let known = self.promised.entry(id).or_insert(until);
            *known = (*known).max(until);
        }
        let stale = before.phase != "inFlight" || before.epoch != epoch;
        must!(stale == discarded, "I7: an answer of epoch {epoch} for {id} was not discarded");
        if stale {
            must!(
                after.observed == before.observed || after.observed == "unknown",
                "I7: the late answer {answer:?} changed what is observed of {id}"
            );
            must!(after.acknowledged == before.acknowledged, "I7: a late answer acknowledged {id}");
            return Ok(());
        }
        self.leases.remove(&id);
        match answer {
            Answer::Fault(fault) if fault.code == "panic" => {
                self.crash(id, &claimed.row.delivery);
            }
            _ if claimed.action == Action::Observe => {}
            _ => {
                self.crashes.remove(&id);
            }
        }
        match answer {
            Answer::Applied | Answer::AlreadyInState => {
                self.doubtful.remove(&id);
                self.unreadable.remove(&id);
                self.acknowledged.insert(id, now);
            }
            Answer::Present | Answer::Absent => {
                self.doubtful.remove(&id);
                self.verified.insert(id, now);
            }
            // The call is over; what it began is superseded by the next one.
            Answer::Pending(_) => {
                self.doubtful.remove(&id);
            }
            Answer::Fault(fault) => {
                let deadline = match claimed.row.delivery.phase {
                    Phase::InFlight { deadline, .. } => deadline,
                    _ => now,
                };
                if fault.class == Class::Permanent && claimed.action == Action::Observe {
                    self.unreadable.insert(id);
                }
                if fault.class == Class::Unknown && claimed.action != Action::Observe {
                    self.doubtful.insert(id, deadline.checked_add(WORKED_ON).unwrap());
                }
            }
        }
        Ok(())
    }

    /// Everything that must be so after a step.
    pub fn check(&mut self, snapshot: &Snapshot, now: Timestamp) -> Verdict {
        self.check_deliveries(snapshot, now)?;
        self.check_assignments(snapshot)?;
        self.check_requests(snapshot)?;
        self.check_approvals(snapshot)?;
        self.last = snapshot.clone();
        Ok(())
    }

    fn check_deliveries(&mut self, snapshot: &Snapshot, now: Timestamp) -> Verdict {
        let reasons: BTreeSet<DeliveryId> = snapshot
            .reasons
            .iter()
            .filter(|(.., live)| *live)
            .map(|(_, delivery, _)| *delivery)
            .collect();
        for delivery in snapshot.deliveries.values() {
            let id = delivery.id;
            let sim = &self.sims[&delivery.target];
            let wanted = reasons.contains(&id);
            must!(delivery.wanted == wanted, "{id} says wanted = {}", delivery.wanted);
            if let Some(before) = self.last.deliveries.get(&id) {
                must!(before.epoch <= delivery.epoch, "the epoch of {id} went back");
                must!(before.generation <= delivery.generation, "the generation went back");
            }
            let active = matches!(delivery.phase.as_str(), "due" | "inFlight" | "stuck");
            must!(!active || delivery.ready_at.is_some(), "I4: {id} will never be looked at");
            match delivery.phase.as_str() {
                "inFlight" if delivery.action.as_deref() != Some("observe") => must!(
                    delivery.observed == "unknown",
                    "{id} is in flight and says it is {}",
                    delivery.observed
                ),
                "settled" => must!(delivery.is_so(), "{id} is settled and not so"),
                "failed" => must!(delivery.wanted, "I4: a revocation of {id} was given up"),
                _ => {}
            }
            let evidence = delivery.acknowledged.is_some() || delivery.verified.is_some();
            must!(
                !matches!(delivery.observed.as_str(), "present" | "absent") || evidence,
                "I17: {id} is {} without evidence",
                delivery.observed
            );
            must!(
                delivery.acknowledged.is_none()
                    || delivery.acknowledged == self.acknowledged.get(&id).copied(),
                "I17: {id} was never acknowledged at {:?}",
                delivery.acknowledged
            );
            must!(
                delivery.verified.is_none() || delivery.verified == self.verified.get(&id).copied(),
                "I17: {id} was never read at {:?}",
                delivery.verified
            );
            let owed = delivery.phase == "settled"
                && delivery.acknowledged.is_some()
                && delivery.verified.is_none()
                && sim.can_observe()
                && delivery.crashes < 5;
            must!(
                !owed || delivery.ready_at.is_some() || self.unreadable.contains(&id),
                "I17: {id} was acknowledged and will never be read back"
            );
            must!(
                !delivery.pre_existing || sim.was_before_us(&delivery.member()),
                "{id} is said to have existed before us"
            );
            check_poison(delivery)?;
            self.check_revocation(delivery, sim.truth(&delivery.member()), now)?;
            self.check_late(delivery, now)?;
            self.check_haunted(delivery, now)?;
        }
        for target in self.sims.keys() {
            let alone = snapshot.deliveries.values().filter(|row| {
                row.target == *target
                    && row.is_alone
                    && row.phase == "inFlight"
                    && row.ready_at.is_some_and(|until| now < until)
            });
            must!(alone.count() <= 1, "the poison lane of {target} is more than one call wide");
        }
        Ok(())
    }

    /// What a target accepted for a wish that is over, and did after all, is found when the time that
    /// it had for it is over, or at the next look after one that failed: not a day later.
    fn check_late(&mut self, delivery: &Delivery, now: Timestamp) -> Verdict {
        let sim = &self.sims[&delivery.target];
        let (Some((made, at)), Some(promised)) =
            (sim.came_late(&delivery.member()), self.promised.get(&delivery.id))
        else {
            return Ok(());
        };
        let kept = delivery.pre_existing && delivery.keep;
        // Of an order whose answer was lost nobody knows until when it may be done. What is not believed
        // to be so has work waiting already.
        if *promised < at
            || (made == Wanted::Granted) == delivery.wanted
            || !delivery.is_so()
            || kept
        {
            return Ok(());
        }
        let what = match made {
            Wanted::Granted => "accepted, unwanted by now and done late",
            Wanted::Revoked => "accepted removal done late though wanted again",
        };
        let promised = *promised;
        self.check_looked_at(delivery, what, promised, now)
    }

    /// An old grant that came after its removal is found by the second look, or by the next one after
    /// one that failed: not a day later.
    fn check_haunted(&mut self, delivery: &Delivery, now: Timestamp) -> Verdict {
        let Some(at) = self.sims[&delivery.target].haunted(&delivery.member()) else {
            return Ok(());
        };
        let kept = delivery.pre_existing && delivery.keep;
        if delivery.wanted || !delivery.is_so() || kept {
            return Ok(());
        }
        self.check_looked_at(delivery, "a ghost came after the removal", at, now)
    }

    /// Of what is believed to be so and is not since `at`, nobody knows it; but a look is due soon.
    fn check_looked_at(
        &mut self,
        delivery: &Delivery,
        what: &str,
        at: Timestamp,
        now: Timestamp,
    ) -> Verdict {
        *self.seen.entry(what.to_owned()).or_default() += 1;
        let resting = 5 <= delivery.crashes || self.unreadable.contains(&delivery.id);
        let latest = at.max(now).checked_add(LOOKS_AGAIN).unwrap();
        must!(
            resting || delivery.ready_at.is_some_and(|ready| ready <= latest),
            "{what}: {} is looked at {:?} only ({delivery:?})",
            delivery.id,
            delivery.ready_at
        );
        Ok(())
    }

    /// I17: what a person settled is so: by what was read where the target can be read, and by their
    /// word where it cannot.
    pub fn settled_by_hand(
        &mut self,
        before: &Delivery,
        after: &Delivery,
        now: Timestamp,
    ) -> Verdict {
        let sim = &self.sims[&after.target];
        let truth = sim.truth(&after.member()).is_some();
        let settled = after.phase == "settled";
        if sim.can_observe() {
            must!(
                !settled || truth == after.wanted || before.phase == "settled",
                "I17: {} was settled by hand and is not so in the target",
                after.id
            );
            must!(after.acknowledged == before.acknowledged, "a word counted for {}", after.id);
        }
        if after.verified != before.verified {
            must!(after.verified.is_none_or(|at| at == now), "{} was read by nobody", after.id);
            self.verified.insert(after.id, now);
            self.doubtful.remove(&after.id);
        }
        if after.acknowledged != before.acknowledged {
            self.acknowledged.insert(after.id, now);
            self.doubtful.remove(&after.id);
        }
        if settled {
            self.crashes.remove(&after.id);
            self.unreadable.remove(&after.id);
        }
        Ok(())
    }

    /// I4, I5: what is ours and not wanted has work waiting for it, for as long as it takes.
    fn check_revocation(
        &mut self,
        delivery: &Delivery,
        truth: Option<Owner>,
        now: Timestamp,
    ) -> Verdict {
        let id = delivery.id;
        let kept = delivery.pre_existing && delivery.keep;
        let lied = self.sims[&delivery.target].lied_about(&delivery.member());
        let due = !delivery.wanted && truth == Some(Owner::Ours) && !kept && !lied;
        must!(
            !due || delivery.ready_at.is_some(),
            "I4: {id} is still in the target, nobody wants it, and nothing will be done"
        );
        if due && !delivery.is_so() {
            self.due_since.entry(id).or_insert(now);
        } else {
            self.due_since.remove(&id);
        }
        Ok(())
    }

    /// P9, and the states that derive from deliveries.
    fn check_assignments(&self, snapshot: &Snapshot) -> Verdict {
        for assignment in snapshot.assignments.values() {
            let id = assignment.id;
            let state = assignment.state.as_str();
            if assignment.is_live() {
                let mut roles = BTreeSet::new();
                let (mut open, mut done, mut failed) = (0, 0, 0);
                for (delivery, live) in snapshot.edges(id) {
                    if !live {
                        continue;
                    }
                    roles.insert((delivery.target, delivery.resource.clone()));
                    match delivery.part() {
                        Part::Open => open += 1,
                        Part::Done => done += 1,
                        Part::Failed => failed += 1,
                    }
                }
                must!(
                    roles == self.roles[&assignment.package][assignment.roles],
                    "P9: assignment {id} is a reason for other roles than its package gave it"
                );
                let expected = match (open, done, failed) {
                    (0, _, 0) => "delivered",
                    (0, 0, _) => "deliveryFailed",
                    (0, _, _) => "partiallyDelivered",
                    _ => "delivering",
                };
                must!(state == expected, "assignment {id} is {state}, not {expected}");
                must!(
                    !self.inactive.contains(&assignment.subject),
                    "assignment {id} lives although its person is disabled"
                );
            } else {
                let mut edges = snapshot.edges(id);
                must!(edges.all(|(_, live)| !live), "{id} is over and still a reason");
                let left = snapshot
                    .edges(id)
                    .any(|(delivery, _)| !delivery.wanted && delivery.part() != Part::Done);
                must!(state == "expired" || left, "assignment {id} is {state} with nothing left");
            }
            if let Some(before) = self.last.assignments.get(&id) {
                must!(before.end == assignment.end, "I22: the end of {id} moved");
                must!(before.roles <= assignment.roles, "{id} lost a change of its roles");
                must!(
                    before.state != "expired" || state == "expired",
                    "assignment {id} came back from its end"
                );
                must!(before.is_live() || !assignment.is_live(), "assignment {id} lives again");
            }
        }
        for (a, b) in &self.incompatible {
            for one in snapshot.assignments.values().filter(|one| one.package == *a) {
                let other = snapshot.assignments.values().find(|other| {
                    other.package == *b
                        && other.subject == one.subject
                        && other.is_live()
                        && one.is_live()
                });
                must!(other.is_none(), "I14: {} holds incompatible packages", one.subject);
            }
        }
        Ok(())
    }

    /// I1, I2 and what a request says of its assignment.
    fn check_requests(&self, snapshot: &Snapshot) -> Verdict {
        for request in snapshot.requests.values() {
            let id = request.id;
            let state = request.state.as_str();
            let assignment = request
                .assignment
                .map(|assignment| snapshot.assignments[&assignment].state.clone());
            let assignment = assignment.as_deref();
            match (state, request.adds()) {
                ("delivering", true) => must!(
                    assignment == Some("delivering"),
                    "request {id} is delivering and its assignment {assignment:?}"
                ),
                ("delivering", false) | ("canceling", _) => must!(
                    assignment == Some("ending"),
                    "request {id} is {state} and its assignment {assignment:?}"
                ),
                ("delivered", false) => must!(
                    assignment == Some("expired"),
                    "removal {id} is delivered and its assignment {assignment:?}"
                ),
                ("submitted", _) => return Err(format!("request {id} was left as submitted")),
                ("pendingApproval" | "scheduled", _) => {
                    must!(assignment.is_none(), "request {id} is {state} and has an assignment");
                }
                _ => {}
            }
            let Some(before) = self.last.requests.get(&id) else { continue };
            must!(
                before.state == request.state || reachable(&before.state, state),
                "I1: request {id} went from {} to {state}",
                before.state
            );
            must!(
                before.first_completed.is_none()
                    || state == "canceled"
                    || before.first_completed == request.first_completed,
                "request {id} was first completed at {:?} and now at {:?}",
                before.first_completed,
                request.first_completed
            );
            must!(
                before.assignment.is_none() || before.assignment == request.assignment,
                "request {id} got another assignment"
            );
            // The period counts from the acceptance and is fixed by it.
            must!(
                before.end == request.end || before.state == "pendingApproval",
                "I22: the end of request {id} moved"
            );
            must!(
                state != "pendingApproval" || request.end.is_none(),
                "request {id} has an end before it was approved"
            );
        }
        Ok(())
    }

    /// I12: stages one after another, each decided once, none skipped.
    fn check_approvals(&self, snapshot: &Snapshot) -> Verdict {
        for request in snapshot.requests.values() {
            let id = request.id;
            let stages: Vec<(&str, &str)> = snapshot
                .stages_of(id)
                .map(|(_, _, status, result)| (status.as_str(), result.as_str()))
                .collect();
            if stages.is_empty() {
                continue;
            }
            let passed = stages.iter().take_while(|stage| **stage == ("Completed", "Approved"));
            let passed = passed.count();
            match request.state.as_str() {
                "pendingApproval" => {
                    let open = stages.iter().filter(|(status, _)| *status == "InProgress").count();
                    must!(open == 1, "I12: {open} stages of {id} are open: {stages:?}");
                    must!(
                        stages[passed].0 == "InProgress"
                            && stages[passed + 1..]
                                .iter()
                                .all(|stage| *stage == ("Initializing", "NotReviewed")),
                        "I12: the stages of {id} are {stages:?}"
                    );
                }
                "denied" | "canceled" => must!(
                    stages.iter().all(|(status, _)| *status != "InProgress"),
                    "I12: a stage of {id} is open: {stages:?}"
                ),
                state => must!(
                    passed == stages.len(),
                    "I12: request {id} is {state} with stages {stages:?}"
                ),
            }
        }
        Ok(())
    }

    /// Deliveries that must be on the list of stuck revocations: by the truth in the target, and
    /// by the rows.
    pub fn stuck(
        &self,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> (BTreeSet<DeliveryId>, BTreeSet<DeliveryId>) {
        let hour = SignedDuration::from_mins(60);
        let by_truth = self
            .due_since
            .iter()
            .filter(|(_, since)| hour < now.duration_since(**since))
            .map(|(id, _)| *id)
            .collect();
        let by_rows = snapshot
            .deliveries
            .values()
            .filter(|row| !row.wanted && row.phase != "settled" && !row.is_so())
            .filter(|row| row.phase == "stuck" || hour < now.duration_since(row.since))
            .map(|row| row.id)
            .collect();
        (by_truth, by_rows)
    }

    /// I8, at rest: the targets are as the assignments want them.
    pub fn converged(
        &self,
        snapshot: &Snapshot,
        drifted: &BTreeSet<(TargetId, SubjectId, String)>,
        excused: &BTreeSet<AssignmentId>,
        now: Timestamp,
    ) -> Verdict {
        for row in snapshot.deliveries.values() {
            let id = row.id;
            let truth = self.sims[&row.target].truth(&row.member());
            let wanted = self.wants(snapshot, row.subject, row.target, &row.resource, now);
            let kept = row.pre_existing && row.keep;
            let foreign = truth == Some(Owner::Foreign);
            let given_up = row.phase == "failed"
                && snapshot
                    .reasons
                    .iter()
                    .filter(|(_, delivery, live)| *live && *delivery == id)
                    .all(|(assignment, ..)| excused.contains(assignment));
            let drift = drifted.contains(&(row.target, row.subject, row.resource.clone()));
            must!(
                matches!(row.phase.as_str(), "settled") || given_up,
                "I8: at rest, delivery {id} is {} (wanted: {wanted}) for {:?}, {row:?}",
                row.phase,
                snapshot
                    .reasons
                    .iter()
                    .filter(|(_, delivery, live)| *live && *delivery == id)
                    .map(|(assignment, ..)| &snapshot.assignments[assignment])
                    .collect::<Vec<_>>()
            );
            if wanted {
                must!(
                    truth.is_some() || given_up || drift,
                    "I8: {} should have {} and has not ({row:?})",
                    row.subject,
                    row.resource
                );
            } else {
                must!(
                    truth.is_none() || foreign || kept,
                    "I8: {} should not have {} and has ({row:?})",
                    row.subject,
                    row.resource
                );
            }
        }
        Ok(())
    }

    /// Requests whose state is still on its way.
    pub fn open_requests(snapshot: &Snapshot) -> Vec<RequestId> {
        snapshot
            .requests
            .values()
            .filter(|request| {
                matches!(request.state.as_str(), "submitted" | "delivering" | "canceling")
            })
            .map(|request| request.id)
            .collect()
    }
}

/// What breaks workers down is set apart, and then not tried by itself as others are.
fn check_poison(delivery: &Delivery) -> Verdict {
    let id = delivery.id;
    let alone = 3 <= delivery.crashes || 5 <= delivery.strikes;
    must!(delivery.is_alone == alone, "{id} is in the wrong lane: {delivery:?}");
    let phase = delivery.phase.as_str();
    let rests = match delivery.wanted {
        true => matches!(phase, "failed" | "settled"),
        // A probe may look first.
        false => matches!(phase, "stuck" | "settled" | "inFlight" | "due"),
    };
    must!(
        delivery.crashes < 5 || rests,
        "{id} broke workers down {} times and is {phase}",
        delivery.crashes
    );
    Ok(())
}

/// The published graph of request states.
const GRAPH: &[(&str, &[&str])] = &[
    ("submitted", &["pendingApproval", "scheduled", "delivering", "canceled"]),
    ("pendingApproval", &["scheduled", "delivering", "denied", "canceled"]),
    ("scheduled", &["delivering", "canceled"]),
    ("delivering", &["delivered", "partiallyDelivered", "deliveryFailed", "canceling"]),
    ("partiallyDelivered", &["delivering", "canceling"]),
    ("deliveryFailed", &["delivering", "canceling"]),
    ("canceling", &["canceled"]),
];

/// Whether one step, which may take several edges, can lead from one state to another.
fn reachable(from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut left = vec![from];
    while let Some(state) = left.pop() {
        let next = GRAPH.iter().find(|(name, _)| *name == state).map_or(&[][..], |(_, next)| next);
        for state in next {
            if *state == to {
                return true;
            }
            if seen.insert(state) {
                left.push(state);
            }
        }
    }
    false
}
