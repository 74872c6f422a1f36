//! Targets are compared with what is wanted there: in the middle of everything, and when all is at rest.

use std::collections::{BTreeMap, BTreeSet};

use accede_domain::id::{DriftFindingId, SubjectId, TargetId};
use accede_store::params;

use crate::dice::Dice;
use crate::oracle::{Verdict, must};
use crate::snapshot::Snapshot;
use crate::target::Member;

use super::History;

impl History {
    /// A worker compares targets, perhaps because somebody asked for it. Nothing is told to be gone that is
    /// there, unless its holders were listed: what failed or may lack somebody proves nothing.
    pub(super) async fn compare(&mut self, dice: &mut Dice) -> Verdict {
        let (app, admin) = (self.world.another_app(), self.world.admin());
        let targets: Vec<TargetId> = self.sims.keys().copied().collect();
        if dice.below(3) == 0 {
            let target = *dice.pick(&targets);
            let asked = app.compare_target(&admin, target).await;
            self.note(format!("compare: {}", crate::world::code(&asked)));
        }
        let before = self.extra_access().await;
        for sim in self.sims.values() {
            sim.take_listed();
        }
        let rows = Snapshot::take(&self.world.store).await;
        let compared = Box::pin(app.sweep_drift()).await;
        let compared = compared.map_err(|error| format!("drift: {error:?}"))?;
        self.note(format!("{compared} compared"));
        let compared_rows = Snapshot::take(&self.world.store).await;
        self.oracle.compared(&rows, &compared_rows, self.world.now())?;
        let held =
            |when: &Snapshot| when.held().filter(|(_, guard)| guard.cause == "extraAccess").count();
        if held(&rows) < held(&compared_rows) {
            self.count("extraAccess held");
        }
        if 0 < compared {
            self.count("compared");
        }
        let after = self.extra_access().await;
        let mut listed: BTreeMap<TargetId, BTreeSet<String>> = BTreeMap::new();
        for (target, sim) in &self.sims {
            listed.insert(*target, sim.take_listed());
        }
        for (id, (target, member)) in before {
            let is_known = after.contains_key(&id)
                || self.sims[&target].truth(&member).is_none()
                || listed[&target].contains(&member.1);
            let ours = self.snapshot.deliveries.values().any(|row| {
                let is_ours = row.wanted || row.observed != "never";
                row.target == target && row.member() == member && is_ours
            });
            // Of what no package gives any more nothing is told.
            let told = self.oracle.in_some_package(target, &member.1);
            must!(is_known || ours || !told, "{member:?} is told to be gone, and nobody read that");
        }
        Ok(())
    }

    /// What is told to be there and given by nothing.
    async fn extra_access(&self) -> BTreeMap<DriftFindingId, (TargetId, Member)> {
        let open = "select id, target_id, subject_id, resource_origin_id from drift_findings
             where kind = 'extra' and state in ('open', 'dismissed') and subject_id is not null";
        self.world
            .store
            .read(async |tx| {
                let rows = tx.query(open, params![]).await?;
                rows.iter()
                    .map(|row| Ok((row.get(0)?, (row.get(1)?, (row.get(2)?, row.get(3)?)))))
                    .collect::<accede_store::Result<_>>()
            })
            .await
            .unwrap()
    }

    /// Whether a target is being compared.
    pub(super) async fn is_comparing(&self) -> bool {
        let running = "select count(*) from drift_sweeps where is_running";
        let count: i64 = self
            .world
            .store
            .read(async |tx| tx.query_one(running, params![]).await?.get(0))
            .await
            .unwrap();
        0 < count
    }

    /// Everything was compared since all healed: what was taken away outside is found and given again,
    /// as far as a target can be read, and nothing that is told as there is not.
    pub(super) async fn check_drift(&mut self) -> Verdict {
        let sims = &self.sims;
        self.drifted.retain(|(target, ..)| !sims[target].can_observe());
        let found: Vec<(String, String, TargetId, Option<SubjectId>, String)> = self
            .world
            .store
            .read(async |tx| {
                let rows = tx
                    .query(
                        "select kind, state, target_id, subject_id, resource_origin_id
                         from drift_findings",
                        params![],
                    )
                    .await?;
                rows.iter()
                    .map(|row| {
                        let (kind, state) = (row.get(0)?, row.get(1)?);
                        Ok((kind, state, row.get(2)?, row.get(3)?, row.get(4)?))
                    })
                    .collect::<accede_store::Result<_>>()
            })
            .await
            .unwrap();
        for row in self.snapshot.deliveries.values() {
            let sim = &self.sims[&row.target];
            let is_there = sim.truth(&row.member()).is_some();
            must!(
                !sim.can_observe()
                    || row.phase != "settled"
                    || !matches!(row.observed.as_str(), "present" | "absent")
                    || is_there == (row.observed == "present"),
                "I8: {:?} is believed to be {} for days, and is not",
                row.member(),
                row.observed
            );
        }
        let mut told = BTreeSet::new();
        for (kind, state, target, subject, resource) in found {
            self.count(&format!("drift {kind} {state}"));
            let member = (subject.unwrap(), resource);
            if kind == "extra" && state == "open" {
                // What was taken away a moment ago is still to be confirmed.
                let mut rows = self.snapshot.deliveries.values();
                let is_taken = rows.any(|row| {
                    let is_it = row.target == target && row.member() == member && !row.wanted;
                    is_it && row.acknowledged.is_some() && row.ready_at.is_some()
                });
                must!(
                    is_taken || self.sims[&target].truth(&member).is_some(),
                    "{member:?} is told to have what they have not"
                );
            }
            if kind == "extra" && (state == "open" || state == "dismissed") {
                told.insert((target, member.clone()));
            }
            must!(kind != "missing" || state != "open", "{member:?} was not given it again");
        }
        for role in &self.roles {
            let given = self.oracle.in_some_package(role.target, &role.origin);
            for person in self.people.iter().filter(|_| self.sims[&role.target].can_observe()) {
                let member = (person.subject, role.origin.clone());
                let row = self.snapshot.deliveries.values().find(|row| {
                    // What waits to be given is nothing extra when somebody gave it there.
                    let is_ours = row.wanted || row.observed != "never";
                    row.target == role.target && row.member() == member && is_ours
                });
                let is_there = self.sims[&role.target].truth(&member).is_some();
                must!(
                    row.is_some()
                        || !is_there
                        || !given
                        || told.contains(&(role.target, member.clone())),
                    "{member:?} have what nothing gives them, and it is not told"
                );
            }
        }
        Ok(())
    }
}
