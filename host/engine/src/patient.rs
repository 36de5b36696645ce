//! Reading state while an epoch is computed, however long the store is away.

use crate::run::Signals;
use std::sync::Arc;
use std::time::Duration;
use weir_types::live::{Condition, Publisher};
use weir_types::ports::{KeyValues, StateError, StateStore, WriteSet};

/// Pause between two attempts.
const RETRY: Duration = Duration::from_millis(500);

/// A store whose `get` is tried again until it answers or the engine ends. An epoch that has begun to
/// merge cannot be given up half done, so it waits; Kafka waits with it.
pub struct Patient {
    pub store: Arc<dyn StateStore>,
    pub publisher: Arc<dyn Publisher>,
    pub signals: Arc<Signals>,
}

impl Patient {
    fn tell(&self, reason: Option<String>) {
        let condition = reason.map(|reason| Condition { part: "state", blocking: true, reason });
        self.publisher.condition("state", condition);
    }
}

impl StateStore for Patient {
    fn write(&self, writes: WriteSet) -> Result<(), StateError> {
        self.store.write(writes)
    }
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let mut troubled = false;
        loop {
            match self.store.get(key) {
                Err(StateError::Unavailable(reason)) if !self.signals.is_over() => {
                    tracing::warn!(%reason, "cold slots cannot be read: it is tried again");
                    self.tell(Some(format!("state cannot be read, it is tried again: {reason}")));
                    troubled = true;
                    std::thread::sleep(RETRY);
                }
                answer => {
                    if troubled && answer.is_ok() {
                        self.tell(None);
                    }
                    return answer;
                }
            }
        }
    }
    fn scan(&self, prefix: &[u8]) -> Result<KeyValues, StateError> {
        self.store.scan(prefix)
    }
    fn put_blob(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.store.put_blob(name, bytes)
    }
    fn get_blob(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.store.get_blob(name)
    }
    fn claim_generation(&self, at_least: u64) -> Result<u64, StateError> {
        self.store.claim_generation(at_least)
    }
}
