//! Simulation: the real verbs over a real store in memory, simulated targets, one thread, virtual time.
//!
//! One seed is one history. `scripts/simulate --seeds 500` runs the first 500 seeds and the pinned ones;
//! `scripts/simulate --seed 17` replays one and prints its whole trace.
//!
//! The invariants of the design's delivery part, and where they are looked at:
//!
//! | | |
//! |---|---|
//! | I1, I2 | states of requests, step by step; timelines as a path; nothing on its way at rest |
//! | I3, I9 | at each claim, from the assignments alone |
//! | I4, I5 | work for what is to go, after each step; the list of what is stuck against truth and rows; who is late is told |
//! | I6 | a membership is there or not: a second one cannot be, so it is looked for in the contract of connectors |
//! | I7 | leases, epochs and late answers, at each claim and each answer |
//! | I8 | at rest, two days after everything healed; what was changed outside is found by comparing |
//! | I10 | reprocess: refused ones change nothing; that two are one is a story of its own |
//! | I11 | not here: who may decide does not depend on faults and time; the matrix of callers has it |
//! | I12 | stages after each step |
//! | I13 | stages of a request, after each step, while policies are edited: as many as it was asked with |
//! | I14 | pairs of packages, after each step |
//! | I15 | after each sweep: nothing outlives its end, and by a clock that is suspect nothing ends or begins |
//! | I16 | at each change of a package: too much waits, and only that; what waits moves nobody |
//! | I17 | evidence against what was answered, after each step |
//! | I18 | timelines against the audit log, at the end |
//! | I19 | not here: a deployment serves one organization |
//! | I20 | not here: a notice is unique per event and recipient by the database's own rule; stories send them |
//! | I21 | at each claim: a target that rests is left alone, one on trial gets one call |
//! | I22 | ends of assignments and requests, after each step |
//! | I23 | not here: a simulated target answers in our own classes; connectors are tested for theirs |
//! | I24 | one row per key is the database's own rule, and a second one an error here |
//!
//! Some families of faults are in some histories only, with chance of their own: what befalls the store's
//! transactions (`history/mishaps.rs`), what targets say when they are read (`target.rs`), what waits for
//! a second person (`history/guards.rs`), what the machine's clock does (`history/clock.rs`), and edited
//! policies. A pinned seed that is `plain` has none of them.
//!
//! Beside all that: what a person settles by hand is so, as the target says where it can be read; the poison lane is one
//! call wide, and what breaks workers down is not tried by itself; a read-back, a second look, a late end of what was
//! accepted and the lists that people read are held against the truth.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod dice;
mod history;
mod oracle;
mod snapshot;
mod target;
#[path = "../world/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the stories use the rest of it")]
mod world;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use futures_util::FutureExt;

use crate::history::{Failure, History, Report, Seed};

/// Seeds in the ordinary test run.
const SEEDS: u64 = 24;
/// Seeds that are run twice, to see that a seed is a history.
const TWICE: u64 = 8;
/// From so many seeds on, a fault that never happened makes the run worthless.
const ENOUGH: u64 = 1_000;
/// Lines of the trace that are shown when a seed fails.
const TAIL: usize = 60;
/// Seeds that failed once and must never fail again.
const PINNED: &str = include_str!("pinned.txt");

/// What must have happened in a run of enough seeds.
const MUST_HAPPEN: &[&str] = &[
    "circuit checked",
    "target at rest",
    "target on trial",
    "permanent grant",
    "permanent revoke",
    "transient grant",
    "transient revoke",
    "transient after effect grant",
    "transient after effect revoke",
    "throttled grant",
    "throttled revoke",
    "target grant",
    "target revoke",
    "timeout before effect grant",
    "timeout before effect revoke",
    "timeout after effect grant",
    "timeout after effect revoke",
    "late grant",
    "late revoke",
    "late effect",
    "lie grant",
    "lie revoke",
    "outage grant",
    "outage revoke",
    "timeout observe",
    "ghost grant",
    "accepted grant",
    "accepted revoke",
    "accepted and done",
    "accepted for good grant",
    "accepted for good revoke",
    "accepted and done in spite of all",
    "accepted, unwanted by now and done late",
    "ghost came",
    "a ghost came after the removal",
    "settled by hand",
    "given up by hand",
    "contradicted by the target",
    "settling by hand refused",
    "accepted and never done grant",
    "accepted and never done revoke",
    "came back",
    "failing grant",
    "failing revoke",
    "break-down granted",
    "break-down revoked",
    "alone after crashes",
    "struck",
    "laid down grant",
    "laid down revoke",
    "drift missing repaired",
    "drift cameBack repaired",
    "drift extra open",
    "added outside",
    "removed outside",
    "crash",
    "crash during a call",
    "crash during a sweep",
    "call not sent after its deadline",
    "late answer discarded",
    "stuck revocation listed",
    "late removal told",
    "pause",
    "job",
    "submit done",
    "submit refused",
    "assign done",
    "decide done",
    "decide refused",
    "cancel done",
    "cancel refused",
    "remove done",
    "remove refused",
    "reprocess done",
    "reprocess refused",
    "verify done",
    "verify refused",
    "retry done",
    "retry refused",
    "plan done",
    "stop done",
    "add-role done",
    "take-role done",
    "disable done",
    "enable done",
    "repaired at last",
    "mishap Busy",
    "mishap Again",
    "mishap Fails",
    "mishap Unheard",
    "claim mishap",
    "claim unheard",
    "settle mishap",
    "sweep mishap",
    "circuit mishap",
    "recover mishap",
    "submit mishap",
    "decide mishap",
    "remove mishap",
    "reprocess mishap",
    "by-hand mishap",
    "asked for once more and done once",
    "stale observe",
    "stale presence",
    "stale absence",
    "stale list",
    "partial observe",
    "partial list",
    "short observe",
    "compared",
    "packageRoles held",
    "packageRoles released",
    "packageRoles rejected",
    "packageRoles withdrawn",
    "extraAccess held",
    "extraAccess released",
    "extraAccess rejected",
    "extra access taken",
    "userImport released",
    "userImport rejected",
    "left by an import",
    "policy edited while it was asked",
    "clock: it leaps",
    "clock: it steps back",
    "clock: it is set right",
    "clock: it runs ahead",
    "clock: it is set back",
    "what was put off was taken up",
    "clock suspected",
    "clock suspected at the start",
    "end held by a suspect clock",
    "beginning held by a suspect clock",
    "ended before its end comes again",
    "state pendingApproval",
    "state scheduled",
    "state delivering",
    "state delivered",
    "state partiallyDelivered",
    "state deliveryFailed",
    "state denied",
    "state canceling",
    "state canceled",
];

