//! What people do: ask, decide, remove, reprocess, settle by hand, change what there is.

use accede_app::creations::{Key, Repeat};
use accede_app::packages::RoleChoice;
use accede_app::reprocess::Selection;
use accede_app::requests::{ForWhom, NewRequest};
use accede_app::users::UserChange;
use accede_app::{Caller, Error};
use accede_domain::approval::Decision;
use accede_domain::filter::Filter;
use accede_domain::id::{AssignmentId, DeliveryId, PackageId, RequestId, TargetId};
use accede_domain::policy::Terms;
use accede_domain::request::Type;
use accede_domain::resolution::Resolution;
use accede_domain::schedule::Schedule;
use accede_domain::{SignedDuration, Timestamp};
use accede_store::mishap::Mishap;

use crate::dice::Dice;
use crate::oracle::{Verdict, must};
use crate::snapshot::{Part, Request, Snapshot};
use crate::world::{self, Given, Somebody};

use super::History;

/// What came of something that somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// It is done, and they were told.
    Done,
    /// It is done, and they were not told.
    Unheard,
    /// It was refused.
    Refused,
    /// It could not be done.
    Failed,
}

/// What a policy may ask for: nothing, an approval, or two.
pub(super) fn terms(approver: &Somebody, which: usize) -> Terms {
    let asked = world::stage(&[world::user(approver)], &[]);
    let boss = world::stage(&[world::manager()], &[world::user(approver)]);
    match which {
        0 => world::approved_terms(vec![asked]),
        1 => world::approved_terms(vec![boss, asked]),
        _ => world::open_terms(),
    }
}

impl Came {
    pub(super) const fn is_done(self) -> bool {
        matches!(self, Came::Done | Came::Unheard)
    }
}

impl History {
    /// Records an outcome; a refusal must have changed nothing.
    pub(super) async fn outcome<T>(
        &mut self,
        what: &str,
        outcome: &accede_app::Result<T>,
        before: &Snapshot,
    ) -> Result<Came, String> {
        let code = world::code(outcome);
        self.note(format!("{what}: {code}"));
        match outcome {
            Ok(_) => {
                self.count(&format!("{} done", what.split(' ').next().unwrap_or_default()));
                Ok(Came::Done)
            }
            Err(
                Error::Refused(_)
                | Error::Invalid { .. }
                | Error::Forbidden { .. }
                | Error::NotFound { .. }
                | Error::Duplicate { .. },
            ) => {
                self.count(&format!("{} refused", what.split(' ').next().unwrap_or_default()));
                let after = Snapshot::take(&self.world.store).await;
                must!(*before == after, "{what} was refused ({code}) and changed something");
                Ok(Came::Refused)
            }
            Err(error) => {
                if self.befell(what, error)? == Mishap::Unheard {
                    return Ok(Came::Unheard);
                }
                let after = Snapshot::take(&self.world.store).await;
                must!(*before == after, "{what} failed and changed something");
                Ok(Came::Failed)
            }
        }
    }

    pub(super) fn somebody(&mut self) -> Somebody {
        let n = self.dice.below(self.people.len());
        self.people[n].clone()
    }

    pub(super) async fn submit(&mut self) -> Verdict {
        let person = self.somebody();
        let package = *self.dice.pick(&self.packages);
        let now = self.world.now();
        let after = |seconds: i64| now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let schedule = match self.dice.below(8) {
            0 => world::until(after(600)),
            1 => world::until(after(3 * 3_600)),
            2 => world::until(after(50 * 3_600)),
            3 => world::from(after(1_200)),
            4 => Schedule { start_date_time: Some(after(900)), ..world::until(after(8 * 3_600)) },
            _ => Schedule::default(),
        };
        let before = self.snapshot.clone();
        let assigns = self.dice.below(4) == 0;
        let new = NewRequest { schedule, ..world::ask(package) };
        let (caller, new) = if assigns {
            let target = ForWhom::User(person.user);
            (self.world.admin(), NewRequest { request_type: Type::AdminAdd, target, ..new })
        } else {
            (person.caller(), new)
        };
        let what = format!("{} {}", if assigns { "assign" } else { "submit" }, person.name);
        let done = match self.families.store.as_mut().map(Dice::next) {
            None => {
                let outcome = self.world.app.submit_request(&caller, new).await;
                self.outcome(&what, &outcome, &before).await?.is_done()
            }
            Some(key) => Box::pin(self.submit_once(&what, &caller, new, key)).await?,
        };
        let twice = before.requests.values().any(|request| {
            request.subject == person.subject
                && request.package == package
                && matches!(
                    request.state.as_str(),
                    "pendingApproval" | "scheduled" | "delivering" | "canceling"
                )
        });
        must!(!(done && twice), "a second open request for the same person and package");
        Ok(())
    }

