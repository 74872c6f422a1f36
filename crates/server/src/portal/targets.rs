//! Target systems: connect, check, look into, pause.

use std::collections::BTreeMap;

use accede_app::drift::DriftKind;
use accede_app::targets::{
    COMMON, Field, Form, FoundResource, KINDS, Kind, NewTarget, TargetChange, TargetView,
};
use accede_app::{App, Caller, Error, Listing};
use accede_domain::circuit::{Reason, State as Circuit};
use accede_domain::id::TargetId;
use accede_domain::permission::{Action, Reach};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value};

use super::confirm::ConfirmPage;
use super::form::{Address, Asked, Fields, Posted, id};
use super::form_page::{FormPage, Wrong, again, again_with};
use super::input::{Input, choice};
use super::part::{
    Badge, Frame, Notice, Place, Sections, Tone, When, grouped, how_long, minute, plural,
};
use super::pick::search;
use super::problem::{Result, sentence};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// Resources shown of one look into a target.
const MAX_FOUND: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/targets", get(list))
        .route("/governance/targets/new", get(new).post(create))
        .route("/governance/targets/{id}", get(show))
        .route("/governance/targets/{id}/edit", get(edit).post(change))
        .route("/governance/targets/{id}/check", post(check))
        .route("/governance/targets/{id}/compare", post(compare))
        .route("/governance/targets/{id}/pause", get(ask_to_pause).post(pause))
        .route("/governance/targets/{id}/resume", post(resume))
}

/// A target in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    id: String,
    name: String,
    display_name: String,
    kind: String,
    health: Badge,
    is_paused: bool,
    checked: Option<(When, String)>,
    waiting: String,
    /// When what waits is done, in words.
    drain: Option<String>,
    failed: String,
    stuck: String,
    oldest: Option<When>,
    trouble: Option<String>,
    compared: Option<When>,
    is_comparing: bool,
    /// How many open findings of drift there are, in words, if any.
    drift: Option<String>,
    /// Whose holders could not be listed, in words, if any.
    unread: Option<String>,
}

impl Row {
    fn of(view: &TargetView) -> Row {
        let title = KINDS.iter().find(|kind| kind.name == view.kind).map(|kind| kind.title);
        let health = match &view.checked {
            _ if view.is_paused => Badge::new(Tone::Warn, "pause", "Paused"),
            _ if view.is_out_of_order => Badge::new(Tone::Bad, "bad", "Out of order"),
            _ if view.circuit.circuit.state != Circuit::Closed => {
                Badge::new(Tone::Warn, "pause", "Rests")
            }
            Some(checked) if checked.ok => Badge::new(Tone::Ok, "ok", "Works"),
            Some(_) => Badge::new(Tone::Bad, "bad", "Check failed"),
            None if view.is_built_in => Badge::new(Tone::Ok, "ok", "Built in"),
            None => Badge::new(Tone::Idle, "info", "Not checked"),
        };
        Row {
            id: view.id.to_string(),
            name: view.name.clone(),
            display_name: view.display_name.clone(),
            kind: title.map_or_else(|| "Built-in directory".to_owned(), str::to_owned),
            health,
            is_paused: view.is_paused,
            checked: view
                .checked
                .as_ref()
                .map(|checked| (When::minute(checked.at), sentence(&checked.result))),
            waiting: grouped(view.backlog.due + view.backlog.in_flight),
            drain: view.drain.map(|drain| {
                let pace = plural(drain.per_hour, "role");
                format!("done in about {}, at {pace} an hour", how_long(drain.lasts))
            }),
            failed: grouped(view.backlog.failed),
            stuck: grouped(view.backlog.stuck),
            oldest: view.backlog.oldest.map(When::minute),
            trouble: trouble(view),
            compared: view.drift.compared_at.map(When::minute),
            is_comparing: view.drift.is_comparing,
            drift: (0 < view.drift.total()).then(|| drift(view)),
            unread: (0 < view.drift.roles_unread).then(|| {
                let why = view.drift.problem.as_deref().unwrap_or_default();
                let roles = plural(view.drift.roles_unread, "role");
                format!("Who has {roles} could not be read. Last: {}", sentence(why))
            }),
        }
    }
}

