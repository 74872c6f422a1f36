//! Roles and entitlements of a SCIM server: values in attributes of a person's account.
//!
//! SCIM has no list of the values that a server knows, so the target's settings name them. Values are
//! added and removed one by one; what else is in the attribute stays.

use accede_domain::fault::{Class, Fault};
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::changes::PATCH;
use super::{AT_ONCE, Features, Scim, literal, not_sent, text};
use crate::http::{Body, Call, LIST_LIMIT, OBJECT_LIMIT, Reply, encode};
use crate::roles::Membership;
use crate::{Done, FoundResource, Person, Presence, Role, Wanted};

const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// Most accounts that one bulk call changes, whatever the server offers.
const MAX_BULK: usize = 100;

/// The attributes whose values are resources, and what a value is, for people.
const ATTRIBUTES: [(&str, &str); 2] =
    [("roles", "A role of the application"), ("entitlements", "An entitlement of the application")];

/// A value that accounts can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'r> {
    attribute: &'static str,
    value: &'r str,
}

impl<'r> Part<'r> {
    /// The value that a resource's id names, such as `roles/editor`. Ids of groups hold no slash.
    pub(super) fn of(resource: &'r str) -> Option<Part<'r>> {
        let (name, value) = resource.split_once('/')?;
        let (attribute, _) = ATTRIBUTES.into_iter().find(|(attribute, _)| *attribute == name)?;
        (!value.is_empty()).then_some(Part { attribute, value })
    }

    fn operation(self, wanted: Wanted) -> Value {
        let operation = match wanted {
            Wanted::Granted => {
                json!({ "op": "add", "path": self.attribute, "value": [{ "value": self.value }] })
            }
            Wanted::Revoked => {
                let path = format!("{}[value eq {}]", self.attribute, literal(self.value));
                json!({ "op": "remove", "path": path })
            }
        };
        json!({ "schemas": [PATCH], "Operations": [operation] })
    }

    /// Whether an account has it. Some servers send values as plain texts.
    fn is_in(self, account: &Value) -> bool {
        let listed = account.get(self.attribute).and_then(Value::as_array);
        let value = |item| Value::as_str(item).or_else(|| text(item, "value"));
        listed.into_iter().flatten().filter_map(value).any(|known| known == self.value)
    }
}

/// An account that is to be changed, and the version that was looked at.
struct Open {
    account: String,
    version: Option<String>,
}

impl Scim {
    /// The values that the settings name, as resources.
    pub(super) fn values(&self) -> impl Iterator<Item = FoundResource> {
        let named = [&self.roles, &self.entitlements];
        ATTRIBUTES.into_iter().zip(named).flat_map(|((attribute, meaning), values)| {
            values.iter().map(move |value| {
                let origin_id = format!("{attribute}/{value}");
                FoundResource {
                    display_name: value.clone(),
                    description: Some(meaning.to_owned()),
                    roles: vec![Membership::Member.of(&origin_id)],
                    origin_id,
                }
            })
        })
    }

    /// That the settings name the value, so that it can be given. What they do not name any more can
    /// still be taken away, and is not asked here.
    pub(super) fn names(&self, resource: &str) -> Result<(), Fault> {
        if self.values().any(|value| value.origin_id == resource) {
            return Ok(());
        }
        let message = format!(
            "the target's settings do not name `{resource}`; name it there, or remove the resource role"
        );
        Err(Fault::new(Class::Permanent, "resource-gone", message))
    }

