//! What the machine's clock does: it leaps forward, as that of a machine that was suspended; it steps back,
//! and forward again when it is mended; it runs ahead, and is set back; and processes start again meanwhile.
//!
//! It leaps forward only while no target has anything under way: by a clock that leaps, the time is over
//! that a call may still take effect in. And it is set right only then: of what a target does late by a
//! clock that stepped nobody can say when it is looked at.

use accede_app::App;
use accede_domain::{SignedDuration, Timestamp};
use accede_store::deployment;

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
    /// By how much it is behind the time, or ahead of it if that is negative.
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
        if let Some(mut own) = self.families.ahead.take() {
            let outcome = self.run_ahead(&mut own).await;
            self.families.ahead = Some(own);
            outcome?;
        }
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

    /// The clock runs ahead, perhaps, or is set back.
    async fn run_ahead(&mut self, dice: &mut Dice) -> Verdict {
        match dice.below(12) {
            0 if self.is_quiet() && !self.clocks.behind.is_negative() => {
                let step = SignedDuration::from_secs(*dice.pick(STEPS));
                self.clocks.behind -= step;
                self.step_clock(step, "it runs ahead").await?;
            }
            1 if self.clocks.behind.is_negative() => self.set_right().await?,
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
        if step.is_positive() && !self.is_quiet() {
            return Ok(());
        }
        self.look_at_clocks();
        self.oracle.clock_steps(self.world.now(), step);
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
        if !self.is_quiet() {
            return Ok(());
        }
        let step = std::mem::take(&mut self.clocks.behind);
        let what = if step.is_negative() { "it is set back" } else { "it is set right" };
        self.step_clock(step, what).await
    }

    fn is_quiet(&self) -> bool {
        self.sims.values().all(|sim| sim.is_quiet())
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
        self.oracle.is_owed = self.is_put_off().await;
        Snapshot::take(&self.world.store).await
    }

    /// What the deployment keeps under a name.
    async fn kept(&self, name: &str) -> Option<String> {
        let read = self.world.store.read(async |tx| deployment::get(tx, name).await);
        read.await.unwrap_or_else(|error: accede_store::Error| panic!("{error}"))
    }

    /// Whether a clock was suspected, and what it put off was not taken up since.
    pub(super) async fn is_put_off(&self) -> bool {
        self.kept("clock_suspected").await.is_some()
    }

    /// What a clock that ran ahead put off may have been taken up by a sweep.
    pub(super) async fn see_put_off(&mut self) -> Verdict {
        if !self.oracle.is_owed {
            return Ok(());
        }
        let now = self.world.now();
        // Some of it, if that broke off.
        self.oracle.moved_back = Some(now);
        if self.is_put_off().await {
            return Ok(());
        }
        self.oracle.is_owed = false;
        self.oracle.guard.moved_back(now);
        self.count("what was put off was taken up");
        if self.clocks.latest.is_some_and(|latest| OFF < latest.duration_since(now)) {
            self.clocks.latest = Some(now);
        }
        let latest = self.kept("latest_at_ms").await.and_then(|at| at.parse().ok());
        let latest = latest.and_then(|at| Timestamp::from_millisecond(at).ok());
        must!(
            latest.is_none_or(|latest| latest.duration_since(now) <= OFF),
            "the latest time that was seen is {latest:?} still, at {now}"
        );
        // Nothing waits longer than the rules have anything wait: a look at what is settled at most a week,
        // when a target may still do what it accepted; the next try not even a day.
        let longest = |settled| SignedDuration::from_hours(if settled { 7 * 24 + 1 } else { 23 });
        let snapshot = Snapshot::take(&self.world.store).await;
        for row in snapshot.deliveries.values() {
            must!(
                row.phase == "inFlight"
                    || row.ready_at.is_none_or(|at| {
                        at.duration_since(now) < longest(row.phase == "settled")
                    }),
                "{} is put off until {:?} still, at {now}: {row:?}",
                row.id,
                row.ready_at
            );
        }
        Ok(())
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
        // A process sweeps every second, so one that saw the clock step has written that down by the time
        // another one goes on.
        let app = self.world.app.clone();
        self.see_clock(&app).await;
        app.sweep_once().await.map_err(|error| format!("sweep: {error:?}"))?;
        self.see_put_off().await?;
        self.look().await?;
        let later = self.world.now().checked_add(SUSPECT).unwrap();
        self.set_clock(later).await;
        for app in self.apps() {
            must!(!app.clock_is_suspect(), "the clock is suspect for longer than ten minutes");
            self.see_clock(&app).await;
        }
        self.look().await
    }
}
