//! SCIM: two servers that nobody here wrote, in five shapes, and a proxy for what they will not do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use accede_connectors::egress::Policy;
use accede_connectors::{
    Connector, Done, Item, Order, Person, Presence, Role, Settings, Wanted, kinds,
};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{Id, TargetId};
use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::connect;
use crate::contract::{self, Bench, Wrong, person};
use crate::proxy::{Action, Proxy, Request};
use crate::real::{Server, free_port};

pub struct Target {
    pub server: Server,
    base: &'static str,
    pub proxy: Proxy,
    connector: Arc<dyn Connector>,
    http: reqwest::Client,
}

fn open(port: u16, base: &str, token: &str, more: Value) -> Arc<dyn Connector> {
    let base = json!({ "baseUrl": format!("http://127.0.0.1:{port}{base}") });
    connect::open("scim", connect::with(base, more), ("bearerToken", token))
}

impl Target {
    async fn start(script: &str, arguments: &[&str], base: &'static str) -> Target {
        let server = Server::start(script, arguments, &[]);
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        Target {
            proxy: Proxy::before(server.port).await,
            connector: open(server.port, base, "secret", json!({})),
            http: reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap(),
            server,
            base,
        }
    }

    pub async fn strict(variant: &str) -> Target {
        Target::start("scim2-server", &[variant], "/v2").await
    }

    pub async fn easy_going() -> Target {
        Target::start("scimmy", &[], "/scim").await
    }

    /// The connector behind the proxy.
    pub fn behind_proxy(&self, more: Value) -> Arc<dyn Connector> {
        open(self.proxy.port, self.base, "secret", more)
    }

    /// Speaks to the server directly, as an administrator would.
    pub async fn direct(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("http://127.0.0.1:{}{}{path}", self.server.port, self.base);
        let mut call = self
            .http
            .request(method.parse().unwrap(), url)
            .bearer_auth("secret")
            .header("Content-Type", "application/scim+json");
        if let Some(body) = body {
            call = call.body(body.to_string());
        }
        let answer = call.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub async fn add_user(&self, user_name: &str, external_id: Option<&str>) -> String {
        let mut user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": user_name,
            "name": { "givenName": "P", "familyName": "N" },
            "emails": [{ "value": "someone@harbourline.example" }],
        });
        if let Some(external_id) = external_id {
            user["externalId"] = external_id.into();
        }
        let (status, user) = self.direct("POST", "/Users", Some(user)).await;
        assert_eq!(status, 201, "{user}");
        user["id"].as_str().unwrap().to_owned()
    }

    /// Every user, without a filter and without trusting pages: by their ids in the whole list.
    async fn users(&self) -> Vec<Value> {
        let mut users: Vec<Value> = Vec::new();
        loop {
            let path = format!("/Users?count=1000&startIndex={}", users.len() + 1);
            let (_, page) = self.direct("GET", &path, None).await;
            let before = users.len();
            for user in page["Resources"].as_array().into_iter().flatten() {
                if !users.iter().any(|known| known["id"] == user["id"]) {
                    users.push(user.clone());
                }
            }
            if users.len() == before {
                return users;
            }
        }
    }

    async fn account(&self, person: &Person) -> Option<String> {
        let subject = person.subject.to_string();
        let filter = format!("/Users?filter=externalId%20eq%20%22{subject}%22");
        let (status, found) = self.direct("GET", &filter, None).await;
        let users = match status {
            200 => found["Resources"].as_array().cloned().unwrap_or_default(),
            _ => self.users().await,
        };
        let user = users.into_iter().find(|user| user["externalId"] == subject.as_str())?;
        Some(user["id"].as_str().unwrap().to_owned())
    }

    async fn members(&self, role: &Role) -> Vec<String> {
        let (status, group) = self.direct("GET", &format!("/Groups/{}", role.resource), None).await;
        assert_eq!(status, 200, "{group}");
        let members = group["members"].as_array().cloned().unwrap_or_default();
        members.iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect()
    }
}

