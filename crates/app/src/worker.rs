//! The worker: claims deliveries, lets connectors call their targets, records the answers.
//!
//! Three steps, two transactions: *claim* (committed before the first byte is sent), *carry* (no
//! transaction open), *settle* (under the claim's epoch). Targets do not wait for each other: each
//! has its own lane with its own number of calls in flight, and no lane takes more than a quarter of
//! all calls. A crash between any two steps is found by the lease running out.

mod lanes;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use accede_connectors::{
    CALL_DEADLINE, Connector, Done, Item, Order, Person, Presence, Role, Wanted, settings,
};
use accede_domain::Timestamp;
use accede_domain::cause::fingerprint;
use accede_domain::circuit::Admission;
use accede_domain::delivery::{self, Action, Answer, Phase};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{SubjectId, TargetId};
use accede_domain::pending;
use accede_domain::retry::Retry;
use accede_store::attempts::{self, Attempt};
use accede_store::causes::{self, NewCause};
use accede_store::circuits;
use accede_store::crash::{Point, point};
use accede_store::deliveries::{self, DeliveryRow, LastFault};
use accede_store::targets::{self, TargetRow};
use accede_store::{assignments, flights, people};
use futures_util::FutureExt;
use tokio::sync::mpsc;

use crate::deed::Deed;
use crate::deployment::{self, Rounds};
use crate::hands::Broken;
use crate::worker::lanes::Lanes;
use crate::{App, Caller, Error, Result};

/// Longest sleep of an idle worker: what no wake-up announced is found after so long.
const IDLE: Duration = Duration::from_millis(500);
/// How often timers are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// How often old sign-in failures and sessions are forgotten.
const TIDY: Duration = Duration::from_secs(600);
/// How often it is written down how fast targets are worked off.
const PACE: Duration = Duration::from_secs(15);
/// How often it is written down what causes hold up.
const LOOK: Duration = Duration::from_secs(300);
/// How often it is looked whether somebody is to be told something, and what is written is sent.
const NOTICES: Duration = Duration::from_secs(5);
/// How often it is looked for whether a target is to be compared with what is wanted there.
const COMPARE: Duration = Duration::from_secs(5);
/// How often the list of targets is read anew.
const TARGETS_AGE: Duration = Duration::from_secs(1);
/// How often to look whether a database takes changes again.
const AWAY_PAUSE: Duration = Duration::from_secs(1);
/// Most targets that are worked for.
pub const MAX_TARGETS: usize = 1_000;
/// Most deliveries in one claim.
const CLAIM_LIMIT: usize = 512;

/// A claimed delivery with what its call needs.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The row, as claimed.
    pub row: DeliveryRow,
    /// What to do.
    pub action: Action,
    /// The person as the target should know them.
    pub person: Person,
    /// When it was claimed.
    pub at: Timestamp,
    /// The same by a clock that nobody sets.
    pub instant: tokio::time::Instant,
    /// How its target is tried again.
    pub retry: Retry,
}

impl Claimed {
    /// How long a call for it may still take, by whichever clock says less: one that was set back since
    /// must not have it made when others take it for over.
    fn time_left(&self, now: Timestamp) -> Duration {
        let left = match self.row.delivery.phase {
            delivery::Phase::InFlight { deadline, .. } => {
                Duration::try_from(deadline.duration_since(now)).unwrap_or(Duration::ZERO)
            }
            _ => Duration::ZERO,
        };
        left.min(CALL_DEADLINE.saturating_sub(self.instant.elapsed()))
    }

    fn role(&self) -> Role {
        role(&self.row.key)
    }
}

/// Deliveries that go into one call: same role, same action.
pub type Batch = Vec<Claimed>;

