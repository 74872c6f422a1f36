//! Whether a database is the one that its server left: not an older one, not a copy, not another
//! server's. One that may not be is *paused*: nothing is sent to a target system until a person has
//! said what it is. What then becomes of each delivery is decided here too.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::delivery::{Delivery, Observed, Phase};

/// Whose a database is, and how far it has come. Kept in the database and, beside it, in a file of
/// the data directory, which a restored database does not take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The deployment's identity.
    pub instance: Uuid,
    /// Counts up at each start and every minute.
    pub epoch: i64,
}

/// Where a database lives, as far as it can tell. A copy, a restored backup or a promoted standby
/// lives elsewhere than it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Home {
    /// PostgreSQL's system identifier; the machine of a SQLite database.
    pub system: Option<String>,
    /// PostgreSQL's timeline; a promotion begins another.
    pub timeline: Option<String>,
    /// The database in its cluster, or the file of SQLite.
    pub database: Option<String>,
}

/// Stands for what is not known in [`Home::text`].
const UNKNOWN: &str = "?";

impl Home {
    /// As one word, to be kept.
    pub fn text(&self) -> String {
        let parts = [&self.system, &self.timeline, &self.database];
        parts.map(|part| part.as_deref().unwrap_or(UNKNOWN)).join("/")
    }

    /// The same, with what is not known here as it was `before`.
    pub fn or(self, before: Home) -> Home {
        Home {
            system: self.system.or(before.system),
            timeline: self.timeline.or(before.timeline),
            database: self.database.or(before.database),
        }
    }

    /// What [`Home::text`] wrote.
    pub fn parse(text: &str) -> Home {
        let mut parts = text.split('/').map(|part| Some(part.to_owned()).filter(|p| p != UNKNOWN));
        let mut next = || parts.next().flatten();
        Home { system: next(), timeline: next(), database: next() }
    }
}

/// Why a database may not be the one that its server left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// It is a backup.
    Backup,
    /// It is older than what this server has seen.
    Older,
    /// It lives elsewhere than it did: it was copied or restored there.
    Moved,
    /// A standby was promoted, which may lack the newest changes.
    Promoted,
    /// The data directory belongs to another deployment.
    OtherInstance,
    /// The data directory does not know it.
    Unknown,
}

impl Doubt {
    /// Every doubt.
    pub const ALL: [Doubt; 6] = [
        Doubt::Backup,
        Doubt::Older,
        Doubt::Moved,
        Doubt::Promoted,
        Doubt::OtherInstance,
        Doubt::Unknown,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Doubt::Backup => "backup",
            Doubt::Older => "older",
            Doubt::Moved => "moved",
            Doubt::Promoted => "promoted",
            Doubt::OtherInstance => "otherInstance",
            Doubt::Unknown => "unknown",
        }
    }

    /// The doubt of that name.
    pub fn parse(name: &str) -> Option<Doubt> {
        Doubt::ALL.into_iter().find(|doubt| doubt.name() == name)
    }

    /// What was found, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Doubt::Backup => "the database was restored from a backup",
            Doubt::Older => "the database is older than it was when this server last used it",
            Doubt::Moved => "the database was copied or restored to another place",
            Doubt::Promoted => "the PostgreSQL server was promoted from a standby or recovered",
            Doubt::OtherInstance => "the data directory belongs to another deployment",
            Doubt::Unknown => {
                "the data directory has no instance.json, so it does not know the database"
            }
        }
    }
}

/// What there is to doubt about a database: what it says of itself, where it lives, and what the
/// data directory remembers.
///
/// Of several servers on one PostgreSQL each has a data directory, and a new one has an empty one or
/// an old one; there the database alone can tell whether it is at home, and `is_shared` is set.
pub fn doubt(
    database: Mark,
    kept: &Home,
    here: &Home,
    file: Option<Mark>,
    is_shared: bool,
) -> Option<Doubt> {
    let differs = |kept: &Option<String>, here: &Option<String>| match (kept, here) {
        (Some(kept), Some(here)) => kept != here,
        // What cannot be read at present says nothing.
        _ => false,
    };
    if differs(&kept.system, &here.system) || differs(&kept.database, &here.database) {
        return Some(Doubt::Moved);
    }
    if differs(&kept.timeline, &here.timeline) {
        return Some(Doubt::Promoted);
    }
    match file {
        Some(file) if file.instance == database.instance => {
            (database.epoch < file.epoch).then_some(Doubt::Older)
        }
        _ if is_shared => None,
        Some(_) => Some(Doubt::OtherInstance),
        // Its first start ended before the directory could remember it.
        None if database.epoch <= 1 => None,
        None => Some(Doubt::Unknown),
    }
}

