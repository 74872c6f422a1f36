//! SCIM: roles and entitlements as values of accounts, one by one and in bulk; tokens that are fetched.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use accede_connectors::egress::Policy;
use accede_connectors::{Connector, Done, Item, Order, Person, Presence, Role, Wanted, kinds};
use accede_domain::fault::{Class, Fault};
use serde_json::{Value, json};

use crate::connect;
use crate::contract::person;
use crate::proxy::{Action, Proxy};
use crate::scim::Target;

fn named() -> Value {
    json!({ "roles": ["editor", "chief \"editor\""], "entitlements": ["seat"] })
}

fn role(resource: &str) -> Role {
    Role { role: format!("Member_{resource}"), scope: resource.into(), resource: resource.into() }
}

async fn add(target: &Target, people: &[Person]) -> Vec<String> {
    let mut accounts = Vec::new();
    for one in people {
        let subject = one.subject.to_string();
        accounts.push(target.add_user(&one.user_principal_name, Some(&subject)).await);
    }
    accounts
}

/// The values of an attribute of an account, read directly.
async fn values(target: &Target, account: &str, attribute: &str) -> Vec<String> {
    let (status, user) = target.direct("GET", &format!("/Users/{account}"), None).await;
    assert_eq!(status, 200, "{user}");
    let listed = user[attribute].as_array().cloned().unwrap_or_default();
    listed.iter().map(|item| item["value"].as_str().unwrap().to_owned()).collect()
}

type Answers = Vec<Result<Done, Fault>>;

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

async fn seen(on: &Arc<dyn Connector>, people: &[Person], role: &Role) -> Vec<Presence> {
    let asked: Vec<_> = people.iter().map(|one| (one.clone(), role.clone())).collect();
    on.observe(&asked).await.into_iter().map(Result::unwrap).collect()
}

fn said(answer: &Result<Done, Fault>) -> (Class, &str) {
    let fault = answer.as_ref().unwrap_err();
    (fault.class, fault.code.as_str())
}

/// How many bulk calls and how many single changes were made since the last look.
fn calls(proxy: &Proxy) -> (usize, usize) {
    let log = proxy.take_log();
    let of = |method: &str| log.iter().filter(|asked| asked.method == method).count();
    (of("POST"), of("PATCH"))
}

#[tokio::test]
async fn roles_and_entitlements_are_given_to_many_in_one_call_and_taken_alone() {
    let target = Target::strict("full").await;
    let on = target.behind_proxy(named());
    let people: Vec<Person> = (1..=7).map(person).collect();
    let accounts = add(&target, &people[..6]).await;
    let (editor, seat) = (role("roles/editor"), role("entitlements/seat"));

    // What can be given is what the settings name.
    let found = on.discover(Some("EDITOR"), 10).await.unwrap();
    let found: Vec<_> = found.iter().map(|one| one.origin_id.as_str()).collect();
    assert_eq!(found, ["roles/editor", "roles/chief \"editor\""]);
    assert_eq!(on.find("entitlements/seat").await.unwrap().unwrap().display_name, "seat");
    assert_eq!(on.find("entitlements/throne").await.unwrap(), None);
    assert!(on.check().await.unwrap().summary.contains("bulk yes"));

    assert_eq!(seen(&on, &people, &editor).await, vec![Presence::Absent; 7]);
    calls(&target.proxy);
    let answers = ensure(&on, &people, &editor, Wanted::Granted).await;
    assert_eq!(answers[..6], vec![Ok(Done::Applied); 6]);
    assert_eq!(said(&answers[6]), (Class::Permanent, "account-missing"));
    assert_eq!(calls(&target.proxy), (1, 0));
    let answers = ensure(&on, &people[..2], &editor, Wanted::Granted).await;
    assert_eq!(answers, [Ok(Done::AlreadyInState), Ok(Done::AlreadyInState)]);
    assert_eq!(calls(&target.proxy), (0, 0));
    let chief = role("roles/chief \"editor\"");
    assert_eq!(ensure(&on, &people[..1], &chief, Wanted::Granted).await, [Ok(Done::Applied)]);
    assert_eq!(ensure(&on, &people[..1], &seat, Wanted::Granted).await, [Ok(Done::Applied)]);
    assert_eq!(calls(&target.proxy), (0, 2));
    assert_eq!(values(&target, &accounts[0], "roles").await, ["editor", "chief \"editor\""]);
    assert_eq!(seen(&on, &people[..2], &chief).await, [Presence::Present, Presence::Absent]);

    // Each loses what was named, and nothing else; who has no account has nothing.
    let answers = ensure(&on, &people, &editor, Wanted::Revoked).await;
    assert_eq!(answers[..6], vec![Ok(Done::Applied); 6]);
    assert_eq!(answers[6], Ok(Done::AlreadyInState));
    assert_eq!(calls(&target.proxy), (1, 0));
    assert_eq!(values(&target, &accounts[0], "roles").await, ["chief \"editor\""]);
    assert_eq!(values(&target, &accounts[0], "entitlements").await, ["seat"]);
    assert_eq!(values(&target, &accounts[1], "roles").await, Vec::<String>::new());
    let answers = ensure(&on, &people[..3], &editor, Wanted::Revoked).await;
    assert_eq!(answers, vec![Ok(Done::AlreadyInState); 3]);

    let strange = Role { role: "Owner_roles/editor".into(), ..editor };
    let answer = ensure(&on, &people[..1], &strange, Wanted::Granted).await.remove(0);
    assert_eq!(said(&answer), (Class::Unsupported, "role-unknown"));
}

