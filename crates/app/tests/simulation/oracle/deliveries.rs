//! What must be so of deliveries after every step.

use accede_connectors::Wanted;
use accede_domain::id::DeliveryId;
use accede_domain::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

use crate::snapshot::{Delivery, Snapshot};
use crate::target::Owner;

use super::{Oracle, Verdict, must};

/// Within what time a look is made anew that failed, at most; said here again, not taken from the
/// rules.
const LOOKS_AGAIN: SignedDuration = SignedDuration::from_mins(62);

impl Oracle {
    pub(super) fn check_deliveries(&mut self, snapshot: &Snapshot, now: Timestamp) -> Verdict {
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
            let moved_back = self.moved_back;
            must!(
                Oracle::happened(moved_back, self.acknowledged.get_mut(&id), delivery.acknowledged),
                "I17: {id} was never acknowledged at {:?}",
                delivery.acknowledged
            );
            must!(
                Oracle::happened(moved_back, self.verified.get_mut(&id), delivery.verified),
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
                !delivery.pre_existing
                    || sim.was_before_us(&delivery.member())
                    || self.extra.contains(&id),
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
                    // By a clock that stepped back, what was over is so still.
                    && self.leases.get(&row.id).is_none_or(|lease| now < lease.until)
            });
            must!(alone.count() <= 1, "the poison lane of {target} is more than one call wide");
        }
        Ok(())
    }

    /// What a target accepted for a wish that is over, and did after all, is found when the time that
    /// it had for it is over, or at the next look after one that failed: not a day later.
    pub(super) fn check_late(&mut self, delivery: &Delivery, now: Timestamp) -> Verdict {
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
    pub(super) fn check_haunted(&mut self, delivery: &Delivery, now: Timestamp) -> Verdict {
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
    pub(super) fn check_looked_at(
        &mut self,
        delivery: &Delivery,
        what: &str,
        at: Timestamp,
        now: Timestamp,
    ) -> Verdict {
        if self.sims[&delivery.target].misread(&delivery.member()) {
            // It was looked at, and an old replica answered.
            return Ok(());
        }
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

    /// I4, I5: what is ours and not wanted has work waiting for it, for as long as it takes.
    pub(super) fn check_revocation(
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
            // By a clock that stepped back it may be due since later.
            self.due_since.entry(id).or_insert(now.max(delivery.since));
        } else {
            self.due_since.remove(&id);
        }
        Ok(())
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
