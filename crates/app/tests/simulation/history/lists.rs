//! What people read, against the rows and the truth.

use accede_app::list::Listing;
use accede_app::{App, Error};
use accede_domain::SignedDuration;
use accede_domain::filter::Filter;
use accede_domain::id::{DeliveryId, RequestId};
use accede_domain::notice::Topic;
use accede_domain::permission::Reach;
use accede_store::request_list::{Narrowing, Whose};
use accede_store::{alarms, deployment};
use std::collections::BTreeSet;

use crate::oracle::{Verdict, must};
use crate::snapshot::Part;

use super::History;

impl History {
    /// I5: whoever runs the server is told of every removal that is late, unless others were told of
    /// a moment ago.
    pub(super) async fn hear(&mut self, stuck: &BTreeSet<DeliveryId>) -> Verdict {
        let now = self.world.now();
        let store = self.world.store.clone();
        let rested = async |name: &'static str, seconds: i64| {
            let last = store.read(async |tx| deployment::last_turn(tx, name).await).await.unwrap();
            last.is_none_or(|last| seconds <= now.duration_since(last).as_secs())
        };
        let is_due = rested("turn.alarms", 20).await && rested("turn.stuck", 15 * 60).await;
        let app = self.world.app.clone();
        app.raise_alarms().await.map_err(|error| format!("alarms: {error:?}"))?;
        let topic = Topic::RevocationsStuck;
        let told = store.read(async |tx| alarms::standing(tx, topic, 10_000).await).await.unwrap();
        for id in stuck.iter().filter(|_| is_due) {
            let row = &self.snapshot.deliveries[id];
            if now.duration_since(row.since) < SignedDuration::from_hours(1) {
                continue;
            }
            must!(
                told.iter().any(|alarm| alarm.object == id.0 && alarm.since == row.since),
                "I5: {id} is late since {} and nobody is told",
                row.since
            );
            self.count("late removal told");
        }
        Ok(())
    }

    /// Lists, counts, failures and stuck revocations agree with the rows.
    pub(super) async fn read(&mut self) -> Verdict {
        let broke = |error: Error| format!("a read broke: {error:?}");
        let admin = self.world.admin();
        let app = self.world.app.clone();
        self.look().await?;
        let now = self.world.now();
        let listed: BTreeSet<DeliveryId> = app
            .stuck_revocations(&admin)
            .await
            .map_err(broke)?
            .iter()
            .map(|stuck| stuck.named.row.id)
            .collect();
        let (by_truth, by_rows) = self.oracle.stuck(&self.snapshot, now);
        must!(by_truth.is_subset(&listed), "I5: due for an hour and not listed: {by_truth:?}");
        let rows: Vec<_> =
            listed.symmetric_difference(&by_rows).map(|id| &self.snapshot.deliveries[id]).collect();
        must!(by_rows == listed, "the stuck list and the rows differ in {rows:?}");
        if !listed.is_empty() {
            self.count("stuck revocation listed");
        }
        self.hear(&listed).await?;
        let failures = app.list_failures(&admin).await.map_err(broke)?;
        let deliveries: i64 = failures.iter().map(|failure| failure.cause.deliveries).sum();
        let undone = self
            .snapshot
            .deliveries
            .values()
            .filter(|row| row.has_cause && row.phase != "settled" && row.part() != Part::Done)
            .count();
        must!(
            deliveries == i64::try_from(undone).unwrap(),
            "the failures count {deliveries} deliveries, the rows {undone}"
        );
        for failure in failures.iter().take(2) {
            let narrowing = Narrowing { cause: Some(failure.cause.id), ..Narrowing::default() };
            let text = "state eq 'partiallyDelivered' or state eq 'deliveryFailed'";
            let ids = self.list(&app, &narrowing, text).await?;
            must!(
                ids.len() == usize::try_from(failure.cause.requests).unwrap(),
                "cause {} says {} requests, its list {}",
                failure.cause.id,
                failure.cause.requests,
                ids.len()
            );
        }
        let state = *self.dice.pick(&["delivering", "delivered", "deliveryFailed", "canceled"]);
        let ids = self.list(&app, &Narrowing::default(), &format!("state eq '{state}'")).await?;
        let rows = self.requests_in(match state {
            "delivering" => &["delivering", "canceling"],
            "delivered" => &["delivered"],
            "canceled" => &["canceled"],
            _ => &["deliveryFailed"],
        });
        must!(ids == rows.into_iter().collect(), "the list of {state} requests is wrong");
        let all: Vec<RequestId> = self.snapshot.requests.keys().copied().collect();
        let Some(id) = self.dice.pick_any(&all) else { return Ok(()) };
        let detail = app.request_detail(&admin, id).await.map_err(broke)?;
        let request = &self.snapshot.requests[&id];
        let settled = matches!(
            request.state.as_str(),
            "delivering" | "canceling" | "partiallyDelivered" | "deliveryFailed"
        );
        let undone = request.assignment.iter().flat_map(|id| self.snapshot.edges(*id));
        let undone = undone.filter(|(row, _)| settled && row.part() != Part::Done).count();
        must!(
            detail.view.undelivered == undone,
            "request {id} shows {} undelivered roles of {undone}",
            detail.view.undelivered
        );
        Ok(())
    }

    /// A list, page by page, against its own count.
    pub(super) async fn list(
        &self,
        app: &App,
        narrowing: &Narrowing,
        filter: &str,
    ) -> Result<BTreeSet<RequestId>, String> {
        let mut found = BTreeSet::new();
        let mut listing = Listing {
            filter: Some(Filter::parse(filter).map_err(|error| error.to_string())?),
            top: Some(3),
            count: true,
            ..Listing::default()
        };
        loop {
            let whose = Whose::Reach(Reach::Everywhere);
            let page = app
                .list_requests(&self.world.admin(), whose, narrowing, &listing)
                .await
                .map_err(|error| format!("a list broke: {error:?}"))?;
            for item in &page.items {
                must!(found.insert(item.summary.request.id), "a request is on two pages");
            }
            if page.next.is_none() {
                let count = page.count.unwrap_or(-1);
                must!(
                    count == i64::try_from(found.len()).unwrap(),
                    "a list of {} says it has {count}",
                    found.len()
                );
                return Ok(found);
            }
            listing.after = page.next;
        }
    }
}
