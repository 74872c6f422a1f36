//! The rules of Accede: pure, total functions over plain values.
//!
//! Nothing here does I/O, reads a clock, rolls dice, logs, or panics. Time and chance come in as
//! arguments; what should happen next goes out as data.

pub mod fault;
pub mod id;

pub use jiff::Timestamp;
