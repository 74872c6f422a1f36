//! Measures what `docs/performance.md` reports: each figure beside a baseline in the same run.
//!
//! `scripts/bench` runs all of it; `scripts/bench deliver list` runs some; `--small` runs every row on
//! a tenth of the data, to see that it works; `--postgres` measures on PostgreSQL instead of SQLite. Figures go to the terminal as a Markdown table. Nothing
//! here asserts a time: the machines that run it are noisy.

mod baseline;
mod cluster;
mod deliver;
mod drain;
mod large;
mod restart;
mod start;
mod world;

use std::error::Error;

use accede_store::Engine;

/// What every row of the bench answers.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// One line of the report.
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// What it came to.
    pub figure: String,
    /// What it stands beside, measured in the same run.
    pub baseline: String,
    /// The budget of DESIGN section 9.
    pub budget: &'static str,
}

/// How much data a run uses, and where it lies.
#[derive(Clone, Copy)]
pub struct Size {
    /// 1 for the full run, 10 for `--small`.
    pub divisor: usize,
    /// Which database holds it.
    pub engine: Engine,
}

impl Size {
    /// `full` items, or a tenth of them.
    pub fn of(self, full: usize) -> usize {
        (full / self.divisor).max(1)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    // As the server does: the HTTP clients take whichever provider the process has.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!(
            "scripts/bench [--small] [--postgres] [deliver] [drain] [large] [restart] [start]"
        );
        return Ok(());
    }
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let engine = if has("--postgres") { Engine::Postgres } else { Engine::Sqlite };
    let size = Size { divisor: if has("--small") { 10 } else { 1 }, engine };
    let named: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|wanted| *wanted == name);
    println!("| What | Figure | Beside it, in the same run | Budget |");
    println!("|---|---|---|---|");
    if wanted("deliver") {
        report(deliver::measure(size).await?);
    }
    if wanted("drain") {
        report(drain::measure(size).await?);
    }
    if wanted("large") {
        report(large::measure(size).await?);
    }
    if wanted("restart") {
        report(restart::measure(size).await?);
    }
    if wanted("start") {
        report(start::measure()?);
    }
    Ok(())
}

/// Prints what a row came to as soon as it is known, so that a run that is cut short keeps it.
fn report(figures: Vec<Figure>) {
    for figure in figures {
        println!(
            "| {} | {} | {} | {} |",
            figure.what, figure.figure, figure.baseline, figure.budget
        );
    }
}
