//! Changes a second on one core.

use crate::native::NativeLoader;
use crate::sources::{INDEXES, PARTITIONS, Stream, TOPICS, sources, stream};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use weir_decode::{Decoder, Outcome, yardstick::Yardstick};
use weir_engine::recover::{join_initial, recover};
use weir_plugin::{Sandbox, SandboxOptions};
use weir_types::batch::ChangeBatch;
use weir_types::ports::{Loader, StateStore, WriteSet};
use weir_types::record::{SourceEvent, TopicPartition};
use weir_types::schema::SourceDecl;
use weir_types::{DAY, HOUR, SECOND};

#[derive(clap::Args)]
pub struct Options {
    /// Records in memory, over which every way goes.
    #[arg(long, default_value_t = 3_000_000)]
    records: usize,
    /// Rounds; the best of each way counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Changes a second of the clock.
    #[arg(long, default_value_t = 2000.0)]
    per_second: f64,
    /// Only these ways (for a profile); what is left out is told as 0.
    #[arg(long, value_delimiter = ',', default_values_t = WAYS.map(String::from))]
    ways: Vec<String>,
    /// Where the figures go as JSON.
    #[arg(long, default_value = "target/bench/throughput.json")]
    json: PathBuf,
}

const WAYS: [&str; 4] = ["yardstick", "decode", "sandboxed", "native"];

/// Epochs end after so much real time, and not by size: one durable write a second.
const EPOCH: Duration = Duration::from_secs(1);
/// Rows of a batch that is decoded and dropped.
const BATCH_ROWS: usize = 8192;
/// The columns that the four metrics ask for, by source.
const ASKED: [&[&str]; 2] = [
    &["queue_id", "channel", "priority", "assignee_id", "status", "created_at", "first_reply_at"],
    &["queue_id", "direction", "queued_at"],
];
/// Of the sources that none of them reads.
const NOTHING: &[&str] = &[];

/// What a run of the engine gave besides its rate.
#[derive(Default)]
struct Engine {
    rate: f64,
    samples: u64,
    slots: u64,
    epochs: u64,
    written: u64,
    stages: BTreeMap<&'static str, u64>,
}

pub fn run(options: &Options) -> Result<()> {
    pin_to_one_core()?;
    let stream = stream(options.seed, options.records, options.per_second);
    println!(
        "{} records, {} B on average, {} changes/s of the clock, one core",
        stream.records,
        stream.bytes / stream.records.max(1),
        options.per_second
    );
    let sources = sources();
    let components = components()?;
    let sandbox = Sandbox::new(SandboxOptions::default())?;
    let mut described = Vec::new();
    for (origin, bytes) in &components {
        described.extend(sandbox.load(origin, bytes, &sources).map_err(anyhow::Error::msg)?);
    }
    let native = NativeLoader { described };
    let (mut yardstick, mut decode) = (0f64, 0f64);
    let (mut boxed, mut plain) = (Engine::default(), Engine::default());
    for round in 1..=options.rounds {
        println!("round {round} of {}", options.rounds);
        for way in &options.ways {
            match way.as_str() {
                "yardstick" => yardstick = yardstick.max(run_yardstick(&stream, &sources)?),
                "decode" => decode = decode.max(run_decoder(&stream, &sources)),
                "sandboxed" => {
                    boxed = better(boxed, run_engine(&stream, &sources, &components, &sandbox)?);
                }
                "native" => plain = better(plain, run_engine(&stream, &sources, &components, &native)?),
                other => bail!("there is no way {other}: the ways are {}", WAYS.join(", ")),
            }
        }
    }
    report(options, &stream, yardstick, decode, &boxed, &plain)
}

fn better(a: Engine, b: Engine) -> Engine {
    if b.rate > a.rate { b } else { a }
}

/// All threads started from here on share one core.
fn pin_to_one_core() -> Result<()> {
    // SAFETY: an all-zero set is a valid one, and the call only reads it.
    let outcome = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if outcome == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()).context("pin to one core") }
}

fn components() -> Result<Vec<(String, Vec<u8>)>> {
    let dir = std::env::var("WEIR_COMPONENTS")
        .context("WEIR_COMPONENTS is not set: run `cargo xtask bench throughput`")?;
    let read = |name: &str| {
        let path = Path::new(&dir).join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        Ok((name.to_string(), bytes))
    };
    ["ticket.wasm", "call.wasm"].into_iter().map(read).collect()
}

