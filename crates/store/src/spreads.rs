//! Role changes of packages on their way to those who hold the packages.
//!
//! A package counts the changes of its roles, and an assignment knows which of them it has. So what
//! is left to do is a comparison of two numbers, and nothing that a crash or a latecomer could lose.

use accede_domain::Timestamp;
use accede_domain::id::{AssignmentId, PackageId, SubjectId};

use crate::requests::limit_value;
use crate::{Result, Tx, params};

/// How far the last change of a package's roles has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spread {
    /// How many hold the package.
    pub holders: i64,
    /// How many of them have not been brought up to its present roles.
    pub behind: i64,
}

impl Spread {
    /// How many have the present roles.
    pub const fn reached(&self) -> i64 {
        self.holders - self.behind
    }
}

/// Counts a change of a package's roles: everybody who holds it is behind from here on.
pub async fn begin(tx: &mut Tx<'_>, package: PackageId, now: Timestamp) -> Result<()> {
    tx.execute(
        "update packages set roles_version = roles_version + 1, roles_changed_at_ms = $2
         where id = $1",
        params![package, now],
    )
    .await?;
    Ok(())
}

/// The packages whose roles changed and whose holders are not all up to it, the first changed first;
/// without those whose change is held.
pub async fn open(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<PackageId>> {
    let rows = tx
        .query(
            "select p.id from packages p
             where p.roles_changed_at_ms is not null and exists (select 1 from assignments a
                 where a.package_id = p.id and a.roles_version < p.roles_version
                     and a.state not in ('ending', 'expired'))
                 and not exists (select 1 from guards g
                     where g.package_id = p.id and g.state = 'held')
             order by p.roles_changed_at_ms limit $1",
            params![limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The packages whose roles last changed at `before` or earlier and reached everybody, but which are
/// still looked after.
pub async fn over(tx: &mut Tx<'_>, before: Timestamp, limit: usize) -> Result<Vec<PackageId>> {
    let rows = tx
        .query(
            "select p.id from packages p
             where p.roles_changed_at_ms <= $1 and not exists (select 1 from assignments a
                 where a.package_id = p.id and a.roles_version < p.roles_version
                     and a.state not in ('ending', 'expired'))
             order by p.roles_changed_at_ms limit $2",
            params![before, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Live assignments that are behind the roles of their package, the longest behind first.
pub async fn behind(
    tx: &mut Tx<'_>,
    package: PackageId,
    limit: usize,
) -> Result<Vec<(AssignmentId, SubjectId)>> {
    let rows = tx
        .query(
            "select a.id, a.subject_id from packages p join assignments a on a.package_id = p.id
             where p.id = $1 and a.roles_version < p.roles_version
                 and a.state not in ('ending', 'expired')
             order by a.roles_version limit $2",
            params![package, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Looks after a package no longer, unless its roles changed after `before`.
pub async fn close(tx: &mut Tx<'_>, package: PackageId, before: Timestamp) -> Result<()> {
    tx.execute(
        "update packages set roles_changed_at_ms = null
         where id = $1 and roles_changed_at_ms <= $2",
        params![package, before],
    )
    .await?;
    Ok(())
}

/// How far the last change of a package's roles has come.
pub async fn get(tx: &mut Tx<'_>, package: PackageId) -> Result<Spread> {
    let row = tx
        .query_one(
            "select count(a.id), coalesce(sum(case when a.roles_version < p.roles_version then 1
                 else 0 end), 0)
             from packages p left join assignments a on a.package_id = p.id
                 and a.state not in ('ending', 'expired')
             where p.id = $1",
            params![package],
        )
        .await?;
    Ok(Spread { holders: row.get(0)?, behind: row.get(1)? })
}
