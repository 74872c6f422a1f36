//! Reprocess jobs: how far they have come, live, and what came of each request.

use std::convert::Infallible;
use std::time::Duration;

use accede_app::reprocess::{JobItem, JobView};
use accede_app::{App, Caller};
use accede_domain::id::JobId;
use accede_domain::permission::Action;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::json;

use super::form::{Address, Asked, Posted, id};
use super::part::{Badge, Frame, Place, Tone, When, grouped, plural};
use super::problem::{Result, sentence};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// Requests of a job on a page.
const ON_A_PAGE: usize = 100;
/// Jobs listed.
const MAX_JOBS: usize = 50;
/// How often a job's progress is looked at for its watchers.
const WATCH: Duration = Duration::from_millis(500);
/// Seconds until the page loads itself again where scripts do not run.
const RELOAD: u32 = 3;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/jobs", get(list))
        .route("/governance/jobs/{id}", get(show))
        .route("/governance/jobs/{id}/events", get(events))
        .route("/governance/jobs/{id}/stop", post(stop))
}

/// How far a job has come, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    state: Badge,
    total: i64,
    /// Requests that are over: delivered, failed again, refused, stopped.
    done: i64,
    said: String,
    delivered: String,
    delivering: String,
    waiting: String,
    again: String,
    refused: String,
    is_over: bool,
}

impl Standing {
    fn of(view: &JobView) -> Standing {
        let progress = &view.progress;
        let done = progress.total - progress.pending - progress.delivering;
        let failed = progress.partially_delivered + progress.delivery_failed;
        Standing {
            state: words::job_state(view.job.state.name(), view.is_over()),
            total: progress.total,
            done,
            said: format!("{} of {}", grouped(done), plural(progress.total, "request")),
            delivered: grouped(progress.delivered),
            delivering: grouped(progress.delivering),
            waiting: grouped(progress.pending),
            again: grouped(failed),
            refused: grouped(progress.refused + progress.canceled + progress.other),
            is_over: view.is_over(),
        }
    }
}

/// A request of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    position: i64,
    request: String,
    person: String,
    outcome: Badge,
    why: Option<String>,
    at: Option<When>,
}

impl Item {
    fn of(item: &JobItem) -> Item {
        let outcome = match (item.state.as_str(), item.request_state.as_deref()) {
            ("pending", _) => Badge::new(Tone::Idle, "wait", "Waiting"),
            ("refused", _) => Badge::new(Tone::Bad, "no", "Refused"),
            ("canceled", _) => Badge::new(Tone::Idle, "off", "Stopped"),
            (_, Some("canceling")) => Badge::new(Tone::Info, "go", "Canceling"),
            (_, Some(state)) => words::request_state_named(state),
            (_, None) => Badge::new(Tone::Idle, "off", "Deleted"),
        };
        Item {
            position: item.position,
            request: item.request.to_string(),
            person: item.beneficiary.clone().unwrap_or_else(|| "Unknown".to_owned()),
            outcome,
            why: item.refusal.as_ref().map(|(_, text)| sentence(text)),
            at: item.done_at.map(When::second),
        }
    }
}

/// The page of one job.
#[derive(Debug, Template)]
#[template(path = "job.html")]
pub struct JobPage {
    frame: Frame,
    id: String,
    plan: String,
    made: When,
    by: String,
    finished: Option<When>,
    standing: Standing,
    events: String,
    items: Vec<Item>,
    may_stop: bool,
    here: String,
    next: Option<String>,
}

/// The list of jobs.
#[derive(Debug, Template)]
#[template(path = "jobs.html")]
pub struct JobsPage {
    frame: Frame,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    made: When,
    by: String,
    standing: Standing,
}

impl Row {
    fn of(view: &JobView) -> Row {
        Row {
            id: view.job.id.to_string(),
            made: When::minute(view.job.created_at),
            by: view.job.created_by.clone(),
            standing: Standing::of(view),
        }
    }
}

