//! Applications: what calls the API without a person.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use accede_domain::Timestamp;
use accede_domain::id::AppId;
use accede_store::crash::{Point, point};
use accede_store::subjects::{self, Kind, NewSubject};
use accede_store::{Tx, apps};

pub use accede_store::apps::Application;

use crate::audit::{self, Event};
use crate::list::ask;
use crate::{App, Caller, Error, Listing, Page, Result, fields};

/// A client secret, told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSecret {
    /// The application's id, which is its client id.
    pub client_id: AppId,
    /// The secret.
    pub secret: String,
}

impl App {
    /// One application.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn application(&self, caller: &Caller, id: AppId) -> Result<Application> {
        self.may_read_directory(caller)?;
        let found = self.store().read(async |tx| apps::get(tx, id).await).await;
        found?.ok_or_else(|| Error::not_found("service principal", id))
    }

    /// A page of the applications.
    ///
    /// # Errors
    ///
    /// Forbidden; what the list does not have.
    pub async fn list_applications(
        &self,
        caller: &Caller,
        listing: &Listing,
    ) -> Result<Page<Application>> {
        self.may_read_directory(caller)?;
        let plan = apps::plan(ask(listing)?)?;
        self.store()
            .read(async |tx| {
                let (items, next) = apps::list(tx, &plan).await?;
                let count = if listing.count { Some(apps::count(tx, &plan).await?) } else { None };
                Ok::<_, Error>(Page { items, next, count })
            })
            .await
    }

    /// Gives an application a new client secret, by an operator on the machine; makes the
    /// application if there is none of that name. The secret before it, if any, no longer works.
    ///
    /// # Errors
    ///
    /// A bad name.
    pub async fn new_client_secret(&self, name: &str) -> Result<ClientSecret> {
        let now = self.now();
        let mut bytes = [0; 32];
        self.entropy().fill(&mut bytes);
        let secret = URL_SAFE_NO_PAD.encode(bytes);
        let caller = Caller::system();
        let client_id = self
            .store()
            .write(async |tx| {
                let mut app = self.ensure_app(tx, &caller, name, now).await?;
                app.secret_hash = Some(digest_of(&secret));
                apps::save(tx, &app).await?;
                let event = Event {
                    action: "client secret issued",
                    object_type: "servicePrincipal",
                    object_id: app.id.to_string(),
                    catalog: None,
                    detail: serde_json::json!({ "displayName": app.display_name }),
                };
                audit::record(self, tx, &caller, event, now).await?;
                Ok::<_, Error>(app.id)
            })
            .await?;
        Ok(ClientSecret { client_id, secret })
    }

    /// The application of that name, made if there is none.
    pub(crate) async fn ensure_app(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        name: &str,
        now: Timestamp,
    ) -> Result<Application> {
        let name = fields::required("displayName", name, fields::MAX_NAME)?;
        if let Some(app) = apps::by_name(tx, &name).await? {
            return Ok(app);
        }
        let app = Application {
            id: self.mint(now),
            subject: self.mint(now),
            display_name: name,
            secret_hash: None,
            permissions: Vec::new(),
            is_active: true,
            created_at: now,
        };
        let subject = NewSubject {
            id: app.subject,
            object: app.id.0,
            kind: Kind::ServicePrincipal,
            is_active: true,
            created_at: now,
        };
        subjects::insert_all(tx, &[subject]).await?;
        apps::insert(tx, &app).await?;
        let event = Event {
            action: "application created",
            object_type: "servicePrincipal",
            object_id: app.id.to_string(),
            catalog: None,
            detail: serde_json::json!({ "displayName": app.display_name }),
        };
        audit::record(self, tx, caller, event, now).await?;
        point(Point::TokenApp);
        Ok(app)
    }
}

/// What is kept of a client secret. It is 256 random bits, so that one round of hashing is enough.
pub(crate) fn digest_of(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, secret.as_bytes()))
}
