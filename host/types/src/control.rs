//! What an operator may ask of a running engine.

use crate::Micros;
use crate::live::CatalogueEntry;
use crate::record::TopicPartition;
use crate::rows::{DeadLetterRow, DeadOutcome};

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The component was refused: which file, metric and field, and why.
    #[error("{0}")]
    Refused(String),
    #[error("no metric is called {0}")]
    NotFound(String),
    #[error("no source is called {0}")]
    UnknownSource(String),
    /// A metric of that name is loaded; retire it first.
    #[error("{0}")]
    Conflict(String),
    /// It does not fit how things stand: the source does not hold.
    #[error("{0}")]
    WrongState(String),
    /// The engine is stopping or not yet ready.
    #[error("{0}")]
    Unavailable(String),
}

/// What is to be done about the rebuild of a source's row table from a new snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resnapshot {
    /// Begin; the snapshot itself is asked of the upstream, afterwards.
    Begin,
    /// The snapshot is over, though its records do not say so.
    Finish,
    /// Give up; rows stay as they are.
    Cancel,
}

/// What became of a dead letter that was to be redriven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redriven {
    Applied,
    /// There was nothing to apply: why.
    Skipped(String),
    /// It still cannot be read: code and reason.
    Dead {
        code: String,
        reason: String,
    },
    /// It was left alone: why.
    Refused(String),
}

impl Redriven {
    /// A stable word.
    pub fn name(&self) -> &'static str {
        match self {
            Redriven::Applied => "applied",
            Redriven::Skipped(_) => "skipped",
            Redriven::Dead { .. } => "dead",
            Redriven::Refused(_) => "refused",
        }
    }
}

/// The running engine as the API sees it. Calls block until the change is durable; never call them
/// from an async task.
pub trait Control: Send + Sync {
    /// Loads every metric of a component from the next epoch on. `origin` names the file.
    fn push(&self, origin: &str, component: Vec<u8>) -> Result<Vec<CatalogueEntry>, ControlError>;
    fn list(&self) -> Result<Vec<CatalogueEntry>, ControlError>;
    /// The metric leaves at the next epoch boundary; its rows stay, its view shows nothing.
    fn retire(&self, metric: &str) -> Result<(), ControlError>;
    /// Rebuilds the row table of a source from a snapshot that the upstream is to send.
    fn resnapshot(&self, source: &str, step: Resnapshot) -> Result<(), ControlError>;
    /// Lets a source that holds go on: its batch is tried again, or, with `accept_dead`, taken as it
    /// is, and what cannot be read becomes dead letters until a batch is within the share again.
    fn resume(&self, source: &str, accept_dead: bool) -> Result<(), ControlError>;
    /// Takes up dead letters of whole records again, each once: read from the broker by their
    /// coordinates, else from their stored bytes. Answers in their order.
    fn redrive(&self, letters: Vec<DeadLetterRow>) -> Result<Vec<Redriven>, ControlError>;
    /// Lets a source that has stopped go on with what the broker still holds; the gap is noted.
    fn restart(&self, source: &str) -> Result<(), ControlError>;
}

/// A request for the course of one key of a metric over time.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    pub metric: String,
    pub window: String,
    pub dimension_set: String,
    pub dims: Vec<String>,
    /// Window starts in [from, to), microseconds.
    pub from: i64,
    pub to: i64,
    /// At most this many points, the newest.
    pub limit: u32,
}

/// One point of a series.
#[derive(Clone, Debug)]
pub struct SeriesPoint {
    pub start: i64,
    pub end: i64,
    pub outputs: Vec<(String, crate::rows::OutputValue)>,
    pub is_final: bool,
    pub complete: bool,
}

/// A request for dead letters. What is not given does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadQuery {
    pub topics: Vec<String>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    /// Empty = of whole records.
    pub metric: Option<String>,
    pub code: Option<String>,
    pub outcome: Option<DeadOutcome>,
    /// The clock when they were read or last taken up, in [from, to).
    pub from: Option<Micros>,
    pub to: Option<Micros>,
    /// Only those after this one: topic, partition, offset, metric.
    pub after: Option<(TopicPartition, i64, String)>,
    pub limit: u32,
    /// Whether key and value are wanted; else they are empty.
    pub bytes: bool,
}

/// History from the store of results. Blocks; never call it from an async task.
pub trait History: Send + Sync {
    /// Ascending by start. The error is a sentence for people.
    fn series(&self, query: &SeriesQuery) -> Result<Vec<SeriesPoint>, String>;
    /// Ascending by topic, partition, offset and metric.
    fn dead_letters(&self, query: &DeadQuery) -> Result<Vec<DeadLetterRow>, String>;
}
