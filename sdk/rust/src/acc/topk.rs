//! The ids that occur most often, exactly or not at all.

use super::{Accumulator, At, OutputsWriter, Weighed, nullable};
use crate::packed::{Reader, put_signed, put_varint};
use crate::raw::{Output, ValueType};
use std::collections::BTreeMap;

/// The `k` ids that occur most often, and how often: outputs `ids` and `counts`, lists in descending
/// order of the counts, equal counts ascending by id; empty over nothing. Takes nothing back, so it
/// is for events only.
///
/// Exact up to `most` different ids in a key and window. Beyond that both outputs are null and a
/// warning is logged for each state that went over: a wrong list is never shown. A state has as many
/// entries as there are ids, of about five bytes when saved.
#[derive(Clone, Copy, Debug)]
pub struct TopK {
    pub k: usize,
    pub most: usize,
}

impl TopK {
    /// The k most frequent of at most 65,536 ids.
    pub const fn of(k: usize) -> Self {
        TopK { k, most: 65_536 }
    }
}

/// State of [`TopK`]. Whether it is full depends on nothing but the set of ids: a part with too many
/// makes every whole have too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopKState(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Counts(BTreeMap<i64, i64>),
    TooMany,
}

impl Default for TopKState {
    fn default() -> Self {
        TopKState(Form::Counts(BTreeMap::new()))
    }
}

impl TopK {
    fn count(&self, state: &mut TopKState, id: i64, times: i64) {
        let Form::Counts(counts) = &mut state.0 else { return };
        let count = counts.entry(id).or_default();
        *count = count.wrapping_add(times);
        if counts.len() > self.most {
            state.0 = Form::TooMany;
            crate::log::warn!("top {}: more than {} different ids, so there is no list", self.k, self.most);
        }
    }

    fn top(&self, counts: &BTreeMap<i64, i64>) -> Vec<(i64, i64)> {
        let mut top: Vec<(i64, i64)> = Vec::with_capacity(self.k + 1);
        // Ids come in ascending order, so that an equal count stands behind those that are there.
        for (id, count) in counts {
            if top.len() < self.k || top.last().is_some_and(|least| least.1 < *count) {
                top.insert(top.partition_point(|entry| entry.1 >= *count), (*id, *count));
                top.truncate(self.k);
            }
        }
        top
    }
}

impl Accumulator<i64> for TopK {
    type State = TopKState;
    fn outputs(&self, _: &str) -> Vec<Output> {
        let list = |name, description: String| Output {
            is_list: true,
            ..nullable(name, ValueType::Int, "1", &description)
        };
        vec![
            list("ids", format!("The {} most frequent; null above {} different ones.", self.k, self.most)),
            list("counts", "How often each of them occurred.".into()),
        ]
    }
    fn retracts(&self) -> bool {
        false
    }
    #[inline]
    fn add(&self, state: &mut TopKState, sample: Weighed, id: i64) {
        self.count(state, id, sample.weight);
    }
    fn merge(&self, into: &mut TopKState, from: &TopKState) {
        match &from.0 {
            Form::TooMany => into.0 = Form::TooMany,
            Form::Counts(counts) => counts.iter().for_each(|(id, count)| self.count(into, *id, *count)),
        }
    }
    fn evaluate(&self, state: &TopKState, _: At, out: &mut OutputsWriter) {
        match &state.0 {
            Form::TooMany => {
                out.null();
                out.null();
            }
            Form::Counts(counts) => {
                let (ids, counts): (Vec<i64>, Vec<i64>) = self.top(counts).into_iter().unzip();
                out.ints(&ids);
                out.ints(&counts);
            }
        }
    }
    fn is_empty(&self, state: &TopKState) -> bool {
        matches!(&state.0, Form::Counts(counts) if counts.is_empty())
    }
    /// 1 for too many; or 0, the number of ids, and for each the distance to the last and the count.
    fn save(&self, state: &TopKState, out: &mut Vec<u8>) {
        let Form::Counts(counts) = &state.0 else { return out.push(1) };
        out.push(0);
        put_varint(out, counts.len() as u128);
        let mut last = 0;
        for (id, count) in counts {
            put_signed(out, i128::from(*id) - last);
            put_signed(out, (*count).into());
            last = (*id).into();
        }
    }
    /// Reads a state that was saved with another bound too: too many then may be few enough now, but
    /// the ids are gone.
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<TopKState, String> {
        if from.byte()? != 0 {
            return Ok(TopKState(Form::TooMany));
        }
        let n = from.varint()?;
        let mut state = TopKState::default();
        let mut last = 0i128;
        for _ in 0..n {
            last = last.checked_add(from.signed()?).ok_or("an id in the state is out of range")?;
            let id = i64::try_from(last).map_err(|_| "an id in the state is out of range")?;
            let count = from.int()?;
            self.count(&mut state, id, count);
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests;
