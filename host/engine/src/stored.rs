//! What stands in the state store, and under which keys. Every key begins with the shard; every
//! value begins with the version of its format.

mod findings;
mod kinds;
mod outbox;
mod position;
mod rows;

use crate::keys::StoredKey;
use crate::watermark::Watermarks;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use weir_types::Micros;
use weir_types::batch::{Origin, Position};
use weir_types::ports::{StateError, reserved};
use weir_types::record::TopicPartition;

pub use findings::{StoredChange, StoredFinding, StoredFindings, StoredSpan};
pub use kinds::{StoredKinds, decode_kinds, encode_kinds};
pub use outbox::{decode_outbox, encode_outbox};
pub use position::{
    StoredMissed, StoredPosition, StoredRun, StoredRunStart, StoredShown, decode_position, encode_position,
};
pub use rows::{
    RowsWriter, StoredBegan, StoredRebuild, StoredRow, StoredRowCell, StoredRows, StoredTable, decode_rows,
    decode_table, encode_table,
};

/// The version of every format here that does not say otherwise. Raise it, and read the old one, when one changes.
const FORMAT: u8 = 1;

/// Keys of the store.
#[derive(Clone, Debug)]
pub struct Keyspace {
    shard: String,
}

impl Keyspace {
    pub fn new(shard: &str) -> Keyspace {
        Keyspace { shard: shard.to_string() }
    }
    pub fn head(&self) -> Vec<u8> {
        format!("{}/head", self.shard).into()
    }
    /// What an import made lost; there until the first epoch after it is delivered.
    pub fn imported(&self) -> Vec<u8> {
        reserved::imported(&self.shard)
    }
    /// Cells that one metric got in one epoch.
    pub fn cells(&self, metric: &str, incarnation: i64, epoch: u64) -> Vec<u8> {
        format!("{}{epoch:020}", self.cells_of(metric, incarnation)).into()
    }
    pub fn cells_of(&self, metric: &str, incarnation: i64) -> String {
        format!("{}/cells/{metric}/{incarnation}/", self.shard)
    }
    /// What the windows of a metric are, and how long they are corrected.
    pub fn kinds(&self, metric: &str, incarnation: i64) -> Vec<u8> {
        format!("{}/kinds/{metric}/{incarnation}", self.shard).into()
    }
    /// A part of the slots of one window.
    pub fn chunk(&self, metric: &str, incarnation: i64, window: &str, start: Micros, part: u32) -> Vec<u8> {
        format!("{}{window}/{start}/{part:08}", self.chunks_of(metric, incarnation)).into()
    }
    pub fn chunks_of(&self, metric: &str, incarnation: i64) -> String {
        format!("{}/chunk/{metric}/{incarnation}/", self.shard)
    }
    /// Changes of the row table that came from one partition in one epoch.
    pub fn rows_delta(&self, source: &str, epoch: u64, partition: &TopicPartition) -> Vec<u8> {
        format!("{}{epoch:020}/{}/{}", self.rows_deltas(source), partition.topic, partition.partition).into()
    }
    pub fn rows_deltas(&self, source: &str) -> String {
        format!("{}/rows/{source}/delta/", self.shard)
    }
    /// One bucket of the row table.
    pub fn rows_bucket(&self, source: &str, bucket: u32) -> Vec<u8> {
        format!("{}{bucket:04}", self.rows_buckets(source)).into()
    }
    /// What is known of a row table besides its rows.
    pub fn rows_table(&self, source: &str) -> Vec<u8> {
        format!("{}/rows/{source}/table", self.shard).into()
    }
    pub fn rows_buckets(&self, source: &str) -> String {
        format!("{}/rows/{source}/bucket/", self.shard)
    }
    /// Versions of rows that changed in one epoch.
    pub fn versions_delta(&self, source: &str, column: &str, epoch: u64) -> Vec<u8> {
        format!("{}{epoch:020}", self.versions_deltas(source, column)).into()
    }
    pub fn versions_deltas(&self, source: &str, column: &str) -> String {
        format!("{}/versions/{source}/{column}/delta/", self.shard)
    }
    /// One bucket of the versions of rows.
    pub fn versions_bucket(&self, source: &str, column: &str, bucket: u32) -> Vec<u8> {
        format!("{}{bucket:04}", self.versions_buckets(source, column)).into()
    }
    pub fn versions_buckets(&self, source: &str, column: &str) -> String {
        format!("{}/versions/{source}/{column}/bucket/", self.shard)
    }
    /// What was found out about the changes of one partition in one epoch.
    pub fn findings(&self, source: &str, partition: &TopicPartition, epoch: u64) -> Vec<u8> {
        let TopicPartition { topic, partition } = partition;
        format!("{}/findings/{source}/rows/{topic}/{partition}/{epoch:020}", self.shard).into()
    }
    /// That there is such a value.
    pub fn findings_span(&self, source: &str, partition: &TopicPartition, epoch: u64) -> Vec<u8> {
        let TopicPartition { topic, partition } = partition;
        format!("{}{topic}/{partition}/{epoch:020}", self.findings_spans(source)).into()
    }
    pub fn findings_spans(&self, source: &str) -> String {
        format!("{}/findings/{source}/span/", self.shard)
    }
    /// How all sources are declared.
    pub fn declared(&self) -> Vec<u8> {
        format!("{}/declared", self.shard).into()
    }
    /// How one source is read.
    pub fn source(&self, source: &str) -> Vec<u8> {
        format!("{}/source/{source}", self.shard).into()
    }
    /// Dead letters of a partition that may still be redriven, so many offsets a value.
    pub fn dead_block(&self, partition: &TopicPartition, block: i64) -> Vec<u8> {
        format!("{}{block:020}", self.dead_of(partition)).into()
    }
    pub fn dead_of(&self, partition: &TopicPartition) -> String {
        format!("{}/dead/{}/{}/block/", self.shard, partition.topic, partition.partition)
    }
    /// Changes of a partition that were redriven.
    pub fn redriven(&self, partition: &TopicPartition) -> Vec<u8> {
        format!("{}/dead/{}/{}/redriven", self.shard, partition.topic, partition.partition).into()
    }
    /// Rows of one epoch for one table (and one day of it).
    pub fn outbox(&self, epoch: u64, table: &str) -> Vec<u8> {
        format!("{}{table}", self.outbox_of(epoch)).into()
    }
    /// All tables of one epoch.
    pub fn outbox_of(&self, epoch: u64) -> String {
        format!("{}{epoch:020}/", self.outboxes())
    }
    pub fn outboxes(&self) -> String {
        format!("{}/outbox/", self.shard)
    }
    /// How many rows one epoch has for all tables: read without the rows themselves.
    pub fn outbox_rows(&self, epoch: u64) -> Vec<u8> {
        format!("{}{epoch:020}", self.outboxes_rows()).into()
    }
    pub fn outboxes_rows(&self) -> String {
        format!("{}/outbox-rows/", self.shard)
    }
    /// Where a metric stands that is not where the shard is.
    pub fn position(&self, metric: &str) -> Vec<u8> {
        format!("{}/position/{metric}", self.shard).into()
    }
    /// The columns that have not fitted lately.
    pub fn runs(&self) -> Vec<u8> {
        format!("{}/runs", self.shard).into()
    }
    /// Blob that holds a component.
    pub fn component(digest: &str) -> String {
        format!("components/{digest}.wasm")
    }
}

