//! A fixed pace of calls to one target, for targets that admit so many and refuse the rest.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use accede_domain::fault::{Class, Fault};
use tokio::time::Instant;

use crate::settings::{Field, Problem, Reader};

const MINUTE: Duration = Duration::from_secs(60);
/// What a call that waited for its turn has left at least, so that it is not cut off for want of time
/// that our own pace took.
const ROOM: Duration = Duration::from_secs(3);
/// Most calls a minute that can be set; more is no limit to speak of.
const MOST: u64 = 60_000;

/// The setting that [`Pace::read`] reads.
pub const CALLS_PER_MINUTE: Field = Field::new(
    "callsPerMinute",
    "Calls in a minute",
    "most calls in a minute from each server, evenly spaced, 1 to 60000; no limit if left out",
);

/// Whose turn it is. A change of one person's role is several calls, so a target that admits few of
/// them would refuse the later ones again and again if they were not spaced out.
#[derive(Debug, Default)]
pub struct Pace {
    /// Between two calls; `None` for no limit.
    gap: Option<Duration>,
    /// When the next call may be made.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// The pace that a target's settings ask for.
    ///
    /// # Errors
    ///
    /// The setting is not a number that can be kept.
    pub fn read(reader: &Reader<'_>) -> Result<Pace, Problem> {
        let calls = reader.number(CALLS_PER_MINUTE.name, 0, 1..=MOST)?;
        let gap = u32::try_from(calls).ok().and_then(|calls| MINUTE.checked_div(calls));
        Ok(Pace { gap, next: Mutex::default() })
    }

    /// Waits for the next turn. Turns are taken in the order of asking.
    ///
    /// # Errors
    ///
    /// Throttled, with the wait until there is a turn, when there is none in time for the call to be
    /// answered before the deadline: the call was not made.
    pub async fn turn(&self, deadline: Instant) -> Result<(), Fault> {
        if let Some(turn) = self.reserve(Instant::now(), deadline)? {
            tokio::time::sleep_until(turn).await;
        }
        Ok(())
    }

    /// Takes the next turn and says when it is; `None` without a limit.
    fn reserve(&self, now: Instant, deadline: Instant) -> Result<Option<Instant>, Fault> {
        let Some(gap) = self.gap else { return Ok(None) };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        // A turn that is free now is taken whatever is left: it was not our pace that took the time.
        let is_cut_off = now < turn && deadline < turn + ROOM;
        if is_cut_off || deadline <= turn {
            let message = "`callsPerMinute` leaves no turn in time for this call; it was not made";
            let fault = Fault::new(Class::Throttled, "paced", message);
            return Err(fault.after(Some(turn.saturating_duration_since(now))));
        }
        *next = Some(turn + gap);
        Ok(Some(turn))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn pace(calls: u32) -> Pace {
        Pace { gap: MINUTE.checked_div(calls), next: Mutex::default() }
    }

    #[test]
    fn calls_are_spaced_out_whoever_makes_them() {
        let (pace, now) = (pace(120), Instant::now());

        let turns = [(); 4].map(|()| pace.reserve(now, now + MINUTE).unwrap().unwrap() - now);

        assert_eq!(turns.map(|turn| turn.as_millis()), [0, 500, 1_000, 1_500]);
    }

    #[test]
    fn time_that_was_not_used_is_not_saved_up() {
        let (pace, start) = (pace(60), Instant::now());
        pace.reserve(start, start + MINUTE).unwrap();
        let later = start + MINUTE;

        let turns = [(); 3].map(|()| pace.reserve(later, later + MINUTE).unwrap().unwrap() - later);

        assert_eq!(turns.map(|turn| turn.as_secs()), [0, 1, 2]);
    }

    #[test]
    fn a_call_without_a_turn_before_its_deadline_is_not_made_and_takes_no_turn() {
        let (pace, now) = (pace(1), Instant::now());
        pace.reserve(now, now + MINUTE).unwrap();

        let refused = pace.reserve(now, now + Duration::from_secs(28)).unwrap_err();

        assert_eq!((refused.class, refused.code.as_str()), (Class::Throttled, "paced"));
        assert_eq!(refused.retry_after, Some(MINUTE));
        assert_eq!(pace.reserve(now, now + 2 * MINUTE).unwrap(), Some(now + MINUTE));
    }

    #[test]
    fn a_turn_that_leaves_no_time_for_an_answer_is_not_waited_for() {
        let (pace, now) = (pace(60), Instant::now());
        let second = Duration::from_secs(1);
        pace.reserve(now, now + MINUTE).unwrap();

        let refused = pace.reserve(now, now + 2 * second).unwrap_err();

        assert_eq!(refused.code, "paced", "and not cut off after it was sent");
        assert_eq!(pace.reserve(now, now + second + ROOM).unwrap(), Some(now + second));
        let later = now + 2 * second;
        assert_eq!(pace.reserve(later, later + second).unwrap(), Some(later), "it is free now");
    }

    #[test]
    fn without_the_setting_nobody_waits() {
        let (pace, now) = (Pace::default(), Instant::now());

        assert_eq!(pace.reserve(now, now).unwrap(), None);
    }
}
