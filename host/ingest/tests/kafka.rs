//! What the mock cluster cannot do, over a real broker: `WEIR_TEST_KAFKA=host:port`.

#![allow(clippy::unwrap_used)]

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use weir_ingest::{KafkaBroker, Producer, Properties, create_topics};
use weir_types::ports::{Broker, ReaderHandle, StartAt};
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
            SourceEvent::Fatal(text) => panic!("{text}"),
            SourceEvent::Partition { .. } | SourceEvent::Trouble(_) => {}
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
            SourceEvent::Partition { index, partition } => {
                assert_eq!(index as usize, partitions.len());
                partitions.push(partition.partition);
            }
            SourceEvent::Records(batch) => count += batch.len(),
            _ => {}
        }
    }
    assert_eq!(partitions, [0, 1, 2]);
    handle.stop();
}

#[test]
#[ignore = "needs a broker: WEIR_TEST_KAFKA=host:port"]
fn a_topic_made_anew_while_nobody_read_is_fatal() {
    let topic = topic("anew", 1);
    let produce = |count: u64, value: &str| {
        let producer = Producer::new(&properties()).unwrap();
        for token in 0..count {
            producer.send(&topic, Some(0), Some(b"k"), Some(value.as_bytes()), &[], token).unwrap();
        }
        producer.flush(HANG).unwrap();
    };
    produce(5, "old");
    let (handle, events) = read(&topic, &BTreeMap::new());
    let last = until_ends(&events, 1)[4];
    handle.stop();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &properties()["bootstrap.servers"]).create().unwrap();
    runtime.block_on(admin.delete_topics(&[topic.as_str()], &AdminOptions::new())).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    create_topics(&properties(), &[(topic.clone(), 1)], HANG).unwrap();
    produce(9, "new");
    let place = TopicPartition { topic: topic.clone(), partition: 0 };
    let (_handle, events) = read(&topic, &[(place, StartAt { next: last.0 + 1, last: Some(last) })].into());
    loop {
        match events.recv_timeout(HANG).unwrap() {
            SourceEvent::Fatal(text) => {
                assert!(text.contains("made anew"), "{text}");
                return;
            }
            SourceEvent::Records(batch) => panic!("{} records of another topic", batch.len()),
            _ => {}
        }
    }
}
