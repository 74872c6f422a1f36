//! What waits for a second person: derived changes that are too many, decided about by somebody else.

use accede_app::guards::Ruling;
use accede_app::user_import::OnBadLine;
use accede_app::{Caller, Error, Settings};
use accede_domain::drift::Extra;
use accede_domain::guard::{Limit, Limits};
use accede_domain::id::GuardId;
use accede_domain::permission::{DirectoryRole, Grants};
use accede_store::users;

use crate::dice::Dice;
use crate::oracle::{Verdict, must};
use crate::world::{Given, code};

use super::History;

/// Settings under which a few changes are too many; and how many are not.
pub(super) fn settings(dice: &mut Dice) -> (Settings, Option<(usize, usize)>) {
    let (grants, revocations) = (dice.below(4), dice.below(3));
    let limit =
        |least: usize| Limit { least: i64::try_from(least).unwrap(), percent: 0, most: None };
    let guards = Limits { grants: limit(grants), revocations: limit(revocations) };
    let drift_extra = if dice.below(2) == 0 { Extra::Revoke } else { Extra::Report };
    (Settings { guards, drift_extra, ..Settings::default() }, Some((grants, revocations)))
}

impl History {
    /// A person who caused nothing of all this, and may decide about it.
    fn second(&self) -> Caller {
        let directory = vec![DirectoryRole::GlobalAdministrator];
        Caller { grants: Grants { directory, ..Grants::default() }, ..self.approver.caller() }
    }

    /// Perhaps somebody imports people, has targets compared, or decides about what waits.
    pub(super) async fn be_second(&mut self, dice: &mut Dice) -> Verdict {
        match dice.below(24) {
            0 => Box::pin(self.import(dice)).await?,
            1..3 => Box::pin(self.compare(dice)).await?,
            3..7 => {
                let held: Vec<GuardId> = self.snapshot.held().map(|(id, _)| id).collect();
                let Some(id) = dice.pick_any(&held) else { return Ok(()) };
                Box::pin(self.rule(id, dice)).await?;
            }
            // Whoever made a change that waits takes a part of it back.
            7..10 => {
                let held = self.snapshot.held().find_map(|(_, guard)| guard.package);
                let Some(package) = held else { return Ok(()) };
                let waiting = self.oracle.waiting(package);
                let is_it = |role: &&Given| waiting.contains(&(role.target, role.origin.clone()));
                let Some(role) = self.roles.iter().find(is_it).cloned() else { return Ok(()) };
                Box::pin(self.change_roles(package, &role)).await?;
            }
            _ => return Ok(()),
        }
        self.look().await
    }

    /// An import disables some people at once: too many wait, and whoever waits is not disabled.
    async fn import(&mut self, dice: &mut Dice) -> Verdict {
        let active = |one: &&crate::world::Somebody| !self.oracle.inactive.contains(&one.subject);
        let people: Vec<_> = self.people.iter().filter(active).cloned().collect();
        let leaving: Vec<_> = people.into_iter().filter(|_| dice.below(3) == 0).collect();
        let mut csv = "userPrincipalName,displayName,accountEnabled\n".to_owned();
        for person in &leaving {
            let name = person.name.split('@').next().unwrap_or_default();
            csv.push_str(&format!("{},{name},false\n", person.name));
        }
        let (app, admin) = (self.world.app.clone(), self.world.admin());
        let report = app.import_users(&admin, csv.as_bytes(), OnBadLine::Refuse).await;
        self.note(format!("import of {} leavers: {}", leaving.len(), code(&report)));
        report.map_err(|error| format!("an import broke: {error:?}"))?;
        self.leavers.extend(leaving);
        Ok(())
    }

    /// Whoever an import has disabled by now.
    pub(super) async fn see_leavers(&mut self) {
        if self.leavers.is_empty() {
            return;
        }
        for person in std::mem::take(&mut self.leavers) {
            let user = person.user;
            let found = self.world.store.read(async |tx| users::get(tx, user).await).await.unwrap();
            if found.is_some_and(|user| user.account_enabled) {
                self.leavers.push(person);
            } else {
                self.oracle.inactive.insert(person.subject);
                self.count("left by an import");
            }
        }
    }

    /// Somebody decides about a change that waits; whoever caused it may not.
    async fn rule(&mut self, id: GuardId, dice: &mut Dice) -> Verdict {
        let guard = self.snapshot.guards[&id].clone();
        let app = self.world.app.clone();
        let ruling = Ruling::default();
        if guard.cause != "extraAccess" {
            let own = app.release_guard(&self.world.admin(), id, &ruling).await;
            must!(
                matches!(own, Err(Error::Forbidden { .. })),
                "I16: whoever caused a change lets it go on: {}",
                code(&own)
            );
        }
        let released = dice.below(3) != 0;
        let second = self.second();
        let outcome = if released {
            app.release_guard(&second, id, &ruling).await
        } else {
            app.reject_guard(&second, id, &ruling).await
        };
        let what = if released { "released" } else { "rejected" };
        self.note(format!("{} {what}: {}", guard.cause, code(&outcome)));
        outcome.map_err(|error| format!("{what}: {error:?}"))?;
        self.count(&format!("{} {what}", guard.cause));
        if let Some(package) = guard.package {
            self.oracle.ruled(package, released);
        }
        Ok(())
    }

    /// Everything that waits is decided about; says whether anything did.
    pub(super) async fn decide_all(&mut self) -> Result<bool, String> {
        let Some(mut dice) = self.families.guards.take() else { return Ok(false) };
        let held: Vec<GuardId> = self.snapshot.held().map(|(id, _)| id).collect();
        for id in &held {
            Box::pin(self.rule(*id, &mut dice)).await?;
        }
        self.families.guards = Some(dice);
        Ok(!held.is_empty())
    }
}
