//! How what a cause holds up has developed, hour by hour: whether it is new, grows or shrinks.

use crate::{SignedDuration, Timestamp};

/// Hours that a trend looks back.
pub const HOURS: usize = 48;
/// How long ago "yesterday" is.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a cause held up in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// When the hour began.
    pub at: Timestamp,
    /// The most undelivered roles seen in it.
    pub deliveries: i64,
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// More than a day ago.
    Rising,
    /// Less than a day ago.
    Falling,
    /// As many as a day ago.
    Steady,
}

impl Direction {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Rising => "rising",
            Direction::Falling => "falling",
            Direction::Steady => "steady",
        }
    }
}

/// A trend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trend {
    /// The hours that were looked at, the oldest first; one in which no server ran is missing.
    pub hours: Vec<Hour>,
    /// Where it goes.
    pub direction: Direction,
    /// Whether it held nothing up the day before the last 24 hours.
    pub is_new: bool,
}

/// The hour that an instant is in.
pub fn hour_of(at: Timestamp) -> Timestamp {
    let seconds = at.as_second();
    Timestamp::from_second(seconds - seconds.rem_euclid(3_600)).unwrap_or(at)
}

/// Where the hours begin that a trend looks at.
pub fn begin(now: Timestamp) -> Timestamp {
    let back = SignedDuration::from_hours(i64::try_from(HOURS).unwrap_or(48) - 1);
    hour_of(now.checked_sub(back).unwrap_or(now))
}

/// The trend of a cause that was first seen then and holds up `deliveries` now.
///
/// A cause that comes back is new again: what decides is the day before the last 24 hours. If nobody
/// looked then, the first time that it was seen decides.
pub fn trend(first_seen: Timestamp, hours: Vec<Hour>, deliveries: i64, now: Timestamp) -> Trend {
    let day_ago = now.checked_sub(A_DAY).unwrap_or(now);
    let before: Vec<i64> = hours
        .iter()
        .filter(|hour| hour.at < hour_of(day_ago))
        .map(|hour| hour.deliveries)
        .collect();
    let is_new = match before.iter().max() {
        Some(most) => *most == 0,
        None => day_ago <= first_seen,
    };
    let then = before.last().copied().or_else(|| hours.first().map(|hour| hour.deliveries));
    let direction = match then {
        Some(then) if then < deliveries => Direction::Rising,
        Some(then) if deliveries < then => Direction::Falling,
        _ => Direction::Steady,
    };
    Trend { hours, direction, is_new }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn at(hour: i64) -> Timestamp {
        let start: Timestamp = "2026-05-20T00:00:00Z".parse().unwrap();
        start + SignedDuration::from_hours(hour)
    }

    fn hours(list: &[(i64, i64)]) -> Vec<Hour> {
        list.iter().map(|(n, deliveries)| Hour { at: at(*n), deliveries: *deliveries }).collect()
    }

    #[test]
    fn an_hour_begins_at_its_full_minute() {
        assert_eq!(hour_of(at(5) + SignedDuration::from_secs(3_599)), at(5));
        assert_eq!(hour_of(at(5)), at(5));
        assert_eq!(begin(at(50) + SignedDuration::from_mins(20)), at(3));
    }

    #[test]
    fn what_held_nothing_up_the_day_before_is_new() {
        let now = at(48);
        assert!(trend(at(40), Vec::new(), 3, now).is_new, "seen first within a day");
        assert!(!trend(at(10), Vec::new(), 3, now).is_new, "seen first long ago, nobody looked");
        assert!(!trend(at(-900), hours(&[(4, 2), (47, 3)]), 3, now).is_new);
        assert!(trend(at(-900), hours(&[(4, 0), (47, 3)]), 3, now).is_new, "it came back");
        let recent = hours(&[(30, 0), (47, 3)]);
        assert!(!trend(at(10), recent, 3, now).is_new, "nobody looked the day before");
    }

    #[test]
    fn it_goes_up_or_down_against_a_day_ago() {
        let now = at(48);
        let to = |list: &[(i64, i64)], n| trend(at(0), hours(list), n, now).direction;
        assert_eq!(to(&[(1, 9), (23, 5), (30, 2)], 7), Direction::Rising);
        assert_eq!(to(&[(23, 5), (30, 9)], 4), Direction::Falling);
        assert_eq!(to(&[(23, 5)], 5), Direction::Steady);
        assert_eq!(to(&[(40, 2)], 5), Direction::Rising, "the oldest hour, if none is a day old");
        assert_eq!(to(&[], 5), Direction::Steady);
    }
}
