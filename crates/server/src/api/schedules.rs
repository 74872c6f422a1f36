//! Periods on the wire: Graph's `entitlementManagementSchedule` and `expirationPattern`.

use accede_domain::Timestamp;
use accede_domain::duration::Duration;
use accede_domain::schedule::{Expiration, Schedule};
use serde_json::{Value, json};

use super::body::Object;
use super::error::Result;
use super::time;

const TYPES: &[&str] = &["notSpecified", "noExpiration", "afterDateTime", "afterDuration"];

/// An expiration as Graph shows it.
pub fn expiration(expiration: &Expiration) -> Value {
    match expiration {
        Expiration::NotSpecified => {
            json!({ "type": "notSpecified", "endDateTime": null, "duration": null })
        }
        Expiration::NoExpiration => {
            json!({ "type": "noExpiration", "endDateTime": null, "duration": null })
        }
        Expiration::AfterDateTime { end } => {
            json!({ "type": "afterDateTime", "endDateTime": time::text(*end), "duration": null })
        }
        Expiration::AfterDuration { duration } => {
            json!({ "type": "afterDuration", "endDateTime": null, "duration": duration.to_string() })
        }
    }
}

/// A wanted period, or one in force, as Graph shows it.
pub fn schedule(start: Option<Timestamp>, ends: &Expiration) -> Value {
    json!({
        "startDateTime": start.map(time::text),
        "recurrence": null,
        "expiration": expiration(ends),
    })
}

/// A period in force.
pub fn period(start: Timestamp, end: Option<Timestamp>) -> Value {
    let ends = end.map_or(Expiration::NoExpiration, |end| Expiration::AfterDateTime { end });
    schedule(Some(start), &ends)
}

/// Reads an expiration.
///
/// # Errors
///
/// `400` naming the property: an unknown type, or one without its value.
pub fn read_expiration(mut object: Object) -> Result<Expiration> {
    let end: Option<Timestamp> = object.take("endDateTime")?;
    let duration: Option<Duration> = object.take("duration")?;
    let kind = object.take_member("type", TYPES)?;
    // What the type does not use would be lost in silence.
    let both = kind.is_none() && end.is_some();
    if let Some(duration) = duration.filter(|duration| !duration.is_zero())
        && (both || matches!(kind, Some("notSpecified" | "noExpiration" | "afterDateTime")))
    {
        let sentence = format!("`{duration}` goes with the type `afterDuration` alone");
        return Err(object.wrong("duration", sentence));
    }
    if end.is_some() && matches!(kind, Some("notSpecified" | "noExpiration" | "afterDuration")) {
        return Err(object.wrong("endDateTime", "goes with the type `afterDateTime` alone"));
    }
    let expiration = match (kind, end, duration) {
        (Some("noExpiration"), ..) => Expiration::NoExpiration,
        (Some("afterDateTime") | None, Some(end), _) => Expiration::AfterDateTime { end },
        (Some("afterDateTime"), None, _) => {
            return Err(object.wrong("endDateTime", "is required for the type `afterDateTime`"));
        }
        (Some("afterDuration") | None, _, Some(duration)) => {
            if duration.is_zero() {
                return Err(object.wrong("duration", "must be longer than nothing"));
            }
            Expiration::AfterDuration { duration }
        }
        (Some("afterDuration"), _, None) => {
            return Err(object.wrong("duration", "is required for the type `afterDuration`"));
        }
        _ => Expiration::NotSpecified,
    };
    object.finish(&[])?;
    Ok(expiration)
}

/// Reads a wanted period.
///
/// # Errors
///
/// `400` naming the property.
pub fn read_schedule(mut object: Object) -> Result<Schedule> {
    let start_date_time = object.take("startDateTime")?;
    let expiration = match object.take::<Object>("expiration")? {
        Some(expiration) => read_expiration(expiration)?,
        None => Expiration::NotSpecified,
    };
    // Published examples send them; recurrence is for reviews and ignored on requests.
    object.finish(&["recurrence", "stopDateTime"])?;
    Ok(Schedule { start_date_time, expiration })
}
