#![allow(clippy::unwrap_used)]

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn header() -> Header {
    Header { shard: "0".into(), host: "1.2.3".into(), made: 1_795_420_800_000_000, generation: 7 }
}

fn written(entries: &Pairs, objects: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    entries.iter().for_each(|(key, value)| writer.entry(key, value).unwrap());
    objects.iter().for_each(|(name, bytes)| writer.object(name, bytes).unwrap());
    writer.finish().unwrap().0
}

fn read(file: &[u8]) -> Result<(Header, Pairs, Vec<(String, Vec<u8>)>), FileError> {
    let mut reader = Reader::new(file)?;
    let (mut entries, mut objects) = (Pairs::new(), Vec::new());
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Entries(more) => entries.extend(more),
            Item::Object { name, bytes } => objects.push((name, bytes)),
        }
    }
    Ok((reader.header().clone(), entries, objects))
}

/// A file of several blocks: entries over the size of one, and an object.
fn example() -> Vec<u8> {
    let entries = (0..300u32).map(|n| (format!("0/{n:05}").into_bytes(), n.to_le_bytes().repeat(2_000)));
    written(&entries.collect(), &[("components%2Fa.wasm".into(), vec![9; 5_000])])
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(
        entries in vec((vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..3_000)), 0..60),
        objects in vec(("[a-z/.%]{0,20}", vec(any::<u8>(), 0..3_000)), 0..4),
    ) {
        let file = written(&entries, &objects);
        prop_assert_eq!(read(&file).unwrap(), (header(), entries, objects));
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused_wherever_it_was_cut(share in 0.0..1.0f64) {
        let file = example();
        let length = (file.len() as f64 * share) as usize;
        let error = read(&file[..length]).unwrap_err();
        prop_assert!(matches!(error, FileError::CutOff(_) | FileError::Foreign), "{}", error);
    }

    #[test]
    fn a_changed_bit_is_noticed_wherever_it_is(share in 0.0..1.0f64, bit in 0..8u32) {
        let mut file = example();
        let at = (file.len() as f64 * share) as usize;
        file[at] ^= 1 << bit;
        prop_assert!(read(&file).is_err(), "byte {}", at);
    }

    #[test]
    fn foreign_bytes_are_refused_and_never_panic(bytes in vec(any::<u8>(), 0..2_000), begin in any::<bool>()) {
        let mut file = Vec::new();
        if begin {
            file.extend_from_slice(MAGIC);
            file.extend_from_slice(&VERSION.to_le_bytes());
        }
        file.extend_from_slice(&bytes);
        prop_assert!(read(&file).is_err());
    }
}

#[test]
fn each_refusal_says_what_to_do() {
    let file = example();
    assert!(read(b"").unwrap_err().to_string().contains("no exported state"));
    assert!(read(b"PK\x03\x04 something else").unwrap_err().to_string().contains("no exported state"));
    let mut newer = file.clone();
    newer[8] = 9;
    assert!(read(&newer).unwrap_err().to_string().contains("format 9, this host reads 1"));
    assert!(read(&file[..file.len() - 1]).unwrap_err().to_string().contains("cut off after"));
    let mut damaged = file.clone();
    let middle = file.len() / 2;
    damaged[middle] ^= 1;
    assert!(read(&damaged).unwrap_err().to_string().contains("damaged at byte"));
}

#[test]
fn a_block_that_was_left_out_doubled_or_added_at_the_end_is_noticed() {
    let file = example();
    let mut starts = vec![12];
    while let Some(at) = starts.last().copied().filter(|at| *at < file.len()) {
        let packed = u32::from_le_bytes(file[at + 5..at + 9].try_into().unwrap()) as usize;
        starts.push(at + 9 + CHECK_BYTES + packed);
    }
    assert!(starts.len() > 5, "several blocks: {starts:?}");
    for pair in starts.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let without = [&file[..from], &file[to..]].concat();
        assert!(read(&without).is_err(), "without the block at {from}");
        let doubled = [&file[..to], &file[from..]].concat();
        assert!(read(&doubled).is_err(), "the block at {from} twice");
    }
    assert!(read(&[&file[..], &[0]].concat()).is_err(), "something after the end");
}

#[test]
fn like_values_take_little_room() {
    let entries = (0..1000u32).map(|n| (format!("0/chunk/{n:08}").into_bytes(), vec![7; 1_000]));
    assert!(written(&entries.collect(), &[]).len() < 200_000);
}
