//! `accede backup`, `accede restore`, `accede confirm`: a copy of the database, putting one back, and
//! the word that lets a restored or copied deployment go on.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use accede_app::clock::{Clock, SystemClock};
use accede_app::comparison::{Comparison, Kind};
use accede_app::crash::{Point, point};
use accede_app::deployment::{self, Choice, Deployment, WhatIsGiven};
use accede_app::keys::KEY_FILE;
use accede_app::{App, Caller};
use clap::{Args, ValueEnum};
use url::Url;

use super::data::Place;
use super::{Code, Failure};

/// Differences of a kind that are printed; the API lists all.
const PRINTED: usize = 20;

/// `accede backup`
#[derive(Debug, Args)]
pub struct BackupArgs {
    #[command(flatten)]
    place: Place,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
}

impl BackupArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.load(&[])?;
        self.place.must_hold_database(&config)?;
        if self.to.exists() && !self.force {
            let sentence = format!(
                "`{}` exists; name another file, or replace it with --force",
                self.to.display()
            );
            return Err(Failure::new(sentence).with(Code::Refused));
        }
        // Nobody else may read it, and no file that is there already is in the way.
        let draft = beside(&self.to, &format!("{}.new", std::process::id()));
        let mut private = OpenOptions::new();
        private
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(|error| unwritten(&draft, &error))?;
        point(Point::BackupBegun);
        let made = match &config.database_url {
            Some(url) => dump(url, &draft),
            None => self.copy(&draft),
        };
        let what = match made {
            Ok(what) => what,
            Err(failure) => {
                let _gone = fs::remove_file(&draft);
                return Err(failure);
            }
        };
        let placed = match self.force {
            true => fs::rename(&draft, &self.to),
            // Unlike a rename it does not replace what came there meanwhile; where there are no links,
            // it was looked above.
            false => match fs::hard_link(&draft, &self.to) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    fs::rename(&draft, &self.to)
                }
                linked => linked.and_then(|()| fs::remove_file(&draft)),
            },
        };
        if let Err(error) = placed {
            let _gone = fs::remove_file(&draft);
            return Err(unwritten(&self.to, &error));
        }
        point(Point::BackupPlaced);
        sync_folder(&self.to)?;
        println!("Backup: {} ({what})", self.to.display());
        println!(
            "The key is not in it: {} must be kept elsewhere, and without it the backup cannot be \
             used.",
            key_file(&self.place.data).display()
        );
        Ok(())
    }

    fn copy(&self, draft: &Path) -> Result<String, Failure> {
        let file = self.place.data.join(deployment::DATABASE_FILE);
        let schema = deployment::back_up(&file, draft, SystemClock.now())?;
        let size = fs::metadata(draft)?.len();
        Ok(format!("schema {schema}, {size} bytes, checked"))
    }
}

/// Has PostgreSQL's own program write a backup.
fn dump(url: &str, to: &Path) -> Result<String, Failure> {
    let mut address = Url::parse(url).map_err(|error| {
        Failure::new(format!("the address of the database is not understood: {error}"))
            .with(Code::Usage)
    })?;
    let password = address.password().map(|password| {
        percent_encoding::percent_decode_str(password).decode_utf8_lossy().into_owned()
    });
    // Other users of the machine see the arguments of a program.
    let _has_host = address.set_password(None);
    let mut program = Command::new("pg_dump");
    program.args(["--format=custom", "--no-password", "--dbname", address.as_str(), "--file"]);
    program.arg(to);
    if let Some(password) = password {
        program.env("PGPASSWORD", password);
    }
    let by_hand = format!("pg_dump --format=custom --dbname '{address}' --file FILE");
    match program.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let sentence = format!(
                "PostgreSQL is backed up by its own pg_dump, which is not installed here; run where \
                 it is: {by_hand}"
            );
            Err(Failure::new(sentence))
        }
        Err(error) => Err(Failure::new(format!("pg_dump did not run: {error}"))),
        Ok(output) if output.status.success() => {
            File::open(to)?.sync_all()?;
            Ok("a PostgreSQL archive; put it back with pg_restore".to_owned())
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or("nothing").to_owned();
            let code = Code::Unreachable;
            Err(Failure::new(format!("pg_dump failed: {said}; by hand: {by_hand}")).with(code))
        }
    }
}

