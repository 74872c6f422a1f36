//! Stories through HTTP: what clients of the API see and do.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod catalogs;
mod cli;
#[path = "../../../connectors/tests/it/contract.rs"]
mod contract;
mod crash_points;
mod doors;
mod failures;
mod faults;
mod forms;
mod graph_target;
mod groups;
mod guards;
mod matrix;
mod matrix_forms;
mod packages;
mod people;
mod policies;
mod portal;
mod portal_assignments;
mod portal_catalogs;
mod portal_mine;
mod portal_packages;
mod portal_policies;
mod process;
#[path = "../../../connectors/tests/it/proxy.rs"]
#[expect(dead_code, reason = "lines that stay open are spoken to in the tests of connectors only")]
mod proxy;
#[path = "../../../connectors/tests/it/real.rs"]
mod real;
mod real_targets;
mod reprocess;
mod requests;
mod resolve;
mod role_management;
mod routes;
mod sign_in;
mod targets;
mod tasks;
mod tidy;
mod user_import;
mod users;
mod world;
