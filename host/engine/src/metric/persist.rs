//! Saving and restoring one metric: cells with every epoch, chunks with its checkpoint.

use super::Metric;
use crate::keys::key_group;
use crate::shared::Shared;
use crate::stored::{
    Keyspace, StoredCell, StoredCells, StoredChunk, StoredMetric, StoredSlot, decode, encode, epoch_of,
};
use weir_types::contract::{GuestError, States, pack};
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::window::Interval;

/// Why a metric could not be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Guest(#[from] GuestError),
}

impl Metric {
    /// Puts the epoch's cells into the write. Must come before they are merged.
    pub fn save_cells(
        &mut self,
        epoch: u64,
        shared: &Shared,
        keys: &Keyspace,
        writes: &mut WriteSet,
    ) -> Result<(), GuestError> {
        if self.cells.is_empty() {
            return Ok(());
        }
        let numbers: Vec<u32> = self.cells.cells.iter().map(|c| c.slot).collect();
        let states = self.instance.save(&numbers)?;
        let space = &shared.spaces[self.space];
        let mut cells: Vec<(u16, StoredCell)> = Vec::with_capacity(numbers.len());
        for (at, cell) in self.cells.cells.iter().enumerate() {
            let key = space.to_stored(cell.key, &shared.texts);
            let group = key_group(&key);
            let pane = self.cells.panes[cell.pane as usize].interval.start;
            let state = state_of(&states, at).to_vec();
            let (weight, samples, first, last) = (cell.weight, cell.samples, cell.first, cell.last);
            cells.push((group, StoredCell { key, pane, weight, samples, first, last, state }));
        }
        cells.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.key.cmp(&b.1.key)));
        let stored = StoredCells {
            state_version: self.info.state_version,
            watermarks: self.watermarks,
            cells: cells.into_iter().map(|(_, cell)| cell).collect(),
        };
        writes.put(keys.cells(&self.entry.name, self.entry.incarnation, epoch), encode(&stored));
        self.stored_cells.push(epoch);
        Ok(())
    }

    /// Writes all chunks touched since the last checkpoint, and deletes what they make needless.
    pub fn checkpoint(
        &mut self,
        epoch: u64,
        shared: &Shared,
        keys: &Keyspace,
        writes: &mut WriteSet,
    ) -> Result<(), GuestError> {
        let (name, incarnation) = (self.entry.name.clone(), self.entry.incarnation);
        let key_of = |kind: u16, start, part| {
            keys.chunk(&name, incarnation, &self.plan.kinds[kind as usize].name, start, part)
        };
        for (kind, start, parts) in std::mem::take(&mut self.dropped) {
            (0..parts).for_each(|part| writes.delete(key_of(kind, start, part)));
        }
        let groups: Vec<u32> = self.windows.groups().map(|(id, _)| id).collect();
        for id in groups {
            let Some(group) = self.windows.group_mut(id) else { continue };
            let touched: Vec<u32> =
                (0..group.touched.len()).filter(|p| group.touched[*p]).map(|p| p as u32).collect();
            if touched.is_empty() {
                continue;
            }
            group.touched.fill(false);
            let (kind, interval, is_final) = (group.kind, group.interval, group.is_final);
            let numbers: Vec<u32> = group.slots.values().copied().collect();
            for part in touched {
                let mut numbers: Vec<u32> = numbers.clone();
                numbers.retain(|n| self.windows.get(*n).is_some_and(|s| s.part == part));
                let key = keys.chunk(
                    &name,
                    incarnation,
                    &self.plan.kinds[kind as usize].name,
                    interval.start,
                    part,
                );
                if numbers.is_empty() {
                    writes.delete(key);
                    continue;
                }
                let chunk = StoredChunk {
                    state_version: self.info.state_version,
                    window: kind,
                    start: interval.start,
                    end: interval.end,
                    is_final,
                    part,
                    slots: self.stored_slots(numbers, shared)?,
                };
                writes.put(key, encode(&chunk));
            }
        }
        for covered in std::mem::take(&mut self.stored_cells) {
            writes.delete(keys.cells(&name, incarnation, covered));
        }
        self.entry.checkpoint = epoch;
        self.entry.state_version = self.info.state_version;
        Ok(())
    }

    fn stored_slots(&mut self, numbers: Vec<u32>, shared: &Shared) -> Result<Vec<StoredSlot>, GuestError> {
        let states = self.instance.save(&numbers)?;
        let mut slots = Vec::with_capacity(numbers.len());
        for (at, number) in numbers.iter().enumerate() {
            let Some(slot) = self.windows.get(*number) else { continue };
            let key = self.projections[slot.set as usize].space.to_stored(slot.key, &shared.texts);
            slots.push((
                key_group(&key),
                StoredSlot {
                    set: slot.set,
                    key,
                    weight: slot.weight,
                    samples: slot.samples,
                    late: slot.late,
                    first: slot.first,
                    last: slot.last,
                    epoch_first: slot.epoch_first,
                    emitted: slot.emitted,
                    state: state_of(&states, at).to_vec(),
                },
            ));
        }
        slots.sort_by(|a, b| (a.0, a.1.set).cmp(&(b.0, b.1.set)).then_with(|| a.1.key.cmp(&b.1.key)));
        Ok(slots.into_iter().map(|(_, slot)| slot).collect())
    }

    /// Newest checkpoint, and the cells of the epochs since.
    pub fn restore(
        &mut self,
        shared: &mut Shared,
        keys: &Keyspace,
        store: &dyn StateStore,
    ) -> Result<(), RestoreError> {
        let (name, incarnation) = (self.entry.name.clone(), self.entry.incarnation);
        for (_, value) in store.scan(keys.chunks_of(&name, incarnation).as_bytes())? {
            let chunk: StoredChunk = decode("chunk", &value)?;
            self.restore_chunk(chunk, shared)?;
        }
        let prefix = keys.cells_of(&name, incarnation);
        for (key, value) in store.scan(prefix.as_bytes())? {
            let Some(epoch) = epoch_of(&key, &prefix) else { continue };
            self.stored_cells.push(epoch);
            if epoch > self.entry.checkpoint {
                self.restore_cells(decode("cells", &value)?, epoch, shared)?;
            }
        }
        Ok(())
    }

    fn restore_chunk(&mut self, chunk: StoredChunk, shared: &mut Shared) -> Result<(), RestoreError> {
        let interval = Interval { start: chunk.start, end: chunk.end };
        let Some(kind) = self.plan.kinds.get(chunk.window as usize) else {
            let text =
                format!("metric {}: a stored window kind is no longer one of its windows", self.entry.name);
            return Err(StateError::Corrupt(text).into());
        };
        let gone = interval.end.saturating_add(kind.correct_for);
        let group = self.windows.group(chunk.window, interval);
        if let Some(group) = self.windows.group_mut(group) {
            group.is_final = chunk.is_final;
        }
        self.open_group(chunk.window, interval, gone);
        let mut numbers = Vec::new();
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for stored in chunk.slots {
            let space = &mut self.projections[stored.set as usize].space;
            let Some(key) = space.of_stored(&stored.key, &mut shared.texts) else { continue };
            let fresh = &mut self.numbers;
            let number = self.windows.slot(group, stored.set, key, stored.epoch_first, || fresh.take());
            self.windows.place(number, chunk.part);
            if let Some(slot) = self.windows.get_mut(number) {
                slot.weight = stored.weight;
                slot.samples = stored.samples;
                slot.late = stored.late;
                slot.first = stored.first;
                slot.last = stored.last;
                slot.emitted = stored.emitted;
            }
            bytes.extend_from_slice(&stored.state);
            offsets.push(bytes.len() as u32);
            numbers.push(number);
        }
        let states = States { offsets: pack::u32s(&offsets), bytes };
        Ok(self.instance.load(&numbers, &states, chunk.state_version)?)
    }

    fn restore_cells(
        &mut self,
        stored: StoredCells,
        epoch: u64,
        shared: &mut Shared,
    ) -> Result<(), RestoreError> {
        self.watermarks = stored.watermarks;
        let rule = self.pane_rule();
        let mut numbers = Vec::new();
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for stored in stored.cells {
            let Some(key) = shared.spaces[self.space].of_stored(&stored.key, &mut shared.texts) else {
                continue;
            };
            let pane = match self.plan.is_now {
                true => self.cells.now_pane(),
                false => self.cells.pane(stored.pane, rule, &shared.calendar, |_| (Vec::new(), false)),
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
        self.merge_cells(shared, epoch)?;
        Ok(())
    }

    /// Takes nothing for emitted: every live slot is due.
    pub fn emit_anew(&mut self) {
        let slots: Vec<u32> = self.windows.groups().flat_map(|(_, g)| g.slots.values().copied()).collect();
        for number in &slots {
            if let Some(slot) = self.windows.get_mut(*number) {
                slot.emitted = None;
            }
        }
        self.make_due(slots);
    }

    /// Makes every live slot be evaluated at the end of `epoch`: fills the cache after a restore, and
    /// finds what is due. `again`: what was emitted before is emitted once more.
    pub fn revive(&mut self, epoch: u64, again: bool) {
        let slots: Vec<u32> = self.windows.groups().flat_map(|(_, g)| g.slots.values().copied()).collect();
        for number in &slots {
            if let Some(slot) = self.windows.get_mut(*number) {
                slot.touched = epoch;
                slot.emitted = slot.emitted.filter(|_| !again);
            }
        }
        self.make_due(slots);
    }
}

/// Deletes everything that is stored of a metric.
pub fn forget(
    entry: &StoredMetric,
    keys: &Keyspace,
    store: &dyn StateStore,
    writes: &mut WriteSet,
) -> Result<(), StateError> {
    let (name, incarnation) = (&entry.name, entry.incarnation);
    for prefix in [keys.cells_of(name, incarnation), keys.chunks_of(name, incarnation)] {
        store.scan(prefix.as_bytes())?.into_iter().for_each(|(key, _)| writes.delete(key));
    }
    writes.delete(keys.position(name));
    Ok(())
}

fn state_of(states: &States, at: usize) -> &[u8] {
    let range = pack::u32_at(&states.offsets, at) as usize..pack::u32_at(&states.offsets, at + 1) as usize;
    &states.bytes[range]
}
