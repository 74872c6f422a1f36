//! What is accepted and comes later, what a person is to do, and what is handed to one.

use std::collections::BTreeMap;
use std::sync::Arc;

use accede_app::Error;
use accede_app::deliveries::Named;
use accede_app::list::Listing;
use accede_app::resolutions::Resolved;
use accede_app::tasks::{Completion, Handover, TaskView, WhoseTasks};
use accede_connectors::{Clock, Settings, kinds};
use accede_domain::delivery::{Observed, Phase};
use accede_domain::id::TargetId;
use accede_domain::notice::Topic;
use accede_domain::resolution::Resolution;
use accede_domain::task::{Outcome, State};
use serde_json::json;

use crate::notices;
use crate::world::{Given, Somebody, Trouble, World, code, days, hours, minutes};

/// A target whose roles are tasks of this assignee.
async fn manual(world: &World, assignee: &str) -> TargetId {
    let settings = Settings {
        target: world.mint(),
        settings: json!({ "assignee": assignee, "due": "P2D", "instructions": "ask for the key" }),
        secrets: BTreeMap::new(),
        clock: Clock::default(),
    };
    world.target_with("keys", kinds::open("manual", settings, Arc::default()).unwrap()).await
}

async fn mine(world: &World, who: &Somebody) -> Vec<TaskView> {
    let listing = Listing::default();
    world.app.list_tasks(&who.caller(), WhoseTasks::Mine, &listing).await.unwrap().items
}

async fn complete(
    world: &World,
    who: &Somebody,
    task: &TaskView,
    outcome: Outcome,
) -> accede_app::Result<TaskView> {
    let note = (outcome == Outcome::CouldNot).then(|| "no key left".to_owned());
    let completion = Completion { outcome, note, expected: None };
    world.app.complete_task(&who.caller(), task.named.task.id, &completion).await
}

fn to(who: &Somebody) -> Handover {
    Handover {
        assignee: who.user.to_string(),
        due: None,
        note: Some("the target is broken".to_owned()),
    }
}

/// A person's role that only Ada can give, asked for.
async fn asked(world: &World) -> (Somebody, Somebody, Given, accede_domain::id::RequestId) {
    let (ada, uma) = (world.person("ada").await, world.person("uma").await);
    let target = manual(world, &ada.user.to_string()).await;
    let key = world.role(target, "key").await;
    let package = world.package("Keys", &[&key]).await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    (ada, uma, key, request)
}

#[tokio::test]
async fn what_was_accepted_is_delivered_when_it_is_seen() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("staff", Trouble::Later);

    let request = world.submit(&uma, package).await;
    world.pass(minutes(10)).await;
    let before = (world.state(request).await, world.delivery(&uma, &staff).await);
    hr.put(&uma, "staff", true);
    world.pass(minutes(20)).await;

    assert_eq!(before.0, "delivering");
    assert_eq!(before.1.delivery.observed, Observed::Unknown);
    assert!(before.1.fault.is_none(), "it is no fault");
    assert_eq!(world.state(request).await, "delivered");
    assert!(world.delivery(&uma, &staff).await.delivery.verified.is_some());
    let grants = world.attempts(&uma, &staff).await;
    assert_eq!(grants.iter().filter(|one| *one == "grant pending").count(), 1, "{grants:?}");
}

