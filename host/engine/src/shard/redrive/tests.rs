//! Redriving where a record's place in the upstream's log tells nothing: a snapshot's reads, and formats that
//! know repeats by versions. Each scene runs straight, and killed after every step.

use super::super::fakes::{MemoryStore, metrics, options};
use super::super::harness::Metrics;
use super::*;
use crate::Options;
use crate::recover::{join_initial, recover};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weir_types::control::Resnapshot;
use weir_types::ports::StateStore;
use weir_types::record::{Record, RecordBatch, SourceEvent, TopicPartition};
use weir_types::rows::{OutputValue, RealtimeRow};
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl};
use weir_types::{HOUR, SECOND};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z
/// Bytes that nobody can read; what was meant is known when they are taken up again.
const BROKEN: &str = "no change at all";

/// A record's key and value.
type Text = (Option<String>, Option<String>);

/// One shard over one partition.
struct Scene {
    options: Options,
    store: Arc<MemoryStore>,
    shard: Shard,
    clock: Micros,
    next: i64,
    is_killed: bool,
    /// Dead letters as they were delivered, in order.
    letters: Vec<DeadLetterRow>,
    rows: BTreeMap<(String, String, String, Vec<String>, Micros), RealtimeRow>,
    latest: BTreeMap<(String, String, Vec<String>), i64>,
}

fn start(options: &Options, store: &Arc<MemoryStore>, now: Micros) -> Shard {
    let mut shard = start_and_find_nothing(options, store, now);
    let partition = TopicPartition { topic: "t".into(), partition: 0 };
    shard.apply(SourceEvent::Partitions(vec![partition]), now);
    shard
}

/// The broker of the partition does not answer.
fn start_and_find_nothing(options: &Options, store: &Arc<MemoryStore>, now: Micros) -> Shard {
    let loader = &Metrics(metrics());
    let shard = recover(options.clone(), store.clone(), loader, Arc::new(|| Duration::ZERO));
    let mut shard = shard.expect("recovers");
    join_initial(&mut shard, &**store, loader, 1, now).expect("joins");
    shard
}

/// The tests' source in a format, with a version where it has no positions.
fn options_of(format: Format) -> Options {
    let mut options = options();
    let mut source: SourceDecl = (*options.sources[0]).clone();
    let versioned = matches!(format, Format::PlainJson | Format::CanalJson);
    if versioned {
        let ty = ColumnType::Int;
        source.columns.push(ColumnDecl { name: "version".into(), ty, nullable: false, values: Vec::new() });
    }
    let version_column = versioned.then_some(source.columns.len() - 1);
    source.reading = Reading { version_column, ..Reading::default() };
    options.sources = vec![Arc::new(SourceDecl { format, max_dead_share: 1.0, ..source })];
    options
}

impl Scene {
    fn new(format: Format, is_killed: bool) -> Scene {
        let (options, store) = (options_of(format), Arc::new(MemoryStore::default()));
        let shard = start(&options, &store, BASE);
        let (rows, latest) = (BTreeMap::new(), BTreeMap::new());
        let mut scene = Scene {
            options,
            store,
            shard,
            clock: BASE,
            next: 0,
            is_killed,
            letters: Vec::new(),
            rows,
            latest,
        };
        scene.end_epoch();
        scene
    }

    fn end_epoch(&mut self) {
        self.clock += SECOND;
        let commit = self.shard.end_epoch(self.clock, true, None, 0).expect("reads");
        self.store.write(commit.writes).expect("writes");
        self.shard.durable(commit.update.epoch);
        self.letters.extend(commit.outbox.dead_letters);
        for row in commit.outbox.realtime {
            let s = &row.series;
            let key = (
                s.metric.to_string(),
                s.window.to_string(),
                s.dimension_set.to_string(),
                row.dims.to_vec(),
                row.start,
            );
            self.rows.insert(key, row);
        }
        for row in commit.outbox.latest {
            let OutputValue::Int(count) = row.values[0] else { panic!("a count is an integer") };
            let s = &row.series;
            self.latest.insert((s.metric.to_string(), s.dimension_set.to_string(), row.dims.to_vec()), count);
        }
        if self.is_killed {
            self.shard = start(&self.options, &self.store, self.clock);
        }
    }

