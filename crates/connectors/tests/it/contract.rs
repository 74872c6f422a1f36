//! The facts that hold for every connector. Truth is read from the target itself.

use std::sync::Arc;

use accede_connectors::{Connector, Done, Item, Order, Person, Presence, Role, Wanted};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::{Id, SubjectId};
use async_trait::async_trait;
use uuid::Uuid;

/// A target on the bench, and the ways round our connector.
#[async_trait]
pub trait Bench: Send + Sync {
    /// The connector under test, on a healthy target.
    fn connector(&self) -> Arc<dyn Connector>;
    /// The same target through a connector that something is wrong with; `None` if that cannot
    /// happen to this kind.
    fn wrong(&self, what: Wrong) -> Option<Arc<dyn Connector>>;
    /// Makes an account for a person, directly.
    async fn add_account(&self, person: &Person);
    /// Makes a group without members, directly.
    async fn add_group(&self, name: &str) -> Role;
    /// Deletes a group, directly.
    async fn remove_group(&self, role: &Role);
    /// Puts a person into a group, directly.
    async fn put_in(&self, person: &Person, role: &Role);
    /// Whether these people are in a group, read directly; and how many others are.
    async fn truth(&self, role: &Role, people: &[Person]) -> (Vec<bool>, usize);
    /// From now on, until told otherwise, answers to changes get lost on the way.
    fn lose_answers(&self, lose: bool);
}

/// What can be wrong between us and a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The password or token.
    Credentials,
    /// The address or base: another place, where nothing of ours is.
    Place,
    /// Nobody listens.
    Unreachable,
    /// Answers can be lost, see [`Bench::lose_answers`].
    Line,
}

/// A person who is somebody else for each number.
pub fn person(number: u128) -> Person {
    Person {
        subject: SubjectId::from_uuid(Uuid::from_u128(0xacce_d000_0000 + number)),
        object_id: Uuid::from_u128(0x0b1e_c700_0000 + number).to_string(),
        user_principal_name: format!("p{number}@harbourline.example"),
        display_name: format!("Person {number}"),
        given_name: Some("Person".to_owned()),
        surname: Some(format!("Number {number}")),
        mail: Some(format!("p{number}@harbourline.example")),
    }
}

fn items(people: &[Person], role: &Role, wanted: Wanted) -> Vec<Item> {
    people
        .iter()
        .map(|p| Item { person: p.clone(), role: role.clone(), wanted, order: Order::default() })
        .collect()
}

async fn grant(on: &Arc<dyn Connector>, people: &[Person], role: &Role) -> Vec<Answer> {
    on.ensure(&items(people, role, Wanted::Granted)).await
}

async fn revoke(on: &Arc<dyn Connector>, people: &[Person], role: &Role) -> Vec<Answer> {
    on.ensure(&items(people, role, Wanted::Revoked)).await
}

async fn observe(on: &Arc<dyn Connector>, people: &[Person], role: &Role) -> Vec<Seen> {
    let asked: Vec<_> = people.iter().map(|p| (p.clone(), role.clone())).collect();
    on.observe(&asked).await
}

type Answer = Result<Done, Fault>;
type Seen = Result<Presence, Fault>;

fn class<T: std::fmt::Debug>(answers: &[Result<T, Fault>]) -> Class {
    let fault = answers[0].as_ref().expect_err("a fault was due");
    assert!(!fault.message.contains("secret"), "a secret is in a message: {fault:?}");
    assert!(!fault.code.is_empty() && !fault.message.is_empty(), "{fault:?}");
    fault.class
}

