//! Metrics over sources whose records do not say what happened: stopped, mended and killed at any moment, they
//! end up with the numbers of a twin that was never away.

use super::fakes::*;
use super::*;
use crate::recover::{admit, join_initial, recover};
use crate::shard::Redrive;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;
use weir_types::contract::*;
use weir_types::control::{ControlError, Resnapshot};
use weir_types::ports::Loader;
use weir_types::record::{OwnedRecord, Record, RecordBatch};
use weir_types::rows::{DeadLetterRow, DeadOutcome, OutputValue};
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl};
use weir_types::window::Window;
use weir_types::{DAY, MINUTE, SECOND};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z
const PARTITIONS: usize = 3;
/// Rows without the column after which metrics are suspended here.
const LIMIT: u64 = 3;

/// Counts rows that go or cease to be open, at the time that their last image says.
struct Closing(Box<dyn MetricInstance>);

impl MetricInstance for Closing {
    fn observe(&mut self, _: u32, changes: &Changes) -> Result<Samples, GuestError> {
        let is_open = |present: &[u8], column: &PackedColumn, row: u32| {
            pack::bit(present, row as usize)
                && pack::bit(&column.validity, row as usize)
                && text(&changes.dictionaries[1], pack::i64_at(&column.values, row as usize)) == "open"
        };
        let closes = |row: &u32| {
            let goes = !pack::bit(&changes.after_present, *row as usize);
            let was_open = is_open(&changes.before_present, &changes.before[1], *row);
            goes || (was_open && !is_open(&changes.after_present, &changes.after[1], *row))
        };
        let rows: Vec<u32> = (0..changes.rows).filter(closes).collect();
        let time = |row: &u32| pack::i64_at(&changes.before[0].values, *row as usize);
        let times: Vec<i64> = rows.iter().map(time).collect();
        Ok(Samples { rows: pack::u32s(&rows), times: pack::i64s(&times), ..Samples::default() })
    }
    fn observe_image(&mut self, input: u32, images: &Images) -> Result<Samples, GuestError> {
        self.0.observe_image(input, images)
    }
    fn accumulate(&mut self, parts: &Parts) -> Result<(), GuestError> {
        self.0.accumulate(parts)
    }
    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), GuestError> {
        self.0.merge(into, from)
    }
    fn evaluate(
        &mut self,
        slots: &[u32],
        starts: &[Micros],
        ends: &[Micros],
        clock: Micros,
    ) -> Result<Outputs, GuestError> {
        self.0.evaluate(slots, starts, ends, clock)
    }
    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        self.0.save(slots)
    }
    fn load(&mut self, slots: &[u32], states: &States, version: u32) -> Result<(), GuestError> {
        self.0.load(slots, states, version)
    }
    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError> {
        self.0.release(slots)
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

fn text(dictionary: &PackedDictionary, code: i64) -> String {
    crate::metric::text_of(dictionary, code).to_string()
}

struct Closings(Counting);

impl MetricFactory for Closings {
    fn info(&self) -> &MetricInfo {
        &self.0.info
    }
    fn digest(&self) -> &str {
        "counting"
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        Ok(Box::new(Closing(self.0.open()?)))
    }
}

/// Births and closings, each twice: the first of a name is stopped by the tests, its twin never.
fn metrics() -> Vec<Arc<dyn MetricFactory>> {
    let field = |name: &str, value_type| Field { name: name.into(), value_type, nullable: false };
    let windows = || vec![Window::Tumbling(MINUTE), Window::Day];
    let mut all: Vec<Arc<dyn MetricFactory>> = Vec::new();
    for twin in ["", ".twin"] {
        let created = field("created_at", ValueType::Time);
        let created = info(&format!("t.created{twin}"), created, windows());
        all.push(Arc::new(Counting { info: created }));
        let updated = field("updated_at", ValueType::Time);
        let mut closed = info(&format!("t.closed{twin}"), updated, windows());
        closed.inputs[0].fields = vec![
            field("updated_at", ValueType::Time),
            field("status", ValueType::Text),
            field("queue_id", ValueType::Int),
        ];
        all.push(Arc::new(Closings(Counting { info: closed })));
    }
    all
}

struct Metrics;

impl Loader for Metrics {
    fn load(&self, _: &str, _: &[u8], _: &[Arc<SourceDecl>]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        Ok(metrics())
    }
    fn reload(&self, _: &str, _: &[u8]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        Ok(metrics())
    }
}

/// How the changes are written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    PlainVersioned,
    Canal,
}

