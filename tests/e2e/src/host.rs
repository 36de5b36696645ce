//! The Weir host as a process, its configuration and its API.

use crate::clickhouse::Server;
use crate::net;
use crate::paths::{self, Bins};
use crate::process::{self, Process};
use crate::tally::Tally;
use crate::wait;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// Several epochs.
const QUIET: Duration = Duration::from_secs(4);
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const CALL_LIMIT: Duration = Duration::from_secs(30);
const PUSH_LIMIT: Duration = Duration::from_secs(120);

/// A configuration file in the making: the example's, with places of this run.
#[derive(Clone, Debug)]
pub struct Config {
    table: toml::Table,
}

impl Config {
    /// The configuration of `examples/service`, with nothing that belongs to a deployment: no
    /// tokens, plugins, Kafka or ClickHouse addresses.
    pub fn example() -> Result<Config> {
        let path = paths::workspace().join("examples/service/weir.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let mut table: toml::Table = text.parse().with_context(|| format!("parse {}", path.display()))?;
        for key in ["host", "tokens", "kafka", "clickhouse", "plugin", "time"] {
            table.remove(key);
        }
        Ok(Config { table })
    }

    /// Sets `table.key`.
    pub fn set(&mut self, table: &str, key: &str, value: impl Into<toml::Value>) -> &mut Config {
        let entry = self.table.entry(table).or_insert_with(|| toml::Table::new().into());
        if let toml::Value::Table(inner) = entry {
            inner.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Sets one librdkafka property.
    pub fn kafka(&mut self, property: &str, value: &str) -> &mut Config {
        let kafka = self.table.entry("kafka").or_insert_with(|| toml::Table::new().into());
        if let toml::Value::Table(kafka) = kafka {
            let properties = kafka.entry("properties").or_insert_with(|| toml::Table::new().into());
            if let toml::Value::Table(properties) = properties {
                properties.insert(property.to_owned(), value.into());
            }
        }
        self
    }

    pub fn clickhouse(&mut self, server: &Server) -> &mut Config {
        self.set("clickhouse", "url", server.url.as_str());
        self.set("clickhouse", "user", server.user.as_str());
        self.set("clickhouse", "password", server.password.as_str());
        self.set("clickhouse", "database", "weir")
    }

    /// A clock that shows `origin` (RFC 3339) at real time `origin` and runs `speed` times as fast.
    pub fn clock(&mut self, origin: &str, speed: f64) -> &mut Config {
        let mut clock = toml::Table::new();
        clock.insert("origin".into(), origin.into());
        clock.insert("speed".into(), speed.into());
        self.set("time", "clock", clock)
    }

    pub fn plugin(&mut self, path: &Path) -> &mut Config {
        let mut plugin = toml::Table::new();
        plugin.insert("path".into(), path.display().to_string().into());
        let list = self.table.entry("plugin").or_insert_with(|| Vec::<toml::Value>::new().into());
        if let toml::Value::Array(list) = list {
            list.push(plugin.into());
        }
        self
    }

    /// The declaration of a source, to be changed by a test.
    pub fn source(&mut self, name: &str) -> Result<&mut toml::Table> {
        let sources = self.table.get_mut("source").and_then(toml::Value::as_array_mut);
        let found = sources.into_iter().flatten().filter_map(toml::Value::as_table_mut);
        let mut found = found.filter(|s| s.get("name").and_then(toml::Value::as_str) == Some(name));
        found.next().with_context(|| format!("examples/service/weir.toml declares no source {name}"))
    }

    /// Leaves these sources only.
    pub fn keep_sources(&mut self, names: &[&str]) -> &mut Config {
        let name = |source: &toml::Value| source.get("name").and_then(toml::Value::as_str).map(str::to_owned);
        if let Some(sources) = self.table.get_mut("source").and_then(toml::Value::as_array_mut) {
            sources.retain(|source| name(source).is_some_and(|name| names.contains(&name.as_str())));
        }
        self
    }

    /// Declares a source in the format of `debezium`, `canal` or `maxwell`. The latter two write times as
    /// text.
    pub fn written_by(&mut self, source: &str, writer: &str) -> Result<()> {
        let source = self.source(source)?;
        source.insert("format".into(), format!("{writer}-json").into());
        let columns = source.get_mut("columns").and_then(toml::Value::as_table_mut);
        for (_, column) in columns.into_iter().flatten().filter(|_| writer != "debezium") {
            if let Some(rest) = column.as_str().and_then(|ty| ty.strip_prefix("time-ms")) {
                *column = format!("datetime-text{rest}").into();
            }
        }
        Ok(())
    }
}

/// A host and how to start it again on the same configuration and state.
#[derive(Debug)]
pub struct Host {
    bins: Bins,
    dir: PathBuf,
    port: u16,
    /// Where the next process started kills itself, as `WEIR_CRASH_AT` says it.
    trap: Option<String>,
    process: Option<Process>,
}

/// The variable by which a host is told to kill itself at a point (host/weir/src/kill_points.rs).
const TRAP_VARIABLE: &str = "WEIR_CRASH_AT";

impl Host {
    /// Writes the configuration to `dir/weir.toml`; state and cache come beside it. Nothing is
    /// started yet.
    pub fn new(bins: &Bins, dir: &Path, port: u16, config: &Config) -> Result<Host> {
        let mut config = config.clone();
        config.set("host", "listen", format!("127.0.0.1:{port}"));
        for (key, folder) in [("state", "state"), ("cache", "cache")] {
            if config.table.get("host").is_none_or(|h| h.get(key).is_none()) {
                config.set("host", key, dir.join(folder).display().to_string());
            }
        }
        let text = toml::to_string(&config.table).context("write the configuration")?;
        std::fs::write(dir.join("weir.toml"), text)?;
        Ok(Host { bins: bins.clone(), dir: dir.to_owned(), port, trap: None, process: None })
    }

    /// Lets the next process that is started kill itself at a point such as `after-write:3`; None lets
    /// those after it live.
    pub fn set_trap(&mut self, point: Option<String>) {
        self.trap = point;
    }

    pub fn config_path(&self) -> PathBuf {
        self.dir.join("weir.toml")
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn api(&self) -> Api {
        Api { url: self.url() }
    }

    /// Starts the process without waiting for anything.
    pub fn launch(&mut self) -> Result<()> {
        self.launch_with(&[])
    }

    /// The same with more arguments of `weir run`.
    pub fn launch_with(&mut self, args: &[&str]) -> Result<()> {
        let mut command = Command::new(self.bins.weir());
        command.arg("run").arg("--config").arg(self.config_path()).arg("--dev").args(args);
        command.current_dir(&self.dir);
        process::survive_full_disk(&mut command);
        if let Some(point) = &self.trap {
            command.env(TRAP_VARIABLE, point);
        }
        self.process = Some(Process::start("the host", command, &self.dir.join("weir.log"))?);
        Ok(())
    }

    /// Starts it and waits until `/readyz` is content.
    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.wait_ready()
    }

    pub fn wait_ready(&mut self) -> Result<()> {
        let api = self.api();
        self.process()?.wait_ready(START_LIMIT, || match api.ready() {
            Ok((200, _)) => Ok(true),
            Ok((status, body)) => Err(format!("/readyz answers {status}: {}", body.trim())),
            Err(error) => Err(format!("{error:#}")),
        })
    }

    /// Waits until the API answers at all.
    pub fn wait_up(&mut self) -> Result<()> {
        let api = self.api();
        self.process()?.wait_ready(START_LIMIT, || Ok(api.ready().is_ok()))
    }

    /// Waits until `records` have been read in all, and ClickHouse has acknowledged everything.
    pub fn wait_read(&self, records: i64, limit: Duration) -> Result<()> {
        let api = self.api();
        wait::until(&format!("{records} records read and delivered"), limit, || {
            let status = api.status().map_err(|e| format!("{e:#}"))?;
            let read: i64 = status.next_offsets().values().sum();
            let done = read == records && status.caught_up() && status.waiting_epochs() == 0;
            if done { Ok(Some(())) } else { Err(status.0.to_string()) }
        })
    }

    /// Waits until everything has been read, computed, emitted and delivered. `limit` is for how long the number of
    /// epochs that wait may not fall: after many kills there is much to deliver.
    pub fn settle(&self, limit: Duration) -> Result<()> {
        let api = self.api();
        let mut quiet_since: Option<Instant> = None;
        wait::until_done("the host has read and delivered everything", limit, || {
            let status = api.status().map_err(|e| (i64::MAX, format!("{e:#}")))?;
            let waiting = status.waiting_epochs();
            if !(status.caught_up() && status.idle()) {
                quiet_since = None;
                return Err((waiting, status.0.to_string()));
            }
            // The epoch that emits what was due begins after the partitions became idle. On a fast clock one more
            // comes every second, and waits for a moment.
            let since = *quiet_since.get_or_insert_with(Instant::now);
            match waiting {
                0 => Ok((since.elapsed() >= QUIET).then_some(())),
                _ => Err((waiting, status.0.to_string())),
            }
        })
    }

    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the host is not started")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM; the last epoch is committed and delivered.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            let status = process.stop(STOP_LIMIT)?;
            if !status.success() {
                bail!("the host ended with {status}; {}", process.tail());
            }
        }
        Ok(())
    }

    pub fn check_alive(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check_alive)
    }

