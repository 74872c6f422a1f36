//! Who a request or a delivery waits for, until when, and what happens then: nothing rests in limbo.

use jiff::{SignedDuration, Timestamp};

use crate::delivery::{Delivery, Phase, STUCK_AFTER};
use crate::notice;
use crate::pending::Awaited;
use crate::request::State;
use crate::retry;

/// Who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The approvers of the open stage.
    Approvers,
    /// Who has a task for it.
    Assignee,
    /// Those who run the target system or its connection.
    TargetAdministrators,
    /// Those who manage the assignments of the catalog.
    AssignmentManagers,
    /// The target system, which accepted the work.
    Target,
    /// Nobody: the server does it by itself.
    Server,
}

impl Owner {
    /// Every owner.
    pub const ALL: [Owner; 6] = [
        Owner::Approvers,
        Owner::Assignee,
        Owner::TargetAdministrators,
        Owner::AssignmentManagers,
        Owner::Target,
        Owner::Server,
    ];

    /// Stable text, used on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Owner::Approvers => "approvers",
            Owner::Assignee => "assignee",
            Owner::Target => "target",
            Owner::TargetAdministrators => "targetAdministrators",
            Owner::AssignmentManagers => "assignmentManagers",
            Owner::Server => "server",
        }
    }
}

/// What happens when nobody acted until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Then {
    /// The request is denied as expired.
    Expires,
    /// Delivery begins.
    Begins,
    /// The grant rests as failed.
    RestsAsFailed,
    /// The task is overdue.
    IsOverdue,
    /// The target is asked again.
    AskedAgain,
    /// Those who run the server are told, again and again.
    IsTold,
    /// It cannot be reprocessed any more, and is final.
    BecomesFinal,
}

impl Then {
    /// Every one.
    pub const ALL: [Then; 7] = [
        Then::Expires,
        Then::Begins,
        Then::RestsAsFailed,
        Then::IsOverdue,
        Then::AskedAgain,
        Then::IsTold,
        Then::BecomesFinal,
    ];

    /// Stable text, used on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Then::Expires => "expires",
            Then::Begins => "begins",
            Then::RestsAsFailed => "restsAsFailed",
            Then::IsOverdue => "isOverdue",
            Then::AskedAgain => "askedAgain",
            Then::IsTold => "isTold",
            Then::BecomesFinal => "becomesFinal",
        }
    }
}

/// Who something waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// Who must act.
    pub owner: Owner,
    /// Until when; `None`: the settings set no limit.
    pub until: Option<Timestamp>,
    /// What happens then.
    pub then: Then,
}

/// Who a delivery waits for; `None`: what is wanted is so.
///
/// `is_left_alone`: its target is paused or out of order. `window`: how long a grant is tried by
/// itself. `reprocess_until`: until when a request for it can be reprocessed. `task_due`: until when
/// the open task for it is to be done.
pub fn of_delivery(
    row: &Delivery,
    task_due: Option<Timestamp>,
    is_left_alone: bool,
    window: SignedDuration,
    reprocess_until: Option<Timestamp>,
    now: Timestamp,
) -> Option<Waiting> {
    if row.is_so() {
        return None;
    }
    match row.pending {
        Some(pending) if pending.on == Awaited::Person => {
            let (owner, then) = (Owner::Assignee, Then::IsOverdue);
            return Some(Waiting { owner, until: task_due, then });
        }
        Some(pending) if pending.until.is_some_and(|until| now < until) => {
            let (owner, then) = (Owner::Target, Then::AskedAgain);
            return Some(Waiting { owner, until: pending.until, then });
        }
        _ => {}
    }
    let acts = if is_left_alone { Owner::TargetAdministrators } else { Owner::Server };
    Some(match row.phase {
        Phase::Failed { .. } if row.wanted => Waiting {
            owner: Owner::AssignmentManagers,
            until: reprocess_until,
            then: Then::BecomesFinal,
        },
        Phase::Settled | Phase::Due { .. } | Phase::InFlight { .. } if row.wanted => Waiting {
            owner: acts,
            until: Some(retry::after(row.since, window)),
            then: Then::RestsAsFailed,
        },
        _ if row.is_stuck(now) => Waiting {
            owner: Owner::TargetAdministrators,
            until: Some(notice::STUCK.next(row.since, now)),
            then: Then::IsTold,
        },
        _ => Waiting {
            owner: acts,
            until: Some(retry::after(row.since, STUCK_AFTER)),
            then: Then::IsTold,
        },
    })
}

