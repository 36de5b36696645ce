//! Each law has a metric that breaks just this one, and the checker must name it.

use super::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use weir_types::contract::*;
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl};
use weir_types::window::Window;
use weir_types::{MINUTE, Micros, SECOND};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    Watch,
    ObserveRemembers,
    RowsAreNumbered,
    InstancesDiffer,
    ObserveFails,
    MergeKeepsLast,
    MergeDoubles,
    MergeTakes,
    MergeCounts,
    OrderMatters,
    EvaluateCounts,
    PositionMatters,
    SaveForgets,
    SaveChanges,
    LoadAdds,
    LoadFreezes,
    StatesDiffer,
    ReleaseKeeps,
    ReleaseTakesAll,
    SlotZeroFills,
    ReadsClock,
    Clamps,
}

/// A sum over the field `v`, natively, with a switchable fault.
struct Summing {
    info: MetricInfo,
    fault: Fault,
    opened: AtomicU32,
}

struct SummingInstance {
    fault: Fault,
    sums: BTreeMap<u32, i64>,
    frozen: bool,
    calls: u32,
    number: u32,
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
        bases: vec![],
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
    Summing { info, fault, opened: AtomicU32::new(0) }
}

fn sources() -> Vec<Arc<SourceDecl>> {
    let column =
        |name: &str| ColumnDecl { name: name.into(), ty: ColumnType::Int, nullable: false, values: vec![] };
    vec![Arc::new(SourceDecl {
        name: "t".into(),
        topics: vec!["t".into()],
        table: "t".into(),
        format: Format::DebeziumJson,
        reading: Reading::default(),
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
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let sums = BTreeMap::new();
        Ok(Box::new(SummingInstance { fault: self.fault, sums, frozen: false, calls: 0, number }))
    }
}

impl SummingInstance {
    fn samples(&mut self, rows: Vec<u32>, times: Vec<i64>, values: &[u8]) -> Samples {
        self.calls += 1;
        let add = |row: u32| match self.fault {
            Fault::ObserveRemembers => i64::from(self.calls),
            Fault::RowsAreNumbered => i64::from(row),
            Fault::InstancesDiffer => i64::from(self.number),
            _ => 0,
        };
        let values: Vec<i64> = rows.iter().map(|r| pack::i64_at(values, *r as usize) + add(*r)).collect();
        Samples {
            rows: pack::u32s(&rows),
            times: pack::i64s(&times),
            values: vec![PackedColumn { values: pack::i64s(&values), ..PackedColumn::default() }],
            dictionaries: vec![PackedDictionary::default()],
            ..Samples::default()
        }
    }

    fn sum(&self, slot: u32) -> i64 {
        self.sums.get(&slot).copied().unwrap_or(0)
    }
}

impl MetricInstance for SummingInstance {
    fn observe(&mut self, _: u32, changes: &Changes) -> Result<Samples, GuestError> {
        if self.fault == Fault::ObserveFails {
            return Err(GuestError::Trap("unreachable".into()));
        }
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
            let slot = pack::u32_at(&parts.slots, i);
            if self.fault == Fault::SlotZeroFills {
                *self.sums.entry(0).or_default() += add;
            }
            let sum = self.sums.entry(slot).or_default();
            *sum = match self.fault {
                Fault::OrderMatters => sum.wrapping_mul(3).wrapping_add(add),
                Fault::Clamps => (*sum + add).max(0),
                _ if self.frozen => *sum,
                _ => *sum + add,
            };
        }
        Ok(())
    }
    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), GuestError> {
        for (into, from) in into.iter().zip(from) {
            let add = self.sum(*from);
            let sum = self.sums.entry(*into).or_default();
            match self.fault {
                Fault::MergeKeepsLast => *sum = add,
                Fault::MergeDoubles => *sum += 2 * add,
                Fault::MergeCounts => *sum += add + 1,
                _ => *sum += add,
            }
            if self.fault == Fault::MergeTakes {
                self.sums.remove(from);
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
        self.calls += 1;
        let add = |row: usize| match self.fault {
            Fault::ReadsClock => now,
            Fault::EvaluateCounts => i64::from(self.calls),
            Fault::PositionMatters => row as i64,
            _ => 0,
        };
        let sums: Vec<i64> = slots.iter().enumerate().map(|(row, s)| self.sum(*s) + add(row)).collect();
        Ok(Outputs {
            columns: vec![PackedColumn { values: pack::i64s(&sums), ..PackedColumn::default() }],
            dictionaries: vec![PackedDictionary::default()],
        })
    }
    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for slot in slots {
            let sum = self.sum(*slot);
            if sum != 0 {
                bytes.extend((if self.fault == Fault::SaveForgets { 1 } else { sum }).to_le_bytes());
                let noise = if self.fault == Fault::StatesDiffer { self.number } else { 0 };
                bytes.extend(noise.to_le_bytes());
            }
            offsets.push(bytes.len() as u32);
            if self.fault == Fault::SaveChanges {
                self.sums.insert(*slot, sum + 1);
            }
        }
        Ok(States { offsets: pack::u32s(&offsets), bytes })
    }
    fn load(&mut self, slots: &[u32], states: &States, _: u32) -> Result<(), GuestError> {
        for (i, slot) in slots.iter().enumerate() {
            let from = pack::u32_at(&states.offsets, i) as usize;
            let is_empty = from == pack::u32_at(&states.offsets, i + 1) as usize;
            let sum = if is_empty { 0 } else { pack::i64_at(&states.bytes[from..], 0) };
            let held = if self.fault == Fault::LoadAdds { self.sum(*slot) } else { 0 };
            self.sums.insert(*slot, sum + held);
        }
        self.frozen = self.fault == Fault::LoadFreezes;
        Ok(())
    }
    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError> {
        match self.fault {
            Fault::ReleaseKeeps => {}
            Fault::ReleaseTakesAll => self.sums.clear(),
            _ => self.sums.retain(|slot, _| !slots.contains(slot)),
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
        (Fault::Watch, "an update in which no watched field changed"),
        (Fault::ObserveRemembers, "observe is a pure function"),
        (Fault::RowsAreNumbered, "any split of the rows"),
        (Fault::InstancesDiffer, "two instances give the same bytes"),
        (Fault::MergeKeepsLast, "merge is commutative"),
        (Fault::MergeDoubles, "merge is associative"),
        (Fault::MergeTakes, "merge"),
        (Fault::MergeCounts, "gives what accumulating all"),
        (Fault::OrderMatters, "gives what accumulating all"),
        (Fault::EvaluateCounts, "together, alone or again"),
        (Fault::PositionMatters, "together, alone or again"),
        (Fault::SaveForgets, "saved and loaded"),
        (Fault::SaveChanges, "save leaves the outputs"),
        (Fault::LoadAdds, "saved and loaded"),
        (Fault::LoadFreezes, "a loaded state goes on"),
        (Fault::StatesDiffer, "two instances give the same bytes"),
        (Fault::ReleaseKeeps, "new, released or loaded"),
        (Fault::ReleaseTakesAll, "leaves the others alone"),
        (Fault::SlotZeroFills, "the outputs of slot 0 never change"),
        (Fault::ReadsClock, "do not depend on the clock"),
    ];
    for (fault, words) in faults {
        let checked = check(&summing(fault, false), &sources());
        let error = checked.err().unwrap_or_else(|| panic!("{fault:?} passed"));
        assert!(
            error.contains(words) && error.starts_with("metric t.sum breaks a law"),
            "{fault:?}: {error}"
        );
    }
}

#[test]
fn metrics_over_current_values_have_laws_of_their_own() {
    for (fault, words) in [
        (Fault::ObserveRemembers, "observe-image is a pure function of each image"),
        (Fault::RowsAreNumbered, "observe-image is a pure function of each image"),
        (Fault::Clamps, "samples taken back leave the outputs of nothing"),
    ] {
        let error = check(&summing(fault, true), &sources()).expect_err("it breaks a law");
        assert!(error.contains(words), "{fault:?}: {error}");
    }
    assert_eq!(check(&summing(Fault::Clamps, false), &sources()), Ok(()), "nothing is taken back there");
}

#[test]
fn a_time_varying_metric_may_read_the_clock() {
    let mut metric = summing(Fault::ReadsClock, false);
    metric.info.time_varying = true;
    assert_eq!(check(&metric, &sources()), Ok(()));
}

#[test]
fn a_metric_that_fails_over_sample_input_is_told_from_one_that_breaks_a_law() {
    let error = check(&summing(Fault::ObserveFails, false), &sources()).expect_err("it fails");
    assert!(error.contains("cannot be checked: `observe` failed over sample input"), "{error}");
}

#[test]
fn sample_rows_keep_what_the_host_promises() {
    let (metric, sources) = (summing(Fault::None, false), sources());
    let input = &metric.info.inputs[0];
    let rows = input::changes(input, &sources[0], 5);
    let count = |kind: fn(&input::Row) -> bool| rows.iter().filter(|row| kind(row)).count();
    assert!(count(|r| r.before.is_none()) > 20, "inserts");
    assert!(count(|r| r.after.is_none()) > 10, "deletes");
    let updates = |r: &input::Row| Some((r.before.clone()?, r.after.clone()?));
    let updates: Vec<_> = rows.iter().filter_map(updates).collect();
    assert!(updates.len() > 50 && updates.iter().all(|(b, a)| b[0] != a[0]), "only `v` is watched");
    assert!(updates.iter().any(|(b, a)| b[1] == a[1]) && updates.iter().any(|(b, a)| b[1] != a[1]));
    let unwatched = input::unwatched(input, &sources[0], 7).expect("`w` is not watched");
    assert!(unwatched.iter().all(|r| r.before.as_ref().map(|i| &i[0]) == r.after.as_ref().map(|i| &i[0])));
}
