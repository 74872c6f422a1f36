//! Separation of duties: which packages and groups exclude a package.

use accede_domain::id::{GroupId, PackageId};

use crate::packages::{Package, columns};
use crate::{Result, Tx, params};

/// The configured pairs `(listed on, excluded)` in which a package is on either side.
pub async fn pairs_touching(
    tx: &mut Tx<'_>,
    package: PackageId,
) -> Result<Vec<(PackageId, PackageId)>> {
    let rows = tx
        .query(
            "select package_id, other_id from incompatible_packages where package_id = $1
             union
             select package_id, other_id from incompatible_packages where other_id = $1",
            params![package],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// The groups whose members cannot get a package.
pub async fn groups_of(tx: &mut Tx<'_>, package: PackageId) -> Result<Vec<GroupId>> {
    let rows = tx
        .query(
            "select group_id from incompatible_groups where package_id = $1 order by group_id",
            params![package],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The packages that a package lists as incompatible, by name.
pub async fn listed_on(tx: &mut Tx<'_>, package: PackageId) -> Result<Vec<Package>> {
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                " from incompatible_packages x join packages p on p.id = x.other_id
                 where x.package_id = $1 and p.deleted_at_ms is null
                 order by p.display_name, p.id"
            ),
            params![package],
        )
        .await?;
    rows.iter().map(Package::from_row).collect()
}

/// The packages that list a package as incompatible, by name.
pub async fn listing(tx: &mut Tx<'_>, package: PackageId) -> Result<Vec<Package>> {
    let rows = tx
        .query(
            concat!(
                "select ",
                columns!(),
                " from incompatible_packages x join packages p on p.id = x.package_id
                 where x.other_id = $1 and p.deleted_at_ms is null
                 order by p.display_name, p.id"
            ),
            params![package],
        )
        .await?;
    rows.iter().map(Package::from_row).collect()
}

/// How many packages and groups a package lists.
pub async fn count(tx: &mut Tx<'_>, package: PackageId) -> Result<(i64, i64)> {
    let row = tx
        .query_one(
            "select (select count(*) from incompatible_packages where package_id = $1),
                 (select count(*) from incompatible_groups where package_id = $1)",
            params![package],
        )
        .await?;
    Ok((row.get(0)?, row.get(1)?))
}

/// Lists a package on another; says whether that is new.
pub async fn add_package(tx: &mut Tx<'_>, package: PackageId, other: PackageId) -> Result<bool> {
    let changed = tx
        .execute(
            "insert into incompatible_packages (package_id, other_id) values ($1, $2)
             on conflict (package_id, other_id) do nothing",
            params![package, other],
        )
        .await?;
    Ok(changed == 1)
}

/// Takes a package off another's list; says whether it was there.
pub async fn remove_package(tx: &mut Tx<'_>, package: PackageId, other: PackageId) -> Result<bool> {
    let changed = tx
        .execute(
            "delete from incompatible_packages where package_id = $1 and other_id = $2",
            params![package, other],
        )
        .await?;
    Ok(changed == 1)
}

/// Lists a group on a package; says whether that is new.
pub async fn add_group(tx: &mut Tx<'_>, package: PackageId, group: GroupId) -> Result<bool> {
    let changed = tx
        .execute(
            "insert into incompatible_groups (package_id, group_id) values ($1, $2)
             on conflict (package_id, group_id) do nothing",
            params![package, group],
        )
        .await?;
    Ok(changed == 1)
}

/// Takes a group off a package's list; says whether it was there.
pub async fn remove_group(tx: &mut Tx<'_>, package: PackageId, group: GroupId) -> Result<bool> {
    let changed = tx
        .execute(
            "delete from incompatible_groups where package_id = $1 and group_id = $2",
            params![package, group],
        )
        .await?;
    Ok(changed == 1)
}

/// Whether anything excludes a package or is excluded by it.
pub async fn concerns(tx: &mut Tx<'_>, package: PackageId) -> Result<bool> {
    tx.query_one(
        "select exists (select 1 from incompatible_packages where package_id = $1)
             or exists (select 1 from incompatible_packages where other_id = $1)
             or exists (select 1 from incompatible_groups where package_id = $1)",
        params![package],
    )
    .await?
    .get(0)
}
