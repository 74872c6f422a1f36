//! Faults of the machine, met by the program itself: a database that is held, full, broken or away,
//! a directory or an address that cannot be used, clients that never finish.
//!
//! Each must say what is wrong and what to do, lose nothing that was acknowledged, and pass without
//! a restart once its cause is gone.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use accede_store::Store;
use accede_store::testing::postgres_url;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::world::{EM, OURS, id};

const ACCEDE: &str = env!("CARGO_BIN_EXE_accede");
/// When a test stops waiting for what must happen in the end.
const PATIENCE: Duration = Duration::from_secs(90);

/// A serving process; killed if the test forgets it.
struct Served {
    child: Child,
    address: String,
    token: String,
    log: PathBuf,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    #[track_caller]
    fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The sentence of an error in Graph's envelope that asks to come again later.
    #[track_caller]
    fn later(self) -> String {
        assert!(self.head.contains("\r\nretry-after: "), "{}", self.head);
        let body = self.expect(503);
        assert_eq!(body["error"]["code"], "serviceNotAvailable");
        body["error"]["message"].as_str().unwrap().to_owned()
    }
}

fn accede(data: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(ACCEDE);
    command.env_clear().env("ACCEDE_DATA", data).envs(settings.iter().copied());
    command.args(arguments).stdin(Stdio::null());
    command
}

impl Served {
    fn start(data: &Path, settings: &[(&str, &str)]) -> Served {
        let log = data.with_extension("log");
        let mut child = accede(data, &["serve", "--listen", "127.0.0.1:0"], settings)
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("ready http://").unwrap_or_default().trim().to_owned();
        let mut served = Served { child, address, token: String::new(), log };
        assert!(!served.address.is_empty(), "{}", served.log());
        let ask = ["token", "--app", "bot", "--role", "Global Administrator"];
        let token = accede(data, &ask, settings).output().unwrap();
        served.token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        assert!(!served.token.is_empty(), "{}", String::from_utf8_lossy(&token.stderr));
        served
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// One request over a connection of its own.
    fn send(&self, method: &str, path: &str, more: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (path, address) = (path.replace(' ', "%20"), &self.address);
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Answer::of(&answer)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let token = format!("Authorization: Bearer {}\r\n", self.token);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &token, &body)
    }

    fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &Value::Null)
    }

    fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &body)
    }

    fn user(&self, name: &str) -> Answer {
        let upn = format!("{name}@harbourline.example");
        self.post("/v1.0/users", json!({ "userPrincipalName": upn, "displayName": name }))
    }

    /// The names of everybody, in order.
    fn people(&self) -> Vec<String> {
        let found = self.get("/v1.0/users?$select=displayName&$orderby=displayName").expect(200);
        let people = found["value"].as_array().unwrap().iter();
        people.map(|user| user["displayName"].as_str().unwrap().to_owned()).collect()
    }

    /// Gives a new person a package with one role of a target that is away; the assignment's path.
    fn undeliverable(&self, target: &str) -> String {
        let settings = json!({ "name": target, "mode": "targetFault" });
        let new = json!({ "name": target, "kind": "chaos", "settings": settings });
        self.post(&format!("{OURS}/targets"), new).expect(201);
        let mira = id(&self.user("mira").expect(201));
        let new = json!({ "displayName": "Sales", "description": "", "state": "published" });
        let catalog = id(&self.post(&format!("{EM}/catalogs"), new).expect(201));
        let new = json!({
            "requestType": "adminAdd",
            "catalog": { "id": catalog },
            "resource": { "originSystem": target, "originId": "sales" },
        });
        // A target that is away cannot be asked whether it has the resource.
        self.mode(target, "ok");
        self.post(&format!("{EM}/resourceRequests"), new).expect(201);
        self.mode(target, "targetFault");
        let path = format!("{EM}/catalogs/{catalog}/resources?$expand=roles,scopes");
        let found = self.get(&path).expect(200);
        let resource = &found["value"][0];
        let new = json!({ "displayName": "Campaign", "catalog": { "id": catalog } });
        let package = id(&self.post(&format!("{EM}/accessPackages"), new).expect(201));
        let role = json!({ "role": resource["roles"][0], "scope": resource["scopes"][0] });
        let path = format!("{EM}/accessPackages/{package}/resourceRoleScopes");
        self.post(&path, role).expect(201);
        let policy = json!({
            "displayName": "Everybody", "description": "",
            "allowedTargetScope": "allMemberUsers", "accessPackage": { "id": package },
        });
        let policy = id(&self.post(&format!("{EM}/assignmentPolicies"), policy).expect(201));
        let request = json!({
            "requestType": "adminAdd",
            "assignment": {
                "targetId": mira, "assignmentPolicyId": policy, "accessPackageId": package,
            },
        });
        let request = id(&self.post(&format!("{EM}/assignmentRequests"), request).expect(201));
        format!("{EM}/assignmentRequests/{request}")
    }

    fn mode(&self, target: &str, mode: &str) {
        let body = json!({ "settings": { "mode": mode } });
        self.call("PATCH", &format!("{OURS}/targets/{target}"), &body).expect(200);
    }

    fn is_delivered(&self, request: &str) -> bool {
        self.get(request).expect(200)["state"] == "delivered"
    }

    /// Ends the process as an operator does; nothing may have panicked meanwhile.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{}", self.log());
        assert!(!self.log().contains("something broke down"), "{}", self.log());
    }
}

