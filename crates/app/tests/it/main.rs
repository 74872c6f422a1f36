//! Stories of the engine: what people ask, what targets answer, what must be so afterwards.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod ahead;
mod approve;
mod circuits;
mod deliver;
mod drift;
mod drift_extra;
mod end;
mod guards;
mod lanes;
mod notices;
mod outage;
mod plan;
mod poison;
mod races;
mod reprocess;
mod restore;
mod separate;
mod tasks;
#[path = "../world/mod.rs"]
mod world;
