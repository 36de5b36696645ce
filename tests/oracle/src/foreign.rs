//! What a record says that Canal or Maxwell wrote; a record shows by its members who that was. Records
//! of one row are known; times are those of a clock in UTC.

use crate::debezium::{self, Change, Meaning, Op, Origin};
use crate::fields::{self, TABLES, Table, Type};
use crate::journal::Record;
use serde_json::{Map, Value, json};

/// Reads a record of any connector.
pub fn read(record: &Record) -> Meaning {
    let Some(text) = &record.value else { return Meaning::Skipped };
    let Ok(json) = serde_json::from_str::<Value>(text) else { return Meaning::Dead };
    let value = match &json {
        Value::Object(value) if !value.contains_key("op") && value.contains_key("type") => value,
        _ => return debezium::read(record, &json),
    };
    let kind = value["type"].as_str().unwrap_or_default().to_lowercase();
    if value.get("isDdl") == Some(&json!(true)) || kind.starts_with("table-") {
        return Meaning::Skipped;
    }
    if kind == "bootstrap-start" || kind == "bootstrap-complete" {
        return Meaning::Skipped;
    }
    let name = value.get("table").and_then(Value::as_str).unwrap_or_default();
    let declared = record.topic.rsplit('.').next().unwrap_or_default();
    let Some(table) = TABLES.iter().find(|t| t.name == name && name == declared) else {
        return Meaning::Skipped;
    };
    match change(value, &kind, table) {
        Some(change) => Meaning::Change(Box::new(change)),
        None => Meaning::Dead,
    }
}

fn change(value: &Map<String, Value>, kind: &str, table: &'static Table) -> Option<Change> {
    let is_canal = value.contains_key("isDdl");
    // Canal's one row stands in a list.
    let image = |name: &str| match value.get(name)? {
        Value::Array(rows) if is_canal && rows.len() == 1 => rows[0].as_object().cloned(),
        Value::Object(row) if !is_canal => Some(row.clone()),
        _ => None,
    };
    let key = table.columns[0].name;
    let data = image("data").filter(|row| row.get(key).is_some_and(|id| !id.is_null()))?;
    let (op, before, after) = match kind {
        "insert" => (Op::Insert, None, Some(data)),
        "bootstrap-insert" => (Op::Read, None, Some(data)),
        "delete" => (Op::Delete, Some(data), None),
        "update" => {
            // What is not among the old values is as it was.
            let mut before = data.clone();
            before.extend(image("old")?);
            let op = if before.get(key) == data.get(key) { Op::Update } else { Op::Rekey };
            (op, Some(before), Some(data))
        }
        _ => return None,
    };
    let row = |row: Option<Map<String, Value>>| {
        row.map(|row| fields::row(&Value::Object(with_times(row, table)), table))
    };
    let origin = if op == Op::Read { None } else { origin(value) };
    let (before, after) = (row(before), row(after));
    // Where the key was another, both name a row.
    let named = after.iter().chain(before.iter().filter(|_| op != Op::Update));
    if !named.into_iter().all(fields::is_named) {
        return None;
    }
    Some(Change { table, op, before, after, origin })
}

/// Times as milliseconds; what is none becomes a text that fits no time.
fn with_times(mut row: Map<String, Value>, table: &Table) -> Map<String, Value> {
    for column in table.columns.iter().filter(|c| c.ty == Type::TimeMs) {
        if let Some(value) = row.get_mut(column.name).filter(|value| !value.is_null()) {
            *value = value.as_str().and_then(milliseconds).map_or(json!("no time"), |ms| json!(ms));
        }
    }
    row
}

/// `2026-11-23 08:00:00.123`
fn milliseconds(text: &str) -> Option<i64> {
    let civil = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
    Some(civil.and_utc().timestamp_millis())
}

