//! What happens beside us: time passes, somebody changes a target, a target is in trouble.

use accede_domain::id::TargetId;
use accede_domain::{SignedDuration, Timestamp};

use crate::oracle::Verdict;
use crate::target::Poison;

use super::History;

impl History {
    pub(super) async fn pass_time(&mut self) -> Verdict {
        let seconds = *self.dice.pick(&[1, 3, 12, 31, 61, 300, 900, 3_700, 7 * 3_600, 26 * 3_600]);
        let now = self.world.now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
        self.set_clock(now).await;
        self.note(format!("{seconds} s pass"));
        Ok(())
    }

    /// Time goes on, by the clock and by whatever else counts it.
    pub(super) async fn set_clock(&mut self, now: Timestamp) {
        self.pass_unseen(now.duration_since(self.world.now())).await;
        self.world.clock.set(now);
        for sim in self.sims.values() {
            sim.tick(now);
        }
    }

    pub(super) fn meddle(&mut self) -> Verdict {
        let person = self.somebody();
        let role = self.dice.pick(&self.roles).clone();
        let present = self.dice.below(2) == 0;
        let member = (person.subject, role.origin.clone());
        if self.sims[&role.target].meddle(&member, present) {
            let key = (role.target, person.subject, role.origin.clone());
            if present {
                self.drifted.remove(&key);
            } else {
                self.drifted.insert(key);
            }
            self.count(if present { "added outside" } else { "removed outside" });
        }
        self.note(format!("outside: {} {} {present}", person.name, role.origin));
        Ok(())
    }

    pub(super) fn trouble(&mut self) -> Verdict {
        let targets: Vec<TargetId> = self.sims.keys().copied().collect();
        let target = *self.dice.pick(&targets);
        let sim = self.sims[&target].clone();
        let role = self.dice.pick(&self.roles).clone();
        match self.dice.below(3) {
            0 => {
                let outage = !sim.is_out();
                sim.set_outage(outage);
                self.note(format!("outage: {outage}"));
            }
            1 => {
                self.sims[&role.target].toggle_refusing(&role.origin);
                self.note(format!("refusing changes: {}", role.origin));
            }
            _ => {
                let person = self.dice.pick(&self.people).clone();
                let poison = Poison::draw(&mut self.dice);
                let member = (person.subject, role.origin.clone());
                self.sims[&role.target].toggle_poison(&member, poison);
                self.note(format!("{poison:?} or not: {} {}", person.name, role.origin));
            }
        }
        Ok(())
    }
}