fn asked(source: usize, decl: &SourceDecl) -> BTreeSet<usize> {
    ASKED.get(source).unwrap_or(&NOTHING).iter().filter_map(|name| decl.column(name)).collect()
}

fn rate(records: usize, began: Instant) -> f64 {
    records as f64 / began.elapsed().as_secs_f64()
}

fn run_decoder(stream: &Stream, sources: &[Arc<SourceDecl>]) -> f64 {
    let mut decoder = Decoder::new(sources);
    let mut batches: Vec<ChangeBatch> = sources.iter().map(|s| ChangeBatch::new(s.columns.len())).collect();
    for (at, source) in sources.iter().enumerate() {
        decoder.set_asked(at, &asked(at, source));
    }
    let topic = |partition: u32| {
        let name = TOPICS[partition as usize / PARTITIONS as usize];
        decoder.topics().iter().position(|t| t == name).unwrap_or(0)
    };
    let topics: Vec<usize> = (0..INDEXES as u32).map(topic).collect();
    let began = Instant::now();
    for (_, batch) in &stream.batches {
        for record in batch.iter() {
            if let Outcome::Applied { source, .. } =
                decoder.decode(topics[record.partition as usize], &record, &mut batches)
                && batches[source].len() >= BATCH_ROWS
            {
                batches[source].clear();
            }
        }
    }
    rate(stream.records, began)
}

/// Tombstones are left out by hand: the yardstick knows values only.
fn run_yardstick(stream: &Stream, sources: &[Arc<SourceDecl>]) -> Result<f64> {
    let mut ways = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let mut columns = asked(at, source);
        columns.extend(source.primary_key.iter().copied());
        columns.insert(source.event_time);
        ways.push((Yardstick::new(source, &columns), ChangeBatch::new(source.columns.len())));
    }
    let began = Instant::now();
    for (_, batch) in &stream.batches {
        for record in batch.iter().filter(|r| r.value.is_some()) {
            let (way, rows) = &mut ways[record.partition as usize / PARTITIONS as usize];
            way.decode(&record, rows).map_err(|e| anyhow!("the yardstick cannot read a record: {e}"))?;
            if rows.len() >= BATCH_ROWS {
                rows.clear();
            }
        }
    }
    Ok(rate(stream.records, began))
}

fn engine_options(sources: &[Arc<SourceDecl>], components: &[(String, Vec<u8>)]) -> weir_engine::Options {
    let names = |pairs: &[(&str, i64)]| pairs.iter().map(|(n, t)| (n.to_string(), *t)).collect();
    weir_engine::Options {
        shard: "0".into(),
        sources: sources.to_vec(),
        time_zone: jiff::tz::TimeZone::UTC,
        epoch_length: EPOCH,
        epoch_bytes: 64 << 20,
        suspend_after: 1000,
        stalled_after: Duration::from_secs(60),
        emit_every: names(&[("1m", 0), ("15m", 5 * SECOND), ("1h", 10 * SECOND), ("day", 30 * SECOND)]),
        correct_for: names(&[("1m", 2 * HOUR), ("15m", 6 * HOUR), ("1h", 48 * HOUR), ("day", 8 * DAY)]),
        correct_for_default: 2 * HOUR,
        correct_for_metric: BTreeMap::new(),
        windows_metric: BTreeMap::new(),
        hot_slots: 250_000,
        hot_slots_total: 2_000_000,
        waiting_bytes: 64 << 20,
        initial_plugins: components.to_vec(),
    }
}

