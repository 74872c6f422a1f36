//! SCIM 2.0 servers as targets (RFC 7643, RFC 7644): groups with members.
//!
//! Servers in the field differ more than the standard allows, so nothing that a server answers is
//! believed without looking: every account found is compared with what was asked for, every list is
//! bounded, and "not there" counts only when it is proved. Members are added and removed one value
//! at a time; the member list as a whole is never replaced by PATCH.

mod accounts;
mod changes;
mod groups;
mod holders;
mod lists;
mod values;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accede_domain::fault::Fault;
use accede_domain::id::SubjectId;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::egress::Policy;
use crate::faults::{gone, not_sent, partial};
use crate::http::{self, Dialect, Http, LIST_LIMIT};
use crate::oauth::{self, Credentials};
use crate::pace::{self, Pace};
use crate::roles::Membership;
use crate::settings::{Field, Form, Problem, Reader, problem};
use crate::tls::{self, Authorities};
use crate::{
    CALL_DEADLINE, Connector, Done, FoundResource, Health, Holders, Item, Person, Presence, Role,
    Settings, Wanted,
};
use lists::{MAX_RESOURCES, NoList};
use values::Part;

/// The settings of a SCIM target.
pub const SETTINGS: &[Field] = &[
    Field::new("baseUrl", "Address", "the address below which `/Users` and `/Groups` are")
        .required(),
    oauth::TOKEN_URL,
    oauth::CLIENT_ID,
    oauth::SCOPE,
    Field::new(
        "createAccounts",
        "Make missing accounts",
        "whether a grant makes a missing account; default `false`",
    )
    .form(Form::Flag),
    Field::new(
        "userName",
        "User name there",
        "what is a person's userName: `userPrincipalName` (default) or `mail`",
    )
    .form(Form::OneOf(&["userPrincipalName", "mail"])),
    Field::new(
        "externalId",
        "External id there",
        "what is a person's externalId: `subject` (default) or `objectId`",
    )
    .form(Form::OneOf(&["subject", "objectId"])),
    Field::new(
        "batchMembers",
        "Members in one call",
        "how many members go into one PATCH, 1 to 1000; default 100",
    ),
    Field::new(
        "checkBeforeAdd",
        "Look before adding",
        "whether members are read before one is added, which tells access that existed \
                  before and avoids duplicates; default `true`",
    )
    .form(Form::Flag),
    Field::new(
        "roles",
        "Roles that accounts can have",
        "values of the attribute `roles` that can be given, as the target spells them",
    )
    .form(Form::List),
    Field::new(
        "entitlements",
        "Entitlements that accounts can have",
        "values of the attribute `entitlements` that can be given, as the target spells them",
    )
    .form(Form::List),
    tls::CA_CERTIFICATE,
    http::ALLOW_PLAIN,
    pace::CALLS_PER_MINUTE,
];

const DIALECT: Dialect = Dialect {
    accept: "application/scim+json, application/json",
    content_type: "application/scim+json",
    server: "a SCIM server",
};

/// The secrets of a SCIM target.
pub const SECRETS: &[Field] = oauth::SECRETS;

/// Time kept back so that a method ends by itself before the worker's deadline.
const RESERVE: Duration = Duration::from_secs(2);
/// How many lookups and creations run at once within one call of a method.
const AT_ONCE: usize = 4;

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
    /// How many changes one bulk call may hold; 0 if it offers none.
    bulk: usize,
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
    /// It refused bulk calls although it offers them.
    no_bulk: bool,
}

/// One SCIM server.
pub struct Scim {
    http: Http,
    creates_accounts: bool,
    user_name: UserName,
    external_id: ExternalId,
    batch_members: usize,
    check_before_add: bool,
    roles: Vec<String>,
    entitlements: Vec<String>,
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
    let url = http::address(reader, "baseUrl", "https://wiki.example/scim/v2", &egress)?;
    let credentials = Credentials::read(reader, &egress)?;
    let authorities = Authorities::from_pem(reader.text("caCertificate")?)?;
    let user_names: &[(&str, UserName)] =
        &[("userPrincipalName", UserName::UserPrincipalName), ("mail", UserName::Mail)];
    let external_ids: &[(&str, ExternalId)] =
        &[("subject", ExternalId::Subject), ("objectId", ExternalId::ObjectId)];
    let batch = reader.number("batchMembers", 100, 1..=1_000)?;
    Ok(Arc::new(Scim {
        http: Http::new(url, DIALECT, credentials, egress, authorities, Pace::read(reader)?),
        creates_accounts: reader.flag("createAccounts", false)?,
        user_name: reader.choice("userName", Some(UserName::UserPrincipalName), user_names)?,
        external_id: reader.choice("externalId", Some(ExternalId::Subject), external_ids)?,
        batch_members: usize::try_from(batch).unwrap_or(100),
        check_before_add: reader.flag("checkBeforeAdd", true)?,
        roles: values(reader, "roles")?,
        entitlements: values(reader, "entitlements")?,
        features: Mutex::default(),
        learned: Mutex::default(),
        accounts: Mutex::default(),
        making: std::iter::repeat_with(tokio::sync::Mutex::default).take(64).collect(),
    }))
}

