//! Changing who is in a group of a SCIM server: in one call for many, one by one where that is
//! refused, and whole only where the server promises to notice others.

use std::collections::HashSet;

use accede_domain::fault::{Class, Fault};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::groups::Group;
use super::{Features, Scim, gone, literal, not_sent, partial, text};
use crate::http::{Call, LIST_LIMIT, Reply};
use crate::{Done, Presence, Wanted};

pub(super) const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// How often a GET and PUT is begun anew because somebody else was faster.
const PUT_TRIES: usize = 5;

impl Scim {
    pub(super) async fn patch(
        &self,
        group: &str,
        operations: Vec<Value>,
        until: Instant,
    ) -> Result<Result<(), Reply>, Fault> {
        let body = json!({ "schemas": [PATCH], "Operations": operations });
        let path = Self::path(group)?;
        let call = Call {
            method: Method::PATCH,
            path: &path,
            body: Some(&body),
            if_match: None,
            limit: LIST_LIMIT,
        };
        let reply = self.http.send(call, until).await?;
        let is_group = |body: &Value| text(body, "id").is_none_or(|id| id == group);
        let done = match reply.json() {
            Some(body) => reply.status == 200 && body.is_object() && is_group(body),
            None => reply.status == 204,
        };
        Ok(if done && !reply.is_scim_error() { Ok(()) } else { Err(reply) })
    }

    fn operations(wanted: Wanted, accounts: &[&str]) -> Vec<Value> {
        match wanted {
            Wanted::Granted => {
                let values: Vec<Value> =
                    accounts.iter().map(|account| json!({ "value": account })).collect();
                vec![json!({ "op": "add", "path": "members", "value": values })]
            }
            Wanted::Revoked => accounts
                .iter()
                .map(|account| {
                    let path = format!("members[value eq {}]", literal(account));
                    json!({ "op": "remove", "path": path })
                })
                .collect(),
        }
    }

    /// Changes a group for all these accounts in one call, for each alone when that is refused.
    pub(super) async fn change(
        &self,
        group: &str,
        wanted: Wanted,
        accounts: &[&str],
        until: Instant,
    ) -> Vec<Result<Done, Fault>> {
        let all = |answer: Result<Done, Fault>| vec![answer; accounts.len()];
        let features = match self.features(until).await {
            Ok(features) => features,
            Err(fault) => return all(Err(fault)),
        };
        if !features.patch || self.learned().no_patch {
            return self.change_by_put(group, wanted, accounts, features, until).await;
        }
        let one_by_one = wanted == Wanted::Revoked && self.learned().no_path_filter;
        if let [account] = accounts {
            return vec![self.change_one(group, wanted, account, until).await];
        }
        if !one_by_one {
            match self.patch(group, Self::operations(wanted, accounts), until).await {
                Ok(Ok(())) => return all(Ok(Done::Applied)),
                Ok(Err(reply)) if reply.status == 202 => return all(Ok(Done::later())),
                Ok(Err(reply)) if matches!(reply.status, 405 | 501) => {
                    self.learn(|learned| learned.no_patch = true);
                    return self.change_by_put(group, wanted, accounts, features, until).await;
                }
                // The batch is refused: one of it may be the reason, and the others need not wait.
                Ok(Err(reply)) if matches!(reply.status, 400 | 403 | 404 | 410 | 413 | 422) => {}
                Ok(Err(reply)) => return all(Err(self.http.fault(&reply))),
                Err(fault) => return all(Err(fault)),
            }
        }
        let mut answers = Vec::with_capacity(accounts.len());
        let mut broken: Option<Fault> = None;
        for account in accounts {
            let answer = match &broken {
                Some(fault) => Err(fault.clone()),
                None => self.change_one(group, wanted, account, until).await,
            };
            if let (Err(fault), None) = (&answer, &broken) {
                broken = match fault.class {
                    Class::Target | Class::Transient | Class::Throttled => Some(fault.clone()),
                    Class::Unknown => Some(not_sent()),
                    Class::Permanent | Class::Unsupported => None,
                };
            }
            answers.push(answer);
        }
        answers
    }