/// Its open findings of drift by kind, in words.
fn drift(view: &TargetView) -> String {
    let of_kind = |(kind, count): &(DriftKind, i64)| {
        format!("{} {}", grouped(*count), words::drift_kind(*kind).text.to_lowercase())
    };
    view.drift.open.iter().map(of_kind).collect::<Vec<_>>().join(", ")
}

/// Why it is not called and what happens next, in words.
fn trouble(view: &TargetView) -> Option<String> {
    let circuit = &view.circuit.circuit;
    let why = view.circuit.fault.as_ref().map(|fault| sentence(&fault.message));
    let why = why.unwrap_or_else(|| "It was in trouble with most calls.".to_owned());
    match circuit.state {
        Circuit::Closed => None,
        Circuit::Open { since, check_at, reason, .. } => {
            let advice = match reason {
                Reason::Credentials => {
                    "Nothing is sent until it lets us in: set its secrets or its certificate anew, \
                     and it is checked at once."
                }
                Reason::Unavailable => "Nothing is sent until it answers a check.",
            };
            Some(format!(
                "Not called since {}. {why} {advice} Next check: {}. What waits goes out by itself \
                 then, removals first.",
                minute(since),
                When::second(check_at).words(),
            ))
        }
        Circuit::Trial { .. } => {
            Some("It answers again; a few calls try it before all that waits goes out.".to_owned())
        }
    }
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "targets.html")]
pub struct TargetsPage {
    frame: Frame,
    rows: Vec<Row>,
    may_connect: bool,
}

/// A page of one target.
#[derive(Debug, Template)]
#[template(path = "target.html")]
pub struct TargetPage {
    frame: Frame,
    row: Row,
    description: Option<String>,
    settings: Vec<(String, String)>,
    secrets: Vec<String>,
    concurrency: u32,
    owners_may_add: bool,
    may_change: bool,
    may_compare: bool,
    drift_address: String,
    search: String,
    found: Option<Vec<Found>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    name: String,
    origin_id: String,
    description: Option<String>,
    roles: Vec<String>,
}

impl Found {
    fn of(found: FoundResource) -> Found {
        Found {
            name: found.display_name,
            origin_id: found.origin_id,
            description: found.description,
            roles: found.roles.into_iter().map(|role| role.display_name).collect(),
        }
    }
}

/// What waits for a second person and would reach a target system.
async fn held_at(app: &App, session: &Session, target: TargetId) -> Result<Option<Notice>> {
    let held = app.held_at_target(&session.caller, target).await?;
    if held.grants + held.revocations == 0 {
        return Ok(None);
    }
    let text = format!(
        "A change waits for a second person before anything of it is sent here: {} taken, {} given.",
        plural(held.revocations, "role"),
        plural(held.grants, "role")
    );
    let link = Sections::of(&session.caller)
        .held()
        .then(|| ("See the held changes".to_owned(), "/governance/held".to_owned()));
    Ok(Some(Notice { tone: Tone::Warn, text, link }))
}

fn may_manage(caller: &Caller) -> bool {
    caller.reach(Action::ManageTargets) == Reach::Everywhere
}

