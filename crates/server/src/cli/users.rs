//! `accede users`: people from a CSV file, into a data directory or a server.

use std::io::Read;
use std::path::{Path, PathBuf};

use accede_app::Caller;
use accede_app::user_import::{MAX_BYTES, OnBadLine};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Connection, Output};
use super::data::Place;
use super::table::{at, table};
use super::{Code, Failure};

/// `accede users`
#[derive(Debug, Subcommand)]
pub enum Users {
    /// Add and change the users of a CSV file
    ///
    /// The first line names the columns: userPrincipalName, and any of displayName, givenName,
    /// surname, mail, department, jobTitle, companyName, employeeId, userType, accountEnabled,
    /// manager (a userPrincipalName, of this file or already known). Users are told apart by
    /// userPrincipalName; those who exist are changed in the columns that the file has. With
    /// --server or ACCEDE_SERVER the server does it, else this program in the data directory.
    Import(ImportArgs),
}

/// `accede users import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The CSV file; - for standard input
    file: PathBuf,
    /// Leave wrong lines out instead of importing nothing
    #[arg(long)]
    skip_bad_lines: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    connection: Connection,
}

impl Users {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Users::Import(args) => args.run().await,
        }
    }
}

impl ImportArgs {
    async fn run(self) -> Result<(), Failure> {
        let csv = read(&self.file)?;
        let server = self.connection.server.as_deref().is_some_and(|server| !server.is_empty());
        let report = if server {
            let skip = if self.skip_bad_lines { "true" } else { "false" };
            let client = self.connection.client()?;
            client.post_csv("/accede/v1/users/import", &[("skipBadLines", skip)], csv).await?
        } else {
            let on_bad_line =
                if self.skip_bad_lines { OnBadLine::LeaveOut } else { OnBadLine::Refuse };
            let config = self.place.load(&[])?;
            let app = self.place.open_existing(&config, false).await?;
            app.refresh_pause().await?;
            app.refuse_paused()?;
            let report = app.import_users(&Caller::system(), &csv, on_bad_line).await?;
            json!({
                "created": report.created,
                "changed": report.changed,
                "unchanged": report.unchanged,
                "bad": report.bad,
                "isRefused": report.refused,
                "badLines": report.bad_lines,
                "held": report.held,
                "guardId": report.guard,
            })
        };
        tell(&report, self.connection.output)
    }
}

fn tell(report: &Value, output: Output) -> Result<(), Failure> {
    let bad = report.get("bad").and_then(Value::as_u64).unwrap_or(0);
    if output == Output::Json {
        let text = serde_json::to_string_pretty(report);
        println!("{}", text.map_err(|error| Failure::new(error.to_string()))?);
    } else {
        let lines = report.get("badLines").and_then(Value::as_array).cloned().unwrap_or_default();
        if !lines.is_empty() {
            let shown = lines.len();
            let rows = lines.iter().map(|line| vec![at(line, "/line"), at(line, "/reason")]);
            println!("{}", table(&["LINE", "WHAT IS WRONG"], rows.collect(), ""));
            if u64::try_from(shown).is_ok_and(|shown| shown < bad) {
                println!("The first {shown} of {bad} wrong lines.");
            }
        }
        if report.get("isRefused").and_then(Value::as_bool) != Some(true) {
            println!(
                "{} created, {} changed, {} unchanged",
                at(report, "/created"),
                at(report, "/changed"),
                at(report, "/unchanged")
            );
            if let Some(guard) = report.get("guardId").and_then(Value::as_str) {
                println!(
                    "{} people are not disabled yet: so many wait for a second person, at \
                     /governance/held/{guard} of the portal",
                    at(report, "/held")
                );
            }
        }
    }
    if report.get("isRefused").and_then(Value::as_bool) == Some(true) {
        let lines = if bad == 1 { "1 line is".to_owned() } else { format!("{bad} lines are") };
        let sentence =
            format!("{lines} wrong; nothing was imported. Mend them, or use --skip-bad-lines");
        return Err(Failure::new(sentence).with(Code::Usage));
    }
    // Some may be held and some lines left out: both are told.
    let held = report.get("held").and_then(Value::as_u64).unwrap_or(0);
    if held > 0 {
        let left =
            if bad > 0 { format!(", and wrong lines were left out: {bad}") } else { String::new() };
        let sentence =
            format!("people who are not disabled until a second person agrees: {held}{left}");
        return Err(Failure::new(sentence).with(Code::Incomplete));
    }
    if bad > 0 {
        let sentence = format!("wrong lines were left out: {bad}");
        return Err(Failure::new(sentence).with(Code::Incomplete));
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    let mut bytes = Vec::new();
    let outcome = if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(most).read_to_end(&mut bytes))
    };
    outcome.map_err(|error| {
        Failure::new(format!("`{}` cannot be read: {error}", file.display())).with(Code::Usage)
    })?;
    Ok(bytes)
}
