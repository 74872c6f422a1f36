//! The built-in directory as a target: its groups, with members and owners.
//!
//! The groups live in the store, which this crate cannot see; the app implements [`Groups`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use async_trait::async_trait;

use crate::faults::{gone, too_many};
pub use crate::roles::Membership;
use crate::{
    Connector, Done, FoundResource, Health, Holder, Holders, Item, MAX_HOLDERS, Person, Presence,
    Role, Wanted,
};

/// A group of the built-in directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its object id.
    pub id: String,
    /// Name for people.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
}

/// What became of one person of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The directory was changed.
    Changed,
    /// It was already so.
    AlreadySo,
    /// There is no such user in the directory.
    NoSuchPerson,
    /// The directory refuses this person in this group.
    Refused(Fault),
}

/// The groups of the built-in directory.
///
/// People are told apart by their object id. `None` means that the group does not exist.
#[async_trait]
pub trait Groups: Send + Sync {
    /// Groups whose name or id contains the text (whatever its case), at most `limit`.
    async fn list(&self, search: Option<&str>, limit: usize) -> Result<Vec<Group>, Fault>;

    /// One group.
    async fn find(&self, group: &str) -> Result<Option<Group>, Fault>;

    /// Puts people into a group; one answer each, in order.
    async fn add(
        &self,
        group: &str,
        membership: Membership,
        people: &[Person],
    ) -> Result<Option<Vec<Change>>, Fault>;

    /// Takes people out of a group; one answer each, in order.
    async fn remove(
        &self,
        group: &str,
        membership: Membership,
        people: &[Person],
    ) -> Result<Option<Vec<Change>>, Fault>;

    /// Which of these people are in a group; one answer each, in order.
    async fn holds(
        &self,
        group: &str,
        membership: Membership,
        people: &[Person],
    ) -> Result<Option<Vec<bool>>, Fault>;

    /// Everybody in a group, as object id and name, at most `limit`.
    async fn everybody(
        &self,
        group: &str,
        membership: Membership,
        limit: usize,
    ) -> Result<Option<Vec<(String, String)>>, Fault>;
}

/// How many people one change of a group takes.
const BATCH: usize = 100;

/// The built-in directory.
#[derive(Clone)]
pub struct Directory {
    /// Its groups.
    pub groups: Arc<dyn Groups>,
}

fn found(group: Group) -> FoundResource {
    let roles = vec![Membership::Member.of(&group.id), Membership::Owner.of(&group.id)];
    FoundResource {
        origin_id: group.id,
        display_name: group.display_name,
        description: group.description,
        roles,
    }
}

#[async_trait]
impl Connector for Directory {
    fn batch_size(&self) -> usize {
        BATCH
    }

    fn can_observe(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<Health, Fault> {
        let groups = self.groups.list(None, 1).await?;
        let summary = match groups.is_empty() {
            true => "the built-in directory answers; it has no groups yet",
            false => "the built-in directory answers",
        };
        Ok(Health { summary: summary.to_owned(), took: Duration::ZERO })
    }

    async fn discover(
        &self,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        Ok(self.groups.list(search, limit).await?.into_iter().take(limit).map(found).collect())
    }

    async fn find(&self, origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        Ok(self.groups.find(origin_id).await?.map(found))
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        let Some(first) = batch.first() else { return Vec::new() };
        let people: Vec<Person> = batch.iter().map(|item| item.person.clone()).collect();
        let group = &first.role.resource;
        let answer = match (Membership::parse(&first.role), first.wanted) {
            (Err(fault), _) => Err(fault),
            (Ok(kind), Wanted::Granted) => self.groups.add(group, kind, &people).await,
            (Ok(kind), Wanted::Revoked) => self.groups.remove(group, kind, &people).await,
        };
        let answers = match (answer, first.wanted) {
            (Err(fault), _) => return vec![Err(fault); batch.len()],
            // A group that is gone has nobody in it.
            (Ok(None), Wanted::Revoked) => return vec![Ok(Done::AlreadyInState); batch.len()],
            (Ok(None), Wanted::Granted) => return vec![Err(gone("group", group)); batch.len()],
            (Ok(Some(answers)), _) => answers,
        };
        padded(
            batch.len(),
            answers.into_iter().zip(batch).map(|(change, item)| match (change, item.wanted) {
                (Change::Changed, _) => Ok(Done::Applied),
                (Change::AlreadySo, _) | (Change::NoSuchPerson, Wanted::Revoked) => {
                    Ok(Done::AlreadyInState)
                }
                (Change::NoSuchPerson, Wanted::Granted) => Err(unknown_person(&item.person)),
                (Change::Refused(fault), _) => Err(fault),
            }),
        )
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        let mut answers = Vec::with_capacity(batch.len());
        for run in batch.chunk_by(|(_, one), (_, other)| one == other) {
            let Some((_, role)) = run.first() else { continue };
            let people: Vec<Person> = run.iter().map(|(person, _)| person.clone()).collect();
            let held = match Membership::parse(role) {
                Ok(kind) => self.groups.holds(&role.resource, kind, &people).await,
                Err(fault) => Err(fault),
            };
            match held {
                Err(fault) => answers.extend(vec![Err(fault); run.len()]),
                Ok(None) => answers.extend(vec![Ok(Presence::Absent); run.len()]),
                Ok(Some(held)) => answers.extend(padded(
                    run.len(),
                    held.into_iter().map(|held| match held {
                        true => Ok(Presence::Present),
                        false => Ok(Presence::Absent),
                    }),
                )),
            }
        }
        answers
    }

    fn can_list_holders(&self) -> bool {
        true
    }

    async fn holders(&self, role: &Role, known: &[Person]) -> Result<Holders, Fault> {
        let kind = Membership::parse(role)?;
        let all = self.groups.everybody(&role.resource, kind, MAX_HOLDERS + 1).await?;
        // A group that is gone has nobody in it.
        let all = all.unwrap_or_default();
        if MAX_HOLDERS < all.len() {
            return Err(too_many(&role.role));
        }
        let known: HashMap<&str, SubjectId> =
            known.iter().map(|person| (person.object_id.as_str(), person.subject)).collect();
        let list = all.into_iter().map(|(id, name)| Holder {
            subject: known.get(id.as_str()).copied(),
            marks: vec![id.clone()],
            name: Some(name),
            id,
        });
        Ok(Holders { list: list.collect(), calls: 1 })
    }

    fn marks(&self, person: &Person) -> Vec<String> {
        vec![person.object_id.clone()]
    }
}

/// As many answers as were asked for; a missing one is a fault, never a guess.
fn padded<T>(
    count: usize,
    answers: impl Iterator<Item = Result<T, Fault>>,
) -> Vec<Result<T, Fault>> {
    let missing = || {
        let message = "the directory answered for fewer people than were asked about";
        Err(Fault::new(Class::Unknown, "short-answer", message))
    };
    answers.chain(std::iter::repeat_with(missing)).take(count).collect()
}

fn unknown_person(person: &Person) -> Fault {
    let message = format!(
        "the directory has no user `{}`; import the person again",
        person.user_principal_name
    );
    Fault::new(Class::Permanent, "account-missing", message)
}
