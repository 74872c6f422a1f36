//! The connectors of the targets, opened once per version of a target's settings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use accede_connectors::Connector;
use accede_domain::fault::{Class, Fault};
use accede_domain::id::TargetId;
use accede_store::targets::TargetRow;

/// The connectors of the targets.
#[derive(Default)]
pub struct Hands {
    injected: Mutex<BTreeMap<TargetId, Arc<dyn Connector>>>,
}

impl Hands {
    /// Uses this connector for a target from here on; for tests and simulations.
    pub fn inject(&self, target: TargetId, connector: Arc<dyn Connector>) {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner).insert(target, connector);
    }

    /// The connector of a target.
    ///
    /// # Errors
    ///
    /// A target fault, when the target's settings do not open.
    pub fn get(&self, target: &TargetRow) -> Result<Arc<dyn Connector>, Fault> {
        let injected = self.injected.lock().unwrap_or_else(PoisonError::into_inner);
        injected.get(&target.id).cloned().ok_or_else(|| {
            let text = format!("no connector for `{}` is open", target.name);
            Fault::new(Class::Target, "no-connector", text)
        })
    }
}
