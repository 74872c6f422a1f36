//! Local accounts, failed tries, sessions, and what a deployment keeps about itself.

use accede_domain::Timestamp;
use accede_store::sessions::{self, Session};
use accede_store::testing::stores;
use accede_store::{Error, accounts, deployment};
use uuid::Uuid;

use crate::users::{NOW, add, person};

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW.as_second() + seconds).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_replaced_and_deleted() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                add(tx, &[person(1)]).await?;
                let user = person(1).id;
                assert_eq!(accounts::lock(tx, user).await?, None, "{engine}");
                accounts::put(tx, user, "first", NOW).await?;
                accounts::put(tx, user, "second", NOW).await?;
                assert_eq!(accounts::lock(tx, user).await?.as_deref(), Some("second"), "{engine}");
                accounts::delete(tx, user).await?;
                assert_eq!(accounts::lock(tx, user).await?, None, "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_tries_are_counted_by_key_and_window() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                for (number, (key, second)) in
                    [("a", 0), ("a", 10), ("a", 20), ("b", 20)].into_iter().enumerate()
                {
                    let id = Uuid::from_u128(number as u128);
                    accounts::insert_failure(tx, id, key, later(second)).await?;
                }
                let counted = accounts::failures(tx, "a", later(5)).await?;
                assert_eq!(counted, (2, Some(later(10))), "{engine}");
                assert_eq!(accounts::failures(tx, "c", NOW).await?, (0, None), "{engine}");
                accounts::delete_failure(tx, Uuid::from_u128(1)).await?;
                let counted = accounts::failures(tx, "a", later(5)).await?;
                assert_eq!(counted, (1, Some(later(20))), "{engine}");
                assert_eq!(accounts::forget_failures_before(tx, later(15)).await?, 1, "{engine}");
                accounts::forget_failures(tx, "a").await?;
                let counted = accounts::failures(tx, "b", later(0)).await?;
                assert_eq!(counted, (1, Some(later(20))), "{engine}");
                assert_eq!(accounts::failures(tx, "a", later(-9)).await?.0, 0, "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_found_touched_and_ended() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                add(tx, &[person(1), person(2)]).await?;
                let session = |number: u8, user: u128| Session {
                    token_hash: vec![number; 32],
                    user: person(user).id,
                    csrf_token: "csrf".to_owned(),
                    created_at: NOW,
                    seen_at: NOW,
                    expires_at: later(i64::from(number)),
                };
                for session in [session(1, 1), session(2, 1), session(3, 2), session(4, 2)] {
                    sessions::insert(tx, &session).await?;
                }

                sessions::touch(tx, &[1; 32], later(9)).await?;
                sessions::touch(tx, &[1; 32], later(5)).await?;
                let touched = Session { seen_at: later(9), ..session(1, 1) };
                assert_eq!(sessions::get(tx, &[1; 32]).await?, Some(touched), "{engine}");
                assert!(sessions::delete(tx, &[4; 32]).await?, "{engine}");
                assert!(!sessions::delete(tx, &[4; 32]).await?, "{engine}");
                assert_eq!(sessions::delete_expired(tx, later(2)).await?, 1, "{engine}");
                sessions::delete_of_user(tx, person(1).id).await?;
                assert_eq!(sessions::get(tx, &[2; 32]).await?, None, "{engine}");
                assert_eq!(sessions::get(tx, &[3; 32]).await?, Some(session(3, 2)), "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_value_of_a_name_stands() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                assert_eq!(deployment::get(tx, "id").await?, None, "{engine}");
                assert_eq!(deployment::keep(tx, "id", "one").await?, "one", "{engine}");
                assert_eq!(deployment::keep(tx, "id", "two").await?, "one", "{engine}");
                deployment::replace(tx, "id", "three").await?;
                assert_eq!(deployment::get(tx, "id").await?.as_deref(), Some("three"));
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}
