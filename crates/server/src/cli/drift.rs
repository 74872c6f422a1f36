//! `accede drift`: where targets of a server hold something else than what is wanted there.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Failure;
use super::client::{Connection, Output};
use super::remote::{at_least_one, quoted, say, say_json, segment};
use super::table::{at, table, when};

/// Most findings in one answer.
const PAGE: usize = 200;

/// `accede drift`
#[derive(Debug, Subcommand)]
pub enum Drift {
    /// List findings, the newest first
    List(ListArgs),
    /// Give or take again what a finding is about, though it was left for a person
    Repair(RepairArgs),
    /// Accept a difference, with a reason
    Dismiss(DismissArgs),
}

/// `accede drift repair`
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The finding's id
    id: String,
    #[command(flatten)]
    connection: Connection,
}

/// `accede drift dismiss`
#[derive(Debug, Args)]
pub struct DismissArgs {
    /// The finding's id
    id: String,
    /// Why the difference is accepted
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

/// `accede drift list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only of this target system, by its name
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Only in this state
    #[arg(long, default_value = "open", value_parser = ["open", "repaired", "gone", "dismissed", "all"])]
    state: String,
    /// Only of this kind
    #[arg(long, value_parser = ["missing", "cameBack", "extra", "contested"])]
    kind: Option<String>,
    /// Most findings to list
    #[arg(long, value_name = "NUMBER", default_value_t = PAGE, value_parser = at_least_one)]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

impl Drift {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Drift::List(args) => args.run().await,
            Drift::Repair(args) => args.run().await,
            Drift::Dismiss(args) => args.run().await,
        }
    }
}

impl ListArgs {
    fn filter(&self, target: Option<&str>) -> String {
        let mut parts = Vec::new();
        if self.state != "all" {
            parts.push(format!("state eq {}", quoted(&self.state)));
        }
        parts.extend(self.kind.iter().map(|kind| format!("kind eq {}", quoted(kind))));
        parts.extend(target.iter().map(|name| format!("targetName eq {}", quoted(name))));
        parts.join(" and ")
    }

    async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let target = match &self.target {
            Some(target) => Some(client.target_name(target).await?),
            None => None,
        };
        let (filter, top) = (self.filter(target.as_deref()), self.limit.clamp(1, PAGE).to_string());
        let mut query = vec![("$top", top.as_str())];
        if !filter.is_empty() {
            query.push(("$filter", filter.as_str()));
        }
        let found = client.list("/accede/v1/drift", &query, self.limit).await?;
        if self.connection.output == Output::Json {
            return say_json(&Value::Array(found));
        }
        let rows = found
            .iter()
            .map(|finding| {
                vec![
                    at(finding, "/id"),
                    at(finding, "/kind"),
                    at(finding, "/state"),
                    at(finding, "/target/name"),
                    first(finding, &["/resource/displayName", "/resource/originId"]),
                    first(finding, &["/role/displayName", "/role/originId"]),
                    first(
                        finding,
                        &["/person/userPrincipalName", "/holder/displayName", "/holder/id"],
                    ),
                    when(finding, "/firstSeenDateTime"),
                    when(finding, "/lastSeenDateTime"),
                ]
            })
            .collect();
        let header =
            ["ID", "KIND", "STATE", "TARGET", "RESOURCE", "ROLE", "WHO", "FIRST SEEN", "LAST SEEN"];
        say(&table(&header, rows, "No such finding."))
    }
}

impl RepairArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let path = format!("/accede/v1/drift/{}/repair", segment(&self.id));
        let finding = client.post(&path, None).await?;
        if self.connection.output == Output::Json {
            return say_json(&finding);
        }
        let target = at(&finding, "/target/name");
        say(&format!("{target} is called for it; the finding closes by itself when that is done."))
    }
}

impl DismissArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let path = format!("/accede/v1/drift/{}/dismiss", segment(&self.id));
        let finding = client.post(&path, Some(&json!({ "reason": self.reason }))).await?;
        if self.connection.output == Output::Json {
            return say_json(&finding);
        }
        say("The difference is accepted. The finding closes by itself when the difference is gone.")
    }
}

/// The first of these that says something.
fn first(finding: &Value, pointers: &[&str]) -> String {
    let said = pointers.iter().map(|pointer| at(finding, pointer));
    said.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}
