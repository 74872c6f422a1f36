//! The rules of Accede: pure, total functions over plain values.
//!
//! Nothing here does I/O, reads a clock, rolls dice, logs, or panics. Time and chance come in as
//! arguments; what should happen next goes out as data.

pub mod ahead;
pub mod approval;
pub mod assignment;
pub mod cause;
pub mod circuit;
pub mod delivery;
pub mod deployment;
pub mod drain;
pub mod drift;
pub mod duration;
pub mod fault;
pub mod filter;
pub mod guard;
pub mod id;
pub mod nearest;
pub mod notice;
pub mod pending;
pub mod permission;
pub mod poison;
pub mod policy;
pub mod refusal;
pub mod request;
pub mod resolution;
pub mod retry;
pub mod rollup;
pub mod schedule;
pub mod separation;
pub mod task;
pub mod trend;
pub mod waiting;

pub use jiff::{SignedDuration, Timestamp};
