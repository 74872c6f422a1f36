//! Held changes: so many derived changes at once that a second person must see them first.
//!
//! A change is measured whole, in the transaction that makes it and before anything of it goes out.
//! What is held is not a list of calls but the wish to catch up: when it is released, the work is
//! planned from the rows as they are then. Rejecting takes back what caused it.

use std::collections::{BTreeMap, BTreeSet};

use accede_domain::Timestamp;
use accede_domain::guard::Changes;
use accede_domain::id::{DriftFindingId, GuardId, Id, PackageId, TargetId, UserId};
use accede_domain::permission::{Action, Reach};
use accede_domain::refusal::Refusal;
use accede_store::crash::{Point, point};
use accede_store::guards::{self, AtTarget, Cause, Guard, RoleChange, State};
use accede_store::packages::{self, Package};
use accede_store::{Tx, extra_plans, guard_plans, people, resources, spreads, users};
use futures_util::future::try_join_all;
use serde_json::json;
use uuid::Uuid;

use crate::{App, Caller, Error, Principal, Result, audit, text};

pub use accede_store::guards::{
    AtTarget as GuardedTarget, Cause as GuardCause, Guard as HeldChange, State as GuardState,
};

/// Most changes that are listed.
pub const MAX_LISTED: usize = 200;
/// Most people of a change who are named.
pub const MAX_NAMED: usize = 20;
/// People who are disabled in one sweep, after a second person let that go on.
const BATCH: usize = 200;
/// How many of them at once.
const AT_ONCE: usize = 16;
/// What it is called in errors and in the audit log.
const WHAT: &str = "held change";

/// A role whose change waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedRole {
    /// Added to the package; removed otherwise.
    pub is_added: bool,
    /// The role's name.
    pub role: String,
    /// The resource's name.
    pub resource: String,
}

/// People whom a change disables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// How many.
    pub total: i64,
    /// How many had their turn.
    pub done: i64,
    /// The first [`MAX_NAMED`] by name.
    pub names: Vec<String>,
}

/// A held change as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardView {
    /// The change.
    pub guard: Guard,
    /// Who caused it.
    pub causers: Vec<String>,
    /// What would happen at which target, with its name.
    pub targets: Vec<(AtTarget, String)>,
    /// The roles, if it is a package's.
    pub roles: Vec<ChangedRole>,
    /// The people, if it is an import's.
    pub leaving: Option<Leaving>,
    /// Whether the reader may decide.
    pub may_decide: bool,
}

/// What a second person says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruling {
    /// The version that they have seen, if nobody may have changed it since.
    pub expected: Option<i64>,
    /// Why.
    pub justification: Option<String>,
}

/// The roles of a package changed: counts the change, and holds it if it is too large. The package's
/// row is held.
pub(crate) async fn roles_changed(
    app: &App,
    tx: &mut Tx<'_>,
    caller: &Caller,
    package: &Package,
    change: RoleChange,
    now: Timestamp,
) -> Result<()> {
    spreads::begin(tx, package.id, now).await?;
    let plan = guard_plans::of_package(tx, package.id).await?;
    let cause = Cause::PackageRoles;
    let over = measure(app, tx, cause, &plan, now).await?;
    let held = guards::held_of(tx, package.id).await?;
    match (over, held) {
        (Some(counts), held) => {
            let guard = match held {
                Some(mut guard) => {
                    // Whoever decides about the former state is told that it is another one.
                    guards::save(tx, &mut guard).await?;
                    guard
                }
                None => begin(app, tx, cause, Some(package), now).await?,
            };
            guards::add_change(tx, guard.id, change).await?;
            hold(app, tx, caller, &guard, &counts, now).await
        }
        (None, held) => {
            if let Some(mut guard) = held {
                guard.state = State::Withdrawn;
                guards::save(tx, &mut guard).await?;
                note(app, tx, caller, &guard, "held change withdrawn", json!({}), now).await?;
            }
            let_through(app, tx, cause, &plan, now).await
        }
    }
}

