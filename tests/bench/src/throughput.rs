//! Changes a second on one core, and on two: the same records decoded only, and through sets of metrics.

mod chosen;
mod ways;

use crate::native::NativeLoader;
use crate::sources::{Stream, sources, stream};
use anyhow::{Context, Result};
use chosen::{Chosen, Metrics};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ways::{Asked, Engine};
use weir_e2e::oracle::COMPONENTS;
use weir_plugin::{Sandbox, SandboxOptions};
use weir_types::contract::MetricFactory;
use weir_types::ports::Loader;
use weir_types::schema::SourceDecl;

#[derive(clap::Args)]
pub struct Options {
    /// Records in memory, over which every way goes.
    #[arg(long, default_value_t = 2_000_000)]
    records: usize,
    /// Rounds; the best of each way counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Changes a second of the clock.
    #[arg(long, default_value_t = 2000.0)]
    per_second: f64,
    /// Sets of metrics: `four`, `all`, or a number (more than there are: in copies).
    #[arg(long, value_delimiter = ',', default_values_t = ["four", "1", "10", "30", "all", "200"].map(String::from))]
    sets: Vec<String>,
    /// Ways that each set goes; `yardstick`, `native` and `cores` only for the sets `four` and `all`.
    #[arg(long, value_delimiter = ',', default_values_t = WAYS.map(String::from))]
    ways: Vec<String>,
    /// Where the figures go as JSON.
    #[arg(long, default_value = "target/bench/throughput.json")]
    json: PathBuf,
}

const WAYS: [&str; 5] = ["yardstick", "decode", "sandboxed", "native", "cores"];
/// One set of metrics and what came of it.
struct Figures {
    name: String,
    metrics: Metrics,
    asked: Asked,
    yardstick: f64,
    decode: f64,
    sandboxed: Engine,
    native: Engine,
    /// Sandboxed, on two cores.
    two_cores: Engine,
}

/// What all sets go over.
struct Ground {
    stream: Stream,
    sources: Vec<Arc<SourceDecl>>,
    components: Vec<(String, Vec<u8>)>,
    sandbox: Sandbox,
    native: NativeLoader,
}

pub fn run(options: &Options) -> Result<()> {
    ways::pin_to(1)?;
    let ground = Ground::new(options)?;
    let mut sets = Vec::new();
    for name in &options.sets {
        sets.push(Figures::new(name, &ground)?);
    }
    for round in 1..=options.rounds {
        for set in &mut sets {
            println!("round {round} of {}: {}", options.rounds, set.name);
            set.go(options, &ground)?;
        }
    }
    report(options, &ground.stream, &sets)
}

impl Ground {
    fn new(options: &Options) -> Result<Ground> {
        let stream = stream(options.seed, options.records, options.per_second);
        println!(
            "{} records, {} B on average, {} changes/s of the clock",
            stream.records,
            stream.bytes / stream.records.max(1),
            options.per_second
        );
        let (sources, components) = (sources(), components()?);
        let sandbox = Sandbox::new(SandboxOptions::default())?;
        let mut described = Vec::new();
        for (origin, bytes) in &components {
            described.extend(sandbox.load(origin, bytes, &sources).map_err(anyhow::Error::msg)?);
        }
        Ok(Ground { stream, sources, components, sandbox, native: NativeLoader { described } })
    }
}

fn components() -> Result<Vec<(String, Vec<u8>)>> {
    let dir = std::env::var("WEIR_COMPONENTS")
        .context("WEIR_COMPONENTS is not set: run `cargo xtask bench throughput`")?;
    let read = |name: &str| {
        let path = Path::new(&dir).join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        Ok((name.to_owned(), bytes))
    };
    COMPONENTS.into_iter().map(read).collect()
}

/// The columns that metrics ask for, by source.
fn asked(metrics: &Metrics, described: &[Arc<dyn MetricFactory>], sources: &[Arc<SourceDecl>]) -> Asked {
    let inputs = || {
        let chosen = described.iter().filter(|f| metrics.contains_key(&f.info().name));
        chosen.flat_map(|f| &f.info().inputs)
    };
    let columns = |source: &Arc<SourceDecl>| -> BTreeSet<usize> {
        let ours = inputs().filter(|i| i.source == source.name);
        ours.flat_map(|i| &i.fields).filter_map(|field| source.column(&field.name)).collect()
    };
    sources.iter().map(columns).collect()
}

