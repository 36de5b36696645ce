//! Rows that wait in memory within a budget, and beyond it in the store alone: what arrives in the sink is
//! the same, whatever the budget, and however often the host starts anew in between.

use super::{Commit, Compute, Delivery, Job, Progress, Queue};
use crate::shard::fakes::{Counting, MemoryStore, metrics, options};
use crate::shard::harness::Kills::{self, Told};
use crate::shard::harness::{Change, Entry, batch_of, both, entries};
use crate::{Options, Ports};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_types::contract::MetricInfo;
use weir_types::live::{Condition, EpochUpdate, Publisher};
use weir_types::ports::{Broker, Clock, LostFuture, ReaderHandle, Sink, SinkError, StartAt, StateStore};
use weir_types::record::{OwnedRecord, SourceEvent, TopicPartition};
use weir_types::rows::{Outbox, version};
use weir_types::{MINUTE, Micros, SECOND};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z
/// Records in all.
const RECORDS: usize = 400;

/// The world of one host, and its clock.
#[derive(Default)]
struct Outside {
    clock: Mutex<Micros>,
    sink: Mutex<Table>,
    /// Parts that have trouble, and the figures of delivery, as last told.
    told: Mutex<(BTreeSet<&'static str>, (u64, u64))>,
}

/// As ClickHouse: the greatest version of a key stands.
#[derive(Default)]
struct Table {
    rows: BTreeMap<String, (u64, String)>,
    away: bool,
    delivered: u64,
    /// Rows of the largest delivery.
    most: usize,
}

impl Table {
    fn put(&mut self, key: String, version: u64, row: String) {
        if self.rows.get(&key).is_none_or(|(held, _)| *held <= version) {
            self.rows.insert(key, (version, row));
        }
    }

    fn insert(&mut self, generation: u64, rows: &Outbox) {
        for row in &rows.realtime {
            let key =
                (&row.series.metric, &row.series.window, &row.series.dimension_set, &row.dims, row.start);
            self.put(format!("{key:?}"), version(generation, row.epoch), format!("{row:?}"));
        }
        for row in &rows.latest {
            let key = (&row.series.metric, &row.series.dimension_set, &row.dims);
            self.put(format!("{key:?}"), version(generation, row.epoch), format!("{row:?}"));
        }
        for row in &rows.epochs {
            self.put(format!("epoch {}", row.epoch), version(generation, row.epoch), format!("{row:?}"));
        }
        for row in &rows.late_events {
            let key = format!("late {} {}", row.metric, row.offset);
            self.put(key, version(generation, row.epoch), format!("{row:?}"));
        }
    }
}

impl Sink for Outside {
    fn prepare(&self) -> Result<(), SinkError> {
        Ok(())
    }
    fn max_generation(&self) -> Result<u64, SinkError> {
        Ok(self.sink.lock().expect("lock").rows.values().map(|(version, _)| version >> 40).max().unwrap_or(0))
    }
    fn take_back(&self, _: LostFuture, _: u64) -> Result<(), SinkError> {
        Err(SinkError::Fatal("no state is imported here".into()))
    }
    fn prepare_metric(&self, _: &MetricInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn insert(&self, generation: u64, rows: &Outbox) -> Result<(), SinkError> {
        let mut sink = self.sink.lock().expect("lock");
        let epochs: Vec<u64> = rows.epochs.iter().map(|row| row.epoch).collect();
        let first = epochs[0];
        // A start may repeat what was not noted as delivered, and leave nothing out.
        assert!(first <= sink.delivered + 1, "after epoch {} comes {first}", sink.delivered);
        assert!(epochs.iter().zip(first..).all(|(epoch, due)| *epoch == due), "{epochs:?}");
        if sink.away {
            let half = rows.realtime.iter().take(rows.realtime.len() / 2).cloned().collect();
            sink.insert(generation, &Outbox { realtime: half, ..Outbox::default() });
            return Err(SinkError::Retry("it is away".into()));
        }
        sink.insert(generation, rows);
        sink.delivered = sink.delivered.max(first + epochs.len() as u64 - 1);
        sink.most = sink.most.max(rows.len());
        Ok(())
    }
}

impl Publisher for Outside {
    fn publish(&self, _: EpochUpdate) {}
    fn condition(&self, part: &'static str, condition: Option<Condition>) {
        let parts = &mut self.told.lock().expect("lock").0;
        match condition {
            Some(_) => parts.insert(part),
            None => parts.remove(part),
        };
    }
    fn latency(&self, _: &'static str, _: &[(Duration, u64)]) {}
    fn delivery(&self, epochs: u64, rows: u64, _: u64) {
        self.told.lock().expect("lock").1 = (epochs, rows);
    }
}

impl Clock for Outside {
    fn now(&self) -> Micros {
        *self.clock.lock().expect("lock")
    }
}

impl Broker for Outside {
    fn read(
        &self,
        _: &[String],
        _: &BTreeMap<TopicPartition, StartAt>,
        _: SyncSender<SourceEvent>,
    ) -> Result<Box<dyn ReaderHandle>, String> {
        Err("records are handed in".into())
    }
    fn fetch(&self, _: &[(TopicPartition, i64)]) -> Result<Vec<Option<OwnedRecord>>, String> {
        Err("records are handed in".into())
    }
}

/// What happens, in order.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// So many records, and the end of their epoch.
    Epoch(usize),
    /// So many epochs are made durable.
    Commit(usize),
    /// Delivery does so many steps.
    Deliver(usize),
    /// One step of delivery while the store cannot be scanned.
    Blind,
    Away(bool),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..20usize).prop_map(Act::Epoch),
        6 => (1..4usize).prop_map(Act::Commit),
        4 => (1..6usize).prop_map(Act::Deliver),
        1 => Just(Act::Blind),
        2 => any::<bool>().prop_map(Act::Away),
        1 => Just(Act::Restart),
    ]
}

