//! PostgreSQL: its own cluster, over TLS and plain connections, with a proxy for what it will not do by
//! itself. Its truth is read and written by psql as its superuser.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accede_connectors::egress::Policy;
use accede_connectors::{Connector, Done, Item, Order, Person, Presence, Role, Wanted, kinds};
use accede_domain::fault::{Class, Fault};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::connect;
use crate::contract::{self, Bench, Wrong, person};
use crate::proxy::{LineProxy, Way};
use crate::real::{Server, free_port};

struct Target {
    server: Server,
    proxy: LineProxy,
    connector: Arc<dyn Connector>,
}

fn settings(port: u16, more: Value) -> Value {
    let settings =
        json!({ "host": "127.0.0.1", "port": port, "user": "joiner", "sslMode": "disable" });
    connect::with(settings, more)
}

fn open(settings: Value, password: &str) -> Arc<dyn Connector> {
    connect::open("postgres", settings, ("password", password))
}

/// A name or text as SQL, by PostgreSQL's own rules of quoting.
fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn server() -> Server {
    Server::start("postgres", &[], &[]).once_it_says("ready to accept connections").ends_by("QUIT")
}

impl Target {
    async fn start() -> Target {
        let server = server();
        let authority = std::fs::read_to_string(server.directory.path().join("ca.pem")).unwrap();
        let tls = json!({ "sslMode": "verify-full", "caCertificate": authority });
        Target {
            proxy: LineProxy::before(server.port).await,
            connector: open(settings(server.port, tls), "secret"),
            server,
        }
    }

    fn with(&self, more: Value) -> Arc<dyn Connector> {
        open(settings(self.server.port, more), "secret")
    }

    /// Runs SQL as the superuser; each row is a line.
    fn run(&self, sql: &str) -> Vec<String> {
        let output = self.psql(sql).output().expect("psql is missing; run scripts/install");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{sql}: {said}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn psql(&self, sql: &str) -> Command {
        let mut psql = Command::new("psql");
        let url = format!("postgres://postgres:secret@127.0.0.1:{}/postgres", self.server.port);
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", sql]);
        psql
    }

    /// The resource role of a role of the cluster.
    fn role(&self, called: &str) -> Role {
        let id = "select system_identifier || '/' || oid from pg_control_system(), pg_roles";
        let id = self.run(&format!("{id} where rolname = {}", text(called))).remove(0);
        Role { role: format!("Member_{id}"), scope: id.clone(), resource: id }
    }

    fn add_login(&self, called: &str) {
        self.run(&format!("create role {} login", name(called)));
    }

    fn members(&self, role: &Role) -> Vec<String> {
        let oid = role.resource.split('/').nth(1).unwrap();
        let sql = "select rolname from pg_auth_members join pg_roles r on r.oid = member";
        self.run(&format!("{sql} where roleid = {oid} and rolname <> 'joiner' order by 1"))
    }
}

#[async_trait]
impl Bench for Target {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::clone(&self.connector)
    }

    fn wrong(&self, what: Wrong) -> Option<Arc<dyn Connector>> {
        Some(match what {
            Wrong::Credentials => open(settings(self.server.port, json!({})), "not-the-password"),
            Wrong::Place => self.with(json!({ "database": "nowhere" })),
            Wrong::Unreachable => open(settings(free_port(), json!({})), "secret"),
            Wrong::Line => open(settings(self.proxy.port, json!({})), "secret"),
        })
    }

    async fn add_account(&self, person: &Person) {
        self.add_login(&person.user_principal_name);
    }

    async fn add_group(&self, called: &str) -> Role {
        let role = name(called);
        self.run(&format!("create role {role}; grant {role} to joiner with admin option"));
        self.role(called)
    }

    async fn remove_group(&self, role: &Role) {
        let oid = role.resource.split('/').nth(1).unwrap();
        self.run(&format!(
            "do $$ begin execute format('drop role %I', (select rolname from pg_roles where oid = {oid})); end $$"
        ));
    }