/// Who a request waits for; `None`: it is final.
///
/// `stage_due`: until when the open approval stage must be decided. `reprocess_until`: until when it
/// can be reprocessed. `deliveries`: who its deliveries wait for.
pub fn of_request(
    state: &State,
    stage_due: Option<Timestamp>,
    reprocess_until: Option<Timestamp>,
    deliveries: impl IntoIterator<Item = Waiting>,
    now: Timestamp,
) -> Option<Waiting> {
    match state {
        State::Submitted => {
            // It is looked at in the transaction that records it.
            Some(Waiting { owner: Owner::Server, until: Some(now), then: Then::Begins })
        }
        State::PendingApproval => {
            Some(Waiting { owner: Owner::Approvers, until: stage_due, then: Then::Expires })
        }
        State::Scheduled { start } => {
            Some(Waiting { owner: Owner::Server, until: Some(*start), then: Then::Begins })
        }
        State::Delivering { .. } | State::Canceling { .. } => {
            // A person's work first, then what is due first.
            let soonest = |one: &Waiting| (one.owner, one.until.unwrap_or(Timestamp::MAX));
            deliveries.into_iter().min_by_key(soonest).or(Some(Waiting {
                owner: Owner::Server,
                until: Some(now),
                then: Then::IsTold,
            }))
        }
        State::PartiallyDelivered { .. } | State::DeliveryFailed { .. } => {
            let is_over = reprocess_until.is_some_and(|until| until <= now);
            (!is_over).then_some(Waiting {
                owner: Owner::AssignmentManagers,
                until: reprocess_until,
                then: Then::BecomesFinal,
            })
        }
        State::Delivered { .. } | State::Denied { .. } | State::Canceled { .. } => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::delivery::Observed;

    const WINDOW: SignedDuration = SignedDuration::from_hours(24);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    fn row(wanted: bool, observed: Observed, phase: Phase) -> Delivery {
        Delivery { wanted, observed, phase, ..Delivery::new(false, at(0)) }
    }

    fn said(row: &Delivery, is_left_alone: bool, now: Timestamp) -> Option<(Owner, i64, Then)> {
        let waiting = of_delivery(row, None, is_left_alone, WINDOW, Some(at(9_999)), now)?;
        let until = waiting.until.unwrap().duration_since(at(0)).as_mins();
        Some((waiting.owner, until, waiting.then))
    }

    #[test]
    fn whatever_is_not_as_wanted_has_an_owner_and_a_deadline() {
        let phases = [
            Phase::Settled,
            Phase::Due { at: at(3) },
            Phase::Failed { at: at(3) },
            Phase::Stuck { since: at(3), probe_at: at(9) },
        ];
        let observations =
            [Observed::Never, Observed::Unknown, Observed::Absent, Observed::Present];
        for wanted in [true, false] {
            for observed in observations {
                for phase in phases {
                    let row = row(wanted, observed, phase);
                    let found = of_delivery(&row, None, false, WINDOW, Some(at(9)), at(5));
                    assert_eq!(found.is_none(), row.is_so(), "{row:?}");
                    assert!(found.is_none_or(|found| found.until.is_some()), "{row:?}");
                }
            }
        }
    }

    #[test]
    fn a_grant_waits_for_the_server_until_its_window_ends_and_then_for_a_person() {
        let due = row(true, Observed::Absent, Phase::Due { at: at(3) });
        assert_eq!(said(&due, false, at(5)), Some((Owner::Server, 24 * 60, Then::RestsAsFailed)));
        let alone = Some((Owner::TargetAdministrators, 24 * 60, Then::RestsAsFailed));
        assert_eq!(said(&due, true, at(5)), alone);
        let failed = row(true, Observed::Absent, Phase::Failed { at: at(3) });
        let expected = Some((Owner::AssignmentManagers, 9_999, Then::BecomesFinal));
        assert_eq!(said(&failed, false, at(5)), expected);
    }

    #[test]
    fn accepted_work_waits_for_who_accepted_it() {
        let due = row(true, Observed::Unknown, Phase::Due { at: at(3) });
        let pending = |on, until| Some(crate::pending::Pending { on, since: at(1), until });
        let task = Delivery { pending: pending(Awaited::Person, None), ..due };
        let found = of_delivery(&task, Some(at(70)), false, WINDOW, None, at(5)).unwrap();
        assert_eq!((found.owner, found.until), (Owner::Assignee, Some(at(70))));
        let accepted = Delivery { pending: pending(Awaited::Target, Some(at(60))), ..due };
        let found = of_delivery(&accepted, None, false, WINDOW, None, at(5)).unwrap();
        assert_eq!((found.owner, found.until), (Owner::Target, Some(at(60))));
        let late = of_delivery(&accepted, None, false, WINDOW, None, at(61)).unwrap();
        assert_eq!(late.owner, Owner::Server);
    }

    #[test]
    fn a_removal_waits_for_a_person_once_it_is_late() {
        let due = row(false, Observed::Present, Phase::Due { at: at(3) });
        assert_eq!(said(&due, false, at(5)), Some((Owner::Server, 60, Then::IsTold)));
        let late = Some((Owner::TargetAdministrators, 240, Then::IsTold));
        assert_eq!(said(&due, false, at(61)), late);
    }

    #[test]
    fn every_state_that_is_not_final_waits_for_somebody() {
        let (first_completed, completed) = (at(0), at(0));
        let managers = Waiting {
            owner: Owner::AssignmentManagers,
            until: Some(at(100)),
            then: Then::BecomesFinal,
        };
        let of = |state: State, now| of_request(&state, Some(at(7)), Some(at(100)), [], now);
        let rests = State::DeliveryFailed { first_completed, completed };
        assert_eq!(of(rests, at(1)), Some(managers));
        assert_eq!(of(rests, at(100)), None, "its window is over: it is final");
        assert_eq!(of(State::Delivered { first_completed, completed }, at(1)), None);
        assert_eq!(of(State::Canceled { at: at(0) }, at(1)), None);
        let asked = of(State::PendingApproval, at(1)).unwrap();
        assert_eq!((asked.owner, asked.until), (Owner::Approvers, Some(at(7))));
        for state in [
            State::Submitted,
            State::Scheduled { start: at(5) },
            State::Delivering { first_completed: None },
            State::Canceling { first_completed },
        ] {
            assert!(of(state, at(1)).is_some_and(|waiting| waiting.until.is_some()), "{state:?}");
        }
    }

    #[test]
    fn a_request_waits_for_a_person_before_it_waits_for_the_server() {
        let server = Waiting { owner: Owner::Server, until: Some(at(1)), then: Then::IsTold };
        let person =
            Waiting { owner: Owner::TargetAdministrators, until: Some(at(9)), then: Then::IsTold };
        let state = State::Delivering { first_completed: None };
        let found = of_request(&state, None, None, [server, person], at(0));
        assert_eq!(found, Some(person));
    }
}
