#![allow(clippy::unwrap_used)]

use super::*;
use crate::{MockBroker, Producer, read_topics, watermarks};
use std::sync::mpsc::Receiver;
use std::time::Duration;
use weir_types::record::{Record, Rekey};

const TOPIC: &str = "svc.service.ticket";
/// The mock drops what is over 5 MiB.
const BIG: usize = 5_000_000;
/// Far more than any step takes: a test that waits for so long has hung.
const HANG: Duration = Duration::from_secs(60);

fn properties(broker: &MockBroker) -> Properties {
    [("bootstrap.servers".to_string(), broker.bootstrap_servers())].into()
}

fn started(partitions: i32) -> MockBroker {
    MockBroker::start(&[(TOPIC.to_string(), partitions)]).unwrap()
}

fn produce(broker: &MockBroker, partition: i32, values: impl Iterator<Item = String>) {
    let producer = Producer::new(&properties(broker)).unwrap();
    for (token, value) in values.enumerate() {
        producer.send(TOPIC, Some(partition), Some(b"k"), Some(value.as_bytes()), &[], token as u64).unwrap();
    }
    producer.flush(HANG).unwrap();
    assert!(producer.poll().iter().all(|report| report.error.is_none()));
}

fn read(
    broker: &MockBroker,
    start: &BTreeMap<TopicPartition, StartAt>,
    room: usize,
) -> (Box<dyn ReaderHandle>, Receiver<SourceEvent>) {
    let (send, receive) = sync_channel(room);
    let kafka = KafkaBroker::new(properties(broker), "0").unwrap();
    (kafka.read(&[TOPIC.to_string()], start, send).unwrap(), receive)
}

fn place(partition: i32) -> TopicPartition {
    TopicPartition { topic: TOPIC.to_string(), partition }
}

/// What was seen, by partition.
#[derive(Default)]
struct Seen {
    names: Vec<TopicPartition>,
    records: BTreeMap<i32, Vec<(i64, String)>>,
    /// Number of records of the partition before each of its ends.
    ends: BTreeMap<i32, Vec<usize>>,
    troubles: Vec<Option<String>>,
    /// Partitions that cannot be read on, and why.
    stopped: BTreeMap<i32, String>,
    /// Where reading was said to go on.
    moved: Vec<(i32, i64)>,
    last: BTreeMap<i32, (i64, u64)>,
}

impl Seen {
    fn take(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Partitions(found) => self.names.extend(found),
            SourceEvent::Records(batch) => {
                for record in batch.iter() {
                    let partition = self.names[record.partition as usize].partition;
                    let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).unwrap();
                    self.records.entry(partition).or_default().push((record.offset, value));
                    self.last.insert(partition, (record.offset, record.fingerprint()));
                }
            }
            SourceEvent::EndOfPartition { index } => {
                let partition = self.names[index as usize].partition;
                let count = self.records.get(&partition).map_or(0, Vec::len);
                self.ends.entry(partition).or_default().push(count);
            }
            SourceEvent::Trouble(trouble) => self.troubles.push(trouble),
            SourceEvent::Moved { index, next } => {
                let partition = self.names[index as usize].partition;
                self.moved.push((partition, next));
            }
            SourceEvent::Stopped { partition, reason } => {
                assert!(self.names.contains(&partition), "it was told before");
                self.stopped.insert(partition.partition, reason);
            }
            SourceEvent::Fatal(text) => panic!("{text}"),
        }
    }
    fn until(&mut self, events: &Receiver<SourceEvent>, done: impl Fn(&Seen) -> bool) {
        while !done(self) {
            let event = events.recv_timeout(HANG).unwrap_or_else(|e| {
                panic!("{e}; troubles {:?}, stopped {:?}, ends {:?}", self.troubles, self.stopped, self.ends)
            });
            self.take(event);
        }
    }
    fn count(&self) -> usize {
        self.records.values().map(Vec::len).sum()
    }
    fn start_after(&self) -> BTreeMap<TopicPartition, StartAt> {
        self.last
            .iter()
            .map(|(p, (offset, print))| {
                (place(*p), StartAt { next: offset + 1, last: Some((*offset, *print)) })
            })
            .collect()
    }
}

