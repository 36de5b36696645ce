//! What the mock cluster cannot do, over a real broker: `WEIR_TEST_KAFKA=host:port`.

#![allow(clippy::unwrap_used)]

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use weir_ingest::{KafkaBroker, Producer, Properties, create_topics, delete_records};
use weir_types::ports::{Broker, ReaderHandle, Seek, StartAt};
use weir_types::record::{SourceEvent, TopicPartition};

const HANG: Duration = Duration::from_secs(60);

fn properties() -> Properties {
    let servers = std::env::var("WEIR_TEST_KAFKA").expect("WEIR_TEST_KAFKA=host:port of a broker");
    [("bootstrap.servers".to_string(), servers)].into()
}

/// A topic of its own for each run.
fn topic(name: &str, partitions: i32) -> String {
    let topic = format!("{name}-{}", std::process::id());
    create_topics(&properties(), &[(topic.clone(), partitions)], HANG).unwrap();
    topic
}

fn read(
    topic: &str,
    start: &BTreeMap<TopicPartition, StartAt>,
) -> (Box<dyn ReaderHandle>, Receiver<SourceEvent>) {
    let (send, receive) = sync_channel(64);
    let kafka = KafkaBroker::new(properties(), "test").unwrap();
    (kafka.read(&[topic.to_string()], start, send).unwrap(), receive)
}

/// Offset and fingerprint of each record until the ends of so many partitions are reached.
fn until_ends(events: &Receiver<SourceEvent>, ends: usize) -> Vec<(i64, u64)> {
    let mut records = Vec::new();
    let mut ended = std::collections::BTreeSet::new();
    while ended.len() < ends {
        match events.recv_timeout(HANG).unwrap() {
            SourceEvent::Records(batch) => records.extend(batch.iter().map(|r| (r.offset, r.fingerprint()))),
            SourceEvent::EndOfPartition { index } => {
                ended.insert(index);
            }
            SourceEvent::Fatal(text) | SourceEvent::Stopped { reason: text, .. } => panic!("{text}"),
            SourceEvent::Partitions(_) | SourceEvent::Trouble(_) | SourceEvent::Moved { .. } => {}
        }
    }
    records
}

#[test]
#[ignore = "needs a broker: WEIR_TEST_KAFKA=host:port"]
fn records_of_aborted_transactions_never_come_and_the_end_is_told_behind_markers() {
    let topic = topic("transactions", 1);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &properties()["bootstrap.servers"])
        .set("transactional.id", &topic)
        .create()
        .unwrap();
    producer.init_transactions(HANG).unwrap();
    let transaction = |value: &str, commit: bool| {
        producer.begin_transaction().unwrap();
        for _ in 0..10 {
            producer.send(BaseRecord::to(&topic).partition(0).key("k").payload(value)).unwrap();
        }
        producer.flush(HANG).unwrap();
        if commit { producer.commit_transaction(HANG) } else { producer.abort_transaction(HANG) }.unwrap();
    };
    transaction("kept", true);
    transaction("aborted", false);
    transaction("kept", true);
    let (handle, events) = read(&topic, &BTreeMap::new());
    let first = until_ends(&events, 1);
    // Each transaction ends with a marker, which takes an offset.
    let expected: Vec<i64> = (0..10).chain(22..32).collect();
    assert_eq!(first.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), expected);
    let last = first[first.len() - 1];
    let place = TopicPartition { topic: topic.clone(), partition: 0 };
    handle.committed(&[(place.clone(), last.0 + 1)]);
    handle.stop();
    transaction("aborted", false);
    transaction("kept", true);
    let start = [(place, StartAt { next: last.0 + 1, last: Some(last) })].into();
    let (handle, events) = read(&topic, &start);
    let mut second = until_ends(&events, 1);
    second.dedup();
    assert_eq!(second.first().map(|r| r.0), Some(44));
    assert_eq!(second.len(), 10);
    handle.stop();
}

