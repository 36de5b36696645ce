//! `weir-generator kafka|sql|file`: see `--help`.

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use weir_generator::clock::Clock;
use weir_generator::dice::Dice;
use weir_generator::foreign::Writer;
use weir_generator::journal::Journal;
use weir_generator::life::{Life, Options};
use weir_generator::live::{self, Sender};
use weir_generator::records::{Mischief, Record, Records};
use weir_generator::sql;
use weir_ingest::Producer;

/// Life-like changes of a service centre: tickets, calls, IM sessions, agents and surveys.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Produces records and journals them.
    Kafka(Kafka),
    /// Commits SQL transactions to MySQL or MariaDB.
    Sql(Sql),
    /// Writes a journal without any broker, as fast as it can.
    File(ToFile),
}

#[derive(Args)]
struct LifeArgs {
    /// The same seed, start and rate give the same life.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Row changes a real second, on average over a day of the clock.
    #[arg(long, default_value_t = 60.0)]
    rate: f64,
    /// What the clock showed, and real time was, when it began to run. Default: now.
    #[arg(long)]
    origin: Option<jiff::Timestamp>,
    /// How many times as fast as real time the clock runs.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// When, on the clock, the life begins. Default: what the clock shows now.
    #[arg(long)]
    start: Option<jiff::Timestamp>,
    /// Queues, of different size.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    queues: u16,
    /// Agents; those of a queue handle its contacts.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..))]
    agents: u16,
    /// Nobody mends an old row or notes a reply later: every time lies within the sources' disorder.
    #[arg(long)]
    punctual: bool,
    /// Stop after this real time ("30s", "5m"). Default: at SIGTERM or SIGINT.
    #[arg(long = "for", value_parser = seconds)]
    run_for: Option<f64>,
}

#[derive(Args)]
struct MischiefArgs {
    /// So many bad records among the good ones.
    #[arg(long, default_value_t = 0)]
    bad: u64,
    /// Repeat the last 200 records after every so many changes, as a restarted connector does; 0 = never.
    #[arg(long, default_value_t = 0)]
    repeat_every: u64,
    /// After every so many changes send one whose time is long past or far ahead; 0 = never.
    #[arg(long, default_value_t = 0)]
    late_every: u64,
    /// Send one record of 5 MB too. The broker must allow it.
    #[arg(long)]
    large: bool,
    /// Partitions of each topic.
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// Whose records to write. Canal's have no snapshot and no positions.
    #[arg(long, value_enum, default_value_t)]
    format: Writer,
    /// Begin without a snapshot of the rows that stand at the start.
    #[arg(long)]
    no_snapshot: bool,
}

#[derive(Args)]
struct Kafka {
    /// bootstrap.servers.
    #[arg(long)]
    brokers: String,
    /// Where to write the journal.
    #[arg(long)]
    journal: PathBuf,
    /// Any other property of librdkafka, NAME=VALUE.
    #[arg(long = "property")]
    properties: Vec<String>,
    #[command(flatten)]
    life: LifeArgs,
    #[command(flatten)]
    mischief: MischiefArgs,
}

#[derive(Args)]
struct Sql {
    /// HOST:PORT.
    #[arg(long)]
    mysql: String,
    #[arg(long)]
    user: String,
    #[arg(long, default_value = "")]
    password: String,
    #[arg(long, default_value = "service")]
    database: String,
    /// Only create the tables and insert the rows that stand at the start, then end. Needs --start;
    /// give the same --start, --seed, --rate and --speed to the run that follows.
    #[arg(long, requires = "start")]
    prepare: bool,
    #[command(flatten)]
    life: LifeArgs,
}

#[derive(Args)]
struct ToFile {
    /// How many records.
    #[arg(long)]
    records: u64,
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    life: LifeArgs,
    #[command(flatten)]
    mischief: MischiefArgs,
}

fn main() -> Result<()> {
    match Cli::parse().mode {
        Mode::Kafka(args) => kafka(&args),
        Mode::Sql(args) => to_sql(&args),
        Mode::File(args) => file(&args),
    }
}

