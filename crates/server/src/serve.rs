//! The router of a serving process: the portal, the APIs, the token endpoint, probes and metrics.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use accede_app::App;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{
    HeaderName, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::{StreamExt, stream};
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::address::TrustedProxies;
use crate::api::{self, Web};
use crate::metrics::{self, Metrics};
use crate::oauth;
use crate::pause;
use crate::portal::{self, Portal};
use crate::session::{self, Cookies};

/// The largest body that any route reads; routes have smaller limits of their own.
pub const MAX_BODY: usize = 72 * 1024 * 1024;
/// How long a request may take before it is given up. Longer than anything but a stream of events.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The same for an import of many users.
pub const IMPORT_PATIENCE: Duration = Duration::from_secs(900);
/// How long a body may take to arrive, shorter than the patience with the request, so that a client
/// that sends too slowly is told just that.
pub const BODY_PATIENCE: Duration = Duration::from_secs(50);
/// The same for an import of many users.
pub const IMPORT_BODY_PATIENCE: Duration = Duration::from_secs(840);
/// Most bytes of a request's headers, names and values.
pub const MAX_HEADERS: usize = 32 * 1024;
/// How long the database may take to answer a probe.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
/// When to try again what took too long, in seconds.
const RETRY_LATE: &str = "30";
/// How the path of a stream of events ends.
const EVENTS: &str = "/events";
/// How the path of an import ends.
const IMPORT: &str = "/import";

/// The whole server.
pub fn router(app: &App, web: Web, portal: Portal, proxies: TrustedProxies) -> Router {
    let secure = web.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
    let cookies = if secure { Cookies::Secure } else { Cookies::Plain };
    let portal = Portal { public_url: web.public_url.clone(), ..portal };
    let metrics = Metrics::new();
    let counted = from_fn_with_state(metrics.clone(), metrics::count);
    let nouns = api::routes()
        .route_layer(from_fn_with_state(app.clone(), pause::guard_api))
        .route_layer(counted.clone())
        .with_state(app.clone());
    let pages = portal::router(app.clone(), portal)
        .layer(from_fn_with_state(app.clone(), session::attach))
        // A session that cannot be read is told on a page too.
        .layer(from_fn(portal::problem::dress))
        .route_layer(counted.clone());
    let own = Router::new()
        .merge(oauth::routes())
        .route("/readyz", get(ready))
        .route_layer(counted)
        .route("/metrics", get(metrics::scrape))
        .route("/healthz", get(healthy))
        .with_state(app.clone())
        .merge(pages);
    let mut router = own
        .fallback_service(
            api::mount(web, nouns)
                .layer(from_fn(portal::stray))
                .layer(from_fn_with_state(app.clone(), session::attach)),
        )
        .layer(Extension(cookies))
        .layer(Extension(proxies))
        .layer(Extension(metrics))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(from_fn(patience))
        .layer(from_fn(heads))
        .layer(CompressionLayer::new())
        .layer(from_fn(harden));
    if secure {
        router = router.layer(from_fn(insist));
    }
    router
}

/// That this process lives.
async fn healthy(State(app): State<App>) -> String {
    told("ok", &app)
}

/// A word for a probe, and what whoever reads it by hand should know.
fn told(word: &str, app: &App) -> String {
    match (app.paused(), app.clock_is_suspect()) {
        (Some(pause), _) => format!("{word}, paused: {}\n", pause.reason.sentence()),
        (None, true) => format!("{word}, but the clock is suspect\n"),
        (None, false) => format!("{word}\n"),
    }
}

/// Whether this process can do its work: the database answers.
async fn ready(State(app): State<App>) -> Response {
    let reason = match tokio::time::timeout(PROBE_PATIENCE, app.ready()).await {
        Ok(Ok(())) => return told("ready", &app).into_response(),
        Ok(Err(error)) => {
            tracing::warn!(error = %crate::chain(&error), "not ready");
            error.to_string()
        }
        Err(_) => {
            tracing::warn!("not ready: the database does not answer a probe");
            format!("the database did not answer within {} s", PROBE_PATIENCE.as_secs())
        }
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response()
}

/// Refuses a request with more headers than anybody needs.
async fn heads(request: Request, next: axum::middleware::Next) -> Response {
    let size: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size <= MAX_HEADERS {
        return next.run(request).await;
    }
    api::ApiError::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "BadRequest",
        format!(
            "the headers have {size} bytes; the limit is {MAX_HEADERS}; send fewer, or delete this \
             site's cookies"
        ),
    )
    .into_response()
}

