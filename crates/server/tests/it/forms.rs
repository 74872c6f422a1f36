//! Hostile input at every form of the portal: whatever is sent, the answer is no fault of ours, and
//! a refusal is a page that says what is wrong.

use std::collections::BTreeSet;
use std::path::Path;

use axum::http::Method;

use crate::doors::Ids;
use crate::portal::{Page, Reader};
use crate::routes;
use crate::world::World;

const FORM: &str = "application/x-www-form-urlencoded";

/// The names of every field of every form, read from the templates, and of some that are made up
/// where a page is.
fn fields() -> Vec<String> {
    let mut found = BTreeSet::new();
    for name in ["displayName", "people", "person", "group", "package", "role", "catalog", "kind"] {
        found.insert(name.to_owned());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for dir in ["templates", "src/portal"] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if !path.is_file() {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for mark in ["name=\"", "name: \"", "fields.get(\"", "form.get(\"", "form.text(\""] {
                for rest in text.split(mark).skip(1) {
                    let name = rest.split('"').next().unwrap();
                    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()) {
                        found.insert(name.to_owned());
                    }
                }
            }
        }
    }
    found.remove("csrf");
    found.into_iter().collect()
}

/// The forms, what ends something last.
fn forms() -> Vec<String> {
    let posts = routes::portal().into_iter().filter(|route| route.method == Method::POST);
    let mut paths: Vec<String> = posts.map(|route| route.path).collect();
    paths.sort_by_key(|path| {
        let ends = path.ends_with("/delete") || path.ends_with("/remove");
        (path == "/signout", ends, std::cmp::Reverse(path.split('/').count()))
    });
    paths
}

#[track_caller]
fn sound(sent: &str, page: &Page) {
    assert!(page.status < 500, "{sent}: {} {}", page.status, page.html);
    if page.status == 303 {
        assert!(page.to.starts_with('/'), "{sent}: leads to {}", page.to);
    } else {
        let start: String = page.html.chars().take(300).collect();
        assert!(page.html.contains("<h1"), "{sent}: {} without a heading: {start}", page.status);
    }
}

#[tokio::test]
async fn no_value_of_a_field_breaks_a_form() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let ids = Ids::new(&world, &ada).await;
    let other = ada.catalog("Other").await;
    let reader = Reader::new(&world, "gil", &["Global Administrator"]).await;
    let names = fields();
    assert!(20 < names.len(), "only {names:?} are fields");
    let long = "x".repeat(5_000);
    let values = [
        "",
        " ",
        "-1",
        "99999999999999999999",
        "x",
        "%00",
        "not-a-uuid",
        "%27%22%3Cb%3E",
        &other,
        "2026-02-30T99:99",
        "on",
        &long,
    ];
    for path in forms() {
        let sent = ids.fill(&path);
        for value in values {
            let mut body = format!("csrf={}", reader.token());
            for name in &names {
                body.push_str(&format!("&{name}={value}"));
            }
            let page = reader.raw(&sent, FORM, body.clone().into_bytes()).await;
            sound(&format!("{path} with {value:.40}"), &page);
            body.push_str(
                &body.split_once('&').map_or(String::new(), |(_, rest)| format!("&{rest}")),
            );
            let page = reader.raw(&sent, FORM, body.into_bytes()).await;
            sound(&format!("{path} twice with {value:.40}"), &page);
        }
    }
}

#[tokio::test]
async fn no_body_breaks_a_form() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let ids = Ids::new(&world, &ada).await;
    let reader = Reader::new(&world, "gil", &["Global Administrator"]).await;
    let with = |rest: &[u8]| [b"csrf=", reader.token().as_bytes(), rest].concat();
    let large = [b"&displayName=".as_slice(), &vec![b'x'; 1 << 20]].concat();
    let many = "&people=x".repeat(5_000);
    for path in forms() {
        let sent = ids.fill(&path);
        let bodies = [
            ("empty", Vec::new()),
            ("token alone", with(b"")),
            ("bad UTF-8", with(b"&displayName=\xff\xfe&name=%ff%fe")),
            ("cut escape", with(b"&displayName=%&name=%z")),
            ("1 MB", with(&large)),
            ("many", with(many.as_bytes())),
            ("token twice", with(b"&csrf=x")),
            ("JSON", b"{\"csrf\":1}".to_vec()),
        ];
        for (what, body) in bodies {
            for kind in [FORM, "application/json", "multipart/form-data; boundary=x"] {
                let page = reader.raw(&sent, kind, body.clone()).await;
                sound(&format!("{path} {what} as {kind}"), &page);
                // The token says that a page of ours sent it, not the type.
                let is_refused = matches!(what, "empty" | "1 MB" | "JSON");
                assert!(
                    !is_refused || 400 <= page.status || page.to.starts_with("/signin"),
                    "{path} {what} as {kind}: {}",
                    page.status
                );
            }
        }
    }
}
