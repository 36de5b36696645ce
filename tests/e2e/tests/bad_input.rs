//! Records that no good connector writes: each is excluded, skipped or dead-lettered with its reason,
//! and the stream goes on.

mod common;

use anyhow::Result;
use common::{TICKET, World, insert, insert_with, key, send, send_tickets, ticket, wait_created, wait_dead};
use std::collections::BTreeMap;

/// (what, key, value, code of its dead letter).
type Bad = (&'static str, Option<String>, Option<Vec<u8>>, &'static str);

/// Records that are dead letters of no metric: nothing in them can be read.
fn unreadable() -> Vec<Bad> {
    let cut = insert(900).into_bytes();
    let cut = cut[..cut.len() / 2].to_vec();
    let of = |id: i64, value: &[u8]| (Some(key(id)), Some(value.to_vec()));
    let mut records = Vec::new();
    let mut add = |what, (key, value): (Option<String>, Option<Vec<u8>>), code| {
        records.push((what, key, value, code));
    };
    add("no JSON at all", of(901, b"this is no JSON"), "not-json");
    add("JSON cut off", of(902, &cut), "not-json");
    add("an array", of(903, b"[1,2,3]"), "wrong-shape");
    add("another shape", of(904, br#"{"hello":"world"}"#), "wrong-shape");
    let unnamed = insert(906).replace("\"id\":906", "\"id\":\"abc\"");
    add("a primary key that is no number", of(906, unnamed.as_bytes()), "key");
    add("Avro with a registry header", of(905, b"\0\0\0\0\x07\x02\x0eweb"), "registry-framed");
    records
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn each_bad_record_is_told_with_its_reason_and_the_stream_goes_on() -> Result<()> {
    let mut world = World::new("bad-input", |config| {
        // More bad ones than good ones come here on purpose.
        config.source("ticket")?.insert("max_dead_share".into(), 1.0.into());
        Ok(())
    })?;
    world.host.start()?;
    let producer = world.producer()?;
    send_tickets(&producer, 1..6)?;
    let dead = unreadable();
    for (_, key, value, _) in &dead {
        send(&producer, TICKET, key.as_ref().map(String::as_bytes), value.as_deref())?;
    }
    send(&producer, TICKET, Some(b"{\"id\":1}"), None)?;
    let elsewhere = insert(910).replace("\"table\":\"ticket\"", "\"table\":\"audit_log\"");
    send(&producer, TICKET, Some(key(910).as_bytes()), Some(elsewhere.as_bytes()))?;
    send(&producer, TICKET, Some(b"{}"), Some(ddl().as_bytes()))?;
    send_tickets(&producer, 6..11)?;

    let sent = 10 + dead.len() as i64 + 3;
    world.wait_read(sent)?;
    wait_created(&world.clickhouse, 10)?;
    wait_dead(&world.clickhouse, dead.len() as i64)?;
    let status = world.host.api().status()?;
    assert_eq!(status.count("read"), sent);
    assert_eq!(status.count("dead"), dead.len() as i64);
    assert_eq!(status.count("skipped"), 3, "tombstone, unknown table, DDL: {}", status.0);
    assert_eq!(status.count("applied"), 10);

    let letters = world.clickhouse.server().rows(
        "SELECT toString(offset), code, reason FROM weir.dead_letters FINAL WHERE metric = '' ORDER BY offset",
    )?;
    let by_offset: BTreeMap<String, (String, String)> =
        letters.into_iter().map(|row| (row[0].clone(), (row[1].clone(), row[2].clone()))).collect();
    for (n, (what, _, _, code)) in dead.iter().enumerate() {
        let (told, reason) = &by_offset[&(5 + n).to_string()];
        assert_eq!(told, code, "{what}");
        assert!(!reason.is_empty(), "{what} has no reason");
    }
    assert_eq!(by_offset.len(), dead.len());
    world.host.stop()
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_field_that_does_not_fit_excludes_the_row_only_where_it_is_asked_for() -> Result<()> {
    let world = World::started("bad-field")?;
    let producer = world.producer()?;
    send_tickets(&producer, 1..4)?;
    let words = ticket(920).replace("\"queue_id\":101", "\"queue_id\":\"the long one\"");
    send(&producer, TICKET, Some(key(920).as_bytes()), Some(insert_with(920, &words).as_bytes()))?;
    let missing = ticket(921).replace("\"queue_id\":101,", "");
    send(&producer, TICKET, Some(key(921).as_bytes()), Some(insert_with(921, &missing).as_bytes()))?;
    let quoted = ticket(922).replace("\"queue_id\":101", "\"queue_id\":\"101\"");
    send(&producer, TICKET, Some(key(922).as_bytes()), Some(insert_with(922, &quoted).as_bytes()))?;
    let unasked = ticket(923).replace("\"customer_id\":7", "\"customer_id\":\"nobody\"");
    send(&producer, TICKET, Some(key(923).as_bytes()), Some(insert_with(923, &unasked).as_bytes()))?;
    world.wait_read(7)?;
    // 3 good ones, the number in quotes, and the one whose bad field no metric asks for.
    wait_created(&world.clickhouse, 5)?;
    let status = world.host.api().status()?;
    assert_eq!((status.count("applied"), status.count("dead")), (7, 0), "{}", status.0);
    Ok(())
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_record_of_5_mb_and_one_without_a_key_do_not_stop_the_stream() -> Result<()> {
    let world = World::started("large-record")?;
    let producer = world.producer()?;
    let note = format!("\"note\":\"{}\",\"status\":", "x".repeat(5 << 20));
    let large = insert_with(930, &ticket(930).replace("\"status\":", &note));
    send_tickets(&producer, 1..2)?;
    // The mock broker keeps 5 MB a partition, so the large one goes to a partition of its own.
    producer.send(TICKET, Some(1), Some(key(930).as_bytes()), Some(large.as_bytes()), &[], 0)?;
    producer.flush(common::LIMIT)?;
    send(&producer, TICKET, None, Some(insert(931).as_bytes()))?;
    send_tickets(&producer, 2..4)?;
    world.wait_read(5)?;
    let status = world.host.api().status()?;
    let (applied, dead) = (status.count("applied"), status.count("dead"));
    assert_eq!(applied + dead, 5, "{}", status.0);
    assert!(applied >= 4, "the good ones and the large one are applied: {}", status.0);
    wait_created(&world.clickhouse, applied)
}

fn ddl() -> String {
    r#"{"source":{"connector":"mariadb","name":"svc","ts_ms":1,"snapshot":"false","db":"service","table":"ticket","server_id":1,"file":"binlog.000001","pos":4,"row":0},"ts_ms":1,"databaseName":"service","schemaName":null,"ddl":"ALTER TABLE ticket ADD COLUMN note TEXT","tableChanges":[]}"#.to_owned()
}
