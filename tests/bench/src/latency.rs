//! From a record in Kafka to its event on the stream and to its row in ClickHouse, at half load.

use crate::whole::{Pace, Tickets, Whole, now_ms, replied, ticket, write_json};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use weir_e2e::clickhouse::Server;
use weir_e2e::net;
use weir_generator::life::ticket::Ticket;

#[derive(clap::Args)]
pub struct Options {
    /// Lengths of epochs.
    #[arg(long, value_delimiter = ',', default_values_t = ["1s".to_owned(), "250ms".to_owned()])]
    epochs: Vec<String>,
    /// Seconds of measuring at each.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Changes a second. Default: half of what the host takes on this machine, which is measured first.
    #[arg(long)]
    rate: Option<f64>,
    /// A folder on another disk, or in memory, for Kafka's log. On the host's own disk, what Kafka writes back every
    /// half minute holds up the host's writes.
    #[arg(long)]
    kafka_log: Option<PathBuf>,
    #[arg(long, default_value = "target/bench/latency.json")]
    json: PathBuf,
}

/// Queues of the load; those of probes begin above.
const QUEUES: i64 = 50;
const AGENTS: i64 = 500;
const PROBES_FROM: i64 = 1_000_000;
const PROBES_PER_SECOND: f64 = 10.0;
/// Seconds of full load by which half load is known, after some to warm up.
const WARM: Duration = Duration::from_secs(5);
const FULL: Duration = Duration::from_secs(10);
/// Pause between two looks into ClickHouse: its answer is so late at most. Shorter, and the looks take a third of a core.
const LOOK: Duration = Duration::from_millis(50);
/// Probes that may be overtaken by the newest one.
const BEFORE: i64 = 100;
/// How long the last probes may take.
const REST: Duration = Duration::from_secs(15);

/// When each probe was sent and seen.
#[derive(Default)]
struct Probes {
    sent: Mutex<BTreeMap<i64, Instant>>,
    streamed: Mutex<BTreeMap<i64, Duration>>,
    stored: Mutex<BTreeMap<i64, Duration>>,
    over: AtomicBool,
}

impl Probes {
    fn seen(&self, queue: i64, on: &Mutex<BTreeMap<i64, Duration>>) {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).get(&queue).copied();
        if let Some(sent) = sent {
            on.lock().unwrap_or_else(PoisonError::into_inner).entry(queue).or_insert_with(|| sent.elapsed());
        }
    }
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

pub fn run(options: &Options) -> Result<()> {
    let mut runs = Vec::new();
    let mut rate = options.rate;
    for epoch in &options.epochs {
        let mut whole = Whole::start("latency", epoch, options.kafka_log.as_deref())?;
        let mut load = Load::new(whole.tickets()?);
        let half = match rate {
            Some(rate) => rate,
            None => *rate.insert(capacity(&mut whole, &mut load)? / 2.0),
        };
        warm_up(&mut whole, &mut load, half)?;
        runs.push(measure(&mut whole, load, epoch, half, options.seconds)?);
    }
    write_json(&options.json, &json!({ "runs": runs }))
}

/// Tickets of 50 queues and 500 agents: made, answered, touched.
struct Load {
    tickets: Tickets,
    next: i64,
    open: Vec<Ticket>,
}

impl Load {
    fn new(tickets: Tickets) -> Load {
        Load { tickets, next: now_ms(), open: Vec::new() }
    }

    /// A third each: a new ticket, a first reply, an update that no metric watches.
    fn send(&mut self) -> Result<()> {
        self.next += 1;
        match (self.next % 3, self.open.pop()) {
            (1, Some(open)) => {
                let after = replied(&open);
                self.tickets.send(Some(&open), &after)?;
                self.open.push(after);
            }
            (2, Some(open)) => {
                let after =
                    Ticket { reply_count: open.reply_count + 1, updated_at: now_ms(), ..open.clone() };
                self.tickets.send(Some(&open), &after)?;
            }
            (_, open) => {
                self.open.extend(open);
                let made = ticket(self.next, self.next % QUEUES, self.next % AGENTS);
                self.tickets.send(None, &made)?;
                self.open.push(made);
            }
        }
        Ok(())
    }
}

