//! The invariants of `ARCHITECTURE.md` that can be checked by reading text: where SQL, status codes,
//! HTML and `spawn` may stand, what crates depend on, and whether documents name things that exist.
//!
//! Not for anything a compiler or clippy can check. Every rule is a function from text to
//! violations, tried on small samples below, then on the repository. An exception is an entry in a
//! list with its reason; an entry that is no longer needed fails too.
#![expect(clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A rule broken at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Violation {
    line: usize,
    what: String,
}

/// A file that may break a rule, and why.
type Exceptions = &'static [(&'static str, &'static str)];

/// Longest source file before it needs a reason (lines).
const LONGEST_FILE: usize = 800;

const SQL_EXCEPTIONS: Exceptions = &[(
    "crates/connectors/src/postgres/sql.rs",
    "asks a target about its roles; of our own tables it knows nothing",
)];

const STATUS_EXCEPTIONS: Exceptions = &[
    ("crates/server/src/metrics.rs", "a scraper is told by status that there is nothing to read"),
    ("crates/server/src/oauth.rs", "the token endpoint answers in OAuth's own terms, not Graph's"),
    ("crates/server/src/portal/form_page.rs", "a refused form is shown again, as 400"),
    ("crates/server/src/portal/assets.rs", "304 for what a browser already has"),
    (
        "crates/server/src/portal/sign_in.rs",
        "a refused sign-in shows the form again, as 401 or 429",
    ),
    (
        "crates/server/src/serve.rs",
        "probes are answered by status, and so are requests that take too long or say too much",
    ),
];

const HTML_EXCEPTIONS: Exceptions = &[];

const SPAWN_EXCEPTIONS: Exceptions = &[(
    "crates/connectors/src/ldap/line.rs",
    "moves the bytes of one connection, and ends with it",
)];

const LENGTH_EXCEPTIONS: Exceptions = &[
    ("crates/app/src/requests.rs", "every verb of a request, one after the other"),
    ("crates/app/src/resources.rs", "resources with roles, scopes and the requests that add them"),
    ("crates/server/src/cli/remote.rs", "every command that speaks to a server"),
    ("crates/server/src/api/access_packages.rs", "packages with all that hangs under their path"),
];

/// Names in documents that no file of the repository bears, and why.
const DOCUMENT_EXCEPTIONS: Exceptions = &[
    ("accede.toml", "the operator's settings, in a data directory"),
    ("instance.json", "what a data directory remembers of its database"),
];

/// What each crate may depend on, of ours and (for `domain`) of others.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["accede-domain"]),
    ("connectors", &["accede-domain"]),
    ("app", &["accede-connectors", "accede-domain", "accede-store"]),
    ("server", &["accede-app", "accede-domain"]),
];
const DOMAIN_DEPENDENCIES: &[&str] = &["jiff", "serde", "thiserror", "uuid"];

// ---------------------------------------------------------------------------------------------
// Reading

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Folders that are made, not written.
const MADE: &[&str] = &["target", "node_modules", ".git", ".cache", "screenshots", "__pycache__"];

/// Every file of the repository by its path from the root, sorted.
fn files() -> Vec<String> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if MADE.contains(&name) {
            } else if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort();
    found
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Rust sources of the crates, without their tests.
fn sources() -> Vec<String> {
    let is_test = |path: &str| path.ends_with("_tests.rs") || path.ends_with("/tests.rs");
    files()
        .into_iter()
        .filter(|path| path.starts_with("crates/") && path.contains("/src/"))
        .filter(|path| path.ends_with(".rs") && !is_test(path))
        .collect()
}

/// A piece of Rust source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Text,
    Comment,
}

/// Splits Rust source into code, the contents of string literals, and comments, each with the line
/// it begins on. What follows `#[cfg(test)]` before a `mod` is left out: tests stand last in a file.
fn pieces(source: &str) -> Vec<(Kind, usize, String)> {
    let chars: Vec<char> = untested(source).chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut found: Vec<(Kind, usize, String)> = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let (start, begin) = (i, line);
        let word_before = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
        let kind = if at(i) == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
            Kind::Comment
        } else if at(i) == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
            Kind::Comment
        } else if at(i) == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
            Kind::Text
        } else if at(i) == 'r' && !word_before && raw_hashes(&chars, i + 1).is_some() {
            let hashes = raw_hashes(&chars, i + 1).unwrap_or(0);
            i += hashes + 2;
            while i < chars.len()
                && !(at(i) == '"' && (1..=hashes).all(|offset| at(i + offset) == '#'))
            {
                i += 1;
            }
            i += hashes + 1;
            Kind::Text
        } else if at(i) == '\'' && at(i + 1) == '\\' {
            i += 3;
            while i < chars.len() && at(i - 1) != '\'' {
                i += 1;
            }
            Kind::Code
        } else if at(i) == '\'' && at(i + 2) == '\'' {
            i += 3;
            Kind::Code
        } else {
            i += 1;
            Kind::Code
        };
        i = i.min(chars.len());
        let text: String = chars.get(start..i).unwrap_or_default().iter().collect();
        line += text.matches('\n').count();
        match found.last_mut() {
            Some((Kind::Code, _, code)) if kind == Kind::Code => code.push_str(&text),
            _ => found.push((kind, begin, text)),
        }
    }
    found
}

