//! Submit, approve, deliver to a target that costs nothing, on SQLite with `synchronous=FULL`.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use accede_app::requests::{ForWhom, NewRequest};
use accede_domain::approval::Decision;
use accede_domain::request::Type;
use accede_domain::schedule::Schedule;
use futures_util::StreamExt;
use futures_util::stream;

use crate::baseline::{pairs_a_second, per_second};
use crate::world::{Noop, Somebody, World};
use crate::{Figure, Result, Size};

/// Callers at once.
const CALLERS: usize = 64;

/// Measures the whole way of a request.
pub async fn measure(size: Size) -> Result<Vec<Figure>> {
    let count = size.of(20_000);
    let world = World::new(size.engine, count + 1, 1, true).await?;
    let noop = Noop::new(100);
    world.app.hands().inject(world.target, noop.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(world.app.clone().run_worker(async move {
        let _ = stopped.await;
    }));
    let approver = world.people.first().copied().ok_or("no people")?;
    let started = Instant::now();
    let requests = world.people.iter().skip(1).copied();
    let failures: usize = stream::iter(requests)
        .map(|person| one(&world, approver, person))
        .buffer_unordered(CALLERS)
        .map(|outcome| usize::from(outcome.is_err()))
        .fold(0, |sum, failed| async move { sum + failed })
        .await;
    while noop.done.load(Ordering::Relaxed) < (count - failures) as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ours = per_second(count - failures, started);
    let _ = stop.send(());
    worker.await?;
    let one_by_one = pairs_a_second(world.folder.path(), size.of(5_000), 1)?;
    let grouped = pairs_a_second(world.folder.path(), count, CALLERS)?;
    Ok(vec![Figure {
        what: format!("submit + approve + deliver, {count} requests, {CALLERS} callers"),
        figure: format!("{ours:.0} requests/s ({failures} failed)"),
        baseline: format!(
            "bare SQLite, request + delivery row: {one_by_one:.0}/s one a commit, {grouped:.0}/s \
             {CALLERS} a commit; ratio to the latter {:.2}",
            ours / grouped
        ),
        budget: "≥ 2,000 requests/s",
    }])
}

async fn one(world: &World, approver: Somebody, person: Somebody) -> Result<()> {
    let caller = world.caller(person);
    let new = NewRequest {
        request_type: Type::UserAdd,
        target: ForWhom::Caller,
        package: world.packages.first().copied(),
        policy: None,
        assignment: None,
        schedule: Schedule::default(),
        justification: None,
        answers: Vec::new(),
    };
    let request = world.app.submit_request(&caller, new).await?;
    let approver = world.caller(approver);
    let approval = world.app.get_approval(&approver, request.id).await?;
    let stage = approval.stages.first().ok_or("no stage")?.row.id;
    world.app.decide(&approver, request.id, stage, Decision::Approve, None).await?;
    Ok(())
}
