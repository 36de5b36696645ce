//! How each language's component is built: the commands of its README.

use super::{contract, examples, tool};
use crate::dirs;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use weir_e2e::process;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WORLD: &str = "metric";
const LIMIT: Duration = Duration::from_secs(600);

fn run(what: &str, command: Command) -> Result<()> {
    process::run(what, command, &dirs::install_log(&format!("build-{what}"))?, LIMIT)
}

fn text(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// WASI that does nothing, for runtimes that want it.
pub fn stub() -> Result<Vec<u8>> {
    let path = examples().join("wasi_stub.wat");
    wat::parse_file(&path).with_context(|| format!("{}", path.display()))
}

/// A core module that carries the contract's types, as a component.
fn component(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module)?;
    encoder.adapter("wasi_snapshot_preview1", &stub()?)?.encode()
}

fn bindings(language: &str, work: &Path) -> Result<()> {
    let mut bindgen = Command::new(tool::wit_bindgen()?);
    bindgen.arg(language).arg(contract()).args(["-w", WORLD, "--out-dir"]).arg(work);
    run("wit-bindgen", bindgen)
}

fn named((package, version): (&str, &str)) -> String {
    format!("{package} {version}")
}

pub fn c_tools() -> Result<String> {
    tool::python(tool::ZIG)?;
    tool::wit_bindgen()?;
    Ok(format!("{}, {}", named(tool::ZIG), named(tool::WIT_BINDGEN)))
}

pub fn c(work: &Path) -> Result<Vec<u8>> {
    bindings("c", work)?;
    let mut zig = tool::python_with(&tool::python(tool::ZIG)?);
    zig.args([
        "-m",
        "ziglang",
        "cc",
        "-target",
        "wasm32-wasi",
        "-mexec-model=reactor",
        "-std=c17",
        "-O2",
        "-s",
    ]);
    zig.args(["-Wall", "-Wextra", "-Werror", "-Wl,--stack,65536", "-o", "module.wasm"]);
    for source in super::files(work)? {
        if source.extension().is_some_and(|e| e == "c" || e == "o") {
            zig.arg(source.file_name().context("a file has a name")?);
        }
    }
    zig.current_dir(work).env("ZIG_GLOBAL_CACHE_DIR", dirs::cache()?.join("languages/zig-cache"));
    run("zig", zig)?;
    component(&text(&work.join("module.wasm"))?)
}

pub fn go_tools() -> Result<String> {
    let go = tool::go()?;
    tool::wit_bindgen()?;
    Ok(format!("{go}, {}", named(tool::WIT_BINDGEN)))
}

pub fn go(work: &Path) -> Result<Vec<u8>> {
    // The bindings bring a go.mod of their own, which asks for a module that the proxy does not have.
    let module = text(&work.join("go.mod"))?;
    bindings("go", work)?;
    std::fs::write(work.join("go.mod"), module)?;
    let mut go = Command::new("go");
    go.args([
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-buildmode=c-shared",
        "-ldflags=-s -w",
        "-o",
        "module.wasm",
        ".",
    ]);
    go.current_dir(work)
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "");
    run("go", go)?;
    let mut module = text(&work.join("module.wasm"))?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(contract())?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    component(&module)
}

pub fn javascript_tools() -> Result<String> {
    tool::npm(tool::COMPONENTIZE_QJS)?;
    Ok(named(tool::COMPONENTIZE_QJS))
}

pub fn javascript(work: &Path) -> Result<Vec<u8>> {
    let package = tool::npm(tool::COMPONENTIZE_QJS)?.join("node_modules/componentize-qjs");
    let mut componentize = Command::new("node");
    componentize.arg(package.join("bin/componentize-qjs")).arg("--wit").arg(contract());
    componentize.args([
        "--world",
        WORLD,
        "--js",
        "plugin.js",
        "--sync",
        "--stub-wasi",
        "--output",
        "javascript.wasm",
    ]);
    componentize.current_dir(work);
    run("componentize-qjs", componentize)?;
    text(&work.join("javascript.wasm"))
}

pub fn python_tools() -> Result<String> {
    tool::python(tool::COMPONENTIZE_PY)?;
    Ok(named(tool::COMPONENTIZE_PY))
}

pub fn python(work: &Path) -> Result<Vec<u8>> {
    let package = tool::python(tool::COMPONENTIZE_PY)?;
    let mut componentize = tool::python_with(&package);
    componentize.args(["-c", "import componentize_py; componentize_py.script()", "-d"]).arg(contract());
    componentize.args(["-w", WORLD, "componentize", "--stub-wasi", "plugin", "-p", ".", "-o", "python.wasm"]);
    componentize.current_dir(work);
    run("componentize-py", componentize)?;
    text(&work.join("python.wasm"))
}
