//! The wire as clients see it, over a few routes of no meaning.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use accede_app::Page;
use accede_app::clock::{ManualClock, SeededEntropy};
use accede_domain::id::PackageId;
use axum::body::{Body as Stream, to_bytes};
use axum::http::{HeaderMap, Request as HttpRequest, Uri};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use super::body::{Body, Key, NoBody};
use super::names::Parameters;
use super::query::{Query, Shape};
use super::respond::Wire;
use super::*;

const SET: &str = "identityGovernance/entitlementManagement/accessPackages";
const EM: &str = "/v1.0/identityGovernance/entitlementManagement";
const ID: &str = "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004";
const GRAPH_JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;\
                          IEEE754Compatible=false;charset=utf-8";

const PACKAGE: Shape =
    Shape { name: "accessPackage", properties: &["id", "displayName"], navigations: &["catalog"] };

fn package(id: &str) -> Map<String, Value> {
    let object = json!({
        "@odata.type": "#microsoft.graph.accessPackage", "id": id, "displayName": "Sales",
    });
    let Value::Object(object) = object else { panic!("not an object") };
    object
}

async fn list(wire: Wire, query: Query) -> Result<Response> {
    query.fits(&PACKAGE)?;
    let left = if query.skip < 5 { query.top.unwrap_or(2) } else { 0 };
    let items = (0..left).map(|n| package(&n.to_string())).collect();
    let next = Some("a+b/c=".to_owned()).filter(|_| query.skiptoken.is_none());
    let page = Page { items, next, count: query.count.then_some(5) };
    Ok(wire.collection(SET, &query, page))
}

async fn create(wire: Wire, Body(mut body): Body) -> Result<Response> {
    body.require_text("displayName", 256)?;
    body.finish(&[])?;
    Ok(wire.created(SET, ID, package(ID)))
}

async fn one(wire: Wire, Key(id): Key<PackageId>, query: Query) -> Response {
    wire.entity(SET, &query, package(&id.to_string()))
}

async fn reprocess(Key(_): Key<PackageId>, NoBody: NoBody) -> StatusCode {
    StatusCode::ACCEPTED
}

async fn mine(parameters: Parameters) -> Result<String> {
    Ok(parameters.require("on")?.to_owned())
}

async fn kind(wire: Wire) -> &'static str {
    wire.member("approverRemove", true)
}

async fn broken() -> Result<StatusCode> {
    Err(ApiError::internal(&std::io::Error::other("password=hunter2")))
}

async fn panics() -> StatusCode {
    panic!("a fault of ours")
}

fn web(public_url: Option<&str>) -> Web {
    Web {
        public_url: public_url.map(|url| url.parse().unwrap()),
        clock: Arc::new(ManualClock::new("2026-08-20T10:15:00Z".parse().unwrap())),
        entropy: Arc::new(SeededEntropy::new(7)),
    }
}

fn routes(web: Web) -> Router {
    let routes = Router::new()
        .route(&format!("{EM}/accessPackages"), get(list).post(create))
        .route(&format!("{EM}/accessPackages/{{id}}"), get(one))
        .route(&format!("{EM}/accessPackages/$count"), get(async |wire: Wire| wire.count(5)))
        .route(&format!("{EM}/assignments/{{id}}/reprocess"), post(reprocess))
        .route(&format!("{EM}/assignmentRequests/filterByCurrentUser"), get(mine))
        .route(&format!("{EM}/assignmentRequests"), get(kind))
        .route("/v1.0/me", get(broken))
        .route("/v1.0/users", get(panics))
        .route(
            "/v1.0/groups",
            get(async |headers: HeaderMap| {
                let sent =
                    headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
                sent.ok_or_else(|| ApiError::unauthenticated("send a bearer token"))
            }),
        )
        .route(
            "/accede/v1/targets",
            get(async |wire: Wire, query: Query| {
                let page = Page { items: vec![package("1")], next: None, count: None };
                wire.list(&query, page)
            }),
        );
    mount(web, routes)
}

/// An answer, read.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The code and message of an error, whose envelope is checked.
    fn error(&self) -> (u16, String, String) {
        assert_eq!(self.header("content-type"), "application/json", "{}", self.body);
        let body = self.json();
        let error = &body["error"];
        assert_eq!(error["innerError"]["date"], "2026-08-20T10:15:00");
        assert_eq!(error["innerError"]["request-id"], self.header("request-id"));
        assert_eq!(error["innerError"]["client-request-id"], self.header("client-request-id"));
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        (self.status, text("code"), text("message"))
    }
}