#[test]
fn partitions_that_were_never_read_are_told_before_the_first_record_of_any() {
    let broker = started(12);
    let mut start = BTreeMap::new();
    for life in 0..2 {
        (0..12).for_each(|partition| produce(&broker, partition, (0..20).map(|n| format!("{life} {n}"))));
        let (handle, events) = read(&broker, &start, 1000);
        let mut seen = Seen::default();
        seen.until(&events, |seen| !seen.records.is_empty());
        let new = (0..12).map(place).filter(|partition| !start.contains_key(partition));
        assert!(new.clone().all(|partition| seen.names.contains(&partition)), "{:?}", seen.names);
        seen.until(&events, |seen| seen.ends.len() == 12);
        handle.stop();
        // The next life has read half of them.
        start = seen.start_after();
        start.retain(|partition, _| partition.partition % 2 == 0);
    }
}

#[test]
fn every_record_comes_once_and_in_order_over_restarts() {
    let broker = started(4);
    for partition in 0..4 {
        produce(&broker, partition, (0..500).map(|n| format!("a{n}")));
    }
    let mut seen = Seen::default();
    let (handle, events) = read(&broker, &BTreeMap::new(), 64);
    seen.until(&events, |s| s.ends.len() == 4 && s.count() == 2000);
    handle.committed(&[(place(0), 500)]);
    handle.stop();
    let start = seen.start_after();
    for partition in 0..4 {
        produce(&broker, partition, (0..300).map(|n| format!("b{n}")));
    }
    let (handle, events) = read(&broker, &start, 64);
    let mut again = Seen { last: seen.last, ..Seen::default() };
    again.until(&events, |s| s.ends.len() == 4 && s.count() == 1200);
    handle.stop();
    for partition in 0..4 {
        let expected: Vec<_> = (0..300).map(|n| (500 + n as i64, format!("b{n}"))).collect();
        assert_eq!(again.records[&partition], expected);
        assert_eq!(again.ends[&partition].last(), Some(&300), "the end comes after the last record");
    }
    assert_eq!((again.stopped.len(), again.troubles), (0, vec![]));
}

#[test]
fn an_end_is_told_again_while_the_broker_has_nothing_more() {
    let broker = started(2);
    produce(&broker, 0, (0..10).map(|n| n.to_string()));
    let (handle, events) = read(&broker, &BTreeMap::new(), 64);
    let mut seen = Seen::default();
    let ends = |s: &Seen, partition| s.ends.get(&partition).map_or(0, Vec::len);
    seen.until(&events, |s| ends(s, 0) >= 2 && ends(s, 1) >= 2);
    produce(&broker, 0, (10..11).map(|n| n.to_string()));
    seen.until(&events, |s| s.ends[&0].iter().filter(|count| **count == 11).count() >= 2);
    handle.stop();
    assert!(seen.ends[&0].iter().all(|count| [10, 11].contains(count)), "{:?}", seen.ends);
}

