//! Answers on the wire: Graph's headers, envelopes, context and links.
//!
//! A handler builds its answer with [`Wire`], which knows how this request wants it; the layer
//! `dress` adds what every answer has and writes every error as one envelope.

use accede_app::Page;
use accede_domain::Timestamp;
use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION,
    STRICT_TRANSPORT_SECURITY, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};
use url::Url;

use super::Web;
use super::error::{ApiError, Stamp};
use super::names::Sent;
use super::query::Query;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const ODATA_VERSION: HeaderName = HeaderName::from_static("odata-version");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The preference for enum members that Graph added later.
const UNKNOWN_MEMBERS: &str = "include-unknown-enum-members";

/// What a client sees of an enum member it did not ask for.
const UNKNOWN: &str = "unknownFutureValue";

/// Longest `client-request-id` that is echoed, in bytes.
const MAX_CLIENT_REQUEST_ID: usize = 128;

/// How this request wants to be answered.
#[derive(Debug, Clone)]
pub struct Wire {
    base: String,
    sent: Uri,
    api: Api,
    metadata: Metadata,
    preferences: Vec<String>,
    request_id: String,
    client_request_id: String,
    now: Timestamp,
}

/// Whose conventions an answer follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    Graph,
    Ours,
}

/// How much metadata a client wants. `full` gets `minimal`, which the protocol allows for types
/// that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metadata {
    None,
    Minimal,
}

impl Wire {
    fn new(web: &Web, request: &Request, now: Timestamp) -> Wire {
        let headers = request.headers();
        let sent = request.extensions().get::<Sent>();
        let sent = sent.map_or_else(|| request.uri().clone(), |sent| sent.0.clone());
        let api = match sent.path().trim_start_matches('/').get(..5) {
            Some(version) if version.eq_ignore_ascii_case("v1.0/") => Api::Graph,
            _ => Api::Ours,
        };
        let request_id = web.entropy.uuid(now).to_string();
        let client_request_id = headers
            .get(CLIENT_REQUEST_ID)
            .and_then(|id| id.to_str().ok())
            .filter(|id| !id.is_empty() && id.len() <= MAX_CLIENT_REQUEST_ID)
            .map_or_else(|| request_id.clone(), str::to_owned);
        Wire {
            base: base(web.public_url.as_ref(), headers, request.uri()),
            sent,
            api,
            metadata: metadata(headers),
            preferences: preferences(headers),
            request_id,
            client_request_id,
            now,
        }
    }

    /// The id that this request has in logs.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The absolute address of a path of this server, such as `v1.0/users/…`.
    pub fn address(&self, path: &str) -> String {
        format!("{}/{}", self.base, path.trim_start_matches('/'))
    }

