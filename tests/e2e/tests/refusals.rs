//! What cannot work is refused at once, in one clear line and with an exit code other than 0.

mod common;

use anyhow::Result;
use common::World;
use std::net::TcpListener;
use weir_e2e::host::Host;
use weir_e2e::net;

/// Starts a host that must refuse: all it logged.
fn refusal(host: &mut Host) -> Result<String> {
    host.launch()?;
    let (status, log) = host.wait_end()?;
    assert!(!status.success(), "it ended well: {log}");
    Ok(log)
}

/// The last line of a log, which must hold all these words.
fn assert_last_line_says(log: &str, words: &[&str]) {
    let line = log.trim_end().lines().last().unwrap_or_default().to_lowercase();
    for word in words {
        assert!(line.contains(&word.to_lowercase()), "{word:?} is not in the last line of:\n{log}");
    }
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_port_that_is_taken() -> Result<()> {
    let mut world = World::new("port-taken", |_| Ok(()))?;
    let port = net::free_port()?;
    let _taken = TcpListener::bind(("127.0.0.1", port))?;
    world.host = Host::new(&world.bins, &world.dir.0, port, &world.config)?;
    assert_last_line_says(&refusal(&mut world.host)?, &["port", &port.to_string(), "taken"]);
    Ok(())
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_wrong_password_of_clickhouse() -> Result<()> {
    let mut world = World::new("wrong-password", |_| Ok(()))?;
    world.clickhouse.stop()?;
    world.clickhouse.protect("weir", "right");
    world.clickhouse.start()?;
    world.config.clickhouse(&world.clickhouse.server()).set("clickhouse", "password", "wrong");
    world.host = Host::new(&world.bins, &world.dir.0, net::free_port()?, &world.config)?;
    let log = refusal(&mut world.host)?;
    assert_last_line_says(&log, &["clickhouse", "password"]);
    assert!(!log.contains("wrong\""), "the password stands in the log: {log}");
    Ok(())
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_state_directory_that_another_host_holds() -> Result<()> {
    let mut world = World::started("locked-state")?;
    let second = world.dir.0.join("second");
    std::fs::create_dir(&second)?;
    world.config.set("host", "state", world.dir.0.join("state").display().to_string());
    let mut other = Host::new(&world.bins, &second, net::free_port()?, &world.config)?;
    assert_last_line_says(&refusal(&mut other)?, &["state", "another"]);
    world.host.check_alive()
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_table_with_other_columns() -> Result<()> {
    let mut world = World::new("other-columns", |_| Ok(()))?;
    let server = world.clickhouse.server();
    server.query("CREATE DATABASE weir")?;
    server.query(
        "CREATE TABLE weir.metric_realtime (metric String, wrong Int32) ENGINE = MergeTree ORDER BY metric",
    )?;
    assert_last_line_says(&refusal(&mut world.host)?, &["metric_realtime"]);
    Ok(())
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn an_unknown_key_in_the_configuration() -> Result<()> {
    let mut world = World::new("unknown-key", |config| {
        config.set("host", "lisen", "127.0.0.1:1");
        Ok(())
    })?;
    assert_last_line_says(&refusal(&mut world.host)?, &["lisen"]);
    Ok(())
}
