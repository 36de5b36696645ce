//! The one way in which semantic tests run the shard: straight, and killed and restored in the middle. [`both`]
//! runs any test so, [`twice`] a list of steps. A kill loses what is not durable; the reader then begins at the
//! stored offsets.

use super::fakes::{MemoryStore, head};
use super::{Monotonic, Shard};
use crate::Options;
use crate::outbox::Waiting;
use crate::recover::{join_initial, recover};
use crate::stored::{Head, Keyspace};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use weir_types::Micros;
use weir_types::contract::MetricFactory;
use weir_types::live::LiveRow;
use weir_types::ports::{Loader, StateStore};
use weir_types::record::{Record, RecordBatch, SourceEvent, TopicPartition};
use weir_types::rows::{Outbox, RealtimeRow};
use weir_types::schema::SourceDecl;

/// One change of the table `ticket`.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub partition: u32,
    pub id: i64,
    /// `c`, `u`, `d` or `r`.
    pub op: char,
    pub queue: i64,
    pub status: &'static str,
    /// Queue and status before.
    pub before: Option<(i64, &'static str)>,
    /// Full milliseconds.
    pub created: Micros,
    pub updated: Micros,
}

impl Change {
    /// A row born at `created`, and told at `updated`.
    pub fn birth(
        partition: u32,
        id: i64,
        queue: i64,
        status: &'static str,
        created: Micros,
        updated: Micros,
    ) -> Change {
        Change { partition, id, op: 'c', queue, status, before: None, created, updated }
    }

    /// As Debezium writes it, at a position of the binlog.
    pub fn json(&self, pos: i64) -> String {
        let image = |queue: i64, status: &str| {
            format!(
                r#"{{"id":{},"queue_id":{queue},"status":"{status}","created_at":{},"updated_at":{}}}"#,
                self.id,
                self.created / 1000,
                self.updated / 1000
            )
        };
        let before = self.before.map_or("null".into(), |(q, s)| image(q, s));
        let after = if self.op == 'd' { "null".into() } else { image(self.queue, self.status) };
        let snapshot = self.op == 'r';
        format!(
            r#"{{"before":{before},"after":{after},"source":{{"version":"3","connector":"mariadb","name":"s","ts_ms":1,"snapshot":"{snapshot}","db":"service","table":"ticket","server_id":1,"gtid":null,"file":"binlog.000001","pos":{pos},"row":0}},"op":"{}","ts_ms":1}}"#,
            self.op
        )
    }
}

/// One record: its partition, offset, key and value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub partition: u32,
    pub offset: i64,
    pub key: Option<String>,
    pub value: Option<String>,
}