impl App {
    /// Claims up to `limit` ready deliveries of a target and sorts them into calls. Committed when
    /// this returns.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn claim(
        &self,
        target: TargetId,
        connector: &dyn Connector,
        limit: usize,
    ) -> Result<Vec<Batch>> {
        Ok(self.claim_as(target, None, connector, limit).await?.unwrap_or_default())
    }

    /// Like [`App::claim`], if the target is still as it was read: what was paused or given other
    /// settings since is not called as it was before. `None`: it changed.
    async fn claim_as(
        &self,
        target: TargetId,
        version: Option<i64>,
        connector: &dyn Connector,
        limit: usize,
    ) -> Result<Option<Vec<Batch>>> {
        let (now, instant) = (self.now(), tokio::time::Instant::now());
        let can_observe = connector.can_observe();
        point(Point::DeliveryClaim);
        let claimed = self
            .store()
            .write(async |tx| {
                if deployment::is_paused(tx).await? {
                    return Ok(Some((Admission::Nothing, Vec::new(), false)));
                }
                let Some(found) = targets::get(tx, target).await? else { return Ok(None) };
                if version.is_some_and(|version| found.is_paused || found.version != version) {
                    return Ok(None);
                }
                let retry = self.retry_of(&found);
                let admission = circuits::get(tx, target).await?.circuit.admits(now);
                let limit = match admission {
                    Admission::Nothing => return Ok(Some((admission, Vec::new(), false))),
                    Admission::One => 1,
                    Admission::All => limit,
                };
                let mut claimed = Vec::new();
                let mut saves = Vec::new();
                let mut is_passed_over = false;
                let size = connector.batch_size();
                // What may break down again is not what a target in trouble is tried with.
                let alone_first =
                    admission == Admission::All && self.watches().may_go_alone(target);
                let turns = self.take_turns(tx, target, (limit, size), alone_first, now).await?;
                let subjects: Vec<SubjectId> = turns.iter().map(|row| row.key.subject).collect();
                let known = people::by_subjects(tx, &subjects).await?;
                // What is claimed at once goes to one connector, which makes one account.
                let busy = match connector.makes_accounts() {
                    true => flights::granted_now(tx, target, &subjects, now).await?,
                    false => HashSet::new(),
                };
                for (mut row, facts) in turns.into_iter().zip(known) {
                    let epoch = row.delivery.epoch;
                    let Some((next, action)) = delivery::claim(row.delivery, can_observe, now)
                    else {
                        if row.delivery.phase == delivery::Phase::Settled && !can_observe {
                            // It was to be read back when the target could still be read. Left as it
                            // is, it would stand before the others for ever.
                            row.delivery.verify_at = None;
                            saves.push((row, epoch));
                        } else if let Some(blind) = pending::blinded(row.delivery, can_observe) {
                            row.delivery = blind;
                            saves.push((row, epoch));
                        }
                        continue;
                    };
                    let Some(facts) = facts else { continue };
                    if action == Action::Grant && busy.contains(&facts.subject) {
                        is_passed_over = true;
                        continue;
                    }
                    row.delivery = next;
                    row.attempted_at = Some(now);
                    saves.push((row.clone(), epoch));
                    let person = person(facts);
                    claimed.push(Claimed { row, action, person, at: now, instant, retry });
                }
                deliveries::save_all(tx, &saves).await?;
                Ok::<_, Error>(Some((admission, claimed, is_passed_over)))
            })
            .await?;
        let Some((admission, claimed, is_passed_over)) = claimed else { return Ok(None) };
        self.watches().set_trial(target, admission == Admission::One);
        self.watches().set_passed_over(target, is_passed_over);
        if !claimed.is_empty() {
            point(Point::DeliveryClaimed);
            let alone = claimed.iter().any(|claimed| claimed.row.delivery.poison.is_alone());
            self.watches().set_turn(target, alone);
        }
        Ok(Some(into_batches(claimed, connector.batch_size())))
    }

    /// Calls the target for one batch. No transaction is open.
    pub async fn carry(&self, connector: &dyn Connector, batch: &Batch) -> Vec<Answer> {
        let Some(first) = batch.first() else { return Vec::new() };
        let action = first.action;
        // What is sent after the deadline could overtake what others do after the lease.
        let time = first.time_left(self.now());
        if time.is_zero() {
            let text = "the server was too late to make this call; it is made anew";
            let late = Fault::new(Class::Transient, Fault::LATE, text);
            return vec![Answer::Fault(late); batch.len()];
        }
        let call = async {
            match action {
                Action::Observe => {
                    let asked: Vec<(Person, Role)> = batch
                        .iter()
                        .map(|claimed| (claimed.person.clone(), claimed.role()))
                        .collect();
                    let answers = connector.observe(&asked).await;
                    answers.into_iter().map(observed).collect::<Vec<_>>()
                }
                Action::Grant | Action::Revoke => {
                    let wanted =
                        if action == Action::Grant { Wanted::Granted } else { Wanted::Revoked };
                    let items: Vec<Item> = batch
                        .iter()
                        .map(|claimed| Item {
                            person: claimed.person.clone(),
                            role: claimed.role(),
                            wanted,
                            order: Order {
                                delivery: claimed.row.id,
                                generation: claimed.row.delivery.generation,
                            },
                        })
                        .collect();
                    let answers = connector.ensure(&items).await;
                    answers.into_iter().map(ensured).collect::<Vec<_>>()
                }
            }
        };
        point(Point::DeliveryCall);
        let guarded = std::panic::AssertUnwindSafe(call).catch_unwind();
        let mut answers = match tokio::time::timeout(time, guarded).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(_)) => {
                let fault = Fault::new(Class::Unknown, Fault::PANIC, "the connector broke down");
                vec![Answer::Fault(fault); batch.len()]
            }
            Err(_) => {
                let text = "the target did not answer within 20 seconds";
                vec![Answer::Fault(Fault::new(Class::Unknown, "deadline", text)); batch.len()]
            }
        };
        // A connector that forgets an answer leaves an unknown outcome, never a success.
        let missing = Fault::new(Class::Unknown, "no-answer", "the connector gave no answer");
        answers.resize(batch.len(), Answer::Fault(missing));
        point(Point::DeliveryCalled);
        answers
    }

    /// Records one answer under its claim; a late one is discarded and makes us look again.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn settle(
        &self,
        claimed: &Claimed,
        answer: &Answer,
        can_observe: bool,
        batch: usize,
    ) -> Result<()> {
        let now = self.now();
        let chance = self.entropy().chance();
        let caller = Caller::system();
        let outcome = self
            .store()
            .write(async |tx| {
                people::lock(tx, claimed.row.key.subject).await?;
                let Some(mut row) = deliveries::lock(tx, claimed.row.id).await? else {
                    return Ok(None);
                };
                let epoch = row.delivery.epoch;
                let before = row.delivery.part();
                let claimed_row = row.delivery;
                let lacking = self.lacks_assignee(tx, answer).await?;
                let answer = lacking.as_ref().unwrap_or(answer);
                let settled = delivery::settle(
                    row.delivery,
                    claimed.row.delivery.epoch,
                    answer,
                    can_observe,
                    &claimed.retry,
                    chance,
                    now,
                );
                let discarded = settled.is_err();
                row.delivery = settled
                    .unwrap_or_else(|_| delivery::doubt(row.delivery, answer, can_observe, now));
                if let (Answer::Fault(fault), false) = (answer, discarded) {
                    row.fault = Some(self.remember(tx, row.key.target, fault, now).await?);
                    if self.watches().serves(row.key.target, now) {
                        row.delivery = delivery::strike(row.delivery, fault);
                    }
                    if delivery::lies_down(&row.delivery) {
                        self.tell_poison(tx, &mut row).await?;
                    }
                }
                if !discarded && delivery::drifted(&claimed_row, &row.delivery) {
                    self.meet_drift(tx, &claimed_row, &mut row, &claimed.retry, now).await?;
                }
                let unfinished = pending::unfinished(&claimed_row, &row.delivery);
                if let (Some(fault), None) = (unfinished, fault_of(answer)) {
                    row.fault = Some(self.remember(tx, row.key.target, &fault, now).await?);
                }
                deliveries::save(tx, &row, epoch).await?;
                point(Point::DeliverySaved);
                let attempt = self.attempt(claimed, answer, discarded, batch, now);
                attempts::insert(tx, &attempt).await?;
                point(Point::DeliveryAttempted);
                let mut deed = Deed { app: self, tx, caller: &caller, now };
                if !discarded {
                    deed.follow_tasks(&row, &claimed_row, Some(answer)).await?;
                }
                if before != row.delivery.part() {
                    let concerned = assignments::concerned(deed.tx, row.id).await?;
                    for assignment in concerned {
                        deed.roll_up(assignment).await?;
                    }
                }
                let is_over = matches!(row.delivery.phase, Phase::Settled | Phase::Failed { .. });
                Ok::<_, Error>(Some((attempt.outcome, is_over)))
            })
            .await?;
        point(Point::DeliverySettled);
        if let Some((outcome, is_over)) = outcome {
            self.tally().count(&outcome);
            if is_over {
                self.done().count(claimed.row.key.target);
            }
        }
        Ok(())
    }

    /// How a target is tried again.
    pub(crate) fn retry_of(&self, target: &TargetRow) -> Retry {
        let default = &self.settings().retry;
        // They were checked before they were stored.
        settings::retry(&target.settings, default).unwrap_or(*default)
    }

    pub(crate) async fn remember(
        &self,
        tx: &mut accede_store::Tx<'_>,
        target: TargetId,
        fault: &Fault,
        now: Timestamp,
    ) -> Result<LastFault> {
        let new = NewCause {
            id: self.mint(now),
            target,
            class: fault.class,
            code: &fault.code,
            fingerprint: &fingerprint(&fault.message),
            example: &fault.message,
            at: now,
        };
        Ok(LastFault {
            cause: causes::seen(tx, new).await?,
            class: fault.class,
            code: fault.code.clone(),
            message: fault.message.clone(),
        })
    }

    fn attempt(
        &self,
        claimed: &Claimed,
        answer: &Answer,
        discarded: bool,
        batch: usize,
        now: Timestamp,
    ) -> Attempt {
        let (outcome, fault) = match answer {
            Answer::Applied => ("applied", None),
            Answer::AlreadyInState => ("alreadyInState", None),
            Answer::Present => ("present", None),
            Answer::Absent => ("absent", None),
            Answer::Pending(_) => ("pending", None),
            Answer::Fault(fault) => ("fault", Some(fault)),
        };
        Attempt {
            id: self.mint(now),
            delivery: claimed.row.id,
            epoch: claimed.row.delivery.epoch,
            action: deliveries::action_name(claimed.action).to_owned(),
            outcome: if discarded { "discarded" } else { outcome }.to_owned(),
            class: fault.map(|fault| fault.class.name().to_owned()),
            code: fault.map(|fault| fault.code.clone()),
            message: fault.map(|fault| fault.message.clone()),
            started_at: claimed.at,
            finished_at: now,
            batch: i64::try_from(batch).unwrap_or(i64::MAX),
        }
    }

    /// The targets that may be called: not paused.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn callable_targets(&self) -> Result<Vec<TargetRow>> {
        self.store()
            .read(async |tx| {
                let all = targets::list(tx, MAX_TARGETS).await?;
                Ok(all.into_iter().filter(|target| !target.is_paused).collect())
            })
            .await
    }

    /// One round over everything that is ready now: timers, jobs, and one call per ready batch, one
    /// after another. Says how much was done. For tests, the demo's story and simulations; a serving
    /// process uses [`App::run_worker`].
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn work_once(&self) -> Result<usize> {
        self.refresh_pause().await?;
        if self.is_held() {
            return self.work_pause().await;
        }
        let mut done = self.sweep_once().await? + self.work_jobs().await?;
        done += self.check_circuits().await?;
        for target in self.callable_targets().await? {
            let connector = self.hand(&target);
            for batch in self.claim(target.id, &*connector, CLAIM_LIMIT).await? {
                let answers = self.carry(&*connector, &batch).await;
                self.note_call(target.id, &answers).await?;
                for (claimed, answer) in batch.iter().zip(&answers) {
                    self.settle(claimed, answer, connector.can_observe(), batch.len()).await?;
                    done += 1;
                }
            }
        }
        Ok(done + self.sweep_drift().await?)
    }

    /// Works until nothing is ready at the present instant.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn work_until_idle(&self) -> Result<()> {
        while 0 < self.work_once().await? {}
        Ok(())
    }

    /// The connector of a target; one that only answers with the reason if it cannot be opened.
    fn hand(&self, target: &TargetRow) -> Arc<dyn Connector> {
        match self.hands().get(target) {
            Ok(connector) => connector,
            Err(fault) => Arc::new(Broken(fault)),
        }
    }

    /// Takes over what a worker that died had claimed. Only a process that holds its data directory
    /// alone can know that no other worker lives; beside others, leases run out by themselves.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn recover(&self) -> Result<()> {
        if self.store().engine() == accede_store::Engine::Postgres {
            return Ok(());
        }
        let zombie = i64::try_from(delivery::ZOMBIE.as_millis()).unwrap_or(i64::MAX);
        self.store()
            .write(async |tx| {
                deliveries::release_leases(tx, zombie).await?;
                Ok(())
            })
            .await
    }

    /// Works until `shutdown` resolves; calls in flight then finish first.
    pub async fn run_worker(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let (sender, mut finished) = mpsc::unbounded_channel::<(TargetId, bool)>();
        let mut lanes = Lanes::default();
        let (mut sweep, mut tidy) = (Every::new(SWEEP), Every::new(TIDY));
        let (mut pace, mut look) = (Every::new(PACE), Every::new(LOOK));
        let (mut tell, mut alarms, mut notices) =
            (Every::new(NOTICES), Beside::default(), Beside::default());
        let mut compare = Every::new(COMPARE);
        let mut read_targets = Every::new(TARGETS_AGE);
        let (mut jobs, mut due, mut holders) =
            (Beside::default(), Beside::default(), Beside::default());
        let (mut causes, mut drift) = (Beside::default(), Beside::default());
        let mut rounds = Rounds::new();
        let mut stopping = false;
        let stop = Arc::new(AtomicBool::new(false));
        report("recover", self.recover().await);
        point(Point::OpenRecovered);
        // What came to its end while nobody worked is taken back before anything is given.
        let caught_up = Arc::new(AtomicBool::new(false));
        loop {
            let away = !stopping && self.is_away().await;
            if !stopping && !away && !self.go_rounds(&mut rounds).await {
                if sweep.is_due() {
                    let (app, stop, caught_up) =
                        (self.clone(), Arc::clone(&stop), Arc::clone(&caught_up));
                    due.begin(async move {
                        report("sweep", app.sweep_all_due(&stop).await);
                        if !caught_up.swap(true, Ordering::Relaxed) {
                            app.wake();
                        }
                    });
                    let app = self.clone();
                    holders.begin(async move { report("holders", app.sweep_holders().await) });
                    match self.circuits_to_check().await {
                        Ok(due) => due.into_iter().for_each(|target| {
                            let app = self.clone();
                            // A check may take its whole deadline; nothing waits for it.
                            tokio::spawn(async move {
                                report("check", app.check_circuit(target).await);
                            });
                        }),
                        Err(error) => report::<(), _>("checks", Err(error)),
                    }
                }
                if tidy.is_due() {
                    report("sign-in", self.sweep_sign_in().await);
                    report("notices", self.forget_notices().await);
                    report("old findings", self.forget_drift().await);
                }
                if pace.is_due() {
                    report("paces", self.note_paces().await);
                }
                if look.is_due() {
                    let app = self.clone();
                    causes.begin(async move { report("causes", app.note_causes().await) });
                }
                if compare.is_due() {
                    let app = self.clone();
                    drift.begin(async move { report("drift", app.sweep_drift().await) });
                }
                if read_targets.is_due() {
                    match self.callable_targets().await {
                        Ok(targets) => lanes.keep(targets),
                        Err(error) => report::<(), _>("targets", Err(error)),
                    }
                }
                if tell.is_due() {
                    let app = self.clone();
                    alarms.begin(async move { report("alarms", app.raise_alarms().await) });
                    let app = self.clone();
                    notices.begin(async move { app.send_all().await });
                }
                let (app, stop) = (self.clone(), Arc::clone(&stop));
                jobs.begin(async move { app.run_jobs(&stop).await });
                if caught_up.load(Ordering::Relaxed) && self.fill_lanes(&mut lanes, &sender).await {
                    // A target changed since it was read: read them anew before anything else.
                    read_targets.at_once();
                    continue;
                }
            }
            if stopping && lanes.in_flight() == 0 {
                // A notice that is cut off is sent once more, under the same id.
                for beside in [jobs, due, holders, causes, drift, rounds.work] {
                    beside.end().await;
                }
                return;
            }
            let pause = if away { AWAY_PAUSE } else { IDLE };
            tokio::select! {
                () = &mut shutdown, if !stopping => {
                    stopping = true;
                    stop.store(true, Ordering::Relaxed);
                }
                () = self.woken(), if !stopping && !away => {}
                () = tokio::time::sleep(pause) => {}
                Some((target, strained)) = finished.recv() => {
                    lanes.note(target, strained);
                    while let Ok((target, strained)) = finished.try_recv() {
                        lanes.note(target, strained);
                    }
                }
            }
        }
    }

    /// Gives the items of jobs their turns until none waits, or `stop`.
    async fn run_jobs(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            match self.work_jobs().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return report::<(), _>("jobs", Err(error)),
            }
        }
    }

    /// Whether the database takes no changes, so that nothing can be claimed; quietly, since whoever
    /// met it first has told it.
    async fn is_away(&self) -> bool {
        self.store().is_troubled() && self.ready().await.is_err()
    }
}

