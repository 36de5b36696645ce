//! Records as they come from the broker, before decoding.

use crate::Micros;
use std::time::Duration;

/// One record, borrowed from a [`RecordBatch`].
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Index into the list of partitions that the source was started with.
    pub partition: u32,
    pub offset: i64,
    /// The broker's timestamp, if any.
    pub timestamp: Option<Micros>,
    pub key: Option<&'a [u8]>,
    /// None is a tombstone.
    pub value: Option<&'a [u8]>,
    /// What the headers say about a changed primary key.
    pub rekey: Rekey,
}

impl Record<'_> {
    /// A hash of key and value, to know the record again.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for part in [self.key, self.value] {
            hasher.update(&part.map_or(u64::MAX, |p| p.len() as u64).to_le_bytes());
            hasher.update(part.unwrap_or_default());
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(first)
    }
}

/// Debezium's headers `__debezium.newkey` (on the delete) and `__debezium.oldkey` (on the insert).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Rekey {
    #[default]
    None,
    /// `__debezium.newkey` is there.
    Delete,
    /// `__debezium.oldkey` is there.
    Insert,
}

/// One record by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedRecord {
    pub timestamp: Option<Micros>,
    pub key: Option<Vec<u8>>,
    /// None is a tombstone.
    pub value: Option<Vec<u8>>,
    pub rekey: Rekey,
}

impl OwnedRecord {
    /// As read from a partition.
    pub fn at(&self, partition: u32, offset: i64) -> Record<'_> {
        let OwnedRecord { timestamp, key, value, rekey } = self;
        let (key, value) = (key.as_deref(), value.as_deref());
        Record { partition, offset, timestamp: *timestamp, key, value, rekey: *rekey }
    }
}

impl From<Record<'_>> for OwnedRecord {
    fn from(record: Record<'_>) -> OwnedRecord {
        OwnedRecord {
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            rekey: record.rekey,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Meta {
    partition: u32,
    offset: i64,
    timestamp: Option<Micros>,
    start: usize,
    key: Option<u32>,
    value: Option<u32>,
    rekey: Rekey,
}

/// Records in one piece of memory, in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    bytes: Vec<u8>,
    metas: Vec<Meta>,
    read_at: Option<Duration>,
}

impl RecordBatch {
    /// An empty batch with room for so many records and bytes.
    pub fn with_capacity(records: usize, bytes: usize) -> Self {
        RecordBatch { bytes: Vec::with_capacity(bytes), metas: Vec::with_capacity(records), read_at: None }
    }
    pub fn push(&mut self, record: Record<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record.key.unwrap_or_default());
        self.bytes.extend_from_slice(record.value.unwrap_or_default());
        self.metas.push(Meta {
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            start,
            key: record.key.map(|k| k.len() as u32),
            value: record.value.map(|v| v.len() as u32),
            rekey: record.rekey,
        });
    }
    pub fn len(&self) -> usize {
        self.metas.len()
    }
    pub fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }
    /// Bytes of keys and values.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }
    /// Monotonic time at which the records came from the broker, if the reader knows it.
    pub fn read_at(&self) -> Option<Duration> {
        self.read_at
    }
    pub fn set_read_at(&mut self, at: Option<Duration>) {
        self.read_at = at;
    }
    pub fn clear(&mut self) {
        self.read_at = None;
        self.bytes.clear();
        self.metas.clear();
    }
    #[inline]
    pub fn get(&self, index: usize) -> Record<'_> {
        let meta = &self.metas[index];
        let key_end = meta.start + meta.key.unwrap_or(0) as usize;
        let value_end = key_end + meta.value.unwrap_or(0) as usize;
        Record {
            partition: meta.partition,
            offset: meta.offset,
            timestamp: meta.timestamp,
            key: meta.key.map(|_| &self.bytes[meta.start..key_end]),
            value: meta.value.map(|_| &self.bytes[key_end..value_end]),
            rekey: meta.rekey,
        }
    }
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|i| self.get(i))
    }
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: i32,
}

/// What a reader tells the engine, in order.
#[derive(Debug)]
pub enum SourceEvent {
    /// Partitions join the list under the next free indexes, each once and before its first record: all that
    /// were found at once, so that none is read while the others are unknown.
    Partitions(Vec<TopicPartition>),
    /// Records, in order within each partition.
    Records(RecordBatch),
    /// The end of a partition was reached after the last record sent for it. Sent again, every few
    /// seconds, as long as the broker, asked anew, says that there is still nothing more.
    EndOfPartition { index: u32 },
    /// Reading of a partition goes on at `next`, as was asked for: what comes after this is from there.
    Moved { index: u32, next: i64 },
    /// A partition cannot be read on without a gap, or is not the one that was read before: why. Nothing
    /// of it comes until [`crate::ports::ReaderHandle::seek`].
    Stopped { partition: TopicPartition, reason: String },
    /// The reader cannot go on at the moment and tries again by itself; None = it goes on.
    Trouble(Option<String>),
    /// The reader has stopped for good: what happened and what to do.
    Fatal(String),
}