/// Records of changes, in order; offsets count by partition from 0.
pub fn entries(changes: &[Change]) -> Vec<Entry> {
    let mut next: BTreeMap<u32, i64> = BTreeMap::new();
    let entry = |(at, change): (usize, &Change)| {
        let offset = next.entry(change.partition).or_insert(0);
        *offset += 1;
        let (key, value) = (format!(r#"{{"id":{}}}"#, change.id), change.json(100 + at as i64));
        Entry { partition: change.partition, offset: *offset - 1, key: Some(key), value: Some(value) }
    };
    changes.iter().enumerate().map(entry).collect()
}

/// The batch that a reader sends.
pub fn batch_of(entries: &[Entry]) -> RecordBatch {
    let mut batch = RecordBatch::default();
    for entry in entries {
        batch.push(Record {
            partition: entry.partition,
            offset: entry.offset,
            timestamp: None,
            key: entry.key.as_deref().map(str::as_bytes),
            value: entry.value.as_deref().map(str::as_bytes),
            rekey: Default::default(),
        });
    }
    batch
}

/// What happens, in order.
#[derive(Clone, Debug)]
pub enum Step {
    /// The clock goes to this time.
    Clock(Micros),
    Read(Vec<Entry>),
    /// The end of a partition is reached, or it is found there again.
    End(u32),
    /// A partition's broker no longer answers: after a restart nobody knows its end.
    Away(u32),
    /// The epoch ends; `true` flushes what is due.
    Epoch(bool),
    /// The host stops at an epoch's end and starts again, in every run.
    Restart,
    /// From the next start on the reader finds only so many of the partitions, the first ones.
    FindsOnly(usize),
    /// It finds the others too.
    FindsAll,
}

/// What is run.
pub struct World {
    pub options: Options,
    pub metrics: Vec<Arc<dyn MetricFactory>>,
    /// Partitions of each topic. A reader numbers those of the first source's topic first.
    pub partitions: u32,
}

impl World {
    fn all_partitions(&self) -> impl Iterator<Item = TopicPartition> {
        let mut topics: Vec<&String> =
            self.options.sources.iter().flat_map(|source| &source.topics).collect();
        topics.dedup();
        topics.into_iter().flat_map(|topic| partitions_of(topic, self.partitions))
    }
}

/// Loads these, whatever is asked for.
pub struct Metrics(pub Vec<Arc<dyn MetricFactory>>);

impl Loader for Metrics {
    fn load(&self, _: &str, _: &[u8], _: &[Arc<SourceDecl>]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        Ok(self.0.clone())
    }
    fn reload(&self, _: &str, _: &[u8]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        Ok(self.0.clone())
    }
}

/// What the serving side shows: by metric, window, set and dims.
pub type Shown = BTreeMap<(String, String, String, Vec<String>), LiveRow>;

/// What a run left behind.
pub struct Left {
    /// The newest row of each key, deleted ones left out: what ClickHouse shows under FINAL.
    pub rows: Vec<RealtimeRow>,
    /// Every row as it was emitted.
    pub emitted: Vec<RealtimeRow>,
    /// All other rows.
    pub outbox: Outbox,
    pub shown: Shown,
    pub head: Head,
    pub store: Arc<MemoryStore>,
    /// Greatest memory of all guests together, after any epoch, in bytes.
    pub memory: u64,
    /// The same after the last epoch.
    pub memory_last: u64,
    /// Chunks that were loaded one by one.
    pub loads: u64,
    /// Live slots of all metrics at the end.
    pub slots: u64,
}

/// When a host is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kills {
    None,
    /// At each so manieth epoch, and where the test says so.
    Every(u64),
    /// Where the test says so.
    Told,
}

impl Kills {
    /// Whether a host is killed at its epoch of this number, counted from 1.
    pub fn hit(self, epoch: u64) -> bool {
        matches!(self, Kills::Every(every) if epoch.is_multiple_of(every))
    }
    /// Whether this is the straight run.
    pub fn never(self) -> bool {
        self == Kills::None
    }
}

/// Runs a test straight, and again with its host killed and restored in each of these ways. A failure says in
/// which run it was.
pub fn both(ways: &[Kills], test: impl Fn(Kills)) {
    for kills in [Kills::None].iter().chain(ways) {
        let Err(failure) = catch_unwind(AssertUnwindSafe(|| test(*kills))) else { continue };
        let text = failure.downcast_ref::<String>().map(String::as_str);
        let text = text.or(failure.downcast_ref::<&str>().copied());
        panic!("kills: {kills:?}: {}", text.unwrap_or("it failed"));
    }
}

/// Runs the steps straight, and killed and restored at every third epoch and at every single one.
/// `check` must hold for each.
pub fn twice(world: &World, steps: &[Step], check: impl Fn(&Left, Kills)) {
    both(&[Kills::Every(3), Kills::Every(1)], |kills| check(&run(world, steps, kills), kills));
}

/// One run.
pub fn run(world: &World, steps: &[Step], kills: Kills) -> Left {
    let mut host = Host::start(world, Arc::new(MemoryStore::default()));
    host.go(steps, kills);
    host.left()
}

/// A run on what an earlier host has stored, and the rows that it had not delivered.
pub fn resume(
    world: &World,
    store: Arc<MemoryStore>,
    undelivered: Waiting,
    steps: &[Step],
    kills: Kills,
) -> Left {
    let mut host = Host::start(world, store);
    let newer = std::mem::replace(&mut host.waiting, undelivered);
    host.waiting.absorb(newer);
    host.go(steps, kills);
    host.left()
}

/// The rows of all epochs up to this one, none of which was noted as delivered.
pub fn undelivered(store: &dyn StateStore, keys: &Keyspace, upto: u64) -> Waiting {
    let mut all = Waiting::default();
    for epoch in 1..=upto {
        let parts = crate::outbox::read(store, keys, epoch).expect("readable");
        parts.into_iter().for_each(|part| all.add(epoch, part));
    }
    all
}

/// What a host stores that never reaches ClickHouse.
pub fn run_undelivered(world: &World, steps: &[Step]) -> Arc<MemoryStore> {
    let mut host = Host::start(world, Arc::new(MemoryStore::default()));
    host.delivers = false;
    host.go(steps, Kills::None);
    host.store
}

struct Host<'a> {
    world: &'a World,
    store: Arc<MemoryStore>,
    shard: Shard,
    clock: Micros,
    /// Epochs that the steps asked for.
    epochs: u64,
    /// Records since the last durable epoch.
    since: Vec<Entry>,
    /// Whether the reader stands at a partition's end.
    at_end: Vec<bool>,
    /// Partitions that the reader finds.
    finds: usize,
    waiting: Waiting,
    emitted: Vec<RealtimeRow>,
    shown: Shown,
    memory: u64,
    memory_last: u64,
    /// Whether ClickHouse takes the rows.
    delivers: bool,
}

