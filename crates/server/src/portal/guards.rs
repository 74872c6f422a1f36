//! Held changes: what waits for a second person, what it would do, and that person's decision.

use accede_app::App;
use accede_app::guards::{GuardCause, GuardState, GuardView, Ruling};
use accede_app::text::MAX_JUSTIFICATION;
use accede_domain::id::GuardId;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::form::{Asked, Fields, Posted, id};
use super::input::Input;
use super::part::{Badge, Frame, Notice, Place, Tone, When, grouped, plural};
use super::problem::{Result, again, sentence};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/held", get(list))
        .route("/governance/held/{id}", get(show))
        .route("/governance/held/{id}/release", post(release))
        .route("/governance/held/{id}/reject", post(reject))
}

/// What would happen at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AtTarget {
    target: String,
    grants: String,
    revocations: String,
    live: String,
}

/// A held change in words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    id: String,
    version: String,
    what: String,
    state: Badge,
    since: When,
    by: String,
    grants: String,
    revocations: String,
    /// The package's address and name.
    package: Option<(String, String)>,
    roles: Vec<String>,
    people: Option<String>,
    targets: Vec<AtTarget>,
    decided: Option<(String, When)>,
    justification: Option<String>,
    is_held: bool,
    is_extra: bool,
}

impl Shown {
    fn of(view: &GuardView) -> Shown {
        let guard = &view.guard;
        let sum = |of: fn(&accede_domain::guard::Changes) -> i64| {
            grouped(view.targets.iter().map(|(one, _)| of(&one.changes)).sum())
        };
        let name = guard.package_named.as_ref().map(|(_, name)| name.clone());
        let package = guard.package.zip(name);
        Shown {
            id: guard.id.to_string(),
            version: guard.version.to_string(),
            what: match (&guard.cause, &package) {
                (GuardCause::PackageRoles, Some((_, name))) => {
                    format!("Changed resource roles of {name}")
                }
                (GuardCause::PackageRoles, None) => "Changed resource roles".to_owned(),
                (GuardCause::UserImport, _) => "People disabled by an import".to_owned(),
                (GuardCause::ExtraAccess, _) => "Extra access taken away".to_owned(),
            },
            state: words::held_state(guard.state),
            since: When::minute(guard.created_at),
            by: match view.causers.is_empty() {
                true if guard.cause == GuardCause::ExtraAccess => "a comparison".to_owned(),
                true => "the server's operator".to_owned(),
                false => view.causers.join(", "),
            },
            grants: sum(|changes| changes.grants),
            revocations: sum(|changes| changes.revocations),
            package: package.map(|(id, name)| (format!("/governance/packages/{id}/roles"), name)),
            roles: view
                .roles
                .iter()
                .map(|role| {
                    let done = if role.is_added { "Added" } else { "Removed" };
                    format!("{done}: {} of {}", role.role, role.resource)
                })
                .collect(),
            people: view.leaving.as_ref().map(|leaving| {
                let more = leaving.total - i64::try_from(leaving.names.len()).unwrap_or(0);
                let rest =
                    if 0 < more { format!(" and {} more", grouped(more)) } else { String::new() };
                format!(
                    "{}, of whom {} are disabled already: {}{rest}",
                    plural(leaving.total, "person"),
                    grouped(leaving.done),
                    leaving.names.join(", ")
                )
            }),
            targets: view
                .targets
                .iter()
                .map(|(one, name)| AtTarget {
                    target: name.clone(),
                    grants: grouped(one.changes.grants),
                    revocations: grouped(one.changes.revocations),
                    live: grouped(one.live),
                })
                .collect(),
            decided: guard.decided_by.clone().zip(guard.decided_at.map(When::minute)),
            justification: guard.justification.clone(),
            is_held: guard.state == GuardState::Held,
            is_extra: guard.cause == GuardCause::ExtraAccess,
        }
    }
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "guards.html")]
pub struct GuardsPage {
    frame: Frame,
    rows: Vec<Shown>,
}

/// One of them.
#[derive(Debug, Template)]
#[template(path = "guard.html")]
pub struct GuardPage {
    frame: Frame,
    shown: Shown,
    may_decide: bool,
    justification: Input,
}

async fn list(State(app): State<App>, session: Session) -> Result {
    let found = app.list_guards(&session.caller).await?;
    page(&GuardsPage {
        frame: frame(Some(&session), "Held changes", Place::Held),
        rows: found.iter().map(Shown::of).collect(),
    })
}

