//! A source of which too much cannot be read holds, says why, and loses nothing.

mod common;

use anyhow::Result;
use common::{
    CALL, Dir, LIMIT, TICKET, World, configuration, key, send, send_tickets, wait_created, wait_dead,
    wait_number,
};
use weir_e2e::clickhouse::ClickHouse;
use weir_e2e::host::{Api, Host};
use weir_e2e::kafka::Kafka;
use weir_e2e::{net, paths, wait};
use weir_ingest::{Producer, Properties};

/// Waits until `/readyz` says that sources hold, and gives the reason.
fn wait_held(api: &Api) -> Result<String> {
    wait::until("the source holds", LIMIT, || {
        let (code, body) = api.ready().map_err(|e| format!("{e:#}"))?;
        if code == 503 && body.contains("\"held\"") { Ok(Some(body)) } else { Err(body) }
    })
}

fn send_bad(producer: &Producer, count: i64) -> Result<()> {
    for id in 0..count {
        send(producer, TICKET, Some(key(id).as_bytes()), Some(b"this is no JSON"))?;
    }
    Ok(())
}

/// The next offset of all partitions of a topic.
fn next_of(api: &Api, topic: &str) -> Result<i64> {
    Ok(api.status()?.next_offsets().iter().filter(|((t, _), _)| t == topic).map(|(_, next)| next).sum())
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_source_holds_over_a_kill_while_others_go_on_until_its_dead_are_accepted() -> Result<()> {
    let mut world = World::started("holds")?;
    let producer = world.producer()?;
    send_tickets(&producer, 1..121)?;
    world.wait_read(120)?;
    send_bad(&producer, 300)?;
    let body = wait_held(&world.host.api())?;
    for part in ["source ticket holds", "not-json", TICKET, "max_dead_share", "weir source resume ticket"] {
        assert!(body.contains(part), "{part} is missing: {body}");
    }
    let held_at = next_of(&world.host.api(), TICKET)?;
    assert!((120..320).contains(&held_at), "a hundred bad ones are looked at before it holds: {held_at}");

    world.host.kill();
    world.host.launch()?;
    wait_held(&world.host.api())?;
    for _ in 0..5 {
        send(&producer, CALL, Some(b"{\"id\":1}"), None)?;
    }
    wait::until("the other source goes on", LIMIT, || {
        let next = next_of(&world.host.api(), CALL).map_err(|e| format!("{e:#}"))?;
        if next == 5 { Ok(Some(())) } else { Err(format!("it is at {next}")) }
    })?;
    assert_eq!(next_of(&world.host.api(), TICKET)?, held_at);

    let (listed, text) = world.host.ask("source", &["list"])?;
    assert!(listed && text.contains("source ticket holds"), "{text}");
    let (refused, text) = world.host.ask("source", &["resume", "call_record"])?;
    assert!(!refused && text.contains("does not hold"), "{text}");
    let (resumed, text) = world.host.ask("source", &["resume", "ticket", "--accept-dead"])?;
    assert!(resumed, "{text}");
    send_tickets(&producer, 121..151)?;
    world.wait_read(450 + 5)?;
    wait_created(&world.clickhouse, 150)?;
    world.host.wait_ready()?;
    wait_dead(&world.clickhouse, 300)?;
    world.host.stop()
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn with_a_mended_declaration_the_batch_is_read_and_nothing_is_a_dead_letter() -> Result<()> {
    let mut world = World::new("mended", |config| {
        config.source("ticket")?.insert("primary_key".into(), vec!["queue_id".to_string()].into());
        Ok(())
    })?;
    world.host.start()?;
    let producer = world.producer()?;
    // In one piece, so that they are read together and none is looked at alone.
    let mut values = Vec::new();
    for id in 1..201 {
        values.push((key(id), common::insert(id)));
    }
    for (id, (key, value)) in values.iter().enumerate() {
        producer.send(TICKET, Some(0), Some(key.as_bytes()), Some(value.as_bytes()), &[], id as u64)?;
    }
    producer.flush(LIMIT)?;
    let body = wait_held(&world.host.api())?;
    assert!(body.contains("(key)"), "{body}");
    let taken = next_of(&world.host.api(), TICKET)?;

    world.host.kill();
    world.config.source("ticket")?.insert("primary_key".into(), vec!["id".to_string()].into());
    world.host = Host::new(&world.bins, &world.dir.0, net::free_port()?, &world.config)?;
    world.host.start()?;
    wait_created(&world.clickhouse, 200 - taken)?;
    assert_eq!(next_of(&world.host.api(), TICKET)?, 200);
    world.host.stop()
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn deleted_records_stop_their_source_until_the_gap_is_accepted_and_noted() -> Result<()> {
    let dir = Dir::new("truncated")?;
    let bins = paths::bins_from_env()?;
    let clickhouse = ClickHouse::started(&bins, &paths::from_env(paths::CHDB_LIB)?, &dir.0)?;
    let kafka = Kafka::started(&paths::from_env(paths::KAFKA)?, &dir.0)?;
    let mut config = configuration(&kafka.bootstrap())?;
    config.keep_sources(&["ticket", "call_record"]);
    config.clickhouse(&clickhouse.server());
    let mut host = Host::new(&bins, &dir.0, net::free_port()?, &config)?;
    let producer = common::producer(&kafka.bootstrap())?;
    send_tickets(&producer, 1..21)?;
    send(&producer, CALL, Some(b"{\"id\":1}"), None)?;
    host.start()?;
    wait_created(&clickhouse, 20)?;
    host.kill();
    send_tickets(&producer, 21..41)?;
    let properties: Properties = [("bootstrap.servers".to_string(), kafka.bootstrap())].into();
    weir_ingest::delete_records(&properties, TICKET, 0, 30, LIMIT)?;

    host.launch()?;
    let api = host.api();
    let body = wait::until("the source stops", LIMIT, || {
        let (code, body) = api.ready().map_err(|e| format!("{e:#}"))?;
        if code == 503 && body.contains("\"stopped\"") { Ok(Some(body)) } else { Err(body) }
    })?;
    for part in
        ["source ticket has stopped", "below 30 were deleted", "weir source restart ticket --from earliest"]
    {
        assert!(body.contains(part), "{part} is missing: {body}");
    }
    send(&producer, CALL, Some(b"{\"id\":2}"), None)?;
    wait::until("the other source goes on", LIMIT, || {
        let next = next_of(&api, CALL).map_err(|e| format!("{e:#}"))?;
        if next == 2 { Ok(Some(())) } else { Err(format!("it is at {next}")) }
    })?;
    assert_eq!(next_of(&api, TICKET)?, 20, "never a silent jump");
    let (restarted, text) = host.ask("source", &["restart", "ticket", "--from", "earliest"])?;
    assert!(restarted, "{text}");
    wait_created(&clickhouse, 30)?;
    host.wait_ready()?;
    // An epoch's tables are inserted one after the other.
    let wanted = [["20".to_string(), "30".to_string()]];
    wait::until("the gap is noted", LIMIT, || {
        let select = "SELECT toString(g.3), toString(g.4) FROM weir.epochs FINAL ARRAY JOIN gaps AS g";
        let gaps = clickhouse.server().rows(select).map_err(|e| format!("{e:#}"))?;
        if gaps == wanted { Ok(Some(())) } else { Err(format!("there is {gaps:?}")) }
    })?;
    let audited = "SELECT toInt64(count()) FROM weir.audit FINAL WHERE action = 'gap' AND subject LIKE 'svc.service.ticket 0'";
    wait_number(&clickhouse, "audited gap", audited, 1)?;
    host.stop()
}