async fn ask_with(web: Web, request: HttpRequest<Stream>) -> Answer {
    let response = routes(web).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(bytes.to_vec()).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> HttpRequest<Stream> {
    let mut request = HttpRequest::builder().method(method).uri(uri).header("host", "accede:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Stream::from(body.to_owned())).unwrap()
}

async fn ask(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    ask_with(web(None), request(method, uri, headers, body)).await
}

async fn get_it(uri: &str) -> Answer {
    ask("GET", uri, &[], "").await
}

#[tokio::test]
async fn a_collection_has_context_count_and_an_absolute_link() {
    let answer = get_it(&format!(
        "{EM}/AccessPackages?%24select=displayName&$expand=catalog&%24count=true&$skip=4&%24top=2"
    ))
    .await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), GRAPH_JSON);
    assert_eq!(answer.header("odata-version"), "4.0");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("vary"), "Accept-Encoding");
    assert_eq!(answer.header("client-request-id"), answer.header("request-id"));
    assert_eq!(answer.header("request-id").len(), 36);
    assert_eq!(
        answer.json(),
        json!({
            "@odata.context": format!("http://accede:8080/v1.0/$metadata#{SET}(displayName,catalog())"),
            "@odata.count": 5,
            "@odata.nextLink": format!("http://accede:8080{EM}/AccessPackages?%24select=displayName\
                &$expand=catalog&%24count=true&%24top=2&$skiptoken=a%2Bb%2Fc="),
            "value": [
                { "@odata.type": "#microsoft.graph.accessPackage", "id": "0", "displayName": "Sales" },
                { "@odata.type": "#microsoft.graph.accessPackage", "id": "1", "displayName": "Sales" },
            ],
        })
    );
}

#[tokio::test]
async fn the_next_link_can_be_followed() {
    let filter = "$filter=displayName%20eq%20'a+b'";
    let first = get_it(&format!("{EM}/accessPackages?{filter}")).await;
    let link: Uri = first.json()["@odata.nextLink"].as_str().unwrap().parse().unwrap();
    let second = get_it(&link.path_and_query().unwrap().to_string()).await;

    assert_eq!(second.status, 200);
    assert_eq!(second.json().get("@odata.nextLink"), None);
}

#[tokio::test]
async fn an_empty_page_never_has_a_link() {
    let answer = get_it(&format!("{EM}/accessPackages?$skip=5")).await;

    assert_eq!(answer.json()["value"], json!([]));
    assert_eq!(answer.json().get("@odata.nextLink"), None);
}

#[tokio::test]
async fn an_entity_and_a_count_are_what_clients_expect() {
    let entity = get_it(&format!("{EM}/accessPackages('{ID}')?$select=id")).await;
    assert_eq!(
        entity.json(),
        json!({
            "@odata.context": format!("http://accede:8080/v1.0/$metadata#{SET}(id)/$entity"),
            "@odata.type": "#microsoft.graph.accessPackage", "id": ID,
        })
    );

    let plain = ("accept", "text/plain;q=0.9");
    let count = ask("GET", &format!("{EM}/accessPackages/$count"), &[plain], "").await;
    assert_eq!(
        (count.body.as_str(), count.header("content-type")),
        ("5", "text/plain;charset=utf-8")
    );
}

#[tokio::test]
async fn metadata_is_left_out_when_asked() {
    let accept = ("accept", "application/json;odata.metadata=none;odata.streaming=true");
    let answer = ask("GET", &format!("{EM}/accessPackages?$count=true"), &[accept], "").await;

    let body = answer.json();
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["@odata.count", "@odata.nextLink", "value"]);
    assert_eq!(body["value"][0], json!({ "id": "0", "displayName": "Sales" }));
    assert!(answer.header("content-type").contains("odata.metadata=none"));
}

#[tokio::test]
async fn a_new_entity_has_an_address_and_can_be_left_out() {
    let uri = format!("{EM}/accessPackages");
    let location = format!("http://accede:8080{EM}/accessPackages/{ID}");
    let body = r#"{"DisplayName":"Sales"}"#;

    let answer = ask("POST", &uri, &[], body).await;
    assert_eq!((answer.status, answer.header("location")), (201, location.as_str()));
    assert_eq!(answer.json()["id"], ID);

    let minimal = ask("POST", &uri, &[("prefer", "respond-async, return=minimal")], body).await;
    assert_eq!((minimal.status, minimal.body.as_str()), (204, ""));
    assert_eq!(minimal.header("location"), location);
    assert_eq!(minimal.header("preference-applied"), "return=minimal");
}

