//! A small organization behind the real router: a database of its own, a clock moved by hand,
//! targets that misbehave on command. One per test.
//!
//! The database is SQLite in memory; with `ACCEDE_TEST_WORLD=postgres` the same stories are told on
//! PostgreSQL.

use std::sync::Arc;

use accede_app::clock::{ManualClock, SeededEntropy};
use accede_app::groups::NewGroup;
use accede_app::tokens::Wish;
use accede_app::users::NewUser;
use accede_app::{App, Caller, Clock, Settings};
use accede_connectors::chaos::Chaos;
use accede_connectors::egress::Policy;
use accede_domain::Timestamp;
use accede_domain::id::{GroupId, UserId};
use accede_server::api::{self, Web};
use accede_store::Store;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Where entitlement management is.
pub const EM: &str = "/v1.0/identityGovernance/entitlementManagement";
/// Where our own API is.
pub const OURS: &str = "/accede/v1";

/// How long tokens last here; the clock moves by days.
const LIFETIME: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

/// An organization.
pub struct World {
    pub app: App,
    /// The database, for what no door may show.
    pub store: Store,
    clock: Arc<ManualClock>,
    router: Router,
    name: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The body, if the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        self.body
    }

    /// The error's code, if the status is this one.
    #[track_caller]
    pub fn refused(self, status: u16) -> String {
        let body = self.expect(status);
        let text = body["error"]["message"].as_str().unwrap();
        assert!(!text.is_empty() && !text.ends_with('.'), "not a sentence of ours: {text}");
        body["error"]["code"].as_str().unwrap().to_owned()
    }

    /// The property that the error is about, if the status is 400.
    #[track_caller]
    pub fn wrong(self) -> String {
        let body = self.expect(400);
        body["error"]["target"].as_str().unwrap_or_default().to_owned()
    }
}

/// Somebody who calls.
pub struct Door<'w> {
    world: &'w World,
    token: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl World {
    /// An empty organization.
    pub async fn new() -> World {
        World::with(Settings::default()).await
    }

    /// An empty organization that may connect to servers on this machine.
    pub async fn near() -> World {
        let egress = Policy::parse(&["127.0.0.0/8"], &[]).unwrap();
        World::with(Settings { egress: Arc::new(egress), ..Settings::default() }).await
    }

    /// An empty organization with these settings of its server.
    pub async fn with(settings: Settings) -> World {
        let store = match std::env::var("ACCEDE_TEST_WORLD").as_deref() {
            Ok("postgres") => accede_store::testing::postgres().await,
            _ => Store::open_in_memory().unwrap(),
        };
        store.migrate(accede_store::schema::MIGRATIONS).await.unwrap();
        let start: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let entropy = Arc::new(SeededEntropy::new(7));
        let app = App::new(store.clone(), clock.clone(), entropy.clone(), settings);
        app.prepare().await.unwrap();
        let web = Web { public_url: None, clock: clock.clone(), entropy };
        let router = api::mount(web, api::routes().with_state(app.clone()));
        let name = app.organization().unwrap().to_string();
        World { app, store, clock, router, name }
    }

    /// Moves the clock.
    pub fn later(&self, hours: i64) {
        self.clock.set(self.clock.now() + jiff::SignedDuration::from_hours(hours));
    }

    /// Adds a person.
    pub async fn user(&self, name: &str) -> UserId {
        let new = NewUser {
            user_principal_name: format!("{name}@harbourline.example"),
            display_name: name.to_owned(),
            ..NewUser::default()
        };
        self.app.create_user(&Caller::system(), new).await.unwrap().id
    }

    /// Adds a group.
    pub async fn group(&self, name: &str, members: &[UserId], owners: &[UserId]) -> GroupId {
        let new = NewGroup {
            display_name: name.to_owned(),
            members: members.to_vec(),
            owners: owners.to_vec(),
            ..NewGroup::default()
        };
        self.app.create_group(&Caller::system(), new).await.unwrap().id
    }

    /// A person's door, with roles such as `Catalog owner:General`.
    pub async fn person(&self, name: &str, roles: &[&str]) -> Door<'_> {
        let wish = Wish {
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            lifetime: Some(LIFETIME),
            ..Wish::default()
        };
        let name = format!("{name}@harbourline.example");
        let issued = self.app.issue_user_token(&name, &wish).await.unwrap();
        Door { world: self, token: Some(issued.token), headers: Vec::new() }
    }

    /// The door of a new administrator of the given directory role.
    pub async fn administrator(&self) -> Door<'_> {
        self.user("ada").await;
        self.person("ada", &["Global Administrator"]).await
    }

    /// The door of an application with these scopes; what `accede token --app` gives, if none.
    pub async fn application(&self, name: &str, scopes: &[&str]) -> Door<'_> {
        let wish = Wish {
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            lifetime: Some(LIFETIME),
            ..Wish::default()
        };
        let issued = self.app.issue_app_token(name, &wish).await.unwrap();
        Door { world: self, token: Some(issued.token), headers: Vec::new() }
    }

    /// The door of somebody without a token.
    pub fn nobody(&self) -> Door<'_> {
        Door { world: self, token: None, headers: Vec::new() }
    }

    /// Connects a target in memory; its handle misbehaves on command.
    pub async fn target(&self, ada: &Door<'_>, name: &str) -> Chaos {
        let truth = format!("{}-{name}", self.name);
        let body = json!({ "name": name, "kind": "chaos", "settings": { "name": truth } });
        ada.post(&format!("{OURS}/targets"), body).await.expect(201);
        Chaos::named(&truth)
    }

    /// Serves the router on a port of its own until the test ends; the address.
    pub async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    /// Works until nothing is ready.
    pub async fn work(&self) {
        self.app.sweep_once().await.unwrap();
        self.app.work_until_idle().await.unwrap();
    }
}

