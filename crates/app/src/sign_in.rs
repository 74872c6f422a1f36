//! Signing in to the portal: local accounts, sessions.
//!
//! Passwords are hashed with argon2id, two at a time, on threads of their own. Whoever does not
//! exist costs as much time as whoever does. Sessions are 256 random bits of which only a digest is
//! kept; each sign-in gets a new one.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;

use accede_domain::Timestamp;
use accede_domain::id::UserId;
use accede_domain::permission::Action;
use accede_domain::refusal::Refusal;
use accede_store::sessions::{self, Session};
use accede_store::{accounts, people, users};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use serde_json::json;

use crate::audit::{self, Event};
use crate::role_assignments::RoleWish;
use crate::throttle::{self, Key};
use crate::users::{NewUser, User, find, no_user};
use crate::{App, Caller, Error, Result, fields};

/// Shortest password, in characters.
pub const MIN_PASSWORD: usize = 15;
/// Longest password, in characters.
pub const MAX_PASSWORD: usize = 256;
/// How long a session lasts that nobody uses.
pub const IDLE: SignedDuration = SignedDuration::from_hours(8);
/// How long a session lasts at most.
pub const ABSOLUTE: SignedDuration = SignedDuration::from_hours(24);
/// Passwords hashed at once: each takes 19 MiB and one processor.
pub(crate) const HASHINGS: usize = 2;
/// Most sign-ins that wait for a hash; more are told to come back.
const MAX_WAITING: usize = 64;
/// How exactly a session's last use is kept.
const TOUCH: SignedDuration = SignedDuration::from_secs(60);
/// What a hash begins with that no password has: checked for people who do not exist.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
                      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A session that has just begun.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session's token, for the cookie; told once.
    pub token: String,
    /// What the session's forms must carry.
    pub csrf: String,
    /// Who it is.
    pub caller: Caller,
    /// Their full name.
    pub display_name: String,
}

/// A session that goes on.
#[derive(Debug, Clone)]
pub struct Live {
    /// What the session's forms must carry.
    pub csrf: String,
    /// Who it is.
    pub caller: Caller,
    /// Their full name.
    pub display_name: String,
}

impl Live {
    /// Whether a form carries what this session's forms must carry.
    pub fn verify_csrf(&self, given: &str) -> bool {
        verify_slices_are_equal(self.csrf.as_bytes(), given.as_bytes()).is_ok()
    }
}