#[tokio::test]
async fn what_is_accepted_and_never_done_is_tried_again_and_fails_with_its_cause() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("staff", Trouble::Later);

    let request = world.submit(&uma, package).await;
    world.pass(days(2)).await;

    assert_eq!(world.state(request).await, "deliveryFailed");
    let row = world.delivery(&uma, &staff).await;
    assert_eq!(row.fault.unwrap().code, "not-finished");
    hr.heal();
    world.reprocess(request).await.unwrap();
    world.pass(minutes(5)).await;
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn what_was_accepted_and_is_not_wanted_any_more_is_taken_away_when_it_comes_late() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("staff", Trouble::Later);

    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    hr.heal();
    world.remove(world.assignment(request).await.id).await.unwrap();
    // Gone, and looked at for the second time.
    world.pass(minutes(10)).await;
    assert_eq!(world.delivery(&uma, &staff).await.delivery.observed, Observed::Absent);
    hr.put(&uma, "staff", true);
    world.pass(minutes(55)).await;

    assert!(!hr.has(&uma, "staff"), "it is found when the hour of the order is over");
    let row = world.delivery(&uma, &staff).await.delivery;
    assert_eq!((row.observed, row.phase), (Observed::Absent, Phase::Settled));
}

#[tokio::test]
async fn a_removal_that_is_accepted_and_not_done_for_an_hour_is_listed_as_stuck() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(5)).await;
    hr.trouble("staff", Trouble::Later);

    let assignment = world.assignment(request).await.id;
    let removal = world.remove(assignment).await.unwrap();
    world.pass(minutes(61)).await;
    let stuck = world.app.stuck_revocations(&world.admin()).await.unwrap();

    assert_eq!(stuck.len(), 1);
    assert_eq!(world.state(removal).await, "delivering");
    hr.heal();
    hr.put(&uma, "staff", false);
    world.pass(hours(2)).await;
    assert_eq!(world.state(removal).await, "delivered");
    world.pass(days(2)).await;
}

#[tokio::test]
async fn a_role_that_only_a_person_can_give_is_their_task_until_they_say_so() {
    let world = World::new().await;
    let (ada, uma, key, request) = asked(&world).await;

    let tasks = mine(&world, &ada).await;
    let named = &tasks[0].named;
    assert_eq!(world.state(request).await, "delivering");
    assert_eq!((tasks.len(), named.task.is_grant), (1, true));
    assert_eq!(named.task.instructions.as_deref(), Some("ask for the key"));
    assert!(tasks[0].may_complete && !tasks[0].is_overdue);
    world.pass(days(3)).await;
    assert_eq!(world.state(request).await, "delivering", "a task has no window");
    assert!(mine(&world, &ada).await[0].is_overdue);

    let done = complete(&world, &ada, &tasks[0], Outcome::Done).await.unwrap();

    assert_eq!(done.named.task.state, State::Done);
    assert_eq!(done.named.task.closed_by.as_deref(), Some("ada@x.example"));
    assert_eq!(world.state(request).await, "delivered");
    let row = world.delivery(&uma, &key).await.delivery;
    assert!(row.acknowledged.is_some() && row.verified.is_none(), "said, not seen");
    let expected = ["submitted", "deliveryStarted", "taskCreated", "taskDone", "delivered"];
    assert_eq!(world.history(request).await, expected);
    assert_eq!(world.audits("task created").await, 1);
    assert_eq!(world.audits("task done").await, 1);
    let again = complete(&world, &ada, &tasks[0], Outcome::Done).await;
    assert_eq!(code(&again), "TaskClosed");
}

#[tokio::test]
async fn a_task_is_closed_by_its_assignee_or_a_member_of_the_group_and_never_for_oneself() {
    let world = World::new().await;
    let (ada, uma) = (world.person("ada").await, world.person("uma").await);
    let desk = world.group("Desk", &[&ada, &uma]).await;
    let target = manual(&world, &desk.to_string()).await;
    let key = world.role(target, "key").await;
    let package = world.package("Keys", &[&key]).await;
    world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    let stranger = world.person("max").await;
    let task = mine(&world, &ada).await.remove(0);

    let own = complete(&world, &uma, &task, Outcome::Done).await;
    let strange = complete(&world, &stranger, &task, Outcome::Done).await;
    let rita = complete(&world, &world.rita, &task, Outcome::Done).await;
    let done = Completion { outcome: Outcome::Done, note: None, expected: None };
    let admin = world.app.complete_task(&world.admin(), task.named.task.id, &done).await;

    assert!(matches!(own, Err(Error::Forbidden { .. })), "{own:?}");
    assert!(!mine(&world, &uma).await[0].may_complete);
    assert!(matches!(strange, Err(Error::NotFound { .. })), "{strange:?}");
    assert!(rita.is_err());
    assert!(matches!(admin, Err(Error::Forbidden { .. })), "seeing it is not having it");
    assert!(complete(&world, &ada, &task, Outcome::Done).await.is_ok());
}

