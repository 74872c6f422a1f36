//! Assignment policies: read strictly, replaced as a whole.

use serde_json::{Value, json};

use crate::world::{EM, World, id, names};

fn full(package: &str, group: &str, user: &str) -> Value {
    json!({
        "displayName": "Crew self-request", "description": "Officers ask, bridge manager approves",
        "allowedTargetScope": "specificDirectoryUsers",
        "specificAllowedTargets": [
            { "@odata.type": "#microsoft.graph.groupMembers", "groupId": group, "description": "x" }
        ],
        "expiration": { "type": "afterDuration", "duration": "P180D" },
        "requestorSettings": {
            "enableTargetsToSelfAddAccess": "true", "enableTargetsToSelfUpdateAccess": true,
            "enableTargetsToSelfRemoveAccess": true, "allowCustomAssignmentSchedule": true,
            "enableOnBehalfRequestorsToAddAccess": true,
            "enableOnBehalfRequestorsToUpdateAccess": false,
            "enableOnBehalfRequestorsToRemoveAccess": false, "onBehalfRequestors": []
        },
        "requestApprovalSettings": {
            "isApprovalRequiredForAdd": true, "isApprovalRequiredForUpdate": false,
            "isRequestorJustificationRequired": true,
            "stages": [{
                "durationBeforeAutomaticDenial": "P5D", "isApproverJustificationRequired": false,
                "isEscalationEnabled": false, "durationBeforeEscalation": "PT0S",
                "primaryApprovers": [
                    { "managerLevel": "1", "@odata.type": "microsoft.graph.requestorManager" }
                ],
                "fallbackPrimaryApprovers": [
                    { "@odata.type": "#microsoft.graph.singleUser", "userId": user }
                ],
                "escalationApprovers": [], "fallbackEscalationApprovers": []
            }]
        },
        "reviewSettings": { "isEnabled": false },
        "automaticRequestSettings": null,
        "notificationSettings": { "isAssignmentNotificationDisabled": false },
        "questions": [
            { "@odata.type": "#microsoft.graph.accessPackageTextInputQuestion", "sequence": 1,
              "isRequired": true, "isAnswerEditable": true, "text": "Vessel call sign",
              "localizations": [], "isSingleLineQuestion": true,
              "regexPattern": "^[A-Z0-9]{4,7}$" },
            { "@odata.type": "#microsoft.graph.accessPackageMultipleChoiceQuestion", "sequence": 2,
              "isRequired": false, "text": "Watch", "isMultipleSelectionAllowed": false,
              "choices": [{ "actualValue": "day", "text": "Day", "localizations": [] }] }
        ],
        "customExtensionStageSettings": [],
        "accessPackage": { "id": package }
    })
}

/// A world with a package; its id, and those of a group and a user.
async fn crew(world: &World) -> (crate::world::Door<'_>, String, String, String) {
    let ada = world.administrator().await;
    let mira = world.user("mira").await;
    let group = world.group("Deck officers", &[mira], &[]).await;
    let catalog = ada.catalog("Vessel Operations").await;
    let package = ada.package(&catalog, "Deck Officer Starter").await;
    (ada, package, group.to_string(), mira.to_string())
}

#[tokio::test]
async fn a_full_policy_is_kept_and_shown_in_graphs_shape() {
    let world = World::new().await;
    let (ada, package, group, user) = crew(&world).await;

    let made = ada.post(&format!("{EM}/assignmentPolicies"), full(&package, &group, &user)).await;
    let made = made.expect(201);
    let read = ada.get(&format!("{EM}/assignmentPolicies/{}", id(&made))).await.expect(200);

    assert_eq!(read["specificAllowedTargets"][0]["@odata.type"], "#microsoft.graph.groupMembers");
    assert_eq!(read["specificAllowedTargets"][0]["description"], "Deck officers");
    assert_eq!(
        read["expiration"],
        json!({ "type": "afterDuration", "duration": "P180D", "endDateTime": null })
    );
    assert_eq!(read["requestorSettings"]["enableTargetsToSelfAddAccess"], true);
    let stage = &read["requestApprovalSettings"]["stages"][0];
    assert_eq!(stage["durationBeforeAutomaticDenial"], "P5D");
    assert_eq!(stage["primaryApprovers"][0]["managerLevel"], 1);
    assert_eq!(stage["primaryApprovers"][0]["@odata.type"], "#microsoft.graph.requestorManager");
    assert_eq!(stage["fallbackPrimaryApprovers"][0]["description"], "mira");
    assert_eq!(read["questions"][1]["choices"][0]["actualValue"], "day");
    assert_ne!(read["questions"][0]["id"], read["questions"][1]["id"]);
    assert_eq!(read["automaticRequestSettings"], Value::Null);
    assert!(read.get("accessPackage").is_none());
    let expand = "$expand=accessPackage,catalog,customExtensionStageSettings";
    let path = format!("{EM}/assignmentPolicies/{}?{expand}", id(&made));
    let expanded = ada.get(&path).await.expect(200);
    assert_eq!(expanded["accessPackage"]["id"], package);
    assert_eq!(expanded["catalog"]["displayName"], "Vessel Operations");
}

