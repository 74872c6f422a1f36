//! Settling a delivery by hand: the target has the last word, and a removal is never given up.

use accede_connectors::Role;
use accede_connectors::chaos::{Chaos, Trouble, Verb};
use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use serde_json::{Value, json};

use crate::portal::Reader;
use crate::world::{Answer, Door, EM, OURS, World, id};

/// Somebody who cannot be given the one role of a package.
struct Story<'w> {
    ada: Door<'w>,
    crm: Chaos,
    request: String,
    delivery: String,
    subject: SubjectId,
}

/// Grants and removals are refused for good; reading works.
fn refuse_changes(chaos: &Chaos) {
    chaos.plan(|call| {
        let fault = Fault::new(Class::Permanent, "http-402", "no seat is left");
        (call.verb == Verb::Grant || call.verb == Verb::Revoke).then_some(Trouble::Refuse(fault))
    });
}

fn seat() -> Role {
    Role {
        resource: "seats".to_owned(),
        role: "Member_seats".to_owned(),
        scope: "seats".to_owned(),
    }
}

impl<'w> Story<'w> {
    async fn new(world: &'w World) -> Story<'w> {
        let ada = world.administrator().await;
        let crm = world.target(&ada, "crm").await;
        refuse_changes(&crm);
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
        let subject = delivery["subjectId"].as_str().unwrap().parse().unwrap();
        Story { delivery: id(&delivery), ada, crm, request, subject }
    }

    async fn resolve(&self, resolution: &str, justification: &str) -> Answer {
        let body = json!({ "resolution": resolution, "justification": justification });
        self.ada.post(&format!("{OURS}/deliveries/{}/resolve", self.delivery), body).await
    }

    async fn state(&self, request: &str) -> Value {
        let path = format!("{EM}/assignmentRequests/{request}");
        self.ada.get(&path).await.expect(200)["state"].clone()
    }

    async fn history(&self, request: &str) -> String {
        let path = format!("{OURS}/requests/{request}/history");
        self.ada.get(&path).await.expect(200)["value"].to_string()
    }

    /// Gives the role after all, and has the assignment removed, which is refused; the request.
    async fn removal(&self, world: &World) -> String {
        self.crm.grant_outside(self.subject, &seat());
        self.resolve("doneOutside", "Rita gave the seat").await.expect(200);
        let path = format!("{EM}/assignmentRequests/{}?$expand=assignment", self.request);
        let given = self.ada.get(&path).await.expect(200);
        let body = json!({
            "requestType": "adminRemove", "assignment": { "id": given["assignment"]["id"] },
        });
        let path = format!("{EM}/assignmentRequests");
        let removal = id(&self.ada.post(&path, body).await.expect(201));
        world.work().await;
        removal
    }
}

#[tokio::test]
async fn what_is_said_to_be_done_is_looked_up_and_settles_only_if_it_is_so() {
    let world = World::new().await;
    let story = Story::new(&world).await;
    assert_eq!(story.state(&story.request).await, "deliveryFailed");

    let early = story.resolve("doneOutside", "Rita gave the seat").await;
    let code = early.refused(409);
    let between = story.state(&story.request).await;
    story.crm.grant_outside(story.subject, &seat());
    let grants = story.crm.count(story.subject, &seat(), Verb::Grant);
    let settled = story.resolve("doneOutside", "Rita gave the seat").await.expect(200);
    let again = story.resolve("doneOutside", "Rita gave the seat").await.expect(200);

    assert_eq!(code, "TargetSaysOtherwise");
    assert_eq!(between, "deliveryFailed");
    assert_eq!((&settled["state"], &settled["changed"]), (&json!("delivered"), &json!(true)));
    assert_eq!(settled["evidence"]["kind"], "verified");
    assert_eq!(again["changed"], false);
    assert_eq!(story.state(&story.request).await, "delivered");
    assert_eq!(story.crm.count(story.subject, &seat(), Verb::Grant), grants);
    let history = story.history(&story.request).await;
    assert!(
        history.contains("Member of seats: said to be done")
            && history.contains("Rita gave the seat")
            && history.contains("contradicted")
    );
    let path = format!("{OURS}/deliveries/{}/attempts", story.delivery);
    let attempts = story.ada.get(&path).await.expect(200)["value"].to_string();
    assert!(attempts.contains("\"present\"") && attempts.contains("\"absent\""), "{attempts}");
}

#[tokio::test]
async fn where_nothing_can_be_read_the_persons_word_is_an_acknowledgement() {
    let world = World::new().await;
    let story = Story::new(&world).await;
    story.crm.set_observable(false);

    let settled = story.resolve("doneOutside", "Rita gave the seat").await.expect(200);

    assert_eq!(settled["state"], "delivered");
    assert_eq!(settled["evidence"]["kind"], "acknowledged");
    assert_eq!(story.state(&story.request).await, "delivered");
    assert!(story.history(&story.request).await.contains("it cannot be read"));
}

#[tokio::test]
async fn what_was_given_by_hand_is_taken_back_at_the_end() {
    let world = World::new().await;
    let story = Story::new(&world).await;
    let removal = story.removal(&world).await;

    story.crm.plan(|_| None);
    story.ada.act(&format!("{OURS}/deliveries/{}/retry", story.delivery)).await.expect(202);
    world.work().await;

    assert_eq!(story.state(&removal).await, "delivered");
    assert!(!story.crm.has(story.subject, &seat()));
}

#[tokio::test]
async fn a_stuck_removal_is_settled_when_the_role_is_gone_and_never_given_up() {
    let world = World::new().await;
    let story = Story::new(&world).await;
    let removal = story.removal(&world).await;
    let stuck = format!("{OURS}/revocations/stuck");
    assert_eq!(story.ada.get(&stuck).await.expect(200)["value"][0]["id"], story.delivery.as_str());

    assert_eq!(story.resolve("giveUp", "too much work").await.refused(409), "RemovalNotGivenUp");
    let still = story.resolve("doneOutside", "Rita took it away").await;
    assert_eq!(still.refused(409), "TargetSaysOtherwise");
    assert_eq!(story.state(&removal).await, "delivering");
    story.crm.revoke_outside(story.subject, &seat());
    let settled = story.resolve("doneOutside", "Rita took it away").await.expect(200);

    assert_eq!(settled["state"], "removed");
    assert_eq!(story.state(&removal).await, "delivered");
    assert_eq!(story.ada.get(&stuck).await.expect(200)["value"], json!([]));
}

#[tokio::test]
async fn a_grant_that_is_given_up_rests_until_somebody_reprocesses() {
    let world = World::new().await;
    let story = Story::new(&world).await;
    story.crm.plan(|_| None);
    story.crm.fail_for_now("http-503", "come back later");
    story
        .ada
        .act(&format!("{EM}/assignmentRequests/{}/reprocess", story.request))
        .await
        .expect(202);
    world.work().await;
    assert_eq!(story.state(&story.request).await, "delivering");

    let given_up = story.resolve("giveUp", "the seat is not needed").await.expect(200);
    let again = story.resolve("giveUp", "the seat is not needed").await.expect(200);
    story.crm.heal();
    world.later(48);
    world.work().await;
    let resting = story.state(&story.request).await;
    story
        .ada
        .act(&format!("{EM}/assignmentRequests/{}/reprocess", story.request))
        .await
        .expect(202);
    world.work().await;

    assert_eq!((&given_up["state"], &again["changed"]), (&json!("failed"), &json!(false)));
    assert_eq!(resting, "deliveryFailed");
    assert_eq!(story.state(&story.request).await, "delivered");
}

#[tokio::test]
async fn what_cannot_be_read_now_is_not_believed() {
    let world = World::new().await;
    let story = Story::new(&world).await;
    story.crm.plan(|_| None);
    story.crm.break_down("http-503", "the CRM is being mended");

    let broken = story.resolve("doneOutside", "Rita gave the seat").await;
    story.ada.act(&format!("{OURS}/targets/crm/pause")).await.expect(200);
    let paused = story.resolve("doneOutside", "Rita gave the seat").await;

    assert_eq!(broken.refused(422), "TargetSystemFault");
    assert_eq!(paused.refused(409), "TargetPaused");
    assert_eq!(story.state(&story.request).await, "deliveryFailed");
}

#[tokio::test]
async fn a_word_without_a_reason_is_refused_at_its_property() {
    let world = World::new().await;
    let story = Story::new(&world).await;
    let path = format!("{OURS}/deliveries/{}/resolve", story.delivery);

    assert_eq!(story.resolve("doneOutside", "  ").await.wrong(), "justification");
    assert_eq!(story.resolve("done", "x").await.wrong(), "resolution");
    assert_eq!(story.resolve("giveUp", &"x".repeat(4_001)).await.wrong(), "justification");
    let body = json!({ "resolution": "giveUp" });
    assert_eq!(story.ada.post(&path, body).await.wrong(), "justification");
}

#[tokio::test]
async fn in_the_portal_a_role_is_settled_from_its_request_and_from_what_is_stuck() {
    let world = World::new().await;
    let story = Story::new(&world).await;
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let request = format!("/governance/requests/{}", story.request);
    let form = format!("/governance/deliveries/{}/resolve", story.delivery);
    let asked = format!("{form}?request={}", story.request);
    let fields = |what: &'static str| {
        [("resolution", what), ("justification", "By hand & seen"), ("request", &*story.request)]
    };

    rita.get(&request).await.answers(200, &["Settle by hand…", &form]);
    rita.get(&asked).await.answers(200, &["Somebody gave the role", "Give it up"]);
    let nothing = rita.post(&form, &[("request", &story.request)]).await;
    nothing.answers(400, &["Choose what happened."]);
    rita.post(&form, &fields("doneOutside"))
        .await
        .answers(400, &["was read just now", "By hand &#38; seen"]);
    story.crm.grant_outside(story.subject, &seat());
    let to = rita.post(&form, &fields("doneOutside")).await.leads();
    rita.get(&to).await.answers(200, &["Settled by hand.", "By hand &#38; seen"]);
    rita.get(&request).await.hides(&["Settle by hand…"]);

    story.removal(&world).await;
    rita.get("/governance/failures").await.answers(200, &["Settle by hand…"]);
    let page = rita.get(&form).await;
    page.answers(200, &["Somebody took the role away"]);
    page.hides(&["Give it up"]);
}
