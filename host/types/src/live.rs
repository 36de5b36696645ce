//! What the engine tells the serving side, once an epoch is durable.

use crate::Micros;
use crate::contract::MetricInfo;
use crate::record::TopicPartition;
use crate::rows::{Counts, OutputValue, Series};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A metric that is loaded.
#[derive(Clone, Debug)]
pub struct CatalogueEntry {
    pub info: Arc<MetricInfo>,
    pub incarnation: i64,
    pub digest: String,
    /// `live`, `quarantined`, `suspended`, `catching-up`, `retired`; of a derived metric also `stale`.
    pub status: String,
    /// Why, where the status needs a reason.
    pub reason: Option<String>,
    /// The epoch's clock when it joined.
    pub since: Micros,
    pub cost: MetricCost,
}

impl CatalogueEntry {
    /// Whether it does not run, and a mended version of it could take its place.
    pub fn is_stopped(&self) -> bool {
        matches!(self.status.as_str(), "quarantined" | "suspended")
    }
}

/// What a metric has cost since it was loaded in this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricCost {
    /// Nanoseconds in calls into the metric.
    pub busy_ns: u64,
    /// Rows given to `observe` and `observe-image`.
    pub rows_in: u64,
    pub samples: u64,
    /// Rows not shown because a field did not fit, and rows rejected by the metric.
    pub excluded: u64,
    pub rejected: u64,
    /// Samples without a time.
    pub skipped: u64,
    /// Samples too late for at least one window.
    pub late: u64,
    pub live_slots: u64,
    pub memory_bytes: u64,
    /// Crashes, time-outs and contract breaks.
    pub failures: u64,
    /// Lines that the metric logged as a warning or an error, those over its limits included.
    pub warned: u64,
}

/// The newest value of one key in one window kind.
#[derive(Clone, Debug)]
pub struct LiveRow {
    pub series: Arc<Series>,
    /// Canonical texts, in the set's order.
    pub dims: Arc<[String]>,
    pub start: Micros,
    pub end: Micros,
    /// As many as the series has outputs, in their order.
    pub values: Arc<[OutputValue]>,
    pub is_final: bool,
    pub complete: bool,
    pub samples: u64,
    /// True when the key no longer holds anything: remove it from the cache.
    pub gone: bool,
}

/// How a source stands.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    pub name: String,
    pub watermark: Option<Micros>,
    /// Why it does not move, if it does not.
    pub trouble: Option<String>,
    pub partitions: Vec<PartitionStatus>,
}

#[derive(Clone, Debug)]
pub struct PartitionStatus {
    pub partition: TopicPartition,
    pub next_offset: i64,
    pub caught_up: bool,
    pub idle: bool,
    pub greatest_event_time: Option<Micros>,
    /// Since the start of the process.
    pub counts: Counts,
    /// Dead letters taken up, since the start of the process.
    pub redriven: u64,
}

/// One durable epoch.
#[derive(Clone, Debug)]
pub struct EpochUpdate {
    pub epoch: u64,
    pub clock: Micros,
    pub generation: Option<u64>,
    /// Changed values; for a key in several windows of a kind only the newest window is shown.
    pub rows: Vec<LiveRow>,
    /// Set when the catalogue changed, and on the first update.
    pub catalogue: Option<Arc<Vec<CatalogueEntry>>>,
    pub costs: BTreeMap<String, MetricCost>,
    pub sources: Vec<SourceStatus>,
    /// Nanoseconds of this epoch by stage: `decode`, `watch`, `rows`, `observe`, `accumulate`, `merge`,
    /// `evaluate`, `encode`, `write`.
    pub stages_ns: BTreeMap<&'static str, u64>,
    /// Bytes of the durable write.
    pub write_bytes: u64,
}

/// A reason for which the host is not ready, or works with less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// A stable word: `kafka`, `clickhouse`, `state`, `recovery`, `held`, `stopped`, `stalled`, `resnapshot`,
    /// `suspended`.
    pub part: &'static str,
    /// Whether it makes `/readyz` fail.
    pub blocking: bool,
    /// What is wrong and what is done about it.
    pub reason: String,
}

/// Receives updates, in order, on the engine's commit thread; must not block for long.
pub trait Publisher: Send + Sync {
    fn publish(&self, update: EpochUpdate);
    /// Replaces what is said of one part; None = it is well.
    fn condition(&self, part: &'static str, condition: Option<Condition>);
    /// How long after their reading records have come to a stage: `decoded`, `committed`, `published`,
    /// `delivered`; each age with its number of records. Called on the thread of the stage.
    fn latency(&self, stage: &'static str, ages: &[(Duration, u64)]);
    /// The engine works and has nothing to commit; `clock` is its clock. Told about once an epoch's length.
    fn alive(&self, _clock: Micros) {}
    /// How delivery stands: epochs waiting and rows inserted since the start.
    fn delivery(&self, waiting_epochs: u64, waiting_rows: u64, inserted_rows: u64);
}
