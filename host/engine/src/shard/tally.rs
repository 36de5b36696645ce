//! A test metric that does what windows need: points, spans, and current values that age.

use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::contract::*;
use weir_types::window::Window;
use weir_types::{HOUR, Micros};

/// What a tally takes a row for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A row born: a point at `created_at`. Outputs: how many, and the sum of their ids.
    Born,
    /// A row born: a point at `created_at`. Outputs: 0, and the sum of the ids, which may be negative.
    Balance,
    /// A row born: the span from `created_at` until `updated_at`. Outputs: 0, and the microseconds.
    Lasting,
    /// A row deleted: a point at its last `updated_at`. Outputs as for `Born`.
    Gone,
    /// A row there is: outputs how many, and how many were created an hour or more before the clock.
    Aging,
    /// A row there is: outputs how many, and how many were created one to two hours before the clock.
    Ripe,
}

/// See the module.
pub struct Tally {
    pub info: MetricInfo,
    pub rule: Rule,
}

/// By value, how often; without zeros.
type State = BTreeMap<i64, i64>;

struct Instance {
    rule: Rule,
    slots: BTreeMap<u32, State>,
    /// Bytes as a linear memory has them: they never become fewer.
    memory: usize,
}

/// Bytes that a slot number costs in the made-up linear memory: large, so that a few are many.
pub const SLOT_BYTES: usize = 1 << 20;

/// A tally over the source `ticket`, for every subset of queue and status.
pub fn tally(name: &str, rule: Rule, windows: &[Window]) -> Arc<dyn MetricFactory> {
    let field = |name: &str, value_type| Field { name: name.into(), value_type, nullable: false };
    let fields = vec![
        field("id", ValueType::Int),
        field("created_at", ValueType::Time),
        field("updated_at", ValueType::Time),
    ];
    let (queue, status) = ("queue_id".to_string(), "status".to_string());
    let mut info = super::fakes::info(name, fields[0].clone(), windows.to_vec());
    info.inputs[0].fields = fields;
    info.dimensions = vec![queue.clone(), status.clone()];
    info.dimension_sets = vec![vec![], vec![queue.clone()], vec![status.clone()], vec![queue, status]];
    info.values = vec![field("value", ValueType::Int)];
    info.outputs.push(Output { name: "sum".into(), ..info.outputs[0].clone() });
    info.time_varying = matches!(rule, Rule::Aging | Rule::Ripe);
    Arc::new(Tally { info, rule })
}

fn slots(bytes: &[u8]) -> Vec<u32> {
    (0..bytes.len() / 4).map(|i| pack::u32_at(bytes, i)).collect()
}

fn add(state: &mut State, value: i64, weight: i64) {
    let held = state.entry(value).or_default();
    *held += weight;
    if *held == 0 {
        state.remove(&value);
    }
}

impl Instance {
    fn slot(&mut self, slot: u32) -> &mut State {
        assert_ne!(slot, 0);
        self.memory = self.memory.max((slot as usize + 1) * SLOT_BYTES);
        self.slots.entry(slot).or_default()
    }

    fn outputs(&self, slot: u32, now: Micros) -> (i64, i64) {
        let Some(state) = self.slots.get(&slot) else { return (0, 0) };
        let count = state.values().sum();
        match self.rule {
            Rule::Born | Rule::Gone => (count, state.iter().map(|(id, n)| id * n).sum()),
            Rule::Lasting | Rule::Balance => (0, state.iter().map(|(length, n)| length * n).sum()),
            Rule::Aging => (count, state.range(..=now - HOUR).map(|(_, n)| n).sum()),
            Rule::Ripe => (count, state.range(now - 2 * HOUR + 1..=now - HOUR).map(|(_, n)| n).sum()),
        }
    }
}

