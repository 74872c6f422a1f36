//! Users: create, read, change, delete; who reports to whom.

use accede_domain::Timestamp;
use accede_domain::id::{SubjectId, UserId};
use accede_domain::permission::Action;
use accede_domain::refusal::Refusal;
use accede_store::subjects::{self, Kind, NewSubject};
use accede_store::users::{Of, UserType};
use accede_store::{
    Tx, accounts, directory_roles, groups, people, role_assignments, sessions, users,
};
use serde_json::{Value, json};
use uuid::Uuid;

pub use accede_store::groups::Group;
pub use accede_store::subjects::Subject;
pub use accede_store::users::User;

use crate::audit::{self, Event};
use crate::creations::{self, Repeat};
use crate::delivering::subject_left;
use crate::list::ask;
use crate::{App, Caller, Error, Listing, Page, Result, fields};

/// Most people above each other, from the lowest to the highest.
pub const MAX_CHAIN: usize = 100;

/// What a new user is.
#[derive(Debug, Clone, Default)]
pub struct NewUser {
    /// Sign-in name.
    pub user_principal_name: String,
    /// Full name.
    pub display_name: String,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub surname: Option<String>,
    /// Mail address.
    pub mail: Option<String>,
    /// Department.
    pub department: Option<String>,
    /// Job title.
    pub job_title: Option<String>,
    /// Company.
    pub company_name: Option<String>,
    /// Number in the personnel system.
    pub employee_id: Option<String>,
    /// `Member` or `Guest`; `Member` if `None`.
    pub user_type: Option<String>,
    /// Whether they may sign in and hold access; so if `None`.
    pub account_enabled: Option<bool>,
    /// Their manager.
    pub manager: Option<UserId>,
    /// The password of a local account, if they get one.
    pub password: Option<String>,
}

/// What changes; `None` leaves as it is, `Some(None)` clears.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// Sign-in name.
    pub user_principal_name: Option<String>,
    /// Full name.
    pub display_name: Option<String>,
    /// First name.
    pub given_name: Option<Option<String>>,
    /// Last name.
    pub surname: Option<Option<String>>,
    /// Mail address.
    pub mail: Option<Option<String>>,
    /// Department.
    pub department: Option<Option<String>>,
    /// Job title.
    pub job_title: Option<Option<String>>,
    /// Company.
    pub company_name: Option<Option<String>>,
    /// Number in the personnel system.
    pub employee_id: Option<Option<String>>,
    /// `Member` or `Guest`.
    pub user_type: Option<String>,
    /// Whether they may sign in and hold access.
    pub account_enabled: Option<bool>,
    /// A new password of their local account, which is made if there is none.
    pub password: Option<String>,
}

impl UserChange {
    /// Writes what changes into a user, and says which properties did.
    pub(crate) fn apply(&self, user: &mut User) -> Result<Vec<&'static str>> {
        let before = user.clone();
        if let Some(name) = &self.user_principal_name {
            user.user_principal_name = fields::principal_name("userPrincipalName", name)?;
        }
        if let Some(name) = &self.display_name {
            user.display_name = fields::required("displayName", name, fields::MAX_NAME)?;
        }
        let short = |path: &str, text: &Option<String>| {
            fields::optional(path, text.as_deref(), fields::MAX_SHORT)
        };
        if let Some(text) = &self.given_name {
            user.given_name = short("givenName", text)?;
        }
        if let Some(text) = &self.surname {
            user.surname = short("surname", text)?;
        }
        if let Some(text) = &self.mail {
            user.mail = fields::mail("mail", text.as_deref())?;
        }
        if let Some(text) = &self.department {
            user.department = short("department", text)?;
        }
        if let Some(text) = &self.job_title {
            user.job_title = short("jobTitle", text)?;
        }
        if let Some(text) = &self.company_name {
            user.company_name = short("companyName", text)?;
        }
        if let Some(text) = &self.employee_id {
            user.employee_id =
                fields::optional("employeeId", text.as_deref(), fields::MAX_EMPLOYEE_ID)?;
        }
        if let Some(kind) = &self.user_type {
            user.user_type = user_type(kind)?;
        }
        if let Some(enabled) = self.account_enabled {
            user.account_enabled = enabled;
        }
        Ok(differences(&before, user))
    }
}