async fn list(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let listing = Listing { top: Some(accede_app::list::MAX_TOP), ..Listing::default() };
    let found = app.targets(&session.caller, &listing).await?;
    let may_connect = may_manage(&session.caller);
    let frame = frame(Some(&session), "Target systems", Place::Targets)
        .notice(words::done(fields.get("done")));
    page(&TargetsPage { frame, rows: found.items.iter().map(Row::of).collect(), may_connect })
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(target): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let target: TargetId = id("target system", &target)?;
    let view = app.target(&session.caller, target).await?;
    let search = search(&fields, "search");
    let mut notice = match words::done(fields.get("done")) {
        Some(notice) => Some(notice),
        None => held_at(&app, &session, target).await?,
    };
    let found = if fields.has("look") || !search.is_empty() {
        let wanted = Some(search.as_str()).filter(|text| !text.is_empty());
        match app.discover(&session.caller, target, wanted, MAX_FOUND).await {
            Ok(found) => Some(found.into_iter().map(Found::of).collect()),
            Err(accede_app::Error::Target { fault, .. }) => {
                let text = format!("It could not be looked into. {}", sentence(&fault.to_string()));
                notice = Some(Notice::new(Tone::Bad, text));
                None
            }
            Err(error) => return Err(error.into()),
        }
    } else {
        None
    };
    let frame = frame(Some(&session), &view.display_name, Place::Targets)
        .crumb("Target systems", "/governance/targets")
        .notice(notice);
    page(&build(frame, &view, may_manage(&session.caller), search, found))
}

fn build(
    frame: Frame,
    view: &TargetView,
    may_manage: bool,
    search: String,
    found: Option<Vec<Found>>,
) -> TargetPage {
    let kind = KINDS.iter().find(|kind| kind.name == view.kind);
    let known: Vec<&Field> = kind.into_iter().flat_map(settings_of).collect();
    let secret = |name: &String| {
        let field = kind.and_then(|kind| kind.secrets.iter().find(|field| field.name == name));
        field.map_or_else(|| name.clone(), |field| field.label.to_owned())
    };
    let settings = match &view.settings {
        Some(Value::Object(settings)) => settings
            .iter()
            .map(|(name, value)| {
                let label = known.iter().find(|field| field.name == name.as_str());
                (label.map_or(name.as_str(), |field| field.label).to_owned(), shown(value))
            })
            .collect(),
        _ => Vec::new(),
    };
    TargetPage {
        frame,
        row: Row::of(view),
        description: view.description.clone(),
        settings,
        secrets: view.secrets.iter().flatten().map(secret).collect(),
        concurrency: view.concurrency,
        owners_may_add: view.catalog_owners_may_add,
        may_change: may_manage && !view.is_built_in,
        may_compare: may_manage && !view.is_paused,
        drift_address: Address::new("/governance/drift").with("target", &view.name).text(),
        search,
        found,
    }
}

/// The kinds of target systems, to choose one to connect.
#[derive(Debug, Template)]
#[template(path = "target_kinds.html")]
pub struct KindsPage {
    frame: Frame,
    kinds: Vec<KindRow>,
}

/// A kind of target systems.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KindRow {
    name: &'static str,
    title: &'static str,
    meaning: String,
}

async fn new(session: Session, Asked(fields): Asked) -> Result {
    session.caller.may_everywhere(Action::ManageTargets)?;
    match kind(&fields) {
        Some(kind) => page(&form(&session, kind, &fields, &Wrong::default())),
        None => page(&choose_kind(&session, &fields)),
    }
}

fn choose_kind(session: &Session, fields: &Fields) -> KindsPage {
    let unknown = Notice::new(Tone::Bad, "There is no such kind of target system. Choose one.");
    let kinds = KINDS.iter().map(|kind| KindRow {
        name: kind.name,
        title: kind.title,
        meaning: sentence(kind.meaning),
    });
    KindsPage {
        frame: frame(Some(session), "Connect a target system", Place::Targets)
            .crumb("Target systems", "/governance/targets")
            .notice(Some(unknown).filter(|_| fields.has("kind"))),
        kinds: kinds.collect(),
    }
}

/// The kind that an address or a form names.
fn kind(fields: &Fields) -> Option<&'static Kind> {
    let asked = fields.get("kind")?;
    KINDS.iter().find(|kind| kind.name == asked)
}

