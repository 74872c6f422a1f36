//! A target in memory that misbehaves on command: for tests, the simulation and the demo.
//!
//! [`Chaos`] is a shared handle with a truth of its own: who has which role, which accounts exist,
//! and every call that was made. Tests read the truth directly, never through the connector. What
//! goes wrong is set by switches, or chosen call by call by a plan that a simulation seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accede_domain::Timestamp;
use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::egress::Policy;
use crate::faults::too_many;
use crate::roles::Membership;
use crate::settings::{Field, Form, Problem, Reader, problem};
use crate::{
    Connector, Done, FoundResource, Health, Holder, Holders, Item, MAX_HOLDERS, Person, Presence,
    Role, Settings, Wanted,
};

/// What was asked of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Give a role.
    Grant,
    /// Take a role.
    Revoke,
    /// Say whether somebody has a role.
    Observe,
    /// List who has a role.
    Holders,
    /// Say whether the target answers.
    Check,
    /// List resources.
    Discover,
    /// Find one resource.
    Find,
}

/// One call as a plan sees it, before anything happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which call this is, counted from 0 since the target was made.
    pub number: u64,
    /// What is asked.
    pub verb: Verb,
    /// For whom and which role; empty for `Check`, `Discover` and `Find`.
    pub items: Vec<(SubjectId, Role)>,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing happens and every item is answered with this fault.
    Refuse(Fault),
    /// The first so many items happen, the others are answered with this fault.
    RefuseAfter(usize, Fault),
    /// Nothing happens, and nobody can know: the call was sent and no answer came.
    TimeOutBefore,
    /// It happens, and nobody can know: the call was sent and no answer came.
    TimeOutAfter,
    /// Success is answered and nothing happens; an observation answers the opposite of the truth.
    Lie,
}

/// One item of a call, after it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The call it was part of.
    pub call: u64,
    /// When, if the target was given a clock.
    pub at: Option<Timestamp>,
    /// What was asked.
    pub verb: Verb,
    /// For whom.
    pub subject: SubjectId,
    /// Which role.
    pub role: Role,
    /// Whether the truth changed.
    pub changed: bool,
    /// Whether success was answered.
    pub answered_well: bool,
}

/// Chooses what goes wrong with a call.
pub type Plan = Arc<dyn Fn(&Call) -> Option<Trouble> + Send + Sync>;
/// Waits; a simulation gives one that moves its own clock.
pub type Sleeper = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;
/// Tells the time for the log of calls.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A shared handle to one target in memory.
#[derive(Clone)]
pub struct Chaos {
    shared: Arc<Mutex<State>>,
}

struct State {
    // The truth.
    roles: BTreeSet<(SubjectId, Role)>,
    accounts: BTreeMap<SubjectId, String>,
    accounts_made: u64,
    /// Empty: every id names a resource.
    resources: Vec<FoundResource>,
    creates_accounts: bool,
    // What was called.
    calls: u64,
    log: Vec<Logged>,
    counts: BTreeMap<(SubjectId, Role, Verb), u64>,
    // What goes wrong.
    trouble: Option<Trouble>,
    resource_troubles: BTreeMap<String, Fault>,
    person_troubles: BTreeMap<SubjectId, Fault>,
    plan: Option<Plan>,
    latency: Duration,
    observable: bool,
    batch_size: usize,
    sleeper: Sleeper,
    clock: Option<Clock>,
}

/// How many people one call takes, unless set otherwise.
const BATCH: usize = 100;
/// How many items the log keeps; counts are kept for all.
const LOG_LIMIT: usize = 200_000;

static NAMED: LazyLock<Mutex<BTreeMap<String, Chaos>>> = LazyLock::new(Mutex::default);

impl Default for Chaos {
    fn default() -> Self {
        Self::new()
    }
}

impl Chaos {
    /// A healthy, empty target in which every id names a resource.
    pub fn new() -> Chaos {
        Chaos {
            shared: Arc::new(Mutex::new(State {
                roles: BTreeSet::new(),
                accounts: BTreeMap::new(),
                accounts_made: 0,
                resources: Vec::new(),
                creates_accounts: true,
                calls: 0,
                log: Vec::new(),
                counts: BTreeMap::new(),
                trouble: None,
                resource_troubles: BTreeMap::new(),
                person_troubles: BTreeMap::new(),
                plan: None,
                latency: Duration::ZERO,
                observable: true,
                batch_size: BATCH,
                sleeper: Arc::new(|wait| Box::pin(tokio::time::sleep(wait))),
                clock: None,
            })),
        }
    }

