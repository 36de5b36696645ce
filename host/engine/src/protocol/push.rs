//! A component on its way in: what is decided and stored before its metrics may join.

use super::{Command, Reply};
use crate::recover::put_component;
use std::sync::Arc;
use weir_types::contract::MetricFactory;
use weir_types::control::ControlError;
use weir_types::live::CatalogueEntry;
use weir_types::ports::StateStore;

/// A component that was loaded and that nothing in the catalogue forbids. In this order: store, settle if it
/// must, join.
pub struct Push {
    origin: String,
    component: Vec<u8>,
    factories: Vec<Arc<dyn MetricFactory>>,
    mends: bool,
}

impl Push {
    /// Refused if a metric of it runs.
    pub fn check(
        origin: &str,
        component: Vec<u8>,
        factories: Vec<Arc<dyn MetricFactory>>,
        loaded: &[CatalogueEntry],
    ) -> Result<Push, ControlError> {
        let known = |f: &Arc<dyn MetricFactory>| loaded.iter().find(|e| e.info.name == f.info().name);
        let (stopped, running): (Vec<_>, Vec<_>) =
            factories.iter().filter_map(known).partition(|e| e.is_stopped());
        if let Some(entry) = running.first() {
            return Err(ControlError::Conflict(format!(
                "{origin}: metric {} is loaded already (digest {}): retire it first",
                entry.info.name, entry.digest
            )));
        }
        let mends = !stopped.is_empty();
        Ok(Push { origin: origin.to_string(), component, factories, mends })
    }

    /// Puts the component beside the state, where a start finds it. Repeating it changes nothing.
    pub fn store(&self, state: &dyn StateStore) -> Result<(), ControlError> {
        let digest = blake3::hash(&self.component).to_hex().to_string();
        put_component(state, &digest, &self.component).map_err(|e| ControlError::Unavailable(e.to_string()))
    }

    /// Whether [`Command::Settle`] must be answered before it joins: what is stored of a metric that stopped
    /// is about to be read.
    pub fn must_settle(&self) -> bool {
        self.mends
    }

    pub fn join(self, reply: Reply<Vec<CatalogueEntry>>) -> Command {
        Command::Join { origin: self.origin, factories: self.factories, reply }
    }
}
