//! LDAP directories as targets: groups whose members are names (`groupOfNames`,
//! `groupOfUniqueNames`, Active Directory's `group`) or login names (`posixGroup`).
//!
//! Groups are only changed by adding and deleting single values, so whoever else is in them stays.
//! People are found, never made. Everything a server answers is classified by its result code
//! (RFC 4511), never by its words.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use async_trait::async_trait;
use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{
    LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, ResultEntry, Scope, SearchOptions,
    StdStream, ldap_escape,
};
use tokio::time::Instant;

use crate::dn::Dn;
use crate::egress::{ConnectError, Policy};
use crate::roles::Membership;
use crate::settings::{Field, Problem, Reader, problem};
use crate::tls::Authorities;
use crate::{
    CALL_DEADLINE, Connector, Done, FoundResource, Health, Item, Person, Presence, Role, Settings,
    Wanted,
};

/// The settings of an LDAP target.
pub const SETTINGS: &[Field] = &[
    Field {
        name: "url",
        meaning: "`ldaps://host` or `ldap://host`, with `:port` where it differs",
    },
    Field { name: "startTls", meaning: "whether `ldap://` turns to TLS; default `true`" },
    Field {
        name: "allowPlain",
        meaning: "allows `ldap://` without TLS to another machine; default `false`",
    },
    Field {
        name: "caCertificate",
        meaning: "the authority of the server's certificate, as PEM text; default the machine's",
    },
    Field { name: "bindDn", meaning: "the name that we sign in as" },
    Field { name: "peopleBase", meaning: "where people are searched, with everything below" },
    Field {
        name: "personFilterAttribute",
        meaning: "the attribute that tells people apart; default `uid`",
    },
    Field {
        name: "personValue",
        meaning: "what the attribute is compared with: `userPrincipalName`, `mail`, `localPart` (of \
                  the userPrincipalName), `objectId` or `subject`; default fits the attribute",
    },
    Field {
        name: "checkMail",
        meaning: "refuses an entry found by `localPart` whose `mail` is another's; default `true`",
    },
    Field {
        name: "groupsBase",
        meaning: "where groups are searched; no group elsewhere is changed",
    },
    Field {
        name: "groupKind",
        meaning: "`groupOfNames`, `groupOfUniqueNames`, `posixGroup` or `group`",
    },
    Field {
        name: "placeholderMember",
        meaning: "a name put into a group that may not be empty when its last member goes",
    },
];

/// The secrets of an LDAP target.
pub const SECRETS: &[Field] =
    &[Field { name: "bindPassword", meaning: "the password of `bindDn`" }];

/// How many people go into one modify.
const BATCH: usize = 100;
/// How many people go into one search.
const SEARCH_CHUNK: usize = 50;
/// How many observations of one group are compared one by one before the member list is read.
const COMPARE_LIMIT: usize = 4;
/// Time kept back so that a method ends by itself before the worker's deadline.
const RESERVE: Duration = Duration::from_secs(2);
/// How long an entry found for a person is believed.
const MEMORY: Duration = Duration::from_secs(600);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How many unused connections are kept.
const MAX_IDLE: usize = 8;
/// Entries of one page of a long search.
const PAGE: i32 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    None,
    StartTls,
    FromTheStart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    UserPrincipalName,
    Mail,
    LocalPart,
    ObjectId,
    Subject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupKind {
    Names,
    UniqueNames,
    Posix,
    ActiveDirectory,
}

impl GroupKind {
    const fn class(self) -> &'static str {
        match self {
            GroupKind::Names => "groupOfNames",
            GroupKind::UniqueNames => "groupOfUniqueNames",
            GroupKind::Posix => "posixGroup",
            GroupKind::ActiveDirectory => "group",
        }
    }

    const fn attribute(self) -> &'static str {
        match self {
            GroupKind::Names | GroupKind::ActiveDirectory => "member",
            GroupKind::UniqueNames => "uniqueMember",
            GroupKind::Posix => "memberUid",
        }
    }
}

/// A person's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    dn: String,
    /// What stands in a group for this person.
    member: String,
}

/// One LDAP directory.
pub struct Ldap {
    url: url::Url,
    host: String,
    port: u16,
    tls: Encryption,
    tls_config: Arc<rustls::ClientConfig>,
    egress: Arc<Policy>,
    bind_dn: String,
    bind_password: String,
    people_base: Dn,
    person_attribute: String,
    source: Source,
    check_mail: bool,
    groups_base: Dn,
    kind: GroupKind,
    placeholder: Option<String>,
    idle: Mutex<Vec<(ldap3::Ldap, Instant)>>,
    known: Mutex<HashMap<SubjectId, (Account, Instant)>>,
}

