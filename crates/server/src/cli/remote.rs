//! The commands that speak to a server: requests, failures, targets.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Client, Connection, EM, Output, items};
use super::table::{Progress, at, cell, facts, plain, table, when};
use super::{Code, Failure};

/// How often a running job is looked at.
const GLANCE: Duration = Duration::from_millis(400);
/// Requests on one page of the server.
const PAGE: usize = 100;
/// Most resources that are asked of a target at once.
const MAX_FOUND: &str = "100";

/// `accede requests`
#[derive(Debug, Subcommand)]
pub enum Requests {
    /// List requests, newest first
    List(ListArgs),
    /// Show one request: each role, what stands in its way, its timeline
    Show(OneArgs),
    /// Cancel requests
    Cancel(ManyArgs),
    /// Try again what could not be delivered: shows the plan, asks, runs it, shows progress
    Reprocess(ReprocessArgs),
}

/// Which requests.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Of this access package: its id or its name
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,
    /// In this state, such as deliveryFailed or partiallyDelivered
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// More conditions, in Graph's words: "createdDateTime ge 2026-01-01T00:00:00Z"
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
}

/// `accede requests list`
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    which: Which,
    /// Most requests to list
    #[arg(long, value_name = "NUMBER", default_value_t = PAGE, value_parser = at_least_one)]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

/// One object.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// Its id
    id: String,
    #[command(flatten)]
    connection: Connection,
}

/// Some objects.
#[derive(Debug, Args)]
pub struct ManyArgs {
    /// Their ids
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// `accede requests reprocess`
#[derive(Debug, Args)]
pub struct ReprocessArgs {
    /// These requests; without ids, the options say which
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// Those that fail for this cause, an id of `accede failures`
    #[arg(long, value_name = "CAUSE")]
    cause: Option<String>,
    /// Those that lack something in this target, by its name
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Everything that is deliveryFailed or partiallyDelivered
    #[arg(long, conflicts_with_all = ["ids", "state", "filter"])]
    all: bool,
    /// Show the plan and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Do not wait until it is over
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    connection: Connection,
}

/// `accede failures`
#[derive(Debug, Args)]
pub struct FailuresArgs {
    #[command(flatten)]
    connection: Connection,
}

/// `accede targets`
#[derive(Debug, Subcommand)]
pub enum Targets {
    /// List target systems
    List(FailuresArgs),
    /// Show one target system
    Show(TargetArgs),
    /// Connect a target system
    Create(CreateArgs),
    /// Call a target system and say whether it can be reached
    Check(TargetArgs),
    /// Look for resources in a target system
    Discover(DiscoverArgs),
    /// Stop calling a target system
    Pause(TargetArgs),
    /// Call a target system again
    Resume(TargetArgs),
}

/// One target.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Its name or id
    target: String,
    #[command(flatten)]
    connection: Connection,
}

/// `accede targets create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Its name: small letters, digits and -
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Which connector: scim, ldap, …
    #[arg(long, value_name = "KIND")]
    kind: String,
    /// Its name for people
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A setting of its connector, again and again: `baseUrl=https://hr.example/scim`; a list as
    /// JSON: 'resources=["keys: Keys"]'
    #[arg(long, value_name = "NAME=VALUE")]
    setting: Vec<String>,
    /// A secret of its connector, again and again: bearerToken=@FILE reads it from a file
    #[arg(long, value_name = "NAME=VALUE")]
    secret: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// `accede targets discover`