struct Rig {
    store: Arc<MemoryStore>,
    outside: Arc<Outside>,
    ports: Arc<Ports>,
    budget: usize,
    entries: Vec<Entry>,
    compute: Compute,
    commit: Commit,
    delivery: Delivery,
    queue: Arc<Queue>,
    /// Epochs that are computed and not durable, with the number of their rows.
    jobs: VecDeque<(Job, u64)>,
    next: usize,
    /// Rows of each durable epoch.
    durable: BTreeMap<u64, u64>,
    /// The most epochs that were in the store alone, and the largest epoch.
    left: u64,
    largest: usize,
}

/// A birth every three seconds; every twentieth comes late.
fn changes() -> Vec<Change> {
    let birth = |n: i64| {
        let told = BASE + n * 3 * SECOND;
        let late = if n % 20 == 19 { 200 * MINUTE } else { 0 };
        Change::birth(0, n + 1, n % 7, ["new", "open"][n as usize % 2], told - late, told)
    };
    (0..RECORDS as i64).map(birth).collect()
}

/// Gives the offset at which the reader begins, too.
fn start(ports: &Arc<Ports>, budget: usize) -> (Compute, usize) {
    let options = Options { waiting_bytes: budget, ..options() };
    let mut compute = Compute::recover(options, ports.clone()).expect("recovers");
    let partition = TopicPartition { topic: "t".into(), partition: 0 };
    let next = compute.start().values().map(|at| at.next as usize).next().unwrap_or(0);
    compute.take(SourceEvent::Partitions(vec![partition])).expect("taken");
    (compute, next)
}

