//! Old state opens for ever: a small store as an earlier host wrote it, kept beside this file.

use super::fakes::{MemoryStore, head, options};
use super::harness::*;
use super::oracle::{Cut, assert_law, births, last, numbers};
use super::tally::{Rule, tally};
use std::sync::Arc;
use weir_types::ports::StateStore;
use weir_types::rows::OutputValue;
use weir_types::window::Window;
use weir_types::{HOUR, MINUTE, Micros, SECOND};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z

/// Lengths (u32, little-endian) and bytes of keys and values, in turn.
const FORMAT_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shard/golden/format-1.bin");

fn world() -> World {
    let windows = [Window::Tumbling(MINUTE), Window::Session { gap: MINUTE }];
    let metrics = vec![
        tally("t.born", Rule::Born, &windows),
        tally("t.lasting", Rule::Lasting, &[Window::Tumbling(HOUR)]),
        tally("t.aging", Rule::Aging, &[Window::Now]),
    ];
    World { options: options(), metrics, partitions: 1 }
}

/// A birth each half minute; one comes late.
fn changes() -> Vec<Change> {
    let birth = |n: i64| {
        let told = BASE + n * 30 * SECOND;
        let created = told - if n % 45 == 40 { 30 * MINUTE } else { n % 3 * SECOND };
        Change::birth(0, n + 1, n % 2, ["new", "open"][(n % 4 / 2) as usize], created, told)
    };
    (0..100).map(birth).collect()
}

/// An epoch for each change of a range.
fn steps(changes: &[Change], range: std::ops::Range<usize>) -> Vec<Step> {
    let entries = entries(changes);
    let step = |at: usize| {
        [Step::Clock(changes[at].updated), Step::Read(vec![entries[at].clone()]), Step::Epoch(false)]
    };
    range.flat_map(step).collect()
}

/// Changes that the host of the golden state has read: beyond its first checkpoints, with cells since.
const READ: usize = 80;

fn opened(file: &str) -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    let bytes = std::fs::read(file).expect("the golden state is kept beside this file");
    let mut rest = bytes.as_slice();
    let mut next = || -> Option<Vec<u8>> {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (value, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        rest = after;
        Some(value.to_vec())
    };
    while let (Some(key), Some(value)) = (next(), next()) {
        store.data.lock().expect("lock").insert(key, value);
    }
    Arc::new(store)
}

#[test]
fn state_of_format_1_opens_and_gives_the_same_numbers() {
    let changes = changes();
    let points = births(&changes);
    let store = opened(FORMAT_1);
    for part in ["0/head", "0/chunk/t.born/", "0/cells/t.born/", "0/rows/", "0/outbox/"] {
        assert!(!store.scan(part.as_bytes()).expect("scan").is_empty(), "the golden state has no {part}");
    }
    let keys = crate::stored::Keyspace::new("0");
    let before = undelivered(&*store, &keys, head(&store).epoch);
    let mut steps = steps(&changes, READ..changes.len());
    for hour in 1..=2 {
        let clock = changes[changes.len() - 1].updated + hour * HOUR;
        steps.extend([Step::End(0), Step::Clock(clock), Step::Epoch(true)]);
    }
    let left = resume(&world(), store, before, &steps);
    assert_law(&left, &points, "t.born", "1m", Cut::Every(MINUTE));
    assert_law(&left, &points, "t.born", "session-60s", Cut::Session(MINUTE));
    assert_eq!(numbers(&left.rows, "t.lasting", "1h"), last(&points, Cut::Every(HOUR)));
    let total = left.outbox.latest.iter().find(|r| r.dims.is_empty()).expect("current values");
    assert_eq!(total.values[0], OutputValue::Int(changes.len() as i64));
    assert!(left.outbox.late_events.is_empty());
}

/// Writes the state that a new format is to be remembered by; its name must be a new one.
#[test]
#[ignore = "writes a file: run it once when a format changes, and keep the old files"]
fn write_the_golden_state() {
    let store = run_undelivered(&world(), &steps(&changes(), 0..READ));
    let mut bytes = Vec::new();
    for (key, value) in store.scan(b"").expect("scan") {
        for part in [key, value] {
            bytes.extend((part.len() as u32).to_le_bytes());
            bytes.extend(part);
        }
    }
    std::fs::write(FORMAT_1, bytes).expect("written");
}