/// The number of `#` between `r` and `"`, if this is a raw string.
fn raw_hashes(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars.iter().skip(from).take_while(|char| **char == '#').count();
    (chars.get(from + hashes) == Some(&'"')).then_some(hashes)
}

fn untested(source: &str) -> &str {
    let mut from = 0;
    while let Some(found) = source.get(from..).and_then(|rest| rest.find("#[cfg(test)]")) {
        let begin = from + found;
        let after = source.get(begin..).unwrap_or("");
        let item = after.lines().map(str::trim).find(|line| !line.starts_with("#[")).unwrap_or("");
        if item.starts_with("mod ") && item.ends_with('{') {
            return source.get(..begin).unwrap_or(source);
        }
        from = begin + 1;
    }
    source
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Every place of `needle` in the code of a source.
fn in_code(source: &str, needles: &[&str]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (_, begin, code) in pieces(source).into_iter().filter(|piece| piece.0 == Kind::Code) {
        for (offset, text) in code.lines().enumerate() {
            for needle in needles.iter().filter(|needle| text.contains(**needle)) {
                found.push(Violation { line: begin + offset, what: (*needle).to_owned() });
            }
        }
    }
    found
}

/// Every string literal of a source that a test answers to.
fn in_texts(source: &str, is_broken: fn(&str) -> bool) -> Vec<Violation> {
    pieces(source)
        .into_iter()
        .filter(|(kind, _, text)| *kind == Kind::Text && is_broken(text))
        .map(|(_, line, text)| Violation { line, what: words(&text).chars().take(60).collect() })
        .collect()
}

// ---------------------------------------------------------------------------------------------
// Rules

/// Whether a text is SQL rather than a sentence with a word of it.
fn is_sql(text: &str) -> bool {
    let text = format!("{} ", words(text.trim_matches(['"', 'r', '#', 'b'])));
    let begins = |start: &str| text.starts_with(start);
    (begins("select ") && text.contains(" from "))
        || (begins("with ") && text.contains(" as (select "))
        || begins("insert into ")
        || begins("delete from ")
        || (begins("update ") && text.contains(" set "))
        || ["create", "alter", "drop"].iter().any(|verb| begins(&format!("{verb} table ")))
}

/// Whether a text holds markup: a closing tag, or a page's first line.
fn is_html(text: &str) -> bool {
    let text = text.to_lowercase();
    let closes = |rest: &str| {
        let name = rest.chars().take_while(char::is_ascii_alphanumeric).count();
        name > 0 && rest.chars().nth(name) == Some('>')
    };
    text.contains("<!doctype") || text.split("</").skip(1).any(closes)
}

fn sql_outside_store(source: &str) -> Vec<Violation> {
    in_texts(source, is_sql)
}

fn html_outside_portal(source: &str) -> Vec<Violation> {
    in_texts(source, is_html)
}

fn status_codes(source: &str) -> Vec<Violation> {
    in_code(source, &["StatusCode::"])
}

fn spawns(source: &str) -> Vec<Violation> {
    in_code(source, &["tokio::spawn", "task::spawn(", "thread::spawn", "thread::Builder"])
}

/// Debts without an owner: `TODO` and its like must carry an issue's number, as in `TODO(#7)`.
fn debts(source: &str) -> Vec<Violation> {
    let marks = ["TODO", "FIXME", "XXX", "HACK"];
    let mut found = Vec::new();
    for (_, begin, text) in pieces(source).into_iter().filter(|piece| piece.0 == Kind::Comment) {
        for (offset, line) in text.lines().enumerate() {
            for mark in marks {
                let owes = line.split(mark).skip(1).any(|rest| !rest.starts_with("(#"));
                if owes {
                    found.push(Violation { line: begin + offset, what: mark.to_owned() });
                }
            }
        }
    }
    found
}

/// The dependency names of one section of a manifest.
fn dependencies(manifest: &str, section: &str) -> BTreeSet<String> {
    manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != format!("[{section}]"))
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(['.', '=', ' ']).next().unwrap_or("").to_owned())
        .collect()
}

