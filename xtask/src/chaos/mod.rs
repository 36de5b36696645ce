//! `cargo xtask chaos`: kill -9 of host, broker and ClickHouse under load, at moments drawn from a seed and
//! at named points; afterwards every number is recomputed from what Kafka holds.

mod ledger;
mod line;
mod plan;
mod run;

use crate::world::{self, Parts, Services, Setup, Way, World};
use crate::{dirs, say};
use anyhow::{Context, Result, bail};
use ledger::Ledger;
pub use ledger::Verdict;
use line::Line;
use run::Chaos;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use weir_e2e::clickhouse::Server;
use weir_e2e::host::Config;
use weir_e2e::oracle::COMPONENTS;
use weir_e2e::{net, paths, wait};

/// Row changes between two that come late.
const LATE_EVERY: u64 = 20;
/// Row changes between two repeats of the last 200 records.
const REPEAT_EVERY: u64 = 900;
const HELD_LIMIT: Duration = Duration::from_secs(60);
/// Shorter than in life: more epochs to be hit.
const EPOCH: &str = "250ms";
/// Few rows are held for ClickHouse: a host that comes after many that died delivers what waits in many pieces, and
/// does not read all of it first.
const WAITING: &str = "8MiB";
/// So few that every metric leaves slots to the store.
const HOT_SLOTS: i64 = 300;
/// From so many kills on, every place must have been reached.
const THOROUGH: usize = 100;

#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// How many kills.
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// The same seed gives the same life, victims, places and pauses.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Row changes a second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// No row changes later than the sources' disorder allows: nothing at all may be late.
    #[arg(long)]
    punctual: bool,
    /// Keep logs and data of the run, even if all is well.
    #[arg(long)]
    keep: bool,
    /// The programs are compiled already.
    #[arg(long, hide = true)]
    built: bool,
    /// Folder with other builds of the components.
    #[arg(long, hide = true)]
    components: Option<PathBuf>,
}

impl Options {
    fn setup(&self) -> Result<Setup> {
        let mut generator = vec!["--repeat-every".into(), REPEAT_EVERY.to_string()];
        // One after every 25 changes, to the end.
        generator.extend(["--bad".into(), u64::MAX.to_string()]);
        match self.punctual {
            true => generator.push("--punctual".into()),
            false => generator.extend(["--late-every".into(), LATE_EVERY.to_string()]),
        }
        Ok(Setup {
            way: Way::Kafka,
            clickhouse: None,
            checked: true,
            day: false,
            seed: self.seed,
            rate: self.rate,
            generator,
            plugins: COMPONENTS.to_vec(),
            tune,
            format: "debezium".into(),
            run_for: None,
            port: net::free_port()?,
        })
    }
}

fn tune(config: &mut Config) {
    config.set("epoch", "length", EPOCH);
    config.set("limits", "waiting", WAITING).set("limits", "hot_slots", HOT_SLOTS);
}

pub fn run(options: &Options) -> Result<bool> {
    if options.kills == 0 {
        bail!("--kills: at least one");
    }
    let setup = options.setup()?;
    let parts = Parts::ensure(&setup, options.components.as_deref(), options.built)?;
    let dir = paths::run_dir(&dirs::target()?, "chaos-run")?;
    let outcome = run_in(options, &setup, &parts, &dir);
    if matches!(outcome, Ok(true)) && !options.keep {
        std::fs::remove_dir_all(&dir)?;
    } else {
        say::note(format!("logs and data of this run: {}", dir.display()));
    }
    outcome
}

fn run_in(options: &Options, setup: &Setup, parts: &Parts, dir: &Path) -> Result<bool> {
    let services = Services::start(setup, parts, dir)?;
    let port = services.clickhouse.as_ref().context("the engine is not ours")?.port();
    let line = Line::start(port)?;
    let reached = Server { url: line.url(), ..services.server.clone() };
    let mut world = World::over(services, &reached, setup, parts, dir)?;
    let mut chaos = Chaos::new(&mut world, &line, options.seed, options.kills);
    chaos.run()?;
    let ledger = chaos.ledger;
    let (verdict, records) = compare(&mut world, options, &ledger, &line)?;
    if !verdict.good {
        println!("the report is not good: see its differences and failures above");
    }
    if !expected_lateness(options, &verdict) {
        println!(
            "{} late events: {}",
            verdict.late,
            if options.punctual { "there may be none" } else { "there must be some" }
        );
    }
    ledger.print();
    let (held, arrived) = line.counts();
    println!(
        "{records} records; {held} inserts held back, of which {arrived} arrived after their host's death"
    );
    let missed = ledger.missed(plan::places());
    let thorough = options.kills < THOROUGH || (missed.is_empty() && arrived > 0);
    if !thorough {
        println!("not all was tried: nothing died at {missed:?}, {arrived} inserts arrived late");
    }
    println!("{}", verdict.line(ledger.len()));
    Ok(verdict.is_clean() && expected_lateness(options, &verdict) && thorough)
}

/// Late rows must have been met, or none at all.
fn expected_lateness(options: &Options, verdict: &Verdict) -> bool {
    if options.punctual { verdict.late == 0 } else { verdict.late > 0 }
}

/// Lets everything come to rest, recomputes, and writes the report.
fn compare(world: &mut World, options: &Options, ledger: &Ledger, line: &Line) -> Result<(Verdict, i64)> {
    run::kafka(world)?.wait_ready()?;
    world.clickhouse.as_mut().context("the engine is not ours")?.wait_ready()?;
    world.stop_generator()?;
    wait::until("what was held back reaches ClickHouse", HELD_LIMIT, || {
        Ok((!line.is_holding()).then_some(()))
    })?;
    world.settle()?;
    let status = world.host.api().status()?;
    let (journal, records) = world::compare_journal(world, &status)?;
    world.host.stop()?;
    say::step("recomputing every number from what Kafka holds");
    let report = world.dir.join("oracle.json");
    let mut oracle = world::oracle(world, &journal);
    oracle.arg("--json").arg(&report);
    oracle.stdin(Stdio::null()).status().context("start weir-oracle")?;
    let (verdict, details) = Verdict::read(&report)?;
    let (held, arrived) = line.counts();
    let whole = json!({
        "seed": options.seed, "kills": ledger.len(), "rate": options.rate, "punctual": options.punctual,
        "records": records, "lost": verdict.lost, "double": verdict.double, "differing": verdict.differing,
        "late_events": verdict.late, "inserts_held": held, "inserts_arrived_late": arrived,
        "ledger": ledger.json(), "oracle": details,
    });
    let path = report_path(options)?;
    std::fs::write(&path, format!("{whole:#}\n")).with_context(|| format!("write {}", path.display()))?;
    say::note(format!("report: {}", path.display()));
    Ok((verdict, records))
}

fn report_path(options: &Options) -> Result<PathBuf> {
    let folder = dirs::target()?.join("chaos");
    dirs::make(&folder)?;
    Ok(folder.join(format!("kills-{}-seed-{}.json", options.kills, options.seed)))
}
