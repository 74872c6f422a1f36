//! What targets said while the deployment was paused, numbers that count up, where a database lives,
//! and a queue of before this schema, on every engine.

use accede_domain::delivery::{Delivery, Observed, Phase};
use accede_domain::deployment::{Found, Home};
use accede_domain::id::DeliveryId;
use accede_store::findings::{self, Finding};
use accede_store::schema::MIGRATIONS;
use accede_store::testing::{self, stores};
use accede_store::{Error, Result, Store, Tx, backup, deliveries, deployment};

use crate::desk::{no_scan, set, within};
use crate::shelf::{at, nth};

fn finding(n: u128, found: Found, wanted: bool) -> Finding {
    let detail = (found == Found::Unread).then(|| "no answer".to_owned());
    Finding { delivery: nth(n), found, wanted, detail, at: at(9) }
}

#[tokio::test]
async fn findings_are_kept_listed_and_counted_by_kind() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            for (n, role) in [(701, "a"), (702, "b"), (703, "c"), (704, "d")] {
                let row = desk.delivery(n, desk.uma.subject, role);
                deliveries::lock_or_insert(tx, &row).await?;
            }
            let several = [
                finding(701, Found::Absent, true),
                finding(702, Found::Present, false),
                finding(703, Found::Unread, true),
            ];
            findings::save_all(tx, &several).await?;
            findings::save_all(tx, &[finding(703, Found::Absent, true)]).await?;

            let lacking = findings::list(tx, Found::Absent, true, None, 9).await?;
            let two = [finding(701, Found::Absent, true), finding(703, Found::Absent, true)];
            assert_eq!(lacking, two, "{engine}");
            let rest = findings::list(tx, Found::Absent, true, Some(nth(701)), 9).await?;
            assert_eq!(rest, two[1..], "{engine}");
            assert_eq!(findings::get(tx, nth(702)).await?, Some(several[1].clone()), "{engine}");
            assert_eq!(findings::get(tx, nth(704)).await?, None, "{engine}");
            let mut counts = findings::counts(tx).await?;
            counts.sort_by_key(|(_, wanted, _)| *wanted);
            let two_kinds = [(Found::Present, false, 1), (Found::Absent, true, 2)];
            assert_eq!(counts, two_kinds, "{engine}");
            let all = findings::deliveries(tx, Some(nth(702)), 9).await?;
            let all: Vec<_> = all.into_iter().map(|(row, found)| (row.id, found)).collect();
            let rest: [(DeliveryId, _); 2] = [(nth(703), Some(Found::Absent)), (nth(704), None)];
            assert_eq!(all, rest, "{engine}");

            let (one, after) = (nth(701), Some(nth(701)));
            no_scan(tx, engine, async |tx| findings::get(tx, one).await).await?;
            no_scan(tx, engine, async |tx| findings::deliveries(tx, after, 9).await).await?;
            no_scan(tx, engine, async |tx| findings::list(tx, Found::Absent, true, after, 9).await)
                .await?;
            findings::clear(tx).await?;
            assert_eq!(findings::counts(tx).await?, [], "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_number_counts_up_and_a_setting_is_forgotten() {
    for (engine, store) in stores().await {
        within(&store, async |tx| {
            assert_eq!(deployment::get_number(tx, "epoch").await?, None, "{engine}");
            assert_eq!(deployment::count_up(tx, "epoch", 5).await?, 1, "{engine}");
            assert_eq!(deployment::count_up(tx, "epoch", 5).await?, 6, "{engine}");
            assert_eq!(deployment::get_number(tx, "epoch").await?, Some(6), "{engine}");
            deployment::forget(tx, "epoch").await?;
            assert_eq!(deployment::get(tx, "epoch").await?, None, "{engine}");
            deployment::keep(tx, "epoch", "many").await?;
            let corrupt = deployment::get_number(tx, "epoch").await;
            assert!(matches!(corrupt, Err(Error::Corrupt(_))), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_database_tells_where_it_lives_and_another_one_tells_otherwise() {
    let one = testing::postgres().await.home().await.unwrap();
    let other = testing::postgres().await.home().await.unwrap();
    assert!(one.system.is_some() && one.timeline.is_some(), "{one:?}");
    assert_eq!((&one.system, &one.timeline), (&other.system, &other.timeline));
    assert_ne!(one.database, other.database);
    assert_eq!(Store::open_in_memory().unwrap().home().await.unwrap(), Home::default());
}

#[tokio::test]
async fn a_backup_is_taken_beside_the_server_and_is_another_file_with_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copied) = (dir.path().join("data"), dir.path().join("copy"));
    let store = Store::open_sqlite(&data).await.unwrap();
    store.migrate(MIGRATIONS).await.unwrap();
    let keep = async |tx: &mut Tx<'_>| deployment::keep(tx, "color", "green").await;
    store.write(async |tx| keep(tx).await).await.unwrap();
    let home = store.home().await.unwrap();
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    assert_eq!(home.system.is_some(), machine.trim().len() == 32, "{home:?}");
    assert!(
        home.system.iter().all(|word| word != machine.trim()),
        "the machine keeps its identity"
    );

    let made = backup::copy(&data.join(backup::FILE), &copied, "note", "a backup").unwrap();

    assert_eq!(made.schema, MIGRATIONS.last().unwrap().number);
    assert_eq!(backup::setting(&copied, "color").unwrap().as_deref(), Some("green"));
    assert_eq!(backup::setting(&copied, "note").unwrap().as_deref(), Some("a backup"));
    assert_eq!(store.read(async |tx| deployment::get(tx, "note").await).await.unwrap(), None);

    let served = backup::put_back(&copied, &data, "note", "b", "old").unwrap_err();
    assert!(matches!(served, Error::Locked(_)), "{served}");
    drop(store);
    let aside = backup::put_back(&copied, &data, "note", "b", "old").unwrap().unwrap();
    assert_eq!(backup::setting(&aside, "note").unwrap(), None, "nothing was deleted");
    let store = Store::open_sqlite(&data).await.unwrap();
    assert_ne!(store.home().await.unwrap(), home);
}

#[tokio::test]
async fn what_a_restore_moves_aside_is_whole_in_one_file_and_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (live, data) = (dir.path().join("live"), dir.path().join("data"));
    let copied = dir.path().join("copy");
    let store = Store::open_sqlite(&live).await.unwrap();
    store.migrate(MIGRATIONS).await.unwrap();
    backup::copy(&live.join(backup::FILE), &copied, "note", "a backup").unwrap();
    let keep = async |tx: &mut Tx<'_>| deployment::keep(tx, "color", "green").await;
    store.write(async |tx| keep(tx).await).await.unwrap();
    // What a server leaves that is killed: the newest commit stands in the log.
    std::fs::create_dir(&data).unwrap();
    for name in [backup::FILE, "accede.db-wal"] {
        std::fs::copy(live.join(name), data.join(name)).unwrap();
    }

    let first = backup::put_back(&copied, &data, "note", "b", "old").unwrap().unwrap();
    let second = backup::put_back(&copied, &data, "note", "c", "old").unwrap().unwrap();

    assert_ne!(first, second);
    let alone = dir.path().join("alone");
    std::fs::copy(&first, &alone).unwrap();
    assert_eq!(backup::setting(&alone, "color").unwrap().as_deref(), Some("green"));
    assert_eq!(backup::setting(&second, "note").unwrap().as_deref(), Some("b"));
    let path = data.join(backup::FILE);
    assert_eq!(backup::setting(&path, "note").unwrap().as_deref(), Some("c"));
}

#[tokio::test]
async fn a_database_that_is_too_damaged_to_be_read_is_moved_aside_with_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let (live, data) = (dir.path().join("live"), dir.path().join("data"));
    let copied = dir.path().join("copy");
    let store = Store::open_sqlite(&live).await.unwrap();
    store.migrate(MIGRATIONS).await.unwrap();
    backup::copy(&live.join(backup::FILE), &copied, "note", "a backup").unwrap();
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join(backup::FILE), vec![b'x'; 8_192]).unwrap();
    std::fs::write(data.join("accede.db-wal"), "its log").unwrap();

    let aside = backup::put_back(&copied, &data, "note", "b", "old").unwrap().unwrap();

    assert_eq!(std::fs::read(&aside).unwrap(), vec![b'x'; 8_192]);
    let log = data.join("accede.db.old-wal");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "its log");
    assert!(!data.join("accede.db-wal").exists(), "it must not meet the backup");
    Store::open_sqlite(&data).await.unwrap();
}

