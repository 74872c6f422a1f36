//! From the truth of single deliveries to the state of what they belong to.

/// Where one delivery stands, as its request and assignment see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// What is wanted is so.
    Done,
    /// Work is under way or due.
    Open,
    /// Given up until somebody reprocesses.
    Failed,
}

/// How a set of deliveries came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// All there. A package without roles is delivered by having nothing to do.
    All,
    /// Some there, some not.
    Some,
    /// None there.
    None,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 3] = [Outcome::All, Outcome::Some, Outcome::None];
}

/// The outcome of these parts; `None` while any is open.
pub fn roll_up(parts: impl IntoIterator<Item = Part>) -> Option<Outcome> {
    let (mut done, mut failed) = (0_u64, 0_u64);
    for part in parts {
        match part {
            Part::Open => return None,
            Part::Done => done += 1,
            Part::Failed => failed += 1,
        }
    }
    Some(match (done, failed) {
        (_, 0) => Outcome::All,
        (0, _) => Outcome::None,
        _ => Outcome::Some,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_do_is_all_done() {
        assert_eq!(roll_up([]), Some(Outcome::All));
    }

    #[test]
    fn one_open_part_keeps_the_whole_open() {
        assert_eq!(roll_up([Part::Done, Part::Failed, Part::Open]), None);
    }

    #[test]
    fn a_mixture_is_some_and_only_failures_are_none() {
        assert_eq!(roll_up([Part::Done, Part::Failed]), Some(Outcome::Some));
        assert_eq!(roll_up([Part::Failed, Part::Failed]), Some(Outcome::None));
        assert_eq!(roll_up([Part::Done]), Some(Outcome::All));
    }
}
