//! What must be so after every step, whatever happened (the invariants of the design's delivery
//! part: I1–I10, and those of approvals, separation and reads that can be seen here).
//!
//! The oracle remembers what it saw: leases, unknown outcomes, acknowledgements, first completions. It
//! never asks the rules under test what is right.

mod deliveries;
mod guarded;
mod requests;

use accede_app::worker::Claimed;
use accede_domain::delivery::{Action, Answer, Phase};
use accede_domain::fault::Class;
use accede_domain::id::{AssignmentId, DeliveryId, PackageId, RequestId, SubjectId, TargetId};
use accede_domain::pending::Accepted;
use accede_domain::{SignedDuration, Timestamp};
use accede_store::deliveries::DeliveryRow;
use std::collections::{BTreeMap, BTreeSet};

pub use guarded::Guarded;

use crate::snapshot::{Assignment, Delivery, Snapshot};
use crate::target::{Owner, Sim, WORKED_ON};

/// How long a claim holds; said here again, not taken from the rules.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

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
    /// A late answer came in: what it did is looked at once, whatever broke down before.
    late: BTreeSet<DeliveryId>,
    last: Snapshot,
    /// Until when what a target accepted may be done, as its answers said.
    promised: BTreeMap<DeliveryId, Timestamp>,
    /// Whether the clock stepped, so that what has not begun or is over by it may go on all the same.
    pub is_lenient: bool,
    /// Whether it is to be looked for what a clock that ran ahead left behind.
    pub is_owed: bool,
    /// The latest instant that the clock showed: what has begun by then has begun.
    latest: Timestamp,
    /// When it was last looked for: what happened later than that may have happened earlier.
    pub moved_back: Option<Timestamp>,
    /// I16: how many derived changes may go out within an hour, and those that did.
    pub guard: Guarded,
    /// Access that nothing gave when we began to take it away.
    extra: BTreeSet<DeliveryId>,
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
            late: BTreeSet::new(),
            last: Snapshot::default(),
            promised: BTreeMap::new(),
            is_lenient: false,
            is_owed: false,
            latest: Timestamp::MIN,
            moved_back: None,
            guard: Guarded::default(),
            extra: BTreeSet::new(),
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
                !self.is_behind(assignment) || snapshot.is_held(assignment.package),
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
                    && (self.is_lenient
                        || (assignment.start <= now.max(self.latest)
                            && assignment.end.is_none_or(|end| now < end)))
                    && self.roles[&assignment.package][assignment.roles]
                        .contains(&(target, resource.to_owned()))
            })
    }

    /// I3, I7, I9: a claim is alone, knows the present wish, and looks before it leaps.
    pub fn claimed(&mut self, claims: &[&Claimed], snapshot: &Snapshot, now: Timestamp) -> Verdict {
        for claimed in claims {
            let id = claimed.row.id;
            match claimed.row.delivery.phase {
                Phase::InFlight { action, .. } => {
                    must!(action == claimed.action, "the claim of {id} says {:?}", claimed.action);
                }
                _ => return Err(format!("I7: {id} was claimed but is not in flight")),
            }
        }
        let rows: Vec<&DeliveryRow> = claims.iter().map(|claimed| &claimed.row).collect();
        self.in_flight(&rows, snapshot, now)
    }

    /// The same for rows that were claimed, whether or not whoever claimed them was told.
    pub fn in_flight(
        &mut self,
        rows: &[&DeliveryRow],
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Verdict {
        for row in rows {
            let id = row.id;
            let key = &row.key;
            let epoch = row.delivery.epoch;
            let sees = self.sims[&key.target].can_observe();
            let Phase::InFlight { action, deadline, lease_until, .. } = row.delivery.phase else {
                return Err(format!("I7: {id} was claimed but is not in flight"));
            };
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
                self.crash(id, &row.delivery);
                if lease.mutates {
                    self.doubtful.insert(id, lease.deadline.checked_add(WORKED_ON).unwrap());
                }
            }
            let broken = self.crashed(id, &row.delivery);
            must!(
                broken < 5
                    || !row.delivery.wanted
                    || (action == Action::Observe && self.late.remove(&id)),
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

    /// The clock is about to step: what is over by it is over for good, and what is not lasts no longer
    /// because the clock goes back.
    pub fn clock_steps(&mut self, now: Timestamp, step: SignedDuration) {
        self.latest = self.latest.max(now);
        let leases = self.leases.values_mut().flat_map(|one| [&mut one.until, &mut one.deadline]);
        for until in leases.chain(self.doubtful.values_mut()) {
            if *until <= now {
                *until = Timestamp::MIN;
            } else if step.is_negative() {
                *until = until.checked_add(step).unwrap();
            }
        }
    }

    /// Whether something happened when a row says so; if it was moved back since, it is known so from
    /// here on.
    fn happened(
        moved_back: Option<Timestamp>,
        known: Option<&mut Timestamp>,
        said: Option<Timestamp>,
    ) -> bool {
        let (Some(known), Some(said)) = (known, said) else { return said.is_none() };
        let is_moved = moved_back.is_some_and(|at| at < *known && said <= at);
        if is_moved {
            *known = said;
        }
        *known == said
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
            self.late.insert(id);
            return Ok(());
        }
        let lease = self.leases.remove(&id);
        match answer {
            Answer::Fault(fault) if fault.code == "panic" => {
                self.crash(id, &claimed.row.delivery);
            }
            // It is as it is wanted: whatever broke down before, there is nothing more to be done.
            Answer::Present | Answer::Absent if after.is_so() => {
                self.crashes.remove(&id);
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
                // By a clock that stepped since it lies elsewhere than the claim says.
                let deadline = lease.map_or(now, |lease| lease.deadline);
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
                !settled
                    || truth == after.wanted
                    || before.phase == "settled"
                    || sim.misread(&after.member()),
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