fn form(session: &Session, kind: &Kind, typed: &Fields, wrong: &Wrong) -> FormPage {
    let hint =
        "Small letters, digits and hyphens. It names the system in the API and never changes.";
    let name = Input::line("name", "Short name", typed.typed("name"), 64);
    let mut fields = vec![name.required().hint(hint).wrong(wrong.with("name"))];
    fields.extend(inputs(kind, typed, wrong, true));
    FormPage {
        frame: frame(Some(session), format!("Connect: {}", kind.title), Place::Targets)
            .crumb("Target systems", "/governance/targets")
            .crumb("Connect a target system", "/governance/targets/new"),
        lead: "Nothing is sent to it before you check it or an access package needs it.".to_owned(),
        action: "/governance/targets/new".to_owned(),
        hidden: vec![("kind", kind.name.to_owned())],
        fields,
        button: "Connect the target system",
        back: "/governance/targets".to_owned(),
    }
}

/// The settings of a kind, those of every kind among them.
fn settings_of(kind: &Kind) -> impl Iterator<Item = &'static Field> {
    kind.settings.iter().chain(COMMON)
}

/// A setting as it is read: yes or no, a list with commas.
fn shown(value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(_) => typed_as(value).replace('\n', ", "),
        value => typed_as(value),
    }
}

/// A setting as it is typed: a list one a line.
fn typed_as(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            items.join("\n")
        }
        other => other.to_string(),
    }
}

/// What is asked of a target system when it is connected and later.
fn inputs(kind: &Kind, typed: &Fields, wrong: &Wrong, is_new: bool) -> Vec<Input> {
    let mut inputs = vec![
        Input::line("displayName", "Name", typed.typed("displayName"), 256)
            .hint("What people read.")
            .wrong(wrong.with("displayName")),
        Input::text("description", "Description", typed.typed("description"), 1_024)
            .wrong(wrong.with("description")),
    ];
    for field in settings_of(kind) {
        let name = format!("settings.{}", field.name);
        let mut hint = sentence(field.meaning);
        let (label, value) = (field.label, typed.typed(&name));
        let input = match field.form {
            Form::Line => Input::line(&name, label, value, 0),
            Form::Lines => Input::text(&name, label, value, 0),
            Form::List => {
                hint.push_str(" One a line, or with commas between.");
                Input::text(&name, label, value, 0)
            }
            Form::OneOf(values) => {
                // What stands there and is not known is kept in sight.
                let unknown = Some(value.as_str()).filter(|one| !one.is_empty());
                let unknown = unknown.filter(|one| !values.contains(one));
                let first = if field.required { "Choose one" } else { "As by default" };
                let mut choices = vec![choice("", first, value.is_empty())];
                let all = values.iter().copied().chain(unknown);
                choices.extend(all.map(|one| choice(one, one, value == one)));
                Input::select(&name, label, choices)
            }
            Form::Flag => {
                let one = |sent: &str, words: &str| choice(sent, words, value == sent);
                let choices =
                    vec![one("", "As by default"), one("true", "Yes"), one("false", "No")];
                Input::select(&name, label, choices)
            }
        };
        let input = input.hint(hint).wrong(wrong.with(&name));
        inputs.push(if field.required { input.required() } else { input });
    }
    for field in kind.secrets {
        let name = format!("secrets.{}", field.name);
        let hint = format!("{} It is sealed and never shown again.", sentence(field.meaning));
        let input = Input::typed(&name, field.label, "password", "", 0);
        let input = match (is_new, field.required) {
            (true, true) => input.hint(hint).required(),
            (true, false) => input.hint(hint),
            (false, _) => {
                input.hint(format!("{hint} Leave it empty to keep the one that is there."))
            }
        };
        inputs.push(input.wrong(wrong.with(&name)));
    }
    let owners = "Owners of catalogs may add its resources to their catalogs";
    inputs.push(Input::check("catalogOwnersMayAdd", owners, typed.has("catalogOwnersMayAdd")));
    inputs
}

