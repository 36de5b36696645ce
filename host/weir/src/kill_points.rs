//! Points at which the process kills itself, for `cargo xtask chaos`:
//! `WEIR_CRASH_AT=<point>[:<nth>]` sends SIGKILL to this process when the point is reached the nth time.
//!
//! All points lie around the engine's ports, so nothing below this binary knows of them. Without the variable
//! the ports are wired as they are: there is nothing in the way then.

use signal_hook::low_level;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use weir_engine::Ports;
use weir_types::contract::MetricInfo;
use weir_types::ports::{
    Broker, KeyValues, LostFuture, ReaderHandle, Sink, SinkError, StartAt, StateError, StateStore, WriteSet,
};
use weir_types::record::{OwnedRecord, SourceEvent, TopicPartition};
use weir_types::rows::Outbox;

/// signal-hook names no signal that cannot be caught.
const SIGKILL: i32 = 9;

/// The variable that arms one point.
pub const VARIABLE: &str = "WEIR_CRASH_AT";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// The state is open, nothing is recovered yet.
    BeforeRecovery,
    /// Some of the state was read (nth scan of keys).
    InRecovery,
    /// Recovered, the first epoch is on its way, nothing is read from Kafka yet.
    BeforeReading,
    /// The generation is taken, nothing is inserted under it yet.
    AfterGeneration,
    /// An epoch is computed but not written.
    BeforeWrite,
    /// An epoch is durable, but nobody was told.
    AfterWrite,
    /// Some rows of a delivery are in ClickHouse, others are not.
    MidInsert,
    /// A whole delivery is acknowledged, and nothing was noted of it.
    AfterInsert,
}

const POINTS: [(&str, Point); 8] = [
    ("before-recovery", Point::BeforeRecovery),
    ("in-recovery", Point::InRecovery),
    ("before-reading", Point::BeforeReading),
    ("after-generation", Point::AfterGeneration),
    ("before-write", Point::BeforeWrite),
    ("after-write", Point::AfterWrite),
    ("mid-insert", Point::MidInsert),
    ("after-insert", Point::AfterInsert),
];

/// The armed point.
#[derive(Debug)]
struct Trap {
    point: Point,
    /// How often it will still be reached; the last time kills.
    left: AtomicU64,
}

impl Trap {
    fn parse(text: &str) -> Result<Trap, String> {
        let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
        let known = || POINTS.map(|(name, _)| name).join(", ");
        let point = POINTS.iter().find(|(known, _)| *known == name);
        let (_, point) = point.ok_or_else(|| format!("{VARIABLE}: there is no {name}, only {}", known()))?;
        match nth.parse() {
            Ok(nth) if nth > 0 => Ok(Trap { point: *point, left: AtomicU64::new(nth) }),
            _ => Err(format!("{VARIABLE}: {nth} is no count: write {name}:1 for the first time")),
        }
    }

    /// Whether this passage is the last one.
    fn springs(&self, point: Point) -> bool {
        self.point == point && self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }

    fn pass(&self, point: Point) {
        if self.springs(point) {
            die();
        }
    }
}

/// As `kill -9` from outside: no destructor runs, nothing is flushed.
fn die() -> ! {
    let failed = low_level::raise(SIGKILL);
    eprintln!("weir: SIGKILL to itself did not work: {failed:?}");
    std::process::abort()
}

/// The ports, with the trap around them if the environment asks for one.
pub fn around(ports: Ports) -> Result<Ports, String> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(ports) };
    let trap = Arc::new(Trap::parse(&text)?);
    tracing::warn!(point = %text, "{VARIABLE} is set: this process will kill itself");
    Ok(Ports {
        state: Arc::new(State { inner: ports.state, trap: trap.clone() }),
        sink: Arc::new(Inserts { inner: ports.sink, trap: trap.clone() }),
        broker: Arc::new(Reading { inner: ports.broker, trap }),
        ..ports
    })
}

