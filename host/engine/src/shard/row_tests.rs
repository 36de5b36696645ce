//! Current values against a small model: a table upstream, its log, a connector that writes the log to three
//! partitions, and a shard that reads them in any order, straight and killed in between.

use super::fakes::*;
use super::*;
use crate::recover::{admit, join_initial, recover};
use proptest::prelude::*;
use std::time::Duration;
use weir_types::control::{ControlError, Resnapshot};
use weir_types::record::{Record, RecordBatch, Rekey};
use weir_types::rows::{OutputValue, RealtimeRow};
use weir_types::{DAY, SECOND};

pub const PARTITIONS: usize = 3;
const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z
/// The clock when reading begins: everything has happened.
const LATER: Micros = BASE + 2 * DAY;

/// What happens upstream.
#[derive(Clone, Debug)]
pub enum Step {
    /// Row `id` is made, or changed.
    Put(i64, i64, bool),
    /// The same, by a statement that began a minute before.
    SlowPut(i64, i64, bool),
    Delete(i64),
    /// Row `id` gets another primary key.
    Rekey(i64, i64),
    Truncate,
    /// The connector reads all rows anew, as it does when it has lost its offsets.
    Snapshot,
    /// The connector was killed, and sends its last changes again.
    Repeat(usize),
    /// The server's log begins anew, a quarter of an hour later.
    NewLog,
    /// As [`Step::Put`] and [`Step::Delete`], but nothing of it reaches Kafka.
    LostPut(i64, i64, bool),
    LostDelete(i64),
    /// As [`Step::Snapshot`], with the last read marked as such.
    WholeSnapshot,
}

/// A record on its way to Kafka.
#[derive(Clone)]
pub struct Sent {
    pub key: Option<String>,
    pub value: String,
    pub rekey: Rekey,
    is_read: bool,
    partition: usize,
}

/// Counts by window, dimension set, dims and window start.
pub type Created = BTreeMap<(String, String, Vec<String>, Micros), i64>;

/// The table upstream, and what the connector wrote.
pub struct World {
    pub rows: BTreeMap<i64, (i64, bool)>,
    file: u64,
    pos: u64,
    seconds: i64,
    /// Whether the next read is the last one of its snapshot.
    is_last: bool,
    /// A column that the table lacks at the moment.
    pub lacks: Option<&'static str>,
    /// `t.created` by window, set, dims and start, from the births that have what it needs.
    pub created: Created,
    sent: Vec<Sent>,
    pub partitions: Vec<Vec<Sent>>,
}

impl World {
    pub fn new() -> World {
        World {
            rows: BTreeMap::new(),
            file: 5,
            pos: 100,
            seconds: 0,
            is_last: false,
            lacks: None,
            created: Created::new(),
            sent: Vec::new(),
            partitions: vec![Vec::new(); PARTITIONS],
        }
    }

    pub fn take(&mut self, step: &Step) {
        self.pos += 10;
        self.seconds += 1;
        match *step {
            Step::Put(id, queue, open) => self.put(id, (queue, open), 0),
            Step::SlowPut(id, queue, open) => self.put(id, (queue, open), 60),
            Step::Delete(id) => {
                if let Some(old) = self.rows.remove(&id) {
                    self.send('d', id, Some(old), None, Rekey::None, 0);
                }
            }
            Step::Rekey(from, to) => {
                if from != to && self.rows.contains_key(&from) && !self.rows.contains_key(&to) {
                    let row = self.rows.remove(&from).expect("it is there");
                    self.rows.insert(to, row);
                    self.send('d', from, Some(row), None, Rekey::Delete, 0);
                    self.send('c', to, None, Some(row), Rekey::Insert, 0);
                }
            }
            Step::Truncate => {
                self.rows.clear();
                self.send('t', 0, None, None, Rekey::None, 60);
            }
            Step::Snapshot | Step::WholeSnapshot => {
                let last = self.rows.last_key_value().map(|(id, _)| *id);
                for (id, row) in self.rows.clone() {
                    self.is_last = matches!(step, Step::WholeSnapshot) && last == Some(id);
                    self.send('r', id, None, Some(row), Rekey::None, 0);
                }
            }
            Step::LostPut(id, queue, open) => drop(self.rows.insert(id, (queue, open))),
            Step::LostDelete(id) => drop(self.rows.remove(&id)),
            Step::Repeat(count) => {
                let from = self.sent.len().saturating_sub(count);
                // A snapshot's reads are not sent again as they were: it begins anew.
                let again: Vec<Sent> = self.sent[from..].iter().filter(|s| !s.is_read).cloned().collect();
                again.into_iter().for_each(|sent| self.partitions[sent.partition].push(sent));
            }
            Step::NewLog => {
                (self.file, self.pos) = (1, 4);
                self.seconds += 900;
                // The connector lost its place with the log.
                self.sent.clear();
            }
        }
    }

