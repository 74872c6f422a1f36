//! Groups of the built-in directory: create, read, change, delete; members and owners.

use accede_domain::Timestamp;
use accede_domain::id::{GroupId, UserId};
use accede_domain::permission::Action;
use accede_domain::refusal::Refusal;
use accede_store::groups::Of;
use accede_store::{Tx, directory_roles, groups, role_assignments, users};
use serde_json::{Value, json};

pub use accede_store::groups::{Group, Tie};

use crate::audit::{self, Event};
use crate::creations::{self, Repeat};
use crate::list::ask;
use crate::users::{User, existing};
use crate::{App, Caller, Error, Listing, Page, Result, fields};

/// Longest description of a group, in characters (Graph's limit).
pub const MAX_DESCRIPTION: usize = 1_024;
/// Most members and owners that are named when a group is created or changed (Graph's limit is 20).
pub const MAX_BOUND: usize = 100;
/// Who may see a group.
const VISIBILITIES: [&str; 3] = ["Public", "Private", "HiddenMembership"];

/// What a new group is.
#[derive(Debug, Clone, Default)]
pub struct NewGroup {
    /// Name for people.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Short name; made from the name if `None`.
    pub mail_nickname: Option<String>,
    /// `Public`, `Private` or `HiddenMembership`.
    pub visibility: Option<String>,
    /// Its first members.
    pub members: Vec<UserId>,
    /// Its first owners.
    pub owners: Vec<UserId>,
}

/// What changes; `None` leaves as it is, `Some(None)` clears.
#[derive(Debug, Clone, Default)]
pub struct GroupChange {
    /// Name for people.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<Option<String>>,
    /// Short name.
    pub mail_nickname: Option<String>,
    /// `Public`, `Private` or `HiddenMembership`.
    pub visibility: Option<Option<String>>,
    /// Members to add.
    pub members: Vec<UserId>,
}

impl App {
    /// Adds a group.
    ///
    /// # Errors
    ///
    /// Forbidden; a field that is wrong; an unknown member or owner.
    pub async fn create_group(&self, caller: &Caller, new: NewGroup) -> Result<Group> {
        self.create_group_once(caller, new, None).await
    }

    /// Adds a group, once however often the same create is sent.
    ///
    /// # Errors
    ///
    /// Like [`App::create_group`].
    pub async fn create_group_once(
        &self,
        caller: &Caller,
        new: NewGroup,
        repeat: Option<&Repeat>,
    ) -> Result<Group> {
        caller.may_everywhere(Action::ManageDirectory)?;
        let now = self.now();
        let display_name = fields::required("displayName", &new.display_name, fields::MAX_NAME)?;
        let mail_nickname = match &new.mail_nickname {
            Some(name) => fields::nickname("mailNickname", name)?,
            None => nickname_of(&display_name),
        };
        let group = Group {
            id: self.mint(now),
            display_name,
            description: description(new.description.as_deref())?,
            mail_nickname,
            mail: None,
            visibility: visibility(new.visibility.as_deref())?,
            created_at: now,
            version: 1,
        };
        limit(new.members.len())?;
        limit(new.owners.len())?;
        self.store()
            .write(async |tx| {
                if let Some(before) = creations::begin(tx, caller, repeat, group.id, now).await?
                    && let Some(before) = groups::get(tx, before).await?
                {
                    return Ok(before);
                }
                groups::insert(tx, &group).await?;
                for (tie, people) in [(Tie::Member, &new.members), (Tie::Owner, &new.owners)] {
                    for user in people {
                        person(tx, tie, *user).await?;
                    }
                    groups::add(tx, group.id, tie, people).await?;
                }
                let detail = json!({
                    "displayName": group.display_name,
                    "members": texts(&new.members),
                    "owners": texts(&new.owners),
                });
                self.note_group(tx, caller, "group created", group.id, detail, now).await?;
                Ok(group.clone())
            })
            .await
    }