fn differences(before: &User, after: &User) -> Vec<&'static str> {
    let pairs = [
        ("userPrincipalName", before.user_principal_name != after.user_principal_name),
        ("displayName", before.display_name != after.display_name),
        ("givenName", before.given_name != after.given_name),
        ("surname", before.surname != after.surname),
        ("mail", before.mail != after.mail),
        ("department", before.department != after.department),
        ("jobTitle", before.job_title != after.job_title),
        ("companyName", before.company_name != after.company_name),
        ("employeeId", before.employee_id != after.employee_id),
        ("userType", before.user_type != after.user_type),
        ("accountEnabled", before.account_enabled != after.account_enabled),
    ];
    pairs.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

fn user_type(kind: &str) -> Result<UserType> {
    UserType::parse(kind.trim()).ok_or_else(|| {
        let shown: String = kind.chars().take(40).collect();
        Error::invalid("userType", format!("`{shown}` is neither Member nor Guest"))
    })
}

impl App {
    /// Adds a user.
    ///
    /// # Errors
    ///
    /// Forbidden; a field that is wrong; a sign-in name that is taken; an unknown manager.
    pub async fn create_user(&self, caller: &Caller, new: NewUser) -> Result<User> {
        self.create_user_once(caller, new, None).await
    }

    /// Adds a user, once however often the same create is sent.
    ///
    /// # Errors
    ///
    /// Like [`App::create_user`].
    pub async fn create_user_once(
        &self,
        caller: &Caller,
        new: NewUser,
        repeat: Option<&Repeat>,
    ) -> Result<User> {
        caller.may_everywhere(Action::ManageDirectory)?;
        let now = self.now();
        let name = fields::principal_name("userPrincipalName", &new.user_principal_name)?;
        let mut user = User::new(self.mint(now), self.mint(now), name, now);
        user.manager = new.manager;
        let NewUser { password, manager, .. } = new;
        let change = UserChange {
            user_principal_name: None,
            display_name: Some(new.display_name),
            given_name: Some(new.given_name),
            surname: Some(new.surname),
            mail: Some(new.mail),
            department: Some(new.department),
            job_title: Some(new.job_title),
            company_name: Some(new.company_name),
            employee_id: Some(new.employee_id),
            user_type: new.user_type,
            account_enabled: new.account_enabled,
            password: None,
        };
        change.apply(&mut user)?;
        let hash = match &password {
            Some(password) => {
                Some(self.hash_password("passwordProfile.password", password, &user).await?)
            }
            None => None,
        };
        self.store()
            .write(async |tx| {
                if let Some(before) = creations::begin(tx, caller, repeat, user.id, now).await?
                    && let Some(before) = users::get(tx, before).await?
                {
                    return Ok(before);
                }
                if users::by_name(tx, &user.user_principal_name).await?.is_some() {
                    return Err(taken(&user.user_principal_name));
                }
                if let Some(manager) = manager {
                    existing(tx, manager).await?;
                }
                insert(tx, std::slice::from_ref(&user)).await?;
                if let Some(hash) = &hash {
                    accounts::put(tx, user.id, hash, now).await?;
                }
                let detail = json!({
                    "userPrincipalName": user.user_principal_name,
                    "accountEnabled": user.account_enabled,
                    "localAccount": hash.is_some(),
                });
                self.note_user(tx, caller, "user created", user.id, detail, now).await?;
                Ok(user.clone())
            })
            .await
    }