async fn list(State(app): State<App>, session: Session) -> Result {
    let found = app.list_jobs(&session.caller, MAX_JOBS).await?;
    let frame = frame(Some(&session), "Reprocess jobs", Place::Jobs);
    page(&JobsPage { frame, rows: found.iter().map(Row::of).collect() })
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(job): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let job: JobId = id("reprocess job", &job)?;
    let after: i64 = fields.parsed("after").unwrap_or(0);
    let view = app.get_job(&session.caller, job).await?;
    let mut found = app.job_items(&session.caller, job, after, ON_A_PAGE + 1).await?;
    let more = ON_A_PAGE < found.len();
    found.truncate(ON_A_PAGE);
    let at = |path: &str, after: i64| {
        let after = if after == 0 { String::new() } else { after.to_string() };
        Address::new(format!("/governance/jobs/{job}{path}")).with("after", after).text()
    };
    let next = found.last().filter(|_| more).map(|last| at("", last.position));
    let mut frame = frame(Some(&session), "Reprocess job", Place::Jobs)
        .crumb("Reprocess jobs", "/governance/jobs")
        .notice(words::done(fields.get("done")));
    frame.refresh = Some(RELOAD).filter(|_| !view.is_over());
    let may = !session.caller.reach(Action::Reprocess).is_empty();
    page(&build(frame, &view, &found, (at("", after), at("/events", after), next), may))
}

fn build(
    frame: Frame,
    view: &JobView,
    items: &[JobItem],
    (here, events, next): (String, String, Option<String>),
    may: bool,
) -> JobPage {
    JobPage {
        frame,
        id: view.job.id.to_string(),
        plan: view.job.plan.to_string(),
        made: When::second(view.job.created_at),
        by: view.job.created_by.clone(),
        finished: view.job.finished_at.map(When::second),
        standing: Standing::of(view),
        events,
        items: items.iter().map(Item::of).collect(),
        may_stop: may && 0 < view.progress.pending,
        here,
        next,
    }
}

async fn stop(
    State(app): State<App>,
    Path(job): Path<String>,
    Posted { session, .. }: Posted,
) -> Result<Response> {
    let job: JobId = id("reprocess job", &job)?;
    app.cancel_job(&session.caller, job).await?;
    Ok(see(format!("/governance/jobs/{job}?done=stopped")))
}

/// What a watcher has seen so far.
struct Watch {
    app: App,
    caller: Caller,
    id: JobId,
    after: i64,
    last: Option<JobView>,
    is_over: bool,
}

/// A job's progress as server-sent events: `progress` whenever it changes, `done` at its end.
async fn events(
    State(app): State<App>,
    session: Session,
    Path(job): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let id: JobId = id("reprocess job", &job)?;
    app.get_job(&session.caller, id).await?;
    let after = fields.parsed("after").unwrap_or(0);
    let watch = Watch { app, caller: session.caller, id, after, last: None, is_over: false };
    Ok(Sse::new(stream::unfold(watch, next)).keep_alive(KeepAlive::default()).into_response())
}

async fn next(mut watch: Watch) -> Option<(std::result::Result<Event, Infallible>, Watch)> {
    if watch.is_over {
        return None;
    }
    loop {
        let view = watch.app.get_job(&watch.caller, watch.id).await.ok()?;
        let is_over = view.is_over();
        if is_over || watch.last.as_ref() != Some(&view) {
            let found = watch.app.job_items(&watch.caller, watch.id, watch.after, ON_A_PAGE).await;
            let event = Event::default()
                .event(if is_over { "done" } else { "progress" })
                .data(told(&view, &found.ok()?));
            watch.is_over = is_over;
            watch.last = Some(view);
            return Some((Ok(event), watch));
        }
        tokio::time::sleep(WATCH).await;
    }
}

/// What the script writes into the page.
fn told(view: &JobView, items: &[JobItem]) -> String {
    let standing = Standing::of(view);
    let items = items.iter().map(Item::of).map(|item| {
        json!({
            "position": item.position,
            "tone": item.outcome.tone.class(),
            "icon": item.outcome.icon,
            "text": item.outcome.text,
        })
    });
    json!({
        "total": standing.total,
        "done": standing.done,
        "texts": {
            "said": standing.said,
            "delivered": standing.delivered,
            "delivering": standing.delivering,
            "waiting": standing.waiting,
            "again": standing.again,
            "refused": standing.refused,
        },
        "items": items.collect::<Vec<_>>(),
    })
    .to_string()
}

