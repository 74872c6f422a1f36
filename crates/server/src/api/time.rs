//! Instants on the wire: out in UTC with `Z`, in with any offset.

use accede_domain::Timestamp;

use super::error::{ApiError, Result};

/// An instant as the wire writes it.
pub fn text(at: Timestamp) -> String {
    at.to_string()
}

/// The date of an error's `innerError`, without fraction and offset, as Graph writes it.
pub(super) fn of_error(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Reads the instant at `path`: ISO 8601, offset required, between the years 1601 and 9999.
///
/// # Errors
///
/// Anything else, and a date that the calendar does not have.
pub fn instant(path: &str, text: &str) -> Result<Timestamp> {
    let text = text.trim();
    let shown: String = text.chars().take(40).collect();
    let wrong = |what: &str| Err(ApiError::invalid_model(path, format!("`{path}` {what}")));
    if text.len() > 64 || !text.is_ascii() {
        return wrong(&format!(
            "is `{shown}`, which is not a date-time such as 2026-01-31T12:00:00Z"
        ));
    }
    match text.parse::<Timestamp>() {
        // Earlier ones come from clients that send an unset date (year 1).
        Ok(at) if at < EARLIEST => wrong(&format!("is `{shown}`, which is before the year 1601")),
        Ok(at) => Ok(at),
        Err(_) if text.parse::<jiff::civil::DateTime>().is_ok() => wrong(&format!(
            "is `{shown}`, which has no offset; write `Z` or one such as `+02:00` at its end"
        )),
        Err(_) => {
            wrong(&format!("is `{shown}`, which is not a date-time such as 2026-01-31T12:00:00Z"))
        }
    }
}

/// 1601-01-01T00:00:00Z
const EARLIEST: Timestamp = Timestamp::constant(-11_644_473_600, 0);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn instants_with_any_offset_are_read() {
        for sent in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.0000000Z",
            "2026-01-01T02:00:00+02:00",
            "2025-12-31T18:30:00-05:30",
            " 2026-01-01T00:00:00.000Z ",
        ] {
            assert_eq!(text(instant("start", sent).unwrap()), "2026-01-01T00:00:00Z", "{sent}");
        }
        assert_eq!(text(instant("start", "2016-12-31T23:59:60Z").unwrap()), "2016-12-31T23:59:59Z");
    }

    #[test]
    fn wrong_instants_name_the_property() {
        for (sent, told) in [
            ("2026-01-01T00:00:00", "has no offset"),
            ("2026-01-01", "has no offset"),
            ("10000-01-01T00:00:00Z", "is not a date-time"),
            ("2026-02-30T00:00:00Z", "is not a date-time"),
            ("0001-01-01T00:00:00Z", "before the year 1601"),
            ("tomorrow", "is not a date-time"),
            ("", "is not a date-time"),
            ("２０２６-01-01T00:00:00Z", "is not a date-time"),
        ] {
            let error = instant("schedule.expiration.endDateTime", sent).unwrap_err();
            assert!(error.message().contains(told), "{sent}: {}", error.message());
            assert!(error.message().starts_with("`schedule.expiration.endDateTime` "));
            assert_eq!(error.target(), Some("schedule.expiration.endDateTime"));
        }
    }
}
