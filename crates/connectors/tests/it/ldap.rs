//! LDAP: OpenLDAP with three kinds of groups, over StartTLS, TLS and plain connections. Its truth is
//! read and written by OpenLDAP's own commands.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use accede_connectors::egress::Policy;
use accede_connectors::{Connector, Done, Item, Order, Person, Presence, Role, Wanted, kinds};
use accede_domain::fault::{Class, Fault};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::connect;
use crate::contract::{self, Bench, Wrong, person};
use crate::proxy::{LineProxy, Way};
use crate::real::{Server, free_port};

const SUFFIX: &str = "dc=example,dc=org";
const NOBODY: &str = "cn=nobody,dc=example,dc=org";

struct Target {
    server: Server,
    proxy: LineProxy,
    kind: &'static str,
    connector: Arc<dyn Connector>,
}

fn settings(port: u16, kind: &str, more: Value) -> Value {
    let settings = json!({
        "url": format!("ldap://127.0.0.1:{port}"),
        "startTls": false,
        "bindDn": format!("cn=joiner,{SUFFIX}"),
        "peopleBase": format!("ou=people,{SUFFIX}"),
        "groupsBase": format!("ou=groups,{SUFFIX}"),
        "groupKind": kind,
    });
    connect::with(settings, more)
}

fn open(settings: Value, password: &str) -> Arc<dyn Connector> {
    connect::open("ldap", settings, ("bindPassword", password))
}

impl Target {
    async fn start(kind: &'static str, environment: &[(&str, &str)]) -> Target {
        let server = Server::start("slapd", &[], environment);
        Target {
            proxy: LineProxy::before(server.port).await,
            connector: open(settings(server.port, kind, json!({})), "secret"),
            kind,
            server,
        }
    }

    fn with(&self, more: Value) -> Arc<dyn Connector> {
        open(settings(self.server.port, self.kind, more), "secret")
    }

    fn authority(&self) -> String {
        std::fs::read_to_string(self.server.directory.path().join("ca.pem")).unwrap()
    }

    /// Runs a command of OpenLDAP as its administrator.
    fn run(&self, command: &str, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(command)
            .args(["-x", "-H", &format!("ldap://127.0.0.1:{}", self.server.port)])
            .args(["-D", &format!("cn=admin,{SUFFIX}"), "-w", "secret"])
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

    fn attribute(&self) -> &'static str {
        match self.kind {
            "groupOfNames" => "member",
            "groupOfUniqueNames" => "uniqueMember",
            _ => "memberUid",
        }
    }

    fn uid(person: &Person) -> String {
        person.user_principal_name.split('@').next().unwrap().to_owned()
    }

    fn member(&self, person: &Person) -> String {
        match self.kind {
            "posixGroup" => Self::uid(person),
            _ => format!("uid={},ou=people,{SUFFIX}", Self::uid(person)),
        }
    }

    fn members(&self, role: &Role) -> Vec<String> {
        let attribute = self.attribute();
        let arguments =
            ["-LLL", "-o", "ldif-wrap=no", "-b", &role.resource, "-s", "base", attribute];
        let prefix = format!("{attribute}: ");
        self.run("ldapsearch", &arguments, "")
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .filter(|member| *member != NOBODY)
            .map(str::to_owned)
            .collect()
    }

    fn add_empty_group(&self, name: &str, first: &str) -> Role {
        let dn = format!("cn={name},ou=groups,{SUFFIX}");
        let rest = match self.kind {
            "posixGroup" => "gidNumber: 5000".to_owned(),
            _ => format!("{}: {first}", self.attribute()),
        };
        let entry = format!("dn: {dn}\nobjectClass: {}\ncn: {name}\n{rest}\n", self.kind);
        self.run("ldapadd", &[], &entry);
        Role { role: format!("Member_{dn}"), scope: dn.clone(), resource: dn }
    }
}

