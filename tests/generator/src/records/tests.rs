#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const START: i64 = 1_795_500_000_000;

fn records(mischief: Mischief) -> Records {
    Records::new(&Options::new(5, START, 10.0), 4, mischief)
}

fn take(records: &mut Records, changes: usize) -> Vec<Record> {
    (0..changes).flat_map(|_| records.next_batch().to_vec()).collect()
}

fn parse(record: &Record) -> Value {
    serde_json::from_slice(record.value.as_ref().unwrap()).unwrap()
}

/// The shape of a value: names in order, with the kind of each scalar left out.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), shape(v))).collect(),
        _ => Value::Null,
    }
}

/// As a connector wrote it: names and order of a ticket's update.
const SAMPLE: &str = r#"{"before":{"id":3,"queue_id":10,"channel":"app","priority":3,"customer_id":503,"assignee_id":null,"status":"new","created_at":1795424400001,"assigned_at":null,"first_reply_at":null,"solved_at":null,"closed_at":null,"reopen_count":0,"reply_count":0,"escalated":0,"first_reply_due_at":1795428000000,"resolve_due_at":1795510800000,"updated_at":1795424400001},"after":{"id":3,"queue_id":10,"channel":"app","priority":3,"customer_id":503,"assignee_id":71,"status":"open","created_at":1795424400001,"assigned_at":1795424700250,"first_reply_at":null,"solved_at":null,"closed_at":null,"reopen_count":0,"reply_count":0,"escalated":0,"first_reply_due_at":1795428000000,"resolve_due_at":1795510800000,"updated_at":1795424700250},"source":{"version":"3.5.0.Final","connector":"mariadb","name":"flat","ts_ms":1795465991000,"snapshot":"false","db":"service","sequence":null,"ts_us":1795465991000000,"ts_ns":1795465991000000000,"table":"ticket","server_id":1,"gtid":"0-1-17","file":"binlog.000001","pos":8439,"row":0,"thread":null,"query":null},"transaction":{"id":"0-1-17","total_order":1,"data_collection_order":1},"op":"u","ts_ms":1795465991628,"ts_us":1795465991628767,"ts_ns":1795465991628767880}"#;

#[test]
fn an_update_has_the_names_and_the_order_of_a_real_connectors() {
    let sample: Value = serde_json::from_str(SAMPLE).unwrap();
    let records = take(&mut records(Mischief::default()), 2_000);
    let update = records
        .iter()
        .find(|r| r.topic == "svc.service.ticket" && r.value.is_some() && parse(r)["op"] == "u")
        .unwrap();
    // `preserve_order` keeps the order of names, so the texts compare it too.
    assert_eq!(shape(&parse(update)).to_string(), shape(&sample).to_string());
}

#[test]
fn updates_have_about_one_kilobyte() {
    let records = take(&mut records(Mischief::default()), 5_000);
    let sizes: Vec<usize> = records
        .iter()
        .filter(|r| r.value.as_ref().is_some_and(|v| v.windows(8).any(|w| w == b"\"op\":\"u\"")))
        .map(|r| r.value.as_ref().unwrap().len())
        .collect();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    assert!((1_000..1_600).contains(&mean), "{mean} bytes");
}

#[test]
fn positions_grow_over_all_partitions_and_a_key_keeps_its_partition() {
    let mut last = (String::new(), 0, 0, "");
    let mut homes = BTreeMap::new();
    for record in take(&mut records(Mischief::default()), 20_000) {
        let home = homes.entry((record.topic, record.key.clone())).or_insert(record.partition);
        assert_eq!(*home, record.partition);
        if record.value.is_none() {
            continue;
        }
        let value = parse(&record);
        let source = &value["source"];
        let rank = if value["op"] == "d" { "1" } else { "2" };
        let at = (
            source["file"].as_str().unwrap().to_string(),
            source["pos"].as_u64().unwrap(),
            source["row"].as_u64().unwrap(),
            rank,
        );
        assert!(at > last, "{at:?} after {last:?}");
        last = at;
        assert_eq!(source["gtid"], value["transaction"]["id"]);
    }
}

