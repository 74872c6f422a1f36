//! The period of an assignment: what is asked for, what a policy allows, what comes out.
//!
//! Calendar durations are resolved once, to instants; periods are `[start, end)`. No end is `None`,
//! never zero.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::refusal::Refusal;

/// When access ends; Graph's `expirationPattern`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Expiration {
    /// Nothing said.
    #[default]
    NotSpecified,
    /// Never.
    NoExpiration,
    /// At an instant.
    AfterDateTime {
        /// The end.
        #[serde(rename = "endDateTime")]
        end: Timestamp,
    },
    /// Some time after the start.
    AfterDuration {
        /// How long.
        duration: Duration,
    },
}

/// A wanted period; Graph's `entitlementManagementSchedule`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// When it begins; at once if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date_time: Option<Timestamp>,
    /// When it ends.
    #[serde(default)]
    pub expiration: Expiration,
}

/// How long ago a wanted start may lie: clocks go wrong, and `today` began up to a day ago somewhere.
pub const PAST_START: SignedDuration = SignedDuration::from_hours(24);

/// A period that was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// First instant in it.
    pub start: Timestamp,
    /// First instant after it, if it ends.
    pub end: Option<Timestamp>,
}

impl Expiration {
    /// The end of a period that begins at `start`, if it ends.
    pub fn end(&self, start: Timestamp) -> Option<Timestamp> {
        match self {
            Expiration::NotSpecified | Expiration::NoExpiration => None,
            Expiration::AfterDateTime { end } => Some(*end),
            Expiration::AfterDuration { duration } => Some(duration.after(start)),
        }
    }
}

impl Schedule {
    /// Whether anything is asked for that is not the default.
    pub fn is_custom(&self) -> bool {
        self.start_date_time.is_some() || self.expiration != Expiration::NotSpecified
    }

    /// The start, if it lies so far back that whoever wrote it meant something else than at once.
    pub fn past_start(&self, now: Timestamp) -> Option<Timestamp> {
        self.start_date_time.filter(|start| PAST_START < now.duration_since(*start))
    }
}

/// The period of a request that is accepted `now`: it begins when asked (or now), and ends at the
/// earlier of what was asked and what the policy allows. `administrator`s may name any end.
///
/// A duration counts from the acceptance: what waited ten days for its approval loses none of them.
pub fn period(
    policy: &Expiration,
    asked: &Schedule,
    administrator: bool,
    now: Timestamp,
) -> Period {
    let start = asked.start_date_time.map_or(now, |start| start.max(now));
    let allowed = policy.end(start);
    let end = match (&asked.expiration, asked.expiration.end(start)) {
        (Expiration::NotSpecified, _) => allowed,
        (_, wanted) if administrator => wanted,
        (_, None) => allowed,
        (_, Some(wanted)) => Some(allowed.map_or(wanted, |allowed| allowed.min(wanted))),
    };
    Period { start, end }
}

/// The [`period`] of a request that somebody makes `now`.
///
/// # Errors
///
/// Refuses an end in the past or not after the start.
pub fn resolve(
    policy: &Expiration,
    asked: &Schedule,
    administrator: bool,
    now: Timestamp,
) -> Result<Period, Refusal> {
    let Period { start, end } = period(policy, asked, administrator, now);
    if let Some(end) = end.filter(|end| *end <= start) {
        return Err(Refusal::Rule {
            code: "InvalidSchedule",
            sentence: format!(
                "the period would end at {end}, which is not after its start at {start}; choose a \
                 later `schedule.expiration.endDateTime`"
            ),
        });
    }
    Ok(Period { start, end })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn until(end: &str) -> Schedule {
        Schedule { start_date_time: None, expiration: Expiration::AfterDateTime { end: at(end) } }
    }

    #[test]
    fn a_policy_caps_what_a_person_asks_for_and_not_what_an_administrator_says() {
        let policy = Expiration::AfterDuration { duration: "P30D".parse().unwrap() };
        let now = at("2026-03-01T00:00:00Z");
        let asked = until("2026-12-01T00:00:00Z");

        let person = resolve(&policy, &asked, false, now).unwrap();
        let administrator = resolve(&policy, &asked, true, now).unwrap();

        assert_eq!(person.end, Some(at("2026-03-31T00:00:00Z")));
        assert_eq!(administrator.end, Some(at("2026-12-01T00:00:00Z")));
    }

    #[test]
    fn no_expiration_is_no_end() {
        let now = at("2026-03-01T00:00:00Z");

        let period = resolve(&Expiration::NoExpiration, &Schedule::default(), false, now).unwrap();

        assert_eq!(period, Period { start: now, end: None });
    }

    #[test]
    fn an_end_that_is_not_after_the_start_is_refused() {
        let now = at("2026-03-01T00:00:00Z");
        let asked = until("2026-03-01T00:00:00Z");

        let refused = resolve(&Expiration::NoExpiration, &asked, false, now).unwrap_err();

        assert_eq!(refused.code(), "InvalidSchedule");
    }

    #[test]
    fn a_start_of_today_begins_now_and_an_older_one_is_no_start() {
        let now = at("2026-03-01T09:00:00Z");
        let from = |start| Schedule { start_date_time: Some(at(start)), ..Schedule::default() };
        let (today, older) = (from("2026-03-01T00:00:00Z"), from("2026-02-28T08:59:59Z"));

        let period = resolve(&Expiration::NoExpiration, &today, false, now).unwrap();

        assert_eq!(period.start, now);
        assert_eq!(today.past_start(now), None);
        assert_eq!(older.past_start(now), older.start_date_time);
    }
}