#[tokio::test]
async fn a_value_that_the_settings_name_no_more_is_taken_and_not_given() {
    let target = Target::strict("full").await;
    let people: Vec<Person> = (1..=2).map(person).collect();
    let accounts = add(&target, &people).await;
    let (editor, seat) = (role("roles/editor"), role("entitlements/seat"));
    let before = target.behind_proxy(named());
    assert_eq!(ensure(&before, &people[..1], &editor, Wanted::Granted).await, [Ok(Done::Applied)]);

    let on = target.behind_proxy(json!({ "roles": ["clerk"] }));
    calls(&target.proxy);
    for role in [&editor, &seat] {
        let answers = ensure(&on, &people, role, Wanted::Granted).await;
        assert_eq!(answers.len(), 2);
        for answer in &answers {
            assert_eq!(said(answer), (Class::Permanent, "resource-gone"));
        }
    }
    assert_eq!(calls(&target.proxy), (0, 0));
    assert_eq!(values(&target, &accounts[1], "roles").await, Vec::<String>::new());
    // What was given before is seen and can be taken.
    assert_eq!(seen(&on, &people, &editor).await, [Presence::Present, Presence::Absent]);
    assert_eq!(ensure(&on, &people[..1], &editor, Wanted::Revoked).await, [Ok(Done::Applied)]);
    assert_eq!(values(&target, &accounts[0], "roles").await, Vec::<String>::new());
}

#[tokio::test]
async fn one_refused_of_a_bulk_call_does_not_hold_up_the_others_and_silence_is_unknown() {
    let target = Target::strict("full").await;
    let on = target.behind_proxy(named());
    let people: Vec<Person> = (1..=4).map(person).collect();
    let accounts = add(&target, &people).await;
    let editor = role("roles/editor");
    assert_eq!(seen(&on, &people, &editor).await, vec![Presence::Absent; 4]);

    // Somebody else changes one account between our look and our call: its version tells.
    let (port, changed) = (target.server.port, accounts[1].clone());
    target.proxy.rule(move |asked| {
        if asked.path.ends_with("/Bulk") {
            rename(port, &changed);
        }
        Action::Pass
    });
    let answers = ensure(&on, &people[..3], &editor, Wanted::Granted).await;
    assert_eq!((&answers[0], &answers[2]), (&Ok(Done::Applied), &Ok(Done::Applied)));
    assert_eq!(said(&answers[1]), (Class::Transient, "http-412"));
    let (port, changed) = (target.server.port, accounts[1].clone());
    target.proxy.rule(move |asked| {
        if asked.method == "PATCH" {
            rename(port, &changed);
        }
        Action::Pass
    });
    let answer = ensure(&on, &people[1..2], &editor, Wanted::Granted).await.remove(0);
    assert_eq!(said(&answer), (Class::Transient, "http-412"));
    assert_eq!(values(&target, &accounts[1], "roles").await, Vec::<String>::new());

    // The answer to a bulk call is lost, or does not speak of everybody.
    target.proxy.rule(|asked| match asked.path.ends_with("/Bulk") {
        true => Action::LoseAnswer,
        false => Action::Pass,
    });
    let answers = ensure(&on, &people, &editor, Wanted::Granted).await;
    assert_eq!((&answers[0], &answers[2]), (&Ok(Done::AlreadyInState), &Ok(Done::AlreadyInState)));
    for lost in [&answers[1], &answers[3]] {
        assert_eq!(said(lost), (Class::Unknown, "connection-lost"));
    }
    target.proxy.pass();
    assert_eq!(seen(&on, &people, &editor).await, vec![Presence::Present; 4]);
    let half = "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:BulkResponse\"],\
                \"Operations\":[{\"bulkId\":\"1\",\"status\":{\"code\":200}},\
                {\"bulkId\":\"0\",\"status\":\"ok\"}]}";
    target.proxy.rule(move |asked| match asked.path.ends_with("/Bulk") {
        true => Action::Answer(200, String::new(), half.to_owned()),
        false => Action::Pass,
    });
    let answers = ensure(&on, &people[..3], &editor, Wanted::Revoked).await;
    assert_eq!(answers[1], Ok(Done::Applied));
    for unsaid in [&answers[0], &answers[2]] {
        assert_eq!(said(unsaid), (Class::Unknown, "unreadable-answer"));
    }

    // A server that offers bulk calls and refuses them is spoken to one by one from then on.
    target.proxy.rule(|asked| match asked.path.ends_with("/Bulk") {
        true => Action::Answer(501, String::new(), "{}".to_owned()),
        false => Action::Pass,
    });
    calls(&target.proxy);
    let answers = ensure(&on, &people, &editor, Wanted::Revoked).await;
    assert_eq!(answers, vec![Ok(Done::Applied); 4]);
    assert_eq!(calls(&target.proxy), (1, 4));
    let answers = ensure(&on, &people, &editor, Wanted::Granted).await;
    assert_eq!(answers, vec![Ok(Done::Applied); 4]);
    assert_eq!(calls(&target.proxy), (0, 4));
}

