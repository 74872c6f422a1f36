//! The main job against target systems that nobody here wrote: from connecting one to what is true in it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::real::Server;
use crate::world::{Door, EM, OURS, World, id};

/// Runs SQL on a cluster of `tests/real/postgres` as its superuser.
fn psql(port: u16, sql: &str) -> String {
    let url = format!("postgres://postgres:secret@127.0.0.1:{port}/postgres");
    let arguments = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", sql];
    let output = Command::new("psql").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{sql}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Lets a package of a new catalog give the only resource that a search finds; the package and its
/// policy.
pub async fn package_of(ada: &Door<'_>, target: &str, search: &str) -> (String, String) {
    let path = format!("{OURS}/targets/{target}/discover?search={search}");
    let found = ada.get(&path).await.expect(200);
    let [only] = found["value"].as_array().unwrap().as_slice() else { panic!("{found:#}") };
    let origin = only["originId"].as_str().unwrap();
    let catalog = ada.catalog(&format!("{target} {search}")).await;
    ada.resource(&catalog, target, origin).await;
    let package = ada.package(&catalog, search).await;
    ada.role(&catalog, &package, origin).await;
    let policy = ada.open_policy(&package).await;
    (package, policy)
}

/// Assigns a package, works, and answers the assignment as it came to be.
pub async fn assigned(world: &World, ada: &Door<'_>, user: &str, of: &(String, String)) -> Value {
    let (package, policy) = of;
    let assignment =
        json!({ "targetId": user, "assignmentPolicyId": policy, "accessPackageId": package });
    let request = json!({ "requestType": "adminAdd", "assignment": assignment });
    let request = ada.post(&format!("{EM}/assignmentRequests"), request).await.expect(201);
    world.work().await;
    let path = format!("{EM}/assignmentRequests/{}?$expand=assignment", id(&request));
    ada.get(&path).await.expect(200)
}

/// Ends the only assignment of a person, and works.
pub async fn ended(world: &World, ada: &Door<'_>, user: &str) {
    let path = format!("{EM}/assignments?$filter=target/objectId eq '{user}'");
    let assignment = id(&ada.get(&path).await.expect(200)["value"][0]);
    let remove = json!({ "requestType": "adminRemove", "assignment": { "id": assignment } });
    ada.post(&format!("{EM}/assignmentRequests"), remove).await.expect(201);
    world.work().await;
}

#[tokio::test]
async fn roles_of_postgres_are_given_and_taken_like_any_others() {
    let cluster = Server::start("postgres", &[], &[])
        .once_it_says("ready to accept connections")
        .ends_by("QUIT");
    let authority = std::fs::read_to_string(cluster.directory.path().join("ca.pem")).unwrap();
    let sql = |text: &str| psql(cluster.port, text);
    sql(
        "create role reporting; create role uma login; grant reporting to joiner with admin option",
    );
    let members = "select string_agg(m.rolname, ',') from pg_auth_members a \
                   join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member \
                   where r.rolname = 'reporting' and m.rolname <> 'joiner'";
    let world = World::near().await;
    let ada = world.administrator().await;
    let uma = world.user("uma").await.to_string();
    let vic = world.user("vic").await.to_string();
    let target = json!({
        "name": "warehouse", "kind": "postgres",
        "settings": {
            "host": "localhost", "port": cluster.port, "user": "joiner", "caCertificate": authority,
            "userName": "localPart", "domain": "harbourline.example",
        },
        "secrets": { "password": "secret" },
    });
    ada.post(&format!("{OURS}/targets"), target).await.expect(201);
    let check = ada.act(&format!("{OURS}/targets/warehouse/check")).await.expect(200);
    assert_eq!(check["ok"], true, "{check:#}");
    let package = package_of(&ada, "warehouse", "report").await;

    let request = assigned(&world, &ada, &uma, &package).await;
    assert_eq!(request["state"], "delivered", "{request:#}");
    assert_eq!(sql(members), "uma");

    // Who has no login is told so; the request can be reprocessed when there is one.
    let request = assigned(&world, &ada, &vic, &package).await;
    assert_eq!(request["state"], "deliveryFailed", "{request:#}");
    let failures = ada.get(&format!("{OURS}/failures")).await.expect(200);
    assert_eq!(failures["value"][0]["code"], "account-missing", "{failures:#}");
    sql("create role vic login");
    let again = format!("{EM}/assignmentRequests/{}/reprocess", id(&request));
    ada.act(&again).await.expect(202);
    world.work().await;
    assert_eq!(sql(members), "uma,vic");

    // Ended, it is taken away again, and nobody else's is.
    ended(&world, &ada, &uma).await;
    assert_eq!(sql(members), "vic");
}

/// Asks a SCIM server of `tests/real/scim2-server`, directly.
fn scim(port: u16, method: &str, path: &str, body: &Value) -> Value {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let body = body.to_string();
    let head = format!(
        "{method} /v2{path} HTTP/1.0\r\nAuthorization: Bearer secret\r\n\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn entitlements_of_a_scim_server_are_given_and_taken_like_any_others() {
    let server = Server::start("scim2-server", &["full"], &[]);
    let world = World::near().await;
    let ada = world.administrator().await;
    let uma = world.user("uma").await.to_string();
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "uma@harbourline.example", "entitlements": [{ "value": "parking" }],
    });
    let account = id(&scim(server.port, "POST", "/Users", &user));
    let held = || {
        let user = scim(server.port, "GET", &format!("/Users/{account}"), &Value::Null);
        let all = user["entitlements"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| one["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let target = json!({
        "name": "wiki", "kind": "scim",
        "settings": {
            "baseUrl": format!("http://127.0.0.1:{}/v2", server.port), "entitlements": ["seat E5"],
        },
        "secrets": { "bearerToken": "secret" },
    });
    ada.post(&format!("{OURS}/targets"), target).await.expect(201);
    let package = package_of(&ada, "wiki", "seat").await;

    let request = assigned(&world, &ada, &uma, &package).await;
    assert_eq!(request["state"], "delivered", "{request:#}");
    assert_eq!(held(), ["parking", "seat E5"]);
    ended(&world, &ada, &uma).await;
    assert_eq!(held(), ["parking"]);
}

#[tokio::test]
async fn what_somebody_changes_in_a_scim_server_is_found_and_repaired_or_told() {
    let server = Server::start("scim2-server", &["full"], &[]);
    let world = World::near().await;
    let ada = world.administrator().await;
    let uma = world.user("uma").await.to_string();
    world.user("max").await;
    let account = |name: &str| {
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": name, "displayName": format!("{name} there"),
        });
        id(&scim(server.port, "POST", "/Users", &user))
    };
    let umas = account("uma@harbourline.example");
    let (maxs, robot) = (account("max@harbourline.example"), account("robot"));
    let schema = "urn:ietf:params:scim:schemas:core:2.0:Group";
    let crew = json!({ "schemas": [schema], "displayName": "Crew" });
    let crew = id(&scim(server.port, "POST", "/Groups", &crew));
    let members = || {
        let group = scim(server.port, "GET", &format!("/Groups/{crew}"), &Value::Null);
        let all = group["members"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| one["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let behind_our_back = |accounts: &[&str]| {
        let members: Vec<Value> = accounts.iter().map(|id| json!({ "value": id })).collect();
        let group = json!({
            "schemas": [schema], "id": crew, "displayName": "Crew", "members": members,
        });
        scim(server.port, "PUT", &format!("/Groups/{crew}"), &group);
    };
    let settings = json!({ "baseUrl": format!("http://127.0.0.1:{}/v2", server.port) });
    let target = json!({
        "name": "wiki", "kind": "scim", "settings": settings,
        "secrets": { "bearerToken": "secret" },
    });
    ada.post(&format!("{OURS}/targets"), target).await.expect(201);
    let package = package_of(&ada, "wiki", "Crew").await;
    assigned(&world, &ada, &uma, &package).await;
    world.later(1);
    world.work().await;
    assert_eq!(members(), std::slice::from_ref(&umas));

    // Uma is taken out and two others are put in; a day later that is found.
    behind_our_back(&[&maxs, &robot]);
    world.later(25);
    for _ in 0..4 {
        world.work().await;
        world.later(1);
    }

    let found = ada.get(&format!("{OURS}/drift?$orderby=firstSeenDateTime")).await.expect(200);
    let told = |kind: &str| -> Vec<Value> {
        let all = found["value"].as_array().unwrap();
        all.iter().filter(|one| one["kind"] == kind).cloned().collect()
    };
    let (missing, extra) = (told("missing"), told("extra"));
    assert_eq!(missing.len(), 1, "{found:#}");
    assert_eq!(missing[0]["state"], "repaired", "{found:#}");
    assert_eq!(missing[0]["person"]["displayName"], "uma", "{found:#}");
    assert_eq!(extra.len(), 2, "{found:#}");
    let of = |account: &str| extra.iter().find(|one| one["holder"]["id"] == account).unwrap();
    assert_eq!(of(&maxs)["person"]["userPrincipalName"], "max@harbourline.example", "{found:#}");
    assert_eq!(of(&robot)["person"], Value::Null, "{found:#}");
    assert_eq!(of(&robot)["holder"]["displayName"], "robot there", "{found:#}");
    let mut there = members();
    there.sort();
    let mut wanted = vec![umas.clone(), maxs.clone(), robot.clone()];
    wanted.sort();
    assert_eq!(there, wanted, "what is not ours stays");

    // One is accepted, the other one taken out; comparing sees both.
    let path = format!("{OURS}/drift/{}/dismiss", id(of(&robot)));
    ada.post(&path, json!({ "reason": "the build robot" })).await.expect(200);
    behind_our_back(&[&umas, &robot]);
    ada.act(&format!("{OURS}/targets/wiki/compare")).await.expect(202);
    for _ in 0..4 {
        world.later(1);
        world.work().await;
    }
    let state = async |finding: &Value| {
        let path = format!("{OURS}/drift/{}", id(finding));
        ada.get(&path).await.expect(200)["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(of(&maxs)).await, "gone");
    assert_eq!(state(of(&robot)).await, "dismissed");
    let target = ada.get(&format!("{OURS}/targets/wiki")).await.expect(200);
    assert_eq!(target["drift"]["isComparing"], false, "{target:#}");
    assert_eq!(target["drift"]["openFindings"], json!({}), "{target:#}");
}