#[derive(Debug, Args)]
pub struct DiscoverArgs {
    /// Its name or id
    target: String,
    /// What the name or id of a resource contains
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// A number of things to list.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it is a whole number from 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

pub(super) fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    match writeln!(out, "{text}") {
        // Whoever read us has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

pub(super) fn say_json(value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    say(&text.map_err(|error| Failure::new(error.to_string()))?)
}

/// A text inside a filter.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl Which {
    /// The conditions as a filter, if there are any.
    async fn filter(&self, client: &Client) -> Result<Option<String>, Failure> {
        let mut conditions = Vec::new();
        if let Some(package) = &self.package {
            let id = package_id(client, package).await?;
            conditions.push(format!("accessPackage/id eq {}", quoted(&id)));
        }
        if let Some(state) = &self.state {
            conditions.push(format!("state eq {}", quoted(state)));
        }
        if let Some(filter) = &self.filter {
            conditions.push(format!("({filter})"));
        }
        Ok(Some(conditions.join(" and ")).filter(|filter| !filter.is_empty()))
    }
}

/// The id of a package that is named by id or by name.
async fn package_id(client: &Client, package: &str) -> Result<String, Failure> {
    if uuid::Uuid::try_parse(package).is_ok() {
        return Ok(package.to_owned());
    }
    let filter = format!("displayName eq {}", quoted(package));
    let query = [("$filter", filter.as_str()), ("$select", "id,displayName")];
    let found = items(&client.get(&format!("{EM}/accessPackages"), &query).await?);
    match found.as_slice() {
        [one] => Ok(at(one, "/id")),
        [] => {
            let sentence = format!("there is no access package `{package}` that you may see");
            Err(Failure::new(sentence).with(Code::NotFound))
        }
        several => {
            let ids: Vec<String> = several.iter().map(|package| at(package, "/id")).collect();
            let sentence = format!(
                "several access packages are called `{package}`; name one by id: {}",
                ids.join(", ")
            );
            Err(Failure::new(sentence).with(Code::Usage))
        }
    }
}

impl Requests {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Requests::List(args) => args.run().await,
            Requests::Show(args) => show_request(args).await,
            Requests::Cancel(args) => cancel(args).await,
            Requests::Reprocess(args) => args.run().await,
        }
    }
}

impl ListArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let filter = self.which.filter(&client).await?;
        let top = self.limit.clamp(1, PAGE).to_string();
        let mut query = vec![
            ("$expand", "accessPackage,requestor,assignment($expand=target)"),
            ("$top", top.as_str()),
        ];
        if let Some(filter) = &filter {
            query.push(("$filter", filter));
        }
        let path = format!("{EM}/assignmentRequests");
        let found = client.list(&path, &query, self.limit).await?;
        if self.connection.output == Output::Json {
            return say_json(&Value::Array(found));
        }
        let rows = found
            .iter()
            .map(|request| {
                vec![
                    at(request, "/id"),
                    at(request, "/state"),
                    at(request, "/requestType"),
                    person(request),
                    at(request, "/accessPackage/displayName"),
                    when(request, "/createdDateTime"),
                    when(request, "/completedDateTime"),
                ]
            })
            .collect();
        let header = ["ID", "STATE", "TYPE", "PERSON", "ACCESS PACKAGE", "CREATED", "COMPLETED"];
        say(&table(&header, rows, "No requests."))
    }
}

/// For whom a request is.
fn person(request: &Value) -> String {
    let target = at(request, "/assignment/target/displayName");
    if target.is_empty() { at(request, "/requestor/displayName") } else { target }
}