    /// Reads records, as one batch, and ends the epoch.
    fn read(&mut self, texts: &[Text]) {
        let mut batch = RecordBatch::default();
        for (key, value) in texts {
            batch.push(Record {
                partition: 0,
                offset: self.next,
                timestamp: None,
                key: key.as_deref().map(str::as_bytes),
                value: value.as_deref().map(str::as_bytes),
                rekey: Default::default(),
            });
            self.next += 1;
        }
        self.shard.apply(SourceEvent::Records(batch), self.clock);
        self.end_epoch();
    }

    /// Reads a record that cannot be read.
    fn read_broken(&mut self, meant: &Text) {
        self.read(&[(meant.0.clone(), Some(BROKEN.into()))]);
    }

    /// Takes up the dead letter at an offset, as what was meant; ends the epoch.
    fn redrive(&mut self, offset: i64, meant: &Text) -> &'static str {
        let answer = self.take_up(offset, meant);
        self.end_epoch();
        answer
    }

    fn take_up(&mut self, offset: i64, meant: &Text) -> &'static str {
        let letter = self.letters.iter().find(|l| l.offset == offset).expect("a dead letter").clone();
        let bytes = |text: &Option<String>| text.clone().map(String::into_bytes);
        let record = OwnedRecord { key: bytes(&meant.0), value: bytes(&meant.1), ..OwnedRecord::default() };
        self.shard.redrive(&[Redrive { letter, record }], self.clock)[0].name()
    }

    /// How many births all hours together have counted.
    fn births(&self) -> i64 {
        let of_all = self.rows.iter().filter(|((metric, window, set, ..), _)| {
            metric == "t.created" && window == "1h" && set.is_empty()
        });
        of_all
            .map(|(_, row)| match row.values[0] {
                OutputValue::Int(count) => count,
                _ => panic!("a count is an integer"),
            })
            .sum()
    }

    /// Open rows now, by queue.
    fn open(&self) -> BTreeMap<i64, i64> {
        let by_queue = self
            .latest
            .iter()
            .filter(|((metric, set, _), count)| metric == "t.open" && set == "queue_id" && **count != 0);
        by_queue.map(|((_, _, dims), count)| (dims[0].parse().expect("a queue"), *count)).collect()
    }
}

/// Runs a scene straight and killed.
fn twice(format: Format, scene: impl Fn(&mut Scene)) {
    for is_killed in [false, true] {
        scene(&mut Scene::new(format, is_killed));
    }
}