/// Hosts that packages come from, and places of one machine. Spelled in halves, for this file too
/// is read.
fn unwelcome() -> Vec<String> {
    [
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("registry.npmjs", ".org"),
        ("index.crates", ".io"),
        ("static.crates", ".io"),
        ("deb.debian", ".org"),
        ("proxy.golang", ".org"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("/wo", "rk/"),
    ]
    .iter()
    .map(|(one, two)| format!("{one}{two}"))
    .collect()
}

fn foreign_places(text: &str) -> Vec<Violation> {
    let unwelcome = unwelcome();
    let starts_a_path = |line: &str, at: usize| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !before.is_some_and(|char| char.is_alphanumeric() || "._-/}$)".contains(char))
    };
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for place in &unwelcome {
            let is_host = !place.starts_with('/');
            if line.match_indices(place.as_str()).any(|(at, _)| is_host || starts_a_path(line, at))
            {
                found.push(Violation { line: number + 1, what: place.clone() });
            }
        }
    }
    found
}

/// The paths that a document names: in backticks, or as the target of a link.
fn named_paths(document: &str) -> Vec<(usize, String)> {
    const ENDINGS: &[&str] = &[
        ".rs", ".md", ".toml", ".sh", ".txt", ".html", ".css", ".js", ".mjs", ".py", ".json",
        ".png", ".svg", ".csv", ".lock",
    ];
    const ROOTS: &[&str] =
        &["crates/", "docs/", "scripts/", "tests/", "fuzz/", "benches/", ".ci/", "examples/"];
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in document.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let quoted = line.split('`').enumerate().filter(|(i, _)| i % 2 == 1).map(|(_, text)| text);
        for text in quoted {
            let text = text.split("::").next().unwrap_or(text).trim_end_matches('/');
            let text = text.split_once(' ').map_or(text, |(command, _)| command);
            let plain = text.chars().all(|char| char.is_alphanumeric() || "._-/".contains(char));
            let named = ROOTS.iter().any(|root| format!("{text}/").starts_with(root))
                || ENDINGS.iter().any(|ending| text.ends_with(ending) && text.len() > ending.len());
            if plain && named && !text.starts_with(['/', '-']) {
                found.push((number + 1, text.to_owned()));
            }
        }
        for rest in line.split("](").skip(1) {
            let link = rest.split([')', '#', ' ']).next().unwrap_or("").trim_end_matches('/');
            if !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:") {
                found.push((number + 1, link.to_owned()));
            }
        }
    }
    found
}

/// Whether a name in a document at `document` is a file or folder: from the root, from beside the
/// document, or as the tail of exactly such a path (`store/src/requests.rs`).
fn exists(name: &str, document: &str, files: &[String]) -> bool {
    let beside = Path::new(document).parent().unwrap_or(Path::new(""));
    let mut parts: Vec<&str> = beside.to_str().unwrap_or("").split('/').collect();
    for part in name.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/").trim_start_matches('/').to_owned();
    files.iter().any(|file| {
        [name, joined.as_str()].iter().any(|path| {
            let path = path.trim_start_matches("./");
            file == path || file.starts_with(&format!("{path}/"))
        }) || file.ends_with(&format!("/{name}"))
    })
}

/// The words of one column of the glossary's tables, each in backticks, by its heading.
fn column(glossary: &str, heading: &str) -> Vec<(usize, String)> {
    let mut place = None;
    let mut found = Vec::new();
    for (number, line) in glossary.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if !line.starts_with('|') {
            place = None;
        } else if place.is_none() {
            place = Some(cells.iter().position(|cell| *cell == heading).unwrap_or(usize::MAX));
        } else if let Some(cell) = place.and_then(|place| cells.get(place)) {
            let quoted = cell.split('`').enumerate().filter(|(i, _)| i % 2 == 1);
            found.extend(quoted.map(|(_, word)| (number + 1, word.to_owned())));
        }
    }
    found
}