async fn show_request(args: OneArgs) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let id = segment(&args.id);
    let query = [("$expand", "accessPackage,requestor,assignment($expand=target)")];
    let request = client.get(&format!("{EM}/assignmentRequests/{id}"), &query).await?;
    let deliveries = client.get(&format!("/accede/v1/requests/{id}/deliveries"), &[]).await;
    let history = client.get(&format!("/accede/v1/requests/{id}/history"), &[]).await;
    // A requestor sees the request, if not how it is delivered.
    let deliveries = optional(deliveries)?;
    let history = optional(history)?;
    if args.connection.output == Output::Json {
        let mut all = request;
        if let Some(all) = all.as_object_mut() {
            all.insert("deliveries".to_owned(), json!(deliveries.as_ref().map(items)));
            all.insert("history".to_owned(), json!(history.as_ref().map(items)));
        }
        return say_json(&all);
    }
    say(&facts(&[
        ("Request", at(&request, "/id")),
        ("State", at(&request, "/state")),
        ("Status", at(&request, "/status")),
        ("Type", at(&request, "/requestType")),
        ("Person", person(&request)),
        ("Requested by", at(&request, "/requestor/displayName")),
        ("Access package", at(&request, "/accessPackage/displayName")),
        ("Justification", at(&request, "/justification")),
        ("Created", when(&request, "/createdDateTime")),
        ("Completed", when(&request, "/completedDateTime")),
    ]))?;
    if let Some(deliveries) = deliveries {
        let rows = items(&deliveries)
            .iter()
            .map(|delivery| {
                vec![
                    at(delivery, "/target/name"),
                    at(delivery, "/resource/displayName"),
                    at(delivery, "/role/displayName"),
                    at(delivery, "/state"),
                    at(delivery, "/attempts"),
                    when(delivery, "/nextAttemptDateTime"),
                    at(delivery, "/cause/message"),
                ]
            })
            .collect();
        let header =
            ["TARGET", "RESOURCE", "ROLE", "STATE", "ATTEMPTS", "NEXT ATTEMPT", "WHAT IS WRONG"];
        say(&format!("\n{}", table(&header, rows, "No roles are delivered for it.")))?;
    }
    if let Some(history) = history {
        let rows = items(&history)
            .iter()
            .map(|line| {
                vec![
                    when(line, "/dateTime"),
                    at(line, "/kind"),
                    at(line, "/actor"),
                    at(line, "/detail"),
                ]
            })
            .collect();
        say(&format!("\n{}", table(&["WHEN", "WHAT", "WHO", "DETAIL"], rows, "No history.")))?;
    }
    Ok(())
}

fn optional(outcome: Result<Value, Failure>) -> Result<Option<Value>, Failure> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(failure) if matches!(failure.code, Code::NotAllowed | Code::NotFound) => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn cancel(args: ManyArgs) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let mut outcomes = Vec::new();
    let mut worst: Option<Failure> = None;
    for id in &args.ids {
        let path = format!("{EM}/assignmentRequests/{}/cancel", segment(id));
        match client.post(&path, None).await {
            Ok(_) => outcomes.push((id.clone(), "canceled".to_owned(), true)),
            Err(failure) => {
                outcomes.push((id.clone(), failure.sentence.clone(), false));
                worst = Some(failure);
            }
        }
    }
    if args.connection.output == Output::Json {
        let all: Vec<Value> = outcomes
            .iter()
            .map(|(id, text, done)| json!({ "id": id, "isCanceled": done, "detail": text }))
            .collect();
        say_json(&Value::Array(all))?;
    } else {
        let rows = outcomes.iter().map(|(id, text, _)| vec![plain(id), text.clone()]).collect();
        say(&table(&["ID", "OUTCOME"], rows, ""))?;
    }
    match worst {
        None => Ok(()),
        Some(failure) => {
            let failed = outcomes.iter().filter(|(_, _, done)| !done).count();
            let sentence = format!("{failed} of {} could not be canceled", outcomes.len());
            Err(Failure::new(sentence).with(failure.code))
        }
    }
}