    async fn put_in(&self, person: &Person, role: &Role) {
        let oid = role.resource.split('/').nth(1).unwrap();
        let login = text(&person.user_principal_name);
        self.run(&format!(
            "do $$ begin execute format('grant %I to %I', \
             (select rolname from pg_roles where oid = {oid}), {login}); end $$"
        ));
    }

    async fn truth(&self, role: &Role, people: &[Person]) -> (Vec<bool>, usize) {
        let members = self.members(role);
        let holds: Vec<bool> =
            people.iter().map(|person| members.contains(&person.user_principal_name)).collect();
        let ours = holds.iter().filter(|held| **held).count();
        (holds, members.len() - ours)
    }

    fn lose_answers(&self, lose: bool) {
        self.proxy.rule(move |asked| match lose && command(asked) == Some("commit") {
            true => Way::LoseAnswer,
            false => Way::Pass,
        });
    }
}

/// The text of a simple query: `Q`, four bytes of length, the text, a zero.
fn command(message: &[u8]) -> Option<&str> {
    let text = message.strip_prefix(b"Q")?.get(4..)?.strip_suffix(b"\0")?;
    std::str::from_utf8(text).ok()
}

fn as_message(command: &str) -> Vec<u8> {
    let length = u32::try_from(command.len() + 5).unwrap();
    [b"Q", &length.to_be_bytes()[..], command.as_bytes(), b"\0"].concat()
}

async fn ensure(
    on: &Arc<dyn Connector>,
    people: &[Person],
    role: &Role,
    wanted: Wanted,
) -> Answers {
    let item = |p: &Person| Item {
        person: p.clone(),
        role: role.clone(),
        wanted,
        order: Order::default(),
    };
    on.ensure(&people.iter().map(item).collect::<Vec<_>>()).await
}

type Answers = Vec<Result<Done, Fault>>;

async fn grant(on: &Arc<dyn Connector>, one: &Person, role: &Role) -> Result<Done, Fault> {
    ensure(on, std::slice::from_ref(one), role, Wanted::Granted).await.remove(0)
}

async fn revoke(on: &Arc<dyn Connector>, one: &Person, role: &Role) -> Result<Done, Fault> {
    ensure(on, std::slice::from_ref(one), role, Wanted::Revoked).await.remove(0)
}

fn said<T: std::fmt::Debug>(answer: Result<T, Fault>) -> (Class, String) {
    let fault = answer.unwrap_err();
    (fault.class, fault.code)
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    contract::holds(&Target::start().await).await;
}

#[tokio::test]
async fn roles_that_lead_to_power_are_not_given_and_can_be_taken_away() {
    let target = Target::start().await;
    let (on, one) = (target.connector(), person(1));
    target.add_account(&one).await;
    target.run(
        "create role boss superuser; create role deputy; grant boss to deputy; \
         create role keeper createrole; create role maker createdb; create role copier replication; \
         create role seer bypassrls; create role shell; grant pg_execute_server_program to shell; \
         create role robot login; create role reader; grant pg_read_all_data to reader; \
         create role foreign_one; \
         do $$ declare r text; begin foreach r in array array['boss', 'deputy', 'keeper', 'maker', \
           'copier', 'seer', 'shell', 'robot', 'reader', 'pg_monitor'] loop \
           execute format('grant %I to joiner with admin option', r); end loop; end $$",
    );
    let dangerous =
        ["boss", "deputy", "keeper", "maker", "copier", "seer", "shell", "robot", "pg_monitor"];
    for called in dangerous {
        let role = target.role(called);
        assert_eq!(said(on.find(&role.resource).await), (Class::Permanent, "role-refused".into()));
        let answer = grant(&on, &one, &role).await;
        assert_eq!(said(answer), (Class::Permanent, "role-refused".into()), "{called}");
        assert!(!target.members(&role).contains(&one.user_principal_name), "{called}");
    }
    // Who holds such a role all the same can lose it.
    let deputy = target.role("deputy");
    target.put_in(&one, &deputy).await;
    assert_eq!(revoke(&on, &one, &deputy).await, Ok(Done::Applied));
    assert_eq!(target.members(&deputy), Vec::<String>::new());

    // What is shown is what may be given, by us; the rest is not even offered.
    let shown = on.discover(None, 100).await.unwrap();
    let shown: Vec<_> = shown.iter().map(|found| found.display_name.as_str()).collect();
    assert_eq!(shown, ["reader"]);
    assert_eq!(on.discover(Some("BOSS"), 100).await.unwrap(), []);
    let boss = target.role("boss").resource;
    assert_eq!(on.discover(Some(&boss), 100).await.unwrap(), []);
    let foreign = target.role("foreign_one");
    let answer = grant(&on, &one, &foreign).await;
    assert_eq!(said(answer), (Class::Permanent, "sql-42501".into()));
    assert!(on.check().await.unwrap().summary.contains("may give 1 roles"));
}

