//! Slots that lie in the store alone, and guests that are made anew.
//!
//! A part is cold when its chunk is stored, durable and up to date, and the guest has released its slots.
//! Of its keys the host remembers where they are, and nothing else. See docs/adr/0010-cold-slots.md.

use super::evaluate::SLOTS_PER_CALL;
use super::restore::not_ours;
use super::sessions::{Run, SessionKey};
use super::windows::{Group, Numbers, Part, Place, SLOTS_PER_PART};
use super::{Metric, MetricError};
use crate::shared::Shared;
use crate::stored::{Keyspace, StoredChunk, decode};
use crate::watermark::Watermarks;
use rustc_hash::FxHashMap;
use weir_types::Micros;
use weir_types::contract::{GuestError, States, pack};
use weir_types::ports::{StateError, StateStore};

/// A guest with less memory than this is never made anew, in bytes.
const BLOATED: usize = 32 << 20;

/// Where chunks are read.
pub struct Chunks<'a> {
    pub store: &'a dyn StateStore,
    pub keys: &'a Keyspace,
}

/// How many slots a guest has held at once.
#[derive(Debug, Default)]
pub struct Peaks {
    /// Since it was opened, up to the last checkpoint but one.
    before: u32,
    /// Since the last checkpoint.
    recent: u32,
}

/// What may become of a part whose chunk is up to date.
enum Standing {
    /// Something of it has still to be evaluated or emitted.
    Due,
    Closed,
    /// The epoch that last touched it.
    Open(u64),
}

impl Metric {
    /// Slots in its guest, without the cells of the running epoch.
    pub fn hot_slots(&self) -> u64 {
        self.windows.hot()
    }

    /// Loads a part whose slots are needed. Rows of open windows that were emitted since it was stored did not
    /// touch it: a value that returns to the one before must not be taken for emitted.
    pub(super) fn warm(
        &mut self,
        group: u32,
        part: u32,
        shared: &mut Shared,
        chunks: &Chunks<'_>,
    ) -> Result<(), MetricError> {
        if !self.warm_as_stored(group, part, shared, chunks)? {
            return Ok(());
        }
        for number in self.slots_of_part(group, part) {
            if let Some(slot) = self.windows.get_mut(number).filter(|slot| !slot.is_final) {
                slot.emitted = None;
            }
        }
        Ok(())
    }

    fn slots_of_part(&self, group: u32, part: u32) -> Vec<u32> {
        let part = self.windows.group_ref(group).and_then(|held| held.parts.get(part as usize));
        part.map(|part| part.slots.clone()).unwrap_or_default()
    }

    /// The same for a part of which no key has changed since it was stored; false if it is not cold.
    fn warm_as_stored(
        &mut self,
        group: u32,
        part: u32,
        shared: &mut Shared,
        chunks: &Chunks<'_>,
    ) -> Result<bool, MetricError> {
        let Some(held) = self.windows.group_ref(group) else { return Ok(false) };
        let key = self.chunk_key(chunks.keys, held.kind, held.interval.start, part);
        if !self.windows.warm(group, part) {
            return Ok(false);
        }
        let bytes = chunks.store.get(&key)?.ok_or_else(|| {
            StateError::Corrupt(format!(
                "metric {}: a stored part of its state is missing ({}): restore the state from an export",
                self.entry.name,
                String::from_utf8_lossy(&key)
            ))
        })?;
        self.take_up(group, decode("chunk", &bytes)?, true, shared)?;
        Ok(true)
    }

