//! Bytes as Debezium's MariaDB connector writes them, without the schema envelope.

use crate::binlog::Position;
use crate::row::{Cell, Column, Row, Visit};

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

/// Appends a text, as it is or as it stands inside a JSON string; known when compiled.
macro_rules! put {
    ($out:expr, $in_string:expr, $text:literal) => {{
        const ESCAPED: [u8; escaped_len($text)] = escaped($text);
        let bytes: &[u8] = if $in_string { &ESCAPED } else { $text.as_bytes() };
        $out.extend_from_slice(bytes);
    }};
}

const fn escaped_len(text: &str) -> usize {
    let (bytes, mut length, mut at) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        length += if bytes[at] == b'"' { 2 } else { 1 };
        at += 1;
    }
    length
}

const fn escaped<const N: usize>(text: &str) -> [u8; N] {
    let (bytes, mut out, mut at, mut to) = (text.as_bytes(), [b'\\'; N], 0, 0);
    while at < bytes.len() {
        // What is there already is the backslash.
        to += if bytes[at] == b'"' { 1 } else { 0 };
        out[to] = bytes[at];
        (at, to) = (at + 1, to + 1);
    }
    out
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
    write::<false>(out, before, after, envelope);
}

/// The same as it stands inside a JSON string. Escaping afterwards took as long as all the rest.
pub fn value_in_string(out: &mut Vec<u8>, before: Option<&Row>, after: Option<&Row>, envelope: &Envelope) {
    write::<true>(out, before, after, envelope);
}

fn write<const IN_STRING: bool>(
    out: &mut Vec<u8>,
    before: Option<&Row>,
    after: Option<&Row>,
    envelope: &Envelope,
) {
    put!(out, IN_STRING, "{\"before\":");
    image::<IN_STRING>(out, before);
    put!(out, IN_STRING, ",\"after\":");
    image::<IN_STRING>(out, after);
    source::<IN_STRING>(out, envelope);
    put!(out, IN_STRING, ",\"op\":\"");
    out.push(envelope.op as u8);
    put!(out, IN_STRING, "\",\"ts_ms\":");
    int(out, envelope.sent_us.div_euclid(1_000));
    put!(out, IN_STRING, ",\"ts_us\":");
    int(out, envelope.sent_us);
    put!(out, IN_STRING, ",\"ts_ns\":");
    int(out, envelope.sent_us * 1_000);
    out.push(b'}');
}

fn source<const IN_STRING: bool>(out: &mut Vec<u8>, envelope: &Envelope) {
    let Position { file, pos, row, gtid, second, total_order, table_order } = envelope.position;
    let snapshot = envelope.op == 'r';
    put!(
        out,
        IN_STRING,
        ",\"source\":{\"version\":\"3.5.0.Final\",\"connector\":\"mariadb\",\"name\":\"svc\",\"ts_ms\":"
    );
    int(out, second * 1_000);
    put!(out, IN_STRING, ",\"snapshot\":\"");
    out.extend_from_slice(envelope.snapshot.as_bytes());
    put!(out, IN_STRING, "\",\"db\":\"service\",\"sequence\":null,\"ts_us\":");
    int(out, second * 1_000_000);
    put!(out, IN_STRING, ",\"ts_ns\":");
    int(out, second * 1_000_000_000);
    put!(out, IN_STRING, ",\"table\":\"");
    out.extend_from_slice(envelope.table.as_bytes());
    put!(out, IN_STRING, "\",\"server_id\":");
    int(out, i64::from(!snapshot));
    put!(out, IN_STRING, ",\"gtid\":");
    if snapshot {
        put!(out, IN_STRING, "null");
    } else {
        gtid_text::<IN_STRING>(out, gtid);
    }
    put!(out, IN_STRING, ",\"file\":\"binlog.");
    file_number(out, file);
    put!(out, IN_STRING, "\",\"pos\":");
    int(out, pos as i64);
    put!(out, IN_STRING, ",\"row\":");
    int(out, i64::from(if snapshot { 0 } else { row }));
    put!(out, IN_STRING, ",\"thread\":null,\"query\":null},\"transaction\":");
    if snapshot {
        put!(out, IN_STRING, "null");
        return;
    }
    put!(out, IN_STRING, "{\"id\":");
    gtid_text::<IN_STRING>(out, gtid);
    put!(out, IN_STRING, ",\"total_order\":");
    int(out, i64::from(total_order));
    put!(out, IN_STRING, ",\"data_collection_order\":");
    int(out, i64::from(table_order));
    out.push(b'}');
}

fn gtid_text<const IN_STRING: bool>(out: &mut Vec<u8>, gtid: u64) {
    put!(out, IN_STRING, "\"0-1-");
    int(out, gtid as i64);
    put!(out, IN_STRING, "\"");
}

fn image<const IN_STRING: bool>(out: &mut Vec<u8>, row: Option<&Row>) {
    let Some(row) = row else {
        out.extend_from_slice(b"null");
        return;
    };
    let start = out.len();
    row.each(Image::<IN_STRING>(out));
    // The first column's comma.
    out[start] = b'{';
    out.push(b'}');
}

/// Writes columns as members of a JSON object.
struct Image<'o, const IN_STRING: bool>(&'o mut Vec<u8>);

impl<'a, const IN_STRING: bool> Visit<'a> for Image<'_, IN_STRING> {
    #[inline(always)]
    fn see(&mut self, column: Column, cell: Cell<'a>) {
        let name = if IN_STRING { column.json_in_string } else { column.json };
        self.0.extend_from_slice(name.as_bytes());
        match cell {
            Cell::Null => self.0.extend_from_slice(b"null"),
            Cell::Number(value) | Cell::Time(value) => int(self.0, value),
            Cell::Text(text) => {
                put!(self.0, IN_STRING, "\"");
                self.0.extend_from_slice(text.as_bytes());
                put!(self.0, IN_STRING, "\"");
            }
        }
    }
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