fn losing(request: &Request) -> Action {
    match request.method.as_str() {
        "GET" => Action::Pass,
        _ => Action::LoseAnswer,
    }
}

#[async_trait]
impl Bench for Target {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::clone(&self.connector)
    }

    fn wrong(&self, what: Wrong) -> Option<Arc<dyn Connector>> {
        Some(match what {
            Wrong::Credentials => open(self.server.port, self.base, "not-the-token", json!({})),
            Wrong::Place => {
                open(self.server.port, &format!("{}/nowhere", self.base), "secret", json!({}))
            }
            Wrong::Unreachable => open(free_port(), self.base, "secret", json!({})),
            Wrong::Line => self.behind_proxy(json!({})),
        })
    }

    async fn add_account(&self, person: &Person) {
        let subject = person.subject.to_string();
        self.add_user(&person.user_principal_name, Some(&subject)).await;
    }

    async fn add_group(&self, name: &str) -> Role {
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": name,
        });
        let (status, group) = self.direct("POST", "/Groups", Some(group)).await;
        assert_eq!(status, 201, "{group}");
        let id = group["id"].as_str().unwrap().to_owned();
        Role { role: format!("Member_{id}"), scope: id.clone(), resource: id }
    }

    async fn remove_group(&self, role: &Role) {
        let path = format!("/Groups/{}", role.resource);
        assert_eq!(self.direct("DELETE", &path, None).await.0, 204);
    }

    async fn put_in(&self, person: &Person, role: &Role) {
        let path = format!("/Groups/{}", role.resource);
        let (_, mut group) = self.direct("GET", &path, None).await;
        let account = self.account(person).await.unwrap();
        let mut members = group["members"].as_array().cloned().unwrap_or_default();
        members.push(json!({ "value": account }));
        group["members"] = members.into();
        let (status, answer) = self.direct("PUT", &path, Some(group)).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn truth(&self, role: &Role, people: &[Person]) -> (Vec<bool>, usize) {
        let members = self.members(role).await;
        let mut distinct = members.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), members.len(), "a member is there twice: {members:?}");
        let mut holds = Vec::new();
        for person in people {
            let account = self.account(person).await;
            holds.push(account.is_some_and(|account| members.contains(&account)));
        }
        let ours = holds.iter().filter(|held| **held).count();
        (holds, members.len() - ours)
    }

    fn lose_answers(&self, lose: bool) {
        match lose {
            true => self.proxy.rule(losing),
            false => self.proxy.pass(),
        }
    }
}

#[tokio::test]
async fn scim2_server_keeps_the_contract() {
    contract::holds(&Target::strict("full").await).await;
}

#[tokio::test]
async fn scim2_server_without_filters_keeps_the_contract() {
    contract::holds(&Target::strict("nofilter").await).await;
}

#[tokio::test]
async fn scim2_server_without_patch_keeps_the_contract() {
    contract::holds(&Target::strict("nopatch").await).await;
}

#[tokio::test]
async fn scim2_server_with_small_pages_keeps_the_contract() {
    contract::holds(&Target::strict("smallpages").await).await;
}

#[tokio::test]
async fn scimmy_keeps_the_contract() {
    contract::holds(&Target::easy_going().await).await;
}

/// One person with an account and one group without members.
async fn pair(target: &Target) -> (Person, Role) {
    let (one, role) = (person(1), target.add_group("crew").await);
    target.add_account(&one).await;
    (one, role)
}

async fn ensure(on: &Arc<dyn Connector>, one: &Person, role: &Role, wanted: Wanted) -> Answer {
    let item = Item { person: one.clone(), role: role.clone(), wanted, order: Order::default() };
    on.ensure(&[item]).await.remove(0)
}

