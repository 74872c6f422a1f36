//! Who may do what: one table of role × action.
//!
//! Roles are held for everything (directory roles) or on one catalog (roles of entitlement
//! management). Approver, requestor, beneficiary and manager are relationships to one request, not
//! roles; the verbs check them. Scopes are what the caller's token was issued for: both layers must
//! agree (Graph, 1.3).

use crate::id::{CatalogId, Id, RoleDefinitionId};
use uuid::Uuid;

/// A role of the directory, held for the whole organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DirectoryRole {
    /// May do everything.
    GlobalAdministrator,
    /// May do everything in entitlement management.
    IdentityGovernanceAdministrator,
    /// May manage users and groups; reprocesses and cancels requests.
    UserAdministrator,
    /// May read everything.
    GlobalReader,
    /// May read everything.
    SecurityReader,
}

impl DirectoryRole {
    /// Every directory role this server knows.
    pub const ALL: [DirectoryRole; 5] = [
        DirectoryRole::GlobalAdministrator,
        DirectoryRole::IdentityGovernanceAdministrator,
        DirectoryRole::UserAdministrator,
        DirectoryRole::GlobalReader,
        DirectoryRole::SecurityReader,
    ];

    /// The display name, as `accede token --role` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            DirectoryRole::GlobalAdministrator => "Global Administrator",
            DirectoryRole::IdentityGovernanceAdministrator => "Identity Governance Administrator",
            DirectoryRole::UserAdministrator => "User Administrator",
            DirectoryRole::GlobalReader => "Global Reader",
            DirectoryRole::SecurityReader => "Security Reader",
        }
    }

    /// The role of that name, matched without case.
    pub fn parse(name: &str) -> Option<DirectoryRole> {
        Self::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(name))
    }
}

/// A role of entitlement management.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// May create catalogs; held for the whole organization.
    CatalogCreator,
    /// May do everything in a catalog.
    CatalogOwner,
    /// May read everything in a catalog.
    CatalogReader,
    /// May manage the packages of a catalog.
    AccessPackageManager,
    /// May manage the assignments of a catalog.
    AssignmentManager,
}

impl Role {
    /// Every role of entitlement management.
    pub const ALL: [Role; 5] = [
        Role::CatalogCreator,
        Role::CatalogOwner,
        Role::CatalogReader,
        Role::AccessPackageManager,
        Role::AssignmentManager,
    ];

    /// The built-in role definition's id (Graph 1.4); clients match on it, never on the name.
    pub const fn definition(self) -> RoleDefinitionId {
        RoleDefinitionId(Uuid::from_u128(match self {
            Role::CatalogCreator => 0xba92d953_d8e0_4e39_a797_0cbedb0a89e8,
            Role::CatalogOwner => 0xae79f266_94d4_4dab_b730_feca7e132178,
            Role::CatalogReader => 0x44272f93_9762_48e8_af59_1b5351b1d6b3,
            Role::AccessPackageManager => 0x7f480852_ebdc_47d4_87de_0d8498384a83,
            Role::AssignmentManager => 0xe2182095_804a_4656_ae11_64734e9b7ae5,
        }))
    }

    /// The role of that definition id.
    pub fn of(definition: RoleDefinitionId) -> Option<Role> {
        Self::ALL.into_iter().find(|role| role.definition().uuid() == definition.uuid())
    }

    /// The display name.
    pub const fn name(self) -> &'static str {
        match self {
            Role::CatalogCreator => "Catalog creator",
            Role::CatalogOwner => "Catalog owner",
            Role::CatalogReader => "Catalog reader",
            Role::AccessPackageManager => "Access package manager",
            Role::AssignmentManager => "Access package assignment manager",
        }
    }

    /// Whether it is held for the organization rather than on a catalog.
    pub const fn is_organization_wide(self) -> bool {
        matches!(self, Role::CatalogCreator)
    }
}