impl App {
    /// Signs a person in with name and password. The session they had, if any, ends.
    ///
    /// # Errors
    ///
    /// Unauthenticated, whatever is wrong; throttled after 10 failures in 15 minutes for this name,
    /// or 100 in an hour from this address.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        address: &str,
        before: Option<&str>,
    ) -> Result<SignedIn> {
        let now = self.now();
        let refused = || Error::Unauthenticated("the sign-in name or the password is wrong".into());
        let name = name.trim();
        let tries = [
            Key::of("account", name, throttle::ACCOUNT),
            Key::of("address", address, throttle::ADDRESS),
        ];
        let marks = self.admit(&tries, now).await?;
        let found = self
            .store()
            .write(async |tx| {
                let Some(user) = users::by_name(tx, name).await? else { return Ok(None) };
                let hash = accounts::lock(tx, user.id).await?;
                Ok::<_, Error>(hash.map(|hash| (user, hash)))
            })
            .await?;
        let hash = found.as_ref().map_or(NOBODY, |(_, hash)| hash);
        let fits = password.chars().count() <= MAX_PASSWORD
            && self.verify_password(hash.to_owned(), password.to_owned()).await?;
        let Some((user, _)) = found.filter(|(user, _)| fits && user.account_enabled) else {
            return Err(refused());
        };
        self.pardon(&tries, &marks).await?;
        self.begin_session(&user, before, now).await
    }

    /// Begins a session for a person who has proven who they are.
    pub(crate) async fn begin_session(
        &self,
        user: &User,
        before: Option<&str>,
        now: Timestamp,
    ) -> Result<SignedIn> {
        let caller = self.caller_of_user(user.id, None).await?;
        let (token, csrf) = (self.secret(), self.secret());
        let session = Session {
            token_hash: hash_of(&token),
            user: user.id,
            csrf_token: csrf.clone(),
            created_at: now,
            seen_at: now,
            expires_at: now.checked_add(ABSOLUTE).unwrap_or(Timestamp::MAX),
        };
        let old = before.map(hash_of);
        self.store()
            .write(async |tx| {
                if let Some(old) = &old {
                    sessions::delete(tx, old).await?;
                }
                sessions::insert(tx, &session).await?;
                let event = Event {
                    action: "signed in",
                    object_type: "user",
                    object_id: user.id.to_string(),
                    catalog: None,
                    detail: json!({}),
                };
                audit::record(self, tx, &caller, event, now).await
            })
            .await?;
        Ok(SignedIn { token, csrf, caller, display_name: user.display_name.clone() })
    }

    /// Whose session this is, if it goes on: used within 8 hours, begun within 24, its owner not
    /// disabled.
    ///
    /// # Errors
    ///
    /// Unauthenticated.
    pub async fn session_caller(&self, token: &str) -> Result<Live> {
        let over = || Error::Unauthenticated("your session has ended; sign in again".to_owned());
        let now = self.now();
        let hash = hash_of(token);
        let session = self.store().read(async |tx| sessions::get(tx, &hash).await).await?;
        let session = session.ok_or_else(over)?;
        let idle = now.duration_since(session.seen_at);
        if session.expires_at <= now || IDLE <= idle {
            self.sign_out(token).await?;
            return Err(over());
        }
        let caller = self.caller_of_user(session.user, None).await?;
        let user = self.store().read(async |tx| users::get(tx, session.user).await).await?;
        let user = user.ok_or_else(over)?;
        if TOUCH <= idle {
            self.store().write(async |tx| sessions::touch(tx, &hash, now).await).await?;
        }
        Ok(Live { csrf: session.csrf_token, caller, display_name: user.display_name })
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn sign_out(&self, token: &str) -> Result<()> {
        let hash = hash_of(token);
        self.store().write(async |tx| sessions::delete(tx, &hash).await).await?;
        Ok(())
    }

    /// Sets the password of a local account, which is made if there is none; every session of its
    /// owner ends. One's own needs the old one; another's needs the right to change the directory.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; a password that is too short, too long or too easy; throttled.
    pub async fn set_password(
        &self,
        caller: &Caller,
        name: &str,
        old: Option<&str>,
        new: &str,
    ) -> Result<()> {
        let found = self.store().read(async |tx| find(tx, name).await).await?;
        let user = found.ok_or_else(|| no_user(name))?;
        if caller.user() != Some(user.id) {
            let change = crate::users::UserChange {
                password: Some(new.to_owned()),
                ..crate::users::UserChange::default()
            };
            self.change_user(caller, name, change).await?;
            return Ok(());
        }
        let now = self.now();
        let tries = [Key::of("account", &user.user_principal_name, throttle::ACCOUNT)];
        let marks = self.admit(&tries, now).await?;
        let hash = self.store().write(async |tx| accounts::lock(tx, user.id).await).await?;
        let wrong = || Error::invalid("oldPassword", "is not your password");
        let hash = hash.ok_or_else(|| {
            Error::invalid("oldPassword", "you have no local account; ask an administrator for one")
        })?;
        if !self.verify_password(hash, old.unwrap_or_default().to_owned()).await? {
            return Err(wrong());
        }
        self.pardon(&tries, &marks).await?;
        let hash = self.hash_password("newPassword", new, &user).await?;
        self.store()
            .write(async |tx| {
                accounts::put(tx, user.id, &hash, now).await?;
                sessions::delete_of_user(tx, user.id).await?;
                let event = Event {
                    action: "password changed",
                    object_type: "user",
                    object_id: user.id.to_string(),
                    catalog: None,
                    detail: json!({}),
                };
                audit::record(self, tx, caller, event, now).await
            })
            .await
    }

    /// The first administrator: a local account that is Global Administrator. For `accede init`.
    ///
    /// A user of that name who exists gets the password and the role.
    ///
    /// # Errors
    ///
    /// A name or password that is wrong.
    pub async fn create_administrator(&self, name: &str, password: &str) -> Result<User> {
        let caller = Caller::system();
        let now = self.now();
        let name = fields::principal_name("admin", name)?;
        let found = self.store().read(async |tx| users::by_name(tx, &name).await).await?;
        let user = match found {
            Some(user) => {
                let change = crate::users::UserChange {
                    password: Some(password.to_owned()),
                    ..crate::users::UserChange::default()
                };
                self.change_user(&caller, &user.id.to_string(), change).await?
            }
            None => {
                let display_name = name.split('@').next().unwrap_or(&name).to_owned();
                let new = NewUser {
                    user_principal_name: name.clone(),
                    mail: Some(name.clone())
                        .filter(|name| fields::mail("mail", Some(name)).is_ok()),
                    display_name,
                    password: Some(password.to_owned()),
                    ..NewUser::default()
                };
                self.create_user(&caller, new).await?
            }
        };
        let wish = RoleWish::parse("Global Administrator")?;
        self.store()
            .write(async |tx| {
                people::lock(tx, user.subject).await?;
                self.give_role(tx, &caller, user.id.0, &wish, now).await
            })
            .await?;
        Ok(user)
    }

    /// Begins a session without a password: for demonstrations, where everybody may be anybody.
    ///
    /// # Errors
    ///
    /// Not found, disabled.
    pub async fn sign_in_as(&self, user: UserId, before: Option<&str>) -> Result<SignedIn> {
        let now = self.now();
        let found = self.store().read(async |tx| users::get(tx, user).await).await?;
        let user = found.ok_or_else(|| no_user(&user.to_string()))?;
        self.begin_session(&user, before, now).await
    }

    /// A new hash of a password that is good enough.
    pub(crate) async fn hash_password(
        &self,
        path: &str,
        password: &str,
        user: &User,
    ) -> Result<String> {
        check_password(path, password, user)?;
        let mut salt = [0; 16];
        self.entropy().fill(&mut salt);
        let password = password.to_owned();
        let _turn = self.hashing().await?;
        tokio::task::spawn_blocking(move || {
            let hash: Result<argon2::password_hash::phc::PasswordHash, _> =
                Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(Error::internal)
        })
        .await
        .map_err(Error::internal)?
    }

    async fn verify_password(&self, hash: String, password: String) -> Result<bool> {
        let _turn = self.hashing().await?;
        tokio::task::spawn_blocking(move || {
            Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok()
        })
        .await
        .map_err(Error::internal)
    }

    /// Waits for a turn to hash.
    async fn hashing(&self) -> Result<impl Drop + '_> {
        let turn = crate::sign_in::Waiting::join(self)?;
        let permit = self.hashings().acquire().await.map_err(Error::internal)?;
        drop(turn);
        Ok(permit)
    }

    fn secret(&self) -> String {
        let mut bytes = [0; 32];
        self.entropy().fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// A place in the queue for a hash.
struct Waiting<'a>(&'a std::sync::atomic::AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(app: &'a App) -> Result<Waiting<'a>> {
        use std::sync::atomic::Ordering;
        let queue = app.hash_queue();
        if MAX_WAITING <= queue.fetch_add(1, Ordering::Relaxed) {
            queue.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Throttled {
                sentence: "too many people sign in at this moment; try again in a few seconds"
                    .to_owned(),
                retry_after: 5,
            });
        }
        Ok(Waiting(queue))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

fn hash_of(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}

/// Whether a password is good enough: long, and not what anybody would try first.
fn check_password(path: &str, password: &str, user: &User) -> Result<()> {
    let length = password.chars().count();
    if length < MIN_PASSWORD {
        let sentence = format!(
            "has {length} characters; use at least {MIN_PASSWORD}, such as four or five words"
        );
        return Err(Error::invalid(path, sentence));
    }
    if MAX_PASSWORD < length {
        let sentence = format!("has {length} characters; the limit is {MAX_PASSWORD}");
        return Err(Error::invalid(path, sentence));
    }
    if password.chars().any(|c| c.is_control()) {
        return Err(Error::invalid(path, "cannot contain line breaks or control characters"));
    }
    let mut letters: Vec<char> = password.to_lowercase().chars().collect();
    letters.sort_unstable();
    letters.dedup();
    let lower = password.to_lowercase();
    let name = user.user_principal_name.to_lowercase();
    if letters.len() < 5 || lower == name || lower == user.display_name.to_lowercase() {
        return Err(Error::Refused(Refusal::Rule {
            code: "PasswordTooEasy",
            sentence: format!("`{path}` is too easy to guess; use four or five words"),
        }));
    }
    Ok(())
}

/// Whether a caller may manage accounts; for doors that show the button.
pub fn may_manage_accounts(caller: &Caller) -> bool {
    caller.may_everywhere(Action::ManageDirectory).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_exist_costs_as_much_as_who_does() {
        let nobody = argon2::password_hash::phc::PasswordHash::new(NOBODY);
        let costs = nobody.ok().and_then(|hash| argon2::Params::try_from(&hash).ok());
        let ours = Argon2::default();

        let of = |params: &argon2::Params| (params.m_cost(), params.t_cost(), params.p_cost());
        assert_eq!(costs.as_ref().map(of), Some(of(ours.params())));
    }
}
