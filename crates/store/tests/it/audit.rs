//! The audit log, on every engine.

use accede_store::audit::{self, NewRecord};
use accede_store::testing::stores;
use accede_store::{Error, params};

use crate::desk::{set, within};
use crate::shelf::{at, nth};

#[tokio::test]
async fn a_record_is_kept_as_it_was_written_and_once() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        let record = || NewRecord {
            id: nth(600),
            at: at(3),
            actor: "rita",
            action: "catalog created",
            object_type: "accessPackageCatalog",
            object_id: "1",
            catalog: Some(desk.shelf.catalog),
            detail: "{\"displayName\":\"Fair\"}".to_owned(),
        };
        within(&store, async |tx| {
            audit::insert(tx, record()).await?;
            let row = tx
                .query_one(
                    "select at_ms, actor, action, object_type, object_id, catalog_id, detail
                     from audit where id = $1",
                    params![nth::<accede_domain::id::AuditId>(600)],
                )
                .await?;
            assert_eq!(row.get::<accede_domain::Timestamp>(0)?, at(3), "{engine}");
            assert_eq!(row.get::<String>(1)?, "rita", "{engine}");
            assert_eq!(row.get::<String>(2)?, "catalog created", "{engine}");
            assert_eq!(row.get::<String>(3)?, "accessPackageCatalog", "{engine}");
            assert_eq!(row.get::<String>(4)?, "1", "{engine}");
            assert_eq!(row.get::<Option<_>>(5)?, Some(desk.shelf.catalog), "{engine}");
            assert_eq!(row.get::<String>(6)?, "{\"displayName\":\"Fair\"}", "{engine}");
            Ok(())
        })
        .await;
        let again = store.write(async |tx| audit::insert(tx, record()).await).await;
        assert!(matches!(again, Err(Error::Duplicate { .. })), "{engine}: {again:?}");
    }
}
