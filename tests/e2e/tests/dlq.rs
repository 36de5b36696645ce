//! Dead letters are listed, shown and redriven, and each counts once, over kills too.

mod common;

use anyhow::{Result, bail};
use common::{LIMIT, TICKET, World, insert, key, send, wait_created, wait_dead, wait_number};
use weir_e2e::host::Host;
use weir_e2e::{net, wait};

/// Starts the host and waits until it reads the partition of the dead letters: what it does not read yet it
/// refuses to redrive.
fn start(world: &mut World) -> Result<()> {
    world.host.start()?;
    let api = world.host.api();
    wait::until("the partition is being read", LIMIT, || {
        let status = api.status().map_err(|e| format!("{e:#}"))?;
        let sources = status.0["sources"].as_array().into_iter().flatten();
        let mut partitions = sources.flat_map(|s| s["partitions"].as_array().into_iter().flatten());
        let is_ours = |p: &serde_json::Value| p["topic"] == TICKET && p["partition"] == 0;
        if partitions.any(is_ours) { Ok(Some(())) } else { Err(status.0.to_string()) }
    })
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn with_a_mended_declaration_dead_letters_are_redriven_once_over_kills() -> Result<()> {
    let mut world = World::new("dlq", |config| {
        let ticket = config.source("ticket")?;
        ticket.insert("primary_key".into(), vec!["queue_id".to_string()].into());
        ticket.insert("max_dead_share".into(), 1.0.into());
        Ok(())
    })?;
    world.host.start()?;
    let producer = world.producer()?;
    for id in 1..251 {
        send(&producer, TICKET, Some(key(id).as_bytes()), Some(insert(id).as_bytes()))?;
    }
    send(&producer, TICKET, Some(key(251).as_bytes()), Some(b"this is no JSON"))?;
    world.wait_read(251)?;
    wait_dead(&world.clickhouse, 251)?;

    world.host.kill();
    world.config.source("ticket")?.insert("primary_key".into(), vec!["id".to_string()].into());
    world.host = Host::new(&world.bins, &world.dir.0, net::free_port()?, &world.config)?;
    start(&mut world)?;
    let (listed, text) =
        world.host.ask("dlq", &["list", "--source", "ticket", "--code", "key", "--limit", "3"])?;
    assert!(listed && text.contains("there are more") && text.lines().count() == 5, "{text}");
    let (shown, text) = world.host.ask("dlq", &["show", TICKET, "0", "250"])?;
    assert!(shown && text.contains("this is no JSON") && text.contains("not-json"), "{text}");

    let (one, text) = world.host.ask("dlq", &["redrive", "--topic", TICKET, "--offset", "7"])?;
    assert!(one && text.contains("1 applied"), "{text}");
    world.host.kill();
    start(&mut world)?;
    wait_created(&world.clickhouse, 1)?;
    let (all, text) = world.host.ask("dlq", &["redrive", "--all"])?;
    assert!(!all && text.contains("249 applied, 0 skipped, 1 still dead"), "{text}");
    world.host.kill();
    start(&mut world)?;
    wait_created(&world.clickhouse, 250)?;
    wait_dead(&world.clickhouse, 1)?;
    let (again, text) = world.host.ask("dlq", &["redrive", "--all"])?;
    if again || !text.contains("0 applied, 0 skipped, 1 still dead, 0 refused") {
        bail!("the last one is still no JSON: {text}");
    }
    let noted = "SELECT toInt64(least(250, sum(length(redriven)))) FROM weir.epochs FINAL";
    wait_number(&world.clickhouse, "noted as redriven at least", noted, 250)?;
    assert_eq!(common::created(&world.clickhouse)?, 250);
    world.host.stop()
}
