//! Kafka, Kafka Connect and Debezium, from Maven Central.

use crate::{dirs, say, tools};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weir_e2e::{kafka, process};

const KAFKA: &str = "4.4.0";
const CONNECT: &str = "4.3.1";
const DEBEZIUM: &str = "3.5.0.Final";
/// Without it the JVMs log nothing, errors included.
const LOG4J: &str = "2.25.5";
const LIMIT: Duration = Duration::from_secs(900);

/// The folder with Kafka's `lib/` and its class archive.
pub fn kafka() -> Result<PathBuf> {
    tools::programs::java_and_maven()?;
    let place = dirs::cache()?.join("kafka").join(KAFKA);
    if place.join("lib").exists() && kafka::archive(&place).exists() {
        return Ok(place);
    }
    let _lock = tools::lock("kafka")?;
    if !place.join("lib").exists() {
        say::step(format!("fetching Kafka {KAFKA} (Maven, 43 MB)"));
        dirs::make(place.parent().context("a cache folder has a parent")?)?;
        tools::make_whole(&place, |fresh| {
            let jars = [("org.apache.kafka", "kafka_2.13", KAFKA), LOG4J_JAR];
            fetch(fresh, "kafka", &jars)
        })?;
    }
    if !kafka::archive(&place).exists() {
        say::step("starting Kafka once to archive its classes (later starts take half the time)");
        let scratch = std::env::temp_dir().join(format!("weir-kafka-{}", std::process::id()));
        let made = kafka::make_archive(&place, &scratch);
        let _ = std::fs::remove_dir_all(&scratch);
        made?;
    }
    Ok(place)
}

/// The folder with Connect's `lib/` and Debezium in `plugins/`.
pub fn connect() -> Result<PathBuf> {
    tools::programs::java_and_maven()?;
    let place = dirs::cache()?.join("connect").join(format!("{CONNECT}-{DEBEZIUM}"));
    if place.join("lib").exists() {
        return Ok(place);
    }
    let _lock = tools::lock("connect")?;
    if place.join("lib").exists() {
        return Ok(place);
    }
    say::step(format!("fetching Kafka Connect {CONNECT} and Debezium {DEBEZIUM} (Maven, 63 MB)"));
    dirs::make(place.parent().context("a cache folder has a parent")?)?;
    tools::make_whole(&place, |fresh| {
        let jars = [
            ("org.apache.kafka", "connect-runtime", CONNECT),
            ("org.apache.kafka", "connect-json", CONNECT),
            LOG4J_JAR,
        ];
        fetch(fresh, "connect", &jars)?;
        fetch_connector(fresh)
    })?;
    Ok(place)
}

const LOG4J_JAR: (&str, &str, &str) = ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J);

/// Puts the jars, and all that they need, into `dir/lib`.
fn fetch(dir: &Path, name: &str, jars: &[(&str, &str, &str)]) -> Result<()> {
    let dependencies: String = jars.iter().map(|(group, artifact, version)| {
        format!("<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>\n")
    }).collect();
    let pom = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>
<groupId>weir.tools</groupId><artifactId>{name}</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
{dependencies}</dependencies></project>
"
    );
    std::fs::write(dir.join("pom.xml"), pom)?;
    let mut command = maven(dir);
    command.args(["-f", "pom.xml", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
    command.arg(format!("-DoutputDirectory={}", dir.join("lib").display()));
    process::run(&format!("Maven ({name})"), command, &dirs::install_log(name)?, LIMIT)
}

fn fetch_connector(dir: &Path) -> Result<()> {
    let log = dirs::install_log("debezium")?;
    let mut command = maven(dir);
    command.arg("dependency:copy");
    command.arg(format!("-Dartifact=io.debezium:debezium-connector-mariadb:{DEBEZIUM}:tar.gz:plugin"));
    command.arg(format!("-DoutputDirectory={}", dir.display()));
    process::run("Maven (Debezium)", command, &log, LIMIT)?;
    let packed = dir.join(format!("debezium-connector-mariadb-{DEBEZIUM}-plugin.tar.gz"));
    dirs::make(&dir.join("plugins"))?;
    let mut unpack = Command::new("tar");
    unpack.arg("xzf").arg(&packed).arg("-C").arg(dir.join("plugins"));
    process::run("tar", unpack, &log, LIMIT)?;
    std::fs::remove_file(&packed).with_context(|| format!("remove {}", packed.display()))
}

fn maven(dir: &Path) -> Command {
    let mut command = Command::new("mvn");
    command.args(["-B", "-ntp", "-q"]).current_dir(dir);
    command
}
