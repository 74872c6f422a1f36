//! Roles of a PostgreSQL cluster as targets: a person's login is made a member of a role, or is one no
//! more.
//!
//! A resource is known by the cluster's number and the role's oid, not by its name: a renamed role is
//! still the same one, and a role that is made anew under an old name is another one that nobody was
//! approved for. Names are read from the catalog, quoted, and what came of a change is read again before it is
//! committed.

mod answers;
mod session;
mod sql;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use async_trait::async_trait;
use tokio::time::Instant;
use tokio_postgres::types::Type;

use crate::egress::Policy;
use crate::faults::{gone, not_sent, too_many};
use crate::roles::Membership;
use crate::settings::{Field, Form, Problem, Reader, problem};
use crate::tls::{self, Authorities};
use crate::{
    Connector, Done, FoundResource, Health, Holder, Holders, Item, MAX_HOLDERS, Person, Presence,
    Role, Settings, Wanted,
};
use session::{Session, cell};

/// The settings of a PostgreSQL target.
pub const SETTINGS: &[Field] = &[
    Field::new("host", "Host", "the name or address of the server; of the primary, where there are standbys")
        .required(),
    Field::new("port", "Port", "where the server listens; default 5432"),
    Field::new("database", "Database", "a database to sign in to; default `postgres`"),
    Field::new("user", "Role to sign in as", "our own role, which has ADMIN OPTION on the roles to give")
        .required(),
    Field::new(
        "sslMode",
        "Encryption",
        "`verify-full` (default): TLS with a certificate for this host; or `disable`",
    )
    .form(Form::OneOf(&["verify-full", "disable"])),
    tls::CA_CERTIFICATE,
    Field::new(
        "allowPlain",
        "Allow an unencrypted connection",
        "allows `disable` to another machine; default `false`",
    )
    .form(Form::Flag),
    Field::new(
        "userName",
        "Login of a person",
        "what a person's login role is called: `userPrincipalName` (default), `localPart` (of the \
         userPrincipalName, in `domain` only), `mail` or `objectId`",
    )
    .form(Form::OneOf(&["userPrincipalName", "localPart", "mail", "objectId"])),
    Field::new(
        "domain",
        "Domain of the people",
        "the one domain whose people have logins by `localPart`, such as `harbourline.example`",
    ),
    Field::new(
        "formerClusters",
        "Numbers of former clusters",
        "numbers that this cluster had before `pg_upgrade`, which keeps roles and changes the number",
    )
    .form(Form::List),
];

/// The secrets of a PostgreSQL target.
pub const SECRETS: &[Field] =
    &[Field::new("password", "Password to sign in with", "the password of `user`").required()];

/// How many people go into one GRANT.
const BATCH: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
enum UserName {
    UserPrincipalName,
    LocalPart { domain: String },
    Mail,
    ObjectId,
}

/// One PostgreSQL cluster.
pub struct Postgres {
    host: String,
    port: u16,
    database: String,
    user: String,
    password: String,
    tls: Option<Arc<rustls::ClientConfig>>,
    egress: Arc<Policy>,
    user_name: UserName,
    former: Vec<String>,
}