    async fn change_one(
        &self,
        group: &str,
        wanted: Wanted,
        account: &str,
        until: Instant,
    ) -> Result<Done, Fault> {
        if wanted == Wanted::Revoked && self.learned().no_path_filter {
            return self.remove_by_value(group, account, until).await;
        }
        let reply = match self.patch(group, Self::operations(wanted, &[account]), until).await? {
            Ok(()) => return Ok(Done::Applied),
            Err(reply) => reply,
        };
        match (reply.status, wanted) {
            (202, _) => Ok(Done::later()),
            (405 | 501, _) => {
                self.learn(|learned| learned.no_patch = true);
                let features = self.features(until).await?;
                let put = self.change_by_put(group, wanted, &[account], features, until).await;
                put.into_iter().next().unwrap_or_else(|| Err(not_sent()))
            }
            (404 | 410, _) => self.not_found(group, wanted, account, &reply, until).await,
            (403, _) => Err(match self.read_group(group, "?attributes=id", until).await {
                // One group that may not be changed, of a server that we may use.
                Ok(_) => self.http.fault(&reply),
                Err(mut fault) => {
                    fault.class = Class::Target;
                    fault
                }
            }),
            (400, Wanted::Revoked) => {
                // Not there, or not said in a way that this server takes.
                match self.presence(group, &[account], until).await?.as_deref() {
                    Some([Ok(Presence::Absent)]) => return Ok(Done::AlreadyInState),
                    Some([Ok(Presence::Present)]) => {}
                    _ => return Err(self.http.fault(&reply)),
                }
                match reply.scim_type() {
                    Some("noTarget" | "mutability" | "sensitive") => Err(self.http.fault(&reply)),
                    _ => {
                        let done = self.remove_by_value(group, account, until).await?;
                        self.learn(|learned| learned.no_path_filter = true);
                        Ok(done)
                    }
                }
            }
            _ => Err(self.http.fault(&reply)),
        }
    }

    /// A change answered "not found": is it the group, the account, or the whole server?
    async fn not_found(
        &self,
        group: &str,
        wanted: Wanted,
        account: &str,
        reply: &Reply,
        until: Instant,
    ) -> Result<Done, Fault> {
        match (self.read_group(group, "?attributes=id", until).await?, wanted) {
            (Group::Missing, _) if !reply.is_scim_error() => Err(self.http.fault(reply)),
            (Group::Missing, Wanted::Revoked) => {
                self.prove_gone(Some(account), until).await?;
                Ok(Done::AlreadyInState)
            }
            (Group::Missing, Wanted::Granted) => {
                self.prove_gone(Some(account), until).await?;
                Err(gone("group", group))
            }
            (Group::Here { .. }, Wanted::Granted) => {
                match self.has_account(account, until).await? {
                    true => {
                        let mut fault = self.http.fault(reply);
                        fault.class = Class::Permanent;
                        Err(fault)
                    }
                    false => {
                        let message = format!("the account `{account}` does not exist any more");
                        Err(Fault::new(Class::Permanent, "account-missing", message))
                    }
                }
            }
            (Group::Here { .. }, Wanted::Revoked) => {
                match self.presence(group, &[account], until).await?.as_deref() {
                    Some([Ok(Presence::Absent)]) => Ok(Done::AlreadyInState),
                    _ => {
                        let mut fault = self.http.fault(reply);
                        fault.class = Class::Permanent;
                        Err(fault)
                    }
                }
            }
        }
    }

    /// Removes one member by naming it as the value of a `remove`, for servers that take no filter
    /// in the path. By the letter of RFC 7644 such a call may empty the group, so the members are
    /// read before and after, and whoever vanished with the one is put back.
    async fn remove_by_value(
        &self,
        group: &str,
        account: &str,
        until: Instant,
    ) -> Result<Done, Fault> {
        let before = match self.read_group(group, "?attributes=members", until).await? {
            Group::Here { members, complete: true, .. } => members,
            Group::Here { .. } => return Err(partial()),
            Group::Missing => {
                self.prove_gone(Some(account), until).await?;
                return Ok(Done::AlreadyInState);
            }
        };
        if !before.contains(account) {
            return Ok(Done::AlreadyInState);
        }
        let operation =
            json!({ "op": "remove", "path": "members", "value": [{ "value": account }] });
        if let Err(reply) = self.patch(group, vec![operation], until).await? {
            return match reply.status {
                // Whoever vanishes with the one is found when it is read back.
                202 => Ok(Done::later()),
                _ => Err(self.http.fault(&reply)),
            };
        }
        let after = match self.read_group(group, "?attributes=members", until).await? {
            Group::Here { members, .. } => members,
            Group::Missing => return Ok(Done::Applied),
        };
        let lost: Vec<&str> = before
            .iter()
            .map(String::as_str)
            .filter(|member| *member != account && !after.contains(*member))
            .collect();
        if lost.is_empty() {
            return Ok(Done::Applied);
        }
        tracing::error!(group, lost = lost.len(), "a SCIM server removed more members than named");
        let restored = self.patch(group, Self::operations(Wanted::Granted, &lost), until).await;
        let message = format!(
            "the target removed {} other members with the one that was named, {}; it cannot remove \
             single members, so do it by hand",
            lost.len(),
            if matches!(restored, Ok(Ok(()))) {
                "who were put back"
            } else {
                "check the group now"
            }
        );
        Err(Fault::new(Class::Unsupported, "removes-others", message))
    }