#[test]
fn a_record_of_five_megabytes_a_tombstone_and_a_rekey_pass() {
    let broker = started(1);
    let producer = Producer::new(&properties(&broker)).unwrap();
    let big = vec![b'x'; BIG];
    producer.send(TOPIC, Some(0), Some(b"k"), Some(&big), &[], 0).unwrap();
    producer.flush(HANG).unwrap();
    let (_handle, events) = read(&broker, &BTreeMap::new(), 64);
    let first = records(&events, 1);
    assert_eq!(first[0].get(0).value.map(<[u8]>::len), Some(BIG));
    producer.send(TOPIC, Some(0), Some(b"k"), None, &[], 1).unwrap();
    producer.send(TOPIC, Some(0), None, Some(b"v"), &[("__debezium.oldkey", b"1")], 2).unwrap();
    producer
        .send(TOPIC, Some(0), Some(b""), Some(b""), &[("x", b"1"), ("__debezium.newkey", b"2")], 3)
        .unwrap();
    producer.flush(HANG).unwrap();
    let rest = records(&events, 3);
    let rest: Vec<Record<'_>> = rest.iter().flat_map(|batch| batch.iter()).collect();
    assert_eq!((rest[0].key, rest[0].value, rest[0].rekey), (Some(&b"k"[..]), None, Rekey::None));
    assert_eq!((rest[1].key, rest[1].value, rest[1].rekey), (None, Some(&b"v"[..]), Rekey::Insert));
    assert_eq!((rest[2].value, rest[2].rekey), (Some(&b""[..]), Rekey::Delete));
    assert!(rest[2].timestamp.is_some());
}

fn records(events: &Receiver<SourceEvent>, count: usize) -> Vec<weir_types::record::RecordBatch> {
    let mut batches = Vec::new();
    while batches.iter().map(weir_types::record::RecordBatch::len).sum::<usize>() < count {
        if let SourceEvent::Records(batch) = events.recv_timeout(HANG).unwrap() {
            batches.push(batch);
        }
    }
    batches
}

#[test]
fn a_full_channel_pauses_the_partitions_and_nothing_is_lost_or_doubled() {
    let broker = started(2);
    let value = "v".repeat(900);
    for partition in 0..2 {
        produce(&broker, partition, (0..5000).map(|n| format!("{n}-{value}")));
    }
    let (handle, events) = read(&broker, &BTreeMap::new(), 1);
    let mut seen = Seen::default();
    seen.until(&events, |s| s.count() > 0);
    for round in 0..3 {
        // Longer than a jam is waited out, so that partitions are paused.
        std::thread::sleep(Duration::from_millis(500));
        let more = seen.count() + 1000 * round;
        seen.until(&events, |s| s.count() >= more);
    }
    produce(&broker, 0, (5000..5100).map(|n| format!("{n}-{value}")));
    seen.until(&events, |s| s.count() == 10_100 && s.ends.len() == 2);
    handle.stop();
    for (partition, count) in [(0, 5100), (1, 5000)] {
        let offsets: Vec<i64> = seen.records[&partition].iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, (0..count).collect::<Vec<i64>>());
    }
}

#[test]
fn partitions_that_are_paused_at_their_end_go_on_with_the_very_next_record() {
    let broker = started(2);
    for partition in 0..2 {
        produce(&broker, partition, (0..10).map(|n| n.to_string()));
    }
    let (handle, events) = read(&broker, &BTreeMap::new(), 1);
    let mut seen = Seen::default();
    seen.until(&events, |s| s.count() == 20 && s.ends.len() == 2);
    for round in 1..4 {
        // Batches of one record fill the channel while nobody takes them, so that all is paused at an end.
        for n in 0..4 {
            produce(&broker, 0, std::iter::once(format!("{round}-{n}")));
        }
        // Longer than a jam is waited out.
        std::thread::sleep(Duration::from_millis(500));
        produce(&broker, 1, (0..5).map(|n| format!("{round}-{n}")));
        seen.until(&events, |s| s.count() == 20 + round * 9);
    }
    handle.stop();
    for (partition, count) in [(0, 22), (1, 25)] {
        let offsets: Vec<i64> = seen.records[&partition].iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, (0..count).collect::<Vec<i64>>(), "partition {partition}");
    }
}

