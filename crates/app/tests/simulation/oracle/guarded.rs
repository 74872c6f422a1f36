//! I16: what follows from a change of a package's roles is counted whole, before any of it goes out,
//! together with what went out within an hour; too much waits for a second person.

use std::collections::{BTreeMap, BTreeSet};

use accede_domain::id::{DeliveryId, PackageId, TargetId};
use accede_domain::{SignedDuration, Timestamp};

use super::{Oracle, Verdict, must};
use crate::snapshot::Snapshot;

/// Within what time changes count together; said here again, not taken from the settings.
const TOGETHER: SignedDuration = SignedDuration::from_hours(1);

/// What may go out, what did, and what waits.
#[derive(Debug, Default)]
pub struct Guarded {
    /// Most roles that are given, and taken, at one target without a second person; `None`: more than
    /// a history has people.
    pub most: Option<(usize, usize)>,
    /// What went out: when, where, how many roles were given and how many were taken.
    went_out: Vec<(Timestamp, TargetId, usize, usize)>,
    /// What packages gave before the change that waits.
    former: BTreeMap<PackageId, BTreeSet<(TargetId, String)>>,
}

impl Guarded {
    /// What went out later than now, by a clock that ran ahead, counts as having gone out now.
    pub fn moved_back(&mut self, now: Timestamp) {
        let differ = SignedDuration::from_mins(10);
        for (at, ..) in &mut self.went_out {
            if differ < at.duration_since(now) {
                *at = now;
            }
        }
    }
}

impl Oracle {
    /// The roles of a package changed: it waits if it is too much, and only then.
    pub fn roles_changed(
        &mut self,
        package: PackageId,
        roles: BTreeSet<(TargetId, String)>,
        after: &Snapshot,
        now: Timestamp,
    ) -> Verdict {
        let before = self.present_roles(package).clone();
        self.roles.get_mut(&package).unwrap().push(roles);
        let plan = self.plan(package, after);
        let since = now.checked_sub(TOGETHER).unwrap();
        let (grants, revocations) = self.guard.most.unwrap_or((usize::MAX, usize::MAX));
        let is_over = plan.iter().any(|(target, (given, taken))| {
            let lately = self.guard.went_out.iter();
            let lately = lately.filter(|(at, place, ..)| since < *at && place == target);
            let (mut much_given, mut much_taken) = (*given, *taken);
            for (.., given, taken) in lately {
                much_given += given;
                much_taken += taken;
            }
            (0 < *given && grants < much_given) || (0 < *taken && revocations < much_taken)
        });
        must!(
            after.is_held(package) == is_over,
            "I16: a change of {plan:?} after {:?} is held: {}",
            self.guard.went_out,
            after.is_held(package)
        );
        if is_over {
            self.guard.former.entry(package).or_insert(before);
        } else {
            self.guard.former.remove(&package);
            let out = plan.into_iter().map(|(target, (given, taken))| (now, target, given, taken));
            self.guard.went_out.extend(out);
        }
        Ok(())
    }

    /// What a change that waits added to a package or took from it.
    pub fn waiting(&self, package: PackageId) -> BTreeSet<(TargetId, String)> {
        let former = self.guard.former.get(&package);
        let present = self.present_roles(package);
        former
            .map(|former| former.symmetric_difference(present).cloned().collect())
            .unwrap_or_default()
    }

    /// A second person decided about a change of a package's roles.
    pub fn ruled(&mut self, package: PackageId, released: bool) {
        if let Some(former) = self.guard.former.remove(&package)
            && !released
        {
            self.roles.get_mut(&package).unwrap().push(former);
        }
    }

    /// What bringing everybody up to a package's present roles gives and takes at each target.
    fn plan(&self, package: PackageId, snapshot: &Snapshot) -> BTreeMap<TargetId, (usize, usize)> {
        let present = self.present_roles(package);
        let mut plan: BTreeMap<TargetId, (usize, usize)> = BTreeMap::new();
        for holder in snapshot.assignments.values() {
            if holder.package != package || !self.is_behind(holder) {
                continue;
            }
            let given = present.iter().filter(|(target, resource)| {
                !snapshot.deliveries.values().any(|row| {
                    row.wanted
                        && (row.subject, row.target) == (holder.subject, *target)
                        && row.resource == *resource
                })
            });
            for (target, _) in given {
                plan.entry(*target).or_default().0 += 1;
            }
            let shared = |id: DeliveryId| {
                let mut live = snapshot.reasons.iter().filter(|(.., live)| *live);
                live.any(|(other, delivery, _)| *delivery == id && *other != holder.id)
            };
            for (row, _) in snapshot.edges(holder.id).filter(|(_, live)| *live) {
                if !present.contains(&(row.target, row.resource.clone())) && !shared(row.id) {
                    plan.entry(row.target).or_default().1 += 1;
                }
            }
        }
        plan
    }

    /// Targets were compared: what is taken away of what nothing gave was there when it was last seen, and
    /// what was given up and is there by now was read there.
    pub fn compared(&mut self, before: &Snapshot, after: &Snapshot, now: Timestamp) -> Verdict {
        for (id, row) in &after.deliveries {
            let was = before.deliveries.get(id);
            let is_read = was.is_some_and(|was| was.verified != row.verified && was.wanted);
            if is_read && row.phase == "settled" {
                let sim = &self.sims[&row.target];
                must!(
                    row.verified == Some(now)
                        && (sim.truth(&row.member()).is_some() || sim.misread(&row.member())),
                    "{id} was given up, and is settled without having been read"
                );
                self.verified.insert(*id, now);
                self.doubtful.remove(id);
                *self.seen.entry("given back outside".to_owned()).or_default() += 1;
            }
        }
        for (id, row) in &after.deliveries {
            let was = before.deliveries.get(id);
            let begins = was.is_none_or(|was| was.generation < row.generation);
            if row.wanted || !begins || row.observed != "present" {
                continue;
            }
            must!(
                was.is_none_or(|was| !was.wanted && was.phase == "settled"),
                "{id} was not settled and is taken for extra access"
            );
            must!(row.verified.is_some_and(|at| at <= now), "{id} was seen by nobody");
            self.verified.extend(row.verified.map(|at| (*id, at)));
            self.extra.insert(*id);
            *self.seen.entry("extra access taken".to_owned()).or_default() += 1;
        }
        Ok(())
    }
}