/// Changes a second that the host takes while they are sent as fast as they can be.
fn capacity(whole: &mut Whole, load: &mut Load) -> Result<f64> {
    let read = |whole: &Whole| whole.metric("weir_partition_read_records_total");
    let began = Instant::now();
    let mut from = None;
    let mut sent = 0u64;
    while began.elapsed() < WARM + FULL {
        for _ in 0..200 {
            load.send()?;
        }
        sent += 200;
        if from.is_none() && began.elapsed() >= WARM {
            from = Some((read(whole)?, Instant::now(), sent));
        }
    }
    let (before, since, sent_before) = from.context("the load took too long to begin")?;
    let seconds = since.elapsed().as_secs_f64();
    let full = (read(whole)? - before) / seconds;
    println!("full load: {:.0} changes/s sent, {full:.0} taken", (sent - sent_before) as f64 / seconds);
    load.tickets.flush()?;
    whole.settle()?;
    Ok(full.max(2.0))
}

/// Some seconds at the load that is measured; all of it is in ClickHouse at the end.
fn warm_up(whole: &mut Whole, load: &mut Load, rate: f64) -> Result<()> {
    let mut pace = Pace::new(rate);
    let began = Instant::now();
    while began.elapsed() < WARM {
        pace.wait();
        load.send()?;
    }
    load.tickets.flush()?;
    whole.settle()
}

fn measure(whole: &mut Whole, mut load: Load, epoch: &str, rate: f64, seconds: u64) -> Result<Value> {
    let probes = Arc::new(Probes::default());
    let stream = {
        let (probes, url) = (probes.clone(), whole.host.url());
        std::thread::spawn(move || follow_stream(&probes, &url))
    };
    let table = {
        let (probes, server) = (probes.clone(), whole.server.clone());
        std::thread::spawn(move || follow_table(&probes, &server))
    };
    let began = Instant::now();
    let mut pace = Pace::new(rate);
    let (mut sent, mut probed) = (0u64, 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        pace.wait();
        load.send()?;
        sent += 1;
        if began.elapsed().as_secs_f64() * PROBES_PER_SECOND > probed as f64 {
            send_probe(&probes, probed, &mut load.tickets)?;
            probed += 1;
        }
    }
    let real = sent as f64 / began.elapsed().as_secs_f64();
    load.tickets.flush()?;
    let all = probes.sent.lock().unwrap_or_else(PoisonError::into_inner).len();
    let count = |on: &Mutex<BTreeMap<i64, Duration>>| on.lock().unwrap_or_else(PoisonError::into_inner).len();
    let rest = Instant::now();
    while rest.elapsed() < REST && (count(&probes.streamed) < all || count(&probes.stored) < all) {
        std::thread::sleep(Duration::from_millis(50));
    }
    probes.over.store(true, Ordering::Release);
    join(table)?;
    // The stream's thread ends with the next event, of which there is one a second at least.
    join(stream)?;
    println!("epochs of {epoch}, {real:.0} changes/s, {all} probes:");
    let streamed = figures("record → event on the stream", all, &probes.streamed);
    let stored = figures("record → row in ClickHouse", all, &probes.stored);
    let stages = stages(&whole.metrics_text()?);
    for (stage, (records, mean)) in &stages {
        println!("  read → {stage:<10} {mean:7.3} s on average over {records} records (/metrics)");
    }
    let stages: serde_json::Map<String, Value> = stages
        .into_iter()
        .map(|(stage, (records, mean))| (stage, json!({ "records": records, "mean_s": mean })))
        .collect();
    Ok(json!({
        "epoch": epoch, "changes_per_second": real, "probes": all,
        "stream": streamed, "clickhouse": stored, "stages": stages,
    }))
}