async fn observe(on: &Arc<dyn Connector>, one: &Person, role: &Role) -> Result<Presence, Fault> {
    on.observe(&[(one.clone(), role.clone())]).await.remove(0)
}

type Answer = Result<Done, Fault>;

const ERROR: &str = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"]"#;

/// What a server answers that does not apply filters.
fn without_filters(request: &Request) -> Action {
    let Some((path, query)) = request.path.split_once('?') else { return Action::Pass };
    let kept: Vec<&str> = query.split('&').filter(|part| !part.starts_with("filter=")).collect();
    Action::Forward(Request { path: format!("{path}?{}", kept.join("&")), ..request.clone() })
}

#[tokio::test]
async fn a_server_that_ignores_filters_never_makes_us_grant_to_somebody_else() {
    for target in [Target::strict("full").await, Target::easy_going().await] {
        let (one, role) = pair(&target).await;
        let stranger = person(2);
        target.add_account(&person(3)).await;
        target.proxy.rule(without_filters);
        let on = target.behind_proxy(json!({}));

        let fault = ensure(&on, &stranger, &role, Wanted::Granted).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (Class::Permanent, "account-missing"));
        assert_eq!(ensure(&on, &one, &role, Wanted::Granted).await, Ok(Done::Applied));
        assert_eq!(observe(&on, &person(3), &role).await, Ok(Presence::Absent));

        assert_eq!(target.truth(&role, &[one]).await, (vec![true], 0));
    }
}

#[tokio::test]
async fn an_account_is_found_by_name_but_not_taken_from_another_person() {
    let target = Target::strict("full").await;
    let role = target.add_group("crew").await;
    let (plain, taken, twin) = (person(1), person(2), person(3));
    target.add_user(&plain.user_principal_name.to_uppercase(), None).await;
    target.add_user(&taken.user_principal_name, Some("hr-4711")).await;
    target.add_user(&twin.user_principal_name, Some(&plain.object_id)).await;
    let on = target.connector();

    assert_eq!(ensure(&on, &plain, &role, Wanted::Granted).await, Ok(Done::Applied));
    for other in [taken, twin] {
        let fault = ensure(&on, &other, &role, Wanted::Granted).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (Class::Permanent, "account-mismatch"));
    }
    assert_eq!(target.members(&role).await.len(), 1);
}

#[tokio::test]
async fn a_missing_account_is_made_once_when_that_is_allowed() {
    let target = Target::strict("full").await;
    let (one, two) = (target.add_group("crew").await, target.add_group("deck").await);
    let on = target.behind_proxy(json!({ "createAccounts": true }));

    let new = person(1);
    let both = tokio::join!(
        ensure(&on, &new, &one, Wanted::Granted),
        ensure(&on, &new, &two, Wanted::Granted),
    );
    assert_eq!(both, (Ok(Done::Applied), Ok(Done::Applied)));
    let made = |request: &&Request| request.method == "POST";
    assert_eq!(target.proxy.take_log().iter().filter(made).count(), 1);
    let (_, list) = target.direct("GET", "/Users", None).await;
    assert_eq!(list["totalResults"], 1);
    let user = &list["Resources"][0];
    assert_eq!(user["externalId"], person(1).subject.to_string());
    assert_eq!(user["userName"], "p1@harbourline.example");
    assert_eq!(user["active"], true);
    assert_eq!(user["emails"][0]["value"], "p1@harbourline.example");
    assert_eq!(user["name"]["familyName"], "Number 1");

    // Another process has made it meanwhile: it is found, not made again.
    let late = open(target.server.port, target.base, "secret", json!({ "createAccounts": true }));
    assert_eq!(ensure(&late, &person(1), &one, Wanted::Granted).await, Ok(Done::AlreadyInState));
    // Whoever loses a role he never had gets no account for it.
    assert_eq!(ensure(&late, &person(2), &one, Wanted::Revoked).await, Ok(Done::AlreadyInState));
    let (_, list) = target.direct("GET", "/Users", None).await;
    assert_eq!(list["totalResults"], 1);
}