/// Opens an LDAP target; connects to nothing yet.
pub(crate) fn open(
    settings: &Settings,
    reader: &Reader<'_>,
    egress: Arc<Policy>,
) -> Result<Arc<dyn Connector>, Problem> {
    let _ = settings;
    let url = reader.required("url", "ldaps://ldap.example")?;
    let url = url::Url::parse(url)
        .map_err(|_| problem("url", "is not an address; give it like `ldaps://ldap.example`"))?;
    let start_tls = reader.flag("startTls", true)?;
    let tls = match url.scheme() {
        "ldaps" if reader.has("startTls") && start_tls => {
            return Err(problem(
                "startTls",
                "does not go with `ldaps://`, which is encrypted from the start; remove it",
            ));
        }
        "ldaps" => Encryption::FromTheStart,
        "ldap" if start_tls => Encryption::StartTls,
        "ldap" => Encryption::None,
        _ => return Err(problem("url", "must begin with `ldaps://` or `ldap://`")),
    };
    let stray = !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    if stray || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
        return Err(problem(
            "url",
            "must be host and port only; bases and names have settings of their own",
        ));
    }
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| problem("url", "names no host"))?.to_owned();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>().ok();
    if let Some(address) = address {
        egress
            .permits(address)
            .map_err(|denied| problem("url", format!("is refused: {denied}")))?;
        if address.is_ipv6() && tls != Encryption::None {
            return Err(problem(
                "url",
                "must give the host's name, since a certificate cannot be checked against an IPv6 address here",
            ));
        }
    }
    let near = bare.eq_ignore_ascii_case("localhost") || address.is_some_and(|a| a.is_loopback());
    if tls == Encryption::None && !near && !reader.flag("allowPlain", false)? {
        return Err(problem(
            "url",
            "would send the password unencrypted; use `ldaps://`, or `startTls`, or set `allowPlain`",
        ));
    }
    let port = url.port().unwrap_or(if tls == Encryption::FromTheStart { 636 } else { 389 });
    let dn = |name: &str, example: &str| {
        let text = reader.required(name, example)?;
        Dn::parse(text).ok_or_else(|| {
            problem(name, format!("is not a distinguished name; give it like `{example}`"))
        })
    };
    let person_attribute = reader.text("personFilterAttribute")?.unwrap_or("uid").to_owned();
    if !person_attribute.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
        return Err(problem(
            "personFilterAttribute",
            "must be the name of an attribute, such as `uid`",
        ));
    }
    let default_source = match person_attribute.to_ascii_lowercase().as_str() {
        "mail" => Source::Mail,
        "userprincipalname" => Source::UserPrincipalName,
        _ => Source::LocalPart,
    };
    let sources: &[(&str, Source)] = &[
        ("userPrincipalName", Source::UserPrincipalName),
        ("mail", Source::Mail),
        ("localPart", Source::LocalPart),
        ("objectId", Source::ObjectId),
        ("subject", Source::Subject),
    ];
    let kinds: &[(&str, GroupKind)] = &[
        ("groupOfNames", GroupKind::Names),
        ("groupOfUniqueNames", GroupKind::UniqueNames),
        ("posixGroup", GroupKind::Posix),
        ("group", GroupKind::ActiveDirectory),
    ];
    let kind = reader.choice("groupKind", None, kinds)?;
    let placeholder = match reader.has("placeholderMember") {
        false => None,
        true if kind == GroupKind::Posix => {
            return Err(problem(
                "placeholderMember",
                "does not go with `posixGroup`, which may be empty; remove it",
            ));
        }
        true => Some(dn("placeholderMember", "cn=nobody,dc=example,dc=org")?.to_string()),
    };
    let tls_config = Authorities::from_pem(reader.text("caCertificate")?)?
        .client_config()
        .map_err(|error| problem("caCertificate", format!("cannot be used: {error}")))?;
    Ok(Arc::new(Ldap {
        bind_dn: dn("bindDn", "cn=accede,dc=example,dc=org")?.to_string(),
        // An empty password would sign in as nobody, and be answered with success (RFC 4513 5.1.2).
        bind_password: reader.secret("bindPassword", "the password of `bindDn`")?.to_owned(),
        people_base: dn("peopleBase", "ou=people,dc=example,dc=org")?,
        groups_base: dn("groupsBase", "ou=groups,dc=example,dc=org")?,
        source: reader.choice("personValue", Some(default_source), sources)?,
        check_mail: reader.flag("checkMail", true)?,
        url,
        host,
        port,
        tls,
        tls_config: Arc::new(tls_config),
        egress,
        person_attribute,
        kind,
        placeholder,
        idle: Mutex::default(),
        known: Mutex::default(),
    }))
}

/// A result that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    code: u32,
    text: String,
}

/// What an operation came to, once it was answered.
type Answer<T> = Result<T, Refusal>;

/// One connection for one call of a method; opened when first needed, dropped after any fault.
struct Line<'a> {
    home: &'a Ldap,
    deadline: Instant,
    connection: Option<ldap3::Ldap>,
    /// Whether the connection was taken from the idle ones, and may have been closed meanwhile.
    used_before: bool,
}

/// An entry of a search, read without trusting its form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    dn: String,
    attributes: Vec<(String, Vec<String>)>,
}

impl Entry {
    fn read(entry: ResultEntry) -> Option<Entry> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
        let mut tags = entry.0.match_id(4)?.expect_constructed()?.into_iter();
        let dn = text(tags.next()?.expect_primitive()?)?;
        let mut attributes = Vec::new();
        for attribute in tags.next()?.expect_constructed()? {
            let mut pair = attribute.expect_constructed()?.into_iter();
            let name = text(pair.next()?.expect_primitive()?)?;
            let values = pair.next()?.expect_constructed()?;
            // A value that is no text cannot be one that we compare with.
            let values = values.into_iter().filter_map(|v| v.expect_primitive().and_then(text));
            attributes.push((name, values.collect()));
        }
        Some(Entry { dn, attributes })
    }

    fn values(&self, name: &str) -> &[String] {
        let found = self.attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(&[], |(_, values)| values.as_slice())
    }
}

/// The entries of a search, and whether they are all that there are.
struct Found {
    entries: Vec<Entry>,
    complete: bool,
}

