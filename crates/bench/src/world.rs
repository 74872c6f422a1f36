//! An organization on a database of its own, and targets that cost nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use accede_app::clock::{SystemClock, SystemEntropy};
use accede_app::{App, Caller, Clock as _, Entropy as _, Settings};
use accede_connectors::{Connector, Done, FoundResource, Health, Item, Person, Presence, Role};
use accede_domain::Timestamp;
use accede_domain::fault::Fault;
use accede_domain::id::{
    CatalogId, Id, PackageId, PolicyId, ResourceId, ResourceRoleId, ResourceScopeId, SubjectId,
    TargetId, UserId,
};
use accede_domain::policy::{
    AllowedTargetScope, ApprovalSettings, ApprovalStage, Policy, RequestorSettings, SubjectSet,
    Terms,
};
use accede_store::catalogs::{self, Catalog, CatalogType};
use accede_store::packages::{self, Package};
use accede_store::policies;
use accede_store::resources::{self, Resource};
use accede_store::subjects::{self, NewSubject};
use accede_store::targets::{self, TargetRow};
use accede_store::users::{self, User};
use accede_store::{Engine, Store, Tx, schema};
use async_trait::async_trait;

use crate::Result;
use crate::cluster::Cluster;

/// Connections to a cluster, as the server has by default.
const POOL: usize = 16;

/// A person of the world.
#[derive(Clone, Copy)]
pub struct Somebody {
    /// Object id.
    pub user: UserId,
    /// Subject id.
    pub subject: SubjectId,
}

/// The world.
pub struct World {
    /// The application.
    pub app: App,
    /// Its store.
    pub store: Store,
    /// Where it lies, or room for what stands beside it.
    pub folder: tempfile::TempDir,
    /// The PostgreSQL cluster that it lies in instead.
    pub cluster: Option<Cluster>,
    /// Everybody.
    pub people: Vec<Somebody>,
    /// The packages, each with one role in the target.
    pub packages: Vec<PackageId>,
    /// The policy of each package.
    pub policies: Vec<PolicyId>,
    /// The one target.
    pub target: TargetId,
}

/// A fresh id.
pub fn id<I: Id>() -> I {
    I::from_uuid(SystemEntropy.uuid(SystemClock.now()))
}

/// The present instant.
pub fn now() -> Timestamp {
    SystemClock.now()
}

