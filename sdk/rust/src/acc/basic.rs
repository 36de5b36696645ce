//! Count, Sum, Mean, Min and Max. Counts and sums wrap at their width instead of trapping: wrapping
//! addition keeps the laws, and 2⁶³ rows do not occur.

use super::{Accumulator, At, Number, OutputsWriter, Weighed, counted, nullable, write_exact};
use crate::packed::{Reader, put_signed};
use crate::raw::{Output, ValueType};

/// How many samples: output `count`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count;

impl<V: 'static> Accumulator<V> for Count {
    type State = i64;
    fn outputs(&self, _: &str) -> Vec<Output> {
        vec![counted("count", "How many samples there are.")]
    }
    fn retracts(&self) -> bool {
        true
    }
    #[inline(always)]
    fn add(&self, state: &mut i64, sample: Weighed, _: V) {
        *state = state.wrapping_add(sample.weight);
    }
    #[inline(always)]
    fn merge(&self, into: &mut i64, from: &i64) {
        *into = into.wrapping_add(*from);
    }
    fn evaluate(&self, state: &i64, _: At, out: &mut OutputsWriter) {
        out.int(*state);
    }
    fn is_empty(&self, state: &i64) -> bool {
        *state == 0
    }
    fn save(&self, state: &i64, out: &mut Vec<u8>) {
        put_signed(out, (*state).into());
    }
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<i64, String> {
        from.int()
    }
}

/// State of [`Sum`] and [`Mean`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    sum: i128,
    count: i64,
}

impl Total {
    #[inline(always)]
    fn add(&mut self, sample: Weighed, value: i64) {
        let product = i128::from(value).wrapping_mul(sample.weight.into());
        self.sum = self.sum.wrapping_add(product);
        self.count = self.count.wrapping_add(sample.weight);
    }
    #[inline(always)]
    fn merge(&mut self, from: &Total) {
        self.sum = self.sum.wrapping_add(from.sum);
        self.count = self.count.wrapping_add(from.count);
    }
    fn is_empty(&self) -> bool {
        *self == Total::default()
    }
    fn save(&self, out: &mut Vec<u8>) {
        put_signed(out, self.sum);
        put_signed(out, self.count.into());
    }
    fn load(from: &mut Reader<'_>) -> Result<Self, String> {
        Ok(Total { sum: from.signed()?, count: from.int()? })
    }
}

/// The sum: output `sum`; null over nothing. Spans are summed in microseconds and given in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum;

impl<V: Number> Accumulator<V> for Sum {
    type State = Total;
    fn outputs(&self, unit: &str) -> Vec<Output> {
        vec![nullable("sum", V::TYPE, unit, "The sum.")]
    }
    fn retracts(&self) -> bool {
        true
    }
    #[inline(always)]
    fn add(&self, state: &mut Total, sample: Weighed, value: V) {
        state.add(sample, value.to_int());
    }
    #[inline(always)]
    fn merge(&self, into: &mut Total, from: &Total) {
        into.merge(from);
    }
    fn evaluate(&self, state: &Total, _: At, out: &mut OutputsWriter) {
        if state.count > 0 { write_exact::<V>(out, state.sum) } else { out.null() }
    }
    fn is_empty(&self, state: &Total) -> bool {
        state.is_empty()
    }
    fn save(&self, state: &Total, out: &mut Vec<u8>) {
        state.save(out);
    }
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<Total, String> {
        Total::load(from)
    }
}

/// The arithmetic mean: output `mean`; null over nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean;

impl<V: Number> Accumulator<V> for Mean {
    type State = Total;
    fn outputs(&self, unit: &str) -> Vec<Output> {
        vec![nullable("mean", ValueType::Float, unit, "The arithmetic mean.")]
    }
    fn retracts(&self) -> bool {
        true
    }
    #[inline(always)]
    fn add(&self, state: &mut Total, sample: Weighed, value: V) {
        state.add(sample, value.to_int());
    }
    #[inline(always)]
    fn merge(&self, into: &mut Total, from: &Total) {
        into.merge(from);
    }
    fn evaluate(&self, state: &Total, _: At, out: &mut OutputsWriter) {
        if state.count > 0 {
            out.float(state.sum as f64 / state.count as f64 / V::SCALE as f64);
        } else {
            out.null();
        }
    }
    fn is_empty(&self, state: &Total) -> bool {
        state.is_empty()
    }
    fn save(&self, state: &Total, out: &mut Vec<u8>) {
        state.save(out);
    }
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<Total, String> {
        Total::load(from)
    }
}

macro_rules! extreme {
    ($name:ident, $output:literal, $pick:ident, $doc:literal, $text:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl<V: Number> Accumulator<V> for $name {
            type State = Option<i64>;
            fn outputs(&self, unit: &str) -> Vec<Output> {
                vec![nullable($output, V::TYPE, unit, $text)]
            }
            fn retracts(&self) -> bool {
                false
            }
            #[inline(always)]
            fn add(&self, state: &mut Option<i64>, _: Weighed, value: V) {
                let value = value.to_int();
                *state = Some(state.map_or(value, |least| least.$pick(value)));
            }
            #[inline(always)]
            fn merge(&self, into: &mut Option<i64>, from: &Option<i64>) {
                if let Some(value) = *from {
                    *into = Some(into.map_or(value, |least| least.$pick(value)));
                }
            }
            fn evaluate(&self, state: &Option<i64>, _: At, out: &mut OutputsWriter) {
                match *state {
                    Some(value) => write_exact::<V>(out, value.into()),
                    None => out.null(),
                }
            }
            fn is_empty(&self, state: &Option<i64>) -> bool {
                state.is_none()
            }
            fn save(&self, state: &Option<i64>, out: &mut Vec<u8>) {
                out.push(state.is_some().into());
                if let Some(value) = *state {
                    put_signed(out, value.into());
                }
            }
            fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<Option<i64>, String> {
                Ok(if from.byte()? == 0 { None } else { Some(from.int()?) })
            }
        }
    };
}
extreme!(
    Min,
    "min",
    min,
    "The least value: output `min`; null over nothing. Takes nothing back, so it is for events only.",
    "The least value."
);
extreme!(
    Max,
    "max",
    max,
    "The greatest value: output `max`; null over nothing. Takes nothing back, so it is for events only.",
    "The greatest value."
);
