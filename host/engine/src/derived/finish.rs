//! The end of an epoch for one derived metric: bases' outputs into rows.

use super::{At, Derived, DerivedError, Revive, Slot, Window};
use crate::emit::{self, Decision};
use crate::metric::{
    Asked, Boundary, Chunks, EpochRows, Holding, Metric, MetricError, SLOTS_PER_CALL, Ways, WindowKey,
    hash_of, output_row,
};
use crate::shared::Shared;
use crate::watermark::Watermarks;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::contract::{BaseRows, pack};
use weir_types::rows::{OutputValue, RealtimeRow};
use weir_types::window::Interval;
use weir_types::{MINUTE, Micros};

/// The end of an epoch, as derived metrics see it.
pub struct End<'a> {
    pub boundary: Boundary,
    /// All running metrics, which have ended the epoch.
    pub metrics: &'a mut [Metric],
    pub shared: &'a mut Shared,
    pub chunks: Chunks<'a>,
    pub rows: &'a mut EpochRows,
}

/// What holds for all rows of one epoch.
struct Epoch {
    boundary: Boundary,
    /// Whether a minute's values of `now` are given as history.
    history: bool,
    /// By window kind: whether provisional rows are emitted.
    ticking: Vec<bool>,
    /// Windows that begin before this are incomplete for some base.
    coverage: Micros,
}

impl Derived {
    /// `bases` are the places of its bases among the metrics. After an error nothing that it gave may be used, and
    /// it stands where it stood.
    pub fn finish(&mut self, bases: &[usize], end: &mut End<'_>) -> Result<(), DerivedError> {
        let before = self.watermarks;
        let outcome = self.try_finish(bases, end);
        if outcome.is_err() {
            self.watermarks = before;
        }
        outcome
    }

    fn try_finish(&mut self, bases: &[usize], end: &mut End<'_>) -> Result<(), DerivedError> {
        let boundary = end.boundary;
        self.stale = None;
        let before = self.watermarks;
        self.watermarks = Watermarks::least(bases.iter().map(|at| &end.metrics[*at].watermarks).copied());
        self.take_up(bases, end.metrics, before.closing);
        self.close_windows();
        let epoch = Epoch {
            boundary,
            history: self.plan.is_now && emit::ticks(MINUTE, boundary.clock_before, boundary.clock),
            ticking: self.plan.kinds.iter().map(|kind| emit::kind_ticks(kind, &boundary)).collect(),
            coverage: bases.iter().map(|at| end.metrics[*at].entry.coverage).max().unwrap_or(Micros::MIN),
        };
        let due = self.due.iter().filter(|at| epoch.ticking[at.kind as usize]).copied();
        self.touched.extend(due);
        if epoch.history {
            self.touch_all();
        }
        let work: Vec<At> = std::mem::take(&mut self.touched).into_iter().collect();
        for work in work.chunks(SLOTS_PER_CALL) {
            self.compute(work, bases, end, &epoch)?;
        }
        self.forget_closed();
        Ok(())
    }

    /// Whether the end of an epoch has work for it, though no base changed.
    pub fn has_work(&self, boundary: &Boundary, closing: Micros) -> bool {
        if self.stale.is_some() {
            return false;
        }
        let ticks = |at: &At| emit::kind_ticks(&self.plan.kinds[at.kind as usize], boundary);
        let closes = |w: &Window| !self.plan.is_now && !w.is_final && w.interval.end <= closing;
        let history = self.plan.is_now
            && !self.windows.is_empty()
            && emit::ticks(MINUTE, boundary.clock_before, boundary.clock);
        history || self.due.iter().any(ticks) || self.windows.values().any(closes)
    }

    /// Notes which keys are to be computed: those that changed, and those that a revival asks for.
    fn take_up(&mut self, bases: &[usize], metrics: &[Metric], closing: Micros) {
        let revive = std::mem::replace(&mut self.revive, Revive::Nothing);
        if revive == Revive::All {
            self.touch_all();
        }
        for (source, at) in bases.iter().enumerate() {
            let metric = &metrics[*at];
            for changed in metric.changed() {
                self.touch(source, metric, changed);
            }
            if revive == Revive::Nothing {
                continue;
            }
            for kind in self.plan.bases[source].kinds.clone() {
                let newest = metric.newest_two(kind);
                let open = |interval: &Interval| self.plan.is_now || interval.end > closing;
                let keys = metric.keys_of(kind, |group| match revive {
                    Revive::All => true,
                    Revive::Open => {
                        open(&group.interval) || newest.is_some_and(|start| group.interval.start >= start)
                    }
                    _ => group.is_final && open(&group.interval),
                });
                keys.iter().for_each(|key| self.touch(source, metric, key));
            }
        }
    }

