//! The demo's clock: the machine's, moved back while the past of the organization is made.

use std::sync::atomic::{AtomicI64, Ordering};

use accede_app::Clock;
use accede_app::clock::SystemClock;
use accede_domain::{SignedDuration, Timestamp};

/// The machine's clock, moved back by so much.
#[derive(Debug, Default)]
pub struct DemoClock {
    back_ms: AtomicI64,
}

impl DemoClock {
    /// Shows the time of so long ago from here on; it goes on from there.
    pub fn move_back(&self, by: SignedDuration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.back_ms.store(by, Ordering::Relaxed);
    }
}

impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        let by = SignedDuration::from_millis(self.back_ms.load(Ordering::Relaxed));
        SystemClock.now().checked_sub(by).unwrap_or(Timestamp::MIN)
    }
}