/// Gives a request up that takes too long, unless it is a stream of events.
async fn patience(request: Request, next: axum::middleware::Next) -> Response {
    if request.uri().path().ends_with(EVENTS) {
        return next.run(request).await;
    }
    let (patience, body_patience) = if request.uri().path().ends_with(IMPORT) {
        (IMPORT_PATIENCE, IMPORT_BODY_PATIENCE)
    } else {
        (PATIENCE, BODY_PATIENCE)
    };
    let silence = request.extensions().get::<Silence>().map_or(body_patience, |silence| silence.0);
    let request = request.map(|body| punctual(body, silence, body_patience));
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => given_up().into_response(),
    }
}

/// What somebody is told whose request took too long.
fn given_up() -> api::ApiError {
    api::ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "serviceNotAvailable",
        "the server could not answer in time; ask for less, or try again later",
    )
    .with(RETRY_AFTER, RETRY_LATE)
}

/// How long a client may be silent; in the extensions of every request.
#[derive(Debug, Clone, Copy)]
pub struct Silence(pub Duration);

/// A body that fails with [`io::ErrorKind::TimedOut`] once its client was silent for too long, or has
/// taken too long for the whole.
fn punctual(body: Body, silence: Duration, whole: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let end = tokio::time::Instant::now() + whole;
    let chunks = stream::unfold(Some(body.into_data_stream()), move |chunks| async move {
        let mut chunks = chunks?;
        let until = end.min(tokio::time::Instant::now() + silence);
        match tokio::time::timeout_at(until, chunks.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    });
    Body::from_stream(chunks)
}

/// What every answer carries: no guessing of types, nothing about us to other hosts.
async fn harden(request: Request, next: axum::middleware::Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let referrer = HeaderName::from_static("referrer-policy");
    headers.entry(referrer).or_insert(HeaderValue::from_static("same-origin"));
    response
}

/// Over https, https it stays.
async fn insist(request: Request, next: axum::middleware::Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000"));
    response
}

/// Whose `X-Forwarded-For` counts.
pub fn trusted(proxies: Vec<ipnet::IpNet>) -> TrustedProxies {
    TrustedProxies(Arc::new(proxies))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use axum::body::to_bytes;

    use super::*;

    /// A body of pieces with a pause after each.
    fn dripping(pieces: usize, pause: Duration) -> Body {
        Body::from_stream(stream::unfold(0, move |sent| async move {
            if 0 < sent {
                tokio::time::sleep(pause).await;
            }
            (sent < pieces).then_some((Ok::<_, io::Error>("x"), sent + 1))
        }))
    }

    #[tokio::test]
    async fn a_body_that_arrives_is_passed_on_whole() {
        let long = Duration::from_secs(3_600);
        let body = punctual(dripping(5, Duration::ZERO), long, long);
        assert_eq!(to_bytes(body, 9).await.unwrap(), "xxxxx");
        assert!(punctual(Body::empty(), long, long).is_end_stream());
    }

    #[tokio::test]
    async fn a_body_that_trickles_in_or_stops_is_not_waited_for() {
        let (short, long) = (Duration::from_millis(10), Duration::from_secs(3_600));
        for body in [
            punctual(dripping(usize::MAX, Duration::from_millis(1)), long, short),
            punctual(dripping(2, long), short, long),
        ] {
            let error = to_bytes(body, usize::MAX).await.unwrap_err();
            assert!(crate::chain(&error).contains("timed out"), "{error:?}");
        }
    }

    #[test]
    fn who_is_given_up_is_told_when_to_come_again() {
        let response = given_up().into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), RETRY_LATE);
    }
}