fn image(id: i64, queue: i64, version: i64) -> String {
    let at = BASE / 1000 - HOUR / 1000;
    let version = if version == 0 { String::new() } else { format!(r#","version":"{version}""#) };
    format!(
        r#"{{"id":"{id}","queue_id":"{queue}","status":"open","created_at":"{at}","updated_at":"{at}"{version}}}"#
    )
}

/// A snapshot's read: all of them have one place in the log.
fn snapshot_read(id: i64, queue: i64) -> Text {
    debezium("r", "null", &image(id, queue, 0), id, 500)
}

fn debezium(op: &str, before: &str, after: &str, id: i64, pos: i64) -> Text {
    let source = format!(
        r#"{{"ts_ms":1,"db":"service","table":"ticket","server_id":1,"file":"binlog.000001","pos":{pos},"row":0}}"#
    );
    let value = format!(r#"{{"before":{before},"after":{after},"source":{source},"op":"{op}","ts_ms":1}}"#);
    (Some(format!(r#"{{"id":{id}}}"#)), Some(value))
}

fn plain(id: i64, queue: i64, version: i64) -> Text {
    (Some(id.to_string()), Some(image(id, queue, version)))
}

fn tombstone(id: i64) -> Text {
    (Some(id.to_string()), None)
}

fn canal(kind: &str, rows: &[String], old: &str) -> Text {
    let data = rows.join(",");
    let value = format!(
        r#"{{"type":"{kind}","isDdl":false,"database":"service","table":"ticket","data":[{data}],"old":{old}}}"#
    );
    (None, Some(value))
}

fn born(id: i64, queue: i64, version: i64) -> Text {
    canal("INSERT", &[image(id, queue, version)], "null")
}

fn truncate() -> Text {
    let value =
        r#"{"type":"TRUNCATE","isDdl":true,"database":"service","table":"ticket","data":null,"old":null}"#;
    (None, Some(value.into()))
}

fn open_of(queues: &[i64]) -> BTreeMap<i64, i64> {
    let mut open = BTreeMap::new();
    queues.iter().for_each(|queue| *open.entry(*queue).or_default() += 1);
    open
}

#[test]
fn all_reads_of_a_snapshot_that_were_dead_are_applied_when_they_are_redriven_and_each_once() {
    twice(Format::DebeziumJson, |scene| {
        let reads: Vec<Text> = (0..4).map(|id| snapshot_read(id, 1)).collect();
        reads.iter().for_each(|read| scene.read_broken(read));
        for (offset, read) in (0..).zip(&reads) {
            assert_eq!(scene.redrive(offset, read), "applied", "{offset}");
            assert_eq!(scene.redrive(offset, read), "refused", "{offset}");
        }
        assert_eq!(scene.open(), open_of(&[1; 4]));
        assert_eq!(scene.births(), 0, "a read is no event");
    });
}

#[test]
fn a_read_that_a_later_record_of_its_key_followed_sets_no_current_value_when_it_is_redriven() {
    twice(Format::DebeziumJson, |scene| {
        let (first, second) = (snapshot_read(1, 1), snapshot_read(2, 1));
        scene.read_broken(&first);
        scene.read_broken(&second);
        // An update of the one, and the end of the other.
        scene.read(&[debezium("u", &image(1, 1, 0), &image(1, 2, 0), 1, 600)]);
        scene.read(&[debezium("d", &image(2, 1, 0), "null", 2, 601)]);
        assert_eq!([scene.redrive(0, &first), scene.redrive(1, &second)], ["applied"; 2]);
        assert_eq!(scene.open(), open_of(&[2]));
    });
}

#[test]
fn of_two_dead_reads_of_a_key_the_later_one_stands_in_whatever_order_they_are_redriven() {
    for order in [[0, 1], [1, 0]] {
        twice(Format::DebeziumJson, |scene| {
            let reads = [snapshot_read(1, 1), snapshot_read(1, 2)];
            reads.iter().for_each(|read| scene.read_broken(read));
            for at in order {
                assert_eq!(scene.redrive(at as i64, &reads[at]), "applied");
            }
            assert_eq!(scene.open(), open_of(&[2]), "{order:?}");
        });
    }
}

#[test]
fn a_change_that_stands_where_a_snapshot_was_taken_counts_when_it_is_redriven() {
    twice(Format::DebeziumJson, |scene| {
        let birth = debezium("c", "null", &image(1, 1, 0), 1, 500);
        scene.read_broken(&birth);
        scene.read(&[snapshot_read(1, 1)]);
        assert_eq!(scene.redrive(0, &birth), "applied");
        assert_eq!((scene.births(), scene.open()), (1, open_of(&[1])));
    });
}

#[test]
fn a_redriven_read_does_not_make_repeats_of_changes_that_are_read_later() {
    twice(Format::DebeziumJson, |scene| {
        let read = snapshot_read(1, 1);
        scene.read_broken(&read);
        assert_eq!(scene.redrive(0, &read), "applied");
        scene.read(&[debezium("c", "null", &image(2, 1, 0), 2, 400)]);
        assert_eq!(scene.births(), 1);
    });
}

#[test]
fn a_letter_that_is_taken_up_twice_in_an_epoch_leaves_one_row_the_last() {
    twice(Format::DebeziumJson, |scene| {
        let birth = debezium("c", "null", &image(1, 1, 0), 1, 500);
        let (other, broken) = (debezium("c", "null", &image(2, 1, 0), 2, 501), (None, Some(BROKEN.into())));
        scene.read_broken(&birth);
        scene.read_broken(&other);
        let before = scene.letters.len();
        let answers = [(0, &broken), (1, &broken), (0, &birth)].map(|(at, meant)| scene.take_up(at, meant));
        assert_eq!(answers, ["dead", "dead", "applied"]);
        scene.end_epoch();
        let rows: Vec<_> = scene.letters[before..].iter().map(|l| (l.offset, l.outcome)).collect();
        assert_eq!(rows, [(1, DeadOutcome::Dead), (0, DeadOutcome::Applied)]);
        assert_eq!(scene.births(), 1);
    });
}

#[test]
fn a_letter_from_before_a_rebuild_waits_for_its_end_and_sets_no_current_value_then() {
    twice(Format::DebeziumJson, |scene| {
        let [old, kept, newer] = [1, 2, 3].map(|id| debezium("c", "null", &image(id, id, 0), id, 500 + id));
        scene.read_broken(&old);
        scene.read(&[kept]);
        scene.shard.resnapshot("ticket", Resnapshot::Begin, scene.clock).expect("begins");
        scene.end_epoch();
        // Nobody said that the first row is gone upstream; the third comes after the snapshot.
        scene.read(&[snapshot_read(2, 2)]);
        scene.read_broken(&newer);
        assert_eq!(scene.redrive(0, &old), "refused");
        assert_eq!(scene.redrive(3, &newer), "applied");
        scene.shard.resnapshot("ticket", Resnapshot::Finish, scene.clock).expect("finishes");
        scene.end_epoch();
        scene.clock += 40 * SECOND;
        scene.shard.apply(SourceEvent::EndOfPartition { index: 0 }, scene.clock);
        scene.end_epoch();
        assert!(scene.shard.rebuild_condition().is_none());
        assert_eq!(scene.redrive(0, &old), "applied");
        assert_eq!((scene.births(), scene.open()), (3, open_of(&[2, 3])));
    });
}

#[test]
fn the_end_of_a_snapshot_that_is_told_while_no_partition_is_found_ends_the_rebuild_once_all_are() {
    twice(Format::DebeziumJson, |scene| {
        scene.read(&[debezium("c", "null", &image(1, 1, 0), 1, 500)]);
        scene.shard.resnapshot("ticket", Resnapshot::Begin, scene.clock).expect("begins");
        scene.end_epoch();
        scene.shard = start_and_find_nothing(&scene.options, &scene.store, scene.clock);
        scene.shard.resnapshot("ticket", Resnapshot::Finish, scene.clock).expect("finishes");
        scene.end_epoch();
        assert_eq!(scene.open(), open_of(&[1]));
        scene.shard = start(&scene.options, &scene.store, scene.clock);
        scene.clock += 40 * SECOND;
        scene.shard.apply(SourceEvent::EndOfPartition { index: 0 }, scene.clock);
        scene.end_epoch();
        assert_eq!((scene.shard.rebuild_condition().is_none(), scene.open()), (true, open_of(&[])));
    });
}

/// The births of one row in a format, with keys and without.
const VERSIONED: [(Format, fn(i64, i64, i64) -> Text); 2] =
    [(Format::PlainJson, plain), (Format::CanalJson, born)];

#[test]
fn a_change_that_was_dead_twice_counts_once_where_versions_tell_repeats() {
    for (format, change) in VERSIONED {
        for order in [[0, 1], [1, 0]] {
            twice(format, |scene| {
                let birth = change(1, 1, 6);
                scene.read_broken(&birth);
                scene.read_broken(&birth);
                assert_eq!(order.map(|at| scene.redrive(at, &birth)), ["applied", "skipped"]);
                assert_eq!((scene.births(), scene.open()), (1, open_of(&[1])));
            });
        }
    }
}

#[test]
fn a_dead_change_whose_repeat_was_counted_is_a_repeat_where_versions_tell_them() {
    for (format, change) in VERSIONED {
        twice(format, |scene| {
            let birth = change(1, 1, 6);
            scene.read_broken(&birth);
            scene.read(std::slice::from_ref(&birth));
            assert_eq!(scene.redrive(0, &birth), "skipped");
            assert_eq!((scene.births(), scene.open()), (1, open_of(&[1])));
        });
    }
}

#[test]
fn what_was_redriven_is_a_repeat_when_the_upstream_sends_it_again_where_versions_tell_them() {
    for (format, change) in VERSIONED {
        twice(format, |scene| {
            let birth = change(1, 1, 6);
            scene.read_broken(&birth);
            assert_eq!(scene.redrive(0, &birth), "applied");
            scene.read(std::slice::from_ref(&birth));
            assert_eq!((scene.births(), scene.open()), (1, open_of(&[1])));
        });
    }
}

#[test]
fn a_dead_change_that_a_greater_version_followed_counts_once_and_sets_no_current_value() {
    twice(Format::PlainJson, |scene| {
        let lost = plain(1, 1, 6);
        scene.read_broken(&lost);
        scene.read_broken(&lost);
        scene.read(&[plain(1, 2, 7)]);
        assert_eq!([scene.redrive(0, &lost), scene.redrive(1, &lost)], ["applied", "skipped"]);
        assert_eq!(scene.open(), open_of(&[2]));
    });
    // Canal's birth was followed by its row's end, which has the same version.
    twice(Format::CanalJson, |scene| {
        let birth = born(1, 1, 6);
        scene.read_broken(&birth);
        scene.read_broken(&birth);
        scene.read(&[canal("DELETE", &[image(1, 1, 6)], "null")]);
        assert_eq!([scene.redrive(0, &birth), scene.redrive(1, &birth)], ["applied", "skipped"]);
        assert_eq!((scene.births(), scene.open()), (1, open_of(&[])));
    });
}

#[test]
fn a_row_that_ended_after_its_dead_change_stays_gone_when_that_is_redriven_and_sent_again() {
    twice(Format::PlainJson, |scene| {
        scene.read(&[plain(1, 1, 5)]);
        let lost = plain(1, 2, 6);
        scene.read_broken(&lost);
        scene.read(&[tombstone(1)]);
        assert_eq!(scene.redrive(1, &lost), "applied");
        assert_eq!((scene.births(), scene.open()), (1, open_of(&[])), "it is not born again");
        scene.read(&[lost, tombstone(1)]);
        assert_eq!((scene.births(), scene.open()), (1, open_of(&[])));
    });
}

#[test]
fn of_a_dead_record_of_several_rows_those_that_were_counted_since_are_left_out() {
    twice(Format::CanalJson, |scene| {
        let both = canal("INSERT", &[image(1, 1, 6), image(2, 2, 7)], "null");
        scene.read_broken(&both);
        scene.read(&[born(2, 2, 7)]);
        assert_eq!(scene.redrive(0, &both), "applied");
        assert_eq!(scene.births(), 2);
    });
}

#[test]
fn a_row_that_was_born_again_stands_when_its_end_and_its_birth_are_sent_again() {
    twice(Format::PlainJson, |scene| {
        let life = [plain(1, 1, 1), tombstone(1), plain(1, 2, 5)];
        scene.read(&life);
        assert_eq!((scene.births(), scene.open()), (2, open_of(&[2])));
        scene.read(&life);
        assert_eq!((scene.births(), scene.open()), (2, open_of(&[2])), "all of it");
        scene.read(&life[1..]);
        assert_eq!((scene.births(), scene.open()), (2, open_of(&[2])), "its end and birth");
        life.iter().skip(1).for_each(|text| scene.read(std::slice::from_ref(text)));
        assert_eq!((scene.births(), scene.open()), (2, open_of(&[2])), "in epochs of their own");
        scene.read(&[plain(1, 3, 6)]);
        assert_eq!(scene.open(), open_of(&[3]));
        scene.read(&[tombstone(1)]);
        scene.read(&[plain(1, 2, 5), plain(1, 3, 6), tombstone(1)]);
        assert_eq!((scene.births(), scene.open()), (2, open_of(&[])), "and its end is the last of it");
    });
}

#[test]
fn the_rows_after_a_truncate_stand_when_it_and_they_are_sent_again() {
    twice(Format::CanalJson, |scene| {
        let all = [born(1, 1, 3), truncate(), born(1, 1, 5), born(2, 2, 6)];
        scene.read(&all);
        assert_eq!((scene.births(), scene.open()), (3, open_of(&[1, 2])));
        scene.read(&all[1..]);
        assert_eq!((scene.births(), scene.open()), (3, open_of(&[1, 2])));
        scene.read(&all);
        assert_eq!((scene.births(), scene.open()), (3, open_of(&[1, 2])));
        // A truncate with nothing behind it.
        scene.read(&[truncate()]);
        scene.read(&[all[3].clone(), truncate()]);
        assert_eq!((scene.births(), scene.open()), (3, open_of(&[])));
    });
}

/// A birth whose row lacks the time of its birth.
fn without_time(id: i64, pos: i64) -> Text {
    let image = image(id, 1, 0);
    let cut = image.find("\"created_at\"").expect("a column");
    let end = cut + image[cut..].find(',').expect("another follows") + 1;
    debezium("c", "null", &[&image[..cut], &image[end..]].concat(), id, pos)
}

#[test]
fn a_letter_behind_a_row_that_lacks_a_column_waits_since_metrics_that_stop_for_it_read_it_again() {
    twice(Format::DebeziumJson, |scene| {
        let (lacking, meant) = (without_time(1, 100), debezium("c", "null", &image(2, 1, 0), 2, 200));
        scene.read(&[lacking, (meant.0.clone(), Some(BROKEN.into()))]);
        assert_eq!(scene.redrive(1, &meant), "refused");
        // The column is back.
        scene.read(&[debezium("c", "null", &image(3, 1, 0), 3, 300)]);
        assert_eq!(scene.redrive(1, &meant), "applied");
        assert_eq!(scene.births(), 2);
    });
}

#[test]
fn dead_letters_and_nothing_but_they_end_an_epoch_by_their_bytes() {
    twice(Format::DebeziumJson, |scene| {
        let broken = |n: i64| (Some(format!("{{\"id\":{n}}}")), Some("x".repeat(1000)));
        let mut batch = RecordBatch::default();
        for (offset, (key, value)) in (0..100).map(|n| (n, broken(n))) {
            let (key, value) = (key.as_deref().map(str::as_bytes), value.as_deref().map(str::as_bytes));
            batch.push(Record {
                partition: 0,
                offset,
                timestamp: None,
                key,
                value,
                rekey: Default::default(),
            });
        }
        scene.next = 100;
        scene.shard.apply(SourceEvent::Records(batch), scene.clock);
        assert!(scene.shard.epoch_bytes() >= 100 * 1000);
        scene.end_epoch();
        assert_eq!(scene.shard.epoch_bytes(), 0);
    });
}

#[test]
fn repeats_leave_nothing_behind_in_an_epoch_that_brings_nothing_else() {
    twice(Format::DebeziumJson, |scene| {
        scene.read(&[debezium("c", "null", &image(1, 1, 0), 1, 9_000)]);
        let repeat = |n: i64| {
            let image = image(n, 1, 0).replace("\"open\"", &format!("\"{}\"", "s".repeat(n as usize)));
            debezium("c", "null", &image, n, n)
        };
        let repeats: Vec<Text> = (100..200).map(repeat).collect();
        scene.read(&repeats);
        assert_eq!(scene.shard.epoch_bytes(), 0);
        assert_eq!(scene.births(), 1);
    });
}
