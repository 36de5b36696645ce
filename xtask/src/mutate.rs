//! Is the check worth anything? Each metric is built with a small mistake, and the demo's check must find
//! differences in that metric: all in one build and one demo, since each metric is compared by itself, or one
//! after the other.

mod table;

use crate::demo::duration;
use crate::tools::wasm;
use crate::{dirs, plugins, say};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use table::{MUTATIONS, Mutation};

#[derive(clap::Args)]
pub struct Options {
    /// How long each demo runs.
    #[arg(long = "for", default_value = "20s")]
    run_for: String,
    /// Only metrics whose name contains this text.
    #[arg(long)]
    only: Option<String>,
    /// A build and a demo for each mistake.
    #[arg(long)]
    apart: bool,
}

pub fn run(options: &Options) -> Result<bool> {
    duration(&options.run_for).map_err(anyhow::Error::msg)?;
    let toolchain = wasm::ensure()?;
    let good = plugins::build()?;
    let work = dirs::target()?.join("mutate");
    let chosen: Vec<&Mutation> = MUTATIONS
        .iter()
        .filter(|m| options.only.as_ref().is_none_or(|part| m.metric.contains(part)))
        .collect();
    if chosen.is_empty() {
        bail!("no mistake is listed for a metric of that name");
    }
    let mut missed = Vec::new();
    for together in chosen.chunks(if options.apart { 1 } else { chosen.len() }) {
        let source = copy_plugins(&work)?;
        for mutation in together {
            say::step(format!("{}: `{}` becomes `{}`", mutation.metric, mutation.from, mutation.to));
            apply(mutation, &source)?;
        }
        let components = work.join("components");
        copy_files(&good, &components)?;
        plugins::build_into(&toolchain, &source, &components, None)?;
        let table = checked(&components, &options.run_for)?;
        for mutation in together {
            let caught = differs(mutation.metric, &table);
            println!("{}: {}", mutation.metric, if caught { "caught" } else { "NOT caught" });
            if !caught {
                missed.push(mutation.metric);
            }
        }
    }
    println!("{} mistakes made, {} caught", chosen.len(), chosen.len() - missed.len());
    if !missed.is_empty() {
        bail!("the check did not notice the mistake in {}", missed.join(", "));
    }
    Ok(true)
}

/// A copy of plugins/ beside the same wit/ and sdk/, so that relative paths hold.
fn copy_plugins(work: &Path) -> Result<PathBuf> {
    let root = dirs::workspace();
    let clone = work.join("clone");
    dirs::make(&clone)?;
    let mut command = Command::new("sh");
    command.arg("-c").arg("cd \"$1\" && tar cf - --exclude=target Cargo.toml Cargo.lock plugins sdk wit host/types | tar xf - -C \"$2\"");
    let status = command.arg("sh").arg(&root).arg(&clone).status().context("start sh")?;
    if !status.success() {
        bail!("plugins/ cannot be copied to {}", clone.display());
    }
    Ok(clone.join("plugins"))
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    dirs::make(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        if let Some(name) = path.file_name() {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn apply(mutation: &Mutation, plugins: &Path) -> Result<()> {
    let path = plugins.join(mutation.file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let found = text.matches(mutation.from).count();
    if found != 1 {
        bail!(
            "`{}` stands {found} times in plugins/{}, not once: mend xtask/src/mutate/table.rs",
            mutation.from,
            mutation.file
        );
    }
    std::fs::write(&path, text.replace(mutation.from, mutation.to))?;
    Ok(())
}

/// What the check of these components says; nothing if it does not fail by differences.
fn checked(components: &Path, run_for: &str) -> Result<String> {
    let mut command = dirs::xtask()?;
    command.args(["demo", "--check", "--for", run_for, "--components"]).arg(components);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("start the demo")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    Ok(if output.status.code() == Some(1) { text } else { String::new() })
}

/// Whether the oracle's table has a row of this metric with differences: its columns are metric,
/// window, compared, differ, ….
fn differs(metric: &str, table: &str) -> bool {
    table.lines().any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns.first() == Some(&metric)
            && columns.get(3).is_some_and(|n| n.parse::<u64>().is_ok_and(|n| n > 0))
    })
}

#[cfg(test)]
mod tests;
