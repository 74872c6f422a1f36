//! What every connector must do, proved against targets that nobody here wrote.
//!
//! `contract` holds the facts, `real` starts servers, `proxy` stands between and misbehaves; one
//! file for each kind of target says how its truth is read without our connector.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod active_directory;
mod chaos;
mod connect;
mod contract;
mod directory;
mod docs;
mod ldap;
mod postgres;
mod proxy;
mod real;
mod scim;
mod scim_values;
