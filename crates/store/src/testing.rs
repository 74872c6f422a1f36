//! Throw-away databases for tests: the same test runs on every engine.
//!
//! PostgreSQL comes from Debian's package, never from a service of the machine: one cluster for all
//! test processes of a user, on a free port of 127.0.0.1. `scripts/test` starts one and names it in
//! `ACCEDE_TEST_POSTGRES`; otherwise the first test that needs it starts one. A keeper process stops
//! it and deletes its files when no test has used it for a while, however the tests ended.

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::dialect::Sql;
use crate::error::{Result, chain};
use crate::schema::MIGRATIONS;
use crate::value::{Value, ValueRef};
use crate::{Engine, Store, Tx};

/// Names the address of a cluster that is already there.
const ADDRESS: &str = "ACCEDE_TEST_POSTGRES";
/// Connections of one test's store.
const POOL: usize = 8;
/// How long a cluster may take to start on a busy machine, in seconds.
const START_SECONDS: u64 = 90;

/// Starts the cluster, waits until nobody holds `users.lock` any more, stops it and tidies up.
///
/// Parameters: directory of the programs, home of the cluster, port, further settings.
const KEEPER: &str = r#"
bin=$1 home=$2 port=$3 settings=$4
cd "$home" || exit 1
# A word list and no function, so that `$!` is PostgreSQL itself. It stops when the keeper is killed.
as="setpriv --pdeathsig INT"
[ "$(id -u)" = 0 ] && as="$as --reuid=postgres --regid=postgres --init-groups"
tidy() { rm -rf "$home/data" "$home/url" "$home/keeper.pid"; }
tidy
echo $$ >keeper.pid
mkdir -m 700 data
[ "$(id -u)" = 0 ] && chown postgres data
$as "$bin/initdb" -D "$home/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync || exit 1
case $settings in *ssl*)
    printf '%s\n' '[req]' 'distinguished_name = dn' 'x509_extensions = ext' 'prompt = no' '[dn]' \
        'CN = accede test' '[ext]' 'subjectAltName = IP:127.0.0.1' \
        'basicConstraints = critical, CA:FALSE' >openssl.cnf
    $as openssl req -config "$home/openssl.cnf" -x509 -days 30 -nodes -newkey ec \
        -pkeyopt ec_paramgen_curve:prime256v1 -keyout data/server.key -out data/server.crt || exit 1
    cp data/server.crt certificate.pem
esac
{
    echo "listen_addresses = '127.0.0.1'"
    echo "port = $port"
    echo "unix_socket_directories = ''"
    echo "max_connections = 400"
    echo "shared_buffers = 64MB"
    echo "deadlock_timeout = 200ms"
    echo "$settings"
} >>data/postgresql.conf
$as "$bin/postgres" -D "$home/data" &
postgres=$!
trap 'kill -INT $postgres; wait $postgres; tidy; exit 0' TERM INT HUP
tries=0
until "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do
    kill -0 $postgres 2>/dev/null || exit 1
    tries=$((tries + 1))
    [ $tries -gt 600 ] && exit 1
    sleep 0.1
done
echo "postgresql://postgres@127.0.0.1:$port/postgres" >url.new && mv url.new url
idle=0
while [ $idle -lt 30 ] && kill -0 $postgres 2>/dev/null; do
    sleep 1
    if flock -n -x users.lock true; then idle=$((idle + 1)); else idle=0; fi
    if [ $idle -eq 30 ]; then
        # Whoever starts now waits for the lock and then finds no cluster.
        exec 9>start.lock
        flock -x 9
        flock -n -x users.lock true || { idle=0; exec 9>&-; }
    fi
done
kill -INT $postgres 2>/dev/null
wait $postgres
tidy
"#;

/// A running cluster; the lock tells its keeper that somebody uses it.
struct Cluster {
    url: String,
    home: PathBuf,
    _users: Option<File>,
}

/// One store of each kind, with the schema applied: SQLite in memory and in a file, PostgreSQL.
pub async fn stores() -> Vec<(&'static str, Store)> {
    let stores = empty_stores().await;
    for (name, store) in &stores {
        if let Err(error) = store.migrate(MIGRATIONS).await {
            fail(&format!("the schema cannot be applied to {name}: {error}"));
        }
    }
    stores
}

