#![allow(clippy::unwrap_used)]
use super::*;
use crate::acc::{At, Count, Max, Mean, Min, Named, OutputsWriter, Quantiles, Sum, Weighed, of};
use crate::packed::{Reader, put_signed};
use crate::raw::{Output, ValueType};
use crate::value::Span;
use proptest::prelude::*;

fn borders() -> Vec<i64> {
    vec![0, 1, -1, 63, 64, 65, 127, 128, 129, i64::MAX, i64::MIN, i64::MAX - 1, -1_000_000, 86_400_000_000]
}

#[test]
fn every_accumulator_of_the_sdk_keeps_the_laws() {
    let values = borders();
    check(|| Count, &values).unwrap();
    check(|| Sum, &values).unwrap();
    check(|| Mean, &values).unwrap();
    check(|| Min, &values).unwrap();
    check(|| Max, &values).unwrap();
    check(|| Quantiles([0.0, 0.5, 0.999, 1.0]), &values).unwrap();
    check(|| Count, &[(), (), ()]).unwrap();
    check(|| Count, &[] as &[()]).unwrap();
}

#[test]
fn combined_accumulators_keep_the_laws() {
    let pairs: Vec<(Span, i64)> = (0..200).map(|n| (Span(n * n * 77_777), n % 7 - 3)).collect();
    let both = || {
        (
            of(|v: &(Span, i64)| v.0, (Mean, Quantiles([0.5, 0.9]), Max, Count)),
            of(|v: &(Span, i64)| v.1, Named("score", "The mean score.", Mean)),
        )
    };
    check(both, &pairs).unwrap();
    let retractable = || of(|v: &(Span, i64)| v.0, (Mean, Quantiles([0.5]), Sum, Count));
    check(retractable, &pairs).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn quantiles_keep_the_laws_over_any_values(values in prop::collection::vec(any::<i64>(), 0..120)) {
        check(|| Quantiles([0.5, 0.9]), &values).unwrap();
    }

    #[test]
    fn quantiles_keep_the_laws_where_arrays_take_over(values in prop::collection::vec(-300i64..3_000, 0..400)) {
        check(|| (Quantiles([0.5]), Mean), &values).unwrap();
    }
}

/// An own accumulator with a fault that can be chosen.
#[derive(Clone, Copy)]
struct Faulty(Fault);

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Keeps the value that came last: order matters.
    KeepsLast,
    /// Adds up in floats: grouping matters.
    FloatSum,
    /// Forgets to save the count.
    SavesHalf,
    /// Merging ignores the other's count.
    MergesHalf,
    /// Counts each sample once, whatever its weight.
    IgnoresWeight,
}

#[derive(Clone, Copy, Default)]
struct FaultyState {
    last: i64,
    sum: f64,
    count: i64,
}

impl Accumulator<i64> for Faulty {
    type State = FaultyState;
    fn outputs(&self, unit: &str) -> Vec<Output> {
        let output = |name: &str, value_type| Output {
            name: name.into(),
            value_type,
            is_list: false,
            nullable: true,
            unit: unit.into(),
            description: String::new(),
        };
        vec![output("result", ValueType::Float), output("count", ValueType::Int)]
    }
    fn retracts(&self) -> bool {
        matches!(self.0, Fault::None)
    }
    fn add(&self, state: &mut FaultyState, sample: Weighed, value: i64) {
        state.count += if self.0 == Fault::IgnoresWeight { 1 } else { sample.weight };
        if self.0 == Fault::KeepsLast {
            state.last = value;
        }
        if self.0 == Fault::FloatSum {
            state.sum += value as f64 * sample.weight as f64 * 0.1;
        }
    }
    fn merge(&self, into: &mut FaultyState, from: &FaultyState) {
        if self.0 != Fault::MergesHalf {
            into.count += from.count;
        }
        into.sum += from.sum;
        if from.count > 0 {
            into.last = from.last;
        }
    }
    fn evaluate(&self, state: &FaultyState, _: At, out: &mut OutputsWriter) {
        out.float(state.sum + state.last as f64);
        out.int(state.count);
    }
    fn is_empty(&self, state: &FaultyState) -> bool {
        state.count == 0
    }
    fn save(&self, state: &FaultyState, out: &mut Vec<u8>) {
        put_signed(out, state.last.into());
        put_signed(out, (state.sum.to_bits() as i64).into());
        if self.0 != Fault::SavesHalf {
            put_signed(out, state.count.into());
        }
    }
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<FaultyState, String> {
        let (last, sum) = (from.int()?, f64::from_bits(from.int::<i64>()? as u64));
        let count = if self.0 == Fault::SavesHalf { 1 } else { from.int()? };
        Ok(FaultyState { last, sum, count })
    }
}

#[test]
fn an_own_accumulator_that_breaks_a_law_is_caught() {
    let values: Vec<i64> = (1..40).collect();
    check(|| Faulty(Fault::None), &values).unwrap();
    let law = |fault| check(|| Faulty(fault), &values).unwrap_err().law;
    assert_eq!(law(Fault::KeepsLast), "any split into batches and any order gives the same");
    // Which grouping shows first that float addition is not associative does not matter.
    assert_ne!(law(Fault::FloatSum), "");
    assert_eq!(law(Fault::SavesHalf), "what was saved and loaded goes on as the original");
    assert_eq!(law(Fault::MergesHalf), "merging parts equals accumulating all");
    assert_eq!(law(Fault::IgnoresWeight), "a sample of weight n counts as n samples");
}
