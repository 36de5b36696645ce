//! Bytes as Debezium's MariaDB connector writes them, without the schema envelope.

use crate::binlog::Position;
use crate::row::{Cell, Row};

/// Name of the connector, first part of every topic.
pub const PREFIX: &str = "svc";
pub const DATABASE: &str = "service";

/// The topic of a table; one that nobody knows is a ticket's.
pub fn topic(table: &str) -> &'static str {
    match table {
        "agent" => "svc.service.agent",
        "agent_state" => "svc.service.agent_state",
        "call_record" => "svc.service.call_record",
        "im_session" => "svc.service.im_session",
        "queue" => "svc.service.queue",
        "survey" => "svc.service.survey",
        _ => "svc.service.ticket",
    }
}

/// The key of a row's record: `{"id":N}`, of agents' states `{"agent_id":N}`.
pub fn key_of(out: &mut Vec<u8>, row: &Row) {
    match row {
        Row::State(row) => {
            out.extend_from_slice(b"{\"agent_id\":");
            int(out, row.agent_id);
            out.push(b'}');
        }
        row => key(out, row.id()),
    }
}

/// `{"id":N}`.
pub fn key(out: &mut Vec<u8>, id: i64) {
    out.extend_from_slice(b"{\"id\":");
    int(out, id);
    out.push(b'}');
}

/// What stands around the images.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// `c`, `u`, `d` or `r`.
    pub op: char,
    pub table: &'static str,
    pub position: Position,
    /// The connector's clock, in microseconds.
    pub sent_us: i64,
    /// For op `r`: `first`, `true`, `last_in_data_collection`, …; else `false`.
    pub snapshot: &'static str,
}

/// A whole value.
pub fn value(out: &mut Vec<u8>, before: Option<&Row>, after: Option<&Row>, envelope: &Envelope) {
    out.extend_from_slice(b"{\"before\":");
    image(out, before);
    out.extend_from_slice(b",\"after\":");
    image(out, after);
    source(out, envelope);
    out.extend_from_slice(b",\"op\":\"");
    out.push(envelope.op as u8);
    out.extend_from_slice(b"\",\"ts_ms\":");
    int(out, envelope.sent_us.div_euclid(1_000));
    out.extend_from_slice(b",\"ts_us\":");
    int(out, envelope.sent_us);
    out.extend_from_slice(b",\"ts_ns\":");
    int(out, envelope.sent_us * 1_000);
    out.push(b'}');
}

fn source(out: &mut Vec<u8>, envelope: &Envelope) {
    let Position { file, pos, row, gtid, second, total_order, table_order } = envelope.position;
    let snapshot = envelope.op == 'r';
    out.extend_from_slice(
        b",\"source\":{\"version\":\"3.5.0.Final\",\"connector\":\"mariadb\",\"name\":\"svc\",\"ts_ms\":",
    );
    int(out, second * 1_000);
    out.extend_from_slice(b",\"snapshot\":\"");
    out.extend_from_slice(envelope.snapshot.as_bytes());
    out.extend_from_slice(b"\",\"db\":\"service\",\"sequence\":null,\"ts_us\":");
    int(out, second * 1_000_000);
    out.extend_from_slice(b",\"ts_ns\":");
    int(out, second * 1_000_000_000);
    out.extend_from_slice(b",\"table\":\"");
    out.extend_from_slice(envelope.table.as_bytes());
    out.extend_from_slice(if snapshot {
        b"\",\"server_id\":0,\"gtid\":"
    } else {
        b"\",\"server_id\":1,\"gtid\":"
    });
    if snapshot {
        out.extend_from_slice(b"null");
    } else {
        gtid_text(out, gtid);
    }
    out.extend_from_slice(b",\"file\":\"binlog.");
    file_number(out, file);
    out.extend_from_slice(b"\",\"pos\":");
    int(out, pos as i64);
    out.extend_from_slice(b",\"row\":");
    int(out, i64::from(if snapshot { 0 } else { row }));
    out.extend_from_slice(b",\"thread\":null,\"query\":null},\"transaction\":");
    if snapshot {
        out.extend_from_slice(b"null");
        return;
    }
    out.extend_from_slice(b"{\"id\":");
    gtid_text(out, gtid);
    out.extend_from_slice(b",\"total_order\":");
    int(out, i64::from(total_order));
    out.extend_from_slice(b",\"data_collection_order\":");
    int(out, i64::from(table_order));
    out.push(b'}');
}

fn gtid_text(out: &mut Vec<u8>, gtid: u64) {
    out.extend_from_slice(b"\"0-1-");
    int(out, gtid as i64);
    out.push(b'"');
}

fn image(out: &mut Vec<u8>, row: Option<&Row>) {
    let Some(row) = row else {
        out.extend_from_slice(b"null");
        return;
    };
    let start = out.len();
    row.each(|column, cell| {
        out.extend_from_slice(column.json.as_bytes());
        match cell {
            Cell::Null => out.extend_from_slice(b"null"),
            Cell::Number(value) | Cell::Time(value) => int(out, value),
            Cell::Text(text) => {
                out.push(b'"');
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
        }
    });
    // The first column's comma.
    out[start] = b'{';
    out.push(b'}');
}

pub(crate) fn int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The number at the end of a binlog file's name: six digits.
pub(crate) fn file_number(out: &mut Vec<u8>, file: u32) {
    let mut number = [b'0'; 6];
    let mut rest = file;
    for digit in number.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&number);
}
