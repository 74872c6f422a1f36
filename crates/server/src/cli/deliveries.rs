//! `accede deliveries`: one role of one person in one target system, tried again or settled by hand.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::client::{Connection, Output, items};
use super::remote::{say, say_json, segment};
use super::table::{at, facts, table, when};
use super::{Code, Failure};

/// `accede deliveries`
#[derive(Debug, Subcommand)]
pub enum Deliveries {
    /// List those of a request, or the access that should be gone and is not
    List(ListArgs),
    /// Show one: where it stands, what is wrong, the calls made for it, its tasks
    Show(OneArgs),
    /// Try one now that waits for its next try
    Retry(OneArgs),
    /// Settle one by hand: it was done in the target system, is given up, or a person does it
    Resolve(ResolveArgs),
}

/// `accede deliveries list`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["request", "stuck"]).required(true)))]
pub struct ListArgs {
    /// The roles of this request
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Access that should be gone and is not, the oldest first
    #[arg(long)]
    stuck: bool,
    /// Only of this target, by its name
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Only in this state
    #[arg(long, value_name = "STATE", value_parser =
        ["delivered", "delivering", "removed", "removing", "failed", "stuck"])]
    state: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// One delivery.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// Its id
    id: String,
    #[command(flatten)]
    connection: Connection,
}

/// How a delivery is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Resolution {
    /// Somebody did it in the target system, which is read at once and has the last word
    #[value(name = "doneOutside")]
    DoneOutside,
    /// The grant is not tried any longer
    #[value(name = "giveUp")]
    GiveUp,
    /// A person gets a task for it; name them with --assignee
    #[value(name = "handToPerson")]
    HandToPerson,
}

impl Resolution {
    const fn name(self) -> &'static str {
        match self {
            Resolution::DoneOutside => "doneOutside",
            Resolution::GiveUp => "giveUp",
            Resolution::HandToPerson => "handToPerson",
        }
    }
}

/// `accede deliveries resolve`
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// Its id
    id: String,
    /// How
    #[arg(long = "as", value_name = "RESOLUTION")]
    resolution: Resolution,
    /// Why; it stands on the timeline and in the audit log, and is shown with a task
    #[arg(long, value_name = "TEXT")]
    justification: String,
    /// With handToPerson: who does it, a sign-in name, or the object id of a user or a group
    #[arg(long, value_name = "WHO", required_if_eq("resolution", "handToPerson"))]
    assignee: Option<String>,
    /// With handToPerson: until when, such as 2026-03-09T00:00:00Z; in three days without
    #[arg(long, value_name = "INSTANT")]
    due: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Deliveries {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Deliveries::List(args) => args.run().await,
            Deliveries::Show(args) => show(args).await,
            Deliveries::Retry(args) => retry(args).await,
            Deliveries::Resolve(args) => args.run().await,
        }
    }
}

fn path(id: &str, tail: &str) -> String {
    format!("/accede/v1/deliveries/{}{tail}", segment(id))
}

/// The name of a thing, or its id where it has none any more.
fn name(value: &Value, of: &str) -> String {
    let name = at(value, &format!("/{of}/displayName"));
    if name.is_empty() { at(value, &format!("/{of}/originId")) } else { name }
}

/// Why nothing happens to it by itself at present, in words.
fn waits(delivery: &Value) -> String {
    match at(delivery, "/awaits/kind").as_str() {
        "" => at(delivery, "/hold/message"),
        "person" => "a person has a task for it".to_owned(),
        _ => match when(delivery, "/awaits/untilDateTime").as_str() {
            "" => "the target system, which accepted it".to_owned(),
            until => format!("the target system, which accepted it, until {until}"),
        },
    }
}

/// What is known of the truth in the target, in words.
fn there(delivery: &Value) -> &'static str {
    match delivery.get("observed").and_then(Value::as_str) {
        Some("present") => "there",
        Some("absent") => "not there",
        Some("never") => "nothing of ours so far",
        _ => "not known",
    }
}

impl ListArgs {
    fn keeps(&self, target: &Option<String>, delivery: &Value) -> bool {
        let is = |wanted: &Option<String>, pointer| {
            wanted.as_ref().is_none_or(|wanted| {
                delivery.pointer(pointer).and_then(Value::as_str) == Some(wanted.as_str())
            })
        };
        is(target, "/target/name") && is(&self.state, "/state")
    }

    async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let target = match &self.target {
            Some(target) => Some(client.target_name(target).await?),
            None => None,
        };
        let path = match &self.request {
            Some(id) => format!("/accede/v1/requests/{}/deliveries", segment(id)),
            None => "/accede/v1/revocations/stuck".to_owned(),
        };
        let mut found = client.list(&path, &[], usize::MAX).await?;
        found.retain(|delivery| self.keeps(&target, delivery));
        if self.connection.output == Output::Json {
            return say_json(&Value::Array(found));
        }
        let rows = found
            .iter()
            .map(|delivery| {
                let mut row = vec![
                    at(delivery, "/id"),
                    at(delivery, "/target/name"),
                    name(delivery, "resource"),
                    name(delivery, "role"),
                ];
                if self.stuck {
                    row.push(at(delivery, "/userPrincipalName"));
                    row.push(when(delivery, "/sinceDateTime"));
                }
                row.extend([
                    at(delivery, "/state"),
                    at(delivery, "/attempts"),
                    when(delivery, "/nextAttemptDateTime"),
                    at(delivery, "/cause/message"),
                ]);
                row
            })
            .collect();
        let mut header = vec!["DELIVERY", "TARGET", "RESOURCE", "ROLE"];
        if self.stuck {
            header.extend(["PERSON", "SINCE"]);
        }
        header.extend(["STATE", "ATTEMPTS", "NEXT ATTEMPT", "WHAT IS WRONG"]);
        let is_all = self.stuck && self.target.is_none() && self.state.is_none();
        say(&table(&header, rows, if is_all { "Nothing is stuck." } else { "No such delivery." }))
    }
}

