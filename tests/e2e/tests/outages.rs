//! Kafka or ClickHouse away at the start or in the middle: the host waits, says why, and loses nothing.

mod common;

use anyhow::Result;
use common::{Dir, LIMIT, World, configuration, producer, send_tickets, wait_created};
use std::time::Duration;
use weir_e2e::clickhouse::ClickHouse;
use weir_e2e::host::{Api, Host};
use weir_e2e::kafka::Kafka;
use weir_e2e::{net, paths, wait};

/// Waits until the status has this in its conditions: the name of a part, or words of a reason.
fn wait_told(api: &Api, text: &str) -> Result<()> {
    wait::until(&format!("the host tells `{text}`"), LIMIT, || {
        let status = api.get("status").map_err(|e| format!("{e:#}"))?;
        let conditions = status["conditions"].to_string();
        if conditions.contains(text) { Ok(Some(())) } else { Err(status.to_string()) }
    })
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn kafka_may_be_away_at_the_start_and_in_the_middle() -> Result<()> {
    let dir = Dir::new("kafka-away")?;
    let bins = paths::bins_from_env()?;
    let clickhouse = ClickHouse::started(&bins, &paths::from_env(paths::CHDB_LIB)?, &dir.0)?;
    let mut kafka = Kafka::new(&paths::from_env(paths::KAFKA)?, &dir.0)?;
    let mut config = configuration(&kafka.bootstrap())?;
    config.keep_sources(&["ticket", "call_record"]);
    config.clickhouse(&clickhouse.server());
    let mut host = Host::new(&bins, &dir.0, net::free_port()?, &config)?;
    host.launch()?;
    host.wait_up()?;
    wait_told(&host.api(), "kafka")?;
    assert_ne!(host.api().ready()?.0, 200, "a host without Kafka is not ready");

    kafka.start()?;
    let sender = producer(&kafka.bootstrap())?;
    send_tickets(&sender, 1..11)?;
    // Both topics must be there before the host is content.
    common::send(&sender, common::CALL, Some(b"{\"id\":1}"), None)?;
    host.wait_ready()?;
    wait_created(&clickhouse, 10)?;

    kafka.kill();
    wait_told(&host.api(), "kafka")?;
    wait::sleep(Duration::from_secs(5))?;
    host.check_alive()?;
    kafka.start()?;
    send_tickets(&sender, 11..16)?;
    wait_created(&clickhouse, 15)?;
    host.wait_read(16, LIMIT)?;
    host.stop()
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_broker_that_stops_giving_while_it_has_more_makes_the_host_not_ready_and_says_so() -> Result<()> {
    const TICKETS: i64 = 400_000;
    let dir = Dir::new("stalled")?;
    let bins = paths::bins_from_env()?;
    let clickhouse = ClickHouse::started(&bins, &paths::from_env(paths::CHDB_LIB)?, &dir.0)?;
    let mut kafka = Kafka::started(&paths::from_env(paths::KAFKA)?, &dir.0)?;
    let sender = producer(&kafka.bootstrap())?;
    for id in 0..TICKETS {
        let (key, value) = (common::key(id), common::insert(id));
        sender.send(common::TICKET, Some(0), Some(key.as_bytes()), Some(value.as_bytes()), &[], 0)?;
    }
    sender.flush(LIMIT)?;
    let mut config = configuration(&kafka.bootstrap())?;
    config.keep_sources(&["ticket"]).set("kafka", "stalled_after", "3s").set("epoch", "length", "100ms");
    // Small fetches and epochs, so that much is left when the broker stops.
    config.kafka("fetch.message.max.bytes", "16384").kafka("queued.max.messages.kbytes", "64");
    config.clickhouse(&clickhouse.server());
    let mut host = Host::new(&bins, &dir.0, net::free_port()?, &config)?;
    host.launch()?;
    wait::until("something is read", LIMIT, || {
        let status = host.api().status().map_err(|e| format!("{e:#}"))?;
        if status.next_offsets().values().any(|next| *next > 0) { Ok(Some(())) } else { Err(String::new()) }
    })?;
    kafka.process()?.freeze();
    wait_told(&host.api(), "they are not read to their ends")?;
    let (code, told) = host.api().ready()?;
    assert_eq!(code, 503, "{told}");
    assert!(told.contains("nothing has come") && told.contains(common::TICKET), "{told}");

    kafka.process()?.resume();
    host.wait_read(TICKETS, LIMIT)?;
    host.wait_ready()?;
    let status = host.api().get("status")?;
    assert!(!status["conditions"].to_string().contains("nothing has come"), "{status}");
    wait_created(&clickhouse, TICKETS)?;
    host.stop()
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn clickhouse_may_be_away_at_the_start_and_in_the_middle_while_tiles_move() -> Result<()> {
    let mut world = World::new("clickhouse-away", |_| Ok(()))?;
    world.clickhouse.kill();
    world.host.launch()?;
    world.host.wait_up()?;
    wait_told(&world.host.api(), "clickhouse")?;
    let sender = world.producer()?;
    send_tickets(&sender, 1..4)?;
    wait_shown(&world.host.api(), 3)?;
    world.clickhouse.start()?;
    wait_created(&world.clickhouse, 3)?;

    world.clickhouse.kill();
    send_tickets(&sender, 4..8)?;
    wait_shown(&world.host.api(), 7)?;
    wait_told(&world.host.api(), "clickhouse")?;
    world.clickhouse.start()?;
    wait_created(&world.clickhouse, 7)?;
    world.host.stop()
}

/// Waits until the tile of the day says so many tickets were created.
fn wait_shown(api: &Api, tickets: i64) -> Result<()> {
    wait::until(&format!("a tile shows {tickets} tickets"), LIMIT, || {
        let latest = api.get("latest?metric=ticket.created&window=day").map_err(|e| format!("{e:#}"))?;
        if total(&latest) == Some(tickets) { Ok(Some(())) } else { Err(latest.to_string()) }
    })
}

/// The count of the grand total.
fn total(latest: &serde_json::Value) -> Option<i64> {
    let rows = latest["rows"].as_array()?;
    let total = rows.iter().find(|row| {
        row["dims"].as_object().is_some_and(|dims| dims.is_empty())
            || row["dims"].as_array().is_some_and(Vec::is_empty)
    })?;
    total["outputs"]["count"].as_i64()
}
