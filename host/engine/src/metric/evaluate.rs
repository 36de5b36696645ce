//! The end of an epoch for one metric: cells into windows, windows into rows.

use super::windows::Slot;
use super::{Boundary, EpochRows, Metric, outputs};
use crate::emit::{self, Decision};
use crate::shared::Shared;
use crate::watermark::Watermarks;
use weir_types::contract::GuestError;
use weir_types::live::LiveRow;
use weir_types::rows::{OutputValue, RealtimeRow};
use weir_types::window::Interval;
use weir_types::{MINUTE, Micros};

/// Slots in one call of `evaluate` at the most: bounds what the guest returns at once.
const SLOTS_PER_CALL: usize = 16_384;

/// A window that a pane belongs to.
struct Target {
    group: u32,
    late: bool,
}

impl Metric {
    /// Adds the epoch's cells to the slots of their windows, then gives up the cells.
    pub fn merge_cells(&mut self, shared: &mut Shared, epoch: u64) -> Result<(), GuestError> {
        if self.cells.is_empty() {
            self.cells.clear();
            return Ok(());
        }
        let cells = std::mem::take(&mut self.cells);
        let targets: Vec<Vec<Target>> =
            cells.panes.iter().map(|p| self.targets(p.interval, shared)).collect();
        let (mut into, mut from) = (Vec::new(), Vec::new());
        for cell in &cells.cells {
            for set in 0..self.projections.len() {
                let key = self.projections[set].of(&shared.spaces[self.space], cell.key);
                for target in &targets[cell.pane as usize] {
                    let numbers = &mut self.numbers;
                    let number = self.windows.slot(target.group, set as u16, key, epoch, || numbers.take());
                    if let Some(slot) = self.windows.get_mut(number) {
                        slot.weight += cell.weight;
                        slot.samples += cell.samples;
                        slot.late += if target.late { cell.samples } else { 0 };
                        slot.first = slot.first.min(cell.first);
                        slot.last = slot.last.max(cell.last);
                        mark_due(slot, number, epoch, &mut self.due);
                    }
                    self.windows.touch(number);
                    into.push(number);
                    from.push(cell.slot);
                }
            }
        }
        self.instance.merge(&into, &from)?;
        let numbers: Vec<u32> = cells.cells.iter().map(|c| c.slot).collect();
        self.instance.release(&numbers)?;
        self.numbers.give_back(numbers);
        Ok(())
    }

