//! How long a target takes to be done with what waits for it, at the pace of the last minutes.

use crate::{SignedDuration, Timestamp};

/// How far back the pace is taken from.
pub const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// The shortest time that a pace is taken over, so that a burst does not pass for one.
const LEAST: SignedDuration = SignedDuration::from_mins(1);

/// What was brought about in a target since the window began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Roles that no longer wait.
    pub done: i64,
    /// When the first minute began in which there were any.
    pub since: Option<Timestamp>,
}

/// When a backlog is worked off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// Roles an hour.
    pub per_hour: i64,
    /// How long what waits takes.
    pub lasts: SignedDuration,
}

/// How long `waiting` roles take at this pace; nothing without a pace, or with nothing to do.
pub fn drain(waiting: i64, pace: Pace, now: Timestamp) -> Option<Drain> {
    let span = now.duration_since(pace.since?).max(LEAST);
    if waiting <= 0 || pace.done <= 0 {
        return None;
    }
    let seconds = i128::from(span.as_secs());
    let done = i128::from(pace.done);
    // Rounded up: something that waits takes some time.
    let lasts = (i128::from(waiting) * seconds + done - 1) / done;
    Some(Drain {
        per_hour: i64::try_from(done * 3_600 / seconds).unwrap_or(i64::MAX),
        lasts: SignedDuration::from_secs(i64::try_from(lasts).unwrap_or(i64::MAX)),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn of(waiting: i64, done: i64, seconds: i64) -> Option<(i64, i64)> {
        let pace = Pace { done, since: Some(at(0)) };
        drain(waiting, pace, at(seconds)).map(|drain| (drain.per_hour, drain.lasts.as_secs()))
    }

    #[test]
    fn what_waits_is_divided_by_the_pace() {
        assert_eq!(of(1_200, 600, 300), Some((7_200, 600)));
        assert_eq!(of(1, 600, 300), Some((7_200, 1)), "something takes some time");
        assert_eq!(of(60, 60, 2), Some((3_600, 60)), "a burst is taken over a minute");
    }

    #[test]
    fn without_a_pace_or_a_backlog_there_is_no_estimate() {
        assert_eq!(of(0, 600, 300), None);
        assert_eq!(of(5, 0, 300), None);
        assert_eq!(drain(5, Pace::default(), at(0)), None);
        assert_eq!(of(i64::MAX, 1, 600).unwrap().1, i64::MAX);
    }
}