#[tokio::test]
async fn an_account_whose_making_was_not_answered_is_found_next_time() {
    let target = Target::strict("full").await;
    let role = target.add_group("crew").await;
    let on = target.behind_proxy(json!({ "createAccounts": true }));
    target.proxy.rule(losing);
    let fault = ensure(&on, &person(1), &role, Wanted::Granted).await.unwrap_err();
    assert_eq!(fault.class, Class::Unknown);

    target.proxy.pass();
    assert_eq!(ensure(&on, &person(1), &role, Wanted::Granted).await, Ok(Done::Applied));
    let (_, list) = target.direct("GET", "/Users", None).await;
    assert_eq!(list["totalResults"], 1);
}

#[tokio::test]
async fn a_known_account_costs_one_call_for_a_whole_batch() {
    let target = Target::strict("full").await;
    let role = target.add_group("crew").await;
    let people: Vec<Person> = (1..=40).map(person).collect();
    for one in &people {
        target.add_account(one).await;
    }
    let on = target.behind_proxy(json!({ "checkBeforeAdd": false }));
    let batch = |wanted| -> Vec<Item> {
        people
            .iter()
            .map(|p| Item {
                person: p.clone(),
                role: role.clone(),
                wanted,
                order: Order::default(),
            })
            .collect()
    };
    assert!(on.ensure(&batch(Wanted::Granted)).await.iter().all(Result::is_ok));
    // Configuration, two searches by twenties, one change.
    assert_eq!(target.proxy.take_log().len(), 4);

    assert!(on.ensure(&batch(Wanted::Revoked)).await.iter().all(Result::is_ok));
    assert!(on.ensure(&batch(Wanted::Granted)).await.iter().all(Result::is_ok));

    let log = target.proxy.take_log();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log.iter().all(|request| request.method == "PATCH"));
    assert!(log.iter().all(|request| !request.body.contains("replace")));
    assert_eq!(target.members(&role).await.len(), 40);
}

#[tokio::test]
async fn what_the_target_answers_decides_the_class_and_the_wait() {
    let target = Target::strict("full").await;
    let (one, role) = pair(&target).await;
    let on = target.behind_proxy(json!({ "checkBeforeAdd": false }));
    assert_eq!(observe(&on, &one, &role).await, Ok(Presence::Absent));
    let table: &[(u16, &str, &str, Class, Option<u64>)] = &[
        (429, "Retry-After: 120\r\n", "", Class::Throttled, Some(120)),
        (503, "Retry-After: 7\r\n", "", Class::Throttled, Some(7)),
        (
            429,
            "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:29:00 GMT\r\n",
            "",
            Class::Throttled,
            Some(60),
        ),
        (503, "", "", Class::Transient, None),
        (500, "", "<html>", Class::Transient, None),
        (504, "", "", Class::Unknown, None),
        (200, "", "<html>please sign in</html>", Class::Unknown, None),
        (200, "", "", Class::Unknown, None),
        (302, "Location: http://169.254.169.254/\r\n", "", Class::Target, None),
        (401, "", "", Class::Target, None),
        (403, "", "", Class::Permanent, None),
        (404, "", "<html>", Class::Permanent, None),
        (409, "", "", Class::Transient, None),
        (415, "", "", Class::Target, None),
    ];
    for (status, headers, body, class, wait) in table {
        let (status, headers, body) = (*status, (*headers).to_owned(), (*body).to_owned());
        target.proxy.rule(move |request| match request.method.as_str() {
            "PATCH" => Action::Answer(status, headers.clone(), body.clone()),
            _ => Action::Pass,
        });
        let fault = ensure(&on, &one, &role, Wanted::Granted).await.unwrap_err();
        assert_eq!(
            (fault.class, fault.retry_after),
            (*class, wait.map(Duration::from_secs)),
            "{status}: {fault:?}"
        );
    }
    assert_eq!(target.members(&role).await, [""; 0]);
}

