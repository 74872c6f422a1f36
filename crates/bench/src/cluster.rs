//! A PostgreSQL cluster of its own for one figure, on this machine's disk.

use std::path::PathBuf;
use std::process::Command;

use crate::Result;

/// A cluster that is stopped and removed with this value.
pub struct Cluster {
    /// Where its first database is reached.
    pub url: String,
    folder: PathBuf,
}

impl Cluster {
    /// Starts one, as `scripts/postgres` does for tests, but never in memory: commits are to reach a
    /// disk, as those of SQLite do.
    pub fn start() -> Result<Cluster> {
        let folder = tempfile::Builder::new().prefix("accede-bench-").tempdir()?.keep();
        // The account that the server runs as must be able to enter it.
        Command::new("chmod").arg("755").arg(&folder).status()?;
        let output = Command::new(script()).arg("start").arg(&folder).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let url = String::from_utf8(output.stdout)?.trim().to_owned();
        Ok(Cluster { url, folder })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = Command::new(script()).arg("stop").arg(&self.folder).status() {
            eprintln!("the cluster in {} was not stopped: {error}", self.folder.display());
        }
    }
}

fn script() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "scripts", "postgres"].iter().collect()
}
