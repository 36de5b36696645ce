//! What a record says: Debezium JSON, with or without the schema envelope.

use crate::fields::{self, Row, TABLES, Table};
use crate::journal::Record;
use serde_json::Value;

/// A row change.
#[derive(Clone, Debug)]
pub struct Change {
    pub table: &'static Table,
    pub op: Op,
    pub before: Option<Row>,
    pub after: Option<Row>,
    /// None for snapshot reads, which have no place of their own in the log.
    pub origin: Option<Origin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Insert,
    /// The insert half of a changed primary key: no birth.
    RekeyInsert,
    Update,
    /// An update that changed the primary key, where a format tells it as one change: no event.
    Rekey,
    Delete,
    /// Read by a snapshot.
    Read,
    Truncate,
}

/// Place of a change in the upstream log: the server, and (file, pos, row, delete before insert).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub server: u64,
    pub position: (u64, u64, u64, u8),
    pub source_ms: i64,
}

/// What becomes of a record before anybody looks at its rows.
#[derive(Clone, Debug)]
pub enum Meaning {
    Change(Box<Change>),
    /// Not a row of a table that is declared on the topic, as expected.
    Skipped,
    /// Cannot be read.
    Dead,
}

/// A record whose value is this JSON.
pub fn read(record: &Record, value: &Value) -> Meaning {
    let payload = payload(value);
    if payload.is_null() {
        return Meaning::Skipped;
    }
    if !payload.is_object() {
        return Meaning::Dead;
    }
    if payload.get("op").is_none() {
        return if is_control(payload) { Meaning::Skipped } else { Meaning::Dead };
    }
    let Some(source) = payload.get("source").filter(|s| s.is_object()) else { return Meaning::Dead };
    let name = source.get("table").and_then(Value::as_str).unwrap_or_default();
    // A topic carries the changes of the table that its name ends with.
    let declared = record.topic.rsplit('.').next().unwrap_or_default();
    let Some(table) = TABLES.iter().find(|t| t.name == name && name == declared) else {
        return Meaning::Skipped;
    };
    match change(record, payload, source, table) {
        Some(change) => Meaning::Change(Box::new(change)),
        None => Meaning::Dead,
    }
}

fn change(record: &Record, payload: &Value, source: &Value, table: &'static Table) -> Option<Change> {
    let image = |name: &str| match payload.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(image) if image.is_object() => Some(Some(image)),
        Some(_) => None,
    };
    let (before, after) = (image("before")?, image("after")?);
    let rekeyed = record.headers.iter().any(|(name, _)| name == "__debezium.oldkey");
    let op = match (payload.get("op")?.as_str()?, before.is_some(), after.is_some()) {
        ("c", false, true) if rekeyed => Op::RekeyInsert,
        ("c", false, true) => Op::Insert,
        ("u", _, true) => Op::Update,
        ("d", true, false) => Op::Delete,
        ("r", false, true) => Op::Read,
        ("t", false, false) => Op::Truncate,
        _ => return None,
    };
    if op != Op::Truncate && !key_is_usable(record.key.as_deref()?, table) {
        return None;
    }
    let origin = if op == Op::Read { None } else { origin(source, op) };
    let row = |image: Option<&Value>| image.map(|image| fields::row(image, table));
    let (before, after) = (row(before), row(after));
    let named = after.as_ref().or(before.as_ref());
    if named.is_some_and(|row| !fields::is_named(row)) {
        return None;
    }
    Some(Change { table, op, before, after, origin })
}

fn payload(value: &Value) -> &Value {
    match (value.get("schema"), value.get("payload")) {
        (Some(_), Some(payload)) if value.get("op").is_none() => payload,
        _ => value,
    }
}

/// DDL, begin and end of transactions, heartbeats.
fn is_control(payload: &Value) -> bool {
    let status = payload.get("status").and_then(Value::as_str);
    let mark = matches!(status, Some("BEGIN" | "END")) && payload.get("id").is_some();
    let beat = payload.as_object().is_some_and(|o| o.len() == 1 && o.contains_key("ts_ms"));
    payload.get("ddl").is_some() || mark || beat
}

fn key_is_usable(key: &str, table: &Table) -> bool {
    let Ok(key) = serde_json::from_str::<Value>(key) else { return false };
    payload(&key).get(table.columns[0].name).is_some_and(|id| !id.is_null())
}

fn origin(source: &Value, op: Op) -> Option<Origin> {
    let number = |name: &str| source.get(name).and_then(Value::as_u64);
    let file = source.get("file")?.as_str()?.rsplit('.').next()?.parse().ok()?;
    Some(Origin {
        server: number("server_id").unwrap_or(0),
        position: (file, number("pos")?, number("row").unwrap_or(0), u8::from(op != Op::Delete)),
        source_ms: source.get("ts_ms").and_then(Value::as_i64).unwrap_or(0),
    })
}
