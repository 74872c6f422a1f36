//! The built-in directory, over groups in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use accede_connectors::directory::{Change, Directory, Group, Groups, Membership};
use accede_connectors::{Connector, Item, Order, Person, Role, Wanted};
use accede_domain::fault::Fault;
use async_trait::async_trait;

use crate::contract::{self, Bench, Wrong, person};

type Members = BTreeSet<(Membership, String)>;

#[derive(Default)]
struct Memory {
    users: Mutex<BTreeSet<String>>,
    groups: Mutex<BTreeMap<String, (Group, Members)>>,
}

#[async_trait]
impl Groups for Memory {
    async fn list(&self, search: Option<&str>, limit: usize) -> Result<Vec<Group>, Fault> {
        let search = search.unwrap_or_default().to_lowercase();
        let groups = self.groups.lock().unwrap();
        let hits = groups.values().map(|(group, _)| group).filter(|group| {
            group.display_name.to_lowercase().contains(&search)
                || group.id.to_lowercase().contains(&search)
        });
        Ok(hits.take(limit).cloned().collect())
    }

    async fn find(&self, group: &str) -> Result<Option<Group>, Fault> {
        Ok(self.groups.lock().unwrap().get(group).map(|(group, _)| group.clone()))
    }

    async fn add(
        &self,
        group: &str,
        membership: Membership,
        people: &[Person],
    ) -> Result<Option<Vec<Change>>, Fault> {
        let users = self.users.lock().unwrap();
        let mut groups = self.groups.lock().unwrap();
        let Some((_, members)) = groups.get_mut(group) else { return Ok(None) };
        let change = |person: &Person| match users.contains(&person.object_id) {
            false => Change::NoSuchPerson,
            true if members.insert((membership, person.object_id.clone())) => Change::Changed,
            true => Change::AlreadySo,
        };
        Ok(Some(people.iter().map(change).collect()))
    }

    async fn remove(
        &self,
        group: &str,
        membership: Membership,
        people: &[Person],
    ) -> Result<Option<Vec<Change>>, Fault> {
        let mut groups = self.groups.lock().unwrap();
        let Some((_, members)) = groups.get_mut(group) else { return Ok(None) };
        let change = |person: &Person| match members.remove(&(membership, person.object_id.clone()))
        {
            true => Change::Changed,
            false => Change::AlreadySo,
        };
        Ok(Some(people.iter().map(change).collect()))
    }

    async fn holds(
        &self,
        group: &str,
        membership: Membership,
        people: &[Person],
    ) -> Result<Option<Vec<bool>>, Fault> {
        let groups = self.groups.lock().unwrap();
        let Some((_, members)) = groups.get(group) else { return Ok(None) };
        let holds = |person: &Person| members.contains(&(membership, person.object_id.clone()));
        Ok(Some(people.iter().map(holds).collect()))
    }

    async fn everybody(
        &self,
        group: &str,
        membership: Membership,
        limit: usize,
    ) -> Result<Option<Vec<(String, String)>>, Fault> {
        let groups = self.groups.lock().unwrap();
        let Some((_, members)) = groups.get(group) else { return Ok(None) };
        let of_kind = members.iter().filter(|(kind, _)| *kind == membership);
        Ok(Some(of_kind.take(limit).map(|(_, id)| (id.clone(), format!("Named {id}"))).collect()))
    }
}

#[async_trait]
impl Bench for Arc<Memory> {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(Directory { groups: self.clone() })
    }

    fn wrong(&self, _: Wrong) -> Option<Arc<dyn Connector>> {
        None
    }

    async fn add_account(&self, person: &Person) {
        self.users.lock().unwrap().insert(person.object_id.clone());
    }

    async fn add_group(&self, name: &str) -> Role {
        let id = format!("group-{}", self.groups.lock().unwrap().len());
        let group = Group { id: id.clone(), display_name: name.to_owned(), description: None };
        self.groups.lock().unwrap().insert(id.clone(), (group, BTreeSet::new()));
        Role { role: format!("Member_{id}"), scope: id.clone(), resource: id }
    }

    async fn remove_group(&self, role: &Role) {
        self.groups.lock().unwrap().remove(&role.resource);
    }

    async fn put_in(&self, person: &Person, role: &Role) {
        let mut groups = self.groups.lock().unwrap();
        let (_, members) = groups.get_mut(&role.resource).unwrap();
        members.insert((Membership::Member, person.object_id.clone()));
    }

    async fn truth(&self, role: &Role, people: &[Person]) -> (Vec<bool>, usize) {
        let groups = self.groups.lock().unwrap();
        let members = &groups[&role.resource].1;
        let holds: Vec<bool> = people
            .iter()
            .map(|person| members.contains(&(Membership::Member, person.object_id.clone())))
            .collect();
        let ours = holds.iter().filter(|held| **held).count();
        (holds, members.len() - ours)
    }

    fn lose_answers(&self, _: bool) {}
}

#[tokio::test]
async fn the_directory_keeps_the_contract() {
    contract::holds(&Arc::new(Memory::default())).await;
}

#[tokio::test]
async fn owners_and_members_are_two_roles() {
    let memory = Arc::new(Memory::default());
    let (on, member) = (memory.connector(), memory.add_group("crew").await);
    memory.add_account(&person(1)).await;
    let owner = Role { role: format!("Owner_{}", member.resource), ..member.clone() };

    let found = on.find(&member.resource).await.unwrap().unwrap();
    let names: Vec<&str> = found.roles.iter().map(|role| role.origin_id.as_str()).collect();
    assert_eq!(names, [member.role.as_str(), owner.role.as_str()]);
    let item =
        Item { person: person(1), role: owner, wanted: Wanted::Granted, order: Order::default() };
    assert!(on.ensure(&[item]).await[0].is_ok());

    assert_eq!(memory.truth(&member, &[person(1)]).await, (vec![false], 1));
}
