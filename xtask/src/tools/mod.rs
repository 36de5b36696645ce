//! Tools that are no crates: each is found, or else installed, or else named in one line with what to
//! do. The second time costs a look at the file system.

pub mod apt;
pub mod build;
pub mod chdb;
pub mod jars;
pub mod languages;
pub mod minio;
pub mod node;
pub mod programs;
pub mod wasm;

use crate::{dirs, say};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};

const ALL: [&str; 9] =
    ["wasm", "clickhouse", "kafka", "debezium", "mariadb", "chromium", "promtool", "minio", "languages"];

/// `cargo xtask tools`.
pub fn ensure_named(names: &[String]) -> Result<bool> {
    let all: Vec<String> = ALL.iter().map(|name| (*name).to_owned()).collect();
    for name in if names.is_empty() { &all } else { names } {
        let place = match name.as_str() {
            "wasm" => format!("{:?}", wasm::ensure()?),
            "clickhouse" => chdb::ensure()?.display().to_string(),
            "kafka" => jars::kafka()?.display().to_string(),
            "debezium" => jars::connect()?.display().to_string(),
            "mariadb" => programs::mariadb()?.display().to_string(),
            "chromium" => programs::chromium()?.display().to_string(),
            "promtool" => programs::promtool()?.display().to_string(),
            "minio" => match minio::missing() {
                Some(reason) => format!("left out: {reason}"),
                None => minio::ensure()?.display().to_string(),
            },
            "languages" => crate::languages::fetch_tools()?,
            other => bail!("no tool is called {other}; there are {}", ALL.join(", ")),
        };
        say::note(format!("{name}: {place}"));
    }
    Ok(true)
}

/// The path of a program, if it can be called.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Held while a tool is being installed, so that two runs do not collide.
pub struct Lock {
    _file: File,
}

pub fn lock(name: &str) -> Result<Lock> {
    let path = dirs::cache()?.join(format!(".lock-{name}"));
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("open {}", path.display()))?;
    if file.try_lock().is_err() {
        say::step(format!("waiting for another run that installs {name}"));
        file.lock().with_context(|| format!("lock {}", path.display()))?;
    }
    Ok(Lock { _file: file })
}

/// Makes the folder `place` by filling a fresh one and renaming it: it is there whole or not at all.
pub fn make_whole(place: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let fresh = place.with_extension(format!("{}.tmp", std::process::id()));
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    dirs::make(&fresh)?;
    let filled = fill(&fresh).and_then(|()| {
        std::fs::rename(&fresh, place)
            .with_context(|| format!("rename {} to {}", fresh.display(), place.display()))
    });
    if filled.is_err() {
        // What was half made is of no use; the error matters more than a failed removal.
        let _ = std::fs::remove_dir_all(&fresh);
    }
    filled
}
