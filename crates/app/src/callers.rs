//! Who is asking: principals with the roles they hold at this moment.

use accede_domain::id::{AppId, UserId};
use accede_domain::permission::{Grants, Scope};
use accede_store::{Tx, apps, directory_roles, role_assignments, users};
use uuid::Uuid;

use crate::{App, Caller, Error, Principal, Result};

impl App {
    /// A person as a caller; `scopes` are the token's, `None` in the portal.
    ///
    /// # Errors
    ///
    /// Unauthenticated when they were deleted or disabled.
    pub async fn caller_of_user(&self, id: UserId, scopes: Option<Vec<Scope>>) -> Result<Caller> {
        let found = self
            .store()
            .read(async |tx| {
                let Some(user) = users::get(tx, id).await? else { return Ok(None) };
                let grants = grants(tx, id.0).await?;
                Ok::<_, accede_store::Error>(Some((user, grants)))
            })
            .await?;
        match found {
            Some((user, grants)) if user.account_enabled => Ok(Caller {
                principal: Principal::User { user: user.id, subject: user.subject },
                name: user.user_principal_name,
                grants,
                scopes,
            }),
            Some(_) => Err(gone("account", "disabled")),
            None => Err(gone("account", "deleted")),
        }
    }

    /// An application as a caller. Of the permissions that its token names it has those that it
    /// still holds; if the token is `limited` to them, its roles count only as far as they allow.
    ///
    /// # Errors
    ///
    /// Unauthenticated when it was deleted or disabled.
    pub async fn caller_of_app(
        &self,
        id: AppId,
        permissions: &[Scope],
        limited: bool,
    ) -> Result<Caller> {
        let found = self
            .store()
            .read(async |tx| {
                let Some(app) = apps::get(tx, id).await? else { return Ok(None) };
                let grants = grants(tx, id.0).await?;
                Ok::<_, accede_store::Error>(Some((app, grants)))
            })
            .await?;
        match found {
            Some((app, grants)) if app.is_active => {
                let held: Vec<Scope> = permissions
                    .iter()
                    .copied()
                    .filter(|scope| app.permissions.contains(scope))
                    .collect();
                Ok(Caller {
                    principal: Principal::App { app: app.id, subject: app.subject },
                    name: app.display_name,
                    scopes: limited.then(|| held.clone()),
                    grants: Grants { permissions: held, ..grants },
                })
            }
            Some(_) => Err(gone("application", "disabled")),
            None => Err(gone("application", "deleted")),
        }
    }
}

pub(crate) async fn grants(
    tx: &mut Tx<'_>,
    principal: Uuid,
) -> Result<Grants, accede_store::Error> {
    Ok(Grants {
        directory: directory_roles::held(tx, principal).await?,
        roles: role_assignments::held(tx, principal).await?,
        permissions: Vec::new(),
    })
}

fn gone(what: &str, how: &str) -> Error {
    Error::Unauthenticated(format!("the {what} that this access token was issued for is {how}"))
}
