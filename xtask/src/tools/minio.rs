//! MinIO, an S3-compatible server, for tests only: compiled on the spot by Go, never shipped (AGPL).

use crate::{dirs, say, tools};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use weir_e2e::process;

const MODULE: &str = "github.com/minio/minio";
/// Pinned: what was tested.
const VERSION: &str = "v0.0.0-20260212201848-7aac2a2c5b7c";
const LIMIT: Duration = Duration::from_secs(1800);

/// Why it cannot be had; None if it is there, or can be built.
pub fn missing() -> Option<String> {
    let there = place().is_ok_and(|place| place.join("minio").exists());
    (!there && tools::which("go").is_none())
        .then(|| "Go is not installed: it builds MinIO, the S3-compatible server of these tests".into())
}

/// The program. The first time it takes minutes.
pub fn ensure() -> Result<PathBuf> {
    let place = place()?;
    let program = place.join("minio");
    if program.exists() {
        return Ok(program);
    }
    if let Some(reason) = missing() {
        bail!("{reason}");
    }
    let _lock = tools::lock("minio")?;
    if program.exists() {
        return Ok(program);
    }
    let log = dirs::install_log("minio")?;
    say::step(format!(
        "building MinIO with Go, once: about four minutes on two cores (log: {})",
        log.display()
    ));
    dirs::make(place.parent().context("a cache folder has a parent")?)?;
    tools::make_whole(&place, |fresh| {
        let mut install = Command::new("go");
        install.args(["install", "-trimpath", &format!("{MODULE}@{VERSION}")]);
        // Outside of any module, and into our folder.
        install.env("GOBIN", fresh).env_remove("GOFLAGS").current_dir(fresh);
        process::run("go install (MinIO)", install, &log, LIMIT)
    })?;
    if !program.exists() {
        bail!("go install left no program minio in {}: see {}", place.display(), log.display());
    }
    Ok(program)
}

fn place() -> Result<PathBuf> {
    Ok(dirs::cache()?.join("minio").join(VERSION))
}