/// The epoch number in a key that continues `prefix` with one.
pub fn epoch_of(key: &[u8], prefix: &str) -> Option<u64> {
    let digits = key.get(prefix.len()..prefix.len() + 20)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Where one partition stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPartition {
    pub next: i64,
    /// Offset and fingerprint of the last record consumed.
    pub last: Option<(i64, u64)>,
    pub greatest: Option<Micros>,
    pub mark: Option<ReplayMark>,
}

/// The newest binlog change that was taken from a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayMark {
    pub server: u64,
    pub file: u64,
    pub pos: u64,
    pub row: u32,
    pub rank: u8,
    pub source_time: Micros,
}

impl From<Origin> for ReplayMark {
    fn from(origin: Origin) -> ReplayMark {
        let Position { file, pos, row, rank } = origin.position;
        ReplayMark { server: origin.server, file, pos, row, rank, source_time: origin.source_time }
    }
}

impl From<ReplayMark> for Origin {
    fn from(mark: ReplayMark) -> Origin {
        Origin { server: mark.server, position: mark.position(), source_time: mark.source_time }
    }
}

impl ReplayMark {
    pub fn position(&self) -> Position {
        Position { file: self.file, pos: self.pos, row: self.row, rank: self.rank }
    }
}

/// How a metric stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Live,
    /// Stopped at the end of the epoch given, with the reason.
    Quarantined {
        epoch: u64,
        reason: String,
    },
    Retired,
    /// A column that it needs is gone: stopped at the end of the epoch given, until the column is back.
    Suspended {
        epoch: u64,
        reason: String,
    },
    /// Reads by itself what it has missed since it was stopped.
    CatchingUp,
}

