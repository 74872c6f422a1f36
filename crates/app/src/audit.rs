//! The audit log: who changed what, written in the transaction that changed it.

use accede_domain::Timestamp;
use accede_domain::id::CatalogId;
use accede_store::crash::{Point, point};
use accede_store::{Tx, audit};

use crate::{App, Caller, Result};

/// One thing that was changed.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    /// Verb in the past, such as `catalog created`, `request reprocessed`.
    pub action: &'a str,
    /// Kind of object, in Graph's words: `accessPackageCatalog`.
    pub object_type: &'a str,
    /// Its id.
    pub object_id: String,
    /// The catalog it belongs to, if any.
    pub catalog: Option<CatalogId>,
    /// Old and new values that matter; never a secret.
    pub detail: serde_json::Value,
}

/// Records what `caller` changed.
pub(crate) async fn record(
    app: &App,
    tx: &mut Tx<'_>,
    caller: &Caller,
    event: Event<'_>,
    now: Timestamp,
) -> Result<()> {
    let row = audit::NewRecord {
        id: app.mint(now),
        at: now,
        actor: &caller.name,
        action: event.action,
        object_type: event.object_type,
        object_id: &event.object_id,
        catalog: event.catalog,
        detail: event.detail.to_string(),
    };
    point(Point::AuditBefore);
    audit::insert(tx, row).await?;
    point(Point::AuditAfter);
    Ok(())
}

/// What changed of an object: for each property that did, its value before and after.
pub(crate) fn changes(
    properties: &[(&str, serde_json::Value, serde_json::Value)],
) -> serde_json::Value {
    properties
        .iter()
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| {
            ((*name).to_owned(), serde_json::json!({ "from": before, "to": after }))
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}