#[tokio::test]
async fn what_the_target_accepts_for_later_is_neither_done_nor_a_fault() {
    let target = Target::strict("full").await;
    let (one, role) = pair(&target).await;
    let on = target.behind_proxy(json!({ "checkBeforeAdd": false }));
    assert_eq!(observe(&on, &one, &role).await, Ok(Presence::Absent));
    target.proxy.rule(|request| match request.method.as_str() {
        "PATCH" => Action::Answer(202, String::new(), String::new()),
        _ => Action::Pass,
    });

    for wanted in [Wanted::Granted, Wanted::Revoked] {
        assert_eq!(ensure(&on, &one, &role, wanted).await, Ok(Done::later()));
    }
    assert_eq!(target.members(&role).await, [""; 0]);
}

#[tokio::test]
async fn a_redirect_is_not_followed_even_to_where_we_may_go() {
    let target = Target::strict("full").await;
    let (one, role) = pair(&target).await;
    let on = target.behind_proxy(json!({ "checkBeforeAdd": false }));
    assert_eq!(observe(&on, &one, &role).await, Ok(Presence::Absent));
    let elsewhere = format!("http://127.0.0.1:{}/v2/Groups/{}", target.server.port, role.resource);
    target.proxy.rule(move |request| match request.method.as_str() {
        "PATCH" => Action::Answer(307, format!("Location: {elsewhere}\r\n"), String::new()),
        _ => Action::Pass,
    });

    let fault = ensure(&on, &one, &role, Wanted::Granted).await.unwrap_err();

    assert_eq!((fault.class, fault.code.as_str()), (Class::Target, "http-307"));
    assert_eq!(target.members(&role).await, [""; 0]);
}

#[tokio::test]
async fn a_target_that_never_answers_is_left_in_time() {
    let target = Target::strict("full").await;
    let (one, role) = pair(&target).await;
    let on = target.behind_proxy(json!({}));
    assert_eq!(observe(&on, &one, &role).await, Ok(Presence::Absent));
    target.proxy.rule(|request| match request.method.as_str() {
        "PATCH" => Action::Hang,
        _ => Action::Pass,
    });

    let started = std::time::Instant::now();
    let fault = ensure(&on, &one, &role, Wanted::Granted).await.unwrap_err();

    assert_eq!((fault.class, fault.code.as_str()), (Class::Unknown, "timeout"));
    assert!(started.elapsed() < accede_connectors::CALL_DEADLINE);
}

