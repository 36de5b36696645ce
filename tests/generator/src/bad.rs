//! Records that no good connector writes, for the host to survive. They are records like any other:
//! they get an offset and stand in the journal.

use crate::debezium::topic;
use crate::dice::Dice;
use crate::life::RowChange;
use crate::records::{Record, Records};
use crate::stranger;

/// Ids from here on are of bad records, so that they meet no row of the life.
const FIRST_ID: i64 = 2_000_000_000;

/// Header of a bad record; its value is the fault's [`Fault::fate`].
pub const INJECTED: &str = "generator.injected";

/// What can be wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Text that is no JSON.
    NotJson,
    /// JSON that is no object.
    Array,
    /// An object that is no Debezium envelope.
    OtherShape,
    /// A good record cut off in the middle.
    Truncated,
    /// A good record without a key.
    NullKey,
    /// An insert without `queue_id`.
    MissingField,
    /// An insert whose time (`created_at`, `queued_at`, `since`, `sent_at`) is a word.
    TimeInWords,
    /// An insert whose `queue_id` is a word.
    QueueInWords,
    /// An insert whose `queue_id` is a number in quotes, which is allowed.
    QuotedNumber,
    /// An update whose after image lacks `status` and `direction`, `state`, or `rated_at`.
    MissingInAfter,
    /// A tombstone of a key that never was.
    Tombstone,
    /// A change of a table that nobody declared, on a declared topic.
    UnknownTable,
    /// Bytes that begin like a schema registry's: 0 and a schema id.
    RegistryFramed,
}

pub const FAULTS: [Fault; 13] = [
    Fault::NotJson,
    Fault::Array,
    Fault::OtherShape,
    Fault::Truncated,
    Fault::NullKey,
    Fault::MissingField,
    Fault::TimeInWords,
    Fault::QueueInWords,
    Fault::QuotedNumber,
    Fault::MissingInAfter,
    Fault::Tombstone,
    Fault::UnknownTable,
    Fault::RegistryFramed,
];

impl Fault {
    /// What must become of such a record: `dead`, `skipped`, `excluded` (it stands, but some metric must
    /// leave it out) or `good`.
    pub fn fate(self) -> &'static str {
        match self {
            Fault::NotJson
            | Fault::Array
            | Fault::OtherShape
            | Fault::Truncated
            | Fault::NullKey
            | Fault::RegistryFramed => "dead",
            Fault::Tombstone | Fault::UnknownTable => "skipped",
            Fault::MissingField | Fault::TimeInWords | Fault::QueueInWords | Fault::MissingInAfter => {
                "excluded"
            }
            Fault::QuotedNumber => "good",
        }
    }
}

/// The `number`-th bad record, on the topics of [`stranger::TABLES`] in turn. A header says what must become
/// of it.
pub fn record(records: &mut Records, dice: &mut Dice, number: u64, at: i64) -> Record {
    let tables = stranger::TABLES.len() as u64;
    let fault = FAULTS[(number / tables % FAULTS.len() as u64) as usize];
    let table = stranger::TABLES[(number % tables) as usize];
    let (before, after) = stranger::rows(records.world(), dice, FIRST_ID + number as i64, at, table);
    let update = fault == Fault::MissingInAfter;
    let change = RowChange { at, before: update.then_some(before), after: Some(after), correction: false };
    let mut record = records.render_alone(&change);
    record.headers.push((INJECTED, fault.fate().into()));
    match fault {
        Fault::NotJson => record.value = Some(b"this is not JSON, and never was".to_vec()),
        Fault::Array => record.value = Some(b"[1,2,3]".to_vec()),
        Fault::OtherShape => record.value = Some(b"{\"hello\":\"world\",\"id\":7}".to_vec()),
        Fault::Truncated => edit(&mut record, |value| value[..value.len() / 2].to_string()),
        Fault::NullKey => record.key = None,
        Fault::MissingField => edit(&mut record, |value| without(value, "queue_id")),
        Fault::TimeInWords => edit(&mut record, |value| {
            let times = ["created_at", "queued_at", "since", "sent_at"];
            times.iter().fold(value.to_string(), |value, time| replaced(&value, time, "\"just now\""))
        }),
        Fault::QueueInWords => edit(&mut record, |value| replaced(value, "queue_id", "\"the long one\"")),
        Fault::QuotedNumber => edit(&mut record, |value| replaced(value, "queue_id", "\"101\"")),
        Fault::MissingInAfter => edit(&mut record, |value| match value.split_once(",\"after\":") {
            Some((before, after)) => format!("{before},\"after\":{}", without_watched(after)),
            // Canal and Maxwell complete the before image from the only one there is.
            None => without_watched(value),
        }),
        Fault::Tombstone => record.value = None,
        Fault::UnknownTable => edit(&mut record, |value| {
            value.replace(&format!("\"table\":\"{table}\""), "\"table\":\"audit_log\"")
        }),
        Fault::RegistryFramed => record.value = Some(b"\0\0\0\0\x07\x02\x0etickets\x06web".to_vec()),
    }
    record
}

/// A good insert of `bytes` and more: a column that nobody declared holds a long text.
pub fn large(records: &mut Records, dice: &mut Dice, at: i64, bytes: usize) -> Record {
    let (_, after) = stranger::rows(records.world(), dice, FIRST_ID - 1, at, "ticket");
    let mut record =
        records.render_alone(&RowChange { at, before: None, after: Some(after), correction: false });
    record.topic = topic("ticket");
    edit(&mut record, |value| {
        value.replacen("\"status\":", &format!("\"note\":\"{}\",\"status\":", "x".repeat(bytes)), 1)
    });
    record
}

fn edit(record: &mut Record, change: impl FnOnce(&str) -> String) {
    if let Some(value) = &record.value {
        record.value = Some(change(&String::from_utf8_lossy(value)).into_bytes());
    }
}

/// Without what says that something happened.
fn without_watched(json: &str) -> String {
    let watched = ["status", "direction", "state", "rated_at"];
    watched.iter().fold(json.to_string(), |json, field| without(&json, field))
}

/// Every value of `field` replaced.
fn replaced(json: &str, field: &str, with: &str) -> String {
    let name = format!("\"{field}\":");
    let mut parts = json.split(&name);
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let end = part.find([',', '}']).unwrap_or(part.len());
        out.push_str(&name);
        out.push_str(with);
        out.push_str(&part[end..]);
    }
    out
}

/// Every `field` left out, with the comma after it.
fn without(json: &str, field: &str) -> String {
    let name = format!("\"{field}\":");
    let mut parts = json.split(&name);
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let end = part.find(',').map_or(part.len(), |comma| comma + 1);
        out.push_str(&part[end..]);
    }
    out
}
