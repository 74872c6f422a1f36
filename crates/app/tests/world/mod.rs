//! A world for tests of the verbs: an organization over a real store, a clock that is moved by hand,
//! target systems with a truth of their own.
//!
//! Nothing here decides anything. What a test set up but did not see through is found by
//! [`World::left`]; a world in memory checks that when it is dropped.

mod fake;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use accede_app::approvals::ApprovalView;
use accede_app::clock::{Clock, Entropy, ManualClock, SeededEntropy};
use accede_app::deliveries::RequestDetail;
use accede_app::packages::RoleChoice;
use accede_app::requests::{ForWhom, NewRequest};
use accede_app::users::UserChange;
use accede_app::{App, Caller, Error, Principal, Result, Settings};
use accede_connectors::Connector;
use accede_domain::approval::Decision;
use accede_domain::duration::Duration;
use accede_domain::id::{
    AssignmentId, CatalogId, GroupId, Id, PackageId, PolicyId, RequestId, ResourceRoleId,
    ResourceScopeId, SubjectId, TargetId, UserId,
};
use accede_domain::permission::{DirectoryRole, Grants};
use accede_domain::policy::{
    AllowedTargetScope, ApprovalSettings, ApprovalStage, Policy, RequestorSettings, SubjectSet,
    Terms,
};
use accede_domain::request::{State, Type};
use accede_domain::schedule::{Expiration, Schedule};
use accede_domain::{SignedDuration, Timestamp, assignment};
use accede_store::attempts::{self, Attempt};
use accede_store::catalogs::{self, Catalog, CatalogType};
use accede_store::deliveries::{self, DeliveryRow};
use accede_store::groups::{self, Group, Tie};
use accede_store::packages::{self, Package};
use accede_store::resources::{self, Resource, Role, Scope};
use accede_store::schema::MIGRATIONS;
use accede_store::subjects::{self, Kind, NewSubject};
use accede_store::targets::{self, TargetRow};
use accede_store::users::{self, User};
use accede_store::{Store, assignments, params, policies, requests, separations};
use futures_util::FutureExt;

pub use fake::{Fake, Trouble};

/// When every world begins.
pub const START: &str = "2026-03-02T09:00:00Z";

/// A person of the world.
#[derive(Debug, Clone)]
pub struct Somebody {
    pub user: UserId,
    pub subject: SubjectId,
    pub name: String,
}

impl Somebody {
    /// As a signed-in person without any role.
    pub fn caller(&self) -> Caller {
        Caller {
            principal: Principal::User { user: self.user, subject: self.subject },
            name: self.name.clone(),
            grants: Grants::default(),
            scopes: None,
        }
    }
}

/// A role of a resource in a target.
#[derive(Debug, Clone)]
pub struct Given {
    pub target: TargetId,
    pub origin: String,
    pub role: ResourceRoleId,
    pub scope: ResourceScopeId,
}

/// An organization, its clock and its targets.
pub struct World {
    pub store: Store,
    pub app: App,
    pub clock: Arc<ManualClock>,
    pub rita: Somebody,
    catalog: CatalogId,
    entropy: Arc<SeededEntropy>,
    settings: Settings,
    hands: std::sync::Mutex<BTreeMap<TargetId, Arc<dyn Connector>>>,
    /// Whether work that is left when the world goes is a failure.
    must_be_idle: AtomicBool,
}

impl World {
    /// A world in memory.
    pub async fn new() -> World {
        let world = World::over(Store::open_in_memory().unwrap(), 1).await;
        world.must_be_idle.store(true, Ordering::Relaxed);
        world
    }

    /// A world over an empty store.
    pub async fn over(store: Store, seed: u64) -> World {
        World::with(store, seed, Settings::default()).await
    }

    /// A world over an empty store, with these settings.
    pub async fn with(store: Store, seed: u64, settings: Settings) -> World {
        store.migrate(MIGRATIONS).await.unwrap();
        let clock = Arc::new(ManualClock::new(at(START)));
        let entropy = Arc::new(SeededEntropy::new(seed));
        let app = App::new(store.clone(), clock.clone(), entropy.clone(), settings.clone());
        let nobody = Somebody {
            user: UserId::from_uuid(uuid::Uuid::nil()),
            subject: SubjectId::from_uuid(uuid::Uuid::nil()),
            name: String::new(),
        };
        let mut world = World {
            store,
            app,
            clock,
            rita: nobody,
            catalog: CatalogId::from_uuid(uuid::Uuid::nil()),
            entropy,
            settings,
            hands: std::sync::Mutex::default(),
            must_be_idle: AtomicBool::new(false),
        };
        world.rita = world.person("rita").await;
        world.catalog = world.add_catalog("General").await;
        world
    }