impl<'a> Line<'a> {
    fn new(home: &'a Ldap) -> Line<'a> {
        let deadline = Instant::now() + (CALL_DEADLINE - RESERVE);
        Line { home, deadline, connection: None, used_before: false }
    }

    fn left(&self) -> Result<Duration, Fault> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message = "the target is too slow: there was no time left for this call";
            return Err(Fault::new(Class::Transient, "deadline", message));
        }
        Ok(left)
    }

    async fn open(&mut self) -> Result<&mut ldap3::Ldap, Fault> {
        if self.connection.is_none() {
            let idle = self.home.idle();
            self.used_before = idle.is_some();
            self.connection = match idle {
                Some(connection) => Some(connection),
                None => Some(self.home.connect(self.left()?).await?),
            };
        }
        let lost = || Fault::new(Class::Transient, "unreachable", "the connection was lost");
        self.connection.as_mut().ok_or_else(lost)
    }

    /// Keeps the connection for later, unless something went wrong with it.
    fn hang_up(mut self) {
        if let Some(connection) = self.connection.take() {
            self.home.keep(connection);
        }
    }

    /// Reads entries. What was read before an interruption is never taken for all.
    async fn search(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        limit: i32,
    ) -> Result<Answer<Found>, Fault> {
        loop {
            let left = self.left()?;
            let connection = self.open().await?;
            connection.with_search_options(SearchOptions::new().sizelimit(limit));
            let search = connection.search(base, scope, filter, attributes);
            let outcome = tokio::time::timeout(left, search).await;
            match outcome {
                Ok(Ok(found)) => {
                    let (entries, result) = (found.0, found.1);
                    return Ok(collect(entries, result));
                }
                Ok(Err(error)) => {
                    self.connection = None;
                    // A connection that lay idle may be dead without our knowing, and a search
                    // changes nothing, so it is put once more, on a fresh one.
                    if !std::mem::take(&mut self.used_before) {
                        return Err(lost(&error, Class::Transient));
                    }
                    self.home.forget_idle();
                }
                Err(_) => {
                    self.connection = None;
                    return Err(too_slow(Class::Transient));
                }
            }
        }
    }

    /// Reads entries page by page until there are enough.
    async fn search_pages(
        &mut self,
        base: &str,
        filter: &str,
        attributes: &'static [&'static str],
        limit: usize,
    ) -> Result<Answer<Found>, Fault> {
        let left = self.left()?;
        // A dead idle connection must not fail a listing: begin with one that answers.
        let probe = self.search(base, Scope::Base, "(objectClass=*)", &["1.1"], 1).await?;
        if let Err(refusal) = probe {
            return Ok(Err(refusal));
        }
        let connection = self.open().await?;
        let reading = async {
            let adapters: Vec<Box<dyn Adapter<'_, &str, &[&str]>>> =
                vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
            let mut stream = connection
                .streaming_search_with(adapters, base, Scope::Subtree, filter, attributes)
                .await?;
            let mut entries = Vec::new();
            while entries.len() < limit {
                match stream.next().await? {
                    Some(entry) => entries.push(entry),
                    None => return Ok((entries, stream.finish().await, true)),
                }
            }
            Ok::<_, LdapError>((entries, LdapResult::default_success(), false))
        };
        match tokio::time::timeout(left, reading).await {
            Ok(Ok((entries, result, whole))) => {
                if !whole {
                    // The rest of the stream is still on its way; nobody else may read it.
                    self.connection = None;
                }
                Ok(collect(entries, result))
            }
            Ok(Err(error)) => {
                self.connection = None;
                Err(lost(&error, Class::Transient))
            }
            Err(_) => {
                self.connection = None;
                Err(too_slow(Class::Transient))
            }
        }
    }

    /// Whether an attribute has a value: true, false, or what the server says instead.
    async fn compare(&mut self, dn: &str, name: &str, value: &str) -> Result<Answer<bool>, Fault> {
        loop {
            let left = self.left()?;
            let connection = self.open().await?;
            let outcome =
                tokio::time::timeout(left, connection.compare(dn, name, value.as_bytes())).await;
            match outcome {
                Ok(Ok(result)) => {
                    return Ok(match result.0.rc {
                        6 => Ok(true),
                        5 => Ok(false),
                        _ => Err(refusal(result.0)),
                    });
                }
                Ok(Err(error)) => {
                    self.connection = None;
                    if !std::mem::take(&mut self.used_before) {
                        return Err(lost(&error, Class::Transient));
                    }
                    self.home.forget_idle();
                }
                Err(_) => {
                    self.connection = None;
                    return Err(too_slow(Class::Transient));
                }
            }
        }
    }

    /// Changes one entry, once. A change that may have arrived is never sent again.
    async fn modify(&mut self, dn: &str, mods: Vec<Mod<Vec<u8>>>) -> Result<Answer<()>, Fault> {
        let left = self.left()?;
        let connection = self.open().await?;
        let outcome = tokio::time::timeout(left, connection.modify(dn, mods)).await;
        match outcome {
            Ok(Ok(result)) if result.rc == 0 => Ok(Ok(())),
            Ok(Ok(result)) => Ok(Err(refusal(result))),
            Ok(Err(error)) => {
                self.connection = None;
                Err(lost(&error, Class::Unknown))
            }
            Err(_) => {
                self.connection = None;
                Err(too_slow(Class::Unknown))
            }
        }
    }
}

/// A successful result, for a search that we end ourselves.
trait DefaultSuccess {
    fn default_success() -> Self;
}

impl DefaultSuccess for LdapResult {
    fn default_success() -> LdapResult {
        LdapResult {
            rc: 0,
            matched: String::new(),
            text: String::new(),
            refs: Vec::new(),
            ctrls: Vec::new(),
        }
    }
}

fn collect(entries: Vec<ResultEntry>, result: LdapResult) -> Answer<Found> {
    let count = entries.len();
    let entries: Vec<Entry> = entries.into_iter().filter_map(Entry::read).collect();
    // An entry that cannot be read is one that we do not know of.
    let readable = entries.len() == count;
    match result.rc {
        // References to other servers mean that part of the answer lies elsewhere.
        0 => Ok(Found { entries, complete: readable && result.refs.is_empty() }),
        // A limit of size, time or administration was reached: what came is true, but not all.
        3 | 4 | 11 if !entries.is_empty() || result.rc == 4 => {
            Ok(Found { entries, complete: false })
        }
        _ => Err(refusal(result)),
    }
}

fn refusal(result: LdapResult) -> Refusal {
    Refusal { code: result.rc, text: result.text }
}

fn lost(error: &LdapError, if_sent: Class) -> Fault {
    match error {
        // The request never left this machine.
        LdapError::OpSend { .. } | LdapError::IdScrubSend { .. } => {
            Fault::new(Class::Transient, "unreachable", "the connection was lost before the call")
        }
        _ => {
            let message = format!("the connection was lost after the call was sent ({error})");
            Fault::new(if_sent, "connection-lost", message)
        }
    }
}

fn too_slow(class: Class) -> Fault {
    Fault::new(class, "timeout", "the call was sent and no answer came in time")
}