/// What somebody may want to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Read catalogs, resources, packages, policies.
    ReadCatalog,
    /// Read requests, assignments, deliveries, failures.
    ReadRequests,
    /// Create a catalog.
    CreateCatalog,
    /// Change or delete a catalog.
    EditCatalog,
    /// Add, change, remove resources of a catalog.
    ManageResources,
    /// Give and take roles on a catalog.
    Delegate,
    /// Create, change, delete packages, their roles, policies and incompatibilities.
    ManagePackages,
    /// Assign directly and take away.
    Assign,
    /// Reprocess a request or an assignment, retry a delivery.
    Reprocess,
    /// Cancel somebody's request.
    CancelOthers,
    /// Delete the record of a finished request.
    DeleteRequest,
    /// Read users, groups, applications.
    ReadDirectory,
    /// Create, change, delete users and groups.
    ManageDirectory,
    /// Give and take directory roles, create applications.
    ManageRoles,
    /// Read target systems and their health.
    ReadTargets,
    /// Create, change, check, pause, resume target systems.
    ManageTargets,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 16] = [
        Action::ReadCatalog,
        Action::ReadRequests,
        Action::CreateCatalog,
        Action::EditCatalog,
        Action::ManageResources,
        Action::Delegate,
        Action::ManagePackages,
        Action::Assign,
        Action::Reprocess,
        Action::CancelOthers,
        Action::DeleteRequest,
        Action::ReadDirectory,
        Action::ManageDirectory,
        Action::ManageRoles,
        Action::ReadTargets,
        Action::ManageTargets,
    ];

    /// Whether it changes anything.
    pub const fn is_write(self) -> bool {
        !matches!(
            self,
            Action::ReadCatalog
                | Action::ReadRequests
                | Action::ReadDirectory
                | Action::ReadTargets
        )
    }

    /// What one must be for it, for the sentence of a refusal.
    pub const fn need(self) -> &'static str {
        match self {
            Action::ReadCatalog => "a role on the catalog",
            Action::ReadRequests => "catalog reader or another role on the catalog",
            Action::CreateCatalog => "catalog creator or Identity Governance Administrator",
            Action::EditCatalog | Action::ManageResources | Action::Delegate => {
                "catalog owner or Identity Governance Administrator"
            }
            Action::ManagePackages => {
                "access package manager, catalog owner or Identity Governance Administrator"
            }
            Action::Assign | Action::Reprocess | Action::CancelOthers | Action::DeleteRequest => {
                "access package assignment manager, access package manager, catalog owner or \
                 Identity Governance Administrator"
            }
            Action::ReadDirectory => "a token with a directory scope",
            Action::ManageDirectory => "User Administrator or Global Administrator",
            Action::ManageRoles => "Global Administrator",
            Action::ReadTargets => "a reading directory role or a role on some catalog",
            Action::ManageTargets => "Identity Governance Administrator",
        }
    }
}

/// The table for directory roles.
pub const fn directory_role_may(role: DirectoryRole, action: Action) -> bool {
    use Action as A;
    match role {
        DirectoryRole::GlobalAdministrator => true,
        DirectoryRole::IdentityGovernanceAdministrator => {
            !matches!(action, A::ManageDirectory | A::ManageRoles)
        }
        // The origin document names User Administrator among those who reprocess (RPR-04).
        DirectoryRole::UserAdministrator => matches!(
            action,
            A::ReadCatalog
                | A::ReadRequests
                | A::Reprocess
                | A::CancelOthers
                | A::ReadDirectory
                | A::ManageDirectory
                | A::ReadTargets
        ),
        DirectoryRole::GlobalReader | DirectoryRole::SecurityReader => !action.is_write(),
    }
}

