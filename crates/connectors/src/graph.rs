//! Groups of a directory behind Microsoft Graph v1.0: another Accede, or an Entra tenant.
//!
//! Members and owners are added and removed one by one, by reference, so whoever else is in a group
//! stays. People are found, never made. What a server lists is compared with what was asked for.

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
use uuid::Uuid;

use crate::egress::Policy;
use crate::faults::{gone, partial, too_many};
use crate::http::{self, Call, Dialect, Http, LIST_LIMIT, OBJECT_LIMIT, Reply, encode};
use crate::oauth::{self, Credentials};
use crate::pace::{self, Pace};
use crate::roles::Membership;
use crate::settings::{Field, Problem, Reader};
use crate::tls::{self, Authorities};
use crate::{
    CALL_DEADLINE, Connector, Done, FoundResource, Health, Holder, Holders, Item, MAX_HOLDERS,
    Person, Presence, Role, Settings, Wanted,
};

/// The settings of a Graph target.
pub const SETTINGS: &[Field] = &[
    Field::new(
        "baseUrl",
        "Address",
        "the address below which `/groups` and `/users` are, such as \
         `https://graph.microsoft.com/v1.0`",
    )
    .required(),
    oauth::TOKEN_URL,
    oauth::CLIENT_ID,
    oauth::SCOPE,
    Field::new(
        "userName",
        "What people are found by",
        "`userPrincipalName` (default), `mail`, or `objectId` where both sides know people by the \
         same id",
    ),
    tls::CA_CERTIFICATE,
    http::ALLOW_PLAIN,
    pace::CALLS_PER_MINUTE,
];

/// The secrets of a Graph target.
pub const SECRETS: &[Field] = oauth::SECRETS;

const DIALECT: Dialect = Dialect {
    accept: "application/json",
    content_type: "application/json",
    server: "Microsoft Graph",
};

/// Time kept back so that a method ends by itself before the worker's deadline.
const RESERVE: Duration = Duration::from_secs(2);
/// How many people go into one call of `ensure`; each is a call to the target of its own.
const BATCH: usize = 20;
/// How many of them are on their way at once.
const AT_ONCE: usize = 4;
/// How long an account found for a person is believed.
const MEMORY: Duration = Duration::from_secs(600);
/// How many pages of one list are read, and how many objects are asked for in one.
const MAX_PAGES: usize = 50;
const PAGE: usize = 999;
const GROUP: &str = "id,displayName,description,groupTypes,mailEnabled,onPremisesSyncEnabled";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UserName {
    UserPrincipalName,
    Mail,
    ObjectId,
}

impl UserName {
    const fn property(self) -> &'static str {
        match self {
            UserName::UserPrincipalName => "userPrincipalName",
            UserName::Mail => "mail",
            UserName::ObjectId => "id",
        }
    }
}

/// One directory behind Graph.
pub struct Graph {
    http: Http,
    user_name: UserName,
    accounts: Mutex<HashMap<SubjectId, (String, Instant)>>,
}

