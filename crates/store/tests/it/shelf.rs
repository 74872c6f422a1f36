//! A catalog with a resource, a package and a policy, for tests that need one beneath them.

use accede_domain::Timestamp;
use accede_domain::id::{
    AssignmentId, CatalogId, GroupId, Id, PackageId, PolicyId, RequestId, ResourceId,
    ResourceRoleId, ResourceScopeId, SubjectId, TargetId,
};
use accede_domain::policy::{AllowedTargetScope, Policy, Terms};
use accede_store::catalogs::{self, Catalog, CatalogType, State};
use accede_store::packages::{self, Package};
use accede_store::resources::{self, Resource, Role, Scope};
use accede_store::targets::{self, TargetRow};
use accede_store::{Error, Result, Store, Tx, params, policies};
use uuid::Uuid;

/// The `n`th id of a kind.
pub fn nth<I: Id>(n: u128) -> I {
    I::from_uuid(Uuid::from_u128(n))
}

/// `n` seconds after the beginning.
pub fn at(n: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + n).unwrap()
}

pub fn catalog(n: u128, name: &str) -> Catalog {
    Catalog {
        id: nth(n),
        display_name: name.to_owned(),
        description: "about it".to_owned(),
        catalog_type: CatalogType::UserManaged,
        state: State::Published,
        is_externally_visible: false,
        created_at: at(0),
        modified_at: at(0),
        version: 1,
    }
}

pub fn target(n: u128, name: &str) -> TargetRow {
    TargetRow {
        id: nth(n),
        name: name.to_owned(),
        display_name: name.to_uppercase(),
        description: None,
        kind: "scim".to_owned(),
        settings: serde_json::json!({ "baseUrl": "https://wiki.example" }),
        secrets: Some(vec![1, 2, 3]),
        concurrency: 8,
        catalog_owners_may_add: false,
        is_paused: false,
        checked: None,
        created_at: at(0),
        modified_at: at(0),
        version: 1,
    }
}

pub fn resource(n: u128, catalog: CatalogId, target: TargetId, origin: &str) -> Resource {
    Resource {
        id: nth(n),
        catalog,
        target,
        origin_system: "wiki".to_owned(),
        origin_id: origin.to_owned(),
        display_name: format!("the {origin}"),
        description: None,
        keep_pre_existing: false,
        created_at: at(0),
        modified_at: at(0),
    }
}

pub fn role(n: u128, resource: ResourceId, origin: &str) -> Role {
    Role {
        id: nth(n),
        resource,
        origin_id: origin.to_owned(),
        display_name: origin.to_owned(),
        description: None,
    }
}

pub fn scope(n: u128, resource: ResourceId, origin: &str) -> Scope {
    Scope {
        id: nth(n),
        resource,
        origin_id: origin.to_owned(),
        display_name: "Root".to_owned(),
        description: Some("Root Scope".to_owned()),
        is_root: true,
    }
}

pub fn package(n: u128, catalog: CatalogId, name: &str) -> Package {
    Package {
        id: nth(n),
        catalog,
        display_name: name.to_owned(),
        description: String::new(),
        is_hidden: false,
        created_at: at(0),
        modified_at: at(0),
        version: 1,
    }
}

pub fn policy(n: u128, package: PackageId, name: &str) -> Policy {
    Policy {
        id: nth(n),
        package,
        display_name: name.to_owned(),
        description: String::new(),
        terms: Terms {
            allowed_target_scope: AllowedTargetScope::AllMemberUsers,
            ..Terms::default()
        },
    }
}

/// The ids of what [`stock`] puts there.
pub struct Shelf {
    pub catalog: CatalogId,
    pub target: TargetId,
    pub resource: ResourceId,
    pub role: ResourceRoleId,
    pub scope: ResourceScopeId,
    pub package: PackageId,
    pub policy: PolicyId,
    pub group: GroupId,
    pub subject: SubjectId,
}

/// Puts one of each there: the package gives the role.
pub async fn stock(store: &Store) -> Shelf {
    let shelf = Shelf {
        catalog: nth(1),
        target: nth(2),
        resource: nth(3),
        role: nth(4),
        scope: nth(5),
        package: nth(6),
        policy: nth(7),
        group: nth(8),
        subject: nth(9),
    };
    store
        .write(async |tx| {
            catalogs::insert(tx, &catalog(1, "Marketing")).await?;
            targets::insert(tx, &target(2, "wiki")).await?;
            let editors = resource(3, shelf.catalog, shelf.target, "editors");
            resources::insert(tx, &editors).await?;
            resources::insert_role(tx, &role(4, shelf.resource, "Member_editors")).await?;
            resources::insert_scope(tx, &scope(5, shelf.resource, "editors")).await?;
            packages::insert(tx, &package(6, shelf.catalog, "Campaign")).await?;
            packages::add_role_scope(tx, shelf.package, shelf.role, shelf.scope, at(1)).await?;
            policies::insert(tx, &policy(7, shelf.package, "Everybody"), at(0)).await?;
            tx.execute(
                "insert into groups (id, display_name, mail_nickname, created_at_ms, version)
                 values ($1, 'Auditors', 'auditors', $2, 1)",
                params![shelf.group, at(0)],
            )
            .await?;
            tx.execute(
                "insert into subjects (id, object_id, subject_type, is_active, created_at_ms)
                 values ($1, $2, 'user', $3, $4)",
                params![shelf.subject, Uuid::from_u128(10), true, at(0)],
            )
            .await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    shelf
}

/// An assignment of the package in this state.
pub async fn assign(tx: &mut Tx<'_>, shelf: &Shelf, state: &str) -> Result<()> {
    let over = matches!(state, "ending" | "expired").then(|| at(5));
    let expired = (state == "expired").then(|| at(6));
    let id: AssignmentId = nth(20);
    tx.execute(
        "insert into assignments (id, subject_id, package_id, policy_id, state, start_at_ms,
             ended_at_ms, expired_at_ms, created_at_ms, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $6, 1)",
        params![id, shelf.subject, shelf.package, shelf.policy, state, at(2), over, expired],
    )
    .await?;
    Ok(())
}

/// A request for the package in this state.
pub async fn ask(tx: &mut Tx<'_>, shelf: &Shelf, state: &str) -> Result<()> {
    let id: RequestId = nth(21);
    let done = matches!(state, "delivered" | "denied" | "canceled").then(|| at(9));
    tx.execute(
        "insert into requests (id, request_type, subject_id, requestor_id, package_id, policy_id,
             state, is_timed_out, completed_at_ms, schedule, terms, answers, created_at_ms, version)
         values ($1, 'userAdd', $2, $2, $3, $4, $5, $6, $7, '{}', '{}', '[]', $8, 1)",
        params![id, shelf.subject, shelf.package, shelf.policy, state, false, done, at(3)],
    )
    .await?;
    Ok(())
}

/// A delivery of the role in this phase.
pub async fn deliver(tx: &mut Tx<'_>, shelf: &Shelf, phase: &str) -> Result<()> {
    tx.execute(
        "insert into deliveries (id, target_id, subject_id, resource_origin_id, role_origin_id,
             scope_origin_id, role_id, wanted, generation, observed, phase, epoch, attempts,
             misses, since_at_ms, pre_existing, keep_pre_existing)
         values ($1, $2, $3, 'editors', 'Member_editors', 'editors', $4, $5, 1, 'never', $6, 0, 0,
             0, $7, $8, $8)",
        params![
            Uuid::from_u128(30),
            shelf.target,
            shelf.subject,
            shelf.role,
            true,
            phase,
            at(4),
            false
        ],
    )
    .await?;
    Ok(())
}