fn options_of(kind: Kind, suspend_after: u64) -> Options {
    let options = options();
    let mut source: SourceDecl = (*options.sources[0]).clone();
    let version =
        ColumnDecl { name: "version".into(), ty: ColumnType::Int, nullable: false, values: Vec::new() };
    source.columns.push(version);
    source.format = if kind == Kind::Canal { Format::CanalJson } else { Format::PlainJson };
    let version_column = (kind != Kind::Plain).then_some(source.columns.len() - 1);
    source.reading = Reading { version_column, ..Reading::default() };
    Options { sources: vec![Arc::new(source)], suspend_after, ..options }
}

/// What happens upstream.
#[derive(Clone, Debug)]
enum Step {
    Put(i64, i64, bool),
    /// Two rows of one partition at once.
    Pair(i64, i64, bool),
    Delete(i64),
    Truncate,
    /// The last records of a partition come again.
    Repeat(usize, usize),
    /// A record that can be read only when it is taken up again.
    Broken(i64, i64, bool),
    /// The column `status` goes, or comes back.
    Lack(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let (id, queue) = (0..9i64, 0..2i64);
    prop_oneof![
        9 => (id.clone(), queue.clone(), any::<bool>()).prop_map(|(i, q, o)| Step::Put(i, q, o)),
        3 => (id.clone(), queue.clone(), any::<bool>()).prop_map(|(i, q, o)| Step::Pair(i, q, o)),
        4 => id.clone().prop_map(Step::Delete),
        1 => Just(Step::Truncate),
        2 => (0..PARTITIONS, 1..6usize).prop_map(|(p, n)| Step::Repeat(p, n)),
        2 => (id, queue, any::<bool>()).prop_map(|(i, q, o)| Step::Broken(i, q, o)),
    ]
}

/// As [`step`], and the column comes and goes.
fn lacking() -> impl Strategy<Value = Step> {
    prop_oneof![8 => step(), 1 => any::<bool>().prop_map(Step::Lack)]
}

#[derive(Clone, Debug)]
struct Sent {
    key: Option<String>,
    value: Option<String>,
    /// What it is when it is taken up again.
    mended: Option<String>,
}

/// A row of the table upstream.
#[derive(Clone, Copy)]
struct Row {
    queue: i64,
    open: bool,
    created: i64,
    updated: i64,
    version: i64,
}

/// The table upstream and what was written of it.
struct World {
    kind: Kind,
    rows: BTreeMap<i64, Row>,
    second: i64,
    lacks: bool,
    partitions: Vec<Vec<Sent>>,
}

impl World {
    fn new(kind: Kind, steps: &[Step]) -> World {
        let partitions = vec![Vec::new(); PARTITIONS];
        let mut world = World { kind, rows: BTreeMap::new(), second: 0, lacks: false, partitions };
        steps.iter().for_each(|step| world.take(step));
        world
    }

    fn take(&mut self, step: &Step) {
        self.second += 1;
        match *step {
            Step::Put(id, queue, open) => self.put(&[id], queue, open, false),
            Step::Pair(id, queue, open) => self.put(&[id, id + PARTITIONS as i64], queue, open, false),
            Step::Broken(id, queue, open) => self.put(&[id], queue, open, true),
            Step::Delete(id) => self.delete(id),
            Step::Truncate if self.kind == Kind::Canal => {
                self.rows.clear();
                let value = r#"{"type":"TRUNCATE","isDdl":true,"table":"ticket","data":null,"old":null}"#;
                self.send(1, None, Some(value.into()), false);
            }
            Step::Truncate => {}
            Step::Repeat(partition, count) => {
                let sent = &mut self.partitions[partition];
                let from = sent.len().saturating_sub(count);
                sent.extend_from_within(from..);
            }
            Step::Lack(lacks) => self.lacks = lacks,
        }
    }

    fn put(&mut self, ids: &[i64], queue: i64, open: bool, broken: bool) {
        let partition = ids[0] as usize % PARTITIONS;
        let mut images = Vec::new();
        for id in ids {
            let old = self.rows.get(id).copied();
            let created = old.map_or(self.second, |old| old.created);
            let row = Row { queue, open, created, updated: self.second, version: self.second };
            self.rows.insert(*id, row);
            images.push((*id, old, row));
        }
        if self.kind != Kind::Canal {
            for (id, _, row) in images {
                self.send(partition, Some(id.to_string()), Some(self.image(id, row)), broken);
            }
            return;
        }
        // Rows of one record are of one kind.
        let (new, known): (Vec<_>, Vec<_>) = images.into_iter().partition(|(_, old, _)| old.is_none());
        for (kind, images) in [("INSERT", new), ("UPDATE", known)] {
            if images.is_empty() {
                continue;
            }
            let data: Vec<String> = images.iter().map(|(id, _, row)| self.image(*id, *row)).collect();
            let old: Vec<String> =
                images.iter().filter_map(|(id, old, _)| Some(self.image(*id, (*old)?))).collect();
            let old = if old.is_empty() { "null".into() } else { format!("[{}]", old.join(",")) };
            self.send(partition, None, Some(canal(kind, &data.join(","), &old)), broken);
        }
    }