#[test]
fn another_record_where_the_last_one_was_stops_that_partition_alone() {
    let broker = started(2);
    produce(&broker, 1, (0..10).map(|n| n.to_string()));
    produce(&broker, 0, (0..10).map(|n| n.to_string()));
    let start = [(place(1), StartAt { next: 6, last: Some((5, 12345)) })].into();
    let (_handle, events) = read(&broker, &start, 64);
    let mut seen = Seen::default();
    seen.until(&events, |s| s.stopped.contains_key(&1) && s.count() == 10);
    let text = &seen.stopped[&1];
    assert!(text.contains("`svc.service.ticket` partition 1") && text.contains("offset 5"), "{text}");
    assert!(!seen.records.contains_key(&1));
}

#[test]
fn a_topic_that_ends_before_the_next_offset_stops_and_goes_on_from_its_beginning_when_asked() {
    let broker = started(1);
    produce(&broker, 0, (0..10).map(|n| n.to_string()));
    let start = [(place(0), StartAt { next: 11, last: None })].into();
    let (handle, events) = read(&broker, &start, 64);
    let mut seen = Seen::default();
    seen.until(&events, |s| !s.stopped.is_empty());
    assert!(seen.stopped[&0].contains("made anew"));
    handle.seek(&[(place(0), Seek::Earliest)]);
    seen.until(&events, |s| s.count() == 10);
    assert_eq!((seen.moved, seen.stopped.len()), (vec![(0, 0)], 1));
}

#[test]
fn deleted_offsets_stop_the_partition_until_the_first_that_is_left_is_asked_for() {
    let broker = started(1);
    let value = "v".repeat(1 << 20);
    produce(&broker, 0, (0..12).map(|_| value.clone()));
    let (low, high) = watermarks(&properties(&broker), &[TOPIC.to_string()], HANG)
        .map(|ranges| (ranges[0].low, ranges[0].high))
        .unwrap();
    assert!(low > 1, "the mock keeps 5 MB");
    let start = [(place(0), StartAt { next: 1, last: None })].into();
    let (handle, events) = read(&broker, &start, 64);
    let mut seen = Seen::default();
    seen.until(&events, |s| !s.stopped.is_empty());
    assert!(seen.stopped[&0].contains("were deleted"), "{:?}", seen.stopped);
    handle.seek(&[(place(0), Seek::Earliest)]);
    seen.until(&events, |s| s.count() as i64 == high - low);
    assert_eq!(seen.moved, [(0, low)]);
}

/// Two partitions of which a hundred records each were read.
fn hundred_each() -> (MockBroker, Box<dyn ReaderHandle>, Receiver<SourceEvent>, Seen) {
    let broker = started(2);
    for partition in 0..2 {
        produce(&broker, partition, (0..100).map(|n| n.to_string()));
    }
    let (handle, events) = read(&broker, &BTreeMap::new(), 64);
    let mut seen = Seen::default();
    seen.until(&events, |s| s.count() == 200);
    (broker, handle, events, seen)
}

#[test]
fn a_partition_that_is_held_gives_nothing_until_it_is_moved_and_others_go_on() {
    let (broker, handle, events, mut seen) = hundred_each();
    handle.hold(&[place(0)]);
    for partition in 0..2 {
        produce(&broker, partition, (100..150).map(|n| n.to_string()));
    }
    seen.until(&events, |s| s.records[&1].len() == 150);
    // Longer than a fetch takes: what is held does not come.
    while let Ok(event) = events.recv_timeout(Duration::from_millis(700)) {
        seen.take(event);
    }
    // Nothing, or what was on its way when it was held; never all of it.
    assert_eq!(seen.records[&0].len(), 100);
    handle.seek(&[(place(0), Seek::At(StartAt { next: 40, last: None }))]);
    let mut again = Seen { names: seen.names.clone(), ..Seen::default() };
    again.until(&events, |s| s.count() == 110 && s.ends.contains_key(&0));
    let offsets: Vec<i64> = again.records[&0].iter().map(|(offset, _)| *offset).collect();
    assert_eq!((again.moved, offsets), (vec![(0, 40)], (40..150).collect::<Vec<i64>>()));
}

