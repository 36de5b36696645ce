//! What a host's state stands on: keys and values with one writer, blobs beside them.

use crate::world::{Breach, Mutation};
use std::collections::BTreeMap;
use weir_types::ports::{WriteSet, reserved};

/// See the module. A copy is a backup.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    data: BTreeMap<Vec<u8>, Vec<u8>>,
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// The greatest generation claimed.
    generation: u64,
    /// Number of the host that opened it last; only that one may write.
    pub owner: usize,
    /// The newest durable epoch, and a hash of the write that holds it.
    pub epoch: u64,
    hash: [u8; 32],
    /// With [`Mutation::OutboxAfterOffsets`]: outboxes that are not on disk yet.
    torn: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The epoch that a write holds: that of its row of `epochs`.
fn epoch_of(writes: &WriteSet) -> Option<u64> {
    let key = writes.puts.iter().map(|(key, _)| key).find(|key| key.ends_with(b"/epochs"))?;
    let text = std::str::from_utf8(key).ok()?;
    text.split('/').nth(2)?.parse().ok()
}

fn hash_of(writes: &WriteSet) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in writes.puts.iter().flat_map(|(k, v)| [k, v]).chain(&writes.deletes) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

impl Disk {
    /// All or nothing. Epochs must follow each other; only the same write may come again.
    pub fn write(&mut self, writes: WriteSet, mutation: Mutation) -> Result<(), Breach> {
        let Some(epoch) = epoch_of(&writes) else {
            return Err(Breach("a write without a row of `epochs`".into()));
        };
        let hash = hash_of(&writes);
        let again = epoch == self.epoch && hash == self.hash;
        if !again && epoch != self.epoch + 1 {
            return Err(Breach(format!("epoch {epoch} is written after epoch {}", self.epoch)));
        }
        (self.epoch, self.hash) = (epoch, hash);
        self.settle();
        for (key, value) in writes.puts {
            match mutation == Mutation::OutboxAfterOffsets && key.starts_with(b"0/outbox/") {
                true => self.torn.push((key, value)),
                false => drop(self.data.insert(key, value)),
            }
        }
        writes.deletes.iter().for_each(|key| drop(self.data.remove(key)));
        Ok(())
    }

    /// What was to be written later is written.
    pub fn settle(&mut self) {
        self.data.extend(std::mem::take(&mut self.torn));
    }

    /// The machine loses what was not on disk.
    pub fn crash(&mut self) {
        self.torn.clear();
    }

    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.data.get(key).cloned()
    }

    pub fn scan(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let from = self.data.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        from.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Replaces everything by an older copy, as `weir state import` does: with its mark.
    pub fn import(&mut self, copy: Disk) {
        *self = copy;
        self.data.insert(reserved::imported("0"), Vec::new());
    }

    pub fn claim(&mut self, at_least: u64) -> u64 {
        self.generation = at_least.max(self.generation + 1);
        self.generation
    }
}