    /// One group.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn group(&self, caller: &Caller, id: GroupId) -> Result<Group> {
        self.may_read_directory(caller)?;
        let found = self.store().read(async |tx| groups::get(tx, id).await).await;
        found?.ok_or_else(|| no_group(id))
    }

    /// A page of the groups.
    ///
    /// # Errors
    ///
    /// Forbidden; what the list does not have.
    pub async fn list_groups(&self, caller: &Caller, listing: &Listing) -> Result<Page<Group>> {
        self.may_read_directory(caller)?;
        self.page_of_groups(Of::All, listing).await
    }

    /// A page of a group's members or owners.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; what the list does not have.
    pub async fn list_group_people(
        &self,
        caller: &Caller,
        id: GroupId,
        tie: Tie,
        listing: &Listing,
    ) -> Result<Page<User>> {
        self.group(caller, id).await?;
        let of = match tie {
            Tie::Member => users::Of::Group(id),
            Tie::Owner => users::Of::OwnedGroup(id),
        };
        self.page_of_users(of, listing).await
    }

    pub(crate) async fn page_of_groups(&self, of: Of, listing: &Listing) -> Result<Page<Group>> {
        let plan = groups::plan(of, ask(listing)?)?;
        self.store()
            .read(async |tx| {
                let (items, next) = groups::list(tx, of, &plan).await?;
                let count =
                    if listing.count { Some(groups::count(tx, of, &plan).await?) } else { None };
                Ok::<_, Error>(Page { items, next, count })
            })
            .await
    }

    /// Whether the caller may change a group: administrators of the directory, its owners; only a
    /// Global Administrator while it holds a directory role.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn may_change_group(&self, caller: &Caller, id: GroupId) -> Result<bool> {
        self.group(caller, id).await?;
        self.store().read(async |tx| may_manage(tx, caller, id).await).await
    }

    /// Changes a group; its owners may too.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; a field that is wrong; an unknown member.
    pub async fn change_group(
        &self,
        caller: &Caller,
        id: GroupId,
        change: GroupChange,
    ) -> Result<Group> {
        let now = self.now();
        limit(change.members.len())?;
        self.store()
            .write(async |tx| {
                let mut group = manageable(tx, caller, id).await?;
                let before = group.clone();
                if let Some(name) = &change.display_name {
                    group.display_name = fields::required("displayName", name, fields::MAX_NAME)?;
                }
                if let Some(text) = &change.description {
                    group.description = description(text.as_deref())?;
                }
                if let Some(name) = &change.mail_nickname {
                    group.mail_nickname = fields::nickname("mailNickname", name)?;
                }
                if let Some(text) = &change.visibility {
                    group.visibility = visibility(text.as_deref())?;
                }
                if group != before {
                    groups::save(tx, &group).await?;
                    group.version += 1;
                    let detail = json!({ "displayName": group.display_name });
                    self.note_group(tx, caller, "group changed", id, detail, now).await?;
                }
                if !change.members.is_empty() {
                    self.tie(tx, caller, id, Tie::Member, &change.members, now).await?;
                }
                Ok(group)
            })
            .await
    }

    /// Deletes a group with its memberships and the roles it held.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; refused while packages or catalogs use it, or while a catalog would
    /// have no owner left.
    pub async fn delete_group(&self, caller: &Caller, id: GroupId) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let group = manageable(tx, caller, id).await?;
                let uses = groups::uses(tx, id).await?;
                if !uses.catalogs.is_empty() {
                    return Err(in_use(
                        format!("these catalogs hold it as a resource: {}", names(&uses.catalogs)),
                        "remove the resource from them first",
                    ));
                }
                if !uses.packages.is_empty() {
                    return Err(in_use(
                        format!(
                            "these access packages are incompatible with it: {}",
                            names(&uses.packages)
                        ),
                        "remove it from their incompatible groups first",
                    ));
                }
                let owned = role_assignments::sole_ownerships(tx, id.0).await?;
                if !owned.is_empty() {
                    return Err(in_use(
                        format!("it is the only owner of these catalogs: {}", names(&owned)),
                        "give them another owner first",
                    ));
                }
                role_assignments::delete_of_principal(tx, id.0).await?;
                directory_roles::revoke_all(tx, id.0).await?;
                groups::delete(tx, id).await?;
                let detail = json!({ "displayName": group.display_name });
                self.note_group(tx, caller, "group deleted", id, detail, now).await
            })
            .await
    }

    /// Makes a user a member or an owner.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; a duplicate when they are so already, as in Graph.
    pub async fn add_to_group(
        &self,
        caller: &Caller,
        id: GroupId,
        tie: Tie,
        user: UserId,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                manageable(tx, caller, id).await?;
                if self.tie(tx, caller, id, tie, &[user], now).await? == 0 {
                    let what = match tie {
                        Tie::Member => "a member",
                        Tie::Owner => "an owner",
                    };
                    return Err(Error::Duplicate {
                        code: "DuplicateKey",
                        sentence: format!("user `{user}` is already {what} of the group"),
                    });
                }
                Ok(())
            })
            .await
    }

    /// Ends a user's membership or ownership.
    ///
    /// # Errors
    ///
    /// Forbidden; not found, also when the user is no member or owner.
    pub async fn remove_from_group(
        &self,
        caller: &Caller,
        id: GroupId,
        tie: Tie,
        user: UserId,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                manageable(tx, caller, id).await?;
                if !groups::remove(tx, id, tie, user).await? {
                    return Err(match tie {
                        Tie::Member => Error::not_found("member of the group", user),
                        Tie::Owner => Error::not_found("owner of the group", user),
                    });
                }
                let (action, key) = match tie {
                    Tie::Member => ("member removed", "member"),
                    Tie::Owner => ("owner removed", "owner"),
                };
                let detail = json!({ key: user.to_string() });
                self.note_group(tx, caller, action, id, detail, now).await
            })
            .await
    }

    async fn tie(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        id: GroupId,
        tie: Tie,
        people: &[UserId],
        now: Timestamp,
    ) -> Result<u64> {
        for user in people {
            person(tx, tie, *user).await?;
        }
        let added = groups::add(tx, id, tie, people).await?;
        if added > 0 {
            let (action, key) = match tie {
                Tie::Member => ("members added", "members"),
                Tie::Owner => ("owners added", "owners"),
            };
            let detail = json!({ key: texts(people) });
            self.note_group(tx, caller, action, id, detail, now).await?;
        }
        Ok(added)
    }

    async fn note_group(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        action: &str,
        id: GroupId,
        detail: Value,
        now: Timestamp,
    ) -> Result<()> {
        let event = Event {
            action,
            object_type: "group",
            object_id: id.to_string(),
            catalog: None,
            detail,
        };
        audit::record(self, tx, caller, event, now).await
    }
}

