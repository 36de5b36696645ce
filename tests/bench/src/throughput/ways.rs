//! The ways over the same records: decoded only, by the yardstick, and through the engine.

use crate::sources::{INDEXES, PARTITIONS, Stream, TOPICS};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use weir_decode::{Decoder, Outcome, yardstick::Yardstick};
use weir_engine::recover::{join_initial, recover};
use weir_types::batch::ChangeBatch;
use weir_types::ports::{Loader, StateStore, WriteSet};
use weir_types::record::{SourceEvent, TopicPartition};
use weir_types::schema::SourceDecl;
use weir_types::{DAY, HOUR, SECOND};

/// Epochs end after so much real time, and not by size: one durable write a second.
const EPOCH: Duration = Duration::from_secs(1);
/// Rows of a batch that is decoded and dropped.
const BATCH_ROWS: usize = 8192;

/// Columns that are asked for, by source.
pub type Asked = Vec<BTreeSet<usize>>;

/// What a run of the engine gave besides its rate.
#[derive(Default)]
pub struct Engine {
    pub rate: f64,
    pub samples: u64,
    pub slots: u64,
    pub epochs: u64,
    pub written: u64,
    /// Of all guests' memories.
    pub guest_bytes: u64,
    pub stages: BTreeMap<&'static str, u64>,
}

/// All threads started from here on share so many cores, the first ones.
pub fn pin_to(cores: usize) -> Result<()> {
    // SAFETY: an all-zero set is a valid one, and the call only reads it.
    let outcome = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        (0..cores).for_each(|core| libc::CPU_SET(core, &mut set));
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error()).with_context(|| format!("pin to {cores} cores"))
    }
}

fn rate(records: usize, began: Instant) -> f64 {
    records as f64 / began.elapsed().as_secs_f64()
}

/// Changes a second that are decoded into the asked columns and dropped.
pub fn decode(stream: &Stream, sources: &[Arc<SourceDecl>], asked: &Asked) -> f64 {
    let mut decoder = Decoder::new(sources);
    let mut batches: Vec<ChangeBatch> = sources.iter().map(|s| ChangeBatch::new(s.columns.len())).collect();
    asked.iter().enumerate().for_each(|(source, columns)| decoder.set_asked(source, columns));
    let topic = |partition: u32| {
        let name = TOPICS[partition as usize / PARTITIONS as usize];
        decoder.topics().iter().position(|t| t == name).unwrap_or(0)
    };
    let topics: Vec<usize> = (0..INDEXES as u32).map(topic).collect();
    let began = Instant::now();
    for (_, batch) in &stream.batches {
        for record in batch.iter() {
            if let Outcome::Applied { source, .. } =
                decoder.decode(topics[record.partition as usize], &record, &mut batches)
                && batches[source].len() >= BATCH_ROWS
            {
                batches[source].clear();
            }
        }
    }
    rate(stream.records, began)
}

/// As [`decode`], by a generic deserializer. Tombstones are left out by hand: it knows values only.
pub fn yardstick(stream: &Stream, sources: &[Arc<SourceDecl>], asked: &Asked) -> Result<f64> {
    let mut ways = Vec::new();
    for (source, columns) in sources.iter().zip(asked) {
        let mut columns = columns.clone();
        columns.extend(source.primary_key.iter().copied());
        columns.insert(source.event_time);
        ways.push((Yardstick::new(source, &columns), ChangeBatch::new(source.columns.len())));
    }
    let began = Instant::now();
    for (_, batch) in &stream.batches {
        for record in batch.iter().filter(|r| r.value.is_some()) {
            let (way, rows) = &mut ways[record.partition as usize / PARTITIONS as usize];
            way.decode(&record, rows).map_err(|e| anyhow!("the yardstick cannot read a record: {e}"))?;
            if rows.len() >= BATCH_ROWS {
                rows.clear();
            }
        }
    }
    Ok(rate(stream.records, began))
}