    /// The process died and another one starts over the same store.
    pub fn restart(&mut self) {
        let clock: Arc<dyn Clock> = self.clock.clone();
        self.app = App::new(self.store.clone(), clock, self.entropy.clone(), self.settings.clone());
        for (target, connector) in self.hands.lock().unwrap().iter() {
            self.app.hands().inject(*target, connector.clone());
        }
    }

    /// Another process over the same store. Its ids are in one order with those of the others, as they
    /// are unless two processes mint some in the same millisecond.
    pub fn another_app(&self) -> App {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let entropy = self.entropy.clone();
        let app = App::new(self.store.clone(), clock, entropy, self.settings.clone());
        for (target, connector) in self.hands.lock().unwrap().iter() {
            app.hands().inject(*target, connector.clone());
        }
        app
    }

    pub fn mint<I: Id>(&self) -> I {
        I::from_uuid(self.entropy.uuid(self.now()))
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Rita, who may do everything.
    pub fn admin(&self) -> Caller {
        let directory = vec![DirectoryRole::GlobalAdministrator];
        Caller { grants: Grants { directory, ..Grants::default() }, ..self.rita.caller() }
    }

    // ---- what there is -------------------------------------------------------------------------

    pub async fn person(&self, name: &str) -> Somebody {
        self.person_under(name, None).await
    }

    pub async fn person_under(&self, name: &str, manager: Option<&Somebody>) -> Somebody {
        let somebody =
            Somebody { user: self.mint(), subject: self.mint(), name: format!("{name}@x.example") };
        let user = User {
            display_name: name.to_owned(),
            manager: manager.map(|manager| manager.user),
            ..User::new(somebody.user, somebody.subject, &somebody.name, self.now())
        };
        let subject = NewSubject {
            id: somebody.subject,
            object: somebody.user.uuid(),
            kind: Kind::User,
            is_active: true,
            created_at: self.now(),
        };
        self.store
            .write(async |tx| {
                subjects::insert_all(tx, std::slice::from_ref(&subject)).await?;
                users::insert_all(tx, std::slice::from_ref(&user)).await
            })
            .await
            .unwrap();
        somebody
    }

    pub async fn group(&self, name: &str, members: &[&Somebody]) -> GroupId {
        let group = Group {
            id: self.mint(),
            display_name: name.to_owned(),
            description: None,
            mail_nickname: name.to_owned(),
            mail: None,
            visibility: None,
            created_at: self.now(),
            version: 1,
        };
        let members: Vec<UserId> = members.iter().map(|member| member.user).collect();
        self.store
            .write(async |tx| {
                groups::insert(tx, &group).await?;
                groups::add(tx, group.id, Tie::Member, &members).await
            })
            .await
            .unwrap();
        group.id
    }

    async fn add_catalog(&self, name: &str) -> CatalogId {
        let catalog = Catalog {
            id: self.mint(),
            display_name: name.to_owned(),
            description: String::new(),
            catalog_type: CatalogType::ServiceDefault,
            state: catalogs::State::Published,
            is_externally_visible: false,
            created_at: self.now(),
            modified_at: self.now(),
            version: 1,
        };
        self.store.write(async |tx| catalogs::insert(tx, &catalog).await).await.unwrap();
        catalog.id
    }

    /// A target system of this name, spoken to by `connector`.
    pub async fn target_with(&self, name: &str, connector: Arc<dyn Connector>) -> TargetId {
        let row = TargetRow {
            id: self.mint(),
            name: name.to_owned(),
            display_name: name.to_uppercase(),
            description: None,
            kind: "chaos".to_owned(),
            settings: serde_json::json!({}),
            secrets: None,
            concurrency: 8,
            catalog_owners_may_add: false,
            is_paused: false,
            checked: None,
            created_at: self.now(),
            modified_at: self.now(),
            version: 1,
        };
        self.store.write(async |tx| targets::insert(tx, &row).await).await.unwrap();
        self.app.hands().inject(row.id, connector.clone());
        self.hands.lock().unwrap().insert(row.id, connector);
        row.id
    }

    /// A target system of this name that does as it is told, until told otherwise.
    pub async fn target(&self, name: &str) -> Arc<Fake> {
        let fake = Arc::new(Fake::new(name));
        fake.set_id(self.target_with(name, fake.clone()).await);
        fake
    }

    /// Pauses a target as if it had been so already when the backup was made.
    pub async fn pause_in_store(&self, target: TargetId) {
        let change = async |tx: &mut accede_store::Tx<'_>| {
            tx.execute("update targets set is_paused = true where id = $1", params![target]).await
        };
        self.store.write(async |tx| change(tx).await.map(drop)).await.unwrap();
    }

