//! The connectors of the targets, opened once per version of a target's settings.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use accede_connectors::directory::Directory;
use accede_connectors::settings::{self, Problem};
use accede_connectors::{
    Clock, Connector, Done, FoundResource, Health, Item, Person, Presence, Role, Settings, kinds,
};
use accede_domain::Timestamp;
use accede_domain::fault::{Class, Fault};
use accede_domain::id::TargetId;
use accede_store::targets::{DIRECTORY, TargetRow};
use serde_json::Value;
use url::Url;

use crate::directory_groups::DirectoryGroups;
use crate::seal::Place;
use crate::{App, Error, Inner, Result};

/// A connector and the version of the settings that it was opened with.
struct Opened {
    version: i64,
    connector: Arc<dyn Connector>,
}

/// The connectors of the targets.
#[derive(Default)]
pub struct Hands {
    injected: Mutex<BTreeMap<TargetId, Arc<dyn Connector>>>,
    opened: Mutex<BTreeMap<TargetId, Opened>>,
    /// The application that these are the hands of: its key opens secrets, its settings say where
    /// connectors may connect to, its directory is a target of its own.
    app: OnceLock<Weak<Inner>>,
}

impl Hands {
    /// Says whose hands these are; once, when the application is made.
    pub(crate) fn belong_to(&self, inner: &Arc<Inner>) {
        let _first = self.app.set(Arc::downgrade(inner));
    }

    /// Uses this connector for a target from here on; for tests and simulations.
    pub fn inject(&self, target: TargetId, connector: Arc<dyn Connector>) {
        lock(&self.injected).insert(target, connector);
    }

    /// The connector of a target; none while the deployment is paused.
    ///
    /// # Errors
    ///
    /// A target fault, when the target's settings do not open.
    pub fn get(&self, target: &TargetRow) -> Result<Arc<dyn Connector>, Fault> {
        if self.app.get().and_then(Weak::upgrade).is_some_and(|inner| App { inner }.is_held()) {
            return Err(Fault::new(
                Class::Target,
                "deployment-paused",
                "this deployment is paused, so no target system is called; a Global Administrator \
                 confirms it under Deployment",
            ));
        }
        self.get_while_paused(target)
    }

    /// The same, for the comparison that is made while the deployment is paused.
    pub(crate) fn get_while_paused(&self, target: &TargetRow) -> Result<Arc<dyn Connector>, Fault> {
        if let Some(injected) = lock(&self.injected).get(&target.id) {
            return Ok(Arc::clone(injected));
        }
        if let Some(opened) = lock(&self.opened).get(&target.id)
            && opened.version == target.version
        {
            return Ok(Arc::clone(&opened.connector));
        }
        let connector = self.open(target)?;
        let opened = Opened { version: target.version, connector: Arc::clone(&connector) };
        lock(&self.opened).insert(target.id, opened);
        Ok(connector)
    }

    /// Closes the connector of a target that was deleted.
    pub fn forget(&self, target: TargetId) {
        lock(&self.opened).remove(&target);
    }

    /// Checks settings and secrets before they are stored.
    ///
    /// # Errors
    ///
    /// Invalid, naming the setting or secret and the remedy.
    pub(crate) fn validate(
        &self,
        target: TargetId,
        kind: &str,
        settings: &Value,
        secrets: &BTreeMap<String, String>,
    ) -> Result<()> {
        let app = self.app().map_err(Error::internal)?;
        let egress = &app.settings().egress;
        let (settings, secrets) = (settings.clone(), secrets.clone());
        let settings = Settings { target, settings, secrets, clock: self.clock() };
        let invalid = |problem: Problem| Error::invalid(problem.path, problem.sentence);
        kinds::validate(kind, &settings, egress).map_err(invalid)?;
        // What the target leaves out is the server's, so they are judged together.
        settings::retry(&settings.settings, &app.settings().retry).map_err(invalid)?;
        settings::drift(&settings.settings, app.settings().drift_missing).map_err(invalid)?;
        settings::drift_extra(&settings.settings, app.settings().drift_extra).map_err(invalid)?;
        // Names are judged when they are connected to; addresses can be judged here and now.
        for (name, value) in settings.settings.as_object().into_iter().flatten() {
            if let Some(address) = value.as_str().and_then(literal_address)
                && let Err(denied) = egress.permits(address)
            {
                let sentence = format!(
                    "{denied}; name another host, or list its network in `egress.allow` of the \
                     server's settings, where that can be allowed"
                );
                return Err(Error::invalid(format!("settings.{name}"), sentence));
            }
        }
        Ok(())
    }

