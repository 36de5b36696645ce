//! Bytes as Debezium's MariaDB connector writes them, without the schema envelope.

use crate::binlog::Position;
use crate::life::Row;
use crate::life::call::Call;
use crate::life::ticket::Ticket;

/// Name of the connector, first part of every topic.
pub const PREFIX: &str = "svc";
pub const DATABASE: &str = "service";

pub fn topic(table: &str) -> &'static str {
    match table {
        "ticket" => "svc.service.ticket",
        _ => "svc.service.call_record",
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
    let mut number = [b'0'; 6];
    let mut rest = file;
    for digit in number.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&number);
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
    match row {
        None => out.extend_from_slice(b"null"),
        Some(Row::Ticket(row)) => ticket(out, row),
        Some(Row::Call(row)) => call(out, row),
    }
}

fn ticket(out: &mut Vec<u8>, row: &Ticket) {
    number(out, "{\"id\":", row.id);
    number(out, ",\"queue_id\":", row.queue_id);
    text(out, ",\"channel\":", Some(row.channel));
    number(out, ",\"priority\":", row.priority);
    number(out, ",\"customer_id\":", row.customer_id);
    optional(out, ",\"assignee_id\":", row.assignee_id);
    text(out, ",\"status\":", Some(row.status.text()));
    number(out, ",\"created_at\":", row.created_at);
    optional(out, ",\"assigned_at\":", row.assigned_at);
    optional(out, ",\"first_reply_at\":", row.first_reply_at);
    optional(out, ",\"solved_at\":", row.solved_at);
    optional(out, ",\"closed_at\":", row.closed_at);
    number(out, ",\"reopen_count\":", row.reopen_count);
    number(out, ",\"reply_count\":", row.reply_count);
    number(out, ",\"escalated\":", row.escalated);
    optional(out, ",\"first_reply_due_at\":", row.first_reply_due_at);
    optional(out, ",\"resolve_due_at\":", row.resolve_due_at);
    number(out, ",\"updated_at\":", row.updated_at);
    out.push(b'}');
}

fn call(out: &mut Vec<u8>, row: &Call) {
    number(out, "{\"id\":", row.id);
    number(out, ",\"queue_id\":", row.queue_id);
    text(out, ",\"direction\":", Some(row.direction));
    number(out, ",\"customer_id\":", row.customer_id);
    optional(out, ",\"agent_id\":", row.agent_id);
    text(out, ",\"status\":", Some(row.status.text()));
    number(out, ",\"started_at\":", row.started_at);
    optional(out, ",\"queued_at\":", row.queued_at);
    optional(out, ",\"answered_at\":", row.answered_at);
    optional(out, ",\"ended_at\":", row.ended_at);
    optional(out, ",\"wrapup_ended_at\":", row.wrapup_ended_at);
    number(out, ",\"talk_seconds\":", row.talk_seconds);
    number(out, ",\"hold_seconds\":", row.hold_seconds);
    number(out, ",\"hold_count\":", row.hold_count);
    number(out, ",\"missed_count\":", row.missed_count);
    number(out, ",\"transferred_in\":", row.transferred_in);
    number(out, ",\"transferred_out\":", row.transferred_out);
    text(out, ",\"ended_by\":", row.ended_by);
    number(out, ",\"updated_at\":", row.updated_at);
    out.push(b'}');
}

fn number(out: &mut Vec<u8>, name: &str, value: i64) {
    out.extend_from_slice(name.as_bytes());
    int(out, value);
}

fn optional(out: &mut Vec<u8>, name: &str, value: Option<i64>) {
    out.extend_from_slice(name.as_bytes());
    match value {
        Some(value) => int(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// The texts of the life hold nothing that JSON would escape.
fn text(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    out.extend_from_slice(name.as_bytes());
    match value {
        Some(value) => {
            out.push(b'"');
            out.extend_from_slice(value.as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

fn int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}
