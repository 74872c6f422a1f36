//! The hands of Accede: one file per kind of target system.
//!
//! A connector receives plain values, calls its target, and says what happened in the closed terms
//! of [`accede_domain::fault`]. It holds no state but a client, never retries, and never sees the
//! database: a transaction cannot be open while it works.

pub mod chaos;
pub mod directory;
mod dn;
pub mod egress;
mod faults;
pub mod graph;
pub mod hook;
mod http;
pub mod kinds;
pub mod ldap;
mod listed;
pub mod mail;
pub mod manual;
pub mod oauth;
mod pace;
pub mod postgres;
mod roles;
pub mod scim;
pub mod settings;
pub mod signature;
pub mod tls;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use accede_domain::Timestamp;
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{DeliveryId, Id, SubjectId, TargetId};
use accede_domain::pending::{ACCEPTED_FOR, Accepted};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// A person as a connector needs to know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Immutable id; what SCIM calls `externalId`.
    pub subject: SubjectId,
    /// The user's object id in the built-in directory.
    pub object_id: String,
    /// Sign-in name, such as `mira@harbourline.example`.
    pub user_principal_name: String,
    /// Full name for people.
    pub display_name: String,
    /// First name, if known.
    pub given_name: Option<String>,
    /// Last name, if known.
    pub surname: Option<String>,
    /// Mail address, if known.
    pub mail: Option<String>,
}

/// What a resource role is called in its target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role {
    /// The resource's id in the target: a group id, a DN, a role name.
    pub resource: String,
    /// The role's id in the target, such as `Member_{resource}`.
    pub role: String,
    /// The scope's id in the target; equal to `resource` for a root scope.
    pub scope: String,
}

/// What should be true in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// The person has the role.
    Granted,
    /// The person does not have the role.
    Revoked,
}

/// One item of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Who.
    pub person: Person,
    /// Which role.
    pub role: Role,
    /// What should be true.
    pub wanted: Wanted,
    /// On whose behalf.
    pub order: Order,
}

/// What an item is part of, for targets that remember what they were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Order {
    /// For which delivery.
    pub delivery: DeliveryId,
    /// For which of its wishes: counts up with each change of what is wanted.
    pub generation: i64,
}

impl Default for Order {
    /// On behalf of nothing that is known.
    fn default() -> Order {
        Order { delivery: DeliveryId::from_uuid(uuid::Uuid::nil()), generation: 0 }
    }
}

/// What made an item true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Our call changed it.
    Applied,
    /// It was already so before our call, as far as the target lets us see.
    AlreadyInState,
    /// It is not true yet: somebody took the work and is not done with it.
    Pending(Accepted),
}

impl Done {
    /// The target took the work and does it later, as `202` says.
    pub const fn later() -> Done {
        Done::Pending(Accepted::Target { at_most: ACCEPTED_FOR })
    }
}

/// What a target says about one person's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// The person has the role.
    Present,
    /// The person verifiably does not have the role.
    Absent,
}

/// Somebody who holds a role in a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holder {
    /// What the target calls them: an account's id, a DN, a login.
    pub id: String,
    /// Their name there, for people.
    pub name: Option<String>,
    /// Who they are, if they are one of the people that were named in the question.
    pub subject: Option<SubjectId>,
    /// By what others are recognized, see [`Connector::marks`].
    pub marks: Vec<String>,
}

/// Everybody who holds a role in a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    /// Them.
    pub list: Vec<Holder>,
    /// How many calls to the target that took, about.
    pub calls: usize,
}

/// A role or scope found in a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundRole {
    /// The role's id in the target, such as `Member_{resource}`.
    pub origin_id: String,
    /// Name for people, such as `Member`.
    pub display_name: String,
}

/// A resource found in a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundResource {
    /// The resource's immutable id in the target.
    pub origin_id: String,
    /// Name for people.
    pub display_name: String,
    /// What the target says about it.
    pub description: Option<String>,
    /// Its roles. A group has `Member`, and `Owner` where the target has owners.
    pub roles: Vec<FoundRole>,
}

/// What a check of a target found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// What answered, for people: product, version, features.
    pub summary: String,
    /// How long the target took.
    #[serde(skip)]
    pub took: Duration,
}

/// Code that speaks to one kind of target.
///
/// Every method must end by itself before [`CALL_DEADLINE`]; the worker also enforces it from
/// outside. A batch is answered in order, one answer an item, always as many as were asked.
#[async_trait]
pub trait Connector: Send + Sync {
    /// How many items with the same role and the same wish this connector puts into one call.
    fn batch_size(&self) -> usize;

    /// Whether `observe` can tell present from absent in this target.
    fn can_observe(&self) -> bool;

    /// Whether giving somebody a role may first make an account for them. Two calls for one person, from
    /// two servers, could then make two, as not every target refuses the second; so whoever calls it
    /// has one such call in flight for a person, or one connector makes them all.
    fn makes_accounts(&self) -> bool {
        false
    }

    /// Answers whether the target can be reached with these settings and secrets.
    async fn check(&self) -> Result<Health, Fault>;

    /// Finds resources whose name or id contains `search`, at most `limit`.
    async fn discover(
        &self,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FoundResource>, Fault>;

    /// Finds one resource by its id in the target; `None` if it verifiably does not exist.
    async fn find(&self, origin_id: &str) -> Result<Option<FoundResource>, Fault>;

    /// Makes every item true, touching nothing else. All items of one call have the same role and
    /// the same wish; a connector that can puts them into one call to the target, and falls back to
    /// single ones when the batch is refused.
    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>>;

    /// Says what is true for each person and role. A failed or partial read is a fault, never
    /// `Absent`.
    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>>;

    /// Whether `holders` can list who has a role in this target.
    fn can_list_holders(&self) -> bool {
        false
    }

    /// Everybody who holds a role, direct and complete: a list that may lack somebody is a fault, and
    /// so is one of more than [`MAX_HOLDERS`]. Who is one of `known`, the people that are supposed to
    /// hold it, is named by their subject; what others are recognized by is read as far as it takes
    /// few calls. A role that is verifiably gone has no holders.
    async fn holders(&self, role: &Role, known: &[Person]) -> Result<Holders, Fault> {
        let _ = known;
        let message = format!("this kind of target does not list who has `{}`", role.role);
        Err(Fault::new(Class::Unsupported, "holders-unlisted", message))
    }

    /// What a holder that is this person would be recognized by: compared as they are, so in one case
    /// and without blanks around them.
    fn marks(&self, person: &Person) -> Vec<String> {
        let _ = person;
        Vec::new()
    }
}

/// Most holders of one role that are listed.
pub const MAX_HOLDERS: usize = 10_000;
/// How many holders that are nobody we know are looked up one by one in one listing.
pub(crate) const MAX_LOOKED_UP: usize = 100;

/// How long one call to a target may take, everything included.
pub const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// What is needed to speak to a target.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which target, for log lines.
    pub target: TargetId,
    /// Non-secret settings as JSON, validated by the connector's `open`.
    pub settings: serde_json::Value,
    /// Secrets by name. Never logged.
    pub secrets: std::collections::BTreeMap<String, String>,
    /// Tells the time to kinds that must say it to their targets.
    pub clock: Clock,
}

/// Tells the time. A connector has none of its own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks this.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    /// A clock that stands still at the beginning of Unix time.
    fn default() -> Clock {
        Clock::new(|| Timestamp::UNIX_EPOCH)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