/// The table for roles of entitlement management, on their catalog.
pub const fn role_may(role: Role, action: Action) -> bool {
    use Action as A;
    match role {
        Role::CatalogCreator => matches!(action, A::CreateCatalog | A::ReadDirectory),
        Role::CatalogOwner => matches!(
            action,
            A::ReadCatalog
                | A::ReadRequests
                | A::EditCatalog
                | A::ManageResources
                | A::Delegate
                | A::ManagePackages
                | A::Assign
                | A::Reprocess
                | A::CancelOthers
                | A::DeleteRequest
                | A::ReadDirectory
                | A::ReadTargets
        ),
        Role::AccessPackageManager => matches!(
            action,
            A::ReadCatalog
                | A::ReadRequests
                | A::ManagePackages
                | A::Assign
                | A::Reprocess
                | A::CancelOthers
                | A::DeleteRequest
                | A::ReadDirectory
                | A::ReadTargets
        ),
        Role::AssignmentManager => matches!(
            action,
            A::ReadCatalog
                | A::ReadRequests
                | A::Assign
                | A::Reprocess
                | A::CancelOthers
                | A::DeleteRequest
                | A::ReadDirectory
                | A::ReadTargets
        ),
        Role::CatalogReader => {
            matches!(action, A::ReadCatalog | A::ReadRequests | A::ReadDirectory | A::ReadTargets)
        }
    }
}

/// What somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Directory roles.
    pub directory: Vec<DirectoryRole>,
    /// Roles of entitlement management, each on a catalog or (`None`) for the organization.
    pub roles: Vec<(Role, Option<CatalogId>)>,
    /// Application permissions: for an application the permission itself is enough, without a role
    /// (Graph, 1.2). Always empty for people, whose scopes only narrow what their roles allow.
    pub permissions: Vec<Scope>,
}

/// On which catalogs an action is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Everywhere.
    Everywhere,
    /// On these catalogs; none at all if empty.
    Catalogs(Vec<CatalogId>),
}

impl Reach {
    /// Whether it includes this catalog.
    pub fn includes(&self, catalog: CatalogId) -> bool {
        match self {
            Reach::Everywhere => true,
            Reach::Catalogs(list) => list.contains(&catalog),
        }
    }

    /// Whether it includes nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Reach::Catalogs(list) if list.is_empty())
    }
}

impl Grants {
    /// On which catalogs `action` is allowed.
    pub fn reach(&self, action: Action) -> Reach {
        let directory = self.directory.iter().any(|role| directory_role_may(*role, action));
        let organization =
            self.roles.iter().any(|(role, catalog)| catalog.is_none() && role_may(*role, action));
        let permission = self.permissions.iter().any(|scope| scope.suffices(action));
        if directory || organization || permission {
            return Reach::Everywhere;
        }
        let mut catalogs: Vec<CatalogId> = self
            .roles
            .iter()
            .filter(|(role, _)| role_may(*role, action))
            .filter_map(|(_, catalog)| *catalog)
            .collect();
        catalogs.sort_unstable();
        catalogs.dedup();
        Reach::Catalogs(catalogs)
    }
}

