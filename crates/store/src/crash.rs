//! Named crash points: places at which a test has the process end at once, as `kill -9` or a power
//! cut would, so that every step between two others is interrupted on purpose and not by luck.
//!
//! In a build with debug assertions, `ACCEDE_CRASH_AT=delivery.called` ends the process when it
//! passes that point, `delivery.called:3` when it passes it for the third time. Nothing is cleaned
//! up, flushed or answered. In other builds a point is nothing at all. `tests/points` arms every
//! point in turn and reads the list below; a tidy test holds that each stands in the code once.

macro_rules! points {
    ($($(#[$about:meta])* $point:ident => $name:literal,)*) => {
        /// A place at which a test may end the process.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $($(#[$about])* $point,)*
        }

        impl Point {
            /// Every point.
            pub const ALL: &[Point] = &[$(Point::$point,)*];

            /// What it is armed by: an area and a place in it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Point::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// A write on SQLite has done its work and is not in its group yet.
    LiteWorked => "lite.worked",
    /// A write on SQLite waits for the commit of its group.
    LiteJoined => "lite.joined",
    /// Before a group is committed.
    LiteCommit => "lite.commit",
    /// A group is committed, and nobody in it was told.
    LiteCommitted => "lite.committed",
    /// Before a write on PostgreSQL is committed.
    PgCommit => "pg.commit",
    /// A write on PostgreSQL is committed, and nobody was told.
    PgCommitted => "pg.committed",

    /// The database is there and has no tables.
    MigratePrepared => "migrate.prepared",
    /// A migration's statements ran; it is not marked.
    MigrateApplied => "migrate.applied",
    /// It is marked and not committed.
    MigrateMarked => "migrate.marked",
    /// It is committed, and the next one is not begun.
    MigrateCommitted => "migrate.committed",

    /// A key is written and has no name.
    KeyDrafted => "key.drafted",
    /// It has its name, and the draft is there too.
    KeyNamed => "key.named",
    /// The tables are there, and no key.
    OpenMigrated => "open.migrated",
    /// The key is there, and nothing is sealed with it.
    OpenKeyed => "open.keyed",
    /// What every deployment has is committed.
    OpenPrepared => "open.prepared",
    /// The deployment has its identity, which the data directory does not remember.
    OpenMarked => "open.marked",
    /// It listens; nothing is worked on.
    OpenListening => "open.listening",
    /// The leases of the process before this one were taken over.
    OpenRecovered => "open.recovered",
    /// The epoch is counted up in the database and not in the data directory.
    EpochCounted => "epoch.counted",
    /// The data directory's memory is written and not in its place.
    EpochDrafted => "epoch.drafted",
    /// It is in its place, which is not durable.
    EpochPlaced => "epoch.placed",
    /// The process was told to stop, and goes on with what is in flight.
    StopTold => "stop.told",

    /// An application was made in a transaction that is not committed.
    TokenApp => "token.app",
    /// The issue of a token is recorded, and nobody has it.
    TokenIssued => "token.issued",

    /// The key of a create is taken; what it makes is not there.
    CreationTaken => "creation.taken",
    /// A request is committed, and nobody was told.
    RequestSubmitted => "request.submitted",
    /// A decision is committed, and nobody was told.
    ApprovalDecided => "approval.decided",
    /// Before a record of the audit log.
    AuditBefore => "audit.before",
    /// After it, in the same transaction.
    AuditAfter => "audit.after",
    /// A request moved; neither audit log nor timeline say so.
    TransitionSaved => "transition.saved",
    /// The audit log says so, and the timeline does not.
    TransitionAudited => "transition.audited",
    /// There is an assignment without deliveries.
    BeginAssigned => "begin.assigned",
    /// A delivery has a reason, and does not know that it is wanted, unless it is new.
    BeginReason => "begin.reason",
    /// The reasons are gone, and the deliveries are still wanted.
    EndReasons => "end.reasons",
    /// An assignment was rolled up, and its request was not.
    RollUpAssignment => "roll-up.assignment",
    /// Its request was.
    RollUpRequest => "roll-up.request",

    /// Before deliveries are claimed.
    DeliveryClaim => "delivery.claim",
    /// Their claim is committed, and no call is made.
    DeliveryClaimed => "delivery.claimed",
    /// Before a call of a target.
    DeliveryCall => "delivery.call",
    /// The target answered, and nothing of it is recorded.
    DeliveryCalled => "delivery.called",
    /// What the call says about the target is recorded, and not what it says about the delivery.
    DeliveryNoted => "delivery.noted",
    /// An answer is saved without its attempt.
    DeliverySaved => "delivery.saved",
    /// With its attempt, and nothing was rolled up.
    DeliveryAttempted => "delivery.attempted",
    /// It is committed.
    DeliverySettled => "delivery.settled",

    /// What a call says about the circuit of its target is stored.
    CircuitNoted => "circuit.noted",
    /// A target was checked, and nothing of it is recorded.
    CircuitAsked => "circuit.asked",
    /// A grant was given up that an open circuit held for too long.
    CircuitGaveUp => "circuit.gave-up",
    /// A delivery was set apart that workers break down on.
    PoisonSorted => "poison.sorted",

    /// An assignment was ended because its time was over.
    SweepEnded => "sweep.ended",
    /// A request was begun because its time has come.
    SweepBegan => "sweep.began",
    /// A stage was ended that nobody decided.
    SweepTimedOut => "sweep.timed-out",

    /// One holder of a changed package was brought up to its roles.
    SpreadOne => "spread.one",
    /// A change is held in a transaction that is not committed.
    GuardHeld => "guard.held",
    /// A second person's word is committed.
    GuardRuled => "guard.ruled",
    /// One person of a released change was disabled.
    GuardLeft => "guard.left",
    /// It is committed which people of an import wait.
    ImportHeld => "import.held",
    /// A batch of people is committed.
    ImportBatch => "import.batch",
    /// The managers of a batch are committed.
    ImportManagers => "import.managers",

    /// A plan is made and not committed.
    JobPlanned => "job.planned",
    /// A job is committed.
    JobStarted => "job.started",
    /// One item of a job is marked as done, and its request was not touched.
    JobMarked => "job.marked",
    /// One item of a job is committed.
    JobItem => "job.item",
    /// All items of a job are done; the job is not.
    JobItems => "job.items",

    /// A notice is written in a transaction that is not committed.
    NoticeWritten => "notice.written",
    /// Notices are claimed, and none is sent.
    NoticeClaimed => "notice.claimed",
    /// A notice was taken by a mail server or a webhook, and that is not recorded.
    NoticeSent => "notice.sent",
    /// It is recorded.
    NoticeSettled => "notice.settled",
    /// What the alarms found is committed.
    NoticeAlarms => "notice.alarms",

    /// A target has its turn to be compared.
    DriftTurn => "drift.turn",
    /// Holders of a role were listed, and nothing of it is recorded.
    DriftListed => "drift.listed",
    /// What they have beyond what is wanted is recorded.
    DriftRecorded => "drift.recorded",
    /// What is over is closed, and the turn is not over.
    DriftClosed => "drift.closed",
    /// The turn is over.
    DriftOver => "drift.over",

    /// A backup has its file and nothing in it.
    BackupBegun => "backup.begun",
    /// The database is copied; the copy does not say that it is one.
    BackupCopied => "backup.copied",
    /// It says so, and is not flushed.
    BackupNoted => "backup.noted",
    /// It has its name, which is not durable.
    BackupPlaced => "backup.placed",
    /// What is put back lies beside the database.
    RestoreDrafted => "restore.drafted",
    /// One file of the former database has its second name.
    RestoreKeeping => "restore.keeping",
    /// All have, and the log is out of the way.
    RestoreKept => "restore.kept",
    /// The backup is in its place, which is not durable.
    RestorePlaced => "restore.placed",
    /// It is, and its key is not there.
    RestoreKey => "restore.key",

    /// The deployment is paused, and this process does not know it.
    PauseBegun => "pause.begun",
    /// Deliveries were read in their targets, and nothing of it is recorded.
    CompareRead => "compare.read",
    /// A step of the comparison is committed.
    CompareStep => "compare.step",
    /// It is committed what the database is, and nobody was told.
    ConfirmChosen => "confirm.chosen",
    /// One delivery is where it stands when the deployment goes on.
    ConfirmOne => "confirm.one",
    /// All are, and the deployment is paused.
    ConfirmHeld => "confirm.held",
    /// The pause is over, and the data directory does not know it.
    ConfirmEnded => "confirm.ended",
}

/// Ends the process here, if a test asked for that.
#[inline]
pub fn point(point: Point) {
    #[cfg(debug_assertions)]
    armed::pass(point);
    #[cfg(not(debug_assertions))]
    let _never = point;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Point;

    /// The variable that arms a point.
    const VARIABLE: &str = "ACCEDE_CRASH_AT";

    struct Armed {
        point: Point,
        /// At which passing it ends the process.
        at: u64,
        passed: AtomicU64,
    }

    static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let Some((point, at)) = parse(&text) else {
            // Going on would make a test pass that interrupted nothing.
            eprintln!(
                "{VARIABLE}: there is no crash point `{text}`; see crates/store/src/crash.rs"
            );
            std::process::exit(2);
        };
        Some(Armed { point, at, passed: AtomicU64::new(0) })
    });

    pub(super) fn parse(text: &str) -> Option<(Point, u64)> {
        let (name, at) = text.split_once(':').unwrap_or((text, "1"));
        let point = Point::ALL.iter().copied().find(|point| point.name() == name)?;
        Some((point, at.parse().ok().filter(|at| 0 < *at)?))
    }

    pub(super) fn pass(point: Point) {
        let Some(armed) = &*ARMED else { return };
        if armed.point == point && armed.passed.fetch_add(1, Ordering::Relaxed) + 1 == armed.at {
            eprintln!("crash point `{}`", point.name());
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_point_has_a_name_of_its_own_in_an_area() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        assert!(
            names.iter().all(|name| name.split_once('.').is_some_and(|(_, at)| !at.is_empty()))
        );
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_point_is_armed_by_its_name_and_which_time() {
        assert_eq!(armed::parse("delivery.called"), Some((Point::DeliveryCalled, 1)));
        assert_eq!(armed::parse("lite.commit:17").unwrap(), (Point::LiteCommit, 17));
        for wrong in ["", "delivery", "delivery.called:0", "delivery.called:x", "delivery.called:"]
        {
            assert_eq!(armed::parse(wrong), None, "{wrong}");
        }
    }
}
