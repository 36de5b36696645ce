//! Session windows: runs of samples of a key, joined as the host joins them.

use super::{Harness, Key};
use crate::metric::Metric;

impl<M: Metric> Harness<M> {
    /// The run of `key` (its window's name and dimensions) that holds a time: its start and end.
    pub(super) fn session_at(&self, window: &str, dims: &[Option<String>], at: i64) -> Option<(i64, i64)> {
        let of_key = self.slots.keys().filter(|key| key.window == window && key.dims == dims);
        of_key.map(|key| (key.start, key.end)).find(|(start, end)| (*start..*end).contains(&at))
    }

    /// The slot for a sample over [at, until). Every run that it touches, at a distance of just the gap
    /// too, becomes one run with it. `key` is that of a run of this sample alone.
    pub(super) fn session_slot(&mut self, mut key: Key) -> u32 {
        let touched: Vec<Key> = self
            .slots
            .keys()
            .filter(|run| run.window == key.window && run.dims == key.dims)
            // Ends stand a gap behind the last sample.
            .filter(|run| run.start <= key.end && key.start <= run.end)
            .cloned()
            .collect();
        let mut slot = None;
        for run in touched {
            (key.start, key.end) = (key.start.min(run.start), key.end.max(run.end));
            let Some(from) = self.slots.remove(&run) else { continue };
            match slot {
                None => slot = Some(from),
                Some(into) => self.merge(into, from),
            }
        }
        let slot = slot.unwrap_or_else(|| self.new_slot());
        self.slots.insert(key, slot);
        slot
    }

    fn merge(&mut self, into: u32, from: u32) {
        let merged = self.instance.merge(&into.to_le_bytes(), &from.to_le_bytes());
        merged.unwrap_or_else(|why| panic!("merge gave an error: {why}"));
    }
}
