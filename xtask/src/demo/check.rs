//! After the run: is every number in ClickHouse what the journal says?

use super::{Options, day};
use crate::chaos::Verdict;
use crate::say;
use crate::world::{self, World};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Stdio;
use weir_e2e::host::Status;

/// The metrics of the components that join while the host runs.
const PUSHED: &str = "survey.csat,survey.response_rate,survey.resolved_rate";

/// Stops everything in order and compares. False if a number differs.
pub fn run(options: &Options, mut world: World) -> Result<bool> {
    world.settle()?;
    if options.day {
        day::wait_rebuilt(&world)?;
    }
    let status = world.host.api().status()?;
    let (journal, _) = world::compare_journal(&world, &status)?;
    check_counts(options, &status)?;
    world.host.stop()?;
    say::step("recomputing every number from the journal");
    let mut oracle = world::oracle(&world, &journal);
    if !options.pushed().is_empty() {
        oracle.args(["--pushed", PUSHED]);
    }
    let report = world.dir.join("oracle.json");
    oracle.arg("--json").arg(&report);
    let ended = oracle.stdin(Stdio::null()).status().context("start weir-oracle")?;
    if options.day {
        check_nothing_late(&report)?;
    }
    Ok(ended.success())
}

/// Debezium and the host were away for hours, and nothing was told later than the sources' disorder allows.
fn check_nothing_late(report: &Path) -> Result<()> {
    let (verdict, _) = Verdict::read(report)?;
    if verdict.late > 0 {
        bail!("{} events are in late_events, but only an upstream and a host were away", verdict.late);
    }
    say::note(
        "nothing is in late_events, though Debezium was away for 3 h of the clock and the host for 1 h",
    );
    Ok(())
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
