use super::*;
use crate::shard::fakes::MemoryStore;
use std::collections::BTreeMap;
use weir_types::record::TopicPartition;
use weir_types::rows::{Counts, EpochPartition, EpochRow, LateEventRow, OutputValue, RealtimeRow, Series};

fn row(key: i64, epoch: u64, text: &str) -> RealtimeRow {
    let series = Series {
        metric: "a.b".into(),
        incarnation: 1,
        window: "1m".into(),
        dimension_set: "queue_id".into(),
        digest: "d".repeat(64).into(),
        outputs: vec!["count".into(), "top".into()],
    };
    RealtimeRow {
        series: series.into(),
        dims: [key.to_string()].into(),
        day: 0,
        start: key,
        end: key + 1,
        values: [OutputValue::Int(1), OutputValue::Text(text.into())].into(),
        is_final: false,
        complete: true,
        watermark: 0,
        epoch,
        epoch_first: 1,
        samples: 1,
        late: 0,
        deleted: false,
    }
}

fn epoch_row(epoch: u64) -> EpochRow {
    let partition = TopicPartition { topic: "t".into(), partition: 0 };
    let counts = Counts { skipped: [("ddl".to_string(), 1)].into(), ..Counts::default() };
    EpochRow {
        epoch,
        clock: 0,
        partitions: vec![EpochPartition { partition, from: 0, to: 1, counts }],
        digests: BTreeMap::from([("a.b".into(), "d".repeat(64))]),
        gaps: Vec::new(),
        redriven: Vec::new(),
    }
}

fn late(offset: i64) -> LateEventRow {
    LateEventRow {
        metric: "a.b".into(),
        incarnation: 1,
        partition: TopicPartition { topic: "t".into(), partition: 0 },
        offset,
        row: 0,
        sample: 0,
        time: 0,
        windows: vec!["1m".into()],
        weight: 1,
        dims: vec!["7".into()],
        watermark: 9,
        epoch: 1,
    }
}

/// Some rows of each epoch overwrite those of the one before.
fn outbox(epoch: u64) -> Outbox {
    let keys = (epoch * 3) as i64..(epoch * 3) as i64 + 5;
    Outbox {
        realtime: keys.map(|key| row(key, epoch, &"x".repeat(epoch as usize))).collect(),
        latest: vec![row(0, epoch, "")],
        epochs: vec![epoch_row(epoch)],
        late_events: vec![late(epoch as i64)],
        ..Outbox::default()
    }
}

#[test]
fn bytes_are_those_of_the_rows_that_are_left_however_they_came() {
    let (mut one_by_one, mut at_once) = (Waiting::default(), Waiting::default());
    for epoch in 1..=20 {
        one_by_one.add(epoch, outbox(epoch));
        let mut newer = Waiting::default();
        newer.add(epoch, outbox(epoch));
        at_once.absorb(newer);
    }
    assert_eq!(one_by_one.held(), at_once.held());
    assert_eq!(one_by_one.held().epochs, 20);
    let bytes = one_by_one.held().bytes;
    let left = one_by_one.into_outbox();
    assert_eq!((left.realtime.len(), left.latest.len()), (3 * 19 + 5, 1));
    assert_eq!(left, at_once.into_outbox());
    assert_eq!(weight(&left), bytes);
}

#[test]
fn a_weight_is_at_least_what_the_row_must_take() {
    let of = |rows: Outbox| weight(&rows);
    let fields = size_of::<RealtimeRow>();
    let texts = 1 + 5_000;
    assert!(
        of(Outbox { realtime: vec![row(1, 1, &"x".repeat(5_000))], ..Outbox::default() }) > fields + texts
    );
    let epochs = of(Outbox { epochs: vec![epoch_row(1)], ..Outbox::default() });
    assert!(epochs > size_of::<EpochRow>() + size_of::<EpochPartition>() + 64);
    assert!(of(Outbox { late_events: vec![late(1)], ..Outbox::default() }) > size_of::<LateEventRow>());
    assert_eq!(of(Outbox::default()), 0);
}

#[test]
fn an_epoch_is_read_as_it_was_put_and_counted_without_being_read_until_it_is_deleted() {
    let (store, keys) = (MemoryStore::default(), Keyspace::new("0"));
    for epoch in [9, 10] {
        let (mut rows, mut writes) = (outbox(epoch), WriteSet::default());
        put(&mut rows, epoch, &keys, &mut writes);
        assert_eq!(rows, outbox(epoch), "they are moved back");
        store.write(writes).expect("written");
    }
    let mut all = Waiting::default();
    read(&store, &keys, 9).expect("read").into_iter().for_each(|part| all.add(9, part));
    assert_eq!((all.upto, all.epochs, all.into_outbox()), (9, 1, outbox(9)));
    let each = outbox(9).len() as u64;
    assert_eq!(count_rows(&store, &keys, 0).expect("counted"), 2 * each);
    assert_eq!(count_rows(&store, &keys, 9).expect("counted"), each);
    let mut writes = WriteSet::default();
    delete(9, &keys, &mut writes);
    delete(10, &keys, &mut writes);
    store.write(writes).expect("written");
    assert!(store.data.lock().expect("lock").is_empty());
    let error = read(&store, &keys, 9).expect_err("it is gone");
    assert!(matches!(error, StateError::Corrupt(_)), "{error}");
}