#[tokio::test]
async fn what_a_read_answers_can_be_put_back() {
    let world = World::new().await;
    let (ada, package, group, user) = crew(&world).await;
    let made = ada.post(&format!("{EM}/assignmentPolicies"), full(&package, &group, &user)).await;
    let path = format!("{EM}/assignmentPolicies/{}", id(&made.expect(201)));
    let read = ada.get(&path).await.expect(200);

    world.later(1);
    let put = ada.put(&path, read.clone()).await.expect(200);

    let strip = |value: &Value| {
        let mut value = value.clone();
        let object = value.as_object_mut().unwrap();
        for volatile in ["modifiedDateTime", "@odata.etag", "@odata.context"] {
            object.remove(volatile);
        }
        value
    };
    assert_eq!(strip(&put), strip(&read));
    assert_ne!(put["modifiedDateTime"], read["modifiedDateTime"]);

    let mut changed = read;
    changed["questions"].as_array_mut().unwrap().remove(1);
    changed["expiration"] = json!({ "type": "noExpiration" });
    changed["displayName"] = json!("Renamed");
    let put = ada.put(&path, changed).await.expect(200);
    assert_eq!(put["questions"].as_array().unwrap().len(), 1);
    assert_eq!(put["expiration"]["type"], "noExpiration");
    assert_eq!(put["displayName"], "Renamed");
}

#[tokio::test]
async fn a_put_without_a_member_is_refused_and_there_is_no_patch() {
    let world = World::new().await;
    let (ada, package, group, user) = crew(&world).await;
    let made = ada.post(&format!("{EM}/assignmentPolicies"), full(&package, &group, &user)).await;
    let path = format!("{EM}/assignmentPolicies/{}", id(&made.expect(201)));
    let read = ada.get(&path).await.expect(200);

    for member in [
        "displayName",
        "description",
        "allowedTargetScope",
        "specificAllowedTargets",
        "expiration",
        "requestorSettings",
        "requestApprovalSettings",
        "questions",
    ] {
        let mut partial = read.clone();
        partial.as_object_mut().unwrap().remove(member);
        assert_eq!(ada.put(&path, partial).await.wrong(), member);
    }
    assert_eq!(ada.patch(&path, json!({})).await.refused(405), "Request_BadRequest");
    let mut moved = read.clone();
    let catalog = ada.catalog("Other").await;
    moved["accessPackage"] = json!({ "id": ada.package(&catalog, "Other").await });
    assert_eq!(ada.put(&path, moved).await.wrong(), "accessPackage.id");
}

