//! One newtype per id, so that a package's id is never taken for a policy's.
//!
//! Ids are time-ordered UUIDs minted in `app`; this file only names and parses them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What every id newtype offers; lets `store` bind and read all of them alike.
pub trait Id: Copy + fmt::Display {
    /// Wraps a UUID.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The wrapped UUID.
    fn uuid(self) -> Uuid;
}

/// The text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid id; ids look like 5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004")]
pub struct MalformedId(pub String);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl Id for $name {
            fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                parse(text).map(Self)
            }
        }
    )*};
}

ids! {
    /// A user's object id in the built-in directory.
    UserId;
    /// A group's object id in the built-in directory.
    GroupId;
    /// An application (service principal) that may call the API.
    AppId;
    /// A person or workload as entitlement management sees it; differs from its object id.
    SubjectId;
    /// A catalog.
    CatalogId;
    /// A target system.
    TargetId;
    /// A resource in a catalog.
    ResourceId;
    /// A role of a resource.
    ResourceRoleId;
    /// A scope of a resource.
    ResourceScopeId;
    /// An access package.
    PackageId;
    /// An assignment policy.
    PolicyId;
    /// An assignment request; its approval has the same id.
    RequestId;
    /// One stage of an approval.
    StageId;
    /// An assignment.
    AssignmentId;
    /// One delivery: one role for one subject in one target.
    DeliveryId;
    /// One call to a target on behalf of one delivery.
    AttemptId;
    /// A role assignment of entitlement management (who is catalog owner, …).
    RoleAssignmentId;
    /// A built-in role definition of entitlement management.
    RoleDefinitionId;
    /// A resource request (adding a resource to a catalog).
    ResourceRequestId;
    /// A reprocess plan.
    PlanId;
    /// A reprocess job.
    JobId;
    /// A cause: the fingerprint of why deliveries fail.
    CauseId;
    /// A held change.
    GuardId;
    /// A notice, to one address or to the webhook.
    NoticeId;
    /// One difference between a target and what is wanted there.
    DriftFindingId;
    /// A task of a person.
    TaskId;
    /// One line of a request's timeline.
    HistoryId;
    /// One audit record.
    AuditId;
}

/// Accepts the usual hyphenated form only; other UUID spellings would make two texts one id.
fn parse(text: &str) -> Result<Uuid, MalformedId> {
    if text.len() != 36 {
        return Err(MalformedId(text.to_owned()));
    }
    Uuid::try_parse(text).map_err(|_| MalformedId(text.to_owned()))
}
