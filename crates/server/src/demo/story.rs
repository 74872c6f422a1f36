//! The story on the terminal: outage, causes, plan, reprocess, delivered; and the target's own word
//! that it is so.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use accede_app::reprocess::{JobView, PlanView, Selection};
use accede_app::requests::{Narrowing, Whose};
use accede_app::{Caller, Listing, Result};
use accede_domain::filter::Filter;
use accede_domain::permission::Reach;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use tokio::sync::oneshot;

use super::{Demo, organization};

const STATES: [&str; 6] = [
    "delivered",
    "partiallyDelivered",
    "deliveryFailed",
    "pendingApproval",
    "denied",
    "delivering",
];
/// Width of the progress bar, in characters.
const BAR: usize = 40;

/// Plays the story. `true` if it ended as it should.
///
/// # Errors
///
/// Any verb's; none is expected.
pub async fn play(demo: &Demo) -> Result<bool> {
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = demo.app.clone().run_worker(async move {
        let _ = stopped.await;
    });
    let story = async {
        let outcome = tell(demo).await;
        let _ = stop.send(());
        outcome
    };
    tokio::join!(worker, story).1
}

async fn tell(demo: &Demo) -> Result<bool> {
    let rita = rita(demo).await?;
    println!("Harbourline Shipping, 09:00. The customer CRM was down all night.\n");
    let before = counts(demo).await?;
    print_counts("The requests", &before);
    print_failures(demo, &rita).await?;

    println!("Rita asks the CRM's administrators for more seats. They add them.\n");
    demo.mend().await?;
    let plan = plan(demo, &rita).await?;
    print_plan(&plan);

    println!("She runs the plan.\n");
    let (roles_before, _) = organization::truth();
    let job = demo.app.run_plan(&rita, plan.plan.id, &plan.plan.digest).await?;
    let again = demo.app.run_plan(&rita, plan.plan.id, &plan.plan.digest).await?;
    let same = job.job.id == again.job.id;
    let job = watch(demo, &rita, job).await?;

    let after = counts(demo).await?;
    print_counts("The requests now", &after);
    let (roles, most) = organization::truth();
    let arrived = roles.saturating_sub(roles_before);
    println!("The CRM itself says: {arrived} roles arrived, none of them more than {most} time.\n");
    let expected = usize::try_from(plan.plan.eligible).unwrap_or(usize::MAX);
    let delivered = job.progress.delivered == plan.plan.eligible;
    let left = of(&after, "deliveryFailed") + of(&after, "partiallyDelivered");
    let skipped = usize::try_from(plan.plan.skipped).unwrap_or(0);
    let good = same && delivered && arrived == expected && most == 1 && left == skipped;
    if good {
        println!(
            "Delivered: {expected} of {expected}. {skipped} were too old to reprocess, and are told so."
        );
    } else {
        println!("The story did not end as it should: {job:?}");
    }
    Ok(good)
}

async fn rita(demo: &Demo) -> Result<Caller> {
    let rita = demo.organization.persona("Rita")?;
    demo.app.caller_of_user(rita.user, None).await
}

async fn counts(demo: &Demo) -> Result<Vec<(&'static str, usize)>> {
    let mut counts = Vec::new();
    for state in STATES {
        let filter = Filter::parse(&format!("state eq '{state}'")).ok();
        let listing = Listing { filter, top: Some(1), count: true, ..Listing::default() };
        let whose = Whose::Reach(Reach::Everywhere);
        let narrowing = Narrowing::default();
        let page = demo.app.list_requests(&Caller::system(), whose, &narrowing, &listing).await?;
        counts.push((state, usize::try_from(page.count.unwrap_or(0)).unwrap_or(0)));
    }
    Ok(counts)
}

fn of(counts: &[(&str, usize)], state: &str) -> usize {
    counts.iter().find(|(name, _)| *name == state).map_or(0, |(_, count)| *count)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    if !std::io::stdout().is_terminal() {
        table.set_width(100);
    }
    table
}

fn print_counts(title: &str, counts: &[(&'static str, usize)]) {
    println!("{title}:");
    for (state, count) in counts.iter().filter(|(_, count)| 0 < *count) {
        println!("  {count:>4}  {state}");
    }
    println!();
}

async fn print_failures(demo: &Demo, rita: &Caller) -> Result<()> {
    let failures = demo.app.list_failures(rita).await?;
    println!("Why (accede failures), as far as Rita's catalog reaches:");
    let mut lines = table(&["Target", "Cause", "Roles", "People", "Packages"]);
    for failure in &failures {
        let cause = &failure.cause;
        let packages: Vec<&str> =
            failure.packages.iter().map(|package| package.display_name.as_str()).collect();
        lines.add_row([
            cause.target_display_name.clone(),
            format!("{} ({})", cause.example, cause.code),
            cause.deliveries.to_string(),
            cause.people.to_string(),
            packages.join(", "),
        ]);
    }
    println!("{lines}\n");
    Ok(())
}

async fn plan(demo: &Demo, rita: &Caller) -> Result<PlanView> {
    let text = "state eq 'deliveryFailed' or state eq 'partiallyDelivered'";
    println!("She plans a reprocess of everything with {text}.");
    let selection = Selection { filter: Filter::parse(text).ok(), ..Selection::default() };
    demo.app.plan_reprocess(rita, &selection).await
}

fn print_plan(plan: &PlanView) {
    println!(
        "The plan: {} will be tried again, {} will not; about {} s.",
        plan.plan.eligible, plan.plan.skipped, plan.summary.estimated_seconds
    );
    let mut lines = table(&["", "How many", ""]);
    for target in &plan.summary.targets {
        lines.add_row([
            target.display_name.clone(),
            target.deliveries.to_string(),
            "roles to deliver".to_owned(),
        ]);
    }
    for skipped in &plan.summary.skipped {
        lines.add_row([
            skipped.code.clone(),
            skipped.requests.to_string(),
            skipped.example.clone(),
        ]);
    }
    println!("{lines}\n");
}

/// Draws the job's progress until everything it began is over.
async fn watch(demo: &Demo, rita: &Caller, mut job: JobView) -> Result<JobView> {
    let terminal = std::io::stdout().is_terminal();
    loop {
        let progress = &job.progress;
        let done = progress.total - progress.pending - progress.delivering;
        if terminal {
            let filled = usize::try_from(done * 40 / progress.total.max(1)).unwrap_or(0).min(BAR);
            print!(
                "\r  [{}{}] {done}/{} ",
                "█".repeat(filled),
                "·".repeat(BAR - filled),
                progress.total
            );
            let _ = std::io::stdout().flush();
        }
        if job.is_over() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
        job = demo.app.get_job(rita, job.job.id).await?;
    }
    let progress = &job.progress;
    println!(
        "{}  {} delivered, {} partially, {} failed, {} refused\n",
        if terminal { "\n" } else { "" },
        progress.delivered,
        progress.partially_delivered,
        progress.delivery_failed,
        progress.refused
    );
    Ok(job)
}
