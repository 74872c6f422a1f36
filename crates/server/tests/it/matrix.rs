//! Who may do what through which door: every route, tried by every kind of caller.
//!
//! The table says what each is answered, a letter per caller in the order of [`CALLERS`]: `u` 401,
//! `f` 403, `h` 404 (hidden, or not there), `b` 400 (the request itself is refused, before rights or
//! after), `a` anything else: allowed as far as rights go.

use std::cmp::Reverse;
use std::fmt::Write as _;

use axum::http::Method;
use serde_json::json;

use crate::doors::{self, Ids};
use crate::portal::Reader;
use crate::routes::{self, Route};
use crate::world::{EM, World};

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

/// The letters of every route.
async fn table() -> String {
    let mut routes = routes::all();
    // What is deleted cannot be asked for; deletions come last, those of what is inside first.
    routes.sort_by_key(|route| {
        let is_deletion = route.method == Method::DELETE;
        (is_deletion, if is_deletion { Reverse(route.path.split('/').count()) } else { Reverse(0) })
    });
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
            let reads = route.method == Method::GET || route.method == Method::DELETE;
            let path = asked(&ids, route);
            let answer = if path.ends_with("/users/import") {
                door.upload(&path, "text/csv", "userPrincipalName\nnew@h.example\n").await
            } else {
                let body = (!reads).then(|| doors::base(&ids, &path));
                door.send(route.method.clone(), &path, body).await
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
                reader.post(&path, &[]).await
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
        let reads = routes::all()
            .into_iter()
            .filter(|route| route.method == Method::GET && route.path.starts_with("/v1.0/"));
        let paths: Vec<String> = reads.map(|route| asked(&ids, &route)).collect();
        for some in paths.chunks(20) {
            let entries = some.iter().zip(0..).map(|(path, n)| {
                let url = path.trim_start_matches("/v1.0");
                json!({ "id": n.to_string(), "method": "GET", "url": url })
            });
            let entries: Vec<_> = entries.collect();
            let answer = door.post("/v1.0/$batch", json!({ "requests": entries })).await;
            let answer = answer.expect(200);
            for (path, n) in some.iter().zip(0..) {
                let responses = answer["responses"].as_array().unwrap();
                let id = n.to_string();
                let inside = responses.iter().find(|one| one["id"].as_str() == Some(&id)).unwrap();
                let outside = door.get(path).await;
                assert_eq!(inside["status"], outside.status, "{name} {path}");
            }
        }
    }
}
