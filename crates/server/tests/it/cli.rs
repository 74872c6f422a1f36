//! The command line against a server where something is wrong: deliveries and drift.

use std::process::{Command, Output, Stdio};

use accede_connectors::Role;
use accede_connectors::chaos::{Chaos, Trouble, Verb};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use serde_json::{Value, json};

use crate::process::said;
use crate::world::{Door, EM, OURS, World, id};

const ACCEDE: &str = env!("CARGO_BIN_EXE_accede");

/// A terminal of somebody, at a server.
struct Terminal {
    server: String,
    token: String,
}

impl Terminal {
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(ACCEDE);
        command
            .args(arguments)
            .env("ACCEDE_SERVER", &self.server)
            .env("ACCEDE_TOKEN", &self.token)
            .stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// What it says, if it ends with this code.
    async fn says(&self, arguments: &[&str], code: i32) -> String {
        said(&self.run(arguments).await, code)
    }
}

fn seat() -> Role {
    Role {
        resource: "seats".to_owned(),
        role: "Member_seats".to_owned(),
        scope: "seats".to_owned(),
    }
}

/// Gives somebody a package of one role; the request and its delivery.
async fn given(world: &World, ada: &Door<'_>) -> (String, Value) {
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, "crm", "seats").await;
    let package = ada.package(&catalog, "Campaign").await;
    ada.role(&catalog, &package, "seats").await;
    let policy = ada.open_policy(&package).await;
    let body = json!({
        "requestType": "adminAdd",
        "assignment": {
            "targetId": world.user("uma").await,
            "assignmentPolicyId": policy,
            "accessPackageId": package,
        },
    });
    let request = id(&ada.post(&format!("{EM}/assignmentRequests"), body).await.expect(201));
    world.work().await;
    let path = format!("{OURS}/requests/{request}/deliveries");
    let delivery = ada.get(&path).await.expect(200)["value"][0].clone();
    (request, delivery)
}

fn refuse_changes(chaos: &Chaos) {
    chaos.plan(|call| {
        let fault = Fault::new(Class::Permanent, "http-402", "no seat is left");
        (call.verb == Verb::Grant || call.verb == Verb::Revoke).then_some(Trouble::Refuse(fault))
    });
}

async fn terminal(world: &World, ada: &Door<'_>) -> Terminal {
    Terminal { server: world.serve().await, token: ada.bearer().unwrap().to_owned() }
}

