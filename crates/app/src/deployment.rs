//! The deployment itself: whose its database is, whether it is paused because that is in doubt, and
//! the word of a Global Administrator that lets it go on.
//!
//! While it is paused no target is called and nobody's access changes. The pause is a row, so every
//! server on the database obeys it, and it outlives them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use accede_domain::deployment::{self as rules, Doubt, Home, Mark, Regrant};
use accede_domain::permission::{Action, Reach};
use accede_domain::refusal::Refusal;
use accede_domain::{SignedDuration, Timestamp};
use accede_store::crash::{Point, point};
use accede_store::{Engine, Store, Tx, deployment, findings, notices, targets};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::ahead::Ahead;
use crate::comparison::{self, Comparison};
use crate::open::OpenError;
use crate::worker::{Beside, Every, report};
use crate::{App, Caller, Error, Result, audit, instance};

pub use accede_store::backup::FILE as DATABASE_FILE;

pub use accede_domain::deployment::{Doubt as PauseReason, Regrant as WhatIsGiven};

/// The names under which a deployment keeps these things.
const INSTANCE: &str = "instance";
const EPOCH: &str = "epoch";
const HOME: &str = "home";
pub(crate) const LATEST: &str = "latest_at_ms";
/// How often a server looks whether its database is still the same.
const LOOK: Duration = Duration::from_secs(1);
/// How often the epoch is counted up.
const ADVANCE: Duration = Duration::from_secs(60);
/// Where a backup says that it is one; see [`App::open`] for the others.
pub const PAUSE: &str = "pause";

/// Why and since when a deployment is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// What is in doubt.
    pub reason: Doubt,
    /// Since when.
    pub since: Timestamp,
    /// What a person chose; it is being carried out.
    pub choice: Option<Choice>,
}

/// What a person says that a doubtful database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Choice {
    /// The truth from now on.
    Resume {
        /// What is given again of what the targets lack.
        #[serde(with = "regrant")]
        regrant: Regrant,
    },
    /// A copy, beside its original: another deployment, whose targets all rest.
    NewInstance,
}

