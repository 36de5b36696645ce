//! The cache of compiled components: quick the second time, and never trusted blindly.

#![allow(clippy::unwrap_used)]

mod common;

use common::{good, sources, sum};
use std::path::{Path, PathBuf};
use weir_plugin::{Sandbox, SandboxOptions};
use weir_types::ports::Loader;

fn load(dir: &Path) {
    let options = SandboxOptions { cache_dir: Some(dir.to_path_buf()), ..SandboxOptions::default() };
    let sandbox = Sandbox::new(options).unwrap();
    sandbox.load("good.wasm", &good(&[sum()]), &sources()).unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_component_is_compiled_once_for_all_starts() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path());
    let first = files(dir.path());
    assert_eq!(first.len(), 1, "one file, and no leftovers");
    let made = std::fs::metadata(&first[0]).unwrap().modified().unwrap();
    load(dir.path());
    assert_eq!(files(dir.path()), first);
    assert_eq!(std::fs::metadata(&first[0]).unwrap().modified().unwrap(), made, "it was used, not made anew");
}

#[test]
fn damaged_compiled_code_is_not_run_but_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path());
    let file = files(dir.path()).remove(0);
    let good = std::fs::read(&file).unwrap();
    let mut broken = good.clone();
    let middle = broken.len() / 2;
    broken[middle..middle + 64].fill(0xcc);
    std::fs::write(&file, &broken).unwrap();
    load(dir.path());
    assert_eq!(std::fs::read(&file).unwrap(), good);
}

#[test]
fn a_cache_folder_that_cannot_be_made_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let options = SandboxOptions { cache_dir: Some(file.join("cache")), ..SandboxOptions::default() };
    let error = Sandbox::new(options).err().unwrap();
    assert!(error.to_string().contains("folder for compiled components"), "{error}");
}
