//! The laws that every accumulator must keep, because the host groups, merges, saves and moves states
//! as it likes. Run your own through [`check`] in a unit test, over values that are typical and over
//! values at the borders.
//!
//! ```
//! use weir_metric::prelude::*;
//! # fn main() -> Result<(), weir_metric::laws::Broken> {
//! let values: Vec<i64> = (-50..50).map(|n| n * n * n).collect();
//! weir_metric::laws::check(|| (Mean, Quantiles([0.5, 0.9]), Count), &values)?;
//! # Ok(())
//! # }
//! ```

use crate::acc::Accumulator;
use crate::raw::{Dictionary, Outputs, Parts};
use crate::sample::Value;
use crate::slots::Slots;
use std::fmt;

/// A law that an accumulator broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which law, as a sentence.
    pub law: &'static str,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.seen)
    }
}
impl std::error::Error for Broken {}

/// Orders and cuts tried for each law.
const ROUNDS: u64 = 24;

/// Runs an accumulator through every law over these values. If it can take samples back, the laws for
/// current values are checked too. Always tries the same orders and cuts.
pub fn check<V, A>(make: impl Fn() -> A, values: &[V]) -> Result<(), Broken>
where
    V: Value,
    A: Accumulator<V>,
{
    let mut check = Check::new(make, values);
    check.nothing()?;
    for round in 0..ROUNDS {
        check.seed = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        check.any_split_and_order()?;
        check.merging()?;
        check.saving()?;
    }
    if check.slots.retracts() { check.taking_back() } else { Ok(()) }
}

/// A value's index and how often it counts.
type Item = (usize, i64);

struct Check<'v, V: Value, A: Accumulator<V>, F: Fn() -> A> {
    make: F,
    values: &'v [V],
    slots: Slots<V, A>,
    next_slot: u32,
    seed: u64,
}

impl<'v, V: Value, A: Accumulator<V>, F: Fn() -> A> Check<'v, V, A, F> {
    fn new(make: F, values: &'v [V]) -> Self {
        let slots = Slots::new(make(), "1");
        Check { make, values, slots, next_slot: 1, seed: 1 }
    }

