//! Metrics that stop and come back: whatever the order of reading, and wherever the shard is killed, they end up
//! with every number as if they had never been away.

use super::fakes::*;
use super::harness::Kills::{Every, Told};
use super::harness::both;
use super::row_tests::reading::{Reading, Turn, turn};
use super::row_tests::world::{BASE, PARTITIONS, Sent, Step, World, batch, step};
use super::*;
use crate::catchup::Readers;
use crate::recover::admit;
use proptest::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use weir_types::SECOND;
use weir_types::contract::{GuestError, MetricInstance};
use weir_types::control::Resnapshot;
use weir_types::ports::{Broker, ReaderHandle, Seek, StartAt};
use weir_types::record::{OwnedRecord, Record, RecordBatch};

/// Rows without the column after which metrics are suspended here.
const LIMIT: u64 = 3;

impl Reading {
    fn status(&self, metric: &str) -> String {
        self.shard.catalogue().into_iter().find(|e| e.info.name == metric).expect("it is loaded").status
    }

    /// Gives catching-up metrics up to so many records of each partition.
    fn catch_up(&mut self, world: &World, count: usize) {
        let names = self.shard.catchups.iter().map(|c| c.metric.info.name.clone()).collect::<Vec<_>>();
        for name in names {
            for partition in 0..PARTITIONS {
                let Some(catchup) = self.shard.catchups.iter().find(|c| c.metric.info.name == name) else {
                    break;
                };
                let starts = catchup.start();
                let start = starts.iter().find(|(p, _)| p.partition as usize == partition);
                let from = start.map_or(0, |(_, at)| at.next as usize);
                let records = batch(&world.partitions, partition, from, count);
                let index_of: Vec<u32> = (0..PARTITIONS as u32).collect();
                self.shard.catch_up(&name, &records, &index_of, self.clock).expect("reads");
                if from + count >= world.partitions[partition].len() {
                    self.shard.catch_up_reached_end(&name, partition as u32, self.clock);
                }
            }
        }
    }

    /// Reads everything, and goes on until every metric is live.
    fn settle(&mut self, world: &World) {
        for _ in 0..20 {
            self.read_all(world);
            self.end_epoch();
            self.catch_up(world, 1000);
        }
        self.end_epoch();
        for metric in ["t.created", "t.open"] {
            assert_eq!(self.status(metric), "live");
        }
    }
}

/// Rows in every partition, so that each ends with one that fits.
fn fresh_rows() -> impl Iterator<Item = Step> {
    (20..20 + PARTITIONS as i64).map(|id| Step::Put(id, 0, true))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_metric_whose_column_was_dropped_and_put_back_has_missed_nothing_that_fits(
        phases in proptest::collection::vec((any::<bool>(), proptest::collection::vec(step(), 1..15)), 1..6),
        order in proptest::collection::vec((0..PARTITIONS, 1..4usize, turn(), 0..4usize), 0..60),
    ) {
        let mut world = World::new();
        for (lacks, steps) in &phases {
            world.lacks = lacks.then_some("created_at");
            steps.iter().for_each(|step| world.take(step));
        }
        world.lacks = None;
        fresh_rows().for_each(|step| world.take(&step));
        both(&[Told], |kills| {
            let mut reading = Reading::suspending_after(LIMIT, kills);
            for (partition, count, turn, catch_up) in &order {
                reading.read(&world, *partition, *count);
                reading.catch_up(&world, *catch_up);
                reading.turn(*turn);
            }
            reading.settle(&world);
            assert_eq!(reading.created, world.created);
            assert_eq!(reading.late, 0);
            assert_eq!(reading.shown(), world.open());
        });
    }

    #[test]
    fn a_mended_version_goes_on_where_the_failing_one_stopped(
        steps in proptest::collection::vec(step(), 1..40),
        order in proptest::collection::vec((0..PARTITIONS, 1..4usize, turn(), 0..4usize), 1..40),
        fails in 0..40usize,
        mended in 0..40usize,
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        both(&[Told], |kills| {
            let mut reading = Reading::suspending_after(LIMIT, kills);
            for (nth, (partition, count, turn, catch_up)) in order.iter().enumerate() {
                reading.read(&world, *partition, *count);
                reading.catch_up(&world, *catch_up);
                if nth == fails {
                    let all = (0..reading.shard.metrics.len()).map(|at| (at, "a trap".to_string())).collect();
                    reading.shard.quarantine(all);
                    reading.end_epoch();
                }
                if nth == mended {
                    mend(&mut reading);
                }
                reading.turn(*turn);
            }
            reading.end_epoch();
            mend(&mut reading);
            reading.settle(&world);
            assert_eq!(reading.created, world.created);
            assert_eq!(reading.late, 0);
            assert_eq!(reading.shown(), world.open());
        });
    }
}

