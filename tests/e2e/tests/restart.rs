//! A stop, a kill and a new start change no number.

mod common;

use anyhow::Result;
use common::{World, component, created, send_tickets, wait_created};
use weir_e2e::{host::Host, wait};

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_host_that_was_stopped_goes_on_exactly_where_it_was() -> Result<()> {
    let mut world = World::started("restart")?;
    let sender = world.producer()?;
    send_tickets(&sender, 1..6)?;
    world.wait_read(5)?;
    world.host.stop()?;
    assert_eq!(created(&world.clickhouse)?, 5, "a graceful stop delivers everything");
    send_tickets(&sender, 6..9)?;
    world.host.start()?;
    wait_created(&world.clickhouse, 8)?;
    let read = world.host.api().status()?.count("read");
    assert_eq!(read, 3, "what was read before is not read again");
    world.host.kill();
    send_tickets(&sender, 9..11)?;
    world.host.start()?;
    wait_created(&world.clickhouse, 10)?;
    let doubles = world.clickhouse.server().number(
        "SELECT count() FROM (SELECT count() AS n FROM weir.metric_realtime FINAL \
         GROUP BY metric, incarnation, window, dimension_set, dims, start HAVING n > 1)",
    )?;
    assert_eq!(doubles, 0, "no key has two rows");
    world.host.stop()
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_metric_that_was_pushed_is_there_again_after_kill_9_and_gone_once_retired() -> Result<()> {
    let mut world = World::started("pushed")?;
    assert!(!loaded(&world.host, "call.offered")?);
    let file = component("call.wasm")?;
    let (pushed, text) = world.host.plugin(&["push", &file.display().to_string()])?;
    assert!(pushed, "{text}");
    assert!(loaded(&world.host, "call.offered")?);
    world.host.kill();
    world.host.start()?;
    assert!(loaded(&world.host, "call.offered")?, "the set of metrics is state");
    let (again, text) = world.host.plugin(&["push", &file.display().to_string()])?;
    assert!(!again && text.contains("call.offered"), "a second push is refused: {text}");
    let (retired, text) = world.host.plugin(&["retire", "call.offered"])?;
    assert!(retired, "{text}");
    wait::until("the metric leaves", common::LIMIT, || {
        let there = loaded(&world.host, "call.offered").map_err(|e| format!("{e:#}"))?;
        Ok((!there).then_some(()))
    })?;
    world.host.kill();
    world.host.start()?;
    assert!(!loaded(&world.host, "call.offered")?, "it stays retired");
    world.host.stop()
}

/// Whether the API lists a metric.
fn loaded(host: &Host, metric: &str) -> Result<bool> {
    Ok(host.api().get("metrics")?.to_string().contains(&format!("\"{metric}\"")))
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_component_that_cannot_work_is_refused_with_a_sentence_and_the_others_go_on() -> Result<()> {
    let world = World::started("refused")?;
    let good = std::fs::read(component("call.wasm")?)?;
    let refuse = |name: &str, bytes: &[u8], word: &str| -> Result<()> {
        let file = world.dir.0.join(name);
        std::fs::write(&file, bytes)?;
        let (pushed, text) = world.host.plugin(&["push", &file.display().to_string()])?;
        assert!(!pushed, "{name} was taken: {text}");
        let told = text.to_lowercase();
        assert!(told.contains(name) && told.contains(word), "{name}: {text}");
        Ok(())
    };
    refuse("truncated.wasm", &good[..good.len() / 2], "")?;
    refuse("text.wasm", b"this is no component", "not webassembly")?;
    refuse("module.wasm", &wat::parse_str("(module)")?, "component")?;
    let imports = wat::parse_str(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#)?;
    refuse("imports.wasm", &imports, "wasi:clocks")?;
    let sender = world.producer()?;
    send_tickets(&sender, 1..4)?;
    wait_created(&world.clickhouse, 3)
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn a_metric_that_asks_for_a_field_which_the_source_lacks_is_refused_by_name() -> Result<()> {
    let mut world = World::new("missing-field", |config| {
        let columns = config.source("call_record")?.get_mut("columns");
        if let Some(columns) = columns.and_then(|columns| columns.as_table_mut()) {
            columns.remove("queued_at");
        }
        Ok(())
    })?;
    world.host.start()?;
    let file = component("call.wasm")?;
    let (pushed, text) = world.host.plugin(&["push", &file.display().to_string()])?;
    assert!(!pushed, "{text}");
    for word in ["call.wasm", "call.offered", "queued_at"] {
        assert!(text.contains(word), "{word} is not named: {text}");
    }
    Ok(())
}
