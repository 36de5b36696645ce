//! Bytes as Canal's flat messages and Maxwell write them, one row in each record.
//!
//! Both write an update's changed columns only into `old`, and times as the server's clock (UTC here)
//! shows them. Canal writes every value as text; the types that it writes beside them (`mysqlType`,
//! `sqlType`) are left out.

use crate::binlog::Position;
use crate::debezium::DATABASE;
use crate::life::Row;
use crate::life::call::Call;
use crate::life::ticket::Ticket;
use serde_json::{Map, Value, json};

/// Who writes the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Writer {
    #[default]
    Debezium,
    Canal,
    Maxwell,
}

/// A cell of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    Null,
    Number(i64),
    /// Milliseconds since the Unix epoch.
    Time(i64),
    Text(&'static str),
}

impl Cell {
    fn value(self, writer: Writer) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Number(n) if writer == Writer::Canal => json!(n.to_string()),
            Cell::Number(n) => json!(n),
            Cell::Time(ms) => json!(clock_text(ms)),
            Cell::Text(text) => json!(text),
        }
    }
}

/// `2026-11-23 08:00:00.123`
fn clock_text(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    jiff::tz::TimeZone::UTC.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}

/// Ids of changed keys stand apart by this.
const REKEYED: i64 = 1_000_000_000;

/// What a row keeps when its key changes: its records must keep their partition, or nobody could tell
/// the old key's last change from the new one's.
pub fn family(id: i64) -> i64 {
    id % REKEYED
}

/// The record's key; Canal writes none.
pub fn key(writer: Writer, row: &Row) -> Option<Vec<u8>> {
    let key = json!({ "database": DATABASE, "table": row.table(), "pk.id": row.id() });
    (writer == Writer::Maxwell).then(|| key.to_string().into_bytes())
}

/// A row that a Maxwell bootstrap reads.
pub fn bootstrap(row: &Row, second: i64) -> Vec<u8> {
    let data = image(row, Writer::Maxwell);
    let value = json!({
        "database": DATABASE, "table": row.table(), "type": "bootstrap-insert", "ts": second, "data": data,
    });
    value.to_string().into_bytes()
}

/// The record's value. One of the rows is there; both of an update.
pub fn value(
    writer: Writer,
    before: Option<&Row>,
    after: Option<&Row>,
    position: &Position,
    sent_ms: i64,
) -> Vec<u8> {
    let Some(row) = after.or(before) else { return Vec::new() };
    let data = image(row, writer);
    let old = before.and(after).and(before).map(|before| {
        let before = image(before, writer);
        before.into_iter().filter(|(name, value)| data.get(name) != Some(value)).collect::<Map<_, _>>()
    });
    let kind = match (before, after) {
        (None, _) => "insert",
        (_, None) => "delete",
        _ => "update",
    };
    let value = match writer {
        Writer::Maxwell => maxwell(kind, row.table(), data, old, position),
        _ => canal(kind, row.table(), data, old, position, sent_ms),
    };
    value.to_string().into_bytes()
}

fn canal(
    kind: &str,
    table: &str,
    data: Map<String, Value>,
    old: Option<Map<String, Value>>,
    position: &Position,
    sent_ms: i64,
) -> Value {
    json!({
        "data": [data], "database": DATABASE, "es": position.second * 1_000, "gtid": "", "id": position.gtid,
        "isDdl": false, "old": old.map(|old| vec![old]), "pkNames": ["id"], "sql": "", "table": table,
        "ts": sent_ms, "type": kind.to_uppercase(),
    })
}

fn maxwell(
    kind: &str,
    table: &str,
    data: Map<String, Value>,
    old: Option<Map<String, Value>>,
    position: &Position,
) -> Value {
    let mut value = json!({
        "database": DATABASE, "table": table, "type": kind, "ts": position.second, "xid": position.gtid,
        "xoffset": position.total_order - 1, "position": format!("binlog.{:06}:{}", position.file, position.pos),
        "data": data,
    });
    if let Some(old) = old {
        value["old"] = Value::Object(old);
    }
    value
}

fn image(row: &Row, writer: Writer) -> Map<String, Value> {
    let cells = match row {
        Row::Ticket(ticket) => ticket_cells(ticket),
        Row::Call(call) => call_cells(call),
    };
    cells.into_iter().map(|(name, cell)| (name.to_string(), cell.value(writer))).collect()
}

fn ticket_cells(row: &Ticket) -> Vec<(&'static str, Cell)> {
    let time = |at: Option<i64>| at.map_or(Cell::Null, Cell::Time);
    vec![
        ("id", Cell::Number(row.id)),
        ("queue_id", Cell::Number(row.queue_id)),
        ("channel", Cell::Text(row.channel)),
        ("priority", Cell::Number(row.priority)),
        ("customer_id", Cell::Number(row.customer_id)),
        ("assignee_id", row.assignee_id.map_or(Cell::Null, Cell::Number)),
        ("status", Cell::Text(row.status.text())),
        ("created_at", Cell::Time(row.created_at)),
        ("assigned_at", time(row.assigned_at)),
        ("first_reply_at", time(row.first_reply_at)),
        ("solved_at", time(row.solved_at)),
        ("closed_at", time(row.closed_at)),
        ("reopen_count", Cell::Number(row.reopen_count)),
        ("reply_count", Cell::Number(row.reply_count)),
        ("escalated", Cell::Number(row.escalated)),
        ("first_reply_due_at", time(row.first_reply_due_at)),
        ("resolve_due_at", time(row.resolve_due_at)),
        ("updated_at", Cell::Time(row.updated_at)),
    ]
}

fn call_cells(row: &Call) -> Vec<(&'static str, Cell)> {
    let time = |at: Option<i64>| at.map_or(Cell::Null, Cell::Time);
    vec![
        ("id", Cell::Number(row.id)),
        ("queue_id", Cell::Number(row.queue_id)),
        ("direction", Cell::Text(row.direction)),
        ("customer_id", Cell::Number(row.customer_id)),
        ("agent_id", row.agent_id.map_or(Cell::Null, Cell::Number)),
        ("status", Cell::Text(row.status.text())),
        ("started_at", Cell::Time(row.started_at)),
        ("queued_at", time(row.queued_at)),
        ("answered_at", time(row.answered_at)),
        ("ended_at", time(row.ended_at)),
        ("wrapup_ended_at", time(row.wrapup_ended_at)),
        ("talk_seconds", Cell::Number(row.talk_seconds)),
        ("hold_seconds", Cell::Number(row.hold_seconds)),
        ("hold_count", Cell::Number(row.hold_count)),
        ("missed_count", Cell::Number(row.missed_count)),
        ("transferred_in", Cell::Number(row.transferred_in)),
        ("transferred_out", Cell::Number(row.transferred_out)),
        ("ended_by", row.ended_by.map_or(Cell::Null, Cell::Text)),
        ("updated_at", Cell::Time(row.updated_at)),
    ]
}