#[test]
fn a_delete_is_followed_by_its_tombstone_and_a_changed_key_by_its_insert() {
    let records = take(&mut records(Mischief::default()), 30_000);
    let mut rekeys = 0;
    for (n, record) in records.iter().enumerate() {
        let Some(value) = record.value.as_ref().map(|_| parse(record)) else { continue };
        if value["op"] != "d" {
            continue;
        }
        let tombstone = &records[n + 1];
        assert_eq!((&tombstone.key, tombstone.partition), (&record.key, record.partition));
        assert_eq!(tombstone.value, None);
        if let Some((_, new_key)) = record.headers.iter().find(|h| h.0 == "__debezium.newkey") {
            rekeys += 1;
            let insert = &records[n + 2];
            assert_eq!(insert.key.as_ref(), Some(new_key));
            assert_eq!(insert.headers[0].0, "__debezium.oldkey");
            assert_eq!(parse(insert)["source"]["pos"], value["source"]["pos"]);
        }
    }
    assert!(rekeys > 0);
}

#[test]
fn the_snapshot_reads_the_standing_rows_once() {
    let mut records = records(Mischief::default());
    let snapshot = records.snapshot(START);
    let keys: BTreeSet<_> = snapshot.iter().map(|r| (r.topic, r.key.clone())).collect();
    assert_eq!(keys.len(), snapshot.len());
    assert!(snapshot.len() > 1_000, "{} rows", snapshot.len());
    let first = parse(&snapshot[0]);
    assert_eq!((first["op"].as_str(), first["source"]["snapshot"].as_str()), (Some("r"), Some("first")));
    assert_eq!(first["source"]["server_id"], 0);
    assert_eq!(parse(snapshot.last().unwrap())["source"]["snapshot"], "last");
}

/// All faults on all topics.
const ALL_BAD: u64 = 65;

#[test]
fn bad_records_come_beside_the_same_good_ones() {
    let keys = |records: &[Record]| -> Vec<_> {
        let good = |r: &&Record| !r.headers.iter().any(|(name, _)| *name == bad::INJECTED);
        records.iter().filter(good).map(|r| (r.at, r.topic, r.key.clone())).collect()
    };
    let good = take(&mut records(Mischief::default()), 2_000);
    let with_bad = take(&mut records(Mischief { bad: ALL_BAD, ..Mischief::default() }), 2_000);
    assert_eq!(with_bad.len(), good.len() + ALL_BAD as usize);
    assert_eq!(keys(&with_bad), keys(&good));
    let unreadable = with_bad
        .iter()
        .filter_map(|r| r.value.as_ref())
        .filter(|v| serde_json::from_slice::<Value>(v).is_err());
    assert_eq!(unreadable.count(), 15, "no JSON, cut off, framed: of each topic one");
    assert_eq!(with_bad.iter().filter(|r| r.key.is_none()).count(), 5);
}

#[test]
fn a_bad_record_differs_from_a_good_one_in_just_what_its_fault_says() {
    let mut records = records(Mischief::default());
    for (number, table) in crate::stranger::TABLES.iter().enumerate() {
        let mut of = |fault: bad::Fault| {
            let fault = bad::FAULTS.iter().position(|f| *f == fault).unwrap() as u64;
            let number = fault * crate::stranger::TABLES.len() as u64 + number as u64;
            bad::record(&mut records, &mut Dice::new(number), number, START)
        };
        let missing = parse(&of(bad::Fault::MissingField));
        assert_eq!(missing["source"]["table"], *table);
        assert!(missing["after"].get("queue_id").is_none() && missing["after"].get("updated_at").is_some());
        let in_words = parse(&of(bad::Fault::TimeInWords));
        assert!(in_words["after"].as_object().unwrap().values().any(|v| v == "just now"), "{in_words}");
        let in_after = parse(&of(bad::Fault::MissingInAfter));
        let columns = |image: &str| in_after[image].as_object().unwrap().len();
        assert!(columns("after") < columns("before"), "{in_after}");
        assert_eq!(parse(&of(bad::Fault::UnknownTable))["source"]["table"], "audit_log");
        assert_eq!(parse(&of(bad::Fault::QuotedNumber))["after"]["queue_id"], "101");
    }
}

