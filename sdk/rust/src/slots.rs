//! States by slot: everything from `accumulate` to `release`, for any accumulator.

use crate::acc::{Accumulator, At, OutputsWriter, Weighed};
use crate::packed::{I64s, Reader, U32s, offsets};
use crate::raw::{Outputs, Parts, States};
use crate::sample::Value;
use crate::value::Time;
use std::marker::PhantomData;

/// Slots are dense by contract; a number far beyond is a mistake and must not eat the memory.
const MOST_SLOTS: u32 = 1 << 26;

/// The slots of one instance.
pub struct Slots<V, A: Accumulator<V>> {
    accumulator: A,
    unit: &'static str,
    states: Vec<A::State>,
    nothing: A::State,
    value: PhantomData<fn(V)>,
}

impl<V: Value, A: Accumulator<V>> Slots<V, A> {
    pub fn new(accumulator: A, unit: &'static str) -> Self {
        let nothing = A::State::default();
        Slots { accumulator, unit, states: Vec::new(), nothing, value: PhantomData }
    }

    /// Whether samples can be taken back.
    pub fn retracts(&self) -> bool {
        self.accumulator.retracts()
    }

    /// Checks the numbers of slots that are about to be written, and makes room for them.
    fn make_room(&mut self, what: &str, slots: U32s<'_>) -> Result<(), String> {
        let (mut least, mut greatest) = (u32::MAX, 0);
        for slot in slots.iter() {
            least = least.min(slot);
            greatest = greatest.max(slot);
        }
        if slots.is_empty() {
            return Ok(());
        }
        if least == 0 {
            return Err(format!("{what}: slot 0 is always empty and cannot be written"));
        }
        if greatest >= MOST_SLOTS {
            return Err(format!(
                "{what}: slot {greatest} is beyond the {MOST_SLOTS} that an instance can hold"
            ));
        }
        let due = greatest as usize + 1;
        if self.states.len() < due {
            self.states.resize(due, self.nothing.clone());
        }
        Ok(())
    }

    #[inline(always)]
    fn state(&self, slot: u32) -> &A::State {
        self.states.get(slot as usize).unwrap_or(&self.nothing)
    }

    pub fn accumulate(&mut self, parts: &Parts) -> Result<(), String> {
        let slots = U32s::new("slots", &parts.slots)?;
        let n = slots.len();
        let weights = I64s::new("weights", &parts.weights, n)?;
        let times = I64s::optional("times", &parts.times, n)?;
        let untils = I64s::optional("untils", &parts.untils, n)?;
        if parts.dictionaries.len() != parts.values.len() {
            return Err("as many dictionaries as value columns are due".into());
        }
        let values = V::reader(n, &parts.values, &parts.dictionaries)?;
        self.make_room("accumulate", slots)?;
        if !self.accumulator.retracts() && weights.iter().any(|weight| weight < 0) {
            return Err("accumulate: a negative weight, but the accumulator takes no sample back".into());
        }
        for (i, (slot, weight)) in slots.iter().zip(weights.iter()).enumerate() {
            let time = times.map_or(0, |times| times.get(i));
            let until = untils.map_or(time, |untils| untils.get(i));
            let sample = Weighed { weight, time: Time(time), until: Time(until) };
            if let Some(state) = self.states.get_mut(slot as usize) {
                self.accumulator.add(state, sample, V::read(&values, i));
            }
        }
        Ok(())
    }

    pub fn merge(&mut self, into: &[u8], from: &[u8]) -> Result<(), String> {
        let (into, from) = (U32s::new("into", into)?, U32s::new("from", from)?);
        if into.len() != from.len() {
            return Err(format!("merge: {} slots into {}", from.len(), into.len()));
        }
        self.make_room("merge", into)?;
        for (into, from) in into.iter().zip(from.iter()) {
            let (into, from) = (into as usize, from as usize);
            if into == from {
                return Err(format!("merge: slot {into} into itself"));
            }
            if from < self.states.len()
                && let Ok([into, from]) = self.states.get_disjoint_mut([into, from])
            {
                self.accumulator.merge(into, from);
            }
        }
        Ok(())
    }

    pub fn evaluate(&self, slots: &[u8], starts: &[u8], ends: &[u8], now: i64) -> Result<Outputs, String> {
        let slots = U32s::new("slots", slots)?;
        let starts = I64s::optional("window-starts", starts, slots.len())?;
        let ends = I64s::optional("window-ends", ends, slots.len())?;
        let mut out = OutputsWriter::new(self.accumulator.outputs(self.unit), slots.len());
        for (i, slot) in slots.iter().enumerate() {
            let at = At {
                start: Time(starts.map_or(0, |starts| starts.get(i))),
                end: Time(ends.map_or(0, |ends| ends.get(i))),
                now: Time(now),
            };
            self.accumulator.evaluate(self.state(slot), at, &mut out);
            out.end_slot();
        }
        out.finish()
    }

    pub fn save(&self, slots: &[u8]) -> Result<States, String> {
        let slots = U32s::new("slots", slots)?;
        let mut states = States {
            offsets: Vec::with_capacity((slots.len() + 1) * 4),
            bytes: Vec::with_capacity(slots.len() * 8),
        };
        states.offsets.extend_from_slice(&0u32.to_le_bytes());
        for slot in slots.iter() {
            let state = self.state(slot);
            if !self.accumulator.is_empty(state) {
                self.accumulator.save(state, &mut states.bytes);
            }
            let end = u32::try_from(states.bytes.len()).map_err(|_| "save: more than 4 GiB in one call")?;
            states.offsets.extend_from_slice(&end.to_le_bytes());
        }
        Ok(states)
    }

    pub fn load(&mut self, slots: &[u8], states: &States, version: u32) -> Result<(), String> {
        if version != A::STATE_VERSION && !A::STATE_VERSIONS_READ.contains(&version) {
            return Err(format!("load: state version {version} is none that this metric reads"));
        }
        let slots = U32s::new("slots", slots)?;
        let ends = offsets("load: offsets", &states.offsets, slots.len(), states.bytes.len())?;
        self.make_room("load", slots)?;
        let mut start = 0;
        for (slot, end) in slots.iter().zip(ends.iter().skip(1)) {
            let end = end as usize;
            let bytes = states.bytes.get(start..end).unwrap_or_default();
            start = end;
            let mut reader = Reader::new(bytes);
            let state = if bytes.is_empty() {
                A::State::default()
            } else {
                self.accumulator.load(version, &mut reader)?
            };
            if !reader.is_empty() {
                return Err(format!("load: the state of slot {slot} has bytes too many"));
            }
            if let Some(place) = self.states.get_mut(slot as usize) {
                *place = state;
            }
        }
        Ok(())
    }

    pub fn release(&mut self, slots: &[u8]) -> Result<(), String> {
        for slot in U32s::new("slots", slots)?.iter() {
            if let Some(state) = self.states.get_mut(slot as usize) {
                *state = A::State::default();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
