//! A shard that reads the partitions in any order, straight and killed in between.

use super::super::fakes::*;
use super::super::harness::{Kills, enter};
use super::super::*;
use super::world::{BASE, Created, PARTITIONS, World, batch};
use crate::recover::{join_initial, recover};
use proptest::prelude::*;
use std::time::Duration;
use weir_types::rows::{OutputValue, RealtimeRow};
use weir_types::schema::ColumnType;
use weir_types::{DAY, SECOND};

/// The clock when reading begins: everything has happened.
const LATER: Micros = BASE + 2 * DAY;

/// How the shard goes on after it has read something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    GoOn,
    EndEpoch,
    /// Ends the epoch, is killed, and starts again; in the straight run it only ends the epoch.
    Restore,
    /// Is killed in the middle of an epoch; in the straight run that ends.
    Kill,
}

/// A shard over a store, and where it reads.
pub struct Reading {
    pub store: Arc<MemoryStore>,
    pub shard: Shard,
    pub clock: Micros,
    kills: Kills,
    /// Epochs that the test has ended.
    epochs: u64,
    /// Whether the reader stands at a partition's end.
    at_end: [bool; PARTITIONS],
    newest: BTreeMap<(String, Vec<String>), i64>,
    /// The newest `t.created` that was emitted.
    pub created: Created,
    pub late: usize,
    suspend_after: u64,
    /// The least grand total that was shown since it was first above zero.
    pub least: i64,
}

impl Reading {
    pub fn new(kills: Kills) -> Reading {
        Reading::suspending_after(1000, kills)
    }

    pub fn suspending_after(suspend_after: u64, kills: Kills) -> Reading {
        let store = Arc::new(MemoryStore::default());
        let mut reading = Reading {
            shard: start(&store, LATER, suspend_after),
            store,
            clock: LATER,
            kills,
            epochs: 0,
            at_end: [false; PARTITIONS],
            newest: BTreeMap::new(),
            created: Created::new(),
            late: 0,
            suspend_after,
            least: i64::MAX,
        };
        reading.join_partitions();
        reading.commit();
        reading
    }

    /// The next offset of a partition.
    fn next(&self, partition: usize) -> usize {
        let offsets = self.shard.sources.next_offsets();
        offsets.iter().find(|(p, _)| p.partition as usize == partition).map_or(0, |(_, n)| *n as usize)
    }

    /// Reads up to so many records of a partition; false if there are none.
    pub fn read(&mut self, world: &World, partition: usize, count: usize) -> bool {
        let from = self.next(partition);
        let batch = batch(&world.partitions, partition, from, count);
        let any = !batch.is_empty();
        self.at_end[partition] &= !any;
        self.clock += SECOND;
        self.shard.apply(SourceEvent::Records(batch), self.clock);
        any
    }

    pub fn read_all(&mut self, world: &World) {
        for partition in 0..PARTITIONS {
            while self.read(world, partition, 5) {}
            self.reach_end(partition);
        }
    }

    fn reach_end(&mut self, partition: usize) {
        self.at_end[partition] = true;
        self.shard.apply(SourceEvent::EndOfPartition { index: partition as u32 }, self.clock);
    }

    /// As [`Reading::commit`]; a host that is killed now begins the next one anew, and its reader finds
    /// itself at the ends where it was.
    pub fn end_epoch(&mut self) {
        self.commit();
        self.epochs += 1;
        if self.kills.hit(self.epochs) {
            let at_end = self.at_end;
            self.restart();
            (0..PARTITIONS)
                .filter(|partition| at_end[*partition])
                .for_each(|partition| self.reach_end(partition));
        }
    }

    /// The epoch ends and is durable.
    pub fn commit(&mut self) {
        self.clock += SECOND;
        let commit = self.shard.end_epoch(self.clock, true, None, 0).expect("reads");
        self.store.write(commit.writes).expect("writes");
        for row in &commit.outbox.latest {
            self.newest.insert((row.series.dimension_set.to_string(), row.dims.to_vec()), count(row));
        }
        for row in commit.outbox.realtime.iter().filter(|r| r.series.metric == "t.created") {
            let key = (
                row.series.window.to_string(),
                row.series.dimension_set.to_string(),
                row.dims.to_vec(),
                row.start,
            );
            self.created.insert(key, count(row));
        }
        self.late += commit.outbox.late_events.len();
        if let Some(total) =
            self.newest.get(&(String::new(), vec![])).filter(|n| **n > 0 || self.least < i64::MAX)
        {
            self.least = self.least.min(*total);
        }
    }

    pub fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::GoOn => {}
            Turn::EndEpoch => self.end_epoch(),
            Turn::Restore | Turn::Kill if self.kills.never() => self.end_epoch(),
            Turn::Restore => {
                self.end_epoch();
                self.restart();
            }
            Turn::Kill => self.restart(),
        }
    }

    pub fn restart(&mut self) {
        self.restart_unread();
        self.join_partitions();
        self.commit();
    }

    /// A start whose reader has not named a partition yet.
    pub fn restart_unread(&mut self) {
        self.shard = start(&self.store, self.clock, self.suspend_after);
        self.at_end = [false; PARTITIONS];
    }

    pub fn join_partitions(&mut self) {
        enter(&mut self.shard, PARTITIONS as u32, self.clock);
    }

    /// The newest `t.open` that was emitted.
    pub fn newest(&self) -> &BTreeMap<(String, Vec<String>), i64> {
        &self.newest
    }

    /// The same without zeros.
    pub fn shown(self) -> BTreeMap<(String, Vec<String>), i64> {
        self.newest.into_iter().filter(|(_, n)| *n != 0).collect()
    }
}

fn count(row: &RealtimeRow) -> i64 {
    match row.values[0] {
        OutputValue::Int(n) => n,
        _ => panic!("a count is an integer"),
    }
}

fn start(store: &Arc<MemoryStore>, now: Micros, suspend_after: u64) -> Shard {
    let mut options = Options { suspend_after, ..options() };
    // As primary keys often are; and texts of rows come and go.
    let mut source = (*options.sources[0]).clone();
    source.columns[0].ty = ColumnType::Text;
    options.sources = vec![Arc::new(source)];
    let monotonic: Monotonic = Arc::new(|| Duration::ZERO);
    let loader = &Counting { info: metrics()[0].info().clone() };
    let mut shard = recover(options, store.clone(), loader, monotonic).expect("recovers");
    join_initial(&mut shard, &**store, loader, 1, now).expect("joins");
    shard
}

pub fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![5 => Just(Turn::GoOn), 3 => Just(Turn::EndEpoch), 1 => Just(Turn::Restore), 1 => Just(Turn::Kill)]
}
