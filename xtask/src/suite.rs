//! All tests, step by step: what `.ci/run` calls, and what a developer runs before landing.

use crate::{build, dirs, fences, say, tools};
use anyhow::{Context, Result};
use std::process::{Command, Stdio};
use std::time::Instant;

#[derive(clap::Args)]
pub struct Options {
    /// Leave out what needs servers or other tools: for the inner loop.
    #[arg(long)]
    quick: bool,
}

/// One step that can pass or fail.
struct Step {
    name: &'static str,
    run: Box<dyn Fn() -> Result<bool>>,
}

/// Runs all steps, also after one has failed, and says how each went. True if all passed.
pub fn run(options: &Options) -> Result<bool> {
    tools::build::ensure()?;
    let quick = options.quick;
    let steps = [
        Step { name: "formatting", run: Box::new(formatting) },
        Step { name: "fences between crates", run: Box::new(fences::run) },
        Step { name: "lints", run: Box::new(lints) },
        Step { name: "tests of the workspace", run: Box::new(move || tests(quick)) },
    ];
    let mut summary = Vec::new();
    for step in &steps {
        say::step(step.name);
        let began = Instant::now();
        let passed = (step.run)().unwrap_or_else(|error| {
            eprintln!("error: {}: {error:#}", step.name);
            false
        });
        summary.push((step.name, passed, began.elapsed().as_secs()));
    }
    println!();
    for (name, passed, seconds) in &summary {
        println!("{:>6} s  {}  {name}", seconds, if *passed { "passed" } else { "FAILED" });
    }
    let failed = summary.iter().filter(|(_, passed, _)| !passed).count();
    println!("{} passed, {failed} failed", summary.len() - failed);
    Ok(failed == 0)
}

fn formatting() -> Result<bool> {
    let mut command = Command::new("cargo");
    command.args(["fmt", "--all", "--check"]).current_dir(dirs::workspace());
    succeeds(command)
}

fn lints() -> Result<bool> {
    let mut command = build::cargo("clippy")?;
    command.args(["--workspace", "--all-targets", "--", "-D", "warnings"]);
    succeeds(command)
}

/// With servers, the tests get the paths that they ask for; without, those tests say that they are
/// skipped.
fn tests(quick: bool) -> Result<bool> {
    let mut command = build::cargo("test")?;
    command.args(["--workspace", "--no-fail-fast"]);
    if !quick {
        let bins = build::programs()?;
        command.env("WEIR_CHDB_LIB", tools::chdb::ensure()?);
        command.env("WEIR_EMBEDDED_BIN", bins.embedded());
        tools::programs::promtool()?;
    }
    succeeds(command)
}

fn succeeds(mut command: Command) -> Result<bool> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("start {program}"))?;
    Ok(status.success())
}
