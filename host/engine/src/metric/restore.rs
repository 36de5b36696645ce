//! From what is stored of one metric to its state: chunks, and the cells since.

use super::cold::Chunks;
use super::sessions::Run;
use super::windows::Place;
use super::{Metric, MetricError};
use crate::keys::StoredKey;
use crate::shared::Shared;
use crate::stored::{ChunkHead, StoredCells, StoredChunk, decode, epoch_of};
use crate::watermark::Watermarks;
use weir_types::contract::{States, pack};
use weir_types::ports::StateError;
use weir_types::window::Interval;

impl Metric {
    /// Newest checkpoint, and the cells of the epochs since. Chunks of closed windows stay in the store,
    /// but for those that the serving side shows; so do those of open windows beyond `allowed` slots,
    /// which are loaded and evaluated with the next epochs. None = all is loaded. The watermarks must be
    /// those of the last epoch, if they are known.
    pub fn restore(
        &mut self,
        allowed: Option<u64>,
        shared: &mut Shared,
        chunks: &Chunks<'_>,
    ) -> Result<(), MetricError> {
        let (name, incarnation) = (self.entry.name.clone(), self.entry.incarnation);
        let watermarks = self.watermarks;
        self.restore_kinds(chunks.store, chunks.keys, &shared.calendar)?;
        let stored = chunks.store.scan(chunks.keys.chunks_of(&name, incarnation).as_bytes())?;
        for (_, value) in &stored {
            self.restore_group(&decode("chunk", value)?)?;
        }
        for (_, value) in &stored {
            self.restore_chunk(decode("chunk", value)?, allowed, shared)?;
        }
        drop(stored);
        let prefix = chunks.keys.cells_of(&name, incarnation);
        for (key, value) in chunks.store.scan(prefix.as_bytes())? {
            let Some(epoch) = epoch_of(&key, &prefix) else { continue };
            self.stored_cells.push(epoch);
            if epoch > self.entry.checkpoint {
                self.restore_cells(decode("cells", &value)?, epoch, shared, chunks)?;
            }
        }
        // Of a metric that was stopped by an older host they are not known: those of its last cells stand.
        if watermarks != Watermarks::default() {
            self.watermarks = watermarks;
        }
        self.settle_kinds();
        Ok(())
    }

    fn restore_group(&mut self, head: &ChunkHead) -> Result<(), MetricError> {
        let interval = Interval { start: head.start, end: head.end };
        let Some(kind) = self.plan.kinds.get(head.window as usize) else {
            let text =
                format!("metric {}: a stored window kind is no longer one of its windows", self.entry.name);
            return Err(StateError::Corrupt(text).into());
        };
        let is_session = kind.gap().is_some();
        let gone = self.session_ends(head.window, interval.end).1;
        let id = self.windows.group(head.window, interval);
        if let Some(group) = self.windows.group_mut(id) {
            group.is_final = head.is_final;
        }
        match is_session {
            true => self.keep(id, gone),
            false => drop(self.open_group(head.window, interval, gone)),
        }
        Ok(())
    }

    fn restore_chunk(
        &mut self,
        chunk: StoredChunk,
        allowed: Option<u64>,
        shared: &mut Shared,
    ) -> Result<(), MetricError> {
        let group = self.windows.group(chunk.window, Interval { start: chunk.start, end: chunk.end });
        let closed = allowed.is_some() && self.is_closed(&chunk);
        let is_session = self.plan.kinds[chunk.window as usize].gap().is_some();
        let may_wait = !is_session && !self.plan.is_now && !self.info.time_varying;
        let beyond = may_wait && allowed.is_some_and(|allowed| self.windows.hot() >= allowed);
        if !closed && !beyond {
            let part = chunk.part;
            self.take_up(group, chunk, false, shared)?;
            self.windows.set_stored(group, part, self.entry.checkpoint);
            return Ok(());
        }
        if !closed {
            self.unseen.push((group, chunk.part));
        }
        let mut keys = 0;
        for stored in &chunk.slots {
            let space = &mut self.projections[stored.set as usize].space;
            let key = space.of_stored(&stored.key, &mut shared.texts);
            let key = key.ok_or_else(|| not_ours(&self.entry.name, &stored.key))?;
            keys += 1;
            if !is_session {
                self.windows.index_cold(group, stored.set, key, chunk.part);
                continue;
            }
            let run = Run { first: stored.first, last: stored.last };
            let gone = self.session_ends(chunk.window, run.last).1;
            self.sessions.restore((chunk.window, stored.set, key), run, group, Place::Cold(chunk.part));
            if let Some(group) = self.windows.group_mut(group) {
                group.cold_until = group.cold_until.max(gone);
            }
        }
        self.windows.add_cold(group, chunk.part, keys, self.entry.checkpoint);
        Ok(())
    }

