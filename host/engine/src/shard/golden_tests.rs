//! Old state opens for ever: small stores as earlier hosts wrote them, kept beside this file. Each has what there was
//! when it was written; a new one is added when a format changes.

use super::fakes::{MemoryStore, head, options};
use super::harness::*;
use super::oracle::{Cut, births, count, last, numbers};
use super::tally::{Rule, tally};
use std::path::PathBuf;
use std::sync::Arc;
use weir_types::ports::StateStore;
use weir_types::rows::OutputValue;
use weir_types::window::Window;
use weir_types::{HOUR, MINUTE, Micros, SECOND};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z

/// Files of lengths (u32, little-endian) and bytes of keys and values, in turn.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shard/golden");
/// What each has, and what it had besides when it was new.
const FILES: [(&str, &[&str]); 4] = [
    ("format-1", &[]),
    ("format-2", &["0/dead/", "0/kinds/", "0/declared"]),
    // Of the row table it says where rebuilds began.
    ("format-3", &["0/dead/", "0/kinds/", "0/declared"]),
    // Beside windows it says which dimensions a metric has.
    ("format-4", &["0/dead/", "0/kinds/", "0/declared"]),
];
/// Names the file that [`write_a_golden_state`] makes.
const NAME: &str = "WEIR_GOLDEN";

fn path(name: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(name).with_extension("bin")
}

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

/// An epoch for each change of a range, the first at this offset.
fn steps(changes: &[Change], range: std::ops::Range<usize>, mut offset: i64) -> Vec<Step> {
    let entries = entries(changes);
    let mut steps = Vec::new();
    for at in range {
        let entry = Entry { offset, ..entries[at].clone() };
        offset += 1;
        steps.extend([Step::Clock(changes[at].updated), Step::Read(vec![entry]), Step::Epoch(false)]);
    }
    steps
}

/// A record that nobody can read.
fn unreadable(offset: i64) -> Entry {
    Entry { partition: 0, offset, key: Some(r#"{"id":1}"#.into()), value: Some("{".into()) }
}

/// Changes that the host of the golden state has read: beyond its first checkpoints, with cells since.
const READ: usize = 80;

fn opened(name: &str) -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    let bytes = std::fs::read(path(name)).expect("the golden state is kept beside this file");
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
fn state_of_every_format_opens_and_gives_the_same_numbers() {
    for (name, parts) in FILES {
        both(&[Kills::Every(3), Kills::Every(1)], |kills| open_and_compare(name, parts, kills));
    }
    let kept = std::fs::read_dir(FOLDER).expect("a folder").count();
    assert_eq!(kept, FILES.len(), "each file is opened");
}

fn open_and_compare(name: &str, parts: &[&str], kills: Kills) {
    let changes = changes();
    let store = opened(name);
    for part in ["0/head", "0/chunk/t.born/", "0/cells/t.born/", "0/rows/", "0/outbox/"].iter().chain(parts) {
        let stored = store.scan(part.as_bytes()).expect("scan");
        assert!(!stored.is_empty(), "the golden state {name} has no {part}");
    }
    let keys = crate::stored::Keyspace::new("0");
    let before = undelivered(&*store, &keys, head(&store).epoch);
    let next = head(&store).partitions.values().next().expect("a partition").next;
    let mut steps = steps(&changes, READ..changes.len(), next);
    for hour in 1..=2 {
        let clock = changes[changes.len() - 1].updated + hour * HOUR;
        steps.extend([Step::End(0), Step::Clock(clock), Step::Epoch(true)]);
    }
    let left = resume(&world(), store, before, &steps, kills);
    // A dead record stands between some of the births: offsets are not those of the points.
    let points = births(&changes);
    let times = |cut| count(&points, cut);
    assert_eq!(numbers(&left.rows, "t.born", "1m"), times(Cut::Every(MINUTE)));
    assert_eq!(numbers(&left.rows, "t.born", "session-60s"), times(Cut::Session(MINUTE)));
    assert_eq!(numbers(&left.rows, "t.lasting", "1h"), last(&points, Cut::Every(HOUR)));
    let total = left.outbox.latest.iter().find(|r| r.dims.is_empty()).expect("current values");
    assert_eq!(total.values[0], OutputValue::Int(changes.len() as i64));
    assert!(left.outbox.late_events.is_empty());
}

/// Writes the state that a new format is to be remembered by, under a name of its own.
#[test]
#[ignore = "writes a file: run it once when a format changes, and keep the old files"]
fn write_a_golden_state() {
    let name = std::env::var(NAME).expect("WEIR_GOLDEN names the new file, such as format-3");
    assert!(!path(&name).exists(), "{name} is there: old state is never written anew");
    let mut steps = steps(&changes(), 0..READ, 0);
    steps.extend([Step::Read(vec![unreadable(READ as i64)]), Step::Epoch(false)]);
    let store = run_undelivered(&world(), &steps);
    let mut bytes = Vec::new();
    for (key, value) in store.scan(b"").expect("scan") {
        for part in [key, value] {
            bytes.extend((part.len() as u32).to_le_bytes());
            bytes.extend(part);
        }
    }
    std::fs::write(path(&name), bytes).expect("written");
}
