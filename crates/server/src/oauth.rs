//! `POST /oauth2/v2.0/token`: OAuth 2.0 client credentials (RFC 6749, 4.4), as Graph clients ask for
//! them: `scope` is some resource's `/.default`.

use std::net::IpAddr;

use accede_app::{App, Error};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::json;
use url::form_urlencoded;

use crate::address::ClientAddress;

/// Largest form, in bytes.
const MAX_FORM: usize = 16 * 1024;

/// The token endpoint; clients that know tenants put one in front.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/oauth2/v2.0/token", post(token))
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .layer(DefaultBodyLimit::max(MAX_FORM))
}

/// What a client sent.
#[derive(Debug, Default)]
struct Form {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
}

/// An error as RFC 6749, 5.2 wants it.
struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: String,
    retry_after: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Refusal {
        Refusal { status, error, description: description.into(), retry_after: None }
    }

    fn request(description: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut response = (
            self.status,
            [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")],
            body.to_string(),
        )
            .into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = axum::http::HeaderValue::from_static("Basic realm=\"accede\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

async fn token(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match answer(&app, address, &headers, &body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn answer(
    app: &App,
    address: IpAddr,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Refusal> {
    let form = read(headers, body)?;
    match form.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "only client_credentials is supported",
            ));
        }
        None => return Err(Refusal::request("`grant_type` is missing")),
    }
    let (client_id, secret) = credentials(headers, &form)?;
    let scopes: Vec<&str> = form.scope.as_deref().unwrap_or_default().split_whitespace().collect();
    if scopes.iter().any(|scope| *scope != ".default" && !scope.ends_with("/.default")) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            "an application gets what it was granted; send `.default`, such as \
             https://graph.microsoft.com/.default",
        ));
    }
    let issued =
        app.issue_by_secret(&client_id, &secret, &address.to_string()).await.map_err(|error| {
            match error {
                Error::Unauthenticated(sentence) => {
                    Refusal::new(StatusCode::UNAUTHORIZED, "invalid_client", sentence)
                }
                Error::Throttled { sentence, retry_after } => Refusal {
                    retry_after: Some(retry_after),
                    ..Refusal::new(
                        StatusCode::TOO_MANY_REQUESTS,
                        "temporarily_unavailable",
                        sentence,
                    )
                },
                other => {
                    tracing::error!(error = %crate::chain(&other), "a token could not be issued");
                    Refusal::new(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "temporarily_unavailable",
                        "the server could not issue a token; try again later",
                    )
                }
            }
        })?;
    let seconds = issued.lifetime.as_secs();
    let body = json!({
        "token_type": "Bearer",
        "expires_in": seconds,
        "ext_expires_in": seconds,
        "access_token": issued.token,
        "scope": issued.scopes.join(" "),
    });
    let headers =
        [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];
    Ok((StatusCode::OK, headers, body.to_string()).into_response())
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Form, Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refusal::request("send the form as application/x-www-form-urlencoded"));
    }
    let mut form = Form::default();
    for (name, value) in form_urlencoded::parse(body) {
        let field = match name.as_ref() {
            "grant_type" => &mut form.grant_type,
            "client_id" => &mut form.client_id,
            "client_secret" => &mut form.client_secret,
            "scope" => &mut form.scope,
            // Unknown parameters are ignored (RFC 6749, 3.2).
            _ => continue,
        };
        if field.replace(value.into_owned()).is_some() {
            return Err(Refusal::request(format!("`{name}` is given twice")));
        }
    }
    Ok(form)
}

/// The client's id and secret, from the form or the `Authorization` header, not from both.
fn credentials(headers: &HeaderMap, form: &Form) -> Result<(String, String), Refusal> {
    let missing = || {
        Refusal::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "send `client_id` and `client_secret`, in the form or by Basic authentication",
        )
    };
    let Some(header) = headers.get(AUTHORIZATION) else {
        return match (&form.client_id, &form.client_secret) {
            (Some(id), Some(secret)) => Ok((id.clone(), secret.clone())),
            _ => Err(missing()),
        };
    };
    if form.client_secret.is_some() {
        return Err(Refusal::request("authenticate in one way, not in two"));
    }
    let encoded = header.to_str().ok().and_then(|text| text.split_once(' '));
    let (scheme, encoded) = encoded.ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(missing());
    }
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| missing())?;
    let text = String::from_utf8(bytes).map_err(|_| missing())?;
    let (id, secret) = text.split_once(':').ok_or_else(missing)?;
    let decoded = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| missing())
    };
    let (id, secret) = (decoded(id)?, decoded(secret)?);
    if form.client_id.as_ref().is_some_and(|other| *other != id) {
        return Err(Refusal::request(
            "`client_id` differs from that of the `Authorization` header",
        ));
    }
    Ok((id, secret))
}
