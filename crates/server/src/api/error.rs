//! Errors on the wire: the only place where an error meets a status code.
//!
//! Every error of both APIs has Graph's envelope and the exact type `application/json`; with
//! anything less, Graph clients lose the code and the message (see `ApiError::envelope`).

use std::sync::Arc;

use accede_domain::Timestamp;
use accede_domain::filter::SyntaxError;
use accede_domain::id::MalformedId;
use accede_domain::refusal::Refusal;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::time;

/// Shorthand for the results of handlers.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// What a client is told instead of what it asked for.
#[derive(Debug, Clone)]
pub struct ApiError(Box<Told>);

#[derive(Debug, Clone)]
struct Told {
    status: StatusCode,
    code: &'static str,
    message: String,
    target: Option<String>,
    details: Vec<Detail>,
    headers: HeaderMap,
    cause: Option<Arc<str>>,
}

/// One of several things that are wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Stable machine code.
    pub code: String,
    /// Sentence for people.
    pub message: String,
    /// What it is about: an id, a property.
    pub target: Option<String>,
}

impl ApiError {
    /// An error with this status, stable machine code and sentence.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError(Box::new(Told {
            status,
            code,
            message: message.into(),
            target: None,
            details: Vec::new(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// `400 BadRequest`: something in the request, but not in its body, is wrong.
    pub fn bad_request(target: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "BadRequest", message).about(target)
    }

    /// `400 InvalidFilter`: a filter that cannot be read or does not fit.
    pub fn invalid_filter(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidFilter", message).about("$filter")
    }

    /// `400 InvalidModel`: the property at `path` of the body is wrong.
    pub fn invalid_model(path: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidModel", message).about(path)
    }

    /// `401 InvalidAuthenticationToken`
    pub fn unauthenticated(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
            .with(WWW_AUTHENTICATE, "Bearer")
    }

    /// `404 Request_ResourceNotFound`
    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "Request_ResourceNotFound", message)
    }

    /// `500 generalException`; the cause is logged, never told.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> ApiError {
        let message = "something went wrong on the server; its operator finds the cause in the \
                       log under this request's id";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "generalException", message)
            .caused_by(&chain(cause))
    }

    /// The method does not fit what is at an address.
    pub fn wrong_method() -> ApiError {
        ApiError::of_status(StatusCode::METHOD_NOT_ALLOWED)
    }

    /// What a bare status means, for answers that were not made here.
    pub(super) fn of_status(status: StatusCode) -> ApiError {
        let (code, message) = match status {
            StatusCode::UNAUTHORIZED => {
                return ApiError::unauthenticated("send a bearer token in `Authorization`");
            }
            StatusCode::FORBIDDEN => ("Authorization_RequestDenied", "this is not allowed for you"),
            StatusCode::NOT_FOUND => ("Request_ResourceNotFound", "there is no such resource"),
            StatusCode::METHOD_NOT_ALLOWED => (
                "Request_BadRequest",
                "this resource does not support the request's method; the methods it supports \
                 are in the header `Allow`",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => ("RequestEntityTooLarge", "the body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("UnsupportedMediaType", "send the body as application/json")
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => {
                ("serviceNotAvailable", "the server could not answer in time; try again later")
            }
            status if status.is_server_error() => {
                ("generalException", "something went wrong on the server")
            }
            _ => ("BadRequest", "the request cannot be understood"),
        };
        ApiError::new(status, code, message)
    }

    /// The same, naming the property, option or object it is about.
    #[must_use]
    pub fn about(mut self, target: impl Into<String>) -> ApiError {
        self.0.target = Some(target.into());
        self
    }

    /// The same with one more detail.
    #[must_use]
    pub fn detail(mut self, detail: Detail) -> ApiError {
        self.0.details.push(detail);
        self
    }

    /// The same with a response header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> ApiError {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.insert(name, value);
        }
        self
    }

    fn caused_by(mut self, cause: &str) -> ApiError {
        self.0.cause = Some(cause.into());
        self
    }

    /// The status it is told with.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Stable machine code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The property, option or object it is about.
    pub fn target(&self) -> Option<&str> {
        self.0.target.as_deref()
    }

    /// What only the log may know.
    pub(super) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The body: Graph's envelope, in which `innerError.date` must be a date and both ids texts.
    pub(super) fn envelope(&self, stamp: Option<&Stamp<'_>>) -> Value {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.0.code.into());
        error.insert("message".to_owned(), self.0.message.as_str().into());
        if let Some(target) = &self.0.target {
            error.insert("target".to_owned(), target.as_str().into());
        }
        if !self.0.details.is_empty() {
            let details = self.0.details.iter().map(|detail| {
                let Detail { code, message, target } = detail;
                match target {
                    Some(target) => json!({ "code": code, "message": message, "target": target }),
                    None => json!({ "code": code, "message": message }),
                }
            });
            error.insert("details".to_owned(), details.collect());
        }
        if let Some(stamp) = stamp {
            let inner = json!({
                "date": time::of_error(stamp.now),
                "request-id": stamp.request_id,
                "client-request-id": stamp.client_request_id,
            });
            error.insert("innerError".to_owned(), inner);
        }
        json!({ "error": error })
    }
}