    /// Puts the slots of a chunk into the guest, as members of its group; `back` if the host knew of them.
    pub(super) fn take_up(
        &mut self,
        group: u32,
        chunk: StoredChunk,
        back: bool,
        shared: &mut Shared,
    ) -> Result<(), MetricError> {
        let is_session = self.plan.kinds[chunk.window as usize].gap().is_some();
        let mut numbers = Vec::new();
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for stored in chunk.slots {
            let space = &mut self.projections[stored.set as usize].space;
            let key = space.of_stored(&stored.key, &mut shared.texts);
            let key = key.ok_or_else(|| not_ours(&self.entry.name, &stored.key))?;
            let number = self.numbers.take();
            self.windows.add(group, stored.set, key, stored.epoch_first, number, Some(chunk.part));
            if let Some(slot) = self.windows.get_mut(number) {
                slot.weight = stored.weight;
                slot.samples = stored.samples;
                slot.late = stored.late;
                slot.first = stored.first;
                slot.last = stored.last;
                slot.emitted = stored.emitted;
                // What was emitted since the checkpoint is not known.
                slot.stands = true;
            }
            match is_session {
                true => self.take_up_session((chunk.window, stored.set, key), number, back),
                false => self.windows.index(number),
            }
            bytes.extend_from_slice(&stored.state);
            offsets.push(bytes.len() as u32);
            numbers.push(number);
        }
        let states = States { offsets: pack::u32s(&offsets), bytes };
        Ok(self.instance.load(&numbers, &states, chunk.state_version)?)
    }

    fn take_up_session(&mut self, key: SessionKey, number: u32, back: bool) {
        let Some(slot) = self.windows.get_mut(number) else { return };
        // Only closed sessions were left to the store.
        slot.is_final = back;
        let (run, group) = (Run { first: slot.first, last: slot.last }, slot.group);
        let (end, gone) = self.session_ends(key.0, run.last);
        match back {
            true => {
                self.sessions.move_to(key, run.first, Place::Hot(number));
                self.sessions.keep(number, gone);
            }
            false => {
                self.sessions.restore(key, run, group, Place::Hot(number));
                self.sessions.watch(number, end, gone);
            }
        }
    }

    /// Loads what the closing of windows and a restart ask for, before windows are evaluated. Gives the
    /// parts that are there to be evaluated once.
    pub fn warm_for_end(
        &mut self,
        watermarks: Watermarks,
        epoch: u64,
        allowed: u64,
        shared: &mut Shared,
        chunks: &Chunks<'_>,
    ) -> Result<Vec<(u32, u32)>, MetricError> {
        let closing = self.open.range(..=(watermarks.closing, u32::MAX)).map(|(&(_, group), ())| group);
        for group in closing.collect::<Vec<u32>>() {
            for part in self.windows.group_ref(group).map(Group::cold).unwrap_or_default() {
                self.warm(group, part, shared, chunks)?;
            }
        }
        // Half as many slots as may be held, so that a restart does not hold many more.
        let parts = (allowed / u64::from(SLOTS_PER_PART) / 2).clamp(1, self.unseen.len() as u64 + 1);
        let seen = self.unseen.split_off(self.unseen.len().saturating_sub(parts as usize));
        for (group, part) in &seen {
            self.warm_as_stored(*group, *part, shared, chunks)?;
            self.revive_slots(self.slots_of_part(*group, *part), epoch);
        }
        Ok(seen)
    }

    /// Leaves parts that were loaded to be evaluated to the store again, beyond `allowed` slots.
    pub fn cool_seen(&mut self, seen: Vec<(u32, u32)>, allowed: u64) -> Result<(), GuestError> {
        for (id, part) in seen {
            let Some(group) = self.windows.group_ref(id) else { continue };
            let Some(held) = group.parts.get(part as usize).filter(|p| !p.touched && p.stored.is_some())
            else {
                continue;
            };
            if self.windows.hot() > allowed && !matches!(self.standing(group, held), Standing::Due) {
                self.cool_part(id, part)?;
            }
        }
        Ok(())
    }

    /// Leaves to the store what no longer changes; beyond `allowed` slots also what was touched longest
    /// ago. What is newer than the epoch `durable` is not yet surely stored.
    pub fn cool(&mut self, allowed: u64, durable: u64) -> Result<(), GuestError> {
        // Current values are all read once a minute; they are as many as their rows allow.
        if self.plan.is_now {
            return Ok(());
        }
        let (mut closed, mut open) = (Vec::new(), Vec::new());
        for (id, group) in self.windows.groups() {
            for (at, part) in (0..).zip(&group.parts) {
                if part.touched || part.slots.is_empty() || part.stored.is_none_or(|e| e > durable) {
                    continue;
                }
                match self.standing(group, part) {
                    Standing::Closed => closed.push((id, at)),
                    Standing::Open(touched) => open.push((touched, id, at)),
                    Standing::Due => {}
                }
            }
        }
        for (group, part) in closed {
            self.cool_part(group, part)?;
        }
        open.sort_unstable();
        for (_, group, part) in open {
            if self.windows.hot() <= allowed {
                break;
            }
            self.cool_part(group, part)?;
        }
        Ok(())
    }