    pub async fn pause(&self, target: TargetId, is_paused: bool) {
        let admin = self.admin();
        let outcome = if is_paused {
            self.app.pause_target(&admin, target).await
        } else {
            self.app.resume_target(&admin, target).await
        };
        outcome.unwrap();
    }

    /// A group-like resource of that id in a target, with its member role.
    pub async fn role(&self, target: TargetId, origin: &str) -> Given {
        self.role_kept(target, origin, false).await
    }

    pub async fn role_kept(&self, target: TargetId, origin: &str, keep: bool) -> Given {
        let resource = Resource {
            id: self.mint(),
            catalog: self.catalog,
            target,
            origin_system: String::new(),
            origin_id: origin.to_owned(),
            display_name: origin.to_owned(),
            description: None,
            keep_pre_existing: keep,
            created_at: self.now(),
            modified_at: self.now(),
        };
        let role = Role {
            id: self.mint(),
            resource: resource.id,
            origin_id: format!("Member_{origin}"),
            display_name: "Member".to_owned(),
            description: None,
        };
        let scope = Scope {
            id: self.mint(),
            resource: resource.id,
            origin_id: origin.to_owned(),
            display_name: "Root".to_owned(),
            description: None,
            is_root: true,
        };
        self.store
            .write(async |tx| {
                resources::insert(tx, &resource).await?;
                resources::insert_role(tx, &role).await?;
                resources::insert_scope(tx, &scope).await
            })
            .await
            .unwrap();
        Given { target, origin: origin.to_owned(), role: role.id, scope: scope.id }
    }

    /// A package that gives these roles, with one policy: everybody may ask, nobody must approve.
    pub async fn package(&self, name: &str, roles: &[&Given]) -> PackageId {
        self.package_under(name, roles, open_terms()).await
    }

    /// A package that gives these roles under these terms.
    pub async fn package_under(&self, name: &str, roles: &[&Given], terms: Terms) -> PackageId {
        let package = Package {
            id: self.mint(),
            catalog: self.catalog,
            display_name: name.to_owned(),
            description: String::new(),
            is_hidden: false,
            created_at: self.now(),
            modified_at: self.now(),
            version: 1,
        };
        let policy = Policy {
            id: self.mint::<PolicyId>(),
            package: package.id,
            display_name: format!("{name} policy"),
            description: String::new(),
            terms,
        };
        let now = self.now();
        self.store
            .write(async |tx| {
                packages::insert(tx, &package).await?;
                policies::insert(tx, &policy, now).await?;
                for role in roles {
                    packages::add_role_scope(tx, package.id, role.role, role.scope, now).await?;
                }
                Ok::<_, accede_store::Error>(())
            })
            .await
            .unwrap();
        package.id
    }

    /// Somebody edits the policy of a package.
    pub async fn replace_terms(&self, package: PackageId, terms: Terms) {
        self.store
            .write(async |tx| {
                let id = policies::of_package(tx, package).await?[0].id;
                let mut stored = policies::lock(tx, id).await?.unwrap();
                stored.policy.terms = terms.clone();
                policies::save(tx, &mut stored).await
            })
            .await
            .unwrap();
    }

    pub async fn incompatible(&self, package: PackageId, other: PackageId) {
        self.store
            .write(async |tx| separations::add_package(tx, package, other).await)
            .await
            .unwrap();
    }

    pub async fn incompatible_group(&self, package: PackageId, group: GroupId) {
        self.store
            .write(async |tx| separations::add_group(tx, package, group).await)
            .await
            .unwrap();
    }

    pub async fn join(&self, group: GroupId, person: &Somebody) {
        let users = [person.user];
        self.store
            .write(async |tx| groups::add(tx, group, Tie::Member, &users).await)
            .await
            .unwrap();
    }

    pub async fn add_role(&self, package: PackageId, role: &Given) {
        let choice =
            RoleChoice { role: Some(role.role), scope: Some(role.scope), ..RoleChoice::default() };
        self.app.add_role_scope(&self.admin(), package, &choice, None).await.unwrap();
    }