    /// Changes a group by reading it and putting it back whole, only where the server promises to
    /// refuse that when somebody else changed it meanwhile.
    async fn change_by_put(
        &self,
        group: &str,
        wanted: Wanted,
        accounts: &[&str],
        features: Features,
        until: Instant,
    ) -> Vec<Result<Done, Fault>> {
        let all = |answer: Result<Done, Fault>| vec![answer; accounts.len()];
        let unsupported = |what: &str| {
            let message = format!(
                "the target offers no PATCH and {what}, so members cannot be changed safely"
            );
            Fault::new(Class::Unsupported, "no-patch", message)
        };
        if !features.etag {
            return all(Err(unsupported("no ETags")));
        }
        let mut reply = None;
        for _ in 0..PUT_TRIES {
            let (mut whole, version, members) = match self.read_group(group, "", until).await {
                Ok(Group::Here { whole, etag: Some(etag), members, complete: true }) => {
                    (whole, etag, members)
                }
                Ok(Group::Here { etag: None, .. }) => {
                    return all(Err(unsupported("answers without an ETag")));
                }
                Ok(Group::Here { .. }) => return all(Err(partial())),
                Ok(Group::Missing) => {
                    let account = accounts.first().copied();
                    return all(match (self.prove_gone(account, until).await, wanted) {
                        (Err(fault), _) => Err(fault),
                        (Ok(()), Wanted::Revoked) => Ok(Done::AlreadyInState),
                        (Ok(()), Wanted::Granted) => Err(gone("group", group)),
                    });
                }
                Err(fault) => return all(Err(fault)),
            };
            let is_open = |account: &&&str| match wanted {
                Wanted::Granted => !members.contains(**account),
                Wanted::Revoked => members.contains(**account),
            };
            let open: HashSet<&str> = accounts.iter().filter(is_open).copied().collect();
            let answers = || {
                let done = |account: &&str| match open.contains(account) {
                    true => Ok(Done::Applied),
                    false => Ok(Done::AlreadyInState),
                };
                accounts.iter().map(done).collect()
            };
            if open.is_empty() {
                return answers();
            }
            let Some(object) = whole.as_object_mut() else { return all(Err(not_sent())) };
            object.remove("meta");
            let listed = object.entry("members").or_insert_with(|| json!([]));
            if let Some(listed) = listed.as_array_mut() {
                match wanted {
                    Wanted::Granted => {
                        listed.extend(open.iter().map(|account| json!({ "value": account })));
                    }
                    Wanted::Revoked => listed
                        .retain(|member| text(member, "value").is_none_or(|id| !open.contains(id))),
                }
            }
            let path = match Self::path(group) {
                Ok(path) => path,
                Err(fault) => return all(Err(fault)),
            };
            let call = Call {
                method: Method::PUT,
                path: &path,
                body: Some(&whole),
                if_match: Some(&version),
                limit: LIST_LIMIT,
            };
            match self.http.send(call, until).await {
                Ok(answer) if answer.json().is_some() || answer.status == 204 => return answers(),
                Ok(answer) if answer.status == 202 => {
                    let later = |answer| match answer {
                        Ok(Done::Applied) => Ok(Done::later()),
                        other => other,
                    };
                    return answers().into_iter().map(later).collect();
                }
                Ok(answer) if answer.status == 412 => reply = Some(answer),
                Ok(answer) => return all(Err(self.http.fault(&answer))),
                Err(fault) => return all(Err(fault)),
            }
        }
        all(Err(reply.map_or_else(not_sent, |reply| self.http.fault(&reply))))
    }
}