/// The types that a source declares: `struct`, `enum`, `trait`, `type`, and the lines of `ids!`.
fn declared(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, _, code) in pieces(source).into_iter().filter(|piece| piece.0 == Kind::Code) {
        for line in code.lines().map(str::trim) {
            let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let mut tokens = line.split(|char: char| !char.is_alphanumeric() && char != '_');
            let first = tokens.next().unwrap_or("");
            if ["struct", "enum", "trait", "type"].contains(&first) {
                found.extend(tokens.next().map(str::to_owned));
            } else if line.strip_suffix(';') == Some(first) {
                found.insert(first.to_owned());
            }
        }
    }
    found
}

// ---------------------------------------------------------------------------------------------
// Judging

/// Fails with every violation outside the exceptions, and with every exception that is not needed.
fn judge(
    rule: impl Fn(&str) -> Vec<Violation>,
    paths: impl IntoIterator<Item = String>,
    exceptions: Exceptions,
    advice: &str,
) {
    let mut complaints = Vec::new();
    let mut used = BTreeSet::new();
    for path in paths {
        let violations = rule(&read(&path));
        if exceptions.iter().any(|(excepted, _)| *excepted == path) {
            if !violations.is_empty() {
                used.insert(path);
            }
            continue;
        }
        complaints.extend(
            violations.iter().map(|found| format!("{path}:{}: `{}`", found.line, found.what)),
        );
    }
    for (path, _) in exceptions.iter().filter(|(path, _)| !used.contains(*path)) {
        complaints.push(format!("{path}: needs no exception any more; remove its entry"));
    }
    assert!(complaints.is_empty(), "\n{}\n→ {advice}\n", complaints.join("\n"));
}

fn outside(folders: &'static [&'static str]) -> impl Iterator<Item = String> {
    sources().into_iter().filter(move |path| !folders.iter().any(|from| path.starts_with(from)))
}

fn documents() -> Vec<String> {
    files()
        .into_iter()
        .filter(|path| path.ends_with(".md"))
        .filter(|path| !path.contains('/') || path.starts_with("docs/"))
        .collect()
}

#[test]
fn sql_stands_only_in_the_store() {
    judge(
        sql_outside_store,
        // The benchmarks' baselines are the bare loops that we are measured against.
        outside(&["crates/store/", "crates/bench/"]),
        SQL_EXCEPTIONS,
        "move the statement into a function of crates/store, and call that",
    );
}

#[test]
fn status_codes_stand_only_in_the_api() {
    judge(
        status_codes,
        // A connector reads what a target answered, and the benchmarks play a target; neither
        // decides what we answer.
        outside(&["crates/server/src/api/", "crates/connectors/", "crates/bench/"]),
        STATUS_EXCEPTIONS,
        "return an `app::Error`; crates/server/src/api/error.rs turns it into a status",
    );
}

#[test]
fn html_stands_only_in_the_portal() {
    judge(
        html_outside_portal,
        outside(&["crates/server/src/portal"]),
        HTML_EXCEPTIONS,
        "put markup into a template of the portal",
    );
}

#[test]
fn nothing_is_spawned_outside_main_and_worker() {
    let paths = outside(&["crates/bench/"]).filter(|path| {
        !path.ends_with("/main.rs") && !path.ends_with("/worker.rs") && !path.contains("/worker/")
    });
    judge(
        spawns,
        paths,
        SPAWN_EXCEPTIONS,
        "make it a row that the worker finds, or add an entry that says why it may be lost",
    );
}

#[test]
fn every_debt_has_an_issue() {
    judge(debts, sources(), &[], "write the issue's number, as in `TODO(#7)`, or do it now");
}

#[test]
fn no_source_file_outgrows_its_reader() {
    let too_long = |source: &str| {
        let lines = untested(source).lines().count();
        let what = format!("{lines} lines");
        if lines > LONGEST_FILE { vec![Violation { line: lines, what }] } else { Vec::new() }
    };
    let is_simulation = |path: &String| path.starts_with("crates/app/tests/simulation/");
    let mut paths = sources();
    paths.extend(files().into_iter().filter(is_simulation).filter(|path| path.ends_with(".rs")));
    judge(too_long, paths, LENGTH_EXCEPTIONS, "split by noun or verb, or add a reason");
}

