//! Target systems: connecting them, checking them, looking into them, pausing them.
//!
//! Settings come back as they are; secrets go in and never come out. They are sealed with the key
//! that lives outside of the database, each target's bound to its own id.

use std::collections::BTreeMap;

use accede_domain::circuit::State;
use accede_domain::drain::{self, Drain};
use accede_domain::id::TargetId;
use accede_domain::permission::{Action, Reach};
use accede_domain::refusal::Refusal;
use accede_store::Tx;
use accede_store::circuits::{self, CircuitRow};
use accede_store::deliveries;
use accede_store::paces;
use accede_store::targets::{self, Checked, DIRECTORY, TargetRow};
use serde_json::{Map, Value, json};

use crate::creations::{self, Repeat};
use crate::drift::TargetDrift;
use crate::hands::{open_secrets, place};
use crate::list::ask;
use crate::resources::{Environment, of_target, within_deadline};
use crate::{App, Caller, Error, Listing, Page, Result, audit, text};

pub use accede_connectors::kinds::{KINDS, Kind};
pub use accede_connectors::settings::{COMMON, Field, Form};
pub use accede_connectors::{FoundResource, FoundRole};
pub use accede_store::targets::Backlog;

/// Longest name of a target, in characters.
pub const MAX_TARGET_NAME: usize = 64;
/// Most targets of a deployment.
pub const MAX_TARGETS: usize = 1_000;
/// Most settings or secrets of a target.
pub const MAX_SETTINGS: usize = 64;
/// Longest setting or secret, in characters. A private key fits.
pub const MAX_SETTING: usize = 16_384;
/// Most calls at once that a target can be set to.
pub const MAX_CONCURRENCY: u32 = 32;
/// Calls at once, if nothing is said (DESIGN D7).
pub const DEFAULT_CONCURRENCY: u32 = 8;
/// Most resources that one look into a target answers.
pub const MAX_DISCOVERED: usize = 200;

/// Names that mean something else in Graph, in lower case.
const RESERVED: [&str; 9] = [
    "aadgroup",
    "aadapplication",
    "sharepointonline",
    "azureresources",
    "directoryrole",
    "customdataprovidedresource",
    "sapiag",
    "directory",
    "accede",
];

/// A target to connect.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTarget {
    /// Its name, a slug; unique.
    pub name: String,
    /// Its name for people; its name if nothing is said.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Which connector speaks to it.
    pub kind: String,
    /// What the connector needs to know.
    pub settings: Map<String, Value>,
    /// What only the connector may know.
    pub secrets: BTreeMap<String, String>,
    /// Whether catalog owners may add its resources to their catalogs.
    pub catalog_owners_may_add: bool,
}

/// What changes of a target.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TargetChange {
    /// Its name for people.
    pub display_name: Option<String>,
    /// What it is for; `Some(None)` for nothing any more.
    pub description: Option<Option<String>>,
    /// Settings to set, or with null to take away.
    pub settings: Map<String, Value>,
    /// Secrets to set, or with `None` to take away.
    pub secrets: BTreeMap<String, Option<String>>,
    /// Whether catalog owners may add its resources to their catalogs.
    pub catalog_owners_may_add: Option<bool>,
    /// The version it was read in, if nobody else may have changed it since.
    pub expected: Option<i64>,
}

/// A target as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetView {
    /// Its id.
    pub id: TargetId,
    /// Its name: the `originSystem` of its resources.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which connector speaks to it.
    pub kind: String,
    /// Its settings, `concurrency` among them; only for those who may change targets.
    pub settings: Option<Value>,
    /// The names of its secrets; only for those who may change targets.
    pub secrets: Option<Vec<String>>,
    /// Most calls at once.
    pub concurrency: u32,
    /// Whether catalog owners may add its resources to their catalogs.
    pub catalog_owners_may_add: bool,
    /// Whether it is the built-in directory, which can neither be changed nor deleted.
    pub is_built_in: bool,
    /// Whether deliveries rest until somebody resumes it.
    pub is_paused: bool,
    /// What the last check found.
    pub checked: Option<Checked>,
    /// What is left to do there.
    pub backlog: Backlog,
    /// When that is done, at the pace of the last minutes; nothing if it is not called, nothing waits
    /// or nothing was done lately.
    pub drain: Option<Drain>,
    /// Whether it is called, and why not.
    pub circuit: CircuitRow,
    /// Whether it has been in trouble for so long, or in such, that somebody must look.
    pub is_out_of_order: bool,
    /// How it and what is wanted there differ.
    pub drift: TargetDrift,
    /// When it was made.
    pub created_at: accede_domain::Timestamp,
    /// When it was last changed.
    pub modified_at: accede_domain::Timestamp,
    /// Counts its changes.
    pub version: i64,
}

