//! One loaded metric: its instance, its cells of the running epoch, its windows.

mod absorb;
mod anew;
pub mod cells;
mod cold;
mod evaluate;
mod feed;
mod images;
mod kinds;
mod merge;
mod outputs;
mod persist;
mod restore;
mod sessions;
pub mod windows;

use crate::keys::{Needed, Projection};
use crate::plan::{KindPlan, Plan};
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
use weir_types::rows::{Outbox, Series};
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
    kinds: kinds::Kinds,
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
    series: SeriesTable,
    /// Keys whose outputs changed in the running epoch; None if no derived metric asks.
    changed: Option<Vec<WindowKey>>,
    /// See [`Metric::keep_from`].
    keep_from: Micros,
}

/// The series of a metric's rows, by window kind and dimension set.
pub(crate) struct SeriesTable {
    series: Vec<Arc<Series>>,
    sets: usize,
}

impl SeriesTable {
    pub fn of(info: &MetricInfo, entry: &StoredMetric, kinds: &[KindPlan], sets: &[Name]) -> SeriesTable {
        let whole = Series {
            metric: info.name.as_str().into(),
            incarnation: entry.incarnation,
            digest: entry.digest.as_str().into(),
            outputs: info.outputs.iter().map(|o| o.name.as_str().into()).collect(),
            ..Series::default()
        };
        let one = |(kind, set): (&KindPlan, &Name)| {
            Arc::new(Series { window: kind.name.clone(), dimension_set: set.clone(), ..whole.clone() })
        };
        let all = kinds.iter().flat_map(|kind| sets.iter().map(move |set| (kind, set)));
        SeriesTable { series: all.map(one).collect(), sets: sets.len() }
    }

    pub fn get(&self, kind: u16, set: u16) -> Arc<Series> {
        self.series[kind as usize * self.sets + set as usize].clone()
    }
}

/// What one epoch gives besides state.
#[derive(Debug, Default)]
pub struct EpochRows {
    pub outbox: Outbox,
    pub live: Vec<LiveRow>,
    pub(crate) scratch: Vec<u8>,
}

impl EpochRows {
    /// Makes room for somewhat more rows than an epoch gave: lists that grow are copied again and again.
    pub(crate) fn make_room_as_in(&mut self, before: &EpochRows) {
        let room = |rows: usize| rows + rows / 4;
        self.live.reserve(room(before.live.len()));
        self.outbox.realtime.reserve(room(before.outbox.realtime.len()));
        self.outbox.latest.reserve(room(before.outbox.latest.len()));
    }
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
        let kinds = kinds::Kinds::new(&plan.kinds);
        Ok(Metric {
            instance: factory.open()?,
            factory,
            peaks: cold::Peaks::default(),
            space: shared.space_for(&plan),
            projections: projections.collect(),
            series: SeriesTable::of(&info, &entry, &plan.kinds, &plan.set_names),
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
            kinds,
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

    /// The texts of its keys.
    pub fn needs(&self, needed: &mut Needed) {
        self.projections.iter().for_each(|set| set.space.needs(needed));
    }

    /// How it stands, for the catalogue.
    pub fn catalogue_entry(&self) -> CatalogueEntry {
        catalogue_entry(self.info.clone(), &self.entry, self.cost_now())
    }

    pub fn cost_now(&self) -> MetricCost {
        MetricCost {
            live_slots: self.live_slots(),
            memory_bytes: self.instance.memory_bytes() as u64,
            warned: self.cost.warned + self.instance.warned(),
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
