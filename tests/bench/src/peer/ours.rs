//! The host over the peer's topics, from their beginning until all is read, durable and in ClickHouse.

use super::TOPICS;
use super::catalogue::PERIODS;
use super::compare::{self, Values};
use super::figures::{self, Figures, Point};
use super::load::Loaded;
use crate::whole::now_ms;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::time::{Duration, Instant};
use weir_e2e::clickhouse::ClickHouse;
use weir_e2e::host::{Config, Host, Status};
use weir_e2e::process::Process;
use weir_e2e::{interrupt, net, paths};

const LIMIT: Duration = Duration::from_secs(600);
/// As often as the peer looks at itself; what it costs the host is counted.
const LOOK: Duration = Duration::from_millis(50);
const SOURCES: [&str; 5] = ["ticket", "call_record", "im_session", "agent_state", "survey"];
const COMPONENTS: [&str; 5] = ["ticket.wasm", "call.wasm", "im.wasm", "team.wasm", "survey.wasm"];

pub fn run(bootstrap: &str, loaded: &Loaded, dir: &Path) -> Result<(Figures, Values)> {
    std::fs::create_dir_all(dir)?;
    eprintln!("  … Weir reads everything");
    let bins = paths::bins_from_env()?;
    let mut clickhouse = ClickHouse::started(&bins, &paths::from_env(paths::CHDB_LIB)?, dir)?;
    let server = clickhouse.server();
    let mut config = config(bootstrap)?;
    config.clickhouse(&server).clock(&origin(loaded.last_ms)?, SPEED);
    let engine_before = clickhouse.process()?.cpu_seconds()?;
    let mut host = Host::new(&bins, dir, net::free_port()?, &config)?;
    let began = Instant::now();
    host.launch()?;
    let (points, status) = watch(&mut host, began, loaded.records)?;
    let process_cpu = host.process()?.cpu_seconds()?;
    let engine = clickhouse.process()?.cpu_seconds()? - engine_before;
    let peak = host.process()?.most_resident_kb()? / 1024;
    let threads = threads(host.process()?)?;
    let beside = format!("{}; {threads}; ClickHouse beside it {engine:.1} cpu-s", beside(&host, &status)?);
    // An epoch is told a moment before it waits for delivery; what the host ends with is delivered for sure.
    host.stop()?;
    let values = compare::read(&server)?;
    clickhouse.stop()?;
    let total = loaded.records as f64;
    let half = figures::at(&points, total / 2.0).context("half was never read")?;
    let end = figures::at(&points, total).context("the end was never read")?;
    let run = Figures {
        variant: "Weir",
        records: loaded.records,
        all: figures::part(points[0], end),
        second_half: figures::part(half, end),
        process_wall: end.wall,
        process_cpu,
        peak_mib: peak,
        rows: status.0["delivery"]["inserted_rows"].as_u64().unwrap_or(0),
        beside,
    };
    Ok((run, values))
}

/// The example's, over the peer's topics and windows; changed windows are shown once an epoch, as the peer
/// shows them once a second.
fn config(bootstrap: &str) -> Result<Config> {
    let mut config = Config::example()?;
    config.keep_sources(&SOURCES).kafka("bootstrap.servers", bootstrap).set("epoch", "length", "1s");
    for (name, topic) in SOURCES.into_iter().zip(TOPICS) {
        config.source(name)?.insert("topics".into(), vec![topic].into());
    }
    for window in ["1m", "15m", "1h", "day"] {
        config.set("emit_every", window, "0s");
    }
    for metric in PERIODS {
        let mut own = toml::Table::new();
        own.insert("windows".into(), vec!["1m", "1h", "day"].into());
        config.set("metric", metric, own);
    }
    let components = paths::from_env(paths::COMPONENTS)?;
    COMPONENTS.iter().for_each(|file| {
        config.plugin(&components.join(file));
    });
    Ok(config)
}

/// The clock shows the end of the data now, and the data's 15 minutes pass in 15 seconds: values that change
/// as time passes do change, as the peer's do, whose clock is its watermark.
const SPEED: f64 = 60.0;

/// The moment, in the future, at which such a clock is right.
fn origin(shown_ms: i64) -> Result<String> {
    let now = now_ms();
    let ahead = (now - shown_ms) as f64 / (SPEED - 1.0);
    Ok(jiff::Timestamp::from_millisecond(now + ahead as i64)?.to_string())
}

/// The points at which an epoch became durable, from the first answer of the API; the last is when ClickHouse
/// had everything.
fn watch(host: &mut Host, began: Instant, records: u64) -> Result<(Vec<Point>, Status)> {
    let mut points: Vec<Point> = Vec::new();
    let api = host.api();
    while began.elapsed() < LIMIT {
        interrupt::check()?;
        host.check_alive()?;
        if let Ok(status) = api.status() {
            let read: i64 = status.next_offsets().values().sum();
            let cpu = host.process()?.cpu_seconds()?;
            let point = Point { wall: began.elapsed().as_secs_f64(), cpu, records: read as f64 };
            if read as u64 == records {
                if status.waiting_epochs() == 0 {
                    points.push(point);
                    return Ok((points, status));
                }
            } else if points.last().is_none_or(|last| last.records < point.records) {
                points.push(point);
            }
        }
        std::thread::sleep(LOOK);
    }
    bail!("the host has not read {records} messages within {} s", LIMIT.as_secs())
}

/// Which threads used most.
fn threads(process: &Process) -> Result<String> {
    let mut used: Vec<(String, f64)> = process.cpu_by_thread()?.into_iter().collect();
    used.sort_by(|a, b| b.1.total_cmp(&a.1));
    let used: Vec<String> =
        used.iter().take(6).map(|(name, seconds)| format!("{name} {seconds:.1}")).collect();
    Ok(format!("cpu-s by thread: {}", used.join(", ")))
}

/// What became of the records. A record that could not be read is an error: the
/// figures would be those of other work.
fn beside(host: &Host, status: &Status) -> Result<String> {
    let (applied, skipped, dead) = (status.count("applied"), status.count("skipped"), status.count("dead"));
    if dead > 0 {
        bail!("{dead} of the peer's messages are dead letters");
    }
    let text = net::get(&format!("{}/metrics", host.url()), Duration::from_secs(30))?.1;
    let sum = |family: &str| -> f64 {
        let lines =
            text.lines().filter(|l| l.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' '])));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    };
    let metrics = text.lines().filter(|line| line.starts_with("weir_metric_info{")).count();
    Ok(format!(
        "{metrics} metrics; applied={applied} skipped={skipped} dead={dead}; samples={} late={} rejected={} excluded={} failures={}; \
         epochs={} written-MB={:.0}; in calls into metrics {:.1} s",
        sum("weir_metric_samples_total"),
        sum("weir_metric_late_samples_total"),
        sum("weir_metric_rejected_rows_total"),
        sum("weir_metric_excluded_rows_total"),
        sum("weir_metric_failures_total"),
        sum("weir_epochs_total"),
        sum("weir_write_bytes_total") / 1e6,
        sum("weir_metric_busy_seconds_total"),
    ))
}
