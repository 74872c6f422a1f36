//! `POST /v1.0/$batch`: up to twenty requests in one body, each answered by itself.
//!
//! An entry runs through the same routes as a request of its own, with the batch's credentials; a
//! batch therefore can do nothing that its entries could not do one by one.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::body::{Object, json as parse, read};
use super::error::{ApiError, Result};
use super::respond::Wire;

/// Most entries of a batch.
pub const MAX_ENTRIES: usize = 20;
/// Largest body of a batch, in bytes.
pub const MAX_BODY: usize = 4 * 1024 * 1024;
/// Largest answer of one entry, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The routes that entries run through.
pub(super) type Routes = BoxCloneSyncService<Request, Response, Infallible>;

/// Who is connected.
type Peer = ConnectInfo<std::net::SocketAddr>;

/// One entry, read.
struct Entry {
    id: String,
    needs: Vec<String>,
    /// An entry that cannot be sent is answered by its error; the others run.
    request: Result<Request>,
}

/// Runs a batch.
pub(super) async fn run(
    State(routes): State<Routes>,
    wire: Wire,
    request: Request,
) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let bytes = read(&parts.headers, body, MAX_BODY).await?;
    let peer = parts.extensions.get::<Peer>().copied();
    let entries = entries(parse(&bytes)?, &parts.headers, peer)?;
    let mut answers = Vec::with_capacity(entries.len());
    let mut statuses: HashMap<String, StatusCode> = HashMap::new();
    // One after the other: the order is the client's, and its later entries may build on earlier
    // ones without saying so.
    for Entry { id, needs, request } in entries {
        let failed = |need: &&String| statuses.get(*need).is_none_or(|status| !status.is_success());
        let request = match needs.iter().find(failed) {
            None => request,
            Some(need) => Err(ApiError::new(
                StatusCode::FAILED_DEPENDENCY,
                "FailedDependency",
                format!("entry `{need}`, which this one depends on, did not succeed"),
            )),
        };
        let response = match request {
            Ok(request) => match routes.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            Err(error) => wire.refuse(error),
        };
        statuses.insert(id.clone(), response.status());
        answers.push(answer(&id, response).await?);
    }
    let mut body = Map::new();
    body.insert("responses".to_owned(), answers.into());
    Ok(wire.plain(StatusCode::OK, body))
}

/// Reads the envelope. What is wrong with it as a whole fails the batch.
fn entries(body: Option<Value>, headers: &HeaderMap, peer: Option<Peer>) -> Result<Vec<Entry>> {
    let missing = || ApiError::invalid_model("body", "the body is empty; send `requests`");
    let mut body = Object::root(body.ok_or_else(missing)?)?;
    let requests: Vec<Object> = body.require("requests")?;
    body.finish(&[])?;
    if requests.is_empty() || requests.len() > MAX_ENTRIES {
        let message = format!(
            "`requests` has {} entries; a batch has 1 to {MAX_ENTRIES}, the limit",
            requests.len()
        );
        return Err(ApiError::invalid_model("requests", message));
    }
    let mut entries: Vec<Entry> = Vec::new();
    for mut object in requests {
        let id = object.require_text("id", 128)?;
        if entries.iter().any(|entry| entry.id.eq_ignore_ascii_case(&id)) {
            return Err(
                object.wrong("id", format!("is `{id}`, like an earlier one; ids must differ"))
            );
        }
        let needs: Vec<String> = object.take("dependsOn")?.unwrap_or_default();
        if let Some(need) = needs.iter().find(|need| !entries.iter().any(|e| e.id == **need)) {
            let shown: String = need.chars().take(40).collect();
            let what = format!("names `{shown}`, which is not the id of an earlier entry");
            return Err(object.wrong("dependsOn", what));
        }
        let request = request(object, headers, peer);
        entries.push(Entry { id, needs, request });
    }
    Ok(entries)
}

