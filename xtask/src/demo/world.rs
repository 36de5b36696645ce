//! The processes of one demo.

use super::kills::Victim;
use super::{Options, Parts};
use crate::say;
use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use weir_e2e::broker::Broker;
use weir_e2e::clickhouse::{ClickHouse, Server};
use weir_e2e::connect::Connect;
use weir_e2e::host::{Config, Host};
use weir_e2e::kafka::Kafka;
use weir_e2e::mariadb::{self, MariaDb};
use weir_e2e::paths::Bins;
use weir_e2e::process::{self, Process};
use weir_e2e::wait;

pub const TOPICS: [&str; 2] = ["svc.service.ticket", "svc.service.call_record"];
const PARTITIONS: u32 = 4;
const DATABASE: &str = "service";
/// A row of this table, written last, shows when Debezium has passed everything on.
const MARKER_TABLE: &str = "demo_marker";
const MARKER: &str = "all-is-written";
/// On the clock: 10 real seconds at 60 times the speed. Longer than a killed process needs to come back.
const IDLE_AFTER: &str = "10m";
/// When, as a share of a run with `--check`, a new day begins: after the push.
const MIDNIGHT_AT: f64 = 0.5;
/// Roughly how long the parts need before the run begins.
const START_EMBEDDED: Duration = Duration::from_secs(3);
const START_REAL: Duration = Duration::from_secs(20);
const DAY_S: i64 = 86_400;
const PUSH_LIMIT: Duration = Duration::from_secs(60);
const SETTLE_LIMIT: Duration = Duration::from_secs(180);
/// Several epochs.
const QUIET: Duration = Duration::from_secs(4);
const GENERATOR_LIMIT: Duration = Duration::from_secs(60);

/// Where changes come from. Fields are dropped in order: readers before what they read.
pub enum Upstream {
    Embedded { broker: Box<Broker> },
    Real { connect: Box<Connect>, kafka: Box<Kafka>, mariadb: Box<MariaDb> },
}

pub struct World {
    pub dir: PathBuf,
    pub bins: Bins,
    components: PathBuf,
    generator: Option<Process>,
    pub host: Host,
    pub clickhouse: Option<ClickHouse>,
    pub server: Server,
    pub upstream: Upstream,
}