#[test]
fn crates_depend_only_downwards() {
    for (name, allowed) in ARROWS {
        let manifest = read(&format!("crates/{name}/Cargo.toml"));
        let found = dependencies(&manifest, "dependencies");
        for ours in found.iter().filter(|dependency| dependency.starts_with("accede-")) {
            assert!(
                allowed.contains(&ours.as_str()),
                "crates/{name}/Cargo.toml: {name} must not depend on {ours}; see ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn the_rules_depend_on_four_crates() {
    let manifest = read("crates/domain/Cargo.toml");

    let found = dependencies(&manifest, "dependencies");

    let allowed: BTreeSet<String> = DOMAIN_DEPENDENCIES.iter().map(ToString::to_string).collect();
    assert_eq!(found, allowed, "crates/domain/Cargo.toml: the rules need values, not services");
}

#[test]
fn no_file_names_a_registry_or_a_place_of_one_machine() {
    const BINARY: &[&str] = &[".png", ".ico", ".woff2", ".db", ".gz"];
    // Cargo writes the registry's name into its lock file itself.
    let paths = files()
        .into_iter()
        .filter(|path| path != "Cargo.lock" && !BINARY.iter().any(|ending| path.ends_with(ending)));
    judge(
        foreign_places,
        paths,
        &[],
        "leave it out; for package-lock.json: npm install --omit-lockfile-registry-resolved",
    );
}

#[test]
fn every_file_named_in_a_document_exists() {
    let files = files();
    let mut complaints = Vec::new();
    let mut used = BTreeSet::new();
    for document in documents() {
        for (line, name) in named_paths(&read(&document)) {
            if exists(&name, &document, &files) {
                continue;
            }
            if DOCUMENT_EXCEPTIONS.iter().any(|(excepted, _)| *excepted == name) {
                used.insert(name);
            } else {
                complaints.push(format!("{document}:{line}: there is no `{name}`"));
            }
        }
    }
    for (name, _) in DOCUMENT_EXCEPTIONS.iter().filter(|(name, _)| !used.contains(*name)) {
        complaints.push(format!("`{name}`: needs no exception any more; remove its entry"));
    }
    assert!(complaints.is_empty(), "\n{}\n→ correct the document\n", complaints.join("\n"));
}

#[test]
fn every_word_of_the_glossary_is_in_the_code() {
    let glossary = read("docs/glossary.md");
    let known: BTreeSet<String> = sources().iter().flat_map(|path| declared(&read(path))).collect();
    let schema = read("crates/store/src/schema.rs");
    let types = column(&glossary, "Rust");
    let tables = column(&glossary, "Table");
    assert!(types.len() > 20 && tables.len() > 10, "the glossary's tables were not found");

    let mut complaints = Vec::new();
    for (line, word) in types {
        let name = word.rsplit("::").next().unwrap_or(&word);
        if !known.contains(name) {
            complaints.push(format!("docs/glossary.md:{line}: no crate declares a type `{word}`"));
        }
    }
    for (line, table) in tables {
        if !schema.contains(&format!("create table {table} (")) {
            complaints.push(format!("docs/glossary.md:{line}: no migration makes `{table}`"));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n→ one word per thing\n", complaints.join("\n"));
}

// ---------------------------------------------------------------------------------------------
// The rules on samples: each must find what it is for, where it is, and nothing else.

fn lines(found: &[Violation]) -> Vec<usize> {
    found.iter().map(|violation| violation.line).collect()
}

#[test]
fn pieces_tell_code_from_texts_and_comments() {
    let source = "let a = \"one // \\\" two\"; // say \"three\"\nlet b = r#\"four \" five\"#;\n\
                  let c = '\"'; /* six /* seven */ */ let d: &'static str = \"eight\";";

    let found = pieces(source);

    let of = |kind| -> Vec<(usize, &str)> {
        let same = found.iter().filter(move |piece| piece.0 == kind);
        same.map(|(_, line, text)| (*line, text.as_str())).collect()
    };
    assert_eq!(
        of(Kind::Text),
        [(1, "\"one // \\\" two\""), (2, "r#\"four \" five\"#"), (3, "\"eight\"")]
    );
    assert_eq!(of(Kind::Comment), [(1, "// say \"three\""), (3, "/* six /* seven */ */")]);
}

#[test]
fn sql_is_found_in_texts_only() {
    let broken = "fn f() {\n    tx.query(\n        \"select id\n         from requests\", &[]);\n}";
    let clean =
        "// select id from requests\nlet select = \"select a package from the list\".len();";

    assert_eq!(lines(&sql_outside_store(broken)), [3]);
    assert!(is_sql("\"update requests set id = id where id = $1\""));
    assert!(is_sql("\"insert into audit (id) values ($1)\""));
    assert!(is_sql("r#\"delete from sessions\"#"));
    assert!(!is_sql("\"cannot delete from a catalog in use\""));
    assert!(!is_sql("\"update the setting in accede.toml\""));
    assert_eq!(sql_outside_store(clean).len(), 1, "a sentence that begins like SQL is reworded");
}

#[test]
fn status_codes_are_found_in_code_only() {
    let source = "/// See [`StatusCode::OK`].\nfn f() -> StatusCode { StatusCode::OK }";

    assert_eq!(lines(&status_codes(source)), [2]);
}

#[test]
fn html_is_found_by_its_closing_tags() {
    let source =
        "let a = \"<b>bold</b>\";\nlet b = \"a < b and </ c\";\nlet c = \"<!DOCTYPE html>\";";

    assert_eq!(lines(&html_outside_portal(source)), [1, 3]);
}

#[test]
fn spawns_are_found_outside_tests() {
    let source = "fn a() { tokio::spawn(async {}); }\nfn b() { std::thread::spawn(f); }\n\
                  #[cfg(test)]\nmod tests {\n    fn c() { tokio::spawn(async {}); }\n}";

    assert_eq!(lines(&spawns(source)), [1, 2]);
}

#[test]
fn debts_need_a_number() {
    assert_eq!(lines(&debts("// TODO tidy up\n// TODO(#7): tidy up\nlet todo = \"TODO\";")), [1]);
}

#[test]
fn dependencies_are_read_from_their_section() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# why\na.workspace = true\n\
                    b = \"1\"\n\n[dev-dependencies]\nc = \"1\"\n";

    assert_eq!(dependencies(manifest, "dependencies").into_iter().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn registries_and_places_of_one_machine_are_found() {
    let host = ["https://registry.npmjs", ".org/x"].concat();
    let place = ["cat /ro", "ot/notes"].concat();
    let clean = ["$DIR/ro", "ot/x and assignments/wo", "rk/"].concat();

    assert_eq!(lines(&foreign_places(&format!("{clean}\n{host}\n{place}"))), [2, 3]);
}

#[test]
fn named_paths_are_backticked_or_linked() {
    let document = "See `crates/store/src/lib.rs`, `requests.rs::lock`, `scripts/test` and\n\
                    [this](docs/glossary.md#words) or [that](../up.md); not `application/json`,\n\
                    not `/v1.0/x.md`, not `GET /a/{id}`, not [out](https://example.org/a.md).\n\
                    ```\n`crates/none.rs`\n```\n`tests/clients/run --all`";

    let found: Vec<String> = named_paths(document).into_iter().map(|(_, path)| path).collect();

    assert_eq!(
        found,
        [
            "crates/store/src/lib.rs",
            "requests.rs",
            "scripts/test",
            "docs/glossary.md",
            "../up.md",
            "tests/clients/run"
        ]
    );
}

#[test]
fn a_named_path_exists_from_the_root_or_beside_the_document_or_as_a_tail() {
    let files = ["docs/a/b.md", "docs/c.md", "crates/store/src/lib.rs"].map(str::to_owned);

    for name in ["docs/c.md", "../c.md", "b.md", "store/src/lib.rs", "crates/store", "lib.rs"] {
        assert!(exists(name, "docs/a/x.md", &files), "{name}");
    }
    for name in ["c/d.md", "../../c.md", "ib.rs", "docs/a/c.md"] {
        assert!(!exists(name, "docs/a/x.md", &files), "{name}");
    }
}

#[test]
fn glossary_columns_and_declarations_are_read() {
    let glossary = "| Graph | Rust |\n|---|---|\n| a | `One`, `m::Two` |\n\ntext `Three`\n";
    let source = "pub struct One(u8);\nids! {\n    /// A two.\n    Two;\n}\n// struct Three;\n";

    let found: Vec<String> = column(glossary, "Rust").into_iter().map(|(_, word)| word).collect();

    assert_eq!(found, ["One", "m::Two"]);
    assert_eq!(declared(source).into_iter().collect::<Vec<_>>(), ["One", "Two"]);
}

#[test]
#[should_panic(expected = "remove its entry")]
fn an_exception_that_is_not_needed_fails() {
    judge(spawns, ["Cargo.toml".to_owned()], &[("Cargo.toml", "none")], "never");
}

#[test]
#[should_panic(expected = "crates/server/Cargo.toml:1")]
fn a_violation_names_its_file_and_line() {
    let everywhere = |_: &str| vec![Violation { line: 1, what: "x".to_owned() }];
    judge(everywhere, ["crates/server/Cargo.toml".to_owned()], &[], "never");
}