/// `accede restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    place: Place,
    /// The backup, as `accede backup` wrote it
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The key file that the backup was sealed with, to be copied into a data directory without one
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Replace the database that is there; it is moved aside and not deleted
    #[arg(long)]
    force: bool,
}

impl RestoreArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.load(&[])?;
        if let Some(url) = &config.database_url {
            let name = Url::parse(url).map(|url| url.path().trim_start_matches('/').to_owned());
            let name = name.unwrap_or_default();
            let sentence = format!(
                "PostgreSQL is restored by its own pg_restore, into a new database so that it starts \
                 paused: createdb {name}_restored; pg_restore --exit-on-error --no-owner --dbname \
                 {name}_restored FILE; then name the new database in --database or `database.url`"
            );
            return Err(Failure::new(sentence).with(Code::Usage));
        }
        let data = &self.place.data;
        if deployment::has_database(data) && !self.force {
            let sentence = format!(
                "`{}` holds a database already; name another data directory, or replace it with \
                 --force, which moves the present one aside",
                data.display()
            );
            return Err(Failure::new(sentence).with(Code::Refused));
        }
        let own_key = key_file(data);
        let key = self.key.as_ref().filter(|_| !own_key.exists()).unwrap_or(&own_key);
        must_be_sqlite(&self.from)?;
        if !key.exists() {
            let sentence = format!(
                "there is no key `{}`; name the key file that the backup was sealed with, with --key FILE",
                key.display()
            );
            return Err(Failure::new(sentence).with(Code::Usage));
        }
        let schema = deployment::check_backup(&self.from, key)?;
        let aside = deployment::put_back(&self.from, data, SystemClock.now())?;
        if key != &own_key {
            point(Point::RestoreKey);
            copy_key(key, &own_key)?;
        }
        println!("Restored into {} (schema {schema}, checked)", data.display());
        if let Some(aside) = aside {
            println!("The database that was there is now {}", aside.display());
        }
        println!(
            "\nIt starts paused, because what was revoked since the backup must not be given again."
        );
        let (again, _) = self.place.again();
        println!("Next: accede serve {again}");
        println!("      accede confirm {again}   compares it with the targets");
        Ok(())
    }
}

/// Refuses a file that no SQLite wrote.
fn must_be_sqlite(file: &Path) -> Result<(), Failure> {
    let usage = |sentence: String| Failure::new(sentence).with(Code::Usage);
    let mut head = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(16).read_to_end(&mut head))
        .map_err(|error| usage(format!("`{}` cannot be read: {error}", file.display())))?;
    if head.starts_with(b"PGDMP") {
        return Err(usage(format!(
            "`{}` is a PostgreSQL archive; put it back with pg_restore, see `accede restore` with \
             --database",
            file.display()
        )));
    }
    if head != b"SQLite format 3\0" {
        return Err(usage(format!(
            "`{}` is no backup; name a file that `accede backup` wrote",
            file.display()
        )));
    }
    Ok(())
}

fn copy_key(from: &Path, to: &Path) -> Result<(), Failure> {
    let text = fs::read(from)?;
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(to)?;
    file.write_all(&text)?;
    file.sync_all()?;
    sync_folder(to)
}

/// What is given again of what was not seen in the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Given {
    /// Nothing: it may have been revoked since
    None,
    /// What the database had not delivered yet
    Queued,
    /// Everything, also what may have been revoked
    All,
}

/// `accede confirm`
#[derive(Debug, Args)]
pub struct ConfirmArgs {
    #[command(flatten)]
    place: Place,
    /// Take the database as the truth and go on; what was not seen in the targets is held
    #[arg(long, conflicts_with = "new_instance")]
    resume: bool,
    /// With --resume: what is given again of what was not seen in the targets
    #[arg(long, value_name = "WHAT", value_enum, requires = "resume")]
    regrant: Option<Given>,
    /// It is a copy: make it a deployment of its own, with all its targets paused
    #[arg(long)]
    new_instance: bool,
    /// Read the targets again although they were compared already
    #[arg(long, conflicts_with = "new_instance")]
    again: bool,
}

