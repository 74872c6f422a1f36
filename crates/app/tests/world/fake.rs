//! A target system that does as it is told, until a test makes it misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use accede_connectors::{
    Connector, Done, FoundResource, Health, Holder, Holders, Item, Person, Presence, Role, Wanted,
};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{Id, TargetId};
use async_trait::async_trait;

use super::Somebody;

/// How a target misbehaves.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It answers with this fault and does nothing.
    Refuse(Fault),
    /// It can be read, and refuses every change for good.
    ReadOnly(Fault),
    /// It does what was asked, and the answer is lost.
    Lose,
    /// It says that it did it, and did nothing.
    Lie,
    /// It never answers: the call hangs until its deadline.
    Hang,
    /// It takes the work and leaves it for later, as `202` says.
    Later,
    /// It breaks the connector down.
    Break,
    /// Like `Break`, when it is read too.
    BreakReading,
}

impl Trouble {
    pub fn permanent(code: &str) -> Trouble {
        Trouble::Refuse(Fault::new(Class::Permanent, code, format!("refused: {code}")))
    }

    pub fn read_only(code: &str) -> Trouble {
        Trouble::ReadOnly(Fault::new(Class::Permanent, code, format!("refused: {code}")))
    }

    pub fn transient(code: &str) -> Trouble {
        Trouble::Refuse(Fault::new(Class::Transient, code, format!("try later: {code}")))
    }

    pub fn outage() -> Trouble {
        Trouble::Refuse(Fault::new(Class::Target, "dns", "the target cannot be reached"))
    }

    pub fn target(code: &str) -> Trouble {
        Trouble::Refuse(Fault::new(Class::Target, code, format!("not let in: {code}")))
    }

    pub fn throttled(seconds: u64) -> Trouble {
        let fault = Fault::new(Class::Throttled, "http-429", "slow down");
        Trouble::Refuse(fault.after(Some(std::time::Duration::from_secs(seconds))))
    }

    pub fn timeout() -> Trouble {
        Trouble::Refuse(Fault::new(Class::Unknown, "timeout", "no answer after the call was sent"))
    }
}

#[derive(Default)]
struct Truth {
    members: BTreeSet<(String, String)>,
    /// Misbehaviour towards one resource (or `*`), for so many calls.
    troubles: BTreeMap<String, (Trouble, u32)>,
    calls: Vec<String>,
    checks: usize,
    lists: Vec<String>,
    /// How many calls listing the holders of a role takes.
    pages: usize,
}

/// The target: who is a member of what, what was called.
pub struct Fake {
    name: String,
    id: Mutex<TargetId>,
    can_observe: bool,
    makes_accounts: bool,
    truth: Mutex<Truth>,
}

impl Fake {
    pub fn new(name: &str) -> Fake {
        Fake {
            name: name.to_owned(),
            id: Mutex::new(TargetId::from_uuid(uuid::Uuid::nil())),
            can_observe: true,
            makes_accounts: false,
            truth: Mutex::default(),
        }
    }

    /// A target that cannot be read.
    pub fn blind(name: &str) -> Fake {
        Fake { can_observe: false, ..Fake::new(name) }
    }

    /// A target in which a grant may first make an account.
    pub fn with_accounts(name: &str) -> Fake {
        Fake { makes_accounts: true, ..Fake::new(name) }
    }

    pub fn set_id(&self, id: TargetId) {
        *self.id.lock().unwrap() = id;
    }

    pub fn id(&self) -> TargetId {
        *self.id.lock().unwrap()
    }

    /// It misbehaves towards a resource (`*`: all) until it is healed.
    pub fn trouble(&self, resource: &str, trouble: Trouble) {
        self.trouble_times(resource, trouble, u32::MAX);
    }

    /// It misbehaves towards a resource in the next so many calls.
    pub fn trouble_times(&self, resource: &str, trouble: Trouble, times: u32) {
        self.truth.lock().unwrap().troubles.insert(resource.to_owned(), (trouble, times));
    }

    /// Somebody whom only the target knows changes there.
    pub fn put_stranger(&self, name: &str, resource: &str, present: bool) {
        let key = (name.to_owned(), resource.to_owned());
        let members = &mut self.truth.lock().unwrap().members;
        if present {
            members.insert(key);
        } else {
            members.remove(&key);
        }
    }

    pub fn heal(&self) {
        self.truth.lock().unwrap().troubles.clear();
    }

    pub fn has(&self, person: &Somebody, resource: &str) -> bool {
        let key = (person.name.clone(), resource.to_owned());
        self.truth.lock().unwrap().members.contains(&key)
    }

    /// Somebody changes the target behind our back.
    pub fn put(&self, person: &Somebody, resource: &str, present: bool) {
        let key = (person.name.clone(), resource.to_owned());
        let members = &mut self.truth.lock().unwrap().members;
        if present {
            members.insert(key);
        } else {
            members.remove(&key);
        }
    }

