//! Spreading a change of a package's roles to everybody who holds it.
//!
//! Whoever changes the roles counts the change in the same transaction, and is answered. From there
//! the sweeper brings the holders up to it, one person a transaction and with their subject's row
//! locked like every decision about them. What is left is read from the rows, so a crash loses
//! nothing and repeats nothing.

use accede_domain::SignedDuration;
use accede_domain::id::{AssignmentId, PackageId, SubjectId};
use accede_domain::permission::Action;
use accede_store::crash::{Point, point};
use accede_store::{assignments, people, spreads};
use futures_util::future::try_join_all;

use crate::deed::Deed;
use crate::{App, Caller, Error, Result};

pub use accede_store::spreads::Spread;

/// Packages whose changes are spread in one sweep.
const PACKAGES: usize = 20;
/// Holders of one package that are brought up to its roles in one sweep.
pub const SPREAD_BATCH: usize = 400;
/// How many of them at once: their transactions are committed together where that is cheaper.
const AT_ONCE: usize = 16;
/// How long a package is looked after when its change has reached everybody: an assignment that began
/// with the former roles may be committed late, but never as late as this.
const AFTERCARE: SignedDuration = SignedDuration::from_hours(1);

impl App {
    /// How far the last change of a package's roles has come.
    ///
    /// # Errors
    ///
    /// Not found; forbidden for who may not know how many hold it.
    pub async fn role_spread(&self, caller: &Caller, id: PackageId) -> Result<Spread> {
        self.store()
            .read(async |tx| {
                let package = crate::packages::visible(tx, caller, id).await?;
                let (count, read) = (Action::ReadRequests, Action::ReadCatalog);
                caller.may_on(count, package.catalog, read, "access package", id)?;
                Ok(spreads::get(tx, id).await?)
            })
            .await
    }

    /// Brings holders of changed packages up to their roles, a batch of each; says how many.
    pub(crate) async fn spread_roles(&self) -> Result<usize> {
        let now = self.now();
        let before = now.checked_sub(AFTERCARE).unwrap_or(now);
        let (open, over) = self
            .store()
            .read(async |tx| {
                let open = spreads::open(tx, PACKAGES).await?;
                Ok::<_, Error>((open, spreads::over(tx, before, PACKAGES).await?))
            })
            .await?;
        let mut done = 0;
        for package in open {
            let behind = self
                .store()
                .read(async |tx| spreads::behind(tx, package, SPREAD_BATCH).await)
                .await?;
            for several in behind.chunks(AT_ONCE) {
                try_join_all(several.iter().map(|(id, subject)| self.catch_up(*id, *subject)))
                    .await?;
                done += several.len();
                // Whoever waits for the database has their turn between.
                tokio::task::yield_now().await;
            }
        }
        for package in over {
            self.store().write(async |tx| spreads::close(tx, package, before).await).await?;
        }
        Ok(done)
    }

    /// Gives and takes what changed of an assignment's package.
    async fn catch_up(&self, id: AssignmentId, subject: SubjectId) -> Result<()> {
        let now = self.now();
        let caller = Caller::system();
        self.store()
            .write(async |tx| {
                people::lock(tx, subject).await?;
                let assignment = assignments::lock(tx, id).await?;
                // It may have ended since it was listed.
                if assignment.state.is_live() {
                    let mut deed = Deed { app: self, tx, caller: &caller, now };
                    deed.catch_up(assignment).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        point(Point::SpreadOne);
        Ok(())
    }
}