#[tokio::test]
async fn a_refused_batch_is_sent_one_by_one_and_each_is_answered() {
    let target = Target::strict("full").await;
    let role = target.add_group("crew").await;
    let people = [person(1), person(2), person(3)];
    for one in &people {
        target.add_account(one).await;
    }
    let bad = target.account(&people[1]).await.unwrap();
    target.proxy.rule(move |request| {
        match request.method == "PATCH" && request.body.contains(&bad) {
            true => Action::Answer(
                400,
                String::new(),
                format!(r#"{ERROR},"status":"400","scimType":"invalidValue","detail":"no seat"}}"#),
            ),
            false => Action::Pass,
        }
    });
    let on = target.behind_proxy(json!({}));

    let items = people.clone().map(|p| Item {
        person: p,
        role: role.clone(),
        wanted: Wanted::Granted,
        order: Order::default(),
    });
    let answers = on.ensure(&items).await;

    assert_eq!((&answers[0], &answers[2]), (&Ok(Done::Applied), &Ok(Done::Applied)));
    let fault = answers[1].as_ref().unwrap_err();
    assert_eq!((fault.class, fault.code.as_str()), (Class::Permanent, "http-400-invalidValue"));
    assert!(fault.message.contains("no seat"));
    assert_eq!(target.truth(&role, &people).await, (vec![true, false, true], 0));
}

fn refuse_path_filter(request: &Request) -> Option<Action> {
    let refused = request.method == "PATCH" && request.body.contains("members[value");
    refused.then(|| {
        let body = format!(r#"{ERROR},"status":"400","scimType":"invalidPath"}}"#);
        Action::Answer(400, String::new(), body)
    })
}

#[tokio::test]
async fn a_server_without_filters_in_paths_is_told_the_value_instead() {
    let target = Target::easy_going().await;
    let (one, role) = pair(&target).await;
    target.add_account(&person(2)).await;
    target.put_in(&one, &role).await;
    target.put_in(&person(2), &role).await;
    target.proxy.rule(|request| refuse_path_filter(request).unwrap_or(Action::Pass));
    let on = target.behind_proxy(json!({}));

    assert_eq!(ensure(&on, &one, &role, Wanted::Revoked).await, Ok(Done::Applied));
    assert_eq!(ensure(&on, &one, &role, Wanted::Revoked).await, Ok(Done::AlreadyInState));

    assert_eq!(target.truth(&role, &[one, person(2)]).await, (vec![false, true], 0));
}

#[tokio::test]
async fn whoever_a_server_removes_with_the_one_that_was_named_is_put_back() {
    let target = Target::easy_going().await;
    let (one, role) = pair(&target).await;
    let others = [person(2), person(3)];
    target.put_in(&one, &role).await;
    for other in &others {
        target.add_account(other).await;
        target.put_in(other, &role).await;
    }
    // By the letter of RFC 7644 3.5.2.2: a remove without a filter removes all values.
    target.proxy.rule(|request| match refuse_path_filter(request) {
        Some(refusal) => refusal,
        None if request.body.contains(r#""remove""#) => {
            let body = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"remove","path":"members"}]}"#;
            Action::Forward(Request { body: body.to_owned(), ..request.clone() })
        }
        None => Action::Pass,
    });

    let answer = ensure(&target.behind_proxy(json!({})), &one, &role, Wanted::Revoked).await;

    assert_eq!(answer.unwrap_err().code, "removes-others");
    assert_eq!(target.truth(&role, &others).await, (vec![true, true], 0));
}

#[tokio::test]
async fn a_group_that_changes_while_it_is_put_back_is_read_again() {
    let target = Target::strict("nopatch").await;
    let (one, role) = pair(&target).await;
    let puts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&puts);
    target.proxy.rule(move |request| match request.method.as_str() {
        // Somebody else was faster, twice.
        "PUT" if count.fetch_add(1, Ordering::SeqCst) < 2 => {
            Action::Answer(412, String::new(), format!(r#"{ERROR},"status":"412"}}"#))
        }
        _ => Action::Pass,
    });
    let on = target.behind_proxy(json!({}));

    assert_eq!(ensure(&on, &one, &role, Wanted::Granted).await, Ok(Done::Applied));
    assert_eq!(puts.load(Ordering::SeqCst), 3);

    target.proxy.rule(|request| match request.method.as_str() {
        "PUT" => Action::Answer(412, String::new(), format!(r#"{ERROR},"status":"412"}}"#)),
        _ => Action::Pass,
    });
    let fault = ensure(&on, &one, &role, Wanted::Revoked).await.unwrap_err();
    assert_eq!(fault.class, Class::Transient);
    assert_eq!(target.truth(&role, &[one]).await, (vec![true], 0));
}

#[tokio::test]
async fn whoever_joins_a_group_while_it_is_put_back_stays_in_it() {
    let target = Target::strict("nopatch").await;
    let (one, role) = pair(&target).await;
    target.add_account(&person(2)).await;
    let other = target.account(&person(2)).await.unwrap();
    let first = AtomicUsize::new(0);
    let (port, group) = (target.server.port, role.resource.clone());
    target.proxy.rule(move |request| {
        if request.method == "PUT" && first.fetch_add(1, Ordering::SeqCst) == 0 {
            // Between our GET and our PUT.
            join_directly(port, &group, &other);
        }
        Action::Pass
    });

    let answer = ensure(&target.behind_proxy(json!({})), &one, &role, Wanted::Granted).await;

    assert_eq!(answer, Ok(Done::Applied));
    assert_eq!(target.truth(&role, &[one, person(2)]).await, (vec![true, true], 0));
}

/// Makes an account the only member of a group, past the proxy and at once.
fn join_directly(port: u16, group: &str, account: &str) {
    use std::io::{Read, Write};
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "crew",
        "members": [{ "value": account }],
    })
    .to_string();
    let mut server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        server,
        "PUT /v2/Groups/{group} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer secret\r\n\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    server.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 "), "{answer}");
}

