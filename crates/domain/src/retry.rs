//! How long to wait before the next try, and how long trying lasts.
//!
//! Delay is uniform between a floor and `min(cap, base · 2ⁿ)`: full jitter, so that a thousand rows
//! that failed together do not come back together. Chance is an argument.

use jiff::{SignedDuration, Timestamp};

/// The retry settings of one deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// First upper bound of the wait before trying a grant again.
    pub base: SignedDuration,
    /// Largest upper bound of that wait.
    pub cap: SignedDuration,
    /// How long a grant is tried by itself before it rests as failed.
    pub grant_window: SignedDuration,
    /// How often a revocation that the target refuses for good is probed.
    pub stuck_probe: SignedDuration,
    /// How long after a change it is read back, where the target can be read; `None`: never.
    pub read_back_after: Option<SignedDuration>,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            base: SignedDuration::from_secs(5),
            cap: SignedDuration::from_hours(1),
            grant_window: SignedDuration::from_hours(24),
            stuck_probe: SignedDuration::from_hours(6),
            read_back_after: Some(SignedDuration::from_secs(2)),
        }
    }
}

/// Shortest wait between two tries, unless the base itself is shorter.
pub const FLOOR: SignedDuration = SignedDuration::from_secs(1);
/// Shortest and longest wait that a target may ask for with `Retry-After`.
pub const RETRY_AFTER: std::ops::RangeInclusive<SignedDuration> =
    SignedDuration::from_secs(1)..=SignedDuration::from_hours(1);

impl Retry {
    /// The wait before the next try after `misses` tries in a row failed (1 after the first).
    ///
    /// Revocations wait at most 2/5 of a grant's base and a quarter of its cap: access that should
    /// be gone is more urgent than access that should come. `chance` lies in `[0, 1)`.
    pub fn delay(&self, wanted: bool, misses: i64, chance: f64) -> SignedDuration {
        let (base, cap) = if wanted {
            (self.base, self.cap)
        } else {
            (self.base.saturating_mul(2) / 5, self.cap / 4)
        };
        let doublings = u32::try_from(misses.saturating_sub(1).clamp(0, 30)).unwrap_or(30);
        let bound = base.saturating_mul(2_i32.saturating_pow(doublings)).min(cap);
        let floor = FLOOR.min(base).min(bound);
        floor.saturating_add((bound.saturating_sub(floor)).mul_f64_clamped(chance))
    }

    /// The wait that a target asked for, clamped, plus up to 10 % so that rows spread out.
    pub fn throttle(&self, asked: Option<std::time::Duration>, chance: f64) -> SignedDuration {
        let asked = asked.and_then(|asked| SignedDuration::try_from(asked).ok());
        let asked = asked.unwrap_or(self.base).clamp(*RETRY_AFTER.start(), *RETRY_AFTER.end());
        asked.saturating_add(asked.mul_f64_clamped(0.1 * chance))
    }
}

/// When a wait that starts now is over.
pub fn after(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

trait MulClamped {
    fn mul_f64_clamped(self, factor: f64) -> SignedDuration;
}

impl MulClamped for SignedDuration {
    /// Whole milliseconds, since that is what the clock of this house counts in.
    fn mul_f64_clamped(self, factor: f64) -> SignedDuration {
        let factor = if factor.is_finite() { factor.clamp(0.0, 1.0) } else { 0.0 };
        // A day's worth of milliseconds is exact in an f64.
        #[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=1 of an i64 millis")]
        let millis = (self.as_millis() as f64 * factor) as i64;
        SignedDuration::from_millis(millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_bounds_double_up_to_the_cap() {
        let retry = Retry::default();
        let bounds: Vec<i64> =
            (1..=12).map(|misses| retry.delay(true, misses, 0.999_999_9).as_secs()).collect();

        assert_eq!(bounds, [4, 9, 19, 39, 79, 159, 319, 639, 1279, 2559, 3599, 3599]);
    }

    #[test]
    fn no_wait_is_shorter_than_the_floor() {
        let retry = Retry::default();

        assert_eq!(retry.delay(true, 1, 0.0), FLOOR);
        assert_eq!(retry.delay(false, 9, 0.0), FLOOR);
    }

    #[test]
    fn revocations_wait_less() {
        let retry = Retry::default();

        assert_eq!(retry.delay(false, 30, 0.999_999_9).as_secs(), 15 * 60 - 1);
    }

    #[test]
    fn what_a_target_asks_for_is_clamped() {
        let retry = Retry::default();
        let asks = |seconds| retry.throttle(Some(std::time::Duration::from_secs(seconds)), 0.0);

        assert_eq!(asks(0).as_secs(), 1);
        assert_eq!(asks(120).as_secs(), 120);
        assert_eq!(asks(100_000).as_secs(), 3600);
    }
}