    pub async fn remove_role(&self, package: PackageId, role: &Given) {
        let admin = self.admin();
        self.app.remove_role_scope(&admin, package, role.role, role.scope).await.unwrap();
    }

    /// Gives a person a mail address.
    pub async fn mail(&self, person: &Somebody, mail: &str) {
        let change = UserChange { mail: Some(Some(mail.to_owned())), ..UserChange::default() };
        self.app.change_user(&self.admin(), &person.name, change).await.unwrap();
    }

    /// Gives a person a role on the catalog.
    pub async fn manages(&self, person: &Somebody, role: accede_domain::permission::Role) {
        let row = accede_store::role_assignments::RoleAssignment {
            id: self.mint(),
            principal: person.user.uuid(),
            role: role.definition(),
            catalog: Some(self.catalog),
            created_at: self.now(),
        };
        self.store
            .write(async |tx| accede_store::role_assignments::insert(tx, &row).await)
            .await
            .unwrap();
    }

    /// Disables a person or enables them again.
    pub async fn set_active(&self, person: &Somebody, is_active: bool) {
        let change = UserChange { account_enabled: Some(is_active), ..UserChange::default() };
        self.app.change_user(&self.admin(), &person.name, change).await.unwrap();
    }

    // ---- what people do ------------------------------------------------------------------------

    /// Somebody asks for a package for themself.
    pub async fn submit(&self, person: &Somebody, package: PackageId) -> RequestId {
        self.try_submit(person, package).await.unwrap()
    }

    pub async fn try_submit(&self, person: &Somebody, package: PackageId) -> Result<RequestId> {
        self.try_submit_for(person, package, Schedule::default()).await
    }

    pub async fn try_submit_for(
        &self,
        person: &Somebody,
        package: PackageId,
        schedule: Schedule,
    ) -> Result<RequestId> {
        let new = NewRequest { schedule, ..ask(package) };
        Ok(self.app.submit_request(&person.caller(), new).await?.id)
    }

    /// Rita assigns a package.
    pub async fn assign(&self, person: &Somebody, package: PackageId) -> Result<RequestId> {
        let new = NewRequest {
            request_type: Type::AdminAdd,
            target: ForWhom::User(person.user),
            ..ask(package)
        };
        Ok(self.app.submit_request(&self.admin(), new).await?.id)
    }

    /// Rita takes an assignment away.
    pub async fn remove(&self, assignment: AssignmentId) -> Result<RequestId> {
        let new = NewRequest {
            request_type: Type::AdminRemove,
            package: None,
            assignment: Some(assignment),
            ..ask(PackageId::from_uuid(uuid::Uuid::nil()))
        };
        Ok(self.app.submit_request(&self.admin(), new).await?.id)
    }

    /// Somebody decides the open stage of a request.
    pub async fn decide(&self, who: &Somebody, id: RequestId, decision: Decision) -> Result<()> {
        let approval = self.approval(id).await;
        let open = approval.stages.iter().rposition(|stage| {
            stage.row.stage.status != accede_domain::approval::Status::Initializing
        });
        let stage = &approval.stages[open.unwrap_or(0)];
        self.app.decide(&who.caller(), id, stage.row.id, decision, None).await
    }

    /// Somebody tries to approve a stage, whether or not it is its turn.
    pub async fn decide_stage(&self, who: &Somebody, id: RequestId, position: usize) -> Result<()> {
        let stage = self.approval(id).await.stages[position].row.id;
        self.app.decide(&who.caller(), id, stage, Decision::Approve, None).await
    }

    pub async fn approve(&self, who: &Somebody, id: RequestId) -> Result<()> {
        self.decide(who, id, Decision::Approve).await
    }

    pub async fn cancel(&self, id: RequestId) -> Result<()> {
        self.app.cancel_request(&self.admin(), id).await
    }

    pub async fn reprocess(&self, id: RequestId) -> Result<()> {
        self.app.reprocess_request(&self.admin(), id).await
    }

    // ---- time ----------------------------------------------------------------------------------

    /// Does everything that is due at the present instant.
    pub async fn work(&self) {
        self.app.work_until_idle().await.unwrap();
    }

    /// Lets time pass, doing what becomes due when it becomes due.
    pub async fn pass(&self, span: SignedDuration) {
        let until = self.now().checked_add(span).unwrap();
        self.work().await;
        while let Some(next) = self.next_event().await.filter(|next| *next <= until) {
            assert!(self.now() < next, "work that is due at {next} is never done");
            self.clock.set(next);
            self.work().await;
        }
        self.clock.set(until);
        self.work().await;
    }