    /// The target of that name in this process; made when first asked for. A chaos target opened
    /// from settings has the name that its setting `name` gives, or else its target's id.
    pub fn named(name: &str) -> Chaos {
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_default().clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The truth.

    /// Answers whether somebody really has a role.
    pub fn has(&self, subject: SubjectId, role: &Role) -> bool {
        self.state().roles.contains(&(subject, role.clone()))
    }

    /// Every role that somebody really has.
    pub fn truth(&self) -> BTreeSet<(SubjectId, Role)> {
        self.state().roles.clone()
    }

    /// The accounts that exist, by person.
    pub fn accounts(&self) -> BTreeMap<SubjectId, String> {
        self.state().accounts.clone()
    }

    /// How many accounts were ever made by calls; more than one a person is a fault of ours.
    pub fn accounts_made(&self) -> u64 {
        self.state().accounts_made
    }

    /// Gives a role behind everybody's back.
    pub fn grant_outside(&self, subject: SubjectId, role: &Role) {
        self.state().roles.insert((subject, role.clone()));
    }

    /// Takes a role behind everybody's back.
    pub fn revoke_outside(&self, subject: SubjectId, role: &Role) {
        self.state().roles.remove(&(subject, role.clone()));
    }

    /// Adds a resource with the role Member. As soon as there is one, other ids name nothing.
    pub fn add_resource(&self, origin_id: &str, display_name: &str) {
        let resource = made_up(origin_id, display_name);
        let mut state = self.state();
        state.resources.retain(|known| known.origin_id != origin_id);
        state.resources.push(resource);
    }

    /// Removes a resource and whoever is in it.
    pub fn remove_resource(&self, origin_id: &str) {
        let mut state = self.state();
        state.resources.retain(|known| known.origin_id != origin_id);
        state.roles.retain(|(_, role)| role.resource != origin_id);
    }

    // What was called.

    /// Every item of every call so far, the oldest first; at most the last 200,000.
    pub fn log(&self) -> Vec<Logged> {
        self.state().log.clone()
    }

    /// How many calls were made so far, whatever their batch.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How often this was asked for this person and role.
    pub fn count(&self, subject: SubjectId, role: &Role, verb: Verb) -> u64 {
        self.state().counts.get(&(subject, role.clone(), verb)).copied().unwrap_or(0)
    }

    /// Forgets which calls were made; the truth stays.
    pub fn clear_log(&self) {
        let mut state = self.state();
        state.log.clear();
        state.counts.clear();
    }

    // What goes wrong.

    /// Everything works again; the truth stays, and so do batch size and what can be observed.
    pub fn heal(&self) {
        let mut state = self.state();
        state.trouble = None;
        state.resource_troubles.clear();
        state.person_troubles.clear();
        state.plan = None;
        state.latency = Duration::ZERO;
    }

    /// The same goes wrong with every call, until healed.
    pub fn trouble(&self, trouble: Trouble) {
        self.state().trouble = Some(trouble);
    }

    /// Every grant and revocation is refused for good.
    pub fn refuse(&self, code: &str, message: &str) {
        self.trouble(Trouble::Refuse(Fault::new(Class::Permanent, code, message)));
    }

    /// Every call fails, and may work later.
    pub fn fail_for_now(&self, code: &str, message: &str) {
        self.trouble(Trouble::Refuse(Fault::new(Class::Transient, code, message)));
    }

    /// The target as a whole cannot be used.
    pub fn break_down(&self, code: &str, message: &str) {
        self.trouble(Trouble::Refuse(Fault::new(Class::Target, code, message)));
    }

    /// Every call is told to wait.
    pub fn throttle(&self, retry_after: Duration) {
        let fault = Fault::new(Class::Throttled, "http-429", "the target asks to slow down");
        self.trouble(Trouble::Refuse(fault.after(Some(retry_after))));
    }

    /// This resource is refused with this fault; others work.
    pub fn refuse_resource(&self, origin_id: &str, fault: Fault) {
        self.state().resource_troubles.insert(origin_id.to_owned(), fault);
    }

    /// This person is refused with this fault; others work.
    pub fn refuse_person(&self, subject: SubjectId, fault: Fault) {
        self.state().person_troubles.insert(subject, fault);
    }

    /// Each call is shown to the plan, which chooses what goes wrong with it; before the switches.
    pub fn plan(&self, plan: impl Fn(&Call) -> Option<Trouble> + Send + Sync + 'static) {
        self.state().plan = Some(Arc::new(plan));
    }

    /// Every call takes this long.
    pub fn slow(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Whether `observe` can answer.
    pub fn set_observable(&self, observable: bool) {
        self.state().observable = observable;
    }

    /// Whether a grant makes a missing account; if not, it is refused.
    pub fn set_creates_accounts(&self, creates: bool) {
        self.state().creates_accounts = creates;
    }

    /// Makes an account behind everybody's back.
    pub fn add_account(&self, subject: SubjectId) {
        self.state().accounts.entry(subject).or_insert_with(|| format!("account-{subject}"));
    }

    /// How many items one call takes.
    pub fn set_batch_size(&self, batch_size: usize) {
        self.state().batch_size = batch_size.max(1);
    }

    /// Waits in another way than by the runtime's timer.
    pub fn set_sleeper(&self, sleeper: Sleeper) {
        self.state().sleeper = sleeper;
    }

    /// Writes times into the log.
    pub fn set_clock(&self, clock: Clock) {
        self.state().clock = Some(clock);
    }

    // One call: count it, choose its trouble, wait.
    async fn begin(&self, verb: Verb, items: Vec<(SubjectId, Role)>) -> (Call, Option<Trouble>) {
        let (call, plan, wait) = {
            let mut state = self.state();
            let call = Call { number: state.calls, verb, items };
            state.calls += 1;
            let wait =
                (!state.latency.is_zero()).then(|| (Arc::clone(&state.sleeper), state.latency));
            (call, state.plan.clone(), wait)
        };
        if let Some((sleeper, latency)) = wait {
            sleeper(latency).await;
        }
        // The plan is asked without the lock, so that it may look at the truth.
        let planned = plan.and_then(|plan| plan(&call));
        let trouble = planned.or_else(|| self.state().trouble.clone());
        (call, trouble)
    }

    /// A question that changes nothing: only refusals and time-outs can befall it.
    async fn question(&self, verb: Verb) -> Result<(), Fault> {
        match self.begin(verb, Vec::new()).await.1 {
            Some(Trouble::Refuse(fault) | Trouble::RefuseAfter(_, fault))
                if fault.class != Class::Permanent =>
            {
                Err(fault)
            }
            Some(Trouble::TimeOutBefore | Trouble::TimeOutAfter) => Err(timed_out()),
            _ => Ok(()),
        }
    }
}

impl State {
    /// What this target says about one item when nothing is wrong with the call.
    fn refusal(&self, subject: SubjectId, role: &Role) -> Option<Fault> {
        if let Some(fault) = self.resource_troubles.get(&role.resource) {
            return Some(fault.clone());
        }
        self.person_troubles.get(&subject).cloned()
    }

    fn exists(&self, resource: &str) -> bool {
        self.resources.is_empty() || self.resources.iter().any(|known| known.origin_id == resource)
    }

    /// Whether a resource that is known has such a role.
    fn knows(&self, role: &Role) -> Result<(), Fault> {
        let known = self.resources.iter().find(|r| r.origin_id == role.resource);
        if known.is_some_and(|r| r.roles.iter().all(|one| one.origin_id != role.role)) {
            let message = format!("`{}` is not a role of this resource", role.role);
            return Err(Fault::new(Class::Unsupported, "role-unknown", message));
        }
        Ok(())
    }

    fn apply(&mut self, item: &Item) -> Result<Done, Fault> {
        let subject = item.person.subject;
        if let Some(fault) = self.refusal(subject, &item.role) {
            return Err(fault);
        }
        self.knows(&item.role)?;
        let key = (subject, item.role.clone());
        match item.wanted {
            Wanted::Granted if !self.exists(&item.role.resource) => {
                let message = format!("`{}` does not exist any more", item.role.resource);
                Err(Fault::new(Class::Permanent, "resource-gone", message))
            }
            Wanted::Granted => {
                if !self.accounts.contains_key(&subject) {
                    if !self.creates_accounts {
                        let message = format!(
                            "there is no account for `{}` and accounts may not be created",
                            item.person.user_principal_name
                        );
                        return Err(Fault::new(Class::Permanent, "account-missing", message));
                    }
                    self.accounts.insert(subject, format!("account-{subject}"));
                    self.accounts_made += 1;
                }
                Ok(if self.roles.insert(key) { Done::Applied } else { Done::AlreadyInState })
            }
            Wanted::Revoked => {
                Ok(if self.roles.remove(&key) { Done::Applied } else { Done::AlreadyInState })
            }
        }
    }

    fn record(&mut self, call: &Call, changed: &[bool], answered_well: &[bool]) {
        let at = self.clock.as_ref().map(|clock| clock());
        for (index, (subject, role)) in call.items.iter().enumerate() {
            *self.counts.entry((*subject, role.clone(), call.verb)).or_default() += 1;
            if LOG_LIMIT <= self.log.len() {
                self.log.drain(..LOG_LIMIT / 2);
            }
            self.log.push(Logged {
                call: call.number,
                at,
                verb: call.verb,
                subject: *subject,
                role: role.clone(),
                changed: changed.get(index).copied().unwrap_or(false),
                answered_well: answered_well.get(index).copied().unwrap_or(false),
            });
        }
    }
}

fn made_up(origin_id: &str, display_name: &str) -> FoundResource {
    FoundResource {
        origin_id: origin_id.to_owned(),
        display_name: display_name.to_owned(),
        description: None,
        roles: vec![Membership::Member.of(origin_id)],
    }
}

fn timed_out() -> Fault {
    Fault::new(Class::Unknown, "timeout", "the call was sent and no answer came in time")
}

#[async_trait]
impl Connector for Chaos {
    fn batch_size(&self) -> usize {
        self.state().batch_size
    }

    fn can_observe(&self) -> bool {
        self.state().observable
    }

    fn makes_accounts(&self) -> bool {
        self.state().creates_accounts
    }

    async fn check(&self) -> Result<Health, Fault> {
        self.question(Verb::Check).await?;
        let state = self.state();
        let summary = format!("a test target with {} role assignments", state.roles.len());
        Ok(Health { summary, took: state.latency })
    }

    async fn discover(
        &self,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        self.question(Verb::Discover).await?;
        let search = search.unwrap_or_default().to_lowercase();
        let matches = |resource: &&FoundResource| {
            resource.origin_id.to_lowercase().contains(&search)
                || resource.display_name.to_lowercase().contains(&search)
        };
        Ok(self.state().resources.iter().filter(matches).take(limit).cloned().collect())
    }

    async fn find(&self, origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        self.question(Verb::Find).await?;
        let state = self.state();
        if state.resources.is_empty() {
            return Ok(Some(made_up(origin_id, origin_id)));
        }
        Ok(state.resources.iter().find(|known| known.origin_id == origin_id).cloned())
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        let Some(first) = batch.first() else { return Vec::new() };
        let verb = match first.wanted {
            Wanted::Granted => Verb::Grant,
            Wanted::Revoked => Verb::Revoke,
        };
        let items = batch.iter().map(|item| (item.person.subject, item.role.clone())).collect();
        let (call, trouble) = self.begin(verb, items).await;
        let mut state = self.state();
        let mut changed = vec![false; batch.len()];
        let mut answers = Vec::with_capacity(batch.len());
        for (index, (item, changed)) in batch.iter().zip(&mut changed).enumerate() {
            answers.push(match &trouble {
                Some(Trouble::Refuse(fault)) => Err(fault.clone()),
                Some(Trouble::RefuseAfter(count, fault)) if *count <= index => Err(fault.clone()),
                Some(Trouble::TimeOutBefore) => Err(timed_out()),
                Some(Trouble::Lie) => Ok(Done::Applied),
                Some(Trouble::TimeOutAfter) => {
                    *changed = state.apply(item) == Ok(Done::Applied);
                    Err(timed_out())
                }
                Some(Trouble::RefuseAfter(..)) | None => {
                    let answer = state.apply(item);
                    *changed = answer == Ok(Done::Applied);
                    answer
                }
            });
        }
        let answered_well: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        state.record(&call, &changed, &answered_well);
        answers
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        let items = batch.iter().map(|(person, role)| (person.subject, role.clone())).collect();
        let (call, trouble) = self.begin(Verb::Observe, items).await;
        let mut state = self.state();
        let answers: Vec<Result<Presence, Fault>> = call
            .items
            .iter()
            .map(|key| {
                if !state.observable {
                    let message = "this target cannot say who has a role";
                    return Err(Fault::new(Class::Unsupported, "unreadable", message));
                }
                let held = match &trouble {
                    // A target that refuses changes for good can still be read.
                    Some(Trouble::Refuse(fault) | Trouble::RefuseAfter(0, fault))
                        if fault.class != Class::Permanent =>
                    {
                        return Err(fault.clone());
                    }
                    Some(Trouble::TimeOutBefore | Trouble::TimeOutAfter) => {
                        return Err(timed_out());
                    }
                    Some(Trouble::Lie) => !state.roles.contains(key),
                    _ => state.roles.contains(key),
                };
                Ok(if held { Presence::Present } else { Presence::Absent })
            })
            .collect();
        let answered_well: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        state.record(&call, &[], &answered_well);
        answers
    }
    fn can_list_holders(&self) -> bool {
        self.state().observable
    }

    async fn holders(&self, role: &Role, known: &[Person]) -> Result<Holders, Fault> {
        let (_, trouble) = self.begin(Verb::Holders, Vec::new()).await;
        match trouble {
            Some(Trouble::Refuse(fault) | Trouble::RefuseAfter(0, fault))
                if fault.class != Class::Permanent =>
            {
                return Err(fault);
            }
            // It broke off in the middle: what was read is not all.
            Some(Trouble::RefuseAfter(_, fault)) => return Err(fault),
            Some(Trouble::TimeOutBefore | Trouble::TimeOutAfter) => return Err(timed_out()),
            // A target that lies hides who is there.
            Some(Trouble::Lie) => return Ok(Holders { list: Vec::new(), calls: 1 }),
            Some(Trouble::Refuse(_)) | None => {}
        }
        let state = self.state();
        if let Some(fault) = state.resource_troubles.get(&role.resource) {
            return Err(fault.clone());
        }
        state.knows(role)?;
        let held = state.roles.iter().filter(|(_, held)| held == role).map(|(subject, _)| *subject);
        let list: Vec<Holder> = held
            .take(MAX_HOLDERS + 1)
            .map(|subject| Holder {
                id: subject.to_string(),
                name: state.accounts.get(&subject).cloned(),
                subject: known.iter().map(|person| person.subject).find(|one| *one == subject),
                marks: vec![subject.to_string()],
            })
            .collect();
        if MAX_HOLDERS < list.len() {
            return Err(too_many(&role.role));
        }
        Ok(Holders { list, calls: 1 })
    }

    fn marks(&self, person: &Person) -> Vec<String> {
        vec![person.subject.to_string()]
    }
}

/// The settings of a chaos target.
pub const SETTINGS: &[Field] = &[
    Field::new(
        "name",
        "Name of the shared truth",
        "targets of one name share one truth; default the target's id",
    ),
    Field::new(
        "mode",
        "How it behaves",
        "`ok`, `refuse`, `transient`, `targetFault`, `throttle`, `timeoutBefore`, \
                  `timeoutAfter` or `lie`; without it the target stays as it was",
    )
    .form(Form::OneOf(&[
        "ok",
        "refuse",
        "transient",
        "targetFault",
        "throttle",
        "timeoutBefore",
        "timeoutAfter",
        "lie",
    ])),
    Field::new("code", "Code of the fault", "the code of the fault; default fits the mode"),
    Field::new("message", "What it says", "what the target says when it refuses"),
    Field::new(
        "retryAfterSeconds",
        "Seconds to wait when throttled",
        "what `throttle` asks to wait; default 30",
    ),
    Field::new(
        "latencyMs",
        "Milliseconds that a call takes",
        "how long every call takes, 0 to 60000; default 0",
    ),
    Field::new(
        "resources",
        "Resources that exist",
        "ids of the resources that exist; none means every id",
    )
    .form(Form::List),
    Field::new(
        "refuseResources",
        "Resources that are refused",
        "ids of the resources that alone are refused",
    )
    .form(Form::List),
    Field::new(
        "batchSize",
        "People in one call",
        "how many people one call takes, 1 to 1000; default 100",
    ),
    Field::new(
        "observable",
        "Roles can be read back",
        "whether roles can be read back; default `true`",
    )
    .form(Form::Flag),
    Field::new(
        "createAccounts",
        "Make missing accounts",
        "whether grants make accounts; default `true`",
    )
    .form(Form::Flag),
];

#[derive(Clone, Copy)]
enum Mode {
    Well,
    Refused(Class, &'static str),
    TimeOutBefore,
    TimeOutAfter,
    Lie,
}

/// The behaviour that settings describe.
pub(crate) struct Behaviour {
    mode: Option<Mode>,
    fault: (Option<String>, String, Duration),
    latency: Duration,
    resources: Vec<String>,
    refused: Vec<String>,
    batch_size: usize,
    observable: bool,
    creates_accounts: bool,
}

pub(crate) fn check(settings: &Reader<'_>) -> Result<Behaviour, Problem> {
    let modes: &[(&str, Mode)] = &[
        ("ok", Mode::Well),
        ("refuse", Mode::Refused(Class::Permanent, "refused")),
        ("transient", Mode::Refused(Class::Transient, "http-500")),
        ("targetFault", Mode::Refused(Class::Target, "unreachable")),
        ("throttle", Mode::Refused(Class::Throttled, "http-429")),
        ("timeoutBefore", Mode::TimeOutBefore),
        ("timeoutAfter", Mode::TimeOutAfter),
        ("lie", Mode::Lie),
    ];
    let mode = match settings.has("mode") {
        true => Some(settings.choice("mode", None, modes)?),
        false => None,
    };
    let resources = settings.texts("resources")?;
    let refused = settings.texts("refuseResources")?;
    if let Some(stray) = refused.iter().find(|id| !resources.is_empty() && !resources.contains(id))
    {
        let sentence = format!("names `{stray}`, which `resources` does not; add it there");
        return Err(problem("refuseResources", sentence));
    }
    settings.text("name")?;
    Ok(Behaviour {
        mode,
        fault: (
            settings.text("code")?.map(str::to_owned),
            settings.text("message")?.unwrap_or("the test target was told to say no").to_owned(),
            Duration::from_secs(settings.number("retryAfterSeconds", 30, 1..=3_600)?),
        ),
        latency: Duration::from_millis(settings.number("latencyMs", 0, 0..=60_000)?),
        resources,
        refused,
        batch_size: usize::try_from(settings.number("batchSize", BATCH as u64, 1..=1_000)?)
            .unwrap_or(BATCH),
        observable: settings.flag("observable", true)?,
        creates_accounts: settings.flag("createAccounts", true)?,
    })
}

/// Opens the target of that name and makes it behave as its settings say.
pub(crate) fn open(
    settings: &Settings,
    reader: &Reader<'_>,
    _: Arc<Policy>,
) -> Result<Arc<dyn Connector>, Problem> {
    let behaviour = check(reader)?;
    let name = reader.text("name")?.map_or_else(|| settings.target.to_string(), str::to_owned);
    let chaos = Chaos::named(&name);
    let given = |name: &str| !matches!(settings.settings.get(name), None | Some(Value::Null));
    let mut state = chaos.state();
    let (code, message, retry_after) = behaviour.fault;
    let fault = |class: Class, default: &str| {
        let wait = (class == Class::Throttled).then_some(retry_after);
        Fault::new(class, code.as_deref().unwrap_or(default), message.as_str()).after(wait)
    };
    // Settings that are not given leave the target as a test made it.
    if let Some(mode) = behaviour.mode {
        state.trouble = match mode {
            Mode::Well => None,
            Mode::Refused(class, code) => Some(Trouble::Refuse(fault(class, code))),
            Mode::TimeOutBefore => Some(Trouble::TimeOutBefore),
            Mode::TimeOutAfter => Some(Trouble::TimeOutAfter),
            Mode::Lie => Some(Trouble::Lie),
        };
        state.resource_troubles.clear();
    }
    if given("refuseResources") {
        state.resource_troubles = behaviour
            .refused
            .iter()
            .map(|id| (id.clone(), fault(Class::Permanent, "refused")))
            .collect();
    }
    if given("latencyMs") {
        state.latency = behaviour.latency;
    }
    if given("resources") {
        state.resources = behaviour.resources.iter().map(|id| made_up(id, id)).collect();
    }
    if given("batchSize") {
        state.batch_size = behaviour.batch_size;
    }
    if given("observable") {
        state.observable = behaviour.observable;
    }
    if given("createAccounts") {
        state.creates_accounts = behaviour.creates_accounts;
    }
    drop(state);
    Ok(Arc::new(chaos))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use accede_domain::id::{Id, TargetId};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::kinds;

    fn settings(number: u128, settings: Value) -> Settings {
        let target = TargetId::from_uuid(Uuid::from_u128(number));
        Settings { target, settings, secrets: BTreeMap::new(), clock: crate::Clock::default() }
    }

    fn item(number: u128, wanted: Wanted) -> Item {
        let person = Person {
            subject: SubjectId::from_uuid(Uuid::from_u128(number)),
            object_id: Uuid::from_u128(number + 1_000).to_string(),
            user_principal_name: format!("p{number}@harbourline.example"),
            display_name: format!("Person {number}"),
            given_name: None,
            surname: None,
            mail: None,
        };
        let role =
            Role { resource: "crew".into(), role: "Member_crew".into(), scope: "crew".into() };
        Item { person, role, wanted, order: crate::Order::default() }
    }

    #[tokio::test]
    async fn changed_settings_change_how_the_same_target_behaves() {
        let open = |value| kinds::open("chaos", settings(1, value), Arc::default()).unwrap();
        let batch = [item(1, Wanted::Granted)];
        let refusing = open(json!({"mode": "refuse", "message": "no seats left"}));
        let fault = refusing.ensure(&batch).await.remove(0).unwrap_err();
        assert_eq!((fault.class, fault.message.as_str()), (Class::Permanent, "no seats left"));

        let healed = open(json!({"mode": "ok"}));
        assert_eq!(healed.ensure(&batch).await, [Ok(Done::Applied)]);

        let truth = Chaos::named(&settings(1, json!({})).target.to_string());
        assert!(truth.has(batch[0].person.subject, &batch[0].role));
        assert_eq!(truth.count(batch[0].person.subject, &batch[0].role, Verb::Grant), 2);
    }

    #[tokio::test]
    async fn settings_without_a_mode_leave_a_test_in_charge() {
        let chaos = Chaos::named("left-alone");
        chaos.break_down("dns", "gone");
        let opened =
            kinds::open("chaos", settings(2, json!({"name": "left-alone"})), Arc::default());
        assert_eq!(opened.unwrap().check().await.unwrap_err().class, Class::Target);
    }

    #[tokio::test]
    async fn a_plan_chooses_what_goes_wrong_with_which_call() {
        let chaos = Chaos::new();
        chaos.plan(|call| (call.number == 1).then_some(Trouble::TimeOutAfter));
        let batch = [item(1, Wanted::Granted)];
        assert_eq!(chaos.ensure(&batch).await, [Ok(Done::Applied)]);
        let revoke = [item(1, Wanted::Revoked)];
        assert_eq!(chaos.ensure(&revoke).await[0].as_ref().unwrap_err().class, Class::Unknown);
        assert_eq!(chaos.ensure(&revoke).await, [Ok(Done::AlreadyInState)]);
        let changes: Vec<bool> = chaos.log().iter().map(|logged| logged.changed).collect();
        assert_eq!(changes, [true, true, false]);
    }

    #[tokio::test]
    async fn a_lie_is_told_and_nothing_happens() {
        let chaos = Chaos::new();
        chaos.trouble(Trouble::Lie);
        let batch = [item(1, Wanted::Granted)];
        assert_eq!(chaos.ensure(&batch).await, [Ok(Done::Applied)]);
        assert!(chaos.truth().is_empty());
    }

    #[test]
    fn validation_names_the_field_and_changes_nothing() {
        let chaos = Chaos::named(&settings(3, json!({})).target.to_string());
        let validate = |value| kinds::validate("chaos", &settings(3, value), &Policy::default());
        assert_eq!(validate(json!({"mode": "refuse"})), Ok(()));
        assert_eq!(chaos.state().trouble, None);
        let problem = validate(json!({"mode": "refuze"})).unwrap_err();
        assert_eq!(problem.path, "settings.mode");
        let problem = validate(json!({"modus": "refuse"})).unwrap_err();
        assert_eq!(problem.to_string(), "`settings.modus` is not known; did you mean `mode`?");
    }
}