/// Holds a bench to all facts.
pub async fn holds(bench: &dyn Bench) {
    granting_twice_is_granting_once(bench).await;
    revoking_twice_is_revoking_once(bench).await;
    other_peoples_access_is_not_touched(bench).await;
    a_batch_reaches_everybody_in_it(bench).await;
    one_bad_person_does_not_hold_up_the_others(bench).await;
    a_batch_that_is_partly_true_already_becomes_true(bench).await;
    an_unknown_person_is_told_from_a_known_one(bench).await;
    a_role_that_is_gone_is_told_from_one_that_is_there(bench).await;
    everybody_who_holds_a_role_is_listed_whoever_put_them_there(bench).await;
    a_list_of_holders_is_whole_or_a_fault(bench).await;
    a_role_of_another_kind_is_unsupported(bench).await;
    resources_are_found_by_name_and_id(bench).await;
    names_are_names_whatever_they_contain(bench).await;
    wrong_credentials_are_the_targets_fault(bench).await;
    a_wrong_place_is_never_taken_for_a_removal(bench).await;
    an_unreachable_target_is_not_anybodys_refusal(bench).await;
    a_lost_answer_is_unknown_and_can_be_observed(bench).await;
}

async fn granting_twice_is_granting_once(bench: &dyn Bench) {
    let (on, role, people) = (bench.connector(), bench.add_group("twice").await, [person(1)]);
    bench.add_account(&people[0]).await;
    assert_eq!(observe(&on, &people, &role).await, [Ok(Presence::Absent)]);

    assert_eq!(grant(&on, &people, &role).await, [Ok(Done::Applied)]);
    assert_eq!(observe(&on, &people, &role).await, [Ok(Presence::Present)]);
    assert_eq!(grant(&on, &people, &role).await, [Ok(Done::AlreadyInState)]);

    assert_eq!(bench.truth(&role, &people).await, (vec![true], 0));
}

async fn revoking_twice_is_revoking_once(bench: &dyn Bench) {
    let (on, role, people) = (bench.connector(), bench.add_group("back").await, [person(2)]);
    bench.add_account(&people[0]).await;
    assert!(revoke(&on, &people, &role).await[0].is_ok(), "what is absent is as wanted");
    bench.put_in(&people[0], &role).await;

    assert_eq!(revoke(&on, &people, &role).await, [Ok(Done::Applied)]);
    assert_eq!(observe(&on, &people, &role).await, [Ok(Presence::Absent)]);
    assert!(revoke(&on, &people, &role).await[0].is_ok());

    assert_eq!(bench.truth(&role, &people).await, (vec![false], 0));
}

async fn other_peoples_access_is_not_touched(bench: &dyn Bench) {
    let (on, role) = (bench.connector(), bench.add_group("others").await);
    let (ours, other) = ([person(3), person(4)], person(5));
    for one in ours.iter().chain([&other]) {
        bench.add_account(one).await;
    }
    bench.put_in(&other, &role).await;

    assert!(grant(&on, &ours, &role).await.iter().all(Result::is_ok));
    assert_eq!(bench.truth(&role, &ours).await, (vec![true, true], 1));
    assert!(revoke(&on, &ours[..1], &role).await[0].is_ok());
    assert_eq!(bench.truth(&role, &ours).await, (vec![false, true], 1));
    assert!(revoke(&on, &ours, &role).await.iter().all(Result::is_ok));

    assert_eq!(bench.truth(&role, std::slice::from_ref(&other)).await, (vec![true], 0));
    assert_eq!(observe(&on, &[other], &role).await, [Ok(Presence::Present)]);
}

async fn a_batch_reaches_everybody_in_it(bench: &dyn Bench) {
    let (on, role) = (bench.connector(), bench.add_group("many").await);
    let people: Vec<Person> = (100..130).map(person).collect();
    for one in &people {
        bench.add_account(one).await;
    }

    assert_eq!(grant(&on, &people, &role).await, vec![Ok(Done::Applied); people.len()]);
    assert_eq!(bench.truth(&role, &people).await, (vec![true; people.len()], 0));
    assert_eq!(observe(&on, &people, &role).await, vec![Ok(Presence::Present); people.len()]);
    assert_eq!(revoke(&on, &people, &role).await, vec![Ok(Done::Applied); people.len()]);

    assert_eq!(bench.truth(&role, &people).await, (vec![false; people.len()], 0));
    assert_eq!(observe(&on, &people, &role).await, vec![Ok(Presence::Absent); people.len()]);
}