#[tokio::test]
async fn nothing_is_put_back_while_another_program_reads_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let (live, data) = (dir.path().join("live"), dir.path().join("data"));
    let copied = dir.path().join("copy");
    let store = Store::open_sqlite(&live).await.unwrap();
    store.migrate(MIGRATIONS).await.unwrap();
    backup::copy(&live.join(backup::FILE), &copied, "note", "a backup").unwrap();
    let keep = async |tx: &mut Tx<'_>| deployment::keep(tx, "color", "green").await;
    store.write(async |tx| keep(tx).await).await.unwrap();
    std::fs::create_dir(&data).unwrap();
    for name in [backup::FILE, "accede.db-wal"] {
        std::fs::copy(live.join(name), data.join(name)).unwrap();
    }
    let path = data.join(backup::FILE);
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("begin; select count(*) from settings").unwrap();

    let refused = backup::put_back(&copied, &data, "note", "b", "old").unwrap_err();

    assert!(matches!(refused, Error::Locked(_)), "{refused}");
    assert_eq!(backup::setting(&path, "color").unwrap().as_deref(), Some("green"));
    assert!(!data.join("accede.db.old").exists(), "nothing was begun");
    drop(reader);
    let aside = backup::put_back(&copied, &data, "note", "b", "old").unwrap().unwrap();
    assert_eq!(backup::setting(&aside, "color").unwrap().as_deref(), Some("green"));
}

