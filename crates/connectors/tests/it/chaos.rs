//! The test target itself keeps the contract.

use std::sync::Arc;
use std::time::Duration;

use accede_connectors::chaos::{Chaos, Trouble};
use accede_connectors::{Connector, Item, Order, Person, Role, Wanted};
use accede_domain::fault::{Class, Fault};
use async_trait::async_trait;

use crate::contract::{self, Bench, Wrong, person};

struct Target {
    healthy: Chaos,
    /// Another handle to the same target, for what is wrong only on its way.
    name: &'static str,
}

#[async_trait]
impl Bench for Target {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(self.healthy.clone())
    }

    fn wrong(&self, what: Wrong) -> Option<Arc<dyn Connector>> {
        let broken = Chaos::new();
        broken.set_creates_accounts(false);
        match what {
            Wrong::Credentials => broken.break_down("http-401", "the token is not accepted"),
            Wrong::Place => broken.break_down("base-url", "nothing is found here"),
            Wrong::Unreachable => broken.fail_for_now("unreachable", "nobody listens"),
            Wrong::Line => return Some(Arc::new(Chaos::named(self.name))),
        }
        Some(Arc::new(broken))
    }

    async fn add_account(&self, person: &Person) {
        self.healthy.add_account(person.subject);
    }

    async fn add_group(&self, name: &str) -> Role {
        self.healthy.add_resource(name, name);
        Role { resource: name.into(), role: format!("Member_{name}"), scope: name.into() }
    }

    async fn remove_group(&self, role: &Role) {
        self.healthy.remove_resource(&role.resource);
    }

    async fn put_in(&self, person: &Person, role: &Role) {
        self.healthy.grant_outside(person.subject, role);
    }

    async fn truth(&self, role: &Role, people: &[Person]) -> (Vec<bool>, usize) {
        let holds: Vec<bool> = people.iter().map(|p| self.healthy.has(p.subject, role)).collect();
        let all = self.healthy.truth().iter().filter(|(_, held)| held == role).count();
        let ours = holds.iter().filter(|held| **held).count();
        (holds, all - ours)
    }

    fn lose_answers(&self, lose: bool) {
        match lose {
            true => self.healthy.plan(|call| {
                let changes = !matches!(call.verb, accede_connectors::chaos::Verb::Observe);
                changes.then_some(Trouble::TimeOutAfter)
            }),
            false => self.healthy.heal(),
        }
    }
}

#[tokio::test]
async fn chaos_keeps_the_contract() {
    let healthy = Chaos::named("contract");
    healthy.set_creates_accounts(false);
    contract::holds(&Target { healthy, name: "contract" }).await;
}

#[tokio::test]
async fn each_switch_of_chaos_does_what_it_says() {
    let chaos = Chaos::new();
    let role = Role { resource: "crew".into(), role: "Member_crew".into(), scope: "crew".into() };
    let items: Vec<Item> = [1, 2, 3]
        .map(|n| Item {
            person: person(n),
            role: role.clone(),
            wanted: Wanted::Granted,
            order: Order::default(),
        })
        .to_vec();
    let classes = async || -> Vec<Option<Class>> {
        chaos.ensure(&items).await.into_iter().map(|a| a.err().map(|f| f.class)).collect()
    };

    chaos.throttle(Duration::from_secs(7));
    assert_eq!(classes().await, [Some(Class::Throttled); 3]);
    let waits = chaos.ensure(&items).await.remove(0).unwrap_err().retry_after;
    assert_eq!(waits, Some(Duration::from_secs(7)));
    chaos.trouble(Trouble::TimeOutBefore);
    assert_eq!(classes().await, [Some(Class::Unknown); 3]);
    assert!(chaos.truth().is_empty());
    chaos.trouble(Trouble::RefuseAfter(1, Fault::new(Class::Transient, "http-500", "oh")));
    assert_eq!(classes().await, [None, Some(Class::Transient), Some(Class::Transient)]);
    assert_eq!(chaos.truth().len(), 1);
    chaos.heal();
    chaos.refuse_person(items[1].person.subject, Fault::new(Class::Permanent, "seat", "no seat"));
    assert_eq!(classes().await, [None, Some(Class::Permanent), None]);
    chaos.heal();
    chaos.refuse_resource("crew", Fault::new(Class::Permanent, "closed", "closed"));
    assert_eq!(classes().await, [Some(Class::Permanent); 3]);
    chaos.heal();
    chaos.set_observable(false);
    assert!(!chaos.can_observe());
    let seen = chaos.observe(&[(person(1), role.clone())]).await.remove(0);
    assert_eq!(seen.unwrap_err().class, Class::Unsupported);
    assert_eq!(chaos.accounts_made(), 2);
}

#[tokio::test]
async fn a_slow_target_waits_by_the_sleeper_it_was_given() {
    let chaos = Chaos::new();
    let slept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&slept);
    chaos.set_sleeper(Arc::new(move |wait| {
        log.lock().unwrap().push(wait);
        Box::pin(std::future::ready(()))
    }));
    chaos.slow(Duration::from_secs(3_600));
    chaos.check().await.unwrap();
    assert_eq!(*slept.lock().unwrap(), [Duration::from_secs(3_600)]);
}