    /// Lets time pass without any work being done: the process was down.
    pub fn sleep(&self, span: SignedDuration) {
        self.clock.set(self.now().checked_add(span).unwrap());
    }

    /// When something is due next, if ever.
    pub async fn next_event(&self) -> Option<Timestamp> {
        self.store.read(async |tx| next_event(tx).await).await.unwrap()
    }

    /// What is due at the present instant and not done.
    pub async fn left(&self) -> Option<String> {
        let now = self.now();
        self.store.read(async |tx| left(tx, now).await).await.unwrap()
    }

    /// The circuit of a target.
    pub async fn circuit(&self, target: TargetId) -> accede_store::circuits::CircuitRow {
        self.store.read(async |tx| accede_store::circuits::get(tx, target).await).await.unwrap()
    }

    // ---- what is so ----------------------------------------------------------------------------

    pub async fn request(&self, id: RequestId) -> requests::Request {
        self.store.read(async |tx| requests::get(tx, id).await).await.unwrap().unwrap()
    }

    pub async fn state(&self, id: RequestId) -> &'static str {
        match self.request(id).await.state {
            State::Canceling { .. } => "canceling",
            state => state.name(),
        }
    }

    /// The assignment that a request made or ends.
    pub async fn assignment(&self, id: RequestId) -> assignments::Assignment {
        let assignment = self.request(id).await.assignment.unwrap();
        self.store.read(async |tx| assignments::get(tx, assignment).await).await.unwrap().unwrap()
    }

    pub async fn assignment_state(&self, id: RequestId) -> &'static str {
        match self.assignment(id).await.state {
            assignment::State::Ending { .. } => "ending",
            state => state.name(),
        }
    }

    /// Every request of a person for a package, oldest first.
    pub async fn requests_of(&self, person: &Somebody) -> Vec<requests::Request> {
        let subject = person.subject;
        self.store
            .read(async |tx| {
                let rows = tx
                    .query(
                        "select id from requests where subject_id = $1 order by created_at_ms, id",
                        params![subject],
                    )
                    .await?;
                let mut found = Vec::new();
                for row in &rows {
                    found.extend(requests::get(tx, row.get(0)?).await?);
                }
                Ok::<_, accede_store::Error>(found)
            })
            .await
            .unwrap()
    }

    pub async fn detail(&self, id: RequestId) -> RequestDetail {
        self.app.request_detail(&self.admin(), id).await.unwrap()
    }

    pub async fn approval(&self, id: RequestId) -> ApprovalView {
        self.app.get_approval(&self.admin(), id).await.unwrap()
    }

    /// The timeline's words.
    pub async fn history(&self, id: RequestId) -> Vec<String> {
        let lines = self.app.request_history(&self.admin(), id).await.unwrap();
        lines.into_iter().map(|line| line.kind).collect()
    }

    /// The delivery of a role to a person.
    pub async fn delivery(&self, person: &Somebody, role: &Given) -> DeliveryRow {
        let subject = person.subject;
        self.store
            .read(async |tx| {
                let row = tx
                    .query_one(
                        "select id from deliveries
                         where subject_id = $1 and target_id = $2 and resource_origin_id = $3",
                        params![subject, role.target, role.origin.clone()],
                    )
                    .await?;
                deliveries::get(tx, row.get(0)?).await
            })
            .await
            .unwrap()
            .unwrap()
    }

    /// How often something stands in the audit log.
    pub async fn audits(&self, action: &str) -> i64 {
        self.store
            .read(async |tx| {
                let sql = "select count(*) from audit where action = $1";
                tx.query_one(sql, params![action]).await?.get(0)
            })
            .await
            .unwrap_or_else(|error: accede_store::Error| panic!("{error}"))
    }

    /// What was tried for a delivery, oldest first: action and outcome.
    pub async fn attempts(&self, person: &Somebody, role: &Given) -> Vec<String> {
        let id = self.delivery(person, role).await.id;
        let attempts: Vec<Attempt> =
            self.store.read(async |tx| attempts::of_delivery(tx, id, 100).await).await.unwrap();
        attempts
            .iter()
            .rev()
            .map(|attempt| match &attempt.code {
                Some(code) => format!("{} {code}", attempt.action),
                None => format!("{} {}", attempt.action, attempt.outcome),
            })
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() || !self.must_be_idle.load(Ordering::Relaxed) {
            return;
        }
        // In memory nothing waits for anything, so one look is enough.
        let left = tokio::task::unconstrained(self.left()).now_or_never();
        match left {
            Some(None) => {}
            Some(Some(what)) => panic!("work was left undone: {what}"),
            None => panic!("the world is still busy"),
        }
    }
}

