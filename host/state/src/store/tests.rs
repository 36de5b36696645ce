#![allow(clippy::unwrap_used)]

use super::*;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

fn set(pairs: &[(&str, &str)]) -> WriteSet {
    let mut writes = WriteSet::default();
    for (key, value) in pairs {
        writes.put(*key, value.as_bytes().to_vec());
    }
    writes
}

fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(directory.path().to_str().unwrap(), "0", Claim::default()).unwrap()
}

/// As a second host whose lock on the directory does not hold, as on an object store.
fn open_unlocked(directory: &tempfile::TempDir) -> Store {
    let location = Location::Directory(directory.path().into());
    Store::open_with(&location, "0", None, Claim::default(), Purpose::Run).unwrap()
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.write(set(&[("0/a", "1"), ("0/b", "2")])).unwrap();
    let mut second = set(&[("0/a", "3")]);
    second.delete("0/b");
    store.write(second).unwrap();
    store.put_blob("c0ffee", b"component").unwrap();
    drop(store);
    let store = open(&directory);
    assert_eq!(store.get(b"0/a").unwrap().as_deref(), Some(&b"3"[..]));
    assert_eq!(store.get(b"0/b").unwrap(), None);
    assert_eq!(store.get_blob("c0ffee").unwrap().as_deref(), Some(&b"component"[..]));
    assert_eq!(store.get_blob("absent").unwrap(), None);
}

#[test]
fn a_scan_gives_the_prefix_only_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store
        .write(set(&[("0/m/2", "b"), ("0/m/1", "a"), ("0/n/1", "x"), ("0/l/9", "x"), ("0/m", "x")]))
        .unwrap();
    store.write(set(&[("0/m/10", "c")])).unwrap();
    let found = store.scan(b"0/m/").unwrap();
    let found: Vec<_> = found.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
    assert_eq!(found, [(&b"0/m/1"[..], &b"a"[..]), (b"0/m/10", b"c"), (b"0/m/2", b"b")]);
    assert!(store.scan(b"1/").unwrap().is_empty());
}

#[test]
fn a_second_host_on_the_directory_is_refused_by_name_and_process() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let error = Store::open(directory.path().to_str().unwrap(), "0", Claim::default()).err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, OpenError::Locked(_)), "{text}");
    assert!(text.contains(directory.path().to_str().unwrap()), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    drop(store);
    open(&directory);
}

#[test]
fn an_older_writer_is_fenced_once_a_newer_one_has_opened() {
    let directory = tempfile::tempdir().unwrap();
    let older = open_unlocked(&directory);
    older.write(set(&[("k", "older")])).unwrap();
    let newer = open_unlocked(&directory);
    assert!(!older.is_fenced(), "it does not know yet");
    let error = older.write(set(&[("k", "too late")])).unwrap_err();
    assert!(matches!(error, StateError::Fenced(_)), "{error}");
    assert_eq!(newer.get(b"k").unwrap().as_deref(), Some(&b"older"[..]));
    newer.write(set(&[("k", "newer")])).unwrap();
    assert!(matches!(older.write(set(&[("k", "again")])), Err(StateError::Fenced(_))));
    assert!(older.is_fenced() && !newer.is_fenced());
}

#[test]
fn a_host_that_slept_through_a_take_over_gets_no_generation() {
    let directory = tempfile::tempdir().unwrap();
    let older = open_unlocked(&directory);
    let newer = open_unlocked(&directory);
    let of_newer = newer.claim_generation(1).unwrap();
    let error = older.claim_generation(1).unwrap_err();
    assert!(matches!(error, StateError::Fenced(_)), "{error}");
    drop((older, newer));
    let next = open(&directory).claim_generation(1).unwrap();
    assert!(next > of_newer, "{next} after {of_newer}");
}

#[test]
fn a_generation_stays_known_when_its_object_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(open(&directory).claim_generation(41).unwrap(), 41);
    std::fs::remove_dir_all(directory.path().join("generation")).unwrap();
    assert_eq!(open(&directory).claim_generation(1).unwrap(), 42);
}

#[test]
fn no_generation_is_given_out_twice() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&directory));
    let claim = |store: Arc<Store>| {
        std::thread::spawn(move || (0..20).map(|_| store.claim_generation(0).unwrap()).collect::<Vec<_>>())
    };
    let threads = [claim(Arc::clone(&store)), claim(Arc::clone(&store))];
    let mut all: Vec<u64> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=40).collect::<Vec<u64>>());
    assert_eq!(store.claim_generation(100).unwrap(), 100);
    assert_eq!(store.claim_generation(50).unwrap(), 101, "greater than every one before");
}