impl World {
    pub fn start(options: &Options, parts: &Parts, dir: &Path, port: u16) -> Result<World> {
        let clock = DemoClock::new(options)?;
        say::step("starting ClickHouse, the broker and the host");
        let (clickhouse, server) = clickhouse(options, parts, dir)?;
        let upstream = upstream(options, parts, dir, &clock)?;
        let mut config = Config::example()?;
        config.clickhouse(&server).plugin(&parts.components.join("ticket.wasm"));
        config.kafka("bootstrap.servers", &upstream.bootstrap());
        if options.check {
            config.clock(&clock.origin.to_string(), options.speed());
            for source in ["ticket", "call_record"] {
                config.source(source)?.insert("idle_after".into(), IDLE_AFTER.into());
            }
        }
        for source in ["ticket", "call_record"] {
            config.written_by(source, &options.format)?;
        }
        let mut host = Host::new(&parts.bins, dir, port, &config)?;
        host.start()?;
        let generator = generator(options, parts, dir, &clock, &upstream)?;
        Ok(World {
            dir: dir.to_owned(),
            bins: parts.bins.clone(),
            components: parts.components.clone(),
            generator: Some(generator),
            host,
            clickhouse,
            server,
            upstream,
        })
    }

    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal.jsonl")
    }

    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(generator) = &mut self.generator {
            generator.check_alive()?;
        }
        self.host.check_alive()?;
        self.clickhouse.as_mut().map_or(Ok(()), ClickHouse::check_alive)?;
        self.upstream.check_alive()
    }

    /// Loads a component into the running host.
    pub fn push(&mut self, file: &str) -> Result<()> {
        let path = self.components.join(file);
        let path = path.to_str().context("the components' folder has a name that is no UTF-8")?;
        let host = &self.host;
        wait::until(&format!("push of {file}"), PUSH_LIMIT, || match host.plugin(&["push", path]) {
            Ok((true, text)) => Ok(Some(text)),
            Ok((false, text)) => Err(text.trim().to_owned()),
            Err(error) => Err(format!("{error:#}")),
        })?;
        say::note(format!("pushed {file} into the running host"));
        Ok(())
    }

    pub fn kill_and_restart(&mut self, victim: Victim) -> Result<()> {
        match (victim, &mut self.upstream) {
            (Victim::Host, _) => {
                say::note("kill -9 of the host, and a new start");
                self.host.kill();
                self.host.launch()
            }
            (Victim::Connect, Upstream::Real { connect, .. }) => {
                say::note("kill -9 of Debezium, and a new start");
                connect.kill();
                connect.launch()
            }
            (Victim::Connect, Upstream::Embedded { .. }) => Ok(()),
        }
    }

    pub fn stop_generator(&mut self) -> Result<()> {
        if let Some(mut generator) = self.generator.take() {
            let status = generator.stop(GENERATOR_LIMIT)?;
            if !status.success() {
                anyhow::bail!("the generator ended with {status}; {}", generator.tail());
            }
        }
        Ok(())
    }

    /// Waits until everything has been read, computed and delivered.
    pub fn settle(&mut self) -> Result<()> {
        say::step("waiting until all is read and delivered");
        if let Upstream::Real { connect, mariadb, .. } = &mut self.upstream {
            connect.wait_running()?;
            mariadb.run(&format!("INSERT INTO {DATABASE}.{MARKER_TABLE} VALUES ('{MARKER}')"))?;
            let data = self.dir.join("kafka/data");
            wait::until("Debezium passes the last change on", SETTLE_LIMIT, || Ok(marker_is_in(&data)))?;
        }
        self.host.wait_ready()?;
        let api = self.host.api();
        let mut quiet_since: Option<Instant> = None;
        wait::until("the host has read and delivered everything", SETTLE_LIMIT, || {
            let status = api.status().map_err(|e| format!("{e:#}"))?;
            if !(status.caught_up() && status.idle() && status.waiting_epochs() == 0) {
                quiet_since = None;
                return Err(status.0.to_string());
            }
            // The epoch that emits what was due begins after the partitions became idle.
            let since = *quiet_since.get_or_insert_with(Instant::now);
            Ok((since.elapsed() >= QUIET).then_some(()))
        })
    }
}

impl Upstream {
    pub fn bootstrap(&self) -> String {
        match self {
            Upstream::Embedded { broker } => broker.bootstrap.clone(),
            Upstream::Real { kafka, .. } => kafka.bootstrap(),
        }
    }

    fn check_alive(&mut self) -> Result<()> {
        match self {
            Upstream::Embedded { broker } => broker.process.check_alive(),
            Upstream::Real { connect, kafka, mariadb } => {
                connect.check_alive()?;
                kafka.check_alive()?;
                mariadb.check_alive()
            }
        }
    }
}

/// The clock of host and generator: it shows `origin` at the real time `origin`.
struct DemoClock {
    origin: Timestamp,
    /// What it shows when the processes are started.
    start: Timestamp,
}

impl DemoClock {
    /// Under `--check` it shows the last midnight (UTC, the zone of the example's days) in the middle of
    /// the run, so that even a metric that was pushed sees the first part of a whole hour and day.
    fn new(options: &Options) -> Result<DemoClock> {
        let now = Timestamp::now();
        let (true, Some(whole)) = (options.check, options.run_for) else {
            return Ok(DemoClock { origin: now, start: now });
        };
        let speed = options.speed();
        let ahead = if options.real { START_REAL } else { START_EMBEDDED } + whole.mul_f64(MIDNIGHT_AT);
        let midnight = Timestamp::from_second(now.as_second() / DAY_S * DAY_S)?;
        let middle = now.checked_add(SignedDuration::try_from(ahead)?)?;
        // origin + (middle - origin) * speed = midnight
        let behind = middle.duration_since(midnight).as_secs_f64() / (speed - 1.0);
        Ok(DemoClock {
            origin: middle.checked_add(SignedDuration::from_secs_f64(behind))?,
            start: midnight.checked_sub(SignedDuration::try_from(ahead.mul_f64(speed))?)?,
        })
    }
}

