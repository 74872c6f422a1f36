//! What notices say: a title, a text for people, the same as data for programs. No I/O, no clock.

use accede_domain::Timestamp;
use accede_domain::notice::Topic;
use accede_store::alarms::{Due, Stuck, TaskDue};
use serde_json::{Value, json};

use crate::failures::Failure;
use crate::guards::{GuardCause, GuardView};

/// Lines of one kind in a text; the rest is counted.
const LINES: usize = 10;
/// Items of one kind in the data; the rest is counted.
const ITEMS: usize = 100;
/// Longest title, in characters.
const TITLE: usize = 150;

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// What it is about.
    pub topic: Topic,
    /// One line.
    pub title: String,
    /// Plain text.
    pub body: String,
    /// For programs.
    pub data: Value,
}

/// A target in trouble, for a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Troubled {
    /// The target's id, as text.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What trouble.
    pub reason: &'static str,
    /// What it said.
    pub message: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// How many revocations wait.
    pub revocations: i64,
}

/// What is newly not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undelivered {
    /// Since when.
    pub since: Timestamp,
    /// How many requests came to rest since.
    pub requests: i64,
    /// How many causes were not known when the last digest was written.
    pub new: usize,
    /// Everything that is not delivered at present, by cause, the largest first.
    pub failures: Vec<Failure>,
    /// How many revocations are stuck; `None` for readers of some catalogs.
    pub stuck: Option<i64>,
}

/// Where the portal is, to write links.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links<'a>(pub Option<&'a str>);

impl Links<'_> {
    fn line(self, what: &str, path: &str) -> String {
        match self.0 {
            Some(portal) => format!("\n{what}: {portal}{path}\n"),
            None => format!("\n{what}: {path} in the portal\n"),
        }
    }

    fn url(self, path: &str) -> Value {
        self.0.map_or(Value::Null, |portal| Value::String(format!("{portal}{path}")))
    }
}

