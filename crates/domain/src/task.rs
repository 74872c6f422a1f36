//! A task: a person's work with a due date, for one wish of one delivery.
//!
//! A task is a layer over a delivery: it says who is to give or take a role by hand, and closes when
//! that is done, cannot be done, or is not wanted any more.

use jiff::Timestamp;
use uuid::Uuid;

use crate::duration::Duration;
use crate::refusal::Refusal;

/// Whom a target's settings name for its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Assignee {
    /// A user or a group, by object id.
    Object(Uuid),
    /// A user, by sign-in name.
    Name(String),
}

impl Assignee {
    /// What a text names: an object id, or a sign-in name such as `ada@harbourline.example`.
    pub fn parse(text: &str) -> Option<Assignee> {
        let text = text.trim();
        if let Ok(id) = text.parse() {
            return Some(Assignee::Object(id));
        }
        let (name, domain) = text.split_once('@')?;
        let is_name = !name.is_empty() && !domain.is_empty() && !text.contains(char::is_whitespace);
        is_name.then(|| Assignee::Name(text.to_owned()))
    }
}

/// Work for a person, before it is anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who is to do it.
    pub assignee: Assignee,
    /// How long they have.
    pub due: Duration,
    /// How it is done, if somebody wrote that down.
    pub instructions: Option<String>,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Somebody is to do it.
    Open,
    /// It was done.
    Done,
    /// It could not be done.
    CouldNot,
    /// It was closed by the server or a manager: it is not wanted any more, or was seen to be so.
    Withdrawn,
}

impl State {
    /// Every state.
    pub const ALL: [State; 4] = [State::Open, State::Done, State::CouldNot, State::Withdrawn];

    /// Stable text, used in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Done => "done",
            State::CouldNot => "couldNot",
            State::Withdrawn => "withdrawn",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What somebody says who closes a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It cannot be done.
    CouldNot,
}

impl Outcome {
    /// The outcome of that name: `done` or `couldNot`.
    pub fn parse(name: &str) -> Option<Outcome> {
        match name {
            "done" => Some(Outcome::Done),
            "couldNot" => Some(Outcome::CouldNot),
            _ => None,
        }
    }

    /// Where the task stands then.
    pub const fn state(self) -> State {
        match self {
            Outcome::Done => State::Done,
            Outcome::CouldNot => State::CouldNot,
        }
    }
}

/// Refuses unless a task is open.
///
/// # Errors
///
/// With the state it is in.
pub fn must_be_open(state: State) -> Result<(), Refusal> {
    let how = match state {
        State::Open => return Ok(()),
        State::Done => "it was done",
        State::CouldNot => "somebody said that it could not be done",
        State::Withdrawn => "it was withdrawn, because it is not to be done by hand any more",
    };
    Err(Refusal::Rule {
        code: "TaskClosed",
        sentence: format!("this task is over (state `{}`): {how}", state.name()),
    })
}

/// Whether an open task is past its due date.
pub fn is_overdue(state: State, due: Timestamp, now: Timestamp) -> bool {
    state == State::Open && due < now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignee_is_an_object_id_or_a_sign_in_name() {
        let id = "3f0f5a0e-6a7d-4c0b-8a6e-0d8b1f2c3d4e";
        assert!(matches!(Assignee::parse(id), Some(Assignee::Object(_))));
        let ada = "ada@harbourline.example";
        assert_eq!(
            Assignee::parse(" ada@harbourline.example "),
            Some(Assignee::Name(ada.to_owned()))
        );
        for wrong in ["", "ada", "@harbourline.example", "ada@", "a b@c"] {
            assert_eq!(Assignee::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_an_open_task_is_overdue_and_can_be_closed() {
        let (due, later) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        for state in State::ALL {
            assert_eq!(must_be_open(state).is_ok(), state == State::Open);
            assert_eq!(is_overdue(state, due, later), state == State::Open);
            assert_eq!(State::parse(state.name()), Some(state));
        }
        assert!(!is_overdue(State::Open, due, due));
    }
}
