//! The same dashboard as a job of Apache Flink, and Weir, over the same file and broker in one run.
//!
//! The peer's sources are not part of this repository: `--peer` names their folder. It is built in a copy in
//! the cache. CPU seconds are those of the whole process, user and system, as the kernel counts them.

mod built;
mod catalogue;
mod compare;
mod figures;
mod flink;
mod load;
mod ours;

use crate::whole::write_json;
use anyhow::{Context, Result};
use built::Built;
use figures::Figures;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use weir_e2e::kafka::Kafka;
use weir_e2e::paths;
use weir_ingest::Properties;

#[derive(clap::Args)]
pub struct Options {
    /// Folder with the peer's sources (pom.xml, src, gen).
    #[arg(long, env = "WEIR_PEER")]
    peer: PathBuf,
    /// Where the peer is built and its data lie.
    #[arg(long, env = "WEIR_CACHE")]
    cache: PathBuf,
    /// Messages of the generated file.
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measured runs of each, taking turns.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Leaves out the run of the peer that writes its values down, and so the comparison.
    #[arg(long)]
    no_compare: bool,
    /// Keeps the folder of the run.
    #[arg(long)]
    keep: bool,
    #[arg(long, default_value = "target/bench/peer.json")]
    json: PathBuf,
}

pub const TOPICS: [&str; 5] = [
    "cs.service.ticket",
    "cs.service.call_record",
    "cs.service.im_session",
    "cs.service.agent_state",
    "cs.service.survey",
];
pub const PARTITIONS: i32 = 4;
/// How many times fewer CPU seconds were asked for.
const TARGET: f64 = 20.0;

pub fn run(options: &Options) -> Result<()> {
    let built = Built::from(&options.peer, &options.cache)?;
    let data = built.data(options.records, options.seed)?;
    let dir = paths::run_dir(&std::env::temp_dir(), "weir-bench-peer")?;
    let outcome = measure(options, &built, &data, &dir);
    if options.keep || outcome.is_err() {
        eprintln!("logs: {}", dir.display());
    } else {
        let _ = std::fs::remove_dir_all(&dir);
    }
    write_json(&options.json, &outcome?)
}

fn measure(options: &Options, built: &Built, data: &Path, dir: &Path) -> Result<Value> {
    let mut kafka = Kafka::started(&paths::from_env(paths::KAFKA)?, dir)?;
    let properties: Properties = [("bootstrap.servers".to_owned(), kafka.bootstrap())].into();
    let topics = TOPICS.map(|topic| (topic.to_owned(), PARTITIONS));
    weir_ingest::create_topics(&properties, &topics, Duration::from_secs(30))?;
    let loaded = load::load(data, properties)?;
    println!("{} messages, values of {} B on average", loaded.records, loaded.bytes / loaded.records.max(1));
    let (mut theirs, mut our_runs, mut values) = (Vec::new(), Vec::new(), None);
    let before = load_average();
    for n in 0..options.runs.max(1) {
        theirs.push(flink::run(built, &kafka.bootstrap(), &dir.join(format!("flink-{n}")), None)?);
        let (run, read) = ours::run(&kafka.bootstrap(), &loaded, &dir.join(format!("weir-{n}")))?;
        our_runs.push(run);
        values = Some(read);
    }
    let after = load_average();
    let compared = if options.no_compare {
        Vec::new()
    } else {
        let dump = dir.join("dump.txt");
        flink::run(built, &kafka.bootstrap(), &dir.join("flink-dump"), Some(&dump))?;
        compare::all(&dump, &values.context("there was a run")?)?
    };
    kafka.stop()?;
    let runs: Vec<&Figures> = theirs.iter().chain(&our_runs).collect();
    let ratios = figures::ratios(&theirs, &our_runs);
    figures::print(&runs);
    println!(
        "\nload average (1, 5, 15 minutes): {before} before, {after} after; no process was pinned to a CPU"
    );
    ratios.print(TARGET);
    compare::print(&compared);
    catalogue::print();
    Ok(json!({
        "records": loaded.records, "mean_value_bytes": loaded.bytes / loaded.records.max(1), "seed": options.seed,
        "load_average": { "before": before, "after": after },
        "runs": runs.iter().map(|run| run.json()).collect::<Vec<_>>(),
        "ratio": ratios.json(), "target": TARGET,
        "metrics": catalogue::metrics(), "differing_definitions": catalogue::DIFFERENT,
        "compared": compared.iter().map(compare::Compared::json).collect::<Vec<_>>(),
    }))
}

/// As the kernel gives it.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
