//! Drift: where target systems hold something else than what is wanted there, and what to do about it.

use accede_app::drift::{DriftKind, FindingState, NamedFinding};
use accede_app::text::MAX_JUSTIFICATION;
use accede_app::{App, Listing};
use accede_domain::filter::Filter;
use accede_domain::id::DriftFindingId;
use accede_domain::permission::Action;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::form::{Address, Asked, Fields, Posted, id};
use super::input::{Input, choice};
use super::part::{Badge, Frame, Notice, Place, Tone, When, grouped};
use super::pick::search;
use super::problem::{Result, again, sentence};
use super::requests::Choosable;
use super::session::Session;
use super::{Web, frame, page, see, words};

/// Rows on a page.
const ON_A_PAGE: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/drift", get(list))
        .route("/governance/drift/{id}", get(show))
        .route("/governance/drift/{id}/repair", post(repair))
        .route("/governance/drift/{id}/dismiss", post(dismiss))
}

/// What the list is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Narrowed {
    states: Vec<&'static str>,
    kinds: Vec<&'static str>,
    target: String,
}

impl Narrowed {
    /// From options; what is not known is left out. Without any, what is open is shown.
    fn read(fields: &Fields) -> Narrowed {
        let known = |name: &'static str, names: [&'static str; 4]| -> Vec<&'static str> {
            fields
                .all(name)
                .filter_map(|asked| names.into_iter().find(|one| *one == asked))
                .collect()
        };
        let mut states = known("state", FindingState::NAMES);
        let kinds = known("kind", DriftKind::NAMES);
        if states.is_empty() && !fields.has("all") {
            states.push(FindingState::Open.name());
        }
        Narrowed { states, kinds, target: search(fields, "target") }
    }

    fn is_narrowed(&self) -> bool {
        *self != Narrowed { states: vec![FindingState::Open.name()], ..Narrowed::default() }
    }

    fn filter(&self) -> Result<Option<Filter>> {
        let mut parts = Vec::new();
        for (property, names) in [("state", &self.states), ("kind", &self.kinds)] {
            if !names.is_empty() {
                let each: Vec<String> =
                    names.iter().map(|name| format!("{property} eq '{name}'")).collect();
                parts.push(format!("({})", each.join(" or ")));
            }
        }
        if !self.target.is_empty() {
            let quoted = self.target.to_lowercase().replace('\'', "''");
            parts.push(format!("contains(tolower(targetName),'{quoted}')"));
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let filter = Filter::parse(&parts.join(" and "));
        filter
            .map(Some)
            .map_err(|error| accede_app::Error::invalid("target", error.to_string()).into())
    }

    fn address(&self) -> Address {
        let mut address = Address::new("/governance/drift");
        for state in &self.states {
            address = address.with("state", *state);
        }
        for kind in &self.kinds {
            address = address.with("kind", *kind);
        }
        if self.states.is_empty() {
            address = address.with("all", "1");
        }
        address.with("target", &self.target)
    }
}

/// A finding in words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    id: String,
    what: Badge,
    meaning: &'static str,
    state: Badge,
    who: String,
    who_there: Option<String>,
    role: String,
    target: String,
    target_address: String,
    first: When,
    last: When,
    closed: Option<When>,
    decided_by: Option<String>,
    reason: Option<String>,
    /// What repairing is called.
    repair: &'static str,
    may_repair: bool,
    may_dismiss: bool,
}

impl Shown {
    fn of(named: &NamedFinding, may_decide: bool) -> Shown {
        let finding = &named.finding;
        let role = named.role_name.as_deref().unwrap_or(&finding.place.role);
        let resource = named.resource_name.as_deref().unwrap_or(&finding.place.resource);
        let holder = finding.holder.as_ref();
        let there = holder.map(|holder| holder.name.clone().unwrap_or_else(|| holder.id.clone()));
        let who = match (&named.person, &there) {
            (Some(person), _) => person.display_name.clone(),
            (None, Some(there)) => there.clone(),
            (None, None) => "Unknown".to_owned(),
        };
        let is_extra = finding.kind == DriftKind::Extra;
        let is_ours = !is_extra || finding.subject.is_some();
        Shown {
            id: finding.id.to_string(),
            what: words::drift_kind(finding.kind),
            meaning: words::drift_meaning(finding.kind),
            state: words::drift_state(finding.state),
            who,
            who_there: match &named.person {
                Some(person) => Some(person.user_principal_name.clone()),
                None => holder.map(|holder| format!("unknown here; {} there", holder.id)),
            },
            role: format!("{role} of {resource}"),
            target: named.target_display_name.clone(),
            target_address: format!("/governance/targets/{}", finding.place.target),
            first: When::minute(finding.first_seen),
            last: When::minute(finding.last_seen),
            closed: finding.closed_at.map(When::minute),
            decided_by: finding.decided_by.clone(),
            reason: finding.reason.clone(),
            repair: if is_extra { "Take it away" } else { "Repair" },
            may_repair: may_decide && is_ours && finding.state.is_live(),
            may_dismiss: may_decide && finding.state == FindingState::Open,
        }
    }
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "drift.html")]
pub struct DriftPage {
    frame: Frame,
    states: Vec<Choosable>,
    kinds: Vec<Choosable>,
    target: String,
    is_narrowed: bool,
    /// Whether everything is shown that was ever found.
    is_all: bool,
    rows: Vec<Shown>,
    total: i64,
    next: Option<String>,
}

impl DriftPage {
    fn total(&self) -> String {
        grouped(self.total)
    }
}

/// One of them.
#[derive(Debug, Template)]
#[template(path = "finding.html")]
pub struct FindingPage {
    frame: Frame,
    shown: Shown,
    reason: Input,
}