mod regrant {
    use accede_domain::deployment::Regrant;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(regrant: &Regrant, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(regrant.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Regrant, D::Error> {
        let name = String::deserialize(from)?;
        Regrant::parse(&name).ok_or_else(|| D::Error::custom("no such choice"))
    }
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    reason: String,
    since: i64,
    /// The epoch that the data directory remembered.
    #[serde(default)]
    seen: i64,
    choice: Option<Choice>,
    #[serde(default)]
    by: Option<String>,
}

/// The note that a backup carries, so that it starts paused wherever it is put.
pub fn backup_note(now: Timestamp) -> String {
    json!({ "reason": Doubt::Backup.name(), "since": now.as_millisecond() }).to_string()
}

/// How the deployment is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its identity; `None` where it was never served.
    pub instance: Option<Uuid>,
    /// How far it has come.
    pub epoch: i64,
    /// Its database.
    pub engine: Engine,
    /// Why it is paused, if it is.
    pub pause: Option<Pause>,
    /// The last comparison with the targets, if there was one.
    pub comparison: Option<Comparison>,
    /// Whether this server's clock is suspected.
    pub clock_is_suspect: bool,
    /// Whether the reader may compare and confirm.
    pub may_confirm: bool,
}

/// What this process knows of its deployment.
#[derive(Default)]
pub(crate) struct Watch {
    /// The data directory, in a process that serves.
    data: OnceLock<PathBuf>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    pause: Option<Pause>,
    /// The furthest epoch that was seen.
    epoch: i64,
    /// The clock and the monotonic one when they were last looked at.
    clocks: Option<(Timestamp, tokio::time::Instant)>,
    suspect_until: Option<tokio::time::Instant>,
    ahead: Ahead,
}

/// What the worker does about the deployment now and then.
pub(crate) struct Rounds {
    look: Every,
    advance: Every,
    pub(crate) work: Beside,
}

impl Rounds {
    pub(crate) fn new() -> Rounds {
        let (look, advance) = (Every::new(LOOK), Every::new(ADVANCE));
        Rounds { look, advance, work: Beside::default() }
    }
}

impl Watch {
    fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether the deployment is paused, under a transaction's own eyes.
pub(crate) async fn is_paused(tx: &mut Tx<'_>) -> accede_store::Result<bool> {
    Ok(deployment::get(tx, PAUSE).await?.is_some())
}

/// Whether the deployment is paused and goes on by this choice; it stays so until the transaction
/// ends.
pub(crate) async fn hold_choice(tx: &mut Tx<'_>, choice: Choice) -> Result<bool> {
    let Some(text) = deployment::hold(tx, PAUSE).await? else { return Ok(false) };
    let kept: Kept = serde_json::from_str(&text).map_err(Error::internal)?;
    Ok(kept.choice == Some(choice))
}

/// Refuses unless the deployment is paused and nobody has confirmed what it is; it stays so until the
/// transaction ends.
pub(crate) async fn refuse_confirmed(tx: &mut Tx<'_>) -> Result<()> {
    let text = deployment::hold(tx, PAUSE).await?.ok_or_else(not_paused)?;
    let kept: Kept = serde_json::from_str(&text).map_err(Error::internal)?;
    if kept.choice.is_some() { Err(comparison::under_way()) } else { Ok(()) }
}

async fn kept(tx: &mut Tx<'_>) -> Result<Option<Kept>> {
    let text = deployment::get(tx, PAUSE).await?;
    text.map(|text| serde_json::from_str(&text).map_err(Error::internal)).transpose()
}

async fn pause_of(tx: &mut Tx<'_>) -> Result<Option<Pause>> {
    Ok(kept(tx).await?.map(|kept| Pause {
        reason: Doubt::parse(&kept.reason).unwrap_or(Doubt::Unknown),
        since: Timestamp::from_millisecond(kept.since).unwrap_or(Timestamp::MIN),
        choice: kept.choice,
    }))
}

fn text(kept: &Kept) -> Result<String> {
    serde_json::to_string(kept).map_err(Error::internal)
}

async fn mark_of(tx: &mut Tx<'_>) -> Result<Option<Mark>> {
    let Some(instance) = deployment::get(tx, INSTANCE).await? else { return Ok(None) };
    let instance = Uuid::try_parse(&instance).map_err(Error::internal)?;
    let epoch = deployment::get_number(tx, EPOCH).await?.unwrap_or(0);
    Ok(Some(Mark { instance, epoch }))
}

/// Whether the caller may do it everywhere. What one needs who may do it in some catalog only is said:
/// they have what the action's own words ask for.
pub(crate) fn may_see_all(caller: &Caller, action: Action) -> Result<()> {
    caller.may_somewhere(action)?;
    match caller.reach(action) {
        Reach::Everywhere => Ok(()),
        Reach::Catalogs(_) => {
            Err(Error::Forbidden { need: "a directory role that reads every catalog".to_owned() })
        }
    }
}

impl App {
    /// Takes up the service of a database from a data directory: looks whether it is the one that
    /// the directory knows, and pauses the deployment if that is in doubt.
    ///
    /// # Errors
    ///
    /// The database's, or the directory cannot be read or written.
    pub async fn take_up(&self, data: &Path) -> Result<(), OpenError> {
        let here = self.store().home().await?;
        let file = instance::read(data)?;
        let shared = self.store().engine() == Engine::Postgres;
        let now = self.now();
        let new: Uuid = self.entropy().uuid(now);
        let (doubt, latest) = self
            .store()
            .write(async |tx| {
                let latest = deployment::get_number(tx, LATEST).await?;
                let Some(mark) = mark_of(tx).await? else {
                    // New, or from before deployments had an identity.
                    deployment::keep(tx, INSTANCE, &new.to_string()).await?;
                    deployment::keep(tx, HOME, &here.text()).await?;
                    deployment::count_up(tx, EPOCH, 1).await?;
                    return Ok((None, latest));
                };
                let home = Home::parse(&deployment::get(tx, HOME).await?.unwrap_or_default());
                let doubt = rules::doubt(mark, &home, &here, file, shared);
                let known = here.clone().or(home.clone());
                if doubt.is_none() && known != home {
                    // It can tell more of where it lives than when that was written down.
                    deployment::replace(tx, HOME, &known.text()).await?;
                }
                Ok::<_, Error>((doubt, latest))
            })
            .await?;
        point(Point::OpenMarked);
        let seen = file.map_or(0, |file| file.epoch);
        if let Some(doubt) = doubt {
            self.pause(doubt, seen).await?;
        }
        let _first = self.watch().data.set(data.to_owned());
        self.refresh_pause().await?;
        match self.paused() {
            None => self.advance().await?,
            // A comparison of an earlier pause, which a backup carries, says nothing of this one.
            Some(pause) => comparison::outdate(self, pause.since).await?,
        }
        let latest = latest.and_then(|at| Timestamp::from_millisecond(at).ok());
        if latest.is_some_and(|latest| rules::is_behind(now, latest)) {
            self.suspect_clock("it stands before the latest time that this deployment has seen");
        }
        if let Some(pause) = self.paused() {
            tracing::warn!(
                reason = pause.reason.name(),
                "paused: {}; no target system is called and nobody's access changes until a \
                 Global Administrator confirms it under Deployment in the portal, or with \
                 `accede confirm`",
                pause.reason.sentence()
            );
        }
        Ok(())
    }

