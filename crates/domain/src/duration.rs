//! Lengths of time as people and the wire write them: `P14D`, `P1M`, `PT1H`.
//!
//! A month is a month, not thirty days: a duration becomes an instant once, by
//! [`Duration::after`], and that instant is what gets stored. Waits of the engine (leases,
//! back-off) are [`std::time::Duration`] and have nothing to do with this file.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use jiff::fmt::temporal::SpanParser;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in calendar units; never negative, never more than [`MAX_YEARS`].
#[derive(Clone, Copy)]
pub struct Duration(Span);

/// Longest duration accepted, in years.
pub const MAX_YEARS: i16 = 100;

/// Longest text looked at, in bytes.
const MAX_TEXT: usize = 64;

/// 2000-01-01T00:00:00Z, from where the length of a duration is judged.
const REFERENCE: Timestamp = Timestamp::constant(946_684_800, 0);

/// The text is not a duration we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedDuration {
    /// Not an ISO 8601 duration at all.
    #[error("`{0}` is not a duration; write it as in ISO 8601, such as {example}", example = example(.0))]
    NotIso(String),
    /// Going back in time.
    #[error("the duration `{0}` is negative; durations start at PT0S")]
    Negative(String),
    /// Beyond [`MAX_YEARS`].
    #[error("the duration `{0}` is too long; at most {MAX_YEARS} years are allowed")]
    TooLong(String),
}

/// What to write instead: the same in ISO 8601 if the text is a number and a unit, as in `1h` or
/// `30 days`; otherwise some durations.
fn example(text: &str) -> String {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let iso = match unit.trim().to_ascii_lowercase().as_str() {
        _ if number.is_empty() => None,
        "s" | "sec" | "second" | "seconds" => Some(("PT", "S")),
        "m" | "min" | "minute" | "minutes" => Some(("PT", "M")),
        "h" | "hour" | "hours" => Some(("PT", "H")),
        "d" | "day" | "days" => Some(("P", "D")),
        "w" | "week" | "weeks" => Some(("P", "W")),
        "mo" | "month" | "months" => Some(("P", "M")),
        "y" | "year" | "years" => Some(("P", "Y")),
        _ => None,
    };
    match iso {
        Some((before, after)) => format!("{before}{number}{after}"),
        None => "P14D, P1M or PT1H".to_owned(),
    }
}

impl Duration {
    /// No time at all.
    pub fn zero() -> Duration {
        Duration(Span::new())
    }

    /// Whole days.
    pub fn days(days: u16) -> Duration {
        Duration(Span::new().days(days))
    }

    /// The instant this long after `start`, counted in UTC; the 31st plus a month is the last day of
    /// the next. Stops at the last instant there is (year 9999).
    pub fn after(&self, start: Timestamp) -> Timestamp {
        start
            .to_zoned_datetime(TimeZone::UTC)
            .checked_add(self.0)
            .map_or(Timestamp::MAX, |end| end.timestamp())
    }

    /// Whether it has no length.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// Its length in whole days, counted from `start`, for people.
    pub fn days_from(&self, start: Timestamp) -> i64 {
        self.after(start).duration_since(start).as_hours() / 24
    }

    /// The same length as a plain one, with days of 24 hours; `None` if it counts in months or
    /// years, whose length depends on when they begin.
    pub fn fixed(&self) -> Option<std::time::Duration> {
        if self.0.get_years() != 0 || self.0.get_months() != 0 {
            return None;
        }
        let length = self.after(REFERENCE).duration_since(REFERENCE);
        std::time::Duration::try_from(length).ok()
    }
}

impl FromStr for Duration {
    type Err = MalformedDuration;

    /// Accepts ISO 8601, and Python's `str(timedelta)` ("30 days, 0:00:00"), which is what the
    /// Python Graph SDK writes for its models' durations (msgraph-sdk-python issue 1262). Weeks
    /// become days, because the reference's duration type has no weeks.
    fn from_str(text: &str) -> Result<Self, MalformedDuration> {
        let trimmed = text.trim();
        let shown = || text.chars().take(MAX_TEXT).collect::<String>();
        let malformed = || MalformedDuration::NotIso(shown());
        if trimmed.len() > MAX_TEXT {
            return Err(malformed());
        }
        let unsigned = trimmed.strip_prefix('-').unwrap_or(trimmed);
        let span = if unsigned.starts_with(['P', 'p']) {
            SpanParser::new().parse_span(unsigned).map_err(|_| malformed())?
        } else {
            timedelta(unsigned).ok_or_else(malformed)?
        };
        if unsigned.len() != trimmed.len() && !span.is_zero() {
            return Err(MalformedDuration::Negative(shown()));
        }
        let weeks = i64::from(span.get_weeks());
        let span = span
            .try_weeks(0)
            .and_then(|span| span.try_days(i64::from(span.get_days()) + 7 * weeks))
            .map_err(|_| MalformedDuration::TooLong(shown()))?;
        let duration = Duration(span);
        if duration.after(REFERENCE) > Duration(Span::new().years(MAX_YEARS)).after(REFERENCE) {
            return Err(MalformedDuration::TooLong(shown()));
        }
        Ok(duration)
    }
}