fn join(thread: std::thread::JoinHandle<Result<()>>) -> Result<()> {
    thread.join().map_err(|_| anyhow::anyhow!("a thread of the benchmark panicked"))?
}

/// A new ticket of a queue of its own.
fn send_probe(probes: &Probes, n: i64, tickets: &mut Tickets) -> Result<()> {
    let queue = PROBES_FROM + n;
    let made = ticket(now_ms() * 1000 + n, queue, queue);
    probes.sent.lock().unwrap_or_else(PoisonError::into_inner).insert(queue, Instant::now());
    tickets.send(None, &made)
}

/// Reads the stream, and notes every queue of a probe.
fn follow_stream(probes: &Probes, url: &str) -> Result<()> {
    let url = format!("{url}/api/v1/stream?metric=ticket.created&window=1m&set=queue_id");
    let answer = net::agent(Duration::from_secs(3600)).get(&url).call().context("open the stream")?;
    let lines = BufReader::new(answer.into_body().into_reader()).lines();
    for line in lines {
        let line = line.context("read the stream")?;
        if let Some(data) = line.strip_prefix("data: ") {
            let data: Value = serde_json::from_str(data).context("an event that is no JSON")?;
            for row in data["rows"].as_array().into_iter().flatten() {
                if let Some(queue) = queue_of(&row["dims"]) {
                    probes.seen(queue, &probes.streamed);
                }
            }
        }
        if probes.is_over() {
            return Ok(());
        }
    }
    Ok(())
}

/// The queue in a row's dimensions, if it is a probe's.
fn queue_of(dims: &Value) -> Option<i64> {
    let first = match dims {
        Value::Array(list) => list.first()?,
        Value::Object(map) => map.get("queue_id")?,
        _ => return None,
    };
    let queue = first.as_i64().or_else(|| first.as_str()?.parse().ok())?;
    (queue >= PROBES_FROM).then_some(queue)
}

/// Asks ClickHouse for new probes, again and again.
fn follow_table(probes: &Probes, server: &Server) -> Result<()> {
    let mut newest = PROBES_FROM - 1;
    while !probes.is_over() {
        let sql = format!(
            "SELECT DISTINCT toInt64(dims[1]) AS queue FROM weir.metric_realtime WHERE metric = 'ticket.created' \
             AND window = '1m' AND dimension_set = 'queue_id' AND toInt64OrZero(dims[1]) > {} ORDER BY queue",
            // Partitions are not read in step.
            newest - BEFORE
        );
        for row in server.rows(&sql)? {
            let queue =
                row.first().and_then(|text| text.parse().ok()).context("a queue that is no number")?;
            probes.seen(queue, &probes.stored);
            newest = newest.max(queue);
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Prints and gives median, 99th percentile and maximum in seconds.
fn figures(name: &str, sent: usize, seen: &Mutex<BTreeMap<i64, Duration>>) -> Value {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut times: Vec<f64> = seen.values().map(Duration::as_secs_f64).collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let rank = (share * times.len() as f64).ceil() as usize;
        times.get(rank.clamp(1, times.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
    };
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    println!("  {name:<30} p50 {p50:.3} s, p99 {p99:.3} s, max {max:.3} s, {} of {sent} seen", times.len());
    json!({ "p50_s": p50, "p99_s": p99, "max_s": max, "seen": times.len() })
}

/// Records and mean seconds by stage, from the host's histogram.
fn stages(text: &str) -> BTreeMap<String, (u64, f64)> {
    let of = |kind: &str| -> BTreeMap<String, f64> {
        let prefix = format!("weir_record_latency_seconds_{kind}{{stage=\"");
        let line = |line: &str| {
            let (stage, value) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
            Some((stage.to_owned(), value.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    };
    let (counts, sums) = (of("count"), of("sum"));
    let mean = |(stage, count): (String, f64)| {
        let sum = sums.get(&stage).copied().unwrap_or(0.0);
        (stage, (count as u64, sum / count.max(1.0)))
    };
    counts.into_iter().map(mean).collect()
}