#[test]
fn a_partition_that_is_moved_goes_on_only_after_the_record_that_was_consumed_last() {
    let (broker, handle, events, seen) = hundred_each();
    handle.hold(&[place(0), place(1)]);
    let of_99 = {
        let start = [(place(1), StartAt { next: 61, last: None })].into();
        let (_other, events) = read(&broker, &start, 64);
        let mut seen = Seen::default();
        seen.until(&events, |s| s.count() == 139);
        seen.last[&1].1
    };
    // Partition 0 is another than it was; partition 1 is the same.
    let to = |next, last| Seek::At(StartAt { next, last: Some(last) });
    handle.seek(&[(place(0), to(50, (49, 12345))), (place(1), to(100, (99, of_99)))]);
    produce(&broker, 1, (100..110).map(|n| n.to_string()));
    let mut again = Seen { names: seen.names.clone(), ..Seen::default() };
    again.until(&events, |s| s.stopped.contains_key(&0) && s.count() == 10);
    assert!(again.stopped[&0].contains("made anew") && again.stopped.len() == 1, "{:?}", again.stopped);
    let offsets: Vec<i64> = again.records[&1].iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (100..110).collect::<Vec<i64>>());
    assert!(!again.records.contains_key(&0));
}

#[test]
fn what_was_fetched_before_a_move_never_comes_after_it() {
    let broker = started(1);
    let value = "v".repeat(500);
    produce(&broker, 0, (0..4000).map(|n| format!("{n}-{value}")));
    let (handle, events) = read(&broker, &BTreeMap::new(), 1);
    let mut seen = Seen::default();
    seen.until(&events, |s| s.count() > 0);
    for target in [0, 1500, 3999, 700] {
        handle.seek(&[(place(0), Seek::At(StartAt { next: target, last: None }))]);
        let moves = seen.moved.len();
        seen.until(&events, |s| s.moved.len() > moves);
        seen.records.clear();
        seen.until(&events, |s| s.count() > 0);
        assert_eq!(seen.records[&0][0].0, target, "the first record after the move");
    }
    let more = 4000 - 700;
    seen.until(&events, |s| s.count() == more);
    let offsets: Vec<i64> = seen.records[&0].iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (700..4000).collect::<Vec<i64>>());
}

#[test]
fn a_topic_that_is_missing_is_told_and_read_once_it_is_there() {
    let broker = MockBroker::start(&[]).unwrap();
    let (_handle, events) = read(&broker, &BTreeMap::new(), 64);
    let mut seen = Seen::default();
    seen.until(&events, |s| !s.troubles.is_empty());
    let reason = seen.troubles[0].clone().unwrap();
    assert!(reason.contains("topic `svc.service.ticket` does not exist"), "{reason}");
    broker.create_topic(TOPIC, 2).unwrap();
    produce(&broker, 1, (0..10).map(|n| n.to_string()));
    seen.until(&events, |s| s.count() == 10 && s.troubles.last() == Some(&None));
}