#[cfg(test)]
mod samples {
    use accede_app::reprocess::{Job, JobState, Progress};
    use accede_domain::id::{PlanId, RequestId};
    use uuid::Uuid;

    use super::super::samples::{NASTY, at, frame};
    use super::*;

    fn view(state: JobState, progress: Progress) -> JobView {
        JobView {
            job: Job {
                id: JobId(Uuid::from_u128(7)),
                plan: PlanId(Uuid::from_u128(1)),
                state,
                created_by: "rita@contoso.example".to_owned(),
                creator: None,
                created_at: at(1),
                finished_at: (state != JobState::Running).then(|| at(3)),
            },
            progress,
        }
    }

    fn running() -> JobView {
        let progress = Progress {
            total: 3_000,
            pending: 1_180,
            accepted: 1_819,
            refused: 1,
            canceled: 0,
            delivering: 8,
            delivered: 1_806,
            partially_delivered: 3,
            delivery_failed: 2,
            other: 0,
        };
        view(JobState::Running, progress)
    }

    fn over() -> JobView {
        let progress = Progress {
            total: 15,
            pending: 0,
            accepted: 15,
            refused: 0,
            canceled: 0,
            delivering: 0,
            delivered: 14,
            partially_delivered: 1,
            delivery_failed: 0,
            other: 0,
        };
        view(JobState::Completed, progress)
    }

    fn items() -> Vec<JobItem> {
        let item = |position, state: &str, now: Option<&str>, why: Option<&str>| JobItem {
            position,
            request: RequestId(Uuid::from_u128(100 + u128::try_from(position).unwrap_or(0))),
            state: state.to_owned(),
            refusal: why.map(|why| ("EndPassed".to_owned(), why.to_owned())),
            done_at: (state != "pending").then(|| at(2)),
            request_state: now.map(str::to_owned),
            beneficiary: Some(if position == 2 { NASTY } else { "Uma Jensen" }.to_owned()),
        };
        vec![
            item(1, "accepted", Some("delivered"), None),
            item(2, "accepted", Some("delivering"), None),
            item(3, "refused", Some("deliveryFailed"), Some("its end, 2026-06-01, has passed")),
            item(4, "accepted", Some("partiallyDelivered"), None),
            item(5, "pending", Some("deliveryFailed"), None),
        ]
    }

    impl JobPage {
        /// Under way, and over.
        pub fn samples() -> Vec<JobPage> {
            let sample = |view: &JobView| {
                let mut frame =
                    frame("Reprocess job", Place::Jobs).crumb("Reprocess jobs", "/governance/jobs");
                frame.refresh = Some(RELOAD).filter(|_| !view.is_over());
                let here = "/governance/jobs/7".to_owned();
                let next = Some("/governance/jobs/7?after=5".to_owned());
                build(
                    frame,
                    view,
                    &items(),
                    (here, "/governance/jobs/7/events".to_owned(), next),
                    true,
                )
            };
            vec![sample(&running()), sample(&over())]
        }
    }

    impl JobsPage {
        /// Some, and none.
        pub fn samples() -> Vec<JobsPage> {
            let rows = vec![Row::of(&running()), Row::of(&over())];
            let sample = |rows| JobsPage { frame: frame("Reprocess jobs", Place::Jobs), rows };
            vec![sample(rows), sample(Vec::new())]
        }
    }

    #[test]
    #[expect(clippy::indexing_slicing, reason = "tests fail by panicking")]
    fn a_watcher_is_told_what_the_page_would_say() {
        let told: serde_json::Value =
            serde_json::from_str(&told(&running(), &items())).unwrap_or_default();
        assert_eq!(told["done"], 1_812);
        assert_eq!(told["texts"]["said"], "1,812 of 3,000 requests");
        assert_eq!(told["items"][2]["text"], "Refused");
        assert_eq!(told["items"][1]["text"], "Delivering");
    }
}