/// Whether a caller may change a group's members: whoever may change the directory, and its owners.
/// A group that holds a directory role is for Global Administrators alone.
pub(crate) async fn may_manage(tx: &mut Tx<'_>, caller: &Caller, id: GroupId) -> Result<bool> {
    if caller.may_everywhere(Action::ManageRoles).is_ok() {
        return Ok(true);
    }
    if !directory_roles::held(tx, id.0).await?.is_empty() {
        return Ok(false);
    }
    if caller.may_everywhere(Action::ManageDirectory).is_ok() {
        return Ok(true);
    }
    match caller.user() {
        Some(user) if caller.scope_allows(Action::ManageDirectory) => {
            Ok(groups::has(tx, id, Tie::Owner, user).await?)
        }
        _ => Ok(false),
    }
}

async fn manageable(tx: &mut Tx<'_>, caller: &Caller, id: GroupId) -> Result<Group> {
    let Some(group) = groups::get(tx, id).await? else { return Err(no_group(id)) };
    if may_manage(tx, caller, id).await? {
        Ok(group)
    } else if !directory_roles::held(tx, id.0).await?.is_empty() {
        let need = "Global Administrator, because the group holds a directory role".to_owned();
        Err(Error::Forbidden { need })
    } else {
        Err(caller.lacks(Action::ManageDirectory))
    }
}

/// A user who is to be a member or an owner. Groups cannot: say so instead of not finding them.
async fn person(tx: &mut Tx<'_>, tie: Tie, id: UserId) -> Result<User> {
    let missing = match existing(tx, id).await {
        Ok(user) => return Ok(user),
        Err(missing) => missing,
    };
    if groups::get(tx, GroupId(id.0)).await?.is_none() {
        return Err(missing);
    }
    let (path, what) = match tie {
        Tie::Member => ("members", "members"),
        Tie::Owner => ("owners", "owners"),
    };
    let sentence = format!("`{id}` is a group; the {what} of a group are users, never groups");
    Err(Error::invalid(path, sentence))
}

fn no_group(id: GroupId) -> Error {
    Error::not_found("group", id)
}

fn in_use(reason: String, advice: &'static str) -> Error {
    Error::Refused(Refusal::InUse { code: "GroupInUse", what: "the group", reason, advice })
}

fn names(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn texts(ids: &[UserId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn limit(bound: usize) -> Result<()> {
    if bound <= MAX_BOUND {
        return Ok(());
    }
    Err(Error::Limit {
        what: "people named with a group",
        limit: MAX_BOUND,
        advice: "add the others by `$ref`",
    })
}

fn description(text: Option<&str>) -> Result<Option<String>> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let length = text.chars().count();
    if MAX_DESCRIPTION < length {
        let sentence = format!("has {length} characters; the limit is {MAX_DESCRIPTION}");
        return Err(Error::invalid("description", sentence));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Error::invalid("description", "cannot contain control characters"));
    }
    Ok(Some(text.to_owned()))
}

fn visibility(text: Option<&str>) -> Result<Option<String>> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let known = VISIBILITIES.into_iter().find(|known| known.eq_ignore_ascii_case(text));
    known.map(|known| Some(known.to_owned())).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        let sentence = format!("`{shown}` is none of {}", VISIBILITIES.join(", "));
        Error::invalid("visibility", sentence)
    })
}

/// A short name made of a long one.
fn nickname_of(name: &str) -> String {
    let short: String = name
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(fields::MAX_NICKNAME)
        .collect();
    if short.is_empty() { "group".to_owned() } else { short.to_lowercase() }
}
