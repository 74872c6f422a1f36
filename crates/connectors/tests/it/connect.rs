//! Opens a connector as the server does, allowed to connect to this machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use accede_connectors::egress::Policy;
use accede_connectors::{Connector, Settings, kinds};
use accede_domain::id::{Id, TargetId};
use serde_json::Value;
use uuid::Uuid;

/// These settings and this one secret, for a target of a kind.
pub fn settings(settings: Value, (name, secret): (&str, &str)) -> Settings {
    Settings {
        target: TargetId::from_uuid(Uuid::nil()),
        settings,
        secrets: BTreeMap::from([(name.to_owned(), secret.to_owned())]),
        clock: accede_connectors::Clock::default(),
    }
}

/// A connector of a kind.
pub fn open(kind: &str, all: Value, secret: (&str, &str)) -> Arc<dyn Connector> {
    let egress = Policy::parse(&["127.0.0.0/8"], &[]).unwrap();
    kinds::open(kind, settings(all, secret), Arc::new(egress)).unwrap()
}

/// Base settings, with some more or other ones.
pub fn with(mut settings: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is no object") };
    settings.as_object_mut().unwrap().extend(more);
    settings
}