    /// xorshift64: any sequence will do, as long as it is always the same.
    fn random(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed % below.max(1) as u64) as usize
    }

    fn shuffled(&mut self, items: &[Item]) -> Vec<Item> {
        let mut items = items.to_vec();
        for i in (1..items.len()).rev() {
            let j = self.random(i + 1);
            items.swap(i, j);
        }
        items
    }

    fn items(&mut self) -> Vec<Item> {
        (0..self.values.len()).map(|i| (i, 1 + self.random(3) as i64)).collect()
    }

    /// Cuts items into so many parts; every part is in the order of the items.
    fn deal(&mut self, items: &[Item], parts: usize) -> Vec<Vec<Item>> {
        let mut dealt = vec![Vec::new(); parts];
        for item in items {
            let to = self.random(parts);
            dealt[to].push(*item);
        }
        dealt
    }

    fn slot(&mut self) -> u32 {
        self.next_slot += 1;
        self.next_slot - 1
    }

    fn add(&mut self, slot: u32, items: &[Item]) -> Result<(), Broken> {
        let mut writer = V::Writer::default();
        let mut parts = Parts::default();
        for (i, weight) in items {
            self.values[*i].write(&mut writer);
            parts.slots.extend_from_slice(&slot.to_le_bytes());
            parts.weights.extend_from_slice(&weight.to_le_bytes());
            parts.times.extend_from_slice(&(*i as i64 * 1_000).to_le_bytes());
        }
        parts.values = V::finish(writer);
        parts.dictionaries = vec![Dictionary::default(); parts.values.len()];
        self.slots.accumulate(&parts).map_err(|seen| Broken { law: "accumulate takes every value", seen })
    }

    fn all(&mut self, items: &[Item]) -> Result<u32, Broken> {
        let slot = self.slot();
        self.add(slot, items)?;
        Ok(slot)
    }

    fn merge(&mut self, into: u32, from: u32) -> Result<(), Broken> {
        let merged = self.slots.merge(&into.to_le_bytes(), &from.to_le_bytes());
        merged.map_err(|seen| Broken { law: "merge takes every state", seen })
    }

    fn evaluate(&self, slot: u32) -> Result<Outputs, Broken> {
        let (start, end) = (0i64.to_le_bytes(), 60_000_000i64.to_le_bytes());
        let outputs = self.slots.evaluate(&slot.to_le_bytes(), &start, &end, 90_000_000);
        outputs.map_err(|seen| Broken { law: "evaluate answers for every state", seen })
    }

    fn saved(&self, slot: u32) -> Result<crate::raw::States, Broken> {
        self.slots.save(&slot.to_le_bytes()).map_err(|seen| Broken { law: "save takes every state", seen })
    }

    /// Two slots must be told apart by nothing.
    fn same(&self, law: &'static str, one: u32, other: u32) -> Result<(), Broken> {
        let (a, b) = (self.evaluate(one)?, self.evaluate(other)?);
        if a != b {
            return Err(Broken { law, seen: format!("evaluate gives {a:?} and {b:?}") });
        }
        let (a, b) = (self.saved(one)?, self.saved(other)?);
        if a != b {
            return Err(Broken { law, seen: format!("save gives {:?} and {:?}", a.bytes, b.bytes) });
        }
        Ok(())
    }

    fn nothing(&mut self) -> Result<(), Broken> {
        const LAW: &str = "a released slot is as empty as slot 0";
        let items = self.items();
        let slot = self.all(&items)?;
        self.slots.release(&slot.to_le_bytes()).map_err(|seen| Broken { law: LAW, seen })?;
        self.same(LAW, 0, slot)?;
        let full = self.all(&items)?;
        let merged = self.all(&items)?;
        self.merge(merged, 0)?;
        self.same("merging nothing changes nothing", full, merged)
    }

    fn any_split_and_order(&mut self) -> Result<(), Broken> {
        let items = self.items();
        let whole = self.all(&items)?;
        let other = self.slot();
        let mut rest = self.shuffled(&items);
        while !rest.is_empty() {
            let n = (1 + self.random(7)).min(rest.len());
            let batch = rest.split_off(rest.len() - n);
            self.add(other, &batch)?;
        }
        self.same("any split into batches and any order gives the same", whole, other)?;
        let once: Vec<Item> = items.iter().flat_map(|(i, weight)| (0..*weight).map(|_| (*i, 1))).collect();
        let single = self.all(&once)?;
        self.same("a sample of weight n counts as n samples", whole, single)
    }

    fn merging(&mut self) -> Result<(), Broken> {
        let items = self.items();
        let whole = self.all(&items)?;
        let dealt = self.deal(&items, 3);
        let mut cells = Vec::new();
        for part in &dealt {
            cells.push(self.all(part)?);
        }
        let before = self.evaluate(cells[0])?;
        let (left, right, inner) = (self.slot(), self.slot(), self.slot());
        for cell in [cells[0], cells[1], cells[2]] {
            self.merge(left, cell)?;
        }
        for cell in [cells[2], cells[1]] {
            self.merge(inner, cell)?;
        }
        self.merge(right, inner)?;
        self.merge(right, cells[0])?;
        self.same("merge is commutative and associative", left, right)?;
        self.same("merging parts equals accumulating all", whole, left)?;
        if self.evaluate(cells[0])? != before {
            return Err(Broken { law: "merge leaves `from` as it was", seen: "it changed".into() });
        }
        Ok(())
    }

    fn saving(&mut self) -> Result<(), Broken> {
        const LAW: &str = "what was saved and loaded goes on as the original";
        let items = self.items();
        let dealt = self.deal(&items, 2);
        let slot = self.all(&dealt[0])?;
        let before = self.evaluate(slot)?;
        let states = self.saved(slot)?;
        if self.evaluate(slot)? != before {
            return Err(Broken { law: "save leaves evaluate as it was", seen: "it changed".into() });
        }
        let original = std::mem::replace(&mut self.slots, Slots::new((self.make)(), "1"));
        let loaded = self.slots.load(&slot.to_le_bytes(), &states, A::STATE_VERSION);
        loaded.map_err(|seen| Broken { law: LAW, seen })?;
        let after = self.evaluate(slot)?;
        if after != before {
            return Err(Broken { law: LAW, seen: format!("evaluate gives {before:?}, then {after:?}") });
        }
        self.add(slot, &dealt[1])?;
        let continued = (self.evaluate(slot)?, self.saved(slot)?);
        self.slots = original;
        self.add(slot, &dealt[1])?;
        let straight = (self.evaluate(slot)?, self.saved(slot)?);
        if continued != straight {
            return Err(Broken { law: LAW, seen: format!("{straight:?} became {continued:?}") });
        }
        Ok(())
    }

    /// Cells of metrics over current values may be negative, in any order.
    fn taking_back(&mut self) -> Result<(), Broken> {
        const LAW: &str = "what is taken back is as if it had never been";
        let items = self.items();
        let half = self.deal(&items, 2);
        let back: Vec<Item> = half[0].iter().map(|(i, weight)| (*i, -weight)).collect();
        let due = self.all(&half[1])?;
        let (gained, lost) = (self.all(&items)?, self.all(&back)?);
        let (one, other) = (self.slot(), self.slot());
        for (into, cells) in [(one, [gained, lost]), (other, [lost, gained])] {
            for cell in cells {
                self.merge(into, cell)?;
            }
        }
        self.same(LAW, due, one)?;
        self.same(LAW, due, other)?;
        let all_back: Vec<Item> = items.iter().map(|(i, weight)| (*i, -weight)).collect();
        self.add(gained, &all_back)?;
        self.same(LAW, 0, gained)?;
        let bytes = self.saved(gained)?.bytes;
        if bytes.is_empty() {
            Ok(())
        } else {
            Err(Broken { law: LAW, seen: format!("save gives {bytes:?}") })
        }
    }
}

#[cfg(test)]
mod tests;
