//! A life-like load, and the independent recomputation of every number from its journal.

use super::{LIMIT, World, component};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weir_e2e::clickhouse::Server;
use weir_e2e::host::{Config, Host};
use weir_e2e::oracle;
use weir_e2e::paths::Bins;
use weir_e2e::process::{self, Process};
use weir_e2e::tables::TABLES;

const DAY_MS: i64 = 86_400_000;
/// 08:00 UTC.
const MORNING_MS: i64 = 8 * 3_600_000;
/// On the clock: partitions are idle, so that rows which wait for their tick are emitted.
const IDLE_AFTER: &str = "10m";
const SETTLE_LIMIT: Duration = Duration::from_secs(120);
/// It reads every record again: a million take it a minute or more.
const ORACLE_LIMIT: Duration = Duration::from_secs(600);

/// The generator on a fast clock that host and generator share.
pub struct Load {
    origin: String,
    speed: f64,
    /// Changes a real second.
    rate: u32,
    journal: PathBuf,
    generator: Option<Process>,
}

impl Load {
    pub fn new(speed: f64) -> Load {
        let origin = jiff::Timestamp::now().to_string();
        Load { origin, speed, rate: 120, journal: PathBuf::new(), generator: None }
    }

    /// So many changes a second, on average over a day, and a clock that begins with a busy morning, whatever
    /// the time is: at night the generator would send a tenth of it.
    pub fn busy(mut self, rate: u32) -> Load {
        let now = jiff::Timestamp::now().as_millisecond();
        let morning = (now / DAY_MS + 1) * DAY_MS + MORNING_MS;
        // The clock was right at its origin, and has run ahead of real time since.
        let ago = (morning - now) as f64 / (self.speed - 1.0);
        let origin = jiff::Timestamp::from_millisecond(now - ago as i64);
        self.origin = origin.map_or_else(|_| self.origin, |origin| origin.to_string());
        self.rate = rate;
        self
    }

    /// The host's part: the clock, and all metrics that the oracle knows.
    pub fn configure(&self, config: &mut Config) -> Result<()> {
        config.clock(&self.origin, self.speed).plugin(&component("call.wasm")?);
        for source in TABLES {
            config.source(source)?.insert("idle_after".into(), IDLE_AFTER.into());
        }
        Ok(())
    }

    pub fn start(&mut self, bins: &Bins, dir: &Path, bootstrap: &str) -> Result<()> {
        self.journal = dir.join("journal.jsonl");
        let mut command = Command::new(bins.generator());
        command.args(["kafka", "--brokers", bootstrap, "--journal"]).arg(&self.journal);
        command.args(["--partitions", "4", "--seed", "7", "--origin", &self.origin]);
        command.args(["--speed", &self.speed.to_string(), "--rate", &self.rate.to_string()]);
        self.generator = Some(Process::start("the generator", command, &dir.join("generator.log"))?);
        Ok(())
    }

    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut generator) = self.generator.take() {
            let status = generator.stop(LIMIT)?;
            if !status.success() {
                bail!("the generator ended with {status}; {}", generator.tail());
            }
        }
        Ok(())
    }

    /// Waits until everything has been read, computed, emitted and delivered.
    pub fn settle(&self, host: &Host) -> Result<()> {
        host.settle(SETTLE_LIMIT)
    }

    /// Recomputes every number of these metrics (none named: of all); an error if one differs.
    pub fn check(&self, world: &World, metrics: &[&str]) -> Result<()> {
        let names = if metrics.is_empty() { oracle::FOUR.to_owned() } else { metrics.join(",") };
        let (server, args) = (world.clickhouse.server(), ["--metrics", names.as_str()]);
        self.check_in(&server, &world.bins, &world.dir.0, &args).map(drop)
    }

    /// The same without a [`World`], with the oracle's arguments; gives its last line.
    pub fn check_in(&self, server: &Server, bins: &Bins, dir: &Path, args: &[&str]) -> Result<String> {
        let (log, mut oracle) = (dir.join("oracle.log"), Command::new(bins.oracle()));
        oracle.arg("check").arg("--journal").arg(&self.journal);
        oracle.args(["--clickhouse-url", &server.url, "--user", &server.user]);
        oracle.args(["--password", &server.password, "--database", "weir"]).args(args);
        process::run("weir-oracle", oracle, &log, ORACLE_LIMIT)?;
        let told = std::fs::read_to_string(&log)?;
        Ok(told.trim_end().lines().last().unwrap_or_default().to_owned())
    }
}
