//! What metrics in other languages are built with, each in the version that was tried: from PyPI, the npm
//! registry and crates.io into the cache folder. Go is not fetched: it has to be there.

use crate::tools::{apt, node, which};
use crate::{dirs, say, tools};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weir_e2e::process;

/// `zig cc`: a C compiler with a libc for WebAssembly.
pub const ZIG: (&str, &str) = ("ziglang", "0.17.1");
pub const COMPONENTIZE_PY: (&str, &str) = ("componentize-py", "0.25.1");
pub const COMPONENTIZE_QJS: (&str, &str) = ("componentize-qjs", "0.4.5");
/// Bindings for C and Go.
pub const WIT_BINDGEN: (&str, &str) = ("wit-bindgen-cli", "0.63.0");
/// The least (major, minor) of Go: older ones cannot export functions to WebAssembly as bindings want it.
const GO: (u32, u32) = (1, 25);

const LIMIT: Duration = Duration::from_secs(900);

/// A Python package in a folder of its own; the folder is what PYTHONPATH has to name.
pub fn python((package, version): (&str, &str)) -> Result<PathBuf> {
    fetched(package, version, |dir| {
        ensure_pip()?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
        pip.arg(dir).arg(format!("{package}=={version}"));
        process::run("pip install", pip, &dirs::install_log(package)?, LIMIT)
    })
}

/// `python3` with a package of [`python`].
pub fn python_with(package: &Path) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", package).env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONHOME");
    command
}

fn ensure_pip() -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--version"]);
    let there = which("python3").is_some() && pip.output().is_ok_and(|output| output.status.success());
    if there { Ok(()) } else { apt::install("Python with pip", &["python3", "python3-pip"]) }
}

/// An npm package with what it needs; the folder holds `node_modules`.
pub fn npm((package, version): (&str, &str)) -> Result<PathBuf> {
    fetched(package, version, |dir| {
        node::ensure_npm()?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(dir);
        npm.arg(format!("{package}@{version}")).current_dir(dir);
        process::run("npm install", npm, &dirs::install_log(package)?, LIMIT)
    })
}

/// The program wit-bindgen.
pub fn wit_bindgen() -> Result<PathBuf> {
    let (package, version) = WIT_BINDGEN;
    let dir = fetched(package, version, |dir| {
        let mut cargo = Command::new("cargo");
        crate::build::forget_outer_package(&mut cargo);
        cargo.args(["install", "--quiet", "--locked", "--no-default-features", "--features", "c,go"]);
        cargo.args(["--version", version, "--root"]).arg(dir).arg(package);
        cargo.env("CARGO_TARGET_DIR", dirs::target()?.join("wit-bindgen"));
        process::run("cargo install wit-bindgen-cli", cargo, &dirs::install_log(package)?, LIMIT)
    })?;
    Ok(dir.join("bin/wit-bindgen"))
}

/// The folder of a package, filled once.
fn fetched(package: &str, version: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let place = dirs::cache()?.join("languages").join(format!("{package}-{version}"));
    if place.is_dir() {
        return Ok(place);
    }
    let _lock = tools::lock(package)?;
    if !place.is_dir() {
        say::step(format!("fetching {package} {version}"));
        dirs::make(place.parent().context("a cache folder has a parent")?)?;
        tools::make_whole(&place, fill)?;
    }
    Ok(place)
}

/// The version of Go that is there, if it is new enough.
pub fn go() -> Result<String> {
    let least = format!("{}.{}", GO.0, GO.1);
    let Some(go) = which("go") else { bail!("go is not in PATH: install Go {least} or newer") };
    let mut version = Command::new(go);
    version.args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local");
    let output = version.output().context("start go")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut numbers = text.trim_start_matches("go").split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < GO {
        bail!("{text} is too old: install Go {least} or newer");
    }
    Ok(text)
}
