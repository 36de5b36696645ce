//! One derived metric: computed from the outputs of its bases, with no state but what emission must remember.
//!
//! A value is a pure function of its bases' outputs for the same dimension set, key and window. It is computed
//! when one of them changed in the epoch, when the window closes, and when it is due; always from all bases as
//! they stand at the epoch's end. See docs/adr/0014-derived-metrics.md.

mod finish;
mod plan;

use crate::keys::{KeySpace, Needed};
use crate::metric::{Metric, SeriesTable};
use crate::stored::{Status, StoredMetric, StoredPosition};
use crate::watermark::Watermarks;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::Micros;
use weir_types::contract::{DerivedInstance, GuestError, MetricFactory, MetricInfo};
use weir_types::live::{CatalogueEntry, MetricCost};
use weir_types::ports::StateError;
use weir_types::window::Interval;

pub use finish::End;
pub use plan::Plan;

/// Why the work on a derived metric could not be done.
#[derive(Debug)]
pub enum DerivedError {
    /// The shard cannot go on.
    State(StateError),
    /// One of its bases cannot go on: its place among the running metrics.
    Base(usize, GuestError),
    /// It cannot go on itself.
    Own(GuestError),
}

/// Keys that are looked at with the next epoch, beside those that change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revive {
    Nothing,
    /// After a restart: its bases give their open windows anew. Windows that are closed for a base and not
    /// for all of them stand in nobody's list.
    ClosedForSome,
    /// When it joins: windows that are open, or shown as the newest.
    Open,
    /// When its bases are back: all windows that they keep.
    All,
}

/// A key of one window, in its own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    kind: u16,
    start: Micros,
    set: u16,
    key: u32,
}

/// What is remembered of a key of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Hash of the outputs of the last row emitted, and whether it was a final one.
    emitted: Option<(u64, bool)>,
    /// Hash of the outputs last shown to the serving side.
    shown: Option<u64>,
}

/// Keys of one window. Closed ones are forgotten but for the newest two of a kind.
#[derive(Debug)]
struct Window {
    interval: Interval,
    is_final: bool,
    slots: BTreeMap<(u16, u32), Slot>,
}

/// See the module.
pub struct Derived {
    pub info: Arc<MetricInfo>,
    pub entry: StoredMetric,
    pub plan: Plan,
    /// Least of its bases' at the end of the last epoch for which it was computed.
    pub watermarks: Watermarks,
    /// Why it keeps its last values, if it does.
    pub stale: Option<String>,
    cost: MetricCost,
    instance: Box<dyn DerivedInstance>,
    spaces: Vec<KeySpace>,
    windows: BTreeMap<(u16, Micros), Window>,
    /// Keys to be computed at the end of the running epoch.
    touched: BTreeSet<At>,
    /// Keys that differ from what was emitted, until their tick.
    due: BTreeSet<At>,
    revive: Revive,
    /// Whether [`Derived::position`] is stored.
    pub position_stored: bool,
    series: SeriesTable,
}

impl Derived {
    pub fn new(
        factory: &dyn MetricFactory,
        plan: Plan,
        entry: StoredMetric,
        revive: Revive,
    ) -> Result<Derived, GuestError> {
        let info = Arc::new(plan.complete(factory.info()));
        Ok(Derived {
            instance: factory.open_derived()?,
            spaces: plan.set_types.iter().map(|types| KeySpace::new(types.clone())).collect(),
            series: SeriesTable::of(&info, &entry, &plan.kinds, &plan.set_names),
            info,
            entry,
            plan,
            watermarks: Watermarks::default(),
            stale: None,
            cost: MetricCost::default(),
            windows: BTreeMap::new(),
            touched: BTreeSet::new(),
            due: BTreeSet::new(),
            revive,
            position_stored: false,
        })
    }

    /// The places of its bases among the running metrics, or the sentence that says which does not run.
    pub fn locate(&self, metrics: &[Metric], broken: &BTreeSet<usize>) -> Result<Vec<usize>, String> {
        let place = |base: &plan::Source| {
            let at = metrics.iter().position(|m| m.info.name == base.metric);
            at.filter(|at| !broken.contains(at))
                .ok_or_else(|| format!("its base {} does not run: these are its last values", base.metric))
        };
        self.plan.bases.iter().map(place).collect()
    }

    /// How far it has computed, while it does not: what its bases must keep for it across a restart.
    pub fn position(&self) -> StoredPosition {
        let sources = self.info.inputs.iter().map(|input| input.source.clone());
        let watermarks = sources.map(|source| (source, self.watermarks)).collect();
        StoredPosition { watermarks, ..StoredPosition::default() }
    }

    /// A base does not run: nothing is computed until all do, and then everything.
    pub fn rest(&mut self, reason: String) {
        self.touched.clear();
        self.due.clear();
        self.revive = Revive::All;
        // What was to be emitted in the epoch in which a base failed was not.
        self.forget_emitted();
        self.stale = Some(reason);
    }

    /// Every key that is computed again gives a row again.
    pub fn forget_emitted(&mut self) {
        for window in self.windows.values_mut() {
            window.slots.values_mut().for_each(|slot| slot.emitted = None);
        }
    }

    /// The same, with the next epoch.
    pub fn emit_anew(&mut self) {
        self.forget_emitted();
        self.revive = Revive::All;
    }

    pub fn live_slots(&self) -> u64 {
        self.windows.values().map(|w| w.slots.len() as u64).sum()
    }

    pub fn cost_now(&self) -> MetricCost {
        let memory_bytes = self.instance.memory_bytes() as u64;
        let warned = self.instance.warned();
        MetricCost { live_slots: self.live_slots(), memory_bytes, warned, ..self.cost }
    }

    /// Nanoseconds that its epoch's end took, its bases' part included.
    pub fn spent(&mut self, ns: u64) {
        self.cost.busy_ns += ns;
    }

    /// The texts of its keys.
    pub fn needs(&self, needed: &mut Needed) {
        self.spaces.iter().for_each(|space| space.needs(needed));
    }

    /// How it stands, for the catalogue.
    pub fn catalogue_entry(&self) -> CatalogueEntry {
        let entry = crate::metric::catalogue_entry(self.info.clone(), &self.entry, self.cost_now());
        match (&self.stale, &self.entry.status) {
            (Some(reason), Status::Live) => {
                CatalogueEntry { status: "stale".into(), reason: Some(reason.clone()), ..entry }
            }
            _ => entry,
        }
    }
}
