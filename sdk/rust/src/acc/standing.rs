//! What stands now: the least and greatest that can be taken back, ages, and deadlines. All count over a
//! [`Multiset`], so they are exact at every border, need memory for the different values of a key and
//! no more, and evaluate without walking over the rows.

use super::multiset::Multiset;
use super::{Accumulator, At, Number, OutputsWriter, Weighed, counted, nullable, write_exact};
use crate::packed::{Reader, put_signed, put_varint};
use crate::raw::Output;
use crate::value::{Span, Time};

/// What accumulators over one [`Multiset`] have in common.
macro_rules! over_a_multiset {
    () => {
        type State = Multiset;
        fn retracts(&self) -> bool {
            true
        }
        fn merge(&self, into: &mut Multiset, from: &Multiset) {
            into.merge(from);
        }
        fn is_empty(&self, state: &Multiset) -> bool {
            state.is_empty()
        }
        fn save(&self, state: &Multiset, out: &mut Vec<u8>) {
            state.save(out);
        }
        fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<Multiset, String> {
            Multiset::load(from)
        }
    };
}

macro_rules! end {
    ($name:ident, $output:literal, $end:ident, $doc:literal, $text:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl<V: Number> Accumulator<V> for $name {
            over_a_multiset!();
            fn outputs(&self, unit: &str) -> Vec<Output> {
                vec![nullable($output, V::TYPE, unit, $text)]
            }
            #[inline]
            fn add(&self, state: &mut Multiset, sample: Weighed, value: V) {
                state.add(value.to_int(), sample.weight);
            }
            fn evaluate(&self, state: &Multiset, _: At, out: &mut OutputsWriter) {
                match state.$end() {
                    Some(value) => write_exact::<V>(out, value.into()),
                    None => out.null(),
                }
            }
        }
    };
}
end!(
    Least,
    "least",
    least,
    "The least value of those that stand: output `least`; null over nothing. Takes samples back, at the
price of remembering every value; for events [`Min`](super::Min) is smaller.",
    "The least value."
);
end!(
    Greatest,
    "greatest",
    greatest,
    "The greatest value of those that stand: output `greatest`; null over nothing. Takes samples back, at
the price of remembering every value; for events [`Max`](super::Max) is smaller.",
    "The greatest value."
);