    fn open(&self, target: &TargetRow) -> Result<Arc<dyn Connector>, Fault> {
        let app = self.app()?;
        if target.kind == DIRECTORY {
            let groups = DirectoryGroups::new(app.store().clone());
            return Ok(Arc::new(Directory { groups: Arc::new(groups) }));
        }
        let secrets = open_secrets(&app, target).map_err(|_| {
            Fault::new(
                Class::Target,
                "secrets",
                "its secrets cannot be opened with this server's key; set them anew, or start \
                 the server with the key they were sealed with",
            )
        })?;
        let settings = target.settings.clone();
        let settings = Settings { target: target.id, settings, secrets, clock: self.clock() };
        kinds::open(&target.kind, settings, Arc::clone(&app.settings().egress))
    }

    /// The server's clock, for connectors that must say the time.
    fn clock(&self) -> Clock {
        let app = self.app.get().cloned();
        Clock::new(move || {
            let inner = app.as_ref().and_then(Weak::upgrade);
            // Nothing is called once the server is gone.
            inner.map_or(Timestamp::UNIX_EPOCH, |inner| inner.clock.now())
        })
    }

    fn app(&self) -> Result<App, Fault> {
        let inner = self.app.get().and_then(Weak::upgrade);
        let inner = inner
            .ok_or_else(|| Fault::new(Class::Target, "shutdown", "the server is shutting down"))?;
        Ok(App { inner })
    }
}

/// The address in `https://192.0.2.1:8443/scim`, if it is a literal one.
fn literal_address(text: &str) -> Option<IpAddr> {
    let url = Url::parse(text.trim()).ok()?;
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a target's secrets are kept, and only there can they be opened.
pub(crate) fn place(row: &str) -> Place<'_> {
    Place { table: "targets", row, column: "secrets" }
}

/// A target's secrets by name.
pub(crate) fn open_secrets(app: &App, target: &TargetRow) -> Result<BTreeMap<String, String>> {
    match &target.secrets {
        None => Ok(BTreeMap::new()),
        Some(sealed) => {
            let plain = app.unseal(place(&target.id.to_string()), sealed)?;
            serde_json::from_slice(&plain).map_err(Error::internal)
        }
    }
}

/// Stands for a connector that cannot be opened: every call answers with the reason.
pub(crate) struct Broken(pub(crate) Fault);

#[async_trait::async_trait]
impl Connector for Broken {
    fn batch_size(&self) -> usize {
        100
    }

    fn can_observe(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<Health, Fault> {
        Err(self.0.clone())
    }

    async fn discover(
        &self,
        _search: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<FoundResource>, Fault> {
        Err(self.0.clone())
    }

    async fn find(&self, _origin_id: &str) -> Result<Option<FoundResource>, Fault> {
        Err(self.0.clone())
    }

    async fn ensure(&self, batch: &[Item]) -> Vec<Result<Done, Fault>> {
        vec![Err(self.0.clone()); batch.len()]
    }

    async fn observe(&self, batch: &[(Person, Role)]) -> Vec<Result<Presence, Fault>> {
        vec![Err(self.0.clone()); batch.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_addresses_are_found_in_urls_of_any_scheme() {
        for (url, address) in [
            ("https://169.254.169.254/latest", Some("169.254.169.254")),
            ("ldaps://10.0.0.7", Some("10.0.0.7")),
            ("http://[fe80::1]:8080/", Some("fe80::1")),
            ("ldap://[::1]", Some("::1")),
            ("http://0x7f000001/", Some("127.0.0.1")),
            ("https://wiki.example", None),
            ("cn=accede,dc=example", None),
        ] {
            let found = literal_address(url).map(|address| address.to_string());
            assert_eq!(found.as_deref(), address, "{url}");
        }
    }
}
