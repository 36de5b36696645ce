//! Rows → samples → cells.

use super::cells::CellTable;
use super::{EpochRows, Metric, outputs};
use crate::keys::{DimColumn, write_key};
use crate::plan::{DimensionFrom, InputPlan};
use crate::shared::{Shared, columns_only};
use crate::view::{Image, View};
use crate::watermark::FUTURE;
use std::time::Duration;
use weir_types::Micros;
use weir_types::contract::{GuestError, PackedColumn, Parts, Samples, ValueType, pack};
use weir_types::record::Rekey;
use weir_types::rows::{DeadLetterRow, DeadOutcome, LateEventRow};
use weir_types::window::{Calendar, Interval, is_time};

/// Parts into which one span may be cut at the most; a longer one is rejected.
const MAX_SPAN_PARTS: i64 = 100_000;

/// Monotonic time, for costs.
pub type Monotonic<'a> = &'a dyn Fn() -> Duration;

/// Samples on their way into cells: arguments of `accumulate`, and which sample each comes from.
#[derive(Default)]
pub(super) struct Entries {
    samples: Vec<u32>,
    slots: Vec<[u8; 4]>,
    weights: Vec<[u8; 8]>,
    times: Vec<[u8; 8]>,
    untils: Vec<[u8; 8]>,
}

impl Entries {
    /// Room for so many samples.
    pub fn with_room(samples: usize) -> Entries {
        Entries {
            samples: Vec::with_capacity(samples),
            slots: Vec::with_capacity(samples),
            weights: Vec::with_capacity(samples),
            times: Vec::new(),
            untils: Vec::new(),
        }
    }

    pub fn push(&mut self, sample: usize, slot: u32, weight: i64) {
        self.samples.push(sample as u32);
        self.slots.push(slot.to_le_bytes());
        self.weights.push(weight.to_le_bytes());
    }
}

/// What the running epoch offers to rows.
pub struct Running<'a> {
    pub shared: &'a mut Shared,
    pub rows: &'a mut EpochRows,
    pub epoch: u64,
    /// The clock now.
    pub now: Micros,
    pub monotonic: Monotonic<'a>,
}

impl Metric {
    /// Shows the changes of one source's batch to an event metric.
    pub fn observe(
        &mut self,
        source: usize,
        view: &mut View<'_>,
        run: &mut Running<'_>,
    ) -> Result<(), GuestError> {
        // Of each row, how many samples and parts of samples there were.
        let mut numbers = vec![0u32; view.batch.rows_in_record.len()];
        for at in 0..self.plan.inputs.len() {
            if self.plan.inputs[at].source != source {
                continue;
            }
            let input = self.plan.inputs[at].clone();
            let start = (run.monotonic)();
            let selection = view.select(&input);
            let (rows, excluded) = view.selected(selection);
            self.cost.excluded += excluded;
            if rows.is_empty() {
                continue;
            }
            let changes = view.gather(&input, selection);
            self.cost.rows_in += rows.len() as u64;
            let gathered = (run.monotonic)();
            self.spent("watch", start, gathered);
            let samples = self.instance.observe(at as u32, &changes)?;
            let observed = (run.monotonic)();
            self.spent("observe", gathered, observed);
            self.absorb(&input, view, &rows, samples, &mut numbers, run)?;
            self.spent("accumulate", observed, (run.monotonic)());
        }
        Ok(())
    }

    fn absorb(
        &mut self,
        input: &InputPlan,
        view: &mut View<'_>,
        rows: &[u32],
        samples: Samples,
        numbers: &mut [u32],
        run: &mut Running<'_>,
    ) -> Result<(), GuestError> {
        let count = samples.rows.len() / 4;
        self.cost.samples += count as u64;
        self.cost.rejected += samples.rejects.len() as u64;
        if count == 0 {
            return Ok(());
        }
        let keys = self.sample_keys(input, view, rows, &samples, run.shared);
        let mut entries = Entries::with_room(count);
        entries.times.reserve(count);
        for (sample, key) in keys.into_iter().enumerate() {
            let row = rows[pack::u32_at(&samples.rows, sample) as usize];
            let number = &mut numbers[row as usize];
            let Some((time, until)) = self.sample_time(view, row, &samples, sample, run) else {
                *number += 1;
                continue;
            };
            let weight = weight_of(&samples, sample);
            let first = (row, *number);
            *number += self.spread(key, time, until, weight, sample, &mut entries, view, first, run);
        }
        self.accumulate(samples, entries)
    }

