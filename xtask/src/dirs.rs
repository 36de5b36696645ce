//! Where things lie.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use weir_e2e::paths::{self, Bins};

/// Downloads that outlive a clone: `$WEIR_CACHE`, by default `~/.cache/weir`.
pub fn cache() -> Result<PathBuf> {
    let dir = match std::env::var_os("WEIR_CACHE") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let home = std::env::var_os("HOME").context("neither WEIR_CACHE nor HOME is set")?;
            Path::new(&home).join(".cache/weir")
        }
    };
    make(&dir)?;
    dir.canonicalize().with_context(|| format!("find {}", dir.display()))
}

/// Logs of installations.
pub fn install_log(name: &str) -> Result<PathBuf> {
    let dir = cache()?.join("logs");
    make(&dir)?;
    Ok(dir.join(format!("{name}.log")))
}

/// Cargo's target folder: this program runs from `<target>/release/xtask`.
pub fn target() -> Result<PathBuf> {
    let here = std::env::current_exe().context("find this program")?;
    let target = here.ancestors().nth(2).context("this program lies in no target folder")?;
    Ok(target.to_owned())
}

/// This program, for a part of its work in a process of its own. Compiling the workspace may have put a
/// new file in the place of the one that runs.
pub fn xtask() -> Result<Command> {
    Ok(Command::new(bins()?.program("xtask")))
}

pub fn bins() -> Result<Bins> {
    Ok(Bins { dir: target()?.join("release") })
}

pub fn workspace() -> PathBuf {
    paths::workspace()
}

pub fn make(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))
}