impl Figures {
    fn new(name: &str, ground: &Ground) -> Result<Figures> {
        let described = &ground.native.described;
        let metrics = chosen::set(name, described)?;
        Ok(Figures {
            name: name.to_owned(),
            asked: asked(&metrics, described, &ground.sources),
            metrics,
            yardstick: 0.0,
            decode: 0.0,
            sandboxed: Engine::default(),
            native: Engine::default(),
            two_cores: Engine::default(),
        })
    }

    /// Whether it is compared with more than decoding.
    fn is_compared(&self) -> bool {
        ["four", "all"].contains(&self.name.as_str())
    }

    fn go(&mut self, options: &Options, ground: &Ground) -> Result<()> {
        let Ground { stream, sources, .. } = ground;
        let asks = |way: &str| options.ways.iter().any(|w| w == way);
        if asks("yardstick") && self.is_compared() {
            self.yardstick = self.yardstick.max(ways::yardstick(stream, sources, &self.asked)?);
        }
        if asks("decode") {
            self.decode = self.decode.max(ways::decode(stream, sources, &self.asked));
        }
        if asks("sandboxed") {
            keep(&mut self.sandboxed, ground.engine(&ground.sandbox, &self.metrics)?);
        }
        if asks("native") && self.is_compared() {
            keep(&mut self.native, ground.engine(&ground.native, &self.metrics)?);
        }
        if asks("cores") && self.is_compared() {
            ways::pin_to(2)?;
            let on_two = ground.engine(&ground.sandbox, &self.metrics);
            ways::pin_to(1)?;
            keep(&mut self.two_cores, on_two?);
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.metrics.values().sum()
    }
}

impl Ground {
    fn engine(&self, loader: &dyn Loader, metrics: &Metrics) -> Result<Engine> {
        ways::engine(&self.stream, &self.sources, &self.components, &Chosen { loader, metrics })
    }
}

/// The best of all rounds.
fn keep(best: &mut Engine, other: Engine) {
    if other.rate > best.rate {
        *best = other;
    }
}

fn report(options: &Options, stream: &Stream, sets: &[Figures]) -> Result<()> {
    println!(
        "{:<6}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "set",
        "metrics",
        "yardstick",
        "decode",
        "sandboxed",
        "native",
        "2 cores",
        "÷ decode",
        "÷ native",
        "samples",
        "slots",
        "MB"
    );
    for set in sets {
        let mega = |rate: f64| format!("{:.3}", rate / 1e6);
        println!(
            "{:<6}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9.2}{:>9.2}{:>9.2}{:>9}{:>9}",
            set.name,
            set.count(),
            mega(set.yardstick),
            mega(set.decode),
            mega(set.sandboxed.rate),
            mega(set.native.rate),
            mega(set.two_cores.rate),
            set.sandboxed.rate / set.decode,
            set.native.rate / set.sandboxed.rate,
            set.sandboxed.samples as f64 / stream.records as f64,
            set.sandboxed.slots,
            set.sandboxed.guest_bytes >> 20,
        );
    }
    println!(
        "rates in M changes/s; samples a change; live slots and memory of the guests of the sandboxed run"
    );
    println!(
        "targets: decode ≥ 3 × yardstick (2.5 for four), sandboxed ≥ 0.60 × decode, native ≤ 1.5 × sandboxed"
    );
    for set in sets.iter().filter(|s| s.is_compared()) {
        println!("nanoseconds a change by stage, sandboxed, {}:", set.name);
        for (stage, ns) in &set.sandboxed.stages {
            println!("  {stage:<15} {:>8.1}", *ns as f64 / stream.records as f64);
        }
    }
    write(options, stream, sets)
}

fn write(options: &Options, stream: &Stream, sets: &[Figures]) -> Result<()> {
    let figures = json!({
        "records": stream.records, "bytes": stream.bytes, "seed": options.seed,
        "sets": sets.iter().map(|set| json!({
            "set": set.name, "metrics": set.count(), "yardstick": set.yardstick, "decode_only": set.decode,
            "sandboxed": of(&set.sandboxed), "native": of(&set.native), "two_cores": of(&set.two_cores),
        })).collect::<Vec<_>>(),
    });
    if let Some(folder) = options.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&options.json, serde_json::to_string_pretty(&figures)?)?;
    println!("figures in {}", options.json.display());
    Ok(())
}

fn of(engine: &Engine) -> Value {
    json!({
        "changes_per_second": engine.rate, "samples": engine.samples, "live_slots": engine.slots,
        "epochs": engine.epochs, "written_bytes": engine.written, "guest_bytes": engine.guest_bytes,
        "stages_ns": engine.stages,
    })
}