/// What a token was issued for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Read everything in entitlement management.
    EntitlementManagementRead,
    /// Everything in entitlement management.
    EntitlementManagementReadWrite,
    /// A person's own requests and access.
    SubjectAccess,
    /// Read role assignments of entitlement management.
    RoleManagementRead,
    /// Change role assignments of entitlement management.
    RoleManagementReadWrite,
    /// Read the directory.
    DirectoryRead,
    /// Change the directory.
    DirectoryReadWrite,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 7] = [
        Scope::EntitlementManagementRead,
        Scope::EntitlementManagementReadWrite,
        Scope::SubjectAccess,
        Scope::RoleManagementRead,
        Scope::RoleManagementReadWrite,
        Scope::DirectoryRead,
        Scope::DirectoryReadWrite,
    ];

    /// The name in tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::EntitlementManagementRead => "EntitlementManagement.Read.All",
            Scope::EntitlementManagementReadWrite => "EntitlementManagement.ReadWrite.All",
            Scope::SubjectAccess => "EntitlementMgmt-SubjectAccess.ReadWrite",
            Scope::RoleManagementRead => "RoleManagement.Read.EntitlementManagement",
            Scope::RoleManagementReadWrite => "RoleManagement.ReadWrite.EntitlementManagement",
            Scope::DirectoryRead => "Directory.Read.All",
            Scope::DirectoryReadWrite => "Directory.ReadWrite.All",
        }
    }

    /// The scope of that name, matched without case.
    pub fn parse(name: &str) -> Option<Scope> {
        Self::ALL.into_iter().find(|scope| scope.name().eq_ignore_ascii_case(name))
    }

    /// Whether the application permission of this name is enough for the action, everywhere.
    ///
    /// Giving directory roles is not: an application that may change the directory could make itself
    /// Global Administrator.
    pub const fn suffices(self, action: Action) -> bool {
        self.allows(action) && !matches!(action, Action::ManageRoles)
    }

    /// Whether a token with this scope may carry out the action.
    pub const fn allows(self, action: Action) -> bool {
        use Action as A;
        match self {
            Scope::EntitlementManagementReadWrite => {
                !matches!(action, A::ManageDirectory | A::ManageRoles)
            }
            Scope::EntitlementManagementRead => !action.is_write(),
            Scope::SubjectAccess => false,
            Scope::RoleManagementRead => matches!(action, A::ReadCatalog),
            Scope::RoleManagementReadWrite => matches!(action, A::ReadCatalog | A::Delegate),
            Scope::DirectoryRead => matches!(action, A::ReadDirectory),
            Scope::DirectoryReadWrite => {
                matches!(action, A::ReadDirectory | A::ManageDirectory | A::ManageRoles)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// The whole matrix as text, reviewed in `permissions.txt`.
    fn matrix() -> String {
        let mut text = String::new();
        for role in DirectoryRole::ALL {
            for action in Action::ALL {
                let may = if directory_role_may(role, action) { "may" } else { "-" };
                let _ = writeln!(text, "{:34} {:16} {may}", role.name(), format!("{action:?}"));
            }
        }
        for role in Role::ALL {
            for action in Action::ALL {
                let may = if role_may(role, action) { "may" } else { "-" };
                let _ = writeln!(text, "{:34} {:16} {may}", role.name(), format!("{action:?}"));
            }
        }
        text
    }

    #[test]
    fn the_matrix_is_the_reviewed_one() {
        if std::env::var_os("ACCEDE_BLESS").is_some() {
            let _ = std::fs::write("permissions.txt", matrix());
        }
        let reviewed = include_str!("../permissions.txt");
        assert_eq!(matrix(), reviewed, "review, then run again with ACCEDE_BLESS=1 to accept");
    }

    #[test]
    fn a_role_reaches_its_own_catalog_only() {
        let own = CatalogId(Uuid::from_u128(1));
        let other = CatalogId(Uuid::from_u128(2));
        let grants =
            Grants { roles: vec![(Role::AssignmentManager, Some(own))], ..Grants::default() };

        assert!(grants.reach(Action::Reprocess).includes(own));
        assert!(!grants.reach(Action::Reprocess).includes(other));
        assert!(grants.reach(Action::ManagePackages).is_empty());
    }

    #[test]
    fn a_permission_allows_an_application_what_it_names_and_no_more() {
        let holds = |permission| Grants { permissions: vec![permission], ..Grants::default() };

        let delegates = holds(Scope::RoleManagementReadWrite);
        assert_eq!(delegates.reach(Action::Delegate), Reach::Everywhere);
        assert!(delegates.reach(Action::Reprocess).is_empty());

        let directory = holds(Scope::DirectoryReadWrite);
        assert_eq!(directory.reach(Action::ManageDirectory), Reach::Everywhere);
        assert!(directory.reach(Action::ManageRoles).is_empty());
    }

    #[test]
    fn readers_never_write() {
        for action in Action::ALL.into_iter().filter(|action| action.is_write()) {
            assert!(!role_may(Role::CatalogReader, action));
            assert!(!directory_role_may(DirectoryRole::GlobalReader, action));
        }
    }
}