async fn guard_page(
    app: &App,
    session: &Session,
    text: &str,
    typed: &str,
    notice: Option<Notice>,
) -> Result<GuardPage> {
    let view = app.get_guard(&session.caller, id("held change", text)?).await?;
    let shown = Shown::of(&view);
    Ok(GuardPage {
        frame: frame(Some(session), &shown.what, Place::Held)
            .crumb("Held changes", "/governance/held")
            .notice(notice),
        shown,
        may_decide: view.may_decide,
        justification: Input::text(
            "justification",
            "Reason for your decision",
            typed,
            MAX_JUSTIFICATION,
        ),
    })
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let notice = words::done(fields.get("done"));
    page(&guard_page(&app, &session, &text, "", notice).await?)
}

fn ruling(fields: &Fields) -> Ruling {
    Ruling {
        // A form without it was not ours; it decides about nothing that anybody has seen.
        expected: Some(fields.get("version").and_then(|text| text.parse().ok()).unwrap_or(-1)),
        justification: fields.get("justification").map(str::to_owned),
    }
}

async fn decide(
    app: &App,
    session: &Session,
    text: &str,
    fields: &Fields,
    is_released: bool,
) -> Result {
    let guard: GuardId = id("held change", text)?;
    let ruling = ruling(fields);
    let outcome = match is_released {
        true => app.release_guard(&session.caller, guard, &ruling).await,
        false => app.reject_guard(&session.caller, guard, &ruling).await,
    };
    match outcome {
        Ok(_) => {
            let done = if is_released { "released" } else { "rejected" };
            Ok(see(format!("/governance/held/{guard}?done={done}")))
        }
        Err(error) => {
            let notice = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let typed = fields.get("justification").unwrap_or_default();
            let again_page = guard_page(app, session, text, typed, Some(notice)).await?;
            again(error, |_| page(&again_page))
        }
    }
}

async fn release(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    decide(&app, &session, &text, &fields, true).await
}

async fn reject(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    decide(&app, &session, &text, &fields, false).await
}

#[cfg(test)]
mod samples {
    use super::super::samples::{NASTY, at, frame};
    use super::*;

    fn shown(state: GuardState) -> Shown {
        Shown {
            id: "9a1d".to_owned(),
            version: "3".to_owned(),
            what: format!("Changed resource roles of {NASTY}"),
            state: words::held_state(state),
            since: When::minute(at(0)),
            by: NASTY.to_owned(),
            grants: "0".to_owned(),
            revocations: "4,900".to_owned(),
            package: Some(("/governance/packages/9a1d/roles".to_owned(), NASTY.to_owned())),
            roles: vec![format!("Removed: Member of {NASTY}")],
            people: Some(NASTY.to_owned()),
            targets: vec![AtTarget {
                target: NASTY.to_owned(),
                grants: "0".to_owned(),
                revocations: "4,900".to_owned(),
                live: "12,000".to_owned(),
            }],
            decided: (state == GuardState::Rejected)
                .then(|| (NASTY.to_owned(), When::minute(at(9)))),
            justification: Some(NASTY.to_owned()),
            is_held: state == GuardState::Held,
            is_extra: false,
        }
    }

    impl GuardsPage {
        /// Some and none.
        pub fn samples() -> Vec<GuardsPage> {
            let page = |rows| GuardsPage { frame: frame("Held changes", Place::Held), rows };
            vec![page(vec![shown(GuardState::Held), shown(GuardState::Rejected)]), page(Vec::new())]
        }
    }

    impl GuardPage {
        /// For who may decide, for who caused it, one of extra access, and decided.
        pub fn samples() -> Vec<GuardPage> {
            let page = |state, may_decide| GuardPage {
                frame: frame(NASTY, Place::Held).crumb("Held changes", "/governance/held"),
                shown: shown(state),
                may_decide,
                justification: Input::text("justification", "Reason", NASTY, MAX_JUSTIFICATION),
            };
            vec![
                page(GuardState::Held, true),
                page(GuardState::Held, false),
                GuardPage {
                    shown: Shown { is_extra: true, package: None, ..shown(GuardState::Held) },
                    ..page(GuardState::Held, true)
                },
                page(GuardState::Rejected, false),
            ]
        }
    }
}
