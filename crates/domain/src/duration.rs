//! Durations as people and policies write them: ISO 8601, calendar units included.
//!
//! A month is not thirty days until it is counted from some instant, so a duration stays symbolic
//! and is resolved once, in UTC, by [`Duration::after`].

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, zero or more, at most [`MAX_YEARS`].
#[derive(Debug, Clone, Copy)]
pub struct Duration(Span);

/// Longest duration accepted, in years.
pub const MAX_YEARS: i64 = 100;

/// The text is not a duration we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedDuration {
    /// Not ISO 8601.
    #[error("`{0}` is not an ISO 8601 duration such as P14D or PT1H")]
    NotIso(String),
    /// Below zero.
    #[error("`{0}` is negative; durations run forwards")]
    Negative(String),
    /// Too long.
    #[error("`{0}` is longer than {MAX_YEARS} years; use no expiration instead")]
    TooLong(String),
}

impl Duration {
    /// No time at all.
    pub fn zero() -> Duration {
        Duration(Span::new())
    }

    /// The instant this long after `start`, counted by the UTC calendar.
    pub fn after(&self, start: Timestamp) -> Timestamp {
        let there = start.to_zoned_datetime(TimeZone::UTC).checked_add(self.0);
        there.map_or(Timestamp::MAX, |zoned| zoned.timestamp())
    }

    /// Whether it has no length.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// Its length in whole days and more, counted from `start`, for people.
    pub fn days_from(&self, start: Timestamp) -> i64 {
        self.after(start).duration_since(start).as_hours() / 24
    }
}

impl PartialEq for Duration {
    fn eq(&self, other: &Duration) -> bool {
        self.0.fieldwise() == other.0.fieldwise()
    }
}

impl Eq for Duration {}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Duration {
    type Err = MalformedDuration;

    fn from_str(text: &str) -> Result<Duration, MalformedDuration> {
        let not_iso = || MalformedDuration::NotIso(text.to_owned());
        let trimmed = text.trim();
        let span = if trimmed.to_ascii_uppercase().trim_start_matches(['+', '-']).starts_with('P') {
            trimmed.parse::<Span>().map_err(|_| not_iso())?
        } else {
            timedelta(trimmed).ok_or_else(not_iso)?
        };
        if span.is_negative() {
            return Err(MalformedDuration::Negative(text.to_owned()));
        }
        let years = span
            .total((Unit::Year, &Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC)))
            .map_err(|_| MalformedDuration::TooLong(text.to_owned()))?;
        #[expect(clippy::cast_precision_loss, reason = "a hundred is exact")]
        if MAX_YEARS as f64 <= years {
            return Err(MalformedDuration::TooLong(text.to_owned()));
        }
        Ok(Duration(span))
    }
}

/// The form Microsoft's Python SDK writes by mistake: `30 days, 4:00:00`, `4:00:00`.
fn timedelta(text: &str) -> Option<Span> {
    let (days, clock) = match text.split_once(',') {
        Some((days, clock)) => {
            let count = days.strip_suffix(" days").or_else(|| days.strip_suffix(" day"))?;
            (count.parse::<i64>().ok()?, clock.trim())
        }
        None => (0, text),
    };
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let whole_seconds = seconds.split('.').next()?;
    Span::new()
        .try_days(days)
        .and_then(|span| span.try_hours(hours.parse::<i64>().unwrap_or(-1)))
        .and_then(|span| span.try_minutes(minutes.parse::<i64>().unwrap_or(-1)))
        .and_then(|span| span.try_seconds(whole_seconds.parse::<i64>().unwrap_or(-1)))
        .ok()
        .filter(|span| !span.is_negative())
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn months_are_counted_by_the_calendar() {
        let january: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();

        let there = "P1M".parse::<Duration>().unwrap().after(january);

        assert_eq!(there.to_string(), "2026-02-28T12:00:00Z");
    }

    #[test]
    fn what_is_read_is_written() {
        for text in ["P365D", "PT1H", "PT0S", "P14D", "P1M", "P1Y2M3DT4H5M6S"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_form_of_the_python_sdk_is_understood() {
        assert_eq!("30 days, 0:00:00".parse::<Duration>().unwrap().to_string(), "P30D");
        assert_eq!("4:00:00".parse::<Duration>().unwrap().to_string(), "PT4H");
    }

    #[test]
    fn negative_endless_and_odd_ones_are_refused() {
        assert!(matches!("-P1D".parse::<Duration>(), Err(MalformedDuration::Negative(_))));
        assert!(matches!("P101Y".parse::<Duration>(), Err(MalformedDuration::TooLong(_))));
        for odd in ["", "P", "14", "1:2", "a days, 0:00:00", "P1D2", "-1:00:00"] {
            assert!(odd.parse::<Duration>().is_err(), "{odd}");
        }
    }
}
