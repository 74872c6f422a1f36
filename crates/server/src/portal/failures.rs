//! Failures by cause: what is not delivered and why, ranked; from a cause to its plan in one click.
//! And removals that are stuck.

use accede_app::App;
use accede_app::deliveries::StuckRevocation;
use accede_app::failures::Failure;
use accede_domain::Timestamp;
use accede_domain::id::CauseId;
use accede_domain::permission::Action;
use accede_domain::trend::{self, Direction, Trend};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::form::{Asked, Posted, id};
use super::part::{Badge, Frame, Place, When, grouped, how_long, plural};
use super::problem::{Result, sentence};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// The routes of this page.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/failures", get(show))
        .route("/governance/failures/{id}/retry", post(retry))
}

/// A cause.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    target: String,
    text: String,
    example: String,
    code: String,
    meaning: &'static str,
    roles: String,
    people: String,
    packages: String,
    first: When,
    last: When,
    /// Of a thousand: how much of the largest cause rests, and how much is still tried.
    resting: i64,
    retrying: i64,
    standing: String,
    requests: i64,
    has_waiting: bool,
    is_new: bool,
    chart: Option<Chart>,
}

/// What a cause held up in the last hours, as bars.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chart {
    bars: Vec<Bar>,
    /// The same in words, for those who do not see it.
    spoken: String,
    /// What stands below.
    words: &'static str,
}

/// One hour, in a picture of 480 by 40.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bar {
    x: i64,
    y: i64,
    height: i64,
}

impl Chart {
    /// Of the hours that were looked at; nothing before there are two.
    fn of(trend: &Trend, deliveries: i64, now: Timestamp) -> Option<Chart> {
        if trend.hours.len() < 2 {
            return None;
        }
        let most = trend.hours.iter().map(|hour| hour.deliveries).max().unwrap_or(0);
        let begin = trend::begin(now);
        let bars = trend.hours.iter().map(|hour| {
            let height = hour.deliveries.saturating_mul(40) / most.max(1);
            // What is there can be seen, however little it is.
            let height = if 0 < hour.deliveries { height.max(1) } else { 0 };
            Bar { x: hour.at.duration_since(begin).as_hours() * 10, y: 40 - height, height }
        });
        let words = match trend.direction {
            Direction::Rising => "more than a day ago",
            Direction::Falling => "less than a day ago",
            Direction::Steady => "as many as a day ago",
        };
        Some(Chart {
            bars: bars.collect(),
            spoken: format!(
                "In the last 48 hours at most {}, now {}: {words}",
                plural(most, "role"),
                grouped(deliveries)
            ),
            words,
        })
    }
}

impl Row {
    fn of(failure: &Failure, largest: i64, now: Timestamp) -> Row {
        let cause = &failure.cause;
        let waiting = cause.deliveries - cause.failed;
        let share = |n: i64| n * 1000 / largest.max(1);
        let packages: Vec<&str> =
            failure.packages.iter().take(3).map(|package| package.display_name.as_str()).collect();
        let more = failure.packages.len().saturating_sub(packages.len());
        let mut packages = packages.join(", ");
        if 0 < more {
            packages.push_str(&format!(" and {more} more"));
        }
        Row {
            id: cause.id.to_string(),
            target: cause.target_display_name.clone(),
            text: sentence(&cause.text),
            example: cause.example.clone(),
            code: cause.code.clone(),
            meaning: words::fault_class(cause.class),
            roles: plural(cause.deliveries, "role"),
            people: plural(cause.people, "person"),
            packages,
            first: When::minute(cause.first_seen),
            last: When::minute(cause.last_seen),
            resting: share(cause.failed),
            retrying: share(waiting),
            standing: match (cause.failed, waiting) {
                (_, 0) => "Given up until somebody reprocesses".to_owned(),
                (0, _) => "Tried again by itself".to_owned(),
                (failed, waiting) => format!("{failed} given up, {waiting} tried again by itself"),
            },
            requests: cause.requests,
            has_waiting: 0 < waiting,
            is_new: failure.trend.is_new,
            chart: Chart::of(&failure.trend, cause.deliveries, now),
        }
    }
}

/// A removal that is stuck.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stuck {
    person: String,
    role: String,
    target: String,
    why: String,
    since: String,
    state: Badge,
    settle: String,
}