/// Something that is done now and then.
pub(crate) struct Every {
    period: Duration,
    last: Option<tokio::time::Instant>,
}

impl Every {
    pub(crate) const fn new(period: Duration) -> Every {
        Every { period, last: None }
    }

    /// Whether its time has come; if so, the next time counts from now.
    pub(crate) fn is_due(&mut self) -> bool {
        let now = tokio::time::Instant::now();
        let is_due = self.last.is_none_or(|last| self.period <= now - last);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }

    /// Makes it due.
    fn at_once(&mut self) {
        self.last = None;
    }
}

/// Work beside the loop that fills the lanes, so that no call waits for it.
#[derive(Default)]
pub(crate) struct Beside(Option<tokio::task::JoinHandle<()>>);

impl Beside {
    /// Begins it, unless it is still at work since last time.
    pub(crate) fn begin(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        if self.0.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
            self.0 = Some(tokio::spawn(work));
        }
    }

    /// Waits for its end.
    async fn end(self) {
        if let Some(running) = self.0 {
            // One that broke down was told as any panic is, and is begun anew from the rows.
            let _ = running.await;
        }
    }
}

pub(crate) fn report<T, E: std::error::Error + 'static>(what: &str, outcome: Result<T, E>) {
    if let Err(error) = outcome {
        let chain: &dyn std::error::Error = &error;
        tracing::error!(what, error = chain, "the worker met a fault and goes on");
    }
}

