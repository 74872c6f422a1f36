//! Active Directory: a domain controller of Samba. Its truth is read and written by OpenLDAP's own
//! commands.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use accede_connectors::{Connector, Done, Item, Order, Person, Presence, Role, Wanted};
use accede_domain::fault::{Class, Fault};
use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::connect;
use crate::contract::{self, Bench, Wrong, person};
use crate::ldap::{is_change, operation};
use crate::proxy::{LineProxy, Way};
use crate::real::{Server, free_port};

const SUFFIX: &str = "dc=corp,dc=example,dc=org";

struct Domain {
    server: Server,
    proxy: LineProxy,
    connector: Arc<dyn Connector>,
}

fn settings(port: u16, more: Value) -> Value {
    let settings = json!({
        "url": format!("ldap://127.0.0.1:{port}"),
        "startTls": false,
        "bindDn": format!("cn=joiner,cn=users,{SUFFIX}"),
        "peopleBase": format!("ou=people,{SUFFIX}"),
        "personFilterAttribute": "userPrincipalName",
        "groupsBase": format!("ou=groups,{SUFFIX}"),
        "groupKind": "group",
    });
    connect::with(settings, more)
}

fn open(settings: Value, password: &str) -> Arc<dyn Connector> {
    connect::open("ldap", settings, ("bindPassword", password))
}

impl Domain {
    async fn start(environment: &[(&str, &str)]) -> Domain {
        let server = Server::start("samba-ad", &[], environment).ends_by("TERM");
        Domain {
            proxy: LineProxy::before(server.port).await,
            connector: open(settings(server.port, json!({})), "Secret-1"),
            server,
        }
    }

    fn with(&self, more: Value) -> Arc<dyn Connector> {
        open(settings(self.server.port, more), "Secret-1")
    }

    /// Runs a command of OpenLDAP as the domain's administrator.
    fn run(&self, command: &str, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(command)
            .args(["-x", "-H", &format!("ldap://127.0.0.1:{}", self.server.port)])
            .args(["-D", &format!("cn=administrator,cn=users,{SUFFIX}"), "-w", "Secret-1"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command}: {error}; run scripts/install"));
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command} {arguments:?}: {said}\n{input}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn name(person: &Person) -> String {
        format!("cn={},ou=people,{SUFFIX}", person.display_name)
    }

    fn attribute(&self, name: &str, attribute: &str) -> Vec<String> {
        let arguments = ["-LLL", "-o", "ldif-wrap=no", "-b", name, "-s", "base", attribute];
        let prefixes = [format!("{attribute}: "), format!("{attribute}:: ")];
        let found = self.run("ldapsearch", &arguments, "");
        let value = |line: &str| {
            prefixes.iter().find_map(|prefix| line.strip_prefix(prefix.as_str()).map(str::to_owned))
        };
        found.lines().filter_map(value).collect()
    }

    /// The resource role of a group, by the id that the domain gave it.
    fn role(&self, name: &str) -> Role {
        // The id is bytes, so it comes as base64.
        let encoded = self.attribute(name, "objectGUID").remove(0);
        let id = Uuid::from_slice_le(&base64(&encoded)).unwrap().to_string();
        Role { role: format!("Member_{id}"), scope: id.clone(), resource: id }
    }

    fn by_id(role: &Role) -> String {
        format!("<GUID={}>", role.resource)
    }

    fn modify(&self, name: &str, change: &str) {
        self.run("ldapmodify", &[], &format!("dn: {name}\nchangetype: modify\n{change}\n"));
    }

    fn rename(&self, name: &str, to: &str) {
        let change = format!("dn: {name}\nchangetype: modrdn\nnewrdn: {to}\ndeleteoldrdn: 1\n");
        self.run("ldapmodify", &[], &change);
    }
}

fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits =
        text.bytes().filter(|letter| *letter != b'=').fold(Vec::new(), |mut bits, letter| {
            let value = LETTERS.iter().position(|known| *known == letter).unwrap();
            bits.extend((0..6).rev().map(|bit| u8::from(value >> bit & 1 == 1)));
            bits
        });
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
}

