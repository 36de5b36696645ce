//! Rows that an epoch gives to ClickHouse: what the outbox holds and delivery inserts.

use crate::record::{Rekey, TopicPartition};
use crate::{Micros, Name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One output of one slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OutputValue {
    Null,
    Int(i64),
    Float(f64),
    Bool(bool),
    /// Microseconds since the Unix epoch.
    Time(Micros),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Vec<String>),
}

/// What all rows of one incarnation of a metric, one window kind and one dimension set have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub metric: Name,
    pub incarnation: i64,
    /// [`crate::window::Window::name`].
    pub window: Name,
    /// [`crate::key::set_name`].
    pub dimension_set: Name,
    /// Hex digest of the component.
    pub digest: Name,
    /// Names of the outputs, in the order of the metric's description.
    pub outputs: Vec<Name>,
}

/// One value of `metric_realtime`. Key: metric, incarnation, window, dimension_set, dims, start.
#[derive(Clone, Debug, PartialEq)]
pub struct RealtimeRow {
    pub series: Arc<Series>,
    /// Canonical texts ([`crate::key`]), in the set's order.
    pub dims: Arc<[String]>,
    /// Days since 1970-01-01 of the local day of `start`.
    pub day: i32,
    pub start: Micros,
    /// Equal to `start` for `now`.
    pub end: Micros,
    /// As many as the series has outputs, in their order.
    pub values: Arc<[OutputValue]>,
    pub is_final: bool,
    /// False where the window began before the metric's coverage did.
    pub complete: bool,
    pub watermark: Micros,
    /// The epoch that gave this row; delivery makes the version from it.
    pub epoch: u64,
    /// The epoch that first touched the window.
    pub epoch_first: u64,
    pub samples: u64,
    pub late: u64,
    /// Merged sessions only.
    pub deleted: bool,
}

impl RealtimeRow {
    /// Its outputs by name.
    pub fn outputs(&self) -> impl Iterator<Item = (&Name, &OutputValue)> {
        self.series.outputs.iter().zip(&*self.values)
    }
}

/// Counts of one partition in one epoch: read = applied + skipped + dead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub read: u64,
    pub applied: u64,
    /// By reason: tombstone, ddl, mark, heartbeat, unknown_table, repeat.
    pub skipped: BTreeMap<String, u64>,
    pub dead: u64,
}

impl Counts {
    /// All skipped records.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }
    pub fn add(&mut self, other: &Counts) {
        self.read += other.read;
        self.applied += other.applied;
        self.dead += other.dead;
        for (reason, n) in &other.skipped {
            *self.skipped.entry(reason.clone()).or_default() += n;
        }
    }
}

/// What one epoch took from one partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochPartition {
    pub partition: TopicPartition,
    /// Offsets [from, to): `to` is the next offset to read.
    pub from: i64,
    pub to: i64,
    pub counts: Counts,
}

/// Offsets of a partition that nobody will read, by an operator's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub partition: TopicPartition,
    /// The next offset that would have been read.
    pub from: i64,
    /// Where reading went on; less than `from` where the topic was made anew.
    pub to: i64,
}

/// One row of `epochs`: what an epoch read, and when. Key: epoch, version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    pub epoch: u64,
    /// The epoch's clock.
    pub clock: Micros,
    pub partitions: Vec<EpochPartition>,
    /// Digest of each loaded metric.
    pub digests: BTreeMap<String, String>,
    pub gaps: Vec<Gap>,
    /// Dead letters taken up in it; they are in no partition's counts, which they entered when read.
    pub redriven: Vec<RedrivenRecord>,
}

/// A dead letter that was taken up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedrivenRecord {
    pub partition: TopicPartition,
    pub offset: i64,
    pub outcome: DeadOutcome,
}

/// What has become of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadOutcome {
    /// It is still one.
    Dead,
    /// Redriven: its change was applied.
    Applied,
    /// Redriven: there was nothing to apply (a repeat, or a record of no declared table).
    Skipped,
}

impl DeadOutcome {
    pub const ALL: [DeadOutcome; 3] = [DeadOutcome::Dead, DeadOutcome::Applied, DeadOutcome::Skipped];

    /// The reverse of [`DeadOutcome::name`].
    pub fn find(name: &str) -> Option<DeadOutcome> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
    /// As it stands in `dead_letters.outcome`.
    pub fn name(self) -> &'static str {
        match self {
            DeadOutcome::Dead => "dead",
            DeadOutcome::Applied => "applied",
            DeadOutcome::Skipped => "skipped",
        }
    }
}

/// One row of `late_events`: a sample (or part of a span) that came too late for some windows.
/// Key: metric, incarnation, topic, partition, offset, row, sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateEventRow {
    pub metric: String,
    pub incarnation: i64,
    pub partition: TopicPartition,
    pub offset: i64,
    pub row: u32,
    /// Number among the samples of its row; each part of a span that was cut into panes has one.
    pub sample: u32,
    /// The sample's time.
    pub time: Micros,
    /// Names of the windows that it missed.
    pub windows: Vec<String>,
    pub weight: i64,
    /// Dimension values of the finest key.
    pub dims: Vec<String>,
    /// The watermark that had passed.
    pub watermark: Micros,
    pub epoch: u64,
}

/// One row of `dead_letters`. Key: topic, partition, offset, metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterRow {
    pub partition: TopicPartition,
    pub offset: i64,
    /// Empty when the record could not be read at all; else the metric that could not use it.
    pub metric: String,
    /// A stable word: `not-json`, `wrong-shape`, `key`, `registry-framed`, `too-large`, `future-time`, ….
    pub code: String,
    /// One sentence for people.
    pub reason: String,
    /// The first 64 kB of the record's key and value.
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Whether they are the whole key and value.
    pub whole: bool,
    pub rekey: Rekey,
    pub outcome: DeadOutcome,
    /// The epoch's clock.
    pub clock: Micros,
    pub epoch: u64,
}

/// One row of `promoted`: the incarnation of a metric that views and API show. Key: metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromotedRow {
    pub metric: String,
    pub incarnation: i64,
    pub digest: String,
    /// True once the metric is retired: views show nothing.
    pub retired: bool,
    pub epoch: u64,
}

/// One row of `audit`: what an operator changed, or the host by itself. Key: epoch, number, version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    pub epoch: u64,
    /// Place within the epoch.
    pub number: u32,
    /// The clock when it happened.
    pub clock: Micros,
    /// A stable word: `source-held`, `source-resumed`, `source-stopped`, `source-restarted`, `gap`, ….
    pub action: String,
    /// What it was done to: the name of a source, a partition, a record.
    pub subject: String,
    /// One sentence for people.
    pub detail: String,
}

/// All rows of one epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outbox {
    pub realtime: Vec<RealtimeRow>,
    /// Rows of `metric_latest`: as `realtime`, with `window` = `now`; key without start.
    pub latest: Vec<RealtimeRow>,
    pub epochs: Vec<EpochRow>,
    pub late_events: Vec<LateEventRow>,
    pub dead_letters: Vec<DeadLetterRow>,
    pub promoted: Vec<PromotedRow>,
    pub audit: Vec<AuditRow>,
}

impl Outbox {
    pub fn len(&self) -> usize {
        self.realtime.len()
            + self.latest.len()
            + self.epochs.len()
            + self.late_events.len()
            + self.dead_letters.len()
            + self.promoted.len()
            + self.audit.len()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Version of a row: greater for a later generation, within it for a later epoch.
/// `generation` < 2²³, `epoch` < 2⁴⁰.
pub fn version(generation: u64, epoch: u64) -> u64 {
    (generation << 40) + epoch
}
