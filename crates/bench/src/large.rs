//! A million requests of which a hundred thousand failed: plan, run, list.

use std::time::{Duration, Instant};

use accede_app::reprocess::Selection;
use accede_app::requests::{Narrowing, Whose};
use accede_app::{Caller, Listing};
use accede_domain::assignment::State as AssignmentState;
use accede_domain::delivery::{Delivery, Phase};
use accede_domain::fault::Class;
use accede_domain::filter::{Filter, parse_order};
use accede_domain::id::CauseId;
use accede_domain::permission::Reach;
use accede_domain::policy::Terms;
use accede_domain::request::{Denial, State, Type};
use accede_domain::schedule::Schedule;
use accede_store::assignments::{self, Assignment};
use accede_store::causes::{self, NewCause};
use accede_store::deliveries::{self, DeliveryRow, Key, LastFault};
use accede_store::packages;
use accede_store::requests::{self, Request};

use crate::baseline::per_second;
use crate::world::{Noop, World, id, now};
use crate::{Figure, Result, Size};

/// Rows in one transaction while the world is made.
const CHUNK: usize = 10_000;

/// Makes the world and measures.
pub async fn measure(size: Size) -> Result<Vec<Figure>> {
    let total = size.of(1_000_000);
    let failed = total / 10;
    let world = World::new(size.engine, size.of(10_000), 10, false).await?;
    world.app.hands().inject(world.target, Noop::new(100));
    seed(&world, total, failed).await?;
    let mut figures = list(&world, total).await?;
    figures.push(causes(&world, failed).await?);
    figures.extend(plan_and_run(&world, total, failed).await?);
    Ok(figures)
}

/// Fills the tables: `failed` requests rest as failed, the others were denied long ago.
pub async fn seed(world: &World, total: usize, failed: usize) -> Result<()> {
    let start = now();
    let cause: CauseId = id();
    world
        .store
        .write(async |tx| {
            let new = NewCause {
                id: cause,
                target: world.target,
                class: Class::Permanent,
                code: "http-403",
                fingerprint: "forbidden",
                example: "forbidden",
                at: start,
            };
            causes::seen(tx, new).await.map(drop)
        })
        .await?;
    for first in (0..total).step_by(CHUNK) {
        world
            .store
            .write(async |tx| {
                for n in first..(first + CHUNK).min(total) {
                    one(tx, world, n, n < failed, cause, start).await?;
                }
                Ok::<_, accede_store::Error>(())
            })
            .await?;
    }
    Ok(())
}

async fn one(
    tx: &mut accede_store::Tx<'_>,
    world: &World,
    n: usize,
    fails: bool,
    cause: CauseId,
    start: accede_domain::Timestamp,
) -> accede_store::Result<()> {
    let people = world.people.len();
    let (Some(person), Some(package), Some(policy)) = (
        world.people.get(n % people),
        world.packages.get(n / people % world.packages.len()),
        world.policies.get(n / people % world.packages.len()),
    ) else {
        return Ok(());
    };
    let age = Duration::from_secs(u64::try_from(n % 1_000_000).unwrap_or(0));
    let at = start - age;
    let mut request = Request {
        id: id(),
        request_type: Type::UserAdd,
        subject: person.subject,
        requestor: person.subject,
        package: *package,
        policy: Some(*policy),
        assignment: None,
        state: State::Denied { at, why: Denial::Decided },
        begins: Some(at),
        end: None,
        schedule: Schedule::default(),
        terms: Terms::default(),
        justification: None,
        answers: "[]".to_owned(),
        block: None,
        created_at: at,
        version: 1,
    };
    if !fails {
        return requests::insert(tx, &request).await;
    }
    let assignment = Assignment {
        id: id(),
        subject: person.subject,
        package: *package,
        policy: Some(*policy),
        state: AssignmentState::DeliveryFailed,
        start: at,
        end: None,
        roles_version: 0,
        created_at: at,
        version: 1,
    };
    assignments::insert(tx, &assignment).await?;
    request.assignment = Some(assignment.id);
    request.state = State::DeliveryFailed { first_completed: start, completed: start };
    requests::insert(tx, &request).await?;
    for role in packages::role_scopes(tx, *package).await? {
        let row = DeliveryRow {
            id: id(),
            key: Key {
                target: role.target_id,
                subject: person.subject,
                resource: role.resource_origin_id,
                role: role.role_origin_id,
                scope: role.scope_origin_id,
            },
            role: role.role_id,
            delivery: Delivery {
                wanted: true,
                generation: 1,
                phase: Phase::Failed { at: start },
                ..Delivery::new(false, start)
            },
            fault: Some(LastFault {
                cause,
                class: Class::Permanent,
                code: "http-403".to_owned(),
                message: "forbidden".to_owned(),
            }),
            attempted_at: Some(start),
        };
        let row = deliveries::lock_or_insert(tx, &row).await?;
        assignments::add_reason(tx, row.id, assignment.id).await?;
    }
    Ok(())
}

