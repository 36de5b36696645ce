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
    build(command, "the host or its tools do not compile")?;
    Ok(bins)
}

/// All programs and all tests.
pub fn everything() -> Result<()> {
    tools::build::ensure()?;
    let mut command = cargo("build")?;
    command.args(["--workspace", "--bins", "--tests"]);
    build(command, "the workspace does not compile")
}

fn build(mut command: Command, failure: &str) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().context("start cargo")?;
    if !status.success() {
        bail!("{failure}");
    }
    Ok(())
}

/// `cargo NAME --release` over this workspace, into the target folder in use.
pub fn cargo(name: &str) -> Result<Command> {
    let mut command = Command::new("cargo");
    forget_outer_package(&mut command);
    command.current_dir(dirs::workspace()).env("CARGO_TARGET_DIR", dirs::target()?);
    command.args([name, "--release"]);
    Ok(command)
}

/// `cargo run` tells this program about its own package through the environment. Handed on, these
/// variables look like a change to build scripts that read them (ring's), and half of the
/// dependencies would be compiled again with every change between `cargo xtask` and plain cargo.
pub fn forget_outer_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
            .iter()
            .any(|p| text.starts_with(p))
        {
            command.env_remove(&name);
        }
    }
}
