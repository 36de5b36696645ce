//! A state that is moved through an exported file, with a real store and a table that keeps the greatest
//! version of a row, as ClickHouse does. What the old host delivered after the export, the new one does
//! not know; its rows must win all the same.

use super::harness::{Entry, batch_of, enter, open as open_shard, undelivered};
use super::tests::{BASE, Raw, created, emitted, life, open, records as texts, shown, world};
use super::*;
use crate::outbox::Waiting;
use std::path::Path;
use weir_state::{Claim, Export, Store};
use weir_types::rows::RealtimeRow;
use weir_types::{HOUR, Name, SECOND};

const SHARD: &str = "0";
const PER_EPOCH: usize = 10;

/// Rows by key: the greatest version stands; None where it marks a deleted row.
#[derive(Default)]
struct Table {
    rows: BTreeMap<(Name, i64, Name, Name, Arc<[String]>, Micros), (u64, Option<RealtimeRow>)>,
}

impl Table {
    fn insert(&mut self, generation: u64, rows: Vec<RealtimeRow>, is_latest: bool) {
        for row in rows {
            let version = (generation << 40) + row.epoch;
            let start = if is_latest { 0 } else { row.start };
            let key = (
                row.series.metric.clone(),
                row.series.incarnation,
                row.series.window.clone(),
                row.series.dimension_set.clone(),
                row.dims.clone(),
                start,
            );
            match self.rows.get(&key) {
                Some((held, _)) if *held > version => {}
                _ => drop(self.rows.insert(key, (version, Some(row)))),
            }
        }
    }
    fn take_back(&mut self, lost: LostFuture, generation: u64) {
        for (version, row) in self.rows.values_mut() {
            let is_later = row.as_ref().is_some_and(|row| row.epoch > lost.epoch);
            if is_later && (lost.generation..generation).contains(&(*version >> 40)) {
                (*version, *row) = ((generation << 40) + lost.epoch, None);
            }
        }
    }
    fn rows(&self) -> Vec<RealtimeRow> {
        self.rows.values().filter_map(|(_, row)| row.clone()).collect()
    }
}

/// What hosts leave behind outside: the rows and the greatest generation among them.
#[derive(Default)]
struct Outside {
    realtime: Table,
    latest: Table,
    greatest: u64,
}

/// One host on a real store.
struct Host {
    store: Arc<Store>,
    shard: Shard,
    waiting: Waiting,
    generation: u64,
}

impl Host {
    fn start(state: &Path, outside: &mut Outside, now: Micros) -> Host {
        let store = Store::open(&state.display().to_string(), SHARD, Claim::default());
        let store = Arc::new(store.expect("opens"));
        if store.get(&Keyspace::new(SHARD).head()).expect("read").is_none() {
            // The fake's component; a state that was moved must bring it along.
            store.put_blob(&Keyspace::component("counting"), b"counting").expect("stored");
        }
        let mut shard = open_shard(&world(), &store, now);
        enter(&mut shard, 1, now);
        let generation = store.claim_generation(outside.greatest + 1).expect("claimed");
        if let Some(lost) = shard.lost() {
            outside.realtime.take_back(lost, generation);
            outside.latest.take_back(lost, generation);
        }
        let mut host = Host { store, shard, waiting: Waiting::default(), generation };
        host.commit(now, false);
        host
    }

    fn commit(&mut self, now: Micros, flush: bool) {
        let commit = self.shard.end_epoch(now, flush, Some(self.generation), 0).expect("readable");
        self.store.write(commit.writes).expect("written");
        self.waiting.add(commit.update.epoch, commit.outbox);
    }

    fn read(&mut self, records: &[Entry]) {
        for chunk in records.chunks(PER_EPOCH) {
            let now = clock_of(chunk);
            self.shard.apply(SourceEvent::Records(batch_of(chunk)), now);
            self.commit(now, false);
        }
    }

    fn deliver(&mut self, outside: &mut Outside) {
        let outbox = std::mem::take(&mut self.waiting).into_outbox();
        outside.realtime.insert(self.generation, outbox.realtime, false);
        outside.latest.insert(self.generation, outbox.latest, true);
        outside.greatest = outside.greatest.max(self.generation);
    }

    fn end(&mut self, now: Micros) {
        self.shard.apply(SourceEvent::EndOfPartition { index: 0 }, now);
        self.commit(now + HOUR, true);
    }
}

