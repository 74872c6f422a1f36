//! `/metrics`: what a Prometheus server scrapes. No names of people, no ids.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use accede_app::App;
use accede_app::health::Health;
use axum::Extension;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// How long the database may take to measure the queue.
const PATIENCE: Duration = Duration::from_secs(5);
/// Upper bounds of the buckets of answer times, in seconds.
const BUCKETS: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    target: String,
    phase: String,
    wish: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoticeLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DriftLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    when: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    outcome: String,
}

/// What is counted while requests are answered.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    requests: Family<RequestLabels, Counter>,
    seconds: Histogram,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Metrics {
        Metrics(Arc::new(Inner { requests: Family::default(), seconds: Histogram::new(BUCKETS) }))
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

/// Counts a request by its route; a layer around routes.
pub async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS") => known,
        _ => "other",
    };
    let method = method.to_owned();
    let start = tokio::time::Instant::now();
    let response = next.run(request).await;
    metrics.0.seconds.observe(start.elapsed().as_secs_f64());
    let labels = RequestLabels { method, route, status: response.status().as_u16() };
    metrics.0.requests.get_or_create(&labels).inc();
    response
}

/// What a scraper is told. Without the database it is told less, and that it is without: whoever
/// watches must not lose sight just then.
pub async fn scrape(State(app): State<App>, Extension(metrics): Extension<Metrics>) -> Response {
    let health = match tokio::time::timeout(PATIENCE, app.health()).await {
        Ok(Ok(health)) => Some(health),
        Ok(Err(error)) => {
            tracing::warn!(error = %crate::chain(&error), "the queue could not be measured");
            None
        }
        Err(_) => {
            tracing::warn!("the queue could not be measured: the database does not answer");
            None
        }
    };
    match text(&app, &metrics, health) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            (StatusCode::SERVICE_UNAVAILABLE, "the metrics could not be written\n").into_response()
        }
    }
}

fn text(app: &App, metrics: &Metrics, health: Option<Health>) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("accede");
    registry.register("requests", "Answered requests", metrics.0.requests.clone());
    registry.register_with_unit(
        "answer_time",
        "How long requests took to answer",
        Unit::Seconds,
        metrics.0.seconds.clone(),
    );
    let up: Gauge = Gauge::default();
    up.set(i64::from(health.is_some()));
    registry.register("database_up", "Whether the database answers", up);
    let paused: Gauge = Gauge::default();
    paused.set(i64::from(app.paused().is_some()));
    registry.register(
        "paused",
        "Whether the deployment is paused for its database is in doubt",
        paused,
    );
    let suspect: Gauge = Gauge::default();
    suspect.set(i64::from(app.clock_is_suspect()));
    registry.register("clock_suspect", "Whether the clock of this process is suspect", suspect);
    if let Some(health) = health {
        let (held, since) = health.held;
        let waiting: Gauge = Gauge::default();
        waiting.set(held);
        registry.register("held_changes", "Changes that wait for a second person", waiting);
        let oldest: Gauge = Gauge::default();
        oldest.set(since.map_or(0, |since| health.at.duration_since(since).as_secs()));
        registry.register_with_unit(
            "held_changes_age",
            "How long the first of them has waited",
            Unit::Seconds,
            oldest,
        );
        let notices: Family<NoticeLabels, Gauge> = Family::default();
        for (state, count) in &health.notices {
            notices.get_or_create(&NoticeLabels { state: state.name() }).set(*count);
        }
        registry.register("notices", "Notices by state; failed ones were given up", notices);
        let findings: Family<DriftLabels, Gauge> = Family::default();
        for (kind, count) in &health.drift {
            findings.get_or_create(&DriftLabels { kind: kind.name() }).set(*count);
        }
        registry.register("drift_findings", "Open findings of drift", findings);
        let tasks: Family<TaskLabels, Gauge> = Family::default();
        let due = health.tasks.open.saturating_sub(health.tasks.overdue);
        for (when, count) in [("due", due), ("overdue", health.tasks.overdue)] {
            tasks.get_or_create(&TaskLabels { when }).set(count);
        }
        registry.register("tasks", "Open tasks of people", tasks);
        queue(&mut registry, health);
    }
    let attempts: Family<AttemptLabels, Counter> = Family::default();
    for (outcome, count) in app.attempts() {
        attempts.get_or_create(&AttemptLabels { outcome }).inc_by(count);
    }
    registry.register("attempts", "Calls to targets by this process", attempts);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// What is not delivered.
fn queue(registry: &mut Registry, health: Health) {
    let deliveries: Family<DeliveryLabels, Gauge> = Family::default();
    let ages: Family<DeliveryLabels, Gauge<f64, AtomicU64>> = Family::default();
    for undone in health.undone {
        let labels = DeliveryLabels {
            target: undone.target,
            phase: undone.phase,
            wish: if undone.wanted { "grant" } else { "revoke" },
        };
        deliveries.get_or_create(&labels).set(undone.count);
        let age = health.at.duration_since(undone.since).as_secs_f64().max(0.0);
        ages.get_or_create(&labels).set(age);
    }
    registry.register("deliveries", "Deliveries that are not done", deliveries);
    registry.register_with_unit(
        "queue_age",
        "How long the oldest of them has not been done",
        Unit::Seconds,
        ages,
    );
}