/// Pushes a mended version of every metric that is stopped.
fn mend(reading: &mut Reading) {
    let stopped = metrics().into_iter().filter(|m| reading.shard.is_stopped(&m.info().name)).collect();
    // Requests are carried out at a boundary.
    reading.end_epoch();
    admit(&mut reading.shard, "mended.wasm", stopped, &*reading.store, 1, reading.clock).expect("taken up");
}

/// Reads everything that came, in epochs of a few records.
fn follow(reading: &mut Reading, world: &World) {
    loop {
        let any =
            (0..PARTITIONS).map(|partition| reading.read(world, partition, 2)).fold(false, |a, b| a | b);
        reading.end_epoch();
        if !any {
            return;
        }
    }
}

#[test]
fn a_single_row_that_does_not_fit_is_excluded_and_suspends_nothing() {
    both(&[Every(1), Every(3)], |kills| {
        let mut world = World::new();
        let mut reading = Reading::suspending_after(LIMIT, kills);
        for round in 0..10 {
            world.lacks = Some("created_at");
            world.take(&Step::Put(100 + round, 0, true));
            world.lacks = None;
            world.take(&Step::Put(200 + round, 0, true));
        }
        follow(&mut reading, &world);
        assert_eq!(reading.status("t.created"), "live");
        assert_eq!(reading.created, world.created);
    });
}

#[test]
fn a_dropped_column_suspends_the_metrics_that_need_it_says_why_and_leaves_the_others_alone() {
    both(&[Told, Every(1), Every(3)], |kills| {
        let mut world = World::new();
        let mut reading = Reading::suspending_after(LIMIT, kills);
        (0..9).for_each(|id| world.take(&Step::Put(id, 0, true)));
        world.lacks = Some("created_at");
        (10..20).for_each(|id| world.take(&Step::Put(id, 0, true)));
        follow(&mut reading, &world);
        for _ in 0..2 {
            assert_eq!(
                (reading.status("t.created"), reading.status("t.open")),
                ("suspended".into(), "live".into())
            );
            let condition = reading.shard.suspended_condition().expect("it is told");
            assert!(!condition.blocking);
            for part in ["t.created", "created_at", "ticket", "dropped"] {
                assert!(condition.reason.contains(part), "{}", condition.reason);
            }
            reading.turn(Turn::Kill);
        }
        assert_eq!(reading.newest()[&(String::new(), vec![])], 19);
        world.lacks = None;
        fresh_rows().for_each(|step| world.take(&step));
        reading.settle(&world);
        assert!(reading.shard.suspended_condition().is_none());
        assert_eq!(reading.created, world.created);
    });
}

