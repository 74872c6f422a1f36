//! Opening a deployment: its database, its key, and what every deployment has from the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use accede_domain::id::{CatalogId, TargetId};
use accede_store::catalogs::{self, Catalog, CatalogType, State};
use accede_store::crash::{Point, point};
use accede_store::schema::MIGRATIONS;
use accede_store::targets::{self, TargetRow};
use accede_store::{Store, deployment};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use crate::keys::{KEY_FILE, KeyError, Keys};
use crate::seal::Place;
use crate::tokens::Signer;
use crate::{App, Clock, Entropy, Error, Result, Settings};

/// The name of the built-in directory as a target, and so the `originSystem` of its groups.
pub const DIRECTORY_TARGET: &str = "AadGroup";

/// How long to wait for a process that is about to let go of the data directory.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait beside a process that has just begun.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(3);
/// How often to look meanwhile.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The names under which a deployment keeps things about itself.
const CANARY: &str = "canary";
const SIGNING_KEY: &str = "signing_key";
const DEPLOYMENT_ID: &str = "deployment_id";
const BUILT_IN: &str = "built_in";
/// What the canary says.
const SONG: &[u8] = b"accede";

/// Where a deployment's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// SQLite in the data directory, for the process that serves it.
    Directory,
    /// SQLite in the data directory, beside the process that serves it, if there is one.
    Beside,
    /// PostgreSQL.
    Postgres {
        /// Its address.
        url: String,
        /// Most connections for transactions.
        pool_size: usize,
    },
}

/// What is needed to open a deployment.
pub struct Opening {
    /// Its data directory, where its key is unless `key_file` says otherwise.
    pub data: PathBuf,
    /// Where its data is.
    pub database: Database,
    /// Its key file, if it is not in the data directory.
    pub key_file: Option<PathBuf>,
    /// Its settings.
    pub settings: Settings,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Its entropy.
    pub entropy: Arc<dyn Entropy>,
}

/// Why a deployment does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database's reason.
    #[error(transparent)]
    Store(#[from] accede_store::Error),
    /// The key's reason.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database has an older schema than this program, and is not ours to change.
    #[error(
        "the database has an older schema than this program knows; stop the server, run `accede \
         migrate`, and start the newer version"
    )]
    OlderSchema,
    /// The data directory cannot be made.
    #[error(
        "the data directory `{}` cannot be made: {reason}; name one on a disk that this user may \
         write, with --data or in ACCEDE_DATA",
        path.display()
    )]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The data directory's memory of its database.
    #[error(transparent)]
    Instance(#[from] crate::instance::InstanceError),
    /// Anything else.
    #[error(transparent)]
    App(#[from] Error),
}

impl OpenError {
    /// Whether the database cannot be reached at present.
    pub fn is_outage(&self) -> bool {
        matches!(self, OpenError::Store(accede_store::Error::Unavailable(_)))
    }
}

impl App {
    /// Opens a deployment, making what is missing: the data directory, the key, the tables, what is
    /// built in.
    ///
    /// # Errors
    ///
    /// Another process serves the directory; the database is newer, or could lose data; the key is
    /// missing, exposed, or does not fit.
    pub async fn open(opening: Opening) -> Result<App, OpenError> {
        let Opening { data, database, key_file, settings, clock, entropy } = opening;
        make_directory(&data)?;
        let store = match &database {
            Database::Directory => open_alone(&data).await?,
            Database::Beside if Store::sqlite_exists(&data) => {
                let store = Store::attach_sqlite(&data).await?;
                await_schema(&store).await?;
                store
            }
            Database::Beside => open_alone(&data).await?,
            Database::Postgres { url, pool_size } => Store::open_postgres(url, *pool_size).await?,
        };
        store.migrate(MIGRATIONS).await?;
        point(Point::OpenMigrated);
        let canary = store.read(async |tx| deployment::get(tx, CANARY).await).await;
        let sealed = canary.map_err(|error| store.placed(error))?.is_some();
        let key_file = key_file.unwrap_or_else(|| data.join(KEY_FILE));
        let keys = match (sealed, key_file.exists()) {
            (_, true) => Keys::read(&key_file)?,
            (true, false) => return Err(KeyError::Missing(key_file).into()),
            (false, false) => Keys::create(&key_file, &*entropy)?,
        };
        point(Point::OpenKeyed);
        let app = App::with_keys(store, clock, entropy, settings, keys);
        app.prepare().await?;
        Ok(app)
    }

    /// Makes sure that the key fits the database, and that everything is there that every
    /// deployment has: its id, its signing key, the directory's own target, one catalog.
    ///
    /// # Errors
    ///
    /// When the key does not fit, or the database's.
    pub async fn prepare(&self) -> Result<(), OpenError> {
        let now = self.now();
        let canary = STANDARD.encode(self.seal(place(CANARY), SONG)?);
        let key = STANDARD.encode(self.seal(place(SIGNING_KEY), &Signer::generate()?)?);
        let id: Uuid = self.entropy().uuid(now);
        let target: TargetId = self.mint(now);
        let catalog: CatalogId = self.mint(now);
        let (canary, key, id) = self
            .store()
            .write(async |tx| {
                // Whoever comes second waits here and then finds everything made.
                let canary = deployment::keep(tx, CANARY, &canary).await?;
                let key = deployment::keep(tx, SIGNING_KEY, &key).await?;
                let id = deployment::keep(tx, DEPLOYMENT_ID, &id.to_string()).await?;
                if deployment::get(tx, BUILT_IN).await?.is_none() {
                    targets::insert(tx, &directory_target(target, now)).await?;
                    catalogs::insert(tx, &general_catalog(catalog, now)).await?;
                    deployment::keep(tx, BUILT_IN, "1").await?;
                }
                Ok::<_, accede_store::Error>((canary, key, id))
            })
            .await
            .map_err(|error| self.store().placed(error))?;
        point(Point::OpenPrepared);
        let opened =
            STANDARD.decode(&canary).map(|sealed| self.keys().unseal(place(CANARY), &sealed));
        if !matches!(opened, Ok(Ok(song)) if song == SONG) {
            return Err(KeyError::Wrong.into());
        }
        let key = STANDARD.decode(&key).map_err(Error::internal)?;
        let key = self.unseal(place(SIGNING_KEY), &key)?;
        let id = Uuid::try_parse(&id).map_err(Error::internal)?;
        self.set_signer(Signer::new(&key, id)?);
        Ok(())
    }
}

/// Whether a key fits a database, of which `setting` tells what it keeps under a name.
pub(crate) fn check_key(
    setting: impl Fn(&str) -> accede_store::Result<Option<String>>,
    key_file: &Path,
) -> Result<(), OpenError> {
    let Some(canary) = setting(CANARY)? else { return Ok(()) };
    if !key_file.exists() {
        return Err(KeyError::Missing(key_file.to_owned()).into());
    }
    let keys = Keys::read(key_file)?;
    let opened = STANDARD.decode(&canary).map(|sealed| keys.unseal(place(CANARY), &sealed));
    match opened {
        Ok(Ok(song)) if song == SONG => Ok(()),
        _ => Err(KeyError::Wrong.into()),
    }
}

const fn place(name: &str) -> Place<'_> {
    Place { table: "settings", row: name, column: "value" }
}