/// What ties an error to one request.
#[derive(Debug)]
pub(super) struct Stamp<'a> {
    pub now: Timestamp,
    pub request_id: &'a str,
    pub client_request_id: &'a str,
}

/// The `respond` layer finds the error in the extensions and writes the envelope anew with the
/// request's ids.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = self.envelope(None).to_string();
        let mut response =
            (self.0.status, [(CONTENT_TYPE, "application/json")], body).into_response();
        response.headers_mut().extend(self.0.headers.clone());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<accede_app::Error> for ApiError {
    fn from(error: accede_app::Error) -> ApiError {
        use accede_app::Error as App;
        let message = error.to_string();
        let told = |status, code| ApiError::new(status, code, message.as_str());
        match &error {
            App::NotFound { .. } => told(StatusCode::NOT_FOUND, "Request_ResourceNotFound"),
            App::Forbidden { .. } => told(StatusCode::FORBIDDEN, "Authorization_RequestDenied"),
            App::Unauthenticated(_) => ApiError::unauthenticated(message),
            App::Refused(refusal) => told(refusal_status(refusal), refusal.code()),
            App::Invalid { path, .. } => {
                let code = match path.as_str() {
                    "$filter" => "InvalidFilter",
                    option if option.starts_with('$') => "BadRequest",
                    _ => "InvalidModel",
                };
                told(StatusCode::BAD_REQUEST, code).about(path)
            }
            App::Duplicate { code, .. } if *code == accede_app::creations::REUSED => {
                told(StatusCode::UNPROCESSABLE_ENTITY, code)
            }
            App::Duplicate { code, .. } => told(StatusCode::CONFLICT, code),
            App::Stale => told(StatusCode::PRECONDITION_FAILED, "resourceModified"),
            App::Throttled { retry_after, .. } => {
                told(StatusCode::TOO_MANY_REQUESTS, "activityLimitReached")
                    .with(RETRY_AFTER, &retry_after.to_string())
            }
            App::Limit { .. } => told(StatusCode::BAD_REQUEST, "LimitExceeded"),
            // Not 502 to 504: clients would repeat the call, and ours went well.
            App::Target { .. } => told(StatusCode::UNPROCESSABLE_ENTITY, "TargetSystemFault"),
            App::Full => told(StatusCode::INSUFFICIENT_STORAGE, "insufficientStorage"),
            App::Locked(_) | App::Unavailable(_) => {
                told(StatusCode::SERVICE_UNAVAILABLE, "serviceNotAvailable")
                    .with(RETRY_AFTER, "5")
                    .caused_by(&chain(&error))
            }
            // Not 503: clients would repeat by themselves what may have been done.
            App::Uncertain(_) => told(StatusCode::INTERNAL_SERVER_ERROR, "generalException")
                .caused_by(&chain(&error)),
            App::Internal(_) => ApiError::internal(&error),
        }
    }
}