#[test]
fn current_values_suspended_by_a_dropped_column_are_right_again_after_a_resnapshot() {
    both(&[Told, Every(1)], |kills| {
        let mut world = World::new();
        let mut reading = Reading::suspending_after(LIMIT, kills);
        (0..9).for_each(|id| world.take(&Step::Put(id, id % 2, true)));
        follow(&mut reading, &world);
        world.lacks = Some("queue_id");
        (3..12).for_each(|id| world.take(&Step::Put(id, 0, true)));
        follow(&mut reading, &world);
        assert_eq!(reading.status("t.open"), "suspended");
        reading.turn(Turn::Restore);
        // The column is back with a default for all rows, of which the log says nothing.
        world.lacks = None;
        world.rows.values_mut().for_each(|row| row.0 = 1);
        reading.shard.resnapshot("ticket", Resnapshot::Begin, reading.clock).expect("begins");
        reading.end_epoch();
        world.take(&Step::WholeSnapshot);
        reading.settle(&world);
        reading.clock += 40 * SECOND;
        reading.turn(Turn::Restore);
        reading.settle(&world);
        reading.clock += 40 * SECOND;
        reading.end_epoch();
        assert_eq!(reading.shown(), world.open());
    });
}

#[test]
fn a_start_in_the_middle_of_catching_up_waits_for_the_partitions_before_it_says_what_is_left() {
    both(&[Told, Every(1)], |kills| {
        let mut world = World::new();
        (0..6).for_each(|id| world.take(&Step::Put(id, 0, true)));
        let mut reading = Reading::new(kills);
        follow(&mut reading, &world);
        reading.shard.quarantine(vec![(0, "a trap".into())]);
        reading.end_epoch();
        (6..20).for_each(|id| world.take(&Step::Put(id, 0, true)));
        follow(&mut reading, &world);
        let created = metrics().into_iter().filter(|f| f.info().name == "t.created").collect();
        admit(&mut reading.shard, "mended.wasm", created, &*reading.store, 1, reading.clock)
            .expect("it joins");
        reading.end_epoch();
        assert_eq!(reading.status("t.created"), "catching-up");
        // The first epoch of a start ends before its reader has named a partition.
        if !kills.never() {
            reading.restart_unread();
            reading.commit();
            assert_eq!(reading.status("t.created"), "catching-up");
            reading.join_partitions();
        }
        reading.settle(&world);
        assert_eq!(reading.created, world.created);
    });
}

/// Counts, but does not read the state of another meaning.
struct Other(Counting);

impl MetricFactory for Other {
    fn info(&self) -> &MetricInfo {
        &self.0.info
    }
    fn digest(&self) -> &str {
        "other"
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        self.0.open()
    }
}

#[test]
fn a_version_with_another_meaning_does_not_take_up_the_state_and_is_told_what_to_do() {
    both(&[Every(1)], |kills| {
        let mut reading = Reading::new(kills);
        reading.shard.quarantine(vec![(0, "a trap".into())]);
        reading.end_epoch();
        let info = metrics()[0].info().clone();
        let other = Other(Counting { info: MetricInfo { meaning_version: 2, ..info } });
        let refused =
            admit(&mut reading.shard, "other.wasm", vec![Arc::new(other)], &*reading.store, 1, BASE);
        let refused = refused.expect_err("refused");
        assert!(refused.contains("meaning version 1") && refused.contains("retire"), "{refused}");
        assert_eq!(reading.status("t.created"), "quarantined");
    });
}

/// A broker whose partitions grow while its readers read them.
struct Growing {
    partitions: Arc<Mutex<Vec<Vec<Sent>>>>,
}