/// The clock follows the records, so that a host that reads them again decides the same.
fn clock_of(chunk: &[Entry]) -> Micros {
    chunk.last().map_or(BASE, |entry| BASE + (entry.offset + 1) * 7 * SECOND)
}

fn assert_right(outside: &Outside, raws: &[Raw], what: &str) {
    let realtime = outside.realtime.rows();
    let (found, expected) = (emitted(&realtime), created(raws));
    assert_eq!(found, expected, "{what}");
    assert_eq!(shown(&outside.latest.rows()), open(raws), "{what}");
}

#[test]
fn a_state_moved_through_a_file_goes_on_to_the_same_numbers_straight_and_killed() {
    for (seed, lost) in [(1, 0), (2, 60), (3, 200)] {
        let raws = life(seed, 600);
        let records = texts(&raws);
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to, file) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("file"));
        let mut outside = Outside::default();
        let mut host = Host::start(&from, &mut outside, BASE);
        host.read(&records[..300]);
        host.deliver(&mut outside);
        let state = from.display().to_string();
        let what = Export { state: &state, shard: SHARD, host: "test", now: 1 };
        weir_state::export(what, &file).expect("exported beside the running host");
        // What comes after the export is lost with the machine, but ClickHouse has it.
        host.read(&records[300..300 + lost]);
        host.deliver(&mut outside);
        drop(host);
        let target = to.display().to_string();
        weir_state::import(&file, &target, SHARD, false, Claim::default()).expect("imported");
        let mut host = Host::start(&to, &mut outside, clock_of(&records[..300]));
        host.read(&records[300..450]);
        // Killed before anything is delivered: the outboxes are in the state.
        drop(host);
        let mut host = Host::start(&to, &mut outside, clock_of(&records[..450]));
        host.waiting = undelivered(&*host.store, &host.shard.keys, host.shard.head.epoch);
        host.read(&records[450..]);
        host.end(clock_of(&records));
        host.deliver(&mut outside);
        assert_right(&outside, &raws, &format!("seed {seed}, {lost} records after the export"));
    }
}

#[test]
fn a_value_that_came_and_went_after_the_export_does_not_stay() {
    let born = |id: i64, updated: i64| Raw {
        id,
        op: 'c',
        queue: 1,
        status: "open",
        before: None,
        created: updated,
        updated,
    };
    let gone = |raw: Raw| Raw { op: 'd', before: Some((raw.queue, raw.status)), ..raw };
    let first: Vec<Raw> = (0..10).map(|n| born(n, n)).collect();
    // Ten rows come, ten go: the old host delivers the first half, the new one never sees them, for they
    // cancel within one batch.
    let come: Vec<Raw> = (10..20).map(|n| Raw { queue: 2, ..born(n, n) }).collect();
    let go: Vec<Raw> = come.iter().map(|raw| gone(*raw)).collect();
    let raws = [first, come, go].concat();
    let records = texts(&raws);
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to, file) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("file"));
    let mut outside = Outside::default();
    let mut host = Host::start(&from, &mut outside, BASE);
    host.read(&records[..10]);
    let state = from.display().to_string();
    weir_state::export(Export { state: &state, shard: SHARD, host: "test", now: 1 }, &file)
        .expect("exported");
    host.read(&records[10..20]);
    host.deliver(&mut outside);
    assert_eq!(shown(&outside.latest.rows())[&("queue_id".to_string(), vec!["2".to_string()])], 10);
    drop(host);
    let target = to.display().to_string();
    weir_state::import(&file, &target, SHARD, false, Claim::default()).expect("imported");
    let mut host = Host::start(&to, &mut outside, clock_of(&records[..10]));
    let now = clock_of(&records);
    host.shard.apply(SourceEvent::Records(batch_of(&records[10..])), now);
    host.commit(now, false);
    host.end(now);
    host.deliver(&mut outside);
    assert_right(&outside, &raws, "rows that came and went");
}

#[test]
fn a_wiped_state_that_reads_everything_again_gives_rows_that_win() {
    let raws = life(4, 300);
    let records = texts(&raws);
    let folder = tempfile::tempdir().expect("a folder");
    let mut outside = Outside::default();
    for round in 0..3 {
        let mut host = Host::start(&folder.path().join(format!("{round}")), &mut outside, BASE);
        // The first ones stop in the middle.
        let upto = [200, 120, 300][round];
        host.read(&records[..upto]);
        if round == 2 {
            host.end(clock_of(&records));
        }
        host.deliver(&mut outside);
    }
    assert_right(&outside, &raws, "after two wipes");
}
