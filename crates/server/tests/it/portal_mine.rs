//! What people do for themselves in the portal, and what managers see of it, as a browser without
//! scripts meets it.

use accede_app::Caller;
use accede_connectors::chaos::Chaos;
use serde_json::{Value, json};

use crate::portal::Reader;
use crate::world::{Door, EM, World, id};

/// A package with one role in a target, and a policy under which every member may ask.
struct Story<'w> {
    ada: Door<'w>,
    package: String,
    wiki: Chaos,
    uma: Reader,
}

async fn story<'w>(world: &'w World, policy: Value) -> Story<'w> {
    let ada = world.administrator().await;
    let wiki = world.target(&ada, "wiki").await;
    let catalog = ada.catalog("Marketing").await;
    ada.resource(&catalog, "wiki", "news").await;
    let package = ada.package(&catalog, "Campaign").await;
    ada.role(&catalog, &package, "news").await;
    let mut body = json!({
        "displayName": "Everybody",
        "description": "",
        "allowedTargetScope": "allMemberUsers",
        "requestorSettings": {
            "enableTargetsToSelfAddAccess": true,
            "enableTargetsToSelfRemoveAccess": true,
            "allowCustomAssignmentSchedule": true,
        },
        "accessPackage": { "id": package },
    });
    body.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
    ada.post(&format!("{EM}/assignmentPolicies"), body).await.expect(201);
    let uma = Reader::new(world, "uma", &[]).await;
    Story { ada, package, wiki, uma }
}

impl Story<'_> {
    fn form(&self) -> String {
        format!("/my/packages/{}/request", self.package)
    }

    /// Sends the form of a request; the page of the request.
    async fn ask(&self, fields: &[(&str, &str)]) -> String {
        let to = self.uma.post(&self.form(), fields).await.leads();
        to.split('?').next().unwrap().to_owned()
    }
}

/// The same request, as its managers see it.
fn managed(mine: &str) -> String {
    mine.replace("/my/", "/governance/")
}

#[tokio::test]
async fn access_that_is_still_being_given_can_be_given_back_and_removed() {
    let world = World::new().await;
    let story = story(&world, json!({})).await;
    story.wiki.fail_for_now("http-503", "the server answered 503");
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let cora = Reader::new(&world, "cora", &["Catalog reader:Marketing"]).await;
    let mine = story.ask(&[]).await;
    world.work().await;

    let page = story.uma.get(&mine).await;
    page.answers(200, &["Delivering", "Give the access back instead"]);
    let access = format!("/my/access/{}", page.between("/my/access/", "\""));
    story.uma.get(&access).await.answers(200, &["Give it back…"]);
    let details = rita.get(&managed(&mine)).await;
    details.answers(200, &["remove its assignment", "Remove the access…"]);
    let remove = details.between("its assignment. <a href=\"", "\"");
    let seen = cora.get(&managed(&mine)).await;
    seen.answers(200, &["Delivering"]);
    seen.hides(&["Remove the access…"]);

    rita.get(&remove).await.answers(200, &["Remove this access"]);
    assert!(rita.post(&remove, &[]).await.leads().ends_with("?done=removing"));
    story.uma.get(&mine).await.answers(200, &["Canceled"]);
    story.uma.get(&access).await.answers(200, &["It is being taken back at present."]);
    rita.post(&remove, &[]).await.answers(409, &["Remove the access of", "Keep it as it is"]);
}

#[tokio::test]
async fn a_start_that_is_over_is_told_at_its_field() {
    let world = World::new().await;
    let story = story(&world, json!({})).await;
    let past = [("period", "yes"), ("begins", "2020-01-01T00:00")];

    let refused = story.uma.post(&story.form(), &past).await;
    refused.answers(400, &["id=\"begins-error\"", "2020-01-01 00:00 UTC is over"]);
    refused.hides(&["ends-error"]);
    let end = [("period", "yes"), ("ends", "2020-01-01T00:00")];
    let refused = story.uma.post(&story.form(), &end).await;
    refused.answers(400, &["id=\"ends-error\"", "in the future"]);
    refused.hides(&["begins-error"]);

    let requests = format!("{EM}/assignmentRequests");
    let body = |start: String| {
        json!({ "requestType": "userAdd", "assignment": { "accessPackageId": story.package },
                "schedule": { "startDateTime": start } })
    };
    world.user("cleo").await;
    let cleo = world.person("cleo", &[]).await;
    let old = cleo.post(&requests, body("2020-01-01T00:00:00Z".to_owned())).await;
    assert_eq!(old.wrong(), "schedule.startDateTime");
    let behind = world.app.now() - jiff::SignedDuration::from_mins(5);
    cleo.post(&requests, body(behind.to_string())).await.expect(201);
}