    /// One user, by object id or sign-in name. Everybody may read themself.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn user(&self, caller: &Caller, name: &str) -> Result<User> {
        let found = self.store().read(async |tx| find(tx, name).await).await;
        match found? {
            Some(user) if caller.user() == Some(user.id) => Ok(user),
            found => {
                self.may_read_directory(caller)?;
                found.ok_or_else(|| no_user(name))
            }
        }
    }

    /// Users by their ids; who is missing is missing.
    ///
    /// # Errors
    ///
    /// Forbidden.
    pub async fn users_by_ids(&self, caller: &Caller, ids: &[UserId]) -> Result<Vec<User>> {
        if ids.iter().any(|id| caller.user() != Some(*id)) {
            self.may_read_directory(caller)?;
        }
        Ok(self.store().read(async |tx| users::by_ids(tx, ids).await).await?)
    }

    /// A page of the users.
    ///
    /// # Errors
    ///
    /// Forbidden; what the list does not have.
    pub async fn list_users(&self, caller: &Caller, listing: &Listing) -> Result<Page<User>> {
        self.may_read_directory(caller)?;
        self.page_of_users(Of::Everybody, listing).await
    }

    /// A page of the people whose manager a user is.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; what the list does not have.
    pub async fn list_reports(
        &self,
        caller: &Caller,
        name: &str,
        listing: &Listing,
    ) -> Result<Page<User>> {
        let user = self.user(caller, name).await?;
        self.page_of_users(Of::Manager(user.id), listing).await
    }

    /// A page of the groups that a user is a member of.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; what the list does not have.
    pub async fn list_groups_of(
        &self,
        caller: &Caller,
        name: &str,
        listing: &Listing,
    ) -> Result<Page<Group>> {
        let user = self.user(caller, name).await?;
        self.page_of_groups(groups::Of::Member(user.id), listing).await
    }

    /// A page of the groups that a user owns.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; what the list does not have.
    pub async fn list_owned_groups(
        &self,
        caller: &Caller,
        name: &str,
        listing: &Listing,
    ) -> Result<Page<Group>> {
        let user = self.user(caller, name).await?;
        self.page_of_groups(groups::Of::Owner(user.id), listing).await
    }

    pub(crate) async fn page_of_users(&self, of: Of, listing: &Listing) -> Result<Page<User>> {
        let plan = users::plan(of, ask(listing)?)?;
        self.store()
            .read(async |tx| {
                let (items, next) = users::list(tx, of, &plan).await?;
                let count =
                    if listing.count { Some(users::count(tx, of, &plan).await?) } else { None };
                Ok::<_, Error>(Page { items, next, count })
            })
            .await
    }

    /// Changes a user, by object id or sign-in name. Disabling ends their sessions, their open
    /// requests and their access.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; a field that is wrong; a sign-in name that is taken.
    pub async fn change_user(
        &self,
        caller: &Caller,
        name: &str,
        change: UserChange,
    ) -> Result<User> {
        caller.may_everywhere(Action::ManageDirectory)?;
        let now = self.now();
        let known = self.known_user(name).await?;
        let hash = match &change.password {
            Some(password) => {
                Some(self.hash_password("passwordProfile.password", password, &known).await?)
            }
            None => None,
        };
        self.store()
            .write(async |tx| {
                people::lock(tx, known.subject).await?;
                let mut user = users::lock(tx, known.id).await?.ok_or_else(|| no_user(name))?;
                let before = user.clone();
                let mut changed = change.apply(&mut user)?;
                let enters = hash.is_some()
                    || changed.contains(&"accountEnabled")
                    || changed.contains(&"userPrincipalName");
                if enters {
                    guard(tx, caller, &user, "change").await?;
                }
                if before.account_enabled && !user.account_enabled {
                    refuse_self(caller, &user, "disable")?;
                }
                if changed.contains(&"userPrincipalName") {
                    let other = users::by_name(tx, &user.user_principal_name).await?;
                    if other.is_some_and(|other| other.id != user.id) {
                        return Err(taken(&user.user_principal_name));
                    }
                }
                if !changed.is_empty() {
                    let name = user.user_principal_name.clone();
                    let saved = users::save_all(tx, std::slice::from_ref(&user)).await;
                    saved.map_err(|error| clash(error, &name))?;
                    user.version += 1;
                }
                if let Some(hash) = &hash {
                    accounts::put(tx, user.id, hash, now).await?;
                    sessions::delete_of_user(tx, user.id).await?;
                    changed.push("password");
                }
                if !changed.is_empty() {
                    let detail = json!({ "changed": changed });
                    self.note_user(tx, caller, "user changed", user.id, detail, now).await?;
                }
                self.follow_activity(tx, caller, &before, &user, now).await?;
                Ok(user)
            })
            .await
    }

    /// Deletes a user: the record stays for what refers to it; sessions, roles, memberships, open
    /// requests and access end.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn delete_user(&self, caller: &Caller, name: &str) -> Result<()> {
        caller.may_everywhere(Action::ManageDirectory)?;
        let now = self.now();
        let known = self.known_user(name).await?;
        self.store()
            .write(async |tx| {
                people::lock(tx, known.subject).await?;
                let user = users::lock(tx, known.id).await?.ok_or_else(|| no_user(name))?;
                guard(tx, caller, &user, "delete").await?;
                refuse_self(caller, &user, "delete")?;
                users::delete(tx, user.id, now).await?;
                groups::remove_everywhere(tx, user.id).await?;
                role_assignments::delete_of_principal(tx, user.id.0).await?;
                directory_roles::revoke_all(tx, user.id.0).await?;
                accounts::delete(tx, user.id).await?;
                let detail = json!({ "userPrincipalName": user.user_principal_name });
                self.note_user(tx, caller, "user deleted", user.id, detail, now).await?;
                let gone = User { account_enabled: false, ..user.clone() };
                let here = User { account_enabled: true, ..user };
                self.follow_activity(tx, caller, &here, &gone, now).await
            })
            .await?;
        self.wake();
        Ok(())
    }

    /// A user's manager.
    ///
    /// # Errors
    ///
    /// Forbidden; not found, also when there is no manager.
    pub async fn manager_of(&self, caller: &Caller, name: &str) -> Result<User> {
        let user = self.user(caller, name).await?;
        let missing = || Error::not_found("manager of user", name);
        let manager = user.manager.ok_or_else(missing)?;
        let found = self.store().read(async |tx| users::get(tx, manager).await).await;
        found?.ok_or_else(missing)
    }

    /// Sets or clears a user's manager.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; refused when somebody would be above themself; more than
    /// [`MAX_CHAIN`] people above each other.
    pub async fn set_manager(
        &self,
        caller: &Caller,
        name: &str,
        manager: Option<UserId>,
    ) -> Result<()> {
        caller.may_everywhere(Action::ManageDirectory)?;
        let now = self.now();
        let known = self.known_user(name).await?;
        self.store()
            .write(async |tx| {
                let mut both = vec![known.id];
                both.extend(manager);
                both.sort_unstable();
                for id in both {
                    users::lock(tx, id).await?.ok_or_else(|| no_user(&id.to_string()))?;
                }
                let user = users::get(tx, known.id).await?.ok_or_else(|| no_user(name))?;
                if user.manager == manager {
                    return Ok(());
                }
                if let Some(manager) = manager {
                    refuse_cycle(tx, user.id, manager).await?;
                }
                users::set_managers(tx, &[(user.id, manager)]).await?;
                let detail = json!({ "manager": manager.map(|id| id.to_string()) });
                self.note_user(tx, caller, "manager changed", user.id, detail, now).await
            })
            .await
    }

    /// One subject.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn subject(&self, caller: &Caller, id: SubjectId) -> Result<Subject> {
        if caller.subject() != Some(id) {
            self.may_read_directory(caller)?;
        }
        let found = self.store().read(async |tx| subjects::get(tx, id).await).await;
        found?.ok_or_else(|| Error::not_found("subject", id))
    }

    /// One subject, by the object id of its user or application.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn subject_by_object(&self, caller: &Caller, object: Uuid) -> Result<Subject> {
        if caller.user().map(|user| user.0) != Some(object) {
            self.may_read_directory(caller)?;
        }
        let found = self.store().read(async |tx| subjects::by_object(tx, object).await).await;
        found?.ok_or_else(|| Error::not_found("subject", object))
    }

    async fn known_user(&self, name: &str) -> Result<User> {
        let found = self.store().read(async |tx| find(tx, name).await).await;
        found?.ok_or_else(|| no_user(name))
    }

    /// Carries a change of `account_enabled` to the subject, the sessions and the access.
    pub(crate) async fn follow_activity(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        before: &User,
        after: &User,
        now: Timestamp,
    ) -> Result<()> {
        if before.account_enabled == after.account_enabled {
            return Ok(());
        }
        subjects::set_active(tx, after.subject, after.account_enabled).await?;
        if !after.account_enabled {
            sessions::delete_of_user(tx, after.id).await?;
            subject_left(self, tx, caller, after.subject, now).await?;
        }
        Ok(())
    }

    pub(crate) async fn note_user(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        action: &str,
        id: UserId,
        detail: Value,
        now: Timestamp,
    ) -> Result<()> {
        let event =
            Event { action, object_type: "user", object_id: id.to_string(), catalog: None, detail };
        audit::record(self, tx, caller, event, now).await
    }
}