    /// Makes it true for accounts that they have a value, or have it not.
    pub(super) async fn ensure_value(
        &self,
        part: Part<'_>,
        role: &Role,
        accounts: Vec<Result<Option<String>, Fault>>,
        people: &[&Person],
        wanted: Wanted,
        until: Instant,
    ) -> Vec<Result<Done, Fault>> {
        if let Err(fault) = Membership::only_member(role) {
            return vec![Err(fault); people.len()];
        }
        let looked_at: Vec<_> = accounts
            .into_iter()
            .zip(people)
            .map(|(account, person)| self.look(part, account, person, wanted, until))
            .collect();
        let looked_at: Vec<Result<Option<Open>, Fault>> =
            stream::iter(looked_at).buffered(AT_ONCE).collect().await;
        let open: Vec<&Open> =
            looked_at.iter().filter_map(|one| one.as_ref().ok()?.as_ref()).collect();
        let mut changed = self.change_values(part, wanted, &open, until).await.into_iter();
        let answers = looked_at.iter().map(|one| match one {
            Err(fault) => Err(fault.clone()),
            Ok(None) => Ok(Done::AlreadyInState),
            Ok(Some(_)) => changed.next().unwrap_or_else(|| Err(not_sent())),
        });
        answers.collect()
    }

    /// Says whether accounts have a value.
    pub(super) async fn observe_value(
        &self,
        part: Part<'_>,
        role: &Role,
        accounts: Vec<Result<Option<String>, Fault>>,
        people: &[&Person],
        until: Instant,
    ) -> Vec<Result<Presence, Fault>> {
        if let Err(fault) = Membership::only_member(role) {
            return vec![Err(fault); people.len()];
        }
        let seen: Vec<_> = accounts
            .into_iter()
            .zip(people)
            .map(|(account, person)| async move {
                let open = self.look(part, account, person, Wanted::Granted, until).await;
                match open {
                    Ok(None) => Ok(Presence::Present),
                    Ok(Some(_)) => Ok(Presence::Absent),
                    Err(fault) if fault.code == "account-missing" => Ok(Presence::Absent),
                    Err(fault) => Err(fault),
                }
            })
            .collect();
        stream::iter(seen).buffered(AT_ONCE).collect().await
    }

    /// The account, if it is not yet as wanted.
    async fn look(
        &self,
        part: Part<'_>,
        account: Result<Option<String>, Fault>,
        person: &Person,
        wanted: Wanted,
        until: Instant,
    ) -> Result<Option<Open>, Fault> {
        let missing = || match wanted {
            Wanted::Granted => Err(self.missing(person)),
            Wanted::Revoked => Ok(None),
        };
        let Some(account) = account? else { return missing() };
        let path = format!("/Users/{}?attributes={}", encode(&account), part.attribute);
        let reply = self.get(&path, OBJECT_LIMIT, until).await?;
        match (reply.json(), reply.status) {
            (Some(user), _) if text(user, "id") == Some(account.as_str()) => {
                let has = part.is_in(user);
                let version = reply.etag.clone();
                Ok((has != (wanted == Wanted::Granted)).then_some(Open { account, version }))
            }
            (_, 404 | 410) if reply.is_scim_error() => {
                self.forget(person.subject);
                self.prove_gone(None, until).await?;
                missing()
            }
            _ => Err(self.http.fault(&reply)),
        }
    }

    async fn change_values(
        &self,
        part: Part<'_>,
        wanted: Wanted,
        open: &[&Open],
        until: Instant,
    ) -> Vec<Result<Done, Fault>> {
        let features = match self.features(until).await {
            Ok(features) => features,
            Err(fault) => return vec![Err(fault); open.len()],
        };
        if !features.patch {
            let message =
                "the server offers no PATCH, without which values cannot be changed safely";
            let fault = Fault::new(Class::Unsupported, "no-patch", message);
            return vec![Err(fault); open.len()];
        }
        let size = features.bulk.min(MAX_BULK);
        let mut answers = Vec::with_capacity(open.len());
        for chunk in open.chunks(size.max(1)) {
            if 1 < chunk.len() && !self.learned().no_bulk {
                match self.change_in_bulk(part, wanted, chunk, features, until).await {
                    Some(changed) => {
                        answers.extend(changed);
                        continue;
                    }
                    None => self.learn(|learned| learned.no_bulk = true),
                }
            }
            let calls: Vec<_> = chunk
                .iter()
                .map(|one| self.change_value(part, wanted, one, features, until))
                .collect();
            answers.extend(stream::iter(calls).buffered(AT_ONCE).collect::<Vec<_>>().await);
        }
        answers
    }