#[test]
fn a_wrong_place_is_refused_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let text = Store::open(file.to_str().unwrap(), "0", Claim::default()).err().unwrap().to_string();
    assert!(text.contains("file"), "{text}");
    let text = Store::open("gopher://x/y", "0", Claim::default()).err().unwrap().to_string();
    assert!(text.contains("gopher://x/y"), "{text}");
    assert!(Store::open(directory.path().to_str().unwrap(), "a/b", Claim::default()).is_err());
    assert_eq!(Location::parse("file:///a/b").unwrap(), Location::Directory("/a/b".into()));
}

/// Where SlateDB keeps its log, so that a test can take it away.
fn log_of(directory: &tempfile::TempDir) -> std::path::PathBuf {
    directory.path().join("shards/0/wal")
}

#[test]
fn a_store_that_is_away_is_told_and_a_repeated_write_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(&directory);
    store.patience = Duration::from_millis(300);
    store.write(set(&[("a", "1")])).unwrap();
    let (log, away) = (log_of(&directory), directory.path().join("away"));
    std::fs::rename(&log, &away).unwrap();
    std::fs::write(&log, "in the way").unwrap();
    let error = store.write(set(&[("a", "2"), ("b", "2")])).unwrap_err();
    assert!(matches!(error, StateError::Unavailable(_)), "{error}");
    let error = store.write(set(&[("a", "2"), ("b", "2")])).unwrap_err();
    assert!(error.to_string().contains("a write is not done after 300ms"), "{error}");
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&away, &log).unwrap();
    store.patience = Duration::from_secs(60);
    store.write(set(&[("a", "2"), ("b", "2")])).unwrap();
    store.write(set(&[("a", "3")])).unwrap();
    drop(store);
    let store = open(&directory);
    let found = store.scan(b"").unwrap();
    let found: Vec<_> = found.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
    assert_eq!(found, [(&b"a"[..], &b"3"[..]), (b"b", b"2")]);
}

const CHILD: &str = "WEIR_STATE_TEST_DIRECTORY";

/// Writes until it is killed, and says which writes were acknowledged.
#[test]
#[ignore = "runs as the child of everything_acknowledged_survives_kill_9"]
fn writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let store = Store::open(&directory, "0", Claim::default()).unwrap();
    let from: u64 = store.get(b"last").unwrap().map_or(0, |v| String::from_utf8(v).unwrap().parse().unwrap());
    for n in from + 1.. {
        let mut writes = set(&[("last", &n.to_string())]);
        for part in 0..20 {
            writes.put(format!("n/{n:08}/{part:02}"), vec![part; 3000]);
        }
        store.write(writes).unwrap();
        println!("\nacknowledged {n}");
    }
}

#[test]
fn everything_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "store::tests::writes_until_it_is_killed"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acks =
            lines.map_while(Result::ok).filter_map(|l| l.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        let mut seen = 0;
        for number in acks {
            acknowledged = number;
            seen += 1;
            if seen == 10 + 7 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= 10, "the child wrote");
        let store = open(&directory);
        let last: u64 = String::from_utf8(store.get(b"last").unwrap().unwrap()).unwrap().parse().unwrap();
        assert!(last >= acknowledged, "{last} < {acknowledged}");
        let keys: Vec<String> =
            store.scan(b"n/").unwrap().into_iter().map(|(k, _)| String::from_utf8(k).unwrap()).collect();
        let expected: Vec<String> =
            (1..=last).flat_map(|n| (0..20).map(move |part| format!("n/{n:08}/{part:02}"))).collect();
        assert_eq!(keys, expected, "every batch is whole");
    }
}

#[test]
#[ignore = "prints how long writes take; nothing is asserted"]
fn durations_of_writes() {
    let directory = tempfile::Builder::new().tempdir_in(".").unwrap();
    let store = open(&directory);
    for (keys, size) in [(20, 3000), (200, 10_000), (1000, 5000)] {
        #[allow(clippy::disallowed_methods, reason = "measures")]
        let start = std::time::Instant::now();
        for _ in 0..20 {
            let mut writes = WriteSet::default();
            for key in 0..keys {
                writes.put(format!("{key:05}"), vec![7; size]);
            }
            store.write(writes).unwrap();
        }
        println!("{keys} keys of {size} B: {:?} each", start.elapsed() / 20);
    }
}

#[test]
fn a_database_that_has_stopped_for_good_is_told_as_such_and_not_as_away() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.write(set(&[("k", "kept")])).unwrap();
    store.runtime.as_ref().unwrap().block_on(store.db.close()).unwrap();
    let error = store.write(set(&[("k", "lost")])).unwrap_err();
    assert!(matches!(&error, StateError::Closed(text) if text.contains("restart this host")), "{error:?}");
    assert!(matches!(store.get(b"k"), Err(StateError::Closed(_))));
    drop(store);
    assert_eq!(open(&directory).get(b"k").unwrap().as_deref(), Some(&b"kept"[..]));
}
