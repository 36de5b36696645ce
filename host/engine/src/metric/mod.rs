//! One loaded metric: its instance, its cells of the running epoch, its windows.

mod absorb;
mod anew;
pub mod cells;
mod cold;
mod evaluate;
mod feed;
mod images;
mod merge;
mod outputs;
mod persist;
mod restore;
mod sessions;
pub mod windows;

use crate::keys::Projection;
use crate::plan::Plan;
use crate::shared::Shared;
use crate::stored::{Status, StoredMetric};
use crate::watermark::Watermarks;
use cells::{CellTable, PaneRule};
use sessions::Sessions;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::contract::{GuestError, MetricFactory, MetricInfo, MetricInstance};
use weir_types::live::{CatalogueEntry, LiveRow, MetricCost};
use weir_types::ports::StateError;
use weir_types::rows::Outbox;
use weir_types::{Micros, Name};
use windows::{Numbers, Windows};

pub use absorb::Running;
pub use cold::Chunks;
pub(crate) use evaluate::{SLOTS_PER_CALL, Ways};
pub use feed::{Asked, Holding, WindowKey};
pub use images::ImageBatch;
#[cfg(test)]
pub use outputs::text as text_of;
pub use outputs::{hash as hash_of, row as output_row};
pub use persist::forgotten;

