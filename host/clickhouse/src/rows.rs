//! Rows as they go over the wire: fields in the order and of the types of [`crate::tables`].

use clickhouse::Row;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use weir_types::contract::{Output, ValueType};
use weir_types::record::Rekey;
use weir_types::rows::{
    AuditRow, DeadLetterRow, EpochPartition, EpochRow, LateEventRow, OutputValue, PromotedRow, RealtimeRow,
    version,
};

/// A Map column.
type Entries<'a, V> = Vec<(&'a str, V)>;

/// A row of `metric_realtime` or `metric_latest`.
#[derive(Debug, Row, Serialize)]
pub struct Value<'a> {
    metric: &'a str,
    incarnation: i64,
    window: &'a str,
    dimension_set: &'a str,
    dims: &'a [String],
    day: u16,
    start: i64,
    end: i64,
    ints: Entries<'a, Option<i64>>,
    floats: Entries<'a, Option<f64>>,
    texts: Entries<'a, Option<&'a str>>,
    int_lists: Entries<'a, &'a [i64]>,
    float_lists: Entries<'a, &'a [f64]>,
    text_lists: Entries<'a, &'a [String]>,
    #[serde(rename = "final")]
    is_final: u8,
    complete: u8,
    watermark: i64,
    digest: &'a str,
    epoch: u64,
    epoch_first: u64,
    samples: u64,
    late: u64,
    version: u64,
    deleted: u8,
}

