//! The timeline of a request: what happened, when, by whom. Lines are only ever added.

use accede_domain::Timestamp;
use accede_domain::id::{HistoryId, RequestId};

use crate::{Result, Tx, params};

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its id.
    pub id: HistoryId,
    /// Of which request.
    pub request: RequestId,
    /// When.
    pub at: Timestamp,
    /// What happened: `submitted`, `approvalStarted`, `delivered`, …
    pub kind: String,
    /// Who did it, by name.
    pub actor: String,
    /// In words.
    pub detail: String,
}

/// Adds a line.
pub async fn insert(tx: &mut Tx<'_>, line: &Line) -> Result<()> {
    tx.post(
        "insert into history (id, request_id, at_ms, kind, actor, detail)
         values ($1, $2, $3, $4, $5, $6)",
        params![
            line.id,
            line.request,
            line.at,
            line.kind.clone(),
            line.actor.clone(),
            line.detail.clone()
        ],
    )
    .await?;
    Ok(())
}

/// Most lines of a timeline that are read at once.
pub const MAX_LINES: i64 = 1_000;

/// The timeline of a request, oldest first, at most [`MAX_LINES`].
pub async fn of_request(tx: &mut Tx<'_>, request: RequestId) -> Result<Vec<Line>> {
    let rows = tx
        .query(
            "select id, request_id, at_ms, kind, actor, detail from history
             where request_id = $1 order by at_ms, id limit $2",
            params![request, MAX_LINES],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                id: row.get(0)?,
                request: row.get(1)?,
                at: row.get(2)?,
                kind: row.get(3)?,
                actor: row.get(4)?,
                detail: row.get(5)?,
            })
        })
        .collect()
}