/// People are about to be disabled by an import: the change that waits, if there are too many. They join
/// the import that waits already, if one does: one that comes every night is one change. Who waits there
/// counts, also if the others alone would be few.
pub(crate) async fn people_leave(
    app: &App,
    tx: &mut Tx<'_>,
    caller: &Caller,
    leaving: &[UserId],
    now: Timestamp,
) -> Result<Option<GuardId>> {
    let plan = guard_plans::of_people(tx, leaving).await?;
    let cause = Cause::UserImport;
    let Some(counts) = measure(app, tx, cause, &plan, now).await? else {
        let_through(app, tx, cause, &plan, now).await?;
        return Ok(None);
    };
    let held = match guards::held_import(tx).await? {
        // Held, so that nobody decides about it meanwhile.
        Some(guard) => guards::lock(tx, guard.id).await?.filter(|one| one.state == State::Held),
        None => None,
    };
    let Some(mut guard) = held else {
        let guard = begin(app, tx, cause, None, now).await?;
        guards::add_people(tx, guard.id, leaving).await?;
        hold(app, tx, caller, &guard, &counts, now).await?;
        return Ok(Some(guard.id));
    };
    let waiting: BTreeSet<UserId> = guards::leaving(tx, guard.id).await?.into_iter().collect();
    if leaving.iter().any(|user| !waiting.contains(user)) {
        // Whoever decides about the former ones is told that they are others.
        guards::save(tx, &mut guard).await?;
        guards::add_people(tx, guard.id, leaving).await?;
        let all: Vec<UserId> = waiting.iter().chain(leaving).copied().collect();
        let plan = guard_plans::of_people(tx, &all).await?;
        let counts = measure(app, tx, cause, &plan, now).await?.unwrap_or(counts);
        hold(app, tx, caller, &guard, &counts, now).await?;
    }
    Ok(Some(guard.id))
}

/// Extra access was found at a target, whose policy is to take it away: the held change that it waits
/// for, if it is too much at once. The target's comparison is held.
pub(crate) async fn extra_found(
    app: &App,
    tx: &mut Tx<'_>,
    target: TargetId,
    found: &[DriftFindingId],
    now: Timestamp,
) -> Result<Option<GuardId>> {
    let cause = Cause::ExtraAccess;
    let revocations = i64::try_from(found.len()).unwrap_or(i64::MAX);
    let plan = BTreeMap::from([(target, Changes { grants: 0, revocations })]);
    let Some(counts) = measure(app, tx, cause, &plan, now).await? else {
        extra_no_more(app, tx, target, now).await?;
        if 0 < revocations {
            let_through(app, tx, cause, &plan, now).await?;
        }
        return Ok(None);
    };
    let guard = match guards::held_extra(tx, target).await? {
        Some(guard) if extra_plans::of_guard(tx, guard.id).await? == found => {
            return Ok(Some(guard.id));
        }
        Some(mut guard) => {
            // Whoever decides about the former ones is told that they are others.
            guards::save(tx, &mut guard).await?;
            guard
        }
        None => begin(app, tx, cause, None, now).await?,
    };
    if let Some((who, name)) = extra_plans::decider(tx, target).await? {
        guards::add_causer(tx, guard.id, who, &name).await?;
    }
    hold(app, tx, &Caller::system(), &guard, &counts, now).await?;
    Ok(Some(guard.id))
}

/// What was held of a target's extra access is not to be taken any more, or is little enough.
pub(crate) async fn extra_no_more(
    app: &App,
    tx: &mut Tx<'_>,
    target: TargetId,
    now: Timestamp,
) -> Result<()> {
    if let Some(mut guard) = guards::held_extra(tx, target).await? {
        guard.state = State::Withdrawn;
        guards::save(tx, &mut guard).await?;
        note(app, tx, &Caller::system(), &guard, "held change withdrawn", json!({}), now).await?;
    }
    Ok(())
}

/// What a plan comes to at every target, if any of it is over a limit.
async fn measure(
    app: &App,
    tx: &mut Tx<'_>,
    cause: Cause,
    plan: &BTreeMap<TargetId, Changes>,
    now: Timestamp,
) -> Result<Option<Vec<AtTarget>>> {
    let limits = app.settings().guards;
    let since = now.checked_sub(app.settings().guard_window).unwrap_or(now);
    let mut is_over = false;
    for (target, changes) in plan {
        let lately = guard_plans::lately(tx, cause, *target, since).await?;
        // How much the target holds is counted only where that could make a difference.
        if limits.hold(*changes, lately, 0) {
            let live = guard_plans::live(tx, *target).await?;
            is_over |= limits.hold(*changes, lately, live);
        }
    }
    if !is_over {
        return Ok(None);
    }
    let mut counts = Vec::with_capacity(plan.len());
    for (target, changes) in plan {
        let live = guard_plans::live(tx, *target).await?;
        counts.push(AtTarget { target: *target, changes: *changes, live });
    }
    Ok(Some(counts))
}