#[test]
fn late_records_lie_in_every_reach_of_the_corrections_and_some_far_ahead() {
    const HOUR: i64 = 3_600_000;
    let records = take(&mut records(Mischief { late_every: 10, ..Mischief::default() }), 1_200);
    let is_late =
        |key: &[u8]| [&b"{\"id\":3000"[..], b"{\"agent_id\":3000"].iter().any(|k| key.starts_with(k));
    let late: Vec<&Record> = records.iter().filter(|r| r.key.as_ref().is_some_and(|k| is_late(k))).collect();
    assert_eq!(late.len(), 120);
    let mut reached = BTreeSet::new();
    let (mut inserts, mut say_old) = (0, 0);
    for record in late {
        let value = parse(record);
        let after = &value["after"];
        let times = ["first_reply_at", "queued_at", "since", "rated_at"];
        let time = times.iter().find_map(|name| after[name].as_i64()).unwrap();
        let back = record.at - time;
        let bounds = [-HOUR, 5_000, 2 * HOUR, 6 * HOUR, 48 * HOUR, 192 * HOUR];
        let reach = bounds.iter().filter(|bound| back > **bound).count();
        reached.insert((record.topic, reach));
        inserts += usize::from(value["op"] == "c");
        say_old += usize::from(after["updated_at"].as_i64().unwrap() < record.at);
    }
    for table in crate::stranger::TABLES {
        let of_table: BTreeSet<usize> =
            reached.iter().filter(|(topic, _)| *topic == debezium::topic(table)).map(|r| r.1).collect();
        assert_eq!(of_table, (0..=6).collect(), "{table}: ahead, in time, and too late for more and more");
    }
    assert!((40..80).contains(&inserts) && (40..80).contains(&say_old), "{inserts} {say_old}");
}

#[test]
fn a_bad_record_says_what_must_become_of_it() {
    let fates = |records: Vec<Record>| {
        let mut counts = BTreeMap::new();
        for (_, fate) in records.iter().flat_map(|r| &r.headers).filter(|(name, _)| *name == bad::INJECTED) {
            *counts.entry(String::from_utf8(fate.clone()).unwrap()).or_insert(0) += 1;
        }
        counts
    };
    let counts = fates(take(&mut records(Mischief { bad: ALL_BAD, ..Mischief::default() }), 2_000));
    let expected = [("dead", 30), ("excluded", 20), ("good", 5), ("skipped", 10)];
    assert_eq!(counts, expected.map(|(fate, n)| (fate.to_string(), n)).into());
    assert!(fates(take(&mut records(Mischief::default()), 2_000)).is_empty());
}

#[test]
fn repeated_records_are_the_last_ones_unchanged() {
    let records = take(&mut records(Mischief { repeat_every: 300, ..Mischief::default() }), 300);
    let (first, again) = records.split_at(records.len() - 200);
    assert_eq!(&first[first.len() - 200..], again);
}

#[test]
fn a_journal_line_reads_back_as_the_record() {
    let record = Record {
        at: 0,
        topic: "svc.service.ticket",
        partition: 3,
        key: Some(b"{\"id\":1}".to_vec()),
        value: Some(b"\0\x01 \"quoted\" back\\slash \xc3\xbc".to_vec()),
        headers: vec![("a", b"1".to_vec()), ("b", b"2".to_vec())],
        in_string: false,
    };
    let mut line = Vec::new();
    crate::journal::line(&mut line, &record, 12);
    let read: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(read["offset"], 12);
    assert_eq!(read["key"].as_str().unwrap().as_bytes(), record.key.unwrap());
    assert_eq!(read["value"].as_str().unwrap().as_bytes(), record.value.unwrap());
    assert_eq!(read["headers"], serde_json::json!([["a", "1"], ["b", "2"]]));
    line.clear();
    crate::journal::line(&mut line, &Record { topic: "t", ..Record::default() }, 0);
    let read: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((&read["key"], &read["value"]), (&Value::Null, &Value::Null));
}

#[test]
fn the_same_arguments_give_the_same_bytes_and_another_seed_others() {
    for writer in [Writer::Debezium, Writer::Canal, Writer::Maxwell] {
        let bytes = |seed: u64| {
            let mischief = Mischief { bad: ALL_BAD, repeat_every: 500, large: false, late_every: 30 };
            let mut records = Records::new(&Options::new(seed, START, 10.0), 4, mischief).written_by(writer);
            let mut bytes = Vec::new();
            for record in records.snapshot(START).iter().chain(&take(&mut records, 3_000)) {
                crate::journal::line(&mut bytes, record, record.at);
            }
            bytes
        };
        assert!(bytes(5) == bytes(5), "{writer:?}");
        assert!(bytes(5) != bytes(6), "{writer:?}");
    }
}

