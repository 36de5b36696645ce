//! Cells into windows, at the end of an epoch.

mod sums;

use super::cells::CellTable;
use super::cold::Chunks;
use super::sessions::{Joined, Run, STRETCH, Session, SessionKey, Vanished, join};
use super::windows::{Place, Slot};
use super::{Metric, MetricError};
use crate::shared::Shared;
use std::collections::BTreeSet;
use sums::Sums;
use weir_types::Micros;
use weir_types::window::{Interval, tumbling_start};

/// A window that a pane belongs to.
struct Target {
    group: u32,
    late: bool,
}

/// What the guest is to merge: pairs (into, from).
#[derive(Default)]
struct Pairs {
    /// Cells into the sums that windows take in place of them: merged first.
    rolled: Vec<(u32, u32)>,
    merged: Vec<(u32, u32)>,
    /// Slots of the sums, needless afterwards.
    sums: Vec<u32>,
    /// Slots of sessions that others have taken up.
    released: Vec<u32>,
}

/// A cell on its way into the sessions of one set: key in the set's space, and place in the table.
struct Arrival {
    set: u16,
    key: u32,
    run: Run,
    cell: usize,
}

impl Metric {
    /// Adds the epoch's cells to the slots of their windows, then gives up the cells.
    pub fn merge_cells(
        &mut self,
        shared: &mut Shared,
        epoch: u64,
        chunks: &Chunks<'_>,
    ) -> Result<(), MetricError> {
        if self.cells.is_empty() {
            self.cells.clear();
            return Ok(());
        }
        let cells = std::mem::take(&mut self.cells);
        let mut pairs = Pairs::default();
        let targets: Vec<Vec<Target>> =
            cells.panes.iter().map(|p| self.targets(p.interval, &p.missed, shared)).collect();
        self.warm_targets(&cells, &targets, shared, chunks)?;
        self.merge_into_windows(&cells, &targets, shared, epoch, &mut pairs);
        for kind in 0..self.plan.kinds.len() {
            if let Some(gap) = self.plan.kinds[kind].gap() {
                let kind = kind as u16;
                let arrivals = self.arrivals(kind, &cells, shared);
                self.warm_joined(kind, gap, &arrivals, shared, chunks)?;
                self.merge_into_sessions(kind, gap, &cells, &arrivals, epoch, &mut pairs);
            }
        }
        for pairs in [pairs.rolled, pairs.merged] {
            let (into, from): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
            self.instance.merge(&into, &from)?;
        }
        if !pairs.released.is_empty() {
            self.due.retain(|n| self.windows.get(*n).is_some());
        }
        let cells = cells.cells.iter().map(|c| c.slot);
        let numbers: Vec<u32> = cells.chain(pairs.sums).chain(pairs.released).collect();
        self.instance.release(&numbers)?;
        self.numbers.give_back(numbers);
        Ok(())
    }

    /// Loads the cold parts of windows that have a key of the cells.
    fn warm_targets(
        &mut self,
        cells: &CellTable,
        targets: &[Vec<Target>],
        shared: &mut Shared,
        chunks: &Chunks<'_>,
    ) -> Result<(), MetricError> {
        let is_cold = |t: &&Target| self.windows.group_ref(t.group).is_some_and(|g| g.cold_parts > 0);
        let cold: Vec<Vec<u32>> =
            targets.iter().map(|of_pane| of_pane.iter().filter(is_cold).map(|t| t.group).collect()).collect();
        let mut wanted = BTreeSet::new();
        for cell in cells.cells.iter().filter(|cell| !cold[cell.pane as usize].is_empty()) {
            for set in 0..self.projections.len() {
                let key = self.projections[set].of(&shared.spaces[self.space], cell.key);
                for group in &cold[cell.pane as usize] {
                    if let Some(Place::Cold(part)) = self.windows.place(*group, set as u16, key) {
                        wanted.insert((*group, part));
                    }
                }
            }
        }
        wanted.into_iter().try_for_each(|(group, part)| self.warm(group, part, shared, chunks))
    }

    /// Loads the cold parts with sessions that arrivals will join.
    fn warm_joined(
        &mut self,
        kind: u16,
        gap: Micros,
        arrivals: &[Arrival],
        shared: &mut Shared,
        chunks: &Chunks<'_>,
    ) -> Result<(), MetricError> {
        let mut wanted = BTreeSet::new();
        for arrival in arrivals {
            let near = self.sessions.of((kind, arrival.set, arrival.key)).iter().filter(|s| {
                s.run.first.saturating_sub(arrival.run.last) <= gap
                    && arrival.run.first.saturating_sub(s.run.last) <= gap
            });
            wanted.extend(near.filter_map(|s| match s.place {
                Place::Cold(part) => Some((s.group, part)),
                Place::Hot(_) => None,
            }));
        }
        wanted.into_iter().try_for_each(|(group, part)| self.warm(group, part, shared, chunks))
    }

