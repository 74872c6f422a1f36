//! What a page says when a verb says no. The status and the sentence are the API's own; the page
//! adds what a person can do next.

use accede_app::catalogs::CatalogWith;
use accede_app::packages::PackageWith;
use accede_app::{App, Error};
use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::frame;
use super::part::{Frame, Place, legible};
use super::session::Session;
use super::words;
use crate::api::error::ApiError;

/// The results of handlers.
pub type Result<T = Response, E = Problem> = std::result::Result<T, E>;

/// A refusal on its way to a page.
#[derive(Debug)]
pub struct Problem {
    error: ApiError,
    told: Told,
}

/// What the page says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    title: &'static str,
    sentence: String,
    advice: String,
    /// Whether a right was lacking.
    is_forbidden: bool,
}

impl Problem {
    /// A form whose token is not the session's.
    pub fn stale_form() -> Problem {
        let error = Error::Forbidden { need: "a form of your present session".to_owned() };
        Problem {
            told: Told {
                title: "This form is out of date",
                sentence: "The form was made for another session, so nothing was changed."
                    .to_owned(),
                advice: "Go back, load the page again, and send the form once more.".to_owned(),
                is_forbidden: false,
            },
            error: error.into(),
        }
    }
}

impl Problem {
    /// An address that no page has.
    pub fn nowhere() -> Problem {
        let told = Told {
            title: "Not found",
            sentence: "There is no page at this address.".to_owned(),
            advice: "Look whether the address is whole, or begin at the start page.".to_owned(),
            is_forbidden: false,
        };
        Problem { told, error: Error::not_found("page", "address").into() }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let (title, advice) = match &error {
            Error::NotFound { .. } => (
                "Not found",
                "It may have been deleted, or you may not be allowed to see it. \
                 Go back to the list it should be in.",
            ),
            Error::Forbidden { .. } => (
                "You may not do this",
                "Nothing was changed. Ask an owner of the catalog or an administrator to do it, or \
                 to give you the role.",
            ),
            Error::Unauthenticated(_) => ("Sign in first", "Sign in and try again."),
            Error::Refused(_) | Error::Duplicate { .. } => {
                ("This cannot be done now", "Nothing was changed. Go back and see how it stands.")
            }
            Error::Invalid { .. } | Error::Limit { .. } => {
                ("Something in the form is not right", "Go back, correct it, and send it again.")
            }
            Error::Stale => (
                "Somebody else changed this",
                "Nothing was changed by you. Go back, load the page again, and repeat what you did.",
            ),
            Error::Throttled { .. } => ("Too many tries", "Wait a while, then try again."),
            Error::Target { .. } => (
                "The target system did not answer as needed",
                "Check the target system, then try again.",
            ),
            Error::Full | Error::Locked(_) | Error::Unavailable(_) => (
                "The server cannot work at present",
                "Try again in a minute. If it stays so, tell whoever operates this server.",
            ),
            Error::Uncertain(_) => (
                "This may not be saved",
                "Go back, load the page again, and see how it stands before you repeat it.",
            ),
            Error::Internal(_) => (
                "Something went wrong",
                "It was recorded. Try again; if it stays so, tell whoever operates this server.",
            ),
        };
        let sentence = match &error {
            // Nobody knows ids by heart.
            Error::NotFound { what, id } if uuid::Uuid::try_parse(id).is_ok() => {
                format!("There is no such {what}, or you may not see it.")
            }
            error => sentence(&error.to_string()),
        };
        let is_forbidden = matches!(error, Error::Forbidden { .. });
        let told = Told { title, sentence, advice: advice.to_owned(), is_forbidden };
        Problem { told, error: error.into() }
    }
}

/// A form's page again, with what was typed and what is wrong with it, told with the status of the
/// error.
///
/// # Errors
///
/// The error as a page of its own, if no other input would mend it.
pub fn again(error: Error, page: impl FnOnce(&Error) -> Result<Response>) -> Result {
    let is_about_input = matches!(
        &error,
        Error::Invalid { .. }
            | Error::Duplicate { .. }
            | Error::Refused(_)
            | Error::Limit { .. }
            | Error::Stale
            | Error::Target { .. }
    );
    if !is_about_input {
        return Err(error.into());
    }
    let mut response = page(&error)?;
    *response.status_mut() = ApiError::from(error).status();
    Ok(response)
}

