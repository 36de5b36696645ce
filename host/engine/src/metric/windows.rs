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
    /// Whether its window is closed.
    pub is_final: bool,
    /// Whether a row under its window's start may stand in ClickHouse.
    pub stands: bool,
    /// Hash of the outputs of the last row emitted, and whether it was a final one.
    pub emitted: Option<(u64, bool)>,
    /// Hash of the outputs last shown to the serving side.
    pub shown: Option<u64>,
    /// The epoch that last merged something into it.
    pub touched: u64,
    /// Whether it stands in the list of slots to evaluate.
    pub due: bool,
}

impl Slot {
    /// One that holds nothing and stands in no group.
    pub fn of_nothing(set: u16, key: u32, epoch_first: u64) -> Slot {
        Slot {
            group: 0,
            set,
            key,
            part: 0,
            weight: 0,
            samples: 0,
            late: 0,
            first: Micros::MAX,
            last: Micros::MIN,
            epoch_first,
            is_final: false,
            stands: false,
            emitted: None,
            shown: None,
            touched: 0,
            due: false,
        }
    }
}

/// Where the state of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this slot of the guest.
    Hot(u32),
    /// In the store alone, in this part of its group.
    Cold(u32),
}

/// Slots that are stored together as one chunk.
#[derive(Debug, Default)]
pub struct Part {
    /// Slots of the guest; none while it is cold.
    pub slots: Vec<u32>,
    /// Keys that it holds in the store alone; 0 = it is not cold.
    pub cold: u32,
    /// Whether it was touched since it was last stored.
    pub touched: bool,
    /// The epoch with which it was last stored.
    pub stored: Option<u64>,
    /// Whether it stands in its group's list of parts with room.
    roomy: bool,
}

/// All keys of one window; of sessions, those that began in one stretch of time.
#[derive(Debug)]
pub struct Group {
    pub kind: u16,
    pub interval: Interval,
    pub is_final: bool,
    pub parts: Vec<Part>,
    /// How many of them are cold.
    pub cold_parts: u32,
    /// Of sessions: until when its cold ones are kept.
    pub cold_until: Micros,
    /// When it is looked at whether it is kept any longer.
    pub kept: Option<Micros>,
    /// Of each set, places by key; empty for sessions, of which a key may have several.
    by_key: Vec<FxHashMap<u32, Place>>,
    /// Parts that had room when they were put here.
    roomy: Vec<u32>,
}