async fn list(world: &World, total: usize) -> Result<Vec<Figure>> {
    let caller = Caller::system();
    let package = world.packages.get(5).copied().ok_or("too few packages")?;
    let filter = Filter::parse(&format!(
        "accessPackage/id eq '{package}' and state eq 'denied' and requestType eq 'userAdd'"
    ))?;
    let order = parse_order("createdDateTime desc")?;
    let (mut times, mut after, mut count) = (Vec::new(), None, 0_usize);
    for _ in 0..400 {
        let listing = Listing {
            filter: Some(filter.clone()),
            order: order.clone(),
            top: Some(50),
            after: after.clone(),
            ..Listing::default()
        };
        let started = Instant::now();
        let whose = Whose::Reach(Reach::Everywhere);
        let page = world.app.list_requests(&caller, whose, &Narrowing::default(), &listing).await?;
        times.push(started.elapsed());
        count += page.items.len();
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    // The baseline: reading as many single rows by id, which no list can beat.
    let started = Instant::now();
    let ids: Vec<_> = (0..50).map(|_| id()).collect();
    for request in &ids {
        world.store.read(async |tx| requests::get(tx, *request).await.map(drop)).await?;
    }
    let single = started.elapsed();
    Ok(vec![Figure {
        what: format!("page of 50 of {total} requests, filtered and ordered, {count} rows deep"),
        figure: format!("median {median:.2?}, p99 {p99:.2?}"),
        baseline: format!("50 look-ups by id: {single:.2?}"),
        budget: "p99 ≤ 10 ms",
    }])
}

/// How long it takes to say why nothing arrives.
async fn causes(world: &World, failed: usize) -> Result<Figure> {
    let started = Instant::now();
    let found = world.app.list_failures(&Caller::system()).await?;
    let took = started.elapsed();
    let scan = Instant::now();
    let listing = Listing {
        filter: Some(Filter::parse("state eq 'deliveryFailed'")?),
        count: true,
        top: Some(1),
        ..Listing::default()
    };
    let whose = Whose::Reach(Reach::Everywhere);
    world.app.list_requests(&Caller::system(), whose, &Narrowing::default(), &listing).await?;
    Ok(Figure {
        what: format!("causes of {failed} failed requests ({} cause)", found.len()),
        figure: format!("{took:.2?}"),
        baseline: format!("counting those requests: {:.2?}", scan.elapsed()),
        budget: "≤ 5 s",
    })
}

async fn plan_and_run(world: &World, total: usize, failed: usize) -> Result<Vec<Figure>> {
    let caller = Caller::system();
    let filter = Filter::parse("state eq 'deliveryFailed'")?;
    let selection = Selection { filter: Some(filter), ..Selection::default() };
    let started = Instant::now();
    let plan = world.app.plan_reprocess(&caller, &selection).await?;
    let planning = started.elapsed();
    let scan = Instant::now();
    let listing = Listing { count: true, top: Some(1), ..Listing::default() };
    let whose = Whose::Reach(Reach::Everywhere);
    world.app.list_requests(&caller, whose, &Narrowing::default(), &listing).await?;
    let scan = scan.elapsed();
    let started = Instant::now();
    world.app.run_plan(&caller, plan.plan.id, &plan.plan.digest).await?;
    let accepted = started.elapsed();
    let turns = Instant::now();
    let mut done = 0;
    loop {
        match world.app.work_jobs().await? {
            0 => break,
            more => done += more,
        }
    }
    let rate = per_second(done, turns);
    Ok(vec![
        Figure {
            what: format!("reprocess plan over {failed} failed of {total} requests"),
            figure: format!("{planning:.2?} ({} eligible)", plan.plan.eligible),
            baseline: format!("counting the {total} requests once: {scan:.2?}"),
            budget: "≤ 2 s",
        },
        Figure {
            what: format!("running that plan: {done} requests get their turn"),
            figure: format!(
                "accepted in {accepted:.2?}; {rate:.0} requests/s reopened, rules checked anew"
            ),
            baseline: "one transaction a request, 64 at once".to_owned(),
            budget: "≥ 50,000 deliveries/s enqueued",
        },
    ])
}
