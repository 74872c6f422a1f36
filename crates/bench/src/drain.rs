//! Draining reprocessed requests to a SCIM target that answers in 5 ms.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use accede_app::Caller;
use accede_app::reprocess::Selection;
use accede_connectors::egress::Policy;
use accede_connectors::{Settings as TargetSettings, kinds};
use accede_domain::filter::Filter;
use accede_store::Engine;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};

use crate::baseline::per_second;
use crate::large::seed;
use crate::world::{World, open};
use crate::{Figure, Result, Size};

/// How long the target takes for a call.
const ANSWER: Duration = Duration::from_millis(5);
/// How long it takes where growth with servers is measured: their processors are one machine's.
const SLOW_ANSWER: Duration = Duration::from_millis(50);
/// How long nothing may arrive before the drain counts as stuck.
const PATIENCE: Duration = Duration::from_secs(20);
/// Calls at once.
const CALLS: usize = 8;

/// Measures single-member and batched draining.
pub async fn measure(size: Size) -> Result<Vec<Figure>> {
    let count = size.of(10_000);
    let limit = CALLS as f64 / ANSWER.as_secs_f64();
    let bare = bare(size.of(2_000)).await?;
    let mut figures = Vec::new();
    for batch in [1_usize, 100] {
        let rate = drain(size.engine, count, batch, ANSWER, 1).await?;
        figures.push(Figure {
            what: format!("drain {count} to SCIM at 5 ms, {CALLS} calls at once, {batch} a call"),
            figure: format!("{rate:.0} members/s"),
            baseline: format!(
                "limit {limit:.0} calls/s; bare HTTP loop {bare:.0} calls/s; ratio to the limit \
                 {:.2}",
                rate / limit
            ),
            budget: if batch == 1 { "≥ 90 % of 1,600/s" } else { "≥ 10 × that" },
        });
    }
    if size.engine == Engine::Postgres {
        figures.push(growth(size.of(3_000)).await?);
    }
    Ok(figures)
}

/// Who was added to the one group, and how long the target takes for that.
struct Target {
    members: Mutex<HashSet<String>>,
    answer: Duration,
}

impl Target {
    fn members(&self) -> MutexGuard<'_, HashSet<String>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(answer: Duration) -> Result<(String, Arc<Target>)> {
    let target = Arc::new(Target { members: Mutex::default(), answer });
    let router = Router::new()
        .route("/scim/ServiceProviderConfig", get(config))
        .route("/scim/Users", get(find))
        .route("/scim/Users/{id}", get(user))
        .route("/scim/Groups", get(groups))
        .route("/scim/Groups/{id}", get(group).patch(patch))
        .with_state(Arc::clone(&target));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/scim", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, target))
}

async fn config() -> impl IntoResponse {
    scim(json!({
        "patch": { "supported": true }, "filter": { "supported": true, "maxResults": 200 },
        "bulk": { "supported": false }, "etag": { "supported": false },
    }))
}

/// Every account exists: its id is the external id that was asked for.
async fn find(uri: Uri) -> impl IntoResponse {
    let query = uri.query().unwrap_or_default().replace("%22", "\"");
    // What stands between quotes: one filter may ask for many.
    let found: Vec<Value> = query.split('"').skip(1).step_by(2).map(account).collect();
    scim(json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": found.len(), "startIndex": 1, "itemsPerPage": found.len(),
        "Resources": found,
    }))
}

async fn user(Path(id): Path<String>) -> impl IntoResponse {
    scim(account(&id))
}

fn account(id: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": id, "externalId": id, "userName": id,
    })
}

/// Asked which group with this id has this member: it, where somebody with that id was added.
async fn groups(State(target): State<Arc<Target>>, uri: Uri) -> impl IntoResponse {
    let query = uri.query().unwrap_or_default().replace("%22", "\"");
    let mut asked = query.split('"').skip(1).step_by(2);
    let (group, member) = (asked.next().unwrap_or_default(), asked.next().unwrap_or_default());
    let is_in = target.members().contains(member);
    let found: Vec<Value> = is_in.then(|| whole_group(group, &[])).into_iter().collect();
    scim(json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": found.len(), "startIndex": 1, "itemsPerPage": found.len(),
        "Resources": found,
    }))
}

async fn group(State(target): State<Arc<Target>>, Path(id): Path<String>) -> impl IntoResponse {
    let members: Vec<Value> = target.members().iter().map(|id| json!({ "value": id })).collect();
    scim(whole_group(&id, &members))
}

fn whole_group(id: &str, members: &[Value]) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "id": id, "displayName": "Group", "members": members,
    })
}

