//! The groups of the built-in directory, as its connector sees them.

use accede_connectors::Person;
use accede_connectors::directory::{Change, Group, Groups, Membership};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{GroupId, UserId};
use accede_store::groups::{self, Tie};
use accede_store::{Error, Store, users};
use async_trait::async_trait;

/// The groups in the store.
#[derive(Debug, Clone)]
pub struct DirectoryGroups {
    store: Store,
}

impl DirectoryGroups {
    /// The groups of this store.
    pub fn new(store: Store) -> DirectoryGroups {
        DirectoryGroups { store }
    }
}

#[async_trait]
impl Groups for DirectoryGroups {
    async fn list(&self, search: Option<&str>, limit: usize) -> Result<Vec<Group>, Fault> {
        let exact = search.and_then(|text| text.trim().parse::<GroupId>().ok());
        let found = self
            .store
            .read(async |tx| match exact {
                Some(id) => Ok(groups::get(tx, id).await?.into_iter().collect()),
                None => groups::search(tx, search, limit).await,
            })
            .await
            .map_err(fault)?;
        Ok(found.into_iter().map(shown).collect())
    }

    async fn find(&self, group: &str) -> Result<Option<Group>, Fault> {
        let Ok(id) = group.parse::<GroupId>() else { return Ok(None) };
        let found = self.store.read(async |tx| groups::get(tx, id).await).await.map_err(fault)?;
        Ok(found.map(shown))
    }

    async fn add(
        &self,
        group: &str,
        membership: Membership,
        people: &[Person],
    ) -> Result<Option<Vec<Change>>, Fault> {
        let Ok(id) = group.parse::<GroupId>() else { return Ok(None) };
        self.store
            .write(async |tx| {
                if groups::get(tx, id).await?.is_none() {
                    return Ok(None);
                }
                let mut changes = Vec::with_capacity(people.len());
                for person in people {
                    let user = match person.object_id.parse::<UserId>() {
                        Ok(user) => users::get(tx, user).await?,
                        Err(_) => None,
                    };
                    changes.push(match user {
                        None => Change::NoSuchPerson,
                        Some(user) => match groups::add(tx, id, tie(membership), &[user.id]).await?
                        {
                            0 => Change::AlreadySo,
                            _ => Change::Changed,
                        },
                    });
                }
                Ok::<_, Error>(Some(changes))
            })
            .await
            .map_err(fault)
    }

    async fn remove(
        &self,
        group: &str,
        membership: Membership,
        people: &[Person],
    ) -> Result<Option<Vec<Change>>, Fault> {
        let Ok(id) = group.parse::<GroupId>() else { return Ok(None) };
        self.store
            .write(async |tx| {
                if groups::get(tx, id).await?.is_none() {
                    return Ok(None);
                }
                let mut changes = Vec::with_capacity(people.len());
                for person in people {
                    let removed = match person.object_id.parse::<UserId>() {
                        Ok(user) => groups::remove(tx, id, tie(membership), user).await?,
                        Err(_) => false,
                    };
                    changes.push(if removed { Change::Changed } else { Change::AlreadySo });
                }
                Ok::<_, Error>(Some(changes))
            })
            .await
            .map_err(fault)
    }

    async fn holds(
        &self,
        group: &str,
        membership: Membership,
        people: &[Person],
    ) -> Result<Option<Vec<bool>>, Fault> {
        let Ok(id) = group.parse::<GroupId>() else { return Ok(None) };
        self.store
            .read(async |tx| {
                if groups::get(tx, id).await?.is_none() {
                    return Ok(None);
                }
                let mut held = Vec::with_capacity(people.len());
                for person in people {
                    held.push(match person.object_id.parse::<UserId>() {
                        Ok(user) => groups::has(tx, id, tie(membership), user).await?,
                        Err(_) => false,
                    });
                }
                Ok::<_, Error>(Some(held))
            })
            .await
            .map_err(fault)
    }

    async fn everybody(
        &self,
        group: &str,
        membership: Membership,
        limit: usize,
    ) -> Result<Option<Vec<(String, String)>>, Fault> {
        let Ok(id) = group.parse::<GroupId>() else { return Ok(None) };
        self.store
            .read(async |tx| {
                if groups::get(tx, id).await?.is_none() {
                    return Ok(None);
                }
                let all = groups::everybody(tx, id, tie(membership), limit).await?;
                let named = all.into_iter().map(|(user, name)| (user.to_string(), name));
                Ok::<_, Error>(Some(named.collect()))
            })
            .await
            .map_err(fault)
    }
}

const fn tie(membership: Membership) -> Tie {
    match membership {
        Membership::Member => Tie::Member,
        Membership::Owner => Tie::Owner,
    }
}

fn shown(group: groups::Group) -> Group {
    Group {
        id: group.id.to_string(),
        display_name: group.display_name,
        description: group.description,
    }
}

/// Nothing was changed when the store answers with an error, so trying again is safe.
fn fault(error: Error) -> Fault {
    Fault::new(Class::Transient, "database", error.to_string())
}