fn clickhouse(options: &Options, parts: &Parts, dir: &Path) -> Result<(Option<ClickHouse>, Server)> {
    match (&options.clickhouse_url, &parts.chdb) {
        (None, Some(lib)) => {
            let engine = ClickHouse::started(&parts.bins, lib, dir)?;
            let server = engine.server();
            Ok((Some(engine), server))
        }
        (url, _) => {
            let server = Server {
                url: url.clone().unwrap_or_default(),
                user: options.clickhouse_user.clone(),
                password: options.clickhouse_password.clone(),
            };
            server.query("SELECT 1").context("--clickhouse-url")?;
            Ok((None, server))
        }
    }
}

fn upstream(options: &Options, parts: &Parts, dir: &Path, clock: &DemoClock) -> Result<Upstream> {
    let (Some(kafka), Some(connect)) = (&parts.kafka, &parts.connect) else {
        let topics = TOPICS.map(|name| (name, PARTITIONS));
        return Ok(Upstream::Embedded { broker: Box::new(Broker::start(&parts.bins, dir, &topics)?) });
    };
    let kafka = Kafka::started(kafka, dir)?;
    let mariadb = MariaDb::start(dir)?;
    mariadb.run(&format!(
        "CREATE DATABASE {DATABASE}; CREATE TABLE {DATABASE}.{MARKER_TABLE} (name VARCHAR(32) PRIMARY KEY)"
    ))?;
    let mut prepare = sql_generator(options, parts, &mariadb, clock);
    prepare.arg("--prepare");
    process::run("the generator's preparation", prepare, &dir.join("prepare.log"), GENERATOR_LIMIT)?;
    say::step("starting Debezium");
    let connect = Connect::start(connect, dir, &kafka, &mariadb, DATABASE)?;
    Ok(Upstream::Real { connect: Box::new(connect), kafka: Box::new(kafka), mariadb: Box::new(mariadb) })
}

fn generator(
    options: &Options,
    parts: &Parts,
    dir: &Path,
    clock: &DemoClock,
    upstream: &Upstream,
) -> Result<Process> {
    let command = match upstream {
        Upstream::Real { mariadb, .. } => sql_generator(options, parts, mariadb, clock),
        Upstream::Embedded { broker } => {
            let mut command = Command::new(parts.bins.generator());
            command.args(["kafka", "--brokers", &broker.bootstrap, "--journal"]);
            command.arg(dir.join("journal.jsonl"));
            command.args(["--partitions", &PARTITIONS.to_string(), "--bad", &options.bad.to_string()]);
            command.args(["--format", &options.format]);
            life(&mut command, options, clock);
            command
        }
    };
    Process::start("the generator", command, &dir.join("generator.log"))
}

fn sql_generator(options: &Options, parts: &Parts, mariadb: &MariaDb, clock: &DemoClock) -> Command {
    let mut command = Command::new(parts.bins.generator());
    command.args(["sql", "--mysql", &format!("127.0.0.1:{}", mariadb.port())]);
    command.args(["--user", mariadb::USER, "--password", mariadb::PASSWORD, "--database", DATABASE]);
    command.args(["--start", &clock.start.to_string()]);
    life(&mut command, options, clock);
    command
}

fn life(command: &mut Command, options: &Options, clock: &DemoClock) {
    command.args(["--seed", &options.seed.to_string(), "--rate", &options.rate.to_string()]);
    command.args(["--origin", &clock.origin.to_string(), "--speed", &options.speed().to_string()]);
}

/// Whether Kafka holds the marker's row.
fn marker_is_in(data: &Path) -> Option<()> {
    let prefix = format!("svc.{DATABASE}.{MARKER_TABLE}-");
    let folders = std::fs::read_dir(data).ok()?.flatten();
    let mut ours = folders.filter(|f| f.file_name().to_string_lossy().starts_with(&prefix));
    let holds = ours.any(|folder| {
        let bytes = std::fs::read(folder.path().join("00000000000000000000.log")).unwrap_or_default();
        bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
    });
    holds.then_some(())
}