impl<'a> Host<'a> {
    fn start(world: &'a World, store: Arc<MemoryStore>) -> Host<'a> {
        let clock = 0;
        let finds = world.all_partitions().count();
        let shard = open(world, &store, clock);
        let mut host = Host {
            world,
            store,
            shard,
            clock,
            epochs: 0,
            since: Vec::new(),
            at_end: vec![false; finds],
            finds,
            waiting: Waiting::default(),
            emitted: Vec::new(),
            shown: Shown::new(),
            memory: 0,
            memory_last: 0,
            delivers: true,
        };
        host.enter();
        host
    }

    fn go(&mut self, steps: &[Step], kills: Kills) {
        // The last epoch is not killed: a reader that has just begun is never idle.
        let last = steps.iter().filter(|s| matches!(s, Step::Epoch(_))).count() as u64;
        for step in steps {
            match step {
                Step::Clock(clock) => self.clock = *clock,
                Step::Read(entries) => {
                    self.since.extend(entries.iter().cloned());
                    self.read(entries);
                }
                Step::End(partition) => {
                    self.at_end[*partition as usize] = true;
                    self.shard.apply(SourceEvent::EndOfPartition { index: *partition }, self.clock);
                }
                Step::Away(partition) => self.at_end[*partition as usize] = false,
                Step::Epoch(flush) => {
                    self.epochs += 1;
                    if kills.hit(self.epochs) && self.epochs < last {
                        self.kill();
                    }
                    self.commit(*flush);
                }
                Step::Restart => self.restart(),
                Step::FindsOnly(many) => self.finds = *many,
                Step::FindsAll => {
                    let found = std::mem::replace(&mut self.finds, self.at_end.len());
                    self.join(found);
                }
            }
        }
    }

    /// As the engine begins: an epoch of its own, and then the partitions.
    fn enter(&mut self) {
        self.commit(false);
        self.join(0);
    }

    /// The partitions from `first` on join that the reader finds.
    fn join(&mut self, first: usize) {
        let found = self.world.all_partitions().take(self.finds).skip(first).collect();
        self.shard.apply(SourceEvent::Partitions(found), self.clock);
    }

    fn restart(&mut self) {
        self.shard = open(self.world, &self.store, self.clock);
        self.shown.clear();
        self.enter();
    }

    /// The running epoch is computed and never written; what was read since the last one comes again.
    fn kill(&mut self) {
        drop(self.shard.end_epoch(self.clock, false, None, 0).expect("the store answers"));
        let again = std::mem::take(&mut self.since);
        let at_end = self.at_end.clone();
        self.restart();
        self.read(&again);
        self.since = again;
        for index in (0..).zip(&at_end).filter(|(_, end)| **end).map(|(index, _)| index) {
            self.shard.apply(SourceEvent::EndOfPartition { index }, self.clock);
        }
        self.at_end = at_end;
    }

    fn read(&mut self, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.at_end[entry.partition as usize] = false);
        self.shard.apply(SourceEvent::Records(batch_of(entries)), self.clock);
    }