async fn list(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let narrowed = Narrowed::read(&fields);
    let listing = Listing {
        filter: narrowed.filter()?,
        top: Some(ON_A_PAGE),
        after: fields.owned("after"),
        count: true,
        ..Listing::default()
    };
    let found = app.list_drift(&session.caller, &listing).await?;
    // Which of them it is for is asked when it is done.
    let may_decide = !session.caller.reach(Action::Reprocess).is_empty();
    let states = FindingState::ALL.into_iter();
    let kinds = DriftKind::ALL.into_iter();
    page(&DriftPage {
        frame: frame(Some(&session), "Drift", Place::Drift).notice(words::done(fields.get("done"))),
        states: states
            .map(|one| {
                let words = words::drift_state(one).text;
                choice(one.name(), words, narrowed.states.contains(&one.name()))
            })
            .collect(),
        kinds: kinds
            .map(|one| {
                let words = words::drift_kind(one).text;
                choice(one.name(), words, narrowed.kinds.contains(&one.name()))
            })
            .collect(),
        is_narrowed: narrowed.is_narrowed(),
        is_all: narrowed == Narrowed::default(),
        rows: found.items.iter().map(|one| Shown::of(one, may_decide)).collect(),
        total: found.count.unwrap_or(0),
        next: found.next.map(|mark| narrowed.address().with("after", mark).text()),
        target: narrowed.target,
    })
}

async fn finding_page(
    app: &App,
    session: &Session,
    text: &str,
    typed: &str,
    notice: Option<Notice>,
) -> Result<FindingPage> {
    let named = app.get_drift(&session.caller, id("drift finding", text)?).await?;
    let may_decide = !session.caller.reach(Action::Reprocess).is_empty();
    let shown = Shown::of(&named, may_decide);
    let title = format!("{}: {}", shown.who, shown.role);
    Ok(FindingPage {
        frame: frame(Some(session), &title, Place::Drift)
            .crumb("Drift", "/governance/drift")
            .notice(notice),
        shown,
        reason: Input::text("reason", "Why the difference is accepted", typed, MAX_JUSTIFICATION),
    })
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let notice = words::done(fields.get("done"));
    page(&finding_page(&app, &session, &text, "", notice).await?)
}

async fn told<T>(
    app: &App,
    session: &Session,
    text: &str,
    fields: &Fields,
    outcome: accede_app::Result<T>,
    done: &str,
) -> Result {
    match outcome {
        Ok(_) => Ok(see(format!("/governance/drift/{text}?done={done}"))),
        Err(error) => {
            let notice = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let typed = fields.get("reason").unwrap_or_default();
            let again_page = finding_page(app, session, text, typed, Some(notice)).await?;
            again(error, |_| page(&again_page))
        }
    }
}

async fn repair(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let finding: DriftFindingId = id("drift finding", &text)?;
    let outcome = app.repair_drift(&session.caller, finding).await;
    told(&app, &session, &text, &fields, outcome, "repairing").await
}

async fn dismiss(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let finding: DriftFindingId = id("drift finding", &text)?;
    let reason = fields.get("reason").unwrap_or_default();
    let outcome = app.dismiss_drift(&session.caller, finding, reason).await;
    told(&app, &session, &text, &fields, outcome, "dismissed").await
}

#[cfg(test)]
mod samples {
    use super::super::samples::{NASTY, at, frame};
    use super::*;

    fn shown(kind: DriftKind, state: FindingState) -> Shown {
        Shown {
            id: format!("{}-{}", kind.name(), state.name()),
            what: words::drift_kind(kind),
            meaning: words::drift_meaning(kind),
            state: words::drift_state(state),
            who: NASTY.to_owned(),
            who_there: Some(NASTY.to_owned()),
            role: format!("Member of {NASTY}"),
            target: NASTY.to_owned(),
            target_address: "/governance/targets/1".to_owned(),
            first: When::minute(at(0)),
            last: When::minute(at(9)),
            closed: (!state.is_live()).then(|| When::minute(at(10))),
            decided_by: (state == FindingState::Dismissed).then(|| NASTY.to_owned()),
            reason: (state == FindingState::Dismissed).then(|| NASTY.to_owned()),
            repair: if kind == DriftKind::Extra { "Take it away" } else { "Repair" },
            may_repair: state.is_live(),
            may_dismiss: state == FindingState::Open,
        }
    }

    fn all() -> Vec<Shown> {
        let each = |kind| FindingState::ALL.into_iter().map(move |state| shown(kind, state));
        DriftKind::ALL.into_iter().flat_map(each).collect()
    }

    impl DriftPage {
        /// Every kind in every state; nothing open; nothing that matches; nothing ever.
        pub fn samples() -> Vec<DriftPage> {
            let page = |rows: Vec<Shown>, is_narrowed, is_all| DriftPage {
                is_all,
                frame: frame("Drift", Place::Drift),
                states: vec![choice("open", "Open", true), choice("gone", "Gone", false)],
                kinds: vec![choice("extra", "Extra access", false)],
                target: if is_narrowed { NASTY.to_owned() } else { String::new() },
                is_narrowed,
                total: 1_234,
                rows,
                next: is_narrowed.then(|| "/governance/drift?after=x".to_owned()),
            };
            let none = Vec::new;
            vec![
                page(all(), true, false),
                page(none(), false, false),
                page(none(), true, false),
                page(none(), true, true),
            ]
        }
    }

    impl FindingPage {
        /// Every kind in every state.
        pub fn samples() -> Vec<FindingPage> {
            all()
                .into_iter()
                .map(|shown| FindingPage {
                    frame: frame(NASTY, Place::Drift).crumb("Drift", "/governance/drift"),
                    shown,
                    reason: Input::text("reason", "Why", NASTY, MAX_JUSTIFICATION),
                })
                .collect()
        }
    }
}