    /// Somebody asks under a key of their own, and again under the same one while they do not know
    /// whether they did: once is enough.
    async fn submit_once(
        &mut self,
        what: &str,
        caller: &Caller,
        new: NewRequest,
        key: u64,
    ) -> Result<bool, String> {
        let before = self.snapshot.clone();
        let app = self.world.app.clone();
        let repeat = Repeat::new(Key::Named(key.to_string()), "requests", what.as_bytes());
        let repeat = repeat.map_err(|error| error.to_string())?;
        let first = app.submit_request_once(caller, new.clone(), Some(&repeat)).await;
        let came = self.outcome(what, &first, &before).await?;
        if matches!(came, Came::Done | Came::Refused) {
            return Ok(came == Came::Done);
        }
        let there = Snapshot::take(&self.world.store).await;
        let made = there.requests.len() - before.requests.len();
        must!(made == usize::from(came == Came::Unheard), "{what}: {came:?}, and made {made}");
        let again = app.submit_request_once(caller, new, Some(&repeat)).await;
        let done = self.outcome(what, &again, &there).await?.is_done();
        let after = Snapshot::take(&self.world.store).await;
        if came == Came::Unheard {
            must!(done && there == after, "{what}: the same was asked for twice and done twice");
            self.count("asked for once more and done once");
        }
        Ok(done)
    }

    pub(super) fn requests_in(&self, states: &[&str]) -> Vec<RequestId> {
        let open = self.snapshot.requests.values();
        open.filter(|request| states.contains(&request.state.as_str()))
            .map(|request| request.id)
            .collect()
    }

    pub(super) async fn decide(&mut self) -> Verdict {
        let pending = self.requests_in(&["pendingApproval"]);
        let Some(id) = self.dice.pick_any(&pending) else { return Ok(()) };
        let who = match self.dice.below(6) {
            0 => self.somebody(),
            1..3 => self.people[0].clone(),
            _ => self.approver.clone(),
        };
        let deny = self.dice.below(12) == 0;
        let decision = if deny { Decision::Deny } else { Decision::Approve };
        let before = self.snapshot.clone();
        let outcome = self.world.decide(&who, id, decision).await;
        let what = format!("decide {} {decision:?}", who.name);
        if self.outcome(&what, &outcome, &before).await?.is_done() {
            let request = &before.requests[&id];
            must!(request.subject != who.subject, "I11: somebody decided about themself");
            must!(!self.oracle.inactive.contains(&who.subject), "I11: a disabled person decided");
        }
        Ok(())
    }

    pub(super) async fn cancel(&mut self) -> Verdict {
        let ids: Vec<RequestId> = self.snapshot.requests.keys().copied().collect();
        let Some(id) = self.dice.pick_any(&ids) else { return Ok(()) };
        let before = self.snapshot.clone();
        let outcome = self.world.cancel(id).await;
        let state = before.requests[&id].state.clone();
        let done = self.outcome(&format!("cancel {state}"), &outcome, &before).await?.is_done();
        let may = !matches!(state.as_str(), "delivering" | "delivered" | "denied" | "canceled");
        must!(!done || may, "a request that was {state} was canceled");
        Ok(())
    }

    pub(super) async fn remove(&mut self) -> Verdict {
        let live: Vec<AssignmentId> = self
            .snapshot
            .assignments
            .values()
            .filter(|assignment| assignment.state != "expired")
            .map(|assignment| assignment.id)
            .collect();
        let Some(id) = self.dice.pick_any(&live) else { return Ok(()) };
        let before = self.snapshot.clone();
        let outcome = self.world.remove(id).await;
        self.outcome("remove", &outcome, &before).await.map(drop)
    }

