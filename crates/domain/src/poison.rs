//! Poison: a delivery that breaks down whoever works on it, or fails while its target serves others.
//!
//! It must cost the others nothing. After a few times it is tried *alone*, in a lane of its own that
//! is one call wide; one that breaks workers down even there *rests* until a person asks for it. A
//! revocation is never dropped: at rest it is still tried now and then.

use crate::fault::{Class, Fault};

/// Crashes in a row after which a delivery is tried alone.
pub const ALONE_AFTER_CRASHES: i64 = 3;
/// Crashes in a row after which it rests.
pub const REST_AFTER_CRASHES: i64 = 5;
/// Failures in a row, while its target serves others, after which it is tried alone.
pub const ALONE_AFTER_STRIKES: i64 = 5;

/// What a delivery did to those who worked on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Poison {
    /// Times in a row that work on it ended without a result: a process that died, a lease that ran
    /// out, a connector that broke down.
    pub crashes: i64,
    /// Times in a row that its target failed for it while it served others.
    pub strikes: i64,
}

impl Poison {
    /// Whether it is tried alone.
    pub const fn is_alone(&self) -> bool {
        ALONE_AFTER_CRASHES <= self.crashes || ALONE_AFTER_STRIKES <= self.strikes
    }

    /// Whether it is not tried by itself as others are.
    pub const fn is_at_rest(&self) -> bool {
        REST_AFTER_CRASHES <= self.crashes
    }

    /// Work on it ended without a result.
    pub const fn crashed(self) -> Poison {
        Poison { crashes: self.crashes.saturating_add(1), strikes: self.strikes }
    }

    /// Its target failed for it while it served others.
    pub const fn struck(self) -> Poison {
        Poison { crashes: self.crashes, strikes: self.strikes.saturating_add(1) }
    }

    /// Something else is wanted: tried anew, but alone if it was.
    pub fn renewed(self) -> Poison {
        Poison {
            crashes: self.crashes.min(ALONE_AFTER_CRASHES),
            strikes: self.strikes.min(ALONE_AFTER_STRIKES),
        }
    }
}

/// Whether a fault may be the delivery's own: the target was called, and failed.
pub fn is_strike(fault: &Fault) -> bool {
    fault.class == Class::Transient && fault.code != Fault::LATE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_crashes_set_it_apart_and_five_lay_it_down() {
        let after = |crashes: usize| (0..crashes).fold(Poison::default(), |row, _| row.crashed());

        assert!(!after(2).is_alone());
        assert!(after(3).is_alone() && !after(4).is_at_rest());
        assert!(after(5).is_at_rest());
    }

    #[test]
    fn five_strikes_set_it_apart_and_never_lay_it_down() {
        let after = |strikes: usize| (0..strikes).fold(Poison::default(), |row, _| row.struck());

        assert!(!after(4).is_alone());
        assert!(after(5).is_alone() && !after(50).is_at_rest());
    }

    #[test]
    fn what_is_wanted_anew_is_tried_anew_but_alone() {
        let row = Poison { crashes: 9, strikes: 9 }.renewed();

        assert!(row.is_alone() && !row.is_at_rest());
        assert_eq!(Poison::default().renewed(), Poison::default());
    }

    #[test]
    fn a_call_that_was_never_sent_is_no_strike() {
        let fault = |code: &str| Fault::new(Class::Transient, code, "no");

        assert!(is_strike(&fault("http-500")));
        assert!(!is_strike(&fault(Fault::LATE)));
        assert!(!is_strike(&Fault::new(Class::Target, "dns", "no")));
    }
}