/// One store of each kind, without any table.
pub async fn empty_stores() -> Vec<(&'static str, Store)> {
    let memory = Store::open_in_memory().unwrap_or_else(|error| fail(&error.to_string()));
    vec![("memory", memory), ("file", sqlite().await), ("postgres", postgres().await)]
}

/// An empty SQLite database in a directory that is deleted with the store.
pub async fn sqlite() -> Store {
    let dir = tempfile::tempdir().unwrap_or_else(|error| fail(&error.to_string()));
    let store =
        Store::open_sqlite(dir.path()).await.unwrap_or_else(|error| fail(&error.to_string()));
    store.keep(dir);
    store
}

/// A store on an empty schema of its own in PostgreSQL.
pub async fn postgres() -> Store {
    let url = postgres_url().await;
    Store::open_postgres(&url, POOL).await.unwrap_or_else(|error| fail(&error.to_string()))
}

/// The address of an empty schema of its own in PostgreSQL.
pub async fn postgres_url() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| match std::env::var(ADDRESS) {
        Ok(url) if !url.is_empty() => Cluster { url, home: PathBuf::new(), _users: None },
        _ => cluster("accede-test-pg", "").unwrap_or_else(|reason| fail(&reason)),
    });
    schema(&cluster.url).await.unwrap_or_else(|error| fail(&chain(&error)))
}

/// The address of a cluster that would lose data in a power failure: it must be refused.
pub async fn forgetful_postgres_url() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let start = || {
        cluster("accede-test-pg-forgetful", "fsync = off").unwrap_or_else(|reason| fail(&reason))
    };
    CLUSTER.get_or_init(start).url.clone()
}

/// The address of a cluster that speaks TLS, and the file of the certificate that it shows, which
/// this machine does not trust.
pub async fn tls_postgres_url() -> (String, PathBuf) {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let start = || cluster("accede-test-pg-tls", "ssl = on").unwrap_or_else(|reason| fail(&reason));
    let cluster = CLUSTER.get_or_init(start);
    (cluster.url.clone(), cluster.home.join("certificate.pem"))
}

/// How the engine means to run a statement, one step a line, for tests that forbid full scans.
///
/// PostgreSQL is told to avoid scans, which it otherwise prefers for small tables: what is still
/// scanned has no index that helps.
pub async fn plan(tx: &mut Tx<'_>, sql: impl Into<Sql>, params: &[Value]) -> Result<String> {
    let sql = sql.into().text(tx.engine());
    plan_text(tx, sql, params).await
}

async fn plan_text(tx: &mut Tx<'_>, sql: &str, params: &[Value]) -> Result<String> {
    let (explain, column) = match tx.engine() {
        Engine::Sqlite => (format!("explain query plan {sql}"), 3),
        Engine::Postgres => {
            tx.query("select set_config('enable_seqscan', 'off', true)", &[]).await?;
            (format!("explain (costs off) {sql}"), 0)
        }
    };
    let mut lines = Vec::new();
    for row in tx.query_text(&explain, params).await? {
        if let ValueRef::Text(line) = row.value(column)? {
            lines.push(line.to_owned());
        }
    }
    Ok(lines.join("\n"))
}

/// How the engine means to run every statement of some work, for tests that forbid full scans.
///
/// The statements are those that the work really runs: nothing is said twice.
pub async fn plans<T>(
    tx: &mut Tx<'_>,
    work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T>,
) -> Result<Vec<String>> {
    tx.0.heard = Some(Vec::new());
    let outcome = work(tx).await;
    let heard = tx.0.heard.take().unwrap_or_default();
    outcome?;
    let mut plans = Vec::with_capacity(heard.len());
    for (sql, params) in heard {
        plans.push(plan_text(tx, &sql, &params).await?);
    }
    Ok(plans)
}

/// The lines of a plan that read a whole table: not a part of it by an index, and not in the order of
/// an index, where a limit ends it.
pub fn scans(plan: &str) -> Vec<&str> {
    plan.lines()
        .filter(|line| {
            let of_rows = line.starts_with("SCAN ")
                && !line.contains(" USING ")
                && !line.contains("CONSTANT ROW")
                && !line.starts_with("SCAN (")
                && !line.starts_with("SCAN x");
            of_rows || line.contains("Seq Scan on")
        })
        .collect()
}

#[expect(clippy::panic, reason = "tests fail by panicking")]
fn fail(reason: &str) -> ! {
    panic!("no database for this test: {reason}")
}