/// The request that an entry stands for.
fn request(mut entry: Object, outer: &HeaderMap, peer: Option<Peer>) -> Result<Request> {
    let text = entry.require_text("method", 16)?.to_ascii_uppercase();
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let method = known.into_iter().find(|method| method.as_str() == text).ok_or_else(|| {
        entry.wrong("method", format!("is `{text}`; it can be GET, POST, PUT, PATCH or DELETE"))
    })?;
    let url = entry.require_text("url", 4000)?;
    let target = target(&url)
        .ok_or_else(|| entry.wrong("url", format!("is `{url}`, which is not below /v1.0")))?;
    if target.trim_start_matches('/').to_ascii_lowercase().starts_with("v1.0/$batch") {
        return Err(entry.wrong("url", "is a batch itself; a batch cannot hold another"));
    }
    let sent = entry.take_value("headers").unwrap_or(Value::Null);
    let body = entry.take_value("body").unwrap_or(Value::Null);
    entry.finish(&["dependsOn", "atomicityGroup"])?;

    let mut headers = HeaderMap::new();
    for name in [AUTHORIZATION, HOST] {
        headers.extend(outer.get(&name).map(|value| (name, value.clone())));
    }
    if let Value::Object(sent) = sent {
        for (name, value) in sent {
            let pair = (HeaderName::try_from(name), value.as_str().map(HeaderValue::from_str));
            // Credentials and host are the batch's, whatever an entry says.
            if let (Ok(name), Some(Ok(value))) = pair
                && !headers.contains_key(&name)
                && name != axum::http::header::CONTENT_LENGTH
                && name != axum::http::header::TRANSFER_ENCODING
            {
                headers.insert(name, value);
            }
        }
    }
    let json = headers
        .get(CONTENT_TYPE)
        .is_none_or(|kind| kind.as_bytes().starts_with(b"application/json"));
    let bytes = match body {
        Value::Null => Vec::new(),
        Value::String(text) if !json => STANDARD.decode(text).map_err(|_| {
            ApiError::invalid_model("body", "`body` must be base64 for this `Content-Type`")
        })?,
        body => {
            let kind = HeaderValue::from_static("application/json");
            headers.entry(CONTENT_TYPE).or_insert(kind);
            body.to_string().into_bytes()
        }
    };
    let mut request = Request::new(Body::from(bytes));
    *request.method_mut() = method;
    *request.uri_mut() = target.parse().map_err(|_| {
        ApiError::invalid_model("url", format!("`url` is `{url}`, which is no URL"))
    })?;
    *request.headers_mut() = headers;
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    Ok(request)
}

/// The path and query of an entry's URL: relative to the version root, or absolute on any host.
fn target(url: &str) -> Option<String> {
    let url = url.trim().replace(' ', "%20");
    let lower = url.to_ascii_lowercase();
    let path = if lower.starts_with("http://") || lower.starts_with("https://") {
        let after = url.split_once("://")?.1;
        after.get(after.find('/')?..)?.to_owned()
    } else {
        format!("/{}", url.trim_start_matches('/'))
    };
    let versioned = path.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("/v1.0/"));
    match versioned {
        true => Some(path),
        false if lower.starts_with("http") => None,
        false => Some(format!("/v1.0{path}")),
    }
}

/// One entry's answer as the batch tells it.
async fn answer(id: &str, response: Response) -> Result<Value> {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, MAX_ANSWER).await.map_err(|error| ApiError::internal(&error))?;
    let mut answer = Map::new();
    answer.insert("id".to_owned(), id.into());
    answer.insert("status".to_owned(), parts.status.as_u16().into());
    let headers: Map<String, Value> = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((title(name.as_str()), Value::from(value.to_str().ok()?))))
        .collect();
    answer.insert("headers".to_owned(), headers.into());
    if !bytes.is_empty() {
        let kind = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let body = if kind.starts_with(b"application/json") {
            serde_json::from_slice(&bytes).map_err(|error| ApiError::internal(&error))?
        } else if kind.starts_with(b"text/") {
            Value::from(String::from_utf8_lossy(&bytes).into_owned())
        } else {
            json!(STANDARD.encode(&bytes))
        };
        answer.insert("body".to_owned(), body);
    }
    Ok(answer.into())
}

/// `content-type` as `Content-Type`; clients look headers up by that spelling.
fn title(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|c| {
            let shown = if start { c.to_ascii_uppercase() } else { c };
            start = c == '-';
            shown
        })
        .collect()
}