    /// Waits until it ends by itself: how, and all it has logged.
    pub fn wait_end(&mut self) -> Result<(ExitStatus, String)> {
        let process = self.process()?;
        let status = process.wait_end(START_LIMIT)?;
        Ok((status, process.log_text()))
    }

    pub fn log_text(&self) -> String {
        let bytes = std::fs::read(self.dir.join("weir.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// `weir plugin …` against this host: whether it went well, and all it printed.
    pub fn plugin(&self, args: &[&str]) -> Result<(bool, String)> {
        self.ask("plugin", args)
    }

    /// `weir source …` and the like against this host.
    pub fn ask(&self, command: &str, args: &[&str]) -> Result<(bool, String)> {
        let (name, mut command) = (command, Command::new(self.bins.weir()));
        command.arg(name).args(args).arg("--url").arg(self.url());
        run_for_text(command, PUSH_LIMIT)
    }

    /// `weir state …` on this host's state: whether it went well, and all it printed.
    pub fn state(&self, args: &[&str]) -> Result<(bool, String)> {
        let mut command = Command::new(self.bins.weir());
        command.arg("state").args(args).arg("--config").arg(self.config_path()).current_dir(&self.dir);
        run_for_text(command, PUSH_LIMIT)
    }

    /// `weir check`: whether all is well, and all it printed.
    pub fn check(&self) -> Result<(bool, String)> {
        let mut command = Command::new(self.bins.weir());
        command.arg("check").arg("--config").arg(self.config_path()).current_dir(&self.dir);
        run_for_text(command, PUSH_LIMIT)
    }
}

/// Runs a short command; its output and error output together.
pub fn run_for_text(command: Command, limit: Duration) -> Result<(bool, String)> {
    let name = command.get_program().to_string_lossy().into_owned();
    let log = std::env::temp_dir().join(format!("weir-run-{}-{}", std::process::id(), net::free_port()?));
    let mut process = Process::start(&name, command, &log)?;
    let ended = process.wait_end(limit);
    let text = process.log_text();
    let _ = std::fs::remove_file(&log);
    Ok((ended?.success(), text))
}

/// The host's API.
#[derive(Clone, Debug)]
pub struct Api {
    pub url: String,
}

impl Api {
    /// A GET below `/api/v1`, which must answer 200.
    pub fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}/api/v1/{path}", self.url);
        let (status, body) = net::get(&url, CALL_LIMIT)?;
        if status != 200 {
            bail!("GET {url} answered {status}: {}", body.trim());
        }
        serde_json::from_str(&body).with_context(|| format!("GET {url} gave no JSON: {body:.200}"))
    }

    /// Status and body of `/readyz`.
    pub fn ready(&self) -> Result<(u16, String)> {
        net::get(&format!("{}/readyz", self.url), Duration::from_secs(5))
    }

    pub fn status(&self) -> Result<Status> {
        Ok(Status(self.get("status")?))
    }
}

/// The answer of `/api/v1/status`.
#[derive(Clone, Debug)]
pub struct Status(pub Value);

impl Status {
    fn partitions(&self) -> impl Iterator<Item = &Value> {
        let sources = self.0["sources"].as_array().into_iter().flatten();
        sources.flat_map(|s| s["partitions"].as_array().into_iter().flatten())
    }