/// The form of a target system that is connected, with what is typed or what there is.
fn edit_form(
    session: &Session,
    view: &TargetView,
    kind: &Kind,
    typed: &Fields,
    wrong: &Wrong,
) -> FormPage {
    let back = format!("/governance/targets/{}", view.id);
    FormPage {
        frame: frame(Some(session), format!("Edit {}", view.display_name), Place::Targets)
            .crumb("Target systems", "/governance/targets")
            .crumb(&view.display_name, &back),
        lead: "What is due is delivered with the new settings. Check it after you saved them."
            .to_owned(),
        action: format!("{back}/edit"),
        hidden: vec![("version", view.version.to_string())],
        fields: inputs(kind, typed, wrong, false),
        button: "Save",
        back,
    }
}

/// A target system whose settings can be changed, and its kind.
async fn changeable(
    app: &App,
    session: &Session,
    target: &str,
) -> Result<(TargetView, &'static Kind)> {
    let target: TargetId = id("target system", target)?;
    let view = app.target(&session.caller, target).await?;
    session.caller.may_everywhere(Action::ManageTargets)?;
    let kind = KINDS.iter().find(|kind| kind.name == view.kind);
    let kind = kind.ok_or_else(|| Error::not_found("settings of target system", &view.name))?;
    Ok((view, kind))
}

async fn edit(State(app): State<App>, session: Session, Path(target): Path<String>) -> Result {
    let (view, kind) = changeable(&app, &session, &target).await?;
    let owners = if view.catalog_owners_may_add { "yes" } else { "" };
    let mut fields = Fields::of([
        ("displayName", view.display_name.clone()),
        ("description", view.description.clone().unwrap_or_default()),
        ("catalogOwnersMayAdd", owners.to_owned()),
    ]);
    for (name, value) in view.settings.as_ref().and_then(Value::as_object).into_iter().flatten() {
        fields.add(format!("settings.{name}"), typed_as(value));
    }
    page(&edit_form(&session, &view, kind, &fields, &Wrong::default()))
}

async fn change(
    State(app): State<App>,
    Path(target): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let (view, kind) = changeable(&app, &session, &target).await?;
    let had = view.settings.as_ref().and_then(Value::as_object);
    let mut settings = Map::new();
    for field in settings_of(kind) {
        let before = had.and_then(|had| had.get(field.name));
        let now = fields.get(&format!("settings.{}", field.name));
        let now = now.map(|text| setting(field, text));
        if now.as_ref() != before {
            settings.insert(field.name.to_owned(), now.unwrap_or(Value::Null));
        }
    }
    let secrets = kind.secrets.iter().filter_map(|field| {
        let typed = fields.owned(&format!("secrets.{}", field.name))?;
        Some((field.name.to_owned(), Some(typed)))
    });
    let wanted = TargetChange {
        display_name: Some(fields.owned("displayName").unwrap_or_default()),
        description: Some(fields.owned("description")),
        settings,
        secrets: secrets.collect(),
        catalog_owners_may_add: Some(fields.has("catalogOwnersMayAdd")),
        expected: fields.parsed("version"),
    };
    match app.change_target(&session.caller, view.id, &wanted).await {
        Ok(_) => Ok(see(format!("/governance/targets/{}?done=saved", view.id))),
        Err(Error::Stale) => {
            // What was typed stays, over the version that there is now.
            let now = app.target(&session.caller, view.id).await?;
            let text = "somebody else changed it since you opened this page. What you typed is \
                        below: save again to put it in place of theirs";
            let error = Error::invalid("version", text);
            again(error, |wrong| edit_form(&session, &now, kind, &fields, wrong))
        }
        Err(error) => {
            again_with(error, Vec::new(), |wrong| edit_form(&session, &view, kind, &fields, wrong))
        }
    }
}

/// What of a kind's settings and secrets is missing, to be told beside the first fault.
fn missing(kind: &Kind, fields: &Fields) -> Vec<(String, String)> {
    let settings = kind.settings.iter().map(|field| ("settings", field));
    let all = settings.chain(kind.secrets.iter().map(|field| ("secrets", field)));
    let needed = all.filter(|(_, field)| field.required);
    let needed = needed.map(|(list, field)| format!("{list}.{}", field.name));
    let name = std::iter::once("name".to_owned());
    let open = name.chain(needed).filter(|name| !fields.has(name));
    open.map(|name| (name, "It is missing; fill it in.".to_owned())).collect()
}

