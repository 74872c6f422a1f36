//! What follows a try that did not succeed: whether there is another, when, and until when.
//!
//! [`RULES`] says what a class of fault leads to; the engine asks nothing else. `docs/retry.md` is
//! written from it.
//!
//! Delay is uniform between a floor and `min(cap, base · 2ⁿ)`: full jitter, so that a thousand rows
//! that failed together do not come back together. Chance is an argument.

use jiff::{SignedDuration, Timestamp};

use crate::fault::Class;

/// What follows a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// It is tried again after a wait that grows, until the window of a grant ends.
    Ladder,
    /// The target is read first, because the call may have taken effect; then as [`Course::Ladder`].
    LookFirst,
    /// It is tried again when the target wants to be called again, and costs nothing.
    AsAsked,
    /// The target's circuit holds it and everything else there until a check succeeds. Should the
    /// circuit let it through, it waits as on the ladder, and costs nothing.
    Hold,
    /// It rests until somebody has mended what the target refuses: a grant as failed, a revocation
    /// as stuck, which is probed now and then and never dropped.
    FixFirst,
    /// The target can never do this: a grant rests as failed, and trying it again is for whoever
    /// changed the resource role.
    Never,
}

/// What a class of fault leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The class.
    pub class: Class,
    /// What follows for what is wanted.
    pub grant: Course,
    /// What follows for what is not wanted any more.
    pub revoke: Course,
    /// Whether the try counts against the delivery.
    pub counts: bool,
}

/// What each class of fault leads to.
pub const RULES: [Rule; 6] = [
    both(Class::Unknown, Course::LookFirst, true),
    both(Class::Transient, Course::Ladder, true),
    both(Class::Permanent, Course::FixFirst, true),
    Rule {
        class: Class::Unsupported,
        grant: Course::Never,
        revoke: Course::FixFirst,
        counts: true,
    },
    both(Class::Target, Course::Hold, false),
    both(Class::Throttled, Course::AsAsked, false),
];

const fn both(class: Class, course: Course, counts: bool) -> Rule {
    Rule { class, grant: course, revoke: course, counts }
}

impl Rule {
    /// What a class of fault leads to.
    pub fn of(class: Class) -> Rule {
        let found = RULES.into_iter().find(|rule| rule.class == class);
        // A test asks for every class; what were missing would be tried again, never dropped.
        found.unwrap_or(both(class, Course::Ladder, true))
    }

    /// What follows for a role that is, or is not, wanted.
    pub const fn course(&self, wanted: bool) -> Course {
        if wanted { self.grant } else { self.revoke }
    }
}

/// How tries follow each other on the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder {
    /// First upper bound of the wait; it doubles with each miss.
    pub base: SignedDuration,
    /// Largest upper bound of the wait.
    pub cap: SignedDuration,
    /// How long tries follow each other; `None`: for ever.
    pub window: Option<SignedDuration>,
}

/// The retry settings of one deployment, or of one target of it.
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
    /// How long after a change it is read back, where the target can be read; `None`: never, not
    /// even at [`SECOND_LOOKS`].
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

/// How long after a revocation was acknowledged the target is read again, though a read-back said
/// that the role is gone: a call that was sent before and hung somewhere may give it once more.
pub const SECOND_LOOKS: [SignedDuration; 2] =
    [SignedDuration::from_secs(120), SignedDuration::from_hours(24)];

impl Retry {
    /// How tries follow each other for a role that is, or is not, wanted.
    ///
    /// Revocations wait at most 2/5 of a grant's base and a quarter of its cap: access that should
    /// be gone is more urgent than access that should come. They are tried for ever.
    pub fn ladder(&self, wanted: bool) -> Ladder {
        if wanted {
            Ladder { base: self.base, cap: self.cap, window: Some(self.grant_window) }
        } else {
            Ladder { base: self.base.saturating_mul(2) / 5, cap: self.cap / 4, window: None }
        }
    }

    /// The wait before the next try after `misses` tries in a row failed (1 after the first).
    /// `chance` lies in `[0, 1)`.
    pub fn delay(&self, wanted: bool, misses: i64, chance: f64) -> SignedDuration {
        let Ladder { base, cap, .. } = self.ladder(wanted);
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

/// A wait of at most `bound`, at least half of it, so that what waits together does not come together.
pub fn spread(bound: SignedDuration, chance: f64) -> SignedDuration {
    let half = bound / 2;
    half.saturating_add(half.mul_f64_clamped(chance))
}

/// When what was taken back at `since` is read again, if it still is to be after `now`.
pub fn second_look(since: Timestamp, now: Timestamp) -> Option<Timestamp> {
    SECOND_LOOKS.into_iter().map(|wait| after(since, wait)).find(|at| now < *at)
}

/// When a wait that starts now is over.
pub fn after(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// The instant that lies `span` before now.
pub fn before(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_sub(span).unwrap_or(Timestamp::MIN)
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
#[path = "retry_tests.rs"]
mod tests;
