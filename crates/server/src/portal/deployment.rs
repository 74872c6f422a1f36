//! The deployment: whether it is paused because its database is in doubt, what differs from the
//! target systems, and the word that lets it go on.

use accede_app::App;
use accede_app::comparison::{Difference, Kind};
use accede_app::deployment::{Choice, Deployment, WhatIsGiven};
use accede_domain::id::DeliveryId;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::form::{Asked, Posted, id};
use super::part::{Badge, Frame, Notice, Place, Tone, When, grouped};
use super::problem::{Result, again, sentence};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// Differences that are shown of each kind; the API lists all.
const SHOWN: usize = 100;
/// Seconds until the page shows how far it has come.
const REFRESH: u32 = 5;

/// The routes of this page.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/deployment", get(show))
        .route("/governance/deployment/compare", post(compare))
        .route("/governance/deployment/confirm", post(confirm))
        .route("/governance/deployment/regrant/{id}", post(regrant))
}

/// A line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    id: String,
    person: String,
    role: String,
    target: String,
    state: Badge,
    why: String,
    is_held: bool,
}

impl Line {
    fn of(one: &Difference) -> Line {
        let row = &one.named.row;
        let role = one.named.role_name.as_ref().unwrap_or(&row.key.role);
        let resource = one.named.resource_name.as_ref().unwrap_or(&row.key.resource);
        let state = match (one.is_held(), row.delivery.wanted, row.delivery.is_so()) {
            (true, ..) => Badge::new(Tone::Warn, "warn", "Held"),
            (_, true, true) => Badge::new(Tone::Ok, "ok", "Given"),
            (_, true, false) => Badge::new(Tone::Info, "info", "Wanted"),
            (_, false, true) => Badge::new(Tone::Idle, "info", "Left there"),
            (_, false, false) => Badge::new(Tone::Info, "info", "Being removed"),
        };
        Line {
            id: row.id.to_string(),
            person: one
                .person
                .as_ref()
                .map_or_else(|| "a person who is gone".to_owned(), |p| p.display_name.clone()),
            role: format!("{role} of {resource}"),
            target: one.named.target_display_name.clone(),
            state,
            why: one.detail.as_deref().map(sentence).unwrap_or_default(),
            is_held: one.is_held(),
        }
    }
}

/// One kind of difference.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    title: &'static str,
    explanation: &'static str,
    lines: Vec<Line>,
    more: bool,
}

/// How far the comparison is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Compared {
    at: Option<When>,
    compared: String,
    lacking: String,
    extra: String,
    unread: String,
    blind: String,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "deployment.html")]
pub struct DeploymentPage {
    frame: Frame,
    state: Badge,
    instance: String,
    database: &'static str,
    clock: Option<&'static str>,
    /// What was found, since when.
    pause: Option<(String, When)>,
    compared: Option<Compared>,
    sections: Vec<Section>,
    may_compare: bool,
    may_resume: bool,
    may_clone: bool,
    may_regrant: bool,
}

const fn title(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Lacking => (
            "Wanted, and not in the target system",
            "It may have been revoked since the backup. It is held: given again only when you say so.",
        ),
        Kind::Extra => (
            "In the target system, and not wanted",
            "It may have been given since the backup. It stays there, unless its removal was under way.",
        ),
        Kind::Unread => (
            "Could not be read",
            "What is wanted and was not seen is held. Compare again once the target system answers.",
        ),
    }
}

async fn deployment_page(
    app: &App,
    session: &Session,
    notice: Option<Notice>,
) -> Result<DeploymentPage> {
    let caller = &session.caller;
    let found: Deployment = app.get_deployment(caller).await?;
    let mut sections = Vec::new();
    for kind in Kind::ALL {
        let listed = app.list_differences(caller, kind, None, SHOWN).await?;
        let (title, explanation) = title(kind);
        let lines: Vec<Line> = listed.items.iter().map(Line::of).collect();
        if !lines.is_empty() {
            sections.push(Section { title, explanation, lines, more: listed.next.is_some() });
        }
    }
    let comparison = found.comparison.as_ref();
    let is_complete = comparison.is_some_and(|one| one.is_complete());
    let is_comparing = comparison.is_some() && !is_complete;
    let pause = found.pause.as_ref();
    let is_confirmed = pause.is_some_and(|pause| pause.choice.is_some());
    let is_open = found.may_confirm && pause.is_some() && !is_confirmed;
    let mut frame = frame(Some(session), "Deployment", Place::Deployment).notice(notice);
    if is_comparing || is_confirmed {
        frame.refresh = Some(REFRESH);
    }
    Ok(DeploymentPage {
        frame,
        state: match (pause.is_some(), is_confirmed, is_comparing) {
            (false, ..) => Badge::new(Tone::Ok, "ok", "Running"),
            (true, true, _) => Badge::new(Tone::Info, "info", "Going on"),
            (true, false, true) => Badge::new(Tone::Warn, "warn", "Paused, being compared"),
            (true, false, false) => Badge::new(Tone::Warn, "warn", "Paused"),
        },
        instance: found.instance.map_or_else(|| "none yet".to_owned(), |id| id.to_string()),
        database: found.engine.name(),
        clock: found.clock_is_suspect.then_some(
            "The machine's clock is suspect: ends and beginnings of access wait for up to ten minutes.",
        ),
        pause: pause.map(|pause| (sentence(pause.reason.sentence()), When::minute(pause.since))),
        compared: comparison.map(|one| Compared {
            at: one.completed_at.map(When::minute),
            compared: grouped(one.compared),
            lacking: grouped(one.lacking),
            extra: grouped(one.extra),
            unread: grouped(one.unread),
            blind: grouped(one.blind),
        }),
        sections,
        may_compare: is_open && !is_comparing,
        may_resume: is_open && is_complete,
        may_clone: is_open,
        may_regrant: found.may_confirm && pause.is_none(),
    })
}