struct Thread {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl ReaderHandle for Thread {
    fn committed(&self, _: &[(TopicPartition, i64)]) {}
    fn hold(&self, _: &[TopicPartition]) {}
    fn seek(&self, _: &[(TopicPartition, Seek)]) {}
    fn stop(self: Box<Self>) {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the reader ends");
    }
}

impl Broker for Growing {
    fn fetch(&self, _: &[(TopicPartition, i64)]) -> Result<Vec<Option<OwnedRecord>>, String> {
        Err("it reads no single records".into())
    }
    fn read(
        &self,
        topics: &[String],
        start: &BTreeMap<TopicPartition, StartAt>,
        events: SyncSender<SourceEvent>,
    ) -> Result<Box<dyn ReaderHandle>, String> {
        assert_eq!(topics, ["t".to_string()]);
        // In another order than the shard knows them.
        let order: Vec<usize> = (0..PARTITIONS).rev().collect();
        let of =
            |p: usize| start.iter().find(|(s, _)| s.partition as usize == p).map_or(0, |(_, at)| at.next);
        let mut next: Vec<usize> = order.iter().map(|p| of(*p) as usize).collect();
        let (partitions, stop) = (self.partitions.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let send = move |event| while_full(&events, event, &stopped);
        let read = move || {
            let name = |partition: &usize| TopicPartition { topic: "t".into(), partition: *partition as i32 };
            send(SourceEvent::Partitions(order.iter().map(name).collect()))?;
            loop {
                for (index, partition) in order.iter().enumerate() {
                    let all = partitions.lock().expect("lock");
                    let theirs = batch(&all, *partition, next[index], 3);
                    let ends = next[index] + theirs.len() == all[*partition].len();
                    drop(all);
                    next[index] += theirs.len();
                    let mut own = RecordBatch::default();
                    theirs.iter().for_each(|r| own.push(Record { partition: index as u32, ..r }));
                    send(SourceEvent::Records(own))?;
                    if ends {
                        send(SourceEvent::EndOfPartition { index: index as u32 })?;
                    }
                }
            }
        };
        let thread = std::thread::spawn(move || {
            let mut read = read;
            let _: Option<std::convert::Infallible> = read();
        });
        Ok(Box::new(Thread { stop, thread }))
    }
}

/// Sends as soon as there is room; None when it is over.
fn while_full(events: &SyncSender<SourceEvent>, mut event: SourceEvent, stopped: &AtomicBool) -> Option<()> {
    loop {
        if stopped.load(Ordering::Acquire) {
            return None;
        }
        match events.try_send(event) {
            Ok(()) => return Some(()),
            Err(std::sync::mpsc::TrySendError::Full(back)) => event = back,
            Err(std::sync::mpsc::TrySendError::Disconnected(_)) => return None,
        }
        std::thread::yield_now();
    }
}

#[test]
fn readers_of_their_own_bring_a_metric_back_while_the_shard_goes_on_reading() {
    both(&[Told], |kills| {
        let mut world = World::new();
        let mut reading = Reading::suspending_after(LIMIT, kills);
        (0..30).for_each(|id| world.take(&Step::Put(id, id % 2, true)));
        world.lacks = Some("created_at");
        (30..60).for_each(|id| world.take(&Step::Put(id, 0, true)));
        follow(&mut reading, &world);
        assert_eq!(reading.status("t.created"), "suspended");
        world.lacks = None;
        let partitions = Arc::new(Mutex::new(world.partitions.clone()));
        let broker = Arc::new(Growing { partitions: partitions.clone() });
        let mut readers = Readers::new(broker.clone());
        let (mut id, mut killed) = (100, kills.never());
        // It comes back however the threads run: the loop goes on until it has.
        while reading.status("t.created") != "live" {
            (0..3).for_each(|_| {
                world.take(&Step::Put(id, 1, true));
                id += 1;
            });
            partitions.lock().expect("lock").clone_from(&world.partitions);
            for partition in 0..PARTITIONS {
                reading.read(&world, partition, 4);
            }
            for _ in 0..20 {
                readers.turn(&mut reading.shard, reading.clock).expect("reads");
                std::thread::yield_now();
            }
            if !std::mem::replace(&mut killed, true) {
                // Its readers go with the host, and what they have brought is not durable.
                reading.turn(Turn::Kill);
                readers = Readers::new(broker.clone());
            }
            reading.end_epoch();
        }
        reading.read_all(&world);
        reading.end_epoch();
        assert_eq!(reading.created, world.created);
        readers.turn(&mut reading.shard, reading.clock).expect("reads");
    });
}