impl Stuck {
    fn of(stuck: &StuckRevocation, now: Timestamp) -> Stuck {
        let row = &stuck.named.row;
        let role = stuck.named.role_name.as_deref().unwrap_or(&row.key.role);
        let resource = stuck.named.resource_name.as_deref().unwrap_or(&row.key.resource);
        Stuck {
            person: stuck.person.as_ref().map_or("Unknown", |p| &p.display_name).to_owned(),
            role: format!("{role} of {resource}"),
            target: stuck.named.target_display_name.clone(),
            why: row
                .fault
                .as_ref()
                .map_or_else(|| "Not tried yet.".to_owned(), |f| sentence(&f.message)),
            since: how_long(now.duration_since(row.delivery.since)),
            state: words::delivery_state(&row.delivery),
            settle: super::resolutions::address(&row.id.to_string(), ""),
        }
    }
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "failures.html")]
pub struct FailuresPage {
    frame: Frame,
    rows: Vec<Row>,
    stuck: Vec<Stuck>,
    may_reprocess: bool,
    may_retry: bool,
}

async fn show(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let caller = &session.caller;
    let failures = app.list_failures(caller).await?;
    let now = app.now();
    let stuck = app.stuck_revocations(caller).await?;
    let largest = failures.iter().map(|failure| failure.cause.deliveries).max().unwrap_or(0);
    page(&FailuresPage {
        frame: frame(Some(&session), "Failures", Place::Failures)
            .notice(words::done(fields.get("done"))),
        rows: failures.iter().map(|failure| Row::of(failure, largest, now)).collect(),
        stuck: stuck.iter().map(|stuck| Stuck::of(stuck, now)).collect(),
        may_reprocess: !caller.reach(Action::Reprocess).is_empty(),
        may_retry: !caller.reach(Action::Reprocess).is_empty(),
    })
}

async fn retry(
    State(app): State<App>,
    Path(cause): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    let cause: CauseId = id("failure", &cause)?;
    let tried = app.retry_cause(&session.caller, cause).await?;
    let done = if tried == 0 { "waiting" } else { "tried" };
    Ok(see(format!("/governance/failures?done={done}")))
}

#[cfg(test)]
impl FailuresPage {
    /// Two causes and a stuck removal; nothing at all.
    pub fn samples() -> Vec<FailuresPage> {
        use super::part::Tone;
        use super::samples::{NASTY, at, frame};
        let hours = |list: [i64; 3]| {
            let hour = |(n, deliveries): (i64, i64)| trend::Hour { at: at(60 * n), deliveries };
            let hours = (0..).zip(list).map(hour).collect();
            let now = at(60 * 47 + 30);
            Chart::of(&trend::trend(at(0), hours, 7, now), 7, now)
        };
        let row = |id: &str, target: &str, resting, retrying| Row {
            id: id.to_owned(),
            target: target.to_owned(),
            text: "No licence is left.".to_owned(),
            example: NASTY.to_owned(),
            code: "licence-exhausted".to_owned(),
            meaning: words::fault_class(accede_domain::fault::Class::Permanent),
            roles: "104 roles".to_owned(),
            people: "60 people".to_owned(),
            packages: "Campaign, CRM power user".to_owned(),
            first: When::minute(at(0)),
            last: When::minute(at(600)),
            resting,
            retrying,
            standing: "Given up until somebody reprocesses".to_owned(),
            requests: resting,
            has_waiting: 0 < retrying,
            is_new: retrying == 0,
            chart: hours([3, 0, 9]),
        };
        let stuck = Stuck {
            person: NASTY.to_owned(),
            role: "Member of Newsroom".to_owned(),
            target: "Team wiki".to_owned(),
            why: "The server answered 403.".to_owned(),
            since: "3 hours".to_owned(),
            state: Badge::new(Tone::Bad, "warn", "Removal stuck"),
            settle: super::resolutions::address("1", ""),
        };
        let page = |rows, stuck| FailuresPage {
            frame: frame("Failures", Place::Failures),
            rows,
            stuck,
            may_reprocess: true,
            may_retry: true,
        };
        vec![
            page(
                vec![row("a", "Customer CRM", 1000, 0), row("b", "HR portal", 200, 100)],
                vec![stuck],
            ),
            page(vec![], vec![]),
        ]
    }
}
