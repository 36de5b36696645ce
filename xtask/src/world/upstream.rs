//! Where changes come from.

use super::{DemoClock, Parts, Setup};
use crate::say;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use weir_e2e::broker::Broker;
use weir_e2e::connect::{Connect, SIGNAL_TABLE};
use weir_e2e::kafka::Kafka;
use weir_e2e::mariadb::{self, MariaDb};
use weir_e2e::process::{self, Process};
use weir_e2e::tables::TOPICS;
use weir_e2e::wait;

const PARTITIONS: u32 = 4;
pub const DATABASE: &str = "service";
/// A row of this table, written last, shows when Debezium has passed everything on.
const MARKER_TABLE: &str = "demo_marker";
const MARKER: &str = "all-is-written";
const PREPARE_LIMIT: Duration = Duration::from_secs(60);

/// Which way changes take to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The generator writes Debezium's records to the broker in a process of ours.
    Embedded,
    /// The generator writes them to a real Kafka.
    Kafka,
    /// The generator writes to MariaDB; Debezium and Kafka are real.
    Services,
}

/// Fields are dropped in order: readers before what they read.
pub enum Upstream {
    Embedded { broker: Box<Broker> },
    Kafka { kafka: Box<Kafka> },
    Services { connect: Box<Connect>, kafka: Box<Kafka>, mariadb: Box<MariaDb> },
}

impl Upstream {
    pub fn start(setup: &Setup, parts: &Parts, dir: &Path, clock: &DemoClock) -> Result<Upstream> {
        if setup.way == Way::Embedded {
            let topics = TOPICS.map(|name| (name, PARTITIONS));
            return Ok(Upstream::Embedded { broker: Box::new(Broker::start(&parts.bins, dir, &topics)?) });
        }
        let jars = parts.kafka.as_ref().context("Kafka was not installed")?;
        let kafka = Box::new(Kafka::started(jars, dir)?);
        if setup.way == Way::Kafka {
            return Ok(Upstream::Kafka { kafka });
        }
        let mariadb = Box::new(MariaDb::start(dir)?);
        mariadb.run(&format!(
            "CREATE DATABASE {DATABASE}; CREATE TABLE {DATABASE}.{MARKER_TABLE} (name VARCHAR(32) PRIMARY KEY);
             CREATE TABLE {DATABASE}.{SIGNAL_TABLE} (id VARCHAR(42) PRIMARY KEY, type VARCHAR(32), data TEXT)"
        ))?;
        let mut prepare = sql_generator(setup, parts, &mariadb, clock);
        prepare.arg("--prepare");
        process::run("the generator's preparation", prepare, &dir.join("prepare.log"), PREPARE_LIMIT)?;
        say::step("starting Debezium");
        let jars = parts.connect.as_ref().context("Debezium was not installed")?;
        let connect = Box::new(Connect::start(jars, dir, &kafka, &mariadb, DATABASE)?);
        Ok(Upstream::Services { connect, kafka, mariadb })
    }

    pub fn bootstrap(&self) -> String {
        match self {
            Upstream::Embedded { broker } => broker.bootstrap.clone(),
            Upstream::Kafka { kafka } | Upstream::Services { kafka, .. } => kafka.bootstrap(),
        }
    }

    pub fn check_alive(&mut self) -> Result<()> {
        match self {
            Upstream::Embedded { broker } => broker.process.check_alive(),
            Upstream::Kafka { kafka } => kafka.check_alive(),
            Upstream::Services { connect, kafka, mariadb } => {
                connect.check_alive()?;
                kafka.check_alive()?;
                mariadb.check_alive()
            }
        }
    }

    pub fn generator(&self, setup: &Setup, parts: &Parts, dir: &Path, clock: &DemoClock) -> Result<Process> {
        let command = match self {
            Upstream::Services { mariadb, .. } => sql_generator(setup, parts, mariadb, clock),
            Upstream::Embedded { .. } | Upstream::Kafka { .. } => {
                let mut command = Command::new(parts.bins.generator());
                command.args(["kafka", "--brokers", &self.bootstrap(), "--journal"]);
                command.arg(dir.join("journal.jsonl"));
                command.args(["--partitions", &PARTITIONS.to_string()]).args(&setup.generator);
                command.args(["--format", &setup.format]);
                life(&mut command, setup, clock);
                command
            }
        };
        Process::start("the generator", command, &dir.join("generator.log"))
    }

    /// Waits until everything that was written stands in the broker.
    pub fn pass_everything_on(&mut self, dir: &Path, limit: Duration) -> Result<()> {
        let Upstream::Services { connect, mariadb, .. } = self else { return Ok(()) };
        connect.wait_running()?;
        mariadb.run(&format!("INSERT INTO {DATABASE}.{MARKER_TABLE} VALUES ('{MARKER}')"))?;
        let data = dir.join("kafka/data");
        wait::until("Debezium passes the last change on", limit, || Ok(marker_is_in(&data)))
    }
}

fn sql_generator(setup: &Setup, parts: &Parts, mariadb: &MariaDb, clock: &DemoClock) -> Command {
    let mut command = Command::new(parts.bins.generator());
    command.args(["sql", "--mysql", &format!("127.0.0.1:{}", mariadb.port())]);
    command.args(["--user", mariadb::USER, "--password", mariadb::PASSWORD, "--database", DATABASE]);
    command.args(["--start", &clock.start.to_string()]).args(&setup.generator);
    life(&mut command, setup, clock);
    command
}

fn life(command: &mut Command, setup: &Setup, clock: &DemoClock) {
    command.args(["--seed", &setup.seed.to_string(), "--rate", &setup.rate.to_string()]);
    command.args(["--origin", &clock.origin.to_string(), "--speed", &setup.speed().to_string()]);
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
