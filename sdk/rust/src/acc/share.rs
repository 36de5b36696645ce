//! Counting some of the samples, and one sum over another.

use super::{Accumulator, At, Number, OutputsWriter, Weighed, counted, nullable};
use crate::packed::{Reader, put_signed};
use crate::raw::{Output, ValueType};

/// How many samples have a value for which this holds: output `count`.
/// `Named("met", "How many were in time.", CountIf(|in_time: &bool| *in_time))`.
#[derive(Clone, Copy, Debug)]
pub struct CountIf<F>(pub F);

impl<V, F> Accumulator<V> for CountIf<F>
where
    F: Fn(&V) -> bool + Send + 'static,
{
    type State = i64;
    fn outputs(&self, _: &str) -> Vec<Output> {
        vec![counted("count", "How many samples of the kind there are.")]
    }
    fn retracts(&self) -> bool {
        true
    }
    #[inline(always)]
    fn add(&self, state: &mut i64, sample: Weighed, value: V) {
        *state = state.wrapping_add(if (self.0)(&value) { sample.weight } else { 0 });
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

/// The sum of the first parts over the sum of the second ones: output `ratio`; null where the second
/// sum is 0 or below. Not a mean of ratios: a sample with twice the second part weighs twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ratio;

/// State of [`Ratio`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    over: i128,
    under: i128,
}

impl<A: Number, B: Number> Accumulator<(A, B)> for Ratio {
    type State = Sums;
    fn outputs(&self, unit: &str) -> Vec<Output> {
        vec![nullable("ratio", ValueType::Float, unit, "One sum over the other.")]
    }
    fn retracts(&self) -> bool {
        true
    }
    #[inline(always)]
    fn add(&self, state: &mut Sums, sample: Weighed, (over, under): (A, B)) {
        let weighed = |value: i64| i128::from(value).wrapping_mul(sample.weight.into());
        state.over = state.over.wrapping_add(weighed(over.to_int()));
        state.under = state.under.wrapping_add(weighed(under.to_int()));
    }
    #[inline(always)]
    fn merge(&self, into: &mut Sums, from: &Sums) {
        into.over = into.over.wrapping_add(from.over);
        into.under = into.under.wrapping_add(from.under);
    }
    fn evaluate(&self, state: &Sums, _: At, out: &mut OutputsWriter) {
        if state.under > 0 {
            out.float(state.over as f64 / state.under as f64 / A::SCALE as f64 * B::SCALE as f64);
        } else {
            out.null();
        }
    }
    fn is_empty(&self, state: &Sums) -> bool {
        *state == Sums::default()
    }
    fn save(&self, state: &Sums, out: &mut Vec<u8>) {
        put_signed(out, state.over);
        put_signed(out, state.under);
    }
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<Sums, String> {
        Ok(Sums { over: from.signed()?, under: from.signed()? })
    }
}

#[cfg(test)]
mod tests;