async fn one_bad_person_does_not_hold_up_the_others(bench: &dyn Bench) {
    let (on, role) = (bench.connector(), bench.add_group("bad one").await);
    let people = [person(6), person(7), person(8)];
    bench.add_account(&people[0]).await;
    bench.add_account(&people[2]).await;

    let answers = grant(&on, &people, &role).await;

    assert_eq!((&answers[0], &answers[2]), (&Ok(Done::Applied), &Ok(Done::Applied)));
    assert_eq!(class(&answers[1..2]), Class::Permanent);
    assert_eq!(bench.truth(&role, &people[..1]).await, (vec![true], 1));
}

async fn a_batch_that_is_partly_true_already_becomes_true(bench: &dyn Bench) {
    let (on, role) = (bench.connector(), bench.add_group("partly").await);
    let people: Vec<Person> = (200..206).map(person).collect();
    for one in &people {
        bench.add_account(one).await;
    }
    bench.put_in(&people[1], &role).await;
    bench.put_in(&people[4], &role).await;

    let answers = grant(&on, &people, &role).await;
    let before: Vec<bool> =
        answers.iter().map(|answer| answer == &Ok(Done::AlreadyInState)).collect();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(before, [false, true, false, false, true, false]);
    assert_eq!(bench.truth(&role, &people).await, (vec![true; people.len()], 0));

    assert!(revoke(&on, &people[..2], &role).await.iter().all(Result::is_ok));
    assert!(revoke(&on, &people, &role).await.iter().all(Result::is_ok));
    assert_eq!(bench.truth(&role, &people).await, (vec![false; people.len()], 0));
}

async fn an_unknown_person_is_told_from_a_known_one(bench: &dyn Bench) {
    let (on, role, people) = (bench.connector(), bench.add_group("unknown").await, [person(9)]);

    let answers = grant(&on, &people, &role).await;
    assert_eq!(class(&answers), Class::Permanent);
    assert_eq!(answers[0].as_ref().unwrap_err().code, "account-missing");
    assert_eq!(revoke(&on, &people, &role).await, [Ok(Done::AlreadyInState)]);
    assert_eq!(observe(&on, &people, &role).await, [Ok(Presence::Absent)]);

    bench.add_account(&people[0]).await;
    assert_eq!(grant(&on, &people, &role).await, [Ok(Done::Applied)]);
}

async fn a_role_that_is_gone_is_told_from_one_that_is_there(bench: &dyn Bench) {
    let (on, people) = (bench.connector(), [person(10), person(11)]);
    let (_stays, role) = (bench.add_group("stays").await, bench.add_group("goes").await);
    for one in &people {
        bench.add_account(one).await;
    }
    assert!(grant(&on, &people, &role).await.iter().all(Result::is_ok));
    assert!(on.find(&role.resource).await.unwrap().is_some());
    bench.remove_group(&role).await;

    assert_eq!(on.find(&role.resource).await.unwrap(), None);
    let answers = grant(&on, &people, &role).await;
    assert_eq!(class(&answers), Class::Permanent);
    assert_eq!(answers[1].as_ref().unwrap_err().code, "resource-gone");
    let answers = revoke(&on, &people, &role).await;
    assert_eq!(answers, vec![Ok(Done::AlreadyInState); 2]);
    assert_eq!(observe(&on, &people, &role).await, vec![Ok(Presence::Absent); 2]);
}

