//! Notices: what Accede tells people by itself, by mail and by webhook, and when it says so again.
//!
//! A notice is a row of its own, written with what it is about, and sent until the mail server or the
//! webhook has taken it. An *alarm* is what stays so until somebody acts: it is told again after
//! growing waits, and once a day after that.

use jiff::{SignedDuration, Timestamp};

use crate::retry;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// What is newly not delivered, by cause.
    Failures,
    /// Access that should be gone and is not.
    RevocationsStuck,
    /// Target systems that are left alone because they are out of order.
    TargetsOutOfOrder,
    /// Target systems that are called again.
    TargetsBack,
    /// A change that waits for a second person.
    ChangeHeld,
    /// Deliveries on which the server kept breaking down.
    DeliveryLaidDown,
    /// Tasks that wait for the reader.
    Tasks,
    /// Somebody tries whether notices arrive.
    Test,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Topic; 8] = [
        Topic::Failures,
        Topic::RevocationsStuck,
        Topic::TargetsOutOfOrder,
        Topic::TargetsBack,
        Topic::ChangeHeld,
        Topic::DeliveryLaidDown,
        Topic::Tasks,
        Topic::Test,
    ];

    /// Stable text, used in the database, on the wire and as the webhook's event type.
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Failures => "failures",
            Topic::RevocationsStuck => "revocationsStuck",
            Topic::TargetsOutOfOrder => "targetsOutOfOrder",
            Topic::TargetsBack => "targetsBack",
            Topic::ChangeHeld => "changeHeld",
            Topic::DeliveryLaidDown => "deliveryLaidDown",
            Topic::Tasks => "tasks",
            Topic::Test => "test",
        }
    }

    /// The topic of that name.
    pub fn parse(name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.name() == name)
    }
}

/// How a notice goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// To one address.
    Mail,
    /// To the webhook of the settings.
    Webhook,
}

impl Channel {
    /// Both.
    pub const ALL: [Channel; 2] = [Channel::Mail, Channel::Webhook];

    /// Stable text, used in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Channel::Mail => "mail",
            Channel::Webhook => "webhook",
        }
    }

    /// The channel of that name.
    pub fn parse(name: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.name() == name)
    }
}

/// Where a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It is still to be taken by the mail server or the webhook.
    Pending,
    /// It was taken.
    Sent,
    /// It was refused, or not taken for [`GIVEN_UP_AFTER`].
    Failed,
}

impl State {
    /// Every state.
    pub const ALL: [State; 3] = [State::Pending, State::Sent, State::Failed];

    /// Stable text, used in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Sent => "sent",
            State::Failed => "failed",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// For how long a notice is tried that is not taken.
pub const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(3 * 24);
/// The first wait between two tries; it doubles.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(10);
/// The longest wait between two tries.
pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// When a notice is tried again that was not taken `tries` times, the last time at `now`; `None`: it
/// is given up. `chance` in `[0, 1)` spreads the next try.
pub fn next_try(created: Timestamp, tries: i64, chance: f64, now: Timestamp) -> Option<Timestamp> {
    if GIVEN_UP_AFTER <= now.duration_since(created) {
        return None;
    }
    let doublings = u32::try_from(tries.clamp(1, 16) - 1).unwrap_or(0);
    let wait = FIRST_WAIT
        .checked_mul(2_i32.saturating_pow(doublings))
        .map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT));
    // Half of it is certain, so that tries do not crowd together.
    Some(retry::after(now, wait.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)))
}

/// After what time an alarm is told, from when it became so; once a day after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reminders(&'static [SignedDuration]);

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const FOUR_HOURS: SignedDuration = SignedDuration::from_hours(4);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The longest time after which what stays so is told once more.
pub const TOLD_AGAIN: SignedDuration = DAY;

