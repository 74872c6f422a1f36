//! SCIM 2.0 servers as targets (RFC 7643, RFC 7644): groups with members.
//!
//! Servers in the field differ more than the standard allows, so nothing that a server answers is
//! believed without looking: every account found is compared with what was asked for, every list is
//! bounded, and "not there" counts only when it is proved. Members are added and removed one value
//! at a time; the member list as a whole is never replaced by PATCH.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::egress::Policy;
use crate::http::{Call, Http, LIST_LIMIT, OBJECT_LIMIT, Reply, encode};
use crate::roles::Membership;
use crate::settings::{Field, Problem, Reader, problem};
use crate::tls::Authorities;
use crate::{
    CALL_DEADLINE, Connector, Done, FoundResource, Health, Item, Person, Presence, Role, Settings,
    Wanted,
};

/// The settings of a SCIM target.
pub const SETTINGS: &[Field] = &[
    Field { name: "baseUrl", meaning: "the address below which `/Users` and `/Groups` are" },
    Field {
        name: "createAccounts",
        meaning: "whether a grant makes a missing account; default `false`",
    },
    Field {
        name: "userName",
        meaning: "what is a person's userName: `userPrincipalName` (default) or `mail`",
    },
    Field {
        name: "externalId",
        meaning: "what is a person's externalId: `subject` (default) or `objectId`",
    },
    Field {
        name: "batchMembers",
        meaning: "how many members go into one PATCH, 1 to 1000; default 100",
    },
    Field {
        name: "checkBeforeAdd",
        meaning: "whether members are read before one is added, which tells access that existed \
                  before and avoids duplicates; default `true`",
    },
    Field {
        name: "caCertificate",
        meaning: "the authority of the server's certificate, as PEM text; default the machine's",
    },
    Field { name: "allowPlain", meaning: "allows `http://` to another machine; default `false`" },
];

/// The secrets of a SCIM target.
pub const SECRETS: &[Field] =
    &[Field { name: "bearerToken", meaning: "the token that the target gave for this server" }];

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// Time kept back so that a method ends by itself before the worker's deadline.
const RESERVE: Duration = Duration::from_secs(2);
/// How long an account found for a person is believed.
const MEMORY: Duration = Duration::from_secs(600);
/// How many people go into one filter.
const SEARCH_CHUNK: usize = 20;
/// How many lookups and creations run at once within one call of a method.
const AT_ONCE: usize = 4;
/// How many pages of one list are read.
const MAX_PAGES: usize = 1_000;
/// How many resources of one list are kept.
const MAX_RESOURCES: usize = 100_000;
/// How many resources are asked for in one page.
const PAGE: usize = 200;
/// How often a GET and PUT is begun anew because somebody else was faster.
const PUT_TRIES: usize = 5;
/// How many people are looked for by filter before a group's members are read as a whole.
const FILTER_LIMIT: usize = 2;
/// Lengths at which servers are known to cut lists of members. A list this long, or longer than
/// the last, proves who is in it and not who is missing.
const CUT_LENGTHS: [usize; 8] = [100, 200, 250, 500, 1_000, 2_000, 5_000, 10_000];
/// A member that no group has; a filter that finds it is not really applied.
const NOBODY: &str = "accede-00000000-0000-0000-0000-000000000000";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UserName {
    UserPrincipalName,
    Mail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExternalId {
    Subject,
    ObjectId,
}

/// What the server says it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Features {
    patch: bool,
    filter: bool,
    etag: bool,
}

/// What only trying shows about a server.
#[derive(Debug, Clone, Copy, Default)]
struct Learned {
    /// It refused PATCH although it offers it.
    no_patch: bool,
    /// It refused or ignored filters of users although it offers them.
    no_user_filter: bool,
    /// It refused or ignored filters of groups by member.
    no_member_filter: bool,
    /// A filter of groups by member does not find what is not there.
    member_filter_misses: bool,
    /// A filter of groups by member found what is there.
    member_filter_hits: bool,
    /// It refuses to remove a member by a filter in the path.
    no_path_filter: bool,
}

/// One SCIM server.
pub struct Scim {
    http: Http,
    creates_accounts: bool,
    user_name: UserName,
    external_id: ExternalId,
    batch_members: usize,
    check_before_add: bool,
    features: Mutex<Option<Features>>,
    learned: Mutex<Learned>,
    accounts: Mutex<HashMap<SubjectId, (String, Instant)>>,
    /// Two calls for one person must not make two accounts.
    making: Vec<tokio::sync::Mutex<()>>,
}

