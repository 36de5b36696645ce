//! The state: looked into, moved, restored from an old export, wiped, and on a disk that is full.

mod common;

use anyhow::Result;
use common::load::Load;
use common::{LIMIT, World, send_tickets, wait_created};
use std::time::Duration;
use weir_e2e::clickhouse::ClickHouse;
use weir_e2e::wait;

/// All metrics of the load that are no history of current values: the history of a future that was
/// lost stays as it was.
const OVER_EVENTS: [&str; 3] = ["ticket.created", "ticket.first_reply_time", "call.offered"];

/// Generations under which epochs were delivered.
fn generations(clickhouse: &ClickHouse) -> Result<i64> {
    clickhouse.server().number("SELECT max(bitShiftRight(version, 40)) FROM weir.epochs")
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_state_restored_from_an_old_export_gives_rows_that_win_over_the_lost_future() -> Result<()> {
    let mut load = Load::new(60.0);
    let mut world = World::new("restored", |config| load.configure(config))?;
    world.host.start()?;
    load.start(&world.bins, &world.dir.0, &world.broker.bootstrap)?;
    wait::sleep(Duration::from_secs(8))?;
    let file = world.dir.0.join("backup.weir").display().to_string();
    let (good, text) = world.host.state(&["export", &file])?;
    assert!(good, "{text}");
    let (good, text) = world.host.state(&["inspect", &file, "--json"])?;
    assert!(good, "{text}");
    let exported: serde_json::Value = serde_json::from_str(&text)?;
    // The host went on, and what it delivers from here on is lost with its state.
    wait::sleep(Duration::from_secs(6))?;
    world.host.check_alive()?;
    world.host.kill();
    let of_old = generations(&world.clickhouse)?;
    std::fs::remove_dir_all(world.dir.0.join("state"))?;
    let (good, text) = world.host.state(&["import", &file])?;
    assert!(good, "{text}");
    world.host.start()?;
    wait::sleep(Duration::from_secs(12))?;
    load.stop()?;
    load.settle(&world.host)?;
    let status = world.host.api().status()?;
    assert!(status.epoch() > exported["epoch"].as_i64().unwrap_or(i64::MAX));
    assert!(generations(&world.clickhouse)? > of_old, "a greater generation was taken");
    world.host.stop()?;
    load.check(&world, &OVER_EVENTS)
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_wiped_state_reads_everything_again_and_its_rows_stand() -> Result<()> {
    let mut world = World::started("wiped")?;
    let sender = world.producer()?;
    send_tickets(&sender, 1..8)?;
    wait_created(&world.clickhouse, 7)?;
    let of_old = generations(&world.clickhouse)?;
    world.host.kill();
    std::fs::remove_dir_all(world.dir.0.join("state"))?;
    send_tickets(&sender, 8..11)?;
    world.host.start()?;
    wait::until("the view shows all tickets", LIMIT, || {
        let shown = shown(&world.clickhouse).map_err(|e| format!("{e:#}"))?;
        if shown == 10 { Ok(Some(())) } else { Err(format!("it shows {shown}")) }
    })?;
    assert!(generations(&world.clickhouse)? > of_old, "a greater generation was taken");
    world.host.stop()?;
    assert_eq!(shown(&world.clickhouse)?, 10);
    Ok(())
}

/// Tickets created, of the incarnation that views and API show.
fn shown(clickhouse: &ClickHouse) -> Result<i64> {
    clickhouse.server().number(
        "SELECT toInt64(sum(ints['count'])) FROM weir.metric_realtime FINAL \
         WHERE metric = 'ticket.created' AND window = 'day' AND dimension_set = '' AND incarnation = \
         (SELECT incarnation FROM weir.promoted FINAL WHERE metric = 'ticket.created')",
    )
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_state_is_looked_into_beside_the_running_host_and_after_it_has_stopped() -> Result<()> {
    let mut world = World::started("inspected")?;
    let sender = world.producer()?;
    send_tickets(&sender, 1..5)?;
    wait_created(&world.clickhouse, 4)?;
    let (good, text) = world.host.state(&["inspect"])?;
    assert!(good, "{text}");
    for word in ["shard        0", "svc.service.ticket/0", "ticket.created", "live", "cells", "outbox"] {
        assert!(text.contains(word), "{word:?} is missing:\n{text}");
    }
    world.host.check_alive()?;
    let status = world.host.api().status()?;
    world.host.stop()?;
    let (good, text) = world.host.state(&["inspect", "--json"])?;
    assert!(good, "{text}");
    let found: serde_json::Value = serde_json::from_str(&text)?;
    assert!(found["epoch"].as_i64() >= Some(status.epoch()), "{text}");
    assert_eq!(found["generation"], found["claimed"], "{text}");
    let next: i64 =
        found["partitions"].as_array().into_iter().flatten().filter_map(|p| p["next"].as_i64()).sum();
    assert_eq!(next, 4, "{text}");
    world.host.start()
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_disk_that_is_full_is_told_and_nothing_is_lost() -> Result<()> {
    let mut world = World::started("full-disk")?;
    let sender = world.producer()?;
    send_tickets(&sender, 1..4)?;
    wait_created(&world.clickhouse, 3)?;
    // No file may grow beyond a byte: as on a full disk, writes fail.
    world.host.process()?.limit_file_size(Some(1))?;
    send_tickets(&sender, 4..8)?;
    let api = world.host.api();
    wait::until("/readyz tells that the state cannot be written", LIMIT, || {
        let (status, body) = api.ready().map_err(|e| format!("{e:#}"))?;
        let told = status != 200 && body.contains("state cannot be written") && body.contains("too large");
        if told { Ok(Some(())) } else { Err(format!("{status}: {body}")) }
    })?;
    wait::sleep(Duration::from_secs(3))?;
    world.host.check_alive()?;
    world.host.process()?.limit_file_size(None)?;
    wait_created(&world.clickhouse, 7)?;
    world.host.wait_ready()?;
    world.host.kill();
    send_tickets(&sender, 8..10)?;
    world.host.start()?;
    wait_created(&world.clickhouse, 9)?;
    world.host.stop()
}
