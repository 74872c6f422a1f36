//! Roles of the directory, held for the whole organization: who has which, giving and taking them.
//! Not for the roles of entitlement management, which `role_assignments` gives.

use accede_domain::Timestamp;
use accede_domain::permission::{Action, DirectoryRole};
use accede_domain::refusal::Refusal;
use accede_store::{Tx, directory_roles};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Event};
use crate::role_assignments::directory_object;
use crate::{App, Caller, Error, Result};

/// A directory role that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldRole {
    /// Which.
    pub role: DirectoryRole,
    /// Whether it was given to themself; if not, they have it as a member of a group.
    pub is_given: bool,
}

impl App {
    /// The directory roles that a user, group or application has, given to it or by a group.
    ///
    /// # Errors
    ///
    /// Forbidden.
    pub async fn directory_roles(&self, caller: &Caller, principal: Uuid) -> Result<Vec<HeldRole>> {
        self.may_read_directory(caller)?;
        self.store()
            .read(async |tx| {
                let given = directory_roles::given(tx, principal).await?;
                let held = directory_roles::held(tx, principal).await?;
                let of = |role| HeldRole { role, is_given: given.contains(&role) };
                Ok(held.into_iter().map(of).collect())
            })
            .await
    }

    /// Gives a directory role to a user, a group or an application.
    ///
    /// # Errors
    ///
    /// Forbidden unless Global Administrator; not found; a duplicate when it was given already.
    pub async fn give_directory_role(
        &self,
        caller: &Caller,
        principal: Uuid,
        role: DirectoryRole,
    ) -> Result<()> {
        caller.may_everywhere(Action::ManageRoles)?;
        let now = self.now();
        self.store()
            .write(async |tx| {
                if directory_object(tx, principal).await?.is_none() {
                    return Err(Error::not_found("directory object", principal));
                }
                if !self.insert_directory_role(tx, caller, principal, role, now).await? {
                    let sentence = format!("they are {} already", role.name());
                    return Err(Error::Duplicate { code: "DuplicateKey", sentence });
                }
                Ok(())
            })
            .await
    }

    /// Takes a directory role away.
    ///
    /// # Errors
    ///
    /// Forbidden unless Global Administrator; not found when it was not given; refused for the last
    /// Global Administrator.
    pub async fn take_directory_role(
        &self,
        caller: &Caller,
        principal: Uuid,
        role: DirectoryRole,
    ) -> Result<()> {
        caller.may_everywhere(Action::ManageRoles)?;
        let now = self.now();
        self.store()
            .write(async |tx| {
                if role == DirectoryRole::GlobalAdministrator {
                    let holders = directory_roles::lock_holders(tx, role).await?;
                    if holders == [principal] {
                        return Err(last_administrator());
                    }
                }
                if !directory_roles::revoke(tx, principal, role).await? {
                    return Err(Error::not_found("directory role of this principal", role.name()));
                }
                self.note_directory_role(tx, caller, "directory role taken", principal, role, now)
                    .await
            })
            .await
    }

    /// Gives a directory role with its audit record, unless the principal was given it; whether it
    /// was not. For verbs that have authorised.
    pub(crate) async fn insert_directory_role(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        principal: Uuid,
        role: DirectoryRole,
        now: Timestamp,
    ) -> Result<bool> {
        let added = directory_roles::grant(tx, principal, role).await?;
        if added {
            self.note_directory_role(tx, caller, "directory role given", principal, role, now)
                .await?;
        }
        Ok(added)
    }

    async fn note_directory_role(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        action: &str,
        principal: Uuid,
        role: DirectoryRole,
        now: Timestamp,
    ) -> Result<()> {
        let event = Event {
            action,
            object_type: "directoryRole",
            object_id: role.name().to_owned(),
            catalog: None,
            detail: json!({ "principalId": principal.to_string() }),
        };
        audit::record(self, tx, caller, event, now).await
    }
}

fn last_administrator() -> Error {
    Error::Refused(Refusal::Rule {
        code: "LastGlobalAdministrator",
        sentence: "the organization cannot be without a Global Administrator; give the role to \
                   somebody else first"
            .to_owned(),
    })
}
