//! The doors for programs: Microsoft Graph under `/v1.0` and our own API under `/accede/v1`.
//!
//! One file per noun holds the routes of that noun; the files named here hold what all share, and
//! know no noun: paths ([`names`]), query options ([`query`]), bodies ([`body`]), answers
//! ([`respond`]), errors ([`error`]), batches ([`batch`]).

pub mod access_packages;
pub mod approvals;
pub mod assignment_policies;
pub mod assignment_requests;
pub mod assignments;
pub mod batch;
pub mod body;
pub mod callbacks;
pub mod catalogs;
pub mod deployment;
pub mod directory_objects;
pub mod drift;
pub mod error;
pub mod failures;
pub mod groups;
pub mod guards;
pub mod names;
pub mod notices;
pub mod openapi;
pub mod query;
pub mod repeat;
pub mod reprocess;
pub mod resolutions;
mod resource_environments;
pub mod resource_requests;
pub mod resources;
pub mod respond;
pub mod role_management;
pub mod schedules;
pub mod short;
pub mod spreads;
pub mod subjects;
pub mod targets;
pub mod tasks;
#[cfg(test)]
mod tests;
pub mod time;
pub mod user_import;
pub mod users;
pub mod waiting;

use std::sync::Arc;

use accede_app::{App, Clock, Entropy};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Extension, Router};
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;

pub use self::error::{ApiError, Result};

/// What the doors know of the deployment.
#[derive(Clone)]
pub struct Web {
    /// Where clients reach the server, if the configuration says so; else the host they name.
    pub public_url: Option<Url>,
    /// Tells the time of errors.
    pub clock: Arc<dyn Clock>,
    /// Mints request ids.
    pub entropy: Arc<dyn Entropy>,
}

/// The routes of every noun.
pub fn routes() -> Router<App> {
    Router::new()
        .merge(access_packages::routes())
        .merge(approvals::routes())
        .merge(assignment_policies::routes())
        .merge(assignment_requests::routes())
        .merge(assignments::routes())
        .merge(callbacks::routes())
        .merge(catalogs::routes())
        .merge(deployment::routes())
        .merge(directory_objects::routes())
        .merge(drift::routes())
        .merge(failures::routes())
        .merge(groups::routes())
        .merge(guards::routes())
        .merge(notices::routes())
        .merge(waiting::routes())
        .merge(openapi::routes())
        .merge(reprocess::routes())
        .merge(resolutions::routes())
        .merge(resource_environments::routes())
        .merge(resource_requests::routes())
        .merge(resources::routes())
        .merge(role_management::routes())
        .merge(spreads::routes())
        .merge(targets::routes())
        .merge(tasks::routes())
        .merge(user_import::routes())
        .merge(users::routes())
}

/// The API over `routes`, whose paths begin with `/v1.0` or `/accede/v1` and are spelled as
/// [`names`] spells them. Adds `$batch`, and answers every other path and verb in the API's way;
/// made to be the fallback of the server's router.
pub fn mount(web: Web, routes: Router) -> Router {
    let routes = routes
        .fallback(unmatched)
        .method_not_allowed_fallback(async || ApiError::of_status(StatusCode::METHOD_NOT_ALLOWED))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(web.clone(), respond::dress));
    let rewritten = ServiceBuilder::new().map_request(names::rewrite);
    let entries: batch::Routes =
        BoxCloneSyncService::new(rewritten.clone().service(routes.clone()));
    let batch = Router::new()
        .route("/v1.0/$batch", post(batch::run))
        .with_state(entries)
        .layer(from_fn_with_state(web, respond::dress));
    Router::new().fallback_service(rewritten.service(routes.merge(batch)))
}

/// No route has this path.
async fn unmatched(sent: Option<Extension<names::Sent>>, request: Request) -> ApiError {
    let path =
        sent.map_or_else(|| request.uri().path().to_owned(), |sent| sent.0.0.path().to_owned());
    let shown: String = path.chars().take(200).collect();
    ApiError::not_found(format!(
        "no HTTP resource was found that matches the request path `{shown}`"
    ))
}

/// A fault of ours that reached the edge; the panic hook has logged it.
fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> axum::response::Response {
    ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}
