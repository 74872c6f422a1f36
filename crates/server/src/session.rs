//! The portal's session: a cookie on one side, a row in the database on the other.
//!
//! The cookie is `__Host-accede` and `Secure` where the server is reached by https, and `accede`
//! where it is reached by plain http, which is for this machine only.

use accede_app::App;
use accede_app::sign_in::{ABSOLUTE, Live};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::portal::session::Session;

/// Longest token that is looked at.
const MAX_TOKEN: usize = 128;

/// Where the parts of pages are that are the same for everybody.
const ASSETS: &str = "/assets/";

/// How the cookie is sent; in the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cookies {
    /// Over plain http.
    #[default]
    Plain,
    /// Over https only.
    Secure,
}

impl Cookies {
    const fn name(self) -> &'static str {
        match self {
            Cookies::Plain => "accede",
            Cookies::Secure => "__Host-accede",
        }
    }

    /// `Set-Cookie` for a session that begins.
    pub fn begin(self, token: &str) -> HeaderValue {
        self.header(token, ABSOLUTE.as_secs())
    }

    /// `Set-Cookie` for a session that has ended.
    pub fn end(self) -> HeaderValue {
        self.header("", 0)
    }

    fn header(self, token: &str, seconds: i64) -> HeaderValue {
        let secure = match self {
            Cookies::Plain => "",
            Cookies::Secure => "; Secure",
        };
        let text = format!(
            "{}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}",
            self.name()
        );
        // A token is made of letters, digits, `-` and `_`.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("accede="))
    }

    /// The session's token that a request carries.
    pub fn token(self, headers: &HeaderMap) -> Option<String> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut found = cookies
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name())
            .map(|(_, token)| token);
        let token = found.next()?;
        // Two of one name: somebody else may have set one of them.
        let sound = found.next().is_none() && !token.is_empty() && token.len() <= MAX_TOKEN;
        sound.then(|| token.to_owned())
    }
}

/// Puts the portal's [`Session`] beside a request that carries the cookie of a living one; a layer
/// around the portal.
pub async fn attach(State(app): State<App>, mut request: Request, next: Next) -> Response {
    // What pages look like is for everybody, also while nobody's session can be read.
    if request.uri().path().starts_with(ASSETS) {
        return next.run(request).await;
    }
    let cookies = request.extensions().get::<Cookies>().copied().unwrap_or_default();
    if let Some(token) = cookies.token(request.headers()) {
        match app.session_caller(&token).await {
            Ok(Live { caller, csrf, .. }) => {
                let paused = app.paused().map(|pause| pause.reason.sentence());
                // Without the number the page is still worth having.
                let tasks = app.my_waiting_tasks(&caller).await.unwrap_or_default().open;
                request.extensions_mut().insert(Session { caller, csrf, paused, tasks });
            }
            // Over, or its owner is gone: as good as none.
            Err(accede_app::Error::Unauthenticated(_)) => {}
            Err(error) => return crate::portal::problem::Problem::from(error).into_response(),
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, cookie.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_over_https_is_for_this_host_alone() {
        let header = Cookies::Secure.begin("abc");
        assert_eq!(
            header,
            "__Host-accede=abc; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(Cookies::Plain.end(), "accede=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let headers = headers(&["theme=dark; accede=abc", "x=y"]);
        assert_eq!(Cookies::Plain.token(&headers).as_deref(), Some("abc"));
        assert_eq!(Cookies::Secure.token(&headers), None);
    }

    #[test]
    fn a_doubtful_token_is_none() {
        let long = format!("accede={}", "a".repeat(200));
        for cookies in [&["accede=a; accede=b"][..], &["accede="], &[long.as_str()], &["accede"]] {
            assert_eq!(Cookies::Plain.token(&headers(cookies)), None, "{cookies:?}");
        }
    }
}