    fn standing(&self, group: &Group, part: &Part) -> Standing {
        let slots = || part.slots.iter().filter_map(|n| self.windows.get(*n));
        if slots().any(|slot| slot.due) {
            return Standing::Due;
        }
        if slots().all(|slot| slot.is_final) {
            return Standing::Closed;
        }
        // Open sessions move, and what varies with time is evaluated with every epoch.
        if self.info.time_varying || self.plan.kinds[group.kind as usize].gap().is_some() {
            return Standing::Due;
        }
        Standing::Open(slots().map(|slot| slot.touched).max().unwrap_or(0))
    }

    fn cool_part(&mut self, group: u32, part: u32) -> Result<(), GuestError> {
        let kind = self.windows.group_ref(group).map_or(0, |g| g.kind);
        let is_session = self.plan.kinds[kind as usize].gap().is_some();
        let cooled = self.windows.cool(group, part);
        let mut until = Micros::MIN;
        for (number, slot) in cooled.iter().filter(|_| is_session) {
            let (end, gone) = self.session_ends(kind, slot.last);
            self.sessions.unwatch(*number, end, gone);
            self.sessions.move_to((kind, slot.set, slot.key), slot.first, Place::Cold(part));
            until = until.max(gone);
        }
        if let Some(group) = self.windows.group_mut(group) {
            group.cold_until = group.cold_until.max(until);
        }
        let numbers: Vec<u32> = cooled.iter().map(|(number, _)| *number).collect();
        self.instance.release(&numbers)?;
        self.numbers.give_back(numbers);
        Ok(())
    }

    /// Notes how many slots the guest holds now, cells among them.
    pub fn note_peak(&mut self) {
        self.peaks.recent = self.peaks.recent.max(self.numbers.in_use());
    }

    /// Linear memory never shrinks. A guest that holds far fewer slots than it once did is replaced by a
    /// new instance with the same states; there must be no cells. If that fails, the old one goes on.
    pub fn renew_bloated(&mut self) -> Result<(), GuestError> {
        let recent = std::mem::take(&mut self.peaks.recent);
        let bloated = self.instance.memory_bytes() > BLOATED && recent < self.peaks.before / 4;
        self.peaks.before = self.peaks.before.max(recent);
        if !bloated {
            return Ok(());
        }
        let moves: Vec<(u32, u32)> = self.windows.numbers().into_iter().zip(1..).collect();
        let mut fresh = match self.factory.open() {
            Ok(fresh) => fresh,
            Err(error) => {
                tracing::warn!(metric = %self.info.name, %error, "a smaller instance cannot be opened: the old one goes on");
                return Ok(());
            }
        };
        for moves in moves.chunks(SLOTS_PER_CALL) {
            let (old, new): (Vec<u32>, Vec<u32>) = moves.iter().copied().unzip();
            let states = self.instance.save(&old)?;
            if let Err(error) = fresh.load(&new, &states, self.info.state_version) {
                tracing::warn!(metric = %self.info.name, %error, "a smaller instance cannot take up the state: the old one goes on");
                return Ok(());
            }
        }
        tracing::info!(
            metric = %self.info.name,
            slots = moves.len(),
            bytes_before = self.instance.memory_bytes(),
            bytes_after = fresh.memory_bytes(),
            "guest made anew: it held far more memory than its slots need"
        );
        self.cost.warned += self.instance.warned();
        self.instance = fresh;
        self.peaks.before = recent;
        self.numbers = Numbers::compacted(moves.len() as u32);
        self.windows.renumber(&moves);
        let moves: FxHashMap<u32, u32> = moves.into_iter().collect();
        self.sessions.renumber(&moves);
        self.due = self.due.iter().filter_map(|slot| moves.get(slot).copied()).collect();
        Ok(())
    }
}