#[tokio::test]
async fn what_was_canceled_is_said_once_and_as_it_stands() {
    let world = World::new().await;
    let story = story(&world, json!({})).await;
    story.wiki.refuse("http-402", "no seat is left");
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let mine = story.ask(&[]).await;
    let submitted = format!("{mine}?done=submitted");
    story.uma.get(&submitted).await.answers(200, &["Your request was submitted."]);
    world.work().await;
    story.uma.get(&submitted).await.hides(&["Your request was submitted."]);

    let cancel = format!("{}/cancel", managed(&mine));
    let canceled = rita.post(&cancel, &[]).await.leads();
    let page = rita.get(&canceled).await;
    page.hides(&["It is being delivered at present"]);
    world.work().await;
    let page = rita.get(&canceled).await;
    page.answers(200, &["Canceled", "The request was canceled."]);
    let page = story.uma.get(&format!("{mine}?done=canceled")).await;
    page.answers(200, &["It was canceled."]);
    page.hides(&["The request was canceled."]);
}

#[tokio::test]
async fn a_request_that_is_being_canceled_says_so_and_nothing_else() {
    let world = World::new().await;
    let story = story(&world, json!({})).await;
    let catalog = story.ada.get(&format!("{EM}/catalogs")).await.expect(200);
    let catalog = catalog["value"].as_array().unwrap().iter();
    let catalog = id(catalog.clone().find(|one| one["displayName"] == "Marketing").unwrap());
    let crm = world.target(&story.ada, "crm").await;
    story.ada.resource(&catalog, "crm", "seats").await;
    story.ada.role(&catalog, &story.package, "seats").await;
    crm.refuse("http-402", "no seat is left");
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let mine = story.ask(&[]).await;
    world.work().await;
    story.uma.get(&mine).await.answers(200, &["Partially delivered"]);
    story.wiki.fail_for_now("http-503", "the server answered 503");

    let to = rita.post(&format!("{}/cancel", managed(&mine)), &[]).await.leads();
    let page = rita.get(&to).await;
    page.answers(200, &["Canceling", "is being canceled; what it gave is taken back"]);
    page.hides(&["tried again by itself", "The request was canceled."]);
}

#[tokio::test]
async fn reprocess_with_nothing_ticked_says_so() {
    let world = World::new().await;
    let story = story(&world, json!({})).await;
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let fields = [("package", story.package.as_str()), ("state", "deliveryFailed")];

    let to = rita.post("/governance/plans", &fields).await.leads();
    assert!(to.ends_with("state=deliveryFailed&done=unticked"), "{to}");
    rita.get(&to).await.answers(200, &["Nothing was selected"]);
}

#[tokio::test]
async fn a_plan_of_nothing_offers_nothing_and_one_that_was_run_says_so() {
    let world = World::new().await;
    let story = story(&world, json!({})).await;
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let mine = story.ask(&[]).await;
    world.work().await;
    let everything = [("package", story.package.as_str()), ("everything", "1")];

    let plan = rita.post("/governance/plans", &everything).await.leads();
    let page = rita.get(&plan).await;
    page.answers(
        200,
        &["none of what was selected can be reprocessed", "A request in state “Delivered”"],
    );
    page.hides(&["Estimated time", "Reprocess 0", "sha256", "Will be tried again</td>"]);

    story.wiki.refuse("http-402", "no seat is left");
    let cleo = Reader::new(&world, "cleo", &[]).await;
    cleo.post(&story.form(), &[]).await.leads();
    world.work().await;
    let failed =
        [("package", story.package.as_str()), ("state", "deliveryFailed"), ("everything", "1")];
    let plan = rita.post("/governance/plans", &failed).await.leads();
    let page = rita.get(&plan).await;
    page.answers(200, &["Nothing has happened yet", "Will be tried again</td>", "Estimated time"]);
    let digest = page.between("name=\"digest\" value=\"", "\"");
    let run = format!("{}/run", plan.split('?').next().unwrap());
    rita.post(&run, &[("digest", &digest)]).await.leads();
    let page = rita.get(&plan).await;
    page.answers(200, &["This plan was run", "In the job", "Open its job"]);
    page.hides(&["Nothing has happened yet", "Can be run until"]);
    story.uma.get(&mine).await.answers(200, &["You have everything you asked for."]);
}

#[tokio::test]
async fn who_can_be_approved_by_nobody_reads_whom_to_ask() {
    let world = World::new().await;
    let stages = json!([{
        "durationBeforeAutomaticDenial": "P14D",
        "primaryApprovers": [{ "@odata.type": "#microsoft.graph.requestorManager", "managerLevel": 1 }],
    }]);
    let approval = json!({
        "requestApprovalSettings": { "isApprovalRequiredForAdd": true, "stages": stages },
    });
    let story = story(&world, approval).await;

    let page = story.uma.get(&story.ask(&[]).await).await;
    page.answers(200, &["Pending approval", "nobody could be found who may", "Ask whoever"]);
    page.hides(&["You need to do nothing", "unless one is named", "Z.</p>", "(s) asked"]);
}

