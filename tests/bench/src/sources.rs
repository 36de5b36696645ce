//! The two sources of the demo, and the generator's records as the reader would hand them over.

use std::sync::Arc;
use weir_generator::life;
use weir_generator::records::{Mischief, Record as Generated, Records};
use weir_types::Micros;
use weir_types::record::{Record, RecordBatch, Rekey};
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl, TimeUnit};

/// 2026-11-23T08:00:00Z in milliseconds.
const START_MS: i64 = 1_795_420_800_000;
pub const PARTITIONS: i32 = 4;
/// Topics in the order of partition indexes: topic t has the indexes 4·t to 4·t + 3.
pub const TOPICS: [&str; 2] = ["svc.service.ticket", "svc.service.call_record"];
const BATCH: usize = 4096;

const TICKET: &[(&str, &str)] = &[
    ("id", "int"),
    ("queue_id", "int"),
    ("channel", "text"),
    ("priority", "int"),
    ("customer_id", "int"),
    ("assignee_id", "int?"),
    ("status", "text"),
    ("created_at", "time"),
    ("assigned_at", "time?"),
    ("first_reply_at", "time?"),
    ("solved_at", "time?"),
    ("closed_at", "time?"),
    ("reopen_count", "int"),
    ("reply_count", "int"),
    ("escalated", "bool"),
    ("first_reply_due_at", "time?"),
    ("resolve_due_at", "time?"),
    ("updated_at", "time"),
];
const CALL: &[(&str, &str)] = &[
    ("id", "int"),
    ("queue_id", "int"),
    ("direction", "text"),
    ("customer_id", "int"),
    ("agent_id", "int?"),
    ("status", "text"),
    ("queued_at", "time?"),
    ("answered_at", "time?"),
    ("ended_at", "time?"),
    ("wrapup_ended_at", "time?"),
    ("talk_seconds", "int"),
    ("hold_seconds", "int"),
    ("missed_count", "int"),
    ("transferred_out", "bool"),
    ("updated_at", "time"),
];

pub fn sources() -> Vec<Arc<SourceDecl>> {
    let source = |name: &str, topic: &str, columns: &[(&str, &str)]| {
        let columns: Vec<ColumnDecl> = columns.iter().map(|(name, ty)| column(name, ty)).collect();
        Arc::new(SourceDecl {
            name: name.into(),
            topics: vec![topic.into()],
            table: name.into(),
            format: Format::DebeziumJson,
            reading: Reading::default(),
            event_time: columns.len() - 1,
            columns,
            primary_key: vec![0],
            out_of_orderness: 5_000_000,
            idle_after: 30_000_000,
            max_dead_share: 0.5,
        })
    };
    vec![source("ticket", TOPICS[0], TICKET), source("call_record", TOPICS[1], CALL)]
}

fn column(name: &str, ty: &str) -> ColumnDecl {
    let kind = match ty.trim_end_matches('?') {
        "text" => ColumnType::Text,
        "time" => ColumnType::Time(TimeUnit::Ms),
        "bool" => ColumnType::Bool,
        _ => ColumnType::Int,
    };
    ColumnDecl { name: name.into(), ty: kind, nullable: ty.ends_with('?'), values: Vec::new() }
}

/// Records of the life-cycle generator, in batches, each with the clock at its end.
pub struct Stream {
    pub batches: Vec<(Micros, RecordBatch)>,
    pub records: usize,
    pub bytes: usize,
}

/// The first `count` changes of a life of `per_second` changes a second of the clock.
pub fn stream(seed: u64, count: usize, per_second: f64) -> Stream {
    let options = life::Options::new(seed, START_MS, per_second);
    let mut records = Records::new(&options, PARTITIONS as u32, Mischief::default());
    let mut stream = Stream { batches: Vec::new(), records: 0, bytes: 0 };
    let mut offsets = [0i64; 8];
    let mut batch = RecordBatch::default();
    let mut end = START_MS;
    let mut take = |generated: &Generated, stream: &mut Stream| {
        push(&mut batch, &mut offsets, generated);
        end = end.max(generated.at);
        stream.records += 1;
        if batch.len() == BATCH {
            stream.bytes += batch.size_bytes();
            stream.batches.push((end * 1000, std::mem::take(&mut batch)));
        }
    };
    for generated in records.snapshot(START_MS) {
        take(&generated, &mut stream);
    }
    while stream.records < count {
        for generated in records.next_batch() {
            take(generated, &mut stream);
        }
    }
    stream
}

fn push(batch: &mut RecordBatch, offsets: &mut [i64; 8], generated: &Generated) {
    let topic = TOPICS.iter().position(|t| *t == generated.topic).unwrap_or(0);
    let index = topic * PARTITIONS as usize + generated.partition as usize;
    let has = |name: &str| generated.headers.iter().any(|(n, _)| *n == name);
    let rekey = match () {
        () if has("__debezium.newkey") => Rekey::Delete,
        () if has("__debezium.oldkey") => Rekey::Insert,
        () => Rekey::None,
    };
    batch.push(Record {
        partition: index as u32,
        offset: offsets[index],
        timestamp: None,
        key: generated.key.as_deref(),
        value: generated.value.as_deref(),
        rekey,
    });
    offsets[index] += 1;
}
