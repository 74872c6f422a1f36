//! Who may do what through which door: every route, tried by every kind of caller.
//!
//! The table says what each is answered, a letter per caller in the order of [`CALLERS`]: `u` 401,
//! `f` 403, `h` 404 (hidden, or not there), `b` 400 (the request itself is refused, before rights or
//! after), `a` anything else: allowed as far as rights go.

use std::fmt::Write as _;

use axum::http::Method;

use crate::doors::{self, Ids};
use crate::routes;
use crate::world::World;

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

/// The letters of every route.
async fn table() -> String {
    let mut routes = routes::all();
    // What is deleted cannot be asked for; deletions come last.
    routes.sort_by_key(|route| route.method == Method::DELETE);
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
            let path = ids.fill(&route.path);
            let answer = if path.ends_with("/users/import") {
                door.upload(&path, "text/csv", "").await
            } else {
                let body = (!reads).then(|| doors::base(&ids, &path));
                door.send(route.method.clone(), &path, body).await
            };
            letters.push(match answer.status {
                401 => 'u',
                403 => 'f',
                404 => 'h',
                400 => 'b',
                _ => 'a',
            });
        }
    }
    let mut lines = String::new();
    for (route, letters) in routes.iter().zip(&letters) {
        writeln!(lines, "{letters} {} {}", route.method, route.path).unwrap();
    }
    lines
}

#[tokio::test]
async fn rights_are_as_the_table_says() {
    let found = table().await;
    let expected = include_str!("matrix.txt");
    let expected: Vec<&str> = expected.lines().filter(|line| !line.starts_with('#')).collect();
    let found: Vec<&str> = found.lines().collect();
    for line in &found {
        assert!(expected.contains(line), "not in matrix.txt: {line}");
    }
    for line in expected {
        assert!(found.contains(&line), "no such answer: {line}");
    }
}