/// The clock, the life's options, and when to stop on the clock.
fn begin(args: &LifeArgs) -> (Clock, Options, i64) {
    let real = Clock { origin_ms: 0, speed: 1.0 };
    let origin_ms = args.origin.map_or_else(|| real.now(), |t| t.as_millisecond());
    let clock = Clock { origin_ms, speed: args.speed };
    let now = clock.now();
    let start_ms = args.start.map_or(now, |t| t.as_millisecond());
    let until = args.run_for.map_or(i64::MAX, |s| now + (s * args.speed * 1_000.0) as i64);
    let options = Options::new(args.seed, start_ms, args.rate / args.speed);
    let (queues, agents) = (usize::from(args.queues), usize::from(args.agents));
    (clock, Options { punctual: args.punctual, queues, agents, ..options }, until)
}

fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stop.clone()).context("cannot listen for signals")?;
    }
    Ok(stop)
}

fn records(options: &Options, args: &MischiefArgs) -> Records {
    let mischief = Mischief {
        bad: args.bad,
        repeat_every: args.repeat_every,
        large: args.large,
        late_every: args.late_every,
    };
    Records::new(options, args.partitions, mischief).written_by(args.format)
}

fn kafka(args: &Kafka) -> Result<()> {
    let stop = stop_on_signal()?;
    let (clock, options, until) = begin(&args.life);
    let mut properties = weir_ingest::Properties::new();
    properties.insert("bootstrap.servers".into(), args.brokers.clone());
    for property in &args.properties {
        let (name, value) =
            property.split_once('=').with_context(|| format!("--property {property}: write NAME=VALUE"))?;
        properties.insert(name.into(), value.into());
    }
    let journal = Journal::create(&args.journal)
        .with_context(|| format!("cannot write the journal {}", args.journal.display()))?;
    let mut sender = Sender::new(Producer::new(&properties)?, journal);
    let mut records = records(&options, &args.mischief);
    if !args.mischief.no_snapshot {
        for record in records.snapshot(options.start_ms) {
            sender.send(&record)?;
        }
    }
    let outcome = live::run(&mut records, &mut sender, &clock, until, &stop);
    // The journal is completed even if sending failed in the middle.
    let mut summary = sender.finish()?;
    outcome?;
    summary["changes"] = records.changes().into();
    println!("{summary}");
    Ok(())
}

fn to_sql(args: &Sql) -> Result<()> {
    let stop = stop_on_signal()?;
    let (clock, options, until) = begin(&args.life);
    let target = sql::Target {
        address: args.mysql.clone(),
        user: args.user.clone(),
        password: args.password.clone(),
        database: args.database.clone(),
    };
    let mut connection = target.connect()?;
    let mut life = Life::new(&options);
    if args.prepare {
        let rows = sql::prepare(&mut connection, &life)?;
        println!("{}", serde_json::json!({ "prepared_rows": rows }));
        return Ok(());
    }
    let mut dice = Dice::new(options.seed).fork(4);
    let done = sql::run(&mut connection, &mut life, &mut dice, &clock, until, &stop)?;
    println!(
        "{}",
        serde_json::json!({
            "transactions": done.transactions,
            "rolled_back": done.rolled_back,
            "changes": done.changes,
        })
    );
    Ok(())
}

fn file(args: &ToFile) -> Result<()> {
    let stop = stop_on_signal()?;
    let (_, options, _) = begin(&args.life);
    let mut journal =
        Journal::create(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    let mut records = records(&options, &args.mischief).for_journal();
    let snapshot = if args.mischief.no_snapshot { Vec::new() } else { records.snapshot(options.start_ms) };
    let mut left = args.records;
    let mut write = |record: &Record| -> Result<bool> {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        journal.append(record).context("cannot write the journal")?;
        Ok(left > 0)
    };
    let mut go_on = true;
    for record in &snapshot {
        go_on = go_on && write(record)?;
    }
    while go_on && !stop.load(std::sync::atomic::Ordering::Relaxed) {
        for record in records.next_batch() {
            go_on = go_on && write(record)?;
        }
    }
    journal.flush().context("cannot write the journal")?;
    let mut summary = journal.summary();
    summary["changes"] = records.changes().into();
    println!("{summary}");
    Ok(())
}

/// "30s", "5m", "2h".
fn seconds(text: &str) -> Result<f64, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
    units
        .iter()
        .find_map(|(unit, length)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * length))
        .filter(|seconds| *seconds >= 0.0)
        .ok_or_else(|| format!("{text} is no time: write 30s, 5m or 2h"))
}
