//! Who may do what through which door: every route, tried by every kind of caller.
//!
//! The table says what each is answered, a letter per caller in the order of [`CALLERS`]: `u` 401,
//! `f` 403, `h` 404 (hidden, or not there), `b` 400 (the request itself is refused, before rights or
//! after), `a` anything else: allowed as far as rights go.

use std::cmp::Reverse;
use std::fmt::Write as _;

use accede_app::tokens::Wish;
use accede_server::cli::data;
use accede_server::config::Sources;
use accede_server::portal::Portal;
use accede_server::serve;
use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::doors::{self, Ids};
use crate::matrix_forms;
use crate::portal::Reader;
use crate::routes::{self, Route};
use crate::world::{Door, EM, World};

/// The name of a kind of caller and the roles it holds; without roles at all, it has no token.
const CALLERS: &[(&str, Option<&[&str]>)] = &[
    ("anonymous", None),
    ("stranger", Some(&[])),
    ("reader", Some(&["Catalog reader:Marketing"])),
    ("assigner", Some(&["Access package assignment manager:Marketing"])),
    ("manager", Some(&["Access package manager:Marketing"])),
    ("owner", Some(&["Catalog owner:Marketing"])),
    ("other", Some(&["Catalog owner:Other"])),
    ("useradmin", Some(&["User Administrator"])),
    ("governor", Some(&["Identity Governance Administrator"])),
    ("global", Some(&["Global Administrator"])),
];

/// The path to send, with what its route cannot be asked without.
fn asked(ids: &Ids, route: &Route) -> String {
    let path = ids.fill(&route.path);
    let me = match &path {
        path if path.contains("/accessPackages/") => "allowedRequestor",
        path if path.contains("Approvals/") => "approver",
        path if path.contains("/assignments/") => "target",
        _ => "createdBy",
    };
    let path = path.replace("/filterByCurrentUser", &format!("/filterByCurrentUser(on='{me}')"));
    let both = format!(
        "/additionalAccess(accessPackageId='{}',incompatibleAccessPackageId='{}')",
        ids.of("accessPackages"),
        ids.of("incompatibleAccessPackages"),
    );
    let path = path.replace("/additionalAccess", &both);
    let mut ends = route.path.rsplit('/');
    let (last, before) = (ends.next().unwrap(), ends.next().unwrap());
    if route.method == Method::DELETE
        && last == "$ref"
        && !before.starts_with('{')
        && before != "manager"
    {
        let within = if before.ends_with("Packages") { EM } else { "/v1.0" };
        let noun = match before {
            "members" | "owners" => "users",
            "incompatibleGroups" => "groups",
            _ => "accessPackages",
        };
        return format!("{path}?@id=http://accede.test{within}/{noun}/{}", ids.of(before));
    }
    if path.contains("/resourceEnvironments") && !route.path.contains('{') {
        return format!("{path}?$filter=originSystem eq 'wiki'");
    }
    path
}

/// Every route. What is deleted cannot be asked for; deletions come last, those of what is inside
/// first.
fn in_order() -> Vec<Route> {
    let mut routes = routes::all();
    routes.sort_by_key(|route| {
        let is_deletion = route.method == Method::DELETE;
        (is_deletion, if is_deletion { Reverse(route.path.split('/').count()) } else { Reverse(0) })
    });
    routes
}

/// The body that a route is sent, if it takes one.
fn body(ids: &Ids, route: &Route, path: &str) -> Option<Value> {
    let reads = route.method == Method::GET || route.method == Method::DELETE;
    (!reads).then(|| doors::base(ids, path))
}

/// The letters of every route.
async fn table() -> String {
    let routes = in_order();
    let mut letters = vec![String::new(); routes.len()];
    for (name, roles) in CALLERS {
        let world = World::new().await;
        let ada = world.administrator().await;
        let ids = Ids::new(&world, &ada).await;
        ada.catalog("Other").await;
        world.user(name).await;
        let door = match roles {
            Some(roles) => world.person(name, roles).await,
            None => world.nobody(),
        };
        for (route, letters) in routes.iter().zip(&mut letters) {
            let path = asked(&ids, route);
            let answer = if path.ends_with("/users/import") {
                door.upload(&path, "text/csv", "userPrincipalName\nnew@h.example\n").await
            } else {
                door.send(route.method.clone(), &path, body(&ids, route, &path)).await
            };
            letters.push(letter(answer.status));
        }
    }
    lines(&routes, &letters)
}

/// What a status says of the caller's rights.
fn letter(status: u16) -> char {
    match status {
        401 => 'u',
        403 => 'f',
        404 => 'h',
        400 => 'b',
        _ => 'a',
    }
}

fn lines(routes: &[Route], letters: &[String]) -> String {
    let mut lines = String::new();
    for (route, letters) in routes.iter().zip(letters) {
        writeln!(lines, "{letters} {} {}", route.method, route.path).unwrap();
    }
    lines
}

#[tokio::test]
async fn rights_are_as_the_table_says() {
    same(&table().await, include_str!("matrix.txt"));
}

/// Compares the lines of a table, in any order.
#[track_caller]
fn same(found: &str, expected: &str) {
    let expected: Vec<&str> = expected.lines().filter(|line| !line.starts_with('#')).collect();
    let found: Vec<&str> = found.lines().collect();
    let new: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
    let gone: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
    assert!(new.is_empty() && gone.is_empty(), "now {new:#?}\nno longer {gone:#?}");
}