/// By how much the epoch leaps when a person vouches for a database: beyond whatever the data
/// directories of other servers remember.
pub const LEAP: i64 = 1_000_000;

/// What a target said of a delivery while the deployment was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Found {
    /// The person has the role.
    Present,
    /// The person does not have it.
    Absent,
    /// It could not be read this time.
    Unread,
    /// It can never be read there.
    Blind,
}

impl Found {
    /// Every finding.
    pub const ALL: [Found; 4] = [Found::Present, Found::Absent, Found::Unread, Found::Blind];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Found::Present => "present",
            Found::Absent => "absent",
            Found::Unread => "unread",
            Found::Blind => "blind",
        }
    }

    /// The finding of that name.
    pub fn parse(name: &str) -> Option<Found> {
        Found::ALL.into_iter().find(|found| found.name() == name)
    }
}

/// What is given again, when a paused deployment goes on, of what the database wants and the target
/// lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Regrant {
    /// Nothing: it may have been revoked since.
    #[default]
    Nothing,
    /// What the database had not delivered yet.
    Queued,
    /// Everything.
    Everything,
}

impl Regrant {
    /// Every choice.
    pub const ALL: [Regrant; 3] = [Regrant::Nothing, Regrant::Queued, Regrant::Everything];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Regrant::Nothing => "none",
            Regrant::Queued => "queued",
            Regrant::Everything => "all",
        }
    }

    /// The choice of that name.
    pub fn parse(name: &str) -> Option<Regrant> {
        Regrant::ALL.into_iter().find(|regrant| regrant.name() == name)
    }
}

/// Where a delivery stands when a paused deployment goes on, and whether it is *held*: wanted, not
/// seen in the target, and not given before somebody says so.
///
/// A revocation goes on. What is there and not wanted stays there: it is listed, and not taken away
/// because an old database does not know it.
pub fn resume(
    mut row: Delivery,
    found: Option<Found>,
    regrant: Regrant,
    now: Timestamp,
) -> (Delivery, bool) {
    if !row.wanted {
        if row.phase == Phase::Settled && found == Some(Found::Present) {
            row.verify_at = None;
        }
        return (row, false);
    }
    // An answer to a call of before the pause must not be taken for one of now.
    let supersede = |row: &mut Delivery| {
        if matches!(row.phase, Phase::InFlight { .. }) {
            row.epoch += 1;
        }
        row.verify_at = None;
    };
    let had = row.observed == Observed::Present;
    match found {
        Some(Found::Present) => {
            if row.phase == Phase::Settled && had {
                return (row, false);
            }
            supersede(&mut row);
            row.observed = Observed::Present;
            row.uncertain_until = None;
            row.verified = Some(now);
            row.acknowledged = row.acknowledged.or(Some(now));
            row.misses = 0;
            row.phase = Phase::Settled;
            return (row, false);
        }
        // Nothing would ever look there, so nothing gives it again by itself.
        Some(Found::Blind) if row.phase == Phase::Settled => return (row, false),
        _ => {}
    }
    let is_given = match regrant {
        Regrant::Nothing => false,
        Regrant::Queued => !had,
        Regrant::Everything => true,
    };
    if matches!(row.phase, Phase::Failed { .. }) {
        // It rests already; held, nothing but a person tries it again.
        return (row, !is_given);
    }
    supersede(&mut row);
    if found == Some(Found::Absent) {
        row.observed = Observed::Absent;
        row.uncertain_until = None;
    } else if row.observed != Observed::Never {
        // Whoever tries it again looks first.
        row.observed = Observed::Unknown;
        row.uncertain_until = Some(row.uncertain_until.map_or(now, |until| until.max(now)));
    }
    row.acknowledged = None;
    row.verified = None;
    row.attempts = 0;
    row.misses = 0;
    row.since = now;
    row.phase = if is_given { Phase::Due { at: now } } else { Phase::Failed { at: now } };
    (row, !is_given)
}

/// How far the clock may be off before it is suspected.
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// How long ends and beginnings wait for a clock that is suspected.
pub const CLOCK_PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Whether a clock has jumped: the time it says has passed is not the time that did.
pub fn has_jumped(told: SignedDuration, passed: SignedDuration) -> bool {
    CLOCK_TOLERANCE < told.saturating_sub(passed).abs()
}

/// Whether a clock stands before the latest time that was ever seen.
pub fn is_behind(now: Timestamp, latest: Timestamp) -> bool {
    CLOCK_TOLERANCE < latest.duration_since(now)
}

#[cfg(test)]
#[path = "deployment_tests.rs"]
mod tests;