/// Makes an empty schema; process ids are unique among living processes, so nobody else uses it.
async fn schema(url: &str) -> Result<String, tokio_postgres::Error> {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("t_{}_{number}", std::process::id());
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let make = format!("drop schema if exists {name} cascade; create schema {name}");
    let made = futures_util::future::join(
        async move {
            let made = client.batch_execute(&make).await;
            drop(client);
            made
        },
        connection,
    )
    .await;
    made.0?;
    let separator = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{separator}options=-c%20search_path%3D{name}"))
}

/// Finds or starts the cluster of that name.
fn cluster(name: &str, settings: &str) -> Result<Cluster, String> {
    use std::os::unix::fs::MetadataExt;

    let explain = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| format!("{what}: {error}")
    };
    let user = fs::metadata("/proc/self").map_err(explain("/proc cannot be read"))?.uid();
    let home = std::env::temp_dir().join(format!("{name}-{user}"));
    fs::create_dir_all(&home).map_err(explain("no directory for the cluster"))?;
    let owner = fs::metadata(&home).map_err(explain("no directory for the cluster"))?.uid();
    if owner != user {
        return Err(format!("`{}` belongs to somebody else; delete it", home.display()));
    }
    let open = |name: &str| {
        File::options().create(true).append(true).open(home.join(name)).map_err(explain(name))
    };
    let start = open("start.lock")?;
    start.lock().map_err(explain("start.lock"))?;
    let users = open("users.lock")?;
    users.lock_shared().map_err(explain("users.lock"))?;
    let url = match running(&home) {
        Some(url) => url,
        None => launch(&home, settings)?,
    };
    Ok(Cluster { url, home, _users: Some(users) })
}

/// The address of the cluster in that home, if it and its keeper are alive.
fn running(home: &Path) -> Option<String> {
    let url = fs::read_to_string(home.join("url")).ok()?;
    let keeper = fs::read_to_string(home.join("keeper.pid")).ok()?;
    let command = fs::read(format!("/proc/{}/cmdline", keeper.trim())).ok()?;
    let ours = String::from_utf8_lossy(&command).contains(&home.display().to_string());
    let port = url.trim().rsplit_once("127.0.0.1:")?.1.split('/').next()?.parse::<u16>().ok()?;
    (ours && TcpStream::connect(("127.0.0.1", port)).is_ok()).then(|| url.trim().to_owned())
}

fn launch(home: &Path, settings: &str) -> Result<String, String> {
    let bin = programs()?;
    // A cluster whose keeper was killed gets a signal from the kernel; wait for its end.
    let left = home.join("data/postmaster.pid");
    for _ in 0..50 {
        let pid = fs::read_to_string(&left).unwrap_or_default();
        let pid = pid.lines().next().unwrap_or_default().trim().to_owned();
        if pid.is_empty() || !Path::new("/proc").join(&pid).exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _gone = fs::remove_file(home.join("url"));
    let port = TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port: {error}"))?
        .port();
    let log = home.join("log");
    let mut keeper = File::create(&log)
        .and_then(|out| {
            Command::new("setsid")
                .args(["sh", "-c", KEEPER, "keeper"])
                .arg(&bin)
                .arg(home)
                .arg(port.to_string())
                .arg(settings)
                .stdin(Stdio::null())
                .stdout(out.try_clone()?)
                .stderr(out)
                .spawn()
        })
        .map_err(|error| format!("PostgreSQL cannot be started: {error}"))?;
    for _ in 0..START_SECONDS * 20 {
        if let Ok(url) = fs::read_to_string(home.join("url")) {
            return Ok(url.trim().to_owned());
        }
        if let Ok(Some(_)) = keeper.try_wait() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut reason = format!("PostgreSQL did not start; `{}` says why:\n", log.display());
    reason.push_str(&fs::read_to_string(&log).unwrap_or_default());
    Err(reason)
}

/// The newest PostgreSQL that Debian has installed here.
fn programs() -> Result<PathBuf, String> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .filter_map(|version| {
            let bin = version.path().join("bin");
            let number = version.file_name().to_string_lossy().parse::<u32>().ok()?;
            bin.join("initdb").exists().then_some((number, bin))
        })
        .max()
        .map(|(_, bin)| bin)
        .ok_or_else(|| {
            format!(
                "there is no PostgreSQL in /usr/lib/postgresql; run `scripts/install`, or name a \
                 cluster in {ADDRESS}"
            )
        })
}