/// How many rows have which age at the epoch's clock, counted from the [`Time`] that a sample carries.
/// For a metric declared `time_varying`.
///
/// An age is in a bucket if it is at least the border before and below the bucket's own:
///
/// | | age |
/// |---|---|
/// | first bucket | (−∞, border 1): a time in the future too |
/// | bucket k | [border k − 1, border k) |
/// | `over` | [last border, ∞) |
///
/// Borders must ascend; a bucket whose border does not is always empty.
#[derive(Clone, Copy, Debug)]
pub struct AgeBuckets<const N: usize> {
    /// Name of the output, and the age at which the next bucket begins.
    pub under: [(&'static str, Span); N],
    /// Name of the output for everything older.
    pub over: &'static str,
}

impl<const N: usize> Accumulator<Time> for AgeBuckets<N> {
    over_a_multiset!();
    fn outputs(&self, _: &str) -> Vec<Output> {
        let mut from = None;
        let mut outputs = Vec::new();
        for (name, border) in self.under {
            outputs.push(counted(name, &age_text(from, Some(border))));
            from = Some(border);
        }
        outputs.push(counted(self.over, &age_text(from, None)));
        outputs
    }
    #[inline]
    fn add(&self, state: &mut Multiset, sample: Weighed, value: Time) {
        state.add(value.0, sample.weight);
    }
    fn evaluate(&self, state: &Multiset, at: At, out: &mut OutputsWriter) {
        let mut left = state.total();
        for (_, border) in self.under {
            // now − time ≥ border, so time ≤ now − border.
            let older = state.at_most(i128::from(at.now.0) - i128::from(border.0)).min(left);
            out.int(left.wrapping_sub(older));
            left = older;
        }
        out.int(left);
    }
}

fn age_text(from: Option<Span>, below: Option<Span>) -> String {
    match (from.map(length), below.map(length)) {
        (None, None) => "Any age.".into(),
        (None, Some(below)) => format!("Age below {below}."),
        (Some(from), None) => format!("Age of {from} or more."),
        (Some(from), Some(below)) => format!("Age from {from} to below {below}."),
    }
}

/// `8 h`, `90 s`: in the greatest unit that divides it.
fn length(span: Span) -> String {
    const UNITS: [(i64, &str); 4] =
        [(86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s")];
    let unit = UNITS.into_iter().find(|(length, _)| span.0 % length == 0);
    unit.map_or_else(|| format!("{} us", span.0), |(length, unit)| format!("{} {unit}", span.0 / length))
}

/// How many deadlines have passed at the epoch's clock: due < now, of the [`Time`] that a sample
/// carries. Output `count`. For a metric declared `time_varying`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overdue;

impl Accumulator<Time> for Overdue {
    over_a_multiset!();
    fn outputs(&self, _: &str) -> Vec<Output> {
        vec![counted("count", "How many are past their deadline.")]
    }
    #[inline]
    fn add(&self, state: &mut Multiset, sample: Weighed, value: Time) {
        state.add(value.0, sample.weight);
    }
    fn evaluate(&self, state: &Multiset, at: At, out: &mut OutputsWriter) {
        out.int(state.at_most(i128::from(at.now.0) - 1));
    }
}

/// How many deadlines are near at the epoch's clock: now ≤ due < now + ahead. A sample carries
/// (due, ahead): the threshold may differ by row, as the accumulator does not see the row. Output
/// `count`. For a metric declared `time_varying`.
///
/// Evaluates at a cost that grows with the number of different thresholds of a key, so they should be
/// settings, not computed row by row.
#[derive(Clone, Copy, Debug, Default)]
pub struct DueWithin;

/// State of [`DueWithin`]: the deadlines by threshold, ascending, none of them empty.
#[derive(Clone, Debug, Default)]
pub struct Deadlines(Vec<(i64, Multiset)>);

impl Deadlines {
    fn at(&mut self, ahead: i64) -> &mut Multiset {
        let place = match self.0.binary_search_by_key(&ahead, |entry| entry.0) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, (ahead, Multiset::default()));
                place
            }
        };
        &mut self.0[place].1
    }
    fn tidy(&mut self) {
        self.0.retain(|entry| !entry.1.is_empty());
    }
}

impl Accumulator<(Time, Span)> for DueWithin {
    type State = Deadlines;
    fn outputs(&self, _: &str) -> Vec<Output> {
        vec![counted("count", "How many are near their deadline and not past it.")]
    }
    fn retracts(&self) -> bool {
        true
    }
    #[inline]
    fn add(&self, state: &mut Deadlines, sample: Weighed, (due, ahead): (Time, Span)) {
        let deadlines = state.at(ahead.0);
        deadlines.add(due.0, sample.weight);
        if deadlines.is_empty() {
            state.tidy();
        }
    }
    fn merge(&self, into: &mut Deadlines, from: &Deadlines) {
        for (ahead, deadlines) in &from.0 {
            into.at(*ahead).merge(deadlines);
        }
        into.tidy();
    }
    fn evaluate(&self, state: &Deadlines, at: At, out: &mut OutputsWriter) {
        let now = i128::from(at.now.0);
        let near = |(ahead, deadlines): &(i64, Multiset)| {
            // A threshold below 0 holds of nothing.
            let end = (now + i128::from(*ahead)).max(now);
            deadlines.at_most(end - 1).wrapping_sub(deadlines.at_most(now - 1))
        };
        out.int(state.0.iter().map(near).fold(0, i64::wrapping_add));
    }
    fn is_empty(&self, state: &Deadlines) -> bool {
        state.0.is_empty()
    }
    fn save(&self, state: &Deadlines, out: &mut Vec<u8>) {
        put_varint(out, state.0.len() as u128);
        for (ahead, deadlines) in &state.0 {
            put_signed(out, (*ahead).into());
            deadlines.save(out);
        }
    }
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<Deadlines, String> {
        let n = from.varint()?;
        let mut state: Vec<(i64, Multiset)> = Vec::new();
        for _ in 0..n {
            let ahead = from.int()?;
            if state.last().is_some_and(|entry| entry.0 >= ahead) {
                return Err("thresholds in the state are not in order".into());
            }
            let deadlines = Multiset::load(from)?;
            if deadlines.is_empty() {
                return Err("a threshold in the state has no deadline".into());
            }
            state.push((ahead, deadlines));
        }
        Ok(Deadlines(state))
    }
}

#[cfg(test)]
mod tests;
