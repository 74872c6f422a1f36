//! The memory: all SQL of Accede, over SQLite and PostgreSQL.
//!
//! [`Store`] opens a database and runs closures over a [`Tx`]; one SQL text serves both engines
//! (`dialect.rs` holds the few that must differ). Each noun has its own file with the functions
//! that read and write its rows. Nothing here decides anything: the rules are in `accede-domain`.

pub mod approvals;
pub mod assignment_list;
pub mod assignments;
pub mod audit;
pub mod catalogs;
pub mod causes;
pub mod creations;
pub mod deliveries;
pub mod dialect;
mod error;
pub mod filter;
pub mod history;
mod lite;
mod many;
mod migrate;
pub mod packages;
pub mod people;
mod pages;
mod pg;
pub mod plans;
pub mod policies;
pub mod request_list;
pub mod requests;
pub mod resources;
pub mod schema;
pub mod separations;
mod store;
pub mod targets;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod value;
mod wake;

pub use dialect::{Engine, Sql};
pub use error::{Error, Result};
pub use pages::Listed;
pub use migrate::Migration;
pub use store::{Store, Work};
pub use tx::Tx;
pub use value::{FromValue, Row, Value, ValueRef};
pub use wake::Wakes;
