//! From kill -9 to the first commit of the host that follows, by live slots.

use crate::whole::{Pace, Whole, replied, ticket, write_json};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use weir_e2e::wait;

#[derive(clap::Args)]
pub struct Options {
    /// Live slots at which the host is killed, ascending.
    #[arg(long, value_delimiter = ',', default_values_t = [100_000, 1_000_000])]
    slots: Vec<u64>,
    /// Epochs of a second under a trickle of changes before each kill: a checkpoint comes every 64.
    #[arg(long, default_value_t = 80)]
    epochs: u32,
    #[arg(long, default_value = "target/bench/recovery.json")]
    json: PathBuf,
}

/// The promise for a million slots.
const TARGET: Duration = Duration::from_secs(10);
/// Tickets sent before it is looked how many slots there are.
const STEP: i64 = 1_000;
const LIMIT: Duration = Duration::from_secs(600);

pub fn run(options: &Options) -> Result<()> {
    let mut whole = Whole::start("recovery", "1s", None)?;
    let (mut next, mut figures) = (1i64, Vec::new());
    for slots in &options.slots {
        next = fill(&mut whole, *slots, next)?;
        next = trickle(&mut whole, options.epochs, next)?;
        figures.push(recover(&mut whole, *slots)?);
    }
    write_json(&options.json, &json!({ "target_s": TARGET.as_secs(), "runs": figures }))
}

/// Tickets, each of a queue and an assignee of its own, until there are so many live slots.
fn fill(whole: &mut Whole, slots: u64, mut next: i64) -> Result<i64> {
    let mut tickets = whole.tickets()?;
    loop {
        let live = whole.metric("weir_metric_live_slots")? as u64;
        if live >= slots {
            println!("{live} live slots after {} tickets", next - 1);
            return Ok(next);
        }
        // As many as are missing by what a ticket has given so far, in steps.
        let given = (live / next.max(1) as u64).max(1);
        let most = if live == 0 { STEP } else { 10 * STEP };
        let many = (((slots - live) / given) as i64).clamp(1, most);
        for id in next..next + many {
            let made = ticket(id, id, id);
            tickets.send(None, &made)?;
            tickets.send(Some(&made), &replied(&made))?;
        }
        next += many;
        tickets.flush()?;
        whole.settle()?;
    }
}

/// A few changes a second, so that epochs come and checkpoints with them.
fn trickle(whole: &mut Whole, epochs: u32, next: i64) -> Result<i64> {
    let mut tickets = whole.tickets()?;
    let mut pace = Pace::new(10.0);
    let many = i64::from(epochs) * 10;
    for id in next..next + many {
        pace.wait();
        // Known queues and assignees.
        tickets.send(None, &ticket(id, id % 50 + 1, id % 50 + 1))?;
    }
    tickets.flush()?;
    whole.settle()?;
    Ok(next + many)
}

fn recover(whole: &mut Whole, slots: u64) -> Result<Value> {
    let live = whole.metric("weir_metric_live_slots")? as u64;
    let (memory, _) = whole.memory_mb()?;
    let (epoch, state) = (whole.host.api().status()?.epoch(), whole.state_mb());
    whole.host.kill();
    let began = Instant::now();
    whole.host.launch()?;
    let api = whole.host.api();
    wait::until("the first commit", LIMIT, || {
        let status = api.status().map_err(|e| format!("{e:#}"))?;
        Ok((status.epoch() > epoch).then_some(()))
    })?;
    let took = began.elapsed();
    let phases = phases(whole, took)?;
    whole.host.wait_ready()?;
    let (after, most) = whole.memory_mb()?;
    println!(
        "{live} live slots ({state} MB of state): first commit {:.2} s after kill -9",
        took.as_secs_f64()
    );
    for (name, seconds) in &phases {
        println!("  {name:<28} {seconds:6.2} s");
    }
    println!("  memory: {memory} MB before the kill, {after} MB after recovery, {most} MB at most");
    if slots >= 1_000_000 {
        let verdict = if took <= TARGET { "within" } else { "beyond" };
        println!("  {verdict} the target of {} s", TARGET.as_secs());
    }
    let phases: serde_json::Map<String, Value> =
        phases.into_iter().map(|(name, seconds)| (name, json!(seconds))).collect();
    Ok(json!({
        "live_slots": live, "state_mb": state, "seconds": took.as_secs_f64(), "phases_s": phases,
        "memory_mb": { "before": memory, "after": after, "most": most },
    }))
}

/// Where the time went, by the host's own words.
fn phases(whole: &Whole, took: Duration) -> Result<Vec<(String, f64)>> {
    let line = whole.logged("state recovered")?;
    let of = |name: &str| line[name].as_f64().with_context(|| format!("no {name} in {line}"));
    let stages = whole.metrics_text()?;
    let stage = |name: &str| {
        let prefix = format!("weir_epoch_stage_seconds_sum{{stage=\"{name}\"}} ");
        stages.lines().find_map(|l| l.strip_prefix(&prefix)?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let mut phases = vec![
        ("load components".to_owned(), of("components_s")?),
        ("read row tables".to_owned(), of("rows_s")?),
        ("read and load slots".to_owned(), of("slots_s")?),
        ("evaluate all slots".to_owned(), stage("evaluate")),
        ("encode the first epoch".to_owned(), stage("encode")),
        ("write it".to_owned(), stage("write")),
    ];
    let known: f64 = phases.iter().map(|(_, seconds)| seconds).sum();
    phases.insert(0, ("start, open the state, rest".to_owned(), (took.as_secs_f64() - known).max(0.0)));
    Ok(phases)
}