fn options(sources: &[Arc<SourceDecl>], components: &[(String, Vec<u8>)]) -> weir_engine::Options {
    let names = |pairs: &[(&str, i64)]| pairs.iter().map(|(n, t)| (n.to_string(), *t)).collect();
    weir_engine::Options {
        shard: "0".into(),
        sources: sources.to_vec(),
        time_zone: jiff::tz::TimeZone::UTC,
        epoch_length: EPOCH,
        epoch_bytes: 64 << 20,
        suspend_after: 1000,
        stalled_after: Duration::from_secs(60),
        emit_every: names(&[("1m", 0), ("15m", 5 * SECOND), ("1h", 10 * SECOND), ("day", 30 * SECOND)]),
        correct_for: names(&[("1m", 2 * HOUR), ("15m", 6 * HOUR), ("1h", 48 * HOUR), ("day", 8 * DAY)]),
        correct_for_default: 2 * HOUR,
        correct_for_metric: BTreeMap::new(),
        windows_metric: BTreeMap::new(),
        hot_slots: 250_000,
        hot_slots_total: 2_000_000,
        texts_before_sweep: 1 << 17,
        waiting_bytes: 64 << 20,
        missed_bytes: 1 << 26,
        initial_plugins: components.to_vec(),
    }
}

/// The whole way up to a durable epoch with its outbox; nothing is delivered.
pub fn engine(
    stream: &Stream,
    sources: &[Arc<SourceDecl>],
    components: &[(String, Vec<u8>)],
    loader: &dyn Loader,
) -> Result<Engine> {
    let folder = tempfile::tempdir()?;
    let folder_name = folder.path().display().to_string();
    let store = Arc::new(weir_state::Store::open(&folder_name, "0", weir_state::Claim::default())?);
    let start = Instant::now();
    let monotonic: weir_types::ports::Monotonic = Arc::new(move || start.elapsed());
    let mut shard = recover(options(sources, components), store.clone(), loader, monotonic)?;
    join_initial(&mut shard, &*store, loader, 1, 0)?;
    let partition = |index: u32| {
        let topic = TOPICS[index as usize / PARTITIONS as usize].to_string();
        TopicPartition { topic, partition: index as i32 % PARTITIONS }
    };
    shard.apply(SourceEvent::Partitions((0..INDEXES as u32).map(partition).collect()), 0);
    let mut result = Engine::default();
    let began = Instant::now();
    // As in the host: one epoch is written while the next is computed, and no more than one waits.
    let write_ns = std::thread::scope(|scope| -> Result<u64> {
        let (jobs, received) = sync_channel::<WriteSet>(1);
        let writer = scope.spawn(|| write_all(&store, received));
        let mut epoch_began = Instant::now();
        let last = stream.batches.len().saturating_sub(1);
        for (at, (now, batch)) in stream.batches.iter().enumerate() {
            shard.read(batch, *now);
            if at == last || epoch_began.elapsed() >= EPOCH {
                let commit = shard.end_epoch(*now, false, None, result.epochs)?;
                result.written += commit.writes.size_bytes() as u64;
                result.epochs += 1;
                for (stage, ns) in commit.update.stages_ns {
                    *result.stages.entry(stage).or_default() += ns;
                }
                jobs.send(commit.writes)?;
                epoch_began = Instant::now();
            }
        }
        drop(jobs);
        writer.join().map_err(|_| anyhow!("the writer panicked"))?
    })?;
    result.stages.insert("write (beside)", write_ns);
    result.rate = rate(stream.records, began);
    let catalogue = shard.catalogue();
    if let Some(ill) = catalogue.iter().find(|e| e.status != "live") {
        bail!("metric {} is {}: {}", ill.info.name, ill.status, ill.reason.clone().unwrap_or_default());
    }
    result.guest_bytes = catalogue.iter().map(|e| e.cost.memory_bytes).sum();
    result.samples = shard.samples();
    result.slots = shard.sizes().0;
    Ok(result)
}

/// Nanoseconds until all were durable.
fn write_all(store: &weir_state::Store, received: Receiver<WriteSet>) -> Result<u64> {
    let mut spent = 0;
    for writes in received {
        let began = Instant::now();
        store.write(writes)?;
        spent += began.elapsed().as_nanos() as u64;
    }
    Ok(spent)
}
