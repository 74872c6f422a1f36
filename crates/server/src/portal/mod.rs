//! The portal: pages for people. A page is a function from view data to HTML; view data is built
//! from what `app` returns. One file per noun holds its handlers, its view data and its samples.
//!
//! Pages work without scripts. Nothing changes by GET, and every form carries the session's token.

mod approvals;
mod assets;
mod assign;
mod assignments;
mod catalogs;
mod confirm;
mod deployment;
mod details;
mod drift;
mod failures;
pub mod form;
mod form_page;
mod groups;
mod guards;
mod incompatible;
mod input;
mod jobs;
mod my_access;
mod my_packages;
mod my_requests;
mod notices;
mod package_edit;
mod package_roles;
mod packages;
pub mod part;
mod people;
mod people_forms;
mod pick;
mod plans;
mod policies;
mod policy_form;
mod policy_names;
mod policy_questions;
pub mod problem;
mod requests;
mod resolutions;
#[cfg(test)]
mod samples;
pub mod session;
mod sign_in;
mod targets;
mod tasks;
mod terms;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use accede_app::App;
use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Request};
use axum::http::Method;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use url::Url;

use self::part::{Csrf, Frame, Place, Sections};
use self::problem::{Problem, Result};
use self::session::Session;
use crate::api::error::ApiError;
use crate::pause;

/// What the portal knows of its deployment.
#[derive(Debug, Clone, Default)]
pub struct Portal {
    /// People to sign in as with one click; only in a demonstration.
    pub personas: Vec<Persona>,
    /// Where people reach this server, if that is configured.
    pub public_url: Option<Url>,
}

/// Somebody to sign in as with one click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persona {
    /// Their sign-in name.
    pub user_principal_name: String,
    /// Their name.
    pub display_name: String,
    /// What they can show: `approver`, `assignment manager of Marketing`.
    pub part: String,
}

/// What handlers get.
#[derive(Clone)]
pub struct Web {
    app: App,
    portal: Arc<Portal>,
}

impl FromRef<Web> for App {
    fn from_ref(web: &Web) -> App {
        web.app.clone()
    }
}

impl FromRef<Web> for Arc<Portal> {
    fn from_ref(web: &Web) -> Arc<Portal> {
        web.portal.clone()
    }
}

/// The portal's pages over an application. [`Session`]s are put beside requests by who mounts it.
pub fn router(app: App, portal: Portal) -> Router {
    routes()
        .method_not_allowed_fallback(above)
        .layer(from_fn_with_state(app.clone(), pause::guard_pages))
        .layer(from_fn_with_state(app.clone(), problem::name_catalog))
        .layer(from_fn(problem::dress))
        .layer(DefaultBodyLimit::max(form::MAX_FORM))
        .merge(assets::routes())
        .layer(from_fn(guard))
        .with_state(Web { app, portal: Arc::new(portal) })
}

/// Every page's address. Two handlers for one make the server stop when it starts.
fn routes() -> Router<Web> {
    Router::new()
        .route("/", get(start))
        .merge(assign::routes())
        .merge(assignments::routes())
        .merge(catalogs::routes())
        .merge(deployment::routes())
        .merge(details::routes())
        .merge(failures::routes())
        .merge(incompatible::routes())
        .merge(groups::routes())
        .merge(drift::routes())
        .merge(guards::routes())
        .merge(notices::routes())
        .merge(jobs::routes())
        .merge(package_edit::routes())
        .merge(package_roles::routes())
        .merge(packages::routes())
        .merge(approvals::routes())
        .merge(my_access::routes())
        .merge(my_packages::routes())
        .merge(my_requests::routes())
        .merge(people::routes())
        .merge(people_forms::routes())
        .merge(plans::routes())
        .merge(policies::routes())
        .merge(requests::routes())
        .merge(resolutions::routes())
        .merge(sign_in::routes())
        .merge(targets::routes())
        .merge(tasks::routes())
}

/// To the page where the reader's work is.
async fn start(session: Session) -> Response {
    let page = if Sections::of(&session.caller).catalogs {
        "/governance/packages"
    } else {
        "/my/packages"
    };
    Redirect::to(page).into_response()
}

/// Reading an address that only takes forms, as a reload of a refused one does: to the page that the
/// form stands on.
async fn above(request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return ApiError::wrong_method().into_response();
    }
    let parts: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    let page = match parts.as_slice() {
        ["governance", "plans"] => "/governance/jobs".to_owned(),
        ["governance", "failures", ..] => "/governance/failures".to_owned(),
        ["governance", "packages", id, "assignments", ..] => {
            format!("/governance/packages/{id}/assignments")
        }
        [section @ ("governance" | "my"), noun, id, ..] => format!("/{section}/{noun}/{id}"),
        _ => "/".to_owned(),
    };
    see(page)
}

/// What a browser is told of an address that nothing is at: a page, where the API would say it in
/// JSON. Addresses of the APIs keep their own answers.
pub async fn stray(session: Option<Session>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_api = ["/v1.0", "/accede/"].iter().any(|api| path.starts_with(api));
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let wants_page = accept.is_some_and(|accept| accept.contains("text/html"));
    if is_api || !wants_page || request.method() != Method::GET {
        return next.run(request).await;
    }
    let mut response = problem::dressed(session.as_ref(), Problem::nowhere().into_response());
    seal(&mut response);
    response
}

/// The frame of a page for who is signed in.
fn frame(session: Option<&Session>, title: impl Into<String>, place: Place) -> Frame {
    Frame {
        title: title.into(),
        who: session.map(|session| session.caller.name.clone()),
        csrf: Csrf { token: session.map(|session| session.csrf.clone()).unwrap_or_default() },
        sections: session
            .map(|session| Sections { tasks: session.tasks, ..Sections::of(&session.caller) })
            .unwrap_or_default(),
        place,
        crumbs: Vec::new(),
        notice: None,
        refresh: None,
        paused: session.and_then(|session| session.paused),
    }
}

/// A page as an answer.
fn page(page: &impl Template) -> Result {
    match page.render() {
        Ok(html) => Ok(Html(html).into_response()),
        Err(error) => Err(Problem::from(accede_app::Error::internal(error))),
    }
}

/// After a form: to a page that says what was done.
fn see(address: impl AsRef<str>) -> Response {
    Redirect::to(address.as_ref()).into_response()
}

const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'; object-src 'none'";

/// Headers that keep other sites out of these pages, and pages out of caches.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    seal(&mut response);
    response
}

fn seal(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