/// Opens a PostgreSQL target; connects to nothing yet.
pub(crate) fn open(
    _: &Settings,
    reader: &Reader<'_>,
    egress: Arc<Policy>,
) -> Result<Arc<dyn Connector>, Problem> {
    let host = reader.required("host", "db.example")?.to_owned();
    if host.contains(['/', '@', ':', ',', ' ']) && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(problem(
            "host",
            "must be one host's name or address; port, database and user have settings of their own",
        ));
    }
    let address = host.parse::<std::net::IpAddr>().ok();
    if let Some(address) = address {
        egress
            .permits(address)
            .map_err(|denied| problem("host", format!("is refused: {denied}")))?;
    }
    let near = host.eq_ignore_ascii_case("localhost") || address.is_some_and(|a| a.is_loopback());
    let encrypts =
        reader.choice("sslMode", Some(true), &[("verify-full", true), ("disable", false)])?;
    // Read even where it is not needed: a wrong value is not kept.
    let allows_plain = reader.flag("allowPlain", false)?;
    if !encrypts && !near && !allows_plain {
        return Err(problem(
            "sslMode",
            "would send what is asked unencrypted to another machine; use `verify-full`, or set \
             `allowPlain`",
        ));
    }
    let tls = Authorities::from_pem(reader.text("caCertificate")?)?;
    let tls = match encrypts {
        true => Some(Arc::new(
            tls.client_config()
                .map_err(|error| problem("caCertificate", format!("cannot be used: {error}")))?,
        )),
        false => None,
    };
    let port = reader.number("port", 5432, 1..=u64::from(u16::MAX))?;
    let domain = reader.text("domain")?.map(|domain| domain.trim_start_matches('@').to_lowercase());
    if domain.as_ref().is_some_and(|domain| domain.contains('@')) {
        return Err(problem(
            "domain",
            "is one domain and no name in it, like `harbourline.example`",
        ));
    }
    let by_name = [("userPrincipalName", 0), ("localPart", 1), ("mail", 2), ("objectId", 3)];
    let user_name = match (reader.choice("userName", Some(0), &by_name)?, domain) {
        (1, Some(domain)) => UserName::LocalPart { domain },
        (1, None) => {
            return Err(problem(
                "domain",
                "is missing; with `localPart`, name the one domain whose people have logins here, \
                 such as `harbourline.example`, since the same name before the `@` of another \
                 domain is somebody else",
            ));
        }
        (_, Some(_)) => {
            return Err(problem("domain", "goes with `userName` `localPart` only; remove it"));
        }
        (2, None) => UserName::Mail,
        (3, None) => UserName::ObjectId,
        (_, None) => UserName::UserPrincipalName,
    };
    let former = reader.texts("formerClusters")?;
    if former.iter().any(|number| number.parse::<u64>().is_err()) {
        return Err(problem(
            "formerClusters",
            "must be a list of clusters' numbers, as a check of the target tells them",
        ));
    }
    Ok(Arc::new(Postgres {
        port: u16::try_from(port).unwrap_or(5432),
        database: reader.text("database")?.unwrap_or("postgres").to_owned(),
        user: reader.required("user", "accede")?.to_owned(),
        password: reader.secret("password", "the password of `user`")?.to_owned(),
        host,
        tls,
        egress,
        user_name,
        former,
    }))
}

/// A role of the cluster.
struct Group {
    oid: u32,
    name: String,
    comment: Option<String>,
    /// Why nobody may be made a member of it.
    refused: Option<String>,
}

impl Group {
    fn may_be_given(&self) -> Result<(), Fault> {
        let Some(refused) = &self.refused else { return Ok(()) };
        let why = match refused.as_str() {
            "pg_" => "is one of PostgreSQL's own".to_owned(),
            "LOGIN" => "may log in, so it is somebody's account".to_owned(),
            power => format!("has {power}, by itself or through a role that it belongs to"),
        };
        let message = format!("the role `{}` is not given to people: it {why}", self.name);
        Err(Fault::new(Class::Permanent, "role-refused", message))
    }
}

/// A person's login role.
#[derive(Debug, Clone)]
struct Account {
    oid: u32,
    name: String,
    may_log_in: bool,
    is_group: bool,
    is_mighty: bool,
    is_member: bool,
}

impl Postgres {
    fn login_of(&self, person: &Person) -> Result<String, Fault> {
        let upn = person.user_principal_name.trim();
        let login = match &self.user_name {
            UserName::UserPrincipalName => Some(upn),
            UserName::Mail => person.mail.as_deref(),
            UserName::ObjectId => Some(person.object_id.as_str()),
            UserName::LocalPart { domain } => upn
                .rsplit_once('@')
                .and_then(|(local, of)| of.eq_ignore_ascii_case(domain).then_some(local)),
        };
        let login = login.map(str::trim).filter(|login| !login.is_empty());
        login.map(str::to_owned).ok_or_else(|| {
            let message = format!("`{upn}` has no value to be found by here; see `userName`");
            Fault::new(Class::Permanent, "no-key", message)
        })
    }

