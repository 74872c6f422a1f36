//! Groups, their members and owners.

use accede_domain::filter::Filter;
use accede_domain::id::{CatalogId, GroupId, TargetId};
use accede_store::catalogs::{self, Catalog, CatalogType, State};
use accede_store::filter::Ask;
use accede_store::groups::{self, Group, Of, Tie, Uses};
use accede_store::targets::{self, TargetRow};
use accede_store::testing::stores;
use accede_store::{Error, Result, Tx, params, users};
use uuid::Uuid;

use crate::users::{NOW, add, person};

fn group(number: u128) -> Group {
    Group {
        id: GroupId(Uuid::from_u128(0x9000 + number)),
        display_name: format!("Group {number}"),
        description: None,
        mail_nickname: format!("group{number}"),
        mail: None,
        visibility: Some("Private".to_owned()),
        created_at: NOW,
        version: 1,
    }
}

/// Adds the catalog `General`.
pub async fn add_catalog(tx: &mut Tx<'_>, id: CatalogId) -> Result<()> {
    let general = Catalog {
        id,
        display_name: "General".to_owned(),
        description: String::new(),
        catalog_type: CatalogType::ServiceDefault,
        state: State::Published,
        is_externally_visible: true,
        created_at: NOW,
        modified_at: NOW,
        version: 1,
    };
    catalogs::insert(tx, &general).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_kept_and_saved_once() {
    for (engine, store) in stores().await {
        let again = store
            .write(async |tx| {
                groups::insert(tx, &group(1)).await?;
                let changed = Group { description: Some("Cranes".to_owned()), ..group(1) };
                groups::save(tx, &changed).await?;

                let found = groups::get(tx, group(1).id).await?.unwrap();
                assert_eq!(found, Group { version: 2, ..changed.clone() }, "{engine}");
                groups::save(tx, &changed).await
            })
            .await;

        assert_eq!(again, Err(Error::Stale), "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_owners_are_added_once_and_removed_once() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                add(tx, &[person(1), person(2)]).await?;
                groups::insert(tx, &group(1)).await?;
                let (id, one, two) = (group(1).id, person(1).id, person(2).id);
                for tie in [Tie::Member, Tie::Owner] {
                    assert_eq!(groups::add(tx, id, tie, &[one]).await?, 1, "{engine}");
                    assert_eq!(groups::add(tx, id, tie, &[one, two]).await?, 1, "{engine}");
                    assert!(groups::has(tx, id, tie, two).await?, "{engine}");
                    assert!(groups::remove(tx, id, tie, two).await?, "{engine}");
                    assert!(!groups::remove(tx, id, tie, two).await?, "{engine}");
                    assert!(!groups::has(tx, id, tie, two).await?, "{engine}");
                }
                let ask = Ask { top: 9, ..Ask::default() };
                for of in [users::Of::Group(id), users::Of::OwnedGroup(id)] {
                    let plan = users::plan(of, ask).unwrap();
                    assert_eq!(users::list(tx, of, &plan).await?, (vec![person(1)], None));
                    assert_eq!(users::count(tx, of, &plan).await?, 1, "{engine}");
                }
                for of in [Of::Member(one), Of::Owner(one)] {
                    let plan = groups::plan(of, ask).unwrap();
                    assert_eq!(groups::list(tx, of, &plan).await?, (vec![group(1)], None));
                    assert_eq!(groups::count(tx, of, &plan).await?, 1, "{engine}");
                }
                groups::remove_everywhere(tx, one).await?;
                assert!(!groups::has(tx, id, Tie::Member, one).await?, "{engine}");
                assert!(!groups::has(tx, id, Tie::Owner, one).await?, "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_found_by_filter_and_by_search() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                for number in 1..=3 {
                    groups::insert(tx, &group(number)).await?;
                }
                let filter = Filter::parse("displayName eq 'group 2'").unwrap();
                let ask = Ask { filter: Some(&filter), top: 9, ..Ask::default() };
                let plan = groups::plan(Of::All, ask).unwrap();

                assert_eq!(groups::list(tx, Of::All, &plan).await?.0, [group(2)], "{engine}");
                assert_eq!(groups::search(tx, Some("ROUP 3"), 9).await?, [group(3)], "{engine}");
                assert_eq!(groups::search(tx, None, 2).await?, [group(1), group(2)]);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_in_use_says_by_whom() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                groups::insert(tx, &group(1)).await?;
                assert_eq!(groups::uses(tx, group(1).id).await?, Uses::default(), "{engine}");
                let target = TargetId(Uuid::from_u128(7));
                let catalog = CatalogId(Uuid::from_u128(8));
                let directory = TargetRow {
                    id: target,
                    name: "AadGroup".to_owned(),
                    display_name: "Directory".to_owned(),
                    description: None,
                    kind: targets::DIRECTORY.to_owned(),
                    settings: serde_json::json!({}),
                    secrets: None,
                    concurrency: 8,
                    catalog_owners_may_add: true,
                    is_paused: false,
                    checked: None,
                    created_at: NOW,
                    modified_at: NOW,
                    version: 1,
                };
                targets::insert(tx, &directory).await?;
                add_catalog(tx, catalog).await?;
                tx.execute(
                    "insert into resources (id, catalog_id, target_id, origin_id, display_name,
                                            keep_pre_existing, created_at_ms, modified_at_ms)
                     values ($1, $2, $3, $4, 'Group 1', $5, 0, 0)",
                    params![Uuid::from_u128(9), catalog, target, group(1).id.to_string(), false],
                )
                .await?;

                let uses = groups::uses(tx, group(1).id).await?;
                assert_eq!(uses.catalogs, ["General"], "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_takes_its_members_along() {
    for (engine, store) in stores().await {
        let again = store
            .write(async |tx| {
                add(tx, &[person(1)]).await?;
                groups::insert(tx, &group(1)).await?;
                groups::add(tx, group(1).id, Tie::Member, &[person(1).id]).await?;
                groups::delete(tx, group(1).id).await?;

                assert_eq!(groups::get(tx, group(1).id).await?, None, "{engine}");
                assert!(!groups::has(tx, group(1).id, Tie::Member, person(1).id).await?);
                groups::delete(tx, group(1).id).await
            })
            .await;

        assert_eq!(again, Err(Error::NotFound), "{engine}");
    }
}