    /// I10: reprocess^n is reprocess; what is delivered is not touched; nobody is asked again.
    pub(super) async fn reprocess(&mut self) -> Verdict {
        let mut ids = self.requests_in(&["partiallyDelivered", "deliveryFailed"]);
        if ids.is_empty() || self.dice.below(4) == 0 {
            ids = self.snapshot.requests.keys().copied().collect();
        }
        let Some(id) = self.dice.pick_any(&ids) else { return Ok(()) };
        let before = self.snapshot.clone();
        let now = self.world.now();
        let outcome = self.world.reprocess(id).await;
        let request = before.requests[&id].clone();
        let what = format!("reprocess {}", request.state);
        let came = self.outcome(&what, &outcome, &before).await?;
        if came == Came::Failed {
            return Ok(());
        }
        self.end_mishap()?;
        let done = came.is_done();
        let once = Snapshot::take(&self.world.store).await;
        if done {
            self.check_reprocessed(&before, &once, id, now)?;
        }
        let again = self.world.reprocess(id).await;
        let twice = Snapshot::take(&self.world.store).await;
        must!(once == twice, "I10: reprocessing a second time changed something");
        let delivering = once.requests[&id].state == "delivering";
        must!(again.is_ok() == delivering, "I10: {} after {}", world::code(&again), what);
        Ok(())
    }

    pub(super) fn check_reprocessed(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        id: RequestId,
        now: Timestamp,
    ) -> Verdict {
        let request = &before.requests[&id];
        let state = request.state.as_str();
        must!(
            matches!(state, "partiallyDelivered" | "deliveryFailed" | "delivering"),
            "a request that was {state} was reprocessed"
        );
        must!(before.stages == after.stages, "I10: reprocess asked approvers again");
        if state == "delivering" {
            must!(before == after, "I10: reprocess changed a request that was delivering");
            return Ok(());
        }
        let first = request.first_completed.unwrap();
        must!(
            now.duration_since(first) <= SignedDuration::from_hours(14 * 24),
            "a request first completed at {first} was reprocessed"
        );
        must!(
            !self.oracle.inactive.contains(&request.subject),
            "a request of a disabled person was reprocessed"
        );
        must!(request.end.is_none_or(|end| now < end), "a request was reprocessed after its end");
        // What brings it up to its package's changed roles takes what is not of the package any more.
        let is_behind = request
            .assignment
            .and_then(|id| before.assignments.get(&id))
            .is_some_and(|assignment| self.oracle.is_behind(assignment));
        for (delivery, _) in request.assignment.iter().flat_map(|id| before.edges(*id)) {
            if delivery.part() == Part::Done && !is_behind {
                must!(
                    after.deliveries[&delivery.id] == *delivery,
                    "I10: reprocess touched {}, which was as wanted",
                    delivery.id
                );
            }
        }
        Ok(())
    }

    pub(super) async fn reprocess_assignment(&mut self) -> Verdict {
        let ids: Vec<AssignmentId> = self.snapshot.assignments.keys().copied().collect();
        let Some(id) = self.dice.pick_any(&ids) else { return Ok(()) };
        let before = self.snapshot.clone();
        let outcome = self.world.app.reprocess_assignment(&self.world.admin(), id).await;
        let what = format!("verify {}", before.assignments[&id].state);
        self.outcome(&what, &outcome, &before).await.map(drop)
    }

    pub(super) async fn retry(&mut self) -> Verdict {
        let undone: Vec<DeliveryId> = self
            .snapshot
            .deliveries
            .values()
            .filter(|delivery| delivery.phase != "settled")
            .map(|delivery| delivery.id)
            .collect();
        let Some(id) = self.dice.pick_any(&undone) else { return Ok(()) };
        let before = self.snapshot.clone();
        let outcome = self.world.app.retry_delivery(&self.world.admin(), id).await;
        let what = format!("retry {}", before.deliveries[&id].phase);
        self.outcome(&what, &outcome, &before).await.map(drop)
    }

