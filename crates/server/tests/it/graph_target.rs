//! Another Accede as a target, over Microsoft Graph: a served binary, whose truth is read and written over
//! its own API with another token.

use std::collections::BTreeMap;
use std::sync::Arc;

use accede_connectors::egress::Policy;
use accede_connectors::{
    Connector, Done, Item, Order, Person, Presence, Role, Settings, Wanted, kinds,
};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{Id, TargetId};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::contract::{self, Bench, Wrong, person};
use crate::process::{Serving, run, said, serve};
use crate::proxy::{Action, Proxy};
use crate::real::free_port;
use crate::real_targets::{assigned, ended, package_of};
use crate::world::{OURS, World, id};

struct Target {
    _data: tempfile::TempDir,
    serving: Serving,
    /// Of the administrator of the other side.
    token: String,
    client: (String, String),
    proxy: Proxy,
}

fn opened(settings: Value, secrets: &[(&str, &str)]) -> Arc<dyn Connector> {
    let secrets = secrets.iter().map(|(name, secret)| ((*name).into(), (*secret).into()));
    let settings = Settings {
        target: TargetId::from_uuid(Uuid::nil()),
        settings,
        secrets: BTreeMap::from_iter(secrets),
        clock: accede_connectors::Clock::default(),
    };
    let egress = Policy::parse(&["127.0.0.0/8"], &[]).unwrap();
    kinds::open("graph", settings, Arc::new(egress)).unwrap()
}