#[tokio::test]
async fn what_could_not_be_done_fails_with_that_reason_and_can_be_reprocessed() {
    let world = World::new().await;
    let (ada, uma, key, request) = asked(&world).await;
    let task = mine(&world, &ada).await.remove(0);
    let silent = Completion { outcome: Outcome::CouldNot, note: None, expected: None };
    let silent = world.app.complete_task(&ada.caller(), task.named.task.id, &silent).await;

    complete(&world, &ada, &task, Outcome::CouldNot).await.unwrap();

    assert!(matches!(silent, Err(Error::Invalid { path, .. }) if path == "note"));
    assert_eq!(world.state(request).await, "deliveryFailed");
    let fault = world.delivery(&uma, &key).await.fault.unwrap();
    assert_eq!(fault.code, "could-not");
    assert!(fault.message.contains("no key left"));
    world.reprocess(request).await.unwrap();
    world.pass(minutes(1)).await;
    let tasks = mine(&world, &ada).await;
    assert_eq!(tasks.iter().filter(|one| one.named.task.state == State::Open).count(), 1);
    let open = tasks.iter().find(|one| one.named.task.state == State::Open).unwrap();
    complete(&world, &ada, open, Outcome::Done).await.unwrap();
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn a_changed_wish_withdraws_the_task_and_asks_to_take_away_what_may_have_been_given() {
    let world = World::new().await;
    let (ada, uma, key, request) = asked(&world).await;
    let given = mine(&world, &ada).await.remove(0);

    world.cancel(request).await.unwrap_err();
    let assignment = world.assignment(request).await.id;
    let removal = world.remove(assignment).await.unwrap();
    world.pass(minutes(1)).await;

    let tasks = mine(&world, &ada).await;
    let open: Vec<_> = tasks.iter().filter(|one| one.named.task.state == State::Open).collect();
    let withdrawn = tasks.iter().find(|one| one.named.task.id == given.named.task.id).unwrap();
    assert_eq!(withdrawn.named.task.state, State::Withdrawn);
    assert_eq!((open.len(), open[0].named.task.is_grant), (1, false));
    assert_eq!(code(&complete(&world, &ada, &given, Outcome::Done).await), "TaskClosed");
    assert_eq!(world.state(removal).await, "delivering");

    complete(&world, &ada, open[0], Outcome::CouldNot).await.unwrap();
    assert_eq!(world.app.stuck_revocations(&world.admin()).await.unwrap().len(), 1);
    world.pass(hours(7)).await;
    let next = mine(&world, &ada).await;
    let next = next.iter().find(|one| one.named.task.state == State::Open).unwrap();
    complete(&world, &ada, next, Outcome::Done).await.unwrap();

    assert_eq!(world.state(removal).await, "delivered");
    assert_eq!(world.delivery(&uma, &key).await.delivery.phase, Phase::Settled);
}

#[tokio::test]
async fn a_task_goes_to_somebody_else_and_never_to_the_person_it_is_about() {
    let world = World::new().await;
    let (ada, uma, _, request) = asked(&world).await;
    let max = world.person("max").await;
    let task = mine(&world, &ada).await.remove(0);
    let id = task.named.task.id;

    let own = world.app.reassign_task(&world.admin(), id, &to(&uma)).await;
    let stranger = world.app.reassign_task(&ada.caller(), id, &to(&max)).await;
    world.app.reassign_task(&world.admin(), id, &to(&max)).await.unwrap();

    assert!(matches!(own, Err(Error::Invalid { path, .. }) if path == "assignee"));
    assert!(matches!(stranger, Err(Error::Forbidden { .. })));
    assert!(complete(&world, &ada, &task, Outcome::Done).await.is_err());
    assert_eq!(mine(&world, &max).await.len(), 1);
    complete(&world, &max, &task, Outcome::Done).await.unwrap();
    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(world.audits("task reassigned").await, 1);
    let over = world.app.reassign_task(&world.admin(), id, &to(&ada)).await;
    assert_eq!(code(&over), "TaskClosed", "whatever else they may do with it");
}

#[tokio::test]
async fn a_target_without_anybody_to_do_it_is_in_trouble_and_goes_on_when_there_is_somebody() {
    let world = World::new().await;
    let target = manual(&world, "nobody@harbourline.example").await;
    let key = world.role(target, "key").await;
    let package = world.package("Keys", &[&key]).await;
    let uma = world.person("uma").await;

    world.submit(&uma, package).await;
    world.pass(minutes(1)).await;

    let fault = world.delivery(&uma, &key).await.fault.unwrap();
    assert_eq!(fault.code, "no-assignee");
    world.pass(days(2)).await;
}

/// A role that its target refuses, and the delivery of it.
async fn refused(world: &World) -> (Arc<crate::world::Fake>, Somebody, Given, Named) {
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    hr.trouble("staff", Trouble::read_only("http-403"));
    world.submit(&uma, package).await;
    world.pass(minutes(5)).await;
    let id = world.delivery(&uma, &staff).await.id;
    let named = world.app.get_delivery(&world.admin(), id).await.unwrap();
    (hr, uma, staff, named)
}

#[tokio::test]
async fn what_failed_is_handed_to_a_person_and_believed_when_it_is_seen() {
    let world = World::new().await;
    let (hr, uma, staff, named) = refused(&world).await;
    let request = world.requests_of(&uma).await[0].id;
    let max = world.person("max").await;
    hr.calls();

    let task = world.app.hand_to_person(&world.admin(), named.row.id, &to(&max)).await.unwrap();
    assert_eq!(world.state(request).await, "delivering");
    let again = world.app.hand_to_person(&world.admin(), named.row.id, &to(&max)).await;
    assert_eq!(code(&again), "TaskOpen");
    world.reprocess(request).await.unwrap();
    world.pass(days(5)).await;
    assert_eq!(hr.calls(), Vec::<String>::new(), "while Max has it, nobody calls the target");

    let early = complete(&world, &max, &task, Outcome::Done).await;
    assert_eq!(code(&early), "TargetSaysOtherwise");
    assert_eq!(world.audits("task said to be done").await, 1);
    assert_eq!(mine(&world, &max).await[0].named.task.state, State::Open);
    hr.put(&uma, "staff", true);
    complete(&world, &max, &task, Outcome::Done).await.unwrap();

    assert_eq!(world.state(request).await, "delivered");
    assert!(world.delivery(&uma, &staff).await.delivery.verified.is_some());
}

#[tokio::test]
async fn a_handed_removal_is_still_looked_at_and_its_task_closes_by_itself() {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (uma, max) = (world.person("uma").await, world.person("max").await);
    let request = world.submit(&uma, package).await;
    world.pass(minutes(5)).await;
    hr.trouble("staff", Trouble::read_only("http-403"));
    let assignment = world.assignment(request).await.id;
    let removal = world.remove(assignment).await.unwrap();
    world.pass(minutes(5)).await;
    let id = world.delivery(&uma, &staff).await.id;
    hr.calls();

    world.app.hand_to_person(&world.admin(), id, &to(&max)).await.unwrap();
    world.pass(hours(13)).await;
    assert_eq!(hr.calls(), ["observe uma staff", "observe uma staff"]);
    assert_eq!(world.app.stuck_revocations(&world.admin()).await.unwrap().len(), 1);
    hr.put(&uma, "staff", false);
    world.pass(hours(7)).await;

    assert_eq!(world.state(removal).await, "delivered");
    let task = mine(&world, &max).await.remove(0).named.task;
    assert_eq!(task.state, State::Withdrawn);
    assert_eq!(task.note.as_deref(), Some("the target was seen to be as wanted"));
    world.pass(days(2)).await;
}

#[tokio::test]
async fn who_tries_it_now_takes_it_back_from_the_person() {
    let world = World::new().await;
    let (hr, uma, _, named) = refused(&world).await;
    let request = world.requests_of(&uma).await[0].id;
    let max = world.person("max").await;
    let task = world.app.hand_to_person(&world.admin(), named.row.id, &to(&max)).await.unwrap();
    hr.heal();

    assert!(world.app.retry_delivery(&world.admin(), named.row.id).await.unwrap());
    world.pass(minutes(5)).await;

    assert_eq!(world.state(request).await, "delivered");
    assert_eq!(mine(&world, &max).await[0].named.task.state, State::Withdrawn);
    assert_eq!(code(&complete(&world, &max, &task, Outcome::Done).await), "TaskClosed");
}

#[tokio::test]
async fn giving_up_what_a_person_has_closes_their_task() {
    let world = World::new().await;
    let (_, subject, _, named) = refused(&world).await;
    let max = world.person("max").await;
    world.app.hand_to_person(&world.admin(), named.row.id, &to(&max)).await.unwrap();

    let (admin, why) = (world.admin(), "not worth it");
    let request = world.requests_of(&subject).await[0].id;
    let before = world.history(request).await.len();
    let up = world.app.resolve_delivery(&admin, named.row.id, Resolution::GiveUp, why).await;
    let Resolved { changed, named } = up.unwrap();
    let lines = world.history(request).await.split_off(before);

    assert!(changed && matches!(named.row.delivery.phase, Phase::Failed { .. }));
    assert_eq!(mine(&world, &max).await[0].named.task.state, State::Withdrawn);
    for kind in ["resolved", "deliveryFailed"] {
        assert_eq!(lines.iter().filter(|line| *line == kind).count(), 1, "{kind}: {lines:?}");
    }
}

#[tokio::test]
async fn who_gets_a_task_is_told_by_mail_and_again_when_it_is_late() {
    let world = notices::world(notices::mailed(&["ops@x.example"])).await;
    let (ada, ..) = asked(&world).await;
    let (max, boss) = (world.person("max").await, world.admin());
    world.mail(&ada, "ada@x.example").await;
    world.mail(&max, "max@x.example").await;
    let letters = async || {
        notices::raise(&world).await;
        let told = notices::told(&world).await.into_iter().filter(|one| one.topic == Topic::Tasks);
        told.map(|one| (one.recipient, one.title)).collect::<Vec<_>>()
    };
    let new = "A task for you: give Member of key in KEYS to uma";
    let late = "A task of yours is late: give Member of key in KEYS to uma";
    let said = |who: &str, what: &str| (format!("{who}@x.example"), what.to_owned());

    assert_eq!(letters().await, [said("ada", new)]);
    world.pass(days(1)).await;
    assert_eq!(letters().await.len(), 1, "it is told once");
    for _ in 0..60 {
        world.pass(hours(1)).await;
        letters().await;
    }
    assert_eq!(letters().await[1..], [said("ada", late), said("ada", late)], "then daily");
    let task = mine(&world, &ada).await.remove(0);
    world.app.reassign_task(&boss, task.named.task.id, &to(&max)).await.unwrap();
    world.pass(minutes(1)).await;
    assert_eq!(letters().await[3..], [said("max", late)], "whoever has it now");

    complete(&world, &max, &task, Outcome::Done).await.unwrap();
    world.pass(days(3)).await;
    assert_eq!(letters().await.len(), 4, "it is done");
}
