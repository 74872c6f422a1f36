//! Roles of the directory: who is Global Administrator, and so on.

use accede_domain::permission::DirectoryRole;
use uuid::Uuid;

use crate::{Error, Result, Row, Sql, Tx, params};

/// Gives a principal a role; whether it did not have it before.
pub async fn grant(tx: &mut Tx<'_>, principal: Uuid, role: DirectoryRole) -> Result<bool> {
    let added = tx
        .execute(
            "insert into directory_roles (principal_id, role) values ($1, $2)
             on conflict do nothing",
            params![principal, role.name()],
        )
        .await?;
    Ok(added > 0)
}

/// Takes a role from a principal; whether it had it.
pub async fn revoke(tx: &mut Tx<'_>, principal: Uuid, role: DirectoryRole) -> Result<bool> {
    let sql = "delete from directory_roles where principal_id = $1 and role = $2";
    Ok(tx.execute(sql, params![principal, role.name()]).await? > 0)
}

/// Takes every role from a principal.
pub async fn revoke_all(tx: &mut Tx<'_>, principal: Uuid) -> Result<()> {
    tx.execute("delete from directory_roles where principal_id = $1", params![principal]).await?;
    Ok(())
}

/// The roles that a user or an application has, directly or as a member of a group.
pub async fn held(tx: &mut Tx<'_>, principal: Uuid) -> Result<Vec<DirectoryRole>> {
    let rows = tx
        .query(
            "select role from directory_roles
             where principal_id = $1
                or principal_id in (select group_id from group_members where member_id = $1)
             order by role",
            params![principal],
        )
        .await?;
    let mut roles = rows.iter().map(role).collect::<Result<Vec<_>>>()?;
    roles.dedup();
    Ok(roles)
}

/// The roles that were given to a principal itself, whatever its groups have.
pub async fn given(tx: &mut Tx<'_>, principal: Uuid) -> Result<Vec<DirectoryRole>> {
    let sql = "select role from directory_roles where principal_id = $1 order by role";
    tx.query(sql, params![principal]).await?.iter().map(role).collect()
}

/// To whom a role was given, their rows held until the transaction ends, so that no two go at once.
pub async fn lock_holders(tx: &mut Tx<'_>, role: DirectoryRole) -> Result<Vec<Uuid>> {
    let sql = Sql {
        lite: "select principal_id from directory_roles where role = $1 order by principal_id",
        pg: "select principal_id from directory_roles where role = $1 order by principal_id
             for update",
    };
    tx.query(sql, params![role.name()]).await?.iter().map(|row| row.get(0)).collect()
}

fn role(row: &Row) -> Result<DirectoryRole> {
    let name: String = row.get(0)?;
    DirectoryRole::parse(&name)
        .ok_or_else(|| Error::Corrupt(format!("there is no directory role `{name}`")))
}
