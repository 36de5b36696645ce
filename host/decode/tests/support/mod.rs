//! Sources of the sample records, and batches made comparable.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;
use weir_decode::{Decoder, Outcome};
use weir_types::batch::{Cells, ChangeBatch, Dictionary, Op, Origin, cell};
use weir_types::contract::ValueType;
use weir_types::record::{Record, Rekey};
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl};

/// Declares a source from a text: `name:type[?]` for each column; the first is the key, the last the
/// event time.
pub fn source(name: &str, topic: &str, columns: &str) -> SourceDecl {
    let columns: Vec<ColumnDecl> = columns.split_whitespace().map(column).collect();
    SourceDecl {
        name: name.into(),
        topics: vec![topic.into()],
        table: name.into(),
        format: Format::DebeziumJson,
        reading: Reading::default(),
        primary_key: vec![0],
        event_time: columns.len() - 1,
        columns,
        out_of_orderness: 5_000_000,
        idle_after: 30_000_000,
        max_dead_share: 0.5,
    }
}

fn column(text: &str) -> ColumnDecl {
    let (name, ty) = text.split_once(':').unwrap();
    let bare = ty.trim_end_matches('?');
    let ty_of = ColumnType::parse(bare).unwrap_or_else(|| panic!("no type {bare}"));
    ColumnDecl { name: name.into(), ty: ty_of, nullable: bare != ty, values: Vec::new() }
}

/// The same source in another format.
pub fn written_as(format: Format, source: SourceDecl) -> SourceDecl {
    SourceDecl { format, ..source }
}

/// The ticket table; `time` is the type of its times.
pub fn ticket(time: &str) -> SourceDecl {
    let columns = "id:int queue_id:int channel:text priority:int customer_id:int assignee_id:int? \
        status:text created_at:T assigned_at:T? first_reply_at:T? solved_at:T? closed_at:T? \
        reopen_count:int reply_count:int escalated:bool first_reply_due_at:T? resolve_due_at:T? updated_at:T";
    source("ticket", "svc.service.ticket", &columns.replace(":T", &format!(":{time}")))
}

pub fn call_record() -> SourceDecl {
    call_record_with("time-ms", "text")
}

/// The call table; `time` is the type of its times, `ended_by` that of the column of this name.
pub fn call_record_with(time: &str, ended_by: &str) -> SourceDecl {
    let columns = "id:int queue_id:int direction:text customer_id:int agent_id:int? status:text \
        started_at:T queued_at:T? answered_at:T? ended_at:T? wrapup_ended_at:T? talk_seconds:int \
        hold_seconds:int hold_count:int missed_count:int transferred_in:bool transferred_out:bool \
        ended_by:E? updated_at:T";
    let columns = columns.replace(":T", &format!(":{time}")).replace(":E", &format!(":{ended_by}"));
    source("call_record", "svc.service.call_record", &columns)
}

pub fn im_session(time: &str, wait: &str) -> SourceDecl {
    let columns = "id:int queue_id:int channel:text customer_id:int agent_id:int? status:text \
        created_at:T queued_at:T? assigned_at:T? first_reply_at:T? last_customer_message_at:T? \
        last_agent_message_at:T? closed_at:T? customer_messages:int agent_messages:int \
        reply_wait_seconds:W updated_at:T";
    let columns = columns.replace(":T", &format!(":{time}")).replace(":W", &format!(":{wait}"));
    source("im_session", "svc.service.im_session", &columns)
}

pub fn agent_state() -> SourceDecl {
    source(
        "agent_state",
        "svc.service.agent_state",
        "agent_id:int queue_id:int state:text since:time-ms slots:int slots_used:int updated_at:time-ms",
    )
}

pub fn survey() -> SourceDecl {
    source(
        "survey",
        "svc.service.survey",
        "id:int subject:text subject_id:int queue_id:int agent_id:int? sent_at:time-ms score:int? \
         resolved:bool? rated_at:time-ms? updated_at:time-ms",
    )
}

