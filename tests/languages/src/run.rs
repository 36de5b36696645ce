//! The stream through the shard, as the host does it, with what a component carries.

use crate::sources::{PARTITIONS, TOPICS, sources};
use crate::stream::Recorded;
use anyhow::{Result, anyhow, bail};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_engine::recover::{join_initial, recover};
use weir_engine::shard::Shard;
use weir_types::ports::{KeyValues, Loader, Monotonic, StateError, StateStore, WriteSet};
use weir_types::record::{Record, RecordBatch, SourceEvent, TopicPartition};
use weir_types::rows::RealtimeRow;
use weir_types::{DAY, HOUR, SECOND};

/// Records of one epoch.
const EPOCH: usize = 150;
/// Epochs after which the host is started again from what it has stored.
const RESTARTS: [usize; 2] = [5, 12];

/// A named component.
pub type Component = (String, Vec<u8>);

/// What came of the stream.
pub struct Left {
    /// Every row in the order of its epoch, spelled out, without what names the component: by metric.
    pub rows: BTreeMap<String, Vec<String>>,
    /// Rows that the metrics refused, by metric.
    pub rejected: BTreeMap<String, u64>,
}

/// Runs the stream with these components, restarting twice, and flushes at the end.
pub fn run(records: &[Recorded], components: &[Component], loader: &dyn Loader) -> Result<Left> {
    let store = Arc::new(MemoryStore::default());
    let mut left = Left { rows: BTreeMap::new(), rejected: BTreeMap::new() };
    let mut shard = open(&store, components, loader, 0)?;
    let mut epochs = records.chunks(EPOCH).enumerate().peekable();
    while let Some((at, epoch)) = epochs.next() {
        let now = epoch.last().map_or(0, |record| record.at * 1_000);
        if RESTARTS.contains(&at) {
            shard = open(&store, components, loader, now)?;
        }
        shard.apply(SourceEvent::Records(batch(epoch)), now);
        end_epoch(&mut shard, &store, now, epochs.peek().is_none(), &mut left)?;
    }
    Ok(left)
}

fn open(store: &Arc<MemoryStore>, components: &[Component], loader: &dyn Loader, now: i64) -> Result<Shard> {
    let monotonic: Monotonic = Arc::new(|| Duration::ZERO);
    let mut shard = recover(options(components), store.clone(), loader, monotonic)?;
    join_initial(&mut shard, &**store, loader, 1, now)?;
    let partition = |index: usize| {
        let topic = TOPICS[index / PARTITIONS].to_owned();
        TopicPartition { topic, partition: (index % PARTITIONS) as i32 }
    };
    shard.apply(SourceEvent::Partitions((0..PARTITIONS * TOPICS.len()).map(partition).collect()), now);
    Ok(shard)
}

fn end_epoch(shard: &mut Shard, store: &MemoryStore, now: i64, flush: bool, left: &mut Left) -> Result<()> {
    let commit = shard.end_epoch(now, flush, None, 0)?;
    store.write(commit.writes)?;
    for (metric, cost) in &commit.update.costs {
        *left.rejected.entry(metric.to_string()).or_default() += cost.rejected;
    }
    let mut rows: Vec<(String, String)> =
        commit.outbox.realtime.into_iter().map(|row| (row.series.metric.to_string(), spelled(row))).collect();
    // The order of the rows of one epoch is laid down nowhere.
    rows.sort_unstable();
    for (metric, row) in rows {
        left.rows.entry(metric).or_default().push(row);
    }
    match shard.catalogue().into_iter().find(|entry| entry.status != "live") {
        Some(ill) => bail!("metric {} is {}: {}", ill.info.name, ill.status, ill.reason.unwrap_or_default()),
        None => Ok(()),
    }
}

/// A row without its component's digest. Floats are written so that other bits give another text.
fn spelled(mut row: RealtimeRow) -> String {
    Arc::make_mut(&mut row.series).digest = "".into();
    format!("{row:?}")
}

fn batch(records: &[Recorded]) -> RecordBatch {
    let mut batch = RecordBatch::default();
    for record in records {
        batch.push(Record {
            partition: record.partition,
            offset: record.offset,
            timestamp: None,
            key: Some(record.key.as_bytes()),
            value: Some(record.value.as_bytes()),
            rekey: Default::default(),
        });
    }
    batch
}

fn options(components: &[Component]) -> weir_engine::Options {
    let names = |pairs: &[(&str, i64)]| pairs.iter().map(|(n, t)| (n.to_string(), *t)).collect();
    weir_engine::Options {
        shard: "0".into(),
        sources: sources(),
        time_zone: jiff::tz::TimeZone::UTC,
        epoch_length: Duration::from_secs(1),
        epoch_bytes: 64 << 20,
        suspend_after: 1_000,
        stalled_after: Duration::from_secs(60),
        emit_every: names(&[("1m", 0), ("15m", 5 * SECOND), ("1h", 10 * SECOND), ("day", 30 * SECOND)]),
        correct_for: names(&[("1m", 2 * HOUR), ("15m", 30 * HOUR), ("1h", 48 * HOUR), ("day", 8 * DAY)]),
        correct_for_default: 2 * HOUR,
        correct_for_metric: BTreeMap::new(),
        windows_metric: BTreeMap::new(),
        hot_slots: 1_000,
        hot_slots_total: 4_000,
        texts_before_sweep: 1 << 17,
        waiting_bytes: 64 << 20,
        missed_bytes: 1 << 26,
        initial_plugins: components.to_vec(),
    }
}

/// Keys, values and components in memory; what one shard wrote, the next one reads.
#[derive(Default)]
struct MemoryStore {
    data: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StateStore for MemoryStore {
    fn write(&self, writes: WriteSet) -> Result<(), StateError> {
        let mut data = lock(&self.data);
        data.extend(writes.puts);
        writes.deletes.iter().for_each(|key| drop(data.remove(key)));
        Ok(())
    }
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(lock(&self.data).get(key).cloned())
    }
    fn scan(&self, prefix: &[u8]) -> Result<KeyValues, StateError> {
        let data = lock(&self.data);
        let from = data.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(from.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
    fn put_blob(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        lock(&self.blobs).insert(name.into(), bytes.to_vec());
        Ok(())
    }
    fn get_blob(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(lock(&self.blobs).get(name).cloned())
    }
    fn claim_generation(&self, at_least: u64) -> Result<u64, StateError> {
        Ok(at_least)
    }
}

/// The component's bytes by their file.
pub fn component(folder: &std::path::Path, file: &str) -> Result<Component> {
    let path = folder.join(file);
    let bytes = std::fs::read(&path).map_err(|e| anyhow!("{} cannot be read: {e}", path.display()))?;
    Ok((file.to_owned(), bytes))
}