    /// Somebody settles a delivery by hand. Where the target cannot be read they are as good as their
    /// word; where it can, they may be wrong about it, and it has the last word.
    pub(super) async fn settle_by_hand(&mut self, dice: &mut Dice) -> Verdict {
        let undone: Vec<DeliveryId> = self
            .snapshot
            .deliveries
            .values()
            .filter(|delivery| delivery.phase != "settled")
            .map(|delivery| delivery.id)
            .collect();
        let Some(id) = dice.pick_any(&undone) else { return Ok(()) };
        let before = self.snapshot.deliveries[&id].clone();
        let sim = self.sims[&before.target].clone();
        let how = if dice.below(4) == 0 { Resolution::GiveUp } else { Resolution::DoneOutside };
        if how == Resolution::DoneOutside && (!sim.can_observe() || dice.below(2) == 0) {
            sim.meddle(&before.member(), before.wanted);
            self.drifted.remove(&(before.target, before.subject, before.resource.clone()));
        }
        let (app, admin) = (self.world.app.clone(), self.world.admin());
        let outcome = app.resolve_delivery(&admin, id, how, "seen to by hand").await;
        let code = world::code(&outcome);
        self.note(format!("by hand {} {}: {code}", how.name(), before.phase));
        let state = Snapshot::take(&self.world.store).await;
        let after = &state.deliveries[&id];
        self.oracle.settled_by_hand(&before, after, self.world.now())?;
        match &outcome {
            Ok(_) if before.is_so() => must!(*after == before, "{id} was so and was settled"),
            Ok(_) if how == Resolution::GiveUp => {
                must!(before.wanted, "I4: the removal {id} was given up");
                must!(after.phase == "failed", "{id} was given up and is {}", after.phase);
                self.count("given up by hand");
            }
            Ok(_) => {
                must!(after.is_so(), "{id} is settled by hand and not so");
                self.count("settled by hand");
            }
            Err(Error::Refused(_)) if code == "TargetSaysOtherwise" => {
                must!(!after.is_so(), "the target was said to contradict, and {id} is so");
                self.count("contradicted by the target");
            }
            Err(Error::Refused(_) | Error::Target { .. }) => {
                must!(state == self.snapshot, "settling {id} by hand failed and changed something");
                self.count("settling by hand refused");
            }
            // Extra access that is taken away is nobody's assignment; it is settled where it is told.
            Err(Error::NotFound { .. }) if !self.has_reason(id) => {
                self.count("settling by hand refused");
            }
            Err(error) => match self.befell("by-hand", error)? {
                Mishap::Unheard => {}
                _ => must!(state == self.snapshot, "it failed and changed something"),
            },
        }
        Ok(())
    }

    fn has_reason(&self, id: DeliveryId) -> bool {
        self.snapshot.reasons.iter().any(|(_, delivery, _)| *delivery == id)
    }

    pub(super) async fn plan(&mut self) -> Verdict {
        let admin = self.world.admin();
        let app = self.world.app.clone();
        let before = self.snapshot.clone();
        if let Some(job) = self.jobs.last().copied().filter(|_| self.dice.below(3) == 0) {
            let outcome = app.cancel_job(&admin, job).await;
            return self.outcome("stop job", &outcome, &before).await.map(drop);
        }
        let mut selection = Selection::default();
        match self.dice.below(3) {
            0 => {
                let ids = before.requests.keys().copied().filter(|_| self.dice.below(2) == 0);
                selection.ids = Some(ids.collect());
            }
            1 => {
                let text = "state eq 'partiallyDelivered' or state eq 'deliveryFailed'";
                selection.filter = Some(Filter::parse(text).map_err(|error| error.to_string())?);
            }
            _ => {
                let targets: Vec<TargetId> = self.sims.keys().copied().collect();
                selection.target = self.dice.pick_any(&targets);
            }
        }
        let view = app.plan_reprocess(&admin, &selection).await;
        let planned = self.outcome("plan", &view, &before).await?.is_done();
        let after = Snapshot::take(&self.world.store).await;
        must!(before == after, "a plan changed something");
        let Ok(view) = view else { return Ok(()) };
        must!(planned, "a plan that is not one");
        let eligible = app
            .plan_items(&admin, view.plan.id, 0, 1_000)
            .await
            .map_err(|error| format!("{error:?}"))?;
        for item in eligible.iter().filter(|item| item.skip.is_none()) {
            let state = before.requests[&item.request].state.as_str();
            must!(
                matches!(state, "partiallyDelivered" | "deliveryFailed"),
                "a plan means to reprocess a request that is {state}"
            );
        }
        if self.dice.below(6) == 0 {
            return Ok(());
        }
        let first = app.run_plan(&admin, view.plan.id, &view.plan.digest).await;
        let again = app.run_plan(&admin, view.plan.id, &view.plan.digest).await;
        for error in [&first, &again].into_iter().filter_map(|outcome| outcome.as_ref().err()) {
            self.befell("job", error)?;
        }
        let is_one = match (&first, &again) {
            (Ok(first), Ok(again)) => first.job.id == again.job.id,
            _ => true,
        };
        must!(is_one, "I10: a plan was run twice");
        match again.or(first) {
            Ok(run) => {
                self.jobs.push(run.job.id);
                self.count("job");
            }
            Err(error) => return Err(format!("a fresh plan does not run: {error:?}")),
        }
        Ok(())
    }

