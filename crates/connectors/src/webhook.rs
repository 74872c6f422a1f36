//! Any system that takes a signed HTTPS call: one event a role, by the Standard Webhooks convention.
//!
//! The receiver does it at once (`200`, `201`, `204`), or takes it (`202`) and says later, by a
//! callback, what came of it. What is so cannot be read.

use std::sync::Arc;

use accede_domain::duration::Duration;
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{DeliveryId, Id};
use accede_domain::pending::Accepted;
use accede_domain::{SignedDuration, Timestamp};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::egress::Policy;
use crate::http::{self, Dialect, Http, Reply};
use crate::listed::{Listed, RESOURCES};
use crate::oauth::Credentials;
use crate::pace::{self, Pace};
use crate::settings::{Field, Problem, Reader};
use crate::signature::Secret;
use crate::tls::{self, Authorities};
use crate::{
    CALL_DEADLINE, Clock, Connector, Done, FoundResource, Health, Item, Person, Presence, Role,
    Settings, Wanted, manual,
};

/// The settings of a webhook target.
pub const SETTINGS: &[Field] = &[
    Field::new(
        "url",
        "Address",
        "where events are posted to, such as `https://desk.example/accede`",
    )
    .required(),
    Field::new(
        "callbackBase",
        "Address of this server",
        "where the receiver reaches this server, such as `https://accede.example`; events then carry \
         the whole address of their callback, and only its path otherwise",
    ),
    Field::new(
        "pendingFor",
        "How long an accepted event is waited for",
        "an ISO 8601 duration such as `P7D` (the default), at most a year. An event that was \
         answered with 202 and never called back is sent again then",
    ),
    RESOURCES,
    pace::CALLS_PER_MINUTE,
    tls::CA_CERTIFICATE,
    http::ALLOW_PLAIN,
];

/// The secrets of a webhook target.
pub const SECRETS: &[Field] = &[Field::new(
    "signingSecret",
    "Signing secret",
    "`whsec_` and 24 to 64 random bytes in Base64; events are signed with it, and the receiver \
     checks that",
)
.required()];

const DIALECT: Dialect = Dialect {
    accept: "application/json",
    content_type: "application/json",
    server: "a receiver of events",
};

/// Time kept back so that a method ends by itself before the worker's deadline.
const RESERVE: std::time::Duration = std::time::Duration::from_secs(2);
/// How long a `202` is waited for if the settings say nothing.
const DEFAULT_PENDING: u16 = 7;
/// Where callbacks come in, before the event's id.
const CALLBACKS: &str = "/accede/v1/callbacks/";

/// What an event is about: one wish of one delivery. It is the same however often it is sent, so that
/// a receiver can tell an event that comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Which of its wishes.
    pub generation: i64,
    /// Whether the role is to be given; taken away otherwise.
    pub is_grant: bool,
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = if self.is_grant { "grant" } else { "revoke" };
        write!(f, "dlv_{}_{}_{verb}", self.delivery.uuid().simple(), self.generation)
    }
}

impl EventId {
    /// The id of that text.
    pub fn parse(text: &str) -> Option<EventId> {
        let mut parts = text.split('_');
        let ("dlv", delivery, generation, verb) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?)
        else {
            return None;
        };
        let id = EventId {
            delivery: DeliveryId::from_uuid(uuid::Uuid::try_parse(delivery).ok()?),
            generation: generation.parse().ok()?,
            is_grant: verb == "grant",
        };
        // One spelling only: an id is compared as text by receivers.
        (parts.next().is_none() && id.to_string() == text).then_some(id)
    }
}

/// A receiver of events.
pub struct Webhook {
    http: Http,
    key: Secret,
    callback_base: Option<Url>,
    pending_for: SignedDuration,
    resources: Listed,
    clock: Clock,
}

/// Opens a webhook target; connects to nothing yet.
pub(crate) fn open(
    settings: &Settings,
    reader: &Reader<'_>,
    egress: Arc<Policy>,
) -> Result<Arc<dyn Connector>, Problem> {
    let url = http::address(reader, "url", "https://desk.example/accede", &egress)?;
    let callback_base = match reader.text("callbackBase")? {
        None => None,
        Some(text) => {
            let base = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
            Some(base.ok_or_else(|| {
                let sentence = "is not an address; give it like `https://accede.example`";
                crate::settings::problem("callbackBase", sentence)
            })?)
        }
    };
    let pending_for = match reader.text("pendingFor")? {
        None => Duration::days(DEFAULT_PENDING),
        Some(text) => manual::duration("pendingFor", text)?,
    };
    let pending_for = pending_for.fixed().and_then(|fixed| SignedDuration::try_from(fixed).ok());
    let secret = reader.secret("signingSecret", "`whsec_` and Base64 of 32 random bytes")?;
    let key = Secret::parse(secret).ok_or_else(|| {
        let sentence = "must be `whsec_` and 24 to 64 random bytes in Base64; `openssl rand -base64 \
                        32` makes the part after `whsec_`";
        Problem::new("secrets.signingSecret", sentence)
    })?;
    let resources = Listed::read(reader.value(RESOURCES.name))?;
    let authorities = Authorities::from_pem(reader.text("caCertificate")?)?;
    let credentials = Credentials::Signature(secret.to_owned());
    Ok(Arc::new(Webhook {
        http: Http::new(url, DIALECT, credentials, egress, authorities, Pace::read(reader)?),
        key,
        callback_base,
        pending_for: pending_for.unwrap_or(SignedDuration::from_hours(7 * 24)),
        resources,
        clock: settings.clock.clone(),
    }))
}