#[test]
#[ignore = "needs a broker: WEIR_TEST_KAFKA=host:port"]
fn partitions_that_appear_later_are_read_from_their_beginning() {
    let topic = topic("growing", 1);
    let (handle, events) = read(&topic, &BTreeMap::new());
    assert!(until_ends(&events, 1).is_empty());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &properties()["bootstrap.servers"]).create().unwrap();
    let more = [NewPartitions::new(&topic, 3)];
    runtime.block_on(admin.create_partitions(&more, &AdminOptions::new())).unwrap();
    let producer = Producer::new(&properties()).unwrap();
    for partition in 0..3 {
        for token in 0..5 {
            producer.send(&topic, Some(partition), Some(b"k"), Some(b"v"), &[], token).unwrap();
        }
    }
    producer.flush(HANG).unwrap();
    let mut partitions = vec![0];
    let mut count = 0;
    while count < 15 {
        match events.recv_timeout(HANG).unwrap() {
            SourceEvent::Partitions(found) => partitions.extend(found.iter().map(|p| p.partition)),
            SourceEvent::Records(batch) => count += batch.len(),
            _ => {}
        }
    }
    assert_eq!(partitions, [0, 1, 2]);
    handle.stop();
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &properties()["bootstrap.servers"]).create().unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn produce(topic: &str, count: u64, value: &str) {
    let producer = Producer::new(&properties()).unwrap();
    for token in 0..count {
        producer.send(topic, Some(0), Some(b"k"), Some(value.as_bytes()), &[], token).unwrap();
    }
    producer.flush(HANG).unwrap();
}

fn make_anew(topic: &str) {
    block_on(admin().delete_topics(&[topic], &AdminOptions::new())).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    create_topics(&properties(), &[(topic.to_string(), 1)], HANG).unwrap();
}

/// Waits until the partition stops, before any record comes, and gives the reason.
fn until_stopped(events: &Receiver<SourceEvent>) -> String {
    loop {
        match events.recv_timeout(HANG).unwrap() {
            SourceEvent::Stopped { reason, .. } => return reason,
            SourceEvent::Records(batch) => panic!("{} records of another topic", batch.len()),
            _ => {}
        }
    }
}

#[test]
#[ignore = "needs a broker: WEIR_TEST_KAFKA=host:port"]
fn a_topic_made_anew_while_nobody_read_stops_and_its_new_records_come_when_asked_for() {
    let topic = topic("anew", 1);
    produce(&topic, 5, "old");
    let (handle, events) = read(&topic, &BTreeMap::new());
    let last = until_ends(&events, 1)[4];
    handle.stop();
    make_anew(&topic);
    produce(&topic, 9, "new");
    let place = TopicPartition { topic: topic.clone(), partition: 0 };
    let start = [(place.clone(), StartAt { next: last.0 + 1, last: Some(last) })].into();
    let (handle, events) = read(&topic, &start);
    let reason = until_stopped(&events);
    assert!(reason.contains("made anew"), "{reason}");
    handle.seek(&[(place, Seek::Earliest)]);
    assert_eq!(until_ends(&events, 1).len(), 9);
    handle.stop();
}

#[test]
#[ignore = "needs a broker: WEIR_TEST_KAFKA=host:port"]
fn a_topic_made_anew_under_a_running_reader_stops_however_much_the_new_one_holds() {
    for count in [3, 9] {
        let topic = topic(&format!("anew-running-{count}"), 1);
        produce(&topic, 5, "old");
        let (handle, events) = read(&topic, &BTreeMap::new());
        assert_eq!(until_ends(&events, 1).len(), 5);
        make_anew(&topic);
        produce(&topic, count, "new");
        let reason = until_stopped(&events);
        assert!(reason.contains("made anew"), "{reason}");
        handle.stop();
    }
}

#[test]
#[ignore = "needs a broker: WEIR_TEST_KAFKA=host:port"]
fn records_deleted_below_the_next_offset_stop_and_the_rest_comes_when_asked_for() {
    let topic = topic("truncated", 1);
    produce(&topic, 5, "read");
    let (handle, events) = read(&topic, &BTreeMap::new());
    let last = until_ends(&events, 1)[4];
    handle.stop();
    produce(&topic, 10, "unread");
    let place = TopicPartition { topic: topic.clone(), partition: 0 };
    let start: BTreeMap<_, _> = [(place.clone(), StartAt { next: 5, last: Some(last) })].into();
    let truncate = |below: i64| delete_records(&properties(), &topic, 0, below, HANG).unwrap();
    // Only what was consumed is gone: nothing is missing.
    truncate(5);
    let (handle, events) = read(&topic, &start);
    assert_eq!(until_ends(&events, 1).len(), 10);
    handle.stop();
    truncate(8);
    let (handle, events) = read(&topic, &start);
    let reason = until_stopped(&events);
    assert!(reason.contains("below 8 were deleted"), "{reason}");
    handle.seek(&[(place, Seek::Earliest)]);
    let rest: Vec<i64> = until_ends(&events, 1).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(rest, (8..15).collect::<Vec<i64>>());
    handle.stop();
}