    pub(super) async fn change_package(&mut self) -> Verdict {
        let package = *self.dice.pick(&self.packages);
        let role = self.dice.pick(&self.roles).clone();
        self.change_roles(package, &role).await
    }

    /// Gives a package a role, or takes it from it.
    pub(super) async fn change_roles(&mut self, package: PackageId, role: &Given) -> Verdict {
        let key = (role.target, role.origin.clone());
        let before = self.snapshot.clone();
        let admin = self.world.admin();
        let app = self.world.app.clone();
        let came = if self.oracle.present_roles(package).contains(&key) {
            let outcome = app.remove_role_scope(&admin, package, role.role, role.scope).await;
            self.outcome("take-role", &outcome, &before).await?
        } else {
            let choice = RoleChoice {
                role: Some(role.role),
                scope: Some(role.scope),
                ..RoleChoice::default()
            };
            let outcome = app.add_role_scope(&admin, package, &choice, None).await;
            self.outcome("add-role", &outcome, &before).await?
        };
        if came == Came::Failed {
            return Ok(());
        }
        must!(came.is_done(), "a package could not be changed");
        let mut roles = self.oracle.present_roles(package).clone();
        if !roles.remove(&key) {
            roles.insert(key);
        }
        let after = Snapshot::take(&self.world.store).await;
        self.oracle.roles_changed(package, roles, &after, self.world.now())?;
        if after.is_held(package) {
            self.count("packageRoles held");
        } else if before.is_held(package) {
            self.count("packageRoles withdrawn");
        }
        Ok(())
    }

    /// Somebody edits a policy; whoever has asked under the former one is decided about by that (I13).
    pub(super) async fn edit_policy(&mut self, dice: &mut Dice) {
        let (package, which) = (*dice.pick(&self.packages), dice.below(4));
        self.world.replace_terms(package, terms(&self.approver, which)).await;
        self.note(format!("a policy is edited: {which}"));
        let asked =
            |request: &&Request| request.package == package && request.state == "pendingApproval";
        if self.snapshot.requests.values().any(|request| asked(&request)) {
            self.count("policy edited while it was asked");
        }
    }

    pub(super) async fn change_person(&mut self) -> Verdict {
        let person = self.somebody();
        let enabled = self.oracle.inactive.contains(&person.subject);
        let before = self.snapshot.clone();
        let change = UserChange { account_enabled: Some(enabled), ..UserChange::default() };
        let outcome = self.world.app.change_user(&self.world.admin(), &person.name, change).await;
        let what = format!("{} {}", if enabled { "enable" } else { "disable" }, person.name);
        let came = self.outcome(&what, &outcome, &before).await?;
        if came == Came::Failed {
            return Ok(());
        }
        must!(came.is_done(), "{what} was refused");
        if enabled {
            self.oracle.inactive.remove(&person.subject);
        } else {
            self.oracle.inactive.insert(person.subject);
        }
        Ok(())
    }

    pub(super) async fn pause(&mut self) -> Verdict {
        let targets: Vec<TargetId> = self.sims.keys().copied().collect();
        let target = *self.dice.pick(&targets);
        let is_paused = !self.paused.contains(&target);
        let (app, admin) = (self.world.app.clone(), self.world.admin());
        let outcome = if is_paused {
            app.pause_target(&admin, target).await.map(drop)
        } else {
            app.resume_target(&admin, target).await.map(drop)
        };
        if let Err(error) = &outcome
            && self.befell("pause", error)? != Mishap::Unheard
        {
            return Ok(());
        }
        self.note(format!("a target is {}", if is_paused { "paused" } else { "resumed" }));
        if is_paused {
            self.paused.insert(target);
            // Who holds claims of it may still carry them out: they are committed.
            self.count("pause");
        } else {
            self.paused.remove(&target);
        }
        Ok(())
    }
}