impl ReprocessArgs {
    async fn selection(&self, client: &Client) -> Result<Value, Failure> {
        let mut selection = Map::new();
        if !self.ids.is_empty() {
            selection.insert("ids".to_owned(), json!(self.ids));
        }
        if let Some(filter) = self.which.filter(client).await? {
            selection.insert("filter".to_owned(), json!(filter));
        } else if self.all {
            let filter = "state eq 'deliveryFailed' or state eq 'partiallyDelivered'";
            selection.insert("filter".to_owned(), json!(filter));
        }
        if self.all
            && let Some(Value::String(filter)) = selection.get_mut("filter")
            && !filter.contains("state eq")
        {
            filter.push_str(" and (state eq 'deliveryFailed' or state eq 'partiallyDelivered')");
        }
        if let Some(cause) = &self.cause {
            selection.insert("causeId".to_owned(), json!(cause));
        }
        if let Some(target) = &self.target {
            selection.insert("target".to_owned(), json!(target));
        }
        if selection.is_empty() {
            let sentence = "which requests? Name ids, or use --package, --state, --filter, \
                            --cause, --target or --all";
            return Err(Failure::new(sentence).with(Code::Usage));
        }
        Ok(Value::Object(selection))
    }

    async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let selection = self.selection(&client).await?;
        let plan = client.post("/accede/v1/reprocessPlans", Some(&selection)).await?;
        let as_json = self.connection.output == Output::Json;
        let second = second_person(&plan, &client.page(&plan_page(&plan))?);
        if self.dry_run {
            if as_json {
                return say_json(&plan);
            }
            say(&summary(&plan))?;
            return second.map_or(Ok(()), |sentence| say(&format!("\n{sentence}.")));
        }
        if !as_json {
            say(&summary(&plan))?;
        }
        let eligible = plan.get("eligible").and_then(Value::as_i64).unwrap_or(0);
        if eligible == 0 {
            let sentence = match plan.get("total").and_then(Value::as_i64) {
                Some(0) => "no request matches; nothing was done",
                _ => "none of these requests can be reprocessed; see the reasons above",
            };
            if as_json {
                say_json(&plan)?;
            }
            return Err(Failure::new(sentence).with(Code::Refused));
        }
        if let Some(sentence) = second {
            if as_json {
                say_json(&plan)?;
            }
            return Err(Failure::new(sentence).with(Code::Refused));
        }
        if !self.yes && !agreed(eligible)? {
            return Err(Failure::new("nothing was done").with(Code::Refused));
        }
        let path = format!("/accede/v1/reprocessPlans/{}/run", at(&plan, "/id"));
        let digest = json!({ "digest": plan.get("digest") });
        let mut job = client.post(&path, Some(&digest)).await?;
        if self.no_wait {
            return if as_json {
                say_json(&job)
            } else {
                say(&format!("Job {} runs; see it in the portal.", at(&job, "/id")))
            };
        }
        let path = format!("/accede/v1/reprocessJobs/{}", at(&job, "/id"));
        let mut progress = Progress::default();
        loop {
            let (done, total, words) = standing(&job);
            progress.show(done, total, &words);
            if job.get("isOver").and_then(Value::as_bool) == Some(true) {
                break;
            }
            tokio::time::sleep(GLANCE).await;
            job = client.get(&path, &[]).await?;
        }
        progress.end();
        if as_json {
            say_json(&job)?;
        } else {
            say(&outcome(&job))?;
            let refused = number(&job, "/refused");
            if refused > 0 {
                say(&refusals(&client, &path).await?)?;
            }
        }
        let lacking = number(&job, "/requests/deliveryFailed")
            + number(&job, "/requests/partiallyDelivered")
            + number(&job, "/refused");
        if lacking == 0 {
            return Ok(());
        }
        let sentence =
            format!("{lacking} of {} requests are not delivered", number(&job, "/total"));
        Err(Failure::new(sentence).with(Code::Incomplete))
    }
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// Where a plan is in the portal.
fn plan_page(plan: &Value) -> String {
    format!("/governance/plans/{}", at(plan, "/id"))
}

/// What to do with a plan that its maker may not run, if it is one.
fn second_person(plan: &Value, page: &str) -> Option<String> {
    (plan.get("needsSecondPerson").and_then(Value::as_bool) == Some(true)).then(|| {
        format!(
            "so many requests are tried again by another person than who made the plan; let them run \
             it at {page}"
        )
    })
}

