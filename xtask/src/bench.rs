//! Benchmarks: programs of the crate `weir-bench`.

use crate::{build, plugins, tools};
use anyhow::{Context, Result, bail};
use std::process::Stdio;

#[derive(clap::Args)]
pub struct Options {
    /// Which benchmark, such as `throughput`.
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
    command.env(weir_e2e::paths::COMPONENTS, components).stdin(Stdio::null());
    let status = command.status().context("start cargo")?;
    Ok(status.success())
}
