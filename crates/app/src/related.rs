//! What stands beside requests and assignments when a reader asks for it to be expanded.
//!
//! Whoever may see a request may see the package, policy and assignment it is about; so nothing here
//! asks again.

use std::collections::BTreeMap;

use accede_domain::id::{AssignmentId, PackageId, PolicyId};
use accede_store::assignment_list::{self, Summary};
use accede_store::packages::{self, Package};
use accede_store::policies::{self, Stored};

use crate::{App, Error, Result};

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// These packages.
    pub packages: Vec<PackageId>,
    /// These policies.
    pub policies: Vec<PolicyId>,
    /// These assignments.
    pub assignments: Vec<AssignmentId>,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Related {
    packages: BTreeMap<PackageId, Package>,
    policies: BTreeMap<PolicyId, Stored>,
    assignments: BTreeMap<AssignmentId, Summary>,
}

impl Related {
    /// A package.
    pub fn package(&self, id: PackageId) -> Option<&Package> {
        self.packages.get(&id)
    }

    /// A policy.
    pub fn policy(&self, id: PolicyId) -> Option<&Stored> {
        self.policies.get(&id)
    }

    /// An assignment.
    pub fn assignment(&self, id: AssignmentId) -> Option<&Summary> {
        self.assignments.get(&id)
    }
}

impl App {
    /// Reads what stands beside requests and assignments.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn related(&self, mut wanted: Wanted) -> Result<Related> {
        wanted.packages.sort_unstable();
        wanted.packages.dedup();
        wanted.policies.sort_unstable();
        wanted.policies.dedup();
        if wanted.packages.is_empty() && wanted.policies.is_empty() && wanted.assignments.is_empty()
        {
            return Ok(Related::default());
        }
        self.store()
            .read(async |tx| {
                let mut related = Related::default();
                for package in packages::get_all(tx, &wanted.packages).await? {
                    related.packages.insert(package.id, package);
                }
                for id in &wanted.policies {
                    if let Some(stored) = policies::stored(tx, *id).await? {
                        related.policies.insert(*id, stored);
                    }
                }
                for id in &wanted.assignments {
                    if let Some(summary) = assignment_list::get(tx, *id).await? {
                        related.assignments.insert(*id, summary);
                    }
                }
                Ok::<_, Error>(related)
            })
            .await
    }
}
