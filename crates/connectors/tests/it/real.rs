//! Starts the servers of `tests/real` on free ports, and ends them by their id.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that ends with its test.
pub struct Server {
    child: Child,
    /// The signal that ends it; without one it is killed.
    signal: Option<&'static str>,
    pub port: u16,
    pub directory: tempfile::TempDir,
}

impl Server {
    /// Runs a script of `tests/real` with a scratch folder, a free port and these arguments.
    pub fn start(script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        let path = root().join("tests/real").join(script);
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let log = directory.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        let child = Command::new(&path)
            .arg(directory.path())
            .arg(port.to_string())
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut server = Server { child, signal: None, port, directory };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.child.try_wait().unwrap();
            if ended.is_some() || PATIENCE < started.elapsed() {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("{script} did not start; if it is missing, run scripts/install\n{said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// The same, once it says so: it takes connections before it can answer.
    pub fn once_it_says(self, what: &str) -> Server {
        let log = self.directory.path().join("log");
        let started = Instant::now();
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if said.contains(what) {
                return self;
            }
            assert!(started.elapsed() < PATIENCE, "it never said `{what}`\n{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same, ended by a signal: it has children of its own to end, or memory to give back.
    pub fn ends_by(mut self, signal: &'static str) -> Server {
        self.signal = Some(signal);
        self
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(signal) = self.signal {
            let process = self.child.id().to_string();
            let told = Command::new("kill").args(["-s", signal, &process]).status();
            let told_at = Instant::now();
            while told.is_ok()
                && told_at.elapsed() < Duration::from_secs(10)
                && matches!(self.child.try_wait(), Ok(None))
            {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ended_before = self.child.kill();
        let _ended_before = self.child.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// A port that is free and whose next one is free too.
pub fn free_port() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}
