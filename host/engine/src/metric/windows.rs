//! The windows of one metric: which slot holds which key of which window, and what is known of it.

use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use weir_types::Micros;
use weir_types::window::Interval;

/// Slots in one stored chunk: keeps a chunk near 64 kB for states of half a kilobyte.
pub const SLOTS_PER_PART: u32 = 128;

/// One key of one window.
#[derive(Clone, Debug)]
pub struct Slot {
    pub group: u32,
    pub set: u16,
    /// Key in the set's space.
    pub key: u32,
    /// Number of the stored chunk that it belongs to.
    pub part: u32,
    pub weight: i64,
    pub samples: u64,
    pub late: u64,
    pub first: Micros,
    pub last: Micros,
    pub epoch_first: u64,
    /// Hash of the outputs of the last row emitted, and whether it was a final one.
    pub emitted: Option<(u64, bool)>,
    /// Hash of the outputs last shown to the serving side.
    pub shown: Option<u64>,
    /// The epoch that last merged something into it.
    pub touched: u64,
    /// Whether it stands in the list of slots to evaluate.
    pub due: bool,
}

/// All keys of one window.
#[derive(Debug)]
pub struct Group {
    pub kind: u16,
    pub interval: Interval,
    pub is_final: bool,
    pub slots: FxHashMap<(u16, u32), u32>,
    /// For each part whether it was touched since it was last stored.
    pub touched: Vec<bool>,
    /// Slots given to parts so far.
    given: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Windows {
    groups: Vec<Option<Group>>,
    free_groups: Vec<u32>,
    by_start: BTreeMap<(u16, Micros), u32>,
    /// By slot number of the guest.
    slots: Vec<Option<Slot>>,
    live: u64,
}

impl Windows {
    /// The group of a window, made if needed.
    pub fn group(&mut self, kind: u16, interval: Interval) -> u32 {
        if let Some(id) = self.by_start.get(&(kind, interval.start)) {
            return *id;
        }
        let group = Group {
            kind,
            interval,
            is_final: false,
            slots: FxHashMap::default(),
            touched: Vec::new(),
            given: 0,
        };
        let id = self.free_groups.pop().unwrap_or(self.groups.len() as u32);
        if id as usize == self.groups.len() {
            self.groups.push(Some(group));
        } else {
            self.groups[id as usize] = Some(group);
        }
        self.by_start.insert((kind, interval.start), id);
        id
    }

    pub fn group_ref(&self, id: u32) -> Option<&Group> {
        self.groups.get(id as usize).and_then(Option::as_ref)
    }

    pub fn group_mut(&mut self, id: u32) -> Option<&mut Group> {
        self.groups.get_mut(id as usize).and_then(Option::as_mut)
    }

    /// The slot of a key in a group; `fresh` gives a guest slot for a new one.
    pub fn slot(
        &mut self,
        group_id: u32,
        set: u16,
        key: u32,
        epoch: u64,
        fresh: impl FnOnce() -> u32,
    ) -> u32 {
        let Some(group) = self.groups.get_mut(group_id as usize).and_then(Option::as_mut) else {
            return 0;
        };
        if let Some(slot) = group.slots.get(&(set, key)) {
            return *slot;
        }
        let slot = fresh();
        let part = group.given / SLOTS_PER_PART;
        group.given += 1;
        if group.touched.len() <= part as usize {
            group.touched.push(false);
        }
        group.slots.insert((set, key), slot);
        if self.slots.len() <= slot as usize {
            self.slots.resize(slot as usize + 1, None);
        }
        self.live += 1;
        self.slots[slot as usize] = Some(Slot {
            group: group_id,
            set,
            key,
            part,
            weight: 0,
            samples: 0,
            late: 0,
            first: Micros::MAX,
            last: Micros::MIN,
            epoch_first: epoch,
            emitted: None,
            shown: None,
            touched: 0,
            due: false,
        });
        slot
    }

    pub fn get(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(slot as usize).and_then(Option::as_ref)
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(slot as usize).and_then(Option::as_mut)
    }

    /// Marks the stored chunk of a slot as out of date.
    pub fn touch(&mut self, slot: u32) {
        let Some(Some(entry)) = self.slots.get(slot as usize) else { return };
        let (group, part) = (entry.group, entry.part);
        if let Some(touched) = self.group_mut(group).and_then(|g| g.touched.get_mut(part as usize)) {
            *touched = true;
        }
    }

    /// Puts a slot that was just restored into the stored chunk that it came from.
    pub fn place(&mut self, slot: u32, part: u32) {
        let Some(entry) = self.get_mut(slot) else { return };
        entry.part = part;
        let group = entry.group;
        if let Some(group) = self.group_mut(group) {
            group.given = group.given.max((part + 1) * SLOTS_PER_PART);
            group.touched.resize(group.touched.len().max(part as usize + 1), false);
        }
    }

    /// Takes one slot out; its number may be given out again once the guest has released it.
    pub fn remove(&mut self, slot: u32) {
        self.touch(slot);
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        self.live -= 1;
        if let Some(group) = self.group_mut(entry.group) {
            group.slots.remove(&(entry.set, entry.key));
        }
    }

    /// Takes a whole window out and gives its slots (and how many parts may be stored).
    pub fn remove_group(&mut self, id: u32) -> Option<Group> {
        let group = self.groups.get_mut(id as usize).and_then(Option::take)?;
        self.by_start.remove(&(group.kind, group.interval.start));
        self.free_groups.push(id);
        for slot in group.slots.values() {
            self.slots[*slot as usize] = None;
        }
        self.live -= group.slots.len() as u64;
        Some(group)
    }

    /// All groups, by kind and start.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &Group)> {
        self.by_start.values().filter_map(|id| self.group_ref(*id).map(|g| (*id, g)))
    }

    /// Start of the newest window of a kind, and of the one before it.
    pub fn newest_two(&self, kind: u16) -> Option<Micros> {
        let starts = self.by_start.range((kind, Micros::MIN)..=(kind, Micros::MAX));
        starts.rev().take(2).last().map(|((_, start), _)| *start)
    }

    /// Slots in use.
    pub fn live(&self) -> u64 {
        self.live
    }
}

/// Gives out guest slot numbers, from 1 on.
#[derive(Debug)]
pub struct Numbers {
    next: u32,
    free: Vec<u32>,
}

impl Default for Numbers {
    fn default() -> Self {
        Numbers { next: 1, free: Vec::new() }
    }
}

impl Numbers {
    #[inline]
    pub fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }
    /// The guest has released these.
    pub fn give_back(&mut self, numbers: impl IntoIterator<Item = u32>) {
        self.free.extend(numbers);
    }
}
