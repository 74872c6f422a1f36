//! Signing in and out. In a demonstration, everybody in it is one click away.

use std::sync::Arc;

use accede_app::users::User;
use accede_app::{App, Caller, Error};
use askama::Template;
use axum::Router;
use axum::extract::{Extension, State};
use axum::http::header::{HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::form::{Asked, Fields, Posted, Sent};
use super::part::{Frame, Notice, Place, Tone};
use super::problem::{Problem, Result, sentence};
use super::session::own_page;
use super::{Persona, Portal, Web, frame, see};
use crate::address::ClientAddress;
use crate::session::Cookies;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/signin", get(show).post(enter))
        .route("/signin/as", post(enter_as))
        .route("/signout", post(leave))
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    frame: Frame,
    name: String,
    to: String,
    personas: Vec<Persona>,
}

async fn show(State(portal): State<Arc<Portal>>, Asked(fields): Asked) -> Result {
    form(&portal, &fields, None).render().map_or_else(
        |error| Err(Problem::from(Error::internal(error))),
        |html| Ok(axum::response::Html(html).into_response()),
    )
}

fn form(portal: &Portal, fields: &Fields, notice: Option<Notice>) -> SignInPage {
    SignInPage {
        frame: frame(None, "Sign in", Place::Nowhere).notice(notice),
        name: fields.typed("name"),
        to: own_page(fields.get("to")).to_owned(),
        personas: portal.personas.clone(),
    }
}

/// Where a browser asks from, if it says so; nobody signs a reader in from another site.
fn comes_from_here(headers: &HeaderMap) -> bool {
    let text =
        |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    match (text(ORIGIN), text(HOST)) {
        (Some(origin), Some(host)) => {
            origin.split_once("://").is_some_and(|(_, named)| named.eq_ignore_ascii_case(host))
        }
        _ => true,
    }
}

async fn enter(
    State(app): State<App>,
    State(portal): State<Arc<Portal>>,
    Extension(cookies): Extension<Cookies>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Result {
    if !comes_from_here(&headers) {
        return Err(Problem::stale_form());
    }
    let fields = Fields::parse(&body);
    let before = cookies.token(&headers);
    let name = fields.typed("name");
    let password = fields.typed("password");
    let outcome = app.sign_in(&name, &password, &address.to_string(), before.as_deref()).await;
    match outcome {
        Ok(signed_in) => Ok(begin(cookies, &signed_in.token, own_page(fields.get("to")))),
        Err(error @ (Error::Unauthenticated(_) | Error::Throttled { .. })) => {
            let notice = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let page = form(&portal, &fields, Some(notice));
            let status = match error {
                Error::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNAUTHORIZED,
            };
            let html = page.render().map_err(|error| Problem::from(Error::internal(error)))?;
            Ok((status, axum::response::Html(html)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Becomes a persona of a demonstration, and nobody else.
async fn enter_as(
    State(app): State<App>,
    State(portal): State<Arc<Portal>>,
    Extension(cookies): Extension<Cookies>,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Result {
    if !comes_from_here(&headers) {
        return Err(Problem::stale_form());
    }
    let fields = Fields::parse(&body);
    let name = fields.get("persona").unwrap_or_default();
    let known = portal.personas.iter().any(|persona| persona.user_principal_name == name);
    if !known {
        return Err(Error::not_found("persona", name).into());
    }
    let user: User = app.user(&Caller::system(), name).await?;
    let before = cookies.token(&headers);
    let signed_in = app.sign_in_as(user.id, before.as_deref()).await?;
    Ok(begin(cookies, &signed_in.token, own_page(fields.get("to"))))
}

fn begin(cookies: Cookies, token: &str, to: &str) -> Response {
    let mut response = see(to);
    response.headers_mut().append(SET_COOKIE, cookies.begin(token));
    response
}

async fn leave(
    State(app): State<App>,
    Extension(cookies): Extension<Cookies>,
    headers: HeaderMap,
    _: Posted,
) -> Result {
    if let Some(token) = cookies.token(&headers) {
        app.sign_out(&token).await?;
    }
    let mut response = see("/signin");
    response.headers_mut().append(SET_COOKIE, cookies.end());
    Ok(response)
}

#[cfg(test)]
impl SignInPage {
    /// With personas, and after a wrong password.
    pub fn samples() -> Vec<SignInPage> {
        use super::samples;
        let page = |personas, notice| SignInPage {
            frame: Frame { who: None, ..samples::frame("Sign in", Place::Nowhere) }.notice(notice),
            name: samples::NASTY.to_owned(),
            to: "/my/packages".to_owned(),
            personas,
        };
        let wrong = Notice::new(Tone::Bad, "The sign-in name or the password is wrong.");
        let rita = Persona {
            user_principal_name: "rita@contoso.example".to_owned(),
            display_name: "Rita Okafor".to_owned(),
            part: "assignment manager of Marketing".to_owned(),
        };
        vec![page(vec![rita], None), page(vec![], Some(wrong))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_site_signs_nobody_in() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, axum::http::HeaderValue::from_static("accede.test"));
        assert!(comes_from_here(&headers));
        headers.insert(ORIGIN, axum::http::HeaderValue::from_static("http://accede.test"));
        assert!(comes_from_here(&headers));
        headers.insert(ORIGIN, axum::http::HeaderValue::from_static("https://evil.example"));
        assert!(!comes_from_here(&headers));
    }
}