    fn put(&mut self, id: i64, row: (i64, bool), age: i64) {
        let old = self.rows.insert(id, row);
        self.send(if old.is_some() { 'u' } else { 'c' }, id, old, Some(row), Rekey::None, age);
    }

    fn send(
        &mut self,
        op: char,
        id: i64,
        before: Option<(i64, bool)>,
        after: Option<(i64, bool)>,
        rekey: Rekey,
        age: i64,
    ) {
        let at = BASE / 1000 + self.seconds * 1000;
        let image = |row: Option<(i64, bool)>| match row {
            None => "null".to_string(),
            Some((queue, open)) => {
                let status = if open { r#""open""# } else { r#""solved""# };
                let cells = [
                    ("queue_id", queue.to_string()),
                    ("status", status.into()),
                    ("created_at", at.to_string()),
                ];
                let there = cells.iter().filter(|(name, _)| self.lacks != Some(*name));
                let cells: String = there.map(|(name, cell)| format!(r#""{name}":{cell},"#)).collect();
                format!(r#"{{"id":{id},{cells}"updated_at":{at}}}"#)
            }
        };
        if let ('c', Rekey::None, None | Some("status"), Some((queue, _))) = (op, rekey, self.lacks, after) {
            for (window, length) in [("1m", 60), ("1h", 3600), ("day", 86400)] {
                let start = (at * 1000).div_euclid(length * SECOND) * length * SECOND;
                for (set, dims) in [("", vec![]), ("queue_id", vec![queue.to_string()])] {
                    *self.created.entry((window.into(), set.into(), dims, start)).or_default() += 1;
                }
            }
        }
        let (server, snapshot) = match op {
            'r' if self.is_last => (0, "last_in_data_collection"),
            'r' => (0, "true"),
            _ => (1, "false"),
        };
        let value = format!(
            r#"{{"before":{},"after":{},"source":{{"version":"3","connector":"mariadb","name":"s","ts_ms":{},"snapshot":"{snapshot}","db":"service","table":"ticket","server_id":{server},"gtid":null,"file":"binlog.{:06}","pos":{},"row":0}},"op":"{op}","ts_ms":1}}"#,
            image(before),
            image(after),
            at - age * 1000,
            self.file,
            self.pos,
        );
        let partition = if op == 't' { 1 } else { id as usize % PARTITIONS };
        let key = (op != 't').then(|| format!(r#"{{"id":{id}}}"#));
        let sent = Sent { key, value, rekey, is_read: op == 'r', partition };
        self.sent.push(sent.clone());
        self.partitions[partition].push(sent);
    }

    /// `t.open` by set and dims.
    pub fn open(&self) -> BTreeMap<(String, Vec<String>), i64> {
        let mut numbers = BTreeMap::new();
        for (queue, _) in self.rows.values().filter(|(_, open)| *open) {
            for key in [("".to_string(), vec![]), ("queue_id".to_string(), vec![queue.to_string()])] {
                *numbers.entry(key).or_default() += 1;
            }
        }
        numbers
    }
}

/// How the shard goes on after it has read something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    GoOn,
    EndEpoch,
    /// Ends the epoch, is killed, and starts again.
    Restore,
    /// Is killed in the middle of an epoch.
    Kill,
}

/// A shard over a store, and where it reads.
pub struct Reading {
    pub store: Arc<MemoryStore>,
    pub shard: Shard,
    pub clock: Micros,
    newest: BTreeMap<(String, Vec<String>), i64>,
    /// The newest `t.created` that was emitted.
    pub created: Created,
    pub late: usize,
    suspend_after: u64,
    /// The least grand total that was shown since it was first above zero.
    pub least: i64,
}

impl Reading {
    pub fn new() -> Reading {
        Reading::suspending_after(1000)
    }

    pub fn suspending_after(suspend_after: u64) -> Reading {
        let store = Arc::new(MemoryStore::default());
        let mut reading = Reading {
            shard: start(&store, LATER, suspend_after),
            store,
            clock: LATER,
            newest: BTreeMap::new(),
            created: Created::new(),
            late: 0,
            suspend_after,
            least: i64::MAX,
        };
        reading.join_partitions();
        reading.end_epoch();
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
        self.clock += SECOND;
        self.shard.apply(SourceEvent::Records(batch), self.clock);
        any
    }

    pub fn read_all(&mut self, world: &World) {
        for partition in 0..PARTITIONS {
            while self.read(world, partition, 5) {}
            self.shard.apply(SourceEvent::EndOfPartition { index: partition as u32 }, self.clock);
        }
    }

    pub fn end_epoch(&mut self) {
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
        self.end_epoch();
    }

    /// A start whose reader has not named a partition yet.
    pub fn restart_unread(&mut self) {
        self.shard = start(&self.store, self.clock, self.suspend_after);
    }

    pub fn join_partitions(&mut self) {
        for index in 0..PARTITIONS as u32 {
            let partition = TopicPartition { topic: "t".into(), partition: index as i32 };
            self.shard.apply(SourceEvent::Partition { index, partition }, self.clock);
        }
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

/// Records of a partition from an offset on.
pub fn batch(partitions: &[Vec<Sent>], partition: usize, from: usize, count: usize) -> RecordBatch {
    let mut batch = RecordBatch::default();
    for (at, sent) in partitions[partition].iter().enumerate().skip(from).take(count) {
        batch.push(Record {
            partition: partition as u32,
            offset: at as i64,
            timestamp: None,
            key: sent.key.as_deref().map(str::as_bytes),
            value: Some(sent.value.as_bytes()),
            rekey: sent.rekey,
        });
    }
    batch
}

fn count(row: &RealtimeRow) -> i64 {
    match row.values[0] {
        OutputValue::Int(n) => n,
        _ => panic!("a count is an integer"),
    }
}

fn start(store: &Arc<MemoryStore>, now: Micros, suspend_after: u64) -> Shard {
    let options = Options { suspend_after, ..options() };
    let monotonic: Monotonic = Arc::new(|| Duration::ZERO);
    let loader = &Counting { info: metrics()[0].info().clone() };
    let mut shard = recover(options, store.clone(), loader, monotonic).expect("recovers");
    join_initial(&mut shard, &**store, loader, 1, now).expect("joins");
    shard
}

pub fn step() -> impl Strategy<Value = Step> {
    let (id, queue) = (0..9i64, 0..2i64);
    prop_oneof![
        8 => (id.clone(), queue.clone(), any::<bool>()).prop_map(|(i, q, o)| Step::Put(i, q, o)),
        3 => (id.clone(), queue, any::<bool>()).prop_map(|(i, q, o)| Step::SlowPut(i, q, o)),
        3 => id.clone().prop_map(Step::Delete),
        3 => (id.clone(), id).prop_map(|(from, to)| Step::Rekey(from, to)),
        2 => Just(Step::Truncate),
        1 => Just(Step::Snapshot),
        2 => (1..12usize).prop_map(Step::Repeat),
        1 => Just(Step::NewLog),
    ]
}

/// Steps that reach Kafka whole, and some that do not.
fn lossy() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => step(),
        1 => (0..9i64, 0..2i64, any::<bool>()).prop_map(|(i, q, o)| Step::LostPut(i, q, o)),
        1 => (0..9i64).prop_map(Step::LostDelete),
    ]
}

pub fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![5 => Just(Turn::GoOn), 3 => Just(Turn::EndEpoch), 1 => Just(Turn::Restore), 1 => Just(Turn::Kill)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn current_values_are_those_of_the_table_whatever_the_order_in_which_partitions_are_read(
        steps in proptest::collection::vec(step(), 1..60),
        order in proptest::collection::vec((0..PARTITIONS, 1..4usize, turn()), 0..40),
        restored in any::<bool>(),
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        let mut reading = Reading::new();
        for (partition, count, turn) in &order {
            reading.read(&world, *partition, *count);
            let kills = matches!(turn, Turn::Restore | Turn::Kill);
            reading.turn(if kills && !restored { Turn::EndEpoch } else { *turn });
        }
        reading.read_all(&world);
        reading.end_epoch();
        prop_assert_eq!(reading.shown(), world.open());
    }

    #[test]
    fn a_rebuild_mends_whatever_was_lost_before_it_while_changes_go_on(
        before in proptest::collection::vec(lossy(), 1..30),
        during in proptest::collection::vec(step(), 0..12),
        after in proptest::collection::vec(step(), 0..12),
        order in proptest::collection::vec((0..PARTITIONS, 1..4usize, turn()), 0..30),
        is_marked in any::<bool>(),
    ) {
        let mut world = World::new();
        before.iter().for_each(|step| world.take(step));
        let mut reading = Reading::new();
        reading.read_all(&world);
        reading.end_epoch();
        reading.shard.resnapshot("ticket", Resnapshot::Begin, reading.clock).expect("begins");
        reading.end_epoch();
        during.iter().for_each(|step| world.take(step));
        world.take(if is_marked { &Step::WholeSnapshot } else { &Step::Snapshot });
        let is_marked = is_marked && !world.rows.is_empty();
        after.iter().for_each(|step| world.take(step));
        for (partition, count, turn) in &order {
            reading.read(&world, *partition, *count);
            reading.turn(*turn);
        }
        reading.read_all(&world);
        reading.end_epoch();
        if !is_marked {
            reading.shard.resnapshot("ticket", Resnapshot::Finish, reading.clock).expect("finishes");
            reading.end_epoch();
        }
        reading.clock += 40 * SECOND;
        let waits = reading.shard.rebuild_condition().is_some();
        prop_assert!(!waits || reading.shard.has_work(reading.clock, false));
        reading.end_epoch();
        prop_assert!(reading.shard.rebuild_condition().is_none());
        prop_assert_eq!(reading.shown(), world.open());
    }
}

/// Ten open rows, of which one is gone upstream and nobody said so.
fn with_a_ghost() -> (World, Reading) {
    let mut world = World::new();
    (0..10).for_each(|id| world.take(&Step::Put(id, 0, true)));
    let mut reading = Reading::new();
    reading.read_all(&world);
    reading.end_epoch();
    world.take(&Step::LostDelete(9));
    (world, reading)
}

#[test]
fn a_table_under_rebuild_is_never_shown_half_full() {
    let (mut world, mut reading) = with_a_ghost();
    reading.shard.resnapshot("ticket", Resnapshot::Begin, reading.clock).expect("begins");
    world.take(&Step::WholeSnapshot);
    for nth in 0..30 {
        reading.read(&world, nth % PARTITIONS, 1);
        reading.turn(if nth % 7 == 3 { Turn::Restore } else { Turn::EndEpoch });
    }
    let total = |reading: &mut Reading| reading.newest()[&(String::new(), vec![])];
    assert_eq!(total(&mut reading), 10);
    assert_eq!(total(&mut reading), 10, "no partition was read to its end");
    reading.read_all(&world);
    reading.end_epoch();
    assert_eq!(total(&mut reading), 9);
    assert_eq!(reading.least, 9);
}

#[test]
fn the_end_of_a_rebuild_waits_for_reads_that_come_to_the_broker_a_little_later() {
    let (mut world, mut reading) = with_a_ghost();
    reading.shard.resnapshot("ticket", Resnapshot::Begin, reading.clock).expect("begins");
    world.take(&Step::WholeSnapshot);
    // The last read is row 8, in partition 2; those of partition 0 are on their way.
    let late = world.partitions[0].split_off(4);
    reading.read_all(&world);
    reading.end_epoch();
    world.partitions[0].extend(late);
    reading.clock += 10 * SECOND;
    reading.read_all(&world);
    reading.end_epoch();
    reading.clock += 40 * SECOND;
    reading.end_epoch();
    assert_eq!(reading.shown(), world.open());
}

#[test]
fn a_rebuild_that_is_given_up_leaves_the_rows_and_what_cannot_be_done_is_refused() {
    let (_, mut reading) = with_a_ghost();
    let mut ask = |source: &str, step| reading.shard.resnapshot(source, step, BASE);
    assert!(matches!(ask("nobody", Resnapshot::Begin), Err(ControlError::Refused(_))));
    assert!(matches!(ask("ticket", Resnapshot::Finish), Err(ControlError::Refused(_))));
    assert_eq!(ask("ticket", Resnapshot::Begin), Ok(()));
    assert_eq!(ask("ticket", Resnapshot::Finish), Ok(()));
    assert_eq!(ask("ticket", Resnapshot::Cancel), Ok(()));
    reading.clock += 40 * SECOND;
    reading.end_epoch();
    assert_eq!(reading.newest()[&(String::new(), vec![])], 10);
}

#[test]
fn a_metric_over_current_values_that_joins_a_running_table_begins_with_its_rows() {
    for restored in [false, true] {
        let (mut world, mut reading) = with_a_ghost();
        world.take(&Step::Delete(8));
        reading.read_all(&world);
        reading.shard.retire("t.open", &*reading.store).expect("it is loaded");
        reading.turn(Turn::EndEpoch);
        let open = metrics().into_iter().filter(|f| f.info().name == "t.open").collect();
        admit(&mut reading.shard, "again.wasm", open, &*reading.store, 1, BASE).expect("it joins");
        reading.turn(if restored { Turn::Restore } else { Turn::EndEpoch });
        (0..5).for_each(|id| world.take(&Step::Delete(id)));
        reading.read_all(&world);
        reading.end_epoch();
        // Row 9 is gone, and nobody said so.
        assert_eq!(reading.newest()[&(String::new(), vec![])], 4);
    }
}

/// The rows that a table holds must not depend on which of these a test says; so they are written out.
#[test]
fn a_truncate_read_late_ends_only_the_rows_that_were_set_before_it() {
    for restored in [false, true] {
        let mut world = World::new();
        // Row 0 is in partition 0, the truncate in partition 1.
        [Step::Put(0, 0, true), Step::Put(3, 0, true), Step::Truncate, Step::Put(0, 0, true)]
            .iter()
            .for_each(|step| world.take(step));
        let mut reading = Reading::new();
        while reading.read(&world, 0, 1) {}
        reading.turn(if restored { Turn::Restore } else { Turn::EndEpoch });
        reading.read_all(&world);
        reading.end_epoch();
        assert_eq!(reading.shown(), world.open());
        assert_eq!(world.open()[&(String::new(), vec![])], 1);
    }
}

#[test]
fn a_change_from_before_a_truncate_that_is_read_after_it_sets_nothing() {
    for restored in [false, true] {
        let mut world = World::new();
        [Step::Put(0, 0, true), Step::Truncate].iter().for_each(|step| world.take(step));
        let mut reading = Reading::new();
        reading.read(&world, 1, 1);
        reading.turn(if restored { Turn::Restore } else { Turn::EndEpoch });
        reading.read_all(&world);
        reading.end_epoch();
        assert!(reading.shown().is_empty());
    }
}
