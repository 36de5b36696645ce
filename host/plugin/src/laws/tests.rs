//! Each law has a metric that breaks just this one, and the checker must name it.

use super::*;
use std::collections::BTreeMap;
use weir_types::contract::*;
use weir_types::schema::{ColumnDecl, ColumnType, Format, SourceDecl};
use weir_types::window::Window;
use weir_types::{MINUTE, Micros, SECOND};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    Watch,
    ObserveRemembers,
    MergeKeepsLast,
    MergeDoubles,
    OrderMatters,
    SaveForgets,
    SaveChanges,
    ReleaseKeeps,
    ReadsClock,
}

/// A sum over the field `v`, natively, with a switchable fault.
struct Summing {
    info: MetricInfo,
    fault: Fault,
}

struct SummingInstance {
    fault: Fault,
    sums: BTreeMap<u32, i64>,
    calls: u32,
}

fn summing(fault: Fault, now: bool) -> Summing {
    let field = |name: &str| Field { name: name.into(), value_type: ValueType::Int, nullable: false };
    let info = MetricInfo {
        name: "t.sum".into(),
        title: "Sum".into(),
        unit: "1".into(),
        description: String::new(),
        owner: String::new(),
        version: "1.0.0".into(),
        deprecated: None,
        replaced_by: None,
        inputs: vec![Input {
            source: "t".into(),
            fields: vec![field("v"), field("w")],
            watches: vec!["v".into()],
        }],
        dimensions: vec![],
        dimension_sets: vec![vec![]],
        windows: vec![if now { Window::Now } else { Window::Tumbling(MINUTE) }],
        values: vec![field("v")],
        computed_dimensions: vec![],
        outputs: vec![Output {
            name: "sum".into(),
            value_type: ValueType::Int,
            is_list: false,
            nullable: false,
            unit: "1".into(),
            description: String::new(),
        }],
        time_varying: false,
        rows: RowMemory::Live,
        state_version: 1,
        state_versions_read: vec![1],
        meaning_version: 1,
        extra: vec![],
    };
    Summing { info, fault }
}

fn sources() -> Vec<Arc<SourceDecl>> {
    let column =
        |name: &str| ColumnDecl { name: name.into(), ty: ColumnType::Int, nullable: false, values: vec![] };
    vec![Arc::new(SourceDecl {
        name: "t".into(),
        topics: vec!["t".into()],
        table: "t".into(),
        format: Format::DebeziumJson,
        columns: vec![column("v"), column("w")],
        primary_key: vec![0],
        event_time: 0,
        out_of_orderness: SECOND,
        idle_after: SECOND,
        max_dead_share: 1.0,
    })]
}

impl MetricFactory for Summing {
    fn info(&self) -> &MetricInfo {
        &self.info
    }
    fn digest(&self) -> &str {
        ""
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        Ok(Box::new(SummingInstance { fault: self.fault, sums: BTreeMap::new(), calls: 0 }))
    }
}

impl SummingInstance {
    fn samples(&mut self, rows: Vec<u32>, times: Vec<i64>, values: &[u8]) -> Samples {
        self.calls += 1;
        let add = if self.fault == Fault::ObserveRemembers { i64::from(self.calls) } else { 0 };
        let values: Vec<i64> = rows.iter().map(|r| pack::i64_at(values, *r as usize) + add).collect();
        Samples {
            rows: pack::u32s(&rows),
            times: pack::i64s(&times),
            values: vec![PackedColumn { values: pack::i64s(&values), ..PackedColumn::default() }],
            dictionaries: vec![PackedDictionary::default()],
            ..Samples::default()
        }
    }
}

impl MetricInstance for SummingInstance {
    fn observe(&mut self, _: u32, changes: &Changes) -> Result<Samples, GuestError> {
        let at = if self.fault == Fault::Watch { 1 } else { 0 };
        let differs = |i: &u32| {
            let i = *i as usize;
            pack::bit(&changes.after_present, i)
                && pack::i64_at(&changes.before[at].values, i) != pack::i64_at(&changes.after[at].values, i)
        };
        let rows: Vec<u32> = (0..changes.rows).filter(differs).collect();
        let times = rows.iter().map(|r| pack::i64_at(&changes.event_times, *r as usize)).collect();
        Ok(self.samples(rows, times, &changes.after[0].values))
    }
    fn observe_image(&mut self, _: u32, images: &Images) -> Result<Samples, GuestError> {
        Ok(self.samples((0..images.rows).collect(), vec![], &images.columns[0].values))
    }
    fn accumulate(&mut self, parts: &Parts) -> Result<(), GuestError> {
        for i in 0..parts.slots.len() / 4 {
            let add = pack::i64_at(&parts.weights, i) * pack::i64_at(&parts.values[0].values, i);
            let sum = self.sums.entry(pack::u32_at(&parts.slots, i)).or_default();
            *sum = if self.fault == Fault::OrderMatters {
                sum.wrapping_mul(3).wrapping_add(add)
            } else {
                *sum + add
            };
        }
        Ok(())
    }
    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), GuestError> {
        for (into, from) in into.iter().zip(from) {
            let add = self.sums.get(from).copied().unwrap_or(0);
            let sum = self.sums.entry(*into).or_default();
            match self.fault {
                Fault::MergeKeepsLast => *sum = add,
                Fault::MergeDoubles => *sum += 2 * add,
                _ => *sum += add,
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
        let add = if self.fault == Fault::ReadsClock { now } else { 0 };
        let sums: Vec<i64> = slots.iter().map(|s| self.sums.get(s).copied().unwrap_or(0) + add).collect();
        Ok(Outputs {
            columns: vec![PackedColumn { values: pack::i64s(&sums), ..PackedColumn::default() }],
            dictionaries: vec![PackedDictionary::default()],
        })
    }
    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for slot in slots {
            let sum = self.sums.get(slot).copied().unwrap_or(0);
            bytes.extend((if self.fault == Fault::SaveForgets { 0 } else { sum }).to_le_bytes());
            offsets.push(bytes.len() as u32);
            if self.fault == Fault::SaveChanges {
                self.sums.insert(*slot, sum + 1);
            }
        }
        Ok(States { offsets: pack::u32s(&offsets), bytes })
    }
    fn load(&mut self, slots: &[u32], states: &States, _: u32) -> Result<(), GuestError> {
        for (i, slot) in slots.iter().enumerate() {
            self.sums.insert(*slot, pack::i64_at(&states.bytes, i));
        }
        Ok(())
    }
    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError> {
        if self.fault != Fault::ReleaseKeeps {
            self.sums.retain(|slot, _| !slots.contains(slot));
        }
        Ok(())
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

#[test]
fn a_metric_that_keeps_every_law_passes() {
    for now in [false, true] {
        assert_eq!(check(&summing(Fault::None, now), &sources()), Ok(()));
    }
}

#[test]
fn every_broken_law_is_named() {
    let faults = [
        (Fault::Watch, "no watched field changed"),
        (Fault::ObserveRemembers, "observe is a pure function"),
        (Fault::MergeKeepsLast, "merge is commutative"),
        (Fault::MergeDoubles, "merge is associative"),
        (Fault::OrderMatters, "gives what accumulating all"),
        (Fault::SaveForgets, "saved and loaded"),
        (Fault::SaveChanges, "save leaves the outputs"),
        (Fault::ReleaseKeeps, "released slot"),
        (Fault::ReadsClock, "do not depend on the clock"),
    ];
    for (fault, words) in faults {
        let error = check(&summing(fault, false), &sources()).expect_err("it breaks a law");
        assert!(error.contains(words) && error.contains("t.sum"), "{fault:?}: {error}");
    }
}