    /// The next offset to read, by partition.
    pub fn next_offsets(&self) -> Tally {
        let of = |p: &Value| {
            let topic = p["topic"].as_str().unwrap_or_default().to_owned();
            let next = p["next_offset"].as_i64().unwrap_or(0);
            ((topic, p["partition"].as_i64().unwrap_or(-1)), next)
        };
        self.partitions().map(of).collect()
    }

    /// Whether everything in the broker has been read.
    pub fn caught_up(&self) -> bool {
        self.partitions().next().is_some()
            && self.partitions().all(|p| p["caught_up"].as_bool() == Some(true))
    }

    /// Whether every partition counts as idle, so that rows held back by `emit_every` are out.
    pub fn idle(&self) -> bool {
        self.partitions().next().is_some() && self.partitions().all(|p| p["idle"].as_bool() == Some(true))
    }

    /// Epochs that ClickHouse has not acknowledged yet.
    pub fn waiting_epochs(&self) -> i64 {
        self.0["delivery"]["waiting_epochs"].as_i64().unwrap_or(i64::MAX)
    }

    pub fn epoch(&self) -> i64 {
        self.0["epoch"].as_i64().unwrap_or(0)
    }

    /// The sum of one count over all partitions, since the process began.
    pub fn count(&self, name: &str) -> i64 {
        self.partitions().map(|p| total(&p["counts"][name])).sum()
    }
}

/// A number, or the sum of an object's numbers.
fn total(value: &Value) -> i64 {
    match value {
        Value::Object(map) => map.values().map(total).sum(),
        other => other.as_i64().unwrap_or(0),
    }
}
