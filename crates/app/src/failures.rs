//! Failures by cause: what is not delivered, and why, so that 3,000 rows become four lines.

use accede_domain::id::CauseId;
use accede_domain::permission::{Action, Reach};
use accede_store::causes;

use crate::{App, Caller, Result};

pub use accede_store::causes::{Cause, HeldUp};

/// A cause with the packages it holds up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The cause.
    pub cause: Cause,
    /// The packages, most people first.
    pub packages: Vec<HeldUp>,
}

impl App {
    /// What is not delivered, by cause, the largest first.
    ///
    /// # Errors
    ///
    /// Forbidden unless the caller may read requests somewhere.
    pub async fn list_failures(&self, caller: &Caller) -> Result<Vec<Failure>> {
        let reach = caller.may_somewhere(Action::ReadRequests)?;
        self.store()
            .read(async |tx| {
                let mut found = Vec::new();
                for cause in causes::list(tx, &reach).await? {
                    let packages = causes::packages(tx, cause.id, &reach).await?;
                    found.push(Failure { cause, packages });
                }
                Ok(found)
            })
            .await
    }

    /// One cause, if it holds something up that the caller may read.
    ///
    /// # Errors
    ///
    /// Not found otherwise.
    pub async fn get_failure(&self, caller: &Caller, id: CauseId) -> Result<Failure> {
        let reach = caller.reach(Action::ReadRequests);
        self.store()
            .read(async |tx| {
                let cause = causes::get(tx, id, &reach).await?;
                let cause = cause.ok_or_else(|| crate::Error::not_found("failure", id))?;
                let packages = causes::packages(tx, id, &reach).await?;
                Ok(Failure { cause, packages })
            })
            .await
    }

    /// Whether a cause holds something up in a catalog within reach.
    pub(crate) async fn holds_up(&self, id: CauseId, reach: &Reach) -> Result<bool> {
        self.store().read(async |tx| Ok(causes::get(tx, id, reach).await?.is_some())).await
    }
}