#[async_trait]
impl Bench for Domain {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::clone(&self.connector)
    }

    fn wrong(&self, what: Wrong) -> Option<Arc<dyn Connector>> {
        Some(match what {
            Wrong::Credentials => open(settings(self.server.port, json!({})), "not-the-password"),
            Wrong::Place => self.with(json!({ "peopleBase": "ou=people,dc=nowhere,dc=org" })),
            Wrong::Unreachable => open(settings(free_port(), json!({})), "Secret-1"),
            Wrong::Line => open(settings(self.proxy.port, json!({})), "Secret-1"),
        })
    }

    async fn add_account(&self, person: &Person) {
        let (upn, mail) = (&person.user_principal_name, person.mail.as_ref().unwrap());
        let login = upn.split('@').next().unwrap();
        let entry = format!(
            "dn: {}\nobjectClass: user\nsAMAccountName: {login}\nuserPrincipalName: {upn}\n\
             mail: {mail}\n",
            Self::name(person)
        );
        self.run("ldapadd", &[], &entry);
    }

    async fn add_group(&self, called: &str) -> Role {
        let name = format!("cn={called},ou=groups,{SUFFIX}");
        let entry = format!("dn: {name}\nobjectClass: group\nsAMAccountName: {called}\n");
        self.run("ldapadd", &[], &entry);
        self.role(&name)
    }

    async fn remove_group(&self, role: &Role) {
        self.run("ldapdelete", &[&Self::by_id(role)], "");
    }

    async fn put_in(&self, person: &Person, role: &Role) {
        self.modify(&Self::by_id(role), &format!("add: member\nmember: {}", Self::name(person)));
    }

    async fn truth(&self, role: &Role, people: &[Person]) -> (Vec<bool>, usize) {
        let members = self.attribute(&Self::by_id(role), "member");
        let is_member = |person: &Person| {
            members.iter().any(|member| member.eq_ignore_ascii_case(&Self::name(person)))
        };
        let holds: Vec<bool> = people.iter().map(is_member).collect();
        let ours = holds.iter().filter(|held| **held).count();
        (holds, members.len() - ours)
    }

    fn lose_answers(&self, lose: bool) {
        self.proxy.rule(move |asked| match lose && is_change(asked) {
            true => Way::LoseAnswer,
            false => Way::Pass,
        });
    }
}

#[tokio::test]
async fn active_directory_keeps_the_contract() {
    contract::holds(&Domain::start(&[]).await).await;
}

async fn ensure(on: &Arc<dyn Connector>, one: &Person, role: &Role, wanted: Wanted) -> Answer {
    let item = Item { person: one.clone(), role: role.clone(), wanted, order: Order::default() };
    on.ensure(&[item]).await.remove(0)
}

async fn seen(on: &Arc<dyn Connector>, one: &Person, role: &Role) -> Presence {
    on.observe(&[(one.clone(), role.clone())]).await.remove(0).unwrap()
}

type Answer = Result<Done, Fault>;

fn said<T: std::fmt::Debug>(answer: Result<T, Fault>) -> (Class, String) {
    let fault = answer.unwrap_err();
    (fault.class, fault.code)
}

#[tokio::test]
async fn a_domain_is_known_by_ids_and_refuses_in_its_own_codes() {
    let domain = Domain::start(&[]).await;
    let (on, one, two) = (domain.connector(), person(1), person(2));
    domain.add_account(&one).await;
    domain.add_account(&two).await;
    let role = domain.add_group("crew").await;
    assert_eq!(ensure(&on, &one, &role, Wanted::Granted).await, Ok(Done::Applied));

    // Whoever and whatever is renamed or moved stays who and what it is.
    domain.rename(&format!("cn=crew,ou=groups,{SUFFIX}"), "cn=deck crew");
    domain.rename(&Domain::name(&one), "cn=Somebody Else");
    assert_eq!(seen(&on, &one, &role).await, Presence::Present);
    assert_eq!(on.find(&role.resource).await.unwrap().unwrap().display_name, "deck crew");
    let by_name = on.find(&format!("CN=Deck Crew,ou=groups,{SUFFIX}")).await.unwrap().unwrap();
    assert_eq!(by_name.origin_id, role.resource);
    assert_eq!(ensure(&on, &one, &role, Wanted::Revoked).await, Ok(Done::Applied));
    assert_eq!(domain.attribute(&Domain::by_id(&role), "member"), Vec::<String>::new());

    // 68 and 53 mean that it is so already; 50 that we may not; 32 that the entry is gone, which is
    // found out although it was remembered.
    assert_eq!(ensure(&on, &two, &role, Wanted::Revoked).await, Ok(Done::AlreadyInState));
    domain.put_in(&two, &role).await;
    assert_eq!(ensure(&on, &two, &role, Wanted::Granted).await, Ok(Done::AlreadyInState));
    let sealed = domain.role(&format!("cn=sealed,ou=groups,{SUFFIX}"));
    let answer = ensure(&on, &two, &sealed, Wanted::Granted).await;
    assert_eq!(said(answer), (Class::Permanent, "ldap-50".into()));
    domain.run("ldapdelete", &[&Domain::name(&two)], "");
    for _remembered_then_not in 0..2 {
        let answer = ensure(&on, &two, &role, Wanted::Granted).await;
        assert_eq!(said(answer), (Class::Permanent, "account-missing".into()));
    }
    assert_eq!(ensure(&on, &two, &role, Wanted::Revoked).await, Ok(Done::AlreadyInState));

    // A group outside `groupsBase` is not changed, whatever the id.
    for outside in ["cn=domain admins,cn=users", "cn=administrators,cn=builtin"] {
        let role = domain.role(&format!("{outside},{SUFFIX}"));
        let answer = ensure(&on, &one, &role, Wanted::Granted).await;
        assert_eq!(said(answer), (Class::Permanent, "outside-groups-base".into()), "{outside}");
        assert_eq!(on.find(&role.resource).await.unwrap(), None);
    }

    // What is no group is not taken for a group that is gone.
    let people = domain.role(&format!("ou=people,{SUFFIX}"));
    for wanted in [Wanted::Granted, Wanted::Revoked] {
        let answer = ensure(&on, &one, &people, wanted).await;
        assert_eq!(said(answer), (Class::Permanent, "outside-groups-base".into()));
    }

    // From the top of the domain, every search points to its neighbours; that is no part of it.
    let top = domain.with(json!({ "peopleBase": SUFFIX, "groupsBase": SUFFIX }));
    assert_eq!(ensure(&top, &one, &role, Wanted::Granted).await, Ok(Done::Applied));
    assert_eq!(top.discover(Some("deck"), 10).await.unwrap().len(), 1);
    assert!(top.check().await.is_ok());
}