#[tokio::test]
async fn a_decided_approval_names_the_decision_and_the_period() {
    let world = World::new().await;
    let max = Reader::new(&world, "max", &[]).await;
    let max_is = world.app.user(&Caller::system(), "max@harbourline.example").await.unwrap();
    let stages = json!([{
        "durationBeforeAutomaticDenial": "P14D",
        "primaryApprovers": [{ "@odata.type": "#microsoft.graph.singleUser", "userId": max_is.id }],
    }]);
    let approval = json!({
        "requestApprovalSettings": { "isApprovalRequiredForAdd": true, "stages": stages },
        "expiration": { "type": "afterDuration", "duration": "P30D" },
    });
    let story = story(&world, approval).await;
    let mine = story.ask(&[]).await;
    story.uma.get(&mine).await.answers(200, &["stage 1: 1 approver is asked"].map(capital));

    let page = max.get(&mine.replace("/my/requests", "/approvals")).await;
    page.answers(200, &["for 30 days, from its approval", "the request expires."]);
    let stage = page.between("name=\"stage\" value=\"", "\"");
    let fields = [("stage", stage.as_str()), ("decision", "deny")];
    let approval = mine.replace("/my/requests", "/approvals");
    max.post(&approval, &fields).await.leads();

    let page = max.get(&approval).await;
    page.answers(200, &["You denied it at ", "for 30 days, from its approval"]);
}

fn capital(text: &str) -> &str {
    text.trim_start_matches('s')
}

#[tokio::test]
async fn every_question_that_is_open_is_told_at_once() {
    let world = World::new().await;
    let questions = json!([
        { "@odata.type": "#microsoft.graph.accessPackageTextInputQuestion", "text": "Cost centre",
          "isRequired": true, "sequence": 1, "isSingleLineQuestion": true, "regexPattern": "[0-9]{4}" },
        { "@odata.type": "#microsoft.graph.accessPackageTextInputQuestion", "text": "Region",
          "isRequired": true, "sequence": 2, "isSingleLineQuestion": true },
    ]);
    let story = story(
        &world,
        json!({
            "questions": questions,
            "requestApprovalSettings": { "isRequestorJustificationRequired": true },
        }),
    )
    .await;
    let page = story.uma.get(&format!("/my/packages/{}", story.package)).await;
    let first = format!("answer-{}", page.between("name=\"answer-", "\""));

    let empty = story.uma.post(&story.form(), &[]).await;
    empty.answers(400, &["Say why you need it."]);
    assert_eq!(empty.html.matches("Answer this question.").count(), 2, "{}", empty.html);
    let short = story.uma.post(&story.form(), &[(&first, "12")]).await;
    short.answers(400, &["does not have the form that is asked for (the pattern [0-9]{4})"]);
    assert_eq!(short.html.matches("Answer this question.").count(), 1, "{}", short.html);
}

#[tokio::test]
async fn an_address_that_only_takes_forms_leads_to_their_page() {
    let world = World::new().await;
    let story = story(&world, json!({})).await;
    let rita = Reader::new(&world, "rita", &["Access package assignment manager:Marketing"]).await;
    let package = format!("/my/packages/{}", story.package);

    assert_eq!(story.uma.get(&story.form()).await.leads(), package);
    for (sent, page) in [
        ("/governance/plans", "/governance/jobs"),
        ("/governance/plans/1/run", "/governance/plans/1"),
        ("/governance/failures/1/retry", "/governance/failures"),
        ("/governance/requests/1/deliveries/2/retry", "/governance/requests/1"),
        ("/governance/packages/1/assignments/2/reprocess", "/governance/packages/1/assignments"),
        ("/governance/catalogs/1/roles/add", "/governance/catalogs/1"),
        ("/signout", "/"),
    ] {
        assert_eq!(rita.get(sent).await.leads(), page, "{sent}");
    }
    assert_eq!(rita.post("/governance/jobs", &[]).await.status, 405);
}

#[tokio::test]
async fn an_address_without_a_page_is_told_to_a_browser_as_a_page() {
    let world = World::new().await;
    let uma = Reader::new(&world, "uma", &[]).await;
    let page = "text/html,application/xhtml+xml";

    let nowhere = uma.accepting("/nope", page).await;
    nowhere.answers(404, &["<h1>Not found</h1>", "no page at this address", "uma@harbourline"]);
    assert!(uma.accepting("/nope", "application/json").await.html.starts_with('{'));
    assert!(uma.accepting("/v1.0/nope", page).await.html.starts_with('{'));
    let gone = uma.get("/my/requests/00000000-0000-4000-8000-000000000000").await;
    gone.answers(404, &["There is no such assignment request"]);
    gone.hides(&["00000000-0000-4000-8000-000000000000."]);
}