    fn merge_into_windows(
        &mut self,
        cells: &CellTable,
        targets: &[Vec<Target>],
        shared: &Shared,
        epoch: u64,
        pairs: &mut Pairs,
    ) {
        let mut of_panes: Vec<Vec<u32>> = vec![Vec::new(); cells.panes.len()];
        for (at, cell) in (0..).zip(&cells.cells) {
            of_panes[cell.pane as usize].push(at);
        }
        let mut sums = Sums::default();
        for (of_pane, targets) in of_panes.iter().zip(targets).filter(|(_, targets)| !targets.is_empty()) {
            // One window and one set after the other: their keys lie close together.
            for set in 0..self.projections.len() {
                let projection = &mut self.projections[set];
                let full = &shared.spaces[self.space];
                sums.take(of_pane.iter().map(|at| {
                    let cell = &cells.cells[*at as usize];
                    (projection.of(full, cell.key), cell)
                }));
                if sums.is_worth_rolling_up(targets.len()) {
                    sums.roll_up(&mut self.numbers, pairs);
                }
                for target in targets {
                    self.add_sums(&sums, set as u16, target, epoch, pairs);
                }
            }
        }
    }

    /// Adds what the cells of one pane hold by the keys of one set to a window.
    fn add_sums(&mut self, sums: &Sums, set: u16, target: &Target, epoch: u64, pairs: &mut Pairs) {
        let mut slots = Vec::with_capacity(sums.keys.len());
        for sum in &sums.keys {
            let numbers = &mut self.numbers;
            let number = self.windows.slot(target.group, set, sum.key, epoch, || numbers.take());
            slots.push(number);
            if let Some(slot) = self.windows.get_mut(number) {
                slot.weight += sum.weight;
                slot.samples += sum.samples;
                slot.late += if target.late { sum.samples } else { 0 };
                slot.first = slot.first.min(sum.first);
                slot.last = slot.last.max(sum.last);
                mark_due(slot, number, epoch, &mut self.due);
            }
            self.windows.touch(number);
        }
        for (key, from) in &sums.parts {
            pairs.merged.push((slots[*key as usize], *from));
        }
    }

    /// The windows, sessions apart, in which a pane's cells still count.
    fn targets(&mut self, pane: Interval, missed: &[u16], shared: &Shared) -> Vec<Target> {
        let mut targets = Vec::new();
        for at in 0..self.plan.kinds.len() {
            if missed.contains(&(at as u16)) {
                continue;
            }
            let (window, keep_for) = (self.plan.kinds[at].window, self.plan.kinds[at].keep_for);
            let time = if self.plan.is_now { 0 } else { pane.start };
            for interval in shared.calendar.intervals(window, time) {
                let late = interval.end <= self.watermarks.closing;
                let gone = interval.end.saturating_add(keep_for);
                targets.push(Target { group: self.open_group(at as u16, interval, gone), late });
            }
        }
        targets
    }

    pub(super) fn open_group(&mut self, kind: u16, interval: Interval, gone: Micros) -> u32 {
        let group = self.windows.group(kind, interval);
        let is_final = self.windows.group_ref(group).is_some_and(|g| g.is_final);
        if !self.plan.is_now && !is_final {
            self.open.insert((interval.end, group), ());
        }
        if !self.plan.is_now {
            self.keep(group, gone);
        }
        group
    }