#[tokio::test]
async fn groups_within_groups_count_where_they_should_and_many_are_seen_at_once() {
    let domain = Domain::start(&[]).await;
    let (outer, inner) = (domain.add_group("outer").await, domain.add_group("inner").await);
    domain.modify(
        &Domain::by_id(&outer),
        &format!("add: member\nmember: cn=inner,ou=groups,{SUFFIX}"),
    );
    let people: Vec<Person> = (1..=8).map(person).collect();
    for one in &people {
        domain.add_account(one).await;
    }
    let (direct, within) = (&people[0], &people[1]);
    domain.put_in(direct, &outer).await;
    domain.put_in(within, &inner).await;
    let (plain, nested) = (domain.connector(), domain.with(json!({ "nestedGroups": true })));

    assert_eq!(seen(&plain, within, &outer).await, Presence::Absent);
    assert_eq!(seen(&nested, within, &outer).await, Presence::Present);
    assert_eq!(seen(&nested, direct, &outer).await, Presence::Present);
    assert_eq!(seen(&nested, &people[2], &outer).await, Presence::Absent);
    // What is given and taken is the person's own membership.
    assert_eq!(ensure(&nested, within, &outer, Wanted::Granted).await, Ok(Done::Applied));
    assert_eq!(ensure(&nested, within, &outer, Wanted::Revoked).await, Ok(Done::Applied));
    assert_eq!(seen(&nested, within, &outer).await, Presence::Present);

    // The list names members by their ids, so only who is not in it is asked for.
    let compared = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&compared);
    domain.proxy.rule(move |asked| {
        counted.fetch_add(usize::from(operation(asked) == Some(0x6e)), Ordering::SeqCst);
        Way::Pass
    });
    let asked: Vec<_> = people.iter().map(|one| (one.clone(), outer.clone())).collect();
    let many = domain.wrong(Wrong::Line).unwrap().observe(&asked).await;
    assert_eq!(compared.load(Ordering::SeqCst), 7);
    let present: Vec<bool> = many.iter().map(|one| *one == Ok(Presence::Present)).collect();
    assert_eq!(present, [true, false, false, false, false, false, false, false]);
    assert!(many.iter().all(Result::is_ok), "{many:?}");
}

#[tokio::test]
async fn a_hardened_domain_lets_in_over_tls_only() {
    let domain = Domain::start(&[("STRONG", "yes")]).await;
    let authority = std::fs::read_to_string(domain.server.directory.path().join("ca.pem")).unwrap();
    let (port, ca) = (domain.server.port, json!(authority));
    assert_eq!(said(domain.connector().check().await), (Class::Target, "ldap-8".into()));
    let ways = [
        json!({ "startTls": true, "caCertificate": ca, "url": format!("ldap://localhost:{port}") }),
        json!({ "startTls": null, "caCertificate": ca, "url": format!("ldaps://localhost:{}", port + 1) }),
    ];
    for way in ways {
        assert!(domain.with(way.clone()).check().await.is_ok(), "{way}");
    }
}