async fn show(args: OneArgs) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let delivery = client.get(&path(&args.id, ""), &[]).await?;
    let attempts = items(&client.get(&path(&args.id, "/attempts"), &[]).await?);
    let tasks = items(&client.get(&path(&args.id, "/tasks"), &[]).await?);
    if args.connection.output == Output::Json {
        let mut all = delivery;
        if let Some(all) = all.as_object_mut() {
            all.insert("calls".to_owned(), Value::Array(attempts));
            all.insert("tasks".to_owned(), Value::Array(tasks));
        }
        return say_json(&all);
    }
    let wanted = delivery.get("wanted").and_then(Value::as_bool) == Some(true);
    say(&facts(&[
        ("Delivery", at(&delivery, "/id")),
        ("Target", at(&delivery, "/target/name")),
        ("Resource", name(&delivery, "resource")),
        ("Role", name(&delivery, "role")),
        ("Wanted", if wanted { "that it is given" } else { "that it is gone" }.to_owned()),
        ("State", at(&delivery, "/state")),
        ("In the target", there(&delivery).to_owned()),
        ("What is wrong", at(&delivery, "/cause/message")),
        ("Waits for", waits(&delivery)),
        ("Attempts", at(&delivery, "/attempts")),
        ("Last attempt", when(&delivery, "/lastAttemptDateTime")),
        ("Next attempt", when(&delivery, "/nextAttemptDateTime")),
        ("Evidence", at(&delivery, "/evidence/kind")),
        ("Evidence of", when(&delivery, "/evidence/dateTime")),
    ]))?;
    let rows = attempts
        .iter()
        .map(|attempt| {
            vec![
                when(attempt, "/startedDateTime"),
                at(attempt, "/action"),
                at(attempt, "/outcome"),
                at(attempt, "/code"),
                at(attempt, "/durationInMilliseconds"),
                at(attempt, "/message"),
            ]
        })
        .collect();
    let header = ["WHEN", "CALL", "OUTCOME", "CODE", "MILLISECONDS", "WHAT THE TARGET SAID"];
    say(&format!("\n{}", table(&header, rows, "No call was made for it.")))?;
    if tasks.is_empty() {
        return Ok(());
    }
    let rows = tasks
        .iter()
        .map(|task| {
            vec![
                at(task, "/id"),
                at(task, "/action"),
                at(task, "/state"),
                at(task, "/assignee/displayName"),
                when(task, "/dueDateTime"),
                at(task, "/note"),
            ]
        })
        .collect();
    let header = ["TASK", "DO", "STATE", "ASSIGNED TO", "DUE", "NOTE"];
    say(&format!("\n{}", table(&header, rows, "")))
}

async fn retry(args: OneArgs) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let answer = client.post(&path(&args.id, "/retry"), None).await?;
    if args.connection.output == Output::Json {
        return say_json(&answer);
    }
    say(match answer.get("retried").and_then(Value::as_bool) {
        Some(true) => "It is tried now.",
        _ => "There is nothing to try: it does not wait for a next try.",
    })
}

impl ResolveArgs {
    async fn run(self) -> Result<(), Failure> {
        let hands_over = self.resolution == Resolution::HandToPerson;
        if !hands_over && (self.assignee.is_some() || self.due.is_some()) {
            let sentence = "--assignee and --due go with --as handToPerson only";
            return Err(Failure::new(sentence).with(Code::Usage));
        }
        let client = self.connection.client()?;
        let mut body = Map::new();
        body.insert("resolution".to_owned(), json!(self.resolution.name()));
        body.insert("justification".to_owned(), json!(self.justification));
        if let Some(assignee) = &self.assignee {
            body.insert("assignee".to_owned(), json!(assignee));
        }
        if let Some(due) = &self.due {
            body.insert("dueDateTime".to_owned(), json!(due));
        }
        let answer = client.post(&path(&self.id, "/resolve"), Some(&Value::Object(body))).await?;
        if self.connection.output == Output::Json {
            return say_json(&answer);
        }
        if answer.get("changed").and_then(Value::as_bool) != Some(true) {
            return say("Nothing changed: it was settled already.");
        }
        say(&match self.resolution {
            Resolution::DoneOutside => match at(&answer, "/evidence/kind").as_str() {
                "verified" => "It is settled: the target system was read and is as wanted.",
                _ => "It is settled on your word: the target system cannot be read.",
            }
            .to_owned(),
            Resolution::GiveUp => {
                "The grant is given up; reprocessing its request tries it again.".to_owned()
            }
            Resolution::HandToPerson => format!(
                "{} has the task {} for it, due {}.",
                at(&answer, "/task/assignee/displayName"),
                at(&answer, "/task/id"),
                when(&answer, "/task/dueDateTime"),
            ),
        })
    }
}