#[tokio::test]
async fn later_enum_members_are_shown_to_those_who_ask() {
    let uri = format!("{EM}/assignmentRequests");
    let prefer = ("prefer", "include-unknown-enum-members");

    assert_eq!(get_it(&uri).await.body, "unknownFutureValue");
    let shown = ask("GET", &uri, &[prefer], "").await;
    assert_eq!(shown.body, "approverRemove");
    assert_eq!(shown.header("preference-applied"), "include-unknown-enum-members");
}

#[tokio::test]
async fn a_configured_address_is_used_and_forwarding_headers_are_not() {
    let forwarded =
        [("x-forwarded-host", "evil"), ("x-forwarded-proto", "https"), ("forwarded", "host=evil")];
    let context = |answer: &Answer| answer.json()["@odata.context"].as_str().unwrap().to_owned();
    let uri = format!("{EM}/accessPackages");

    let named = ask("GET", &uri, &forwarded, "").await;
    assert!(context(&named).starts_with("http://accede:8080/v1.0/$metadata#"));
    assert_eq!(named.header("strict-transport-security"), "");

    let public = web(Some("https://access.harbourline.example/"));
    let public = ask_with(public, request("GET", &uri, &forwarded, "")).await;
    assert!(context(&public).starts_with("https://access.harbourline.example/v1.0/$metadata#"));
    assert_eq!(public.header("strict-transport-security"), "max-age=31536000");

    let odd =
        HttpRequest::builder().uri(uri.as_str()).header("host", "a\"b<c>").body(Stream::empty());
    let odd = ask_with(web(None), odd.unwrap()).await;
    assert!(context(&odd).starts_with("http://localhost/v1.0/"));
}

#[tokio::test]
async fn our_own_lists_have_plain_headers() {
    let answer = get_it("/accede/v1/targets").await;

    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("odata-version"), "");
    assert_eq!(answer.json()["value"][0]["id"], "1");
    assert_eq!(answer.json().get("@odata.context"), None);
}