#[tokio::test]
async fn a_role_is_given_to_the_login_of_the_person_and_to_nobody_else() {
    let target = Target::start().await;
    let on = target.connector();
    let role = target.add_group("weird \"Role\"; --").await;
    let called = |upn: &str, number| Person { user_principal_name: upn.into(), ..person(number) };

    // Names are names, whatever they contain, and whatever their case.
    let odd = called("O'Neil \"x\"@harbourline.example", 1);
    target.add_login("o'neil \"x\"@harbourline.example");
    assert_eq!(grant(&on, &odd, &role).await, Ok(Done::Applied));
    assert_eq!(target.members(&role), ["o'neil \"x\"@harbourline.example"]);
    assert_eq!(revoke(&on, &odd, &role).await, Ok(Done::Applied));
    target.add_login("Twice@harbourline.example");
    target.add_login("twice@harbourline.example");
    let twice = called("twice@harbourline.example", 2);
    assert_eq!(
        said(grant(&on, &twice, &role).await),
        (Class::Permanent, "account-ambiguous".into())
    );
    assert_eq!(
        said(revoke(&on, &twice, &role).await),
        (Class::Permanent, "account-ambiguous".into())
    );

    // By the name before the `@`, of one domain only.
    let local = target.with(json!({ "userName": "localPart", "domain": "Harbourline.example" }));
    target.run("create role mira login; create role sales; create role pat; create role ann login; grant sales to ann; create role rooted superuser login");
    let mira = called("mira@harbourline.example", 3);
    assert_eq!(grant(&local, &mira, &role).await, Ok(Done::Applied));
    let namesake = called("mira@otherline.example", 4);
    for wanted in [Wanted::Granted, Wanted::Revoked] {
        let answer = ensure(&local, std::slice::from_ref(&namesake), &role, wanted).await.remove(0);
        assert_eq!(said(answer), (Class::Permanent, "no-key".into()));
    }
    assert_eq!(target.members(&role), ["mira"]);

    // A group is nobody's login; one that may not log in, or administers, is given nothing.
    target.run("grant \"weird \"\"Role\"\"; --\" to sales, pat");
    let (sales, pat) =
        (called("sales@harbourline.example", 5), called("pat@harbourline.example", 6));
    assert_eq!(
        said(grant(&local, &sales, &role).await),
        (Class::Permanent, "account-missing".into())
    );
    assert_eq!(revoke(&local, &sales, &role).await, Ok(Done::AlreadyInState));
    let seen = local.observe(&[(sales, role.clone())]).await.remove(0);
    assert_eq!(seen, Ok(Presence::Absent));
    assert_eq!(
        said(grant(&local, &pat, &role).await),
        (Class::Permanent, "account-refused".into())
    );
    assert_eq!(revoke(&local, &pat, &role).await, Ok(Done::Applied));
    for login in ["rooted", "joiner"] {
        let answer =
            grant(&local, &called(&format!("{login}@harbourline.example"), 7), &role).await;
        assert_eq!(said(answer), (Class::Permanent, "account-refused".into()), "{login}");
    }
    assert_eq!(target.members(&role), ["mira", "sales"]);
}

