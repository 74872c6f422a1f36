//! `accede tasks`: what one is to give or take by hand, and saying what came of it.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::Failure;
use super::client::{Connection, Output};
use super::remote::{say, say_json, segment};
use super::table::{at, table, when};

/// `accede tasks`
#[derive(Debug, Subcommand)]
pub enum Tasks {
    /// List one's own open tasks, those due first
    List(ListArgs),
    /// Close a task with what came of it
    Complete(CompleteArgs),
}

/// `accede tasks list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Those of everybody, for packages whose requests one may read
    #[arg(long)]
    everybody: bool,
    /// In this state
    #[arg(long, value_name = "STATE", default_value = "open")]
    state: TaskState,
    /// Of this target, by its name
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TaskState {
    /// To be done
    Open,
    /// Done
    Done,
    /// Could not be done
    #[value(name = "couldNot")]
    CouldNot,
    /// Not to be done by hand any more
    Withdrawn,
}

impl TaskState {
    const fn name(self) -> &'static str {
        match self {
            TaskState::Open => "open",
            TaskState::Done => "done",
            TaskState::CouldNot => "couldNot",
            TaskState::Withdrawn => "withdrawn",
        }
    }
}

/// `accede tasks complete`
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// Its id
    id: String,
    /// It could not be done; say why with --note
    #[arg(long, requires = "note")]
    could_not: bool,
    /// What is to be known of it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Tasks {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Tasks::List(args) => args.run().await,
            Tasks::Complete(args) => args.run().await,
        }
    }
}

impl ListArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let mut filter = format!("state eq '{}'", self.state.name());
        if let Some(target) = &self.target {
            let target = client.target_name(target).await?;
            filter.push_str(&format!(" and target/name eq '{}'", target.replace('\'', "''")));
        }
        let whose = if self.everybody { "all" } else { "mine" };
        let query = [("whose", whose), ("$filter", filter.as_str())];
        let all = client.list("/accede/v1/tasks", &query, usize::MAX).await?;
        if self.connection.output == Output::Json {
            return say_json(&Value::Array(all));
        }
        let rows = all
            .iter()
            .map(|task| {
                let late = task["isOverdue"] == true;
                vec![
                    at(task, "/id"),
                    at(task, "/action"),
                    at(task, "/role/displayName"),
                    at(task, "/resource/displayName"),
                    at(task, "/person/userPrincipalName"),
                    at(task, "/target/name"),
                    if late { "overdue".to_owned() } else { at(task, "/state") },
                    when(task, "/dueDateTime"),
                    at(task, "/assignee/displayName"),
                ]
            })
            .collect();
        let header =
            ["TASK", "DO", "ROLE", "RESOURCE", "FOR", "TARGET", "STATE", "DUE", "ASSIGNED TO"];
        say(&table(&header, rows, "No such task."))
    }
}

impl CompleteArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let outcome = if self.could_not { "couldNot" } else { "done" };
        let path = format!("/accede/v1/tasks/{}/complete", segment(&self.id));
        let body = json!({ "outcome": outcome, "note": self.note });
        let task = client.post(&path, Some(&body)).await?;
        if self.connection.output == Output::Json {
            return say_json(&task);
        }
        say(match outcome {
            "done" => "The task is done.",
            _ => "The task is closed as one that could not be done.",
        })
    }
}
