//! Saving one metric: cells with every epoch, chunks with its checkpoint.

use super::Metric;
use crate::keys::{KeyPart, key_group};
use crate::shared::Shared;
use crate::stored::{Keyspace, StoredCell, StoredCells, StoredChunk, StoredMetric, StoredSlot, encode};
use weir_types::Micros;
use weir_types::contract::{GuestError, States, pack};
use weir_types::ports::{StateError, StateStore, WriteSet};

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
            let group = key_group(key.iter().map(KeyPart::from));
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
        for (kind, start, parts) in std::mem::take(&mut self.dropped) {
            (0..parts).for_each(|part| writes.delete(self.chunk_key(keys, kind, start, part)));
        }
        let groups: Vec<u32> = self.windows.groups().map(|(id, _)| id).collect();
        for id in groups {
            self.store_group(id, epoch, shared, keys, writes)?;
        }
        for covered in std::mem::take(&mut self.stored_cells) {
            writes.delete(keys.cells(&self.entry.name, self.entry.incarnation, covered));
        }
        self.entry.checkpoint = epoch;
        self.entry.state_version = self.info.state_version;
        Ok(())
    }

    /// Writes the parts of one window that were touched since they were last stored.
    fn store_group(
        &mut self,
        id: u32,
        epoch: u64,
        shared: &Shared,
        keys: &Keyspace,
        writes: &mut WriteSet,
    ) -> Result<(), GuestError> {
        let Some(group) = self.windows.group_mut(id) else { return Ok(()) };
        let (kind, interval, is_final) = (group.kind, group.interval, group.is_final);
        let mut touched = Vec::new();
        for (at, part) in (0..).zip(&mut group.parts).filter(|(_, part)| part.touched) {
            part.touched = false;
            part.stored = (!part.slots.is_empty()).then_some(epoch);
            touched.push((at, part.slots.clone()));
        }
        for (part, numbers) in touched {
            let key = self.chunk_key(keys, kind, interval.start, part);
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
        Ok(())
    }

    /// The key of a part of one of its windows.
    pub(super) fn chunk_key(&self, keys: &Keyspace, kind: u16, start: Micros, part: u32) -> Vec<u8> {
        let window = &self.plan.kinds[kind as usize].name;
        keys.chunk(&self.entry.name, self.entry.incarnation, window, start, part)
    }

    /// Keys of chunks whose writes are on their way, so that the store does not show them yet.
    pub fn chunks_coming(&self, durable: u64, keys: &Keyspace) -> Vec<Vec<u8>> {
        let mut coming = Vec::new();
        for (_, group) in self.windows.groups() {
            let parts =
                (0..).zip(&group.parts).filter(|(_, p)| p.stored.is_some_and(|epoch| epoch > durable));
            let key = |part| self.chunk_key(keys, group.kind, group.interval.start, part);
            coming.extend(parts.map(|(part, _)| key(part)));
        }
        for (kind, start, parts) in &self.dropped {
            coming.extend((0..*parts).map(|part| self.chunk_key(keys, *kind, *start, part)));
        }
        coming
    }

    fn stored_slots(&mut self, numbers: Vec<u32>, shared: &Shared) -> Result<Vec<StoredSlot>, GuestError> {
        let states = self.instance.save(&numbers)?;
        let mut slots = Vec::with_capacity(numbers.len());
        for (at, number) in numbers.iter().enumerate() {
            let Some(slot) = self.windows.get(*number) else { continue };
            let key = self.projections[slot.set as usize].space.to_stored(slot.key, &shared.texts);
            slots.push((
                key_group(key.iter().map(KeyPart::from)),
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
}

/// The keys of everything that is stored of a metric.
pub fn forgotten(
    entry: &StoredMetric,
    keys: &Keyspace,
    store: &dyn StateStore,
) -> Result<Vec<Vec<u8>>, StateError> {
    let (name, incarnation) = (&entry.name, entry.incarnation);
    let mut all = vec![keys.position(name), keys.kinds(name, incarnation)];
    for prefix in [keys.cells_of(name, incarnation), keys.chunks_of(name, incarnation)] {
        all.extend(store.scan(prefix.as_bytes())?.into_iter().map(|(key, _)| key));
    }
    Ok(all)
}

fn state_of(states: &States, at: usize) -> &[u8] {
    let range = pack::u32_at(&states.offsets, at) as usize..pack::u32_at(&states.offsets, at + 1) as usize;
    &states.bytes[range]
}