/// One line of the metric table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMetric {
    pub name: String,
    /// The file or upload that it came from.
    pub origin: String,
    pub digest: String,
    pub incarnation: i64,
    pub status: Status,
    /// The epoch's clock when it joined.
    pub since: Micros,
    /// Windows that begin before this are incomplete.
    pub coverage: Micros,
    /// The last epoch at whose end a checkpoint of it was written; 0 = none.
    pub checkpoint: u64,
    pub state_version: u32,
}

/// The one value that says where the shard stands. Written with every epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub epoch: u64,
    pub clock: Micros,
    pub generation: Option<u64>,
    /// Outboxes up to this epoch are delivered.
    pub delivered: u64,
    pub partitions: BTreeMap<TopicPartition, StoredPartition>,
    /// By source.
    pub watermarks: BTreeMap<String, Watermarks>,
    pub metrics: Vec<StoredMetric>,
    /// Columns that the row tables hold, by source.
    pub row_columns: BTreeMap<String, Vec<String>>,
}

/// How one source is read. Written when it changes; absent = as by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredSource {
    /// Records read and dead since the share was last looked at.
    pub read: u64,
    pub dead: u64,
    /// Dead letters are accepted until a batch is within the share again.
    pub accepting: bool,
    pub hold: Option<StoredHold>,
}

/// Why a source holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredHold {
    /// The clock when it began.
    pub since: Micros,
    /// The batch: offsets [from, to) by partition. Nothing of it is taken.
    pub batch: BTreeMap<TopicPartition, (i64, i64)>,
    pub read: u64,
    pub dead: u64,
    /// The first of the records that could not be read.
    pub first: Vec<StoredDead>,
}

/// A record that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredDead {
    pub partition: TopicPartition,
    pub offset: i64,
    pub code: String,
    pub reason: String,
}

/// Dead letters that may still be redriven.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredDeadBlock {
    pub entries: Vec<StoredDeadEntry>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredDeadEntry {
    pub offset: i64,
    /// Hash of the record's key; 0 = none.
    pub key: u64,
    /// The first change of the same key that was applied after it.
    pub later: Option<StoredLater>,
}

/// Where a change stands in the upstream's log.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum StoredLater {
    At(StoredPlace),
    /// It carries no place.
    Somewhere,
}

/// A place in the log of one upstream server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StoredPlace {
    pub server: u64,
    pub file: u64,
    pub pos: u64,
    pub row: u32,
    pub rank: u8,
}

/// Cells of one metric and one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredCells {
    pub state_version: u32,
    /// The metric's watermarks by which lateness was decided.
    pub watermarks: Watermarks,
    pub cells: Vec<StoredCell>,
}

/// The partial aggregate of a finest key and one pane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredCell {
    pub key: StoredKey,
    pub pane: Micros,
    pub weight: i64,
    pub samples: u64,
    pub first: Micros,
    pub last: Micros,
    #[serde(with = "serde_bytes")]
    pub state: Vec<u8>,
}

/// What stands first in a [`StoredChunk`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ChunkHead {
    pub state_version: u32,
    pub window: u16,
    pub start: Micros,
    pub end: Micros,
    pub is_final: bool,
    pub part: u32,
}

/// A part of the slots of one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredChunk {
    pub state_version: u32,
    pub window: u16,
    pub start: Micros,
    pub end: Micros,
    pub is_final: bool,
    pub part: u32,
    pub slots: Vec<StoredSlot>,
}