/// An error's text as a sentence: a capital first, a full stop last, no ticks around what was given,
/// instants and states in words.
pub fn sentence(text: &str) -> String {
    let text = legible(&words::states_told(text).replace('`', ""));
    let mut letters = text.chars();
    let mut told: String = match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    };
    if !told.ends_with(['.', '!', '?']) {
        told.push('.');
    }
    told
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.error.into_response();
        for name in [CONTENT_TYPE, CONTENT_LENGTH, WWW_AUTHENTICATE] {
            response.headers_mut().remove(name);
        }
        *response.body_mut() = Body::empty();
        response.extensions_mut().insert(self.told);
        response
    }
}

/// Names the catalog whose owners can help, where a right was lacking on something that is in one.
pub async fn name_catalog(
    State(app): State<App>,
    session: Option<Session>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let lacks = response.extensions().get::<Told>().is_some_and(|told| told.is_forbidden);
    if lacks
        && let Some(session) = session
        && let Some(name) = catalog_of(&app, &session, &path).await
        && let Some(told) = response.extensions_mut().get_mut::<Told>()
    {
        told.advice = format!(
            "Nothing was changed. It is in the catalog {name}: ask an owner of {name} or an \
             administrator to do it, or to give you the role."
        );
    }
    response
}

/// The name of the catalog that an address is in, if the reader may know it.
async fn catalog_of(app: &App, session: &Session, path: &str) -> Option<String> {
    let mut parts = path.trim_start_matches('/').split('/').skip(1);
    let (noun, id) = (parts.next()?, parts.next()?);
    let caller = &session.caller;
    let catalog = match noun {
        "catalogs" => id.parse().ok()?,
        "packages" => {
            let with = PackageWith::default();
            app.package(caller, None, id.parse().ok()?, with).await.ok()?.package.catalog
        }
        "requests" => app.get_request(caller, id.parse().ok()?).await.ok()?.summary.catalog,
        _ => return None,
    };
    let found = app.catalog(caller, catalog, CatalogWith::default()).await.ok()?;
    Some(found.catalog.display_name)
}

/// Writes the page of a refusal, in the frame of who is signed in.
pub async fn dress(session: Option<Session>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    dressed(session.as_ref(), response)
}

/// A refusal as a page in the frame of who is signed in; anything else as it is.
pub fn dressed(session: Option<&Session>, mut response: Response) -> Response {
    let Some(told) = response.extensions_mut().remove::<Told>() else { return response };
    let frame = frame(session, told.title, Place::Nowhere);
    let page = ProblemPage { frame, sentence: told.sentence, advice: told.advice };
    let (parts, _) = response.into_parts();
    match page.render() {
        Ok(html) => (parts.status, parts.headers, Html(html)).into_response(),
        Err(_) => (parts.status, parts.headers, told.title).into_response(),
    }
}

/// The page of a refusal.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub struct ProblemPage {
    frame: Frame,
    sentence: String,
    advice: String,
}

#[cfg(test)]
impl ProblemPage {
    /// One of each kind.
    pub fn samples() -> Vec<ProblemPage> {
        use super::samples;
        let of = |error: Error| {
            let told = Problem::from(error).told;
            let frame = samples::frame(told.title, Place::Nowhere);
            ProblemPage { frame, sentence: told.sentence, advice: told.advice }
        };
        vec![
            of(Error::not_found("assignment request", "5d2b7f66 <b>")),
            of(Error::Forbidden {
                need: "catalog owner or Identity Governance Administrator".into(),
            }),
            of(Error::Stale),
            of(Error::Full),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_sentences() {
        assert_eq!(sentence("there is no catalog `x`"), "There is no catalog x.");
        assert_eq!(sentence(""), ".");
        let wire = "a request in state `deliveryFailed` cannot begin at 2026-05-20T09:00:00.5Z";
        let told = "A request in state “Delivery failed” cannot begin at 2026-05-20 09:00 UTC.";
        assert_eq!(sentence(wire), told);
    }
}
