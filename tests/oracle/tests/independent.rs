//! The oracle is worth something only while it shares nothing with what it checks.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

#[test]
fn no_crate_of_the_workspace_is_among_the_oracles_dependencies() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = |value: &Value| value.as_str().unwrap().to_string();
    let names: BTreeMap<String, String> =
        metadata["packages"].as_array().unwrap().iter().map(|p| (id(&p["id"]), id(&p["name"]))).collect();
    let members: BTreeSet<String> =
        metadata["workspace_members"].as_array().unwrap().iter().map(id).collect();
    // Dev- and build-dependencies included.
    let needs: BTreeMap<String, Vec<String>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| (id(&n["id"]), n["dependencies"].as_array().unwrap().iter().map(id).collect()))
        .collect();
    let oracle = members.iter().find(|m| names[*m] == "weir-oracle").unwrap();
    let mut seen = BTreeSet::from([oracle.clone()]);
    let mut open = vec![oracle.clone()];
    while let Some(next) = open.pop() {
        for dependency in &needs[&next] {
            if seen.insert(dependency.clone()) {
                open.push(dependency.clone());
            }
        }
    }
    let shared: Vec<&String> =
        seen.intersection(&members).filter(|m| *m != oracle).map(|m| &names[m]).collect();
    assert!(shared.is_empty(), "the oracle must not depend on {shared:?}");
    assert!(seen.len() > 10, "the walk found the outside crates");
}