impl<'a> Value<'a> {
    /// `outputs` says of which type a null is; unknown, it is left out, which reads as null too.
    pub fn new(generation: u64, row: &'a RealtimeRow, outputs: &[Output]) -> Value<'a> {
        let series = &*row.series;
        let mut value = Value {
            metric: &series.metric,
            incarnation: series.incarnation,
            window: &series.window,
            dimension_set: &series.dimension_set,
            dims: &row.dims,
            day: stored_day(row.day),
            start: row.start,
            end: row.end,
            ints: Vec::new(),
            floats: Vec::new(),
            texts: Vec::new(),
            int_lists: Vec::new(),
            float_lists: Vec::new(),
            text_lists: Vec::new(),
            is_final: row.is_final.into(),
            complete: row.complete.into(),
            watermark: row.watermark,
            digest: &series.digest,
            epoch: row.epoch,
            epoch_first: row.epoch_first,
            samples: row.samples,
            late: row.late,
            version: version(generation, row.epoch),
            deleted: row.deleted.into(),
        };
        for (name, output) in row.outputs() {
            value.put(name, output, outputs);
        }
        value
    }

    fn put(&mut self, name: &'a str, value: &'a OutputValue, outputs: &[Output]) {
        match value {
            OutputValue::Int(n) | OutputValue::Time(n) => self.ints.push((name, Some(*n))),
            OutputValue::Bool(b) => self.ints.push((name, Some((*b).into()))),
            OutputValue::Float(x) => self.floats.push((name, Some(*x))),
            OutputValue::Text(text) => self.texts.push((name, Some(text))),
            OutputValue::Ints(list) => self.int_lists.push((name, list)),
            OutputValue::Floats(list) => self.float_lists.push((name, list)),
            OutputValue::Texts(list) => self.text_lists.push((name, list)),
            OutputValue::Null => match outputs.iter().find(|o| o.name == name && !o.is_list) {
                // A null list is an absent key.
                None => {}
                Some(output) => match output.value_type {
                    ValueType::Int | ValueType::Bool | ValueType::Time => self.ints.push((name, None)),
                    ValueType::Float => self.floats.push((name, None)),
                    ValueType::Text => self.texts.push((name, None)),
                },
            },
        }
    }
}

/// Days that a Date can hold; what lies outside is stored as the first or last of them, which
/// keeps the partition a function of the key.
pub fn stored_day(day: i32) -> u16 {
    day.clamp(0, u16::MAX.into()) as u16
}

#[derive(Debug, Row, Serialize)]
pub struct Epoch<'a> {
    epoch: u64,
    version: u64,
    clock: i64,
    partitions: Vec<Partition<'a>>,
    digests: &'a BTreeMap<String, String>,
    /// topic, partition, from, to
    gaps: Vec<(&'a str, i32, i64, i64)>,
    /// topic, partition, offset, outcome
    redriven: Vec<(&'a str, i32, i64, &'static str)>,
}

/// topic, partition, from, to, read, applied, skipped, dead
type Partition<'a> = (&'a str, i32, i64, i64, u64, u64, &'a BTreeMap<String, u64>, u64);

impl<'a> Epoch<'a> {
    pub fn new(generation: u64, row: &'a EpochRow) -> Epoch<'a> {
        let partition = |p: &'a EpochPartition| -> Partition<'a> {
            let c = &p.counts;
            let at = &p.partition;
            (&at.topic, at.partition, p.from, p.to, c.read, c.applied, &c.skipped, c.dead)
        };
        Epoch {
            epoch: row.epoch,
            version: version(generation, row.epoch),
            clock: row.clock,
            partitions: row.partitions.iter().map(partition).collect(),
            digests: &row.digests,
            gaps: row
                .gaps
                .iter()
                .map(|g| (&*g.partition.topic, g.partition.partition, g.from, g.to))
                .collect(),
            redriven: row
                .redriven
                .iter()
                .map(|r| (&*r.partition.topic, r.partition.partition, r.offset, r.outcome.name()))
                .collect(),
        }
    }
}

#[derive(Debug, Row, Serialize)]
pub struct LateEvent<'a> {
    metric: &'a str,
    incarnation: i64,
    topic: &'a str,
    partition: i32,
    offset: i64,
    row: u32,
    sample: u32,
    time: i64,
    windows: &'a [String],
    weight: i64,
    dims: &'a [String],
    watermark: i64,
    epoch: u64,
    version: u64,
}

impl<'a> LateEvent<'a> {
    pub fn new(generation: u64, row: &'a LateEventRow) -> LateEvent<'a> {
        LateEvent {
            metric: &row.metric,
            incarnation: row.incarnation,
            topic: &row.partition.topic,
            partition: row.partition.partition,
            offset: row.offset,
            row: row.row,
            sample: row.sample,
            time: row.time,
            windows: &row.windows,
            weight: row.weight,
            dims: &row.dims,
            watermark: row.watermark,
            epoch: row.epoch,
            version: version(generation, row.epoch),
        }
    }
}

#[derive(Debug, Row, Serialize)]
pub struct DeadLetter<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    metric: &'a str,
    code: &'a str,
    reason: &'a str,
    key: Raw<'a>,
    value: Raw<'a>,
    whole: u8,
    rekey: u8,
    outcome: &'static str,
    clock: i64,
    epoch: u64,
    version: u64,
}

impl<'a> DeadLetter<'a> {
    pub fn new(generation: u64, row: &'a DeadLetterRow) -> DeadLetter<'a> {
        DeadLetter {
            topic: &row.partition.topic,
            partition: row.partition.partition,
            offset: row.offset,
            metric: &row.metric,
            code: &row.code,
            reason: &row.reason,
            key: Raw(&row.key),
            value: Raw(&row.value),
            whole: row.whole.into(),
            rekey: stored_rekey(row.rekey),
            outcome: row.outcome.name(),
            clock: row.clock,
            epoch: row.epoch,
            version: version(generation, row.epoch),
        }
    }
}

/// As `dead_letters.rekey` has it.
fn stored_rekey(rekey: Rekey) -> u8 {
    match rekey {
        Rekey::None => 0,
        Rekey::Delete => 1,
        Rekey::Insert => 2,
    }
}

/// Bytes of a String column, which need be no UTF-8.
#[derive(Debug)]
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[derive(Debug, Row, Serialize)]
pub struct Promoted<'a> {
    metric: &'a str,
    incarnation: i64,
    digest: &'a str,
    retired: u8,
    epoch: u64,
    version: u64,
}

impl<'a> Promoted<'a> {
    pub fn new(generation: u64, row: &'a PromotedRow) -> Promoted<'a> {
        Promoted {
            metric: &row.metric,
            incarnation: row.incarnation,
            digest: &row.digest,
            retired: row.retired.into(),
            epoch: row.epoch,
            version: version(generation, row.epoch),
        }
    }
}

#[derive(Debug, Row, Serialize)]
pub struct Audit<'a> {
    epoch: u64,
    number: u32,
    version: u64,
    clock: i64,
    action: &'a str,
    subject: &'a str,
    detail: &'a str,
}

impl<'a> Audit<'a> {
    pub fn new(generation: u64, row: &'a AuditRow) -> Audit<'a> {
        Audit {
            epoch: row.epoch,
            number: row.number,
            version: version(generation, row.epoch),
            clock: row.clock,
            action: &row.action,
            subject: &row.subject,
            detail: &row.detail,
        }
    }
}