#[test]
fn records_made_for_the_journal_give_the_same_lines() {
    let mischief = Mischief { bad: ALL_BAD, repeat_every: 500, large: true, late_every: 30 };
    let lines = |mut records: Records| {
        let mut lines = Vec::new();
        for record in take(&mut records, 20_000) {
            crate::journal::line(&mut lines, &record, 0);
        }
        lines
    };
    assert!(lines(records(mischief)) == lines(records(mischief).for_journal()));
}

/// What a real Canal and a real Maxwell wrote, without the types that Canal adds.
const CANAL_SAMPLE: &str = r#"{"data":[{"id":"40","queue_id":"10","channel":"app","priority":"3","customer_id":"503","assignee_id":"71","status":"open","created_at":"2026-11-23 09:00:00.001","assigned_at":"2026-11-23 09:05:00.250","first_reply_at":null,"solved_at":null,"closed_at":null,"reopen_count":"0","reply_count":"0","escalated":"0","first_reply_due_at":"2026-11-23 10:00:00.000","resolve_due_at":null,"updated_at":"2026-11-23 09:05:00.250"}],"database":"service","es":1795467042000,"gtid":"","id":1,"isDdl":false,"old":[{}],"pkNames":["id"],"sql":"","table":"ticket","ts":1795467043388,"type":"UPDATE"}"#;
const MAXWELL_SAMPLE: &str = r#"{"database":"service","table":"ticket","type":"update","ts":1795467121,"xid":157,"xoffset":0,"position":"binlog.000003:33371","data":{"id":40,"queue_id":10,"channel":"app","priority":3,"customer_id":503,"assignee_id":71,"status":"solved","created_at":"2026-11-23 09:00:00.001","assigned_at":"2026-11-23 09:05:00.250","first_reply_at":null,"solved_at":"2026-11-23 09:30:00.500","closed_at":null,"reopen_count":0,"reply_count":0,"escalated":0,"first_reply_due_at":"2026-11-23 10:00:00.000","resolve_due_at":null,"updated_at":"2026-11-23 09:30:00.500"},"old":{}}"#;

#[test]
fn records_of_canal_and_maxwell_have_the_names_and_the_order_of_real_ones() {
    for (writer, sample, old) in
        [(Writer::Canal, CANAL_SAMPLE, "/old/0"), (Writer::Maxwell, MAXWELL_SAMPLE, "/old")]
    {
        let mut records = records(Mischief::default()).written_by(writer);
        let all = take(&mut records, 2_000);
        let is_update = |v: &Value| v["type"].as_str().unwrap().eq_ignore_ascii_case("update");
        let mut update = all.iter().map(parse).find(|v| v["table"] == "ticket" && is_update(v)).unwrap();
        let changed = update.pointer_mut(old).unwrap();
        assert!(!changed.as_object().unwrap().is_empty());
        // Which columns changed differs from update to update.
        *changed = serde_json::json!({});
        let sample: Value = serde_json::from_str(sample).unwrap();
        assert_eq!(kinds(&update).to_string(), kinds(&sample).to_string(), "{writer:?}");
    }
}

/// As [`shape`], with lists too, and each scalar's kind unless it is null.
fn kinds(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), kinds(v))).collect(),
        Value::Array(items) => items.iter().map(kinds).collect(),
        _ => Value::Null,
    }
}

#[test]
fn every_writer_tells_the_same_life() {
    // Of each change of a row: its table, and how the row is after it.
    let told = |writer: Writer| {
        let mut records = records(Mischief::default()).written_by(writer);
        let mut told = Vec::new();
        for record in take(&mut records, 5_000) {
            let Some(value) = record.value.as_ref().map(|_| parse(&record)) else { continue };
            let row = match writer {
                Writer::Debezium if !value["after"].is_null() => value["after"].clone(),
                // The delete half of a changed key.
                Writer::Debezium if record.headers.iter().any(|h| h.0 == "__debezium.newkey") => continue,
                Writer::Debezium => value["before"].clone(),
                Writer::Canal => value["data"][0].clone(),
                Writer::Maxwell => value["data"].clone(),
            };
            let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_string);
            let names = ["id", "agent_id", "queue_id", "status", "state", "score", "name", "slots_used"];
            told.push(names.map(|name| text(&row[name])));
        }
        told
    };
    let debezium = told(Writer::Debezium);
    assert_eq!(debezium, told(Writer::Canal));
    assert_eq!(debezium, told(Writer::Maxwell));
}

