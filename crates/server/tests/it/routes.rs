//! Every route of the API, read from the sources: a new one is in the tests that go through all of
//! them without being written down a second time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use accede_server::api::openapi;
use axum::http::Method;
use serde_json::Value;

use crate::world::World;

/// A verb and a path, parameters in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub method: Method,
    pub path: String,
}

const VERBS: &[(&str, Method)] = &[
    ("get", Method::GET),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
];

/// The routes of the API, file by file.
pub fn all() -> Vec<Route> {
    within("src/api")
}

/// The pages and forms of the portal, file by file; not what they are dressed with.
pub fn portal() -> Vec<Route> {
    within("src/portal")
}

/// What belongs to no noun: probes and the token endpoint.
pub fn root() -> Vec<Route> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = ["serve.rs", "oauth.rs"].map(|name| std::fs::read_to_string(dir.join(name)));
    files.into_iter().flat_map(|text| read(&text.unwrap())).collect()
}

fn within(dir: &str) -> Vec<Route> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".rs") && name != "tests.rs" && name != "assets.rs" {
            found.extend(read(&std::fs::read_to_string(&file).unwrap()));
        }
    }
    found
}

/// The routes of one source: constants, the closures that put paths together, and `.route(…)`, in
/// the order of the text.
fn read(source: &str) -> Vec<Route> {
    let source = source.split("\n#[cfg(test)]").next().unwrap();
    let source = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut found = Vec::new();
    let marks = ["const ", "let ", ".route("];
    let mut rest = source.as_str();
    while let Some((at, mark)) =
        marks.iter().filter_map(|mark| Some((rest.find(mark)?, *mark))).min()
    {
        rest = &rest[at + mark.len()..];
        if mark == ".route(" {
            let call = inside(rest);
            let (path, verbs) = call.split_once(", ").unwrap();
            let path = spelled(path.trim(), &texts);
            for (verb, method) in VERBS {
                if calls(verbs, verb) {
                    found.push(Route { method: method.clone(), path: path.clone() });
                }
            }
            continue;
        }
        let Some((name, value)) = rest.split_once('=') else { continue };
        let name = name.split(':').next().unwrap().trim();
        let value = value.trim_start();
        let value = value.strip_prefix("|tail: &str| format!(").unwrap_or(value);
        if let Some(text) = literal(value) {
            texts.insert(name.to_owned(), text.to_owned());
        }
    }
    found
}

/// What stands before the parenthesis that closes the one before `text`.
fn inside(text: &str) -> &str {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// The text between the quotes with which `text` begins.
fn literal(text: &str) -> Option<&str> {
    Some(text.strip_prefix('"')?.split_once('"')?.0)
}

/// The path that an expression gives: `"/path"`, `BASE` or `&at("/tail")`.
fn spelled(expression: &str, texts: &BTreeMap<String, String>) -> String {
    if let Some(text) = literal(expression) {
        return text.to_owned();
    }
    let (name, tail) = match expression.trim_start_matches('&').split_once('(') {
        Some((name, tail)) => (name, literal(tail).unwrap()),
        None => (expression, ""),
    };
    // A literal of `{catalog}` in a constant is a parameter of the path; in a closure, a name.
    let mut path = texts[name].clone();
    for (other, text) in texts {
        path = path.replace(&format!("{{{other}}}"), text);
    }
    path.replace("{tail}", tail).replace("{{", "{").replace("}}", "}")
}

/// Whether the text calls `verb` outside of other parentheses.
fn calls(text: &str, verb: &str) -> bool {
    let mut depth = 0;
    let mut word = String::new();
    for c in text.chars() {
        match c {
            '(' if depth == 0 && word == verb => return true,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else {
            word.clear();
        }
    }
    false
}

#[test]
fn routes_are_read_from_text() {
    let source = r#"
        const EM: &str = "/v1.0/em";
        let one = |tail: &str| format!("{EM}/packages/{{id}}{tail}");
        x.route(EM, get(list).post(create))
         .route(&one("/role/{role}"), put(with(delete)))
         .route("/v1.0/me", delete(remove))
    "#;
    let found: Vec<_> =
        read(source).into_iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(
        found,
        [
            "GET /v1.0/em",
            "POST /v1.0/em",
            "PUT /v1.0/em/packages/{id}/role/{role}",
            "DELETE /v1.0/me"
        ]
    );
}

#[test]
fn every_route_is_found_once() {
    let found = all();
    let unique: BTreeSet<_> = found.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    assert_eq!(unique.len(), found.len());
    for route in &found {
        let path = &route.path;
        assert!(path.starts_with("/v1.0/") || path.starts_with("/accede/v1/"), "{path}");
    }
    let paths: BTreeSet<_> = found.iter().map(|route| route.path.as_str()).collect();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let mut written = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            written += text.split("\n#[cfg(test)]").next().unwrap().matches(".route(").count();
        }
    }
    assert_eq!(paths.len(), written, "a `.route(` that this file cannot read");
}