async fn show(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let notice = words::done(fields.get("done"));
    page(&deployment_page(&app, &session, notice).await?)
}

/// Back to the page: with what was done, or with why it was not.
async fn told(app: &App, session: &Session, outcome: Result<&str, accede_app::Error>) -> Result {
    match outcome {
        Ok(done) => Ok(see(format!("/governance/deployment?done={done}"))),
        Err(error @ accede_app::Error::Refused(_)) => {
            let notice = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let shown = deployment_page(app, session, Some(notice)).await?;
            again(error, |_| page(&shown))
        }
        Err(error) => Err(error.into()),
    }
}

async fn compare(State(app): State<App>, Posted { session, .. }: Posted) -> Result {
    let outcome = app.compare_deployment(&session.caller).await.map(|_| "comparing");
    told(&app, &session, outcome).await
}

async fn confirm(State(app): State<App>, Posted { session, fields }: Posted) -> Result {
    let choice = match fields.get("choice") {
        Some("newInstance") => Choice::NewInstance,
        // Whatever else is sent gives nothing again.
        _ => Choice::Resume {
            regrant: fields.get("regrant").and_then(WhatIsGiven::parse).unwrap_or_default(),
        },
    };
    let outcome = app.confirm_deployment(&session.caller, choice).await.map(|_| "confirmed");
    told(&app, &session, outcome).await
}

async fn regrant(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    let delivery: DeliveryId = id("difference", &text)?;
    let outcome = app.regrant_held(&session.caller, delivery).await;
    told(&app, &session, outcome.map(|changed| if changed { "regranted" } else { "waiting" })).await
}

#[cfg(test)]
mod samples {
    use super::super::samples::{NASTY, at, frame};
    use super::*;

    impl DeploymentPage {
        /// Running, paused, compared, going on.
        pub fn samples() -> Vec<DeploymentPage> {
            let line = |is_held| Line {
                id: "9a1d".to_owned(),
                person: NASTY.to_owned(),
                role: NASTY.to_owned(),
                target: NASTY.to_owned(),
                state: Badge::new(Tone::Warn, "warn", "Held"),
                why: NASTY.to_owned(),
                is_held,
            };
            let of = |paused: bool, compared: bool, may: bool| DeploymentPage {
                frame: frame("Deployment", Place::Deployment),
                state: Badge::new(Tone::Warn, "warn", "Paused"),
                instance: NASTY.to_owned(),
                database: "SQLite",
                clock: may.then_some("The clock is suspect."),
                pause: paused.then(|| (NASTY.to_owned(), When::minute(at(0)))),
                compared: compared.then(|| Compared {
                    at: may.then(|| When::minute(at(3))),
                    compared: "12".to_owned(),
                    lacking: "3".to_owned(),
                    extra: "1".to_owned(),
                    unread: "0".to_owned(),
                    blind: "0".to_owned(),
                }),
                sections: match compared {
                    true => vec![Section {
                        title: "Wanted, and not in the target system",
                        explanation: "It may have been revoked.",
                        lines: vec![line(true), line(false)],
                        more: true,
                    }],
                    false => Vec::new(),
                },
                may_compare: may && paused,
                may_resume: may && paused && compared,
                may_clone: may && paused,
                may_regrant: may && !paused,
            };
            vec![
                of(false, false, true),
                of(true, false, true),
                of(true, true, true),
                of(true, true, false),
                of(false, true, true),
            ]
        }
    }
}