#[test]
fn a_damaged_backup_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup");
    std::fs::write(&path, vec![b'x'; 9_000]).unwrap();
    let refused = backup::check(&path).unwrap_err();
    assert!(matches!(refused, Error::Corrupt(_)), "{refused}");
}

/// The newest schema of before, in which a delivery has every column that is written now but [`LENT`].
const OLD: i64 = 9;
/// A younger column of deliveries: the old schema has it while this program writes a queue into it.
const LENT: &str = "late_until_at_ms";

/// What a queue looked like before a program of this schema.
async fn queue_of_old(store: &Store, schema: i64) -> Result<()> {
    let older: Vec<_> = MIGRATIONS.iter().filter(|one| one.number <= schema).copied().collect();
    store.migrate(&older).await
}

async fn alter(tx: &mut Tx<'_>, how: &str, kind: &str) -> Result<()> {
    let sql = format!("alter table deliveries {how} {LENT} {kind}");
    tx.execute_text(&sql, &[]).await.map(drop)
}

#[tokio::test]
async fn an_upgrade_with_a_full_queue_keeps_all_of_it() {
    for (engine, store) in testing::empty_stores().await {
        queue_of_old(&store, OLD).await.unwrap();
        let is_pg = store.engine() == accede_store::Engine::Postgres;
        let kind = if is_pg { "bigint" } else { "integer" };
        within(&store, async |tx| alter(tx, "add column", kind).await).await;
        let desk = set(&store).await;
        let phases = [
            Phase::Due { at: at(1) },
            Phase::Failed { at: at(2) },
            Phase::InFlight {
                action: accede_domain::delivery::Action::Grant,
                generation: 1,
                before: Observed::Never,
                lease_until: at(60),
                deadline: at(20),
            },
        ];
        let rows: Vec<_> = (0..300_u128)
            .map(|n| {
                let mut row = desk.delivery(1_000 + n, desk.uma.subject, &format!("role {n}"));
                let phase = phases[usize::try_from(n).unwrap() % phases.len()];
                row.delivery = Delivery { wanted: true, phase, ..row.delivery };
                row
            })
            .collect();
        within(&store, async |tx| {
            for row in &rows {
                deliveries::lock_or_insert(tx, row).await?;
            }
            Ok(())
        })
        .await;

        within(&store, async |tx| alter(tx, "drop column", "").await).await;

        store.migrate(MIGRATIONS).await.unwrap();

        let kept = store.read(async |tx| findings::deliveries(tx, None, 999).await).await.unwrap();
        let kept: Vec<_> = kept.into_iter().map(|(row, _)| row).collect();
        assert_eq!(kept, rows, "{engine}");
        // And back: the older program does not touch it.
        let refused = queue_of_old(&store, OLD).await.unwrap_err();
        assert!(matches!(refused, Error::NewerSchema { .. }), "{engine}: {refused}");
        assert!(refused.to_string().contains("start the newer version"), "{refused}");
    }
}
