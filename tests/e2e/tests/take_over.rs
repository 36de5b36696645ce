//! Hosts that share a state on an S3-compatible server: one at a time, and a change of owner changes no
//! number.

mod common;

use anyhow::{Context, Result};
use common::load::Load;
use common::{CALL, TICKET, World, created, send_tickets, wait_created};
use std::time::Duration;
use weir_e2e::host::{Config, Host};
use weir_e2e::{net, paths, wait};

/// How long the first host sleeps.
const ASLEEP: Duration = Duration::from_secs(60);
/// What a host ends with once another one has taken over.
const FENCED: i32 = 3;

/// A place of its own for one test.
fn on_s3(name: &str) -> Result<String> {
    let base = std::env::var(paths::S3);
    let base = base.with_context(|| format!("{} is not set: run by cargo xtask test", paths::S3))?;
    Ok(format!("{base}/{name}-{}", std::process::id()))
}

/// A world whose host keeps its state there.
fn world(name: &str, prepare: impl FnOnce(&mut Config) -> Result<()>) -> Result<World> {
    let state = on_s3(name)?;
    World::new(name, |config| {
        config.set("host", "state", state);
        prepare(config)
    })
}

/// Another host on the same state.
fn another(world: &World, name: &str) -> Result<Host> {
    let dir = world.dir.0.join(name);
    std::fs::create_dir(&dir)?;
    Host::new(&world.bins, &dir, net::free_port()?, &world.config)
}

#[test]
#[ignore = "needs an S3-compatible server: run by cargo xtask test"]
fn a_host_that_slept_through_a_take_over_changes_no_number_and_ends_with_its_own_code() -> Result<()> {
    let mut load = Load::new(60.0);
    let mut world = world("slept", |config| load.configure(config))?;
    world.host.start()?;
    load.start(&world.bins, &world.dir.0, &world.broker.bootstrap)?;
    wait::sleep(Duration::from_secs(8))?;

    // Rows are on their way when the host falls asleep.
    world.clickhouse.process()?.freeze();
    wait::sleep(Duration::from_secs(3))?;
    world.host.process()?.freeze();
    world.clickhouse.process()?.resume();

    let mut second = another(&world, "second")?;
    second.launch_with(&["--take-over"])?;
    second.wait_ready()?;
    wait::sleep(ASLEEP)?;
    world.host.process()?.resume();
    let (status, log) = world.host.wait_end()?;
    assert_eq!(status.code(), Some(FENCED), "{log}");
    let last = log.trim_end().lines().last().unwrap_or_default();
    assert!(last.contains("taken over") && last.contains("must not be started again"), "{last}");

    load.stop()?;
    second.check_alive()?;
    load.settle(&second)?;
    second.stop()?;
    load.check(&world, &[])
}

#[test]
#[ignore = "needs an S3-compatible server: run by cargo xtask test"]
fn a_second_host_is_refused_and_a_killed_one_starts_again_by_itself() -> Result<()> {
    let mut world = world("second", |_| Ok(()))?;
    world.host.start()?;
    let sender = world.producer()?;
    send_tickets(&sender, 1..6)?;
    wait_created(&world.clickhouse, 5)?;

    let mut second = another(&world, "second")?;
    second.launch()?;
    let (status, log) = second.wait_end()?;
    assert_eq!(status.code(), Some(1), "{log}");
    let last = log.trim_end().lines().last().unwrap_or_default();
    assert!(last.contains("in use by another host") && last.contains("--take-over"), "{log}");
    world.host.check_alive()?;

    world.host.kill();
    send_tickets(&sender, 6..11)?;
    // It watches the dead owner for a while, then goes on.
    world.host.start()?;
    wait_created(&world.clickhouse, 10)?;
    world.host.stop()?;
    // One that stopped in order is not waited for.
    second.start()?;
    send_tickets(&sender, 11..13)?;
    wait_created(&world.clickhouse, 12)?;
    second.stop()
}

#[test]
#[ignore = "needs an S3-compatible server: run by cargo xtask test"]
fn an_idle_host_that_is_taken_over_ends_too() -> Result<()> {
    let mut world = world("idle", |_| Ok(()))?;
    world.host.start()?;
    let mut second = another(&world, "second")?;
    second.launch_with(&["--take-over"])?;
    let (status, log) = world.host.wait_end()?;
    assert_eq!(status.code(), Some(FENCED), "{log}");
    second.wait_ready()?;
    let sender = world.producer()?;
    send_tickets(&sender, 1..3)?;
    wait_created(&world.clickhouse, 2)?;
    second.stop()
}

#[test]
#[ignore = "needs an S3-compatible server: run by cargo xtask test"]
fn a_state_moves_from_a_directory_to_s3_and_the_host_goes_on() -> Result<()> {
    let mut world = World::started("to-s3")?;
    let sender = world.producer()?;
    common::send(&sender, TICKET, Some(common::key(1).as_bytes()), Some(common::insert(1).as_bytes()))?;
    common::send(&sender, CALL, Some(b"{\"id\":1}"), None)?;
    wait_created(&world.clickhouse, 1)?;
    world.host.stop()?;
    let file = world.dir.0.join("moved.weir").display().to_string();
    let (good, text) = world.host.state(&["export", &file])?;
    assert!(good, "{text}");
    world.config.set("host", "state", on_s3("to-s3")?);
    let mut remote = another(&world, "remote")?;
    let (good, text) = remote.state(&["import", &file])?;
    assert!(good, "{text}");
    remote.start()?;
    send_tickets(&sender, 2..5)?;
    wait_created(&world.clickhouse, 4)?;
    assert_eq!(remote.api().status()?.count("read"), 3, "what was read before is not read again");
    remote.stop()?;
    assert_eq!(created(&world.clickhouse)?, 4);
    Ok(())
}