/// A plan for people.
fn summary(plan: &Value) -> String {
    let mut text = format!(
        "{} of {} requests will be tried again, in about {} s.",
        at(plan, "/eligible"),
        at(plan, "/total"),
        at(plan, "/estimatedDurationInSeconds")
    );
    let list = |pointer: &str| plan.pointer(pointer).and_then(Value::as_array).cloned();
    let targets = list("/targets").unwrap_or_default();
    if !targets.is_empty() {
        let rows = targets
            .iter()
            .map(|target| {
                vec![at(target, "/target"), at(target, "/displayName"), at(target, "/deliveries")]
            })
            .collect();
        text.push('\n');
        text.push_str(&table(&["TARGET", "NAME", "ROLES TO DELIVER"], rows, ""));
    }
    for reason in list("/skippedByReason").unwrap_or_default() {
        let (count, why) = (at(&reason, "/requests"), at(&reason, "/example"));
        let _ = write!(text, "\nNot tried again: {count}, such as: {why}");
    }
    text
}

/// Asks a person; a script must say --yes.
fn agreed(eligible: i64) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let sentence = "nothing was done; say --yes to run the plan, or --dry-run to see it only";
        return Err(Failure::new(sentence).with(Code::Usage));
    }
    eprint!("Try {eligible} requests again? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// How far a job is: requests that are over, all of them, and words.
fn standing(job: &Value) -> (u64, u64, String) {
    let total = number(job, "/total");
    let over = number(job, "/refused")
        + number(job, "/canceled")
        + number(job, "/requests/delivered")
        + number(job, "/requests/partiallyDelivered")
        + number(job, "/requests/deliveryFailed")
        + number(job, "/requests/other");
    let words = format!(
        "delivered {}, failed {}, partly {}, under way {}",
        number(job, "/requests/delivered"),
        number(job, "/requests/deliveryFailed"),
        number(job, "/requests/partiallyDelivered"),
        number(job, "/requests/delivering") + number(job, "/pending"),
    );
    (over, total, words)
}

fn outcome(job: &Value) -> String {
    facts(&[
        ("Job", at(job, "/id")),
        ("Requests", at(job, "/total")),
        ("Delivered", at(job, "/requests/delivered")),
        ("Partially delivered", at(job, "/requests/partiallyDelivered")),
        ("Delivery failed", at(job, "/requests/deliveryFailed")),
        ("Refused", at(job, "/refused")),
        ("Canceled", at(job, "/canceled")),
        ("Ended otherwise", at(job, "/requests/other")),
    ])
}

/// The first refused requests of a job, each with its reason.
async fn refusals(client: &Client, path: &str) -> Result<String, Failure> {
    let page = client.get(&format!("{path}/items"), &[("$top", "999")]).await?;
    let rows = items(&page)
        .iter()
        .filter(|item| at(item, "/state") == "refused")
        .map(|item| vec![at(item, "/requestId"), at(item, "/displayName"), at(item, "/reason")])
        .collect();
    Ok(table(&["REFUSED", "PERSON", "REASON"], rows, ""))
}

/// Whether a cause is new, and where it goes.
fn trend(cause: &Value) -> String {
    match cause.pointer("/isNew").and_then(Value::as_bool) {
        Some(true) => "new".to_owned(),
        _ => at(cause, "/trend/direction"),
    }
}

impl FailuresArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let page = client.get("/accede/v1/failures", &[]).await?;
        if self.connection.output == Output::Json {
            return say_json(&Value::Array(items(&page)));
        }
        let rows = items(&page)
            .iter()
            .map(|cause| {
                vec![
                    at(cause, "/id"),
                    at(cause, "/target/name"),
                    at(cause, "/people"),
                    at(cause, "/failed"),
                    at(cause, "/retrying"),
                    at(cause, "/reprocessableRequests"),
                    at(cause, "/class"),
                    at(cause, "/code"),
                    when(cause, "/lastSeenDateTime"),
                    trend(cause),
                    at(cause, "/text"),
                ]
            })
            .collect();
        let header = [
            "CAUSE",
            "TARGET",
            "PEOPLE",
            "FAILED",
            "RETRYING",
            "REQUESTS",
            "CLASS",
            "CODE",
            "LAST SEEN",
            "TREND",
            "WHAT THE TARGET SAYS",
        ];
        say(&table(&header, rows, "Everything is delivered."))
    }
}

