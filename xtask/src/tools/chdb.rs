//! The ClickHouse engine as a library, from the npm registry.

use crate::{dirs, say, tools};
use anyhow::{Context, Result, bail};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weir_e2e::process;

const PACKAGE: &str = "@chdb/lib-linux-x64-gnu";
/// Pinned: what was tested (the engine 26.7.2.1).
const VERSION: &str = "26.7.3-stable.1";
/// The library has 566 MB; anything much smaller is a broken download.
const LEAST_BYTES: u64 = 300_000_000;
const LIMIT: Duration = Duration::from_secs(900);

/// The path of libchdb.so.
pub fn ensure() -> Result<PathBuf> {
    let place = dirs::cache()?.join("chdb").join(VERSION);
    let lib = place.join("libchdb.so");
    if is_good(&lib) {
        return Ok(lib);
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(
            "the ClickHouse engine is there for Linux on x86-64 only: use --clickhouse-url with a server of your own"
        );
    }
    tools::node::ensure_npm()?;
    let _lock = tools::lock("clickhouse")?;
    if is_good(&lib) {
        return Ok(lib);
    }
    say::step(format!("fetching the ClickHouse engine (npm pack {PACKAGE}@{VERSION}, 178 MB)"));
    if place.exists() {
        std::fs::remove_dir_all(&place)?;
    }
    dirs::make(place.parent().context("a cache folder has a parent")?)?;
    tools::make_whole(&place, fetch)?;
    if !is_good(&lib) {
        bail!("{PACKAGE}@{VERSION} holds no usable libchdb.so: remove {} and try again", place.display());
    }
    Ok(lib)
}

fn fetch(dir: &Path) -> Result<()> {
    let log = dirs::install_log("chdb")?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", &format!("{PACKAGE}@{VERSION}")]).current_dir(dir);
    process::run("npm pack", pack, &log, LIMIT)?;
    let packed = std::fs::read_dir(dir)?.filter_map(|entry| Some(entry.ok()?.path()));
    let packed = packed.into_iter().find(|path| path.extension().is_some_and(|e| e == "tgz"));
    let packed = packed.with_context(|| format!("npm pack left no .tgz in {}", dir.display()))?;
    let mut unpack = Command::new("tar");
    unpack.arg("xzf").arg(&packed).args(["--strip-components=1", "package/libchdb.so"]);
    unpack.current_dir(dir);
    process::run("tar", unpack, &log, LIMIT)?;
    std::fs::remove_file(packed)?;
    Ok(())
}

/// Whether the library is there whole: an ELF file of about the right size.
fn is_good(lib: &Path) -> bool {
    let Ok(mut file) = std::fs::File::open(lib) else { return false };
    let mut magic = [0u8; 4];
    let long = file.metadata().is_ok_and(|m| m.len() >= LEAST_BYTES);
    long && file.read_exact(&mut magic).is_ok() && magic == *b"\x7fELF"
}