/// Values of an attribute that are resources.
fn values(reader: &Reader<'_>, name: &str) -> Result<Vec<String>, Problem> {
    let mut values: Vec<String> = reader.texts(name)?;
    for value in &mut values {
        *value = value.trim().to_owned();
    }
    let bad = values.iter().any(|value| value.is_empty() || value.chars().any(char::is_control));
    let twice =
        values.iter().enumerate().any(|(i, value)| values.iter().take(i).any(|v| v == value));
    match (bad, twice) {
        (true, _) => Err(problem(name, "must be a list of values as the target spells them")),
        (_, true) => Err(problem(name, "names a value twice; remove one")),
        (false, false) => Ok(values),
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

impl Scim {
    async fn ensure_until(&self, batch: &[Item], until: Instant) -> Vec<Result<Done, Fault>> {
        let Some(first) = batch.first() else { return Vec::new() };
        let wanted = first.wanted;
        let people: Vec<&Person> = batch.iter().map(|item| &item.person).collect();
        if let Some(part) = Part::of(&first.role.resource) {
            if wanted == Wanted::Granted
                && let Err(fault) = self.names(&first.role.resource)
            {
                return vec![Err(fault); batch.len()];
            }
            let accounts = self.made_accounts(&people, wanted, until).await;
            return self.ensure_value(part, &first.role, accounts, &people, wanted, until).await;
        }
        let group = match Self::group(&first.role) {
            Ok(group) => group,
            Err(fault) => return vec![Err(fault); batch.len()],
        };
        let accounts = self.made_accounts(&people, wanted, until).await;
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
                        Ok(()) => gone("group", group),
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

    /// Each person's account, made where that is wanted and allowed; `None` if there is none.
    async fn made_accounts(
        &self,
        people: &[&Person],
        wanted: Wanted,
        until: Instant,
    ) -> Vec<Result<Option<String>, Fault>> {
        let accounts = self.accounts(people, until).await;
        // The others need not wait for one whose account must be made first, but few are, and one
        // call for all is worth more.
        let made: Vec<_> = accounts
            .into_iter()
            .zip(people)
            .map(|(account, person)| self.made(account, person, wanted, until))
            .collect();
        stream::iter(made).buffered(AT_ONCE).collect().await
    }

    async fn observe_until(
        &self,
        batch: &[(Person, Role)],
        until: Instant,
    ) -> Vec<Result<Presence, Fault>> {
        let mut answers = Vec::with_capacity(batch.len());
        for run in batch.chunk_by(|(_, one), (_, other)| one == other) {
            let Some((_, role)) = run.first() else { continue };
            let people: Vec<&Person> = run.iter().map(|(person, _)| person).collect();
            if let Some(part) = Part::of(&role.resource) {
                let accounts = self.accounts(&people, until).await;
                answers.extend(self.observe_value(part, role, accounts, &people, until).await);
                continue;
            }
            let group = match Self::group(role) {
                Ok(group) => group,
                Err(fault) => {
                    answers.extend(vec![Err(fault); run.len()]);
                    continue;
                }
            };
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

    fn makes_accounts(&self) -> bool {
        self.creates_accounts
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
            "SCIM 2.0; PATCH {}, filter {}, ETag {}, bulk {}",
            offers(features.patch),
            offers(features.filter),
            offers(features.etag),
            offers(0 < features.bulk)
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
        let groups = listed.resources.iter().filter_map(Self::resource);
        let mut found: Vec<FoundResource> = self.values().chain(groups).filter(matches).collect();
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
        if Part::of(origin_id).is_some() {
            return Ok(self.values().find(|value| value.origin_id == origin_id));
        }
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
    fn can_list_holders(&self) -> bool {
        true
    }

    async fn holders(&self, role: &Role, known: &[Person]) -> Result<Holders, Fault> {
        self.holders_until(role, known, deadline()).await
    }

    fn marks(&self, person: &Person) -> Vec<String> {
        self.marks_of(person)
    }
}
