//! What must be so when everything is at rest.

use accede_domain::id::RequestId;
use accede_store::params;
use std::collections::BTreeMap;

use uuid::Uuid;

use crate::oracle::{Oracle, Verdict, must};

use super::History;

impl History {
    pub(super) fn at_rest(&self) -> Verdict {
        for row in self.snapshot.deliveries.values() {
            must!(
                matches!(row.phase.as_str(), "settled" | "failed"),
                "P8: two days after everything healed, {} is {} ({row:?}); before it stand {:?}",
                row.id,
                row.phase,
                self.snapshot
                    .deliveries
                    .values()
                    .filter(|other| other.target == row.target && other.ready_at.is_some())
                    .collect::<Vec<_>>()
            );
        }
        let open = Oracle::open_requests(&self.snapshot);
        must!(open.is_empty(), "I2: requests are still on their way: {open:?}");
        must!(self.snapshot.running_jobs == 0, "a job still runs");
        let held = self.snapshot.held().count();
        must!(held == 0, "I16: {held} changes wait although everything was decided about");
        Ok(())
    }

    /// I1, I18: a timeline is a path, and every step of it stands in the audit log once.
    pub(super) async fn check_timelines(&mut self) -> Verdict {
        let mut lines: Vec<(RequestId, String, Uuid)> = self
            .world
            .store
            .read(async |tx| {
                let rows = tx.query("select request_id, kind, id from history", params![]).await?;
                rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).collect()
            })
            .await
            .map_err(|error: accede_store::Error| error.to_string())?;
        // In the order in which they were written: the clock may have stepped back between two lines, and
        // ids count on.
        lines.sort_by_key(|(request, _, id)| (*request, id.as_bytes()[8..12].to_vec()));
        let audits: Vec<(String, i64)> = self
            .world
            .store
            .read(async |tx| {
                let rows = tx
                    .query(
                        "select object_id, count(*) from audit
                         where object_type = 'accessPackageAssignmentRequest'
                             and action not in ('request submitted', 'resolved')
                         group by object_id",
                        params![],
                    )
                    .await?;
                rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
            })
            .await
            .map_err(|error: accede_store::Error| error.to_string())?;
        let audits: BTreeMap<String, i64> = audits.into_iter().collect();
        for id in self.snapshot.requests.keys() {
            // What moved it, and whether somebody settled a role of it by hand before that.
            let mut kinds: Vec<(&str, bool)> = Vec::new();
            let mut by_hand = false;
            for (_, kind, _) in lines.iter().filter(|(request, ..)| request == id) {
                match kind.as_str() {
                    "approversAsked" | "stageApproved" => {}
                    "resolved" | "contradicted" => by_hand = true,
                    kind => kinds.push((kind, std::mem::take(&mut by_hand))),
                }
            }
            must!(kinds.first() == Some(&("submitted", false)), "{id} began with {kinds:?}");
            for pair in kinds.windows(2) {
                let ((before, _), (after, by_hand)) = (pair[0], pair[1]);
                let rested = ["partiallyDelivered", "deliveryFailed"].contains(&before);
                let settles =
                    ["delivered", "partiallyDelivered", "deliveryFailed"].contains(&after);
                must!(
                    follows(before, after) || (by_hand && rested && settles),
                    "I1: {after} after {before} in {kinds:?}"
                );
            }
            let audited = audits.get(&id.to_string()).copied().unwrap_or(0);
            must!(
                usize::try_from(audited).unwrap() == kinds.len() - 1,
                "I18: {audited} audit records for {kinds:?}"
            );
        }
        Ok(())
    }

    pub(super) async fn check_jobs(&mut self) -> Verdict {
        for id in self.jobs.clone() {
            let view = self
                .world
                .app
                .get_job(&self.world.admin(), id)
                .await
                .map_err(|error| format!("{error:?}"))?;
            let p = view.progress;
            must!(
                p.pending == 0 && p.accepted + p.refused + p.canceled == p.total,
                "job {id} is over with {p:?}"
            );
            must!(view.is_over(), "job {id} does not end");
        }
        Ok(())
    }
}

/// Whether a line of a timeline may follow another one.
fn follows(before: &str, after: &str) -> bool {
    let next: &[&str] = match before {
        "submitted" => &["approvalStarted", "scheduled", "deliveryStarted"],
        "approvalStarted" => &["scheduled", "deliveryStarted", "denied", "expired", "canceled"],
        "scheduled" => &["deliveryStarted", "canceled"],
        "deliveryStarted" => {
            &["blocked", "delivered", "partiallyDelivered", "deliveryFailed", "overtaken"]
        }
        "reprocessed" => {
            &["blocked", "delivered", "partiallyDelivered", "deliveryFailed", "overtaken"]
        }
        "blocked" | "partiallyDelivered" | "deliveryFailed" => {
            &["reprocessed", "cancelStarted", "canceled"]
        }
        "cancelStarted" | "overtaken" => &["canceled"],
        _ => &[],
    };
    next.contains(&after)
}