impl Target {
    async fn start() -> Target {
        let data = tempfile::tempdir().unwrap();
        let serving = serve(data.path(), &[]);
        let token = said(&run(data.path(), &["token", "--app", "truth"]), 0).trim().to_owned();
        said(&run(data.path(), &["token", "--app", "bot"]), 0);
        let secret = said(&run(data.path(), &["token", "--app", "bot", "--secret"]), 0);
        let of = |name: &str| {
            let line = secret.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        let port = serving.address.rsplit(':').next().unwrap().parse().unwrap();
        Target {
            proxy: Proxy::before(port).await,
            client: (of("client_id="), of("client_secret=")),
            _data: data,
            serving,
            token,
        }
    }

    fn port(&self) -> u16 {
        self.serving.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    fn settings(&self, port: u16) -> Value {
        json!({
            "baseUrl": format!("http://127.0.0.1:{port}/v1.0"),
            "tokenUrl": format!("http://127.0.0.1:{port}/oauth2/v2.0/token"),
            "clientId": self.client.0,
            "scope": "https://graph.microsoft.com/.default",
        })
    }

    fn at(&self, port: u16) -> Arc<dyn Connector> {
        opened(self.settings(port), &[("clientSecret", &self.client.1)])
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let address = &self.serving.address;
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn told(&self, status: u16, method: &str, path: &str, body: Option<Value>) -> Value {
        let (answered, body) = self.ask(method, path, body).await;
        assert_eq!(answered, status, "{method} {path}: {body:#}");
        body
    }

    async fn tie(&self, tie: &str, person: &Person, role: &Role) {
        let path = format!("/v1.0/users/{}?$select=id", person.user_principal_name);
        let user = id(&self.told(200, "GET", &path, None).await);
        let link = json!({ "@odata.id": format!("http://any.example/v1.0/users/{user}") });
        let path = format!("/v1.0/groups/{}/{tie}/$ref", role.resource);
        self.told(204, "POST", &path, Some(link)).await;
    }

    async fn tied(&self, tie: &str, role: &Role) -> Vec<String> {
        let path =
            format!("/v1.0/groups/{}/{tie}?$select=userPrincipalName&$top=999", role.resource);
        let listed = self.told(200, "GET", &path, None).await;
        let names = listed["value"].as_array().unwrap().iter();
        names.map(|user| user["userPrincipalName"].as_str().unwrap().to_owned()).collect()
    }
}

#[async_trait]
impl Bench for Target {
    fn connector(&self) -> Arc<dyn Connector> {
        self.at(self.port())
    }

    fn wrong(&self, what: Wrong) -> Option<Arc<dyn Connector>> {
        let with = |name: &str, value: String| {
            let mut settings = self.settings(self.port());
            settings[name] = json!(value);
            opened(settings, &[("clientSecret", &self.client.1)])
        };
        Some(match what {
            Wrong::Credentials => {
                let settings = self.settings(self.port());
                opened(settings, &[("clientSecret", "not-the-secret")])
            }
            Wrong::Place => with("baseUrl", format!("http://127.0.0.1:{}/beta", self.port())),
            Wrong::Unreachable => with("baseUrl", format!("http://127.0.0.1:{}/v1.0", free_port())),
            Wrong::Line => self.at(self.proxy.port),
        })
    }

    async fn add_account(&self, person: &Person) {
        let upn = &person.user_principal_name;
        let body = json!({
            "userPrincipalName": upn, "displayName": person.display_name, "mail": person.mail,
            "mailNickname": upn.split('@').next().unwrap(), "accountEnabled": true,
        });
        self.told(201, "POST", "/v1.0/users", Some(body)).await;
    }

    async fn add_group(&self, name: &str) -> Role {
        let body = json!({
            "displayName": name, "mailNickname": name.replace(' ', "-"), "mailEnabled": false,
            "securityEnabled": true,
        });
        let id = id(&self.told(201, "POST", "/v1.0/groups", Some(body)).await);
        Role { role: format!("Member_{id}"), scope: id.clone(), resource: id }
    }

    async fn remove_group(&self, role: &Role) {
        self.told(204, "DELETE", &format!("/v1.0/groups/{}", role.resource), None).await;
    }

    async fn put_in(&self, person: &Person, role: &Role) {
        self.tie("members", person, role).await;
    }

    async fn truth(&self, role: &Role, people: &[Person]) -> (Vec<bool>, usize) {
        let members = self.tied("members", role).await;
        let holds: Vec<bool> =
            people.iter().map(|person| members.contains(&person.user_principal_name)).collect();
        let ours = holds.iter().filter(|held| **held).count();
        (holds, members.len() - ours)
    }

    fn lose_answers(&self, lose: bool) {
        self.proxy.rule(move |asked| match lose && asked.path.contains("$ref") {
            true => Action::LoseAnswer,
            false => Action::Pass,
        });
    }
}

#[tokio::test]
async fn another_accede_keeps_the_contract() {
    contract::holds(&Target::start().await).await;
}

async fn ensure(on: &Arc<dyn Connector>, one: &Person, role: &Role, wanted: Wanted) -> Answer {
    let item = Item { person: one.clone(), role: role.clone(), wanted, order: Order::default() };
    on.ensure(&[item]).await.remove(0)
}

type Answer = Result<Done, Fault>;

fn fault<T: std::fmt::Debug>(answer: Result<T, Fault>) -> (Class, String) {
    let fault = answer.unwrap_err();
    (fault.class, fault.code)
}

#[tokio::test]
async fn owners_are_a_role_of_their_own() {
    let target = Target::start().await;
    let (on, one, role) = (target.connector(), person(1), target.add_group("crew").await);
    target.add_account(&one).await;
    let owner = Role { role: format!("Owner_{}", role.resource), ..role.clone() };

    assert_eq!(ensure(&on, &one, &owner, Wanted::Granted).await, Ok(Done::Applied));
    assert_eq!(ensure(&on, &one, &owner, Wanted::Granted).await, Ok(Done::AlreadyInState));
    assert_eq!(target.tied("owners", &role).await, [one.user_principal_name.as_str()]);
    let seen = on.observe(&[(one.clone(), owner.clone()), (one.clone(), role.clone())]).await;
    assert_eq!(seen, [Ok(Presence::Present), Ok(Presence::Absent)]);
    assert_eq!(ensure(&on, &one, &owner, Wanted::Revoked).await, Ok(Done::Applied));
    assert_eq!(target.tied("owners", &role).await, Vec::<String>::new());
}

#[tokio::test]
async fn tokens_are_fetched_once_and_anew_when_refused() {
    let target = Target::start().await;
    let (on, one, role) = (target.at(target.proxy.port), person(1), target.add_group("crew").await);
    target.add_account(&one).await;
    let fetched = || {
        let log = target.proxy.take_log();
        log.iter().filter(|asked| asked.path.ends_with("/oauth2/v2.0/token")).count()
    };
    assert_eq!(ensure(&on, &one, &role, Wanted::Granted).await, Ok(Done::Applied));
    assert_eq!(ensure(&on, &one, &role, Wanted::Granted).await, Ok(Done::AlreadyInState));
    assert_eq!(fetched(), 1);

    // Refused once, as when it was withdrawn: what was asked is asked again with a new one.
    let refused = std::sync::atomic::AtomicBool::new(false);
    let once = "{\"error\":{\"code\":\"InvalidAuthenticationToken\",\"message\":\"no\"}}";
    target.proxy.rule(move |asked| {
        let first =
            asked.method == "DELETE" && !refused.swap(true, std::sync::atomic::Ordering::SeqCst);
        match first {
            true => Action::Answer(401, String::new(), once.to_owned()),
            false => Action::Pass,
        }
    });
    assert_eq!(ensure(&on, &one, &role, Wanted::Revoked).await, Ok(Done::Applied));
    assert_eq!(fetched(), 1);
    assert_eq!(target.truth(&role, std::slice::from_ref(&one)).await, (vec![false], 0));

    // Refused for good: the target's trouble, told as such, after one more token and no more.
    target.proxy.rule(move |asked| match asked.path.contains("/v1.0/") {
        true => Action::Answer(401, String::new(), once.to_owned()),
        false => Action::Pass,
    });
    let answer = ensure(&on, &one, &role, Wanted::Granted).await;
    assert_eq!(fault(answer), (Class::Target, "http-401".into()));
    assert_eq!(fetched(), 1);

    // What the token endpoint says.
    for (status, body, class, code) in [
        (400, "{\"error\":\"invalid_scope\"}", Class::Target, "oauth-refused"),
        (401, "{\"error\":\"invalid_client\"}", Class::Target, "oauth-refused"),
        (429, "{}", Class::Throttled, "oauth-429"),
        (500, "{}", Class::Transient, "oauth-unavailable"),
        (404, "<html>", Class::Target, "oauth-url"),
        (200, "<html>", Class::Target, "oauth-url"),
        (200, "{\"token_type\":\"Bearer\"}", Class::Target, "oauth-url"),
        (200, "{\"access_token\":\"x\",\"token_type\":\"mac\"}", Class::Target, "oauth-url"),
        (302, "", Class::Target, "oauth-url"),
    ] {
        target.proxy.rule(move |_| Action::Answer(status, String::new(), body.to_owned()));
        let fresh = target.at(target.proxy.port);
        let answer = fresh.check().await.unwrap_err();
        assert_eq!((answer.class, answer.code.as_str()), (class, code), "{status} {body}");
        assert!(!answer.message.contains(&target.client.1), "{}", answer.message);
    }
}

#[tokio::test]
async fn what_is_not_found_is_removed_only_where_graph_says_so() {
    let target = Target::start().await;
    let (on, one, role) = (target.at(target.proxy.port), person(1), target.add_group("crew").await);
    target.add_account(&one).await;
    target.put_in(&one, &role).await;
    let missing = "{\"error\":{\"code\":\"Request_ResourceNotFound\",\"message\":\"no\"}}";

    // A proxy's own page, an error of somebody else, and Graph's own in answer to everything.
    for body in ["<html>not found</html>", "{\"message\":\"no route\"}", missing] {
        target.proxy.rule(move |asked| match asked.path.starts_with("/v1.0/") {
            true => Action::Answer(404, String::new(), body.to_owned()),
            false => Action::Pass,
        });
        let fresh = target.at(target.proxy.port);
        assert_eq!(fault(ensure(&fresh, &one, &role, Wanted::Revoked).await).0, Class::Target);
        assert_eq!(fault(fresh.find(&role.resource).await).0, Class::Target, "{body}");
        let seen = fresh.observe(&[(one.clone(), role.clone())]).await.remove(0);
        assert_eq!(fault(seen).0, Class::Target, "{body}");
    }
    // Only the change is answered so; the membership is still shown.
    target.proxy.rule(move |asked| match asked.method == "DELETE" {
        true => Action::Answer(404, String::new(), missing.to_owned()),
        false => Action::Pass,
    });
    assert!(ensure(&on, &one, &role, Wanted::Revoked).await.is_err());
    assert_eq!(target.truth(&role, std::slice::from_ref(&one)).await, (vec![true], 0));

    // A list of others is not taken for the person who was asked for.
    let stranger = "{\"value\":[{\"id\":\"4b1d8bd4-2ff7-4e0e-a7d5-6a1f4e1f0001\",\
                    \"userPrincipalName\":\"somebody@else.example\"}]}";
    target.proxy.rule(move |asked| match asked.path.starts_with("/v1.0/users?") {
        true => Action::Answer(200, String::new(), stranger.to_owned()),
        false => Action::Pass,
    });
    let fresh = target.at(target.proxy.port);
    let answer = ensure(&fresh, &one, &role, Wanted::Granted).await;
    assert_eq!(fault(answer), (Class::Permanent, "account-missing".into()));
}

#[tokio::test]
async fn groups_of_another_accede_are_given_and_taken_like_any_others() {
    let target = Target::start().await;
    let role = target.add_group("Harbour Pilots").await;
    let world = World::near().await;
    let ada = world.administrator().await;
    let uma = world.user("uma").await.to_string();
    let there = Person { user_principal_name: "uma@harbourline.example".into(), ..person(1) };
    target.add_account(&there).await;
    let body = json!({
        "name": "sister", "kind": "graph", "settings": target.settings(target.port()),
        "secrets": { "clientSecret": target.client.1 },
    });
    ada.post(&format!("{OURS}/targets"), body).await.expect(201);
    let check = ada.act(&format!("{OURS}/targets/sister/check")).await.expect(200);
    assert_eq!(check["ok"], true, "{check:#}");
    let package = package_of(&ada, "sister", "pilots").await;

    let request = assigned(&world, &ada, &uma, &package).await;
    assert_eq!(request["state"], "delivered", "{request:#}");
    assert_eq!(target.tied("members", &role).await, ["uma@harbourline.example"]);

    ended(&world, &ada, &uma).await;
    assert_eq!(target.tied("members", &role).await, Vec::<String>::new());
}

#[test]
fn settings_are_read_strictly() {
    let validate = |settings: Value, secrets: &[(&str, &str)]| {
        let secrets = secrets.iter().map(|(name, secret)| ((*name).into(), (*secret).into()));
        let settings = Settings {
            target: TargetId::from_uuid(Uuid::nil()),
            settings,
            secrets: BTreeMap::from_iter(secrets),
            clock: accede_connectors::Clock::default(),
        };
        kinds::validate("graph", &settings, &Policy::default()).map_err(|p| p.to_string())
    };
    let base = "https://graph.example/v1.0";
    let token = "https://login.example/token";
    let client = json!({ "baseUrl": base, "tokenUrl": token, "clientId": "accede" });
    let (bearer, secret) = ([("bearerToken", "t")], [("clientSecret", "s")]);
    assert_eq!(validate(json!({ "baseUrl": base }), &bearer), Ok(()));
    assert_eq!(validate(client.clone(), &secret), Ok(()));
    let refused = |settings, secrets: &[(&str, &str)]| validate(settings, secrets).unwrap_err();
    assert!(refused(json!({}), &bearer).starts_with("`settings.baseUrl` is missing"));
    let neither = refused(json!({ "baseUrl": base }), &[]);
    assert!(neither.starts_with("`secrets.bearerToken` is missing"), "{neither}");
    assert!(neither.contains("`clientSecret`"), "{neither}");
    assert!(refused(client.clone(), &bearer).contains("remove one"));
    assert!(refused(client, &[]).starts_with("`secrets.clientSecret` is missing"));
    assert!(
        refused(json!({ "baseUrl": base, "tokenUrl": token }), &secret)
            .starts_with("`settings.clientId` is missing")
    );
    assert!(refused(json!({ "baseUrl": base, "scope": "x" }), &bearer).contains("`tokenUrl` only"));
    let plain =
        json!({ "baseUrl": base, "tokenUrl": "http://login.example/token", "clientId": "a" });
    assert!(refused(plain, &secret).contains("unencrypted"));
    let inside =
        json!({ "baseUrl": base, "tokenUrl": "https://169.254.169.254/token", "clientId": "a" });
    assert!(refused(inside, &secret).starts_with("`settings.tokenUrl` is refused"));
    assert!(refused(json!({ "baseUrl": base, "userName": "upn" }), &bearer).contains("`mail`"));
}
