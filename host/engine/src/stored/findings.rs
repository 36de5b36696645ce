//! Formats of what was found out about changes that somebody has to read again.

use super::StoredRowCell;
use serde::{Deserialize, Serialize};
use weir_types::batch::Op;
use weir_types::record::TopicPartition;

/// That there are findings of a partition and an epoch: read without the findings themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSpan {
    pub partition: TopicPartition,
    pub epoch: u64,
    /// Offsets [from, next) were read in the epoch; the least number = from the partition's beginning.
    pub from: i64,
    pub next: i64,
    /// Of the findings.
    pub bytes: u64,
}

/// What was found out about the changes of one source, partition and epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredFindings {
    /// Columns of the images, and how each was declared.
    pub columns: Vec<(String, String)>,
    /// Texts of cells, each once.
    pub texts: Vec<String>,
    /// By offset and row. A row of the partition that is not here was a repeat, or none of the source's.
    pub rows: Vec<StoredFinding>,
}

/// What was found out about one row of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredFinding {
    pub offset: i64,
    /// Number of the row in its record.
    pub row: u32,
    /// None where the record says by itself what happened.
    pub change: Option<StoredChange>,
}

/// What a record did that says only what its key has from then on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredChange {
    pub op: StoredOp,
    /// The image before, if there was one.
    pub before: Option<Vec<StoredRowCell>>,
}

/// [`Op`] of a change that was told by its row alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredOp {
    Insert,
    Update,
    Delete,
    /// The end of a row that nobody knew: no event.
    Nothing,
}

impl From<Op> for StoredOp {
    fn from(op: Op) -> StoredOp {
        match op {
            Op::Insert => StoredOp::Insert,
            Op::Update => StoredOp::Update,
            Op::Delete => StoredOp::Delete,
            _ => StoredOp::Nothing,
        }
    }
}

impl From<StoredOp> for Op {
    fn from(op: StoredOp) -> Op {
        match op {
            StoredOp::Insert => Op::Insert,
            StoredOp::Update => Op::Update,
            StoredOp::Delete => Op::Delete,
            StoredOp::Nothing => Op::RekeyDelete,
        }
    }
}
