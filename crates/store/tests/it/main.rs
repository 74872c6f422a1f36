//! Tests of the store on both engines.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod engine;
mod filter;