/// Opens a Graph target; connects to nothing yet.
pub(crate) fn open(
    _: &Settings,
    reader: &Reader<'_>,
    egress: Arc<Policy>,
) -> Result<Arc<dyn Connector>, Problem> {
    let base = http::address(reader, "baseUrl", "https://graph.microsoft.com/v1.0", &egress)?;
    let credentials = Credentials::read(reader, &egress)?;
    let authorities = Authorities::from_pem(reader.text("caCertificate")?)?;
    let names: &[(&str, UserName)] = &[
        ("userPrincipalName", UserName::UserPrincipalName),
        ("mail", UserName::Mail),
        ("objectId", UserName::ObjectId),
    ];
    Ok(Arc::new(Graph {
        http: Http::new(base, DIALECT, credentials, egress, authorities, Pace::read(reader)?),
        user_name: reader.choice("userName", Some(UserName::UserPrincipalName), names)?,
        accounts: Mutex::default(),
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn deadline() -> Instant {
    Instant::now() + (CALL_DEADLINE - RESERVE)
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A literal of the filter language: quotes are doubled, so that none ends it.
fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// Whether an answer is Graph's own "there is no such object", not one of a proxy before it or of
/// another place.
fn says_missing(reply: &Reply) -> bool {
    let codes = ["Request_ResourceNotFound", "ResourceNotFound", "itemNotFound"];
    reply.status == 404 && reply.odata_code().is_some_and(|code| codes.contains(&code))
}

/// What a person is in a group, and where that is read and changed.
struct Tie<'r> {
    group: &'r str,
    /// Below the group.
    change: &'static str,
    /// Below the user.
    read: &'static str,
}

impl<'r> Tie<'r> {
    fn of(role: &'r Role) -> Result<Tie<'r>, Fault> {
        let (change, read) = match Membership::parse(role)? {
            Membership::Member => ("members", "memberOf"),
            Membership::Owner => ("owners", "ownedObjects"),
        };
        if Uuid::try_parse(&role.resource).is_err() {
            let message =
                format!("`{}` cannot be the id of a group; add the resource anew", role.resource);
            return Err(Fault::new(Class::Permanent, "malformed-id", message));
        }
        Ok(Tie { group: &role.resource, change, read })
    }
}

impl Graph {
    async fn get(&self, path: &str, limit: usize, until: Instant) -> Result<Reply, Fault> {
        let call = Call { method: Method::GET, path, body: None, if_match: None, limit };
        self.http.send(call, until).await
    }

    /// Reads a list to its end, or to `pages`; the objects, and whether they are all there are. `None`
    /// if Graph says that the object which the list belongs to is not there.
    async fn list(
        &self,
        path: &str,
        query: &str,
        pages: usize,
        until: Instant,
    ) -> Result<Option<(Vec<Value>, bool)>, Fault> {
        let mut objects = Vec::new();
        let mut query = query.to_owned();
        for _ in 0..pages {
            let reply = self.get(&format!("{path}?{query}"), LIST_LIMIT, until).await?;
            if says_missing(&reply) {
                return Ok(None);
            }
            let page = reply.json().filter(|_| reply.status == 200);
            let Some(value) = page.and_then(|page| page.get("value")?.as_array()) else {
                return Err(self.http.fault(&reply));
            };
            objects.extend(value.iter().cloned());
            // Only what follows the path is taken from a link: the next page is where this one was.
            let link = page.and_then(|page| text(page, "@odata.nextLink"));
            match link
                .map(|link| url::Url::parse(link).ok().and_then(|l| l.query().map(str::to_owned)))
            {
                None => return Ok(Some((objects, true))),
                Some(Some(next)) if next != query => query = next,
                Some(_) => break,
            }
        }
        Ok(Some((objects, false)))
    }

    /// A list that cannot be missing: the directory's own.
    async fn top_list(
        &self,
        path: &str,
        query: &str,
        pages: usize,
        until: Instant,
    ) -> Result<(Vec<Value>, bool), Fault> {
        self.list(path, query, pages, until).await?.ok_or_else(|| {
            let message = "nothing is found at this address; check `baseUrl`";
            Fault::new(Class::Target, "base-url", message)
        })
    }

    /// A person's user there; `None` if there verifiably is none.
    ///
    /// INVARIANT: a user is a person's only if it carries the value that was asked for, and is the
    /// only one to do so.
    async fn account(&self, person: &Person, until: Instant) -> Result<Option<String>, Fault> {
        if let Some((account, since)) = lock(&self.accounts).get(&person.subject)
            && since.elapsed() < MEMORY
        {
            return Ok(Some(account.clone()));
        }
        let value = match self.user_name {
            UserName::UserPrincipalName => Some(person.user_principal_name.as_str()),
            UserName::Mail => person.mail.as_deref(),
            UserName::ObjectId => Some(person.object_id.as_str()),
        };
        let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
            let message = format!(
                "`{}` has no value to be found by here; see `userName`",
                person.user_principal_name
            );
            return Err(Fault::new(Class::Permanent, "no-key", message));
        };
        let property = self.user_name.property();
        let filter = encode(&format!("{property} eq {}", literal(value)));
        let query = format!("$filter={filter}&$select=id,userPrincipalName,mail&$top=3");
        let (users, complete) = self.top_list("/users", &query, 2, until).await?;
        let wanted = value.to_lowercase();
        let same = |user: &&Value| {
            text(user, property).is_some_and(|known| known.trim().to_lowercase() == wanted)
        };
        let mut hits = users.iter().filter(same).filter_map(|user| text(user, "id"));
        match (hits.next(), hits.next()) {
            (Some(_), Some(_)) => {
                let message = format!("several users have {property} `{value}`; make it unique");
                Err(Fault::new(Class::Permanent, "account-ambiguous", message))
            }
            (Some(id), None) => {
                lock(&self.accounts).insert(person.subject, (id.to_owned(), Instant::now()));
                Ok(Some(id.to_owned()))
            }
            (None, _) if complete => Ok(None),
            (None, _) => Err(partial()),
        }
    }

    /// Whether somebody is tied to a group, read from the user's side, whose lists are short. `None`
    /// if the user is gone.
    async fn is_tied(
        &self,
        tie: &Tie<'_>,
        account: &str,
        until: Instant,
    ) -> Result<Option<bool>, Fault> {
        let path = format!("/users/{}/{}", encode(account), tie.read);
        let query = format!("$select=id&$top={PAGE}");
        let Some((groups, complete)) = self.list(&path, &query, MAX_PAGES, until).await? else {
            return Ok(None);
        };
        let ids: HashSet<String> =
            groups.iter().filter_map(|group| text(group, "id")).map(str::to_lowercase).collect();
        match (ids.contains(&tie.group.to_lowercase()), complete) {
            (true, _) => Ok(Some(true)),
            (false, true) => Ok(Some(false)),
            (false, false) => Err(partial()),
        }
    }

    fn forget(&self, person: &Person) {
        lock(&self.accounts).remove(&person.subject);
    }

    /// The same for a person, whose remembered user may be gone and another one in its place.
    async fn tied(
        &self,
        tie: &Tie<'_>,
        person: &Person,
        until: Instant,
    ) -> Result<Option<(String, bool)>, Fault> {
        for _remembered_then_not in 0..2 {
            let Some(account) = self.account(person, until).await? else { return Ok(None) };
            match self.is_tied(tie, &account, until).await? {
                Some(is_tied) => return Ok(Some((account, is_tied))),
                None => self.forget(person),
            }
        }
        Ok(None)
    }

    async fn ensure_one(&self, item: &Item, until: Instant) -> Result<Done, Fault> {
        let tie = Tie::of(&item.role)?;
        let person = &item.person;
        let wants = item.wanted == Wanted::Granted;
        let Some((account, is_tied)) = self.tied(&tie, person, until).await? else {
            return match wants {
                true => Err(self.missing(person)),
                false => Ok(Done::AlreadyInState),
            };
        };
        if is_tied == wants {
            return Ok(Done::AlreadyInState);
        }
        let refs = format!("/groups/{}/{}", encode(tie.group), tie.change);
        let (method, path, body) = match item.wanted {
            Wanted::Granted => {
                let base = self.http.base().as_str().trim_end_matches('/');
                let link = json!({ "@odata.id": format!("{base}/directoryObjects/{account}") });
                (Method::POST, format!("{refs}/$ref"), Some(link))
            }
            Wanted::Revoked => (Method::DELETE, format!("{refs}/{}/$ref", encode(&account)), None),
        };
        let call =
            Call { method, path: &path, body: body.as_ref(), if_match: None, limit: OBJECT_LIMIT };
        let reply = self.http.send(call, until).await?;
        match reply.status {
            204 => return Ok(Done::Applied),
            202 => return Ok(Done::later()),
            400 | 404 | 409 => {}
            _ => return Err(self.http.fault(&reply)),
        }
        // Somebody else may have made it so meanwhile, or one of the two is gone.
        match self.is_tied(&tie, &account, until).await? {
            Some(is_tied) if is_tied == wants => Ok(Done::AlreadyInState),
            None => {
                self.forget(person);
                if wants { Err(self.missing(person)) } else { Ok(Done::AlreadyInState) }
            }
            // The user was just shown, so this is the right place: the group is what is missing.
            Some(_) if wants && says_missing(&reply) => {
                match self.find_group(tie.group, until).await? {
                    None => Err(gone("group", tie.group)),
                    Some(_) => Err(self.http.fault(&reply)),
                }
            }
            Some(_) => Err(self.http.fault(&reply)),
        }
    }

    async fn observe_one(
        &self,
        person: &Person,
        role: &Role,
        until: Instant,
    ) -> Result<Presence, Fault> {
        let tie = Tie::of(role)?;
        Ok(match self.tied(&tie, person, until).await? {
            Some((_, true)) => Presence::Present,
            Some((_, false)) | None => Presence::Absent,
        })
    }

    /// A group; `None` if Graph says that it does not exist, and shows that it is the directory.
    async fn find_group(&self, id: &str, until: Instant) -> Result<Option<Value>, Fault> {
        let path = format!("/groups/{}?$select={GROUP}", encode(id));
        let reply = self.get(&path, OBJECT_LIMIT, until).await?;
        if says_missing(&reply) {
            self.top_list("/groups", "$select=id&$top=1", 1, until).await?;
            return Ok(None);
        }
        let found = reply.json().filter(|_| reply.status == 200);
        let same =
            |group: &&Value| text(group, "id").is_some_and(|known| known.eq_ignore_ascii_case(id));
        found.filter(same).cloned().map(Some).ok_or_else(|| self.http.fault(&reply))
    }

    /// What a person is found by, in one case.
    fn mark(&self, person: &Person) -> Option<String> {
        let value = match self.user_name {
            UserName::UserPrincipalName => Some(person.user_principal_name.as_str()),
            UserName::Mail => person.mail.as_deref(),
            UserName::ObjectId => Some(person.object_id.as_str()),
        };
        value.map(|value| value.trim().to_lowercase()).filter(|value| !value.is_empty())
    }

    async fn holders_until(
        &self,
        role: &Role,
        known: &[Person],
        until: Instant,
    ) -> Result<Holders, Fault> {
        let tie = Tie::of(role)?;
        let path = format!("/groups/{}/{}", encode(tie.group), tie.change);
        let query = format!("$select=id,displayName,userPrincipalName,mail&$top={PAGE}");
        let pages = 1 + MAX_HOLDERS / PAGE;
        let Some((objects, complete)) = self.list(&path, &query, pages, until).await? else {
            // A group that is gone has nobody in it, if this is the right place.
            return match self.find_group(tie.group, until).await? {
                None => Ok(Holders { list: Vec::new(), calls: 3 }),
                Some(_) => Err(partial()),
            };
        };
        if MAX_HOLDERS < objects.len() {
            return Err(too_many(&role.role));
        }
        if !complete {
            return Err(partial());
        }
        let known: HashMap<String, SubjectId> =
            known.iter().filter_map(|person| Some((self.mark(person)?, person.subject))).collect();
        let property = self.user_name.property();
        let holder = |object: &Value| {
            let mark = text(object, property).map(|value| value.trim().to_lowercase());
            Some(Holder {
                id: text(object, "id")?.to_owned(),
                name: text(object, "displayName").map(str::to_owned),
                subject: mark.as_ref().and_then(|mark| known.get(mark)).copied(),
                marks: mark.into_iter().collect(),
            })
        };
        let calls = 1 + objects.len() / PAGE;
        // Somebody without an id is somebody we do not know of.
        let list: Option<Vec<Holder>> = objects.iter().map(holder).collect();
        Ok(Holders { list: list.ok_or_else(partial)?, calls })
    }

    fn missing(&self, person: &Person) -> Fault {
        let message = format!(
            "no user there has the {} of `{}`; make it, then reprocess",
            self.user_name.property(),
            person.user_principal_name
        );
        Fault::new(Class::Permanent, "account-missing", message)
    }
}

/// A group whose members are ours to change; others follow a rule, mail, or another directory.
fn resource(group: &Value) -> Option<FoundResource> {
    let is = |name: &str| group.get(name).and_then(Value::as_bool).unwrap_or(false);
    let kinds = group.get("groupTypes").and_then(Value::as_array);
    let follows_rule = kinds.is_some_and(|kinds| kinds.iter().any(|k| k == "DynamicMembership"));
    let is_unified = kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "Unified"));
    if follows_rule || is("onPremisesSyncEnabled") || (is("mailEnabled") && !is_unified) {
        return None;
    }
    let id = text(group, "id")?;
    Some(FoundResource {
        origin_id: id.to_owned(),
        display_name: text(group, "displayName").unwrap_or(id).to_owned(),
        description: text(group, "description").map(str::to_owned),
        roles: vec![Membership::Member.of(id), Membership::Owner.of(id)],
    })
}

#[async_trait]
impl Connector for Graph {
    fn batch_size(&self) -> usize {
        BATCH
    }

    fn can_observe(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<Health, Fault> {
        let (started, until) = (Instant::now(), deadline());
        for list in ["/groups", "/users"] {
            self.top_list(list, "$select=id&$top=1", 1, until).await?;
        }
        let summary = "Microsoft Graph v1.0; groups and users can be read".to_owned();
        Ok(Health { summary, took: started.elapsed() })
    }

    async fn discover(
        &self,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        let until = deadline();
        let search = search.map(str::trim).filter(|search| !search.is_empty());
        let lower = search.unwrap_or_default().to_lowercase();
        let matches = |found: &FoundResource| {
            [
                &found.display_name,
                &found.origin_id,
                found.description.as_ref().unwrap_or(&String::new()),
            ]
            .iter()
            .any(|text| text.to_lowercase().contains(&lower))
        };
        // Entra finds by the beginning of a name only, so what is in the middle is looked for here.
        let size = if search.is_some() { PAGE } else { limit.clamp(1, PAGE) };
        let pages = if search.is_some() { MAX_PAGES } else { 1 + limit / PAGE };
        let query = format!("$select={GROUP}&$top={size}");
        let (groups, complete) = self.top_list("/groups", &query, pages, until).await?;
        let mut found: Vec<_> = groups.iter().filter_map(resource).filter(matches).collect();
        if found.is_empty()
            && !complete
            && let Some(search) = search
        {
            let filter = encode(&format!("startswith(displayName,{})", literal(search)));
            let query = format!("$filter={filter}&$select={GROUP}&$top={PAGE}");
            let (groups, _) = self.top_list("/groups", &query, 1, until).await?;
            found.extend(groups.iter().filter_map(resource).filter(matches));
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn find(&self, origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        if Uuid::try_parse(origin_id).is_err() {
            return Ok(None);
        }
        let Some(group) = self.find_group(origin_id, deadline()).await? else { return Ok(None) };
        resource(&group).map(Some).ok_or_else(|| {
            let message = "the group's members follow a rule, mail or another directory, and cannot \
                           be changed here";
            Fault::new(Class::Permanent, "group-not-ours", message)
        })
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        let (until, broken) = (deadline(), Mutex::new(None));
        let one = async |item: &Item| {
            if let Some(fault) = lock(&broken).clone() {
                return Err(fault);
            }
            let answer = self.ensure_one(item, until).await;
            if let Err(fault) = &answer
                && matches!(fault.class, Class::Target | Class::Throttled)
            {
                // Whatever the whole target refuses one, it refuses all.
                *lock(&broken) = Some(fault.clone());
            }
            answer
        };
        stream::iter(batch.iter().map(one)).buffered(AT_ONCE).collect().await
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        let until = deadline();
        let calls: Vec<_> =
            batch.iter().map(|(person, role)| self.observe_one(person, role, until)).collect();
        stream::iter(calls).buffered(AT_ONCE).collect().await
    }
    fn can_list_holders(&self) -> bool {
        true
    }

    async fn holders(&self, role: &Role, known: &[Person]) -> Result<Holders, Fault> {
        self.holders_until(role, known, deadline()).await
    }

    fn marks(&self, person: &Person) -> Vec<String> {
        self.mark(person).into_iter().collect()
    }
}
