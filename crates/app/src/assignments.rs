//! Assignments: read, list, reprocess. They change only through requests.

use accede_domain::id::AssignmentId;
use accede_domain::permission::Action;
use accede_store::request_list::Whose;
use accede_store::{assignment_list, assignments, people};

use crate::deed::Deed;
use crate::list::{Listing, ask};
use crate::packages::PackageWith;
use crate::requests::readable;
use crate::{App, Caller, Error, Page, Result, audit};

pub use accede_store::assignment_list::{Both, Summary};

impl App {
    /// A page of assignments.
    ///
    /// # Errors
    ///
    /// Invalid, for a filter or order this list does not have; forbidden, when nothing is in reach.
    pub async fn list_assignments(
        &self,
        caller: &Caller,
        whose: Whose,
        listing: &Listing,
    ) -> Result<Page<Summary>> {
        let whose = readable(caller, whose)?;
        self.page_of_assignments(&whose, None, listing).await
    }

    /// A page of the assignments of a package whose holders have another package as well: who would
    /// be in conflict if the two were incompatible.
    ///
    /// # Errors
    ///
    /// Not found, for packages that the caller may not see; forbidden, when their assignments are
    /// not in reach; invalid, when they are the same, or for a filter or order this list lacks.
    pub async fn list_additional_access(
        &self,
        caller: &Caller,
        both: Both,
        listing: &Listing,
    ) -> Result<Page<Summary>> {
        if both.package == both.other {
            let sentence = "names the same access package; name another one";
            return Err(Error::invalid("incompatibleAccessPackageId", sentence));
        }
        let whose = readable(caller, Whose::Reach(caller.reach(Action::ReadRequests)))?;
        for package in [both.package, both.other] {
            let with = PackageWith::default();
            let found = self.package(caller, None, package, with).await?.package;
            if !caller.reach(Action::ReadRequests).includes(found.catalog) {
                return Err(caller.lacks(Action::ReadRequests));
            }
        }
        self.page_of_assignments(&whose, Some(both), listing).await
    }

    async fn page_of_assignments(
        &self,
        whose: &Whose,
        both: Option<Both>,
        listing: &Listing,
    ) -> Result<Page<Summary>> {
        self.store()
            .read(async |tx| {
                let found =
                    assignment_list::page(tx, whose, both, ask(listing)?, listing.count).await?;
                Ok(found.into())
            })
            .await
    }

    /// One assignment, for its beneficiary and those who may read the catalog's requests.
    ///
    /// # Errors
    ///
    /// Not found for everybody else.
    pub async fn get_assignment(&self, caller: &Caller, id: AssignmentId) -> Result<Summary> {
        self.store()
            .read(async |tx| {
                let missing = || Error::not_found("assignment", id);
                let summary = assignment_list::get(tx, id).await?.ok_or_else(missing)?;
                let own = caller.subject() == Some(summary.assignment.subject);
                if own || caller.reach(Action::ReadRequests).includes(summary.catalog) {
                    Ok(summary)
                } else {
                    Err(missing())
                }
            })
            .await
    }

    /// Observes and re-applies every role of a delivered assignment.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, or refused unless it is delivered.
    pub async fn reprocess_assignment(&self, caller: &Caller, id: AssignmentId) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let missing = || Error::not_found("assignment", id);
                let found = assignments::get(tx, id).await?.ok_or_else(missing)?;
                let catalog = assignments::catalog_of(tx, id).await?.ok_or_else(missing)?;
                if !caller.reach(Action::Reprocess).includes(catalog) {
                    let own = caller.subject() == Some(found.subject);
                    let reads = caller.reach(Action::ReadRequests).includes(catalog);
                    return Err(if own || reads {
                        caller.lacks(Action::Reprocess)
                    } else {
                        missing()
                    });
                }
                people::lock(tx, found.subject).await?;
                let record = audit::Event {
                    action: "assignment reprocessed",
                    object_type: "accessPackageAssignment",
                    object_id: id.to_string(),
                    catalog: Some(catalog),
                    detail: serde_json::json!({ "state": found.state.name() }),
                };
                let mut deed = Deed { app: self, tx, caller, now };
                deed.verify_assignment(id).await?;
                audit::record(self, deed.tx, caller, record, now).await
            })
            .await?;
        self.hurry_circuits(None).await;
        self.wake();
        Ok(())
    }
}
