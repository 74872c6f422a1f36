//! What bodies are read and what is said about those that are not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use accede_domain::Timestamp;
use accede_domain::duration::Duration;
use accede_domain::id::PackageId;
use serde_json::json;

use super::object::link;
use super::*;

fn object(value: Value) -> Object {
    Object::root(value).unwrap_or_else(|error| panic!("{}", error.message()))
}

fn told<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("it was accepted"),
        Err(error) => {
            assert_eq!((error.status().as_u16(), error.code()), (400, "InvalidModel"));
            error.message().to_owned()
        }
    }
}

#[test]
fn every_spelling_of_a_name_is_found() {
    for name in ["accessPackageId", "AccessPackageId", "access_package_id", "ACCESSPACKAGEID"] {
        let mut body = object(json!({ name: "5D2B7F66-80A4-4F9E-8F0B-3B1B2C600004" }));

        let id: PackageId = body.require_id("accessPackageId").unwrap();
        assert_eq!(id.to_string(), "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004");
        body.finish(&[]).unwrap();
    }
}

#[test]
fn quoted_booleans_and_numbers_are_understood() {
    let mut body = object(json!({ "a": "True", "b": false, "c": "12", "d": 12 }));

    assert_eq!(body.take::<bool>("a").unwrap(), Some(true));
    assert_eq!(body.take::<bool>("b").unwrap(), Some(false));
    assert_eq!(body.take_int("c", 0..=12).unwrap(), Some(12));
    assert_eq!(body.require::<i64>("d").unwrap(), 12);
}

#[test]
fn null_and_absent_differ_where_it_matters() {
    let body = || object(json!({ "nothing": null, "text": "a" }));

    assert_eq!(body().take::<String>("nothing").unwrap(), None);
    assert_eq!(body().take::<String>("absent").unwrap(), None);
    assert_eq!(body().change_text("nothing", 9).unwrap(), Change::Clear);
    assert_eq!(body().change_text("absent", 9).unwrap(), Change::Keep);
    assert_eq!(body().change_text("text", 9).unwrap(), Change::Set("a".to_owned()));
    assert_eq!(told(body().set::<String>("nothing")), "`nothing` cannot be null");
    assert_eq!(Change::Keep.over(Some(1)), Some(1));
    assert_eq!(Change::Clear.over(Some(1)), None);
    assert_eq!(Change::Set(2).over(Some(1)), Some(2));
}

#[test]
fn errors_name_the_path() {
    let mut body = object(json!({
        "displayName": 5, "blank": " ", "long": "12345", "number": 1.5, "big": 70,
        "assignment": { "targetId": "7", "schedule": { "startDateTime": "2026-01-01T00:00:00" } },
        "answers": [{ "value": "a" }, { "value": [] }], "flags": [true, "maybe"], "scope": "a",
        "duration": "-P1D", "nul": "a\0b", "state": "publishd",
    }));

    assert_eq!(
        told(body.require_text("displayName", 9)),
        "`displayName` must be text, not a number"
    );
    assert_eq!(told(body.require_text("missing", 9)), "`missing` is required");
    assert_eq!(told(body.require_text("blank", 9)), "`blank` cannot be blank");
    assert_eq!(told(body.take_text("long", 4)), "`long` has 5 characters; the limit is 4");
    assert_eq!(told(body.take::<i64>("number")), "`number` must be a whole number, not a number");
    assert_eq!(told(body.take_int("big", 1..=64)), "`big` is 70; it must be from 1 to 64");
    let mut assignment: Object = body.require("assignment").unwrap();
    assert!(
        told(assignment.take_id::<PackageId>("targetId"))
            .starts_with("`assignment.targetId`: `7` is not a valid id")
    );
    let mut schedule: Object = assignment.require("schedule").unwrap();
    assert!(told(schedule.take::<Timestamp>("startDateTime")).starts_with(
        "`assignment.schedule.startDateTime` is `2026-01-01T00:00:00`, which has no offset"
    ));
    let mut answers: Vec<Object> = body.require("answers").unwrap();
    assert_eq!(
        told(answers.pop().unwrap().take::<String>("value")),
        "`answers[1].value` must be text, not a list"
    );
    assert_eq!(
        told(body.take::<Vec<bool>>("flags")),
        "`flags[1]` must be true or false, not the text `maybe`"
    );
    assert_eq!(told(body.take::<Object>("scope")), "`scope` must be a JSON object, not text");
    assert!(told(body.take::<Duration>("duration")).contains("negative"));
    assert!(told(body.take::<String>("nul")).contains("U+0000"));
    assert_eq!(
        told(body.take_member("state", &["published", "unpublished"])),
        "`state` is never `publishd`; it is one of `published`, `unpublished`"
    );
}

