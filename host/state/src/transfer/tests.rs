#![allow(clippy::unwrap_used)]

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Data = BTreeMap<Vec<u8>, Vec<u8>>;

fn place(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn open(state: &str) -> Store {
    Store::open(state, "0", Claim::default()).unwrap()
}

fn write(store: &Store, entries: &Data) {
    let mut writes = WriteSet::default();
    entries.iter().for_each(|(k, v)| writes.put(k.clone(), v.clone()));
    store.write(writes).unwrap();
}

fn export_to(state: &str, file: &Path) -> Result<Totals, TransferError> {
    export(Export { state, shard: "0", host: "1.0.0", now: 5 }, file)
}

fn import_from(file: &Path, state: &str, replace: bool) -> Result<(Header, Totals), TransferError> {
    import(file, state, "0", replace, Claim::default())
}

/// Everything in the database but the keys of the store itself.
fn data(store: &Store) -> Data {
    let own = [reserved::claimed("0"), reserved::imported("0")];
    store.scan(b"").unwrap().into_iter().filter(|(key, _)| !own.contains(key)).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Data {
    pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn what_is_exported_stands_in_the_place_of_import(
        first in btree_map("0/[a-z]{1,3}".prop_map(String::into_bytes), vec(any::<u8>(), 0..2_000), 1..40),
        second in btree_map("0/[a-z]{1,3}".prop_map(String::into_bytes), vec(any::<u8>(), 0..2_000), 1..40),
        component in vec(any::<u8>(), 0..5_000),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (from, to, file) = (place(&folder, "from"), place(&folder, "to"), folder.path().join("file"));
        let store = open(&from);
        write(&store, &first);
        write(&store, &second);
        store.put_blob("components/abc.wasm", &component).unwrap();
        let before = data(&store);
        drop(store);
        let totals = export_to(&from, &file).unwrap();
        let (header, imported) = import_from(&file, &to, false).unwrap();
        prop_assert_eq!(totals, imported);
        prop_assert_eq!((header.shard.as_str(), header.host.as_str(), header.made), ("0", "1.0.0", 5));
        let store = open(&to);
        prop_assert_eq!(data(&store), before);
        prop_assert_eq!(store.get_blob("components/abc.wasm").unwrap(), Some(component));
        prop_assert!(store.get(&reserved::imported("0")).unwrap().is_some(), "the engine is told");
    }
}

#[test]
fn an_import_keeps_what_an_earlier_one_was_still_to_take_back() {
    let folder = tempfile::tempdir().unwrap();
    let mark_after = |noted: &[u8], name: &str| {
        let (from, to) = (place(&folder, &format!("{name}-from")), place(&folder, &format!("{name}-to")));
        let file = folder.path().join(name);
        let store = open(&from);
        write(&store, &Data::from([(reserved::imported("0"), noted.to_vec()), (b"0/a".to_vec(), vec![1])]));
        drop(store);
        export_to(&from, &file).unwrap();
        import_from(&file, &to, false).unwrap();
        open(&to).get(&reserved::imported("0")).unwrap()
    };
    assert_eq!(mark_after(b"epoch 7", "noted"), Some(b"epoch 7".to_vec()));
    assert_eq!(mark_after(b"", "fresh"), Some(Vec::new()));
}

#[test]
fn a_running_host_goes_on_beside_an_export_which_holds_whole_writes_only() {
    let folder = tempfile::tempdir().unwrap();
    let from = place(&folder, "from");
    let store = open(&from);
    let writes = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut count = 0u64;
            while !folder.path().join("enough").exists() {
                count += 1;
                let keys =
                    (0..20).map(|k| (format!("0/{k:02}").into_bytes(), count.to_le_bytes().repeat(500)));
                write(&store, &keys.collect());
            }
            count
        });
        for n in 0..6 {
            let file = folder.path().join(format!("file{n}"));
            if let Err(error) = export_to(&from, &file) {
                // Before the first write there may be nothing yet.
                assert!(n == 0, "{error}");
                continue;
            }
            let mut seen = Vec::new();
            read_file(&file, |item| {
                if let Item::Entries(entries) = item {
                    seen.extend(entries.into_iter().map(|(_, value)| value));
                }
                Ok(())
            })
            .unwrap();
            assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "export {n} mixes writes");
            assert!(seen.is_empty() || seen.len() == 20, "export {n} holds a part of a write");
        }
        std::fs::write(folder.path().join("enough"), "").unwrap();
        writer.join().unwrap()
    });
    assert!(writes > 0 && !store.is_fenced());
    assert_eq!(data(&store)[&b"0/00".to_vec()], writes.to_le_bytes().repeat(500));
}

