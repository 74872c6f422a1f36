//! What changes elsewhere mean for deliveries: a package's roles, a person's leaving.

use accede_domain::Timestamp;
use accede_domain::id::{PackageId, SubjectId};
use accede_store::Tx;

use crate::deed::Deed;
use crate::{App, Caller, Result};

/// The roles of a package changed: its live assignments are given and taken what changed.
pub(crate) async fn roles_changed(
    app: &App,
    tx: &mut Tx<'_>,
    package: PackageId,
    now: Timestamp,
) -> Result<()> {
    let caller = Caller::system();
    Deed { app, tx, caller: &caller, now }.roles_changed(package).await
}

/// A subject was deleted or disabled: their open requests end and their access is taken.
pub(crate) async fn subject_left(
    app: &App,
    tx: &mut Tx<'_>,
    caller: &Caller,
    subject: SubjectId,
    now: Timestamp,
) -> Result<()> {
    Deed { app, tx, caller, now }.subject_left(subject).await
}
