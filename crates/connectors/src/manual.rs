//! Systems that only people can change: every role becomes a task for somebody.
//!
//! The connector calls nothing. It says who is to do the work and by when; the task itself, and what
//! the person says of it, belong to the app. What is so cannot be read.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use accede_domain::duration::Duration;
use accede_domain::fault::{Class, Fault};
use accede_domain::pending::Accepted;
use accede_domain::task::{Assignee, Order};
use async_trait::async_trait;

use crate::egress::Policy;
use crate::listed::{Listed, RESOURCES};
use crate::settings::{Field, Form, Problem, Reader, problem};
use crate::{Connector, Done, FoundResource, Health, Item, Person, Presence, Role, Settings};

/// The settings of a manual target.
pub const SETTINGS: &[Field] = &[
    Field::new(
        "assignee",
        "Who does it",
        "the object id of a user or a group of the directory, or a user's sign-in name",
    )
    .required(),
    Field::new(
        "due",
        "How long they have",
        "an ISO 8601 duration such as `P3D` (the default), at most a year; later the task is overdue",
    ),
    Field::new("instructions", "How it is done", "shown with every task, at most 2,000 characters")
        .form(Form::Lines),
    RESOURCES,
];

/// Longest instructions, in characters.
pub const MAX_INSTRUCTIONS: usize = 2_000;
/// How long people have if the settings say nothing.
const DEFAULT_DUE: u16 = 3;
/// How many people one call takes. Nothing is called, so it only bounds a transaction.
const BATCH: usize = 100;

/// A system that only people can change.
pub struct Manual {
    order: Order,
    resources: Listed,
}

/// Opens a manual target.
pub(crate) fn open(
    _: &Settings,
    reader: &Reader<'_>,
    _: Arc<Policy>,
) -> Result<Arc<dyn Connector>, Problem> {
    let example = "ada@harbourline.example";
    let assignee = Assignee::parse(reader.required("assignee", example)?).ok_or_else(|| {
        let sentence = format!("is neither an object id nor a sign-in name such as `{example}`");
        problem("assignee", sentence)
    })?;
    let due = match reader.text("due")? {
        None => Duration::days(DEFAULT_DUE),
        Some(text) => duration("due", text)?,
    };
    let instructions = reader.text("instructions")?.map(str::to_owned);
    if instructions.as_ref().is_some_and(|text| MAX_INSTRUCTIONS < text.chars().count()) {
        let sentence = format!("is longer than {MAX_INSTRUCTIONS} characters");
        return Err(problem("instructions", sentence));
    }
    let resources = Listed::read(reader.value(RESOURCES.name))?;
    Ok(Arc::new(Manual { order: Order { assignee, due, instructions }, resources }))
}

/// A duration of a setting: longer than nothing, at most a year.
pub(crate) fn duration(name: &str, text: &str) -> Result<Duration, Problem> {
    let wrong = || problem(name, "must be an ISO 8601 duration such as `P3D`, at most `P365D`");
    let given: Duration = text.parse().map_err(|_| wrong())?;
    let longest = Duration::days(365).fixed();
    let fits = given.fixed().is_some_and(|fixed| Some(fixed) <= longest);
    if given.is_zero() || !fits { Err(wrong()) } else { Ok(given) }
}

#[async_trait]
impl Connector for Manual {
    fn batch_size(&self) -> usize {
        BATCH
    }

    fn can_observe(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<Health, Fault> {
        let due = &self.order.due;
        let summary = match &self.order.assignee {
            Assignee::Name(name) => format!("tasks go to {name}, who has {due} for each"),
            Assignee::Object(id) => format!("tasks go to {id}, who has {due} for each"),
        };
        Ok(Health { summary, took: StdDuration::ZERO })
    }

    async fn discover(
        &self,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        Ok(self.resources.discover(search, limit))
    }

    async fn find(&self, origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        Ok(self.resources.find(origin_id))
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        // What is not listed any more may still have to be taken away.
        let one = |item: &Item| {
            if item.wanted == crate::Wanted::Granted {
                self.resources.named(&item.role)?;
            }
            Ok(Done::Pending(Accepted::Person(self.order.clone())))
        };
        batch.iter().map(one).collect()
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        let message = "only a person can see what is so in this system";
        vec![Err(Fault::new(Class::Unsupported, "not-observable", message)); batch.len()]
    }
}
