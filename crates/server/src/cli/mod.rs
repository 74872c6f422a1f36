//! The command line. `data` works on a data directory; `remote` is a client of a server's HTTP API;
//! `deliveries`, `drift` and `tasks` too; `users` is either.
//!
//! Exit codes: see [`Code`] and `docs/cli.md`.

pub mod backup;
pub mod client;
pub mod data;
mod deliveries;
mod drift;
pub mod remote;
pub mod table;
pub mod tasks;
pub mod users;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;

/// Self-hosted entitlement management: access packages, approvals, delivery, reprocessing.
#[derive(Debug, Parser)]
#[command(name = "accede", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the APIs and the portal, and deliver
    Serve(data::ServeArgs),
    /// Make a temporary organization to click through, or play its story and end
    Demo(DemoArgs),
    /// Make a data directory, its key, its database and the first administrator
    Init(data::InitArgs),
    /// Bring the database to the schema of this program
    Migrate(data::MigrateArgs),
    /// Write a backup of the database, beside the server that uses it
    Backup(backup::BackupArgs),
    /// Put a backup back; it starts paused
    Restore(backup::RestoreArgs),
    /// Compare a paused deployment with its targets, and let it go on
    Confirm(backup::ConfirmArgs),
    /// Print a bearer token for a person or an application
    Token(data::TokenArgs),
    /// Users from a CSV file
    #[command(subcommand)]
    Users(users::Users),
    /// Requests of a server: list, show, cancel, reprocess
    #[command(subcommand)]
    Requests(remote::Requests),
    /// What a server could not deliver, by cause
    Failures(remote::FailuresArgs),
    /// Deliveries of a server, one role of one person each: list, show, retry, resolve
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    /// Where targets of a server hold something else than what is wanted there
    #[command(subcommand)]
    Drift(drift::Drift),
    /// Target systems of a server
    #[command(subcommand)]
    Targets(remote::Targets),
    /// Tasks of people at a server: list, complete
    #[command(subcommand)]
    Tasks(tasks::Tasks),
}

/// `accede demo`
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Play the story on the terminal and end; exit code 0 only if it ended as it should
    #[arg(long)]
    pub once: bool,
    /// Where to listen; a free port is taken if this one is in use
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
}

/// Carries a command out.
///
/// # Errors
///
/// What went wrong, as a sentence and an exit code.
pub async fn run(command: Command) -> Result<(), Failure> {
    match command {
        // `main` serves, because only there may tasks be spawned.
        Command::Serve(_) | Command::Demo(_) => {
            Err(Failure::new("serving is for the main program"))
        }
        Command::Init(args) => args.run().await,
        Command::Migrate(args) => args.run().await,
        Command::Backup(args) => args.run().await,
        Command::Restore(args) => args.run().await,
        Command::Confirm(args) => args.run().await,
        Command::Token(args) => args.run().await,
        Command::Users(command) => command.run().await,
        Command::Requests(command) => command.run().await,
        Command::Failures(args) => args.run().await,
        Command::Deliveries(command) => command.run().await,
        Command::Drift(what) => what.run().await,
        Command::Targets(command) => command.run().await,
        Command::Tasks(command) => command.run().await,
    }
}

/// Why a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Something went wrong.
    Failed = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// Not allowed, or the token is not good.
    NotAllowed = 3,
    /// There is no such thing.
    NotFound = 4,
    /// The rules say no.
    Refused = 5,
    /// The server, the database or a target could not be reached.
    Unreachable = 6,
    /// Done, but not for all of them.
    Incomplete = 7,
}

/// What went wrong.
#[derive(Debug)]
pub struct Failure {
    /// Why, as an exit code.
    pub code: Code,
    /// The sentence for people.
    pub sentence: String,
}

impl Failure {
    /// Something that went wrong, of no special kind.
    pub fn new(sentence: impl Into<String>) -> Failure {
        Failure { code: Code::Failed, sentence: sentence.into() }
    }

    /// The same for another reason.
    #[must_use]
    pub fn with(self, code: Code) -> Failure {
        Failure { code, ..self }
    }

    /// Tells people on standard error; the process's exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("accede: {}", self.sentence);
        ExitCode::from(self.code as u8)
    }
}

impl From<crate::demo::DemoError> for Failure {
    fn from(error: crate::demo::DemoError) -> Failure {
        Failure::new(crate::chain(&error))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::new(error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::new(error.0).with(Code::Usage)
    }
}

impl From<accede_app::Error> for Failure {
    fn from(error: accede_app::Error) -> Failure {
        use accede_app::Error as App;
        let code = match &error {
            App::NotFound { .. } => Code::NotFound,
            App::Forbidden { .. } | App::Unauthenticated(_) => Code::NotAllowed,
            App::Refused(_) | App::Duplicate { .. } | App::Stale | App::Throttled { .. } => {
                Code::Refused
            }
            App::Invalid { .. } | App::Limit { .. } => Code::Usage,
            App::Target { .. } | App::Locked(_) | App::Unavailable(_) => Code::Unreachable,
            App::Full | App::Uncertain(_) | App::Internal(_) => Code::Failed,
        };
        Failure::new(crate::chain(&error)).with(code)
    }
}

impl From<accede_app::open::OpenError> for Failure {
    fn from(error: accede_app::open::OpenError) -> Failure {
        let code = if error.is_outage() { Code::Unreachable } else { Code::Failed };
        Failure::new(crate::chain(&error)).with(code)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_is_documented() {
        let text = include_str!("../../../../docs/cli.md");
        let mut missing = Vec::new();
        let mut left = vec![Cli::command()];
        while let Some(command) = left.pop() {
            for option in command.get_opts().filter_map(clap::Arg::get_long) {
                if !text.contains(&format!("--{option}")) && !matches!(option, "help" | "version") {
                    missing.push(format!("{} --{option}", command.get_name()));
                }
            }
            for inner in command.get_subcommands() {
                if !text.contains(inner.get_name()) {
                    missing.push(inner.get_name().to_owned());
                }
                left.push(inner.clone());
            }
        }
        assert!(missing.is_empty(), "not in docs/cli.md: {missing:?}");
    }

    #[test]
    fn each_exit_code_is_documented() {
        let text = include_str!("../../../../docs/cli.md");
        for code in 0..=Code::Incomplete as u8 {
            assert!(text.contains(&format!("\n| {code} |")), "{code}");
        }
    }
}
