//! The binary itself: start to ready, memory at rest, size.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Figure, Result};

/// Measures the release binary, if it was built.
pub fn measure() -> Result<Vec<Figure>> {
    let binary = PathBuf::from("target/release/accede");
    if !binary.exists() {
        eprintln!("start: build it first: cargo build --release -p accede-server");
        return Ok(Vec::new());
    }
    let size = std::fs::metadata(&binary)?.len() as f64 / 1e6;
    let folder = tempfile::tempdir()?;
    let mut times = Vec::new();
    let mut memory = String::new();
    for _ in 0..5 {
        let started = Instant::now();
        let mut child = Command::new(&binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        times.push(started.elapsed());
        std::thread::sleep(Duration::from_secs(2));
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        memory = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("").to_owned();
        child.kill()?;
        child.wait()?;
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let started = Instant::now();
    Command::new("true").status()?;
    let nothing = started.elapsed();
    Ok(vec![Figure {
        what: "start to ready (empty), memory idle, size of the binary".to_owned(),
        figure: format!("{median:.0?}, {}, {size:.1} MB", memory.replace("VmRSS:", "").trim()),
        baseline: format!("starting a program that does nothing: {nothing:.2?}"),
        budget: "≤ 150 ms, ≤ 40 MB, ≤ 30 MB",
    }])
}