#[test]
fn a_broker_that_goes_away_is_told_and_reading_goes_on_where_it_was() {
    let broker = started(1);
    produce(&broker, 0, (0..10).map(|n| n.to_string()));
    let (handle, events) = read(&broker, &BTreeMap::new(), 64);
    let mut seen = Seen::default();
    seen.until(&events, |s| s.count() == 10);
    broker.down().unwrap();
    seen.until(&events, |s| s.troubles.last().is_some_and(Option::is_some));
    let reason = seen.troubles[0].clone().unwrap();
    assert!(reason.contains("does not answer"), "{reason}");
    broker.up().unwrap();
    seen.until(&events, |s| s.troubles.last() == Some(&None));
    produce(&broker, 0, (10..20).map(|n| n.to_string()));
    seen.until(&events, |s| s.count() == 20);
    handle.stop();
    assert_eq!(seen.records[&0].iter().map(|(o, _)| *o).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_topic_that_was_away_for_a_moment_loses_nothing_of_what_comes_next() {
    let broker = started(2);
    produce(&broker, 0, (0..10).map(|n| n.to_string()));
    let (handle, events) = read(&broker, &BTreeMap::new(), 64);
    let mut seen = Seen::default();
    seen.until(&events, |s| s.count() == 10 && s.ends.len() == 2);
    for round in 1..4 {
        broker.hide_topic(TOPIC, true).unwrap();
        seen.until(&events, |s| s.troubles.last().is_some_and(Option::is_some));
        broker.hide_topic(TOPIC, false).unwrap();
        // They come in one list, which is read once more after the record before them.
        produce(&broker, 0, (0..50).map(|n| format!("{round}-{n}")));
        produce(&broker, 1, (0..50).map(|n| format!("{round}-{n}")));
        seen.until(&events, |s| s.count() >= 10 + round * 100 && s.troubles.last() == Some(&None));
    }
    handle.stop();
    for (partition, count) in [(0, 160), (1, 150)] {
        let offsets: Vec<i64> = seen.records[&partition].iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, (0..count).collect::<Vec<i64>>(), "partition {partition}");
    }
    assert!(seen.stopped.is_empty(), "{:?}", seen.stopped);
}

#[test]
fn an_absent_broker_is_trouble_and_stopping_does_not_hang() {
    let (send, events) = sync_channel(4);
    let given = [("bootstrap.servers".to_string(), "127.0.0.1:1".to_string())].into();
    let kafka = KafkaBroker::new(given, "0").unwrap();
    let handle = kafka.read(&[TOPIC.to_string()], &BTreeMap::new(), send).unwrap();
    let mut seen = Seen::default();
    seen.until(&events, |s| !s.troubles.is_empty());
    assert!(seen.troubles[0].as_deref().unwrap().contains("127.0.0.1:1"));
    handle.stop();
}

#[test]
fn a_whole_topic_is_read_for_the_journal() {
    let broker = started(3);
    produce(&broker, 0, (0..100).map(|n| n.to_string()));
    produce(&broker, 2, (0..50).map(|n| n.to_string()));
    let topics = [TOPIC.to_string()];
    let mut all = Vec::new();
    let ranges = read_topics(&properties(&broker), &topics, HANG, |record| {
        all.push((record.partition.partition, record.offset));
        Ok(())
    })
    .unwrap();
    assert_eq!(ranges.iter().map(|r| r.high).collect::<Vec<_>>(), [100, 0, 50]);
    assert_eq!(ranges, watermarks(&properties(&broker), &topics, HANG).unwrap());
    all.sort_unstable();
    let expected: Vec<_> = (0..100).map(|n| (0, n)).chain((0..50).map(|n| (2, n))).collect();
    assert_eq!(all, expected);
}

#[test]
#[ignore = "prints how fast records are read; nothing is asserted"]
fn rate_of_reading() {
    let broker = started(16);
    for partition in 0..16 {
        produce(&broker, partition, (0..20_000).map(|n| format!("{n:0200}")));
    }
    for _ in 0..3 {
        let (handle, events) = read(&broker, &BTreeMap::new(), 16);
        let (mut count, mut batches, mut bytes) = (0, 0, 0);
        let mut start = None;
        while count < 320_000 {
            if let SourceEvent::Records(batch) = events.recv_timeout(HANG).unwrap() {
                #[allow(clippy::disallowed_methods, reason = "measures")]
                start.get_or_insert_with(std::time::Instant::now);
                count += batch.len();
                batches += 1;
                bytes += batch.size_bytes();
            }
        }
        let seconds = start.map_or(0.0, |s| s.elapsed().as_secs_f64());
        println!("{:.0} records/s, {batches} batches, {bytes} B", count as f64 / seconds);
        handle.stop();
    }
}
