//! Quantiles from fixed buckets: integers only, so that every machine puts a value into the same one,
//! and never collapsed, so that merging in any order gives the same counts.

use super::{Accumulator, At, Number, OutputsWriter, Weighed, nullable};
use crate::packed::{Reader, put_signed, put_varint};
use crate::raw::{Output, ValueType};

/// Bits of a value kept below its highest one: 64 buckets an octave, so that a bucket's middle is at
/// most 1/128 (0.78 %) off any value in it. Magnitudes below 128 are exact.
const KEPT_BITS: u32 = 6;

/// Bucket of a value: 0 for 0, positive for positive values, mirrored for negative ones; ascending
/// with the value. Magnitudes up to 2⁶³ give at most 3712 (58 · 64).
#[inline(always)]
fn bucket(value: i64) -> i16 {
    let magnitude = value.unsigned_abs();
    let highest = 63 - (magnitude | 1).leading_zeros();
    let shift = highest.saturating_sub(KEPT_BITS);
    let index = ((shift << KEPT_BITS) as u64 + (magnitude >> shift)) as i16;
    if value < 0 { -index } else { index }
}

/// The middle of a bucket.
fn middle(bucket: i16) -> i128 {
    let index = u128::from(bucket.unsigned_abs());
    let base = 1u128 << KEPT_BITS;
    // From 2·64 on, each 64 indexes double the width of a bucket.
    let shift = if index < 2 * base { 0 } else { (index >> KEPT_BITS) - 1 };
    let lowest = (index - (shift << KEPT_BITS)) << shift;
    let magnitude = (lowest + ((1u128 << shift) - 1) / 2) as i128;
    if bucket < 0 { -magnitude } else { magnitude }
}

/// Quantiles: outputs `p50`, `p90`, … for `Quantiles([0.5, 0.9])`; null over nothing. Quantile q of n
/// values is the k-th least, k = max(1, ⌈q·n⌉), within 1 %.
#[derive(Clone, Copy, Debug)]
pub struct Quantiles<const N: usize>(pub [f64; N]);

/// Counts by bucket: sorted pairs without zeros, until an array is smaller.
#[derive(Clone, Debug)]
pub enum QuantilesState {
    Sparse(Vec<(i16, i64)>),
    /// Counts of the buckets from `low` on.
    Dense {
        low: i16,
        counts: Vec<i64>,
    },
}

impl Default for QuantilesState {
    fn default() -> Self {
        QuantilesState::Sparse(Vec::new())
    }
}

/// Bytes of an entry in either form.
const SPARSE_ENTRY: usize = size_of::<(i16, i64)>();
const DENSE_ENTRY: usize = size_of::<i64>();

impl QuantilesState {
    #[inline(always)]
    fn add(&mut self, bucket: i16, count: i64) {
        match self {
            QuantilesState::Dense { low, counts } => {
                let at = i32::from(bucket) - i32::from(*low);
                match usize::try_from(at).ok().and_then(|at| counts.get_mut(at)) {
                    Some(entry) => *entry = entry.wrapping_add(count),
                    None => self.widen(bucket, count),
                }
            }
            QuantilesState::Sparse(entries) => match entries.binary_search_by_key(&bucket, |entry| entry.0) {
                Ok(at) => {
                    entries[at].1 = entries[at].1.wrapping_add(count);
                    if entries[at].1 == 0 {
                        entries.remove(at);
                    }
                }
                Err(at) => {
                    entries.insert(at, (bucket, count));
                    self.densify();
                }
            },
        }
    }

    /// Makes room in the array, at a cost that doubling spreads over later calls; an array that
    /// would be larger than pairs becomes pairs again.
    #[cold]
    fn widen(&mut self, bucket: i16, count: i64) {
        let mut entries = Vec::new();
        self.for_each(|bucket, count| entries.push((bucket, count)));
        let at = entries.partition_point(|entry| entry.0 < bucket);
        entries.insert(at, (bucket, count));
        *self = QuantilesState::Sparse(entries);
        self.densify();
    }

    fn densify(&mut self) {
        let QuantilesState::Sparse(entries) = self else { return };
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
        let width = (i32::from(last.0) - i32::from(first.0) + 1) as usize;
        if entries.len() < 8 || width * DENSE_ENTRY >= entries.len() * SPARSE_ENTRY {
            return;
        }
        // Some room to either side, so that neighbours do not widen it one by one.
        let room = (width / 8 + 8) as i16;
        let low = first.0.saturating_sub(room);
        let mut counts = vec![0; width + 2 * room as usize];
        for (bucket, count) in entries.iter() {
            counts[(i32::from(*bucket) - i32::from(low)) as usize] = *count;
        }
        *self = QuantilesState::Dense { low, counts };
    }

    /// Calls `found` with each bucket whose count is not 0, ascending, until it gives something.
    #[inline(always)]
    fn find<R>(&self, mut found: impl FnMut(i16, i64) -> Option<R>) -> Option<R> {
        match self {
            QuantilesState::Sparse(entries) => entries.iter().find_map(|entry| found(entry.0, entry.1)),
            QuantilesState::Dense { low, counts } => {
                let buckets = (i32::from(*low)..).zip(counts);
                let mut held = buckets.filter(|(_, count)| **count != 0);
                held.find_map(|(bucket, count)| found(bucket as i16, *count))
            }
        }
    }

