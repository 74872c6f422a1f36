//! While the deployment is paused, whatever would change something is refused at the doors: only
//! reading, signing in, and what brings the pause to its end goes on.

use accede_app::App;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::ApiError;
use crate::portal::problem::Problem;

/// What goes on, by the beginning of the path.
const OPEN: [&str; 4] = ["/accede/v1/deployment", "/governance/deployment", "/signin", "/signout"];
/// A question that is asked with POST.
const QUESTION: &str = "/getApplicablePolicyRequirements";

fn may_change(app: &App, request: &Request) -> Result<(), accede_app::Error> {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_open = OPEN.iter().any(|open| path.starts_with(open)) || path.ends_with(QUESTION);
    if reads || is_open { Ok(()) } else { app.refuse_paused() }
}

/// A layer around the routes of the APIs.
pub async fn guard_api(State(app): State<App>, request: Request, next: Next) -> Response {
    match may_change(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => ApiError::from(error).into_response(),
    }
}

/// A layer around the portal's pages.
pub async fn guard_pages(State(app): State<App>, request: Request, next: Next) -> Response {
    match may_change(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}
