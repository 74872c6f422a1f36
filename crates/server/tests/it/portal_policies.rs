//! Assignment policies in the portal, as a browser without scripts meets them.

use serde_json::{Value, json};

use crate::portal::{Page, Reader};
use crate::world::{Door, EM, World, id};

/// The fields of a form without a wish of its own.
const PLAIN: [(&str, &str); 4] =
    [("displayName", "Crew"), ("scope", "allMemberUsers"), ("stages", "0"), ("lasts", "never")];

/// A package, its administrator's door, and an owner of its catalog at the portal.
struct Stage<'w> {
    ada: Door<'w>,
    olga: Reader,
    package: String,
    tab: String,
}

impl<'w> Stage<'w> {
    async fn of(world: &'w World) -> Stage<'w> {
        let ada = world.administrator().await;
        let catalog = ada.catalog("Marketing").await;
        let package = ada.package(&catalog, "Campaign").await;
        let olga = Reader::new(world, "olga", &["Catalog owner:Marketing"]).await;
        let tab = format!("/governance/packages/{package}/policies");
        Stage { ada, olga, package, tab }
    }

    /// Sends the form of a new policy: the plain one with these fields instead or besides.
    async fn send(&self, fields: &[(&str, &str)]) -> Page {
        self.olga.post(&format!("{}/new", self.tab), &with(fields)).await
    }

    /// The policy that the form makes, read over Graph.
    async fn made(&self, fields: &[(&str, &str)]) -> Value {
        let to = self.send(fields).await.leads();
        self.read(&to).await
    }

    async fn read(&self, address: &str) -> Value {
        let id = address.split('?').next().unwrap().rsplit('/').next().unwrap();
        self.ada.get(&format!("{EM}/assignmentPolicies/{id}")).await.expect(200)
    }
}

fn with<'a>(fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let replaced = |name: &str| fields.iter().any(|(other, _)| *other == name);
    let plain = PLAIN.iter().copied().filter(|(name, _)| !replaced(name));
    plain.chain(fields.iter().copied()).collect()
}

