//! `accede demo`: a temporary organization in this process, to click through or to watch.

mod clock;
mod organization;
mod story;

use std::sync::Arc;

use accede_app::App;
use accede_app::Settings;
use accede_app::clock::SystemEntropy;
use accede_app::open::{Database, Opening};

use self::clock::DemoClock;
pub use self::organization::{Organization, REQUESTS};
pub use self::story::play;

/// A demonstration that is ready: its data lies in a temporary folder that goes with it.
pub struct Demo {
    /// The application.
    pub app: App,
    /// Who and what is in it.
    pub organization: Organization,
    _folder: tempfile::TempDir,
}

/// Why a demonstration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No temporary folder.
    #[error("the demonstration needs a temporary folder: {0}")]
    Folder(#[from] std::io::Error),
    /// The database.
    #[error(transparent)]
    Open(#[from] accede_app::open::OpenError),
    /// A verb.
    #[error(transparent)]
    App(#[from] accede_app::Error),
}

/// Makes the organization and its past.
///
/// # Errors
///
/// No temporary folder; nothing else is expected.
pub async fn prepare() -> Result<Demo, DemoError> {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(DemoClock::default());
    let app = App::open(Opening {
        data: folder.path().to_owned(),
        database: Database::Directory,
        key_file: None,
        settings: Settings::default(),
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy),
    })
    .await?;
    app.prepare().await?;
    let organization = organization::make(&app, &clock).await?;
    Ok(Demo { app, organization, _folder: folder })
}

impl Demo {
    /// Mends the target that was down: the demonstration begins in the morning after.
    ///
    /// # Errors
    ///
    /// The verb's.
    pub async fn mend(&self) -> accede_app::Result<()> {
        organization::set_mode(&self.app, &self.organization, "ok").await
    }
}