async fn begin(
    app: &App,
    tx: &mut Tx<'_>,
    cause: Cause,
    package: Option<&Package>,
    now: Timestamp,
) -> Result<Guard> {
    let guard = Guard {
        id: app.mint(now),
        cause,
        package: package.map(|package| package.id),
        package_named: package.map(|package| (package.catalog, package.display_name.clone())),
        state: State::Held,
        created_at: now,
        decided_by: None,
        decided_at: None,
        justification: None,
        version: 1,
    };
    guards::insert(tx, &guard).await?;
    Ok(guard)
}

/// Notes what a held change would do and who caused it, and says so.
async fn hold(
    app: &App,
    tx: &mut Tx<'_>,
    caller: &Caller,
    guard: &Guard,
    counts: &[AtTarget],
    now: Timestamp,
) -> Result<()> {
    if let Some(who) = object_of(caller) {
        guards::add_causer(tx, guard.id, who, &caller.name).await?;
    }
    guards::set_counts(tx, guard.id, counts).await?;
    point(Point::GuardHeld);
    let sum = |of: fn(&Changes) -> i64| counts.iter().map(|one| of(&one.changes)).sum::<i64>();
    let (grants, revocations) = (sum(|c| c.grants), sum(|c| c.revocations));
    let cause = guard.cause.name();
    tracing::warn!(id = %guard.id, cause, grants, revocations, "a change waits for a second person");
    let detail = json!({ "cause": cause, "grants": grants, "revocations": revocations });
    note(app, tx, caller, guard, "change held", detail, now).await
}

async fn let_through(
    app: &App,
    tx: &mut Tx<'_>,
    cause: Cause,
    plan: &BTreeMap<TargetId, Changes>,
    now: Timestamp,
) -> Result<()> {
    for (target, changes) in plan {
        let id: Uuid = app.entropy().uuid(now);
        guard_plans::note(tx, id, cause, *target, *changes, now).await?;
    }
    let before = now.checked_sub(app.settings().guard_window).unwrap_or(now);
    Ok(guard_plans::forget(tx, before).await?)
}

/// Who a caller is, as an object of the directory.
pub(crate) fn object_of(caller: &Caller) -> Option<Uuid> {
    match caller.principal {
        Principal::User { user, .. } => Some(user.uuid()),
        Principal::App { app, .. } => Some(app.uuid()),
        Principal::System => None,
    }
}

