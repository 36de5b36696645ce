//! Numbers that are 0 over nothing: a sum, how far apart first and last are, how often a minute.

use super::{Accumulator, At, OutputsWriter, Weighed, nullable};
use crate::packed::{Reader, put_signed};
use crate::raw::{Output, ValueType};
use crate::value::Time;

fn never_null(name: &str, value_type: ValueType, unit: &str, description: &str) -> Output {
    Output { nullable: false, ..nullable(name, value_type, unit, description) }
}

/// The sum of integers, 0 over nothing: output `sum`, in the metric's unit. [`Sum`](super::Sum) is null
/// over nothing and takes spans too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally;

impl Accumulator<i64> for Tally {
    type State = i64;
    fn outputs(&self, unit: &str) -> Vec<Output> {
        vec![never_null("sum", ValueType::Int, unit, "The sum.")]
    }
    fn retracts(&self) -> bool {
        true
    }
    #[inline(always)]
    fn add(&self, state: &mut i64, sample: Weighed, value: i64) {
        *state = state.wrapping_add(value.wrapping_mul(sample.weight));
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

/// From the first sample to the last by their times: output `length` in seconds, 0 over nothing. Takes
/// nothing back, so it is for events only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent;

impl<V: 'static> Accumulator<V> for Extent {
    /// Times of the first and the last sample.
    type State = Option<(Time, Time)>;
    fn outputs(&self, _: &str) -> Vec<Output> {
        vec![never_null("length", ValueType::Float, "s", "Time from the first to the last.")]
    }
    fn retracts(&self) -> bool {
        false
    }
    #[inline(always)]
    fn add(&self, state: &mut Self::State, sample: Weighed, _: V) {
        let last = sample.until.max(sample.time);
        let (first, until) = state.unwrap_or((sample.time, last));
        *state = Some((first.min(sample.time), until.max(last)));
    }
    fn merge(&self, into: &mut Self::State, from: &Self::State) {
        if let Some((first, last)) = *from {
            let (known, until) = into.unwrap_or((first, last));
            *into = Some((known.min(first), until.max(last)));
        }
    }
    fn evaluate(&self, state: &Self::State, _: At, out: &mut OutputsWriter) {
        out.float(state.map_or(0, |(first, last)| (last - first).0) as f64 / 1e6);
    }
    fn is_empty(&self, state: &Self::State) -> bool {
        state.is_none()
    }
    fn save(&self, state: &Self::State, out: &mut Vec<u8>) {
        out.push(state.is_some().into());
        if let Some((first, last)) = *state {
            put_signed(out, first.0.into());
            put_signed(out, i128::from(last.0) - i128::from(first.0));
        }
    }
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<Self::State, String> {
        if from.byte()? == 0 {
            return Ok(None);
        }
        let first: i64 = from.int()?;
        let length = from.signed()?;
        let last = i64::try_from(length.saturating_add(first.into()));
        Ok(Some((Time(first), Time(last.map_err(|_| "a time in the state is out of range")?))))
    }
}

/// How many samples a minute of the window: output `per_minute`, 0 over nothing. Counts all samples,
/// so it may be combined with anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerMinute;

impl<V: 'static> Accumulator<V> for PerMinute {
    type State = i64;
    fn outputs(&self, _: &str) -> Vec<Output> {
        vec![never_null("per_minute", ValueType::Float, "1/min", "How many a minute.")]
    }
    fn retracts(&self) -> bool {
        true
    }
    #[inline(always)]
    fn add(&self, state: &mut i64, sample: Weighed, _: V) {
        *state = state.wrapping_add(sample.weight);
    }
    fn merge(&self, into: &mut i64, from: &i64) {
        *into = into.wrapping_add(*from);
    }
    fn evaluate(&self, state: &i64, at: At, out: &mut OutputsWriter) {
        let length = (at.end - at.start).0;
        out.float(if length > 0 { *state as f64 * 60e6 / length as f64 } else { 0.0 });
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::acc::Count;
    use crate::laws;

    fn only<V, A: Accumulator<V>>(accumulator: &A, state: &A::State, at: At) -> f64 {
        let mut out = OutputsWriter::new(accumulator.outputs("1"), 1);
        accumulator.evaluate(state, at, &mut out);
        out.end_slot();
        let columns = out.finish().unwrap().columns;
        f64::from_bits(u64::from_le_bytes(columns[0].values[..8].try_into().unwrap()))
    }

    #[test]
    fn all_keep_the_laws() {
        let values: Vec<i64> = (-9..50).map(|n| n * n * 1_000 - 7).collect();
        laws::check(|| Tally, &values).unwrap();
        laws::check(|| Extent, &values).unwrap();
        laws::check(|| (Count, PerMinute), &values).unwrap();
    }

    #[test]
    fn the_extent_reaches_from_the_first_to_the_last_whatever_their_order() {
        let mut state = None;
        for time in [5_000_000, 2_000_000, 3_500_000] {
            let point = Weighed { weight: 1, time: Time(time), until: Time(time) };
            Accumulator::<i64>::add(&Extent, &mut state, point, 0);
        }
        assert_eq!(only::<i64, _>(&Extent, &state, At::default()), 3.0);
        assert_eq!(only::<i64, _>(&Extent, &None, At::default()), 0.0);
    }

    #[test]
    fn a_rate_is_by_the_windows_length() {
        let five = At { start: Time::seconds(600), end: Time::seconds(900), now: Time(0) };
        assert_eq!(only::<i64, _>(&PerMinute, &7, five), 1.4);
        assert_eq!(only::<i64, _>(&PerMinute, &0, five), 0.0);
        assert_eq!(only::<i64, _>(&PerMinute, &7, At::default()), 0.0);
    }
}
