//! The architecture's fences, read from `cargo metadata`: which crate may use which library, and which
//! way the arrows between our own crates point. deny.toml says the first half for cargo-deny too.

use crate::dirs;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// A library and the only crates that may depend on it directly.
const WRAPPERS: [(&str, &[&str]); 6] = [
    ("rdkafka", &["weir-ingest"]),
    ("wasmtime", &["weir-plugin"]),
    ("slatedb", &["weir-state"]),
    ("clickhouse", &["weir-clickhouse"]),
    ("hyper", &["weir-clickhouse", "weir-serve", "weir-embedded"]),
    ("mysql", &["weir-generator", "weir-oracle"]),
];

/// What each crate of the host may use among the others (design § 9): arrows point one way, and
/// adapters never know each other. Crates that are not listed (tools, tests) may use anything.
const ARROWS: [(&str, &[&str]); 9] = [
    ("weir-types", &[]),
    ("weir-decode", &["weir-types"]),
    ("weir-ingest", &["weir-types", "weir-decode"]),
    ("weir-plugin", &["weir-types", "weir-decode"]),
    ("weir-state", &["weir-types", "weir-decode"]),
    ("weir-clickhouse", &["weir-types", "weir-decode"]),
    ("weir-engine", &["weir-types", "weir-decode"]),
    ("weir-serve", &["weir-types", "weir-decode", "weir-engine"]),
    ("weir-embedded", &["weir-types", "weir-decode", "weir-ingest"]),
];

/// Crates that share nothing of ours: what they check must not check itself.
const ALONE: [&str; 1] = ["weir-oracle"];

/// Direct dependencies by package: (name, whether only for tests).
type Uses = BTreeMap<String, Vec<(String, bool)>>;

pub fn run() -> Result<bool> {
    let breaches = breaches(&uses()?);
    for breach in &breaches {
        eprintln!("fence: {breach}");
    }
    Ok(breaches.is_empty())
}

fn uses() -> Result<Uses> {
    let mut command = Command::new("cargo");
    command.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(dirs::workspace());
    let output = command.output().context("start cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(parse(&metadata))
}

fn parse(metadata: &Value) -> Uses {
    let mut uses = Uses::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        let needs = package["dependencies"].as_array().into_iter().flatten();
        let needs = needs.map(|need| {
            let for_tests = need["kind"].as_str() == Some("dev");
            (need["name"].as_str().unwrap_or_default().to_owned(), for_tests)
        });
        uses.insert(name, needs.collect());
    }
    uses
}

fn breaches(uses: &Uses) -> Vec<String> {
    let mut found = Vec::new();
    for (package, needs) in uses {
        for (need, for_tests) in needs {
            if let Some((_, allowed)) = WRAPPERS.iter().find(|(library, _)| library == need)
                && !for_tests
                && !allowed.contains(&package.as_str())
            {
                found.push(format!("{package} uses {need}, which is for {} only", allowed.join(", ")));
            }
            if ALONE.contains(&package.as_str()) && uses.contains_key(need) {
                found.push(format!("{package} uses {need}, but must share nothing of this workspace"));
            }
            if let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == package)
                && !for_tests
                && uses.contains_key(need)
                && !allowed.contains(&need.as_str())
            {
                found.push(format!("{package} must not use {need} (design: arrows point one way)"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(package: &str, need: &str, for_tests: bool) -> Vec<String> {
        let mut uses = Uses::new();
        for name in ["weir", "weir-types", "weir-engine", "weir-state", "weir-oracle"] {
            uses.insert(name.to_owned(), Vec::new());
        }
        uses.insert(package.to_owned(), vec![(need.to_owned(), for_tests)]);
        breaches(&uses)
    }

    #[test]
    fn an_adapter_may_use_its_own_library() {
        assert!(one("weir-state", "slatedb", false).is_empty());
    }

    #[test]
    fn nobody_else_may_use_an_adapters_library() {
        assert_eq!(one("weir-engine", "slatedb", false).len(), 1);
    }

    #[test]
    fn an_arrow_that_points_back_is_a_breach() {
        assert_eq!(one("weir-types", "weir-engine", false).len(), 1);
        assert_eq!(one("weir-engine", "weir-state", false).len(), 1);
    }

    #[test]
    fn tests_may_put_adapters_together() {
        assert!(one("weir-engine", "weir-state", true).is_empty());
    }

    #[test]
    fn the_oracle_shares_nothing_not_even_in_tests() {
        assert_eq!(one("weir-oracle", "weir-types", true).len(), 1);
        assert!(one("weir-oracle", "serde_json", false).is_empty());
    }

    #[test]
    fn this_workspace_keeps_its_fences() {
        let uses = uses().expect("cargo metadata");
        assert_eq!(breaches(&uses), Vec::<String>::new());
    }
}