    /// Whether all of a chunk is closed, told, and no longer shown as the newest.
    fn is_closed(&self, chunk: &StoredChunk) -> bool {
        let told = || chunk.slots.iter().all(|s| s.emitted.is_some_and(|(_, is_final)| is_final));
        match self.plan.kinds[chunk.window as usize].gap() {
            Some(gap) => {
                let last = chunk.slots.iter().map(|s| s.last).max().unwrap_or(chunk.end);
                last.saturating_add(gap).saturating_add(gap) <= self.watermarks.closing && told()
            }
            None => {
                let newest = self.windows.newest_two(chunk.window);
                chunk.is_final && newest.is_some_and(|start| chunk.start < start) && told()
            }
        }
    }

    fn restore_cells(
        &mut self,
        stored: StoredCells,
        epoch: u64,
        shared: &mut Shared,
        chunks: &Chunks<'_>,
    ) -> Result<(), MetricError> {
        self.watermarks = stored.watermarks;
        let mut numbers = Vec::new();
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for stored in stored.cells {
            let key = shared.spaces[self.space].of_stored(&stored.key, &mut shared.texts);
            let key = key.ok_or_else(|| not_ours(&self.entry.name, &stored.key))?;
            let pane = match self.plan.is_now {
                true => self.cells.now_pane(),
                false => self.pane_at(stored.pane, &shared.calendar),
            };
            let fresh = &mut self.numbers;
            let cell = self.cells.cell(pane, key, || fresh.take());
            cell.weight = stored.weight;
            cell.samples = stored.samples;
            cell.first = stored.first;
            cell.last = stored.last;
            numbers.push(cell.slot);
            bytes.extend_from_slice(&stored.state);
            offsets.push(bytes.len() as u32);
        }
        let states = States { offsets: pack::u32s(&offsets), bytes };
        self.instance.load(&numbers, &states, stored.state_version)?;
        self.merge_cells(shared, epoch, chunks)?;
        // As at the end of that epoch: keys of net weight 0 were dropped, and rows of sessions that
        // vanished were deleted by its own outbox.
        let touched = self.due.iter().copied();
        let empty = touched.filter(|n| self.windows.get(*n).is_some_and(|slot| slot.weight == 0));
        self.drop_slots(empty.collect())?;
        self.sessions.vanished.clear();
        for number in &self.due {
            if let Some(slot) = self.windows.get_mut(*number) {
                // A row of it may have been emitted in any epoch since the checkpoint: if its value has returned to the
                // one before, that is not the last one.
                (slot.stands, slot.emitted) = (true, None);
            }
        }
        Ok(())
    }

    /// Makes every slot that is not cold be evaluated at the end of `epoch`: fills the cache after a
    /// restore, and finds what is due. `again`: what was emitted before is emitted once more.
    /// Not what only a new sample changes.
    pub fn revive(&mut self, epoch: u64, again: bool) {
        // What time alone has changed left no cell: the last row may be another than the one that is stored,
        // and the value of now be that one again.
        if again || self.info.time_varying {
            self.forget_emitted();
        }
        self.revive_slots(self.numbers_that_may_vary(), epoch);
    }

    pub(super) fn revive_slots(&mut self, slots: Vec<u32>, epoch: u64) {
        for number in &slots {
            if let Some(slot) = self.windows.get_mut(*number) {
                slot.touched = epoch;
            }
        }
        self.make_due(slots);
    }
}

/// Its counts must not be left out.
pub(super) fn not_ours(metric: &str, key: &StoredKey) -> StateError {
    StateError::Corrupt(format!(
        "metric {metric}: the stored key {key:?} is none of its dimensions as they are today. Configure and declare them as \
         before, retire the metric, and then change it and push it anew; or begin on a fresh state directory"
    ))
}
