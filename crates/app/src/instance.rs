//! `instance.json` in the data directory: whose the directory is, and how far its database had come
//! when it was last seen. A database that is restored from a backup does not take it back, and so is
//! found to be older.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use accede_domain::deployment::Mark;
use accede_store::crash::{Point, point};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The file's name in a data directory.
pub const INSTANCE_FILE: &str = "instance.json";
/// Longest file that is read.
const MAX_FILE: u64 = 4_096;

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be {doing}", path.display())]
pub struct InstanceError {
    /// Which file.
    path: PathBuf,
    /// `read`, `written`.
    doing: &'static str,
    /// What the system said.
    #[source]
    source: std::io::Error,
}

#[derive(Serialize, Deserialize)]
struct Written {
    instance: Uuid,
    epoch: i64,
}

/// What the data directory remembers; `None` where there is no file, or one that says nothing.
///
/// # Errors
///
/// When there is one that cannot be read.
pub fn read(data: &Path) -> Result<Option<Mark>, InstanceError> {
    let path = data.join(INSTANCE_FILE);
    let file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened,
    };
    let mut text = String::new();
    file.and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
        .map_err(|source| InstanceError { path, doing: "read", source })?;
    let written: Option<Written> = serde_json::from_str(&text).ok();
    Ok(written.map(|Written { instance, epoch }| Mark { instance, epoch }))
}

/// Remembers a mark in the data directory, durably and in one step.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(data: &Path, mark: Mark) -> Result<(), InstanceError> {
    let path = data.join(INSTANCE_FILE);
    let draft = data.join(format!("{INSTANCE_FILE}.new"));
    let Mark { instance, epoch } = mark;
    let text = serde_json::json!({ "instance": instance, "epoch": epoch }).to_string();
    let mut options = OpenOptions::new();
    let written = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| writeln!(file, "{text}").and_then(|()| file.sync_all()))
        .and_then(|()| {
            point(Point::EpochDrafted);
            std::fs::rename(&draft, &path)
        })
        .and_then(|()| {
            point(Point::EpochPlaced);
            File::open(data)?.sync_all()
        });
    written.map_err(|source| InstanceError { path, doing: "written", source })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_was_written_is_read_and_only_its_owner_can() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        for epoch in [1, 7] {
            let mark = Mark { instance: Uuid::from_u128(3), epoch };
            write(dir.path(), mark).unwrap();
            assert_eq!(read(dir.path()).unwrap(), Some(mark));
        }
        let path = dir.path().join(INSTANCE_FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
        std::fs::write(&path, "{").unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
    }
}