/// A list as it was typed: one a line, with commas between, or as JSON.
fn listed(text: &str) -> Value {
    if let Ok(list @ Value::Array(_)) = serde_json::from_str(text) {
        return list;
    }
    let items = text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
    Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
}

/// A setting as its kind wants it: yes or no, a number, a list, or text.
fn setting(field: &Field, text: &str) -> Value {
    if field.form == Form::List {
        return listed(text);
    }
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

async fn create(State(app): State<App>, Posted { session, fields }: Posted) -> Result {
    let Some(kind) = kind(&fields) else {
        session.caller.may_everywhere(Action::ManageTargets)?;
        return page(&choose_kind(&session, &fields));
    };
    let mut settings = Map::new();
    for field in settings_of(kind) {
        if let Some(text) = fields.get(&format!("settings.{}", field.name)) {
            settings.insert(field.name.to_owned(), setting(field, text));
        }
    }
    let mut secrets = BTreeMap::new();
    for field in kind.secrets {
        if let Some(text) = fields.get(&format!("secrets.{}", field.name)) {
            secrets.insert(field.name.to_owned(), text.to_owned());
        }
    }
    let new = NewTarget {
        name: fields.get("name").unwrap_or_default().to_owned(),
        display_name: fields.get("displayName").map(str::to_owned),
        description: fields.get("description").map(str::to_owned),
        kind: kind.name.to_owned(),
        settings,
        secrets,
        catalog_owners_may_add: fields.has("catalogOwnersMayAdd"),
    };
    match app.create_target(&session.caller, &new, None).await {
        Ok(view) => Ok(see(format!("/governance/targets/{}?done=created", view.id))),
        Err(error) => {
            again_with(error, missing(kind, &fields), |wrong| form(&session, kind, &fields, wrong))
        }
    }
}

async fn check(
    State(app): State<App>,
    Path(target): Path<String>,
    Posted { session, .. }: Posted,
) -> Result<Response> {
    let target: TargetId = id("target system", &target)?;
    app.check_target(&session.caller, target).await?;
    Ok(see(format!("/governance/targets/{target}?done=checked")))
}

async fn compare(
    State(app): State<App>,
    Path(target): Path<String>,
    Posted { session, .. }: Posted,
) -> Result<Response> {
    let target: TargetId = id("target system", &target)?;
    app.compare_target(&session.caller, target).await?;
    Ok(see(format!("/governance/targets/{target}?done=looking")))
}

async fn ask_to_pause(
    State(app): State<App>,
    session: Session,
    Path(target): Path<String>,
) -> Result {
    let target: TargetId = id("target system", &target)?;
    let view = app.target(&session.caller, target).await?;
    session.caller.may_everywhere(Action::ManageTargets)?;
    let back = format!("/governance/targets/{target}");
    let waiting = view.backlog.due + view.backlog.in_flight;
    page(&ConfirmPage {
        frame: frame(Some(&session), format!("Pause {}?", view.display_name), Place::Targets)
            .crumb("Target systems", "/governance/targets")
            .crumb(&view.display_name, &back),
        sentences: vec![
            "Nothing is sent to it until somebody resumes it, removals of access included."
                .to_owned(),
            format!("What is due waits: {} at present.", plural(waiting, "role")),
        ],
        action: format!("{back}/pause"),
        hidden: Vec::new(),
        button: "Pause the target system".to_owned(),
        back,
    })
}

async fn pause(
    State(app): State<App>,
    Path(target): Path<String>,
    Posted { session, .. }: Posted,
) -> Result<Response> {
    let target: TargetId = id("target system", &target)?;
    app.pause_target(&session.caller, target).await?;
    Ok(see(format!("/governance/targets/{target}?done=paused")))
}

async fn resume(
    State(app): State<App>,
    Path(target): Path<String>,
    Posted { session, .. }: Posted,
) -> Result<Response> {
    let target: TargetId = id("target system", &target)?;
    app.resume_target(&session.caller, target).await?;
    Ok(see(format!("/governance/targets/{target}?done=resumed")))
}

#[cfg(test)]
pub mod samples_of {
    //! Samples of these pages.

    use super::super::samples::{NASTY, at, frame};
    use super::*;

    fn row(name: &str, health: Badge, is_paused: bool) -> Row {
        Row {
            id: "1".to_owned(),
            name: "crm".to_owned(),
            display_name: name.to_owned(),
            kind: "SCIM 2.0".to_owned(),
            health,
            is_paused,
            checked: Some((When::minute(at(5)), "The server answered 503.".to_owned())),
            waiting: "1,204".to_owned(),
            drain: Some("done in about 3 minutes, at 1,200 roles an hour".to_owned()),
            failed: "60".to_owned(),
            stuck: "2".to_owned(),
            oldest: Some(When::minute(at(0))),
            trouble: Some("Not called since then. Nobody answers.".to_owned()),
            compared: (!is_paused).then(|| When::minute(at(7))),
            is_comparing: is_paused,
            drift: Some("3 extra access".to_owned()),
            unread: Some(NASTY.to_owned()),
        }
    }

    /// Some for who may change them, none for who may not.
    pub fn lists() -> Vec<TargetsPage> {
        let rows = vec![
            row("Customer CRM", Badge::new(Tone::Bad, "bad", "Check failed"), false),
            row(NASTY, Badge::new(Tone::Warn, "pause", "Paused"), true),
        ];
        let frame = || frame("Target systems", Place::Targets);
        vec![
            TargetsPage { frame: frame(), rows, may_connect: true },
            TargetsPage { frame: frame(), rows: Vec::new(), may_connect: false },
        ]
    }

    /// Every kind, after an unknown one.
    pub fn kinds() -> Vec<KindsPage> {
        let unknown = Notice::new(Tone::Bad, "There is no such kind of target system.");
        vec![KindsPage {
            frame: frame("Connect a target system", Place::Targets).notice(Some(unknown)),
            kinds: vec![KindRow { name: "scim", title: "SCIM 2.0", meaning: NASTY.to_owned() }],
        }]
    }

    /// Paused and looked into; untouchable.
    pub fn pages() -> Vec<TargetPage> {
        let sample = |is_paused, may_change| TargetPage {
            frame: frame("Customer CRM", Place::Targets)
                .crumb("Target systems", "/governance/targets"),
            row: row("Customer CRM", Badge::new(Tone::Bad, "bad", "Check failed"), is_paused),
            description: Some(NASTY.to_owned()),
            settings: vec![("baseUrl".to_owned(), NASTY.to_owned())],
            secrets: vec!["bearerToken".to_owned()],
            concurrency: 8,
            owners_may_add: true,
            may_change,
            may_compare: may_change,
            drift_address: "/governance/drift?target=crm".to_owned(),
            search: NASTY.to_owned(),
            found: may_change.then(|| {
                vec![Found {
                    name: NASTY.to_owned(),
                    origin_id: "42".to_owned(),
                    description: None,
                    roles: vec!["Member".to_owned()],
                }]
            }),
        };
        vec![sample(false, true), sample(true, true), sample(false, false)]
    }

    #[test]
    fn settings_are_read_as_what_they_look_like() {
        let line = Field::new("any", "", "");
        let list = line.form(Form::List);
        assert_eq!(setting(&line, "true"), Value::Bool(true));
        assert_eq!(setting(&line, "8"), serde_json::json!(8));
        assert_eq!(setting(&line, "https://x.example"), serde_json::json!("https://x.example"));
        assert_eq!(setting(&list, "lobby"), serde_json::json!(["lobby"]));
        assert_eq!(setting(&list, "lobby, 2\r\nroof\n"), serde_json::json!(["lobby", "2", "roof"]));
        assert_eq!(setting(&list, "[\"a,b\"]"), serde_json::json!(["a,b"]));
    }
}
