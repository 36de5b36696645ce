//! What the engine needs from outside, as traits: adapters implement them, the binary wires them,
//! tests and simulation put fakes behind them. All calls block; none may be made from an async task.

use crate::Micros;
use crate::contract::{MetricFactory, MetricInfo};
use crate::record::{OwnedRecord, SourceEvent, TopicPartition};
use crate::rows::Outbox;
use crate::schema::SourceDecl;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// The time that everything in the host calls "now".
pub trait Clock: Send + Sync {
    fn now(&self) -> Micros;
}

/// Real monotonic time since some start of the process: for lengths and costs, never for results.
pub type Monotonic = Arc<dyn Fn() -> Duration + Send + Sync>;

/// What the caller of a state store must do about an error.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A newer host has taken over: this one must exit and not be restarted.
    #[error("another host has taken over this state: {0}")]
    Fenced(String),
    /// Trying again may help (store away, disk full): the text says what is wrong.
    #[error("{0}")]
    Unavailable(String),
    /// What is stored cannot be read.
    #[error("{0}")]
    Corrupt(String),
    /// The store has stopped and does not come back in this process: it must end, and may be restarted.
    #[error("{0}")]
    Closed(String),
}

/// Keys to put and delete in one atomic, durable write.
#[derive(Clone, Debug, Default)]
pub struct WriteSet {
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
    pub deletes: Vec<Vec<u8>>,
}

impl WriteSet {
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: Vec<u8>) {
        self.puts.push((key.into(), value));
    }
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.deletes.push(key.into());
    }
    pub fn size_bytes(&self) -> usize {
        self.puts.iter().map(|(k, v)| k.len() + v.len()).sum()
    }
}

/// Keys that the store itself writes; the others are the engine's.
pub mod reserved {
    /// Version of both values.
    const FORMAT: u8 = 1;

    /// The greatest generation that a host on this state has claimed.
    pub fn claimed(shard: &str) -> Vec<u8> {
        format!("{shard}/claimed").into()
    }

    pub fn write_claimed(generation: u64) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&generation.to_le_bytes());
        bytes
    }

    pub fn read_claimed(bytes: &[u8]) -> Option<u64> {
        let (version, number) = bytes.split_first()?;
        (*version == FORMAT).then_some(u64::from_le_bytes(number.try_into().ok()?))
    }

    /// There from an import until the first epoch after it is delivered. Rows may have been delivered
    /// that this state does not know of.
    pub fn imported(shard: &str) -> Vec<u8> {
        format!("{shard}/imported").into()
    }
}

/// Keys and values as a scan gives them.
pub type KeyValues = Vec<(Vec<u8>, Vec<u8>)>;

/// A key-value store with one writer, and blobs beside it.
pub trait StateStore: Send + Sync {
    /// All or nothing, and durable when it returns.
    fn write(&self, writes: WriteSet) -> Result<(), StateError>;
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;
    /// All keys that begin with `prefix`, ascending.
    fn scan(&self, prefix: &[u8]) -> Result<KeyValues, StateError>;
    /// Puts an object by name beside the database; overwriting with the same bytes is harmless.
    fn put_blob(&self, name: &str, bytes: &[u8]) -> Result<(), StateError>;
    fn get_blob(&self, name: &str) -> Result<Option<Vec<u8>>, StateError>;
    /// Claims the least free generation that is ≥ `at_least`, by put-if-absent; greater than every
    /// generation claimed before on this store. When it returns, no newer host had taken over at a
    /// moment after the claim, so a newer host's generation will be greater.
    fn claim_generation(&self, at_least: u64) -> Result<u64, StateError>;
}

/// What the caller of a sink must do about an error.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Trying again may help.
    #[error("{0}")]
    Retry(String),
    /// No retry can heal it: the text says what to do.
    #[error("{0}")]
    Fatal(String),
}

/// Where rows go.
pub trait Sink: Send + Sync {
    /// Creates what is missing and refuses what differs.
    fn prepare(&self) -> Result<(), SinkError>;
    /// The greatest generation found in the sink's rows; 0 if none.
    fn max_generation(&self) -> Result<u64, SinkError>;
    /// Makes what a metric needs in the sink (its typed view). Repeating it changes nothing.
    fn prepare_metric(&self, info: &MetricInfo) -> Result<(), SinkError>;
    /// Inserts all rows under versions of this generation; when it returns, they are durable.
    /// Repeating it changes nothing.
    fn insert(&self, generation: u64, rows: &Outbox) -> Result<(), SinkError>;
    /// Takes back what was delivered of a future that was lost, before the first rows of `generation`
    /// are inserted. Repeating it changes nothing. A sink that keeps nothing has nothing to do.
    fn take_back(&self, lost: LostFuture, generation: u64) -> Result<(), SinkError>;
}

/// Epochs that a restored state does not know of: those after `epoch`, under `generation` or a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LostFuture {
    pub epoch: u64,
    pub generation: u64,
}

/// Where reading of a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartAt {
    /// The next offset to read.
    pub next: i64,
    /// The last consumed record and its [`crate::record::Record::fingerprint`]: read again at the start
    /// and compared, so that a topic made anew is noticed.
    pub last: Option<(i64, u64)>,
}

/// Where reading of a partition is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// As at a start.
    At(StartAt),
    /// At the first record that the broker holds.
    Earliest,
}

/// The broker. Partitions without an entry in `start` are read from their beginning.
pub trait Broker: Send + Sync {
    /// Starts one reader over all partitions of the topics. Events go to `events` in order; when it
    /// is full the reader pauses its partitions and goes on polling. A broker that is away is no
    /// error: the reader sends [`SourceEvent::Trouble`] and keeps trying.
    fn read(
        &self,
        topics: &[String],
        start: &BTreeMap<TopicPartition, StartAt>,
        events: SyncSender<SourceEvent>,
    ) -> Result<Box<dyn ReaderHandle>, String>;
    /// Reads single records, in the order asked for; None where the broker no longer holds one.
    fn fetch(&self, places: &[(TopicPartition, i64)]) -> Result<Vec<Option<OwnedRecord>>, String>;
}

/// A running reader. Dropping it stops the reader too.
pub trait ReaderHandle: Send {
    /// Next offsets that are durable, to be shown to lag monitors (best effort).
    fn committed(&self, next: &[(TopicPartition, i64)]);
    /// Stops fetching from partitions until [`ReaderHandle::seek`]. Records that are on their way
    /// still come: it is the engine that passes over them.
    fn hold(&self, partitions: &[TopicPartition]);
    /// Reads partitions from there on, held ones too. [`SourceEvent::Moved`] comes before the first
    /// record from there.
    fn seek(&self, to: &[(TopicPartition, Seek)]);
    /// Stops and waits for the end.
    fn stop(self: Box<Self>);
}

/// Where components become metrics. Compiling may take seconds: never called on the hot path.
pub trait Loader: Send + Sync {
    /// Checks (imports, contract, fields against the sources, laws) and compiles a component; one
    /// factory for each metric in it. `origin` names the file or upload in error texts.
    fn load(
        &self,
        origin: &str,
        component: &[u8],
        sources: &[Arc<SourceDecl>],
    ) -> Result<Vec<Arc<dyn MetricFactory>>, String>;
    /// As `load` for a component that has passed its checks before: compile (or take it from the
    /// cache), but do not check the laws again.
    fn reload(&self, origin: &str, component: &[u8]) -> Result<Vec<Arc<dyn MetricFactory>>, String>;
}
