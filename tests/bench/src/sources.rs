//! The sources of the demo, and the generator's records as the reader would hand them over.

use std::sync::Arc;
pub use weir_e2e::tables::{TABLES, TOPICS};
use weir_generator::life;
use weir_generator::records::{Mischief, Record as Generated, Records};
use weir_types::Micros;
use weir_types::record::{Record, RecordBatch, Rekey};
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl, TimeUnit};

/// 2026-11-23T08:00:00Z in milliseconds.
const START_MS: i64 = 1_795_420_800_000;
pub const PARTITIONS: i32 = 4;
/// In the order of [`TOPICS`]: topic t has the indexes 4·t to 4·t + 3.
pub const INDEXES: usize = TOPICS.len() * PARTITIONS as usize;
const BATCH: usize = 4096;

/// Columns by source, in the order of [`TABLES`].
const COLUMNS: [&str; 7] = [
    "id int, queue_id int, channel text, priority int, customer_id int, assignee_id int?, status text, created_at time, assigned_at time?, first_reply_at time?, solved_at time?, closed_at time?, reopen_count int, reply_count int, escalated bool, first_reply_due_at time?, resolve_due_at time?, updated_at time",
    "id int, queue_id int, direction text, customer_id int, agent_id int?, status text, started_at time, queued_at time?, answered_at time?, ended_at time?, wrapup_ended_at time?, talk_seconds int, hold_seconds int, hold_count int, missed_count int, transferred_in bool, transferred_out bool, ended_by text?, updated_at time",
    "id int, queue_id int, channel text, customer_id int, agent_id int?, status text, created_at time, queued_at time?, assigned_at time?, first_reply_at time?, last_customer_message_at time?, last_agent_message_at time?, closed_at time?, customer_messages int, agent_messages int, reply_wait_seconds int, updated_at time",
    "agent_id int, queue_id int, state text, since time, slots int, slots_used int, updated_at time",
    "id int, subject text, subject_id int, queue_id int, agent_id int?, sent_at time, score int?, resolved bool?, rated_at time?, updated_at time",
    "id int, name text, team_id int, updated_at time",
    "id int, name text, updated_at time",
];

pub fn sources() -> Vec<Arc<SourceDecl>> {
    let source = |((name, topic), columns): ((&str, &str), &str)| {
        let columns: Vec<ColumnDecl> = columns.split(", ").filter_map(column).collect();
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
    TABLES.into_iter().zip(TOPICS).zip(COLUMNS).map(source).collect()
}

/// From a name and a type, with a `?` if it may be null.
fn column(text: &str) -> Option<ColumnDecl> {
    let (name, ty) = text.split_once(' ')?;
    let kind = match ty.trim_end_matches('?') {
        "text" => ColumnType::Text,
        "bool" => ColumnType::Bool,
        "time" => ColumnType::Time(TimeUnit::Ms),
        _ => ColumnType::Int,
    };
    Some(ColumnDecl { name: name.into(), ty: kind, nullable: ty.ends_with('?'), values: Vec::new() })
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
    let mut offsets = [0i64; INDEXES];
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

fn push(batch: &mut RecordBatch, offsets: &mut [i64; INDEXES], generated: &Generated) {
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
