//! Backups of a SQLite database: taken while it is served, checked, and opened again.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::crash::{Point, point};
pub use crate::lite::FILE;
use crate::lite::{create_directory, lock};
use crate::{Error, Result};

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Its schema.
    pub schema: i64,
}

/// Copies the database of a data directory into a new file, whole and consistent, beside whoever
/// serves it, and leaves a note under `mark` in the copy's settings.
///
/// # Errors
///
/// When the file exists, cannot be written, or does not prove sound afterwards.
pub fn copy(from: &Path, to: &Path, mark: &str, note: &str) -> Result<Contents> {
    let name = to.to_str().ok_or_else(|| failed(to, "its name is not UTF-8"))?;
    let source = open(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let copied = source.busy_timeout(std::time::Duration::from_secs(10)).and_then(|()| {
        // It reads in one transaction, so writers are not held up in WAL mode.
        source.execute("vacuum into ?1", [name])
    });
    copied.map_err(|error| failed(to, error))?;
    point(Point::BackupCopied);
    let db = open(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.execute(
        "insert into settings (key, value) values (?1, ?2)
         on conflict (key) do update set value = excluded.value",
        [mark, note],
    )
    .map_err(|error| failed(to, error))?;
    drop(db);
    point(Point::BackupNoted);
    let file = std::fs::File::open(to).map_err(|error| failed(to, error))?;
    file.sync_all().map_err(|error| failed(to, error))?;
    check(to)
}

/// Puts a backup in the place of a data directory's database, with a note under `mark` in its
/// settings. A database that is there is moved aside, its log with it; the file that it is then in.
///
/// # Errors
///
/// When the directory is served, or cannot be written.
pub fn put_back(
    from: &Path,
    dir: &Path,
    mark: &str,
    note: &str,
    aside: &str,
) -> Result<Option<PathBuf>> {
    create_directory(dir)?;
    let _lock = lock(dir)?;
    let path = dir.join(FILE);
    let draft = dir.join(format!("{FILE}.restoring"));
    let old = match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    old.map_err(|error| failed(&draft, error))?;
    copy(from, &draft, mark, note)?;
    point(Point::RestoreDrafted);
    let moved = path.exists().then(|| free_name(&path, aside));
    if let Some(place) = &moved {
        keep_aside(&path, place)?;
    }
    // One step, so that there is always a whole database: the former one or this.
    std::fs::rename(&draft, &path).map_err(|error| failed(&path, error))?;
    point(Point::RestorePlaced);
    let folder = std::fs::File::open(dir).and_then(|folder| folder.sync_all());
    folder.map_err(|error| failed(dir, error))?;
    Ok(moved)
}

/// A name beside a database that no file has, nor a log that lost its file: what an earlier restore moved
/// aside, even a moment ago, is not replaced.
fn free_name(path: &Path, aside: &str) -> PathBuf {
    let mut place = with(path, &format!(".{aside}"));
    let mut number = 1_u32;
    while place.exists() || with(&place, "-wal").exists() {
        number = number.saturating_add(1);
        place = with(path, &format!(".{aside}-{number}"));
    }
    place
}

/// Gives a database another name beside its own, whole and durable, and takes its log out of the way of
/// what comes into its place: a log belongs to one file and must not meet another.
fn keep_aside(path: &Path, place: &Path) -> Result<()> {
    for end in ["", "-wal"] {
        let (here, there) = (with(path, end), with(place, end));
        if here.exists() {
            link(&here, &there).map_err(|error| failed(&there, error))?;
            point(Point::RestoreKeeping);
        }
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(folder, error))?;
    // The newest commits may stand in the log alone. They go into the file, so that it misses nothing
    // without its log; a database that is too damaged for that is left with its log as it was.
    let is_folded = match fold(path) {
        Ok(true) => true,
        Ok(false) => {
            for end in ["", "-wal"] {
                let _ = std::fs::remove_file(with(place, end));
            }
            return Err(Error::Locked(format!(
                "another program reads `{}`, a backup perhaps; wait for its end and try again",
                path.display()
            )));
        }
        Err(error) => {
            tracing::warn!(%error, "the former database is kept as it was, with its log");
            false
        }
    };
    let log = with(place, "-wal");
    let is_empty = || log.metadata().is_ok_and(|facts| facts.len() == 0);
    // Where it is a copy and not a second name, it has a log of its own.
    if is_folded && log.exists() && !is_empty() && !matches!(fold(place), Ok(true)) {
        tracing::warn!(log = %log.display(), "the former database keeps its log beside it");
    }
    if is_empty() {
        std::fs::remove_file(&log).map_err(|error| failed(&log, error))?;
    }
    for end in ["-wal", "-shm"] {
        match std::fs::remove_file(with(path, end)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(path, error));
            }
            _ => {}
        }
    }
    // Or a power cut could bring the log back beside what takes the database's place.
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(folder, error))?;
    point(Point::RestoreKept);
    Ok(())
}

/// Writes what a log holds into its database; says whether nobody was in the way.
fn fold(path: &Path) -> Result<bool> {
    let db = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let busy = db.query_row("pragma wal_checkpoint(truncate)", [], busy);
    Ok(busy.map_err(|error| failed(path, error))? == 0)
}

/// A second name for a file or, where there are none, a copy.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            std::fs::copy(from, to)?;
            std::fs::File::open(to)?.sync_all()
        }
        linked => linked,
    }
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Whether a file is a sound database of this program; what it says of itself.
///
/// # Errors
///
/// When it is none, or damaged.
pub fn check(path: &Path) -> Result<Contents> {
    let db = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let unsound = |error: rusqlite::Error| {
        Error::Corrupt(format!("`{}` is no sound backup: {error}", path.display()))
    };
    let answer: String =
        db.query_row("pragma integrity_check(1)", [], |row| row.get(0)).map_err(unsound)?;
    if answer != "ok" {
        return Err(Error::Corrupt(format!("`{}` is damaged: {answer}", path.display())));
    }
    let strays: Option<String> = db
        .query_row("pragma foreign_key_check", [], |row| row.get(0))
        .optional()
        .map_err(unsound)?;
    if let Some(table) = strays {
        let text = format!("`{}` is damaged: `{table}` refers to missing rows", path.display());
        return Err(Error::Corrupt(text));
    }
    let schema = db
        .query_row("select coalesce(max(number), 0) from schema_migrations", [], |row| row.get(0))
        .map_err(unsound)?;
    Ok(Contents { schema })
}

/// What the settings of a database file hold under a name.
///
/// # Errors
///
/// When it cannot be read.
pub fn setting(path: &Path, name: &str) -> Result<Option<String>> {
    let db = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.query_row("select value from settings where key = ?1", [name], |row| row.get(0))
        .optional()
        .map_err(|error| failed(path, error))
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection> {
    Connection::open_with_flags(path, flags).map_err(|error| failed(path, error))
}

fn failed(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::Database(format!("`{}`: {why}", path.display()))
}