/// The whole way up to a durable epoch with its outbox; nothing is delivered.
fn run_engine(
    stream: &Stream,
    sources: &[Arc<SourceDecl>],
    components: &[(String, Vec<u8>)],
    loader: &dyn Loader,
) -> Result<Engine> {
    let folder = tempfile::tempdir()?;
    let folder_name = folder.path().display().to_string();
    let store = Arc::new(weir_state::Store::open(&folder_name, "0", weir_state::Claim::default())?);
    let start = Instant::now();
    let monotonic: weir_types::ports::Monotonic = Arc::new(move || start.elapsed());
    let mut shard = recover(engine_options(sources, components), store.clone(), loader, monotonic)?;
    join_initial(&mut shard, &*store, loader, 1, 0)?;
    for index in 0..INDEXES as u32 {
        let topic = TOPICS[index as usize / PARTITIONS as usize].to_string();
        let partition = TopicPartition { topic, partition: index as i32 % PARTITIONS };
        shard.apply(SourceEvent::Partition { index, partition }, 0);
    }
    let mut result = Engine::default();
    let began = Instant::now();
    // As in the host: one epoch is written while the next is computed, and no more than one waits.
    let write_ns = std::thread::scope(|scope| -> Result<u64> {
        let (jobs, received) = sync_channel::<WriteSet>(1);
        let writer = scope.spawn(|| write_all(&store, received));
        let mut epoch_began = Instant::now();
        let last = stream.batches.len().saturating_sub(1);
        for (at, (now, batch)) in stream.batches.iter().enumerate() {
            shard.read(batch, *now);
            if at == last || epoch_began.elapsed() >= EPOCH {
                let commit = shard.end_epoch(*now, false, None, result.epochs)?;
                result.written += commit.writes.size_bytes() as u64;
                result.epochs += 1;
                for (stage, ns) in commit.update.stages_ns {
                    *result.stages.entry(stage).or_default() += ns;
                }
                jobs.send(commit.writes)?;
                epoch_began = Instant::now();
            }
        }
        drop(jobs);
        writer.join().map_err(|_| anyhow!("the writer panicked"))?
    })?;
    result.stages.insert("write (beside)", write_ns);
    result.rate = rate(stream.records, began);
    if let Some(ill) = shard.catalogue().into_iter().find(|e| e.status != "live") {
        bail!("metric {} is {}: {}", ill.info.name, ill.status, ill.reason.unwrap_or_default());
    }
    result.samples = shard.samples();
    result.slots = shard.sizes().0;
    Ok(result)
}

/// Nanoseconds until all were durable.
fn write_all(store: &weir_state::Store, received: Receiver<WriteSet>) -> Result<u64> {
    let mut spent = 0;
    for writes in received {
        let began = Instant::now();
        store.write(writes)?;
        spent += began.elapsed().as_nanos() as u64;
    }
    Ok(spent)
}

fn report(
    options: &Options,
    stream: &Stream,
    yardstick: f64,
    decode: f64,
    boxed: &Engine,
    plain: &Engine,
) -> Result<()> {
    let line = |name: &str, rate: f64| println!("{name:<44} {:>8.3} M/s", rate / 1e6);
    line("yardstick (sonic-rs, generic)", yardstick);
    line("decode only", decode);
    line("four metrics, sandboxed, durable epochs", boxed.rate);
    line("four metrics, native, durable epochs", plain.rate);
    println!("decode only ÷ yardstick               {:.2}   (target ≥ 2.5)", decode / yardstick);
    println!("four metrics ÷ decode only            {:.2}   (target ≥ 0.60)", boxed.rate / decode);
    println!("native ÷ sandboxed, end to end        {:.2}", plain.rate / boxed.rate);
    let per_change = boxed.samples as f64 / stream.records as f64;
    println!(
        "samples a change {per_change:.3}, live slots {}, epochs {}, {} MB written",
        boxed.slots,
        boxed.epochs,
        boxed.written >> 20
    );
    println!("nanoseconds a change by stage (sandboxed):");
    for (stage, ns) in &boxed.stages {
        println!("  {stage:<15} {:>8.1}", *ns as f64 / stream.records as f64);
    }
    let engine = |e: &Engine| serde_json::json!({"changes_per_second": e.rate, "samples": e.samples, "live_slots": e.slots, "epochs": e.epochs, "written_bytes": e.written, "stages_ns": e.stages});
    let figures = serde_json::json!({
        "records": stream.records, "bytes": stream.bytes, "seed": options.seed, "cores": 1,
        "yardstick": yardstick, "decode_only": decode,
        "sandboxed": engine(boxed), "native": engine(plain),
    });
    if let Some(folder) = options.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&options.json, serde_json::to_string_pretty(&figures)?)?;
    println!("figures in {}", options.json.display());
    Ok(())
}