    #[inline(always)]
    fn for_each(&self, mut each: impl FnMut(i16, i64)) {
        let _: Option<()> = self.find(|bucket, count| {
            each(bucket, count);
            None
        });
    }

    fn is_empty(&self) -> bool {
        self.find(|_, _| Some(())).is_none()
    }

    /// Adds sorted pairs to sorted pairs, in one pass over both.
    fn merge_sorted(entries: &mut Vec<(i16, i64)>, others: &[(i16, i64)]) {
        let mut merged = Vec::with_capacity(entries.len() + others.len());
        let mut mine = entries.iter().copied().peekable();
        for (bucket, count) in others.iter().copied() {
            while let Some(entry) = mine.next_if(|entry| entry.0 < bucket) {
                merged.push(entry);
            }
            let held = mine.next_if(|entry| entry.0 == bucket).map_or(0, |entry| entry.1);
            let sum = held.wrapping_add(count);
            if sum != 0 {
                merged.push((bucket, sum));
            }
        }
        merged.extend(mine);
        *entries = merged;
    }
}

/// Whether one pass over both lists is cheaper than looking for the place of each pair of the second.
fn is_many(entries: &[(i16, i64)], others: &[(i16, i64)]) -> bool {
    others.len() >= 4 && others.len() >= entries.len() / 16
}

/// q in millionths, as integers settle which value it is.
fn millionths(q: f64) -> u32 {
    (q.clamp(0.0, 1.0) * 1e6).round() as u32
}

/// `p50`, `p99_9`.
fn name(q: f64) -> String {
    let millionths = millionths(q);
    let (percent, rest) = (millionths / 10_000, millionths % 10_000);
    if rest == 0 {
        format!("p{percent}")
    } else {
        format!("p{percent}_{}", format!("{rest:04}").trim_end_matches('0'))
    }
}

impl<V: Number, const N: usize> Accumulator<V> for Quantiles<N> {
    type State = QuantilesState;
    fn outputs(&self, unit: &str) -> Vec<Output> {
        let one = |q: &f64| {
            let text = format!("{} % of the values are at most this; within 1 %.", q * 100.0);
            nullable(&name(*q), ValueType::Float, unit, &text)
        };
        self.0.iter().map(one).collect()
    }
    fn retracts(&self) -> bool {
        true
    }
    #[inline(always)]
    fn add(&self, state: &mut QuantilesState, sample: Weighed, value: V) {
        state.add(bucket(value.to_int()), sample.weight);
    }
    fn merge(&self, into: &mut QuantilesState, from: &QuantilesState) {
        match (&mut *into, from) {
            (QuantilesState::Sparse(entries), _) if entries.is_empty() => *into = from.clone(),
            (QuantilesState::Sparse(entries), QuantilesState::Sparse(others)) if is_many(entries, others) => {
                QuantilesState::merge_sorted(entries, others);
                into.densify();
            }
            _ => from.for_each(|bucket, count| into.add(bucket, count)),
        }
    }
    fn evaluate(&self, state: &QuantilesState, _: At, out: &mut OutputsWriter) {
        // Counts below 0 stand for rows that are taken back before they were added: absent.
        let mut total = 0i128;
        state.for_each(|_, count| total += i128::from(count.max(0)));
        for q in self.0 {
            let rank = (i128::from(millionths(q)) * total + 999_999) / 1_000_000;
            let mut left = rank.max(1);
            let found = state.find(|bucket, count| {
                left -= i128::from(count.max(0));
                (count > 0 && left <= 0).then_some(bucket)
            });
            match found {
                Some(bucket) => out.float(middle(bucket) as f64 / V::SCALE as f64),
                None => out.null(),
            }
        }
    }
    fn is_empty(&self, state: &QuantilesState) -> bool {
        state.is_empty()
    }
    /// Number of entries, then for each the distance to the last bucket and the count.
    fn save(&self, state: &QuantilesState, out: &mut Vec<u8>) {
        let (mut entries, mut last) = (0u128, 0i128);
        state.for_each(|_, _| entries += 1);
        put_varint(out, entries);
        state.for_each(|bucket, count| {
            put_signed(out, i128::from(bucket) - last);
            put_signed(out, count.into());
            last = bucket.into();
        });
    }
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<QuantilesState, String> {
        let n = from.varint()?;
        let mut entries: Vec<(i16, i64)> = Vec::new();
        let mut last = 0i128;
        for _ in 0..n {
            last = last.checked_add(from.signed()?).ok_or("a bucket in the state is out of range")?;
            let bucket = i16::try_from(last).map_err(|_| "a bucket in the state is out of range")?;
            if entries.last().is_some_and(|entry| entry.0 >= bucket) {
                return Err("buckets in the state are not in order".into());
            }
            entries.push((bucket, from.int()?));
        }
        let mut state = QuantilesState::Sparse(entries);
        state.densify();
        Ok(state)
    }
}

#[cfg(test)]
mod tests;