/// A user by object id or sign-in name.
pub(crate) async fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<User>, accede_store::Error> {
    match name.parse::<UserId>() {
        Ok(id) => users::get(tx, id).await,
        Err(_) => users::by_name(tx, name).await,
    }
}

/// A user who must exist.
pub(crate) async fn existing(tx: &mut Tx<'_>, id: UserId) -> Result<User> {
    users::get(tx, id).await?.ok_or_else(|| no_user(&id.to_string()))
}

/// Adds users with their subjects.
pub(crate) async fn insert(tx: &mut Tx<'_>, new: &[User]) -> Result<()> {
    let subjects: Vec<NewSubject> = new
        .iter()
        .map(|user| NewSubject {
            id: user.subject,
            object: user.id.0,
            kind: Kind::User,
            is_active: user.account_enabled,
            created_at: user.created_at,
        })
        .collect();
    subjects::insert_all(tx, &subjects).await?;
    let name = new.first().map(|user| user.user_principal_name.as_str()).unwrap_or_default();
    users::insert_all(tx, new).await.map_err(|error| clash(error, name))
}

pub(crate) fn no_user(name: &str) -> Error {
    let shown: String = name.chars().take(fields::MAX_ADDRESS).collect();
    Error::not_found("user", shown)
}

fn taken(name: &str) -> Error {
    Error::Duplicate {
        code: "DuplicateKey",
        sentence: format!("there is already a user `{name}`; choose another userPrincipalName"),
    }
}

