//! The program itself: what it prints, when it ends and how.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const ACCEDE: &str = env!("CARGO_BIN_EXE_accede");

/// A serving process; killed if the test forgets it.
pub struct Serving {
    child: Child,
    pub address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(ACCEDE);
    command.env_clear().env("ACCEDE_DATA", data);
    command
}

pub fn serve(data: &Path, more: &[&str]) -> Serving {
    let mut child = command(data)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("ready http://").unwrap_or_default().trim().to_owned();
    assert!(!address.is_empty(), "not ready: {line}{}", rest(&mut child));
    Serving { child, address }
}

fn rest(child: &mut Child) -> String {
    let _ = child.kill();
    let mut text = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut text).unwrap();
    text
}

pub fn run(data: &Path, arguments: &[&str]) -> Output {
    command(data).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
pub fn said(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    if code == 0 { String::from_utf8_lossy(&output.stdout).into_owned() } else { error }
}

/// One request over a connection of its own; status and body.
fn ask(address: &str, path: &str, token: Option<&str>) -> (u16, String) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{token}\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn stop(mut serving: Serving) -> (Option<i32>, String) {
    let pid = serving.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let start = Instant::now();
    loop {
        if let Some(status) = serving.child.try_wait().unwrap() {
            let mut log = String::new();
            serving.child.stderr.as_mut().unwrap().read_to_string(&mut log).unwrap();
            return (status.code(), log);
        }
        assert!(start.elapsed() < Duration::from_secs(12), "it does not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_new_directory_is_served_and_tokens_are_made_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("new");
    let serving = serve(&data, &["--log", "json"]);
    let token = said(&run(&data, &["token", "--app", "bot"]), 0);
    assert_eq!(token.lines().count(), 1);
    let token = token.trim();

    assert_eq!(ask(&serving.address, "/healthz", None).0, 200);
    assert_eq!(ask(&serving.address, "/readyz", None).0, 200);
    assert_eq!(ask(&serving.address, "/v1.0/users", None).0, 401);
    let (status, body) = ask(&serving.address, "/v1.0/users", Some(token));
    assert_eq!(status, 200, "{body}");
    let (_, metrics) = ask(&serving.address, "/metrics", None);
    assert!(metrics.contains("route=\"/v1.0/users\",status=\"200\"} 1"), "{metrics}");

    let second = said(&run(&data, &["serve", "--listen", "127.0.0.1:0"]), 1);
    assert!(second.contains("already serves"), "{second}");
    let (code, log) = stop(serving);
    assert_eq!(code, Some(0));
    for line in log.lines() {
        let parsed: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(parsed["level"].is_string(), "{line}");
    }

    let serving = serve(&data, &[]);
    assert_eq!(ask(&serving.address, "/v1.0/users", Some(token)).0, 200, "the key stayed");
}

#[test]
fn a_directory_that_is_mistyped_is_refused_and_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let (data, csv) = (dir.path().join("ne3"), dir.path().join("u.csv"));
    std::fs::write(&csv, "userPrincipalName,displayName\nada@h.example,Ada\n").unwrap();
    let to = dir.path().join("backup");
    for arguments in [
        &["confirm"][..],
        &["confirm", "--new-instance"],
        &["migrate"],
        &["token", "--app", "x"],
        &["token", "--user", "x@y.example"],
        &["users", "import", csv.to_str().unwrap()],
        &["backup", "--to", to.to_str().unwrap()],
    ] {
        let told = said(&run(&data, arguments), 4);
        assert!(told.contains("holds no database; name its data directory"), "{told}");
        assert!(!data.exists(), "{arguments:?} made the directory");
    }
    assert!(!to.exists());
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (dir.path().join("data"), dir.path().join("from"));
    let restore = ["restore", "--from", from.to_str().unwrap()];
    for (bytes, says) in [
        (None, "cannot be read"),
        (Some(&b"Dear diary"[..]), "is no backup"),
        (Some(&b"PGDMP\x01\x0e"[..]), "pg_restore"),
        (Some(&b"SQLite format 3\0"[..]), "with --key FILE"),
    ] {
        if let Some(bytes) = bytes {
            std::fs::write(&from, bytes).unwrap();
        }
        let told = said(&run(&data, &restore), 2);
        assert!(told.contains(says), "{told}");
        assert!(!data.exists());
    }
}

#[test]
fn a_demo_does_not_listen_on_what_is_no_address() {
    let dir = tempfile::tempdir().unwrap();
    let told = said(&run(dir.path(), &["demo", "--listen", "foo"]), 2);
    assert!(told.contains("`foo`") && told.contains("--listen"), "{told}");
}

#[test]
fn what_is_not_paused_is_not_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    said(&run(dir.path(), &["init"]), 0);

    assert!(said(&run(dir.path(), &["confirm"]), 0).contains("nothing to confirm"));
    for choice in ["--resume", "--new-instance"] {
        let told = said(&run(dir.path(), &["confirm", choice]), 5);
        assert!(told.contains("pauses when `accede serve` is started on it"), "{told}");
    }
}

#[test]
fn an_app_keeps_what_it_got() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("d");
    said(&run(&data, &["init"]), 0);

    said(&run(&data, &["token", "--app", "bot", "--role", "Global Reader"]), 0);
    said(&run(&data, &["token", "--app", "bot"]), 0);
    let secret = said(&run(&data, &["token", "--app", "bot", "--secret"]), 0);
    assert!(secret.contains("client_id=") && secret.contains("client_secret="), "{secret}");
    let unknown = said(&run(&data, &["token", "--app", "bot", "--role", "King"]), 2);
    assert!(unknown.contains("there is no role `King`"), "{unknown}");
    let unknown = said(&run(&data, &["token", "--user", "nobody@h.example"]), 4);
    assert!(unknown.contains("there is no user `nobody@h.example`"), "{unknown}");
    let wrong = said(&run(&data, &["token", "--app", "bot", "--lifetime", "soon"]), 2);
    assert!(wrong.contains("--lifetime"), "{wrong}");
    let bare = said(&run(&data, &["token", "--app", "bot", "--lifetime", "5"]), 2);
    assert!(bare.contains("PT8H or P14D") && !bare.contains("P1M"), "{bare}");
    let wrong = said(&run(&data, &["token", "--app", "bot", "--scope", "User.Read"]), 2);
    assert!(wrong.contains("there is no scope `User.Read`"), "{wrong}");
}

