//! One Kafka node (KRaft: broker and controller in one process).

use crate::net;
use crate::process::{self, Process};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(120);
/// Small heap, the simplest collector, the quick compiler only: starts in half the time.
const JVM: [&str; 4] = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// Logs of every JVM of ours; without it log4j swallows errors too.
pub const LOG4J: &str = "status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
";

/// A node and how to start it again on the same ports and data.
#[derive(Debug)]
pub struct Kafka {
    tool: PathBuf,
    dir: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Kafka {
    /// Formats a data folder under `dir`. `tool` holds `lib/` and, if made, the class archive.
    /// Nothing is started yet.
    pub fn new(tool: &Path, dir: &Path) -> Result<Kafka> {
        let dir = dir.join("kafka");
        std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let (port, controller) = (net::free_port()?, net::free_port()?);
        std::fs::write(dir.join("server.properties"), properties(port, controller))?;
        std::fs::write(dir.join("log4j2.properties"), LOG4J)?;
        let kafka = Kafka { tool: tool.to_owned(), dir, port, process: None };
        let mut format = kafka.java(None);
        format.args(["kafka.tools.StorageTool", "format", "-t", "weir-test-cluster-0001A"]);
        format.args(["-c", "server.properties"]);
        process::run("kafka's storage format", format, &kafka.dir.join("format.log"), START_LIMIT)?;
        Ok(kafka)
    }

    pub fn started(tool: &Path, dir: &Path) -> Result<Kafka> {
        let mut kafka = Kafka::new(tool, dir)?;
        kafka.start()?;
        Ok(kafka)
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.wait_ready()
    }

    /// Starts the process without waiting for it (after a kill).
    pub fn launch(&mut self) -> Result<()> {
        let archive = archive(&self.tool);
        let flag = format!("-XX:SharedArchiveFile={}", archive.display());
        self.launch_with(archive.exists().then_some(flag))
    }

    fn launch_with(&mut self, flag: Option<String>) -> Result<()> {
        let mut command = self.java(flag);
        command.args(["kafka.Kafka", "server.properties"]);
        self.process = Some(Process::start("Kafka", command, &self.dir.join("kafka.log"))?);
        Ok(())
    }

    /// Waits until it takes connections.
    pub fn wait_ready(&mut self) -> Result<()> {
        let port = self.port;
        let process = self.process()?;
        process.wait_ready(START_LIMIT, || Ok(net::accepts(port)))
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.stop(Duration::from_secs(60))?;
        }
        Ok(())
    }

    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("Kafka is not started")
    }

    pub fn check_alive(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check_alive)
    }

    fn java(&self, flag: Option<String>) -> Command {
        let mut command = Command::new("java");
        command.current_dir(&self.dir).args(JVM).args(flag);
        command.arg("-Dlog4j2.configurationFile=log4j2.properties");
        command.arg("-cp").arg(format!("{}/*", self.tool.join("lib").display()));
        command
    }
}

/// The class-data archive beside the jars; it fits only this JDK and this `lib` path.
pub fn archive(tool: &Path) -> PathBuf {
    tool.join("kafka.jsa")
}

/// Starts and stops a node once so that the JVM writes the class archive: later starts take half the
/// time. `scratch` is any empty folder.
pub fn make_archive(tool: &Path, scratch: &Path) -> Result<()> {
    let mut kafka = Kafka::new(tool, scratch)?;
    let fresh = tool.join(format!("kafka.jsa.{}.tmp", std::process::id()));
    kafka.launch_with(Some(format!("-XX:ArchiveClassesAtExit={}", fresh.display())))?;
    kafka.wait_ready()?;
    kafka.stop()?;
    if !fresh.exists() {
        bail!("java wrote no class archive to {}", fresh.display());
    }
    std::fs::rename(&fresh, archive(tool))?;
    Ok(())
}

/// One node that elects itself at once and forgets a killed predecessor's session within 1.5 s.
/// Topics are made on the first produce, with 4 partitions.
fn properties(port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=BROKER://127.0.0.1:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs=data
num.partitions=4
auto.create.topics.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=1500
controller.quorum.append.linger.ms=0
controller.quorum.election.backoff.max.ms=50
controller.quorum.election.timeout.ms=100
"
    )
}
