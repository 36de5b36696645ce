//! Debian packages.

use crate::{dirs, say, tools};
use anyhow::{Result, bail};
use std::process::Command;
use std::time::Duration;
use weir_e2e::process;

const LIMIT: Duration = Duration::from_secs(900);

/// Installs packages, with fresh package lists if it does not work with those at hand.
pub fn install(what: &str, packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if tools::which("apt-get").is_none() {
        bail!("{what} is missing: install it (on Debian: apt-get install {list})");
    }
    if !is_root() {
        bail!("{what} is missing: run `sudo apt-get install -y --no-install-recommends {list}`");
    }
    let _lock = tools::lock("apt")?;
    say::step(format!("installing {what} (apt-get install {list})"));
    let log = dirs::install_log("apt")?;
    let mut first = apt(&["install", "-y", "--no-install-recommends"]);
    first.args(packages);
    if process::run("apt-get install", first, &log, LIMIT).is_ok() {
        return Ok(());
    }
    process::run("apt-get update", apt(&["update"]), &log, LIMIT)?;
    let mut again = apt(&["install", "-y", "--no-install-recommends"]);
    again.args(packages);
    process::run(&format!("apt-get install {list}"), again, &log, LIMIT)
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(args);
    command
}

fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
