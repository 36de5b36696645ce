//! Formats that say where one metric stands by itself, and which columns have ceased to fit.

use super::StoredPartition;
use crate::watermark::Watermarks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weir_types::record::TopicPartition;

/// Where a metric stands that is not where the shard is: it was stopped, or is catching up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredPosition {
    /// Where its own reader begins.
    pub partitions: BTreeMap<TopicPartition, StoredPartition>,
    /// Rows before these were shown to it already.
    pub shown: Vec<StoredShown>,
    /// By source, as they were when it was stopped, or as its own reader has moved them.
    pub watermarks: BTreeMap<String, Watermarks>,
}

/// The first row of a source in a partition that a metric has not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredShown {
    pub source: String,
    pub partition: TopicPartition,
    pub offset: i64,
    /// Number of the row in its record.
    pub row: u32,
}

/// A column that has not fitted lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRun {
    pub source: String,
    pub column: String,
    /// How the column was declared.
    pub declared: String,
    /// Rows in a row that lack it, over all partitions.
    pub rows: u64,
    pub partitions: BTreeMap<TopicPartition, StoredRunStart>,
}

/// Since when the rows of a partition lack a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRunStart {
    pub offset: i64,
    /// Number of the row in its record.
    pub row: u32,
    /// Where the partition stood at the end of the epoch before; None = at its beginning.
    pub before: Option<StoredPartition>,
}