/// When something is due next, if ever.
pub async fn next_event(tx: &mut accede_store::Tx<'_>) -> accede_store::Result<Option<Timestamp>> {
    let row = tx
        .query_one(
            "select min(at) from (
                 select min(case when c.held_until_ms > d.ready_at_ms then c.held_until_ms
                     else d.ready_at_ms end) as at
                 from deliveries d join targets t on t.id = d.target_id
                     left join circuits c on c.target_id = d.target_id
                 where not t.is_paused
                 union all
                 select min(end_at_ms) from assignments where state not in ('ending', 'expired')
                 union all
                 select min(begins_at_ms) from requests where state = 'scheduled'
                 union all
                 select min(due_at_ms) from approval_stages where status = 'InProgress') x",
            params![],
        )
        .await?;
    row.get(0)
}

/// What is due at `now` and not done.
pub async fn left(
    tx: &mut accede_store::Tx<'_>,
    now: Timestamp,
) -> accede_store::Result<Option<String>> {
    if let Some(next) = next_event(tx).await?.filter(|next| *next <= now) {
        return Ok(Some(format!("something is due since {next}")));
    }
    if !accede_store::spreads::open(tx, 1).await?.is_empty() {
        return Ok(Some("a change of a package's roles has not reached everybody".to_owned()));
    }
    let jobs = tx.query("select id from reprocess_jobs where state = 'running'", params![]).await?;
    Ok((!jobs.is_empty()).then(|| format!("{} job(s) are running", jobs.len())))
}

/// Terms under which everybody may ask, for any period, and nobody must approve.
pub fn open_terms() -> Terms {
    Terms {
        allowed_target_scope: AllowedTargetScope::AllMemberUsers,
        requestor_settings: RequestorSettings {
            enable_targets_to_self_add_access: true,
            enable_targets_to_self_remove_access: true,
            allow_custom_assignment_schedule: true,
            ..RequestorSettings::default()
        },
        ..Terms::default()
    }
}

/// The same terms, with these approval stages.
pub fn approved_terms(stages: Vec<ApprovalStage>) -> Terms {
    Terms {
        request_approval_settings: ApprovalSettings {
            is_approval_required_for_add: true,
            stages,
            ..ApprovalSettings::default()
        },
        ..open_terms()
    }
}

/// A stage of 14 days that these people decide.
pub fn stage(primary: &[SubjectSet], fallback: &[SubjectSet]) -> ApprovalStage {
    ApprovalStage {
        duration_before_automatic_denial: Duration::days(14),
        is_approver_justification_required: false,
        primary_approvers: primary.to_vec(),
        fallback_primary_approvers: fallback.to_vec(),
    }
}

pub fn user(somebody: &Somebody) -> SubjectSet {
    SubjectSet::SingleUser { user: somebody.user, description: None }
}

pub fn members(group: GroupId) -> SubjectSet {
    SubjectSet::GroupMembers { group, description: None }
}

pub fn manager() -> SubjectSet {
    SubjectSet::RequestorManager { level: 1 }
}

/// A request of the caller's own for a package, with nothing else said.
pub fn ask(package: PackageId) -> NewRequest {
    NewRequest {
        request_type: Type::UserAdd,
        target: ForWhom::Caller,
        package: Some(package),
        policy: None,
        assignment: None,
        schedule: Schedule::default(),
        justification: None,
        answers: Vec::new(),
    }
}

/// Until an instant.
pub fn until(end: Timestamp) -> Schedule {
    Schedule { start_date_time: None, expiration: Expiration::AfterDateTime { end } }
}

/// From an instant on.
pub fn from(start: Timestamp) -> Schedule {
    Schedule { start_date_time: Some(start), expiration: Expiration::NotSpecified }
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

pub fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

pub fn days(n: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * n)
}

/// The machine code of what went wrong; `ok` if nothing did.
pub fn code<T>(outcome: &Result<T>) -> String {
    match outcome {
        Ok(_) => "ok".to_owned(),
        Err(Error::Refused(refusal)) => refusal.code().to_owned(),
        Err(Error::Forbidden { .. }) => "Forbidden".to_owned(),
        Err(Error::NotFound { .. }) => "NotFound".to_owned(),
        Err(Error::Invalid { path, .. }) => format!("Invalid {path}"),
        Err(other) => format!("{other:?}"),
    }
}
