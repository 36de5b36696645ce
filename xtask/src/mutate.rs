//! Is the check worth anything? Each metric is built with an off-by-one, and the demo's check must
//! find differences in that metric.

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
}

pub fn run(options: &Options) -> Result<bool> {
    duration(&options.run_for).map_err(anyhow::Error::msg)?;
    let toolchain = wasm::ensure()?;
    let good = plugins::build()?;
    let work = dirs::target()?.join("mutate");
    let mut missed = Vec::new();
    for mutation in MUTATIONS {
        if options.only.as_ref().is_some_and(|part| !mutation.metric.contains(part.as_str())) {
            continue;
        }
        say::step(format!("{}: `{}` becomes `{}`", mutation.metric, mutation.from, mutation.to));
        let source = copy_plugins(&work)?;
        apply(mutation, &source)?;
        let components = work.join("components");
        copy_files(&good, &components)?;
        plugins::build_into(&toolchain, &source, &components, None)?;
        let caught = is_caught(mutation.metric, &components, &options.run_for)?;
        println!("{}: {}", mutation.metric, if caught { "caught" } else { "NOT caught" });
        if !caught {
            missed.push(mutation.metric);
        }
    }
    if !missed.is_empty() {
        bail!("the check did not notice an off-by-one in {}", missed.join(", "));
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

/// Whether the check fails and counts differences in this metric.
fn is_caught(metric: &str, components: &Path, run_for: &str) -> Result<bool> {
    let mut command = dirs::xtask()?;
    command.args(["demo", "--check", "--for", run_for, "--components"]).arg(components);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("start the demo")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    if output.status.code() != Some(1) {
        return Ok(false);
    }
    Ok(differs(metric, &text))
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