#[test]
fn an_import_into_a_state_that_is_there_is_refused_unless_it_is_to_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to, file) = (place(&folder, "from"), place(&folder, "to"), folder.path().join("file"));
    write(&open(&from), &pairs(&[("0/a", "new")]));
    write(&open(&to), &pairs(&[("0/a", "old"), ("0/b", "old")]));
    export_to(&from, &file).unwrap();
    let text = import_from(&file, &to, false).unwrap_err().to_string();
    assert!(text.contains("already") && text.contains("--replace"), "{text}");
    assert_eq!(data(&open(&to)).len(), 2, "nothing was changed");
    import_from(&file, &to, true).unwrap();
    assert_eq!(data(&open(&to)), pairs(&[("0/a", "new")]));
}

#[test]
fn a_bad_file_is_refused_before_anything_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to, file) = (place(&folder, "from"), place(&folder, "to"), folder.path().join("file"));
    write(&open(&from), &pairs(&[("0/a", "1")]));
    write(&open(&to), &pairs(&[("0/a", "old")]));
    export_to(&from, &file).unwrap();
    let good = std::fs::read(&file).unwrap();
    for (bytes, word) in [(&good[..good.len() - 3], "cut off"), (b"nonsense", "no exported state")] {
        std::fs::write(&file, bytes).unwrap();
        let text = import_from(&file, &to, true).unwrap_err().to_string();
        assert!(text.contains(word) && text.contains(file.to_str().unwrap()), "{text}");
    }
    std::fs::write(&file, &good).unwrap();
    let other = import(&file, &to, "1", true, Claim::default()).unwrap_err().to_string();
    assert!(other.contains("shard `0`") && other.contains("`1`"), "{other}");
    assert_eq!(data(&open(&to)), pairs(&[("0/a", "old")]));
}

#[test]
fn an_import_that_was_killed_leaves_no_state_that_a_host_would_start_on() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to, file) = (place(&folder, "from"), place(&folder, "to"), folder.path().join("file"));
    write(&open(&from), &pairs(&[("0/a", "1"), ("0/b", "2")]));
    export_to(&from, &file).unwrap();
    {
        // As far as an import comes before it is killed.
        let store = Store::open_for(&to, "0", Claim::default(), Purpose::Import).unwrap();
        let filling = Filling { store: &store };
        filling.mark().unwrap();
        write(&store, &pairs(&[("0/a", "1")]));
    }
    let text = Store::open(&to, "0", Claim::default()).err().unwrap().to_string();
    assert!(text.contains("did not come to its end") && text.contains("--replace"), "{text}");
    assert!(export_to(&to, &folder.path().join("other")).is_err(), "nor is it exported");
    assert!(import_from(&file, &to, true).is_ok());
    assert_eq!(data(&open(&to)), pairs(&[("0/a", "1"), ("0/b", "2")]));
}

#[test]
fn the_next_generation_after_an_import_is_greater_than_any_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to, file) = (place(&folder, "from"), place(&folder, "to"), folder.path().join("file"));
    assert_eq!(open(&from).claim_generation(7).unwrap(), 7);
    export_to(&from, &file).unwrap();
    import_from(&file, &to, false).unwrap();
    assert_eq!(open(&to).claim_generation(1).unwrap(), 8);
    // A place that has seen greater ones keeps them.
    assert_eq!(open(&to).claim_generation(50).unwrap(), 50);
    import_from(&file, &to, true).unwrap();
    assert_eq!(open(&to).claim_generation(1).unwrap(), 51);
}

#[test]
fn a_place_without_state_and_a_file_that_is_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (nowhere, file) = (place(&folder, "nowhere"), folder.path().join("file"));
    let text = export_to(&nowhere, &file).unwrap_err().to_string();
    assert!(text.contains("holds no state of shard `0`"), "{text}");
    assert!(!Path::new(&nowhere).exists() && !file.exists(), "nothing is made");
    std::fs::write(&file, "precious").unwrap();
    let text = export_to(&nowhere, &file).unwrap_err().to_string();
    assert!(text.contains("there already"), "{text}");
}

#[test]
fn a_large_state_is_replaced_by_a_small_one_and_nothing_of_it_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to, file) = (place(&folder, "from"), place(&folder, "to"), folder.path().join("file"));
    let store = open(&from);
    write(&store, &pairs(&[("0/head", "small")]));
    drop(store);
    export_to(&from, &file).unwrap();
    let store = open(&to);
    // More keys than one write deletes.
    write(&store, &(0..25_000u32).map(|n| (format!("0/{n:06}").into_bytes(), vec![1; 100])).collect());
    drop(store);
    import_from(&file, &to, true).unwrap();
    assert_eq!(data(&open(&to)), pairs(&[("0/head", "small")]));
}