impl App {
    /// The targets.
    ///
    /// # Errors
    ///
    /// Forbidden; invalid for what the list does not have.
    pub async fn targets(&self, caller: &Caller, listing: &Listing) -> Result<Page<TargetView>> {
        caller.may_somewhere(Action::ReadTargets)?;
        self.store()
            .read(async |tx| {
                let page = targets::page(tx, ask(listing)?, listing.count).await?;
                let mut items = Vec::with_capacity(page.items.len());
                for row in page.items {
                    items.push(self.target_view(tx, caller, row).await?);
                }
                Ok(Page { items, next: page.next, count: page.count })
            })
            .await
    }

    /// A target.
    ///
    /// # Errors
    ///
    /// Not found, also for those who may read no target.
    pub async fn target(&self, caller: &Caller, id: TargetId) -> Result<TargetView> {
        may_read(caller, id)?;
        self.store()
            .read(async |tx| {
                let row = targets::get(tx, id).await?.ok_or_else(|| missing(id))?;
                self.target_view(tx, caller, row).await
            })
            .await
    }

    /// A target by its name.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn target_named(&self, caller: &Caller, name: &str) -> Result<TargetView> {
        caller.may_somewhere(Action::ReadTargets)?;
        self.store()
            .read(async |tx| {
                let row = targets::by_name(tx, name).await?;
                let row = row.ok_or_else(|| Error::not_found("target", name))?;
                self.target_view(tx, caller, row).await
            })
            .await
    }

    /// The targets as Graph's resource environments.
    ///
    /// # Errors
    ///
    /// Forbidden; invalid for what the list does not have.
    pub async fn environments(
        &self,
        caller: &Caller,
        listing: &Listing,
    ) -> Result<Page<Environment>> {
        caller.may_somewhere(Action::ReadTargets)?;
        self.store()
            .read(async |tx| {
                let page = targets::page(tx, ask(listing)?, listing.count).await?;
                let items = page.items.into_iter().map(Environment::from).collect();
                Ok(Page { items, next: page.next, count: page.count })
            })
            .await
    }

    /// One of Graph's resource environments.
    ///
    /// # Errors
    ///
    /// Not found, also for those who may read no target.
    pub async fn environment(&self, caller: &Caller, id: TargetId) -> Result<Environment> {
        let missing = || Error::not_found("resource environment", id);
        if caller.reach(Action::ReadTargets).is_empty() {
            return Err(missing());
        }
        self.store()
            .read(async |tx| {
                let row = targets::get(tx, id).await?.ok_or_else(missing)?;
                Ok(row.into())
            })
            .await
    }

    /// Connects a target. It is not called before somebody checks it or adds one of its resources.
    ///
    /// # Errors
    ///
    /// Forbidden; invalid, naming the setting or secret and the remedy; a duplicate name.
    pub async fn create_target(
        &self,
        caller: &Caller,
        new: &NewTarget,
        repeat: Option<&Repeat>,
    ) -> Result<TargetView> {
        let now = self.now();
        caller.may_everywhere(Action::ManageTargets)?;
        let name = slug(&new.name)?;
        let id: TargetId = self.mint(now);
        let display_name = match &new.display_name {
            Some(given) => text::name("displayName", given)?,
            None => name.clone(),
        };
        let description =
            new.description.as_deref().map(|d| text::description("description", d)).transpose()?;
        if new.kind == DIRECTORY {
            return Err(Error::invalid(
                "kind",
                "the built-in directory is a target already; its groups have the originSystem \
                 `AadGroup`",
            ));
        }
        let (settings, concurrency) = self.checked(id, &new.kind, &new.settings, &new.secrets)?;
        let secrets = self.sealed(id, &new.secrets)?;
        let row = TargetRow {
            id,
            name,
            display_name,
            description,
            kind: new.kind.clone(),
            settings,
            secrets,
            concurrency,
            catalog_owners_may_add: new.catalog_owners_may_add,
            is_paused: false,
            checked: None,
            created_at: now,
            modified_at: now,
            version: 1,
        };
        self.store()
            .write(async |tx| {
                if let Some(before) = creations::begin(tx, caller, repeat, row.id, now).await?
                    && let Some(before) = targets::get(tx, before).await?
                {
                    return self.target_view(tx, caller, before).await;
                }
                self.check_assignee(tx, &row).await?;
                if MAX_TARGETS <= targets::list(tx, MAX_TARGETS).await?.len() {
                    return Err(Error::Limit {
                        what: "the number of target systems",
                        limit: MAX_TARGETS,
                        advice: "delete one that is not used any more",
                    });
                }
                targets::insert(tx, &row).await.map_err(|error| match error {
                    accede_store::Error::Duplicate { .. } => Error::Duplicate {
                        code: "DuplicateKey",
                        sentence: format!(
                            "there is already a target system named `{}`; choose another name",
                            row.name
                        ),
                    },
                    other => other.into(),
                })?;
                self.extra_policy_set(tx, caller, &row, None, now).await?;
                let detail = json!({
                    "name": row.name,
                    "kind": row.kind,
                    "settings": row.settings,
                    "secrets": new.secrets.keys().collect::<Vec<_>>(),
                    "catalogOwnersMayAdd": row.catalog_owners_may_add,
                });
                self.audit_target(tx, caller, "target created", id, detail).await?;
                self.target_view(tx, caller, row.clone()).await
            })
            .await
    }

    /// Changes a target: settings and secrets that are not named stay as they are.
    ///
    /// # Errors
    ///
    /// Forbidden, not found, invalid, stale.
    pub async fn change_target(
        &self,
        caller: &Caller,
        id: TargetId,
        change: &TargetChange,
    ) -> Result<TargetView> {
        let now = self.now();
        let display_name =
            change.display_name.as_deref().map(|n| text::name("displayName", n)).transpose()?;
        let description = match &change.description {
            Some(Some(given)) => Some(Some(text::description("description", given)?)),
            other => other.clone(),
        };
        let view = self
            .store()
            .write(async |tx| {
                let mut row = self.changeable(tx, caller, id).await?;
                if change.expected.is_some_and(|expected| expected != row.version) {
                    return Err(Error::Stale);
                }
                let before = row.clone();
                let is_technical = !change.settings.is_empty() || !change.secrets.is_empty();
                if is_technical && row.kind == DIRECTORY {
                    return Err(built_in("has no settings and no secrets"));
                }
                row.display_name = display_name.clone().unwrap_or(row.display_name);
                row.description = description.clone().unwrap_or(row.description);
                row.catalog_owners_may_add =
                    change.catalog_owners_may_add.unwrap_or(row.catalog_owners_may_add);
                if is_technical {
                    let mut settings = shown_settings(&row);
                    for (name, value) in &change.settings {
                        match value {
                            Value::Null => settings.remove(name),
                            value => settings.insert(name.clone(), value.clone()),
                        };
                    }
                    let mut secrets = open_secrets(self, &row)?;
                    for (name, value) in &change.secrets {
                        match value {
                            None => secrets.remove(name),
                            Some(value) => secrets.insert(name.clone(), value.clone()),
                        };
                    }
                    let (settings, concurrency) =
                        self.checked(id, &row.kind, &settings, &secrets)?;
                    row.settings = settings;
                    row.concurrency = concurrency;
                    self.check_assignee(tx, &row).await?;
                    if !change.secrets.is_empty() {
                        row.secrets = self.sealed(id, &secrets)?;
                    }
                }
                row.modified_at = now;
                targets::save(tx, &mut row).await?;
                if is_technical {
                    // What waited for better credentials goes out by itself.
                    self.nudge_circuit(tx, id).await?;
                    self.extra_policy_set(tx, caller, &row, Some(&before.settings), now).await?;
                }
                let mut detail = audit::changes(&[
                    ("displayName", json!(before.display_name), json!(row.display_name)),
                    ("description", json!(before.description), json!(row.description)),
                    ("settings", shown_settings(&before).into(), shown_settings(&row).into()),
                    (
                        "catalogOwnersMayAdd",
                        json!(before.catalog_owners_may_add),
                        json!(row.catalog_owners_may_add),
                    ),
                ]);
                if !change.secrets.is_empty()
                    && let Some(detail) = detail.as_object_mut()
                {
                    let names: Vec<&String> = change.secrets.keys().collect();
                    detail.insert("secretsChanged".to_owned(), json!(names));
                }
                self.audit_target(tx, caller, "target changed", id, detail).await?;
                if is_technical {
                    // What it refused to take away may be taken now; last, as it holds many rows.
                    deliveries::try_stuck_at(tx, id, now).await?;
                }
                self.target_view(tx, caller, row).await
            })
            .await?;
        self.wake();
        Ok(view)
    }

    /// Deletes a target that nothing uses and nothing was ever delivered to.
    ///
    /// # Errors
    ///
    /// Forbidden, not found, refused while it is used.
    pub async fn delete_target(
        &self,
        caller: &Caller,
        id: TargetId,
        expected: Option<i64>,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let row = self.changeable(tx, caller, id).await?;
                if expected.is_some_and(|expected| expected != row.version) {
                    return Err(Error::Stale);
                }
                if row.kind == DIRECTORY {
                    return Err(built_in("cannot be deleted"));
                }
                let usage = targets::usage(tx, id).await?;
                if 0 < usage.resources {
                    return Err(Error::Refused(Refusal::InUse {
                        code: "TargetHasResources",
                        what: "the target system",
                        reason: format!("{} of its resources are in catalogs", usage.resources),
                        advice: "remove them from their catalogs first",
                    }));
                }
                if usage.has_deliveries {
                    return Err(Error::Refused(Refusal::InUse {
                        code: "TargetHasDeliveries",
                        what: "the target system",
                        reason: "the record of what was delivered there is kept".to_owned(),
                        advice: "pause it instead",
                    }));
                }
                self.plan_no_extras(tx, id, now).await?;
                targets::delete(tx, id).await?;
                let detail = json!({ "name": row.name, "kind": row.kind });
                self.audit_target(tx, caller, "target deleted", id, detail).await
            })
            .await?;
        self.hands().forget(id);
        Ok(())
    }

    /// Asks a target whether it can be reached and used, and keeps what it said.
    ///
    /// # Errors
    ///
    /// Forbidden, not found. A target that does not answer is an answer, not an error.
    pub async fn check_target(&self, caller: &Caller, id: TargetId) -> Result<TargetView> {
        may_manage(caller, id)?;
        let row = self.target_row(id).await?;
        self.check(&row).await?;
        self.store()
            .read(async |tx| {
                let row = targets::get(tx, id).await?.ok_or_else(|| missing(id))?;
                self.target_view(tx, caller, row).await
            })
            .await
    }

    /// Looks for resources in a target whose name or id contains `search`, at most `limit` (and
    /// [`MAX_DISCOVERED`]).
    ///
    /// # Errors
    ///
    /// Forbidden, unless the caller could add what they find; not found; a target fault.
    pub async fn discover(
        &self,
        caller: &Caller,
        id: TargetId,
        search: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FoundResource>> {
        may_read(caller, id)?;
        let row = self.target_row(id).await?;
        if caller.reach(Action::ManageTargets) != Reach::Everywhere {
            let open = row.catalog_owners_may_add || row.kind == DIRECTORY;
            if !open {
                return Err(caller.lacks(Action::ManageTargets));
            }
            caller.may_somewhere(Action::ManageResources)?;
        }
        let search = search.map(str::trim).filter(|search| !search.is_empty());
        let connector = self.hands().get(&row).map_err(|fault| of_target(&row, fault))?;
        let found = connector.discover(search, limit.clamp(1, MAX_DISCOVERED));
        let mut found = within_deadline(found).await.map_err(|fault| of_target(&row, fault))?;
        found.truncate(limit.clamp(1, MAX_DISCOVERED));
        Ok(found)
    }

    /// Lets deliveries to a target rest until it is resumed. Calls in flight finish.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn pause_target(&self, caller: &Caller, id: TargetId) -> Result<TargetView> {
        self.set_paused(caller, id, true).await
    }

    /// Lets deliveries to a target go on.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn resume_target(&self, caller: &Caller, id: TargetId) -> Result<TargetView> {
        let view = self.set_paused(caller, id, false).await?;
        self.wake();
        Ok(view)
    }

    async fn set_paused(
        &self,
        caller: &Caller,
        id: TargetId,
        is_paused: bool,
    ) -> Result<TargetView> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let mut row = self.changeable(tx, caller, id).await?;
                if row.is_paused != is_paused {
                    row.is_paused = is_paused;
                    row.modified_at = now;
                    targets::save(tx, &mut row).await?;
                    if !is_paused {
                        self.nudge_circuit(tx, id).await?;
                    }
                    let action = if is_paused { "target paused" } else { "target resumed" };
                    let detail = json!({ "name": row.name });
                    self.audit_target(tx, caller, action, id, detail).await?;
                    if !is_paused {
                        deliveries::try_stuck_at(tx, id, now).await?;
                    }
                }
                self.target_view(tx, caller, row).await
            })
            .await
    }

    /// A target that the caller may change, with its row held.
    async fn changeable(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        id: TargetId,
    ) -> Result<TargetRow> {
        may_manage(caller, id)?;
        targets::lock(tx, id).await?.ok_or_else(|| missing(id))
    }

    async fn target_row(&self, id: TargetId) -> Result<TargetRow> {
        self.store().read(async |tx| targets::get(tx, id).await?.ok_or_else(|| missing(id))).await
    }

    async fn target_view(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        row: TargetRow,
    ) -> Result<TargetView> {
        let backlog = targets::backlog(tx, row.id).await?;
        let circuit = circuits::get(tx, row.id).await?;
        let now = self.now();
        let window = now.checked_sub(drain::WINDOW).unwrap_or(now);
        let is_called = !row.is_paused && circuit.circuit.state == State::Closed;
        let drain = match backlog.is_waiting() && is_called {
            true => {
                let pace = paces::since(tx, row.id, window).await?;
                drain::drain(backlog.due + backlog.in_flight, pace, now)
            }
            false => None,
        };
        let drift = TargetDrift::of(tx, &caller.reach(Action::ReadRequests), row.id).await?;
        let manages = caller.reach(Action::ManageTargets) == Reach::Everywhere;
        let secrets = if manages {
            // A key that was lost is no reason to show nothing.
            Some(open_secrets(self, &row).map(|all| all.into_keys().collect()).unwrap_or_default())
        } else {
            None
        };
        Ok(TargetView {
            settings: manages.then(|| shown_settings(&row).into()),
            secrets,
            id: row.id,
            is_built_in: row.kind == DIRECTORY,
            name: row.name,
            display_name: row.display_name,
            description: row.description,
            kind: row.kind,
            concurrency: row.concurrency,
            catalog_owners_may_add: row.catalog_owners_may_add,
            is_paused: row.is_paused,
            checked: row.checked,
            backlog,
            drain,
            drift,
            is_out_of_order: circuit.circuit.is_out_of_order(now),
            circuit,
            created_at: row.created_at,
            modified_at: row.modified_at,
            version: row.version,
        })
    }

    /// Checks settings and secrets as the connector will use them; the settings to store, and the
    /// concurrency, which is ours and not the connector's.
    fn checked(
        &self,
        id: TargetId,
        kind: &str,
        settings: &Map<String, Value>,
        secrets: &BTreeMap<String, String>,
    ) -> Result<(Value, u32)> {
        let sizes = [("settings", settings.len()), ("secrets", secrets.len())];
        if let Some((path, n)) = sizes.into_iter().find(|(_, n)| MAX_SETTINGS < *n) {
            let sentence = format!("has {n} members; the limit is {MAX_SETTINGS}");
            return Err(Error::invalid(path, sentence));
        }
        let too_long = |length: usize| MAX_SETTING < length;
        for (name, value) in settings {
            if too_long(value.to_string().chars().count()) {
                let sentence = format!("is too long; the limit is {MAX_SETTING} characters");
                return Err(Error::invalid(format!("settings.{name}"), sentence));
            }
        }
        for (name, value) in secrets {
            if value.is_empty() || too_long(value.chars().count()) {
                let sentence = format!("must have 1 to {MAX_SETTING} characters");
                return Err(Error::invalid(format!("secrets.{name}"), sentence));
            }
        }
        let mut settings = settings.clone();
        let concurrency = match settings.remove("concurrency") {
            None | Some(Value::Null) => DEFAULT_CONCURRENCY,
            Some(value) => value
                .as_u64()
                .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| (1..=MAX_CONCURRENCY).contains(n))
                .ok_or_else(|| {
                    let sentence = format!("must be a whole number from 1 to {MAX_CONCURRENCY}");
                    Error::invalid("settings.concurrency", sentence)
                })?,
        };
        let settings = Value::Object(settings);
        self.hands().validate(id, kind, &settings, secrets)?;
        Ok((settings, concurrency))
    }

    fn sealed(&self, id: TargetId, secrets: &BTreeMap<String, String>) -> Result<Option<Vec<u8>>> {
        if secrets.is_empty() {
            return Ok(None);
        }
        let plain = serde_json::to_vec(secrets).map_err(Error::internal)?;
        self.seal(place(&id.to_string()), &plain).map(Some)
    }

    async fn audit_target(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        action: &str,
        id: TargetId,
        detail: Value,
    ) -> Result<()> {
        let event = audit::Event {
            action,
            object_type: "target",
            object_id: id.to_string(),
            catalog: None,
            detail,
        };
        audit::record(self, tx, caller, event, self.now()).await
    }
}

