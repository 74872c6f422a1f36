//! Failures by cause: what is not delivered, and why, so that 3,000 rows become four lines.

use accede_domain::id::CauseId;
use accede_domain::permission::{Action, Reach};
use accede_domain::retry;
use accede_domain::trend::{self, Trend};
use accede_domain::{SignedDuration, Timestamp};
use accede_store::{Tx, cause_hours, causes};

use crate::{App, Caller, Error, Result};

pub use accede_store::causes::{Cause, HeldUp};

/// How long it is kept what causes held up: two weeks.
const KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

/// A cause with the packages it holds up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The cause.
    pub cause: Cause,
    /// The packages, most people first.
    pub packages: Vec<HeldUp>,
    /// How it has developed.
    pub trend: Trend,
}

impl Failure {
    pub(crate) async fn of(
        tx: &mut Tx<'_>,
        cause: Cause,
        reach: &Reach,
        now: Timestamp,
    ) -> Result<Failure> {
        let packages = causes::packages(tx, cause.id, reach).await?;
        let hours = cause_hours::since(tx, cause.id, reach, trend::begin(now)).await?;
        let trend = trend::trend(cause.first_seen, hours, cause.deliveries, now);
        Ok(Failure { cause, packages, trend })
    }
}

impl App {
    /// What is not delivered, by cause, the largest first.
    ///
    /// # Errors
    ///
    /// Forbidden unless the caller may read requests somewhere.
    pub async fn list_failures(&self, caller: &Caller) -> Result<Vec<Failure>> {
        let reach = caller.may_somewhere(Action::ReadRequests)?;
        let now = self.now();
        self.store()
            .read(async |tx| {
                let mut found = Vec::new();
                for cause in causes::list(tx, &reach).await? {
                    found.push(Failure::of(tx, cause, &reach, now).await?);
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
        let now = self.now();
        self.store()
            .read(async |tx| {
                let cause = causes::get(tx, id, &reach).await?;
                let cause = cause.ok_or_else(|| crate::Error::not_found("failure", id))?;
                Failure::of(tx, cause, &reach, now).await
            })
            .await
    }

    /// Writes down what causes hold up in this hour, and forgets what is older than two weeks. For
    /// the worker.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn note_causes(&self) -> Result<()> {
        let now = self.now();
        let old = retry::before(now, KEPT);
        let held =
            self.store().read(async |tx| Ok::<_, Error>(cause_hours::now(tx).await?)).await?;
        self.store()
            .write(async |tx| {
                cause_hours::note(tx, trend::hour_of(now), &held).await?;
                cause_hours::forget_before(tx, old).await?;
                Ok::<_, Error>(())
            })
            .await
    }

    /// Whether a cause holds something up in a catalog within reach.
    pub(crate) async fn holds_up(&self, id: CauseId, reach: &Reach) -> Result<bool> {
        self.store().read(async |tx| Ok(causes::get(tx, id, reach).await?.is_some())).await
    }
}
