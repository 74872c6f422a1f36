//! Tests of the store on both engines.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod accounts;
mod apps;
mod catalogs;
mod creations;
mod engine;
mod filter;
mod groups;
mod packages;
mod policies;
mod resources;
mod role_assignments;
mod separations;
mod shelf;
mod targets;
mod users;