impl Door<'_> {
    /// The token that is sent.
    pub fn bearer(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The same door, with one more header in every request.
    pub fn with(&self, name: &'static str, value: &str) -> Door<'_> {
        let mut headers = self.headers.clone();
        headers.push((name, value.to_owned()));
        Door { world: self.world, token: self.token.clone(), headers }
    }

    /// Sends a request.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let path = path.replace(' ', "%20").replace('"', "%22");
        let mut request = Request::builder().method(method).uri(path).header("host", "accede.test");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let request = request.body(body).unwrap();
        let response = self.world.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 16 << 20).await.unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// A POST of something that is no JSON.
    pub async fn upload(&self, path: &str, kind: &str, body: &str) -> Answer {
        self.raw(Method::POST, path, kind, body.as_bytes().to_vec()).await
    }

    /// Sends these very bytes; `path` must be escaped already.
    pub async fn raw(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "accede.test")
            .header("content-type", kind);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = self.world.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 16 << 20).await.unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// A POST without a body.
    pub async fn act(&self, path: &str) -> Answer {
        self.send(Method::POST, path, None).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Makes a catalog; its id.
    pub async fn catalog(&self, name: &str) -> String {
        let body = json!({ "displayName": name, "description": "", "state": "published" });
        id(&self.post(&format!("{EM}/catalogs"), body).await.expect(201))
    }

    /// Makes a package; its id.
    pub async fn package(&self, catalog: &str, name: &str) -> String {
        let body = json!({ "displayName": name, "catalog": { "id": catalog } });
        id(&self.post(&format!("{EM}/accessPackages"), body).await.expect(201))
    }

    /// Adds a resource to a catalog; the id of the request that did.
    pub async fn resource(&self, catalog: &str, system: &str, origin: &str) -> String {
        let body = json!({
            "requestType": "adminAdd",
            "catalog": { "id": catalog },
            "resource": { "originSystem": system, "originId": origin },
        });
        id(&self.post(&format!("{EM}/resourceRequests"), body).await.expect(201))
    }

    /// Lets a package give the member role of a resource of its catalog.
    pub async fn role(&self, catalog: &str, package: &str, origin: &str) -> Value {
        let path = format!(
            "{EM}/catalogs/{catalog}/resources?$filter=originId eq '{origin}'&$expand=roles,scopes"
        );
        let found = self.get(&path).await.expect(200);
        let resource = &found["value"][0];
        let roles = resource["roles"].as_array().unwrap();
        let member = roles.iter().find(|role| role["displayName"] == "Member").unwrap();
        let body = json!({ "role": member, "scope": resource["scopes"][0] });
        self.post(&format!("{EM}/accessPackages/{package}/resourceRoleScopes"), body)
            .await
            .expect(201)
    }

    /// Makes a policy under which every member may ask, without approval; its id.
    pub async fn open_policy(&self, package: &str) -> String {
        let body = json!({
            "displayName": "Everybody",
            "description": "",
            "allowedTargetScope": "allMemberUsers",
            "requestorSettings": {
                "enableTargetsToSelfAddAccess": true,
                "enableTargetsToSelfRemoveAccess": true,
            },
            "accessPackage": { "id": package },
        });
        id(&self.post(&format!("{EM}/assignmentPolicies"), body).await.expect(201))
    }
}

/// The id of an object.
#[track_caller]
pub fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

/// The display names of a page.
#[track_caller]
pub fn names(page: &Value) -> Vec<&str> {
    let items = page["value"].as_array().unwrap();
    items.iter().map(|item| item["displayName"].as_str().unwrap()).collect()
}