    /// The cells that count in a session kind, once for each set, by key and time.
    fn arrivals(&mut self, kind: u16, cells: &CellTable, shared: &Shared) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for (at, cell) in cells.cells.iter().enumerate() {
            if cells.panes[cell.pane as usize].missed.contains(&kind) {
                continue;
            }
            for (set, projection) in self.projections.iter_mut().enumerate() {
                let key = projection.of(&shared.spaces[self.space], cell.key);
                let run = Run { first: cell.first, last: cell.last };
                arrivals.push(Arrival { set: set as u16, key, run, cell: at });
            }
        }
        arrivals.sort_unstable_by_key(|a| (a.set, a.key, a.run, a.cell));
        arrivals
    }

    fn merge_into_sessions(
        &mut self,
        kind: u16,
        gap: Micros,
        cells: &CellTable,
        arrivals: &[Arrival],
        epoch: u64,
        pairs: &mut Pairs,
    ) {
        for arrivals in arrivals.chunk_by(|a, b| (a.set, a.key) == (b.set, b.key)) {
            let key = (kind, arrivals[0].set, arrivals[0].key);
            let runs: Vec<Run> = arrivals.iter().map(|a| a.run).collect();
            let mut held = self.sessions.take(key);
            let before: Vec<Run> = held.iter().map(|s| s.run).collect();
            // From the last to the first, so that the places of those before stay right.
            for joined in join(&before, &runs, gap).into_iter().rev() {
                let (grown, number) = self.grow(key, &held[joined.sessions.clone()], &joined, epoch, pairs);
                for arrival in &arrivals[joined.runs.clone()] {
                    self.add_to_session(number, cells, arrival.cell, gap, pairs);
                }
                held.splice(joined.sessions, [grown]);
            }
            self.sessions.put_back(key, held);
        }
    }

    /// Makes one session of those that runs have joined, in the slot of the first of them. None of
    /// them may be cold.
    fn grow(
        &mut self,
        key: SessionKey,
        held: &[Session],
        joined: &Joined,
        epoch: u64,
        pairs: &mut Pairs,
    ) -> (Session, u32) {
        let (kind, set, id) = key;
        let slots = held.iter().filter_map(|session| match session.place {
            Place::Hot(slot) => Some((slot, session.run)),
            Place::Cold(_) => None,
        });
        let slots: Vec<(u32, Run)> = slots.collect();
        let (number, group) = match (slots.first(), held.first()) {
            (Some((slot, _)), Some(first)) => (*slot, first.group),
            _ => {
                let number = self.numbers.take();
                let group = self.stretch_of(kind, joined.run.first);
                self.windows.add(group, set, id, epoch, number, None);
                (number, group)
            }
        };
        for (slot, run) in &slots {
            self.vanish(key, *slot, *run, joined.run.first);
            let (end, gone) = self.session_ends(kind, run.last);
            self.sessions.unwatch(*slot, end, gone);
        }
        for (other, _) in slots.iter().skip(1) {
            pairs.merged.push((number, *other));
            pairs.released.push(*other);
            let Some(other) = self.windows.remove(*other) else { continue };
            if let Some(slot) = self.windows.get_mut(number) {
                slot.weight += other.weight;
                slot.samples += other.samples;
                slot.late += other.late;
                slot.epoch_first = slot.epoch_first.min(other.epoch_first);
            }
        }
        if let Some(slot) = self.windows.get_mut(number) {
            if slot.first != joined.run.first {
                (slot.emitted, slot.shown, slot.stands) = (None, None, false);
            }
            (slot.first, slot.last) = (joined.run.first, joined.run.last);
            slot.is_final = false;
            mark_due(slot, number, epoch, &mut self.due);
        }
        self.windows.touch(number);
        let (end, gone) = self.session_ends(kind, joined.run.last);
        self.sessions.watch(number, end, gone);
        (Session { run: joined.run, group, place: Place::Hot(number) }, number)
    }

    fn add_to_session(
        &mut self,
        number: u32,
        cells: &CellTable,
        cell: usize,
        gap: Micros,
        pairs: &mut Pairs,
    ) {
        let cell = &cells.cells[cell];
        if let Some(slot) = self.windows.get_mut(number) {
            slot.weight += cell.weight;
            slot.samples += cell.samples;
            // By the cell alone, so that it does not depend on what it joins first.
            let late = cell.last.saturating_add(gap) <= self.watermarks.closing;
            slot.late += if late { cell.samples } else { 0 };
        }
        pairs.merged.push((number, cell.slot));
    }

    /// Remembers that a session's start is no longer one, if a row of it may stand or is shown.
    fn vanish(&mut self, key: SessionKey, slot: u32, run: Run, start: Micros) {
        let Some(slot) = self.windows.get(slot) else { return };
        if (slot.stands || slot.shown.is_some()) && run.first != start {
            let (end, _) = self.session_ends(key.0, run.last);
            let (epoch_first, stands) = (slot.epoch_first, slot.stands);
            self.sessions.vanished.push(Vanished { key, start: run.first, end, epoch_first, stands });
        }
    }

    /// When a session ends whose last sample is known, and until when it is kept.
    pub(super) fn session_ends(&self, kind: u16, last: Micros) -> (Micros, Micros) {
        let kind = &self.plan.kinds[kind as usize];
        let end = last.saturating_add(kind.gap().unwrap_or(0));
        (end, end.saturating_add(kind.keep_for))
    }

    /// The group in which a new session of this start is stored.
    fn stretch_of(&mut self, kind: u16, first: Micros) -> u32 {
        let plan = &self.plan.kinds[kind as usize];
        let length = STRETCH.max(plan.gap().unwrap_or(0));
        let start = tumbling_start(first, length);
        let interval = Interval { start, end: start.saturating_add(length) };
        let gone = self.session_ends(kind, interval.end).1;
        let group = self.windows.group(kind, interval);
        self.keep(group, gone);
        group
    }

    /// At `gone`, and at no other time, it is looked at whether a group is kept any longer: its number may be
    /// another's by a time that was noted before.
    pub(super) fn keep(&mut self, id: u32, gone: Micros) {
        let Some(group) = self.windows.group_mut(id) else { return };
        match group.kept.replace(gone) {
            Some(before) if before == gone => return,
            Some(before) => drop(self.kept.remove(&(before, id))),
            None => {}
        }
        self.kept.insert((gone, id), ());
    }
}

fn mark_due(slot: &mut Slot, number: u32, epoch: u64, due: &mut Vec<u32>) {
    slot.touched = epoch;
    if !slot.due {
        slot.due = true;
        due.push(number);
    }
}