#[test]
fn types_are_known_in_every_spelling() {
    for name in [
        "#microsoft.graph.singleUser",
        "microsoft.graph.singleUser",
        "#Microsoft.Graph.SingleUser",
        "singleUser",
    ] {
        let mut body = object(json!({ "userId": "7", "@odata.type": name }));
        assert_eq!(body.require_type(&["groupMembers", "singleUser"]).unwrap(), "singleUser");
    }
    let mut body = object(json!({ "@odata.type": "#microsoft.graph.singleUsr" }));
    assert_eq!(
        told(body.take_type(&["groupMembers", "singleUser"])),
        "`@odata.type` is `#microsoft.graph.singleUsr`; it can be `#microsoft.graph.singleUser`, \
         `#microsoft.graph.groupMembers`"
    );
}

#[test]
fn nothing_is_lost_in_silence() {
    let read = |value: Value| {
        let mut body = object(value);
        body.take_text("displayName", 99)?;
        body.take_text("description", 99)?;
        body.finish(&["catalogType"])
    };

    read(json!({
        "@odata.context": "x", "id": "7", "createdDateTime": null, "CatalogType": "userManaged",
        "displayName": "a", "description@odata.type": "#String",
    }))
    .unwrap();
    for (sent, error) in [
        (
            json!({ "displayNme": "a" }),
            "`displayNme` is not a property that can be set here; did you mean `displayName`?",
        ),
        (
            json!({ "state": "delivered" }),
            "`state` is not a property that can be set here; what can be set is displayName, description",
        ),
        (
            json!({ "approvedBy": "me" }),
            "`approvedBy` is not a property that can be set here; what can be set is displayName, description",
        ),
        (
            json!({ "tenantId": "7" }),
            "`tenantId` is not a property that can be set here; what can be set is displayName, description",
        ),
        (
            json!({ "environment@odata.bind": "x" }),
            "`environment@odata.bind` is not a property that can be set here; what can be set is displayName, description",
        ),
        (
            json!({ "displayName": "a", "DisplayName": "b" }),
            "`displayName` is given twice, the other time as `DisplayName`",
        ),
    ] {
        let result = Object::root(sent.clone()).map(drop).and_then(|()| read(sent));
        assert_eq!(told(result), error);
    }
}

#[test]
fn links_give_their_last_id() {
    for (text, id) in [
        ("https://graph.microsoft.com/v1.0/users/7a", Some("7a")),
        ("https://host/v1.0/directoryObjects('7a')/", Some("7a")),
        ("http://127.0.0.1:1/v1.0/groups/7a/$ref?x=1", Some("7a")),
        ("users/mira%40harbourline.example", Some("mira@harbourline.example")),
        ("", None),
        ("https://host/users/(", None),
    ] {
        assert_eq!(link(text).as_deref(), id, "{text}");
    }
}

#[test]
fn hostile_text_is_text() {
    for text in ["' OR 1=1 --", "*)(uid=*", "=cmd|' /C calc'!A0", "<script>", "\u{202e}x"] {
        let mut body = object(json!({ "displayName": text }));
        assert_eq!(body.require_text("displayName", 99).unwrap(), text);
    }
}

#[test]
fn bodies_that_are_not_json_say_where() {
    assert_eq!(
        told(json(b"{\n  \"a\": ,\n}")),
        "the body is not valid JSON: expected value at line 2 column 8"
    );
    assert_eq!(json(b" \r\n").unwrap(), None);
    assert_eq!(json(b"null").unwrap(), Some(Value::Null));
    assert_eq!(json(b"\xEF\xBB\xBF{}").unwrap(), Some(json!({})));
    assert!(told(json(b"{\"a\": \"\xFF\"}")).contains("not valid JSON"));
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(json(nested(64).as_bytes()).is_ok());
    assert!(told(json(nested(65).as_bytes())).contains("the limit is 64"));
    assert!(told(json("[".repeat(1_000_000).as_bytes())).contains("the limit is 64"));
    assert!(json(br#"{"a": "[[[[\"[[["}"#).is_ok());
    assert_eq!(told(Object::root(json!([1]))), "the body must be a JSON object, not a list");
    assert_eq!(
        told(object(json!({ "a": vec![0; 1001] })).take::<Vec<i64>>("a")),
        "`a` has 1001 items; the limit is 1000"
    );
}