#[tokio::test]
async fn without_patch_and_etags_nothing_is_changed() {
    let target = Target::strict("nopatch").await;
    let (one, role) = pair(&target).await;
    target.proxy.rule(|request| match request.path.ends_with("/ServiceProviderConfig") {
        true => Action::Answer(200, String::new(), r#"{"patch":{"supported":false},"filter":{"supported":true},"etag":{"supported":false}}"#.to_owned()),
        false => Action::Pass,
    });

    let answer = ensure(&target.behind_proxy(json!({})), &one, &role, Wanted::Granted).await;

    assert_eq!(answer.unwrap_err().class, Class::Unsupported);
    assert_eq!(target.truth(&role, &[one]).await, (vec![false], 0));
}

#[tokio::test]
async fn a_list_ends_even_if_the_server_repeats_its_first_page() {
    let target = Target::easy_going().await;
    let role = target.add_group("crew").await;
    for number in 1..=25 {
        target.add_account(&person(number)).await;
    }
    // Express 5 keeps scimmy from seeing count and startIndex: every page is the first twenty.
    target.proxy.rule(without_filters);
    let on = target.behind_proxy(json!({}));

    let fault = ensure(&on, &person(99), &role, Wanted::Granted).await.unwrap_err();

    assert_eq!(fault.code, "partial-answer", "what is not in a part of the list may exist");
    assert_eq!(target.members(&role).await, [""; 0]);
}

#[tokio::test]
async fn a_missing_group_is_gone_only_if_the_server_proves_to_be_the_right_one() {
    let target = Target::strict("full").await;
    let (one, role) = pair(&target).await;
    target.put_in(&one, &role).await;
    let missing = || Action::Answer(404, String::new(), format!(r#"{ERROR},"status":"404"}}"#));
    let on = target.behind_proxy(json!({}));
    assert_eq!(observe(&on, &one, &role).await, Ok(Presence::Present));

    // Everything is missing, in the best SCIM: another base, another tenant.
    target.proxy.rule(move |_| missing());
    let fault = ensure(&on, &one, &role, Wanted::Revoked).await.unwrap_err();
    assert_eq!(fault.class, Class::Target);

    // Groups can be listed, but the account that we know is not there.
    target.proxy.rule(move |request| match request.path.contains("/Groups?") {
        true => Action::Pass,
        false => missing(),
    });
    let fault = ensure(&on, &one, &role, Wanted::Revoked).await.unwrap_err();
    assert_eq!(fault.class, Class::Target);

    assert_eq!(target.truth(&role, &[one]).await, (vec![true], 0));
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let target = Target::strict("full").await;
    let (one, role) = pair(&target).await;
    target.proxy.rule(|request| match request.path.contains("/Users") {
        true => {
            Action::Answer(200, String::new(), format!("{{\"x\":\"{}\"}}", "x".repeat(5_000_000)))
        }
        false => Action::Pass,
    });
    let fault =
        ensure(&target.behind_proxy(json!({})), &one, &role, Wanted::Granted).await.unwrap_err();
    assert_eq!(fault.code, "answer-too-large");
}

#[test]
fn settings_are_refused_with_the_field_and_the_remedy() {
    let validate = |settings: Value, token: &str| {
        let secrets = match token {
            "" => BTreeMap::new(),
            token => BTreeMap::from([("bearerToken".to_owned(), token.to_owned())]),
        };
        let settings = Settings {
            target: TargetId::from_uuid(Uuid::nil()),
            settings,
            secrets,
            clock: accede_connectors::Clock::default(),
        };
        kinds::validate("scim", &settings, &Policy::default()).map_err(|p| p.to_string())
    };
    let refused = |settings: Value, token: &str| validate(settings, token).unwrap_err();
    let good = "https://wiki.example/scim/v2/";

    assert_eq!(
        validate(json!({ "baseUrl": good, "createAccounts": true, "concurrency": 4 }), "t"),
        Ok(())
    );
    assert!(refused(json!({}), "t").starts_with("`settings.baseUrl` is missing"));
    assert!(
        refused(json!({ "baseUrl": good }), "").starts_with("`secrets.bearerToken` is missing")
    );
    assert!(refused(json!({ "baseUrl": "wiki" }), "t").contains("https://wiki.example"));
    assert!(refused(json!({ "baseUrl": "ftp://wiki.example" }), "t").contains("`https://`"));
    assert!(refused(json!({ "baseUrl": "http://wiki.example" }), "t").contains("`allowPlain`"));
    let needless = json!({ "baseUrl": "https://wiki.example", "allowPlain": "x" });
    assert!(refused(needless, "t").contains("`settings.allowPlain` must be"));
    assert!(refused(json!({ "baseUrl": "https://a:b@wiki.example" }), "t").contains("bearerToken"));
    assert!(refused(json!({ "baseUrl": "https://wiki.example?x" }), "t").contains("without `?`"));
    assert!(refused(json!({ "baseUrl": "https://169.254.169.254/" }), "t").contains("metadata"));
    assert!(refused(json!({ "baseUrl": "http://127.0.0.1/" }), "t").contains("egress.allow"));
    assert!(
        refused(json!({ "baseUrl": good, "createAcounts": true }), "t")
            .contains("did you mean `createAccounts`")
    );
    assert!(
        refused(json!({ "baseUrl": good, "caCertificate": "abc" }), "t")
            .contains("BEGIN CERTIFICATE")
    );
    assert!(refused(json!({ "baseUrl": good }), "two words").starts_with("`secrets.bearerToken`"));
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_not_connected_to() {
    let settings = connect::settings(
        json!({ "baseUrl": format!("http://localhost:{}/v2", free_port()) }),
        ("bearerToken", "t"),
    );
    let on = kinds::open("scim", settings, Arc::default()).unwrap();
    let fault = on.check().await.unwrap_err();
    assert_eq!((fault.class, fault.code.as_str()), (Class::Target, "egress-denied"));
}

#[tokio::test]
async fn a_name_that_a_server_misreads_does_not_hold_up_the_others() {
    let target = Target::easy_going().await;
    let role = target.add_group("crew").await;
    // More than this server shows of a list, so that only filters find them all.
    for number in 10..35 {
        target.add_account(&person(number)).await;
    }
    let odd = Person { user_principal_name: "o\"hara@harbourline.example".into(), ..person(1) };
    let item = |person| Item {
        person,
        role: role.clone(),
        wanted: Wanted::Granted,
        order: Order::default(),
    };
    let on = target.connector();

    let answers = on.ensure(&[item(odd), item(person(34)), item(person(2))]).await;

    assert_eq!(answers[0].as_ref().unwrap_err().code, "partial-answer", "it proves nothing");
    assert_eq!(answers[1], Ok(Done::Applied));
    assert_eq!(answers[2].as_ref().unwrap_err().code, "account-missing");
    assert_eq!(ensure(&on, &person(33), &role, Wanted::Granted).await, Ok(Done::Applied));
}