    /// The sample's [time, until), unless it has none that counts.
    fn sample_time(
        &mut self,
        view: &View<'_>,
        row: u32,
        samples: &Samples,
        sample: usize,
        run: &mut Running<'_>,
    ) -> Option<(Micros, Option<Micros>)> {
        let batch = view.batch;
        let row = row as usize;
        let after = pack::bit(&samples.images, sample);
        let present = if after { batch.after_present[row] } else { batch.before_present[row] };
        if present == 0 {
            self.cost.rejected += 1;
            return None;
        }
        if !pack::bit(&samples.times_validity, sample) {
            self.cost.skipped += 1;
            return None;
        }
        let time = pack::i64_at(&samples.times, sample);
        let until = (!samples.untils.is_empty()).then(|| pack::i64_at(&samples.untils, sample));
        let until = until.filter(|u| *u != time);
        if until.unwrap_or(time) > run.now.saturating_add(FUTURE) {
            let reason =
                format!("sample time {time} µs is more than 5 minutes ahead of the clock, {} µs", run.now);
            self.dead_letter(batch.partitions[row], batch.offsets[row], reason, run);
            return None;
        }
        let length = until.map_or(Some(0), |until| until.checked_sub(time));
        let is_span = length.is_some_and(|l| l >= 0 && l / self.plan.pane <= MAX_SPAN_PARTS);
        if !is_span || !is_time(time) {
            self.cost.rejected += 1;
            return None;
        }
        Some((time, until))
    }

    fn dead_letter(&mut self, partition: u32, offset: i64, reason: String, run: &mut Running<'_>) {
        self.cost.rejected += 1;
        run.rows.outbox.dead_letters.push(DeadLetterRow {
            partition: run.shared.partitions[partition as usize].clone(),
            offset,
            metric: self.info.name.clone(),
            code: "future-time".into(),
            reason,
            key: Vec::new(),
            value: Vec::new(),
            whole: false,
            rekey: Rekey::None,
            outcome: DeadOutcome::Dead,
            clock: run.now,
            epoch: run.epoch,
        });
    }

    /// Puts a sample into the cells of its panes. Gives the number of parts that it was cut into: each has a
    /// number of its own, from `first`'s on.
    fn spread(
        &mut self,
        key: u32,
        time: Micros,
        until: Option<Micros>,
        weight: i64,
        sample: usize,
        entries: &mut Entries,
        view: &View<'_>,
        (row, first): (u32, u32),
        run: &mut Running<'_>,
    ) -> u32 {
        let spans = !self.info_has_no_spans(until, entries);
        let (mut at, mut parts) = (time, 0);
        loop {
            let pane = self.pane_at(at, &run.shared.calendar);
            let part_end = until.map(|u| u.min(self.cells.panes[pane].interval.end));
            if !self.cells.panes[pane].missed.is_empty() {
                self.late_event(pane, key, at, weight, view, (row, first + parts), run);
            }
            if !self.cells.panes[pane].lost {
                let numbers = &mut self.numbers;
                let cell = self.cells.cell(pane, key, || numbers.take());
                cell.weight += weight;
                cell.samples += 1;
                cell.first = cell.first.min(at);
                // A span lasts until its end: to sessions that is its last time, however panes cut it.
                cell.last = cell.last.max(part_end.unwrap_or(at));
                let slot = cell.slot;
                entries.push(sample, slot, weight);
                entries.times.push(at.to_le_bytes());
                if spans {
                    entries.untils.push(part_end.unwrap_or(at).to_le_bytes());
                }
            }
            parts += 1;
            match (part_end, until) {
                (Some(end), Some(until)) if end < until => at = end,
                _ => return parts,
            }
        }
    }

    /// Whether no span was seen so far in this call; the first one fills `untils` for the points before it.
    fn info_has_no_spans(&self, until: Option<Micros>, entries: &mut Entries) -> bool {
        if until.is_some() && entries.untils.is_empty() {
            entries.untils = entries.times.clone();
        }
        until.is_none() && entries.untils.is_empty()
    }

    pub(super) fn pane_at(&mut self, time: Micros, calendar: &Calendar) -> usize {
        let (rule, plans, records) = (self.pane_rule(), &self.plan.kinds, self.watermarks.records);
        let kinds = &self.kinds;
        let missed = |pane: Interval| {
            let misses = |at: &u16| {
                let at = *at as usize;
                kinds.misses(at, &plans[at], pane, records, calendar)
            };
            let missed: Vec<u16> = (0..plans.len() as u16).filter(misses).collect();
            let lost = missed.len() == plans.len();
            (missed, lost)
        };
        CellTable::pane(&mut self.cells, time, rule, calendar, missed)
    }

    fn late_event(
        &mut self,
        pane: usize,
        key: u32,
        time: Micros,
        weight: i64,
        view: &View<'_>,
        (row, sample): (u32, u32),
        run: &mut Running<'_>,
    ) {
        self.cost.late += 1;
        let (batch, row) = (view.batch, row as usize);
        let missed = &self.cells.panes[pane].missed;
        run.rows.outbox.late_events.push(LateEventRow {
            metric: self.info.name.clone(),
            incarnation: self.entry.incarnation,
            partition: run.shared.partitions[batch.partitions[row] as usize].clone(),
            offset: batch.offsets[row],
            row: batch.rows_in_record[row],
            sample,
            time,
            windows: missed.iter().map(|k| self.plan.kinds[*k as usize].name.to_string()).collect(),
            weight,
            dims: run.shared.spaces[self.space].render(key, &run.shared.texts).to_vec(),
            watermark: self.watermarks.records,
            epoch: run.epoch,
        });
    }

