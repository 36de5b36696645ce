//! What a host's state stands on: keys and values with one writer, blobs beside them.

use crate::world::{Breach, Listing, Mutation};
use rustc_hash::FxHasher;
use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher;
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
    hash: u64,
    /// The metrics of the newest durable epoch.
    pub metrics: Listing,
    /// The first epoch of each metric and incarnation.
    pub joined: BTreeMap<(String, i64), u64>,
    /// With [`Mutation::OutboxAfterOffsets`]: outboxes that are not on disk yet.
    torn: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The epoch that a write holds: that of its row of `epochs`.
fn epoch_of(writes: &WriteSet) -> Option<u64> {
    let key = writes.puts.iter().map(|(key, _)| key).find(|key| key.ends_with(b"/epochs"))?;
    let text = std::str::from_utf8(key).ok()?;
    text.split('/').nth(2)?.parse().ok()
}

fn hash_of(writes: &WriteSet) -> u64 {
    let mut hasher = FxHasher::default();
    for part in writes.puts.iter().flat_map(|(k, v)| [k, v]).chain(&writes.deletes) {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}

impl Disk {
    pub fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.data.keys()
    }

    /// All or nothing. Epochs must follow each other; only the same write may come again. `listed`: the
    /// metrics of the writer's epochs.
    pub fn write(
        &mut self,
        writes: WriteSet,
        listed: &mut VecDeque<(u64, Listing)>,
        mutation: Mutation,
    ) -> Result<(), Breach> {
        let Some(epoch) = epoch_of(&writes) else {
            return Err(Breach("a write without a row of `epochs`".into()));
        };
        let hash = hash_of(&writes);
        let again = epoch == self.epoch && hash == self.hash;
        if !again && epoch != self.epoch + 1 {
            return Err(Breach(format!("epoch {epoch} is written after epoch {}", self.epoch)));
        }
        (self.epoch, self.hash) = (epoch, hash);
        self.list(epoch, listed);
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

    fn list(&mut self, epoch: u64, listed: &mut VecDeque<(u64, Listing)>) {
        while listed.front().is_some_and(|(of, _)| *of < epoch) {
            listed.pop_front();
        }
        let Some((_, metrics)) = listed.front().filter(|(of, _)| *of == epoch) else { return };
        if *metrics == self.metrics {
            return;
        }
        self.metrics = metrics.clone();
        for (name, metric) in self.metrics.iter() {
            self.joined.entry((name.clone(), metric.incarnation)).or_insert(epoch);
        }
    }

    /// Whether a host that has recovered has the metrics of the newest durable epoch; beside them only such
    /// as were never there.
    pub fn check_recovered(&self, found: &Listing) -> Result<(), Breach> {
        let was_there = |name: &String| self.joined.keys().any(|(known, _)| known == name);
        let lost = self.metrics.iter().find(|(name, metric)| found.get(*name) != Some(metric));
        let back = found.keys().find(|name| !self.metrics.contains_key(*name) && was_there(name));
        match lost.map(|(name, _)| name).or(back) {
            Some(name) => Err(Breach(format!(
                "metric {name} is recovered as {:?}, and was {:?}",
                found.get(name),
                self.metrics.get(name)
            ))),
            None => Ok(()),
        }
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

    /// Replaces everything by an older copy, as `weir state import` does: with its mark, unless the copy was still
    /// to take something back.
    pub fn import(&mut self, copy: Disk) {
        *self = copy;
        self.data.entry(reserved::imported("0")).or_default();
    }

    pub fn claim(&mut self, at_least: u64) -> u64 {
        self.generation = at_least.max(self.generation + 1);
        self.generation
    }
}