/// Why the work on a metric could not be done.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// The shard cannot go on.
    #[error(transparent)]
    State(#[from] StateError),
    /// The metric cannot go on.
    #[error(transparent)]
    Guest(#[from] GuestError),
}

/// See the module.
pub struct Metric {
    pub info: Arc<MetricInfo>,
    pub plan: Plan,
    pub entry: StoredMetric,
    pub cost: MetricCost,
    /// By which lateness is decided in the running epoch.
    pub watermarks: Watermarks,
    instance: Box<dyn MetricInstance>,
    /// Opens another instance when this one has grown too large.
    factory: Arc<dyn MetricFactory>,
    peaks: cold::Peaks,
    /// Index of its full key space in [`Shared::spaces`].
    space: usize,
    projections: Vec<Projection>,
    numbers: Numbers,
    cells: CellTable,
    windows: Windows,
    sessions: Sessions,
    /// Slots to evaluate at the next occasion: touched, or changed and not yet emitted.
    due: Vec<u32>,
    /// Windows that are not closed yet, by end.
    open: BTreeMap<(Micros, u32), ()>,
    /// Closed or open windows, by the time at which correction ends.
    kept: BTreeMap<(Micros, u32), ()>,
    /// Epochs whose cells are stored and not yet covered by a checkpoint.
    stored_cells: Vec<u64>,
    /// Cold parts that were not evaluated since the restart: (group, part).
    unseen: Vec<(u32, u32)>,
    /// Stored chunks of windows that are gone: (kind, start, number of parts).
    dropped: Vec<(u16, Micros, u32)>,
    /// Whether its next checkpoint must be a whole one, at the end of the running epoch.
    whole: bool,
    /// Nanoseconds of the running epoch by stage.
    pub stages: BTreeMap<&'static str, u64>,
    names: Names,
    /// Keys whose outputs changed in the running epoch; None if no derived metric asks.
    changed: Option<Vec<WindowKey>>,
    /// See [`Metric::keep_from`].
    keep_from: Micros,
}

/// What all its rows share.
pub(crate) struct Names {
    pub metric: Name,
    pub digest: Name,
    pub outputs: Vec<Name>,
}

impl Names {
    pub fn of(info: &MetricInfo, digest: &str) -> Names {
        Names {
            metric: info.name.as_str().into(),
            digest: digest.into(),
            outputs: info.outputs.iter().map(|o| o.name.as_str().into()).collect(),
        }
    }
}

/// What one epoch gives besides state.
#[derive(Debug, Default)]
pub struct EpochRows {
    pub outbox: Outbox,
    pub live: Vec<LiveRow>,
    pub(crate) scratch: Vec<u8>,
}

/// The end of an epoch, as metrics see it.
#[derive(Clone, Copy, Debug)]
pub struct Boundary {
    pub epoch: u64,
    pub clock: Micros,
    /// The clock of the epoch before, for emission ticks; None at the first.
    pub clock_before: Option<Micros>,
    /// Whether every due row is emitted, tick or not.
    pub flush: bool,
}

impl Metric {
    pub fn new(
        factory: Arc<dyn MetricFactory>,
        plan: Plan,
        entry: StoredMetric,
        shared: &mut Shared,
    ) -> Result<Metric, GuestError> {
        let info = Arc::new(factory.info().clone());
        let projections = plan.sets.iter().map(|s| Projection::new(&plan.dimension_types, s.clone()));
        Ok(Metric {
            instance: factory.open()?,
            factory,
            peaks: cold::Peaks::default(),
            space: shared.space_for(&plan),
            projections: projections.collect(),
            names: Names::of(&info, &entry.digest),
            info,
            plan,
            entry,
            cost: MetricCost::default(),
            watermarks: Watermarks::default(),
            numbers: Numbers::default(),
            cells: CellTable::default(),
            windows: Windows::default(),
            sessions: Sessions::default(),
            due: Vec::new(),
            open: BTreeMap::new(),
            kept: BTreeMap::new(),
            stored_cells: Vec::new(),
            unseen: Vec::new(),
            dropped: Vec::new(),
            whole: false,
            changed: None,
            keep_from: Micros::MAX,
            stages: BTreeMap::new(),
        })
    }

    fn pane_rule(&self) -> PaneRule {
        PaneRule { length: self.plan.pane, by_day: self.plan.by_day }
    }

    /// Whether the end of an epoch has work for it, without any new sample.
    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Whether cold parts have still to be evaluated after a restart.
    pub fn has_unseen(&self) -> bool {
        !self.unseen.is_empty()
    }

    /// Whether a window would close under these watermarks.
    pub fn closes_by(&self, watermarks: Watermarks) -> bool {
        self.open.first_key_value().is_some_and(|((end, _), ())| *end <= watermarks.closing)
            || self.sessions.closes_by(watermarks.closing)
    }

    pub fn live_slots(&self) -> u64 {
        self.windows.live()
    }

    /// How it stands, for the catalogue.
    pub fn catalogue_entry(&self) -> CatalogueEntry {
        catalogue_entry(self.info.clone(), &self.entry, self.cost_now())
    }

    pub fn cost_now(&self) -> MetricCost {
        MetricCost {
            live_slots: self.live_slots(),
            memory_bytes: self.instance.memory_bytes() as u64,
            ..self.cost
        }
    }

    fn spent(&mut self, stage: &'static str, from: std::time::Duration, to: std::time::Duration) {
        let ns = to.saturating_sub(from).as_nanos() as u64;
        *self.stages.entry(stage).or_default() += ns;
        self.cost.busy_ns += ns;
    }
}

/// The catalogue's line for a metric of the metric table.
pub fn catalogue_entry(info: Arc<MetricInfo>, entry: &StoredMetric, cost: MetricCost) -> CatalogueEntry {
    let (status, reason) = match &entry.status {
        Status::Live => ("live", None),
        Status::Quarantined { epoch, reason } => {
            ("quarantined", Some(format!("stopped at epoch {epoch}: {reason}")))
        }
        Status::Retired => ("retired", None),
        Status::Suspended { epoch, reason } => {
            ("suspended", Some(format!("stopped at epoch {epoch}: {reason}")))
        }
        Status::CatchingUp => {
            ("catching-up", Some("it reads what it has missed since it was stopped".into()))
        }
    };
    CatalogueEntry {
        info,
        incarnation: entry.incarnation,
        digest: entry.digest.clone(),
        status: status.into(),
        reason,
        since: entry.since,
        cost,
    }
}