/// Opens a SCIM target; connects to nothing yet.
pub(crate) fn open(
    _: &Settings,
    reader: &Reader<'_>,
    egress: Arc<Policy>,
) -> Result<Arc<dyn Connector>, Problem> {
    let base = reader.required("baseUrl", "https://wiki.example/scim/v2")?;
    let base = base.trim_end_matches('/');
    let url = url::Url::parse(base).map_err(|_| {
        problem("baseUrl", "is not an address; give it like `https://wiki.example/scim/v2`")
    })?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(problem("baseUrl", "must begin with `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(problem("baseUrl", "must not hold a password; use the secret `bearerToken`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(problem("baseUrl", "must end with the path, without `?` or `#`"));
    }
    egress
        .permits_url(&url)
        .map_err(|denied| problem("baseUrl", format!("is refused: {denied}")))?;
    let near = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    };
    if url.scheme() == "http" && !near && !reader.flag("allowPlain", false)? {
        let sentence = "would send the token unencrypted; use `https://`, or set `allowPlain`";
        return Err(problem("baseUrl", sentence));
    }
    let token = reader.secret("bearerToken", "the token that the target gave")?;
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        let sentence = "must be one word of ASCII letters, digits and signs; check what was pasted";
        return Err(Problem::new("secrets.bearerToken", sentence));
    }
    let authorities = Authorities::from_pem(reader.text("caCertificate")?)?;
    let user_names: &[(&str, UserName)] =
        &[("userPrincipalName", UserName::UserPrincipalName), ("mail", UserName::Mail)];
    let external_ids: &[(&str, ExternalId)] =
        &[("subject", ExternalId::Subject), ("objectId", ExternalId::ObjectId)];
    let batch = reader.number("batchMembers", 100, 1..=1_000)?;
    Ok(Arc::new(Scim {
        http: Http::new(url, token.to_owned(), egress, authorities),
        creates_accounts: reader.flag("createAccounts", false)?,
        user_name: reader.choice("userName", Some(UserName::UserPrincipalName), user_names)?,
        external_id: reader.choice("externalId", Some(ExternalId::Subject), external_ids)?,
        batch_members: usize::try_from(batch).unwrap_or(100),
        check_before_add: reader.flag("checkBeforeAdd", true)?,
        features: Mutex::default(),
        learned: Mutex::default(),
        accounts: Mutex::default(),
        making: std::iter::repeat_with(tokio::sync::Mutex::default).take(64).collect(),
    }))
}

/// The resources of a list, and whether they are all that there are.
#[derive(Debug, Default)]
struct Listing {
    resources: Vec<Value>,
    complete: bool,
}

/// A group as far as it was read.
enum Group {
    Here {
        whole: Value,
        etag: Option<String>,
        members: HashSet<String>,
        /// Whether somebody who is not in the list is certainly not in the group.
        complete: bool,
    },
    /// A SCIM server says that it is not there; not yet proved to be the right server.
    Missing,
}

/// Why a list was not answered.
enum NoList {
    /// The server does not take this filter.
    Filter,
    Fault(Fault),
}

