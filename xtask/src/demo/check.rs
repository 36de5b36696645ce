//! After the run: is every number in ClickHouse what the journal says?

use super::Options;
use super::world::{TOPICS, Upstream, World};
use crate::say;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use weir_e2e::host::Status;
use weir_e2e::mariadb;
use weir_e2e::process;
use weir_e2e::tally;

/// The metric of the component that joins while the host runs.
const PUSHED: &str = "call.offered";
const JOURNAL_LIMIT: Duration = Duration::from_secs(120);

/// Stops everything in order and compares. False if a number differs.
pub fn run(options: &Options, mut world: World) -> Result<bool> {
    world.settle()?;
    let status = world.host.api().status()?;
    compare_journal(&world, &status)?;
    check_counts(options, &status)?;
    world.host.stop()?;
    say::step("recomputing every number from the journal");
    let mut oracle = oracle(&world);
    let ended = oracle.stdin(Stdio::null()).status().context("start weir-oracle")?;
    Ok(ended.success())
}

fn oracle(world: &World) -> Command {
    let mut command = Command::new(world.bins.oracle());
    command.arg("check").arg("--journal").arg(world.journal());
    command.args(["--clickhouse-url", &world.server.url, "--user", &world.server.user]);
    command.args(["--password", &world.server.password, "--database", "weir"]);
    command.args(["--pushed", PUSHED]);
    if let Upstream::Real { mariadb, .. } = &world.upstream {
        command.args(["--mariadb", &format!("127.0.0.1:{}", mariadb.port())]);
        command.args(["--mariadb-user", mariadb::USER, "--mariadb-password", mariadb::PASSWORD]);
    }
    command
}

/// What was produced, what the broker holds and what the host has read must be the same, partition by
/// partition. With real services the journal is what Kafka holds.
fn compare_journal(world: &World, status: &Status) -> Result<()> {
    let journal = world.journal();
    let held = world.dir.join("held.jsonl");
    let real = matches!(world.upstream, Upstream::Real { .. });
    read_back(world, if real { &journal } else { &held })?;
    let ours = tally::of_journal(&journal, real)?;
    if !real {
        let differences = tally::differences(&ours, &tally::of_journal(&held, false)?);
        if !differences.is_empty() {
            bail!("the generator's journal and the broker differ: {}", differences.join("; "));
        }
    }
    let differences = tally::differences(&ours, &status.next_offsets());
    if !differences.is_empty() {
        bail!("the journal and what the host has read differ: {}", differences.join("; "));
    }
    say::note(format!(
        "{} records, in the journal, the broker and the host alike",
        ours.values().sum::<i64>()
    ));
    Ok(())
}

fn read_back(world: &World, out: &Path) -> Result<()> {
    let mut command = Command::new(world.bins.embedded());
    command.args(["journal", "--brokers", &world.upstream.bootstrap(), "--out"]).arg(out);
    for topic in TOPICS {
        command.args(["--topic", topic]);
    }
    process::run("weir-embedded journal", command, &world.dir.join("journal.log"), JOURNAL_LIMIT)
}

/// read = applied + skipped + dead, as the host counts since its last start.
fn check_counts(options: &Options, status: &Status) -> Result<()> {
    let [read, applied, skipped, dead] = ["read", "applied", "skipped", "dead"].map(|n| status.count(n));
    if read != applied + skipped + dead {
        bail!("the counts do not add up: read {read}, applied {applied}, skipped {skipped}, dead {dead}");
    }
    say::note(format!("read {read} = applied {applied} + skipped {skipped} + dead {dead}"));
    if options.bad > 0 && dead == 0 && !options.kills("host") {
        bail!("{} bad records were sent, but none is counted as dead", options.bad);
    }
    Ok(())
}
