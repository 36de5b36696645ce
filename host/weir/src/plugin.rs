//! `weir plugin …`: metrics of a running host.

use crate::api::{Api, escape, items, print_table, text};
use crate::cli::{HostArgs, PluginCommand};
use anyhow::Context as _;
use std::path::Path;

pub fn run(host: &HostArgs, command: &PluginCommand) -> anyhow::Result<()> {
    let api = Api::new(host);
    match command {
        PluginCommand::Push { file } => push(&api, file),
        PluginCommand::List => list(&api),
        PluginCommand::Retire { metric } => retire(&api, metric),
    }
}

fn push(api: &Api, file: &Path) -> anyhow::Result<()> {
    let component = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.file_name().map_or_else(|| "upload".into(), |name| name.to_string_lossy());
    let answer = api.post(&format!("plugins?origin={}", escape(&name)), "application/wasm", &component)?;
    for metric in items(&answer, "metrics") {
        println!("loaded {} {} ({})", text(metric, "name"), text(metric, "version"), text(metric, "status"));
    }
    Ok(())
}

fn list(api: &Api) -> anyhow::Result<()> {
    let mut rows = vec![["METRIC", "VERSION", "STATUS", "DIGEST", "REASON"].map(str::to_string)];
    for metric in items(&api.get("plugins")?, "metrics") {
        let digest: String = text(metric, "digest").chars().take(12).collect();
        let [name, version, status, reason] =
            ["name", "version", "status", "reason"].map(|key| text(metric, key).to_string());
        rows.push([name, version, status, digest, reason]);
    }
    print_table(&rows);
    Ok(())
}

fn retire(api: &Api, metric: &str) -> anyhow::Result<()> {
    api.delete(&format!("plugins/{}", escape(metric)))?;
    println!("retired {metric}");
    Ok(())
}
