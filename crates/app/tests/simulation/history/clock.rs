//! What the machine's clock does: it leaps forward, as that of a machine that was suspended; it steps back,
//! and forward again when it is mended; and processes start again meanwhile.
//!
//! A clock that ran ahead and is set back is not here: what was put off while it was ahead waits until it is
//! there again. And it leaps forward only while no target has anything under way: by a clock that leaps, the
//! time is over that a call may still take effect in.

use accede_app::App;
use accede_domain::{SignedDuration, Timestamp};

use crate::dice::Dice;
use crate::oracle::{Verdict, must};
use crate::snapshot::Snapshot;

use super::History;

/// How far a clock may be off before it is suspected, and for how long it is; said here again, not taken
/// from the rules.
const OFF: SignedDuration = SignedDuration::from_mins(5);
const SUSPECT: SignedDuration = SignedDuration::from_mins(10);

/// How far a clock steps, in seconds.
const STEPS: &[i64] = &[1, 60, 290, 310, 3 * 3_600, 26 * 3_600, 8 * 86_400, 400 * 86_400];

/// The machine's clock, and what was seen of it.
#[derive(Default)]
pub(super) struct Clocks {
    /// What a data directory remembers of its database.
    home: Option<tempfile::TempDir>,
    /// By how much it is behind the time.
    behind: SignedDuration,
    /// How much time has passed, whatever the clock says.
    passed: SignedDuration,
    /// When it was last suspected, by that.
    suspected: Option<SignedDuration>,
    /// The latest time that was written down.
    latest: Option<Timestamp>,
}

impl History {
    /// In histories with a clock of their own, time passes only when they say so, also for whatever does
    /// not look at the clock.
    pub(super) async fn begin_clock(&mut self) {
        if self.families.clock.is_none() {
            return;
        }
        tokio::time::pause();
        let home = tempfile::tempdir().unwrap();
        self.world.app.take_up(home.path()).await.unwrap();
        self.clocks.home = Some(home);
        self.clocks.latest = Some(self.world.now());
    }

    /// So much time passes, whatever the clock says.
    pub(super) async fn pass_unseen(&mut self, span: SignedDuration) {
        if self.clocks.home.is_none() {
            return;
        }
        self.clocks.passed += span;
        tokio::time::advance(span.unsigned_abs()).await;
    }

    /// Every process looks at the clock, perhaps after it stepped.
    pub(super) async fn tell_time(&mut self, dice: &mut Dice) -> Verdict {
        self.look_at_clocks();
        match dice.below(30) {
            0..2 => {
                let step = SignedDuration::from_secs(*dice.pick(STEPS));
                self.step_clock(step, "it leaps").await?;
            }
            2..4 => {
                let step = SignedDuration::from_secs(*dice.pick(STEPS));
                self.clocks.behind += step;
                self.step_clock(-step, "it steps back").await?;
            }
            4..6 if !self.clocks.behind.is_zero() => self.set_right().await?,
            6..8 => self.restart_all().await?,
            8..12 => {
                let app = self.world.app.clone();
                app.advance().await.map_err(|error| format!("advance: {error:?}"))?;
                let now = self.world.now();
                if !app.clock_is_suspect() && self.clocks.latest.is_none_or(|latest| latest < now) {
                    self.clocks.latest = Some(now);
                }
            }
            _ => return Ok(()),
        }
        self.look().await
    }

    fn apps(&self) -> Vec<App> {
        let workers = self.workers.iter().map(|worker| worker.app.clone());
        workers.chain([self.world.app.clone()]).collect()
    }

    fn look_at_clocks(&self) {
        for app in self.apps() {
            app.look_at_clock();
        }
    }

    /// The clock steps, and everybody who looks at it sees that, if it is far enough.
    async fn step_clock(&mut self, step: SignedDuration, what: &str) -> Verdict {
        if step.is_positive() && !self.sims.values().all(|sim| sim.is_quiet()) {
            return Ok(());
        }
        self.look_at_clocks();
        self.oracle.clock_steps(self.world.now());
        self.world.clock.set(self.world.now().checked_add(step).unwrap());
        for sim in self.sims.values() {
            sim.shift(step);
        }
        self.note(format!("{what} by {step:#}"));
        self.count(&format!("clock: {what}"));
        let before: Vec<bool> = self.apps().iter().map(App::clock_is_suspect).collect();
        self.look_at_clocks();
        let is_far = OFF < step.abs();
        for (app, before) in self.apps().iter().zip(before) {
            must!(app.clock_is_suspect() == (before || is_far), "it stepped by {step:#}, unseen");
        }
        if is_far {
            self.clocks.suspected = Some(self.clocks.passed);
            self.count("clock suspected");
        }
        Ok(())
    }

