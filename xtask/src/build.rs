//! Building this workspace's programs.

use crate::{dirs, say, tools};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use weir_e2e::paths::Bins;

/// Packages whose programs the demo and the tests run.
pub const PROGRAMS: [&str; 4] = ["weir", "weir-embedded", "weir-generator", "weir-oracle"];

/// The programs, built from the sources as they are.
pub fn programs() -> Result<Bins> {
    tools::build::ensure()?;
    let bins = dirs::bins()?;
    if !bins.weir().exists() {
        say::step("compiling the host and its tools (some minutes the first time)");
    }
    let mut command = cargo("build")?;
    for package in PROGRAMS {
        command.args(["-p", package]);
    }
    let status = command.stdin(Stdio::null()).status().context("start cargo")?;
    if !status.success() {
        bail!("the host or its tools do not compile");
    }
    Ok(bins)
}

/// `cargo NAME --release` over this workspace, into the target folder in use.
pub fn cargo(name: &str) -> Result<Command> {
    let mut command = Command::new("cargo");
    command.current_dir(dirs::workspace()).env("CARGO_TARGET_DIR", dirs::target()?);
    command.args([name, "--release"]);
    Ok(command)
}