/// The letters of every page and form of the portal; who is led to sign in gets a `u`.
async fn portal_table() -> String {
    let mut routes = routes::portal();
    // Pages first: what a form sets going keeps a page that watches it from ending.
    routes.sort_by_key(|route| {
        let path = &route.path;
        let ends = path.ends_with("/delete") || path.ends_with("/remove") || path == "/signout";
        (route.method != Method::GET, ends, Reverse(path.split('/').count()))
    });
    let mut letters = vec![String::new(); routes.len()];
    for (name, roles) in CALLERS {
        let world = World::new().await;
        let ada = world.administrator().await;
        let ids = Ids::new(&world, &ada).await;
        ada.catalog("Other").await;
        let reader = match roles {
            Some(roles) => Reader::new(&world, name, roles).await,
            None => Reader::new(&world, name, &[]).await.out(),
        };
        for (route, letters) in routes.iter().zip(&mut letters) {
            let path = ids.fill(&route.path);
            let page = if route.method == Method::GET {
                reader.get(&path).await
            } else {
                let fields = matrix_forms::fields(&ids, &route.path);
                let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
                reader.post(&path, &fields.collect::<Vec<_>>()).await
            };
            letters.push(match page.status {
                303 if page.to.starts_with("/signin") && !path.starts_with("/sign") => 'u',
                422 => 'b',
                status => letter(status),
            });
        }
    }
    lines(&routes, &letters)
}

#[tokio::test]
async fn rights_in_the_portal_are_as_the_table_says() {
    same(&portal_table().await, include_str!("matrix_portal.txt"));
}

#[tokio::test]
async fn rights_inside_a_batch_are_those_outside() {
    let mut routes = in_order();
    routes.retain(|route| route.path.starts_with("/v1.0/"));
    for (name, roles) in CALLERS {
        // What is written inside must find what was there outside: two worlds, the same calls.
        let mut outside = Vec::new();
        let mut inside = Vec::new();
        for is_batch in [false, true] {
            let world = World::new().await;
            let ada = world.administrator().await;
            let ids = Ids::new(&world, &ada).await;
            ada.catalog("Other").await;
            world.user(name).await;
            let door = match roles {
                Some(roles) => world.person(name, roles).await,
                None => world.nobody(),
            };
            if is_batch {
                for some in routes.chunks(20) {
                    inside.extend(batched(&door, &ids, some).await);
                }
                continue;
            }
            for route in &routes {
                let path = asked(&ids, route);
                let answer = door.send(route.method.clone(), &path, body(&ids, route, &path)).await;
                outside.push(answer.status);
            }
        }
        let both = outside.iter().zip(&inside);
        for (route, (outside, inside)) in routes.iter().zip(both) {
            assert_eq!(inside, outside, "{name} {} {}", route.method, route.path);
        }
        assert_eq!(inside.len(), routes.len());
    }
}

/// The statuses that these routes answer in one batch.
async fn batched(door: &Door<'_>, ids: &Ids, routes: &[Route]) -> Vec<u16> {
    let entries = routes.iter().zip(0..).map(|(route, n)| {
        let path = asked(ids, route);
        let mut entry = json!({
            "id": n.to_string(),
            "method": route.method.as_str(),
            "url": path.trim_start_matches("/v1.0"),
        });
        if let Some(body) = body(ids, route, &path) {
            entry["body"] = body;
        }
        entry
    });
    let requests: Vec<_> = entries.collect();
    let answer = door.post("/v1.0/$batch", json!({ "requests": requests })).await.expect(200);
    let responses = answer["responses"].as_array().unwrap();
    let status = |n: usize| {
        let id = n.to_string();
        let one = responses.iter().find(|one| one["id"].as_str() == Some(&id)).unwrap();
        u16::try_from(one["status"].as_u64().unwrap()).unwrap()
    };
    (0..routes.len()).map(status).collect()
}

/// What is asked of the server that belongs to no noun: path by path, by every kind of caller.
#[tokio::test]
async fn probes_and_the_token_endpoint_do_not_ask_who_one_is() {
    let paths: Vec<Route> = routes::root();
    let mut letters = vec![String::new(); paths.len()];
    for (name, roles) in CALLERS {
        let world = World::new().await;
        let door = match roles {
            Some(roles) => {
                let ada = world.administrator().await;
                ada.catalog("Marketing").await;
                ada.catalog("Other").await;
                world.user(name).await;
                world.person(name, roles).await
            }
            None => world.nobody(),
        };
        let web = data::web(&Sources::default().read().unwrap());
        let router = serve::router(&world.app, web, Portal::default(), serve::trusted(Vec::new()));
        world.app.issue_app_token("bot", &Wish::default()).await.unwrap();
        let bot = world.app.new_client_secret("bot").await.unwrap();
        for (route, letters) in paths.iter().zip(&mut letters) {
            let form = format!(
                "grant_type=client_credentials&client_id={}&client_secret={}&scope=.default",
                bot.client_id, bot.secret
            );
            let mut request = Request::builder()
                .method(route.method.clone())
                .uri(route.path.replace("{tenant}", "harbourline"))
                .header("host", "accede.test")
                .header("content-type", "application/x-www-form-urlencoded");
            if let Some(token) = door.bearer() {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let answer = router.clone().oneshot(request.body(Body::from(form)).unwrap()).await;
            let status = answer.unwrap().status().as_u16();
            letters.push(letter(status));
        }
    }
    same(&lines(&paths, &letters), include_str!("matrix_root.txt"));
}