struct State {
    inner: Arc<dyn StateStore>,
    trap: Arc<Trap>,
}

impl StateStore for State {
    fn write(&self, writes: WriteSet) -> Result<(), StateError> {
        self.trap.pass(Point::BeforeWrite);
        self.inner.write(writes)?;
        self.trap.pass(Point::AfterWrite);
        Ok(())
    }
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.trap.pass(Point::BeforeRecovery);
        self.inner.get(key)
    }
    fn scan(&self, prefix: &[u8]) -> Result<KeyValues, StateError> {
        let found = self.inner.scan(prefix);
        self.trap.pass(Point::InRecovery);
        found
    }
    fn put_blob(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.inner.put_blob(name, bytes)
    }
    fn get_blob(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.inner.get_blob(name)
    }
    fn claim_generation(&self, at_least: u64) -> Result<u64, StateError> {
        let claimed = self.inner.claim_generation(at_least)?;
        self.trap.pass(Point::AfterGeneration);
        Ok(claimed)
    }
}

struct Inserts {
    inner: Arc<dyn Sink>,
    trap: Arc<Trap>,
}

impl Sink for Inserts {
    fn prepare(&self) -> Result<(), SinkError> {
        self.inner.prepare()
    }
    fn max_generation(&self) -> Result<u64, SinkError> {
        self.inner.max_generation()
    }
    fn prepare_metric(&self, info: &MetricInfo) -> Result<(), SinkError> {
        self.inner.prepare_metric(info)
    }
    fn insert(&self, generation: u64, rows: &Outbox) -> Result<(), SinkError> {
        let values = rows.realtime.len();
        if values > 1 && self.trap.springs(Point::MidInsert) {
            self.inner.insert(generation, &half(rows))?;
            die();
        }
        self.inner.insert(generation, rows)?;
        self.trap.pass(Point::AfterInsert);
        Ok(())
    }
    fn take_back(&self, lost: LostFuture, generation: u64) -> Result<(), SinkError> {
        self.inner.take_back(lost, generation)
    }
}

/// What is in ClickHouse when a delivery breaks off in the middle: its epochs and some of its values.
fn half(rows: &Outbox) -> Outbox {
    let realtime = rows.realtime[..rows.realtime.len() / 2].to_vec();
    Outbox { epochs: rows.epochs.clone(), realtime, ..Outbox::default() }
}

struct Reading {
    inner: Arc<dyn Broker>,
    trap: Arc<Trap>,
}

impl Broker for Reading {
    fn read(
        &self,
        topics: &[String],
        start: &BTreeMap<TopicPartition, StartAt>,
        events: SyncSender<SourceEvent>,
    ) -> Result<Box<dyn ReaderHandle>, String> {
        self.trap.pass(Point::BeforeReading);
        self.inner.read(topics, start, events)
    }
    fn fetch(&self, places: &[(TopicPartition, i64)]) -> Result<Vec<Option<OwnedRecord>>, String> {
        self.inner.fetch(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_springs_at_its_point_the_nth_time_and_never_again() {
        let trap = Trap::parse("after-write:3").expect("a point");
        let springs: Vec<bool> = (0..5).map(|_| trap.springs(Point::AfterWrite)).collect();
        assert_eq!(springs, [false, false, true, false, false]);
        assert!(!Trap::parse("after-write").expect("a point").springs(Point::BeforeWrite));
        assert!(Trap::parse("mid-insert").expect("a point").springs(Point::MidInsert));
    }

    #[test]
    fn an_unknown_point_and_a_wrong_count_are_refused_by_name() {
        assert!(Trap::parse("before-lunch:1").expect_err("unknown").contains("after-generation"));
        for text in ["after-write:0", "after-write:often", "after-write:"] {
            assert!(Trap::parse(text).expect_err("no count").contains("after-write:1"), "{text}");
        }
    }
}