impl Webhook {
    async fn post(&self, id: &str, body: &Value, at: Timestamp) -> Result<Reply, Fault> {
        let until = Instant::now() + (CALL_DEADLINE - RESERVE);
        let body = body.to_string();
        let signature = self.key.sign(id, at.as_second(), &body);
        let headers = [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", at.as_second().to_string()),
            ("webhook-signature", signature),
        ];
        self.http.post_signed(&headers, body, until).await
    }

    fn event(&self, id: &EventId, item: &Item, at: Timestamp) -> Value {
        let named = self.resources.named(&item.role).ok();
        let (resource, role) = named.unzip();
        let path = format!("{CALLBACKS}{id}");
        let url = self
            .callback_base
            .as_ref()
            .map(|base| format!("{}{path}", base.as_str().trim_end_matches('/')));
        let person = &item.person;
        let verb = if id.is_grant { "grant" } else { "revoke" };
        json!({
            "type": format!("access.{verb}"),
            "timestamp": at.to_string(),
            "data": {
                "id": id.to_string(),
                "action": verb,
                "deliveryId": id.delivery,
                "generation": id.generation,
                "person": {
                    "id": person.object_id,
                    "subjectId": person.subject,
                    "userPrincipalName": person.user_principal_name,
                    "displayName": person.display_name,
                    "givenName": person.given_name,
                    "surname": person.surname,
                    "mail": person.mail,
                },
                "resource": {
                    "id": item.role.resource,
                    "displayName": resource.map(|found| found.display_name),
                },
                "role": {
                    "id": item.role.role,
                    "displayName": role.map(|found| found.display_name),
                },
                "scope": { "id": item.role.scope },
                "callback": {
                    "path": path,
                    "url": url,
                    "token": self.key.callback_token(&id.to_string()),
                },
            },
        })
    }

    async fn ensure_one(&self, item: &Item) -> Result<Done, Fault> {
        let is_grant = item.wanted == Wanted::Granted;
        if is_grant {
            // What is not listed any more may still have to be taken away.
            self.resources.named(&item.role)?;
        }
        let order = &item.order;
        let id = EventId { delivery: order.delivery, generation: order.generation, is_grant };
        let at = self.clock.now();
        let reply = self.post(&id.to_string(), &self.event(&id, item, at), at).await?;
        match reply.status {
            200 | 201 | 204 if !reply.is_page => Ok(Done::Applied),
            202 => Ok(Done::Pending(Accepted::Target { at_most: self.pending_for })),
            _ => Err(self.http.fault(&reply)),
        }
    }
}

#[async_trait]
impl Connector for Webhook {
    fn batch_size(&self) -> usize {
        1
    }

    fn can_observe(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<Health, Fault> {
        let begun = Instant::now();
        let at = self.clock.now();
        let id = format!("ping_{}", at.as_millisecond());
        let body = json!({ "type": "ping", "timestamp": at.to_string(), "data": { "id": id } });
        let reply = self.post(&id, &body, at).await?;
        match reply.status {
            200..=204 if !reply.is_page => Ok(Health {
                summary: format!("it took a signed test event and answered {}", reply.status),
                took: begun.elapsed(),
            }),
            _ => Err(self.http.fault(&reply)),
        }
    }

    async fn discover(
        &self,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        Ok(self.resources.discover(search, limit))
    }

    async fn find(&self, origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        Ok(self.resources.find(origin_id))
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        let mut answers = Vec::with_capacity(batch.len());
        for item in batch {
            answers.push(self.ensure_one(item).await);
        }
        answers
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        let message = "a receiver of events cannot be asked what is so";
        vec![Err(Fault::new(Class::Unsupported, "not-observable", message)); batch.len()]
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_event_id_has_one_spelling() {
        let delivery = DeliveryId::from_uuid(Uuid::from_u128(7));
        for is_grant in [true, false] {
            let id = EventId { delivery, generation: 12, is_grant };
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
        let simple = Uuid::from_u128(7).simple();
        for wrong in [
            String::new(),
            "dlv_x_1_grant".to_owned(),
            format!("dlv_{simple}_01_grant"),
            format!("dlv_{simple}_1_give"),
            format!("dlv_{simple}_1_grant_x"),
            format!("dlv_{}_1_grant", Uuid::from_u128(7)),
        ] {
            assert_eq!(EventId::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_admits_to_its_own_event_only() {
        let key = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let delivery = DeliveryId::from_uuid(Uuid::from_u128(7));
        let id = EventId { delivery, generation: 12, is_grant: true };
        let token = key.callback_token(&id.to_string());

        assert!(key.admits(&id.to_string(), &token));
        for other in [
            EventId { generation: 13, ..id },
            EventId { is_grant: false, ..id },
            EventId { delivery: DeliveryId::from_uuid(Uuid::from_u128(8)), ..id },
        ] {
            assert!(!key.admits(&other.to_string(), &token), "{other}");
        }
        assert!(!key.admits(&id.to_string(), "") && !key.admits(&id.to_string(), "%"));
    }
}