    /// The calls since the last look: `grant uma payroll`, `observe uma payroll`.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.truth.lock().unwrap().calls)
    }

    /// How often it was checked since the last look.
    pub fn checks(&self) -> usize {
        std::mem::take(&mut self.truth.lock().unwrap().checks)
    }

    /// Listing the holders of a role takes so many calls from now on.
    pub fn set_pages(&self, pages: usize) {
        self.truth.lock().unwrap().pages = pages;
    }

    /// Whose holders were listed since the last look.
    pub fn lists(&self) -> Vec<String> {
        std::mem::take(&mut self.truth.lock().unwrap().lists)
    }

    fn note(&self, verb: &str, person: &Person, role: &Role) -> Option<Trouble> {
        let mut truth = self.truth.lock().unwrap();
        let short = person.user_principal_name.split('@').next().unwrap_or_default().to_owned();
        truth.calls.push(format!("{verb} {short} {}", role.resource));
        for key in [role.resource.as_str(), "*"] {
            if let Some((trouble, times)) = truth.troubles.get_mut(key)
                && 0 < *times
            {
                *times -= 1;
                return Some(trouble.clone());
            }
        }
        None
    }

    fn apply(&self, item: &Item) -> Done {
        let key = (item.person.user_principal_name.clone(), item.role.resource.clone());
        let members = &mut self.truth.lock().unwrap().members;
        let changed = match item.wanted {
            Wanted::Granted => members.insert(key),
            Wanted::Revoked => members.remove(&key),
        };
        if changed { Done::Applied } else { Done::AlreadyInState }
    }
}

#[async_trait]
impl Connector for Fake {
    fn batch_size(&self) -> usize {
        4
    }

    fn can_observe(&self) -> bool {
        self.can_observe
    }

    fn makes_accounts(&self) -> bool {
        self.makes_accounts
    }

    async fn check(&self) -> Result<Health, Fault> {
        let mut truth = self.truth.lock().unwrap();
        truth.checks += 1;
        if let Some((Trouble::Refuse(fault), times)) = truth.troubles.get("*")
            && 0 < *times
            && fault.class == Class::Target
        {
            return Err(fault.clone());
        }
        Ok(Health { summary: self.name.clone(), took: std::time::Duration::ZERO })
    }

    async fn discover(
        &self,
        _search: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        Ok(Vec::new())
    }

    async fn find(&self, _origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        Ok(None)
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        let mut answers = Vec::with_capacity(batch.len());
        for item in batch {
            let verb = match item.wanted {
                Wanted::Granted => "grant",
                Wanted::Revoked => "revoke",
            };
            answers.push(match self.note(verb, &item.person, &item.role) {
                None => Ok(self.apply(item)),
                Some(Trouble::Refuse(fault) | Trouble::ReadOnly(fault)) => Err(fault),
                Some(Trouble::Lie) => Ok(Done::Applied),
                Some(Trouble::Later) => Ok(Done::later()),
                Some(Trouble::Lose) => {
                    self.apply(item);
                    Err(Fault::new(Class::Unknown, "reset", "the connection was reset"))
                }
                Some(Trouble::Hang) => std::future::pending().await,
                // Without the message of a panic, which would only be in the way.
                Some(Trouble::Break | Trouble::BreakReading) => {
                    std::panic::resume_unwind(Box::new("it broke down"))
                }
            });
            tokio::task::yield_now().await;
        }
        answers
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        let mut answers = Vec::with_capacity(batch.len());
        for (person, role) in batch {
            answers.push(match self.note("observe", person, role) {
                Some(Trouble::Refuse(fault)) => Err(fault),
                Some(Trouble::Hang) => std::future::pending().await,
                Some(Trouble::BreakReading) => std::panic::resume_unwind(Box::new("it broke down")),
                None
                | Some(
                    Trouble::Lose
                    | Trouble::Lie
                    | Trouble::Later
                    | Trouble::Break
                    | Trouble::ReadOnly(_),
                ) => {
                    let key = (person.user_principal_name.clone(), role.resource.clone());
                    let present = self.truth.lock().unwrap().members.contains(&key);
                    Ok(if present { Presence::Present } else { Presence::Absent })
                }
            });
        }
        answers
    }
    fn can_list_holders(&self) -> bool {
        self.can_observe
    }

    async fn holders(&self, role: &Role, known: &[Person]) -> Result<Holders, Fault> {
        let trouble = {
            let mut truth = self.truth.lock().unwrap();
            truth.lists.push(role.resource.clone());
            truth.troubles.get(&role.resource).or(truth.troubles.get("*")).cloned()
        };
        match trouble {
            Some((Trouble::Refuse(fault), times)) if 0 < times => return Err(fault),
            // Without the message of a panic, which would only be in the way.
            Some((Trouble::Break | Trouble::BreakReading, _)) => {
                std::panic::resume_unwind(Box::new("it broke down"))
            }
            _ => {}
        }
        let truth = self.truth.lock().unwrap();
        let held = truth.members.iter().filter(|(_, resource)| *resource == role.resource);
        let list = held.map(|(name, _)| Holder {
            id: format!("account of {name}"),
            name: Some(name.to_uppercase()),
            subject: known.iter().find(|one| one.user_principal_name == *name).map(|p| p.subject),
            marks: vec![name.clone()],
        });
        Ok(Holders { list: list.collect(), calls: truth.pages.max(1) })
    }

    fn marks(&self, person: &Person) -> Vec<String> {
        vec![person.user_principal_name.clone()]
    }
}
