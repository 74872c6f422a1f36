//! What changes elsewhere mean for deliveries: a person's leaving.

use accede_domain::Timestamp;
use accede_domain::id::SubjectId;
use accede_store::Tx;

use crate::deed::Deed;
use crate::{App, Caller, Result};

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
