//! How many different values: HyperLogLog++ with p = 14.
//!
//! Sources: Heule, Nunkesser, Hall, "HyperLogLog in Practice" (EDBT 2013) for the 64-bit hash and the
//! sparse form with p' = 25; Ertl, "New cardinality estimation algorithms for HyperLogLog sketches"
//! (arXiv:1702.01284, 2017), algorithm 6, for the estimate, which needs no tables of bias and no
//! switch between two estimators.
//!
//! Hash: the finalizer of SplitMix64 (Steele, Lea, Flood 2014) over the value's integer. It is a
//! bijection, so two values never share all 64 bits.
//!
//! Every state is a function of the set of hashes alone, whatever the order and grouping: entries
//! are sorted and hold a maximum, and the form depends on how many entries the whole set has. The
//! estimate uses +, ×, ÷ and √ only, which IEEE 754 rounds in one way on every machine.

use super::{Accumulator, At, Number, OutputsWriter, Weighed, counted};
use crate::packed::{Reader, put_varint};
use crate::raw::Output;

/// Bits of the hash that choose a register.
const P: u32 = 14;
/// Registers.
const M: usize = 1 << P;
/// Bits of the hash that choose an entry of the sparse form.
const SPARSE_P: u32 = 25;
/// Bits of an entry that hold the rank.
const RANK_BITS: u32 = 6;
/// Greatest rank of an entry, and of a register: one more than the bits that are left of the hash.
const MOST_SPARSE_RANK: u32 = 64 - SPARSE_P + 1;
const MOST_RANK: usize = (64 - P + 1) as usize;
/// Entries of four bytes that take no more than registers of one byte.
const MOST_ENTRIES: usize = M / size_of::<u32>();

/// How many different values: output `count`, 0 over nothing. Takes nothing back, so it is for
/// events only.
///
/// Exact to a hair up to 4096 values (of n values about n²/2²⁶ pairs are taken for one); above that
/// the standard error is 0.81 %, so that 98 % of the results are within 2 %.
#[derive(Clone, Copy, Debug, Default)]
pub struct Distinct;

/// State of [`Distinct`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinctState(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// Index and rank of each hash with p' = 25, ascending by index, each once with its greatest rank.
    Sparse(Vec<u32>),
    /// The greatest rank of each register.
    Dense(Vec<u8>),
}

impl Default for DistinctState {
    fn default() -> Self {
        DistinctState(Form::Sparse(Vec::new()))
    }
}

fn hash(value: i64) -> u64 {
    let mut z = (value as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The sparse entry of a hash.
fn entry(hash: u64) -> u32 {
    let index = (hash >> (64 - SPARSE_P)) as u32;
    let rank = ((hash << SPARSE_P).leading_zeros() + 1).min(MOST_SPARSE_RANK);
    index << RANK_BITS | rank
}

fn index_of(entry: u32) -> u32 {
    entry >> RANK_BITS
}

/// Register and rank of an entry. What p' has more bits than p is where the rank begins.
fn register_of(entry: u32) -> (usize, u8) {
    const MORE: u32 = SPARSE_P - P;
    let index = index_of(entry);
    let below = index & ((1 << MORE) - 1);
    let rank = match below {
        0 => MORE + (entry & ((1 << RANK_BITS) - 1)),
        _ => below.leading_zeros() - (u32::BITS - MORE) + 1,
    };
    ((index >> MORE) as usize, rank as u8)
}

impl DistinctState {
    fn add(&mut self, new: u32) {
        match &mut self.0 {
            Form::Dense(registers) => raise(registers, new),
            Form::Sparse(entries) => {
                let at = entries.partition_point(|entry| index_of(*entry) < index_of(new));
                match entries.get_mut(at) {
                    Some(known) if index_of(*known) == index_of(new) => *known = new.max(*known),
                    _ => entries.insert(at, new),
                }
                self.densify();
            }
        }
    }

    /// Makes registers of entries as soon as these would take more room.
    fn densify(&mut self) {
        if let Form::Sparse(entries) = &self.0
            && entries.len() > MOST_ENTRIES
        {
            self.0 = Form::Dense(dense(entries));
        }
    }

    fn merge(&mut self, from: &DistinctState) {
        match (&mut self.0, &from.0) {
            // Few entries are put in one by one: going through all of `self` would cost more.
            (Form::Sparse(into), Form::Sparse(from)) if from.len() * 8 >= into.len() => {
                *into = union(into, from);
                self.densify();
            }
            (_, Form::Sparse(from)) => from.iter().for_each(|entry| self.add(*entry)),
            (Form::Sparse(into), Form::Dense(from)) => {
                let mut registers = from.clone();
                into.iter().for_each(|entry| raise(&mut registers, *entry));
                self.0 = Form::Dense(registers);
            }
            (Form::Dense(into), Form::Dense(from)) => {
                for (into, from) in into.iter_mut().zip(from) {
                    *into = (*into).max(*from);
                }
            }
        }
    }

    fn count(&self) -> i64 {
        match &self.0 {
            // Linear counting over 2²⁵ places gives k + k²/2²⁶: it rounds to k for every k that occurs.
            Form::Sparse(entries) => entries.len() as i64,
            Form::Dense(registers) => estimate(registers),
        }
    }
}

fn raise(registers: &mut [u8], entry: u32) {
    let (at, rank) = register_of(entry);
    if let Some(register) = registers.get_mut(at) {
        *register = rank.max(*register);
    }
}

fn dense(entries: &[u32]) -> Vec<u8> {
    let mut registers = vec![0; M];
    entries.iter().for_each(|entry| raise(&mut registers, *entry));
    registers
}

/// Of two ascending lists one, with the greater rank where both have an index.
fn union(one: &[u32], other: &[u32]) -> Vec<u32> {
    let mut all = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.iter().copied().peekable(), other.iter().copied().peekable());
    while let (Some(a), Some(b)) = (one.peek().copied(), other.peek().copied()) {
        let (left, right) = (index_of(a), index_of(b));
        if left <= right {
            one.next();
        }
        if right <= left {
            other.next();
        }
        all.push(match left.cmp(&right) {
            std::cmp::Ordering::Less => a,
            std::cmp::Ordering::Equal => a.max(b),
            std::cmp::Ordering::Greater => b,
        });
    }
    all.extend(one.chain(other));
    all
}

/// Ertl's improved raw estimate, rounded.
fn estimate(registers: &[u8]) -> i64 {
    let mut counts = [0u32; MOST_RANK + 1];
    for rank in registers {
        if let Some(count) = counts.get_mut(usize::from(*rank)) {
            *count += 1;
        }
    }
    let m = M as f64;
    let mut z = m * tau(1.0 - f64::from(counts[MOST_RANK]) / m);
    for count in counts[1..MOST_RANK].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    // α∞ = 1 / (2 ln 2). No values at all make z infinite, and so the estimate 0.
    let alpha = 0.5 / std::f64::consts::LN_2;
    (alpha * m * m / z + 0.5) as i64
}

/// x + Σ x^(2^k) · 2^(k−1), k from 1.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let next = z + x * y;
        y += y;
        if next == z {
            return z;
        }
        z = next;
    }
}