impl ConfirmArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.load(&[])?;
        let app = self.place.open_existing(&config, false).await?;
        let operator = Caller::system();
        let mut found = app.get_deployment(&operator).await?;
        let Some(pause) = &found.pause else {
            let why = "deployment is not paused; there is nothing to confirm. A copy or a restored \
                       database pauses when `accede serve` is started on it";
            if self.resume || self.new_instance {
                return Err(Failure::new(format!("the {why}")).with(Code::Refused));
            }
            println!("The {why}.");
            return Ok(());
        };
        println!("Paused: {}.", pause.reason.sentence());
        let choice = match (self.new_instance, self.regrant) {
            (true, _) => Choice::NewInstance,
            (false, None | Some(Given::None)) => Choice::Resume { regrant: WhatIsGiven::Nothing },
            (false, Some(Given::Queued)) => Choice::Resume { regrant: WhatIsGiven::Queued },
            (false, Some(Given::All)) => Choice::Resume { regrant: WhatIsGiven::Everything },
        };
        if choice != Choice::NewInstance {
            let is_compared = found.comparison.as_ref().is_some_and(Comparison::is_complete);
            if pause.choice.is_none() && (self.again || !is_compared) {
                eprintln!("Reading the targets; nothing in them is changed …");
                app.compare_deployment(&operator).await?;
                app.work_pause().await?;
                found = app.get_deployment(&operator).await?;
            }
            tell(&app, &operator, &found).await?;
        }
        if !self.resume && !self.new_instance {
            let (again, note) = self.place.again();
            println!("\nNothing was changed. Next, one of:");
            println!("  accede confirm {again} --resume         holds what was not seen");
            println!("  accede confirm {again} --new-instance   it is a copy");
            if let Some(note) = note {
                println!("{note}");
            }
            return Ok(());
        }
        app.confirm_deployment(&operator, choice).await?;
        app.work_pause().await?;
        app.remember_mark(&self.place.data).await?;
        match choice {
            Choice::Resume { .. } => println!(
                "\nConfirmed: the deployment goes on. What is held is listed under Deployment and \
                 Failures in the portal."
            ),
            Choice::NewInstance => println!(
                "\nConfirmed: a deployment of its own. All its targets are paused; point them \
                 elsewhere before you resume them."
            ),
        }
        Ok(())
    }
}

/// Prints what differs.
async fn tell(app: &App, operator: &Caller, found: &Deployment) -> Result<(), Failure> {
    let Some(comparison) = &found.comparison else { return Ok(()) };
    println!("\n{} roles compared with their targets:", comparison.compared);
    for (count, what) in [
        (comparison.lacking, "wanted, and not in the target"),
        (comparison.extra, "in the target, and not wanted"),
        (comparison.unread, "could not be read"),
        (comparison.blind, "can never be read"),
    ] {
        println!("{count:8}  {what}");
    }
    for kind in Kind::ALL {
        let page = app.list_differences(operator, kind, None, PRINTED).await?;
        if page.items.is_empty() {
            continue;
        }
        println!("\n{}:", kind.name());
        for one in &page.items {
            let row = &one.named.row;
            let person = one.person.as_ref().map_or("-", |person| &person.user_principal_name);
            let role = one.named.role_name.as_ref().unwrap_or(&row.key.role);
            let resource = one.named.resource_name.as_ref().unwrap_or(&row.key.resource);
            let why = one.detail.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            println!("  {person}  {role} of {resource} in {}{why}", one.named.target_name);
        }
        if page.next.is_some() {
            println!("  … and more: GET /accede/v1/deployment/differences?kind={}", kind.name());
        }
    }
    Ok(())
}

fn key_file(data: &Path) -> PathBuf {
    std::env::var_os("ACCEDE_KEY_FILE").map_or_else(|| data.join(KEY_FILE), PathBuf::from)
}

/// A file of the same name with an addition.
fn beside(path: &Path, addition: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{addition}"));
    PathBuf::from(name)
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("`{}` cannot be written: {error}", path.display()))
}

/// Makes the name of a new file durable.
fn sync_folder(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?)
}