/// Waits for what must happen in the end.
#[track_caller]
fn until(what: &str, happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "it never happened: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The one line with which the program ends instead of serving.
#[track_caller]
fn refusal(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    let mut lines = error.lines().filter(|line| line.starts_with("accede: "));
    let line = lines.next().unwrap_or_default().to_owned();
    assert!(error.lines().last() == Some(&line) && !error.contains("panicked"), "{error}");
    line
}

#[test]
fn a_directory_that_cannot_be_used_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let told = |data: &Path| {
        let line = refusal(&accede(data, &["serve"], &[]).output().unwrap(), 1);
        assert!(line.contains(&data.display().to_string()), "{line}");
        line
    };

    fs::write(at("file"), "x").unwrap();
    assert!(told(&at("file")).contains("with --data or in ACCEDE_DATA"));
    assert!(told(&at("file").join("below")).contains("with --data or in ACCEDE_DATA"));

    fs::create_dir_all(at("lock").join("accede.lock")).unwrap();
    assert!(told(&at("lock")).contains("local disk that this user may write"));

    fs::create_dir(at("other")).unwrap();
    fs::write(at("other").join("accede.db"), "Dear diary").unwrap();
    let line = told(&at("other"));
    assert!(line.contains("not a database") && line.contains("restore a backup"), "{line}");

    assert!(accede(&at("short"), &["init"], &[]).output().unwrap().status.success());
    fs::create_dir(at("garbled")).unwrap();
    for file in ["accede.db", "accede.key"] {
        fs::copy(at("short").join(file), at("garbled").join(file)).unwrap();
    }
    let file = File::options().write(true).open(at("short").join("accede.db")).unwrap();
    file.set_len(20_000).unwrap();
    let line = told(&at("short"));
    assert!(line.contains("malformed") && line.contains("restore a backup"), "{line}");

    let file = File::options().write(true).open(at("garbled").join("accede.db")).unwrap();
    let size = file.metadata().unwrap().len();
    file.write_all_at(&vec![0xAB; usize::try_from(size).unwrap() - 4_096], 4_096).unwrap();
    let line = told(&at("garbled"));
    assert!(line.contains("malformed") && line.contains("restore a backup"), "{line}");
}

/// Neither owner nor mode keeps root out, but a mount does; in a namespace of its own anybody may make
/// one where the system lets them.
#[test]
fn a_disk_that_is_read_only_or_full_at_the_start_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (data, script) =
        (dir.path().join("data"), "mount -t tmpfs -o \"$1\" none \"$2\" && shift 2 && exec \"$@\"");
    fs::create_dir(&data).unwrap();
    let serve_on = |options: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh", options]);
        command.arg(&data).args([ACCEDE, "serve", "--data"]).arg(&data);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let can_mount = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh", "size=1m"])
        .arg(&data)
        .arg("true")
        .output();
    if !can_mount.is_ok_and(|output| output.status.success()) {
        eprintln!("NOT TRIED: this system lets nobody mount in a namespace of their own");
        return;
    }

    let line = refusal(&serve_on("ro"), 1);
    assert!(line.contains("Read-only file system") && line.contains("may write"), "{line}");
    assert!(line.contains(&data.display().to_string()), "{line}");

    assert!(accede(&data, &["init"], &[]).output().unwrap().status.success());
    let file = data.join("accede.db");
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && exec \"$2\" serve --data \"$3\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(&file).arg(ACCEDE).arg(&data).stdin(Stdio::null());
    let line = refusal(&command.output().unwrap(), 6);
    assert!(line.contains("cannot be written") && line.contains("owner and permissions"), "{line}");
    assert!(line.contains(&file.display().to_string()), "{line}");

    let line = refusal(&serve_on("size=100k"), 1);
    assert!(line.contains("no space is left") && line.contains("free some"), "{line}");
    assert!(line.contains(&data.display().to_string()), "{line}");
}

