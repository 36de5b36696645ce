//! The store on an S3-compatible server: everything that a local directory can, and owners besides.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use weir_state::{Claim, Export, OpenError, Snapshot, Store};
use weir_types::ports::{StateError, StateStore, WriteSet};

/// A place of its own for one test. The environment tells where the server is.
fn place(name: &str) -> String {
    let base =
        std::env::var("WEIR_TEST_S3").expect("WEIR_TEST_S3: these tests are run by `cargo xtask test`");
    format!("{base}/{name}-{}", std::process::id())
}

fn claim(started: i64, take_over: bool) -> Claim {
    Claim { take_over, started }
}

fn set(pairs: &[(&str, &str)]) -> WriteSet {
    let mut writes = WriteSet::default();
    pairs.iter().for_each(|(key, value)| writes.put(*key, value.as_bytes().to_vec()));
    writes
}

fn found(store: &Store, prefix: &str) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    store.scan(prefix.as_bytes()).unwrap().into_iter().map(|(k, v)| (text(k), text(v))).collect()
}

#[test]
#[ignore = "needs an S3-compatible server: run by cargo xtask test"]
fn what_was_written_is_there_after_reopening() {
    let state = place("reopen");
    let store = Store::open(&state, "0", claim(1, false)).unwrap();
    store.write(set(&[("0/a", "1"), ("0/b", "2")])).unwrap();
    let mut second = set(&[("0/a", "3")]);
    second.delete("0/b");
    store.write(second).unwrap();
    store.put_blob("components/x.wasm", b"component").unwrap();
    drop(store);
    // The owner has stopped in order: nobody waits.
    let store = Store::open(&state, "0", claim(2, false)).unwrap();
    assert_eq!(found(&store, "0/"), [("0/a".into(), "3".into())]);
    assert_eq!(store.get_blob("components/x.wasm").unwrap().as_deref(), Some(&b"component"[..]));
    assert_eq!(store.get_blob("absent").unwrap(), None);
}

#[test]
#[ignore = "needs an S3-compatible server: run by cargo xtask test"]
fn a_second_host_is_refused_and_one_that_takes_over_fences_the_first() {
    let state = place("owner");
    let first = Store::open(&state, "0", claim(1, false)).unwrap();
    first.write(set(&[("0/k", "first")])).unwrap();
    let error = Store::open(&state, "0", claim(2, false)).err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, OpenError::Locked(_)), "{text}");
    assert!(text.contains(&state) && text.contains("--take-over"), "{text}");
    first.write(set(&[("0/k", "still first")])).unwrap();

    let second = Store::open(&state, "0", claim(3, true)).unwrap();
    assert_eq!(found(&second, "0/k"), [("0/k".into(), "still first".into())]);
    let error = first.write(set(&[("0/k", "too late")])).unwrap_err();
    assert!(matches!(error, StateError::Fenced(_)), "{error}");
    assert!(first.is_fenced() && !second.is_fenced());
    second.write(set(&[("0/k", "second")])).unwrap();
    drop(first);
    assert_eq!(found(&second, "0/k"), [("0/k".into(), "second".into())]);
    drop(second);
    let third = Store::open(&state, "0", claim(4, false)).unwrap();
    assert_eq!(found(&third, "0/k"), [("0/k".into(), "second".into())]);
}

#[test]
#[ignore = "needs an S3-compatible server: run by cargo xtask test"]
fn an_idle_host_learns_that_it_was_taken_over() {
    let state = place("idle");
    let first = Store::open(&state, "0", claim(1, false)).unwrap();
    let second = Store::open(&state, "0", claim(2, true)).unwrap();
    while !first.is_fenced() {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(!second.is_fenced());
}

#[test]
#[ignore = "needs an S3-compatible server: run by cargo xtask test"]
fn no_generation_is_given_out_twice_and_none_to_a_host_that_was_taken_over() {
    let state = place("generation");
    let first = Store::open(&state, "0", claim(1, false)).unwrap();
    let generations: Vec<u64> = std::thread::scope(|scope| {
        let claim = || (0..5).map(|_| first.claim_generation(0).unwrap()).collect::<Vec<_>>();
        let threads = [scope.spawn(claim), scope.spawn(claim)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut sorted = generations.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=10).collect::<Vec<u64>>());
    assert_eq!(first.claim_generation(40).unwrap(), 40);
    let second = Store::open(&state, "0", claim(2, true)).unwrap();
    assert_eq!(second.claim_generation(1).unwrap(), 41);
    assert!(matches!(first.claim_generation(1), Err(StateError::Fenced(_))));
}

#[test]
#[ignore = "needs an S3-compatible server: run by cargo xtask test"]
fn a_state_moves_from_a_directory_to_s3_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("local").display().to_string();
    let (remote, back) = (place("moved"), folder.path().join("back").display().to_string());
    let (first, second) = (folder.path().join("1.weir"), folder.path().join("2.weir"));
    let store = Store::open(&local, "0", claim(1, false)).unwrap();
    store.write(set(&[("0/a", "1"), ("0/b", "2")])).unwrap();
    store.put_blob("components/x.wasm", b"component").unwrap();
    assert_eq!(store.claim_generation(6).unwrap(), 6);
    export(&local, &first);
    drop(store);
    weir_state::import(&first, &remote, "0", false, claim(2, false)).unwrap();
    let again = weir_state::import(&first, &remote, "0", false, claim(3, false)).unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
    let store = Store::open(&remote, "0", claim(4, false)).unwrap();
    assert_eq!(found(&store, "0/a"), [("0/a".into(), "1".into())]);
    assert_eq!(store.claim_generation(1).unwrap(), 7);
    store.write(set(&[("0/a", "3")])).unwrap();
    // Beside the running host, and without fencing it.
    export(&remote, &second);
    store.write(set(&[("0/a", "4")])).unwrap();
    weir_state::import(&second, &back, "0", false, claim(5, false)).unwrap();
    let store = Store::open(&back, "0", claim(6, false)).unwrap();
    assert_eq!(found(&store, "0/a"), [("0/a".into(), "3".into())]);
    assert_eq!(store.get_blob("components/x.wasm").unwrap().as_deref(), Some(&b"component"[..]));
}

fn export(state: &str, file: &Path) {
    weir_state::export(Export { state, shard: "0", host: "test", now: 1 }, file).unwrap();
}

#[test]
#[ignore = "needs an S3-compatible server: run by cargo xtask test"]
fn a_place_without_state_and_a_bucket_that_is_not_there_are_refused() {
    let empty = place("empty");
    let text = Snapshot::open(&empty, "0").err().unwrap().to_string();
    assert!(text.contains(&empty) && text.contains("no state"), "{text}");
    let text = Store::open("s3://no-such-bucket/x", "0", claim(1, false)).err().unwrap().to_string();
    assert!(text.contains("s3://no-such-bucket/x"), "{text}");
}