/// A line of the pinned seeds: a number, `plain` behind it if the history is one of before some families
/// of faults, and why it stands there.
fn pinned(line: &str) -> Option<Seed> {
    let mut words = line.split('#').next()?.split_whitespace();
    let number = words.next()?.parse().ok()?;
    Some(Seed { number, plain: words.next() == Some("plain") })
}

fn run(seed: Seed) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let history = AssertUnwindSafe(History::run(seed)).catch_unwind();
        history.await.unwrap_or_else(|_| {
            let what = "it panicked; the message stands above".to_owned();
            Err(Failure { what, trace: Vec::new() })
        })
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn show(seed: Seed, failure: &Failure, tail: usize) {
    let from = failure.trace.len().saturating_sub(tail);
    for line in &failure.trace[from..] {
        println!("    {line}");
    }
    let Seed { number, plain } = seed;
    let plain = if plain { "ACCEDE_PLAIN=1 " } else { "" };
    println!("seed {number} FAILED: {}", failure.what);
    println!(
        "replay: {plain}ACCEDE_SEED={number} cargo test -p accede-app --test simulation -- --nocapture"
    );
}

#[test]
fn every_history_heals() {
    if let Some(number) = number("ACCEDE_SEED") {
        let seed = Seed { number, plain: std::env::var_os("ACCEDE_PLAIN").is_some() };
        match run(seed) {
            Ok(report) => println!("seed {number}: {report:?}"),
            Err(failure) => {
                show(seed, &failure, usize::MAX);
                panic!("seed {number}: {}", failure.what);
            }
        }
        return;
    }
    let seeds = number("ACCEDE_SEEDS").unwrap_or(SEEDS);
    let stop = std::env::var_os("ACCEDE_STOP").is_some();
    let mut list: Vec<Seed> = PINNED.lines().filter_map(pinned).collect();
    if stop {
        list.clear();
    }
    list.extend((1..=seeds).map(|number| Seed { number, plain: false }));
    let outcome = run_all(&list, stop);

    let happened: u64 = outcome.counters.values().sum();
    for (name, count) in &outcome.counters {
        println!("  {count:>8}  {name}");
    }
    println!(
        "simulation: {} seeds, {} steps, {} faults and events, {} failed",
        outcome.ran, outcome.steps, happened, outcome.failed
    );
    let vacuous: Vec<&&str> =
        MUST_HAPPEN.iter().filter(|name| !outcome.counters.contains_key(**name)).collect();
    assert_eq!(outcome.failed, 0, "{} of {} seeds failed", outcome.failed, outcome.ran);
    assert!(seeds < ENOUGH || vacuous.is_empty(), "vacuous: never happened: {vacuous:?}");
}

/// What a run over many seeds came to.
#[derive(Default)]
struct Outcome {
    ran: usize,
    failed: usize,
    steps: u64,
    counters: BTreeMap<String, u64>,
}

/// Runs seeds on as many threads as there are processors; each history has one thread.
fn run_all(list: &[Seed], stop: bool) -> Outcome {
    let next = AtomicUsize::new(0);
    let ended = AtomicBool::new(false);
    let tried = AtomicU64::new(0);
    let outcome = Mutex::new(Outcome::default());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = list.get(at).copied() else { return };
                    let first = run(seed);
                    let again = (first.is_ok() && seed.number <= TWICE && !stop).then(|| run(seed));
                    let mut outcome = outcome.lock().unwrap();
                    outcome.ran += 1;
                    let tried = 1 + tried.fetch_add(1, Ordering::Relaxed);
                    match first {
                        Ok(report) => {
                            if let Some(Ok(again)) = &again
                                && again.hash != report.hash
                            {
                                println!("seed {} FAILED: it gives two histories", seed.number);
                                outcome.failed += 1;
                            }
                            outcome.steps += report.steps;
                            for (name, count) in report.counters {
                                *outcome.counters.entry(name).or_default() += count;
                            }
                        }
                        Err(failure) => {
                            outcome.failed += 1;
                            show(seed, &failure, TAIL);
                            if stop {
                                println!("caught after {tried} seeds");
                                ended.store(true, Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
    outcome.into_inner().unwrap()
}