#[test]
fn an_address_that_cannot_be_used_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let told = |listen: &str, code| {
        let command = &["serve", "--listen", listen];
        refusal(&accede(&dir.path().join("data"), command, &[]).output().unwrap(), code)
    };

    let line = told(&taken, 1);
    assert!(line.contains(&taken) && line.contains("another process listens there"), "{line}");
    let line = told("192.0.2.1:80", 1);
    assert!(line.contains("192.0.2.1:80") && line.contains("`server.listen`"), "{line}");
    assert!(told("here", 2).contains("such as 127.0.0.1:8080"));
}

#[tokio::test]
async fn a_database_held_by_another_process_is_told_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // One thread: whoever waits for the database must not keep it from the others.
    let served = Served::start(&data, &[("TOKIO_WORKER_THREADS", "1")]);
    served.user("ann").expect(201);
    let store = Store::attach_sqlite(&data).await.unwrap();
    let held = Notify::new();
    let mut hold = Box::pin(store.write::<(), accede_store::Error, _>(async |_| {
        held.notify_one();
        std::future::pending().await
    }));
    tokio::select! {
        _ = &mut hold => unreachable!("it holds"),
        () = held.notified() => {}
    }

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| served.user("bob"));
        until("the server is at work", || served.get("/healthz").status == 200);
        assert_eq!(served.people(), ["ann"]);
        assert!(!waiting.is_finished(), "readers do not wait for it");
        let message = waiting.join().unwrap().later();
        assert!(message.contains("another process holds the database"), "{message}");
        assert!(message.contains("must end that process"), "{message}");
    });
    let message = served.user("cid").later();
    assert!(message.contains("another process holds the database"), "{message}");
    let ready = served.get("/readyz");
    assert!(ready.status == 503 && ready.body.contains("another process"), "{ready:?}");
    assert_eq!(served.get("/healthz").status, 200);

    drop(hold);
    until("it is ready again", || served.get("/readyz").status == 200);
    served.user("dan").expect(201);
    assert_eq!(served.people(), ["ann", "dan"]);
    served.stop();
}

#[test]
fn a_full_disk_loses_nothing_that_was_promised_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let settings =
        [("ACCEDE_DELIVERY__BACKOFF_BASE", "PT0.1S"), ("ACCEDE_DELIVERY__BACKOFF_CAP", "PT0.2S")];
    let served = Served::start(&data, &settings);
    let request = served.undeliverable("crm");
    let limit = |size: &str| {
        let pid = served.child.id().to_string();
        let limit = format!("--fsize={size}:unlimited");
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    };
    let log = fs::metadata(data.join("accede.db-wal")).unwrap().len();

    limit(&log.to_string());
    let mut promised = vec!["mira".to_owned()];
    let mut refused = 0;
    for number in 0..5 {
        let name = format!("user-{number}");
        let answer = served.user(&name);
        if answer.status == 201 {
            promised.push(name);
            continue;
        }
        let body = answer.expect(507);
        assert_eq!(body["error"]["code"], "insufficientStorage");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("disk is full") && message.contains("free some"), "{message}");
        refused += 1;
    }
    assert!(refused > 0, "the log grew beyond the limit");
    let ready = served.get("/readyz");
    assert!(ready.status == 503 && ready.body.contains("disk is full"), "{ready:?}");
    assert_eq!(served.people(), promised);

    limit("unlimited");
    until("it is ready again", || served.get("/readyz").status == 200);
    served.user("zoe").expect(201);
    served.mode("crm", "ok");
    until("the worker goes on", || served.is_delivered(&request));
    assert!(served.log().contains("takes no changes"), "{}", served.log());
    served.stop();

    promised.push("zoe".to_owned());
    let served = Served::start(&data, &[]);
    assert_eq!(served.people(), promised);
    assert!(served.is_delivered(&request));
    served.stop();
}

/// A PostgreSQL cluster of one test, which may stop it.
struct Cluster {
    home: tempfile::TempDir,
    url: String,
}

impl Cluster {
    fn start() -> Cluster {
        let home = tempfile::tempdir().unwrap();
        // The server runs under an account of its own.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(home.path(), open).unwrap();
        let url = script("start", &home.path().join("pg"));
        Cluster { home, url }
    }

    fn script(&self, verb: &str) {
        script(verb, &self.home.path().join("pg"));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        script("stop", &self.home.path().join("pg"));
    }
}