    fn resource(&self, session: &Session, group: Group) -> FoundResource {
        let origin_id = format!("{}/{}", session.server.cluster, group.oid);
        FoundResource {
            display_name: group.name,
            description: group.comment,
            roles: vec![Membership::Member.of(&origin_id)],
            origin_id,
        }
    }

    /// The oid in a resource's id; `None` if it is no id of ours.
    ///
    /// # Errors
    ///
    /// A target fault, if the id belongs to another cluster: the same oid is another role there.
    fn oid(&self, session: &Session, origin_id: &str) -> Result<Option<u32>, Fault> {
        let Some((cluster, oid)) = origin_id.split_once('/') else { return Ok(None) };
        let (Ok(_), Ok(oid)) = (cluster.parse::<u64>(), oid.parse::<u32>()) else {
            return Ok(None);
        };
        let here = &session.server.cluster;
        if cluster != here && !self.former.iter().any(|former| former == cluster) {
            let message = format!(
                "this is the cluster {here}, and the role belongs to the cluster {cluster}; check \
                 `host`, or name {cluster} in `formerClusters` if `pg_upgrade` made the one of the \
                 other"
            );
            return Err(Fault::new(Class::Target, "other-cluster", message));
        }
        Ok(Some(oid))
    }

    async fn groups(
        &self,
        session: &mut Session,
        oid: Option<u32>,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Group>, Fault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let asked: [session::Parameter<'_>; 3] =
            [(&oid, Type::OID), (&search, Type::TEXT), (&limit, Type::INT8)];
        let rows = session.ask(sql::ROLES, &asked).await?;
        let group = |row| {
            Ok(Group {
                oid: cell(row, 0)?,
                name: cell(row, 1)?,
                comment: cell(row, 2)?,
                refused: cell(row, 3)?,
            })
        };
        rows.iter().map(group).collect()
    }

    /// The role of a resource; `None` if it verifiably does not exist in this cluster.
    async fn group(&self, session: &mut Session, role: &Role) -> Result<Option<Group>, Fault> {
        Membership::only_member(role)?;
        let oid = self.oid(session, &role.resource)?.ok_or_else(|| {
            let message =
                format!("`{}` cannot be the id of a role; add the resource anew", role.resource);
            Fault::new(Class::Permanent, "malformed-id", message)
        })?;
        Ok(self.groups(session, Some(oid), None, 1).await?.pop())
    }

    /// Each person's login; `None` if there is none.
    async fn accounts(
        &self,
        session: &mut Session,
        people: &[&Person],
        group: u32,
    ) -> Result<Vec<Result<Option<Account>, Fault>>, Fault> {
        let logins: Vec<_> = people.iter().map(|person| self.login_of(person)).collect();
        // A text with a zero byte is not one that PostgreSQL can hold.
        let exact: Vec<&str> =
            logins.iter().flatten().map(String::as_str).filter(|l| !l.contains('\0')).collect();
        let lower: Vec<String> = exact.iter().map(|login| login.to_lowercase()).collect();
        let asked: [session::Parameter<'_>; 3] =
            [(&exact, Type::TEXT_ARRAY), (&lower, Type::TEXT_ARRAY), (&group, Type::OID)];
        let rows = session.ask(sql::ACCOUNTS, &asked).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push(Account {
                oid: cell(row, 0)?,
                name: cell(row, 1)?,
                may_log_in: cell(row, 2)?,
                is_group: cell(row, 3)?,
                is_mighty: cell(row, 4)?,
                is_member: cell(row, 5)?,
            });
        }
        Ok(logins.into_iter().map(|login| choose(&found, &login?)).collect())
    }

    async fn ensure_on(
        &self,
        session: &mut Session,
        batch: &[Item],
    ) -> Result<Vec<Result<Done, Fault>>, Fault> {
        let Some(first) = batch.first() else { return Ok(Vec::new()) };
        let wanted = first.wanted;
        let group = match (self.group(session, &first.role).await?, wanted) {
            (Some(group), _) => group,
            (None, Wanted::Revoked) => return Ok(vec![Ok(Done::AlreadyInState); batch.len()]),
            (None, Wanted::Granted) => return Err(gone("role", &first.role.resource)),
        };
        if wanted == Wanted::Granted {
            group.may_be_given()?;
        }
        let people: Vec<&Person> = batch.iter().map(|item| &item.person).collect();
        let accounts = self.accounts(session, &people, group.oid).await?;
        let mut answers = Vec::with_capacity(batch.len());
        let mut open: Vec<Account> = Vec::new();
        for (account, person) in accounts.into_iter().zip(&people) {
            answers.push(match (account, wanted) {
                (Err(fault), _) => Some(Err(fault)),
                (Ok(account), Wanted::Granted) => match may_receive(account, person) {
                    Err(fault) => Some(Err(fault)),
                    Ok(account) if account.is_member => Some(Ok(Done::AlreadyInState)),
                    Ok(account) => {
                        open.push(account);
                        None
                    }
                },
                (Ok(Some(account)), Wanted::Revoked) if account.is_member => {
                    open.push(account);
                    None
                }
                (Ok(_), Wanted::Revoked) => Some(Ok(Done::AlreadyInState)),
            });
        }
        let mut changed = change(session, &group, wanted, &open).await.into_iter();
        let next = |answer: Option<_>| {
            answer.or_else(|| changed.next()).unwrap_or_else(|| Err(not_sent()))
        };
        Ok(answers.into_iter().map(next).collect())
    }

    async fn holders_on(
        &self,
        session: &mut Session,
        role: &Role,
        known: &[Person],
    ) -> Result<Holders, Fault> {
        let Some(group) = self.group(session, role).await? else {
            return Ok(Holders { list: Vec::new(), calls: 2 });
        };
        let most = i64::try_from(MAX_HOLDERS + 1).unwrap_or(i64::MAX);
        let asked: [session::Parameter<'_>; 3] =
            [(&group.oid, Type::OID), (&group.name, Type::TEXT), (&most, Type::INT8)];
        let rows = session.ask(sql::HOLDERS, &asked).await?;
        if MAX_HOLDERS < rows.len() {
            return Err(too_many(&role.role));
        }
        let known: HashMap<String, SubjectId> = known
            .iter()
            .flat_map(|person| self.marks(person).into_iter().map(|mark| (mark, person.subject)))
            .collect();
        let mut list = Vec::with_capacity(rows.len());
        for row in &rows {
            let login: String = cell(row, 0)?;
            let mark = login.to_lowercase();
            let subject = known.get(&mark).copied();
            list.push(Holder { id: login, name: None, subject, marks: vec![mark] });
        }
        Ok(Holders { list, calls: 3 })
    }

    async fn observe_on(
        &self,
        session: &mut Session,
        role: &Role,
        people: &[&Person],
    ) -> Result<Vec<Result<Presence, Fault>>, Fault> {
        let Some(group) = self.group(session, role).await? else {
            return Ok(vec![Ok(Presence::Absent); people.len()]);
        };
        let accounts = self.accounts(session, people, group.oid).await?;
        let presence = |account: Result<Option<Account>, Fault>| match account? {
            Some(account) if account.is_member => Ok(Presence::Present),
            Some(_) | None => Ok(Presence::Absent),
        };
        Ok(accounts.into_iter().map(presence).collect())
    }
}

/// INVARIANT: a login is a person's only if it has the person's name, whatever its case, and is the
/// only one; and a role that others belong to is a group, whatever it is called.
fn choose(found: &[Account], login: &str) -> Result<Option<Account>, Fault> {
    let folded = login.to_lowercase();
    let mut hits =
        found.iter().filter(|account| !account.is_group && account.name.to_lowercase() == folded);
    match (hits.next(), hits.next()) {
        (first, None) => Ok(first.cloned()),
        (_, Some(_)) => {
            let message = format!(
                "several login roles are called `{login}` but for upper and lower case; keep one"
            );
            Err(Fault::new(Class::Permanent, "account-ambiguous", message))
        }
    }
}

/// The account, if it is one that roles are given to.
fn may_receive(account: Option<Account>, person: &Person) -> Result<Account, Fault> {
    let upn = &person.user_principal_name;
    let refused = |name: &str, why: &str| {
        let message = format!("the role `{name}` of `{upn}` is given nothing: it {why}");
        Err(Fault::new(Class::Permanent, "account-refused", message))
    };
    match account {
        None => {
            let message = format!("`{upn}` has no login role here; make it, then reprocess");
            Err(Fault::new(Class::Permanent, "account-missing", message))
        }
        Some(account) if !account.may_log_in => refused(&account.name, "may not log in"),
        Some(account) if account.is_mighty => {
            refused(&account.name, "administers the cluster, or is our own")
        }
        Some(account) => Ok(account),
    }
}

/// Changes memberships together in one transaction, and one by one if that is refused.
async fn change(
    session: &mut Session,
    group: &Group,
    wanted: Wanted,
    open: &[Account],
) -> Vec<Result<Done, Fault>> {
    if open.is_empty() {
        return Vec::new();
    }
    let together = change_together(session, group, wanted, open).await;
    let fault = match together {
        Ok(()) => return vec![Ok(Done::Applied); open.len()],
        Err(fault) => fault,
    };
    if let [account] = open {
        return vec![settle(session, group, wanted, account, fault).await];
    }
    if !is_refusal(&fault) {
        return vec![Err(fault); open.len()];
    }
    let mut answers = Vec::with_capacity(open.len());
    let mut broken: Option<Fault> = None;
    for account in open {
        if let Some(fault) = &broken {
            answers.push(Err(fault.clone()));
            continue;
        }
        let one = std::slice::from_ref(account);
        let answer = match change_together(session, group, wanted, one).await {
            Ok(()) => Ok(Done::Applied),
            Err(fault) => settle(session, group, wanted, account, fault).await,
        };
        broken = match &answer {
            Err(fault) if fault.class == Class::Unknown => Some(not_sent()),
            Err(fault) if !is_refusal(fault) => Some(fault.clone()),
            _ => None,
        };
        answers.push(answer);
    }
    answers
}

/// Whether somebody was refused, and the session can go on.
fn is_refusal(fault: &Fault) -> bool {
    matches!(fault.class, Class::Permanent | Class::Unsupported)
}

/// All of it or nothing.
async fn change_together(
    session: &mut Session,
    group: &Group,
    wanted: Wanted,
    open: &[Account],
) -> Result<(), Fault> {
    session.tell("begin isolation level read committed").await?;
    let done = match change_within(session, group, wanted, open).await {
        Ok(()) => session.commit().await,
        Err(fault) => Err(fault),
    };
    if done.is_err() {
        // So that the session can be used for the next. If it is over, the next one will tell.
        let _over = session.roll_back().await;
    }
    done
}

async fn change_within(
    session: &mut Session,
    group: &Group,
    wanted: Wanted,
    open: &[Account],
) -> Result<(), Fault> {
    let names: Vec<String> = open.iter().map(|account| sql::quoted(&account.name)).collect();
    let (names, role) = (names.join(", "), sql::quoted(&group.name));
    let command = match wanted {
        Wanted::Granted => format!("grant {role} to {names}"),
        Wanted::Revoked => format!("revoke {role} from {names}"),
    };
    session.tell(&command).await?;
    let members = members(session, group, open).await?;
    let done = |account: &&Account| members.contains(&account.oid) != (wanted == Wanted::Granted);
    match (open.iter().find(done), wanted) {
        (None, _) => Ok(()),
        // Commands name roles; somebody gave one of these names to another role just now.
        (Some(_), Wanted::Granted) => {
            let message = format!("the role `{}` was renamed or dropped meanwhile", group.name);
            Err(Fault::new(Class::Transient, "changed-meanwhile", message))
        }
        // From version 16 on, each role that granted a membership takes its own one away.
        (Some(account), Wanted::Revoked) => {
            let message = format!(
                "`{}` is a member of `{}` by another role's grant; revoke it as that role, with \
                 GRANTED BY",
                account.name, group.name
            );
            Err(Fault::new(Class::Permanent, "granted-by-another", message))
        }
    }
}

async fn members(
    session: &mut Session,
    group: &Group,
    open: &[Account],
) -> Result<HashSet<u32>, Fault> {
    let oids: Vec<u32> = open.iter().map(|account| account.oid).collect();
    let asked: [session::Parameter<'_>; 3] =
        [(&group.oid, Type::OID), (&group.name, Type::TEXT), (&oids, Type::OID_ARRAY)];
    let rows = session.ask(sql::MEMBERS, &asked).await?;
    rows.iter().map(|row| cell(row, 0)).collect()
}

/// What a refused change of one membership means: nothing, if it is as wanted all the same.
async fn settle(
    session: &mut Session,
    group: &Group,
    wanted: Wanted,
    account: &Account,
    fault: Fault,
) -> Result<Done, Fault> {
    if !matches!(fault.code.as_str(), "sql-42704" | "sql-42710") {
        return Err(fault);
    }
    let members = members(session, group, std::slice::from_ref(account)).await?;
    match members.contains(&account.oid) == (wanted == Wanted::Granted) {
        true => Ok(Done::AlreadyInState),
        false => Err(fault),
    }
}

#[async_trait]
impl Connector for Postgres {
    fn batch_size(&self) -> usize {
        BATCH
    }

    fn can_observe(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<Health, Fault> {
        let started = Instant::now();
        let mut session = Session::open(self).await?;
        let roles = self.groups(&mut session, None, None, 1_000).await?.len();
        let how = if self.tls.is_some() { "by TLS" } else { "without encryption" };
        let server = &session.server;
        let mut summary = format!(
            "PostgreSQL {} {how}, cluster {}, signed in as `{}`, which may give {roles} roles",
            server.version, server.cluster, self.user
        );
        if server.is_superuser {
            summary.push_str("; it is a superuser, which is more than is needed here");
        }
        Ok(Health { summary, took: started.elapsed() })
    }

    async fn discover(
        &self,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        let search = search.map(str::trim).filter(|text| !text.is_empty());
        if search.is_some_and(|text| text.contains('\0')) {
            return Ok(Vec::new());
        }
        let mut session = Session::open(self).await?;
        let groups = self.groups(&mut session, None, search, limit).await?;
        let mut found: Vec<_> =
            groups.into_iter().map(|group| self.resource(&session, group)).collect();
        // A whole id is a search too.
        if found.is_empty()
            && let Some(Ok(Some(oid))) = search.map(|text| self.oid(&session, text))
        {
            let group = self.groups(&mut session, Some(oid), None, limit).await?.pop();
            let group = group.filter(|group| group.refused.is_none());
            found.extend(group.map(|group| self.resource(&session, group)));
        }
        Ok(found)
    }

    async fn find(&self, origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        let mut session = Session::open(self).await?;
        let Some(oid) = self.oid(&session, origin_id)? else { return Ok(None) };
        let Some(group) = self.groups(&mut session, Some(oid), None, 1).await?.pop() else {
            return Ok(None);
        };
        group.may_be_given()?;
        Ok(Some(self.resource(&session, group)))
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        let answers = async {
            let mut session = Session::open(self).await?;
            self.ensure_on(&mut session, batch).await
        };
        answers.await.unwrap_or_else(|fault| vec![Err(fault); batch.len()])
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        let mut session = match Session::open(self).await {
            Ok(session) => session,
            Err(fault) => return vec![Err(fault); batch.len()],
        };
        let mut answers = Vec::with_capacity(batch.len());
        for run in batch.chunk_by(|(_, one), (_, other)| one == other) {
            let Some((_, role)) = run.first() else { continue };
            let people: Vec<&Person> = run.iter().map(|(person, _)| person).collect();
            let seen = self.observe_on(&mut session, role, &people).await;
            answers.extend(seen.unwrap_or_else(|fault| vec![Err(fault); run.len()]));
        }
        answers
    }

    fn can_list_holders(&self) -> bool {
        true
    }

    async fn holders(&self, role: &Role, known: &[Person]) -> Result<Holders, Fault> {
        let mut session = Session::open(self).await?;
        self.holders_on(&mut session, role, known).await
    }

    fn marks(&self, person: &Person) -> Vec<String> {
        self.login_of(person).into_iter().map(|login| login.to_lowercase()).collect()
    }
}