    /// The name of an enum's member as this client may see it: members that Graph numbers above
    /// `unknownFutureValue` only if it asked for them.
    pub fn member(&self, name: &'static str, above_unknown: bool) -> &'static str {
        if above_unknown && !self.prefers(UNKNOWN_MEMBERS) { UNKNOWN } else { name }
    }

    /// A page of a Graph collection. `set` is its path below `/v1.0/$metadata#`, such as
    /// `identityGovernance/entitlementManagement/accessPackages`.
    pub fn collection(&self, set: &str, query: &Query, page: Page<Map<String, Value>>) -> Response {
        self.page(Some(self.context(set, query, "")), query, page)
    }

    /// A page of a list of our own API.
    pub fn list(&self, query: &Query, page: Page<Map<String, Value>>) -> Response {
        self.page(None, query, page)
    }

    /// One Graph entity of the collection `set`.
    pub fn entity(&self, set: &str, query: &Query, object: Map<String, Value>) -> Response {
        self.object(StatusCode::OK, Some(self.context(set, query, "/$entity")), query, object)
    }

    /// A Graph singleton, such as `me` or `identityGovernance/entitlementManagement/settings`.
    pub fn singleton(&self, path: &str, query: &Query, object: Map<String, Value>) -> Response {
        self.object(StatusCode::OK, Some(self.context(path, query, "")), query, object)
    }

    /// `201` with a new Graph entity and its address; `204` if the client prefers to get little.
    pub fn created(&self, set: &str, id: &str, object: Map<String, Value>) -> Response {
        let location = format!("{}/{}", self.address(&format!("v1.0/{set}")), encoded(id));
        let context = Some(self.context(set, &Query::default(), "/$entity"));
        self.at(location, context, object)
    }

    /// `201` with a new object of our own API at `path`.
    pub fn created_at(&self, path: &str, object: Map<String, Value>) -> Response {
        self.at(self.address(path), None, object)
    }

    /// An object of our own API.
    pub fn plain(&self, status: StatusCode, object: Map<String, Value>) -> Response {
        self.object(status, None, &Query::default(), object)
    }

    /// `204`, or the changed entity if the client prefers to see it.
    pub fn updated(&self, set: &str, object: impl FnOnce() -> Map<String, Value>) -> Response {
        if self.prefers("return=representation") {
            return self.entity(set, &Query::default(), object());
        }
        StatusCode::NO_CONTENT.into_response()
    }

    /// An error as an answer, stamped with this request's ids.
    pub(super) fn refuse(&self, error: ApiError) -> Response {
        let mut response = Response::default();
        *response.status_mut() = error.status();
        let mut response = told(error, response, self, &Method::POST);
        self.stamp(response.headers_mut());
        response
    }

    /// The headers that every answer has.
    fn stamp(&self, headers: &mut HeaderMap) {
        set(headers, REQUEST_ID, &self.request_id);
        set(headers, CLIENT_REQUEST_ID, &self.client_request_id);
        set(headers, CACHE_CONTROL, "no-cache");
        set(headers, VARY, "Accept-Encoding");
        if self.api == Api::Graph {
            set(headers, ODATA_VERSION, "4.0");
        }
    }

    /// The number of `/$count`, as plain text.
    pub fn count(&self, count: i64) -> Response {
        ([(CONTENT_TYPE, "text/plain;charset=utf-8")], count.to_string()).into_response()
    }

    fn at(
        &self,
        location: String,
        context: Option<String>,
        object: Map<String, Value>,
    ) -> Response {
        let mut response = if self.prefers("return=minimal") {
            StatusCode::NO_CONTENT.into_response()
        } else {
            self.object(StatusCode::CREATED, context, &Query::default(), object)
        };
        set(response.headers_mut(), LOCATION, &location);
        response
    }

    fn page(
        &self,
        context: Option<String>,
        query: &Query,
        page: Page<Map<String, Value>>,
    ) -> Response {
        let mut body = Map::new();
        if let Some(context) = context {
            body.insert("@odata.context".to_owned(), context.into());
        }
        if let Some(count) = page.count {
            body.insert("@odata.count".to_owned(), count.into());
        }
        // A link on an empty page ends the iteration of one client library, so it never stands there.
        if let Some(mark) = page.next.filter(|_| !page.items.is_empty()) {
            body.insert("@odata.nextLink".to_owned(), self.next_link(&mark).into());
        }
        let items = page.items.into_iter().map(|item| Value::Object(query.project(item)));
        body.insert("value".to_owned(), items.collect());
        self.json(StatusCode::OK, body)
    }

    fn object(
        &self,
        status: StatusCode,
        context: Option<String>,
        query: &Query,
        object: Map<String, Value>,
    ) -> Response {
        let mut body = Map::new();
        if let Some(context) = context {
            body.insert("@odata.context".to_owned(), context.into());
        }
        body.extend(query.project(object));
        self.json(status, body)
    }

    fn json(&self, status: StatusCode, body: Map<String, Value>) -> Response {
        let mut body = Value::Object(body);
        if self.metadata == Metadata::None {
            strip(&mut body);
        }
        let kind = match (self.api, self.metadata) {
            (Api::Ours, _) => "application/json",
            (Api::Graph, Metadata::Minimal) => {
                "application/json;odata.metadata=minimal;odata.streaming=true;\
                 IEEE754Compatible=false;charset=utf-8"
            }
            (Api::Graph, Metadata::None) => {
                "application/json;odata.metadata=none;odata.streaming=true;\
                 IEEE754Compatible=false;charset=utf-8"
            }
        };
        (status, [(CONTENT_TYPE, kind)], body.to_string()).into_response()
    }

    /// `…/$metadata#set(selected,expanded())/$entity`
    fn context(&self, set: &str, query: &Query, tail: &str) -> String {
        let mut names = query.select.clone();
        names
            .extend(query.expand.iter().filter(|e| e.name != "*").map(|e| format!("{}()", e.name)));
        let shape = if names.is_empty() { String::new() } else { format!("({})", names.join(",")) };
        format!("{}#{set}{shape}{tail}", self.address("v1.0/$metadata"))
    }

    /// The same request from the next item on. Everything but the place is repeated as it was sent.
    fn next_link(&self, mark: &str) -> String {
        let place = |pair: &&str| {
            let key = pair.split('=').next().unwrap_or_default();
            let key = percent_decode_str(key).decode_utf8_lossy();
            let key = key.trim_start_matches('$');
            !key.eq_ignore_ascii_case("skiptoken") && !key.eq_ignore_ascii_case("skip")
        };
        let query = self.sent.query().unwrap_or_default();
        let mut pairs: Vec<&str> =
            query.split('&').filter(|pair| !pair.is_empty()).filter(place).collect();
        let mark = format!("$skiptoken={}", encoded(mark));
        pairs.push(&mark);
        format!("{}{}?{}", self.base, self.sent.path(), pairs.join("&"))
    }

    fn prefers(&self, preference: &str) -> bool {
        self.preferences.iter().any(|known| known.eq_ignore_ascii_case(preference))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wire {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Wire, ApiError> {
        match Extension::<Wire>::from_request_parts(parts, state).await {
            Ok(Extension(wire)) => Ok(wire),
            Err(missing) => Err(ApiError::internal(&missing)),
        }
    }
}

/// Gives every answer of the API its headers, and every error its envelope.
pub(super) async fn dress(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let now = web.clock.now();
    let wire = Wire::new(&web, &request, now);
    let method = request.method().clone();
    request.extensions_mut().insert(wire.clone());
    let mut response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let error = response.extensions_mut().remove::<ApiError>();
        let error = error.unwrap_or_else(|| ApiError::of_status(status));
        response = told(error, response, &wire, &method);
    }
    let headers = response.headers_mut();
    wire.stamp(headers);
    if web.public_url.as_ref().is_some_and(|url| url.scheme() == "https") {
        set(headers, STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    let applied = match status {
        _ if !status.is_success() => None,
        _ if wire.prefers(UNKNOWN_MEMBERS) => Some(UNKNOWN_MEMBERS),
        StatusCode::NO_CONTENT if wire.prefers("return=minimal") => Some("return=minimal"),
        StatusCode::OK if wire.prefers("return=representation") => Some("return=representation"),
        _ => None,
    };
    if let Some(applied) = applied {
        set(headers, PREFERENCE_APPLIED, applied);
    }
    response
}

/// The members of what `json!` made of `{ … }`.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Writes an error's envelope with this request's ids, and logs what only the log may know.
fn told(error: ApiError, response: Response, wire: &Wire, method: &Method) -> Response {
    if let Some(cause) = error.cause() {
        let path = wire.sent.path();
        tracing::error!(request_id = wire.request_id, %method, path, cause, "request failed");
    }
    let stamp = Stamp {
        now: wire.now,
        request_id: &wire.request_id,
        client_request_id: &wire.client_request_id,
    };
    let body = error.envelope(Some(&stamp)).to_string();
    let (mut parts, _) = response.into_parts();
    parts.headers.extend(error.headers().clone());
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(body) };
    Response::from_parts(parts, body)
}

/// Where clients reach us: the configured address, or the host they named. Forwarding headers are
/// not believed, because anybody can send them.
pub fn base(public_url: Option<&Url>, headers: &HeaderMap, uri: &Uri) -> String {
    if let Some(url) = public_url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = named.or_else(|| uri.authority().map(|authority| authority.as_str()));
    let plain = |host: &&str| {
        let part = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
        !host.is_empty() && host.len() <= 255 && host.bytes().all(part)
    };
    format!("http://{}", host.filter(plain).unwrap_or("localhost"))
}

fn metadata(headers: &HeaderMap) -> Metadata {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let none = accepted.any(|accept| {
        accept.split([',', ';']).any(|part| part.trim().eq_ignore_ascii_case("odata.metadata=none"))
    });
    if none { Metadata::None } else { Metadata::Minimal }
}

fn preferences(headers: &HeaderMap) -> Vec<String> {
    let sent = headers.get_all(PREFER).iter().filter_map(|prefer| prefer.to_str().ok());
    sent.flat_map(|prefer| prefer.split([',', ';']))
        .map(|preference| preference.trim().replace('"', ""))
        .filter(|preference| !preference.is_empty())
        .take(16)
        .collect()
}

/// Takes the metadata off, except what pages are turned with.
fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|key, _| {
                !key.contains("@odata.")
                    || matches!(key.as_str(), "@odata.nextLink" | "@odata.count")
            });
            object.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'=');

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}
