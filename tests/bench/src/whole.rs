//! The whole way as processes: Kafka, the ClickHouse engine, the host; and tickets by hand.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_e2e::clickhouse::{ClickHouse, Server};
use weir_e2e::host::{Config, Host};
use weir_e2e::kafka::Kafka;
use weir_e2e::tables::TOPICS;
use weir_e2e::{net, paths};
use weir_generator::binlog::Position;
use weir_generator::debezium::{self, Envelope};
use weir_generator::life::Row;
use weir_generator::life::ticket::{CHANNELS, Status, Ticket};
use weir_ingest::{Producer, Properties};

pub const TICKET: &str = "svc.service.ticket";
const PARTITIONS: i32 = 4;
const LIMIT: Duration = Duration::from_secs(600);

/// Fields are dropped in order: the host before what it needs.
pub struct Whole {
    pub host: Host,
    pub kafka: Kafka,
    pub clickhouse: ClickHouse,
    pub server: Server,
    dir: PathBuf,
    log: Option<PathBuf>,
    keep: bool,
    /// Records sent by all [`Tickets`].
    sent: Arc<AtomicU64>,
}

impl Whole {
    /// Everything is started, the host with both components and epochs of this length. `log`: a folder in which
    /// Kafka keeps its log, away from all else.
    pub fn start(name: &str, epoch: &str, log: Option<&Path>) -> Result<Whole> {
        let bins = paths::bins_from_env()?;
        let (chdb, kafka) = (paths::from_env(paths::CHDB_LIB)?, paths::from_env(paths::KAFKA)?);
        let components = paths::from_env(paths::COMPONENTS)?;
        let dir = paths::run_dir(&std::env::temp_dir(), &format!("weir-bench-{name}"))?;
        let clickhouse = ClickHouse::started(&bins, &chdb, &dir)?;
        let log = log.map(|folder| paths::run_dir(folder, &format!("weir-bench-{name}"))).transpose()?;
        let kafka = Kafka::started(&kafka, log.as_ref().unwrap_or(&dir))?;
        let topics = TOPICS.map(|topic| (topic.to_owned(), PARTITIONS));
        weir_ingest::create_topics(&properties(&kafka), &topics, Duration::from_secs(30))?;
        let server = clickhouse.server();
        let mut config = Config::example()?;
        config.clickhouse(&server).kafka("bootstrap.servers", &kafka.bootstrap());
        config.set("epoch", "length", epoch).set("host", "log_format", "json");
        for file in ["ticket.wasm", "call.wasm"] {
            config.plugin(&components.join(file));
        }
        let mut host = Host::new(&bins, &dir, net::free_port()?, &config)?;
        host.start()?;
        Ok(Whole { host, kafka, clickhouse, server, dir, log, keep: false, sent: Arc::default() })
    }

    pub fn tickets(&self) -> Result<Tickets> {
        let mut properties = properties(&self.kafka);
        properties.insert("linger.ms".into(), "0".into());
        let (producer, sent) = (Producer::new(&properties)?, self.sent.clone());
        Ok(Tickets { producer, sent, value: Vec::new() })
    }

    /// Waits until everything in Kafka is read and delivered.
    pub fn settle(&mut self) -> Result<()> {
        let outcome = self.host.wait_read(self.sent.load(Ordering::Relaxed) as i64, LIMIT);
        self.keep = outcome.is_err();
        outcome
    }

