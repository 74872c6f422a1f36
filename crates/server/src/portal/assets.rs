//! The style sheet, the script and the pictures: compiled in, told apart by a hash of their content.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const FILES: [(&str, &str, &str); 4] = [
    ("/assets/app.css", "text/css; charset=utf-8", include_str!("../../assets/app.css")),
    ("/assets/app.js", "text/javascript; charset=utf-8", include_str!("../../assets/app.js")),
    ("/assets/icons.svg", "image/svg+xml", include_str!("../../assets/icons.svg")),
    ("/assets/logo.svg", "image/svg+xml", include_str!("../../assets/logo.svg")),
];

/// The routes of these files.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new();
    for (path, kind, text) in FILES {
        let tag = tag(text);
        router = router
            .route(path, get(async move |headers: HeaderMap| answer(&headers, &tag, kind, text)));
    }
    router
}

fn tag(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let hex: String = digest.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn answer(headers: &HeaderMap, tag: &str, kind: &'static str, text: &'static str) -> Response {
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let headers = [
        (ETAG, tag.to_owned()),
        (CONTENT_TYPE, kind.to_owned()),
        // Asked about every time, sent once: a new version shows at once.
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, text).into_response()
    }
}
