//! The doors of Accede: the APIs, the portal and the command line.

pub mod address;
pub mod api;
pub mod auth;
pub mod cli;
pub mod config;
pub mod demo;
pub mod metrics;
pub mod oauth;
pub mod pause;
pub mod portal;
pub mod serve;
pub mod session;

/// An error and all its causes in one line, each once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}
