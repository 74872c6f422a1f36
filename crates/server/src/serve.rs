//! The router of a serving process: the portal, the APIs, the token endpoint, probes and metrics.

use std::sync::Arc;
use std::time::Duration;

use accede_app::App;
use axum::extract::State;
use axum::http::header::{HeaderName, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::address::TrustedProxies;
use crate::api::{self, Web};
use crate::metrics::{self, Metrics};
use crate::oauth;
use crate::portal::{self, Portal};
use crate::session::{self, Cookies};

/// The largest body that any route reads; routes have smaller limits of their own.
pub const MAX_BODY: usize = 72 * 1024 * 1024;
/// How long a request may take before it is given up. Longer than anything but a stream of events.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The same for an import of many users.
pub const IMPORT_PATIENCE: Duration = Duration::from_secs(900);
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
    let nouns = api::routes().route_layer(counted.clone()).with_state(app.clone());
    let pages = portal::router(app.clone(), portal)
        .layer(from_fn_with_state(app.clone(), session::attach))
        .route_layer(counted.clone());
    let own = Router::new()
        .merge(oauth::routes())
        .route("/readyz", get(ready))
        .route_layer(counted)
        .route("/metrics", get(metrics::scrape))
        .route("/healthz", get(async || "ok\n"))
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
        .layer(CompressionLayer::new())
        .layer(from_fn(harden));
    if secure {
        router = router.layer(from_fn(insist));
    }
    router
}

/// Whether this process can do its work: the database answers.
async fn ready(State(app): State<App>) -> Response {
    match app.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(error = %crate::chain(&error), "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database is not available\n").into_response()
        }
    }
}

/// Gives a request up that takes too long, unless it is a stream of events.
async fn patience(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    if request.uri().path().ends_with(EVENTS) {
        return next.run(request).await;
    }
    let patience = if request.uri().path().ends_with(IMPORT) { IMPORT_PATIENCE } else { PATIENCE };
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => api::ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "serviceNotAvailable",
            "the server could not answer in time; ask for less, or try again later",
        )
        .into_response(),
    }
}

/// What every answer carries: no guessing of types, nothing about us to other hosts.
async fn harden(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let referrer = HeaderName::from_static("referrer-policy");
    headers.entry(referrer).or_insert(HeaderValue::from_static("same-origin"));
    response
}

/// Over https, https it stays.
async fn insist(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
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