async fn patch(
    State(target): State<Arc<Target>>,
    axum::Json(body): axum::Json<Value>,
) -> StatusCode {
    tokio::time::sleep(target.answer).await;
    let operations = body.get("Operations").or_else(|| body.get("operations"));
    let added = operations
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|operation| operation.get("value").and_then(Value::as_array))
        .flatten()
        .filter_map(|member| member.get("value").and_then(Value::as_str));
    target.members().extend(added.map(str::to_owned));
    StatusCode::NO_CONTENT
}

fn scim(body: Value) -> impl IntoResponse {
    ([("content-type", "application/scim+json")], body.to_string())
}

/// Members a second of a drain by so many servers, each with its own lane of [`CALLS`].
async fn drain(
    engine: Engine,
    count: usize,
    batch: usize,
    answer: Duration,
    servers: usize,
) -> Result<f64> {
    let world = World::new(engine, count, 1, false).await?;
    seed(&world, count, count).await?;
    let (address, target) = serve(answer).await?;
    let mut apps = vec![world.app.clone()];
    for _ in 1..servers {
        apps.push(open(world.folder.path(), world.cluster.as_ref()).await?.0);
    }
    for app in &apps {
        let settings = TargetSettings {
            target: world.target,
            settings: json!({
                "baseUrl": address, "batchMembers": batch, "checkBeforeAdd": false,
            }),
            secrets: [("bearerToken".to_owned(), "bench".to_owned())].into_iter().collect(),
            clock: accede_connectors::Clock::default(),
        };
        let egress = Policy::parse(&["127.0.0.0/8"], &[])?;
        let connector = kinds::open("scim", settings, Arc::new(egress))?;
        app.hands().inject(world.target, connector);
    }
    let caller = Caller::system();
    let filter = Some(Filter::parse("state eq 'deliveryFailed'")?);
    let selection = Selection { filter, ..Selection::default() };
    let plan = world.app.plan_reprocess(&caller, &selection).await?;
    world.app.run_plan(&caller, plan.plan.id, &plan.plan.digest).await?;
    let started = Instant::now();
    let workers: Vec<_> = apps
        .into_iter()
        .map(|app| {
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let worker = tokio::spawn(app.run_worker(async move {
                let _ = stopped.await;
            }));
            (stop, worker)
        })
        .collect();
    let mut moved = (0, Instant::now());
    loop {
        let members = target.members().len();
        if count <= members {
            break;
        }
        if members != moved.0 {
            moved = (members, Instant::now());
        } else if PATIENCE < moved.1.elapsed() {
            let failures = world.app.list_failures(&caller).await?;
            let causes: Vec<String> =
                failures.into_iter().map(|failure| failure.cause.example).collect();
            return Err(
                format!("{members} of {count} members came, then no more: {causes:?}").into()
            );
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rate = per_second(count, started);
    for (stop, worker) in workers {
        let _ = stop.send(());
        worker.await?;
    }
    Ok(rate)
}

/// What more servers on one database add, at a target so slow that its calls are what is waited for.
async fn growth(count: usize) -> Result<Figure> {
    let mut rates = Vec::new();
    for servers in 1..=3 {
        rates.push(drain(Engine::Postgres, count, 1, SLOW_ANSWER, servers).await?);
    }
    let limit = CALLS as f64 / SLOW_ANSWER.as_secs_f64();
    let first = rates.first().copied().unwrap_or_default();
    let shown: Vec<String> =
        rates.iter().map(|rate| format!("{rate:.0} ({:.2})", rate / first)).collect();
    Ok(Figure {
        what: format!("drain {count} to SCIM at 50 ms by 1, 2 and 3 servers, {CALLS} calls each"),
        figure: format!("{} members/s", shown.join(", ")),
        baseline: format!("limit {limit:.0} calls/s a server"),
        budget: "grows while the target allows",
    })
}

/// As many bare calls a second as eight loops get from the same target.
async fn bare(count: usize) -> Result<f64> {
    let (address, _) = serve(ANSWER).await?;
    let client = reqwest::Client::builder().build()?;
    let started = Instant::now();
    let loops = (0..CALLS).map(|_| {
        let (client, address) = (client.clone(), address.clone());
        async move {
            for _ in 0..count / CALLS {
                let call = client.patch(format!("{address}/Groups/x")).json(&json!({
                    "Operations": [{ "op": "add", "path": "members", "value": [{ "value": "x" }] }],
                }));
                call.send().await?;
            }
            Ok::<_, reqwest::Error>(())
        }
    });
    for outcome in futures_util::future::join_all(loops).await {
        outcome?;
    }
    Ok(per_second(count / CALLS * CALLS, started))
}