/// Gives an account another display name, over a connection of its own.
fn rename(port: u16, account: &str) {
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    let name = format!("Name {}", TIMES.fetch_add(1, Ordering::SeqCst));
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "displayName", "value": name }],
    });
    let body = body.to_string();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "PATCH /v2/Users/{account} HTTP/1.0\r\nAuthorization: Bearer secret\r\n\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 ") || answer.contains(" 204 "), "{answer}");
}

#[tokio::test]
async fn without_bulk_calls_values_are_changed_one_by_one_and_without_patch_not_at_all() {
    let target = Target::strict("smallpages").await;
    let on = target.behind_proxy(named());
    let people: Vec<Person> = (1..=3).map(person).collect();
    add(&target, &people).await;
    let editor = role("roles/editor");
    let answers = ensure(&on, &people, &editor, Wanted::Granted).await;
    assert_eq!(answers, vec![Ok(Done::Applied); 3]);
    assert_eq!(calls(&target.proxy), (0, 3));
    // An account that was remembered and is gone has nothing, on a server that shows itself.
    let gone = person(1).subject.to_string();
    let filter = format!("/Users?filter=externalId%20eq%20%22{gone}%22");
    let (_, found) = target.direct("GET", &filter, None).await;
    let account = found["Resources"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(target.direct("DELETE", &format!("/Users/{account}"), None).await.0, 204);
    assert_eq!(
        ensure(&on, &people[..1], &editor, Wanted::Revoked).await,
        [Ok(Done::AlreadyInState)]
    );

    let target = Target::strict("nopatch").await;
    let on = target.behind_proxy(named());
    add(&target, &people[..1]).await;
    let answer = ensure(&on, &people[..1], &editor, Wanted::Granted).await.remove(0);
    assert_eq!(said(&answer), (Class::Unsupported, "no-patch"));
}

#[tokio::test]
async fn a_token_can_be_fetched_with_client_credentials() {
    let target = Target::strict("full").await;
    let people = [person(1)];
    add(&target, &people).await;
    let fetched = "{\"access_token\":\"secret\",\"token_type\":\"bearer\",\"expires_in\":\"60\"}";
    target.proxy.rule(move |asked| match asked.path == "/token" {
        true => {
            let form =
                "grant_type=client_credentials&client_id=accede&client_secret=hush%21&scope=scim";
            assert_eq!((asked.method.as_str(), asked.body.as_str()), ("POST", form));
            Action::Answer(200, String::new(), fetched.to_owned())
        }
        false => Action::Pass,
    });
    let port = target.proxy.port;
    let settings = json!({
        "baseUrl": format!("http://127.0.0.1:{port}/v2"), "roles": ["editor"],
        "tokenUrl": format!("http://127.0.0.1:{port}/token"), "clientId": "accede", "scope": "scim",
    });
    let on = connect::open("scim", settings, ("clientSecret", "hush!"));
    let answers = ensure(&on, &people, &role("roles/editor"), Wanted::Granted).await;
    assert_eq!(answers, [Ok(Done::Applied)]);
    let tokens = target.proxy.take_log().iter().filter(|asked| asked.path == "/token").count();
    assert_eq!(tokens, 1);
}

#[test]
fn values_are_named_once_and_readably() {
    let refused = |name: &str, values: Value| {
        let mut settings = json!({ "baseUrl": "https://wiki.example/scim" });
        settings[name] = values;
        let settings = connect::settings(settings, ("bearerToken", "t"));
        kinds::validate("scim", &settings, &Policy::default()).map_err(|p| p.to_string())
    };
    assert_eq!(refused("roles", json!(["editor", "Editor"])), Ok(()));
    assert!(refused("roles", json!(["a", " a "])).unwrap_err().contains("names a value twice"));
    assert!(refused("entitlements", json!([" "])).unwrap_err().contains("`settings.entitlements`"));
    assert!(refused("entitlements", json!("a")).unwrap_err().contains("list of texts"));
}