/// Refuses what cannot be done at a target while it is paused; `so` is what cannot.
pub(crate) fn refuse_paused(target: &TargetRow, so: &str) -> Result<()> {
    if !target.is_paused {
        return Ok(());
    }
    let name = &target.name;
    let sentence = format!("target system `{name}` is paused, so {so}; resume it first");
    Err(Error::from(Refusal::Rule { code: "TargetPaused", sentence }))
}

fn missing(id: TargetId) -> Error {
    Error::not_found("target", id)
}

/// Targets belong to no catalog: who may read any may know of each.
fn may_read(caller: &Caller, id: TargetId) -> Result<()> {
    if caller.reach(Action::ReadTargets).is_empty() { Err(missing(id)) } else { Ok(()) }
}

fn may_manage(caller: &Caller, id: TargetId) -> Result<()> {
    caller.may_on_shared(Action::ManageTargets, Action::ReadTargets, "target", id)
}

fn built_in(what: &str) -> Error {
    Error::Refused(Refusal::Rule {
        code: "BuiltInTarget",
        sentence: format!("the built-in directory {what}"),
    })
}

/// The settings as readers see them: with the concurrency, which is stored beside them.
fn shown_settings(row: &TargetRow) -> Map<String, Value> {
    let mut settings = row.settings.as_object().cloned().unwrap_or_default();
    if row.kind != DIRECTORY {
        settings.insert("concurrency".to_owned(), row.concurrency.into());
    }
    settings
}

/// A target's name: what its resources' `originSystem` will be, so it must be easy to write.
fn slug(name: &str) -> Result<String> {
    let fits = (1..=MAX_TARGET_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits {
        return Err(Error::invalid(
            "name",
            format!("must have 1 to {MAX_TARGET_NAME} characters, each one of a-z, 0-9 and `-`"),
        ));
    }
    if RESERVED.contains(&name) {
        let sentence = format!("`{name}` is reserved; choose another name");
        return Err(Error::invalid("name", sentence));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_slugs_and_not_graphs_own() {
        for good in ["a", "hr", "wiki-2", "0"] {
            assert!(slug(good).is_ok(), "{good}");
        }
        for bad in ["", "HR", "a b", "ä", "a_b", "aadgroup", "directory", &"a".repeat(65)] {
            assert!(slug(bad).is_err(), "{bad}");
        }
    }
}