    /// The windows that a pane's cells still count in, by the watermarks of the epoch.
    fn targets(&mut self, pane: Interval, shared: &Shared) -> Vec<Target> {
        let mut targets = Vec::new();
        for at in 0..self.plan.kinds.len() {
            let (window, correct_for) = (self.plan.kinds[at].window, self.plan.kinds[at].correct_for);
            let time = if self.plan.is_now { 0 } else { pane.start };
            for interval in shared.calendar.intervals(window, time) {
                let gone = interval.end.saturating_add(correct_for);
                if gone <= self.watermarks.records && !self.plan.is_now {
                    continue;
                }
                let late = interval.end <= self.watermarks.closing;
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
            self.kept.insert((gone, group), ());
        }
        group
    }

    /// Closes windows, evaluates what is due, and gives the rows of the epoch.
    pub fn finish(
        &mut self,
        boundary: Boundary,
        watermarks: Watermarks,
        shared: &Shared,
        rows: &mut EpochRows,
    ) -> Result<(), GuestError> {
        self.watermarks = watermarks;
        self.close_windows();
        let history = self.plan.is_now && emit::ticks(MINUTE, boundary.clock_before, boundary.clock);
        if history || self.info.time_varying {
            self.all_due();
        }
        let ticking: Vec<bool> =
            self.plan.kinds.iter().map(|kind| emit::kind_ticks(kind, &boundary)).collect();
        let mut evaluated = Vec::new();
        let mut waiting = Vec::new();
        for number in std::mem::take(&mut self.due) {
            let Some(slot) = self.windows.get(number) else { continue };
            let Some(group) = self.windows.group_ref(slot.group) else { continue };
            let now = slot.touched == boundary.epoch || group.is_final || ticking[group.kind as usize];
            if now || history || self.info.time_varying {
                evaluated.push(number)
            } else {
                waiting.push(number)
            }
        }
        self.due = waiting;
        let mut emptied = Vec::new();
        for numbers in evaluated.chunks(SLOTS_PER_CALL) {
            self.evaluate(numbers, boundary, history, &ticking, shared, rows, &mut emptied)?;
        }
        self.drop_slots(emptied)?;
        self.expire()
    }

    fn close_windows(&mut self) {
        while let Some((&(end, group), ())) = self.open.first_key_value()
            && end <= self.watermarks.closing
        {
            self.open.remove(&(end, group));
            let Some(group) = self.windows.group_mut(group) else { continue };
            group.is_final = true;
            group.touched.fill(true);
            let slots: Vec<u32> = group.slots.values().copied().collect();
            self.make_due(slots);
        }
    }

    fn all_due(&mut self) {
        let slots: Vec<u32> = self.windows.groups().flat_map(|(_, g)| g.slots.values().copied()).collect();
        self.make_due(slots);
    }

    pub(super) fn make_due(&mut self, mut slots: Vec<u32>) {
        // Slot maps iterate in no fixed order; rows must come in one.
        slots.sort_unstable();
        for number in slots {
            if let Some(slot) = self.windows.get_mut(number).filter(|s| !s.due) {
                slot.due = true;
                self.due.push(number);
            }
        }
    }

    fn evaluate(
        &mut self,
        numbers: &[u32],
        boundary: Boundary,
        history: bool,
        ticking: &[bool],
        shared: &Shared,
        rows: &mut EpochRows,
        emptied: &mut Vec<u32>,
    ) -> Result<(), GuestError> {
        let interval = |n: &u32| {
            let group = self.windows.get(*n).and_then(|s| self.windows.group_ref(s.group));
            group.map_or(Interval { start: 0, end: 0 }, |g| g.interval)
        };
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        if !self.plan.is_now {
            (starts, ends) = numbers.iter().map(interval).map(|i| (i.start, i.end)).unzip();
        }
        // A key of net weight 0 holds nothing, whatever the guest has kept for it.
        let empty = |n: &u32| self.windows.get(*n).is_none_or(|s| s.weight == 0);
        let asked: Vec<u32> = numbers.iter().map(|n| if empty(n) { 0 } else { *n }).collect();
        let given = self.instance.evaluate(&asked, &starts, &ends, boundary.clock)?;
        for (at, number) in numbers.iter().enumerate() {
            let values = outputs::row(&given, &self.info.outputs, at);
            self.give_rows(*number, values, boundary, history, ticking, shared, rows);
            if asked[at] == 0 {
                emptied.push(*number);
            }
        }
        Ok(())
    }

    fn give_rows(
        &mut self,
        number: u32,
        values: Vec<OutputValue>,
        boundary: Boundary,
        history: bool,
        ticking: &[bool],
        shared: &Shared,
        rows: &mut EpochRows,
    ) {
        let Some(slot) = self.windows.get(number) else { return };
        let Some(group) = self.windows.group_ref(slot.group) else { return };
        let (kind, interval, is_final) = (group.kind, group.interval, group.is_final);
        let empty = slot.weight == 0;
        let hash = outputs::hash(&values);
        let decision = emit::decide(slot.emitted, hash, is_final, empty || ticking[kind as usize]);
        let newest =
            self.plan.is_now || self.windows.newest_two(kind).is_none_or(|start| interval.start >= start);
        let show = newest && (slot.shown != Some(hash) || empty || (decision == Decision::Emit && is_final));
        if show || decision == Decision::Emit || (history && !empty) {
            let row = self.row(slot, kind, interval, is_final, values, boundary, shared);
            if show {
                rows.live.push(self.live_row(&row, kind, slot.set, empty));
            }
            if history && !empty {
                let start = boundary.clock - boundary.clock.rem_euclid(MINUTE);
                let day = shared.calendar.local_day_number(start);
                rows.outbox.realtime.push(RealtimeRow { start, end: start, day, ..row.clone() });
            }
            if decision == Decision::Emit {
                match self.plan.is_now {
                    true => rows.outbox.latest.push(row),
                    false => rows.outbox.realtime.push(row),
                }
            }
        }
        let Some(slot) = self.windows.get_mut(number) else { return };
        slot.shown = Some(hash);
        slot.due = decision == Decision::Wait;
        if decision == Decision::Emit {
            slot.emitted = Some((hash, is_final));
        }
        if slot.due {
            self.due.push(number);
        }
    }

    fn row(
        &self,
        slot: &Slot,
        kind: u16,
        interval: Interval,
        is_final: bool,
        values: Vec<OutputValue>,
        boundary: Boundary,
        shared: &Shared,
    ) -> RealtimeRow {
        let (start, end, complete) = match self.plan.is_now {
            true => (boundary.clock, boundary.clock, self.entry.coverage == Micros::MIN),
            false => (interval.start, interval.end, interval.start >= self.entry.coverage),
        };
        let names = self.info.outputs.iter().map(|o| o.name.clone());
        RealtimeRow {
            metric: self.info.name.clone(),
            incarnation: self.entry.incarnation,
            window: self.plan.kinds[kind as usize].name.to_string(),
            dimension_set: self.plan.set_names[slot.set as usize].to_string(),
            dims: self.projections[slot.set as usize].space.render(slot.key, &shared.texts),
            day: shared.calendar.local_day_number(start),
            start,
            end,
            outputs: names.zip(values).collect(),
            is_final,
            complete,
            watermark: self.watermarks.closing,
            digest: self.entry.digest.clone(),
            epoch: boundary.epoch,
            epoch_first: slot.epoch_first,
            samples: slot.samples,
            late: slot.late,
            deleted: false,
        }
    }

    fn live_row(&self, row: &RealtimeRow, kind: u16, set: u16, gone: bool) -> LiveRow {
        LiveRow {
            metric: self.name.clone(),
            window: self.plan.kinds[kind as usize].name.clone(),
            dimension_set: self.plan.set_names[set as usize].clone(),
            dims: row.dims.as_slice().into(),
            start: row.start,
            end: row.end,
            outputs: row.outputs.iter().map(|(_, value)| value.clone()).collect(),
            is_final: row.is_final,
            complete: row.complete,
            samples: row.samples,
            gone,
        }
    }

    fn drop_slots(&mut self, numbers: Vec<u32>) -> Result<(), GuestError> {
        if numbers.is_empty() {
            return Ok(());
        }
        for number in &numbers {
            self.windows.remove(*number);
        }
        self.due.retain(|n| self.windows.get(*n).is_some());
        self.instance.release(&numbers)?;
        self.numbers.give_back(numbers);
        Ok(())
    }

    /// Forgets windows that can no longer be corrected.
    fn expire(&mut self) -> Result<(), GuestError> {
        let mut released = Vec::new();
        while let Some((&(gone, id), ())) = self.kept.first_key_value()
            && gone <= self.watermarks.records
        {
            self.kept.remove(&(gone, id));
            let Some(group) = self.windows.remove_group(id) else { continue };
            self.open.remove(&(group.interval.end, id));
            self.dropped.push((group.kind, group.interval.start, group.touched.len() as u32));
            released.extend(group.slots.values());
        }
        if released.is_empty() {
            return Ok(());
        }
        released.sort_unstable();
        self.due.retain(|n| self.windows.get(*n).is_some());
        self.instance.release(&released)?;
        self.numbers.give_back(released);
        Ok(())
    }
}

fn mark_due(slot: &mut Slot, number: u32, epoch: u64, due: &mut Vec<u32>) {
    slot.touched = epoch;
    if !slot.due {
        slot.due = true;
        due.push(number);
    }
}
