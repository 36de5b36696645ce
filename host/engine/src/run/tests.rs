//! How the threads end while the outside does not answer.
#![allow(clippy::disallowed_methods, reason = "threads wait in real time")]

use crate::shard::fakes::{Counting, MemoryStore, metrics, options};
use crate::{Engine, EngineError, Ports};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_types::Micros;
use weir_types::contract::MetricInfo;
use weir_types::live::{Condition, EpochUpdate, Publisher};
use weir_types::ports::*;
use weir_types::record::{OwnedRecord, SourceEvent, TopicPartition};
use weir_types::rows::Outbox;

/// Far more than any of these stops may take.
const HANG: Duration = Duration::from_secs(30);

/// A store that takes no writes while it is full, a sink whose calls last as long as it hangs, and a broker
/// that gives nothing.
#[derive(Default)]
struct Outside {
    store: MemoryStore,
    full: AtomicBool,
    hangs: AtomicBool,
    told: Mutex<BTreeMap<&'static str, String>>,
    events: Arc<Mutex<Option<SyncSender<SourceEvent>>>>,
}

impl StateStore for Outside {
    fn write(&self, writes: WriteSet) -> Result<(), StateError> {
        match self.full.load(Ordering::Relaxed) {
            true => Err(StateError::Unavailable("no space left on device".into())),
            false => self.store.write(writes),
        }
    }
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.store.get(key)
    }
    fn scan(&self, prefix: &[u8]) -> Result<KeyValues, StateError> {
        self.store.scan(prefix)
    }
    fn put_blob(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.store.put_blob(name, bytes)
    }
    fn get_blob(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.store.get_blob(name)
    }
    fn claim_generation(&self, at_least: u64) -> Result<u64, StateError> {
        self.store.claim_generation(at_least)
    }
}

impl Sink for Outside {
    fn prepare(&self) -> Result<(), SinkError> {
        while self.hangs.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
    fn max_generation(&self) -> Result<u64, SinkError> {
        Ok(0)
    }
    fn prepare_metric(&self, _: &MetricInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn insert(&self, _: u64, _: &Outbox) -> Result<(), SinkError> {
        Ok(())
    }
    fn take_back(&self, _: LostFuture, _: u64) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Publisher for Outside {
    fn publish(&self, _: EpochUpdate) {}
    fn condition(&self, part: &'static str, condition: Option<Condition>) {
        let mut told = self.told.lock().expect("lock");
        match condition {
            Some(condition) => told.insert(part, condition.reason),
            None => told.remove(part),
        };
    }
    fn latency(&self, _: &'static str, _: &[(Duration, u64)]) {}
    fn delivery(&self, _: u64, _: u64, _: u64) {}
}

impl Clock for Outside {
    fn now(&self) -> Micros {
        1_795_392_000_000_000
    }
}

impl Broker for Outside {
    fn read(
        &self,
        _: &[String],
        _: &BTreeMap<TopicPartition, StartAt>,
        events: SyncSender<SourceEvent>,
    ) -> Result<Box<dyn ReaderHandle>, String> {
        *self.events.lock().expect("lock") = Some(events);
        Ok(Box::new(Reading))
    }
    fn fetch(&self, _: &[(TopicPartition, i64)]) -> Result<Vec<Option<OwnedRecord>>, String> {
        Err("nothing is fetched here".into())
    }
}

struct Reading;

impl ReaderHandle for Reading {
    fn committed(&self, _: &[(TopicPartition, i64)]) {}
    fn hold(&self, _: &[TopicPartition]) {}
    fn seek(&self, _: &[(TopicPartition, Seek)]) {}
    fn stop(self: Box<Self>) {}
}

fn start(outside: &Arc<Outside>) -> Engine {
    let began = Instant::now();
    let ports = Ports {
        clock: outside.clone(),
        monotonic: Arc::new(move || began.elapsed()),
        wall: Arc::new(|| 1),
        broker: outside.clone(),
        state: outside.clone(),
        sink: outside.clone(),
        loader: Arc::new(Counting { info: metrics()[0].info().clone() }),
        publisher: outside.clone(),
    };
    Engine::start(options(), ports).expect("starts")
}

fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < HANG, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn stop(engine: Engine, patience: Duration) -> Result<(), EngineError> {
    engine.stop(patience);
    until("the engine ends", || engine.is_finished());
    engine.join()
}

#[test]
fn a_stop_gives_up_with_an_error_when_the_state_cannot_be_written() {
    let outside = Arc::new(Outside::default());
    outside.full.store(true, Ordering::Relaxed);
    let engine = start(&outside);
    until("trouble is told", || outside.told.lock().expect("lock").contains_key("state"));
    let ended = stop(engine, Duration::from_millis(300));
    let Err(EngineError::Fatal(text)) = ended else { panic!("{ended:?}") };
    assert!(text.contains("no space left on device") && text.contains("read again"), "{text}");
}

#[test]
fn a_state_that_can_be_written_again_within_the_patience_of_a_stop_is_no_error() {
    let outside = Arc::new(Outside::default());
    outside.full.store(true, Ordering::Relaxed);
    let engine = start(&outside);
    until("trouble is told", || outside.told.lock().expect("lock").contains_key("state"));
    engine.stop(HANG);
    std::thread::sleep(Duration::from_millis(700));
    assert!(!engine.is_finished());
    outside.full.store(false, Ordering::Relaxed);
    until("the engine ends", || engine.is_finished());
    engine.join().expect("in order");
}

#[test]
fn a_stop_does_not_wait_for_a_call_to_the_sink_that_does_not_end() {
    let outside = Arc::new(Outside::default());
    outside.hangs.store(true, Ordering::Relaxed);
    let engine = start(&outside);
    until("it reads", || outside.events.lock().expect("lock").is_some());
    stop(engine, Duration::ZERO).expect("in order");
    outside.hangs.store(false, Ordering::Relaxed);
}
