//! A way to compile Rust for wasm32-unknown-unknown: the toolchain's own target, else rustup adds it,
//! else Debian's Rust builds the standard library from source.

use crate::{dirs, say, tools};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weir_e2e::process;

pub const TARGET: &str = "wasm32-unknown-unknown";
/// rustup may have no way to its server: it is not waited for long.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// How to call cargo.
#[derive(Clone, Debug)]
pub enum Toolchain {
    /// The toolchain in use has the target.
    Own,
    /// Debian's cargo and rustc with `-Zbuild-std`, and this linker.
    Debian { linker: PathBuf },
}

pub fn ensure() -> Result<Toolchain> {
    if own_target()? {
        return Ok(Toolchain::Own);
    }
    if debian_is_there() {
        return debian();
    }
    let _lock = tools::lock("wasm")?;
    if tools::which("rustup").is_some() {
        say::step(format!("adding the target {TARGET} (rustup)"));
        let mut add = Command::new("rustup");
        add.args(["target", "add", TARGET]);
        let added = process::run("rustup target add", add, &dirs::install_log("rustup")?, RUSTUP_LIMIT);
        if added.is_ok() && own_target()? {
            return Ok(Toolchain::Own);
        }
    }
    if !debian_is_there() {
        tools::apt::install("a Rust with the wasm32 target", &DEBIAN).with_context(|| {
            format!("rustup cannot add {TARGET} either: run `rustup target add {TARGET}`, or on Debian as root `apt-get install {}`", DEBIAN.join(" "))
        })?;
    }
    debian()
}

/// A `cargo` for plugins: the caller adds the subcommand's own arguments after `build`.
pub fn cargo_build(toolchain: &Toolchain) -> Command {
    let mut command = match toolchain {
        Toolchain::Own => Command::new("cargo"),
        Toolchain::Debian { linker } => {
            let mut command = Command::new("/usr/bin/cargo");
            command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", "/usr/bin/rustc");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            command
        }
    };
    // What the cargo that runs us has set would steer this one.
    for name in ["CARGO", "RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    command.args(["build", "--release", "--target", TARGET]);
    if let Toolchain::Debian { .. } = toolchain {
        command.arg("-Zbuild-std=std,panic_abort");
    }
    command
}

fn own_target() -> Result<bool> {
    let mut command = Command::new("rustc");
    command.args(["--print", "target-libdir", "--target", TARGET]);
    let output = command.output().context("rustc is missing: install Rust")?;
    let dir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success() && has_core(Path::new(&dir)))
}

fn has_core(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| e.file_name()).any(|name| name.to_string_lossy().starts_with("libcore-"))
}

fn debian_is_there() -> bool {
    Path::new("/usr/bin/cargo").exists() && debian_sources().is_some()
}

/// The library sources of Debian's Rust, without which the standard library cannot be built.
fn debian_sources() -> Option<PathBuf> {
    let output = Command::new("/usr/bin/rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let sources = sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml");
    sources.exists().then_some(sources)
}

fn debian() -> Result<Toolchain> {
    if !debian_is_there() {
        bail!(
            "Debian's {} are installed, but /usr/bin/cargo or its library sources are not there",
            DEBIAN.join(", ")
        );
    }
    Ok(Toolchain::Debian { linker: linker()? })
}

/// rust-lld of the toolchain in use, else LLVM's wasm-ld.
fn linker() -> Result<PathBuf> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    let hosts = std::fs::read_dir(sysroot.join("lib/rustlib")).into_iter().flatten().flatten();
    let own = hosts.map(|host| host.path().join("bin/rust-lld")).find(|lld| lld.exists());
    if let Some(lld) = own.or_else(|| tools::which("wasm-ld")) {
        return Ok(lld);
    }
    tools::apt::install("a linker for wasm", &["lld"])?;
    tools::which("wasm-ld").context("wasm-ld is not in PATH, although lld is installed")
}