    /// Somebody sets the clock right.
    async fn set_right(&mut self) -> Verdict {
        if !self.sims.values().all(|sim| sim.is_quiet()) {
            return Ok(());
        }
        let step = std::mem::take(&mut self.clocks.behind);
        self.step_clock(step, "it is set right").await
    }

    /// All processes end and start again; a clock that stands behind the latest time is suspected.
    async fn restart_all(&mut self) -> Verdict {
        self.note("all start again".to_owned());
        for n in 0..self.workers.len() {
            self.workers[n] = self.new_worker();
        }
        self.world.restart();
        self.start_all().await
    }

    /// Every process that is there has just started.
    pub(super) async fn start_all(&mut self) -> Verdict {
        let Some(home) = &self.clocks.home else { return Ok(()) };
        let home = home.path().to_owned();
        for app in self.apps() {
            app.take_up(&home).await.map_err(|error| format!("start: {error:?}"))?;
            must!(app.paused().is_none(), "a database that nobody touched is doubted");
        }
        let now = self.world.now();
        let stands_behind =
            self.clocks.latest.is_some_and(|latest| OFF < latest.duration_since(now));
        for app in self.apps() {
            must!(
                app.clock_is_suspect() == stands_behind,
                "a process starts at {now} after {:?} and suspects: {}",
                self.clocks.latest,
                app.clock_is_suspect()
            );
        }
        self.clocks.latest = self.clocks.latest.max(Some(now));
        if stands_behind {
            self.clocks.suspected = Some(self.clocks.passed);
            self.count("clock suspected at the start");
        }
        self.look_at_clocks();
        Ok(())
    }

    /// How a process sees the clock when it works: what is over by it may go on while it is suspect. Says
    /// what is so before it sweeps.
    pub(super) async fn see_clock(&mut self, app: &App) -> Snapshot {
        if self.clocks.home.is_none() {
            return Snapshot::default();
        }
        app.look_at_clock();
        self.oracle.is_lenient = app.clock_is_suspect() || !self.clocks.behind.is_zero();
        Snapshot::take(&self.world.store).await
    }

    /// While the clock is suspect, nobody's access begins or ends by it.
    pub(super) fn check_suspended(&mut self, before: &Snapshot, after: &Snapshot) -> Verdict {
        let suspected = self.clocks.suspected.unwrap_or_default();
        must!(
            self.clocks.passed < suspected + SUSPECT,
            "the clock is suspect for longer than ten minutes"
        );
        for (id, was) in &before.assignments {
            must!(
                was.is_live() == after.assignments[id].is_live()
                    || self.oracle.inactive.contains(&was.subject),
                "{id} ended by a clock that is suspect"
            );
        }
        let now = self.world.now();
        let mut all = after.assignments.values();
        if all.any(|one| one.is_live() && one.end.is_some_and(|end| end <= now)) {
            self.count("end held by a suspect clock");
        }
        for (id, was) in &before.requests {
            must!(
                was.state != "scheduled"
                    || after.requests[id].state == "scheduled"
                    || self.oracle.inactive.contains(&was.subject),
                "{id} began by a clock that is suspect"
            );
        }
        let mut all = after.requests.values();
        if all.any(|one| one.state == "scheduled" && one.begins.is_some_and(|at| at <= now)) {
            self.count("beginning held by a suspect clock");
        }
        let mut all = after.assignments.values();
        if all.any(|one| !one.is_live() && one.end.is_some_and(|end| now < end)) {
            self.count("ended before its end comes again");
        }
        self.count("sweep by a suspect clock");
        Ok(())
    }

    /// Somebody sets the clock right, and the time is over for which it is suspect.
    pub(super) async fn mend_clock(&mut self) -> Verdict {
        if self.clocks.home.is_none() {
            return Ok(());
        }
        let hour = self.world.now().checked_add(SignedDuration::from_hours(1)).unwrap();
        self.set_clock(hour).await;
        self.set_right().await?;
        must!(self.clocks.behind.is_zero(), "a target has something under way for an hour");
        let later = self.world.now().checked_add(SUSPECT).unwrap();
        self.set_clock(later).await;
        for app in self.apps() {
            must!(!app.clock_is_suspect(), "the clock is suspect for longer than ten minutes");
            self.see_clock(&app).await;
        }
        self.look().await
    }
}
