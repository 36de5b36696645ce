//! One output for each of a few kinds, such as the states of an agent.

use super::{Accumulator, At, OutputsWriter, Weighed, nullable};
use crate::packed::{Reader, put_signed};
use crate::raw::{Output, ValueType};

/// How many samples of each kind: an integer output with each of these names, 0 for none. A sample
/// carries the number of its kind, from 0; one beyond the last counts nowhere.
#[derive(Clone, Copy, Debug)]
pub struct CountBy<const N: usize>(pub [&'static str; N]);

/// How long each kind lasted: an output in seconds with each of these names, 0 for none. A sample is a span
/// and carries the number of its kind, from 0; one beyond the last counts nowhere. A window
/// gets the part of a span that lies in it.
#[derive(Clone, Copy, Debug)]
pub struct TimeBy<const N: usize>(pub [&'static str; N]);

/// State of [`CountBy`] and [`TimeBy`]: a number for each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByKind<const N: usize>([i64; N]);

impl<const N: usize> Default for ByKind<N> {
    fn default() -> Self {
        ByKind([0; N])
    }
}

impl<const N: usize> ByKind<N> {
    #[inline(always)]
    fn add(&mut self, kind: i64, number: i64) {
        if let Some(sum) = usize::try_from(kind).ok().and_then(|kind| self.0.get_mut(kind)) {
            *sum = sum.wrapping_add(number);
        }
    }
    fn merge(&mut self, from: &Self) {
        for (into, from) in self.0.iter_mut().zip(&from.0) {
            *into = into.wrapping_add(*from);
        }
    }
}

fn outputs(names: &[&str], value_type: ValueType, unit: &str, what: &str) -> Vec<Output> {
    let one = |name: &&str| {
        let words = name.replace('_', " ");
        Output { nullable: false, ..nullable(name, value_type, unit, &format!("{what} {words}.")) }
    };
    names.iter().map(one).collect()
}

macro_rules! by_kind {
    ($name:ident, $type:ident, |$unit:ident| $given:expr, $what:literal, |$sample:ident| $number:expr,
     |$out:ident, $sum:ident| $write:expr) => {
        impl<const N: usize> Accumulator<i64> for $name<N> {
            type State = ByKind<N>;
            fn outputs(&self, $unit: &str) -> Vec<Output> {
                outputs(&self.0, ValueType::$type, $given, $what)
            }
            fn retracts(&self) -> bool {
                true
            }
            #[inline(always)]
            fn add(&self, state: &mut ByKind<N>, $sample: Weighed, kind: i64) {
                state.add(kind, $number);
            }
            fn merge(&self, into: &mut ByKind<N>, from: &ByKind<N>) {
                into.merge(from);
            }
            fn evaluate(&self, state: &ByKind<N>, _: At, $out: &mut OutputsWriter) {
                for $sum in state.0 {
                    $write;
                }
            }
            fn is_empty(&self, state: &ByKind<N>) -> bool {
                state.0.iter().all(|sum| *sum == 0)
            }
            fn save(&self, state: &ByKind<N>, out: &mut Vec<u8>) {
                state.0.iter().for_each(|sum| put_signed(out, (*sum).into()));
            }
            fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<ByKind<N>, String> {
                let mut state = ByKind::default();
                for sum in &mut state.0 {
                    *sum = from.int()?;
                }
                Ok(state)
            }
        }
    };
}
by_kind!(CountBy, Int, |unit| unit, "How many are", |sample| sample.weight, |out, sum| out.int(sum));
by_kind!(
    TimeBy,
    Float,
    |_unit| "s",
    "Time in the state",
    |sample| (sample.until - sample.time).0.wrapping_mul(sample.weight),
    |out, sum| out.float(sum as f64 / 1e6)
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::laws;
    use crate::value::Time;

    fn floats(state: &ByKind<2>) -> Vec<f64> {
        let time = TimeBy(["a", "b"]);
        let mut out = OutputsWriter::new(time.outputs("1"), 1);
        time.evaluate(state, At::default(), &mut out);
        out.end_slot();
        let value = |column: &crate::raw::Column| {
            f64::from_bits(u64::from_le_bytes(column.values[..8].try_into().unwrap()))
        };
        out.finish().unwrap().columns.iter().map(value).collect()
    }

    #[test]
    fn both_keep_the_laws_and_leave_unknown_kinds_out() {
        let kinds: Vec<i64> = (-3..20).map(|n| n % 5).collect();
        laws::check(|| CountBy(["a", "b", "c"]), &kinds).unwrap();
        laws::check(|| TimeBy(["a", "b", "c"]), &kinds).unwrap();
    }

    #[test]
    fn a_span_counts_by_its_length_and_weight() {
        let mut state = ByKind::default();
        let span = |from, until, weight| Weighed { weight, time: Time(from), until: Time(until) };
        let time = TimeBy(["a", "b"]);
        time.add(&mut state, span(500_000, 2_000_000, 1), 0);
        time.add(&mut state, span(0, 1_000_000, 3), 1);
        time.add(&mut state, span(0, 9_000_000, 1), 2);
        assert_eq!(floats(&state), [1.5, 3.0]);
        time.add(&mut state, span(0, 1_000_000, -3), 1);
        assert_eq!(floats(&state), [1.5, 0.0]);
        assert_eq!(floats(&ByKind::default()), [0.0, 0.0]);
    }

    #[test]
    fn outputs_have_the_names_and_say_what_they_are() {
        let [busy, off] = &CountBy(["on_contact", "off"]).outputs("1")[..] else { panic!("two") };
        assert_eq!(
            (busy.name.as_str(), busy.description.as_str()),
            ("on_contact", "How many are on contact.")
        );
        assert!(!off.nullable && off.value_type == ValueType::Int);
        assert_eq!(TimeBy(["a"]).outputs("1")[0].unit, "s");
    }
}