/// Two at once may both have found the name free.
fn clash(error: accede_store::Error, name: &str) -> Error {
    match &error {
        accede_store::Error::Duplicate { constraint }
            if constraint.contains("user_principal_name_key") =>
        {
            taken(name)
        }
        _ => error.into(),
    }
}

/// Whoever may change accounts could take over that of an administrator, and must be one.
pub(crate) async fn guard(tx: &mut Tx<'_>, caller: &Caller, user: &User, verb: &str) -> Result<()> {
    if caller.user() == Some(user.id) || caller.may_everywhere(Action::ManageRoles).is_ok() {
        return Ok(());
    }
    match directory_roles::held(tx, user.id.0).await?.first() {
        None => Ok(()),
        Some(role) => Err(Error::Forbidden {
            need: format!(
                "Global Administrator to {verb} the account of `{}`, who is {}",
                user.user_principal_name,
                role.name()
            ),
        }),
    }
}

pub(crate) fn refuse_self(caller: &Caller, user: &User, verb: &str) -> Result<()> {
    if caller.user() != Some(user.id) {
        return Ok(());
    }
    Err(Error::Refused(Refusal::Rule {
        code: "OwnAccount",
        sentence: format!("you cannot {verb} your own account; ask another administrator"),
    }))
}

/// Refuses a manager who is below the user, or a chain that is too long.
async fn refuse_cycle(tx: &mut Tx<'_>, user: UserId, manager: UserId) -> Result<()> {
    let mut at = Some(manager);
    for _ in 0..MAX_CHAIN {
        match at {
            None => return Ok(()),
            Some(above) if above == user => return Err(cycle()),
            Some(above) => at = users::get(tx, above).await?.and_then(|user| user.manager),
        }
    }
    Err(Error::Limit {
        what: "people above each other",
        limit: MAX_CHAIN,
        advice: "choose a manager higher up",
    })
}

fn cycle() -> Error {
    Error::Refused(Refusal::Rule {
        code: "ManagerCycle",
        sentence: "nobody can be their own manager, directly or through others; choose another \
                   manager"
            .to_owned(),
    })
}
