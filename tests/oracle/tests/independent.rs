//! The oracle is worth something only while it shares nothing with what it checks.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// A crate from the registry cannot depend on one of the workspace, so it is enough to look at the
/// oracle's own dependencies, those for tests and build scripts included.
#[test]
fn no_crate_of_the_workspace_is_among_the_oracles_dependencies() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let members: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let oracle = packages.iter().find(|p| p["name"] == "weir-oracle").unwrap();
    let dependencies = oracle["dependencies"].as_array().unwrap();
    assert!(members.len() > 10 && dependencies.len() > 5, "metadata shows the workspace");
    for dependency in dependencies {
        let name = dependency["name"].as_str().unwrap();
        assert!(!members.contains(name), "the oracle must not depend on {name}");
        assert!(dependency["path"].is_null(), "the oracle must not depend on the folder of {name}");
        let source = dependency["source"].as_str().unwrap_or_default();
        assert!(source.starts_with("registry+"), "{name} comes from {source}, not from the registry");
    }
}
