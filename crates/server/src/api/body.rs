//! JSON bodies: read tolerantly, taken apart property by property, nothing left unexplained.
//!
//! Clients spell names in camelCase, PascalCase and snake_case, quote booleans and numbers, and
//! send back what they have read. All of that is understood. What nobody asked for by the end is
//! an error that names it: a misspelled property would otherwise be lost in silence.

mod object;

use accede_domain::id::MalformedId;
use axum::body::Body as Stream;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt;
use serde_json::Value;

use super::error::{ApiError, Result};

pub(super) use object::link;
pub use object::{Change, FromJson, Object};

/// Largest body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// Deepest nesting of a body.
pub const MAX_DEPTH: usize = 64;

/// A body that must be a JSON object.
#[derive(Debug)]
pub struct Body(pub Object);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Body> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body, MAX_BODY).await?;
        let missing = || ApiError::invalid_model("body", "the body is empty; send a JSON object");
        match json(&bytes)? {
            None | Some(Value::Null) => Err(missing()),
            Some(value) => Object::root(value).map(Body),
        }
    }
}

/// A body that may be missing, and is a JSON object otherwise.
#[derive(Debug)]
pub struct MaybeBody(pub Option<Object>);

impl<S: Send + Sync> FromRequest<S> for MaybeBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<MaybeBody> {
        let (parts, body) = request.into_parts();
        match json(&read(&parts.headers, body, MAX_BODY).await?)? {
            None | Some(Value::Null) => Ok(MaybeBody(None)),
            Some(value) => Ok(MaybeBody(Some(Object::root(value)?))),
        }
    }
}

/// The body of an action that takes none: nothing, `null` or `{}`; clients send all three.
#[derive(Debug)]
pub struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<NoBody> {
        let (parts, body) = request.into_parts();
        match json(&read(&parts.headers, body, MAX_BODY).await?)? {
            None | Some(Value::Null) => Ok(NoBody),
            Some(value) => Object::root(value)?.finish(&[]).map(|()| NoBody),
        }
    }
}

/// The one id in the path.
#[derive(Debug, Clone, Copy)]
pub struct Key<I>(pub I);

impl<I, S> FromRequestParts<S> for Key<I>
where
    I: std::str::FromStr<Err = MalformedId>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Key<I>> {
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(unreadable)?;
        Ok(Key(text.parse()?))
    }
}

/// The two ids in the path, outer first.
#[derive(Debug, Clone, Copy)]
pub struct Keys<A, B>(pub A, pub B);

impl<A, B, S> FromRequestParts<S> for Keys<A, B>
where
    A: std::str::FromStr<Err = MalformedId>,
    B: std::str::FromStr<Err = MalformedId>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Keys<A, B>> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((outer, inner)) = path.map_err(unreadable)?;
        Ok(Keys(outer.parse()?, inner.parse()?))
    }
}

fn unreadable(_: axum::extract::rejection::PathRejection) -> ApiError {
    ApiError::bad_request("id", "the path is not valid UTF-8 once decoded")
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(headers: &HeaderMap, body: Stream, limit: usize) -> Result<Vec<u8>> {
    let too_large = || {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("the body is too large; the limit is {limit} bytes"),
        )
    };
    if let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) {
        let kind = kind.to_ascii_lowercase();
        if kind.starts_with("multipart/") || kind.contains("xml") {
            return Err(ApiError::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|n| n > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Why a body did not arrive.
fn broken(error: &axum::Error) -> ApiError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::TimedOut;
        if error.downcast_ref().is_some_and(timed_out) {
            let late = "the body did not arrive in time; send it faster, or in smaller parts";
            return ApiError::new(StatusCode::REQUEST_TIMEOUT, "requestTimeout", late);
        }
        cause = error.source();
    }
    ApiError::bad_request("body", "the connection broke before the body was complete")
}

/// Parses a body; `None` if there is nothing in it.
pub(super) fn json(bytes: &[u8]) -> Result<Option<Value>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    if depth(bytes) > MAX_DEPTH {
        return Err(ApiError::invalid_model(
            "body",
            format!("the body is nested deeper than {MAX_DEPTH} levels; the limit is {MAX_DEPTH}"),
        ));
    }
    serde_json::from_slice(bytes).map(Some).map_err(|error| {
        ApiError::invalid_model("body", format!("the body is not valid JSON: {error}"))
    })
}

/// The deepest nesting, found without parsing: a parser's own limit is too high for us and not ours.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests;