impl From<Fault> for NoList {
    fn from(fault: Fault) -> NoList {
        NoList::Fault(fault)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A literal of the filter language: a JSON string (RFC 7644 3.4.2.2), so that no quote ends it.
fn literal(value: &str) -> String {
    Value::from(value).to_string()
}

fn is_list(value: &Value) -> bool {
    let names_list = |schema: &Value| schema.as_str() == Some(LIST);
    value.get("schemas").and_then(Value::as_array).is_some_and(|all| all.iter().any(names_list))
        || value.get("totalResults").is_some_and(Value::is_u64)
}

fn not_sent() -> Fault {
    let message = "a call before this one did not come to an end, so this one was not sent";
    Fault::new(Class::Transient, "not-sent", message)
}

fn partial() -> Fault {
    let message = "the target answered with a part of the list only, which proves nothing";
    Fault::new(Class::Transient, "partial-answer", message)
}

fn gone(group: &str) -> Fault {
    let message = format!("the group `{group}` does not exist any more; remove the resource role");
    Fault::new(Class::Permanent, "resource-gone", message)
}

impl Scim {
    async fn get(&self, path: &str, limit: usize, until: Instant) -> Result<Reply, Fault> {
        let call = Call { method: Method::GET, path, body: None, if_match: None, limit };
        self.http.send(call, until).await
    }

    /// What the server can do; asked once. A server that does not say is taken by the standard.
    async fn features(&self, until: Instant) -> Result<Features, Fault> {
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
                }
            }
            // Not offered, or not to this token; what follows shows whether the address is wrong.
            (None, 403 | 404 | 405 | 501) => {
                return Ok(Features { patch: true, filter: true, etag: false });
            }
            (None, _) => return Err(self.http.fault(&reply)),
        };
        *lock(&self.features) = Some(features);
        Ok(features)
    }

    fn learned(&self) -> Learned {
        *lock(&self.learned)
    }

    fn learn(&self, lesson: impl FnOnce(&mut Learned)) {
        lesson(&mut lock(&self.learned));
    }

    /// Reads a list to its end, or to `limit` resources. It ends even when the server does not page
    /// as asked: the next page begins where the reply ended, and a page without news is the last.
    async fn list(
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

    // People.

    fn external_id(&self, person: &Person) -> String {
        match self.external_id {
            ExternalId::Subject => person.subject.to_string(),
            ExternalId::ObjectId => person.object_id.clone(),
        }
    }

    fn user_name<'p>(&self, person: &'p Person) -> Option<&'p str> {
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

    fn forget(&self, subject: SubjectId) {
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
    async fn accounts(
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
        if features.filter && !self.learned().no_user_filter {
            let searches: Vec<_> = unknown
                .chunks(SEARCH_CHUNK)
                .map(|chunk| self.look_up_by_filter(chunk, until))
                .collect();
            let chunks: Vec<_> = stream::iter(searches).buffered(AT_ONCE).collect().await;
            if let Some(answers) = chunks.into_iter().collect::<Option<Vec<_>>>() {
                return answers.into_iter().flatten().collect();
            }
            self.learn(|learned| learned.no_user_filter = true);
        }
        // Without filters the whole list is read and searched here.
        match self.list("Users", None, "", MAX_RESOURCES, until).await {
            Ok(listing) => unknown
                .iter()
                .map(|(index, person)| {
                    let answer = match self.judge(person, &listing.resources) {
                        Ok(None) if !listing.complete => Err(partial()),
                        answer => answer,
                    };
                    (*index, answer)
                })
                .collect(),
            Err(NoList::Fault(fault)) => all(&fault),
            Err(NoList::Filter) => all(&partial()),
        }
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
    async fn search(
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
    async fn make(&self, person: &Person, until: Instant) -> Result<String, Fault> {
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
    async fn made(
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

    fn missing(&self, person: &Person) -> Fault {
        let message = format!(
            "there is no account with externalId `{}` or userName `{}`; create it in the target, or \
             set `createAccounts`",
            self.external_id(person),
            self.user_name(person).unwrap_or_default()
        );
        Fault::new(Class::Permanent, "account-missing", message)
    }

    /// Answers whether an account is still there.
    async fn has_account(&self, account: &str, until: Instant) -> Result<bool, Fault> {
        let reply = self.get(&format!("/Users/{}", encode(account)), OBJECT_LIMIT, until).await?;
        match (reply.json(), reply.status) {
            (Some(user), _) if text(user, "id") == Some(account) => Ok(true),
            (_, 404 | 410) if reply.is_scim_error() => Ok(false),
            _ => Err(self.http.fault(&reply)),
        }
    }

    // Groups.

    fn path(group: &str) -> Result<String, Fault> {
        match group {
            "" | "." | ".." => {
                let message =
                    format!("`{group}` cannot be the id of a group; add the resource anew");
                Err(Fault::new(Class::Permanent, "malformed-id", message))
            }
            _ => Ok(format!("/Groups/{}", encode(group))),
        }
    }

    fn group(role: &Role) -> Result<&str, Fault> {
        Membership::only_member(role)?;
        Self::path(&role.resource)?;
        Ok(&role.resource)
    }

    async fn read_group(&self, group: &str, what: &str, until: Instant) -> Result<Group, Fault> {
        let path = format!("{}{what}", Self::path(group)?);
        let reply = self.get(&path, LIST_LIMIT, until).await?;
        let whole = match (reply.json(), reply.status) {
            (Some(whole), _) if text(whole, "id") == Some(group) => whole,
            (_, 404 | 410) if reply.is_scim_error() => return Ok(Group::Missing),
            _ => return Err(self.http.fault(&reply)),
        };
        let listed = whole.get("members").and_then(Value::as_array);
        let listed = listed.map(Vec::as_slice).unwrap_or_default();
        let members: HashSet<String> =
            listed.iter().filter_map(|m| text(m, "value")).map(str::to_owned).collect();
        let longest = CUT_LENGTHS.into_iter().max().unwrap_or(0);
        let complete = listed.len() <= longest && !CUT_LENGTHS.contains(&listed.len());
        Ok(Group::Here { whole: whole.clone(), etag: reply.etag.clone(), members, complete })
    }

    /// Proves that a group is really gone, by showing that this is the server we know: it lists
    /// groups, and the account that we hold is there. A wrong address answers 404 to everything.
    async fn prove_gone(&self, account: Option<&str>, until: Instant) -> Result<(), Fault> {
        let unproved = |fault: Option<Fault>| {
            let said = fault.map(|fault| format!(" ({fault})")).unwrap_or_default();
            let message = format!(
                "the group is not found, and neither is anything else{said}; check `baseUrl`"
            );
            Fault::new(Class::Target, "base-url", message)
        };
        match self.list("Groups", None, "&excludedAttributes=members", 1, until).await {
            Ok(_) => {}
            Err(NoList::Filter) => return Err(unproved(None)),
            Err(NoList::Fault(fault)) if fault.class == Class::Throttled => return Err(fault),
            Err(NoList::Fault(fault)) => return Err(unproved(Some(fault))),
        }
        match account {
            None => Ok(()),
            Some(account) => match self.has_account(account, until).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(unproved(None)),
                Err(fault) => Err(fault),
            },
        }
    }

    /// Which accounts are in a group. `None` if the group is said to be missing.
    async fn presence(
        &self,
        group: &str,
        accounts: &[&str],
        until: Instant,
    ) -> Result<Option<Vec<Result<Presence, Fault>>>, Fault> {
        if accounts.len() <= FILTER_LIMIT
            && let Some(presence) = self.presence_by_filter(group, accounts, until).await?
        {
            return Ok(Some(presence.into_iter().map(Ok).collect()));
        }
        let (members, complete) = match self.read_group(group, "?attributes=members", until).await {
            Ok(Group::Here { members, complete, .. }) => (members, complete),
            Ok(Group::Missing) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let mut answers = Vec::with_capacity(accounts.len());
        for account in accounts {
            answers.push(match (members.contains(*account), complete) {
                (true, _) => Ok(Presence::Present),
                (false, true) => Ok(Presence::Absent),
                (false, false) => match self.presence_by_filter(group, &[account], until).await? {
                    Some(presence) => presence.into_iter().next().ok_or_else(partial),
                    None => Err(partial()),
                },
            });
        }
        Ok(Some(answers))
    }

    /// The same by filter, which needs no list of members. `None` if that proves nothing here: a
    /// filter is trusted to find once it did not find what is not there, and trusted not to find
    /// once it found what is there.
    async fn presence_by_filter(
        &self,
        group: &str,
        accounts: &[&str],
        until: Instant,
    ) -> Result<Option<Vec<Presence>>, Fault> {
        if self.learned().no_member_filter || !self.features(until).await?.filter {
            return Ok(None);
        }
        if !self.learned().member_filter_misses {
            match self.filter_finds(group, NOBODY, until).await? {
                Some(false) => self.learn(|learned| learned.member_filter_misses = true),
                Some(true) | None => {
                    self.learn(|learned| learned.no_member_filter = true);
                    return Ok(None);
                }
            }
        }
        let mut answers = Vec::with_capacity(accounts.len());
        for account in accounts {
            match self.filter_finds(group, account, until).await? {
                Some(true) => {
                    self.learn(|learned| learned.member_filter_hits = true);
                    answers.push(Presence::Present);
                }
                Some(false) if self.learned().member_filter_hits => answers.push(Presence::Absent),
                Some(false) | None => return Ok(None),
            }
        }
        Ok(Some(answers))
    }

    async fn filter_finds(
        &self,
        group: &str,
        member: &str,
        until: Instant,
    ) -> Result<Option<bool>, Fault> {
        let filter = format!("id eq {} and members.value eq {}", literal(group), literal(member));
        match self.list("Groups", Some(&filter), "&attributes=id", 2, until).await {
            Ok(Listing { resources, complete: true }) => match resources.as_slice() {
                [] => Ok(Some(false)),
                [only] if text(only, "id") == Some(group) => Ok(Some(true)),
                _ => Ok(None),
            },
            Ok(_) | Err(NoList::Filter) => Ok(None),
            // A server that stumbles over the filter is asked in another way.
            Err(NoList::Fault(fault)) if fault.code == "http-500" => Ok(None),
            Err(NoList::Fault(fault)) => Err(fault),
        }
    }

    async fn patch(
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
    async fn change(
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
                Err(gone(group))
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
            return Err(self.http.fault(&reply));
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
                        (Ok(()), Wanted::Granted) => Err(gone(group)),
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
                Ok(answer) if answer.status == 412 => reply = Some(answer),
                Ok(answer) => return all(Err(self.http.fault(&answer))),
                Err(fault) => return all(Err(fault)),
            }
        }
        all(Err(reply.map_or_else(not_sent, |reply| self.http.fault(&reply))))
    }

    async fn ensure_until(&self, batch: &[Item], until: Instant) -> Vec<Result<Done, Fault>> {
        let Some(first) = batch.first() else { return Vec::new() };
        let wanted = first.wanted;
        let group = match Self::group(&first.role) {
            Ok(group) => group,
            Err(fault) => return vec![Err(fault); batch.len()],
        };
        let people: Vec<&Person> = batch.iter().map(|item| &item.person).collect();
        let accounts = self.accounts(&people, until).await;
        // The others need not wait for one whose account must be made first, but few are, and one
        // call for all is worth more.
        let made: Vec<_> = accounts
            .into_iter()
            .zip(&people)
            .map(|(account, person)| self.made(account, person, wanted, until))
            .collect();
        let accounts: Vec<Result<Option<String>, Fault>> =
            stream::iter(made).buffered(AT_ONCE).collect().await;
        let mut answers: Vec<Option<Result<Done, Fault>>> = Vec::with_capacity(batch.len());
        let mut open: Vec<(usize, &str)> = Vec::new();
        for (index, account) in accounts.iter().enumerate() {
            answers.push(match account {
                Ok(Some(account)) => {
                    open.push((index, account.as_str()));
                    None
                }
                // Whoever has no account has no role.
                Ok(None) => Some(Ok(Done::AlreadyInState)),
                Err(fault) => Some(Err(fault.clone())),
            });
        }
        if wanted == Wanted::Granted && self.check_before_add && !open.is_empty() {
            let asked: Vec<&str> = open.iter().map(|(_, account)| *account).collect();
            let presence = match self.presence(group, &asked, until).await {
                Ok(Some(presence)) => presence,
                Ok(None) => {
                    let fault = match self.prove_gone(asked.first().copied(), until).await {
                        Ok(()) => gone(group),
                        Err(fault) => fault,
                    };
                    vec![Err(fault); asked.len()]
                }
                // A list that is too long to read keeps nobody from being added.
                Err(fault) if fault.code == "answer-too-large" => Vec::new(),
                Err(fault) => vec![Err(fault); asked.len()],
            };
            for ((index, _), presence) in open.iter().zip(presence) {
                if let Some(slot) = answers.get_mut(*index) {
                    *slot = match presence {
                        Ok(Presence::Present) => Some(Ok(Done::AlreadyInState)),
                        Ok(Presence::Absent) => None,
                        Err(fault) if fault.code == "partial-answer" => None,
                        Err(fault) => Some(Err(fault)),
                    };
                }
            }
            open.retain(|(index, _)| answers.get(*index).is_some_and(Option::is_none));
        }
        if !open.is_empty() {
            let asked: Vec<&str> = open.iter().map(|(_, account)| *account).collect();
            let changed = self.change(group, wanted, &asked, until).await;
            for ((index, _), answer) in open.iter().zip(changed) {
                let lost = matches!(&answer, Err(fault) if fault.code == "account-missing");
                if let (true, Some(person)) = (lost, people.get(*index)) {
                    self.forget(person.subject);
                }
                if let Some(slot) = answers.get_mut(*index) {
                    *slot = Some(answer);
                }
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(not_sent()))).collect()
    }

    async fn observe_until(
        &self,
        batch: &[(Person, Role)],
        until: Instant,
    ) -> Vec<Result<Presence, Fault>> {
        let mut answers = Vec::with_capacity(batch.len());
        for run in batch.chunk_by(|(_, one), (_, other)| one == other) {
            let Some((_, role)) = run.first() else { continue };
            let group = match Self::group(role) {
                Ok(group) => group,
                Err(fault) => {
                    answers.extend(vec![Err(fault); run.len()]);
                    continue;
                }
            };
            let people: Vec<&Person> = run.iter().map(|(person, _)| person).collect();
            let accounts = self.accounts(&people, until).await;
            let known: Vec<&str> =
                accounts.iter().filter_map(|account| account.as_ref().ok()?.as_deref()).collect();
            let presence = match known.first() {
                None => Vec::new(),
                Some(one) => match self.presence(group, &known, until).await {
                    Ok(Some(presence)) => presence,
                    Ok(None) => match self.prove_gone(Some(one), until).await {
                        Ok(()) => vec![Ok(Presence::Absent); known.len()],
                        Err(fault) => vec![Err(fault); known.len()],
                    },
                    Err(fault) => vec![Err(fault); known.len()],
                },
            };
            let mut presence = presence.into_iter();
            answers.extend(accounts.iter().map(|account| match account {
                Err(fault) => Err(fault.clone()),
                Ok(None) => Ok(Presence::Absent),
                Ok(Some(_)) => presence.next().unwrap_or_else(|| Err(not_sent())),
            }));
        }
        answers
    }

    fn resource(group: &Value) -> Option<FoundResource> {
        let id = text(group, "id")?;
        Some(FoundResource {
            origin_id: id.to_owned(),
            display_name: text(group, "displayName").unwrap_or(id).to_owned(),
            description: None,
            roles: vec![Membership::Member.of(id)],
        })
    }
}

fn deadline() -> Instant {
    Instant::now() + (CALL_DEADLINE - RESERVE)
}

#[async_trait]
impl Connector for Scim {
    fn batch_size(&self) -> usize {
        self.batch_members
    }

    fn can_observe(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<Health, Fault> {
        let (started, until) = (Instant::now(), deadline());
        *lock(&self.features) = None;
        let features = self.features(until).await?;
        // Many servers show their configuration to everybody; their users only to who may see them.
        match self.list("Users", None, "", 1, until).await {
            Ok(_) => {}
            Err(NoList::Fault(fault)) => return Err(fault),
            Err(NoList::Filter) => return Err(partial()),
        }
        let offers = |yes: bool| if yes { "yes" } else { "no" };
        let summary = format!(
            "SCIM 2.0; PATCH {}, filter {}, ETag {}",
            offers(features.patch),
            offers(features.filter),
            offers(features.etag)
        );
        Ok(Health { summary, took: started.elapsed() })
    }

    async fn discover(
        &self,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        let until = deadline();
        let search = search.map(str::trim).filter(|search| !search.is_empty());
        let lower = search.map(str::to_lowercase).unwrap_or_default();
        let matches = |found: &FoundResource| {
            found.display_name.to_lowercase().contains(&lower)
                || found.origin_id.to_lowercase().contains(&lower)
        };
        let without_members = "&excludedAttributes=members";
        let mut listed = None;
        if let Some(search) = search
            && self.features(until).await?.filter
        {
            let filter = format!("displayName co {}", literal(search));
            match self.list("Groups", Some(&filter), without_members, limit, until).await {
                // A filter that is not applied has cut the list before what we look for, and one
                // that finds nothing may have minded the case.
                Ok(found)
                    if !found.resources.is_empty()
                        && found
                            .resources
                            .iter()
                            .filter_map(Self::resource)
                            .all(|f| matches(&f)) =>
                {
                    listed = Some(found);
                }
                Ok(_) | Err(NoList::Filter) => {}
                Err(NoList::Fault(fault)) => return Err(fault),
            }
        }
        let listed = match (listed, search) {
            (Some(listed), _) => listed,
            (None, search) => {
                let most = if search.is_some() { MAX_RESOURCES } else { limit };
                match self.list("Groups", None, without_members, most, until).await {
                    Ok(listed) => listed,
                    Err(NoList::Fault(fault)) => return Err(fault),
                    Err(NoList::Filter) => return Err(partial()),
                }
            }
        };
        let mut found: Vec<FoundResource> =
            listed.resources.iter().filter_map(Self::resource).filter(matches).collect();
        if let (true, Some(search)) = (found.is_empty(), search)
            && search.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        {
            found.extend(self.find(search).await?);
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn find(&self, origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        let until = deadline();
        let Ok(path) = Self::path(origin_id) else { return Ok(None) };
        let reply =
            self.get(&format!("{path}?excludedAttributes=members"), LIST_LIMIT, until).await?;
        match (reply.json(), reply.status) {
            (Some(group), _) if text(group, "id") == Some(origin_id) => Ok(Self::resource(group)),
            (_, 404 | 410) if reply.is_scim_error() => {
                self.prove_gone(None, until).await?;
                Ok(None)
            }
            _ => Err(self.http.fault(&reply)),
        }
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        self.ensure_until(batch, deadline()).await
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        self.observe_until(batch, deadline()).await
    }
}
