//! Creates that are safe to repeat, and changes of what was read before.
//!
//! Clients send a create again when they did not hear the answer (after 503, 504, a broken
//! connection). [`Create`] reads the body together with what says which create it is, and the verb
//! answers the second with the object of the first.

use accede_app::creations::{Key, Repeat};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use serde_json::Value;

use super::body::{self, MAX_BODY, Object};
use super::error::{ApiError, Result};

/// The body of a create, and how to recognise it when it comes again.
#[derive(Debug)]
pub struct Create {
    /// The body.
    pub body: Object,
    /// Which create it is.
    pub repeat: Repeat,
}

impl<S: Send + Sync> FromRequest<S> for Create {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Create> {
        let (parts, body) = request.into_parts();
        let bytes = body::read(&parts.headers, body, MAX_BODY).await?;
        let route = format!("{} {}", parts.method, parts.uri.path());
        let repeat = Repeat::new(key(&parts.headers)?, route, &bytes)
            .map_err(|error| ApiError::bad_request("Idempotency-Key", error.to_string()))?;
        match body::json(&bytes)? {
            None | Some(Value::Null) => {
                Err(ApiError::invalid_model("body", "the body is empty; send a JSON object"))
            }
            Some(value) => Ok(Create { body: Object::root(value)?, repeat }),
        }
    }
}

/// What the headers say about which create this is.
fn key(headers: &HeaderMap) -> Result<Key> {
    if let Some(value) = headers.get("idempotency-key") {
        let text = value.to_str().map_err(|_| {
            ApiError::bad_request("Idempotency-Key", "the header is visible ASCII text")
        })?;
        return Ok(Key::Named(text.trim().to_owned()));
    }
    let is_retry = headers.contains_key("retry-attempt");
    let id = headers.get("client-request-id").and_then(|id| id.to_str().ok()).map(str::trim);
    Ok(match id.filter(|id| (1..=accede_app::creations::MAX_KEY).contains(&id.len())) {
        Some(id) => Key::Request { id: id.to_owned(), is_retry },
        None => Key::Body { is_retry },
    })
}

/// `If-Match`: the version that the client has read; `None` if it does not care.
#[derive(Debug, Clone, Copy)]
pub struct IfMatch(pub Option<i64>);

/// A version that nothing has, for tags that are not ours: they match nothing.
const NEVER: i64 = -1;

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfMatch> {
        let Some(value) = parts.headers.get("if-match") else { return Ok(IfMatch(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(IfMatch(None));
        }
        let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
        Ok(IfMatch(Some(text.parse().unwrap_or(NEVER))))
    }
}

/// The tag of a version, as `@odata.etag` says it.
pub fn etag(version: i64) -> String {
    format!("W/\"{version}\"")
}
