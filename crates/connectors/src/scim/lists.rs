//! What a SCIM server says it can do, and its lists, read to an end that we set.

use std::collections::HashSet;

use accede_domain::fault::Fault;
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::{Features, Learned, Scim, lock, text};
use crate::http::{Call, LIST_LIMIT, OBJECT_LIMIT, Reply, encode};

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// How many pages of one list are read.
const MAX_PAGES: usize = 1_000;
/// How many resources of one list are kept.
pub(super) const MAX_RESOURCES: usize = 100_000;
/// How many resources are asked for in one page.
const PAGE: usize = 200;

/// The resources of a list, and whether they are all that there are.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) resources: Vec<Value>,
    pub(super) complete: bool,
}

/// Why a list was not answered.
pub(super) enum NoList {
    /// The server does not take this filter.
    Filter,
    Fault(Fault),
}

impl From<Fault> for NoList {
    fn from(fault: Fault) -> NoList {
        NoList::Fault(fault)
    }
}

fn is_list(value: &Value) -> bool {
    let names_list = |schema: &Value| schema.as_str() == Some(LIST);
    value.get("schemas").and_then(Value::as_array).is_some_and(|all| all.iter().any(names_list))
        || value.get("totalResults").is_some_and(Value::is_u64)
}

/// How many operations one bulk call may hold; 0 if there is no such call.
fn most_in_bulk(config: &Value) -> usize {
    let bulk = config.get("bulk");
    let offered = bulk.and_then(|bulk| bulk.get("supported")?.as_bool()).unwrap_or(false);
    let most = bulk.and_then(|bulk| bulk.get("maxOperations")?.as_u64()).filter(|_| offered);
    most.and_then(|most| usize::try_from(most).ok()).unwrap_or(0)
}

impl Scim {
    pub(super) async fn get(
        &self,
        path: &str,
        limit: usize,
        until: Instant,
    ) -> Result<Reply, Fault> {
        let call = Call { method: Method::GET, path, body: None, if_match: None, limit };
        self.http.send(call, until).await
    }

    /// What the server can do; asked once. A server that does not say is taken by the standard.
    pub(super) async fn features(&self, until: Instant) -> Result<Features, Fault> {
        if let Some(features) = *lock(&self.features) {
            return Ok(features);
        }
        let reply = self.get("/ServiceProviderConfig", OBJECT_LIMIT, until).await?;
        let features = match (reply.json(), reply.status) {
            (Some(config), _) => {
                let offers = |name: &str| {
                    let supported = config.get(name).and_then(|part| part.get("supported"));
                    supported.and_then(Value::as_bool)
                };
                Features {
                    patch: offers("patch").unwrap_or(true),
                    filter: offers("filter").unwrap_or(true),
                    etag: offers("etag").unwrap_or(false),
                    bulk: most_in_bulk(config),
                }
            }
            // Not offered, or not to this token; what follows shows whether the address is wrong.
            (None, 403 | 404 | 405 | 501) => {
                return Ok(Features { patch: true, filter: true, etag: false, bulk: 0 });
            }
            (None, _) => return Err(self.http.fault(&reply)),
        };
        *lock(&self.features) = Some(features);
        Ok(features)
    }

    pub(super) fn learned(&self) -> Learned {
        *lock(&self.learned)
    }

    pub(super) fn learn(&self, lesson: impl FnOnce(&mut Learned)) {
        lesson(&mut lock(&self.learned));
    }

    /// Reads a list to its end, or to `limit` resources. It ends even when the server does not page
    /// as asked: the next page begins where the reply ended, and a page without news is the last.
    pub(super) async fn list(
        &self,
        kind: &str,
        filter: Option<&str>,
        more: &str,
        limit: usize,
        until: Instant,
    ) -> Result<Listing, NoList> {
        let mut listing = Listing::default();
        let mut seen = HashSet::new();
        let mut place = String::new();
        let filter = filter.map(|filter| format!("&filter={}", encode(filter))).unwrap_or_default();
        for _ in 0..MAX_PAGES {
            let path = format!("/{kind}?count={}{place}{filter}{more}", PAGE.min(limit.max(1)));
            let reply = self.get(&path, LIST_LIMIT, until).await?;
            let page = match (reply.json(), reply.status) {
                (Some(page), _) if is_list(page) => page,
                (_, 400 | 403 | 501) if !filter.is_empty() => return Err(NoList::Filter),
                _ => return Err(self.http.fault(&reply).into()),
            };
            let resources = page.get("Resources").and_then(Value::as_array);
            let resources = resources.map(Vec::as_slice).unwrap_or_default();
            let mut news = 0;
            for resource in resources {
                let Some(id) = text(resource, "id") else { continue };
                if seen.insert(id.to_owned()) {
                    news += 1;
                    listing.resources.push(resource.clone());
                }
            }
            let total = page.get("totalResults").and_then(Value::as_u64);
            let read = listing.resources.len();
            let cursor = text(page, "nextCursor");
            if cursor.is_none() && total.is_none_or(|total| total <= read as u64) {
                listing.complete = total.is_some();
                break;
            }
            if news == 0 || limit <= read || MAX_RESOURCES <= read {
                break;
            }
            place = match cursor {
                Some(cursor) => format!("&cursor={}", encode(cursor)),
                None => format!("&startIndex={}", read + 1),
            };
        }
        Ok(listing)
    }
}
