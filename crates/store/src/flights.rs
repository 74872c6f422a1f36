//! Calls in flight, looked at by person: for targets where a call may do something for a person as a
//! whole, which must be done once.

use std::collections::HashSet;

use accede_domain::Timestamp;
use accede_domain::id::{SubjectId, TargetId};

use crate::{Engine, Result, Tx, Value, params};

/// For which of these people a grant is on its way to a target, or may be a moment from now: its lease
/// has not run out, or somebody else claims one for them in this instant. Until the transaction ends
/// nobody else is told of the others that they are free.
///
/// A row that is claimed is locked, but it is another one than that which is asked about; so people are
/// held by a lock of their own. It is never waited for.
pub async fn granted_now(
    tx: &mut Tx<'_>,
    target: TargetId,
    subjects: &[SubjectId],
    now: Timestamp,
) -> Result<HashSet<SubjectId>> {
    let mut found = HashSet::new();
    // SQLite has one writer, so nobody else claims in this instant.
    if tx.engine() == Engine::Postgres {
        let held = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))";
        let asked: Vec<Vec<Value>> =
            subjects.iter().map(|id| params![format!("{target} {id}")].to_vec()).collect();
        for (id, rows) in subjects.iter().zip(tx.query_all(held, &asked).await?) {
            let is_ours: bool = rows.first().map_or(Ok(false), |row| row.get(0))?;
            if !is_ours {
                found.insert(*id);
            }
        }
    }
    // Read after the locks are held: what was claimed under them before is seen by now.
    let in_flight = "select 1 from deliveries
         where target_id = $1 and subject_id = $2 and phase = 'inFlight' and action = 'grant'
             and ready_at_ms > $3
         limit 1";
    let asked: Vec<Vec<Value>> =
        subjects.iter().map(|id| params![target, *id, now].to_vec()).collect();
    for (id, rows) in subjects.iter().zip(tx.query_all(in_flight, &asked).await?) {
        if !rows.is_empty() {
            found.insert(*id);
        }
    }
    Ok(found)
}