/// Opens the database of a folder, or of a cluster.
pub async fn open(folder: &Path, cluster: Option<&Cluster>) -> Result<(App, Store)> {
    let store = match cluster {
        Some(cluster) => Store::open_postgres(&cluster.url, POOL).await?,
        None => Store::open_sqlite(folder).await?,
    };
    store.migrate(schema::MIGRATIONS).await?;
    let app = App::new(
        store.clone(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
        Settings::default(),
    );
    Ok((app, store))
}

impl World {
    /// A world with so many people and packages; the first person approves everything if
    /// `approval`.
    pub async fn new(
        engine: Engine,
        people: usize,
        package_count: usize,
        approval: bool,
    ) -> Result<World> {
        let folder = tempfile::tempdir()?;
        let cluster = (engine == Engine::Postgres).then(Cluster::start).transpose()?;
        let (app, store) = open(folder.path(), cluster.as_ref()).await?;
        let at = now();
        let people: Vec<Somebody> =
            (0..people).map(|_| Somebody { user: id(), subject: id() }).collect();
        let (target, catalog) = (id::<TargetId>(), id::<CatalogId>());
        let package_ids: Vec<PackageId> = (0..package_count).map(|_| id()).collect();
        let policy_ids: Vec<PolicyId> = (0..package_count).map(|_| id()).collect();
        store
            .write(async |tx| {
                insert_people(tx, &people, at).await?;
                targets::insert(tx, &target_row(target, at)).await?;
                catalogs::insert(tx, &catalog_row(catalog, at)).await?;
                for (package, policy) in package_ids.iter().zip(&policy_ids) {
                    insert_package(tx, catalog, target, *package, at).await?;
                    let approver = people.first().filter(|_| approval).map(|first| first.user);
                    let policy = policy_row(*policy, *package, approver);
                    policies::insert(tx, &policy, at).await?;
                }
                Ok::<_, accede_store::Error>(())
            })
            .await?;
        Ok(World {
            app,
            store,
            folder,
            cluster,
            people,
            packages: package_ids,
            policies: policy_ids,
            target,
        })
    }

    /// A person as a caller in the portal.
    pub fn caller(&self, person: Somebody) -> Caller {
        Caller {
            principal: accede_app::Principal::User { user: person.user, subject: person.subject },
            name: person.user.to_string(),
            ..Caller::system()
        }
    }
}

async fn insert_people(
    tx: &mut Tx<'_>,
    people: &[Somebody],
    at: Timestamp,
) -> accede_store::Result<()> {
    let new: Vec<NewSubject> = people
        .iter()
        .map(|person| NewSubject {
            id: person.subject,
            object: person.user.uuid(),
            kind: subjects::Kind::User,
            is_active: true,
            created_at: at,
        })
        .collect();
    subjects::insert_all(tx, &new).await?;
    let rows: Vec<User> = people
        .iter()
        .enumerate()
        .map(|(n, person)| User {
            display_name: format!("Person {n}"),
            ..User::new(person.user, person.subject, format!("person{n}@bench.example"), at)
        })
        .collect();
    users::insert_all(tx, &rows).await
}

fn target_row(target: TargetId, at: Timestamp) -> TargetRow {
    TargetRow {
        id: target,
        name: "bench".to_owned(),
        display_name: "Bench".to_owned(),
        description: None,
        kind: "chaos".to_owned(),
        settings: serde_json::json!({}),
        secrets: None,
        concurrency: 8,
        catalog_owners_may_add: true,
        is_paused: false,
        checked: None,
        created_at: at,
        modified_at: at,
        version: 1,
    }
}

fn catalog_row(catalog: CatalogId, at: Timestamp) -> Catalog {
    Catalog {
        id: catalog,
        display_name: "Bench".to_owned(),
        description: "Measured".to_owned(),
        catalog_type: CatalogType::UserManaged,
        state: catalogs::State::Published,
        is_externally_visible: false,
        created_at: at,
        modified_at: at,
        version: 1,
    }
}

async fn insert_package(
    tx: &mut Tx<'_>,
    catalog: CatalogId,
    target: TargetId,
    package: PackageId,
    at: Timestamp,
) -> accede_store::Result<()> {
    let (resource, role, scope) =
        (id::<ResourceId>(), id::<ResourceRoleId>(), id::<ResourceScopeId>());
    let origin = package.to_string();
    let row = Resource {
        id: resource,
        catalog,
        target,
        origin_system: "bench".to_owned(),
        origin_id: origin.clone(),
        display_name: "Group".to_owned(),
        description: None,
        keep_pre_existing: false,
        created_at: at,
        modified_at: at,
    };
    resources::insert(tx, &row).await?;
    let role_row = resources::Role {
        id: role,
        resource,
        origin_id: format!("Member_{origin}"),
        display_name: "Member".to_owned(),
        description: None,
    };
    resources::insert_role(tx, &role_row).await?;
    let scope_row = resources::Scope {
        id: scope,
        resource,
        origin_id: origin,
        display_name: "Root".to_owned(),
        description: None,
        is_root: true,
    };
    resources::insert_scope(tx, &scope_row).await?;
    let row = Package {
        id: package,
        catalog,
        display_name: format!("Package {package}"),
        description: "Measured".to_owned(),
        is_hidden: false,
        created_at: at,
        modified_at: at,
        version: 1,
    };
    packages::insert(tx, &row).await?;
    packages::add_role_scope(tx, package, role, scope, at).await.map(drop)
}

fn policy_row(policy: PolicyId, package: PackageId, approver: Option<UserId>) -> Policy {
    let stage = |user| ApprovalStage {
        duration_before_automatic_denial: "P14D"
            .parse()
            .unwrap_or(accede_domain::duration::Duration::zero()),
        is_approver_justification_required: false,
        primary_approvers: vec![SubjectSet::SingleUser { user, description: None }],
        fallback_primary_approvers: Vec::new(),
    };
    Policy {
        id: policy,
        package,
        display_name: "Everybody".to_owned(),
        description: "Measured".to_owned(),
        terms: Terms {
            allowed_target_scope: AllowedTargetScope::AllMemberUsers,
            requestor_settings: RequestorSettings {
                enable_targets_to_self_add_access: true,
                enable_targets_to_self_remove_access: true,
                ..RequestorSettings::default()
            },
            request_approval_settings: ApprovalSettings {
                is_approval_required_for_add: approver.is_some(),
                stages: approver.map(stage).into_iter().collect(),
                ..ApprovalSettings::default()
            },
            ..Terms::default()
        },
    }
}

/// A target that does nothing at once, and counts.
pub struct Noop {
    /// Items that were made true.
    pub done: AtomicU64,
    /// Most items in a call.
    pub batch: usize,
    /// When the first call came.
    pub first: std::sync::OnceLock<std::time::Instant>,
}

impl Noop {
    /// A target that takes so many items in a call.
    pub fn new(batch: usize) -> Arc<Noop> {
        Arc::new(Noop { done: AtomicU64::new(0), batch, first: std::sync::OnceLock::new() })
    }
}

#[async_trait]
impl Connector for Noop {
    fn batch_size(&self) -> usize {
        self.batch
    }

    fn can_observe(&self) -> bool {
        false
    }

    async fn check(&self) -> std::result::Result<Health, Fault> {
        Ok(Health { summary: "nothing".to_owned(), took: Duration::ZERO })
    }

    async fn discover(
        &self,
        _: Option<&str>,
        _: usize,
    ) -> std::result::Result<Vec<FoundResource>, Fault> {
        Ok(Vec::new())
    }

    async fn find(&self, _: &str) -> std::result::Result<Option<FoundResource>, Fault> {
        Ok(None)
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<std::result::Result<Done, Fault>> {
        self.first.get_or_init(std::time::Instant::now);
        self.done.fetch_add(batch.len() as u64, Ordering::Relaxed);
        vec![Ok(Done::Applied); batch.len()]
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<std::result::Result<Presence, Fault>> {
        vec![Ok(Presence::Present); batch.len()]
    }
}