impl Targets {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Targets::List(args) => list_targets(args.connection).await,
            Targets::Show(args) => {
                let client = args.connection.client()?;
                let target = client.get(&target_path(&args.target, ""), &[]).await?;
                show_target(&target, args.connection.output)
            }
            Targets::Create(args) => args.run().await,
            Targets::Check(args) => check(args).await,
            Targets::Discover(args) => args.run().await,
            Targets::Pause(args) => switch(args, "pause").await,
            Targets::Resume(args) => switch(args, "resume").await,
        }
    }
}

pub(super) fn target_path(target: &str, tail: &str) -> String {
    format!("/accede/v1/targets/{}{tail}", segment(target))
}

async fn list_targets(connection: Connection) -> Result<(), Failure> {
    let client = connection.client()?;
    let page = client.get("/accede/v1/targets", &[]).await?;
    if connection.output == Output::Json {
        return say_json(&Value::Array(items(&page)));
    }
    let rows = items(&page)
        .iter()
        .map(|target| {
            vec![
                at(target, "/name"),
                at(target, "/displayName"),
                at(target, "/kind"),
                health(target),
                at(target, "/health/state"),
                at(target, "/isPaused"),
                at(target, "/backlog/due"),
                at(target, "/backlog/failed"),
                at(target, "/backlog/stuck"),
            ]
        })
        .collect();
    let header =
        ["NAME", "DISPLAY NAME", "KIND", "CHECKED", "HEALTH", "PAUSED", "DUE", "FAILED", "STUCK"];
    say(&table(&header, rows, "No target systems that you may see."))
}

fn health(target: &Value) -> String {
    match target.pointer("/check/ok").and_then(Value::as_bool) {
        Some(true) => "ok".to_owned(),
        Some(false) => "not ok".to_owned(),
        None => "never".to_owned(),
    }
}

/// How long what waits takes, at the pace of the last minutes.
fn drain(target: &Value) -> String {
    match target.pointer("/drain/estimatedSeconds").and_then(Value::as_i64) {
        Some(seconds @ ..120) => format!("about {seconds} s"),
        Some(seconds) => format!("about {} min", seconds / 60),
        None => String::new(),
    }
}

fn show_target(target: &Value, output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        return say_json(target);
    }
    let secrets = target.pointer("/secrets").and_then(Value::as_object);
    let secrets = secrets.map(|secrets| secrets.keys().map(|name| plain(name)).collect::<Vec<_>>());
    let mut lines = vec![
        ("Name", at(target, "/name")),
        ("Id", at(target, "/id")),
        ("Display name", at(target, "/displayName")),
        ("Description", at(target, "/description")),
        ("Kind", at(target, "/kind")),
        ("Paused", at(target, "/isPaused")),
        ("Health", at(target, "/health/state")),
        ("Trouble", at(target, "/health/message")),
        ("Next check", when(target, "/health/nextCheckDateTime")),
        ("Checked", when(target, "/check/checkedDateTime")),
        ("Answer", at(target, "/check/message")),
        ("Due", at(target, "/backlog/due")),
        ("In flight", at(target, "/backlog/inFlight")),
        ("Done in", drain(target)),
        ("Failed", at(target, "/backlog/failed")),
        ("Stuck", at(target, "/backlog/stuck")),
        ("Secrets set", secrets.unwrap_or_default().join(", ")),
    ];
    let settings = target.pointer("/settings").and_then(Value::as_object).cloned();
    let settings = settings.unwrap_or_default();
    let words: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("{}={}", plain(name), cell(Some(value))))
        .collect();
    lines.push(("Settings", words.join("  ")));
    say(&facts(&lines))
}

