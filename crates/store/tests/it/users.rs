//! Users and their subjects.

use accede_domain::Timestamp;
use accede_domain::filter::{Filter, parse_order};
use accede_domain::id::{SubjectId, UserId};
use accede_store::filter::Ask;
use accede_store::subjects::{self, Kind, NewSubject};
use accede_store::testing::{plan, stores};
use accede_store::users::{self, Of, User, UserType};
use accede_store::{Error, Result, Tx, params};
use uuid::Uuid;

pub const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

/// A person; the number makes the ids and the name.
pub fn person(number: u128) -> User {
    let (id, subject) =
        (UserId(Uuid::from_u128(number)), SubjectId(Uuid::from_u128(0x1000 + number)));
    User {
        display_name: format!("Person {number}"),
        given_name: Some("Person".to_owned()),
        surname: Some(number.to_string()),
        department: Some("Docks".to_owned()),
        employee_id: Some(format!("E{number}")),
        ..User::new(id, subject, format!("Person{number}@harbourline.example"), NOW)
    }
}

/// Adds people with their subjects.
pub async fn add(tx: &mut Tx<'_>, people: &[User]) -> Result<()> {
    let new: Vec<NewSubject> = people
        .iter()
        .map(|user| NewSubject {
            id: user.subject,
            object: user.id.0,
            kind: Kind::User,
            is_active: user.account_enabled,
            created_at: NOW,
        })
        .collect();
    subjects::insert_all(tx, &new).await?;
    users::insert_all(tx, people).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_found_by_id_and_by_any_spelling_of_the_name() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                add(tx, &[person(1), person(2)]).await?;

                let one = users::get(tx, person(1).id).await?;
                assert_eq!(one, Some(person(1)), "{engine}");
                let named = users::by_name(tx, "PERSON2@Harbourline.example").await?;
                assert_eq!(named, Some(person(2)), "{engine}");
                assert_eq!(users::lock(tx, person(1).id).await?, Some(person(1)));
                let keys = ["person2@harbourline.example".to_owned(), "nobody".to_owned()];
                assert_eq!(users::by_keys(tx, &keys).await?, [person(2)]);
                let ids = [person(2).id, person(9).id, person(1).id];
                assert_eq!(users::by_ids(tx, &ids).await?, [person(2), person(1)]);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_never_share_a_sign_in_name() {
    for (engine, store) in stores().await {
        let twice = store
            .write(async |tx| {
                let mut other = person(2);
                other.user_principal_name = "pERSON1@harbourline.example".to_owned();
                add(tx, &[person(1), other]).await
            })
            .await;

        let constraint = match twice {
            Err(Error::Duplicate { constraint }) => constraint,
            other => format!("{other:?}"),
        };
        assert!(constraint.contains("user_principal_name_key"), "{engine}: {constraint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_user_is_saved_once() {
    for (engine, store) in stores().await {
        let again = store
            .write(async |tx| {
                add(tx, &[person(1)]).await?;
                let mut user = person(1);
                user.job_title = Some("Pilot".to_owned());
                user.account_enabled = false;
                users::save_all(tx, std::slice::from_ref(&user)).await?;

                let saved = users::get(tx, user.id).await?.unwrap();
                assert_eq!(saved, User { version: 2, ..user.clone() }, "{engine}");
                users::save_all(tx, &[user]).await
            })
            .await;

        assert_eq!(again, Err(Error::Stale), "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_keeps_the_row_and_frees_the_name() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                let reports = User { manager: Some(person(1).id), ..person(2) };
                add(tx, &[person(1)]).await?;
                add(tx, &[reports]).await?;

                users::delete(tx, person(1).id, NOW).await?;

                assert_eq!(users::get(tx, person(1).id).await?, None, "{engine}");
                assert_eq!(users::by_name(tx, "person1@harbourline.example").await?, None);
                let deleted = users::get_deleted(tx, person(1).id).await?.unwrap();
                assert_eq!(deleted.deleted_at, Some(NOW));
                assert!(!deleted.account_enabled);
                assert_eq!(users::get(tx, person(2).id).await?.unwrap().manager, None);
                let mut heir = person(3);
                heir.user_principal_name = person(1).user_principal_name;
                add(tx, &[heir]).await?;
                assert_eq!(users::delete(tx, person(1).id, NOW).await, Err(Error::NotFound));
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_ordered_paged_and_counted() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                let mut guest = person(5);
                guest.user_type = UserType::Guest;
                add(tx, &[person(1), person(2), person(3), person(4), guest]).await?;
                let filter = Filter::parse("userType eq 'member'").unwrap();
                let order = parse_order("displayName desc").unwrap();
                let ask = Ask { filter: Some(&filter), order: &order, top: 3, ..Ask::default() };

                let first = users::plan(Of::Everybody, ask).unwrap();
                let (page, next) = users::list(tx, Of::Everybody, &first).await?;
                let ask = Ask { after: next.as_deref(), ..ask };
                let second = users::plan(Of::Everybody, ask).unwrap();
                let (rest, end) = users::list(tx, Of::Everybody, &second).await?;

                assert_eq!(page, [person(4), person(3), person(2)], "{engine}");
                assert_eq!((rest, end), (vec![person(1)], None), "{engine}");
                assert_eq!(users::count(tx, Of::Everybody, &second).await?, 4);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_filtered_without_case() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                add(tx, &[person(1), person(2)]).await?;
                for text in [
                    "userPrincipalName eq 'PERSON1@harbourline.example'",
                    "startswith(userPrincipalName, 'person1')",
                    "displayName eq 'person 1'",
                    "employeeId in ('e1', 'E9')",
                ] {
                    let filter = Filter::parse(text).unwrap();
                    let ask = Ask { filter: Some(&filter), top: 9, ..Ask::default() };
                    let plan = users::plan(Of::Everybody, ask).unwrap();
                    let (page, _) = users::list(tx, Of::Everybody, &plan).await?;
                    assert_eq!(page, [person(1)], "{engine}: {text}");
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn managers_are_set_in_bulk_and_read_back() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                add(tx, &[person(1), person(2), person(3)]).await?;
                let (boss, two, three) = (person(1).id, person(2).id, person(3).id);

                users::set_managers(tx, &[(two, Some(boss)), (three, Some(boss))]).await?;
                users::set_managers(tx, &[(three, None)]).await?;

                assert_eq!(users::manager_links(tx).await?, [(two, boss)], "{engine}");
                let of = Of::Manager(boss);
                let plan = users::plan(of, Ask { top: 5, ..Ask::default() }).unwrap();
                let (reports, _) = users::list(tx, of, &plan).await?;
                assert_eq!(reports.iter().map(|user| user.id).collect::<Vec<_>>(), [two]);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_shows_what_the_directory_says() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                add(tx, &[person(1)]).await?;

                let subject = subjects::get(tx, person(1).subject).await?.unwrap();
                assert_eq!(subject.display_name, "Person 1", "{engine}");
                assert_eq!(subject.kind, Kind::User);
                assert_eq!(subject.principal_name.as_deref(), Some("Person1@harbourline.example"));
                assert_eq!(subjects::by_object(tx, person(1).id.0).await?, Some(subject.clone()));
                subjects::set_active(tx, subject.id, false).await?;
                assert!(!subjects::get(tx, subject.id).await?.unwrap().is_active);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_and_a_name_need_no_scan() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                let ask = Ask { top: 50, ..Ask::default() };
                let page = users::plan(Of::Everybody, ask).unwrap();
                let (sql, values) =
                    page.select("u.id", "users u", Some("u.deleted_at_ms is null"), &[]);
                let sql: &'static str = sql.leak();
                let steps = plan(tx, sql, &values).await?;
                assert!(steps.contains("users_by_name"), "{engine}: {steps}");
                let by_name = "select id from users where user_principal_name_key = $1";
                let steps = plan(tx, by_name, params!["a"]).await?;
                assert!(!steps.to_lowercase().contains("seq scan"), "{engine}: {steps}");
                assert!(!steps.contains("SCAN"), "{engine}: {steps}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}
