//! Benchmarks: programs of the crate `weir-bench`.

use crate::{build, plugins, tools};
use anyhow::{Context, Result, bail};
use std::process::Stdio;
use weir_e2e::paths;

/// Beside a job of Apache Flink, whose sources are not part of this repository.
const PEER: &str = "peer";
/// Benchmarks over the real host, Kafka and the ClickHouse engine.
const WITH_SERVERS: [&str; 3] = ["recovery", "latency", PEER];

#[derive(clap::Args)]
pub struct Options {
    /// Which benchmark: `throughput`, `recovery`, `latency` or `peer` (with `--peer DIR`).
    name: String,
    /// Handed on to it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub fn run(options: &Options) -> Result<bool> {
    if !crate::dirs::workspace().join("tests/bench/Cargo.toml").exists() {
        bail!("there is no crate tests/bench in this clone");
    }
    tools::build::ensure()?;
    let components = plugins::build()?;
    let mut command = build::cargo("run")?;
    command.args(["--quiet", "-p", "weir-bench", "--", &options.name]).args(&options.args);
    command.env(paths::COMPONENTS, components).stdin(Stdio::null());
    if WITH_SERVERS.contains(&options.name.as_str()) {
        let bins = build::programs()?;
        command.env(paths::BIN_DIR, &bins.dir);
        command.env(paths::CHDB_LIB, tools::chdb::ensure()?).env(paths::KAFKA, tools::jars::kafka()?);
    }
    if options.name == PEER {
        tools::programs::java_and_maven()?;
        command.env("WEIR_CACHE", crate::dirs::cache()?);
    }
    let status = command.status().context("start cargo")?;
    Ok(status.success())
}
