//! Starts the servers of `tests/real` on free ports, and ends them by their id.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that ends with its test.
pub struct Server {
    child: Child,
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
        let mut server = Server { child, port, directory };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.child.try_wait().unwrap();
            if ended.is_some() || Duration::from_secs(30) < started.elapsed() {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("{script} did not start; if it is missing, run scripts/install\n{said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
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