#[test]
fn the_first_administrator_is_made_from_a_password_on_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("d");
    let init = |password: &str| {
        let mut child = command(&data)
            .args(["init", "--admin", "ada@h.example"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };

    let short = said(&init("short\n"), 2);
    assert!(short.contains("the password has 5 characters"), "{short}");
    assert!(short.contains("at least 15"), "{short}");
    assert!(said(&init(""), 2).contains("no password was given"));
    let told = said(&init("one two three four five\n"), 0);
    assert!(told.contains("accede serve --data"), "{told}");
    said(&run(&data, &["token", "--user", "ADA@h.example"]), 0);
    assert!(said(&run(&data, &["migrate"]), 0).contains("the newest"));
}

#[test]
fn wrong_settings_are_told_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("d");
    let output =
        command(&data).arg("serve").env("ACCEDE_REPROCESS__WINDO", "P1D").output().unwrap();
    let told = said(&output, 2);
    assert!(told.contains("`reprocess.window`"), "{told}");
    let output = command(&data).arg("serve").env("ACCEDE_DELIVERY__CALLS", "0").output().unwrap();
    assert!(said(&output, 2).contains("from 1 to 1000"));
    let told = said(&run(&data, &["serve", "--config", "/nowhere/accede.toml"]), 2);
    assert!(told.contains("cannot be read"), "{told}");
    assert!(!data.exists());
    let url = "postgres://nobody@127.0.0.1:1/none";
    let told = said(&run(&data, &["serve", "--database", url]), 6);
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn remote_commands_speak_to_the_server_and_tell_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("d");
    let serving = serve(&data, &[]);
    let token = said(&run(&data, &["token", "--app", "bot"]), 0).trim().to_owned();
    let server = format!("http://{}", serving.address);
    let remote = |arguments: &[&str]| {
        command(&data)
            .args(arguments)
            .env("ACCEDE_SERVER", &server)
            .env("ACCEDE_TOKEN", &token)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };

    assert!(said(&remote(&["targets", "list"]), 0).contains("AadGroup"));
    let made = ["targets", "create", "--name", "hr", "--kind", "chaos", "--setting", "name=cli-hr"];
    assert!(said(&remote(&made), 0).contains("chaos"));
    said(&remote(&["targets", "check", "hr"]), 0);
    assert!(said(&remote(&["targets", "pause", "hr"]), 0).contains("is paused"));
    assert!(said(&remote(&["targets", "resume", "hr"]), 0).contains("called again"));
    said(&remote(&["targets", "discover", "hr"]), 0);
    let shown = said(&remote(&["targets", "show", "hr", "--output", "json"]), 0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["name"], "hr");
    assert!(said(&remote(&["failures"]), 0).contains("Everything is delivered"));
    assert!(said(&remote(&["requests", "list"]), 0).contains("No requests"));
    said(&remote(&["requests", "show", "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004"]), 4);
    said(&remote(&["requests", "show", "x"]), 2);
    said(&remote(&["requests", "cancel", "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004"]), 4);
    said(&remote(&["requests", "reprocess"]), 2);
    said(&remote(&["requests", "reprocess", "--all", "--dry-run"]), 0);
    said(&remote(&["requests", "reprocess", "--all"]), 5);
    let file = dir.path().join("people.csv");
    std::fs::write(&file, "userPrincipalName,displayName\nmira@h.example,Mira\n").unwrap();
    let import = ["users", "import", file.to_str().unwrap()];
    assert!(said(&remote(&import), 0).starts_with("1 created"));

    let anonymous = run(&data, &["failures", "--server", &server]);
    assert!(said(&anonymous, 2).contains("ACCEDE_TOKEN"));
    let wrong = run(&data, &["failures", "--server", &server, "--token", "x"]);
    assert!(said(&wrong, 3).contains("access token"));
    let nobody = run(&data, &["failures", "--server", "http://127.0.0.1:1", "--token", "x"]);
    assert!(said(&nobody, 6).contains("cannot be reached"));
    said(&run(&data, &["failures", "--server", "nowhere", "--token", "x"]), 2);
    drop(serving);
    said(&run(&data, &["users", "import", file.to_str().unwrap()]), 0);
    std::fs::write(&file, "userPrincipalName\nbad\n").unwrap();
    said(&run(&data, &["users", "import", file.to_str().unwrap()]), 2);
    said(&run(&data, &["users", "import", file.to_str().unwrap(), "--skip-bad-lines"]), 7);
    said(&run(&data, &["users", "import", "/nowhere.csv"]), 2);
}