async fn everybody_who_holds_a_role_is_listed_whoever_put_them_there(bench: &dyn Bench) {
    let (on, role) = (bench.connector(), bench.add_group("holders").await);
    let people: Vec<Person> = (400..406).map(person).collect();
    for one in &people {
        bench.add_account(one).await;
    }
    assert!(on.can_list_holders());
    // A group that may not be empty holds somebody who is nobody.
    let nobody = on.holders(&role, &people).await.unwrap().list;
    assert!(nobody.len() <= 1 && nobody.iter().all(|one| one.subject.is_none()), "{nobody:?}");
    assert!(grant(&on, &people[..2], &role).await.iter().all(Result::is_ok));
    bench.put_in(&people[2], &role).await;
    bench.put_in(&people[3], &role).await;

    // Two of the four are supposed to be there; of the other two, one is recognized by us.
    let known = [people[0].clone(), people[1].clone(), people[4].clone()];
    let found = on.holders(&role, &known).await.unwrap();

    assert!(0 < found.calls);
    let mut named: Vec<_> = found.list.iter().filter_map(|holder| holder.subject).collect();
    named.sort();
    assert_eq!(named, [people[0].subject, people[1].subject]);
    let strangers: Vec<_> = found
        .list
        .iter()
        .filter(|one| one.subject.is_none() && nobody.iter().all(|other| other.id != one.id))
        .collect();
    assert_eq!(strangers.len(), 2, "{found:?}");
    for stranger in strangers {
        assert!(!stranger.id.is_empty());
        let is = |one: &&Person| on.marks(one).iter().any(|mark| stranger.marks.contains(mark));
        let recognized: Vec<_> = people.iter().filter(is).map(|one| one.subject).collect();
        assert_eq!(recognized.len(), 1, "{stranger:?}");
        assert!([people[2].subject, people[3].subject].contains(&recognized[0]), "{stranger:?}");
    }

    bench.remove_group(&role).await;
    assert_eq!(on.holders(&role, &known).await.unwrap().list, []);
}

async fn a_list_of_holders_is_whole_or_a_fault(bench: &dyn Bench) {
    let (role, people) = (bench.add_group("whole").await, [person(20)]);
    bench.add_account(&people[0]).await;
    bench.put_in(&people[0], &role).await;

    for what in [Wrong::Credentials, Wrong::Place] {
        let Some(on) = bench.wrong(what) else { continue };
        assert_eq!(class(&[on.holders(&role, &people).await]), Class::Target, "{what:?}");
    }
    if let Some(on) = bench.wrong(Wrong::Unreachable) {
        let class = class(&[on.holders(&role, &people).await]);
        assert!(matches!(class, Class::Target | Class::Transient));
    }
}

async fn a_role_of_another_kind_is_unsupported(bench: &dyn Bench) {
    let (on, role, people) = (bench.connector(), bench.add_group("kinds").await, [person(12)]);
    bench.add_account(&people[0]).await;
    let strange = Role { role: format!("Emperor_{}", role.resource), ..role.clone() };

    assert_eq!(class(&grant(&on, &people, &strange).await), Class::Unsupported);
    assert_eq!(class(&revoke(&on, &people, &strange).await), Class::Unsupported);
    assert_eq!(class(&[on.holders(&strange, &people).await]), Class::Unsupported);
    assert_eq!(bench.truth(&role, &people).await, (vec![false], 0));
}

async fn resources_are_found_by_name_and_id(bench: &dyn Bench) {
    let on = bench.connector();
    let wanted = bench.add_group("Harbour Pilots").await;
    bench.add_group("Deck Hands").await;

    let found = on.discover(Some("bour pil"), 10).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].display_name, "Harbour Pilots");
    assert_eq!(found[0].origin_id, wanted.resource);
    assert_eq!(found[0].roles[0].origin_id, wanted.role);
    let same = on.find(&wanted.resource).await.unwrap();
    assert_eq!(same.as_ref(), Some(&found[0]));
    assert_eq!(on.discover(Some(&wanted.resource), 10).await.unwrap(), found);
    assert_eq!(on.discover(None, 1).await.unwrap().len(), 1);
    assert_eq!(on.discover(Some("no such group"), 10).await.unwrap(), []);
    assert!(on.check().await.is_ok());
}

async fn names_are_names_whatever_they_contain(bench: &dyn Bench) {
    let (on, role, known) = (bench.connector(), bench.add_group("names").await, person(13));
    bench.add_account(&known).await;
    let hostile = [
        "\" or userName pr or \"",
        "\" or externalId ne \"x",
        "p13\\",
        "*",
        "*)(uid=*",
        "p13)(|(uid=*",
        "p13,ou=people",
        "\u{0}",
        "p13%22%20or%20",
    ];
    let people: Vec<Person> = hostile
        .iter()
        .zip(300..)
        .map(|(name, number)| Person {
            user_principal_name: format!("{name}@harbourline.example"),
            mail: Some(format!("{name}@harbourline.example")),
            ..person(number)
        })
        .collect();

    for one in &people {
        let one = std::slice::from_ref(one);
        assert!(grant(&on, one, &role).await[0].is_err(), "{one:?}");
        assert_ne!(observe(&on, one, &role).await, [Ok(Presence::Present)]);
        on.discover(Some(&one[0].user_principal_name), 10).await.unwrap();
    }
    assert!(grant(&on, &people, &role).await.iter().all(Result::is_err));

    assert_eq!(bench.truth(&role, &[known]).await, (vec![false], 0));
}

