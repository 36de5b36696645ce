//! What derived metrics take from a base: which of its keys changed, and the outputs of any key.

use super::cold::Chunks;
use super::windows::{Group, Place};
use super::{Metric, MetricError};
use crate::shared::Shared;
use std::collections::BTreeSet;
use weir_types::Micros;
use weir_types::contract::Outputs;
use weir_types::window::Interval;

/// A key of one window, in the numbers of its metric.
#[derive(Clone, Copy, Debug)]
pub struct WindowKey {
    pub kind: u16,
    pub interval: Interval,
    pub set: u16,
    pub key: u32,
}

/// What is asked of a base; no key = one that it has never seen.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub kind: u16,
    pub start: Micros,
    pub end: Micros,
    pub set: u16,
    pub key: Option<u32>,
}

/// What a base knows of one key besides its outputs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holding {
    pub samples: u64,
    pub late: u64,
    pub epoch_first: u64,
}

impl Metric {
    /// Whether changed keys are noted for derived metrics from now on.
    pub fn feed(&mut self, feeds: bool) {
        if self.changed.is_some() != feeds {
            self.changed = feeds.then(Vec::new);
        }
    }

    /// Keys whose outputs changed since the last call.
    pub fn changed(&self) -> &[WindowKey] {
        self.changed.as_deref().unwrap_or_default()
    }

    /// Forgets which keys changed: all derived metrics know.
    pub fn forget_changed(&mut self) {
        self.changed.iter_mut().for_each(Vec::clear);
    }

    /// Windows that correction leaves behind are kept all the same while derived metrics may ask for them:
    /// as if records had come only this far.
    pub fn keep_from(&mut self, records: Micros) {
        self.keep_from = records;
    }

    /// By which windows are forgotten.
    pub(super) fn forgets_by(&self) -> Micros {
        self.watermarks.records.min(self.keep_from)
    }

    /// Whether what it says of a window is so: false once the window was forgotten.
    pub fn knows(&self, kind: u16, start: Micros, end: Micros) -> bool {
        let keep_for = self.plan.kinds[kind as usize].keep_for;
        let may_come =
            || end.saturating_add(keep_for) > self.forgets_by() && !self.kinds.has_forgotten(kind, end);
        self.plan.is_now || self.windows.find(kind, start).is_some() || may_come()
    }

    /// Mask and values of a key.
    pub fn key(&self, set: u16, key: u32) -> &[i64] {
        self.projections[set as usize].space.get(key)
    }

    /// The number of a key, if it was ever seen.
    pub fn find_key(&self, set: u16, key: &[i64]) -> Option<u32> {
        self.projections[set as usize].space.find(key)
    }

    /// All keys of the windows of one kind that are wanted, those in the store alone included.
    pub fn keys_of(&self, kind: u16, wanted: impl Fn(&Group) -> bool) -> Vec<WindowKey> {
        let groups = self.windows.groups().filter(|(_, group)| group.kind == kind && wanted(group));
        let keys = groups.flat_map(|(_, group)| {
            let interval = group.interval;
            group.keys().map(move |(set, key)| WindowKey { kind, interval, set, key })
        });
        keys.collect()
    }

    /// Start of the newest window of a kind but one.
    pub fn newest_two(&self, kind: u16) -> Option<Micros> {
        self.windows.newest_two(kind)
    }

    /// Outputs of keys as they stand after [`Metric::finish`]: those of 'nothing' where a key holds nothing. Cold
    /// slots are read for it, and left again.
    pub fn outputs_of(
        &mut self,
        asked: &[Asked],
        clock: Micros,
        shared: &mut Shared,
        chunks: &Chunks<'_>,
    ) -> Result<(Outputs, Vec<Option<Holding>>), MetricError> {
        let cold = asked.iter().filter_map(|a| match self.place_of(a)? {
            (group, Place::Cold(part)) => Some((group, part)),
            (_, Place::Hot(_)) => None,
        });
        let cold: BTreeSet<(u32, u32)> = cold.collect();
        for (group, part) in &cold {
            self.warm(*group, *part, shared, chunks)?;
        }
        let slots: Vec<u32> = asked.iter().map(|a| self.slot_of(a).unwrap_or(0)).collect();
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        if !self.plan.is_now {
            (starts, ends) = asked.iter().map(|a| (a.start, a.end)).unzip();
        }
        let outputs = self.instance.evaluate(&slots, &starts, &ends, clock)?;
        let holding = |number: &u32| {
            let slot = self.windows.get(*number)?;
            Some(Holding { samples: slot.samples, late: slot.late, epoch_first: slot.epoch_first })
        };
        let holdings = slots.iter().map(holding).collect();
        self.cool_seen(cold.into_iter().collect(), 0)?;
        Ok((outputs, holdings))
    }

    fn place_of(&self, asked: &Asked) -> Option<(u32, Place)> {
        let group = self.windows.find(asked.kind, asked.start)?;
        Some((group, self.windows.place(group, asked.set, asked.key?)?))
    }

    /// The slot of a key that holds something.
    fn slot_of(&self, asked: &Asked) -> Option<u32> {
        let (_, Place::Hot(number)) = self.place_of(asked)? else { return None };
        self.windows.get(number).filter(|slot| slot.weight != 0).map(|_| number)
    }
}