    fn delete(&mut self, id: i64) {
        let Some(old) = self.rows.remove(&id) else { return };
        let partition = id as usize % PARTITIONS;
        match self.kind {
            Kind::Canal => {
                let value = canal("DELETE", &self.image(id, old), "null");
                self.send(partition, None, Some(value), false);
            }
            _ => self.send(partition, Some(id.to_string()), None, false),
        }
    }

    fn image(&self, id: i64, row: Row) -> String {
        let ms = |s: i64| BASE / 1000 + s * 1000;
        let Row { queue, open, created, updated, version } = row;
        let status = match (self.lacks, open) {
            (true, _) => "",
            (false, true) => r#""status":"open","#,
            (false, false) => r#""status":"done","#,
        };
        format!(
            r#"{{"id":"{id}","queue_id":"{queue}",{status}"created_at":"{}","updated_at":"{}","version":"{version}"}}"#,
            ms(created),
            ms(updated)
        )
    }

    fn send(&mut self, partition: usize, key: Option<String>, value: Option<String>, broken: bool) {
        let (value, mended) = if broken { (Some("no change".into()), value) } else { (value, None) };
        self.partitions[partition].push(Sent { key, value, mended });
    }
}

fn canal(kind: &str, data: &str, old: &str) -> String {
    format!(r#"{{"type":"{kind}","isDdl":false,"table":"ticket","data":[{data}],"old":{old}}}"#)
}

/// Numbers by window, set, dims and start.
type Numbers = BTreeMap<(String, String, Vec<String>, Micros), i64>;

/// Epochs on their way to the store at the most, as in the host.
const ON_THEIR_WAY: usize = 2;

/// A shard, and what it has told.
struct Rig {
    options: Options,
    store: Arc<MemoryStore>,
    shard: Shard,
    clock: Micros,
    /// Epochs that are not durable yet.
    coming: VecDeque<EpochCommit>,
    newest: BTreeMap<String, Numbers>,
    letters: Vec<DeadLetterRow>,
    late: usize,
}

impl Rig {
    fn new(options: Options) -> Rig {
        let store = Arc::new(MemoryStore::default());
        let clock = BASE + DAY;
        let shard = start(&options, &store, clock);
        let (newest, letters) = (BTreeMap::new(), Vec::new());
        let coming = VecDeque::new();
        let mut rig = Rig { options, store, shard, clock, coming, newest, letters, late: 0 };
        rig.end_epoch();
        rig
    }

    /// What is on its way is lost.
    fn kill(&mut self) {
        self.coming.clear();
        self.shard = start(&self.options, &self.store, self.clock);
        self.end_epoch();
    }

    fn end_epoch(&mut self) {
        self.clock += SECOND;
        self.coming.push_back(self.shard.end_epoch(self.clock, true, None, 0).expect("reads"));
        while self.coming.len() > ON_THEIR_WAY {
            self.write_one();
        }
    }

    /// Everything becomes durable.
    fn flush(&mut self) {
        while !self.coming.is_empty() {
            self.write_one();
        }
    }

    fn write_one(&mut self) {
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

    fn read(&mut self, world: &World, partition: usize, count: usize) -> bool {
        let next = self.shard.sources.next_offsets();
        let from =
            next.iter().find(|(p, _)| p.partition as usize == partition).map_or(0, |(_, n)| *n as usize);
        let batch = batch(world, partition, from, count);
        let any = !batch.is_empty();
        self.shard.apply(SourceEvent::Records(batch), self.clock);
        any
    }

    fn read_all(&mut self, world: &World) {
        for partition in 0..PARTITIONS {
            while self.read(world, partition, 5) {}
            self.shard.apply(SourceEvent::EndOfPartition { index: partition as u32 }, self.clock);
        }
    }

    /// Gives catching-up metrics up to so many records of each partition.
    fn catch_up(&mut self, world: &World, count: usize) {
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
    fn fail(&mut self) {
        let is_ours = |at: &usize| !self.shard.metrics[*at].info.name.ends_with(".twin");
        let failed = (0..self.shard.metrics.len()).filter(is_ours).map(|at| (at, "a trap".into())).collect();
        self.shard.quarantine(failed);
    }

    fn mend(&mut self) {
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
    fn redrive(&mut self, world: &World, count: usize) {
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
    fn settle(&mut self, world: &World) {
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

    fn kept(&self) -> usize {
        let data = self.store.data.lock().expect("lock");
        data.keys().filter(|key| key.starts_with(b"0/findings/")).count()
    }
}

fn start(options: &Options, store: &Arc<MemoryStore>, now: Micros) -> Shard {
    let monotonic: Monotonic = Arc::new(|| Duration::ZERO);
    let mut shard = recover(options.clone(), store.clone(), &Metrics, monotonic).expect("recovers");
    join_initial(&mut shard, &**store, &Metrics, 1, now).expect("joins");
    for index in 0..PARTITIONS as u32 {
        let partition = TopicPartition { topic: "t".into(), partition: index as i32 };
        shard.apply(SourceEvent::Partition { index, partition }, now);
    }
    shard
}

fn batch(world: &World, partition: usize, from: usize, count: usize) -> RecordBatch {
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
enum Turn {
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

fn turn() -> impl Strategy<Value = Turn> {
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
    fn turn(&mut self, world: &World, turn: &Turn) {
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

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Plain), Just(Kind::PlainVersioned), Just(Kind::Canal)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_metric_that_failed_and_was_mended_has_the_numbers_of_its_twin(
        kind in kind(),
        steps in proptest::collection::vec(step(), 1..60),
        turns in proptest::collection::vec(turn(), 1..60),
    ) {
        let world = World::new(kind, &steps);
        let mut rig = Rig::new(options_of(kind, u64::MAX));
        turns.iter().for_each(|turn| rig.turn(&world, turn));
        rig.mend();
        rig.settle(&world);
        rig.redrive(&world, usize::MAX);
        rig.end_epoch();
        rig.flush();
        for name in ["t.created", "t.closed"] {
            prop_assert_eq!(rig.newest.get(name), rig.newest.get(&format!("{name}.twin")), "{}", name);
        }
        prop_assert_eq!(rig.late, 0);
        prop_assert_eq!(rig.kept(), 0, "nobody needs it any more");
    }

    #[test]
    fn metrics_whose_column_was_dropped_have_the_numbers_of_a_host_that_stops_none(
        kind in kind(),
        steps in proptest::collection::vec(lacking(), 1..60),
        turns in proptest::collection::vec(turn(), 1..60),
    ) {
        let mut world = World::new(kind, &steps);
        world.lacks = false;
        // Rows in every partition, so that each ends with one that fits.
        (20..20 + PARTITIONS as i64).for_each(|id| world.take(&Step::Put(id, 0, true)));
        let mut rig = Rig::new(options_of(kind, LIMIT));
        // A dead letter that is taken up again counts where it is taken up: that differs by host.
        let turns = turns.iter().filter(|turn| !matches!(turn, Turn::Redrive(_)));
        turns.for_each(|turn| rig.turn(&world, turn));
        rig.mend();
        rig.settle(&world);
        let mut other = Rig::new(options_of(kind, u64::MAX));
        // Where a truncate ends rows depends on what is read before it.
        prop_assume!(kind != Kind::Canal || !steps.iter().any(|step| matches!(step, Step::Truncate)));
        other.read_all(&world);
        other.end_epoch();
        other.flush();
        prop_assert_eq!(&rig.newest, &other.newest);
        prop_assert_eq!(rig.late, 0);
        prop_assert_eq!(rig.kept(), 0, "nobody needs it any more");
    }
}

/// Ten rows in the world, of which the shard has read none.
fn ten_rows() -> World {
    let put = |id: i64| Step::Put(id, 0, true);
    World::new(Kind::Plain, &(0..10).map(put).collect::<Vec<_>>())
}

#[test]
fn what_is_missed_is_kept_up_to_a_limit_and_beyond_it_a_mended_version_is_told_what_to_do() {
    let mut world = ten_rows();
    let mut rig = Rig::new(Options { missed_bytes: 500, ..options_of(Kind::Plain, u64::MAX) });
    rig.read_all(&world);
    rig.end_epoch();
    rig.flush();
    assert_eq!(rig.kept(), 0, "nobody is away");
    rig.fail();
    rig.end_epoch();
    (0..40).for_each(|round| {
        world.take(&Step::Put(round % 10, round, round % 3 == 0));
        rig.read_all(&world);
        rig.end_epoch();
    });
    rig.flush();
    assert_eq!(rig.kept(), 0, "what is not whole is of no use");
    for restored in [false, true] {
        if restored {
            rig.kill();
        }
        let created = metrics().into_iter().filter(|m| m.info().name == "t.created").collect();
        let refused = admit(&mut rig.shard, "mended.wasm", created, &*rig.store, 1, rig.clock);
        let refused = refused.expect_err("refused");
        assert!(refused.contains("source ticket") && refused.contains("retire"), "{refused}");
        rig.end_epoch();
        rig.flush();
    }
}

#[test]
fn a_metric_that_catches_up_when_the_limit_is_reached_is_quarantined_and_says_why() {
    let mut world = ten_rows();
    let mut rig = Rig::new(Options { missed_bytes: 2000, ..options_of(Kind::Plain, u64::MAX) });
    rig.fail();
    rig.end_epoch();
    // In several epochs: what it has read of the first tells nothing of the others.
    while (0..PARTITIONS).any(|partition| rig.read(&world, partition, 1)) {
        rig.end_epoch();
    }
    rig.mend();
    rig.end_epoch();
    rig.catch_up(&world, 1);
    (0..200).for_each(|round| {
        world.take(&Step::Put(round % 10, round, round % 3 == 0));
        rig.read_all(&world);
        rig.end_epoch();
    });
    rig.catch_up(&world, 1000);
    rig.end_epoch();
    for entry in rig.shard.catalogue().into_iter().filter(|e| !e.info.name.ends_with(".twin")) {
        assert_eq!(entry.status, "quarantined");
        let reason = entry.reason.unwrap_or_default();
        assert!(reason.contains("no longer kept") && reason.contains("retire"), "{reason}");
    }
}

#[test]
fn a_state_of_before_findings_were_kept_is_read_and_its_stopped_metrics_are_refused() {
    let mut world = ten_rows();
    let mut rig = Rig::new(options_of(Kind::Plain, u64::MAX));
    rig.fail();
    rig.end_epoch();
    rig.read_all(&world);
    rig.end_epoch();
    rig.flush();
    // An older host wrote none.
    rig.store.data.lock().expect("lock").retain(|key, _| !key.starts_with(b"0/findings/"));
    rig.kill();
    world.take(&Step::Put(0, 1, true));
    rig.read_all(&world);
    rig.end_epoch();
    let created = metrics().into_iter().filter(|m| m.info().name == "t.created").collect();
    let refused = admit(&mut rig.shard, "mended.wasm", created, &*rig.store, 1, rig.clock);
    assert!(refused.expect_err("refused").contains("no longer kept"));
    rig.flush();
    assert_eq!(rig.kept(), 0);
}

#[test]
fn what_a_long_absence_left_behind_is_deleted_little_by_little_whatever_is_killed() {
    let mut world = ten_rows();
    let mut rig = Rig::new(options_of(Kind::Plain, u64::MAX));
    rig.fail();
    rig.end_epoch();
    for round in 0..3000 {
        world.take(&Step::Put(round % 10, round, true));
        rig.read(&world, (round % 10) as usize % PARTITIONS, 9);
        rig.end_epoch();
    }
    rig.flush();
    let kept = rig.kept();
    assert!(kept > 2 * 2048, "{kept}");
    for name in ["t.created", "t.closed"] {
        rig.shard.retire(name, &*rig.store).expect("it is there");
    }
    rig.end_epoch();
    rig.flush();
    assert!(rig.kept() > 0 && rig.kept() < kept);
    rig.kill();
    rig.flush();
    assert_eq!(rig.kept(), 0);
}

#[test]
fn a_rebuild_is_refused_where_versions_would_take_the_snapshot_for_repeats() {
    for (kind, refuses) in [(Kind::Plain, false), (Kind::PlainVersioned, true), (Kind::Canal, true)] {
        let mut rig = Rig::new(options_of(kind, u64::MAX));
        let begun = rig.shard.resnapshot("ticket", Resnapshot::Begin, rig.clock);
        match begun {
            Err(ControlError::Refused(reason)) => {
                assert!(refuses && !reason.is_empty(), "{kind:?}: {reason}")
            }
            begun => assert!(!refuses && begun.is_ok(), "{kind:?}"),
        }
    }
}