    /// Notes a key of a base, if it is one of this metric's windows and sets.
    fn touch(&mut self, source: usize, metric: &Metric, key: &WindowKey) {
        let base = &self.plan.bases[source];
        let kind = base.kinds.iter().position(|kind| *kind == key.kind);
        let set = base.sets.iter().position(|set| *set == key.set);
        let (Some(kind), Some(set)) = (kind, set) else { return };
        let id = self.spaces[set].id(metric.key(key.set, key.key));
        let (kind, set) = (kind as u16, set as u16);
        let is_final = !self.plan.is_now && key.interval.end <= self.watermarks.closing;
        let start = key.interval.start;
        let window = || Window { interval: key.interval, is_final, slots: BTreeMap::new() };
        self.windows.entry((kind, start)).or_insert_with(window);
        self.touched.insert(At { kind, start, set, key: id });
    }

    fn touch_all(&mut self) {
        for ((kind, start), window) in &self.windows {
            let keys = window.slots.keys();
            self.touched.extend(keys.map(|(set, key)| At {
                kind: *kind,
                start: *start,
                set: *set,
                key: *key,
            }));
        }
    }

    /// A window is final when it is for every base.
    fn close_windows(&mut self) {
        if self.plan.is_now {
            return;
        }
        let closing = self.watermarks.closing;
        for ((kind, start), window) in &mut self.windows {
            if window.is_final || window.interval.end > closing {
                continue;
            }
            window.is_final = true;
            let keys = window.slots.keys();
            self.touched.extend(keys.map(|(set, key)| At {
                kind: *kind,
                start: *start,
                set: *set,
                key: *key,
            }));
        }
    }

    /// Of closed windows only those are remembered that are shown.
    fn forget_closed(&mut self) {
        let newest: Vec<Option<Micros>> =
            (0..self.plan.kinds.len()).map(|kind| self.newest_two(kind as u16)).collect();
        self.windows.retain(|(kind, start), window| {
            !window.is_final || newest[*kind as usize].is_none_or(|newest| *start >= newest)
        });
    }

    fn newest_two(&self, kind: u16) -> Option<Micros> {
        let starts = self.windows.range((kind, Micros::MIN)..=(kind, Micros::MAX));
        starts.rev().take(2).last().map(|((_, start), _)| *start)
    }

    fn interval_of(&self, at: &At) -> Interval {
        let none = Interval { start: at.start, end: at.start };
        self.windows.get(&(at.kind, at.start)).map_or(none, |window| window.interval)
    }

    fn compute(
        &mut self,
        work: &[At],
        bases: &[usize],
        end: &mut End<'_>,
        epoch: &Epoch,
    ) -> Result<(), DerivedError> {
        // What a base has forgotten can no longer be told from nothing: the last row stands.
        let known = |at: &&At| {
            let interval = self.interval_of(at);
            let mut sources = self.plan.bases.iter().zip(bases);
            sources.all(|(source, base)| {
                end.metrics[*base].knows(source.kinds[at.kind as usize], interval.start, interval.end)
            })
        };
        let work: Vec<At> = work.iter().filter(known).copied().collect();
        if work.is_empty() {
            return Ok(());
        }
        let (mut given, mut holdings) = (self.windows_of(&work), vec![None; work.len()]);
        for (source, base) in self.plan.bases.iter().zip(bases) {
            let asked: Vec<Asked> =
                work.iter().map(|at| self.asked(at, source, &end.metrics[*base])).collect();
            let metric = &mut end.metrics[*base];
            let outputs = metric.outputs_of(&asked, epoch.boundary.clock, end.shared, &end.chunks);
            let (outputs, held) = outputs.map_err(|error| match error {
                MetricError::State(error) => DerivedError::State(error),
                MetricError::Guest(error) => DerivedError::Base(*base, error),
            })?;
            for at in &source.outputs {
                given.columns.push(outputs.columns[*at].clone());
                given.dictionaries.push(outputs.dictionaries[*at].clone());
            }
            for (all, held) in holdings.iter_mut().zip(held) {
                *all = together(*all, held);
            }
        }
        let outputs = self.instance.compute(&given).map_err(DerivedError::Own)?;
        for (row, (at, holding)) in work.iter().zip(holdings).enumerate() {
            let values = output_row(&outputs, &self.info.outputs, row);
            self.give_row(at, values, holding, epoch, end.shared, end.rows);
        }
        Ok(())
    }

