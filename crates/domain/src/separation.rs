//! Separation of duties: which access a person may not hold together.
//!
//! As configured on either side, checked both ways: if A lists B, a holder of A cannot get B either.

use std::fmt;

use crate::id::{GroupId, PackageId};

/// What a person holds or is about to hold, by id and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<I> {
    /// Its id.
    pub id: I,
    /// Its name, for people.
    pub name: String,
}

/// Two accesses that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// The person holds an incompatible access package.
    Package(Held<PackageId>),
    /// The person is a member of an incompatible group.
    Group(Held<GroupId>),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::Package(held) => write!(
                f,
                "the person holds the incompatible access package `{}` ({}); it must be removed first",
                held.name, held.id
            ),
            Conflict::Group(held) => write!(
                f,
                "the person is a member of the incompatible group `{}` ({}); it must be left first",
                held.name, held.id
            ),
        }
    }
}

/// The first thing held that excludes `wanted`, if any.
///
/// `pairs` are the configured incompatibilities `(listed on, excluded)`; both directions count.
/// `excluded_groups` are the groups that `wanted` lists.
pub fn conflict(
    wanted: PackageId,
    pairs: &[(PackageId, PackageId)],
    excluded_groups: &[GroupId],
    packages: &[Held<PackageId>],
    groups: &[Held<GroupId>],
) -> Option<Conflict> {
    let excludes = |other: PackageId| {
        pairs.iter().any(|&(a, b)| (a == wanted && b == other) || (a == other && b == wanted))
    };
    let package = packages.iter().find(|held| held.id != wanted && excludes(held.id));
    let group = groups.iter().find(|held| excluded_groups.contains(&held.id));
    package.cloned().map(Conflict::Package).or_else(|| group.cloned().map(Conflict::Group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn package(n: u128) -> PackageId {
        PackageId(Uuid::from_u128(n))
    }

    fn holds(n: u128) -> Vec<Held<PackageId>> {
        vec![Held { id: package(n), name: format!("package {n}") }]
    }

    #[test]
    fn a_pair_configured_on_one_side_binds_both() {
        let pairs = [(package(1), package(2))];

        assert!(conflict(package(1), &pairs, &[], &holds(2), &[]).is_some());
        assert!(conflict(package(2), &pairs, &[], &holds(1), &[]).is_some());
        assert!(conflict(package(3), &pairs, &[], &holds(1), &[]).is_none());
    }

    #[test]
    fn a_package_is_never_incompatible_with_itself() {
        let pairs = [(package(1), package(1))];

        assert_eq!(conflict(package(1), &pairs, &[], &holds(1), &[]), None);
    }

    #[test]
    fn membership_of_a_listed_group_excludes() {
        let group = GroupId(Uuid::from_u128(9));
        let groups = [Held { id: group, name: "auditors".to_owned() }];

        let found = conflict(package(1), &[], &[group], &[], &groups);

        assert!(matches!(found, Some(Conflict::Group(held)) if held.id == group));
    }
}