    async fn change_value(
        &self,
        part: Part<'_>,
        wanted: Wanted,
        open: &Open,
        features: Features,
        until: Instant,
    ) -> Result<Done, Fault> {
        let path = format!("/Users/{}", encode(&open.account));
        let body = part.operation(wanted);
        let call = Call {
            method: Method::PATCH,
            path: &path,
            body: Some(&body),
            if_match: open.version.as_deref().filter(|_| features.etag),
            limit: OBJECT_LIMIT,
        };
        let reply = self.http.send(call, until).await?;
        let is_account = reply.json().is_none_or(|user| {
            text(user, "id").is_none_or(|id| id == open.account) && !reply.is_scim_error()
        });
        match (reply.status, &reply.body) {
            (200, Body::Json(_)) if is_account => Ok(Done::Applied),
            (204, _) => Ok(Done::Applied),
            _ => Err(self.http.fault(&reply)),
        }
    }

    /// Changes many accounts in one call. `None` if the server takes no such call after all: nothing of
    /// it happened.
    async fn change_in_bulk(
        &self,
        part: Part<'_>,
        wanted: Wanted,
        open: &[&Open],
        features: Features,
        until: Instant,
    ) -> Option<Vec<Result<Done, Fault>>> {
        let operations = open.iter().enumerate().map(|(index, one)| {
            let mut operation = json!({
                "method": "PATCH",
                "path": format!("/Users/{}", encode(&one.account)),
                "bulkId": index.to_string(),
                "data": part.operation(wanted),
            });
            let version = one.version.as_ref().filter(|_| features.etag);
            if let (Some(version), Some(operation)) = (version, operation.as_object_mut()) {
                operation.insert("version".to_owned(), json!(version));
            }
            operation
        });
        let body = json!({ "schemas": [BULK], "Operations": operations.collect::<Vec<_>>() });
        let call = Call {
            method: Method::POST,
            path: "/Bulk",
            body: Some(&body),
            if_match: None,
            limit: LIST_LIMIT,
        };
        let reply = match self.http.send(call, until).await {
            Ok(reply) => reply,
            Err(fault) => return Some(vec![Err(fault); open.len()]),
        };
        if matches!(reply.status, 400 | 403 | 404 | 405 | 413 | 501) {
            return None;
        }
        let Some(done) = reply.json().and_then(|said| said.get("Operations")?.as_array()) else {
            return Some(vec![Err(self.http.fault(&reply)); open.len()]);
        };
        let answers = (0..open.len()).map(|index| {
            let id = index.to_string();
            let said = done.iter().find(|said| text(said, "bulkId") == Some(id.as_str()));
            match said.and_then(Reply::of_bulk) {
                Some(reply) if matches!(reply.status, 200 | 204) => Ok(Done::Applied),
                Some(reply) => Err(self.http.fault(&reply)),
                None => {
                    let message = "the server did not say what became of one change of many";
                    Err(Fault::new(Class::Unknown, "unreadable-answer", message))
                }
            }
        });
        Some(answers.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_told_from_a_group_and_found_in_either_form() {
        assert_eq!(Part::of("roles/editor").map(|part| part.value), Some("editor"));
        assert_eq!(Part::of("entitlements/a/b").map(|part| part.value), Some("a/b"));
        for group in ["roles", "roles/", "teams/editor", "5d2b7f66-80a4"] {
            assert_eq!(Part::of(group), None, "{group}");
        }
        let part = Part { attribute: "roles", value: "editor" };
        assert!(part.is_in(&json!({ "roles": [{ "value": "admin" }, { "value": "editor" }] })));
        assert!(part.is_in(&json!({ "roles": ["editor"] })));
        for other in
            [json!({}), json!({ "roles": [{ "value": "Editor" }, { "display": "editor" }] })]
        {
            assert!(!part.is_in(&other), "{other}");
        }
    }
}