async fn wrong_credentials_are_the_targets_fault(bench: &dyn Bench) {
    let Some(on) = bench.wrong(Wrong::Credentials) else { return };
    let (role, people) = (bench.add_group("credentials").await, [person(14), person(15)]);
    for one in &people {
        bench.add_account(one).await;
    }
    bench.put_in(&people[1], &role).await;

    assert_eq!(class(&grant(&on, &people[..1], &role).await), Class::Target);
    assert_eq!(class(&revoke(&on, &people[1..], &role).await), Class::Target);
    assert_eq!(class(&observe(&on, &people, &role).await), Class::Target);
    assert_eq!(class(&[on.check().await]), Class::Target);
    assert_eq!(class(&[on.find(&role.resource).await]), Class::Target);
    assert_eq!(class(&[on.discover(None, 5).await]), Class::Target);

    assert_eq!(bench.truth(&role, &people).await, (vec![false, true], 0));
}

async fn a_wrong_place_is_never_taken_for_a_removal(bench: &dyn Bench) {
    let Some(on) = bench.wrong(Wrong::Place) else { return };
    let (role, people) = (bench.add_group("place").await, [person(16)]);
    bench.add_account(&people[0]).await;
    bench.put_in(&people[0], &role).await;

    assert_eq!(class(&revoke(&on, &people, &role).await), Class::Target);
    assert_eq!(class(&grant(&on, &people, &role).await), Class::Target);
    assert_eq!(class(&observe(&on, &people, &role).await), Class::Target);
    assert_eq!(class(&[on.check().await]), Class::Target);

    assert_eq!(bench.truth(&role, &people).await, (vec![true], 0));
}

async fn an_unreachable_target_is_not_anybodys_refusal(bench: &dyn Bench) {
    let Some(on) = bench.wrong(Wrong::Unreachable) else { return };
    let (role, people) = (bench.add_group("unreachable").await, [person(17), person(18)]);

    for answers in [grant(&on, &people, &role).await, revoke(&on, &people, &role).await] {
        assert_eq!(answers.len(), 2);
        assert!(matches!(class(&answers), Class::Target | Class::Transient), "{answers:?}");
    }
    assert!(matches!(class(&observe(&on, &people, &role).await), Class::Target | Class::Transient));
    assert!(matches!(class(&[on.check().await]), Class::Target | Class::Transient));
}

async fn a_lost_answer_is_unknown_and_can_be_observed(bench: &dyn Bench) {
    let Some(on) = bench.wrong(Wrong::Line) else { return };
    let (role, people) = (bench.add_group("line").await, [person(19)]);
    bench.add_account(&people[0]).await;
    // Known before, so that what gets lost is the answer to the change and nothing else.
    assert_eq!(observe(&on, &people, &role).await, [Ok(Presence::Absent)]);

    bench.lose_answers(true);
    assert_eq!(class(&grant(&on, &people, &role).await), Class::Unknown);
    bench.lose_answers(false);
    assert_eq!(bench.truth(&role, &people).await, (vec![true], 0));
    assert_eq!(observe(&on, &people, &role).await, [Ok(Presence::Present)]);
    assert_eq!(grant(&on, &people, &role).await, [Ok(Done::AlreadyInState)]);

    bench.lose_answers(true);
    assert_eq!(class(&revoke(&on, &people, &role).await), Class::Unknown);
    bench.lose_answers(false);
    assert_eq!(observe(&on, &people, &role).await, [Ok(Presence::Absent)]);
    assert_eq!(bench.truth(&role, &people).await, (vec![false], 0));
}
