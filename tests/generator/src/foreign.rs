//! Bytes as Canal's flat messages and Maxwell write them, one row in each record.
//!
//! Both write an update's changed columns only into `old`, and times as the server's clock (UTC here)
//! shows them. Canal writes every value as text; the types that it writes beside them (`mysqlType`,
//! `sqlType`) are left out.

use crate::binlog::Position;
use crate::civil;
use crate::debezium::int;
use crate::row::{Cell, Column, Row};

/// Who writes the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Writer {
    #[default]
    Debezium,
    Canal,
    Maxwell,
}

/// Ids of changed keys stand apart by this.
const REKEYED: i64 = 1_000_000_000;

/// What a row keeps when its key changes: its records must keep their partition, or nobody could tell
/// the old key's last change from the new one's.
pub fn family(id: i64) -> i64 {
    id % REKEYED
}

/// Writes the record's key and says whether there is one; Canal writes none.
pub fn key(out: &mut Vec<u8>, writer: Writer, row: &Row) -> bool {
    if writer != Writer::Maxwell {
        return false;
    }
    put(out, "{\"database\":\"service\",\"table\":\"");
    put(out, row.table());
    put(out, "\",\"pk.");
    put(out, row.key());
    put(out, "\":");
    int(out, row.id());
    out.push(b'}');
    true
}

/// A row that a Maxwell bootstrap reads.
pub fn bootstrap(out: &mut Vec<u8>, row: &Row, second: i64) {
    put(out, "{\"database\":\"service\",\"table\":\"");
    put(out, row.table());
    put(out, "\",\"type\":\"bootstrap-insert\",\"ts\":");
    int(out, second);
    put(out, ",\"data\":");
    image(out, Writer::Maxwell, row, None);
    out.push(b'}');
}

/// The record's value. One of the rows is there; both of an update.
pub fn value(
    out: &mut Vec<u8>,
    writer: Writer,
    before: Option<&Row>,
    after: Option<&Row>,
    position: &Position,
    sent_ms: i64,
) {
    let Some(row) = after.or(before) else { return };
    let old = before.and(after).and(before);
    let kind = match (before, after) {
        (None, _) => 0,
        (_, None) => 1,
        _ => 2,
    };
    match writer {
        Writer::Maxwell => maxwell(out, ["insert", "delete", "update"][kind], row, old, position),
        _ => canal(out, ["INSERT", "DELETE", "UPDATE"][kind], row, old, position, sent_ms),
    }
}

fn canal(out: &mut Vec<u8>, kind: &str, row: &Row, old: Option<&Row>, position: &Position, sent_ms: i64) {
    put(out, "{\"data\":[");
    image(out, Writer::Canal, row, None);
    put(out, "],\"database\":\"service\",\"es\":");
    int(out, position.second * 1_000);
    put(out, ",\"gtid\":\"\",\"id\":");
    int(out, position.gtid as i64);
    put(out, ",\"isDdl\":false,\"old\":");
    match old {
        Some(old) => {
            out.push(b'[');
            image(out, Writer::Canal, old, Some(row));
            out.push(b']');
        }
        None => put(out, "null"),
    }
    put(out, ",\"pkNames\":[\"");
    put(out, row.key());
    put(out, "\"],\"sql\":\"\",\"table\":\"");
    put(out, row.table());
    put(out, "\",\"ts\":");
    int(out, sent_ms);
    put(out, ",\"type\":\"");
    put(out, kind);
    put(out, "\"}");
}

fn maxwell(out: &mut Vec<u8>, kind: &str, row: &Row, old: Option<&Row>, position: &Position) {
    put(out, "{\"database\":\"service\",\"table\":\"");
    put(out, row.table());
    put(out, "\",\"type\":\"");
    put(out, kind);
    put(out, "\",\"ts\":");
    int(out, position.second);
    put(out, ",\"xid\":");
    int(out, position.gtid as i64);
    put(out, ",\"xoffset\":");
    int(out, i64::from(position.total_order) - 1);
    put(out, ",\"position\":\"binlog.");
    crate::debezium::file_number(out, position.file);
    out.push(b':');
    int(out, position.pos as i64);
    put(out, "\",\"data\":");
    image(out, Writer::Maxwell, row, None);
    if let Some(old) = old {
        put(out, ",\"old\":");
        image(out, Writer::Maxwell, old, Some(row));
    }
    out.push(b'}');
}

/// A row as an object; beside another row only what differs from it.
fn image(out: &mut Vec<u8>, writer: Writer, row: &Row, beside: Option<&Row>) {
    let start = out.len();
    match beside {
        None => row.each(|column: Column, value| cell(out, writer, column, value)),
        Some(other) => {
            let others = other.cells();
            let mut place = 0;
            row.each(|column: Column, value| {
                if others.get(place).is_none_or(|other| other.1 != value) {
                    cell(out, writer, column, value);
                }
                place += 1;
            });
        }
    }
    // The first column's comma, if there is one.
    match out.get_mut(start) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

fn cell(out: &mut Vec<u8>, writer: Writer, column: Column, value: Cell<'_>) {
    put(out, column.json);
    let quoted = match value {
        Cell::Null => false,
        Cell::Number(_) => writer == Writer::Canal,
        Cell::Time(_) | Cell::Text(_) => true,
    };
    if quoted {
        out.push(b'"');
    }
    match value {
        Cell::Null => put(out, "null"),
        Cell::Number(value) => int(out, value),
        Cell::Time(ms) => civil::text(out, ms),
        Cell::Text(text) => put(out, text),
    }
    if quoted {
        out.push(b'"');
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}
