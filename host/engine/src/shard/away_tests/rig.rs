//! A shard whose epochs become durable later, and what is done with it.

use super::super::fakes::*;
use super::super::harness::{Kills, Metrics, enter};
use super::super::*;
use super::metrics::metrics;
use super::world::World;
use super::{BASE, PARTITIONS};
use crate::recover::{admit, join_initial, recover};
use crate::shard::Redrive;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;
use weir_types::record::{OwnedRecord, Record, RecordBatch};
use weir_types::rows::{DeadLetterRow, DeadOutcome, OutputValue};
use weir_types::{DAY, SECOND};

/// Numbers by window, set, dims and start.
pub type Numbers = BTreeMap<(String, String, Vec<String>, Micros), i64>;

/// Epochs on their way to the store at the most, as in the host.
const ON_THEIR_WAY: usize = 2;

/// A shard, and what it has told.
pub struct Rig {
    pub options: Options,
    pub store: Arc<MemoryStore>,
    pub shard: Shard,
    pub clock: Micros,
    /// Epochs that are not durable yet.
    pub coming: VecDeque<EpochCommit>,
    pub newest: BTreeMap<String, Numbers>,
    pub letters: Vec<DeadLetterRow>,
    pub late: usize,
    kills: Kills,
    /// Epochs that the test has ended.
    epochs: u64,
}

impl Rig {
    pub fn new(options: Options, kills: Kills) -> Rig {
        let store = Arc::new(MemoryStore::default());
        let clock = BASE + DAY;
        let shard = start(&options, &store, clock);
        let (newest, letters) = (BTreeMap::new(), Vec::new());
        let coming = VecDeque::new();
        let mut rig =
            Rig { options, store, shard, clock, coming, newest, letters, late: 0, kills, epochs: 0 };
        rig.commit();
        rig
    }

    /// What is on its way is lost; in the straight run an epoch ends.
    pub fn kill(&mut self) {
        match self.kills {
            Kills::None => self.commit(),
            _ => self.start_anew(),
        }
    }

    /// A host on what is stored.
    pub fn start_anew(&mut self) {
        self.coming.clear();
        self.shard = start(&self.options, &self.store, self.clock);
        self.commit();
    }

    /// The epoch ends; a host that is killed now has made durable what ended.
    pub fn end_epoch(&mut self) {
        self.commit();
        self.epochs += 1;
        if self.kills.hit(self.epochs) {
            self.flush();
            self.kill();
        }
    }

    fn commit(&mut self) {
        self.clock += SECOND;
        self.coming.push_back(self.shard.end_epoch(self.clock, true, None, 0).expect("reads"));
        while self.coming.len() > ON_THEIR_WAY {
            self.write_one();
        }
    }

    /// Everything becomes durable.
    pub fn flush(&mut self) {
        while !self.coming.is_empty() {
            self.write_one();
        }
    }

    pub fn write_one(&mut self) {
        let Some(commit) = self.coming.pop_front() else { return };
        self.store.write(commit.writes).expect("writes");
        self.shard.durable(commit.update.epoch);
        for row in commit.outbox.realtime {
            let series = &row.series;
            let key =
                (series.window.to_string(), series.dimension_set.to_string(), row.dims.to_vec(), row.start);
            let OutputValue::Int(count) = row.values[0] else { panic!("a count is an integer") };
            self.newest.entry(series.metric.to_string()).or_default().insert(key, count);
        }
        self.letters
            .extend(commit.outbox.dead_letters.into_iter().filter(|l| l.outcome == DeadOutcome::Dead));
        self.late += commit.outbox.late_events.len();
    }

    pub fn read(&mut self, world: &World, partition: usize, count: usize) -> bool {
        let next = self.shard.sources.next_offsets();
        let from =
            next.iter().find(|(p, _)| p.partition as usize == partition).map_or(0, |(_, n)| *n as usize);
        let batch = batch(world, partition, from, count);
        let any = !batch.is_empty();
        self.shard.apply(SourceEvent::Records(batch), self.clock);
        any
    }

    pub fn read_all(&mut self, world: &World) {
        for partition in 0..PARTITIONS {
            while self.read(world, partition, 5) {}
            self.shard.apply(SourceEvent::EndOfPartition { index: partition as u32 }, self.clock);
        }
    }

    /// Gives catching-up metrics up to so many records of each partition.
    pub fn catch_up(&mut self, world: &World, count: usize) {
        let names: Vec<String> = self.shard.catchups.iter().map(|c| c.metric.info.name.clone()).collect();
        for (name, partition) in names.iter().flat_map(|name| (0..PARTITIONS).map(move |p| (name, p))) {
            let Some(catchup) = self.shard.catchups.iter().find(|c| c.metric.info.name == *name) else {
                continue;
            };
            let starts = catchup.start();
            let start = starts.iter().find(|(p, _)| p.partition as usize == partition);
            let from = start.map_or(0, |(_, at)| at.next as usize);
            let records = batch(world, partition, from, count);
            let index_of: Vec<u32> = (0..PARTITIONS as u32).collect();
            self.shard.catch_up(name, &records, &index_of, self.clock).expect("reads");
            if from + count >= world.partitions[partition].len() {
                self.shard.catch_up_reached_end(name, partition as u32, self.clock);
            }
        }
    }