async fn note(
    app: &App,
    tx: &mut Tx<'_>,
    caller: &Caller,
    guard: &Guard,
    action: &str,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<()> {
    let event = audit::Event {
        action,
        object_type: "heldChange",
        object_id: guard.id.to_string(),
        catalog: guard.package_named.as_ref().map(|(catalog, _)| *catalog),
        detail,
    };
    audit::record(app, tx, caller, event, now).await
}

/// Whether the caller may read a held change.
fn sees(caller: &Caller, guard: &Guard) -> bool {
    match &guard.package_named {
        Some((catalog, _)) => caller.reach(Action::ReadCatalog).includes(*catalog),
        None if guard.cause == Cause::ExtraAccess => !caller.reach(Action::ReadTargets).is_empty(),
        None => caller.reach(Action::ReadDirectory) == Reach::Everywhere,
    }
}

fn missing(id: GuardId) -> Error {
    Error::not_found(WHAT, id)
}

/// Refuses who may not decide: without the right, or not a second person.
async fn decides(tx: &mut Tx<'_>, caller: &Caller, guard: &Guard) -> Result<()> {
    match &guard.package_named {
        Some((catalog, _)) => {
            let (manage, read) = (Action::ManagePackages, Action::ReadCatalog);
            caller.may_on(manage, *catalog, read, WHAT, guard.id)?;
        }
        None if guard.cause == Cause::ExtraAccess => {
            let (manage, read) = (Action::ManageTargets, Action::ReadTargets);
            caller.may_on_shared(manage, read, WHAT, guard.id)?;
        }
        None => {
            let (manage, read) = (Action::ManageDirectory, Action::ReadDirectory);
            caller.may_on_shared(manage, read, WHAT, guard.id)?;
        }
    }
    let (user, _) = caller.require_user()?;
    let caused = guards::causers(tx, guard.id).await?;
    if caused.iter().any(|(who, _)| *who == user.uuid()) {
        return Err(Error::Forbidden {
            need: "a second person, because this change is your own".to_owned(),
        });
    }
    Ok(())
}

pub(crate) async fn view(tx: &mut Tx<'_>, caller: &Caller, guard: Guard) -> Result<GuardView> {
    let mut roles = Vec::new();
    for change in guards::changes(tx, guard.id).await? {
        let Some(role) = resources::role(tx, change.role).await? else { continue };
        let resource = resources::get(tx, role.resource).await?;
        roles.push(ChangedRole {
            is_added: change.is_added,
            role: role.display_name,
            resource: resource.map(|resource| resource.display_name).unwrap_or_default(),
        });
    }
    let leaving = match guard.cause {
        Cause::PackageRoles | Cause::ExtraAccess => None,
        Cause::UserImport => {
            let (total, done) = guards::people(tx, guard.id).await?;
            let names = guards::people_named(tx, guard.id, MAX_NAMED).await?;
            Some(Leaving { total, done, names })
        }
    };
    let may_decide = guard.state == State::Held && decides(tx, caller, &guard).await.is_ok();
    let causers = guards::causers(tx, guard.id).await?;
    Ok(GuardView {
        causers: causers.into_iter().map(|(_, name)| name).collect(),
        targets: guards::counts(tx, guard.id).await?,
        roles,
        leaving,
        may_decide,
        guard,
    })
}

/// A held change that the caller may decide about, with its package's row and its own held.
async fn undecided(
    tx: &mut Tx<'_>,
    caller: &Caller,
    id: GuardId,
    ruling: &Ruling,
) -> Result<Guard> {
    let seen = guards::get(tx, id).await?.filter(|guard| sees(caller, guard));
    let seen = seen.ok_or_else(|| missing(id))?;
    if let Some(package) = seen.package {
        packages::lock(tx, package).await?;
    }
    let guard = guards::lock(tx, id).await?.ok_or_else(|| missing(id))?;
    decides(tx, caller, &guard).await?;
    if guard.state != State::Held {
        return Err(Refusal::Rule {
            code: "HeldChangeDecided",
            sentence: format!("the change is no longer held; it is {}", guard.state.name()),
        }
        .into());
    }
    if ruling.expected.is_some_and(|expected| expected != guard.version) {
        return Err(Error::Stale);
    }
    Ok(guard)
}

impl App {
    /// The changes that wait, and the newest that did, as far as the caller may read them.
    ///
    /// # Errors
    ///
    /// Forbidden for those who may read none.
    pub async fn list_guards(&self, caller: &Caller) -> Result<Vec<GuardView>> {
        if caller.reach(Action::ReadDirectory) != Reach::Everywhere {
            caller.may_somewhere(Action::ReadCatalog)?;
        }
        self.store()
            .read(async |tx| {
                let mut views = Vec::new();
                for guard in guards::list(tx, MAX_LISTED).await? {
                    if sees(caller, &guard) {
                        views.push(view(tx, caller, guard).await?);
                    }
                }
                Ok(views)
            })
            .await
    }

    /// A held change.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn get_guard(&self, caller: &Caller, id: GuardId) -> Result<GuardView> {
        self.store()
            .read(async |tx| {
                let guard = guards::get(tx, id).await?.filter(|guard| sees(caller, guard));
                view(tx, caller, guard.ok_or_else(|| missing(id))?).await
            })
            .await
    }

    /// The change of a package's roles that waits, if one does.
    ///
    /// # Errors
    ///
    /// Not found (the package).
    pub async fn held_change_of(
        &self,
        caller: &Caller,
        package: PackageId,
    ) -> Result<Option<GuardId>> {
        self.store()
            .read(async |tx| {
                crate::packages::visible(tx, caller, package).await?;
                Ok(guards::held_of(tx, package).await?.map(|guard| guard.id))
            })
            .await
    }

    /// How many roles a target would be given and have taken by changes that wait.
    ///
    /// # Errors
    ///
    /// Forbidden.
    pub async fn held_at_target(&self, caller: &Caller, target: TargetId) -> Result<Changes> {
        caller.may_somewhere(Action::ReadTargets)?;
        self.store().read(async |tx| Ok(guards::waiting_at(tx, target).await?)).await
    }

    /// Lets a held change go on, as a second person. What is done is planned anew.
    ///
    /// # Errors
    ///
    /// Not found; forbidden, also for who caused it; decided already; stale.
    pub async fn release_guard(
        &self,
        caller: &Caller,
        id: GuardId,
        ruling: &Ruling,
    ) -> Result<GuardView> {
        self.rule_on_guard(caller, id, ruling, State::Released).await
    }

    /// Takes back what caused a held change, as a second person.
    ///
    /// # Errors
    ///
    /// Not found; forbidden, also for who caused it; decided already; stale; refused if what was
    /// removed is no longer there to be put back.
    pub async fn reject_guard(
        &self,
        caller: &Caller,
        id: GuardId,
        ruling: &Ruling,
    ) -> Result<GuardView> {
        self.rule_on_guard(caller, id, ruling, State::Rejected).await
    }

    async fn rule_on_guard(
        &self,
        caller: &Caller,
        id: GuardId,
        ruling: &Ruling,
        state: State,
    ) -> Result<GuardView> {
        let now = self.now();
        let why = text::justification(ruling.justification.as_deref())?;
        let view = self
            .store()
            .write(async |tx| {
                let mut guard = undecided(tx, caller, id, ruling).await?;
                guard.state = state;
                guard.decided_by = Some(caller.name.clone());
                guard.decided_at = Some(now);
                guard.justification.clone_from(&why);
                guards::save(tx, &mut guard).await?;
                let action = match state {
                    State::Rejected => "held change rejected",
                    _ => "held change released",
                };
                let detail = json!({ "justification": why });
                note(self, tx, caller, &guard, action, detail, now).await?;
                if let (State::Rejected, Some(package)) = (state, guard.package) {
                    self.take_back(tx, caller, &guard, package, now).await?;
                }
                if let (State::Rejected, Cause::ExtraAccess) = (state, guard.cause) {
                    let why = why.as_deref().unwrap_or("the removal was rejected");
                    self.accept_extras(tx, caller, &guard, why, now).await?;
                }
                view(tx, caller, guard).await
            })
            .await?;
        point(Point::GuardRuled);
        self.wake();
        Ok(view)
    }

    /// Accepts the extra access whose removal was held.
    async fn accept_extras(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        guard: &Guard,
        why: &str,
        now: Timestamp,
    ) -> Result<()> {
        let accepted = extra_plans::dismiss(tx, guard.id, &caller.name, why).await?;
        let detail = json!({ "findings": accepted, "reason": why });
        note(self, tx, caller, guard, "extra access accepted", detail, now).await
    }

    /// Gives a package the roles that it had before.
    async fn take_back(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        guard: &Guard,
        id: PackageId,
        now: Timestamp,
    ) -> Result<()> {
        let Some(package) = packages::get(tx, id).await? else { return Ok(()) };
        for change in guards::changes(tx, guard.id).await? {
            let RoleChange { role, scope, is_added } = change;
            let given = packages::given_one(tx, id, role, scope).await?;
            let (action, given) = if is_added {
                packages::remove_role_scope(tx, id, role, scope).await?;
                ("resource role removed", given)
            } else {
                let known = resources::role(tx, role).await?;
                if known.is_none() || resources::scope(tx, scope).await?.is_none() {
                    return Err(Refusal::Rule {
                        code: "ResourceRoleGone",
                        sentence: "a resource role that was removed from the access package is no \
                                   longer in its catalog, so it cannot be put back; release the \
                                   change, or add the resource again and its role to the package"
                            .to_owned(),
                    }
                    .into());
                }
                packages::add_role_scope(tx, id, role, scope, now).await?;
                ("resource role added", packages::given_one(tx, id, role, scope).await?)
            };
            if let Some(given) = given {
                let detail = crate::packages::role_detail(&given);
                self.audit_package(tx, caller, action, &package, detail, now).await?;
            }
        }
        Ok(spreads::begin(tx, id, now).await?)
    }

    /// Disables people of released changes, a batch; says how many.
    pub(crate) async fn disable_released(&self) -> Result<usize> {
        let left = self.store().read(async |tx| guards::people_left(tx, BATCH).await).await?;
        for several in left.chunks(AT_ONCE) {
            try_join_all(several.iter().map(|(id, user, who)| self.disable(*id, *user, who)))
                .await?;
            tokio::task::yield_now().await;
        }
        Ok(left.len())
    }

    async fn disable(&self, id: GuardId, user: UserId, who: &str) -> Result<()> {
        let now = self.now();
        let caller = Caller::system();
        self.store()
            .write(async |tx| {
                if let Some(known) = users::get(tx, user).await? {
                    people::lock(tx, known.subject).await?;
                    if let Some(before) = users::lock(tx, user).await?
                        && before.account_enabled
                    {
                        let after = users::User { account_enabled: false, ..before.clone() };
                        users::save_all(tx, std::slice::from_ref(&after)).await?;
                        let detail = json!({
                            "changed": ["accountEnabled"], "heldChange": id, "releasedBy": who,
                        });
                        self.note_user(tx, &caller, "user changed", user, detail, now).await?;
                        self.follow_activity(tx, &caller, &before, &after, now).await?;
                    }
                }
                Ok::<_, Error>(guards::person_done(tx, id, user).await?)
            })
            .await?;
        point(Point::GuardLeft);
        Ok(())
    }
}