/// What a delivery's role is called in its target.
pub(crate) fn role(key: &deliveries::Key) -> Role {
    Role { resource: key.resource.clone(), role: key.role.clone(), scope: key.scope.clone() }
}

/// A person as connectors know them.
pub(crate) fn person(facts: people::Facts) -> Person {
    Person {
        subject: facts.subject,
        object_id: facts.user.to_string(),
        user_principal_name: facts.user_principal_name,
        display_name: facts.display_name,
        given_name: facts.given_name,
        surname: facts.surname,
        mail: facts.mail,
    }
}

const fn fault_of(answer: &Answer) -> Option<&Fault> {
    match answer {
        Answer::Fault(fault) => Some(fault),
        _ => None,
    }
}

fn ensured(answer: std::result::Result<Done, Fault>) -> Answer {
    match answer {
        Ok(Done::Applied) => Answer::Applied,
        Ok(Done::AlreadyInState) => Answer::AlreadyInState,
        Ok(Done::Pending(accepted)) => Answer::Pending(accepted),
        Err(fault) => Answer::Fault(fault),
    }
}

fn observed(answer: std::result::Result<Presence, Fault>) -> Answer {
    match answer {
        Ok(Presence::Present) => Answer::Present,
        Ok(Presence::Absent) => Answer::Absent,
        Err(fault) => Answer::Fault(fault),
    }
}

/// Sorts claimed deliveries into calls: same role, same action, at most `size`, in the order they
/// were claimed.
fn into_batches(claimed: Vec<Claimed>, size: usize) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for item in claimed {
        let fits = |batch: &&mut Batch| {
            let is_alone = item.row.delivery.poison.is_alone();
            batch.len() < size.max(1)
                && !is_alone
                && batch.first().is_some_and(|first| {
                    !first.row.delivery.poison.is_alone()
                        && first.action == item.action
                        && first.row.key.resource == item.row.key.resource
                        && first.row.key.role == item.row.key.role
                        && first.row.key.scope == item.row.key.scope
                })
        };
        match batches.iter_mut().find(fits) {
            Some(batch) => batch.push(item),
            None => batches.push(vec![item]),
        }
    }
    batches
}
