//! Users from a CSV file.

use accede_app::Caller;
use accede_app::user_import::{OnBadLine, Report};
use serde_json::json;

use crate::world::{OURS, World, names};

async fn import(world: &World, csv: &str, on_bad_line: OnBadLine) -> Report {
    world.app.import_users(&Caller::system(), csv.as_bytes(), on_bad_line).await.unwrap()
}

fn counts(report: &Report) -> (usize, usize, usize, usize) {
    (report.created, report.changed, report.unchanged, report.bad)
}

#[tokio::test]
async fn people_are_added_changed_and_left_alone() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let csv = "\u{feff}manager,UserPrincipalName,displayName,department,jobTitle\r\n\
               olga@h.example,mira@h.example,\"Okafor, Mira\",Docks,Planner\r\n\
               ,olga@h.example,Olga,Docks,\r\n";

    assert_eq!(counts(&import(&world, csv, OnBadLine::Refuse).await), (2, 0, 0, 0));
    assert_eq!(counts(&import(&world, csv, OnBadLine::Refuse).await), (0, 0, 2, 0));
    let mira = ada.get("/v1.0/users/mira@h.example?$expand=manager").await.expect(200);
    assert_eq!(mira["displayName"], "Okafor, Mira");
    assert_eq!(mira["manager"]["displayName"], "Olga");

    let csv = "userPrincipalName,department,manager\nMIRA@H.example,,\nolga@h.example,Docks,\n";
    assert_eq!(counts(&import(&world, csv, OnBadLine::Refuse).await), (0, 1, 1, 0));
    let mira = ada.get("/v1.0/users/mira@h.example?$expand=manager").await.expect(200);
    assert_eq!(mira["department"], json!(null));
    assert_eq!(mira["jobTitle"], "Planner", "a column that the file does not have");
    assert_eq!(mira["manager"], json!(null));
}

#[tokio::test]
async fn wrong_lines_are_named_and_nothing_is_written() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let csv = "userPrincipalName,displayName,mail,userType,accountEnabled,manager\n\
               good@h.example,Good,,,,\n\
               bad,Bad,,,,\n\
               mail@h.example,Mail,nowhere,,,\n\
               kind@h.example,Kind,,Robot,,\n\
               flag@h.example,Flag,,,perhaps,\n\
               boss@h.example,Boss,,,,nobody@h.example\n\
               GOOD@h.example,Again,,,,\n\
               few@h.example\n\
               own@h.example,Own,,,,own@h.example\n\
               a@h.example,A,,,,b@h.example\n\
               b@h.example,B,,,,a@h.example\n\
               blank@h.example,,,,,\n";

    let report = import(&world, csv, OnBadLine::Refuse).await;

    let lines: Vec<u64> = report.bad_lines.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    let reasons: Vec<&str> = report.bad_lines.iter().map(|bad| bad.reason.as_str()).collect();
    for (reason, part) in reasons.iter().zip([
        "`userPrincipalName`",
        "`mail`",
        "`userType`",
        "`accountEnabled`",
        "`nobody@h.example`",
        "stands in line 2 too",
        "has 1 fields instead of 6",
        "their own manager",
        "their own manager",
        "their own manager",
        "`displayName`",
    ]) {
        assert!(reason.contains(part), "{reason} does not say {part}");
    }
    assert!(report.refused);
    assert_eq!(ada.get("/v1.0/users/$count").await.expect(200), json!(1));

    let report = import(&world, csv, OnBadLine::LeaveOut).await;
    assert_eq!(counts(&report), (1, 0, 0, 11));
    assert_eq!(ada.get("/v1.0/users/$count").await.expect(200), json!(2));
}