    pub(super) fn accumulate(&mut self, samples: Samples, entries: Entries) -> Result<(), GuestError> {
        if entries.samples.is_empty() {
            return Ok(());
        }
        let count = samples.rows.len() / 4;
        let whole =
            entries.samples.len() == count && entries.samples.iter().enumerate().all(|(i, s)| i as u32 == *s);
        let mut dictionaries = samples.dictionaries;
        dictionaries.truncate(samples.values.len());
        let values = match whole {
            true => samples.values,
            false => samples.values.iter().map(|c| pick(c, &entries.samples)).collect(),
        };
        self.instance.accumulate(&Parts {
            slots: entries.slots.into_flattened(),
            weights: entries.weights.into_flattened(),
            times: entries.times.into_flattened(),
            untils: entries.untils.into_flattened(),
            values,
            dictionaries,
        })
    }

    /// Keys of samples in the metric's full key space.
    fn sample_keys(
        &mut self,
        input: &InputPlan,
        view: &mut View<'_>,
        rows: &[u32],
        samples: &Samples,
        shared: &mut Shared,
    ) -> Vec<u32> {
        let count = samples.rows.len() / 4;
        let row_of = |sample: usize| rows[pack::u32_at(&samples.rows, sample) as usize];
        let typed: Vec<(usize, ValueType)> = columns_of(input, &self.plan.dimension_types);
        view.map_texts(&typed, &mut shared.texts);
        if columns_only(&input.dimensions).is_some() {
            let image = |sample| match pack::bit(&samples.images, sample) {
                true => Image::After,
                false => Image::Before,
            };
            let of = (0..count).map(|sample| (image(sample), row_of(sample)));
            return view.key_ids((self.space, &mut shared.spaces[self.space]), &typed, of);
        }
        let mut keys = Vec::with_capacity(count);
        let mut key = [0i64; 9];
        for sample in 0..count {
            let side =
                if pack::bit(&samples.images, sample) { &view.batch.after } else { &view.batch.before };
            let row = row_of(sample) as usize;
            let values = input.dimensions.iter().map(|dimension| match dimension {
                DimensionFrom::Column(column) => {
                    DimColumn { cells: &side[*column], texts: view.text_map(*column) }.value(row)
                }
                DimensionFrom::Computed(at) => self.computed(*at, samples, sample, shared),
            });
            let key = write_key(&mut key, values);
            keys.push(shared.spaces[self.space].id(key));
        }
        keys
    }

    /// Value of a computed dimension, texts as ids.
    pub(super) fn computed(
        &self,
        at: usize,
        samples: &Samples,
        sample: usize,
        shared: &mut Shared,
    ) -> Option<i64> {
        let column = &samples.computed[at];
        if !pack::bit(&column.validity, sample) {
            return None;
        }
        let value = pack::i64_at(&column.values, sample);
        match self.info.computed_dimensions[at].value_type {
            ValueType::Text => {
                let dictionary = &samples.dictionaries[samples.values.len() + at];
                Some(i64::from(shared.texts.id(&outputs::text(dictionary, value))))
            }
            _ => Some(value),
        }
    }
}

fn columns_of(input: &InputPlan, types: &[ValueType]) -> Vec<(usize, ValueType)> {
    let column = |(d, ty): (&DimensionFrom, &ValueType)| match d {
        DimensionFrom::Column(column) => Some((*column, *ty)),
        DimensionFrom::Computed(_) => None,
    };
    input.dimensions.iter().zip(types).filter_map(column).collect()
}

pub(super) fn weight_of(samples: &Samples, sample: usize) -> i64 {
    if samples.weights.is_empty() { 1 } else { pack::i64_at(&samples.weights, sample) }
}

/// The entries of a column at `at`, in that order.
fn pick(column: &PackedColumn, at: &[u32]) -> PackedColumn {
    let validity = match column.validity.is_empty() {
        true => Vec::new(),
        false => pack::bits(at.len(), |i| pack::bit(&column.validity, at[i] as usize)),
    };
    if column.offsets.is_empty() {
        let values =
            at.iter().flat_map(|i| pack::i64_at(&column.values, *i as usize).to_le_bytes()).collect();
        return PackedColumn { validity, values, offsets: Vec::new() };
    }
    let (mut values, mut offsets) = (Vec::new(), vec![0u32]);
    for i in at {
        let range = pack::u32_at(&column.offsets, *i as usize) as usize
            ..pack::u32_at(&column.offsets, *i as usize + 1) as usize;
        values.extend_from_slice(&column.values[range.start * 8..range.end * 8]);
        offsets.push((values.len() / 8) as u32);
    }
    PackedColumn { validity, values, offsets: pack::u32s(&offsets) }
}