fn script(verb: &str, folder: &Path) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/postgres");
    let output = Command::new(script).arg(verb).arg(folder).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_database_server_that_is_away_is_told_and_passes() {
    let cluster = Cluster::start();
    let data = cluster.home.path().join("data");
    let settings = [
        ("ACCEDE_DATABASE__URL", cluster.url.as_str()),
        ("ACCEDE_DELIVERY__BACKOFF_BASE", "PT0.1S"),
        ("ACCEDE_DELIVERY__BACKOFF_CAP", "PT0.2S"),
    ];
    let served = Served::start(&data, &settings);
    let request = served.undeliverable("crm");

    cluster.script("halt");
    let message = served.user("bob").later();
    assert!(message.contains("the database is not available"), "{message}");
    served.get("/v1.0/users").later();
    let ready = served.get("/readyz");
    assert!(
        ready.status == 503 && ready.body.contains("the database is not available"),
        "{ready:?}"
    );
    assert_eq!(served.get("/healthz").status, 200);
    let metrics = served.get("/metrics");
    assert!(metrics.status == 200 && metrics.body.contains("accede_database_up 0"), "{metrics:?}");
    assert!(metrics.body.contains("route=\"/v1.0/users\",status=\"503\""), "{metrics:?}");
    let cookie = "Cookie: accede=abcdefgh\r\n";
    let page = served.send("GET", "/my/access", cookie, "");
    assert!(page.status == 503 && page.head.contains("text/html"), "{page:?}");
    assert!(page.body.contains("The server cannot work at present"), "{page:?}");
    assert_eq!(served.send("GET", "/assets/app.css", cookie, "").status, 200);

    cluster.script("resume");
    until("it is ready again", || served.get("/readyz").status == 200);
    assert!(served.get("/metrics").body.contains("accede_database_up 1"));
    served.user("zoe").expect(201);
    assert_eq!(served.people(), ["mira", "zoe"]);
    served.mode("crm", "ok");
    until("what waited is delivered", || served.is_delivered(&request));
    served.stop();

    // Only now must everybody have a password; nobody has.
    let rules = cluster.home.path().join("pg/data/pg_hba.conf");
    fs::write(rules, "host all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    cluster.script("halt");
    cluster.script("resume");
    let url = cluster.url.replace("postgres@", "postgres:hunter2@");
    let output = accede(&data, &["serve", "--database", &url], &[]).output().unwrap();
    let line = refusal(&output, 6);
    assert!(line.contains("password authentication failed"), "{line}");
    assert!(
        line.contains("check the user and the password") && !line.contains("hunter2"),
        "{line}"
    );
}

#[tokio::test]
async fn a_database_server_that_cannot_be_used_is_named_without_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let url = postgres_url().await;
    let (_, server) = url.split_once('@').unwrap();
    let (server, _) = server.split_once('/').unwrap();
    let told = |url: &str| {
        let data = dir.path().join("data");
        let output = accede(&data, &["serve", "--database", url], &[]).output().unwrap();
        let line = refusal(&output, 6);
        assert!(!line.contains("hunter2"), "{line}");
        line
    };

    let line = told("postgres://postgres:hunter2@127.0.0.1:1/accede");
    assert!(line.contains("127.0.0.1:1") && line.contains("that it runs"), "{line}");
    let line = told(&format!("postgres://postgres:hunter2@{server}/nowhere"));
    assert!(
        line.contains(server) && line.contains("database \"nowhere\" does not exist"),
        "{line}"
    );
    assert!(line.contains("create it"), "{line}");
    let line = told(&format!("postgres://stranger:hunter2@{server}/postgres"));
    assert!(line.contains(server) && line.contains("role \"stranger\" does not exist"), "{line}");
}

#[test]
fn clients_that_never_finish_are_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let served =
        Served::start(&dir.path().join("data"), &[("ACCEDE_SERVER__CLIENT_TIMEOUT", "PT0.3S")]);
    let heard = |sent: &str| {
        let mut stream = TcpStream::connect(&served.address).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        // This ends when the server closes the connection, and only then.
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Answer::of(&answer)
    };

    assert_eq!(heard("").status, 0);
    assert_eq!(heard("GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ").status, 0);
    let idle = heard("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((idle.status, idle.body.as_str()), (200, "ok\n"));

    let token = &served.token;
    let part = heard(&format!(
        "POST /v1.0/users HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{ \"user"
    ));
    let body = part.expect(408);
    assert_eq!(body["error"]["code"], "requestTimeout");
    assert!(body["error"]["message"].as_str().unwrap().contains("send it faster"), "{body}");

    let long = format!("X-Long: {}\r\n", "x".repeat(40_000));
    let body = served.send("GET", "/v1.0/users", &long, "").expect(431);
    assert!(body["error"]["message"].as_str().unwrap().contains("the limit is 32768"), "{body}");
    served.stop();
}