    /// Pauses the deployment, for every server on its database.
    async fn pause(&self, doubt: Doubt, seen: i64) -> Result<()> {
        let now = self.now();
        let (reason, since) = (doubt.name().to_owned(), now.as_millisecond());
        let record = text(&Kept { reason, since, seen, choice: None, by: None })?;
        self.store()
            .write(async |tx| {
                if deployment::keep(tx, PAUSE, &record).await? == record {
                    comparison::forget(tx).await?;
                    let detail = json!({ "reason": doubt.name() });
                    note(self, tx, &Caller::system(), "deployment paused", detail, now).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        point(Point::PauseBegun);
        Ok(())
    }

    /// Why the deployment is paused, as far as this process knows; see [`App::refresh_pause`].
    pub fn paused(&self) -> Option<Pause> {
        self.watch().known(|known| known.pause.clone())
    }

    /// Whether no target may be called.
    pub(crate) fn is_held(&self) -> bool {
        self.watch().known(|known| known.pause.is_some())
    }

    /// Looks again whether the deployment is paused.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn refresh_pause(&self) -> Result<()> {
        let pause = self.store().read(async |tx| pause_of(tx).await).await?;
        self.watch().known(|known| known.pause = pause);
        Ok(())
    }

    /// Refuses while the deployment is paused.
    ///
    /// # Errors
    ///
    /// Refused, with what to do.
    pub fn refuse_paused(&self) -> Result<()> {
        let Some(pause) = self.paused() else { return Ok(()) };
        let sentence = format!(
            "this deployment is paused, because {}; nothing can be changed until a Global \
             Administrator confirms it under Deployment in the portal, with POST \
             /accede/v1/deployment/confirm, or with `accede confirm` on the server",
            pause.reason.sentence()
        );
        Err(Refusal::Rule { code: "DeploymentPaused", sentence }.into())
    }

    /// Looks whether the database is still the one that this server took up: it may have been
    /// restored or its server promoted meanwhile. Cheap, since it is done all the time.
    pub(crate) async fn look_around(&self) -> Result<()> {
        self.refresh_pause().await?;
        if self.watch().data.get().is_none() || self.paused().is_some() {
            return Ok(());
        }
        let here = self.store().home().await?;
        // Before the row is read: who goes on meanwhile raises both.
        let seen = self.watch().known(|known| known.epoch);
        let (mark, home) = self
            .store()
            .read(async |tx| {
                let home = deployment::get(tx, HOME).await?.unwrap_or_default();
                Ok::<_, Error>((mark_of(tx).await?, Home::parse(&home)))
            })
            .await?;
        let Some(mark) = mark else { return Ok(()) };
        self.watch().known(|known| known.epoch = known.epoch.max(mark.epoch));
        let memory = Mark { instance: mark.instance, epoch: seen };
        let is_shared = self.store().engine() == Engine::Postgres;
        if let Some(doubt) = rules::doubt(mark, &home, &here, Some(memory), is_shared) {
            tracing::error!(reason = doubt.name(), "paused: {}", doubt.sentence());
            self.pause(doubt, seen).await?;
            self.refresh_pause().await?;
        }
        Ok(())
    }

    /// Counts the epoch up, and remembers it in the data directory once that is committed, with the latest
    /// time that was seen. A serving process does it by itself.
    ///
    /// # Errors
    ///
    /// The database's, or the data directory cannot be written.
    pub async fn advance(&self) -> Result<(), OpenError> {
        let Some(data) = self.watch().data.get() else { return Ok(()) };
        let now = self.now();
        let suspect = self.clock_is_suspect();
        let mark = self
            .store()
            .write(async |tx| {
                if is_paused(tx).await? {
                    return Ok(None);
                }
                deployment::count_up(tx, EPOCH, 1).await?;
                let latest = deployment::get_number(tx, LATEST).await?.unwrap_or(0);
                let present = now.as_millisecond();
                // A clock that jumped must not make every later one look as if it stood behind.
                if latest < present && !suspect {
                    deployment::replace(tx, LATEST, &present.to_string()).await?;
                }
                mark_of(tx).await
            })
            .await?;
        if let Some(mark) = mark {
            self.watch().known(|known| known.epoch = known.epoch.max(mark.epoch));
            point(Point::EpochCounted);
            instance::write(data, mark)?;
        }
        Ok(())
    }

    /// What is done again and again beside the lanes: looking whether the database is still the same,
    /// and, while the deployment is paused, what there is to do then. Whether it is paused.
    pub(crate) async fn go_rounds(&self, rounds: &mut Rounds) -> bool {
        if rounds.look.is_due() {
            self.look_at_clock();
            report("deployment", self.look_around().await);
        }
        if rounds.advance.is_due() {
            report("deployment", self.advance().await);
        }
        let is_held = self.is_held();
        if is_held {
            let app = self.clone();
            rounds.work.begin(async move { report("deployment", app.work_pause().await) });
        }
        is_held
    }

    /// Compares the machine's clock with the time that has passed; a jump is suspected. A serving process
    /// does it by itself.
    pub fn look_at_clock(&self) {
        let (now, instant) = (self.now(), tokio::time::Instant::now());
        let before = self.watch().known(|known| known.clocks.replace((now, instant)));
        let Some((then, then_instant)) = before else { return };
        let passed = SignedDuration::try_from(instant.duration_since(then_instant));
        let passed = passed.unwrap_or(SignedDuration::MAX);
        if rules::has_jumped(now.duration_since(then), passed) {
            self.suspect_clock("it jumped");
        }
    }

    fn suspect_clock(&self, why: &str) {
        let patience = rules::CLOCK_PATIENCE;
        let now = self.now();
        tracing::error!(
            clock = %now,
            "the clock is suspect: {why}; ends and beginnings of access wait for up to {} minutes; \
             look after the machine's time synchronization",
            patience.as_mins()
        );
        let until = tokio::time::Instant::now() + patience.unsigned_abs();
        self.watch().known(|known| {
            known.suspect_until = Some(until);
            known.ahead = Ahead::Owed;
        });
    }

    /// Whether it is to be looked for what a clock that ran ahead left behind, as far as this process
    /// knows.
    pub(crate) fn ahead<T>(&self, look: impl FnOnce(&mut Ahead) -> T) -> T {
        self.watch().known(|known| look(&mut known.ahead))
    }

    /// Whether the clock jumped or stood behind not long ago, so that nothing is brought about that
    /// only the clock asks for.
    pub fn clock_is_suspect(&self) -> bool {
        let now = tokio::time::Instant::now();
        self.watch().known(|known| known.suspect_until.is_some_and(|until| now < until))
    }

    /// How the deployment is.
    ///
    /// # Errors
    ///
    /// Forbidden without a directory role.
    pub async fn get_deployment(&self, caller: &Caller) -> Result<Deployment> {
        may_see_all(caller, Action::ReadTargets)?;
        self.refresh_pause().await?;
        let clock_is_suspect = self.clock_is_suspect();
        self.store()
            .read(async |tx| {
                let mark = mark_of(tx).await?;
                Ok(Deployment {
                    instance: mark.map(|mark| mark.instance),
                    epoch: mark.map_or(0, |mark| mark.epoch),
                    engine: tx.engine(),
                    pause: pause_of(tx).await?,
                    comparison: comparison::get(tx).await?,
                    clock_is_suspect,
                    may_confirm: caller.reach(Action::ManageRoles) == Reach::Everywhere,
                })
            })
            .await
    }

    /// Says what a doubtful database is. The worker carries it out and then lets the deployment go
    /// on.
    ///
    /// # Errors
    ///
    /// Forbidden unless a Global Administrator; refused when it is not paused, was not compared with
    /// its targets, or something else was chosen already.
    pub async fn confirm_deployment(&self, caller: &Caller, choice: Choice) -> Result<Deployment> {
        caller.may_everywhere(Action::ManageRoles)?;
        let now = self.now();
        self.store()
            .write(async |tx| {
                let Some(kept) = kept(tx).await? else { return Err(not_paused()) };
                match kept.choice {
                    Some(chosen) if chosen == choice => return Ok(()),
                    Some(_) => {
                        return Err(refusal(
                            "ConfirmUnderWay",
                            "what this database is was confirmed already and is being carried out; \
                             wait until it is done",
                        ));
                    }
                    None => {}
                }
                let compared = comparison::get(tx).await?.is_some_and(|one| {
                    one.is_complete() && kept.since <= one.requested_at.as_millisecond()
                });
                if matches!(choice, Choice::Resume { .. }) && !compared {
                    return Err(refusal(
                        "ComparisonMissing",
                        "the database was not compared with its target systems yet; compare it \
                         first, so that you see what would be held",
                    ));
                }
                let by = Some(caller.name.clone());
                let record = Kept { choice: Some(choice), by, ..kept };
                deployment::replace(tx, PAUSE, &text(&record)?).await?;
                let detail = serde_json::to_value(choice).map_err(Error::internal)?;
                note(self, tx, caller, "deployment confirmed", detail, now).await
            })
            .await?;
        point(Point::ConfirmChosen);
        self.wake();
        self.get_deployment(caller).await
    }

    /// Ends the pause, once everything that was chosen is done.
    pub(crate) async fn end_pause(&self, choice: Choice, held: i64) -> Result<()> {
        let now = self.now();
        let here = self.store().home().await?;
        let new: Uuid = self.entropy().uuid(now);
        self.store()
            .write(async |tx| {
                let Some(kept) = kept(tx).await? else { return Ok(()) };
                if choice == Choice::NewInstance {
                    deployment::replace(tx, INSTANCE, &new.to_string()).await?;
                    notices::forget_pending(tx).await?;
                    for mut target in targets::list(tx, crate::worker::MAX_TARGETS).await? {
                        if target.kind != targets::DIRECTORY && !target.is_paused {
                            target.is_paused = true;
                            target.modified_at = now;
                            targets::save(tx, &mut target).await?;
                        }
                    }
                } else {
                    deployment::keep(tx, INSTANCE, &new.to_string()).await?;
                    findings::leave_extras(tx).await?;
                }
                deployment::replace(tx, HOME, &here.text()).await?;
                let epoch = deployment::get_number(tx, EPOCH).await?.unwrap_or(0);
                let leap = (kept.seen - epoch).max(0).saturating_add(rules::LEAP);
                deployment::count_up(tx, EPOCH, leap).await?;
                deployment::forget(tx, PAUSE).await?;
                let detail = json!({ "confirmedBy": kept.by, "held": held });
                note(self, tx, &Caller::system(), "deployment resumed", detail, now).await
            })
            .await?;
        point(Point::ConfirmEnded);
        self.refresh_pause().await?;
        // A crash right now must not leave a directory that doubts again.
        report("instance", self.advance().await);
        tracing::info!(held, "the deployment goes on");
        Ok(())
    }

    /// Remembers in a data directory that its database was vouched for.
    ///
    /// # Errors
    ///
    /// The database's, or the file cannot be written.
    pub async fn remember_mark(&self, data: &Path) -> Result<(), OpenError> {
        let mark = self.store().read(async |tx| mark_of(tx).await).await?;
        if let Some(mark) = mark {
            instance::write(data, mark)?;
        }
        Ok(())
    }
}

/// Copies the SQLite database of a data directory into a new file, beside whoever serves it. The
/// copy says of itself that it is a backup, so it starts paused. Answers with its schema.
///
/// # Errors
///
/// When the file exists, cannot be written, or does not prove sound.
pub fn back_up(from: &Path, to: &Path, now: Timestamp) -> Result<i64, OpenError> {
    let contents = accede_store::backup::copy(from, to, PAUSE, &backup_note(now))?;
    Ok(contents.schema)
}

/// Puts a backup in the place of the SQLite database of a data directory, which starts paused. What
/// is there is moved aside: the file that it is then in.
///
/// # Errors
///
/// When the directory is served, or cannot be written.
pub fn put_back(from: &Path, data: &Path, now: Timestamp) -> Result<Option<PathBuf>, OpenError> {
    let aside = format!("replaced-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    Ok(accede_store::backup::put_back(from, data, PAUSE, &backup_note(now), &aside)?)
}

/// Whether a file is a sound backup that this program can use, with a key that fits it.
///
/// # Errors
///
/// When it is damaged, from a newer program, or sealed with another key.
pub fn check_backup(file: &Path, key_file: &Path) -> Result<i64, OpenError> {
    let contents = accede_store::backup::check(file)?;
    let newest = accede_store::schema::MIGRATIONS.last().map_or(0, |newest| newest.number);
    if newest < contents.schema {
        let (database, program) = (contents.schema, newest);
        return Err(accede_store::Error::NewerSchema { database, program }.into());
    }
    crate::open::check_key(|name| accede_store::backup::setting(file, name), key_file)?;
    Ok(contents.schema)
}

/// Whether a data directory holds a SQLite database.
pub fn has_database(data: &Path) -> bool {
    Store::sqlite_exists(data)
}

pub(crate) fn not_paused() -> Error {
    refusal("DeploymentNotPaused", "this deployment is not paused; there is nothing to confirm")
}

pub(crate) fn refusal(code: &'static str, sentence: &str) -> Error {
    Refusal::Rule { code, sentence: sentence.to_owned() }.into()
}

pub(crate) async fn note(
    app: &App,
    tx: &mut Tx<'_>,
    caller: &Caller,
    action: &str,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<()> {
    let id = deployment::get(tx, INSTANCE).await?.unwrap_or_default();
    let (object_type, catalog) = ("deployment", None);
    let event = audit::Event { action, object_type, object_id: id, catalog, detail };
    audit::record(app, tx, caller, event, now).await
}
