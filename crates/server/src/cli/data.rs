//! The commands that work on a data directory, or on the database of a deployment.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use accede_app::App;
use accede_app::clock::{SystemClock, SystemEntropy};
use accede_app::deployment;
use accede_app::open::{Database, Opening};
use accede_app::sign_in::MIN_PASSWORD;
use accede_app::tokens::Wish;
use accede_domain::duration::{Duration, MalformedDuration};
use clap::Args;
use jiff::SignedDuration;
use url::Url;

use super::{Code, Failure};
use crate::api::Web;
use crate::config::{self, Config};

/// What the API calls the password of a user.
const PASSWORD: &str = "passwordProfile.password";

/// Where a deployment is.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Data directory: settings, key and, without --database, the database
    #[arg(long, value_name = "DIR", env = "ACCEDE_DATA", default_value = "accede-data")]
    pub data: PathBuf,
    /// Settings file, instead of accede.toml in the data directory
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// PostgreSQL database, instead of SQLite in the data directory
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}

impl Place {
    pub(super) fn load(&self, more: &[(&str, Option<&str>, &str)]) -> Result<Config, Failure> {
        let mut flags = vec![("database.url", self.database.as_deref(), "--database")];
        flags.extend_from_slice(more);
        Ok(config::load(&self.data, self.config.as_ref(), &flags)?)
    }

    /// Refuses a directory without a database, which is a name that was mistyped: only `serve` and
    /// `init` make one.
    pub(super) fn must_hold_database(&self, config: &Config) -> Result<(), Failure> {
        if config.database_url.is_some() || deployment::has_database(&self.data) {
            return Ok(());
        }
        let sentence = format!(
            "`{}` holds no database; name its data directory with --data",
            self.data.display()
        );
        Err(Failure::new(sentence).with(Code::NotFound))
    }

    /// The deployment that is there; none is made.
    pub(super) async fn open_existing(&self, config: &Config, alone: bool) -> Result<App, Failure> {
        self.must_hold_database(config)?;
        self.open(config, alone).await
    }

    /// The options that name the same deployment in a command to type next, and what must be said of
    /// them. A password is not repeated.
    pub(super) fn again(&self) -> (String, Option<&'static str>) {
        let mut options = format!("--data {}", self.data.display());
        if let Some(config) = &self.config {
            options.push_str(&format!(" --config {}", config.display()));
        }
        let Some(database) = &self.database else { return (options, None) };
        let shown = Url::parse(database).ok().filter(|url| {
            url.password().is_none() && !url.query_pairs().any(|(name, _)| name == "password")
        });
        match shown {
            Some(_) => (format!("{options} --database '{database}'"), None),
            None => (
                format!("{options} --database URL"),
                Some(
                    "URL is the address of the database as you gave it; its password is not shown \
                     here.",
                ),
            ),
        }
    }

    pub(super) async fn open(&self, config: &Config, alone: bool) -> Result<App, Failure> {
        let database = match (&config.database_url, alone) {
            (Some(url), _) => Database::Postgres { url: url.clone(), pool_size: config.pool_size },
            (None, true) => Database::Directory,
            (None, false) => Database::Beside,
        };
        let key_file = std::env::var_os("ACCEDE_KEY_FILE").map(PathBuf::from);
        let app = App::open(Opening {
            data: self.data.clone(),
            database,
            key_file,
            settings: config.settings.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        })
        .await?;
        Ok(app)
    }
}

/// What the doors know of a deployment.
pub fn web(config: &Config) -> Web {
    Web {
        public_url: config.public_url.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    }
}

/// `accede serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    place: Place,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// How events are written to standard error: text or json
    #[arg(long, value_name = "FORMAT")]
    log: Option<String>,
}

impl ServeArgs {
    /// The settings.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn config(&self) -> Result<Config, Failure> {
        self.place.load(&[
            ("server.listen", self.listen.as_deref(), "--listen"),
            ("log.format", self.log.as_deref(), "--log"),
        ])
    }

    /// The deployment, made if it is not there.
    ///
    /// # Errors
    ///
    /// Why it cannot be opened.
    pub async fn open(&self, config: &Config) -> Result<App, Failure> {
        let app = self.place.open(config, true).await?;
        app.take_up(&self.place.data).await?;
        Ok(app)
    }
}

/// `accede init`
#[derive(Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    place: Place,
    /// Sign-in name of the first administrator, such as mira@harbourline.example
    #[arg(long, value_name = "UPN")]
    admin: Option<String>,
    /// File with the administrator's password in its first line; - for standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl InitArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.load(&[])?;
        // The password first: nothing is made if it cannot be had.
        let password = match (&self.admin, &self.password_file) {
            (None, Some(_)) => {
                let sentence = "--password-file is for the administrator; name one with --admin";
                return Err(Failure::new(sentence).with(Code::Usage));
            }
            (None, None) => None,
            (Some(_), file) => Some(password(file.as_deref())?),
        };
        let app = self.place.open(&config, false).await?;
        let mut out = std::io::stdout();
        if let (Some(admin), Some(password)) = (&self.admin, &password) {
            let user =
                app.create_administrator(admin, password).await.map_err(|error| match error {
                    // The API's name of the property says nothing to who types a password.
                    accede_app::Error::Invalid { path, sentence } if path == PASSWORD => {
                        Failure::new(format!("the password {sentence}")).with(Code::Usage)
                    }
                    error => error.into(),
                })?;
            writeln!(out, "Global Administrator: {}", user.user_principal_name)?;
        }
        let data = self.place.data.display();
        writeln!(out, "Data directory: {data}")?;
        if config.database_url.is_none() {
            writeln!(out, "Database: SQLite in the data directory")?;
        } else {
            writeln!(out, "Database: PostgreSQL")?;
        }
        writeln!(
            out,
            "Key: accede.key in the data directory unless ACCEDE_KEY_FILE names another. Without it \
             the database cannot be used: keep a copy elsewhere."
        )?;
        let (again, note) = self.place.again();
        writeln!(out, "\nNext: accede serve {again}")?;
        let next = match &self.admin {
            // The address is serve's to tell: it may be given another, or take a free port.
            Some(admin) => format!("then sign in as {admin} at the address that it prints"),
            None => format!("and: accede init {again} --admin UPN, to be able to sign in"),
        };
        writeln!(out, "      {next}")?;
        if let Some(note) = note {
            writeln!(out, "{note}")?;
        }
        Ok(())
    }
}