async fn check(args: TargetArgs) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let found = client.post(&target_path(&args.target, "/check"), None).await?;
    if args.connection.output == Output::Json {
        say_json(&found)?;
    } else {
        say(&at(&found, "/message"))?;
    }
    if found.get("ok").and_then(Value::as_bool) == Some(true) {
        return Ok(());
    }
    let sentence = format!("the target system `{}` cannot be used", plain(&args.target));
    Err(Failure::new(sentence).with(Code::Unreachable))
}

async fn switch(args: TargetArgs, verb: &str) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let target = client.post(&target_path(&args.target, &format!("/{verb}")), None).await?;
    if args.connection.output == Output::Json {
        return say_json(&target);
    }
    let now = if at(&target, "/isPaused") == "yes" { "paused" } else { "called again" };
    say(&format!("{} is {now}.", at(&target, "/name")))
}

impl DiscoverArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let mut query = vec![("$top", MAX_FOUND)];
        if let Some(search) = &self.search {
            query.push(("search", search));
        }
        let page = client.get(&target_path(&self.target, "/discover"), &query).await?;
        if self.connection.output == Output::Json {
            return say_json(&Value::Array(items(&page)));
        }
        let rows = items(&page)
            .iter()
            .map(|found| {
                let roles = found.get("roles").and_then(Value::as_array);
                let roles: Vec<String> = roles
                    .map(|roles| roles.iter().map(|role| at(role, "/displayName")).collect())
                    .unwrap_or_default();
                vec![
                    at(found, "/originId"),
                    at(found, "/displayName"),
                    roles.join(", "),
                    at(found, "/description"),
                ]
            })
            .collect();
        let header = ["ORIGIN ID", "NAME", "ROLES", "DESCRIPTION"];
        say(&table(&header, rows, "Nothing was found."))
    }
}

impl CreateArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let mut settings = Map::new();
        for pair in &self.setting {
            let (name, text) = pair_of("--setting", pair)?;
            // `true`, `8` and `["a"]` are what they look like; everything else is text.
            let value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
            settings.insert(name.to_owned(), value);
        }
        let mut secrets = Map::new();
        for pair in &self.secret {
            let (name, text) = pair_of("--secret", pair)?;
            let text = match text.strip_prefix('@') {
                Some(file) => std::fs::read_to_string(file)
                    .map_err(|error| {
                        let sentence = format!("--secret {name}: `{file}` cannot be read: {error}");
                        Failure::new(sentence).with(Code::Usage)
                    })?
                    .trim_end_matches(['\r', '\n'])
                    .to_owned(),
                None => text.to_owned(),
            };
            secrets.insert(name.to_owned(), json!(text));
        }
        let body = json!({
            "name": self.name,
            "kind": self.kind,
            "displayName": self.display_name.as_deref().unwrap_or(&self.name),
            "description": self.description,
            "settings": settings,
            "secrets": secrets,
        });
        let target = client.post("/accede/v1/targets", Some(&body)).await?;
        show_target(&target, self.connection.output)
    }
}

fn pair_of<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Failure::new(format!("{flag} takes NAME=VALUE")).with(Code::Usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_for_a_second_person_says_where_it_is_run() {
        let plan = json!({ "id": "7", "needsSecondPerson": true });
        assert_eq!(plan_page(&plan), "/governance/plans/7");
        let told = second_person(&plan, "https://accede.example/governance/plans/7");
        let end = "run it at https://accede.example/governance/plans/7";
        assert!(told.as_ref().is_some_and(|told| told.ends_with(end)), "{told:?}");
        let alone = json!({ "id": "7", "needsSecondPerson": false });
        assert_eq!(second_person(&alone, "x"), None);
    }
}
