//! How group-like roles are spelled: `Member_{resource}` and `Owner_{resource}`.

use accede_domain::fault::{Class, Fault};

use crate::{FoundRole, Role};

/// What a person is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Membership {
    /// Belongs to the group.
    Member,
    /// Administers the group.
    Owner,
}

impl Membership {
    /// The word before the underscore of a role's id.
    pub const fn word(self) -> &'static str {
        match self {
            Membership::Member => "Member",
            Membership::Owner => "Owner",
        }
    }

    /// This role of a resource.
    pub fn of(self, resource: &str) -> FoundRole {
        FoundRole {
            origin_id: format!("{}_{resource}", self.word()),
            display_name: self.word().to_owned(),
        }
    }

    /// What a role makes of a person.
    ///
    /// # Errors
    ///
    /// Unsupported, for a role that is neither, or that belongs to another resource.
    pub fn parse(role: &Role) -> Result<Membership, Fault> {
        [Membership::Member, Membership::Owner]
            .into_iter()
            .find(|kind| {
                role.role.strip_prefix(kind.word()).and_then(|rest| rest.strip_prefix('_'))
                    == Some(role.resource.as_str())
            })
            .ok_or_else(|| unsupported(role))
    }

    /// Answers whether a role is plain membership, the only role of targets without owners.
    ///
    /// # Errors
    ///
    /// Unsupported, for any other role.
    pub fn only_member(role: &Role) -> Result<(), Fault> {
        match Membership::parse(role)? {
            Membership::Member => Ok(()),
            Membership::Owner => Err(unsupported(role)),
        }
    }
}

fn unsupported(role: &Role) -> Fault {
    let message = format!(
        "the role `{}` of `{}` is not one that this target has; refresh the resource's roles",
        role.role, role.resource
    );
    Fault::new(Class::Unsupported, "role-unknown", message)
}