/// A password from a file, from standard input, or asked for.
fn password(file: Option<&Path>) -> Result<String, Failure> {
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    match file {
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().lock().read_line(&mut text)?;
            Ok(first_line(text))
        }
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::new(format!("`{}` cannot be read: {error}", path.display()))
            })?;
            Ok(first_line(text))
        }
        None if std::io::stdin().is_terminal() => {
            eprintln!(
                "A password of at least {MIN_PASSWORD} characters, such as four or five words."
            );
            let first = ask("Password: ")?;
            let second = ask("Again: ")?;
            if first == second {
                Ok(first)
            } else {
                Err(Failure::new("the two passwords differ; nothing was made").with(Code::Usage))
            }
        }
        None => {
            let mut text = String::new();
            std::io::stdin().lock().take(4_096).read_to_string(&mut text)?;
            let line = first_line(text);
            if line.is_empty() {
                let sentence = "no password was given; write it to standard input or use \
                                --password-file FILE";
                return Err(Failure::new(sentence).with(Code::Usage));
            }
            Ok(line)
        }
    }
}

/// Asks on the terminal, which shows nothing of the answer.
fn ask(prompt: &str) -> Result<String, Failure> {
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let quiet = std::process::Command::new("stty").arg("-echo").status();
    let mut text = String::new();
    let read = std::io::stdin().lock().read_line(&mut text);
    if quiet.is_ok_and(|status| status.success()) {
        let _ = std::process::Command::new("stty").arg("echo").status();
        eprintln!();
    }
    read?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// `accede migrate`
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    place: Place,
}

impl MigrateArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.load(&[])?;
        let app = self.place.open_existing(&config, true).await?;
        let version = app.schema_version().await?;
        println!("The database has schema {version}, the newest that this program knows.");
        Ok(())
    }
}

/// `accede token`
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(flatten)]
    place: Place,
    /// For this person: sign-in name or object id
    #[arg(long, value_name = "UPN", required_unless_present = "app", conflicts_with = "app")]
    user: Option<String>,
    /// For this application, which is made if there is none of that name
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Role to give first, again and again: a directory role such as "Global Administrator",
    /// "Catalog creator", or a role on a catalog such as "Catalog owner:General"
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// Scope of the token, again and again, such as EntitlementManagement.Read.All; without one,
    /// everything that the person or the application may do
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// How long the token lasts, in ISO 8601; one hour without
    #[arg(long, value_name = "DURATION")]
    lifetime: Option<String>,
    /// Print a new client secret for the application instead of a token
    #[arg(long, requires = "app", conflicts_with_all = ["user", "scope", "lifetime"])]
    secret: bool,
}

impl TokenArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let lifetime = self.lifetime.as_deref().map(lifetime).transpose()?;
        let config = self.place.load(&[])?;
        let app = self.place.open_existing(&config, false).await?;
        let wish = Wish { roles: self.role, scopes: self.scope, lifetime };
        let issued = match (&self.user, &self.app) {
            (Some(user), _) => app.issue_user_token(user, &wish).await?,
            (None, Some(name)) => {
                let issued = app.issue_app_token(name, &wish).await?;
                if self.secret {
                    let secret = app.new_client_secret(name).await?;
                    println!("client_id={}", secret.client_id);
                    println!("client_secret={}", secret.secret);
                    return Ok(());
                }
                issued
            }
            (None, None) => {
                return Err(Failure::new("name --user or --app").with(Code::Usage));
            }
        };
        println!("{}", issued.token);
        Ok(())
    }
}

fn lifetime(text: &str) -> Result<SignedDuration, Failure> {
    let wrong = |why: String| Failure::new(format!("--lifetime: {why}")).with(Code::Usage);
    let duration: Duration = text.parse().map_err(|error| match error {
        // The example is one that is taken here: others take months, too.
        MalformedDuration::NotIso(text) => wrong(format!(
            "`{text}` is not a duration; write it as in ISO 8601, such as PT8H or P14D"
        )),
        error => wrong(error.to_string()),
    })?;
    let fixed =
        duration.fixed().ok_or_else(|| wrong("write it without months and years".into()))?;
    SignedDuration::try_from(fixed).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(database: Option<&str>, config: Option<&str>) -> (String, Option<&'static str>) {
        let database = database.map(ToOwned::to_owned);
        Place { data: "d".into(), config: config.map(PathBuf::from), database }.again()
    }

    #[test]
    fn a_next_command_names_the_same_database_and_never_a_password() {
        assert_eq!(again(None, None), ("--data d".to_owned(), None));
        let open = "postgres://accede@db.example/accede";
        let (told, note) = again(Some(open), Some("a.toml"));
        assert_eq!(told, format!("--data d --config a.toml --database '{open}'"));
        assert_eq!(note, None);
        for hidden in [
            "postgres://accede:canary@db.example/accede",
            "postgres://db.example/accede?password=canary",
        ] {
            let (told, note) = again(Some(hidden), None);
            assert_eq!(told, "--data d --database URL");
            assert!(note.is_some_and(|note| note.contains("as you gave it")));
        }
    }
}
