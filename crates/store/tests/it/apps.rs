//! Applications.

use accede_domain::filter::Filter;
use accede_domain::id::{AppId, SubjectId};
use accede_domain::permission::Scope;
use accede_store::apps::{self, Application};
use accede_store::filter::Ask;
use accede_store::subjects::{self, Kind, NewSubject};
use accede_store::testing::stores;
use accede_store::{Error, Result, Tx};
use uuid::Uuid;

use crate::users::NOW;

fn app(number: u128) -> Application {
    Application {
        id: AppId(Uuid::from_u128(0x5000 + number)),
        subject: SubjectId(Uuid::from_u128(0x6000 + number)),
        display_name: format!("Robot {number}"),
        secret_hash: None,
        permissions: vec![Scope::EntitlementManagementRead, Scope::DirectoryRead],
        is_active: true,
        created_at: NOW,
    }
}

async fn add(tx: &mut Tx<'_>, app: &Application) -> Result<()> {
    let subject = NewSubject {
        id: app.subject,
        object: app.id.0,
        kind: Kind::ServicePrincipal,
        is_active: app.is_active,
        created_at: NOW,
    };
    subjects::insert_all(tx, &[subject]).await?;
    apps::insert(tx, app).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_found_by_id_name_and_filter() {
    for (engine, store) in stores().await {
        store
            .write(async |tx| {
                add(tx, &app(1)).await?;
                add(tx, &app(2)).await?;

                assert_eq!(apps::get(tx, app(1).id).await?, Some(app(1)), "{engine}");
                assert_eq!(apps::by_name(tx, "ROBOT 2").await?, Some(app(2)), "{engine}");
                let filter = Filter::parse(&format!("appId eq '{}'", app(1).id)).unwrap();
                let ask = Ask { filter: Some(&filter), top: 5, ..Ask::default() };
                let plan = apps::plan(ask).unwrap();
                assert_eq!(apps::list(tx, &plan).await?, (vec![app(1)], None), "{engine}");
                assert_eq!(apps::count(tx, &plan).await?, 1, "{engine}");
                let subject = subjects::get(tx, app(1).subject).await?.unwrap();
                assert_eq!(subject.display_name, "Robot 1", "{engine}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_permissions_are_saved() {
    for (engine, store) in stores().await {
        let missing = store
            .write(async |tx| {
                add(tx, &app(1)).await?;
                let changed = Application {
                    secret_hash: Some("digest".to_owned()),
                    permissions: vec![Scope::EntitlementManagementReadWrite],
                    ..app(1)
                };
                apps::save(tx, &changed).await?;
                assert_eq!(apps::get(tx, app(1).id).await?, Some(changed), "{engine}");
                apps::save(tx, &app(2)).await
            })
            .await;

        assert_eq!(missing, Err(Error::NotFound), "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_applications_never_share_a_name() {
    for (engine, store) in stores().await {
        let twice = store
            .write(async |tx| {
                add(tx, &app(1)).await?;
                add(tx, &Application { display_name: "rObOt 1".to_owned(), ..app(2) }).await
            })
            .await;

        let constraint = match twice {
            Err(Error::Duplicate { constraint }) => constraint,
            other => format!("{other:?}"),
        };
        assert!(constraint.contains("name_key"), "{engine}: {constraint}");
    }
}