/// Waits for a process that has just begun to serve a new directory.
async fn await_schema(store: &Store) -> Result<(), OpenError> {
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.number);
    let mut waited = Duration::ZERO;
    while store.schema_version().await? < newest {
        if SCHEMA_PATIENCE <= waited {
            return Err(OpenError::OlderSchema);
        }
        tokio::time::sleep(LOCK_PAUSE).await;
        waited += LOCK_PAUSE;
    }
    Ok(())
}

async fn open_alone(data: &Path) -> Result<Store, accede_store::Error> {
    let mut waited = Duration::ZERO;
    loop {
        match Store::open_sqlite(data).await {
            // `accede token` and its like hold a new directory for a moment.
            Err(accede_store::Error::Locked(_)) if waited < LOCK_PATIENCE => {
                tokio::time::sleep(LOCK_PAUSE).await;
                waited += LOCK_PAUSE;
            }
            outcome => return outcome,
        }
    }
}

fn make_directory(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|reason| OpenError::Directory { path: path.to_owned(), reason })
}

fn directory_target(id: TargetId, now: accede_domain::Timestamp) -> TargetRow {
    TargetRow {
        id,
        name: DIRECTORY_TARGET.to_owned(),
        display_name: "Directory groups".to_owned(),
        description: Some("The groups of the built-in directory.".to_owned()),
        kind: targets::DIRECTORY.to_owned(),
        settings: serde_json::json!({}),
        secrets: None,
        concurrency: 8,
        catalog_owners_may_add: true,
        is_paused: false,
        checked: None,
        created_at: now,
        modified_at: now,
        version: 1,
    }
}

fn general_catalog(id: CatalogId, now: accede_domain::Timestamp) -> Catalog {
    Catalog {
        id,
        display_name: "General".to_owned(),
        description: "Built-in catalog.".to_owned(),
        catalog_type: CatalogType::ServiceDefault,
        state: State::Published,
        is_externally_visible: true,
        created_at: now,
        modified_at: now,
        version: 1,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs;

    use super::*;
    use crate::clock::{SystemClock, SystemEntropy};

    fn opening(data: &Path) -> Opening {
        Opening {
            data: data.to_owned(),
            database: Database::Directory,
            key_file: None,
            settings: Settings::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }

    #[tokio::test]
    async fn a_new_directory_gets_a_key_and_what_is_built_in_once() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        for _ in 0..2 {
            let app = App::open(opening(&data)).await.unwrap();
            let (targets, general) = app
                .store()
                .read(async |tx| {
                    let targets = targets::list(tx, 9).await?;
                    Ok::<_, accede_store::Error>((targets, catalogs::general(tx).await?))
                })
                .await
                .unwrap();
            assert_eq!(targets.len(), 1);
            assert_eq!(targets.first().unwrap().name, DIRECTORY_TARGET);
            assert_eq!(general.unwrap().display_name, "General");
            assert!(data.join(KEY_FILE).exists());
        }
    }

    #[tokio::test]
    async fn without_its_key_a_database_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        drop(App::open(opening(dir.path())).await.unwrap());
        let key = dir.path().join(KEY_FILE);
        let kept = fs::read(&key).unwrap();

        fs::remove_file(&key).unwrap();
        let missing = App::open(opening(dir.path())).await.err().unwrap();
        assert!(matches!(missing, OpenError::Key(KeyError::Missing(_))), "{missing}");
        assert!(!key.exists());

        Keys::create(&key, &SystemEntropy).unwrap();
        let wrong = App::open(opening(dir.path())).await.err().unwrap();
        assert!(matches!(wrong, OpenError::Key(KeyError::Wrong)), "{wrong}");

        fs::write(&key, kept).unwrap();
        App::open(opening(dir.path())).await.unwrap();
    }

    #[tokio::test]
    async fn a_second_process_is_refused_but_may_look_beside() {
        let dir = tempfile::tempdir().unwrap();
        let _app = App::open(opening(dir.path())).await.unwrap();

        let second = App::open(opening(dir.path())).await.err().unwrap();
        assert!(second.to_string().contains("already serves"), "{second}");
        let beside = Opening { database: Database::Beside, ..opening(dir.path()) };
        App::open(beside).await.unwrap();
    }
}