impl Refusal {
    /// What RFC 4511's result codes say about trying again.
    fn fault(&self) -> Fault {
        let (class, name, remedy) = match self.code {
            1 => (Class::Target, "operations error", ""),
            2 => (Class::Target, "protocol error", ""),
            3 => (Class::Transient, "time limit exceeded", ""),
            7 => (Class::Target, "sign-in method not supported", ""),
            8 => {
                (Class::Target, "stronger authentication required", "use `ldaps://` or `startTls`")
            }
            10 => {
                (Class::Target, "referral", "give the address of the server that holds the groups")
            }
            11 => (Class::Transient, "administrative limit exceeded", ""),
            12 => (Class::Unsupported, "control not supported", ""),
            13 => (Class::Target, "confidentiality required", "use `ldaps://` or `startTls`"),
            14 => (Class::Target, "sign-in is not complete", ""),
            16 => (Class::Permanent, "no such attribute", ""),
            17 => (Class::Permanent, "undefined attribute", "check `groupKind`"),
            18 => (Class::Permanent, "inappropriate matching", ""),
            19 => (Class::Permanent, "constraint violation", ""),
            20 => (Class::Permanent, "value exists", ""),
            21 => (Class::Permanent, "invalid attribute syntax", ""),
            32 => (Class::Permanent, "no such object", ""),
            34 => (Class::Permanent, "invalid name", ""),
            48 => (Class::Target, "inappropriate authentication", "check `bindDn`"),
            49 => (Class::Target, "invalid credentials", "check `bindDn` and `bindPassword`"),
            50 => {
                (Class::Permanent, "insufficient access rights", "let `bindDn` change this group")
            }
            51 => (Class::Transient, "busy", ""),
            52 => (Class::Transient, "unavailable", ""),
            53 => (Class::Permanent, "unwilling to perform", ""),
            54 => (Class::Target, "loop detected", ""),
            64 => (Class::Permanent, "naming violation", ""),
            65 => (Class::Permanent, "object class violation", ""),
            66 | 67 | 69 => (Class::Permanent, "not allowed on this entry", ""),
            68 => (Class::Permanent, "entry already exists", ""),
            71 => (Class::Permanent, "affects several servers", ""),
            80 => (Class::Transient, "other error", ""),
            code => {
                tracing::warn!(
                    code,
                    unclassified = true,
                    "an LDAP result code is not in our table"
                );
                (Class::Permanent, "unexpected result", "")
            }
        };
        let mut message = format!("the directory answered {}: {name}", self.code);
        for more in [self.text.trim(), remedy] {
            if !more.is_empty() {
                message.push_str("; ");
                message.push_str(more);
            }
        }
        Fault::new(class, format!("ldap-{}", self.code), message)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ldap {
    fn idle(&self) -> Option<ldap3::Ldap> {
        let mut idle = lock(&self.idle);
        while let Some((mut connection, since)) = idle.pop() {
            if since.elapsed() < IDLE && !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, mut connection: ldap3::Ldap) {
        let mut idle = lock(&self.idle);
        if idle.len() < MAX_IDLE && !connection.is_closed() {
            idle.push((connection, Instant::now()));
        }
    }

    /// When one idle connection turned out dead, the others are likely to be.
    fn forget_idle(&self) {
        lock(&self.idle).clear();
    }

    async fn connect(&self, left: Duration) -> Result<ldap3::Ldap, Fault> {
        match tokio::time::timeout(left, self.connect_and_bind()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let message = "no connection came about in time";
                Err(Fault::new(Class::Transient, "unreachable", message))
            }
        }
    }

    async fn connect_and_bind(&self) -> Result<ldap3::Ldap, Fault> {
        let stream = self.egress.connect(&self.host, self.port).await.map_err(unreached)?;
        let stream = stream.into_std().map_err(|error| {
            Fault::new(Class::Transient, "unreachable", format!("no usable socket: {error}"))
        })?;
        let settings = LdapConnSettings::new()
            .set_std_stream(StdStream::Tcp(stream))
            .set_starttls(self.tls == Encryption::StartTls)
            .set_config(Arc::clone(&self.tls_config));
        let (driver, mut connection) = LdapConnAsync::from_url_with_settings(settings, &self.url)
            .await
            .map_err(not_secured)?;
        // The driver moves bytes for this connection and ends with it.
        tokio::spawn(async move {
            if let Err(error) = driver.drive().await {
                tracing::debug!(%error, "an LDAP connection ended");
            }
        });
        let bound = connection.simple_bind(&self.bind_dn, &self.bind_password).await;
        match bound {
            Ok(result) if result.rc == 0 => Ok(connection),
            Ok(result) => {
                let mut fault = refusal(result).fault();
                // Whatever keeps us from signing in keeps us from everything.
                if fault.class == Class::Permanent {
                    fault.class = Class::Target;
                }
                Err(fault)
            }
            Err(error) => Err(lost(&error, Class::Transient)),
        }
    }

    fn group(&self, role: &Role) -> Result<String, Fault> {
        Membership::only_member(role)?;
        self.group_name(&role.resource).ok_or_else(|| {
            let message = format!(
                "`{}` is not a group below `{}`; add the resource again",
                role.resource, self.groups_base
            );
            Fault::new(Class::Permanent, "outside-groups-base", message)
        })
    }

    /// The one spelling of a group's name, if it lies where groups may be changed.
    fn group_name(&self, text: &str) -> Option<String> {
        Dn::parse(text).filter(|dn| dn.is_within(&self.groups_base)).map(|dn| dn.to_string())
    }

    fn value_of(&self, person: &Person) -> Option<String> {
        let upn = &person.user_principal_name;
        let value = match self.source {
            Source::UserPrincipalName => Some(upn.clone()),
            Source::Mail => person.mail.clone(),
            Source::LocalPart => upn.split('@').next().map(str::to_owned),
            Source::ObjectId => Some(person.object_id.clone()),
            Source::Subject => Some(person.subject.to_string()),
        };
        value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn remembered(&self, subject: SubjectId) -> Option<Account> {
        let known = lock(&self.known);
        let (account, since) = known.get(&subject)?;
        (since.elapsed() < MEMORY).then(|| account.clone())
    }

    fn forget(&self, subject: SubjectId) {
        lock(&self.known).remove(&subject);
    }

    /// Each person's entry; `None` if there is verifiably none.
    async fn accounts(
        &self,
        line: &mut Line<'_>,
        people: &[&Person],
    ) -> Vec<Result<Option<Account>, Fault>> {
        let mut answers: Vec<Option<Result<Option<Account>, Fault>>> = people
            .iter()
            .map(|person| self.remembered(person.subject).map(|account| Ok(Some(account))))
            .collect();
        let unknown: Vec<usize> =
            answers.iter().enumerate().filter(|(_, a)| a.is_none()).map(|(i, _)| i).collect();
        for chunk in unknown.chunks(SEARCH_CHUNK) {
            let asked: Vec<(usize, &Person)> =
                chunk.iter().filter_map(|&i| Some((i, *people.get(i)?))).collect();
            for (index, answer) in self.look_up(line, &asked).await {
                if let (Ok(Some(account)), Some(person)) = (&answer, people.get(index)) {
                    lock(&self.known).insert(person.subject, (account.clone(), Instant::now()));
                }
                if let Some(slot) = answers.get_mut(index) {
                    *slot = Some(answer);
                }
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Ok(None))).collect()
    }

    /// Searches people together, and one by one when the server will not answer for all.
    async fn look_up(
        &self,
        line: &mut Line<'_>,
        asked: &[(usize, &Person)],
    ) -> Vec<(usize, Result<Option<Account>, Fault>)> {
        let mut answers = Vec::with_capacity(asked.len());
        let mut searched = Vec::new();
        for &(index, person) in asked {
            match self.value_of(person) {
                Some(value) => searched.push((index, person, value)),
                None => {
                    let message = format!(
                        "`{}` has no value to be found by in this directory; see `personValue`",
                        person.user_principal_name
                    );
                    answers.push((index, Err(Fault::new(Class::Permanent, "no-key", message))));
                }
            }
        }
        let values: Vec<&str> = searched.iter().map(|(_, _, value)| value.as_str()).collect();
        let mut found = match values.is_empty() {
            true => return answers,
            false => self.search_people(line, &values).await,
        };
        if let Ok(Found { complete: false, .. }) = found
            && 1 < searched.len()
        {
            found = Ok(Found { entries: Vec::new(), complete: false });
        }
        for (index, person, value) in &searched {
            let answer = match &found {
                Err(fault) => Err(fault.clone()),
                Ok(found) if found.complete || searched.len() == 1 => {
                    self.choose(found, person, value)
                }
                Ok(_) => match self.search_people(line, &[value]).await {
                    Ok(found) => self.choose(&found, person, value),
                    Err(fault) => Err(fault),
                },
            };
            answers.push((*index, answer));
        }
        answers
    }

    async fn search_people(&self, line: &mut Line<'_>, values: &[&str]) -> Result<Found, Fault> {
        let terms: String = values
            .iter()
            .map(|value| format!("({}={})", self.person_attribute, ldap_escape(*value)))
            .collect();
        let filter = if values.len() == 1 { terms } else { format!("(|{terms})") };
        let attributes = [self.person_attribute.as_str(), "mail", "uid"];
        let limit = i32::try_from(values.len() * 2 + 1).unwrap_or(i32::MAX);
        let base = self.people_base.to_string();
        let found = line.search(&base, Scope::Subtree, &filter, &attributes, limit).await?;
        found.map_err(|refusal| match refusal.code {
            32 => {
                let message = format!("`peopleBase` `{base}` does not exist in this directory");
                Fault::new(Class::Target, "people-base", message)
            }
            _ => refusal.fault(),
        })
    }

    /// INVARIANT: an entry is a person's only if it carries the value that was asked for, is the
    /// only one to do so, and its mail address does not say that it is somebody else's.
    fn choose(
        &self,
        found: &Found,
        person: &Person,
        value: &str,
    ) -> Result<Option<Account>, Fault> {
        let same = |one: &String| one.trim().to_lowercase() == value.to_lowercase();
        let mut hits =
            found.entries.iter().filter(|e| e.values(&self.person_attribute).iter().any(same));
        let (first, second) = (hits.next(), hits.next());
        let (attribute, upn) = (&self.person_attribute, &person.user_principal_name);
        let entry = match (first, second) {
            (Some(_), Some(_)) => {
                let message = format!("several entries have {attribute} `{value}`; make it unique");
                return Err(Fault::new(Class::Permanent, "account-ambiguous", message));
            }
            (Some(entry), None) if found.complete => entry,
            (None, _) if found.complete => return Ok(None),
            _ => {
                let message = "the directory answered with a part of the people only";
                return Err(Fault::new(Class::Transient, "partial-answer", message));
            }
        };
        let mails = entry.values("mail");
        let theirs = |mail: &String| {
            let mail = mail.trim().to_lowercase();
            mail == upn.to_lowercase()
                || person.mail.as_ref().is_some_and(|known| known.to_lowercase() == mail)
        };
        if self.check_mail
            && self.source == Source::LocalPart
            && !mails.is_empty()
            && !mails.iter().any(theirs)
        {
            let message = format!(
                "the entry with {attribute} `{value}` has the mail address of somebody else than \
                 `{upn}`; correct the entry, or set `checkMail` to false"
            );
            return Err(Fault::new(Class::Permanent, "account-mismatch", message));
        }
        let dn = Dn::parse(&entry.dn).map(|dn| dn.to_string()).ok_or_else(|| {
            let message = format!("the directory named the entry of `{upn}` in an unknown form");
            Fault::new(Class::Permanent, "malformed-name", message)
        })?;
        let member = match self.kind {
            GroupKind::Posix => {
                let uids = entry.values("uid");
                let uid = uids.iter().find(|uid| same(uid)).or_else(|| uids.first());
                uid.cloned().ok_or_else(|| {
                    let message =
                        format!("the entry of `{upn}` has no uid, which this group needs");
                    Fault::new(Class::Permanent, "no-key", message)
                })?
            }
            _ => dn.clone(),
        };
        Ok(Some(Account { dn, member }))
    }

    /// Answers whether a group exists. Only a directory that proves to be the right one by showing
    /// its groups' base can say that one is gone.
    async fn exists(&self, line: &mut Line<'_>, group: &str) -> Result<bool, Fault> {
        let everything = "(objectClass=*)";
        match line.search(group, Scope::Base, everything, &["1.1"], 1).await? {
            Ok(found) if !found.entries.is_empty() => return Ok(true),
            Ok(_) => {
                let message = format!("`{group}` exists and may not be read; let `bindDn` read it");
                return Err(Fault::new(Class::Permanent, "unreadable", message));
            }
            Err(Refusal { code: 32, .. }) => {}
            Err(refusal) => return Err(refusal.fault()),
        }
        let base = self.groups_base.to_string();
        match line.search(&base, Scope::Base, everything, &["1.1"], 1).await? {
            Ok(found) if !found.entries.is_empty() => Ok(false),
            _ => {
                let message = format!("`groupsBase` `{base}` cannot be read in this directory");
                Err(Fault::new(Class::Target, "groups-base", message))
            }
        }
    }

    /// Answers for one member of a group by comparing, which needs no list.
    async fn is_member(
        &self,
        line: &mut Line<'_>,
        group: &str,
        member: &str,
    ) -> Result<Presence, Fault> {
        match line.compare(group, self.kind.attribute(), member).await? {
            Ok(true) => Ok(Presence::Present),
            // 16: the group has no member at all.
            Ok(false) | Err(Refusal { code: 16, .. }) => Ok(Presence::Absent),
            Err(Refusal { code: 32, .. }) => match self.exists(line, group).await? {
                false => Ok(Presence::Absent),
                true => Err(Refusal { code: 32, text: String::new() }.fault()),
            },
            Err(refusal) => Err(refusal.fault()),
        }
    }

    /// Which of many are in a group: the list shows who is, comparing proves who is not.
    async fn are_members(
        &self,
        line: &mut Line<'_>,
        group: &str,
        members: &[&str],
    ) -> Vec<Result<Presence, Fault>> {
        let mut listed = HashSet::new();
        if COMPARE_LIMIT < members.len() {
            let attributes = [self.kind.attribute()];
            let read = line.search(group, Scope::Base, "(objectClass=*)", &attributes, 1).await;
            if let Ok(Ok(found)) = read {
                let values = found.entries.iter().flat_map(|e| e.values(self.kind.attribute()));
                listed = values.map(|value| self.member_key(value)).collect();
            }
        }
        let mut answers = Vec::with_capacity(members.len());
        let mut broken = None;
        for member in members {
            answers.push(match &broken {
                _ if listed.contains(&self.member_key(member)) => Ok(Presence::Present),
                Some(fault) => Err(Fault::clone(fault)),
                None => self.is_member(line, group, member).await,
            });
            if let Some(Err(fault)) = answers.last()
                && matches!(fault.class, Class::Target | Class::Transient)
            {
                broken = Some(fault.clone());
            }
        }
        answers
    }

    fn member_key(&self, value: &str) -> String {
        match self.kind {
            GroupKind::Posix => value.to_owned(),
            _ => Dn::parse(value).map_or_else(|| value.to_lowercase(), |dn| dn.key()),
        }
    }

    fn mods(&self, wanted: Wanted, members: &[&str], with_placeholder: bool) -> Vec<Mod<Vec<u8>>> {
        let attribute = self.kind.attribute().as_bytes().to_vec();
        let values: HashSet<Vec<u8>> = members.iter().map(|m| m.as_bytes().to_vec()).collect();
        let placeholder = self.placeholder.as_ref().filter(|_| with_placeholder);
        // The placeholder goes in first: the group must not be empty in between either.
        let mut mods: Vec<Mod<Vec<u8>>> = placeholder
            .map(|dn| Mod::Add(attribute.clone(), HashSet::from([dn.as_bytes().to_vec()])))
            .into_iter()
            .collect();
        mods.push(match wanted {
            Wanted::Granted => Mod::Add(attribute, values),
            Wanted::Revoked => Mod::Delete(attribute, values),
        });
        mods
    }

    /// Changes a group for all these members in one call, for fewer when the server will not.
    async fn change(
        &self,
        line: &mut Line<'_>,
        group: &str,
        wanted: Wanted,
        members: &[&str],
    ) -> Vec<Result<Done, Fault>> {
        let outcome = match line.modify(group, self.mods(wanted, members, false)).await {
            Ok(Err(Refusal { code: 65, .. }))
                if wanted == Wanted::Revoked && self.placeholder.is_some() =>
            {
                line.modify(group, self.mods(wanted, members, true)).await
            }
            outcome => outcome,
        };
        let refusal = match outcome {
            Ok(Ok(())) => return vec![Ok(Done::Applied); members.len()],
            Ok(Err(refusal)) => refusal,
            Err(fault) => return vec![Err(fault); members.len()],
        };
        if let [member] = members {
            return vec![self.settle(line, group, wanted, member, refusal).await];
        }
        if !matches!(refusal.fault().class, Class::Permanent | Class::Unsupported) {
            return vec![Err(refusal.fault()); members.len()];
        }
        // Somebody is already as wanted, or somebody is refused: find out who, and let the others
        // through. A change of LDAP is all or nothing, so none of it has happened yet.
        let mut answers: Vec<Option<Result<Done, Fault>>> = vec![None; members.len()];
        if self.says_already(wanted, refusal.code) {
            let presence = self.are_members(line, group, members).await;
            for (slot, presence) in answers.iter_mut().zip(presence) {
                *slot = match (presence, wanted) {
                    (Ok(Presence::Present), Wanted::Granted)
                    | (Ok(Presence::Absent), Wanted::Revoked) => Some(Ok(Done::AlreadyInState)),
                    (Ok(_), _) => None,
                    (Err(fault), _) => Some(Err(fault)),
                };
            }
            let open: Vec<&str> = members
                .iter()
                .zip(&answers)
                .filter_map(|(member, slot)| slot.is_none().then_some(*member))
                .collect();
            if 1 < open.len() && open.len() < members.len() {
                let together = line.modify(group, self.mods(wanted, &open, false)).await;
                let shared = match together {
                    Ok(Ok(())) => Some(Ok(Done::Applied)),
                    Ok(Err(_)) => None,
                    Err(fault) => Some(Err(fault)),
                };
                for slot in answers.iter_mut().filter(|slot| slot.is_none()) {
                    slot.clone_from(&shared);
                }
            }
        }
        let mut broken: Option<Fault> = None;
        for (slot, member) in answers.iter_mut().zip(members) {
            if slot.is_some() {
                continue;
            }
            let answer = match &broken {
                Some(fault) => Err(fault.clone()),
                None => self.change_one(line, group, wanted, member).await,
            };
            if let Err(fault) = &answer {
                broken = match fault.class {
                    Class::Target | Class::Transient | Class::Throttled => Some(fault.clone()),
                    Class::Unknown => Some(not_sent()),
                    Class::Permanent | Class::Unsupported => broken,
                };
            }
            *slot = Some(answer);
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(not_sent()))).collect()
    }

    async fn change_one(
        &self,
        line: &mut Line<'_>,
        group: &str,
        wanted: Wanted,
        member: &str,
    ) -> Result<Done, Fault> {
        let mods = |with_placeholder| self.mods(wanted, &[member], with_placeholder);
        let mut answer = line.modify(group, mods(false)).await?;
        if matches!(answer, Err(Refusal { code: 65, .. }))
            && wanted == Wanted::Revoked
            && self.placeholder.is_some()
        {
            answer = line.modify(group, mods(true)).await?;
        }
        match answer {
            Ok(()) => Ok(Done::Applied),
            Err(refusal) => self.settle(line, group, wanted, member, refusal).await,
        }
    }

    /// Answers whether a code may mean that it was already so. OpenLDAP says 20 and 16, Active
    /// Directory 68 and 53.
    fn says_already(&self, wanted: Wanted, code: u32) -> bool {
        match wanted {
            Wanted::Granted => matches!(code, 20 | 68),
            Wanted::Revoked => matches!(code, 16 | 53),
        }
    }

    /// What a refused change of one member means.
    async fn settle(
        &self,
        line: &mut Line<'_>,
        group: &str,
        wanted: Wanted,
        member: &str,
        refusal: Refusal,
    ) -> Result<Done, Fault> {
        match (refusal.code, wanted) {
            (code, _) if self.says_already(wanted, code) => {
                match (self.is_member(line, group, member).await?, wanted) {
                    (Presence::Present, Wanted::Granted) | (Presence::Absent, Wanted::Revoked) => {
                        Ok(Done::AlreadyInState)
                    }
                    _ => Err(refusal.fault()),
                }
            }
            (65, Wanted::Revoked) => {
                let message = format!(
                    "`{member}` is the last member of `{group}`, which may not be empty; add \
                     another member or set `placeholderMember`"
                );
                Err(Fault::new(Class::Permanent, "last-member", message))
            }
            (32, _) => match (self.exists(line, group).await?, wanted) {
                (false, Wanted::Revoked) => Ok(Done::AlreadyInState),
                (false, Wanted::Granted) => Err(gone(group)),
                // The group is there, so it is the member that is not (Active Directory).
                (true, Wanted::Granted) => {
                    let message = format!("`{member}` does not exist in the directory any more");
                    Err(Fault::new(Class::Permanent, "account-missing", message))
                }
                (true, Wanted::Revoked) => match self.is_member(line, group, member).await? {
                    Presence::Absent => Ok(Done::AlreadyInState),
                    Presence::Present => Err(refusal.fault()),
                },
            },
            // One group that we may read and not change is that group's trouble; else the
            // account's as a whole.
            (50, _) => Err(match self.exists(line, group).await {
                Ok(_) => refusal.fault(),
                Err(fault) if fault.class == Class::Permanent => refusal.fault(),
                Err(mut fault) => {
                    fault.class = Class::Target;
                    fault
                }
            }),
            _ => Err(refusal.fault()),
        }
    }

    async fn ensure_on(&self, line: &mut Line<'_>, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        let Some(first) = batch.first() else { return Vec::new() };
        let wanted = first.wanted;
        let group = match self.group(&first.role) {
            Ok(group) => group,
            Err(fault) => return vec![Err(fault); batch.len()],
        };
        let people: Vec<&Person> = batch.iter().map(|item| &item.person).collect();
        let accounts = self.accounts(line, &people).await;
        let mut answers: Vec<Option<Result<Done, Fault>>> = Vec::with_capacity(batch.len());
        let mut members: Vec<(usize, String)> = Vec::new();
        for (index, (account, person)) in accounts.into_iter().zip(&people).enumerate() {
            answers.push(match (account, wanted) {
                (Err(fault), _) => Some(Err(fault)),
                (Ok(Some(account)), _) => {
                    members.push((index, account.member));
                    None
                }
                (Ok(None), Wanted::Granted) => Some(Err(self.missing(person))),
                (Ok(None), Wanted::Revoked) => match self.orphan(person) {
                    // A login name outlives its owner and would pass to whoever gets it next.
                    Some(name) => {
                        members.push((index, name));
                        None
                    }
                    None => Some(Ok(Done::AlreadyInState)),
                },
            });
        }
        if !members.is_empty() {
            let names: Vec<&str> = members.iter().map(|(_, name)| name.as_str()).collect();
            let changed = self.change(line, &group, wanted, &names).await;
            for ((index, _), answer) in members.iter().zip(changed) {
                let gone = matches!(&answer, Err(fault) if fault.code == "account-missing");
                if let (true, Some(person)) = (gone, people.get(*index)) {
                    self.forget(person.subject);
                }
                if let Some(slot) = answers.get_mut(*index) {
                    *slot = Some(answer);
                }
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(not_sent()))).collect()
    }

    /// What may still stand in a posixGroup for a person whose entry is gone.
    fn orphan(&self, person: &Person) -> Option<String> {
        let by_login = self.person_attribute.eq_ignore_ascii_case("uid");
        (self.kind == GroupKind::Posix && by_login).then(|| self.value_of(person)).flatten()
    }

    fn missing(&self, person: &Person) -> Fault {
        let message = format!(
            "there is no entry with {} `{}` below `{}`; create it there",
            self.person_attribute,
            self.value_of(person).unwrap_or_default(),
            self.people_base
        );
        Fault::new(Class::Permanent, "account-missing", message)
    }

    async fn observe_on(
        &self,
        line: &mut Line<'_>,
        batch: &[(Person, Role)],
    ) -> Vec<Result<Presence, Fault>> {
        let mut answers = Vec::with_capacity(batch.len());
        for run in batch.chunk_by(|(_, one), (_, other)| one == other) {
            let Some((_, role)) = run.first() else { continue };
            let group = match self.group(role) {
                Ok(group) => group,
                Err(fault) => {
                    answers.extend(vec![Err(fault); run.len()]);
                    continue;
                }
            };
            let people: Vec<&Person> = run.iter().map(|(person, _)| person).collect();
            let accounts = self.accounts(line, &people).await;
            let members: Vec<Result<Option<String>, Fault>> = accounts
                .into_iter()
                .zip(&people)
                .map(|(account, person)| match account? {
                    Some(account) => Ok(Some(account.member)),
                    None => Ok(self.orphan(person)),
                })
                .collect();
            let names: Vec<&str> =
                members.iter().filter_map(|m| m.as_ref().ok()?.as_deref()).collect();
            let mut presence = self.are_members(line, &group, &names).await.into_iter();
            answers.extend(members.iter().map(|member| match member {
                Err(fault) => Err(fault.clone()),
                Ok(None) => Ok(Presence::Absent),
                Ok(Some(_)) => presence.next().unwrap_or_else(|| Err(not_sent())),
            }));
        }
        answers
    }

    fn resource(&self, entry: &Entry) -> Option<FoundResource> {
        let origin_id = self.group_name(&entry.dn)?;
        let first = |name: &str| entry.values(name).first().cloned();
        Some(FoundResource {
            display_name: first("cn").unwrap_or_else(|| origin_id.clone()),
            description: first("description"),
            roles: vec![Membership::Member.of(&origin_id)],
            origin_id,
        })
    }
}

const GROUP_ATTRIBUTES: &[&str] = &["cn", "description"];

fn gone(group: &str) -> Fault {
    let message = format!("the group `{group}` does not exist any more; remove the resource role");
    Fault::new(Class::Permanent, "resource-gone", message)
}

fn not_sent() -> Fault {
    let message = "a call before this one did not come to an end, so this one was not sent";
    Fault::new(Class::Transient, "not-sent", message)
}

fn unreached(error: ConnectError) -> Fault {
    match error {
        ConnectError::Denied(denied) => {
            let message = format!("{denied}; see `egress.allow` in the configuration");
            Fault::new(Class::Target, "egress-denied", message)
        }
        ConnectError::Dns { host, .. } => {
            let message = format!("the name `{host}` could not be resolved; check `url`");
            Fault::new(Class::Target, "dns", message)
        }
        ConnectError::Refused { host, port, source } => {
            let message = format!("`{host}` port {port} could not be reached: {source}");
            Fault::new(Class::Transient, "unreachable", message)
        }
    }
}

/// What went wrong between the connection and the sign-in; nothing was asked for yet.
fn not_secured(error: LdapError) -> Fault {
    match error {
        LdapError::LdapResult { result } => {
            let message = format!(
                "the directory refused StartTLS ({}); use `ldaps://`, or set `startTls` to false",
                result.rc
            );
            Fault::new(Class::Target, "tls", message)
        }
        LdapError::Io { source } => match source.get_ref().and_then(|e| e.downcast_ref()) {
            Some(error @ rustls::Error::InvalidCertificate(_)) => {
                let message = format!(
                    "the directory's certificate is not accepted ({error}); renew it, or give its \
                     authority in `caCertificate`"
                );
                Fault::new(Class::Target, "tls", message)
            }
            Some(error) => {
                Fault::new(Class::Target, "tls", format!("no secure connection: {error}"))
            }
            None => Fault::new(Class::Transient, "unreachable", format!("no connection: {source}")),
        },
        LdapError::Rustls { source } => {
            Fault::new(Class::Target, "tls", format!("no secure connection: {source}"))
        }
        LdapError::DNSName { .. } => {
            let message = "the host in `url` is not a name that a certificate can have";
            Fault::new(Class::Target, "tls", message)
        }
        error => Fault::new(Class::Transient, "unreachable", format!("no connection: {error}")),
    }
}

#[async_trait]
impl Connector for Ldap {
    fn batch_size(&self) -> usize {
        BATCH
    }

    fn can_observe(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<Health, Fault> {
        let started = Instant::now();
        let mut line = Line::new(self);
        for (setting, base) in
            [("peopleBase", &self.people_base), ("groupsBase", &self.groups_base)]
        {
            let base = base.to_string();
            let read = line.search(&base, Scope::Base, "(objectClass=*)", &["1.1"], 1).await?;
            let readable = match read {
                Ok(found) => !found.entries.is_empty(),
                Err(Refusal { code: 32, .. }) => false,
                Err(refusal) => return Err(refusal.fault()),
            };
            if !readable {
                let message = format!("`{setting}` `{base}` cannot be read by `bindDn`");
                return Err(Fault::new(Class::Target, "base", message));
            }
        }
        line.hang_up();
        let how = match self.tls {
            Encryption::None => "without encryption",
            Encryption::StartTls => "by StartTLS",
            Encryption::FromTheStart => "by TLS",
        };
        let summary = format!("LDAP {how}, signed in as `{}`", self.bind_dn);
        Ok(Health { summary, took: started.elapsed() })
    }

    async fn discover(
        &self,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        let class = self.kind.class();
        let filter = match search.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => {
                let text = ldap_escape(text);
                format!("(&(objectClass={class})(|(cn=*{text}*)(description=*{text}*)))")
            }
            None => format!("(objectClass={class})"),
        };
        let mut line = Line::new(self);
        let base = self.groups_base.to_string();
        let found = line.search_pages(&base, &filter, GROUP_ATTRIBUTES, limit).await?;
        let found = found.map_err(|refusal| match refusal.code {
            32 => {
                let message = format!("`groupsBase` `{base}` does not exist in this directory");
                Fault::new(Class::Target, "groups-base", message)
            }
            _ => refusal.fault(),
        })?;
        let mut resources: Vec<FoundResource> =
            found.entries.iter().filter_map(|entry| self.resource(entry)).collect();
        line.hang_up();
        // A whole name is a search too.
        if resources.is_empty()
            && let Some(search) = search
            && Dn::parse(search).is_some()
        {
            resources.extend(self.find(search).await?);
        }
        resources.truncate(limit);
        Ok(resources)
    }

    async fn find(&self, origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        let Some(group) = self.group_name(origin_id) else { return Ok(None) };
        let mut line = Line::new(self);
        let filter = format!("(objectClass={})", self.kind.class());
        let found = line.search(&group, Scope::Base, &filter, GROUP_ATTRIBUTES, 1).await?;
        let resource = match found {
            Ok(found) => found.entries.first().and_then(|entry| self.resource(entry)),
            Err(Refusal { code: 32, .. }) => match self.exists(&mut line, &group).await? {
                false => None,
                true => return Err(Refusal { code: 32, text: String::new() }.fault()),
            },
            Err(refusal) => return Err(refusal.fault()),
        };
        line.hang_up();
        Ok(resource)
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        let mut line = Line::new(self);
        let answers = self.ensure_on(&mut line, batch).await;
        line.hang_up();
        answers
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        let mut line = Line::new(self);
        let answers = self.observe_on(&mut line, batch).await;
        line.hang_up();
        answers
    }
}