    /// One family of `/metrics`, added up over its labels.
    pub fn metric(&self, family: &str) -> Result<f64> {
        let text = self.metrics_text()?;
        let lines = text.lines().filter(|line| {
            line.strip_prefix(family).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        });
        Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    pub fn metrics_text(&self) -> Result<String> {
        let url = format!("{}/metrics", self.host.url());
        Ok(net::get(&url, Duration::from_secs(30))?.1)
    }

    /// Resident memory of the host in MB: now, and at its most.
    pub fn memory_mb(&mut self) -> Result<(u64, u64)> {
        let process = self.host.process()?;
        Ok((process.resident_kb()? / 1024, process.most_resident_kb()? / 1024))
    }

    /// Bytes below the folder of the state.
    pub fn state_mb(&self) -> u64 {
        fn bytes(dir: &Path) -> u64 {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            entries
                .map(|entry| match entry.metadata() {
                    Ok(meta) if meta.is_dir() => bytes(&entry.path()),
                    Ok(meta) => meta.len(),
                    Err(_) => 0,
                })
                .sum()
        }
        bytes(&self.dir.join("state")) >> 20
    }

    /// The newest line of the host's log with this message.
    pub fn logged(&self, message: &str) -> Result<Value> {
        let text = self.host.log_text();
        let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut lines = lines.filter(|line| line["message"] == message);
        lines.next().with_context(|| format!("the host has not logged `{message}`"))
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("logs: {}", self.dir.display());
            return;
        }
        self.host.kill();
        let _ = self.kafka.stop();
        self.clickhouse.kill();
        for dir in self.log.iter().chain([&self.dir]) {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

fn properties(kafka: &Kafka) -> Properties {
    [("bootstrap.servers".to_owned(), kafka.bootstrap())].into()
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Sends changes of tickets, as Debezium writes them. Only one at a time may: the binlog has one order, and
/// what comes with a lower position than its partition's newest is a repeat.
pub struct Tickets {
    producer: Producer,
    sent: Arc<AtomicU64>,
    value: Vec<u8>,
}

/// A ticket just made, of this queue and assignee.
pub fn ticket(id: i64, queue_id: i64, assignee_id: i64) -> Ticket {
    let now = now_ms();
    Ticket {
        id,
        queue_id,
        channel: CHANNELS[id.rem_euclid(CHANNELS.len() as i64) as usize],
        priority: id.rem_euclid(4) + 1,
        customer_id: id,
        assignee_id: Some(assignee_id),
        status: Status::New,
        created_at: now,
        assigned_at: None,
        first_reply_at: None,
        solved_at: None,
        closed_at: None,
        reopen_count: 0,
        reply_count: 0,
        escalated: 0,
        first_reply_due_at: None,
        resolve_due_at: None,
        updated_at: now,
    }
}

/// The same ticket after its first reply.
pub fn replied(ticket: &Ticket) -> Ticket {
    let now = now_ms();
    Ticket {
        status: Status::Open,
        first_reply_at: Some(now),
        reply_count: 1,
        updated_at: now,
        ..ticket.clone()
    }
}

impl Tickets {
    /// Sends one change; blocks while too much is on its way.
    pub fn send(&mut self, before: Option<&Ticket>, after: &Ticket) -> Result<()> {
        let sent = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        let position = Position {
            file: 1,
            pos: sent * 100,
            row: 0,
            gtid: sent,
            second: after.updated_at / 1000,
            total_order: 1,
            table_order: 1,
        };
        let op = if before.is_some() { 'u' } else { 'c' };
        let sent_us = now_ms() * 1000;
        let envelope = Envelope { op, table: "ticket", position, sent_us, snapshot: "false" };
        let (before, after) = (before.cloned().map(Row::Ticket), Row::Ticket(after.clone()));
        self.value.clear();
        debezium::value(&mut self.value, before.as_ref(), Some(&after), &envelope);
        let Row::Ticket(row) = &after else { bail!("a ticket is a ticket") };
        let mut key = Vec::new();
        debezium::key(&mut key, row.id);
        let partition = (row.id % i64::from(PARTITIONS)) as i32;
        self.producer.send(TICKET, Some(partition), Some(&key), Some(&self.value), &[], sent)?;
        if sent.is_multiple_of(256) {
            self.check()?;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let failed = self.producer.poll().into_iter().find_map(|report| report.error);
        failed.map_or(Ok(()), |error| bail!("Kafka did not take a record: {error}"))
    }

    pub fn flush(&self) -> Result<()> {
        self.producer.flush(Duration::from_secs(60))?;
        self.check()
    }
}

/// Sends at an even rate: call before each record.
pub struct Pace {
    began: Instant,
    per_second: f64,
    done: u64,
}

impl Pace {
    pub fn new(per_second: f64) -> Pace {
        Pace { began: Instant::now(), per_second, done: 0 }
    }

    pub fn wait(&mut self) {
        let due = Duration::from_secs_f64(self.done as f64 / self.per_second);
        let ahead = due.saturating_sub(self.began.elapsed());
        // A millisecond at a time: sleeping is no more exact.
        if ahead > Duration::from_millis(1) {
            std::thread::sleep(ahead);
        }
        self.done += 1;
    }
}

/// Writes figures as JSON.
pub fn write_json(path: &Path, figures: &Value) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(path, format!("{figures:#}\n")).with_context(|| format!("write {}", path.display()))?;
    println!("figures in {}", path.display());
    Ok(())
}
