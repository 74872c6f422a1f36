//! Directory roles and roles of entitlement management.

use accede_domain::filter::Filter;
use accede_domain::id::{CatalogId, GroupId, RoleAssignmentId};
use accede_domain::permission::{DirectoryRole, Reach, Role};
use accede_store::filter::Ask;
use accede_store::groups::{self, Group, Tie};
use accede_store::role_assignments::{self, RoleAssignment};
use accede_store::testing::stores;
use accede_store::{Error, Result, Tx, directory_roles};
use uuid::Uuid;

use crate::groups::add_catalog;
use crate::users::{NOW, add, person};

const CATALOG: CatalogId = CatalogId(Uuid::from_u128(0xC));

fn assignment(number: u128, principal: Uuid, role: Role) -> RoleAssignment {
    RoleAssignment {
        id: RoleAssignmentId(Uuid::from_u128(0xA000 + number)),
        principal,
        role: role.definition(),
        catalog: (!role.is_organization_wide()).then_some(CATALOG),
        created_at: NOW,
    }
}

async fn world(tx: &mut Tx<'_>) -> Result<GroupId> {
    add(tx, &[person(1), person(2)]).await?;
    add_catalog(tx, CATALOG).await?;
    let group = Group {
        id: GroupId(Uuid::from_u128(0x9001)),
        display_name: "Crew".to_owned(),
        description: None,
        mail_nickname: "crew".to_owned(),
        mail: None,
        visibility: None,
        created_at: NOW,
        version: 1,
    };
    groups::insert(tx, &group).await?;
    groups::add(tx, group.id, Tie::Member, &[person(1).id]).await?;
    Ok(group.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_held_directly_and_through_groups() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                let group = world(tx).await?;
                let (one, two) = (person(1).id.0, person(2).id.0);
                let owns = assignment(1, group.0, Role::CatalogOwner);
                let creates = assignment(2, one, Role::CatalogCreator);
                assert!(role_assignments::insert(tx, &owns).await?, "{engine}");
                assert!(role_assignments::insert(tx, &creates).await?, "{engine}");
                let held = role_assignments::held(tx, one).await?;
                assert_eq!(held.len(), 2, "{engine}");
                assert!(held.contains(&(Role::CatalogOwner, Some(CATALOG))), "{engine}");
                assert!(held.contains(&(Role::CatalogCreator, None)), "{engine}");
                assert!(role_assignments::held(tx, two).await?.is_empty(), "{engine}");

                let (global, reader) =
                    (DirectoryRole::GlobalAdministrator, DirectoryRole::GlobalReader);
                assert!(directory_roles::grant(tx, group.0, reader).await?, "{engine}");
                assert!(directory_roles::grant(tx, one, reader).await?, "{engine}");
                assert!(directory_roles::grant(tx, one, global).await?, "{engine}");
                assert!(!directory_roles::grant(tx, one, global).await?, "{engine}");
                assert_eq!(directory_roles::held(tx, one).await?, [global, reader], "{engine}");
                let mut readers = vec![one, group.0];
                readers.sort_unstable();
                assert_eq!(directory_roles::lock_holders(tx, reader).await?, readers, "{engine}");
                assert!(directory_roles::revoke(tx, one, global).await?, "{engine}");
                assert!(!directory_roles::revoke(tx, one, global).await?, "{engine}");
                directory_roles::revoke_all(tx, one).await?;
                assert_eq!(directory_roles::held(tx, one).await?, [reader], "{engine}");
                assert!(directory_roles::given(tx, one).await?.is_empty(), "{engine}");
                assert_eq!(directory_roles::given(tx, group.0).await?, [reader], "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_given_once_and_taken_once() {
    for (engine, store) in stores().await {
        let again = store
            .write(async |tx| {
                world(tx).await?;
                let first = assignment(1, person(1).id.0, Role::CatalogOwner);
                let twin = assignment(2, person(1).id.0, Role::CatalogOwner);
                assert!(role_assignments::insert(tx, &first).await?, "{engine}");
                assert!(!role_assignments::insert(tx, &twin).await?, "{engine}");
                assert_eq!(role_assignments::get(tx, first.id).await?, Some(first.clone()));
                assert_eq!(
                    role_assignments::lock_owners(tx, CATALOG).await?,
                    std::slice::from_ref(&first)
                );
                role_assignments::delete(tx, first.id).await?;
                role_assignments::delete(tx, first.id).await
            })
            .await;

        assert_eq!(again, Err(Error::NotFound), "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_owner_of_a_catalog_is_known() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                world(tx).await?;
                let (one, two) = (person(1).id.0, person(2).id.0);
                role_assignments::insert(tx, &assignment(1, one, Role::CatalogOwner)).await?;
                let sole = role_assignments::sole_ownerships(tx, one).await?;
                assert_eq!(sole, ["General"], "{engine}");
                role_assignments::insert(tx, &assignment(2, two, Role::CatalogOwner)).await?;
                assert!(role_assignments::sole_ownerships(tx, one).await?.is_empty());

                role_assignments::delete_of_principal(tx, one).await?;
                assert_eq!(role_assignments::lock_owners(tx, CATALOG).await?.len(), 1);
                role_assignments::delete_of_catalog(tx, CATALOG).await?;
                assert!(role_assignments::lock_owners(tx, CATALOG).await?.is_empty());
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_the_catalogs_one_may_see() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                world(tx).await?;
                let one = person(1).id.0;
                let owns = assignment(1, one, Role::CatalogOwner);
                let creates = assignment(2, one, Role::CatalogCreator);
                role_assignments::insert(tx, &owns).await?;
                role_assignments::insert(tx, &creates).await?;
                let ask = Ask { top: 9, ..Ask::default() };

                let plan = role_assignments::plan(ask, &Reach::Everywhere).unwrap();
                let all = role_assignments::list(tx, &Reach::Everywhere, &plan).await?.0;
                assert_eq!(all, [owns.clone(), creates], "{engine}");
                let seen = Reach::Catalogs(vec![CATALOG]);
                let plan = role_assignments::plan(ask, &seen).unwrap();
                let some = role_assignments::list(tx, &seen, &plan).await?.0;
                assert_eq!(some, std::slice::from_ref(&owns), "{engine}");
                assert_eq!(role_assignments::count(tx, &seen, &plan).await?, 1);
                let text = format!(
                    "principalId eq '{one}' and appScopeId eq '/AccessPackageCatalog/{CATALOG}'"
                );
                let filter = Filter::parse(&text).unwrap();
                let ask = Ask { filter: Some(&filter), ..ask };
                let plan = role_assignments::plan(ask, &seen).unwrap();
                let some = role_assignments::list(tx, &seen, &plan).await?.0;
                assert_eq!(some, [owns], "{engine}");
                let nothing = Reach::Catalogs(Vec::new());
                let plan = role_assignments::plan(ask, &nothing).unwrap();
                let none = role_assignments::list(tx, &nothing, &plan).await?.0;
                assert_eq!(none, [], "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}