/// Reads `[N day[s], ]H:MM:SS[.ffffff]`.
fn timedelta(text: &str) -> Option<Span> {
    let (days, clock) = match text.split_once(", ") {
        Some((days, clock)) => {
            let days = days.strip_suffix(" days").or_else(|| days.strip_suffix(" day"))?;
            (number(days)?, clock)
        }
        None => (0, text),
    };
    let mut parts = clock.splitn(3, ':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    if minutes.len() != 2 || seconds.len() != 2 || fraction.len() > 6 {
        return None;
    }
    let micros = number(fraction)? * 10_i64.checked_pow(6 - u32::try_from(fraction.len()).ok()?)?;
    let (hours, minutes, seconds) = (number(hours)?, number(minutes)?, number(seconds)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    Span::new()
        .try_days(days)
        .and_then(|span| span.try_hours(hours))
        .and_then(|span| span.try_minutes(minutes))
        .and_then(|span| span.try_seconds(seconds))
        .and_then(|span| span.try_microseconds(micros))
        .ok()
}

/// Digits only; no sign, no blanks.
fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Equal as written: `P1D` and `PT24H` differ.
impl PartialEq for Duration {
    fn eq(&self, other: &Self) -> bool {
        self.0.fieldwise() == other.0.fieldwise()
    }
}

impl Eq for Duration {}

impl Hash for Duration {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.fieldwise().hash(state);
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Duration {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_is_a_calendar_month() {
        let end = parsed("P1M").after(at("2026-01-31T10:00:00Z"));

        assert_eq!(end, at("2026-02-28T10:00:00Z"));
        assert_eq!(parsed("P30D").after(at("2026-01-31T10:00:00Z")), at("2026-03-02T10:00:00Z"));
    }

    #[test]
    fn iso_text_survives_a_round_trip() {
        for text in ["P14D", "P365D", "P1M", "P1Y2M3DT4H5M6S", "PT1H", "PT0S", "PT1.5S", "P60Y"] {
            assert_eq!(parsed(text).to_string(), text);
        }
        assert_eq!(parsed("P0D").to_string(), "PT0S");
        assert_eq!(parsed("p2w").to_string(), "P14D");
        assert_eq!(parsed("P1W3D").to_string(), "P10D");
    }

    #[test]
    fn the_python_form_is_accepted() {
        assert_eq!(parsed("30 days, 0:00:00"), parsed("P30D"));
        assert_eq!(parsed("1 day, 4:05:06"), parsed("P1DT4H5M6S"));
        assert_eq!(parsed("4:00:00"), parsed("PT4H"));
        assert!(parsed("0:00:00").is_zero());
        assert_eq!(parsed("0:00:01.500000").fixed(), Some(std::time::Duration::from_millis(1500)));
    }

    #[test]
    fn negative_ones_are_refused_by_that_name() {
        for text in ["-P1D", "-1 day, 23:00:00", "-PT1S"] {
            assert_eq!(text.parse::<Duration>(), Err(MalformedDuration::Negative(text.to_owned())));
        }
        assert!(parsed("-PT0S").is_zero());
    }

    #[test]
    fn a_hundred_years_is_the_most() {
        assert_eq!(parsed("P100Y").to_string(), "P100Y");
        for text in ["P100YT1S", "P101Y", "P1201M", "P36526D", "PT99999999H", "P5219W"] {
            let refused = text.parse::<Duration>();
            assert_eq!(refused, Err(MalformedDuration::TooLong(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        let long = format!("P{}D", "1".repeat(500));
        for text in [
            "",
            "P",
            "PT",
            "14",
            "14D",
            "P-1D",
            "P1",
            "1 month",
            "30.00:00:00",
            "1:2:3",
            "24:00:00",
            "1 days 0:00:00",
            "P1D ago",
            "days, 0:00:00",
            "P9999999999999999999D",
            "１:00:00",
            &long,
        ] {
            assert!(
                matches!(text.parse::<Duration>(), Err(MalformedDuration::NotIso(_))),
                "{text} gave {:?}",
                text.parse::<Duration>()
            );
        }
    }

    #[test]
    fn who_writes_a_number_and_a_unit_is_told_how_to_spell_it() {
        for (text, iso) in [("1h", "PT1H"), ("30 days", "P30D"), ("5m", "PT5M"), ("2 Weeks", "P2W")]
        {
            let told = text.parse::<Duration>().unwrap_err().to_string();
            let end = format!("such as {iso}");
            assert!(told.ends_with(&end), "{told}");
        }
        for text in ["soon", "14", "h", "１h"] {
            let told = text.parse::<Duration>().unwrap_err().to_string();
            assert!(told.ends_with("such as P14D, P1M or PT1H"), "{told}");
        }
    }

    #[test]
    fn a_fixed_length_has_no_months() {
        assert_eq!(parsed("P2DT1S").fixed(), Some(std::time::Duration::from_secs(172_801)));
        assert_eq!(parsed("P1M").fixed(), None);
        assert_eq!(parsed("P1Y").fixed(), None);
    }

    #[test]
    fn the_end_of_time_is_a_wall() {
        assert_eq!(parsed("P100Y").after(at("9990-01-01T00:00:00Z")), Timestamp::MAX);
        assert_eq!(Duration::days(14), parsed("P14D"));
    }
}