impl Group {
    /// Slots of all parts that are not cold.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.parts.iter().flat_map(|part| part.slots.iter().copied())
    }

    /// Set and key of all that it holds; of sessions none.
    pub fn keys(&self) -> impl Iterator<Item = (u16, u32)> {
        (0..).zip(&self.by_key).flat_map(|(set, keys)| keys.keys().map(move |key| (set, *key)))
    }

    /// Numbers of the cold parts.
    pub fn cold(&self) -> Vec<u32> {
        let cold = (0..).zip(&self.parts).filter(|(_, part)| part.cold > 0);
        if self.cold_parts == 0 { Vec::new() } else { cold.map(|(at, _)| at).collect() }
    }

    fn place(&self, set: u16, key: u32) -> Option<Place> {
        self.by_key.get(set as usize)?.get(&key).copied()
    }

    fn set_place(&mut self, set: u16, key: u32, place: Place) {
        if self.by_key.len() <= set as usize {
            self.by_key.resize_with(set as usize + 1, FxHashMap::default);
        }
        self.by_key[set as usize].insert(key, place);
    }

    /// The part for a new slot.
    fn part_with_room(&mut self) -> u32 {
        while let Some(part) = self.roomy.last().copied() {
            let held = &mut self.parts[part as usize];
            if held.cold == 0 && (held.slots.len() as u32) < SLOTS_PER_PART {
                return part;
            }
            held.roomy = false;
            self.roomy.pop();
        }
        self.parts.push(Part { roomy: true, ..Part::default() });
        let part = self.parts.len() as u32 - 1;
        self.roomy.push(part);
        part
    }

    /// Makes parts up to this one, where they are missing.
    fn make_parts(&mut self, part: u32) {
        while self.parts.len() <= part as usize {
            self.roomy.push(self.parts.len() as u32);
            self.parts.push(Part { roomy: true, ..Part::default() });
        }
    }

    fn leave(&mut self, part: u32, slot: u32) {
        let Some(held) = self.parts.get_mut(part as usize) else { return };
        held.touched = true;
        held.slots.retain(|s| *s != slot);
        if !held.roomy {
            held.roomy = true;
            self.roomy.push(part);
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Windows {
    groups: Vec<Option<Group>>,
    free_groups: Vec<u32>,
    by_start: BTreeMap<(u16, Micros), u32>,
    /// By slot number of the guest.
    slots: Vec<Option<Slot>>,
    hot: u64,
    cold: u64,
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
            parts: Vec::new(),
            cold_parts: 0,
            cold_until: Micros::MIN,
            kept: None,
            by_key: Vec::new(),
            roomy: Vec::new(),
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

    /// The group of a window, if there is one.
    pub fn find(&self, kind: u16, start: Micros) -> Option<u32> {
        self.by_start.get(&(kind, start)).copied()
    }

    pub fn group_ref(&self, id: u32) -> Option<&Group> {
        self.groups.get(id as usize).and_then(Option::as_ref)
    }

    pub fn group_mut(&mut self, id: u32) -> Option<&mut Group> {
        self.groups.get_mut(id as usize).and_then(Option::as_mut)
    }

    /// Where a key of a group is; None if it is new.
    pub fn place(&self, group: u32, set: u16, key: u32) -> Option<Place> {
        self.group_ref(group)?.place(set, key)
    }

    /// The slot of a key in a group, which must not be cold; `fresh` gives a guest slot for a new one.
    pub fn slot(&mut self, group: u32, set: u16, key: u32, epoch: u64, fresh: impl FnOnce() -> u32) -> u32 {
        if let Some(Place::Hot(slot)) = self.place(group, set, key) {
            return slot;
        }
        let slot = fresh();
        self.add(group, set, key, epoch, slot, None);
        self.index(slot);
        slot
    }

    /// Adds a slot to a group, in the stored chunk that it came from or in one with room.
    pub fn add(&mut self, group_id: u32, set: u16, key: u32, epoch: u64, slot: u32, part: Option<u32>) {
        let Some(group) = self.group_mut(group_id) else { return };
        let part = part.unwrap_or_else(|| group.part_with_room());
        group.make_parts(part);
        group.parts[part as usize].slots.push(slot);
        let is_final = group.is_final;
        if self.slots.len() <= slot as usize {
            self.slots.resize(slot as usize + 1, None);
        }
        self.hot += 1;
        let slot_of = Slot::of_nothing(set, key, epoch);
        self.slots[slot as usize] = Some(Slot { group: group_id, part, is_final, ..slot_of });
    }

    /// Lets a slot that was added be found by its key.
    pub fn index(&mut self, slot: u32) {
        let Some(entry) = self.get(slot) else { return };
        let (group, set, key) = (entry.group, entry.set, entry.key);
        if let Some(group) = self.group_mut(group) {
            group.set_place(set, key, Place::Hot(slot));
        }
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
        if let Some(part) = self.group_mut(group).and_then(|g| g.parts.get_mut(part as usize)) {
            part.touched = true;
        }
    }

    /// Takes one slot out; its number may be given out again once the guest has released it.
    pub fn remove(&mut self, slot: u32) -> Option<Slot> {
        let entry = self.slots.get_mut(slot as usize).and_then(Option::take)?;
        self.hot -= 1;
        if let Some(group) = self.group_mut(entry.group) {
            group.leave(entry.part, slot);
            if let Some(keys) = group.by_key.get_mut(entry.set as usize) {
                keys.remove(&entry.key);
            }
        }
        Some(entry)
    }

    /// Takes a whole window out and gives its slots (and how many parts may be stored).
    pub fn remove_group(&mut self, id: u32) -> Option<Group> {
        let group = self.groups.get_mut(id as usize).and_then(Option::take)?;
        self.by_start.remove(&(group.kind, group.interval.start));
        self.free_groups.push(id);
        for slot in group.slots() {
            self.slots[slot as usize] = None;
            self.hot -= 1;
        }
        self.cold -= group.parts.iter().map(|part| u64::from(part.cold)).sum::<u64>();
        Some(group)
    }

    /// Leaves a part to the store. Gives its slots, which the guest must release.
    pub fn cool(&mut self, id: u32, part: u32) -> Vec<(u32, Slot)> {
        let Some(group) = self.groups.get_mut(id as usize).and_then(Option::as_mut) else {
            return Vec::new();
        };
        let Some(held) = group.parts.get_mut(part as usize) else { return Vec::new() };
        let numbers = std::mem::take(&mut held.slots);
        let mut cooled = Vec::with_capacity(numbers.len());
        for number in numbers {
            let Some(slot) = self.slots.get_mut(number as usize).and_then(Option::take) else { continue };
            let keys = group.by_key.get_mut(slot.set as usize);
            if let Some(place) = keys.and_then(|keys| keys.get_mut(&slot.key)) {
                *place = Place::Cold(part);
            }
            cooled.push((number, slot));
        }
        group.parts[part as usize].cold = cooled.len() as u32;
        group.cold_parts += u32::from(!cooled.is_empty());
        self.hot -= cooled.len() as u64;
        self.cold += cooled.len() as u64;
        cooled
    }

    /// Notes a key of a cold part that was found in the store.
    pub fn index_cold(&mut self, id: u32, set: u16, key: u32, part: u32) {
        let Some(group) = self.group_mut(id) else { return };
        group.set_place(set, key, Place::Cold(part));
    }

    /// A part lies in the store alone, with so many keys.
    pub fn add_cold(&mut self, id: u32, part: u32, keys: u32, stored: u64) {
        let Some(group) = self.group_mut(id) else { return };
        group.make_parts(part);
        let held = &mut group.parts[part as usize];
        (held.cold, held.stored) = (keys, Some(stored));
        group.cold_parts += u32::from(keys > 0);
        self.cold += u64::from(keys);
    }

    /// A part that was loaded is stored as it stands.
    pub fn set_stored(&mut self, id: u32, part: u32, epoch: u64) {
        if let Some(part) = self.group_mut(id).and_then(|g| g.parts.get_mut(part as usize)) {
            part.stored = Some(epoch);
        }
    }

    /// A part is about to be loaded: its slots are added next. False if it is not cold.
    pub fn warm(&mut self, id: u32, part: u32) -> bool {
        let Some(group) = self.group_mut(id) else { return false };
        let Some(held) = group.parts.get_mut(part as usize).filter(|part| part.cold > 0) else {
            return false;
        };
        let keys = std::mem::take(&mut held.cold);
        group.cold_parts -= 1;
        self.cold -= u64::from(keys);
        true
    }

    /// Gives slots other numbers: entry i of `moves` is (old, new). New ones are free or left by another move.
    pub fn renumber(&mut self, moves: &[(u32, u32)]) {
        let moved: Vec<(u32, Option<Slot>)> =
            moves.iter().map(|(old, new)| (*new, self.slots[*old as usize].take())).collect();
        let names: FxHashMap<u32, u32> = moves.iter().copied().collect();
        for group in self.groups.iter_mut().flatten() {
            let slots = group.parts.iter_mut().flat_map(|part| &mut part.slots);
            slots.for_each(|slot| *slot = names.get(slot).copied().unwrap_or(*slot));
            for place in group.by_key.iter_mut().flat_map(FxHashMap::values_mut) {
                if let Place::Hot(slot) = place {
                    *slot = names.get(slot).copied().unwrap_or(*slot);
                }
            }
        }
        self.slots = Vec::new();
        self.slots.resize(moved.iter().map(|(new, _)| *new as usize + 1).max().unwrap_or(0), None);
        for (new, slot) in moved {
            self.slots[new as usize] = slot;
        }
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

    /// Keys with state, in the guest or in the store alone.
    pub fn live(&self) -> u64 {
        self.hot + self.cold
    }

    /// Slots in use in the guest, cells apart.
    pub fn hot(&self) -> u64 {
        self.hot
    }

    /// Numbers of all slots in use, ascending.
    pub fn numbers(&self) -> Vec<u32> {
        (0..).zip(&self.slots).filter(|(_, slot)| slot.is_some()).map(|(number, _)| number).collect()
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
    /// Numbers given out and not given back.
    pub fn in_use(&self) -> u32 {
        self.next - 1 - self.free.len() as u32
    }
    /// Numbers from 1 to `used` are in use, and no others.
    pub fn compacted(used: u32) -> Numbers {
        Numbers { next: used + 1, free: Vec::new() }
    }
}
