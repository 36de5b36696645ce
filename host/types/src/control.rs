//! What an operator may ask of a running engine.

use crate::live::CatalogueEntry;

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The component was refused: which file, metric and field, and why.
    #[error("{0}")]
    Refused(String),
    #[error("no metric is called {0}")]
    NotFound(String),
    /// A metric of that name is loaded; retire it first.
    #[error("{0}")]
    Conflict(String),
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

/// History from the store of results. Blocks; never call it from an async task.
pub trait History: Send + Sync {
    /// Ascending by start. The error is a sentence for people.
    fn series(&self, query: &SeriesQuery) -> Result<Vec<SeriesPoint>, String>;
}