/// One slot of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSlot {
    pub set: u16,
    pub key: StoredKey,
    pub weight: i64,
    pub samples: u64,
    pub late: u64,
    pub first: Micros,
    pub last: Micros,
    pub epoch_first: u64,
    /// Hash of the outputs of the last row emitted, and whether it was a final one.
    pub emitted: Option<(u64, bool)>,
    #[serde(with = "serde_bytes")]
    pub state: Vec<u8>,
}

/// How sources were declared when what is stored of them was written. Written when it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredDeclared {
    pub sources: BTreeMap<String, StoredSourceDeclared>,
}

/// What rows of one source are stored by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredSourceDeclared {
    /// Name and type of each column.
    pub primary_key: Vec<String>,
    /// Columns that are or were the version column, and their types.
    pub versions: BTreeMap<String, String>,
}

/// Versions of rows, as they stood at the end of `epoch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredVersions {
    pub epoch: u64,
    /// By key.
    pub rows: Vec<StoredVersion>,
}

/// The version that a row has, or had when it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredVersion {
    /// The parts of the primary key: 0 and the value's 8 bytes, or 1, the text's length in 4 bytes, and the
    /// text; all little-endian.
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
    pub version: i64,
    /// 1: the row is gone; 2 is added where an end that was sent before may be sent again. A byte, as the flag
    /// was that stood here before.
    pub state: u8,
}

/// Bytes of a stored value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_in(FORMAT, value)
}

/// Bytes of a value whose format has a number of its own.
fn encode_in<T: Serialize>(format: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![format];
    append(&mut bytes, value);
    bytes
}

/// Appends a value as it stands inside a stored one.
fn append<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    // Serializing plain data into memory cannot fail.
    let _ = postcard::serialize_with_flavor(value, Tail(bytes));
}

/// Bytes at the end of which is written.
struct Tail<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Tail<'_> {
    type Output = ();
    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }
    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// A stored value, or what stands first in it, from its bytes.
pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StateError> {
    body_of(what, bytes, FORMAT).and_then(|(_, body)| read(what, body))
}

/// The number of the format, at most `newest`, and what follows it.
fn body_of<'a>(what: &str, bytes: &'a [u8], newest: u8) -> Result<(u8, &'a [u8]), StateError> {
    match bytes.split_first() {
        Some((format, body)) if (1..=newest).contains(format) => Ok((*format, body)),
        Some((format, _)) => Err(unknown(what, *format, newest)),
        None => Err(StateError::Corrupt(format!("the stored {what} is empty"))),
    }
}

fn read<T: DeserializeOwned>(what: &str, body: &[u8]) -> Result<T, StateError> {
    postcard::from_bytes(body)
        .map_err(|e| StateError::Corrupt(format!("the stored {what} cannot be read: {e}")))
}

/// What stands first, and what follows it.
fn read_first<'a, T: Deserialize<'a>>(what: &str, body: &'a [u8]) -> Result<(T, &'a [u8]), StateError> {
    postcard::take_from_bytes(body)
        .map_err(|e| StateError::Corrupt(format!("the stored {what} cannot be read: {e}")))
}

fn unknown(what: &str, format: u8, newest: u8) -> StateError {
    StateError::Corrupt(format!(
        "the stored {what} has format {format}, this host reads up to {newest}: use the host version that wrote it, or a newer one"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_format_is_refused_with_what_to_do() {
        let mut bytes = encode(&Head::default());
        assert_eq!(decode::<Head>("head", &bytes).expect("readable"), Head::default());
        bytes[0] = 99;
        let error = decode::<Head>("head", &bytes).expect_err("other format").to_string();
        assert!(error.contains("format 99") && error.contains("newer"), "{error}");
    }

    #[test]
    fn epochs_are_read_back_from_their_keys_and_sort_by_number() {
        let keys = Keyspace::new("0");
        let key = keys.cells("a.b", 7, 42);
        assert_eq!(epoch_of(&key, &keys.cells_of("a.b", 7)), Some(42));
        assert!(keys.outbox(9, "x") < keys.outbox(10, "x"));
        assert_eq!(epoch_of(&keys.outbox_rows(12), &keys.outboxes_rows()), Some(12));
    }
}