impl From<SyntaxError> for ApiError {
    fn from(error: SyntaxError) -> ApiError {
        ApiError::invalid_filter(error.to_string())
    }
}

/// An id in the path that is not one.
impl From<MalformedId> for ApiError {
    fn from(error: MalformedId) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "BadRequest", error.to_string()).about("id")
    }
}

/// An error and all its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// What a client can mend in what it sent is its fault, what stands against it is a conflict.
fn refusal_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::JustificationRequired
        | Refusal::RequestorJustificationRequired
        | Refusal::SeveralPolicies { .. }
        | Refusal::Rule { code: "InvalidSchedule", .. } => StatusCode::BAD_REQUEST,
        Refusal::NoPolicy(_) => StatusCode::FORBIDDEN,
        _ => StatusCode::CONFLICT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_the_one_that_graph_clients_read() {
        let error =
            ApiError::invalid_model("displayName", "`displayName` is missing").detail(Detail {
                code: "A".to_owned(),
                message: "b".to_owned(),
                target: Some("c".to_owned()),
            });
        let stamp = Stamp {
            now: Timestamp::constant(1_781_000_000, 5_000_000),
            request_id: "9d6f",
            client_request_id: "77",
        };

        assert_eq!(
            error.envelope(Some(&stamp)),
            json!({ "error": {
                "code": "InvalidModel",
                "message": "`displayName` is missing",
                "target": "displayName",
                "details": [{ "code": "A", "message": "b", "target": "c" }],
                "innerError": {
                    "date": "2026-06-09T10:13:20",
                    "request-id": "9d6f",
                    "client-request-id": "77",
                },
            }})
        );
    }

    #[test]
    fn each_error_of_a_verb_has_its_status() {
        use accede_app::Error as App;
        use accede_domain::refusal::Refusal;
        let told = |error: App| {
            let error = ApiError::from(error);
            (error.status().as_u16(), error.code())
        };

        assert_eq!(told(App::not_found("catalog", "7")), (404, "Request_ResourceNotFound"));
        let need = "a role".to_owned();
        assert_eq!(told(App::Forbidden { need }), (403, "Authorization_RequestDenied"));
        assert_eq!(told(App::Unauthenticated("no".into())), (401, "InvalidAuthenticationToken"));
        assert_eq!(
            told(App::Refused(Refusal::CatalogUnpublished)),
            (409, Refusal::CatalogUnpublished.code())
        );
        assert_eq!(told(App::invalid("$filter", "x")), (400, "InvalidFilter"));
        assert_eq!(told(App::invalid("$orderby", "x")), (400, "BadRequest"));
        assert_eq!(told(App::invalid("displayName", "x")), (400, "InvalidModel"));
        assert_eq!(
            told(App::Duplicate { code: "DuplicateKey", sentence: "x".into() }),
            (409, "DuplicateKey")
        );
        assert_eq!(told(App::Stale), (412, "resourceModified"));
        assert_eq!(told(App::Full), (507, "insufficientStorage"));
        let away = || accede_store::Error::Unavailable("away".to_owned());
        assert_eq!(told(App::Unavailable(away())), (503, "serviceNotAvailable"));
        assert_eq!(told(App::Locked(away())), (503, "serviceNotAvailable"));
        assert_eq!(told(App::Uncertain(away())), (500, "generalException"));
        let throttled = ApiError::from(App::Throttled { sentence: "x".into(), retry_after: 7 });
        assert_eq!(throttled.status(), 429);
        assert_eq!(
            throttled.headers().get(RETRY_AFTER).map(HeaderValue::as_bytes),
            Some(&b"7"[..])
        );
    }

    #[test]
    fn what_went_wrong_inside_is_not_told() {
        let inside = std::io::Error::other("password=hunter2");
        let error = ApiError::from(accede_app::Error::internal(inside));

        assert_eq!((error.status().as_u16(), error.code()), (500, "generalException"));
        assert!(!error.envelope(None).to_string().contains("hunter2"));
        assert_eq!(error.cause(), Some("something went wrong on the server: password=hunter2"));
    }
}
