//! What must be so of requests, their approvals and their assignments after every step.

use std::collections::BTreeSet;

use crate::snapshot::{Part, Snapshot};

use super::{Oracle, Verdict, must};

impl Oracle {
    /// P9, and the states that derive from deliveries.
    pub(super) fn check_assignments(&self, snapshot: &Snapshot) -> Verdict {
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
                let waits = |when: &Snapshot| when.is_held(assignment.package);
                must!(
                    before.roles == assignment.roles || !waits(&self.last) || !waits(snapshot),
                    "I16: {id} follows a change that waits for a second person"
                );
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
    pub(super) fn check_requests(&self, snapshot: &Snapshot) -> Verdict {
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
    pub(super) fn check_approvals(&self, snapshot: &Snapshot) -> Verdict {
        for request in snapshot.requests.values() {
            let id = request.id;
            let stages: Vec<(&str, &str)> = snapshot
                .stages_of(id)
                .map(|(_, _, status, result)| (status.as_str(), result.as_str()))
                .collect();
            if self.last.requests.contains_key(&id) {
                let before = self.last.stages_of(id).count();
                must!(before == stages.len(), "I13: {id} had {before} stages and has {stages:?}");
            }
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