/// (1 − x − Σ (1 − x^(2^−k))² · 2^−k) ÷ 3, k from 1.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        y *= 0.5;
        let next = z - (1.0 - x) * (1.0 - x) * y;
        if next == z {
            return z / 3.0;
        }
        z = next;
    }
}

impl<V: Number> Accumulator<V> for Distinct {
    type State = DistinctState;
    fn outputs(&self, _: &str) -> Vec<Output> {
        vec![counted("count", "How many different ones; within 2 % in 98 of 100 cases.")]
    }
    fn retracts(&self) -> bool {
        false
    }
    #[inline]
    fn add(&self, state: &mut DistinctState, _: Weighed, value: V) {
        state.add(entry(hash(value.to_int())));
    }
    fn merge(&self, into: &mut DistinctState, from: &DistinctState) {
        into.merge(from);
    }
    fn evaluate(&self, state: &DistinctState, _: At, out: &mut OutputsWriter) {
        out.int(state.count());
    }
    fn is_empty(&self, state: &DistinctState) -> bool {
        matches!(&state.0, Form::Sparse(entries) if entries.is_empty())
    }
    /// 0, the number of entries and their distances; or 1 and four registers in three bytes each.
    fn save(&self, state: &DistinctState, out: &mut Vec<u8>) {
        match &state.0 {
            Form::Sparse(entries) => {
                out.push(0);
                put_varint(out, entries.len() as u128);
                let mut last = 0;
                for entry in entries {
                    put_varint(out, u128::from(entry - last));
                    last = *entry;
                }
            }
            Form::Dense(registers) => {
                out.push(1);
                for four in registers.as_chunks::<4>().0 {
                    let word =
                        four.iter().rev().fold(0u32, |word, rank| word << RANK_BITS | u32::from(*rank));
                    out.extend_from_slice(&word.to_le_bytes()[..3]);
                }
            }
        }
    }
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<DistinctState, String> {
        Ok(DistinctState(match from.byte()? {
            0 => Form::Sparse(load_entries(from)?),
            1 => Form::Dense(load_registers(from)?),
            other => return Err(format!("the state has the form {other}, which there is not")),
        }))
    }
}

fn load_entries(from: &mut Reader<'_>) -> Result<Vec<u32>, String> {
    let n = usize::try_from(from.varint()?).ok().filter(|n| *n <= MOST_ENTRIES);
    let n = n.ok_or("the state has more entries than there can be")?;
    let mut entries: Vec<u32> = Vec::with_capacity(n);
    let mut last = 0u32;
    for _ in 0..n {
        let distance = u32::try_from(from.varint()?).ok();
        let entry = distance.and_then(|distance| last.checked_add(distance));
        let entry = entry.filter(|entry| *entry < 1 << (SPARSE_P + RANK_BITS));
        let entry = entry.ok_or("an entry in the state is out of range")?;
        if !(1..=MOST_SPARSE_RANK).contains(&(entry & ((1 << RANK_BITS) - 1))) {
            return Err("a rank in the state is out of range".into());
        }
        if entries.last().is_some_and(|last| index_of(*last) >= index_of(entry)) {
            return Err("entries in the state are not in order".into());
        }
        entries.push(entry);
        last = entry;
    }
    Ok(entries)
}

fn load_registers(from: &mut Reader<'_>) -> Result<Vec<u8>, String> {
    let mut registers = Vec::with_capacity(M);
    while registers.len() < M {
        let word = u32::from_le_bytes([from.byte()?, from.byte()?, from.byte()?, 0]);
        for at in 0..4 {
            let rank = (word >> (at * RANK_BITS)) as u8 & ((1 << RANK_BITS) - 1);
            if usize::from(rank) > MOST_RANK {
                return Err("a rank in the state is out of range".into());
            }
            registers.push(rank);
        }
    }
    Ok(registers)
}

#[cfg(test)]
mod tests;