#[tokio::test]
async fn a_file_that_is_none_is_refused_whole() {
    let world = World::new().await;
    let refused = async |csv: &[u8]| {
        let outcome = world.app.import_users(&Caller::system(), csv, OnBadLine::LeaveOut).await;
        outcome.unwrap_err().to_string()
    };

    let told = refused(b"userPrincipalName,displyName\n").await;
    assert!(
        told.contains("`displyName`") && told.contains("did you mean `displayName`?"),
        "{told}"
    );
    assert!(refused(b"userPrincipalName,shoeSize\n").await.contains("there are userPrincipalName"));
    assert!(refused(b"displayName\n").await.contains("userPrincipalName"));
    assert!(refused(b"mail,mail,userPrincipalName\n").await.contains("twice"));
    assert!(refused(b"").await.contains("userPrincipalName"));
    assert!(refused(b"userPrincipalName\n\xff@h.example\n").await.contains("line 2 is not UTF-8"));
}

#[tokio::test]
async fn disabling_by_file_ends_sessions_and_tokens() {
    let world = World::new().await;
    world.user("uma").await;
    let door = world.person("uma", &[]).await;
    door.get("/v1.0/me").await.expect(200);

    let csv = "userPrincipalName,accountEnabled\numa@harbourline.example,false\n";
    assert_eq!(counts(&import(&world, csv, OnBadLine::Refuse).await), (0, 1, 0, 0));

    assert_eq!(door.get("/v1.0/me").await.refused(401), "InvalidAuthenticationToken");
}

#[tokio::test]
async fn more_than_one_batch_arrives_whole() {
    use std::fmt::Write as _;
    let world = World::new().await;
    let ada = world.administrator().await;
    let mut csv = String::from("userPrincipalName,displayName,manager\n");
    for number in 0..2_500 {
        let manager = if number == 2_499 { String::new() } else { "p2499@h.example".to_owned() };
        writeln!(csv, "p{number}@h.example,Person {number},{manager}").unwrap();
    }

    assert_eq!(counts(&import(&world, &csv, OnBadLine::Refuse).await), (2_500, 0, 0, 0));

    let path = "/v1.0/users/p2499@h.example/directReports?$top=2&$count=true";
    let page = ada.get(path).await.expect(200);
    assert_eq!(page["@odata.count"], 2_499);
    assert_eq!(names(&page), ["Person 0", "Person 1"]);
}

#[tokio::test]
async fn every_wrong_cell_of_a_line_is_told() {
    let world = World::new().await;
    let csv = "userPrincipalName,displayName,mail,userType,accountEnabled,manager\n\
               x,,y,Robot,perhaps,nobody@h.example\n";

    let report = import(&world, csv, OnBadLine::Refuse).await;

    assert_eq!((report.bad, report.bad_lines.len()), (1, 1));
    let reason = &report.bad_lines[0].reason;
    for column in
        ["userPrincipalName", "displayName", "mail", "userType", "accountEnabled", "manager"]
    {
        assert!(reason.contains(&format!("`{column}`")), "{column} is not in {reason}");
    }
}

#[tokio::test]
async fn the_api_imports_for_those_who_manage_users() {
    let world = World::new().await;
    let ada = world.administrator().await;
    world.user("uma").await;
    let uma = world.person("uma", &[]).await;
    let path = format!("{OURS}/users/import");
    let csv = "userPrincipalName,displayName\nmira@h.example,Mira\nbad,Bad\n";

    let refused = uma.upload(&path, "text/csv", csv).await.refused(403);
    assert_eq!(refused, "Authorization_RequestDenied");
    let refused = ada.upload(&path, "application/json", csv).await.refused(415);
    assert_eq!(refused, "UnsupportedMediaType");
    let report = ada.upload(&path, "text/csv", csv).await.expect(200);
    assert_eq!((&report["isRefused"], &report["bad"]), (&json!(true), &json!(1)));
    assert_eq!(report["badLines"][0]["line"], 3);
    let skipping = format!("{path}?skipBadLines=true");
    let report = ada.upload(&skipping, "text/csv; charset=utf-8", csv).await.expect(200);
    assert_eq!((&report["isRefused"], &report["created"]), (&json!(false), &json!(1)));
}
