//! A crash with 100,000 open deliveries: how long until the first delivery after the restart.

use std::time::{Duration, Instant};

use accede_app::Caller;
use accede_app::reprocess::Selection;
use accede_domain::filter::Filter;

use crate::large::seed;
use crate::world::{Noop, World, open};
use crate::{Figure, Result, Size};

/// Measures the restart.
pub async fn measure(size: Size) -> Result<Vec<Figure>> {
    let count = size.of(100_000);
    let world = World::new(size.engine, size.of(10_000), 10, false).await?;
    seed(&world, count, count).await?;
    let caller = Caller::system();
    let filter = Some(Filter::parse("state eq 'deliveryFailed'")?);
    let selection = Selection { filter, ..Selection::default() };
    let plan = world.app.plan_reprocess(&caller, &selection).await?;
    world.app.run_plan(&caller, plan.plan.id, &plan.plan.digest).await?;
    while 0 < world.app.work_jobs().await? {}
    let (target, folder, cluster) = (world.target, world.folder, world.cluster);
    drop((world.app, world.store));
    let started = Instant::now();
    let (app, store) = open(folder.path(), cluster.as_ref()).await?;
    let opened = started.elapsed();
    let noop = Noop::new(100);
    app.hands().inject(target, noop.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(app.run_worker(async move {
        let _ = stopped.await;
    }));
    while noop.first.get().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let first = noop.first.get().map(|at| at.duration_since(started)).unwrap_or_default();
    let _ = stop.send(());
    worker.await?;
    drop(store);
    Ok(vec![Figure {
        what: format!("restart with {count} open deliveries → first call"),
        figure: format!("{first:.2?}"),
        baseline: format!("opening the database: {opened:.2?}"),
        budget: "≤ 2 s",
    }])
}
