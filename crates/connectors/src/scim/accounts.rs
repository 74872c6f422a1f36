//! Who is who in a SCIM server: finding a person's account without believing what is found, and
//! making one.

use std::collections::HashSet;
use std::time::Duration;

use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::lists::{MAX_RESOURCES, NoList};
use super::{AT_ONCE, ExternalId, Scim, UserName, literal, lock, not_sent, partial, text};
use crate::http::{Call, OBJECT_LIMIT, encode};
use crate::{Person, Wanted};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// How long an account found for a person is believed.
const MEMORY: Duration = Duration::from_secs(600);
/// How many people go into one filter.
const SEARCH_CHUNK: usize = 20;

impl Scim {
    pub(super) fn external_id(&self, person: &Person) -> String {
        match self.external_id {
            ExternalId::Subject => person.subject.to_string(),
            ExternalId::ObjectId => person.object_id.clone(),
        }
    }

    pub(super) fn user_name<'p>(&self, person: &'p Person) -> Option<&'p str> {
        match self.user_name {
            UserName::UserPrincipalName => Some(person.user_principal_name.as_str()),
            UserName::Mail => person.mail.as_deref(),
        }
        .map(str::trim)
        .filter(|name| !name.is_empty())
    }

    fn remembered(&self, subject: SubjectId) -> Option<String> {
        let accounts = lock(&self.accounts);
        let (account, since) = accounts.get(&subject)?;
        (since.elapsed() < MEMORY).then(|| account.clone())
    }

    fn remember(&self, subject: SubjectId, account: &str) {
        lock(&self.accounts).insert(subject, (account.to_owned(), Instant::now()));
    }

    pub(super) fn forget(&self, subject: SubjectId) {
        lock(&self.accounts).remove(&subject);
    }

    /// Which of these accounts is the person's.
    ///
    /// INVARIANT: an account is a person's only if its externalId is exactly theirs, or if its
    /// userName is theirs and it has no other externalId. Whatever else a server sends is nobody's.
    fn judge(&self, person: &Person, candidates: &[Value]) -> Result<Option<String>, Fault> {
        let external = self.external_id(person);
        let ours = |user: &&Value| text(user, "externalId") == Some(external.as_str());
        let upn = &person.user_principal_name;
        let ambiguous = |what: &str| {
            let message = format!("several accounts have the {what} of `{upn}`; keep one");
            Fault::new(Class::Permanent, "account-ambiguous", message)
        };
        let mut by_external = candidates.iter().filter(ours);
        match (by_external.next(), by_external.next()) {
            (Some(_), Some(_)) => return Err(ambiguous("externalId")),
            (Some(user), None) => return Ok(text(user, "id").map(str::to_owned)),
            (None, _) => {}
        }
        let Some(name) = self.user_name(person) else { return Ok(None) };
        let lower = name.to_lowercase();
        let mut by_name = candidates.iter().filter(|user| {
            text(user, "userName").is_some_and(|theirs| theirs.to_lowercase() == lower)
        });
        match (by_name.next(), by_name.next()) {
            (Some(_), Some(_)) => Err(ambiguous("userName")),
            (Some(user), None) => match text(user, "externalId") {
                Some(other) => {
                    let message = format!(
                        "the account `{name}` has the externalId `{other}`, which is not that of \
                         `{upn}`; set it to `{external}` in the target if it is the same person"
                    );
                    Err(Fault::new(Class::Permanent, "account-mismatch", message))
                }
                None => Ok(text(user, "id").map(str::to_owned)),
            },
            (None, _) => Ok(None),
        }
    }

    /// Each person's account; `None` if there is verifiably none.
    pub(super) async fn accounts(
        &self,
        people: &[&Person],
        until: Instant,
    ) -> Vec<Result<Option<String>, Fault>> {
        let mut answers: Vec<Option<Result<Option<String>, Fault>>> = people
            .iter()
            .map(|person| self.remembered(person.subject).map(|account| Ok(Some(account))))
            .collect();
        let unknown: Vec<(usize, &Person)> = people
            .iter()
            .zip(&answers)
            .enumerate()
            .filter_map(|(index, (person, answer))| answer.is_none().then_some((index, *person)))
            .collect();
        if !unknown.is_empty() {
            for (index, answer) in self.look_up(&unknown, until).await {
                if let (Ok(Some(account)), Some(person)) = (&answer, people.get(index)) {
                    self.remember(person.subject, account);
                }
                if let Some(slot) = answers.get_mut(index) {
                    *slot = Some(answer);
                }
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(not_sent()))).collect()
    }

    async fn look_up(
        &self,
        unknown: &[(usize, &Person)],
        until: Instant,
    ) -> Vec<(usize, Result<Option<String>, Fault>)> {
        let all = |fault: &Fault| {
            unknown.iter().map(|(index, _)| (*index, Err(fault.clone()))).collect::<Vec<_>>()
        };
        let features = match self.features(until).await {
            Ok(features) => features,
            Err(fault) => return all(&fault),
        };
        let mut answers = Vec::with_capacity(unknown.len());
        let mut left: Vec<(usize, &Person)> = Vec::new();
        if features.filter && !self.learned().no_user_filter {
            // A name with a quote in it is misread by some servers. It is asked for alone, and what
            // comes of it says nothing about filters as such.
            let (odd, plain): (Vec<_>, Vec<_>) =
                unknown.iter().copied().partition(|(_, person)| {
                    self.user_name(person).is_some_and(|name| name.contains(['"', '\\']))
                });
            let chunks = plain.chunks(SEARCH_CHUNK).map(|chunk| (chunk, true));
            let searches: Vec<_> = chunks
                .chain(odd.chunks(1).map(|chunk| (chunk, false)))
                .map(|(chunk, is_plain)| async move {
                    (chunk, is_plain, self.look_up_by_filter(chunk, until).await)
                })
                .collect();
            let found: Vec<_> = stream::iter(searches).buffered(AT_ONCE).collect().await;
            for (chunk, is_plain, found) in found {
                match found {
                    Some(found) => answers.extend(found),
                    None => {
                        left.extend(chunk);
                        if is_plain {
                            self.learn(|learned| learned.no_user_filter = true);
                        }
                    }
                }
            }
        } else {
            left.extend(unknown);
        }
        if left.is_empty() {
            return answers;
        }
        // Without filters the whole list is read and searched here.
        let listed = match self.list("Users", None, "", MAX_RESOURCES, until).await {
            Ok(listing) => Ok(listing),
            Err(NoList::Fault(fault)) => Err(fault),
            Err(NoList::Filter) => Err(partial()),
        };
        answers.extend(left.into_iter().map(|(index, person)| {
            let answer = match &listed {
                Err(fault) => Err(fault.clone()),
                Ok(listing) => match self.judge(person, &listing.resources) {
                    Ok(None) if !listing.complete => Err(partial()),
                    answer => answer,
                },
            };
            (index, answer)
        }));
        answers
    }

    /// Searches a few people by filter: by externalId, and who is not found, by userName. `None` if
    /// the server turns out not to apply filters.
    async fn look_up_by_filter(
        &self,
        people: &[(usize, &Person)],
        until: Instant,
    ) -> Option<Vec<(usize, Result<Option<String>, Fault>)>> {
        let mut answers = Vec::with_capacity(people.len());
        let mut candidates: Vec<Value> = Vec::new();
        let external: Vec<String> = people.iter().map(|(_, p)| self.external_id(p)).collect();
        let external: Vec<&str> = external.iter().map(String::as_str).collect();
        let mut fault = None;
        match self.search("externalId", &external, until).await {
            Ok(Some(found)) => candidates.extend(found),
            // Some servers cannot filter by externalId; the userName must do, and is judged with
            // the externalId that comes with it.
            Ok(None) => {}
            Err(NoList::Filter) => return None,
            Err(NoList::Fault(error)) => fault = Some(error),
        }
        let names: Vec<&str> = people
            .iter()
            .filter(|(_, person)| !matches!(self.judge(person, &candidates), Ok(Some(_))))
            .filter_map(|(_, person)| self.user_name(person))
            .collect();
        if fault.is_none() && !names.is_empty() {
            match self.search("userName", &names, until).await {
                Ok(Some(found)) => candidates.extend(found),
                Ok(None) | Err(NoList::Filter) => return None,
                Err(NoList::Fault(error)) => fault = Some(error),
            }
        }
        let mut ids = HashSet::new();
        candidates.retain(|user| text(user, "id").is_some_and(|id| ids.insert(id.to_owned())));
        for (index, person) in people {
            let answer = match (self.judge(person, &candidates), &fault) {
                (Ok(None), Some(fault)) => Err(fault.clone()),
                (answer, _) => answer,
            };
            answers.push((*index, answer));
        }
        Some(answers)
    }

    /// Users whose attribute is one of these values. `Ok(None)`: the server does not filter by this
    /// attribute; `NoList::Filter`: it answers and does not filter at all.
    pub(super) async fn search(
        &self,
        attribute: &str,
        values: &[&str],
        until: Instant,
    ) -> Result<Option<Vec<Value>>, NoList> {
        let term = |value: &&str| format!("{attribute} eq {}", literal(value));
        let filter = values.iter().map(term).collect::<Vec<_>>().join(" or ");
        // More than was asked for is a sign of a filter that is not applied: no need to read on.
        let limit = values.len() * 2 + 1;
        let found = match self.list("Users", Some(&filter), "", limit, until).await {
            Ok(listing) => listing,
            Err(NoList::Filter) if 1 < values.len() => {
                let mut all = Vec::new();
                for value in values {
                    match Box::pin(self.search(attribute, &[value], until)).await? {
                        Some(found) => all.extend(found),
                        None => return Ok(None),
                    }
                }
                return Ok(Some(all));
            }
            Err(NoList::Filter) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let asked = |user: &Value| {
            text(user, attribute).is_some_and(|found| {
                values.iter().any(|v| v.to_lowercase() == found.to_lowercase())
            })
        };
        if found.resources.iter().all(asked) && found.complete {
            return Ok(Some(found.resources));
        }
        if found.resources.iter().all(asked) {
            return Err(NoList::Fault(partial()));
        }
        tracing::warn!("a SCIM server answered a filter with users that it does not match");
        Err(NoList::Filter)
    }

    /// Makes a person's account, once: whoever else wants it at this moment waits and finds it.
    pub(super) async fn make(&self, person: &Person, until: Instant) -> Result<String, Fault> {
        let upn = &person.user_principal_name;
        let Some(name) = self.user_name(person) else {
            let message = format!("`{upn}` has no mail address, which is the userName here");
            return Err(Fault::new(Class::Permanent, "no-key", message));
        };
        let stripe = person.subject.0.as_bytes().last().copied().unwrap_or_default();
        let _turn = match self.making.get(usize::from(stripe) % self.making.len().max(1)) {
            Some(making) => Some(making.lock().await),
            None => None,
        };
        if let Some(account) = self.remembered(person.subject) {
            return Ok(account);
        }
        let mut user = json!({
            "schemas": [USER],
            "userName": name,
            "externalId": self.external_id(person),
            "displayName": person.display_name,
            "active": true,
            "name": { "formatted": person.display_name },
        });
        if let Some(names) = user.get_mut("name").and_then(Value::as_object_mut) {
            let parts = [("givenName", &person.given_name), ("familyName", &person.surname)];
            for (key, part) in parts {
                if let Some(part) = part {
                    names.insert(key.to_owned(), part.as_str().into());
                }
            }
        }
        if let (Some(mail), Some(user)) = (&person.mail, user.as_object_mut()) {
            let mails = json!([{ "value": mail, "type": "work", "primary": true }]);
            user.insert("emails".to_owned(), mails);
        }
        let call = Call {
            method: Method::POST,
            path: "/Users",
            body: Some(&user),
            if_match: None,
            limit: OBJECT_LIMIT,
        };
        let reply = self.http.send(call, until).await?;
        if reply.status == 409 {
            // Somebody made it meanwhile, or the name is taken by somebody else.
            let found = self.accounts(&[person], until).await.pop();
            return match found.unwrap_or(Ok(None))? {
                Some(account) => Ok(account),
                None => {
                    let message = format!(
                        "the target says that an account for `{name}` exists and shows none that is \
                         this person's; set its externalId to `{}` in the target",
                        self.external_id(person)
                    );
                    Err(Fault::new(Class::Permanent, "account-mismatch", message))
                }
            };
        }
        let made = reply.json().filter(|made| {
            let same = |theirs: &str| theirs.to_lowercase() == name.to_lowercase();
            text(made, "userName").is_none_or(same)
        });
        match made.and_then(|made| text(made, "id")) {
            Some(id) => {
                self.remember(person.subject, id);
                Ok(id.to_owned())
            }
            None => Err(self.http.fault(&reply)),
        }
    }

    /// The account that a wish needs: a grant may make it, a revocation does without.
    pub(super) async fn made(
        &self,
        account: Result<Option<String>, Fault>,
        person: &Person,
        wanted: Wanted,
        until: Instant,
    ) -> Result<Option<String>, Fault> {
        match (account, wanted) {
            (Ok(None), Wanted::Granted) if self.creates_accounts => {
                self.make(person, until).await.map(Some)
            }
            (Ok(None), Wanted::Granted) => Err(self.missing(person)),
            (account, _) => account,
        }
    }

    pub(super) fn missing(&self, person: &Person) -> Fault {
        let message = format!(
            "there is no account with externalId `{}` or userName `{}`; create it in the target, or \
             set `createAccounts`",
            self.external_id(person),
            self.user_name(person).unwrap_or_default()
        );
        Fault::new(Class::Permanent, "account-missing", message)
    }

    /// Answers whether an account is still there.
    pub(super) async fn has_account(&self, account: &str, until: Instant) -> Result<bool, Fault> {
        let reply = self.get(&format!("/Users/{}", encode(account)), OBJECT_LIMIT, until).await?;
        match (reply.json(), reply.status) {
            (Some(user), _) if text(user, "id") == Some(account) => Ok(true),
            (_, 404 | 410) if reply.is_scim_error() => Ok(false),
            _ => Err(self.http.fault(&reply)),
        }
    }
}
