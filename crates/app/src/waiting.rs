//! Who a request waits for, and each of its deliveries.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use accede_domain::Timestamp;
use accede_domain::id::{DeliveryId, RequestId};
use accede_domain::waiting::{self, Waiting};
use accede_store::{targets, tasks};

use crate::deliveries::RequestDetail;
use crate::{App, Caller, Error, Result};

pub use accede_domain::waiting::{Owner, Then, Waiting as Wait};

/// Who a request waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestWaiting {
    /// The request itself; `None`: it is final.
    pub request: Option<Waiting>,
    /// Its deliveries that are not as wanted.
    pub deliveries: Vec<(DeliveryId, Waiting)>,
}

impl App {
    /// Who a request waits for, until when, and what happens then.
    ///
    /// # Errors
    ///
    /// Not found for people who have nothing to do with it.
    pub async fn request_waiting(&self, caller: &Caller, id: RequestId) -> Result<RequestWaiting> {
        let detail = self.request_detail(caller, id).await?;
        self.waiting_of(&detail).await
    }

    /// The same, for a request that was read.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn waiting_of(&self, detail: &RequestDetail) -> Result<RequestWaiting> {
        let now = self.now();
        let (windows, dues) = self
            .store()
            .read(async |tx| {
                let (mut windows, mut dues) = (BTreeMap::new(), BTreeMap::new());
                for named in &detail.deliveries {
                    let (id, target) = (named.row.id, named.row.key.target);
                    if let Entry::Vacant(window) = windows.entry(target) {
                        let row = targets::get(tx, target).await?;
                        let retry = row.map_or(self.settings().retry, |row| self.retry_of(&row));
                        window.insert(retry.grant_window);
                    }
                    if named.row.delivery.pending.is_some()
                        && let Some(task) = tasks::open_of(tx, id).await?
                    {
                        dues.insert(id, task.due_at);
                    }
                }
                Ok::<_, Error>((windows, dues))
            })
            .await?;
        let is_paused = self.paused().is_some();
        let until = detail.view.window_ends;
        let deliveries: Vec<(DeliveryId, Waiting)> = detail
            .deliveries
            .iter()
            .filter_map(|named| {
                let row = &named.row;
                let is_troubled = named.hold.as_ref().is_some_and(|hold| hold.reason.is_some());
                let window = windows.get(&row.key.target)?;
                let is_left_alone = named.target_is_paused || is_troubled || is_paused;
                let due = dues.get(&row.id).copied();
                let waiting =
                    waiting::of_delivery(&row.delivery, due, is_left_alone, *window, until, now)?;
                Some((row.id, waiting))
            })
            .collect();
        let state = &detail.view.summary.request.state;
        let each = deliveries.iter().map(|(_, waiting)| *waiting);
        let request = waiting::of_request(state, stage_due(detail), until, each, now);
        Ok(RequestWaiting { request, deliveries })
    }
}

/// Until when the open stage must be decided.
fn stage_due(detail: &RequestDetail) -> Option<Timestamp> {
    detail
        .stages
        .iter()
        .map(|stage| &stage.row.stage)
        .find(|stage| stage.status == accede_domain::approval::Status::InProgress)
        .and_then(|stage| stage.due)
}
