//! The memory: all SQL of Accede, over SQLite and PostgreSQL.
//!
//! [`Store`] opens a database and runs closures over a [`Tx`]; one SQL text serves both engines
//! (`dialect.rs` holds the few that must differ). Each noun has its own file with the functions
//! that read and write its rows. Nothing here decides anything: the rules are in `accede-domain`.

pub mod accounts;
pub mod ahead;
pub mod alarms;
pub mod approval_list;
pub mod approvals;
pub mod apps;
pub mod assignment_list;
pub mod assignments;
pub mod attempts;
pub mod audit;
pub mod backup;
pub mod catalogs;
pub mod cause_hours;
pub mod causes;
pub mod circuits;
pub mod crash;
pub mod creations;
pub mod deliveries;
pub mod deployment;
pub mod dialect;
pub mod directory_roles;
pub mod drift;
pub mod drift_sweeps;
mod error;
pub mod extra_plans;
pub mod filter;
pub mod findings;
pub mod flights;
pub mod groups;
pub mod guard_plans;
pub mod guards;
pub mod history;
pub mod home;
mod lite;
mod many;
mod migrate;
#[cfg(feature = "testing")]
pub mod mishap;
pub mod notices;
pub mod paces;
pub mod packages;
mod pages;
pub mod people;
mod pg;
mod pg_error;
mod pg_listener;
pub mod plans;
pub mod poison;
pub mod policies;
pub mod queue;
pub mod request_list;
pub mod requests;
pub mod resources;
pub mod role_assignments;
pub mod schema;
pub mod separations;
pub mod sessions;
pub mod spreads;
mod store;
pub mod subjects;
pub mod targets;
pub mod tasks;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
pub mod users;
mod value;
mod wake;

pub use dialect::{Engine, Sql};
pub use error::{Error, Result};
pub use migrate::Migration;
pub use pages::Listed;
pub use store::{Store, Work};
pub use tx::Tx;
pub use value::{FromValue, Row, Value, ValueRef};
pub use wake::Wakes;
