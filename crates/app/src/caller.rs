//! Who is asking, already authenticated, and what they may do.

use accede_domain::id::{AppId, CatalogId, SubjectId, UserId};
use accede_domain::permission::{Action, Grants, Reach, Scope};

use crate::error::{Error, Result};

/// Who a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// A person.
    User {
        /// Their object id.
        user: UserId,
        /// Their subject id.
        subject: SubjectId,
    },
    /// An application, with nobody signed in.
    App {
        /// Its id.
        app: AppId,
        /// Its subject id.
        subject: SubjectId,
    },
    /// The server itself: timers, sweeps, the worker.
    System,
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// Name for the timeline and the audit log: a user principal name, an application's name.
    pub name: String,
    /// The roles held, directly and through groups.
    pub grants: Grants,
    /// What the token was issued for; `None` in the portal, where a person acts as themself.
    pub scopes: Option<Vec<Scope>>,
}

impl Caller {
    /// The server itself, for what timers do. It passes every check.
    pub fn system() -> Caller {
        Caller {
            principal: Principal::System,
            name: "accede".to_owned(),
            grants: Grants::default(),
            scopes: None,
        }
    }

    /// The person who asks, if it is one.
    pub fn user(&self) -> Option<UserId> {
        match self.principal {
            Principal::User { user, .. } => Some(user),
            Principal::App { .. } | Principal::System => None,
        }
    }

    /// The subject id of who asks, if it is not the server itself.
    pub fn subject(&self) -> Option<SubjectId> {
        match self.principal {
            Principal::User { subject, .. } | Principal::App { subject, .. } => Some(subject),
            Principal::System => None,
        }
    }

    /// The person who asks.
    ///
    /// # Errors
    ///
    /// Forbidden for applications: the operation is only meaningful for a person.
    pub fn require_user(&self) -> Result<(UserId, SubjectId)> {
        match self.principal {
            Principal::User { user, subject } => Ok((user, subject)),
            Principal::App { .. } | Principal::System => Err(Error::Forbidden {
                need: "a signed-in person; application tokens cannot do this".to_owned(),
            }),
        }
    }

    /// Whether the token's scopes allow the action at all.
    pub fn scope_allows(&self, action: Action) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|scope| scope.allows(action)))
    }

    /// Whether the token lets a person act for themself: browse, request, decide, give back.
    ///
    /// # Errors
    ///
    /// Forbidden, naming the scope that is missing.
    pub fn may_act_for_self(&self) -> Result<()> {
        let scopes = [Scope::SubjectAccess, Scope::EntitlementManagementReadWrite];
        match &self.scopes {
            None => Ok(()),
            Some(held) if held.iter().any(|scope| scopes.contains(scope)) => Ok(()),
            Some(_) => Err(Error::Forbidden {
                need: format!("the scope {} in the token", Scope::SubjectAccess.name()),
            }),
        }
    }

    /// On which catalogs the action is allowed, roles and scopes together.
    pub fn reach(&self, action: Action) -> Reach {
        if self.principal == Principal::System {
            Reach::Everywhere
        } else if self.scope_allows(action) {
            self.grants.reach(action)
        } else {
            Reach::Catalogs(Vec::new())
        }
    }

    /// Refuses unless the action is allowed somewhere.
    ///
    /// # Errors
    ///
    /// Forbidden, naming what one must be.
    pub fn may_somewhere(&self, action: Action) -> Result<Reach> {
        let reach = self.reach(action);
        if reach.is_empty() { Err(self.lacks(action)) } else { Ok(reach) }
    }

    /// Where the action is allowed, for a list. Who may do it nowhere is refused, unless the list
    /// is under an `object`: looking for that one refuses them, as not found.
    ///
    /// # Errors
    ///
    /// Forbidden, naming what one must be.
    pub fn reach_for_list<T>(&self, action: Action, object: Option<T>) -> Result<Reach> {
        match object {
            Some(_) => Ok(self.reach(action)),
            None => self.may_somewhere(action),
        }
    }

    /// Refuses unless the action is allowed for the whole organization.
    ///
    /// # Errors
    ///
    /// Forbidden, naming what one must be.
    pub fn may_everywhere(&self, action: Action) -> Result<()> {
        match self.reach(action) {
            Reach::Everywhere => Ok(()),
            Reach::Catalogs(_) => Err(self.lacks(action)),
        }
    }

    /// Refuses unless the action is allowed on this catalog. What the caller may not even read is
    /// not found, exactly like something that does not exist.
    ///
    /// # Errors
    ///
    /// Not found (as `what` `id`) or forbidden.
    pub fn may_on(
        &self,
        action: Action,
        catalog: CatalogId,
        read: Action,
        what: &'static str,
        id: impl ToString,
    ) -> Result<()> {
        if self.reach(action).includes(catalog) {
            Ok(())
        } else if self.reach(read).includes(catalog) {
            Err(self.lacks(action))
        } else {
            Err(Error::not_found(what, id))
        }
    }

    /// Refuses unless the action is allowed for the whole organization, on an object that belongs
    /// to no catalog. Who may read such objects nowhere does not find it.
    ///
    /// # Errors
    ///
    /// Not found (as `what` `id`) or forbidden.
    pub fn may_on_shared(
        &self,
        action: Action,
        read: Action,
        what: &'static str,
        id: impl ToString,
    ) -> Result<()> {
        if self.reach(action) == Reach::Everywhere {
            Ok(())
        } else if self.reach(read).is_empty() {
            Err(Error::not_found(what, id))
        } else {
            Err(self.lacks(action))
        }
    }

    /// The refusal for an action that is not allowed, naming the missing layer.
    pub fn lacks(&self, action: Action) -> Error {
        let need = if self.scope_allows(action) {
            action.need().to_owned()
        } else {
            let scope = Scope::ALL.into_iter().find(|scope| scope.allows(action));
            format!("the scope {} in the token", scope.map_or("-", Scope::name))
        };
        Error::Forbidden { need }
    }
}