#[test]
fn maxwell_s_places_grow_and_a_row_keeps_its_partition_when_its_key_changes() {
    let mut records = records(Mischief::default()).written_by(Writer::Maxwell);
    let mut last = (String::new(), 0, 0);
    let (mut homes, mut rekeys) = (BTreeMap::new(), 0);
    for record in take(&mut records, 20_000) {
        let value = parse(&record);
        let place = value["position"].as_str().unwrap().split_once(':').unwrap();
        let at = (place.0.to_string(), place.1.parse::<u64>().unwrap(), value["xoffset"].as_u64().unwrap());
        assert!(at > last, "{at:?} after {last:?}");
        last = at;
        let key = if record.topic.ends_with("agent_state") { "agent_id" } else { "id" };
        let (id, before) = (value["data"][key].clone(), value["old"].get(key).cloned());
        assert_eq!(
            *homes.entry((record.topic, id.to_string())).or_insert(record.partition),
            record.partition
        );
        if let Some(before) = before {
            rekeys += 1;
            assert_eq!(
                homes.get(&(record.topic, before.to_string())).copied().unwrap_or(record.partition),
                record.partition
            );
        }
    }
    assert!(rekeys > 0);
}

#[test]
fn every_table_reads_back_from_every_format() {
    for writer in [Writer::Debezium, Writer::Canal, Writer::Maxwell] {
        let options = Options::new(5, START, 10.0);
        let mut life = crate::life::Life::new(&options);
        let mut records = Records::new(&options, 4, Mischief::default()).written_by(writer);
        let mut seen = BTreeSet::new();
        for _ in 0..20_000 {
            let change = life.next_change();
            let record = records.next_batch().last().unwrap().clone();
            let Some(after) = &change.after else { continue };
            let value = parse(&record);
            let (image, topic) = match writer {
                Writer::Debezium => (&value["after"], &value["source"]["table"]),
                Writer::Canal => (&value["data"][0], &value["table"]),
                Writer::Maxwell => (&value["data"], &value["table"]),
            };
            assert_eq!(topic, after.table());
            assert_eq!(record.topic, debezium::topic(after.table()));
            let read = image.as_object().unwrap();
            let wrote = after.cells();
            assert!(read.keys().map(String::as_str).eq(wrote.iter().map(|(name, _)| *name)), "{value}");
            for (name, cell) in wrote {
                let expected = expected(cell, writer);
                assert_eq!(read[name], expected, "{writer:?} {}.{name}", after.table());
            }
            seen.insert(after.table());
        }
        assert_eq!(seen, crate::row::TABLES.into(), "{writer:?}");
    }
}

/// A cell as a writer shows it.
fn expected(cell: crate::row::Cell<'_>, writer: Writer) -> Value {
    use crate::row::Cell;
    match cell {
        Cell::Null => Value::Null,
        Cell::Number(n) if writer == Writer::Canal => n.to_string().into(),
        Cell::Number(n) => n.into(),
        Cell::Time(ms) if writer == Writer::Debezium => ms.into(),
        Cell::Time(ms) => {
            let at = jiff::Timestamp::from_millisecond(ms).unwrap();
            at.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string().into()
        }
        Cell::Text(text) => text.into(),
    }
}

#[test]
fn the_example_declares_every_table_with_its_columns() {
    let config: toml::Table = include_str!("../../../../examples/service/weir.toml").parse().unwrap();
    let sources = config["source"].as_array().unwrap();
    let life = crate::life::Life::new(&Options::new(5, START, 10.0));
    for table in crate::row::TABLES {
        let source = sources.iter().find(|s| s["name"].as_str() == Some(table)).unwrap();
        assert_eq!(source["topics"][0].as_str(), Some(debezium::topic(table)));
        assert_eq!(source["table"].as_str(), Some(table));
        let row = life.standing().iter().find(|row| row.table() == table).unwrap();
        assert_eq!(source["primary_key"][0].as_str(), Some(row.key()));
        let mut declared: Vec<&str> =
            source["columns"].as_table().unwrap().keys().map(String::as_str).collect();
        let mut columns: Vec<&str> = row.cells().into_iter().map(|(name, _)| name).collect();
        declared.sort_unstable();
        columns.sort_unstable();
        assert_eq!(declared, columns, "{table}");
    }
}
