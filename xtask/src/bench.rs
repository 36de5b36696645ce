//! Benchmarks: programs of the crate `weir-bench`.

use crate::{build, plugins, tools};
use anyhow::{Context, Result, bail};
use std::process::Stdio;
use weir_e2e::paths;

/// Benchmarks over the real host, Kafka and the ClickHouse engine.
const WITH_SERVERS: [&str; 2] = ["recovery", "latency"];

#[derive(clap::Args)]
pub struct Options {
    /// Which benchmark: `throughput`, `recovery` or `latency`.
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
    let status = command.status().context("start cargo")?;
    Ok(status.success())
}
