//! What the rules need to know of people, on every engine.

use accede_domain::id::GroupId;
use accede_store::groups::{self, Group, Tie};
use accede_store::people::{self, Facts};
use accede_store::testing::stores;
use accede_store::users::{User, UserType};
use accede_store::{Error, subjects};

use crate::desk::{no_scan, nobody, set, within};
use crate::shelf::{at, nth};
use crate::users::{add, person};

fn facts(user: &User) -> Facts {
    Facts {
        subject: user.subject,
        user: user.id,
        is_active: user.account_enabled,
        is_guest: user.user_type == UserType::Guest,
        user_principal_name: user.user_principal_name.clone(),
        display_name: user.display_name.clone(),
        given_name: user.given_name.clone(),
        surname: user.surname.clone(),
        mail: user.mail.clone(),
    }
}

#[tokio::test]
async fn a_person_is_found_by_subject_by_object_and_by_mail() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let guest = User {
                user_type: UserType::Guest,
                mail: Some("Guest@Partner.example".to_owned()),
                ..person(110)
            };
            let twin = User { mail: guest.mail.clone(), ..person(111) };
            add(tx, std::slice::from_ref(&guest)).await?;
            let (uma, whole) = (&desk.uma, Some(facts(&desk.uma)));
            assert_eq!(people::by_subject(tx, uma.subject).await?, whole, "{engine}");
            assert_eq!(people::by_user(tx, uma.id).await?, whole, "{engine}");
            let name = uma.user_principal_name.to_uppercase();
            assert_eq!(people::by_email(tx, &name).await?, whole, "{engine}");
            let mail = "Guest@Partner.example";
            assert_eq!(people::by_email(tx, mail).await?, Some(facts(&guest)), "{engine}");
            add(tx, std::slice::from_ref(&twin)).await?;
            assert_eq!(people::by_email(tx, mail).await?, None, "{engine}: two match");
            assert_eq!(people::by_subject(tx, nobody()).await?, None, "{engine}");
            assert_eq!(people::by_user(tx, nobody()).await?, None, "{engine}");
            assert_eq!(people::by_email(tx, "nobody@x.example").await?, None, "{engine}");
            people::lock(tx, uma.subject).await?;
            Ok(())
        })
        .await;
        let none = store.write(async |tx| people::lock(tx, nobody()).await).await;
        assert_eq!(none, Err(Error::NotFound), "{engine}");
    }
}

#[tokio::test]
async fn managers_are_found_upwards_if_they_are_active() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let top = person(120);
            let middle = User { manager: Some(top.id), ..person(121) };
            let low = User { manager: Some(middle.id), ..person(122) };
            add(tx, &[top.clone(), middle.clone(), low.clone()]).await?;
            assert_eq!(people::manager(tx, low.id, 1).await?, Some(middle.id), "{engine}");
            assert_eq!(people::manager(tx, low.id, 2).await?, Some(top.id), "{engine}");
            assert_eq!(people::manager(tx, low.id, 3).await?, None, "{engine}");
            assert_eq!(people::manager(tx, desk.boss.id, 1).await?, None, "{engine}");
            subjects::set_active(tx, middle.subject, false).await?;
            assert_eq!(people::manager(tx, low.id, 1).await?, None, "{engine}");
            assert_eq!(people::manager(tx, low.id, 2).await?, Some(top.id), "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn groups_have_active_members_and_owners() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let group = Group {
                id: nth(130),
                display_name: "Crew".to_owned(),
                description: None,
                mail_nickname: "crew".to_owned(),
                mail: None,
                visibility: None,
                created_at: at(0),
                version: 1,
            };
            groups::insert(tx, &group).await?;
            let (uma, max, boss) = (desk.uma.id, desk.max.id, desk.boss.id);
            groups::add(tx, group.id, Tie::Member, &[uma, max]).await?;
            groups::add(tx, group.id, Tie::Owner, &[boss]).await?;

            let held = people::groups_of(tx, uma).await?;
            let named: Vec<_> = held.iter().map(|held| (held.id, held.name.as_str())).collect();
            assert_eq!(named, [(group.id, "Crew")], "{engine}");
            assert!(people::groups_of(tx, boss).await?.is_empty(), "{engine}");
            let asked = people::policy_person(tx, &facts(&desk.uma)).await?;
            assert_eq!((asked.user, asked.is_guest), (uma, false), "{engine}");
            assert_eq!(asked.groups, [group.id], "{engine}");
            assert_eq!(people::active_members(tx, group.id, 9).await?, [uma, max], "{engine}");
            assert_eq!(people::active_members(tx, group.id, 1).await?, [uma], "{engine}");
            subjects::set_active(tx, desk.uma.subject, false).await?;
            assert_eq!(people::active_members(tx, group.id, 9).await?, [max], "{engine}");
            assert!(people::owns_group(tx, boss, group.id).await?, "{engine}");
            assert!(!people::owns_group(tx, uma, group.id).await?, "{engine}");
            let name = people::group_name(tx, group.id).await?;
            assert_eq!(name.as_deref(), Some("Crew"), "{engine}");
            assert_eq!(people::group_name(tx, nobody::<GroupId>()).await?, None, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn nobody_is_searched_for_among_all_people() {
    for (_, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let (uma, subject) = (desk.uma.id, desk.uma.subject);
            no_scan(tx, "by_subject", async |tx| people::by_subject(tx, subject).await).await?;
            no_scan(tx, "by_user", async |tx| people::by_user(tx, uma).await).await?;
            no_scan(tx, "by_email", async |tx| people::by_email(tx, "a@b.example").await).await?;
            no_scan(tx, "groups_of", async |tx| people::groups_of(tx, uma).await).await?;
            no_scan(tx, "packages_of", async |tx| people::packages_of(tx, subject).await).await?;
            no_scan(tx, "manager", async |tx| people::manager(tx, uma, 2).await).await?;
            no_scan(tx, "members", async |tx| people::active_members(tx, nth(8), 9).await).await
        })
        .await;
    }
}