/// Asks for every declared column.
pub fn asking_for_all(sources: &[Arc<SourceDecl>]) -> Decoder {
    let mut decoder = Decoder::new(sources);
    for (index, source) in sources.iter().enumerate() {
        decoder.set_asked(index, &(0..source.columns.len()).collect::<BTreeSet<_>>());
    }
    decoder
}

pub fn batches(sources: &[Arc<SourceDecl>]) -> Vec<ChangeBatch> {
    sources.iter().map(|s| ChangeBatch::new(s.columns.len())).collect()
}

pub fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Record<'a> {
    Record { partition: 0, offset: 7, timestamp: None, key, value, rekey: Rekey::None }
}

/// A cell as a person would write it: `null`, `unfit`, or its value.
pub fn shown(ty: ColumnType, cells: &Cells, dictionary: &Dictionary, row: usize) -> String {
    match cells.states[row] {
        cell::NULL => "null".into(),
        cell::UNFIT => "unfit".into(),
        _ => match ty.value_type() {
            ValueType::Text => format!("{:?}", dictionary.get(cells.values[row] as u32)),
            ValueType::Float => f64::from_bits(cells.values[row] as u64).to_string(),
            ValueType::Bool => (cells.values[row] == 1).to_string(),
            ValueType::Int | ValueType::Time => cells.values[row].to_string(),
        },
    }
}

/// One row, comparable across decoders.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub op: Op,
    pub coordinates: (u32, i64, u32),
    pub event_time: (u8, i64),
    pub origin: Option<Origin>,
    pub present: (u8, u8),
    /// Cells of the asked columns, empty for the others.
    pub before: Vec<String>,
    pub after: Vec<String>,
}

pub fn row(source: &SourceDecl, batch: &ChangeBatch, row: usize) -> Row {
    let image = |cells: &[Cells]| {
        let one = |(i, cells): (usize, &Cells)| {
            if cells.is_empty() {
                return String::new();
            }
            shown(source.columns[i].ty, cells, &batch.dictionaries[i], row)
        };
        cells.iter().enumerate().map(one).collect::<Vec<_>>()
    };
    Row {
        op: batch.ops[row],
        coordinates: (batch.partitions[row], batch.offsets[row], batch.rows_in_record[row]),
        event_time: (batch.event_times.states[row], batch.event_times.values[row]),
        origin: batch.origins[row],
        present: (batch.before_present[row], batch.after_present[row]),
        before: image(&batch.before),
        after: image(&batch.after),
    }
}

pub fn rows(source: &SourceDecl, batch: &ChangeBatch) -> Vec<Row> {
    (0..batch.len()).map(|r| row(source, batch, r)).collect()
}

/// Every column is as long as the batch, or empty if nobody asked for it.
pub fn check_lengths(batch: &ChangeBatch, asked: &[usize]) {
    let n = batch.len();
    for (i, cells) in batch.before.iter().chain(&batch.after).enumerate() {
        let wanted = if asked.contains(&(i % batch.before.len())) { n } else { 0 };
        assert_eq!((cells.values.len(), cells.states.len()), (wanted, wanted), "column {i}");
    }
    for len in [
        batch.partitions.len(),
        batch.offsets.len(),
        batch.rows_in_record.len(),
        batch.event_times.values.len(),
        batch.event_times.states.len(),
        batch.origins.len(),
        batch.before_present.len(),
        batch.after_present.len(),
    ] {
        assert_eq!(len, n);
    }
}

/// Decodes one record by a decoder that has seen nothing: the general path.
pub fn decode_fresh(
    sources: &[Arc<SourceDecl>],
    topic: usize,
    record: &Record<'_>,
) -> (Outcome, Vec<Vec<Row>>) {
    let mut decoder = asking_for_all(sources);
    let mut into = batches(sources);
    let outcome = decoder.decode(topic, record, &mut into);
    for (index, batch) in into.iter().enumerate() {
        check_lengths(batch, if batch.is_empty() { &[] } else { decoder.asked(index) });
    }
    (outcome, sources.iter().zip(&into).map(|(s, b)| rows(s, b)).collect())
}
