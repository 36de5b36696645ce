//! Formats that say where one metric stands by itself, and which columns have ceased to fit.

use super::{StoredPartition, append, body_of, encode_in, read, read_first};
use crate::watermark::Watermarks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weir_types::Micros;
use weir_types::ports::StateError;
use weir_types::record::{OwnedRecord, Rekey, TopicPartition};

/// 2: what was missed follows.
const FORMAT: u8 = 2;

/// Where a metric stands that is not where the shard is: it was stopped, or is catching up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredPosition {
    /// Where its own reader begins.
    pub partitions: BTreeMap<TopicPartition, StoredPartition>,
    /// Rows before these were shown to it already.
    pub shown: Vec<StoredShown>,
    /// By source, as they were when it was stopped, or as its own reader has moved them.
    pub watermarks: BTreeMap<String, Watermarks>,
    /// Dead letters below its position that were redriven in the epoch whose work it lost.
    #[serde(skip)]
    pub missed: Vec<StoredMissed>,
}

/// A record that a metric has missed, whole: where it lies says nothing, since the metric is past it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredMissed {
    pub partition: TopicPartition,
    pub offset: i64,
    timestamp: Option<Micros>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    rekey: Rekey,
}

impl StoredMissed {
    pub fn new(partition: TopicPartition, offset: i64, record: OwnedRecord) -> StoredMissed {
        let OwnedRecord { timestamp, key, value, rekey } = record;
        StoredMissed { partition, offset, timestamp, key, value, rekey }
    }

    pub fn record(self) -> OwnedRecord {
        let StoredMissed { timestamp, key, value, rekey, .. } = self;
        OwnedRecord { timestamp, key, value, rekey }
    }
}

/// Bytes of a stored position.
pub fn encode_position(position: &StoredPosition) -> Vec<u8> {
    let mut bytes = encode_in(FORMAT, position);
    append(&mut bytes, &position.missed);
    bytes
}

/// A stored position from its bytes, of this version or an older one.
pub fn decode_position(bytes: &[u8]) -> Result<StoredPosition, StateError> {
    let what = "position";
    let (format, body) = body_of(what, bytes, FORMAT)?;
    let (position, rest) = read_first::<StoredPosition>(what, body)?;
    let missed = if format == 1 { Vec::new() } else { read(what, rest)? };
    Ok(StoredPosition { missed, ..position })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_of_the_first_format_has_missed_nothing_and_one_of_the_second_says_what() {
        let partition = TopicPartition { topic: "t".into(), partition: 1 };
        let shown = StoredShown { source: "t".into(), partition: partition.clone(), offset: 7, row: 2 };
        let mut position = StoredPosition { shown: vec![shown], ..StoredPosition::default() };
        assert_eq!(decode_position(&encode_in(1, &position)).expect("read"), position);
        let record = OwnedRecord { value: Some(b"{}".to_vec()), ..OwnedRecord::default() };
        position.missed.push(StoredMissed::new(partition, 3, record));
        let bytes = encode_position(&position);
        assert_eq!(decode_position(&bytes).expect("read"), position);
        assert!(decode_position(&bytes[..bytes.len() - 1]).is_err());
    }
}