impl Rig {
    fn new(budget: usize) -> Rig {
        let (store, outside) = (Arc::new(MemoryStore::default()), Arc::new(Outside::default()));
        *outside.clock.lock().expect("lock") = BASE;
        let ports = Arc::new(Ports {
            clock: outside.clone(),
            monotonic: Arc::new(|| Duration::ZERO),
            wall: Arc::new(|| 1),
            broker: outside.clone(),
            state: store.clone(),
            sink: outside.clone(),
            loader: Arc::new(Counting { info: metrics()[0].info().clone() }),
            publisher: outside.clone(),
        });
        let (compute, next) = start(&ports, budget);
        let queue = compute.queue();
        let mut rig = Rig {
            commit: Commit::new(ports.clone(), queue.clone(), Arc::default()),
            delivery: compute.delivery(ports.clone()),
            store,
            outside,
            ports,
            budget,
            entries: entries(&changes()),
            compute,
            queue,
            jobs: VecDeque::new(),
            next,
            durable: BTreeMap::new(),
            left: 0,
            largest: 0,
        };
        rig.end_epoch();
        rig
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Epoch(records) => self.epoch(records),
            Act::Commit(epochs) => (0..epochs).for_each(|_| self.commit()),
            Act::Deliver(steps) => (0..steps).for_each(|_| {
                self.deliver();
            }),
            Act::Blind => {
                self.store.away.store(true, Ordering::Relaxed);
                self.deliver();
                self.store.away.store(false, Ordering::Relaxed);
            }
            Act::Away(away) => self.outside.sink.lock().expect("lock").away = away,
            Act::Restart => self.restart(),
        }
        self.check();
    }

    fn epoch(&mut self, records: usize) {
        let upto = (self.next + records).min(self.entries.len());
        let batch = &self.entries[self.next..upto];
        if !batch.is_empty() {
            *self.outside.clock.lock().expect("lock") = BASE + upto as i64 * 3 * SECOND;
            self.compute.take(SourceEvent::Records(batch_of(batch))).expect("taken");
        }
        self.next = upto;
        self.end_epoch();
    }

    fn end_epoch(&mut self) {
        let job = self.compute.end_epoch(false).expect("computed");
        let rows = job.rows();
        self.largest = self.largest.max(crate::outbox::weight(rows));
        let rows = rows.len() as u64;
        self.jobs.push_back((job, rows));
    }

    fn commit(&mut self) {
        let Some((job, rows)) = self.jobs.pop_front() else { return };
        self.durable.insert(job.epoch(), rows);
        self.commit.take(job);
        while self.commit.step().expect("written") != Progress::Idle {}
    }

    fn deliver(&mut self) -> Progress {
        self.delivery.step().expect("goes on")
    }

    /// kill -9, and a start on what is stored.
    fn restart(&mut self) {
        self.jobs.clear();
        *self.outside.told.lock().expect("lock") = Default::default();
        (self.compute, self.next) = start(&self.ports, self.budget);
        self.queue = self.compute.queue();
        self.commit = Commit::new(self.ports.clone(), self.queue.clone(), Arc::default());
        self.delivery = self.compute.delivery(self.ports.clone());
        let noted = self.queue.delivered();
        let owed = self.durable.range(noted + 1..);
        let owed = owed.fold((0, 0), |(epochs, rows), (_, more)| (epochs + 1, rows + more));
        assert_eq!(self.queue.backlog(), owed, "a start knows what waits without reading it");
        self.end_epoch();
    }

    fn check(&mut self) {
        let (bytes, left) = self.queue.held();
        self.left = self.left.max(left);
        let most = self.budget.saturating_add(self.largest);
        assert!(bytes <= most, "{bytes} bytes wait in memory, {most} may");
        let (epochs, rows) = self.queue.backlog();
        let owed = self.durable.range(self.queue.delivered() + 1..);
        let (due, at_most) = owed.fold((0, 0), |(epochs, rows), (_, more)| (epochs + 1, rows + more));
        assert_eq!(epochs, due, "epochs that wait");
        assert!(rows <= at_most && (rows > 0) == (due > 0), "{rows} of {at_most} rows");
    }

    /// Everything is read, made durable and delivered: what the sink has then, without versions.
    fn finish(mut self) -> (BTreeMap<String, String>, u64, usize) {
        self.act(Act::Away(false));
        self.epoch(usize::MAX - RECORDS);
        for _ in 0..4 {
            self.act(Act::Commit(self.jobs.len()));
            for _ in 0..10_000 {
                if self.deliver() == Progress::Idle {
                    break;
                }
                self.check();
            }
            self.end_epoch();
        }
        assert!(self.queue.backlog().0 == 0, "{:?}", self.queue.backlog());
        let told = self.outside.told.lock().expect("lock");
        assert!(told.0.is_empty() && told.1 == (0, 0), "{told:?}");
        let outboxes = self.store.scan(b"0/outbox").expect("scan");
        let last = self.queue.delivered().to_string();
        let kept = |key: &[u8]| String::from_utf8_lossy(key).contains(&last);
        assert!(outboxes.iter().all(|(key, _)| kept(key)), "what is delivered is deleted");
        let sink = self.outside.sink.lock().expect("lock");
        let rows = sink.rows.iter().map(|(key, (_, row))| (key.clone(), row.clone())).collect();
        (rows, self.left, sink.most)
    }
}

