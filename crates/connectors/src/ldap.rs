//! LDAP directories as targets: groups whose members are names (`groupOfNames`,
//! `groupOfUniqueNames`, Active Directory's `group`) or login names (`posixGroup`).
//!
//! Groups are only changed by adding and deleting single values, so whoever else is in them stays.
//! In Active Directory, groups and people are known by their `objectGUID`, which outlives moves and new
//! names. People are found, never made. Everything a server answers is classified by its result code
//! (RFC 4511), never by its words.

mod answers;
mod groups;
mod holders;
mod line;
mod people;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use async_trait::async_trait;
use ldap3::{Scope, ldap_escape};
use tokio::time::Instant;
use uuid::Uuid;

use crate::dn::Dn;
use crate::egress::Policy;
use crate::faults::{gone, not_sent};
use crate::roles::Membership;
use crate::settings::{Field, Form, Problem, Reader, problem};
use crate::tls::{self, Authorities};
use crate::{
    Connector, Done, FoundResource, Health, Holders, Item, Person, Presence, Role, Settings, Wanted,
};
use answers::{Entry, Refusal};
use line::Line;
use people::Account;

/// The settings of an LDAP target.
pub const SETTINGS: &[Field] = &[
    Field::new("url", "Address", "`ldaps://host` or `ldap://host`, with `:port` where it differs")
        .required(),
    Field::new(
        "startTls",
        "Turn to TLS (StartTLS)",
        "whether `ldap://` turns to TLS; default `true`",
    )
    .form(Form::Flag),
    Field::new(
        "allowPlain",
        "Allow an unencrypted connection",
        "allows `ldap://` without TLS to another machine; default `false`",
    )
    .form(Form::Flag),
    tls::CA_CERTIFICATE,
    Field::new("bindDn", "Name to sign in as (DN)", "the name that we sign in as").required(),
    Field::new(
        "peopleBase",
        "Where people are (DN)",
        "where people are searched, with everything below",
    )
    .required(),
    Field::new(
        "personFilterAttribute",
        "Attribute of a person",
        "the attribute that tells people apart; default `uid`",
    ),
    Field::new(
        "personValue",
        "What the attribute is compared with",
        "what the attribute is compared with: `userPrincipalName`, `mail`, `localPart` (of \
                  the userPrincipalName), `objectId` or `subject`; default fits the attribute",
    )
    .form(Form::OneOf(&["userPrincipalName", "mail", "localPart", "objectId", "subject"])),
    Field::new(
        "checkMail",
        "Check the mail address too",
        "refuses an entry found by `localPart` whose `mail` is another's; default `true`",
    )
    .form(Form::Flag),
    Field::new(
        "groupsBase",
        "Where groups are (DN)",
        "where groups are searched; no group elsewhere is changed",
    )
    .required(),
    Field::new(
        "groupKind",
        "Kind of groups",
        "`groupOfNames`, `groupOfUniqueNames`, `posixGroup` or `group`",
    )
    .form(Form::OneOf(&["groupOfNames", "groupOfUniqueNames", "posixGroup", "group"]))
    .required(),
    Field::new(
        "nestedGroups",
        "Read groups within groups",
        "whether somebody in a group of the group has its role too, when roles are read back; for \
         `group` only, default `false`",
    )
    .form(Form::Flag),
    Field::new(
        "placeholderMember",
        "Placeholder of an empty group (DN)",
        "a name put into a group that may not be empty when its last member goes",
    ),
];

/// The secrets of an LDAP target.
pub const SECRETS: &[Field] =
    &[Field::new("bindPassword", "Password to sign in with", "the password of `bindDn`")
        .required()];

