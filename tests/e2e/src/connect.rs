//! Debezium's MariaDB connector on a standalone Kafka Connect worker.

use crate::kafka::{Kafka, LOG4J};
use crate::mariadb::{MariaDb, PASSWORD, USER};
use crate::net;
use crate::process::Process;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(120);
/// First part of every topic's name.
pub const PREFIX: &str = "svc";
/// A table in the followed database by whose rows Debezium is told what to do, if it is there.
pub const SIGNAL_TABLE: &str = "debezium_signal";

/// A worker and how to start it again from its stored offsets.
#[derive(Debug)]
pub struct Connect {
    tool: PathBuf,
    dir: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Connect {
    /// Starts the worker and waits until its connector runs. `database` is what it follows.
    pub fn start(
        tool: &Path,
        dir: &Path,
        kafka: &Kafka,
        mariadb: &MariaDb,
        database: &str,
    ) -> Result<Connect> {
        let dir = dir.join("connect");
        std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let port = net::free_port()?;
        let plugins = tool.join("plugins");
        std::fs::write(dir.join("worker.properties"), worker(&kafka.bootstrap(), port, &plugins))?;
        let connector = connector(&kafka.bootstrap(), mariadb.port(), database);
        std::fs::write(dir.join("connector.properties"), connector)?;
        std::fs::write(dir.join("log4j2.properties"), LOG4J)?;
        let mut it = Connect { tool: tool.to_owned(), dir, port, process: None };
        it.launch()?;
        it.wait_running()?;
        Ok(it)
    }

    /// Starts the process without waiting for it (after a kill).
    pub fn launch(&mut self) -> Result<()> {
        let mut command = Command::new("java");
        command.current_dir(&self.dir);
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.arg("-Dlog4j2.configurationFile=log4j2.properties");
        command.arg("-cp").arg(format!("{}/*", self.tool.join("lib").display()));
        command.arg("org.apache.kafka.connect.cli.ConnectStandalone");
        command.args(["worker.properties", "connector.properties"]);
        self.process = Some(Process::start("Debezium", command, &self.dir.join("connect.log"))?);
        Ok(())
    }

    /// Waits until connector and task run.
    pub fn wait_running(&mut self) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/connectors/{PREFIX}/status", self.port);
        let process = self.process.as_mut().context("Debezium is not started")?;
        process.wait_ready(START_LIMIT, || {
            let answer = net::get(&url, Duration::from_secs(5));
            let (status, body) = answer.map_err(|e| format!("{e:#}"))?;
            if status != 200 {
                return Err(format!("{url} answers {status}"));
            }
            let body: serde_json::Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
            let connector = body["connector"]["state"].as_str().unwrap_or_default();
            let task = body["tasks"][0]["state"].as_str().unwrap_or_default();
            if task == "FAILED" {
                return Err(format!("its task failed: {}", body["tasks"][0]["trace"]));
            }
            Ok(connector == "RUNNING" && task == "RUNNING")
        })
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Loses the worker's offsets: the next start begins with a new snapshot.
    pub fn forget(&self) -> Result<()> {
        let offsets = self.dir.join("offsets.dat");
        std::fs::remove_file(&offsets).with_context(|| format!("remove {}", offsets.display()))
    }

    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.stop(Duration::from_secs(60))?;
        }
        Ok(())
    }

    pub fn check_alive(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check_alive)
    }
}

fn worker(bootstrap: &str, port: u16, plugins: &Path) -> String {
    format!(
        "bootstrap.servers={bootstrap}
listeners=http://127.0.0.1:{port}
plugin.path={}
plugin.discovery=service_load
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter.schemas.enable=false
offset.storage.file.filename=offsets.dat
offset.flush.interval.ms=5000
connector.client.config.override.policy=All
",
        plugins.display()
    )
}

fn connector(bootstrap: &str, mariadb_port: u16, database: &str) -> String {
    format!(
        "name={PREFIX}
connector.class=io.debezium.connector.mariadb.MariaDbConnector
tasks.max=1
database.hostname=127.0.0.1
database.port={mariadb_port}
database.user={USER}
database.password={PASSWORD}
database.ssl.mode=disable
database.server.id=7001
topic.prefix={PREFIX}
database.include.list={database}
snapshot.mode=initial
include.schema.changes=true
signal.data.collection={database}.{SIGNAL_TABLE}
provide.transaction.metadata=true
heartbeat.interval.ms=2000
poll.interval.ms=10
schema.history.internal.kafka.bootstrap.servers={bootstrap}
schema.history.internal.kafka.topic={PREFIX}.schema-history
topic.creation.default.partitions=4
topic.creation.default.replication.factor=1
"
    )
}