/// Plays the acts; in the straight run nothing starts again.
fn play(acts: &[Act], budget: usize, kills: Kills) -> (BTreeMap<String, String>, u64, usize) {
    let mut rig = Rig::new(budget);
    let starts = |act: &&Act| matches!(act, Act::Restart);
    acts.iter().filter(|act| !(kills.never() && starts(act))).for_each(|act| rig.act(*act));
    rig.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_sink_gets_the_same_rows_whatever_may_wait_in_memory(acts in prop::collection::vec(act(), 20..120)) {
        both(&[Told], |kills| {
            let (rows, left, _) = play(&acts, usize::MAX, kills);
            // Only what an earlier start has left.
            assert!(left == 0 || !kills.never());
            for budget in [0, 30_000] {
                let (bounded, ..) = play(&acts, budget, kills);
                assert_eq!(bounded, rows, "budget {budget}");
            }
        });
    }
}

/// Forty epochs while the sink is away, with starts in between.
fn outage() -> Vec<Act> {
    let mut acts = vec![Act::Commit(1), Act::Deliver(9), Act::Epoch(5), Act::Commit(1), Act::Deliver(9)];
    acts.push(Act::Away(true));
    for n in 0..40 {
        acts.extend([Act::Epoch(8), Act::Commit(1), Act::Deliver(2)]);
        if n % 15 == 14 {
            acts.push(Act::Restart);
        }
    }
    acts
}

#[test]
fn beyond_the_budget_epochs_wait_in_the_store_and_are_delivered_in_parts() {
    let acts = outage();
    both(&[Told], |kills| {
        let (rows, _, at_once) = play(&acts, usize::MAX, kills);
        let (bounded, left, most) = play(&acts, 60_000, kills);
        assert_eq!(bounded, rows);
        assert!(left > 10, "{left} epochs were in the store alone");
        assert!(most * 2 < at_once, "{most} rows in one delivery, {at_once} without a bound");
    });
}

#[test]
fn a_state_that_cannot_be_read_is_told_as_such_and_not_as_the_sinks_trouble() {
    both(&[Told], |kills| {
        let mut rig = Rig::new(0);
        let acts =
            [Act::Commit(1), Act::Deliver(4), Act::Epoch(5), Act::Commit(9), Act::Epoch(5), Act::Commit(9)];
        acts.into_iter().for_each(|act| rig.act(act));
        // The first epochs are in memory, one by one.
        while rig.queue.held().0 > 0 {
            rig.act(Act::Deliver(1));
        }
        if !kills.never() {
            // Until its generation is durable, and delivery reads again.
            let acts = [Act::Restart, Act::Commit(1), Act::Deliver(9), Act::Epoch(0), Act::Commit(9)];
            acts.into_iter().for_each(|act| rig.act(act));
        }
        assert!(rig.queue.backlog().0 > 0, "the others are in the store alone");
        rig.act(Act::Blind);
        let parts = |rig: &Rig| rig.outside.told.lock().expect("lock").0.iter().copied().collect::<Vec<_>>();
        assert_eq!(parts(&rig), ["state"]);
        rig.act(Act::Deliver(1));
        assert!(parts(&rig).is_empty());
        rig.act(Act::Deliver(30));
        assert_eq!(rig.queue.backlog().0, 0);
    });
}