#[tokio::test]
async fn every_error_has_the_envelope() {
    let packages = format!("{EM}/accessPackages");
    let big = format!("{{\"displayName\":\"{}\"}}", "a".repeat(1024 * 1024));
    let deep = "[".repeat(100_000);
    for (method, uri, body, status, code, told) in [
        (
            "GET",
            "/v1.0/nothing",
            "",
            404,
            "Request_ResourceNotFound",
            "no HTTP resource was found that matches the request path `/v1.0/nothing`",
        ),
        ("GET", "/V1.0/Nothing('7')", "", 404, "Request_ResourceNotFound", "`/V1.0/Nothing('7')`"),
        ("DELETE", packages.as_str(), "", 405, "Request_BadRequest", "in the header `Allow`"),
        ("TRACE", packages.as_str(), "", 405, "Request_BadRequest", "in the header `Allow`"),
        ("GET", "/v1.0/$batch", "", 405, "Request_BadRequest", "in the header `Allow`"),
        ("GET", &format!("{packages}/7"), "", 400, "BadRequest", "`7` is not a valid id"),
        ("GET", &format!("{packages}/%FF"), "", 400, "BadRequest", "not valid UTF-8"),
        (
            "GET",
            &format!("{packages}?$filter=x%20eq"),
            "",
            400,
            "InvalidFilter",
            "expected a value",
        ),
        ("GET", &format!("{packages}?$top=1e9"), "", 400, "BadRequest", "from 1 to 999, the limit"),
        ("GET", &format!("{packages}?$top=0"), "", 400, "BadRequest", "from 1 to 999, the limit"),
        (
            "GET",
            &format!("{packages}?$select=nme"),
            "",
            400,
            "BadRequest",
            "accessPackage has no property `nme`",
        ),
        (
            "POST",
            packages.as_str(),
            "{",
            400,
            "InvalidModel",
            "the body is not valid JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("POST", packages.as_str(), "", 400, "InvalidModel", "the body is empty"),
        ("POST", packages.as_str(), "null", 400, "InvalidModel", "the body is empty"),
        ("POST", packages.as_str(), "{}", 400, "InvalidModel", "`displayName` is required"),
        (
            "POST",
            packages.as_str(),
            r#"{"displayName":"a","state":"x"}"#,
            400,
            "InvalidModel",
            "`state` is not a property that can be set here",
        ),
        ("POST", packages.as_str(), deep.as_str(), 400, "InvalidModel", "the limit is 64"),
        (
            "POST",
            packages.as_str(),
            big.as_str(),
            413,
            "RequestEntityTooLarge",
            "the limit is 1048576 bytes",
        ),
        (
            "GET",
            &format!("{EM}/assignmentRequests/filterByCurrentUser()"),
            "",
            400,
            "BadRequest",
            "needs the parameter `on`",
        ),
        ("GET", "/v1.0/me", "", 500, "generalException", "under this request's id"),
        ("GET", "/v1.0/users", "", 500, "generalException", "something went wrong on the server"),
        ("GET", "/v1.0/groups", "", 401, "InvalidAuthenticationToken", "send a bearer token"),
    ] {
        let answer = ask(method, uri, &[], body).await;
        let (found, name, message) = answer.error();
        assert_eq!((found, name.as_str()), (status, code), "{method} {uri}: {message}");
        assert!(message.contains(told), "{method} {uri}: {message}");
        assert!(!answer.body.contains("hunter2"));
    }
    let allowed = ask("DELETE", &packages, &[], "").await;
    assert_eq!(allowed.header("allow"), "GET,HEAD,POST");
    let unknown = get_it("/v1.0/groups").await;
    assert_eq!(unknown.header("www-authenticate"), "Bearer");
    let form = [("content-type", "multipart/form-data; boundary=x")];
    assert_eq!(ask("POST", &packages, &form, "x").await.error().0, 415);
}

#[tokio::test]
async fn the_clients_id_is_echoed() {
    let sent = ("client-request-id", "0f8fad5b-d9cb-469f-a165-70867728950e");
    let answer = ask("GET", "/v1.0/nothing", &[sent], "").await;
    assert_eq!(answer.header("client-request-id"), sent.1);
    assert_ne!(answer.header("request-id"), sent.1);
    answer.error();

    let long = "a".repeat(500);
    let answer = ask("GET", "/v1.0/nothing", &[("client-request-id", &long)], "").await;
    assert_eq!(answer.header("client-request-id"), answer.header("request-id"));
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let answer = ask("HEAD", "/v1.0/nothing", &[], "").await;

    assert_eq!((answer.status, answer.body.as_str()), (404, ""));
    assert_eq!(ask("HEAD", &format!("{EM}/accessPackages"), &[], "").await.status, 200);
}

#[tokio::test]
async fn actions_take_no_body_in_every_form() {
    let uri = format!("{EM}/accessPackageAssignments/{ID}/microsoft.graph.reprocess");
    let json = ("content-type", "application/json");
    for (headers, body) in [(&[][..], ""), (&[json], "{}"), (&[json], "null"), (&[], " \r\n")] {
        let answer = ask("POST", &uri, headers, body).await;
        assert_eq!((answer.status, answer.body.as_str()), (202, ""), "{body}");
        assert_eq!(answer.header("odata-version"), "4.0");
    }
    let answer = ask("POST", &uri, &[json], r#"{"force":true}"#).await;
    assert!(
        answer.error().2.contains("`force` is not a property that can be set here; nothing can")
    );
}

#[tokio::test]
async fn functions_are_called_in_every_spelling() {
    for call in [
        "filterByCurrentUser(on='target')",
        "filterbycurrentuser(ON=%27target%27)",
        "microsoft.graph.filterByCurrentUser(on='target')",
    ] {
        assert_eq!(
            get_it(&format!("{EM}/assignmentRequests/{call}")).await.body,
            "target",
            "{call}"
        );
    }
}

async fn batch(body: Value) -> Answer {
    let token = ("authorization", "Bearer abc");
    ask("POST", "/v1.0/$batch", &[token], &body.to_string()).await
}

/// Id, status and what was told of each entry.
fn entries(answer: &Answer) -> Vec<(String, u64, Value)> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    let one = |entry: &Value| {
        let id = entry["id"].as_str().unwrap().to_owned();
        assert_eq!(entry["headers"]["Request-Id"].as_str().unwrap().len(), 36);
        (id, entry["status"].as_u64().unwrap(), entry["body"].clone())
    };
    body["responses"].as_array().unwrap().iter().map(one).collect()
}

#[tokio::test]
async fn a_batch_runs_each_entry_by_itself() {
    let answer = batch(json!({ "requests": [
        { "id": "1", "method": "GET", "url": "/groups", "headers": { "Authorization": "Bearer stolen" } },
        { "id": "2", "method": "post", "url": format!("/identityGovernance/entitlementManagement/assignments/{ID}/reprocess") },
        { "id": "3", "method": "POST", "url": format!("https://graph.microsoft.com{EM}/accessPackages"),
          "headers": { "Content-Type": "application/json" }, "body": { "displayName": "Sales" }, "depends_on": [] },
        { "id": "4", "method": "GET", "url": "identityGovernance/entitlementManagement/accessPackages/$count" },
        { "id": "5", "method": "GET", "url": "/identityGovernance/entitlementManagement/accessPackages?$filter=a eq 'b c'&$top=1" },
        { "id": "6", "method": "GET", "url": "/nothing" },
    ]}))
    .await;

    let found = entries(&answer);
    let statuses: Vec<u64> = found.iter().map(|(_, status, _)| *status).collect();
    assert_eq!(statuses, [200, 202, 201, 200, 200, 404]);
    assert_eq!(found[0].2, "Bearer abc");
    assert_eq!(found[1].2, Value::Null);
    assert_eq!(found[2].2["id"], ID);
    assert_eq!(found[3].2, "5");
    let link = found[4].2["@odata.nextLink"].as_str().unwrap();
    assert!(
        link.starts_with(&format!("http://accede:8080{EM}/accessPackages?$filter=a%20eq")),
        "{link}"
    );
    assert_eq!(found[5].2["error"]["code"], "Request_ResourceNotFound");
    assert_eq!(
        answer.json()["responses"][0]["headers"]["Content-Type"],
        "text/plain; charset=utf-8"
    );
}

#[tokio::test]
async fn an_entry_waits_for_what_it_depends_on() {
    let answer = batch(json!({ "requests": [
        { "id": "a", "method": "GET", "url": "/nothing" },
        { "id": "b", "method": "GET", "url": "/groups", "dependsOn": ["a"] },
        { "id": "c", "method": "GET", "url": "/groups", "dependsOn": ["b"] },
        { "id": "d", "method": "GET", "url": "/groups" },
        { "id": "e", "method": "GET", "url": "/groups", "dependsOn": ["d"] },
    ]}))
    .await;

    let statuses: Vec<u64> = entries(&answer).iter().map(|(_, status, _)| *status).collect();
    assert_eq!(statuses, [404, 424, 424, 200, 200]);
    assert_eq!(entries(&answer)[1].2["error"]["code"], "FailedDependency");
}

#[tokio::test]
async fn an_entry_that_cannot_be_sent_fails_alone() {
    let answer = batch(json!({ "requests": [
        { "id": "1", "method": "GET", "url": "/groups" },
        { "id": "2", "method": "TRACE", "url": "/groups" },
        { "id": "3", "method": "GET" },
        { "id": "4", "method": "POST", "url": "/$batch", "body": { "requests": [] } },
        { "id": "5", "method": "GET", "url": "https://graph.microsoft.com/beta/groups" },
        { "id": "6", "method": "POST", "url": "/groups", "headers": { "Content-Type": "image/png" }, "body": "%%" },
        { "id": "7", "method": "GET", "url": "/groups", "verb": "GET" },
    ]}))
    .await;

    let found = entries(&answer);
    let statuses: Vec<u64> = found.iter().map(|(_, status, _)| *status).collect();
    assert_eq!(statuses, [200, 400, 400, 400, 400, 400, 400]);
    for (_, _, body) in found.iter().skip(1) {
        assert_eq!(body["error"]["code"], "InvalidModel");
        assert!(body["error"]["innerError"]["request-id"].is_string());
    }
}

#[tokio::test]
async fn a_wrong_envelope_fails_the_batch() {
    let entry = |id: &str| json!({ "id": id, "method": "GET", "url": "/groups" });
    let many: Vec<Value> = (0..21).map(|n| entry(&n.to_string())).collect();
    for (body, told) in [
        (json!({ "requests": [] }), "a batch has 1 to 20, the limit"),
        (json!({ "requests": many }), "`requests` has 21 entries; a batch has 1 to 20, the limit"),
        (
            json!({ "requests": [entry("1"), entry("1")] }),
            "`requests[1].id` is `1`, like an earlier one",
        ),
        (
            json!({ "requests": [{ "method": "GET", "url": "/groups" }] }),
            "`requests[0].id` is required",
        ),
        (
            json!({ "requests": [{ "id": "1", "method": "GET", "url": "/groups", "dependsOn": ["2"] }, entry("2")] }),
            "`requests[0].dependsOn` names `2`, which is not the id of an earlier entry",
        ),
        (
            json!({ "requests": [{ "id": "1", "method": "GET", "url": "/groups", "dependsOn": ["1"] }] }),
            "names `1`, which is not the id of an earlier entry",
        ),
        (json!({ "requests": "x" }), "`requests` must be a list"),
        (json!({}), "`requests` is required"),
        (json!([]), "the body must be a JSON object"),
    ] {
        let (status, code, message) = batch(body).await.error();
        assert_eq!((status, code.as_str()), (400, "InvalidModel"), "{message}");
        assert!(message.contains(told), "{message}");
    }
    let nothing = ask("POST", "/v1.0/$batch", &[], "").await;
    assert_eq!(nothing.error().2, "the body is empty; send `requests`");
}