fn when(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn len<T>(items: &[T]) -> i64 {
    i64::try_from(items.len()).unwrap_or(i64::MAX)
}

/// A line for each of the first items, and how many are left out.
fn lines<T>(items: &[T], total: i64, line: impl Fn(&T) -> String) -> String {
    let mut text = String::new();
    for item in items.iter().take(LINES) {
        text.push_str("- ");
        // Whatever a target answered, one item is one line.
        text.push_str(&line(item).split_whitespace().collect::<Vec<_>>().join(" "));
        text.push('\n');
    }
    let left = total - len(items).min(i64::try_from(LINES).unwrap_or(0));
    if 0 < left {
        text.push_str(&format!("- and {left} more\n"));
    }
    text
}

fn title(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(TITLE).collect()
}

/// Access that should be gone and is not. `total` counts all that are stuck at present.
pub(crate) fn stuck(items: &[Due<Stuck>], total: i64, links: Links<'_>) -> Letter {
    let mut targets: Vec<&str> = items.iter().map(|due| due.about.target.as_str()).collect();
    targets.sort_unstable();
    targets.dedup();
    let at = match targets.as_slice() {
        [only] => (*only).to_owned(),
        several => counted(len(several), "target system", "target systems"),
    };
    let count = counted(len(items), "removal of access is", "removals of access are");
    let again = items.iter().filter(|due| due.is_known).count();
    let mut body =
        "This access should be gone, and Accede could not take it back yet:\n\n".to_owned();
    body.push_str(&lines(items, len(items), |due| {
        let stuck = &due.about;
        let person = stuck.person.as_deref().unwrap_or("An application");
        let fault = stuck.fault.as_ref().map_or(String::new(), |fault| format!(": {fault}"));
        format!(
            "{person}, {} of {} in {}, since {}{fault}",
            stuck.role,
            stuck.resource,
            stuck.target,
            when(due.since)
        )
    }));
    if 0 < again {
        body.push_str(&format!("\nOf these, {again} were told before.\n"));
    }
    body.push_str(&format!(
        "\nIn all, {} late by more than an hour. They are tried until they are done; nothing is given \
         up.\n",
        counted(total, "removal is", "removals are")
    ));
    body.push_str(&links.line("All of them, and what can be done", "/governance/failures"));
    let shown: Vec<Value> = items
        .iter()
        .take(ITEMS)
        .map(|due| {
            json!({
                "deliveryId": due.about.delivery,
                "target": due.about.target,
                "person": due.about.person,
                "resource": due.about.resource,
                "role": due.about.role,
                "since": due.since.to_string(),
                "fault": due.about.fault,
            })
        })
        .collect();
    Letter {
        topic: Topic::RevocationsStuck,
        title: title(&format!("{count} late at {at}")),
        body,
        data: json!({
            "count": items.len(), "total": total, "revocations": shown,
            "link": links.url("/governance/failures"),
        }),
    }
}

/// Targets that are left alone because they are out of order.
pub(crate) fn out_of_order(targets: &[Troubled], links: Links<'_>) -> Letter {
    let name = match targets {
        [only] => only.name.clone(),
        several => counted(len(several), "target system", "target systems"),
    };
    let verb = if targets.len() == 1 { "is" } else { "are" };
    let mut body = "Accede leaves these target systems alone but for a check now and then. What \
                    waits for them is kept and goes out by itself when they answer again.\n\n"
        .to_owned();
    body.push_str(&lines(targets, len(targets), |target| {
        let waits = match target.revocations {
            0 => String::new(),
            count => format!("; {} there", counted(count, "removal waits", "removals wait")),
        };
        let message = target.message.as_deref().unwrap_or("no answer was kept");
        format!(
            "{} ({}) since {}: {message}{waits}",
            target.name,
            target.reason,
            when(target.since)
        )
    }));
    body.push_str(&links.line("Target systems", "/governance/targets"));
    Letter {
        topic: Topic::TargetsOutOfOrder,
        title: title(&format!("{name} {verb} out of order")),
        body,
        data: json!({
            "targets": targets.iter().take(ITEMS).map(|target| json!({
                "id": target.id,
                "displayName": target.name,
                "reason": target.reason,
                "message": target.message,
                "since": target.since.to_string(),
                "waitingRevocations": target.revocations,
                "link": links.url(&format!("/governance/targets/{}", target.id)),
            })).collect::<Vec<_>>(),
        }),
    }
}

/// Targets that are called again: id and name for people.
pub(crate) fn back(targets: &[(String, String)], links: Links<'_>) -> Letter {
    let name = match targets {
        [(_, only)] => only.clone(),
        several => counted(len(several), "target system", "target systems"),
    };
    let verb = if targets.len() == 1 { "answers" } else { "answer" };
    let mut body = "They answer again, and what waited for them goes out by itself, removals \
                    first.\n\n"
        .to_owned();
    body.push_str(&lines(targets, len(targets), |(_, name)| name.clone()));
    body.push_str(&links.line("Target systems", "/governance/targets"));
    Letter {
        topic: Topic::TargetsBack,
        title: title(&format!("{name} {verb} again")),
        body,
        data: json!({
            "targets": targets.iter().take(ITEMS).map(|(id, name)| json!({
                "id": id, "displayName": name,
                "link": links.url(&format!("/governance/targets/{id}")),
            })).collect::<Vec<_>>(),
        }),
    }
}

/// A change that waits for a second person.
pub(crate) fn held(view: &GuardView, links: Links<'_>) -> Letter {
    let guard = &view.guard;
    let what = match (guard.cause, &guard.package_named) {
        (GuardCause::PackageRoles, Some((_, name))) => format!("the changed roles of {name}"),
        (GuardCause::PackageRoles, None) => "the changed roles of an access package".to_owned(),
        (GuardCause::UserImport, _) => "an import of users".to_owned(),
        (GuardCause::ExtraAccess, _) => "taking away extra access".to_owned(),
    };
    let path = "/governance/held";
    let causers = match view.causers.is_empty() {
        true => "the server itself".to_owned(),
        false => view.causers.join(", "),
    };
    let mut body = format!(
        "{what} would change so much that nothing of it goes out before a second person has seen it. \
         Caused by {causers}, waiting since {}.\n\n",
        when(guard.created_at)
    );
    body.push_str(&lines(&view.targets, len(&view.targets), |(at, name)| {
        format!(
            "{name}: {} and {} of {} that it holds",
            counted(at.changes.grants, "role is given", "roles are given"),
            counted(at.changes.revocations, "is taken", "are taken"),
            at.live
        )
    }));
    body.push_str(&links.line("Release it or take it back", path));
    Letter {
        topic: Topic::ChangeHeld,
        title: title(&format!("{what} waits for a second person")),
        body: capitalized(&body),
        data: json!({
            "id": guard.id,
            "cause": guard.cause.name(),
            "causedBy": view.causers,
            "since": guard.created_at.to_string(),
            "targets": view.targets.iter().take(ITEMS).map(|(at, name)| json!({
                "id": at.target,
                "displayName": name,
                "grants": at.changes.grants,
                "revocations": at.changes.revocations,
                "held": at.live,
            })).collect::<Vec<_>>(),
            "link": links.url(path),
        }),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// Tasks that wait for the reader: those that they got, and those that are late.
pub(crate) fn tasks(items: &[&Due<TaskDue>], now: Timestamp, links: Links<'_>) -> Letter {
    let what = |task: &TaskDue| {
        let person = task.person.as_deref().unwrap_or("an application");
        let (verb, to) = if task.is_grant { ("give", "to") } else { ("take away", "from") };
        format!("{verb} {} of {} in {} {to} {person}", task.role, task.resource, task.target)
    };
    let late = items.iter().filter(|due| due.since <= now).count();
    let head = match (items, late) {
        ([only], 0) => format!("A task for you: {}", what(&only.about)),
        ([only], _) => format!("A task of yours is late: {}", what(&only.about)),
        (_, 0) => format!("{} tasks for you", items.len()),
        _ => format!("{} tasks for you, {late} of them late", items.len()),
    };
    let mut body =
        "Nobody but a person can do this, and access packages wait for it:\n\n".to_owned();
    body.push_str(&lines(items, len(items), |due| {
        let until = match due.since <= now {
            true => format!("late since {}", when(due.since)),
            false => format!("due by {}", when(due.since)),
        };
        format!("{}; {until}", capitalized(&what(&due.about)))
    }));
    body.push_str(&links.line("Your tasks, and how to say that one is done", "/my/tasks"));
    Letter {
        topic: Topic::Tasks,
        title: title(&head),
        body,
        data: json!({
            "tasks": items.iter().take(ITEMS).map(|due| json!({
                "id": due.about.task,
                "isGrant": due.about.is_grant,
                "target": due.about.target,
                "person": due.about.person,
                "resource": due.about.resource,
                "role": due.about.role,
                "due": due.since.to_string(),
                "link": links.url(&format!("/my/tasks/{}", due.about.task)),
            })).collect::<Vec<_>>(),
            "link": links.url("/my/tasks"),
        }),
    }
}

/// A delivery on which the server kept breaking down.
pub(crate) fn laid_down(stuck: &Stuck, wanted: bool, crashes: i64, links: Links<'_>) -> Letter {
    let person = stuck.person.as_deref().unwrap_or("an application");
    let what = if wanted { "Giving" } else { "Taking back" };
    let next = if wanted {
        "It is not tried again until somebody reprocesses it."
    } else {
        "It is tried again every six hours, and at once when somebody asks for it."
    };
    let path = format!("/governance/deliveries/{}/resolve", stuck.delivery);
    let mut body = format!(
        "{what} {} of {} in {} for {person} broke the server down {crashes} times in a row. {next} \
         This is a fault of Accede or of its connector; please report it.\n",
        stuck.role, stuck.resource, stuck.target
    );
    body.push_str(&links.line("Settle it by hand", &path));
    Letter {
        topic: Topic::DeliveryLaidDown,
        title: title(&format!("A delivery to {} was laid down", stuck.target)),
        body,
        data: json!({
            "deliveryId": stuck.delivery,
            "target": stuck.target,
            "person": stuck.person,
            "resource": stuck.resource,
            "role": stuck.role,
            "wanted": wanted,
            "crashes": crashes,
            "link": links.url(&path),
        }),
    }
}

/// What is newly not delivered, by cause: in the target's own words if they are `quoted`, otherwise
/// without what names things in them.
pub(crate) fn failures(found: &Undelivered, quoted: bool, links: Links<'_>) -> Letter {
    let causes = len(&found.failures);
    let new = i64::try_from(found.new).unwrap_or(i64::MAX);
    let head = match found.requests {
        0 => counted(new, "new cause holds deliveries up", "new causes hold deliveries up"),
        count => counted(count, "request was not delivered", "requests were not delivered"),
    };
    let mut body = format!(
        "Since {}, {} could not be delivered or not wholly. This is everything that is not delivered \
         at present, by {}:\n\n",
        when(found.since),
        counted(found.requests, "request", "requests"),
        counted(causes, "cause", "causes")
    );
    body.push_str(&lines(&found.failures, causes, |failure| {
        let cause = &failure.cause;
        let new = if failure.trend.is_new { "NEW " } else { "" };
        format!(
            "{new}{}: {} ({} of {}; {} until somebody reprocesses them; {})",
            cause.target_display_name,
            if quoted { &cause.example } else { &cause.text },
            counted(cause.deliveries, "role", "roles"),
            counted(cause.people, "person", "people"),
            counted(cause.failed, "rests", "rest"),
            failure.trend.direction.name()
        )
    }));
    if let Some(stuck) = found.stuck.filter(|stuck| 0 < *stuck) {
        let count = counted(stuck, "removal of access is", "removals of access are");
        body.push_str(&format!("\n{count} late by more than an hour.\n"));
    }
    body.push_str(&links.line("The causes, with a plan to reprocess", "/governance/failures"));
    Letter {
        topic: Topic::Failures,
        title: title(&format!("{head}, {}", counted(causes, "cause in all", "causes in all"))),
        body,
        data: json!({
            "since": found.since.to_string(),
            "requests": found.requests,
            "stuckRevocations": found.stuck,
            "causes": found.failures.iter().take(ITEMS).map(|failure| json!({
                "id": failure.cause.id,
                "target": failure.cause.target_display_name,
                "class": failure.cause.class.name(),
                "code": failure.cause.code,
                "text": failure.cause.text,
                "isNew": failure.trend.is_new,
                "deliveries": failure.cause.deliveries,
                "resting": failure.cause.failed,
                "people": failure.cause.people,
                "requests": failure.cause.requests,
                "link": links.url(&format!("/governance/failures/{}", failure.cause.id)),
            })).collect::<Vec<_>>(),
            "link": links.url("/governance/failures"),
        }),
    }
}

/// Somebody tries whether notices arrive.
pub(crate) fn test(who: &str, links: Links<'_>) -> Letter {
    let mut body = format!(
        "{who} tries whether notices of Accede arrive here. They do; nothing needs to be done.\n"
    );
    body.push_str(&links.line("Notices", "/governance/notices"));
    Letter {
        topic: Topic::Test,
        title: "Notices of Accede arrive".to_owned(),
        body,
        data: json!({ "by": who }),
    }
}
