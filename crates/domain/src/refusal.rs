//! Why a rule said no: one closed list, each with the facts a reader needs.
//!
//! A refusal knows nothing of HTTP; `server/src/api/error.rs` gives it a status.

use jiff::Timestamp;

use crate::id::{AssignmentId, PackageId, RequestId};
use crate::{approval, assignment, request};

/// Why a rule said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request's state does not accept this event.
    #[error("a request in state `{}` cannot {}; {}", state.name(), event.verb(), event.advice(state))]
    RequestNotNow {
        /// The state it is in.
        state: request::State,
        /// What was asked of it.
        event: request::Event,
    },
    /// Reprocess came after the window closed.
    #[error(
        "the request was first completed at {completed} and could be reprocessed until {ended}; \
         cancel it where possible and request the access package anew"
    )]
    ReprocessWindowExpired {
        /// When the request first completed.
        completed: Timestamp,
        /// When the window closed.
        ended: Timestamp,
    },
    /// Something the rules check again at reprocess no longer holds.
    #[error("the request cannot be delivered any more: {0}")]
    NoLongerDeliverable(Obstacle),
    /// The assignment's state does not accept this event.
    #[error("an assignment in state `{}` cannot {}", state.name(), event.verb())]
    AssignmentNotNow {
        /// The state it is in.
        state: assignment::State,
        /// What was asked of it.
        event: assignment::Event,
    },
    /// The stage was decided already.
    #[error("this stage was already decided: {}", result.name())]
    StageAlreadyDecided {
        /// How.
        result: approval::Result,
    },
    /// The stage has not started or is over.
    #[error("this stage is not awaiting a decision; it is {}", status.name())]
    StageNotOpen {
        /// Where it stands.
        status: approval::Status,
    },
    /// The stage asks for a justification and none came.
    #[error("this stage requires a justification; send `justification` with the decision")]
    JustificationRequired,
    /// The requestor must say why and did not.
    #[error("the policy requires a justification; send `justification` with the request")]
    RequestorJustificationRequired,
    /// The person already has an open request for the package.
    #[error("there is already an open request for this person and access package: `{0}`")]
    RequestOpen(RequestId),
    /// The person already has the package.
    #[error("the person already has this access package: assignment `{0}`")]
    AlreadyAssigned(AssignmentId),
    /// Separation of duties.
    #[error("{0}")]
    Incompatible(crate::separation::Conflict),
    /// No policy admits the person.
    #[error("no policy of this access package admits this request: {0}")]
    NoPolicy(String),
    /// Several policies of the same class match.
    #[error(
        "several policies match; name one in `assignment.assignmentPolicyId`: {}",
        names.join(", ")
    )]
    SeveralPolicies {
        /// The matching policies, id and name.
        names: Vec<String>,
    },
    /// The catalog is not published.
    #[error("the catalog is not published; only administrators can assign its access packages")]
    CatalogUnpublished,
    /// Removing something that others still need.
    #[error("{what} cannot be deleted while {reason}; {advice}")]
    InUse {
        /// Machine code such as `AccessPackageHasAssignments`.
        code: &'static str,
        /// What was to be deleted.
        what: &'static str,
        /// What still uses it.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// A rule of its own kind, with a stable code.
    #[error("{sentence}")]
    Rule {
        /// Machine code.
        code: &'static str,
        /// Sentence for the reader.
        sentence: String,
    },
    /// The assignment that a removal names belongs to another package or is gone.
    #[error("access package `{0}` has no policy that allows giving access back")]
    RemovalNotAllowed(PackageId),
}

/// What stands in the way of a delivery that was approved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The person was deleted or disabled.
    #[error("the person is disabled or deleted")]
    SubjectInactive,
    /// The period is over.
    #[error("its end, {0}, has passed")]
    EndPassed(Timestamp),
    /// Separation of duties.
    #[error("{0}")]
    Incompatible(crate::separation::Conflict),
    /// What the request had given was taken away since.
    #[error("its assignment has ended since; request the access package anew")]
    AssignmentEnded,
    /// The package is gone.
    #[error("the access package does not exist any more")]
    PackageGone,
    /// The person got the package by another request.
    #[error("the person has the access package by another assignment, `{0}`")]
    AlreadyAssigned(AssignmentId),
    /// A target of the package is paused by an administrator.
    #[error("target system `{0}` is paused; resume it first")]
    TargetPaused(String),
}

impl Obstacle {
    /// Stable machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Obstacle::SubjectInactive => "SubjectInactive",
            Obstacle::EndPassed(_) => "EndPassed",
            Obstacle::Incompatible(_) => "IncompatibleAccess",
            Obstacle::AssignmentEnded => "AssignmentEnded",
            Obstacle::PackageGone => "AccessPackageGone",
            Obstacle::AlreadyAssigned(_) => "AlreadyAssigned",
            Obstacle::TargetPaused(_) => "TargetPaused",
        }
    }
}

impl Refusal {
    /// Stable machine code, the `error.code` on the wire.
    pub const fn code(&self) -> &'static str {
        match self {
            Refusal::RequestNotNow { event: request::Event::Reprocess { .. }, .. } => {
                "RequestNotReprocessable"
            }
            Refusal::RequestNotNow { event: request::Event::Cancel, .. } => "RequestNotCancelable",
            Refusal::RequestNotNow { .. } => "RequestStateConflict",
            Refusal::ReprocessWindowExpired { .. } => "ReprocessWindowExpired",
            Refusal::NoLongerDeliverable(_) => "NoLongerDeliverable",
            Refusal::AssignmentNotNow { event: assignment::Event::Reprocess, .. } => {
                "AssignmentNotDelivered"
            }
            Refusal::AssignmentNotNow { .. } => "AssignmentStateConflict",
            Refusal::StageAlreadyDecided { .. } => "StageAlreadyDecided",
            Refusal::StageNotOpen { .. } => "StageNotOpen",
            Refusal::JustificationRequired | Refusal::RequestorJustificationRequired => {
                "JustificationRequired"
            }
            Refusal::RequestOpen(_) => "OpenRequestExists",
            Refusal::AlreadyAssigned(_) => "AlreadyAssigned",
            Refusal::Incompatible(_) => "IncompatibleAccess",
            Refusal::NoPolicy(_) => "NoMatchingPolicy",
            Refusal::SeveralPolicies { .. } => "SeveralPoliciesMatch",
            Refusal::CatalogUnpublished => "CatalogUnpublished",
            Refusal::InUse { code, .. } | Refusal::Rule { code, .. } => code,
            Refusal::RemovalNotAllowed(_) => "RemovalNotAllowed",
        }
    }
}
