//! The audit log's rows. They are only ever added.

use accede_domain::Timestamp;
use accede_domain::id::{AuditId, CatalogId};

use crate::{Result, Tx, params};

/// A record to add.
#[derive(Debug)]
pub struct NewRecord<'a> {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who, by name.
    pub actor: &'a str,
    /// What was done.
    pub action: &'a str,
    /// To what kind of object.
    pub object_type: &'a str,
    /// To which.
    pub object_id: &'a str,
    /// In which catalog.
    pub catalog: Option<CatalogId>,
    /// JSON.
    pub detail: String,
}

/// Adds a record.
pub async fn insert(tx: &mut Tx<'_>, record: NewRecord<'_>) -> Result<()> {
    tx.post(
        "insert into audit (id, at_ms, actor, action, object_type, object_id, catalog_id, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            record.id,
            record.at,
            record.actor,
            record.action,
            record.object_type,
            record.object_id,
            record.catalog,
            record.detail
        ],
    )
    .await?;
    Ok(())
}