/// Maxwell: the statement's position and the row's number, or the commit, which comes last.
fn origin(value: &Map<String, Value>) -> Option<Origin> {
    let row = match value.get("commit") {
        Some(Value::Bool(true)) => u64::from(u32::MAX),
        _ => value.get("xoffset")?.as_u64()?,
    };
    let (file, pos) = value.get("position")?.as_str()?.split_once(':')?;
    let file = file.rsplit('.').next()?.parse().ok()?;
    Some(Origin {
        server: value.get("server_id").and_then(Value::as_u64).unwrap_or(0),
        position: (file, pos.parse().ok()?, row, 1),
        source_ms: value.get("ts").and_then(Value::as_i64).unwrap_or(0) * 1_000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Cell, Row, TICKET};

    fn meaning(topic: &str, value: Value) -> Meaning {
        let topic = format!("svc.service.{topic}");
        let value = Some(value.to_string());
        read(&Record { topic, partition: 0, offset: 0, key: None, value, headers: Vec::new() })
    }

    fn changed(value: Value) -> Change {
        match meaning("ticket", value) {
            Meaning::Change(change) => *change,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_among_the_old_values_is_as_it_was() {
        let row = json!({ "id": "7", "status": "open", "updated_at": "2026-11-23 08:00:00.123" });
        let canal = json!({ "type": "UPDATE", "isDdl": false, "table": "ticket", "data": [row],
                            "old": [{ "status": "new" }] });
        let change = changed(canal);
        assert_eq!((change.op, change.origin), (Op::Update, None));
        let cell = |row: &Option<Row>, column: &str| row.as_ref().map(|row| row[TICKET.place(column)]);
        assert_eq!(cell(&change.before, "id"), Some(Cell::Int(7)));
        assert_eq!(cell(&change.before, "status"), Some(Cell::Text("new")));
        assert_eq!(cell(&change.before, "updated_at"), Some(Cell::Int(1_795_420_800_123_000)));
        assert_eq!(cell(&change.before, "channel"), Some(Cell::Unfit));
        assert_eq!(cell(&change.after, "status"), Some(Cell::Text("open")));
    }

    #[test]
    fn a_changed_key_is_no_update_and_a_bootstrap_s_row_is_read() {
        let maxwell = |kind: &str| {
            json!({ "type": kind, "table": "ticket", "data": { "id": 42 }, "old": { "id": 41 }, "ts": 5,
                    "xoffset": 3, "position": "binlog.000002:99" })
        };
        let change = changed(maxwell("update"));
        assert_eq!(change.op, Op::Rekey);
        assert_eq!(change.origin, Some(Origin { server: 0, position: (2, 99, 3, 1), source_ms: 5_000 }));
        assert_eq!(changed(maxwell("bootstrap-insert")).op, Op::Read);
        assert!(changed(maxwell("bootstrap-insert")).origin.is_none());
    }

    #[test]
    fn what_is_no_row_is_skipped_or_dead() {
        let of = |value: Value| match meaning("ticket", value) {
            Meaning::Skipped => "skipped",
            Meaning::Dead => "dead",
            Meaning::Change(_) => "change",
        };
        assert_eq!(of(json!({ "type": "ALTER", "isDdl": true, "table": "ticket" })), "skipped");
        assert_eq!(of(json!({ "type": "bootstrap-start", "table": "ticket", "data": {} })), "skipped");
        assert_eq!(of(json!({ "type": "insert", "table": "audit_log", "data": { "id": 1 } })), "skipped");
        assert_eq!(of(json!({ "type": "insert", "table": "ticket", "data": { "id": null } })), "dead");
        assert_eq!(of(json!({ "type": "insert", "table": "ticket", "data": { "id": "one" } })), "dead");
        assert_eq!(of(json!({ "type": "insert", "table": "ticket", "data": [{ "id": 1 }] })), "dead");
        assert_eq!(of(json!({ "type": "update", "table": "ticket", "data": { "id": 1 } })), "dead");
        assert_eq!(of(json!({ "hello": "world" })), "dead");
        assert_eq!(of(json!([1, 2, 3])), "dead");
    }
}
