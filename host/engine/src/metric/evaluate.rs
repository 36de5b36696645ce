//! The end of an epoch for one metric: windows into rows.

use super::sessions::STRETCH;
use super::windows::Slot;
use super::{Boundary, EpochRows, Metric, WindowKey, outputs};
use crate::emit::{self, Decision};
use crate::shared::Shared;
use crate::watermark::Watermarks;
use std::sync::Arc;
use weir_types::contract::GuestError;
use weir_types::live::LiveRow;
use weir_types::rows::{OutputValue, RealtimeRow};
use weir_types::window::{Interval, Window};
use weir_types::{MINUTE, Micros};

/// Slots in one call of `evaluate` at the most: bounds what the guest returns at once.
pub(crate) const SLOTS_PER_CALL: usize = 16_384;

impl Metric {
    /// Closes windows, evaluates what is due, and gives the rows of the epoch.
    pub fn finish(
        &mut self,
        boundary: Boundary,
        watermarks: Watermarks,
        shared: &Shared,
        rows: &mut EpochRows,
    ) -> Result<(), GuestError> {
        self.watermarks = watermarks;
        self.take_back_vanished(boundary, shared, rows);
        self.close_windows();
        self.close_sessions();
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
            let now = slot.touched == boundary.epoch || slot.is_final || ticking[group.kind as usize];
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

    /// A row under a start that is no session's any more is deleted, there and in the cache.
    fn take_back_vanished(&mut self, boundary: Boundary, shared: &Shared, rows: &mut EpochRows) {
        for vanished in std::mem::take(&mut self.sessions.vanished) {
            let (kind, set, key) = vanished.key;
            let interval = Interval { start: vanished.start, end: vanished.end };
            let slot = Slot::of_nothing(set, key, vanished.epoch_first);
            let nothing = vec![OutputValue::Null; self.info.outputs.len()].into();
            let dims = self.projections[set as usize].space.render(key, &shared.texts);
            let row = self.row(&slot, kind, interval, true, dims, nothing, boundary, shared);
            rows.live.push(live_row(&row, true));
            if vanished.stands {
                rows.outbox.realtime.push(RealtimeRow { deleted: true, ..row });
            }
        }
    }

    fn close_windows(&mut self) {
        while let Some((&(end, group), ())) = self.open.first_key_value()
            && end <= self.watermarks.closing
        {
            self.open.remove(&(end, group));
            let Some(group) = self.windows.group_mut(group) else { continue };
            group.is_final = true;
            group.parts.iter_mut().for_each(|part| part.touched = true);
            let slots: Vec<u32> = group.slots().collect();
            self.close_slots(slots);
        }
    }

    fn close_sessions(&mut self) {
        let mut closed = Vec::new();
        while let Some(slot) = self.sessions.next_closed(self.watermarks.closing) {
            self.windows.touch(slot);
            closed.push(slot);
        }
        self.close_slots(closed);
    }

    fn close_slots(&mut self, slots: Vec<u32>) {
        for number in &slots {
            if let Some(slot) = self.windows.get_mut(*number) {
                slot.is_final = true;
            }
        }
        self.make_due(slots);
    }

    /// Of a time-varying metric: all slots, but those of closed windows, whose rows are final.
    fn all_due(&mut self) {
        let slots = self.windows.groups().flat_map(|(_, g)| g.slots());
        let open = slots.filter(|n| self.windows.get(*n).is_some_and(|s| !s.is_final));
        self.make_due(open.collect());
    }

    pub(super) fn make_due(&mut self, mut slots: Vec<u32>) {
        // Parts lose and get slots; rows come in the order of slots all the same.
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
            let window = self.windows.get(*n).and_then(|slot| self.window_of(slot));
            window.map_or((0, 0), |(_, interval)| (interval.start, interval.end))
        };
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        if !self.plan.is_now {
            (starts, ends) = numbers.iter().map(interval).unzip();
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

    /// Kind and interval of a slot's window.
    fn window_of(&self, slot: &Slot) -> Option<(u16, Interval)> {
        let group = self.windows.group_ref(slot.group)?;
        let interval = match self.plan.kinds[group.kind as usize].gap() {
            Some(_) => Interval { start: slot.first, end: self.session_ends(group.kind, slot.last).0 },
            None => group.interval,
        };
        Some((group.kind, interval))
    }

    /// Whether a slot's window is one that the serving side shows: of each kind the newest of a key.
    fn is_newest(&self, number: u32, slot: &Slot, kind: u16, interval: Interval) -> bool {
        match self.plan.kinds[kind as usize].window {
            Window::Now => true,
            Window::Session { .. } => self.sessions.is_newest((kind, slot.set, slot.key), number),
            _ => self.windows.newest_two(kind).is_none_or(|start| interval.start >= start),
        }
    }

    fn give_rows(
        &mut self,
        number: u32,
        values: Arc<[OutputValue]>,
        boundary: Boundary,
        history: bool,
        ticking: &[bool],
        shared: &Shared,
        rows: &mut EpochRows,
    ) {
        let Some(slot) = self.windows.get(number) else { return };
        let Some((kind, interval)) = self.window_of(slot) else { return };
        let (is_final, empty) = (slot.is_final, slot.weight == 0);
        // A session's end is not in the row's key: when it moves, there is a new row to give.
        let moves = self.plan.kinds[kind as usize].gap().is_some();
        let hash = outputs::hash(&values, moves.then_some(interval.end), &mut rows.scratch);
        let decision = emit::decide(slot.emitted, hash, is_final, empty || ticking[kind as usize]);
        let newest = self.is_newest(number, slot, kind, interval);
        if let Some(changed) = self.changed.as_mut().filter(|_| slot.shown != Some(hash) || empty) {
            changed.push(WindowKey { kind, interval, set: slot.set, key: slot.key });
        }
        let show = newest && (slot.shown != Some(hash) || empty || (decision == Decision::Emit && is_final));
        let emit = decision == Decision::Emit;
        let ways = Ways { show, history: history && !empty, emit, is_now: self.plan.is_now, gone: empty };
        if ways.any() {
            let dims = self.projections[slot.set as usize].space.render(slot.key, &shared.texts);
            let row = self.row(slot, kind, interval, is_final, dims, values, boundary, shared);
            rows.give(row, ways, boundary.clock, shared);
        }
        let Some(slot) = self.windows.get_mut(number) else { return };
        slot.shown = Some(hash);
        slot.due = decision == Decision::Wait;
        if decision == Decision::Emit {
            slot.emitted = Some((hash, is_final));
            slot.stands = true;
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
        dims: Arc<[String]>,
        values: Arc<[OutputValue]>,
        boundary: Boundary,
        shared: &Shared,
    ) -> RealtimeRow {
        let (start, end, complete) = match self.plan.is_now {
            true => (boundary.clock, boundary.clock, self.entry.coverage == Micros::MIN),
            false => (interval.start, interval.end, self.is_covered(kind, interval)),
        };
        RealtimeRow {
            series: self.series.get(kind, slot.set),
            dims,
            day: shared.calendar.local_day_number(start),
            start,
            end,
            values,
            is_final,
            complete,
            watermark: self.watermarks.closing,
            epoch: boundary.epoch,
            epoch_first: slot.epoch_first,
            samples: slot.samples,
            late: slot.late,
            deleted: false,
        }
    }

    /// Whether nothing of a window can lie before the metric's coverage. A session may have begun as long as its
    /// gap before the first sample that was seen.
    fn is_covered(&self, kind: u16, interval: Interval) -> bool {
        let gap = self.plan.kinds[kind as usize].gap().unwrap_or(0);
        interval.start.saturating_sub(gap) >= self.entry.coverage
    }

    pub(super) fn drop_slots(&mut self, numbers: Vec<u32>) -> Result<(), GuestError> {
        if numbers.is_empty() {
            return Ok(());
        }
        for number in &numbers {
            self.forget_slot(*number);
        }
        self.due.retain(|n| self.windows.get(*n).is_some());
        self.instance.release(&numbers)?;
        self.numbers.give_back(numbers);
        Ok(())
    }

    fn forget_slot(&mut self, number: u32) {
        let Some(slot) = self.windows.remove(number) else { return };
        let kind = self.windows.group_ref(slot.group).map(|group| group.kind);
        if let Some(kind) = kind.filter(|k| self.plan.kinds[*k as usize].gap().is_some()) {
            let (end, gone) = self.session_ends(kind, slot.last);
            self.sessions.remove((kind, slot.set, slot.key), number, end, gone);
        }
    }

    /// Forgets windows that can no longer be corrected.
    fn expire(&mut self) -> Result<(), GuestError> {
        let records = self.forgets_by();
        let mut released = Vec::new();
        while let Some(number) = self.sessions.next_gone(records) {
            self.forget_slot(number);
            released.push(number);
        }
        while let Some((&(gone, id), ())) = self.kept.first_key_value()
            && gone <= records
        {
            self.kept.remove(&(gone, id));
            let Some(group) = self.windows.group_mut(id) else { continue };
            group.kept = None;
            let group = &*group;
            if self.plan.kinds[group.kind as usize].gap().is_some() {
                if group.slots().next().is_some() || group.cold_until > records {
                    // Its sessions go on beyond the stretch in which they began.
                    self.keep(id, records.saturating_add(STRETCH));
                    continue;
                }
                if group.cold_parts > 0 {
                    self.sessions.forget_cold(id);
                }
            }
            let Some(group) = self.windows.remove_group(id) else { continue };
            self.open.remove(&(group.interval.end, id));
            self.dropped.push((group.kind, group.interval.start, group.parts.len() as u32));
            released.extend(group.slots());
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

/// Where the row of an evaluated key goes.
#[derive(Clone, Copy)]
pub(crate) struct Ways {
    /// To the serving side.
    pub show: bool,
    /// To ClickHouse, as the current value of this minute.
    pub history: bool,
    /// To ClickHouse.
    pub emit: bool,
    pub is_now: bool,
    /// Whether the key holds nothing any more.
    pub gone: bool,
}

impl Ways {
    pub fn any(self) -> bool {
        self.show || self.history || self.emit
    }
}

impl EpochRows {
    pub(crate) fn give(&mut self, row: RealtimeRow, ways: Ways, clock: Micros, shared: &Shared) {
        if ways.show {
            self.live.push(live_row(&row, ways.gone));
        }
        if ways.history {
            let start = clock - clock.rem_euclid(MINUTE);
            let day = shared.calendar.local_day_number(start);
            self.outbox.realtime.push(RealtimeRow { start, end: start, day, ..row.clone() });
        }
        if ways.emit {
            match ways.is_now {
                true => self.outbox.latest.push(row),
                false => self.outbox.realtime.push(row),
            }
        }
    }
}

/// What the serving side is shown of a row.
fn live_row(row: &RealtimeRow, gone: bool) -> LiveRow {
    LiveRow {
        series: row.series.clone(),
        dims: row.dims.clone(),
        start: row.start,
        end: row.end,
        values: row.values.clone(),
        is_final: row.is_final,
        complete: row.complete,
        samples: row.samples,
        gone,
    }
}
