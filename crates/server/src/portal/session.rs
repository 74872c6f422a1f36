//! Who is signed in to the portal. Whoever mounts the portal puts a [`Session`] beside each request
//! that has one; pages that need one send the reader to sign in first.

use accede_app::Caller;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A signed-in reader.
#[derive(Debug, Clone)]
pub struct Session {
    /// Who, and what they may do.
    pub caller: Caller,
    /// The token that their forms carry.
    pub csrf: String,
    /// Why the deployment is paused, if it is.
    pub paused: Option<&'static str>,
    /// How many tasks they are to do.
    pub tasks: i64,
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Session, Response> {
        match parts.extensions.get::<Session>() {
            Some(session) => Ok(session.clone()),
            None => Err(sign_in_first(parts)),
        }
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Option<Session>, Self::Rejection> {
        Ok(parts.extensions.get::<Session>().cloned())
    }
}

/// To the sign-in page, and from there back to the page that was asked for.
fn sign_in_first(parts: &Parts) -> Response {
    let wanted = match (&parts.method, parts.uri.path_and_query()) {
        (&Method::GET, Some(wanted)) if wanted.as_str() != "/" => wanted.as_str(),
        _ => return Redirect::to("/signin").into_response(),
    };
    let wanted = utf8_percent_encode(wanted, NON_ALPHANUMERIC);
    Redirect::to(&format!("/signin?to={wanted}")).into_response()
}

/// A page of this server to go to after signing in; nothing that leads elsewhere.
pub fn own_page(wanted: Option<&str>) -> &str {
    match wanted {
        Some(path)
            if path.starts_with('/')
                && !path.starts_with("//")
                && !path.contains(['\\', '\r', '\n', '\t']) =>
        {
            path
        }
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_nobody_is_sent_to_another_server() {
        assert_eq!(own_page(Some("/governance/failures?x=1")), "/governance/failures?x=1");
        for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil"] {
            assert_eq!(own_page(Some(elsewhere)), "/", "{elsewhere}");
        }
        assert_eq!(own_page(None), "/");
    }
}