/// How many people go into one modify.
const BATCH: usize = 100;

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
    nested: bool,
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
    // Read even where it is not needed: a wrong value is not kept.
    let allows_plain = reader.flag("allowPlain", false)?;
    if tls == Encryption::None && !near && !allows_plain {
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
    let nested = reader.flag("nestedGroups", false)?;
    if nested && kind != GroupKind::ActiveDirectory {
        return Err(problem(
            "nestedGroups",
            "goes with `groupKind` `group` only, since other directories do not look into groups \
             within groups; remove it",
        ));
    }
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
        nested,
        idle: Mutex::default(),
        known: Mutex::default(),
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ldap {
    /// Whether references to other servers in an answer mean that something is missing from it.
    fn heeds_references(&self) -> bool {
        self.kind != GroupKind::ActiveDirectory
    }

    /// The name by which a role's group is changed; `None` if the group verifiably does not exist.
    async fn group(&self, line: &mut Line<'_>, role: &Role) -> Result<Option<String>, Fault> {
        Membership::only_member(role)?;
        let outside = || {
            let message = format!(
                "`{}` is not a group below `{}`; add the resource again",
                role.resource, self.groups_base
            );
            Fault::new(Class::Permanent, "outside-groups-base", message)
        };
        let Some(guid) = self.guid(&role.resource) else {
            return self.group_name(&role.resource).map(Some).ok_or_else(outside);
        };
        // Where it lies now has to be asked: its id does not tell.
        match self.read_group(line, &by_guid(guid)).await? {
            Some(entry) if self.group_name(&entry.dn).is_some() => Ok(Some(by_guid(guid))),
            Some(_) => Err(outside()),
            // What is there and does not show itself as a group is not gone.
            None => match self.exists(line, &by_guid(guid)).await? {
                true => Err(outside()),
                false => Ok(None),
            },
        }
    }

    /// The id in a resource's id, where groups are known by one.
    fn guid(&self, resource: &str) -> Option<Uuid> {
        let knows = self.kind == GroupKind::ActiveDirectory;
        Uuid::try_parse(resource).ok().filter(|_| knows)
    }

    /// A group's entry by its name; `None` if it verifiably does not exist.
    async fn read_group(&self, line: &mut Line<'_>, group: &str) -> Result<Option<Entry>, Fault> {
        let filter = format!("(objectClass={})", self.kind.class());
        match line.search(group, Scope::Base, &filter, GROUP_ATTRIBUTES, 1).await? {
            Ok(mut found) => Ok(found.entries.pop()),
            Err(Refusal { code: 32, .. }) => match self.exists(line, group).await? {
                false => Ok(None),
                true => Err(Refusal { code: 32, text: String::new() }.fault()),
            },
            Err(refusal) => Err(refusal.fault()),
        }
    }

    /// The one spelling of a group's name, if it lies where groups may be changed.
    fn group_name(&self, text: &str) -> Option<String> {
        Dn::parse(text).filter(|dn| dn.is_within(&self.groups_base)).map(|dn| dn.to_string())
    }

    async fn ensure_on(&self, line: &mut Line<'_>, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        let Some(first) = batch.first() else { return Vec::new() };
        let wanted = first.wanted;
        let group = match (self.group(line, &first.role).await, wanted) {
            (Ok(Some(group)), _) => group,
            (Ok(None), Wanted::Revoked) => return vec![Ok(Done::AlreadyInState); batch.len()],
            (Ok(None), Wanted::Granted) => {
                return vec![Err(gone("group", &first.role.resource)); batch.len()];
            }
            (Err(fault), _) => return vec![Err(fault); batch.len()],
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

    async fn observe_on(
        &self,
        line: &mut Line<'_>,
        batch: &[(Person, Role)],
    ) -> Vec<Result<Presence, Fault>> {
        let mut answers = Vec::with_capacity(batch.len());
        for run in batch.chunk_by(|(_, one), (_, other)| one == other) {
            let Some((_, role)) = run.first() else { continue };
            let group = match self.group(line, role).await {
                Ok(Some(group)) => group,
                Ok(None) => {
                    answers.extend(vec![Ok(Presence::Absent); run.len()]);
                    continue;
                }
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
            let mut presence = self.have_role(line, &group, &names).await.into_iter();
            answers.extend(members.iter().map(|member| match member {
                Err(fault) => Err(fault.clone()),
                Ok(None) => Ok(Presence::Absent),
                Ok(Some(_)) => presence.next().unwrap_or_else(|| Err(not_sent())),
            }));
        }
        answers
    }

    fn resource(&self, entry: &Entry) -> Option<FoundResource> {
        let name = self.group_name(&entry.dn)?;
        let origin_id = match (self.kind, entry.guid) {
            (GroupKind::ActiveDirectory, guid) => guid?.to_string(),
            _ => name,
        };
        let first = |name: &str| entry.values(name).first().cloned();
        Some(FoundResource {
            display_name: first("cn").unwrap_or_else(|| origin_id.clone()),
            description: first("description"),
            roles: vec![Membership::Member.of(&origin_id)],
            origin_id,
        })
    }
}

const GROUP_ATTRIBUTES: &[&str] = &["cn", "description", "objectGUID"];

/// How Active Directory takes an entry by its id, wherever a name may stand ([MS-ADTS] 3.1.1.3.1.2.4).
fn by_guid(guid: Uuid) -> String {
    format!("<GUID={guid}>")
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
            && (Dn::parse(search).is_some() || self.guid(search).is_some())
        {
            resources.extend(self.find(search).await?);
        }
        resources.truncate(limit);
        Ok(resources)
    }

    async fn find(&self, origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        let group = match self.guid(origin_id) {
            Some(guid) => Some(by_guid(guid)),
            None => self.group_name(origin_id),
        };
        let Some(group) = group else { return Ok(None) };
        let mut line = Line::new(self);
        let entry = self.read_group(&mut line, &group).await?;
        line.hang_up();
        Ok(entry.and_then(|entry| self.resource(&entry)))
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
    fn can_list_holders(&self) -> bool {
        true
    }

    async fn holders(&self, role: &Role, known: &[Person]) -> Result<Holders, Fault> {
        let mut line = Line::new(self);
        let holders = self.holders_on(&mut line, role, known).await;
        line.hang_up();
        holders
    }

    fn marks(&self, person: &Person) -> Vec<String> {
        self.mark(person).into_iter().collect()
    }
}
