//! When derived changes are so many at once that they wait for a second person.
//!
//! Nobody decides about each of these: they follow from something else, such as a role taken from a
//! package that thousands hold. A slip there must not become thousands of calls.

/// How many changes at one target are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// So many are never held, however small the target is.
    pub least: i64,
    /// So large a share of what the target holds of ours, in percent.
    pub percent: i64,
    /// More than so many are always held, however large the target is.
    pub most: Option<i64>,
}

impl Limit {
    /// The most that are let through at a target that holds `live` of our roles.
    pub fn at(self, live: i64) -> i64 {
        let share = live.max(0).saturating_mul(self.percent) / 100;
        let let_through = share.max(self.least);
        self.most.map_or(let_through, |most| let_through.min(most))
    }
}

/// The limits of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of what is given.
    pub grants: Limit,
    /// Of what is taken.
    pub revocations: Limit,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            grants: Limit { least: 50, percent: 10, most: None },
            revocations: Limit { least: 25, percent: 10, most: Some(500) },
        }
    }
}

/// Derived changes at one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Roles that are given.
    pub grants: i64,
    /// Roles that are taken.
    pub revocations: i64,
}

impl Limits {
    /// Whether a plan waits: with what went out lately of the same cause, it is over a limit of a
    /// target that holds `live` of our roles.
    pub fn hold(&self, plan: Changes, lately: Changes, live: i64) -> bool {
        let over = |plan: i64, lately: i64, limit: Limit| {
            0 < plan && limit.at(live) < plan.saturating_add(lately)
        };
        over(plan.grants, lately.grants, self.grants)
            || over(plan.revocations, lately.revocations, self.revocations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(revocations: i64) -> Changes {
        Changes { grants: 0, revocations }
    }

    fn given(grants: i64) -> Changes {
        Changes { grants, revocations: 0 }
    }

    #[test]
    fn a_small_target_lets_the_least_through_and_a_large_one_its_share() {
        let limits = Limits::default();
        let none = Changes::default();
        for (plan, live, held) in [
            (taken(25), 30, false),
            (taken(26), 30, true),
            (taken(26), 259, true),
            (taken(26), 260, false),
            (taken(500), 100_000, false),
            (taken(501), 100_000, true),
            (given(50), 0, false),
            (given(51), 509, true),
            (given(51), 510, false),
            (given(10_000), 100_000, false),
            (given(10_001), 100_000, true),
        ] {
            assert_eq!(limits.hold(plan, none, live), held, "{plan:?} of {live}");
        }
    }

    #[test]
    fn what_went_out_lately_counts_in_its_own_direction() {
        let limits = Limits::default();
        assert!(limits.hold(taken(1), taken(25), 30));
        assert!(!limits.hold(taken(1), given(500), 30));
        assert!(!limits.hold(Changes::default(), taken(9_999), 30), "nothing is not held");
        assert!(limits.hold(Changes { grants: 51, revocations: 1 }, Changes::default(), 30));
        assert!(!limits.hold(taken(25), Changes::default(), i64::MIN), "a count is never negative");
    }
}