#[tokio::test]
async fn a_role_is_the_same_under_a_new_name_and_another_one_under_an_old_name() {
    let target = Target::start().await;
    let (on, one) = (target.connector(), person(1));
    target.add_account(&one).await;
    let role = target.add_group("crew").await;
    assert_eq!(grant(&on, &one, &role).await, Ok(Done::Applied));
    target.run("alter role crew rename to \"Crew 2\"");
    assert_eq!(on.find(&role.resource).await.unwrap().unwrap().display_name, "Crew 2");
    assert_eq!(revoke(&on, &one, &role).await, Ok(Done::Applied));

    target.run("drop role \"Crew 2\"");
    let namesake = target.add_group("Crew 2").await;
    assert_eq!(said(grant(&on, &one, &role).await), (Class::Permanent, "resource-gone".into()));
    assert_eq!(target.members(&namesake), Vec::<String>::new());

    // The same oid in another cluster is another role, unless the cluster is one made by pg_upgrade.
    let (_, oid) = namesake.resource.split_once('/').unwrap();
    let former = format!("7000000000000000001/{oid}");
    let before = Role { role: format!("Member_{former}"), scope: former.clone(), resource: former };
    assert_eq!(said(grant(&on, &one, &before).await), (Class::Target, "other-cluster".into()));
    let upgraded = target.with(json!({ "formerClusters": ["7000000000000000001"] }));
    assert_eq!(grant(&upgraded, &one, &before).await, Ok(Done::Applied));
    assert_eq!(target.members(&namesake), [one.user_principal_name.as_str()]);

    for id in ["crew", "1/2/3", "x/16384", "7000000000000000001/pg_monitor"] {
        let role = Role { role: format!("Member_{id}"), scope: id.into(), resource: id.into() };
        assert_eq!(said(grant(&on, &one, &role).await), (Class::Permanent, "malformed-id".into()));
        assert_eq!(on.find(id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn another_cluster_is_never_taken_for_this_one() {
    let (target, other) = (Target::start().await, Target::start().await);
    let one = person(1);
    target.add_account(&one).await;
    other.add_account(&one).await;
    let (role, theirs) = (target.add_group("crew").await, other.add_group("crew").await);
    // The very same oid, and the same login.
    assert_eq!(role.resource.split('/').nth(1), theirs.resource.split('/').nth(1));
    target.put_in(&one, &role).await;
    other.put_in(&one, &theirs).await;

    let on = other.connector();
    let stranger = (Class::Target, "other-cluster".to_owned());
    assert_eq!(said(revoke(&on, &one, &role).await), stranger);
    assert_eq!(said(grant(&on, &one, &role).await), stranger);
    assert_eq!(said(on.observe(&[(one.clone(), role.clone())]).await.remove(0)), stranger);
    assert_eq!(said(on.find(&role.resource).await), stranger);
    assert_eq!(other.truth(&theirs, &[one]).await, (vec![true], 0));
}

#[tokio::test]
async fn each_code_that_the_server_raises_is_what_the_table_says() {
    let target = Target::start().await;
    let on = target.wrong(Wrong::Line).unwrap();
    let (people, role) = ([person(1), person(2)], target.add_group("codes").await);
    for one in &people {
        target.add_account(one).await;
    }
    let table = [
        ("40001", Class::Transient),
        ("40P01", Class::Transient),
        ("55P03", Class::Transient),
        ("57014", Class::Transient),
        ("08006", Class::Transient),
        ("XX000", Class::Transient),
        ("53100", Class::Target),
        ("53300", Class::Target),
        ("57P01", Class::Target),
        ("57P02", Class::Target),
        ("57P03", Class::Target),
        ("28000", Class::Target),
        ("28P01", Class::Target),
        ("3D000", Class::Target),
        ("25006", Class::Target),
        ("42704", Class::Permanent),
        ("42501", Class::Permanent),
        ("42601", Class::Permanent),
        ("0LP01", Class::Permanent),
        ("2BP01", Class::Permanent),
        ("0A000", Class::Unsupported),
        ("40003", Class::Unknown),
    ];
    // The server raises it where the command would have stood, and where the commit would have.
    for (place, wanted) in
        [("grant", Wanted::Granted), ("revoke", Wanted::Revoked), ("commit", Wanted::Granted)]
    {
        if wanted == Wanted::Revoked {
            target.put_in(&people[0], &role).await;
        }
        for (state, class) in table {
            target.proxy.rule(move |asked| match command(asked) {
                Some(command) if command.starts_with(place) => Way::Instead(as_message(&format!(
                    "do $$ begin raise exception 'some words' using errcode = '{state}'; end $$"
                ))),
                _ => Way::Pass,
            });
            let answer = ensure(&on, &people[..1], &role, wanted).await.remove(0);
            let fault = answer.unwrap_err();
            assert_eq!((fault.class, fault.code), (class, format!("sql-{state}")), "{place}");
            assert!(fault.message.contains("some words"), "{}", fault.message);
        }
        let there = wanted == Wanted::Revoked;
        assert_eq!(target.truth(&role, &people[..1]).await, (vec![there], 0), "{place}");
        if there {
            target.proxy.rule(|_| Way::Pass);
            assert_eq!(revoke(&on, &people[0], &role).await, Ok(Done::Applied));
        }
    }
    // 42710, already there: believed once it was seen.
    let grants = target.psql("grant codes to \"p1@harbourline.example\"");
    let grants = Mutex::new(grants);
    target.proxy.rule(move |asked| match command(asked) {
        Some(command) if command.starts_with("grant") => {
            assert!(grants.lock().unwrap().status().unwrap().success());
            let raise = "do $$ begin raise exception 'there' using errcode = '42710'; end $$";
            Way::Instead(as_message(raise))
        }
        _ => Way::Pass,
    });
    assert_eq!(grant(&on, &people[0], &role).await, Ok(Done::AlreadyInState));
}

#[tokio::test]
async fn what_really_goes_wrong_is_told_apart() {
    let target = Target::start().await;
    let on = target.with(json!({}));
    let (people, role) = ([person(1), person(2), person(3)], target.add_group("real").await);
    for one in &people {
        target.add_account(one).await;
    }
    // One of a batch belongs to the role's own members: a circle. The others are not held up.
    target.run("grant \"p2@harbourline.example\" to \"real\"");
    let answers = ensure(&on, &people, &role, Wanted::Granted).await;
    assert_eq!((&answers[0], &answers[2]), (&Ok(Done::Applied), &Ok(Done::Applied)));
    assert_eq!(said(answers[1].clone()), (Class::Permanent, "sql-0LP01".into()));
    target.run("revoke \"p2@harbourline.example\" from \"real\"");

    // Somebody holds the lock for longer than we wait.
    let mut holder =
        target.psql("begin; lock table pg_auth_members in exclusive mode; select pg_sleep(60)");
    let mut holder = holder.spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(said(grant(&on, &people[1], &role).await), (Class::Transient, "sql-55P03".into()));
    // An operator ends our session while it waits.
    let ended = tokio::spawn({
        let (on, one, role) = (Arc::clone(&on), people[1].clone(), role.clone());
        async move { grant(&on, &one, &role).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    target.run("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'joiner'");
    assert_eq!(said(ended.await.unwrap()), (Class::Target, "sql-57P01".into()));
    target.run(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'begin; lock%'",
    );
    holder.wait().unwrap();
    assert_eq!(target.truth(&role, &people).await, (vec![true, false, true], 0));

    // Not let in, for one reason after the other.
    let database = target.with(json!({ "database": "nowhere" }));
    assert_eq!(said(database.check().await), (Class::Target, "sql-3D000".into()));
    let mut doors = vec![
        ("alter role joiner set default_transaction_read_only = on", "sql-25006"),
        ("alter role joiner connection limit 0", "sql-53300"),
        ("alter role joiner nologin", "sql-28000"),
    ];
    for (change, code) in doors.drain(..) {
        target.run(change);
        assert_eq!(
            said(grant(&on, &people[1], &role).await),
            (Class::Target, code.into()),
            "{change}"
        );
        assert_eq!(
            said(revoke(&on, &people[0], &role).await),
            (Class::Target, code.into()),
            "{change}"
        );
    }
    assert_eq!(target.truth(&role, &people).await, (vec![true, false, true], 0));
}

#[tokio::test]
async fn sessions_are_encrypted_only_with_who_proves_to_be_the_host() {
    let target = Target::start().await;
    let check = async |more| target.with(more).check().await;
    let ca = std::fs::read_to_string(target.server.directory.path().join("ca.pem")).unwrap();
    let trusted = json!({ "sslMode": "verify-full", "caCertificate": ca, "host": "localhost" });
    let summary = check(trusted.clone()).await.unwrap().summary;
    assert!(summary.contains("by TLS") && summary.contains("PostgreSQL 1"), "{summary}");
    let unknown = check(json!({ "sslMode": "verify-full" })).await;
    assert_eq!(said(unknown), (Class::Target, "tls".into()));
    // The same server by a name that its certificate does not have.
    let misnamed = json!({ "sslMode": "verify-full", "caCertificate": ca, "host": "127.0.0.2" });
    let proxied = LineProxy::on("127.0.0.2", target.server.port).await;
    let mut misnamed_settings = misnamed.clone();
    misnamed_settings["port"] = json!(proxied.port);
    assert_eq!(said(check(misnamed_settings).await), (Class::Target, "tls".into()));

    // A server without TLS is not spoken to in the clear instead.
    target.run("alter system set ssl = off");
    target.run("select pg_reload_conf()");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(said(check(trusted).await), (Class::Target, "handshake".into()));
    let superuser = target.with(json!({ "user": "postgres" })).check().await.unwrap();
    assert!(superuser.summary.contains("without encryption"), "{}", superuser.summary);
    assert!(superuser.summary.contains("it is a superuser"), "{}", superuser.summary);
}

#[tokio::test]
async fn connections_go_only_where_the_policy_allows() {
    let settings =
        connect::settings(settings(5432, json!({ "host": "localhost" })), ("password", "secret"));
    let on = kinds::open("postgres", settings, Arc::new(Policy::default())).unwrap();
    assert_eq!(said(on.check().await), (Class::Target, "egress-denied".into()));
}

#[test]
fn settings_are_read_strictly() {
    let validate = |more: Value, password: &str| {
        let mut settings = json!({ "host": "db.example", "user": "accede" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let settings = connect::settings(settings, ("password", password));
        kinds::validate("postgres", &settings, &Policy::default()).map_err(|p| p.to_string())
    };
    let refused = |more: Value| validate(more, "p").unwrap_err();

    assert_eq!(validate(json!({}), "p"), Ok(()));
    assert!(validate(json!({}), "").unwrap_err().starts_with("`secrets.password` is missing"));
    assert!(refused(json!({ "host": null })).starts_with("`settings.host` is missing"));
    assert!(refused(json!({ "user": null })).starts_with("`settings.user` is missing"));
    for host in ["postgres://db.example", "db.example:5432", "me@db.example", "a,b"] {
        assert!(refused(json!({ "host": host })).contains("one host's name"), "{host}");
    }
    assert!(refused(json!({ "host": "169.254.169.254" })).contains("link-local"));
    assert!(refused(json!({ "host": "127.0.0.1" })).contains("egress.allow"));
    assert!(refused(json!({ "port": 70_000 })).contains("1 to 65535"));
    assert!(refused(json!({ "sslMode": "require" })).contains("`verify-full`"));
    assert!(refused(json!({ "sslMode": "disable" })).contains("`allowPlain`"));
    assert_eq!(validate(json!({ "sslMode": "disable", "allowPlain": true }), "p"), Ok(()));
    assert!(refused(json!({ "caCertificate": "x" })).contains("PEM"));
    assert!(
        refused(json!({ "userName": "localPart" })).starts_with("`settings.domain` is missing")
    );
    assert!(refused(json!({ "domain": "harbourline.example" })).contains("remove it"));
    let person = json!({ "userName": "localPart", "domain": "ann@harbourline.example" });
    assert!(refused(person).contains("`settings.domain` is one domain and no name in it"));
    let marked = json!({ "userName": "localPart", "domain": "@harbourline.example" });
    assert_eq!(validate(marked, "p"), Ok(()));
    assert!(refused(json!({ "allowPlain": "x" })).contains("`settings.allowPlain` must be"));
    assert!(refused(json!({ "formerClusters": ["prod"] })).contains("clusters' numbers"));
    assert!(refused(json!({ "passwort": "x" })).contains("is not known"));
}
