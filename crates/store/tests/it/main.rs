//! Tests of the store on both engines.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod accounts;
mod apps;
mod engine;
mod filter;
mod groups;
mod role_assignments;
mod users;