    fn commit(&mut self, flush: bool) {
        // As in the host: one epoch is being written while another waits.
        self.shard.durable(self.waiting.upto.saturating_sub(2));
        let delivered = if self.delivers { self.waiting.upto } else { 0 };
        let commit = self.shard.end_epoch(self.clock, flush, None, delivered);
        let commit = commit.expect("the store answers");
        let counts = commit.outbox.epochs[0].partitions.iter().map(|p| &p.counts);
        assert!(counts.clone().all(|c| c.read == c.applied + c.skipped_total() + c.dead));
        self.store.write(commit.writes).expect("writes");
        for row in commit.update.rows {
            show(&mut self.shown, row);
        }
        self.emitted.extend(commit.outbox.realtime.iter().cloned());
        self.waiting.add(commit.update.epoch, commit.outbox);
        self.memory_last = commit.update.costs.values().map(|c| c.memory_bytes).sum();
        self.memory = self.memory.max(self.memory_last);
        self.since.clear();
        let ill: Vec<_> = self.shard.catalogue().into_iter().filter(|e| e.status != "live").collect();
        assert!(ill.is_empty(), "{:?}", ill[0].reason);
    }

    fn left(self) -> Left {
        let mut outbox = self.waiting.into_outbox();
        let rows = std::mem::take(&mut outbox.realtime);
        let loads = self.store.loads.load(Ordering::Relaxed);
        Left {
            rows: rows.into_iter().filter(|r| !r.deleted).collect(),
            emitted: self.emitted,
            outbox,
            shown: self.shown,
            head: head(&self.store),
            store: self.store,
            memory: self.memory,
            memory_last: self.memory_last,
            loads,
            slots: self.shard.sizes().0,
        }
    }
}

/// The partitions of the topic `t` join, in order.
pub fn enter(shard: &mut Shard, partitions: u32, clock: Micros) {
    shard.apply(SourceEvent::Partitions(partitions_of("t", partitions).collect()), clock);
}

fn partitions_of(topic: &str, partitions: u32) -> impl Iterator<Item = TopicPartition> {
    (0..partitions as i32).map(move |partition| TopicPartition { topic: topic.into(), partition })
}

/// A shard on what a store holds.
pub fn open(world: &World, store: &Arc<impl StateStore + 'static>, clock: Micros) -> Shard {
    let monotonic: Monotonic = Arc::new(|| Duration::ZERO);
    let loader = Metrics(world.metrics.clone());
    let mut shard = recover(world.options.clone(), store.clone(), &loader, monotonic).expect("recovers");
    join_initial(&mut shard, &**store, &loader, 1, clock).expect("joins");
    shard
}

/// As the cache of the serving side does it.
fn show(shown: &mut Shown, row: LiveRow) {
    let key = (
        row.series.metric.to_string(),
        row.series.window.to_string(),
        row.series.dimension_set.to_string(),
        row.dims.to_vec(),
    );
    if shown.get(&key).is_some_and(|held| held.start > row.start) {
        return;
    }
    match row.gone {
        true => drop(shown.remove(&key)),
        false => drop(shown.insert(key, row)),
    }
}