/// The fields that a form without scripts sends as the page shows it.
fn shown(html: &str) -> Vec<(String, String)> {
    let unescaped = |text: &str| {
        text.replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&#60;", "<")
            .replace("&#62;", ">")
            .replace("&#38;", "&")
    };
    let value = |tag: &str, name: &str| {
        let rest = tag.split_once(&format!(" {name}=\""))?.1;
        Some(unescaped(rest.split('"').next().unwrap()))
    };
    let form = html.split("<section class=\"panel\"").nth(1).unwrap();
    let form = form.split("</form>").next().unwrap();
    let mut fields = Vec::new();
    for tag in form.split('<') {
        let (tag, text) = tag.split_once('>').unwrap_or((tag, ""));
        let Some(name) = value(tag, "name") else {
            if tag.starts_with("option ") && tag.ends_with(" selected") {
                let select: &mut (String, String) = fields.last_mut().unwrap();
                select.1 = value(tag, "value").unwrap();
            }
            continue;
        };
        let kind = value(tag, "type").unwrap_or_default();
        if name == "csrf" || (kind == "checkbox" || kind == "radio") && !tag.contains(" checked") {
            continue;
        }
        let value = if tag.starts_with("textarea") {
            let text = unescaped(text.strip_prefix('\n').unwrap_or(text));
            text.replace("\r\n", "\n").replace('\n', "\r\n")
        } else {
            value(tag, "value").unwrap_or_default()
        };
        fields.push((name, value));
    }
    fields
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[tokio::test]
async fn a_policy_of_each_kind_is_made_by_the_form() {
    let world = World::new().await;
    let stage = Stage::of(&world).await;

    let plain = stage.made(&[]).await;
    assert_eq!(plain["allowedTargetScope"], "allMemberUsers");
    assert_eq!(plain["expiration"]["type"], "noExpiration");
    assert_eq!(plain["requestApprovalSettings"]["isApprovalRequiredForAdd"], false);
    assert_eq!(plain["requestorSettings"]["enableTargetsToSelfAddAccess"], false);

    let everybody = [
        ("scope", "allDirectoryUsers"),
        ("settings", "add"),
        ("settings", "schedule"),
        ("settings", "managerAdd"),
        ("justification", "yes"),
    ];
    let everybody = stage.made(&everybody).await;
    assert_eq!(everybody["allowedTargetScope"], "allDirectoryUsers");
    let settings = &everybody["requestorSettings"];
    assert_eq!(settings["enableTargetsToSelfAddAccess"], true);
    assert_eq!(settings["enableTargetsToSelfRemoveAccess"], false);
    assert_eq!(settings["allowCustomAssignmentSchedule"], true);
    assert_eq!(settings["enableOnBehalfRequestorsToAddAccess"], true);
    assert_eq!(settings["enableOnBehalfRequestorsToRemoveAccess"], false);
    assert_eq!(everybody["requestApprovalSettings"]["isRequestorJustificationRequired"], true);

    let nobody = stage.made(&[("scope", "notSpecified")]).await;
    assert_eq!(nobody["allowedTargetScope"], "notSpecified");

    for (fields, wanted) in [
        ([("lasts", "days"), ("lasts.days", "30")], json!({"duration": "P30D"})),
        ([("lasts", "hours"), ("lasts.hours", "8")], json!({"duration": "PT8H"})),
        ([("lasts", "span"), ("lasts.span", "P6M")], json!({"duration": "P6M"})),
        (
            [("lasts", "date"), ("lasts.date", "2027-01-31T18:30")],
            json!({"endDateTime": "2027-01-31T18:30:00Z"}),
        ),
    ] {
        let made = stage.made(&fields).await;
        for (name, value) in wanted.as_object().unwrap() {
            assert_eq!(&made["expiration"][name], value, "{fields:?}");
        }
    }
}

#[tokio::test]
async fn people_groups_stages_and_questions_are_written_in_words() {
    let world = World::new().await;
    let stage = Stage::of(&world).await;
    let mira = world.user("mira").await;
    let crew = world.group("Deck \"A\" & crew", &[mira], &[]).await;
    let twin = world.group("Twins", &[], &[]).await;
    world.group("Twins", &[], &[]).await;
    let targets = format!(
        "Mira@harbourline.example\r\n  deck \"A\" & crew \r\n\r\n{twin}\r\n\
         mira@harbourline.example"
    );

    let to = stage
        .send(&[
            ("scope", "specificDirectoryUsers"),
            ("targets", &targets),
            ("stages", "2"),
            ("s1.approvers.manager", "1"),
            ("s1.fallback", "mira@harbourline.example"),
            ("s1.days", "14"),
            ("s1.why", "yes"),
            ("s2.approvers", "Deck \"A\" & crew"),
            ("s2.days", "PT12H"),
            ("s3.days", "14"),
            ("q1.text", "Cost centre"),
            ("q1.kind", "line"),
            ("q1.pattern", "[0-9]{4}"),
            ("q1.required", "yes"),
            ("q2.text", " "),
            ("q2.kind", "line"),
            ("q3.text", "Which campaigns?"),
            ("q3.kind", "several"),
            ("q3.choices", "spring = The spring campaign\r\nAutumn"),
        ])
        .await
        .leads();
    let made = stage.read(&to).await;

    let named = made["specificAllowedTargets"].as_array().unwrap();
    assert_eq!(named.len(), 3, "{named:#?}");
    assert_eq!(named[0]["userId"], mira.to_string());
    assert_eq!(named[1]["groupId"], crew.to_string());
    assert_eq!(named[2]["groupId"], twin.to_string());
    let approval = &made["requestApprovalSettings"];
    assert_eq!(approval["isApprovalRequiredForAdd"], true);
    let stages = approval["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 2);
    assert_eq!(stages[0]["primaryApprovers"][0]["managerLevel"], 1);
    assert_eq!(stages[0]["fallbackPrimaryApprovers"][0]["userId"], mira.to_string());
    assert_eq!(stages[0]["durationBeforeAutomaticDenial"], "P14D");
    assert_eq!(stages[0]["isApproverJustificationRequired"], true);
    assert_eq!(stages[1]["primaryApprovers"][0]["groupId"], crew.to_string());
    assert_eq!(stages[1]["durationBeforeAutomaticDenial"], "PT12H");
    assert_eq!(stages[1]["isApproverJustificationRequired"], false);
    let questions = made["questions"].as_array().unwrap();
    assert_eq!(questions.len(), 2, "an empty row is no question");
    assert_eq!(questions[0]["regexPattern"], "[0-9]{4}");
    assert_eq!(questions[0]["isRequired"], true);
    assert_eq!(questions[1]["isMultipleSelectionAllowed"], true);
    assert_eq!(questions[1]["choices"][0]["actualValue"], "spring");
    assert_eq!(questions[1]["choices"][0]["text"], "The spring campaign");
    assert_eq!(questions[1]["choices"][1]["actualValue"], "Autumn");

    stage.olga.get(&to).await.expect(200).says(&[
        "Created.",
        "Approval, stage 1",
        "The requestor&#39;s manager",
        "12 hours",
        "matching [0-9]{4}",
        "The spring campaign",
        "Must be answered",
    ]);
    stage.olga.get(&stage.tab).await.expect(200).says(&["Crew", "then", "New policy"]);
}

/// Fields, the one that is wrong, and what is told beside it.
type Bad<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

#[tokio::test]
async fn every_bad_field_is_told_beside_it_and_nothing_typed_is_lost() {
    let world = World::new().await;
    let stage = Stage::of(&world).await;
    world.group("Twins", &[], &[]).await;
    world.group("Twins", &[], &[]).await;
    let named = ("scope", "specificDirectoryUsers");
    let one = ("stages", "1");
    let manager = ("s1.approvers.manager", "1");
    let days = ("s1.days", "14");
    let cases: &[Bad<'_>] = &[
        (&[("displayName", " ")], "displayName", "Give it a name"),
        (&[("displayName", &"x".repeat(300))], "displayName", "the limit is"),
        (&[("description", "a\u{7}b")], "description", "control characters"),
        (&[("scope", "everything")], "scope", "Choose who"),
        (&[named], "targets", "at least one person or group"),
        (&[named, ("targets", "Twins")], "targets", "write the id of the one you mean: Twins"),
        (&[("targets", "mira")], "scope", "named below"),
        (&[("stages", "4")], "stages", "how many stages"),
        (&[("s2.approvers", "Twins")], "stages", "Stage 2 is filled in"),
        (&[one, days], "s1.approvers", "at least one person or group"),
        (&[one, days, ("s1.approvers", "ghost")], "s1.approvers", "ghost"),
        (&[one, days, manager, ("s1.fallback", "ghost")], "s1.fallback", "ghost"),
        (&[one, manager, ("s1.days", "soon")], "s1.days", "a number of days"),
        (&[one, manager, ("s1.days", "0")], "s1.days", "a number of days"),
        (&[one, manager, ("s1.days", "9999")], "s1.days", "at most 366 days"),
        (&[("lasts", "")], "lasts", "Choose how long"),
        (&[("lasts", "days")], "lasts.days", "a number of days"),
        (&[("lasts", "days"), ("lasts.days", "-1")], "lasts.days", "a number of days"),
        (&[("lasts", "days"), ("lasts.days", "0")], "lasts.days", "longer than nothing"),
        (&[("lasts", "days"), ("lasts.days", "999999")], "lasts.days", "at most 100 years"),
        (&[("lasts", "hours"), ("lasts.hours", "x")], "lasts.hours", "a number of hours"),
        (&[("lasts", "span"), ("lasts.span", "long")], "lasts.span", "ISO 8601"),
        (&[("lasts", "date"), ("lasts.date", "tomorrow")], "lasts.date", "date and time"),
        (&[("lasts.days", "3")], "lasts", "another answer"),
        (&[("q2.pattern", "x")], "q2.text", "write what is asked"),
        (&[("q1.text", "A?"), ("q3.text", "B?"), ("q3.pattern", "[")], "q3.pattern", "regular"),
        (&[("q1.text", "A?"), ("q1.choices", "x")], "q1.choices", "only a list"),
        (&[("q1.text", "A?"), ("q1.kind", "one")], "q1.choices", "at least one choice"),
        (&[("q1.text", "A?"), ("q1.kind", "one"), ("q1.choices", "x")], "q1.pattern", "only text"),
        (
            &[("q2.text", "A?"), ("q2.kind", "one"), ("q2.choices", "x = A\r\nx = B")],
            "q2.choices",
            "give each its own",
        ),
    ];
    for (fields, field, told) in cases {
        let mut fields = fields.to_vec();
        if *field == "q1.pattern" {
            fields.push(("q1.pattern", "x+"));
        }
        let page = stage.send(&fields).await.expect(400);
        let text = page.between(&format!("id=\"{field}-error\">"), "\n").to_lowercase();
        assert!(text.contains(&told.to_lowercase()), "`{told}` is not beside {field}: {text}");
        page.hides(&["class=\"notice bad\""]);
        let kept = shown(&page.html);
        for (name, value) in with(&fields) {
            let chosen = ["scope", "stages", "lasts"].contains(&name);
            let is_kept = kept.iter().any(|(other, typed)| other == name && typed == value);
            assert!(is_kept || chosen && *field == name, "{name} is lost: {kept:#?}");
        }
    }
    let policies = format!("{EM}/accessPackages/{}?$expand=assignmentPolicies", stage.package);
    let read = stage.ada.get(&policies).await.expect(200);
    assert_eq!(read["assignmentPolicies"], json!([]), "nothing was made");

    // Every wrong line is named.
    let lines = [named, ("targets", "ghost\r\nTwins\r\nphantom\r\nolga@harbourline.example")];
    let page = stage.send(&lines).await.expect(400);
    page.says(&["group this name: ghost, phantom; several", "you mean: Twins."]);
}

/// A policy with everything that the form does not show.
fn odd(package: &str, user: &str, group: &str) -> Value {
    json!({
        "displayName": "Odd", "description": " Two\nlines ",
        "allowedTargetScope": "specificDirectoryUsers",
        "specificAllowedTargets": [
            { "@odata.type": "#microsoft.graph.groupMembers", "groupId": group },
            { "@odata.type": "#microsoft.graph.singleUser", "userId": user }
        ],
        "expiration": { "type": "afterDateTime", "endDateTime": "2027-01-31T18:30:45Z" },
        "requestorSettings": {
            "enableTargetsToSelfAddAccess": true, "enableTargetsToSelfUpdateAccess": true,
            "enableOnBehalfRequestorsToUpdateAccess": true
        },
        "requestApprovalSettings": {
            "isApprovalRequiredForAdd": true, "isApprovalRequiredForUpdate": true,
            "stages": [{
                "durationBeforeAutomaticDenial": "P1DT12H",
                "primaryApprovers": [
                    { "@odata.type": "#microsoft.graph.groupMembers", "groupId": group },
                    { "@odata.type": "#microsoft.graph.requestorManager", "managerLevel": 2 }
                ],
                "fallbackPrimaryApprovers": [
                    { "@odata.type": "#microsoft.graph.singleUser", "userId": user }
                ]
            }]
        },
        "notificationSettings": { "isAssignmentNotificationDisabled": true },
        "questions": [
            { "@odata.type": "#microsoft.graph.accessPackageMultipleChoiceQuestion",
              "sequence": 7, "isRequired": true, "isAnswerEditable": false, "text": "Watch <b>?",
              "choices": [{ "actualValue": "a = b", "text": "Day" },
                          { "actualValue": "night", "text": "night" }] },
            { "@odata.type": "#microsoft.graph.accessPackageTextInputQuestion",
              "sequence": 3, "isAnswerEditable": true, "text": "Call \"sign\"\nof the vessel",
              "isSingleLineQuestion": false, "regexPattern": " [A-Z]+" }
        ],
        "accessPackage": { "id": package }
    })
}

#[tokio::test]
async fn editing_keeps_what_the_form_does_not_show() {
    let world = World::new().await;
    let stage = Stage::of(&world).await;
    let mira = world.user("mira").await;
    let group = world.group("Deck", &[], &[]).await;
    world.group("Deck", &[], &[]).await;
    let body = odd(&stage.package, &mira.to_string(), &group.to_string());
    let made = stage.ada.post(&format!("{EM}/assignmentPolicies"), body).await.expect(201);
    let path = format!("{}/{}", stage.tab, id(&made));
    let stable = |mut policy: Value| {
        let object = policy.as_object_mut().unwrap();
        for volatile in ["modifiedDateTime", "@odata.etag", "@odata.context"] {
            object.remove(volatile);
        }
        policy
    };
    let before = stable(stage.read(&path).await);

    let page = stage.olga.get(&format!("{path}/edit")).await.expect(200);
    let fields = shown(&page.html);
    stage.olga.post(&format!("{path}/edit"), &borrowed(&fields)).await.leads();
    assert_eq!(stable(stage.read(&path).await), before, "saving what is shown changes nothing");

    // One thing changed, one question removed, one added: the rest stays.
    let page = stage.olga.get(&format!("{path}/edit")).await.expect(200);
    let mut fields = shown(&page.html);
    for (name, value) in &mut fields {
        match name.as_str() {
            "displayName" => "Even".clone_into(value),
            "q3.text" => "New?".clone_into(value),
            _ => {}
        }
    }
    fields.push(("q1.remove".to_owned(), "yes".to_owned()));
    stage.olga.post(&format!("{path}/edit"), &borrowed(&fields)).await.leads();
    let after = stage.read(&path).await;
    assert_eq!(after["displayName"], "Even");
    assert_eq!(after["questions"][0], before["questions"][0], "the first in store is row two");
    assert_eq!(after["questions"].as_array().unwrap().len(), 2);
    assert_eq!(after["questions"][1]["text"], "New?");
    assert_eq!(after["questions"][1]["sequence"], 8);
    assert_eq!(after["requestApprovalSettings"], before["requestApprovalSettings"]);
    assert_eq!(after["expiration"], before["expiration"]);

    // Approval is dropped, although its stage is still filled in as it was.
    let page = stage.olga.get(&format!("{path}/edit")).await.expect(200);
    let mut fields = shown(&page.html);
    fields.iter_mut().filter(|(name, _)| name == "stages").for_each(|(_, value)| {
        "0".clone_into(value);
    });
    stage.olga.post(&format!("{path}/edit"), &borrowed(&fields)).await.leads();
    let after = stage.read(&path).await;
    assert_eq!(after["requestApprovalSettings"]["isApprovalRequiredForAdd"], false);
    assert_eq!(after["requestApprovalSettings"]["stages"], json!([]));
}

#[tokio::test]
async fn who_was_overtaken_is_told_and_may_save_again() {
    let world = World::new().await;
    let stage = Stage::of(&world).await;
    let path = format!("{}/{}", stage.tab, id(&stage.made(&[]).await));
    let opened = shown(&stage.olga.get(&format!("{path}/edit")).await.expect(200).html);
    let mut first = opened.clone();
    first.push(("justification".to_owned(), "yes".to_owned()));
    stage.olga.post(&format!("{path}/edit"), &borrowed(&first)).await.leads();

    let mut second = opened;
    second.iter_mut().filter(|(name, _)| name == "displayName").for_each(|(_, value)| {
        "Second".clone_into(value);
    });
    let page = stage.olga.post(&format!("{path}/edit"), &borrowed(&second)).await.expect(400);
    page.says(&["Somebody else changed it", "value=\"Second\""]);
    assert_eq!(stage.read(&path).await["displayName"], "Crew");

    stage.olga.post(&format!("{path}/edit"), &borrowed(&shown(&page.html))).await.leads();
    assert_eq!(stage.read(&path).await["displayName"], "Second");
}

#[tokio::test]
async fn deleting_asks_first_and_a_refusal_says_why() {
    let world = World::new().await;
    let stage = Stage::of(&world).await;
    let used = format!("{}/{}", stage.tab, stage.ada.open_policy(&stage.package).await);
    let free = format!("{}/{}", stage.tab, id(&stage.made(&[]).await));
    let uma = world.user("uma").await;
    let request = json!({
        "requestType": "adminAdd",
        "assignment": {
            "targetId": uma.to_string(),
            "assignmentPolicyId": used.rsplit('/').next().unwrap(),
            "accessPackageId": stage.package,
        },
    });
    stage.ada.post(&format!("{EM}/assignmentRequests"), request).await.expect(201);
    world.work().await;

    let asked = stage.olga.get(&format!("{free}/delete")).await.expect(200);
    asked.says(&["Delete Crew?", "Delete the policy", "Keep it as it is"]);
    stage.olga.get(&free).await.expect(200);
    let to = stage.olga.post(&format!("{free}/delete"), &[]).await.leads();
    stage.olga.get(&to).await.expect(200).says(&["Deleted."]);
    stage.olga.get(&free).await.expect(404);

    let refused = stage.olga.post(&format!("{used}/delete"), &[]).await;
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    refused.says(&["assignments have not expired: 1", "Delete Everybody?"]);
    stage.olga.get(&used).await.expect(200);
}

#[tokio::test]
async fn only_who_may_change_policies_finds_how() {
    let world = World::new().await;
    let stage = Stage::of(&world).await;
    let policy = format!("{}/{}", stage.tab, stage.ada.open_policy(&stage.package).await);
    let cora = Reader::new(&world, "cora", &["Catalog reader:Marketing"]).await;
    let uma = Reader::new(&world, "uma", &[]).await;

    cora.get(&stage.tab).await.expect(200).hides(&["New policy"]);
    cora.get(&policy).await.expect(200).hides(&["/edit\"", "/delete\""]);
    for (reader, status) in [(&cora, 403), (&uma, 404)] {
        for page in [format!("{}/new", stage.tab), format!("{policy}/edit")] {
            reader.get(&page).await.expect(status);
            reader.post(&page, &PLAIN).await.expect(status);
        }
        reader.get(&format!("{policy}/delete")).await.expect(status);
        reader.post(&format!("{policy}/delete"), &[]).await.expect(status);
    }
    let other = stage.ada.package(&stage.ada.catalog("Other").await, "Other").await;
    let elsewhere = policy.replace(&stage.package, &other);
    Reader::new(&world, "ingrid", &["Identity Governance Administrator"])
        .await
        .get(&elsewhere)
        .await
        .expect(404);
    stage.olga.post_with(&format!("{}/new", stage.tab), "stale", &PLAIN).await.expect(403);
}

#[tokio::test]
async fn an_end_that_is_over_is_told_at_its_field() {
    let world = World::new().await;
    let stage = Stage::of(&world).await;
    let past = [("lasts", "date"), ("lasts.date", "2020-01-01T00:00")];

    let refused = stage.send(&past).await;
    refused.answers(400, &["id=\"lasts.date-error\"", "2020-01-01 00:00 UTC is over already"]);
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_policy_is_told_at_once() {
    let world = World::new().await;
    let stage = Stage::of(&world).await;

    let page = stage
        .send(&[
            ("displayName", " "),
            ("scope", "specificDirectoryUsers"),
            ("targets", "nobody@h.example"),
            ("stages", "2"),
            ("s1.approvers", ""),
            ("s1.days", "soon"),
            ("s2.approvers", "no such group"),
            ("s2.days", "3"),
            ("lasts", "days"),
            ("lasts.days", "many"),
            ("q1.text", ""),
            ("q1.kind", "one"),
            ("q1.choices", "Red"),
            ("q2.text", "Which ship?"),
            ("q2.kind", "one"),
            ("q2.choices", ""),
        ])
        .await;

    page.answers(
        400,
        &[
            "Give it a name.",
            "no group this name: nobody@h.example.",
            "Name at least one person or group, or choose a manager above.",
            "Write a number of days from 1",
            "no group this name: no such group.",
            "Write a number of days, such as 30.",
            "Write what is asked, or empty the whole row.",
            "Write at least one choice.",
        ],
    );
}