    /// The metrics that have a twin fail.
    pub fn fail(&mut self) {
        let is_ours = |at: &usize| !self.shard.metrics[*at].info.name.ends_with(".twin");
        let failed = (0..self.shard.metrics.len()).filter(is_ours).map(|at| (at, "a trap".into())).collect();
        self.shard.quarantine(failed);
    }

    pub fn mend(&mut self) {
        // Requests are carried out at a boundary, and what they take up is durable.
        self.end_epoch();
        self.flush();
        let stopped = |m: &Arc<dyn MetricFactory>| {
            let entries = self.shard.catalogue();
            entries.iter().any(|e| e.info.name == m.info().name && e.status == "quarantined")
        };
        let stopped = metrics().into_iter().filter(stopped).collect();
        admit(&mut self.shard, "mended.wasm", stopped, &*self.store, 1, self.clock).expect("taken up");
    }

    /// Takes dead letters up again, if that is possible now.
    pub fn redrive(&mut self, world: &World, count: usize) {
        let letters: Vec<DeadLetterRow> = self.letters.iter().take(count).cloned().collect();
        let redrive = |letter: DeadLetterRow| {
            let sent = &world.partitions[letter.partition.partition as usize][letter.offset as usize];
            let bytes = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
            let record =
                OwnedRecord { key: bytes(&sent.key), value: bytes(&sent.mended), ..OwnedRecord::default() };
            Redrive { letter, record }
        };
        let all: Vec<Redrive> = letters.into_iter().map(redrive).collect();
        self.shard.redrive(&all, self.clock);
    }

    /// Reads everything, and goes on until every metric is live.
    pub fn settle(&mut self, world: &World) {
        for _ in 0..20 {
            self.read_all(world);
            self.end_epoch();
            self.catch_up(world, 1000);
        }
        self.end_epoch();
        self.flush();
        for entry in self.shard.catalogue() {
            assert_eq!(entry.status, "live", "{}: {:?}", entry.info.name, entry.reason);
        }
    }

    pub fn kept(&self) -> usize {
        let data = self.store.data.lock().expect("lock");
        data.keys().filter(|key| key.starts_with(b"0/findings/")).count()
    }
}

pub fn start(options: &Options, store: &Arc<MemoryStore>, now: Micros) -> Shard {
    let monotonic: Monotonic = Arc::new(|| Duration::ZERO);
    let loader = &Metrics(metrics());
    let mut shard = recover(options.clone(), store.clone(), loader, monotonic).expect("recovers");
    join_initial(&mut shard, &**store, loader, 1, now).expect("joins");
    enter(&mut shard, PARTITIONS as u32, now);
    shard
}

pub fn batch(world: &World, partition: usize, from: usize, count: usize) -> RecordBatch {
    let mut batch = RecordBatch::default();
    for (at, sent) in world.partitions[partition].iter().enumerate().skip(from).take(count) {
        batch.push(Record {
            partition: partition as u32,
            offset: at as i64,
            timestamp: None,
            key: sent.key.as_deref().map(str::as_bytes),
            value: sent.value.as_deref().map(str::as_bytes),
            rekey: Default::default(),
        });
    }
    batch
}

/// What is done next.
#[derive(Clone, Debug)]
pub enum Turn {
    Read(usize, usize),
    CatchUp(usize),
    EndEpoch,
    /// All that ended becomes durable.
    Flush,
    Kill,
    Fail,
    Mend,
    Redrive(usize),
}

pub fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        10 => (0..PARTITIONS, 1..5usize).prop_map(|(p, n)| Turn::Read(p, n)),
        4 => (1..5usize).prop_map(Turn::CatchUp),
        6 => Just(Turn::EndEpoch),
        2 => Just(Turn::Flush),
        2 => Just(Turn::Kill),
        3 => Just(Turn::Fail),
        3 => Just(Turn::Mend),
        2 => (1..4usize).prop_map(Turn::Redrive),
    ]
}

impl Rig {
    pub fn turn(&mut self, world: &World, turn: &Turn) {
        match turn {
            Turn::Read(partition, count) => drop(self.read(world, *partition, *count)),
            Turn::CatchUp(count) => self.catch_up(world, *count),
            Turn::EndEpoch => self.end_epoch(),
            Turn::Flush => self.flush(),
            Turn::Kill => self.kill(),
            Turn::Fail => self.fail(),
            Turn::Mend => self.mend(),
            Turn::Redrive(count) => self.redrive(world, *count),
        }
        for entry in self.shard.catalogue() {
            let reason = entry.reason.unwrap_or_default();
            assert!(!reason.contains("no longer kept"), "{}: {reason}", entry.info.name);
        }
    }
}