#[tokio::test]
async fn a_delivery_is_looked_at_handed_over_and_settled_from_a_terminal() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let crm = world.target(&ada, "crm").await;
    refuse_changes(&crm);
    let (request, delivery) = given(&world, &ada).await;
    let subject: SubjectId = delivery["subjectId"].as_str().unwrap().parse().unwrap();
    let delivery = id(&delivery);
    let terminal = terminal(&world, &ada).await;
    let max = world.user("max").await.to_string();
    let resolve = |how: &'static str, more: &[&'static str]| {
        let mut all = vec!["deliveries", "resolve", &delivery, "--as", how];
        all.extend(["--justification", "no seat is left until Monday"]);
        all.extend(more);
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = async |all: Vec<String>, code| {
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        terminal.says(&all, code).await
    };

    let listed = terminal.says(&["deliveries", "list", "--request", &request], 0).await;
    assert!(listed.contains(&delivery) && listed.contains("no seat is left"), "{listed}");
    let of = ["deliveries", "list", "--request", &request, "--state", "delivered"];
    assert!(terminal.says(&of, 0).await.contains("No such delivery"));
    terminal.says(&["deliveries", "list"], 2).await;
    let shown = terminal.says(&["deliveries", "show", &delivery], 0).await;
    assert!(shown.contains("failed") && shown.contains("http-402"), "{shown}");
    terminal.says(&["deliveries", "show", "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004"], 4).await;
    let retried = terminal.says(&["deliveries", "retry", &delivery], 5).await;
    assert!(retried.contains("reprocess its request"), "{retried}");

    run(resolve("giveUp", &["--assignee", "max@harbour.example"]), 2).await;
    run(resolve("handToPerson", &[]), 2).await;
    let early = run(resolve("doneOutside", &[]), 5).await;
    let mut hand = resolve("handToPerson", &["--due", "2026-03-09T00:00:00Z", "--assignee"]);
    hand.push(max);
    let handed = run(hand, 0).await;
    let shown = terminal.says(&["deliveries", "show", &delivery], 0).await;
    let back = terminal.says(&["deliveries", "retry", &delivery], 0).await;
    world.work().await;
    crm.grant_outside(subject, &seat());
    let settled = run(resolve("doneOutside", &[]), 0).await;
    let again = run(resolve("doneOutside", &[]), 0).await;

    assert!(early.contains("the target"), "{early}");
    assert!(handed.contains("max has the task") && handed.contains("2026-03-09"), "{handed}");
    assert!(shown.contains("a person has a task for it"), "{shown}");
    assert!(back.contains("It is tried now"), "{back}");
    assert!(settled.contains("was read and is as wanted"), "{settled}");
    assert!(again.contains("settled already"), "{again}");
    let whole = ["deliveries", "show", &delivery, "--output", "json"];
    let whole: Value = serde_json::from_str(&terminal.says(&whole, 0).await).unwrap();
    assert_eq!(whole["state"], "delivered");
    assert_eq!(whole["tasks"][0]["state"], "withdrawn");
    assert!(!whole["calls"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn access_that_is_not_taken_back_is_listed_with_its_person() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let crm = world.target(&ada, "crm").await;
    let (request, _) = given(&world, &ada).await;
    let terminal = terminal(&world, &ada).await;
    let none = terminal.says(&["deliveries", "list", "--stuck"], 0).await;
    refuse_changes(&crm);
    let path = format!("{EM}/assignmentRequests/{request}?$expand=assignment");
    let assignment = id(&ada.get(&path).await.expect(200)["assignment"]);
    let body = json!({ "requestType": "adminRemove", "assignment": { "id": assignment } });
    ada.post(&format!("{EM}/assignmentRequests"), body).await.expect(201);
    world.work().await;

    let stuck = terminal.says(&["deliveries", "list", "--stuck"], 0).await;
    let other = ["deliveries", "list", "--stuck", "--target", "hr"];

    assert!(none.contains("Nothing is stuck"), "{none}");
    assert!(stuck.contains("uma@") && stuck.contains("stuck"), "{stuck}");
    for unknown in [
        &other[..],
        &["deliveries", "list", "--request", &request, "--target", "hr"],
        &["drift", "list", "--target", "hr"],
        &["tasks", "list", "--everybody", "--target", "hr"],
    ] {
        assert!(terminal.says(unknown, 4).await.contains("`hr`"), "{unknown:?}");
    }
    let known = ["deliveries", "list", "--stuck", "--target", "crm"];
    assert!(terminal.says(&known, 0).await.contains("uma@"));
    for list in ["requests", "drift"] {
        let told = terminal.says(&[list, "list", "--limit", "0"], 2).await;
        assert!(told.contains("a whole number from 1"), "{told}");
    }
}

#[tokio::test]
async fn a_finding_is_repaired_or_accepted_from_a_terminal() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let crm = world.target(&ada, "crm").await;
    let (_, delivery) = given(&world, &ada).await;
    let subject: SubjectId = delivery["subjectId"].as_str().unwrap().parse().unwrap();
    let settings = json!({ "settings": { "drift": "report" } });
    let target = ada.get(&format!("{OURS}/targets/crm")).await.expect(200);
    let path = format!("{OURS}/targets/{}", target["id"].as_str().unwrap());
    ada.patch(&path, settings).await.expect(200);
    world.later(2);
    world.work().await;
    crm.revoke_outside(subject, &seat());
    world.later(2);
    let path = format!("{path}/compare");
    ada.act(&path).await.expect(202);
    world.work().await;
    world.work().await;
    let terminal = terminal(&world, &ada).await;

    let listed = terminal.says(&["drift", "list", "--output", "json"], 0).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let finding = id(&listed[0]);
    let accepted =
        terminal.says(&["drift", "dismiss", &finding, "--reason", "she is on leave"], 0).await;
    terminal.says(&["drift", "dismiss", &finding], 2).await;
    let repaired = terminal.says(&["drift", "repair", &finding], 0).await;
    world.work().await;
    world.later(1);
    world.work().await;
    let late = terminal.says(&["drift", "repair", &finding], 5).await;

    assert!(accepted.contains("accepted"), "{accepted}");
    assert!(repaired.contains("crm is called"), "{repaired}");
    assert!(crm.has(subject, &seat()));
    assert!(late.contains("the difference is over"), "{late}");
}