impl MetricInstance for Instance {
    fn observe(&mut self, _: u32, changes: &Changes) -> Result<Samples, GuestError> {
        let gone = self.rule == Rule::Gone;
        let absent = if gone { &changes.after_present } else { &changes.before_present };
        let images = if gone { &changes.before } else { &changes.after };
        let rows: Vec<u32> = (0..changes.rows).filter(|i| !pack::bit(absent, *i as usize)).collect();
        let column = |at: usize| -> Vec<i64> {
            rows.iter().map(|r| pack::i64_at(&images[at].values, *r as usize)).collect()
        };
        let untils = if self.rule == Rule::Lasting { column(2) } else { Vec::new() };
        Ok(Samples {
            rows: pack::u32s(&rows),
            times: pack::i64s(&column(if gone { 2 } else { 1 })),
            images: if gone { vec![0; rows.len().div_ceil(8)] } else { Vec::new() },
            untils: pack::i64s(&untils),
            values: vec![PackedColumn { values: pack::i64s(&column(0)), ..PackedColumn::default() }],
            ..Samples::default()
        })
    }
    fn observe_image(&mut self, _: u32, images: &Images) -> Result<Samples, GuestError> {
        let rows: Vec<u32> = (0..images.rows).collect();
        let values = images.columns[1].values.clone();
        Ok(Samples {
            rows: pack::u32s(&rows),
            values: vec![PackedColumn { values, ..PackedColumn::default() }],
            ..Samples::default()
        })
    }
    fn accumulate(&mut self, parts: &Parts) -> Result<(), GuestError> {
        for (i, slot) in slots(&parts.slots).into_iter().enumerate() {
            let value = match self.rule {
                // Without any span there are no ends.
                Rule::Lasting if parts.untils.is_empty() => 0,
                Rule::Lasting => pack::i64_at(&parts.untils, i) - pack::i64_at(&parts.times, i),
                Rule::Born | Rule::Balance | Rule::Gone | Rule::Aging | Rule::Ripe => {
                    pack::i64_at(&parts.values[0].values, i)
                }
            };
            add(self.slot(slot), value, pack::i64_at(&parts.weights, i));
        }
        Ok(())
    }
    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), GuestError> {
        assert!(into.iter().all(|slot| !from.contains(slot)), "a slot is merged into and from in one call");
        for (into, from) in into.iter().zip(from) {
            for (value, weight) in self.slots.get(from).cloned().unwrap_or_default() {
                add(self.slot(*into), value, weight);
            }
        }
        Ok(())
    }
    fn evaluate(
        &mut self,
        slots: &[u32],
        _: &[Micros],
        _: &[Micros],
        now: Micros,
    ) -> Result<Outputs, GuestError> {
        let (counts, sums): (Vec<i64>, Vec<i64>) = slots.iter().map(|s| self.outputs(*s, now)).unzip();
        let column = |values: &[i64]| PackedColumn { values: pack::i64s(values), ..PackedColumn::default() };
        Ok(Outputs {
            columns: vec![column(&counts), column(&sums)],
            dictionaries: vec![PackedDictionary::default(); 2],
        })
    }
    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for slot in slots {
            for (value, weight) in self.slots.get(slot).into_iter().flatten() {
                bytes.extend(value.to_le_bytes());
                bytes.extend(weight.to_le_bytes());
            }
            offsets.push(bytes.len() as u32);
        }
        Ok(States { offsets: pack::u32s(&offsets), bytes })
    }
    fn load(&mut self, slots: &[u32], states: &States, _: u32) -> Result<(), GuestError> {
        for (i, slot) in slots.iter().enumerate() {
            let range =
                pack::u32_at(&states.offsets, i) as usize..pack::u32_at(&states.offsets, i + 1) as usize;
            let bytes = &states.bytes[range];
            let pairs =
                (0..bytes.len() / 16).map(|p| (pack::i64_at(bytes, 2 * p), pack::i64_at(bytes, 2 * p + 1)));
            *self.slot(*slot) = pairs.collect();
        }
        Ok(())
    }
    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError> {
        slots.iter().for_each(|slot| drop(self.slots.remove(slot)));
        Ok(())
    }
    fn memory_bytes(&self) -> usize {
        self.memory
    }
}

impl MetricFactory for Tally {
    fn info(&self) -> &MetricInfo {
        &self.info
    }
    fn digest(&self) -> &str {
        "tally"
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        Ok(Box::new(Instance { rule: self.rule, slots: BTreeMap::new(), memory: 0 }))
    }
}