    /// The arguments of `compute` without the columns.
    fn windows_of(&self, work: &[At]) -> BaseRows {
        let mut given = BaseRows { rows: work.len() as u32, ..BaseRows::default() };
        if !self.plan.is_now {
            let (starts, ends): (Vec<Micros>, Vec<Micros>) =
                work.iter().map(|at| self.interval_of(at)).map(|i| (i.start, i.end)).unzip();
            (given.window_starts, given.window_ends) = (pack::i64s(&starts), pack::i64s(&ends));
        }
        given
    }

    fn asked(&self, at: &At, source: &super::plan::Source, metric: &Metric) -> Asked {
        let interval = self.interval_of(at);
        let set = source.sets[at.set as usize];
        Asked {
            kind: source.kinds[at.kind as usize],
            start: interval.start,
            end: interval.end,
            set,
            key: metric.find_key(set, self.spaces[at.set as usize].get(at.key)),
        }
    }

    fn give_row(
        &mut self,
        at: &At,
        values: Arc<[OutputValue]>,
        holding: Option<Holding>,
        epoch: &Epoch,
        shared: &Shared,
        rows: &mut EpochRows,
    ) {
        let newest = self.plan.is_now || self.newest_two(at.kind).is_none_or(|start| at.start >= start);
        let Some(window) = self.windows.get(&(at.kind, at.start)) else { return };
        let (is_final, empty) = (window.is_final, holding.is_none());
        let mut slot = window.slots.get(&(at.set, at.key)).copied().unwrap_or_default();
        let hash = hash_of(&values, None, &mut rows.scratch);
        let decision = emit::decide(slot.emitted, hash, is_final, empty || epoch.ticking[at.kind as usize]);
        let show = newest && (slot.shown != Some(hash) || empty || (decision == Decision::Emit && is_final));
        let emit = decision == Decision::Emit;
        let ways =
            Ways { show, history: epoch.history && !empty, emit, is_now: self.plan.is_now, gone: empty };
        if ways.any() {
            let dims = self.spaces[at.set as usize].render(at.key, &shared.texts);
            let row = self.row(at, window, dims, values, holding, epoch, shared);
            rows.give(row, ways, epoch.boundary.clock, shared);
        }
        slot.shown = Some(hash);
        if decision == Decision::Emit {
            slot.emitted = Some((hash, is_final));
        }
        self.remember(at, (!empty).then_some(slot), decision == Decision::Wait);
    }

    fn remember(&mut self, at: &At, slot: Option<Slot>, waits: bool) {
        match waits {
            true => self.due.insert(*at),
            false => self.due.remove(at),
        };
        let Some(window) = self.windows.get_mut(&(at.kind, at.start)) else { return };
        match slot {
            Some(slot) => drop(window.slots.insert((at.set, at.key), slot)),
            None => drop(window.slots.remove(&(at.set, at.key))),
        }
    }

    fn row(
        &self,
        at: &At,
        window: &Window,
        dims: Arc<[String]>,
        values: Arc<[OutputValue]>,
        holding: Option<Holding>,
        epoch: &Epoch,
        shared: &Shared,
    ) -> RealtimeRow {
        let Boundary { clock, epoch: number, .. } = epoch.boundary;
        let (start, end, complete) = match self.plan.is_now {
            true => (clock, clock, epoch.coverage == Micros::MIN),
            false => (window.interval.start, window.interval.end, window.interval.start >= epoch.coverage),
        };
        let holding = holding.unwrap_or(Holding { epoch_first: number, ..Holding::default() });
        RealtimeRow {
            series: self.series.get(at.kind, at.set),
            dims,
            day: shared.calendar.local_day_number(start),
            start,
            end,
            values,
            is_final: window.is_final,
            complete,
            watermark: self.watermarks.closing,
            epoch: number,
            epoch_first: holding.epoch_first,
            samples: holding.samples,
            late: holding.late,
            deleted: false,
        }
    }
}

/// What two bases hold of one key: samples are summed, the first epoch is the earlier one.
fn together(a: Option<Holding>, b: Option<Holding>) -> Option<Holding> {
    let (Some(x), Some(y)) = (a, b) else { return a.or(b) };
    Some(Holding {
        samples: x.samples + y.samples,
        late: x.late + y.late,
        epoch_first: x.epoch_first.min(y.epoch_first),
    })
}
