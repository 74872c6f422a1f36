//! Tests of the store on both engines.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod accounts;
mod approvals;
mod apps;
mod assignment_list;
mod assignments;
mod audit;
mod catalogs;
mod cause_hours;
mod causes;
mod circuits;
mod creations;
mod deliveries;
mod desk;
mod engine;
mod filter;
mod groups;
mod guards;
mod history;
mod paces;
mod packages;
mod people;
mod plans;
mod poison;
mod policies;
mod request_list;
mod requests;
mod resources;
mod role_assignments;
mod separations;
mod shelf;
mod spreads;
mod targets;
mod tasks;
mod users;