#[async_trait]
impl Bench for Target {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::clone(&self.connector)
    }

    fn wrong(&self, what: Wrong) -> Option<Arc<dyn Connector>> {
        let plain = |port: u16| settings(port, self.kind, json!({}));
        Some(match what {
            Wrong::Credentials => open(plain(self.server.port), "not-the-password"),
            Wrong::Place => self.with(json!({ "peopleBase": "ou=people,dc=nowhere,dc=org" })),
            Wrong::Unreachable => open(plain(free_port()), "secret"),
            Wrong::Line => open(plain(self.proxy.port), "secret"),
        })
    }

    async fn add_account(&self, person: &Person) {
        let (uid, mail) = (Self::uid(person), person.mail.as_ref().unwrap());
        let entry = format!(
            "dn: uid={uid},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {}\n\
             sn: Person\nmail: {mail}\n",
            person.display_name
        );
        self.run("ldapadd", &[], &entry);
    }

    async fn add_group(&self, name: &str) -> Role {
        self.add_empty_group(name, NOBODY)
    }

    async fn remove_group(&self, role: &Role) {
        self.run("ldapdelete", &[&role.resource], "");
    }

    async fn put_in(&self, person: &Person, role: &Role) {
        let (attribute, member) = (self.attribute(), self.member(person));
        let change = format!(
            "dn: {}\nchangetype: modify\nadd: {attribute}\n{attribute}: {member}\n",
            role.resource
        );
        self.run("ldapmodify", &[], &change);
    }

    async fn truth(&self, role: &Role, people: &[Person]) -> (Vec<bool>, usize) {
        let members = self.members(role);
        let holds: Vec<bool> =
            people.iter().map(|person| members.contains(&self.member(person))).collect();
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

/// The operation of a request: a sequence, its length, the message's id, then a tag (RFC 4511 4.1.1).
pub fn operation(message: &[u8]) -> Option<u8> {
    let &[0x30, length] = message.get(..2)? else { return None };
    let skip = if length < 0x80 { 2 } else { 2 + usize::from(length & 0x7f) };
    let &[0x02, id_length] = message.get(skip..skip + 2)? else { return None };
    message.get(skip + 2 + usize::from(id_length)).copied()
}

/// Whether this is a modify request.
pub fn is_change(message: &[u8]) -> bool {
    operation(message) == Some(0x66)
}

#[tokio::test]
async fn openldap_with_group_of_names_keeps_the_contract() {
    contract::holds(&Target::start("groupOfNames", &[]).await).await;
}

#[tokio::test]
async fn openldap_with_group_of_unique_names_keeps_the_contract() {
    contract::holds(&Target::start("groupOfUniqueNames", &[]).await).await;
}

#[tokio::test]
async fn openldap_with_posix_groups_keeps_the_contract() {
    contract::holds(&Target::start("posixGroup", &[]).await).await;
}

#[tokio::test]
async fn openldap_that_answers_few_at_a_time_keeps_the_contract() {
    contract::holds(&Target::start("groupOfNames", &[("SIZE_LIMIT", "5")]).await).await;
}

async fn ensure(on: &Arc<dyn Connector>, one: &Person, role: &Role, wanted: Wanted) -> Answer {
    let item = Item { person: one.clone(), role: role.clone(), wanted, order: Order::default() };
    on.ensure(&[item]).await.remove(0)
}

type Answer = Result<Done, Fault>;

fn said(answer: Answer) -> (Class, String) {
    let fault = answer.unwrap_err();
    (fault.class, fault.code)
}

#[tokio::test]
async fn the_last_member_stays_unless_there_is_a_placeholder() {
    let target = Target::start("groupOfNames", &[]).await;
    for number in 1..=2 {
        target.add_account(&person(number)).await;
    }
    let role = target.add_empty_group("small", &target.member(&person(1)));
    target.put_in(&person(2), &role).await;

    let items = [1, 2].map(|n| Item {
        person: person(n),
        role: role.clone(),
        wanted: Wanted::Revoked,
        order: Order::default(),
    });
    let answers = target.connector().ensure(&items).await;
    assert_eq!(answers[0], Ok(Done::Applied));
    assert_eq!(said(answers[1].clone()), (Class::Permanent, "last-member".into()));
    assert_eq!(target.truth(&role, &[person(1), person(2)]).await, (vec![false, true], 0));

    let on = target.with(json!({ "placeholderMember": NOBODY }));
    assert_eq!(ensure(&on, &person(2), &role, Wanted::Revoked).await, Ok(Done::Applied));
    assert_eq!(target.truth(&role, &[person(1), person(2)]).await, (vec![false, false], 0));

    // The placeholder stays, and is nobody's access.
    assert_eq!(ensure(&on, &person(1), &role, Wanted::Granted).await, Ok(Done::Applied));
    assert_eq!(ensure(&on, &person(1), &role, Wanted::Revoked).await, Ok(Done::Applied));
    assert!(target.members(&role).is_empty());
}

#[tokio::test]
async fn a_group_that_may_only_be_read_is_refused_and_the_target_is_not_blamed() {
    let target = Target::start("groupOfNames", &[]).await;
    target.add_account(&person(1)).await;
    let dn = format!("cn=sealed,ou=groups,{SUFFIX}");
    let role = Role { role: format!("Member_{dn}"), scope: dn.clone(), resource: dn };
    let answer = ensure(&target.connector(), &person(1), &role, Wanted::Granted).await;
    assert_eq!(said(answer), (Class::Permanent, "ldap-50".into()));
}

#[tokio::test]
async fn no_group_outside_the_groups_base_is_changed() {
    let target = Target::start("groupOfNames", &[]).await;
    target.add_account(&person(1)).await;
    for dn in ["cn=x,ou=people,dc=example,dc=org", "ou=othergroups,dc=example,dc=org", "crew"] {
        let role = Role { role: format!("Member_{dn}"), scope: dn.into(), resource: dn.into() };
        let answer = ensure(&target.connector(), &person(1), &role, Wanted::Granted).await;
        assert_eq!(said(answer), (Class::Permanent, "outside-groups-base".into()), "{dn}");
        assert_eq!(target.connector().find(dn).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_entry_that_is_somebody_elses_by_its_mail_is_not_taken() {
    let target = Target::start("groupOfNames", &[]).await;
    let role = target.add_group("crew").await;
    target.add_account(&person(1)).await;
    let namesake = Person {
        user_principal_name: "p1@otherline.example".into(),
        mail: Some("p1@otherline.example".into()),
        ..person(2)
    };
    let answer = ensure(&target.connector(), &namesake, &role, Wanted::Granted).await;
    assert_eq!(said(answer), (Class::Permanent, "account-mismatch".into()));
    assert_eq!(target.truth(&role, &[person(1)]).await, (vec![false], 0));

    let by_mail = target.with(json!({ "personFilterAttribute": "mail" }));
    let answer = ensure(&by_mail, &namesake, &role, Wanted::Granted).await;
    assert_eq!(said(answer), (Class::Permanent, "account-missing".into()));
    assert_eq!(ensure(&by_mail, &person(1), &role, Wanted::Granted).await, Ok(Done::Applied));
}

#[tokio::test]
async fn a_login_name_does_not_outlive_its_owner_in_a_posix_group() {
    let target = Target::start("posixGroup", &[]).await;
    let (one, role) = (person(1), target.add_group("ops").await);
    target.add_account(&one).await;
    target.put_in(&one, &role).await;
    target.run("ldapdelete", &[&format!("uid=p1,ou=people,{SUFFIX}")], "");

    let seen = target.connector().observe(&[(one.clone(), role.clone())]).await.remove(0);
    assert_eq!(seen, Ok(Presence::Present));
    let answer = ensure(&target.connector(), &one, &role, Wanted::Revoked).await;
    assert_eq!(answer, Ok(Done::Applied));
    assert!(target.members(&role).is_empty());
}

#[tokio::test]
async fn one_group_has_one_id_however_it_is_asked_for() {
    let target = Target::start("groupOfNames", &[]).await;
    let role = target.add_group("Harbour Pilots").await;
    let asked = "CN=harbour  pilots , OU=GROUPS,dc=Example,dc=org";
    let found = target.connector().find(asked).await.unwrap().unwrap();
    assert_eq!(found.origin_id, role.resource);
}

#[tokio::test]
async fn encrypted_connections_are_made_only_to_who_proves_to_be_the_host() {
    let target = Target::start("groupOfNames", &[]).await;
    let (port, ca) = (target.server.port, target.authority());
    let tls = port + 1;
    let on = |url: String, more: Value| {
        let mut all = json!({ "url": url });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut settings = settings(port, "groupOfNames", all);
        settings.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        open(settings, "secret")
    };
    let start_tls = |ca: &str| json!({ "startTls": true, "caCertificate": ca });
    let from_start = |ca: &str| json!({ "startTls": null, "caCertificate": ca });

    for trusted in [
        on(format!("ldap://localhost:{port}"), start_tls(&ca)),
        on(format!("ldap://127.0.0.1:{port}"), start_tls(&ca)),
        on(format!("ldaps://localhost:{tls}"), from_start(&ca)),
        on(format!("ldaps://127.0.0.1:{tls}"), from_start(&ca)),
    ] {
        let health = trusted.check().await.unwrap();
        assert!(health.summary.contains("TLS"), "{}", health.summary);
    }
    for distrusted in [
        // Not in the certificate.
        on(format!("ldap://127.0.0.2:{port}"), start_tls(&ca)),
        // Not from an authority of this machine.
        on(format!("ldaps://localhost:{tls}"), json!({ "startTls": null })),
        on(format!("ldap://localhost:{port}"), json!({ "startTls": true })),
    ] {
        let fault = distrusted.check().await.unwrap_err();
        let expected = matches!(fault.code.as_str(), "tls" | "unreachable");
        assert!(expected, "{fault:?}");
        if fault.code == "unreachable" {
            // 127.0.0.2 has no listener; then nothing was trusted either.
            continue;
        }
        assert_eq!(fault.class, Class::Target);
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_opened_anew() {
    let mut target = Target::start("groupOfNames", &[]).await;
    let (one, role) = (person(1), target.add_group("crew").await);
    target.add_account(&one).await;
    let on = open(settings(target.proxy.port, "groupOfNames", json!({})), "secret");
    assert!(on.check().await.is_ok());
    // The proxy drops the connection together with the answer.
    assert!(on.observe(&[(one.clone(), role.clone())]).await[0].is_ok());
    target.lose_answers(true);
    assert_eq!(said(ensure(&on, &one, &role, Wanted::Granted).await).0, Class::Unknown);
    target.lose_answers(false);

    assert_eq!(ensure(&on, &one, &role, Wanted::Granted).await, Ok(Done::AlreadyInState));
    target.connector = on;
    assert_eq!(target.truth(&role, &[one]).await, (vec![true], 0));
}

#[test]
fn settings_are_refused_with_the_field_and_the_remedy() {
    let validate = |more: Value, password: &str| {
        let mut settings = settings(
            389,
            "groupOfNames",
            json!({ "url": "ldaps://ldap.example", "startTls": null }),
        );
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let settings = connect::settings(settings, ("bindPassword", password));
        kinds::validate("ldap", &settings, &Policy::default()).map_err(|p| p.to_string())
    };
    let refused = |more: Value| validate(more, "p").unwrap_err();

    assert_eq!(validate(json!({}), "p"), Ok(()));
    assert_eq!(validate(json!({ "url": "ldap://ldap.example:1389" }), "p"), Ok(()));
    assert!(validate(json!({}), "").unwrap_err().starts_with("`secrets.bindPassword` is missing"));
    assert!(refused(json!({ "url": null })).starts_with("`settings.url` is missing"));
    assert!(refused(json!({ "url": "http://ldap.example" })).contains("`ldaps://`"));
    assert!(
        refused(json!({ "url": "ldaps://ldap.example/dc=org" })).contains("host and port only")
    );
    assert!(
        refused(json!({ "url": "ldap://ldap.example", "startTls": false }))
            .contains("`allowPlain`")
    );
    assert!(refused(json!({ "allowPlain": "x" })).contains("`settings.allowPlain` must be"));
    assert!(
        refused(json!({ "url": "ldap://127.0.0.1", "startTls": false })).contains("egress.allow")
    );
    assert!(refused(json!({ "url": "ldaps://169.254.1.1" })).contains("link-local"));
    assert!(refused(json!({ "url": "ldaps://[fd00::1]" })).contains("host's name"));
    assert!(refused(json!({ "startTls": true })).contains("remove it"));
    assert!(refused(json!({ "groupsBase": "groups" })).contains("not a distinguished name"));
    assert!(refused(json!({ "groupKind": "groupOfMembers" })).contains("must be one of"));
    assert!(refused(json!({ "groupKind": null })).contains("is missing; give one of"));
    assert!(
        refused(json!({ "groupKind": "posixGroup", "placeholderMember": NOBODY }))
            .contains("remove it")
    );
    assert!(refused(json!({ "nestedGroups": true })).contains("`group` only"));
    assert_eq!(validate(json!({ "groupKind": "group", "nestedGroups": true }), "p"), Ok(()));
    assert!(refused(json!({ "personFilterAttribute": "uid)(x" })).contains("name of an attribute"));
    assert!(refused(json!({ "bindDN": "cn=x" })).contains("did you mean `bindDn`"));
}