#[test]
fn the_document_describes_our_routes_and_no_others() {
    let ours: BTreeSet<_> = all()
        .into_iter()
        .filter(|route| route.path.starts_with("/accede/v1/"))
        .map(|route| format!("{} {}", route.method.as_str().to_lowercase(), route.path))
        .collect();
    let document = openapi::description();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described.insert(format!("{method} {path}"));
        }
    }
    assert_eq!(ours, described);
}

#[test]
fn every_reference_of_the_document_resolves() {
    fn walk<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|item| walk(item, found));
            }
            _ => {}
        }
    }
    let document = openapi::description();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "nothing at {reference}");
    }
}

/// Every option that a list can be asked, and a value that can be read.
const ASKED: [(&str, &str); 9] = [
    ("$filter", "foo%20eq%201"),
    ("$orderby", "foo"),
    ("$select", "foo"),
    ("$expand", "foo"),
    ("$top", "1"),
    ("$skip", "0"),
    ("$skiptoken", "x"),
    ("$count", "true"),
    ("$search", "x"),
];

#[tokio::test]
async fn our_lists_refuse_by_name_what_they_do_not_declare() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let lists = openapi::OPERATIONS.iter().filter(|operation| {
        operation.method == "get" && operation.answers.1.is_some_and(|name| name.ends_with("Page"))
    });
    let mut seen = 0;
    for list in lists {
        seen += 1;
        let path = list.path.replace("{id}", "0197a000-0000-7000-8000-000000000001");
        for (option, value) in ASKED {
            let takes = |name: &&str| name.trim_start_matches('$') == &option[1..];
            if list.query.iter().any(takes) {
                continue;
            }
            let body = ada.get(&format!("{path}?{option}={value}")).await.expect(400);
            assert_eq!(body["error"]["target"], option, "{path}: {body}");
            let said = body["error"]["message"].as_str().unwrap();
            for known in list.query {
                assert!(said.contains(&format!("`{known}`")), "{path}: {said}");
            }
        }
        // How many there may be at most is said, and is what the description says.
        if list.query.contains(&"$top") {
            let most = list.most();
            for wrong in ["0".to_owned(), (most + 1).to_string(), "x".to_owned()] {
                let body = ada.get(&format!("{path}?$top={wrong}")).await.expect(400);
                let said = body["error"]["message"].as_str().unwrap();
                assert!(said.contains(&format!("from 1 to {most},")), "{path}: {said}");
            }
        }
    }
    assert!(12 < seen, "{seen}");
    // JSON is what every list answers, so it can be asked for; Graph's lists stay as they are.
    ada.get("/accede/v1/failures?$format=json&$count=true").await.expect(200);
    ada.get("/v1.0/users?$orderby=displayName&$skip=0").await.expect(200);
}

#[tokio::test]
async fn what_a_target_answers_is_described() {
    let world = World::new().await;
    let ada = world.administrator().await;
    world.target(&ada, "wiki").await;
    let document = openapi::description();
    let shown = ada.get("/accede/v1/targets/wiki").await.expect(200);
    let described = &document["components"]["schemas"]["target"]["properties"];
    for (name, value) in shown.as_object().unwrap() {
        assert!(!described[name].is_null(), "`{name}` is not described");
        let inner = described[name]["properties"].as_object();
        for (member, inner) in
            value.as_object().into_iter().flatten().zip(inner.into_iter().cycle())
        {
            assert!(inner.contains_key(member.0), "`{name}/{}` is not described", member.0);
        }
    }
    let described = &document["components"]["schemas"]["delivery"]["properties"]["target"];
    assert!(!described["properties"]["isPaused"].is_null());
}

#[test]
fn every_call_that_changes_something_may_find_the_deployment_paused() {
    for (path, item) in openapi::description()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let may = |status: &str| !operation["responses"][status].is_null();
            assert!(["408", "431", "500", "507"].into_iter().all(may), "{method} {path}");
            assert!(method == "get" || may("409"), "{method} {path}");
        }
    }
}