#[tokio::test]
async fn what_is_not_kept_is_refused_by_name() {
    let world = World::new().await;
    let (ada, package, group, user) = crew(&world).await;
    let path = format!("{EM}/assignmentPolicies");
    let with = |pointer: &str, value: Value| {
        let mut body = full(&package, &group, &user);
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        body
    };
    let stage = "requestApprovalSettings.stages[0]";
    let outsiders = json!([{ "@odata.type": "#microsoft.graph.internalSponsors" }]);
    for (pointer, value, told) in [
        ("/allowedTargetScope", json!("allExternalUsers"), "allowedTargetScope".to_owned()),
        ("/allowedTargetScope", json!("everybody"), "allowedTargetScope".to_owned()),
        ("/reviewSettings", json!({ "isEnabled": true }), "reviewSettings.isEnabled".to_owned()),
        (
            "/automaticRequestSettings",
            json!({ "requestAccessForAllowedTargets": true }),
            "automaticRequestSettings.requestAccessForAllowedTargets".to_owned(),
        ),
        (
            "/customExtensionStageSettings",
            json!([{ "stage": "assignmentRequestCreated" }]),
            "customExtensionStageSettings".to_owned(),
        ),
        (
            "/requestApprovalSettings/stages/0/isEscalationEnabled",
            json!(true),
            format!("{stage}.isEscalationEnabled"),
        ),
        (
            "/requestApprovalSettings/stages/0/escalationApprovers",
            json!([{ "@odata.type": "#microsoft.graph.singleUser", "userId": user }]),
            format!("{stage}.escalationApprovers"),
        ),
        (
            "/requestApprovalSettings/stages/0/primaryApprovers",
            outsiders,
            format!("{stage}.primaryApprovers[0].@odata.type"),
        ),
        (
            "/requestorSettings/onBehalfRequestors",
            json!([{ "@odata.type": "#microsoft.graph.singleUser", "userId": user }]),
            "requestorSettings.onBehalfRequestors".to_owned(),
        ),
        (
            "/questions/0/localizations",
            json!([{ "languageCode": "sv", "text": "x" }]),
            "questions[0].localizations".to_owned(),
        ),
        ("/questions/0/regexPattern", json!("(["), "questions[0].regexPattern".to_owned()),
        ("/questions/1/choices", json!([]), "questions[1].choices".to_owned()),
        ("/specificAllowedTargets", json!([]), "specificAllowedTargets".to_owned()),
        (
            "/specificAllowedTargets/0/groupId",
            json!("5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004"),
            "specificAllowedTargets[0].groupId".to_owned(),
        ),
        (
            "/requestApprovalSettings/stages/0/durationBeforeAutomaticDenial",
            json!("P2000D"),
            format!("{stage}.durationBeforeAutomaticDenial"),
        ),
        ("/expiration", json!({ "type": "afterDuration" }), "expiration.duration".to_owned()),
        ("/displayName", json!(""), "displayName".to_owned()),
        ("/surprise", json!(1), "surprise".to_owned()),
    ] {
        let answer = ada.post(&path, with(pointer, value)).await;
        assert_eq!(answer.wrong(), told, "{pointer}");
    }
    let kept = ada.get(&format!("{path}?$filter=accessPackage/Id eq '{package}'")).await;
    assert_eq!(names(&kept.expect(200)), [""; 0]);
}

#[tokio::test]
async fn a_direct_policy_needs_little_and_admits_nobody() {
    let world = World::new().await;
    let (ada, package, _, _) = crew(&world).await;

    let body = json!({
        "displayName": "Direct", "description": "", "allowedTargetScope": "notSpecified",
        "specificAllowedTargets": [], "accessPackage": { "id": package },
    });
    let made = ada.post(&format!("{EM}/assignmentPolicies"), body).await.expect(201);

    assert_eq!(made["expiration"]["type"], "notSpecified");
    assert_eq!(made["requestApprovalSettings"]["stages"], json!([]));
    let mira = world.person("mira", &[]).await;
    let path = format!("{EM}/accessPackages/filterByCurrentUser(on='allowedRequestor')");
    assert_eq!(mira.get(&path).await.expect(200)["value"], json!([]));
    ada.delete(&format!("{EM}/assignmentPolicies/{}", id(&made))).await.expect(204);
    assert_eq!(ada.get(&format!("{EM}/assignmentPolicies/{}", id(&made))).await.status, 404);
}

#[tokio::test]
async fn a_policy_with_an_open_request_stays() {
    let world = World::new().await;
    let (ada, package, group, user) = crew(&world).await;
    let mut body = full(&package, &group, &user);
    body["questions"] = json!([]);
    let made = ada.post(&format!("{EM}/assignmentPolicies"), body).await.expect(201);
    let other = world.user("fred").await;
    let mut change = ada.get(&format!("{EM}/assignmentPolicies/{}", id(&made))).await.expect(200);
    change["requestApprovalSettings"]["stages"][0]["fallbackPrimaryApprovers"] =
        json!([{ "@odata.type": "#microsoft.graph.singleUser", "userId": other }]);
    ada.put(&format!("{EM}/assignmentPolicies/{}", id(&made)), change).await.expect(200);
    let mira = world.person("mira", &[]).await;
    let request = json!({
        "requestType": "userAdd", "justification": "Joining MV Sandpiper",
        "assignment": { "accessPackageId": package, "assignmentPolicyId": id(&made) },
    });
    mira.post(&format!("{EM}/assignmentRequests"), request).await.expect(201);

    let answer = ada.delete(&format!("{EM}/assignmentPolicies/{}", id(&made))).await;
    assert_eq!(answer.refused(409), "PolicyHasOpenRequests");
    let answer = ada.delete(&format!("{EM}/accessPackages/{package}")).await;
    assert_eq!(answer.refused(409), "AccessPackageHasOpenRequests");
}
