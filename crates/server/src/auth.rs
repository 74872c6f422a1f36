//! Who calls the API: the bearer token of the `Authorization` header.

use accede_app::{App, Caller};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::api::error::ApiError;

/// The caller, known by their token. Every handler of the API takes it.
#[derive(Debug, Clone)]
pub struct SignedIn(pub Caller);

impl<S> FromRequestParts<S> for SignedIn
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<SignedIn, ApiError> {
        let token = bearer(&parts.headers)?;
        let caller = App::from_ref(state).authenticate(token).await.map_err(refused)?;
        Ok(SignedIn(caller))
    }
}

/// The token of the header.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (values.next(), values.next());
    let missing = "no access token was sent; send `Authorization: Bearer …` with one from `accede \
                   token` or `/oauth2/v2.0/token`";
    let Some(header) = first else { return Err(ApiError::unauthenticated(missing)) };
    if second.is_some() {
        return Err(ApiError::unauthenticated("`Authorization` was sent twice; send it once"));
    }
    let text = header.to_str().map_err(|_| ApiError::unauthenticated(missing))?;
    let (scheme, token) = text.trim().split_once(' ').unwrap_or((text, ""));
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(ApiError::unauthenticated(missing));
    }
    Ok(token)
}

fn refused(error: accede_app::Error) -> ApiError {
    let unauthenticated = matches!(error, accede_app::Error::Unauthenticated(_));
    let refused = ApiError::from(error);
    if unauthenticated {
        let challenge = "Bearer error=\"invalid_token\"";
        return refused.with(axum::http::header::WWW_AUTHENTICATE, challenge);
    }
    refused
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        for value in ["Bearer abc.d", "bearer abc.d", "BEARER   abc.d "] {
            assert_eq!(bearer(&headers(&[value])).unwrap(), "abc.d", "{value}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for values in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Basic abc"],
            &["abc"],
            &["Bearer a", "Bearer b"],
        ] {
            let refused = bearer(&headers(values)).unwrap_err();
            assert_eq!(refused.status(), 401, "{values:?}");
            assert_eq!(refused.code(), "InvalidAuthenticationToken");
        }
    }
}