/// A revocation that is not done (delivery.md 3.4: 60 minutes, 4 hours, 24 hours, then daily).
pub const STUCK: Reminders = Reminders(&[HOUR, FOUR_HOURS, DAY]);
/// A change that waits for a second person (delivery.md 3.12: at once, 1, 4, 24 hours, then daily).
pub const HELD: Reminders = Reminders(&[SignedDuration::ZERO, HOUR, FOUR_HOURS, DAY]);
/// A target that is out of order: at once, then daily.
pub const OUT_OF_ORDER: Reminders = Reminders(&[SignedDuration::ZERO]);
/// A task, from its due date on: then, and daily. Before that it is told once, when somebody gets it.
pub const TASK: Reminders = Reminders(&[SignedDuration::ZERO]);

impl Reminders {
    /// When the first one is due.
    pub fn first(self, since: Timestamp) -> Timestamp {
        retry::after(since, self.0.first().copied().unwrap_or(SignedDuration::ZERO))
    }

    /// When the next one is due for what is so `since` and is told at `now`. What was missed while
    /// nobody could tell it is told once, not once for each.
    pub fn next(self, since: Timestamp, now: Timestamp) -> Timestamp {
        let later = self.0.iter().map(|wait| retry::after(since, *wait)).find(|at| now < *at);
        later.unwrap_or_else(|| {
            let told = now.duration_since(since).as_secs().max(0) / DAY.as_secs();
            let days = i32::try_from(told + 1).unwrap_or(i32::MAX);
            retry::after(since, DAY.checked_mul(days).unwrap_or(SignedDuration::MAX))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap_or(Timestamp::MAX)
    }

    #[test]
    fn names_are_their_own() {
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(topic.name()), Some(topic));
        }
        for channel in Channel::ALL {
            assert_eq!(Channel::parse(channel.name()), Some(channel));
        }
        for state in State::ALL {
            assert_eq!(State::parse(state.name()), Some(state));
        }
    }

    #[test]
    fn a_stuck_revocation_is_told_after_an_hour_four_a_day_and_daily() {
        let mut told = Vec::new();
        let mut next = STUCK.first(at(0));
        for _ in 0..6 {
            told.push(next.duration_since(at(0)).as_hours());
            next = STUCK.next(at(0), next);
        }
        assert_eq!(told, [1, 4, 24, 48, 72, 96]);
    }

    #[test]
    fn a_held_change_is_told_at_once() {
        assert_eq!(HELD.first(at(0)), at(0));
        assert_eq!(HELD.next(at(0), at(0)), at(60));
        assert_eq!(OUT_OF_ORDER.next(at(0), at(0)), at(24 * 60));
    }

    #[test]
    fn what_was_missed_is_told_once() {
        // Nobody could tell anything for fifty hours; the next reminder is a day later, not at once.
        assert_eq!(STUCK.next(at(0), at(50 * 60)), at(72 * 60));
    }

    #[test]
    fn a_notice_is_tried_for_three_days_with_growing_waits() {
        let mut now = at(0);
        let mut tries = 0;
        let mut last = SignedDuration::ZERO;
        while let Some(next) = next_try(at(0), tries + 1, 1.0, now) {
            let wait = next.duration_since(now);
            assert!(last <= wait && wait <= LONGEST_WAIT, "{wait:?} after {last:?}");
            (last, now, tries) = (wait, next, tries + 1);
        }
        assert!((70..95).contains(&tries), "{tries} tries");
        assert!(GIVEN_UP_AFTER <= now.duration_since(at(0)));
    }

    #[test]
    fn chance_never_makes_it_longer_or_less_than_half() {
        for tries in 1..80 {
            let whole = next_try(at(0), tries, 1.0, at(0)).map(|next| next.duration_since(at(0)));
            let half = next_try(at(0), tries, 0.0, at(0)).map(|next| next.duration_since(at(0)));
            assert_eq!(whole.map(|wait| wait.as_millis()), half.map(|wait| wait.as_millis() * 2));
        }
    }
}
