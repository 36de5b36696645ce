//! The shipped metrics as components: compiled to core modules, wrapped, and checked to import nothing
//! but the host's log.

use crate::tools::wasm::{self, Toolchain};
use crate::{dirs, say};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wasmparser::{Parser, Payload};

/// What a component may import: the log, and an interface that only brings types.
const ALLOWED: [&str; 2] = ["weir:metric/host-log@", "weir:metric/types@"];

/// Why the shipped metrics cannot be built from this clone, if they cannot.
pub fn missing() -> Option<String> {
    let there = dirs::workspace().join("plugins/Cargo.toml").exists();
    (!there).then(|| "this clone has no plugins/ workspace".to_owned())
}

/// Builds all plugins; the folder with their components.
pub fn build() -> Result<PathBuf> {
    if let Some(reason) = missing() {
        bail!("{reason}");
    }
    let out = dirs::target()?.join("components");
    let toolchain = wasm::ensure()?;
    if !out.exists() {
        say::step("compiling the metrics for wasm32 (a minute the first time)");
    }
    build_into(&toolchain, &dirs::workspace().join("plugins"), &out, None)?;
    Ok(out)
}

/// Builds the plugins in `source` (one package, or all), and writes `<name>.wasm` into `out`.
pub fn build_into(
    toolchain: &Toolchain,
    source: &Path,
    out: &Path,
    package: Option<&str>,
) -> Result<Vec<PathBuf>> {
    let target = dirs::target()?.join("plugins");
    let mut command = wasm::cargo_build(toolchain);
    command.current_dir(source).env("CARGO_TARGET_DIR", &target).arg("--quiet");
    if let Some(package) = package {
        command.args(["-p", package]);
    }
    let status = command.stdin(Stdio::null()).status().context("start cargo for the plugins")?;
    if !status.success() {
        bail!("the plugins in {} do not compile", source.display());
    }
    dirs::make(out)?;
    let mut made = Vec::new();
    for name in modules(source, package)? {
        let module = target.join(wasm::TARGET).join("release").join(format!("{name}.wasm"));
        let component = out.join(format!("{name}.wasm"));
        wrap(&module, &component)?;
        made.push(component);
    }
    if made.is_empty() {
        bail!("{} holds no package with a cdylib", source.display());
    }
    Ok(made)
}

/// File names of the core modules that a workspace makes.
fn modules(source: &Path, package: Option<&str>) -> Result<Vec<String>> {
    let mut command = Command::new("cargo");
    command.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(source);
    let output = command.output().context("start cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let mut names = Vec::new();
    for found in metadata["packages"].as_array().into_iter().flatten() {
        if package.is_some_and(|wanted| found["name"] != wanted) {
            continue;
        }
        for target in found["targets"].as_array().into_iter().flatten() {
            let kinds = target["kind"].as_array().into_iter().flatten();
            if kinds.into_iter().any(|kind| kind == "cdylib") {
                names.push(target["name"].as_str().unwrap_or_default().replace('-', "_"));
            }
        }
    }
    Ok(names)
}

fn wrap(module: &Path, component: &Path) -> Result<()> {
    let bytes = std::fs::read(module).with_context(|| format!("read {}", module.display()))?;
    let mut encoder = wit_component::ComponentEncoder::default();
    let wrapped = encoder.validate(true).module(&bytes).and_then(|encoder| encoder.encode());
    let wrapped = wrapped.with_context(|| format!("make a component of {}", module.display()))?;
    check_imports(&wrapped).with_context(|| format!("{}", component.display()))?;
    if std::fs::read(component).is_ok_and(|old| old == wrapped) {
        return Ok(());
    }
    // Whoever reads it meanwhile, or has a link to it, keeps the old one whole.
    let fresh = component.with_extension("fresh");
    std::fs::write(&fresh, wrapped).with_context(|| format!("write {}", fresh.display()))?;
    std::fs::rename(&fresh, component).with_context(|| format!("write {}", component.display()))
}

/// Refuses a component that imports anything but the log.
pub fn check_imports(component: &[u8]) -> Result<()> {
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let import = import?;
                    let name = import.name.name;
                    if !ALLOWED.iter().any(|allowed| name.starts_with(allowed)) {
                        bail!("it imports {name}; a metric may import weir:metric/host-log only");
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}
